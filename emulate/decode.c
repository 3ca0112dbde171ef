// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instruction decoding: prefixes, opcode tables, ModRM, SIB, displacement, immediates.
 * It must not read or change anything of the guest but instruction bytes.
 */
#include "internal.h"
#include "exec.h"

enum {
	PFX_NONE,
	PFX_SEG,		/* PFX_SEG + enum em_seg */
	PFX_OPSIZE = PFX_SEG + 6,
	PFX_ADSIZE,
	PFX_LOCK,
	PFX_REP,
	PFX_REX,
};

static const u8 prefix_class[256] = {
	[0x26] = PFX_SEG + EM_SEG_ES,
	[0x2e] = PFX_SEG + EM_SEG_CS,
	[0x36] = PFX_SEG + EM_SEG_SS,
	[0x3e] = PFX_SEG + EM_SEG_DS,
	[0x64] = PFX_SEG + EM_SEG_FS,
	[0x65] = PFX_SEG + EM_SEG_GS,
	[0x66] = PFX_OPSIZE,
	[0x67] = PFX_ADSIZE,
	[0xf0] = PFX_LOCK,
	[0xf2] = PFX_REP,
	[0xf3] = PFX_REP,
	[0x40 ... 0x4f] = PFX_REX,
};

/* Make sure that @n more bytes can be consumed. */
static __always_inline enum em_result need(struct em_ctx *ctx, unsigned int n)
{
	if (likely(ctx->d.pos + n <= ctx->fetched))
		return EM_DONE;
	return em_fetch(ctx, ctx->d.pos + n);
}

static enum em_result take(struct em_ctx *ctx, unsigned int n, u64 *val)
{
	const u8 *p = ctx->insn + ctx->d.pos;
	enum em_result r = need(ctx, n);

	if (r != EM_DONE)
		return r;
	ctx->d.pos += n;
	switch (n) {
	case 1:
		*val = p[0];
		break;
	case 2:
		*val = p[0] | p[1] << 8;
		break;
	case 4:
		*val = p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24;
		break;
	default:
		memcpy(val, p, 8);
		break;
	}
	return EM_DONE;
}

static void apply_prefix(struct em_ctx *ctx, u8 class, u8 byte)
{
	struct em_insn *d = &ctx->d;

	switch (class) {
	case PFX_OPSIZE:
		d->opsize_prefix = true;
		break;
	case PFX_ADSIZE:
		if (em_is64(ctx))
			d->adsize = 4;
		else
			d->adsize = (ctx->mode == EM_MODE_PROT32) ? 2 : 4;
		break;
	case PFX_LOCK:
		d->lock = true;
		break;
	case PFX_REP:
		d->rep = byte;
		break;
	case PFX_REX:
		d->rex = byte;
		return;
	default:
		class -= PFX_SEG;
		/* 64-bit mode ignores the others: they do not even cancel an FS or GS prefix. */
		if (!em_is64(ctx) || class >= EM_SEG_FS)
			d->seg_override = class;
		break;
	}
	/* A REX prefix counts only right before the opcode. */
	d->rex = 0;
}

static enum em_result decode_prefixes(struct em_ctx *ctx)
{
	enum em_result r;
	u8 byte, class;

	for (;;) {
		r = need(ctx, 1);
		if (r != EM_DONE)
			return r;
		byte = ctx->insn[ctx->d.pos];
		class = prefix_class[byte];
		if (likely(class == PFX_NONE) || (class == PFX_REX && !em_is64(ctx)))
			return EM_DONE;
		ctx->d.pos++;
		apply_prefix(ctx, class, byte);
	}
}

static const struct em_opcode *map_entry(unsigned int map, u8 opcode)
{
	static const struct em_opcode unknown;

	switch (map) {
	case 1:
		return &em_table_0f[opcode];
	case 2:
		return em_lookup_0f38(opcode);
	default:
		return &unknown;
	}
}

