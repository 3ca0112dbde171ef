// SPDX-License-Identifier: GPL-2.0-only
/*
 * One stay in the guest: from pending requests through VM entry, exits finished with interrupts
 * off, and the exit that was not.
 * It must not know what any single exit means; the tables of exit.c do.
 */
#include <linux/context_tracking.h>
#include <linux/hw_breakpoint.h>
#include <linux/nospec.h>
#include <linux/vtime.h>
#include <asm/debugreg.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/nospec-branch.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>

#include "compat.h"
#include "guest_state.h"
#include "trace.h"
#include "irq.h"

static_assert(offsetof(struct vmx_enter, flags) == 0);
static_assert(offsetof(struct vmx_enter, spec_guest) == 8);
static_assert(offsetof(struct vmx_enter, spec_host) == 16);
static_assert(offsetof(struct vmx_enter, host_rsp) == 24);
static_assert(offsetof(struct vmx_enter, verw_sel) == 32);

static u64 host_xcr0 __ro_after_init;
static u64 host_xss __ro_after_init;

void __init vmx_run_init(void)
{
	if (boot_cpu_has(X86_FEATURE_OSXSAVE))
		host_xcr0 = xgetbv(0);
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrl_safe(MSR_IA32_XSS, &host_xss);
}

/* ---- Requests ---- */

#define REQS_PV		(BIT(REQ_CLOCK) | BIT(REQ_CLOCK_MASTER) | BIT(REQ_STEAL) | \
			 BIT(REQ_PV_EOI))

/* What is told in memory shared with the guest; the base before what is derived from it. */
static noinline void serve_pv_requests(struct vcpu *vcpu)
{
	if (vcpu_take_request(vcpu, REQ_CLOCK_MASTER))
		pvclock_renew(vcpu->vm);
	if (vcpu_take_request(vcpu, REQ_CLOCK))
		pvclock_update(vcpu);
	if (vcpu_take_request(vcpu, REQ_STEAL))
		steal_update(vcpu);
	if (vcpu_take_request(vcpu, REQ_PV_EOI) && vcpu->pv.eoi_armed)
		pv_eoi_sync(vcpu);
}

#define REQS_CONTROLS	(BIT(REQ_MSR_BITMAP) | BIT(REQ_PML) | BIT(REQ_HOST_MMIO))

static noinline void serve_control_requests(struct vcpu *vcpu)
{
	if (vcpu_take_request(vcpu, REQ_MSR_BITMAP))
		vmx_msr_bitmap_update(vcpu);
	if (vcpu_take_request(vcpu, REQ_PML))
		vmx_pml_update(vcpu);
	/* "Processor MMIO Stale Data": what is left in buffers may reach the guest by it. */
	if (vcpu_take_request(vcpu, REQ_HOST_MMIO) && host_mitigations.verw_mmio &&
	    READ_ONCE(vcpu->vm->mmu.host_mmio))
		to_vmx(vcpu)->enter.flags |= VMX_ENTER_VERW;
}

/* Shadow tables ask for the flush that loads CR3 themselves. */
static int load_root(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (!hw.ept)
		return mmu_shadow_load(vcpu);
	vmcs_get(vmx);
	vmcs_write64(VMCS_EPT_POINTER, mmu_eptp(vcpu));
	vmcs_put(vmx);
	return 0;
}

