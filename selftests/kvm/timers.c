// SPDX-License-Identifier: GPL-2.0-only
/*
 * The LAPIC's timer in its three modes, and the PIT with its speaker port.
 * Must not ask for exact times: an emulated machine's clock is coarse.
 */
#include "ktap.h"
#include "tvm.h"

#define LVTT (GUEST_LAPIC + 0x320)
#define TMICT (GUEST_LAPIC + 0x380)
#define TMCCT (GUEST_LAPIC + 0x390)
#define TDCR (GUEST_LAPIC + 0x3e0)
#define PERIODIC 0x20000
#define DEADLINE 0x40000
#define MASKED 0x10000
#define MSR_DEADLINE 0x6e0

FIXTURE(timer)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

FIXTURE_SETUP(timer)
{
	self->vm = tvm_create(TVM_PIT);
	self->cpu = tvm_vcpu(self->vm, 0);
	tcpu_start_lapic(self->cpu);
	tcpu_write32(self->cpu, TDCR, 0xb);
	tcpu_idle(self->cpu, true);
}

FIXTURE_TEARDOWN(timer)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

/* Run until a handler reports, for some milliseconds at the most. */
static int wait_long(struct tcpu *cpu)
{
	int vector = WAIT_NOTHING;
	unsigned int i;

	for (i = 0; i < 60 && vector == WAIT_NOTHING; i++)
		vector = tcpu_wait(cpu);
	return vector;
}

static int wait_short(struct tcpu *cpu)
{
	int vector = WAIT_NOTHING;
	unsigned int i;

	for (i = 0; i < 8 && vector == WAIT_NOTHING; i++)
		vector = tcpu_wait(cpu);
	return vector;
}

TEST_F(timer, one_shot)
{
	tcpu_write32(self->cpu, LVTT, 0x41);
	tcpu_write32(self->cpu, TMICT, 2000000);
	EXPECT_LT(0, tcpu_read32(self->cpu, TMCCT));
	EXPECT_GE(2000000, tcpu_read32(self->cpu, TMCCT));
	EXPECT_EQ(0x41, wait_long(self->cpu));
	EXPECT_EQ(0, tcpu_read32(self->cpu, TMCCT));
	EXPECT_EQ(WAIT_NOTHING, wait_short(self->cpu));
}

TEST_F(timer, periodic)
{
	unsigned int i;

	tcpu_write32(self->cpu, LVTT, PERIODIC | 0x42);
	tcpu_write32(self->cpu, TMICT, 1000000);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(0x42, wait_long(self->cpu));
	tcpu_write32(self->cpu, TMICT, 0);
	/* One may have been on its way. */
	tcpu_wait(self->cpu);
	EXPECT_EQ(WAIT_NOTHING, wait_short(self->cpu));
}

TEST_F(timer, count_and_divider)
{
	u32 first, fast, slow;

	tcpu_write32(self->cpu, LVTT, MASKED | 0x43);
	tcpu_write32(self->cpu, TMICT, 0xffffffff);
	first = tcpu_read32(self->cpu, TMCCT);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	fast = first - tcpu_read32(self->cpu, TMCCT);
	EXPECT_LT(0, fast);
	/* Divided by 128. */
	tcpu_write32(self->cpu, TDCR, 0xa);
	EXPECT_EQ(0xa, tcpu_read32(self->cpu, TDCR));
	tcpu_write32(self->cpu, TMICT, 0xffffffff);
	first = tcpu_read32(self->cpu, TMCCT);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	slow = first - tcpu_read32(self->cpu, TMCCT);
	EXPECT_LT(slow * 16, fast);
	EXPECT_EQ(0xffffffff, tcpu_read32(self->cpu, TMICT));
}

TEST_F(timer, masked)
{
	tcpu_write32(self->cpu, LVTT, MASKED | 0x44);
	tcpu_write32(self->cpu, TMICT, 100000);
	EXPECT_EQ(WAIT_NOTHING, wait_short(self->cpu));
	EXPECT_EQ(0, tcpu_read32(self->cpu, TMCCT));
}

#define X2(reg) (0x800 + ((reg) - GUEST_LAPIC) / 16)

PROGRAM(unmask, 64,
	"mov $0x832, %ecx; xor %edx, %edx; mov $0x46, %eax; sti; wrmsr;"
	"mov $3000, %ecx; 1: dec %ecx; jnz 1b; out %al, $" GUEST_STR(PORT_TEST));

