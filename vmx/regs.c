// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control, debug and extended control registers as the guest sees them, with the checks of a
 * guest's own writes.
 * This file must not touch segments or MSRs; segs.c and msr.c do.
 */
#include <linux/nospec.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/fpu/xcr.h>
#include <asm/fpu/xstate.h>
#include <asm/processor-flags.h>

#include "guest_state.h"
#include "irq.h"

#define CR0_DEFINED \
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE | \
	 X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
/* Changes of these bits reload the PDPTEs: "PDPTE Registers". */
#define CR0_LOADS_PDPTES (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)
#define CR4_LOADS_PDPTES (X86_CR4_PGE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_SMEP)

/* Other tables for shadow paging. */
#define SHADOW_CR4_BITS \
	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE | X86_CR4_LA57)

#define DR6_WRITABLE	0x0001e80ful
#define DR6_ONES	0xfffe07f0ul
#define DR6_NO_RTM	BIT(16)
#define DR6_NO_BUS_LOCK	BIT(11)
#define DR7_WRITABLE	0xffff2bfful
#define DR7_ONES	0x00000400ul

/*
 * ---- Reading: the hardware may hold newer values of what the guest changes without an exit ----
 */

/* Whether the guest's CR3 is in the VMCS as it is, rather than that of our own tables. */
static bool cr3_in_hardware(const struct vcpu *vcpu)
{
	return hw.ept && (hw.unrestricted_guest || vcpu->cr0 & X86_CR0_PG);
}

static void fetch_cr0(struct vcpu *vcpu)
{
	unsigned long owned = to_vmx(vcpu)->cr0_owned;

	vcpu->cr0 = (vcpu->cr0 & ~owned) | (vmcs_readl(VMCS_GUEST_CR0) & owned);
	vcpu->stale &= ~BIT(CACHED_CR0);
}

/*
 * With PAE paging a MOV to CR3 has loaded the PDPTEs as well, and the CPU goes by those, not by
 * memory.
 */
static void fetch_pdptrs(struct vcpu *vcpu)
{
	unsigned int i;

	if (!hw.ept || vcpu->efer & EFER_LMA || !(vcpu->cr4 & X86_CR4_PAE) ||
	    !(vcpu->cr0 & X86_CR0_PG))
		return;
	for (i = 0; i < 4; i++)
		vcpu->pdptrs[i] = vmcs_read64(VMCS_GUEST_PDPTE0 + 2 * i);
}

static void fetch_cr3(struct vcpu *vcpu)
{
	if (cr3_in_hardware(vcpu))
		vcpu->cr3 = vmcs_readl(VMCS_GUEST_CR3);
	fetch_pdptrs(vcpu);
	vcpu->stale &= ~BIT(CACHED_CR3);
}

static void fetch_cr4(struct vcpu *vcpu)
{
	unsigned long owned = to_vmx(vcpu)->cr4_owned;

	vcpu->cr4 = (vcpu->cr4 & ~owned) | (vmcs_readl(VMCS_GUEST_CR4) & owned);
	vcpu->stale &= ~BIT(CACHED_CR4);
}

unsigned long vcpu_cr0(struct vcpu *vcpu)
{
	if (vcpu->stale & BIT(CACHED_CR0)) {
		vmcs_get(to_vmx(vcpu));
		fetch_cr0(vcpu);
		vmcs_put(to_vmx(vcpu));
	}
	return vcpu->cr0;
}

unsigned long vcpu_cr3(struct vcpu *vcpu)
{
	if (vcpu->stale & BIT(CACHED_CR3)) {
		vmcs_get(to_vmx(vcpu));
		fetch_cr3(vcpu);
		vmcs_put(to_vmx(vcpu));
	}
	return vcpu->cr3;
}

