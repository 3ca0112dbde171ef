/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The logic of an 8254 interval timer's channels, as pure functions of state and of the time since
 * loading.
 * This header must not need more than integer types and KVM's public header: it is tested in user
 * space.
 */
#ifndef IRQ_PIT8254_H
#define IRQ_PIT8254_H

#include <linux/kvm.h>
#include <linux/types.h>

#define PIT_CHANNELS	3
#define PIT_HZ		1193181
#define PIT_MODE_NONE	0xff	/* after reset: not programmed */

/* Control word */
#define PIT_SELECT(word)	((word) >> 6)
#define PIT_READ_BACK		3
#define PIT_BACK_NO_COUNT	0x20
#define PIT_BACK_NO_STATUS	0x10

/* pit8254_ticks() - clock ticks in @ns nanoseconds, at most 2^63. */
u64 pit8254_ticks(s64 ns);

/* pit8254_ns() - nanoseconds that @count ticks take. */
u64 pit8254_ns(u32 count);

/* pit8254_count() - the counter's value @elapsed nanoseconds after it was loaded. */
u16 pit8254_count(const struct kvm_pit_channel_state *c, s64 elapsed);

/* pit8254_out() - the OUT pin at that time. */
bool pit8254_out(const struct kvm_pit_channel_state *c, s64 elapsed);

/* pit8254_latch_count() - Counter Latch Command; nothing while an earlier one was not read. */
void pit8254_latch_count(struct kvm_pit_channel_state *c, s64 elapsed);
/* pit8254_latch_status() - Read-Back Command for the status. */
void pit8254_latch_status(struct kvm_pit_channel_state *c, s64 elapsed);

/* pit8254_control() - a control word for this channel, other than Read-Back. */
void pit8254_control(struct kvm_pit_channel_state *c, u8 word, s64 elapsed);

/**
 * pit8254_write() - a byte to the channel's port
 * @c: channel
 * @value: the byte
 * @count: the count as far as it is complete
 * Return: whether it is: the caller loads it, 0 meaning 65536.
 */
bool pit8254_write(struct kvm_pit_channel_state *c, u8 value, u32 *count);

/* pit8254_read_latched() - a byte of what is latched. Return: false when nothing is. */
bool pit8254_read_latched(struct kvm_pit_channel_state *c, u8 *value);
/* pit8254_read() - a byte of the running count. */
u8 pit8254_read(struct kvm_pit_channel_state *c, s64 elapsed);

/* pit8254_gate_restarts() - does this new level of the gate make the counter begin again? */
bool pit8254_gate_restarts(const struct kvm_pit_channel_state *c, u8 gate);

/* pit8254_is_periodic() - does channel 0 interrupt again and again in this mode? */
static inline bool pit8254_is_periodic(u8 mode)
{
	return mode == 2 || mode == 3;
}

/* pit8254_is_one_shot() - does it interrupt once? In neither case, it does not at all. */
static inline bool pit8254_is_one_shot(u8 mode)
{
	return mode == 0 || mode == 1 || mode == 4;
}

#endif
