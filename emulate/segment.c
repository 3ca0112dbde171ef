// SPDX-License-Identifier: GPL-2.0-only
/*
 * Segment descriptors and the loading of segment registers with all of its checks.
 * It must not change a segment register before every check has passed.
 */
#include "internal.h"

/* The hidden part that a descriptor describes; "Segment Descriptors". */
void em_desc_to_segment(const struct em_desc *d, u16 selector, struct em_segment *s)
{
	u64 raw = d->raw;

	s->selector = selector;
	s->base = ((raw >> 16) & 0xffffff) | (raw >> 56) << 24 | d->high << 32;
	s->limit = (raw & 0xffff) | ((raw >> 32) & 0xf0000);
	s->ar = (raw >> 40) & 0xf0ff;
	if (s->ar & EM_AR_G)
		s->limit = s->limit << 12 | 0xfff;
}

static enum em_result table(struct em_ctx *ctx, u16 selector, u64 *base, u32 *limit)
{
	const struct em_segment *ldt;
	enum em_result r;

	if (!(selector & 4))
		return em_cb_result(ctx->ops->get_gdt(ctx, base, limit));
	r = em_segment(ctx, EM_SEG_LDTR, &ldt);
	if (r != EM_DONE)
		return r;
	*base = ldt->base;
	*limit = ldt->ar & EM_AR_UNUSABLE ? 0 : ldt->limit;
	return EM_DONE;
}

/**
 * em_desc_read() - read the descriptor that a selector names
 * @ctx: context
 * @selector: selector, not null
 * @vector: exception when it lies outside its table, with the selector as error code
 * @d: the result
 */
enum em_result em_desc_read(struct em_ctx *ctx, u16 selector, u8 vector, struct em_desc *d)
{
	enum em_result r;
	u64 base;
	u32 limit;

	r = table(ctx, selector, &base, &limit);
	if (r != EM_DONE)
		return r;
	if ((selector | 7u) > limit)
		return em_fault(ctx, vector, selector & 0xfffc);
	d->la = base + (selector & 0xfff8);
	if (!(base >> 32) && !em_is64(ctx))
		d->la = (u32)d->la;
	d->high = 0;
	return em_la_read(ctx, d->la, &d->raw, 8, EM_ACC_SYSTEM);
}

/* The second half of a system descriptor in long mode; the type field there must be 0. */
enum em_result em_desc_read_high(struct em_ctx *ctx, u16 selector, struct em_desc *d)
{
	enum em_result r;
	u64 base, high;
	u32 limit;

	r = table(ctx, selector, &base, &limit);
	if (r != EM_DONE)
		return r;
	if ((selector | 7u) + 8 > limit)
		return em_fault(ctx, EM_EXC_GP, selector & 0xfffc);
	r = em_la_read(ctx, d->la + 8, &high, 8, EM_ACC_SYSTEM);
	if (r != EM_DONE)
		return r;
	if ((high >> 40) & 0x1f)
		return em_fault(ctx, EM_EXC_GP, selector & 0xfffc);
	d->high = (u32)high;
	return EM_DONE;
}

/* Set bits of the access byte (accessed, busy) in memory, unless they are set already. */
enum em_result em_desc_mark(struct em_ctx *ctx, struct em_desc *d, u64 bits)
{
	u8 access;

	if ((d->raw & bits) == bits)
		return EM_DONE;
	d->raw |= bits;
	access = d->raw >> 40;
	return em_la_write(ctx, d->la + 5, &access, 1, EM_ACC_SYSTEM);
}

/* Load it, here and in the caller's state. */
enum em_result em_set_segment(struct em_ctx *ctx, enum em_seg seg, const struct em_segment *s)
{
	enum em_result r = em_cb_result(ctx->ops->set_segment(ctx, seg, s));

	if (r == EM_DONE) {
		ctx->seg[seg] = *s;
		ctx->seg_valid |= 1u << seg;
	}
	return r;
}

