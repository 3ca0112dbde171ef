// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's way to registers: segments, control and debug registers, MSRs, vector registers,
 * and the odd instruction.
 * This file must not make a check that regs.c or msr.c makes.
 */
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
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
	enum em_cb cb = or_gp(ctx, vcpu_msr_get(em_to_vcpu(ctx), &msr));

	*val = msr.data;
	return cb;
}

static enum em_cb set_msr(struct em_ctx *ctx, u32 index, u64 val)
{
	const struct msr_access msr = { .index = index, .data = val };

	return or_gp(ctx, vcpu_msr_set(em_to_vcpu(ctx), &msr));
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

#define FOR_EACH_VEC(op)									\
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13)	\
	op(14) op(15)

#define READ_XMM(n)	case n: asm("movdqu %%xmm" #n ", %0" : "=m"(*(u8 (*)[16])buf)); break;
#define READ_YMM(n)	case n: asm("vmovdqu %%ymm" #n ", %0" : "=m"(*(u8 (*)[32])buf)); break;
#define WRITE_XMM(n) \
	case n: \
		asm volatile("movdqu %0, %%xmm" #n : : "m"(*(const u8(*)[16])buf)); \
		break;
#define WRITE_YMM(n) \
	case n: \
		asm volatile("vmovdqu %0, %%ymm" #n : : "m"(*(const u8(*)[32])buf)); \
		break;

static void read_vec(struct em_ctx *ctx, unsigned int index, void *buf, unsigned int size)
{
	if (size == 16)
		switch (index) { FOR_EACH_VEC(READ_XMM) }
	else
		switch (index) { FOR_EACH_VEC(READ_YMM) }
}

static void write_vec(struct em_ctx *ctx, unsigned int index, const void *buf, unsigned int size)
{
	if (size == 16)
		switch (index) { FOR_EACH_VEC(WRITE_XMM) }
	else
		switch (index) { FOR_EACH_VEC(WRITE_YMM) }
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
		vcpu_request(vcpu, REQ_TLB_FLUSH);
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
		/* RDPMC: there are no counters. */
		return em_raise(ctx, EM_EXC_GP, true, 0);
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
	.misc = misc,
};
