// SPDX-License-Identifier: GPL-2.0-only
/*
 * The IOAPIC: registers, edge and level pins, EOI broadcast, saving and restoring.
 * It must not depend on how destinations are found; test_ipi.c is for that.
 */
#include "harness.h"

#define LEVEL	0x8000
#define REMOTE	0x4000
#define MASKED	0x10000

static int line(unsigned int gsi, int level)
{
	return irq_line_set(&vm, IRQ_SOURCE_USER, gsi, level);
}

/* Two CPUs, none of which listens to the PIC. */
static void ioapic_setup(void)
{
	vm_begin(2);
	apic_write(0, APIC_LVT0, APIC_LVT_MASKED);
}

static void ioapic_registers(void)
{
	ioapic_setup();
	EQUAL(ioapic_read(0), 0);
	ioapic_write(0, 0xffffffff);
	EQUAL(ioapic_read(0), 0x0f000000);
	EQUAL(ioapic_read(1), 0x00170011);
	ioapic_write(1, 0);
	EQUAL(ioapic_read(1), 0x00170011);
	EQUAL(ioapic_read(2), 0x0f000000);
	EQUAL(ioapic_read(3), 0xffffffff);
	EQUAL(ioapic_read(0x10), MASKED);
	EQUAL(ioapic_read(0x3f), 0);
	EQUAL(ioapic_read(0x40), 0xffffffff);
	ioapic_write(0x10, 0xffffffff);
	EQUAL(ioapic_read(0x10), 0xffffffff & ~(REMOTE | 0x1000));
	ioapic_write(0x40, 5);
	vm_end();
}

static void ioapic_access_sizes(void)
{
	u64 data = ~0ull;

	ioapic_setup();
	ioapic_read(1);
	EQUAL(iobus_read(cpu(0), IOBUS_MMIO, 0xfec00010, 8, &data), 0);
	EQUAL(data, 0x00170011);
	data = 0x7;
	EQUAL(iobus_write(cpu(0), IOBUS_MMIO, 0xfec00000, 1, &data), 0);
	data = 0;
	EQUAL(iobus_read(cpu(0), IOBUS_MMIO, 0xfec00000, 1, &data), 0);
	EQUAL(data, 7);
	EQUAL(iobus_read(cpu(0), IOBUS_MMIO, 0xfec00020, 4, &data), 0);
	EQUAL(data, 0);
	EQUAL(iobus_read(cpu(0), IOBUS_MMIO, 0xfec00100, 4, &data), -EOPNOTSUPP);
	vm_end();
}

static void ioapic_edge(void)
{
	ioapic_setup();
	ioapic_entry(20, 0x51, 1);
	EQUAL(line(20, 1), 1);
	CHECK(told(1));
	CHECK(cpu(1)->nr_kicks);
	CHECK(!told(0));
	EQUAL(line(20, 1), 0);	/* no new edge */
	line(20, 0);
	EQUAL(line(20, 1), 1);
	EQUAL(take_and_eoi(1), 0x51);
	EQUAL(take(1), -1);
	vm_end();
}

static void ioapic_masked_edge(void)
{
	ioapic_setup();
	ioapic_entry(20, MASKED | 0x51, 0);
	EQUAL(line(20, 1), -1);
	line(20, 0);
	ioapic_entry(20, 0x51, 0);
	EQUAL(take(0), -1);
	vm_end();
}

static void ioapic_level(void)
{
	ioapic_setup();
	ioapic_entry(20, LEVEL | 0x51, 0);
	EQUAL(line(20, 1), 1);
	EQUAL(ioapic_read(0x38), LEVEL | REMOTE | 0x51);
	EQUAL(line(20, 1), -1);	/* waits for EOI */
	EQUAL(take_and_eoi(0), 0x51);
	CHECK(told(0));
	EQUAL(take(0), 0x51);	/* the line is still up */
	line(20, 0);
	apic_write(0, APIC_EOI, 0);
	EQUAL(take(0), -1);
	EQUAL(ioapic_read(0x38), LEVEL | 0x51);
	vm_end();
}

