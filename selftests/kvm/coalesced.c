// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coalesced MMIO and port I/O: writes that wait in a ring for the next exit.
 * Must not run where the device does not offer them; it says so then.
 */
#include "ktap.h"
#include "tvm.h"

PROGRAM(writes, 64,
	"mov $0x11223344, %eax; mov %eax, (%rsi); mov %al, 4(%rsi); mov %rax, 8(%rsi);"
	"out %al, $" GUEST_STR(PORT_TEST) "; mov (%rsi), %eax; hlt");
PROGRAM(outs, 64,
	"mov $" GUEST_STR(PORT_TEST2) ", %edx; mov $0x41, %eax; out %al, %dx; inc %eax;"
	"out %al, %dx; out %al, $" GUEST_STR(PORT_TEST) "; in %dx, %al; hlt");
PROGRAM(many, 64, "1: mov %ecx, (%rsi); inc %ecx; jmp 1b");

FIXTURE(coalesced)
{
	struct tvm *vm;
	struct tcpu *cpu;
	struct kvm_coalesced_mmio_ring *ring;
};

FIXTURE_SETUP(coalesced)
{
	int offset;

	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
	offset = tvm_cap(self->vm, KVM_CAP_COALESCED_MMIO);
	if (!offset)
		SKIP(return, "the device offers no coalesced MMIO");
	ASSERT_LE((offset + 1) * PAGE, self->vm->run_size);
	self->ring = (void *)((u8 *)self->cpu->run + offset * PAGE);
}

FIXTURE_TEARDOWN(coalesced)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

static int zone(struct tvm *vm, unsigned long request, u64 address, u32 size, u32 pio)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = address, .size = size, .pio = pio };

	return ioctl(vm->fd, request, &zone);
}

static void start(struct tcpu *cpu, const struct guest_code *code)
{
	struct kvm_regs regs;

	tcpu_load(cpu, code);
	regs = tcpu_regs(cpu);
	regs.rsi = GUEST_MMIO;
	regs.rcx = 0;
	tcpu_set_regs(cpu, &regs);
}

TEST_F(coalesced, mmio)
{
	struct kvm_coalesced_mmio *entry = self->ring->coalesced_mmio;

	ASSERT_OK(zone(self->vm, KVM_REGISTER_COALESCED_MMIO, GUEST_MMIO, 8, 0));
	start(self->cpu, &writes);
	/* The third write is outside, and finds the first two in the ring. */
	ASSERT_EQ(KVM_EXIT_MMIO, tcpu_run(self->cpu));
	EXPECT_EQ(GUEST_MMIO + 8, self->cpu->run->mmio.phys_addr);
	EXPECT_EQ(0, self->ring->first);
	EXPECT_EQ(2, self->ring->last);
	EXPECT_EQ(GUEST_MMIO, entry[0].phys_addr);
	EXPECT_EQ(4, entry[0].len);
	EXPECT_EQ(0, memcmp(entry[0].data, "\x44\x33\x22\x11", 4));
	EXPECT_EQ(GUEST_MMIO + 4, entry[1].phys_addr);
	EXPECT_EQ(1, entry[1].len);
	EXPECT_EQ(0, entry[1].pio);
	EXPECT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	/* Reads never wait. */
	EXPECT_EQ(KVM_EXIT_MMIO, tcpu_run(self->cpu));
	EXPECT_EQ(0, self->cpu->run->mmio.is_write);
}