unsigned long vcpu_cr4(struct vcpu *vcpu)
{
	if (vcpu->stale & BIT(CACHED_CR4)) {
		vmcs_get(to_vmx(vcpu));
		fetch_cr4(vcpu);
		vmcs_put(to_vmx(vcpu));
	}
	return vcpu->cr4;
}

void regs_cache_crs(struct vcpu *vcpu)
{
	if (vcpu->stale & BIT(CACHED_CR0))
		fetch_cr0(vcpu);
	if (vcpu->stale & BIT(CACHED_CR3))
		fetch_cr3(vcpu);
	if (vcpu->stale & BIT(CACHED_CR4))
		fetch_cr4(vcpu);
}

unsigned long vcpu_cr8(struct vcpu *vcpu)
{
	return vcpu->lapic ? vlapic_get_cr8(vcpu) : vcpu->user_cr8;
}

/* ---- Page directory pointers ---- */

bool regs_pae_paging(struct vcpu *vcpu)
{
	return !regs_long_mode(vcpu) && vcpu_cr4(vcpu) & X86_CR4_PAE && vcpu_cr0(vcpu) & X86_CR0_PG;
}

void regs_set_pdptrs(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned int i;

	if (!hw.ept) {
		vcpu_request(vcpu, REQ_MMU_RELOAD);
		return;
	}
	vmcs_get(vmx);
	for (i = 0; i < 4; i++)
		vmcs_write64(VMCS_GUEST_PDPTE0 + 2 * i, vcpu->pdptrs[i]);
	vmcs_put(vmx);
}

/* 0, or 1 when a present PDPTE has a reserved bit. */
static int load_pdptrs(struct vcpu *vcpu, unsigned long cr3)
{
	if (guest_load_pdptrs(vcpu, cr3))
		return 1;
	regs_set_pdptrs(vcpu);
	return 0;
}

/* ---- Long mode follows EFER.LME and CR0.PG: "IA-32e Mode Operation" ---- */

static void enter_long_mode(struct vcpu *vcpu)
{
	struct em_segment tr;

	/*
	 * A CPU keeps its 32-bit TSS for now; VM entry insists on a 64-bit one, which has the same
	 * encoding.
	 */
	segs_read(vcpu, &tr, SEG_TR);
	if ((tr.ar & SEG_RIGHTS_TYPE) != 11) {
		tr.ar = (tr.ar & ~(u32)SEG_RIGHTS_TYPE) | 11;
		segs_write(vcpu, &tr, SEG_TR);
	}
	vcpu->efer |= EFER_LMA;
	vmx_efer_changed(vcpu);
}

static void follow_paging(struct vcpu *vcpu, unsigned long old_cr0, unsigned long cr0)
{
	if (!(vcpu->efer & EFER_LME) || !((old_cr0 ^ cr0) & X86_CR0_PG))
		return;
	if (cr0 & X86_CR0_PG) {
		enter_long_mode(vcpu);
	} else {
		vcpu->efer &= ~(u64)EFER_LMA;
		vmx_efer_changed(vcpu);
	}
}

/* ---- What the hardware has in CR4 ---- */

/* Bits that change how the CPU walks tables, which are not the guest's own. */
static unsigned long shadow_cr4(unsigned long val)
{
	val |= X86_CR4_PAE;
	val &= ~(X86_CR4_PSE | X86_CR4_PCIDE);
	return val;
}

/* The identity map is of 4-MByte pages. */
static unsigned long identity_cr4(unsigned long val)
{
	return (val | X86_CR4_PSE) & ~(X86_CR4_PAE | X86_CR4_PCIDE);
}

static unsigned long hardware_cr4(const struct vcpu *vcpu, unsigned long val)
{
	val |= vmx_cr4_fixed0;
	/*
	 * A machine check has to come out as an exit, not as a shutdown, even when the guest has
	 * not asked for #MC.
	 */
	if (boot_cpu_has(X86_FEATURE_MCE))
		val |= X86_CR4_MCE;
	if (!hw.ept)
		val = shadow_cr4(val);
	else if (!hw.unrestricted_guest && !(vcpu->cr0 & X86_CR0_PG))
		val = identity_cr4(val);
	/* Without paging no access is checked; to the CPU all pages are a user's. */
	if (!hw.unrestricted_guest && !(vcpu->cr0 & X86_CR0_PG))
		val &= ~(X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE | X86_CR4_LA57);
	return val & vmx_cr4_fixed1;
}

