// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events on their way into the guest: which comes first, what the VM-entry fields say, what happens
 * when delivery is interrupted.
 * It must not produce events itself.
 *
 * Order: an event whose delivery was interrupted, a pending exception, an NMI, an external
 * interrupt. What has to wait asks for a window exit.
 */
#include <linux/bitfield.h>
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>

#include "guest_state.h"
#include "irq.h"
#include "trace.h"
#include "vmx.h"

/* ---- Exceptions ---- */

enum exception_class { EXC_BENIGN, EXC_CONTRIBUTORY, EXC_PAGE_FAULT };

/* "Interrupt 8 - Double Fault Exception": classes. */
static enum exception_class exception_class(u8 vector)
{
	const u32 contributory = BIT(VEC_DE) | BIT(VEC_TS) | BIT(VEC_NP) | BIT(VEC_SS) |
				 BIT(VEC_GP);

	if (vector == VEC_PF)
		return EXC_PAGE_FAULT;
	return vector < 32 && (contributory & BIT(vector)) ? EXC_CONTRIBUTORY : EXC_BENIGN;
}

static bool makes_double_fault(u8 first, u8 second)
{
	enum exception_class a = exception_class(first), b = exception_class(second);

	return (a == EXC_CONTRIBUTORY && b == EXC_CONTRIBUTORY) ||
	       (a == EXC_PAGE_FAULT && b != EXC_BENIGN);
}

static void set_exception(struct vcpu *vcpu, u8 vector, bool has_error, u32 error)
{
	struct vcpu_exception *e = &vcpu->exception;

	e->pending = true;
	e->injected = false;
	e->vector = vector;
	e->has_error = has_error;
	e->error = error;
	e->has_payload = false;
	e->payload = 0;
	vcpu_request(vcpu, REQ_EVENT);
}

static void queue_exception(struct vcpu *vcpu, u8 vector, bool has_error, u32 error)
{
	struct vcpu_exception *e = &vcpu->exception;

	/* "Real-Address Mode Exceptions" push no error code. */
	if (!(vcpu_cr0(vcpu) & X86_CR0_PE))
		has_error = false;

	if (!e->pending && !e->injected) {
		set_exception(vcpu, vector, has_error, error);
	} else if (e->vector == VEC_DF) {
		e->pending = false;
		e->injected = false;
		vcpu_request(vcpu, REQ_TRIPLE_FAULT);
	} else if (makes_double_fault(e->vector, vector)) {
		set_exception(vcpu, VEC_DF, true, 0);
	} else {
		/* Serial handling: the first one's instruction will fault again. */
		set_exception(vcpu, vector, has_error, error);
	}
}

void vcpu_queue_exception(struct vcpu *vcpu, u8 vector)
{
	queue_exception(vcpu, vector, false, 0);
}

void vcpu_queue_exception_error(struct vcpu *vcpu, u8 vector, u32 error)
{
	queue_exception(vcpu, vector, true, error);
}

static void queue_with_payload(struct vcpu *vcpu, u8 vector, bool has_error, u32 error, u64 payload)
{
	struct vcpu_exception *e = &vcpu->exception;

	queue_exception(vcpu, vector, has_error, error);
	if (e->pending && e->vector == vector) {
		e->has_payload = true;
		e->payload = payload;
	}
}

void vcpu_queue_guest_exception(struct vcpu *vcpu, const struct guest_exception *ex)
{
	if (ex->vector == VEC_PF)
		queue_with_payload(vcpu, VEC_PF, true, ex->error, ex->cr2);
	else if (ex->vector == VEC_DB)
		queue_with_payload(vcpu, VEC_DB, false, 0, ex->cr2);
	else
		queue_exception(vcpu, ex->vector, ex->has_error, ex->error);
}

/* A trap taken by software in the CPU's place: DR6's bits come with it. */
void vmx_queue_debug(struct vcpu *vcpu, u64 dr6_bits)
{
	queue_with_payload(vcpu, VEC_DB, false, 0, dr6_bits);
}

