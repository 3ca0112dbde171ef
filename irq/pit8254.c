// SPDX-License-Identifier: GPL-2.0-only
/*
 * 8254 channels: counting, latching and the order of bytes, after Intel's data sheet and KVM's
 * choices.
 * This file must not read a clock, lock or set a timer: its owner does.
 */
#include "pit8254.h"

#define NS_PER_S	1000000000ULL

/* Which byte comes next at a port; WORD0 is also the access mode "low, then high". */
enum rw_state { RW_LOW = 1, RW_HIGH, RW_WORD0, RW_WORD1 };

u64 pit8254_ticks(s64 ns)
{
	u64 t = ns < 0 ? 0 : ns;

	/* Exact, and without a product of more than 64 bits. */
	return t / NS_PER_S * PIT_HZ + t % NS_PER_S * PIT_HZ / NS_PER_S;
}

u64 pit8254_ns(u32 count)
{
	return count * NS_PER_S / PIT_HZ;
}

u16 pit8254_count(const struct kvm_pit_channel_state *c, s64 elapsed)
{
	u64 ticks = pit8254_ticks(elapsed);

	switch (c->mode) {
	case 0:
	case 1:
	case 4:
	case 5:
		/* Counts on through zero. */
		return c->count - ticks;
	case 3:
		/* Counts by two, twice a period. */
		return c->count - 2 * ticks % c->count;
	default:
		return c->count - ticks % c->count;
	}
}

bool pit8254_out(const struct kvm_pit_channel_state *c, s64 elapsed)
{
	u64 ticks = pit8254_ticks(elapsed);

	switch (c->mode) {
	case 1:
		return ticks < c->count;
	case 2:
		return ticks && ticks % c->count == 0;
	case 3:
		return ticks % c->count < ((u64)c->count + 1) / 2;
	case 4:
	case 5:
		return ticks == c->count;
	default:
		return ticks >= c->count;
	}
}

void pit8254_latch_count(struct kvm_pit_channel_state *c, s64 elapsed)
{
	if (c->count_latched)
		return;
	c->latched_count = pit8254_count(c, elapsed);
	c->count_latched = c->rw_mode;
}

void pit8254_latch_status(struct kvm_pit_channel_state *c, s64 elapsed)
{
	if (c->status_latched)
		return;
	/* A count is loaded at once, so "null count" (bit 6) is never seen. */
	c->status = pit8254_out(c, elapsed) << 7 | c->rw_mode << 4 | c->mode << 1 | c->bcd;
	c->status_latched = 1;
}

void pit8254_control(struct kvm_pit_channel_state *c, u8 word, s64 elapsed)
{
	u8 access = word >> 4 & 3;

	if (!access) {
		pit8254_latch_count(c, elapsed);
		return;
	}
	c->rw_mode = access;
	c->read_state = access;
	c->write_state = access;
	c->mode = word >> 1 & 7;
	/* Modes 6 and 7 are 2 and 3. */
	if (c->mode > 5)
		c->mode -= 4;
	/* Kept for the status byte; counts are binary whatever it says. */
	c->bcd = word & 1;
}

bool pit8254_write(struct kvm_pit_channel_state *c, u8 value, u32 *count)
{
	switch (c->write_state) {
	case RW_HIGH:
		*count = value << 8;
		return true;
	case RW_WORD0:
		c->write_latch = value;
		c->write_state = RW_WORD1;
		return false;
	case RW_WORD1:
		*count = c->write_latch | value << 8;
		c->write_state = RW_WORD0;
		return true;
	default:
		*count = value;
		return true;
	}
}

bool pit8254_read_latched(struct kvm_pit_channel_state *c, u8 *value)
{
	if (c->status_latched) {
		c->status_latched = 0;
		*value = c->status;
		return true;
	}
	switch (c->count_latched) {
	case 0:
		return false;
	case RW_HIGH:
		*value = c->latched_count >> 8;
		c->count_latched = 0;
		break;
	case RW_WORD0:
		*value = c->latched_count;
		c->count_latched = RW_HIGH;
		break;
	default:
		*value = c->latched_count;
		c->count_latched = 0;
		break;
	}
	return true;
}

u8 pit8254_read(struct kvm_pit_channel_state *c, s64 elapsed)
{
	u16 count = pit8254_count(c, elapsed);

	switch (c->read_state) {
	case RW_HIGH:
		return count >> 8;
	case RW_WORD0:
		c->read_state = RW_WORD1;
		return count;
	case RW_WORD1:
		c->read_state = RW_WORD0;
		return count >> 8;
	default:
		return count;
	}
}

bool pit8254_gate_restarts(const struct kvm_pit_channel_state *c, u8 gate)
{
	switch (c->mode) {
	case 1:
	case 2:
	case 3:
	case 5:
		return c->gate < gate;
	default:
		return false;
	}
}
