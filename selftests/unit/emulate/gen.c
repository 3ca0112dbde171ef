// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random encodings of given instructions, with registers that make their addresses useful.
 * It must not depend on the emulator's own decoder or tables.
 */
#include "gen.h"

/* One instruction being put together. */
struct gen {
	struct insn_case *c;
	const struct tmpl *t;
	bool is64;
	unsigned int opsize;
	unsigned int adsize;
	u8 rex;
	u8 mod;
	u8 reg;
	u8 rm;
	int disp_at;		/* where a RIP-relative displacement lies, -1 for none */
	u64 data_base;
};

static void put(struct gen *g, u64 val, unsigned int n)
{
	memcpy(g->c->bytes + g->c->n, &val, n);
	g->c->n += n;
}

struct tolerance template_tolerance(const struct tmpl *t)
{
	return (struct tolerance){
		.flags = t->undef,
		.vectors = t->flags & T_VEC,
		.any_fault = t->flags & T_ANYFAULT,
		.partial = t->flags & T_PARTIAL,
		.push_seg = t->flags & T_PUSH_SEG,
		.low32 = t->flags & (T_LOW32 | T_STRING),
	};
}

/* Put a prefix in front. */
void prepend(struct insn_case *c, u8 byte)
{
	memmove(c->bytes + 1, c->bytes, c->n);
	c->bytes[0] = byte;
	c->n++;
}

void random_state(struct state *st)
{
	unsigned int i;

	memset(st, 0, sizeof(*st));
	for (i = 0; i < 16; i++)
		st->gpr[i] = rnd_value();
	for (i = 0; i < 64; i++)
		st->ymm[i / 4][i % 4] = rnd();
	for (i = 0; i < 8; i++)
		st->mm[i] = rnd();
	st->rflags = 0x202 | FL_TF | (rnd() & FL_ARITH);
	if (one_in(4))
		st->rflags |= FL_DF;
	st->sel[EM_SEG_CS] = SEL_USER64_CS;
	st->sel[EM_SEG_SS] = SEL_USER_DS;
}

static bool is_mandatory(const struct tmpl *t)
{
	return !(t->flags & T_VEX) && t->oplen > 1 &&
	       (t->op[0] == 0x66 || t->op[0] == 0xf2 || t->op[0] == 0xf3);
}

static void gen_prefixes(struct gen *g)
{
	static const u8 segs[] = { 0x26, 0x2e, 0x36, 0x3e, 0x65 };
	u32 flags = g->t->flags;

	if (flags & T_NOPFX)
		return;
	if (!(flags & T_NO66) && !is_mandatory(g->t) && one_in(4)) {
		put(g, 0x66, 1);
		g->opsize = g->opsize == 4 ? 2 : 4;
		if (g->is64)
			g->opsize = 2;
	}
	if (one_in(6)) {
		put(g, 0x67, 1);
		if (g->is64)
			g->adsize = 4;
		else
			g->adsize = g->adsize == 4 ? 2 : 4;
	}
	if (one_in(6))
		put(g, segs[rnd_below(sizeof(segs))], 1);
	if (!(flags & T_NOLOCK) && one_in(flags & T_LOCK ? 3 : 16))
		put(g, 0xf0, 1);
	if (g->t->oplen == 1 && !(flags & T_NOREP) && one_in(20))
		put(g, one_in(2) ? 0xf2 : 0xf3, 1);
}

static void gen_vex(struct gen *g)
{
	u8 pp = g->t->op[0] == 0x66 ? 1 : g->t->op[0] == 0xf3 ? 2 : g->t->op[0] == 0xf2 ? 3 : 0;
	u8 vvvv = one_in(3) ? rnd_below(16) : 15;
	u8 l = one_in(2) << 2;

	g->rex = g->is64 ? 0x40 | rnd_below(16) : 0x40;
	if (g->t->flags & T_NOREXW)
		g->rex &= ~8;
	if (!g->is64)
		vvvv |= 8;
	if (g->t->op[1] == 1 && !(g->rex & 11) && one_in(2)) {
		put(g, 0xc5, 1);
		put(g, (~g->rex & 4) << 5 | vvvv << 3 | l | pp, 1);
	} else {
		put(g, 0xc4, 1);
		put(g, (~g->rex & 7) << 5 | g->t->op[1], 1);
		put(g, (g->rex & 8) << 4 | vvvv << 3 | l | pp, 1);
	}
	put(g, g->t->op[2], 1);
}

