// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8254 through its ports, its interrupts, and user space's controls of it.
 * It must not take the interrupts but as a guest does, through the PIC or the IOAPIC.
 */
#include "harness.h"
#include "pit8254.h"

#define MS	1000000ll

static void pit_setup(void)
{
	vm_begin(1);
	out8(0x20, 0x11);
	out8(0x21, 0x20);
	out8(0x21, 0x04);
	out8(0x21, 0x01);
	EQUAL(vpit_create(&vm, KVM_PIT_SPEAKER_DUMMY), 0);
	told(0);
}

static void pit_program(unsigned int channel, unsigned int mode, unsigned int count)
{
	out8(0x43, channel << 6 | 0x30 | mode << 1);
	out8(0x40 + channel, count);
	out8(0x40 + channel, count >> 8);
}

static unsigned int pit_latched(unsigned int channel)
{
	unsigned int low;

	out8(0x43, channel << 6);
	low = in8(0x40 + channel);
	return low | in8(0x40 + channel) << 8;
}

static void pit_arithmetic(void)
{
	EQUAL(pit8254_ticks(1000000000), PIT_HZ);
	EQUAL(pit8254_ticks(3600000000000), 3600ll * PIT_HZ);
	EQUAL(pit8254_ticks(-5), 0);
	EQUAL(pit8254_ticks(INT64_MAX), 11005152270306418ll);
	EQUAL(pit8254_ns(PIT_HZ), 1000000000);
	EQUAL(pit8254_ns(0xffffffff), 3599594106007ll);
}

static void pit_creation(void)
{
	memset(&vm, 0, sizeof(vm));
	EQUAL(vpit_create(&vm, 0), -ENOENT);
	vm_begin(1);
	EQUAL(in8(0x40), -1);
	EQUAL(vpit_create(&vm, 0), 0);
	EQUAL(vpit_create(&vm, 0), -EEXIST);
	EQUAL(in8(0x61), -1);
	vm_end();
}

static void pit_counts_down(void)
{
	pit_setup();
	pit_program(2, 0, 0x8000);
	EQUAL(pit_latched(2), 0x8000);
	clock_advance(10 * MS);
	EQUAL(pit_latched(2), 0x8000 - 11931);
	/* Mode 0 goes on below zero. */
	clock_advance(20 * MS);
	EQUAL(pit_latched(2), (0x8000 - 35795) & 0xffff);
	vm_end();
}

static void pit_latch_holds(void)
{
	pit_setup();
	pit_program(2, 2, 0x8000);
	out8(0x43, 0x80);
	clock_advance(5 * MS);
	out8(0x43, 0x80);	/* the first latch stays until it is read */
	EQUAL(in8(0x42), 0);
	EQUAL(in8(0x42), 0x80);
	EQUAL(pit_latched(2), 0x8000 - 5965);
	vm_end();
}

static void pit_read_back(void)
{
	pit_setup();
	pit_program(2, 3, 0x1000);
	out8(0x43, 0xc8);	/* status and count of channel 2 */
	EQUAL(in8(0x42), 0xb6);
	EQUAL(in8(0x42), 0);
	EQUAL(in8(0x42), 0x10);
	out8(0x43, 0xe8);	/* status alone */
	clock_advance(2 * MS);
	EQUAL(in8(0x42), 0xb6);
	out8(0x43, 0xe8);
	EQUAL(in8(0x42), 0x36);	/* second half of the square wave */
	EQUAL(in8(0x43), 0);
	vm_end();
}

static void pit_byte_access(void)
{
	pit_setup();
	out8(0x43, 0x94);	/* channel 2, low byte only, mode 2 */
	out8(0x42, 0x40);
	EQUAL(in8(0x42), 0x40);
	EQUAL(in8(0x42), 0x40);
	out8(0x43, 0xa4);	/* high byte only */
	out8(0x42, 0x40);
	EQUAL(in8(0x42), 0x40);
	out8(0x43, 0xbe);	/* mode 7 is mode 3 */
	out8(0x43, 0xe8);
	EQUAL(in8(0x42) & 0x0e, 0x06);
	vm_end();
}

