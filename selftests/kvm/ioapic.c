// SPDX-License-Identifier: GPL-2.0-only
/*
 * The IOAPIC in the kernel: registers, edges, levels, remote IRR, destinations, routing, MSI.
 * Must not test the LAPIC beyond receiving; lapic.c does.
 */
#include "ktap.h"
#include "tvm.h"

#define MASKED BIT(16)
#define LEVEL BIT(15)
#define REMOTE_IRR BIT(14)
#define LOW BIT(13)
#define LOGICAL BIT(11)

FIXTURE(ioapic)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

FIXTURE_SETUP(ioapic)
{
	self->vm = tvm_create(TVM_IRQCHIP);
	self->cpu = tvm_vcpu(self->vm, 0);
	tcpu_start_lapic(self->cpu);
	tcpu_idle(self->cpu, true);
}

FIXTURE_TEARDOWN(ioapic)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

static u32 read_reg(struct tcpu *cpu, u32 index)
{
	tcpu_write32(cpu, GUEST_IOAPIC, index);
	return tcpu_read32(cpu, GUEST_IOAPIC + 0x10);
}

static void write_reg(struct tcpu *cpu, u32 index, u32 value)
{
	tcpu_write32(cpu, GUEST_IOAPIC, index);
	tcpu_write32(cpu, GUEST_IOAPIC + 0x10, value);
}

static void route_pin(struct tcpu *cpu, unsigned int pin, u64 entry)
{
	write_reg(cpu, 0x11 + 2 * pin, entry >> 32);
	write_reg(cpu, 0x10 + 2 * pin, entry);
}

static u64 pin_state(struct tvm *vm, unsigned int pin)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	if (ioctl(vm->fd, KVM_GET_IRQCHIP, &chip))
		tvm_die("KVM_GET_IRQCHIP: %m");
	return chip.chip.ioapic.redirtbl[pin].bits;
}

TEST_F(ioapic, registers)
{
	unsigned int pin;

	EXPECT_EQ(0x170011, read_reg(self->cpu, 1) & 0xffff00ff);
	write_reg(self->cpu, 0, 0x05000000);
	EXPECT_EQ(0x05000000, read_reg(self->cpu, 0));
	/* After birth every pin is masked. */
	for (pin = 0; pin < 24; pin++)
		EXPECT_EQ(MASKED, read_reg(self->cpu, 0x10 + 2 * pin) & MASKED);
	route_pin(self->cpu, 9, 0x03000000UL << 32 | MASKED | LEVEL | LOW | 0x61);
	EXPECT_EQ(MASKED | LEVEL | LOW | 0x61, read_reg(self->cpu, 0x22));
	EXPECT_EQ(0x03000000, read_reg(self->cpu, 0x23));
	/* Delivery status and remote IRR are the chip's. */
	route_pin(self->cpu, 9, MASKED | REMOTE_IRR | BIT(12) | 0x61);
	EXPECT_EQ(MASKED | 0x61, read_reg(self->cpu, 0x22));
	EXPECT_EQ(0x12, (write_reg(self->cpu, 1, 0), tcpu_write32(self->cpu, GUEST_IOAPIC, 0x12),
			 tcpu_read32(self->cpu, GUEST_IOAPIC)));
}

