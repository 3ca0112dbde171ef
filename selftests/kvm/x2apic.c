// SPDX-License-Identifier: GPL-2.0-only
/*
 * x2APIC with ids above 255: messages and IPIs in all modes to them, the format of ids, and
 * the clock of the APIC timer.
 * Must not run vCPUs side by side; smp_stress.c does.
 */
#include "ktap.h"
#include "tvm.h"

#define API_FLAGS (KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
#define CPUS 4
/* Of Linux 6.12, too young for some headers. */
#define CAP_BUS_CYCLES 237

static const u32 ids[CPUS] = { 0, 1, 300, 1023 };

FIXTURE(x2apic)
{
	struct tvm *vm;
	struct tcpu *cpu[CPUS];
};

static int enable(struct tvm *vm, u32 capability, u64 arg)
{
	struct kvm_enable_cap cap = { .cap = capability, .args = { arg } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
}

FIXTURE_SETUP(x2apic)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };
	unsigned int i;
	u64 base;

	self->vm = tvm_create(TVM_IRQCHIP);
	ASSERT_OK(enable(self->vm, KVM_CAP_X2APIC_API, API_FLAGS));
	for (i = 0; i < CPUS; i++) {
		self->cpu[i] = tvm_vcpu(self->vm, ids[i]);
		if (!tvm_cpuid_has(1, 0, 2, 21))
			SKIP(return, "no x2APIC");
		ASSERT_OK(ioctl(self->cpu[i]->fd, KVM_SET_MP_STATE, &state));
		ASSERT_TRUE(tcpu_get_msr(self->cpu[i], 0x1b, &base));
		ASSERT_TRUE(tcpu_set_msr(self->cpu[i], 0x1b, base | 0xc00));
		tcpu_handlers(self->cpu[i], EOI_X2APIC);
		ASSERT_TRUE(tcpu_wrmsr(self->cpu[i], 0x80f, 0x1ff));
		tcpu_idle(self->cpu[i], true);
	}
}

FIXTURE_TEARDOWN(x2apic)
{
	unsigned int i;

	for (i = 0; i < CPUS; i++)
		if (self->cpu[i])
			tcpu_destroy(self->cpu[i]);
	tvm_destroy(self->vm);
}

/* A bit per vCPU that got @vector and nothing else. */
static unsigned int who_got(struct _test_data_x2apic *self, int vector)
{
	unsigned int i, got = 0;
	int seen;

	for (i = 0; i < CPUS; i++) {
		tcpu_idle(self->cpu[i], true);
		seen = tcpu_wait(self->cpu[i]);
		if (seen == WAIT_NOTHING)
			continue;
		got |= seen == vector ? BIT(i) : 0x100;
		if (tcpu_wait(self->cpu[i]) != WAIT_NOTHING)
			got |= 0x200;
	}
	return got;
}

static unsigned int ipi(struct _test_data_x2apic *self, u32 dest, u32 low)
{
	int vector = (low >> 8 & 7) == 4 ? 2 : low & 0xff;

	tcpu_settle(self->cpu[0]);
	if (!tcpu_wrmsr(self->cpu[0], 0x830, (u64)dest << 32 | low))
		return 0x400;
	return who_got(self, vector);
}

TEST_F(x2apic, identity)
{
	struct kvm_lapic_state lapic;
	unsigned int i;
	u64 value;

	for (i = 0; i < CPUS; i++) {
		ASSERT_TRUE(tcpu_rdmsr(self->cpu[i], 0x802, &value));
		EXPECT_EQ(ids[i], value);
		ASSERT_TRUE(tcpu_rdmsr(self->cpu[i], 0x80d, &value));
		EXPECT_EQ((ids[i] >> 4) << 16 | BIT(ids[i] & 15), value);
		ASSERT_OK(ioctl(self->cpu[i]->fd, KVM_GET_LAPIC, &lapic));
		EXPECT_EQ(ids[i], *(u32 *)(lapic.regs + 0x20));
		EXPECT_OK(ioctl(self->cpu[i]->fd, KVM_SET_LAPIC, &lapic));
	}
	*(u32 *)(lapic.regs + 0x20) = 5;
	EXPECT_ERR(EINVAL, ioctl(self->cpu[3]->fd, KVM_SET_LAPIC, &lapic));
}

