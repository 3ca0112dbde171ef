// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every MSR a guest or its VMM may touch, as data, and the handlers of those that have rules of
 * their own.
 * This file must not hold the dispatch or the hot MSRs; msr.c does.
 */
#include <linux/nospec.h>
#include <asm/cpufeature.h>
#include <asm/mce.h>
#include <asm/msr-index.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "guest_state.h"
#include "irq.h"

/* The kernel's names for these are not in its own style. */
#define MTRR_MSR_CAP		0x0fe
#define MTRR_MSR_VARIABLE	0x200	/* base and mask of each range, in turn */
#define MTRR_MSR_FIXED_64K	0x250
#define MTRR_MSR_FIXED_16K	0x258	/* two */
#define MTRR_MSR_FIXED_4K	0x268	/* eight */
#define MTRR_MSR_DEF_TYPE	0x2ff

#define KEPT(field)	offsetof(struct vcpu, field)
#define NEED(feature)	((feature) + 1)

static u64 *kept_value(struct vcpu *vcpu, const struct msr_row *row)
{
	return (u64 *)((void *)vcpu + row->offset);
}

/* ---- Plain kinds ---- */

/* Always row->value. */
static int get_value(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	msr->data = row->value;
	return 0;
}

static int set_ignored(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	return 0;
}

static int get_kept(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	msr->data = *kept_value(vcpu, row);
	return 0;
}

/* row->value: bits that have to be zero. */
static int set_kept(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	if (msr->data & row->value)
		return 1;
	*kept_value(vcpu, row) = msr->data;
	return 0;
}

/* The guest's writes have no effect and no fault. */
static int set_kept_by_host(struct vcpu *vcpu, const struct msr_row *row,
			    const struct msr_access *msr)
{
	if (msr->host)
		*kept_value(vcpu, row) = msr->data;
	return 0;
}

/* Only zero may be written: nothing is behind it. */
static int set_zero(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	return msr->data & ~row->value ? 1 : 0;
}

/* ---- Addresses ---- */

/*
 * WRMSR checks against the width the CPU implements, whatever CR4.LA57 says: "WRMSR - Write to
 * Model Specific Register".
 */
static u64 make_canonical(u64 address)
{
	bool la57 = cpuid_cap(CAP_7_0_ECX) & BIT(X86_FEATURE_LA57 & 31);
	unsigned int unused = la57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(address << unused) >> unused);
}

static bool canonical_for_msr(u64 address)
{
	return make_canonical(address) == address;
}

/* row->value: VMCS field of natural width, or the 32-bit one of SYSENTER_CS. */
static int get_vmcs(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmcs_get(vmx);
	msr->data = vmcs_read_raw(row->value);
	vmcs_put(vmx);
	return 0;
}

static int set_vmcs_address(struct vcpu *vcpu, const struct msr_row *row,
			    const struct msr_access *msr)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (!canonical_for_msr(msr->data))
		return 1;
	vmcs_get(vmx);
	vmcs_write_raw(row->value, msr->data);
	vmcs_put(vmx);
	return 0;
}

static int set_sysenter(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u64 data = msr->data;

	if (row->first == MSR_IA32_SYSENTER_CS)
		data = (u32)data;
	else if (msr->host)
		/* Saved on a CPU that keeps any value here; VM entry would refuse it. */
		data = make_canonical(data);
	else if (!canonical_for_msr(data))
		return 1;
	vmcs_get(vmx);
	vmcs_write_raw(row->value, data);
	vmcs_put(vmx);
	return 0;
}

static int get_switched(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	msr->data = vmx_switch_msr_get(vcpu, msr->index);
	return 0;
}

static int set_switched(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	return vmx_switch_msr_set(vcpu, msr->index, msr->data);
}

static int set_switched_address(struct vcpu *vcpu, const struct msr_row *row,
				const struct msr_access *msr)
{
	if (!canonical_for_msr(msr->data))
		return 1;
	return vmx_switch_msr_set(vcpu, msr->index, msr->data);
}

/* The upper half of IA32_TSC_AUX is reserved. */
static bool tsc_aux_allowed(struct vcpu *vcpu, bool host)
{
	return hw.rdtscp && (host || guest_has(vcpu, GF_RDTSCP) || guest_has(vcpu, GF_RDPID));
}

static int get_tsc_aux(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	if (!tsc_aux_allowed(vcpu, msr->host))
		return 1;
	return get_switched(vcpu, row, msr);
}