TEST_F(ioapic, edge)
{
	route_pin(self->cpu, 10, 0x48);
	EXPECT_EQ(1, tvm_irq_line(self->vm, 10, 1));
	EXPECT_EQ(0x48, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	/* High already: no edge. */
	tvm_irq_line(self->vm, 10, 1);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	tvm_irq_line(self->vm, 10, 0);
	tvm_irq_line(self->vm, 10, 1);
	EXPECT_EQ(0x48, tcpu_wait(self->cpu));
}

TEST_F(ioapic, level_and_remote_irr)
{
	route_pin(self->cpu, 11, LEVEL | 0x49);
	tvm_irq_line(self->vm, 11, 1);
	EXPECT_EQ(0x49, tcpu_wait(self->cpu));
	EXPECT_EQ(LEVEL | REMOTE_IRR | 0x49, pin_state(self->vm, 11) & 0xffff);
	/* The handler ends it at the LAPIC while the line is high: once more. */
	EXPECT_EQ(0x49, tcpu_wait(self->cpu));
	EXPECT_EQ(0x49, tcpu_wait(self->cpu));
	tvm_irq_line(self->vm, 11, 0);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	EXPECT_EQ(LEVEL | 0x49, pin_state(self->vm, 11) & 0xffff);
	tvm_irq_line(self->vm, 11, 1);
	EXPECT_EQ(0x49, tcpu_wait(self->cpu));
}

TEST_F(ioapic, mask)
{
	route_pin(self->cpu, 11, MASKED | LEVEL | 0x49);
	tvm_irq_line(self->vm, 11, 1);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	/* Unmasking finds the level. */
	route_pin(self->cpu, 11, LEVEL | 0x49);
	EXPECT_EQ(0x49, tcpu_wait(self->cpu));
	tvm_irq_line(self->vm, 11, 0);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
}

TEST_F(ioapic, each_gsi_is_the_pin_of_its_number)
{
	unsigned int pin;

	/* Also 0: that the PC's timer is pin 2 there, the VMM has to say. */
	for (pin = 0; pin < 24; pin++) {
		route_pin(self->cpu, pin, 0x60 + pin);
		tvm_irq_line(self->vm, pin, 1);
		EXPECT_EQ(0x60 + (int)pin, tcpu_wait(self->cpu));
	}
}

TEST_F(ioapic, coalesced_and_masked_status)
{
	route_pin(self->cpu, 20, 0x4b);
	tcpu_idle(self->cpu, false);
	EXPECT_EQ(1, tvm_irq_line(self->vm, 20, 1));
	/* High already: nothing new for anybody. */
	EXPECT_EQ(0, tvm_irq_line(self->vm, 20, 1));
	EXPECT_EQ(-1, tvm_irq_line(self->vm, 21, 1));
	tcpu_idle(self->cpu, true);
	EXPECT_EQ(0x4b, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
}

TEST_F(ioapic, logical_destination)
{
	/* Flat model, this LAPIC has bit 3. */
	tcpu_write32(self->cpu, GUEST_LAPIC + 0xd0, 8 << 24);
	route_pin(self->cpu, 15, 0x04000000UL << 32 | LOGICAL | 0x4c);
	tvm_irq_line(self->vm, 15, 1);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	route_pin(self->cpu, 16, 0x08000000UL << 32 | LOGICAL | 0x4d);
	tvm_irq_line(self->vm, 16, 1);
	EXPECT_EQ(0x4d, tcpu_wait(self->cpu));
	/* Nobody has this physical id; everybody hears 0xff; lowest priority finds one. */
	route_pin(self->cpu, 17, 0x07000000UL << 32 | 0x4e);
	tvm_irq_line(self->vm, 17, 1);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	route_pin(self->cpu, 18, 0xff000000UL << 32 | 0x4f);
	tvm_irq_line(self->vm, 18, 1);
	EXPECT_EQ(0x4f, tcpu_wait(self->cpu));
	route_pin(self->cpu, 19, 0xff000000UL << 32 | LOGICAL | 0x150);
	tvm_irq_line(self->vm, 19, 1);
	EXPECT_EQ(0x50, tcpu_wait(self->cpu));
}

TEST_F(ioapic, nmi_delivery)
{
	route_pin(self->cpu, 22, 0x400);
	tvm_irq_line(self->vm, 22, 1);
	EXPECT_EQ(2, tcpu_wait(self->cpu));
}

TEST_F(ioapic, state_round_trip)
{
	struct kvm_irqchip state = { .chip_id = KVM_IRQCHIP_IOAPIC }, seen = state;

	ASSERT_OK(ioctl(self->vm->fd, KVM_GET_IRQCHIP, &state));
	EXPECT_EQ(GUEST_IOAPIC, state.chip.ioapic.base_address);
	state.chip.ioapic.redirtbl[12].bits = 0x51;
	state.chip.ioapic.ioregsel = 0x28;
	ASSERT_OK(ioctl(self->vm->fd, KVM_SET_IRQCHIP, &state));
	ASSERT_OK(ioctl(self->vm->fd, KVM_GET_IRQCHIP, &seen));
	EXPECT_EQ(0, memcmp(&state.chip.ioapic, &seen.chip.ioapic, sizeof(state.chip.ioapic)));
	EXPECT_EQ(0x51, tcpu_read32(self->cpu, GUEST_IOAPIC + 0x10));
	tvm_irq_line(self->vm, 12, 1);
	EXPECT_EQ(0x51, tcpu_wait(self->cpu));
}

TEST_F(ioapic, signal_msi)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x52 };

	EXPECT_EQ(1, ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi));
	EXPECT_EQ(0x52, tcpu_wait(self->cpu));
	msi.address_lo = 0xfee05000;
	/* No such destination: nobody heard it. */
	EXPECT_GE(0, ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	/* Delivery mode NMI. */
	msi.address_lo = 0xfee00000;
	msi.data = 0x400;
	EXPECT_EQ(1, ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi));
	EXPECT_EQ(2, tcpu_wait(self->cpu));
	msi.flags = 0xff;
	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi));
	EXPECT_ERR(EFAULT, ioctl(self->vm->fd, KVM_SIGNAL_MSI, 0x10));
}

