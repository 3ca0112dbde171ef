// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts between CPUs: destinations in all modes, shorthands, INIT and SIPI.
 * It must not rely on the map of ids being in use: aliases are tested as well.
 */
#include "harness.h"

#define ASSERT_LEVEL	0x4000
#define LOGICAL		0x800
#define NMI		0x400
#define INIT		0x500
#define SIPI		0x600
#define LOWEST		0x100

static void send(unsigned int from, u32 low, u8 dest)
{
	apic_write(from, APIC_ICR2, (u32)dest << 24);
	apic_write(from, APIC_ICR, ASSERT_LEVEL | low);
}

static void x2send(unsigned int from, u32 low, u32 dest)
{
	EQUAL(x2apic_write(from, APIC_ICR, (u64)dest << 32 | ASSERT_LEVEL | low), 0);
}

/* Which vCPUs take @vector now, as bits. */
static unsigned long takers(u8 vector)
{
	unsigned long who = 0;
	unsigned int i;

	for (i = 0; i < vm.nr_vcpus; i++)
		if (take_and_eoi(i) == vector)
			who |= BIT(i);
	return who;
}

static void ipi_setup(unsigned int nr)
{
	vm_begin(nr);
	apic_write(0, APIC_LVT0, APIC_LVT_MASKED);
}

static void ipi_physical(void)
{
	ipi_setup(4);
	send(0, 0x41, 2);
	EQUAL(takers(0x41), BIT(2));
	EQUAL(cpu(2)->nr_kicks, 1);
	send(0, 0x41, 9);
	EQUAL(takers(0x41), 0);
	send(1, 0x41, 0xff);
	EQUAL(takers(0x41), 0xf);
	send(1, 0x41, 1);
	EQUAL(takers(0x41), BIT(1));
	vm_end();
}

static void ipi_shorthands(void)
{
	ipi_setup(4);
	apic_write(1, APIC_ICR, 0x40000 | 0x41);
	EQUAL(takers(0x41), BIT(1));
	apic_write(1, APIC_ICR, 0x80000 | 0x41);
	EQUAL(takers(0x41), 0xf);
	apic_write(1, APIC_ICR, 0xc0000 | 0x41);
	EQUAL(takers(0x41), 0xd);
	vm_end();
}

static void ipi_flat(void)
{
	unsigned int i;

	ipi_setup(4);
	for (i = 0; i < 4; i++)
		apic_write(i, APIC_LDR, BIT(i) << 24);
	send(0, LOGICAL | 0x41, 0x0a);
	EQUAL(takers(0x41), 0xa);
	send(0, LOGICAL | 0x41, 0xff);
	EQUAL(takers(0x41), 0xf);
	send(0, LOGICAL | 0x41, 0x10);
	EQUAL(takers(0x41), 0);
	vm_end();
}

/* Two CPUs with the same logical bit, or several bits: no map, the same result. */
static void ipi_flat_aliases(void)
{
	unsigned int i;

	ipi_setup(4);
	for (i = 0; i < 4; i++)
		apic_write(i, APIC_LDR, (i == 3 ? 0x06 : BIT(i)) << 24);
	send(0, LOGICAL | 0x41, 0x02);
	EQUAL(takers(0x41), 0xa);
	send(0, LOGICAL | 0x41, 0x01);
	EQUAL(takers(0x41), 0x1);
	vm_end();
}

static void ipi_cluster(void)
{
	unsigned int i;

	ipi_setup(8);
	for (i = 0; i < 8; i++) {
		apic_write(i, APIC_DFR, 0x0fffffff);
		apic_write(i, APIC_LDR, (i / 4 << 4 | BIT(i % 4)) << 24);
	}
	send(0, LOGICAL | 0x41, 0x13);
	EQUAL(takers(0x41), 0x30);
	send(0, LOGICAL | 0x41, 0x0f);
	EQUAL(takers(0x41), 0x0f);
	send(0, LOGICAL | 0x41, 0x2f);
	EQUAL(takers(0x41), 0);
	send(0, LOGICAL | 0x41, 0xff);
	EQUAL(takers(0x41), 0xff);
	vm_end();
}

