// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which CPUID bits the module can offer, which of them its own code asks about, and how big XSAVE
 * areas are.
 * This file must not know where a guest's CPUID entries are kept; cpuid.c does.
 */
#include <asm/cpufeature.h>
#include <asm/fpu/xcr.h>
#include <asm/fpu/xstate.h>
#include <asm/processor.h>

#include "guest_state.h"

#define F(name)		BIT(X86_FEATURE_##name & 31)

/*
 * A bit stands in @mask when the feature is either executed by the CPU alone or completely looked
 * after here. @forced bits are offered whatever the CPU has, since the module provides them. @word
 * is the host kernel's own view of the same register, which knows of clearcpuid= and of
 * mitigations; -1 where the kernel keeps none.
 */
static const struct cpuid_mask {
	u32 function;
	u8 index;
	u8 reg;
	s8 word;
	u32 mask;
	u32 forced;
} masks[NR_CPUID_CAPS] = {
	[CAP_1_ECX] = {
		1, 0, CPUID_REG_ECX, CPUID_1_ECX,
		F(XMM3) | F(PCLMULQDQ) | F(SSSE3) | F(FMA) | F(CX16) | F(PCID) | F(XMM4_1) |
		F(XMM4_2) | F(MOVBE) | F(POPCNT) | F(AES) | F(XSAVE) | F(AVX) | F(F16C) |
		F(RDRAND),
		F(X2APIC) | F(TSC_DEADLINE_TIMER) | F(HYPERVISOR),
	},
	[CAP_1_EDX] = {
		1, 0, CPUID_REG_EDX, CPUID_1_EDX,
		F(FPU) | F(VME) | F(DE) | F(PSE) | F(TSC) | F(MSR) | F(PAE) | F(MCE) | F(CX8) |
		F(APIC) | F(SEP) | F(MTRR) | F(PGE) | F(MCA) | F(CMOV) | F(PAT) | F(PSE36) |
		F(CLFLUSH) | F(MMX) | F(FXSR) | F(XMM) | F(XMM2) | F(SELFSNOOP),
	},
	[CAP_7_0_EBX] = {
		7, 0, CPUID_REG_EBX, CPUID_7_0_EBX,
		F(FSGSBASE) | F(BMI1) | F(HLE) | F(AVX2) | F(FDP_EXCPTN_ONLY) | F(SMEP) | F(BMI2) |
		F(ERMS) | F(INVPCID) | F(RTM) | F(ZERO_FCS_FDS) | F(AVX512F) | F(AVX512DQ) |
		F(RDSEED) | F(ADX) | F(SMAP) | F(AVX512IFMA) | F(CLFLUSHOPT) | F(CLWB) |
		F(AVX512PF) | F(AVX512ER) | F(AVX512CD) | F(SHA_NI) | F(AVX512BW) | F(AVX512VL),
		F(TSC_ADJUST),
	},
	[CAP_7_0_ECX] = {
		7, 0, CPUID_REG_ECX, CPUID_7_ECX,
		F(AVX512VBMI) | F(PKU) | F(RDPID) | F(AVX512_VPOPCNTDQ) | F(UMIP) |
		F(AVX512_VBMI2) | F(GFNI) | F(VAES) | F(VPCLMULQDQ) | F(AVX512_VNNI) |
		F(AVX512_BITALG) | F(CLDEMOTE) | F(MOVDIRI) | F(MOVDIR64B),
	},
	[CAP_7_0_EDX] = {
		7, 0, CPUID_REG_EDX, CPUID_7_EDX,
		F(AVX512_4VNNIW) | F(AVX512_4FMAPS) | F(FSRM) | F(AVX512_VP2INTERSECT) |
		F(MD_CLEAR) | F(SERIALIZE) | F(TSXLDTRK) | F(AVX512_FP16) | F(SPEC_CTRL) |
		F(INTEL_STIBP) | F(FLUSH_L1D) | F(SPEC_CTRL_SSBD),
		F(ARCH_CAPABILITIES),
	},
	/*
	 * AVX-VNNI, AVX512-BF16, CMPccXADD, FZRM, FSRS, FSRC, AVX-IFMA; not every host header names
	 * them.
	 */
	[CAP_7_1_EAX] = {
		7, 1, CPUID_REG_EAX, -1,
		BIT(4) | BIT(5) | BIT(7) | BIT(10) | BIT(11) | BIT(12) | BIT(23),
	},
	/* AVX-VNNI-INT8, AVX-NE-CONVERT, PREFETCHIT0/1 */
	[CAP_7_1_EDX] = { 7, 1, CPUID_REG_EDX, -1, BIT(4) | BIT(5) | BIT(14) },
	/* PSFD, IPRED_CTRL, RRSBA_CTRL, DDPD_U, BHI_CTRL: bits of IA32_SPEC_CTRL; MCDT_NO */
	[CAP_7_2_EDX] = { 7, 2, CPUID_REG_EDX, -1, GENMASK(5, 0) },
	[CAP_D_1_EAX] = {
		0xd, 1, CPUID_REG_EAX, CPUID_D_1_EAX,
		F(XSAVEOPT) | F(XSAVEC) | F(XGETBV1) | F(XSAVES),
	},
	[CAP_8000_0001_ECX] = {
		0x80000001, 0, CPUID_REG_ECX, CPUID_8000_0001_ECX,
		F(LAHF_LM) | F(CR8_LEGACY) | F(ABM) | F(3DNOWPREFETCH),
	},
	/* AMD's copy of leaf 1 is left out: an Intel CPU does not show it. */
	[CAP_8000_0001_EDX] = {
		0x80000001, 0, CPUID_REG_EDX, CPUID_8000_0001_EDX,
		F(SYSCALL) | F(NX) | F(GBPAGES) | F(RDTSCP) | F(LM),
	},
	[CAP_8000_0007_EDX] = { 0x80000007, 0, CPUID_REG_EDX, -1, BIT(8) },	/* invariant TSC */
	[CAP_8000_0008_EBX] = { 0x80000008, 0, CPUID_REG_EBX, CPUID_8000_0008_EBX, F(WBNOINVD) },
};

