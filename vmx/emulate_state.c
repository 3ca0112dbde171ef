// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's way to registers: segments, control and debug registers, MSRs, vector registers,
 * and the odd instruction.
 * This file must not make a check that regs.c or msr.c makes.
 */
#include <linux/nospec.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/processor-flags.h>

#include "guest_state.h"

static struct vcpu *em_to_vcpu(struct em_ctx *ctx)
{
	return container_of(ctx, struct vcpu, em);
}

static enum em_cb or_gp(struct em_ctx *ctx, int refused)
{
	return refused ? em_raise(ctx, EM_EXC_GP, true, 0) : EM_CB_OK;
}

/* ---- Segments and tables ---- */

static enum em_cb get_segment(struct em_ctx *ctx, enum em_seg seg, struct em_segment *s)
{
	segs_read(em_to_vcpu(ctx), s, (enum vcpu_seg)seg);
	return EM_CB_OK;
}

static enum em_cb set_segment(struct em_ctx *ctx, enum em_seg seg, const struct em_segment *s)
{
	segs_write(em_to_vcpu(ctx), s, (enum vcpu_seg)seg);
	return EM_CB_OK;
}

static enum em_cb get_gdt(struct em_ctx *ctx, u64 *base, u32 *limit)
{
	struct kvm_dtable dt;

	vcpu_get_gdt(em_to_vcpu(ctx), &dt);
	*base = dt.base;
	*limit = dt.limit;
	return EM_CB_OK;
}

static enum em_cb get_idt(struct em_ctx *ctx, u64 *base, u32 *limit)
{
	struct kvm_dtable dt;

	vcpu_get_idt(em_to_vcpu(ctx), &dt);
	*base = dt.base;
	*limit = dt.limit;
	return EM_CB_OK;
}

static enum em_cb set_gdt(struct em_ctx *ctx, u64 base, u32 limit)
{
	const struct kvm_dtable dt = { .base = base, .limit = limit };

	vcpu_set_gdt(em_to_vcpu(ctx), &dt);
	return EM_CB_OK;
}

static enum em_cb set_idt(struct em_ctx *ctx, u64 base, u32 limit)
{
	const struct kvm_dtable dt = { .base = base, .limit = limit };

	vcpu_set_idt(em_to_vcpu(ctx), &dt);
	return EM_CB_OK;
}

/* ---- Control and debug registers, MSRs ---- */

static enum em_cb get_cr(struct em_ctx *ctx, unsigned int nr, u64 *val)
{
	struct vcpu *vcpu = em_to_vcpu(ctx);

	switch (nr) {
	case 0:
		*val = vcpu_cr0(vcpu);
		return EM_CB_OK;
	case 2:
		*val = vcpu->cr2;
		return EM_CB_OK;
	case 3:
		*val = vcpu_cr3(vcpu);
		return EM_CB_OK;
	case 4:
		*val = vcpu_cr4(vcpu);
		return EM_CB_OK;
	case 8:
		*val = vcpu_cr8(vcpu);
		return EM_CB_OK;
	case EM_CR_XCR0:
		*val = vcpu->xcr0;
		return EM_CB_OK;
	case EM_CR_EFER:
		*val = vcpu->efer;
		return EM_CB_OK;
	default:
		return em_raise(ctx, EM_EXC_UD, false, 0);
	}
}

static enum em_cb set_cr(struct em_ctx *ctx, unsigned int nr, u64 val)
{
	struct vcpu *vcpu = em_to_vcpu(ctx);
	enum em_cb cb;

	switch (nr) {
	case 0:
		cb = or_gp(ctx, vcpu_set_cr0(vcpu, val));
		emulate_read_mode(vcpu);
		return cb;
	case 2:
		vcpu->cr2 = val;
		return EM_CB_OK;
	case 3:
		return or_gp(ctx, vcpu_set_cr3(vcpu, val));
	case 4:
		return or_gp(ctx, vcpu_set_cr4(vcpu, val));
	case 8:
		return or_gp(ctx, vcpu_set_cr8(vcpu, val));
	case EM_CR_XCR0:
		return or_gp(ctx, vcpu_set_xcr0(vcpu, 0, val));
	default:
		return em_raise(ctx, EM_EXC_UD, false, 0);
	}
}