/* The two- or three-byte VEX prefix and the opcode behind it; see "The VEX Prefix". */
static enum em_result decode_vex(struct em_ctx *ctx, u8 first)
{
	struct em_insn *d = &ctx->d;
	unsigned int len = first == 0xc4 ? 2 : 1;
	enum em_result r;
	u8 b0, b1;

	if (d->lock || d->rep || d->opsize_prefix || d->rex)
		return em_ud(ctx);
	r = need(ctx, len + 1);
	if (r != EM_DONE)
		return r;
	b0 = ctx->insn[d->pos];
	b1 = ctx->insn[d->pos + len - 1];
	d->pos += len;
	d->vex = true;
	d->vex_map = len == 2 ? b0 & 31 : 1;
	d->vex_pp = b1 & 3;
	d->vex_l = (b1 >> 2) & 1;
	d->vex_v = (~b1 >> 3) & 15;
	if (em_is64(ctx)) {
		d->rex = 0x40 | ((~b0 >> 7) & 1) << 2;
		if (len == 2)
			d->rex |= (b1 >> 7) << 3 | ((~b0 >> 5) & 3);
	} else {
		d->vex_v &= 7;
	}
	if (d->vex_map < 1 || d->vex_map > 3)
		return em_ud(ctx);
	d->opcode = ctx->insn[d->pos++];
	d->op = map_entry(d->vex_map, d->opcode);
	return EM_DONE;
}

/* C4 and C5 are LES and LDS outside 64-bit mode, unless ModRM would name a register. */
static enum em_result vex_or_table(struct em_ctx *ctx, bool *is_vex)
{
	enum em_result r;

	*is_vex = false;
	if (em_is_real_like(ctx))
		return EM_DONE;
	if (em_is64(ctx)) {
		*is_vex = true;
		return EM_DONE;
	}
	r = need(ctx, 1);
	if (r == EM_DONE)
		*is_vex = ctx->insn[ctx->d.pos] >= 0xc0;
	return r;
}

static enum em_result decode_escape(struct em_ctx *ctx)
{
	struct em_insn *d = &ctx->d;
	enum em_result r = need(ctx, 1);
	unsigned int map = 1;

	if (r != EM_DONE)
		return r;
	d->opcode = ctx->insn[d->pos++];
	if (d->opcode == 0x38 || d->opcode == 0x3a) {
		map = d->opcode == 0x38 ? 2 : 3;
		r = need(ctx, 1);
		if (r != EM_DONE)
			return r;
		d->opcode = ctx->insn[d->pos++];
	}
	d->op = map_entry(map, d->opcode);
	return EM_DONE;
}

/* The opcode has turned out to lead to another table. */
static enum em_result decode_other_table(struct em_ctx *ctx)
{
	enum em_result r;
	bool is_vex;

	if (ctx->d.opcode == 0x0f)
		return decode_escape(ctx);
	r = vex_or_table(ctx, &is_vex);
	return r == EM_DONE && is_vex ? decode_vex(ctx, ctx->d.opcode) : r;
}

static unsigned int mandatory_prefix(const struct em_insn *d)
{
	if (d->vex)
		return d->vex_pp;
	if (d->rep)
		return d->rep == 0xf3 ? 2 : 3;
	return d->opsize_prefix;
}

/*
 * Follow the tables of alternatives down to the entry of this very instruction, which inherits
 * the flags met on the way.
 */
static enum em_result resolve(struct em_ctx *ctx)
{
	struct em_insn *d = &ctx->d;
	const struct em_opcode *op;
	enum em_result r;
	u32 flags;
	u8 modrm;

	if (d->flags & OP_ESCAPE) {
		r = decode_other_table(ctx);
		if (r != EM_DONE)
			return r;
	}
	op = d->op;
	flags = op->flags;
	while (op->flags & OP_SPLIT) {
		if (op->flags & OP_64) {
			op = &op->sub[em_is64(ctx)];
		} else if (op->flags & OP_PFX) {
			op = &op->sub[mandatory_prefix(d)];
		} else {
			r = need(ctx, 1);
			if (r != EM_DONE)
				return r;
			modrm = ctx->insn[d->pos];
			if (op->flags & OP_GROUP)
				op = &op->sub[(modrm >> 3) & 7];
			else
				op = &op->sub[modrm >= 0xc0];
		}
		flags |= op->flags;
	}
	d->op = op;
	d->flags = flags;
	return EM_DONE;
}

