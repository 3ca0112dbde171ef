// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests in every CPU mode, and a guest that walks through all of them by itself.
 * Must not test what a mode's faults look like in detail; exceptions.c does.
 */
#include <string.h>

#include "ktap.h"
#include "tvm.h"

#define CR0_PE 1UL
#define CR0_PG BIT(31)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define EFER_LMA BIT(10)

#define STORE_AND_HALT \
	"mov $0x1234, %ax; mov %ax, %bx; push %ax; pop %cx;" \
	"mov %bx, " GUEST_STR(GUEST_DATA) "; inc %bx; hlt"

PROGRAM(store16, 16, STORE_AND_HALT);
PROGRAM(store32, 32, STORE_AND_HALT);
PROGRAM(store64, 64, STORE_AND_HALT);

static const struct guest_code *store_code(enum tmode mode)
{
	if (mode == MODE_LONG)
		return &store64;
	return mode == MODE_REAL || mode == MODE_PROT16 ? &store16 : &store32;
}

TEST(each_mode_runs)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	struct kvm_regs regs;
	enum tmode mode;
	u16 stored;

	for (mode = MODE_REAL; mode < MODE_COUNT; mode++) {
		memset(vm->mem + GUEST_DATA, 0, 16);
		tcpu_mode(cpu, mode);
		tcpu_load(cpu, store_code(mode));
		EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(cpu)) {
			TH_LOG("in %s", tmode_name(mode));
			tcpu_explain(cpu);
		}
		memcpy(&stored, vm->mem + GUEST_DATA, 2);
		EXPECT_EQ(0x1234, stored);
		regs = tcpu_regs(cpu);
		EXPECT_EQ(0x1235, regs.rbx);
		EXPECT_EQ(0x1234, regs.rcx);
		EXPECT_EQ(GUEST_CODE, regs.rsp);
		EXPECT_EQ(GUEST_CODE + (store_code(mode)->end - store_code(mode)->start),
			  regs.rip);
	}
}

PROGRAM(invalid, 32, "ud2");

TEST(each_mode_takes_an_exception)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	struct tfault fault;
	enum tmode mode;

	for (mode = MODE_REAL; mode < MODE_COUNT; mode++) {
		tcpu_mode(cpu, mode);
		tcpu_load(cpu, &invalid);
		ASSERT_EQ(6, tcpu_run_fault(cpu))
			TH_LOG("in %s", tmode_name(mode));
		ASSERT_TRUE(tcpu_fault(cpu, &fault));
		EXPECT_EQ(GUEST_CODE, fault.rip);
		EXPECT_EQ(0, fault.error);
		/* The handler returns to the same instruction, which faults again. */
		EXPECT_EQ(6, tcpu_run_fault(cpu));
	}
}

PROGRAM(tour, 16,
	"cli; lgdtl " AT(tour, 9f) ";"
	"mov %cr0, %eax; or $1, %al; mov %eax, %cr0;"
	"ljmpl $" GUEST_STR(SEL_CODE32) ", $" AT(tour, 1f) ";"
	".code32;"
	"1: mov $" GUEST_STR(SEL_DATA) ", %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %ss;"
	"mov $1, %al; out %al, $" GUEST_STR(PORT_TEST) ";"
	/* 32-bit paging, then off again. */
	"mov $" GUEST_STR(GUEST_PD32) ", %eax; mov %eax, %cr3;"
	"mov %cr4, %eax; or $0x10, %eax; mov %eax, %cr4;"
	"mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0;"
	"mov $2, %al; out %al, $" GUEST_STR(PORT_TEST) ";"
	"mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0;"
	/* PAE paging. */
	"mov $" GUEST_STR(GUEST_PDPT_PAE) ", %eax; mov %eax, %cr3;"
	"mov %cr4, %eax; or $0x20, %eax; and $~0x10, %eax; mov %eax, %cr4;"
	"mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0;"
	"mov $3, %al; out %al, $" GUEST_STR(PORT_TEST) ";"
	"mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0;"
	/* Long mode: compatibility mode first, 64-bit code by the jump. */
	"mov $0xc0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr;"
	"mov $" GUEST_STR(GUEST_PML4) ", %eax; mov %eax, %cr3;"
	"mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0;"
	"mov $4, %al; out %al, $" GUEST_STR(PORT_TEST) ";"
	"ljmpl $" GUEST_STR(SEL_CODE64) ", $" AT(tour, 2f) ";"
	".code64;"
	"2: mov $0x123456789abcdef0, %rbx; mov %rbx, %r15;"
	"mov $5, %al; out %al, $" GUEST_STR(PORT_TEST) ";"
	"pushq $" GUEST_STR(SEL_CODE32) "; pushq $" AT(tour, 3f) "; lretq;"
	/* Back: compatibility mode, no paging, 16-bit segments, real mode. */
	".code32;"
	"3: mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0;"
	"mov $0xc0000080, %ecx; rdmsr; and $~0x100, %eax; wrmsr;"
	"mov %cr4, %eax; and $~0x20, %eax; mov %eax, %cr4;"
	"mov $6, %al; out %al, $" GUEST_STR(PORT_TEST) ";"
	"ljmpl $" GUEST_STR(SEL_CODE16) ", $" AT(tour, 4f) ";"
	".code16;"
	"4: mov $" GUEST_STR(SEL_DATA16) ", %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %ss;"
	"mov %cr0, %eax; and $0xfe, %al; mov %eax, %cr0;"
	"ljmp $0, $" AT(tour, 5f) ";"
	"5: mov $0x2000, %ax; mov %ax, %ds; movw $0x5aa5, 0x10;"
	"xor %ax, %ax; mov %ax, %ss;"
	"mov $7, %al; out %al, $" GUEST_STR(PORT_TEST) "; hlt;"
	".balign 4; 9: .word 0x7f; .long " GUEST_STR(GUEST_GDT));

