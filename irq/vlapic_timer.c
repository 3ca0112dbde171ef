// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC's timer on an hrtimer: one-shot, periodic and TSC-deadline.
 * This file must not touch registers but those of the timer.
 */
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <linux/time64.h>
#include <asm/tsc.h>

#include "compat.h"
#include "internal.h"

#define TIMER_MODE	HRTIMER_MODE_ABS_PINNED_HARD

/*
 * No deadline is slept for longer than this at a time; keeps the arithmetic below within 64 bits.
 */
#define DEADLINE_MAX_SLEEP_NS	(60 * NSEC_PER_SEC)

static struct vlapic *timer_apic(struct hrtimer *hrtimer)
{
	return container_of(hrtimer, struct vlapic, timer.hrtimer);
}

/* Let the vCPU turn the expiry into an interrupt. From its own thread it needs no kick. */
static void vlapic_timer_expired(struct vlapic *apic, bool kick)
{
	if (atomic_read(&apic->timer.pending))
		return;
	atomic_set(&apic->timer.pending, 1);
	vcpu_request(apic->vcpu, REQ_EVENT);
	if (kick)
		vcpu_kick(apic->vcpu);
}

/* Nanoseconds until the guest's TSC reaches @deadline, 0 when it has. */
static u64 deadline_ns(const struct vlapic *apic, u64 deadline)
{
	u32 khz = apic->vcpu->tsc_khz;
	u64 now = vcpu_tsc_at(apic->vcpu, rdtsc()), cycles = deadline - now;

	if (deadline <= now || unlikely(!khz))
		return 0;
	if (unlikely(cycles >= (u64)khz * (DEADLINE_MAX_SLEEP_NS / NSEC_PER_MSEC)))
		return DEADLINE_MAX_SLEEP_NS;
	/* Up, or the timer would come a little before the deadline and be armed once more. */
	return div_u64(cycles * NSEC_PER_MSEC, khz) + 1;
}

static void deadline_arm(struct vlapic *apic, u64 deadline)
{
	struct vlapic_timer *timer = &apic->timer;

	timer->armed_tsc = deadline;
	timer->armed_offset = READ_ONCE(apic->vcpu->tsc_offset);
	timer->armed_khz = READ_ONCE(apic->vcpu->tsc_khz);
	/* Who sees it armed sees for when; pairs with the load in deadline_covered(). */
	smp_store_release(&timer->armed, 1);
}

/*
 * The guest may have moved its deadline to a later time, or away, since the hrtimer was queued:
 * that costs it a store, and us a look here.
 */
static enum hrtimer_restart deadline_fired(struct vlapic *apic)
{
	struct vlapic_timer *timer = &apic->timer;
	u64 deadline, ns;
	ktime_t now;

	/*
	 * Full barrier before the deadline is read; pairs with smp_mb() in
	 * vlapic_set_tscdeadline().
	 */
	xchg(&timer->armed, 0);
	deadline = READ_ONCE(timer->deadline);
	if (!deadline)
		return HRTIMER_NORESTART;
	now = ktime_get();
	ns = deadline_ns(apic, deadline);
	if (ns) {
		deadline_arm(apic, deadline);
		hrtimer_set_expires(&timer->hrtimer, ktime_add_ns(now, ns));
		return HRTIMER_RESTART;
	}
	vlapic_timer_expired(apic, true);
	return HRTIMER_NORESTART;
}

static enum hrtimer_restart vlapic_timer_fired(struct hrtimer *hrtimer)
{
	struct vlapic *apic = timer_apic(hrtimer);
	struct vlapic_timer *timer = &apic->timer;
	u32 mode = READ_ONCE(timer->mode);

	if (mode == APIC_LVT_TIMER_TSCDEADLINE)
		return deadline_fired(apic);
	vlapic_timer_expired(apic, true);
	if (mode != APIC_LVT_TIMER_PERIODIC || !timer->period)
		return HRTIMER_NORESTART;
	/* Ticks missed while the host was away are lost: the guest gets one for all of them. */
	hrtimer_forward_now(hrtimer, ns_to_ktime(timer->period));
	timer->target = hrtimer_get_expires(hrtimer);
	return HRTIMER_RESTART;
}

/* ---- TSC-deadline ---- */

static void deadline_start(struct vlapic *apic)
{
	struct vlapic_timer *timer = &apic->timer;
	ktime_t now;
	u64 ns;

	hrtimer_cancel(&timer->hrtimer);
	atomic_set(&timer->pending, 0);
	timer->armed = 0;
	if (!timer->deadline)
		return;
	/*
	 * The host's clock first: if we are preempted in between, the timer comes early and looks
	 * again.
	 */
	now = ktime_get();
	ns = deadline_ns(apic, timer->deadline);
	if (!ns) {
		vlapic_timer_expired(apic, false);
		return;
	}
	deadline_arm(apic, timer->deadline);
	hrtimer_start(&timer->hrtimer, ktime_add_ns(now, ns), TIMER_MODE);
}

/*
 * The hrtimer will fire by the time the guest's TSC reaches @deadline; its callback sees to the
 * rest.
 */
