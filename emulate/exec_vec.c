// SPDX-License-Identifier: GPL-2.0-only
/*
 * SSE, AVX and MMX moves between registers and memory.
 * It must not touch a vector register of the host: they are reached through the callbacks.
 */
#include "exec.h"

static enum em_result check_feature(struct em_ctx *ctx, u32 arg)
{
	u32 need = 0;

	if (ctx->d.vex)
		need = EM_FEAT_AVX | ((arg & EM_V_NT) && ctx->d.vex_l ? EM_FEAT_AVX2 : 0);
	else if (arg & EM_V_SSE)
		need = EM_FEAT_SSE;
	else if (arg & EM_V_SSE2)
		need = EM_FEAT_SSE2;
	else if (arg & EM_V_SSE3)
		need = EM_FEAT_SSE3;
	else if (arg & EM_V_SSE41)
		need = EM_FEAT_SSE41;
	return (ctx->features & need) == need ? EM_DONE : em_ud(ctx);
}

/* CR0.EM, CR4.OSFXSR, CR0.TS; for VEX CR4.OSXSAVE and XCR0 instead of the first two. */
static enum em_result check_vec(struct em_ctx *ctx)
{
	u64 cr0, cr4, xcr0 = 6;
	enum em_result r;

	r = check_feature(ctx, ctx->d.op->arg);
	if (r == EM_DONE)
		r = em_cr0(ctx, &cr0);
	if (r == EM_DONE)
		r = em_cb_result(ctx->ops->get_cr(ctx, 4, &cr4));
	if (r == EM_DONE && ctx->d.vex && (cr4 & EM_CR4_OSXSAVE))
		r = em_cb_result(ctx->ops->get_cr(ctx, EM_CR_XCR0, &xcr0));
	if (r != EM_DONE)
		return r;
	if (ctx->d.vex ? !(cr4 & EM_CR4_OSXSAVE) || (xcr0 & 6) != 6 :
			 (cr0 & EM_CR0_EM) || !(cr4 & EM_CR4_OSFXSR))
		return em_ud(ctx);
	if (cr0 & EM_CR0_TS)
		return em_fault(ctx, EM_EXC_NM, 0);
	return EM_DONE;
}

static enum em_result check_mmx(struct em_ctx *ctx)
{
	enum em_result r;
	u64 cr0;

	r = em_cr0(ctx, &cr0);
	if (r != EM_DONE)
		return r;
	if ((cr0 & EM_CR0_EM) || !(ctx->features & EM_FEAT_MMX))
		return em_ud(ctx);
	if (cr0 & EM_CR0_TS)
		return em_fault(ctx, EM_EXC_NM, 0);
	return ctx->ops->read_mmx && ctx->ops->write_mmx ? EM_DONE : EM_UNHANDLED;
}

static enum em_result get_reg(struct em_ctx *ctx, unsigned int reg, u64 *v)
{
	enum em_result r = em_cb_result(ctx->ops->fpu_get(ctx));

	if (r != EM_DONE)
		return r;
	ctx->ops->read_vec(ctx, reg, v, 32);
	ctx->ops->fpu_put(ctx);
	return EM_DONE;
}

/* Legacy SSE keeps the bits above 127, VEX clears those above what it writes. */
static enum em_result put_reg(struct em_ctx *ctx, unsigned int reg, u64 *v, unsigned int bytes)
{
	enum em_result r = em_cb_result(ctx->ops->fpu_get(ctx));

	if (r != EM_DONE)
		return r;
	if (ctx->d.vex && bytes < 32)
		memset((u8 *)v + bytes, 0, 32 - bytes);
	ctx->ops->write_vec(ctx, reg, v, ctx->d.vex ? 32 : 16);
	ctx->ops->fpu_put(ctx);
	return EM_DONE;
}

static unsigned int width(const struct em_ctx *ctx)
{
	if (!(ctx->d.op->arg & EM_V_FULL))
		return ctx->d.op->arg & 0xff;
	return ctx->d.vex && ctx->d.vex_l ? 32 : 16;
}

static enum em_result vec_linear(struct em_ctx *ctx, unsigned int n, unsigned int acc, u64 *la)
{
	enum em_result r;

	*la = 0;
	r = em_linear(ctx, ctx->d.seg, ctx->d.ea, n, acc, la);
	/* Where alignment is required, #GP(0) comes before #AC. */
	if ((ctx->d.op->arg & EM_V_ALIGN) && (*la & (n - 1)))
		r = em_gp0(ctx);
	return r;
}

/*
 * Register to register: MOVSS and MOVSD merge their element into the destination, or with VEX
 * into the second source; the full moves copy.
 */
