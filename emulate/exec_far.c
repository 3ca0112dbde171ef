// SPDX-License-Identifier: GPL-2.0-only
/*
 * Far transfers: JMP and CALL far, RETF, IRET, software interrupts.
 * It must not go through call gates or switch tasks: those are left to the processor.
 */
#include "exec.h"

/* The offset lies in the segment that is about to become CS. */
static enum em_result check_far_target(struct em_ctx *ctx, const struct em_segment *cs, u64 rip)
{
	if (cs->ar & EM_AR_L && !em_is_real_like(ctx))
		return em_canonical(ctx, rip) ? EM_DONE : em_gp0(ctx);
	return rip > cs->limit ? em_gp0(ctx) : EM_DONE;
}

/* The code segment that a direct far jump or call names, checked but not loaded. */
static enum em_result far_segment(struct em_ctx *ctx, u16 selector, struct em_segment *cs)
{
	const struct em_segment *old;
	struct em_desc d;
	enum em_result r;

	if (em_is_real_like(ctx)) {
		r = em_segment(ctx, EM_SEG_CS, &old);
		*cs = *old;
		cs->selector = selector;
		cs->base = (u32)selector << 4;
		return r;
	}
	if (selector & 0xfffc) {
		r = em_desc_read(ctx, selector, EM_EXC_GP, &d);
		if (r != EM_DONE)
			return r;
		/* A system descriptor: call gate, task gate, TSS or an error. */
		if (!((d.raw >> 40) & EM_AR_S))
			return EM_UNHANDLED;
	}
	return em_check_code_segment(ctx, selector, EM_CODE_JUMP, cs);
}

static enum em_result load_code(struct em_ctx *ctx, const struct em_segment *cs)
{
	if (em_is_real_like(ctx))
		return em_set_segment(ctx, EM_SEG_CS, cs);
	return em_set_code_segment(ctx, cs);
}

static enum em_result far_transfer(struct em_ctx *ctx, u16 selector, u64 rip, bool call)
{
	const struct em_segment *old;
	unsigned int size = ctx->d.size;
	struct em_segment cs;
	struct em_stack st;
	enum em_result r;

	r = em_segment(ctx, EM_SEG_CS, &old);
	if (r == EM_DONE)
		r = far_segment(ctx, selector, &cs);
	if (r == EM_DONE && call) {
		r = em_stack_begin(ctx, &st);
		if (r == EM_DONE)
			r = em_push(ctx, &st, old->selector, size);
		if (r == EM_DONE)
			r = em_push(ctx, &st, ctx->d.next_rip, size);
	}
	if (r == EM_DONE)
		r = check_far_target(ctx, &cs, rip);
	if (r == EM_DONE)
		r = load_code(ctx, &cs);
	if (r != EM_DONE)
		return r;
	if (call)
		em_stack_commit(ctx, &st);
	ctx->rip = rip;
	return EM_DONE;
}

/* 9A and EA; argument 1 is CALL. */
enum em_result em_ex_far_imm(struct em_ctx *ctx)
{
	return far_transfer(ctx, ctx->d.imm2, ctx->d.imm & em_mask(ctx->d.size),
			    ctx->d.op->arg);
}

/* FF /3 and FF /5 */
enum em_result em_ex_far_rm(struct em_ctx *ctx)
{
	unsigned int size = ctx->d.size;
	enum em_result r;
	u16 selector;
	u64 rip = 0;
	u8 ptr[10];

	r = em_mem_read(ctx, ctx->d.seg, ctx->d.ea, ptr, size + 2, 0);
	if (r != EM_DONE)
		return r;
	memcpy(&rip, ptr, size);
	memcpy(&selector, ptr + size, 2);
	return far_transfer(ctx, selector, rip, ctx->d.op->arg);
}

/* After a return to less privilege: what the outer level may not use becomes null. */
static enum em_result drop_segments(struct em_ctx *ctx)
{
	static const u8 data[] = { EM_SEG_ES, EM_SEG_DS, EM_SEG_FS, EM_SEG_GS };
	u32 conforming = EM_AR_CODE | EM_AR_EXPAND_DOWN;
	struct em_segment null = { .ar = EM_AR_UNUSABLE };
	const struct em_segment *s;
	enum em_result r;
	unsigned int i;

