// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pair of 8259A through their ports and lines.
 * It must not use an interrupt path other than the PIC's.
 */
#include "harness.h"

#define EOI		0x20
#define EOI_PIN(n)	(0x60 | (n))

static int line(unsigned int gsi, int level)
{
	return irq_line_set(&vm, IRQ_SOURCE_USER, gsi, level);
}

static void pulse(unsigned int gsi)
{
	line(gsi, 1);
	line(gsi, 0);
}

/* As a PC's firmware does: vectors 0x20 and 0x28, ICW4 as given, nothing masked. */
static void pic_setup(u8 icw4)
{
	vm_begin(1);
	out8(0x20, 0x11);
	out8(0x21, 0x20);
	out8(0x21, 0x04);
	out8(0x21, icw4);
	out8(0xa0, 0x11);
	out8(0xa1, 0x28);
	out8(0xa1, 0x02);
	out8(0xa1, icw4);
	told(0);
}

static void pic_edge_and_eoi(void)
{
	pic_setup(1);
	pulse(3);
	CHECK(told(0));
	EQUAL(in8(0x20), 0x08);
	EQUAL(take(0), 0x23);
	EQUAL(in8(0x20), 0);
	EQUAL(take(0), -1);
	out8(0x20, 0x0b);
	EQUAL(in8(0x20), 0x08);
	out8(0x20, EOI);
	EQUAL(in8(0x20), 0);
	out8(0x20, 0x0a);
	EQUAL(take(0), -1);
	vm_end();
}

static void pic_priority_nesting(void)
{
	pic_setup(1);
	pulse(5);
	EQUAL(take(0), 0x25);
	pulse(6);
	EQUAL(take(0), -1);
	pulse(1);
	EQUAL(take(0), 0x21);
	out8(0x20, EOI);
	EQUAL(take(0), -1);
	out8(0x20, EOI);
	CHECK(told(0));
	EQUAL(take(0), 0x26);
	vm_end();
}

static void pic_slave(void)
{
	pic_setup(1);
	pulse(12);
	EQUAL(take(0), 0x2c);
	/* A higher input of the slave does not come through before the master's EOI. */
	pulse(8);
	EQUAL(take(0), -1);
	out8(0xa0, EOI);
	out8(0x20, EOI);
	EQUAL(take(0), 0x28);
	vm_end();
}

static void pic_special_fully_nested(void)
{
	pic_setup(0x11);
	pulse(12);
	EQUAL(take(0), 0x2c);
	pulse(8);
	EQUAL(take(0), 0x28);
	vm_end();
}

static void pic_masking(void)
{
	pic_setup(1);
	out8(0x21, 0x08);
	EQUAL(line(3, 1), -1);
	EQUAL(take(0), -1);
	out8(0x21, 0);
	EQUAL(take(0), 0x23);
	EQUAL(in8(0x21), 0);
	vm_end();
}

static void pic_rotation(void)
{
	pic_setup(1);
	out8(0x20, 0xc0 | 4);	/* input 4 lowest: 5 is highest */
	pulse(1);
	pulse(6);
	EQUAL(take(0), 0x26);
	out8(0x20, 0xa0);	/* rotate on EOI: 7 is highest, 6 lowest */
	pulse(6);
	EQUAL(take(0), 0x21);
	out8(0x20, 0xe0 | 1);	/* end and rotate 1: 2 is highest */
	EQUAL(take(0), 0x26);
	vm_end();
}

static void pic_auto_eoi(void)
{
	pic_setup(3);
	pulse(7);
	EQUAL(take(0), 0x27);
	out8(0x20, 0x0b);
	EQUAL(in8(0x20), 0);
	pulse(7);
	EQUAL(take(0), 0x27);
	vm_end();
}

static void pic_special_mask(void)
{
	pic_setup(1);
	pulse(2 + 1);
	EQUAL(take(0), 0x23);
	pulse(6);
	EQUAL(take(0), -1);
	out8(0x20, 0x68);
	out8(0x21, 0x08);
	EQUAL(take(0), 0x26);
	out8(0x20, 0x48);
	vm_end();
}

static void pic_level(void)
{
	pic_setup(1);
	EQUAL(in8(0x4d0), 0);
	out8(0x4d0, 0xff);
	EQUAL(in8(0x4d0), 0xf8);
	out8(0x4d1, 0xff);
	EQUAL(in8(0x4d1), 0xde);
	line(5, 1);
	EQUAL(take(0), 0x25);
	EQUAL(take(0), -1);
	out8(0x20, EOI_PIN(5));
	EQUAL(take(0), 0x25);
	line(5, 0);
	out8(0x20, EOI_PIN(5));
	EQUAL(take(0), -1);
	vm_end();
}

