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
	vcpu->tsc_offset = offset;
	vcpu_request(vcpu, REQ_TSC);
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
	vm->tsc_last_write = value;
	vm->tsc_last_nsec = now;
	vm->tsc_last_khz = vcpu->tsc_khz;
	vm->tsc_last_offset = offset;
	set_offset(vcpu, offset);
	raw_spin_unlock_irqrestore(&vm->tsc_lock, flags);
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
	/* The VM's default has been checked when it was set. */
	vcpu_set_tsc_khz(vcpu, READ_ONCE(vcpu->vm->default_tsc_khz));
	if (!vcpu->tsc_khz)
		vcpu->tsc_khz = hw.tsc_khz;
	synchronize(vcpu, 0, false);
}
