/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What vmx/ offers to the rest: hardware features, life of a vCPU's hardware state, running, and architectural state.
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
 * Filled before the device node appears, constant afterwards.
 */
struct hw_features {
	bool ept, ept_ad, ept_exec_only, ept_2m, ept_1g, ept_5level;
	bool vpid, unrestricted_guest, flexpriority, apicv, preemption_timer, pml, tsc_scaling, tpr_shadow;
	bool invpcid, rdtscp, xsaves, umwait, ple, mode_based_exec;
	u8 maxphyaddr;		/* host's */
	u64 xcr0;		/* XCR0 bits a guest may set; 0 without XSAVE */
	u64 xss;		/* IA32_XSS bits a guest may set */
	u32 tsc_khz;		/* host's */
	u8 tsc_frac_bits;
	u64 tsc_max_ratio;
};
extern struct hw_features hw;

/* ---- Module and VM life ---- */
int vmx_module_init(void);
void vmx_module_exit(void);
/** vmx_enable() - the first VM turns VMX on (or borrows it); the last one turns it off. 0 or -EBUSY, -EIO. May sleep. */
int vmx_enable(struct vm *vm);
void vmx_disable(struct vm *vm);
int vmx_vm_init(struct vm *vm);
void vmx_vm_destroy(struct vm *vm);

/* ---- vCPU life ---- */
/** vcpu_hw_alloc() - a zeroed vCPU with its hardware state (VMCS, guest FPU, MSR bitmap); freed by vcpu_hw_free(). */
struct vcpu *vcpu_hw_alloc(struct vm *vm);
void vcpu_hw_free(struct vcpu *vcpu);
/** vcpu_hw_reset() - architectural RESET state, or INIT state. vcpu->lock held. */
void vcpu_hw_reset(struct vcpu *vcpu, bool init_event);
/** vcpu_hw_sched_out() - the thread leaves the CPU while inside KVM_RUN (preempt notifier): give back host state. */
void vcpu_hw_sched_out(struct vcpu *vcpu);
void vcpu_hw_sched_in(struct vcpu *vcpu);
/** vcpu_hw_run_begin() and _end() - around the loop of one KVM_RUN: guest FPU in and out, host state back. */
void vcpu_hw_run_begin(struct vcpu *vcpu);
void vcpu_hw_run_end(struct vcpu *vcpu);
/**
 * vcpu_hw_run() - enter the guest once (fast exits stay inside) and handle the exit
 * Return: RUN_RESUME, RUN_TO_USER with vcpu->run filled, or -errno. Thread context, IRQs on, vm->srcu held by the caller.
 */
int vcpu_hw_run(struct vcpu *vcpu);
/** vcpu_hw_runnable() - has something to do other than wait in HLT or for SIPI (events, requests). */
bool vcpu_hw_has_event(struct vcpu *vcpu);

