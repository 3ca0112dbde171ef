// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operands: segment and canonical checks, linear addresses, memory and register access.
 * It must not know single instructions.
 */
#include "internal.h"

static_assert((int)EM_DONE == (int)EM_CB_OK && (int)EM_EXCEPTION == (int)EM_CB_FAULT &&
	      (int)EM_IO_PENDING == (int)EM_CB_PENDING && (int)EM_FAILED == (int)EM_CB_FAIL,
	      "em_result_values_match");

enum em_cb em_raise(struct em_ctx *ctx, u8 vector, bool has_error, u32 error_code)
{
	ctx->ex.vector = vector;
	ctx->ex.has_error = has_error;
	ctx->ex.soft = false;
	ctx->ex.error_code = has_error ? error_code : 0;
	ctx->ex.address = 0;
	return EM_CB_FAULT;
}

enum em_cb em_raise_pf(struct em_ctx *ctx, u32 error_code, u64 address)
{
	em_raise(ctx, EM_EXC_PF, true, error_code);
	ctx->ex.address = address;
	return EM_CB_FAULT;
}

/* Raise an exception with the error code its vector has; there are none in real mode. */
enum em_result em_fault(struct em_ctx *ctx, u8 vector, u32 error_code)
{
	bool has_error = (vector >= EM_EXC_TS && vector <= EM_EXC_PF) || vector == EM_EXC_AC;

	em_raise(ctx, vector, has_error && ctx->mode != EM_MODE_REAL, error_code);
	return EM_EXCEPTION;
}

enum em_result em_ud(struct em_ctx *ctx)
{
	return em_fault(ctx, EM_EXC_UD, 0);
}

/* Segment registers are asked for once per instruction. */
enum em_result em_segment(struct em_ctx *ctx, enum em_seg seg, const struct em_segment **s)
{
	enum em_result r;

	*s = &ctx->seg[seg];
	if (ctx->seg_valid & (1u << seg))
		return EM_DONE;
	r = em_cb_result(ctx->ops->get_segment(ctx, seg, &ctx->seg[seg]));
	if (r == EM_DONE)
		ctx->seg_valid |= 1u << seg;
	return r;
}

enum em_result em_cr0(struct em_ctx *ctx, u64 *val)
{
	enum em_result r = EM_DONE;

	if (!ctx->cr0_valid) {
		r = em_cb_result(ctx->ops->get_cr(ctx, 0, &ctx->cr0));
		ctx->cr0_valid = r == EM_DONE;
	}
	*val = ctx->cr0;
	return r;
}

/* Most addresses are canonical with 48 bits; ask for CR4.LA57 only about the others. */
bool em_canonical(struct em_ctx *ctx, u64 la)
{
	u64 cr4;

	if (likely((u64)((s64)(la << 16) >> 16) == la))
		return true;
	if ((u64)((s64)(la << 7) >> 7) != la)
		return false;
	if (ctx->ops->get_cr(ctx, 4, &cr4) != EM_CB_OK)
		return false;
	return cr4 & EM_CR4_LA57;
}

/* "Limit Checking": whether @n bytes at @off lie outside the segment. */
static bool beyond_limit(const struct em_segment *s, bool real_like, u32 off, unsigned int n)
{
	u32 last = off + n - 1;
	u32 top;

	if (!real_like && (s->ar & (EM_AR_CODE | EM_AR_EXPAND_DOWN)) == EM_AR_EXPAND_DOWN) {
		top = s->ar & EM_AR_DB ? ~0u : 0xffff;
		return off <= s->limit || last > top || last < off;
	}
	/* A segment of 4 GiB has no last byte: offsets wrap. */
	if (s->limit == ~0u)
		return false;
	return off > s->limit || last > s->limit || last < off;
}

/* "Type Checking": whether the segment forbids this kind of access. */
static bool wrong_type(const struct em_segment *s, unsigned int acc)
{
	if (s->ar & EM_AR_UNUSABLE)
		return true;
	if (acc & (EM_ACC_WRITE | EM_ACC_RMW))
		return (s->ar & (EM_AR_CODE | EM_AR_WRITABLE)) != EM_AR_WRITABLE;
	return (s->ar & (EM_AR_CODE | EM_AR_WRITABLE)) == EM_AR_CODE;
}