TEST_F(coalesced, unregistered)
{
	ASSERT_OK(zone(self->vm, KVM_REGISTER_COALESCED_MMIO, GUEST_MMIO, 16, 0));
	ASSERT_OK(zone(self->vm, KVM_UNREGISTER_COALESCED_MMIO, GUEST_MMIO, 16, 0));
	start(self->cpu, &writes);
	EXPECT_EQ(KVM_EXIT_MMIO, tcpu_run(self->cpu));
	EXPECT_EQ(0, self->ring->last);
	/* What lies in a zone ends all of it; what is larger is another. */
	ASSERT_OK(zone(self->vm, KVM_REGISTER_COALESCED_MMIO, GUEST_MMIO, 16, 0));
	ASSERT_OK(zone(self->vm, KVM_UNREGISTER_COALESCED_MMIO, GUEST_MMIO + 12, 4, 0));
	start(self->cpu, &writes);
	EXPECT_EQ(KVM_EXIT_MMIO, tcpu_run(self->cpu));
	EXPECT_EQ(0, self->ring->last);
	ASSERT_OK(zone(self->vm, KVM_REGISTER_COALESCED_MMIO, GUEST_MMIO, 8, 0));
	ASSERT_OK(zone(self->vm, KVM_UNREGISTER_COALESCED_MMIO, GUEST_MMIO, 16, 0));
	ASSERT_OK(zone(self->vm, KVM_UNREGISTER_COALESCED_MMIO, GUEST_MMIO + 4, 8, 0));
	start(self->cpu, &writes);
	EXPECT_EQ(KVM_EXIT_MMIO, tcpu_run(self->cpu));
	EXPECT_EQ(2, self->ring->last);
	EXPECT_ERR(EINVAL, zone(self->vm, KVM_REGISTER_COALESCED_MMIO, GUEST_MMIO, 16, 2));
	EXPECT_ERR(EINVAL, zone(self->vm, KVM_UNREGISTER_COALESCED_MMIO, GUEST_MMIO, 16, 2));
	EXPECT_ERR(EFAULT, ioctl(self->vm->fd, KVM_REGISTER_COALESCED_MMIO, 0x10));
}

TEST_F(coalesced, full_ring_exits)
{
	unsigned int slots = (PAGE - sizeof(*self->ring)) / sizeof(struct kvm_coalesced_mmio);
	u32 value, full, again;

	ASSERT_OK(zone(self->vm, KVM_REGISTER_COALESCED_MMIO, GUEST_MMIO, 16, 0));
	start(self->cpu, &many);
	ASSERT_EQ(KVM_EXIT_MMIO, tcpu_run(self->cpu));
	/* All but one are used; KVM of Linux 6.1 reckons modulo 2^32 and stops at the half. */
	full = self->ring->last;
	EXPECT_GE(slots - 1, full);
	EXPECT_LE(tvm_is_kvmlet() ? slots - 1 : 64, full);
	/* The write that found no room is the next in line. */
	memcpy(&value, self->cpu->run->mmio.data, 4);
	EXPECT_EQ(full, value);
	/* Drained, it fills again, around its end. */
	self->ring->first = full;
	ASSERT_EQ(KVM_EXIT_MMIO, tcpu_run(self->cpu));
	again = (self->ring->last + slots - full) % slots;
	EXPECT_LE(64, again);
	EXPECT_GT(slots, self->ring->last);
	memcpy(&value, self->cpu->run->mmio.data, 4);
	EXPECT_EQ(full + 1 + again, value);
}

TEST_F(coalesced, hostile_ring)
{
	ASSERT_OK(zone(self->vm, KVM_REGISTER_COALESCED_MMIO, GUEST_MMIO, 16, 0));
	start(self->cpu, &many);
	/* Indices beyond the page: nothing may be written there. */
	self->ring->first = 0xffffffff;
	self->ring->last = 0xfffffff0;
	EXPECT_EQ(KVM_EXIT_MMIO, tcpu_run(self->cpu));
	EXPECT_EQ(0xfffffff0, self->ring->last);
}

TEST_F(coalesced, ports)
{
	struct kvm_coalesced_mmio *entry = self->ring->coalesced_mmio;

	if (!tvm_cap(self->vm, KVM_CAP_COALESCED_PIO))
		SKIP(return, "the device offers no coalesced port I/O");
	ASSERT_OK(zone(self->vm, KVM_REGISTER_COALESCED_MMIO, PORT_TEST2, 1, 1));
	start(self->cpu, &outs);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	EXPECT_TRUE(tcpu_is_out(self->cpu, PORT_TEST));
	EXPECT_EQ(2, self->ring->last);
	EXPECT_EQ(PORT_TEST2, entry[0].phys_addr);
	EXPECT_EQ(1, entry[0].pio);
	EXPECT_EQ(0x41, entry[0].data[0]);
	EXPECT_EQ(0x42, entry[1].data[0]);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	EXPECT_EQ(KVM_EXIT_IO_IN, self->cpu->run->io.direction);
}

TEST_HARNESS_MAIN
