// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making vCPUs notice requests: out of guest mode by IPI, out of HLT by a wake-up.
 * This file must not serve any request.
 */
#include <linux/cpumask.h>
#include <linux/percpu.h>
#include <linux/smp.h>

#include "compat.h"
#include "ioctl.h"
#include "requests.h"

/* CPUs to interrupt; used with preemption off, only by the waiting form. */
static DEFINE_PER_CPU(cpumask_var_t, kick_mask);

int kick_module_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		if (!zalloc_cpumask_var_node(&per_cpu(kick_mask, cpu), GFP_KERNEL,
					     cpu_to_node(cpu))) {
			kick_module_exit();
			return -ENOMEM;
		}
	}
	return 0;
}

void kick_module_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		free_cpumask_var(per_cpu(kick_mask, cpu));
}

/*
 * Mark the vCPU as on its way out, so that several kickers send one IPI. The full barrier of the
 * exchange pairs with the one between the store of IN_GUEST_MODE and the last check of requests
 * in vmx/run.c.
 */
static int vcpu_mark_exiting(struct vcpu *vcpu)
{
	return cmpxchg(&vcpu->mode, IN_GUEST_MODE, EXITING_GUEST_MODE);
}

void vcpu_kick(struct vcpu *vcpu)
{
	int me, cpu;

	/*
	 * The request comes before both looks. Pairs with the barrier of set_current_state() in
	 * rcuwait_wait_event(), and with the one after the store of IN_GUEST_MODE in vmx/run.c: who
	 * is seen neither waiting nor in guest mode looks at the requests later than this.
	 */
	smp_mb__after_atomic();
	if (rcuwait_active(&vcpu->wait) && rcuwait_wake_up(&vcpu->wait)) {
		WRITE_ONCE(vcpu->ready, true);
		return;
	}
	if (READ_ONCE(vcpu->mode) != IN_GUEST_MODE)
		return;

	me = get_cpu();
	if (vcpu_mark_exiting(vcpu) == IN_GUEST_MODE) {
		/*
		 * It may migrate meanwhile: leaving guest mode is all that is asked, and
		 * migrating did that.
		 */
		cpu = READ_ONCE(vcpu->cpu);
		if (cpu != me && (unsigned int)cpu < nr_cpu_ids && cpu_online(cpu))
			compat_kick_cpu(cpu);
	}
	put_cpu();
}

static void kick_ack(void *unused)
{
}

/*
 * Wait until each vCPU in guest mode has left it: the IPI is taken only after the exit, with
 * interrupts on again. EXITING counts too: who set it need not have waited. Blocked vCPUs see the
 * request before they enter again.
 */
static void vcpu_request_all_wait(struct vm *vm, enum vcpu_request req)
{
	struct cpumask *mask;
	struct vcpu *vcpu;
	unsigned int i;
	int me, cpu;

	lockdep_assert_irqs_enabled();
	me = get_cpu();
	mask = this_cpu_cpumask_var_ptr(kick_mask);
	cpumask_clear(mask);
	vm_for_each_vcpu(i, vcpu, vm) {
		vcpu_request(vcpu, req);
		if (vcpu_mark_exiting(vcpu) == OUTSIDE_GUEST_MODE)
			continue;
		cpu = READ_ONCE(vcpu->cpu);
		if (cpu != me && (unsigned int)cpu < nr_cpu_ids)
			__cpumask_set_cpu(cpu, mask);
	}
	if (!cpumask_empty(mask))
		smp_call_function_many(mask, kick_ack, NULL, true);
	put_cpu();
}

void vcpu_request_all(struct vm *vm, enum vcpu_request req, bool wait)
{
	struct vcpu *vcpu;
	unsigned int i;

	if (wait) {
		vcpu_request_all_wait(vm, req);
		return;
	}
	vm_for_each_vcpu(i, vcpu, vm) {
		vcpu_request(vcpu, req);
		vcpu_kick(vcpu);
	}
}