/* Those that end or delay the run; interrupts on. RUN_RESUME, RUN_TO_USER or -errno. */
static int serve_requests(struct vcpu *vcpu)
{
	if (unlikely(vcpu_test_request(vcpu, REQ_VM_DEAD)))
		return -EIO;
	if (unlikely(vcpu_take_request(vcpu, REQ_TRIPLE_FAULT))) {
		vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
		return RUN_TO_USER;
	}
	if (unlikely(vcpu_test_request(vcpu, REQ_STEPPED)))
		return debug_step_exit(vcpu);
	if (unlikely(READ_ONCE(vcpu->requests) & REQS_PV))
		serve_pv_requests(vcpu);
	if (unlikely(vcpu_take_request(vcpu, REQ_IOAPIC_EOI))) {
		vcpu->run->exit_reason = KVM_EXIT_IOAPIC_EOI;
		vcpu->run->eoi.vector = vcpu->ioapic_eoi;
		return RUN_TO_USER;
	}
	if (unlikely(vcpu_take_request(vcpu, REQ_SMI)))
		vmx_serve_smi(vcpu);
	if (unlikely(READ_ONCE(vcpu->requests) & REQS_CONTROLS))
		serve_control_requests(vcpu);
	if (unlikely(vcpu_take_request(vcpu, REQ_MMU_RELOAD))) {
		int ret = load_root(vcpu);

		if (ret) {
			/* User space may have made room by the next time. */
			vcpu_request(vcpu, REQ_MMU_RELOAD);
			return ret;
		}
	}
	if (vcpu_take_request(vcpu, REQ_TLB_FLUSH))
		to_vmx(vcpu)->tlb_flush = true;
	if (unlikely(vcpu_take_request(vcpu, REQ_DIRTY_RING)) && dirty_ring_soft_full(vcpu)) {
		/* It stays until there is room. */
		vcpu_request(vcpu, REQ_DIRTY_RING);
		vcpu->run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
		return RUN_TO_USER;
	}
	return RUN_RESUME;
}

static void flush_guest_tlb(struct vcpu_vmx *vmx)
{
	struct invvpid_desc vpid = { .vpid = vmx->vpid };
	u64 cap = vmx_caps.ept_vpid;

	if (hw.ept)
		vmx_invept(cap & EPT_CAP_INVEPT_CONTEXT ? INVEPT_CONTEXT : INVEPT_ALL,
			   (struct invept_desc){ .eptp = mmu_eptp(&vmx->vcpu) });
	else
		/* Another root asks for a flush, too. */
		vmcs_writel(VMCS_GUEST_CR3, mmu_shadow_cr3(&vmx->vcpu));
	if (vmx->vpid)
		vmx_invvpid(cap & VPID_CAP_CONTEXT ? INVVPID_CONTEXT : INVVPID_ALL, vpid);
	vmx->tlb_flush = false;
	vmx->vcpu.stat.tlb_flush++;
}

/* Interrupts off, window open. */
static void serve_window_requests(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;

	if (vmx->tlb_flush)
		flush_guest_tlb(vmx);
	if (vcpu_take_request(vcpu, REQ_TSC))
		vmx_tsc_update(vcpu);
	vcpu_take_request(vcpu, REQ_UNBLOCK);
	vcpu_take_request(vcpu, REQ_TPR);
	if (!vcpu_take_request(vcpu, REQ_EVENT))
		return;
	if (unlikely(vcpu->smi_pending && !vcpu->smm)) {
		/* Something has to be delivered before an SMI is taken, and nothing may follow. */
		vcpu_request(vcpu, REQ_SMI);
		compat_kick_cpu(raw_smp_processor_id());
	} else if (unlikely(vcpu_init_sipi_pending(vcpu))) {
		/* It came after the look at what ends KVM_RUN's turn: nobody else ends this one. */
		compat_kick_cpu(raw_smp_processor_id());
	}
}

/* ---- Around the window ---- */

/*
 * A kernel with full context tracking sees guest time as user time; RCU must not be used in
 * between.
 */
static __always_inline void guest_context_enter(void)
{
	if (context_tracking_enabled())
		context_tracking_guest_enter();
}

static __always_inline void guest_context_leave(void)
{
	if (context_tracking_enabled())
		context_tracking_guest_exit();
}

static void guest_time_begin(struct vcpu_vmx *vmx)
{
	unsigned long now = READ_ONCE(jiffies);

	vtime_account_guest_enter();
	/*
	 * Guest mode is a quiescent state, unless context tracking says it itself. Grace periods
	 * are measured in jiffies: telling once in each is enough.
	 */
	if (vmx->rcu_noted != now && !context_tracking_enabled()) {
		vmx->rcu_noted = now;
		compat_rcu_note_guest();
	}
}

/* Interrupts off before and on after: the tick that ended guest mode is charged to the guest. */
static void guest_time_end(void)
{
	local_irq_enable();
	if (vtime_accounting_enabled_this_cpu()) {
		local_irq_disable();
		vtime_account_guest_exit();
		local_irq_enable();
	} else {
		current->flags &= ~PF_VCPU;
	}
}

/*
 * What host and guest share beyond the VMCS, and what interrupt handlers rely on: only between IRQs
 * off and on.
 */