/* ---- Registers: vmx/regs.c. All return current architectural values; vcpu->lock held ---- */
unsigned long vcpu_cr0(struct vcpu *vcpu);
unsigned long vcpu_cr3(struct vcpu *vcpu);
unsigned long vcpu_cr4(struct vcpu *vcpu);
unsigned long vcpu_cr8(struct vcpu *vcpu);
/* Guest-side writes with all architectural checks: 0, or 1 for #GP. */
int vcpu_set_cr0(struct vcpu *vcpu, unsigned long val);
int vcpu_set_cr3(struct vcpu *vcpu, unsigned long val);
int vcpu_set_cr4(struct vcpu *vcpu, unsigned long val);
int vcpu_set_cr8(struct vcpu *vcpu, unsigned long val);
int vcpu_set_xcr0(struct vcpu *vcpu, u32 index, u64 val);
int vcpu_get_dr(struct vcpu *vcpu, int dr, unsigned long *val);
int vcpu_set_dr(struct vcpu *vcpu, int dr, unsigned long val);
void vcpu_set_rip(struct vcpu *vcpu, unsigned long rip);
void vcpu_set_rflags(struct vcpu *vcpu, unsigned long rflags);
void vcpu_get_segment(struct vcpu *vcpu, struct kvm_segment *seg, enum vcpu_seg which);
void vcpu_set_segment(struct vcpu *vcpu, const struct kvm_segment *seg, enum vcpu_seg which);
unsigned long vcpu_seg_base(struct vcpu *vcpu, enum vcpu_seg which);
void vcpu_get_gdt(struct vcpu *vcpu, struct kvm_dtable *dt);
void vcpu_set_gdt(struct vcpu *vcpu, const struct kvm_dtable *dt);
void vcpu_get_idt(struct vcpu *vcpu, struct kvm_dtable *dt);
void vcpu_set_idt(struct vcpu *vcpu, const struct kvm_dtable *dt);
int vcpu_cpl(struct vcpu *vcpu);
/** vcpu_is_64bit_code() - CS.L in long mode. */
bool vcpu_is_64bit_code(struct vcpu *vcpu);
/** vcpu_interrupt_shadow() - STI or MOV SS blocking (KVM_X86_SHADOW_INT_*). */
u8 vcpu_interrupt_shadow(struct vcpu *vcpu);
void vcpu_set_interrupt_shadow(struct vcpu *vcpu, u8 shadow);
bool vcpu_interrupts_allowed(struct vcpu *vcpu);	/* RFLAGS.IF and no shadow, nothing being injected */
/** vcpu_skip_instruction() - RIP past the exiting instruction; clears RF and the shadow; raises a single-step #DB. */
int vcpu_skip_instruction(struct vcpu *vcpu);

/* ---- State ioctls, on kernel copies: vmx/state.c. 0 or -errno with a reason ---- */
int vcpu_state_get_regs(struct vcpu *vcpu, struct kvm_regs *regs);
int vcpu_state_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs);
int vcpu_state_get_sregs(struct vcpu *vcpu, struct kvm_sregs *sregs);
int vcpu_state_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs);
int vcpu_state_get_fpu(struct vcpu *vcpu, struct kvm_fpu *fpu);
int vcpu_state_set_fpu(struct vcpu *vcpu, const struct kvm_fpu *fpu);
int vcpu_state_get_xsave(struct vcpu *vcpu, void *buf, u32 size);	/* 4096, or KVM_CAP_XSAVE2's size */
int vcpu_state_set_xsave(struct vcpu *vcpu, const void *buf, u32 size);
int vcpu_state_get_xcrs(struct vcpu *vcpu, struct kvm_xcrs *xcrs);
int vcpu_state_set_xcrs(struct vcpu *vcpu, const struct kvm_xcrs *xcrs);
int vcpu_state_get_debugregs(struct vcpu *vcpu, struct kvm_debugregs *dbg);
int vcpu_state_set_debugregs(struct vcpu *vcpu, const struct kvm_debugregs *dbg);
int vcpu_state_get_events(struct vcpu *vcpu, struct kvm_vcpu_events *ev);
int vcpu_state_set_events(struct vcpu *vcpu, const struct kvm_vcpu_events *ev);
int vcpu_state_get_mp(struct vcpu *vcpu, struct kvm_mp_state *mp);
int vcpu_state_set_mp(struct vcpu *vcpu, const struct kvm_mp_state *mp);
u32 vcpu_state_xsave_size(struct vm *vm);

/* ---- MSRs: vmx/msr.c ---- */
struct msr_access {
	u32 index;
	u64 data;
	bool host;	/* user space's KVM_GET/SET_MSRS rather than the guest's RDMSR/WRMSR */
};
/** vcpu_msr_get() and _set() - 0, or 1 for refused (#GP for the guest, end of the list for user space). */
int vcpu_msr_get(struct vcpu *vcpu, struct msr_access *msr);
int vcpu_msr_set(struct vcpu *vcpu, const struct msr_access *msr);
/** msr_list() - fills up to *@nr indices, sets *@nr to the number there are; 0 or -E2BIG. */
int msr_list(u32 *indices, u32 *nr);
int msr_feature_list(u32 *indices, u32 *nr);
/** msr_feature_get() - system-scope KVM_GET_MSRS: 0, or 1 for unknown. */
int msr_feature_get(u32 index, u64 *data);

