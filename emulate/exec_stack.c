// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stack: PUSH, POP and their relatives, ENTER and LEAVE, and the helpers for all pushes.
 * It must not move the guest's RSP before the last access of the instruction is complete.
 */
#include "exec.h"

/* "Stack Behavior": the width of RSP is 64 in 64-bit mode, else SS.B decides. */
enum em_result em_stack_begin(struct em_ctx *ctx, struct em_stack *st)
{
	const struct em_segment *ss;
	enum em_result r;

	st->size = 8;
	if (!em_is64(ctx)) {
		r = em_segment(ctx, EM_SEG_SS, &ss);
		if (r != EM_DONE)
			return r;
		st->size = ss->ar & EM_AR_DB ? 4 : 2;
	}
	st->sp = ctx->gpr[EM_RSP] & em_mask(st->size);
	return EM_DONE;
}

void em_stack_commit(struct em_ctx *ctx, const struct em_stack *st)
{
	em_gpr_merge(ctx, EM_RSP, st->size, st->sp);
}

enum em_result em_push(struct em_ctx *ctx, struct em_stack *st, u64 val, unsigned int size)
{
	u64 sp = (st->sp - size) & em_mask(st->size);
	enum em_result r;

	r = em_mem_write(ctx, EM_SEG_SS, sp, &val, size, EM_ACC_STACK);
	if (r == EM_DONE)
		st->sp = sp;
	return r;
}

enum em_result em_pop(struct em_ctx *ctx, struct em_stack *st, u64 *val, unsigned int size)
{
	enum em_result r;

	*val = 0;
	r = em_mem_read(ctx, EM_SEG_SS, st->sp, val, size, EM_ACC_STACK);
	if (r == EM_DONE)
		st->sp = (st->sp + size) & em_mask(st->size);
	return r;
}

static enum em_result push_one(struct em_ctx *ctx, u64 val)
{
	struct em_stack st;
	enum em_result r;

	r = em_stack_begin(ctx, &st);
	if (r == EM_DONE)
		r = em_push(ctx, &st, val, ctx->d.size);
	if (r != EM_DONE)
		return r;
	em_stack_commit(ctx, &st);
	return em_next(ctx);
}

static unsigned int opcode_reg(const struct em_ctx *ctx)
{
	return (ctx->d.opcode & 7) | (ctx->d.rex & 1) << 3;
}

enum em_result em_ex_push_reg(struct em_ctx *ctx)
{
	return push_one(ctx, ctx->gpr[opcode_reg(ctx)]);
}

enum em_result em_ex_push_imm(struct em_ctx *ctx)
{
	return push_one(ctx, ctx->d.imm);
}

enum em_result em_ex_push_rm(struct em_ctx *ctx)
{
	enum em_result r;
	u64 val;

	r = em_rm_read(ctx, ctx->d.size, &val);
	return r == EM_DONE ? push_one(ctx, val) : r;
}

enum em_result em_ex_pop_reg(struct em_ctx *ctx)
{
	struct em_stack st;
	enum em_result r;
	u64 val;

	r = em_stack_begin(ctx, &st);
	if (r == EM_DONE)
		r = em_pop(ctx, &st, &val, ctx->d.size);
	if (r != EM_DONE)
		return r;
	em_stack_commit(ctx, &st);
	em_gpr_merge(ctx, opcode_reg(ctx), ctx->d.size, val);
	return em_next(ctx);
}

/* An address that uses RSP is formed after the increment. */
enum em_result em_ex_pop_rm(struct em_ctx *ctx)
{
	struct em_insn *d = &ctx->d;
	struct em_stack st;
	enum em_result r;
	u64 val, ea;

	r = em_stack_begin(ctx, &st);
	if (r == EM_DONE)
		r = em_pop(ctx, &st, &val, d->size);
	if (r != EM_DONE)
		return r;
	if (d->mod == 3) {
		em_stack_commit(ctx, &st);
		em_gpr_merge(ctx, d->rm, d->size, val);
		return em_next(ctx);
	}
	ea = d->ea;
	if (d->base_rsp)
		ea = (ea + d->size) & em_mask(d->adsize);
	r = em_mem_write(ctx, d->seg, ea, &val, d->size, 0);
	if (r != EM_DONE)
		return r;
	em_stack_commit(ctx, &st);
	return em_next(ctx);
}

