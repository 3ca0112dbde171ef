/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * struct vm and struct vcpu: what all directories share, with the lock that guards each field.
 * This header must not hold anything that only one directory uses; that goes into its private part.
 *
 * Lock order: vm->lock -> vm->slots_lock -> vcpu->lock (KVM_RUN takes only vcpu->lock) -> vm->srcu
 * -> mmu.lock -> irq locks.
 * Legend in comments: (c) constant after creation, (v) vcpu->lock, (t) vCPU's own thread while in
 * KVM_RUN, (a) atomic.
 */
#ifndef KVMLET_VM_H
#define KVMLET_VM_H

#include <linux/kvm.h>
#include <linux/compiler.h>
#include <linux/irq_work.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcuwait.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "../emulate/emulate.h"
#include "compat.h"
#include "iobus.h"
#include "mmu.h"
#include "pv.h"
#include "reason.h"
#include "types.h"
#include "vcpu_hw.h"

struct vlapic;
struct msr_filter;

/* As many as the host's own KVM: older kernels have a constant. */
#ifdef CONFIG_KVM_MAX_NR_VCPUS
#define VM_MAX_VCPUS	CONFIG_KVM_MAX_NR_VCPUS
#else
#define VM_MAX_VCPUS	1024
#endif
#define VM_MAX_VCPU_ID	(VM_MAX_VCPUS * 4)

struct vm {
	pid_t creator;				/* (c) names the VM's counters */
	struct mm_struct *mm;			/* (c) the creator's; others' ioctls get -EIO */
	refcount_t users;			/* VM fd, vCPU fds */
	struct mutex lock;			/* VM-wide configuration */
	struct mutex slots_lock;		/* memory slots and I/O buses */
	struct srcu_struct srcu;		/* readers of slots */
	struct reason reason;
	bool dead;				/* a bug of ours was met: refuse all with -EIO */
	struct irq_work kill_work;		/* tells the vCPUs */

	struct xarray vcpus;			/* by index; vm->lock to add, RCU to read */
	unsigned int nr_vcpus;			/* published after the xarray slot */
	u32 boot_vcpu_id;			/* vm->lock; fixed once a vCPU exists */

	struct vm_mmu mmu;
	struct iobus bus[NR_IOBUSES];
	struct list_head coalesced;		/* zones; slots_lock */
	void *coalesced_ring;			/* set once by cmpxchg; shared with user space */
	raw_spinlock_t coalesced_lock;		/* producers */
	struct list_head ioeventfds;		/* slots_lock */

	struct list_head irqfds;		/* on their wait queues; irqfd_lock */
	struct list_head irqfds_closed;		/* their eventfd went away; irqfd_lock */
	raw_spinlock_t irqfd_lock;
	struct work_struct irqfd_reap;		/* frees the latter */
	struct xarray resamplers;		/* by GSI; lock to change, RCU to read */
	struct work_struct irqfd_resample;	/* signals those of them that are asked */

	/* PIC, IOAPIC, LAPICs in the kernel; set once under lock (smp_store_release) */
	bool irqchip;
	bool irqchip_split;			/* only local APICs; set before @irqchip */
	u32 ioapic_gsis;			/* split: GSIs of user space's IOAPICs, from 0 on */
	struct vpic *vpic;
	struct vioapic *vioapic;
	struct vpit *vpit;
	struct irq_routing __rcu *routing;	/* replaced under vm->lock */
	struct apic_map *apic_map;		/* APIC ids to local APICs; with the irqchip */
	u32 apic_cycle_ns;			/* of the APIC timers' bus; fixed by a vCPU */
	atomic_t lint0_nmi;			/* LAPICs whose LINT0 gives NMIs: the PIT's */
	bool x2apic_ids, x2apic_no_bcast_quirk;	/* KVM_CAP_X2APIC_API; never cleared */

