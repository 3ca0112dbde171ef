// SPDX-License-Identifier: GPL-2.0-only
/*
 * The LAPIC in the kernel: registers, self-IPIs, priorities, x2APIC, a second CPU's start.
 * Must not test its timer; timers.c does.
 */
#include <pthread.h>
#include <unistd.h>

#include "ktap.h"
#include "tvm.h"

#define APIC_BASE 0x1b
#define ICR 0x300
#define TPR 0x80
#define PPR 0xa0
#define SELF 0x40000

FIXTURE(lapic)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

FIXTURE_SETUP(lapic)
{
	self->vm = tvm_create(TVM_IRQCHIP);
	self->cpu = tvm_vcpu(self->vm, 0);
	tcpu_start_lapic(self->cpu);
	tcpu_idle(self->cpu, true);
}

FIXTURE_TEARDOWN(lapic)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

static u32 get(struct tcpu *cpu, unsigned int reg)
{
	return tcpu_read32(cpu, GUEST_LAPIC + reg);
}

static void set(struct tcpu *cpu, unsigned int reg, u32 value)
{
	tcpu_write32(cpu, GUEST_LAPIC + reg, value);
}

TEST_F(lapic, registers)
{
	EXPECT_EQ(0, get(self->cpu, 0x20) >> 24);
	EXPECT_EQ(0x10, get(self->cpu, 0x30) & 0xf0);
	EXPECT_LE(4, get(self->cpu, 0x30) >> 16 & 0xff);
	EXPECT_EQ(0x1ff, get(self->cpu, 0xf0));
	set(self->cpu, TPR, 0x35);
	EXPECT_EQ(0x35, get(self->cpu, TPR));
	EXPECT_EQ(0x35, get(self->cpu, PPR));
	EXPECT_EQ(3, tcpu_cr8(self->cpu));
	tcpu_set_cr8(self->cpu, 7);
	EXPECT_EQ(0x70, get(self->cpu, TPR));
	EXPECT_EQ(7, tcpu_sregs(self->cpu).cr8);
	set(self->cpu, TPR, 0);
	set(self->cpu, 0xd0, 0xff000000);
	EXPECT_EQ(0xff000000, get(self->cpu, 0xd0));
	set(self->cpu, 0x350, 0x10700);
	EXPECT_EQ(0x10700, get(self->cpu, 0x350));
	/* Switched off by software: every LVT entry gets its mask. */
	set(self->cpu, 0x360, 0x400);
	set(self->cpu, 0xf0, 0xff);
	EXPECT_EQ(0x10400, get(self->cpu, 0x360));
}

