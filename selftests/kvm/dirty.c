// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG: which pages the guest, or the kernel on its behalf,
 * has written.
 * Must not depend on how the device finds out (write protection or the CPU's own log).
 */
#include <sys/mman.h>

#include "ktap.h"
#include "tvm.h"

#define SLOT 7
#define BASE 0x40000000UL
#define PAGES 128UL

PROGRAM(store, 64, "1: mov %rax, (%rsi); out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b");
PROGRAM(load, 64, "1: mov (%rsi), %rax; out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b");
PROGRAM(insb, 64, "mov $" GUEST_STR(PORT_TEST2) ", %edx; mov %rsi, %rdi; insb; hlt");

FIXTURE(dirty)
{
	struct tvm *vm;
	struct tcpu *cpu;
	u8 *mem;
};

FIXTURE_SETUP(dirty)
{
	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
	self->mem = tvm_map(PAGES * PAGE);
	ASSERT_OK(tvm_slot(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, BASE, PAGES * PAGE,
			   self->mem));
}

FIXTURE_TEARDOWN(dirty)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

static void touch(struct __test_metadata *_metadata, struct tcpu *cpu,
		  const struct guest_code *code, unsigned long page)
{
	struct kvm_regs regs;

	tcpu_load(cpu, code);
	regs = tcpu_regs(cpu);
	regs.rsi = BASE + page * PAGE;
	tcpu_set_regs(cpu, &regs);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
}

static int fetch(struct tvm *vm, u32 slot, u64 bitmap[2])
{
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = bitmap };

	bitmap[0] = 0xaaaaaaaaaaaaaaaa;
	bitmap[1] = 0x5555555555555555;
	return ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log);
}

TEST_F(dirty, written_pages_show_once)
{
	u64 bits[2];

	ASSERT_OK(fetch(self->vm, SLOT, bits));
	EXPECT_EQ(0, bits[0] | bits[1]);
	touch(_metadata, self->cpu, &store, 3);
	touch(_metadata, self->cpu, &store, 127);
	touch(_metadata, self->cpu, &load, 5);
	ASSERT_OK(fetch(self->vm, SLOT, bits));
	EXPECT_EQ(BIT(3), bits[0]);
	EXPECT_EQ(BIT(63), bits[1]);
	ASSERT_OK(fetch(self->vm, SLOT, bits));
	EXPECT_EQ(0, bits[0] | bits[1]);
	/* Mapped by now: a second write must be seen all the same. */
	touch(_metadata, self->cpu, &store, 3);
	touch(_metadata, self->cpu, &store, 5);
	ASSERT_OK(fetch(self->vm, SLOT, bits));
	EXPECT_EQ(BIT(3) | BIT(5), bits[0]);
	EXPECT_EQ(0, bits[1]);
}

TEST_F(dirty, switched_on_later)
{
	u64 bits[2];

	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, PAGES * PAGE, self->mem));
	touch(_metadata, self->cpu, &store, 9);
	ASSERT_ERR(ENOENT, fetch(self->vm, SLOT, bits));
	ASSERT_OK(tvm_slot(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, BASE, PAGES * PAGE,
			   self->mem));
	touch(_metadata, self->cpu, &store, 9);
	touch(_metadata, self->cpu, &store, 10);
	ASSERT_OK(fetch(self->vm, SLOT, bits));
	EXPECT_EQ(BIT(9) | BIT(10), bits[0]);
}

TEST_F(dirty, written_by_the_kernel)
{
	u64 bits[2];

	touch(_metadata, self->cpu, &insb, 20);
	*(u8 *)tcpu_io_data(self->cpu) = 0x21;
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
	EXPECT_EQ(0x21, self->mem[20 * PAGE]);
	ASSERT_OK(fetch(self->vm, SLOT, bits));
	EXPECT_EQ(BIT(20), bits[0]);
}

TEST_F(dirty, accessed_bits_of_page_tables)
{
	struct kvm_sregs sregs = tcpu_sregs(self->cpu);
	u64 bits[2];

	/* The CPU's page walk sets the accessed bit in a table: a write as any other. */
	memcpy(self->mem + 30 * PAGE, self->vm->mem + GUEST_PML4, PAGE);
	*(u64 *)(self->mem + 30 * PAGE) &= ~0x20UL;
	sregs.cr3 = BASE + 30 * PAGE;
	tcpu_load(self->cpu, &store);
	tcpu_set_sregs(self->cpu, &sregs);
	touch(_metadata, self->cpu, &load, 31);
	EXPECT_EQ(0x20, *(u64 *)(self->mem + 30 * PAGE) & 0x20);
	ASSERT_OK(fetch(self->vm, SLOT, bits));
	EXPECT_EQ(BIT(30), bits[0]);
}

static int manual(struct tvm *vm, u64 flags)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { flags },
	};

	return ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
}

static int clear(struct tvm *vm, u64 first, u32 count, u64 *bitmap)
{
	struct kvm_clear_dirty_log log = {
		.slot = SLOT, .first_page = first, .num_pages = count, .dirty_bitmap = bitmap,
	};

	return ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &log);
}

