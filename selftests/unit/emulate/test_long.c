// SPDX-License-Identifier: GPL-2.0-only
/*
 * 64-bit mode: every integer and vector instruction in scope against the processor.
 * It must not contain instructions whose behaviour differs between vendors by design.
 */
#include "gen.h"
#include "insns.h"

#define ROUNDS 700

static bool run_template(const struct tmpl *t, unsigned int rounds)
{
	struct tolerance tol = template_tolerance(t);
	enum run_how how = t->flags & T_MOV_SS ? RUN_TO_BREAKPOINT : RUN_STEP;
	u64 end = CODE_BASE + CODE_PAGES * 4096 - (how == RUN_TO_BREAKPOINT);
	struct insn_case c;
	unsigned int i, bad = 0;

	for (i = 0; i < rounds && bad < 3; i++) {
		if (i % 64 == 0)
			memory_randomize();
		do {
			gen_case(&c, t, EM_MODE_PROT64, 0, 0, end);
		} while (c.n > 15);
		if (how == RUN_TO_BREAKPOINT)
			c.st.rflags &= ~(u64)FL_TF;
		c.st.rip = place_code(c.bytes, c.n, how);
		if (!compare_run(&c.st, c.bytes, c.n, EM_MODE_PROT64, &tol))
			bad++;
	}
	return !bad;
}

static void run_table(const struct tmpl *t, unsigned int n, const char *what)
{
	char name[128];
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (t[i].flags & T_LEGACY)
			continue;
		snprintf(name, sizeof(name), "%s: %s", what, t[i].name);
		seed(i + 1);
		ktap_result(run_template(&t[i], ROUNDS), name);
	}
}

/* 15 bytes are an instruction, 16 are #GP(0). */
static void test_length(void)
{
	static const struct tolerance tol;
	struct state st;
	u8 bytes[16];

	memset(bytes, 0x66, sizeof(bytes));
	bytes[14] = 0x90;
	random_state(&st);
	st.rip = place_code(bytes, 15, RUN_STEP);
	ktap_result(compare_run(&st, bytes, 15, EM_MODE_PROT64, &tol), "64-bit: 15 bytes");
	bytes[14] = 0x66;
	bytes[15] = 0x90;
	st.rip = place_code(bytes, 16, RUN_STEP);
	ktap_result(compare_run(&st, bytes, 16, EM_MODE_PROT64, &tol), "64-bit: 16 bytes");
}

void test_long_mode(void)
{
	test_length();
	run_table(insns_integer, insns_integer_count, "64-bit");
}

void test_vector(void)
{
	run_table(insns_sse, insns_sse_count, "64-bit");
	if (native_has_avx)
		run_table(insns_avx, insns_avx_count, "64-bit");
	else
		ktap_skip("64-bit: AVX moves", "this processor or system has no AVX");
}
