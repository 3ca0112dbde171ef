// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GET_DIRTY_LOG: hands out which pages of a slot were written since last time, and starts over
 * by write protection. Must not know who writes: the fault path and guest_mem.c mark pages through
 * memslot_mark_dirty().
 */
#include <linux/mm.h>

#include "internal.h"

/* Take a word's bits and make its pages fault on the next write. mmu.lock held for writing. */
static unsigned long dirty_take_word(struct tdp_batch *b, const struct memslot *slot, size_t word)
{
	gfn_t base = slot->base_gfn + word * BITS_PER_LONG;
	unsigned long bits = slot->dirty_bitmap[word];

	if (!bits)
		return 0;
	/*
	 * Pages are marked without the lock by emulated writes: take the bits atomically. Those are
	 * written before they are marked, so a mark that comes later stands for data that may be
	 * newer than what is read after this call.
	 */
	bits = xchg(&slot->dirty_bitmap[word], 0);
	tdp_range(b, base + __ffs(bits), base + __fls(bits) + 1);
	return bits;
}

/*
 * Fills the second half of the bitmap. All pages are protected and flushed before user space may
 * read any.
 */
static void dirty_snapshot(struct vm *vm, struct memslot *slot, unsigned long *snapshot)
{
	size_t word, words = BITS_TO_LONGS(slot->npages);
	struct tdp_batch batch;

	/* Yields between words rather than inside one. */
	tdp_batch_init(&batch, vm, TDP_WRITE_PROTECT, false);
	write_lock(&vm->mmu.lock);
	for (word = 0; word < words; word++) {
		snapshot[word] = dirty_take_word(&batch, slot, word);
		if (need_resched() || rwlock_needbreak(&vm->mmu.lock)) {
			tdp_batch_flush(&batch);
			cond_resched_rwlock_write(&vm->mmu.lock);
		}
	}
	tdp_batch_flush(&batch);
	write_unlock(&vm->mmu.lock);
}

static int dirty_get_log_locked(struct vm *vm, const struct kvm_dirty_log *log)
{
	struct memslot *slot = xa_load(&vm->mmu.slots_by_id, log->slot);
	size_t bytes;

	if (!slot)
		return vm_refuse(vm, -ENOENT, "no such slot", log->slot);
	if (!slot->dirty_bitmap)
		return vm_refuse(vm, -ENOENT, "the slot has no KVM_MEM_LOG_DIRTY_PAGES", log->slot);
	bytes = memslot_dirty_bytes(slot);
	dirty_snapshot(vm, slot, slot->dirty_bitmap + bytes / sizeof(long));
	if (user_copy_bitmap(log, slot->dirty_bitmap + bytes / sizeof(long), bytes))
		return vm_refuse(vm, -EFAULT, "dirty_bitmap is not writable user memory", bytes);
	return 0;
}

int memslot_get_dirty_log(struct vm *vm, const struct kvm_dirty_log *log)
{
	int r;

	if (log->slot >= MEMSLOTS_USER)
		return vm_refuse(vm, -EINVAL, "no such address space or slot number", log->slot);
	mutex_lock(&vm->slots_lock);
	r = dirty_get_log_locked(vm, log);
	mutex_unlock(&vm->slots_lock);
	return r;
}
