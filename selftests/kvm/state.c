// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's registers by ioctl: what is set comes back, the guest sees it, and each error.
 * Must not test MSRs, CPUID, or interrupt controllers; they have files of their own.
 */
#include "ktap.h"
#include "tvm.h"

#define BAD ((void *)0x10)
#define CR4_OSXSAVE (1UL << 18)

GUEST(store_all, 64,
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
	uint64_t *words = (uint64_t *)&regs, *stored;
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
	stored = (uint64_t *)(self->vm->mem + GUEST_DATA);
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
			EXPECT_EQ(~words[i], ((uint64_t *)&seen)[i]);
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

	REFUSED(cr4, good.cr4 | 1UL << 31);
	REFUSED(cr4, good.cr4 | 1UL << 40);
	REFUSED(cr4, good.cr4 & ~0x20UL);
	REFUSED(efer, good.efer & ~0x400UL);
	REFUSED(cr0, good.cr0 & ~1UL);
	REFUSED(cr0, good.cr0 | 1UL << 32);
	REFUSED(cr3, 1UL << 63 | good.cr3);
	REFUSED(apic_base, 1UL << 63);
	REFUSED(apic_base, good.apic_base ^ 1);
	/* A refusal changes nothing. */
	seen = tcpu_sregs(self->cpu);
	EXPECT_EQ(0, memcmp(&good, &seen, sizeof(good)));
}

TEST_F(state, fpu)
{
	struct kvm_fpu fpu = { }, seen;
	unsigned int i;

	for (i = 0; i < 16; i++)
		memset(fpu.xmm[i], 0x10 + i, 16);
	for (i = 0; i < 8; i++)
		memset(fpu.fpr[i], 0x20 + i, 10);
	fpu.fcw = 0x37f;
	fpu.fsw = 0x3800;
	fpu.ftwx = 0xff;
	fpu.mxcsr = 0x1f80;
	fpu.last_opcode = 0x1d9;
	fpu.last_ip = 0x1234;
	fpu.last_dp = 0x5678;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_FPU, &fpu));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_FPU, &seen));
	EXPECT_EQ(0, memcmp(fpu.xmm, seen.xmm, sizeof(fpu.xmm)));
	EXPECT_EQ(0, memcmp(fpu.fpr, seen.fpr, sizeof(fpu.fpr)));
	EXPECT_EQ(fpu.fcw, seen.fcw);
	EXPECT_EQ(fpu.fsw, seen.fsw);
	EXPECT_EQ(fpu.ftwx, seen.ftwx);
	EXPECT_EQ(fpu.last_ip, seen.last_ip);
	EXPECT_EQ(fpu.last_dp, seen.last_dp);
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_GET_FPU, BAD));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_FPU, BAD));
}

GUEST(move_xmm, 64,
      "mov %cr0, %rax; and $~0xc, %eax; mov %rax, %cr0; movups %xmm3, 0xc000;"
      "movups 0xc010, %xmm4; fninit; fld1; hlt");

TEST_F(state, guest_and_user_space_share_the_fpu)
{
	struct kvm_fpu fpu = { .fcw = 0x37f, .mxcsr = 0x1f80 };

	memset(self->vm->mem + GUEST_DATA + 16, 0x44, 16);
	/* KVM_SET_FPU need not reach a guest that has not used the FPU: XSTATE_BV says so. */
	tcpu_load(self->cpu, &move_xmm);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu))
		tcpu_explain(self->cpu);
	memset(fpu.xmm[3], 0x33, 16);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_FPU, &fpu));
	tcpu_load(self->cpu, &move_xmm);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu))
		tcpu_explain(self->cpu);
	EXPECT_EQ(0, memcmp(self->vm->mem + GUEST_DATA, fpu.xmm[3], 16));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_FPU, &fpu));
	EXPECT_EQ(0x33, fpu.xmm[3][15]);
	EXPECT_EQ(0x44, fpu.xmm[4][15]);
	EXPECT_EQ(0x80, fpu.ftwx);
	EXPECT_EQ(0x3f, fpu.fpr[0][9]);
}

TEST_F(state, xsave)
{
	static struct kvm_xsave area, seen;
	uint8_t *bytes = (uint8_t *)area.region;

	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_XSAVE, &area));
	memset(bytes + 160, 0x77, 256);
	memset(bytes + 32, 0x66, 10);
	/* MXCSR, then XSTATE_BV: x87 and SSE are there. */
	area.region[6] = 0x1f80;
	area.region[128] |= 3;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_XSAVE, &area));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_XSAVE, &seen));
	EXPECT_EQ(0, memcmp(bytes + 160, (uint8_t *)seen.region + 160, 256));
	EXPECT_EQ(0, memcmp(bytes + 32, (uint8_t *)seen.region + 32, 10));
	EXPECT_EQ(3, seen.region[128] & 3);
	area.region[6] = 0xffff0000;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_XSAVE, &area));
	area.region[6] = 0x1f80;
	/* A component that no CPU has. */
	area.region[129] |= 1U << 29;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_XSAVE, &area));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_GET_XSAVE, BAD));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_XSAVE, BAD));
}

GUEST(set_xcr0, 64,
      "mov %cr4, %rax; or $0x40000, %eax; mov %rax, %cr4;"
      "xor %ecx, %ecx; xgetbv; mov %eax, %ebx; xor %edx, %edx; mov $3, %eax; xsetbv;"
      "hlt; mov $4, %eax; xsetbv; hlt");

