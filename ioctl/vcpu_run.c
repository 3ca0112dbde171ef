// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_RUN: what happens around vmx/'s entries into the guest - the thread's signals, pending I/O,
 * blocking in HLT, INIT and SIPI, and the fields of struct kvm_run that every exit fills.
 * This file must not look at exit reasons or hardware state.
 */
#include <linux/pid.h>
#include <linux/preempt.h>
#include <linux/rcuwait.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "compat.h"
#include "ioctl.h"
#include "irq.h"
#include "requests.h"

/* ---- On and off the CPU ---- */

/* Preemption is off, interrupts are on. The local APIC's timer follows its vCPU to another CPU. */
static void vcpu_load_on(struct vcpu *vcpu, int cpu)
{
	int last = vcpu->cpu;

	WRITE_ONCE(vcpu->ready, false);
	WRITE_ONCE(vcpu->preempted, false);
	vcpu_hw_sched_in(vcpu);
	vcpu_tsc_load(vcpu, cpu != last);
	steal_sched_in(vcpu);
	if (likely(cpu == last))
		return;
	WRITE_ONCE(vcpu->cpu, cpu);
	if (last >= 0 && vcpu->lapic)
		vlapic_timer_migrate(vcpu);
}

static void vcpu_preempt_in(struct preempt_notifier *notifier, int cpu)
{
	vcpu_load_on(container_of(notifier, struct vcpu, preempt_notifier), cpu);
}

static void vcpu_preempt_out(struct preempt_notifier *notifier, struct task_struct *next)
{
	struct vcpu *vcpu = container_of(notifier, struct vcpu, preempt_notifier);

	/* Still runnable: it has lost its CPU and may hold what other vCPUs spin for. */
	if (get_current_state() == TASK_RUNNING) {
		WRITE_ONCE(vcpu->preempted_in_kernel, vcpu_hw_in_kernel(vcpu));
		WRITE_ONCE(vcpu->preempted, true);
		WRITE_ONCE(vcpu->ready, true);
	}
	steal_sched_out(vcpu);
	vcpu_tsc_put(vcpu);
	vcpu_hw_sched_out(vcpu);
}

static struct preempt_ops vcpu_preempt_ops = {
	.sched_in	= vcpu_preempt_in,
	.sched_out	= vcpu_preempt_out,
};

void vcpu_run_init(struct vcpu *vcpu)
{
	vcpu->cpu = -1;
	vcpu->mode = OUTSIDE_GUEST_MODE;
	rcuwait_init(&vcpu->wait);
	preempt_notifier_init(&vcpu->preempt_notifier, &vcpu_preempt_ops);
}

/*
 * Between these two, vmx/ learns when the thread leaves its CPU, and may leave guest state on it.
 */
static void vcpu_load(struct vcpu *vcpu)
{
	preempt_disable();
	preempt_notifier_register(&vcpu->preempt_notifier);
	vcpu_load_on(vcpu, smp_processor_id());
	preempt_enable();
}

static void vcpu_put(struct vcpu *vcpu)
{
	preempt_disable();
	vcpu_tsc_put(vcpu);
	vcpu_hw_sched_out(vcpu);
	preempt_notifier_unregister(&vcpu->preempt_notifier);
	preempt_enable();
}

/* ---- RESET, INIT, SIPI ---- */

/* The local APIC first: vmx/ asks it for the APIC base. */
void vcpu_reset(struct vcpu *vcpu, bool init_event)
{
	if (vcpu->lapic)
		vlapic_reset(vcpu, init_event);
	vcpu_hw_reset(vcpu, init_event);
}

static void vcpu_start_at_sipi(struct vcpu *vcpu, u8 vector)
{
	struct kvm_segment cs;

	vcpu_get_segment(vcpu, &cs, SEG_CS);
	cs.selector = vector << 8;
	cs.base = vector << 12;
	vcpu_set_segment(vcpu, &cs, SEG_CS);
	vcpu_set_rip(vcpu, 0);
	vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
}

/**
 * vcpu_accept_init_sipi() - take INIT and SIPI that have arrived at the local APIC
 * @vcpu: lock and vm->srcu held
 *
 * The bootstrap processor starts at the reset vector after INIT; the others wait for a SIPI, which
 * "MP Initialization Protocol Algorithm" lets only a processor in that state take.
 */