	struct msr_filter __rcu *msr_filter;	/* SRCU; replaced under vm->lock */
	/* KVM_ENABLE_CAP, vm->lock */
	bool exception_payload;			/* KVM_CAP_EXCEPTION_PAYLOAD */
	bool triple_fault_event;		/* KVM_CAP_X86_TRIPLE_FAULT_EVENT */
	bool exit_on_emulation_failure;		/* KVM_CAP_EXIT_ON_EMULATION_FAILURE */
	bool hide_platform_info;		/* KVM_CAP_MSR_PLATFORM_INFO, inverted */
	u32 disabled_exits;			/* KVM_X86_DISABLE_EXITS_*, of later vCPUs */
	u32 max_vcpu_id;			/* KVM_CAP_MAX_VCPU_ID, 0 = not said */
	u32 user_space_msr;			/* KVM_MSR_EXIT_REASON_* that user space decides */
	u64 disabled_quirks;			/* KVM_X86_QUIRK_*, vm->lock */

	gpa_t tss_addr;				/* KVM_SET_TSS_ADDR; vm->lock */
	bool identity_mapped;			/* the tables are there; vm->lock */
	bool vm86_tss;				/* the TSS is there; vm->lock to write */
	gpa_t identity_map_addr;		/* KVM_SET_IDENTITY_MAP_ADDR; vm->lock */
	u64 hypercall_exits;			/* KVM_CAP_EXIT_HYPERCALL: a bit per number */
	unsigned int last_boosted;		/* (a) index of the last vCPU yielded to */
	u32 default_tsc_khz;
	struct vm_clock clock;
	u64 tsc_last_write, tsc_last_nsec;	/* to match TSC writes of vCPUs; tsc_lock */
	u64 tsc_last_offset;
	u32 tsc_last_khz;
	bool tsc_user_set;			/* user space has written a TSC; tsc_lock */
	raw_spinlock_t tsc_lock;
};

enum vcpu_mode {
	OUTSIDE_GUEST_MODE,
	IN_GUEST_MODE,
	EXITING_GUEST_MODE,
};

/* Registers whose value in struct vcpu may be older than the hardware's: see vcpu->stale. */
enum vcpu_cached {
	CACHED_CR0, CACHED_CR3, CACHED_CR4, CACHED_SEGS, NR_CACHED
};

struct vcpu_exception {
	bool pending;		/* to be injected at the next entry; may still turn into #DF */
	bool injected;		/* its delivery began and was interrupted; inject again as it was */
	bool has_error;
	bool has_payload;
	u8 vector;
	u32 error;
	u64 payload;		/* CR2 or DR6 bits not yet in the register */
};

struct vcpu_interrupt {
	bool injected;
	bool soft;
	u8 vector;
};

#define VCPU_MMIO_FRAGMENTS	8	/* of 8 bytes at most: an access of 64 bytes */
#define VCPU_MMIO_LOG		64	/* accesses of one instruction, bytes they have read */

#define CPUID_MAX_ENTRIES	256	/* of KVM_SET_CPUID2 */
#define CPUID_DIRECT_SLOTS	128	/* first 32 leaves of the four classes of CPUID leaves */
#define MCE_MAX_BANKS		32
#define SMBASE_RESET		0x30000
#define MTRR_VARIABLE_RANGES	8

/* MSRs that are only kept, or kept apart from the hardware: vmx/msr_tables.c. */
struct vcpu_msrs {
	u64 arch_capabilities, ucode_rev, platform_info, misc_features, power_ctl;
	u64 feature_control, hwcr;
	u64 mcg_cap, mcg_status, mcg_ctl, mcg_ext_ctl;
	u64 mci[4 * MCE_MAX_BANKS];		/* CTL, STATUS, ADDR, MISC of each bank */
	u64 mci_ctl2[MCE_MAX_BANKS];
	u64 mtrr_variable[2 * MTRR_VARIABLE_RANGES];	/* base, mask */
	u64 mtrr_fixed[11];		/* 64K_00000, 16K_80000, 16K_A0000, 4K_C0000 ... 4K_F8000 */
	u64 mtrr_def_type;
};