static u32 caps[NR_CPUID_CAPS];

static struct {
	u32 size, offset, flags;
} xstate[64];

#define XSTATE_LEGACY_SIZE \
	576 /* 512 bytes of FXSAVE and the 64-byte header, "Form of Execution of XSAVE" */
#define XSTATE_ALIGNED BIT(1)

u32 cpuid_cap(enum cpuid_cap cap)
{
	return caps[cap];
}

u32 cpuid_xstate_size(u64 mask, bool compacted)
{
	u32 end = XSTATE_LEGACY_SIZE;
	unsigned int i;

	mask &= ~(u64)(XFEATURE_MASK_FP | XFEATURE_MASK_SSE);
	for (; mask; mask &= mask - 1) {
		u32 start;

		i = __ffs64(mask);
		start = xstate[i].offset;
		if (compacted)
			start = xstate[i].flags & XSTATE_ALIGNED ? ALIGN(end, 64) : end;
		end = max(end, start + xstate[i].size);
	}
	return end;
}

static void read_xstate(void)
{
	unsigned int i;
	u32 edx;

	if (!hw.xcr0)
		return;
	for (i = 2; i < ARRAY_SIZE(xstate); i++) {
		if ((hw.xcr0 | hw.xss) & BIT_ULL(i))
			cpuid_count(0xd, i, &xstate[i].size, &xstate[i].offset, &xstate[i].flags,
				    &edx);
	}
}

static u32 host_word(const struct cpuid_mask *m)
{
	u32 reg[4];

	if (m->function > cpuid_eax(m->function & 0x80000000))
		return 0;
	if (m->index && m->function == 7 && m->index > cpuid_eax(7))
		return 0;
	cpuid_count(m->function, m->index, &reg[0], &reg[1], &reg[2], &reg[3]);
	return reg[m->reg];
}

#define AVX_BITS_1_ECX		(F(AVX) | F(FMA) | F(F16C))
#define AVX_BITS_7_ECX		(F(VAES) | F(VPCLMULQDQ))
#define AVX512_BITS_7_EBX \
	(F(AVX512F) | F(AVX512DQ) | F(AVX512IFMA) | F(AVX512PF) | F(AVX512ER) | F(AVX512CD) | \
	 F(AVX512BW) | F(AVX512VL))
#define AVX512_BITS_7_ECX \
	(F(AVX512VBMI) | F(AVX512_VPOPCNTDQ) | F(AVX512_VBMI2) | F(AVX512_VNNI) | F(AVX512_BITALG))
#define AVX512_BITS_7_EDX \
	(F(AVX512_4VNNIW) | F(AVX512_4FMAPS) | F(AVX512_VP2INTERSECT) | F(AVX512_FP16))

