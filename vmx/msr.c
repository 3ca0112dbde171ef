// SPDX-License-Identifier: GPL-2.0-only
/*
 * RDMSR and WRMSR for the guest, KVM_GET_MSRS and KVM_SET_MSRS for user space: dispatch, hot MSRs,
 * lists, power-up values.
 * This file must not know where the value of an ordinary MSR lives; msr_tables.c does.
 */
#include <asm/cpufeature.h>
#include <asm/fpu/types.h>
#include <asm/msr-index.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "guest_state.h"
#include "irq.h"

#define MSR_X2APIC_FIRST	0x800
#define MSR_X2APIC_NR		0x100

static const struct msr_row *find_row(u32 index)
{
	unsigned int low = 0, high = msr_nr_rows;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (index - msr_rows[mid].first <= msr_rows[mid].more)
			return &msr_rows[mid];
		if (index < msr_rows[mid].first)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

/* ---- The local APIC's MSRs, the only ones that exit often ---- */

static u64 get_apic_base(struct vcpu *vcpu)
{
	return vcpu->lapic ? vlapic_get_base(vcpu) : vcpu->apic_base;
}

/*
 * "Extended XAPIC (x2APIC)", state transitions: not from disabled to x2APIC, and not from x2APIC to
 * xAPIC.
 */
static bool apic_transition_valid(u64 old, u64 new)
{
	old &= X2APIC_ENABLE | MSR_IA32_APICBASE_ENABLE;
	new &= X2APIC_ENABLE | MSR_IA32_APICBASE_ENABLE;
	if (new == X2APIC_ENABLE)
		return false;
	if (old == (X2APIC_ENABLE | MSR_IA32_APICBASE_ENABLE) && new == MSR_IA32_APICBASE_ENABLE)
		return false;
	return old || new != (X2APIC_ENABLE | MSR_IA32_APICBASE_ENABLE);
}

/* Without an APIC in the kernel the register is only kept, with the checks an APIC would make. */
static int set_apic_base_user(struct vcpu *vcpu, u64 value, bool host)
{
	u64 reserved = 0x2ff | (vcpu->maxphyaddr < 64 ? ~0ull << vcpu->maxphyaddr : 0);

	if (!guest_has(vcpu, GF_X2APIC))
		reserved |= X2APIC_ENABLE;
	if (value & reserved ||
	    (value & (X2APIC_ENABLE | MSR_IA32_APICBASE_ENABLE)) == X2APIC_ENABLE)
		return 1;
	if (!host && !apic_transition_valid(vcpu->apic_base, value))
		return 1;
	vcpu->apic_base = value;
	return 0;
}

int vcpu_set_apic_base(struct vcpu *vcpu, u64 value, bool host)
{
	u64 old = get_apic_base(vcpu);

	if (vcpu->lapic ? vlapic_set_base(vcpu, value, host)
			: set_apic_base_user(vcpu, value, host))
		return 1;
	if ((old ^ value) & MSR_IA32_APICBASE_ENABLE)
		cpuid_update_dynamic(vcpu);
	return 0;
}

static bool is_x2apic_msr(u32 index)
{
	return index - MSR_X2APIC_FIRST < MSR_X2APIC_NR;
}

/* ---- Access ---- */

static bool row_refuses(const struct vcpu *vcpu, const struct msr_row *row, bool host)
{
	if (host)
		return false;
	return row->flags & MSR_ROW_HOST || (row->need && !guest_has(vcpu, row->need - 1));
}

int vcpu_msr_get(struct vcpu *vcpu, struct msr_access *msr)
{
	const struct msr_row *row;

	if (msr->index == MSR_IA32_APICBASE) {
		msr->data = get_apic_base(vcpu);
		return 0;
	}
	msr->data = 0;
	if (is_x2apic_msr(msr->index))
		return vcpu->lapic ? vlapic_msr_read(vcpu, msr->index, &msr->data) : 1;
	if (msr->index == MSR_IA32_TSC_DEADLINE) {
		if (vcpu->lapic)
			msr->data = vlapic_get_tscdeadline(vcpu);
		return 0;
	}
	row = find_row(msr->index);
	if (!row || !row->get)
		return MSR_UNKNOWN;
	if (row_refuses(vcpu, row, msr->host))
		return MSR_REFUSED;
	return row->get(vcpu, row, msr);
}

int vcpu_msr_set(struct vcpu *vcpu, const struct msr_access *msr)
{
	const struct msr_row *row;

	if (is_x2apic_msr(msr->index))
		return vcpu->lapic ? vlapic_msr_write(vcpu, msr->index, msr->data) : 1;
	if (msr->index == MSR_IA32_TSC_DEADLINE) {
		if (vcpu->lapic)
			vlapic_set_tscdeadline(vcpu, msr->data);
		return 0;
	}
	if (msr->index == MSR_IA32_APICBASE)
		return vcpu_set_apic_base(vcpu, msr->data, msr->host);
	row = find_row(msr->index);
	if (!row || !row->set)
		return MSR_UNKNOWN;
	if (row_refuses(vcpu, row, msr->host))
		return MSR_REFUSED;
	if (!msr->host && row->flags & MSR_ROW_HOST_W)
		return 1;
	return row->set(vcpu, row, msr);
}

/* ---- IA32_EFER ---- */

bool efer_valid(struct vcpu *vcpu, u64 efer)
{
	u64 known = EFER_SCE | EFER_LME | EFER_LMA;

	if (boot_cpu_has(X86_FEATURE_NX))
		known |= EFER_NX;
	if (efer & ~known)
		return false;
	if (efer & (EFER_LME | EFER_LMA) && !guest_has(vcpu, GF_LM))
		return false;
	return !(efer & EFER_NX) || guest_has(vcpu, GF_NX);
}

/*
 * "Initializing IA-32e Mode": LME does not change with paging on; LMA follows LME and CR0.PG and is
 * not written.
 */
int vcpu_set_efer(struct vcpu *vcpu, u64 efer, bool host)
{
	u64 known = EFER_SCE | EFER_LME | EFER_LMA | (boot_cpu_has(X86_FEATURE_NX) ? EFER_NX : 0);

	if (efer & ~known)
		return 1;
	if (!host) {
		if (!efer_valid(vcpu, efer))
			return 1;
		if (vcpu_cr0(vcpu) & X86_CR0_PG && (efer ^ vcpu->efer) & EFER_LME)
			return 1;
	}
	efer = (efer & ~(u64)EFER_LMA) | (vcpu->efer & EFER_LMA);
	if (efer == vcpu->efer)
		return 0;
	vcpu->efer = efer;
	vmx_efer_changed(vcpu);
	return 0;
}

/* ---- Lists and system scope ---- */

/*
 * The tables have one index a row where they are listed. TSC_DEADLINE is dispatched ahead of them.
 */
static int list_rows(u8 flag, u32 extra, u32 *indices, u32 *nr)
{
	u32 room = *nr, n = 0;
	unsigned int i;

	for (i = 0; i < msr_nr_rows; i++) {
		if (!(msr_rows[i].flags & flag) || !msr_row_available(msr_rows[i].first))
			continue;
		if (n < room)
			indices[n] = msr_rows[i].first;
		n++;
	}
	if (extra) {
		if (n < room)
			indices[n] = extra;
		n++;
	}
	*nr = n;
	return n > room ? -E2BIG : 0;
}

int msr_list(u32 *indices, u32 *nr)
{
	return list_rows(MSR_ROW_LIST, MSR_IA32_TSC_DEADLINE, indices, nr);
}

int msr_feature_list(u32 *indices, u32 *nr)
{
	return list_rows(MSR_ROW_FEATURE, 0, indices, nr);
}

static u64 host_msr(u32 index)
{
	u32 low, high;

	if (rdmsr_safe(index, &low, &high))
		return 0;
	return low | (u64)high << 32;
}

/* Bits whose meaning does not depend on an MSR that guests are not given. */
#define ARCH_CAP_PASSED \
	(ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_RSBA | ARCH_CAP_SKIP_VMENTRY_L1DFLUSH | \
	 ARCH_CAP_SSB_NO | ARCH_CAP_MDS_NO | ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_TAA_NO | \
	 ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO | ARCH_CAP_FB_CLEAR | \
	 ARCH_CAP_RRSBA | ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO | ARCH_CAP_RFDS_NO | \
	 ARCH_CAP_RFDS_CLEAR | ARCH_CAP_BHI_NO | ARCH_CAP_ITS_NO)

/* The host kernel knows better than the CPU what the CPU is immune to. */
static const struct {
	u16 bug;
	u64 immune;
} arch_cap_bugs[] = {
	{ X86_BUG_CPU_MELTDOWN, ARCH_CAP_RDCL_NO },
	{ X86_BUG_SPEC_STORE_BYPASS, ARCH_CAP_SSB_NO },
	{ X86_BUG_MDS, ARCH_CAP_MDS_NO },
	{ X86_BUG_RFDS, ARCH_CAP_RFDS_NO },
	{ X86_BUG_ITS, ARCH_CAP_ITS_NO },
	{ X86_BUG_GDS, ARCH_CAP_GDS_NO },
};

static u64 arch_capabilities(void)
{
	u64 data = 0;
	unsigned int i;

	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		data = host_msr(MSR_IA32_ARCH_CAPABILITIES) & ARCH_CAP_PASSED;
	/* A guest cannot run a hypervisor of its own, so it need not care for these two. */
	data |= ARCH_CAP_PSCHANGE_MC_NO;
	if (host_mitigations.l1d_flush || !hw.ept || !boot_cpu_has_bug(X86_BUG_L1TF))
		data |= ARCH_CAP_SKIP_VMENTRY_L1DFLUSH;
	for (i = 0; i < ARRAY_SIZE(arch_cap_bugs); i++) {
		if (!boot_cpu_has_bug(arch_cap_bugs[i].bug))
			data |= arch_cap_bugs[i].immune;
	}
	/* Without RTM there is nothing to abort asynchronously, and the bit would only mislead. */
	if (!boot_cpu_has(X86_FEATURE_RTM))
		data &= ~(u64)ARCH_CAP_TAA_NO;
	else if (!boot_cpu_has_bug(X86_BUG_TAA))
		data |= ARCH_CAP_TAA_NO;
	return data;
}

int msr_feature_get(u32 index, u64 *data)
{
	switch (index) {
	case MSR_IA32_ARCH_CAPABILITIES:
		*data = arch_capabilities();
		return 0;
	case MSR_IA32_UCODE_REV:
		*data = host_msr(MSR_IA32_UCODE_REV);
		return 0;
	case MSR_IA32_PERF_CAPABILITIES:
		*data = 0;
		return 0;
	default:
		return 1;
	}
}

/* ---- Power-up ---- */

#define PAT_RESET	0x0007040600070406ull	/* "Page Attribute Table (PAT)" */

void msr_vcpu_init(struct vcpu *vcpu)
{
	/* What user space has not set yet is the host's, unless it asked for zero. */
	if (vm_has_quirk(vcpu->vm, COMPAT_QUIRK_STUFF_FEATURE_MSRS)) {
		vcpu->msrs.ucode_rev = 1ull << 32;
		vcpu->msrs.arch_capabilities = arch_capabilities();
		vcpu->msrs.platform_info = MSR_PLATFORM_INFO_CPUID_FAULT;
	}
	vcpu->msrs.mcg_cap = MCE_MAX_BANKS;
	vcpu->pat = PAT_RESET;
}

void msr_vcpu_reset(struct vcpu *vcpu, bool init_event)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	/*
	 * "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT": INIT leaves
	 * MSRs alone.
	 */
	if (init_event)
		return;
	vcpu->misc_enable = MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL | MSR_IA32_MISC_ENABLE_BTS_UNAVAIL;
	vcpu->msrs.misc_features = 0;
	vcpu->xcr0 = XFEATURE_MASK_FP;
	vcpu->xss = 0;
	vcpu->pat = PAT_RESET;
	vmcs_get(vmx);
	if (vmx_caps.entry & ENTRY_LOAD_PAT)
		vmcs_write64(VMCS_GUEST_PAT, vcpu->pat);
	vmcs_write32(VMCS_GUEST_SYSENTER_CS, 0);
	vmcs_writel(VMCS_GUEST_SYSENTER_ESP, 0);
	vmcs_writel(VMCS_GUEST_SYSENTER_EIP, 0);
	vmcs_write64(VMCS_GUEST_DEBUGCTL, 0);
	vmcs_put(vmx);
}
