// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts and NMIs that user space injects into a VM without interrupt controllers.
 * Must not use an in-kernel controller; interrupt controllers have files of their own.
 */
#include "ktap.h"
#include "tvm.h"

FIXTURE(inject)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

FIXTURE_SETUP(inject)
{
	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
}

FIXTURE_TEARDOWN(inject)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

static int interrupt(struct tcpu *cpu, u32 vector)
{
	struct kvm_interrupt irq = { .irq = vector };

	return ioctl(cpu->fd, KVM_INTERRUPT, &irq);
}

TEST_F(inject, interrupt_is_delivered)
{
	struct kvm_vcpu_events events;
	struct tfault fault;

	tcpu_idle(self->cpu, true);
	ASSERT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	EXPECT_EQ(1, self->cpu->run->ready_for_interrupt_injection);
	ASSERT_OK(interrupt(self->cpu, 0x40));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(1, events.interrupt.injected);
	EXPECT_EQ(0x40, events.interrupt.nr);
	ASSERT_EQ(0x40, tcpu_wait(self->cpu));
	ASSERT_TRUE(tcpu_fault(self->cpu, &fault));
	EXPECT_EQ(0x200, fault.rflags & 0x200);
	EXPECT_EQ(0, self->cpu->run->if_flag);
	/* Once is enough. */
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	EXPECT_EQ(1, self->cpu->run->ready_for_interrupt_injection);
}

TEST_F(inject, errors)
{
	EXPECT_ERR(EINVAL, interrupt(self->cpu, 256));
	EXPECT_ERR(EINVAL, interrupt(self->cpu, ~0U));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_INTERRUPT, 0x10));
}

PROGRAM(closed, 64,
	"out %al, $" GUEST_STR(PORT_TEST) "; mov $3000, %ecx; 1: dec %ecx; jnz 1b;"
	"sti; nop; nop; hlt");

TEST_F(inject, window)
{
	struct kvm_run *run = self->cpu->run;

	tcpu_load(self->cpu, &closed);
	run->request_interrupt_window = 1;
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	EXPECT_EQ(0, run->ready_for_interrupt_injection);
	EXPECT_EQ(0, run->if_flag);
	ASSERT_EQ(KVM_EXIT_IRQ_WINDOW_OPEN, tcpu_run(self->cpu))
		tcpu_explain(self->cpu);
	EXPECT_EQ(1, run->ready_for_interrupt_injection);
	EXPECT_EQ(1, run->if_flag);
	/* Behind the instruction that follows STI, not before. */
	EXPECT_EQ(GUEST_CODE + 13, tcpu_regs(self->cpu).rip);
	run->request_interrupt_window = 0;
	ASSERT_OK(interrupt(self->cpu, 0xfe));
	EXPECT_EQ(0xfe, tcpu_wait(self->cpu));
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
}

TEST_F(inject, window_is_open_at_once)
{
	tcpu_idle(self->cpu, true);
	self->cpu->run->request_interrupt_window = 1;
	EXPECT_EQ(KVM_EXIT_IRQ_WINDOW_OPEN, tcpu_run(self->cpu));
	EXPECT_EQ(KVM_EXIT_IRQ_WINDOW_OPEN, tcpu_run(self->cpu));
}

/* POP SS holds interrupts back for one instruction too. */
PROGRAM(shadow, 64, "sti; nop; mov %ss, %eax; hlt; mov %eax, %ss; nop; hlt");

TEST_F(inject, interrupt_ends_a_halt)
{
	struct tfault fault;

	tcpu_load_bytes(self->cpu, "\xfb\xf4\x90\xf4", 4);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
	EXPECT_EQ(GUEST_CODE + 2, tcpu_regs(self->cpu).rip);
	ASSERT_OK(interrupt(self->cpu, 0x33));
	ASSERT_EQ(0x33, tcpu_wait(self->cpu));
	ASSERT_TRUE(tcpu_fault(self->cpu, &fault));
	EXPECT_EQ(GUEST_CODE + 2, fault.rip);
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
	EXPECT_EQ(GUEST_CODE + 4, tcpu_regs(self->cpu).rip);
}

