// SPDX-License-Identifier: GPL-2.0-only
/*
 * The CPUID that a guest may be given, the one it was given, and the instruction itself.
 * This file must not decide which features the module supports; cpuid_tables.c does.
 */
#include <linux/mm.h>
#include <uapi/asm/kvm_para.h>
#include <asm/cpufeature.h>
#include <asm/fpu/xstate.h>
#include <asm/processor.h>

#include "guest_state.h"
#include "irq.h"

#define CPUID_MAX_BASIC		0x1f
#define CPUID_MAX_EXTENDED	0x80000008

/* ---- What is supported ---- */

struct cpuid_array {
	struct kvm_cpuid_entry2 *entries;
	u32 nr, max;
};

static struct kvm_cpuid_entry2 *add_entry(struct cpuid_array *a, u32 function, u32 index, u32 flags)
{
	struct kvm_cpuid_entry2 *e;

	if (a->nr >= a->max)
		return NULL;
	e = &a->entries[a->nr++];
	*e = (struct kvm_cpuid_entry2) { .function = function, .index = index, .flags = flags };
	return e;
}

static struct kvm_cpuid_entry2 *add_host(struct cpuid_array *a, u32 function, u32 index, u32 flags)
{
	struct kvm_cpuid_entry2 *e = add_entry(a, function, index, flags);

	if (e)
		cpuid_count(function, index, &e->eax, &e->ebx, &e->ecx, &e->edx);
	return e;
}

#define SIGNIFICANT	KVM_CPUID_FLAG_SIGNIFCANT_INDEX

/* Each builder adds the entries of one leaf: 0 or -E2BIG. */
typedef int (*leaf_builder)(struct cpuid_array *a, u32 function);

static int build_zero(struct cpuid_array *a, u32 function)
{
	return add_entry(a, function, 0, 0) ? 0 : -E2BIG;
}

static int build_host(struct cpuid_array *a, u32 function)
{
	return add_host(a, function, 0, 0) ? 0 : -E2BIG;
}

static int build_0(struct cpuid_array *a, u32 function)
{
	struct kvm_cpuid_entry2 *e = add_host(a, function, 0, 0);

	if (!e)
		return -E2BIG;
	e->eax = min_t(u32, e->eax, CPUID_MAX_BASIC);
	return 0;
}

static int build_1(struct cpuid_array *a, u32 function)
{
	struct kvm_cpuid_entry2 *e = add_host(a, function, 0, 0);

	if (!e)
		return -E2BIG;
	e->ecx = cpuid_cap(CAP_1_ECX);
	e->edx = cpuid_cap(CAP_1_EDX);
	return 0;
}

/* "Deterministic Cache Parameters Leaf": subleaves until the cache type is 0. */
static int build_4(struct cpuid_array *a, u32 function)
{
	struct kvm_cpuid_entry2 *e;
	u32 i = 0;

	do {
		e = add_host(a, function, i++, SIGNIFICANT);
		if (!e)
			return -E2BIG;
	} while ((e->eax & 0x1f) && i < 32);
	return 0;
}

/* "Thermal and Power Management Leaf": only ARAT, which the emulated timer has. */
static int build_6(struct cpuid_array *a, u32 function)
{
	struct kvm_cpuid_entry2 *e = add_entry(a, function, 0, 0);

	if (!e)
		return -E2BIG;
	e->eax = BIT(2);
	return 0;
}

static int build_7(struct cpuid_array *a, u32 function)
{
	struct kvm_cpuid_entry2 *e = add_entry(a, function, 0, SIGNIFICANT);
	u32 max = min_t(u32, cpuid_eax(7), 2);

	if (!e)
		return -E2BIG;
	e->eax = max;
	e->ebx = cpuid_cap(CAP_7_0_EBX);
	e->ecx = cpuid_cap(CAP_7_0_ECX);
	e->edx = cpuid_cap(CAP_7_0_EDX);
	if (max >= 1) {
		e = add_entry(a, function, 1, SIGNIFICANT);
		if (!e)
			return -E2BIG;
		e->eax = cpuid_cap(CAP_7_1_EAX);
		e->edx = cpuid_cap(CAP_7_1_EDX);
	}
	if (max >= 2) {
		e = add_entry(a, function, 2, SIGNIFICANT);
		if (!e)
			return -E2BIG;
		e->edx = cpuid_cap(CAP_7_2_EDX);
	}
	return 0;
}

