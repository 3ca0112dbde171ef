// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest writes and verifies patterns over all its memory while the host swaps, merges, migrates,
 * collapses, splits, protects, moves, forks, discards, serves faults from user space and logs dirty
 * pages.
 * Must not pass when one of these has not happened: each is counted, by the kernel's counters where
 * it has them.
 *
 * usage: work [--pages N] [--passes N] [--log bitmap|manual|ring] [--seed N]
 */
#include <getopt.h>
#include <time.h>

#include "host.h"
#include "patterns.h"
#include "work.h"

/* Parts of the memory: private; private and discarded at times; shared. */
#define DISCARD_PART	8
#define SHARED_PART	4

static const struct option options[] = {
	{ "pages", required_argument, NULL, 'p' },
	{ "passes", required_argument, NULL, 'n' },
	{ "log", required_argument, NULL, 'l' },
	{ "seed", required_argument, NULL, 's' },
	{}
};

static void work_memory(struct work *w)
{
	size_t shared = w->pages / SHARED_PART, private = w->pages - shared;
	size_t bytes = w->pages * PAGE;
	int fd = memfd_create("work", MFD_CLOEXEC);
	u8 *room = mmap(NULL, 2 * bytes + LARGE, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (room == MAP_FAILED || fd < 0 || ftruncate(fd, shared * PAGE))
		tvm_die("memory: %m");
	w->mem = (u8 *)(((uintptr_t)room + LARGE - 1) & -LARGE);
	w->away = w->mem + bytes;
	if (mmap(w->mem, private * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ||
	    mmap(w->mem + private * PAGE, shared * PAGE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		tvm_die("mmap: %m");
	w->discard = w->pages / DISCARD_PART;
	w->private = private - w->discard;
	w->shared = shared;
}

/* Slots that do not end where large pages do. */
static void work_slots(struct work *w)
{
	size_t middle = w->pages / 2 - 3;

	w->slot[0] = (struct work_slot){ 7, 0, middle };
	w->slot[1] = (struct work_slot){ 8, middle, w->pages - middle };
	work_set_slots(w, 0);
}

/* Every page is verified; about half are written, those that are to be merged more seldom. */
static void work_orders(struct work *w, bool first)
{
	size_t page;

	for (page = 0; page < w->pages; page++) {
		bool common = page % 4 == 1;
		u8 order = first ? PASS_WRITE : PASS_VERIFY;

		if (common)
			order |= PASS_COMMON;
		if (page >= w->private && page < w->private + w->discard)
			order |= PASS_MAY_ZERO;
		if (work_random(w, common ? 8 : 2) == 0)
			order |= PASS_WRITE;
		w->guest.orders[page] = order;
	}
}

static void work_finish_pass(struct work *w, bool logged)
{
	while (w->guest.running) {
		if (logged)
			work_log_fetch(w);
		usleep(1000);
	}
	if (!logged)
		return;
	work_log_fetch(w);
	work_log_check(w);
	work_set_slots(w, 0);
}

static void work_pass(struct work *w, unsigned int n)
{
	const struct work_op *op = &work_ops[n % work_nr_ops];
	bool logged = op->logs || work_random(w, 3) == 0;
	u64 before = op->count ? op->count(w) : 0;

	printf("# pass %u: %s%s\n", n, op->name, logged ? ", logged" : "");
	work_orders(w, false);
	if (logged)
		work_log_start(w);
	pattern_start(&w->guest);
	op->run(w);
	work_finish_pass(w, logged);
	if (op->after)
		op->after(w);
	if (op->count)
		w->counts[n % work_nr_ops] += op->count(w) - before;
	/* A part of the pages from the host's side, too: all of them in time. */
	pattern_check(&w->guest, n % 8 * (w->pages / 8), w->pages / 8);
}

/* Chance may have kept something from happening: the stretches are random, the guest fast. */
static void work_again(struct work *w)
{
	unsigned int i, tries;

	for (i = 0; i < work_nr_ops; i++)
		for (tries = 0; tries < 8 && !w->counts[i] && !w->guest.wrong; tries++)
			work_pass(w, i);
}

static int work_result(struct work *w)
{
	unsigned int i, failed = 0;
	bool ok;

	for (i = 0; i < work_nr_ops; i++) {
		const struct work_op *op = &work_ops[i];

		ok = w->counts[i] > 0;
		printf("%s %u %s # %llu %s\n", ok ? "ok" : "not ok", i + 1, op->name,
		       w->counts[i], op->unit);
		failed += !ok;
	}
	/* The in-tree module logs pages that are only read, too, when they come back writable. */
	ok = w->logged && !w->missing && !(tvm_is_kvmlet() && w->extra);
	printf("%s %u log # %llu pages logged, %llu missing, %llu not written\n",
	       ok ? "ok" : "not ok", ++i, w->logged, w->missing, w->extra);
	failed += !ok;
	printf("%s %u memory # %lu wrong words; %lu times EFAULT, %lu times a full ring\n",
	       w->guest.wrong ? "not ok" : "ok", ++i, w->guest.wrong, w->guest.faults,
	       w->guest.full);
	failed += w->guest.wrong != 0;
	printf("# Totals: pass:%u fail:%u xfail:0 xpass:0 skip:0 error:0\n", i - failed, failed);
	return failed != 0;
}

int main(int argc, char **argv)
{
	struct work w = { .pages = 8192, .seed = 1 };
	unsigned int n, passes = 3 * work_nr_ops;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'p')
			w.pages = strtoul(optarg, NULL, 0);
		else if (option == 'n')
			passes = strtoul(optarg, NULL, 0);
		else if (option == 's')
			w.seed = strtoul(optarg, NULL, 0);
		else if (option == 'l' && !strcmp(optarg, "manual"))
			w.log = LOG_MANUAL;
		else if (option == 'l' && !strcmp(optarg, "ring"))
			w.log = LOG_RING;
		else if (option != 'l' || strcmp(optarg, "bitmap"))
			return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..%u\n", work_nr_ops + 2);
	host_init();
	work_memory(&w);
	work_create(&w);
	work_slots(&w);
	work_orders(&w, true);
	pattern_start(&w.guest);
	work_finish_pass(&w, false);
	host_ksm_start(w.mem, (w.private + w.discard) * PAGE);
	for (n = 0; n < passes && !w.guest.wrong; n++)
		work_pass(&w, n);
	work_again(&w);
	pattern_check(&w.guest, 0, w.pages);
	host_ksm_stop();
	n = work_result(&w);
	pattern_destroy(&w.guest);
	return n;
}
