// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exceptions that the guest causes and handles itself: vector, error code, where it points.
 * Must not test interrupts from outside.
 */
#include <sys/mman.h>

#include "ktap.h"
#include "tvm.h"

#define CR0_TS 8
#define CR0_WP 0x10000
#define NX (1UL << 63)

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
	uint64_t error;
	unsigned int offset;
	void (*setup)(void);
};

static void change_cr0(uint64_t set, uint64_t clear)
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
	*tvm_pte(vm, 0x50000) = 1UL << 51 | 0x50000 | 3;
}

static void no_execute(void)
{
	struct kvm_sregs sregs = tcpu_sregs(cpu);

	sregs.efer |= 1UL << 11;
	tcpu_set_sregs(cpu, &sregs);
	*tvm_pte(vm, 0x50000) = NX | 0x50000 | 3;
}

static void absent_segment(void)
{
	/* Data, DPL 0, not present. */
	*(uint64_t *)(vm->mem + GUEST_GDT + SEL_FREE) = 0x00cf12000000ffff;
}

static void absent_gate(void)
{
	uint64_t *idt = (uint64_t *)(vm->mem + GUEST_IDT);

	idt[2 * 0x55] &= ~(1UL << 47);
}

static void no_page_fault_gate(void)
{
	uint64_t *idt = (uint64_t *)(vm->mem + GUEST_IDT);

	idt[2 * 14] &= ~(1UL << 47);
	unmap();
}

GUEST(divide, 64, "nop; xor %ecx, %ecx; mov $1, %eax; xor %edx, %edx; div %ecx");
GUEST(breakpoint, 64, "nop; int3");
GUEST(icebp, 64, "nop; .byte 0xf1");
GUEST(single_step, 64, "pushq $0x102; popfq; nop; nop; hlt");
GUEST(overflow, 32, "mov $0x7f, %al; add $1, %al; into");
GUEST(bound, 32, "mov $9, %eax; bound %eax, " AT(bound, 1f) "; 1: .long 0, 8");
GUEST(invalid, 64, "nop; ud2");
GUEST(device, 64, "fld1");
GUEST(overrun, 64, "mov 0x50000, %rax");
GUEST(store, 64, "mov %rax, 0x50008");
GUEST(call_nx, 64, "mov $0x50000, %eax; jmp *%rax");
GUEST(non_canonical, 64, "mov $0x8000000000000000, %rax; mov (%rax), %eax");
GUEST(stack, 64, "mov $0x8000000000000000, %rbp; mov (%rbp), %eax");
GUEST(load_absent, 64, "mov $" GUEST_STR(SEL_FREE) ", %eax; mov %eax, %ds");
GUEST(load_absent_ss, 64, "mov $" GUEST_STR(SEL_FREE) ", %eax; mov %eax, %ss");
GUEST(load_beyond, 64, "mov $0xff8, %eax; mov %eax, %ds");
GUEST(software, 64, "int $0x55");
GUEST(wrmsr_bad, 64, "mov $0x12345678, %ecx; wrmsr");
GUEST(rdmsr_bad, 64, "mov $0x12345678, %ecx; rdmsr");
GUEST(cr0_bad, 64, "mov $0x80000000, %eax; mov %rax, %cr0");
GUEST(cr4_bad, 64, "mov $0x80000020, %eax; mov %rax, %cr4");
GUEST(cr8_bad, 64, "mov $0x10, %eax; mov %rax, %cr8");
GUEST(cr3_bad, 64, "mov $0x4000000000010000, %rax; mov %rax, %cr3");
GUEST(cr1, 64, ".byte 0x0f, 0x20, 0xc8");
GUEST(math, 64,
      "fninit; fldcw 1f(%rip); fld1; fldz; fdivrp; fwait; hlt; 1: .word 0x37b");
GUEST(simd, 64,
      "xorps %xmm0, %xmm0; ldmxcsr 1f(%rip); divps %xmm0, %xmm0; hlt; 1: .long 0");
GUEST(lidt_bad, 64, "mov $0x8000000000000000, %rax; lidt (%rax)");

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
	for (i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
		try(_metadata, &causes[i]);
}

GUEST(step_all, 64, "pushq $0x102; popfq; nop; cpuid; rdtsc; mov %cr0, %rax; hlt");

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
		EXPECT_EQ(1UL << 14, regs.dr6 & 1UL << 14);
	}
}

GUEST(watch, 64,
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
GUEST(ring3, 64,
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
	(*(uint64_t *)(vm->mem + fault.frame))++;
	ASSERT_EQ(14, tcpu_run_fault(cpu));
	ASSERT_TRUE(tcpu_fault(cpu, &fault));
	EXPECT_EQ(5, fault.error);
	EXPECT_EQ(0x60000, tcpu_sregs(cpu).cr2);
	*(uint64_t *)(vm->mem + fault.frame) += 3;
	EXPECT_EQ(13, tcpu_run_fault(cpu));
}

GUEST(syscalls, 64,
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
	uint8_t *mem = tvm_map(PAGE);
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

static void bad_tr_type(struct kvm_sregs *sregs)
{
	sregs->tr.type = 1;
}

static void bad_tr_base(struct kvm_sregs *sregs)
{
	sregs->tr.base = 1UL << 63;
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