/* ---- CR0 ---- */

/*
 * What the hardware runs with: caching stays on, and VMX has bits of its own to be set
 * ("Restrictions on VMX Operation").
 */
static unsigned long hardware_cr0(unsigned long val)
{
	unsigned long ones = vmx_cr0_fixed0;

	if (hw.unrestricted_guest)
		ones &= ~(X86_CR0_PE | X86_CR0_PG);
	/* Shadow tables say what may be written, and catch it. */
	if (!hw.ept)
		ones |= X86_CR0_WP;
	return ((val & CR0_DEFINED & ~(X86_CR0_CD | X86_CR0_NW)) | ones) & vmx_cr0_fixed1;
}

/*
 * The CPU pages always. A guest that does not is given tables that map each address to itself, and
 * must see its own CR3 and CR4.
 */
static void switch_identity_map(struct vcpu *vcpu, bool on)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmcs_get(vmx);
	if (on) {
		vmx_cpu_set(vmx, CPU_CR3_LOAD | CPU_CR3_STORE);
		vmcs_writel(VMCS_GUEST_CR3, vcpu->vm->identity_map_addr);
	} else {
		vmx_cpu_clear(vmx, CPU_CR3_LOAD | CPU_CR3_STORE);
	}
	vmcs_writel(VMCS_GUEST_CR4, hardware_cr4(vcpu, vcpu_cr4(vcpu)));
	vmcs_put(vmx);
	vmx->identity_map = on;
}

void regs_put_cr0(struct vcpu *vcpu, unsigned long val)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long old = vcpu_cr0(vcpu);

	/* The guest's CR3 may have to be fetched by the old rules. */
	vcpu_cr3(vcpu);
	follow_paging(vcpu, old, val);
	vcpu->cr0 = val;
	vmx->state_changed = true;
	vmcs_get(vmx);
	vmcs_writel(VMCS_CR0_SHADOW, val);
	vmcs_writel(VMCS_GUEST_CR0, hardware_cr0(val));
	vmcs_put(vmx);
	if (!hw.unrestricted_guest && hw.ept && vmx->identity_map == !!(val & X86_CR0_PG))
		switch_identity_map(vcpu, !(val & X86_CR0_PG));
	if ((old ^ val) & X86_CR0_PG) {
		regs_put_cr3(vcpu, vcpu->cr3);
		regs_flush(vcpu);
	}
	if (!hw.ept && (old ^ val) & (X86_CR0_PG | X86_CR0_WP)) {
		/* CR4 for the CPU and the tables depend on both. */
		regs_put_cr4(vcpu, vcpu_cr4(vcpu));
		vcpu_request(vcpu, REQ_MMU_RELOAD);
	}
}

bool regs_cr0_valid(struct vcpu *vcpu, unsigned long val)
{
	if (val >> 32)
		return false;
	if (val & X86_CR0_NW && !(val & X86_CR0_CD))
		return false;
	return !(val & X86_CR0_PG) || val & X86_CR0_PE;
}

