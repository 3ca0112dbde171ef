// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_SET_USER_MEMORY_REGION: create, delete, move, flags, read-only, and each error.
 * Must not test how the host's mappings change under a slot; memory.c does.
 */
#include <sys/mman.h>

#include "ktap.h"
#include "tvm.h"

#define SLOT 7
#define BASE 0x40000000UL

static struct tvm *vm;
static u8 *mem;

static void setup(void)
{
	vm = tvm_create(0);
	mem = tvm_map(16 * PAGE);
}

TEST(create_and_delete)
{
	setup();
	EXPECT_OK(tvm_slot(vm, SLOT, 0, BASE, 4 * PAGE, mem));
	/* The same once more changes nothing. */
	EXPECT_OK(tvm_slot(vm, SLOT, 0, BASE, 4 * PAGE, mem));
	EXPECT_OK(tvm_slot(vm, SLOT, 0, 0, 0, 0));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, 0, 0, 0));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT + 1, 0, BASE, 0, mem));
	EXPECT_OK(tvm_slot(vm, SLOT, 0, BASE + PAGE, 2 * PAGE, mem));
}

TEST(alignment)
{
	setup();
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, BASE + 0x800, PAGE, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, BASE + 1, PAGE, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, BASE, PAGE + 1, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, BASE, 0x800, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, BASE, PAGE, mem + 0x10));
	EXPECT_OK(tvm_slot(vm, SLOT, 0, BASE, PAGE, mem));
}

TEST(addresses_out_of_range)
{
	void *kernel = (void *)0xffff888000000000UL;

	setup();
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, -PAGE, 2 * PAGE, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, BIT(52), PAGE, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, BIT(52) - PAGE, 2 * PAGE, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, BASE, PAGE, kernel));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, BASE, BIT(47), mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, BASE, -PAGE, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, 0x100000000UL, BIT(43), mem));
}

TEST(slot_ids)
{
	u32 slots;

	setup();
	slots = tvm_cap(vm, KVM_CAP_NR_MEMSLOTS);
	EXPECT_OK(tvm_slot(vm, slots - 1, 0, BASE, PAGE, mem));
	/* KVM keeps a few ids behind these for itself. */
	EXPECT_ERR(EINVAL, tvm_slot(vm, slots + 16, 0, BASE + PAGE, PAGE, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, 0xffff, 0, BASE + PAGE, PAGE, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, 2 << 16, 0, BASE + PAGE, PAGE, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, ~0U, 0, BASE + PAGE, PAGE, mem));
}

TEST(flags)
{
	setup();
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 1U << 31, BASE, PAGE, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 1U << 3, BASE, PAGE, mem));
	EXPECT_OK(tvm_slot(vm, SLOT, 0, BASE, PAGE, mem));
	EXPECT_OK(tvm_slot(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, BASE, PAGE, mem));
	EXPECT_OK(tvm_slot(vm, SLOT, 0, BASE, PAGE, mem));
	/* Read-only cannot be switched. */
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, KVM_MEM_READONLY, BASE, PAGE, mem));
	EXPECT_OK(tvm_slot(vm, SLOT + 1, KVM_MEM_READONLY, BASE + PAGE, PAGE, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT + 1, 0, BASE + PAGE, PAGE, mem));
}

TEST(changes_of_an_existing_slot)
{
	setup();
	ASSERT_OK(tvm_slot(vm, SLOT, 0, BASE, 2 * PAGE, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, BASE, 3 * PAGE, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, BASE, PAGE, mem));
	EXPECT_ERR(EINVAL, tvm_slot(vm, SLOT, 0, BASE, 2 * PAGE, mem + PAGE));
	EXPECT_OK(tvm_slot(vm, SLOT, 0, BASE + PAGE, 2 * PAGE, mem));
}

TEST(overlaps)
{
	setup();
	ASSERT_OK(tvm_slot(vm, SLOT, 0, BASE + 4 * PAGE, 4 * PAGE, mem));
	EXPECT_ERR(EEXIST, tvm_slot(vm, SLOT + 1, 0, BASE + 4 * PAGE, 4 * PAGE, mem));
	EXPECT_ERR(EEXIST, tvm_slot(vm, SLOT + 1, 0, BASE + 5 * PAGE, PAGE, mem));
	EXPECT_ERR(EEXIST, tvm_slot(vm, SLOT + 1, 0, BASE + 3 * PAGE, 2 * PAGE, mem));
	EXPECT_ERR(EEXIST, tvm_slot(vm, SLOT + 1, 0, BASE + 7 * PAGE, 2 * PAGE, mem));
	EXPECT_ERR(EEXIST, tvm_slot(vm, SLOT + 1, 0, BASE, 16 * PAGE, mem));
	EXPECT_OK(tvm_slot(vm, SLOT + 1, 0, BASE + 3 * PAGE, PAGE, mem));
	EXPECT_OK(tvm_slot(vm, SLOT + 2, 0, BASE + 8 * PAGE, PAGE, mem));
	/* Moving: onto another one no, onto its own old place yes. */
	EXPECT_ERR(EEXIST, tvm_slot(vm, SLOT + 2, 0, BASE + 7 * PAGE, PAGE, mem));
	EXPECT_OK(tvm_slot(vm, SLOT + 2, 0, BASE + 9 * PAGE, PAGE, mem));
	EXPECT_ERR(EEXIST, tvm_slot(vm, SLOT, 0, BASE + 6 * PAGE, 4 * PAGE, mem));
	EXPECT_OK(tvm_slot(vm, SLOT, 0, BASE + 5 * PAGE, 4 * PAGE, mem));
	/* The failed attempts left the slots as they were. */
	EXPECT_OK(tvm_slot(vm, SLOT, 0, BASE + 5 * PAGE, 4 * PAGE, mem));
}

