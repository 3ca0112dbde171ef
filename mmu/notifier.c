// SPDX-License-Identifier: GPL-2.0-only
/*
 * Follows the host's own page tables: what the host unmaps, protects or ages is unmapped or aged
 * for the guest. Must not allocate: callbacks run under memory reclaim.
 *
 * The promise behind all mappings: an entry of the second level is made only while the host's page
 * table holds the same translation. invalidate_range_start() comes before the host changes its
 * entries and invalidate_range_end() after; in between, and for faults that began before the end,
 * the sequence count refuses new entries (see fault_is_stale() in fault.c).
 */
#include <linux/mmu_notifier.h>
#include <linux/wait_bit.h>

#include "compat.h"
#include "internal.h"
#include "requests.h"

/* VMs whose notifier has been put and whose last callback is still to come. */
static atomic_t notifier_pending = ATOMIC_INIT(0);

static struct vm *notifier_vm(struct mmu_notifier *mn)
{
	return container_of(mn, struct vm, mmu.notifier);
}

/* Apply the batch to all guest frames whose user address lies in [start, last]. mmu.lock held. */
static void notifier_range(struct tdp_batch *b, hva_t start, hva_t last)
{
	struct vm_mmu *mmu = &b->vm->mmu;
	struct interval_tree_node *node = interval_tree_iter_first(&mmu->hva_tree, start, last);
	u64 removed = mmu->hva_removed;

	while (node) {
		struct memslot *slot = container_of(node, struct memslot, hva_node);
		hva_t from = max(start, node->start), to = min(last, node->last);

		b->as = slot->as;
		tdp_range(b, slot->base_gfn + ((from - slot->hva) >> 12),
			  slot->base_gfn + ((to - slot->hva) >> 12) + 1);
		/* From here on the lock may have been let go of meanwhile. */
		if (mmu->dead)
			return;
		if (likely(mmu->hva_removed == removed)) {
			node = interval_tree_iter_next(node, start, last);
			continue;
		}
		/*
		 * The node may be gone. Nodes come ordered by their start, so nothing before @from
		 * is left to do. Only then from the start again: two that invalidate, and let go of
		 * the lock for each other, would do so for ever.
		 */
		removed = mmu->hva_removed;
		start = from;
		node = interval_tree_iter_first(&mmu->hva_tree, start, last);
	}
}

static void notifier_begin(struct vm_mmu *mmu, hva_t start, hva_t last)
{
	lockdep_assert_held_write(&mmu->lock);
	if (mmu->invalidate_in_progress++) {
		mmu->invalidate_start = min(mmu->invalidate_start, start);
		mmu->invalidate_last = max(mmu->invalidate_last, last);
	} else {
		mmu->invalidate_start = start;
		mmu->invalidate_last = last;
	}
}

static int notifier_invalidate_start(struct mmu_notifier *mn,
				     const struct mmu_notifier_range *range)
{
	struct vm *vm = notifier_vm(mn);
	struct tdp_batch batch;

	tdp_batch_init(&batch, vm, TDP_ZAP, mmu_notifier_range_blockable(range));
	write_lock(&vm->mmu.lock);
	if (!vm->mmu.dead) {
		notifier_begin(&vm->mmu, range->start, range->end - 1);
		notifier_range(&batch, range->start, range->end - 1);
		/*
		 * Before the lock goes: another invalidation that finds these entries absent
		 * already must be able to rely on no CPU using them.
		 */
		tdp_batch_flush(&batch);
	}
	write_unlock(&vm->mmu.lock);
	tdp_batch_free(&batch);
	return 0;
}

