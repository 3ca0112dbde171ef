// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exits of single instructions: CPUID, MSRs, HLT, cache and monitor instructions, XSETBV.
 * It must not decide what a value means; CPUID, MSR and register files do.
 */
#include <linux/sched.h>
#include <asm/msr-index.h>
#include <asm/smp.h>

#include "guest_state.h"
#include "irq.h"
#include "vmx.h"

static int inject_gp(struct vcpu *vcpu)
{
	vcpu_queue_exception_error(vcpu, VEC_GP, 0);
	return RUN_RESUME;
}

static void set_edx_eax(struct vcpu *vcpu, u64 value)
{
	vcpu->regs[REG_RAX] = (u32)value;
	vcpu->regs[REG_RDX] = value >> 32;
}

static u64 get_edx_eax(struct vcpu *vcpu)
{
	return (u32)vcpu->regs[REG_RAX] | (u64)vcpu->regs[REG_RDX] << 32;
}

/* ---- CPUID ---- */

static void do_cpuid(struct vcpu *vcpu)
{
	u32 eax = vcpu->regs[REG_RAX], ebx, ecx = vcpu->regs[REG_RCX], edx;

	cpuid_lookup(vcpu, &eax, &ebx, &ecx, &edx);
	vcpu->regs[REG_RAX] = eax;
	vcpu->regs[REG_RBX] = ebx;
	vcpu->regs[REG_RCX] = ecx;
	vcpu->regs[REG_RDX] = edx;
}

enum fast_result fast_cpuid(struct vcpu_vmx *vmx)
{
	if (cpuid_faulting(&vmx->vcpu) || !vmx_skip_fast(vmx))
		return FAST_NONE;
	do_cpuid(&vmx->vcpu);
	return FAST_REENTER;
}

int handle_cpuid(struct vcpu *vcpu)
{
	if (cpuid_faulting(vcpu) && vcpu_cpl(vcpu) > 0)
		return inject_gp(vcpu);
	do_cpuid(vcpu);
	return vcpu_skip_instruction(vcpu);
}

/* ---- MSRs ---- */

static bool is_x2apic_msr(u32 index)
{
	return (index & ~0xffu) == 0x800;
}

static bool is_x2apic_eoi(u32 index)
{
	return index == 0x80b;
}

static bool is_x2apic_icr(u32 index)
{
	return index == 0x830;
}

enum fast_result fast_rdmsr(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u32 index = vcpu->regs[REG_RCX];
	u64 value;

	if (!vcpu->lapic)
		return FAST_NONE;
	if (is_x2apic_msr(index)) {
		if (unlikely(vcpu->pv.eoi_armed) && !pv_eoi_try_sync(vcpu))
			return FAST_NONE;
		if (vlapic_msr_read(vcpu, index, &value))
			return FAST_NONE;
	} else if (unlikely(rcu_access_pointer(vcpu->vm->msr_filter))) {
		return FAST_NONE;
	} else if (index == MSR_IA32_APICBASE) {
		value = vlapic_get_base(vcpu);
	} else if (index == MSR_IA32_TSC_DEADLINE) {
		value = vlapic_get_tscdeadline(vcpu);
	} else {
		return FAST_NONE;
	}
	if (!vmx_skip_fast(vmx))
		return FAST_NONE;
	set_edx_eax(vcpu, value);
	return FAST_REENTER;
}

enum fast_result fast_wrmsr(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u32 index = vcpu->regs[REG_RCX];
	u64 value = get_edx_eax(vcpu);

	/* A write has effects: make sure first that the instruction can be left. */
	if (!vcpu->lapic || (vmcs_readl(VMCS_GUEST_RFLAGS) & (X86_EFLAGS_TF | X86_EFLAGS_RF)))
		return FAST_NONE;
	if (is_x2apic_msr(index)) {
		if (unlikely(vcpu->pv.eoi_armed) && is_x2apic_eoi(index) && !pv_eoi_try_sync(vcpu))
			return FAST_NONE;
		if (is_x2apic_icr(index) && unlikely(vlapic_icr_is_slow(vcpu, value)))
			return FAST_NONE;
		if (vlapic_msr_write(vcpu, index, value))
			return FAST_NONE;
	} else if (index == MSR_IA32_TSC_DEADLINE && guest_has(vcpu, GF_TSC_DEADLINE) &&
		   likely(!rcu_access_pointer(vcpu->vm->msr_filter))) {
		vlapic_set_tscdeadline(vcpu, value);
	} else {
		return FAST_NONE;
	}
	/* A carry out of the low half of RIP: the slow path skips without writing again. */
	if (!vmx_skip_fast(vmx)) {
		vmx->skip_pending = true;
		return FAST_DONE;
	}
	return FAST_REENTER;
}

