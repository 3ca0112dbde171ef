/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What vmx/ offers to the rest: hardware features, life of a vCPU's hardware state, running, and
 * architectural state.
 * This header must not mention VMCS fields.
 */
#ifndef KVMLET_VCPU_HW_H
#define KVMLET_VCPU_HW_H

#include <linux/kvm.h>

#include "types.h"

struct vm;
struct vcpu;

/**
 * struct hw_features - what this machine's VMX offers and the module parameters left on
 * @ept:		extended page tables
 * @ept_ad:		accessed and dirty flags in EPT
 * @pml:		the CPU lists the pages whose dirty flag it sets, for dirty logs
 * @ept_2m:		2-MByte leaves in EPT; with shadow paging, in the CPU's own tables
 * @ept_1g:		1-GByte leaves, likewise
 * @ept_5level:		EPT walks of 5 levels
 * @vpid:		virtual processor ids
 * @unrestricted_guest:	guests run without paging and in real mode
 * @flexpriority:	the module parameter: @tpr_shadow is used
 * @tsc_scaling:	the guest's TSC may have another frequency
 * @tpr_shadow:		the guest reads and writes CR8 without exits
 * @invpcid:		INVPCID may be offered
 * @rdtscp:		RDTSCP and RDPID may be offered
 * @xsaves:		XSAVES may be offered
 * @vmware_backdoor:	the module parameter: user code reaches VMware's ports and counters
 * @maxphyaddr:		the host's physical address width, bits
 * @xcr0:		XCR0 bits a guest may set; 0 without XSAVE
 * @xss:		IA32_XSS bits a guest may set
 * @tsc_khz:		the host's TSC frequency, kHz
 * @tsc_frac_bits:	fraction bits of a TSC multiplier
 * @tsc_max_ratio:	largest TSC multiplier, in that format
 *
 * Filled before the device node appears, constant afterwards.
 */
struct hw_features {
	bool ept, ept_ad, pml, ept_2m, ept_1g, ept_5level;
	bool vpid, unrestricted_guest, flexpriority, tsc_scaling, tpr_shadow;
	bool invpcid, rdtscp, xsaves, vmware_backdoor;
	u8 maxphyaddr;
	u64 xcr0;
	u64 xss;
	u32 tsc_khz;
	u8 tsc_frac_bits;
	u64 tsc_max_ratio;
};

extern struct hw_features hw;

/**
 * hw_has_smm() - can guests have system-management mode? It needs real mode and two address spaces
 *
 * Return: whether they can.
 */
static inline bool hw_has_smm(void)
{
	return hw.ept && hw.unrestricted_guest;
}

/**
 * vmx_disable_exits_supported() - KVM_CAP_X86_DISABLE_EXITS
 *
 * Return: KVM_X86_DISABLE_EXITS_* that a VM may ask for.
 */
u32 vmx_disable_exits_supported(void);

/* ---- Module and VM life: vmx/vcpu.c, vmx/hw.c ---- */

/**
 * vmx_module_init() - learn what the CPU can do and fill hw; before anything else of the module
 *
 * Return: 0, -EOPNOTSUPP when this CPU cannot run guests (the log says why), -ENOMEM.
 */
int vmx_module_init(void);

/**
 * vmx_module_exit() - undo vmx_module_init(); no VM exists
 */
void vmx_module_exit(void);

/**
 * vmx_enable() - the first VM turns VMX on or borrows it from its owner
 * @vm: gets the reason of a refusal; may sleep
 *
 * Return: 0, -EBUSY when another hypervisor has VMX, -EIO when VMXON failed.
 */
int vmx_enable(struct vm *vm);

/**
 * vmx_disable() - undo vmx_enable(); the last VM turns VMX off or gives it back
 * @vm: a VM whose vCPUs are gone; may sleep
 */
void vmx_disable(struct vm *vm);

/* ---- vCPU life: vmx/vcpu.c, vmx/run.c ---- */

