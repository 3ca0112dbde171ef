// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty rings: each vCPU lists the frames it writes in memory that user space maps, and user space
 * gives entries back once it has read them. Must not trust a word of what it reads there.
 *
 * An entry's life is in its flags: 0 is free, DIRTY is filled by the vCPU, RESET is set by user
 * space when it has taken the entry, and KVM_RESET_DIRTY_RINGS makes it free again after the frame
 * faults on the next write.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "internal.h"
#include "requests.h"

/*
 * Kept free behind the soft limit: for what one exit writes, and as many again as KVM keeps for the
 * CPU's own log of dirty pages, so that the same sizes are refused.
 */
#define RING_RESERVED		(64 + 512)

static u32 ring_used(const struct dirty_ring *ring)
{
	/* Pairs with the release in ring_reset(): a place is filled after it was emptied. */
	return ring->head - smp_load_acquire(&ring->tail);
}

/* ---- Filling ---- */

bool dirty_ring_soft_full(struct vcpu *vcpu)
{
	const struct dirty_ring *ring = &vcpu->mmu.ring;

	return ring->entries &&
	       ring_used(ring) >= vcpu->vm->mmu.dirty_ring_entries - RING_RESERVED;
}

void dirty_ring_push(struct vcpu *vcpu, const struct memslot *slot, gfn_t gfn)
{
	struct dirty_ring *ring = &vcpu->mmu.ring;
	u32 entries = vcpu->vm->mmu.dirty_ring_entries;
	struct kvm_dirty_gfn *entry;

	/* The bitmap of a slot that is being replaced goes before the slot does. */
	if (!ring->entries)
		return;
	/* The preempt notifier writes guest memory, too. */
	preempt_disable();
	/*
	 * The guest is not entered with a ring that is full to the soft limit, and the reserve is
	 * more than an exit writes. Only a VMM that has its ioctls write, again and again, without
	 * ever running the vCPU gets here, and misses what it did itself.
	 */
	if (ring_used(ring) < entries) {
		entry = &ring->entries[ring->head & (entries - 1)];
		WRITE_ONCE(entry->slot, memslot_number(slot));
		WRITE_ONCE(entry->offset, gfn - slot->base_gfn);
		/* Who sees the flag sees the rest. */
		smp_store_release(&entry->flags, KVM_DIRTY_GFN_F_DIRTY);
		ring->head++;
	}
	if (dirty_ring_soft_full(vcpu))
		vcpu_request(vcpu, REQ_DIRTY_RING);
	preempt_enable();
}

/* ---- KVM_RESET_DIRTY_RINGS ---- */

/* Frames that follow each other are protected in one go. */
struct ring_run {
	struct tdp_batch *batch;
	u32 slot;
	u64 first, count;
};

static void ring_protect(struct ring_run *run)
{
	struct vm *vm = run->batch->vm;
	struct memslot *slot = NULL;
	gfn_t first;

	if (run->count && memslot_number_valid(run->slot))
		slot = xa_load(&vm->mmu.slots_by_id, run->slot);
	/* The slot may have gone since, and user space may have written anything. */
	if (slot && run->first < slot->npages && run->count <= slot->npages - run->first) {
		first = slot->base_gfn + run->first;
		run->batch->as = slot->as;
		tdp_range(run->batch, first, first + run->count);
	}
	run->count = 0;
}

static void ring_add(struct ring_run *run, u32 slot, u64 offset)
{
	if (run->count && run->slot == slot && offset == run->first + run->count) {
		run->count++;
		return;
	}
	ring_protect(run);
	run->slot = slot;
	run->first = offset;
	run->count = 1;
}