static void load_guest_shared(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;

	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	if (vcpu->cr4 & X86_CR4_OSXSAVE) {
		if (vcpu->xcr0 != host_xcr0)
			xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->xcr0);
		if (vcpu->xss != host_xss)
			native_wrmsrl(MSR_IA32_XSS, vcpu->xss);
	}
	if (static_cpu_has(X86_FEATURE_OSPKE) &&
	    ((vcpu->xcr0 & XFEATURE_MASK_PKRU) || (vcpu->cr4 & X86_CR4_PKE))) {
		/* The thread's own copy is as old as its last context switch. */
		vmx->host_pkru = rdpkru();
		wrpkru(vcpu->pkru);
	}
	/*
	 * "Loading Host ... MSRs": a VM exit clears IA32_DEBUGCTL, which may hold the host's
	 * bus-lock detection or LBR.
	 */
	vmx->host_debugctl = native_read_msr(MSR_IA32_DEBUGCTLMSR);
	/* PEBS writes records to linear addresses of the host: not through the guest's paging. */
	if (static_cpu_has(X86_FEATURE_PEBS)) {
		vmx->host_pebs = native_read_msr(MSR_IA32_PEBS_ENABLE);
		if (vmx->host_pebs)
			native_wrmsrl(MSR_IA32_PEBS_ENABLE, 0);
	}
	if (native_read_cr2() != vcpu->cr2)
		native_write_cr2(vcpu->cr2);
	if (unlikely(vcpu->hardware_dr7 & (DR_GLOBAL_ENABLE_MASK | DR_LOCAL_ENABLE_MASK)))
		debug_load_breakpoints(vcpu);
}

static void load_host_shared(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;

	vcpu->cr2 = native_read_cr2();
	if (vmx->host_debugctl)
		native_wrmsrl(MSR_IA32_DEBUGCTLMSR, vmx->host_debugctl);
	if (static_cpu_has(X86_FEATURE_PEBS) && vmx->host_pebs)
		native_wrmsrl(MSR_IA32_PEBS_ENABLE, vmx->host_pebs);
	if (static_cpu_has(X86_FEATURE_OSPKE) &&
	    ((vcpu->xcr0 & XFEATURE_MASK_PKRU) || (vcpu->cr4 & X86_CR4_PKE))) {
		vcpu->pkru = rdpkru();
		wrpkru(vmx->host_pkru);
	}
	if (vcpu->cr4 & X86_CR4_OSXSAVE) {
		if (vcpu->xcr0 != host_xcr0)
			xsetbv(XCR_XFEATURE_ENABLED_MASK, host_xcr0);
		if (vcpu->xss != host_xss)
			native_wrmsrl(MSR_IA32_XSS, host_xss);
	}
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
}

static __always_inline void write_dirty_regs(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;

	if (vcpu->rip_dirty) {
		vmcs_writel(VMCS_GUEST_RIP, vcpu->rip);
		vcpu->rip_dirty = false;
	}
	if (vcpu->rsp_dirty) {
		vmcs_writel(VMCS_GUEST_RSP, vcpu->regs[REG_RSP]);
		vcpu->rsp_dirty = false;
	}
	if (vcpu->rflags_dirty) {
		vmcs_writel(VMCS_GUEST_RFLAGS, vcpu->rflags);
		vcpu->rflags_dirty = false;
	}
	if (vmx->intr_dirty) {
		vmcs_write32(VMCS_GUEST_INTERRUPTIBILITY, vmx->interruptibility);
		vmx->intr_dirty = false;
	}
}

/*
 * CR3 carries the PCID of whatever address space slot the kernel gave this mm last; CR4 changes
 * with TSD and others.
 */
static __always_inline void refresh_host_crs(struct vcpu_vmx *vmx)
{
	unsigned long cr3 = __read_cr3();
	unsigned long cr4 = cr4_read_shadow();

	if (unlikely(cr3 != vmx->host_cr3)) {
		vmcs_writel(VMCS_HOST_CR3, cr3);
		vmx->host_cr3 = cr3;
	}
	if (unlikely(cr4 != vmx->host_cr4)) {
		vmcs_writel(VMCS_HOST_CR4, cr4);
		vmx->host_cr4 = cr4;
	}
}