/**
 * vcpu_hw_alloc() - a zeroed vCPU with its hardware state (VMCS, guest FPU, MSR bitmap)
 * @vm: its VM; vm->lock held, may sleep
 *
 * Return: the vCPU, to be freed by vcpu_hw_free(), or ERR_PTR(-ENOMEM).
 */
struct vcpu *vcpu_hw_alloc(struct vm *vm);

/**
 * vcpu_hw_prepare() - what guest memory has to hold before the vCPU can run
 * @vcpu: from vcpu_hw_alloc(), after mmu_vcpu_init(); vm->lock held, in the VM's process; may sleep
 *
 * Under EPT without unrestricted guest the CPU runs a guest that does not page on tables that map
 * each address to itself; they lie in a page of guest memory, at KVM_SET_IDENTITY_MAP_ADDR.
 *
 * Return: 0, -EEXIST when user memory is there, -ENOMEM, -EFAULT; with a reason.
 */
int vcpu_hw_prepare(struct vcpu *vcpu);

/**
 * vcpu_hw_free() - free it
 * @vcpu: from vcpu_hw_alloc(); runs no more; interrupts on
 */
void vcpu_hw_free(struct vcpu *vcpu);

/**
 * vcpu_hw_reset() - architectural RESET state, or INIT state
 * @vcpu: vcpu->lock held, or its creator; interrupts on
 * @init_event: INIT, which keeps more than RESET does
 */
void vcpu_hw_reset(struct vcpu *vcpu, bool init_event);

/**
 * vcpu_hw_sched_out() - the thread leaves the CPU while inside KVM_RUN: give back host state
 * @vcpu: own thread, from the preempt notifier
 */
void vcpu_hw_sched_out(struct vcpu *vcpu);

/**
 * vcpu_hw_sched_in() - it comes back, perhaps on another CPU
 * @vcpu: own thread, from the preempt notifier
 */
void vcpu_hw_sched_in(struct vcpu *vcpu);

/**
 * vcpu_hw_in_kernel() - was the guest at CPL 0 when its thread lost the CPU?
 * @vcpu: own thread, interrupts off, just before vcpu_hw_sched_out()
 *
 * Return: whether it was; true when that cannot be told.
 */
bool vcpu_hw_in_kernel(struct vcpu *vcpu);

/**
 * vcpu_hw_run_begin() - before the loop of one KVM_RUN: the guest's FPU goes in
 * @vcpu: own thread, vcpu->lock held, preemption on
 */
void vcpu_hw_run_begin(struct vcpu *vcpu);

/**
 * vcpu_hw_run_end() - after it: the guest's FPU comes out, host state is back
 * @vcpu: own thread, vcpu->lock held, preemption on
 */
void vcpu_hw_run_end(struct vcpu *vcpu);

/**
 * vcpu_hw_run() - enter the guest once (fast exits stay inside) and handle the exit
 * @vcpu: own thread, vcpu->lock and vm->srcu held, interrupts on; between vcpu_hw_run_begin() and
 *	vcpu_hw_run_end(). Gives vm->srcu up while in guest mode.
 *
 * Return: RUN_RESUME, RUN_TO_USER with vcpu->run filled, or -errno.
 */
int vcpu_hw_run(struct vcpu *vcpu);

/**
 * vcpu_hw_has_event() - is there an exception, NMI or interrupt that would end HLT now?
 * @vcpu: own thread or vcpu->lock held
 *
 * Return: whether there is.
 */
bool vcpu_hw_has_event(struct vcpu *vcpu);

/*
 * ---- Registers: vmx/regs.c, vmx/segs.c, vmx/inject.c ----
 *
 * All give and take current architectural values, on the vCPU's own thread or with vcpu->lock held.
 * They take the VMCS where they need it: interrupts on, or the window of vmx/run.c open.
 */

/**
 * vcpu_cr0() - CR0 as the guest sees it
 * @vcpu: the vCPU
 *
 * Return: the value.
 */
unsigned long vcpu_cr0(struct vcpu *vcpu);

/**
 * vcpu_cr3() - CR3
 * @vcpu: the vCPU
 *
 * Return: the value.
 */
