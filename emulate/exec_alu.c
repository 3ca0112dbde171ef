// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two-operand and one-operand integer arithmetic and logic, decimal adjustments, conditions.
 * It must not compute flags by hand where the processor can: the real instruction sets them.
 */
#include "exec.h"

/*
 * Perform the instruction itself on registers. BT loads CF from the guest's flags first, which
 * ADC, SBB, INC and DEC need and the others overwrite. The stack is used below RSP, so this
 * code must be built without a red zone.
 */
#define DO2(text)								\
	asm("bt $0, %[f]\n\t"							\
	    text "\n\t"								\
	    "pushfq\n\t"							\
	    "popq %[f]"								\
	    : [d] "+r" (a->dst), [f] "+r" (a->flags)				\
	    : [s] "r" (a->src) : "cc")

#define DO1(text)								\
	asm("bt $0, %[f]\n\t"							\
	    text "\n\t"								\
	    "pushfq\n\t"							\
	    "popq %[f]"								\
	    : [d] "+r" (a->dst), [f] "+r" (a->flags)				\
	    : : "cc")

#define ALU2_FN(name, b, w, l, q)						\
static void name(struct em_alu *a)						\
{										\
	switch (a->size) {							\
	case 1:									\
		DO2(b " %b[s], %b[d]");						\
		break;								\
	case 2:									\
		DO2(w " %w[s], %w[d]");						\
		break;								\
	case 4:									\
		DO2(l " %k[s], %k[d]");						\
		break;								\
	default:								\
		DO2(q " %q[s], %q[d]");						\
		break;								\
	}									\
}

#define ALU1_FN(name, b, w, l, q)						\
static void name(struct em_alu *a)						\
{										\
	switch (a->size) {							\
	case 1:									\
		DO1(b " %b[d]");						\
		break;								\
	case 2:									\
		DO1(w " %w[d]");						\
		break;								\
	case 4:									\
		DO1(l " %k[d]");						\
		break;								\
	default:								\
		DO1(q " %q[d]");						\
		break;								\
	}									\
}

ALU2_FN(alu_add, "addb", "addw", "addl", "addq")
ALU2_FN(alu_or, "orb", "orw", "orl", "orq")
ALU2_FN(alu_adc, "adcb", "adcw", "adcl", "adcq")
ALU2_FN(alu_sbb, "sbbb", "sbbw", "sbbl", "sbbq")
ALU2_FN(alu_and, "andb", "andw", "andl", "andq")
ALU2_FN(alu_sub, "subb", "subw", "subl", "subq")
ALU2_FN(alu_xor, "xorb", "xorw", "xorl", "xorq")
ALU2_FN(alu_cmp, "cmpb", "cmpw", "cmpl", "cmpq")
ALU2_FN(alu_test, "testb", "testw", "testl", "testq")
ALU1_FN(alu_inc, "incb", "incw", "incl", "incq")
ALU1_FN(alu_dec, "decb", "decw", "decl", "decq")
ALU1_FN(alu_neg, "negb", "negw", "negl", "negq")

/* NOT leaves the flags alone. */
static void alu_not(struct em_alu *a)
{
	a->dst = ~a->dst & em_mask(a->size);
}

static const em_alu_fn alu_fns[EM_ALU_COUNT] = {
	[EM_ALU_ADD] = alu_add,
	[EM_ALU_OR] = alu_or,
	[EM_ALU_ADC] = alu_adc,
	[EM_ALU_SBB] = alu_sbb,
	[EM_ALU_AND] = alu_and,
	[EM_ALU_SUB] = alu_sub,
	[EM_ALU_XOR] = alu_xor,
	[EM_ALU_CMP] = alu_cmp,
	[EM_ALU_TEST] = alu_test,
	[EM_ALU_INC] = alu_inc,
	[EM_ALU_DEC] = alu_dec,
	[EM_ALU_NEG] = alu_neg,
	[EM_ALU_NOT] = alu_not,
};

/* Perform @a->op (enum em_alu_op) on values only. */
void em_alu_do(struct em_alu *a)
{
	alu_fns[a->op](a);
}

/**
 * em_cond() - evaluate a condition as Jcc, SETcc and CMOVcc encode it
 * @flags: RFLAGS
 * @cc: low four bits of the opcode
 */
bool em_cond(u64 flags, unsigned int cc)
{
	bool less = !(flags & EM_SF) != !(flags & EM_OF);
	bool res;

	switch ((cc >> 1) & 7) {
	case 0:
		res = flags & EM_OF;
		break;
	case 1:
		res = flags & EM_CF;
		break;
	case 2:
		res = flags & EM_ZF;
		break;
	case 3:
		res = flags & (EM_CF | EM_ZF);
		break;
	case 4:
		res = flags & EM_SF;
		break;
	case 5:
		res = flags & EM_PF;
		break;
	case 6:
		res = less;
		break;
	default:
		res = less || (flags & EM_ZF);
		break;
	}
	return res != (cc & 1);
}

