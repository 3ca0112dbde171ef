/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KTAP output for unit tests in user space.
 * It must not keep a test from going on: every check reports and returns.
 */
#ifndef UNIT_KTAP_H
#define UNIT_KTAP_H

#include <stdbool.h>
#include <stdio.h>

struct ktap {
	unsigned int count;
	unsigned int failed;
	unsigned int skipped;
};

extern struct ktap ktap;

/* Begin a run; the plan comes at the end, which KTAP allows. */
static inline void ktap_begin(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("TAP version 13");
}

static inline bool ktap_result(bool ok, const char *name)
{
	ktap.count++;
	if (!ok)
		ktap.failed++;
	printf("%sok %u %s\n", ok ? "" : "not ", ktap.count, name);
	return ok;
}

static inline void ktap_skip(const char *name, const char *why)
{
	ktap.count++;
	ktap.skipped++;
	printf("ok %u %s # SKIP %s\n", ktap.count, name, why);
}

/* A line for people; a macro, so that the compiler checks the format. */
#define ktap_diag(...) (fputs("# ", stdout), printf(__VA_ARGS__), putchar('\n'))

/* Print plan and totals; the result is main()'s exit status. */
static inline int ktap_end(void)
{
	printf("1..%u\n", ktap.count);
	printf("# Totals: pass:%u fail:%u xfail:0 xpass:0 skip:%u error:0\n",
	       ktap.count - ktap.failed - ktap.skipped, ktap.failed, ktap.skipped);
	return ktap.failed ? 1 : 0;
}

#endif
