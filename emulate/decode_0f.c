// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tables of opcodes behind 0F and 0F 38, legacy and VEX; see "Opcode Map".
 * It must hold nothing but data, and the look-up in the sparse 0F 38 table.
 */
#include "internal.h"
#include "exec.h"

#define E(fn, fl, a)	{ { .exec = em_ex_##fn }, (fl), (a) }
#define SUB(table, fl)	{ { .sub = (table) }, (fl), 0 }
#define UD		E(ud, 0, 0)
#define UNKNOWN		{ { .exec = NULL }, 0, 0 }

#define EG	(OP_MODRM | OP_DST(E) | OP_SRC(G))
#define GE	(OP_MODRM | OP_DST(G) | OP_SRC(E))
#define MEM	(OP_MODRM | OP_MEM)
#define VX	(OP_MODRM | OP_VEX)
#define V0	(OP_MODRM | OP_VEX | OP_VEX_L0)

static const struct em_opcode group6[8] = {
	E(sldt, OP_MODRM | OP_PROT, EM_SEG_LDTR), E(sldt, OP_MODRM | OP_PROT, EM_SEG_TR),
	E(lldt, OP_MODRM | OP_PROT, 0), E(ltr, OP_MODRM | OP_PROT, 0),
	E(verr, OP_MODRM | OP_PROT, 0), E(verr, OP_MODRM | OP_PROT, 1),
	UD, UD,
};

static const struct em_opcode group7_mem[8] = {
	E(sgdt, MEM, 0), E(sgdt, MEM, 1), E(lgdt, MEM, 0), E(lgdt, MEM, 1),
	E(smsw, OP_MODRM, 0), UNKNOWN, E(lmsw, OP_MODRM, 0), E(invlpg, MEM, 0),
};

static const struct em_opcode group7_reg[8] = {
	[4] = E(smsw, OP_MODRM, 0),
	[6] = E(lmsw, OP_MODRM, 0),
};

static const struct em_opcode split_01[2] = {
	SUB(group7_mem, OP_GROUP), SUB(group7_reg, OP_GROUP),
};

/* Group 8: bit tests with an immediate. */
static const struct em_opcode group8[8] = {
	UD, UD, UD, UD,
	E(bt, OP_MODRM | OP_SRC(IMM) | OP_IMM(UB), EM_BT),
	E(bt, OP_MODRM | OP_SRC(IMM) | OP_IMM(UB) | OP_LOCK, EM_BTS),
	E(bt, OP_MODRM | OP_SRC(IMM) | OP_IMM(UB) | OP_LOCK, EM_BTR),
	E(bt, OP_MODRM | OP_SRC(IMM) | OP_IMM(UB) | OP_LOCK, EM_BTC),
};

/* Group 9. The register forms are RDRAND, RDSEED, RDPID; /6 and /7 in memory are VMX's. */
static const struct em_opcode group9_mem[8] = {
	[1] = E(cmpxchg8b, MEM | OP_LOCK, 0),
	[0] = UD, [2] = UD,
};

static const struct em_opcode group9_reg[8] = {
	UD, UD, UD, UD, UD, UD, UNKNOWN, UNKNOWN,
};

static const struct em_opcode split_c7[2] = {
	SUB(group9_mem, OP_GROUP), SUB(group9_reg, OP_GROUP),
};

/* Group 15: fences are register forms, the memory forms but CLFLUSH save and load state. */
static const struct em_opcode group15_mem_np[8] = {
	[7] = E(clflush, MEM, 0),
};

static const struct em_opcode group15_reg_np[8] = {
	UD, UD, UD, UD, UD, E(nop, OP_MODRM, 0), E(nop, OP_MODRM, 0), E(nop, OP_MODRM, 0),
};

static const struct em_opcode group15_mem[4] = { SUB(group15_mem_np, OP_GROUP) };
static const struct em_opcode group15_reg[4] = { SUB(group15_reg_np, OP_GROUP) };

static const struct em_opcode split_ae[2] = {
	SUB(group15_mem, OP_PFX), SUB(group15_reg, OP_PFX),
};

