// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's time-stamp counter: frequency, offset, and keeping the counters of a VM's vCPUs in
 * step.
 * This file must not write the VMCS; REQ_TSC makes vmx/run.c do so before the next entry.
 */
#include <linux/math64.h>
#include <linux/ktime.h>
#include <asm/msr.h>
#include <asm/tsc.h>

#include "guest_state.h"

/* A frequency this near to the host's is taken for the host's. */
#define TSC_TOLERANCE_PPM	250

static u64 scale(const struct vcpu *vcpu, u64 tsc)
{
	return vcpu->tsc_ratio ? mul_u64_u64_shr(tsc, vcpu->tsc_ratio, hw.tsc_frac_bits) : tsc;
}

u64 vcpu_tsc_at(struct vcpu *vcpu, u64 host_tsc)
{
	return scale(vcpu, host_tsc) + vcpu->tsc_offset;
}

u64 vcpu_read_tsc(struct vcpu *vcpu)
{
	return vcpu_tsc_at(vcpu, rdtsc());
}

static void set_offset(struct vcpu *vcpu, u64 offset)
{
	WRITE_ONCE(vcpu->tsc_offset, offset);
	vcpu_request(vcpu, REQ_TSC);
	pvclock_tsc_changed(vcpu);
}

static bool near_host(u32 khz)
{
	u32 tolerance = div_u64((u64)hw.tsc_khz * TSC_TOLERANCE_PPM, 1000000);

	return khz >= hw.tsc_khz - tolerance && khz <= hw.tsc_khz + tolerance;
}

int vcpu_set_tsc_khz(struct vcpu *vcpu, u32 khz)
{
	u64 ratio = 0;

	if (!khz)
		khz = hw.tsc_khz;
	if (!near_host(khz)) {
		if (!hw.tsc_scaling)
			return vcpu_refuse(vcpu, -EINVAL, "the CPU cannot scale the TSC", khz);
		ratio = mul_u64_u32_div(1ull << hw.tsc_frac_bits, khz, hw.tsc_khz);
		if (!ratio || ratio >= hw.tsc_max_ratio)
			return vcpu_refuse(vcpu, -EINVAL,
					   "TSC frequency out of the range of scaling", khz);
	}
	vcpu->tsc_ratio = ratio;
	vcpu->tsc_khz = khz;
	vcpu_request(vcpu, REQ_TSC);
	pvclock_tsc_changed(vcpu);
	return 0;
}

/*
 * User space sets the counters of a VM's vCPUs one after the other and means them equal. So a write
 * within a second of where the last one would be by now, in guest cycles, and a write of 0 always,
 * gets that one's offset. The very first value of user space is not corrected: it may restore a VM
 * that was less than a second old.
 */
static bool in_step(const struct vcpu *vcpu, u64 value, u64 elapsed_ns)
{
	const struct vm *vm = vcpu->vm;
	u64 second = vcpu->tsc_khz * 1000ull, expected;

	if (vm->tsc_last_khz != vcpu->tsc_khz)
		return false;
	if (!value)
		return true;
	if (!vm->tsc_user_set)
		return false;
	expected = vm->tsc_last_write + mul_u64_u32_div(elapsed_ns, vcpu->tsc_khz, USEC_PER_SEC);
	return value < expected + second && value + second > expected;
}

/* vm->tsc_lock held: what the next writer's value is compared with. */
static void remember_write(struct vcpu *vcpu, u64 value, u64 offset, u64 now)
{
	struct vm *vm = vcpu->vm;

	vm->tsc_last_write = value;
	vm->tsc_last_nsec = now;
	vm->tsc_last_khz = vcpu->tsc_khz;
	vm->tsc_last_offset = offset;
	set_offset(vcpu, offset);
}

static void synchronize(struct vcpu *vcpu, u64 value, bool user)
{
	struct vm *vm = vcpu->vm;
	u64 offset, now, elapsed;
	unsigned long flags;

	raw_spin_lock_irqsave(&vm->tsc_lock, flags);
	offset = value - scale(vcpu, rdtsc());
	now = ktime_get_boottime_ns();
	elapsed = now - vm->tsc_last_nsec;
	if (in_step(vcpu, value, elapsed)) {
		if (!check_tsc_unstable()) {
			offset = vm->tsc_last_offset;
		} else {
			/*
			 * Offsets of CPUs that drift apart mean nothing to each other; elapsed time
			 * does.
			 */
			value += mul_u64_u32_div(elapsed, vcpu->tsc_khz, USEC_PER_SEC);
			offset = value - scale(vcpu, rdtsc());
		}
	}
	vm->tsc_user_set |= user;
	remember_write(vcpu, value, offset, now);
	raw_spin_unlock_irqrestore(&vm->tsc_lock, flags);
}

