// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_RUN and what ends it: immediate_exit, signals and their mask, HLT, shutdown, errors.
 * Must not depend on how fast the machine is: what waits is woken, not timed.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "ktap.h"
#include "tvm.h"

PROGRAM(spin, 64, "1: inc %rax; jmp 1b");
PROGRAM(halt, 64, "1: hlt; inc %rax; jmp 1b");
PROGRAM(triple, 64, "lidt 1f(%rip); ud2; 1: .word 0; .quad 0");

static int signals;

static void on_signal(int number)
{
	__atomic_add_fetch(&signals, number == SIGUSR1, __ATOMIC_RELAXED);
}

static void handle(int number)
{
	struct sigaction action = { .sa_handler = on_signal };

	if (sigaction(number, &action, NULL))
		tvm_die("sigaction: %m");
}

static void *send_later(void *thread)
{
	usleep(20000);
	pthread_kill(*(pthread_t *)thread, SIGUSR1);
	return NULL;
}

static void *switch_often(void *times)
{
	int left;

	for (left = *(int *)times; left; left--)
		usleep(1000);
	return NULL;
}

FIXTURE(run)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

FIXTURE_VARIANT(run)
{
	unsigned int flags;
};

FIXTURE_VARIANT_ADD(run, plain)
{
	.flags = 0,
};

FIXTURE_VARIANT_ADD(run, irqchip)
{
	.flags = TVM_IRQCHIP,
};

FIXTURE_SETUP(run)
{
	self->vm = tvm_create(variant->flags);
	self->cpu = tvm_vcpu(self->vm, 0);
	signals = 0;
	handle(SIGUSR1);
}

FIXTURE_TEARDOWN(run)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

TEST_F(run, argument)
{
	tcpu_load(self->cpu, &halt);
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_RUN, 1));
}

TEST_F(run, immediate_exit)
{
	tcpu_load(self->cpu, &spin);
	self->cpu->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, tcpu_run(self->cpu));
	EXPECT_EQ(-EINTR, tcpu_run(self->cpu));
	EXPECT_EQ(0, tcpu_regs(self->cpu).rax);
	EXPECT_EQ(GUEST_CODE, tcpu_regs(self->cpu).rip);
}

TEST_F(run, immediate_exit_finishes_the_last_instruction)
{
	tcpu_load_bytes(self->cpu, "\xe4\xe0\xf4", 3);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	*(u8 *)tcpu_io_data(self->cpu) = 0x5a;
	self->cpu->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, tcpu_run(self->cpu));
	EXPECT_EQ(0x5a, tcpu_regs(self->cpu).rax);
	EXPECT_EQ(GUEST_CODE + 2, tcpu_regs(self->cpu).rip);
}

TEST_F(run, signal_ends_a_spinning_guest)
{
	pthread_t self_thread = pthread_self(), thread;

	tcpu_load(self->cpu, &spin);
	ASSERT_EQ(0, pthread_create(&thread, NULL, send_later, &self_thread));
	EXPECT_EQ(-EINTR, tcpu_run(self->cpu));
	EXPECT_EQ(KVM_EXIT_INTR, self->cpu->run->exit_reason);
	EXPECT_EQ(1, __atomic_load_n(&signals, __ATOMIC_RELAXED));
	EXPECT_LT(100, tcpu_regs(self->cpu).rax);
	pthread_join(thread, NULL);
	/* And the guest goes on from where it was. */
	ASSERT_EQ(0, pthread_create(&thread, NULL, send_later, &self_thread));
	EXPECT_EQ(-EINTR, tcpu_run(self->cpu));
	pthread_join(thread, NULL);
}

TEST_F(run, signal_ends_a_guest_with_interrupts_off_and_on)
{
	pthread_t self_thread = pthread_self(), thread;

	tcpu_load(self->cpu, &spin);
	tcpu_set_rip(self->cpu, GUEST_CODE, true);
	ASSERT_EQ(0, pthread_create(&thread, NULL, send_later, &self_thread));
	EXPECT_EQ(-EINTR, tcpu_run(self->cpu));
	pthread_join(thread, NULL);
}

/*
 * The host sends this signal from task work of the thread itself, which it does on the way to user
 * space. Waking the thread in between leaves work of other kinds there (rseq), which may wait.
 */
TEST_F(run, cpu_time_limit_ends_a_spinning_guest)
{
	struct itimerspec limit = { .it_value.tv_nsec = 60000000 };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	int switches = 20;
	pthread_t thread;
	timer_t timer;

	tcpu_load(self->cpu, &spin);
	ASSERT_EQ(0, timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer));
	ASSERT_EQ(0, pthread_create(&thread, NULL, switch_often, &switches));
	ASSERT_EQ(0, timer_settime(timer, 0, &limit, NULL));
	EXPECT_EQ(-EINTR, tcpu_run(self->cpu));
	EXPECT_EQ(1, __atomic_load_n(&signals, __ATOMIC_RELAXED));
	pthread_join(thread, NULL);
	timer_delete(timer);
}

