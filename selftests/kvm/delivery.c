// SPDX-License-Identifier: GPL-2.0-only
/*
 * How exceptions reach the guest: single steps, breakpoints, ring 3, absent tables, and
 * states in which no CPU can run. Must not repeat the causes that exceptions.c lists.
 */
#include <sys/mman.h>

#include "ktap.h"
#include "tvm.h"

static struct tvm *vm;
static struct tcpu *cpu;

PROGRAM(breakpoint, 64, "nop; int3");
PROGRAM(invalid, 64, "nop; ud2");

PROGRAM(step_all, 64, "pushq $0x102; popfq; nop; cpuid; rdtsc; mov %cr0, %rax; hlt");

TEST(single_step_over_instructions_that_exit)
{
	/* PUSH and POPF are four bytes more; NOP 1, CPUID 2, RDTSC 2, MOV 3. */
	static const unsigned int after[] = { 7, 9, 11, 14 };
	struct kvm_debugregs regs;
	struct tfault fault;
	unsigned int i;

	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
	tcpu_load(cpu, &step_all);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(1, tcpu_run_fault(cpu));
		ASSERT_TRUE(tcpu_fault(cpu, &fault));
		EXPECT_EQ(GUEST_CODE + after[i], fault.rip);
		ASSERT_OK(ioctl(cpu->fd, KVM_GET_DEBUGREGS, &regs));
		EXPECT_EQ(BIT(14), regs.dr6 & BIT(14));
	}
}

PROGRAM(watch, 64,
	"mov $" GUEST_STR(GUEST_DATA) ", %eax; mov %rax, %dr1;"
	"mov $0xd0000c, %eax; mov %rax, %dr7; movb $1, " GUEST_STR(GUEST_DATA) "; nop; hlt");

TEST(data_breakpoint)
{
	struct kvm_debugregs regs;
	struct tfault fault;

	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
	tcpu_load(cpu, &watch);
	ASSERT_EQ(1, tcpu_run_fault(cpu));
	ASSERT_TRUE(tcpu_fault(cpu, &fault));
	EXPECT_EQ(1, vm->mem[GUEST_DATA]);
	ASSERT_OK(ioctl(cpu->fd, KVM_GET_DEBUGREGS, &regs));
	EXPECT_EQ(2, regs.dr6 & 0xf);
	EXPECT_EQ(GUEST_DATA, regs.db[1]);
}

/* Ring 3: entered by IRET, left by exceptions over the TSS's stack. */
PROGRAM(ring3, 64,
	"pushq $" GUEST_STR(SEL_UDATA) "; pushq $" GUEST_STR(GUEST_STACK + 0x400) ";"
	"pushq $2; pushq $" GUEST_STR(SEL_UCODE64) "; lea 1f(%rip), %rax; push %rax; iretq;"
	"1: hlt; 2: mov $0x60000, %eax; mov (%rax), %rax; mov %cr0, %rax");

TEST(ring_3)
{
	struct tfault fault;

	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
	tcpu_load(cpu, &ring3);
	*tvm_pte(vm, 0x60000) = 0x60000 | 3;
	ASSERT_EQ(13, tcpu_run_fault(cpu));
	ASSERT_TRUE(tcpu_fault(cpu, &fault));
	EXPECT_EQ(SEL_UCODE64, fault.cs);
	EXPECT_EQ(0, fault.error);
	EXPECT_EQ(SEL_CODE64, tcpu_sregs(cpu).cs.selector);
	EXPECT_EQ(GUEST_STACK, tcpu_regs(cpu).rsp & ~0xfffUL);
	/* Past the HLT, into a supervisor page, then a privileged move. */
	(*(u64 *)(vm->mem + fault.frame))++;
	ASSERT_EQ(14, tcpu_run_fault(cpu));
	ASSERT_TRUE(tcpu_fault(cpu, &fault));
	EXPECT_EQ(5, fault.error);
	EXPECT_EQ(0x60000, tcpu_sregs(cpu).cr2);
	*(u64 *)(vm->mem + fault.frame) += 3;
	EXPECT_EQ(13, tcpu_run_fault(cpu));
}

PROGRAM(syscalls, 64,
	"mov $0xc0000081, %ecx; xor %eax, %eax; mov $0x00300008, %edx; wrmsr;"
	"mov $0xc0000082, %ecx; lea 2f(%rip), %rax; xor %edx, %edx; wrmsr;"
	"mov $0xc0000084, %ecx; mov $0x200, %eax; wrmsr;"
	"mov $0xc0000080, %ecx; rdmsr; or $1, %eax; wrmsr;"
	"mov $0x202, %r11d; lea 1f(%rip), %rcx; sysretq;"
	"1: syscall; 2: hlt");