void vcpu_accept_init_sipi(struct vcpu *vcpu)
{
	unsigned int events;
	u8 vector = 0;

	if (!vcpu_init_sipi_pending(vcpu))
		return;
	events = vlapic_take_init_sipi(vcpu, &vector);
	if (events & VLAPIC_EV_INIT) {
		vcpu_reset(vcpu, true);
		vcpu->mp_state = vlapic_get_base(vcpu) & MSR_IA32_APICBASE_BSP ?
				 KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_INIT_RECEIVED;
	}
	if (events & VLAPIC_EV_SIPI && vcpu->mp_state == KVM_MP_STATE_INIT_RECEIVED)
		vcpu_start_at_sipi(vcpu, vector);
}

/* ---- Blocking ---- */

static bool vcpu_waits_for_sipi(const struct vcpu *vcpu)
{
	return vcpu->mp_state == KVM_MP_STATE_UNINITIALIZED ||
	       vcpu->mp_state == KVM_MP_STATE_INIT_RECEIVED;
}

/* Something ends the wait. A processor that waits for a SIPI takes nothing but INIT and SIPI. */
static bool vcpu_has_event(struct vcpu *vcpu)
{
	if (vcpu_init_sipi_pending(vcpu))
		return true;
	return !vcpu_waits_for_sipi(vcpu) &&
	       (READ_ONCE(vcpu->pv.unhalted) || vcpu_hw_has_event(vcpu));
}

static bool vcpu_should_wake(struct vcpu *vcpu)
{
	return vcpu_has_event(vcpu) || (vcpu->lapic && vlapic_timer_pending(vcpu)) ||
	       vcpu_test_request(vcpu, REQ_UNBLOCK) || READ_ONCE(vcpu->vm->dead) ||
	       signal_pending(current);
}

/* vm->srcu must not be held for so long; nothing in here reads guest memory. */
static void vcpu_wait(struct vcpu *vcpu)
{
	prepare_to_rcuwait(&vcpu->wait);
	for (;;) {
		/* Pairs with the barrier in rcuwait_wake_up(): event first, then the waiter. */
		set_current_state(TASK_INTERRUPTIBLE);
		if (vcpu_should_wake(vcpu))
			break;
		schedule();
	}
	finish_rcuwait(&vcpu->wait);
}

static void vcpu_wait_unlocked(struct vcpu *vcpu)
{
	srcu_read_unlock(&vcpu->vm->srcu, vcpu->srcu_idx);
	vcpu_wait(vcpu);
	vcpu->srcu_idx = srcu_read_lock(&vcpu->vm->srcu);
}

/* An expired timer is an event only if it becomes an interrupt. */
static void vcpu_serve_timer(struct vcpu *vcpu)
{
	if (vcpu->lapic && vlapic_timer_pending(vcpu))
		vlapic_timer_inject(vcpu);
}

/* One turn of the loop for a vCPU that does not execute instructions. */
static int vcpu_block(struct vcpu *vcpu)
{
	/* What wakes it depends on what is in service. */
	if (unlikely(vcpu->pv.eoi_armed))
		pv_eoi_sync(vcpu);
	vcpu_serve_timer(vcpu);
	if (!vcpu_has_event(vcpu)) {
		vcpu_wait_unlocked(vcpu);
		if (READ_ONCE(vcpu->vm->dead))
			return -EIO;
		vcpu_serve_timer(vcpu);
		/* A signal, or a timer whose interrupt is masked: the loop comes back here. */
		if (!vcpu_has_event(vcpu))
			return RUN_RESUME;
	}
	vcpu_accept_init_sipi(vcpu);
	if (!vcpu_waits_for_sipi(vcpu)) {
		WRITE_ONCE(vcpu->pv.unhalted, false);
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	}
	return RUN_RESUME;
}

/* ---- The loop ---- */

static int vcpu_exit_by_signal(struct vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	vcpu->stat.signal_exits++;
	return -EINTR;
}