unsigned long vcpu_cr3(struct vcpu *vcpu);

/**
 * vcpu_cr4() - CR4 as the guest sees it
 * @vcpu: the vCPU
 *
 * Return: the value.
 */
unsigned long vcpu_cr4(struct vcpu *vcpu);

/**
 * vcpu_cr8() - CR8, of the in-kernel APIC or kept for user space's
 * @vcpu: the vCPU
 *
 * Return: the task priority, 0 to 15.
 */
unsigned long vcpu_cr8(struct vcpu *vcpu);

/**
 * vcpu_set_cr0() - MOV to CR0 with all architectural checks
 * @vcpu: the vCPU; vm->srcu held, may sleep
 * @val: new value
 *
 * Return: 0, or 1 for a #GP and no effect.
 */
int vcpu_set_cr0(struct vcpu *vcpu, unsigned long val);

/**
 * vcpu_set_cr3() - MOV to CR3 with all architectural checks
 * @vcpu: the vCPU; vm->srcu held, may sleep
 * @val: new value, bit 63 meaning what CR4.PCIDE makes of it
 *
 * Return: 0, or 1 for a #GP and no effect.
 */
int vcpu_set_cr3(struct vcpu *vcpu, unsigned long val);

/**
 * vcpu_set_cr4() - MOV to CR4 with all architectural checks
 * @vcpu: the vCPU; vm->srcu held, may sleep
 * @val: new value
 *
 * Return: 0, or 1 for a #GP and no effect.
 */
int vcpu_set_cr4(struct vcpu *vcpu, unsigned long val);

/**
 * vcpu_set_cr8() - MOV to CR8
 * @vcpu: the vCPU
 * @val: task priority, 0 to 15
 *
 * Return: 0, or 1 for a #GP on any other value.
 */
int vcpu_set_cr8(struct vcpu *vcpu, unsigned long val);

/**
 * vcpu_set_xcr0() - XSETBV
 * @vcpu: the vCPU
 * @index: number of the extended control register; only 0 exists
 * @val: new value
 *
 * Return: 0, or 1 for a #GP and no effect.
 */
int vcpu_set_xcr0(struct vcpu *vcpu, u32 index, u64 val);

/**
 * vcpu_get_dr() - MOV from a debug register
 * @vcpu: the vCPU
 * @dr: 0 to 7; 4 and 5 are 6 and 7
 * @val: result
 *
 * Return: 0.
 */
int vcpu_get_dr(struct vcpu *vcpu, int dr, unsigned long *val);

/**
 * vcpu_set_dr() - MOV to a debug register; the caller has dealt with CR4.DE and DR7.GD
 * @vcpu: the vCPU
 * @dr: 0 to 7; 4 and 5 are 6 and 7
 * @val: new value
 *
 * Return: 0, or 1 for a #GP on upper bits of DR6 or DR7.
 */
int vcpu_set_dr(struct vcpu *vcpu, int dr, unsigned long val);

/**
 * vcpu_set_rip() - RIP for the next entry
 * @vcpu: the vCPU
 * @rip: new value, unchecked
 */
void vcpu_set_rip(struct vcpu *vcpu, unsigned long rip);

/**
 * vcpu_set_rflags() - RFLAGS for the next entry
 * @vcpu: the vCPU
 * @rflags: new value; bits that VM entry does not allow are the caller's to remove
 */
void vcpu_set_rflags(struct vcpu *vcpu, unsigned long rflags);

/**
 * vcpu_get_segment() - a segment register with its hidden part
 * @vcpu: the vCPU
 * @seg: result, in KVM's form
 * @which: which one
 */
void vcpu_get_segment(struct vcpu *vcpu, struct kvm_segment *seg, enum vcpu_seg which);

/**
 * vcpu_set_segment() - load one, unchecked
 * @vcpu: the vCPU
 * @seg: new value; limit in bytes
 * @which: which one
 */
void vcpu_set_segment(struct vcpu *vcpu, const struct kvm_segment *seg, enum vcpu_seg which);

