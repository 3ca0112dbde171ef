// SPDX-License-Identifier: GPL-2.0-only
/*
 * System instructions: descriptor tables, control and debug registers, MSRs.
 * It must not decide what a register may hold: the callbacks check values.
 */
#include "exec.h"

static enum em_result require_cpl0(struct em_ctx *ctx)
{
	return ctx->cpl ? em_gp0(ctx) : EM_DONE;
}

/* CR4.UMIP takes the reading instructions away from user code. */
static enum em_result check_umip(struct em_ctx *ctx)
{
	enum em_result r;
	u64 cr4;

	if (!ctx->cpl)
		return EM_DONE;
	r = em_cb_result(ctx->ops->get_cr(ctx, 4, &cr4));
	if (r != EM_DONE)
		return r;
	return cr4 & EM_CR4_UMIP ? em_gp0(ctx) : EM_DONE;
}

/* A selector or machine status word: a word in memory, the operand size in a register. */
static enum em_result store_word(struct em_ctx *ctx, u64 val)
{
	unsigned int size = ctx->d.mod == 3 ? ctx->d.size : 2;
	enum em_result r = em_rm_write(ctx, size, val);

	return r == EM_DONE ? em_next(ctx) : r;
}

/* SLDT and STR; the argument is the segment register. */
enum em_result em_ex_sldt(struct em_ctx *ctx)
{
	const struct em_segment *s;
	enum em_result r;

	r = check_umip(ctx);
	if (r == EM_DONE)
		r = em_segment(ctx, ctx->d.op->arg, &s);
	return r == EM_DONE ? store_word(ctx, s->selector) : r;
}

static enum em_result system_selector(struct em_ctx *ctx, u64 *selector)
{
	enum em_result r = require_cpl0(ctx);

	return r == EM_DONE ? em_rm_read(ctx, 2, selector) : r;
}

/* Read a system descriptor out of the GDT, as long as long mode makes it. */
static enum em_result system_descriptor(struct em_ctx *ctx, u16 selector, struct em_desc *d,
					struct em_segment *s)
{
	enum em_result r;
	bool long_mode;

	if (selector & 4)
		return em_fault(ctx, EM_EXC_GP, selector & 0xfffc);
	r = em_desc_read(ctx, selector, EM_EXC_GP, d);
	if (r == EM_DONE)
		r = em_long_mode(ctx, &long_mode);
	if (r == EM_DONE && long_mode)
		r = em_desc_read_high(ctx, selector, d);
	if (r == EM_DONE)
		em_desc_to_segment(d, selector, s);
	return r;
}

enum em_result em_ex_lldt(struct em_ctx *ctx)
{
	struct em_segment s = { .ar = EM_AR_UNUSABLE };
	struct em_desc d;
	enum em_result r;
	u64 selector;

	r = system_selector(ctx, &selector);
	if (r != EM_DONE)
		return r;
	if (selector & 0xfffc) {
		r = system_descriptor(ctx, selector, &d, &s);
		if (r != EM_DONE)
			return r;
		if ((s.ar & (EM_AR_S | EM_AR_TYPE)) != 2)
			return em_fault(ctx, EM_EXC_GP, selector & 0xfffc);
		if (!(s.ar & EM_AR_P))
			return em_fault(ctx, EM_EXC_NP, selector & 0xfffc);
	} else {
		s.selector = selector;
	}
	r = em_set_segment(ctx, EM_SEG_LDTR, &s);
	return r == EM_DONE ? em_next(ctx) : r;
}

/* An available TSS, 32-bit or (outside long mode) 16-bit; it becomes busy. */
enum em_result em_ex_ltr(struct em_ctx *ctx)
{
	struct em_segment s;
	struct em_desc d;
	enum em_result r;
	bool long_mode;
	u64 selector;
	u32 type;

	r = system_selector(ctx, &selector);
	if (r != EM_DONE)
		return r;
	if (!(selector & 0xfffc))
		return em_gp0(ctx);
	r = system_descriptor(ctx, selector, &d, &s);
	if (r == EM_DONE)
		r = em_long_mode(ctx, &long_mode);
	if (r != EM_DONE)
		return r;
	type = s.ar & (EM_AR_S | EM_AR_TYPE);
	if (type != 9 && (type != 1 || long_mode))
		return em_fault(ctx, EM_EXC_GP, selector & 0xfffc);
	if (!(s.ar & EM_AR_P))
		return em_fault(ctx, EM_EXC_NP, selector & 0xfffc);
	r = em_desc_mark(ctx, &d, EM_DESC_BUSY);
	if (r != EM_DONE)
		return r;
	s.ar |= 2;
	r = em_set_segment(ctx, EM_SEG_TR, &s);
	return r == EM_DONE ? em_next(ctx) : r;
}