/*
 * Work that only the return to user space can do: the kernel restarts the system call, which user
 * space does not notice - unless a signal arrives on the way, whose handler then ends KVM_RUN as
 * any other would.
 */
static int vcpu_restart(struct vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	return -ERESTARTNOHAND;
}

/*
 * With rseq each context switch asks for a look at the next return to user space. It is put aside
 * until there is one, as long as nobody else has work there.
 */
static bool vcpu_put_resume_aside(struct vcpu *vcpu)
{
	clear_thread_flag(TIF_NOTIFY_RESUME);
	vcpu->resume_put_aside = true;
	/* Pairs with task_work_add(), which sets the flag after it has added the work. */
	smp_mb__after_atomic();
	return !compat_user_work_pending();
}

/*
 * What the host wants of this thread before it enters the guest again. The kernel's own helper for
 * this takes KVM's vCPU and writes into it. Signals come after the scheduler, which may bring them.
 */
static int vcpu_host_work(struct vcpu *vcpu)
{
	if (need_resched()) {
		srcu_read_unlock(&vcpu->vm->srcu, vcpu->srcu_idx);
		vcpu->pv.between_instructions = true;
		schedule();
		vcpu->pv.between_instructions = false;
		vcpu->srcu_idx = srcu_read_lock(&vcpu->vm->srcu);
	}
	if (signal_pending(current))
		return vcpu_exit_by_signal(vcpu);
	if (test_thread_flag(TIF_NOTIFY_RESUME) && !vcpu_put_resume_aside(vcpu))
		return vcpu_restart(vcpu);
	return RUN_RESUME;
}

/*
 * At an instruction boundary, able to take an interrupt that user space's controllers would
 * inject.
 */
static bool vcpu_ready_for_user_irq(struct vcpu *vcpu)
{
	return !vcpu->interrupt.injected && !vcpu->nmi_injected && !vcpu->exception.injected &&
	       !vcpu->exception.pending && vcpu_interrupts_allowed(vcpu) &&
	       vcpu_takes_user_extint(vcpu);
}

static int vcpu_exit_by_irq_window(struct vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	vcpu->stat.request_irq_exits++;
	return RUN_TO_USER;
}

static int vcpu_loop(struct vcpu *vcpu)
{
	int ret;

	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	for (;;) {
		if (likely(vcpu->mp_state == KVM_MP_STATE_RUNNABLE))
			ret = vcpu_hw_run(vcpu);
		else
			ret = vcpu_block(vcpu);
		if (ret <= 0)
			return ret;

		vcpu_take_request(vcpu, REQ_UNBLOCK);
		if (vcpu->lapic) {
			vcpu_serve_timer(vcpu);
			vcpu_accept_init_sipi(vcpu);
		}
		if (unlikely(vcpu->request_irq_window) && vcpu_ready_for_user_irq(vcpu))
			return vcpu_exit_by_irq_window(vcpu);
		if (unlikely(compat_guest_work_pending())) {
			ret = vcpu_host_work(vcpu);
			if (ret <= 0)
				return ret;
		}
	}
}

/* ---- Around the loop ---- */

/* A processor that was never started: one wait for INIT, then user space is asked to call again. */
static int vcpu_run_uninitialized(struct vcpu *vcpu)
{
	vcpu_wait_unlocked(vcpu);
	if (READ_ONCE(vcpu->vm->dead))
		return -EIO;
	vcpu_accept_init_sipi(vcpu);
	return signal_pending(current) ? vcpu_exit_by_signal(vcpu) : -EAGAIN;
}

/* User space's part of the state: synchronized registers, and CR8 where it has the local APIC. */
static int vcpu_take_user_state(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	int ret;

	if (unlikely(READ_ONCE(run->kvm_valid_regs) | READ_ONCE(run->kvm_dirty_regs))) {
		ret = vcpu_sync_regs_in(vcpu);
		if (ret)
			return ret;
	}
	vcpu->request_irq_window = false;
	if (!vcpu->lapic || irqchip_is_split(vcpu->vm))
		vcpu->request_irq_window = READ_ONCE(run->request_interrupt_window);
	if (!vcpu->lapic) {
		if (vcpu_set_cr8(vcpu, READ_ONCE(run->cr8)))
			return vcpu_refuse(vcpu, -EINVAL, "run->cr8 has reserved bits", 0);
	}
	return 0;
}

