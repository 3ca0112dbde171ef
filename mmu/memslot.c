// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory slots: KVM_SET_USER_MEMORY_REGION with KVM's rules, and the lookup of a slot by guest
 * frame. Must not touch page table entries except through tdp_range().
 *
 * A slot object never changes while readers can see it. To change a slot, under slots_lock:
 *  1. the new object joins the tree by user address (so that notifiers know it before anything can
 *     be mapped from it), then the tree by guest frame;
 *  2. what the old object alone covered leaves the tree by guest frame;
 *  3. slots_generation grows: vCPUs forget what they cached;
 *  4. under mmu.lock, invalidate_seq grows (faults that began with the old object look again), the
 *     old range is zapped or write-protected and flushed, the old object leaves the tree by user
 *     address;
 *  5. readers under SRCU are waited for: no access through the old object is under way when the
 *     ioctl returns;
 *  6. the old object is freed after an RCU grace period, for readers in the inner loop.
 */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/slab.h>

#include "internal.h"
#include "requests.h"

/* KVM's own limit, so that bitmaps stay addressable. */
#define MEMSLOT_MAX_PAGES	((1ULL << 31) - 1)

static gfn_t memslot_last(const struct memslot *slot)
{
	return slot->base_gfn + slot->npages - 1;
}

/* ---- Readers ---- */

static struct memslot *memslot_find(struct vcpu *vcpu, gfn_t gfn)
{
	return mtree_load(&vcpu->vm->mmu.slots[vcpu_address_space(vcpu)], gfn);
}

struct memslot *vcpu_memslot_find(struct vcpu *vcpu, gfn_t gfn)
{
	struct vcpu_mmu *cache = &vcpu->mmu;
	/* Before the tree is read, see vcpu_slot(). */
	u64 generation = smp_load_acquire(&vcpu->vm->mmu.slots_generation);
	struct memslot *slot = memslot_find(vcpu, gfn);

	if (slot) {
		cache->last_slot = slot;
		cache->last_slot_generation = generation;
	} else {
		cache->mmio_gfn = gfn;
		cache->mmio_generation = generation;
	}
	return slot;
}

bool mmu_is_mmio_gpa(struct vcpu *vcpu, gpa_t gpa)
{
	gfn_t gfn = gpa_to_gfn(gpa);
	/* As in vcpu_slot(). */
	u64 generation = smp_load_acquire(&vcpu->vm->mmu.slots_generation);

	if (vcpu->mmu.mmio_gfn == gfn && vcpu->mmu.mmio_generation == generation)
		return true;
	return !vcpu_slot(vcpu, gfn);
}

/* ---- Objects ---- */

static void memslot_free(struct memslot *slot)
{
	kvfree(slot->dirty_bitmap);
	kfree(slot);
}

static void memslot_free_rcu(struct rcu_head *rcu)
{
	memslot_free(container_of(rcu, struct memslot, rcu));
}

static struct memslot *memslot_alloc(const struct kvm_userspace_memory_region *mem)
{
	struct memslot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);

	if (!slot)
		return NULL;
	slot->base_gfn = gpa_to_gfn(mem->guest_phys_addr);
	slot->npages = mem->memory_size >> PAGE_SHIFT;
	slot->hva = mem->userspace_addr;
	slot->flags = mem->flags;
	slot->id = mem->slot;
	slot->as = mem->slot >> 16;
	slot->hva_node.start = slot->hva;
	slot->hva_node.last = slot->hva + mem->memory_size - 1;
	return slot;
}

static bool memslot_starts_all_dirty(struct vm *vm, const struct memslot *new)
{
	return new->dirty_bitmap && vm->mmu.manual_dirty & KVM_DIRTY_LOG_INITIALLY_SET;
}

/*
 * The second half is dirty.c's buffer. A moved slot keeps what was logged, as KVM's does.
 */
static int memslot_set_bitmap(struct vm *vm, struct memslot *new, struct memslot *old)
{
	if (!memslot_logs(new) || vm->mmu.dirty_ring_entries)
		return 0;
	if (old && old->dirty_bitmap) {
		new->dirty_bitmap = old->dirty_bitmap;
		return 0;
	}
	new->dirty_bitmap = kvzalloc(2 * memslot_dirty_bytes(new), GFP_KERNEL_ACCOUNT);
	if (!new->dirty_bitmap)
		return -ENOMEM;
	if (memslot_starts_all_dirty(vm, new))
		bitmap_set(new->dirty_bitmap, 0, new->npages);
	return 0;
}