/* Window open: all that handlers will ask, so that they need no VMCS. */
static void read_exit(struct vcpu_vmx *vmx, u32 reason)
{
	struct vcpu *vcpu = &vmx->vcpu;
	struct vmx_exit_info *info = &vmx->info;

	info->reason = reason;
	info->qual = vmcs_readl(VMCS_EXIT_QUALIFICATION);
	info->insn_len = vmcs_read32(VMCS_EXIT_INSTRUCTION_LEN);
	info->idt_info = vmcs_read32(VMCS_IDT_VECTORING_INFO);
	if (unlikely(info->idt_info & INTR_VALID)) {
		info->idt_error = vmcs_read32(VMCS_IDT_VECTORING_ERROR);
		info->idt_insn_len = info->insn_len;
	}
	switch (reason) {
	case EXIT_EPT_VIOLATION:
	case EXIT_EPT_MISCONFIG:
		info->gpa = vmcs_read64(VMCS_GUEST_PHYSICAL_ADDRESS);
		info->gla = vmcs_readl(VMCS_GUEST_LINEAR_ADDRESS);
		break;
	case EXIT_EXCEPTION_NMI:
		info->intr_info = vmcs_read32(VMCS_EXIT_INTR_INFO);
		info->intr_error = vmcs_read32(VMCS_EXIT_INTR_ERROR);
		break;
	}
	vcpu->rip = vmcs_readl(VMCS_GUEST_RIP);
	vcpu->regs[REG_RSP] = vmcs_readl(VMCS_GUEST_RSP);
	vcpu->rflags = vmcs_readl(VMCS_GUEST_RFLAGS);
	vmx->interruptibility = vmcs_read32(VMCS_GUEST_INTERRUPTIBILITY);
	vcpu->stale = BIT(CACHED_CR0) | BIT(CACHED_CR3) | BIT(CACHED_CR4) | BIT(CACHED_SEGS);
}

/* NMI and #MC must reach the host before anything else can be interrupted. */
static void deliver_host_event(const struct vmx_exit_info *info)
{
	u32 event = info->intr_info & (INTR_TYPE | INTR_VECTOR);

	/* It comes as a failed entry. */
	if ((u16)info->reason == EXIT_MACHINE_CHECK) {
		host_machine_check();
	} else if (info->reason == EXIT_EXCEPTION_NMI) {
		if ((event & INTR_TYPE) == INTR_TYPE_NMI)
			host_deliver_nmi();
		else if (event == (INTR_TYPE_HARD_EXC | VEC_MC))
			host_machine_check();
	}
}

/* ---- The loop with interrupts off ---- */

enum stay_result {
	STAY_EXIT,		/* vmx->info tells an exit to be handled */
	STAY_DONE,		/* nothing left to handle */
	STAY_FAILED,		/* the entry instruction failed: VMfail */
	STAY_FAULTED,		/* it faulted: VMX is off */
};

static __always_inline bool must_leave(struct vcpu *vcpu)
{
	return (READ_ONCE(vcpu->requests) & ~REQS_IN_WINDOW) ||
	       READ_ONCE(vcpu->mode) != IN_GUEST_MODE || compat_guest_work_pending();
}

static __always_inline int enter_once(struct vcpu_vmx *vmx)
{
	int ret;

	write_dirty_regs(vmx);
	refresh_host_crs(vmx);
	if (host_mitigations.spec_ctrl)
		vmx->enter.spec_host = this_cpu_read(x86_spec_ctrl_current);
	if (unlikely(host_mitigations.l1d_flush) &&
	    (vmx->l1d_flush || host_mitigations.l1d_flush_always)) {
		vmx->l1d_flush = false;
		host_l1d_flush();
	}
	guest_context_enter();
	ret = __vmx_enter(vmx->vcpu.regs, &vmx->enter);
	guest_context_leave();
	return ret;
}

static __always_inline enum fast_result try_fast(struct vcpu_vmx *vmx, u32 reason)
{
	fast_handler fast;

	if (reason >= NR_EXIT_REASONS)
		return FAST_NONE;
	fast = vmx_fast_handlers[array_index_nospec(reason, NR_EXIT_REASONS)];
	return fast ? fast(vmx) : FAST_NONE;
}