static unsigned int operand_size(const struct em_ctx *ctx, u32 flags)
{
	const struct em_insn *d = &ctx->d;

	if (flags & OP_BYTE)
		return 1;
	if (likely(em_is64(ctx))) {
		if (likely(!d->rex && !d->opsize_prefix && !(flags & (OP_F64 | OP_D64))))
			return 4;
		if ((flags & OP_F64) || (d->rex & 8))
			return 8;
		if (d->opsize_prefix)
			return 2;
		return flags & OP_D64 ? 8 : 4;
	}
	return (ctx->mode == EM_MODE_PROT32) != d->opsize_prefix ? 4 : 2;
}

static void set_segment(struct em_insn *d, unsigned int seg)
{
	d->seg = likely(d->seg_override == EM_SEG_COUNT) ? seg : d->seg_override;
}

static enum em_result decode_ea16(struct em_ctx *ctx)
{
	static const struct {
		u8 base, index, seg;
	} forms[8] = {
		{ EM_RBX, EM_RSI, EM_SEG_DS }, { EM_RBX, EM_RDI, EM_SEG_DS },
		{ EM_RBP, EM_RSI, EM_SEG_SS }, { EM_RBP, EM_RDI, EM_SEG_SS },
		{ EM_RSI, 0xff, EM_SEG_DS }, { EM_RDI, 0xff, EM_SEG_DS },
		{ EM_RBP, 0xff, EM_SEG_SS }, { EM_RBX, 0xff, EM_SEG_DS },
	};
	struct em_insn *d = &ctx->d;
	unsigned int disp_size = d->mod == 1 ? 1 : 2 * (d->mod == 2);
	unsigned int seg = forms[d->rm].seg;
	enum em_result r;
	u64 ea = 0, disp;

	if (d->mod == 0 && d->rm == 6) {
		disp_size = 2;
		seg = EM_SEG_DS;
	} else {
		ea = ctx->gpr[forms[d->rm].base];
		if (forms[d->rm].index != 0xff)
			ea += ctx->gpr[forms[d->rm].index];
	}
	if (disp_size) {
		r = take(ctx, disp_size, &disp);
		if (r != EM_DONE)
			return r;
		ea += em_sext(disp, disp_size);
	}
	d->ea = ea & 0xffff;
	set_segment(d, seg);
	return EM_DONE;
}

/* The base and index of a SIB byte; sets *disp32 where it has a displacement but no base. */
static enum em_result decode_sib(struct em_ctx *ctx, bool *disp32, unsigned int *seg)
{
	struct em_insn *d = &ctx->d;
	enum em_result r = need(ctx, 1);
	unsigned int index, base;
	u8 sib;

	if (r != EM_DONE)
		return r;
	sib = ctx->insn[d->pos++];
	index = ((sib >> 3) & 7) | (d->rex & 2) << 2;
	base = sib & 7;
	if (base == EM_RBP && d->mod == 0) {
		*disp32 = true;
		d->ea = 0;
	} else {
		base |= (d->rex & 1) << 3;
		d->ea = ctx->gpr[base];
		d->base_rsp = base == EM_RSP;
		if (base == EM_RSP || base == EM_RBP)
			*seg = EM_SEG_SS;
	}
	if (index != EM_RSP)
		d->ea += (u64)ctx->gpr[index] << (sib >> 6);
	return EM_DONE;
}

/* Add the displacement, one byte or four, to what registers give. */
static enum em_result add_disp(struct em_ctx *ctx, bool disp32)
{
	struct em_insn *d = &ctx->d;
	unsigned int n = disp32 ? 4 : 1;
	enum em_result r = need(ctx, n);
	u32 disp;

