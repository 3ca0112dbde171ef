// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hardware task switches between 16-bit and 32-bit TSSs.
 * It must not change anything before both TSSs are known to be readable and writable.
 */
#include "internal.h"

#define TYPE_BUSY	2u
#define TYPE_32		8u
#define DR7_LOCAL	0x155ull	/* L0 to L3, LE */
#define DR6_BT		0x8000u
#define TSS_MAX		104u

/* Where a TSS keeps things; "Task-State Segment (TSS)" and "16-Bit Task-State Segment (TSS)". */
struct tss_layout {
	u8 slot;		/* bytes from one register to the next */
	u8 size;
	u8 cr3;			/* 0: has none */
	u8 ip;			/* then flags and eight general registers */
	u8 segs;		/* ES, CS, SS, DS, with 32 bits FS, GS */
	u8 seg_count;
	u8 ldt;
	u8 trap;		/* 0: has none */
};

static const struct tss_layout tss16 = {
	.slot = 2, .size = 44, .ip = 14, .segs = 34, .seg_count = 4, .ldt = 42,
};

static const struct tss_layout tss32 = {
	.slot = 4, .size = TSS_MAX, .cr3 = 28, .ip = 32, .segs = 72, .seg_count = 6, .ldt = 96,
	.trap = 100,
};

/* One switch on its way. */
struct task_switch {
	enum em_task_reason reason;
	struct em_segment old;
	struct em_desc new_desc;
	struct em_segment new;
	const struct tss_layout *from;
	const struct tss_layout *to;
	u8 image[TSS_MAX];		/* of the new TSS */
};

static const struct tss_layout *layout(u32 ar)
{
	return ar & TYPE_32 ? &tss32 : &tss16;
}

static u32 get(const u8 *image, unsigned int at, unsigned int size)
{
	u32 val = 0;

	memcpy(&val, image + at, size);
	return val;
}

/* An address in the TSS as the processor forms it: there is no segment check any more. */
static u64 tss_la(const struct em_segment *tss, unsigned int at)
{
	return (u32)(tss->base + at);
}

/* The software interrupt's right to use its task gate. */
static enum em_result check_gate(struct em_ctx *ctx, int idt_index)
{
	u32 limit, vector = (u32)idt_index & 0xff;
	enum em_result r;
	u64 base, gate;

	r = em_cb_result(ctx->ops->get_idt(ctx, &base, &limit));
	if (r != EM_DONE)
		return r;
	if (8 * vector + 7 > limit)
		return em_fault(ctx, EM_EXC_GP, 8 * vector + 2);
	r = em_la_read(ctx, (u32)(base + 8 * vector), &gate, 8, EM_ACC_SYSTEM);
	if (r != EM_DONE)
		return r;
	if (ctx->cpl > em_ar_dpl(gate >> 40))
		return em_fault(ctx, EM_EXC_GP, 8 * vector + 2);
	return EM_DONE;
}

/* "Task Switching", the checks on the new TSS descriptor. */
static enum em_result check_new_tss(struct em_ctx *ctx, struct task_switch *t, u16 selector)
{
	bool iret = t->reason == EM_TASK_IRET;
	u8 vector = iret ? EM_EXC_TS : EM_EXC_GP;
	u16 error = selector & 0xfffc;
	enum em_result r;

	if (!error || (selector & 4))
		return em_fault(ctx, vector, error);
	r = em_desc_read(ctx, selector, vector, &t->new_desc);
	if (r != EM_DONE)
		return r;
	em_desc_to_segment(&t->new_desc, selector, &t->new);
	/* A system segment, bit 0 of the type set: a TSS; busy exactly when returning to it. */
	if ((t->new.ar & (EM_AR_S | 5)) != 1 || !(t->new.ar & TYPE_BUSY) == iret)
		return em_fault(ctx, vector, error);
	if (!(t->new.ar & EM_AR_P))
		return em_fault(ctx, EM_EXC_NP, error);
	t->to = layout(t->new.ar);
	if (t->new.limit < t->to->size - 1u)
		return em_fault(ctx, EM_EXC_TS, error);
	return EM_DONE;
}

