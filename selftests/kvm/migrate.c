// SPDX-License-Identifier: GPL-2.0-only
/*
 * vCPUs whose threads move between CPUs, share one CPU, or run beside each other.
 * Must not be read as proof on one CPU: those tests skip there and say so.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "ktap.h"
#include "tvm.h"

/* Counts in R8, keeps a value in an XMM register and in a debug register, and reports. */
PROGRAM(work, 64,
	"movq %r9, %xmm7; mov %r9, %dr0;"
	"1: mov $2000, %ecx; 2: dec %ecx; jnz 2b; inc %r8; movq %xmm7, %r10;"
	"cmp %r9, %r10; jne 3f; mov %dr0, %r11; cmp %r9, %r11; jne 3f;"
	"out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b; 3: ud2");

PROGRAM(spin, 64, "1: inc %r8; jmp 1b");

static int cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

static bool move_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

static void start_work(struct tcpu *cpu, u64 tag)
{
	struct kvm_regs regs;

	tcpu_load(cpu, &work);
	regs = tcpu_regs(cpu);
	regs.r8 = 0;
	regs.r9 = tag;
	tcpu_set_regs(cpu, &regs);
}

TEST(vcpus_take_turns_on_one_thread)
{
	struct tvm *vms[2] = { tvm_create(0), tvm_create(TVM_IRQCHIP) };
	struct tcpu *vcpus[3];
	unsigned int i;

	vcpus[0] = tvm_vcpu(vms[0], 0);
	vcpus[1] = tvm_vcpu(vms[0], 1);
	vcpus[2] = tvm_vcpu(vms[1], 0);
	for (i = 0; i < 3; i++)
		start_work(vcpus[i], 0x1000 * (i + 1));
	for (i = 0; i < 60; i++) {
		ASSERT_EQ(WAIT_NOTHING, tcpu_wait(vcpus[i % 3]));
		ASSERT_EQ(i / 3 + 1, tcpu_regs(vcpus[i % 3]).r8);
	}
}

static void *worker(void *arg)
{
	struct tcpu *cpu = arg;
	unsigned int i;

	for (i = 0; i < 30; i++) {
		if (tcpu_wait(cpu) != WAIT_NOTHING)
			return NULL;
	}
	return cpu;
}

TEST(vcpus_in_threads)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *vcpus[3];
	pthread_t threads[3];
	unsigned int i;
	void *result;

	for (i = 0; i < 3; i++) {
		vcpus[i] = tvm_vcpu(vm, i);
		start_work(vcpus[i], 0x1000 * (i + 1));
	}
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, worker, vcpus[i]));
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], &result);
		EXPECT_EQ(vcpus[i], result);
		EXPECT_EQ(30, tcpu_regs(vcpus[i]).r8);
	}
}

/* The thread that made the vCPU is not the one that runs it, nor the one that reads it. */
static void *run_once(void *arg)
{
	return (void *)(long)tcpu_wait(arg);
}

TEST(another_thread_each_time)
{
	struct tvm *vm = tvm_create(TVM_IRQCHIP);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	pthread_t thread;
	unsigned int i;
	void *result;

	start_work(cpu, 0x4321);
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, run_once, cpu));
		pthread_join(thread, &result);
		ASSERT_EQ(WAIT_NOTHING, (long)result);
	}
	EXPECT_EQ(10, tcpu_regs(cpu).r8);
}

TEST(between_two_exits)
{
	struct tvm *vm;
	struct tcpu *cpu;
	unsigned int i;

	if (cpus() < 2)
		SKIP(return, "needs two CPUs");
	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
	start_work(cpu, 0x1234567);
	for (i = 0; i < 30; i++) {
		ASSERT_TRUE(move_to(i % 2));
		ASSERT_EQ(WAIT_NOTHING, tcpu_wait(cpu));
	}
	EXPECT_EQ(30, tcpu_regs(cpu).r8);
}

static bool stop;

static void on_signal(int number)
{
	(void)number;
}

static void *spinner(void *arg)
{
	struct tcpu *cpu = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (tcpu_run(cpu) != -EINTR)
			return NULL;
	}
	return cpu;
}

TEST(while_running)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct tvm *vm;
	struct tcpu *cpu;
	pthread_t thread;
	unsigned int i;
	cpu_set_t set;
	void *result;

	if (cpus() < 2)
		SKIP(return, "needs two CPUs");
	sigaction(SIGUSR1, &action, NULL);
	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
	tcpu_load(cpu, &spin);
	ASSERT_EQ(0, pthread_create(&thread, NULL, spinner, cpu));
	for (i = 0; i < 10; i++) {
		CPU_ZERO(&set);
		CPU_SET(i % 2, &set);
		ASSERT_EQ(0, pthread_setaffinity_np(thread, sizeof(set), &set));
		usleep(2000);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	cpu->run->immediate_exit = 1;
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, &result);
	EXPECT_EQ(cpu, result);
	EXPECT_LT(1000, tcpu_regs(cpu).r8);
	/* The state belongs to this thread's CPU now, wherever the VMCS was. */
	ASSERT_TRUE(move_to(0));
	cpu->run->immediate_exit = 0;
	start_work(cpu, 77);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(cpu));
}

TEST_HARNESS_MAIN