enum em_result em_long_mode(struct em_ctx *ctx, bool *on)
{
	enum em_result r;
	u64 efer;

	*on = em_is64(ctx);
	if (*on || em_is_real_like(ctx))
		return EM_DONE;
	r = em_cb_result(ctx->ops->get_cr(ctx, EM_CR_EFER, &efer));
	*on = r == EM_DONE && (efer & EM_EFER_LMA);
	return r;
}

/* Null selectors: never for SS, except in 64-bit mode below CPL 3. */
static enum em_result check_null(struct em_ctx *ctx, enum em_seg seg, u16 selector, u8 vector,
				 struct em_segment *s)
{
	memset(s, 0, sizeof(*s));
	s->selector = selector;
	s->ar = EM_AR_UNUSABLE;
	if (seg != EM_SEG_SS)
		return EM_DONE;
	if (!em_is64(ctx) || ctx->cpl == 3 || (selector & 3) != ctx->cpl)
		return em_fault(ctx, vector, selector & 0xfffc);
	s->ar |= (u32)ctx->cpl << EM_AR_DPL_SHIFT;
	return EM_DONE;
}

/* "Privilege Level Checking When Loading the SS Register" */
static bool stack_allowed(const struct em_ctx *ctx, u16 selector, u32 ar)
{
	if ((selector & 3) != ctx->cpl || em_ar_dpl(ar) != ctx->cpl)
		return false;
	return (ar & (EM_AR_S | EM_AR_CODE | EM_AR_WRITABLE)) == (EM_AR_S | EM_AR_WRITABLE);
}

/* "Privilege Level Checking When Accessing Data Segments" */
static bool data_allowed(const struct em_ctx *ctx, u16 selector, u32 ar)
{
	u32 conforming = EM_AR_CODE | EM_AR_EXPAND_DOWN;

	if (!(ar & EM_AR_S) || (ar & (EM_AR_CODE | EM_AR_WRITABLE)) == EM_AR_CODE)
		return false;
	if ((ar & conforming) == conforming)
		return true;
	return (selector & 3) <= em_ar_dpl(ar) && ctx->cpl <= em_ar_dpl(ar);
}

/**
 * em_check_data_segment() - everything a load of SS, DS, ES, FS or GS checks
 * @ctx: context in protected mode; ctx->cpl is the privilege to check with
 * @seg: segment register
 * @selector: new selector
 * @vector: #GP, or #TS in a task switch
 * @s: the segment to load; the descriptor has been marked as accessed
 */
enum em_result em_check_data_segment(struct em_ctx *ctx, enum em_seg seg, u16 selector, u8 vector,
				     struct em_segment *s)
{
	bool stack = seg == EM_SEG_SS;
	struct em_desc d;
	enum em_result r;

	if (!(selector & 0xfffc))
		return check_null(ctx, seg, selector, vector, s);
	r = em_desc_read(ctx, selector, vector, &d);
	if (r != EM_DONE)
		return r;
	em_desc_to_segment(&d, selector, s);
	if (!(stack ? stack_allowed : data_allowed)(ctx, selector, s->ar))
		return em_fault(ctx, vector, selector & 0xfffc);
	if (!(s->ar & EM_AR_P))
		return em_fault(ctx, stack ? EM_EXC_SS : EM_EXC_NP, selector & 0xfffc);
	s->ar |= EM_AR_ACCESSED;
	return em_desc_mark(ctx, &d, EM_DESC_ACCESSED);
}

/*
 * Real and virtual-8086 mode: the base follows the selector. Real mode keeps limit and rights,
 * which is how code gets at 4 GiB of data there.
 */
enum em_result em_real_segment(struct em_ctx *ctx, enum em_seg seg, u16 selector)
{
	const struct em_segment *old;
	struct em_segment s;
	enum em_result r;

