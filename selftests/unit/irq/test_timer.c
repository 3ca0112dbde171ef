// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC's timer in its three modes.
 * It must not run on a real clock.
 */
#include "harness.h"

#define US	1000ll
#define MS	1000000ll

static void timer_setup(u32 lvt)
{
	vm_begin(1);
	apic_write(0, APIC_TDCR, 0xb);	/* divide by 1: a count is a nanosecond */
	apic_write(0, APIC_LVTT, lvt);
	told(0);
}

static void timer_one_shot(void)
{
	timer_setup(0x40);
	apic_write(0, APIC_TMICT, 1000000);
	clock_advance(400 * US);
	EQUAL(apic_read(0, APIC_TMCCT), 600000);
	EQUAL(take(0), -1);
	clock_advance(700 * US);
	CHECK(told(0));
	EQUAL(cpu(0)->nr_kicks, 1);
	EQUAL(apic_read(0, APIC_TMCCT), 0);
	EQUAL(take_and_eoi(0), 0x40);
	clock_advance(10 * MS);
	EQUAL(take(0), -1);
	apic_write(0, APIC_TMICT, 1000000);
	apic_write(0, APIC_TMICT, 0);
	clock_advance(10 * MS);
	EQUAL(take(0), -1);
	vm_end();
}

static void timer_divide(void)
{
	static const u8 divisors[] = { 2, 4, 8, 16, 0, 0, 0, 0, 32, 64, 128, 1 };
	unsigned int i;

	timer_setup(0x40);
	for (i = 0; i < sizeof(divisors); i++) {
		if (!divisors[i])
			continue;
		apic_write(0, APIC_TDCR, i);
		apic_write(0, APIC_TMICT, 1000000);
		clock_advance(1 * MS * divisors[i] - 1);
		EQUAL(take(0), -1);
		clock_advance(1);
		EQUAL(take_and_eoi(0), 0x40);
	}
	/* In the middle of a count: what is left goes on at the new speed. */
	apic_write(0, APIC_TDCR, 0xb);
	apic_write(0, APIC_TMICT, 1000000);
	clock_advance(500 * US);
	apic_write(0, APIC_TDCR, 1);
	EQUAL(apic_read(0, APIC_TMCCT), 500000);
	clock_advance(2 * MS - 1);
	EQUAL(take(0), -1);
	clock_advance(1);
	EQUAL(take_and_eoi(0), 0x40);
	/* A slower bus: 40 ns each. */
	vm.apic_cycle_ns = 40;
	apic_write(0, APIC_TDCR, 0xb);
	apic_write(0, APIC_TMICT, 100000);
	clock_advance(1 * MS);
	EQUAL(apic_read(0, APIC_TMCCT), 75000);
	clock_advance(3 * MS - 1);
	EQUAL(take(0), -1);
	clock_advance(1);
	EQUAL(take_and_eoi(0), 0x40);
	/* The longest there can be: no overflow makes it short. */
	EQUAL(irqchip_apic_cycle(&vm, 1 << 20), -EINVAL);
	vm.apic_cycle_ns = 33554432;
	apic_write(0, APIC_TDCR, 0xa);
	apic_write(0, APIC_TMICT, ~0u);
	clock_advance(1000 * MS);
	EQUAL(take(0), -1);
	vm_end();
}

static unsigned int ticks_seen(unsigned int steps, s64 step)
{
	unsigned int i, n = 0;

	for (i = 0; i < steps; i++) {
		clock_advance(step);
		n += take_and_eoi(0) == 0x40;
	}
	return n;
}

static void timer_periodic(void)
{
	unsigned int before;

	timer_setup(APIC_LVT_TIMER_PERIODIC | 0x40);
	apic_write(0, APIC_TMICT, 1000000);
	EQUAL(ticks_seen(1000, 100 * US), 100);
	/* Missed ticks are one. */
	clock_advance(50 * MS);
	EQUAL(take_and_eoi(0), 0x40);
	EQUAL(take(0), -1);
	/* And none comes more often than the host can bear. */
	apic_write(0, APIC_TMICT, 1);
	before = clock_nr_callbacks;
	clock_advance(10 * MS);
	CHECK(clock_nr_callbacks - before <= 51);
	vm_end();
}

