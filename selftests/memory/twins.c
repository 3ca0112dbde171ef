// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two processes with a guest each, three quarters of whose memory are the same: KSM merges them,
 * the host's memory in use falls by what they have in common, and both go on writing.
 * Must not tell the kernel which pages are alike.
 *
 * usage: twins [PAGES]
 */
#include <sys/wait.h>

#include "host.h"
#include "patterns.h"
#include "result.h"

#define TWINS	2
#define SLOT	7

/**
 * struct family - what the processes share
 * @step: passed by both twins and their parent
 * @wrong: wrong words in all
 * @pages: of each twin
 */
struct family {
	pthread_barrier_t step;
	atomic_ulong wrong;
	size_t pages;
};

/* Pages of one generation and number are alike; every fourth has a generation of its own. */
static void twin_prepare(struct patterns *p, unsigned int twin)
{
	size_t page;

	for (page = 0; page < p->pages; page++) {
		p->orders[page] = PASS_WRITE;
		p->gens[page] = page % 4 == 3 ? 1000 * (twin + 1) : 1;
	}
}

static void twin_pass(struct patterns *p)
{
	pattern_start(p);
	while (p->running)
		usleep(1000);
}

/* Twins part: one writes all pages, the other every second one. */
static void twin_go_on(struct patterns *p, unsigned int twin)
{
	size_t page;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		for (page = 0; page < p->pages; page++)
			p->orders[page] = PASS_VERIFY | ((page + i) % (twin + 1) ? 0 : PASS_WRITE);
		twin_pass(p);
	}
	pattern_check(p, 0, p->pages);
}

static void twin_live(struct family *f, unsigned int twin)
{
	struct tvm *vm = tvm_create(0);
	u8 *mem = tvm_map(f->pages * PAGE);
	struct patterns p = {};

	if (tvm_slot(vm, SLOT, 0, PATTERN_BASE, f->pages * PAGE, mem) ||
	    madvise(mem, f->pages * PAGE, MADV_MERGEABLE))
		tvm_die("memory: %m");
	pattern_create(&p, vm, mem, f->pages);
	twin_prepare(&p, twin);
	twin_pass(&p);
	pthread_barrier_wait(&f->step);
	/* The parent watches the merging. */
	pthread_barrier_wait(&f->step);
	twin_go_on(&p, twin);
	f->wrong += p.wrong;
	pthread_barrier_wait(&f->step);
	pattern_destroy(&p);
	_exit(0);
}

/*
 * All anonymous memory of the host. Free pages would say the same, were there not thousands of them
 * in lists of each CPU, which nobody counts.
 */
static u64 pages_in_use(void)
{
	host_write("/proc/sys/vm/stat_refresh", "1");
	return host_vmstat("nr_anon_pages");
}

/* Until two scans in a row have found nothing more. */
static void wait_for_merging(void)
{
	u64 last = ~0UL, scans = host_ksm("full_scans");
	unsigned int i;

	for (i = 0; i < 3000; i++) {
		usleep(10000);
		if (host_ksm("full_scans") < scans + 2)
			continue;
		scans = host_ksm("full_scans");
		if (host_ksm("pages_sharing") && host_ksm("pages_sharing") == last)
			return;
		last = host_ksm("pages_sharing");
	}
}

static void watch(struct family *f)
{
	u64 common = f->pages - f->pages / 4, before, after, broken;

	pthread_barrier_wait(&f->step);
	before = pages_in_use();
	if (host_ksm_run())
		tvm_die("no KSM");
	wait_for_merging();
	after = pages_in_use();
	result(before > after && before - after >= common * 8 / 10, "merged",
	       "%llu pages in common, %lld less in use; KSM counts %llu", common,
	       (long long)(before - after), host_ksm("pages_sharing"));
	host_ksm_stop();
	broken = host_vmstat("cow_ksm");
	pthread_barrier_wait(&f->step);
	pthread_barrier_wait(&f->step);
	broken = host_vmstat("cow_ksm") - broken;
	result(broken >= common, "parted", "%llu merged pages copied on a write", broken);
	result(!f->wrong, "contents", "%lu wrong words", f->wrong);
}

int main(int argc, char **argv)
{
	struct family *f = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				-1, 0);
	pthread_barrierattr_t attr;
	unsigned int twin;
	int status;

	f->pages = argc > 1 ? strtoul(argv[1], NULL, 0) : 8192;
	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&f->step, &attr, TWINS + 1);
	result_begin();
	for (twin = 0; twin < TWINS; twin++)
		if (!fork())
			twin_live(f, twin);
	watch(f);
	while (wait(&status) > 0)
		if (status)
			tvm_die("a twin died: %#x", status);
	return result_end();
}