static int set_tsc_aux(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	if (!tsc_aux_allowed(vcpu, msr->host) || msr->data >> 32)
		return 1;
	return set_switched(vcpu, row, msr);
}

/* ---- Speculation control ---- */

static bool spec_ctrl_allowed(struct vcpu *vcpu, bool host)
{
	return host || guest_has(vcpu, GF_SPEC_CTRL) || guest_has(vcpu, GF_STIBP) ||
	       guest_has(vcpu, GF_SSBD);
}

static const struct {
	u8 cap;
	u8 bit;
	u16 spec_ctrl;
} spec_ctrl_bits[] = {
	{ CAP_7_0_EDX, X86_FEATURE_SPEC_CTRL & 31, BIT(0) | BIT(1) },
	{ CAP_7_0_EDX, X86_FEATURE_INTEL_STIBP & 31, BIT(1) },
	{ CAP_7_0_EDX, X86_FEATURE_SPEC_CTRL_SSBD & 31, BIT(2) },
	{ CAP_7_2_EDX, 0, BIT(7) },
	{ CAP_7_2_EDX, 1, BIT(3) | BIT(4) },
	{ CAP_7_2_EDX, 2, BIT(5) | BIT(6) },
	{ CAP_7_2_EDX, 3, BIT(8) },
	{ CAP_7_2_EDX, 4, BIT(10) },
};

/*
 * "IA32_SPEC_CTRL": the bits this CPU enumerates; any other would fault when the value is loaded.
 */
static u64 spec_ctrl_mask(void)
{
	u64 mask = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(spec_ctrl_bits); i++) {
		if (cpuid_cap(spec_ctrl_bits[i].cap) & BIT(spec_ctrl_bits[i].bit))
			mask |= spec_ctrl_bits[i].spec_ctrl;
	}
	return mask;
}

static int get_spec_ctrl(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	if (!spec_ctrl_allowed(vcpu, msr->host))
		return 1;
	return get_switched(vcpu, row, msr);
}

static int set_spec_ctrl(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	if (!spec_ctrl_allowed(vcpu, msr->host) || msr->data & ~spec_ctrl_mask())
		return 1;
	return set_switched(vcpu, row, msr);
}

/* A command: the barrier is done here and now, by the CPU the vCPU runs on. */
static int set_pred_cmd(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	if (msr->data & ~1ull || !boot_cpu_has(X86_FEATURE_IBPB))
		return 1;
	if (msr->data)
		wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB, 0);
	return 0;
}