TEST_F(state, xcrs)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1 };

	if (!tvm_cpuid_has(1, 0, 2, 26))
		SKIP(return, "the device offers no XSAVE");
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_XCRS, &xcrs));
	EXPECT_EQ(1, xcrs.nr_xcrs);
	EXPECT_EQ(0, xcrs.xcrs[0].xcr);
	EXPECT_EQ(1, xcrs.xcrs[0].value);
	tcpu_load(self->cpu, &set_xcr0);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu))
		tcpu_explain(self->cpu);
	EXPECT_EQ(1, tcpu_regs(self->cpu).rbx);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_XCRS, &xcrs));
	EXPECT_EQ(3, xcrs.xcrs[0].value);
	/* AVX without SSE, by the guest and by user space. */
	EXPECT_EQ(13, tcpu_run_fault(self->cpu));
	xcrs.xcrs[0].value = 4;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_XCRS, &xcrs));
	xcrs.xcrs[0].value = 2;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_XCRS, &xcrs));
	xcrs.xcrs[0].value = 1;
	EXPECT_OK(ioctl(self->cpu->fd, KVM_SET_XCRS, &xcrs));
	xcrs.flags = 1;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_XCRS, &xcrs));
	xcrs.flags = 0;
	xcrs.nr_xcrs = KVM_MAX_XCRS + 1;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_XCRS, &xcrs));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_XCRS, BAD));
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
	regs.dr6 = 1UL << 32;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_DEBUGREGS, &regs));
	regs.dr6 = 0xffff0ff0;
	regs.dr7 = 1UL << 32;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_DEBUGREGS, &regs));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_DEBUGREGS, BAD));
}

TEST_F(state, vcpu_events)
{
	struct kvm_vcpu_events events = { }, good;

	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_VCPU_EVENTS, &good));
	EXPECT_EQ(0, good.exception.injected);
	EXPECT_EQ(0, good.nmi.injected);
	EXPECT_EQ(0, good.interrupt.injected);
	events = good;
	events.flags |= 1U << 30;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, &events));
	events = good;
	events.exception.injected = 1;
	events.exception.nr = 32;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, &events));
	events.exception.nr = 2;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, &events));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, BAD));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_GET_VCPU_EVENTS, BAD));

	/* An injected #GP with an error code reaches the guest's handler. */
	events = good;
	events.exception.injected = 1;
	events.exception.nr = 13;
	events.exception.has_error_code = 1;
	events.exception.error_code = 0x1238;
	tcpu_load_bytes(self->cpu, "\xf4", 1);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, &events));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(1, events.exception.injected);
	EXPECT_EQ(13, events.exception.nr);
	EXPECT_EQ(0x1238, events.exception.error_code);
	ASSERT_EQ(13, tcpu_run_fault(self->cpu));
	{
		struct tfault fault;

		ASSERT_TRUE(tcpu_fault(self->cpu, &fault));
		EXPECT_EQ(0x1238, fault.error);
		EXPECT_EQ(GUEST_CODE, fault.rip);
	}
}

TEST_F(state, mp_state)
{
	struct kvm_mp_state mp = { .mp_state = 77 };

	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp.mp_state);
	EXPECT_OK(ioctl(self->cpu->fd, KVM_SET_MP_STATE, &mp));
	/* Without a LAPIC in the kernel the vCPU is always runnable. */
	mp.mp_state = KVM_MP_STATE_HALTED;
	EXPECT_EQ(-1, ioctl(self->cpu->fd, KVM_SET_MP_STATE, &mp));
	mp.mp_state = 99;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_MP_STATE, &mp));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_GET_MP_STATE, BAD));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_MP_STATE, BAD));
}

TEST(mp_state_with_irqchip)
{
	struct tvm *vm = tvm_create(TVM_IRQCHIP);
	struct tcpu *first = tvm_vcpu(vm, 0), *second = tvm_vcpu(vm, 1);
	struct kvm_mp_state mp = { };

	ASSERT_OK(ioctl(first->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp.mp_state);
	ASSERT_OK(ioctl(second->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_UNINITIALIZED, mp.mp_state);
	mp.mp_state = KVM_MP_STATE_HALTED;
	ASSERT_OK(ioctl(first->fd, KVM_SET_MP_STATE, &mp));
	ASSERT_OK(ioctl(first->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_HALTED, mp.mp_state);
	mp.mp_state = 99;
	EXPECT_ERR(EINVAL, ioctl(first->fd, KVM_SET_MP_STATE, &mp));
}

TEST_F(state, translate)
{
	struct kvm_translation tr = { .linear_address = 0x23456 };

	*tvm_pte(self->vm, 0x23000) = 0x31000 | 3;
	*tvm_pte(self->vm, 0x24000) = 0;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0x31456, tr.physical_address);
	EXPECT_EQ(1, tr.valid);
	tr.linear_address = 0x24000;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0, tr.valid);
	/* A 2 MiB page, and a hole above everything mapped. */
	tr.linear_address = 0x345678;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0x345678, tr.physical_address);
	EXPECT_EQ(1, tr.valid);
	tr.linear_address = 0x200000000;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0, tr.valid);
	tcpu_mode(self->cpu, MODE_PROT32);
	tr.linear_address = 0x23456;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0x23456, tr.physical_address);
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_TRANSLATE, BAD));
}

TEST_F(state, tsc_khz)
{
	int khz = ioctl(self->cpu->fd, KVM_GET_TSC_KHZ, 0);

	EXPECT_LT(1000, khz);
	EXPECT_OK(ioctl(self->cpu->fd, KVM_SET_TSC_KHZ, khz));
	EXPECT_EQ(khz, ioctl(self->cpu->fd, KVM_GET_TSC_KHZ, 0));
	EXPECT_OK(ioctl(self->cpu->fd, KVM_SET_TSC_KHZ, 0));
	EXPECT_EQ(khz, ioctl(self->cpu->fd, KVM_GET_TSC_KHZ, 0));
}

TEST_HARNESS_MAIN
