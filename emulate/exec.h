/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The execution functions that the opcode tables name, and the codes in their arguments.
 * It must not be included from outside emulate/.
 */
#ifndef EMULATE_EXEC_H
#define EMULATE_EXEC_H

#include "internal.h"

/* Codes of em_ex_alu and em_ex_unary; the first eight in the order of the opcode map. */
enum em_alu_op {
	EM_ALU_ADD,
	EM_ALU_OR,
	EM_ALU_ADC,
	EM_ALU_SBB,
	EM_ALU_AND,
	EM_ALU_SUB,
	EM_ALU_XOR,
	EM_ALU_CMP,
	EM_ALU_TEST,
	EM_ALU_INC,
	EM_ALU_DEC,
	EM_ALU_NEG,
	EM_ALU_NOT,
	EM_ALU_COUNT,
};

enum em_shift_op {
	EM_SH_ROL,
	EM_SH_ROR,
	EM_SH_RCL,
	EM_SH_RCR,
	EM_SH_SHL,
	EM_SH_SHR,
	EM_SH_SAR,
	EM_SH_COUNT,
};

enum em_bt_op {
	EM_BT,
	EM_BTS,
	EM_BTR,
	EM_BTC,
};

enum em_flag_op {
	EM_FLAG_CMC,
	EM_FLAG_CLC,
	EM_FLAG_STC,
	EM_FLAG_CLD,
	EM_FLAG_STD,
};

/* Argument of the vector moves: bytes moved in memory in bits 0-7, then: */
#define EM_V_FULL	0x0100u		/* as wide as the register: 16, or 32 with VEX.L */
#define EM_V_ALIGN	0x0200u		/* #GP(0) when the memory operand is not aligned */
#define EM_V_HIGH	0x0400u		/* the high quadword */
#define EM_V_NT		0x0800u		/* 256 bits need AVX2 */
#define EM_V_SSE	0x1000u
#define EM_V_SSE2	0x2000u
#define EM_V_SSE3	0x4000u
#define EM_V_SSE41	0x8000u

#define EM_EX(name) enum em_result em_ex_##name(struct em_ctx *ctx)

/* exec_alu.c */
EM_EX(alu);
EM_EX(unary);
EM_EX(bcd_adjust);
EM_EX(ascii_adjust);
EM_EX(aam);
EM_EX(aad);
EM_EX(salc);

/* exec_shift.c */
EM_EX(shift);
EM_EX(shift_double);
EM_EX(mul);
EM_EX(imul);
EM_EX(div);

/* exec_bits.c */
EM_EX(bt);
EM_EX(bit_scan);
EM_EX(popcnt);
EM_EX(bswap);
EM_EX(xadd);
EM_EX(cmpxchg);
EM_EX(cmpxchg8b);
EM_EX(xchg);
EM_EX(xchg_acc);

/* exec_mov.c */
EM_EX(mov);
EM_EX(mov_store);
EM_EX(mov_store_imm);
EM_EX(mov_load);
EM_EX(movnti);
EM_EX(movzx);
EM_EX(movsx);
EM_EX(movbe);
EM_EX(mov_from_seg);
EM_EX(mov_to_seg);
EM_EX(load_far);
EM_EX(lea);
EM_EX(xlat);
EM_EX(cbw);
EM_EX(cwd);
EM_EX(cmov);
EM_EX(setcc);
EM_EX(sahf);
EM_EX(lahf);
EM_EX(flag);
EM_EX(cli_sti);
EM_EX(nop);
EM_EX(fwait);
EM_EX(clflush);
EM_EX(ud);
EM_EX(hlt);
EM_EX(bound);
EM_EX(arpl);

/* exec_string.c */
EM_EX(movs);
EM_EX(cmps);
EM_EX(stos);
EM_EX(lods);
EM_EX(scas);

/* exec_io.c */
EM_EX(ins);
EM_EX(outs);
EM_EX(in);
EM_EX(out);

/* exec_stack.c */
EM_EX(push_reg);
EM_EX(pop_reg);
EM_EX(push_imm);
EM_EX(push_rm);
EM_EX(pop_rm);
EM_EX(push_seg);
EM_EX(pop_seg);
EM_EX(pusha);
EM_EX(popa);
EM_EX(pushf);
EM_EX(popf);
EM_EX(enter);
EM_EX(leave);

/* exec_branch.c */
EM_EX(jcc);
EM_EX(loop);
EM_EX(jmp);
EM_EX(call);
EM_EX(jmp_rm);
EM_EX(call_rm);
EM_EX(ret);

/* exec_vec.c */
EM_EX(vec_load);
EM_EX(vec_store);
EM_EX(vec_half_load);
EM_EX(vec_half_store);
EM_EX(vec_gpr_load);
EM_EX(vec_gpr_store);
EM_EX(vec_movq_load);
EM_EX(vec_movq_store);
EM_EX(mmx_load);
EM_EX(mmx_store);
EM_EX(mmx_gpr_load);
EM_EX(mmx_gpr_store);

/* exec_far.c */
EM_EX(far_imm);
EM_EX(far_rm);
EM_EX(retf);
EM_EX(int);
EM_EX(into);
EM_EX(int1);
EM_EX(iret);

/* exec_sys.c */
EM_EX(sldt);
EM_EX(lldt);
EM_EX(ltr);
EM_EX(verr);
EM_EX(lar);
EM_EX(sgdt);
EM_EX(lgdt);
EM_EX(smsw);
EM_EX(lmsw);
EM_EX(clts);
EM_EX(invlpg);
EM_EX(wbinvd);
EM_EX(mov_from_cr);
EM_EX(mov_to_cr);
EM_EX(mov_from_dr);
EM_EX(mov_to_dr);
EM_EX(rdmsr);
EM_EX(wrmsr);
EM_EX(cpuid);
EM_EX(rdtsc);
EM_EX(rdpmc);

#endif