/* Write state to the old TSS; reserved halves of its slots keep what they hold. */
static enum em_result save_old(struct em_ctx *ctx, struct task_switch *t, bool write)
{
	const struct tss_layout *l = t->from;
	unsigned int n = l->segs - l->ip + l->seg_count * l->slot, i;
	u64 la = tss_la(&t->old, l->ip);
	u32 flags = ctx->rflags;
	const struct em_segment *s;
	enum em_result r;
	u8 image[TSS_MAX];

	r = em_la_read(ctx, la, image, n, EM_ACC_SYSTEM | EM_ACC_RMW);
	if (r != EM_DONE)
		return r;
	if (!write) {
		if (!ctx->ops->probe_write)
			return EM_DONE;
		return em_cb_result(ctx->ops->probe_write(ctx, la, n,
							  EM_ACC_SYSTEM | EM_ACC_WRITE));
	}
	if (t->reason == EM_TASK_IRET)
		flags &= ~EM_NT;
	memcpy(image, &ctx->rip, l->slot);
	memcpy(image + l->slot, &flags, l->slot);
	for (i = 0; i < 8; i++)
		memcpy(image + (2 + i) * l->slot, &ctx->gpr[i], l->slot);
	for (i = 0; i < l->seg_count; i++) {
		r = em_segment(ctx, i, &s);
		if (r != EM_DONE)
			return r;
		memcpy(image + l->segs - l->ip + i * l->slot, &s->selector, 2);
	}
	return em_la_write(ctx, la, image, n, EM_ACC_SYSTEM);
}

/* All reads and all checks of memory that is about to be written. */
static enum em_result prepare(struct em_ctx *ctx, struct task_switch *t)
{
	const struct em_segment *tr;
	enum em_result r;

	r = em_segment(ctx, EM_SEG_TR, &tr);
	if (r != EM_DONE)
		return r;
	t->old = *tr;
	t->from = layout(tr->ar);
	if ((tr->ar & EM_AR_UNUSABLE) || tr->limit < t->from->size - 1u)
		return em_fault(ctx, EM_EXC_TS, tr->selector & 0xfffc);
	r = em_la_read(ctx, tss_la(&t->new, 0), t->image, t->to->size, EM_ACC_SYSTEM);
	if (r != EM_DONE)
		return r;
	return save_old(ctx, t, false);
}

static bool nests(const struct task_switch *t)
{
	return t->reason == EM_TASK_CALL || t->reason == EM_TASK_GATE;
}

/* The old task stops being busy when it is not nested under the new one. */
static enum em_result clear_old_busy(struct em_ctx *ctx, struct task_switch *t)
{
	struct em_desc d;
	enum em_result r;
	u8 access;

	r = em_desc_read(ctx, t->old.selector & 0xfff8, EM_EXC_TS, &d);
	if (r != EM_DONE)
		return r;
	access = (d.raw >> 40) & ~TYPE_BUSY;
	return em_la_write(ctx, d.la + 5, &access, 1, EM_ACC_SYSTEM);
}

static enum em_result leave_old(struct em_ctx *ctx, struct task_switch *t)
{
	enum em_result r;

	if (!nests(t)) {
		r = clear_old_busy(ctx, t);
		if (r != EM_DONE)
			return r;
	}
	r = save_old(ctx, t, true);
	if (r == EM_DONE && nests(t))
		r = em_la_write(ctx, tss_la(&t->new, 0), &t->old.selector, 2, EM_ACC_SYSTEM);
	if (r == EM_DONE && t->reason != EM_TASK_IRET)
		r = em_desc_mark(ctx, &t->new_desc, EM_DESC_BUSY);
	return r;
}

/* TR, CR0.TS, DR7: with these the new task is the current one. */
static enum em_result enter_new(struct em_ctx *ctx, struct task_switch *t)
{
	enum em_result r;
	u64 cr0, dr7;