int handle_rdmsr(struct vcpu *vcpu)
{
	struct msr_access msr = { .index = vcpu->regs[REG_RCX] };
	int refusal = guest_rdmsr(vcpu, &msr);

	if (refusal)
		return msr_refused(vcpu, &msr, false, refusal);
	set_edx_eax(vcpu, msr.data);
	return vcpu_skip_instruction(vcpu);
}

int handle_wrmsr(struct vcpu *vcpu)
{
	struct msr_access msr = { .index = vcpu->regs[REG_RCX], .data = get_edx_eax(vcpu) };
	int refusal = guest_wrmsr(vcpu, &msr);

	if (refusal)
		return msr_refused(vcpu, &msr, true, refusal);
	return vcpu_skip_instruction(vcpu);
}

/* ---- HLT, PAUSE, MONITOR, MWAIT ---- */

int handle_hlt(struct vcpu *vcpu)
{
	vcpu_skip_instruction(vcpu);
	vcpu->stat.halt_exits++;
	if (!irqchip_in_kernel(vcpu->vm)) {
		vcpu->run->exit_reason = KVM_EXIT_HLT;
		return RUN_TO_USER;
	}
	vcpu->mp_state = KVM_MP_STATE_HALTED;
	return debug_step_exit(vcpu);
}

/* A loop around PAUSE: a spinlock, most likely, whose owner may want this CPU. */
int handle_pause(struct vcpu *vcpu)
{
	vcpu_on_spin(vcpu, vcpu_cpl(vcpu) == 0);
	return vcpu_skip_instruction(vcpu);
}

/* They do nothing, as MWAIT may; by an old habit also where CPUID does not offer them. */
static int monitor_or_mwait(struct vcpu *vcpu)
{
	if (!vm_has_quirk(vcpu->vm, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS) &&
	    !guest_has(vcpu, GF_MWAIT))
		return handle_undefined(vcpu);
	return vcpu_skip_instruction(vcpu);
}

int handle_mwait(struct vcpu *vcpu)
{
	return monitor_or_mwait(vcpu);
}

int handle_monitor(struct vcpu *vcpu)
{
	return monitor_or_mwait(vcpu);
}

/* ---- The rest ---- */

int handle_undefined(struct vcpu *vcpu)
{
	vcpu_queue_exception(vcpu, VEC_UD);
	return RUN_RESUME;
}

/*
 * Guest memory is ordinary cached memory of the host: there is nothing a guest may write back or
 * lose.
 */
int handle_invd(struct vcpu *vcpu)
{
	return vcpu_skip_instruction(vcpu);
}

int handle_wbinvd(struct vcpu *vcpu)
{
	return vcpu_skip_instruction(vcpu);
}

/* There is no performance monitoring unit: every counter index of the CPU's is out of range. */
int handle_rdpmc(struct vcpu *vcpu)
{
	return vmware_rdpmc(vcpu) ? vcpu_skip_instruction(vcpu) : inject_gp(vcpu);
}

int handle_xsetbv(struct vcpu *vcpu)
{
	u32 index = vcpu->regs[REG_RCX];

	if (vcpu_cpl(vcpu) || vcpu_set_xcr0(vcpu, index, get_edx_eax(vcpu)))
		return inject_gp(vcpu);
	return vcpu_skip_instruction(vcpu);
}

/* LGDT and its kin exit only while UMIP is emulated. */
int handle_descriptor_table(struct vcpu *vcpu)
{
	return vcpu_emulate(vcpu, INVALID_GPA, 0);
}