/* The handlers read all this once more: not worth keeping. */
static noinline void trace_exit(struct vcpu *vcpu, u32 reason)
{
	unsigned long qual = vmcs_readl(VMCS_EXIT_QUALIFICATION);

	trace_kvmlet_exit(vcpu->id, reason, vmcs_readl(VMCS_GUEST_RIP), qual,
			  vmcs_read32(VMCS_IDT_VECTORING_INFO));
}

static enum stay_result stay(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	enum fast_result fast;
	u32 reason;
	int ret;

	for (;;) {
		trace_kvmlet_entry(vcpu->id, vcpu->rip);
		ret = enter_once(vmx);
		if (unlikely(ret))
			return ret == 1 ? STAY_FAILED : STAY_FAULTED;
		vcpu->stat.exits++;
		reason = vmcs_read32(VMCS_EXIT_REASON);
		/*
		 * "VM-Entry Failures During or After Loading Guest State" leave the launch state as
		 * it was.
		 */
		if (likely(!(reason & EXIT_REASON_ENTRY_FAIL)))
			vmx->enter.flags |= VMX_ENTER_RESUME;
		if (trace_kvmlet_exit_enabled())
			trace_exit(vcpu, reason);
		fast = try_fast(vmx, reason);
		if (fast == FAST_NONE) {
			read_exit(vmx, reason);
			return STAY_EXIT;
		}
		vcpu->stat.fast_exits++;
		/*
		 * An exit that an instruction asked for: what was being injected has been
		 * delivered.
		 */
		vmx_events_delivered(vcpu);
		if (fast == FAST_DONE || must_leave(vcpu)) {
			read_exit(vmx, reason);
			return STAY_DONE;
		}
		if (vcpu_request_pending(vcpu)) {
			read_exit(vmx, reason);
			serve_window_requests(vmx);
			vmx_inject_events(vcpu);
		}
	}
}

/*
 * Real mode as virtual-8086 mode: one exit at a time, none finished here, as only outside of this
 * the guest's state is what it seems. The emulator delivers events.
 */
static enum stay_result stay_vm86(struct vcpu_vmx *vmx)
{
	struct vm86_saved saved;
	u32 reason;
	int ret;

	if (vmcs_read32(VMCS_ENTRY_INTR_INFO) & INTR_VALID) {
		vmcs_write32(VMCS_ENTRY_INTR_INFO, 0);
		return STAY_DONE;
	}
	vm86_begin(vmx, &saved);
	ret = enter_once(vmx);
	if (unlikely(ret)) {
		vm86_end(vmx, &saved);
		return ret == 1 ? STAY_FAILED : STAY_FAULTED;
	}
	vmx->vcpu.stat.exits++;
	reason = vmcs_read32(VMCS_EXIT_REASON);
	if (likely(!(reason & EXIT_REASON_ENTRY_FAIL)))
		vmx->enter.flags |= VMX_ENTER_RESUME;
	if (trace_kvmlet_exit_enabled())
		trace_exit(&vmx->vcpu, reason);
	read_exit(vmx, reason);
	vm86_end(vmx, &saved);
	vmx->was_vm86 = true;
	return STAY_EXIT;
}

static int entry_failed(struct vcpu *vcpu, u32 error)
{
	vcpu->run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	vcpu->run->fail_entry.hardware_entry_failure_reason = error;
	vcpu->run->fail_entry.cpu = vcpu->cpu;
	return RUN_TO_USER;
}

static int after_stay(struct vcpu_vmx *vmx, enum stay_result result, u32 error)
{
	struct vcpu *vcpu = &vmx->vcpu;

	switch (result) {
	case STAY_DONE:
		if (unlikely(vmx->skip_pending)) {
			vmx->skip_pending = false;
			return vcpu_skip_instruction(vcpu);
		}
		return RUN_RESUME;
	case STAY_FAILED:
		return entry_failed(vcpu, error);
	case STAY_FAULTED:
		vm_kill(vcpu->vm);
		return -EIO;
	case STAY_EXIT:
		break;
	}
	if (unlikely(vmx->info.reason & EXIT_REASON_ENTRY_FAIL))
		return entry_failed(vcpu, vmx->info.reason);
	vmx_events_delivered(vcpu);
	if (unlikely(vmx->info.idt_info & INTR_VALID))
		vmx_recover_vectoring(vcpu);
	return vmx_handle_exit(vcpu);
}

