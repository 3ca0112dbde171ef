// SPDX-License-Identifier: GPL-2.0-only
/*
 * In the guest: loads every kind of interrupt, and notices when one of them does not come.
 *
 * It must not mistake a paused virtual CPU for a lost interrupt: nothing is too late before STALL
 * seconds.
 *
 * usage: load SECONDS [DISK], or load --pattern BYTES, which writes what the disk has to hold: its
 * own offsets, as 64-bit numbers.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/types.h>

#define STALL		10		/* seconds without progress that are a failure */
#define MAX_WORKERS	64
#define BLOCK		4096
#define PAGES		16

/**
 * struct worker - one thread
 * @name: of what it waits for
 * @cpu: where it runs, or -1 for anywhere
 * @in: pipe it reads from, for those that talk to each other
 * @out: pipe it writes to
 * @progress: what it has done so far
 */
struct worker {
	const char *name;
	int cpu;
	int in, out;
	pthread_t thread;
	atomic_ulong progress;
};

static struct worker workers[MAX_WORKERS];
static int nr_workers;
static atomic_bool ending;
static atomic_ulong errors;
static const char *disk;
static int nr_cpus;

static __u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000000 + (__u64)ts.tv_nsec;
}

static void error(const char *what, __u64 a, __u64 b)
{
	if (atomic_fetch_add(&errors, 1) < 10)
		printf("load: %s: %llu, %llu\n", what, a, b);
}

/* Time that one CPU has seen must not come again on another. */
static void check_clock(void)
{
	static atomic_ullong latest;
	unsigned long long seen = atomic_load(&latest), now = now_ns();

	if (now < seen)
		error("time went backwards", seen, now);
	while (seen < now && !atomic_compare_exchange_weak(&latest, &seen, now))
		;
}

/* A byte goes round between threads on different CPUs: each wakeup is an interrupt to the next. */
static void *talk(void *arg)
{
	struct worker *w = arg;
	char byte;

	while (read(w->in, &byte, 1) == 1) {
		check_clock();
		atomic_fetch_add(&w->progress, 1);
		if (atomic_load(&ending) || write(w->out, &byte, 1) != 1)
			break;
	}
	close(w->out);
	return NULL;
}

static void *sleeper(void *arg)
{
	const struct timespec pause = { .tv_nsec = 3000000 };
	struct worker *w = arg;

	while (!atomic_load(&ending)) {
		nanosleep(&pause, NULL);
		check_clock();
		atomic_fetch_add(&w->progress, 1);
	}
	return NULL;
}

/* Unmapping what other CPUs may have cached interrupts all of them, and waits for their answers. */
static void *mapper(void *arg)
{
	struct worker *w = arg;
	__u64 seed = (__u64)w->cpu + 1;

	while (!atomic_load(&ending)) {
		__u64 *p = mmap(NULL, PAGES * BLOCK, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED) {
			error("mmap", (__u64)errno, 0);
			break;
		}
		for (int i = 0; i < PAGES; i++)
			__atomic_store_n(&p[i * BLOCK / 8], seed + (__u64)i, __ATOMIC_RELAXED);
		mprotect(p, PAGES * BLOCK, PROT_READ);
		for (int i = 0; i < PAGES; i++) {
			__u64 val = __atomic_load_n(&p[i * BLOCK / 8], __ATOMIC_RELAXED);

			if (val != seed + (__u64)i)
				error("memory", val, seed + (__u64)i);
		}
		munmap(p, PAGES * BLOCK);
		seed = seed * 6364136223846793005ull + 1;
		atomic_fetch_add(&w->progress, 1);
	}
	return NULL;
}

