// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's registers by ioctl: what is set comes back, the guest sees it, and each error.
 * Must not test MSRs, CPUID, the FPU, or interrupt controllers; they have own files.
 */
#include "ktap.h"
#include "tvm.h"

#define BAD ((void *)0x10)

PROGRAM(store_all, 64,
	"mov %rax, 0xc000; mov %rcx, 0xc008; mov %rdx, 0xc010; mov %rbx, 0xc018;"
	"mov %rsp, 0xc020; mov %rbp, 0xc028; mov %rsi, 0xc030; mov %rdi, 0xc038;"
	"mov %r8, 0xc040; mov %r9, 0xc048; mov %r10, 0xc050; mov %r11, 0xc058;"
	"mov %r12, 0xc060; mov %r13, 0xc068; mov %r14, 0xc070; mov %r15, 0xc078;"
	"not %rax; not %rcx; not %rdx; not %rbx; not %rbp; not %rsi; not %rdi; not %r8;"
	"not %r9; not %r10; not %r11; not %r12; not %r13; not %r14; not %r15; hlt");

FIXTURE(state)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

FIXTURE_SETUP(state)
{
	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
}

FIXTURE_TEARDOWN(state)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

TEST_F(state, regs)
{
	struct kvm_regs regs, seen;
	u64 *words = (u64 *)&regs, *stored;
	unsigned int i;

	tcpu_load(self->cpu, &store_all);
	/* RAX to R15 come first, in an order of their own: RAX RBX RCX RDX RSI RDI RSP RBP. */
	for (i = 0; i < 16; i++)
		words[i] = 0x1111111111111111UL * i + 0xf0f0;
	regs.rip = GUEST_CODE;
	regs.rflags = 0x8d7;
	tcpu_set_regs(self->cpu, &regs);
	seen = tcpu_regs(self->cpu);
	EXPECT_EQ(0, memcmp(&regs, &seen, sizeof(regs)));
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu))
		tcpu_explain(self->cpu);
	stored = (u64 *)(self->vm->mem + GUEST_DATA);
	EXPECT_EQ(regs.rax, stored[0]);
	EXPECT_EQ(regs.rcx, stored[1]);
	EXPECT_EQ(regs.rdx, stored[2]);
	EXPECT_EQ(regs.rbx, stored[3]);
	EXPECT_EQ(regs.rsp, stored[4]);
	EXPECT_EQ(regs.rbp, stored[5]);
	EXPECT_EQ(regs.rsi, stored[6]);
	EXPECT_EQ(regs.rdi, stored[7]);
	EXPECT_EQ(0, memcmp(&regs.r8, stored + 8, 64));
	seen = tcpu_regs(self->cpu);
	for (i = 0; i < 16; i++) {
		if (i != 6)
			EXPECT_EQ(~words[i], ((u64 *)&seen)[i]);
	}
	EXPECT_EQ(regs.rsp, seen.rsp);
	EXPECT_EQ(0x8d7, seen.rflags);
	/* Bit 1 of RFLAGS is always set. */
	regs.rflags = 0;
	tcpu_set_regs(self->cpu, &regs);
	EXPECT_EQ(2, tcpu_regs(self->cpu).rflags);
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_GET_REGS, BAD));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_REGS, BAD));
}

TEST_F(state, state_after_birth)
{
	struct tcpu *cpu = tvm_vcpu_raw(self->vm, 1);
	struct kvm_sregs sregs = tcpu_sregs(cpu);
	struct kvm_regs regs = tcpu_regs(cpu);

	EXPECT_EQ(0xfff0, regs.rip);
	EXPECT_EQ(2, regs.rflags);
	EXPECT_EQ(0, regs.rax);
	EXPECT_EQ(0xf000, sregs.cs.selector);
	EXPECT_EQ(0xffff0000, sregs.cs.base);
	EXPECT_EQ(0xffff, sregs.cs.limit);
	EXPECT_EQ(0, sregs.ds.selector);
	EXPECT_EQ(0xffff, sregs.ds.limit);
	EXPECT_EQ(0x60000010, sregs.cr0);
	EXPECT_EQ(0, sregs.cr3);
	EXPECT_EQ(0, sregs.cr4);
	EXPECT_EQ(0, sregs.efer);
	EXPECT_EQ(0xffff, sregs.idt.limit);
	EXPECT_EQ(0, sregs.idt.base);
}

