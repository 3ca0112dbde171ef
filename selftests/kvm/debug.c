// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_SET_GUEST_DEBUG: breakpoints and single steps of user space, and what the guest sees of them.
 * Must not test the guest's own use of its debug registers beyond what debugging disturbs.
 */
#include "ktap.h"
#include "tvm.h"

#define DB 1
#define BP 3
#define DR6_ONES 0xffff0ff0ULL
#define DR6_BS BIT(14)
#define DR6_BD BIT(13)
#define TF BIT(8)

#define STEP (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)
#define STEP_BLOCKED (STEP | KVM_GUESTDBG_BLOCKIRQ)
#define HW_BP (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP)
#define SW_BP (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP)

FIXTURE(debug)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

FIXTURE_SETUP(debug)
{
	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
}

FIXTURE_TEARDOWN(debug)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

static int set_debug(struct tcpu *cpu, u32 control, unsigned int dr, u64 address, u64 dr7)
{
	struct kvm_guest_debug debug = { .control = control };

	debug.arch.debugreg[dr] = address;
	debug.arch.debugreg[7] = dr7 | 0x400;
	return tvm_err(ioctl(cpu->fd, KVM_SET_GUEST_DEBUG, &debug));
}

/* The last run ended in KVM_EXIT_DEBUG, so many bytes behind the code's start. */
#define EXPECT_DEBUG(vector, offset, bits) do { \
	struct kvm_debug_exit_arch *_d = &self->cpu->run->debug.arch; \
	unsigned int _v = (vector); \
	EXPECT_EQ(KVM_EXIT_DEBUG, self->cpu->run->exit_reason); \
	EXPECT_EQ(_v, _d->exception); \
	EXPECT_EQ(GUEST_CODE + (offset), _d->pc); \
	if (_v == DB) \
		EXPECT_EQ(DR6_ONES | (bits), _d->dr6); \
} while (0)

#define EXPECT_STEP(offset) do { \
	EXPECT_EQ(KVM_EXIT_DEBUG, tcpu_run(self->cpu)); \
	EXPECT_DEBUG(DB, offset, DR6_BS); \
} while (0)

PROGRAM(int3, 64, "nop; int3; hlt");

TEST_F(debug, software_breakpoint)
{
	struct tfault fault;

	tcpu_load(self->cpu, &int3);
	ASSERT_EQ(0, set_debug(self->cpu, SW_BP, 0, 0, 0));
	EXPECT_EQ(KVM_EXIT_DEBUG, tcpu_run(self->cpu));
	EXPECT_DEBUG(BP, 1, 0);
	/* It is a fault to user space: nothing has moved. */
	EXPECT_EQ(GUEST_CODE + 1, tcpu_regs(self->cpu).rip);
	EXPECT_EQ(KVM_EXIT_DEBUG, tcpu_run(self->cpu));
	/* Not user space's after all: the guest gets it, as a trap. */
	ASSERT_EQ(0, set_debug(self->cpu, SW_BP | KVM_GUESTDBG_INJECT_BP, 0, 0, 0));
	ASSERT_EQ(BP, tcpu_run_fault(self->cpu));
	ASSERT_TRUE(tcpu_fault(self->cpu, &fault));
	EXPECT_EQ(GUEST_CODE + 2, fault.rip);
	/* And without debugging. */
	ASSERT_EQ(0, set_debug(self->cpu, 0, 0, 0, 0));
	tcpu_mode(self->cpu, MODE_LONG);
	tcpu_load(self->cpu, &int3);
	EXPECT_EQ(BP, tcpu_run_fault(self->cpu));
}

PROGRAM(touch, 64, "nop; nop; movl $5, 0xc000; nop; hlt");

TEST_F(debug, hardware_breakpoint)
{
	unsigned int i;

	for (i = 0; i < 4; i++) {
		tcpu_load(self->cpu, &touch);
		ASSERT_EQ(0, set_debug(self->cpu, HW_BP, i, GUEST_CODE + 1, 2ULL << 2 * i));
		EXPECT_EQ(KVM_EXIT_DEBUG, tcpu_run(self->cpu));
		EXPECT_DEBUG(DB, 1, BIT(i));
		/* Four bytes, writes. */
		ASSERT_EQ(0, set_debug(self->cpu, HW_BP, i, 0xc000,
				       2ULL << 2 * i | 0xd0000ULL << 4 * i));
		EXPECT_EQ(KVM_EXIT_DEBUG, tcpu_run(self->cpu));
		EXPECT_DEBUG(DB, 13, BIT(i));
		ASSERT_EQ(0, set_debug(self->cpu, 0, 0, 0, 0));
		EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
	}
}

