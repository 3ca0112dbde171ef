// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_X86_SET_MSR_FILTER and KVM_CAP_X86_USER_SPACE_MSR: what the guest may touch, what user space
 * answers in the device's place.
 * Must not test what any MSR does.
 */
#include "ktap.h"
#include "tvm.h"

#define GP 13
#define MSR_TSC 0x10
#define MSR_SYSENTER_CS 0x174
#define MSR_APICBASE 0x1b
#define MSR_DEADLINE 0x6e0
#define MSR_X2APIC_TPR 0x808
#define MSR_FS 0xc0000100
#define MSR_NONE 0x12345678
#define RW (KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE)

FIXTURE(filter)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

FIXTURE_SETUP(filter)
{
	self->vm = tvm_create(TVM_IRQCHIP);
	self->cpu = tvm_vcpu(self->vm, 0);
}

FIXTURE_TEARDOWN(filter)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

static int set_filter(struct tvm *vm, const struct kvm_msr_filter *filter)
{
	return tvm_err(ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, filter));
}

static int set_reasons(struct tvm *vm, u64 reasons)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { reasons } };

	return tvm_err(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
}

/* Deny one MSR. */
static int deny(struct tvm *vm, u32 msr, u32 access)
{
	u8 none[8] = { 0 };
	struct kvm_msr_filter filter = {
		.ranges = { { .flags = access, .nmsrs = 1, .base = msr, .bitmap = none } },
	};

	return set_filter(vm, &filter);
}

TEST_F(filter, capability)
{
	u8 bits[0x800] = { 0 };
	struct kvm_msr_filter filter = { .flags = 2 };

	EXPECT_EQ(1, tvm_cap(self->vm, KVM_CAP_X86_MSR_FILTER));
	EXPECT_EQ(1, tvm_cap(self->vm, KVM_CAP_X86_USER_SPACE_MSR));
	EXPECT_EQ(EINVAL, set_filter(self->vm, &filter));
	/* Nothing allowed at all. */
	filter.flags = KVM_MSR_FILTER_DEFAULT_DENY;
	EXPECT_EQ(EINVAL, set_filter(self->vm, &filter));
	filter.ranges[0] = (struct kvm_msr_filter_range) { .nmsrs = 8, .bitmap = bits };
	EXPECT_EQ(EINVAL, set_filter(self->vm, &filter));
	filter.ranges[0].flags = 4;
	EXPECT_EQ(EINVAL, set_filter(self->vm, &filter));
	filter.ranges[0].flags = RW;
	filter.ranges[0].nmsrs = 0x600 * 8 + 1;
	EXPECT_EQ(EINVAL, set_filter(self->vm, &filter));
	filter.ranges[0].nmsrs = ~0U;
	EXPECT_EQ(EINVAL, set_filter(self->vm, &filter));
	filter.ranges[0].nmsrs = 0x600 * 8;
	EXPECT_EQ(0, set_filter(self->vm, &filter));
	filter.ranges[0].bitmap = (void *)0x10;
	EXPECT_EQ(EFAULT, set_filter(self->vm, &filter));
	EXPECT_ERR(EFAULT, ioctl(self->vm->fd, KVM_X86_SET_MSR_FILTER, 0x10));
	EXPECT_EQ(EINVAL, set_reasons(self->vm, 0x100));
	EXPECT_EQ(0, set_reasons(self->vm, 7));
}

/* Those that the guest reaches without an exit, fast exits, slow exits. */
TEST_F(filter, each_kind)
{
	static const u32 msrs[] = {
		MSR_TSC, MSR_SYSENTER_CS, MSR_FS, MSR_APICBASE, MSR_DEADLINE, 0x1a0, 0xc0000080,
	};
	unsigned int i;
	u64 value;

	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		ASSERT_TRUE(tcpu_rdmsr(self->cpu, msrs[i], &value));
		ASSERT_TRUE(tcpu_wrmsr(self->cpu, msrs[i], value));
		ASSERT_EQ(0, deny(self->vm, msrs[i], KVM_MSR_FILTER_READ));
		EXPECT_FALSE(tcpu_rdmsr(self->cpu, msrs[i], &value))
			TH_LOG("MSR %#x", msrs[i]);
		EXPECT_TRUE(tcpu_wrmsr(self->cpu, msrs[i], value));
		ASSERT_EQ(0, deny(self->vm, msrs[i], KVM_MSR_FILTER_WRITE));
		EXPECT_TRUE(tcpu_rdmsr(self->cpu, msrs[i], &value));
		/* The in-tree device lets this one through. */
		if (msrs[i] != MSR_DEADLINE || tvm_is_kvmlet())
			EXPECT_FALSE(tcpu_wrmsr(self->cpu, msrs[i], value))
				TH_LOG("MSR %#x", msrs[i]);
		/* User space is not concerned. */
		EXPECT_TRUE(tcpu_set_msr(self->cpu, msrs[i], value));
		ASSERT_EQ(0, deny(self->vm, MSR_NONE, RW));
		EXPECT_TRUE(tcpu_wrmsr(self->cpu, msrs[i], value));
	}
}