/* Vector moves. The tables are indexed by mandatory prefix: none, 66, F3, F2. */
static const struct em_opcode pfx_10[4] = {
	E(vec_load, VX, EM_V_FULL | EM_V_SSE),
	E(vec_load, VX, EM_V_FULL | EM_V_SSE2),
	E(vec_load, VX | OP_VEX_VREG, 4 | EM_V_SSE),
	E(vec_load, VX | OP_VEX_VREG, 8 | EM_V_SSE2),
};

static const struct em_opcode pfx_11[4] = {
	E(vec_store, VX, EM_V_FULL | EM_V_SSE),
	E(vec_store, VX, EM_V_FULL | EM_V_SSE2),
	E(vec_store, VX | OP_VEX_VREG, 4 | EM_V_SSE),
	E(vec_store, VX | OP_VEX_VREG, 8 | EM_V_SSE2),
};

static const struct em_opcode pfx_12[4] = {
	E(vec_half_load, V0 | OP_VEX_V, EM_V_SSE),
	E(vec_half_load, V0 | OP_VEX_V | OP_MEM, EM_V_SSE2),
};

static const struct em_opcode pfx_13[4] = {
	E(vec_half_store, V0 | OP_MEM, EM_V_SSE),
	E(vec_half_store, V0 | OP_MEM, EM_V_SSE2),
	UD, UD,
};

static const struct em_opcode pfx_16[4] = {
	E(vec_half_load, V0 | OP_VEX_V, EM_V_HIGH | EM_V_SSE),
	E(vec_half_load, V0 | OP_VEX_V | OP_MEM, EM_V_HIGH | EM_V_SSE2),
	UNKNOWN, UD,
};

static const struct em_opcode pfx_17[4] = {
	E(vec_half_store, V0 | OP_MEM, EM_V_HIGH | EM_V_SSE),
	E(vec_half_store, V0 | OP_MEM, EM_V_HIGH | EM_V_SSE2),
	UD, UD,
};

static const struct em_opcode pfx_28[4] = {
	E(vec_load, VX, EM_V_FULL | EM_V_ALIGN | EM_V_SSE),
	E(vec_load, VX, EM_V_FULL | EM_V_ALIGN | EM_V_SSE2),
	UD, UD,
};

static const struct em_opcode pfx_29[4] = {
	E(vec_store, VX, EM_V_FULL | EM_V_ALIGN | EM_V_SSE),
	E(vec_store, VX, EM_V_FULL | EM_V_ALIGN | EM_V_SSE2),
	UD, UD,
};

static const struct em_opcode pfx_2b[4] = {
	E(vec_store, VX | OP_MEM, EM_V_FULL | EM_V_ALIGN | EM_V_SSE),
	E(vec_store, VX | OP_MEM, EM_V_FULL | EM_V_ALIGN | EM_V_SSE2),
	UNKNOWN, UNKNOWN,	/* MOVNTSS and MOVNTSD of SSE4a */
};

static const struct em_opcode pfx_6e[4] = {
	E(mmx_gpr_load, OP_MODRM, 0),
	E(vec_gpr_load, V0, EM_V_SSE2),
	UD, UD,
};

static const struct em_opcode pfx_6f[4] = {
	E(mmx_load, OP_MODRM, 0),
	E(vec_load, VX, EM_V_FULL | EM_V_ALIGN | EM_V_SSE2),
	E(vec_load, VX, EM_V_FULL | EM_V_SSE2),
	UD,
};

static const struct em_opcode pfx_7e[4] = {
	E(mmx_gpr_store, OP_MODRM, 0),
	E(vec_gpr_store, V0, EM_V_SSE2),
	E(vec_movq_load, V0, EM_V_SSE2),
	UD,
};

static const struct em_opcode pfx_7f[4] = {
	E(mmx_store, OP_MODRM, 0),
	E(vec_store, VX, EM_V_FULL | EM_V_ALIGN | EM_V_SSE2),
	E(vec_store, VX, EM_V_FULL | EM_V_SSE2),
	UD,
};

