// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two 8259 PICs in the kernel: edges, levels, masks, priorities, cascade, state.
 * Must not use the IOAPIC, which stays masked, nor a LAPIC beyond its virtual wire.
 */
#include "ktap.h"
#include "tvm.h"

FIXTURE(pic)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

static void init_pics(struct tcpu *cpu, u8 icw4)
{
	tcpu_out8(cpu, 0x20, 0x11);
	tcpu_out8(cpu, 0x21, 0x20);
	tcpu_out8(cpu, 0x21, 4);
	tcpu_out8(cpu, 0x21, icw4);
	tcpu_out8(cpu, 0xa0, 0x11);
	tcpu_out8(cpu, 0xa1, 0x28);
	tcpu_out8(cpu, 0xa1, 2);
	tcpu_out8(cpu, 0xa1, icw4);
	tcpu_out8(cpu, 0x21, 0);
	tcpu_out8(cpu, 0xa1, 0);
}

FIXTURE_SETUP(pic)
{
	self->vm = tvm_create(TVM_IRQCHIP);
	self->cpu = tvm_vcpu(self->vm, 0);
	init_pics(self->cpu, 1);
	tcpu_handlers(self->cpu, EOI_PIC);
	tcpu_idle(self->cpu, true);
}

FIXTURE_TEARDOWN(pic)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

TEST_F(pic, edge)
{
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	EXPECT_LT(0, tvm_irq_line(self->vm, 4, 1));
	EXPECT_EQ(0x24, tcpu_wait(self->cpu));
	/* The line is still high, but an edge comes once. */
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	tvm_irq_line(self->vm, 4, 0);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	EXPECT_LT(0, tvm_irq_line(self->vm, 4, 1));
	EXPECT_EQ(0x24, tcpu_wait(self->cpu));
}

TEST_F(pic, level)
{
	tcpu_out8(self->cpu, 0x4d0, 0x20);
	EXPECT_EQ(0x20, tcpu_in8(self->cpu, 0x4d0));
	tvm_irq_line(self->vm, 5, 1);
	EXPECT_EQ(0x25, tcpu_wait(self->cpu));
	EXPECT_EQ(0x25, tcpu_wait(self->cpu));
	EXPECT_EQ(0x25, tcpu_wait(self->cpu));
	tvm_irq_line(self->vm, 5, 0);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	/* A level that is gone before anybody looked leaves nothing. */
	tcpu_idle(self->cpu, false);
	tvm_irq_line(self->vm, 5, 1);
	tvm_irq_line(self->vm, 5, 0);
	tcpu_idle(self->cpu, true);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
}

