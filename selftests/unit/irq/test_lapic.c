// SPDX-License-Identifier: GPL-2.0-only
/*
 * One local APIC: registers, priorities, modes, saving and restoring.
 * It must not send interrupts between CPUs; test_ipi.c does.
 */
#include "harness.h"

/* By the self shorthand, which needs no destination. */
static void self(u8 vector)
{
	apic_write(0, APIC_ICR, 0x44000 | vector);
}

static void lapic_reset_state(void)
{
	vm_begin(0);
	vm_add_vcpu(0);
	vm_add_vcpu(1);
	EQUAL(vlapic_get_base(cpu(0)), 0xfee00900);
	EQUAL(vlapic_get_base(cpu(1)), 0xfee00800);
	EQUAL(apic_read(1, APIC_ID), 0x01000000);
	EQUAL(apic_read(1, APIC_LVR), 0x00050014);
	EQUAL(apic_read(1, APIC_DFR), 0xffffffff);
	EQUAL(apic_read(1, APIC_LDR), 0);
	EQUAL(apic_read(1, APIC_SPIV), 0xff);
	EQUAL(apic_read(0, APIC_LVT0), 0x700);
	EQUAL(apic_read(1, APIC_LVT0), APIC_LVT_MASKED);
	EQUAL(apic_read(1, APIC_LVTT), APIC_LVT_MASKED);
	EQUAL(apic_read(1, APIC_LVTERR), APIC_LVT_MASKED);
	vm_end();
}

static void lapic_writable_bits(void)
{
	vm_begin(1);
	apic_write(0, APIC_TASKPRI, ~0u);
	EQUAL(apic_read(0, APIC_TASKPRI), 0xff);
	apic_write(0, APIC_LDR, ~0u);
	EQUAL(apic_read(0, APIC_LDR), 0xff000000);
	apic_write(0, APIC_DFR, 0);
	EQUAL(apic_read(0, APIC_DFR), 0x0fffffff);
	apic_write(0, APIC_SPIV, ~0u);
	EQUAL(apic_read(0, APIC_SPIV), 0x3ff);
	apic_write(0, APIC_LVTT, ~0u);
	EQUAL(apic_read(0, APIC_LVTT), 0x710ff);
	apic_write(0, APIC_LVTTHMR, ~0u);
	EQUAL(apic_read(0, APIC_LVTTHMR), 0x117ff);
	apic_write(0, APIC_LVT0, ~0u);
	EQUAL(apic_read(0, APIC_LVT0), 0x1f7ff);
	apic_write(0, APIC_LVTERR, ~0u);
	EQUAL(apic_read(0, APIC_LVTERR), 0x110ff);
	apic_write(0, APIC_TDCR, ~0u);
	EQUAL(apic_read(0, APIC_TDCR), 0xb);
	apic_write(0, APIC_ICR2, ~0u);
	EQUAL(apic_read(0, APIC_ICR2), 0xff000000);
	apic_write(0, APIC_ICR, 0x41000);	/* delivery status is not written */
	EQUAL(apic_read(0, APIC_ICR), 0x40000);
	apic_write(0, APIC_LVR, 0);
	EQUAL(apic_read(0, APIC_LVR), 0x00050014);
	apic_write(0, APIC_LVTCMCI, 0);
	EQUAL(apic_read(0, APIC_LVTCMCI), 0);
	vlapic_enable_cmci(cpu(0), true);
	EQUAL(apic_read(0, APIC_LVR), 0x00060014);
	EQUAL(apic_read(0, APIC_LVTCMCI), APIC_LVT_MASKED);
	cpu(0)->no_tsc_deadline = true;
	apic_write(0, APIC_LVTT, ~0u);
	EQUAL(apic_read(0, APIC_LVTT), 0x310ff);
	vm_end();
}