struct vcpu {
	struct vm *vm;				/* (c) */
	u32 id;					/* (c) as the user gave it; initial APIC id */
	u32 index;				/* (c) in vm->vcpus */
	struct mutex lock;
	struct kvm_run *run;			/* (c) shared with user space: hostile, read once */
	void *pio_data;				/* (c) page after it: port I/O data */
	struct reason reason;
	struct pid __rcu *pid;			/* thread that ran it last */
	struct preempt_notifier preempt_notifier;
	struct rcuwait wait;			/* blocked in HLT */
	bool ready;				/* (a) its thread waits for a CPU */
	bool preempted;				/* (a) ... because it lost its own */
	bool preempted_in_kernel;		/* (a) ... at CPL 0 */
	struct {
		bool spinning;			/* (a) in vcpu_on_spin() */
		bool passed_over;		/* (a) by the last spinner */
	} spin;
	int mode;				/* (a) enum vcpu_mode */
	int cpu;				/* CPU it runs or last ran on, -1 before */
	unsigned long requests;			/* (a) enum vcpu_request bits */
	int srcu_idx;				/* (t) */
	bool resume_put_aside;			/* (t) TIF_NOTIFY_RESUME, to be set again */
	u32 mp_state;				/* (v) KVM_MP_STATE_* */
	bool sigset_active;
	sigset_t sigset;			/* (v) KVM_SET_SIGNAL_MASK */

	/* Architectural state (v) */
	unsigned long regs[NR_GPRS];
	unsigned long rip, rflags;
	bool rip_dirty, rsp_dirty, rflags_dirty;	/* newer here than in the hardware */
	unsigned long stale;			/* bit enum vcpu_cached: to be fetched first */
	unsigned long cr0, cr2, cr3, cr4;
	u64 pdptrs[4];
	u64 efer;
	u64 xcr0, xss;
	unsigned long db[4], dr6, dr7;
	u32 guest_debug;			/* KVM_GUESTDBG_*; 0 unless enabled */
	unsigned long user_db[4], user_dr7;	/* user space's breakpoints, with USE_HW_BP */
	unsigned long hardware_dr7;		/* in effect: user space's or the guest's */
	unsigned long step_rip;			/* linear address of what is to be stepped */
	u32 pkru;
	struct kvm_segment segs[NR_SEGS];
	u64 pat, misc_enable, tsc_adjust;
	u64 smi_count;
	u64 smbase;
	struct vcpu_msrs msrs;

	/* Events (v); nmi_pending by anyone */
	struct vcpu_exception exception;
	struct vcpu_interrupt interrupt;	/* interrupted itself, or KVM_INTERRUPT's */
	bool nmi_injected;
	atomic_t nmi_pending;			/* 0..2 */
	bool smi_pending;			/* latched: taken between instructions */
	bool smm;				/* in SMM; change it by vcpu_set_smm() */
	bool smm_inside_nmi;			/* NMIs were masked before it was entered */
	bool request_irq_window;		/* user wants KVM_EXIT_IRQ_WINDOW_OPEN */

	/* Interrupt hardware */
	struct vlapic *lapic;			/* (c) NULL without irqchip */
	u64 apic_base;				/* IA32_APIC_BASE; vlapic's with an irqchip */
	int user_extint;			/* split: vector of user space's PIC, or -1 */
	u8 ioapic_eoi;				/* vector, with REQ_IOAPIC_EOI */
	unsigned long user_cr8;			/* CR8 without irqchip */

