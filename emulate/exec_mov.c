// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data movement without the stack: MOV and its relatives, flag instructions, small others.
 * It must not write memory before everything that can fault has been looked at.
 */
#include "exec.h"

enum em_result em_ex_mov(struct em_ctx *ctx)
{
	u32 flags = ctx->d.flags;
	enum em_result r;
	u64 val;

	r = em_src_read(ctx, OP_GET_SRC(flags), &val);
	if (r != EM_DONE)
		return r;
	if (OP_GET_DST(flags) == OPD_E) {
		r = em_rm_write(ctx, ctx->d.size, val);
		if (r != EM_DONE)
			return r;
	} else {
		em_dst_reg_write(ctx, OP_GET_DST(flags), val);
	}
	return em_next(ctx);
}

static __always_inline enum em_result store(struct em_ctx *ctx, u64 val)
{
	enum em_result r;

	if (ctx->d.mod == 3) {
		em_reg_write(ctx, ctx->d.rm, ctx->d.size, val);
		return em_next(ctx);
	}
	if (em_offset_is_linear(ctx, ctx->d.seg, ctx->d.ea, ctx->d.size))
		r = em_cb_result(ctx->ops->write(ctx, ctx->d.ea, &val, ctx->d.size, EM_ACC_WRITE));
	else
		r = em_mem_write(ctx, ctx->d.seg, ctx->d.ea, &val, ctx->d.size, 0);
	return likely(r == EM_DONE) ? em_next(ctx) : r;
}

/* The forms that devices are driven with most. */
enum em_result em_ex_mov_store(struct em_ctx *ctx)
{
	return store(ctx, em_reg_read(ctx, ctx->d.reg, ctx->d.size));
}

enum em_result em_ex_mov_store_imm(struct em_ctx *ctx)
{
	return store(ctx, ctx->d.imm);
}

enum em_result em_ex_mov_load(struct em_ctx *ctx)
{
	enum em_result r;
	u64 val = 0;

	if (ctx->d.mod != 3 &&
	    em_offset_is_linear(ctx, ctx->d.seg, ctx->d.ea, ctx->d.size))
		r = em_cb_result(ctx->ops->read(ctx, ctx->d.ea, &val, ctx->d.size, 0));
	else
		r = em_rm_read(ctx, ctx->d.size, &val);
	if (unlikely(r != EM_DONE))
		return r;
	em_reg_write(ctx, ctx->d.reg, ctx->d.size, val);
	return em_next(ctx);
}

/* There is no 16-bit form, not even in 16-bit code. */
enum em_result em_ex_movnti(struct em_ctx *ctx)
{
	unsigned int size = ctx->d.size == 8 ? 8 : 4;
	enum em_result r;

	if (!(ctx->features & EM_FEAT_SSE2))
		return em_ud(ctx);
	r = em_rm_write(ctx, size, em_reg_read(ctx, ctx->d.reg, size));
	return r == EM_DONE ? em_next(ctx) : r;
}

/* The argument is the source's size in bytes. */
enum em_result em_ex_movzx(struct em_ctx *ctx)
{
	enum em_result r;
	u64 val;

	r = em_rm_read(ctx, ctx->d.op->arg, &val);
	if (r != EM_DONE)
		return r;
	em_reg_write(ctx, ctx->d.reg, ctx->d.size, val);
	return em_next(ctx);
}

/* MOVSX, and with argument 4 MOVSXD, whose 16-bit form reads a word. */
enum em_result em_ex_movsx(struct em_ctx *ctx)
{
	unsigned int size = ctx->d.op->arg;
	enum em_result r;
	u64 val;

	if (size == 4 && ctx->d.size == 2)
		size = 2;
	r = em_rm_read(ctx, size, &val);
	if (r != EM_DONE)
		return r;
	em_reg_write(ctx, ctx->d.reg, ctx->d.size, em_sext(val, size));
	return em_next(ctx);
}

static u64 swap_bytes(u64 val, unsigned int size)
{
	return __builtin_bswap64(val) >> (64 - 8 * size);
}

enum em_result em_ex_movbe(struct em_ctx *ctx)
{
	unsigned int size = ctx->d.size;
	enum em_result r;
	u64 val;

	if (!(ctx->features & EM_FEAT_MOVBE))
		return em_ud(ctx);
	if (OP_GET_DST(ctx->d.flags) == OPD_G) {
		r = em_rm_read(ctx, size, &val);
		if (r == EM_DONE)
			em_reg_write(ctx, ctx->d.reg, size, swap_bytes(val, size));
	} else {
		val = swap_bytes(em_reg_read(ctx, ctx->d.reg, size), size);
		r = em_rm_write(ctx, size, val);
	}
	return r == EM_DONE ? em_next(ctx) : r;
}

