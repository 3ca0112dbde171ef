// SPDX-License-Identifier: GPL-2.0-only
/*
 * GSI routing tables, MSIs, and the buses they have nothing to do with.
 * It must not test what the chips do with a line.
 */
#include "harness.h"

static struct kvm_irq_routing_entry pin_entry(u32 gsi, u32 chip, u32 pin)
{
	struct kvm_irq_routing_entry e = { .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP };

	e.u.irqchip.irqchip = chip;
	e.u.irqchip.pin = pin;
	return e;
}

static struct kvm_irq_routing_entry msi_entry(u32 gsi, u32 address, u32 data)
{
	struct kvm_irq_routing_entry e = { .gsi = gsi, .type = KVM_IRQ_ROUTING_MSI };

	e.u.msi.address_lo = address;
	e.u.msi.data = data;
	return e;
}

#define ENTRIES(...) ((struct kvm_irq_routing_entry[]){ __VA_ARGS__ })
#define SET(...) set(ENTRIES(__VA_ARGS__), ARRAY_SIZE(ENTRIES(__VA_ARGS__)))

static int set(const struct kvm_irq_routing_entry *entries, unsigned int nr)
{
	return irq_routing_set(&vm, entries, nr, 0);
}

static void route_refusals(void)
{
	struct kvm_irq_routing_entry e = msi_entry(0, 0xfee00000, 0x41);

	vm_begin(1);
	EQUAL(SET(pin_entry(IRQ_MAX_ROUTES, 0, 0)), -EINVAL);
	EQUAL(SET(pin_entry(~0u, 0, 0)), -EINVAL);
	EQUAL(SET(pin_entry(0, 3, 0)), -EINVAL);
	EQUAL(SET(pin_entry(0, KVM_IRQCHIP_PIC_MASTER, 8)), -EINVAL);
	EQUAL(SET(pin_entry(0, KVM_IRQCHIP_PIC_SLAVE, 8)), -EINVAL);
	EQUAL(SET(pin_entry(0, KVM_IRQCHIP_IOAPIC, 24)), -EINVAL);
	EQUAL(SET(pin_entry(0, KVM_IRQCHIP_IOAPIC, 1),
		  pin_entry(0, KVM_IRQCHIP_IOAPIC, 2)), -EINVAL);
	EQUAL(SET(msi_entry(3, 0, 0), pin_entry(3, KVM_IRQCHIP_IOAPIC, 2)), -EINVAL);
	EQUAL(SET(msi_entry(3, 0, 0), msi_entry(3, 0, 1)), -EINVAL);
	e.type = 99;
	EQUAL(SET(e), -EINVAL);
	e.type = KVM_IRQ_ROUTING_MSI;
	e.flags = 2;
	EQUAL(SET(e), -EINVAL);
	e.flags = KVM_MSI_VALID_DEVID;
	EQUAL(SET(e), 0);
	EQUAL(irq_routing_set(&vm, &e, 1, 1), -EINVAL);
	EQUAL(irq_routing_set(&vm, &e, IRQ_MAX_ROUTES + 1, 0), -EINVAL);
	EQUAL(irq_routing_set(&vm, NULL, 0, 0), 0);
	EQUAL(irq_line_set(&vm, IRQ_SOURCE_USER, 0, 1), -1);
	vm_end();
}

static void route_pins_and_messages(void)
{
	vm_begin(1);
	apic_write(0, APIC_LVT0, APIC_LVT_MASKED);
	EQUAL(SET(msi_entry(IRQ_MAX_ROUTES - 1, 0xfee00000, 0x41),
		  pin_entry(7, KVM_IRQCHIP_IOAPIC, 20), pin_entry(7, KVM_IRQCHIP_PIC_SLAVE, 3),
		  msi_entry(2, 0xfee00000, 0x61)), 0);
	ioapic_entry(20, 0x51, 0);
	EQUAL(irq_line_set(&vm, IRQ_SOURCE_USER, IRQ_MAX_ROUTES - 1, 1), 1);
	EQUAL(irq_line_set(&vm, IRQ_SOURCE_USER, IRQ_MAX_ROUTES - 1, 0), -1);
	EQUAL(take_and_eoi(0), 0x41);
	EQUAL(irq_line_set(&vm, IRQ_SOURCE_USER, 7, 1), 2);
	EQUAL(in8(0xa0), 0x08);
	EQUAL(take_and_eoi(0), 0x51);
	EQUAL(irq_line_set(&vm, IRQ_SOURCE_USER, 2, 1), 1);
	EQUAL(take_and_eoi(0), 0x61);
	EQUAL(irq_line_set(&vm, IRQ_SOURCE_USER, 3, 1), -1);
	EQUAL(irq_line_set(&vm, IRQ_SOURCE_USER, ~0u, 1), -1);
	vm_end();
}

