/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a guest that knows it runs on KVM may use: its features, hypercalls, and the memory it
 * shares with us.
 * This header must not offer anything to guests that do not ask for it.
 */
#ifndef KVMLET_PV_H
#define KVMLET_PV_H

#include <linux/bits.h>
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
 */
struct vcpu_pv {
	u32 cpuid_features, allowed;
	bool enforce_cpuid;
	bool unhalted;
	u64 poll_control;
};

/* ---- Features: vmx/pv.c ---- */

/**
 * vcpu_pv_init() - power-up values
 * @vcpu: a new vCPU
 */
void vcpu_pv_init(struct vcpu *vcpu);

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