/**
 * vcpu_get_gdt() - GDTR
 * @vcpu: the vCPU
 * @dt: result
 */
void vcpu_get_gdt(struct vcpu *vcpu, struct kvm_dtable *dt);

/**
 * vcpu_set_gdt() - load GDTR
 * @vcpu: the vCPU
 * @dt: new value
 */
void vcpu_set_gdt(struct vcpu *vcpu, const struct kvm_dtable *dt);

/**
 * vcpu_get_idt() - IDTR
 * @vcpu: the vCPU
 * @dt: result
 */
void vcpu_get_idt(struct vcpu *vcpu, struct kvm_dtable *dt);

/**
 * vcpu_set_idt() - load IDTR
 * @vcpu: the vCPU
 * @dt: new value
 */
void vcpu_set_idt(struct vcpu *vcpu, const struct kvm_dtable *dt);

/**
 * vcpu_cpl() - current privilege level
 * @vcpu: the vCPU
 *
 * Return: 0 to 3; 0 in real mode, 3 in virtual-8086 mode.
 */
int vcpu_cpl(struct vcpu *vcpu);

/**
 * vcpu_is_64bit_code() - does the vCPU execute 64-bit code (CS.L in long mode)?
 * @vcpu: the vCPU
 *
 * Return: whether it does.
 */
bool vcpu_is_64bit_code(struct vcpu *vcpu);

/**
 * vcpu_linear_rip() - linear address of the next instruction
 * @vcpu: the vCPU
 *
 * Return: the address.
 */
unsigned long vcpu_linear_rip(struct vcpu *vcpu);

/**
 * vcpu_interrupt_shadow() - blocking by STI or MOV SS
 * @vcpu: the vCPU
 *
 * Return: KVM_X86_SHADOW_INT_* bits.
 */
u8 vcpu_interrupt_shadow(struct vcpu *vcpu);

/**
 * vcpu_set_interrupt_shadow() - set or clear that blocking
 * @vcpu: the vCPU
 * @shadow: KVM_X86_SHADOW_INT_* bits; of both, MOV SS counts
 */
void vcpu_set_interrupt_shadow(struct vcpu *vcpu, u8 shadow);

/**
 * vcpu_interrupts_allowed() - is RFLAGS.IF set, and no shadow in the way?
 * @vcpu: the vCPU
 *
 * Return: whether an interrupt could be delivered.
 */
bool vcpu_interrupts_allowed(struct vcpu *vcpu);

/**
 * vcpu_skip_instruction() - RIP past the exiting instruction; clears RF and the shadow
 * @vcpu: own thread, after an exit that gives the instruction's length
 *
 * Queues a #DB when the guest single-steps. Return: RUN_RESUME.
 */
int vcpu_skip_instruction(struct vcpu *vcpu);

/*
 * ---- State ioctls, on kernel copies: vmx/state.c, vmx/state_fpu.c ----
 *
 * All with vcpu->lock held, interrupts on; the setters of sregs also with vm->srcu.
 */

/**
 * vcpu_state_get_regs() - KVM_GET_REGS
 * @vcpu: the vCPU
 * @regs: result
 *
 * Return: 0.
 */
int vcpu_state_get_regs(struct vcpu *vcpu, struct kvm_regs *regs);

/**
 * vcpu_state_set_regs() - KVM_SET_REGS; forgets a pending exception
 * @vcpu: the vCPU
 * @regs: new values
 *
 * Return: 0.
 */
int vcpu_state_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs);

/**
 * vcpu_state_get_sregs() - KVM_GET_SREGS
 * @vcpu: the vCPU
 * @sregs: result
 *
 * Return: 0.
 */
int vcpu_state_get_sregs(struct vcpu *vcpu, struct kvm_sregs *sregs);

/**
 * vcpu_state_set_sregs() - KVM_SET_SREGS
 * @vcpu: the vCPU
 * @sregs: new values
 *
 * Return: 0, or -EINVAL with a reason for what no CPU could hold; nothing has changed then.
 */
