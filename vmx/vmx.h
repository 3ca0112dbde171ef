/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of vmx/ share: struct vcpu_vmx, the VMCS and who holds it, capabilities, exit
 * handling.
 * This header must not be included from outside vmx/.
 */
#ifndef KVMLET_VMX_VMX_H
#define KVMLET_VMX_VMX_H

#include <linux/preempt.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>

#include "host.h"
#include "requests.h"
#include "vm.h"
#include "vmcs_fields.h"
#include "vmx_insn.h"

/* ---- Capabilities and controls (caps.c) ---- */

/**
 * struct vmx_caps - what the CPU offers, read once; and the controls this module uses on it
 * @revision: VMCS revision identifier
 * @vmcs_size: bytes of a VMCS region, a page at most
 * @pin: pin-based controls of a new vCPU, required plus available optional bits
 * @cpu: the same for primary processor-based controls
 * @cpu2: the same for secondary ones
 * @exit: the same for VM-exit controls
 * @entry: the same for VM-entry controls
 * @ept_vpid: IA32_VMX_EPT_VPID_CAP
 * @cr0_fixed0: bits of CR0 that must be 1
 * @cr0_fixed1: bits of CR0 that may be 1
 * @cr4_fixed0: bits of CR4 that must be 1
 * @cr4_fixed1: bits of CR4 that may be 1
 */
struct vmx_caps {
	u32 revision;
	u32 vmcs_size;
	u32 pin, cpu, cpu2, exit, entry;
	u64 ept_vpid;
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
};

extern struct vmx_caps vmx_caps;

/*
 * vmx_caps_init() - read the capability MSRs, apply parameters, fill hw. 0, or -EOPNOTSUPP (no VMX,
 * locked off, a control lacks).
 */
int vmx_caps_init(void);

#define vmx_cr0_fixed0	(vmx_caps.cr0_fixed0)
#define vmx_cr0_fixed1	(vmx_caps.cr0_fixed1)
#define vmx_cr4_fixed0	(vmx_caps.cr4_fixed0)
#define vmx_cr4_fixed1	(vmx_caps.cr4_fixed1)

/* ---- The VMCS (vmcs.c) ---- */

/**
 * struct vmcs_region - a VMCS and where it is
 * @pa: physical address, of a page of its own
 * @va: kernel address
 * @cpu: CPU on which it is active, -1 when clear
 * @link: in the list of VMCSs active on @cpu; touched on @cpu with interrupts off only
 */
struct vmcs_region {
	u64 pa;
	void *va;
	int cpu;
	struct list_head link;
};

/* Exit information, read in the window; valid until the next entry. */
struct vmx_exit_info {
	u32 reason;		/* full field, with the flags */
	u32 insn_len;
	unsigned long qual;
	u64 gpa;		/* EPT violation and misconfiguration */
	gva_t gla;		/* linear address, when the qualification says it is valid */
	u32 intr_info, intr_error;
	u32 idt_info, idt_error, idt_insn_len;
};

/*
 * MSRs without a VMCS field that the guest sees while its thread is in KVM_RUN: restored on return
 * to user space.
 */
enum switched_msr { SW_STAR, SW_LSTAR, SW_CSTAR, SW_FMASK, SW_TSC_AUX, NR_SWITCHED_MSRS };

/* What vmenter.S reads and writes besides the registers. */
struct vmx_enter {
	u64 flags;		/* VMX_ENTER_* */
	u64 spec_guest;		/* guest's IA32_SPEC_CTRL */
	u64 spec_host;		/* host's, refreshed before each entry */
	u64 host_rsp;		/* HOST_RSP as the VMCS has it */
	u16 verw_sel;		/* a writable data segment for VERW */
};

enum vmx_entered { ENTERED_NOTHING, ENTERED_EXCEPTION, ENTERED_NMI, ENTERED_INTERRUPT };

struct vcpu_vmx {
	struct vcpu vcpu;

	struct vmcs_region vmcs;
	unsigned int held;		/* nesting of vmcs_get() */
	unsigned long held_flags;	/* saved RFLAGS of the outermost one, when borrowing */
	u64 foreign;			/* VMCS that was current before it, when borrowing */
	/* Guests of the VMX owner: see displace_foreign(). */
	bool thread_was_away, beside_foreign, foreign_may_have_run;