/* Memory always gets a word, a register the zero-extended selector. */
enum em_result em_ex_mov_from_seg(struct em_ctx *ctx)
{
	unsigned int seg = ctx->d.reg & 7;
	const struct em_segment *s;
	enum em_result r;

	if (seg > EM_SEG_GS)
		return em_ud(ctx);
	r = em_segment(ctx, seg, &s);
	if (r != EM_DONE)
		return r;
	r = em_rm_write(ctx, ctx->d.mod == 3 ? ctx->d.size : 2, s->selector);
	return r == EM_DONE ? em_next(ctx) : r;
}

enum em_result em_ex_mov_to_seg(struct em_ctx *ctx)
{
	unsigned int seg = ctx->d.reg & 7;
	enum em_result r;
	u64 selector;

	if (seg > EM_SEG_GS || seg == EM_SEG_CS)
		return em_ud(ctx);
	r = em_rm_read(ctx, 2, &selector);
	if (r == EM_DONE)
		r = em_load_data_segment(ctx, seg, selector);
	if (r != EM_DONE)
		return r;
	if (seg == EM_SEG_SS)
		ctx->shadow = EM_SHADOW_MOV_SS;
	return em_next(ctx);
}

/* LES, LDS, LSS, LFS, LGS: offset, then selector. */
enum em_result em_ex_load_far(struct em_ctx *ctx)
{
	unsigned int size = ctx->d.size;
	u8 ptr[10];
	enum em_result r;
	u64 off = 0;
	u16 selector;

	r = em_mem_read(ctx, ctx->d.seg, ctx->d.ea, ptr, size + 2, 0);
	if (r != EM_DONE)
		return r;
	memcpy(&off, ptr, size);
	memcpy(&selector, ptr + size, 2);
	r = em_load_data_segment(ctx, ctx->d.op->arg, selector);
	if (r != EM_DONE)
		return r;
	em_reg_write(ctx, ctx->d.reg, size, off);
	return em_next(ctx);
}

enum em_result em_ex_lea(struct em_ctx *ctx)
{
	em_reg_write(ctx, ctx->d.reg, ctx->d.size, ctx->d.ea);
	return em_next(ctx);
}

enum em_result em_ex_xlat(struct em_ctx *ctx)
{
	unsigned int seg = ctx->d.seg_override == EM_SEG_COUNT ? EM_SEG_DS : ctx->d.seg_override;
	u64 off = ctx->gpr[EM_RBX] + (ctx->gpr[EM_RAX] & 0xff);
	enum em_result r;
	u64 val = 0;

	r = em_mem_read(ctx, seg, off & em_mask(ctx->d.adsize), &val, 1, 0);
	if (r != EM_DONE)
		return r;
	em_gpr_merge(ctx, EM_RAX, 1, val);
	return em_next(ctx);
}

/* CBW, CWDE, CDQE */
enum em_result em_ex_cbw(struct em_ctx *ctx)
{
	unsigned int size = ctx->d.size;

	em_gpr_merge(ctx, EM_RAX, size, em_sext(ctx->gpr[EM_RAX] & em_mask(size / 2), size / 2));
	return em_next(ctx);
}

/* CWD, CDQ, CQO */
enum em_result em_ex_cwd(struct em_ctx *ctx)
{
	unsigned int size = ctx->d.size;

	em_gpr_merge(ctx, EM_RDX, size, em_sext(ctx->gpr[EM_RAX], size) < 0 ? ~0ull : 0);
	return em_next(ctx);
}

/* The source is read, and a 32-bit destination zero-extended, whatever the condition says. */
enum em_result em_ex_cmov(struct em_ctx *ctx)
{
	unsigned int size = ctx->d.size;
	enum em_result r;
	u64 val;

	r = em_rm_read(ctx, size, &val);
	if (r != EM_DONE)
		return r;
	if (!em_cond(ctx->rflags, ctx->d.opcode))
		val = em_reg_read(ctx, ctx->d.reg, size);
	em_reg_write(ctx, ctx->d.reg, size, val);
	return em_next(ctx);
}

enum em_result em_ex_setcc(struct em_ctx *ctx)
{
	enum em_result r;

	r = em_rm_write(ctx, 1, em_cond(ctx->rflags, ctx->d.opcode));
	return r == EM_DONE ? em_next(ctx) : r;
}

enum em_result em_ex_sahf(struct em_ctx *ctx)
{
	u64 mask = EM_SF | EM_ZF | EM_AF | EM_PF | EM_CF;

	ctx->rflags = (ctx->rflags & ~mask) | ((ctx->gpr[EM_RAX] >> 8) & mask);
	return em_next(ctx);
}

enum em_result em_ex_lahf(struct em_ctx *ctx)
{
	u64 mask = EM_SF | EM_ZF | EM_AF | EM_PF | EM_CF;
	u64 ah = (ctx->rflags & mask) | 2;