static void lapic_odd_accesses(void)
{
	u32 value = 0x55;
	u8 byte = 0;

	vm_begin(1);
	EQUAL(apic_read(0, 0x00), 0);
	EQUAL(apic_read(0, APIC_EOI), 0);
	EQUAL(apic_read(0, 0x3f4), 0);
	EQUAL(apic_read(0, 0xffc), 0);
	vlapic_mmio_write(cpu(0), 0xfee00084, 4, &value);
	vlapic_mmio_write(cpu(0), 0xfee00080, 2, &value);
	EQUAL(apic_read(0, APIC_TASKPRI), 0);
	vlapic_mmio_read(cpu(0), 0xfee00032, 1, &byte);
	EQUAL(byte, 0x05);
	CHECK(!vlapic_covers(cpu(0), 0xfee01000));
	CHECK(!vlapic_covers(cpu(0), 0xfedfffff));
	vm_end();
}

static void lapic_priorities(void)
{
	vm_begin(1);
	self(0x41);
	self(0x73);
	self(0x61);
	EQUAL(take(0), 0x73);
	EQUAL(apic_read(0, APIC_PROCPRI), 0x70);
	EQUAL(take(0), -1);
	self(0x7f);	/* the same class waits */
	EQUAL(take(0), -1);
	self(0x80);
	EQUAL(take(0), 0x80);
	apic_write(0, APIC_EOI, 0);
	EQUAL(take(0), -1);
	told(0);
	apic_write(0, APIC_EOI, 0);
	CHECK(told(0));
	EQUAL(take_and_eoi(0), 0x7f);
	EQUAL(take_and_eoi(0), 0x61);
	EQUAL(take_and_eoi(0), 0x41);
	EQUAL(take(0), -1);
	apic_write(0, APIC_EOI, 0);	/* nothing to end */
	EQUAL(apic_read(0, APIC_PROCPRI), 0);
	vm_end();
}

static void lapic_task_priority(void)
{
	vm_begin(1);
	apic_write(0, APIC_TASKPRI, 0x45);
	EQUAL(apic_read(0, APIC_PROCPRI), 0x45);
	EQUAL(vlapic_get_cr8(cpu(0)), 4);
	self(0x4f);
	EQUAL(take(0), -1);
	EQUAL(vlapic_highest_irr(cpu(0)), 0x4f);
	self(0x50);
	EQUAL(take_and_eoi(0), 0x50);
	told(0);
	vlapic_set_cr8(cpu(0), 3);
	CHECK(told(0));
	EQUAL(apic_read(0, APIC_TASKPRI), 0x30);
	EQUAL(take(0), 0x4f);
	/* Held back by TPR alone, it is the threshold that must follow. */
	vlapic_set_cr8(cpu(0), 15);
	self(0x90);
	told(0);
	clear_bit(REQ_TPR, &cpu(0)->requests);
	apic_write(0, APIC_EOI, 0);
	CHECK(!told(0));
	CHECK(test_bit(REQ_TPR, &cpu(0)->requests));
	vm_end();
}

static void lapic_every_vector(void)
{
	int v;

	vm_begin(1);
	for (v = 0; v < 256; v++)
		self(v);
	for (v = 255; v >= 16; v--) {
		EQUAL(take(0), v);
		EQUAL(apic_read(0, APIC_ISR + v / 32 * 0x10), BIT(v & 31));
		apic_write(0, APIC_EOI, 0);
	}
	/* Vectors below 16 are never due, as in KVM. */
	EQUAL(take(0), -1);
	vm_end();
}

static void lapic_software_disabled(void)
{
	vm_begin(1);
	apic_write(0, APIC_LVT1, 0x400);
	self(0x41);
	apic_write(0, APIC_SPIV, 0xff);
	EQUAL(apic_read(0, APIC_LVT1), APIC_LVT_MASKED | 0x400);
	apic_write(0, APIC_LVT1, 0x400);
	EQUAL(apic_read(0, APIC_LVT1), APIC_LVT_MASKED | 0x400);
	self(0x51);
	EQUAL(take(0), 0x41);	/* what was pending stays so */
	EQUAL(take(0), -1);
	vm_end();
}