	if (r != EM_DONE)
		return r;
	if (disp32) {
		memcpy(&disp, ctx->insn + d->pos, 4);
		d->ea += (s64)(int)disp;
	} else {
		d->ea += (s64)(signed char)ctx->insn[d->pos];
	}
	d->pos += n;
	return EM_DONE;
}

static enum em_result decode_ea32(struct em_ctx *ctx, u8 modrm, bool *rip_relative)
{
	struct em_insn *d = &ctx->d;
	unsigned int seg = EM_SEG_DS;
	unsigned int rm = modrm & 7;
	bool disp32 = modrm >= 0x80;
	enum em_result r;

	if (rm == EM_RSP) {
		r = decode_sib(ctx, &disp32, &seg);
		if (r != EM_DONE)
			return r;
	} else if (rm == EM_RBP && modrm < 0x40) {
		disp32 = true;
		d->ea = 0;
		*rip_relative = em_is64(ctx);
	} else {
		d->ea = ctx->gpr[d->rm];
		if (d->rm == EM_RBP)
			seg = EM_SEG_SS;
	}
	if (modrm >= 0x40 || disp32) {
		r = add_disp(ctx, disp32);
		if (r != EM_DONE)
			return r;
	}
	if (d->adsize == 4)
		d->ea = (u32)d->ea;
	set_segment(d, seg);
	return EM_DONE;
}

static enum em_result decode_modrm(struct em_ctx *ctx, u32 flags, bool *rip_relative)
{
	struct em_insn *d = &ctx->d;
	enum em_result r = need(ctx, 1);
	u8 modrm;

	if (r != EM_DONE)
		return r;
	modrm = ctx->insn[d->pos++];
	d->modrm = modrm;
	d->mod = modrm >> 6;
	d->reg = (modrm >> 3) & 7;
	d->rm = modrm & 7;
	if (d->rex) {
		d->reg |= (d->rex & 4) << 1;
		d->rm |= (d->rex & 1) << 3;
	}
	if (modrm >= 0xc0 || unlikely(flags & OP_FORCE_REG)) {
		d->mod = 3;
		return flags & OP_MEM ? em_ud(ctx) : EM_DONE;
	}
	if (unlikely(flags & OP_REG))
		return em_ud(ctx);
	if (unlikely(d->adsize == 2))
		return decode_ea16(ctx);
	return decode_ea32(ctx, modrm, rip_relative);
}

static enum em_result take_signed(struct em_ctx *ctx, unsigned int n)
{
	enum em_result r;

	if (n == 1) {
		r = need(ctx, 1);
		if (r == EM_DONE)
			ctx->d.imm = (s64)(signed char)ctx->insn[ctx->d.pos++];
		return r;
	}
	r = take(ctx, n, &ctx->d.imm);
	if (r == EM_DONE)
		ctx->d.imm = em_sext(ctx->d.imm, n);
	return r;
}

static enum em_result decode_imm(struct em_ctx *ctx, unsigned int kind)
{
	struct em_insn *d = &ctx->d;
	enum em_result r;
	u64 second;

	switch (kind) {
	case IMM_UB:
		return take(ctx, 1, &d->imm);
	case IMM_SB:
		return take_signed(ctx, 1);
	case IMM_Z:
		return take_signed(ctx, d->size < 4 ? d->size : 4);
	case IMM_V:
		return take(ctx, d->size, &d->imm);
	case IMM_W:
		return take(ctx, 2, &d->imm);
	case IMM_WB:
		r = take(ctx, 2, &d->imm);
		if (r == EM_DONE)
			r = take(ctx, 1, &second);
		break;
	case IMM_FAR:
		r = take(ctx, d->size == 2 ? 2 : 4, &d->imm);
		if (r == EM_DONE)
			r = take(ctx, 2, &second);
		break;
	default:
		/* A memory operand without ModRM: moffs. */
		d->mod = 0;
		set_segment(d, EM_SEG_DS);
		return take(ctx, d->adsize, &d->ea);
	}
	if (r == EM_DONE)
		d->imm2 = second;
	return r;
}

