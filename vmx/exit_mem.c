// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exits of memory accesses and events: EPT violations, exceptions, interrupts, windows, task
 * switches, triple faults.
 * It must not walk or change page tables.
 */
#include <linux/bitfield.h>
#include <linux/percpu.h>
#include <asm/cpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>

#include "guest_state.h"
#include "iobus.h"
#include "irq.h"
#include "trace.h"
#include "vmx.h"

/* ---- EPT ---- */

static int emulate_mmio(struct vcpu *vcpu, gpa_t gpa, gva_t gla)
{
	const struct vmx_exit_info *info = &to_vmx(vcpu)->info;

	vcpu->stat.mmio_exits++;
	to_vmx(vcpu)->l1d_flush = true;
	/*
	 * A descriptor table, TSS or stack of the guest's lies where no memory is: the instruction
	 * at RIP has nothing to do with it, and nothing emulates a delivery.
	 */
	if (unlikely(info->idt_info & INTR_VALID))
		return vmx_delivery_failed(vcpu);
	return vcpu_emulate(vcpu, gpa, gla);
}

static int emulate_ept_mmio(struct vcpu *vcpu)
{
	const struct vmx_exit_info *info = &to_vmx(vcpu)->info;
	bool translated = (info->qual & (EPT_QUAL_GLA_VALID | EPT_QUAL_TRANSLATED)) ==
			  (EPT_QUAL_GLA_VALID | EPT_QUAL_TRANSLATED);

	/* An access by the page walk itself has no operand address to offer. */
	return emulate_mmio(vcpu, translated ? info->gpa : INVALID_GPA, info->gla);
}

#define EPT_QUAL_STORE	(EPT_QUAL_WRITE | EPT_QUAL_GLA_VALID | EPT_QUAL_TRANSLATED)

/*
 * A plain store to a doorbell whose length and value nobody wants: not decoded. CPUs tell the
 * instruction's length with this exit though they need not; other hypervisors may not.
 */
static noinline enum fast_result ring_doorbell(struct vcpu_vmx *vmx)
{
	unsigned long qual = vmcs_readl(VMCS_EXIT_QUALIFICATION);
	u32 len = vmcs_read32(VMCS_EXIT_INSTRUCTION_LEN);
	struct vcpu *vcpu = &vmx->vcpu;
	gpa_t gpa;

	if ((qual & (EPT_QUAL_STORE | EPT_QUAL_READ | EPT_QUAL_FETCH)) != EPT_QUAL_STORE ||
	    boot_cpu_has(X86_FEATURE_HYPERVISOR) || !len || len > 15 ||
	    (vmcs_read32(VMCS_IDT_VECTORING_INFO) & INTR_VALID) ||
	    (vmcs_readl(VMCS_GUEST_RFLAGS) & (X86_EFLAGS_TF | X86_EFLAGS_RF)))
		return FAST_NONE;
	gpa = vmcs_read64(VMCS_GUEST_PHYSICAL_ADDRESS);
	if (!mmu_is_mmio_gpa(vcpu, gpa) || iobus_write(vcpu, IOBUS_FAST_MMIO, gpa, 0, NULL))
		return FAST_NONE;
	vcpu->stat.mmio_exits++;
	if (!vmx_skip_fast(vmx)) {
		vmx->skip_pending = true;
		return FAST_DONE;
	}
	return FAST_REENTER;
}

enum fast_result fast_ept_violation(struct vcpu_vmx *vmx)
{
	if (likely(!rcu_access_pointer(vmx->vcpu.vm->bus[IOBUS_FAST_MMIO].table)))
		return FAST_NONE;
	return ring_doorbell(vmx);
}

/* KVM_RUN fails; where the host has no memory for the guest, it says for which page. */
static int fault_failed(struct vcpu *vcpu, gpa_t gpa, int error)
{
	struct compat_memory_fault *fault = (void *)vcpu->run->padding;

	if (error == -EFAULT) {
		vcpu->run->exit_reason = COMPAT_EXIT_MEMORY_FAULT;
		fault->flags = 0;
		fault->gpa = gpa & PAGE_MASK;
		fault->size = PAGE_SIZE;
	}
	return error;
}