static enum em_result linear_legacy(struct em_ctx *ctx, enum em_seg seg, u64 off,
				    unsigned int n, unsigned int acc, u64 *la)
{
	bool real_like = em_is_real_like(ctx);
	const struct em_segment *s;
	enum em_result r;

	r = em_segment(ctx, seg, &s);
	if (r != EM_DONE)
		return r;
	if ((!real_like && wrong_type(s, acc)) || beyond_limit(s, real_like, off, n))
		return em_fault(ctx, seg == EM_SEG_SS ? EM_EXC_SS : EM_EXC_GP, 0);
	*la = (u32)(s->base + off);
	return EM_DONE;
}

/* Alignment is checked by the operand's natural size; odd sizes are made of words. */
static enum em_result check_alignment(struct em_ctx *ctx, u64 la, unsigned int n)
{
	unsigned int align = n & (n - 1) ? n & -n : n;
	enum em_result r;
	u64 cr0;

	if (align > 8)
		align = 8;
	if (!(la & (align - 1)))
		return EM_DONE;
	r = em_cr0(ctx, &cr0);
	if (r != EM_DONE || !(cr0 & EM_CR0_AM))
		return r;
	return em_fault(ctx, EM_EXC_AC, 0);
}

/**
 * em_linear() - turn segment and offset into a linear address that may be accessed
 * @ctx: context
 * @seg: segment register
 * @off: offset, already truncated to the address size
 * @n: bytes to access
 * @acc: EM_ACC_*
 * @la: the result
 *
 * Return: EM_DONE, or EM_EXCEPTION with #GP, #SS or #AC.
 */
enum em_result em_linear(struct em_ctx *ctx, enum em_seg seg, u64 off, unsigned int n,
			 unsigned int acc, u64 *la)
{
	const struct em_segment *s;
	enum em_result r;

	if (em_is64(ctx)) {
		if (seg >= EM_SEG_FS) {
			r = em_segment(ctx, seg, &s);
			if (r != EM_DONE)
				return r;
			off += s->base;
		}
		if (!em_canonical(ctx, off) || !em_canonical(ctx, off + n - 1))
			return em_fault(ctx, seg == EM_SEG_SS ? EM_EXC_SS : EM_EXC_GP, 0);
		*la = off;
	} else {
		r = linear_legacy(ctx, seg, off, n, acc, la);
		if (r != EM_DONE)
			return r;
	}
	if (unlikely((ctx->rflags & EM_AC) && ctx->cpl == 3))
		return check_alignment(ctx, *la, n);
	return EM_DONE;
}

/*
 * How many of @n bytes lie below the end of the linear address space, so that callbacks never
 * see a range that wraps. In compatibility mode the system tables may be above 4 GiB.
 */
static __always_inline unsigned int before_wrap(const struct em_ctx *ctx, u64 la, unsigned int n)
{
	u64 end = la + n;

	if (likely(em_is64(ctx) || la >> 32))
		return likely(end >= la) ? n : n - (unsigned int)end;
	return likely(end <= 1ull << 32) ? n : n - (unsigned int)end;
}

enum em_result em_la_read(struct em_ctx *ctx, u64 la, void *buf, unsigned int n,
			  unsigned int acc)
{
	unsigned int first = before_wrap(ctx, la, n);
	enum em_result r;

	r = em_cb_result(ctx->ops->read(ctx, la, buf, first, acc));
	if (r == EM_DONE && first != n)
		r = em_cb_result(ctx->ops->read(ctx, 0, (u8 *)buf + first, n - first, acc));
	return r;
}

enum em_result em_la_write(struct em_ctx *ctx, u64 la, const void *buf, unsigned int n,
			   unsigned int acc)
{
	unsigned int first = before_wrap(ctx, la, n);
	enum em_result r;

	acc |= EM_ACC_WRITE;
	r = em_cb_result(ctx->ops->write(ctx, la, buf, first, acc));
	if (r == EM_DONE && first != n)
		r = em_cb_result(ctx->ops->write(ctx, 0, (const u8 *)buf + first, n - first, acc));
	return r;
}

enum em_result em_mem_read(struct em_ctx *ctx, enum em_seg seg, u64 off, void *buf,
			   unsigned int n, unsigned int acc)
{
	enum em_result r;
	u64 la;

	if (em_offset_is_linear(ctx, seg, off, n))
		return em_cb_result(ctx->ops->read(ctx, off, buf, n, acc));
	r = em_linear(ctx, seg, off, n, acc, &la);
	return r == EM_DONE ? em_la_read(ctx, la, buf, n, acc) : r;
}