struct routing {
	struct kvm_irq_routing head;
	struct kvm_irq_routing_entry entries[2];
};

TEST_F(ioapic, routing_replaced)
{
	struct routing routing = {
		.head.nr = 2,
		.entries = {
			{ .gsi = 30, .type = KVM_IRQ_ROUTING_MSI,
			  .u.msi = { .address_lo = 0xfee00000, .data = 0x53 } },
			{ .gsi = 5, .type = KVM_IRQ_ROUTING_IRQCHIP,
			  .u.irqchip = { .irqchip = KVM_IRQCHIP_IOAPIC, .pin = 13 } },
		},
	};

	route_pin(self->cpu, 13, 0x54);
	route_pin(self->cpu, 5, 0x55);
	ASSERT_OK(ioctl(self->vm->fd, KVM_SET_GSI_ROUTING, &routing));
	EXPECT_EQ(1, tvm_irq_line(self->vm, 30, 1));
	EXPECT_EQ(0x53, tcpu_wait(self->cpu));
	tvm_irq_line(self->vm, 5, 1);
	EXPECT_EQ(0x54, tcpu_wait(self->cpu));
	/* What the table does not name goes nowhere. */
	EXPECT_EQ(-1, tvm_irq_line(self->vm, 13, 1));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	routing.head.nr = 0;
	ASSERT_OK(ioctl(self->vm->fd, KVM_SET_GSI_ROUTING, &routing));
	EXPECT_EQ(-1, tvm_irq_line(self->vm, 30, 1));
}

TEST_F(ioapic, routing_errors)
{
	struct routing routing = {
		.head = { .nr = 1, .flags = 1 },
		.entries[0] = { .gsi = 3, .type = KVM_IRQ_ROUTING_IRQCHIP },
	};

	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_SET_GSI_ROUTING, &routing));
	routing.head.flags = 0;
	routing.entries[0].type = 77;
	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_SET_GSI_ROUTING, &routing));
	routing.entries[0].type = KVM_IRQ_ROUTING_IRQCHIP;
	routing.entries[0].flags = 0x80;
	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_SET_GSI_ROUTING, &routing));
	routing.entries[0].flags = 0;
	routing.entries[0].gsi = 1 << 20;
	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_SET_GSI_ROUTING, &routing));
	routing.entries[0].gsi = 3;
	routing.entries[0].u.irqchip.irqchip = 9;
	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_SET_GSI_ROUTING, &routing));
	routing.entries[0].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
	routing.entries[0].u.irqchip.pin = 24;
	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_SET_GSI_ROUTING, &routing));
	routing.head.nr = 1 << 20;
	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_SET_GSI_ROUTING, &routing));
	EXPECT_ERR(EFAULT, ioctl(self->vm->fd, KVM_SET_GSI_ROUTING, 0x10));
	/* The old table is still in force. */
	route_pin(self->cpu, 14, 0x56);
	tvm_irq_line(self->vm, 14, 1);
	EXPECT_EQ(0x56, tcpu_wait(self->cpu));
}

TEST_HARNESS_MAIN