TEST(bad_pointer)
{
	setup();
	EXPECT_ERR(EFAULT, ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, (void *)0x10));
}

PROGRAM(load, 64, "1: mov (%rsi), %rax; out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b");
PROGRAM(store, 64, "1: mov %rax, (%rsi); out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b");

static void start(struct tcpu *cpu, const struct guest_code *code, u64 address)
{
	struct kvm_regs regs;

	tcpu_load(cpu, code);
	regs = tcpu_regs(cpu);
	regs.rsi = address;
	regs.rax = 0x1122334455667788;
	tcpu_set_regs(cpu, &regs);
}

TEST(guest_sees_deletion_and_move)
{
	struct tcpu *cpu;

	setup();
	cpu = tvm_vcpu(vm, 0);
	mem[0] = 0x77;
	ASSERT_OK(tvm_slot(vm, SLOT, 0, BASE, PAGE, mem));
	start(cpu, &load, BASE);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	EXPECT_EQ(0x77, *(u8 *)tcpu_io_data(cpu));
	ASSERT_OK(tvm_slot(vm, SLOT, 0, 0, 0, 0));
	ASSERT_EQ(KVM_EXIT_MMIO, tcpu_run(cpu));
	EXPECT_EQ(BASE, cpu->run->mmio.phys_addr);
	EXPECT_EQ(8, cpu->run->mmio.len);
	EXPECT_EQ(0, cpu->run->mmio.is_write);
	cpu->run->mmio.data[0] = 0x66;
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	EXPECT_EQ(0x66, *(u8 *)tcpu_io_data(cpu));
	/* A new slot where the vCPU has just seen none. */
	ASSERT_OK(tvm_slot(vm, SLOT, 0, BASE + PAGE, PAGE, mem));
	ASSERT_OK(tvm_slot(vm, SLOT, 0, BASE, PAGE, mem));
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	EXPECT_EQ(0x77, *(u8 *)tcpu_io_data(cpu));
	ASSERT_OK(tvm_slot(vm, SLOT, 0, BASE + 2 * PAGE, PAGE, mem));
	EXPECT_EQ(KVM_EXIT_MMIO, tcpu_run(cpu));
}

TEST(two_slots_one_memory)
{
	struct tcpu *cpu;

	setup();
	cpu = tvm_vcpu(vm, 0);
	ASSERT_OK(tvm_slot(vm, SLOT, 0, BASE, PAGE, mem));
	ASSERT_OK(tvm_slot(vm, SLOT + 1, 0, BASE + 8 * PAGE, PAGE, mem));
	start(cpu, &store, BASE + 8 * PAGE);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	start(cpu, &load, BASE);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	EXPECT_EQ(0x1122334455667788, tcpu_regs(cpu).rax);
}

TEST(write_to_a_read_only_slot_is_mmio)
{
	struct tcpu *cpu;
	u64 data;

	setup();
	cpu = tvm_vcpu(vm, 0);
	mem[8] = 0x33;
	ASSERT_OK(tvm_slot(vm, SLOT, KVM_MEM_READONLY, BASE, PAGE, mem));
	start(cpu, &load, BASE + 8);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	EXPECT_EQ(0x33, *(u8 *)tcpu_io_data(cpu));
	start(cpu, &store, BASE + 8);
	ASSERT_EQ(KVM_EXIT_MMIO, tcpu_run(cpu));
	EXPECT_EQ(BASE + 8, cpu->run->mmio.phys_addr);
	EXPECT_EQ(8, cpu->run->mmio.len);
	EXPECT_EQ(1, cpu->run->mmio.is_write);
	memcpy(&data, cpu->run->mmio.data, 8);
	EXPECT_EQ(0x1122334455667788, data);
	EXPECT_EQ(0x33, mem[8]);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	/* The same with a mapping that the host itself may not write. */
	ASSERT_OK(mprotect(mem, PAGE, PROT_READ));
	start(cpu, &load, BASE + 8);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	EXPECT_EQ(0x33, *(u8 *)tcpu_io_data(cpu));
	start(cpu, &store, BASE + 8);
	EXPECT_EQ(KVM_EXIT_MMIO, tcpu_run(cpu));
}

TEST(many_slots)
{
	struct tcpu *cpu;
	unsigned int i;

	setup();
	cpu = tvm_vcpu(vm, 0);
	for (i = 0; i < 200; i++) {
		/* Backwards and with gaps, so that no neighbours can merge. */
		ASSERT_OK(tvm_slot(vm, 2 + i, 0, BASE + (400 - 2 * i) * PAGE, PAGE,
				   mem + (i % 16) * PAGE));
	}
	mem[5 * PAGE] = 0x55;
	start(cpu, &load, BASE + (400 - 2 * 101) * PAGE);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	EXPECT_EQ(0x55, *(u8 *)tcpu_io_data(cpu));
	start(cpu, &load, BASE + (400 - 2 * 101 + 1) * PAGE);
	EXPECT_EQ(KVM_EXIT_MMIO, tcpu_run(cpu));
}

TEST(tss_and_identity_map_addresses)
{
	u64 address = 0xfeffc000;
	int fd;

	setup();
	EXPECT_ERR(EINVAL, ioctl(vm->fd, KVM_SET_TSS_ADDR, 0x100000000UL));
	EXPECT_ERR(EINVAL, ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffff000UL));
	EXPECT_OK(ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &address));
	EXPECT_ERR(EFAULT, ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, 0x10));
	fd = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	ASSERT_LT(0, fd);
	EXPECT_ERR(EINVAL, ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &address));
}

TEST_HARNESS_MAIN
