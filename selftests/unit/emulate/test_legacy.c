// SPDX-License-Identifier: GPL-2.0-only
/*
 * 32-bit and 16-bit protected mode: every instruction in scope against the processor.
 * It must not depend on what a 64-bit kernel keeps of the upper halves of registers.
 */
#include "gen.h"
#include "insns.h"

#define ROUNDS 300

static bool run_template(const struct tmpl *t, enum em_mode mode)
{
	struct tolerance tol = template_tolerance(t);
	enum run_how how = t->flags & T_MOV_SS ? RUN_TO_BREAKPOINT : RUN_STEP;
	u64 base = mode == EM_MODE_PROT16 ? DATA_BASE : 0;
	struct insn_case c;
	unsigned int i, bad = 0;

	for (i = 0; i < ROUNDS && bad < 3; i++) {
		if (i % 64 == 0)
			memory_randomize();
		do {
			gen_case(&c, t, mode, base, base, 0);
		} while (c.n > 15);
		if (how == RUN_TO_BREAKPOINT)
			c.st.rflags &= ~(u64)FL_TF;
		c.st.rip = place_code(c.bytes, c.n, how);
		legacy_segments(&c.st, mode);
		if (!compare_run(&c.st, c.bytes, c.n, mode, &tol))
			bad++;
	}
	return !bad;
}

static void run_table(const struct tmpl *t, unsigned int n, enum em_mode mode, const char *what)
{
	char name[128];
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (t[i].flags & T_ONLY64)
			continue;
		snprintf(name, sizeof(name), "%s: %s", what, t[i].name);
		seed(2000 + i);
		ktap_result(run_template(&t[i], mode), name);
	}
}

static void run_mode(enum em_mode mode, const char *what)
{
	run_table(insns_integer, insns_integer_count, mode, what);
	run_table(insns_sse, insns_sse_count, mode, what);
	if (native_has_avx)
		run_table(insns_avx, insns_avx_count, mode, what);
}

void test_legacy(void)
{
	if (!legacy_init()) {
		ktap_skip("32-bit and 16-bit code", legacy_reason);
		return;
	}
	run_mode(EM_MODE_PROT32, "32-bit");
	run_mode(EM_MODE_PROT16, "16-bit");
}
