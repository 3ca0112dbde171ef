/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that writes and verifies patterns over its memory, pass by pass, on several vCPUs.
 * Must not know what the host does to that memory meanwhile.
 *
 * A page's content follows from its number and its generation, which grows with each write. The
 * host orders by one byte per page what a pass does there; the guest keeps the generations. Every
 * word is checked before it is written.
 */
#ifndef SELFTESTS_MEMORY_PATTERNS_H
#define SELFTESTS_MEMORY_PATTERNS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tvm.h"

#define PATTERN_BASE	0x40000000UL
#define PATTERN_CPUS	2
#define PATTERN_MAX	0x20000UL

/* What a pass does with a page. */
#define PASS_VERIFY	0x01
#define PASS_WRITE	0x02
#define PASS_MAY_ZERO	0x04	/* the host may discard it: a word may also be 0 */
#define PASS_COMMON	0x08	/* pages of one generation have one content: for KSM */

/* In the second slot of the default layout: orders, generations, the guest's own page tables. */
#define PATTERN_ORDERS	0x100000
#define PATTERN_GENS	0x140000
#define PATTERN_TABLES	0x280000

#define PATTERN_GEN_FACTOR	0x9e3779b97f4a7c15UL
#define PATTERN_PAGE_FACTOR	0xc2b2ae3d27d4eb4fUL
#define PATTERN_STEP		0x0123456789abcdefUL

/* %rsi: page, %rdi: end, %r8: order, %r9: generation, %r10, %r11, %r13: strides of these three. */
PROGRAM(pattern_pass, 64,
	"1:	cmp %rdi, %rsi; jae 9f\n"
	"	movzbl (%r8), %eax; test %eax, %eax; jz 8f\n"
	"	mov (%r9), %rbx; mov %rbx, %rdx; imul %rbp, %rdx\n"
	"	test $8, %al; jnz 2f; mov %rsi, %rcx; imul %r14, %rcx; add %rcx, %rdx\n"
	"2:	mov %rsi, %r15; test $1, %al; jz 4f\n"
	"	mov $512, %ecx\n"
	"3:	cmp (%r15), %rdx; jne 7f\n"
	"33:	add %r12, %rdx; add $8, %r15; dec %ecx; jnz 3b\n"
	"4:	test $2, %al; jz 8f\n"
	"	inc %rbx; mov %rbx, (%r9); mov %rbx, %rdx; imul %rbp, %rdx\n"
	"	test $8, %al; jnz 5f; mov %rsi, %rcx; imul %r14, %rcx; add %rcx, %rdx\n"
	"5:	mov %rsi, %r15; mov $512, %ecx\n"
	"6:	mov %rdx, (%r15); add %r12, %rdx; add $8, %r15; dec %ecx; jnz 6b\n"
	"8:	add %r10, %rsi; add %r11, %r8; add %r13, %r9; jmp 1b\n"
	"7:	test $4, %al; jz 77f; cmpq $0, (%r15); je 33b\n"
	"77:	mov (%r15), %rbx; out %al, $" GUEST_STR(PORT_TEST) "; jmp 77b\n"
	"9:	hlt");

/**
 * struct patterns - the guest
 * @vm: its VM; @mem and @pages: the memory under test, at PATTERN_BASE
 * @cpu: its vCPUs; vCPU i sees to pages i, i + PATTERN_CPUS, ...
 * @orders: one byte for each page
 * @gens: one word for each page
 * @running: vCPUs that have not ended the pass
 * @faults: KVM_RUN ended with EFAULT, and was called again
 * @full: KVM_RUN ended because a dirty ring was full
 * @wrong: wrong words found, by the guest or by the host
 */
struct patterns {
	struct tvm *vm;
	u8 *mem;
	size_t pages;
	struct tcpu *cpu[PATTERN_CPUS];
	pthread_t thread[PATTERN_CPUS];
	pthread_barrier_t barrier;
	u8 *orders;
	u64 *gens;
	atomic_int running;
	atomic_ulong faults, full, wrong;
	bool quit;
};

static inline u64 pattern_first(const struct patterns *p, size_t page)
{
	u64 value = p->gens[page] * PATTERN_GEN_FACTOR;

	if (!(p->orders[page] & PASS_COMMON))
		value += (PATTERN_BASE + page * PAGE) * PATTERN_PAGE_FACTOR;
	return value;
}

static void pattern_set_regs(struct patterns *p, unsigned int i)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE,
		.rflags = 2,
		.rsp = GUEST_CODE,
		.rsi = PATTERN_BASE + i * PAGE,
		.rdi = PATTERN_BASE + p->pages * PAGE,
		.r8 = PATTERN_ORDERS + i,
		.r9 = PATTERN_GENS + i * 8,
		.r10 = PATTERN_CPUS * PAGE,
		.r11 = PATTERN_CPUS,
		.r13 = PATTERN_CPUS * 8,
		.rbp = PATTERN_GEN_FACTOR,
		.r14 = PATTERN_PAGE_FACTOR,
		.r12 = PATTERN_STEP,
	};

	tcpu_set_regs(p->cpu[i], &regs);
}

