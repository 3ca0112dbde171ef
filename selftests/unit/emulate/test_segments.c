// SPDX-License-Identifier: GPL-2.0-only
/*
 * Segment checks against the processor: types, limits, expand-down, loads, far transfers.
 * It must not load FS, on which the C library stands.
 */
#include "gen.h"

#define ROUNDS 4000

static const u16 data_selectors[] = {
	LDT_SEL(LDT_DATA16), LDT_SEL(LDT_DATA32), LDT_SEL(LDT_RO), LDT_SEL(LDT_DOWN16),
	LDT_SEL(LDT_DOWN32), LDT_SEL(LDT_CODE32), LDT_SEL(LDT_FLAT), LDT_SEL(LDT_TINY),
	SEL_USER_DS, 0,
};

/* Selectors that are usable, that are not, and that do not exist. */
static const u16 any_selectors[] = {
	LDT_SEL(LDT_CODE16), LDT_SEL(LDT_DATA16), LDT_SEL(LDT_DATA32), LDT_SEL(LDT_RO),
	LDT_SEL(LDT_DOWN16), LDT_SEL(LDT_DOWN32), LDT_SEL(LDT_XONLY), LDT_SEL(LDT_CODE32),
	LDT_SEL(LDT_ABSENT), LDT_SEL(LDT_FLAT), LDT_SEL(LDT_CONFORMING), LDT_SEL(LDT_TINY),
	LDT_SEL(LDT_COUNT), LDT_SEL(LDT_DATA16) & ~3, SEL_USER_DS, SEL_USER32_CS, SEL_USER64_CS,
	SEL_USER_DS & ~3, SEL_USER32_CS & ~1, 0, 3, 0x10, 0x18, 0x1b, 0x83, 0xfffb,
};

static u16 pick(const u16 *from, unsigned int n)
{
	return from[rnd_below(n)];
}

static u64 selector_base(u16 sel)
{
	u64 raw = sel & 4 ? guest_ldt[sel >> 3] : 0;

	return ((raw >> 16) & 0xffffff) | (raw >> 56) << 24;
}

/* Where limits are: around them, and anywhere in the data. */
static u64 pick_offset(u16 sel)
{
	static const u64 edges[] = { 0x10, 0x1000, 0x1800, 0x3000, 0x4000, 0xffff, 0x10000 };

	switch (rnd_below(3)) {
	case 0:
		return (u32)(edges[rnd_below(ARRAY_SIZE(edges))] + rnd_below(20) - 16);
	case 1:
		return (u32)(rnd_target(4) - selector_base(sel));
	default:
		return 0x1000 + rnd_below(0x2000);
	}
}

static void set_code(struct insn_case *c, enum em_mode mode, enum run_how how)
{
	static const u16 code32[] = {
		SEL_USER32_CS, LDT_SEL(LDT_CODE32), LDT_SEL(LDT_XONLY),
	};

	c->st.rip = place_code(c->bytes, c->n, how);
	if (mode == EM_MODE_PROT16)
		c->st.sel[EM_SEG_CS] = LDT_SEL(LDT_CODE16);
	else
		c->st.sel[EM_SEG_CS] = pick(code32, ARRAY_SIZE(code32));
	if (c->st.sel[EM_SEG_CS] != SEL_USER32_CS)
		c->st.rip -= CODE_BASE;
}