	for (i = 0; i < sizeof(data); i++) {
		r = em_segment(ctx, data[i], &s);
		if (r != EM_DONE)
			return r;
		if (s->ar & EM_AR_UNUSABLE || (s->ar & conforming) == conforming ||
		    em_ar_dpl(s->ar) >= ctx->cpl)
			continue;
		r = em_set_segment(ctx, data[i], &null);
		if (r != EM_DONE)
			return r;
	}
	return EM_DONE;
}

/*
 * Check the outer stack as the new privilege level will see it. A 64-bit return may bring a
 * null SS for any level but 3.
 */
static enum em_result outer_stack(struct em_ctx *ctx, const struct em_segment *cs, u16 selector,
				  struct em_segment *ss)
{
	u8 cpl = ctx->cpl, mode = ctx->mode;
	enum em_result r;

	ctx->cpl = cs->selector & 3;
	if (cs->ar & EM_AR_L)
		ctx->mode = EM_MODE_PROT64;
	else if (mode == EM_MODE_PROT64)
		ctx->mode = EM_MODE_PROT32;
	r = em_check_data_segment(ctx, EM_SEG_SS, selector, EM_EXC_GP, ss);
	ctx->cpl = cpl;
	ctx->mode = mode;
	return r;
}

/* What a far return or an IRET has taken from the stack. */
struct far_return {
	struct em_stack st;
	u64 rip;
	u64 selector;
	u64 flags;
	bool has_stack;		/* RSP and SS follow whatever the privilege: 64-bit IRET */
	u16 drop;		/* bytes to drop behind, on both stacks */
};

static enum em_result return_outer(struct em_ctx *ctx, struct far_return *f,
				   const struct em_segment *cs)
{
	unsigned int size = ctx->d.size;
	struct em_segment ss;
	enum em_result r;
	u64 sp, selector;
	bool outer = (cs->selector & 3) != ctx->cpl;
	u32 width;

	r = em_pop(ctx, &f->st, &sp, size);
	if (r == EM_DONE)
		r = em_pop(ctx, &f->st, &selector, size);
	if (r == EM_DONE)
		r = outer_stack(ctx, cs, selector, &ss);
	if (r == EM_DONE)
		r = check_far_target(ctx, cs, f->rip);
	if (r == EM_DONE)
		r = em_set_code_segment(ctx, cs);
	if (r == EM_DONE)
		r = em_set_segment(ctx, EM_SEG_SS, &ss);
	if (r != EM_DONE)
		return r;
	width = ss.ar & EM_AR_DB ? 4 : 2;
	if (em_is64(ctx))
		width = 8;
	em_gpr_merge(ctx, EM_RSP, width, sp + f->drop);
	return outer ? drop_segments(ctx) : EM_DONE;
}

static enum em_result return_protected(struct em_ctx *ctx, struct far_return *f)
{
	struct em_segment cs;
	enum em_result r;

	r = em_check_code_segment(ctx, f->selector, EM_CODE_RETURN, &cs);
	if (r != EM_DONE)
		return r;
	f->st.sp = (f->st.sp + f->drop) & em_mask(f->st.size);
	if (f->has_stack || (cs.selector & 3) != ctx->cpl)
		return return_outer(ctx, f, &cs);
	r = check_far_target(ctx, &cs, f->rip);
	if (r == EM_DONE)
		r = em_set_code_segment(ctx, &cs);
	if (r == EM_DONE)
		em_stack_commit(ctx, &f->st);
	return r;
}

static enum em_result return_real(struct em_ctx *ctx, struct far_return *f)
{
	struct em_segment cs;
	enum em_result r;

