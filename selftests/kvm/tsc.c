// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's TSC: its offset as an attribute, writes that mean the same moment, IA32_TSC_ADJUST,
 * and another frequency than the host's.
 * Must not test the timer that runs by it; timers.c does.
 */
#include <time.h>

#include "ktap.h"
#include "tvm.h"

#define MSR_TSC		0x10
#define MSR_TSC_ADJUST	0x3b

#ifndef KVM_VCPU_TSC_CTRL
#define KVM_VCPU_TSC_CTRL	0
#define KVM_VCPU_TSC_OFFSET	0
#endif

static struct kvm_device_attr attribute(u64 *value)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (unsigned long)value,
	};

	return attr;
}

static u64 offset_of(struct tcpu *cpu)
{
	u64 value = ~0UL;
	struct kvm_device_attr attr = attribute(&value);

	if (ioctl(cpu->fd, KVM_GET_DEVICE_ATTR, &attr))
		tvm_die("KVM_GET_DEVICE_ATTR: errno %d", errno);
	return value;
}

PROGRAM(read_tsc, 64,
	"lfence; rdtsc; shl $32, %rdx; or %rdx, %rax; out %al, $0xe0; hlt");

static u64 guest_tsc(struct tcpu *cpu)
{
	tcpu_load(cpu, &read_tsc);
	if (tcpu_run(cpu) != KVM_EXIT_IO)
		tcpu_explain(cpu);
	return tcpu_regs(cpu).rax;
}

TEST(offset)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	u64 value = 0x123456789abc, before, now, after;
	struct kvm_device_attr attr = attribute(&value);

	ASSERT_EQ(1, tvm_cap(vm, KVM_CAP_VCPU_ATTRIBUTES));
	EXPECT_OK(ioctl(cpu->fd, KVM_HAS_DEVICE_ATTR, &attr));
	EXPECT_OK(ioctl(cpu->fd, KVM_SET_DEVICE_ATTR, &attr));
	EXPECT_EQ(value, offset_of(cpu));
	before = tvm_rdtsc();
	now = guest_tsc(cpu);
	after = tvm_rdtsc();
	EXPECT_LT(before + value, now);
	EXPECT_GT(after + value, now);
	attr.addr = 0x10;
	EXPECT_ERR(EFAULT, ioctl(cpu->fd, KVM_SET_DEVICE_ATTR, &attr));
	EXPECT_ERR(EFAULT, ioctl(cpu->fd, KVM_GET_DEVICE_ATTR, &attr));
	attr.attr = 1;
	EXPECT_ERR(ENXIO, ioctl(cpu->fd, KVM_HAS_DEVICE_ATTR, &attr));
	EXPECT_ERR(ENXIO, ioctl(cpu->fd, KVM_SET_DEVICE_ATTR, &attr));
	attr.attr = 0;
	attr.group = 1;
	EXPECT_ERR(ENXIO, ioctl(cpu->fd, KVM_HAS_DEVICE_ATTR, &attr));
	EXPECT_ERR(ENXIO, ioctl(cpu->fd, KVM_GET_DEVICE_ATTR, &attr));
	EXPECT_ERR(EFAULT, ioctl(cpu->fd, KVM_HAS_DEVICE_ATTR, 0x10));
}

TEST(siblings_agree)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0), *second;
	u64 big = 1UL << 50;

	usleep(10000);
	second = tvm_vcpu(vm, 1);
	EXPECT_EQ(offset_of(cpu), offset_of(second));
	/* Restored one after the other: the second means the first's moment. */
	ASSERT_TRUE(tcpu_set_msr(cpu, MSR_TSC, big));
	usleep(10000);
	ASSERT_TRUE(tcpu_set_msr(second, MSR_TSC, big));
	EXPECT_EQ(offset_of(cpu), offset_of(second));
	/* Far away is meant as it is. */
	ASSERT_TRUE(tcpu_set_msr(second, MSR_TSC, big + (1UL << 44)));
	EXPECT_NE(offset_of(cpu), offset_of(second));
	/* And zero is always in step with the last. */
	ASSERT_TRUE(tcpu_set_msr(cpu, MSR_TSC, 0));
	EXPECT_EQ(offset_of(cpu), offset_of(second));
}

TEST(adjust)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	u64 start, value;

	start = offset_of(cpu);
	ASSERT_TRUE(tcpu_wrmsr(cpu, MSR_TSC_ADJUST, 1UL << 40));
	EXPECT_EQ(start + (1UL << 40), offset_of(cpu));
	/* User space restores the two apart from each other. */
	ASSERT_TRUE(tcpu_set_msr(cpu, MSR_TSC_ADJUST, 5));
	EXPECT_EQ(start + (1UL << 40), offset_of(cpu));
	ASSERT_TRUE(tcpu_wrmsr(cpu, MSR_TSC, 0));
	ASSERT_TRUE(tcpu_get_msr(cpu, MSR_TSC_ADJUST, &value));
	EXPECT_EQ(offset_of(cpu) - start - (1UL << 40) + 5, value);
}

/* Guest cycles that pass in @ns at least, by a guest that reads before and after. */
static u64 guest_cycles(struct tcpu *cpu, u64 *host)
{
	u64 guest = guest_tsc(cpu);
	u64 start = tvm_rdtsc();

	usleep(50000);
	guest = guest_tsc(cpu) - guest;
	*host = tvm_rdtsc() - start;
	return guest;
}

TEST(frequency)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu;
	u64 guest, host;
	long khz;

	khz = ioctl(vm->fd, KVM_GET_TSC_KHZ, 0);
	ASSERT_LT(0, khz);
	if (!tvm_cap(vm, KVM_CAP_TSC_CONTROL))
		SKIP(return, "the CPU cannot scale the TSC");
	ASSERT_EQ(1, tvm_cap(vm, KVM_CAP_VM_TSC_CONTROL));
	EXPECT_ERR(EINVAL, ioctl(vm->fd, KVM_SET_TSC_KHZ, 0x7fffffffUL));
	ASSERT_OK(ioctl(vm->fd, KVM_SET_TSC_KHZ, 2 * khz));
	EXPECT_EQ(2 * khz, ioctl(vm->fd, KVM_GET_TSC_KHZ, 0));
	cpu = tvm_vcpu(vm, 0);
	EXPECT_EQ(2 * khz, ioctl(cpu->fd, KVM_GET_TSC_KHZ, 0));
	guest = guest_cycles(cpu, &host);
	EXPECT_LT(host * 18 / 10, guest);
	EXPECT_GT(host * 22 / 10, guest);
	/* For this vCPU alone. */
	ASSERT_OK(ioctl(cpu->fd, KVM_SET_TSC_KHZ, khz / 2));
	EXPECT_EQ(khz / 2, ioctl(cpu->fd, KVM_GET_TSC_KHZ, 0));
	guest = guest_cycles(cpu, &host);
	EXPECT_LT(host * 4 / 10, guest);
	EXPECT_GT(host * 6 / 10, guest);
	ASSERT_OK(ioctl(cpu->fd, KVM_SET_TSC_KHZ, 0));
	EXPECT_EQ(khz, ioctl(cpu->fd, KVM_GET_TSC_KHZ, 0));
}

TEST_HARNESS_MAIN