static void pit_speaker(void)
{
	pit_setup();
	EQUAL(in8(0x61) & 3, 0);
	pit_program(2, 0, 11932);
	out8(0x61, 1);
	EQUAL(in8(0x61) & 0x23, 1);
	clock_advance(11 * MS);
	EQUAL(in8(0x61) & 0x23, 0x21);
	/* Mode 1 begins again with a rising gate. */
	out8(0x61, 2);
	pit_program(2, 1, 11932);
	clock_advance(11 * MS);
	EQUAL(in8(0x61) & 0x23, 0x02);
	out8(0x61, 3);
	EQUAL(in8(0x61) & 0x23, 0x23);
	clock_advance(11 * MS);
	EQUAL(in8(0x61) & 0x23, 0x03);
	vm_end();
}

static void pit_refresh_toggles(void)
{
	int before;

	pit_setup();
	before = in8(0x61) & 0x10;
	clock_advance(1 << 14);
	EQUAL(in8(0x61) & 0x10, before ^ 0x10);
	vm_end();
}

static void pit_one_shot(void)
{
	pit_setup();
	pit_program(0, 0, 11932);
	clock_advance(9 * MS);
	EQUAL(take(0), -1);
	clock_advance(2 * MS);
	CHECK(told(0));
	EQUAL(take(0), 0x20);
	out8(0x20, 0x20);
	clock_advance(100 * MS);
	EQUAL(take(0), -1);
	vm_end();
}

static unsigned int ticks_seen(unsigned int ms)
{
	unsigned int i, n = 0;

	for (i = 0; i < ms; i++) {
		clock_advance(MS);
		if (take(0) == 0x20) {
			n++;
			out8(0x20, 0x20);
		}
	}
	return n;
}

static void pit_periodic(void)
{
	pit_setup();
	pit_program(0, 2, 11932);
	EQUAL(ticks_seen(1000), 99);
	vm_end();
}

static void pit_reinjects(void)
{
	struct kvm_reinject_control control = { .pit_reinject = 0 };
	unsigned int n = 0;

	pit_setup();
	pit_program(0, 2, 11932);
	clock_advance(105 * MS);	/* ten ticks while the guest looks elsewhere */
	while (take(0) == 0x20) {
		n++;
		out8(0x20, 0x20);
	}
	EQUAL(n, 10);

	EQUAL(vpit_reinject(&vm, &control), 0);
	clock_advance(100 * MS);
	for (n = 0; take(0) == 0x20; n++)
		out8(0x20, 0x20);
	EQUAL(n, 1);
	vm_end();
}

static void pit_reinjects_by_ioapic(void)
{
	unsigned int n = 0;

	pit_setup();
	apic_write(0, APIC_LVT0, APIC_LVT_MASKED);
	ioapic_entry(0, 0x30, 0);
	pit_program(0, 2, 11932);
	clock_advance(105 * MS);
	while (take_and_eoi(0) == 0x30)
		n++;
	EQUAL(n, 10);
	vm_end();
}

static void pit_unmasking_forgets(void)
{
	unsigned int n = 0;

	pit_setup();
	out8(0x21, 0xff);
	pit_program(0, 2, 11932);
	clock_advance(105 * MS);
	out8(0x21, 0xfe);
	for (; take(0) == 0x20; n++)
		out8(0x20, 0x20);
	EQUAL(n, 1);	/* the edge the PIC remembers */
	vm_end();
}

static void pit_short_period_is_limited(void)
{
	unsigned int before;

	pit_setup();
	before = clock_nr_callbacks;
	pit_program(0, 2, 1);
	clock_advance(10 * MS);
	CHECK(clock_nr_callbacks - before <= 52);
	vm_end();
}