/*
 * The descriptor that LAR, LSL, VERR and VERW ask about, when it can be seen at all; a fault
 * of the table read stays one, a selector outside its table only clears ZF.
 */
static enum em_result visible(struct em_ctx *ctx, struct em_segment *s, u64 *raw, bool *found)
{
	u32 conforming = EM_AR_S | EM_AR_CODE | EM_AR_EXPAND_DOWN;
	struct em_desc d;
	enum em_result r;
	u64 selector;

	*found = false;
	r = em_rm_read(ctx, 2, &selector);
	if (r != EM_DONE)
		return r;
	if (!(selector & 0xfffc))
		return EM_DONE;
	r = em_desc_read(ctx, selector, EM_EXC_GP, &d);
	if (r == EM_EXCEPTION && ctx->ex.vector == EM_EXC_GP)
		return EM_DONE;
	if (r != EM_DONE)
		return r;
	em_desc_to_segment(&d, selector, s);
	*raw = d.raw;
	*found = (s->ar & conforming) == conforming ||
		 ((selector & 3) <= em_ar_dpl(s->ar) && ctx->cpl <= em_ar_dpl(s->ar));
	return EM_DONE;
}

static enum em_result set_zf(struct em_ctx *ctx, bool on)
{
	ctx->rflags = (ctx->rflags & ~(u64)EM_ZF) | (on ? EM_ZF : 0);
	return em_next(ctx);
}

/* VERR, and with argument 1 VERW */
enum em_result em_ex_verr(struct em_ctx *ctx)
{
	struct em_segment s = { 0 };
	enum em_result r;
	bool ok;
	u64 raw;

	r = visible(ctx, &s, &raw, &ok);
	if (r != EM_DONE)
		return r;
	if (!(s.ar & EM_AR_S))
		ok = false;
	else if (ctx->d.op->arg)
		ok = ok && (s.ar & (EM_AR_CODE | EM_AR_WRITABLE)) == EM_AR_WRITABLE;
	else
		ok = ok && (s.ar & (EM_AR_CODE | EM_AR_WRITABLE)) != EM_AR_CODE;
	return set_zf(ctx, ok);
}

/* Types of system descriptors that LAR and LSL know; LSL leaves the gates out. */
static bool known_type(u32 ar, bool limit, bool long_mode)
{
	u32 legacy = limit ? 0x0a0e : 0x1a3e;
	u32 in_long = limit ? 0x0a04 : 0x1a04;

	if (ar & EM_AR_S)
		return true;
	return ((long_mode ? in_long : legacy) >> (ar & EM_AR_TYPE)) & 1;
}

/* LAR, and with argument 1 LSL */
enum em_result em_ex_lar(struct em_ctx *ctx)
{
	bool limit = ctx->d.op->arg;
	struct em_segment s = { 0 };
	bool ok, long_mode;
	enum em_result r;
	u64 raw = 0;

	r = visible(ctx, &s, &raw, &ok);
	if (r == EM_DONE)
		r = em_long_mode(ctx, &long_mode);
	if (r != EM_DONE)
		return r;
	ok = ok && known_type(s.ar, limit, long_mode);
	if (ok)
		em_reg_write(ctx, ctx->d.reg, ctx->d.size,
			     limit ? s.limit : (raw >> 32) & 0xffff00);
	return set_zf(ctx, ok);
}

/* SGDT, and with argument 1 SIDT: a limit, then a base as wide as the mode. */
enum em_result em_ex_sgdt(struct em_ctx *ctx)
{
	unsigned int bytes = em_is64(ctx) ? 8 : 4;
	enum em_result r;
	u8 image[10];
	u32 limit;
	u64 base;

	r = check_umip(ctx);
	if (r != EM_DONE)
		return r;
	if (ctx->d.op->arg)
		r = em_cb_result(ctx->ops->get_idt(ctx, &base, &limit));
	else
		r = em_cb_result(ctx->ops->get_gdt(ctx, &base, &limit));
	if (r != EM_DONE)
		return r;
	memcpy(image, &limit, 2);
	memcpy(image + 2, &base, 8);
	r = em_mem_write(ctx, ctx->d.seg, ctx->d.ea, image, 2 + bytes, 0);
	return r == EM_DONE ? em_next(ctx) : r;
}

