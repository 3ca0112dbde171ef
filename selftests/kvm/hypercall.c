// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMCALL: numbers, rings and modes, interrupts by hypercall, a kick out of HLT, the call that
 * user space answers, and what CPUID may forbid.
 * Must not test the memory that guest and host share; pvclock.c and steal.c do.
 */
#include <pthread.h>
#include <string.h>

#include "ktap.h"
#include "tvm.h"

#define KVM_HC_VAPIC_POLL_IRQ	1
#define KVM_HC_KICK_CPU		5
#define KVM_HC_SEND_IPI		10
#define KVM_HC_SCHED_YIELD	11
#define KVM_HC_MAP_GPA_RANGE	12

#define ENOSYS_	-1000L
#define EPERM_	-1L
#define EINVAL_	-22L

#define MSR_KVM_POLL_CONTROL	0x4b564d05

PROGRAM(call64, 64, "vmcall; out %al, $0xe0; hlt");
PROGRAM(call32, 32, "vmcall; out %al, $0xe0; hlt");

static void prepare(struct tcpu *cpu, u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	struct kvm_regs regs;

	tcpu_load(cpu, cpu->mode == MODE_LONG ? &call64 : &call32);
	regs = tcpu_regs(cpu);
	regs.rax = nr;
	regs.rbx = a0;
	regs.rcx = a1;
	regs.rdx = a2;
	regs.rsi = a3;
	tcpu_set_regs(cpu, &regs);
}

/* Return: RAX after the call; -0x7fffffff when it did not come back. */
static long call(struct tcpu *cpu, u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	prepare(cpu, nr, a0, a1, a2, a3);
	if (tcpu_run(cpu) != KVM_EXIT_IO || !tcpu_is_out(cpu, PORT_TEST)) {
		tcpu_explain(cpu);
		return -0x7fffffffL;
	}
	return tcpu_regs(cpu).rax;
}

TEST(numbers)
{
	struct tvm *vm = tvm_create(TVM_IRQCHIP);
	struct tcpu *cpu = tvm_vcpu(vm, 0);

	EXPECT_EQ(ENOSYS_, call(cpu, 0, 0, 0, 0, 0));
	EXPECT_EQ(0, call(cpu, KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0));
	EXPECT_EQ(ENOSYS_, call(cpu, 2, 0, 0, 0, 0));
	EXPECT_EQ(ENOSYS_, call(cpu, 13, 0, 0, 0, 0));
	EXPECT_EQ(ENOSYS_, call(cpu, 0x100000001, 0, 0, 0, 0));
	EXPECT_EQ(ENOSYS_, call(cpu, 0x10000000a, 0, 0, 0, 0));
	EXPECT_EQ(ENOSYS_, call(cpu, ~0UL, 0, 0, 0, 0));
	EXPECT_EQ(ENOSYS_, call(cpu, KVM_HC_MAP_GPA_RANGE, 0x4000, 1, 0, 0));
	/* To itself, and to nobody. */
	EXPECT_EQ(0, call(cpu, KVM_HC_SCHED_YIELD, 0, 0, 0, 0));
	EXPECT_EQ(0, call(cpu, KVM_HC_SCHED_YIELD, ~0UL, 0, 0, 0));
	EXPECT_EQ(0, call(cpu, KVM_HC_KICK_CPU, 0, 77, 0, 0));
	/* Half the registers do not count, and the result has 32 bits. */
	tcpu_mode(cpu, MODE_PROT32);
	EXPECT_EQ((u32)ENOSYS_, call(cpu, 2, 0, 0, 0, 0));
	EXPECT_EQ((u32)ENOSYS_, call(cpu, 0x55, 0, 0, 0, 0));
	EXPECT_EQ(0, call(cpu, 0x700000001, 0, 0, 0, 0));
}

static void go_to_ring_3(struct tcpu *cpu)
{
	struct kvm_sregs sregs = tcpu_sregs(cpu);

	sregs.cs.selector = SEL_UCODE64;
	sregs.cs.dpl = 3;
	sregs.ss.selector = SEL_UDATA;
	sregs.ss.dpl = 3;
	tcpu_set_sregs(cpu, &sregs);
}

TEST(ring_3)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	u64 page;

	for (page = 0; page < GUEST_FREE; page += PAGE)
		*tvm_pte(vm, page) |= 4;
	*(u64 *)(vm->mem + GUEST_PML4) |= 4;
	*(u64 *)(vm->mem + GUEST_PDPT) |= 4;
	*(u64 *)(vm->mem + GUEST_PD) |= 4;
	prepare(cpu, KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0);
	go_to_ring_3(cpu);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu))
		tcpu_explain(cpu);
	EXPECT_EQ(EPERM_, (long)tcpu_regs(cpu).rax);
}