static void gen_opcode(struct gen *g)
{
	unsigned int i = 0;

	if (g->t->flags & T_VEX) {
		gen_vex(g);
		return;
	}
	if (is_mandatory(g->t))
		put(g, g->t->op[i++], 1);
	if (g->is64 && one_in(2) && !(g->t->flags & T_NOPFX)) {
		g->rex = 0x40 | rnd_below(16);
		if (g->t->flags & T_NOREXW)
			g->rex &= ~8;
		put(g, g->rex, 1);
	}
	if (g->rex & 8)
		g->opsize = 8;
	else if (g->is64 && (g->t->flags & T_D64) && g->opsize == 4)
		g->opsize = 8;
	for (; i < g->t->oplen; i++)
		put(g, g->t->op[i], 1);
}

/* Set a register so that its low bits, as many as the address size has, are @val. */
static void aim(struct gen *g, unsigned int reg, u64 val)
{
	u64 mask = ~0ull >> (64 - 8 * g->adsize);
	unsigned long *r = &g->c->st.gpr[reg];

	*r = (*r & ~mask) | (val & mask);
}

static u64 gen_disp(struct gen *g)
{
	u64 disp = rnd();

	if (g->mod == 0)
		return 0;
	if (g->mod == 1)
		return (u64)(s64)(signed char)disp;
	return g->adsize == 2 ? disp & 0xffff : (u64)(s64)(int)(one_in(2) ? disp & 0xffff : disp);
}

static void put_disp(struct gen *g, u64 disp)
{
	if (g->mod == 1)
		put(g, disp, 1);
	else if (g->mod == 2)
		put(g, disp, g->adsize == 2 ? 2 : 4);
}

static void gen_ea16(struct gen *g, u64 off)
{
	static const signed char base[8] = { 3, 3, 5, 5, 6, 7, 5, 3 };
	static const signed char index[8] = { 6, 7, 6, 7, -1, -1, -1, -1 };
	u64 disp = gen_disp(g), rest = off - disp;

	if (g->mod == 0 && g->rm == 6) {
		put(g, off, 2);
		return;
	}
	if (index[g->rm] >= 0)
		rest -= g->c->st.gpr[(int)index[g->rm]];
	aim(g, base[g->rm], rest);
	put_disp(g, disp);
}

static void gen_sib(struct gen *g, u64 off)
{
	unsigned int scale = rnd_below(4), index = rnd_below(8), base = rnd_below(8);
	unsigned int full_index = index | (g->rex & 2) << 2, full_base = base | (g->rex & 1) << 3;
	u64 disp = gen_disp(g), scaled = 0;

	put(g, scale << 6 | index << 3 | base, 1);
	if (full_index != EM_RSP) {
		if (one_in(2))
			g->c->st.gpr[full_index] = rnd_below(64);
		scaled = g->c->st.gpr[full_index] << scale;
	}
	if (base == EM_RBP && g->mod == 0) {
		/* No base: only a small index leaves room to aim. */
		put(g, off - scaled, 4);
		return;
	}
	if (full_base == full_index)
		aim(g, full_base, (off - disp) / (1 + (1u << scale)));
	else
		aim(g, full_base, off - disp - scaled);
	put_disp(g, disp);
}