/*
 * A 32-bit push of a segment register stores a word and leaves the rest of the slot as it was;
 * the limit is checked for the whole slot.
 */
enum em_result em_ex_push_seg(struct em_ctx *ctx)
{
	const struct em_segment *s;
	unsigned int size = ctx->d.size;
	struct em_stack st;
	enum em_result r;
	u64 sp, la;

	r = em_segment(ctx, ctx->d.op->arg, &s);
	if (r != EM_DONE)
		return r;
	if (size != 4)
		return push_one(ctx, s->selector);
	r = em_stack_begin(ctx, &st);
	if (r != EM_DONE)
		return r;
	sp = (st.sp - size) & em_mask(st.size);
	r = em_linear(ctx, EM_SEG_SS, sp, size, EM_ACC_STACK | EM_ACC_WRITE, &la);
	if (r == EM_DONE)
		r = em_la_write(ctx, la, &s->selector, 2, EM_ACC_STACK);
	if (r != EM_DONE)
		return r;
	st.sp = sp;
	em_stack_commit(ctx, &st);
	return em_next(ctx);
}

enum em_result em_ex_pop_seg(struct em_ctx *ctx)
{
	unsigned int seg = ctx->d.op->arg;
	struct em_stack st;
	enum em_result r;
	u64 selector;

	r = em_stack_begin(ctx, &st);
	if (r == EM_DONE)
		r = em_pop(ctx, &st, &selector, ctx->d.size);
	if (r == EM_DONE)
		r = em_load_data_segment(ctx, seg, selector);
	if (r != EM_DONE)
		return r;
	/* The stack pointer keeps the width it had in the old segment. */
	em_stack_commit(ctx, &st);
	if (seg == EM_SEG_SS)
		ctx->shadow = EM_SHADOW_MOV_SS;
	return em_next(ctx);
}

enum em_result em_ex_pusha(struct em_ctx *ctx)
{
	struct em_stack st;
	enum em_result r;
	unsigned int i;

	r = em_stack_begin(ctx, &st);
	for (i = 0; i < 8 && r == EM_DONE; i++)
		r = em_push(ctx, &st, ctx->gpr[i], ctx->d.size);
	if (r != EM_DONE)
		return r;
	em_stack_commit(ctx, &st);
	return em_next(ctx);
}

/* The image of RSP is skipped. */
enum em_result em_ex_popa(struct em_ctx *ctx)
{
	struct em_stack st;
	enum em_result r;
	u64 val[8];
	int i;

	r = em_stack_begin(ctx, &st);
	for (i = 7; i >= 0 && r == EM_DONE; i--)
		r = em_pop(ctx, &st, &val[i], ctx->d.size);
	if (r != EM_DONE)
		return r;
	for (i = 0; i < 8; i++)
		if (i != EM_RSP)
			em_gpr_merge(ctx, i, ctx->d.size, val[i]);
	em_stack_commit(ctx, &st);
	return em_next(ctx);
}

/*
 * Virtual-8086 mode with IOPL below 3: PUSHF and POPF fault, unless CR4.VME makes the 16-bit
 * forms work on VIF; *vme then becomes true.
 */
static enum em_result check_vm86(struct em_ctx *ctx, bool *vme)
{
	enum em_result r;
	u64 cr4;

	*vme = false;
	if (ctx->mode != EM_MODE_VM86 || em_iopl(ctx) == 3)
		return EM_DONE;
	r = em_cb_result(ctx->ops->get_cr(ctx, 4, &cr4));
	if (r != EM_DONE)
		return r;
	if (!(cr4 & EM_CR4_VME) || ctx->d.size != 2)
		return em_gp0(ctx);
	*vme = true;
	return EM_DONE;
}

enum em_result em_ex_pushf(struct em_ctx *ctx)
{
	u64 flags = (ctx->rflags & ~(u64)(EM_VM | EM_RF)) | 2;
	enum em_result r;
	bool vme;

	r = check_vm86(ctx, &vme);
	if (r != EM_DONE)
		return r;
	if (vme) {
		flags = (flags & ~(u64)EM_IF) | EM_IOPL;
		if (flags & EM_VIF)
			flags |= EM_IF;
	}
	return push_one(ctx, flags);
}