int vcpu_set_cr0(struct vcpu *vcpu, unsigned long val)
{
	unsigned long old = vcpu_cr0(vcpu), cr4 = vcpu_cr4(vcpu);
	struct em_segment cs;

	if (!regs_cr0_valid(vcpu, val))
		return 1;
	val = (val | X86_CR0_ET) & CR0_DEFINED;

	if (vcpu->efer & EFER_LME && !(old & X86_CR0_PG) && val & X86_CR0_PG) {
		if (!(cr4 & X86_CR4_PAE))
			return 1;
		segs_read(vcpu, &cs, SEG_CS);
		if (cs.ar & SEG_RIGHTS_L)
			return 1;
	}
	if (!(val & X86_CR0_PG) && (cr4 & X86_CR4_PCIDE || vcpu_is_64bit_code(vcpu)))
		return 1;
	if (!(vcpu->efer & EFER_LME) && val & X86_CR0_PG && cr4 & X86_CR4_PAE &&
	    (val ^ old) & CR0_LOADS_PDPTES && load_pdptrs(vcpu, vcpu_cr3(vcpu)))
		return 1;
	regs_put_cr0(vcpu, val);
	return 0;
}

/* ---- CR3 ---- */

bool regs_cr3_valid(struct vcpu *vcpu, unsigned long val)
{
	return vcpu->maxphyaddr >= 64 || !(val >> vcpu->maxphyaddr);
}

void regs_put_cr3(struct vcpu *vcpu, unsigned long val)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vcpu->cr3 = val;
	vcpu->stale &= ~BIT(CACHED_CR3);
	if (!cr3_in_hardware(vcpu)) {
		if (!hw.ept)
			vcpu_request(vcpu, REQ_MMU_RELOAD);
		return;
	}
	vmcs_get(vmx);
	vmcs_writel(VMCS_GUEST_CR3, val);
	vmcs_put(vmx);
}

int vcpu_set_cr3(struct vcpu *vcpu, unsigned long val)
{
	bool flush = true;

	if (vcpu_cr4(vcpu) & X86_CR4_PCIDE) {
		flush = !(val & X86_CR3_PCID_NOFLUSH);
		val &= ~X86_CR3_PCID_NOFLUSH;
	}
	if (!regs_cr3_valid(vcpu, val))
		return 1;
	if (regs_pae_paging(vcpu) && load_pdptrs(vcpu, val))
		return 1;
	vcpu_cr0(vcpu);
	regs_put_cr3(vcpu, val);
	if (flush)
		regs_flush(vcpu);
	return 0;
}

/* ---- CR4 ---- */

void regs_put_cr4(struct vcpu *vcpu, unsigned long val)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long old = vcpu_cr4(vcpu), changed = old ^ val;

	vcpu->cr4 = val;
	vmcs_get(vmx);
	vmcs_writel(VMCS_CR4_SHADOW, val);
	vmcs_writel(VMCS_GUEST_CR4, hardware_cr4(vcpu, val));
	vmcs_put(vmx);

	/* "Operations that Invalidate TLBs and Paging-Structure Caches" */
	if (changed & (X86_CR4_PGE | X86_CR4_PAE) || (changed & val & X86_CR4_SMEP) ||
	    (changed & old & X86_CR4_PCIDE))
		regs_flush(vcpu);
	if (!hw.ept && changed & SHADOW_CR4_BITS)
		vcpu_request(vcpu, REQ_MMU_RELOAD);
	if (changed & (X86_CR4_OSXSAVE | X86_CR4_PKE))
		cpuid_update_dynamic(vcpu);
}

bool regs_cr4_valid(struct vcpu *vcpu, unsigned long val)
{
	return !(val & vcpu->cr4_reserved);
}

int vcpu_set_cr4(struct vcpu *vcpu, unsigned long val)
{
	unsigned long old = vcpu_cr4(vcpu), changed = old ^ val;

	if (!regs_cr4_valid(vcpu, val))
		return 1;
	if (regs_long_mode(vcpu)) {
		if (!(val & X86_CR4_PAE) || changed & X86_CR4_LA57)
			return 1;
	}
	/* PCIDs begin with PCID 0, and in IA-32e mode only. */
	if (changed & val & X86_CR4_PCIDE &&
	    (!regs_long_mode(vcpu) || vcpu_cr3(vcpu) & X86_CR3_PCID_MASK))
		return 1;
	if (!regs_long_mode(vcpu) && vcpu_cr0(vcpu) & X86_CR0_PG && val & X86_CR4_PAE &&
	    changed & CR4_LOADS_PDPTES && load_pdptrs(vcpu, vcpu_cr3(vcpu)))
		return 1;
	regs_put_cr4(vcpu, val);
	return 0;
}