/* Interrupts off from here to guest_time_end(). */
static bool begin_window(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;

	vcpu->cpu = smp_processor_id();
	local_irq_disable();
	/*
	 * Pairs with the barrier in vcpu_request(): whoever asks now either sees IN_GUEST_MODE and
	 * sends an interrupt, which ends guest mode at once, or was early enough to be seen by the
	 * check that follows.
	 */
	smp_store_mb(vcpu->mode, IN_GUEST_MODE);
	if (must_leave(vcpu) || !vmcs_window_open(vmx)) {
		WRITE_ONCE(vcpu->mode, OUTSIDE_GUEST_MODE);
		local_irq_enable();
		return false;
	}
	return true;
}

int vcpu_hw_run(struct vcpu *vcpu) __must_hold(&vcpu->vm->srcu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	enum stay_result result;
	bool vm86 = false;
	u32 error = 0;
	int ret;

	vmx->info.reason = 0;
	if (vcpu_request_pending(vcpu)) {
		ret = serve_requests(vcpu);
		if (ret != RUN_RESUME)
			return ret;
		if (vcpu_init_sipi_pending(vcpu))
			return RUN_RESUME;
	}
	if (unlikely(!hw.unrestricted_guest)) {
		vmx->was_vm86 = false;
		if (realmode_needed(vcpu)) {
			vm86 = realmode_enters(vcpu);
			if (!vm86)
				return realmode_run(vcpu);
		}
	}

	/* Who removes a slot waits for its readers: not for a guest that never exits. */
	srcu_read_unlock(&vcpu->vm->srcu, vcpu->srcu_idx);
	preempt_disable();
	vmcs_fetch(vmx);
	if (!begin_window(vmx)) {
		preempt_enable();
		vcpu->srcu_idx = srcu_read_lock(&vcpu->vm->srcu);
		return RUN_RESUME;
	}
	serve_window_requests(vmx);
	vmx_switch_to_guest(vmx);
	vmx_inject_events(vcpu);
	if (unlikely(vcpu->stale & BIT(CACHED_CR4)))
		vcpu_cr4(vcpu);
	load_guest_shared(vmx);
	if (unlikely(host_mitigations.l1d_flush) && host_irq_touched_l1d())
		vmx->l1d_flush = true;
	guest_time_begin(vmx);

	result = unlikely(vm86) ? stay_vm86(vmx) : stay(vmx);

	/* Before the guest is seen to be left. */
	if (unlikely(vmx->cpu2 & CPU2_PML) && likely(result != STAY_FAULTED))
		vmx_pml_drain(vmx);
	if (unlikely(result == STAY_FAILED))
		error = vmcs_read32(VMCS_INSTRUCTION_ERROR);
	/* An entry that failed leaves its event valid; the next one chooses anew. */
	if (unlikely(result == STAY_FAILED || (vmx->info.reason & EXIT_REASON_ENTRY_FAIL)))
		vmcs_write32(VMCS_ENTRY_INTR_INFO, 0);
	vmcs_window_close(vmx);
	load_host_shared(vmx);
	if (result == STAY_EXIT)
		deliver_host_event(&vmx->info);
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
	/*
	 * Pairs with the waiters of vcpu_request_all(): what the guest did comes before being seen
	 * outside.
	 */
	smp_store_release(&vcpu->mode, OUTSIDE_GUEST_MODE);
	guest_time_end();
	preempt_enable();
	vcpu->srcu_idx = srcu_read_lock(&vcpu->vm->srcu);

	return after_stay(vmx, result, error);
}

void vcpu_hw_sched_out(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmx_switch_to_host(vmx);
	if (vmx_borrowed)
		vmcs_thread_left(vmx);
	vmx->l1d_flush = true;
}

void vcpu_hw_sched_in(struct vcpu *vcpu)
{
	to_vmx(vcpu)->l1d_flush = true;
}

void vcpu_hw_run_begin(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	host_fpu_swap(&vmx->guest_fpu, true);
	vmx->l1d_flush = true;
}

void vcpu_hw_run_end(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	preempt_disable();
	vmx_switch_to_host(vmx);
	preempt_enable();
	host_fpu_swap(&vmx->guest_fpu, false);
}
