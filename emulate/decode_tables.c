// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of one-byte opcodes with its groups; see "Opcode Map".
 * It must hold nothing but data.
 */
#include "internal.h"
#include "exec.h"

#define E(fn, fl, a)	{ { .exec = em_ex_##fn }, (fl), (a) }
#define SUB(table, fl)	{ { .sub = (table) }, (fl), 0 }
#define UD		E(ud, 0, 0)

#define EG	(OP_MODRM | OP_DST(E) | OP_SRC(G))
#define GE	(OP_MODRM | OP_DST(G) | OP_SRC(E))
#define EI	(OP_MODRM | OP_DST(E) | OP_SRC(IMM))
#define AI	(OP_DST(ACC) | OP_SRC(IMM))
#define ZI	(OP_DST(Z) | OP_SRC(IMM))

/* Tables of groups; what they have in common stands with the opcode that leads to them. */
static const struct em_opcode group1[8] = {
	E(alu, EI | OP_LOCK, EM_ALU_ADD),
	E(alu, EI | OP_LOCK, EM_ALU_OR),
	E(alu, EI | OP_LOCK, EM_ALU_ADC),
	E(alu, EI | OP_LOCK, EM_ALU_SBB),
	E(alu, EI | OP_LOCK, EM_ALU_AND),
	E(alu, EI | OP_LOCK, EM_ALU_SUB),
	E(alu, EI | OP_LOCK, EM_ALU_XOR),
	E(alu, EI, EM_ALU_CMP),
};

static const struct em_opcode group2[8] = {
	E(shift, OP_MODRM | OP_DST(E), EM_SH_ROL),
	E(shift, OP_MODRM | OP_DST(E), EM_SH_ROR),
	E(shift, OP_MODRM | OP_DST(E), EM_SH_RCL),
	E(shift, OP_MODRM | OP_DST(E), EM_SH_RCR),
	E(shift, OP_MODRM | OP_DST(E), EM_SH_SHL),
	E(shift, OP_MODRM | OP_DST(E), EM_SH_SHR),
	E(shift, OP_MODRM | OP_DST(E), EM_SH_SHL),
	E(shift, OP_MODRM | OP_DST(E), EM_SH_SAR),
};

static const struct em_opcode group1a[8] = {
	E(pop_rm, OP_MODRM | OP_D64, 0), UD, UD, UD, UD, UD, UD, UD,
};

static const struct em_opcode group3[8] = {
	E(alu, EI | OP_IMM(Z), EM_ALU_TEST),
	E(alu, EI | OP_IMM(Z), EM_ALU_TEST),
	E(unary, OP_MODRM | OP_DST(E) | OP_LOCK, EM_ALU_NOT),
	E(unary, OP_MODRM | OP_DST(E) | OP_LOCK, EM_ALU_NEG),
	E(mul, OP_MODRM, 0),
	E(mul, OP_MODRM, 1),
	E(div, OP_MODRM, 0),
	E(div, OP_MODRM, 1),
};

static const struct em_opcode group4[8] = {
	E(unary, OP_MODRM | OP_DST(E) | OP_LOCK | OP_BYTE, EM_ALU_INC),
	E(unary, OP_MODRM | OP_DST(E) | OP_LOCK | OP_BYTE, EM_ALU_DEC),
	UD, UD, UD, UD, UD, UD,
};

static const struct em_opcode group5[8] = {
	E(unary, OP_MODRM | OP_DST(E) | OP_LOCK, EM_ALU_INC),
	E(unary, OP_MODRM | OP_DST(E) | OP_LOCK, EM_ALU_DEC),
	E(call_rm, OP_MODRM | OP_F64, 0),
	E(far_rm, OP_MODRM | OP_MEM, 1),
	E(jmp_rm, OP_MODRM | OP_F64, 0),
	E(far_rm, OP_MODRM | OP_MEM, 0),
	E(push_rm, OP_MODRM | OP_D64, 0),
	UD,
};

static const struct em_opcode group11[8] = {
	E(mov_store_imm, EI | OP_IMM(Z), 0), UD, UD, UD, UD, UD, UD, UD,
};

static const struct em_opcode split_63[2] = {
	E(arpl, OP_MODRM | OP_PROT, 0),
	E(movsx, OP_MODRM, 4),
};

/* BOUND; with a register operand and in 64-bit mode this byte begins an EVEX prefix. */
static const struct em_opcode split_62_mod[2] = {
	E(bound, OP_MODRM | OP_MEM, 0),
};

static const struct em_opcode split_62[2] = {
	SUB(split_62_mod, OP_MOD),
};