/* Without the register state a guest cannot use the instructions. */
static void limit_by_xstate(void)
{
	if (!hw.xcr0) {
		caps[CAP_1_ECX] &= ~F(XSAVE);
		caps[CAP_D_1_EAX] = 0;
	}
	if (!(hw.xcr0 & XFEATURE_MASK_YMM)) {
		caps[CAP_1_ECX] &= ~AVX_BITS_1_ECX;
		caps[CAP_7_0_EBX] &= ~F(AVX2);
		caps[CAP_7_0_ECX] &= ~AVX_BITS_7_ECX;
		caps[CAP_7_1_EAX] &= ~(BIT(4) | BIT(23));
		caps[CAP_7_1_EDX] &= ~(BIT(4) | BIT(5));
	}
	if ((hw.xcr0 & XFEATURE_MASK_AVX512) != XFEATURE_MASK_AVX512) {
		caps[CAP_7_0_EBX] &= ~AVX512_BITS_7_EBX;
		caps[CAP_7_0_ECX] &= ~AVX512_BITS_7_ECX;
		caps[CAP_7_0_EDX] &= ~AVX512_BITS_7_EDX;
		caps[CAP_7_1_EAX] &= ~BIT(5);
	}
	if (!hw.xsaves)
		caps[CAP_D_1_EAX] &= ~F(XSAVES);
}

/*
 * Instructions that VMX makes #UD without a control, "Secondary Processor-Based VM-Execution
 * Controls".
 */
static void limit_by_controls(void)
{
	if (!hw.invpcid)
		caps[CAP_7_0_EBX] &= ~F(INVPCID);
	if (!hw.rdtscp) {
		caps[CAP_7_0_ECX] &= ~F(RDPID);
		caps[CAP_8000_0001_EDX] &= ~F(RDTSCP);
	}
	/*
	 * PKRU belongs to the guest only where the host keeps one as well.
	 */
	if (!boot_cpu_has(X86_FEATURE_OSPKE))
		caps[CAP_7_0_ECX] &= ~F(PKU);
	/*
	 * The host's kernel hides LA57 when it was booted without; a guest's own walk does not
	 * depend on that.
	 */
	if (cpuid_ecx(7) & F(LA57))
		caps[CAP_7_0_ECX] |= F(LA57);
}

/* One MSR, three vendors' bits for it. */
static void add_speculation(void)
{
	if (boot_cpu_has(X86_FEATURE_IBPB) && boot_cpu_has(X86_FEATURE_IBRS))
		caps[CAP_7_0_EDX] |= F(SPEC_CTRL);
	if (boot_cpu_has(X86_FEATURE_STIBP)) {
		caps[CAP_7_0_EDX] |= F(INTEL_STIBP);
		caps[CAP_8000_0008_EBX] |= F(AMD_STIBP);
	}
	if (boot_cpu_has(X86_FEATURE_IBPB))
		caps[CAP_8000_0008_EBX] |= F(AMD_IBPB);
	if (boot_cpu_has(X86_FEATURE_IBRS))
		caps[CAP_8000_0008_EBX] |= F(AMD_IBRS);
	if (boot_cpu_has(X86_FEATURE_SPEC_CTRL_SSBD))
		caps[CAP_8000_0008_EBX] |= F(AMD_SSBD);
	if (!boot_cpu_has_bug(X86_BUG_SPEC_STORE_BYPASS))
		caps[CAP_8000_0008_EBX] |= F(AMD_SSB_NO);
}

void cpuid_init(void)
{
	unsigned int i;

	for (i = 0; i < NR_CPUID_CAPS; i++) {
		caps[i] = masks[i].mask & host_word(&masks[i]);
		if (masks[i].word >= 0)
			caps[i] &= boot_cpu_data.x86_capability[masks[i].word];
		caps[i] |= masks[i].forced;
	}
	caps[CAP_8000_0007_EDX] &= boot_cpu_data.x86_power;
	read_xstate();
	limit_by_xstate();
	limit_by_controls();
	add_speculation();
}

struct feature_bit {
	u8 feature;	/* enum guest_feature */
	u8 index;
	u8 reg;
	u8 bit;
	u32 function;
};

#define BIT_1_ECX(gf, name)	{ gf, 0, CPUID_REG_ECX, X86_FEATURE_##name & 31, 1 }
#define BIT_1_EDX(gf, name)	{ gf, 0, CPUID_REG_EDX, X86_FEATURE_##name & 31, 1 }
#define BIT_7_EBX(gf, name)	{ gf, 0, CPUID_REG_EBX, X86_FEATURE_##name & 31, 7 }
#define BIT_7_ECX(gf, name)	{ gf, 0, CPUID_REG_ECX, X86_FEATURE_##name & 31, 7 }
#define BIT_7_EDX(gf, name)	{ gf, 0, CPUID_REG_EDX, X86_FEATURE_##name & 31, 7 }
#define BIT_EXT1_EDX(gf, name)	{ gf, 0, CPUID_REG_EDX, X86_FEATURE_##name & 31, 0x80000001 }
#define BIT_EXT8_EBX(gf, name)	{ gf, 0, CPUID_REG_EBX, X86_FEATURE_##name & 31, 0x80000008 }