/* Delivery begins: CR2 and DR6 change now, not earlier. */
void vmx_deliver_payload(struct vcpu *vcpu)
{
	struct vcpu_exception *e = &vcpu->exception;

	if (!e->has_payload)
		return;
	if (e->vector == VEC_PF) {
		vcpu->cr2 = e->payload;
	} else if (e->vector == VEC_DB) {
		/*
		 * "Debug Status Register (DR6)": the CPU clears only B0 to B3; RTM and bus lock are
		 * reported inverted.
		 */
		vcpu->dr6 &= ~0xful;
		vcpu->dr6 |= DR6_RESERVED | e->payload;
		vcpu->dr6 ^= e->payload & (BIT(16) | BIT(11));
	}
	e->has_payload = false;
	e->payload = 0;
}

/* Faults set RF in the pushed image, so that an instruction breakpoint does not trigger twice. */
static bool is_fault(u8 vector, u64 payload)
{
	if (vector == VEC_DB)
		return false;
	return vector != VEC_BP && vector != VEC_OF && vector != VEC_NMI && vector != VEC_DF &&
	       vector != VEC_MC;
}

/* ---- Interruptibility ---- */

u8 vcpu_interrupt_shadow(struct vcpu *vcpu)
{
	u32 state = to_vmx(vcpu)->interruptibility;

	return (state & INTR_STATE_STI ? KVM_X86_SHADOW_INT_STI : 0) |
	       (state & INTR_STATE_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0);
}

static void set_interruptibility(struct vcpu_vmx *vmx, u32 state)
{
	if (vmx->interruptibility != state) {
		vmx->interruptibility = state;
		vmx->intr_dirty = true;
	}
}

void vcpu_set_interrupt_shadow(struct vcpu *vcpu, u8 shadow)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 state = vmx->interruptibility & ~(INTR_STATE_STI | INTR_STATE_MOV_SS);

	if (shadow & KVM_X86_SHADOW_INT_MOV_SS)
		state |= INTR_STATE_MOV_SS;
	else if (shadow & KVM_X86_SHADOW_INT_STI)
		state |= INTR_STATE_STI;
	set_interruptibility(vmx, state);
}

bool vmx_nmi_masked(struct vcpu *vcpu)
{
	return to_vmx(vcpu)->interruptibility & INTR_STATE_NMI;
}

void vmx_set_nmi_masked(struct vcpu *vcpu, bool masked)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	set_interruptibility(vmx, (vmx->interruptibility & ~INTR_STATE_NMI) |
				  (masked ? INTR_STATE_NMI : 0));
}

bool vcpu_interrupts_allowed(struct vcpu *vcpu)
{
	return (vcpu->rflags & X86_EFLAGS_IF) &&
	       !(to_vmx(vcpu)->interruptibility & (INTR_STATE_STI | INTR_STATE_MOV_SS));
}

static bool nmi_allowed(struct vcpu *vcpu)
{
	return !(to_vmx(vcpu)->interruptibility &
		 (INTR_STATE_NMI | INTR_STATE_STI | INTR_STATE_MOV_SS));
}

int vcpu_skip_instruction(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long rip = vcpu->rip + vmx->info.insn_len;
	unsigned long rflags = vcpu->rflags;

	/* RIP wraps at 4 GiB outside 64-bit mode; only a carry into the upper half needs to ask. */
	if (unlikely((rip ^ vcpu->rip) >> 31) && !vcpu_is_64bit_code(vcpu))
		rip = (u32)rip;
	vcpu_set_rip(vcpu, rip);
	if (unlikely(rflags & X86_EFLAGS_RF))
		vcpu_set_rflags(vcpu, rflags & ~X86_EFLAGS_RF);
	vcpu_set_interrupt_shadow(vcpu, 0);
	if (unlikely(rflags & X86_EFLAGS_TF))
		debug_stepped(vcpu);
	return RUN_RESUME;
}

bool vmx_skip_fast(struct vcpu_vmx *vmx)
{
	unsigned long rip, next;
	u32 state;

	if (unlikely(vmcs_readl(VMCS_GUEST_RFLAGS) & (X86_EFLAGS_TF | X86_EFLAGS_RF)))
		return false;
	rip = vmcs_readl(VMCS_GUEST_RIP);
	next = rip + vmcs_read32(VMCS_EXIT_INSTRUCTION_LEN);
	if (unlikely((next ^ rip) >> 31))
		return false;
	state = vmcs_read32(VMCS_GUEST_INTERRUPTIBILITY);
	if (unlikely(state & (INTR_STATE_STI | INTR_STATE_MOV_SS)))
		vmcs_write32(VMCS_GUEST_INTERRUPTIBILITY,
			     state & ~(INTR_STATE_STI | INTR_STATE_MOV_SS));
	vmcs_writel(VMCS_GUEST_RIP, next);
	return true;
}

