/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests: work that any thread asks of a vCPU before its next VM entry.
 * This header must not say how a request is served; vmx/run.c does that.
 */
#ifndef KVMLET_REQUESTS_H
#define KVMLET_REQUESTS_H

#include <linux/atomic.h>
#include <linux/bitops.h>

#include "vm.h"

enum vcpu_request {
	REQ_EVENT,		/* look for interrupts, NMIs and exceptions to inject */
	REQ_TLB_FLUSH,		/* drop the guest's combined and guest-physical mappings */
	REQ_MMU_RELOAD,		/* the paging root has changed */
	REQ_TRIPLE_FAULT,	/* leave with KVM_EXIT_SHUTDOWN */
	REQ_VM_DEAD,		/* the VM met a bug of ours; leave with -EIO */
	REQ_UNBLOCK,		/* wake from HLT whatever the interrupt state */
	REQ_TSC,		/* offset or scale of the TSC has changed */
	REQ_STEPPED,		/* an instruction done by us was to be stepped: KVM_EXIT_DEBUG */
	REQ_PML,		/* whether the CPU shall list the pages it writes has changed */
	REQ_HOST_MMIO,		/* see whether the guest reaches device memory of the host's */
	REQ_MSR_BITMAP,		/* which MSRs the guest reaches without an exit has changed */
	REQ_TPR,		/* recompute the TPR threshold */
	REQ_DIRTY_RING,		/* user space must empty the dirty ring first */
	REQ_CLOCK,		/* renew what kvmclock tells the guest */
	REQ_CLOCK_MASTER,	/* the VM's kvmclock needs a new base */
	REQ_STEAL,		/* tell the guest how long it waited for a CPU */
	REQ_IOAPIC_EOI,		/* leave with KVM_EXIT_IOAPIC_EOI */
	REQ_PV_EOI,		/* learn from the guest's memory what it has ended */
	REQ_SMI,		/* enter SMM when nothing else is being delivered */
	NR_VCPU_REQUESTS
};

/**
 * vcpu_request() - ask for work before the next VM entry
 * @vcpu: any vCPU
 * @req: what is asked
 *
 * Does not kick; follow with vcpu_kick() when @vcpu may be in guest mode or blocked.
 * The barrier pairs with the one between the store of IN_GUEST_MODE and the last check of requests
 * in vmx/run.c: either the vCPU sees the request or vcpu_kick() sees it in guest mode.
 */
static inline void vcpu_request(struct vcpu *vcpu, enum vcpu_request req)
{
	/* What is asked for comes before the request; pairs with vcpu_take_request(). */
	smp_mb__before_atomic();
	set_bit(req, &vcpu->requests);
}

/**
 * vcpu_request_pending() - is any request waiting?
 * @vcpu: any vCPU; any context
 *
 * Return: whether one is.
 */
static inline bool vcpu_request_pending(const struct vcpu *vcpu)
{
	return READ_ONCE(vcpu->requests);
}

/**
 * vcpu_test_request() - is this request waiting? It stays.
 * @vcpu: any vCPU; any context
 * @req: which
 *
 * Return: whether it is.
 */
static inline bool vcpu_test_request(const struct vcpu *vcpu, enum vcpu_request req)
{
	return test_bit(req, &vcpu->requests);
}

/**
 * vcpu_take_request() - take a request that waits
 * @vcpu: own thread or vcpu->lock held
 * @req: which
 *
 * Return: whether it was there: what was done before vcpu_request() is visible then.
 */
static inline bool vcpu_take_request(struct vcpu *vcpu, enum vcpu_request req)
{
	if (!test_bit(req, &vcpu->requests))
		return false;
	clear_bit(req, &vcpu->requests);
	/* Pairs with smp_mb__before_atomic() in vcpu_request(). */
	smp_mb__after_atomic();
	return true;
}

/**
 * vcpu_kick() - make a vCPU notice its requests
 * @vcpu: any vCPU, after vcpu_request() or another atomic operation, which is its barrier
 *
 * Wakes @vcpu when it is blocked in HLT; forces a VM exit by IPI when it is in guest mode on
 * another CPU. Any context, interrupts on or off.
 */
void vcpu_kick(struct vcpu *vcpu);

/**
 * vcpu_request_all() - ask all vCPUs of a VM and kick them
 * @vm: the VM
 * @req: what is asked
 * @wait: return only after each vCPU has left guest mode since the request was made (needs IRQs
 *	enabled)
 */
void vcpu_request_all(struct vm *vm, enum vcpu_request req, bool wait);

#endif