/* Loads, stores and read-modify-writes of several sizes through any segment. */
static bool access_case(enum em_mode mode)
{
	static const struct tmpl insns[] = {
		{ "mov Gb,Eb", { 0x8a }, 1, -1, I_NONE, T_MODRM | T_MEM | T_BYTE, 0 },
		{ "mov Gv,Ev", { 0x8b }, 1, -1, I_NONE, T_MODRM | T_MEM, 0 },
		{ "mov Ev,Gv", { 0x89 }, 1, -1, I_NONE, T_MODRM | T_MEM, 0 },
		{ "add Ev,Gv", { 0x01 }, 1, -1, I_NONE, T_MODRM | T_MEM, 0 },
		{ "cmp Ev,Gv", { 0x39 }, 1, -1, I_NONE, T_MODRM | T_MEM, 0 },
		{ "movups", { 0x0f, 0x10 }, 2, -1, I_NONE, T_MODRM | T_MEM | T_NO66 | T_VEC, 0 },
		{ "movups", { 0x0f, 0x11 }, 2, -1, I_NONE, T_MODRM | T_MEM | T_NO66 | T_VEC, 0 },
		{ "movsd", { 0xa5 }, 1, -1, I_NONE, T_STRING, 0 },
		{ "stosw", { 0xab }, 1, -1, I_NONE, T_STRING, 0 },
		{ "mov AL,moffs", { 0xa0 }, 1, -1, I_MOFFS, T_BYTE, 0 },
		{ "mov moffs,eAX", { 0xa3 }, 1, -1, I_MOFFS, 0, 0 },
		{ "xlat", { 0xd7 }, 1, -1, I_NONE, T_XLAT, 0 },
		{ "cmpxchg8b", { 0x0f, 0xc7 }, 2, 1, I_NONE, T_MODRM | T_MEM, 0 },
		{ "bts Ev,Gv", { 0x0f, 0xab }, 2, -1, I_NONE, T_MODRM | T_MEM | T_BITOFF, 0x894 },
	};
	const struct tmpl *t = &insns[rnd_below(ARRAY_SIZE(insns))];
	struct tolerance tol = template_tolerance(t);
	u16 sel = pick(data_selectors, ARRAY_SIZE(data_selectors));
	struct insn_case c;

	/* Aim through one selector; the others are there for prefixes and defaults. */
	do {
		gen_case(&c, t, mode, rnd_target(4) - pick_offset(sel), DATA_BASE, 0);
	} while (c.n > 15);
	c.st.sel[EM_SEG_DS] = sel;
	c.st.sel[EM_SEG_ES] = one_in(2) ? sel : pick(data_selectors, ARRAY_SIZE(data_selectors));
	c.st.sel[EM_SEG_GS] = pick(data_selectors, ARRAY_SIZE(data_selectors));
	c.st.sel[EM_SEG_SS] = one_in(2) ? LDT_SEL(LDT_DATA16) : LDT_SEL(LDT_DOWN32);
	set_code(&c, mode, RUN_STEP);
	return compare_run(&c.st, c.bytes, c.n, mode, &tol);
}

/* Stacks of both widths, pushes and pops at the limits. */
static bool stack_case(enum em_mode mode)
{
	static const u16 stacks[] = {
		LDT_SEL(LDT_DATA16), LDT_SEL(LDT_DATA32), LDT_SEL(LDT_DOWN16), LDT_SEL(LDT_DOWN32),
		LDT_SEL(LDT_TINY), LDT_SEL(LDT_FLAT),
	};
	static const struct tmpl insns[] = {
		{ "push", { 0x50 }, 1, -1, I_NONE, T_STACK, 0 },
		{ "pop", { 0x5b }, 1, -1, I_NONE, T_STACK, 0 },
		{ "push Iz", { 0x68 }, 1, -1, I_Z, T_STACK, 0 },
		{ "pusha", { 0x60 }, 1, -1, I_NONE, T_STACK, 0 },
		{ "popa", { 0x61 }, 1, -1, I_NONE, T_STACK | T_PARTIAL, 0 },
		{ "enter", { 0xc8 }, 1, -1, I_WB, T_STACK, 0 },
		{ "leave", { 0xc9 }, 1, -1, I_NONE, T_STACK, 0 },
		{ "pushf", { 0x9c }, 1, -1, I_NONE, T_STACK, 0 },
		{ "call", { 0xe8 }, 1, -1, I_Z, T_STACK, 0 },
		{ "ret", { 0xc3 }, 1, -1, I_NONE, T_STACK, 0 },
		{ "push Ev", { 0xff }, 1, 6, I_NONE, T_STACK | T_MODRM, 0 },
		{ "pop Ev", { 0x8f }, 1, 0, I_NONE, T_STACK | T_MODRM, 0 },
	};
	const struct tmpl *t = &insns[rnd_below(ARRAY_SIZE(insns))];
	struct tolerance tol = { .any_fault = true, .partial = t->flags & T_PARTIAL };
	u16 sel = pick(stacks, ARRAY_SIZE(stacks));
	struct insn_case c;

	do {
		gen_case(&c, t, mode, selector_base(sel), DATA_BASE, 0);
	} while (c.n > 15);
	c.st.gpr[EM_RSP] = pick_offset(sel);
	c.st.gpr[EM_RBP] = pick_offset(sel);
	c.st.sel[EM_SEG_DS] = LDT_SEL(LDT_DATA16);
	c.st.sel[EM_SEG_ES] = LDT_SEL(LDT_DATA16);
	c.st.sel[EM_SEG_SS] = sel;
	set_code(&c, mode, RUN_STEP);
	return compare_run(&c.st, c.bytes, c.n, mode, &tol);
}