TEST_F(pic, mask)
{
	tcpu_out8(self->cpu, 0x21, 0x10);
	EXPECT_EQ(0x10, tcpu_in8(self->cpu, 0x21));
	EXPECT_GT(0, tvm_irq_line(self->vm, 4, 1));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	/* The edge is remembered until the mask goes. */
	tcpu_out8(self->cpu, 0x21, 0);
	EXPECT_EQ(0x24, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
}

TEST_F(pic, coalesced)
{
	tcpu_idle(self->cpu, false);
	EXPECT_LT(0, tvm_irq_line(self->vm, 3, 1));
	tvm_irq_line(self->vm, 3, 0);
	EXPECT_EQ(0, tvm_irq_line(self->vm, 3, 1));
	tcpu_idle(self->cpu, true);
	EXPECT_EQ(0x23, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
}

TEST_F(pic, priorities)
{
	tcpu_idle(self->cpu, false);
	tvm_irq_line(self->vm, 6, 1);
	tvm_irq_line(self->vm, 12, 1);
	tvm_irq_line(self->vm, 1, 1);
	tvm_irq_line(self->vm, 3, 1);
	tcpu_idle(self->cpu, true);
	/* 1, then the slave behind line 2, then 3 and 6. */
	EXPECT_EQ(0x21, tcpu_wait(self->cpu));
	EXPECT_EQ(0x2c, tcpu_wait(self->cpu));
	EXPECT_EQ(0x23, tcpu_wait(self->cpu));
	EXPECT_EQ(0x26, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
}

static struct kvm_irqchip chip(struct tvm *vm, u32 id)
{
	struct kvm_irqchip chip = { .chip_id = id };

	if (ioctl(vm->fd, KVM_GET_IRQCHIP, &chip))
		tvm_die("KVM_GET_IRQCHIP(%u): %m", id);
	return chip;
}

TEST_F(pic, in_service_blocks_lower_ones)
{
	tcpu_handlers(self->cpu, EOI_NONE);
	tvm_irq_line(self->vm, 4, 1);
	EXPECT_EQ(0x24, tcpu_wait(self->cpu));
	EXPECT_EQ(0x10, chip(self->vm, KVM_IRQCHIP_PIC_MASTER).chip.pic.isr);
	tvm_irq_line(self->vm, 5, 1);
	tvm_irq_line(self->vm, 4, 0);
	tvm_irq_line(self->vm, 4, 1);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	EXPECT_EQ(0x30, chip(self->vm, KVM_IRQCHIP_PIC_MASTER).chip.pic.irr);
	tvm_irq_line(self->vm, 3, 1);
	EXPECT_EQ(0x23, tcpu_wait(self->cpu));
	EXPECT_EQ(0x18, chip(self->vm, KVM_IRQCHIP_PIC_MASTER).chip.pic.isr);
	/* The guest's own view, by OCW3. */
	tcpu_out8(self->cpu, 0x20, 0x0b);
	EXPECT_EQ(0x18, tcpu_in8(self->cpu, 0x20));
	tcpu_out8(self->cpu, 0x20, 0x0a);
	EXPECT_EQ(0x30, tcpu_in8(self->cpu, 0x20));
	/* A specific EOI of 4, then a plain one that ends 3. */
	tcpu_out8(self->cpu, 0x20, 0x64);
	EXPECT_EQ(0x08, chip(self->vm, KVM_IRQCHIP_PIC_MASTER).chip.pic.isr);
	tcpu_out8(self->cpu, 0x20, 0x20);
	EXPECT_EQ(0, chip(self->vm, KVM_IRQCHIP_PIC_MASTER).chip.pic.isr);
	EXPECT_EQ(0x24, tcpu_wait(self->cpu));
}

TEST_F(pic, automatic_eoi)
{
	init_pics(self->cpu, 3);
	tcpu_handlers(self->cpu, EOI_NONE);
	tvm_irq_line(self->vm, 4, 1);
	EXPECT_EQ(0x24, tcpu_wait(self->cpu));
	EXPECT_EQ(0, chip(self->vm, KVM_IRQCHIP_PIC_MASTER).chip.pic.isr);
	tvm_irq_line(self->vm, 7, 1);
	EXPECT_EQ(0x27, tcpu_wait(self->cpu));
}

TEST_F(pic, interrupt_ends_a_halt)
{
	/* sti; hlt; out; the vCPU thread itself waits in the kernel for the line. */
	tcpu_load_bytes(self->cpu, "\xfb\xf4\xe6\xe0\xeb\xfb", 6);
	tvm_irq_line(self->vm, 4, 1);
	EXPECT_EQ(0x24, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
}

TEST_F(pic, state_round_trip)
{
	struct kvm_irqchip state = chip(self->vm, KVM_IRQCHIP_PIC_SLAVE), seen;

	EXPECT_EQ(0x28, state.chip.pic.irq_base);
	EXPECT_EQ(0, state.chip.pic.imr);
	state.chip.pic.imr = 0x5a;
	state.chip.pic.irq_base = 0x70;
	state.chip.pic.elcr = 0x0c;
	state.chip.pic.irr = 0x80;
	ASSERT_OK(ioctl(self->vm->fd, KVM_SET_IRQCHIP, &state));
	seen = chip(self->vm, KVM_IRQCHIP_PIC_SLAVE);
	EXPECT_EQ(0, memcmp(&state.chip.pic, &seen.chip.pic, sizeof(state.chip.pic)));
	EXPECT_EQ(0x5a, tcpu_in8(self->cpu, 0xa1));
	/* The request that came with the state is delivered. */
	EXPECT_EQ(0x77, tcpu_wait(self->cpu));
}

TEST_F(pic, errors)
{
	struct kvm_irqchip state = { .chip_id = 3 };
	struct kvm_interrupt irq = { .irq = 0x40 };

	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_GET_IRQCHIP, &state));
	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_SET_IRQCHIP, &state));
	EXPECT_ERR(EFAULT, ioctl(self->vm->fd, KVM_GET_IRQCHIP, 0x10));
	EXPECT_ERR(EFAULT, ioctl(self->vm->fd, KVM_IRQ_LINE, 0x10));
	EXPECT_ERR(EEXIST, ioctl(self->vm->fd, KVM_CREATE_IRQCHIP, 0));
	/* User space is no interrupt controller here. */
	EXPECT_ERR(ENXIO, ioctl(self->cpu->fd, KVM_INTERRUPT, &irq));
}

TEST(without_irqchip)
{
	struct tvm *vm = tvm_create(0);
	struct kvm_irqchip state = { .chip_id = 0 };
	struct kvm_irq_level line = { .irq = 4, .level = 1 };
	struct kvm_lapic_state lapic;
	struct tcpu *cpu;

	EXPECT_ERR(ENXIO, ioctl(vm->fd, KVM_GET_IRQCHIP, &state));
	EXPECT_ERR(ENXIO, ioctl(vm->fd, KVM_SET_IRQCHIP, &state));
	EXPECT_ERR(ENXIO, ioctl(vm->fd, KVM_IRQ_LINE, &line));
	EXPECT_ERR(ENXIO, ioctl(vm->fd, KVM_IRQ_LINE_STATUS, &line));
	cpu = tvm_vcpu(vm, 0);
	EXPECT_ERR(EINVAL, ioctl(cpu->fd, KVM_GET_LAPIC, &lapic));
	EXPECT_ERR(EINVAL, ioctl(cpu->fd, KVM_SET_LAPIC, &lapic));
	/* Too late once there is a vCPU. */
	EXPECT_ERR(EINVAL, ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0));
}

TEST_HARNESS_MAIN
