// SPDX-License-Identifier: GPL-2.0-only
/*
 * Port I/O: IN, OUT and their string forms, and the permission checks before them.
 * It must not touch a port before the memory operand is known to be accessible.
 */
#include "exec.h"

/* VMware's backdoor: commands, and messages. */
#define VMWARE_PORT	0x5658
#define VMWARE_RPC_PORT	0x5659

bool em_is_backdoor(const struct em_ctx *ctx)
{
	enum em_result (*exec)(struct em_ctx *ctx) = ctx->d.op->exec;

	return exec == em_ex_in || exec == em_ex_out || exec == em_ex_ins || exec == em_ex_outs ||
	       exec == em_ex_rdpmc;
}

static bool is_open(const struct em_ctx *ctx, u16 port)
{
	return ctx->features & EM_FEAT_VMWARE && (port == VMWARE_PORT || port == VMWARE_RPC_PORT);
}

/*
 * "I/O Permission Bit Map": above IOPL, and always in virtual-8086 mode, the TSS decides. Two
 * bytes of the map are read, whatever the access's size.
 */
enum em_result em_io_allowed(struct em_ctx *ctx, u16 port, unsigned int size)
{
	const struct em_segment *tr;
	enum em_result r;
	u32 map_at;
	u16 word;

	if (ctx->mode == EM_MODE_REAL)
		return EM_DONE;
	if (ctx->mode != EM_MODE_VM86 && ctx->cpl <= em_iopl(ctx))
		return EM_DONE;
	if (is_open(ctx, port))
		return EM_DONE;
	r = em_segment(ctx, EM_SEG_TR, &tr);
	if (r != EM_DONE)
		return r;
	if ((tr->ar & EM_AR_UNUSABLE) || (tr->ar & 13) != 9 || tr->limit < 103)
		return em_gp0(ctx);
	r = em_la_read(ctx, tr->base + 102, &word, 2, EM_ACC_SYSTEM);
	if (r != EM_DONE)
		return r;
	map_at = word + port / 8;
	if (map_at + 1 > tr->limit)
		return em_gp0(ctx);
	r = em_la_read(ctx, tr->base + map_at, &word, 2, EM_ACC_SYSTEM);
	if (r != EM_DONE)
		return r;
	if (word >> (port & 7) & ((1u << size) - 1))
		return em_gp0(ctx);
	return EM_DONE;
}

/* There are no 64-bit ports. */
static unsigned int port_size(const struct em_ctx *ctx)
{
	return ctx->d.size == 8 ? 4 : ctx->d.size;
}

static u16 port_number(const struct em_ctx *ctx)
{
	if (OP_GET_SRC(ctx->d.flags) == OPD_IMM)
		return ctx->d.imm;
	return ctx->gpr[EM_RDX];
}

enum em_result em_ex_in(struct em_ctx *ctx)
{
	unsigned int size = port_size(ctx);
	u16 port = port_number(ctx);
	enum em_result r;
	u64 val = 0;

	r = em_io_allowed(ctx, port, size);
	if (r == EM_DONE)
		r = em_cb_result(ctx->ops->port_in(ctx, port, size, &val, 1));
	if (r == EM_IO_PENDING) {
		/* Who answers may change RDX as well, as VMware's does: the port stays. */
		ctx->d.imm = port;
		ctx->d.flags = (ctx->d.flags & ~OP_SRC_MASK) | OP_SRC(IMM);
	}
	if (r != EM_DONE)
		return r;
	em_gpr_merge(ctx, EM_RAX, size, val);
	return em_next(ctx);
}

enum em_result em_ex_out(struct em_ctx *ctx)
{
	unsigned int size = port_size(ctx);
	u16 port = port_number(ctx);
	u64 val = ctx->gpr[EM_RAX];
	enum em_result r;

	r = em_io_allowed(ctx, port, size);
	if (r == EM_DONE)
		r = em_cb_result(ctx->ops->port_out(ctx, port, size, &val, 1));
	return r == EM_DONE ? em_next(ctx) : r;
}

/*
 * How many elements can go in one batch: all in one page and without a wrap of the offset, so
 * that the batch faults exactly when its first element does. One when it cannot be more.
 */
static unsigned int batch_size(struct em_ctx *ctx, enum em_seg seg, u64 off, unsigned int size,
			       unsigned int acc, u64 la)
{
	u64 left = ctx->gpr[EM_RCX] & em_mask(ctx->d.adsize);
	u64 room = 4096 - (la & 4095);
	u64 to_wrap = em_mask(ctx->d.adsize) - off;
	u64 n, ignored;

	if (!ctx->d.rep || (ctx->rflags & (EM_DF | EM_TF)))
		return 1;
	if (room > EM_BUF_SIZE)
		room = EM_BUF_SIZE;
	if (room > to_wrap)
		room = to_wrap;
	n = room / size;
	if (n > left)
		n = left;
	if (n < 2 || em_linear(ctx, seg, off, n * size, acc, &ignored) != EM_DONE)
		return 1;
	return n;
}

