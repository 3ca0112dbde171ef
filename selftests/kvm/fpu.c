// SPDX-License-Identifier: GPL-2.0-only
/*
 * FPU, XSAVE and XCR state by ioctl and as the guest sees it.
 * Must not test moves between memory and FPU registers; mmio.c does.
 */
#include "ktap.h"
#include "tvm.h"

#define BAD ((void *)0x10)

FIXTURE(fpu)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

FIXTURE_SETUP(fpu)
{
	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
}

FIXTURE_TEARDOWN(fpu)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

TEST_F(fpu, fxsave_area)
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

PROGRAM(move_xmm, 64,
	"mov %cr0, %rax; and $~0xc, %eax; mov %rax, %cr0; movups %xmm3, 0xc000;"
	"movups 0xc010, %xmm4; fninit; fld1; hlt");

TEST_F(fpu, guest_and_user_space_share_the_fpu)
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

TEST_F(fpu, xsave)
{
	static struct kvm_xsave area, seen;
	u8 *bytes = (u8 *)area.region;

	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_XSAVE, &area));
	memset(bytes + 160, 0x77, 256);
	memset(bytes + 32, 0x66, 10);
	/* MXCSR, then XSTATE_BV: x87 and SSE are there. */
	area.region[6] = 0x1f80;
	area.region[128] |= 3;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_XSAVE, &area));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_XSAVE, &seen));
	EXPECT_EQ(0, memcmp(bytes + 160, (u8 *)seen.region + 160, 256));
	EXPECT_EQ(0, memcmp(bytes + 32, (u8 *)seen.region + 32, 10));
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

PROGRAM(set_xcr0, 64,
	"mov %cr4, %rax; or $0x40000, %eax; mov %rax, %cr4;"
	"xor %ecx, %ecx; xgetbv; mov %eax, %ebx; xor %edx, %edx; mov $3, %eax; xsetbv;"
	"hlt; mov $4, %eax; xsetbv; hlt");

TEST_F(fpu, xcrs)
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

TEST_HARNESS_MAIN