static void timer_masked(void)
{
	timer_setup(APIC_LVT_MASKED | 0x40);
	apic_write(0, APIC_TMICT, 1000);
	clock_advance(1 * MS);
	EQUAL(take(0), -1);
	CHECK(!vlapic_timer_pending(cpu(0)));
	apic_write(0, APIC_LVTT, 0x40);
	EQUAL(take(0), 0x40);
	vm_end();
}

static void timer_software_disabled(void)
{
	timer_setup(0x40);
	apic_write(0, APIC_TMICT, 1000);
	clock_advance(1 * MS);
	apic_write(0, APIC_SPIV, 0xff);
	EQUAL(take(0), -1);
	apic_write(0, APIC_SPIV, 0x1ff);
	apic_write(0, APIC_LVTT, 0x40);
	EQUAL(take(0), -1);
	vm_end();
}

static u64 tsc(void)
{
	return vcpu_tsc_at(cpu(0), rdtsc());
}

static void deadline(s64 from_now)
{
	vlapic_set_tscdeadline(cpu(0), tsc() + from_now);
}

static void timer_deadline(void)
{
	timer_setup(APIC_LVT_TIMER_TSCDEADLINE | 0x40);
	cpu(0)->tsc_offset = 123456789;
	deadline(1 * MS);
	EQUAL(vlapic_get_tscdeadline(cpu(0)), tsc() + 1 * MS);
	clock_advance(1 * MS - 1);
	EQUAL(take(0), -1);
	clock_advance(2);
	EQUAL(cpu(0)->nr_kicks, 1);
	EQUAL(take_and_eoi(0), 0x40);
	EQUAL(vlapic_get_tscdeadline(cpu(0)), 0);
	/* In the past, or now: at once. */
	deadline(-5);
	CHECK(told(0));
	EQUAL(take_and_eoi(0), 0x40);
	deadline(0);
	EQUAL(take_and_eoi(0), 0x40);
	deadline(1 * MS);
	vlapic_set_tscdeadline(cpu(0), 0);
	clock_advance(5 * MS);
	EQUAL(take(0), -1);
	vm_end();
}

/* Moving the deadline must not show, whether the hrtimer is programmed anew or looks again. */
static void timer_deadline_moves(void)
{
	timer_setup(APIC_LVT_TIMER_TSCDEADLINE | 0x40);
	deadline(1 * MS);
	deadline(3 * MS);
	clock_advance(2 * MS);
	EQUAL(take(0), -1);
	clock_advance(1 * MS + 1);
	EQUAL(take_and_eoi(0), 0x40);

	deadline(5 * MS);
	deadline(1 * MS);
	clock_advance(1 * MS + 1);
	EQUAL(take_and_eoi(0), 0x40);
	clock_advance(10 * MS);
	EQUAL(take(0), -1);

	deadline(2 * MS);
	vlapic_set_tscdeadline(cpu(0), 0);
	deadline(4 * MS);
	clock_advance(3 * MS);
	EQUAL(take(0), -1);
	clock_advance(1 * MS + 1);
	EQUAL(take_and_eoi(0), 0x40);

	/* The guest's TSC jumps ahead in between. */
	deadline(100 * MS);
	cpu(0)->tsc_offset += 500 * MS;
	deadline(1 * MS);
	clock_advance(1 * MS + 1);
	EQUAL(take_and_eoi(0), 0x40);
	vm_end();
}

static void timer_deadline_far_off(void)
{
	timer_setup(APIC_LVT_TIMER_TSCDEADLINE | 0x40);
	vlapic_set_tscdeadline(cpu(0), ~0ull);
	clock_advance(3600000 * MS);
	EQUAL(take(0), -1);
	deadline(7200000 * MS);
	clock_advance(7200000 * MS - 1);
	EQUAL(take(0), -1);
	clock_advance(2);
	EQUAL(take_and_eoi(0), 0x40);
	vm_end();
}