	u16 vpid;			/* 0 = none */
	u32 pin, cpu, cpu2, exit, entry;	/* as written to the VMCS */
	u32 exceptions;			/* exception bitmap, as written */
	u32 interruptibility;		/* read at each slow exit */
	bool intr_dirty;		/* @interruptibility is newer than the VMCS */
	unsigned long cr0_owned, cr4_owned;	/* bits the guest may change without an exit */

	u8 entered;			/* enum vmx_entered: what the last entry injected */
	u32 event_type, event_len;	/* of an event to be injected again: type, insn length */
	u32 tpr_threshold;		/* as in the VMCS */

	u8 bp_len;			/* of the INT3 that user space was told of */
	bool skip_pending;		/* a fast exit is done but for moving RIP */
	/* Without unrestricted guest: VM entry refuses the state; found before it changed. */
	bool refused, state_changed;
	/* The same, with EPT: the CPU pages by the map of each address to itself. */
	bool identity_map;
	/* The same: the last exit came from virtual-8086 mode; the next instruction is emulated. */
	bool was_vm86, emulate_next;

	struct vmx_exit_info info;

	/* Host values in the VMCS */
	unsigned long host_cr3, host_cr4;
	struct vmx_enter enter;
	bool host_loaded;		/* FS, GS, KERNEL_GS_BASE hold guest values; see switch.c */
	u16 host_fs_sel, host_gs_sel, host_ldt_sel, host_ds_sel, host_es_sel;
	unsigned long vmcs_fs_base;
	u16 vmcs_fs_sel;
	u64 host_kernel_gs_base;
	u64 host_debugctl, host_pebs;	/* of this stay in the guest */
	u32 host_pkru;			/* the same */

	u64 kernel_gs_base;
	u64 switched[NR_SWITCHED_MSRS];
	/* While VMX is borrowed and we are loaded: what was there before, and of which. */
	u64 owners[NR_SWITCHED_MSRS];
	u8 over_owner;

	unsigned long *msr_bitmap;	/* one page */
	u64 *pml;			/* the same; NULL without hw.pml */
	struct vmx_efer_areas *efer_areas;	/* NULL where VM entry loads IA32_EFER by itself */
	struct fpu_guest guest_fpu;
	bool l1d_flush;			/* the host may have left secrets in L1D */
	bool ready;			/* the VMCS has its constant fields */
	bool has_fpu;
	bool tlb_flush;			/* flush before the next entry */
	unsigned long rcu_noted;	/* jiffy in which RCU was last told of guest mode */
	int last_cpu;			/* CPU whose per-CPU host state is in the VMCS */
};

static __always_inline struct vcpu_vmx *to_vmx(struct vcpu *vcpu)
{
	return container_of(vcpu, struct vcpu_vmx, vcpu);
}

/**
 * vmcs_get() - make a vCPU's VMCS current on this CPU until vmcs_put()
 * @vmx: the vCPU; caller holds vcpu->lock (or is its creator)
 *
 * Nests. Between the two nothing may sleep: preemption is off, and when VMX is borrowed interrupts
 * are off as well, because the VMX owner's VMCS is displaced and its interprocessor calls must not
 * find ours.
 * Needs interrupts on at the outermost level: a VMCS active on another CPU is cleared there by IPI.
 */
void vmcs_get(struct vcpu_vmx *vmx);
void vmcs_put(struct vcpu_vmx *vmx);

/*
 * vmcs_window_open() - as vmcs_get() with preemption and interrupts already off; false when an IPI
 * is needed first, or when the CPU refuses the VMCS and the VM is dead.
 */
bool vmcs_window_open(struct vcpu_vmx *vmx);
void vmcs_window_close(struct vcpu_vmx *vmx);
/*
 * vmcs_thread_left() - the vCPU's thread leaves its CPU, or KVM_RUN: the VMX owner's guests may run
 * there next. Preemption off.
 */
void vmcs_thread_left(struct vcpu_vmx *vmx);
/* vmcs_fetch() - bring the VMCS to this CPU: clears it elsewhere. Preemption off, interrupts on. */
void vmcs_fetch(struct vcpu_vmx *vmx);