/* A zero first subleaf says that there is no topology; one that there is comes from user space. */
static int build_indexed_zero(struct cpuid_array *a, u32 function)
{
	return add_entry(a, function, 0, SIGNIFICANT) ? 0 : -E2BIG;
}

static int build_d_component(struct cpuid_array *a, u32 function, u32 i)
{
	struct kvm_cpuid_entry2 *e = add_host(a, function, i, SIGNIFICANT);

	if (!e)
		return -E2BIG;
	/*
	 * Bit 0 of ECX tells XSS components from XCR0 ones; bit 2, that XFD can disable it, is not
	 * offered.
	 */
	e->ecx &= BIT(0) | BIT(1);
	e->edx = 0;
	return 0;
}

static int build_d(struct cpuid_array *a, u32 function)
{
	struct kvm_cpuid_entry2 *e = add_entry(a, function, 0, SIGNIFICANT);
	u64 rest = (hw.xcr0 | hw.xss) & ~3ull;
	int r;

	if (!e)
		return -E2BIG;
	if (!hw.xcr0)
		return 0;
	e->eax = hw.xcr0;
	e->edx = hw.xcr0 >> 32;
	e->ebx = cpuid_xstate_size(hw.xcr0, false);
	e->ecx = e->ebx;

	e = add_entry(a, function, 1, SIGNIFICANT);
	if (!e)
		return -E2BIG;
	e->eax = cpuid_cap(CAP_D_1_EAX);
	if (e->eax & (BIT(X86_FEATURE_XSAVES & 31) | BIT(X86_FEATURE_XSAVEC & 31)))
		e->ebx = cpuid_xstate_size(hw.xcr0 | hw.xss, true);
	e->ecx = hw.xss;
	e->edx = hw.xss >> 32;

	for (; rest; rest &= rest - 1) {
		r = build_d_component(a, function, __ffs64(rest));
		if (r)
			return r;
	}
	return 0;
}

static int build_80000000(struct cpuid_array *a, u32 function)
{
	struct kvm_cpuid_entry2 *e = add_host(a, function, 0, 0);

	if (!e)
		return -E2BIG;
	e->eax = min_t(u32, e->eax, CPUID_MAX_EXTENDED);
	return 0;
}

static int build_80000001(struct cpuid_array *a, u32 function)
{
	struct kvm_cpuid_entry2 *e = add_host(a, function, 0, 0);

	if (!e)
		return -E2BIG;
	e->ebx &= ~GENMASK(27, 16);
	e->ecx = cpuid_cap(CAP_8000_0001_ECX);
	e->edx = cpuid_cap(CAP_8000_0001_EDX);
	return 0;
}

static int build_80000006(struct cpuid_array *a, u32 function)
{
	struct kvm_cpuid_entry2 *e = add_host(a, function, 0, 0);

	if (!e)
		return -E2BIG;
	e->edx &= ~GENMASK(17, 16);
	return 0;
}

static int build_80000007(struct cpuid_array *a, u32 function)
{
	struct kvm_cpuid_entry2 *e = add_entry(a, function, 0, 0);

	if (!e)
		return -E2BIG;
	e->edx = cpuid_cap(CAP_8000_0007_EDX);
	return 0;
}

/* EAX: physical, linear and, with EPT, addressable guest-physical address bits. */
static int build_80000008(struct cpuid_array *a, u32 function)
{
	struct kvm_cpuid_entry2 *e = add_entry(a, function, 0, 0);
	u32 host, physical, linear, addressable = 0;

	if (!e)
		return -E2BIG;
	host = cpuid_eax(0x80000008);
	linear = max_t(u32, (host >> 8) & 0xff, 48);
	physical = hw.ept ? host & 0xff : hw.maxphyaddr;
	if (hw.ept)
		addressable = hw.ept_5level ? physical : min_t(u32, physical, 48);
	e->eax = physical | linear << 8 | addressable << 16;
	e->ebx = cpuid_cap(CAP_8000_0008_EBX);
	return 0;
}

static int build_signature(struct cpuid_array *a, u32 function)
{
	struct kvm_cpuid_entry2 *e = add_entry(a, function, 0, 0);

	if (!e)
		return -E2BIG;
	e->eax = KVM_CPUID_FEATURES;
	memcpy(&e->ebx, KVM_SIGNATURE, 4);
	memcpy(&e->ecx, KVM_SIGNATURE + 4, 4);
	memcpy(&e->edx, KVM_SIGNATURE + 8, 4);
	return 0;
}

