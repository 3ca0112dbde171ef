// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves to and from control and debug registers, with each side effect and refusal.
 * Must not test modes that a guest enters by them; modes.c does.
 */
#include "ktap.h"
#include "tvm.h"

#define UD 6
#define GP 13
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

PROGRAM(cr0_code, 64,
	"mov %cr0, %rax; mov %rax, %rbx; or $0x1000e, %eax; mov %rax, %cr0; mov %cr0, %rcx;"
	"clts; mov %cr0, %rdx; mov $0xf, %eax; lmsw %ax; mov %cr0, %rsi; smsw %edi;"
	"mov %rbx, %cr0; xor %eax, %eax; lmsw %ax; mov %cr0, %rbx; hlt");

TEST(cr0)
{
	struct kvm_regs regs;

	setup();
	ASSERT_EQ(OK, outcome(&cr0_code));
	regs = tcpu_regs(cpu);
	EXPECT_EQ(0x8001003f, regs.rcx);
	EXPECT_EQ(0x80010037, regs.rdx);
	EXPECT_EQ(0x8001003f, regs.rsi);
	EXPECT_EQ(regs.rsi & 0xffff, regs.rdi & 0xffff);
	/* LMSW cannot clear PE. */
	EXPECT_EQ(0x80000031, regs.rbx);
	EXPECT_EQ(0x80000031, tcpu_sregs(cpu).cr0);
}

PROGRAM(cr3_code, 64,
	"mov %cr3, %rbx; mov $" GUEST_STR(GUEST_FREE) ", %eax; mov %rax, %cr3;"
	"mov 0x30000, %rdx; mov %cr3, %rcx; mov %rbx, %cr3; mov 0x30000, %rsi; hlt");

TEST(cr3)
{
	struct kvm_regs regs;
	u64 *pml4;

	setup();
	/* A second set of tables where 0x30000 leads to 0x31000. */
	memcpy(vm->mem + GUEST_FREE, vm->mem + GUEST_PML4, PAGE);
	memcpy(vm->mem + GUEST_FREE + PAGE, vm->mem + GUEST_PDPT, PAGE);
	memcpy(vm->mem + GUEST_FREE + 2 * PAGE, vm->mem + GUEST_PD, PAGE);
	memcpy(vm->mem + GUEST_FREE + 3 * PAGE, vm->mem + GUEST_PT, PAGE);
	pml4 = (u64 *)(vm->mem + GUEST_FREE);
	pml4[0] = (GUEST_FREE + PAGE) | 7;
	pml4[512] = (GUEST_FREE + 2 * PAGE) | 7;
	pml4[1024] = (GUEST_FREE + 3 * PAGE) | 7;
	pml4[1536 + 0x30] = 0x31000 | 7;
	vm->mem[0x30000] = 0x30;
	vm->mem[0x31000] = 0x31;
	ASSERT_EQ(OK, outcome(&cr3_code));
	regs = tcpu_regs(cpu);
	EXPECT_EQ(GUEST_PML4, regs.rbx);
	EXPECT_EQ(GUEST_FREE, regs.rcx);
	EXPECT_EQ(0x31, regs.rdx);
	EXPECT_EQ(0x30, regs.rsi);
}

PROGRAM(cr4, 64,
	"mov %cr4, %rbx; mov %rbx, %rax; or $0x88, %eax; mov %rax, %cr4; mov %cr4, %rcx;"
	"mov %rbx, %cr4; mov %cr4, %rdx; hlt");
PROGRAM(cr4_pae, 64, "mov %cr4, %rax; and $~0x20, %eax; mov %rax, %cr4; hlt");
PROGRAM(cr4_vmxe, 64, "mov %cr4, %rax; bts $31, %rax; mov %rax, %cr4; hlt");
PROGRAM(cr0_pg, 64, "mov %cr0, %rax; btr $31, %rax; mov %rax, %cr0; hlt");
PROGRAM(cr0_nw, 64, "mov %cr0, %rax; bts $29, %rax; mov %rax, %cr0; hlt");
PROGRAM(cr0_high, 64, "mov %cr0, %rax; bts $40, %rax; mov %rax, %cr0; hlt");
PROGRAM(cr2, 64, "mov $0x123456789, %rax; mov %rax, %cr2; mov %cr2, %rbx; hlt");
PROGRAM(cr8, 64, "mov $11, %eax; mov %rax, %cr8; mov %cr8, %rbx; hlt");
PROGRAM(cr8_high, 64, "mov $0x10, %eax; mov %rax, %cr8; hlt");