int vmcs_alloc(struct vmcs_region *r);
void vmcs_free(struct vmcs_region *r);
/*
 * vmcs_clear_cpu() - VMCLEAR all VMCSs active on this CPU. Interrupts off (CPU going down, VMX
 * going off, crash).
 */
void vmcs_clear_cpu(void);
int vmcs_module_init(void);
void vmcs_module_exit(void);

/* vmcs_setup() - write all constant fields of a new VMCS; between vmcs_get() and vmcs_put(). */
void vmcs_setup(struct vcpu_vmx *vmx);

/*
 * vmx_efer_alloc(), vmx_efer_setup() - what switching IA32_EFER needs (efer.c); the second as
 * vmcs_setup().
 */
int vmx_efer_alloc(struct vcpu_vmx *vmx);
void vmx_efer_setup(struct vcpu_vmx *vmx);

/* Toggle controls; the cached value saves needless VMWRITEs. Window open. */
static __always_inline void vmx_control_write(enum vmcs_field field, u32 *cached, u32 val)
{
	if (*cached != val) {
		vmcs_write32(field, val);
		*cached = val;
	}
}

static __always_inline void vmx_control_set(enum vmcs_field field, u32 *cached, u32 bits)
{
	vmx_control_write(field, cached, *cached | bits);
}

static __always_inline void vmx_control_clear(enum vmcs_field field, u32 *cached, u32 bits)
{
	vmx_control_write(field, cached, *cached & ~bits);
}

#define vmx_pin_write(vmx, val)		vmx_control_write(VMCS_PIN_CONTROLS, &(vmx)->pin, val)
#define vmx_pin_set(vmx, bits)		vmx_control_set(VMCS_PIN_CONTROLS, &(vmx)->pin, bits)
#define vmx_pin_clear(vmx, bits)	vmx_control_clear(VMCS_PIN_CONTROLS, &(vmx)->pin, bits)
#define vmx_cpu_write(vmx, val)		vmx_control_write(VMCS_CPU_CONTROLS, &(vmx)->cpu, val)
#define vmx_cpu_set(vmx, bits)		vmx_control_set(VMCS_CPU_CONTROLS, &(vmx)->cpu, bits)
#define vmx_cpu_clear(vmx, bits)	vmx_control_clear(VMCS_CPU_CONTROLS, &(vmx)->cpu, bits)
#define vmx_cpu2_write(vmx, val)	vmx_control_write(VMCS_CPU_CONTROLS2, &(vmx)->cpu2, val)
#define vmx_cpu2_set(vmx, bits)		vmx_control_set(VMCS_CPU_CONTROLS2, &(vmx)->cpu2, bits)
#define vmx_cpu2_clear(vmx, bits)	vmx_control_clear(VMCS_CPU_CONTROLS2, &(vmx)->cpu2, bits)
#define vmx_exit_write(vmx, val)	vmx_control_write(VMCS_EXIT_CONTROLS, &(vmx)->exit, val)
#define vmx_exit_set(vmx, bits)		vmx_control_set(VMCS_EXIT_CONTROLS, &(vmx)->exit, bits)
#define vmx_exit_clear(vmx, bits)	vmx_control_clear(VMCS_EXIT_CONTROLS, &(vmx)->exit, bits)
#define vmx_entry_write(vmx, val)	vmx_control_write(VMCS_ENTRY_CONTROLS, &(vmx)->entry, val)
#define vmx_entry_set(vmx, bits)	vmx_control_set(VMCS_ENTRY_CONTROLS, &(vmx)->entry, bits)
#define vmx_entry_clear(vmx, bits)	vmx_control_clear(VMCS_ENTRY_CONTROLS, &(vmx)->entry, bits)
#define vmx_exceptions_write(vmx, val)	\
	vmx_control_write(VMCS_EXCEPTION_BITMAP, &(vmx)->exceptions, val)
#define vmx_exceptions_set(vmx, bits)	\
	vmx_control_set(VMCS_EXCEPTION_BITMAP, &(vmx)->exceptions, bits)
#define vmx_exceptions_clear(vmx, bits)	\
	vmx_control_clear(VMCS_EXCEPTION_BITMAP, &(vmx)->exceptions, bits)

