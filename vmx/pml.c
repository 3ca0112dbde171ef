// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page-modification logging: the CPU lists the frames whose dirty flag it sets, and they go to the
 * slot's dirty log before anybody can see that the guest was left.
 * It must not touch EPT entries: mmu/ clears the dirty flags that start a page over.
 *
 * The list is used only while some slot of the VM logs. Whatever ends a stay in the guest drains
 * it, so that outside the guest it is empty, and kicking all vCPUs brings a VM's log up to date.
 */
#include <linux/gfp.h>

#include "mmu.h"
#include "requests.h"
#include "vmx.h"

/* "Page-Modification Logging": a page of addresses, filled from its end. */
#define PML_ENTRIES	512

int vmx_pml_init(struct vcpu_vmx *vmx)
{
	if (!hw.pml)
		return 0;
	vmx->pml = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->pml)
		return -ENOMEM;
	/* The VM may log already. */
	vcpu_request(&vmx->vcpu, REQ_PML);
	return 0;
}

void vmx_pml_free(struct vcpu_vmx *vmx)
{
	free_page((unsigned long)vmx->pml);
}

void vmx_pml_setup(struct vcpu_vmx *vmx)
{
	if (!vmx->pml)
		return;
	vmcs_write64(VMCS_PML_ADDRESS, __pa(vmx->pml));
	vmcs_write16(VMCS_PML_INDEX, PML_ENTRIES - 1);
}

void vmx_pml_update(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmcs_get(vmx);
	if (READ_ONCE(vcpu->vm->mmu.logging))
		vmx_cpu2_set(vmx, CPU2_PML);
	else
		vmx_cpu2_clear(vmx, CPU2_PML);
	vmcs_put(vmx);
}

void vmx_pml_drain(struct vcpu_vmx *vmx)
{
	unsigned int next = vmcs_read16(VMCS_PML_INDEX), first, i;

	if (next == PML_ENTRIES - 1)
		return;
	/* Below the first entry the index wraps: that is a full list. */
	first = next < PML_ENTRIES ? next + 1 : 0;
	for (i = PML_ENTRIES; i-- > first;)
		mmu_mark_dirty(&vmx->vcpu, gpa_to_gfn(vmx->pml[i]));
	vmcs_write16(VMCS_PML_INDEX, PML_ENTRIES - 1);
}

/* What made room is that the guest was left. */
int handle_pml_full(struct vcpu *vcpu)
{
	const struct vmx_exit_info *info = &to_vmx(vcpu)->info;

	/* As for EPT violations: the exit undid what an IRET had done. */
	if ((info->qual & EPT_QUAL_NMI_UNBLOCKING) && !(info->idt_info & INTR_VALID))
		vmx_set_nmi_masked(vcpu, true);
	return RUN_RESUME;
}
