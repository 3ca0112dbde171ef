// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a device may offer beyond the core: each test skips where the capability is missing.
 * Must not fail for an absent capability, only for one that does not keep its word.
 */
#include "ktap.h"
#include "tvm.h"

FIXTURE(option)
{
	struct tvm *vm;
};

FIXTURE_SETUP(option)
{
	self->vm = tvm_create(TVM_IRQCHIP);
}

FIXTURE_TEARDOWN(option)
{
	tvm_destroy(self->vm);
}

PROGRAM(add, 64, "inc %rbx; out %al, $" GUEST_STR(PORT_TEST) "; inc %rbx;"
	"out %al, $" GUEST_STR(PORT_TEST));

TEST_F(option, sync_regs)
{
	struct tcpu *cpu;
	struct kvm_run *run;
	int fields;

	if (!tvm_cap(self->vm, KVM_CAP_SYNC_REGS))
		SKIP(return, "the device does not offer KVM_CAP_SYNC_REGS");
	fields = tvm_cap(self->vm, KVM_CAP_SYNC_REGS);
	cpu = tvm_vcpu(self->vm, 0);
	run = cpu->run;
	EXPECT_EQ(KVM_SYNC_X86_REGS, fields & KVM_SYNC_X86_REGS);
	tcpu_load(cpu, &add);
	run->kvm_valid_regs = fields;
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	EXPECT_EQ(1, run->s.regs.regs.rbx);
	EXPECT_EQ(GUEST_PML4, run->s.regs.sregs.cr3);
	run->s.regs.regs.rbx = 0x100;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	EXPECT_EQ(0, run->kvm_dirty_regs);
	EXPECT_EQ(0x101, run->s.regs.regs.rbx);
	EXPECT_EQ(0x101, tcpu_regs(cpu).rbx);
	run->kvm_valid_regs = ~0UL;
	EXPECT_EQ(-EINVAL, tcpu_run(cpu));
	run->kvm_valid_regs = 0;
	run->kvm_dirty_regs = ~0UL;
	EXPECT_EQ(-EINVAL, tcpu_run(cpu));
}

TEST_F(option, boot_cpu)
{
	struct kvm_mp_state mp;
	struct tcpu *cpus[2];

	if (!tvm_cap(self->vm, KVM_CAP_SET_BOOT_CPU_ID))
		SKIP(return, "the device does not offer KVM_CAP_SET_BOOT_CPU_ID");
	ASSERT_OK(ioctl(self->vm->fd, KVM_SET_BOOT_CPU_ID, 1));
	cpus[0] = tvm_vcpu(self->vm, 0);
	cpus[1] = tvm_vcpu(self->vm, 1);
	ASSERT_OK(ioctl(cpus[0]->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_UNINITIALIZED, mp.mp_state);
	ASSERT_OK(ioctl(cpus[1]->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp.mp_state);
	EXPECT_EQ(0x100, tcpu_sregs(cpus[1]).apic_base & 0x100);
	EXPECT_EQ(0, tcpu_sregs(cpus[0]).apic_base & 0x100);
	EXPECT_ERR(EBUSY, ioctl(self->vm->fd, KVM_SET_BOOT_CPU_ID, 0));
}

TEST_F(option, machine_check)
{
	struct tcpu *cpu;
	u64 caps, banks, value;

	if (!tvm_cap(self->vm, KVM_CAP_MCE))
		SKIP(return, "the device does not offer KVM_CAP_MCE");
	EXPECT_LE(10, tvm_cap(self->vm, KVM_CAP_MCE));
	ASSERT_OK(ioctl(self->vm->dev, KVM_X86_GET_MCE_CAP_SUPPORTED, &caps));
	cpu = tvm_vcpu(self->vm, 0);
	banks = 10 | (caps & ~0xffUL);
	ASSERT_OK(ioctl(cpu->fd, KVM_X86_SETUP_MCE, &banks));
	ASSERT_TRUE(tcpu_get_msr(cpu, 0x179, &value));
	EXPECT_EQ(10, value & 0xff);
	/* Bank 9 is there, bank 10 is not. */
	EXPECT_TRUE(tcpu_rdmsr(cpu, 0x400 + 4 * 9, &value));
	EXPECT_FALSE(tcpu_rdmsr(cpu, 0x400 + 4 * 10, &value));
	banks = 0;
	EXPECT_ERR(EINVAL, ioctl(cpu->fd, KVM_X86_SETUP_MCE, &banks));
	banks = 200;
	EXPECT_ERR(EINVAL, ioctl(cpu->fd, KVM_X86_SETUP_MCE, &banks));
	EXPECT_ERR(EFAULT, ioctl(cpu->fd, KVM_X86_SETUP_MCE, 0x10));
}

TEST_F(option, xsave2)
{
	struct tcpu *cpu;
	int size;
	u8 *area;

	if (!tvm_cap(self->vm, KVM_CAP_XSAVE2))
		SKIP(return, "the device does not offer KVM_CAP_XSAVE2");
	size = tvm_cap(self->vm, KVM_CAP_XSAVE2);
	EXPECT_LE((int)sizeof(struct kvm_xsave), size);
	cpu = tvm_vcpu(self->vm, 0);
	area = tvm_map(size + PAGE);
	memset(area, 0xa5, size + PAGE);
	ASSERT_OK(ioctl(cpu->fd, KVM_GET_XSAVE2, area));
	EXPECT_EQ(0xa5, area[size]);
	EXPECT_OK(ioctl(cpu->fd, KVM_SET_XSAVE, area));
}

TEST_F(option, enable_cap)
{
	struct kvm_enable_cap cap = { .cap = 0x7fffffff };

	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap));
	EXPECT_ERR(EFAULT, ioctl(self->vm->fd, KVM_ENABLE_CAP, 0x10));
	if (!tvm_cap(self->vm, KVM_CAP_X2APIC_API))
		SKIP(return, "the device does not offer KVM_CAP_X2APIC_API");
	cap.cap = KVM_CAP_X2APIC_API;
	cap.args[0] = BIT(40);
	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap));
	cap.args[0] = KVM_X2APIC_API_USE_32BIT_IDS;
	EXPECT_OK(ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap));
	cap.flags = 1;
	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap));
}