int handle_ept_violation(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	const struct vmx_exit_info *info = &vmx->info;
	struct page_fault pf = {
		.addr = info->gpa,
		.write = info->qual & EPT_QUAL_WRITE,
		.exec = info->qual & EPT_QUAL_FETCH,
		.present = info->qual & (EPT_QUAL_READABLE | EPT_QUAL_WRITABLE |
					 EPT_QUAL_EXECUTABLE),
	};
	int ret;

	/* "Information for VM Exits Due to ... IRET": the fault undid the unblocking of NMIs. */
	if ((info->qual & EPT_QUAL_NMI_UNBLOCKING) && !(info->idt_info & INTR_VALID))
		vmx_set_nmi_masked(vcpu, true);

	if (mmu_is_mmio_gpa(vcpu, info->gpa))
		return emulate_ept_mmio(vcpu);
	ret = mmu_handle_fault(vcpu, &pf);
	trace_kvmlet_fault(vcpu->id, info->gpa, info->qual, ret);
	if (unlikely(ret < 0))
		return fault_failed(vcpu, info->gpa, ret);
	if (ret == PF_MMIO)
		return emulate_ept_mmio(vcpu);
	vcpu->stat.pf_fixed++;
	return RUN_RESUME;
}

/* ---- Exceptions and interrupts ---- */

/*
 * #DB is intercepted so that a guest cannot keep the CPU in endless delivery; DR6 follows the
 * qualification.
 */
static int reflect_debug(struct vcpu *vcpu)
{
	u64 bits = to_vmx(vcpu)->info.qual & (DR_TRAP_BITS | DR6_BD | DR_STEP | BIT(15) | BIT(11) |
					      BIT(16));

	if (unlikely(vcpu->guest_debug & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP)))
		return debug_exit(vcpu, VEC_DB, bits);
	/* INT1 is an instruction of its own: the trap comes after it. */
	if ((to_vmx(vcpu)->info.intr_info & INTR_TYPE) == INTR_TYPE_PRIV_SOFT)
		vcpu_set_rip(vcpu, vcpu->rip + to_vmx(vcpu)->info.insn_len);
	vmx_queue_debug(vcpu, bits);
	return RUN_RESUME;
}

/* Intercepted with shadow paging only: the guest's own fault, or one of the tables it runs on. */
static int handle_page_fault(struct vcpu *vcpu)
{
	const struct vmx_exit_info *info = &to_vmx(vcpu)->info;
	struct guest_exception ex;
	gpa_t gpa;
	int ret;

	ret = mmu_shadow_fault(vcpu, info->qual, info->intr_error, &gpa, &ex);
	if (unlikely(ret < 0))
		return fault_failed(vcpu, gpa, ret);
	if (ret == PF_MMIO)
		return emulate_mmio(vcpu, gpa, info->qual);
	if (ret == PF_GUEST)
		vcpu_queue_guest_exception(vcpu, &ex);
	else
		vcpu->stat.pf_fixed++;
	return RUN_RESUME;
}

/*
 * #AC is intercepted for the same reason as #DB: endless delivery when its handler's stack is
 * misaligned. Where the host detects split locks it may not be the guest's: the host warns and
 * slows the thread down, or kills the process, as it would do to any other.
 */
static int reflect_alignment_check(struct vcpu *vcpu)
{
	const struct vmx_exit_info *info = &to_vmx(vcpu)->info;

	if (!boot_cpu_has(X86_FEATURE_SPLIT_LOCK_DETECT) ||
	    (vcpu_cpl(vcpu) == 3 && vcpu_cr0(vcpu) & X86_CR0_AM &&
	     vcpu->rflags & X86_EFLAGS_AC)) {
		vcpu_queue_exception_error(vcpu, VEC_AC, info->intr_error);
		return RUN_RESUME;
	}
	if (handle_guest_split_lock(vcpu->rip))
		return RUN_RESUME;
	vcpu->run->exit_reason = KVM_EXIT_EXCEPTION;
	vcpu->run->ex.exception = VEC_AC;
	vcpu->run->ex.error_code = info->intr_error;
	return RUN_TO_USER;
}

