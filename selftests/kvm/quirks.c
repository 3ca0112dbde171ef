// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CAP_DISABLE_QUIRKS2: each quirk as it is by default, and without it.
 * Must not rely on a quirk that the device does not list.
 */
#include "ktap.h"
#include "tvm.h"

#define UD 6
#define QUIRK_STUFF_FEATURE_MSRS BIT(8)	/* younger than some headers */
#define MSR_PLATFORM_INFO 0xce
#define MSR_MISC_ENABLE 0x1a0
#define MISC_ENABLE_MWAIT BIT(18)
#define MSR_APIC_BASE 0x1b
#define LVT_LINT0 0x350

static int disable_quirks(struct tvm *vm, u64 cap, u64 quirks)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { quirks } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &enable);
}

static bool offered(struct tvm *vm, u64 quirk)
{
	return tvm_cap(vm, KVM_CAP_DISABLE_QUIRKS2) & quirk;
}

/* A VM with or without one quirk. */
static struct tvm *make(unsigned int flags, u64 quirk, bool without)
{
	struct tvm *vm = tvm_create(flags);

	if (without && tvm_err(disable_quirks(vm, KVM_CAP_DISABLE_QUIRKS2, quirk)))
		tvm_die("quirk %#llx cannot be disabled", (unsigned long long)quirk);
	return vm;
}

static void discard(struct tcpu *cpu)
{
	struct tvm *vm = cpu->vm;

	tcpu_destroy(cpu);
	tvm_destroy(vm);
}

TEST(capability)
{
	struct tvm *vm = tvm_create(0);
	u64 all = tvm_cap(vm, KVM_CAP_DISABLE_QUIRKS2);

	EXPECT_EQ(1, tvm_cap(vm, KVM_CAP_DISABLE_QUIRKS));
	EXPECT_EQ(0x7f, all & 0x7f);
	EXPECT_ERR(EINVAL, disable_quirks(vm, KVM_CAP_DISABLE_QUIRKS2, BIT(40)));
	EXPECT_ERR(EINVAL, disable_quirks(vm, KVM_CAP_DISABLE_QUIRKS2, all | BIT(40)));
	EXPECT_OK(disable_quirks(vm, KVM_CAP_DISABLE_QUIRKS, BIT(40)));
	EXPECT_OK(disable_quirks(vm, KVM_CAP_DISABLE_QUIRKS2, all));
	tvm_destroy(vm);
}

static u32 lint0_lvt(bool without)
{
	struct tcpu *cpu = tvm_vcpu(make(TVM_IRQCHIP, KVM_X86_QUIRK_LINT0_REENABLED, without), 0);
	struct kvm_lapic_state state;
	u32 value;

	if (ioctl(cpu->fd, KVM_GET_LAPIC, &state))
		tvm_die("KVM_GET_LAPIC");
	value = *(u32 *)(state.regs + LVT_LINT0);
	discard(cpu);
	return value;
}

TEST(lint0)
{
	EXPECT_EQ(0x700, lint0_lvt(false));
	EXPECT_EQ(0x10000, lint0_lvt(true));
}

PROGRAM(read_apic, 64, "mov $0xfee00030, %edx; mov (%rdx), %eax; hlt");

TEST(apic_page)
{
	struct tcpu *cpu;
	u64 base;
	int i;

	if (!tvm_is_kvmlet())
		SKIP(return, "others may have mapped a page of theirs there");
	for (i = 0; i < 2; i++) {
		cpu = tvm_vcpu(make(TVM_IRQCHIP, KVM_X86_QUIRK_LAPIC_MMIO_HOLE, i), 0);
		ASSERT_TRUE(tcpu_get_msr(cpu, MSR_APIC_BASE, &base));
		ASSERT_TRUE(tcpu_set_msr(cpu, MSR_APIC_BASE, base & ~BIT(11)));
		if (i) {
			tcpu_load(cpu, &read_apic);
			ASSERT_EQ(KVM_EXIT_MMIO, tcpu_run(cpu));
			EXPECT_EQ(0xfee00030, cpu->run->mmio.phys_addr);
		} else {
			EXPECT_EQ(0xffffffff, tcpu_read32(cpu, 0xfee00030));
		}
		discard(cpu);
	}
}

