// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults of two vCPUs beside each other, and what others on the same CPU notice when much memory
 * is taken from a guest.
 * Must not use large pages: it is the number of entries that counts.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "host.h"
#include "result.h"

#define SLOT	7
#define BASE	0x40000000UL
#define CPUS	2
#define FAULTS	8192UL
#define BYTES	(FAULTS * CPUS * PAGE)
/* Nanoseconds that a real-time thread may be late; the emulated CPU runs 100,000 instructions. */
#define LATE	1000000L

PROGRAM(touch, 64, "1: movb $1, (%rsi); add $0x1000, %rsi; loop 1b; hlt");

struct toucher {
	struct tcpu *cpu;
	pthread_barrier_t *start;
	unsigned int place;
	u64 ticks;
};

static void pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		tvm_die("no CPU %u", cpu);
}

static void *toucher(void *arg)
{
	struct toucher *t = arg;
	struct kvm_regs regs = {
		.rip = GUEST_CODE,
		.rflags = 2,
		.rsi = BASE + t->place * FAULTS * PAGE,
		.rcx = FAULTS,
	};
	u64 start;

	pin(t->place);
	tcpu_set_regs(t->cpu, &regs);
	pthread_barrier_wait(t->start);
	start = tvm_rdtsc();
	if (tcpu_run(t->cpu) != KVM_EXIT_HLT)
		tvm_die("exit reason %u", t->cpu->run->exit_reason);
	t->ticks = tvm_rdtsc() - start;
	return NULL;
}

static void set_slot(struct tvm *vm, void *mem)
{
	if (tvm_slot(vm, SLOT, 0, BASE, mem ? BYTES : 0, mem))
		tvm_die("memory slot: %m");
}

/* All pages are mapped anew by as many vCPUs as @count says; the ticks of the slowest. */
static u64 touch_all(struct tvm *vm, struct tcpu **cpu, unsigned int count, void *mem)
{
	struct toucher t[CPUS] = {};
	pthread_barrier_t start;
	pthread_t thread[CPUS];
	unsigned int i;
	u64 slowest = 0;

	set_slot(vm, mem);
	pthread_barrier_init(&start, NULL, count);
	for (i = 0; i < count; i++) {
		t[i] = (struct toucher){ .cpu = cpu[i], .start = &start, .place = i };
		if (pthread_create(&thread[i], NULL, toucher, &t[i]))
			tvm_die("pthread_create");
	}
	for (i = 0; i < count; i++) {
		pthread_join(thread[i], NULL);
		if (t[i].ticks > slowest)
			slowest = t[i].ticks;
	}
	return slowest;
}

/* ---- A thread that has to run at once ---- */

static atomic_bool watching;

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void *watcher(void *worst)
{
	const struct sched_param param = { .sched_priority = 50 };
	const struct timespec pause = { .tv_nsec = 200000 };
	long begin, late;

	pin(0);
	if (sched_setscheduler(0, SCHED_FIFO, &param))
		tvm_die("SCHED_FIFO: %m");
	watching = true;
	while (watching) {
		begin = now();
		nanosleep(&pause, NULL);
		late = now() - begin - pause.tv_nsec;
		if (late > *(long *)worst)
			*(long *)worst = late;
	}
	return NULL;
}

struct removal {
	struct tvm *vm;
	struct tcpu **cpu;
	void *mem;
};

static void nothing(struct removal *r)
{
	(void)r;
	usleep(20000);
}

static void remove_slot(struct removal *r)
{
	set_slot(r->vm, NULL);
}

static void remove_vm(struct removal *r)
{
	unsigned int i;

	for (i = 0; i < CPUS; i++)
		tcpu_destroy(r->cpu[i]);
	tvm_destroy(r->vm);
}

static void log_writes(struct removal *r)
{
	if (tvm_slot(r->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, BASE, BYTES, r->mem) ||
	    tvm_slot(r->vm, SLOT, 0, BASE, BYTES, r->mem))
		tvm_die("logging: %m");
}

static void watch(const char *name, void (*what)(struct removal *r), struct removal *r)
{
	long worst = 0, begin;
	pthread_t thread;

	if (pthread_create(&thread, NULL, watcher, &worst))
		tvm_die("pthread_create");
	while (!watching)
		usleep(100);
	begin = now();
	what(r);
	begin = now() - begin;
	watching = false;
	pthread_join(thread, NULL);
	result(worst < LATE, name, "%ld us, and another thread waited for %ld us at most",
	       begin / 1000, worst / 1000);
}

int main(void)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu[CPUS];
	struct removal r = { .vm = vm, .cpu = cpu };
	u64 alone, both;
	unsigned int i;

	result_begin();
	r.mem = tvm_map(BYTES);
	madvise(r.mem, BYTES, MADV_NOHUGEPAGE);
	if (madvise(r.mem, BYTES, MADV_POPULATE_WRITE))
		tvm_die("memory: %m");
	for (i = 0; i < CPUS; i++) {
		cpu[i] = tvm_vcpu(vm, i);
		tcpu_load(cpu[i], &touch);
	}
	alone = touch_all(vm, cpu, 1, r.mem);
	set_slot(vm, NULL);
	both = touch_all(vm, cpu, CPUS, r.mem);
	result(both * 2 < alone * 3, "parallel_faults",
	       "%llu ticks for one vCPU, %llu for two with twice the pages", alone, both);

	pin(0);
	watch("idle", nothing, &r);
	watch("logging", log_writes, &r);
	touch_all(vm, cpu, CPUS, r.mem);
	watch("slot_removed", remove_slot, &r);
	touch_all(vm, cpu, CPUS, r.mem);
	watch("vm_removed", remove_vm, &r);
	return result_end();
}