static enum em_result reg_move(struct em_ctx *ctx, unsigned int dst, unsigned int src)
{
	unsigned int n = width(ctx), bytes = n;
	u64 from[4], to[4];
	enum em_result r;

	r = get_reg(ctx, src, from);
	if (r == EM_DONE && n < 16) {
		bytes = 16;
		r = get_reg(ctx, ctx->d.vex ? ctx->d.vex_v : dst, to);
	}
	if (r != EM_DONE)
		return r;
	memcpy(to, from, n);
	r = put_reg(ctx, dst, to, bytes);
	return r == EM_DONE ? em_next(ctx) : r;
}

enum em_result em_ex_vec_load(struct em_ctx *ctx)
{
	unsigned int n = width(ctx);
	u64 v[4] = { 0 }, la;
	enum em_result r;

	r = check_vec(ctx);
	if (r != EM_DONE)
		return r;
	if (ctx->d.mod == 3)
		return reg_move(ctx, ctx->d.reg, ctx->d.rm);
	r = vec_linear(ctx, n, 0, &la);
	if (r == EM_DONE)
		r = em_la_read(ctx, la, v, n, 0);
	if (r == EM_DONE)
		r = put_reg(ctx, ctx->d.reg, v, n < 16 ? 16 : n);
	return r == EM_DONE ? em_next(ctx) : r;
}

enum em_result em_ex_vec_store(struct em_ctx *ctx)
{
	unsigned int n = width(ctx);
	enum em_result r;
	u64 v[4], la;

	r = check_vec(ctx);
	if (r != EM_DONE)
		return r;
	if (ctx->d.mod == 3)
		return reg_move(ctx, ctx->d.rm, ctx->d.reg);
	r = vec_linear(ctx, n, EM_ACC_WRITE, &la);
	if (r == EM_DONE)
		r = get_reg(ctx, ctx->d.reg, v);
	if (r == EM_DONE)
		r = em_la_write(ctx, la, v, n, 0);
	return r == EM_DONE ? em_next(ctx) : r;
}

/*
 * MOVLPS, MOVHPS, MOVLPD, MOVHPD from memory; the register forms of the first two take the
 * other half of the source: MOVHLPS, MOVLHPS.
 */
enum em_result em_ex_vec_half_load(struct em_ctx *ctx)
{
	bool high = ctx->d.op->arg & EM_V_HIGH;
	u64 v[4], src[4];
	enum em_result r;

	r = check_vec(ctx);
	if (r != EM_DONE)
		return r;
	if (ctx->d.mod == 3) {
		r = get_reg(ctx, ctx->d.rm, src);
		src[0] = high ? src[0] : src[1];
	} else {
		r = em_mem_read(ctx, ctx->d.seg, ctx->d.ea, src, 8, 0);
	}
	if (r == EM_DONE)
		r = get_reg(ctx, ctx->d.vex ? ctx->d.vex_v : ctx->d.reg, v);
	if (r != EM_DONE)
		return r;
	v[high] = src[0];
	r = put_reg(ctx, ctx->d.reg, v, 16);
	return r == EM_DONE ? em_next(ctx) : r;
}

enum em_result em_ex_vec_half_store(struct em_ctx *ctx)
{
	bool high = ctx->d.op->arg & EM_V_HIGH;
	enum em_result r;
	u64 v[4];

	r = check_vec(ctx);
	if (r == EM_DONE)
		r = get_reg(ctx, ctx->d.reg, v);
	if (r == EM_DONE)
		r = em_mem_write(ctx, ctx->d.seg, ctx->d.ea, &v[high], 8, 0);
	return r == EM_DONE ? em_next(ctx) : r;
}

/* MOVD and MOVQ between general and vector registers; REX.W or VEX.W selects 64 bits. */
static unsigned int gpr_size(const struct em_ctx *ctx)
{
	return em_is64(ctx) && (ctx->d.rex & 8) ? 8 : 4;
}

enum em_result em_ex_vec_gpr_load(struct em_ctx *ctx)
{
	u64 v[4] = { 0 };
	enum em_result r;

	r = check_vec(ctx);
	if (r == EM_DONE)
		r = em_rm_read(ctx, gpr_size(ctx), &v[0]);
	if (r == EM_DONE)
		r = put_reg(ctx, ctx->d.reg, v, 16);
	return r == EM_DONE ? em_next(ctx) : r;
}

enum em_result em_ex_vec_gpr_store(struct em_ctx *ctx)
{
	enum em_result r;
	u64 v[4];

