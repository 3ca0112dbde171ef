// SPDX-License-Identifier: GPL-2.0-only
/*
 * Giving the CPU to another vCPU of the VM: directed yield, and the choice of whom when a vCPU
 * spins.
 * This file must not know why a vCPU gives up its CPU.
 */
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/stat.h>

#include "ioctl.h"
#include "irq.h"
#include "requests.h"

/* Return: >0 when the CPU was given away, 0 when not, -ESRCH without a thread to give it to. */
static int yield_to_thread(struct vcpu *target)
{
	struct task_struct *task = NULL;
	struct pid *pid;
	int ret;

	rcu_read_lock();
	pid = rcu_dereference(target->pid);
	if (pid)
		task = get_pid_task(pid, PIDTYPE_PID);
	rcu_read_unlock();
	if (!task)
		return -ESRCH;
	ret = yield_to(task, true);
	put_task_struct(task);
	return ret;
}

void vcpu_yield_to(struct vcpu *vcpu, struct vcpu *target)
{
	if (!target || target == vcpu || !READ_ONCE(target->ready) || single_task_running())
		return;
	yield_to_thread(target);
}

/*
 * Of two vCPUs that both spin, the other one is not worth a boost - unless it was passed over last
 * time: then it may be next in a queue of spinners.
 */
static bool worth_boosting(struct vcpu *target)
{
	bool worth = !READ_ONCE(target->spin.spinning) || READ_ONCE(target->spin.passed_over);

	if (READ_ONCE(target->spin.spinning))
		WRITE_ONCE(target->spin.passed_over, !READ_ONCE(target->spin.passed_over));
	return worth;
}

/* Preempted while it could hold what @vcpu waits for, or woken and not yet running. */
static bool may_help(struct vcpu *target, bool in_kernel)
{
	if (!READ_ONCE(target->ready))
		return false;
	if (in_kernel && READ_ONCE(target->preempted) && !READ_ONCE(target->preempted_in_kernel))
		return false;
	return worth_boosting(target);
}

void vcpu_on_spin(struct vcpu *vcpu, bool in_kernel)
{
	struct vm *vm = vcpu->vm;
	unsigned int nr, last, i;
	int attempts = 3, ret;

	/* Pairs with vcpu_publish(), as in vm_for_each_vcpu(). */
	nr = smp_load_acquire(&vm->nr_vcpus);
	if (nr < 2) {
		cond_resched();
		return;
	}
	WRITE_ONCE(vcpu->spin.spinning, true);
	/* From the one after the last that was boosted, once round. */
	last = READ_ONCE(vm->last_boosted);
	for (i = 1; i <= nr && attempts; i++) {
		unsigned int index = (last + i) % nr;
		struct vcpu *target = vm_vcpu(vm, index);

		if (!target || target == vcpu || !may_help(target, in_kernel))
			continue;
		ret = yield_to_thread(target);
		if (ret > 0) {
			WRITE_ONCE(vm->last_boosted, index);
			break;
		}
		if (ret < 0)
			attempts--;
	}
	WRITE_ONCE(vcpu->spin.spinning, false);
	/* Not eligible for others' boosts right after its own spin. */
	WRITE_ONCE(vcpu->spin.passed_over, false);
	cond_resched();
}