static void lapic_lint(void)
{
	vm_begin(1);
	vlapic_deliver_lint(cpu(0), 1);
	EQUAL(cpu(0)->nr_nmis, 0);
	apic_write(0, APIC_LVT1, 0x400);
	vlapic_deliver_lint(cpu(0), 1);
	EQUAL(cpu(0)->nr_nmis, 1);
	apic_write(0, APIC_LVT1, 0x44);
	vlapic_deliver_lint(cpu(0), 1);
	EQUAL(take_and_eoi(0), 0x44);
	vm_end();
}

static void lapic_base_transitions(void)
{
	struct vcpu *v;

	vm_begin(1);
	v = cpu(0);
	EQUAL(vlapic_set_base(v, 0xfee00d00, false), 0);	/* xAPIC to x2APIC */
	EQUAL(vlapic_set_base(v, 0xfee00900, false), 1);	/* and not back */
	EQUAL(vlapic_set_base(v, 0xfee00500, false), 1);	/* invalid */
	EQUAL(vlapic_set_base(v, 0xfee00100, false), 0);	/* off */
	EQUAL(vlapic_set_base(v, 0xfee00d00, false), 1);	/* off to x2APIC */
	EQUAL(vlapic_set_base(v, 0xfee00900, false), 0);
	EQUAL(vlapic_set_base(v, 0xfee00d00, true), 0);
	EQUAL(vlapic_set_base(v, 0xfee00900, true), 0);		/* user space may */
	EQUAL(vlapic_set_base(v, 0xfee00901, false), 1);
	EQUAL(vlapic_set_base(v, 0xfee00b00, false), 1);	/* bit 9 */
	EQUAL(vlapic_set_base(v, 0x3fff00000900, false), 0);
	EQUAL(vlapic_set_base(v, 0x400000000900, false), 1);	/* above MAXPHYADDR */
	v->no_x2apic = true;
	EQUAL(vlapic_set_base(v, 0xfee00d00, false), 1);
	EQUAL(vlapic_set_base(v, 0xfed00900, false), 0);
	CHECK(vlapic_covers(v, 0xfed00000));
	CHECK(!vlapic_covers(v, 0xfee00000));
	vm_end();
}

static void lapic_hardware_disabled(void)
{
	vm_begin(1);
	self(0x41);
	EQUAL(vlapic_set_base(cpu(0), 0xfee00100, false), 0);
	EQUAL(take(0), -1);
	EQUAL(apic_read(0, APIC_ID), 0xffffffff);
	apic_write(0, APIC_TASKPRI, 0x10);
	CHECK(vlapic_accepts_pic(cpu(0)));
	EQUAL(vlapic_set_base(cpu(0), 0xfee00900, false), 0);
	EQUAL(apic_read(0, APIC_TASKPRI), 0);
	vm_end();
}