int vcpu_state_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs);

/**
 * vcpu_state_get_sregs2() - KVM_GET_SREGS2
 * @vcpu: the vCPU
 * @sregs: result; the PDPTEs are valid with PAE paging
 *
 * Return: 0.
 */
int vcpu_state_get_sregs2(struct vcpu *vcpu, struct kvm_sregs2 *sregs);

/**
 * vcpu_state_set_sregs2() - KVM_SET_SREGS2
 * @vcpu: the vCPU
 * @sregs: new values; PDPTEs come from memory unless they are valid in it
 *
 * Return: as vcpu_state_set_sregs().
 */
int vcpu_state_set_sregs2(struct vcpu *vcpu, const struct kvm_sregs2 *sregs);

/**
 * vcpu_state_get_fpu() - KVM_GET_FPU
 * @vcpu: the vCPU
 * @fpu: result
 *
 * Return: 0.
 */
int vcpu_state_get_fpu(struct vcpu *vcpu, struct kvm_fpu *fpu);

/**
 * vcpu_state_set_fpu() - KVM_SET_FPU
 * @vcpu: the vCPU
 * @fpu: new values; MXCSR is not taken
 *
 * Return: 0.
 */
int vcpu_state_set_fpu(struct vcpu *vcpu, const struct kvm_fpu *fpu);

/**
 * vcpu_state_get_xsave() - KVM_GET_XSAVE and KVM_GET_XSAVE2
 * @vcpu: the vCPU
 * @buf: result, in the standard format of XSAVE
 * @size: bytes in @buf: 4096, or vcpu_state_xsave_size()
 *
 * Return: 0.
 */
int vcpu_state_get_xsave(struct vcpu *vcpu, void *buf, u32 size);

/**
 * vcpu_state_set_xsave() - KVM_SET_XSAVE
 * @vcpu: the vCPU
 * @buf: new state, in the standard format of XSAVE
 * @size: bytes in @buf, vcpu_state_xsave_size() at least
 *
 * Return: 0, or -EINVAL with a reason.
 */
int vcpu_state_set_xsave(struct vcpu *vcpu, const void *buf, u32 size);

/**
 * vcpu_state_xsave_size() - KVM_CAP_XSAVE2
 * @vm: any VM
 *
 * Return: bytes of an XSAVE area, 4096 at least.
 */
u32 vcpu_state_xsave_size(struct vm *vm);

/**
 * vcpu_state_get_xcrs() - KVM_GET_XCRS
 * @vcpu: the vCPU
 * @xcrs: result: XCR0, or none without XSAVE
 *
 * Return: 0.
 */
int vcpu_state_get_xcrs(struct vcpu *vcpu, struct kvm_xcrs *xcrs);

/**
 * vcpu_state_set_xcrs() - KVM_SET_XCRS; takes XCR0 only
 * @vcpu: the vCPU
 * @xcrs: new values
 *
 * Return: 0, or -EINVAL with a reason.
 */
int vcpu_state_set_xcrs(struct vcpu *vcpu, const struct kvm_xcrs *xcrs);

/**
 * vcpu_state_get_debugregs() - KVM_GET_DEBUGREGS
 * @vcpu: the vCPU
 * @dbg: result
 *
 * Return: 0.
 */
int vcpu_state_get_debugregs(struct vcpu *vcpu, struct kvm_debugregs *dbg);

/**
 * vcpu_state_set_debugregs() - KVM_SET_DEBUGREGS
 * @vcpu: the vCPU
 * @dbg: new values
 *
 * Return: 0, or -EINVAL with a reason.
 */
int vcpu_state_set_debugregs(struct vcpu *vcpu, const struct kvm_debugregs *dbg);

/**
 * vcpu_state_set_guest_debug() - KVM_SET_GUEST_DEBUG
 * @vcpu: the vCPU
 * @dbg: what user space wants to see
 *
 * Return: 0, or -EBUSY with a reason when an exception is pending already.
 */
int vcpu_state_set_guest_debug(struct vcpu *vcpu, const struct kvm_guest_debug *dbg);