/* ---- Change ---- */

static void memslot_track(struct vm *vm, struct memslot *slot)
{
	write_lock(&vm->mmu.lock);
	interval_tree_insert(&slot->hva_node, &vm->mmu.hva_tree);
	write_unlock(&vm->mmu.lock);
}

static void memslot_untrack(struct vm *vm, struct memslot *slot)
{
	lockdep_assert_held_write(&vm->mmu.lock);
	interval_tree_remove(&slot->hva_node, &vm->mmu.hva_tree);
	/* Whoever let go of the lock in the middle of the tree may have stood here. */
	vm->mmu.hva_removed++;
}

static void memslot_erase(struct maple_tree *tree, gfn_t first, gfn_t last)
{
	/* Nothing could be undone any more, and what is needed is a few nodes at most. */
	int r = mtree_store_range(tree, first, last, NULL, GFP_KERNEL | __GFP_NOFAIL);

	WARN_ON_ONCE(r);
}

/* Take out of the tree what the old slot covers and the new one does not. */
static void memslot_erase_old(struct vm *vm, const struct memslot *old, const struct memslot *new)
{
	struct maple_tree *tree = &vm->mmu.slots[old->as];

	if (!new || memslot_last(new) < old->base_gfn || new->base_gfn > memslot_last(old))
		memslot_erase(tree, old->base_gfn, memslot_last(old));
	else if (new->base_gfn > old->base_gfn)
		memslot_erase(tree, old->base_gfn, new->base_gfn - 1);
	else if (new->base_gfn < old->base_gfn)
		memslot_erase(tree, memslot_last(new) + 1, memslot_last(old));
}

/* Steps 1 to 3. On failure nothing has changed. */
static int memslot_publish(struct vm *vm, struct memslot *old, struct memslot *new)
{
	struct vm_mmu *mmu = &vm->mmu;
	int r;

	lockdep_assert_held(&vm->slots_lock);
	if (new) {
		r = xa_err(xa_store(&mmu->slots_by_id, memslot_number(new), new,
				    GFP_KERNEL_ACCOUNT));
		if (r)
			return r;
		memslot_track(vm, new);
		r = mtree_store_range(&mmu->slots[new->as], new->base_gfn, memslot_last(new), new,
				      GFP_KERNEL_ACCOUNT);
		if (r) {
			write_lock(&mmu->lock);
			memslot_untrack(vm, new);
			write_unlock(&mmu->lock);
			/* Does not allocate: the index is there. */
			xa_store(&mmu->slots_by_id, memslot_number(new), old, GFP_KERNEL);
			return r;
		}
	} else {
		xa_erase(&mmu->slots_by_id, memslot_number(old));
	}
	if (old)
		memslot_erase_old(vm, old, new);
	/* Pairs with smp_load_acquire() in vcpu_slot() and vcpu_memslot_find(). */
	smp_store_release(&mmu->slots_generation, mmu->slots_generation + 1);
	return 0;
}

static enum tdp_action memslot_retire_action(const struct memslot *old, const struct memslot *new)
{
	if (!new || new->base_gfn != old->base_gfn)
		return TDP_ZAP;
	return memslot_logs(new) ? TDP_WRITE_PROTECT : TDP_ZAP_SPLIT;
}

/* Where all pages count as written, nothing has to notice that they are: only from a clear on. */
static bool memslot_keeps_maps(struct vm *vm, const struct memslot *old, const struct memslot *new)
{
	return new && new->base_gfn == old->base_gfn && !memslot_logs(old) &&
	       memslot_starts_all_dirty(vm, new);
}

/* Steps 4 to 6. */
static void memslot_retire(struct vm *vm, struct memslot *old, const struct memslot *new)
{
	struct tdp_batch batch;

	tdp_batch_init(&batch, vm, memslot_retire_action(old, new), true);
	batch.as = old->as;
	write_lock(&vm->mmu.lock);
	mmu_invalidate_bump(vm);
	if (!memslot_keeps_maps(vm, old, new))
		tdp_range(&batch, old->base_gfn, memslot_last(old) + 1);
	tdp_batch_flush(&batch);
	memslot_untrack(vm, old);
	write_unlock(&vm->mmu.lock);
	tdp_batch_free(&batch);

	synchronize_srcu_expedited(&vm->srcu);
	if (new && new->dirty_bitmap == old->dirty_bitmap)
		WRITE_ONCE(old->dirty_bitmap, NULL);
	call_rcu(&old->rcu, memslot_free_rcu);
}