/* A case whose operand is a selector or a far pointer at DATA_RW + 0x100, in DS or on the stack. */
static void begin_operand(struct insn_case *c, enum em_mode mode, u16 sel)
{
	u8 *p = (u8 *)(DATA_RW + 0x100);
	unsigned int i;

	random_state(&c->st);
	for (i = 0; i < 16; i++)
		if (mode != EM_MODE_PROT64)
			c->st.gpr[i] = (u32)c->st.gpr[i];
	c->st.rflags &= ~(u64)FL_TF;
	c->st.gpr[EM_RBX] = 0x1100;
	c->st.gpr[EM_RSP] = 0x1100;
	if (mode == EM_MODE_PROT64) {
		c->st.gpr[EM_RBX] += DATA_BASE;
		c->st.gpr[EM_RSP] += DATA_BASE;
	} else {
		c->st.sel[EM_SEG_DS] = LDT_SEL(LDT_DATA32);
		c->st.sel[EM_SEG_ES] = LDT_SEL(LDT_DATA16);
		c->st.sel[EM_SEG_SS] = LDT_SEL(LDT_DATA32);
	}
	memset(p, 0, 64);
	memcpy(p, &sel, 2);
	c->n = 0;
}

static void emit(struct insn_case *c, const u8 *bytes, unsigned int n)
{
	memcpy(c->bytes + c->n, bytes, n);
	c->n += n;
}

/* MOV, POP and far-pointer loads of ES, SS, DS and GS; LAR, LSL, VERR, VERW. */
static bool load_case(enum em_mode mode)
{
	static const struct {
		u8 bytes[3];
		u8 n;
		u8 far_ptr;
		u8 legacy;
	} insns[] = {
		{ { 0x8e, 0x03 }, 2, 0, 0 }, { { 0x8e, 0x13 }, 2, 0, 0 },
		{ { 0x8e, 0x1b }, 2, 0, 0 },
		{ { 0x8e, 0x2b }, 2, 0, 0 }, { { 0x07 }, 1, 0, 1 }, { { 0x17 }, 1, 0, 1 },
		{ { 0x1f }, 1, 0, 1 }, { { 0x0f, 0xa9 }, 2, 0, 0 }, { { 0xc4, 0x03 }, 2, 1, 1 },
		{ { 0xc5, 0x03 }, 2, 1, 1 }, { { 0x0f, 0xb2, 0x03 }, 3, 1, 0 },
		{ { 0x0f, 0xb5, 0x03 }, 3, 1, 0 }, { { 0x0f, 0x02, 0x03 }, 3, 0, 0 },
		{ { 0x0f, 0x03, 0x03 }, 3, 0, 0 }, { { 0x0f, 0x00, 0x23 }, 3, 0, 0 },
		{ { 0x0f, 0x00, 0x2b }, 3, 0, 0 },
	};
	u16 sel = pick(any_selectors, ARRAY_SIZE(any_selectors));
	unsigned int i = rnd_below(ARRAY_SIZE(insns)), size = mode == EM_MODE_PROT16 ? 2 : 4;
	struct tolerance tol = { 0 };
	struct insn_case c;
	u64 rip;

	if (insns[i].legacy && mode == EM_MODE_PROT64)
		return true;
	begin_operand(&c, mode, sel);
	if (mode == EM_MODE_PROT16) {
		/* [rbx] needs another ModRM byte with 16-bit addresses. */
		emit(&c, (u8[]){ 0x67 }, 1);
	}
	if (insns[i].far_ptr) {
		*(u32 *)(DATA_RW + 0x100) = rnd();
		memcpy((void *)(DATA_RW + 0x100 + size), &sel, 2);
	}
	emit(&c, insns[i].bytes, insns[i].n);
	rip = place_code(c.bytes, c.n, RUN_TO_BREAKPOINT);
	if (mode == EM_MODE_PROT64)
		c.st.rip = rip;
	else
		set_code(&c, mode, RUN_TO_BREAKPOINT);
	return compare_run(&c.st, c.bytes, c.n, mode, &tol);
}