static int build_pv_features(struct cpuid_array *a, u32 function)
{
	struct kvm_cpuid_entry2 *e = add_entry(a, function, 0, 0);

	if (!e)
		return -E2BIG;
	e->eax = pv_supported_features();
	return 0;
}

/* Leaves not named here are zero: nothing behind them is offered. */
static const struct {
	u32 function;
	leaf_builder build;
} builders[] = {
	{ 0x0, build_0 },
	{ 0x1, build_1 },
	{ 0x2, build_host },
	{ 0x4, build_4 },
	{ 0x6, build_6 },
	{ 0x7, build_7 },
	{ 0xb, build_indexed_zero },
	{ 0xd, build_d },
	{ 0x12, build_indexed_zero },
	{ 0x14, build_indexed_zero },
	{ 0x17, build_indexed_zero },
	{ 0x18, build_indexed_zero },
	{ 0x1d, build_indexed_zero },
	{ 0x1e, build_indexed_zero },
	{ 0x1f, build_indexed_zero },
	{ KVM_CPUID_SIGNATURE, build_signature },
	{ KVM_CPUID_FEATURES, build_pv_features },
	{ 0x80000000, build_80000000 },
	{ 0x80000001, build_80000001 },
	{ 0x80000005, build_host },
	{ 0x80000006, build_80000006 },
	{ 0x80000007, build_80000007 },
	{ 0x80000008, build_80000008 },
};

static leaf_builder find_builder(u32 function)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(builders); i++) {
		if (builders[i].function == function)
			return builders[i].build;
	}
	return build_zero;
}

static int build_class(struct cpuid_array *a, u32 base)
{
	u32 first = a->nr, function;
	int r;

	r = find_builder(base)(a, base);
	for (function = base + 1; !r && function <= a->entries[first].eax; function++)
		r = find_builder(function)(a, function);
	return r;
}

int cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 *nr)
{
	struct cpuid_array a = { entries, 0, *nr };
	int r;

	/* All from one CPU. */
	preempt_disable();
	r = build_class(&a, 0);
	if (!r)
		r = build_class(&a, 0x80000000);
	if (!r)
		r = build_class(&a, KVM_CPUID_SIGNATURE);
	preempt_enable();
	if (!r)
		*nr = a.nr;
	return r;
}

/*
 * Instructions that the module would emulate on a CPU without them: none, since #UD is left to the
 * guest.
 */
int cpuid_emulated(struct kvm_cpuid_entry2 *entries, u32 *nr)
{
	struct cpuid_array a = { entries, 0, *nr };
	struct kvm_cpuid_entry2 *e = add_entry(&a, 0, 0, 0);

	if (!e)
		return -E2BIG;
	e->eax = 7;
	if (!add_entry(&a, 1, 0, 0) || !add_entry(&a, 7, 0, SIGNIFICANT))
		return -E2BIG;
	*nr = a.nr;
	return 0;
}

/* ---- What the guest has ---- */

/*
 * The first 32 leaves of the four classes (basic, hypervisor, extended, Centaur) find their first
 * entry in a table, which holds 1 + its place; the following entries of the same leaf are chained.
 * Anything else is searched for.
 */
static inline unsigned int direct_slot(u32 function)
{
	return function >> 30 << 5 | (function & 31);
}

static inline bool is_direct(u32 function)
{
	return !(function & 0x3fffffe0);
}

static void index_entries(struct vcpu *vcpu)
{
	u16 last[CPUID_DIRECT_SLOTS] = {};
	u32 i;

	memset(&vcpu->cpuid_index, 0, sizeof(vcpu->cpuid_index));
	for (i = 0; i < vcpu->cpuid_nr; i++) {
		u32 function = vcpu->cpuid[i].function;
		unsigned int slot = direct_slot(function);

		if (!is_direct(function))
			continue;
		if (last[slot])
			vcpu->cpuid_index.next[last[slot] - 1] = i + 1;
		else
			vcpu->cpuid_index.first[slot] = i + 1;
		last[slot] = i + 1;
	}
}