/*
 * Count the slots that log. The first has each vCPU's CPU list what it writes: from before anything
 * is mapped with the dirty flag clear, and for guests that run as much as for those that do not.
 */
static void memslot_count_logging(struct vm *vm, const struct memslot *slot, int change)
{
	u32 count = vm->mmu.logging;

	if (!slot || !memslot_logs(slot))
		return;
	WRITE_ONCE(vm->mmu.logging, count + change);
	if (hw.pml && !count != !vm->mmu.logging)
		vcpu_request_all(vm, REQ_PML, true);
}

static int memslot_change(struct vm *vm, struct memslot *old, struct memslot *new)
{
	int r;

	memslot_count_logging(vm, new, 1);
	r = memslot_publish(vm, old, new);
	memslot_count_logging(vm, r ? new : old, -1);
	if (r)
		return vm_refuse(vm, r, "no memory for the slot trees", 0);
	if (new)
		vm->mmu.nr_pages += new->npages;
	if (old) {
		vm->mmu.nr_pages -= old->npages;
		memslot_retire(vm, old, new);
	}
	return 0;
}

/* ---- KVM_SET_USER_MEMORY_REGION ---- */

static int memslot_check(struct vm *vm, const struct kvm_userspace_memory_region *mem)
{
	u64 size = mem->memory_size, hva = mem->userspace_addr;

	if (mem->flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY))
		return vm_refuse(vm, -EINVAL, "unknown flag of a memory slot", mem->flags);
	if (size & ~PAGE_MASK)
		return vm_refuse(vm, -EINVAL, "memory_size is not a multiple of 4096", size);
	if (mem->guest_phys_addr & ~PAGE_MASK)
		return vm_refuse(vm, -EINVAL, "guest_phys_addr is not 4096-byte aligned",
				 mem->guest_phys_addr);
	if (hva & ~PAGE_MASK)
		return vm_refuse(vm, -EINVAL, "userspace_addr is not 4096-byte aligned", hva);
	if (hva > TASK_SIZE_MAX || size > TASK_SIZE_MAX - hva)
		return vm_refuse(vm, -EINVAL, "userspace_addr to its end is not user memory", hva);
	if (mem->slot >> 16 >= mmu_address_spaces())
		return vm_refuse(vm, -EINVAL, "no such address space", mem->slot >> 16);
	if (mem->guest_phys_addr + size < mem->guest_phys_addr)
		return vm_refuse(vm, -EINVAL, "the slot wraps around the address space",
				 mem->guest_phys_addr);
	if (size >> PAGE_SHIFT > MEMSLOT_MAX_PAGES)
		return vm_refuse(vm, -EINVAL, "the slot has 2^31 pages or more", size);
	return 0;
}

/* Another slot than @number in the way? The first such frame goes to *@at. */
static bool memslot_overlaps(struct vm *vm, u32 number, gfn_t first, gfn_t last, gfn_t *at)
{
	unsigned long index = first;
	struct memslot *slot;

	while ((slot = mt_find(&vm->mmu.slots[number >> 16], &index, last))) {
		if (memslot_number(slot) != number) {
			*at = slot->base_gfn;
			return true;
		}
		if (index > last)
			break;
	}
	return false;
}

static int memslot_check_place(struct vm *vm, const struct kvm_userspace_memory_region *mem)
{
	gfn_t first = gpa_to_gfn(mem->guest_phys_addr);
	gfn_t last = first + (mem->memory_size >> PAGE_SHIFT) - 1;
	gfn_t at;

	if (memslot_overlaps(vm, mem->slot, first, last, &at))
		return vm_refuse(vm, -EEXIST, "the slot overlaps the one at guest address",
				 gfn_to_gpa(at));
	if (last > vm->mmu.max_gfn)
		return vm_refuse(vm, -EINVAL, "the slot ends beyond the host's physical addresses",
				 gfn_to_gpa(last));
	return 0;
}

/* What KVM allows to change: the place, and whether writes are logged. 1 when nothing changes. */
static int memslot_check_change(struct vm *vm, const struct memslot *old,
				const struct kvm_userspace_memory_region *mem)
{
	if (mem->userspace_addr != old->hva)
		return vm_refuse(vm, -EINVAL, "userspace_addr of a slot cannot change", old->hva);
	if (mem->memory_size >> PAGE_SHIFT != old->npages)
		return vm_refuse(vm, -EINVAL, "memory_size of a slot cannot change",
				 old->npages << PAGE_SHIFT);
	if ((mem->flags ^ old->flags) & KVM_MEM_READONLY)
		return vm_refuse(vm, -EINVAL, "KVM_MEM_READONLY of a slot cannot change",
				 mem->flags);
	return gpa_to_gfn(mem->guest_phys_addr) == old->base_gfn && mem->flags == old->flags;
}