/* mmu.lock held for writing, but let go now and then. Returns how many entries became free. */
static u32 ring_reset(struct vcpu *vcpu, struct tdp_batch *batch)
{
	struct dirty_ring *ring = &vcpu->mmu.ring;
	u32 entries = vcpu->vm->mmu.dirty_ring_entries, n;
	struct ring_run run = { .batch = batch };
	rwlock_t *lock = &vcpu->vm->mmu.lock;

	/* No more than once around, however fast user space sets the flag. */
	for (n = 0; n < entries; n++) {
		struct kvm_dirty_gfn *entry = &ring->entries[ring->tail & (entries - 1)];

		/* User space sets the flag when it has read the rest. */
		if (!(smp_load_acquire(&entry->flags) & KVM_DIRTY_GFN_F_RESET))
			break;
		ring_add(&run, READ_ONCE(entry->slot), READ_ONCE(entry->offset));
		WRITE_ONCE(entry->flags, 0);
		/* Pairs with ring_used(). */
		smp_store_release(&ring->tail, ring->tail + 1);
		if (need_resched() || rwlock_needbreak(lock)) {
			ring_protect(&run);
			tdp_batch_flush(batch);
			cond_resched_rwlock_write(lock);
		}
	}
	ring_protect(&run);
	return n;
}

long mmu_reset_dirty_rings(struct vm *vm)
{
	struct tdp_batch batch;
	struct vcpu *vcpu;
	unsigned int i;
	long n = 0;

	if (!vm->mmu.dirty_ring_entries)
		return vm_refuse(vm, -EINVAL, "the VM has no dirty rings", 0);
	tdp_batch_init(&batch, vm, TDP_WRITE_PROTECT, false);
	mutex_lock(&vm->slots_lock);
	write_lock(&vm->mmu.lock);
	vm_for_each_vcpu(i, vcpu, vm)
		n += ring_reset(vcpu, &batch);
	tdp_batch_flush(&batch);
	write_unlock(&vm->mmu.lock);
	mutex_unlock(&vm->slots_lock);
	return n;
}

/* ---- Life ---- */

int mmu_enable_dirty_ring(struct vm *vm, u64 bytes)
{
	u64 entries = bytes / sizeof(struct kvm_dirty_gfn);

	if (!is_power_of_2(bytes))
		return vm_refuse(vm, -EINVAL, "the size of a dirty ring is no power of two", bytes);
	if (bytes < PAGE_SIZE || entries < RING_RESERVED)
		return vm_refuse(vm, -EINVAL, "the dirty ring is too small", bytes);
	if (bytes > DIRTY_RING_MAX_BYTES)
		return vm_refuse(vm, -E2BIG, "the dirty ring is too large", bytes);
	if (vm->mmu.dirty_ring_entries)
		return vm_refuse(vm, -EINVAL, "the VM has dirty rings already", bytes);
	if (vm->nr_vcpus)
		return vm_refuse(vm, -EINVAL, "a vCPU exists already", vm->nr_vcpus);
	mutex_lock(&vm->slots_lock);
	vm->mmu.dirty_ring_entries = entries;
	mutex_unlock(&vm->slots_lock);
	return 0;
}

int dirty_ring_init(struct vcpu *vcpu)
{
	size_t entries = vcpu->vm->mmu.dirty_ring_entries;

	if (!entries)
		return 0;
	vcpu->mmu.ring.entries = __vmalloc(entries * sizeof(struct kvm_dirty_gfn),
					   GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	return vcpu->mmu.ring.entries ? 0 : -ENOMEM;
}

void dirty_ring_free(struct vcpu *vcpu)
{
	vfree(vcpu->mmu.ring.entries);
	vcpu->mmu.ring.entries = NULL;
}

struct page *dirty_ring_page(const struct vcpu *vcpu, unsigned long index)
{
	size_t bytes = vcpu->vm->mmu.dirty_ring_entries * sizeof(struct kvm_dirty_gfn);

	if (!vcpu->mmu.ring.entries || index >= bytes >> PAGE_SHIFT)
		return NULL;
	return vmalloc_to_page((void *)vcpu->mmu.ring.entries + (index << PAGE_SHIFT));
}