static void pic_spurious(void)
{
	pic_setup(1);
	out8(0x4d0, 0x20);
	line(5, 1);
	CHECK(vcpu_irq_pending(cpu(0)));
	line(5, 0);
	CHECK(!vcpu_irq_pending(cpu(0)));
	EQUAL(vpic_ack(&vm), 0x27);
	out8(0x20, 0x0b);
	EQUAL(in8(0x20), 0);
	vm_end();
}

static void pic_poll(void)
{
	pic_setup(1);
	out8(0x20, 0x0c);
	EQUAL(in8(0x20), 0x07);
	pulse(4);
	out8(0x20, 0x0c);
	EQUAL(in8(0x20), 0x84);
	EQUAL(in8(0x20), 0);
	EQUAL(take(0), -1);
	vm_end();
}

static void pic_init_forgets_edges(void)
{
	pic_setup(1);
	out8(0x4d0, 0x20);
	line(5, 1);
	line(3, 1);
	out8(0x21, 0xff);
	out8(0x20, 0x11);
	EQUAL(in8(0x20), 0x20);
	EQUAL(in8(0x21), 0);	/* the data port reads IMR, which ICW1 cleared */
	vm_end();
}

static void pic_lint0(void)
{
	pic_setup(1);
	apic_write(0, APIC_LVT0, APIC_LVT_MASKED | 0x700);
	pulse(3);
	EQUAL(take(0), -1);
	told(0);
	apic_write(0, APIC_LVT0, 0x700);
	CHECK(told(0));
	EQUAL(take(0), 0x23);
	vm_end();
}

static void pic_state_round_trip(void)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_PIC_MASTER };

	pic_setup(1);
	pulse(3);
	EQUAL(irqchip_get(&vm, &chip), 0);
	EQUAL(chip.chip.pic.irr, 0x08);
	EQUAL(chip.chip.pic.irq_base, 0x20);
	EQUAL(chip.chip.pic.elcr_mask, 0xf8);
	EQUAL(take(0), 0x23);
	out8(0x20, EOI);
	EQUAL(take(0), -1);
	EQUAL(irqchip_set(&vm, &chip), 0);
	CHECK(told(0));
	EQUAL(take(0), 0x23);
	chip.chip_id = 3;
	EQUAL(irqchip_get(&vm, &chip), -EINVAL);
	EQUAL(irqchip_set(&vm, &chip), -EINVAL);
	vm_end();
}

static void pic_hostile_state(void)
{
	struct kvm_irqchip chip;
	unsigned int i;

	pic_setup(1);
	memset(&chip, 0xff, sizeof(chip));
	for (i = 0; i < 2; i++) {
		chip.chip_id = i;
		EQUAL(irqchip_set(&vm, &chip), 0);
	}
	for (i = 0; i < 0x100; i++) {
		pulse(i & 15);
		take(0);
		out8(i & 1 ? 0x20 : 0xa0, i);
		out8(i & 1 ? 0x21 : 0xa1, i * 7);
		in8(0x20);
		in8(0xa0);
	}
	vm_end();
}

static void pic_sizes(void)
{
	u8 data[4] = { 1, 2, 3, 4 };

	pic_setup(1);
	EQUAL(iobus_read(cpu(0), IOBUS_PIO, 0x20, 2, data), 0);
	EQUAL(data[0] | data[1], 0);
	EQUAL(data[2], 3);
	EQUAL(iobus_read(cpu(0), IOBUS_PIO, 0x21, 2, data), -EOPNOTSUPP);
	EQUAL(iobus_write(cpu(0), IOBUS_PIO, 0xa0, 2, data), 0);
	vm_end();
}

void test_pic(void)
{
	TEST(pic_edge_and_eoi);
	TEST(pic_priority_nesting);
	TEST(pic_slave);
	TEST(pic_special_fully_nested);
	TEST(pic_masking);
	TEST(pic_rotation);
	TEST(pic_auto_eoi);
	TEST(pic_special_mask);
	TEST(pic_level);
	TEST(pic_spurious);
	TEST(pic_poll);
	TEST(pic_init_forgets_edges);
	TEST(pic_lint0);
	TEST(pic_state_round_trip);
	TEST(pic_hostile_state);
	TEST(pic_sizes);
}