static const struct em_opcode pfx_d6[4] = {
	UD,
	E(vec_movq_store, V0, EM_V_SSE2),
	UNKNOWN, UNKNOWN,	/* MOVQ2DQ and MOVDQ2Q */
};

static const struct em_opcode pfx_e7[4] = {
	E(mmx_store, OP_MODRM | OP_MEM, 0),
	E(vec_store, VX | OP_MEM, EM_V_FULL | EM_V_ALIGN | EM_V_SSE2),
	UD, UD,
};

static const struct em_opcode pfx_f0[4] = {
	UD, UD, UD,
	E(vec_load, VX | OP_MEM, EM_V_FULL | EM_V_SSE3),
};

static const struct em_opcode pfx_c3[4] = {
	E(movnti, EG | OP_MEM, 0), UD, UD, UD,
};

/* F3 makes these another instruction; the other prefixes keep their meaning. */
static const struct em_opcode pfx_b8[4] = {
	UD, UD, E(popcnt, OP_MODRM, 0), UD,
};

static const struct em_opcode pfx_0f38_2a[4] = {
	UD, E(vec_load, VX | OP_MEM, EM_V_FULL | EM_V_ALIGN | EM_V_NT | EM_V_SSE41), UD, UD,
};

/* CRC32 takes the places of F2. */
static const struct em_opcode pfx_0f38_f0[4] = {
	E(movbe, GE | OP_MEM, 0), E(movbe, GE | OP_MEM, 0), UD, UNKNOWN,
};

static const struct em_opcode pfx_0f38_f1[4] = {
	E(movbe, EG | OP_MEM, 0), E(movbe, EG | OP_MEM, 0), UD, UNKNOWN,
};