static void notifier_invalidate_end(struct mmu_notifier *mn,
				    const struct mmu_notifier_range *range)
{
	struct vm *vm = notifier_vm(mn);
	struct vm_mmu *mmu = &vm->mmu;
	bool last = false;

	write_lock(&mmu->lock);
	if (!mmu->dead && !WARN_ON_ONCE(mmu->invalidate_in_progress <= 0)) {
		/*
		 * Only faults through a slot that covers the range can hold an outdated
		 * translation. A slot that came since such a fault began is not the one it uses;
		 * one that went has bumped the sequence itself.
		 */
		if (interval_tree_iter_first(&mmu->hva_tree, range->start, range->end - 1))
			mmu_invalidate_bump(vm);
		last = !--mmu->invalidate_in_progress;
	}
	write_unlock(&mmu->lock);
	/* Has a full barrier: either the waiter is seen, or it sees that none is in progress. */
	if (last && wq_has_sleeper(&mmu->invalidate_wait))
		wake_up_all(&mmu->invalidate_wait);
}

/* @flush: and no CPU goes on with a translation whose flag has been cleared. */
static bool notifier_age(struct mmu_notifier *mn, hva_t start, hva_t end, enum tdp_action action,
			 bool flush)
{
	struct vm *vm = notifier_vm(mn);
	struct tdp_batch batch;

	tdp_batch_init(&batch, vm, action, false);
	read_lock(&vm->mmu.lock);
	if (!vm->mmu.dead) {
		notifier_range(&batch, start, end - 1);
		/* With the lock, which keeps the vCPUs. */
		if (flush && batch.young)
			vcpu_request_all(vm, REQ_TLB_FLUSH, true);
	}
	read_unlock(&vm->mmu.lock);
	return batch.young;
}

static COMPAT_YOUNG notifier_clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm,
					       unsigned long start, unsigned long end)
{
	return notifier_age(mn, start, end, TDP_AGE, true);
}

/*
 * Without a flush: a CPU that goes on with its cached translation only makes the page look older
 * than it is.
 */
static COMPAT_YOUNG notifier_clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
					 unsigned long start, unsigned long end)
{
	return notifier_age(mn, start, end, TDP_AGE, false);
}

static COMPAT_YOUNG notifier_test_young(struct mmu_notifier *mn, struct mm_struct *mm,
					unsigned long address)
{
	return notifier_age(mn, address, address + 1, TDP_TEST_YOUNG, false);
}

/* The mm goes: no thread is left that could run a vCPU, and none will be. */
static void notifier_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct vm *vm = notifier_vm(mn);
	struct tdp_batch batch;
	unsigned int as;

	tdp_batch_init(&batch, vm, TDP_ZAP, true);
	write_lock(&vm->mmu.lock);
	if (!vm->mmu.dead) {
		mmu_invalidate_bump(vm);
		for (as = 0; as < mmu_address_spaces() && !vm->mmu.dead; as++) {
			batch.as = as;
			tdp_range(&batch, 0, vm->mmu.max_gfn + 1);
		}
		tdp_batch_flush(&batch);
	}
	write_unlock(&vm->mmu.lock);
	tdp_batch_free(&batch);
}

static void notifier_free(struct mmu_notifier *mn)
{
	vm_free(notifier_vm(mn));
	if (atomic_dec_and_test(&notifier_pending))
		wake_up_var(&notifier_pending);
}

static const struct mmu_notifier_ops notifier_ops = {
	.release = notifier_release,
	.clear_flush_young = notifier_clear_flush_young,
	.clear_young = notifier_clear_young,
	.test_young = notifier_test_young,
	.invalidate_range_start = notifier_invalidate_start,
	.invalidate_range_end = notifier_invalidate_end,
	.free_notifier = notifier_free,
};

int notifier_init(struct vm *vm)
{
	vm->mmu.notifier.ops = &notifier_ops;
	return mmu_notifier_register(&vm->mmu.notifier, current->mm);
}

void mmu_vm_put(struct vm *vm)
{
	atomic_inc(&notifier_pending);
	mmu_notifier_put(&vm->mmu.notifier);
}

/* The module's text must outlive the callbacks. */
void notifier_module_exit(void)
{
	wait_var_event(&notifier_pending, !atomic_read(&notifier_pending));
	mmu_notifier_synchronize();
}