static void *reader(void *arg)
{
	struct worker *w = arg;
	int fd = open(disk, O_RDONLY | O_DIRECT);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END), at = 0;
	__u64 *block = aligned_alloc(BLOCK, BLOCK);

	if (size < BLOCK || !block)
		error("disk", (__u64)errno, (__u64)size);
	while (size >= BLOCK && block && !atomic_load(&ending)) {
		if (pread(fd, block, BLOCK, at) != BLOCK)
			error("disk", (__u64)errno, (__u64)at);
		for (int i = 0; i < BLOCK / 8; i++) {
			if (block[i] != (__u64)at + (__u64)i * 8)
				error("disk content", block[i], (__u64)at + (__u64)i * 8);
		}
		at = (at + 7 * BLOCK) % (size / BLOCK * BLOCK);
		atomic_fetch_add(&w->progress, 1);
	}
	free(block);
	return NULL;
}

static struct worker *add(const char *name, int cpu)
{
	struct worker *w = &workers[nr_workers++];

	w->name = name;
	w->cpu = cpu;
	return w;
}

static void start(struct worker *w, void *(*run)(void *))
{
	cpu_set_t set;

	if (pthread_create(&w->thread, NULL, run, w))
		exit(1);
	if (w->cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(w->cpu, &set);
	pthread_setaffinity_np(w->thread, sizeof(set), &set);
}

/* A ring of one talker a CPU, with one byte in it. */
static void start_ring(void)
{
	int first[2], prev, fds[2];

	if (pipe(first))
		exit(1);
	prev = first[0];
	for (int cpu = 0; cpu < nr_cpus; cpu++) {
		struct worker *w = add("wakeup", cpu);

		w->in = prev;
		if (cpu == nr_cpus - 1) {
			w->out = first[1];
		} else {
			if (pipe(fds))
				exit(1);
			w->out = fds[1];
			prev = fds[0];
		}
	}
	if (write(first[1], "x", 1) != 1)
		exit(1);
	for (int i = 0; i < nr_cpus; i++)
		start(&workers[i], talk);
}

/* Look once a second whether each has got on. */
static bool watch(int seconds)
{
	unsigned long last[MAX_WORKERS] = { 0 };
	__u64 since[MAX_WORKERS], end = now_ns() + (__u64)seconds * 1000000000, longest = 0;

	for (int i = 0; i < nr_workers; i++)
		since[i] = now_ns();
	while (now_ns() < end) {
		usleep(200000);
		for (int i = 0; i < nr_workers; i++) {
			unsigned long progress = atomic_load(&workers[i].progress);
			__u64 waited = now_ns() - since[i];

			if (progress != last[i]) {
				last[i] = progress;
				since[i] = now_ns();
				continue;
			}
			longest = waited > longest ? waited : longest;
			if (waited < STALL * 1000000000ull)
				continue;
			printf("load: %s on CPU %d stands still at %lu\n", workers[i].name,
			       workers[i].cpu, progress);
			return false;
		}
	}
	printf("load: longest wait %llu ms\n", longest / 1000000);
	return true;
}

/* What the disk is to hold. */
static int pattern(__u64 size)
{
	for (__u64 at = 0; at < size; at += 8)
		fwrite(&at, sizeof(at), 1, stdout);
	return fflush(stdout) ? 1 : 0;
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 10;
	bool good;

	if (argc == 3 && !strcmp(argv[1], "--pattern"))
		return pattern(strtoull(argv[2], NULL, 0));
	setvbuf(stdout, NULL, _IOLBF, 0);
	disk = argc > 2 ? argv[2] : NULL;
	nr_cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	if (nr_cpus > 16)
		nr_cpus = 16;
	start_ring();
	for (int cpu = 0; cpu < nr_cpus; cpu++)
		start(add("timer", cpu), sleeper);
	start(add("shootdown", 0), mapper);
	start(add("shootdown", nr_cpus - 1), mapper);
	if (disk)
		start(add("disk", -1), reader);
	good = watch(seconds);
	for (int i = 0; i < nr_workers; i++)
		printf("load: %s on CPU %d: %lu\n", workers[i].name, workers[i].cpu,
		       atomic_load(&workers[i].progress));
	/* Those that stand still would never end. */
	return good && !atomic_load(&errors) ? 0 : 1;
}