	ctx->gpr[EM_RAX] = (ctx->gpr[EM_RAX] & ~0xff00ul) | ah << 8;
	return em_next(ctx);
}

enum em_result em_ex_flag(struct em_ctx *ctx)
{
	switch (ctx->d.op->arg) {
	case EM_FLAG_CMC:
		ctx->rflags ^= EM_CF;
		break;
	case EM_FLAG_CLC:
		ctx->rflags &= ~(u64)EM_CF;
		break;
	case EM_FLAG_STC:
		ctx->rflags |= EM_CF;
		break;
	case EM_FLAG_CLD:
		ctx->rflags &= ~(u64)EM_DF;
		break;
	case EM_FLAG_STD:
		ctx->rflags |= EM_DF;
		break;
	}
	return em_next(ctx);
}

static void set_if(struct em_ctx *ctx, bool on)
{
	if (on && !(ctx->rflags & EM_IF))
		ctx->shadow = EM_SHADOW_STI;
	ctx->rflags = on ? ctx->rflags | EM_IF : ctx->rflags & ~(u64)EM_IF;
}

/*
 * CLI and STI; without the privilege for IF they work on VIF where virtual interrupts are on
 * (CR4.VME in virtual-8086 mode, CR4.PVI at CPL 3).
 */
enum em_result em_ex_cli_sti(struct em_ctx *ctx)
{
	bool on = ctx->d.op->arg;
	enum em_result r;
	u64 cr4, need;

	if (ctx->mode == EM_MODE_REAL || ctx->cpl <= em_iopl(ctx)) {
		set_if(ctx, on);
		return em_next(ctx);
	}
	if (ctx->cpl != 3)
		return em_gp0(ctx);
	r = em_cb_result(ctx->ops->get_cr(ctx, 4, &cr4));
	if (r != EM_DONE)
		return r;
	need = ctx->mode == EM_MODE_VM86 ? EM_CR4_VME : EM_CR4_PVI;
	if (!(cr4 & need) || (on && (ctx->rflags & EM_VIP)))
		return em_gp0(ctx);
	ctx->rflags = on ? ctx->rflags | EM_VIF : ctx->rflags & ~(u64)EM_VIF;
	return em_next(ctx);
}

enum em_result em_ex_nop(struct em_ctx *ctx)
{
	return em_next(ctx);
}

/* x87 errors that are pending in the FPU are not looked for. */
enum em_result em_ex_fwait(struct em_ctx *ctx)
{
	enum em_result r;
	u64 cr0;

	r = em_cr0(ctx, &cr0);
	if (r != EM_DONE)
		return r;
	if ((cr0 & (EM_CR0_MP | EM_CR0_TS)) == (EM_CR0_MP | EM_CR0_TS))
		return em_fault(ctx, EM_EXC_NM, 0);
	return em_next(ctx);
}

/* Faults as a byte load does, and changes nothing. */
enum em_result em_ex_clflush(struct em_ctx *ctx)
{
	enum em_result r;
	u64 la;

	r = em_linear(ctx, ctx->d.seg, ctx->d.ea, 1, 0, &la);
	return r == EM_DONE ? em_next(ctx) : r;
}

enum em_result em_ex_ud(struct em_ctx *ctx)
{
	return em_ud(ctx);
}

enum em_result em_ex_hlt(struct em_ctx *ctx)
{
	if (ctx->cpl)
		return em_gp0(ctx);
	ctx->rip = ctx->d.next_rip;
	return EM_HALT;
}

enum em_result em_ex_bound(struct em_ctx *ctx)
{
	unsigned int size = ctx->d.size;
	s64 index = em_sext(em_reg_read(ctx, ctx->d.reg, size), size);
	u64 bounds = 0, low, high;
	enum em_result r;

	r = em_mem_read(ctx, ctx->d.seg, ctx->d.ea, &bounds, 2 * size, 0);
	if (r != EM_DONE)
		return r;
	low = bounds & em_mask(size);
	high = bounds >> (8 * size);
	if (index < em_sext(low, size) || index > em_sext(high, size))
		return em_fault(ctx, EM_EXC_BR, 0);
	return em_next(ctx);
}

/* Raises the RPL of a selector to that of another one; writes only when there is need. */
enum em_result em_ex_arpl(struct em_ctx *ctx)
{
	u64 rpl = em_reg_read(ctx, ctx->d.reg, 2) & 3, selector;
	enum em_result r;
	bool raise;

	r = em_rm_read(ctx, 2, &selector);
	if (r != EM_DONE)
		return r;
	raise = (selector & 3) < rpl;
	if (raise) {
		r = em_rm_write(ctx, 2, (selector & ~3ull) | rpl);
		if (r != EM_DONE)
			return r;
	}
	ctx->rflags = (ctx->rflags & ~(u64)EM_ZF) | (raise ? EM_ZF : 0);
	return em_next(ctx);
}
