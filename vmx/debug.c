// SPDX-License-Identifier: GPL-2.0-only
/*
 * Debugging of a guest by user space: KVM_SET_GUEST_DEBUG, and the exits it brings.
 * It must not change what the guest sees of its own debug registers and flags.
 *
 * Single steps are the CPU's own, by RFLAGS.TF: set when user space asks, and hidden from it. While
 * user space has breakpoints of its own, the guest's are not in effect.
 */
#include <linux/hw_breakpoint.h>
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>

#include "guest_state.h"

/* "Debug Status Register (DR6)": bits that read as one. */
#define DR6_ACTIVE_LOW	0xffff0ff0ul

void debug_load_breakpoints(struct vcpu *vcpu)
{
	const unsigned long *db = vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP ? vcpu->user_db
									     : vcpu->db;

	/* The host's breakpoints must not hit at the guest's addresses. */
	if (hw_breakpoint_active())
		set_debugreg(0, 7);
	set_debugreg(db[0], 0);
	set_debugreg(db[1], 1);
	set_debugreg(db[2], 2);
	set_debugreg(db[3], 3);
}

void debug_update_dr7(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vcpu->hardware_dr7 = vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP ? vcpu->user_dr7
									: vcpu->dr7;
	vmcs_get(vmx);
	vmcs_writel(VMCS_GUEST_DR7, vcpu->hardware_dr7);
	vmcs_put(vmx);
}

int debug_exit(struct vcpu *vcpu, u8 vector, unsigned long dr6)
{
	struct kvm_debug_exit_arch *debug = &vcpu->run->debug.arch;

	vcpu->run->exit_reason = KVM_EXIT_DEBUG;
	debug->exception = vector;
	debug->pc = vcpu_linear_rip(vcpu);
	if (vector == VEC_DB) {
		debug->dr6 = dr6 | DR6_ACTIVE_LOW;
		debug->dr7 = vcpu->hardware_dr7;
	}
	return RUN_TO_USER;
}

/*
 * The exit waits for the next entry: what the instruction still has to tell user space comes
 * first.
 */
void debug_stepped(struct vcpu *vcpu)
{
	if (vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)
		vcpu_request(vcpu, REQ_STEPPED);
	else
		vmx_queue_debug(vcpu, DR_STEP);
}

int debug_step_exit(struct vcpu *vcpu)
{
	if (likely(!vcpu_take_request(vcpu, REQ_STEPPED)))
		return RUN_RESUME;
	return debug_exit(vcpu, VEC_DB, DR_STEP);
}

unsigned long debug_get_rflags(const struct vcpu *vcpu)
{
	if (vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)
		return vcpu->rflags & ~X86_EFLAGS_TF;
	return vcpu->rflags;
}

/* The flag is for the instruction at which user space asked, not for another it moves to. */
void debug_set_rflags(struct vcpu *vcpu, unsigned long rflags)
{
	if (vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP && vcpu_linear_rip(vcpu) == vcpu->step_rip)
		rflags |= X86_EFLAGS_TF;
	vcpu_set_rflags(vcpu, rflags);
}

static bool exception_waits(struct vcpu *vcpu)
{
	return vcpu->exception.pending || vcpu_test_request(vcpu, REQ_TRIPLE_FAULT);
}

int vcpu_state_set_guest_debug(struct vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	unsigned long rflags;

	if (dbg->control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)) {
		if (exception_waits(vcpu))
			return vcpu_refuse(vcpu, -EBUSY, "an exception is pending already",
					   vcpu->exception.vector);
		vcpu_queue_exception(vcpu, dbg->control & KVM_GUESTDBG_INJECT_DB ? VEC_DB : VEC_BP);
	}
	/* By the old settings the flag is hidden, by the new ones it is set. */
	rflags = debug_get_rflags(vcpu);
	vcpu->guest_debug = dbg->control & KVM_GUESTDBG_ENABLE ? dbg->control : 0;
	if (vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP) {
		memcpy(vcpu->user_db, dbg->arch.debugreg, sizeof(vcpu->user_db));
		vcpu->user_dr7 = (u32)dbg->arch.debugreg[7];
	}
	debug_update_dr7(vcpu);
	if (vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)
		vcpu->step_rip = vcpu_linear_rip(vcpu);
	else
		vcpu_take_request(vcpu, REQ_STEPPED);
	debug_set_rflags(vcpu, rflags);
	vmx_exceptions_update(vcpu);
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}
