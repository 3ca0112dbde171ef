// SPDX-License-Identifier: GPL-2.0-only
/*
 * Life of the memory half of a VM and of a vCPU.
 * Must not map, zap or look anything up.
 */
#include <linux/gfp.h>

#include "internal.h"
#include "requests.h"
#include "shadow.h"
#include "spte.h"

int mmu_module_init(void)
{
	return shadow_limit_init();
}

void mmu_module_exit(void)
{
	shadow_limit_exit();
	notifier_module_exit();
	/* Slots that were replaced are freed by RCU callbacks of this module. */
	rcu_barrier();
}

static void mmu_tables_destroy(struct vm *vm)
{
	if (hw.ept)
		tdp_destroy(vm);
	else
		shadow_vm_destroy(vm);
}

int mmu_vm_init(struct vm *vm)
{
	struct vm_mmu *mmu = &vm->mmu;
	unsigned int as;
	int r;

	rwlock_init(&mmu->lock);
	init_waitqueue_head(&mmu->invalidate_wait);
	for (as = 0; as < NR_ADDRESS_SPACES; as++)
		mt_init_flags(&mmu->slots[as], MT_FLAGS_USE_RCU);
	xa_init(&mmu->slots_by_id);
	mmu->hva_tree = RB_ROOT_CACHED;
	/* Zeroed vCPUs must not believe that they have cached something. */
	mmu->slots_generation = 1;
	nx_vm_init(vm);

	r = hw.ept ? tdp_init(vm) : shadow_vm_init(vm);
	if (r)
		return r;
	/* Last: callbacks come from here on. */
	r = notifier_init(vm);
	if (r) {
		mmu_vm_stop(vm);
		mmu_tables_destroy(vm);
	}
	return r;
}

void mmu_vm_stop(struct vm *vm)
{
	write_lock(&vm->mmu.lock);
	vm->mmu.dead = true;
	write_unlock(&vm->mmu.lock);
	nx_vm_destroy(vm);
	if (!hw.ept)
		shadow_limit_del(vm->mmu.shadow);
}

void mmu_vm_destroy(struct vm *vm)
{
	mmu_tables_destroy(vm);
	memslots_destroy(vm);
}

int mmu_vcpu_init(struct vcpu *vcpu)
{
	int r;

	memset(&vcpu->mmu, 0, sizeof(vcpu->mmu));
	r = dirty_ring_init(vcpu);
	if (r || hw.ept)
		return r;
	r = shadow_vcpu_init(vcpu);
	if (r)
		dirty_ring_free(vcpu);
	return r;
}

void mmu_vcpu_destroy(struct vcpu *vcpu)
{
	while (vcpu->mmu.cached)
		free_page((unsigned long)vcpu->mmu.cache[--vcpu->mmu.cached]);
	dirty_ring_free(vcpu);
	shadow_vcpu_destroy(vcpu);
}

void mmu_switch_space(struct vcpu *vcpu)
{
	/* What the vCPU remembers is of the other address space; generations begin with 1. */
	vcpu->mmu.last_slot_generation = 0;
	vcpu->mmu.mmio_generation = 0;
	vcpu_request(vcpu, REQ_MMU_RELOAD);
	/* Flushes before have been of the other's EPT context alone. */
	vcpu_request(vcpu, REQ_TLB_FLUSH);
}

u64 mmu_eptp(struct vcpu *vcpu)
{
	const struct vm_mmu *mmu = &vcpu->vm->mmu;

	return spte_make_eptp(mmu->root[vcpu_address_space(vcpu)], mmu->root_level, hw.ept_ad);
}