	r = far_segment(ctx, f->selector, &cs);
	if (r == EM_DONE)
		r = check_far_target(ctx, &cs, f->rip);
	if (r == EM_DONE)
		r = em_set_segment(ctx, EM_SEG_CS, &cs);
	if (r != EM_DONE)
		return r;
	f->st.sp = (f->st.sp + f->drop) & em_mask(f->st.size);
	em_stack_commit(ctx, &f->st);
	return EM_DONE;
}

/* RETF, with argument 1 and an immediate */
enum em_result em_ex_retf(struct em_ctx *ctx)
{
	struct far_return f = { .drop = ctx->d.op->arg ? ctx->d.imm : 0 };
	enum em_result r;

	r = em_stack_begin(ctx, &f.st);
	if (r == EM_DONE)
		r = em_pop(ctx, &f.st, &f.rip, ctx->d.size);
	if (r == EM_DONE)
		r = em_pop(ctx, &f.st, &f.selector, ctx->d.size);
	if (r == EM_DONE)
		r = em_is_real_like(ctx) ? return_real(ctx, &f) : return_protected(ctx, &f);
	if (r == EM_DONE)
		ctx->rip = f.rip;
	return r;
}

/* The flags IRET may change, with the privilege from before it. */
static u64 iret_mask(const struct em_ctx *ctx, unsigned int cpl)
{
	u64 mask = EM_ARITH | EM_TF | EM_DF | EM_NT;

	if (ctx->d.size != 2)
		mask |= EM_RF | EM_AC | EM_ID;
	if (cpl <= em_iopl(ctx))
		mask |= EM_IF;
	if (cpl == 0) {
		mask |= EM_IOPL;
		if (ctx->d.size != 2)
			mask |= EM_VIF | EM_VIP;
	}
	return mask;
}

/* CPL 0 to virtual-8086 mode: the stack holds ESP, SS, ES, DS, FS and GS as well. */
static enum em_result return_to_vm86(struct em_ctx *ctx, struct far_return *f)
{
	static const u8 order[] = { EM_SEG_SS, EM_SEG_ES, EM_SEG_DS, EM_SEG_FS, EM_SEG_GS };
	u64 sp, selectors[sizeof(order)];
	enum em_result r;
	unsigned int i;

	r = em_pop(ctx, &f->st, &sp, 4);
	for (i = 0; i < sizeof(order) && r == EM_DONE; i++)
		r = em_pop(ctx, &f->st, &selectors[i], 4);
	if (r != EM_DONE)
		return r;
	if (f->rip > 0xffff)
		return em_gp0(ctx);
	ctx->mode = EM_MODE_VM86;
	ctx->cpl = 3;
	r = em_real_segment(ctx, EM_SEG_CS, f->selector);
	for (i = 0; i < sizeof(order) && r == EM_DONE; i++)
		r = em_real_segment(ctx, order[i], selectors[i]);
	ctx->gpr[EM_RSP] = sp;
	ctx->rflags = (f->flags & (iret_mask(ctx, 0) | EM_VM)) | 2;
	return r;
}

static enum em_result pop_frame(struct em_ctx *ctx, struct far_return *f)
{
	unsigned int size = ctx->d.size;
	enum em_result r;

	r = em_stack_begin(ctx, &f->st);
	if (r == EM_DONE)
		r = em_pop(ctx, &f->st, &f->rip, size);
	if (r == EM_DONE)
		r = em_pop(ctx, &f->st, &f->selector, size);
	if (r == EM_DONE)
		r = em_pop(ctx, &f->st, &f->flags, size);
	return r;
}

enum em_result em_ex_iret(struct em_ctx *ctx)
{
	struct far_return f = { .has_stack = em_is64(ctx) };
	u64 mask = iret_mask(ctx, ctx->cpl);
	bool long_mode;
	enum em_result r;

