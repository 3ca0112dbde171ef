// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CAP_DIRTY_LOG_RING and KVM_RESET_DIRTY_RINGS: the list of pages that a vCPU has written.
 * Must not depend on how many entries the device keeps in reserve.
 */
#include <sys/mman.h>

#include "ktap.h"
#include "tvm.h"

#define SLOT 7
#define BASE 0x40000000UL
#define PAGES 1024UL
#define ENTRIES 1024UL
#define BYTES (ENTRIES * sizeof(struct kvm_dirty_gfn))

PROGRAM(sweep, 64, "1: mov %rax, (%rsi); add $4096, %rsi; loop 1b; out %al, $" GUEST_STR(PORT_TEST)
	"; hlt");

FIXTURE(ring)
{
	struct tvm *vm;
	struct tcpu *cpu;
	struct kvm_dirty_gfn *entries;
	u8 *mem;
};

static int enable(struct tvm *vm, u32 cap, u64 bytes)
{
	struct kvm_enable_cap arg = { .cap = cap, .args = { bytes } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &arg);
}

static void *map_ring(struct tcpu *cpu, int prot, int flags)
{
	return mmap(NULL, BYTES, prot, flags, cpu->fd, KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);
}

FIXTURE_SETUP(ring)
{
	self->vm = tvm_create(0);
	ASSERT_OK(enable(self->vm, KVM_CAP_DIRTY_LOG_RING, BYTES));
	self->cpu = tvm_vcpu(self->vm, 0);
	self->entries = map_ring(self->cpu, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->entries);
	self->mem = tvm_map(PAGES * PAGE);
	ASSERT_OK(tvm_slot(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, BASE, PAGES * PAGE,
			   self->mem));
}

FIXTURE_TEARDOWN(ring)
{
	munmap(self->entries, BYTES);
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

static void load_sweep(struct tcpu *cpu, unsigned long first, unsigned long count)
{
	struct kvm_regs regs;

	tcpu_load(cpu, &sweep);
	regs = tcpu_regs(cpu);
	regs.rsi = BASE + first * PAGE;
	regs.rcx = count;
	tcpu_set_regs(cpu, &regs);
}

/* Take what is there, from place @at on; returns how many. */
static unsigned int harvest(struct kvm_dirty_gfn *entries, unsigned int at)
{
	unsigned int n;

	for (n = 0; n < ENTRIES; n++) {
		struct kvm_dirty_gfn *entry = &entries[(at + n) % ENTRIES];

		if (!(__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY))
			break;
		__atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	}
	return n;
}

TEST_F(ring, written_pages_in_order)
{
	unsigned int i;

	load_sweep(self->cpu, 5, 3);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(KVM_DIRTY_GFN_F_DIRTY, self->entries[i].flags);
		EXPECT_EQ(SLOT, self->entries[i].slot);
		EXPECT_EQ(5 + i, self->entries[i].offset);
	}
	EXPECT_EQ(0, self->entries[3].flags);
	/* Nothing was taken. */
	EXPECT_EQ(0, ioctl(self->vm->fd, KVM_RESET_DIRTY_RINGS, 0));
	load_sweep(self->cpu, 6, 1);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	EXPECT_EQ(0, self->entries[3].flags) TH_LOG("not reset, so not noticed again");
	EXPECT_EQ(3, harvest(self->entries, 0));
	EXPECT_EQ(3, ioctl(self->vm->fd, KVM_RESET_DIRTY_RINGS, 0));
	EXPECT_EQ(0, self->entries[1].flags);
	load_sweep(self->cpu, 6, 1);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	EXPECT_EQ(KVM_DIRTY_GFN_F_DIRTY, self->entries[3].flags);
	EXPECT_EQ(6, self->entries[3].offset);
}