static bool deadline_covered(const struct vlapic *apic, u64 deadline)
{
	const struct vlapic_timer *timer = &apic->timer;

	/* Pairs with smp_store_release() in deadline_arm(). */
	if (!smp_load_acquire(&timer->armed))
		return false;
	if (timer->armed_offset != apic->vcpu->tsc_offset ||
	    timer->armed_khz != apic->vcpu->tsc_khz)
		return false;
	/* No deadline, which is 0, comes after all others. */
	return deadline - 1 >= READ_ONCE(timer->armed_tsc) - 1;
}

u64 vlapic_get_tscdeadline(struct vcpu *vcpu)
{
	struct vlapic *apic = vcpu->lapic;

	if (!apic || !apic->hw_enabled || apic->timer.mode != APIC_LVT_TIMER_TSCDEADLINE)
		return 0;
	return apic->timer.deadline;
}

void vlapic_set_tscdeadline(struct vcpu *vcpu, u64 value)
{
	struct vlapic *apic = vcpu->lapic;
	struct vlapic_timer *timer;

	if (!apic || !apic->hw_enabled || apic->timer.mode != APIC_LVT_TIMER_TSCDEADLINE)
		return;
	timer = &apic->timer;
	atomic_set(&timer->pending, 0);
	WRITE_ONCE(timer->deadline, value);
	/*
	 * Pairs with xchg() in deadline_fired(): either it sees the new deadline, or we see it at
	 * work and do things the long way.
	 */
	smp_mb();
	if (!deadline_covered(apic, value))
		deadline_start(apic);
}

/* ---- One-shot and periodic ---- */

/* Far beyond what a bus of 1 GHz can ask for: 146 years, which may be added to the time. */
#define TIMER_MAX_PERIOD_NS	(S64_MAX / 2)

/* The divisor includes the length of a bus cycle: a count is that many nanoseconds. */
static u64 count_ns(const struct vlapic_timer *timer, u32 count)
{
	return min_t(u64, count * timer->divide, TIMER_MAX_PERIOD_NS);
}

static void vlapic_timer_limit(struct vlapic_timer *timer)
{
	if (timer->mode == APIC_LVT_TIMER_PERIODIC && timer->period &&
	    timer->period < TIMER_MIN_PERIOD_NS)
		timer->period = TIMER_MIN_PERIOD_NS;
}

/* Run to timer->target. */
static void count_start(struct vlapic *apic)
{
	struct vlapic_timer *timer = &apic->timer;
	ktime_t now = ktime_get();

	if (ktime_after(now, timer->target)) {
		vlapic_timer_expired(apic, false);
		if (timer->mode == APIC_LVT_TIMER_ONESHOT)
			return;
		timer->target = ktime_add_ns(now, timer->period);
	}
	hrtimer_start(&timer->hrtimer, timer->target, TIMER_MODE);
}

static void count_begin(struct vlapic *apic, u64 first_ns)
{
	struct vlapic_timer *timer = &apic->timer;

	timer->target = ktime_add_ns(ktime_get(), first_ns);
	count_start(apic);
}

/* What the initial count says; false when that is that the timer stands still. */
static bool count_setup(struct vlapic *apic)
{
	struct vlapic_timer *timer = &apic->timer;

	timer->period = count_ns(timer, vlapic_reg(apic, APIC_TMICT));
	vlapic_timer_limit(timer);
	return timer->period && (timer->mode == APIC_LVT_TIMER_ONESHOT ||
				 timer->mode == APIC_LVT_TIMER_PERIODIC);
}

void vlapic_timer_set_initial(struct vlapic *apic, u32 value)
{
	if (apic->timer.mode == APIC_LVT_TIMER_TSCDEADLINE)
		return;
	vlapic_timer_stop(apic);
	vlapic_set_reg(apic, APIC_TMICT, value);
	if (count_setup(apic))
		count_begin(apic, apic->timer.period);
}

static u64 count_remaining(const struct vlapic_timer *timer)
{
	s64 ns = ktime_to_ns(ktime_sub(timer->target, ktime_get()));

	return max_t(s64, ns, 0);
}

u32 vlapic_timer_current(const struct vlapic *apic)
{
	const struct vlapic_timer *timer = &apic->timer;

	if (timer->mode == APIC_LVT_TIMER_TSCDEADLINE || !timer->period ||
	    !vlapic_reg(apic, APIC_TMICT))
		return 0;
	return div64_u64(count_remaining(timer) % timer->period, timer->divide);
}

/*
 * "Divide Configuration Register": bits 3, 1 and 0 are one number, whose wrap-around divides by 1.
 */
static void vlapic_timer_read_divide(struct vlapic *apic)
{
	u32 value = vlapic_reg(apic, APIC_TDCR);

	value = (value & 3) | (value & 8) >> 1;
	apic->timer.divide = (u64)apic->vcpu->vm->apic_cycle_ns << ((value + 1) & 7);
}

