// SPDX-License-Identifier: GPL-2.0-only
/*
 * Life of a vCPU's hardware half: allocation, RESET and INIT, and the controls that follow CPUID
 * and TSC.
 * It must not run the guest.
 */
#include <linux/bitmap.h>
#include <linux/gfp.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/msr-index.h>
#include <asm/segment.h>

#include "guest_state.h"
#include "irq.h"
#include "requests.h"
#include "vmx.h"

/* Bits that the guest may change without an exit: nothing here hangs on them. */
#define CR0_GUEST_OWNED	X86_CR0_TS
#define CR4_GUEST_OWNED	(X86_CR4_PVI | X86_CR4_DE | X86_CR4_PCE | X86_CR4_OSFXSR | \
			 X86_CR4_OSXMMEXCPT | X86_CR4_PGE | X86_CR4_TSD | X86_CR4_FSGSBASE)
/* Changing PGE flushes the TLB, and shadow tables with it. */
#define CR4_SHADOW_INTERCEPTED	X86_CR4_PGE

/* ---- VPIDs: from the top, since a VMX owner we borrow from counts from the bottom ---- */

#define NR_VPIDS	65536
static DECLARE_BITMAP(vpids_free, NR_VPIDS);
static DEFINE_SPINLOCK(vpid_lock);

static u16 vpid_alloc(void)
{
	unsigned long vpid;

	if (!hw.vpid)
		return 0;
	spin_lock(&vpid_lock);
	vpid = find_last_bit(vpids_free, NR_VPIDS);
	if (vpid < NR_VPIDS)
		__clear_bit(vpid, vpids_free);
	else
		vpid = 0;
	spin_unlock(&vpid_lock);
	return vpid;
}

static void vpid_free(u16 vpid)
{
	if (!vpid)
		return;
	spin_lock(&vpid_lock);
	__set_bit(vpid, vpids_free);
	spin_unlock(&vpid_lock);
}

/*
 * ---- MSR bitmap, "MSR-Bitmap Address" ----
 *
 * Reads below, writes 2 KiB above; low MSRs first, then 0xc0000000 and up.
 */

static void bitmap_intercept(unsigned long *map, u32 msr, bool exits)
{
	if (msr >= 0xc0000000)
		msr = (msr & 0x1fff) + 0x2000;
	__assign_bit(msr, map, exits);
}

/* Whether RDMSR or WRMSR of @msr exits; always when user space forbids it. */
static void msr_intercept(struct vcpu_vmx *vmx, u32 msr, bool read, bool write)
{
	unsigned long *map = vmx->msr_bitmap;

	read |= msr_filtered(&vmx->vcpu, msr, KVM_MSR_FILTER_READ);
	write |= msr_filtered(&vmx->vcpu, msr, KVM_MSR_FILTER_WRITE);
	bitmap_intercept(map, msr, read);
	bitmap_intercept(map + 2048 / sizeof(long), msr, write);
}

void vmx_msr_bitmap_update(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	static const u32 direct[] = {
		MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
		MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	};
	static const u32 residencies[] = {
		MSR_CORE_C1_RES, MSR_CORE_C3_RESIDENCY, MSR_CORE_C6_RESIDENCY,
		MSR_CORE_C7_RESIDENCY,
	};
	bool spec = host_mitigations.spec_ctrl &&
		    (guest_has(vcpu, GF_SPEC_CTRL) || guest_has(vcpu, GF_STIBP) ||
		     guest_has(vcpu, GF_SSBD));
	int i;

	memset(vmx->msr_bitmap, 0xff, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(direct); i++)
		msr_intercept(vmx, direct[i], false, false);
	msr_intercept(vmx, MSR_IA32_TSC, false, true);
	if (spec)
		msr_intercept(vmx, MSR_IA32_SPEC_CTRL, false, false);
	if (host_mitigations.ibpb && guest_has(vcpu, GF_PRED_CMD))
		msr_intercept(vmx, MSR_IA32_PRED_CMD, true, false);
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D) && guest_has(vcpu, GF_FLUSH_L1D))
		msr_intercept(vmx, MSR_IA32_FLUSH_CMD, true, false);
	if (vcpu->vm->disabled_exits & KVM_X86_DISABLE_EXITS_CSTATE)
		for (i = 0; i < ARRAY_SIZE(residencies); i++)
			msr_intercept(vmx, residencies[i], false, true);

	vmx->enter.flags &= ~(VMX_ENTER_SPEC_CTRL | VMX_ENTER_SPEC_SAVE);
	if (host_mitigations.spec_ctrl)
		vmx->enter.flags |= VMX_ENTER_SPEC_CTRL | (spec ? VMX_ENTER_SPEC_SAVE : 0);
}

/* ---- Controls that follow guest state ---- */