static void ioapic_level_unmasked(void)
{
	ioapic_setup();
	ioapic_entry(20, LEVEL | MASKED | 0x51, 0);
	EQUAL(line(20, 1), -1);
	ioapic_write(0x38, LEVEL | 0x51);
	EQUAL(take_and_eoi(0), 0x51);
	vm_end();
}

/* What Linux does for want of an EOI register. */
static void ioapic_edge_clears_remote_irr(void)
{
	ioapic_setup();
	ioapic_entry(20, LEVEL | 0x51, 0);
	line(20, 1);
	EQUAL(ioapic_read(0x38) & REMOTE, REMOTE);
	ioapic_write(0x38, MASKED | 0x51);
	EQUAL(ioapic_read(0x38) & REMOTE, 0);
	vm_end();
}

static void ioapic_sources_are_ored(void)
{
	ioapic_setup();
	ioapic_entry(20, LEVEL | 0x51, 0);
	irq_line_set(&vm, IRQ_SOURCE_USER, 20, 1);
	irq_line_set(&vm, IRQ_SOURCE_RESAMPLE, 20, 1);
	irq_line_set(&vm, IRQ_SOURCE_USER, 20, 0);
	EQUAL(take_and_eoi(0), 0x51);
	EQUAL(take(0), 0x51);
	irq_line_set(&vm, IRQ_SOURCE_RESAMPLE, 20, 0);
	apic_write(0, APIC_EOI, 0);
	EQUAL(take(0), -1);
	vm_end();
}

static void ioapic_storm_is_slowed(void)
{
	unsigned int n;

	ioapic_setup();
	ioapic_entry(20, LEVEL | 0x51, 0);
	line(20, 1);
	for (n = 0; take_and_eoi(0) == 0x51 && n < 20000; n++)
		;
	EQUAL(n, 10000);
	clock_advance(11000000);
	EQUAL(take_and_eoi(0), 0x51);
	vm_end();
}

static void ioapic_nmi_and_init(void)
{
	u8 vector;

	ioapic_setup();
	ioapic_entry(20, 0x400, 1);
	EQUAL(line(20, 1), 1);
	EQUAL(cpu(1)->nr_nmis, 1);
	ioapic_entry(21, 0x500, 1);
	EQUAL(line(21, 1), 1);
	EQUAL(vlapic_take_init_sipi(cpu(1), &vector), VLAPIC_EV_INIT);
	ioapic_entry(22, 0x700, 1);	/* ExtINT: not by this way */
	EQUAL(line(22, 1), 0);
	ioapic_entry(23, 0x200, 1);
	EQUAL(line(23, 1), 1);
	EQUAL(cpu(1)->nr_smis, 1);
	vm_end();
}

static void ioapic_lost_rtc_ticks(void)
{
	ioapic_setup();
	ioapic_entry(8, 0x58, 0);
	EQUAL(irq_line_set(&vm, IRQ_SOURCE_USER | IRQ_LINE_STATUS, 8, 1), 2);
	irq_line_set(&vm, IRQ_SOURCE_USER | IRQ_LINE_STATUS, 8, 0);
	EQUAL(take(0), 0x58);
	/* In service is not enough; the PIC's input, which nobody serves, has coalesced as well. */
	EQUAL(irq_line_set(&vm, IRQ_SOURCE_USER | IRQ_LINE_STATUS, 8, 1), 0);
	irq_line_set(&vm, IRQ_SOURCE_USER | IRQ_LINE_STATUS, 8, 0);
	apic_write(0, APIC_EOI, 0);
	EQUAL(irq_line_set(&vm, IRQ_SOURCE_USER | IRQ_LINE_STATUS, 8, 1), 1);
	vm_end();
}