/* Checks that need the whole instruction: prefixes and modes in which it does not exist. */
static enum em_result check_legal(struct em_ctx *ctx, u32 flags)
{
	const struct em_insn *d = &ctx->d;

	if (likely(!(flags & (OP_NO64 | OP_PROT)) && !d->lock && !d->vex))
		return EM_DONE;
	if (d->lock && (!(flags & OP_LOCK) || d->mod == 3))
		return em_ud(ctx);
	if ((flags & OP_NO64) && em_is64(ctx))
		return em_ud(ctx);
	if ((flags & OP_PROT) && em_is_real_like(ctx))
		return em_ud(ctx);
	if (!d->vex)
		return EM_DONE;
	if (!(flags & OP_VEX))
		return EM_UNHANDLED;
	if ((flags & OP_VEX_L0) && d->vex_l)
		return em_ud(ctx);
	if (d->vex_v && !(flags & OP_VEX_V) && !((flags & OP_VEX_VREG) && d->mod == 3))
		return em_ud(ctx);
	return EM_DONE;
}

static void start(struct em_ctx *ctx)
{
	static const u8 code_size[] = {
		[EM_MODE_REAL] = 2, [EM_MODE_VM86] = 2, [EM_MODE_PROT16] = 2,
		[EM_MODE_PROT32] = 4, [EM_MODE_PROT64] = 8,
	};
	struct em_insn *d = &ctx->d;

	ctx->seg_valid = 0;
	ctx->cr0_valid = false;
	ctx->shadow = EM_SHADOW_NONE;
	d->pos = 0;
	d->rex = 0;
	d->rep = 0;
	d->mod = 3;
	d->lock = false;
	d->vex = false;
	d->opsize_prefix = false;
	d->base_rsp = false;
	d->seg_override = EM_SEG_COUNT;
	d->adsize = code_size[ctx->mode];
}

enum em_result em_decode(struct em_ctx *ctx)
{
	struct em_insn *d = &ctx->d;
	bool rip_relative = false;
	enum em_result r;
	u32 flags;

	start(ctx);
	r = decode_prefixes(ctx);
	if (unlikely(r != EM_DONE))
		return r;
	d->opcode = ctx->insn[d->pos++];
	d->op = &em_table_1[d->opcode];
	d->flags = d->op->flags;
	if (d->flags & (OP_SPLIT | OP_ESCAPE)) {
		r = resolve(ctx);
		if (unlikely(r != EM_DONE))
			return r;
	}
	if (!d->op->exec)
		return EM_UNHANDLED;
	flags = d->flags;
	d->size = operand_size(ctx, flags);
	if (flags & OP_MODRM) {
		r = decode_modrm(ctx, flags, &rip_relative);
		if (r != EM_DONE)
			return r;
	}
	if (OP_GET_IMM(flags)) {
		r = decode_imm(ctx, OP_GET_IMM(flags));
		if (r != EM_DONE)
			return r;
	}
	ctx->insn_len = d->pos;
	d->next_rip = ctx->rip + d->pos;
	if (!em_is64(ctx))
		d->next_rip = (u32)d->next_rip;
	if (rip_relative) {
		d->ea += d->next_rip;
		if (d->adsize == 4)
			d->ea = (u32)d->ea;
	}
	return check_legal(ctx, flags);
}

enum em_result em_execute(struct em_ctx *ctx)
{
	/* User space may have been there since: ask for segments and CR0 anew. */
	ctx->seg_valid = 0;
	ctx->cr0_valid = false;
	return ctx->d.op->exec(ctx);
}

enum em_result em_run(struct em_ctx *ctx)
{
	enum em_result r = em_decode(ctx);

	return r == EM_DONE ? em_execute(ctx) : r;
}