const struct em_opcode em_table_0f[256] = {
	[0x00] = SUB(group6, OP_GROUP),
	[0x01] = SUB(split_01, OP_MOD),
	[0x02] = E(lar, OP_MODRM | OP_PROT, 0),
	[0x03] = E(lar, OP_MODRM | OP_PROT, 1),
	[0x04] = UD,
	[0x06] = E(clts, 0, 0),
	[0x08] = E(wbinvd, 0, 0),
	[0x09] = E(wbinvd, 0, 0),
	[0x0a] = UD,
	[0x0b] = UD,
	[0x0c] = UD,
	[0x0d] = E(nop, OP_MODRM, 0),
	[0x10] = SUB(pfx_10, OP_PFX),
	[0x11] = SUB(pfx_11, OP_PFX),
	[0x12] = SUB(pfx_12, OP_PFX),
	[0x13] = SUB(pfx_13, OP_PFX),
	[0x16] = SUB(pfx_16, OP_PFX),
	[0x17] = SUB(pfx_17, OP_PFX),
	[0x18 ... 0x1f] = E(nop, OP_MODRM, 0),
	[0x20] = E(mov_from_cr, OP_MODRM | OP_FORCE_REG, 0),
	[0x21] = E(mov_from_dr, OP_MODRM | OP_FORCE_REG, 0),
	[0x22] = E(mov_to_cr, OP_MODRM | OP_FORCE_REG, 0),
	[0x23] = E(mov_to_dr, OP_MODRM | OP_FORCE_REG, 0),
	[0x24] = UD, [0x25] = UD, [0x26] = UD, [0x27] = UD,
	[0x28] = SUB(pfx_28, OP_PFX),
	[0x29] = SUB(pfx_29, OP_PFX),
	[0x2b] = SUB(pfx_2b, OP_PFX),
	[0x30] = E(wrmsr, 0, 0),
	[0x31] = E(rdtsc, 0, EM_MISC_RDTSC),
	[0x32] = E(rdmsr, 0, 0),
	[0x33] = E(rdpmc, 0, EM_MISC_RDPMC),
	[0x36] = UD,
	[0x39] = UD,
	[0x3b] = UD, [0x3c] = UD, [0x3d] = UD, [0x3e] = UD, [0x3f] = UD,
	[0x40 ... 0x4f] = E(cmov, GE, 0),
	[0x6e] = SUB(pfx_6e, OP_PFX),
	[0x6f] = SUB(pfx_6f, OP_PFX),
	[0x7e] = SUB(pfx_7e, OP_PFX),
	[0x7f] = SUB(pfx_7f, OP_PFX),
	[0x80 ... 0x8f] = E(jcc, OP_F64 | OP_IMM(Z), 0),
	[0x90 ... 0x9f] = E(setcc, OP_MODRM | OP_BYTE, 0),
	[0xa0] = E(push_seg, OP_D64, EM_SEG_FS),
	[0xa1] = E(pop_seg, OP_D64, EM_SEG_FS),
	[0xa2] = E(cpuid, 0, EM_MISC_CPUID),
	[0xa3] = E(bt, EG, EM_BT),
	[0xa4] = E(shift_double, OP_MODRM | OP_SRC(IMM) | OP_IMM(UB), 0),
	[0xa5] = E(shift_double, OP_MODRM | OP_SRC(CL), 0),
	[0xa8] = E(push_seg, OP_D64, EM_SEG_GS),
	[0xa9] = E(pop_seg, OP_D64, EM_SEG_GS),
	[0xab] = E(bt, EG | OP_LOCK, EM_BTS),
	[0xac] = E(shift_double, OP_MODRM | OP_SRC(IMM) | OP_IMM(UB), 1),
	[0xad] = E(shift_double, OP_MODRM | OP_SRC(CL), 1),
	[0xae] = SUB(split_ae, OP_MOD),
	[0xaf] = E(imul, OP_MODRM, 0),
	[0xb0] = E(cmpxchg, EG | OP_BYTE | OP_LOCK, 0),
	[0xb1] = E(cmpxchg, EG | OP_LOCK, 0),
	[0xb2] = E(load_far, OP_MODRM | OP_MEM, EM_SEG_SS),
	[0xb3] = E(bt, EG | OP_LOCK, EM_BTR),
	[0xb4] = E(load_far, OP_MODRM | OP_MEM, EM_SEG_FS),
	[0xb5] = E(load_far, OP_MODRM | OP_MEM, EM_SEG_GS),
	[0xb6] = E(movzx, OP_MODRM, 1),
	[0xb7] = E(movzx, OP_MODRM, 2),
	[0xb8] = SUB(pfx_b8, OP_PFX),
	[0xb9] = E(ud, OP_MODRM, 0),
	[0xba] = SUB(group8, OP_GROUP),
	[0xbb] = E(bt, EG | OP_LOCK, EM_BTC),
	[0xbc] = E(bit_scan, OP_MODRM, 0),
	[0xbd] = E(bit_scan, OP_MODRM, 1),
	[0xbe] = E(movsx, OP_MODRM, 1),
	[0xbf] = E(movsx, OP_MODRM, 2),
	[0xc0] = E(xadd, EG | OP_BYTE | OP_LOCK, 0),
	[0xc1] = E(xadd, EG | OP_LOCK, 0),
	[0xc3] = SUB(pfx_c3, OP_PFX),
	[0xc7] = SUB(split_c7, OP_MOD),
	[0xc8 ... 0xcf] = E(bswap, 0, 0),
	[0xd6] = SUB(pfx_d6, OP_PFX),
	[0xe7] = SUB(pfx_e7, OP_PFX),
	[0xf0] = SUB(pfx_f0, OP_PFX),
	[0xff] = E(ud, OP_MODRM, 0),
};

const struct em_opcode *em_lookup_0f38(u8 opcode)
{
	static const struct em_opcode known[4] = {
		UNKNOWN,
		SUB(pfx_0f38_2a, OP_PFX),
		SUB(pfx_0f38_f0, OP_PFX),
		SUB(pfx_0f38_f1, OP_PFX),
	};

	switch (opcode) {
	case 0x2a:
		return &known[1];
	case 0xf0:
		return &known[2];
	case 0xf1:
		return &known[3];
	default:
		return &known[0];
	}
}