TEST(answered_by_user_space)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_HYPERCALL };

	ASSERT_EQ(BIT(KVM_HC_MAP_GPA_RANGE), (u64)tvm_cap(vm, KVM_CAP_EXIT_HYPERCALL));
	cap.args[0] = BIT(KVM_HC_MAP_GPA_RANGE) | BIT(3);
	EXPECT_ERR(EINVAL, ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	cap.args[0] = BIT(KVM_HC_MAP_GPA_RANGE);
	ASSERT_OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(EINVAL_, call(cpu, KVM_HC_MAP_GPA_RANGE, 0x4001, 1, 0, 0));
	EXPECT_EQ(EINVAL_, call(cpu, KVM_HC_MAP_GPA_RANGE, 0x4000, 0, 0, 0));
	EXPECT_EQ(EINVAL_, call(cpu, KVM_HC_MAP_GPA_RANGE, 0x4000, ~0UL, 0, 0));

	prepare(cpu, KVM_HC_MAP_GPA_RANGE, 0x4000, 3, 0x11, 0);
	ASSERT_EQ(KVM_EXIT_HYPERCALL, tcpu_run(cpu));
	EXPECT_EQ(KVM_HC_MAP_GPA_RANGE, cpu->run->hypercall.nr);
	EXPECT_EQ(0x4000, cpu->run->hypercall.args[0]);
	EXPECT_EQ(3, cpu->run->hypercall.args[1]);
	EXPECT_EQ(0x11, cpu->run->hypercall.args[2]);
	EXPECT_EQ(1, cpu->run->hypercall.longmode);
	EXPECT_EQ(GUEST_CODE, tcpu_regs(cpu).rip);
	cpu->run->hypercall.ret = 0x123456789a;
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	EXPECT_EQ(0x123456789a, tcpu_regs(cpu).rax);

	tcpu_mode(cpu, MODE_PROT32);
	prepare(cpu, KVM_HC_MAP_GPA_RANGE, 0x4000, 3, 0x11, 0);
	ASSERT_EQ(KVM_EXIT_HYPERCALL, tcpu_run(cpu));
	EXPECT_EQ(0, cpu->run->hypercall.longmode);
	cpu->run->hypercall.ret = -1;
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	EXPECT_EQ(0xffffffff, tcpu_regs(cpu).rax);
}

/* A vCPU beside the first that runs at once; KVM learns its APIC id by KVM_SET_LAPIC. */
static struct tcpu *another(struct tvm *vm, unsigned int id)
{
	struct kvm_mp_state mp = { KVM_MP_STATE_RUNNABLE };
	struct tcpu *cpu = tvm_vcpu(vm, id);
	struct kvm_lapic_state lapic;

	if (ioctl(cpu->fd, KVM_SET_MP_STATE, &mp) ||
	    ioctl(cpu->fd, KVM_GET_LAPIC, &lapic) || ioctl(cpu->fd, KVM_SET_LAPIC, &lapic))
		tvm_die("vCPU %u: errno %d", id, errno);
	return cpu;
}

static bool requested(struct tcpu *cpu, unsigned int vector)
{
	struct kvm_lapic_state lapic;

	if (ioctl(cpu->fd, KVM_GET_LAPIC, &lapic))
		return false;
	return *(u32 *)(lapic.regs + 0x200 + (vector >> 5) * 16) & BIT(vector & 31);
}

TEST(interrupts)
{
	struct tvm *vm = tvm_create(TVM_IRQCHIP);
	struct tcpu *cpu = tvm_vcpu(vm, 0), *second = another(vm, 1), *far = another(vm, 70);

	tcpu_start_lapic(second);
	tcpu_start_lapic(far);
	EXPECT_EQ(1, call(cpu, KVM_HC_SEND_IPI, BIT(1), 0, 0, 0x4061));
	EXPECT_TRUE(requested(second, 0x61));
	EXPECT_FALSE(requested(far, 0x61));
	/* 70 is bit 6 of the second word from 0, and bit 0 from itself. */
	EXPECT_EQ(2, call(cpu, KVM_HC_SEND_IPI, BIT(1), BIT(6), 0, 0x4062));
	EXPECT_TRUE(requested(second, 0x62));
	EXPECT_TRUE(requested(far, 0x62));
	EXPECT_EQ(1, call(cpu, KVM_HC_SEND_IPI, BIT(0) | BIT(5), ~0UL, 70, 0x4063));
	EXPECT_TRUE(requested(far, 0x63));
	/* KVM's second word wraps round to id 0. */
	if (tvm_is_kvmlet())
		EXPECT_EQ(0, call(cpu, KVM_HC_SEND_IPI, ~0UL, ~0UL, 0xfffffff0, 0x4063));
	/* Destination and shorthand have no place in it. */
	EXPECT_EQ(EINVAL_, call(cpu, KVM_HC_SEND_IPI, BIT(1), 0, 0, 0x40064));
	EXPECT_EQ(EINVAL_, call(cpu, KVM_HC_SEND_IPI, BIT(1), 0, 0, 0x864));
	/* In 32-bit mode each word has 32 bits. */
	tcpu_mode(cpu, MODE_PROT32);
	EXPECT_EQ(1, call(cpu, KVM_HC_SEND_IPI, 0, BIT(0), 38, 0x4065));
	EXPECT_TRUE(requested(far, 0x65));
}

