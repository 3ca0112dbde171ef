/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of mmu/ share with each other.
 * This header must not be included outside mmu/.
 *
 * Who protects the second-level tables: vm->mmu.lock, a reader-writer lock.
 *  - Held for reading: an absent entry may become a leaf or a table, and a leaf may gain rights for
 *    the same frame, each by one compare-and-exchange; leaves may be aged the same way. Nothing
 *    that the hardware may have cached becomes wrong.
 *  - Held for writing: anything else. Entries are cleared, the guests' cached translations are
 *    flushed before the lock is let go, and only then are detached tables freed. So a walker that
 *    holds the lock needs neither RCU nor re-checks.
 */
#ifndef KVMLET_MMU_INTERNAL_H
#define KVMLET_MMU_INTERNAL_H

#include <linux/bitops.h>
#include <linux/list.h>
#include <linux/mmap_lock.h>

#include "mmu.h"
#include "vm.h"

/* mmu_address_spaces() - how many there are: without SMM nobody would see the second one. */
static inline unsigned int mmu_address_spaces(void)
{
	return hw_has_smm() ? NR_ADDRESS_SPACES : 1;
}

/* ---- tdp.c ---- */

enum tdp_action {
	TDP_ZAP,		/* clear leaves; detach tables wholly within the range */
	TDP_WRITE_PROTECT,	/* notice writes to 4K leaves anew; larger ones are split */
	TDP_ZAP_SPLIT,		/* detach tables of 4K leaves: larger leaves may come back */
	TDP_AGE,		/* report and clear the accessed state of leaves */
	TDP_TEST_YOUNG,		/* report it */
};

/**
 * struct tdp_batch - one pass over a range, and what must happen before its lock is let go
 * @vm: the VM
 * @action: what to do with each entry
 * @as: address space: may change from range to range
 * @detach_level: TDP_ZAP: highest level at which an entry's whole table may be detached in one step
 * @may_yield: the lock may be dropped and retaken between entries, after a flush
 * @flush: the guests may have cached something that is no longer true
 * @young: some leaf was accessed
 * @tables: detached tables; freed by tdp_batch_free() when the lock is no longer held
 */
struct tdp_batch {
	struct vm *vm;
	enum tdp_action action;
	u8 as;
	u8 detach_level;
	bool may_yield;
	bool flush;
	bool young;
	struct list_head tables;
};

static inline void tdp_batch_init(struct tdp_batch *b, struct vm *vm, enum tdp_action action,
				  bool may_yield)
{
	*b = (struct tdp_batch){
		.vm = vm,
		.action = action,
		.detach_level = 2,
		.may_yield = may_yield,
	};
	INIT_LIST_HEAD(&b->tables);
}

/*
 * tdp_map()'s answer beside enum pf_result: the tables have to change in a way that needs the lock
 * for writing.
 */
#define TDP_CONFLICT	0x100
/* mmu/shadow_map.c, for itself: walk the guest's tables anew. */
#define SHADOW_AGAIN	0x101

int tdp_init(struct vm *vm);
/* tdp_destroy() - free all tables. Nobody can walk them any more. May sleep. */
void tdp_destroy(struct vm *vm);
/* tdp_topup() - have enough spare tables for one tdp_map(): 0 or -ENOMEM. May sleep. */
int tdp_topup(struct vcpu *vcpu);
/*
 * tdp_map() - make @pf's leaf. mmu.lock held, for reading at least; topped up. PF_FIXED, PF_RETRY
 * or TDP_CONFLICT.
 */
int tdp_map(struct vcpu *vcpu, struct page_fault *pf);
/*
 * ept_range() and shadow_range() - tdp_range() for either kind of second level.
 */