/**
 * vcpu_state_get_events() - KVM_GET_VCPU_EVENTS
 * @vcpu: the vCPU
 * @ev: result
 *
 * Return: 0.
 */
int vcpu_state_get_events(struct vcpu *vcpu, struct kvm_vcpu_events *ev);

/**
 * vcpu_state_set_events() - KVM_SET_VCPU_EVENTS
 * @vcpu: the vCPU
 * @ev: new values, taken as far as ev->flags says
 *
 * Return: 0, or -EINVAL with a reason.
 */
int vcpu_state_set_events(struct vcpu *vcpu, const struct kvm_vcpu_events *ev);

/**
 * vcpu_state_get_mp() - KVM_GET_MP_STATE
 * @vcpu: the vCPU
 * @mp: result
 *
 * Return: 0.
 */
int vcpu_state_get_mp(struct vcpu *vcpu, struct kvm_mp_state *mp);

/**
 * vcpu_state_set_mp() - KVM_SET_MP_STATE
 * @vcpu: the vCPU
 * @mp: new state
 *
 * Return: 0, or -EINVAL with a reason.
 */
int vcpu_state_set_mp(struct vcpu *vcpu, const struct kvm_mp_state *mp);

/* ---- MSRs: vmx/msr.c ---- */

/**
 * struct msr_access - one read or write of an MSR
 * @index: ECX of RDMSR and WRMSR
 * @data: the value
 * @host: user space's KVM_GET/SET_MSRS rather than the guest's RDMSR/WRMSR
 */
struct msr_access {
	u32 index;
	u64 data;
	bool host;
};

/* Why an access was refused: no such value or right, no such MSR, not by the VM's filter. */
enum msr_refusal { MSR_REFUSED = 1, MSR_UNKNOWN, MSR_FILTERED };

/**
 * vcpu_msr_get() - read an MSR
 * @vcpu: own thread or vcpu->lock held; interrupts on, or the window of vmx/run.c open
 * @msr: @index and @host are given, @data is the result
 *
 * Return: 0, MSR_REFUSED or MSR_UNKNOWN (#GP for the guest, end of the list for user space).
 */
int vcpu_msr_get(struct vcpu *vcpu, struct msr_access *msr);

/**
 * vcpu_msr_set() - write an MSR
 * @vcpu: as for vcpu_msr_get()
 * @msr: what to write
 *
 * Return: 0, or MSR_REFUSED or MSR_UNKNOWN and no effect.
 */
int vcpu_msr_set(struct vcpu *vcpu, const struct msr_access *msr);

/**
 * msr_list() - KVM_GET_MSR_INDEX_LIST
 * @indices: result
 * @nr: room in @indices; becomes the number there are
 *
 * Return: 0 or -E2BIG.
 */
int msr_list(u32 *indices, u32 *nr);

/**
 * msr_feature_list() - KVM_GET_MSR_FEATURE_INDEX_LIST
 * @indices: result
 * @nr: room in @indices; becomes the number there are
 *
 * Return: 0 or -E2BIG.
 */
int msr_feature_list(u32 *indices, u32 *nr);

/**
 * msr_feature_get() - KVM_GET_MSRS on the device
 * @index: of a feature MSR
 * @data: result
 *
 * Return: 0, or 1 for unknown.
 */
int msr_feature_get(u32 index, u64 *data);

/* ---- CPUID: vmx/cpuid.c ---- */

/**
 * cpuid_supported() - KVM_GET_SUPPORTED_CPUID
 * @entries: result
 * @nr: room in @entries; becomes the number there are
 *
 * Return: 0 or -E2BIG.
 */
int cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 *nr);

/**
 * cpuid_emulated() - KVM_GET_EMULATED_CPUID
 * @entries: result
 * @nr: room in @entries; becomes the number there are
 *
 * Return: 0 or -E2BIG.
 */
int cpuid_emulated(struct kvm_cpuid_entry2 *entries, u32 *nr);