/* What ran out while it was masked comes with the write that unmasks it, not at some later exit. */
TEST_F(timer, unmasked_in_x2apic_mode)
{
	struct tfault fault;

	if (!tvm_is_kvmlet())
		SKIP(return, "KVM forgets it, as a CPU does, with the VMX-preemption timer");
	if (!tvm_cpuid_has(1, 0, 2, 21))
		SKIP(return, "the device offers no x2APIC");
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, 0x1b, 0xfee00d00));
	tcpu_handlers(self->cpu, EOI_X2APIC);
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, X2(LVTT), MASKED | 0x46));
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, X2(TMICT), 1000));
	EXPECT_EQ(WAIT_NOTHING, wait_short(self->cpu));
	tcpu_load(self->cpu, &unmask);
	ASSERT_EQ(0x46, tcpu_wait(self->cpu));
	ASSERT_TRUE(tcpu_fault(self->cpu, &fault));
	/* MOV 5, XOR 2, MOV 5, STI 1, WRMSR 2. */
	EXPECT_EQ(GUEST_CODE + 15, fault.rip);
}

TEST_F(timer, deadline)
{
	u64 now, value;

	if (!tvm_cpuid_has(1, 0, 2, 24))
		SKIP(return, "the device offers no TSC-deadline timer");
	tcpu_write32(self->cpu, LVTT, DEADLINE | 0x45);
	ASSERT_TRUE(tcpu_rdmsr(self->cpu, 0x10, &now));
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, MSR_DEADLINE, now + 400000));
	ASSERT_TRUE(tcpu_rdmsr(self->cpu, MSR_DEADLINE, &value));
	EXPECT_EQ(now + 400000, value);
	EXPECT_EQ(0x45, wait_long(self->cpu));
	ASSERT_TRUE(tcpu_rdmsr(self->cpu, 0x10, &value));
	EXPECT_LE(now + 400000, value);
	ASSERT_TRUE(tcpu_rdmsr(self->cpu, MSR_DEADLINE, &value));
	EXPECT_EQ(0, value);
	EXPECT_EQ(WAIT_NOTHING, wait_short(self->cpu));
	/* In the past: at once. Disarmed: never. */
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, MSR_DEADLINE, 1));
	EXPECT_EQ(0x45, wait_short(self->cpu));
	ASSERT_TRUE(tcpu_rdmsr(self->cpu, 0x10, &now));
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, MSR_DEADLINE, now + 400000));
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, MSR_DEADLINE, 0));
	EXPECT_EQ(WAIT_NOTHING, wait_short(self->cpu));
	/* In the other modes the MSR does nothing and reads zero. */
	tcpu_write32(self->cpu, LVTT, 0x45);
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, MSR_DEADLINE, 1));
	ASSERT_TRUE(tcpu_rdmsr(self->cpu, MSR_DEADLINE, &value));
	EXPECT_EQ(0, value);
	EXPECT_EQ(WAIT_NOTHING, wait_short(self->cpu));
}