int handle_exception_nmi(struct vcpu *vcpu)
{
	const struct vmx_exit_info *info = &to_vmx(vcpu)->info;
	u8 vector = info->intr_info & INTR_VECTOR;

	/* The host has had its NMI or #MC before interrupts went on. */
	if ((info->intr_info & INTR_TYPE) == INTR_TYPE_NMI || vector == VEC_MC)
		return RUN_RESUME;

	/*
	 * "Information for VM Exits Due to Vectored Events": a fault of IRET came after it
	 * unblocked NMIs.
	 */
	if ((info->intr_info & INTR_NMI_UNBLOCKING) && vector != VEC_DF &&
	    !(info->idt_info & INTR_VALID))
		vmx_set_nmi_masked(vcpu, true);

	if (vector == VEC_PF && !hw.ept)
		return handle_page_fault(vcpu);
	if (vector == VEC_DB)
		return reflect_debug(vcpu);
	if (vector == VEC_UD)
		return handle_invalid_opcode(vcpu);
	if (unlikely(to_vmx(vcpu)->was_vm86))
		return realmode_exception(vcpu, vector);
	if (vector == VEC_GP)
		return handle_protection_fault(vcpu);
	/* Intercepted for user space alone. */
	if (vector == VEC_BP) {
		to_vmx(vcpu)->bp_len = info->insn_len;
		return debug_exit(vcpu, VEC_BP, 0);
	}
	if (vector == VEC_AC)
		return reflect_alignment_check(vcpu);
	if (info->intr_info & INTR_ERROR_CODE)
		vcpu_queue_exception_error(vcpu, vector, info->intr_error);
	else
		vcpu_queue_exception(vcpu, vector);
	return RUN_RESUME;
}

/* Taken when interrupts went on after the exit. */
int handle_external_interrupt(struct vcpu *vcpu)
{
	vcpu->stat.irq_exits++;
	return RUN_RESUME;
}

int handle_machine_check(struct vcpu *vcpu)
{
	return RUN_RESUME;
}

int handle_triple_fault(struct vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return RUN_TO_USER;
}

/* ---- Windows ---- */

enum fast_result fast_irq_window(struct vcpu_vmx *vmx)
{
	if (vmx->vcpu.request_irq_window)
		return FAST_NONE;
	vmx_cpu_clear(vmx, CPU_IRQ_WINDOW);
	vcpu_request(&vmx->vcpu, REQ_EVENT);
	return FAST_REENTER;
}

/* The outer loop tells user space when it asked; injection is looked at before each entry. */
int handle_irq_window(struct vcpu *vcpu)
{
	return RUN_RESUME;
}

int handle_nmi_window(struct vcpu *vcpu)
{
	return RUN_RESUME;
}

int handle_tpr_threshold(struct vcpu *vcpu)
{
	return RUN_RESUME;
}

/* ---- Task switch ---- */

enum task_switch_source { TASK_BY_CALL, TASK_BY_IRET, TASK_BY_JMP, TASK_BY_GATE };

int handle_task_switch(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	const struct vmx_exit_info *info = &vmx->info;
	int source = FIELD_GET(TASK_QUAL_SOURCE, info->qual);
	u32 type = info->idt_info & INTR_TYPE;
	bool event = source == TASK_BY_GATE && (info->idt_info & INTR_VALID);
	bool has_error = false, soft;
	u32 error = 0;
	int index = -1;

	soft = type == INTR_TYPE_SOFT_INTR || type == INTR_TYPE_SOFT_EXC ||
	       type == INTR_TYPE_PRIV_SOFT;
	if (event) {
		/* The gate is how the event is delivered: nothing is left to inject. */
		has_error = info->idt_info & INTR_ERROR_CODE;
		error = info->idt_error;
		/* INT n is the one that has to be allowed by the gate's DPL. */
		if (type == INTR_TYPE_SOFT_INTR)
			index = info->idt_info & INTR_VECTOR;
		vcpu->exception.injected = false;
		vcpu->interrupt.injected = false;
		if (type == INTR_TYPE_NMI) {
			vcpu->nmi_injected = false;
			vmx_set_nmi_masked(vcpu, true);
		}
	}
	/*
	 * Instructions are left behind, faults and hardware events interrupt at RIP. The trap flag
	 * acts in the new task.
	 */
	if (!event || soft)
		vcpu_set_rip(vcpu, vcpu->rip + info->insn_len);
	return vcpu_task_switch(vcpu, FIELD_GET(TASK_QUAL_SELECTOR, info->qual), index, source,
				has_error, error);
}