	t->new.ar |= TYPE_BUSY;
	r = em_set_segment(ctx, EM_SEG_TR, &t->new);
	if (r == EM_DONE)
		r = em_cb_result(ctx->ops->get_cr(ctx, 0, &cr0));
	if (r == EM_DONE)
		r = em_cb_result(ctx->ops->set_cr(ctx, 0, cr0 | EM_CR0_TS));
	if (r == EM_DONE)
		r = em_cb_result(ctx->ops->get_dr(ctx, 7, &dr7));
	if (r == EM_DONE && (dr7 & DR7_LOCAL))
		r = em_cb_result(ctx->ops->set_dr(ctx, 7, dr7 & ~DR7_LOCAL));
	ctx->cr0_valid = false;
	if (r == EM_DONE && t->to->cr3 && (cr0 & EM_CR0_PG))
		r = em_cb_result(ctx->ops->set_cr(ctx, 3, get(t->image, t->to->cr3, 4)));
	return r;
}

/* Registers and selectors; the segments stay unusable until their descriptors are checked. */
static enum em_result load_registers(struct em_ctx *ctx, struct task_switch *t)
{
	const struct tss_layout *l = t->to;
	u32 defined = EM_ARITH | EM_TF | EM_IF | EM_DF | EM_IOPL | EM_NT | EM_RF | EM_VM | EM_AC |
		      EM_VIF | EM_VIP | EM_ID;
	struct em_segment s = { .ar = EM_AR_UNUSABLE };
	enum em_result r = EM_DONE;
	unsigned int i;

	ctx->rip = get(t->image, l->ip, l->slot);
	ctx->rflags = (get(t->image, l->ip + l->slot, l->slot) & defined) | 2;
	if (nests(t))
		ctx->rflags |= EM_NT;
	for (i = 0; i < 8; i++)
		ctx->gpr[i] = get(t->image, l->ip + (2 + i) * l->slot, l->slot);
	ctx->mode = ctx->rflags & EM_VM ? EM_MODE_VM86 : EM_MODE_PROT32;
	ctx->cpl = ctx->rflags & EM_VM ? 3 : get(t->image, l->segs + l->slot, 2) & 3;
	for (i = EM_SEG_ES; i <= EM_SEG_GS && r == EM_DONE; i++) {
		s.selector = i < l->seg_count ? get(t->image, l->segs + i * l->slot, 2) : 0;
		r = em_set_segment(ctx, i, &s);
	}
	s.selector = get(t->image, l->ldt, 2);
	return r == EM_DONE ? em_set_segment(ctx, EM_SEG_LDTR, &s) : r;
}

static enum em_result load_ldt(struct em_ctx *ctx, u16 selector)
{
	struct em_segment s;
	struct em_desc d;
	enum em_result r;

	if (!(selector & 0xfffc))
		return EM_DONE;
	if (selector & 4)
		return em_fault(ctx, EM_EXC_TS, selector & 0xfffc);
	r = em_desc_read(ctx, selector, EM_EXC_TS, &d);
	if (r != EM_DONE)
		return r;
	em_desc_to_segment(&d, selector, &s);
	if ((s.ar & (EM_AR_S | EM_AR_TYPE | EM_AR_P)) != (2 | EM_AR_P))
		return em_fault(ctx, EM_EXC_TS, selector & 0xfffc);
	return em_set_segment(ctx, EM_SEG_LDTR, &s);
}

static enum em_result load_code(struct em_ctx *ctx, u16 selector)
{
	u32 code = EM_AR_S | EM_AR_CODE;
	struct em_segment s;
	struct em_desc d;
	enum em_result r;
	bool fits;

	if (!(selector & 0xfffc))
		return em_fault(ctx, EM_EXC_TS, 0);
	r = em_desc_read(ctx, selector, EM_EXC_TS, &d);
	if (r != EM_DONE)
		return r;
	em_desc_to_segment(&d, selector, &s);
	if (s.ar & EM_AR_EXPAND_DOWN)
		fits = em_ar_dpl(s.ar) <= ctx->cpl;
	else
		fits = em_ar_dpl(s.ar) == ctx->cpl;
	if ((s.ar & code) != code || !fits)
		return em_fault(ctx, EM_EXC_TS, selector & 0xfffc);
	if (!(s.ar & EM_AR_P))
		return em_fault(ctx, EM_EXC_NP, selector & 0xfffc);
	r = em_desc_mark(ctx, &d, EM_DESC_ACCESSED);
	if (r != EM_DONE)
		return r;
	s.ar |= EM_AR_ACCESSED;
	ctx->mode = s.ar & EM_AR_DB ? EM_MODE_PROT32 : EM_MODE_PROT16;
	return em_set_segment(ctx, EM_SEG_CS, &s);
}

