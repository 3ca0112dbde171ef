// SPDX-License-Identifier: GPL-2.0-only
/*
 * State of the CPU that VM entry and exit do not switch: FS, GS and LDT leftovers, KERNEL_GS_BASE,
 * the SYSCALL MSRs, TSC_AUX.
 * It must not be called per exit: once when a thread begins to run a guest on a CPU, once when it
 * stops.
 */
#include <linux/percpu.h>
#include <linux/user-return-notifier.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/mmu_context.h>
#include <asm/msr.h>
#include <asm/segment.h>

#include "vmx.h"

/*
 * MSRs of enum switched_msr. CSTAR is not here: Intel CPUs do not use it, the guest's value is only
 * stored.
 */
static const u32 switched_index[NR_SWITCHED_MSRS] = {
	[SW_STAR] = MSR_STAR,
	[SW_LSTAR] = MSR_LSTAR,
	[SW_CSTAR] = MSR_CSTAR,
	[SW_FMASK] = MSR_SYSCALL_MASK,
	[SW_TSC_AUX] = MSR_TSC_AUX,
};

/*
 * Guest values of the switched MSRs stay on a CPU until it returns to user space: kernel code uses
 * none of them. Only where VMX is our own: see load_over_owner(). Per CPU; touched with interrupts
 * off.
 */
struct switched_state {
	struct user_return_notifier urn;
	bool armed, known;
	u64 host[NR_SWITCHED_MSRS];	/* the kernel sets these once, when a CPU starts */
	u64 now[NR_SWITCHED_MSRS];
};

static struct switched_state __percpu *switched_state;
static bool switched_present[NR_SWITCHED_MSRS] __ro_after_init;

static void restore_host_msrs(struct switched_state *s)
{
	int i;

	for (i = 0; i < NR_SWITCHED_MSRS; i++) {
		if (s->now[i] != s->host[i]) {
			native_wrmsrl(switched_index[i], s->host[i]);
			s->now[i] = s->host[i];
		}
	}
}

static void on_user_return(struct user_return_notifier *urn)
{
	struct switched_state *s = container_of(urn, struct switched_state, urn);
	unsigned long flags;

	local_irq_save(flags);
	if (s->armed) {
		s->armed = false;
		user_return_notifier_unregister(urn);
		restore_host_msrs(s);
	}
	local_irq_restore(flags);
}

/* Interrupts off: first use on this CPU since it was last in user space. */
static void arm(struct switched_state *s)
{
	int i;

	for (i = 0; i < NR_SWITCHED_MSRS && !s->known; i++) {
		if (switched_present[i])
			s->host[i] = native_read_msr(switched_index[i]);
		s->now[i] = s->host[i];
	}
	s->known = true;
	s->urn.on_user_return = on_user_return;
	user_return_notifier_register(&s->urn);
	s->armed = true;
}

static bool guest_wants(struct vcpu_vmx *vmx, int i)
{
	if (i == SW_CSTAR)
		return false;
	if (i == SW_TSC_AUX)
		return guest_has(&vmx->vcpu, GF_RDTSCP) || guest_has(&vmx->vcpu, GF_RDPID);
	return vmx->vcpu.efer & EFER_SCE;
}

/*
 * Who lends us VMX leaves values of its guests on a CPU in the same way, and writes none that it
 * believes to be there. So what is found is neither the host's, nor may it be another afterwards:
 * vmx_switch_to_host() puts exactly that back, before any other thread runs here.
 */
static void load_over_owner(struct vcpu_vmx *vmx, int i)
{
	if (!(vmx->over_owner & BIT(i))) {
		vmx->owners[i] = native_read_msr(switched_index[i]);
		vmx->over_owner |= BIT(i);
	}
	wrmsrl_safe(switched_index[i], vmx->switched[i]);
}

static void restore_owners_msrs(struct vcpu_vmx *vmx)
{
	int i;

	for (i = 0; i < NR_SWITCHED_MSRS; i++)
		if (vmx->over_owner & BIT(i))
			native_wrmsrl(switched_index[i], vmx->owners[i]);
	vmx->over_owner = 0;
}

static void load_switched_msrs(struct vcpu_vmx *vmx)
{
	struct switched_state *s = this_cpu_ptr(switched_state);
	int i;

	for (i = 0; i < NR_SWITCHED_MSRS; i++) {
		if (!switched_present[i] || !guest_wants(vmx, i))
			continue;
		if (vmx_borrowed) {
			load_over_owner(vmx, i);
			continue;
		}
		if (!s->armed)
			arm(s);
		/* A value with bits this CPU reserves is without effect. */
		if (s->now[i] != vmx->switched[i] &&
		    !wrmsrl_safe(switched_index[i], vmx->switched[i]))
			s->now[i] = vmx->switched[i];
	}
}

void vmx_switch_reload(struct vcpu_vmx *vmx)
{
	unsigned long flags;

	local_irq_save(flags);
	if (vmx->host_loaded)
		load_switched_msrs(vmx);
	local_irq_restore(flags);
}

static unsigned long read_fs_base(void)
{
	if (static_cpu_has(X86_FEATURE_FSGSBASE))
		return rdfsbase();
	return native_read_msr(MSR_FS_BASE);
}