TEST_F(ring, full)
{
	unsigned int n = 0, rounds = 0, got;

	load_sweep(self->cpu, 0, PAGES);
	ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, tcpu_run(self->cpu));
	/* It is told for as long as it is true. */
	ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, tcpu_run(self->cpu));
	do {
		got = harvest(self->entries, n);
		EXPECT_EQ(got, ioctl(self->vm->fd, KVM_RESET_DIRTY_RINGS, 0));
		n += got;
	} while (tcpu_run(self->cpu) == KVM_EXIT_DIRTY_RING_FULL && ++rounds < 2 * PAGES);
	EXPECT_EQ(KVM_EXIT_IO, self->cpu->run->exit_reason);
	n += harvest(self->entries, n);
	/* A page at the limit may come twice: it was not yet written when the ring was full. */
	EXPECT_LE(PAGES, n);
	EXPECT_GE(PAGES + rounds + 1, n);
}

TEST_F(ring, hostile_entries)
{
	unsigned int n, i;

	load_sweep(self->cpu, 0, 300);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	for (i = 0; i < ENTRIES; i++) {
		self->entries[i].slot = i % 3 ? 0xffffffff : SLOT;
		self->entries[i].offset = i % 2 ? ~0UL - i : PAGES - 1;
		self->entries[i].flags = ~0U;
	}
	n = ioctl(self->vm->fd, KVM_RESET_DIRTY_RINGS, 0);
	EXPECT_LE(300, n);
	EXPECT_GE(ENTRIES, n);
}

TEST_F(ring, no_bitmap)
{
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = self->mem };
	struct kvm_clear_dirty_log clear = { .slot = SLOT, .dirty_bitmap = self->mem };

	EXPECT_ERR(ENXIO, ioctl(self->vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_ERR(ENXIO, ioctl(self->vm->fd, KVM_CLEAR_DIRTY_LOG, &clear));
}

TEST_F(ring, mapping)
{
	EXPECT_EQ(MAP_FAILED, map_ring(self->cpu, PROT_READ, MAP_PRIVATE));
	EXPECT_EQ(MAP_FAILED, map_ring(self->cpu, PROT_READ | PROT_EXEC, MAP_SHARED));
}

TEST(errors_of_enable)
{
	struct tvm *vm = tvm_create(0);

	EXPECT_ERR(EINVAL, ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0));
	EXPECT_ERR(EINVAL, enable(vm, KVM_CAP_DIRTY_LOG_RING, 0));
	EXPECT_ERR(EINVAL, enable(vm, KVM_CAP_DIRTY_LOG_RING, BYTES + PAGE));
	EXPECT_ERR(EINVAL, enable(vm, KVM_CAP_DIRTY_LOG_RING, PAGE / 2));
	EXPECT_ERR(E2BIG, enable(vm, KVM_CAP_DIRTY_LOG_RING,
				 2UL * tvm_cap(vm, KVM_CAP_DIRTY_LOG_RING)));
	EXPECT_OK(enable(vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, BYTES));
	EXPECT_ERR(EINVAL, enable(vm, KVM_CAP_DIRTY_LOG_RING, BYTES));
	tvm_destroy(vm);
}

/* The slot's bitmap is there already: the ring gets the writes all the same. */
TEST(slot_before_the_ring)
{
	struct tvm *vm = tvm_create(0);
	u8 *mem = tvm_map(PAGES * PAGE);
	struct kvm_dirty_gfn *entries;
	struct tcpu *cpu;

	ASSERT_OK(tvm_slot(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, BASE, PAGES * PAGE, mem));
	ASSERT_OK(enable(vm, KVM_CAP_DIRTY_LOG_RING, BYTES));
	cpu = tvm_vcpu(vm, 0);
	entries = map_ring(cpu, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, entries);
	load_sweep(cpu, 5, 2);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	EXPECT_EQ(KVM_DIRTY_GFN_F_DIRTY, entries[0].flags);
	EXPECT_EQ(5, entries[0].offset);
	EXPECT_EQ(2, harvest(entries, 0));
	munmap(entries, BYTES);
	tcpu_destroy(cpu);
	tvm_destroy(vm);
}

TEST(enabled_too_late)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);

	EXPECT_ERR(EINVAL, enable(vm, KVM_CAP_DIRTY_LOG_RING, BYTES));
	tcpu_destroy(cpu);
	tvm_destroy(vm);
}

TEST_HARNESS_MAIN
