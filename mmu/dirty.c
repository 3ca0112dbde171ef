// SPDX-License-Identifier: GPL-2.0-only
/*
 * The dirty bitmap of a slot: hands out which pages were written, and starts over by write
 * protection, at once or when user space says for which. Must not know who writes: the fault path
 * and guest_mem.c mark pages through memslot_mark_dirty().
 */
#include <linux/math.h>
#include <linux/mm.h>

#include "internal.h"
#include "requests.h"

/*
 * Take those of @mask out of a word, and make their pages fault on the next write. mmu.lock held
 * for writing.
 */
static unsigned long dirty_take_word(struct tdp_batch *b, const struct memslot *slot, size_t word,
				     unsigned long mask)
{
	gfn_t base = slot->base_gfn + word * BITS_PER_LONG;
	unsigned long *bits = &slot->dirty_bitmap[word];

	if (!(READ_ONCE(*bits) & mask))
		return 0;
	/*
	 * Pages are marked without the lock by emulated writes: take the bits atomically. Those are
	 * written before they are marked, so a mark that comes later stands for data that may be
	 * newer than what is read after this call.
	 */
	mask &= atomic_long_fetch_andnot(mask, (atomic_long_t *)bits);
	if (mask)
		tdp_range(b, base + __ffs(mask), base + __fls(mask) + 1);
	return mask;
}

/* Yields between words rather than inside one. */
static void dirty_yield(struct vm *vm, struct tdp_batch *b)
{
	if (!need_resched() && !rwlock_needbreak(&vm->mmu.lock))
		return;
	tdp_batch_flush(b);
	cond_resched_rwlock_write(&vm->mmu.lock);
}

/* The second half of a slot's bitmap: room for one snapshot, or for what user space hands in. */
static unsigned long *dirty_buffer(const struct memslot *slot)
{
	return slot->dirty_bitmap + BITS_TO_LONGS(slot->npages);
}

/*
 * Fills the second half of the bitmap. All pages are protected and flushed before user space may
 * read any.
 */
static void dirty_snapshot(struct vm *vm, struct memslot *slot, unsigned long *snapshot)
{
	size_t word, words = BITS_TO_LONGS(slot->npages);
	struct tdp_batch batch;

	tdp_batch_init(&batch, vm, TDP_WRITE_PROTECT, false);
	batch.as = slot->as;
	write_lock(&vm->mmu.lock);
	for (word = 0; word < words; word++) {
		snapshot[word] = dirty_take_word(&batch, slot, word, ~0UL);
		dirty_yield(vm, &batch);
	}
	tdp_batch_flush(&batch);
	write_unlock(&vm->mmu.lock);
}

void mmu_mark_dirty(struct vcpu *vcpu, gfn_t gfn)
{
	struct memslot *slot = vcpu_slot(vcpu, gfn);

	if (slot)
		memslot_mark_dirty(vcpu, slot, gfn);
}

/*
 * What a running guest has written is in its CPU's list, which it empties when it leaves the guest:
 * a log that is read holds all that was written before.
 */
static void dirty_collect(struct vm *vm)
{
	if (hw.pml)
		vcpu_request_all(vm, REQ_PML, true);
}

/* The slot of a log, or NULL and the errno in *@r. vm->slots_lock held. */
static struct memslot *dirty_slot(struct vm *vm, u32 id, int *r)
{
	struct memslot *slot = xa_load(&vm->mmu.slots_by_id, id);

	*r = 0;
	if (slot && slot->dirty_bitmap)
		return slot;
	*r = vm_refuse(vm, -ENOENT,
		       slot ? "the slot has no KVM_MEM_LOG_DIRTY_PAGES" : "no such slot", id);
	return NULL;
}

static int dirty_check(struct vm *vm, u32 id)
{
	if (vm->mmu.dirty_ring_entries)
		return vm_refuse(vm, -ENXIO, "the VM logs to rings, not to bitmaps", 0);
	if (!memslot_number_valid(id))
		return vm_refuse(vm, -EINVAL, "no such address space or slot number", id);
	return 0;
}