static int memslot_set_locked(struct vm *vm, const struct kvm_userspace_memory_region *mem)
{
	struct memslot *old, *new;
	int r = memslot_check(vm, mem);

	if (r)
		return r;
	old = xa_load(&vm->mmu.slots_by_id, mem->slot);
	if (!mem->memory_size) {
		if (!old)
			return vm_refuse(vm, -EINVAL, "no such slot to delete", mem->slot);
		return memslot_change(vm, old, NULL);
	}
	if (old) {
		r = memslot_check_change(vm, old, mem);
		if (r)
			return min(r, 0);
	}
	if (!old || gpa_to_gfn(mem->guest_phys_addr) != old->base_gfn) {
		r = memslot_check_place(vm, mem);
		if (r)
			return r;
	}

	new = memslot_alloc(mem);
	if (!new)
		return vm_refuse(vm, -ENOMEM, "no memory for a slot", 0);
	r = memslot_set_bitmap(vm, new, old);
	if (r)
		vm_refuse(vm, r, "no memory for the dirty bitmap", memslot_dirty_bytes(new));
	else
		r = memslot_change(vm, old, new);
	if (r) {
		if (old && new->dirty_bitmap == old->dirty_bitmap)
			new->dirty_bitmap = NULL;
		memslot_free(new);
	}
	return r;
}

int memslot_set(struct vm *vm, const struct kvm_userspace_memory_region *mem)
{
	int r;

	if ((mem->slot & 0xffff) >= MEMSLOTS_USER)
		return vm_refuse(vm, -EINVAL, "slot number beyond KVM_CAP_NR_MEMSLOTS", mem->slot);
	mutex_lock(&vm->slots_lock);
	r = memslot_set_locked(vm, mem);
	mutex_unlock(&vm->slots_lock);
	return r;
}

/* ---- Private slots ---- */

static int memslot_delete_private(struct vm *vm, struct memslot *old)
{
	struct kvm_userspace_memory_region mem = { .slot = old->id };
	hva_t hva = old->hva;
	size_t size = old->npages << PAGE_SHIFT;
	int r = memslot_set_locked(vm, &mem);

	if (!r)
		vm_munmap(hva, size);
	return r;
}

int memslot_set_private(struct vm *vm, unsigned int id, gpa_t gpa, u64 size)
{
	struct kvm_userspace_memory_region mem = {
		.slot = id,
		.guest_phys_addr = gpa,
		.memory_size = size,
	};
	struct memslot *old = xa_load(&vm->mmu.slots_by_id, id);
	unsigned long hva;
	int r;

	lockdep_assert_held(&vm->slots_lock);
	if (!size)
		return old ? memslot_delete_private(vm, old) : 0;
	if (old)
		return vm_refuse(vm, -EEXIST, "the kernel's own slot is there already", id);
	hva = vm_mmap(NULL, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(hva))
		return vm_refuse(vm, (int)hva, "no user memory for the kernel's own slot", size);
	mem.userspace_addr = hva;
	r = memslot_set_locked(vm, &mem);
	if (r)
		vm_munmap(hva, size);
	return r;
}

void memslot_drop_private(struct vm *vm, unsigned int id)
{
	mutex_lock(&vm->slots_lock);
	memslot_set_private(vm, id, 0, 0);
	mutex_unlock(&vm->slots_lock);
}

void memslots_destroy(struct vm *vm)
{
	struct memslot *slot;
	unsigned long number;
	unsigned int as;

	xa_for_each(&vm->mmu.slots_by_id, number, slot) {
		/* Not when the process has dropped its memory already. */
		if (slot->id >= MEMSLOTS_USER && current->mm && current->mm == vm->mm)
			vm_munmap(slot->hva, slot->npages << PAGE_SHIFT);
		memslot_free(slot);
		cond_resched();
	}
	xa_destroy(&vm->mmu.slots_by_id);
	/*
	 * Readers are gone. Leaving it to RCU's callbacks is more than slower: those of 6.12 follow
	 * a null pointer in a tree of thousands of slots.
	 */
	for (as = 0; as < NR_ADDRESS_SPACES; as++) {
		mt_clear_in_rcu(&vm->mmu.slots[as]);
		mtree_destroy(&vm->mmu.slots[as]);
	}
}
