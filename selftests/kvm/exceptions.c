// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exceptions that the guest causes and handles itself: vector, error code, where it points.
 * Must not test interrupts from outside.
 */
#include "ktap.h"
#include "tvm.h"

#define CR0_TS 8
#define CR0_WP 0x10000
#define NX BIT(63)

static struct tvm *vm;
static struct tcpu *cpu;

/**
 * struct cause - something that ends in an exception
 * @name: for messages
 * @mode: in which mode
 * @code: what the guest does
 * @vector: the exception
 * @error: its error code
 * @offset: where the saved instruction pointer is, from the code's start
 * @setup: what is needed before, or NULL
 */
struct cause {
	const char *name;
	enum tmode mode;
	const struct guest_code *code;
	unsigned int vector;
	u64 error;
	unsigned int offset;
	void (*setup)(void);
};

static void change_cr0(u64 set, u64 clear)
{
	struct kvm_sregs sregs = tcpu_sregs(cpu);

	sregs.cr0 = (sregs.cr0 | set) & ~clear;
	tcpu_set_sregs(cpu, &sregs);
}

static void task_switched(void)
{
	change_cr0(CR0_TS, 0);
}

static void write_protect(void)
{
	change_cr0(CR0_WP, 0);
	*tvm_pte(vm, 0x50000) = 0x50000 | 1;
}

static void unmap(void)
{
	*tvm_pte(vm, 0x50000) = 0x50000;
}

static void reserved_bit(void)
{
	*tvm_pte(vm, 0x50000) = BIT(51) | 0x50000 | 3;
}

static void no_execute(void)
{
	struct kvm_sregs sregs = tcpu_sregs(cpu);

	sregs.efer |= BIT(11);
	tcpu_set_sregs(cpu, &sregs);
	*tvm_pte(vm, 0x50000) = NX | 0x50000 | 3;
}

static void absent_segment(void)
{
	/* Data, DPL 0, not present. */
	*(u64 *)(vm->mem + GUEST_GDT + SEL_FREE) = 0x00cf12000000ffff;
}

static void absent_gate(void)
{
	u64 *idt = (u64 *)(vm->mem + GUEST_IDT);

	idt[2 * 0x55] &= ~BIT(47);
}

static void no_page_fault_gate(void)
{
	u64 *idt = (u64 *)(vm->mem + GUEST_IDT);

	idt[2 * 14] &= ~BIT(47);
	unmap();
}

PROGRAM(divide, 64, "nop; xor %ecx, %ecx; mov $1, %eax; xor %edx, %edx; div %ecx");
PROGRAM(breakpoint, 64, "nop; int3");
PROGRAM(icebp, 64, "nop; .byte 0xf1");
PROGRAM(single_step, 64, "pushq $0x102; popfq; nop; nop; hlt");
PROGRAM(overflow, 32, "mov $0x7f, %al; add $1, %al; into");
PROGRAM(bound, 32, "mov $9, %eax; bound %eax, " AT(bound, 1f) "; 1: .long 0, 8");
PROGRAM(invalid, 64, "nop; ud2");
PROGRAM(device, 64, "fld1");
PROGRAM(overrun, 64, "mov 0x50000, %rax");
PROGRAM(store, 64, "mov %rax, 0x50008");
PROGRAM(call_nx, 64, "mov $0x50000, %eax; jmp *%rax");
PROGRAM(non_canonical, 64, "mov $0x8000000000000000, %rax; mov (%rax), %eax");
PROGRAM(stack, 64, "mov $0x8000000000000000, %rbp; mov (%rbp), %eax");
PROGRAM(load_absent, 64, "mov $" GUEST_STR(SEL_FREE) ", %eax; mov %eax, %ds");
PROGRAM(load_absent_ss, 64, "mov $" GUEST_STR(SEL_FREE) ", %eax; mov %eax, %ss");
PROGRAM(load_beyond, 64, "mov $0xff8, %eax; mov %eax, %ds");
PROGRAM(software, 64, "int $0x55");
PROGRAM(wrmsr_bad, 64, "mov $0x12345678, %ecx; wrmsr");
PROGRAM(rdmsr_bad, 64, "mov $0x12345678, %ecx; rdmsr");
PROGRAM(cr0_bad, 64, "mov $0x80000000, %eax; mov %rax, %cr0");
PROGRAM(cr4_bad, 64, "mov $0x80000020, %eax; mov %rax, %cr4");
PROGRAM(cr8_bad, 64, "mov $0x10, %eax; mov %rax, %cr8");
PROGRAM(cr3_bad, 64, "mov $0x4000000000010000, %rax; mov %rax, %cr3");
PROGRAM(cr1, 64, ".byte 0x0f, 0x20, 0xc8");
PROGRAM(math, 64,
	"fninit; fldcw 1f(%rip); fld1; fldz; fdivrp; fwait; hlt; 1: .word 0x37b");
