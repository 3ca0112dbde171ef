// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which of KVM's paravirtual features there are, and which of them a vCPU may use.
 * It must not implement any feature; it only says yes or no.
 */
#include "guest_state.h"
#include "vm.h"

/*
 * What KVM_GET_SUPPORTED_CPUID offers: each bit is complete. Ports of a virtual machine need no
 * delay between accesses. The host never polls for a halted guest, so a guest that polls itself
 * finds nothing to turn off.
 */
#define PV_FEATURES	(BIT(KVM_FEATURE_CLOCKSOURCE) | BIT(KVM_FEATURE_CLOCKSOURCE2) | \
			 BIT(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT) | \
			 BIT(KVM_FEATURE_STEAL_TIME) | BIT(KVM_FEATURE_PV_TLB_FLUSH) | \
			 BIT(KVM_FEATURE_PV_EOI) | BIT(KVM_FEATURE_NOP_IO_DELAY) | \
			 BIT(KVM_FEATURE_PV_UNHALT) | BIT(KVM_FEATURE_PV_SEND_IPI) | \
			 BIT(KVM_FEATURE_POLL_CONTROL) | BIT(KVM_FEATURE_PV_SCHED_YIELD))

u32 pv_supported_features(void)
{
	return PV_FEATURES;
}

/* A hypervisor's leaves begin at any multiple of 0x100; the signature tells whose they are. */
u32 pv_cpuid_base(struct vcpu *vcpu)
{
	u32 i;

	for (i = 0; i < vcpu->cpuid_nr; i++) {
		const struct kvm_cpuid_entry2 *e = &vcpu->cpuid[i];

		if ((e->function & 0xffff00ff) == KVM_CPUID_SIGNATURE &&
		    e->ebx == 0x4b4d564b && e->ecx == 0x564b4d56 && e->edx == 0x4d)
			return e->function;
	}
	return 0;
}

static void pv_update_allowed(struct vcpu *vcpu)
{
	vcpu->pv.allowed = vcpu->pv.enforce_cpuid ? vcpu->pv.cpuid_features : ~0u;
}

void vcpu_pv_cpuid_changed(struct vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e = NULL;
	u32 base = pv_cpuid_base(vcpu);

	if (base)
		e = cpuid_find(vcpu, base | KVM_CPUID_FEATURES, 0);
	vcpu->pv.cpuid_features = e ? e->eax : 0;
	pv_update_allowed(vcpu);
}

void vcpu_pv_enforce(struct vcpu *vcpu, bool on)
{
	vcpu->pv.enforce_cpuid = on;
	pv_update_allowed(vcpu);
}

void vcpu_pv_reset(struct vcpu *vcpu)
{
	vcpu->pv.system_time = 0;
	vcpu->pv.steal_time = 0;
	vcpu->pv.marked = false;
	if (vcpu->pv.eoi_armed)
		pv_eoi_sync(vcpu);
	vcpu->pv.eoi = 0;
}

void vcpu_pv_init(struct vcpu *vcpu)
{
	vcpu->pv.poll_control = 1;
	pv_update_allowed(vcpu);
}

/* row->value: the feature that the MSR belongs to. */
bool pv_msr_allowed(const struct vcpu *vcpu, const struct msr_row *row)
{
	return vcpu_pv_has(vcpu, row->value);
}

/*
 * User space finds even what the guest may not use in the list of MSRs, and has to be able to save
 * and restore it: zero.
 */
int pv_msr_refuse(const struct msr_access *msr)
{
	return msr->host && !msr->data ? 0 : 1;
}

int pv_msr_get(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	if (!pv_msr_allowed(vcpu, row))
		return pv_msr_refuse(msr);
	msr->data = *(u64 *)((void *)vcpu + row->offset);
	return 0;
}

/* Bit 0: the host may poll before it lets the CPU sleep. */
int pv_set_poll_control(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	if (!pv_msr_allowed(vcpu, row))
		return pv_msr_refuse(msr);
	if (msr->data & ~1ull)
		return 1;
	vcpu->pv.poll_control = msr->data;
	return 0;
}

/*
 * A byte, which has to lie in memory; bit 1 and the other low bits are reserved.
 */
int pv_eoi_set_msr(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	gpa_t gpa = msr->data & ~KVM_MSR_ENABLED;
	u8 byte;

	if (!pv_msr_allowed(vcpu, row))
		return pv_msr_refuse(msr);
	if (gpa & 3)
		return 1;
	if ((msr->data & KVM_MSR_ENABLED) && guest_read(vcpu, gpa, &byte, sizeof(byte)))
		return 1;
	if (vcpu->pv.eoi_armed)
		pv_eoi_sync(vcpu);
	vcpu->pv.eoi = msr->data;
	return 0;
}
