// SPDX-License-Identifier: GPL-2.0-only
/*
 * Steal time: what a vCPU's thread had to wait for a CPU, told in memory it shares with the guest;
 * whether it waits now; and TLB flushes that others leave there for it meanwhile.
 * It must not decide who runs.
 */
#include <linux/sched.h>
#include <linux/srcu.h>

#include "guest_state.h"
#include "requests.h"

#define STEAL_RESERVED	GENMASK_ULL(5, 1)
#define STEAL_ADDRESS	(~GENMASK_ULL(5, 0))

static gpa_t steal_gpa(const struct vcpu *vcpu)
{
	return vcpu->pv.steal_time & STEAL_ADDRESS;
}

static bool steal_enabled(const struct vcpu *vcpu)
{
	return vcpu->pv.steal_time & KVM_MSR_ENABLED;
}

/*
 * The vCPU is about to enter again. Others may have left a flush instead of interrupting it; they
 * do so by compare and exchange, and only while they see it preempted.
 */
static int take_mark(struct vcpu *vcpu, gpa_t gpa)
{
	u8 old = KVM_VCPU_PREEMPTED, none = 0;
	int ret;

	do {
		ret = guest_cmpxchg(vcpu, gpa, &old, &none, sizeof(old));
	} while (ret == 1 && old);
	if (ret < 0)
		return ret;
	vcpu->pv.marked = false;
	/* What was there before it became 0. */
	if (!ret && old & KVM_VCPU_FLUSH_TLB && vcpu_pv_has(vcpu, KVM_FEATURE_PV_TLB_FLUSH))
		vcpu_request(vcpu, REQ_TLB_FLUSH);
	return 0;
}

void steal_update(struct vcpu *vcpu)
{
	gpa_t gpa = steal_gpa(vcpu);
	struct kvm_steal_time st;
	u64 delay;

	if (!steal_enabled(vcpu))
		return;
	if (vcpu->pv.marked && take_mark(vcpu, gpa + offsetof(struct kvm_steal_time, preempted)))
		return;
	if (guest_read(vcpu, gpa, &st, offsetofend(struct kvm_steal_time, version)))
		return;
	/* Odd while the rest changes. What lies there at first may be anything. */
	st.version = (st.version + 1) | 1;
	if (guest_write(vcpu, gpa + offsetof(struct kvm_steal_time, version), &st.version,
			sizeof(st.version)))
		return;
	smp_wmb();	/* the guest's reader: version, steal, version */
	delay = current->sched_info.run_delay;
	st.steal += delay - vcpu->pv.run_delay;
	vcpu->pv.run_delay = delay;
	guest_write(vcpu, gpa, &st.steal, sizeof(st.steal));
	smp_wmb();	/* as above */
	st.version++;
	guest_write(vcpu, gpa + offsetof(struct kvm_steal_time, version), &st.version,
		    sizeof(st.version));
}

void steal_thread_changed(struct vcpu *vcpu)
{
	vcpu->pv.run_delay = current->sched_info.run_delay;
}

void steal_sched_in(struct vcpu *vcpu)
{
	if (!steal_enabled(vcpu))
		return;
	if (vcpu->pv.marked || vcpu->pv.run_delay != current->sched_info.run_delay)
		vcpu_request(vcpu, REQ_STEAL);
}

/*
 * Only between instructions: an instruction that is being emulated has translations in hand, which
 * a flush left for later would not reach.
 */
void steal_sched_out(struct vcpu *vcpu)
{
	const u8 preempted = KVM_VCPU_PREEMPTED;
	int idx;

	if (!steal_enabled(vcpu) || vcpu->pv.marked || !vcpu->pv.between_instructions)
		return;
	/* The process may be on its way out. */
	if (current->mm != vcpu->vm->mm)
		return;
	idx = srcu_read_lock(&vcpu->vm->srcu);
	if (!guest_write_nofault(vcpu,
				 steal_gpa(vcpu) + offsetof(struct kvm_steal_time, preempted),
				 &preempted, sizeof(preempted)))
		vcpu->pv.marked = true;
	srcu_read_unlock(&vcpu->vm->srcu, idx);
}

int steal_set_msr(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	if (!pv_msr_allowed(vcpu, row))
		return pv_msr_refuse(msr);
	if (msr->data & STEAL_RESERVED)
		return 1;
	vcpu->pv.steal_time = msr->data;
	if (!steal_enabled(vcpu))
		return 0;
	/* A vCPU that comes from elsewhere may bring a mark and a flush with it. */
	vcpu->pv.marked = true;
	vcpu_request(vcpu, REQ_STEAL);
	return 0;
}