TEST_F(run, pending_signal_keeps_the_guest_out)
{
	sigset_t set, old;
	struct {
		struct kvm_signal_mask head;
		u8 bits[8];
	} mask = { .head.len = 8 };

	/* Blocked outside, open inside KVM_RUN: the way QEMU's kick once worked. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_SIGNAL_MASK, &mask));
	pthread_kill(pthread_self(), SIGUSR1);
	tcpu_load(self->cpu, &spin);
	EXPECT_EQ(-EINTR, tcpu_run(self->cpu));
	EXPECT_EQ(KVM_EXIT_INTR, self->cpu->run->exit_reason);
	EXPECT_EQ(0, tcpu_regs(self->cpu).rax);
	EXPECT_EQ(0, __atomic_load_n(&signals, __ATOMIC_RELAXED));
	/* Blocked inside too: the guest runs to its end. */
	mask.bits[(SIGUSR1 - 1) / 8] = 1U << (SIGUSR1 - 1) % 8;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_SIGNAL_MASK, &mask));
	tcpu_load_bytes(self->cpu, "\xe6\xe0", 2);
	EXPECT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	EXPECT_EQ(1, __atomic_load_n(&signals, __ATOMIC_RELAXED));
	/* No mask again. */
	EXPECT_OK(ioctl(self->cpu->fd, KVM_SET_SIGNAL_MASK, NULL));
}

TEST_F(run, signal_mask_errors)
{
	struct {
		struct kvm_signal_mask head;
		u8 bits[8];
	} mask = { .head.len = 4 };

	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_SIGNAL_MASK, &mask));
	mask.head.len = 16;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_SIGNAL_MASK, &mask));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_SIGNAL_MASK, 0x10));
}

TEST_F(run, halt)
{
	pthread_t self_thread = pthread_self(), thread;
	struct kvm_mp_state mp;

	tcpu_load(self->cpu, &halt);
	if (!(variant->flags & TVM_IRQCHIP)) {
		EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
		EXPECT_EQ(GUEST_CODE + 1, tcpu_regs(self->cpu).rip);
		EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
		EXPECT_EQ(1, tcpu_regs(self->cpu).rax);
		return;
	}
	/* The kernel waits for an interrupt that never comes; a signal ends the wait. */
	ASSERT_EQ(0, pthread_create(&thread, NULL, send_later, &self_thread));
	EXPECT_EQ(-EINTR, tcpu_run(self->cpu));
	EXPECT_EQ(KVM_EXIT_INTR, self->cpu->run->exit_reason);
	pthread_join(thread, NULL);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_HALTED, mp.mp_state);
	ASSERT_EQ(0, pthread_create(&thread, NULL, send_later, &self_thread));
	EXPECT_EQ(-EINTR, tcpu_run(self->cpu));
	EXPECT_EQ(0, tcpu_regs(self->cpu).rax);
	pthread_join(thread, NULL);
}

TEST_F(run, triple_fault_is_a_shutdown)
{
	tcpu_load(self->cpu, &triple);
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, tcpu_run(self->cpu))
		tcpu_explain(self->cpu);
	/* The VM is not dead: user space resets it. */
	tcpu_mode(self->cpu, MODE_REAL);
	tcpu_load_bytes(self->cpu, "\xe6\xe0", 2);
	EXPECT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
}

TEST_F(run, timer_tick_does_not_end_it)
{
	/* Five million rounds last longer than several ticks of the host's timer. */
	static const u8 code[] = {
		0xb9, 0x40, 0x4b, 0x4c, 0x00,	/* mov $5000000, %ecx */
		0xff, 0xc9, 0x75, 0xfc,		/* 1: dec %ecx; jnz 1b */
		0xe6, 0xe0,			/* out %al, $0xe0 */
	};
	u64 before;

	tcpu_load_bytes(self->cpu, code, sizeof(code));
	before = tvm_rdtsc();
	EXPECT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	EXPECT_LT(5000000, tvm_rdtsc() - before);
	EXPECT_EQ(0, tcpu_regs(self->cpu).rcx);
}

TEST_F(run, run_page_reports_flags)
{
	struct kvm_run *run = self->cpu->run;

	tcpu_load_bytes(self->cpu, "\xe6\xe0\xe6\xe0", 4);
	tcpu_set_rip(self->cpu, GUEST_CODE, true);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	EXPECT_EQ(1, run->if_flag);
	EXPECT_EQ(tcpu_sregs(self->cpu).apic_base, run->apic_base);
	EXPECT_EQ(0, run->cr8);
	tcpu_set_rip(self->cpu, GUEST_CODE, false);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	EXPECT_EQ(0, run->if_flag);
}

static void *set_immediate_exit(void *arg)
{
	struct tcpu *cpu = arg;

	usleep(20000);
	cpu->run->immediate_exit = 1;
	return NULL;
}

TEST_F(run, immediate_exit_set_by_another_thread_and_a_signal)
{
	pthread_t self_thread = pthread_self(), setter, sender;

	tcpu_load(self->cpu, &spin);
	ASSERT_EQ(0, pthread_create(&setter, NULL, set_immediate_exit, self->cpu));
	ASSERT_EQ(0, pthread_create(&sender, NULL, send_later, &self_thread));
	EXPECT_EQ(-EINTR, tcpu_run(self->cpu));
	pthread_join(setter, NULL);
	pthread_join(sender, NULL);
	EXPECT_EQ(-EINTR, tcpu_run(self->cpu));
	self->cpu->run->immediate_exit = 0;
}

TEST_HARNESS_MAIN
