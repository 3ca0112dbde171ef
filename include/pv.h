/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a guest that knows it runs on KVM may use: its features, hypercalls, and the memory it
 * shares with us.
 * This header must not offer anything to guests that do not ask for it.
 */
#ifndef KVMLET_PV_H
#define KVMLET_PV_H

#include <linux/bits.h>
#include <linux/kvm.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <uapi/asm/kvm_para.h>

struct vm;
struct vcpu;

/**
 * struct vcpu_pv - the paravirtual side of a vCPU; vcpu->lock
 * @cpuid_features:	what the guest's CPUID offers, KVM_FEATURE_* bits
 * @allowed:		what it may use: those, or everything unless user space enforces CPUID
 * @enforce_cpuid:	KVM_CAP_ENFORCE_PV_FEATURE_CPUID
 * @unhalted:		a kick came that ends the next HLT; by anyone
 * @poll_control:	MSR_KVM_POLL_CONTROL
 * @system_time:	MSR_KVM_SYSTEM_TIME, old or new: an address and KVM_MSR_ENABLED
 * @guest_stopped:	the next update tells the guest that it was stopped
 * @steal_time:		MSR_KVM_STEAL_TIME
 * @eoi:		MSR_KVM_PV_EOI_EN: an address and KVM_MSR_ENABLED
 * @eoi_armed:		the guest's memory says that the interrupt in service needs no EOI; own
 *			thread, false outside of KVM_RUN
 * @run_delay:		its thread's wait for a CPU, as far as the guest knows of it; ns
 * @marked:		the guest's memory may say that the vCPU is preempted
 * @between_instructions: its thread is where it may say so
 */
struct vcpu_pv {
	u32 cpuid_features, allowed;
	bool enforce_cpuid;
	bool unhalted;
	bool guest_stopped;
	bool marked;
	bool between_instructions;
	bool eoi_armed;
	u64 poll_control;
	u64 system_time;
	u64 steal_time;
	u64 eoi;
	u64 run_delay;
};

/**
 * struct vm_clock - the clock that the vCPUs of a VM share
 * @lock:	spins with interrupts on; holding it keeps vCPUs with REQ_CLOCK from entering
 * @offset:	guest time = the host's raw monotonic clock, sleep included, + this; ns
 * @master_ns:	the host's clock, and ...
 * @master_tsc:	... its TSC at the same moment
 * @stable:	all vCPUs' pages come from the master
 * @outdated:	TSCs have changed since the master was made; by anyone
 * @in_use:	some vCPU has, or had, a page
 * @old_msr:	the bootstrap processor uses the deprecated MSR
 * @wall_clock:	MSR_KVM_WALL_CLOCK, old or new
 * @link:	in the list of all VMs
 */
struct vm_clock {
	spinlock_t lock;		/* see above */
	u64 offset;
	u64 master_ns, master_tsc;
	bool stable, outdated, in_use, old_msr;
	u64 wall_clock;
	struct list_head link;
};

/* ---- Features: vmx/pv.c ---- */

/**
 * vcpu_pv_init() - power-up values
 * @vcpu: a new vCPU
 */
void vcpu_pv_init(struct vcpu *vcpu);

/**
 * vcpu_pv_reset() - RESET or INIT: the guest shares no memory any more
 * @vcpu: vcpu->lock held
 */
void vcpu_pv_reset(struct vcpu *vcpu);

/**
 * vcpu_pv_cpuid_changed() - learn what the guest's CPUID offers
 * @vcpu: vcpu->lock held
 */
void vcpu_pv_cpuid_changed(struct vcpu *vcpu);

/**
 * vcpu_pv_enforce() - KVM_CAP_ENFORCE_PV_FEATURE_CPUID
 * @vcpu: vcpu->lock held
 * @on: use what is not in CPUID is refused from now on
 */
void vcpu_pv_enforce(struct vcpu *vcpu, bool on);

/* ---- kvmclock: vmx/pvclock.c ---- */

/**
 * pvclock_module_init() - follow the host's choice of a clocksource
 *
 * Return: 0 or -errno.
 */
int pvclock_module_init(void);

/**
 * pvclock_module_exit() - undo it; no VM exists
 */
void pvclock_module_exit(void);

/**
 * pvclock_vm_init() - a clock that shows 0 now
 * @vm: a new VM; may sleep
 */
void pvclock_vm_init(struct vm *vm);

/**
 * pvclock_vm_destroy() - undo it
 * @vm: a VM without users; may sleep
 */
void pvclock_vm_destroy(struct vm *vm);

/**
 * pvclock_get() - KVM_GET_CLOCK
 * @vm: the VM; interrupts on
 * @data: result, zeroed
 */