/**
 * cpuid_set() - KVM_SET_CPUID2: give a vCPU its CPUID and derive what depends on it
 * @vcpu: vcpu->lock held, interrupts on
 * @entries: kvmalloc'ed; taken over on success, the caller's on failure; NULL when @nr is 0
 * @nr: number of entries
 *
 * Return: 0, -E2BIG, or -EINVAL for what this machine cannot do or for a change after KVM_RUN; with
 * a reason.
 */
int cpuid_set(struct vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 nr);

/**
 * cpuid_lookup() - what CPUID gives the guest, with the limits of "CPUID - CPU Identification"
 * @vcpu: own thread or vcpu->lock held; any context
 * @eax: leaf; result
 * @ebx: result
 * @ecx: subleaf; result
 * @edx: result
 */
void cpuid_lookup(struct vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);

/**
 * cpuid_find() - the entry of a leaf as user space set it
 * @vcpu: own thread or vcpu->lock held; any context
 * @function: leaf
 * @index: subleaf, where the leaf has any
 *
 * Return: the entry or NULL; valid until the next cpuid_set().
 */
const struct kvm_cpuid_entry2 *cpuid_find(struct vcpu *vcpu, u32 function, u32 index);

/* Guest CPUID bits the module itself asks about; cpuid_set() keeps them in vcpu->guest_features. */
enum guest_feature {
	GF_XSAVE, GF_X2APIC, GF_TSC_DEADLINE, GF_PCID, GF_SMEP, GF_SMAP, GF_FSGSBASE, GF_UMIP,
	GF_LA57, GF_PKU, GF_NX, GF_LM, GF_SYSCALL, GF_FXSR_OPT, GF_RDTSCP, GF_RDPID, GF_GBPAGES,
	GF_XSAVES, GF_MWAIT, GF_SPEC_CTRL, GF_STIBP, GF_SSBD, GF_PRED_CMD, GF_FLUSH_L1D,
	GF_ARCH_CAP, GF_TSC_ADJUST, GF_MCE, GF_MCA, GF_MTRR, GF_PAT, GF_DE, GF_VME, GF_PSE, GF_PGE,
	GF_PAE, GF_PSE36, GF_TSC, GF_INVPCID, GF_RTM, GF_CX16, GF_MOVBE,
	NR_GUEST_FEATURES
};

/*
 * ---- Events: vmx/inject.c ----
 *
 * On the vCPU's own thread or with vcpu->lock held. What is queued meets what is pending by the
 * rules of "Interrupt 8 - Double Fault Exception (#DF)".
 */

/**
 * vcpu_queue_exception() - an exception without error code
 * @vcpu: the vCPU
 * @vector: enum x86_vector
 */
void vcpu_queue_exception(struct vcpu *vcpu, u8 vector);

/**
 * vcpu_queue_exception_error() - an exception with error code
 * @vcpu: the vCPU
 * @vector: enum x86_vector
 * @error: the error code
 */
void vcpu_queue_exception_error(struct vcpu *vcpu, u8 vector, u32 error);

/**
 * vcpu_queue_guest_exception() - an exception as mmu/ and emulate/ describe it
 * @vcpu: the vCPU
 * @ex: the exception; @ex->cr2 holds DR6's bits for a #DB
 */
void vcpu_queue_guest_exception(struct vcpu *vcpu, const struct guest_exception *ex);

/**
 * vcpu_queue_user_irq() - KVM_INTERRUPT without an in-kernel APIC
 * @vcpu: vcpu->lock held
 * @vector: 0 to 255
 *
 * Return: 0, -EINVAL on another vector, -ENXIO with in-kernel chips, -EEXIST when one is queued.
 */
int vcpu_queue_user_irq(struct vcpu *vcpu, u32 vector);

/* ---- System-management mode: vmx/smm.c ---- */

/**
 * vcpu_smi() - KVM_SMI, or an SMI by interrupt message
 * @vcpu: any vCPU; any context
 */
void vcpu_smi(struct vcpu *vcpu);