TEST_F(x2apic, ipis)
{
	EXPECT_EQ(1, ipi(self, 0, 0x41));
	EXPECT_EQ(2, ipi(self, 1, 0x42));
	EXPECT_EQ(4, ipi(self, 300, 0x43));
	EXPECT_EQ(8, ipi(self, 1023, 0x44));
	EXPECT_EQ(0, ipi(self, 44, 0x45));
	EXPECT_EQ(0, ipi(self, 255, 0x45));
	EXPECT_EQ(0, ipi(self, 5000, 0x45));
	EXPECT_EQ(15, ipi(self, 0xffffffff, 0x46));
	EXPECT_EQ(1, ipi(self, 7, 0x40047));
	EXPECT_EQ(15, ipi(self, 7, 0x80048));
	EXPECT_EQ(14, ipi(self, 7, 0xc0049));
	/* Logical: a cluster and a set in it; lowest priority means one of them. */
	EXPECT_EQ(3, ipi(self, 0x3, 0x84a));
	EXPECT_EQ(2, ipi(self, 0x2, 0x84b));
	EXPECT_EQ(4, ipi(self, 300 >> 4 << 16 | 1 << (300 & 15), 0x84c));
	EXPECT_EQ(8, ipi(self, 1023 >> 4 << 16 | 0xffff, 0x84d));
	EXPECT_EQ(0, ipi(self, 5 << 16 | 0xffff, 0x84e));
	EXPECT_EQ(1, ipi(self, 0x3, 0x950));
	EXPECT_EQ(2, ipi(self, 0x3, 0x951));
	/* NMIs. */
	EXPECT_EQ(4, ipi(self, 300, 0x400));
	EXPECT_EQ(14, ipi(self, 0, 0xc0400));
	/* Reserved bits. */
	EXPECT_EQ(0x400, ipi(self, 1, 0x2052));
}

TEST_F(x2apic, self_ipi)
{
	ASSERT_TRUE(tcpu_wrmsr(self->cpu[2], 0x83f, 0x55));
	EXPECT_EQ(4, who_got(self, 0x55));
}

TEST_F(x2apic, messages)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x61 };

	EXPECT_EQ(1, ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi));
	EXPECT_EQ(1, who_got(self, 0x61));
	/* The upper 24 bits of the id are in the upper half of the address. */
	msi.address_lo = 0xfee00000 | (300 & 0xff) << 12;
	msi.address_hi = 300 & ~0xff;
	EXPECT_EQ(1, ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi));
	EXPECT_EQ(4, who_got(self, 0x61));
	/* No broadcast for want of a destination of 8 bits. */
	msi.address_lo = 0xfeeff000;
	msi.address_hi = 0;
	EXPECT_LE(ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi), 0);
	EXPECT_EQ(0, who_got(self, 0x61));
	msi.address_hi = 0xffffff00;
	EXPECT_EQ(CPUS, ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi));
	EXPECT_EQ(15, who_got(self, 0x61));
	msi.address_hi = 1;
	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi));
	msi.address_hi = 0;
	msi.flags = KVM_MSI_VALID_DEVID;
	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi));
}

TEST(bus_cycles)
{
	struct tvm *vm = tvm_create(TVM_IRQCHIP), *bare = tvm_create(0);
	struct tcpu *cpu;
	u32 count;

	if (!tvm_cap(vm, CAP_BUS_CYCLES))
		SKIP(return, "the device does not offer KVM_CAP_X86_APIC_BUS_CYCLES_NS");
	EXPECT_EQ(1, tvm_cap(vm, CAP_BUS_CYCLES));
	EXPECT_ERR(ENXIO, enable(bare, CAP_BUS_CYCLES, 40));
	EXPECT_ERR(EINVAL, enable(vm, CAP_BUS_CYCLES, 0));
	EXPECT_ERR(EINVAL, enable(vm, CAP_BUS_CYCLES, 1ULL << 32));
	ASSERT_OK(enable(vm, CAP_BUS_CYCLES, 1000000));
	cpu = tvm_vcpu(vm, 0);
	EXPECT_ERR(EINVAL, enable(vm, CAP_BUS_CYCLES, 40));
	/* A kilohertz: a count is a millisecond. */
	tcpu_start_lapic(cpu);
	tcpu_write32(cpu, GUEST_LAPIC + 0x320, 0x10000);
	tcpu_write32(cpu, GUEST_LAPIC + 0x3e0, 0xb);
	tcpu_write32(cpu, GUEST_LAPIC + 0x380, 1000000);
	usleep(50000);
	count = tcpu_read32(cpu, GUEST_LAPIC + 0x390);
	EXPECT_GT(1000000 - 40, count);
	EXPECT_LT(1000000 - 2000, count);
	tcpu_destroy(cpu);
	tvm_destroy(vm);
	tvm_destroy(bare);
}

TEST_HARNESS_MAIN