static int set_flush_cmd(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	if (msr->data & ~1ull || !boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		return 1;
	if (msr->data)
		wrmsr(MSR_IA32_FLUSH_CMD, L1D_FLUSH, 0);
	return 0;
}

static int set_arch_cap(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	/* Part of what the guest's CPU is, like CPUID: fixed once it has run. */
	if (vcpu->stat.exits && msr->data != vcpu->msrs.arch_capabilities)
		return 1;
	vcpu->msrs.arch_capabilities = msr->data;
	return 0;
}

/* ---- Modes and time ---- */

static int get_tsc(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	msr->data = vcpu_read_tsc(vcpu);
	return 0;
}

static int set_tsc(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	vcpu_write_tsc(vcpu, msr->data, msr->host);
	return 0;
}

static int set_tsc_adjust(struct vcpu *vcpu, const struct msr_row *row,
			  const struct msr_access *msr)
{
	if (guest_has(vcpu, GF_TSC_ADJUST))
		tsc_adjust_write(vcpu, msr->data, msr->host);
	return 0;
}

static int get_efer(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	msr->data = vcpu->efer;
	return 0;
}

static int set_efer(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	return vcpu_set_efer(vcpu, msr->data, msr->host);
}

/* Memory types 0, 1, 4, 5, 6 and 7 in each byte. */
static bool pat_valid(u64 pat)
{
	u64 two = pat & 0x0202020202020202ull, four = pat & 0x0404040404040404ull;

	return !(pat & 0xf8f8f8f8f8f8f8f8ull) && !(two & ~(four >> 1));
}

static int set_pat(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (!pat_valid(msr->data))
		return 1;
	vcpu->pat = msr->data;
	/* Shadow tables choose memory types by the PAT of a reset, not by the guest's. */
	if (hw.ept && vmx_caps.entry & ENTRY_LOAD_PAT) {
		vmcs_get(vmx);
		vmcs_write64(VMCS_GUEST_PAT, msr->data);
		vmcs_put(vmx);
	}
	return 0;
}

static int set_xss(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	if (msr->data & ~hw.xss)
		return 1;
	vcpu->xss = msr->data;
	cpuid_update_dynamic(vcpu);
	return 0;
}

/* "IA32_MISC_ENABLE": software must not touch the MONITOR bit of a CPU without SSE3. */
static bool cpuid_has_sse3(struct vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(vcpu, 1, 0);

	return e && e->ecx & BIT(X86_FEATURE_XMM3 & 31);
}

/* "No BTS" and "no PEBS" are read-only; performance monitoring available ignores writes. */
static int set_misc_enable(struct vcpu *vcpu, const struct msr_row *row,
			   const struct msr_access *msr)
{
	u64 data = msr->data, old = vcpu->misc_enable;

	if (!msr->host) {
		if ((old ^ data) &
		    (MSR_IA32_MISC_ENABLE_BTS_UNAVAIL | MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL))
			return 1;
		data = (data & ~MSR_IA32_MISC_ENABLE_EMON) | (old & MSR_IA32_MISC_ENABLE_EMON);
	}
	if ((old ^ data) & MSR_IA32_MISC_ENABLE_MWAIT &&
	    !vm_has_quirk(vcpu->vm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT)) {
		if (!cpuid_has_sse3(vcpu))
			return 1;
		vcpu->misc_enable = data;
		cpuid_update_dynamic(vcpu);
		return 0;
	}
	vcpu->misc_enable = data;
	return 0;
}

/*
 * Single-stepping on branches and last-branch records are not offered: the bits are accepted, since
 * guests set them unasked, and read as zero.
 */
static int set_debugctl(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	return msr->data & ~(DEBUGCTLMSR_LBR | DEBUGCTLMSR_BTF) ? 1 : 0;
}

/*
 * Locked by the guest's firmware for good; user space may unlock it. Bits 1 and 2 enable a VMX the
 * guest has not got.
 */
static int set_feature_control(struct vcpu *vcpu, const struct msr_row *row,
			       const struct msr_access *msr)
{
	u64 valid = FEAT_CTL_LOCKED;

	if (msr->host)
		valid |= FEAT_CTL_VMX_ENABLED_INSIDE_SMX | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;
	if (vcpu->msrs.mcg_cap & MCG_LMCE_P)
		valid |= FEAT_CTL_LMCE_ENABLED;
	if (msr->data & ~valid)
		return 1;
	if (!msr->host && (vcpu->msrs.feature_control & FEAT_CTL_LOCKED))
		return 1;
	vcpu->msrs.feature_control = msr->data;
	return 0;
}

/* User space may keep it from the guest. */
static int get_platform_info(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	if (!msr->host && vcpu->vm->hide_platform_info)
		return 1;
	msr->data = vcpu->msrs.platform_info;
	return 0;
}

/* CPUID faulting cannot be taken away while it is in use. */
static int set_platform_info(struct vcpu *vcpu, const struct msr_row *row,
			     const struct msr_access *msr)
{
	if (!(msr->data & MSR_PLATFORM_INFO_CPUID_FAULT) && cpuid_faulting(vcpu))
		return 1;
	vcpu->msrs.platform_info = msr->data;
	return 0;
}

static int set_misc_features(struct vcpu *vcpu, const struct msr_row *row,
			     const struct msr_access *msr)
{
	if (msr->data & ~1ull)
		return 1;
	if (msr->data && !(vcpu->msrs.platform_info & MSR_PLATFORM_INFO_CPUID_FAULT))
		return 1;
	vcpu->msrs.misc_features = msr->data;
	return 0;
}

/* AMD's McStatusWrEn and TscFreqSel are kept, three chicken bits ignored. */
static int set_hwcr(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	u64 data = msr->data & ~(BIT_ULL(3) | BIT_ULL(6) | BIT_ULL(8));

	if (data & ~(BIT_ULL(18) | BIT_ULL(24)))
		return 1;
	vcpu->msrs.hwcr = data;
	return 0;
}

/* ---- Memory type ranges: kept for the guest, without effect on EPT's memory types ---- */

static bool mtrr_type_valid(u8 type)
{
	return type < 8 && (0x73 & BIT(type));
}

static u64 *mtrr_variable(struct vcpu *vcpu, u32 index)
{
	index = array_index_nospec(index - MTRR_MSR_VARIABLE, 2 * MTRR_VARIABLE_RANGES);
	return &vcpu->msrs.mtrr_variable[index];
}

static int get_mtrr_variable(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	msr->data = *mtrr_variable(vcpu, msr->index);
	return 0;
}

static int set_mtrr_variable(struct vcpu *vcpu, const struct msr_row *row,
			     const struct msr_access *msr)
{
	u64 reserved = vcpu->maxphyaddr < 64 ? ~0ull << vcpu->maxphyaddr : 0;

	if (msr->index & 1)
		reserved |= GENMASK_ULL(10, 0);
	else
		reserved |= GENMASK_ULL(11, 8);
	if (msr->data & reserved)
		return 1;
	if (!(msr->index & 1) && !mtrr_type_valid(msr->data))
		return 1;
	*mtrr_variable(vcpu, msr->index) = msr->data;
	return 0;
}

static u64 *mtrr_fixed(struct vcpu *vcpu, u32 index)
{
	unsigned int i = 0;

	if (index >= MTRR_MSR_FIXED_4K)
		i = 3 + index - MTRR_MSR_FIXED_4K;
	else if (index >= MTRR_MSR_FIXED_16K)
		i = 1 + index - MTRR_MSR_FIXED_16K;
	return &vcpu->msrs.mtrr_fixed[array_index_nospec(i, ARRAY_SIZE(vcpu->msrs.mtrr_fixed))];
}

static int get_mtrr_fixed(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	msr->data = *mtrr_fixed(vcpu, msr->index);
	return 0;
}

static int set_mtrr_fixed(struct vcpu *vcpu, const struct msr_row *row,
			  const struct msr_access *msr)
{
	unsigned int i;

	for (i = 0; i < 64; i += 8) {
		if (!mtrr_type_valid(msr->data >> i))
			return 1;
	}
	*mtrr_fixed(vcpu, msr->index) = msr->data;
	return 0;
}

static int set_mtrr_def_type(struct vcpu *vcpu, const struct msr_row *row,
			     const struct msr_access *msr)
{
	if (msr->data & ~0xcffull || !mtrr_type_valid(msr->data))
		return 1;
	vcpu->msrs.mtrr_def_type = msr->data;
	return 0;
}

/* ---- Machine-check architecture ---- */

static int get_mcg_ctl(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	if (!(vcpu->msrs.mcg_cap & MCG_CTL_P) && !msr->host)
		return 1;
	msr->data = vcpu->msrs.mcg_ctl;
	return 0;
}

static int set_mcg_ctl(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	if (!(vcpu->msrs.mcg_cap & MCG_CTL_P) && (msr->data || !msr->host))
		return 1;
	if (msr->data && ~msr->data)
		return 1;
	vcpu->msrs.mcg_ctl = msr->data;
	return 0;
}

static unsigned int mce_banks(const struct vcpu *vcpu)
{
	return min_t(unsigned int, vcpu->msrs.mcg_cap & MCG_BANKCNT_MASK, MCE_MAX_BANKS);
}

static u64 *mci_ctl2(struct vcpu *vcpu, u32 index)
{
	unsigned int nr = mce_banks(vcpu), i = index - MSR_IA32_MC0_CTL2;

	return i < nr ? &vcpu->msrs.mci_ctl2[array_index_nospec(i, nr)] : NULL;
}

static int get_mci_ctl2(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	const u64 *ctl2 = mci_ctl2(vcpu, msr->index);

	if (!ctl2 || (!(vcpu->msrs.mcg_cap & MCG_CMCI_P) && !msr->host))
		return 1;
	msr->data = *ctl2;
	return 0;
}

static int set_mci_ctl2(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	u64 *ctl2 = mci_ctl2(vcpu, msr->index);

	if (!ctl2 || (!(vcpu->msrs.mcg_cap & MCG_CMCI_P) && (msr->data || !msr->host)))
		return 1;
	if (msr->data & ~(u64)(MCI_CTL2_CMCI_EN | MCI_CTL2_CMCI_THRESHOLD_MASK))
		return 1;
	*ctl2 = msr->data;
	return 0;
}

static u64 *mci(struct vcpu *vcpu, u32 index)
{
	unsigned int nr = 4 * mce_banks(vcpu), i = index - MSR_IA32_MC0_CTL;

	return i < nr ? &vcpu->msrs.mci[array_index_nospec(i, nr)] : NULL;
}

static int get_mci(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	const u64 *reg = mci(vcpu, msr->index);

	if (!reg)
		return 1;
	msr->data = *reg;
	return 0;
}

/*
 * "IA32_MCi_CTL" takes all ones or zero; some kernels leave out bit 0 or bit 10. STATUS can only be
 * cleared.
 */
static int set_mci(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr)
{
	u64 *reg = mci(vcpu, msr->index);

	if (!reg)
		return 1;
	if (!(msr->index & 3) && msr->data && ~(msr->data | BIT_ULL(10) | BIT_ULL(0)))
		return 1;
	if ((msr->index & 3) == 1 && msr->data && !msr->host)
		return 1;
	*reg = msr->data;
	return 0;
}

/* "Local Machine Check Exception": there for whoever firmware has let have it. */
static bool mcg_ext_ctl_here(const struct vcpu *vcpu, const struct msr_access *msr)
{
	return msr->host || vcpu->msrs.feature_control & FEAT_CTL_LMCE_ENABLED;
}

static int get_mcg_ext_ctl(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	if (!mcg_ext_ctl_here(vcpu, msr))
		return 1;
	msr->data = vcpu->msrs.mcg_ext_ctl;
	return 0;
}

static int set_mcg_ext_ctl(struct vcpu *vcpu, const struct msr_row *row,
			   const struct msr_access *msr)
{
	if (!mcg_ext_ctl_here(vcpu, msr) || msr->data & ~(u64)MCG_EXT_CTL_LMCE_EN)
		return 1;
	vcpu->msrs.mcg_ext_ctl = msr->data;
	return 0;
}

/* ---- The table ---- */

#define VALUE(index, val)	{ index, 0, get_value, NULL, val }
#define IGNORED(index, val)	{ index, 0, get_value, set_ignored, val }
#define NOTHING(index, nr)	{ index, (nr) - 1, get_value, set_ignored }
#define VMCS_MSR(index, set, field) \
	{ index, 0, get_vmcs, set, field, 0, 0, MSR_ROW_LIST }
#define SWITCHED(index, set)	{ index, 0, get_switched, set, 0, 0, 0, MSR_ROW_LIST }

#define PV_MSR(index, feature, set, field) \
	{ index, 0, pv_msr_get, set, KVM_FEATURE_##feature, KEPT(field), 0, MSR_ROW_LIST }

/*
 * What is constant here answers guests that look for old or optional hardware; the values say
 * "nothing there", or a harmless clock ratio where zero would be divided by. The PMU's MSRs read as
 * zero only where guests touch them without CPUID's leave.
 */
const struct msr_row msr_rows[] = {
	VALUE(MSR_IA32_P5_MC_ADDR, 0),
	VALUE(MSR_IA32_P5_MC_TYPE, 0),
	{ MSR_IA32_TSC, 0, get_tsc, set_tsc, 0, 0, 0, MSR_ROW_LIST },
	{ MSR_KVM_WALL_CLOCK, 0, pvclock_get_wall_clock, pvclock_set_wall_clock,
	  KVM_FEATURE_CLOCKSOURCE, 0, 0, MSR_ROW_LIST },
	PV_MSR(MSR_KVM_SYSTEM_TIME, CLOCKSOURCE, pvclock_set_system_time, pv.system_time),
	VALUE(MSR_IA32_PLATFORM_ID, 0),
	VALUE(MSR_IA32_EBL_CR_POWERON, 0),
	VALUE(MSR_EBC_FREQUENCY_ID, 1 << 24),
	{ MSR_SMI_COUNT, 0, get_kept, set_kept, 0, KEPT(smi_count), 0,
	  MSR_ROW_LIST | MSR_ROW_HOST_W },
	{ MSR_IA32_FEAT_CTL, 0, get_kept, set_feature_control, 0, KEPT(msrs.feature_control), 0,
	  MSR_ROW_LIST },
	{ MSR_IA32_TSC_ADJUST, 0, get_kept, set_tsc_adjust, 0, KEPT(tsc_adjust), 0,
	  MSR_ROW_LIST },
	{ MSR_IA32_SPEC_CTRL, 0, get_spec_ctrl, set_spec_ctrl, 0, 0, 0, MSR_ROW_LIST },
	{ MSR_IA32_PRED_CMD, 0, NULL, set_pred_cmd, 0, 0, NEED(GF_PRED_CMD), 0 },
	{ MSR_IA32_UCODE_WRITE, 0, NULL, set_ignored },
	{ MSR_IA32_UCODE_REV, 0, get_kept, set_kept_by_host, 0, KEPT(msrs.ucode_rev), 0,
	  MSR_ROW_LIST | MSR_ROW_FEATURE },
	{ MSR_IA32_SMBASE, 0, get_kept, set_kept, 0, KEPT(smbase), 0,
	  MSR_ROW_LIST | MSR_ROW_HOST },
	NOTHING(MSR_P6_PERFCTR0, 2),
	VALUE(MSR_FSB_FREQ, 3),
	{ MSR_PLATFORM_INFO, 0, get_platform_info, set_platform_info, 0, 0, 0,
	  MSR_ROW_LIST | MSR_ROW_HOST_W },
	VALUE(MTRR_MSR_CAP, 0x500 | MTRR_VARIABLE_RANGES),
	{ MSR_IA32_ARCH_CAPABILITIES, 0, get_kept, set_arch_cap, 0, KEPT(msrs.arch_capabilities),
	  NEED(GF_ARCH_CAP), MSR_ROW_LIST | MSR_ROW_FEATURE | MSR_ROW_HOST_W },
	{ MSR_IA32_FLUSH_CMD, 0, NULL, set_flush_cmd, 0, 0, NEED(GF_FLUSH_L1D), 0 },
	IGNORED(MSR_IA32_BBL_CR_CTL3, 0xbe702111),
	{ MSR_MISC_FEATURES_ENABLES, 0, get_kept, set_misc_features, 0, KEPT(msrs.misc_features),
	  0, MSR_ROW_LIST },
	VMCS_MSR(MSR_IA32_SYSENTER_CS, set_sysenter, VMCS_GUEST_SYSENTER_CS),
	VMCS_MSR(MSR_IA32_SYSENTER_ESP, set_sysenter, VMCS_GUEST_SYSENTER_ESP),
	VMCS_MSR(MSR_IA32_SYSENTER_EIP, set_sysenter, VMCS_GUEST_SYSENTER_EIP),
	{ MSR_IA32_MCG_CAP, 0, get_kept, NULL, 0, KEPT(msrs.mcg_cap) },
	{ MSR_IA32_MCG_STATUS, 0, get_kept, set_kept, 0, KEPT(msrs.mcg_status), 0, MSR_ROW_LIST },
	{ MSR_IA32_MCG_CTL, 0, get_mcg_ctl, set_mcg_ctl, 0, 0, 0, MSR_ROW_LIST },
	NOTHING(MSR_P6_EVNTSEL0, 2),
	VALUE(MSR_IA32_PERF_STATUS, 1000 | 4ull << 40),
	VALUE(MSR_IA32_PERF_CTL, 0),
	{ MSR_IA32_MISC_ENABLE, 0, get_kept, set_misc_enable, 0, KEPT(misc_enable), 0,
	  MSR_ROW_LIST },
	{ MSR_IA32_DEBUGCTLMSR, 0, get_value, set_debugctl, 0, 0, 0, MSR_ROW_LIST },
	{ MSR_IA32_LASTBRANCHFROMIP, 3, get_value, NULL, 0, 0, 0, 0 },
	{ MSR_IA32_POWER_CTL, 0, get_kept, set_kept, 0, KEPT(msrs.power_ctl), 0, MSR_ROW_LIST },
	{ MTRR_MSR_VARIABLE, 2 * MTRR_VARIABLE_RANGES - 1, get_mtrr_variable, set_mtrr_variable },
	{ MTRR_MSR_FIXED_64K, 0, get_mtrr_fixed, set_mtrr_fixed },
	{ MTRR_MSR_FIXED_16K, 1, get_mtrr_fixed, set_mtrr_fixed },
	{ MTRR_MSR_FIXED_4K, 7, get_mtrr_fixed, set_mtrr_fixed },
	{ MSR_IA32_CR_PAT, 0, get_kept, set_pat, 0, KEPT(pat), 0, MSR_ROW_LIST },
	{ MSR_IA32_MC0_CTL2, MCE_MAX_BANKS - 1, get_mci_ctl2, set_mci_ctl2 },
	{ MTRR_MSR_DEF_TYPE, 0, get_kept, set_mtrr_def_type, 0, KEPT(msrs.mtrr_def_type) },
	{ MSR_IA32_PERF_CAPABILITIES, 0, get_value, set_zero, 0, 0, 0,
	  MSR_ROW_LIST | MSR_ROW_FEATURE | MSR_ROW_HOST },
	{ MSR_IA32_MC0_CTL, 4 * MCE_MAX_BANKS - 1, get_mci, set_mci },
	{ MSR_IA32_MCG_EXT_CTL, 0, get_mcg_ext_ctl, set_mcg_ext_ctl, 0, 0, 0, MSR_ROW_LIST },
	VALUE(MSR_RAPL_POWER_UNIT, 0),
	VALUE(MSR_PKG_ENERGY_STATUS, 0),
	VALUE(MSR_DRAM_ENERGY_STATUS, 0),
	VALUE(MSR_PP0_ENERGY_STATUS, 0),
	VALUE(MSR_PP1_ENERGY_STATUS, 0),
	{ MSR_IA32_XSS, 0, get_kept, set_xss, 0, KEPT(xss), NEED(GF_XSAVES), MSR_ROW_LIST },
	{ MSR_KVM_WALL_CLOCK_NEW, 0, pvclock_get_wall_clock, pvclock_set_wall_clock,
	  KVM_FEATURE_CLOCKSOURCE2, 0, 0, MSR_ROW_LIST },
	PV_MSR(MSR_KVM_SYSTEM_TIME_NEW, CLOCKSOURCE2, pvclock_set_system_time, pv.system_time),
	PV_MSR(MSR_KVM_STEAL_TIME, STEAL_TIME, steal_set_msr, pv.steal_time),
	PV_MSR(MSR_KVM_PV_EOI_EN, PV_EOI, pv_eoi_set_msr, pv.eoi),
	PV_MSR(MSR_KVM_POLL_CONTROL, POLL_CONTROL, pv_set_poll_control, pv.poll_control),
	{ MSR_EFER, 0, get_efer, set_efer },
	SWITCHED(MSR_STAR, set_switched),
	SWITCHED(MSR_LSTAR, set_switched_address),
	SWITCHED(MSR_CSTAR, set_switched_address),
	SWITCHED(MSR_SYSCALL_MASK, set_switched),
	{ MSR_FS_BASE, 0, get_vmcs, set_vmcs_address, VMCS_GUEST_FS_BASE },
	{ MSR_GS_BASE, 0, get_vmcs, set_vmcs_address, VMCS_GUEST_GS_BASE },
	SWITCHED(MSR_KERNEL_GS_BASE, set_switched_address),
	{ MSR_TSC_AUX, 0, get_tsc_aux, set_tsc_aux, 0, 0, 0, MSR_ROW_LIST },
	NOTHING(MSR_K7_EVNTSEL0, 8),
	VALUE(MSR_AMD64_SYSCFG, 0),
	{ MSR_K7_HWCR, 0, get_kept, set_hwcr, 0, KEPT(msrs.hwcr), 0, MSR_ROW_LIST },
	IGNORED(MSR_K7_CLK_CTL, 0x20000000),
	IGNORED(MSR_AMD64_NB_CFG, 0),
	{ MSR_AMD64_PATCH_LOADER, 0, NULL, set_ignored },
	VALUE(MSR_K8_INT_PENDING_MSG, 0),
	{ MSR_FAM10H_MMIO_CONF_BASE, 0, get_value, set_zero },
	VALUE(MSR_K8_TSEG_ADDR, 0),
	VALUE(MSR_K8_TSEG_MASK, 0),
	{ MSR_VM_HSAVE_PA, 0, get_value, set_ignored, 0, 0, 0, MSR_ROW_LIST },
	IGNORED(MSR_AMD64_DC_CFG, 0),
	IGNORED(MSR_AMD64_TW_CFG, 0),
	IGNORED(MSR_AMD64_BU_CFG2, 0),
	IGNORED(MSR_F15H_EX_CFG, 0),
};

const unsigned int msr_nr_rows = ARRAY_SIZE(msr_rows);

/* Offsets have to fit their field. */
static_assert(sizeof(struct vcpu) < 65536);

bool msr_row_available(u32 index)
{
	switch (index) {
	case MSR_IA32_SPEC_CTRL:
		return spec_ctrl_mask();
	case MSR_TSC_AUX:
		return hw.rdtscp;
	case MSR_IA32_SMBASE:
		return hw_has_smm();
	case MSR_IA32_XSS:
		return hw.xsaves && hw.xss;
	default:
		return true;
	}
}
