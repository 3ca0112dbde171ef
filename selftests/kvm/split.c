// SPDX-License-Identifier: GPL-2.0-only
/*
 * The split irqchip: local APICs in the kernel, PIC and IOAPIC with user space.
 * Must not test the local APIC itself; lapic.c does.
 */
#include "ktap.h"
#include "tvm.h"

#define LEVEL BIT(15)
#define PINS 24

FIXTURE(split)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

static int enable(struct tvm *vm, u64 pins)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { pins } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
}

FIXTURE_SETUP(split)
{
	self->vm = tvm_create(0);
	if (!tvm_cap(self->vm, KVM_CAP_SPLIT_IRQCHIP)) {
		self->cpu = tvm_vcpu(self->vm, 0);
		SKIP(return, "the device offers no split irqchip");
	}
	ASSERT_OK(enable(self->vm, PINS));
	self->cpu = tvm_vcpu(self->vm, 0);
	tcpu_write32(self->cpu, GUEST_LAPIC + 0xf0, 0x1ff);
	tcpu_handlers(self->cpu, EOI_LAPIC);
	tcpu_idle(self->cpu, true);
}

FIXTURE_TEARDOWN(split)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

/* One message each for two pins of the IOAPIC and for a device of its own. */
static int set_routes(struct tvm *vm, u32 first, u32 second, u32 device)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[3];
	} table = { .head.nr = 3 };
	u32 data[3] = { first, second, device };
	unsigned int i;

	for (i = 0; i < 3; i++) {
		table.entry[i].gsi = i < 2 ? i + 4 : PINS;
		table.entry[i].type = KVM_IRQ_ROUTING_MSI;
		table.entry[i].u.msi.address_lo = 0xfee00000;
		table.entry[i].u.msi.data = data[i];
	}
	return ioctl(vm->fd, KVM_SET_GSI_ROUTING, &table);
}

static int line(struct tvm *vm, u32 gsi, u32 level)
{
	struct kvm_irq_level irq = { .irq = gsi, .level = level };

	return ioctl(vm->fd, KVM_IRQ_LINE, &irq);
}

static int interrupt(struct tcpu *cpu, u32 vector)
{
	struct kvm_interrupt irq = { .irq = vector };

	return ioctl(cpu->fd, KVM_INTERRUPT, &irq);
}

TEST_F(split, what_is_there)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[1];
	} table = { .head.nr = 1, .entry[0].type = KVM_IRQ_ROUTING_IRQCHIP };
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct kvm_lapic_state lapic;

	EXPECT_ERR(EEXIST, enable(self->vm, PINS));
	EXPECT_ERR(EEXIST, ioctl(self->vm->fd, KVM_CREATE_IRQCHIP));
	EXPECT_ERR(ENXIO, ioctl(self->vm->fd, KVM_GET_IRQCHIP, &chip));
	EXPECT_ERR(ENXIO, ioctl(self->vm->fd, KVM_SET_IRQCHIP, &chip));
	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_SET_GSI_ROUTING, &table));
	EXPECT_OK(ioctl(self->cpu->fd, KVM_GET_LAPIC, &lapic));
	EXPECT_OK(line(self->vm, 3, 1));
}

TEST_F(split, refusals)
{
	struct tvm *vm = tvm_create(0);
	struct kvm_pit_config pit = { };
	struct tcpu *cpu;

	EXPECT_ERR(EINVAL, enable(vm, 4097));
	cpu = tvm_vcpu(vm, 0);
	EXPECT_ERR(EEXIST, enable(vm, PINS));
	tcpu_destroy(cpu);
	tvm_destroy(vm);
	if (tvm_is_kvmlet())
		EXPECT_ERR(ENOENT, ioctl(self->vm->fd, KVM_CREATE_PIT2, &pit));
}

