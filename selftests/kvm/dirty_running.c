// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty logs of a guest that does not stop: what it wrote is in the log, and a long list is not
 * lost.
 * Must not stop the guest before it reads the log.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ktap.h"
#include "tvm.h"

#define SLOT 7
#define BASE 0x40000000UL
#define PAGES 2048UL

/* Writes %rcx pages from %rsi on, tells so at GUEST_DATA, and waits there to be let go. */
PROGRAM(sweep, 64,
	"1: movb $1, (%rsi); add $0x1000, %rsi; loop 1b\n"
	"movb $1, " GUEST_STR(GUEST_DATA) "\n"
	"2: cmpb $2, " GUEST_STR(GUEST_DATA) "; jne 2b; hlt");

FIXTURE(dirty_running)
{
	struct tvm *vm;
	struct tcpu *cpu;
	u8 *mem;
	u64 bitmap[PAGES / 64];
	pthread_t thread;
};

FIXTURE_SETUP(dirty_running)
{
	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
	self->mem = tvm_map(PAGES * PAGE);
	ASSERT_OK(tvm_slot(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, BASE, PAGES * PAGE,
			   self->mem));
}

FIXTURE_TEARDOWN(dirty_running)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
	munmap(self->mem, PAGES * PAGE);
}

static void *run(void *cpu)
{
	return (void *)(long)tcpu_run(cpu);
}

static u8 *note(struct tvm *vm)
{
	return vm->mem + GUEST_DATA;
}

/* Returns when the guest has written @count pages from @first on, and runs on. */
static void begin(struct tvm *vm, struct tcpu *cpu, pthread_t *thread, u64 first, u64 count)
{
	struct kvm_regs regs;

	tcpu_load(cpu, &sweep);
	regs = tcpu_regs(cpu);
	regs.rsi = BASE + first * PAGE;
	regs.rcx = count;
	tcpu_set_regs(cpu, &regs);
	*note(vm) = 0;
	if (pthread_create(thread, NULL, run, cpu))
		tvm_die("pthread_create");
	while (__atomic_load_n(note(vm), __ATOMIC_ACQUIRE) != 1)
		usleep(100);
}

static long end(struct tvm *vm, pthread_t thread)
{
	void *ret;

	__atomic_store_n(note(vm), 2, __ATOMIC_RELEASE);
	pthread_join(thread, &ret);
	return (long)ret;
}

static void expect_log(struct __test_metadata *_metadata, struct tvm *vm, u64 *bitmap, u64 first,
		       u64 count)
{
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = bitmap };
	u64 page;

	memset(bitmap, 0xa5, PAGES / 8);
	ASSERT_OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	for (page = 0; page < PAGES; page++)
		ASSERT_EQ(page - first < count, bitmap[page / 64] >> page % 64 & 1)
			TH_LOG("page %llu", page);
}

TEST_F(dirty_running, what_was_written_is_in_the_log)
{
	unsigned int i;

	for (i = 0; i < 4; i++) {
		begin(self->vm, self->cpu, &self->thread, 100 * i, 3);
		expect_log(_metadata, self->vm, self->bitmap, 100 * i, 3);
		expect_log(_metadata, self->vm, self->bitmap, 0, 0);
		ASSERT_EQ(KVM_EXIT_HLT, end(self->vm, self->thread));
		expect_log(_metadata, self->vm, self->bitmap, 0, 0);
	}
}

TEST_F(dirty_running, more_than_any_list_holds)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		begin(self->vm, self->cpu, &self->thread, 17, PAGES - 20);
		expect_log(_metadata, self->vm, self->bitmap, 17, PAGES - 20);
		ASSERT_EQ(KVM_EXIT_HLT, end(self->vm, self->thread));
	}
}

TEST_F(dirty_running, logging_that_begins_under_a_running_guest)
{
	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, PAGES * PAGE, self->mem));
	begin(self->vm, self->cpu, &self->thread, 0, PAGES);
	ASSERT_OK(tvm_slot(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, BASE, PAGES * PAGE,
			   self->mem));
	expect_log(_metadata, self->vm, self->bitmap, 0, 0);
	ASSERT_EQ(KVM_EXIT_HLT, end(self->vm, self->thread));
	/* Entries that were there before the log was. */
	begin(self->vm, self->cpu, &self->thread, 64, 700);
	expect_log(_metadata, self->vm, self->bitmap, 64, 700);
	ASSERT_EQ(KVM_EXIT_HLT, end(self->vm, self->thread));
}

TEST_HARNESS_MAIN