static void ipi_mixed_modes(void)
{
	ipi_setup(3);
	apic_write(0, APIC_LDR, 0x01000000);
	apic_write(1, APIC_DFR, 0x0fffffff);
	apic_write(1, APIC_LDR, 0x01000000);
	apic_write(2, APIC_LDR, 0x02000000);
	send(0, LOGICAL | 0x41, 0x01);
	EQUAL(takers(0x41), 0x3);
	send(0, LOGICAL | 0x41, 0x02);
	EQUAL(takers(0x41), 0x4);
	vm_end();
}

static void ipi_changed_ids(void)
{
	ipi_setup(3);
	send(0, 0x41, 2);
	EQUAL(takers(0x41), BIT(2));
	apic_write(2, APIC_ID, 0x77000000);
	send(0, 0x41, 2);
	EQUAL(takers(0x41), 0);
	send(0, 0x41, 0x77);
	EQUAL(takers(0x41), BIT(2));
	apic_write(1, APIC_ID, 0x77000000);
	send(0, 0x41, 0x77);
	EQUAL(takers(0x41), 0x6);
	vm_end();
}

static void ipi_x2apic(void)
{
	unsigned int i;

	vm_begin(18);
	apic_write(0, APIC_LVT0, APIC_LVT_MASKED);
	vm_add_vcpu(300);
	for (i = 0; i < 19; i++)
		x2apic_enable(i);
	x2apic_write(18, APIC_SPIV, 0x1ff);
	x2send(0, 0x41, 300);
	EQUAL(takers(0x41), BIT(18));
	x2send(0, 0x41, 0xff);
	EQUAL(takers(0x41), 0);
	x2send(0, 0x41, 0xffffffff);
	EQUAL(takers(0x41), BIT(19) - 1);
	x2send(0, LOGICAL | 0x41, 0x00008005);
	EQUAL(takers(0x41), 0x8005);
	x2send(0, LOGICAL | 0x41, 0x00010003);
	EQUAL(takers(0x41), 0x30000);
	x2send(0, LOGICAL | 0x41, (300 >> 4) << 16 | BIT(300 & 15));
	EQUAL(takers(0x41), BIT(18));
	x2send(0, LOGICAL | 0x41, 0xfff0ffff);
	EQUAL(takers(0x41), 0);
	x2send(0, 0x41, 0x7fffffff);
	EQUAL(takers(0x41), 0);
	vm_end();
}

/* Before they switch, the others must be reachable by one that has; and above 255 at all. */
static void ipi_x2apic_starts_xapics(void)
{
	u8 vector = 0;

	ipi_setup(2);
	vm_add_vcpu(300);
	x2apic_enable(0);
	x2send(0, INIT, 300);
	x2send(0, SIPI | 0x9a, 300);
	EQUAL(vlapic_take_init_sipi(cpu(2), &vector), VLAPIC_EV_INIT | VLAPIC_EV_SIPI);
	EQUAL(vector, 0x9a);
	x2send(0, 0x41, 1);
	EQUAL(takers(0x41), BIT(1));
	vm_end();
}

static void ipi_broadcast_quirk(void)
{
	struct kvm_msi msi = { .address_lo = 0xfeeff000, .data = 0x41 };

	ipi_setup(3);
	x2apic_enable(1);
	EQUAL(irq_msi_send(&vm, &msi), 3);
	EQUAL(takers(0x41), 0x7);
	EQUAL(irqchip_x2apic_api(&vm, KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK), 0);
	EQUAL(irq_msi_send(&vm, &msi), 2);
	EQUAL(takers(0x41), 0x5);
	vm_end();
}