/* ---- Owning VMX (hw.c) ---- */

/* Someone else turned VMX on; constant while a VM of ours exists. */
extern bool vmx_borrowed;

/* The machine goes down: VMX is off under whoever still runs. */
extern bool vmx_stopped;

int vmx_hw_init(void);
void vmx_hw_exit(void);

/* ---- State switched around the guest (switch.c) ---- */

/*
 * vmx_switch_to_guest() - load guest FS/GS leftovers and SYSCALL MSRs; preemption off, interrupts
 * off; no-op when loaded.
 */
void vmx_switch_to_guest(struct vcpu_vmx *vmx);
/*
 * vmx_switch_to_host() - give FS, GS and KERNEL_GS_BASE back; preemption off. No-op when not
 * loaded.
 */
void vmx_switch_to_host(struct vcpu_vmx *vmx);
/*
 * vmx_switch_reload() - EFER.SCE or CPUID may have changed which MSRs the guest needs. Preemption
 * off.
 */
void vmx_switch_reload(struct vcpu_vmx *vmx);
/*
 * vmx_switch_msr_get() and _set() - guest values of STAR, LSTAR, CSTAR, FMASK, TSC_AUX,
 * KERNEL_GS_BASE, SPEC_CTRL.
 */
u64 vmx_switch_msr_get(struct vcpu *vcpu, u32 index);
int vmx_switch_msr_set(struct vcpu *vcpu, u32 index, u64 value);
int vmx_switch_init(void);
void vmx_switch_exit(void);
/* vmx_switch_offline() - this CPU goes down or sleeps: host MSRs back. IRQs off. */
void vmx_switch_offline(void);

/* ---- Hooks from guest state (regs.c, msr.c, ...) into control state ---- */

/*
 * vmx_efer_changed() - vcpu->efer is new: entry control and VMCS field follow. Takes the VMCS
 * itself.
 */
void vmx_efer_changed(struct vcpu *vcpu);
/* vmx_tsc_update() - vcpu->tsc_offset and tsc_ratio into the VMCS. Window open. */
void vmx_tsc_update(struct vcpu *vcpu);
/*
 * vmx_cpuid_changed() - controls that follow CPUID (RDTSCP, INVPCID, XSAVES), MSR bitmap. Takes the
 * VMCS itself.
 */
void vmx_cpuid_changed(struct vcpu *vcpu);

/* vmx_msr_bitmap_update() - CPUID or the VM's MSR filter has changed. Outside the window. */
void vmx_msr_bitmap_update(struct vcpu *vcpu);

/* ---- One entry (run.c, vmenter.S) ---- */
#define VMX_ENTER_RESUME	BIT(0)
#define VMX_ENTER_SPEC_CTRL	BIT(2)
#define VMX_ENTER_VERW		BIT(4)
#define VMX_ENTER_SPEC_SAVE	BIT(5)

/**
 * __vmx_enter() - registers in, VMLAUNCH or VMRESUME, registers out
 * @regs: vcpu->regs
 * @e: flags and host values, laid out as vmenter.S knows it
 *
 * Interrupts off, the VMCS current.
 * Return: 0 after a VM exit, 1 when the instruction failed, 2 when it faulted (VMX is off).
 */
asmlinkage int __vmx_enter(unsigned long *regs, struct vmx_enter *e);

/* Where a VM exit lands: HOST_RIP. */
extern const char vmx_vmexit[];

/* ---- Exits (exit.c and exit_*.c) ---- */
typedef int (*exit_handler)(struct vcpu *vcpu);

/* Finish the exit with interrupts off and the VMCS current. */
enum fast_result {
	FAST_REENTER,		/* done: enter again */
	FAST_NONE,		/* not for the fast path: nothing has changed */
	FAST_DONE,		/* handled completely; leave the inner loop and look at requests */
};

typedef enum fast_result (*fast_handler)(struct vcpu_vmx *vmx);
extern const fast_handler vmx_fast_handlers[NR_EXIT_REASONS];

int vmx_handle_exit(struct vcpu *vcpu);

/*
 * How an exit ends that nothing here can serve: one that no handler knows or that the controls
 * exclude, and one in the middle of delivering an event to where no memory is. User space gets
 * KVM_EXIT_INTERNAL_ERROR with all there is.
 */
