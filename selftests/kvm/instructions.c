// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions that leave the guest: VMX's own, caches, TLB, XSETBV.
 * Must not test registers or memory operands; control_regs.c and mmio.c do.
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

PROGRAM(vmxon, 64, "vmxon 0xc000; hlt");
PROGRAM(vmclear, 64, "vmclear 0xc000; hlt");
PROGRAM(vmptrld, 64, "vmptrld 0xc000; hlt");
PROGRAM(vmptrst, 64, "vmptrst 0xc000; hlt");
PROGRAM(vmread, 64, "vmread %rax, %rbx; hlt");
PROGRAM(vmwrite, 64, "vmwrite %rax, %rbx; hlt");
PROGRAM(vmlaunch, 64, "vmlaunch; hlt");
PROGRAM(vmresume, 64, "vmresume; hlt");
PROGRAM(vmxoff, 64, "vmxoff; hlt");
PROGRAM(invept, 64, "invept 0xc000, %rax; hlt");
PROGRAM(invvpid, 64, "invvpid 0xc000, %rax; hlt");
PROGRAM(vmfunc, 64, "vmfunc; hlt");

TEST(vmx_instructions_are_undefined)
{
	static const struct guest_code * const codes[] = {
		&vmxon, &vmclear, &vmptrld, &vmptrst, &vmread, &vmwrite, &vmlaunch, &vmresume,
		&vmxoff, &invept, &invvpid, &vmfunc,
	};
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[128];
	} table;
	unsigned int i;

	vm = tvm_create(0);
	cpu = tvm_vcpu_raw(vm, 0);
	/* No VMX in this guest's CPUID, whatever the device could do. */
	memcpy(&table, tvm_supported_cpuid(), sizeof(table));
	for (i = 0; i < table.head.nent; i++) {
		if (table.entries[i].function == 1)
			table.entries[i].ecx &= ~(1U << 5);
	}
	ASSERT_OK(ioctl(cpu->fd, KVM_SET_CPUID2, &table));
	tcpu_mode(cpu, MODE_LONG);
	for (i = 0; i < ARRAY_SIZE(codes); i++)
		EXPECT_EQ(UD, outcome(codes[i]))
			TH_LOG("instruction %u", i);
}

PROGRAM(vmcall, 64, "mov $0x1234, %eax; vmcall; hlt");

TEST(vmcall_without_features)
{
	setup();
	ASSERT_EQ(OK, outcome(&vmcall));
	EXPECT_EQ(-1000, (long)tcpu_regs(cpu).rax);
}

PROGRAM(wbinvd, 64, "wbinvd; hlt");
PROGRAM(invd, 64, "invd; hlt");
PROGRAM(spin_hint, 64, "pause; hlt");
PROGRAM(rdpmc, 64, "mov $0x1000, %ecx; rdpmc; hlt");
PROGRAM(monitor, 64, "mov $0xc000, %eax; xor %ecx, %ecx; xor %edx, %edx; monitor; hlt");
PROGRAM(mwait, 64, "xor %eax, %eax; xor %ecx, %ecx; mwait; hlt");
PROGRAM(rsm, 64, "rsm; hlt");
PROGRAM(getsec, 64, "xor %eax, %eax; .byte 0x0f, 0x37; hlt");
PROGRAM(encls, 64, ".byte 0x0f, 0x01, 0xcf; hlt");

TEST(caches_and_the_like)
{
	int result;

	setup();
	EXPECT_EQ(OK, outcome(&wbinvd));
	EXPECT_EQ(OK, outcome(&invd));
	EXPECT_EQ(OK, outcome(&spin_hint));
	EXPECT_EQ(GP, outcome(&rdpmc));
	/* No MWAIT in CPUID: KVM makes them NOPs, the architecture says #UD. */
	result = outcome(&monitor);
	EXPECT_TRUE(result == OK || result == UD);
	result = outcome(&mwait);
	EXPECT_TRUE(result == OK || result == UD);
	EXPECT_EQ(UD, outcome(&rsm));
	result = outcome(&getsec);
	EXPECT_TRUE(result == UD || result == GP);
	EXPECT_EQ(UD, outcome(&encls));
}

PROGRAM(invlpg, 64,
	"mov 0x30000, %rbx; movq $0x32003, " GUEST_STR(GUEST_PT) "+0x180;"
	"invlpg 0x30000; mov 0x30000, %rcx; hlt");
PROGRAM(invpcid, 64,
	"mov 0x34000, %rbx; movq $0x32003, " GUEST_STR(GUEST_PT) "+0x1a0;"
	"mov $2, %eax; invpcid 0xc000, %rax; mov 0x34000, %rcx; hlt");
PROGRAM(invpcid_type, 64, "mov $4, %eax; invpcid 0xc000, %rax; hlt");

TEST(tlb)
{
	const struct guest_code *codes[] = { &invlpg, &invpcid };
	struct kvm_regs regs;
	unsigned int i;

	setup();
	for (i = 0; i < 2; i++) {
		if (i && !tvm_cpuid_has(7, 0, 1, 10)) {
			EXPECT_EQ(UD, outcome(&invpcid));
			break;
		}
		/* As it has been since the guest began: only it changes its tables. */
		ASSERT_EQ(0x30000 + i * 0x4000, *tvm_pte(vm, 0x30000 + i * 0x4000) & ~0xfffUL);
		vm->mem[0x30000 + i * 0x4000] = 0x30;
		vm->mem[0x32000] = 0x32;
		ASSERT_EQ(OK, outcome(codes[i]));
		regs = tcpu_regs(cpu);
		EXPECT_EQ(0x30, regs.rbx);
		EXPECT_EQ(0x32, regs.rcx);
		if (i)
			EXPECT_EQ(GP, outcome(&invpcid_type));
	}
}

PROGRAM(xsetbv_no, 64, "xor %ecx, %ecx; xor %edx, %edx; mov $1, %eax; xsetbv; hlt");
PROGRAM(xsetbv_cases, 64,
	"mov %cr4, %rax; bts $18, %rax; mov %rax, %cr4; mov %r8d, %eax; mov %r9d, %edx;"
	"mov %r10d, %ecx; xsetbv; hlt");

static int xsetbv(u32 index, u64 value)
{
	struct kvm_regs regs;
	struct tfault fault;
	int reason;

	tcpu_load(cpu, &xsetbv_cases);
	regs = tcpu_regs(cpu);
	regs.r8 = value & 0xffffffff;
	regs.r9 = value >> 32;
	regs.r10 = index;
	tcpu_set_regs(cpu, &regs);
	reason = tcpu_run(cpu);
	if (reason == KVM_EXIT_HLT)
		return OK;
	return reason >= 0 && tcpu_fault(cpu, &fault) ? (int)fault.vector : -1;
}

TEST(extended_control_register)
{
	setup();
	/* CR4.OSXSAVE is off. */
	EXPECT_EQ(UD, outcome(&xsetbv_no));
	if (!tvm_cpuid_has(1, 0, 2, 26))
		SKIP(return, "the device offers no XSAVE");
	EXPECT_EQ(OK, xsetbv(0, 1));
	EXPECT_EQ(OK, xsetbv(0, 3));
	EXPECT_EQ(GP, xsetbv(0, 0));
	EXPECT_EQ(GP, xsetbv(0, 2));
	EXPECT_EQ(GP, xsetbv(0, 5));
	EXPECT_EQ(GP, xsetbv(0, BIT(62) | 3));
	EXPECT_EQ(GP, xsetbv(1, 3));
}

TEST_HARNESS_MAIN
