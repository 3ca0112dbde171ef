// SPDX-License-Identifier: GPL-2.0-only
/*
 * MMIO at its edges: page-crossing operands, other modes, faults, and unknown code.
 * Must not repeat the instruction forms of mmio.c.
 */
#include "ktap.h"
#include "tvm.h"

static struct tvm *vm;
static struct tcpu *cpu;

static void start(enum tmode mode, const struct guest_code *code, u64 rsi)
{
	struct kvm_regs regs;

	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
	tcpu_mode(cpu, mode);
	tcpu_load(cpu, code);
	regs = tcpu_regs(cpu);
	regs.rsi = rsi;
	regs.rdi = GUEST_DATA;
	regs.rax = 0x8877665544332211;
	tcpu_set_regs(cpu, &regs);
}

static void expect_mmio(struct __test_metadata *_metadata, u64 address, unsigned int len,
			bool is_write)
{
	ASSERT_EQ(KVM_EXIT_MMIO, tcpu_run(cpu))
		tcpu_explain(cpu);
	EXPECT_EQ(address, cpu->run->mmio.phys_addr);
	EXPECT_EQ(len, cpu->run->mmio.len);
	EXPECT_EQ(is_write, cpu->run->mmio.is_write);
}

PROGRAM(load, 64, "mov (%rsi), %rax; hlt");
PROGRAM(store, 64, "mov %rax, (%rsi); hlt");
PROGRAM(add, 64, "add %eax, (%rsi); hlt");

TEST(operand_over_two_mmio_pages)
{
	start(MODE_LONG, &load, GUEST_MMIO + 0xffd);
	expect_mmio(_metadata, GUEST_MMIO + 0xffd, 3, false);
	memcpy(cpu->run->mmio.data, "\x01\x02\x03", 3);
	expect_mmio(_metadata, GUEST_MMIO + 0x1000, 5, false);
	memcpy(cpu->run->mmio.data, "\x04\x05\x06\x07\x08", 5);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
	EXPECT_EQ(0x0807060504030201, tcpu_regs(cpu).rax);

	start(MODE_LONG, &store, GUEST_MMIO + 0xffe);
	expect_mmio(_metadata, GUEST_MMIO + 0xffe, 2, true);
	EXPECT_EQ(0, memcmp("\x11\x22", cpu->run->mmio.data, 2));
	expect_mmio(_metadata, GUEST_MMIO + 0x1000, 6, true);
	EXPECT_EQ(0, memcmp("\x33\x44\x55\x66\x77\x88", cpu->run->mmio.data, 6));
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
}

TEST(operand_over_memory_and_mmio)
{
	/* The slot ends at 640 KiB. */
	start(MODE_LONG, &load, GUEST_MMIO_LOW - 4);
	memcpy(vm->mem + GUEST_MMIO_LOW - 4, "\x0a\x0b\x0c\x0d", 4);
	expect_mmio(_metadata, GUEST_MMIO_LOW, 4, false);
	memcpy(cpu->run->mmio.data, "\x1a\x1b\x1c\x1d", 4);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
	EXPECT_EQ(0x1d1c1b1a0d0c0b0a, tcpu_regs(cpu).rax);

	start(MODE_LONG, &store, GUEST_MMIO_LOW - 2);
	expect_mmio(_metadata, GUEST_MMIO_LOW, 6, true);
	EXPECT_EQ(0, memcmp("\x33\x44\x55\x66\x77\x88", cpu->run->mmio.data, 6));
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
	EXPECT_EQ(0, memcmp("\x11\x22", vm->mem + GUEST_MMIO_LOW - 2, 2));
}

TEST(linear_pages_apart)
{
	/* Neighbouring linear pages lie in distant MMIO pages. */
	start(MODE_LONG, &load, 0x50ffc);
	*tvm_pte(vm, 0x50000) = (GUEST_MMIO + 0x9000) | 3;
	*tvm_pte(vm, 0x51000) = (GUEST_MMIO + 0x2000) | 3;
	expect_mmio(_metadata, GUEST_MMIO + 0x9ffc, 4, false);
	expect_mmio(_metadata, GUEST_MMIO + 0x2000, 4, false);
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
}

static void expect_page_fault(struct __test_metadata *_metadata, u64 error, u64 cr2)
{
	struct tfault fault;

	ASSERT_EQ(14, tcpu_run_fault(cpu));
	ASSERT_TRUE(tcpu_fault(cpu, &fault));
	EXPECT_EQ(error, fault.error);
	EXPECT_EQ(GUEST_CODE, fault.rip);
	EXPECT_EQ(cr2, tcpu_sregs(cpu).cr2);
}

TEST(second_page_faults)
{
	start(MODE_LONG, &load, 0x50ffc);
	*tvm_pte(vm, 0x50000) = GUEST_MMIO | 3;
	*tvm_pte(vm, 0x51000) = 0;
	expect_page_fault(_metadata, 0, 0x51000);

	start(MODE_LONG, &store, 0x50ffc);
	*tvm_pte(vm, 0x50000) = GUEST_MMIO | 3;
	*tvm_pte(vm, 0x51000) = 0;
	expect_page_fault(_metadata, 2, 0x51000);
}

TEST(write_protected_page_faults)
{
	struct kvm_sregs sregs;

	start(MODE_LONG, &store, 0x50010);
	sregs = tcpu_sregs(cpu);
	sregs.cr0 |= BIT(16);
	tcpu_set_sregs(cpu, &sregs);
	*tvm_pte(vm, 0x50000) = GUEST_MMIO | 1;
	expect_page_fault(_metadata, 3, 0x50010);
}

