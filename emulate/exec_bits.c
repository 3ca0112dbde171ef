// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bit tests, bit scans and counts, byte swaps, and the exchange instructions.
 * It must not treat XCHG with memory as anything but LOCKed.
 */
#include "exec.h"

/* a->src is the bit number within the operand; only CF changes. */
static void bit_test(struct em_alu *a)
{
	u64 bit = 1ull << a->src;

	a->flags = (a->flags & ~(u64)EM_CF) | (a->dst & bit ? EM_CF : 0);
	switch (a->op) {
	case EM_BTS:
		a->dst |= bit;
		break;
	case EM_BTR:
		a->dst &= ~bit;
		break;
	case EM_BTC:
		a->dst ^= bit;
		break;
	}
}

/*
 * A bit number in a register reaches beyond a memory operand, in both directions; an
 * immediate one does not ("BT--Bit Test").
 */
static u64 bit_address(const struct em_ctx *ctx, u64 offset)
{
	unsigned int size = ctx->d.size;
	s64 units = em_sext(offset, size) >> (size == 8 ? 6 : size == 4 ? 5 : 4);

	return (ctx->d.ea + units * size) & em_mask(ctx->d.adsize);
}

enum em_result em_ex_bt(struct em_ctx *ctx)
{
	struct em_alu a = { .size = ctx->d.size, .op = ctx->d.op->arg };
	unsigned int kind = OP_GET_SRC(ctx->d.flags);
	u64 offset, ea = ctx->d.ea;
	enum em_result r;

	r = em_src_read(ctx, kind, &offset);
	if (r != EM_DONE)
		return r;
	a.src = offset & (8 * a.size - 1);
	if (kind == OPD_G && ctx->d.mod != 3)
		ctx->d.ea = bit_address(ctx, offset);
	if (a.op == EM_BT) {
		a.flags = ctx->rflags;
		r = em_rm_read(ctx, a.size, &a.dst);
		if (r == EM_DONE)
			bit_test(&a);
	} else {
		r = em_rmw(ctx, &a, bit_test);
	}
	/* The instruction may be executed again without being decoded again. */
	ctx->d.ea = ea;
	if (r != EM_DONE)
		return r;
	em_set_arith(ctx, a.flags);
	return em_next(ctx);
}

#define DO_SCAN(text)							\
	asm(text "\n\t"							\
	    "pushfq\n\t"						\
	    "popq %[f]"							\
	    : [d] "+r" (a->dst), [f] "=r" (a->flags)			\
	    : [s] "r" (a->src) : "cc")

static void scan_forward(struct em_alu *a)
{
	if (a->size == 2)
		DO_SCAN("bsfw %w[s], %w[d]");
	else if (a->size == 4)
		DO_SCAN("bsfl %k[s], %k[d]");
	else
		DO_SCAN("bsfq %q[s], %q[d]");
}

static void scan_reverse(struct em_alu *a)
{
	if (a->size == 2)
		DO_SCAN("bsrw %w[s], %w[d]");
	else if (a->size == 4)
		DO_SCAN("bsrl %k[s], %k[d]");
	else
		DO_SCAN("bsrq %q[s], %q[d]");
}

/* TZCNT and LZCNT: like a scan, but defined for zero, and CF says that it was zero. */
static enum em_result count_zeros(struct em_ctx *ctx, struct em_alu *a, bool leading)
{
	unsigned int bits = 8 * a->size;
	u64 result = bits;

	if (a->src && leading)
		result = bits - 64 + __builtin_clzll(a->src);
	else if (a->src)
		result = __builtin_ctzll(a->src);
	em_reg_write(ctx, ctx->d.reg, a->size, result);
	ctx->rflags &= ~(u64)(EM_CF | EM_ZF);
	ctx->rflags |= (a->src ? 0 : EM_CF) | (result ? 0 : EM_ZF);
	return em_next(ctx);
}

/* BSF, TZCNT, and with argument 1 BSR, LZCNT */
enum em_result em_ex_bit_scan(struct em_ctx *ctx)
{
	bool reverse = ctx->d.op->arg;
	u32 counting = reverse ? EM_FEAT_LZCNT : EM_FEAT_BMI1;
	struct em_alu a = { .size = ctx->d.size };
	enum em_result r;

