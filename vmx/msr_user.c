// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's own RDMSR and WRMSR: what the VM's filter forbids, and what user space wants to
 * decide itself (KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR).
 * This file must not know what any MSR means.
 */
#include "guest_state.h"
#include "msr_filter.h"

static bool filter_allows(struct vcpu *vcpu, u32 index, u32 access)
{
	const struct msr_filter *filter = srcu_dereference(vcpu->vm->msr_filter, &vcpu->vm->srcu);

	return likely(!filter) || msr_filter_allows(filter, index, access);
}

bool msr_filtered(struct vcpu *vcpu, u32 index, u32 access)
{
	bool allowed;
	int idx;

	/* RESET and KVM_SET_CPUID2 come here as well. */
	idx = srcu_read_lock(&vcpu->vm->srcu);
	allowed = filter_allows(vcpu, index, access);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return !allowed;
}

int guest_rdmsr(struct vcpu *vcpu, struct msr_access *msr)
{
	if (!filter_allows(vcpu, msr->index, KVM_MSR_FILTER_READ))
		return MSR_FILTERED;
	return vcpu_msr_get(vcpu, msr);
}

int guest_wrmsr(struct vcpu *vcpu, const struct msr_access *msr)
{
	if (!filter_allows(vcpu, msr->index, KVM_MSR_FILTER_WRITE))
		return MSR_FILTERED;
	return vcpu_msr_set(vcpu, msr);
}

/* ---- Asking user space ---- */

static u32 exit_reason_of(int refusal)
{
	switch (refusal) {
	case MSR_UNKNOWN:
		return KVM_MSR_EXIT_REASON_UNKNOWN;
	case MSR_FILTERED:
		return KVM_MSR_EXIT_REASON_FILTER;
	default:
		return KVM_MSR_EXIT_REASON_INVAL;
	}
}

static bool user_wants(const struct vcpu *vcpu, int refusal)
{
	return READ_ONCE(vcpu->vm->user_space_msr) & exit_reason_of(refusal);
}

static int exit_msr(struct vcpu *vcpu, const struct msr_access *msr, bool write, int refusal)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = exit_reason_of(refusal);
	run->msr.index = msr->index;
	run->msr.data = write ? msr->data : 0;
	vcpu->msr_rip = vcpu->rip;
	return RUN_TO_USER;
}

/* Should user space have moved RIP, the guest goes on from there. */
static int complete_insn(struct vcpu *vcpu, bool write)
{
	struct kvm_run *run = vcpu->run;
	u64 data = READ_ONCE(run->msr.data);

	if (vcpu->rip != vcpu->msr_rip)
		return RUN_RESUME;
	if (READ_ONCE(run->msr.error)) {
		vcpu_queue_exception_error(vcpu, VEC_GP, 0);
		return RUN_RESUME;
	}
	if (!write) {
		vcpu->regs[REG_RAX] = (u32)data;
		vcpu->regs[REG_RDX] = data >> 32;
	}
	return vcpu_skip_instruction(vcpu);
}

static int complete_rdmsr(struct vcpu *vcpu)
{
	return complete_insn(vcpu, false);
}

static int complete_wrmsr(struct vcpu *vcpu)
{
	return complete_insn(vcpu, true);
}

int msr_refused(struct vcpu *vcpu, const struct msr_access *msr, bool write, int refusal)
{
	if (!user_wants(vcpu, refusal)) {
		vcpu_queue_exception_error(vcpu, VEC_GP, 0);
		return RUN_RESUME;
	}
	vcpu->complete_io = write ? complete_wrmsr : complete_rdmsr;
	return exit_msr(vcpu, msr, write, refusal);
}

/* ---- The same for the emulator, which runs its instruction again with the answer ---- */

enum { MSR_IDLE, MSR_ASK, MSR_ANSWERED };

enum em_cb emulate_msr(struct em_ctx *ctx, struct msr_access *msr, bool write)
{
	struct vcpu *vcpu = container_of(ctx, struct vcpu, em);
	int refusal;

	if (vcpu->msr_user.state == MSR_ANSWERED) {
		vcpu->msr_user.state = MSR_IDLE;
		msr->data = vcpu->msr_user.data;
		return vcpu->msr_user.error ? em_raise(ctx, EM_EXC_GP, true, 0) : EM_CB_OK;
	}
	refusal = write ? guest_wrmsr(vcpu, msr) : guest_rdmsr(vcpu, msr);
	if (!refusal)
		return EM_CB_OK;
	if (!user_wants(vcpu, refusal))
		return em_raise(ctx, EM_EXC_GP, true, 0);
	vcpu->msr_user.state = MSR_ASK;
	vcpu->msr_user.index = msr->index;
	vcpu->msr_user.data = msr->data;
	vcpu->msr_user.write = write;
	vcpu->msr_user.reason = refusal;
	return EM_CB_PENDING;
}

static int complete_emulated(struct vcpu *vcpu)
{
	int ret;

	vcpu->msr_user.error = READ_ONCE(vcpu->run->msr.error);
	vcpu->msr_user.data = READ_ONCE(vcpu->run->msr.data);
	vcpu->msr_user.state = MSR_ANSWERED;
	ret = emulate_resume(vcpu);
	/* User space may have led the guest elsewhere. */
	vcpu->msr_user.state = MSR_IDLE;
	return ret;
}

bool emulate_msr_asks(const struct vcpu *vcpu)
{
	return vcpu->msr_user.state == MSR_ASK;
}

int emulate_exit_msr(struct vcpu *vcpu)
{
	const struct msr_access msr = {
		.index = vcpu->msr_user.index,
		.data = vcpu->msr_user.data,
	};

	vcpu->msr_user.state = MSR_IDLE;
	vcpu->complete_io = complete_emulated;
	return exit_msr(vcpu, &msr, vcpu->msr_user.write, vcpu->msr_user.reason);
}