TEST(read_modify_write_keeps_its_read)
{
	start(MODE_LONG, &add, GUEST_MMIO);
	expect_mmio(_metadata, GUEST_MMIO, 4, false);
	memcpy(cpu->run->mmio.data, "\x01\x00\x00\x00", 4);
	expect_mmio(_metadata, GUEST_MMIO, 4, true);
	EXPECT_EQ(0, memcmp("\x12\x22\x33\x44", cpu->run->mmio.data, 4));
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
	EXPECT_EQ(GUEST_CODE + 3, tcpu_regs(cpu).rip);
}

PROGRAM(load32, 32, "mov 4(%esi), %eax; movzwl (%esi), %ecx; mov %cl, 1(%esi); hlt");

TEST(in_32_bit_modes)
{
	static const enum tmode modes[] = { MODE_PROT32, MODE_PAGED32, MODE_PAE };
	unsigned int i;

	for (i = 0; i < 3; i++) {
		start(modes[i], &load32, GUEST_MMIO);
		expect_mmio(_metadata, GUEST_MMIO + 4, 4, false);
		memcpy(cpu->run->mmio.data, "\x44\x33\x22\x91", 4);
		expect_mmio(_metadata, GUEST_MMIO, 2, false);
		memcpy(cpu->run->mmio.data, "\x99\xaa", 2);
		expect_mmio(_metadata, GUEST_MMIO + 1, 1, true);
		EXPECT_EQ(0x99, cpu->run->mmio.data[0]);
		ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
		EXPECT_EQ(0x91223344, tcpu_regs(cpu).rax);
		EXPECT_EQ(0xaa99, tcpu_regs(cpu).rcx);
	}
}

PROGRAM(real, 16,
	"mov $0xa000, %ax; mov %ax, %ds; mov %ax, %es; mov $0x10, %bx;"
	"mov (%bx), %ax; mov %al, 2(%bx); mov %eax, 4(%bx); mov $0x20, %di; stosw;"
	"mov $0xb800, %cx; mov %cx, %gs; mov $0x20, %edx; movw $0x1f41, %gs:(%edx); hlt");

TEST(in_real_mode)
{
	start(MODE_REAL, &real, 0);
	expect_mmio(_metadata, 0xa0010, 2, false);
	memcpy(cpu->run->mmio.data, "\x34\x12", 2);
	expect_mmio(_metadata, 0xa0012, 1, true);
	expect_mmio(_metadata, 0xa0014, 4, true);
	EXPECT_EQ(0, memcmp("\x34\x12\x33\x44", cpu->run->mmio.data, 2));
	expect_mmio(_metadata, 0xa0020, 2, true);
	expect_mmio(_metadata, 0xb8020, 2, true);
	EXPECT_EQ(0, memcmp("\x41\x1f", cpu->run->mmio.data, 2));
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
	EXPECT_EQ(0x22, tcpu_regs(cpu).rdi);
}

/* A segment limit inside the MMIO range: beyond it #GP, as the CPU would say itself. */
PROGRAM(limited, 32, "mov %fs:0xe, %al; mov %fs:0xf, %ax; hlt");

TEST(segment_limit)
{
	struct kvm_sregs sregs;
	struct tfault fault;

	start(MODE_PROT32, &limited, 0);
	sregs = tcpu_sregs(cpu);
	sregs.fs.base = GUEST_MMIO;
	sregs.fs.limit = 0xf;
	sregs.fs.g = 0;
	tcpu_set_sregs(cpu, &sregs);
	expect_mmio(_metadata, GUEST_MMIO + 0xe, 1, false);
	ASSERT_EQ(13, tcpu_run_fault(cpu));
	ASSERT_TRUE(tcpu_fault(cpu, &fault));
	EXPECT_EQ(0, fault.error);
	EXPECT_EQ(GUEST_CODE + 6, fault.rip);
}

TEST(fetch_from_mmio_is_an_internal_error)
{
	int reason;

	start(MODE_LONG, &load, 0);
	tcpu_set_rip(cpu, GUEST_MMIO, false);
	reason = tcpu_run(cpu);
	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, reason);
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, cpu->run->internal.suberror);
	EXPECT_EQ(GUEST_MMIO, tcpu_regs(cpu).rip);
}

PROGRAM(unknown, 64, "fldenv (%rsi); hlt");

TEST(unknown_instruction_is_an_internal_error)
{
	start(MODE_LONG, &unknown, GUEST_MMIO);
	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, tcpu_run(cpu));
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, cpu->run->internal.suberror);
	EXPECT_EQ(GUEST_CODE, tcpu_regs(cpu).rip);
}

PROGRAM(many, 64, "1: mov %al, (%rsi); inc %rsi; dec %ecx; jnz 1b; hlt");

TEST(thousand_writes)
{
	struct kvm_regs regs;
	unsigned int i;

	start(MODE_LONG, &many, GUEST_MMIO);
	regs = tcpu_regs(cpu);
	regs.rcx = 1000;
	tcpu_set_regs(cpu, &regs);
	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(KVM_EXIT_MMIO, tcpu_run(cpu));
		ASSERT_EQ(GUEST_MMIO + i, cpu->run->mmio.phys_addr);
	}
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
}

TEST_HARNESS_MAIN