/* LGDT, and with argument 1 LIDT; a 16-bit operand size loads 24 bits of base. */
enum em_result em_ex_lgdt(struct em_ctx *ctx)
{
	unsigned int bytes = em_is64(ctx) ? 8 : 4;
	enum em_result r;
	u8 image[10];
	u16 limit;
	u64 base = 0;

	r = require_cpl0(ctx);
	if (r == EM_DONE)
		r = em_mem_read(ctx, ctx->d.seg, ctx->d.ea, image, 2 + bytes, 0);
	if (r != EM_DONE)
		return r;
	memcpy(&limit, image, 2);
	memcpy(&base, image + 2, bytes);
	if (!em_is64(ctx) && ctx->d.size == 2)
		base &= 0xffffff;
	if (!em_canonical(ctx, base))
		return em_gp0(ctx);
	if (ctx->d.op->arg)
		r = em_cb_result(ctx->ops->set_idt(ctx, base, limit));
	else
		r = em_cb_result(ctx->ops->set_gdt(ctx, base, limit));
	return r == EM_DONE ? em_next(ctx) : r;
}

enum em_result em_ex_smsw(struct em_ctx *ctx)
{
	enum em_result r;
	u64 cr0;

	r = check_umip(ctx);
	if (r == EM_DONE)
		r = em_cr0(ctx, &cr0);
	return r == EM_DONE ? store_word(ctx, cr0) : r;
}

static enum em_result write_cr(struct em_ctx *ctx, unsigned int nr, u64 val)
{
	enum em_result r = em_cb_result(ctx->ops->set_cr(ctx, nr, val));

	ctx->cr0_valid = false;
	return r == EM_DONE ? em_next(ctx) : r;
}

/* PE can be set but not cleared this way. */
enum em_result em_ex_lmsw(struct em_ctx *ctx)
{
	enum em_result r;
	u64 cr0, msw;

	r = require_cpl0(ctx);
	if (r == EM_DONE)
		r = em_rm_read(ctx, 2, &msw);
	if (r == EM_DONE)
		r = em_cr0(ctx, &cr0);
	if (r != EM_DONE)
		return r;
	return write_cr(ctx, 0, (cr0 & ~0xeull) | (msw & 15));
}

enum em_result em_ex_clts(struct em_ctx *ctx)
{
	enum em_result r;
	u64 cr0;

	r = require_cpl0(ctx);
	if (r == EM_DONE)
		r = em_cr0(ctx, &cr0);
	return r == EM_DONE ? write_cr(ctx, 0, cr0 & ~(u64)EM_CR0_TS) : r;
}

static enum em_result misc(struct em_ctx *ctx, unsigned int what, u64 arg)
{
	enum em_result r;

	if (!ctx->ops->misc)
		return EM_UNHANDLED;
	r = em_cb_result(ctx->ops->misc(ctx, what, arg));
	return r == EM_DONE ? em_next(ctx) : r;
}

/* No address faults here: a non-canonical one does nothing. */
enum em_result em_ex_invlpg(struct em_ctx *ctx)
{
	const struct em_segment *s;
	u64 la = ctx->d.ea;
	enum em_result r;

	r = require_cpl0(ctx);
	if (r == EM_DONE && (!em_is64(ctx) || ctx->d.seg >= EM_SEG_FS)) {
		r = em_segment(ctx, ctx->d.seg, &s);
		la += s->base;
	}
	if (r != EM_DONE)
		return r;
	return misc(ctx, EM_MISC_INVLPG, em_is64(ctx) ? la : (u32)la);
}

enum em_result em_ex_wbinvd(struct em_ctx *ctx)
{
	enum em_result r = require_cpl0(ctx);

	return r == EM_DONE ? misc(ctx, EM_MISC_WBINVD, 0) : r;
}

enum em_result em_ex_cpuid(struct em_ctx *ctx)
{
	return misc(ctx, ctx->d.op->arg, 0);
}

/* CR4.@bit decides whether user code may. */
static enum em_result counter(struct em_ctx *ctx, u64 bit, bool allows)
{
	enum em_result r;
	u64 cr4;

	if (ctx->cpl) {
		r = em_cb_result(ctx->ops->get_cr(ctx, 4, &cr4));
		if (r != EM_DONE)
			return r;
		if (!(cr4 & bit) == allows)
			return em_gp0(ctx);
	}
	return misc(ctx, ctx->d.op->arg, 0);
}

