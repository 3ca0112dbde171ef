// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions whose accesses user space has to complete: started again after each of them,
 * they end as if nothing had happened, and have changed nothing in between.
 * It must not need the processor: both runs are the emulator's.
 */
#include "gen.h"
#include "insns.h"

#define ROUNDS 150

static struct guest plain, hard;
static u8 before[DATA_RW_SIZE], after_plain[DATA_RW_SIZE], after_hard[DATA_RW_SIZE];

static bool same(const struct state *a, const struct state *b)
{
	return !memcmp(a, b, sizeof(*a)) && !memcmp(after_plain, after_hard, DATA_RW_SIZE);
}

/* One case, with port I/O allowed so that ports are pending as well. */
static bool restart_one(const struct tmpl *t, enum em_mode mode, unsigned int *pendings)
{
	struct state want, got;
	enum em_result r1, r2;
	struct insn_case c;

	do {
		gen_case(&c, t, mode, 0, 0, CODE_BASE + CODE_PAGES * 4096);
	} while (c.n > 15);
	c.st.rflags = (c.st.rflags & ~(u64)FL_TF) | 0x3000;
	if (t->flags & T_STRING)
		c.st.gpr[EM_RCX] = rnd_below(20);
	c.st.rip = place_code(c.bytes, c.n, RUN_STEP);
	legacy_segments(&c.st, mode);
	memory_save(before);
	r1 = guest_run(&plain, &c.st, mode, 0, &want);
	memory_save(after_plain);
	memory_restore(before);
	if (plain.outside)
		return true;
	r2 = guest_run(&hard, &c.st, mode, GUEST_PENDING | GUEST_PREFETCH, &got);
	memory_save(after_hard);
	memory_restore(before);
	*pendings += hard.pendings;
	if (r1 == r2 && same(&want, &got))
		return true;
	ktap_diag("%s: at once %s, in pieces %s", t->name, result_name(r1), result_name(r2));
	describe(c.bytes, c.n, &c.st);
	return false;
}

static void run_table(const struct tmpl *t, unsigned int n, enum em_mode mode, const char *name)
{
	unsigned int i, j, bad = 0, pendings = 0;

	seed(5000 + mode);
	memory_randomize();
	for (i = 0; i < n; i++)
		for (j = 0; j < ROUNDS && bad < 3; j++)
			if (!restart_one(&t[i], mode, &pendings))
				bad++;
	ktap_diag("%s: %u accesses were pending", name, pendings);
	ktap_result(!bad && pendings > 1000, name);
}

void test_restart(void)
{
	/* Only the descriptors' copies are needed here. */
	legacy_init();
	run_table(insns_integer, insns_integer_count, EM_MODE_PROT64, "restart: 64-bit integer");
	run_table(insns_string, insns_string_count, EM_MODE_PROT64, "restart: 64-bit strings");
	run_table(insns_sse, insns_sse_count, EM_MODE_PROT64, "restart: 64-bit SSE");
	run_table(insns_avx, insns_avx_count, EM_MODE_PROT64, "restart: 64-bit AVX");
	run_table(insns_integer, insns_integer_count, EM_MODE_PROT32, "restart: 32-bit integer");
	run_table(insns_string, insns_string_count, EM_MODE_PROT32, "restart: 32-bit strings");
}