	r = em_rm_read(ctx, a.size, &a.src);
	if (r != EM_DONE)
		return r;
	if (ctx->d.rep == 0xf3 && (ctx->features & counting))
		return count_zeros(ctx, &a, reverse);
	if (!a.src) {
		/* The destination stays as it is, including the half that is otherwise cleared. */
		ctx->rflags |= EM_ZF;
		return em_next(ctx);
	}
	a.dst = 0;
	if (reverse)
		scan_reverse(&a);
	else
		scan_forward(&a);
	em_reg_write(ctx, ctx->d.reg, a.size, a.dst);
	em_set_arith(ctx, a.flags);
	return em_next(ctx);
}

enum em_result em_ex_popcnt(struct em_ctx *ctx)
{
	enum em_result r;
	u64 src, v;

	if (!(ctx->features & EM_FEAT_POPCNT))
		return em_ud(ctx);
	r = em_rm_read(ctx, ctx->d.size, &src);
	if (r != EM_DONE)
		return r;
	v = src - ((src >> 1) & 0x5555555555555555ull);
	v = (v & 0x3333333333333333ull) + ((v >> 2) & 0x3333333333333333ull);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0full;
	em_reg_write(ctx, ctx->d.reg, ctx->d.size, (v * 0x0101010101010101ull) >> 56);
	em_set_arith(ctx, src ? 0 : EM_ZF);
	return em_next(ctx);
}

/* With a 16-bit operand the result is undefined; processors write zero. */
enum em_result em_ex_bswap(struct em_ctx *ctx)
{
	unsigned int reg = (ctx->d.opcode & 7) | (ctx->d.rex & 1) << 3;
	u64 val = ctx->gpr[reg];

	if (ctx->d.size == 8)
		val = __builtin_bswap64(val);
	else if (ctx->d.size == 4)
		val = __builtin_bswap32(val);
	else
		val = 0;
	em_reg_write(ctx, reg, ctx->d.size, val);
	return em_next(ctx);
}

/* Leaves the sum in dst; the old value follows from it. */
static void add_values(struct em_alu *a)
{
	a->op = EM_ALU_ADD;
	em_alu_do(a);
}

enum em_result em_ex_xadd(struct em_ctx *ctx)
{
	struct em_alu a = { .size = ctx->d.size };
	enum em_result r;

	a.src = em_reg_read(ctx, ctx->d.reg, a.size);
	if (ctx->d.mod == 3) {
		a.dst = em_reg_read(ctx, ctx->d.rm, a.size);
		a.flags = ctx->rflags;
		em_reg_write(ctx, ctx->d.reg, a.size, a.dst);
		add_values(&a);
		em_reg_write(ctx, ctx->d.rm, a.size, a.dst);
	} else {
		r = em_rmw(ctx, &a, add_values);
		if (r != EM_DONE)
			return r;
		em_reg_write(ctx, ctx->d.reg, a.size, a.dst - a.src);
	}
	em_set_arith(ctx, a.flags);
	return em_next(ctx);
}

/* Keeps the old value in a->flags, which XCHG does not need otherwise. */
static void exchange(struct em_alu *a)
{
	a->flags = a->dst;
	a->dst = a->src;
}

enum em_result em_ex_xchg(struct em_ctx *ctx)
{
	struct em_alu a = { .size = ctx->d.size };
	enum em_result r;

	a.src = em_reg_read(ctx, ctx->d.reg, a.size);
	if (ctx->d.mod != 3)
		ctx->d.lock = true;
	r = em_rmw(ctx, &a, exchange);
	if (r != EM_DONE)
		return r;
	em_reg_write(ctx, ctx->d.reg, a.size, a.flags);
	return em_next(ctx);
}

/* 90 to 97; 90 itself is NOP unless REX.B makes it R8. */
enum em_result em_ex_xchg_acc(struct em_ctx *ctx)
{
	unsigned int reg = (ctx->d.opcode & 7) | (ctx->d.rex & 1) << 3;
	unsigned int size = ctx->d.size;
	u64 val;

	if (reg == EM_RAX)
		return em_next(ctx);
	val = em_reg_read(ctx, reg, size);
	em_gpr_merge(ctx, reg, size, ctx->gpr[EM_RAX]);
	em_gpr_merge(ctx, EM_RAX, size, val);
	return em_next(ctx);
}

/*
 * The accumulator is compared with the operand; the operand is written either way, with its
 * own value when they differ. CMPXCHG keeps three values apart: a->op is 1 on success.
 */
struct cmpxchg {
	struct em_alu a;
	u64 acc;
	u64 found;
};