PROGRAM(own_drs, 64,
	"mov $0x9000, %eax; mov %rax, %dr0; mov $0x402, %eax; mov %rax, %dr7;"
	"mov %dr0, %rbx; mov %dr7, %rcx; hlt");
PROGRAM(at_9000, 64, ".org guest_at_9000_start + 0x1000; nop; hlt");

TEST_F(debug, guest_keeps_its_own_registers)
{
	struct kvm_debugregs regs;
	struct tfault fault;

	tcpu_load(self->cpu, &own_drs);
	ASSERT_EQ(0, set_debug(self->cpu, HW_BP, 0, 0x7777, 2));
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
	EXPECT_EQ(0x9000, tcpu_regs(self->cpu).rbx);
	EXPECT_EQ(0x402, tcpu_regs(self->cpu).rcx);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_DEBUGREGS, &regs));
	EXPECT_EQ(0x9000, regs.db[0]);
	EXPECT_EQ(0x402, regs.dr7);
	/* The guest's breakpoint is not in effect beside user space's, and then it is. */
	tcpu_load(self->cpu, &at_9000);
	tcpu_set_rip(self->cpu, 0x9000, false);
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
	ASSERT_EQ(0, set_debug(self->cpu, 0, 0, 0, 0));
	tcpu_set_rip(self->cpu, 0x9000, false);
	EXPECT_EQ(DB, tcpu_run_fault(self->cpu));
	ASSERT_TRUE(tcpu_fault(self->cpu, &fault));
	EXPECT_EQ(0x9000, fault.rip);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_DEBUGREGS, &regs));
	EXPECT_EQ(1, regs.dr6 & 15);
}

TEST_F(debug, general_detect)
{
	tcpu_load(self->cpu, &own_drs);
	ASSERT_EQ(0, set_debug(self->cpu, HW_BP, 0, 0, BIT(13)));
	EXPECT_EQ(KVM_EXIT_DEBUG, tcpu_run(self->cpu));
	EXPECT_DEBUG(DB, 5, DR6_BD);
}

PROGRAM(plain, 64, "nop; xor %eax, %eax; cpuid; mov %cr0, %rax; mov %rax, %cr0; pushf; hlt");

TEST_F(debug, step)
{
	static const u8 offsets[] = { 1, 3, 5, 8, 11, 12 };
	struct kvm_regs regs;
	unsigned int i;

	tcpu_load(self->cpu, &plain);
	ASSERT_EQ(0, set_debug(self->cpu, STEP, 0, 0, 0));
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		EXPECT_STEP(offsets[i]);
		EXPECT_EQ(0, tcpu_regs(self->cpu).rflags & TF);
	}
	/* Registers may be written in between, and steps go on. */
	regs = tcpu_regs(self->cpu);
	regs.rip = GUEST_CODE;
	tcpu_set_regs(self->cpu, &regs);
	ASSERT_EQ(0, set_debug(self->cpu, STEP, 0, 0, 0));
	EXPECT_STEP(1);
	ASSERT_EQ(0, set_debug(self->cpu, 0, 0, 0, 0));
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
	EXPECT_EQ(0, tcpu_regs(self->cpu).rflags & TF);
}

PROGRAM(ports, 64, "out %al, $0xe0; in $0xe0, %al; mov $0xe0, %edx; mov $0xc000, %edi; insb; hlt");

TEST_F(debug, step_over_ports)
{
	tcpu_load(self->cpu, &ports);
	ASSERT_EQ(0, set_debug(self->cpu, STEP, 0, 0, 0));
	EXPECT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	EXPECT_STEP(2);
	EXPECT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	EXPECT_STEP(4);
	EXPECT_STEP(9);
	EXPECT_STEP(14);
	EXPECT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	EXPECT_STEP(15);
}

PROGRAM(device, 64, "mov 0xa0000, %eax; mov %eax, 0xa0000; nop; hlt");

TEST_F(debug, step_over_mmio)
{
	tcpu_load(self->cpu, &device);
	ASSERT_EQ(0, set_debug(self->cpu, STEP, 0, 0, 0));
	EXPECT_EQ(KVM_EXIT_MMIO, tcpu_run(self->cpu));
	EXPECT_STEP(7);
	EXPECT_EQ(KVM_EXIT_MMIO, tcpu_run(self->cpu));
	EXPECT_EQ(1, self->cpu->run->mmio.is_write);
	/* The in-tree device forgets the step here. */
	if (tvm_is_kvmlet()) {
		EXPECT_STEP(14);
		EXPECT_STEP(15);
	}
}

