// SPDX-License-Identifier: GPL-2.0-only
/*
 * IA32_EFER of the guest and of the host: by a field of the VMCS, or by MSR areas on CPUs whose VM
 * entries do not load it.
 * It must not know what the guest may write to it; msr.c does.
 */
#include <linux/slab.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>

#include "guest_state.h"

/* "MSR Entry": of the lists that VM entry and VM exit load from; 16 bytes aligned. */
struct vmx_msr_entry {
	u32 index;
	u32 reserved;
	u64 value;
};

struct vmx_efer_areas {
	struct vmx_msr_entry entry;
	struct vmx_msr_entry exit;
};

static_assert(sizeof(struct vmx_efer_areas) == 32);

static bool has_efer_controls(void)
{
	return vmx_caps.entry & ENTRY_LOAD_EFER;
}

int vmx_efer_alloc(struct vcpu_vmx *vmx)
{
	if (has_efer_controls())
		return 0;
	/* A power of two, so aligned to it. */
	vmx->efer_areas = kzalloc(sizeof(*vmx->efer_areas), GFP_KERNEL_ACCOUNT);
	return vmx->efer_areas ? 0 : -ENOMEM;
}

void vmx_efer_setup(struct vcpu_vmx *vmx)
{
	struct vmx_efer_areas *areas = vmx->efer_areas;

	vmcs_write32(VMCS_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write32(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	if (has_efer_controls()) {
		vmcs_write64(VMCS_HOST_EFER, native_read_msr(MSR_EFER));
		return;
	}
	areas->entry.index = MSR_EFER;
	areas->exit.index = MSR_EFER;
	areas->exit.value = native_read_msr(MSR_EFER);
	vmcs_write64(VMCS_ENTRY_MSR_LOAD_ADDR, __pa(&areas->entry));
	vmcs_write64(VMCS_EXIT_MSR_LOAD_ADDR, __pa(&areas->exit));
}

/*
 * "Checks on Guest Control Registers": LME goes with CR0.PG, which is always set for a CPU without
 * unrestricted guest. Shadow tables use NX whether the guest does or not.
 */
static u64 hardware_efer(const struct vcpu *vcpu)
{
	u64 efer = vcpu->efer;

	if (!hw.unrestricted_guest && !(efer & EFER_LMA))
		efer &= ~(u64)EFER_LME;
	if (!hw.ept && boot_cpu_has(X86_FEATURE_NX))
		efer |= EFER_NX;
	return efer;
}

/*
 * "IA-32e mode guest" sets LMA and LME, and a VM exit gives the host its own. What else is the same
 * for both needs no list: only SYSCALL may be off for a guest.
 */
static void write_efer(struct vcpu_vmx *vmx, u64 efer)
{
	u64 by_mode = EFER_LMA | EFER_LME;
	u32 count;

	if (has_efer_controls()) {
		vmcs_write64(VMCS_GUEST_EFER, efer);
		return;
	}
	vmx->efer_areas->entry.value = efer;
	count = ((efer ^ vmx->efer_areas->exit.value) & ~by_mode) != 0;
	vmcs_write32(VMCS_ENTRY_MSR_LOAD_COUNT, count);
	vmcs_write32(VMCS_EXIT_MSR_LOAD_COUNT, count);
}

void vmx_efer_changed(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmcs_get(vmx);
	if (vcpu->efer & EFER_LMA)
		vmx_entry_set(vmx, ENTRY_GUEST_64BIT);
	else
		vmx_entry_clear(vmx, ENTRY_GUEST_64BIT);
	write_efer(vmx, hardware_efer(vcpu));
	vmx->state_changed = true;
	if (!hw.ept)
		vcpu_request(vcpu, REQ_MMU_RELOAD);
	vmx_switch_reload(vmx);
	vmcs_put(vmx);
}