TEST_F(dirty, cleared_by_hand)
{
	u64 bits[2], which[2] = { BIT(3), 0 };

	ASSERT_OK(manual(self->vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE));
	touch(_metadata, self->cpu, &store, 3);
	touch(_metadata, self->cpu, &store, 4);
	touch(_metadata, self->cpu, &store, 100);
	ASSERT_OK(fetch(self->vm, SLOT, bits));
	ASSERT_OK(fetch(self->vm, SLOT, bits));
	EXPECT_EQ(BIT(3) | BIT(4), bits[0]) TH_LOG("reading must not clear");
	EXPECT_EQ(BIT(36), bits[1]);
	ASSERT_OK(clear(self->vm, 0, 64, which));
	ASSERT_OK(fetch(self->vm, SLOT, bits));
	EXPECT_EQ(BIT(4), bits[0]);
	EXPECT_EQ(BIT(36), bits[1]) TH_LOG("the range ends before it");
	touch(_metadata, self->cpu, &store, 3);
	ASSERT_OK(fetch(self->vm, SLOT, bits));
	EXPECT_EQ(BIT(3) | BIT(4), bits[0]) TH_LOG("a cleared page is noticed again");
	which[0] = BIT(36) | BIT(37);
	ASSERT_OK(clear(self->vm, 64, 64, which));
	ASSERT_OK(fetch(self->vm, SLOT, bits));
	EXPECT_EQ(0, bits[1]);
}

TEST_F(dirty, all_set_at_first)
{
	u64 bits[2], which[2] = { ~0UL, ~BIT(0) };

	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, PAGES * PAGE, self->mem));
	touch(_metadata, self->cpu, &store, 9);
	ASSERT_OK(manual(self->vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
				   KVM_DIRTY_LOG_INITIALLY_SET));
	ASSERT_OK(tvm_slot(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, BASE, PAGES * PAGE,
			   self->mem));
	ASSERT_OK(fetch(self->vm, SLOT, bits));
	EXPECT_EQ(~0UL, bits[0] & bits[1]);
	ASSERT_OK(clear(self->vm, 0, PAGES, which));
	ASSERT_OK(fetch(self->vm, SLOT, bits));
	EXPECT_EQ(0, bits[0]);
	EXPECT_EQ(BIT(0), bits[1]);
	touch(_metadata, self->cpu, &store, 9);
	ASSERT_OK(fetch(self->vm, SLOT, bits));
	EXPECT_EQ(BIT(9), bits[0]) TH_LOG("mapped writable before the log began");
}

TEST_F(dirty, large_pages)
{
	const size_t size = 4UL << 20;
	char *mem = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
	char *aligned = (char *)(((uintptr_t)mem + size) & ~(size - 1));
	struct kvm_dirty_log log = { .slot = SLOT + 1 };
	u64 bits[16];
	int i;

	ASSERT_NE(MAP_FAILED, mem);
	madvise(aligned, size, MADV_HUGEPAGE);
	memset(aligned, 1, size);
	ASSERT_OK(tvm_slot(self->vm, SLOT + 1, 0, BASE + size, size, aligned));
	touch(_metadata, self->cpu, &store, size / PAGE + 7);
	ASSERT_OK(tvm_slot(self->vm, SLOT + 1, KVM_MEM_LOG_DIRTY_PAGES, BASE + size, size,
			   aligned));
	touch(_metadata, self->cpu, &load, size / PAGE + 8);
	touch(_metadata, self->cpu, &store, size / PAGE + 511);
	log.dirty_bitmap = bits;
	ASSERT_OK(ioctl(self->vm->fd, KVM_GET_DIRTY_LOG, &log));
	for (i = 0; i < 16; i++)
		EXPECT_EQ(i == 7 ? BIT(63) : 0, bits[i]) TH_LOG("word %d", i);
	EXPECT_OK(tvm_slot(self->vm, SLOT + 1, 0, BASE + size, 0, aligned));
	munmap(mem, 2 * size);
}

TEST_F(dirty, errors_of_clear)
{
	u64 bits[2] = { 0 };

	EXPECT_ERR(EINVAL, manual(self->vm, 4));
	EXPECT_ERR(EINVAL, manual(self->vm, KVM_DIRTY_LOG_INITIALLY_SET));
	EXPECT_ERR(EINVAL, clear(self->vm, 1, 64, bits));
	EXPECT_ERR(EINVAL, clear(self->vm, 0, 63, bits));
	EXPECT_ERR(EINVAL, clear(self->vm, 64, 65, bits));
	EXPECT_ERR(EINVAL, clear(self->vm, PAGES + 64, 0, bits));
	EXPECT_ERR(EINVAL, clear(self->vm, ~63UL, 64, bits));
	EXPECT_ERR(EFAULT, clear(self->vm, 0, PAGES, (void *)0x10));
	EXPECT_OK(clear(self->vm, 0, PAGES, bits));
	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, PAGES * PAGE, self->mem));
	EXPECT_ERR(ENOENT, clear(self->vm, 0, PAGES, bits));
}

TEST_F(dirty, errors)
{
	struct kvm_dirty_log log = { .slot = SLOT };
	u64 bits[2];

	EXPECT_ERR(ENOENT, fetch(self->vm, 0, bits));
	EXPECT_ERR(ENOENT, fetch(self->vm, SLOT + 1, bits));
	EXPECT_ERR(EINVAL, fetch(self->vm, 0xffff, bits));
	EXPECT_ERR(EFAULT, ioctl(self->vm->fd, KVM_GET_DIRTY_LOG, 0x10));
	touch(_metadata, self->cpu, &store, 1);
	log.dirty_bitmap = (void *)0x10;
	EXPECT_ERR(EFAULT, ioctl(self->vm->fd, KVM_GET_DIRTY_LOG, &log));
}

TEST_HARNESS_MAIN