static __always_inline bool entry_matches(const struct kvm_cpuid_entry2 *e, u32 index)
{
	return e->index == index || !(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
}

static struct kvm_cpuid_entry2 *search_entry(struct vcpu *vcpu, u32 function, u32 index)
{
	u32 i;

	for (i = 0; i < vcpu->cpuid_nr; i++) {
		struct kvm_cpuid_entry2 *e = &vcpu->cpuid[i];

		if (e->function == function && entry_matches(e, index))
			return e;
	}
	return NULL;
}

static __always_inline struct kvm_cpuid_entry2 *find_entry(struct vcpu *vcpu, u32 function,
							   u32 index)
{
	unsigned int n;

	if (unlikely(!is_direct(function)))
		return search_entry(vcpu, function, index);
	for (n = vcpu->cpuid_index.first[direct_slot(function)]; n;
	     n = vcpu->cpuid_index.next[n - 1]) {
		struct kvm_cpuid_entry2 *e = &vcpu->cpuid[n - 1];

		if (likely(entry_matches(e, index)))
			return e;
	}
	return NULL;
}

const struct kvm_cpuid_entry2 *cpuid_find(struct vcpu *vcpu, u32 function, u32 index)
{
	return find_entry(vcpu, function, index);
}

static void change_feature(u32 *reg, unsigned int feature, bool on)
{
	*reg = (*reg & ~BIT(feature & 31)) | (on ? BIT(feature & 31) : 0);
}

void cpuid_update_dynamic(struct vcpu *vcpu)
{
	u64 apic_base = vcpu->lapic ? vlapic_get_base(vcpu) : vcpu->apic_base;
	bool mwait = vcpu->misc_enable & MSR_IA32_MISC_ENABLE_MWAIT;
	struct kvm_cpuid_entry2 *e;

	/*
	 * OSXSAVE and PKE are never the guest's own to change, so that the cached CR4 tells them
	 * truly.
	 */
	e = find_entry(vcpu, 1, 0);
	if (e) {
		if (!vm_has_quirk(vcpu->vm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT)) {
			change_feature(&e->ecx, X86_FEATURE_MWAIT, mwait);
			__assign_bit(GF_MWAIT, vcpu->guest_features, mwait);
		}
		if (hw.xcr0)
			change_feature(&e->ecx, X86_FEATURE_OSXSAVE, vcpu->cr4 & X86_CR4_OSXSAVE);
		change_feature(&e->edx, X86_FEATURE_APIC, apic_base & MSR_IA32_APICBASE_ENABLE);
	}
	e = find_entry(vcpu, 7, 0);
	if (e && boot_cpu_has(X86_FEATURE_PKU))
		change_feature(&e->ecx, X86_FEATURE_OSPKE, vcpu->cr4 & X86_CR4_PKE);

	e = find_entry(vcpu, 0xd, 0);
	if (e)
		e->ebx = cpuid_xstate_size(vcpu->xcr0, false);
	e = find_entry(vcpu, 0xd, 1);
	if (e && (e->eax & (BIT(X86_FEATURE_XSAVES & 31) | BIT(X86_FEATURE_XSAVEC & 31))))
		e->ebx = cpuid_xstate_size(vcpu->xcr0 | vcpu->xss, true);
}

/* The guest's first instruction has fixed what its CPU is. */
static bool has_run(const struct vcpu *vcpu)
{
	return vcpu->stat.exits || vcpu->stat.fast_exits;
}

/* Linear addresses have 48 or 57 bits, or the default. */
static int check_entries(struct vcpu *vcpu, const struct kvm_cpuid_entry2 *entries, u32 nr)
{
	u32 i, bits;

	for (i = 0; i < nr; i++) {
		if (entries[i].function != 0x80000008)
			continue;
		bits = (entries[i].eax >> 8) & 0xff;
		if (bits && bits != 48 && bits != 57)
			return vcpu_refuse(vcpu, -EINVAL,
					   "CPUID 0x80000008: linear address bits are not 48 or 57",
					   bits);
		break;
	}
	return 0;
}

static bool same_entry(const struct kvm_cpuid_entry2 *a, const struct kvm_cpuid_entry2 *b)
{
	return a->function == b->function && a->index == b->index && a->flags == b->flags &&
	       a->eax == b->eax && a->ebx == b->ebx && a->ecx == b->ecx && a->edx == b->edx;
}

/* A guest whose HLT does not exit has nobody who could end it early. */
static void hide_unhalt(struct vcpu *vcpu)
{
	u32 base = pv_cpuid_base(vcpu);
	struct kvm_cpuid_entry2 *e;

	if (!base || !(READ_ONCE(vcpu->vm->disabled_exits) & KVM_X86_DISABLE_EXITS_HLT))
		return;
	e = find_entry(vcpu, base | KVM_CPUID_FEATURES, 0);
	if (e)
		change_feature(&e->eax, KVM_FEATURE_PV_UNHALT, false);
}

/* Give @vcpu a set of entries and bring their dynamic bits up to date. */
static void install_entries(struct vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 nr)
{
	vcpu->cpuid = entries;
	vcpu->cpuid_nr = nr;
	index_entries(vcpu);
	hide_unhalt(vcpu);
	cpuid_update_dynamic(vcpu);
}

/* VMMs that reuse a vCPU set the same CPUID again, which changes nothing. */
static int set_same(struct vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 nr)
{
	struct kvm_cpuid_entry2 *old = vcpu->cpuid;
	u32 old_nr = vcpu->cpuid_nr, i;
	int r = 0;

	/* The comparison is between two sets with the same dynamic bits. */
	install_entries(vcpu, entries, nr);
	if (nr != old_nr)
		r = vcpu_refuse(vcpu, -EINVAL, "CPUID changed after KVM_RUN: number of entries",
				nr);
	for (i = 0; !r && i < nr; i++) {
		if (!same_entry(&old[i], &entries[i]))
			r = vcpu_refuse(vcpu, -EINVAL, "CPUID changed after KVM_RUN: leaf",
					entries[i].function);
	}
	install_entries(vcpu, old, old_nr);
	if (!r)
		kvfree(entries);
	return r;
}

int cpuid_set(struct vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 nr)
{
	int r;

	if (nr > CPUID_MAX_ENTRIES)
		return vcpu_refuse(vcpu, -E2BIG, "more CPUID entries than the limit", nr);
	if (has_run(vcpu))
		return set_same(vcpu, entries, nr);
	r = check_entries(vcpu, entries, nr);
	if (r)
		return r;

	kvfree(vcpu->cpuid);
	install_entries(vcpu, entries, nr);
	cpuid_guest_features(vcpu);
	vmx_cpuid_changed(vcpu);
	return 0;
}

void cpuid_vcpu_init(struct vcpu *vcpu)
{
	vcpu->maxphyaddr = 36;
	vcpu->em.features = EM_FEAT_ALL | (hw.vmware_backdoor ? EM_FEAT_VMWARE : 0);
	vcpu->cr4_reserved = cpuid_cr4_reserved(vcpu, false);
}

/* ---- The instruction ---- */

static bool is_amd(const struct kvm_cpuid_entry2 *e)
{
	/* "AuthenticAMD" and "HygonGenuine" */
	return (e->ebx == 0x68747541 && e->edx == 0x69746e65 && e->ecx == 0x444d4163) ||
	       (e->ebx == 0x6f677948 && e->edx == 0x6e65476e && e->ecx == 0x656e6975);
}

/*
 * "CPUID - CPU Identification": a leaf above the highest one of its class answers as the highest
 * basic leaf. An AMD CPU answers zero. Each 0x100 hypervisor leaves are a class of their own.
 */
static struct kvm_cpuid_entry2 *find_out_of_range(struct vcpu *vcpu, u32 *function, u32 index)
{
	const struct kvm_cpuid_entry2 *basic = find_entry(vcpu, 0, 0), *class;
	u32 base = *function & 0x80000000;

	if (!basic || is_amd(basic))
		return NULL;
	if (*function >= 0x40000000 && *function <= 0x4fffffff)
		base = *function & 0xffffff00;
	else if (*function >= 0xc0000000)
		base = 0xc0000000;
	class = find_entry(vcpu, base, 0);
	if (class && *function <= class->eax)
		return NULL;
	*function = basic->eax;
	return find_entry(vcpu, basic->eax, index);
}

static noinline void lookup_missing(struct vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	u32 function = *eax, index = *ecx;
	const struct kvm_cpuid_entry2 *e = find_out_of_range(vcpu, &function, index);

	if (e) {
		*eax = e->eax;
		*ebx = e->ebx;
		*ecx = e->ecx;
		*edx = e->edx;
		return;
	}
	*eax = 0;
	*ebx = 0;
	*ecx = 0;
	*edx = 0;
	/*
	 * "Extended Topology Enumeration Leaf": an invalid subleaf still gives its own number and
	 * the x2APIC id.
	 */
	if (function == 0xb || function == 0x1f) {
		e = find_entry(vcpu, function, 1);
		if (e) {
			*ecx = index & 0xff;
			*edx = e->edx;
		}
	}
}

void cpuid_lookup(struct vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	const struct kvm_cpuid_entry2 *e = find_entry(vcpu, *eax, *ecx);

	if (unlikely(!e)) {
		lookup_missing(vcpu, eax, ebx, ecx, edx);
		return;
	}
	*eax = e->eax;
	*ebx = e->ebx;
	*ecx = e->ecx;
	*edx = e->edx;
}
