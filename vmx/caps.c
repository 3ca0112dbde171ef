// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads the VMX capability MSRs once, applies the module parameters and settles the controls of
 * every VMCS.
 * It must not touch a VMCS or turn VMX on.
 */
#include <linux/module.h>
#include <linux/printk.h>
#include <asm/cpufeature.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/tsc.h>

#include "vmx.h"

static bool param_ept = true;
module_param_named(ept, param_ept, bool, 0444);
MODULE_PARM_DESC(ept, "use extended page tables");
static bool param_vpid = true;
module_param_named(vpid, param_vpid, bool, 0444);
MODULE_PARM_DESC(vpid, "tag guest TLB entries with virtual processor ids");
static bool param_unrestricted = true;
module_param_named(unrestricted_guest, param_unrestricted, bool, 0444);
MODULE_PARM_DESC(unrestricted_guest, "let the CPU run guests without paging and in real mode");
static bool param_eptad = true;
module_param_named(eptad, param_eptad, bool, 0444);
MODULE_PARM_DESC(eptad, "use accessed and dirty bits of EPT");
static bool param_pml = true;
module_param_named(pml, param_pml, bool, 0444);
MODULE_PARM_DESC(pml, "page-modification logging: dirty pages are found without faults");
static bool param_apicv;
module_param_named(enable_apicv, param_apicv, bool, 0444);
MODULE_PARM_DESC(enable_apicv, "APIC virtualization; reads N: the APIC is virtualized by exits");
static bool param_timer;
module_param_named(preemption_timer, param_timer, bool, 0444);
MODULE_PARM_DESC(preemption_timer, "VMX-preemption timer; reads N: guest timers are host timers");
static bool param_flexpriority = true;
module_param_named(flexpriority, param_flexpriority, bool, 0444);
MODULE_PARM_DESC(flexpriority, "TPR shadow: the guest changes its task priority without exits");

static bool param_vmware;
module_param_named(enable_vmware_backdoor, param_vmware, bool, 0444);
MODULE_PARM_DESC(enable_vmware_backdoor, "let user code of guests reach VMware's ports and counters");

struct vmx_caps vmx_caps __ro_after_init;
struct hw_features hw __ro_after_init;

/**
 * struct control_set - one 32-bit vector of controls
 * @name: the SDM's name, for messages
 * @msr: capability MSR; low half are the bits that must be 1, high half those that may be 1
 * @true_msr: the MSR to use instead when IA32_VMX_BASIC says that default1 bits may be 0; 0 for
 *	none
 * @required: without these the module cannot work
 * @optional: used where the CPU has them
 */
struct control_set {
	const char *name;
	u32 msr, true_msr;
	u32 required, optional;
};

enum { SET_PIN, SET_CPU, SET_CPU2, SET_EXIT, SET_ENTRY, NR_SETS };

static const struct control_set control_sets[NR_SETS] = {
	[SET_PIN] = { "pin-based", VMX_MSR_PIN, VMX_MSR_TRUE_PIN,
		      PIN_EXT_INTR | PIN_NMI | PIN_VIRTUAL_NMI, 0 },
	[SET_CPU] = { "primary processor-based", VMX_MSR_CPU, VMX_MSR_TRUE_CPU,
		      CPU_HLT | CPU_TSC_OFFSET | CPU_MWAIT | CPU_MONITOR | CPU_RDPMC | CPU_MOV_DR |
		      CPU_UNCOND_IO | CPU_MSR_BITMAPS | CPU_SECONDARY,
		      CPU_TPR_SHADOW },
	[SET_CPU2] = { "secondary processor-based", VMX_MSR_CPU2, 0,
		       0,
		       CPU2_EPT | CPU2_UNRESTRICTED | CPU2_VPID | CPU2_RDTSCP | CPU2_WBINVD |
		       CPU2_INVPCID | CPU2_XSAVES | CPU2_TSC_SCALING | CPU2_ENCLS |
		       CPU2_PAUSE_LOOP | CPU2_PML },
	[SET_EXIT] = { "VM-exit", VMX_MSR_EXIT, VMX_MSR_TRUE_EXIT,
		       EXIT_HOST_64BIT | EXIT_SAVE_DEBUG,
		       EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER },
	[SET_ENTRY] = { "VM-entry", VMX_MSR_ENTRY, VMX_MSR_TRUE_ENTRY,
			ENTRY_LOAD_DEBUG, ENTRY_LOAD_PAT | ENTRY_LOAD_EFER },
};

/*
 * "Reserved Controls and Default Settings": required and optional bits within what the CPU allows.
 */
static int __init settle_controls(const struct control_set *set, bool have_true, u32 optional,
				  u32 *controls)
{
	u64 cap = native_read_msr(have_true && set->true_msr ? set->true_msr : set->msr);
	u32 allowed1 = cap >> 32;
	u32 lacking = set->required & ~allowed1;

	if (lacking) {
		pr_err("kvmlet: this CPU lacks %s VM controls 0x%x\n",
		       set->name, lacking);
		return -EOPNOTSUPP;
	}
	*controls = ((set->required | optional) & allowed1) | (u32)cap;
	return 0;
}