PROGRAM(sleeper, 64, "cli; movb $1, 0xc000; hlt; out %al, $0xe0; hlt");

static void *sleep_and_report(void *arg)
{
	struct tcpu *cpu = arg;
	int reason = tcpu_run(cpu);

	return (void *)(long)(reason == KVM_EXIT_IO && tcpu_is_out(cpu, PORT_TEST));
}

TEST(kick)
{
	struct tvm *vm = tvm_create(TVM_IRQCHIP);
	struct tcpu *cpu = tvm_vcpu(vm, 0), *second = another(vm, 1);
	u8 *flag = vm->mem + GUEST_DATA;
	pthread_t thread;
	void *result;

	memcpy(vm->mem + GUEST_HIGH, sleeper.start, sleeper.end - sleeper.start);
	tcpu_set_rip(second, GUEST_HIGH, false);
	ASSERT_EQ(0, pthread_create(&thread, NULL, sleep_and_report, second));
	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE))
		usleep(1000);
	usleep(10000);
	/* With interrupts off nothing else wakes it. */
	EXPECT_EQ(0, call(cpu, KVM_HC_KICK_CPU, 0, 1, 0, 0));
	ASSERT_EQ(0, pthread_join(thread, &result));
	EXPECT_TRUE(result);

	/* A kick that comes first ends the next HLT. */
	EXPECT_EQ(0, call(cpu, KVM_HC_KICK_CPU, 0, 1, 0, 0));
	tcpu_settle(second);
	tcpu_set_rip(second, GUEST_HIGH, false);
	EXPECT_TRUE(sleep_and_report(second));
}

TEST(only_what_cpuid_offers)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[128];
	} table;
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args = { 1 } };
	struct tvm *vm = tvm_create(TVM_IRQCHIP);
	struct tcpu *cpu = tvm_vcpu_raw(vm, 0);
	unsigned int i;
	u64 value;

	ASSERT_EQ(1, tvm_cap(vm, KVM_CAP_ENFORCE_PV_FEATURE_CPUID));
	memcpy(&table, tvm_supported_cpuid(), sizeof(table));
	for (i = 0; i < table.head.nent; i++) {
		if (table.entries[i].function == 0x40000001)
			table.entries[i].eax &= ~(BIT(7) | BIT(11) | BIT(12) | BIT(13));
	}
	ASSERT_OK(ioctl(cpu->fd, KVM_SET_CPUID2, &table));
	tcpu_mode(cpu, MODE_LONG);
	/* Not asked to look at CPUID: everything is there. */
	EXPECT_EQ(0, call(cpu, KVM_HC_KICK_CPU, 0, 0, 0, 0));
	EXPECT_TRUE(tcpu_set_msr(cpu, MSR_KVM_POLL_CONTROL, 0));

	cap.flags = 1;
	EXPECT_ERR(EINVAL, ioctl(cpu->fd, KVM_ENABLE_CAP, &cap));
	cap.flags = 0;
	ASSERT_OK(ioctl(cpu->fd, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(ENOSYS_, call(cpu, KVM_HC_KICK_CPU, 0, 0, 0, 0));
	EXPECT_EQ(ENOSYS_, call(cpu, KVM_HC_SEND_IPI, 1, 0, 0, 0x4061));
	EXPECT_EQ(ENOSYS_, call(cpu, KVM_HC_SCHED_YIELD, 0, 0, 0, 0));
	/* In the list of MSRs all the same: user space reads zero and may write it back. */
	EXPECT_TRUE(tcpu_get_msr(cpu, MSR_KVM_POLL_CONTROL, &value));
	EXPECT_EQ(0, value);
	EXPECT_TRUE(tcpu_set_msr(cpu, MSR_KVM_POLL_CONTROL, 0));
	EXPECT_FALSE(tcpu_set_msr(cpu, MSR_KVM_POLL_CONTROL, 1));
	EXPECT_FALSE(tcpu_rdmsr(cpu, MSR_KVM_POLL_CONTROL, &value));
	cap.args[0] = 0;
	ASSERT_OK(ioctl(cpu->fd, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(0, call(cpu, KVM_HC_SCHED_YIELD, 0, 0, 0, 0));
	cap.cap = 0x7fff;
	EXPECT_ERR(EINVAL, ioctl(cpu->fd, KVM_ENABLE_CAP, &cap));
}

TEST(poll_control)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	u64 value = 7;

	ASSERT_TRUE(tcpu_get_msr(cpu, MSR_KVM_POLL_CONTROL, &value));
	EXPECT_EQ(1, value);
	EXPECT_TRUE(tcpu_wrmsr(cpu, MSR_KVM_POLL_CONTROL, 0));
	ASSERT_TRUE(tcpu_rdmsr(cpu, MSR_KVM_POLL_CONTROL, &value));
	EXPECT_EQ(0, value);
	EXPECT_FALSE(tcpu_wrmsr(cpu, MSR_KVM_POLL_CONTROL, 2));
	EXPECT_FALSE(tcpu_set_msr(cpu, MSR_KVM_POLL_CONTROL, 3));
}

TEST_HARNESS_MAIN