	/* CPUID (v) */
	struct kvm_cpuid_entry2 *cpuid;
	u32 cpuid_nr;
	struct {				/* 1 + place in cpuid[], 0 for none */
		u16 first[CPUID_DIRECT_SLOTS];
		u16 next[CPUID_MAX_ENTRIES];
	} cpuid_index;
	DECLARE_BITMAP(guest_features, NR_GUEST_FEATURES);
	u64 cr4_reserved;			/* bits guest may not set */
	u64 guest_xcr0_supported;
	u8 maxphyaddr;				/* guest's */

	/* Time */
	u32 tsc_khz;
	u64 tsc_offset;				/* guest = scaled(host) + offset */
	u64 tsc_ratio;				/* fixed point, hw.tsc_frac_bits; 0 = unscaled */
	u64 tsc_at_put, ns_at_put;		/* on a host whose TSCs disagree; 0: not put yet */
	u64 tsc_lost;				/* host cycles lost in suspends, made up for */

	struct vcpu_pv pv;
	struct vcpu_mmu mmu;

	/* Emulation and I/O to user space (t) */
	struct em_ctx em;
	/* to run at the start of the next KVM_RUN; RUN_* or -errno */
	int (*complete_io)(struct vcpu *vcpu);
	struct {
		/* What user space has still to be told of; several only when writes. */
		struct {
			gpa_t gpa;
			u64 data;
			u8 len;
		} frag[VCPU_MMIO_FRAGMENTS];
		u8 nr_frags, cur_frag;
		bool is_write;
		bool frozen;		/* ... and they belong to an iteration that is over */
		bool resume;		/* the instruction goes on afterwards, else it is done */
		/* What this iteration has done, to be answered the same when it restarts. */
		u8 log[VCPU_MMIO_LOG];	/* length, bit 7 for a write */
		u8 data[VCPU_MMIO_LOG];
		u8 nr_log, log_pos, data_len, data_pos;
		unsigned long rip, rsp;	/* where the emulation began */
		gpa_t gpa;		/* the exit's own operand address, valid when gpa_valid */
		gva_t gla;
		bool gpa_valid;
		bool gpa_writable;	/* the walk of the exit was one for a write */
		bool x87_fault;		/* an MMX instruction has met a pending #MF */
	} mmio;
	struct {
		u16 port;
		u8 size;
		bool in;
		bool needed;		/* user space has to be told of it */
		u32 count;
		u32 ready, taken;	/* elements user space has read, the guest has got */
		unsigned long rip;	/* of the register forms */
	} pio;

	unsigned long msr_rip;			/* of RDMSR or WRMSR that user space decides */
	struct {				/* the same, inside the emulator */
		u32 index;
		u64 data;
		u8 state, reason;
		bool write, error;
	} msr_user;

	struct {
		u64 exits, io_exits, mmio_exits, halt_exits, irq_exits, signal_exits;
		u64 request_irq_exits, pf_fixed, irq_injections, nmi_injections;
		u64 fast_exits, tlb_flush;
	} stat;
};

/**
 * irqchip_in_kernel() - has the VM interrupt controllers in the kernel?
 * @vm: any VM; any context
 *
 * Return: whether it has; once true, for ever.
 */
static inline bool irqchip_in_kernel(const struct vm *vm)
{
	/* Pairs with smp_store_release() in irqchip_create(): the chips are complete by then. */
	return smp_load_acquire(&vm->irqchip);
}

/* What KVM_CAP_DISABLE_QUIRKS2 takes: see vm_has_quirk(). */
#define VM_QUIRKS	(KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_CD_NW_CLEARED |		\
			 KVM_X86_QUIRK_LAPIC_MMIO_HOLE | KVM_X86_QUIRK_OUT_7E_INC_RIP |		\
			 KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT |					\
			 KVM_X86_QUIRK_FIX_HYPERCALL_INSN |					\
			 KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS | COMPAT_QUIRK_SLOT_ZAP_ALL |	\
			 COMPAT_QUIRK_STUFF_FEATURE_MSRS)