/* The flags POPF may change; see the table in "POPF/POPFD/POPFQ". */
static u64 popf_mask(const struct em_ctx *ctx)
{
	u64 mask = EM_ARITH | EM_TF | EM_DF | EM_NT;

	if (ctx->d.size != 2)
		mask |= EM_AC | EM_ID;
	if (ctx->cpl == 0)
		mask |= EM_IOPL;
	if (ctx->cpl <= em_iopl(ctx))
		mask |= EM_IF;
	return mask;
}

enum em_result em_ex_popf(struct em_ctx *ctx)
{
	struct em_stack st;
	enum em_result r;
	u64 val, mask;
	bool vme;

	r = check_vm86(ctx, &vme);
	if (r == EM_DONE)
		r = em_stack_begin(ctx, &st);
	if (r == EM_DONE)
		r = em_pop(ctx, &st, &val, ctx->d.size);
	if (r != EM_DONE)
		return r;
	mask = popf_mask(ctx);
	if (vme) {
		if ((val & EM_TF) || ((val & EM_IF) && (ctx->rflags & EM_VIP)))
			return em_gp0(ctx);
		mask |= EM_VIF;
		val = (val & ~(u64)EM_VIF) | (val & EM_IF ? EM_VIF : 0);
	}
	em_stack_commit(ctx, &st);
	ctx->rflags = (ctx->rflags & ~(mask | EM_RF)) | (val & mask);
	return em_next(ctx);
}

/* The frame pointers that ENTER copies at nesting levels above zero. */
static enum em_result enter_nested(struct em_ctx *ctx, struct em_stack *st, unsigned int level,
				   u64 frame)
{
	unsigned int size = ctx->d.size, i;
	u64 bp = ctx->gpr[EM_RBP] & em_mask(st->size), val;
	enum em_result r;

	for (i = 1; i < level; i++) {
		bp = (bp - size) & em_mask(st->size);
		val = 0;
		r = em_mem_read(ctx, EM_SEG_SS, bp, &val, size, EM_ACC_STACK);
		if (r == EM_DONE)
			r = em_push(ctx, st, val, size);
		if (r != EM_DONE)
			return r;
	}
	return em_push(ctx, st, frame, size);
}

/* Faults when the new stack pointer could not be pushed to, like the original. */
enum em_result em_ex_enter(struct em_ctx *ctx)
{
	unsigned int size = ctx->d.size, level = ctx->d.imm2 & 31;
	struct em_stack st;
	enum em_result r;
	u64 frame, la;

	r = em_stack_begin(ctx, &st);
	if (r == EM_DONE)
		r = em_push(ctx, &st, ctx->gpr[EM_RBP], size);
	if (r != EM_DONE)
		return r;
	/* With a 16-bit stack pointer the frame pointer still is all of ESP. */
	frame = (ctx->gpr[EM_RSP] & ~em_mask(st.size)) | st.sp;
	if (level) {
		r = enter_nested(ctx, &st, level, frame);
		if (r != EM_DONE)
			return r;
	}
	st.sp = (st.sp - (u16)ctx->d.imm) & em_mask(st.size);
	r = em_linear(ctx, EM_SEG_SS, st.sp, size, EM_ACC_STACK | EM_ACC_WRITE, &la);
	if (r == EM_DONE && ctx->ops->probe_write)
		r = em_cb_result(ctx->ops->probe_write(ctx, la, size,
						       EM_ACC_STACK | EM_ACC_WRITE));
	if (r != EM_DONE)
		return r;
	em_gpr_merge(ctx, EM_RBP, size, frame);
	em_stack_commit(ctx, &st);
	return em_next(ctx);
}

enum em_result em_ex_leave(struct em_ctx *ctx)
{
	struct em_stack st;
	enum em_result r;
	u64 val;

	r = em_stack_begin(ctx, &st);
	if (r != EM_DONE)
		return r;
	st.sp = ctx->gpr[EM_RBP] & em_mask(st.size);
	r = em_pop(ctx, &st, &val, ctx->d.size);
	if (r != EM_DONE)
		return r;
	em_stack_commit(ctx, &st);
	em_gpr_merge(ctx, EM_RBP, ctx->d.size, val);
	return em_next(ctx);
}
