// SPDX-License-Identifier: GPL-2.0-only
/*
 * Life of a VMCS: allocation, which CPU it is active on, making it current, and the fields that
 * never change.
 * It must not know about exits or events.
 */
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>

#include "irq.h"
#include "vmx.h"

/* VMCSs active on a CPU; touched on that CPU with interrupts off. */
static DEFINE_PER_CPU(struct list_head, active_list);
/* The current VMCS when VMX is our own; meaningless when borrowed. */
static DEFINE_PER_CPU(struct vmcs_region *, current_vmcs);
/* The one that was loaded last: compared, never followed. */
static DEFINE_PER_CPU(struct vmcs_region *, last_vmcs);
/* Belongs to no vCPU: see load_nothing(). */
static DEFINE_PER_CPU(struct vmcs_region, sink_vmcs);

int vmcs_alloc(struct vmcs_region *r)
{
	r->va = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!r->va)
		return -ENOMEM;
	*(u32 *)r->va = vmx_caps.revision;
	r->pa = __pa(r->va);
	r->cpu = -1;
	return 0;
}

/* On r->cpu, interrupts off. */
static void clear_here(struct vmcs_region *r)
{
	if (r->cpu != raw_smp_processor_id())
		return;
	vmx_clear(r->pa);
	if (this_cpu_read(current_vmcs) == r)
		this_cpu_write(current_vmcs, NULL);
	/* Another vCPU may be allocated at this address. */
	if (this_cpu_read(last_vmcs) == r)
		this_cpu_write(last_vmcs, NULL);
	list_del(&r->link);
	/*
	 * Pairs with smp_load_acquire() in load_here(): off the old CPU's list before on the new
	 * one's.
	 */
	smp_store_release(&r->cpu, -1);
}

static void clear_ipi(void *r)
{
	clear_here(r);
}

void vmcs_clear_cpu(void)
{
	struct vmcs_region *r, *next;

	list_for_each_entry_safe(r, next, this_cpu_ptr(&active_list), link)
		clear_here(r);
}

static void clear_anywhere(struct vmcs_region *r)
{
	int cpu = READ_ONCE(r->cpu);

	/* A CPU that went down cleared its list itself. */
	if (cpu >= 0)
		smp_call_function_single(cpu, clear_ipi, r, 1);
}

void vmcs_free(struct vmcs_region *r)
{
	if (!r->va)
		return;
	clear_anywhere(r);
	free_page((unsigned long)r->va);
	r->va = NULL;
}

void vmcs_module_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		vmcs_free(per_cpu_ptr(&sink_vmcs, cpu));
}

int vmcs_module_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		INIT_LIST_HEAD(per_cpu_ptr(&active_list, cpu));
	for_each_possible_cpu(cpu) {
		if (vmcs_alloc(per_cpu_ptr(&sink_vmcs, cpu))) {
			vmcs_module_exit();
			return -ENOMEM;
		}
	}
	return 0;
}

void vmcs_fetch(struct vcpu_vmx *vmx)
{
	struct vmcs_region *r = &vmx->vmcs;
	int cpu = READ_ONCE(r->cpu);

	if (cpu >= 0 && cpu != smp_processor_id())
		clear_anywhere(r);
}