PROGRAM(out_7e, 64, "out %al, $0x7e; hlt");

TEST(port_7e)
{
	struct tcpu *cpu;
	int i;

	for (i = 0; i < 2; i++) {
		cpu = tvm_vcpu(make(0, KVM_X86_QUIRK_OUT_7E_INC_RIP, i), 0);
		tcpu_load(cpu, &out_7e);
		ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
		EXPECT_EQ(GUEST_CODE + (i ? 0 : 2), tcpu_regs(cpu).rip);
		ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
		discard(cpu);
	}
}

PROGRAM(monitor, 64,
	"mov $0xc000, %eax; xor %ecx, %ecx; xor %edx, %edx; monitor; xor %eax, %eax; mwait; hlt");
PROGRAM(cpuid_1, 64, "mov $1, %eax; cpuid; hlt");

TEST(monitor_mwait)
{
	struct tfault fault;
	struct tcpu *cpu;
	int i;

	for (i = 0; i < 2; i++) {
		cpu = tvm_vcpu(make(0, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS, i), 0);
		tcpu_load(cpu, &monitor);
		EXPECT_EQ(i ? KVM_EXIT_IO : KVM_EXIT_HLT, tcpu_run(cpu));
		EXPECT_EQ(i, tcpu_fault(cpu, &fault) && fault.vector == UD);
		discard(cpu);
	}
}

TEST(misc_enable)
{
	struct tcpu *cpu;
	u64 value;
	int i;

	for (i = 0; i < 2; i++) {
		cpu = tvm_vcpu(make(0, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT, i), 0);
		ASSERT_TRUE(tcpu_rdmsr(cpu, MSR_MISC_ENABLE, &value));
		ASSERT_TRUE(tcpu_wrmsr(cpu, MSR_MISC_ENABLE, value | MISC_ENABLE_MWAIT));
		tcpu_load(cpu, &cpuid_1);
		ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
		EXPECT_EQ(i, tcpu_regs(cpu).rcx >> 3 & 1);
		discard(cpu);
	}
}

PROGRAM(vmmcall, 64, "mov $0x1234, %eax; vmmcall; hlt");
/* The instruction's three bytes lie in two pages. */
PROGRAM(vmmcall_across, 64, "mov $0x1234, %eax; jmp 1f; .org guest_vmmcall_across_start + 0xffe;"
	"1: vmmcall; hlt");

TEST(hypercall_instruction)
{
	struct tcpu *cpu;
	int i;

	for (i = 0; i < 2; i++) {
		cpu = tvm_vcpu(make(0, KVM_X86_QUIRK_FIX_HYPERCALL_INSN, i), 0);
		tcpu_load(cpu, &vmmcall);
		if (i) {
			EXPECT_EQ(UD, tcpu_run_fault(cpu));
		} else {
			ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
			EXPECT_EQ(-1000, (long)tcpu_regs(cpu).rax);
			EXPECT_EQ(0xc1, cpu->vm->mem[GUEST_CODE + 7]);
			tcpu_load(cpu, &vmmcall_across);
			ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
			EXPECT_EQ(-1000, (long)tcpu_regs(cpu).rax);
			EXPECT_EQ(0xc1, cpu->vm->mem[GUEST_CODE + 0x1000]);
		}
		discard(cpu);
	}
}

TEST(feature_msrs)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu;
	u64 value;

	if (!offered(vm, QUIRK_STUFF_FEATURE_MSRS))
		SKIP(return, "the device has no such quirk");
	tvm_destroy(vm);
	cpu = tvm_vcpu_raw(make(0, QUIRK_STUFF_FEATURE_MSRS, false), 0);
	ASSERT_TRUE(tcpu_get_msr(cpu, MSR_PLATFORM_INFO, &value));
	EXPECT_EQ(BIT(31), value);
	discard(cpu);
	cpu = tvm_vcpu_raw(make(0, QUIRK_STUFF_FEATURE_MSRS, true), 0);
	ASSERT_TRUE(tcpu_get_msr(cpu, MSR_PLATFORM_INFO, &value));
	EXPECT_EQ(0, value);
	discard(cpu);
}

TEST_HARNESS_MAIN