/* JMP and CALL far through memory, RETF and IRET, from and to code of every width. */
static bool far_case(enum em_mode mode)
{
	static const u8 insns[][2] = { { 0xff, 0x2b }, { 0xff, 0x1b }, { 0xcb }, { 0xcf } };
	u64 frame[5] = {
		rnd_below(0x3800), pick(any_selectors, ARRAY_SIZE(any_selectors)), 0x302,
		0x1200, pick(any_selectors, ARRAY_SIZE(any_selectors)),
	};
	unsigned int i = rnd_below(ARRAY_SIZE(insns)), j, size = mode == EM_MODE_PROT16 ? 2 : 4;
	struct tolerance tol = { .any_fault = true };
	u8 *p = (u8 *)(DATA_RW + 0x100);
	struct insn_case c;

	begin_operand(&c, mode, 0);
	c.st.rflags |= FL_TF;
	if (mode == EM_MODE_PROT16 && i < 2)
		emit(&c, (u8[]){ 0x67 }, 1);
	if (mode == EM_MODE_PROT64 && i >= 2 && one_in(2)) {
		emit(&c, (u8[]){ 0x48 }, 1);
		size = 8;
	}
	/* Which stack a call from compatibility into 64-bit mode uses differs. */
	if (i == 1 && mode != EM_MODE_PROT64 && (frame[1] | 3) == SEL_USER64_CS)
		return true;
	for (j = 0; j < 5; j++)
		memcpy(p + j * size, &frame[j], size);
	emit(&c, insns[i], i < 2 ? 2 : 1);
	c.st.rip = place_code(c.bytes, c.n, RUN_STEP);
	if (mode != EM_MODE_PROT64)
		set_code(&c, mode, RUN_STEP);
	return compare_run(&c.st, c.bytes, c.n, mode, &tol);
}

static void run_cases(bool (*one)(enum em_mode mode), enum em_mode mode, const char *name)
{
	unsigned int i, bad = 0;

	seed(3000 + mode);
	memory_randomize();
	for (i = 0; i < ROUNDS && bad < 3; i++)
		if (!one(mode))
			bad++;
	ktap_result(!bad, name);
}

void test_segments(void)
{
	if (!legacy_init()) {
		ktap_skip("segment checks", legacy_reason);
		return;
	}
	run_cases(access_case, EM_MODE_PROT32, "segments: accesses from 32-bit code");
	run_cases(access_case, EM_MODE_PROT16, "segments: accesses from 16-bit code");
	run_cases(stack_case, EM_MODE_PROT32, "segments: stacks in 32-bit code");
	run_cases(stack_case, EM_MODE_PROT16, "segments: stacks in 16-bit code");
	run_cases(load_case, EM_MODE_PROT64, "segments: loads in 64-bit code");
	run_cases(load_case, EM_MODE_PROT32, "segments: loads in 32-bit code");
	run_cases(load_case, EM_MODE_PROT16, "segments: loads in 16-bit code");
	run_cases(far_case, EM_MODE_PROT64, "segments: far transfers from 64-bit code");
	run_cases(far_case, EM_MODE_PROT32, "segments: far transfers from 32-bit code");
	run_cases(far_case, EM_MODE_PROT16, "segments: far transfers from 16-bit code");
}