TEST_F(lapic, ipi_to_itself)
{
	set(self->cpu, ICR, SELF | 0x61);
	EXPECT_EQ(0x61, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	/* By its id, and all including itself; all but itself is nobody. */
	set(self->cpu, ICR + 0x10, 0);
	set(self->cpu, ICR, 0x62);
	EXPECT_EQ(0x62, tcpu_wait(self->cpu));
	set(self->cpu, ICR, 0x80063);
	EXPECT_EQ(0x63, tcpu_wait(self->cpu));
	set(self->cpu, ICR, 0xc0064);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	EXPECT_EQ(0, get(self->cpu, ICR) & 0x1000);
}

TEST_F(lapic, task_priority)
{
	set(self->cpu, TPR, 0x50);
	set(self->cpu, ICR, SELF | 0x5f);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	set(self->cpu, ICR, SELF | 0x60);
	EXPECT_EQ(0x60, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	/* Lowered by CR8: the one that waited comes. */
	tcpu_set_cr8(self->cpu, 4);
	EXPECT_EQ(0x5f, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
}

PROGRAM(lower_cr8, 64,
	"mov $9, %eax; mov %rax, %cr8; sti; mov $3000, %ecx; 1: dec %ecx; jnz 1b;"
	"xor %eax, %eax; mov %rax, %cr8; mov $3000, %ecx; 2: dec %ecx; jnz 2b;"
	"out %al, $" GUEST_STR(PORT_TEST));

TEST_F(lapic, lowering_cr8_lets_it_in_at_once)
{
	struct tfault fault;

	tcpu_load(self->cpu, &lower_cr8);
	set(self->cpu, ICR, SELF | 0x91);
	ASSERT_EQ(0x91, tcpu_wait(self->cpu));
	ASSERT_TRUE(tcpu_fault(self->cpu, &fault));
	/* MOV 5, MOV CR8 4, STI 1, MOV 5, DEC 2, JNZ 2, XOR 2, MOV CR8 4. */
	EXPECT_EQ(GUEST_CODE + 25, fault.rip);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
}

TEST_F(lapic, nested_priorities)
{
	tcpu_handlers(self->cpu, EOI_NONE);
	set(self->cpu, ICR, SELF | 0x71);
	ASSERT_EQ(0x71, tcpu_wait(self->cpu));
	EXPECT_EQ(0x70, get(self->cpu, PPR));
	EXPECT_EQ(1U << 0x11, get(self->cpu, 0x130));
	/* The same class waits, a higher one does not. */
	set(self->cpu, ICR, SELF | 0x7f);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	set(self->cpu, ICR, SELF | 0x81);
	ASSERT_EQ(0x81, tcpu_wait(self->cpu));
	EXPECT_EQ(0x80, get(self->cpu, PPR));
	/* EOI ends the highest in service. */
	set(self->cpu, 0xb0, 0);
	EXPECT_EQ(0x70, get(self->cpu, PPR));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	set(self->cpu, 0xb0, 0);
	EXPECT_EQ(0, get(self->cpu, PPR) & 0xf0);
	EXPECT_EQ(0x7f, tcpu_wait(self->cpu));
}

TEST_F(lapic, many_pending_come_in_order)
{
	int vector;

	tcpu_idle(self->cpu, false);
	for (vector = 0x30; vector < 0x100; vector += 0x11)
		set(self->cpu, ICR, SELF | vector);
	tcpu_idle(self->cpu, true);
	for (vector = 0xfc; vector >= 0x30; vector -= 0x11)
		EXPECT_EQ(vector, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
}

PROGRAM(send_nmi, 64,
	"mov $" GUEST_STR(GUEST_LAPIC) " + 0x300, %esi; movl $0x400, (%rsi);"
	"mov $3000, %ecx; 1: dec %ecx; jnz 1b; out %al, $" GUEST_STR(PORT_TEST));

TEST_F(lapic, nmi_ipi)
{
	tcpu_load(self->cpu, &send_nmi);
	ASSERT_EQ(2, tcpu_wait(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
}

TEST_F(lapic, state_round_trip)
{
	struct kvm_lapic_state state, seen;
	u32 *regs = (u32 *)state.regs;

	set(self->cpu, TPR, 0x20);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_LAPIC, &state));
	EXPECT_EQ(0x20, regs[TPR / 4]);
	EXPECT_EQ(0x1ff, regs[0xf0 / 4]);
	/* A request for 0x65 and an LVT entry come with the state. */
	regs[0x230 / 4] = 1 << 5;
	regs[0x350 / 4] = 0x10700;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_LAPIC, &state));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_LAPIC, &seen));
	EXPECT_EQ(1 << 5, ((u32 *)seen.regs)[0x230 / 4]);
	EXPECT_EQ(0x10700, get(self->cpu, 0x350));
	EXPECT_EQ(0x65, tcpu_wait(self->cpu));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_GET_LAPIC, 0x10));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_LAPIC, 0x10));
}

TEST_F(lapic, disabled_in_hardware)
{
	u64 base;

	ASSERT_TRUE(tcpu_rdmsr(self->cpu, APIC_BASE, &base));
	EXPECT_EQ(0xfee00900, base);
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, APIC_BASE, base & ~0x800UL));
	/* The page belongs to nobody now: user space is asked, or (KVM's quirk) it is a hole. */
	tcpu_load_bytes(self->cpu, "\xa1\x20\x00\xe0\xfe\x00\x00\x00\x00\xe6\xe0", 11);
	if (tcpu_run(self->cpu) == KVM_EXIT_MMIO) {
		EXPECT_EQ(GUEST_LAPIC + 0x20, self->cpu->run->mmio.phys_addr);
	} else {
		EXPECT_TRUE(tcpu_is_out(self->cpu, PORT_TEST));
		/* KVM leaves APIC virtualization on, where the CPU has it. */
		EXPECT_TRUE(tcpu_regs(self->cpu).rax == 0xffffffff || !tvm_is_kvmlet());
	}
}

TEST_F(lapic, x2apic)
{
	u64 value;

	if (!tvm_cpuid_has(1, 0, 2, 21))
		SKIP(return, "the device offers no x2APIC");
	EXPECT_FALSE(tcpu_rdmsr(self->cpu, 0x802, &value));
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, APIC_BASE, 0xfee00d00));
	tcpu_handlers(self->cpu, EOI_X2APIC);
	ASSERT_TRUE(tcpu_rdmsr(self->cpu, 0x802, &value));
	EXPECT_EQ(0, value);
	ASSERT_TRUE(tcpu_rdmsr(self->cpu, 0x80d, &value));
	EXPECT_EQ(1, value);
	/* Self-IPI, the 64-bit ICR, the task priority. */
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, 0x83f, 0x66));
	EXPECT_EQ(0x66, tcpu_wait(self->cpu));
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, 0x830, 0x67));
	EXPECT_EQ(0x67, tcpu_wait(self->cpu));
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, 0x808, 0x60));
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, 0x830, SELF | 0x68));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	tcpu_set_cr8(self->cpu, 0);
	EXPECT_EQ(0x68, tcpu_wait(self->cpu));
	/* What does not exist, is read-only, or has reserved bits. */
	EXPECT_FALSE(tcpu_wrmsr(self->cpu, 0x802, 0));
	/* KVM of Linux 6.1 takes any value for an EOI, and lets the CPU read what is not there. */
	EXPECT_TRUE(!tcpu_wrmsr(self->cpu, 0x80b, 1) || !tvm_is_kvmlet());
	EXPECT_TRUE(!tcpu_rdmsr(self->cpu, 0x80e, &value) || !tvm_is_kvmlet());
	EXPECT_TRUE(!tcpu_rdmsr(self->cpu, 0x831, &value) || !tvm_is_kvmlet());
	EXPECT_FALSE(tcpu_wrmsr(self->cpu, 0x808, 0x100));
	/* Back to xAPIC is not a way one can go. */
	EXPECT_FALSE(tcpu_wrmsr(self->cpu, APIC_BASE, 0xfee00900));
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, APIC_BASE, 0xfee00100));
	EXPECT_FALSE(tcpu_wrmsr(self->cpu, APIC_BASE, 0xfee00500));
}