static void timer_deadline_other_speed(void)
{
	timer_setup(APIC_LVT_TIMER_TSCDEADLINE | 0x40);
	cpu(0)->tsc_khz = 3000000;	/* so it says; the clock makes 1 GHz of it */
	deadline(3 * MS);
	clock_advance(3 * MS - 1);
	EQUAL(take(0), -1);
	clock_advance(2);
	EQUAL(take_and_eoi(0), 0x40);
	cpu(0)->tsc_khz = 0;
	deadline(3 * MS);
	take(0);
	vm_end();
}

static void timer_modes_exclude(void)
{
	timer_setup(0x40);
	vlapic_set_tscdeadline(cpu(0), tsc() + 1000);	/* not in this mode */
	EQUAL(vlapic_get_tscdeadline(cpu(0)), 0);
	clock_advance(1 * MS);
	EQUAL(take(0), -1);
	apic_write(0, APIC_TMICT, 1000000);
	apic_write(0, APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | 0x40);
	EQUAL(apic_read(0, APIC_TMICT), 0);
	apic_write(0, APIC_TMICT, 1000000);
	EQUAL(apic_read(0, APIC_TMICT), 0);
	clock_advance(5 * MS);
	EQUAL(take(0), -1);
	deadline(1 * MS);
	apic_write(0, APIC_LVTT, 0x40);
	clock_advance(5 * MS);
	EQUAL(take(0), -1);
	/* A mode that is none. */
	apic_write(0, APIC_LVTT, 3 << 17 | 0x40);
	apic_write(0, APIC_TMICT, 1000);
	clock_advance(5 * MS);
	EQUAL(take(0), -1);
	vm_end();
}

static void timer_restored(void)
{
	struct kvm_lapic_state s;

	timer_setup(0x40);
	apic_write(0, APIC_TMICT, 1000000);
	clock_advance(400 * US);
	vlapic_get_state(cpu(0), &s);
	clock_advance(100 * US);
	EQUAL(vlapic_set_state(cpu(0), &s), 0);
	EQUAL(apic_read(0, APIC_TMCCT), 600000);
	clock_advance(599 * US);
	EQUAL(take(0), -1);
	clock_advance(1 * US);
	EQUAL(take_and_eoi(0), 0x40);

	apic_write(0, APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | 0x40);
	deadline(1 * MS);
	vlapic_get_state(cpu(0), &s);
	EQUAL(vlapic_set_state(cpu(0), &s), 0);
	clock_advance(1 * MS + 1);
	EQUAL(take_and_eoi(0), 0x40);
	vm_end();
}

static void timer_migrates(void)
{
	timer_setup(0x40);
	apic_write(0, APIC_TMICT, 1000000);
	EQUAL(vpit_create(&vm, 0), 0);
	vlapic_timer_migrate(cpu(0));
	clock_advance(1 * MS);
	EQUAL(take_and_eoi(0), 0x40);
	vlapic_timer_migrate(cpu(0));
	clock_advance(5 * MS);
	EQUAL(take(0), -1);
	vm_end();
}

static void timer_reset_stops(void)
{
	timer_setup(APIC_LVT_TIMER_PERIODIC | 0x40);
	apic_write(0, APIC_TMICT, 1000000);
	vlapic_reset(cpu(0), true);
	apic_write(0, APIC_SPIV, 0x1ff);
	apic_write(0, APIC_LVTT, 0x40);
	apic_write(0, APIC_TDCR, 1);
	clock_advance(10 * MS);
	EQUAL(take(0), -1);
	vm_end();
}

void test_timer(void)
{
	TEST(timer_one_shot);
	TEST(timer_divide);
	TEST(timer_periodic);
	TEST(timer_masked);
	TEST(timer_software_disabled);
	TEST(timer_deadline);
	TEST(timer_deadline_moves);
	TEST(timer_deadline_far_off);
	TEST(timer_deadline_other_speed);
	TEST(timer_modes_exclude);
	TEST(timer_restored);
	TEST(timer_migrates);
	TEST(timer_reset_stops);
}
