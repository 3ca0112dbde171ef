// SPDX-License-Identifier: GPL-2.0-only
/*
 * Steal time: the page, that it tells what the thread waited for a CPU, and the mark of a vCPU that
 * has none.
 * Must not test kvmclock; pvclock.c does.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "ktap.h"
#include "tvm.h"

#define MSR_STEAL	0x4b564d03
#define PREEMPTED	1
#define FLUSH_TLB	2

struct steal_page {
	u64 steal;
	u32 version, flags;
	u8 preempted, pad[47];
};

PROGRAM(tick, 64, "out %al, $0xe0; hlt");

static void serve(struct tcpu *cpu)
{
	tcpu_load(cpu, &tick);
	if (tcpu_run(cpu) != KVM_EXIT_IO)
		tcpu_explain(cpu);
}

static u64 run_delay(void)
{
	char text[64];
	int fd = open("/proc/thread-self/schedstat", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	char *rest;

	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	strtoull(text, &rest, 10);
	return strtoull(rest, NULL, 10);
}

TEST(the_msr)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	struct steal_page *page = (void *)(vm->mem + GUEST_DATA);
	u64 value;

	ASSERT_TRUE(tvm_cpuid_has(0x40000001, 0, 0, 5));
	ASSERT_TRUE(tvm_cpuid_has(0x40000001, 0, 0, 9));
	EXPECT_FALSE(tcpu_wrmsr(cpu, MSR_STEAL, GUEST_DATA | 2));
	EXPECT_FALSE(tcpu_set_msr(cpu, MSR_STEAL, GUEST_DATA | 0x21));
	EXPECT_TRUE(tcpu_wrmsr(cpu, MSR_STEAL, GUEST_DATA));
	serve(cpu);
	EXPECT_EQ(0, page->version);
	page->preempted = PREEMPTED | FLUSH_TLB;
	page->version = 3;
	EXPECT_TRUE(tcpu_wrmsr(cpu, MSR_STEAL, GUEST_DATA | 1));
	serve(cpu);
	EXPECT_EQ(0, page->version & 1);
	EXPECT_LT(3, page->version);
	EXPECT_EQ(0, page->preempted);
	ASSERT_TRUE(tcpu_rdmsr(cpu, MSR_STEAL, &value));
	EXPECT_EQ(GUEST_DATA | 1, value);
	/* No memory there: nothing happens. */
	EXPECT_TRUE(tcpu_wrmsr(cpu, MSR_STEAL, 0xd0000001));
	serve(cpu);
}

static void *rival(void *arg)
{
	u64 until = *(u64 *)arg;

	while (tvm_rdtsc() < until)
		;
	return NULL;
}

TEST(waiting_is_stolen)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	struct steal_page *page = (void *)(vm->mem + GUEST_DATA);
	u64 until, waited, stolen;
	pthread_t thread;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	ASSERT_TRUE(tcpu_wrmsr(cpu, MSR_STEAL, GUEST_DATA | 1));
	serve(cpu);
	stolen = page->steal;
	waited = run_delay();
	until = tvm_rdtsc() + 20000000;
	ASSERT_EQ(0, pthread_create(&thread, NULL, rival, &until));
	while (tvm_rdtsc() < until)
		sched_yield();
	pthread_join(thread, NULL);
	waited = run_delay() - waited;
	serve(cpu);
	stolen = page->steal - stolen;
	EXPECT_LT(0, waited);
	EXPECT_LE(waited, stolen);
	EXPECT_GT(waited + 1000000000, stolen);
}

PROGRAM(spinner, 64, "1: cmpb $0, 0xd000; je 1b; out %al, $0xe0; hlt");

static void *spin_and_report(void *arg)
{
	struct tcpu *cpu = arg;
	int reason = tcpu_run(cpu);

	return (void *)(long)(reason == KVM_EXIT_IO && tcpu_is_out(cpu, PORT_TEST));
}

/* On one CPU: whenever this thread runs, the vCPU's does not. */
TEST(a_vcpu_without_cpu_is_marked)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	struct steal_page *page = (void *)(vm->mem + GUEST_DATA);
	pthread_t thread;
	cpu_set_t one;
	void *result;
	int i;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	ASSERT_TRUE(tcpu_wrmsr(cpu, MSR_STEAL, GUEST_DATA | 1));
	tcpu_load(cpu, &spinner);
	ASSERT_EQ(0, pthread_create(&thread, NULL, spin_and_report, cpu));
	for (i = 0; i < 200 && !__atomic_load_n(&page->preempted, __ATOMIC_ACQUIRE); i++)
		usleep(1000);
	EXPECT_EQ(PREEMPTED, page->preempted);
	/* What another vCPU does in place of an interrupt. */
	__atomic_store_n(&page->preempted, PREEMPTED | FLUSH_TLB, __ATOMIC_RELEASE);
	__atomic_store_n(vm->mem + 0xd000, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, &result));
	EXPECT_TRUE(result);
	EXPECT_EQ(0, page->preempted & FLUSH_TLB);
	EXPECT_EQ(0, page->version & 1);
	/* In user space it is nobody's victim. */
	serve(cpu);
	EXPECT_EQ(0, page->preempted);
}

TEST_HARNESS_MAIN