static void pattern_explain(struct patterns *p, size_t page, size_t offset, u64 expected)
{
	printf("# page %zu order %#x generation %llu offset %#zx: expected %#llx\n", page,
	       p->orders[page], p->gens[page], offset, expected);
}

static void pattern_report(struct patterns *p, struct tcpu *cpu)
{
	struct kvm_regs regs = tcpu_regs(cpu);
	size_t page = (regs.rsi - PATTERN_BASE) / PAGE;

	pattern_explain(p, page, regs.r15 & (PAGE - 1), regs.rdx);
	printf("# the guest reads %#llx, the host %#llx\n", regs.rbx,
	       *(u64 *)(p->mem + (regs.r15 - PATTERN_BASE)));
	p->wrong++;
}

static void pattern_run(struct patterns *p, struct tcpu *cpu)
{
	for (;;) {
		int ret = tcpu_run(cpu);

		switch (ret) {
		case KVM_EXIT_HLT:
			return;
		case -EFAULT:
			p->faults++;
			usleep(500);
			break;
		case KVM_EXIT_DIRTY_RING_FULL:
			p->full++;
			usleep(500);
			break;
		case -EINTR:
		case -EAGAIN:
			break;
		default:
			if (ret == KVM_EXIT_IO)
				pattern_report(p, cpu);
			else
				tvm_die("KVM_RUN: %d, exit reason %u", ret, cpu->run->exit_reason);
			return;
		}
	}
}

struct pattern_thread {
	struct patterns *p;
	unsigned int i;
};

static void *pattern_thread(void *arg)
{
	struct pattern_thread *t = arg;
	struct patterns *p = t->p;
	unsigned int i = t->i;

	free(t);
	for (;;) {
		pthread_barrier_wait(&p->barrier);
		if (p->quit)
			return NULL;
		pattern_set_regs(p, i);
		pattern_run(p, p->cpu[i]);
		p->running--;
	}
}

/* Let the pass begin that p->orders says. */
static inline void pattern_start(struct patterns *p)
{
	p->running = PATTERN_CPUS;
	pthread_barrier_wait(&p->barrier);
}

/* The lower half of the memory in pages of 4K, so that both sizes are met by shadow paging. */
static void pattern_map_small(struct patterns *p)
{
	u64 *pd = (u64 *)(p->vm->mem + GUEST_PD) + (PATTERN_BASE >> 21);
	size_t i, tables = p->pages / 512 / 2;

	for (i = 0; i < tables * 512; i++)
		((u64 *)(p->vm->mem + PATTERN_TABLES))[i] = (PATTERN_BASE + i * PAGE) | 7;
	for (i = 0; i < tables; i++)
		pd[i] = (PATTERN_TABLES + i * PAGE) | 7;
}

/* Make the guest; the caller gives it slots for @mem at PATTERN_BASE. */
static inline void pattern_create(struct patterns *p, struct tvm *vm, u8 *mem, size_t pages)
{
	unsigned int i;

	if (pages > PATTERN_MAX)
		tvm_die("at most %lu pages", PATTERN_MAX);
	p->vm = vm;
	p->mem = mem;
	p->pages = pages;
	p->orders = vm->mem + PATTERN_ORDERS;
	p->gens = (u64 *)(vm->mem + PATTERN_GENS);
	pattern_map_small(p);
	pthread_barrier_init(&p->barrier, NULL, PATTERN_CPUS + 1);
	for (i = 0; i < PATTERN_CPUS; i++) {
		struct pattern_thread *t = malloc(sizeof(*t));

		t->p = p;
		t->i = i;
		p->cpu[i] = tvm_vcpu(vm, i);
		tcpu_load(p->cpu[i], &pattern_pass);
		if (pthread_create(&p->thread[i], NULL, pattern_thread, t))
			tvm_die("pthread_create");
	}
}

static inline void pattern_destroy(struct patterns *p)
{
	unsigned int i;

	p->quit = true;
	pthread_barrier_wait(&p->barrier);
	for (i = 0; i < PATTERN_CPUS; i++) {
		pthread_join(p->thread[i], NULL);
		tcpu_destroy(p->cpu[i]);
	}
	tvm_destroy(p->vm);
}

/* Between passes: does the host find in its own mapping what the guest wrote? */
static inline void pattern_check(struct patterns *p, size_t first, size_t count)
{
	size_t page, i;

	for (page = first; page < first + count; page++) {
		const u64 *words = (u64 *)(p->mem + page * PAGE);
		u64 value = pattern_first(p, page);

		for (i = 0; i < 512; i++, value += PATTERN_STEP) {
			if (words[i] == value || (!words[i] && p->orders[page] & PASS_MAY_ZERO))
				continue;
			pattern_explain(p, page, i * 8, value);
			printf("# the host reads %#llx\n", words[i]);
			p->wrong++;
			break;
		}
	}
}

#endif
