// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state ioctls of x87, SSE and extended state. Outside of KVM_RUN the guest's is in its FPU
 * container.
 * This file must not load anything into the CPU.
 */
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>

#include "guest_state.h"

#define FCW_INIT	0x037f
#define MXCSR_INIT	0x1f80

/*
 * "XSAVE Area": a component whose header bit is clear is in its initial state, whatever its bytes
 * say.
 */
static u64 components_present(const struct fpstate *fp)
{
	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return XFEATURE_MASK_FPSSE;
	return fp->regs.xsave.header.xfeatures;
}

int vcpu_state_get_fpu(struct vcpu *vcpu, struct kvm_fpu *fpu)
{
	const struct fpstate *fp = to_vmx(vcpu)->guest_fpu.fpstate;
	const struct fxregs_state *fx = &fp->regs.fxsave;
	u64 present = components_present(fp);

	memset(fpu, 0, sizeof(*fpu));
	fpu->fcw = FCW_INIT;
	fpu->mxcsr = MXCSR_INIT;
	if (present & XFEATURE_MASK_FP) {
		memcpy(fpu->fpr, fx->st_space, sizeof(fpu->fpr));
		fpu->fcw = fx->cwd;
		fpu->fsw = fx->swd;
		fpu->ftwx = fx->twd;
		fpu->last_opcode = fx->fop;
		fpu->last_ip = fx->rip;
		fpu->last_dp = fx->rdp;
	}
	if (present & XFEATURE_MASK_SSE) {
		memcpy(fpu->xmm, fx->xmm_space, sizeof(fpu->xmm));
		fpu->mxcsr = fx->mxcsr;
	}
	return 0;
}

/* MXCSR stays: VMMs have never been asked for a valid one here. */
int vcpu_state_set_fpu(struct vcpu *vcpu, const struct kvm_fpu *fpu)
{
	struct fpstate *fp = to_vmx(vcpu)->guest_fpu.fpstate;
	struct fxregs_state *fx = &fp->regs.fxsave;

	if (!(components_present(fp) & XFEATURE_MASK_SSE))
		fx->mxcsr = MXCSR_INIT;
	memcpy(fx->st_space, fpu->fpr, sizeof(fpu->fpr));
	fx->cwd = fpu->fcw;
	fx->swd = fpu->fsw;
	fx->twd = fpu->ftwx;
	fx->fop = fpu->last_opcode;
	fx->rip = fpu->last_ip;
	fx->rdp = fpu->last_dp;
	memcpy(fx->xmm_space, fpu->xmm, sizeof(fpu->xmm));
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		fp->regs.xsave.header.xfeatures |= XFEATURE_MASK_FPSSE;
	return 0;
}

u32 vcpu_state_xsave_size(struct vm *vm)
{
	return max_t(u32, sizeof(struct kvm_xsave), cpuid_xstate_size(hw.xcr0, false));
}

/*
 * Components that the guest cannot have are left out, so that the state can move to a host that has
 * not got them.
 */
int vcpu_state_get_xsave(struct vcpu *vcpu, void *buf, u32 size)
{
	fpu_copy_guest_fpstate_to_uabi(&to_vmx(vcpu)->guest_fpu, buf, size,
				       vcpu->guest_xcr0_supported | XFEATURE_MASK_FPSSE,
				       vcpu->pkru);
	return 0;
}

int vcpu_state_set_xsave(struct vcpu *vcpu, const void *buf, u32 size)
{
	int r;

	if (size < vcpu_state_xsave_size(vcpu->vm))
		return vcpu_refuse(vcpu, -EINVAL, "XSAVE area too small", size);
	r = fpu_copy_uabi_to_guest_fpstate(&to_vmx(vcpu)->guest_fpu, buf,
					   hw.xcr0 | XFEATURE_MASK_FPSSE, &vcpu->pkru);
	if (r)
		return vcpu_refuse(vcpu, r,
				   "XSAVE area: unknown components, or a bad MXCSR or header",
				   ((const struct xregs_state *)buf)->header.xfeatures);
	return 0;
}

int vcpu_state_get_xcrs(struct vcpu *vcpu, struct kvm_xcrs *xcrs)
{
	memset(xcrs, 0, sizeof(*xcrs));
	if (!hw.xcr0)
		return 0;
	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].xcr = XCR_XFEATURE_ENABLED_MASK;
	xcrs->xcrs[0].value = vcpu->xcr0;
	return 0;
}

int vcpu_state_set_xcrs(struct vcpu *vcpu, const struct kvm_xcrs *xcrs)
{
	unsigned int i;

	if (!hw.xcr0)
		return vcpu_refuse(vcpu, -EINVAL, "the CPU has no XCRs", 0);
	if (xcrs->nr_xcrs > KVM_MAX_XCRS)
		return vcpu_refuse(vcpu, -EINVAL, "more XCRs than the limit", xcrs->nr_xcrs);
	if (xcrs->flags)
		return vcpu_refuse(vcpu, -EINVAL, "xcrs: unknown flags", xcrs->flags);
	for (i = 0; i < xcrs->nr_xcrs; i++) {
		if (xcrs->xcrs[i].xcr != XCR_XFEATURE_ENABLED_MASK)
			continue;
		if (vcpu_set_xcr0(vcpu, XCR_XFEATURE_ENABLED_MASK, xcrs->xcrs[i].value))
			return vcpu_refuse(vcpu, -EINVAL,
					   "XCR0 has bits that the guest's CPUID does not offer",
					   xcrs->xcrs[i].value);
		break;
	}
	return 0;
}
