// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pending events, MP state, address translation and the TSC's frequency by ioctl.
 * Must not test how interrupts arrive; inject.c and the controllers' files do.
 */
#include "ktap.h"
#include "tvm.h"

#define BAD ((void *)0x10)

FIXTURE(events)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

FIXTURE_SETUP(events)
{
	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
}

FIXTURE_TEARDOWN(events)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

TEST_F(events, vcpu_events)
{
	struct kvm_vcpu_events events = { }, good;

	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_VCPU_EVENTS, &good));
	EXPECT_EQ(0, good.exception.injected);
	EXPECT_EQ(0, good.nmi.injected);
	EXPECT_EQ(0, good.interrupt.injected);
	events = good;
	events.flags |= 1U << 30;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, &events));
	events = good;
	events.exception.injected = 1;
	events.exception.nr = 32;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, &events));
	events.exception.nr = 2;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, &events));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, BAD));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_GET_VCPU_EVENTS, BAD));

	/* An injected #GP with an error code reaches the guest's handler. */
	events = good;
	events.exception.injected = 1;
	events.exception.nr = 13;
	events.exception.has_error_code = 1;
	events.exception.error_code = 0x1238;
	tcpu_load_bytes(self->cpu, "\xf4", 1);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, &events));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(1, events.exception.injected);
	EXPECT_EQ(13, events.exception.nr);
	EXPECT_EQ(0x1238, events.exception.error_code);
	ASSERT_EQ(13, tcpu_run_fault(self->cpu));
	{
		struct tfault fault;

		ASSERT_TRUE(tcpu_fault(self->cpu, &fault));
		EXPECT_EQ(0x1238, fault.error);
		EXPECT_EQ(GUEST_CODE, fault.rip);
	}
}

TEST_F(events, mp_state)
{
	struct kvm_mp_state mp = { .mp_state = 77 };

	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp.mp_state);
	EXPECT_OK(ioctl(self->cpu->fd, KVM_SET_MP_STATE, &mp));
	/* Without a LAPIC in the kernel the vCPU is always runnable. */
	mp.mp_state = KVM_MP_STATE_HALTED;
	EXPECT_EQ(-1, ioctl(self->cpu->fd, KVM_SET_MP_STATE, &mp));
	mp.mp_state = 99;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_MP_STATE, &mp));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_GET_MP_STATE, BAD));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_MP_STATE, BAD));
}

TEST(mp_state_with_irqchip)
{
	struct tvm *vm = tvm_create(TVM_IRQCHIP);
	struct tcpu *first = tvm_vcpu(vm, 0), *second = tvm_vcpu(vm, 1);
	struct kvm_mp_state mp = { };

	ASSERT_OK(ioctl(first->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp.mp_state);
	ASSERT_OK(ioctl(second->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_UNINITIALIZED, mp.mp_state);
	mp.mp_state = KVM_MP_STATE_HALTED;
	ASSERT_OK(ioctl(first->fd, KVM_SET_MP_STATE, &mp));
	ASSERT_OK(ioctl(first->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_HALTED, mp.mp_state);
	mp.mp_state = 99;
	EXPECT_ERR(EINVAL, ioctl(first->fd, KVM_SET_MP_STATE, &mp));
}

TEST_F(events, translate)
{
	struct kvm_translation tr = { .linear_address = 0x23456 };

	*tvm_pte(self->vm, 0x23000) = 0x31000 | 3;
	*tvm_pte(self->vm, 0x24000) = 0;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0x31456, tr.physical_address);
	EXPECT_EQ(1, tr.valid);
	tr.linear_address = 0x24000;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0, tr.valid);
	/* A 2 MiB page, and a hole above everything mapped. */
	tr.linear_address = 0x345678;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0x345678, tr.physical_address);
	EXPECT_EQ(1, tr.valid);
	tr.linear_address = 0x200000000;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0, tr.valid);
	tcpu_mode(self->cpu, MODE_PROT32);
	tr.linear_address = 0x23456;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0x23456, tr.physical_address);
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_TRANSLATE, BAD));
}

TEST_F(events, tsc_khz)
{
	int khz = ioctl(self->cpu->fd, KVM_GET_TSC_KHZ, 0);

	EXPECT_LT(1000, khz);
	EXPECT_OK(ioctl(self->cpu->fd, KVM_SET_TSC_KHZ, khz));
	EXPECT_EQ(khz, ioctl(self->cpu->fd, KVM_GET_TSC_KHZ, 0));
	EXPECT_OK(ioctl(self->cpu->fd, KVM_SET_TSC_KHZ, 0));
	EXPECT_EQ(khz, ioctl(self->cpu->fd, KVM_GET_TSC_KHZ, 0));
}

TEST_HARNESS_MAIN