PROGRAM(simd, 64,
	"xorps %xmm0, %xmm0; ldmxcsr 1f(%rip); divps %xmm0, %xmm0; hlt; 1: .long 0");
PROGRAM(lidt_bad, 64, "mov $0x8000000000000000, %rax; lidt (%rax)");

static const struct cause causes[] = {
	{ "#DE", MODE_LONG, &divide, 0, 0, 10, NULL },
	{ "#DB of INT1", MODE_LONG, &icebp, 1, 0, 2, NULL },
	{ "#DB of TF", MODE_LONG, &single_step, 1, 0, 7, NULL },
	{ "#BP", MODE_LONG, &breakpoint, 3, 0, 2, NULL },
	{ "#OF", MODE_PROT32, &overflow, 4, 0, 5, NULL },
	{ "#BR", MODE_PAE, &bound, 5, 0, 5, NULL },
	{ "#UD", MODE_LONG, &invalid, 6, 0, 1, NULL },
	{ "#UD of CR1", MODE_LONG, &cr1, 6, 0, 0, NULL },
	{ "#NM", MODE_LONG, &device, 7, 0, 0, task_switched },
	{ "#DF", MODE_LONG, &overrun, 8, 0, 0, no_page_fault_gate },
	{ "#NP", MODE_LONG, &load_absent, 11, SEL_FREE, 5, absent_segment },
	{ "#NP of a gate", MODE_LONG, &software, 11, 0x55 << 3 | 2, 0, absent_gate },
	{ "#SS of a selector", MODE_LONG, &load_absent_ss, 12, SEL_FREE, 5, absent_segment },
	{ "#SS", MODE_LONG, &stack, 12, 0, 10, NULL },
	{ "#GP of an address", MODE_LONG, &non_canonical, 13, 0, 10, NULL },
	{ "#GP of a selector", MODE_LONG, &load_beyond, 13, 0xff8, 5, NULL },
	{ "#GP of WRMSR", MODE_LONG, &wrmsr_bad, 13, 0, 5, NULL },
	{ "#GP of RDMSR", MODE_LONG, &rdmsr_bad, 13, 0, 5, NULL },
	{ "#GP of CR0", MODE_LONG, &cr0_bad, 13, 0, 5, NULL },
	{ "#GP of CR4", MODE_LONG, &cr4_bad, 13, 0, 5, NULL },
	{ "#GP of CR8", MODE_LONG, &cr8_bad, 13, 0, 5, NULL },
	{ "#GP of CR3", MODE_LONG, &cr3_bad, 13, 0, 10, NULL },
	{ "#GP of LIDT", MODE_LONG, &lidt_bad, 13, 0, 10, NULL },
	{ "#PF absent", MODE_LONG, &overrun, 14, 0, 0, unmap },
	{ "#PF absent write", MODE_LONG, &store, 14, 2, 0, unmap },
	{ "#PF protection", MODE_LONG, &store, 14, 3, 0, write_protect },
	{ "#PF reserved", MODE_LONG, &overrun, 14, 9, 0, reserved_bit },
	{ "#PF fetch", MODE_LONG, &call_nx, 14, 0x11, 0x50000 - GUEST_CODE, no_execute },
	{ "#MF", MODE_LONG, &math, 16, 0, 0, NULL },
	{ "#XM", MODE_LONG, &simd, 19, 0, 10, NULL },
};

static void try(struct __test_metadata *_metadata, const struct cause *cause)
{
	struct tfault fault;

	tvm_write_tables(vm->mem);
	tcpu_mode(cpu, cause->mode);
	if (cause->setup)
		cause->setup();
	tcpu_load(cpu, cause->code);
	EXPECT_EQ((int)cause->vector, tcpu_run_fault(cpu))
		TH_LOG("%s", cause->name);
	if (!tcpu_fault(cpu, &fault))
		return;
	EXPECT_EQ(cause->error, fault.error)
		TH_LOG("%s", cause->name);
	if (cause->vector != 8 && cause->vector != 16)
		EXPECT_EQ(GUEST_CODE + cause->offset, fault.rip)
			TH_LOG("%s", cause->name);
	if (cause->vector == 14)
		EXPECT_EQ(0x50000, tcpu_sregs(cpu).cr2 & ~0xfffUL)
			TH_LOG("%s", cause->name);
}

TEST(each_vector)
{
	unsigned int i;

	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
	for (i = 0; i < ARRAY_SIZE(causes); i++)
		try(_metadata, &causes[i]);
}

TEST_HARNESS_MAIN
