// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shifts, rotates, multiplication and division.
 * It must not let a guest's operands raise #DE in the host.
 */
#include "exec.h"

/* As in exec_alu.c: the processor itself computes result and flags; the count is in CL. */
#define DO_SHIFT(text)								\
	asm("bt $0, %[f]\n\t"							\
	    text "\n\t"								\
	    "pushfq\n\t"							\
	    "popq %[f]"								\
	    : [d] "+r" (a->dst), [f] "+r" (a->flags)				\
	    : "c" (a->src) : "cc")

#define SHIFT_FN(name, b, w, l, q)						\
static void name(struct em_alu *a)						\
{										\
	switch (a->size) {							\
	case 1:									\
		DO_SHIFT(b " %%cl, %b[d]");					\
		break;								\
	case 2:									\
		DO_SHIFT(w " %%cl, %w[d]");					\
		break;								\
	case 4:									\
		DO_SHIFT(l " %%cl, %k[d]");					\
		break;								\
	default:								\
		DO_SHIFT(q " %%cl, %q[d]");					\
		break;								\
	}									\
}

SHIFT_FN(shift_rol, "rolb", "rolw", "roll", "rolq")
SHIFT_FN(shift_ror, "rorb", "rorw", "rorl", "rorq")
SHIFT_FN(shift_rcl, "rclb", "rclw", "rcll", "rclq")
SHIFT_FN(shift_rcr, "rcrb", "rcrw", "rcrl", "rcrq")
SHIFT_FN(shift_shl, "shlb", "shlw", "shll", "shlq")
SHIFT_FN(shift_shr, "shrb", "shrw", "shrl", "shrq")
SHIFT_FN(shift_sar, "sarb", "sarw", "sarl", "sarq")

static const em_alu_fn shift_fns[EM_SH_COUNT] = {
	[EM_SH_ROL] = shift_rol,
	[EM_SH_ROR] = shift_ror,
	[EM_SH_RCL] = shift_rcl,
	[EM_SH_RCR] = shift_rcr,
	[EM_SH_SHL] = shift_shl,
	[EM_SH_SHR] = shift_shr,
	[EM_SH_SAR] = shift_sar,
};

static unsigned int masked_count(const struct em_ctx *ctx, u64 count)
{
	return count & (ctx->d.size == 8 ? 63 : 31);
}

/* With a count of zero memory is still written, but no flag changes. */
static void shift_nothing(struct em_alu *a)
{
	(void)a;
}

enum em_result em_ex_shift(struct em_ctx *ctx)
{
	struct em_alu a = { .size = ctx->d.size, .op = ctx->d.op->arg };
	u64 affected = a.op <= EM_SH_RCR ? EM_CF | EM_OF : EM_ARITH;
	enum em_result r;

	em_src_read(ctx, OP_GET_SRC(ctx->d.flags), &a.src);
	a.src = masked_count(ctx, a.src);
	r = em_rmw(ctx, &a, a.src ? shift_fns[a.op] : shift_nothing);
	if (r != EM_DONE)
		return r;
	ctx->rflags = (ctx->rflags & ~affected) | (a.flags & affected);
	return em_next(ctx);
}

/* The count travels in the upper half of op, the direction in bit 0. */
#define DO_DOUBLE(text)								\
	asm(text "\n\t"								\
	    "pushfq\n\t"							\
	    "popq %[f]"								\
	    : [d] "+r" (a->dst), [f] "=r" (a->flags)				\
	    : [s] "r" (a->src), "c" (a->op >> 16) : "cc")

static void shift_left_double(struct em_alu *a)
{
	if (a->size == 2)
		DO_DOUBLE("shldw %%cl, %w[s], %w[d]");
	else if (a->size == 4)
		DO_DOUBLE("shldl %%cl, %k[s], %k[d]");
	else
		DO_DOUBLE("shldq %%cl, %q[s], %q[d]");
}

static void shift_right_double(struct em_alu *a)
{
	if (a->size == 2)
		DO_DOUBLE("shrdw %%cl, %w[s], %w[d]");
	else if (a->size == 4)
		DO_DOUBLE("shrdl %%cl, %k[s], %k[d]");
	else
		DO_DOUBLE("shrdq %%cl, %q[s], %q[d]");
}

/* SHLD, and with argument 1 SHRD */
enum em_result em_ex_shift_double(struct em_ctx *ctx)
{
	struct em_alu a = { .size = ctx->d.size };
	em_alu_fn fn = ctx->d.op->arg ? shift_right_double : shift_left_double;
	enum em_result r;
	u64 count;

	em_src_read(ctx, OP_GET_SRC(ctx->d.flags), &count);
	a.op = masked_count(ctx, count) << 16;
	a.src = em_reg_read(ctx, ctx->d.reg, a.size);
	r = em_rmw(ctx, &a, a.op ? fn : shift_nothing);
	if (r != EM_DONE)
		return r;
	em_set_arith(ctx, a.flags);
	return em_next(ctx);
}

/* 8-bit operations work on AX, wider ones on the pair rDX:rAX. */
static void put_pair(struct em_ctx *ctx, unsigned int size, u64 low, u64 high)
{
	if (size == 1) {
		em_gpr_merge(ctx, EM_RAX, 2, (low & 0xff) | (high & 0xff) << 8);
		return;
	}
	em_gpr_merge(ctx, EM_RAX, size, low);
	em_gpr_merge(ctx, EM_RDX, size, high);
}