/* ---- CPUID: vmx/cpuid.c ---- */
/** cpuid_supported() - fills up to *@nr entries, sets *@nr; 0 or -E2BIG. */
int cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 *nr);
int cpuid_emulated(struct kvm_cpuid_entry2 *entries, u32 *nr);
/** cpuid_set() - takes over @entries (kvmalloc'ed, may be NULL when nr is 0) and derives what depends on them; 0 or -EINVAL. */
int cpuid_set(struct vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 nr);
/** cpuid_lookup() - the guest's CPUID with the limits of "CPUID - CPU Identification"; no lock; any context. */
void cpuid_lookup(struct vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
/** cpuid_find() - the entry for a leaf as set by user space, or NULL. */
const struct kvm_cpuid_entry2 *cpuid_find(struct vcpu *vcpu, u32 function, u32 index);

/* Guest CPUID bits the module itself asks about, cached by cpuid_set() in vcpu->guest_cpuid. */
enum guest_feature {
	GF_XSAVE, GF_X2APIC, GF_TSC_DEADLINE, GF_PCID, GF_SMEP, GF_SMAP, GF_FSGSBASE, GF_UMIP, GF_LA57, GF_PKU,
	GF_NX, GF_LM, GF_SYSCALL, GF_FXSR_OPT, GF_RDTSCP, GF_RDPID, GF_GBPAGES, GF_XSAVES, GF_MWAIT, GF_VMX, GF_SPEC_CTRL,
	GF_STIBP, GF_SSBD, GF_PRED_CMD, GF_FLUSH_L1D, GF_ARCH_CAP, GF_TSC_ADJUST, GF_MCE, GF_MCA, GF_MTRR, GF_PAT, GF_DE, GF_VME, GF_PSE, GF_PGE, GF_PAE,
	GF_PSE36, GF_TSC, GF_INVPCID, GF_CET, GF_PKS, GF_KVM, GF_RTM, GF_PERFMON, GF_CX16, GF_MOVBE, GF_XFD,
	NR_GUEST_FEATURES
};
static inline bool guest_has(const struct vcpu *vcpu, enum guest_feature f);

/* ---- Events: vmx/inject.c ---- */
void vcpu_queue_exception(struct vcpu *vcpu, u8 vector);
void vcpu_queue_exception_error(struct vcpu *vcpu, u8 vector, u32 error);
void vcpu_queue_guest_exception(struct vcpu *vcpu, const struct guest_exception *ex);
/** vcpu_queue_user_irq() - KVM_INTERRUPT without an in-kernel APIC: 0, -EINVAL, -ENXIO, -EEXIST. */
int vcpu_queue_user_irq(struct vcpu *vcpu, u32 vector);

/* ---- Time: vmx/tsc.c ---- */
u64 vcpu_read_tsc(struct vcpu *vcpu);			/* the guest's TSC now; any context */
u64 vcpu_tsc_at(struct vcpu *vcpu, u64 host_tsc);
int vcpu_set_tsc_khz(struct vcpu *vcpu, u32 khz);	/* 0 or -EINVAL */
void vcpu_write_tsc(struct vcpu *vcpu, u64 value, bool host);
/* vcpu->tsc_khz is the guest's frequency */

/* ---- Emulation glue: vmx/emulate_vcpu.c ---- */
/**
 * vcpu_emulate() - run the current instruction in the emulator
 * @vcpu: own thread, IRQs on
 * @gpa: guest physical address the exit gave for the memory operand, or INVALID_GPA
 * @gla: its linear address (valid when @gpa is)
 * Return: RUN_RESUME, RUN_TO_USER (MMIO or port exit, completed by vcpu->complete_io at the next KVM_RUN), or -errno
 */
int vcpu_emulate(struct vcpu *vcpu, gpa_t gpa, gva_t gla);
int vcpu_task_switch(struct vcpu *vcpu, u16 selector, int idt_index, int reason, bool has_error, u32 error);
/** vcpu_pio() - one IN or OUT of the register form; tries the in-kernel bus first. Same results as vcpu_emulate(). */
int vcpu_pio(struct vcpu *vcpu, u16 port, unsigned int size, bool in);
/** vcpu_internal_error() - KVM_EXIT_INTERNAL_ERROR with instruction bytes. Returns RUN_TO_USER. */
int vcpu_internal_error_emulation(struct vcpu *vcpu);

#endif