TEST(cr2_cr4_cr8)
{
	struct kvm_regs regs;

	setup();
	ASSERT_EQ(OK, outcome(&cr4));
	regs = tcpu_regs(cpu);
	EXPECT_EQ(regs.rbx | 0x88, regs.rcx);
	EXPECT_EQ(regs.rbx, regs.rdx);
	EXPECT_EQ(GP, outcome(&cr4_pae));
	EXPECT_EQ(GP, outcome(&cr4_vmxe));
	EXPECT_EQ(GP, outcome(&cr0_pg));
	EXPECT_EQ(GP, outcome(&cr0_nw));
	EXPECT_EQ(GP, outcome(&cr0_high));
	ASSERT_EQ(OK, outcome(&cr2));
	EXPECT_EQ(0x123456789, tcpu_regs(cpu).rbx);
	EXPECT_EQ(0x123456789, tcpu_sregs(cpu).cr2);
}

TEST(cr8_without_a_lapic)
{
	int reason;

	setup();
	tcpu_load(cpu, &cr8);
	/* Without a LAPIC in the kernel user space hears of a lowered priority at most. */
	reason = tcpu_run(cpu);
	if (reason == KVM_EXIT_SET_TPR)
		reason = tcpu_run(cpu);
	EXPECT_EQ(KVM_EXIT_HLT, reason);
	EXPECT_EQ(11, tcpu_regs(cpu).rbx);
	EXPECT_EQ(11, tcpu_sregs(cpu).cr8);
	EXPECT_EQ(11, cpu->run->cr8);
	EXPECT_EQ(GP, outcome(&cr8_high));
}

PROGRAM(dr, 64,
	"mov $0x1000, %eax; mov %rax, %dr0; mov $0x2000, %eax; mov %rax, %dr3;"
	"mov $0x455, %eax; mov %rax, %dr7; mov %dr0, %rbx; mov %dr3, %rcx; mov %dr7, %rdx;"
	"mov %dr6, %rsi; xor %eax, %eax; mov %rax, %dr7; mov %dr7, %rdi; hlt");
PROGRAM(dr_high, 64, "mov $1, %eax; shl $32, %rax; mov %rax, %dr7; hlt");
PROGRAM(dr_gd, 64, "mov $0x2400, %eax; mov %rax, %dr7; mov %dr0, %rax; hlt");
/* MOV DR4 is MOV DR6, and #UD with CR4.DE. */
PROGRAM(dr4, 64, ".byte 0x0f, 0x21, 0xe3; hlt");
PROGRAM(dr4_de, 64, "mov %cr4, %rax; or $8, %eax; mov %rax, %cr4; .byte 0x0f, 0x21, 0xe3; hlt");

TEST(debug_registers)
{
	struct kvm_debugregs state;
	struct kvm_regs regs;

	setup();
	ASSERT_EQ(OK, outcome(&dr));
	regs = tcpu_regs(cpu);
	EXPECT_EQ(0x1000, regs.rbx);
	EXPECT_EQ(0x2000, regs.rcx);
	EXPECT_EQ(0x455, regs.rdx);
	EXPECT_EQ(0xffff0ff0, regs.rsi);
	EXPECT_EQ(0x400, regs.rdi);
	ASSERT_OK(ioctl(cpu->fd, KVM_GET_DEBUGREGS, &state));
	EXPECT_EQ(0x1000, state.db[0]);
	EXPECT_EQ(0x2000, state.db[3]);
	EXPECT_EQ(GP, outcome(&dr_high));
	ASSERT_EQ(OK, outcome(&dr4));
	EXPECT_EQ(0xffff0ff0, tcpu_regs(cpu).rbx);
	EXPECT_EQ(UD, outcome(&dr4_de));
	/* General detect: any access is a #DB, and the bit goes away. */
	EXPECT_EQ(1, outcome(&dr_gd));
	ASSERT_OK(ioctl(cpu->fd, KVM_GET_DEBUGREGS, &state));
	EXPECT_EQ(1 << 13, state.dr6 & 1 << 13);
	EXPECT_EQ(0, state.dr7 & 1 << 13);
}

TEST_HARNESS_MAIN