/* ---- Interrupted delivery ---- */

void vmx_recover_vectoring(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	const struct vmx_exit_info *info = &vmx->info;
	u8 vector = info->idt_info & INTR_VECTOR;

	switch (info->idt_info & INTR_TYPE) {
	case INTR_TYPE_NMI:
		vcpu->nmi_injected = true;
		/*
		 * "VM Entry ... NMI": cannot be injected while NMIs are blocked, which its own
		 * delivery has done.
		 */
		vmx_set_nmi_masked(vcpu, false);
		break;
	case INTR_TYPE_HARD_EXC:
	case INTR_TYPE_SOFT_EXC:
	case INTR_TYPE_PRIV_SOFT:
		vcpu->exception.injected = true;
		vcpu->exception.pending = false;
		vcpu->exception.vector = vector;
		vcpu->exception.has_error = info->idt_info & INTR_ERROR_CODE;
		vcpu->exception.error = info->idt_error;
		vcpu->exception.has_payload = false;
		vmx->event_type = info->idt_info & INTR_TYPE;
		vmx->event_len = info->idt_insn_len;
		break;
	case INTR_TYPE_SOFT_INTR:
	case INTR_TYPE_EXTERNAL:
		vcpu->interrupt.injected = true;
		vcpu->interrupt.vector = vector;
		vcpu->interrupt.soft = (info->idt_info & INTR_TYPE) == INTR_TYPE_SOFT_INTR;
		vmx->event_len = info->idt_insn_len;
		break;
	}
	vcpu_request(vcpu, REQ_EVENT);
}

/* ---- What the next entry delivers ---- */