TEST_F(inject, interrupt_shadow_is_state)
{
	struct kvm_vcpu_events events;

	/* STI; OUT: the exit comes while the shadow still lies on the OUT. */
	tcpu_load(self->cpu, &shadow);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(0, events.interrupt.shadow);
	events.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	events.flags = KVM_VCPUEVENT_VALID_SHADOW;
	tcpu_set_rip(self->cpu, GUEST_CODE + 1, true);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, &events));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(KVM_X86_SHADOW_INT_STI, events.interrupt.shadow);
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(0, events.interrupt.shadow);
}

TEST_F(inject, nmi_blocks_nmi_until_iret)
{
	struct kvm_vcpu_events events;
	struct tfault first, second;

	tcpu_idle(self->cpu, false);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_NMI));
	ASSERT_EQ(2, tcpu_wait(self->cpu));
	ASSERT_TRUE(tcpu_fault(self->cpu, &first));
	EXPECT_EQ(GUEST_CODE, first.rip);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(1, events.nmi.masked);
	EXPECT_EQ(0, events.nmi.pending);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_NMI));
	/* The next one comes right behind the IRET of the first, not inside the handler. */
	ASSERT_EQ(2, tcpu_wait(self->cpu));
	ASSERT_TRUE(tcpu_fault(self->cpu, &second));
	EXPECT_EQ(GUEST_CODE, second.rip);
	EXPECT_EQ(first.frame, second.frame);
	ASSERT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(0, events.nmi.masked);
}

TEST_F(inject, nmi_masked_by_user_space)
{
	struct kvm_vcpu_events events;

	tcpu_idle(self->cpu, true);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_VCPU_EVENTS, &events));
	events.nmi.masked = 1;
	events.flags = 0;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, &events));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_NMI));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(1, events.nmi.pending);
	EXPECT_EQ(1, events.nmi.masked);
	events.nmi.masked = 0;
	events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, &events));
	EXPECT_EQ(2, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
}

TEST_F(inject, nmi_before_interrupt)
{
	tcpu_idle(self->cpu, true);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_NMI));
	ASSERT_EQ(2, tcpu_wait(self->cpu));
	/* Interrupts are off in the handler: this one waits for the IRET. */
	EXPECT_EQ(0, self->cpu->run->ready_for_interrupt_injection);
	self->cpu->run->request_interrupt_window = 1;
	ASSERT_EQ(KVM_EXIT_IRQ_WINDOW_OPEN, tcpu_run(self->cpu));
	self->cpu->run->request_interrupt_window = 0;
	ASSERT_OK(interrupt(self->cpu, 0x77));
	EXPECT_EQ(0x77, tcpu_wait(self->cpu));
}

TEST_F(inject, interrupt_in_each_mode)
{
	/* sti; 1: jmp 1b: the same bytes in all of them. */
	static const u8 code[] = { 0xfb, 0xeb, 0xfe };
	enum tmode mode;

	for (mode = MODE_REAL; mode < MODE_COUNT; mode++) {
		tcpu_mode(self->cpu, mode);
		tcpu_load_bytes(self->cpu, code, sizeof(code));
		self->cpu->run->request_interrupt_window = 1;
		ASSERT_EQ(KVM_EXIT_IRQ_WINDOW_OPEN, tcpu_run(self->cpu))
			TH_LOG("in %s", tmode_name(mode));
		self->cpu->run->request_interrupt_window = 0;
		ASSERT_OK(interrupt(self->cpu, 0x60 + mode));
		EXPECT_EQ(0x60 + (int)mode, tcpu_run_fault(self->cpu))
			TH_LOG("in %s", tmode_name(mode));
	}
}

TEST_HARNESS_MAIN
