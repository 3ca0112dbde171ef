// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hardware task switches of 32-bit guests: by call, by interrupt gate, and back.
 * Must not test tasks in 64-bit mode, where there are none.
 */
#include "ktap.h"
#include "tvm.h"

#define OK -2

static struct tvm *vm;
static struct tcpu *cpu;

static void setup(void)
{
	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
}

/* Run to the HLT. Return: OK, a vector, or -1. */
static int outcome(const struct guest_code *code)
{
	struct tfault fault;
	int reason;

	tcpu_load(cpu, code);
	reason = tcpu_run(cpu);
	if (reason == KVM_EXIT_HLT)
		return OK;
	if (reason >= 0 && tcpu_fault(cpu, &fault))
		return fault.vector;
	if (reason >= 0)
		tcpu_explain(cpu);
	return -1;
}

/* The tasks of SEL_TSS and SEL_TSS2, the second 64 bytes into the program, without IF. */
static void two_tasks(void)
{
	u64 *gdt = (u64 *)(vm->mem + GUEST_GDT);
	u32 *tss = (u32 *)(vm->mem + GUEST_TSS + 0x100);
	unsigned int i;

	gdt[SEL_TSS / 8] = 0x67 | (u64)GUEST_TSS << 16 | 0x89UL << 40;
	gdt[SEL_TSS2 / 8] = 0x67 | (u64)(GUEST_TSS + 0x100) << 16 | 0x89UL << 40;
	tss[8] = GUEST_CODE + 64;
	tss[9] = 2;
	tss[14] = GUEST_STACK + 0x600;
	for (i = 18; i < 24; i++)
		tss[i] = i == 19 ? SEL_CODE32 : SEL_DATA;
	tss[25] = 0x680000;
}

/* Task switch by a far call to a 32-bit TSS, and back by IRET with NT. */
PROGRAM(tasks, 32,
	"mov $" GUEST_STR(SEL_TSS) ", %eax; ltr %ax; mov $0x11, %ebx;"
	"lcall $" GUEST_STR(SEL_TSS2) ", $0; mov $0x33, %edx; str %eax; hlt;"
	".org guest_tasks_start + 64; mov $0x22, %ecx; mov %ecx, 0xc000; str 0xc004; iret");

TEST(task_switch)
{
	u64 *gdt;
	u32 *stored;
	struct kvm_regs regs;

	setup();
	tcpu_mode(cpu, MODE_PROT32);
	two_tasks();
	ASSERT_EQ(OK, outcome(&tasks))
		tcpu_explain(cpu);
	stored = (u32 *)(vm->mem + GUEST_DATA);
	EXPECT_EQ(0x22, stored[0]);
	EXPECT_EQ(SEL_TSS2, stored[1] & 0xffff);
	regs = tcpu_regs(cpu);
	EXPECT_EQ(0x11, regs.rbx);
	EXPECT_EQ(0x33, regs.rdx);
	EXPECT_EQ(SEL_TSS, regs.rax & 0xffff);
	EXPECT_EQ(0, regs.rflags & 0x4000);
	EXPECT_EQ(SEL_TSS, tcpu_sregs(cpu).tr.selector);
	/* Busy is the first, free is the second; CR0.TS was set by the switch. */
	gdt = (u64 *)(vm->mem + GUEST_GDT);
	EXPECT_EQ(0x8b, gdt[SEL_TSS / 8] >> 40 & 0xff);
	EXPECT_EQ(0x89, gdt[SEL_TSS2 / 8] >> 40 & 0xff);
	EXPECT_EQ(8, tcpu_sregs(cpu).cr0 & 8);
}

/* What STI blocks for one instruction is the switch: it cannot be blocked in a task without IF. */
PROGRAM(enabled_tasks, 32,
	"mov $" GUEST_STR(SEL_TSS) ", %eax; ltr %ax; cli; sti;"
	"lcall $" GUEST_STR(SEL_TSS2) ", $0; pushf; pop %edx; hlt;"
	".org guest_enabled_tasks_start + 64; pushf; pop %ecx; mov %ecx, 0xc000; iret");

TEST(task_switch_after_sti)
{
	setup();
	tcpu_mode(cpu, MODE_PROT32);
	two_tasks();
	ASSERT_EQ(OK, outcome(&enabled_tasks))
		tcpu_explain(cpu);
	EXPECT_EQ(0, *(u32 *)(vm->mem + GUEST_DATA) & 0x200);
	EXPECT_EQ(0x200, tcpu_regs(cpu).rdx & 0x200);
}

/* An interrupt gate that is a task gate. */
PROGRAM(gate_code, 32,
	"mov $" GUEST_STR(SEL_TSS) ", %eax; ltr %ax; int $0x66; mov $0x44, %esi; hlt;"
	".org guest_gate_code_start + 64; mov $0x22, %ecx; mov %ecx, 0xc000; iret");

TEST(task_gate)
{
	u64 *idt;

	setup();
	tcpu_mode(cpu, MODE_PROT32);
	two_tasks();
	idt = (u64 *)(vm->mem + GUEST_IDT);
	idt[0x66] = (u64)SEL_TSS2 << 16 | 0x85UL << 40;
	ASSERT_EQ(OK, outcome(&gate_code))
		tcpu_explain(cpu);
	EXPECT_EQ(0x22, vm->mem[GUEST_DATA]);
	EXPECT_EQ(0x44, tcpu_regs(cpu).rsi);
}

TEST_HARNESS_MAIN