/*
 * Several rows for one feature: any of them will do. VMX, CET, PKS, XFD and the PMU are never a
 * guest's.
 */
static const struct feature_bit feature_bits[] = {
	BIT_1_ECX(GF_MWAIT, MWAIT),
	BIT_1_ECX(GF_CX16, CX16),
	BIT_1_ECX(GF_PCID, PCID),
	BIT_1_ECX(GF_X2APIC, X2APIC),
	BIT_1_ECX(GF_MOVBE, MOVBE),
	BIT_1_ECX(GF_TSC_DEADLINE, TSC_DEADLINE_TIMER),
	BIT_1_ECX(GF_XSAVE, XSAVE),
	BIT_1_EDX(GF_VME, VME),
	BIT_1_EDX(GF_DE, DE),
	BIT_1_EDX(GF_PSE, PSE),
	BIT_1_EDX(GF_TSC, TSC),
	BIT_1_EDX(GF_PAE, PAE),
	BIT_1_EDX(GF_MCE, MCE),
	BIT_1_EDX(GF_MTRR, MTRR),
	BIT_1_EDX(GF_PGE, PGE),
	BIT_1_EDX(GF_MCA, MCA),
	BIT_1_EDX(GF_PAT, PAT),
	BIT_1_EDX(GF_PSE36, PSE36),
	BIT_7_EBX(GF_FSGSBASE, FSGSBASE),
	BIT_7_EBX(GF_TSC_ADJUST, TSC_ADJUST),
	BIT_7_EBX(GF_SMEP, SMEP),
	BIT_7_EBX(GF_INVPCID, INVPCID),
	BIT_7_EBX(GF_RTM, RTM),
	BIT_7_EBX(GF_SMAP, SMAP),
	BIT_7_ECX(GF_UMIP, UMIP),
	BIT_7_ECX(GF_PKU, PKU),
	BIT_7_ECX(GF_LA57, LA57),
	BIT_7_ECX(GF_RDPID, RDPID),
	BIT_7_EDX(GF_SPEC_CTRL, SPEC_CTRL),
	BIT_EXT8_EBX(GF_SPEC_CTRL, AMD_IBRS),
	BIT_7_EDX(GF_STIBP, INTEL_STIBP),
	BIT_EXT8_EBX(GF_STIBP, AMD_STIBP),
	BIT_7_EDX(GF_SSBD, SPEC_CTRL_SSBD),
	BIT_EXT8_EBX(GF_SSBD, AMD_SSBD),
	BIT_7_EDX(GF_PRED_CMD, SPEC_CTRL),
	BIT_EXT8_EBX(GF_PRED_CMD, AMD_IBPB),
	BIT_7_EDX(GF_FLUSH_L1D, FLUSH_L1D),
	BIT_7_EDX(GF_ARCH_CAP, ARCH_CAPABILITIES),
	{ GF_XSAVES, 1, CPUID_REG_EAX, X86_FEATURE_XSAVES & 31, 0xd },
	BIT_EXT1_EDX(GF_SYSCALL, SYSCALL),
	BIT_EXT1_EDX(GF_NX, NX),
	BIT_EXT1_EDX(GF_FXSR_OPT, FXSR_OPT),
	BIT_EXT1_EDX(GF_RDTSCP, RDTSCP),
	BIT_EXT1_EDX(GF_LM, LM),
	BIT_EXT1_EDX(GF_GBPAGES, GBPAGES),
};

/* What the emulator may be asked to execute; it raises #UD for the rest. */
static const struct {
	u32 em;
	u32 function;
	u8 reg;
	u8 bit;
} em_bits[] = {
	{ EM_FEAT_MOVBE, 1, CPUID_REG_ECX, X86_FEATURE_MOVBE & 31 },
	{ EM_FEAT_POPCNT, 1, CPUID_REG_ECX, X86_FEATURE_POPCNT & 31 },
	{ EM_FEAT_CX16, 1, CPUID_REG_ECX, X86_FEATURE_CX16 & 31 },
	{ EM_FEAT_SSE3, 1, CPUID_REG_ECX, X86_FEATURE_XMM3 & 31 },
	{ EM_FEAT_SSE41, 1, CPUID_REG_ECX, X86_FEATURE_XMM4_1 & 31 },
	{ EM_FEAT_AVX, 1, CPUID_REG_ECX, X86_FEATURE_AVX & 31 },
	{ EM_FEAT_MMX, 1, CPUID_REG_EDX, X86_FEATURE_MMX & 31 },
	{ EM_FEAT_SSE, 1, CPUID_REG_EDX, X86_FEATURE_XMM & 31 },
	{ EM_FEAT_SSE2, 1, CPUID_REG_EDX, X86_FEATURE_XMM2 & 31 },
	{ EM_FEAT_BMI1, 7, CPUID_REG_EBX, X86_FEATURE_BMI1 & 31 },
	{ EM_FEAT_AVX2, 7, CPUID_REG_EBX, X86_FEATURE_AVX2 & 31 },
	{ EM_FEAT_LZCNT, 0x80000001, CPUID_REG_ECX, X86_FEATURE_ABM & 31 },
};

