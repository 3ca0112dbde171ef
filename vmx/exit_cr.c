// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exits of control-register and debug-register accesses: decode the qualification, let regs.c
 * decide.
 * It must not know which bits are legal.
 */
#include <linux/bitfield.h>
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>

#include "guest_state.h"
#include "irq.h"

static int finish(struct vcpu *vcpu, int refused)
{
	if (refused) {
		vcpu_queue_exception_error(vcpu, VEC_GP, 0);
		return RUN_RESUME;
	}
	return vcpu_skip_instruction(vcpu);
}

static unsigned long read_gpr(struct vcpu *vcpu, unsigned int reg)
{
	unsigned long value = vcpu->regs[reg];

	return vcpu_is_64bit_code(vcpu) ? value : (u32)value;
}

static void write_gpr(struct vcpu *vcpu, unsigned int reg, unsigned long value)
{
	vcpu->regs[reg] = vcpu_is_64bit_code(vcpu) ? value : (u32)value;
	if (reg == REG_RSP)
		vcpu->rsp_dirty = true;
}

static int mov_to_cr8(struct vcpu *vcpu, unsigned long value)
{
	unsigned long old = vcpu_cr8(vcpu);
	int ret;

	if (vcpu_set_cr8(vcpu, value))
		return finish(vcpu, 1);
	ret = finish(vcpu, 0);
	/* A user-space APIC wants to know when a lowered priority lets interrupts through. */
	if (!vcpu->lapic && value < old) {
		vcpu->run->exit_reason = KVM_EXIT_SET_TPR;
		return RUN_TO_USER;
	}
	return ret;
}

static int mov_to_cr(struct vcpu *vcpu, unsigned int cr, unsigned long value)
{
	switch (cr) {
	case 0:
		return finish(vcpu, vcpu_set_cr0(vcpu, value));
	case 3:
		return finish(vcpu, vcpu_set_cr3(vcpu, value));
	case 4:
		return finish(vcpu, vcpu_set_cr4(vcpu, value));
	case 8:
		return mov_to_cr8(vcpu, value);
	default:
		vcpu_queue_exception(vcpu, VEC_UD);
		return RUN_RESUME;
	}
}

static int mov_from_cr(struct vcpu *vcpu, unsigned int cr, unsigned int reg)
{
	switch (cr) {
	case 3:
		write_gpr(vcpu, reg, vcpu_cr3(vcpu));
		return finish(vcpu, 0);
	case 8:
		write_gpr(vcpu, reg, vcpu_cr8(vcpu));
		return finish(vcpu, 0);
	default:
		vcpu_queue_exception(vcpu, VEC_UD);
		return RUN_RESUME;
	}
}

/* LMSW changes PE, MP, EM and TS, and cannot clear PE. */
static unsigned long lmsw(unsigned long cr0, unsigned long msw)
{
	return (cr0 & ~0xeul) | (msw & 0xf);
}

/* The CPU's own translations are those of one root at a time. */
static void switch_hardware_cr3(struct vcpu_vmx *vmx)
{
	struct invvpid_desc vpid = { .vpid = vmx->vpid };

	vmcs_writel(VMCS_GUEST_CR3, mmu_shadow_cr3(&vmx->vcpu));
	if (vmx->vpid)
		vmx_invvpid(vmx_caps.ept_vpid & VPID_CAP_CONTEXT ? INVVPID_CONTEXT : INVVPID_ALL,
			    vpid);
}

/* A switch between address spaces that this vCPU has shadow tables of: 64-bit MOV to CR3. */
enum fast_result fast_cr_access(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	unsigned long qual, val;
	unsigned int reg;

	if (hw.ept || !(vcpu->efer & EFER_LMA) || vcpu_request_pending(vcpu))
		return FAST_NONE;
	qual = vmcs_readl(VMCS_EXIT_QUALIFICATION);
	reg = FIELD_GET(CR_QUAL_REG, qual);
	if (FIELD_GET(CR_QUAL_NUMBER, qual) != 3 || FIELD_GET(CR_QUAL_TYPE, qual) != CR_ACCESS_TO ||
	    reg == REG_RSP || !(segs_read_rights(SEG_CS) & SEG_RIGHTS_L))
		return FAST_NONE;
	val = vcpu->regs[reg];
	/* The guest does not own PCIDE: what is kept here is true. */
	if (vcpu->cr4 & X86_CR4_PCIDE)
		val &= ~X86_CR3_PCID_NOFLUSH;
	if (!regs_cr3_valid(vcpu, val) || !mmu_shadow_switch_fast(vcpu, val, false) ||
	    !vmx_skip_fast(vmx))
		return FAST_NONE;
	mmu_shadow_switch_fast(vcpu, val, true);
	vcpu->cr3 = val;
	switch_hardware_cr3(vmx);
	return FAST_REENTER;
}

int handle_cr_access(struct vcpu *vcpu)
{
	unsigned long qual = to_vmx(vcpu)->info.qual;
	unsigned int cr = FIELD_GET(CR_QUAL_NUMBER, qual);
	unsigned int reg = FIELD_GET(CR_QUAL_REG, qual);

	switch ((enum cr_access)FIELD_GET(CR_QUAL_TYPE, qual)) {
	case CR_ACCESS_TO:
		return mov_to_cr(vcpu, cr, read_gpr(vcpu, reg));
	case CR_ACCESS_FROM:
		return mov_from_cr(vcpu, cr, reg);
	case CR_ACCESS_CLTS:
		return finish(vcpu, vcpu_set_cr0(vcpu, vcpu_cr0(vcpu) & ~X86_CR0_TS));
	case CR_ACCESS_LMSW:
		return finish(vcpu, vcpu_set_cr0(vcpu, lmsw(vcpu_cr0(vcpu),
							    FIELD_GET(CR_QUAL_LMSW_DATA, qual))));
	}
	return RUN_RESUME;
}

int handle_dr_access(struct vcpu *vcpu)
{
	unsigned long qual = to_vmx(vcpu)->info.qual;
	unsigned int dr = FIELD_GET(DR_QUAL_NUMBER, qual);
	unsigned int reg = FIELD_GET(DR_QUAL_REG, qual);
	unsigned long value;

	/*
	 * "MOV-Move to/from Debug Registers": #UD for DR4 and DR5 with CR4.DE comes before
	 * everything else.
	 */
	if ((dr == 4 || dr == 5) && (vcpu_cr4(vcpu) & X86_CR4_DE)) {
		vcpu_queue_exception(vcpu, VEC_UD);
		return RUN_RESUME;
	}
	if (vcpu_cpl(vcpu))
		return finish(vcpu, 1);
	if (vcpu->hardware_dr7 & DR7_GD) {
		/* General detect is a fault: DR6.BD set, the instruction not executed. */
		if (vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP)
			return debug_exit(vcpu, VEC_DB, DR6_BD);
		vmx_queue_debug(vcpu, DR6_BD);
		return RUN_RESUME;
	}
	if (!(qual & DR_QUAL_FROM))
		return finish(vcpu, vcpu_set_dr(vcpu, dr, read_gpr(vcpu, reg)));
	if (vcpu_get_dr(vcpu, dr, &value))
		return finish(vcpu, 1);
	write_gpr(vcpu, reg, value);
	return finish(vcpu, 0);
}