static void pit_state_round_trip(void)
{
	struct kvm_pit_state2 state, again;

	pit_setup();
	EQUAL(vpit_get(&vm, &state), 0);
	EQUAL(state.channels[0].mode, 0xff);
	EQUAL(state.channels[0].count, 0x10000);
	EQUAL(state.channels[0].gate, 1);
	EQUAL(state.channels[2].gate, 0);
	pit_program(0, 2, 11932);
	out8(0x61, 3);
	EQUAL(vpit_get(&vm, &state), 0);
	EQUAL(state.flags, KVM_PIT_FLAGS_SPEAKER_DATA_ON);
	EQUAL(state.channels[0].count, 11932);
	pit_program(0, 0, 1);
	EQUAL(vpit_set(&vm, &state), 0);
	EQUAL(vpit_get(&vm, &again), 0);
	EQUAL(memcmp(&again.channels[0], &state.channels[0], sizeof(state.channels[0])), 0);
	EQUAL(ticks_seen(1000), 99);
	vm_end();
}

static void pit_hpet_takes_over(void)
{
	struct kvm_pit_state2 state;

	pit_setup();
	pit_program(0, 2, 11932);
	EQUAL(vpit_get(&vm, &state), 0);
	state.flags |= KVM_PIT_FLAGS_HPET_LEGACY;
	EQUAL(vpit_set(&vm, &state), 0);
	EQUAL(ticks_seen(100), 0);
	pit_program(0, 2, 11932);
	EQUAL(ticks_seen(100), 0);
	EQUAL(vpit_get(&vm, &state), 0);
	EQUAL(state.channels[0].mode, 2);
	state.flags &= ~KVM_PIT_FLAGS_HPET_LEGACY;
	EQUAL(vpit_set(&vm, &state), 0);
	EQUAL(ticks_seen(1000), 99);
	vm_end();
}

static void pit_hostile_state(void)
{
	struct kvm_pit_state2 state;
	unsigned int i;

	pit_setup();
	memset(&state, 0xff, sizeof(state));
	state.flags = 0;
	EQUAL(vpit_set(&vm, &state), 0);
	for (i = 0; i < 0x400; i++) {
		out8(0x40 + (i * 5 & 3), i);
		in8(0x40 + (i & 3));
		in8(0x61);
		clock_advance(i * 1000);
	}
	vm_end();
}

static void pit_feeds_lint0_nmis(void)
{
	pit_setup();
	apic_write(0, APIC_LVT0, 0x400);
	pit_program(0, 2, 11932);
	clock_advance(105 * MS);
	CHECK(cpu(0)->nr_nmis > 0);
	apic_write(0, APIC_LVT0, 0x700);
	EQUAL(atomic_read(&vm.lint0_nmi), 0);
	vm_end();
}

static void pit_feeds_many_nmis(void)
{
	unsigned int i;

	pit_setup();
	for (i = 1; i < 80; i++) {
		vm_add_vcpu(i);
		apic_write(i, APIC_SPIV, 0x1ff);
		apic_write(i, APIC_LVT0, 0x400);
	}
	pit_program(0, 2, 11932);
	clock_advance(105 * MS);
	EQUAL(cpu(79)->nr_nmis, 0);
	CHECK(run_work() > 0);
	CHECK(cpu(79)->nr_nmis > 0);
	vm_end();
}

static void pit_absent(void)
{
	struct kvm_reinject_control control = {};
	struct kvm_pit_state2 state = {};

	vm_begin(1);
	EQUAL(vpit_get(&vm, &state), -ENXIO);
	EQUAL(vpit_set(&vm, &state), -ENXIO);
	EQUAL(vpit_reinject(&vm, &control), -ENXIO);
	vm_end();
}

void test_pit(void)
{
	TEST(pit_arithmetic);
	TEST(pit_creation);
	TEST(pit_counts_down);
	TEST(pit_latch_holds);
	TEST(pit_read_back);
	TEST(pit_byte_access);
	TEST(pit_speaker);
	TEST(pit_refresh_toggles);
	TEST(pit_one_shot);
	TEST(pit_periodic);
	TEST(pit_reinjects);
	TEST(pit_reinjects_by_ioapic);
	TEST(pit_unmasking_forgets);
	TEST(pit_short_period_is_limited);
	TEST(pit_state_round_trip);
	TEST(pit_hpet_takes_over);
	TEST(pit_hostile_state);
	TEST(pit_feeds_lint0_nmis);
	TEST(pit_feeds_many_nmis);
	TEST(pit_absent);
}