int vmx_unexpected_exit(struct vcpu *vcpu);
int vmx_delivery_failed(struct vcpu *vcpu);

/*
 * vmx_skip_fast() - RIP past the instruction in the VMCS; false when a trap or shadow needs the
 * slow way. Window open.
 */
bool vmx_skip_fast(struct vcpu_vmx *vmx);

#define DECLARE_HANDLER(name) int handle_##name(struct vcpu *vcpu)
DECLARE_HANDLER(exception_nmi);
DECLARE_HANDLER(external_interrupt);
DECLARE_HANDLER(invalid_opcode);
DECLARE_HANDLER(triple_fault);
DECLARE_HANDLER(irq_window);
DECLARE_HANDLER(nmi_window);
DECLARE_HANDLER(task_switch);
DECLARE_HANDLER(cpuid);
DECLARE_HANDLER(hlt);
DECLARE_HANDLER(invd);
DECLARE_HANDLER(invlpg);
DECLARE_HANDLER(invpcid);
DECLARE_HANDLER(rdpmc);
DECLARE_HANDLER(vmcall);
DECLARE_HANDLER(undefined);
DECLARE_HANDLER(cr_access);
DECLARE_HANDLER(dr_access);
DECLARE_HANDLER(io);
DECLARE_HANDLER(rdmsr);
DECLARE_HANDLER(wrmsr);
DECLARE_HANDLER(mwait);
DECLARE_HANDLER(monitor);
DECLARE_HANDLER(pause);
DECLARE_HANDLER(machine_check);
DECLARE_HANDLER(tpr_threshold);
DECLARE_HANDLER(ept_violation);
DECLARE_HANDLER(wbinvd);
DECLARE_HANDLER(xsetbv);
DECLARE_HANDLER(descriptor_table);
DECLARE_HANDLER(protection_fault);

enum fast_result fast_cr_access(struct vcpu_vmx *vmx);
enum fast_result fast_cpuid(struct vcpu_vmx *vmx);
enum fast_result fast_rdmsr(struct vcpu_vmx *vmx);
enum fast_result fast_wrmsr(struct vcpu_vmx *vmx);
enum fast_result fast_io(struct vcpu_vmx *vmx);
enum fast_result fast_ept_violation(struct vcpu_vmx *vmx);
enum fast_result fast_vmcall(struct vcpu_vmx *vmx);
enum fast_result fast_irq_window(struct vcpu_vmx *vmx);

/* ---- Events (inject.c) ---- */

/*
 * vmx_recover_vectoring() - an exit interrupted event delivery: queue the event again. After a slow
 * exit, from vmx->info.
 */
void vmx_recover_vectoring(struct vcpu *vcpu);
/* vmx_inject_events() - choose what the next entry delivers and write it. Window open. */
void vmx_inject_events(struct vcpu *vcpu);
/* vmx_events_delivered() - an exit came that proves what the last entry injected was delivered. */
static inline void vmx_events_delivered(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (vmx->entered == ENTERED_EXCEPTION)
		vcpu->exception.injected = false;
	else if (vmx->entered == ENTERED_NMI)
		vcpu->nmi_injected = false;
	else if (vmx->entered == ENTERED_INTERRUPT)
		vcpu->interrupt.injected = false;
	vmx->entered = ENTERED_NOTHING;
}

/* Requests that are served between window open and VM entry, with interrupts off. */
#define REQS_IN_WINDOW	(BIT(REQ_EVENT) | BIT(REQ_TSC) | BIT(REQ_TPR) | BIT(REQ_UNBLOCK))

/* ---- Page-modification logging (pml.c) ---- */

/* vmx_pml_init() - the list's page, where hw.pml: 0 or -ENOMEM. */
int vmx_pml_init(struct vcpu_vmx *vmx);
void vmx_pml_free(struct vcpu_vmx *vmx);
/* vmx_pml_setup() - its fields of a new VMCS. Window open. */
void vmx_pml_setup(struct vcpu_vmx *vmx);
/* vmx_pml_update() - REQ_PML: list pages while a slot logs. Takes the VMCS itself. */
void vmx_pml_update(struct vcpu *vcpu);
/* vmx_pml_drain() - into the log with what was listed. Window open, interrupts off. */
void vmx_pml_drain(struct vcpu_vmx *vmx);
int handle_pml_full(struct vcpu *vcpu);