static enum em_cb get_dr(struct em_ctx *ctx, unsigned int nr, u64 *val)
{
	unsigned long dr;

	vcpu_get_dr(em_to_vcpu(ctx), nr, &dr);
	*val = dr;
	return EM_CB_OK;
}

static enum em_cb set_dr(struct em_ctx *ctx, unsigned int nr, u64 val)
{
	return or_gp(ctx, vcpu_set_dr(em_to_vcpu(ctx), nr, val));
}

static enum em_cb get_msr(struct em_ctx *ctx, u32 index, u64 *val)
{
	struct msr_access msr = { .index = index };
	enum em_cb cb = emulate_msr(ctx, &msr, false);

	*val = msr.data;
	return cb;
}

static enum em_cb set_msr(struct em_ctx *ctx, u32 index, u64 val)
{
	struct msr_access msr = { .index = index, .data = val };

	return emulate_msr(ctx, &msr, true);
}

/* ---- Vector registers: the guest's are the thread's while it is in KVM_RUN ---- */

static enum em_cb fpu_get(struct em_ctx *ctx)
{
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	return EM_CB_OK;
}

static void fpu_put(struct em_ctx *ctx)
{
	fpregs_unlock();
}

#define DEFINE_VEC(n)								\
static void read_xmm##n(void *buf)						\
{										\
	asm volatile("movdqu %%xmm" #n ", %0" : "=m"(*(u8 (*)[16])buf));	\
}										\
static void read_ymm##n(void *buf)						\
{										\
	asm volatile("vmovdqu %%ymm" #n ", %0" : "=m"(*(u8 (*)[32])buf));	\
}										\
static void write_xmm##n(const void *buf)					\
{										\
	asm volatile("movdqu %0, %%xmm" #n : : "m"(*(const u8 (*)[16])buf));	\
}										\
static void write_ymm##n(const void *buf)					\
{										\
	asm volatile("vmovdqu %0, %%ymm" #n : : "m"(*(const u8 (*)[32])buf));	\
}

DEFINE_VEC(0)
DEFINE_VEC(1)
DEFINE_VEC(2)
DEFINE_VEC(3)
DEFINE_VEC(4)
DEFINE_VEC(5)
DEFINE_VEC(6)
DEFINE_VEC(7)
DEFINE_VEC(8)
DEFINE_VEC(9)
DEFINE_VEC(10)
DEFINE_VEC(11)
DEFINE_VEC(12)
DEFINE_VEC(13)
DEFINE_VEC(14)
DEFINE_VEC(15)

#define VEC(n)	{ read_xmm##n, read_ymm##n, write_xmm##n, write_ymm##n }

static const struct {
	void (*read16)(void *buf);
	void (*read32)(void *buf);
	void (*write16)(const void *buf);
	void (*write32)(const void *buf);
} vec[] = {
	VEC(0), VEC(1), VEC(2), VEC(3), VEC(4), VEC(5), VEC(6), VEC(7),
	VEC(8), VEC(9), VEC(10), VEC(11), VEC(12), VEC(13), VEC(14), VEC(15),
};

static void read_vec(struct em_ctx *ctx, unsigned int index, void *buf, unsigned int size)
{
	index = array_index_nospec(index, ARRAY_SIZE(vec));
	if (size == 16)
		vec[index].read16(buf);
	else
		vec[index].read32(buf);
}

static void write_vec(struct em_ctx *ctx, unsigned int index, const void *buf, unsigned int size)
{
	index = array_index_nospec(index, ARRAY_SIZE(vec));
	if (size == 16)
		vec[index].write16(buf);
	else
		vec[index].write32(buf);
}

/* ---- MMX registers: the significands of the x87 stack, by physical number ---- */

#define FSW_ES		BIT(7)	/* an unmasked exception waits for the next instruction */
#define FSW_TOP_SHIFT	11

/* FXSAVE neither changes the x87 state, as an MMX instruction does, nor faults. */
static void read_mmx(struct em_ctx *ctx, unsigned int index, u64 *val)
{
	struct fxregs_state fx __aligned(16);
	unsigned int top;

	asm volatile("fxsave64 %0" : "=m"(fx));
	top = fx.swd >> FSW_TOP_SHIFT & 7;
	memcpy(val, &fx.st_space[((index - top) & 7) * 4], sizeof(*val));
	if (fx.swd & FSW_ES)
		em_to_vcpu(ctx)->mmio.x87_fault = true;
}

#define DEFINE_MMX(n)						\
static void write_mm##n(const u64 *val)				\
{								\
	asm volatile("movq %0, %%mm" #n : : "m"(*val));		\
}

DEFINE_MMX(0)
DEFINE_MMX(1)
DEFINE_MMX(2)
DEFINE_MMX(3)
DEFINE_MMX(4)
DEFINE_MMX(5)
DEFINE_MMX(6)
DEFINE_MMX(7)

static void (*const write_mm[])(const u64 *val) = {
	write_mm0, write_mm1, write_mm2, write_mm3, write_mm4, write_mm5, write_mm6, write_mm7,
};

/* The host must not take the guest's pending #MF; the guest gets it instead of what follows. */
static void write_mmx(struct em_ctx *ctx, unsigned int index, u64 val)
{
	u16 fsw;

	asm volatile("fnstsw %0" : "=m"(fsw));
	if (fsw & FSW_ES)
		em_to_vcpu(ctx)->mmio.x87_fault = true;
	else
		write_mm[array_index_nospec(index, ARRAY_SIZE(write_mm))](&val);
}

/* ---- The rest ---- */

static void do_cpuid(struct vcpu *vcpu)
{
	u32 eax = vcpu->regs[REG_RAX], ecx = vcpu->regs[REG_RCX], ebx, edx;

	cpuid_lookup(vcpu, &eax, &ebx, &ecx, &edx);
	vcpu->regs[REG_RAX] = eax;
	vcpu->regs[REG_RBX] = ebx;
	vcpu->regs[REG_RCX] = ecx;
	vcpu->regs[REG_RDX] = edx;
}

static void do_rdtsc(struct vcpu *vcpu)
{
	u64 tsc = vcpu_read_tsc(vcpu);

	vcpu->regs[REG_RAX] = (u32)tsc;
	vcpu->regs[REG_RDX] = tsc >> 32;
}

static enum em_cb misc(struct em_ctx *ctx, unsigned int what, u64 arg)
{
	struct vcpu *vcpu = em_to_vcpu(ctx);

	switch (what) {
	case EM_MISC_INVLPG:
		regs_flush(vcpu);
		return EM_CB_OK;
	case EM_MISC_WBINVD:
		/* Guest memory is coherent: no device of a guest's bypasses the caches. */
		return EM_CB_OK;
	case EM_MISC_CPUID:
		if (cpuid_faulting(vcpu) && ctx->cpl)
			return em_raise(ctx, EM_EXC_GP, true, 0);
		do_cpuid(vcpu);
		return EM_CB_OK;
	case EM_MISC_RDTSC:
		do_rdtsc(vcpu);
		return EM_CB_OK;
	default:
		/* RDPMC: the CPU's own counters are not there. */
		return vmware_rdpmc(vcpu) ? EM_CB_OK : em_raise(ctx, EM_EXC_GP, true, 0);
	}
}

const struct em_ops emulate_ops = {
	.fetch = emulate_fetch,
	.read = emulate_read,
	.write = emulate_write,
	.probe_write = emulate_probe_write,
	.cmpxchg = emulate_cmpxchg,
	.iter_done = emulate_iter_done,
	.get_segment = get_segment,
	.set_segment = set_segment,
	.get_cr = get_cr,
	.set_cr = set_cr,
	.get_dr = get_dr,
	.set_dr = set_dr,
	.get_gdt = get_gdt,
	.get_idt = get_idt,
	.set_gdt = set_gdt,
	.set_idt = set_idt,
	.get_msr = get_msr,
	.set_msr = set_msr,
	.port_in = emulate_port_in,
	.port_out = emulate_port_out,
	.fpu_get = fpu_get,
	.fpu_put = fpu_put,
	.read_vec = read_vec,
	.write_vec = write_vec,
	.read_mmx = read_mmx,
	.write_mmx = write_mmx,
	.misc = misc,
};