TEST_F(option, reinject_control)
{
	struct kvm_reinject_control control = { .pit_reinject = 0 };
	struct kvm_pit_config pit = { };

	if (!tvm_cap(self->vm, KVM_CAP_REINJECT_CONTROL))
		SKIP(return, "the device does not offer KVM_CAP_REINJECT_CONTROL");
	EXPECT_ERR(ENXIO, ioctl(self->vm->fd, KVM_REINJECT_CONTROL, &control));
	ASSERT_OK(ioctl(self->vm->fd, KVM_CREATE_PIT2, &pit));
	EXPECT_OK(ioctl(self->vm->fd, KVM_REINJECT_CONTROL, &control));
	EXPECT_ERR(EFAULT, ioctl(self->vm->fd, KVM_REINJECT_CONTROL, 0x10));
}

TEST_F(option, nr_mmu_pages)
{
	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_SET_NR_MMU_PAGES, 63));
	EXPECT_OK(ioctl(self->vm->fd, KVM_SET_NR_MMU_PAGES, 64));
}

#ifndef KVM_PRE_FAULT_MEMORY
#define KVM_PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct pre_fault)
#endif
#define CAP_PRE_FAULT_MEMORY 236

TEST_F(option, pre_fault)
{
	struct pre_fault {
		u64 gpa, size, flags, padding[5];
	} range = { .gpa = 0, .size = 16 * PAGE };
	struct tcpu *cpu = tvm_vcpu(self->vm, 0);

	if (!tvm_cap(self->vm, CAP_PRE_FAULT_MEMORY))
		SKIP(goto out, "no KVM_CAP_PRE_FAULT_MEMORY");
	ASSERT_OK(ioctl(cpu->fd, KVM_PRE_FAULT_MEMORY, &range));
	EXPECT_EQ(16 * PAGE, range.gpa);
	EXPECT_EQ(0, range.size);
	/* It goes as far as the slot does. */
	range.gpa = 0x9e000;
	range.size = 4 * PAGE;
	ASSERT_OK(ioctl(cpu->fd, KVM_PRE_FAULT_MEMORY, &range));
	EXPECT_EQ(0xa0000, range.gpa);
	EXPECT_EQ(2 * PAGE, range.size);
	EXPECT_ERR(ENOENT, ioctl(cpu->fd, KVM_PRE_FAULT_MEMORY, &range));
	range.size = 0;
	EXPECT_ERR(EINVAL, ioctl(cpu->fd, KVM_PRE_FAULT_MEMORY, &range));
	range.size = 1;
	EXPECT_ERR(EINVAL, ioctl(cpu->fd, KVM_PRE_FAULT_MEMORY, &range));
	range = (struct pre_fault){ .size = PAGE, .flags = 1 };
	EXPECT_ERR(EINVAL, ioctl(cpu->fd, KVM_PRE_FAULT_MEMORY, &range));
out:
	tcpu_destroy(cpu);
}

TEST_F(option, no_half_capabilities)
{
	/* These name ioctls or exits: an answer other than 0 must come with them. */
	static const struct {
		int cap;
		unsigned long request;
	} pairs[] = {
		{ KVM_CAP_IOEVENTFD, KVM_IOEVENTFD },
		{ KVM_CAP_IRQFD, KVM_IRQFD },
		{ KVM_CAP_X86_MSR_FILTER, KVM_X86_SET_MSR_FILTER },
		{ KVM_CAP_BINARY_STATS_FD, KVM_GET_STATS_FD },
		{ KVM_CAP_DEVICE_CTRL, KVM_CREATE_DEVICE },
		{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_CLEAR_DIRTY_LOG },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pairs); i++) {
		if (!tvm_cap(self->vm, pairs[i].cap))
			continue;
		EXPECT_NE(ENOTTY, tvm_err(ioctl(self->vm->fd, pairs[i].request, 0x10)))
			TH_LOG("capability %d", pairs[i].cap);
	}
}

TEST_HARNESS_MAIN