	/* The interrupt flag of virtual-8086 mode below IOPL 3 is the monitor's business. */
	if (ctx->mode == EM_MODE_VM86 && em_iopl(ctx) != 3)
		return em_gp0(ctx);
	r = em_long_mode(ctx, &long_mode);
	if (r != EM_DONE)
		return r;
	if ((ctx->rflags & EM_NT) && !em_is_real_like(ctx))
		return long_mode ? em_gp0(ctx) : EM_UNHANDLED;
	r = pop_frame(ctx, &f);
	if (r != EM_DONE)
		return r;
	if (em_is_real_like(ctx))
		r = return_real(ctx, &f);
	else if ((f.flags & EM_VM) && !ctx->cpl && ctx->d.size == 4 && !long_mode)
		r = return_to_vm86(ctx, &f);
	else
		r = return_protected(ctx, &f);
	if (r != EM_DONE)
		return r;
	if (ctx->mode != EM_MODE_VM86 || !(f.flags & EM_VM))
		ctx->rflags = (ctx->rflags & ~mask) | (f.flags & mask);
	ctx->rip = f.rip;
	return EM_DONE;
}

/* Software interrupts are delivered by the caller; RIP is already behind them. */
static enum em_result soft_interrupt(struct em_ctx *ctx, u8 vector)
{
	em_raise(ctx, vector, false, 0);
	ctx->ex.soft = true;
	ctx->rip = ctx->d.next_rip;
	return EM_EXCEPTION;
}

/* INT3, and with argument 256 INT n */
enum em_result em_ex_int(struct em_ctx *ctx)
{
	u32 arg = ctx->d.op->arg;
	enum em_result r;
	u64 cr4;

	if (arg < 256)
		return soft_interrupt(ctx, arg);
	if (ctx->mode == EM_MODE_VM86) {
		r = em_cb_result(ctx->ops->get_cr(ctx, 4, &cr4));
		if (r != EM_DONE)
			return r;
		/* The redirection bitmap of CR4.VME needs the processor. */
		if (cr4 & EM_CR4_VME)
			return EM_UNHANDLED;
		if (em_iopl(ctx) != 3)
			return em_gp0(ctx);
	}
	return soft_interrupt(ctx, ctx->d.imm);
}

enum em_result em_ex_into(struct em_ctx *ctx)
{
	return ctx->rflags & EM_OF ? soft_interrupt(ctx, EM_EXC_OF) : em_next(ctx);
}

/* A debug trap that is no software interrupt: it goes through without a DPL check. */
enum em_result em_ex_int1(struct em_ctx *ctx)
{
	em_raise(ctx, EM_EXC_DB, false, 0);
	ctx->rip = ctx->d.next_rip;
	return EM_EXCEPTION;
}

/* "Interrupt and Exception Handling" in real-address mode */
enum em_result em_real_interrupt(struct em_ctx *ctx, u8 vector)
{
	const struct em_segment *old;
	struct em_segment cs;
	struct em_stack st;
	enum em_result r;
	u32 limit, entry;
	u64 base;

	ctx->seg_valid = 0;
	ctx->cr0_valid = false;
	ctx->d.size = 2;
	r = em_cb_result(ctx->ops->get_idt(ctx, &base, &limit));
	if (r != EM_DONE)
		return r;
	if (4u * vector + 3 > limit)
		return em_gp0(ctx);
	r = em_la_read(ctx, (u32)(base + 4 * vector), &entry, 4, EM_ACC_SYSTEM);
	if (r == EM_DONE)
		r = em_segment(ctx, EM_SEG_CS, &old);
	if (r == EM_DONE)
		r = em_stack_begin(ctx, &st);
	if (r == EM_DONE)
		r = em_push(ctx, &st, ctx->rflags, 2);
	if (r == EM_DONE)
		r = em_push(ctx, &st, old->selector, 2);
	if (r == EM_DONE)
		r = em_push(ctx, &st, ctx->rip, 2);
	if (r == EM_DONE)
		r = far_segment(ctx, entry >> 16, &cs);
	if (r == EM_DONE)
		r = em_set_segment(ctx, EM_SEG_CS, &cs);
	if (r != EM_DONE)
		return r;
	em_stack_commit(ctx, &st);
	ctx->rip = entry & 0xffff;
	ctx->rflags &= ~(u64)(EM_IF | EM_TF | EM_AC | EM_RF);
	ctx->shadow = EM_SHADOW_NONE;
	return EM_DONE;
}