#define DO_MUL(text)								\
	asm(text "\n\t"								\
	    "pushfq\n\t"							\
	    "popq %[f]"								\
	    : "+a" (*low), "+d" (*high), [f] "=&r" (flags)			\
	    : [s] "r" (src) : "cc")

static u64 mul_unsigned(unsigned int size, u64 *low, u64 *high, u64 src)
{
	u64 flags;

	if (size == 1) {
		DO_MUL("mulb %b[s]");
		*high = *low >> 8;
	} else if (size == 2) {
		DO_MUL("mulw %w[s]");
	} else if (size == 4) {
		DO_MUL("mull %k[s]");
	} else {
		DO_MUL("mulq %q[s]");
	}
	return flags;
}

static u64 mul_signed(unsigned int size, u64 *low, u64 *high, u64 src)
{
	u64 flags;

	if (size == 1) {
		DO_MUL("imulb %b[s]");
		*high = *low >> 8;
	} else if (size == 2) {
		DO_MUL("imulw %w[s]");
	} else if (size == 4) {
		DO_MUL("imull %k[s]");
	} else {
		DO_MUL("imulq %q[s]");
	}
	return flags;
}

/* One-operand MUL, and with argument 1 IMUL */
enum em_result em_ex_mul(struct em_ctx *ctx)
{
	unsigned int size = ctx->d.size;
	u64 low = ctx->gpr[EM_RAX], high = 0, src, flags;
	enum em_result r;

	r = em_rm_read(ctx, size, &src);
	if (r != EM_DONE)
		return r;
	if (ctx->d.op->arg)
		flags = mul_signed(size, &low, &high, src);
	else
		flags = mul_unsigned(size, &low, &high, src);
	put_pair(ctx, size, low, high);
	em_set_arith(ctx, flags);
	return em_next(ctx);
}

/* IMUL with two operands, and with argument 1 with three */
enum em_result em_ex_imul(struct em_ctx *ctx)
{
	unsigned int size = ctx->d.size;
	u64 src, low, high, flags;
	enum em_result r;

	r = em_rm_read(ctx, size, &src);
	if (r != EM_DONE)
		return r;
	low = ctx->d.op->arg ? ctx->d.imm : em_reg_read(ctx, ctx->d.reg, size);
	high = 0;
	flags = mul_signed(size, &low, &high, src);
	em_reg_write(ctx, ctx->d.reg, size, low);
	em_set_arith(ctx, flags);
	return em_next(ctx);
}

/* 128 by 64 bits; the caller has made sure that the quotient fits. */
static void div_128(u64 *low, u64 *high, u64 by)
{
	asm("divq %[by]" : "+a" (*low), "+d" (*high) : [by] "r" (by) : "cc");
}

/* The dividend as 128 bits: AX or rDX:rAX, zero-extended. */
static void get_dividend(struct em_ctx *ctx, unsigned int size, u64 *low, u64 *high)
{
	u64 rax = ctx->gpr[EM_RAX], rdx = ctx->gpr[EM_RDX];

	*high = 0;
	switch (size) {
	case 1:
		*low = (u16)rax;
		break;
	case 2:
		*low = (u16)rax | (u64)(u16)rdx << 16;
		break;
	case 4:
		*low = (u32)rax | rdx << 32;
		break;
	default:
		*low = rax;
		*high = rdx;
		break;
	}
}

/* Divide magnitudes; false when the quotient has more than @size bytes. */
static bool div_magnitude(unsigned int size, u64 *low, u64 *high, u64 by)
{
	if (*high >= by)
		return false;
	div_128(low, high, by);
	return *low <= em_mask(size);
}

static void negate_128(u64 *low, u64 *high)
{
	*low = -*low;
	*high = ~*high + !*low;
}

/* As the instruction does, but through magnitudes; false for #DE. */
static bool div_signed(unsigned int size, u64 *low, u64 *high, u64 by)
{
	bool neg_dividend, neg_by = em_sext(by, size) < 0;
	u64 limit;

	if (size < 8) {
		*low = em_sext(*low, 2 * size);
		*high = (s64)*low >> 63;
	}
	neg_dividend = (s64)*high < 0;
	if (neg_dividend)
		negate_128(low, high);
	by = em_sext(by, size);
	if (!div_magnitude(size, low, high, neg_by ? -by : by))
		return false;
	limit = em_sign_bit(size) - (neg_dividend == neg_by);
	if (*low > limit)
		return false;
	if (neg_dividend != neg_by)
		*low = -*low;
	if (neg_dividend)
		*high = -*high;
	return true;
}

/* DIV, and with argument 1 IDIV. All flags are undefined: leave them alone. */
enum em_result em_ex_div(struct em_ctx *ctx)
{
	unsigned int size = ctx->d.size;
	u64 low, high, by;
	enum em_result r;
	bool fits;

	r = em_rm_read(ctx, size, &by);
	if (r != EM_DONE)
		return r;
	get_dividend(ctx, size, &low, &high);
	if (!by)
		fits = false;
	else if (ctx->d.op->arg)
		fits = div_signed(size, &low, &high, by);
	else
		fits = div_magnitude(size, &low, &high, by);
	if (!fits)
		return em_fault(ctx, EM_EXC_DE, 0);
	put_pair(ctx, size, low, high);
	return em_next(ctx);
}