TEST_F(state, sregs)
{
	struct kvm_sregs sregs = tcpu_sregs(self->cpu), seen;
	enum tmode mode;

	for (mode = MODE_REAL; mode < MODE_COUNT; mode++) {
		tcpu_mode(self->cpu, mode);
		sregs = tcpu_sregs(self->cpu);
		sregs.fs.base = mode == MODE_LONG ? 0x123456789000 : 0x3450;
		sregs.gs.base = mode == MODE_LONG ? 0xffff800000001000 : 0x5670;
		if (mode == MODE_REAL) {
			sregs.fs.selector = 0x345;
			sregs.gs.selector = 0x567;
		}
		sregs.cr2 = 0xdeadb000;
		sregs.gdt.base = 0x4560;
		sregs.gdt.limit = 0x77;
		tcpu_set_sregs(self->cpu, &sregs);
		seen = tcpu_sregs(self->cpu);
		EXPECT_EQ(0, memcmp(&sregs.cs, &seen.cs, 8 * sizeof(sregs.cs)))
			TH_LOG("in %s", tmode_name(mode));
		EXPECT_EQ(sregs.gdt.base, seen.gdt.base);
		EXPECT_EQ(sregs.gdt.limit, seen.gdt.limit);
		EXPECT_EQ(sregs.idt.base, seen.idt.base);
		EXPECT_EQ(sregs.cr0, seen.cr0);
		EXPECT_EQ(sregs.cr2, seen.cr2);
		EXPECT_EQ(sregs.cr3, seen.cr3);
		EXPECT_EQ(sregs.cr4, seen.cr4);
		EXPECT_EQ(sregs.efer, seen.efer);
	}
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_GET_SREGS, BAD));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_SREGS, BAD));
}

#define REFUSED(field, value) do { \
	struct kvm_sregs bad = good; \
	bad.field = value; \
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_SREGS, &bad)); \
} while (0)

TEST_F(state, sregs_that_no_cpu_can_have)
{
	struct kvm_sregs good = tcpu_sregs(self->cpu), seen;

	REFUSED(cr4, good.cr4 | BIT(31));
	REFUSED(cr4, good.cr4 | BIT(40));
	REFUSED(cr4, good.cr4 & ~0x20UL);
	REFUSED(efer, good.efer & ~0x400UL);
	REFUSED(cr0, good.cr0 & ~1UL);
	REFUSED(cr0, good.cr0 | BIT(32));
	REFUSED(cr3, BIT(63) | good.cr3);
	REFUSED(apic_base, BIT(63));
	REFUSED(apic_base, good.apic_base ^ 1);
	/* A refusal changes nothing. */
	seen = tcpu_sregs(self->cpu);
	EXPECT_EQ(0, memcmp(&good, &seen, sizeof(good)));
}

TEST_F(state, debugregs)
{
	struct kvm_debugregs regs = { }, seen;

	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_DEBUGREGS, &regs));
	EXPECT_EQ(0xffff0ff0, regs.dr6);
	EXPECT_EQ(0x400, regs.dr7);
	regs.db[0] = 0x1000;
	regs.db[1] = 0xffff800000001111;
	regs.db[2] = 3;
	regs.db[3] = 0x7fffffffffff;
	regs.dr7 = 0x455;
	regs.dr6 = 0xffff0ff1;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_DEBUGREGS, &regs));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_DEBUGREGS, &seen));
	EXPECT_EQ(0, memcmp(&regs, &seen, sizeof(regs)));
	regs.flags = 1;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_DEBUGREGS, &regs));
	regs.flags = 0;
	regs.dr6 = BIT(32);
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_DEBUGREGS, &regs));
	regs.dr6 = 0xffff0ff0;
	regs.dr7 = BIT(32);
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_DEBUGREGS, &regs));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_DEBUGREGS, BAD));
}

TEST_HARNESS_MAIN