	r = em_segment(ctx, seg, &old);
	if (r != EM_DONE)
		return r;
	s = *old;
	s.selector = selector;
	s.base = (u32)selector << 4;
	if (ctx->mode == EM_MODE_VM86) {
		s.limit = 0xffff;
		s.ar = EM_AR_P | EM_AR_DPL | EM_AR_S | EM_AR_WRITABLE | EM_AR_ACCESSED;
	}
	return em_set_segment(ctx, seg, &s);
}

/* MOV, POP, LDS and the like to SS, DS, ES, FS or GS. */
enum em_result em_load_data_segment(struct em_ctx *ctx, enum em_seg seg, u16 selector)
{
	struct em_segment s;
	enum em_result r;

	if (em_is_real_like(ctx))
		return em_real_segment(ctx, seg, selector);
	r = em_check_data_segment(ctx, seg, selector, EM_EXC_GP, &s);
	return r == EM_DONE ? em_set_segment(ctx, seg, &s) : r;
}

/* The privilege rules of "Accessing Nonconforming Code Segments" and the one after it. */
static bool code_allowed(const struct em_ctx *ctx, u16 selector, u32 ar, unsigned int how)
{
	unsigned int dpl = em_ar_dpl(ar), rpl = selector & 3;
	bool conforming = ar & EM_AR_EXPAND_DOWN;

	if ((ar & (EM_AR_S | EM_AR_CODE)) != (EM_AR_S | EM_AR_CODE))
		return false;
	if (how == EM_CODE_RETURN)
		return rpl >= ctx->cpl && (conforming ? dpl <= rpl : dpl == rpl);
	if (conforming)
		return dpl <= ctx->cpl;
	return rpl <= ctx->cpl && dpl == ctx->cpl;
}

/**
 * em_check_code_segment() - everything a far transfer checks about its code segment
 * @ctx: context in protected mode
 * @selector: new selector
 * @how: EM_CODE_*
 * @s: the segment to load; s->selector has the new CPL as its RPL
 */
enum em_result em_check_code_segment(struct em_ctx *ctx, u16 selector, unsigned int how,
				     struct em_segment *s)
{
	struct em_desc d;
	enum em_result r;
	bool long_mode;

	if (!(selector & 0xfffc))
		return em_gp0(ctx);
	r = em_desc_read(ctx, selector, EM_EXC_GP, &d);
	if (r == EM_DONE)
		r = em_long_mode(ctx, &long_mode);
	if (r != EM_DONE)
		return r;
	em_desc_to_segment(&d, selector, s);
	if (!code_allowed(ctx, selector, s->ar, how))
		return em_fault(ctx, EM_EXC_GP, selector & 0xfffc);
	if (long_mode && (s->ar & (EM_AR_L | EM_AR_DB)) == (EM_AR_L | EM_AR_DB))
		return em_fault(ctx, EM_EXC_GP, selector & 0xfffc);
	if (!(s->ar & EM_AR_P))
		return em_fault(ctx, EM_EXC_NP, selector & 0xfffc);
	if (!long_mode)
		s->ar &= ~EM_AR_L;
	if (how == EM_CODE_JUMP)
		s->selector = (selector & 0xfffc) | ctx->cpl;
	s->ar |= EM_AR_ACCESSED;
	return em_desc_mark(ctx, &d, EM_DESC_ACCESSED);
}

/* Load CS, and with it mode and privilege. */
enum em_result em_set_code_segment(struct em_ctx *ctx, const struct em_segment *s)
{
	enum em_result r = em_set_segment(ctx, EM_SEG_CS, s);

	if (r != EM_DONE)
		return r;
	ctx->cpl = s->selector & 3;
	if (s->ar & EM_AR_L)
		ctx->mode = EM_MODE_PROT64;
	else
		ctx->mode = s->ar & EM_AR_DB ? EM_MODE_PROT32 : EM_MODE_PROT16;
	return EM_DONE;
}