/*
 * "Loading Host Segment and Descriptor-Table Registers": a selector with RPL or TI set cannot be in
 * the VMCS; reload it by hand.
 */
static void load_host_fields(struct vcpu_vmx *vmx)
{
	unsigned long base = read_fs_base();
	u16 fs = vmx->host_fs_sel & 7 ? 0 : vmx->host_fs_sel;

	if (vmx->vmcs_fs_sel != fs) {
		vmcs_write16(VMCS_HOST_FS_SELECTOR, fs);
		vmx->vmcs_fs_sel = fs;
	}
	if (vmx->vmcs_fs_base != base) {
		vmcs_writel(VMCS_HOST_FS_BASE, base);
		vmx->vmcs_fs_base = base;
	}
}

void vmx_switch_to_guest(struct vcpu_vmx *vmx)
{
	if (vmx->host_loaded)
		return;

	savesegment(fs, vmx->host_fs_sel);
	savesegment(gs, vmx->host_gs_sel);
	savesegment(ds, vmx->host_ds_sel);
	savesegment(es, vmx->host_es_sel);
	store_ldt(vmx->host_ldt_sel);
	load_host_fields(vmx);
	vmx->host_kernel_gs_base = native_read_msr(MSR_KERNEL_GS_BASE);
	native_wrmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	load_switched_msrs(vmx);
	vmx->host_loaded = true;
}

static void load_ldt(u16 sel)
{
	asm volatile("lldt %0" : : "rm"(sel));
}

void vmx_switch_to_host(struct vcpu_vmx *vmx)
{
	unsigned long flags;

	if (!vmx->host_loaded)
		return;
	vmx->host_loaded = false;

	vmx->kernel_gs_base = native_read_msr(MSR_KERNEL_GS_BASE);
	if (unlikely(vmx->host_ldt_sel | (vmx->host_gs_sel & 7))) {
		load_ldt(vmx->host_ldt_sel);
		local_irq_save(flags);
		load_gs_index(vmx->host_gs_sel);
		local_irq_restore(flags);
	}
	if (unlikely(vmx->host_fs_sel & 7)) {
		loadsegment(fs, vmx->host_fs_sel);
		wrmsrl(MSR_FS_BASE, vmx->vmcs_fs_base);
	}
	if (unlikely(vmx->host_ds_sel | vmx->host_es_sel)) {
		loadsegment(ds, vmx->host_ds_sel);
		loadsegment(es, vmx->host_es_sel);
	}
	native_wrmsrl(MSR_KERNEL_GS_BASE, vmx->host_kernel_gs_base);
	if (vmx->over_owner)
		restore_owners_msrs(vmx);
	/* A VM exit sets TR's limit to that of a bare TSS and GDTR's to 64 KiB. */
	invalidate_tss_limit();
	load_fixmap_gdt(raw_smp_processor_id());
}

/* ---- Guest values, as RDMSR and WRMSR exits see them ---- */

static int switched_slot(u32 index)
{
	int i;

	for (i = 0; i < NR_SWITCHED_MSRS; i++)
		if (switched_index[i] == index)
			return i;
	return -1;
}

u64 vmx_switch_msr_get(struct vcpu *vcpu, u32 index)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u64 value;
	int slot;

	if (index == MSR_KERNEL_GS_BASE) {
		preempt_disable();
		value = vmx->host_loaded ? native_read_msr(MSR_KERNEL_GS_BASE)
					 : vmx->kernel_gs_base;
		preempt_enable();
		return value;
	}
	if (index == MSR_IA32_SPEC_CTRL)
		return vmx->enter.spec_guest;
	slot = switched_slot(index);
	return slot < 0 ? 0 : vmx->switched[slot];
}

int vmx_switch_msr_set(struct vcpu *vcpu, u32 index, u64 value)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	int slot;

	if (index == MSR_KERNEL_GS_BASE) {
		preempt_disable();
		if (vmx->host_loaded)
			native_wrmsrl(MSR_KERNEL_GS_BASE, value);
		vmx->kernel_gs_base = value;
		preempt_enable();
		return 0;
	}
	if (index == MSR_IA32_SPEC_CTRL) {
		vmx->enter.spec_guest = value;
		return 0;
	}
	slot = switched_slot(index);
	if (slot < 0)
		return 1;
	vmx->switched[slot] = value;
	preempt_disable();
	vmx_switch_reload(vmx);
	preempt_enable();
	return 0;
}

int vmx_switch_init(void)
{
	u64 unused;
	int i;

	switched_state = alloc_percpu(struct switched_state);
	if (!switched_state)
		return -ENOMEM;
	for (i = 0; i < NR_SWITCHED_MSRS; i++)
		switched_present[i] = i != SW_CSTAR && !rdmsrl_safe(switched_index[i], &unused);
	return 0;
}

static void restore_ipi(void *unused)
{
	on_user_return(&this_cpu_ptr(switched_state)->urn);
}

void vmx_switch_offline(void)
{
	restore_ipi(NULL);
}

void vmx_switch_exit(void)
{
	/* No CPU may call back into a module that is gone. */
	on_each_cpu(restore_ipi, NULL, 1);
	free_percpu(switched_state);
}