TEST(guest_walks_through_all_modes)
{
	static const struct {
		u64 cr0, cr4, efer;
		u8 db, l;
	} stops[] = {
		{ CR0_PE, 0, 0, 1, 0 },
		{ CR0_PE | CR0_PG, CR4_PSE, 0, 1, 0 },
		{ CR0_PE | CR0_PG, CR4_PAE, 0, 1, 0 },
		{ CR0_PE | CR0_PG, CR4_PAE, EFER_LMA, 1, 0 },
		{ CR0_PE | CR0_PG, CR4_PAE, EFER_LMA, 0, 1 },
		{ CR0_PE, 0, 0, 1, 0 },
		{ 0, 0, 0, 0, 0 },
	};
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	struct kvm_sregs sregs;
	unsigned int i;

	tcpu_mode(cpu, MODE_REAL);
	tcpu_load(cpu, &tour);
	for (i = 0; i < ARRAY_SIZE(stops); i++) {
		ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu)) {
			TH_LOG("at stop %u", i);
			tcpu_explain(cpu);
		}
		ASSERT_TRUE(tcpu_is_out(cpu, PORT_TEST));
		ASSERT_EQ(i + 1, *(u8 *)tcpu_io_data(cpu));
		sregs = tcpu_sregs(cpu);
		EXPECT_EQ(stops[i].cr0, sregs.cr0 & (CR0_PE | CR0_PG));
		EXPECT_EQ(stops[i].cr4, sregs.cr4 & (CR4_PSE | CR4_PAE));
		EXPECT_EQ(stops[i].efer, sregs.efer & EFER_LMA);
		EXPECT_EQ(stops[i].db, sregs.cs.db);
		EXPECT_EQ(stops[i].l, sregs.cs.l);
	}
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
	EXPECT_EQ(0xa5, vm->mem[0x20010]);
	EXPECT_EQ(0x5a, vm->mem[0x20011]);
	EXPECT_EQ(0x2000, tcpu_sregs(cpu).ds.selector);
	EXPECT_EQ(0x20000, tcpu_sregs(cpu).ds.base);
	EXPECT_EQ(0x123456789abcdef0, tcpu_regs(cpu).r15);
}

/* Real mode keeps the hidden limit that protected mode loaded ("unreal mode"). */
PROGRAM(unreal, 16,
	"mov %cr0, %eax; or $1, %al; mov %eax, %cr0;"
	"mov $" GUEST_STR(SEL_DATA) ", %bx; mov %bx, %fs;"
	"and $0xfe, %al; mov %eax, %cr0;"
	"ljmp $0, $" AT(unreal, 1f) ";"
	"1: mov $0x200000, %esi; movl $0xfeedface, %fs:(%esi); hlt");

TEST(big_real_mode)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	u32 stored;

	tcpu_mode(cpu, MODE_REAL);
	tcpu_load(cpu, &unreal);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu))
		tcpu_explain(cpu);
	memcpy(&stored, vm->mem + 0x200000, 4);
	EXPECT_EQ(0xfeedface, stored);
}

PROGRAM(int_real, 16,
	"mov $0x1111, %ax; int $0x40; mov $0x3333, %cx; hlt; 1: mov $0x2222, %bx; iret");

TEST(software_interrupt_in_real_mode)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);

	tcpu_mode(cpu, MODE_REAL);
	tcpu_load(cpu, &int_real);
	/* The handler is the code behind the HLT: three, two, three and one byte long. */
	tvm_gate(cpu, 0x40, GUEST_CODE + 9);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu))
		tcpu_explain(cpu);
	EXPECT_EQ(0x2222, tcpu_regs(cpu).rbx);
	EXPECT_EQ(0x3333, tcpu_regs(cpu).rcx);
}

/*
 * What real mode costs on the CPU, in ticks: 60000 rounds with stores and PUSHF. The emulator would
 * take thousands for each instruction.
 */
PROGRAM(rounds16, 16,
	"rdtsc; mov %eax, %esi; mov $60000, %cx;"
	"1: mov %cx, " GUEST_STR(GUEST_DATA) "; pushf; popf; cli; sti; loop 1b;"
	"rdtsc; sub %esi, %eax; cli; hlt");

TEST(real_mode_runs_on_the_cpu)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	struct kvm_regs regs;

	tcpu_mode(cpu, MODE_REAL);
	tcpu_load(cpu, &rounds16);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu))
		tcpu_explain(cpu);
	regs = tcpu_regs(cpu);
	EXPECT_GT(100 * 60000, (u32)regs.rax);
	EXPECT_EQ(0, regs.rflags & 0x23000);
}

PROGRAM(read_high, 64, "mov (%rsi), %rax; hlt");

TEST(own_page_tables)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	u64 value = 0x1122334455667788;
	struct kvm_regs regs;

	/* 0x180000 leads to 0x20000, and the vCPU sees the accessed bit it sets itself. */
	memcpy(vm->mem + 0x20000, &value, 8);
	*tvm_pte(vm, 0x180000) = 0x20000 | 3;
	tcpu_load(cpu, &read_high);
	regs = tcpu_regs(cpu);
	regs.rsi = 0x180000;
	tcpu_set_regs(cpu, &regs);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu))
		tcpu_explain(cpu);
	EXPECT_EQ(value, tcpu_regs(cpu).rax);
	EXPECT_EQ(0x20 | 3, *tvm_pte(vm, 0x180000) & 0xfff);
}

TEST_HARNESS_MAIN
