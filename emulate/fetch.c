// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fetching of instruction bytes, page by page, with the limits and the length they may have.
 * It must not fetch from a page that the instruction does not reach.
 */
#include "internal.h"

/* How many of the next bytes, at most @want, lie in one page and within the CS limit. */
static enum em_result fetch_window(struct em_ctx *ctx, u64 *la, unsigned int *want)
{
	const struct em_segment *cs;
	enum em_result r;
	u32 off;

	if (em_is64(ctx)) {
		*la = ctx->rip + ctx->fetched;
		if (!em_canonical(ctx, *la))
			return em_gp0(ctx);
	} else {
		r = em_segment(ctx, EM_SEG_CS, &cs);
		if (r != EM_DONE)
			return r;
		off = (u32)ctx->rip + ctx->fetched;
		if (off > cs->limit || off < (u32)ctx->rip)
			return em_gp0(ctx);
		if (*want - 1 > cs->limit - off)
			*want = cs->limit - off + 1;
		*la = (u32)(cs->base + off);
	}
	if (*want > 4096 - (*la & 4095))
		*want = 4096 - (*la & 4095);
	return EM_DONE;
}

/* Have at least @end bytes of the instruction, or know why there are not so many. */
enum em_result em_fetch(struct em_ctx *ctx, unsigned int end)
{
	unsigned int want;
	enum em_result r;
	u64 la = 0;

	while (ctx->fetched < end) {
		if (end > EM_INSN_MAX)
			return em_gp0(ctx);
		want = EM_INSN_MAX - ctx->fetched;
		r = fetch_window(ctx, &la, &want);
		if (r != EM_DONE)
			return r;
		r = em_cb_result(ctx->ops->fetch(ctx, la, ctx->insn + ctx->fetched, want));
		if (r != EM_DONE)
			return r;
		ctx->fetched += want;
	}
	return EM_DONE;
}