TEST_F(timer, ends_a_halt)
{
	tcpu_write32(self->cpu, LVTT, 0x46);
	tcpu_write32(self->cpu, TMICT, 3000000);
	/* sti; hlt; then report. */
	tcpu_load_bytes(self->cpu, "\xfb\xf4\xe6\xe0", 4);
	EXPECT_EQ(0x46, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	tcpu_write32(self->cpu, LVTT, PERIODIC | 0x46);
	tcpu_write32(self->cpu, TMICT, 1000000);
	tcpu_load_bytes(self->cpu, "\xfb\xf4\xf4\xf4\xe6\xe0", 6);
	EXPECT_EQ(0x46, tcpu_wait(self->cpu));
	EXPECT_EQ(0x46, tcpu_wait(self->cpu));
	EXPECT_EQ(0x46, tcpu_wait(self->cpu));
}

static void use_pic(struct tcpu *cpu)
{
	tcpu_out8(cpu, 0x20, 0x11);
	tcpu_out8(cpu, 0x21, 0x20);
	tcpu_out8(cpu, 0x21, 4);
	tcpu_out8(cpu, 0x21, 1);
	tcpu_out8(cpu, 0x21, 0xfe);
	/* The LAPIC passes the PIC through by LINT0. */
	tcpu_write32(cpu, GUEST_LAPIC + 0x350, 0x700);
	tcpu_handlers(cpu, EOI_PIC);
}

static void set_pit(struct tcpu *cpu, unsigned int channel, unsigned int mode, u16 count)
{
	tcpu_out8(cpu, 0x43, channel << 6 | 0x30 | mode << 1);
	tcpu_out8(cpu, 0x40 + channel, count & 0xff);
	tcpu_out8(cpu, 0x40 + channel, count >> 8);
}

TEST_F(timer, pit_periodic)
{
	unsigned int i;

	use_pic(self->cpu);
	set_pit(self->cpu, 0, 2, 1193);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(0x20, wait_long(self->cpu));
}

TEST_F(timer, pit_one_shot)
{
	use_pic(self->cpu);
	set_pit(self->cpu, 0, 0, 2000);
	EXPECT_EQ(0x20, wait_long(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, wait_short(self->cpu));
}

static u16 latched(struct tcpu *cpu, unsigned int channel)
{
	u16 low;

	tcpu_out8(cpu, 0x43, channel << 6);
	low = tcpu_in8(cpu, 0x40 + channel);
	return tcpu_in8(cpu, 0x40 + channel) << 8 | low;
}

TEST_F(timer, pit_counts_down)
{
	u16 first, second;
	u8 status;

	set_pit(self->cpu, 0, 2, 0xffff);
	first = latched(self->cpu, 0);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	second = latched(self->cpu, 0);
	EXPECT_GT(first, second);
	EXPECT_LT(0, second);
	/* Read-back of the status: mode 2, both bytes, no null count. */
	tcpu_out8(self->cpu, 0x43, 0xe2);
	status = tcpu_in8(self->cpu, 0x40);
	EXPECT_EQ(0x34, status & 0x3f);
}

TEST_F(timer, speaker_port)
{
	u8 first;
	unsigned int i;

	/* Gate off, data off; then the gate starts a count and its end shows in bit 5. */
	tcpu_out8(self->cpu, 0x61, 0);
	set_pit(self->cpu, 2, 0, 3000);
	tcpu_out8(self->cpu, 0x61, 1);
	first = tcpu_in8(self->cpu, 0x61);
	EXPECT_EQ(1, first & 3);
	EXPECT_EQ(0, first & 0x20);
	for (i = 0; i < 60 && !(tcpu_in8(self->cpu, 0x61) & 0x20); i++)
		tcpu_wait(self->cpu);
	EXPECT_EQ(0x20, tcpu_in8(self->cpu, 0x61) & 0x20);
	tcpu_out8(self->cpu, 0x61, 3);
	EXPECT_EQ(3, tcpu_in8(self->cpu, 0x61) & 3);
}

TEST_F(timer, pit_state)
{
	struct kvm_pit_state2 state, seen;

	set_pit(self->cpu, 1, 2, 0x1234);
	ASSERT_OK(ioctl(self->vm->fd, KVM_GET_PIT2, &state));
	EXPECT_EQ(0x1234, state.channels[1].count);
	EXPECT_EQ(2, state.channels[1].mode);
	EXPECT_EQ(3, state.channels[1].rw_mode);
	state.channels[1].count = 0x4321;
	state.channels[2].gate = 1;
	ASSERT_OK(ioctl(self->vm->fd, KVM_SET_PIT2, &state));
	ASSERT_OK(ioctl(self->vm->fd, KVM_GET_PIT2, &seen));
	EXPECT_EQ(0x4321, seen.channels[1].count);
	EXPECT_EQ(1, seen.channels[2].gate);
	EXPECT_EQ(state.flags, seen.flags);
	EXPECT_ERR(EFAULT, ioctl(self->vm->fd, KVM_GET_PIT2, 0x10));
	EXPECT_ERR(EFAULT, ioctl(self->vm->fd, KVM_SET_PIT2, 0x10));
}

TEST(pit_errors)
{
	struct tvm *vm = tvm_create(TVM_IRQCHIP);
	struct kvm_pit_config config = { };
	struct kvm_pit_state2 state = { };

	EXPECT_ERR(ENXIO, ioctl(vm->fd, KVM_GET_PIT2, &state));
	EXPECT_ERR(ENXIO, ioctl(vm->fd, KVM_SET_PIT2, &state));
	EXPECT_ERR(EFAULT, ioctl(vm->fd, KVM_CREATE_PIT2, 0x10));
	EXPECT_OK(ioctl(vm->fd, KVM_CREATE_PIT2, &config));
	EXPECT_ERR(EEXIST, ioctl(vm->fd, KVM_CREATE_PIT2, &config));
	EXPECT_ERR(EEXIST, ioctl(vm->fd, KVM_CREATE_PIT, 0));
}

TEST_HARNESS_MAIN