/**
 * vm_has_quirk() - does the VM behave as old KVMs did, rather than as hardware does?
 * @vm: any VM; any context
 * @quirk: one KVM_X86_QUIRK_*
 *
 * Return: true until user space has disabled it.
 */
static inline bool vm_has_quirk(const struct vm *vm, u64 quirk)
{
	return !(READ_ONCE(vm->disabled_quirks) & quirk);
}

/**
 * irqchip_is_split() - has the VM only the local APICs in the kernel?
 * @vm: a VM with an irqchip; any context
 *
 * Return: whether PIC and IOAPIC are user space's.
 */
static inline bool irqchip_is_split(const struct vm *vm)
{
	return vm->irqchip_split;
}

/**
 * guest_has() - does the guest's CPUID show a feature?
 * @vcpu: own thread or vcpu->lock held; any context
 * @f: the feature
 *
 * Return: whether it does.
 */
static inline bool guest_has(const struct vcpu *vcpu, enum guest_feature f)
{
	return test_bit(f, vcpu->guest_features);
}

/**
 * vcpu_address_space() - which memory slots a vCPU sees
 * @vcpu: own thread or vcpu->lock held; any context
 *
 * Return: ADDRESS_SPACE_*.
 */
static inline unsigned int vcpu_address_space(const struct vcpu *vcpu)
{
	return vcpu->smm;
}

/**
 * vm_vcpu() - a vCPU by its place
 * @vm: the VM; any context
 * @index: below vm->nr_vcpus (not the vCPU's id)
 *
 * Return: the vCPU, which lives as long as the VM; NULL beyond the last.
 */
static inline struct vcpu *vm_vcpu(struct vm *vm, unsigned int index)
{
	return xa_load(&vm->vcpus, index);
}

/* Where a walk over a VM's vCPUs stands. */
struct vcpu_iter {
	struct vm *vm;
	unsigned int *index;
};

static inline struct vcpu_iter vcpu_iter_start(struct vm *vm, unsigned int *index)
{
	*index = -1u;
	return (struct vcpu_iter){ vm, index };
}

static inline struct vcpu *vcpu_iter_next(const struct vcpu_iter *it)
{
	unsigned int next = ++*it->index;

	/* Pairs with vcpu_publish(). */
	return next < smp_load_acquire(&it->vm->nr_vcpus) ? vm_vcpu(it->vm, next) : NULL;
}

/**
 * vcpu_pv_has() - may the guest use a paravirtual feature?
 * @vcpu: own thread or vcpu->lock held; any context
 * @feature: KVM_FEATURE_*
 *
 * Return: whether it may.
 */
static inline bool vcpu_pv_has(const struct vcpu *vcpu, unsigned int feature)
{
	return vcpu->pv.allowed & BIT(feature);
}

#define vm_for_each_vcpu(i, vcpu, vm)								\
	for (struct vcpu_iter __it = vcpu_iter_start(vm, &(i)); ((vcpu) = vcpu_iter_next(&__it)); )

/**
 * vm_kill() - a bug of ours: mark the VM dead, kick its vCPUs out
 * @vm: the VM; any context, the scheduler's own included
 */
void vm_kill(struct vm *vm);

#define VM_KILL_ON(cond, vm)						\
({									\
	bool __bug = WARN_ON_ONCE(cond);				\
	if (unlikely(__bug))						\
		vm_kill(vm);						\
	unlikely(__bug);						\
})

/**
 * vm_get() - one user more
 * @vm: a VM that has users; any context
 *
 * Return: @vm.
 */
struct vm *vm_get(struct vm *vm);

/**
 * vm_put() - one user less; the last one's call takes the VM apart
 * @vm: the VM, which may be gone afterwards; may sleep
 */
void vm_put(struct vm *vm);

/**
 * vm_free() - the last step of a VM's life: its memory and its hold on the mm
 * @vm: the VM; called back on behalf of mmu_vm_put(); may not sleep
 */
void vm_free(struct vm *vm);

#endif