/*
 * "Enabling and Entering VMX Operation": CPUID says whether there is VMX, IA32_FEATURE_CONTROL
 * whether firmware allows it.
 */
static int __init check_vmx_usable(void)
{
	u64 feat;

	if (!(cpuid_ecx(1) & BIT(5))) {
		pr_err("kvmlet: this CPU has no VMX, or the hypervisor below does not offer it\n");
		return -EOPNOTSUPP;
	}
	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &feat) || !(feat & FEAT_CTL_LOCKED) ||
	    !(feat & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)) {
		pr_err("kvmlet: VMX is locked off by firmware (IA32_FEATURE_CONTROL); enable virtualization there\n");
		return -EOPNOTSUPP;
	}
	if (!tsc_khz) {
		pr_err("kvmlet: the frequency of the host's TSC is not known\n");
		return -EOPNOTSUPP;
	}
#ifdef X86_FEATURE_FRED
	if (cpu_feature_enabled(X86_FEATURE_FRED)) {
		pr_err("kvmlet: hosts with FRED event delivery are not served\n");
		return -EOPNOTSUPP;
	}
#endif
	return 0;
}

static int __init check_basic(bool *have_true)
{
	u64 basic = native_read_msr(VMX_MSR_BASIC);

	vmx_caps.revision = basic & GENMASK(30, 0);
	vmx_caps.vmcs_size = (basic >> 32) & GENMASK(12, 0);
	*have_true = basic & BIT_ULL(55);
	if (vmx_caps.vmcs_size > PAGE_SIZE || (basic & BIT_ULL(48)) || ((basic >> 50) & 0xf) != 6) {
		pr_err("kvmlet: IA32_VMX_BASIC 0x%llx describes a VMCS this module cannot use\n",
		       basic);
		return -EOPNOTSUPP;
	}
	return 0;
}

static u32 __init optional_bits(int set)
{
	u32 bits = control_sets[set].optional;

	if (set == SET_CPU && !param_flexpriority)
		bits &= ~CPU_TPR_SHADOW;
	if (set == SET_CPU2 && !param_vpid)
		bits &= ~CPU2_VPID;
	if (set == SET_CPU2 && !param_ept)
		bits &= ~CPU2_EPT;
	if (set == SET_CPU2 && !param_unrestricted)
		bits &= ~CPU2_UNRESTRICTED;
	return bits;
}

/* What VM entry loads and VM exit does not give back, or the other way round, is not used. */
static void __init settle_pair(u32 exit, u32 entry)
{
	if ((vmx_caps.exit & exit) == exit && vmx_caps.entry & entry)
		return;
	vmx_caps.exit &= ~exit;
	vmx_caps.entry &= ~entry;
}

static int __init settle_all(bool have_true)
{
	u32 *const controls[NR_SETS] = {
		&vmx_caps.pin, &vmx_caps.cpu, &vmx_caps.cpu2, &vmx_caps.exit, &vmx_caps.entry,
	};
	int i, ret;

	for (i = 0; i < NR_SETS; i++) {
		ret = settle_controls(&control_sets[i], have_true, optional_bits(i), controls[i]);
		if (ret)
			return ret;
	}
	settle_pair(EXIT_SAVE_EFER | EXIT_LOAD_EFER, ENTRY_LOAD_EFER);
	settle_pair(EXIT_SAVE_PAT | EXIT_LOAD_PAT, ENTRY_LOAD_PAT);
	if (!(vmx_caps.cpu & CPU_TPR_SHADOW))
		vmx_caps.cpu |= CPU_CR8_LOAD | CPU_CR8_STORE;
	return 0;
}

/*
 * What shadow paging can do without is not used. Without the guest's own PAT and EFER.NXE its
 * tables would mean something else than it thinks; no CPU has EPT and lacks these.
 */
static bool __init ept_is_usable(u64 cap)
{
	return (vmx_caps.cpu2 & CPU2_EPT) && (vmx_caps.entry & ENTRY_LOAD_PAT) &&
	       (vmx_caps.entry & ENTRY_LOAD_EFER) && (cap & EPT_CAP_WALK4) && (cap & EPT_CAP_WB) &&
	       (cap & EPT_CAP_INVEPT) && (cap & (EPT_CAP_INVEPT_CONTEXT | EPT_CAP_INVEPT_ALL));
}