/* In the new task: what is wrong with its segments is its own fault. */
static enum em_result load_segments(struct em_ctx *ctx)
{
	static const u8 order[] = { EM_SEG_SS, EM_SEG_ES, EM_SEG_DS, EM_SEG_FS, EM_SEG_GS };
	struct em_segment s;
	enum em_result r;
	unsigned int i;

	r = load_ldt(ctx, ctx->seg[EM_SEG_LDTR].selector);
	if (r == EM_DONE && ctx->mode == EM_MODE_VM86) {
		for (i = EM_SEG_ES; i <= EM_SEG_GS && r == EM_DONE; i++)
			r = em_real_segment(ctx, i, ctx->seg[i].selector);
		return r;
	}
	if (r == EM_DONE)
		r = load_code(ctx, ctx->seg[EM_SEG_CS].selector);
	for (i = 0; i < sizeof(order) && r == EM_DONE; i++) {
		r = em_check_data_segment(ctx, order[i], ctx->seg[order[i]].selector, EM_EXC_TS,
					  &s);
		if (r == EM_DONE)
			r = em_set_segment(ctx, order[i], &s);
	}
	return r;
}

static enum em_result push_error(struct em_ctx *ctx, const struct task_switch *t, u32 error_code)
{
	struct em_stack st;
	enum em_result r;

	r = em_stack_begin(ctx, &st);
	if (r == EM_DONE)
		r = em_push(ctx, &st, error_code, t->to->slot);
	if (r == EM_DONE)
		em_stack_commit(ctx, &st);
	return r;
}

static enum em_result switch_tasks(struct em_ctx *ctx, struct task_switch *t, u16 selector,
				   int idt_index)
{
	enum em_result r = EM_DONE;
	bool long_mode;

	ctx->seg_valid = 0;
	ctx->cr0_valid = false;
	ctx->shadow = EM_SHADOW_NONE;
	r = em_long_mode(ctx, &long_mode);
	if (r != EM_DONE)
		return r;
	if (long_mode)
		return em_fault(ctx, EM_EXC_GP, selector & 0xfffc);
	if (t->reason == EM_TASK_GATE && idt_index >= 0)
		r = check_gate(ctx, idt_index);
	if (r == EM_DONE)
		r = check_new_tss(ctx, t, selector);
	if (r == EM_DONE)
		r = prepare(ctx, t);
	if (r == EM_DONE)
		r = leave_old(ctx, t);
	if (r == EM_DONE)
		r = enter_new(ctx, t);
	if (r == EM_DONE)
		r = load_registers(ctx, t);
	return r;
}

enum em_result em_task_switch(struct em_ctx *ctx, u16 tss_selector, int idt_index,
			      enum em_task_reason reason, bool has_error, u32 error_code)
{
	struct task_switch t = { .reason = reason };
	enum em_result r;

	r = switch_tasks(ctx, &t, tss_selector, idt_index);
	if (r == EM_DONE)
		r = load_segments(ctx);
	if (r == EM_DONE && has_error)
		r = push_error(ctx, &t, error_code);
	if (r == EM_DONE && t.to->trap && (t.image[t.to->trap] & 1)) {
		em_raise(ctx, EM_EXC_DB, false, 0);
		ctx->ex.address = DR6_BT;
		return EM_EXCEPTION;
	}
	/* The EXT bit: what led here was not the program's own doing. */
	if (r == EM_EXCEPTION && reason == EM_TASK_GATE && idt_index < 0 &&
	    ctx->ex.has_error && ctx->ex.vector <= EM_EXC_GP)
		ctx->ex.error_code |= 1;
	return r == EM_IO_PENDING ? EM_FAILED : r;
}