void vcpu_set_tsc_offset(struct vcpu *vcpu, u64 offset)
{
	struct vm *vm = vcpu->vm;
	unsigned long flags;

	raw_spin_lock_irqsave(&vm->tsc_lock, flags);
	vm->tsc_user_set = true;
	remember_write(vcpu, scale(vcpu, rdtsc()) + offset, offset, ktime_get_boottime_ns());
	raw_spin_unlock_irqrestore(&vm->tsc_lock, flags);
}

/* ---- Hosts whose TSCs cannot be relied on ---- */

/* Host cycles that suspends took from the TSC, which began anew; written by the last CPU alone. */
static u64 lost_in_suspends;
static u64 tsc_at_suspend;

void tsc_host_suspend(void)
{
	tsc_at_suspend = rdtsc();
}

void tsc_host_resume(void)
{
	u64 now = rdtsc();

	if (now < tsc_at_suspend)
		WRITE_ONCE(lost_in_suspends, lost_in_suspends + tsc_at_suspend - now);
	pvclock_host_resumed();
}

/* The first to come moves what later writers are compared with as well. */
static noinline void make_up_for_suspend(struct vcpu *vcpu)
{
	u64 lost = READ_ONCE(lost_in_suspends), cycles = scale(vcpu, lost - vcpu->tsc_lost);
	struct vm *vm = vcpu->vm;
	unsigned long flags;

	vcpu->tsc_lost = lost;
	raw_spin_lock_irqsave(&vm->tsc_lock, flags);
	if (vm->tsc_last_offset == vcpu->tsc_offset)
		vm->tsc_last_offset += cycles;
	set_offset(vcpu, vcpu->tsc_offset + cycles);
	raw_spin_unlock_irqrestore(&vm->tsc_lock, flags);
}

/* The counters of this host's CPUs drift apart or stop: time goes by the clock instead. */
static noinline void follow_clock(struct vcpu *vcpu)
{
	u64 elapsed = ktime_get_boottime_ns() - vcpu->ns_at_put;
	u64 target = vcpu->tsc_at_put + mul_u64_u32_div(elapsed, vcpu->tsc_khz, USEC_PER_SEC);

	set_offset(vcpu, target - scale(vcpu, rdtsc()));
}

void vcpu_tsc_load(struct vcpu *vcpu, bool moved)
{
	if (unlikely(vcpu->tsc_lost != READ_ONCE(lost_in_suspends)))
		make_up_for_suspend(vcpu);
	if (unlikely(check_tsc_unstable()) && vcpu->tsc_at_put)
		follow_clock(vcpu);
	if (moved && vcpu->pv.system_time && !READ_ONCE(vcpu->vm->clock.stable))
		vcpu_request(vcpu, REQ_CLOCK);
}

void vcpu_tsc_put(struct vcpu *vcpu)
{
	if (likely(!check_tsc_unstable()))
		return;
	vcpu->tsc_at_put = vcpu_read_tsc(vcpu);
	vcpu->ns_at_put = ktime_get_boottime_ns();
}

/*
 * "IA32_TSC_ADJUST Support": a guest's write to the counter moves IA32_TSC_ADJUST by as much, and
 * the other way round.
 */
void vcpu_write_tsc(struct vcpu *vcpu, u64 value, bool host)
{
	u64 moved;

	if (host) {
		synchronize(vcpu, value, true);
		return;
	}
	moved = value - vcpu_read_tsc(vcpu);
	vcpu->tsc_adjust += moved;
	set_offset(vcpu, vcpu->tsc_offset + moved);
}

void tsc_adjust_write(struct vcpu *vcpu, u64 value, bool host)
{
	/* User space restores the counter itself apart from this. */
	if (!host)
		set_offset(vcpu, vcpu->tsc_offset + value - vcpu->tsc_adjust);
	vcpu->tsc_adjust = value;
}

void tsc_vcpu_init(struct vcpu *vcpu)
{
	vcpu->tsc_lost = READ_ONCE(lost_in_suspends);
	/* The VM's default has been checked when it was set. */
	vcpu_set_tsc_khz(vcpu, READ_ONCE(vcpu->vm->default_tsc_khz));
	if (!vcpu->tsc_khz)
		vcpu->tsc_khz = hw.tsc_khz;
	synchronize(vcpu, 0, false);
}