/* vm->srcu is held. @immediate: user space wants pending I/O finished but no entry. */
static int vcpu_run_prepared(struct vcpu *vcpu, bool immediate)
{
	int (*complete)(struct vcpu *vcpu);
	int ret;

	if (unlikely(vcpu->mp_state == KVM_MP_STATE_UNINITIALIZED))
		return immediate ? -EINTR : vcpu_run_uninitialized(vcpu);
	ret = vcpu_take_user_state(vcpu);
	if (ret)
		return ret;
	complete = vcpu->complete_io;
	if (complete) {
		vcpu->complete_io = NULL;
		ret = complete(vcpu);
		if (ret <= 0)
			return ret;
	}
	if (immediate)
		return -EINTR;
	return vcpu_loop(vcpu);
}

static void vcpu_fill_run(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->if_flag = !!(vcpu->rflags & X86_EFLAGS_IF);
	run->cr8 = vcpu_cr8(vcpu);
	run->apic_base = vcpu->lapic ? vlapic_get_base(vcpu) : vcpu->apic_base;
	run->ready_for_interrupt_injection = (vcpu->lapic && !irqchip_is_split(vcpu->vm)) ||
					     vcpu_ready_for_user_irq(vcpu);
	if (unlikely(vcpu->smm))
		run->flags |= KVM_RUN_X86_SMM;
	if (unlikely(READ_ONCE(run->kvm_valid_regs)))
		vcpu_sync_regs_out(vcpu);
}

/* Readers look up the thread under RCU, to yield to it. */
static void vcpu_set_thread(struct vcpu *vcpu)
{
	struct pid *old = rcu_access_pointer(vcpu->pid);

	rcu_assign_pointer(vcpu->pid, get_task_pid(current, PIDTYPE_PID));
	steal_thread_changed(vcpu);
	if (old) {
		synchronize_rcu();
		put_pid(old);
	}
}

/*
 * The mask of KVM_SET_SIGNAL_MASK holds from here to the end of KVM_RUN. The thread's own mask
 * waits in real_blocked: signals blocked by it but not by ours then stay pending when they
 * interrupt us, instead of being discarded.
 */
static void sigmask_enter(struct vcpu *vcpu)
{
	sigprocmask(SIG_SETMASK, &vcpu->sigset, &current->real_blocked);
}

static void sigmask_leave(void)
{
	sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
	sigemptyset(&current->real_blocked);
}

/**
 * vcpu_run() - KVM_RUN
 * @vcpu: lock held
 *
 * Return: 0 with vcpu->run filled, -EINTR (signal or immediate_exit), -EAGAIN (was waiting for
 * INIT), or another -errno that stopped the guest.
 */
long vcpu_run(struct vcpu *vcpu)
{
	bool immediate = compat_immediate_exit(vcpu->run);
	bool masked = vcpu->sigset_active;
	int ret;

	if (unlikely(rcu_access_pointer(vcpu->pid) != task_pid(current)))
		vcpu_set_thread(vcpu);
	if (unlikely(masked))
		sigmask_enter(vcpu);
	vcpu->run->flags = 0;

	vcpu_load(vcpu);
	vcpu->srcu_idx = srcu_read_lock(&vcpu->vm->srcu);
	vcpu_hw_run_begin(vcpu);
	ret = vcpu_run_prepared(vcpu, immediate);
	if (unlikely(vcpu->pv.eoi_armed))
		pv_eoi_sync(vcpu);
	vcpu_hw_run_end(vcpu);
	vcpu_fill_run(vcpu);
	srcu_read_unlock(&vcpu->vm->srcu, vcpu->srcu_idx);
	vcpu_put(vcpu);

	if (vcpu->resume_put_aside) {
		vcpu->resume_put_aside = false;
		set_thread_flag(TIF_NOTIFY_RESUME);
	}
	if (unlikely(masked))
		sigmask_leave();
	/* A restart is done where signals are; changing the mask has just looked for real ones. */
	if (unlikely(ret == -ERESTARTNOHAND))
		set_thread_flag(TIF_SIGPENDING);
	return ret;
}