TEST(syscall_and_sysret)
{
	struct kvm_sregs sregs;

	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
	tcpu_load(cpu, &syscalls);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu))
		tcpu_explain(cpu);
	sregs = tcpu_sregs(cpu);
	EXPECT_EQ(SEL_CODE64, sregs.cs.selector);
	EXPECT_EQ(SEL_DATA, sregs.ss.selector);
	EXPECT_EQ(2, tcpu_regs(cpu).rflags & 0x202);
	EXPECT_EQ(0x202, tcpu_regs(cpu).r11 & 0x202);
}

/* The IDT's own page is touched for the first time by the delivery itself. */
TEST(delivery_through_absent_guest_memory)
{
	u8 *mem = tvm_map(PAGE);
	struct kvm_sregs sregs;

	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
	ASSERT_OK(tvm_slot(vm, 5, 0, 0x40000000, PAGE, mem));
	memcpy(mem, vm->mem + GUEST_IDT, PAGE);
	sregs = tcpu_sregs(cpu);
	sregs.idt.base = 0x40000000;
	tcpu_set_sregs(cpu, &sregs);
	tcpu_load(cpu, &breakpoint);
	EXPECT_EQ(3, tcpu_run_fault(cpu));
	/* Now it is there, then it goes away for a moment. */
	ASSERT_OK(mprotect(mem, PAGE, PROT_NONE));
	tcpu_load(cpu, &breakpoint);
	EXPECT_EQ(-EFAULT, tcpu_run(cpu));
	ASSERT_OK(mprotect(mem, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(3, tcpu_run_fault(cpu));
	{
		struct tfault fault;

		ASSERT_TRUE(tcpu_fault(cpu, &fault));
		EXPECT_EQ(GUEST_CODE + 2, fault.rip);
	}
}

/*
 * Nothing emulates the delivery of an event; once the memory is there, it goes on. The hole is
 * read first: kvm_intel takes the instruction at RIP for the culprit until it knows the hole.
 */
PROGRAM(hole, 64, "mov 0x40000000, %eax; int3");

TEST(delivery_through_a_hole)
{
	u8 *mem = tvm_map(PAGE);
	struct kvm_sregs sregs;

	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
	memcpy(mem, vm->mem + GUEST_IDT, PAGE);
	sregs = tcpu_sregs(cpu);
	sregs.idt.base = 0x40000000;
	tcpu_set_sregs(cpu, &sregs);
	tcpu_load(cpu, &hole);
	ASSERT_EQ(KVM_EXIT_MMIO, tcpu_run(cpu));
	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, tcpu_run(cpu));
	EXPECT_EQ(KVM_INTERNAL_ERROR_DELIVERY_EV, cpu->run->internal.suberror);
	/* A valid software exception, vector 3. */
	EXPECT_EQ(0x80000603, cpu->run->internal.data[0]);
	EXPECT_EQ(GUEST_CODE + 7, tcpu_regs(cpu).rip);
	ASSERT_OK(tvm_slot(vm, 5, 0, 0x40000000, PAGE, mem));
	EXPECT_EQ(3, tcpu_run_fault(cpu));
}

static void bad_tr_type(struct kvm_sregs *sregs)
{
	sregs->tr.type = 1;
}

static void bad_tr_base(struct kvm_sregs *sregs)
{
	sregs->tr.base = BIT(63);
}

static void bad_stack_dpl(struct kvm_sregs *sregs)
{
	sregs->ss.dpl = 2;
}

TEST(invalid_guest_state)
{
	static void (*const spoil[])(struct kvm_sregs *) = {
		bad_tr_type, bad_tr_base, bad_stack_dpl,
	};
	struct kvm_sregs sregs;
	unsigned int i;
	int reason;

	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
	for (i = 0; i < 3; i++) {
		tcpu_mode(cpu, MODE_LONG);
		tcpu_load(cpu, &invalid);
		sregs = tcpu_sregs(cpu);
		spoil[i](&sregs);
		/* Refused at once, or when the CPU checks it. */
		if (ioctl(cpu->fd, KVM_SET_SREGS, &sregs)) {
			EXPECT_EQ(EINVAL, errno);
			continue;
		}
		reason = tcpu_run(cpu);
		EXPECT_TRUE(reason == KVM_EXIT_FAIL_ENTRY ||
			    reason == KVM_EXIT_INTERNAL_ERROR)
			TH_LOG("case %u: exit %d", i, reason);
	}
	/* The vCPU can be mended. */
	tcpu_mode(cpu, MODE_LONG);
	tcpu_load(cpu, &invalid);
	EXPECT_EQ(6, tcpu_run_fault(cpu));
}

TEST_HARNESS_MAIN