	r = check_vec(ctx);
	if (r == EM_DONE)
		r = get_reg(ctx, ctx->d.reg, v);
	if (r == EM_DONE)
		r = em_rm_write(ctx, gpr_size(ctx), v[0]);
	return r == EM_DONE ? em_next(ctx) : r;
}

/* F3 0F 7E: a quadword, zero-extended to the whole register. */
enum em_result em_ex_vec_movq_load(struct em_ctx *ctx)
{
	u64 v[4] = { 0 };
	enum em_result r;

	r = check_vec(ctx);
	if (r != EM_DONE)
		return r;
	if (ctx->d.mod == 3)
		r = get_reg(ctx, ctx->d.rm, v);
	else
		r = em_mem_read(ctx, ctx->d.seg, ctx->d.ea, v, 8, 0);
	if (r != EM_DONE)
		return r;
	v[1] = 0;
	r = put_reg(ctx, ctx->d.reg, v, 16);
	return r == EM_DONE ? em_next(ctx) : r;
}

/* 66 0F D6 */
enum em_result em_ex_vec_movq_store(struct em_ctx *ctx)
{
	enum em_result r;
	u64 v[4];

	r = check_vec(ctx);
	if (r == EM_DONE)
		r = get_reg(ctx, ctx->d.reg, v);
	if (r != EM_DONE)
		return r;
	if (ctx->d.mod == 3) {
		v[1] = 0;
		r = put_reg(ctx, ctx->d.rm, v, 16);
	} else {
		r = em_mem_write(ctx, ctx->d.seg, ctx->d.ea, v, 8, 0);
	}
	return r == EM_DONE ? em_next(ctx) : r;
}

static enum em_result get_mmx(struct em_ctx *ctx, unsigned int reg, u64 *val)
{
	enum em_result r = em_cb_result(ctx->ops->fpu_get(ctx));

	if (r != EM_DONE)
		return r;
	ctx->ops->read_mmx(ctx, reg & 7, val);
	ctx->ops->fpu_put(ctx);
	return EM_DONE;
}

static enum em_result put_mmx(struct em_ctx *ctx, unsigned int reg, u64 val)
{
	enum em_result r = em_cb_result(ctx->ops->fpu_get(ctx));

	if (r != EM_DONE)
		return r;
	ctx->ops->write_mmx(ctx, reg & 7, val);
	ctx->ops->fpu_put(ctx);
	return EM_DONE;
}

enum em_result em_ex_mmx_load(struct em_ctx *ctx)
{
	enum em_result r;
	u64 val;

	r = check_mmx(ctx);
	if (r != EM_DONE)
		return r;
	if (ctx->d.mod == 3)
		r = get_mmx(ctx, ctx->d.rm, &val);
	else
		r = em_mem_read(ctx, ctx->d.seg, ctx->d.ea, &val, 8, 0);
	if (r == EM_DONE)
		r = put_mmx(ctx, ctx->d.reg, val);
	return r == EM_DONE ? em_next(ctx) : r;
}

/*
 * A store changes the x87 state as every MMX instruction does: write the register back with
 * its own value for that.
 */
enum em_result em_ex_mmx_store(struct em_ctx *ctx)
{
	enum em_result r;
	u64 val;

	r = check_mmx(ctx);
	if (r == EM_DONE)
		r = get_mmx(ctx, ctx->d.reg, &val);
	if (r != EM_DONE)
		return r;
	if (ctx->d.mod == 3)
		r = put_mmx(ctx, ctx->d.rm, val);
	else
		r = em_mem_write(ctx, ctx->d.seg, ctx->d.ea, &val, 8, 0);
	if (r == EM_DONE && ctx->d.mod != 3)
		r = put_mmx(ctx, ctx->d.reg, val);
	return r == EM_DONE ? em_next(ctx) : r;
}

enum em_result em_ex_mmx_gpr_load(struct em_ctx *ctx)
{
	enum em_result r;
	u64 val;

	r = check_mmx(ctx);
	if (r == EM_DONE)
		r = em_rm_read(ctx, gpr_size(ctx), &val);
	if (r == EM_DONE)
		r = put_mmx(ctx, ctx->d.reg, val);
	return r == EM_DONE ? em_next(ctx) : r;
}

enum em_result em_ex_mmx_gpr_store(struct em_ctx *ctx)
{
	enum em_result r;
	u64 val;

	r = check_mmx(ctx);
	if (r == EM_DONE)
		r = get_mmx(ctx, ctx->d.reg, &val);
	if (r == EM_DONE)
		r = em_rm_write(ctx, gpr_size(ctx), val);
	if (r == EM_DONE)
		r = put_mmx(ctx, ctx->d.reg, val);
	return r == EM_DONE ? em_next(ctx) : r;
}