/* ADD to TEST; CMP and TEST write nothing, so their memory operand is only read. */
enum em_result em_ex_alu(struct em_ctx *ctx)
{
	u32 flags = ctx->d.flags;
	struct em_alu a = { .size = ctx->d.size, .op = ctx->d.op->arg };
	bool writes = a.op < EM_ALU_CMP;
	enum em_result r;

	r = em_src_read(ctx, OP_GET_SRC(flags), &a.src);
	if (r != EM_DONE)
		return r;
	if (writes && OP_GET_DST(flags) == OPD_E) {
		r = em_rmw(ctx, &a, alu_fns[a.op]);
		if (r != EM_DONE)
			return r;
	} else {
		r = em_src_read(ctx, OP_GET_DST(flags), &a.dst);
		if (r != EM_DONE)
			return r;
		a.flags = ctx->rflags;
		em_alu_do(&a);
		if (writes)
			em_dst_reg_write(ctx, OP_GET_DST(flags), a.dst);
	}
	em_set_arith(ctx, a.flags);
	return em_next(ctx);
}

/* INC, DEC, NEG, NOT */
enum em_result em_ex_unary(struct em_ctx *ctx)
{
	u32 flags = ctx->d.flags;
	struct em_alu a = { .size = ctx->d.size, .op = ctx->d.op->arg };
	enum em_result r;

	if (OP_GET_DST(flags) == OPD_E) {
		r = em_rmw(ctx, &a, alu_fns[a.op]);
		if (r != EM_DONE)
			return r;
	} else {
		em_src_read(ctx, OP_GET_DST(flags), &a.dst);
		a.flags = ctx->rflags;
		em_alu_do(&a);
		em_dst_reg_write(ctx, OP_GET_DST(flags), a.dst);
	}
	em_set_arith(ctx, a.flags);
	return em_next(ctx);
}

/* SF, ZF and PF of an 8-bit result; CF and AF as given; OF cleared. */
static void set_al(struct em_ctx *ctx, u8 al, u64 carries)
{
	struct em_alu a = { .size = 1, .dst = al, .src = al };

	alu_test(&a);
	em_gpr_merge(ctx, EM_RAX, 1, al);
	em_set_arith(ctx, (a.flags & (EM_SF | EM_ZF | EM_PF)) | carries);
}

/* DAA, and with argument 1 DAS */
enum em_result em_ex_bcd_adjust(struct em_ctx *ctx)
{
	bool sub = ctx->d.op->arg;
	u8 old = ctx->gpr[EM_RAX], al = old;
	u64 carries = 0;

	if ((old & 15) > 9 || (ctx->rflags & EM_AF)) {
		al += sub ? -6 : 6;
		carries |= EM_AF;
		if (sub && old < 6)
			carries |= EM_CF;
	}
	if (old > 0x99 || (ctx->rflags & EM_CF)) {
		al += sub ? -0x60 : 0x60;
		carries |= EM_CF;
	}
	set_al(ctx, al, carries);
	return em_next(ctx);
}

/* AAA, and with argument 1 AAS */
enum em_result em_ex_ascii_adjust(struct em_ctx *ctx)
{
	u16 ax = ctx->gpr[EM_RAX];
	u64 carries = 0;

	if ((ax & 15) > 9 || (ctx->rflags & EM_AF)) {
		ax = ctx->d.op->arg ? ax - 0x106 : ax + 0x106;
		carries = EM_AF | EM_CF;
	}
	ax &= 0xff0f;
	set_al(ctx, ax, carries);
	em_gpr_merge(ctx, EM_RAX, 2, ax);
	return em_next(ctx);
}

enum em_result em_ex_aam(struct em_ctx *ctx)
{
	u8 al = ctx->gpr[EM_RAX], base = ctx->d.imm;

	if (!base)
		return em_fault(ctx, EM_EXC_DE, 0);
	set_al(ctx, al % base, 0);
	em_gpr_merge(ctx, EM_RAX, 2, (al / base) << 8 | al % base);
	return em_next(ctx);
}

enum em_result em_ex_aad(struct em_ctx *ctx)
{
	u16 ax = ctx->gpr[EM_RAX];
	u8 al = ax + (ax >> 8) * (u8)ctx->d.imm;

	set_al(ctx, al, 0);
	em_gpr_merge(ctx, EM_RAX, 2, al);
	return em_next(ctx);
}

/* D6: AL becomes 0 or FF with CF; never documented, always there. */
enum em_result em_ex_salc(struct em_ctx *ctx)
{
	em_gpr_merge(ctx, EM_RAX, 1, ctx->rflags & EM_CF ? 0xff : 0);
	return em_next(ctx);
}