void ept_range(struct tdp_batch *b, gfn_t start, gfn_t end);
void shadow_range(struct tdp_batch *b, gfn_t start, gfn_t end);
/* shadow_flush() - tdp_batch_flush() of shadow paging. */
void shadow_flush(struct tdp_batch *b);
/* shadow_trim() - zap the oldest shadow pages beyond @goal. May sleep. */
void shadow_trim(struct vm *vm, unsigned long goal);
/* shadow_wrote() - the kernel has written to a frame in the guest's place. mmu.lock not held. */
void shadow_wrote(struct vm *vm, gfn_t gfn);

/*
 * tdp_range() - apply a batch's action to frames [start, end). mmu.lock held as the action asks
 * (writing except to age).
 */
static inline void tdp_range(struct tdp_batch *b, gfn_t start, gfn_t end)
{
	if (likely(hw.ept))
		ept_range(b, start, end);
	else
		shadow_range(b, start, end);
}

/*
 * tdp_batch_flush() - flush the guests' cached translations if need be. mmu.lock still held since
 * the change.
 */
void tdp_batch_flush(struct tdp_batch *b);
/* tdp_batch_free() - free what was detached. After tdp_batch_flush(), mmu.lock not held. */
void tdp_batch_free(struct tdp_batch *b);

/* ---- nx.c ---- */
void nx_vm_init(struct vm *vm);
/* nx_vm_destroy() - no vCPU is left, the MMU is dead. May sleep. */
void nx_vm_destroy(struct vm *vm);
void nx_table_add(struct vm_mmu *mmu, u64 *table, gfn_t gfn, unsigned int as);
void nx_table_del(struct vm_mmu *mmu, u64 *table);

/* ---- dirty_ring.c ---- */
/* dirty_ring_init() - a new vCPU's ring, if its VM has rings: 0 or -ENOMEM. */
int dirty_ring_init(struct vcpu *vcpu);
void dirty_ring_free(struct vcpu *vcpu);
/* dirty_ring_push() - note a write. As memslot_mark_dirty(). */
void dirty_ring_push(struct vcpu *vcpu, const struct memslot *slot, gfn_t gfn);

/* ---- memslot.c ---- */

static inline hva_t memslot_hva(const struct memslot *slot, gfn_t gfn)
{
	return slot->hva + ((gfn - slot->base_gfn) << 12);
}

static inline bool memslot_holds(const struct memslot *slot, gfn_t gfn)
{
	return gfn - slot->base_gfn < slot->npages;
}

/* vcpu_slot() - vcpu_memslot_find() with its usual case inline: the slot of last time. */
static inline struct memslot *vcpu_slot(struct vcpu *vcpu, gfn_t gfn)
{
	/*
	 * Pairs with smp_store_release() in memslot_publish(): with the new generation the tree
	 * below is the new one, and what is cached under an older generation is never used. The
	 * object cached under the current one cannot be freed before the caller's read-side section
	 * ends.
	 */
	u64 generation = smp_load_acquire(&vcpu->vm->mmu.slots_generation);
	struct memslot *slot = vcpu->mmu.last_slot;

	if (likely(vcpu->mmu.last_slot_generation == generation && memslot_holds(slot, gfn)))
		return slot;
	return vcpu_memslot_find(vcpu, gfn);
}

/* memslot_number() - the slot's number as the user gave it: with its address space. */
static inline u32 memslot_number(const struct memslot *slot)
{
	return (u32)slot->as << 16 | slot->id;
}

/* memslot_number_valid() - could user space have a slot of this number? */
static inline bool memslot_number_valid(u32 number)
{
	return number >> 16 < mmu_address_spaces() && (number & 0xffff) < MEMSLOTS_USER;
}

static inline bool memslot_logs(const struct memslot *slot)
{
	return slot->flags & KVM_MEM_LOG_DIRTY_PAGES;
}

/*
 * memslot_mark_dirty() - note a write in the bitmap or in the vCPU's ring. Own thread or vcpu->lock
 * held, slot readers' protection held.
 */