static void __init settle_ept(void)
{
	u64 cap = 0;

	if (vmx_caps.cpu2 & (CPU2_EPT | CPU2_VPID))
		cap = native_read_msr(VMX_MSR_EPT_VPID);
	vmx_caps.ept_vpid = cap;
	/* "VM-Execution Control Fields": unrestricted guest needs EPT. */
	if (!ept_is_usable(cap))
		vmx_caps.cpu2 &= ~(CPU2_EPT | CPU2_UNRESTRICTED);
	if (!(cap & VPID_CAP_INVVPID) || !(cap & (VPID_CAP_CONTEXT | VPID_CAP_ALL)))
		vmx_caps.cpu2 &= ~CPU2_VPID;
	/* Default1 bits of CPUs without the "true" MSRs: with EPT these exits may be off. */
	if (vmx_caps.cpu2 & CPU2_EPT)
		vmx_caps.cpu &= ~(CPU_CR3_LOAD | CPU_CR3_STORE | CPU_INVLPG);
	else
		vmx_caps.cpu |= CPU_CR3_LOAD | CPU_CR3_STORE | CPU_INVLPG;
}

static void __init fill_xstate(void)
{
	const u64 usable = XFEATURE_MASK_FP | XFEATURE_MASK_SSE | XFEATURE_MASK_YMM |
			   XFEATURE_MASK_AVX512 | XFEATURE_MASK_PKRU;

	hw.xcr0 = boot_cpu_has(X86_FEATURE_OSXSAVE) ? xgetbv(0) & usable : 0;
	if (!boot_cpu_has(X86_FEATURE_OSPKE))
		hw.xcr0 &= ~(u64)XFEATURE_MASK_PKRU;
	hw.xss = 0;
}

static void __init fill_features(void)
{
	u64 cap = vmx_caps.ept_vpid;
	u32 cpu2 = vmx_caps.cpu2;

	hw.ept = cpu2 & CPU2_EPT;
	hw.unrestricted_guest = cpu2 & CPU2_UNRESTRICTED;
	hw.ept_ad = hw.ept && param_eptad && (cap & EPT_CAP_AD);
	/* What is logged is that a dirty flag is set. */
	hw.pml = hw.ept_ad && param_pml && (cpu2 & CPU2_PML);
	/* Any CPU's own paging has 2-MByte pages, which shadow paging uses. */
	hw.ept_2m = !hw.ept || cap & EPT_CAP_2M;
	hw.ept_1g = hw.ept ? cap & EPT_CAP_1G : boot_cpu_has(X86_FEATURE_GBPAGES);
	hw.ept_5level = hw.ept && cap & EPT_CAP_WALK5;
	hw.vpid = cpu2 & CPU2_VPID;
	hw.rdtscp = cpu2 & CPU2_RDTSCP;
	hw.invpcid = cpu2 & CPU2_INVPCID;
	hw.xsaves = cpu2 & CPU2_XSAVES;
	hw.tpr_shadow = vmx_caps.cpu & CPU_TPR_SHADOW;
	hw.flexpriority = hw.tpr_shadow;
	hw.tsc_scaling = cpu2 & CPU2_TSC_SCALING;
	hw.tsc_frac_bits = 48;
	hw.tsc_max_ratio = ~0ull;
	hw.tsc_khz = tsc_khz;
	hw.vmware_backdoor = param_vmware;
	hw.maxphyaddr = boot_cpu_data.x86_phys_bits;
	fill_xstate();

	param_ept = hw.ept;
	param_unrestricted = hw.unrestricted_guest;
	param_eptad = hw.ept_ad;
	param_vpid = hw.vpid;
	param_flexpriority = hw.flexpriority;
	param_pml = hw.pml;
	param_apicv = false;
	param_timer = false;
}

static void __init announce(void)
{
	if (!hw.ept) {
		pr_info("kvmlet: VMX with shadow paging%s%s%s%s\n", hw.vpid ? ", VPID" : "",
			hw.tpr_shadow ? ", TPR shadow" : "",
			hw.tsc_scaling ? ", TSC scaling" : "", hw.xsaves ? ", XSAVES" : "");
		return;
	}
	pr_info("kvmlet: VMX with EPT%s%s%s%s%s%s%s%s%s%s\n",
		hw.ept_ad ? " A/D" : "", hw.ept_2m ? " 2M" : "", hw.ept_1g ? " 1G" : "",
		hw.ept_5level ? " 5-level" : "", hw.pml ? ", PML" : "",
		hw.unrestricted_guest ? ", unrestricted guest" : "", hw.vpid ? ", VPID" : "",
		hw.tpr_shadow ? ", TPR shadow" : "", hw.tsc_scaling ? ", TSC scaling" : "",
		hw.xsaves ? ", XSAVES" : "");
}

int __init vmx_caps_init(void)
{
	bool have_true;
	int ret;

	ret = check_vmx_usable();
	if (!ret)
		ret = check_basic(&have_true);
	if (!ret)
		ret = settle_all(have_true);
	if (ret)
		return ret;
	settle_ept();

	vmx_caps.cr0_fixed0 = native_read_msr(VMX_MSR_CR0_FIXED0);
	vmx_caps.cr0_fixed1 = native_read_msr(VMX_MSR_CR0_FIXED1);
	vmx_caps.cr4_fixed0 = native_read_msr(VMX_MSR_CR4_FIXED0);
	vmx_caps.cr4_fixed1 = native_read_msr(VMX_MSR_CR4_FIXED1);
	fill_features();
	announce();
	return 0;
}