static void gen_ea32(struct gen *g, u64 off)
{
	u64 disp;

	if (g->rm == EM_RSP) {
		gen_sib(g, off);
		return;
	}
	if (g->rm == EM_RBP && g->mod == 0) {
		g->disp_at = g->is64 ? (int)g->c->n : -1;
		put(g, off, 4);
		return;
	}
	disp = gen_disp(g);
	aim(g, g->rm | (g->rex & 1) << 3, off - disp);
	put_disp(g, disp);
}

static void gen_modrm(struct gen *g, u64 off)
{
	unsigned int reg;

	g->mod = rnd_below(4);
	if (g->t->flags & T_MEM && g->mod == 3 && ((g->t->flags & T_NOREG) || !one_in(16)))
		g->mod = rnd_below(3);
	if (g->t->flags & T_REG)
		g->mod = 3;
	g->reg = g->t->digit >= 0 ? (unsigned int)g->t->digit : rnd_below(8);
	g->rm = rnd_below(8);
	put(g, g->mod << 6 | g->reg << 3 | g->rm, 1);
	if (g->mod == 3)
		return;
	if (g->t->flags & T_BITOFF) {
		reg = g->reg | (g->rex & 4) << 1;
		g->c->st.gpr[reg] = (s64)rnd_below(20000) - 10000;
	}
	if (g->adsize == 2)
		gen_ea16(g, off);
	else
		gen_ea32(g, off);
}

static void gen_imm(struct gen *g, u64 off)
{
	unsigned int size = g->t->flags & T_BYTE ? 1 : g->opsize;

	switch (g->t->imm) {
	case I_B:
		put(g, rnd_value(), 1);
		break;
	case I_W:
		put(g, rnd_below(64), 2);
		break;
	case I_Z:
		put(g, rnd_value(), size > 4 ? 4 : size);
		break;
	case I_V:
		put(g, rnd_value(), size);
		break;
	case I_WB:
		put(g, rnd_below(256), 2);
		put(g, rnd_below(40), 1);
		break;
	case I_MOFFS:
		put(g, off, g->adsize);
		break;
	}
}

static void aim_implicit(struct gen *g, u64 off, u64 stack_base)
{
	struct state *st = &g->c->st;

	if (g->t->flags & T_STACK) {
		st->gpr[EM_RSP] = rnd_target(8) - stack_base;
		if (one_in(3))
			st->gpr[EM_RBP] = rnd_target(8) - stack_base;
	}
	if (g->t->flags & T_STRING) {
		aim(g, EM_RSI, off);
		aim(g, EM_RDI, rnd_target(8) - g->data_base);
	}
	if (g->t->flags & T_XLAT)
		aim(g, EM_RBX, off - (st->gpr[EM_RAX] & 0xff));
}

/**
 * gen_case() - make a case of a template
 * @c: the result
 * @t: template
 * @mode: EM_MODE_PROT16, 32 or 64
 * @data_base: base of the data segments
 * @stack_base: base of the stack segment
 * @code_end: where the instruction will end, as RIP
 */
void gen_case(struct insn_case *c, const struct tmpl *t, enum em_mode mode, u64 data_base,
	      u64 stack_base, u64 code_end)
{
	struct gen g = {
		.c = c, .t = t, .is64 = mode == EM_MODE_PROT64, .disp_at = -1,
		.opsize = mode == EM_MODE_PROT16 ? 2 : 4, .data_base = data_base,
	};
	u64 off = rnd_target(t->flags & T_VEC ? 32 : 8) - data_base;
	unsigned int i;
	int rel;

	c->n = 0;
	g.adsize = g.is64 ? 8 : g.opsize;
	random_state(&c->st);
	gen_prefixes(&g);
	gen_opcode(&g);
	aim_implicit(&g, off, stack_base);
	if (t->flags & T_MODRM)
		gen_modrm(&g, off);
	gen_imm(&g, off);
	if (!g.is64)
		for (i = 0; i < 16; i++)
			c->st.gpr[i] = (u32)c->st.gpr[i];
	if (g.disp_at >= 0) {
		rel = off - code_end;
		memcpy(c->bytes + g.disp_at, &rel, 4);
	}
}