/* The host fields that depend on the CPU. Window open. */
static void vmcs_host_cpu(struct vcpu_vmx *vmx)
{
	int cpu = raw_smp_processor_id();

	vmcs_writel(VMCS_HOST_TR_BASE, (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss);
	vmcs_writel(VMCS_HOST_GDTR_BASE, (unsigned long)get_current_gdt_ro());
	vmcs_writel(VMCS_HOST_GS_BASE, native_read_msr(MSR_GS_BASE));
	vmcs_writel(VMCS_HOST_SYSENTER_ESP, native_read_msr(MSR_IA32_SYSENTER_ESP));
}

static void activate_here(struct vmcs_region *r)
{
	/* "VMCLEAR ... initializes": brings a new region into a known launch state. */
	vmx_clear(r->pa);
	list_add(&r->link, this_cpu_ptr(&active_list));
	r->cpu = raw_smp_processor_id();
}

/*
 * VMPTRLD has failed: nothing that follows may reach the VMCS that is current, which is the VMX
 * owner's or a guest's that is well. A page of this CPU takes VMREADs and VMWRITEs instead; the VM
 * never enters again. Should even that page be refused, the CPU is left without a current VMCS.
 */
static void load_nothing(struct vcpu_vmx *vmx, enum vmx_result result)
{
	struct vmcs_region *sink = this_cpu_ptr(&sink_vmcs);

	WARN_ON_ONCE(!READ_ONCE(vmx_stopped) && !READ_ONCE(vmx->vcpu.vm->dead));
	vm_kill(vmx->vcpu.vm);
	/* VMX is off: all that follows faults. */
	if (result == VMX_FAULTED)
		return;
	if (sink->cpu < 0)
		activate_here(sink);
	if (vmx_ptrld(sink->pa) != VMX_OK)
		vmx_clear(vmx_ptrst());
}

/* The guest that ran here before must not steer this one's speculation. */
static void speculation_barrier(void)
{
	if (host_mitigations.ibpb)
		native_wrmsrl(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
}

/* Interrupts off, and the VMCS active nowhere else. False when the guest must not be entered. */
static bool load_here(struct vcpu_vmx *vmx)
{
	struct vmcs_region *r = &vmx->vmcs;
	int cpu = raw_smp_processor_id();
	enum vmx_result result;

	/* Pairs with smp_store_release() in clear_here(). */
	if (smp_load_acquire(&r->cpu) != cpu) {
		activate_here(r);
		vmx->enter.flags &= ~VMX_ENTER_RESUME;
	}
	result = vmx_ptrld(r->pa);
	if (unlikely(result != VMX_OK))
		load_nothing(vmx, result);
	this_cpu_write(current_vmcs, r);
	if (this_cpu_read(last_vmcs) != r || vmx->foreign_may_have_run) {
		speculation_barrier();
		this_cpu_write(last_vmcs, r);
		vmx->foreign_may_have_run = false;
	}
	if (vmx->last_cpu != cpu) {
		vmx->last_cpu = cpu;
		vmcs_host_cpu(vmx);
		/* Mappings of an earlier stay on this CPU have missed all invalidations since. */
		vmx->tlb_flush = true;
	}
	return likely(result == VMX_OK);
}

/*
 * The VMCS that the VMX owner has on this CPU, all ones when it has none: one of ours that was left
 * current counts as none. The one loaded last is alive, see clear_here().
 */
static u64 foreign_here(void)
{
	struct vmcs_region *last = this_cpu_read(last_vmcs);
	u64 pa = vmx_ptrst();

	return last && last->pa == pa ? ~0ull : pa;
}

/*
 * The owner separates its guests by barriers as we do ours, when it loads another VMCS than the
 * last. Ours come and go in between, which it does not notice: a guest of its may have run since
 * this thread was last here, and may run when the thread leaves.
 */
static void displace_foreign(struct vcpu_vmx *vmx)
{
	vmx->foreign = foreign_here();
	vmx->beside_foreign = vmx->foreign != ~0ull;
	vmx->foreign_may_have_run = vmx->thread_was_away && vmx->beside_foreign;
	vmx->thread_was_away = false;
}

void vmcs_thread_left(struct vcpu_vmx *vmx)
{
	vmx->thread_was_away = true;
	if (!vmx->beside_foreign)
		return;
	vmx->beside_foreign = false;
	speculation_barrier();
}

enum window { WINDOW_OPEN, WINDOW_ELSEWHERE, WINDOW_LOST };

static enum window open_window(struct vcpu_vmx *vmx)
{
	struct vmcs_region *r = &vmx->vmcs;
	bool loaded = true;

	if (vmx_borrowed) {
		if (r->cpu != raw_smp_processor_id() && r->cpu >= 0)
			return WINDOW_ELSEWHERE;
		displace_foreign(vmx);
		loaded = load_here(vmx);
	} else if (this_cpu_read(current_vmcs) != r) {
		if (r->cpu != raw_smp_processor_id() && r->cpu >= 0)
			return WINDOW_ELSEWHERE;
		loaded = load_here(vmx);
	}
	vmx->held++;
	return likely(loaded) ? WINDOW_OPEN : WINDOW_LOST;
}

bool vmcs_window_open(struct vcpu_vmx *vmx)
{
	enum window w = open_window(vmx);

	if (unlikely(w == WINDOW_LOST))
		vmcs_window_close(vmx);
	return w == WINDOW_OPEN;
}

/* All ones: the owner had none, and ours may stay until it loads one. */
void vmcs_window_close(struct vcpu_vmx *vmx)
{
	if (--vmx->held || !vmx_borrowed || vmx->foreign == ~0ull)
		return;
	/* What the owner writes next must not hit our VMCS. */
	if (unlikely(vmx_ptrld(vmx->foreign) == VMX_FAILED))
		clear_here(&vmx->vmcs);
}

void vmcs_get(struct vcpu_vmx *vmx)
{
	unsigned long flags;

	if (vmx->held) {
		vmx->held++;
		return;
	}
	preempt_disable();
	for (;;) {
		local_irq_save(flags);
		/* Lost: what follows is lost as well, and harms nobody. */
		if (open_window(vmx) != WINDOW_ELSEWHERE)
			break;
		local_irq_restore(flags);
		vmcs_fetch(vmx);
	}
	if (vmx_borrowed)
		vmx->held_flags = flags;
	else
		local_irq_restore(flags);
}

void vmcs_put(struct vcpu_vmx *vmx)
{
	if (vmx->held > 1) {
		vmx->held--;
		return;
	}
	vmcs_window_close(vmx);
	if (vmx_borrowed)
		local_irq_restore(vmx->held_flags);
	preempt_enable();
}

static struct vcpu_vmx *current_vmx(void)
{
	struct vmcs_region *r = this_cpu_read(current_vmcs);

	return r ? container_of(r, struct vcpu_vmx, vmcs) : NULL;
}

/*
 * A VMREAD or VMWRITE of ours that fails is a bug of ours (or VMX went off): the VM is lost, the
 * host is not.
 */
static void access_failed(const char *what, unsigned long field, unsigned long value)
{
	struct vcpu_vmx *vmx = current_vmx();

	if (READ_ONCE(vmx_stopped) || (vmx && READ_ONCE(vmx->vcpu.vm->dead)))
		return;
	WARN_ONCE(1, "kvmlet: %s failed: field %lx value %lx\n", what, field, value);
	if (vmx)
		vm_kill(vmx->vcpu.vm);
}

noinline void vmcs_read_failed(unsigned long field)
{
	access_failed("VMREAD", field, 0);
}

noinline void vmcs_write_failed(unsigned long field, unsigned long value)
{
	access_failed("VMWRITE", field, value);
}

/* ---- Constant fields ---- */

/*
 * "PAUSE-Loop Exiting", in cycles: PAUSEs closer than the gap are one loop, which exits when it has
 * gone on for the window - longer than any lock is held whose owner runs.
 */
#define PLE_GAP		128
#define PLE_WINDOW	4096

static void setup_host(struct vcpu_vmx *vmx)
{
	struct desc_ptr idt;

	vmx->host_cr3 = __read_cr3();
	vmx->host_cr4 = cr4_read_shadow();
	vmcs_writel(VMCS_HOST_CR0, read_cr0() & ~X86_CR0_TS);
	vmcs_writel(VMCS_HOST_CR3, vmx->host_cr3);
	vmcs_writel(VMCS_HOST_CR4, vmx->host_cr4);
	vmcs_write16(VMCS_HOST_CS_SELECTOR, __KERNEL_CS);
	vmcs_write16(VMCS_HOST_SS_SELECTOR, __KERNEL_DS);
	vmcs_write16(VMCS_HOST_DS_SELECTOR, 0);
	vmcs_write16(VMCS_HOST_ES_SELECTOR, 0);
	vmcs_write16(VMCS_HOST_FS_SELECTOR, 0);
	vmcs_write16(VMCS_HOST_GS_SELECTOR, 0);
	vmcs_write16(VMCS_HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	vmcs_writel(VMCS_HOST_FS_BASE, 0);
	store_idt(&idt);
	vmcs_writel(VMCS_HOST_IDTR_BASE, idt.address);
	vmcs_writel(VMCS_HOST_RIP, (unsigned long)vmx_vmexit);
	vmcs_write32(VMCS_HOST_SYSENTER_CS, native_read_msr(MSR_IA32_SYSENTER_CS));
	vmcs_writel(VMCS_HOST_SYSENTER_EIP, native_read_msr(MSR_IA32_SYSENTER_EIP));
	if (vmx_caps.exit & EXIT_LOAD_PAT)
		vmcs_write64(VMCS_HOST_PAT, native_read_msr(MSR_IA32_CR_PAT));
}

u32 vmx_disable_exits_supported(void)
{
	u32 exits = KVM_X86_DISABLE_EXITS_PAUSE | KVM_X86_DISABLE_EXITS_HLT |
		    KVM_X86_DISABLE_EXITS_CSTATE;

	/* A timer that stops in deep sleep, or a broken MONITOR, would leave the guest asleep. */
	if (boot_cpu_has(X86_FEATURE_MWAIT) && boot_cpu_has(X86_FEATURE_ARAT) &&
	    !boot_cpu_has_bug(X86_BUG_MONITOR))
		exits |= KVM_X86_DISABLE_EXITS_MWAIT;
	return exits;
}

/* The VM has its CPUs for itself: the guest may keep them while it idles. */
static void disable_exits(struct vcpu_vmx *vmx, u32 exits)
{
	if (exits & KVM_X86_DISABLE_EXITS_HLT)
		vmx->cpu &= ~CPU_HLT;
	if (exits & KVM_X86_DISABLE_EXITS_MWAIT)
		vmx->cpu &= ~(CPU_MWAIT | CPU_MONITOR);
	if (exits & KVM_X86_DISABLE_EXITS_PAUSE) {
		vmx->cpu &= ~CPU_PAUSE;
		vmx->cpu2 &= ~CPU2_PAUSE_LOOP;
	}
}

static void setup_controls(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;

	vmx->pin = vmx_caps.pin;
	vmx->cpu = vmx_caps.cpu;
	vmx->cpu2 = vmx_caps.cpu2 & ~(CPU2_TSC_SCALING | CPU2_PML);
	vmx->exit = vmx_caps.exit;
	vmx->entry = vmx_caps.entry;
	if (!vcpu->lapic && (vmx->cpu & CPU_TPR_SHADOW)) {
		vmx->cpu &= ~CPU_TPR_SHADOW;
		vmx->cpu |= CPU_CR8_LOAD | CPU_CR8_STORE;
	}
	if (!vmx->vpid)
		vmx->cpu2 &= ~CPU2_VPID;
	disable_exits(vmx, vcpu->vm->disabled_exits);
	vmcs_write32(VMCS_PIN_CONTROLS, vmx->pin);
	vmcs_write32(VMCS_CPU_CONTROLS, vmx->cpu);
	vmcs_write32(VMCS_CPU_CONTROLS2, vmx->cpu2);
	vmcs_write32(VMCS_EXIT_CONTROLS, vmx->exit);
	vmcs_write32(VMCS_ENTRY_CONTROLS, vmx->entry);
	vmcs_write32(VMCS_EXCEPTION_BITMAP, vmx->exceptions);
	vmcs_write32(VMCS_PF_ERROR_MASK, 0);
	vmcs_write32(VMCS_PF_ERROR_MATCH, 0);
	vmcs_write32(VMCS_CR3_TARGET_COUNT, 0);
	vmcs_write32(VMCS_EXIT_MSR_STORE_COUNT, 0);
}

void vmcs_setup(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;

	setup_controls(vmx);
	setup_host(vmx);
	vmx_efer_setup(vmx);
	vmcs_write64(VMCS_LINK_POINTER, ~0ull);
	vmcs_write64(VMCS_GUEST_DEBUGCTL, 0);
	vmcs_write64(VMCS_MSR_BITMAP, __pa(vmx->msr_bitmap));
	vmcs_write64(VMCS_TSC_OFFSET, vcpu->tsc_offset);
	if (hw.ept)
		vmcs_write64(VMCS_EPT_POINTER, mmu_eptp(vcpu));
	if (vmx->vpid)
		vmcs_write16(VMCS_VPID, vmx->vpid);
	if (vmx->cpu & CPU_TPR_SHADOW) {
		vmcs_write64(VMCS_VIRTUAL_APIC_ADDR, __pa(vlapic_regs_page(vcpu)));
		vmcs_write32(VMCS_TPR_THRESHOLD, 0);
	}
	if (vmx->cpu2 & CPU2_XSAVES)
		vmcs_write64(VMCS_XSS_EXIT_BITMAP, 0);
	if (vmx->cpu2 & CPU2_ENCLS)
		vmcs_write64(VMCS_ENCLS_BITMAP, ~0ull);
	if (vmx->cpu2 & CPU2_PAUSE_LOOP) {
		vmcs_write32(VMCS_PLE_GAP, PLE_GAP);
		vmcs_write32(VMCS_PLE_WINDOW, PLE_WINDOW);
	}
	vmx_pml_setup(vmx);
	vmcs_writel(VMCS_CR0_MASK, ~vmx->cr0_owned);
	vmcs_writel(VMCS_CR4_MASK, ~vmx->cr4_owned);
}