TEST_F(split, eoi_of_level)
{
	ASSERT_OK(set_routes(self->vm, LEVEL | 0x51, 0x52, LEVEL | 0x53));
	ASSERT_OK(line(self->vm, 4, 1));
	ASSERT_EQ(0x51, tcpu_wait(self->cpu));
	ASSERT_EQ(KVM_EXIT_IOAPIC_EOI, tcpu_run(self->cpu));
	EXPECT_EQ(0x51, self->cpu->run->eoi.vector);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	/* An edge, and a device that is no IOAPIC's pin: nobody asks. */
	ASSERT_OK(line(self->vm, 5, 1));
	EXPECT_EQ(0x52, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	ASSERT_OK(line(self->vm, PINS, 1));
	EXPECT_EQ(0x53, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	/* A new table has its own say. */
	ASSERT_OK(set_routes(self->vm, 0x51, LEVEL | 0x52, 0x53));
	ASSERT_OK(line(self->vm, 4, 1));
	EXPECT_EQ(0x51, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	ASSERT_OK(line(self->vm, 5, 1));
	EXPECT_EQ(0x52, tcpu_wait(self->cpu));
	ASSERT_EQ(KVM_EXIT_IOAPIC_EOI, tcpu_run(self->cpu));
	EXPECT_EQ(0x52, self->cpu->run->eoi.vector);
}

TEST_F(split, eoi_in_x2apic_mode)
{
	u64 base;

	if (!tvm_cpuid_has(1, 0, 2, 21))
		SKIP(return, "no x2APIC");
	ASSERT_TRUE(tcpu_get_msr(self->cpu, 0x1b, &base));
	ASSERT_TRUE(tcpu_set_msr(self->cpu, 0x1b, base | 0xc00));
	tcpu_handlers(self->cpu, EOI_X2APIC);
	ASSERT_OK(set_routes(self->vm, LEVEL | 0x51, 0x52, 0x53));
	ASSERT_OK(line(self->vm, 4, 1));
	ASSERT_EQ(0x51, tcpu_wait(self->cpu));
	ASSERT_EQ(KVM_EXIT_IOAPIC_EOI, tcpu_run(self->cpu));
	EXPECT_EQ(0x51, self->cpu->run->eoi.vector);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
}

TEST_F(split, extint)
{
	/* LINT0 of the boot CPU lets the PIC through after RESET, as KVM has it. */
	tcpu_write32(self->cpu, GUEST_LAPIC + 0x350, 0x700);
	tcpu_idle(self->cpu, true);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	EXPECT_EQ(1, self->cpu->run->ready_for_interrupt_injection);
	EXPECT_ERR(EINVAL, interrupt(self->cpu, 256));
	ASSERT_OK(interrupt(self->cpu, 0x61));
	EXPECT_ERR(EEXIST, interrupt(self->cpu, 0x62));
	EXPECT_EQ(0x61, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	/* It does not go through the APIC: nothing is in service. */
	EXPECT_EQ(0, tcpu_read32(self->cpu, GUEST_LAPIC + 0x130));
}

TEST_F(split, window)
{
	tcpu_write32(self->cpu, GUEST_LAPIC + 0x350, 0x700);
	tcpu_idle(self->cpu, false);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	EXPECT_EQ(0, self->cpu->run->ready_for_interrupt_injection);
	self->cpu->run->request_interrupt_window = 1;
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	tcpu_settle(self->cpu);
	tcpu_idle(self->cpu, true);
	EXPECT_EQ(KVM_EXIT_IRQ_WINDOW_OPEN, tcpu_run(self->cpu));
	EXPECT_EQ(1, self->cpu->run->ready_for_interrupt_injection);
	/* One that waits leaves no room for another. */
	ASSERT_OK(interrupt(self->cpu, 0x61));
	EXPECT_EQ(0x61, tcpu_wait(self->cpu));
	self->cpu->run->request_interrupt_window = 0;
	/* Behind a masked LINT0 no window is of use. */
	tcpu_write32(self->cpu, GUEST_LAPIC + 0x350, 0x10700);
	tcpu_idle(self->cpu, true);
	self->cpu->run->request_interrupt_window = 1;
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	EXPECT_EQ(0, self->cpu->run->ready_for_interrupt_injection);
	self->cpu->run->request_interrupt_window = 0;
	ASSERT_OK(interrupt(self->cpu, 0x63));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	tcpu_write32(self->cpu, GUEST_LAPIC + 0x350, 0x700);
	tcpu_idle(self->cpu, true);
	EXPECT_EQ(0x63, tcpu_wait(self->cpu));
}

TEST_HARNESS_MAIN