static u32 guest_word(struct vcpu *vcpu, u32 function, u32 index, u8 reg)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(vcpu, function, index);

	if (!e)
		return 0;
	switch (reg) {
	case CPUID_REG_EAX:
		return e->eax;
	case CPUID_REG_EBX:
		return e->ebx;
	case CPUID_REG_ECX:
		return e->ecx;
	default:
		return e->edx;
	}
}

static const struct {
	u64 bit;
	u8 feature;	/* the guest's CPUID has to show it */
	u8 cap;		/* ... and the module has to support it */
	u32 cap_bit;
} cr4_bits[] = {
	{ X86_CR4_OSXSAVE, GF_XSAVE, CAP_1_ECX, F(XSAVE) },
	{ X86_CR4_SMEP, GF_SMEP, CAP_7_0_EBX, F(SMEP) },
	{ X86_CR4_SMAP, GF_SMAP, CAP_7_0_EBX, F(SMAP) },
	{ X86_CR4_FSGSBASE, GF_FSGSBASE, CAP_7_0_EBX, F(FSGSBASE) },
	{ X86_CR4_PKE, GF_PKU, CAP_7_0_ECX, F(PKU) },
	{ X86_CR4_LA57, GF_LA57, CAP_7_0_ECX, F(LA57) },
	{ X86_CR4_UMIP, GF_UMIP, CAP_7_0_ECX, F(UMIP) },
	{ X86_CR4_PCIDE, GF_PCID, CAP_1_ECX, F(PCID) },
};

u64 cpuid_cr4_reserved(struct vcpu *vcpu, bool by_guest)
{
	u64 allowed = X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE |
		      X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR |
		      X86_CR4_OSXMMEXCPT;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cr4_bits); i++) {
		if (!(caps[cr4_bits[i].cap] & cr4_bits[i].cap_bit))
			continue;
		if (!by_guest || guest_has(vcpu, cr4_bits[i].feature))
			allowed |= cr4_bits[i].bit;
	}
	return ~allowed;
}

static u8 guest_maxphyaddr(struct vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(vcpu, 0x80000000, 0);

	if (!e || e->eax < 0x80000008)
		return 36;
	e = cpuid_find(vcpu, 0x80000008, 0);
	return e ? e->eax & 0xff : 36;
}

void cpuid_guest_features(struct vcpu *vcpu)
{
	unsigned int i;

	bitmap_zero(vcpu->guest_features, NR_GUEST_FEATURES);
	for (i = 0; i < ARRAY_SIZE(feature_bits); i++) {
		const struct feature_bit *f = &feature_bits[i];

		if (guest_word(vcpu, f->function, f->index, f->reg) & BIT(f->bit))
			__set_bit(f->feature, vcpu->guest_features);
	}
	/*
	 * The CPU walks the guest's tables itself and does not ask the guest's CPUID about 1 GiB
	 * pages.
	 */
	if (hw.ept && boot_cpu_has(X86_FEATURE_GBPAGES))
		__set_bit(GF_GBPAGES, vcpu->guest_features);
	vcpu_pv_cpuid_changed(vcpu);

	vcpu->em.features = hw.vmware_backdoor ? EM_FEAT_VMWARE : 0;
	for (i = 0; i < ARRAY_SIZE(em_bits); i++) {
		if (guest_word(vcpu, em_bits[i].function, 0, em_bits[i].reg) & BIT(em_bits[i].bit))
			vcpu->em.features |= em_bits[i].em;
	}

	vcpu->guest_xcr0_supported = guest_word(vcpu, 0xd, 0, CPUID_REG_EAX) |
				     (u64)guest_word(vcpu, 0xd, 0, CPUID_REG_EDX) << 32;
	vcpu->guest_xcr0_supported &= hw.xcr0;
	vcpu->maxphyaddr = guest_maxphyaddr(vcpu);
	vcpu->cr4_reserved = cpuid_cr4_reserved(vcpu, true);
}