static void ioapic_state_round_trip(void)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	ioapic_setup();
	ioapic_entry(20, LEVEL | MASKED | 0x51, 0);
	ioapic_entry(21, MASKED | 0x52, 0);
	ioapic_entry(22, 0x53, 0);
	line(20, 1);
	line(21, 1);
	line(22, 1);
	EQUAL(irqchip_get(&vm, &chip), 0);
	EQUAL(chip.chip.ioapic.base_address, 0xfec00000);
	EQUAL(chip.chip.ioapic.irr, 3 << 20);	/* what went out is not pending */
	EQUAL(take_and_eoi(0), 0x53);
	chip.chip.ioapic.redirtbl[20].fields.mask = 0;
	chip.chip.ioapic.redirtbl[21].fields.mask = 0;
	EQUAL(irqchip_set(&vm, &chip), 0);
	EQUAL(take_and_eoi(0), 0x52);
	EQUAL(take(0), 0x51);
	vm_end();
}

static void ioapic_moved_base(void)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	u32 data;

	ioapic_setup();
	EQUAL(irqchip_get(&vm, &chip), 0);
	chip.chip.ioapic.base_address = 0xfec10000;
	EQUAL(irqchip_set(&vm, &chip), 0);
	EQUAL(iobus_read(cpu(0), IOBUS_MMIO, 0xfec00000, 4, &data), -EOPNOTSUPP);
	vm_end();
}

/* Many receivers are told by a work item, each once of messages that are the same. */
static void ioapic_in_a_large_vm(void)
{
	struct kvm_lapic_state state;
	unsigned int i, takers = 0;

	vm_begin(80);
	for (i = 0; i < 80; i++)
		apic_write(i, APIC_LVT0, APIC_LVT_MASKED);
	run_work();
	/* The map of ids is old: it is made by whoever has interrupts on. */
	ioapic_entry(20, 0x51, 3);
	EQUAL(line(20, 1), 1);
	EQUAL(take(3), -1);
	EQUAL(run_work(), 1);
	EQUAL(take_and_eoi(3), 0x51);
	line(20, 0);
	EQUAL(line(20, 1), 1);
	EQUAL(run_work(), 0);
	EQUAL(take_and_eoi(3), 0x51);

	ioapic_entry(20, 0x52, 0xff);
	for (i = 0; i < 100; i++) {
		line(20, 0);
		EQUAL(line(20, 1), 1);
	}
	ioapic_entry(21, LEVEL | 0x53, 0xff);
	EQUAL(line(21, 1), 1);
	EQUAL(ioapic_read(0x10 + 2 * 21) & REMOTE, REMOTE);
	EQUAL(take(1), -1);
	/* What user space saves is complete. */
	vlapic_get_state(cpu(79), &state);
	CHECK(*(u32 *)(state.regs + APIC_IRR + 0x20) == (BIT(0x52 - 0x40) | BIT(0x53 - 0x40)));
	EQUAL(run_work(), 0);
	for (i = 0; i < 80; i++)
		takers += take_and_eoi(i) == 0x53 && take_and_eoi(i) == 0x52;
	EQUAL(takers, 80);
	vm_end();
}

/* More kinds of messages than can wait: none is lost. */
static void ioapic_many_messages(void)
{
	unsigned int i, n;

	vm_begin(80);
	for (i = 0; i < 80; i++)
		apic_write(i, APIC_LVT0, APIC_LVT_MASKED);
	for (i = 0; i < 200; i++) {
		ioapic_entry(20, 0x20 + i, 0xff);
		line(20, 0);
		line(20, 1);
	}
	run_work();
	for (n = 0; take_and_eoi(42) >= 0; n++)
		;
	EQUAL(n, 200);
	vm_end();
}

void test_ioapic(void)
{
	TEST(ioapic_in_a_large_vm);
	TEST(ioapic_many_messages);
	TEST(ioapic_registers);
	TEST(ioapic_access_sizes);
	TEST(ioapic_edge);
	TEST(ioapic_masked_edge);
	TEST(ioapic_level);
	TEST(ioapic_level_unmasked);
	TEST(ioapic_edge_clears_remote_irr);
	TEST(ioapic_sources_are_ored);
	TEST(ioapic_storm_is_slowed);
	TEST(ioapic_nmi_and_init);
	TEST(ioapic_lost_rtc_ticks);
	TEST(ioapic_state_round_trip);
	TEST(ioapic_moved_base);
}