static void lapic_x2apic_registers(void)
{
	u64 value;

	vm_begin(0);
	vm_add_vcpu(0);
	vm_add_vcpu(0x123);
	EQUAL(vlapic_msr_read(cpu(1), 0x802, &value), 1);	/* not in xAPIC mode */
	EQUAL(vlapic_msr_write(cpu(1), 0x808, 0), 1);
	x2apic_enable(1);
	EQUAL(x2apic_read(1, APIC_ID), 0x123);
	EQUAL(x2apic_read(1, APIC_LDR), 0x120008);
	EQUAL(apic_read(1, APIC_ID), 0xffffffff);
	EQUAL(x2apic_write(1, APIC_ID, 0), 1);
	EQUAL(x2apic_write(1, APIC_LDR, 0), 1);
	EQUAL(x2apic_write(1, APIC_DFR, 0), 1);
	EQUAL(vlapic_msr_read(cpu(1), 0x80e, &value), 1);
	EQUAL(vlapic_msr_read(cpu(1), 0x831, &value), 1);
	EQUAL(vlapic_msr_read(cpu(1), 0x809, &value), 1);
	EQUAL(vlapic_msr_read(cpu(1), 0x80b, &value), 1);
	EQUAL(vlapic_msr_read(cpu(1), 0x83f, &value), 1);
	EQUAL(vlapic_msr_read(cpu(1), 0x840, &value), 1);
	EQUAL(vlapic_msr_read(cpu(1), 0x8ff, &value), 1);
	EQUAL(vlapic_msr_write(cpu(1), 0x8ff, 0), 1);
	EQUAL(x2apic_write(1, APIC_TASKPRI, 1ull << 32), 1);
	EQUAL(x2apic_write(1, APIC_TASKPRI, 0x100), 1);
	EQUAL(x2apic_write(1, APIC_EOI, 1), 1);
	EQUAL(x2apic_write(1, APIC_TASKPRI, 0x20), 0);
	EQUAL(x2apic_read(1, APIC_TASKPRI), 0x20);
	EQUAL(x2apic_write(1, APIC_ESR, 1), 1);
	EQUAL(x2apic_write(1, APIC_ESR, 0), 0);
	EQUAL(x2apic_write(1, APIC_ICR, 0x2000), 1);
	EQUAL(x2apic_write(1, APIC_ICR, 0x30000), 1);
	EQUAL(x2apic_write(1, APIC_ICR, 0x100000), 1);
	EQUAL(x2apic_write(1, APIC_ICR, 0x5500001041), 0);
	EQUAL(x2apic_read(1, APIC_ICR), 0x5500000041);
	EQUAL(x2apic_write(1, APIC_SELF_IPI, 0x100), 1);
	vm_end();
}

static void lapic_self_ipi(void)
{
	vm_begin(1);
	x2apic_enable(0);
	told(0);
	cpu(0)->nr_kicks = 0;
	EQUAL(x2apic_write(0, APIC_SELF_IPI, 0x41), 0);
	CHECK(told(0));
	EQUAL(cpu(0)->nr_kicks, 0);
	EQUAL(x2apic_read(0, APIC_IRR + 0x20), 2);
	EQUAL(take_and_eoi(0), 0x41);
	EQUAL(take(0), -1);
	vm_end();
}

static void lapic_init_reset(void)
{
	vm_begin(2);
	x2apic_enable(1);
	x2apic_write(1, APIC_TASKPRI, 0x50);
	x2apic_write(1, APIC_SELF_IPI, 0x41);
	vlapic_reset(cpu(1), true);
	EQUAL(vlapic_get_base(cpu(1)), 0xfee00c00);
	EQUAL(x2apic_read(1, APIC_ID), 1);
	EQUAL(x2apic_read(1, APIC_LDR), 2);
	EQUAL(x2apic_read(1, APIC_TASKPRI), 0);
	EQUAL(x2apic_read(1, APIC_SPIV), 0xff);
	EQUAL(take(1), -1);
	vlapic_reset(cpu(1), false);
	EQUAL(vlapic_get_base(cpu(1)), 0xfee00800);
	EQUAL(apic_read(1, APIC_ID), 0x01000000);
	vm_end();
}

static void lapic_restores_sipi(void)
{
	u8 vector = 0;

	vm_begin(1);
	vlapic_restore_sipi(cpu(0), 0x9a, VLAPIC_EV_INIT | VLAPIC_EV_SIPI);
	CHECK(vlapic_init_sipi_pending(cpu(0)));
	EQUAL(vlapic_take_init_sipi(cpu(0), &vector), VLAPIC_EV_INIT | VLAPIC_EV_SIPI);
	EQUAL(vector, 0x9a);
	vm_end();
}

static u32 reg_of(struct kvm_lapic_state *s, unsigned int offset)
{
	u32 value;

	memcpy(&value, s->regs + offset, 4);
	return value;
}

static void set_reg_of(struct kvm_lapic_state *s, unsigned int offset, u32 value)
{
	memcpy(s->regs + offset, &value, 4);
}

