// SPDX-License-Identifier: GPL-2.0-only
/*
 * String instructions with and without REP, to their end, in all modes that run natively.
 * It must not use counts that make the processor run into other memory than the test's.
 */
#include "gen.h"
#include "insns.h"

#define ROUNDS 1000

/* Few different values, so that comparisons go on for a while. */
static void dull_memory(void)
{
	u8 *p = (u8 *)DATA_RW;
	unsigned int i;

	for (i = 0; i < DATA_RW_SIZE; i++)
		p[i] = one_in(64);
}

static void gen_string(struct insn_case *c, const struct tmpl *t, enum em_mode mode, u64 base)
{
	static const u8 rep[] = { 0xf3, 0xf2 };

	gen_case(c, t, mode, base, base, 0);
	c->st.rflags &= ~(u64)FL_TF;
	if (one_in(2))
		c->st.gpr[EM_RAX] &= 0x0101010101010101;
	c->st.gpr[EM_RCX] = one_in(8) ? rnd_below(3000) : rnd_below(40);
	if (!one_in(4))
		prepend(c, rep[rnd_below(2)]);
}

static bool run_strings(const struct tmpl *t, enum em_mode mode)
{
	struct tolerance tol = template_tolerance(t);
	u64 base = mode == EM_MODE_PROT16 ? DATA_BASE : 0;
	struct insn_case c;
	unsigned int i, bad = 0;

	for (i = 0; i < ROUNDS && bad < 3; i++) {
		if (one_in(2))
			dull_memory();
		else if (one_in(16))
			memory_randomize();
		do {
			gen_string(&c, t, mode, base);
		} while (c.n > 15);
		c.st.rip = place_code(c.bytes, c.n, RUN_TO_BREAKPOINT);
		legacy_segments(&c.st, mode);
		if (!compare_run(&c.st, c.bytes, c.n, mode, &tol))
			bad++;
	}
	return !bad;
}

static void run_mode(enum em_mode mode, const char *what)
{
	char name[128];
	unsigned int i;

	for (i = 0; i < insns_string_count; i++) {
		snprintf(name, sizeof(name), "%s: %s", what, insns_string[i].name);
		seed(1000 + i);
		ktap_result(run_strings(&insns_string[i], mode), name);
	}
}

void test_strings(void)
{
	run_mode(EM_MODE_PROT64, "64-bit");
	if (!legacy_init()) {
		ktap_skip("string instructions in 32-bit and 16-bit code", legacy_reason);
		return;
	}
	run_mode(EM_MODE_PROT32, "32-bit");
	run_mode(EM_MODE_PROT16, "16-bit");
}
