// SPDX-License-Identifier: GPL-2.0-only
/*
 * The string instructions on memory, alone and repeated.
 * It must not commit an iteration before all of its memory accesses are complete.
 */
#include "exec.h"

typedef enum em_result (*string_fn)(struct em_ctx *ctx);

static void advance(struct em_ctx *ctx, unsigned int reg)
{
	unsigned int size = ctx->d.size;
	u64 step = ctx->rflags & EM_DF ? -(u64)size : size;

	em_gpr_merge(ctx, reg, ctx->d.adsize, ctx->gpr[reg] + step);
}

static u64 address(const struct em_ctx *ctx, unsigned int reg)
{
	return ctx->gpr[reg] & em_mask(ctx->d.adsize);
}

static enum em_seg source_segment(const struct em_ctx *ctx)
{
	u8 seg = ctx->d.seg_override;

	return seg == EM_SEG_COUNT ? EM_SEG_DS : seg;
}

/* In 64-bit mode ES is flat like the others, and nothing overrides it in any mode. */
static enum em_result read_di(struct em_ctx *ctx, u64 *val)
{
	*val = 0;
	return em_mem_read(ctx, EM_SEG_ES, address(ctx, EM_RDI), val, ctx->d.size,
			   EM_ACC_STRING);
}

static enum em_result read_si(struct em_ctx *ctx, u64 *val)
{
	*val = 0;
	return em_mem_read(ctx, source_segment(ctx), address(ctx, EM_RSI), val, ctx->d.size,
			   EM_ACC_STRING);
}

static enum em_result write_di(struct em_ctx *ctx, u64 val)
{
	return em_mem_write(ctx, EM_SEG_ES, address(ctx, EM_RDI), &val, ctx->d.size,
			    EM_ACC_STRING);
}

/* REPE and REPNE look at ZF after CMPS and SCAS; after the others both just mean REP. */
static bool keeps_going(const struct em_ctx *ctx, bool compares)
{
	if (!compares)
		return true;
	return !!(ctx->rflags & EM_ZF) == (ctx->d.rep == 0xf3);
}

/*
 * "Repeat String Operation Prefix": the count is tested before, ZF after each iteration. With
 * single-stepping every iteration ends in a trap.
 */
static enum em_result repeat(struct em_ctx *ctx, string_fn one, bool compares)
{
	unsigned int budget = ctx->rflags & EM_TF ? 1 : EM_REP_MAX;
	enum em_result r;

	if (!ctx->d.rep) {
		r = one(ctx);
		return r == EM_DONE ? em_next(ctx) : r;
	}
	while (address(ctx, EM_RCX)) {
		if (!budget--)
			return EM_RESTART;
		r = one(ctx);
		if (r != EM_DONE)
			return r;
		em_gpr_merge(ctx, EM_RCX, ctx->d.adsize, ctx->gpr[EM_RCX] - 1);
		if (!keeps_going(ctx, compares))
			break;
		if (ctx->ops->iter_done)
			ctx->ops->iter_done(ctx);
	}
	return em_next(ctx);
}

static enum em_result movs_one(struct em_ctx *ctx)
{
	enum em_result r;
	u64 val;

	r = read_si(ctx, &val);
	if (r == EM_DONE)
		r = write_di(ctx, val);
	if (r != EM_DONE)
		return r;
	advance(ctx, EM_RSI);
	advance(ctx, EM_RDI);
	return EM_DONE;
}

static void compare(struct em_ctx *ctx, u64 left, u64 right)
{
	struct em_alu a = {
		.dst = left,
		.src = right,
		.flags = ctx->rflags,
		.size = ctx->d.size,
		.op = EM_ALU_CMP,
	};

	em_alu_do(&a);
	em_set_arith(ctx, a.flags);
}

static enum em_result cmps_one(struct em_ctx *ctx)
{
	enum em_result r;
	u64 left, right;

	r = read_si(ctx, &left);
	if (r == EM_DONE)
		r = read_di(ctx, &right);
	if (r != EM_DONE)
		return r;
	compare(ctx, left, right);
	advance(ctx, EM_RSI);
	advance(ctx, EM_RDI);
	return EM_DONE;
}

static enum em_result stos_one(struct em_ctx *ctx)
{
	enum em_result r = write_di(ctx, ctx->gpr[EM_RAX]);

	if (r == EM_DONE)
		advance(ctx, EM_RDI);
	return r;
}

static enum em_result lods_one(struct em_ctx *ctx)
{
	enum em_result r;
	u64 val;

	r = read_si(ctx, &val);
	if (r != EM_DONE)
		return r;
	em_gpr_merge(ctx, EM_RAX, ctx->d.size, val);
	advance(ctx, EM_RSI);
	return EM_DONE;
}

static enum em_result scas_one(struct em_ctx *ctx)
{
	enum em_result r;
	u64 val;

	r = read_di(ctx, &val);
	if (r != EM_DONE)
		return r;
	compare(ctx, ctx->gpr[EM_RAX] & em_mask(ctx->d.size), val);
	advance(ctx, EM_RDI);
	return EM_DONE;
}

enum em_result em_ex_movs(struct em_ctx *ctx)
{
	return repeat(ctx, movs_one, false);
}

enum em_result em_ex_cmps(struct em_ctx *ctx)
{
	return repeat(ctx, cmps_one, true);
}

enum em_result em_ex_stos(struct em_ctx *ctx)
{
	return repeat(ctx, stos_one, false);
}

enum em_result em_ex_lods(struct em_ctx *ctx)
{
	return repeat(ctx, lods_one, false);
}

enum em_result em_ex_scas(struct em_ctx *ctx)
{
	return repeat(ctx, scas_one, true);
}