PROGRAM(shadows, 64, "sti; nop; cli; mov %ss, %eax; mov %eax, %ss; nop; hlt");

TEST_F(debug, step_over_shadows)
{
	tcpu_load(self->cpu, &shadows);
	ASSERT_EQ(0, set_debug(self->cpu, STEP, 0, 0, 0));
	EXPECT_STEP(1);
	EXPECT_STEP(2);
	EXPECT_STEP(3);
	EXPECT_STEP(5);
	/* MOV SS holds its trap back for one instruction. */
	EXPECT_STEP(8);
}

TEST_F(debug, step_with_a_shadow_from_outside)
{
	struct kvm_vcpu_events events;

	tcpu_load(self->cpu, &touch);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_VCPU_EVENTS, &events));
	events.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	events.flags |= KVM_VCPUEVENT_VALID_SHADOW;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, &events));
	tcpu_set_rip(self->cpu, GUEST_CODE, true);
	ASSERT_EQ(0, set_debug(self->cpu, STEP, 0, 0, 0));
	EXPECT_STEP(1);
}

TEST_F(debug, blocked_interrupts)
{
	tcpu_load(self->cpu, &touch);
	ASSERT_EQ(0, set_debug(self->cpu, STEP_BLOCKED, 0, 0, 0));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_NMI, 0));
	EXPECT_STEP(1);
	EXPECT_STEP(2);
	/* It was only kept back. The handler runs without trap, and reports. */
	ASSERT_EQ(0, set_debug(self->cpu, STEP, 0, 0, 0));
	EXPECT_EQ(2, tcpu_run_fault(self->cpu));
}

TEST_F(debug, injection)
{
	struct tfault fault;

	tcpu_load(self->cpu, &touch);
	ASSERT_EQ(0, set_debug(self->cpu, KVM_GUESTDBG_INJECT_DB, 0, 0, 0));
	/* One at a time. */
	EXPECT_EQ(EBUSY, set_debug(self->cpu, KVM_GUESTDBG_INJECT_DB, 0, 0, 0));
	EXPECT_EQ(EBUSY, set_debug(self->cpu, KVM_GUESTDBG_INJECT_BP, 0, 0, 0));
	EXPECT_EQ(0, set_debug(self->cpu, 0, 0, 0, 0));
	EXPECT_EQ(DB, tcpu_run_fault(self->cpu));
	ASSERT_TRUE(tcpu_fault(self->cpu, &fault));
	EXPECT_EQ(GUEST_CODE, fault.rip);
}

PROGRAM(own_step, 64, "pushq $0x102; popfq; nop; nop; hlt");

TEST_F(debug, guest_steps_itself_afterwards)
{
	struct tfault fault;

	tcpu_load(self->cpu, &own_step);
	ASSERT_EQ(0, set_debug(self->cpu, STEP, 0, 0, 0));
	EXPECT_STEP(5);
	ASSERT_EQ(0, set_debug(self->cpu, 0, 0, 0, 0));
	EXPECT_EQ(DB, tcpu_run_fault(self->cpu));
	ASSERT_TRUE(tcpu_fault(self->cpu, &fault));
	EXPECT_EQ(GUEST_CODE + 7, fault.rip);
}

TEST(halted)
{
	struct tvm *vm = tvm_create(TVM_IRQCHIP);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	struct kvm_mp_state mp;

	tcpu_load(cpu, &touch);
	tcpu_set_rip(cpu, GUEST_CODE + 14, false);
	ASSERT_EQ(0, set_debug(cpu, STEP, 0, 0, 0));
	ASSERT_EQ(KVM_EXIT_DEBUG, tcpu_run(cpu));
	EXPECT_EQ(GUEST_CODE + 15, cpu->run->debug.arch.pc);
	ASSERT_OK(ioctl(cpu->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_HALTED, mp.mp_state);
	tcpu_destroy(cpu);
	tvm_destroy(vm);
}

TEST(capability)
{
	struct tvm *vm = tvm_create(0);

	EXPECT_EQ(1, tvm_cap(vm, KVM_CAP_SET_GUEST_DEBUG));
	EXPECT_EQ(1, tvm_cap(vm, KVM_CAP_X86_ROBUST_SINGLESTEP));
	EXPECT_EQ(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP |
		  KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP |
		  KVM_GUESTDBG_BLOCKIRQ, tvm_cap(vm, KVM_CAP_SET_GUEST_DEBUG2));
	tvm_destroy(vm);
}

TEST_HARNESS_MAIN
