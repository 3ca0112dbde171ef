/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Result lines in KTAP, for programs that are one sequence of steps.
 * Must not end the program.
 */
#ifndef SELFTESTS_MEMORY_RESULT_H
#define SELFTESTS_MEMORY_RESULT_H

#include <stdio.h>

static unsigned int results, results_failed;

/* One result; the rest explains it. */
#define result(good, name, fmt, ...) do { \
	bool good_ = (good); \
	results_failed += !good_; \
	printf("%s %u %s # " fmt "\n", good_ ? "ok" : "not ok", ++results, name, ##__VA_ARGS__); \
} while (0)

static inline void result_begin(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n");
}

/* The plan and the totals. Returns the program's exit status. */
static inline int result_end(void)
{
	printf("1..%u\n", results);
	printf("# Totals: pass:%u fail:%u xfail:0 xpass:0 skip:0 error:0\n",
	       results - results_failed, results_failed);
	return results_failed != 0;
}

#endif