static void write_entry_event(struct vcpu_vmx *vmx, u32 info, u32 error, u32 len)
{
	if (info & INTR_ERROR_CODE)
		vmcs_write32(VMCS_ENTRY_EXCEPTION_ERROR, error);
	/* "Checks on Guest Non-Register State": few events may be injected into HLT. */
	if (unlikely(!(vmx->cpu & CPU_HLT)))
		vmcs_write32(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
	if (len)
		vmcs_write32(VMCS_ENTRY_INSTRUCTION_LEN, len);
	vmcs_write32(VMCS_ENTRY_INTR_INFO, info | INTR_VALID);
	trace_kvmlet_inject(vmx->vcpu.id, info, error);
}

static void enter_with_exception(struct vcpu_vmx *vmx, bool again)
{
	struct vcpu_exception *e = &vmx->vcpu.exception;
	u32 type = INTR_TYPE_HARD_EXC, len = 0;

	if (again && vmx->event_type != INTR_TYPE_HARD_EXC && vmx->event_len) {
		type = vmx->event_type;
		len = vmx->event_len;
	} else if (e->vector == VEC_BP || e->vector == VEC_OF) {
		type = INTR_TYPE_SOFT_EXC;
		len = vmx->bp_len ?: 1;
	}
	write_entry_event(vmx, e->vector | type | (e->has_error ? INTR_ERROR_CODE : 0), e->error,
			  len);
	vmx->entered = ENTERED_EXCEPTION;
}

static void enter_with_nmi(struct vcpu_vmx *vmx)
{
	write_entry_event(vmx, VEC_NMI | INTR_TYPE_NMI, 0, 0);
	vmx->entered = ENTERED_NMI;
}

static void enter_with_interrupt(struct vcpu_vmx *vmx)
{
	struct vcpu_interrupt *i = &vmx->vcpu.interrupt;

	if (i->soft)
		write_entry_event(vmx, i->vector | INTR_TYPE_SOFT_INTR, 0, vmx->event_len ?: 2);
	else
		write_entry_event(vmx, i->vector | INTR_TYPE_EXTERNAL, 0, 0);
	vmx->vcpu.stat.irq_injections++;
	vmx->entered = ENTERED_INTERRUPT;
}

/* True when the entry is taken by an event that came before any new one. */
static bool inject_interrupted(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;

	if (vcpu->exception.injected) {
		enter_with_exception(vmx, true);
		return true;
	}
	/* It arose in the delivery of the others: they wait, and INT n will be executed again. */
	if (unlikely(vcpu->exception.pending)) {
		vcpu->interrupt.injected &= !vcpu->interrupt.soft;
		return false;
	}
	if (vcpu->nmi_injected) {
		enter_with_nmi(vmx);
		return true;
	}
	if (vcpu->interrupt.injected && (vcpu->interrupt.soft || vcpu_interrupts_allowed(vcpu))) {
		enter_with_interrupt(vmx);
		return true;
	}
	return false;
}

static bool inject_exception(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	struct vcpu_exception *e = &vcpu->exception;

	if (!e->pending)
		return false;
	if (is_fault(e->vector, e->payload) && !(vcpu->rflags & X86_EFLAGS_RF)) {
		vcpu->rflags |= X86_EFLAGS_RF;
		vcpu->rflags_dirty = true;
	}
	vmx_deliver_payload(vcpu);
	if (e->vector == VEC_DB && (vcpu->dr7 & DR7_GD)) {
		vcpu->dr7 &= ~DR7_GD;
		debug_update_dr7(vcpu);
	}
	/* "Checks on Guest Non-Register State": in a shadow with TF, a step has to be pending. */
	if (e->vector == VEC_DB && vcpu->rflags & X86_EFLAGS_TF &&
	    vmx->interruptibility & (INTR_STATE_STI | INTR_STATE_MOV_SS))
		vmcs_writel(VMCS_GUEST_PENDING_DEBUG,
			    vmcs_readl(VMCS_GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
	e->pending = false;
	e->injected = true;
	enter_with_exception(vmx, false);
	return true;
}

static bool inject_nmi(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;

	if (!atomic_read(&vcpu->nmi_pending) || !nmi_allowed(vcpu))
		return false;
	atomic_dec(&vcpu->nmi_pending);
	vcpu->nmi_injected = true;
	vcpu->stat.nmi_injections++;
	enter_with_nmi(vmx);
	return true;
}

static bool inject_irq(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	int vector;

	if (!vcpu_interrupts_allowed(vcpu) || !vcpu_irq_pending(vcpu))
		return false;
	/*
	 * What is in service is not known: the guest's page is not there, or the request is
	 * younger than pv_eoi_settle(). Each ends the entry at once. To take it now would offer the
	 * next EOI by the same bit, and forget one that the guest has made already.
	 */
	if (unlikely(vcpu->pv.eoi_armed))
		return false;
	vector = vcpu_irq_take(vcpu);
	/* A PIC that ends interrupts by itself asked for the next: nobody else ends this entry. */
	if (unlikely(READ_ONCE(vcpu->mode) == EXITING_GUEST_MODE))
		compat_kick_cpu(raw_smp_processor_id());
	if (vector < 0)
		return false;
	vcpu->interrupt.injected = true;
	vcpu->interrupt.soft = false;
	vcpu->interrupt.vector = vector;
	enter_with_interrupt(vmx);
	if (vcpu->pv.eoi & KVM_MSR_ENABLED)
		pv_eoi_arm(vcpu);
	return true;
}

static void update_windows(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u32 windows = 0;

	/* Some CPUs open the NMI window in STI's shadow, where it is of no use; IF is set there. */
	if (atomic_read(&vcpu->nmi_pending))
		windows |= vmx->interruptibility & INTR_STATE_STI ? CPU_IRQ_WINDOW : CPU_NMI_WINDOW;
	if (vcpu->nmi_injected && vmx->entered != ENTERED_NMI)
		windows |= CPU_NMI_WINDOW;
	if (vcpu_irq_pending(vcpu) ||
	    (vcpu->request_irq_window && vcpu_takes_user_extint(vcpu)) ||
	    (vcpu->interrupt.injected && vmx->entered != ENTERED_INTERRUPT))
		windows |= CPU_IRQ_WINDOW;
	vmx_cpu_write(vmx, (vmx->cpu & ~(CPU_NMI_WINDOW | CPU_IRQ_WINDOW)) | windows);
}

/*
 * "TPR Virtualization": exit when the guest lowers its TPR below the class of a waiting interrupt.
 */
static void update_tpr_threshold(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u32 threshold = 0;
	int irr;

	irr = vlapic_highest_irr(vcpu);
	if (irr >= 0 && irr >> 4 <= vlapic_get_cr8(vcpu))
		threshold = irr >> 4;
	if (threshold != vmx->tpr_threshold) {
		vmcs_write32(VMCS_TPR_THRESHOLD, threshold);
		vmx->tpr_threshold = threshold;
	}
}

/*
 * User space steps over what would be a shadow; VM entry with TF then insists on a trap that is
 * pending. And it may want no interrupt to be in its way.
 */
static void inject_while_debugged(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	bool blocked = vcpu->guest_debug & KVM_GUESTDBG_BLOCKIRQ;

	if (vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)
		vcpu_set_interrupt_shadow(vcpu, 0);
	if (!inject_interrupted(vmx) && !inject_exception(vmx) && !blocked && !inject_nmi(vmx))
		inject_irq(vmx);
	if (blocked)
		vmx_cpu_clear(vmx, CPU_NMI_WINDOW | CPU_IRQ_WINDOW);
	else
		update_windows(vmx);
}

void vmx_inject_events(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	/* An entry that failed may have left it. */
	vmx->entered = ENTERED_NOTHING;
	if (vcpu->lapic && vlapic_timer_pending(vcpu))
		vlapic_timer_inject(vcpu);
	/* The guest's page is not there, so priorities are not known: the entry ends at once. */
	if (unlikely(vcpu->pv.eoi_armed) && !pv_eoi_settle(vcpu)) {
		vcpu_request(vcpu, REQ_PV_EOI);
		compat_kick_cpu(raw_smp_processor_id());
	}
	if (unlikely(vcpu->guest_debug)) {
		inject_while_debugged(vmx);
	} else {
		if (!inject_interrupted(vmx) && !inject_exception(vmx) && !inject_nmi(vmx))
			inject_irq(vmx);
		update_windows(vmx);
	}
	if (vmx->cpu & CPU_TPR_SHADOW)
		update_tpr_threshold(vmx);
}

/* ---- Asked from outside ---- */

void vcpu_nmi(struct vcpu *vcpu)
{
	/* One being handled and one latched behind it, as the CPU keeps. */
	atomic_add_unless(&vcpu->nmi_pending, 1, 2);
	vcpu_request(vcpu, REQ_EVENT);
	vcpu_kick(vcpu);
}

int vcpu_queue_user_irq(struct vcpu *vcpu, u32 vector)
{
	if (vector > 255)
		return vcpu_refuse(vcpu, -EINVAL, "interrupt vector above 255", vector);
	if (irqchip_in_kernel(vcpu->vm)) {
		if (!irqchip_is_split(vcpu->vm))
			return vcpu_refuse(vcpu, -ENXIO, "interrupts come from the in-kernel chips",
					   vector);
		if (vcpu->user_extint >= 0)
			return vcpu_refuse(vcpu, -EEXIST, "an interrupt is already queued",
					   vcpu->user_extint);
		vcpu->user_extint = vector;
		vcpu_request(vcpu, REQ_EVENT);
		return 0;
	}
	if (vcpu->interrupt.injected)
		return vcpu_refuse(vcpu, -EEXIST, "an interrupt is already queued",
				   vcpu->interrupt.vector);
	vcpu->interrupt.injected = true;
	vcpu->interrupt.soft = false;
	vcpu->interrupt.vector = vector;
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}

bool vcpu_hw_has_event(struct vcpu *vcpu)
{
	if (vcpu->exception.pending || vcpu->exception.injected || vcpu->nmi_injected)
		return true;
	if ((vcpu->smi_pending || vcpu_test_request(vcpu, REQ_SMI)) && !vcpu->smm)
		return true;
	if (atomic_read(&vcpu->nmi_pending) && nmi_allowed(vcpu))
		return true;
	if (vcpu->lapic && vlapic_timer_pending(vcpu))
		return true;
	return vcpu_interrupts_allowed(vcpu) &&
	       (vcpu->interrupt.injected || vcpu_irq_pending(vcpu));
}