/* Real mode at 0x9000: tells what CS is, and that it is here. */
PROGRAM(trampoline, 16, "mov %cs, %ax; mov %ax, %ds; movw %ax, 0x100; 1: out %al, $0xe1; jmp 1b");

static void *second_cpu(void *arg)
{
	struct tcpu *cpu = arg;
	unsigned int i;
	int ret = -EAGAIN;

	/* A vCPU that waits for its start says EAGAIN when INIT woke it. */
	for (i = 0; ret == -EAGAIN && i < 10; i++)
		ret = tcpu_run(cpu);
	return (void *)(long)ret;
}

TEST_F(lapic, starting_a_second_cpu)
{
	struct tcpu *second = tvm_vcpu_raw(self->vm, 1);
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
	struct kvm_sregs sregs;
	pthread_t thread;
	void *result;

	ASSERT_OK(ioctl(second->fd, KVM_SET_CPUID2, tvm_supported_cpuid()));
	/* As every VMM does; KVM does not know a new vCPU's APIC id before. */
	ASSERT_OK(ioctl(second->fd, KVM_GET_LAPIC, &lapic));
	ASSERT_OK(ioctl(second->fd, KVM_SET_LAPIC, &lapic));
	memcpy(self->vm->mem + 0x9000, trampoline.start, trampoline.end - trampoline.start);
	ASSERT_EQ(0, pthread_create(&thread, NULL, second_cpu, second));
	usleep(10000);
	set(self->cpu, ICR + 0x10, 1 << 24);
	set(self->cpu, ICR, 0x4500);
	usleep(10000);
	set(self->cpu, ICR, 0x4609);
	ASSERT_EQ(0, pthread_join(thread, &result));
	ASSERT_EQ(KVM_EXIT_IO, (long)result);
	EXPECT_EQ(0xe1, second->run->io.port);
	EXPECT_EQ(0x900, *(u16 *)(self->vm->mem + 0x9100));
	sregs = tcpu_sregs(second);
	EXPECT_EQ(0x900, sregs.cs.selector);
	EXPECT_EQ(0x9000, sregs.cs.base);
	EXPECT_EQ(0, sregs.cr0 & 1);
	ASSERT_OK(ioctl(second->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp.mp_state);
	tcpu_destroy(second);
}

TEST_F(lapic, interrupt_for_another_cpu)
{
	struct tcpu *second = tvm_vcpu(self->vm, 1);
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };

	ASSERT_OK(ioctl(second->fd, KVM_SET_MP_STATE, &mp));
	tcpu_write32(second, GUEST_LAPIC + 0xf0, 0x1ff);
	EXPECT_EQ(1, get(second, 0x20) >> 24);
	tcpu_idle(second, true);
	set(self->cpu, ICR + 0x10, 1 << 24);
	set(self->cpu, ICR, 0x69);
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(self->cpu));
	EXPECT_EQ(0x69, tcpu_wait(second));
	EXPECT_EQ(WAIT_NOTHING, tcpu_wait(second));
	tcpu_destroy(second);
}

/* What QEMU calls at each reset. */
TEST_F(lapic, tpr_patching_is_off)
{
	struct kvm_tpr_access_ctl ctl = { .enabled = 1 };
	struct kvm_vapic_addr vapic = { 0 };

	EXPECT_EQ(0, ioctl(self->vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_VAPIC));
	EXPECT_OK(ioctl(self->cpu->fd, KVM_TPR_ACCESS_REPORTING, &ctl));
	EXPECT_OK(ioctl(self->cpu->fd, KVM_SET_VAPIC_ADDR, &vapic));
	set(self->cpu, TPR, 0x20);
	EXPECT_EQ(0x20, get(self->cpu, TPR));
	ctl.flags = 1;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_TPR_ACCESS_REPORTING, &ctl));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_VAPIC_ADDR, 1));
}

TEST_HARNESS_MAIN