static void cpu2_follow(struct vcpu_vmx *vmx, u32 bit, bool on)
{
	if (on && (vmx_caps.cpu2 & bit))
		vmx_cpu2_set(vmx, bit);
	else
		vmx_cpu2_clear(vmx, bit);
}

void vmx_cpuid_changed(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long cr4;

	vmcs_get(vmx);
	cpu2_follow(vmx, CPU2_RDTSCP, guest_has(vcpu, GF_RDTSCP) || guest_has(vcpu, GF_RDPID));
	cpu2_follow(vmx, CPU2_INVPCID, guest_has(vcpu, GF_INVPCID));
	cpu2_follow(vmx, CPU2_XSAVES, guest_has(vcpu, GF_XSAVES));
	cr4 = vcpu_cr4(vcpu);
	vmx->cr4_owned = CR4_GUEST_OWNED & ~vcpu->cr4_reserved;
	if (!hw.ept) {
		vmx->cr4_owned &= ~CR4_SHADOW_INTERCEPTED;
		vcpu_request(vcpu, REQ_MMU_RELOAD);
	}
	vmcs_writel(VMCS_CR4_MASK, ~vmx->cr4_owned);
	regs_put_cr4(vcpu, cr4);
	vmcs_put(vmx);
	vmx_msr_bitmap_update(vcpu);
}

void vmx_tsc_update(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmcs_write64(VMCS_TSC_OFFSET, vcpu->tsc_offset);
	if (!hw.tsc_scaling)
		return;
	if (vcpu->tsc_ratio) {
		vmcs_write64(VMCS_TSC_MULTIPLIER, vcpu->tsc_ratio);
		vmx_cpu2_set(vmx, CPU2_TSC_SCALING);
	} else {
		vmx_cpu2_clear(vmx, CPU2_TSC_SCALING);
	}
}

void vmx_exceptions_update(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 bitmap = BIT(VEC_DB) | BIT(VEC_UD) | BIT(VEC_AC) | BIT(VEC_MC);

	if (vcpu->guest_debug & KVM_GUESTDBG_USE_SW_BP)
		bitmap |= BIT(VEC_BP);
	if (!hw.ept)
		bitmap |= BIT(VEC_PF);
	if (hw.vmware_backdoor)
		bitmap |= BIT(VEC_GP);
	vmcs_get(vmx);
	vmx_exceptions_write(vmx, bitmap);
	vmcs_put(vmx);
}

/* ---- RESET and INIT, "Processor State After Reset" ---- */

static void reset_segments(struct vcpu *vcpu)
{
	struct kvm_segment data = { .limit = 0xffff, .type = 3, .s = 1, .present = 1 };
	struct kvm_segment code = { .base = 0xffff0000, .selector = 0xf000, .limit = 0xffff,
				    .type = 0xb, .s = 1, .present = 1 };
	struct kvm_segment ldt = { .limit = 0xffff, .type = 2, .present = 1 };
	struct kvm_segment tss = { .limit = 0xffff, .type = 0xb, .present = 1 };
	struct kvm_dtable dt = { .limit = 0xffff };
	int i;

	for (i = SEG_ES; i <= SEG_GS; i++)
		vcpu_set_segment(vcpu, i == SEG_CS ? &code : &data, i);
	vcpu_set_segment(vcpu, &ldt, SEG_LDTR);
	vcpu_set_segment(vcpu, &tss, SEG_TR);
	vcpu_set_gdt(vcpu, &dt);
	vcpu_set_idt(vcpu, &dt);
}