static int dirty_get_log_locked(struct vm *vm, const struct kvm_dirty_log *log)
{
	unsigned long *bitmap;
	int r;
	struct memslot *slot = dirty_slot(vm, log->slot, &r);

	if (!slot)
		return r;
	dirty_collect(vm);
	bitmap = slot->dirty_bitmap;
	if (!vm->mmu.manual_dirty) {
		bitmap = dirty_buffer(slot);
		dirty_snapshot(vm, slot, bitmap);
	}
	if (user_copy_bitmap(log, bitmap, memslot_dirty_bytes(slot)))
		return vm_refuse(vm, -EFAULT, "dirty_bitmap is not writable user memory",
				 memslot_dirty_bytes(slot));
	return 0;
}

int memslot_get_dirty_log(struct vm *vm, const struct kvm_dirty_log *log)
{
	int r = dirty_check(vm, log->slot);

	if (r)
		return r;
	mutex_lock(&vm->slots_lock);
	r = dirty_get_log_locked(vm, log);
	mutex_unlock(&vm->slots_lock);
	return r;
}

/* ---- KVM_CLEAR_DIRTY_LOG ---- */

/* Only the slot's last word may be named in part. */
static int dirty_check_range(struct vm *vm, const struct memslot *slot, u64 first, u64 count)
{
	if (first > slot->npages || count > slot->npages - first)
		return vm_refuse(vm, -EINVAL, "the range ends beyond the slot", slot->npages);
	if (count < slot->npages - first && count % BITS_PER_LONG)
		return vm_refuse(vm, -EINVAL, "num_pages is no multiple of 64", count);
	return 0;
}

static void dirty_clear(struct vm *vm, struct memslot *slot, size_t word, u64 count)
{
	const unsigned long *mask = dirty_buffer(slot);
	size_t end = word + BITS_TO_LONGS(count);
	struct tdp_batch batch;

	/* What user space sets beyond the last page must not reach the neighbour. */
	if (count % BITS_PER_LONG)
		dirty_buffer(slot)[BITS_TO_LONGS(count) - 1] &= BITMAP_LAST_WORD_MASK(count);
	tdp_batch_init(&batch, vm, TDP_WRITE_PROTECT, false);
	batch.as = slot->as;
	write_lock(&vm->mmu.lock);
	for (; word < end; word++) {
		dirty_take_word(&batch, slot, word, *mask++);
		dirty_yield(vm, &batch);
	}
	tdp_batch_flush(&batch);
	write_unlock(&vm->mmu.lock);
}

static int dirty_clear_log_locked(struct vm *vm, const struct kvm_clear_dirty_log *log)
{
	u64 first = log->first_page, count = log->num_pages;
	int r;
	struct memslot *slot = dirty_slot(vm, log->slot, &r);

	if (!slot)
		return r;
	r = dirty_check_range(vm, slot, first, count);
	if (r)
		return r;
	if (user_read_bitmap(log, dirty_buffer(slot), BITS_TO_LONGS(count) * sizeof(long)))
		return vm_refuse(vm, -EFAULT, "dirty_bitmap is not readable user memory", count);
	dirty_clear(vm, slot, first / BITS_PER_LONG, count);
	return 0;
}

int memslot_clear_dirty_log(struct vm *vm, const struct kvm_clear_dirty_log *log)
{
	int r = dirty_check(vm, log->slot);

	if (r)
		return r;
	if (log->first_page % BITS_PER_LONG)
		return vm_refuse(vm, -EINVAL, "first_page is no multiple of 64", log->first_page);
	mutex_lock(&vm->slots_lock);
	r = dirty_clear_log_locked(vm, log);
	mutex_unlock(&vm->slots_lock);
	return r;
}

int mmu_enable_manual_dirty(struct vm *vm, u64 flags)
{
	u64 allowed = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;

	/* The one means nothing without the other. */
	if (flags & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
		allowed |= KVM_DIRTY_LOG_INITIALLY_SET;
	if (flags & ~allowed)
		return vm_refuse(vm, -EINVAL, "unknown way of manual dirty logging", flags);
	mutex_lock(&vm->slots_lock);
	vm->mmu.manual_dirty = flags;
	mutex_unlock(&vm->slots_lock);
	return 0;
}
