// SPDX-License-Identifier: GPL-2.0-only
/*
 * Near branches: Jcc, LOOP, JMP, CALL, RET.
 * It must not change RIP to what the code segment does not contain.
 */
#include "exec.h"

/* Truncate a near target to the operand size and check it against the code segment. */
enum em_result em_check_target(struct em_ctx *ctx, u64 *rip)
{
	const struct em_segment *cs;
	enum em_result r;

	if (em_is64(ctx))
		return em_canonical(ctx, *rip) ? EM_DONE : em_gp0(ctx);
	*rip &= ctx->d.size == 2 ? 0xffff : 0xffffffff;
	r = em_segment(ctx, EM_SEG_CS, &cs);
	if (r != EM_DONE)
		return r;
	return *rip > cs->limit ? em_gp0(ctx) : EM_DONE;
}

static enum em_result jump_to(struct em_ctx *ctx, u64 rip)
{
	enum em_result r = em_check_target(ctx, &rip);

	if (r == EM_DONE)
		ctx->rip = rip;
	return r;
}

static enum em_result jump_relative(struct em_ctx *ctx)
{
	return jump_to(ctx, ctx->d.next_rip + ctx->d.imm);
}

static enum em_result call_to(struct em_ctx *ctx, u64 rip)
{
	struct em_stack st;
	enum em_result r;

	r = em_check_target(ctx, &rip);
	if (r == EM_DONE)
		r = em_stack_begin(ctx, &st);
	if (r == EM_DONE)
		r = em_push(ctx, &st, ctx->d.next_rip, ctx->d.size);
	if (r != EM_DONE)
		return r;
	em_stack_commit(ctx, &st);
	ctx->rip = rip;
	return EM_DONE;
}

enum em_result em_ex_jcc(struct em_ctx *ctx)
{
	if (!em_cond(ctx->rflags, ctx->d.opcode))
		return em_next(ctx);
	return jump_relative(ctx);
}

/* LOOPNE, LOOPE, LOOP and JCXZ; the address size selects the counter. */
enum em_result em_ex_loop(struct em_ctx *ctx)
{
	u64 count = ctx->gpr[EM_RCX];
	unsigned int kind = ctx->d.op->arg;
	enum em_result r;
	bool taken;

	if (kind == 3) {
		taken = !(count & em_mask(ctx->d.adsize));
	} else {
		count--;
		taken = count & em_mask(ctx->d.adsize);
		if (kind < 2)
			taken = taken && !!(ctx->rflags & EM_ZF) == kind;
	}
	r = taken ? jump_relative(ctx) : em_next(ctx);
	if (r == EM_DONE && kind != 3)
		em_gpr_merge(ctx, EM_RCX, ctx->d.adsize, count);
	return r;
}

enum em_result em_ex_jmp(struct em_ctx *ctx)
{
	return jump_relative(ctx);
}

enum em_result em_ex_call(struct em_ctx *ctx)
{
	return call_to(ctx, ctx->d.next_rip + ctx->d.imm);
}

enum em_result em_ex_jmp_rm(struct em_ctx *ctx)
{
	enum em_result r;
	u64 rip;

	r = em_rm_read(ctx, ctx->d.size, &rip);
	return r == EM_DONE ? jump_to(ctx, rip) : r;
}

enum em_result em_ex_call_rm(struct em_ctx *ctx)
{
	enum em_result r;
	u64 rip;

	r = em_rm_read(ctx, ctx->d.size, &rip);
	return r == EM_DONE ? call_to(ctx, rip) : r;
}

/* With argument 1 the immediate bytes are dropped from the stack afterwards. */
enum em_result em_ex_ret(struct em_ctx *ctx)
{
	struct em_stack st;
	enum em_result r;
	u64 rip;

	r = em_stack_begin(ctx, &st);
	if (r == EM_DONE)
		r = em_pop(ctx, &st, &rip, ctx->d.size);
	if (r == EM_DONE)
		r = em_check_target(ctx, &rip);
	if (r != EM_DONE)
		return r;
	if (ctx->d.op->arg)
		st.sp = (st.sp + ctx->d.imm) & em_mask(st.size);
	em_stack_commit(ctx, &st);
	ctx->rip = rip;
	return EM_DONE;
}
