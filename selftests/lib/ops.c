// SPDX-License-Identifier: GPL-2.0-only
/*
 * Single operations that the guest does on a test's behalf, between two of its own.
 * Must not disturb the guest: registers are saved and put back, interrupts stay off.
 */
#include <string.h>

#include "tvm.h"

#define DONE "; out %al, $" GUEST_STR(PORT_TEST)

PROGRAM(op_read32, 64, "mov (%rsi), %eax" DONE);
PROGRAM(op_write32, 64, "mov %eax, (%rsi)" DONE);
PROGRAM(op_in8, 64, "in %dx, %al" DONE);
PROGRAM(op_out8, 64, "out %al, %dx" DONE);
PROGRAM(op_rdmsr, 64, "rdmsr" DONE);
PROGRAM(op_wrmsr, 64, "wrmsr" DONE);
PROGRAM(op_cr8_read, 64, "mov %cr8, %rax" DONE);
PROGRAM(op_cr8_write, 64, "mov %rax, %cr8" DONE);

/* Run @code with @regs. Return: whether it came to its end, with @regs as it left them. */
static bool operate(struct tcpu *cpu, const struct guest_code *code, struct kvm_regs *regs)
{
	struct kvm_regs saved;
	struct tfault fault;
	int reason;

	tcpu_settle(cpu);
	saved = tcpu_regs(cpu);
	memcpy(cpu->vm->mem + GUEST_OPS, code->start, code->end - code->start);
	regs->rip = GUEST_OPS;
	regs->rflags = 2;
	regs->rsp = saved.rsp;
	tcpu_set_regs(cpu, regs);
	reason = tcpu_run(cpu);
	if (reason != KVM_EXIT_IO || (!tcpu_is_out(cpu, PORT_TEST) && !tcpu_fault(cpu, &fault))) {
		tcpu_explain(cpu);
		tvm_die("a guest operation ended in %d", reason);
	}
	*regs = tcpu_regs(cpu);
	if (tcpu_is_out(cpu, PORT_TEST))
		reason = 0;
	tcpu_settle(cpu);
	tcpu_set_regs(cpu, &saved);
	return !reason;
}

static u64 must(struct tcpu *cpu, const struct guest_code *code, struct kvm_regs *regs)
{
	if (!operate(cpu, code, regs))
		tvm_die("a guest operation faulted: address %#llx, port %#llx", regs->rsi,
			regs->rdx);
	return regs->rax;
}

u32 tcpu_read32(struct tcpu *cpu, u64 address)
{
	struct kvm_regs regs = { .rsi = address };

	return must(cpu, &op_read32, &regs);
}

void tcpu_write32(struct tcpu *cpu, u64 address, u32 value)
{
	struct kvm_regs regs = { .rsi = address, .rax = value };

	must(cpu, &op_write32, &regs);
}

u8 tcpu_in8(struct tcpu *cpu, u16 port)
{
	struct kvm_regs regs = { .rdx = port };

	return must(cpu, &op_in8, &regs);
}

void tcpu_out8(struct tcpu *cpu, u16 port, u8 value)
{
	struct kvm_regs regs = { .rdx = port, .rax = value };

	must(cpu, &op_out8, &regs);
}

bool tcpu_rdmsr(struct tcpu *cpu, u32 index, u64 *value)
{
	struct kvm_regs regs = { .rcx = index };

	if (!operate(cpu, &op_rdmsr, &regs))
		return false;
	*value = regs.rdx << 32 | (regs.rax & 0xffffffff);
	return true;
}

bool tcpu_wrmsr(struct tcpu *cpu, u32 index, u64 value)
{
	struct kvm_regs regs = {
		.rcx = index, .rax = value & 0xffffffff, .rdx = value >> 32,
	};

	return operate(cpu, &op_wrmsr, &regs);
}

u64 tcpu_cr8(struct tcpu *cpu)
{
	struct kvm_regs regs = { };

	return must(cpu, &op_cr8_read, &regs);
}

void tcpu_set_cr8(struct tcpu *cpu, u64 value)
{
	struct kvm_regs regs = { .rax = value };

	must(cpu, &op_cr8_write, &regs);
}

int tvm_irq_line(struct tvm *vm, u32 gsi, u32 level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	if (ioctl(vm->fd, KVM_IRQ_LINE_STATUS, &line))
		tvm_die("KVM_IRQ_LINE_STATUS(%u): %m", gsi);
	return (int)line.status;
}

void tcpu_start_lapic(struct tcpu *cpu)
{
	tcpu_out8(cpu, 0x21, 0xff);
	tcpu_out8(cpu, 0xa1, 0xff);
	tcpu_write32(cpu, GUEST_LAPIC + 0xf0, 0x1ff);
	tcpu_handlers(cpu, EOI_LAPIC);
}