/* Commit @n elements of a possibly repeated instruction. */
static enum em_result finish(struct em_ctx *ctx, unsigned int reg, unsigned int size,
			     unsigned int n)
{
	u64 bytes = (u64)size * n;

	if (ctx->rflags & EM_DF)
		bytes = -bytes;
	em_gpr_merge(ctx, reg, ctx->d.adsize, ctx->gpr[reg] + bytes);
	if (!ctx->d.rep)
		return em_next(ctx);
	em_gpr_merge(ctx, EM_RCX, ctx->d.adsize, ctx->gpr[EM_RCX] - n);
	if (!(ctx->gpr[EM_RCX] & em_mask(ctx->d.adsize)))
		return em_next(ctx);
	if (ctx->ops->iter_done)
		ctx->ops->iter_done(ctx);
	return EM_RESTART;
}

/* See that the destination can be written, before the port is read. */
static enum em_result probe(struct em_ctx *ctx, u64 la, unsigned int size, unsigned int *n)
{
	unsigned int acc = EM_ACC_WRITE | EM_ACC_STRING;
	enum em_cb cb;

	if (!ctx->ops->probe_write) {
		*n = 1;
		return EM_DONE;
	}
	cb = EM_CB_SPLIT;
	if (*n > 1)
		cb = ctx->ops->probe_write(ctx, la, size * *n, acc | EM_ACC_BATCH);
	if (cb == EM_CB_SPLIT) {
		*n = 1;
		cb = ctx->ops->probe_write(ctx, la, size, acc);
	}
	return em_cb_result(cb);
}

static enum em_result ins_some(struct em_ctx *ctx)
{
	unsigned int size = port_size(ctx), acc = EM_ACC_STRING, n;
	u64 off = ctx->gpr[EM_RDI] & em_mask(ctx->d.adsize), la;
	u16 port = ctx->gpr[EM_RDX];
	enum em_result r;

	r = em_linear(ctx, EM_SEG_ES, off, size, acc | EM_ACC_WRITE, &la);
	if (r != EM_DONE)
		return r;
	n = batch_size(ctx, EM_SEG_ES, off, size, acc | EM_ACC_WRITE, la);
	r = probe(ctx, la, size, &n);
	if (r == EM_DONE)
		r = em_cb_result(ctx->ops->port_in(ctx, port, size, ctx->buf, n));
	if (r == EM_DONE)
		r = em_la_write(ctx, la, ctx->buf, size * n, acc);
	return r == EM_DONE ? finish(ctx, EM_RDI, size, n) : r;
}

static enum em_result outs_some(struct em_ctx *ctx)
{
	unsigned int size = port_size(ctx), acc = EM_ACC_STRING, n;
	enum em_seg seg = ctx->d.seg_override;
	u64 off = ctx->gpr[EM_RSI] & em_mask(ctx->d.adsize), la;
	u16 port = ctx->gpr[EM_RDX];
	enum em_cb cb = EM_CB_SPLIT;
	enum em_result r;

	if (seg == EM_SEG_COUNT)
		seg = EM_SEG_DS;
	r = em_linear(ctx, seg, off, size, acc, &la);
	if (r != EM_DONE)
		return r;
	n = batch_size(ctx, seg, off, size, acc, la);
	if (n > 1)
		cb = ctx->ops->read(ctx, la, ctx->buf, size * n, acc | EM_ACC_BATCH);
	if (cb == EM_CB_SPLIT) {
		n = 1;
		r = em_la_read(ctx, la, ctx->buf, size, acc);
	} else {
		r = em_cb_result(cb);
	}
	if (r == EM_DONE)
		r = em_cb_result(ctx->ops->port_out(ctx, port, size, ctx->buf, n));
	return r == EM_DONE ? finish(ctx, EM_RSI, size, n) : r;
}

/* Permission is checked even when the count says that nothing is to be done. */
static enum em_result repeat(struct em_ctx *ctx, em_exec_fn some)
{
	enum em_result r;
	int i;

	r = em_io_allowed(ctx, ctx->gpr[EM_RDX], port_size(ctx));
	if (r != EM_DONE)
		return r;
	r = EM_RESTART;
	if (ctx->d.rep && !(ctx->gpr[EM_RCX] & em_mask(ctx->d.adsize)))
		return em_next(ctx);
	for (i = 0; i < EM_REP_MAX && r == EM_RESTART; i++) {
		r = some(ctx);
		if (ctx->rflags & EM_TF)
			break;
	}
	return r;
}

enum em_result em_ex_ins(struct em_ctx *ctx)
{
	return repeat(ctx, ins_some);
}

enum em_result em_ex_outs(struct em_ctx *ctx)
{
	return repeat(ctx, outs_some);
}