static inline void memslot_mark_dirty(struct vcpu *vcpu, const struct memslot *slot, gfn_t gfn)
{
	unsigned long *bitmap;

	if (likely(!memslot_logs(slot)))
		return;
	/* A slot older than the rings has a bitmap, too, which nobody can read any more. */
	if (vcpu->mmu.ring.entries) {
		dirty_ring_push(vcpu, slot, gfn);
		return;
	}
	bitmap = READ_ONCE(slot->dirty_bitmap);
	if (bitmap)
		set_bit(gfn - slot->base_gfn, bitmap);
}

static inline size_t memslot_dirty_bytes(const struct memslot *slot)
{
	return BITS_TO_LONGS(slot->npages) * sizeof(long);
}

/* memslots_destroy() - free all slots; no reader is left. May sleep. */
void memslots_destroy(struct vm *vm);

/* ---- notifier.c ---- */
int notifier_init(struct vm *vm);
void notifier_module_exit(void);

/* ---- fault.c ---- */

/*
 * mmu_fault_find() - a fault's slot, host page and level, the guest physical address given: 0, or
 * what mmu_handle_fault() returns. May sleep. mmu_fault_end() has to follow in each case.
 */
int mmu_fault_find(struct vcpu *vcpu, struct page_fault *pf);
/* mmu_fault_lost() - the fault has to be tried again. May sleep until that has a chance. */
void mmu_fault_lost(struct vcpu *vcpu, const struct page_fault *pf);

/* mmu_fault_end() - the fault has ended with @r, which is returned. May sleep. */
static inline int mmu_fault_end(struct vcpu *vcpu, struct page_fault *pf, int r)
{
	if (unlikely(pf->held))
		mmap_read_unlock(current->mm);
	if (unlikely(r == PF_RETRY))
		mmu_fault_lost(vcpu, pf);
	else
		vcpu->mmu.lost = 0;
	return r;
}

/*
 * mmu_fault_peek() - what the host maps for @pf's frame, without asking it for anything. mmu.lock
 * held for writing, and no invalidation in progress: false when there is nothing.
 */
bool mmu_fault_peek(struct vcpu *vcpu, struct page_fault *pf);
/* mmu_fault_is_stale() - has what mmu_fault_find() found changed since? mmu.lock held. */
bool mmu_fault_is_stale(struct vm_mmu *mmu, const struct page_fault *pf);
/* mmu_fault_mark_dirty() - the fault has been mapped. mmu.lock held since mmu_fault_is_stale(). */
void mmu_fault_mark_dirty(struct vcpu *vcpu, const struct page_fault *pf);

/* mmu_invalidate_bump() - make every fault in flight look again. mmu.lock held for writing. */
static inline void mmu_invalidate_bump(struct vm *vm)
{
	lockdep_assert_held_write(&vm->mmu.lock);
	/*
	 * Release: a fault that reads the new value (smp_load_acquire() in mmu_handle_fault()) also
	 * sees the slots that were changed before. One that read the old value finds the difference
	 * under the lock and tries again.
	 */
	smp_store_release(&vm->mmu.invalidate_seq, vm->mmu.invalidate_seq + 1);
}

/* ---- guest_walk.c ---- */
struct paging;
/* guest_paging() - the vCPU's control registers as paging.c wants them. */
void guest_paging(struct vcpu *vcpu, struct paging *p);

/* ---- guest_mem.c: the one place that knows user pointers ---- */
/* user_copy_bitmap() - copy a dirty bitmap out: 0 or -EFAULT; user_read_bitmap() - and in. */
int user_copy_bitmap(const struct kvm_dirty_log *log, const void *bitmap, size_t bytes);
int user_read_bitmap(const struct kvm_clear_dirty_log *log, void *bitmap, size_t bytes);
/* user_signal_poison() - SIGBUS for touching memory at @hva that the hardware has lost. */
void user_signal_poison(hva_t hva);

#endif