enum em_result em_ex_rdtsc(struct em_ctx *ctx)
{
	return counter(ctx, EM_CR4_TSD, false);
}

enum em_result em_ex_rdpmc(struct em_ctx *ctx)
{
	/* VMware's are for everybody, and there are no others: whoever counts knows the index. */
	if (ctx->features & EM_FEAT_VMWARE)
		return misc(ctx, ctx->d.op->arg, 0);
	return counter(ctx, EM_CR4_PCE, true);
}

static unsigned int sys_reg_size(const struct em_ctx *ctx)
{
	return em_is64(ctx) ? 8 : 4;
}

static bool cr_exists(const struct em_ctx *ctx)
{
	u16 exists = em_is64(ctx) ? 0x11d : 0x01d;

	return (exists >> ctx->d.reg) & 1;
}

enum em_result em_ex_mov_from_cr(struct em_ctx *ctx)
{
	enum em_result r;
	u64 val;

	if (!cr_exists(ctx))
		return em_ud(ctx);
	r = require_cpl0(ctx);
	if (r == EM_DONE)
		r = em_cb_result(ctx->ops->get_cr(ctx, ctx->d.reg, &val));
	if (r != EM_DONE)
		return r;
	em_reg_write(ctx, ctx->d.rm, sys_reg_size(ctx), val);
	return em_next(ctx);
}

enum em_result em_ex_mov_to_cr(struct em_ctx *ctx)
{
	enum em_result r;

	if (!cr_exists(ctx))
		return em_ud(ctx);
	r = require_cpl0(ctx);
	if (r != EM_DONE)
		return r;
	return write_cr(ctx, ctx->d.reg, em_reg_read(ctx, ctx->d.rm, sys_reg_size(ctx)));
}

/* DR4 and DR5 are other names for DR6 and DR7 unless CR4.DE is set. */
static enum em_result debug_register(struct em_ctx *ctx, unsigned int *nr)
{
	enum em_result r = EM_DONE;
	u64 cr4 = 0;

	*nr = ctx->d.reg;
	if (*nr > 7)
		return em_ud(ctx);
	if (*nr == 4 || *nr == 5) {
		r = em_cb_result(ctx->ops->get_cr(ctx, 4, &cr4));
		if (r != EM_DONE)
			return r;
		if (cr4 & EM_CR4_DE)
			return em_ud(ctx);
		*nr += 2;
	}
	return require_cpl0(ctx);
}

enum em_result em_ex_mov_from_dr(struct em_ctx *ctx)
{
	enum em_result r;
	unsigned int nr;
	u64 val;

	r = debug_register(ctx, &nr);
	if (r == EM_DONE)
		r = em_cb_result(ctx->ops->get_dr(ctx, nr, &val));
	if (r != EM_DONE)
		return r;
	em_reg_write(ctx, ctx->d.rm, sys_reg_size(ctx), val);
	return em_next(ctx);
}

enum em_result em_ex_mov_to_dr(struct em_ctx *ctx)
{
	enum em_result r;
	unsigned int nr;

	r = debug_register(ctx, &nr);
	if (r == EM_DONE)
		r = em_cb_result(ctx->ops->set_dr(ctx, nr,
						  em_reg_read(ctx, ctx->d.rm,
							      sys_reg_size(ctx))));
	return r == EM_DONE ? em_next(ctx) : r;
}

enum em_result em_ex_rdmsr(struct em_ctx *ctx)
{
	enum em_result r;
	u64 val;

	r = require_cpl0(ctx);
	if (r == EM_DONE)
		r = em_cb_result(ctx->ops->get_msr(ctx, ctx->gpr[EM_RCX], &val));
	if (r != EM_DONE)
		return r;
	em_gpr_merge(ctx, EM_RAX, 4, val);
	em_gpr_merge(ctx, EM_RDX, 4, val >> 32);
	return em_next(ctx);
}

enum em_result em_ex_wrmsr(struct em_ctx *ctx)
{
	u64 val = (u32)ctx->gpr[EM_RAX] | ctx->gpr[EM_RDX] << 32;
	enum em_result r;

	r = require_cpl0(ctx);
	if (r == EM_DONE)
		r = em_cb_result(ctx->ops->set_msr(ctx, ctx->gpr[EM_RCX], val));
	return r == EM_DONE ? em_next(ctx) : r;
}