static void lapic_state_round_trip(void)
{
	struct kvm_lapic_state s, t;

	vm_begin(1);
	self(0x41);
	EQUAL(take(0), 0x41);
	self(0x51);
	apic_write(0, APIC_TASKPRI, 0x30);
	vlapic_get_state(cpu(0), &s);
	EQUAL(reg_of(&s, APIC_ISR + 0x20), 2);
	EQUAL(reg_of(&s, APIC_PROCPRI), 0x40);
	vlapic_reset(cpu(0), false);
	EQUAL(take(0), -1);
	EQUAL(vlapic_set_state(cpu(0), &s), 0);
	CHECK(told(0));
	vlapic_get_state(cpu(0), &t);
	EQUAL(memcmp(&s, &t, sizeof(s)), 0);
	EQUAL(take_and_eoi(0), 0x51);
	apic_write(0, APIC_EOI, 0);
	EQUAL(apic_read(0, APIC_PROCPRI), 0x30);
	/* The version is not user space's to choose. */
	set_reg_of(&s, APIC_LVR, 0);
	EQUAL(vlapic_set_state(cpu(0), &s), 0);
	EQUAL(apic_read(0, APIC_LVR), 0x00050014);
	vm_end();
}

static void lapic_state_x2apic_ids(void)
{
	struct kvm_lapic_state s;

	vm_begin(2);
	x2apic_enable(1);
	x2apic_write(1, APIC_ICR, 0x12300000041);
	vlapic_get_state(cpu(1), &s);
	EQUAL(reg_of(&s, APIC_ID), 0x01000000);
	EQUAL(reg_of(&s, APIC_ICR2), 0x123);
	set_reg_of(&s, APIC_ID, 0x05000000);	/* ignored */
	set_reg_of(&s, APIC_LDR, 0);
	set_reg_of(&s, APIC_ICR2, 0x456);
	EQUAL(vlapic_set_state(cpu(1), &s), 0);
	EQUAL(x2apic_read(1, APIC_ID), 1);
	EQUAL(x2apic_read(1, APIC_LDR), 2);
	EQUAL(x2apic_read(1, APIC_ICR), 0x45600000041);

	EQUAL(irqchip_x2apic_api(&vm, KVM_X2APIC_API_USE_32BIT_IDS), 0);
	vlapic_get_state(cpu(1), &s);
	EQUAL(reg_of(&s, APIC_ID), 1);
	EQUAL(vlapic_set_state(cpu(1), &s), 0);
	set_reg_of(&s, APIC_ID, 2);
	EQUAL(vlapic_set_state(cpu(1), &s), -EINVAL);
	vm_end();
}

static void lapic_hostile_state(void)
{
	struct kvm_lapic_state s;
	unsigned int i;

	vm_begin(1);
	memset(&s, 0xff, sizeof(s));
	EQUAL(vlapic_set_state(cpu(0), &s), 0);
	for (i = 0; i < 600; i++) {
		take(0);
		apic_write(0, APIC_EOI, 0);
		clock_advance(1000000);
	}
	EQUAL(apic_read(0, APIC_ISR), 0);
	EQUAL(take(0), -1);
	vm_end();
}

void test_lapic(void)
{
	TEST(lapic_reset_state);
	TEST(lapic_writable_bits);
	TEST(lapic_odd_accesses);
	TEST(lapic_priorities);
	TEST(lapic_task_priority);
	TEST(lapic_every_vector);
	TEST(lapic_software_disabled);
	TEST(lapic_lint);
	TEST(lapic_base_transitions);
	TEST(lapic_hardware_disabled);
	TEST(lapic_x2apic_registers);
	TEST(lapic_self_ipi);
	TEST(lapic_init_reset);
	TEST(lapic_restores_sipi);
	TEST(lapic_state_round_trip);
	TEST(lapic_state_x2apic_ids);
	TEST(lapic_hostile_state);
}