/**
 * vcpu_set_smm() - be in SMM or not, without any other change
 * @vcpu: own thread or vcpu->lock held
 * @smm: which
 */
void vcpu_set_smm(struct vcpu *vcpu, bool smm);

/* ---- Time: vmx/tsc.c; vcpu->tsc_khz is the guest's frequency ---- */

/**
 * vcpu_read_tsc() - the guest's TSC now
 * @vcpu: any vCPU; any context
 *
 * Return: guest cycles.
 */
u64 vcpu_read_tsc(struct vcpu *vcpu);

/**
 * vcpu_tsc_at() - the guest's TSC at a moment of the host's
 * @vcpu: any vCPU; any context
 * @host_tsc: host cycles
 *
 * Return: guest cycles.
 */
u64 vcpu_tsc_at(struct vcpu *vcpu, u64 host_tsc);

/**
 * vcpu_set_tsc_khz() - KVM_SET_TSC_KHZ
 * @vcpu: vcpu->lock held, or its creator
 * @khz: kHz; 0 means the host's; within 250 ppm of the host's it is not scaled
 *
 * Return: 0, or -EINVAL with a reason when the CPU cannot.
 */
int vcpu_set_tsc_khz(struct vcpu *vcpu, u32 khz);

/**
 * vcpu_write_tsc() - write IA32_TIME_STAMP_COUNTER
 * @vcpu: own thread or vcpu->lock held; any context
 * @value: guest cycles
 * @host: user space writes: values near those of its siblings make them equal
 */
void vcpu_write_tsc(struct vcpu *vcpu, u64 value, bool host);

/**
 * vcpu_set_tsc_offset() - the attribute KVM_VCPU_TSC_OFFSET
 * @vcpu: vcpu->lock held
 * @offset: guest cycles beyond the host's scaled ones
 */
void vcpu_set_tsc_offset(struct vcpu *vcpu, u64 offset);

/**
 * vcpu_tsc_load() - the thread comes to a CPU: the guest's TSC goes on from where it was
 * @vcpu: own thread, preemption off
 * @moved: it is not the CPU it was on
 */
void vcpu_tsc_load(struct vcpu *vcpu, bool moved);

/**
 * vcpu_tsc_put() - the thread leaves its CPU
 * @vcpu: own thread, preemption off
 */
void vcpu_tsc_put(struct vcpu *vcpu);

/* ---- Emulation glue: vmx/emulate_vcpu.c, vmx/pio.c ---- */

/**
 * vcpu_emulate() - run the current instruction in the emulator
 * @vcpu: own thread, interrupts on, vm->srcu held; may sleep
 * @gpa: guest physical address the exit gave for the memory operand, or INVALID_GPA
 * @gla: its linear address (valid when @gpa is)
 *
 * Return: RUN_RESUME, RUN_TO_USER (MMIO or port exit, completed by vcpu->complete_io at the next
 * KVM_RUN), or -errno.
 */
int vcpu_emulate(struct vcpu *vcpu, gpa_t gpa, gva_t gla);

/**
 * vcpu_task_switch() - switch tasks in the CPU's place, "Task Switching"
 * @vcpu: own thread, interrupts on, vm->srcu held; may sleep
 * @selector: of the new TSS
 * @idt_index: vector of the IDT entry that asked for it, -1 for another origin
 * @reason: the exit's source of task switch
 * @has_error: an error code is pushed on the new stack
 * @error: the error code
 *
 * Return: as vcpu_emulate().
 */
int vcpu_task_switch(struct vcpu *vcpu, u16 selector, int idt_index, int reason, bool has_error,
		     u32 error);

/**
 * vcpu_pio() - one IN or OUT of the register form; tries the in-kernel bus first
 * @vcpu: own thread, after its exit
 * @port: port number
 * @size: 1, 2 or 4 bytes
 * @in: IN rather than OUT
 *
 * Return: RUN_RESUME or RUN_TO_USER, as vcpu_emulate().
 */
int vcpu_pio(struct vcpu *vcpu, u16 port, unsigned int size, bool in);

#endif
