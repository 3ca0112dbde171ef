// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dispatches VM exits: the table of handlers, the table of those finished with interrupts off, and
 * what is left over.
 * It must not handle any exit itself.
 */
#include <linux/nospec.h>

#include "vmx.h"

static const exit_handler exit_handlers[NR_EXIT_REASONS] = {
	[EXIT_EXCEPTION_NMI]		= handle_exception_nmi,
	[EXIT_EXTERNAL_INTERRUPT]	= handle_external_interrupt,
	[EXIT_TRIPLE_FAULT]		= handle_triple_fault,
	[EXIT_IRQ_WINDOW]		= handle_irq_window,
	[EXIT_NMI_WINDOW]		= handle_nmi_window,
	[EXIT_TASK_SWITCH]		= handle_task_switch,
	[EXIT_CPUID]			= handle_cpuid,
	[EXIT_GETSEC]			= handle_undefined,
	[EXIT_HLT]			= handle_hlt,
	[EXIT_INVD]			= handle_invd,
	[EXIT_INVLPG]			= handle_invlpg,
	[EXIT_RDPMC]			= handle_rdpmc,
	[EXIT_RSM]			= handle_undefined,
	[EXIT_VMCALL]			= handle_vmcall,
	[EXIT_VMCLEAR]			= handle_undefined,
	[EXIT_VMLAUNCH]			= handle_undefined,
	[EXIT_VMPTRLD]			= handle_undefined,
	[EXIT_VMPTRST]			= handle_undefined,
	[EXIT_VMREAD]			= handle_undefined,
	[EXIT_VMRESUME]			= handle_undefined,
	[EXIT_VMWRITE]			= handle_undefined,
	[EXIT_VMXOFF]			= handle_undefined,
	[EXIT_VMXON]			= handle_undefined,
	[EXIT_CR_ACCESS]		= handle_cr_access,
	[EXIT_DR_ACCESS]		= handle_dr_access,
	[EXIT_IO]			= handle_io,
	[EXIT_RDMSR]			= handle_rdmsr,
	[EXIT_WRMSR]			= handle_wrmsr,
	[EXIT_MWAIT]			= handle_mwait,
	[EXIT_MONITOR]			= handle_monitor,
	[EXIT_PAUSE]			= handle_pause,
	[EXIT_MACHINE_CHECK]		= handle_machine_check,
	[EXIT_TPR_THRESHOLD]		= handle_tpr_threshold,
	[EXIT_GDTR_IDTR]		= handle_descriptor_table,
	[EXIT_LDTR_TR]			= handle_descriptor_table,
	[EXIT_EPT_VIOLATION]		= handle_ept_violation,
	/* No entry of ours is misconfigured. */
	[EXIT_EPT_MISCONFIG]		= vmx_unexpected_exit,
	[EXIT_INVEPT]			= handle_undefined,
	[EXIT_RDTSCP]			= handle_undefined,
	[EXIT_INVVPID]			= handle_undefined,
	[EXIT_WBINVD]			= handle_wbinvd,
	[EXIT_XSETBV]			= handle_xsetbv,
	[EXIT_INVPCID]			= handle_invpcid,
	[EXIT_VMFUNC]			= handle_undefined,
	[EXIT_ENCLS]			= handle_undefined,
	[EXIT_XSAVES]			= handle_undefined,
	[EXIT_XRSTORS]			= handle_undefined,
	[EXIT_PML_FULL]			= handle_pml_full,
	[EXIT_UMWAIT]			= handle_undefined,
	[EXIT_TPAUSE]			= handle_undefined,
};

/* Interrupts off, VMCS current: see enum fast_result. */
const fast_handler vmx_fast_handlers[NR_EXIT_REASONS] = {
	[EXIT_IRQ_WINDOW]	= fast_irq_window,
	[EXIT_CPUID]		= fast_cpuid,
	[EXIT_VMCALL]		= fast_vmcall,
	[EXIT_CR_ACCESS]	= fast_cr_access,
	[EXIT_IO]		= fast_io,
	[EXIT_RDMSR]		= fast_rdmsr,
	[EXIT_WRMSR]		= fast_wrmsr,
	[EXIT_EPT_VIOLATION]	= fast_ept_violation,
};

/* Fills the exit with @ndata words, in the order in which kvm_intel gives them. */
static int internal_error(struct vcpu *vcpu, u32 suberror, const u64 *data, unsigned int ndata)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = suberror;
	run->internal.ndata = ndata;
	memcpy(run->internal.data, data, ndata * sizeof(*data));
	return RUN_TO_USER;
}

int vmx_unexpected_exit(struct vcpu *vcpu)
{
	const struct vmx_exit_info *info = &to_vmx(vcpu)->info;
	const u64 data[] = { info->reason, vcpu->cpu, info->qual };

	return internal_error(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, data,
			      ARRAY_SIZE(data));
}

int vmx_delivery_failed(struct vcpu *vcpu)
{
	const struct vmx_exit_info *info = &to_vmx(vcpu)->info;
	const u64 data[] = { info->idt_info, info->reason, info->qual, info->gpa, vcpu->cpu };

	return internal_error(vcpu, KVM_INTERNAL_ERROR_DELIVERY_EV, data, ARRAY_SIZE(data));
}

/*
 * Exits during event delivery are expected of memory accesses, task switches and what they turn
 * into. Anything else would be handled again and again, the event never delivered.
 */
static bool delivery_may_exit(u32 reason)
{
	switch (reason) {
	case EXIT_EXCEPTION_NMI:
	case EXIT_EXTERNAL_INTERRUPT:
	case EXIT_EPT_VIOLATION:
	case EXIT_TASK_SWITCH:
	case EXIT_TRIPLE_FAULT:
	case EXIT_NMI_WINDOW:
	case EXIT_IRQ_WINDOW:
	case EXIT_PML_FULL:
	case EXIT_APIC_ACCESS:
	case EXIT_MACHINE_CHECK:
		return true;
	default:
		return false;
	}
}

int vmx_handle_exit(struct vcpu *vcpu)
{
	const struct vmx_exit_info *info = &to_vmx(vcpu)->info;
	u32 reason = info->reason;

	if (unlikely((info->idt_info & INTR_VALID) && !delivery_may_exit(reason)))
		return vmx_delivery_failed(vcpu);
	if (reason < NR_EXIT_REASONS) {
		reason = array_index_nospec(reason, NR_EXIT_REASONS);
		if (exit_handlers[reason])
			return exit_handlers[reason](vcpu);
	}
	return vmx_unexpected_exit(vcpu);
}
