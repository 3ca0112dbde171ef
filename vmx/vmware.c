// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMware's backdoor, for guests whose tools look for it: two ports that user code may use whatever
 * IOPL and TSS say, and three counters that it may read whatever CR4.PCE says.
 * It must not answer at the ports; user space does.
 */
#include <linux/ktime.h>

#include "guest_state.h"
#include "pv.h"

enum { COUNTER_HOST_TSC = 0x10000, COUNTER_REAL_TIME, COUNTER_APPARENT_TIME };

/* Nanoseconds, but for the first. */
static bool read_counter(struct vcpu *vcpu, u32 index, u64 *value)
{
	struct kvm_clock_data clock = {};

	switch (index) {
	case COUNTER_HOST_TSC:
		*value = rdtsc();
		return true;
	case COUNTER_REAL_TIME:
		*value = ktime_get_boottime_ns();
		return true;
	case COUNTER_APPARENT_TIME:
		pvclock_get(vcpu->vm, &clock);
		*value = clock.clock;
		return true;
	}
	return false;
}

bool vmware_rdpmc(struct vcpu *vcpu)
{
	u64 value;

	if (!hw.vmware_backdoor || !read_counter(vcpu, vcpu->regs[REG_RCX], &value))
		return false;
	vcpu->regs[REG_RAX] = (u32)value;
	vcpu->regs[REG_RDX] = value >> 32;
	return true;
}

/*
 * #GP is intercepted for the backdoor alone. Its instructions have no error code, and a fault in
 * the delivery of an event is not theirs.
 */
int handle_protection_fault(struct vcpu *vcpu)
{
	const struct vmx_exit_info *info = &to_vmx(vcpu)->info;
	/* Real mode has none. */
	u32 error = info->intr_info & INTR_ERROR_CODE ? info->intr_error : 0;
	int ret;

	if (!error && !(info->idt_info & INTR_VALID) && emulate_backdoor(vcpu, &ret))
		return ret;
	vcpu_queue_exception_error(vcpu, VEC_GP, error);
	return RUN_RESUME;
}