/* ---- Without unrestricted guest (realmode.c, vm86.c) ---- */

/* realmode_needed() - does VM entry refuse the guest's state? No window. */
bool realmode_needed(struct vcpu *vcpu);
/* realmode_exception() - a guest's exception in virtual-8086 mode; returns as exit handlers. */
int realmode_exception(struct vcpu *vcpu, u8 vector);
/* realmode_run() - some instructions and events in the emulator; returns as vcpu_hw_run(). */
int realmode_run(struct vcpu *vcpu);
/* realmode_enters() - real mode that the CPU can run as virtual-8086 mode. No window. */
bool realmode_enters(struct vcpu *vcpu);

/* What virtual-8086 mode replaces for the length of a stay. */
struct vm86_saved {
	u32 rights[SEG_GS + 1];
	struct em_segment tr;
	unsigned long rflags, cr4;
};

/* vm86_prepare() - the TSS, if user space has given it a place. As vcpu_hw_prepare(). */
int vm86_prepare(struct vcpu *vcpu);
bool vm86_fits(struct vcpu *vcpu);
/* vm86_begin(), vm86_end() - around a VM entry; window open. */
void vm86_begin(struct vcpu_vmx *vmx, struct vm86_saved *saved);
void vm86_end(struct vcpu_vmx *vmx, const struct vm86_saved *saved);
bool vm86_must_emulate(u8 vector);
/* What became of an event. */
enum real_event { REAL_EVENT_DONE, REAL_EVENT_FAULT, REAL_EVENT_FAILED };
/*
 * emulate_real_event() - deliver it through real mode's vectors; the address to return to is @len
 * bytes from RIP. REAL_EVENT_FAILED: run is filled for user space.
 */
enum real_event emulate_real_event(struct vcpu *vcpu, u8 vector, u32 len);

/* vmx_queue_debug() - a #DB trap with these DR6 bits. */
void vmx_queue_debug(struct vcpu *vcpu, u64 dr6_bits);
/* vmx_deliver_payload() - move a pending exception's payload into CR2 or DR6. */
void vmx_deliver_payload(struct vcpu *vcpu);
bool vmx_nmi_masked(struct vcpu *vcpu);
void vmx_set_nmi_masked(struct vcpu *vcpu, bool masked);

/* ---- Debugging by user space (debug.c) ---- */

/* debug_load_breakpoints() - DR0 to DR3 before the entry. Interrupts off. */
void debug_load_breakpoints(struct vcpu *vcpu);
/* debug_update_dr7() - vcpu->dr7 or user space's is new. Takes the VMCS itself. */
void debug_update_dr7(struct vcpu *vcpu);
/* debug_stepped() - an instruction that RFLAGS.TF traps was done in the CPU's place. */
void debug_stepped(struct vcpu *vcpu);
/* debug_exit() - KVM_EXIT_DEBUG with these bits of DR6: RUN_TO_USER. */
int debug_exit(struct vcpu *vcpu, u8 vector, unsigned long dr6);
/* debug_step_exit() - after HLT, which would wait first: RUN_TO_USER when it was stepped. */
int debug_step_exit(struct vcpu *vcpu);
/* RFLAGS as user space sees it, without the trap flag that serves its stepping; and back. */
unsigned long debug_get_rflags(const struct vcpu *vcpu);
void debug_set_rflags(struct vcpu *vcpu, unsigned long rflags);
/* vmx_exceptions_update() - the exception bitmap anew. Takes the VMCS itself. */
void vmx_exceptions_update(struct vcpu *vcpu);

/* ---- System-management mode (smm.c) ---- */

/* vmx_serve_smi() - an SMI is latched: enter SMM, or have this asked again. Interrupts on, SRCU. */
void vmx_serve_smi(struct vcpu *vcpu);
/*
 * smm_try_rsm() - a #UD in SMM: if it is an RSM, which no CPU lets a guest execute, do it. Own
 * thread, interrupts on, SRCU. False for any other instruction.
 */
bool smm_try_rsm(struct vcpu *vcpu);

void vmx_run_init(void);

#endif