static void ipi_lowest_priority(void)
{
	struct kvm_msi msi = { .address_lo = 0xfee0f00c, .data = 0x41 };
	unsigned int i;

	ipi_setup(4);
	for (i = 0; i < 4; i++)
		apic_write(i, APIC_LDR, BIT(i) << 24);
	send(0, LOWEST | LOGICAL | 0x41, 0x0a);
	EQUAL(takers(0x41), BIT(3));	/* odd vector: the second */
	send(0, LOWEST | LOGICAL | 0x42, 0x0a);
	EQUAL(takers(0x42), BIT(1));
	send(0, LOWEST | LOGICAL | 0x42, 0xff);
	EQUAL(takers(0x42), BIT(2));
	apic_write(2, APIC_SPIV, 0xff);
	send(0, LOWEST | LOGICAL | 0x42, 0xff);
	EQUAL(takers(0x42), BIT(0));
	/* The MSI's redirection hint asks for the same; among everybody lowest means all. */
	EQUAL(irq_msi_send(&vm, &msi), 1);
	EQUAL(takers(0x41), BIT(3));
	send(0, LOWEST | 0x41, 0xff);
	EQUAL(takers(0x41), 0xb);
	vm_end();
}

static void ipi_init_sipi(void)
{
	u8 vector = 0;

	ipi_setup(2);
	CHECK(!vlapic_init_sipi_pending(cpu(1)));
	send(0, SIPI | 0x10, 1);
	send(0, INIT, 1);	/* an INIT undoes a SIPI */
	CHECK(told(1));
	EQUAL(vlapic_take_init_sipi(cpu(1), &vector), VLAPIC_EV_INIT);
	EQUAL(vlapic_take_init_sipi(cpu(1), &vector), 0);
	apic_write(0, APIC_ICR, 0x8000 | INIT);	/* level, de-asserted */
	EQUAL(vlapic_take_init_sipi(cpu(1), &vector), 0);
	send(0, SIPI | 0x20, 1);
	EQUAL(vlapic_take_init_sipi(cpu(1), &vector), VLAPIC_EV_SIPI);
	EQUAL(vector, 0x20);
	apic_write(0, APIC_ICR, 0xc4000 | INIT);
	EQUAL(vlapic_take_init_sipi(cpu(0), &vector), 0);
	EQUAL(vlapic_take_init_sipi(cpu(1), &vector), VLAPIC_EV_INIT);
	vm_end();
}

static void ipi_other_modes(void)
{
	ipi_setup(2);
	send(0, NMI | 0x41, 1);
	EQUAL(cpu(1)->nr_nmis, 1);
	send(0, 0x200, 1);
	EQUAL(cpu(1)->nr_smis, 1);
	send(0, 0x300, 1);
	send(0, 0x700, 1);
	EQUAL(take(1), -1);
	apic_write(1, APIC_SPIV, 0xff);
	send(0, 0x41, 1);
	EQUAL(take(1), -1);
	send(0, NMI, 1);
	EQUAL(cpu(1)->nr_nmis, 2);
	EQUAL(vlapic_set_base(cpu(1), 0xfee00000, false), 0);
	send(0, NMI, 1);
	send(0, NMI, 0xff);
	EQUAL(cpu(1)->nr_nmis, 2);
	vm_end();
}

static void ipi_wakes_once(void)
{
	ipi_setup(2);
	send(0, 0x41, 1);
	send(0, 0x41, 1);
	send(0, 0x42, 1);
	EQUAL(cpu(1)->nr_kicks, 2);
	vm_end();
}

static void ipi_new_vcpu_is_found(void)
{
	ipi_setup(1);
	send(0, 0x41, 7);
	vm_add_vcpu(7);
	send(0, INIT, 7);
	CHECK(vlapic_init_sipi_pending(cpu(1)));
	vm_end();
}

void test_ipi(void)
{
	TEST(ipi_physical);
	TEST(ipi_shorthands);
	TEST(ipi_flat);
	TEST(ipi_flat_aliases);
	TEST(ipi_cluster);
	TEST(ipi_mixed_modes);
	TEST(ipi_changed_ids);
	TEST(ipi_x2apic);
	TEST(ipi_x2apic_starts_xapics);
	TEST(ipi_broadcast_quirk);
	TEST(ipi_lowest_priority);
	TEST(ipi_init_sipi);
	TEST(ipi_other_modes);
	TEST(ipi_wakes_once);
	TEST(ipi_new_vcpu_is_found);
}