/* ---- CR8, XCR0 ---- */

int vcpu_set_cr8(struct vcpu *vcpu, unsigned long val)
{
	if (val & ~15ul)
		return 1;
	if (vcpu->lapic)
		vlapic_set_cr8(vcpu, val);
	else
		vcpu->user_cr8 = val;
	return 0;
}

/* "XSETBV - Set Extended Control Register": component bits that come together or not at all. */
static bool xcr0_valid(struct vcpu *vcpu, u64 val)
{
	if (val & ~(vcpu->guest_xcr0_supported | XFEATURE_MASK_FP) || !(val & XFEATURE_MASK_FP))
		return false;
	if (val & XFEATURE_MASK_YMM && !(val & XFEATURE_MASK_SSE))
		return false;
	if (!(val & XFEATURE_MASK_BNDREGS) != !(val & XFEATURE_MASK_BNDCSR))
		return false;
	if (!(val & XFEATURE_MASK_AVX512))
		return true;
	return val & XFEATURE_MASK_YMM && (val & XFEATURE_MASK_AVX512) == XFEATURE_MASK_AVX512;
}

int vcpu_set_xcr0(struct vcpu *vcpu, u32 index, u64 val)
{
	if (index != XCR_XFEATURE_ENABLED_MASK || !xcr0_valid(vcpu, val))
		return 1;
	if (vcpu->xcr0 != val) {
		vcpu->xcr0 = val;
		cpuid_update_dynamic(vcpu);
	}
	return 0;
}

/* ---- Debug registers; MOV DR always exits, so that struct vcpu has their values ---- */

/* The bits of DR6 that read as one for this guest. */
static unsigned long dr6_fixed(struct vcpu *vcpu)
{
	return DR6_ONES | DR6_NO_BUS_LOCK | (guest_has(vcpu, GF_RTM) ? 0 : DR6_NO_RTM);
}

void regs_put_dr7(struct vcpu *vcpu, unsigned long val)
{
	vcpu->dr7 = val;
	debug_update_dr7(vcpu);
}

/*
 * DR4 and DR5 are other names of DR6 and DR7; whether they may be used (CR4.DE) is the caller's to
 * know.
 */
int vcpu_get_dr(struct vcpu *vcpu, int dr, unsigned long *val)
{
	if (dr < 4)
		*val = vcpu->db[array_index_nospec(dr, 4)];
	else
		*val = dr & 1 ? vcpu->dr7 : vcpu->dr6;
	return 0;
}

int vcpu_set_dr(struct vcpu *vcpu, int dr, unsigned long val)
{
	if (dr < 4) {
		vcpu->db[array_index_nospec(dr, 4)] = val;
		return 0;
	}
	if (val >> 32)
		return 1;
	if (dr & 1)
		regs_put_dr7(vcpu, (val & DR7_WRITABLE) | DR7_ONES);
	else
		vcpu->dr6 = (val & DR6_WRITABLE) | dr6_fixed(vcpu);
	return 0;
}

/* ---- RIP and RFLAGS reach the VMCS at the next entry ---- */

void vcpu_set_rip(struct vcpu *vcpu, unsigned long rip)
{
	vcpu->rip = rip;
	vcpu->rip_dirty = true;
}

void vcpu_set_rflags(struct vcpu *vcpu, unsigned long rflags)
{
	if ((vcpu->rflags ^ rflags) & X86_EFLAGS_VM)
		to_vmx(vcpu)->state_changed = true;
	vcpu->rflags = rflags | X86_EFLAGS_FIXED;
	vcpu->rflags_dirty = true;
}