TEST_F(filter, default_deny)
{
	u8 two[8] = { 3 };
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_DENY,
		.ranges = {
			{ .flags = RW, .nmsrs = 2, .base = MSR_SYSENTER_CS, .bitmap = two },
			{ .flags = KVM_MSR_FILTER_READ, .nmsrs = 1, .base = MSR_FS, .bitmap = two },
		},
	};
	u64 value;

	ASSERT_EQ(0, set_filter(self->vm, &filter));
	EXPECT_TRUE(tcpu_rdmsr(self->cpu, MSR_SYSENTER_CS, &value));
	EXPECT_TRUE(tcpu_wrmsr(self->cpu, MSR_SYSENTER_CS + 1, 0));
	EXPECT_FALSE(tcpu_rdmsr(self->cpu, MSR_SYSENTER_CS + 2, &value));
	EXPECT_TRUE(tcpu_rdmsr(self->cpu, MSR_FS, &value));
	EXPECT_FALSE(tcpu_wrmsr(self->cpu, MSR_FS, value));
	EXPECT_FALSE(tcpu_rdmsr(self->cpu, MSR_TSC, &value));
	/* Never the local APIC's. */
	ASSERT_TRUE(tcpu_get_msr(self->cpu, MSR_APICBASE, &value));
	ASSERT_TRUE(tcpu_set_msr(self->cpu, MSR_APICBASE, value | BIT(10)));
	EXPECT_TRUE(tcpu_rdmsr(self->cpu, MSR_X2APIC_TPR, &value));
	EXPECT_TRUE(tcpu_wrmsr(self->cpu, MSR_X2APIC_TPR, 0));
	/* And away with it. */
	memset(&filter, 0, sizeof(filter));
	ASSERT_EQ(0, set_filter(self->vm, &filter));
	EXPECT_TRUE(tcpu_rdmsr(self->cpu, MSR_TSC, &value));
	EXPECT_TRUE(tcpu_wrmsr(self->cpu, MSR_FS, 0));
}

PROGRAM(read_msr, 64, "mov $0x12345678, %ecx; mov $-1, %rax; mov %rax, %rdx; rdmsr;"
	"out %al, $0xe0");
PROGRAM(write_msr, 64, "mov $0x12345678, %ecx; mov $5, %eax; mov $6, %edx; wrmsr; out %al, $0xe0");
PROGRAM(bad_value, 64, "mov $0x277, %ecx; mov $-1, %eax; mov $-1, %edx; wrmsr; out %al, $0xe0");

static const struct guest_code *at_none[] = { &read_msr, &write_msr };

TEST_F(filter, user_space_answers)
{
	struct kvm_run *run = self->cpu->run;
	struct kvm_regs regs;
	unsigned int i, error;

	ASSERT_EQ(0, set_reasons(self->vm, KVM_MSR_EXIT_REASON_UNKNOWN));
	for (i = 0; i < 2; i++) {
		for (error = 0; error < 2; error++) {
			tcpu_mode(self->cpu, MODE_LONG);
			tcpu_load(self->cpu, at_none[i]);
			ASSERT_EQ(i ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR,
				  tcpu_run(self->cpu));
			EXPECT_EQ(MSR_NONE, run->msr.index);
			EXPECT_EQ(KVM_MSR_EXIT_REASON_UNKNOWN, run->msr.reason);
			EXPECT_EQ(0, run->msr.error);
			EXPECT_EQ(i ? 0x600000005 : 0, run->msr.data);
			run->msr.data = 0x1122334455667788;
			run->msr.error = error;
			if (error) {
				EXPECT_EQ(GP, tcpu_run_fault(self->cpu));
				continue;
			}
			ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
			regs = tcpu_regs(self->cpu);
			EXPECT_EQ(i ? 5 : 0x55667788, regs.rax);
			EXPECT_EQ(i ? 6 : 0x11223344, regs.rdx);
		}
	}
}

TEST_F(filter, reasons)
{
	struct kvm_run *run = self->cpu->run;

	/* Only those that were asked for. */
	ASSERT_EQ(0, set_reasons(self->vm, KVM_MSR_EXIT_REASON_FILTER));
	tcpu_load(self->cpu, &read_msr);
	EXPECT_EQ(GP, tcpu_run_fault(self->cpu));
	tcpu_mode(self->cpu, MODE_LONG);
	tcpu_load(self->cpu, &bad_value);
	EXPECT_EQ(GP, tcpu_run_fault(self->cpu));
	ASSERT_EQ(0, deny(self->vm, MSR_NONE, RW));
	tcpu_mode(self->cpu, MODE_LONG);
	tcpu_load(self->cpu, &read_msr);
	EXPECT_EQ(KVM_EXIT_X86_RDMSR, tcpu_run(self->cpu));
	EXPECT_EQ(KVM_MSR_EXIT_REASON_FILTER, run->msr.reason);
	EXPECT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));

	ASSERT_EQ(0, set_reasons(self->vm, KVM_MSR_EXIT_REASON_INVAL));
	tcpu_mode(self->cpu, MODE_LONG);
	tcpu_load(self->cpu, &bad_value);
	EXPECT_EQ(KVM_EXIT_X86_WRMSR, tcpu_run(self->cpu));
	EXPECT_EQ(KVM_MSR_EXIT_REASON_INVAL, run->msr.reason);
	EXPECT_EQ(0x277, run->msr.index);
	EXPECT_EQ(~0ULL, run->msr.data);
	EXPECT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	ASSERT_EQ(0, set_reasons(self->vm, 0));
	tcpu_mode(self->cpu, MODE_LONG);
	tcpu_load(self->cpu, &bad_value);
	EXPECT_EQ(GP, tcpu_run_fault(self->cpu));
}

TEST_HARNESS_MAIN