static void route_default(void)
{
	vm_begin(1);
	apic_write(0, APIC_LVT0, APIC_LVT_MASKED);
	ioapic_entry(0, 0x50, 0);
	ioapic_entry(23, 0x67, 0);
	EQUAL(irq_line_set(&vm, IRQ_SOURCE_USER, 0, 1), 2);
	EQUAL(irq_line_set(&vm, IRQ_SOURCE_USER, 15, 1), 1);
	EQUAL(irq_line_set(&vm, IRQ_SOURCE_USER, 23, 1), 1);
	EQUAL(irq_line_set(&vm, IRQ_SOURCE_USER, 24, 1), -1);
	EQUAL(in8(0xa0), 0x80);
	vm_end();
}

static void route_msi_send(void)
{
	struct kvm_msi msi = { .address_lo = 0xfee01000, .data = 0x41 };

	vm_begin(2);
	EQUAL(irq_msi_send(&vm, &msi), 1);
	EQUAL(take_and_eoi(1), 0x41);
	msi.address_lo = 0xfee07000;	/* nobody */
	EQUAL(irq_msi_send(&vm, &msi), 0);
	msi.address_lo = 0xfee01000;
	apic_write(1, APIC_SPIV, 0xff);
	EQUAL(irq_msi_send(&vm, &msi), 0);
	msi.flags = 2;
	EQUAL(irq_msi_send(&vm, &msi), -EINVAL);
	msi.flags = 0;
	vm.irqchip = false;
	EQUAL(irq_msi_send(&vm, &msi), -EINVAL);
	vm.irqchip = true;
	vm_end();
}

static void route_msi_32_bit_ids(void)
{
	struct kvm_msi msi = { .address_lo = 0xfee2c000, .address_hi = 0x100, .data = 0x41 };

	vm_begin(1);
	vm_add_vcpu(300);
	EQUAL(irqchip_x2apic_api(&vm, 4), -EINVAL);
	EQUAL(irqchip_x2apic_api(&vm, KVM_X2APIC_API_USE_32BIT_IDS), 0);
	x2apic_enable(1);
	x2apic_write(1, APIC_SPIV, 0x1ff);
	EQUAL(irq_msi_send(&vm, &msi), 1);
	EQUAL(take_and_eoi(1), 0x41);
	msi.address_hi = 0x101;
	EQUAL(irq_msi_send(&vm, &msi), -EINVAL);
	vm_end();
}

static void route_pit_moves(void)
{
	vm_begin(1);
	apic_write(0, APIC_LVT0, APIC_LVT_MASKED);
	EQUAL(vpit_create(&vm, 0), 0);
	EQUAL(SET(pin_entry(0, KVM_IRQCHIP_IOAPIC, 2)), 0);
	ioapic_entry(2, 0x30, 0);
	out8(0x43, 0x34);
	out8(0x40, 11932 & 0xff);
	out8(0x40, 11932 >> 8);
	clock_advance(35000000);
	EQUAL(take_and_eoi(0), 0x30);
	EQUAL(take_and_eoi(0), 0x30);
	EQUAL(take_and_eoi(0), 0x30);
	EQUAL(take_and_eoi(0), -1);
	vm_end();
}

void test_route(void)
{
	TEST(route_refusals);
	TEST(route_pins_and_messages);
	TEST(route_default);
	TEST(route_msi_send);
	TEST(route_msi_32_bit_ids);
	TEST(route_pit_moves);
}

/* ---- The buses ---- */

static unsigned int nr_accesses;

static int count_read(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr, unsigned int len,
		      void *data)
{
	nr_accesses++;
	*(u8 *)data = addr - dev->base;
	return 0;
}