const struct em_opcode em_table_1[256] = {
	[0x00] = E(alu, EG | OP_BYTE | OP_LOCK, EM_ALU_ADD),
	[0x01] = E(alu, EG | OP_LOCK, EM_ALU_ADD),
	[0x02] = E(alu, GE | OP_BYTE, EM_ALU_ADD),
	[0x03] = E(alu, GE, EM_ALU_ADD),
	[0x04] = E(alu, AI | OP_BYTE | OP_IMM(Z), EM_ALU_ADD),
	[0x05] = E(alu, AI | OP_IMM(Z), EM_ALU_ADD),
	[0x08] = E(alu, EG | OP_BYTE | OP_LOCK, EM_ALU_OR),
	[0x09] = E(alu, EG | OP_LOCK, EM_ALU_OR),
	[0x0a] = E(alu, GE | OP_BYTE, EM_ALU_OR),
	[0x0b] = E(alu, GE, EM_ALU_OR),
	[0x0c] = E(alu, AI | OP_BYTE | OP_IMM(Z), EM_ALU_OR),
	[0x0d] = E(alu, AI | OP_IMM(Z), EM_ALU_OR),
	[0x10] = E(alu, EG | OP_BYTE | OP_LOCK, EM_ALU_ADC),
	[0x11] = E(alu, EG | OP_LOCK, EM_ALU_ADC),
	[0x12] = E(alu, GE | OP_BYTE, EM_ALU_ADC),
	[0x13] = E(alu, GE, EM_ALU_ADC),
	[0x14] = E(alu, AI | OP_BYTE | OP_IMM(Z), EM_ALU_ADC),
	[0x15] = E(alu, AI | OP_IMM(Z), EM_ALU_ADC),
	[0x18] = E(alu, EG | OP_BYTE | OP_LOCK, EM_ALU_SBB),
	[0x19] = E(alu, EG | OP_LOCK, EM_ALU_SBB),
	[0x1a] = E(alu, GE | OP_BYTE, EM_ALU_SBB),
	[0x1b] = E(alu, GE, EM_ALU_SBB),
	[0x1c] = E(alu, AI | OP_BYTE | OP_IMM(Z), EM_ALU_SBB),
	[0x1d] = E(alu, AI | OP_IMM(Z), EM_ALU_SBB),
	[0x20] = E(alu, EG | OP_BYTE | OP_LOCK, EM_ALU_AND),
	[0x21] = E(alu, EG | OP_LOCK, EM_ALU_AND),
	[0x22] = E(alu, GE | OP_BYTE, EM_ALU_AND),
	[0x23] = E(alu, GE, EM_ALU_AND),
	[0x24] = E(alu, AI | OP_BYTE | OP_IMM(Z), EM_ALU_AND),
	[0x25] = E(alu, AI | OP_IMM(Z), EM_ALU_AND),
	[0x28] = E(alu, EG | OP_BYTE | OP_LOCK, EM_ALU_SUB),
	[0x29] = E(alu, EG | OP_LOCK, EM_ALU_SUB),
	[0x2a] = E(alu, GE | OP_BYTE, EM_ALU_SUB),
	[0x2b] = E(alu, GE, EM_ALU_SUB),
	[0x2c] = E(alu, AI | OP_BYTE | OP_IMM(Z), EM_ALU_SUB),
	[0x2d] = E(alu, AI | OP_IMM(Z), EM_ALU_SUB),
	[0x30] = E(alu, EG | OP_BYTE | OP_LOCK, EM_ALU_XOR),
	[0x31] = E(alu, EG | OP_LOCK, EM_ALU_XOR),
	[0x32] = E(alu, GE | OP_BYTE, EM_ALU_XOR),
	[0x33] = E(alu, GE, EM_ALU_XOR),
	[0x34] = E(alu, AI | OP_BYTE | OP_IMM(Z), EM_ALU_XOR),
	[0x35] = E(alu, AI | OP_IMM(Z), EM_ALU_XOR),
	[0x38] = E(alu, EG | OP_BYTE, EM_ALU_CMP),
	[0x39] = E(alu, EG, EM_ALU_CMP),
	[0x3a] = E(alu, GE | OP_BYTE, EM_ALU_CMP),
	[0x3b] = E(alu, GE, EM_ALU_CMP),
	[0x3c] = E(alu, AI | OP_BYTE | OP_IMM(Z), EM_ALU_CMP),
	[0x3d] = E(alu, AI | OP_IMM(Z), EM_ALU_CMP),

	[0x06] = E(push_seg, OP_NO64, EM_SEG_ES),
	[0x07] = E(pop_seg, OP_NO64, EM_SEG_ES),
	[0x0e] = E(push_seg, OP_NO64, EM_SEG_CS),
	[0x0f] = E(ud, OP_ESCAPE, 0),
	[0x16] = E(push_seg, OP_NO64, EM_SEG_SS),
	[0x17] = E(pop_seg, OP_NO64, EM_SEG_SS),
	[0x1e] = E(push_seg, OP_NO64, EM_SEG_DS),
	[0x1f] = E(pop_seg, OP_NO64, EM_SEG_DS),
	[0x27] = E(bcd_adjust, OP_NO64, 0),
	[0x2f] = E(bcd_adjust, OP_NO64, 1),
	[0x37] = E(ascii_adjust, OP_NO64, 0),
	[0x3f] = E(ascii_adjust, OP_NO64, 1),

	[0x40 ... 0x47] = E(unary, OP_DST(Z), EM_ALU_INC),
	[0x48 ... 0x4f] = E(unary, OP_DST(Z), EM_ALU_DEC),
	[0x50 ... 0x57] = E(push_reg, OP_D64, 0),
	[0x58 ... 0x5f] = E(pop_reg, OP_D64, 0),

	[0x60] = E(pusha, OP_NO64, 0),
	[0x61] = E(popa, OP_NO64, 0),
	[0x62] = SUB(split_62, OP_64),
	[0x63] = SUB(split_63, OP_64),
	[0x68] = E(push_imm, OP_D64 | OP_IMM(Z), 0),
	[0x69] = E(imul, OP_MODRM | OP_IMM(Z), 1),
	[0x6a] = E(push_imm, OP_D64 | OP_IMM(SB), 0),
	[0x6b] = E(imul, OP_MODRM | OP_IMM(SB), 1),
	[0x6c] = E(ins, OP_BYTE, 0),
	[0x6d] = E(ins, 0, 0),
	[0x6e] = E(outs, OP_BYTE, 0),
	[0x6f] = E(outs, 0, 0),
	[0x70 ... 0x7f] = E(jcc, OP_F64 | OP_IMM(SB), 0),

	[0x80] = SUB(group1, OP_GROUP | OP_BYTE | OP_IMM(SB)),
	[0x81] = SUB(group1, OP_GROUP | OP_IMM(Z)),
	[0x82] = SUB(group1, OP_GROUP | OP_BYTE | OP_IMM(SB) | OP_NO64),
	[0x83] = SUB(group1, OP_GROUP | OP_IMM(SB)),
	[0x84] = E(alu, EG | OP_BYTE, EM_ALU_TEST),
	[0x85] = E(alu, EG, EM_ALU_TEST),
	[0x86] = E(xchg, EG | OP_BYTE | OP_LOCK, 0),
	[0x87] = E(xchg, EG | OP_LOCK, 0),
	[0x88] = E(mov_store, EG | OP_BYTE, 0),
	[0x89] = E(mov_store, EG, 0),
	[0x8a] = E(mov_load, GE | OP_BYTE, 0),
	[0x8b] = E(mov_load, GE, 0),
	[0x8c] = E(mov_from_seg, OP_MODRM, 0),
	[0x8d] = E(lea, OP_MODRM | OP_MEM, 0),
	[0x8e] = E(mov_to_seg, OP_MODRM, 0),
	[0x8f] = SUB(group1a, OP_GROUP),

	[0x90 ... 0x97] = E(xchg_acc, 0, 0),
	[0x98] = E(cbw, 0, 0),
	[0x99] = E(cwd, 0, 0),
	[0x9a] = E(far_imm, OP_NO64 | OP_IMM(FAR), 1),
	[0x9b] = E(fwait, 0, 0),
	[0x9c] = E(pushf, OP_D64, 0),
	[0x9d] = E(popf, OP_D64, 0),
	[0x9e] = E(sahf, 0, 0),
	[0x9f] = E(lahf, 0, 0),

	[0xa0] = E(mov, OP_DST(ACC) | OP_SRC(E) | OP_BYTE | OP_IMM(OFFS), 0),
	[0xa1] = E(mov, OP_DST(ACC) | OP_SRC(E) | OP_IMM(OFFS), 0),
	[0xa2] = E(mov, OP_DST(E) | OP_SRC(ACC) | OP_BYTE | OP_IMM(OFFS), 0),
	[0xa3] = E(mov, OP_DST(E) | OP_SRC(ACC) | OP_IMM(OFFS), 0),
	[0xa4] = E(movs, OP_BYTE, 0),
	[0xa5] = E(movs, 0, 0),
	[0xa6] = E(cmps, OP_BYTE, 0),
	[0xa7] = E(cmps, 0, 0),
	[0xa8] = E(alu, AI | OP_BYTE | OP_IMM(SB), EM_ALU_TEST),
	[0xa9] = E(alu, AI | OP_IMM(Z), EM_ALU_TEST),
	[0xaa] = E(stos, OP_BYTE, 0),
	[0xab] = E(stos, 0, 0),
	[0xac] = E(lods, OP_BYTE, 0),
	[0xad] = E(lods, 0, 0),
	[0xae] = E(scas, OP_BYTE, 0),
	[0xaf] = E(scas, 0, 0),

	[0xb0 ... 0xb7] = E(mov, ZI | OP_BYTE | OP_IMM(UB), 0),
	[0xb8 ... 0xbf] = E(mov, ZI | OP_IMM(V), 0),

	[0xc0] = SUB(group2, OP_GROUP | OP_BYTE | OP_SRC(IMM) | OP_IMM(UB)),
	[0xc1] = SUB(group2, OP_GROUP | OP_SRC(IMM) | OP_IMM(UB)),
	[0xc2] = E(ret, OP_F64 | OP_IMM(W), 1),
	[0xc3] = E(ret, OP_F64, 0),
	[0xc4] = E(load_far, OP_MODRM | OP_MEM | OP_NO64 | OP_ESCAPE, EM_SEG_ES),
	[0xc5] = E(load_far, OP_MODRM | OP_MEM | OP_NO64 | OP_ESCAPE, EM_SEG_DS),
	[0xc6] = SUB(group11, OP_GROUP | OP_BYTE),
	[0xc7] = SUB(group11, OP_GROUP),
	[0xc8] = E(enter, OP_D64 | OP_IMM(WB), 0),
	[0xc9] = E(leave, OP_D64, 0),
	[0xca] = E(retf, OP_IMM(W), 1),
	[0xcb] = E(retf, 0, 0),
	[0xcc] = E(int, 0, EM_EXC_BP),
	[0xcd] = E(int, OP_IMM(UB), 256),
	[0xce] = E(into, OP_NO64, 0),
	[0xcf] = E(iret, 0, 0),

	[0xd0] = SUB(group2, OP_GROUP | OP_BYTE | OP_SRC(ONE)),
	[0xd1] = SUB(group2, OP_GROUP | OP_SRC(ONE)),
	[0xd2] = SUB(group2, OP_GROUP | OP_BYTE | OP_SRC(CL)),
	[0xd3] = SUB(group2, OP_GROUP | OP_SRC(CL)),
	[0xd4] = E(aam, OP_NO64 | OP_IMM(UB), 0),
	[0xd5] = E(aad, OP_NO64 | OP_IMM(UB), 0),
	[0xd6] = E(salc, OP_NO64, 0),
	[0xd7] = E(xlat, OP_BYTE, 0),

	[0xe0] = E(loop, OP_F64 | OP_IMM(SB), 0),
	[0xe1] = E(loop, OP_F64 | OP_IMM(SB), 1),
	[0xe2] = E(loop, OP_F64 | OP_IMM(SB), 2),
	[0xe3] = E(loop, OP_F64 | OP_IMM(SB), 3),
	[0xe4] = E(in, OP_BYTE | OP_SRC(IMM) | OP_IMM(UB), 0),
	[0xe5] = E(in, OP_SRC(IMM) | OP_IMM(UB), 0),
	[0xe6] = E(out, OP_BYTE | OP_SRC(IMM) | OP_IMM(UB), 0),
	[0xe7] = E(out, OP_SRC(IMM) | OP_IMM(UB), 0),
	[0xe8] = E(call, OP_F64 | OP_IMM(Z), 0),
	[0xe9] = E(jmp, OP_F64 | OP_IMM(Z), 0),
	[0xea] = E(far_imm, OP_NO64 | OP_IMM(FAR), 0),
	[0xeb] = E(jmp, OP_F64 | OP_IMM(SB), 0),
	[0xec] = E(in, OP_BYTE, 0),
	[0xed] = E(in, 0, 0),
	[0xee] = E(out, OP_BYTE, 0),
	[0xef] = E(out, 0, 0),

	[0xf1] = E(int1, 0, 0),
	[0xf4] = E(hlt, 0, 0),
	[0xf5] = E(flag, 0, EM_FLAG_CMC),
	[0xf6] = SUB(group3, OP_GROUP | OP_BYTE),
	[0xf7] = SUB(group3, OP_GROUP),
	[0xf8] = E(flag, 0, EM_FLAG_CLC),
	[0xf9] = E(flag, 0, EM_FLAG_STC),
	[0xfa] = E(cli_sti, 0, 0),
	[0xfb] = E(cli_sti, 0, 1),
	[0xfc] = E(flag, 0, EM_FLAG_CLD),
	[0xfd] = E(flag, 0, EM_FLAG_STD),
	[0xfe] = SUB(group4, OP_GROUP),
	[0xff] = SUB(group5, OP_GROUP),
};