void vlapic_timer_set_divide(struct vlapic *apic, u32 value)
{
	struct vlapic_timer *timer = &apic->timer;
	u64 remaining, old = timer->divide;

	vlapic_set_reg(apic, APIC_TDCR, value & 0xb);
	vlapic_timer_read_divide(apic);
	if (timer->divide == old || !timer->period)
		return;
	/* What is left of the count goes on at the new speed. */
	hrtimer_cancel(&timer->hrtimer);
	remaining = count_remaining(timer);
	if (!count_setup(apic) ||
	    (timer->mode == APIC_LVT_TIMER_ONESHOT && atomic_read(&timer->pending)))
		return;
	count_begin(apic, mul_u64_u64_div_u64(remaining, timer->divide, old));
}

/* ---- Mode, reset, restoring ---- */

u32 vlapic_timer_mode_mask(const struct vlapic *apic)
{
	if (guest_has(apic->vcpu, GF_TSC_DEADLINE))
		return APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE;
	return APIC_LVT_TIMER_PERIODIC;
}

void vlapic_timer_stop(struct vlapic *apic)
{
	hrtimer_cancel(&apic->timer.hrtimer);
	apic->timer.armed = 0;
	atomic_set(&apic->timer.pending, 0);
}

void vlapic_timer_forget(struct vlapic *apic)
{
	atomic_set(&apic->timer.pending, 0);
}

/*
 * LVT timer was written. Between deadline and counting, "TSC-Deadline Mode" says, the timer is
 * disarmed.
 */
void vlapic_timer_mode_changed(struct vlapic *apic)
{
	struct vlapic_timer *timer = &apic->timer;
	u32 mode = vlapic_reg(apic, APIC_LVTT) & vlapic_timer_mode_mask(apic);

	if (mode == timer->mode)
		return;
	if (mode == APIC_LVT_TIMER_TSCDEADLINE || timer->mode == APIC_LVT_TIMER_TSCDEADLINE) {
		vlapic_timer_stop(apic);
		vlapic_set_reg(apic, APIC_TMICT, 0);
		timer->period = 0;
		timer->deadline = 0;
	}
	WRITE_ONCE(timer->mode, mode);
	vlapic_timer_limit(timer);
}

void vlapic_timer_reset(struct vlapic *apic)
{
	vlapic_timer_stop(apic);
	vlapic_set_reg(apic, APIC_TDCR, 0);
	vlapic_set_reg(apic, APIC_TMICT, 0);
	apic->timer.period = 0;
	vlapic_timer_read_divide(apic);
}

/* Where a restored count begins. None left: a periodic timer begins anew, a one-shot one is due. */
static u64 count_restored(const struct vlapic_timer *timer, u32 current_count)
{
	u64 ns = count_ns(timer, current_count);

	if (!ns)
		return timer->mode == APIC_LVT_TIMER_PERIODIC ? timer->period : 0;
	return min(ns, timer->period);
}

/*
 * KVM_SET_LAPIC has written the registers; the hrtimer is stopped. Current count tells how much
 * was left.
 */
void vlapic_timer_restore(struct vlapic *apic)
{
	struct vlapic_timer *timer = &apic->timer;
	u32 current_count = vlapic_reg(apic, APIC_TMCCT);

	vlapic_set_reg(apic, APIC_TMCCT, 0);
	vlapic_timer_mode_changed(apic);
	vlapic_timer_read_divide(apic);
	if (timer->mode == APIC_LVT_TIMER_TSCDEADLINE)
		deadline_start(apic);
	else if (count_setup(apic))
		count_begin(apic, count_restored(timer, current_count));
}

void vlapic_timer_init(struct vlapic *apic)
{
	vlapic_timer_read_divide(apic);
	compat_hrtimer_setup(&apic->timer.hrtimer, vlapic_timer_fired, CLOCK_MONOTONIC, TIMER_MODE);
}

/* ---- What the run loop asks ---- */

/* A timer that expired while masked interrupts once it is unmasked, as KVM's does. */
bool vlapic_timer_pending(struct vcpu *vcpu)
{
	struct vlapic *apic = vcpu->lapic;

	return apic && atomic_read(&apic->timer.pending) && vlapic_usable(apic) &&
	       !(vlapic_reg(apic, APIC_LVTT) & APIC_LVT_MASKED);
}

void vlapic_timer_inject(struct vcpu *vcpu)
{
	struct vlapic *apic = vcpu->lapic;

	if (!vlapic_timer_pending(vcpu))
		return;
	vlapic_deliver_lvt(apic, APIC_LVTT, apic);
	if (apic->timer.mode == APIC_LVT_TIMER_TSCDEADLINE)
		apic->timer.deadline = 0;
	else if (apic->timer.mode == APIC_LVT_TIMER_ONESHOT)
		apic->timer.target = 0;
	atomic_set(&apic->timer.pending, 0);
}

void vlapic_timer_migrate(struct vcpu *vcpu)
{
	struct vlapic *apic = vcpu->lapic;

	if (!apic)
		return;
	if (hrtimer_cancel(&apic->timer.hrtimer))
		hrtimer_start_expires(&apic->timer.hrtimer, TIMER_MODE);
	if (!vcpu->id)
		vpit_migrate(vcpu->vm);
}