static int count_write(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr, unsigned int len,
		       const void *data)
{
	nr_accesses++;
	return -EOPNOTSUPP;
}

static const struct iobus_ops count_ops = { .read = count_read, .write = count_write };

static void iobus_finds(void)
{
	struct iobus_dev dev[40], other = { .ops = &count_ops, .base = 0x1001, .len = 1 };
	unsigned int i;
	u64 data;

	vm_begin(1);
	for (i = 0; i < 40; i++) {
		dev[i] = (struct iobus_dev){
			.ops = &count_ops, .base = 0xe0 + (i * 7 % 40) * 0x10, .len = 8,
		};
		EQUAL(iobus_register(&vm, IOBUS_MMIO, &dev[i]), 0);
	}
	for (i = 0; i < 40; i++) {
		EQUAL(iobus_read(cpu(0), IOBUS_MMIO, dev[i].base + 7, 1, &data), 0);
		EQUAL((u8)data, 7);
		EQUAL(iobus_read(cpu(0), IOBUS_MMIO, dev[i].base, 8, &data), 0);
		EQUAL(iobus_read(cpu(0), IOBUS_MMIO, dev[i].base + 4, 8, &data), -EOPNOTSUPP);
		EQUAL(iobus_read(cpu(0), IOBUS_MMIO, dev[i].base + 8, 1, &data), -EOPNOTSUPP);
		EQUAL(iobus_write(cpu(0), IOBUS_MMIO, dev[i].base, 1, &data), -EOPNOTSUPP);
	}
	EQUAL(nr_accesses, 120);
	EQUAL(iobus_read(cpu(0), IOBUS_MMIO, ~0ull, 1, &data), -EOPNOTSUPP);
	for (i = 0; i < 40; i += 2)
		iobus_unregister(&vm, IOBUS_MMIO, &dev[i]);
	for (i = 0; i < 40; i++)
		EQUAL(iobus_read(cpu(0), IOBUS_MMIO, dev[i].base, 1, &data),
		      i & 1 ? 0 : -EOPNOTSUPP);
	EQUAL(iobus_register(&vm, IOBUS_PIO, &other), 0);
	vm_end();
}

static void iobus_refuses(void)
{
	struct iobus_dev a = { .ops = &count_ops, .base = 0x1000, .len = 4 };
	struct iobus_dev b = { .ops = &count_ops, .base = 0x1003, .len = 4 };
	struct iobus_dev c = { .ops = &count_ops, .base = 0xffd, .len = 4 };
	struct iobus_dev *many;
	unsigned int i;
	u64 data;

	vm_begin(1);
	/* Ranges overlap as they like; who covers the access and takes it has it. */
	EQUAL(iobus_register(&vm, IOBUS_PIO, &a), 0);
	EQUAL(iobus_register(&vm, IOBUS_PIO, &b), 0);
	EQUAL(iobus_register(&vm, IOBUS_PIO, &c), 0);
	EQUAL(iobus_read(cpu(0), IOBUS_PIO, 0x1000, 4, &data), 0);
	EQUAL((u8)data, 0);
	EQUAL(iobus_read(cpu(0), IOBUS_PIO, 0x1003, 2, &data), 0);
	EQUAL((u8)data, 0);
	EQUAL(iobus_read(cpu(0), IOBUS_PIO, 0xfff, 2, &data), 0);
	EQUAL((u8)data, 2);
	EQUAL(iobus_read(cpu(0), IOBUS_PIO, 0x1002, 4, &data), -EOPNOTSUPP);
	iobus_unregister(&vm, IOBUS_PIO, &b);
	EQUAL(iobus_read(cpu(0), IOBUS_PIO, 0x1003, 1, &data), 0);
	EQUAL((u8)data, 3);
	many = calloc(1001, sizeof(*many));
	for (i = 0; i < 1001; i++) {
		many[i] = (struct iobus_dev){ .ops = &count_ops, .base = 0x1000 * i, .len = 1 };
		EQUAL(iobus_register(&vm, IOBUS_MMIO, &many[i]), i < 999 ? 0 : -ENOSPC);
	}
	vm_end();
	free(many);
}

void test_iobus(void)
{
	TEST(iobus_finds);
	TEST(iobus_refuses);
}