static void compare_exchange(struct em_alu *a)
{
	struct cmpxchg *c = (struct cmpxchg *)a;
	struct em_alu cmp = {
		.dst = c->acc, .src = a->dst, .flags = a->flags, .size = a->size, .op = EM_ALU_CMP,
	};

	c->found = a->dst;
	em_alu_do(&cmp);
	a->flags = cmp.flags;
	a->op = c->acc == c->found;
	if (a->op)
		a->dst = a->src;
}

enum em_result em_ex_cmpxchg(struct em_ctx *ctx)
{
	struct cmpxchg c = { .a = { .size = ctx->d.size } };
	enum em_result r;
	u64 rm_full = 0;

	c.acc = em_reg_read(ctx, EM_RAX, c.a.size == 1 ? 8 : c.a.size) & em_mask(c.a.size);
	c.a.src = em_reg_read(ctx, ctx->d.reg, c.a.size);
	if (ctx->d.mod == 3)
		rm_full = ctx->gpr[ctx->d.rm];
	r = em_rmw(ctx, &c.a, compare_exchange);
	if (r != EM_DONE)
		return r;
	if (!c.a.op) {
		/* A register operand that keeps its value keeps its upper half as well. */
		if (ctx->d.mod == 3 && c.a.size == 4)
			ctx->gpr[ctx->d.rm] = rm_full;
		em_gpr_merge(ctx, EM_RAX, c.a.size, c.found);
	}
	em_set_arith(ctx, c.a.flags);
	return em_next(ctx);
}

/* CMPXCHG8B and CMPXCHG16B on @n bytes at @la, whose value is in @found. */
static enum em_result exchange_pair(struct em_ctx *ctx, u64 la, unsigned int half, u64 *found,
				    bool *equal)
{
	u64 mask = em_mask(half), old[2], new[2], expect[2];
	enum em_result r;
	int i;

	expect[0] = ctx->gpr[EM_RAX] & mask;
	expect[1] = ctx->gpr[EM_RDX] & mask;
	for (i = 0; i < EM_LOCK_MAX; i++) {
		*equal = found[0] == expect[0] && found[1] == expect[1];
		new[0] = *equal ? ctx->gpr[EM_RBX] & mask : found[0];
		new[1] = *equal ? ctx->gpr[EM_RCX] & mask : found[1];
		if (half == 4) {
			old[0] = found[0] | found[1] << 32;
			new[0] |= new[1] << 32;
		} else {
			old[0] = found[0];
			old[1] = found[1];
		}
		if (!ctx->d.lock)
			return em_la_write(ctx, la, new, 2 * half, EM_ACC_RMW);
		r = em_cb_result(ctx->ops->cmpxchg(ctx, la, old, new, 2 * half));
		if (r != EM_DONE)
			return r;
		if (half == 4) {
			old[1] = old[0] >> 32;
			old[0] = (u32)old[0];
		}
		if (old[0] == found[0] && old[1] == found[1])
			return EM_DONE;
		found[0] = old[0];
		found[1] = old[1];
	}
	return EM_RESTART;
}

enum em_result em_ex_cmpxchg8b(struct em_ctx *ctx)
{
	unsigned int half = ctx->d.size == 8 ? 8 : 4;
	unsigned int acc = EM_ACC_RMW | (ctx->d.lock ? EM_ACC_LOCK : 0);
	enum em_result r;
	u64 found[2], la;
	bool equal;

	if (half == 8 && !(ctx->features & EM_FEAT_CX16))
		return em_ud(ctx);
	r = em_linear(ctx, ctx->d.seg, ctx->d.ea, 2 * half, acc, &la);
	if (r != EM_DONE)
		return r;
	if (half == 8 && (la & 15))
		return em_gp0(ctx);
	r = em_la_read(ctx, la, found, 2 * half, acc);
	if (r != EM_DONE)
		return r;
	if (half == 4) {
		found[1] = found[0] >> 32;
		found[0] = (u32)found[0];
	}
	r = exchange_pair(ctx, la, half, found, &equal);
	if (r != EM_DONE)
		return r;
	ctx->rflags &= ~(u64)EM_ZF;
	if (equal) {
		ctx->rflags |= EM_ZF;
	} else {
		em_gpr_merge(ctx, EM_RAX, half, found[0]);
		em_gpr_merge(ctx, EM_RDX, half, found[1]);
	}
	return em_next(ctx);
}