void pvclock_get(struct vm *vm, struct kvm_clock_data *data);

/**
 * pvclock_set() - KVM_SET_CLOCK
 * @vm: the VM; interrupts on
 * @data: new value, its flags checked
 */
void pvclock_set(struct vm *vm, const struct kvm_clock_data *data);

/**
 * pvclock_guest_stopped() - KVM_KVMCLOCK_CTRL
 * @vcpu: vcpu->lock held
 *
 * Return: 0, or -EINVAL with a reason when the guest has no kvmclock.
 */
int pvclock_guest_stopped(struct vcpu *vcpu);

/**
 * pvclock_host_pairing() - the host's TSC and time of day, at the same moment
 * @tsc: host cycles
 * @real: ns since 1970
 *
 * Return: whether they belong together; else the host does not keep time by its TSC.
 */
bool pvclock_host_pairing(u64 *tsc, u64 *real);

/**
 * pvclock_host_resumed() - the host's TSC may have begun anew
 *
 * Any context.
 */
void pvclock_host_resumed(void);

/* ---- Steal time: vmx/steal.c ---- */

/**
 * steal_thread_changed() - another thread runs the vCPU from now on
 * @vcpu: vcpu->lock held, on that thread
 */
void steal_thread_changed(struct vcpu *vcpu);

/**
 * steal_sched_in() - the thread has a CPU: let the guest know if it has waited for it
 * @vcpu: own thread, from the preempt notifier
 */
void steal_sched_in(struct vcpu *vcpu);

/**
 * steal_sched_out() - the thread has lost its CPU: let the guest's other vCPUs know
 * @vcpu: own thread, from the preempt notifier
 */
void steal_sched_out(struct vcpu *vcpu);

/* ---- EOIs without an exit: irq/pv_eoi.c ---- */

/**
 * pv_eoi_arm() - let the guest end the interrupt it is about to take by a bit in its memory, if
 * nobody has to know of the EOI at once
 * @vcpu: own thread, interrupts off; a vCPU with an APIC and MSR_KVM_PV_EOI_EN enabled
 */
void pv_eoi_arm(struct vcpu *vcpu);

/**
 * pv_eoi_sync() - learn whether the guest has ended the interrupt, and take the offer back
 * @vcpu: own thread, vm->srcu held, eoi_armed; may sleep
 */
void pv_eoi_sync(struct vcpu *vcpu);

/**
 * pv_eoi_try_sync() - the same where nothing may sleep
 * @vcpu: own thread, eoi_armed
 *
 * Return: whether it is done; false when the guest's memory is not there at the moment.
 */
bool pv_eoi_try_sync(struct vcpu *vcpu);

/**
 * pv_eoi_settle() - before an interrupt is chosen: what is in service has to be known
 * @vcpu: own thread, eoi_armed; any context
 *
 * Return: false when it is not known, and pv_eoi_sync() has to come first.
 */
bool pv_eoi_settle(struct vcpu *vcpu);

/* ---- Hypercalls' helpers in irq/pv_ipi.c ---- */

/**
 * vlapic_find_vcpu() - the vCPU with an APIC id
 * @vm: the VM; any context
 * @id: physical APIC id, any value
 *
 * Return: the vCPU, which lives as long as the VM, or NULL.
 */
struct vcpu *vlapic_find_vcpu(struct vm *vm, u32 id);

/**
 * vlapic_pv_ipi() - KVM_HC_SEND_IPI
 * @vm: the VM; any context
 * @bitmap: APIC ids from @min up, a bit each
 * @words: number of bits in each of the two words that count: 32 or 64
 * @min: first APIC id
 * @icr: low half of the ICR that each destination gets
 *
 * Return: how many took it, or a negative KVM_E* number.
 */
long vlapic_pv_ipi(struct vm *vm, const unsigned long bitmap[2], unsigned int words, u32 min,
		   unsigned long icr);

/* ---- Giving the CPU to another vCPU: ioctl/yield.c ---- */

/**
 * vcpu_yield_to() - let a vCPU that waits for a CPU have ours
 * @vcpu: own thread, vm->srcu may be held; may sleep
 * @target: vCPU of the same VM, or NULL
 */
void vcpu_yield_to(struct vcpu *vcpu, struct vcpu *target);

/**
 * vcpu_on_spin() - the vCPU spins: run one that may be what it waits for
 * @vcpu: own thread; may sleep
 * @in_kernel: it spins at CPL 0, so only one that was preempted there can hold its lock
 */
void vcpu_on_spin(struct vcpu *vcpu, bool in_kernel);

#endif