static void reset_events(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;

	memset(&vcpu->exception, 0, sizeof(vcpu->exception));
	memset(&vcpu->interrupt, 0, sizeof(vcpu->interrupt));
	vcpu->nmi_injected = false;
	atomic_set(&vcpu->nmi_pending, 0);
	vcpu->smi_pending = false;
	vcpu_take_request(vcpu, REQ_SMI);
	vcpu_set_smm(vcpu, false);
	vmx->entered = ENTERED_NOTHING;
	vmx->interruptibility = 0;
	vmcs_write32(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmcs_write32(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
	vmcs_writel(VMCS_GUEST_PENDING_DEBUG, 0);
	vmcs_write32(VMCS_ENTRY_INTR_INFO, 0);
	vmx->intr_dirty = false;
}

static void reset_control_registers(struct vcpu *vcpu, bool init_event)
{
	unsigned long cr0 = X86_CR0_ET;

	/* INIT leaves the cache bits alone. */
	cr0 |= init_event ? vcpu_cr0(vcpu) & (X86_CR0_CD | X86_CR0_NW) : X86_CR0_CD | X86_CR0_NW;
	vcpu->efer = 0;
	vmx_efer_changed(vcpu);
	regs_put_cr4(vcpu, 0);
	regs_put_cr3(vcpu, 0);
	regs_put_cr0(vcpu, cr0);
	vcpu->cr2 = 0;
}

static void reset_registers(struct vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *version = cpuid_find(vcpu, 1, 0);

	memset(vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs[REG_RDX] = version ? version->eax : 0x600;
	vcpu->rsp_dirty = true;
	vcpu_set_rip(vcpu, 0xfff0);
	vcpu_set_rflags(vcpu, X86_EFLAGS_FIXED);
	memset(vcpu->db, 0, sizeof(vcpu->db));
	vcpu->dr6 = DR6_RESERVED;
	regs_put_dr7(vcpu, DR7_FIXED);
}

void vcpu_hw_reset(struct vcpu *vcpu, bool init_event)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmcs_get(vmx);
	if (!vmx->ready) {
		vmcs_setup(vmx);
		vmx->ready = true;
	}
	reset_events(vmx);
	reset_control_registers(vcpu, init_event);
	reset_segments(vcpu);
	reset_registers(vcpu);
	vmcs_put(vmx);
	if (!init_event) {
		vcpu->smbase = SMBASE_RESET;
		vcpu->smi_count = 0;
	}
	msr_vcpu_reset(vcpu, init_event);
	vcpu_pv_reset(vcpu);
	vmx_exceptions_update(vcpu);
	vmx_cpuid_changed(vcpu);
	cpuid_update_dynamic(vcpu);
	vcpu_request(vcpu, REQ_EVENT);
	vcpu_request(vcpu, REQ_TSC);
}

/* ---- Allocation ---- */

static int alloc_parts(struct vcpu_vmx *vmx)
{
	int ret;

	ret = vmcs_alloc(&vmx->vmcs);
	if (ret)
		return ret;
	ret = vmx_efer_alloc(vmx);
	if (ret)
		return ret;
	vmx->msr_bitmap = (unsigned long *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->msr_bitmap || !host_fpu_alloc(&vmx->guest_fpu))
		return -ENOMEM;
	vmx->has_fpu = true;
	return vmx_pml_init(vmx);
}

struct vcpu *vcpu_hw_alloc(struct vm *vm)
{
	struct vcpu_vmx *vmx;
	struct vcpu *vcpu;

	vmx = kzalloc(sizeof(*vmx), GFP_KERNEL_ACCOUNT);
	if (!vmx)
		return ERR_PTR(-ENOMEM);
	vcpu = &vmx->vcpu;
	vcpu->vm = vm;
	vcpu->cpu = -1;
	vmx->last_cpu = -1;
	vmx->vmcs.cpu = -1;
	if (alloc_parts(vmx)) {
		vcpu_hw_free(vcpu);
		return ERR_PTR(-ENOMEM);
	}
	vmx->vpid = vpid_alloc();
	vmx->cr0_owned = CR0_GUEST_OWNED;
	vmx->enter.verw_sel = __KERNEL_DS;
	vmx->enter.flags = host_mitigations.verw ? VMX_ENTER_VERW : 0;
	vmx->tlb_flush = true;
	vcpu_request(vcpu, REQ_HOST_MMIO);
	cpuid_vcpu_init(vcpu);
	msr_vcpu_init(vcpu);
	tsc_vcpu_init(vcpu);
	vcpu_pv_init(vcpu);
	return vcpu;
}

void vcpu_hw_free(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmcs_free(&vmx->vmcs);
	vpid_free(vmx->vpid);
	if (vmx->has_fpu)
		host_fpu_free(&vmx->guest_fpu);
	free_page((unsigned long)vmx->msr_bitmap);
	kfree(vmx->efer_areas);
	vmx_pml_free(vmx);
	kvfree(vcpu->cpuid);
	kfree(vmx);
}

/* ---- Module ---- */

int __init vmx_module_init(void)
{
	int ret;

	ret = vmx_caps_init();
	if (ret)
		return ret;
	bitmap_fill(vpids_free, NR_VPIDS);
	__clear_bit(0, vpids_free);	/* "VPIDs and ...": 0 is the host's */
	ret = vmcs_module_init();
	if (ret)
		return ret;
	vmx_run_init();
	cpuid_init();
	ret = host_init(hw.ept);
	if (ret)
		goto err_vmcs;
	ret = vmx_switch_init();
	if (ret)
		goto err_host;
	ret = pvclock_module_init();
	if (ret)
		goto err_switch;
	ret = vmx_hw_init();
	if (ret)
		goto err_clock;
	return 0;

err_clock:
	pvclock_module_exit();
err_switch:
	vmx_switch_exit();
err_host:
	host_exit();
err_vmcs:
	vmcs_module_exit();
	return ret;
}

void vmx_module_exit(void)
{
	vmx_hw_exit();
	pvclock_module_exit();
	vmx_switch_exit();
	host_exit();
	vmcs_module_exit();
}