enum em_result em_mem_write(struct em_ctx *ctx, enum em_seg seg, u64 off, const void *buf,
			    unsigned int n, unsigned int acc)
{
	enum em_result r;
	u64 la;

	acc |= EM_ACC_WRITE;
	if (em_offset_is_linear(ctx, seg, off, n))
		return em_cb_result(ctx->ops->write(ctx, off, buf, n, acc));
	r = em_linear(ctx, seg, off, n, acc, &la);
	return r == EM_DONE ? em_la_write(ctx, la, buf, n, acc) : r;
}

/* ModRM.rm as a source of @size bytes, zero-extended. */
enum em_result em_rm_read(struct em_ctx *ctx, unsigned int size, u64 *val)
{
	if (ctx->d.mod == 3) {
		*val = em_reg_read(ctx, ctx->d.rm, size);
		return EM_DONE;
	}
	*val = 0;
	return em_mem_read(ctx, ctx->d.seg, ctx->d.ea, val, size, 0);
}

enum em_result em_rm_write(struct em_ctx *ctx, unsigned int size, u64 val)
{
	if (ctx->d.mod == 3) {
		em_reg_write(ctx, ctx->d.rm, size, val);
		return EM_DONE;
	}
	return em_mem_write(ctx, ctx->d.seg, ctx->d.ea, &val, size, 0);
}

static unsigned int operand_reg(const struct em_ctx *ctx, unsigned int kind)
{
	switch (kind) {
	case OPD_G:
		return ctx->d.reg;
	case OPD_Z:
		return (ctx->d.opcode & 7) | (ctx->d.rex & 1) << 3;
	case OPD_CL:
		return EM_RCX;
	case OPD_E:
		return ctx->d.rm;
	default:
		return EM_RAX;
	}
}

/* Any operand kind as a source of the instruction's operand size, zero-extended. */
enum em_result em_src_read(struct em_ctx *ctx, unsigned int kind, u64 *val)
{
	switch (kind) {
	case OPD_E:
		return em_rm_read(ctx, ctx->d.size, val);
	case OPD_IMM:
		*val = ctx->d.imm & em_mask(ctx->d.size);
		return EM_DONE;
	case OPD_ONE:
		*val = 1;
		return EM_DONE;
	case OPD_CL:
		*val = ctx->gpr[EM_RCX] & 0xff;
		return EM_DONE;
	default:
		*val = em_reg_read(ctx, operand_reg(ctx, kind), ctx->d.size);
		return EM_DONE;
	}
}

void em_dst_reg_write(struct em_ctx *ctx, unsigned int kind, u64 val)
{
	em_reg_write(ctx, operand_reg(ctx, kind), ctx->d.size, val);
}

/* A LOCKed read-modify-write: try until nobody was faster. */
static enum em_result rmw_locked(struct em_ctx *ctx, u64 la, struct em_alu *a, em_alu_fn fn)
{
	u64 old = a->dst, flags = a->flags, found;
	enum em_result r;
	int i;

	for (i = 0; i < EM_LOCK_MAX; i++) {
		a->dst = old;
		a->flags = flags;
		fn(a);
		found = old;
		r = em_cb_result(ctx->ops->cmpxchg(ctx, la, &found, &a->dst, a->size));
		if (r != EM_DONE || found == old)
			return r;
		old = found;
	}
	return EM_RESTART;
}

/**
 * em_rmw() - read ModRM.rm, change it, write it back
 * @ctx: context
 * @a: src, size, op and whatever @fn needs; on return @a->dst is the new value
 * @fn: the change; called again with the old value when a LOCKed exchange fails
 *
 * Does not commit flags or RIP.
 */
enum em_result em_rmw(struct em_ctx *ctx, struct em_alu *a, em_alu_fn fn)
{
	unsigned int acc = EM_ACC_RMW | (ctx->d.lock ? EM_ACC_LOCK : 0);
	enum em_result r;
	u64 la;

	a->flags = ctx->rflags;
	if (ctx->d.mod == 3) {
		a->dst = em_reg_read(ctx, ctx->d.rm, a->size);
		fn(a);
		em_reg_write(ctx, ctx->d.rm, a->size, a->dst);
		return EM_DONE;
	}
	la = ctx->d.ea;
	if (!em_offset_is_linear(ctx, ctx->d.seg, la, a->size)) {
		r = em_linear(ctx, ctx->d.seg, la, a->size, acc, &la);
		if (r != EM_DONE)
			return r;
	}
	a->dst = 0;
	r = em_la_read(ctx, la, &a->dst, a->size, acc);
	if (r != EM_DONE)
		return r;
	if (ctx->d.lock && before_wrap(ctx, la, a->size) == a->size)
		return rmw_locked(ctx, la, a, fn);
	fn(a);
	return em_la_write(ctx, la, &a->dst, a->size, acc);
}
