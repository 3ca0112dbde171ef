// SPDX-License-Identifier: GPL-2.0-only
/*
 * Gives the guest the page it asked for: from a fault of the second level to an entry, or to MMIO.
 * Must not build page table entries (tdp.c does) nor hold on to a page: the MMU notifier takes
 * mappings away.
 *
 * The way of a fault: note the sequence count, find the slot, read the host's own page table entry
 * for the user address (fault it in first if it is not there), take mmu.lock, check that nothing
 * was invalidated since, map. No reference on the page is taken at any time. The host's entry was
 * there after the count was noted; whoever changes it announces that before and after, and the
 * check under the lock sees either announcement. Until the lock is let go the host cannot take the
 * page away.
 */
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/sched/mm.h>
#include <linux/userfaultfd_k.h>
#include <asm/pgtable.h>

#include "compat.h"
#include "internal.h"
#include "requests.h"
#include "spte.h"

#define HOST_LEVEL_2M	2
#define HOST_LEVEL_1G	3

/* Faults in a row that may be overtaken. A vCPU that is kicked all the time counts some, too. */
#define FAULT_PATIENCE	16

/* Host entries that have no struct page to keep dirty: the zero page, I/O mappings, DAX. */
#define HOST_NO_PAGE	(_PAGE_SPECIAL | COMPAT_PAGE_DEVMAP)

static u64 host_cache_bits(unsigned int level)
{
	return _PAGE_PCD | _PAGE_PWT | (level == 1 ? _PAGE_PAT : _PAGE_PAT_LARGE);
}

/*
 * The host's leaf for a user address of this process, its level, and the rights granted on the way.
 * 0 when there is none. Interrupts off keep the tables from being freed under us, as they do for
 * get_user_pages_fast().
 */
static u64 host_leaf(hva_t hva, unsigned int *level, u64 *rights)
{
	unsigned int l = pgtable_l5_enabled() ? 5 : 4;
	const u64 *table = (const u64 *)current->mm->pgd;
	unsigned long flags;
	u64 entry;

	*rights = _PAGE_RW | _PAGE_USER;
	local_irq_save(flags);
	for (;; l--) {
		entry = READ_ONCE(table[spte_index(hva >> PAGE_SHIFT, l)]);
		if (!(entry & _PAGE_PRESENT)) {
			entry = 0;
			break;
		}
		*rights &= entry;
		if (l == 1 || (entry & _PAGE_PSE))
			break;
		table = __va(entry & PTE_PFN_MASK);
	}
	local_irq_restore(flags);
	*level = l;
	return entry;
}

/*
 * Before the first page is mapped whose memory may be a device's. A vCPU that is added meanwhile
 * looks for itself, which is why the flag comes first.
 */
static noinline void fault_tell_mmio(struct vm *vm)
{
	WRITE_ONCE(vm->mmu.host_mmio, true);
	vcpu_request_all(vm, REQ_HOST_MMIO, false);
	WRITE_ONCE(vm->mmu.host_mmio_told, true);
}

/* Fill in what the host's mapping says. False when it does not allow the access as it is. */
static bool fault_read_host(struct page_fault *pf)
{
	unsigned int level;
	u64 rights, leaf, span;

	pf->hva = memslot_hva(pf->slot, pf->gfn);
	leaf = host_leaf(pf->hva, &level, &rights);
	if (!leaf || !(rights & _PAGE_USER) || (pf->write && !(rights & _PAGE_RW)))
		return false;

	span = spte_span(level);
	pf->pfn = ((leaf & PTE_PFN_MASK) >> PAGE_SHIFT & ~(span - 1)) |
		  (pf->hva >> PAGE_SHIFT & (span - 1));
	pf->map_writable = (rights & _PAGE_RW) && !(pf->slot->flags & KVM_MEM_READONLY);
	pf->uncached = leaf & host_cache_bits(level);
	pf->has_page = !(leaf & HOST_NO_PAGE) && (level == 1 || pfn_valid(pf->pfn));
	pf->goal_level = level;
	return true;
}

/* Whoever would change the host's entry has to take the lock before, and would have shown. */
bool mmu_fault_peek(struct vcpu *vcpu, struct page_fault *pf)
{
	lockdep_assert_held_write(&vcpu->vm->mmu.lock);
	pf->slot = vcpu_slot(vcpu, pf->gfn);
	if (!pf->slot || !fault_read_host(pf))
		return false;
	if (unlikely(pf->uncached) && !READ_ONCE(vcpu->vm->mmu.host_mmio_told))
		fault_tell_mmio(vcpu->vm);
	return true;
}

/*
 * As large as host, CPU and slot allow; small where writes are logged by page, or where large may
 * not execute.
 */
static void fault_limit_level(const struct vm_mmu *mmu, struct page_fault *pf)
{
	const struct memslot *slot = pf->slot;
	u64 span, shift = slot->base_gfn - (slot->hva >> PAGE_SHIFT);

	pf->fill = false;
	if (likely(pf->goal_level == 1))
		return;
	if (memslot_logs(slot) || !hw.ept_2m)
		pf->goal_level = 1;
	else if (!hw.ept_1g)
		pf->goal_level = min_t(u8, pf->goal_level, HOST_LEVEL_2M);

	for (; pf->goal_level > 1; pf->goal_level--) {
		gfn_t offset;

		span = spte_span(pf->goal_level);
		offset = (pf->gfn & ~(span - 1)) - slot->base_gfn;
		/* An offset that wrapped below the slot's start is larger than any slot. */
		if (!(shift & (span - 1)) && offset < slot->npages && slot->npages - offset >= span)
			break;
	}
	if (pf->goal_level > 1 && pf->exec && mmu->nx_large) {
		pf->goal_level = 1;
		pf->fill = true;
	}
}

/* Is the host at work on [the block around] the user address? For sure with mmu.lock held. */
static bool fault_is_covered(struct vm_mmu *mmu, const struct page_fault *pf)
{
	u64 size = spte_span(pf->fill ? 2 : pf->goal_level) << PAGE_SHIFT;
	hva_t start = pf->hva & ~(size - 1);

	return READ_ONCE(mmu->invalidate_in_progress) &&
	       start <= mmu->invalidate_last && start + size - 1 >= mmu->invalidate_start;
}

/*
 * Has the host changed its mind about [the block around] the user address since pf->seq was noted?
 * Pairs with notifier_invalidate_start(), which raises the count of invalidations in progress, and
 * with mmu_invalidate_bump().
 */
bool mmu_fault_is_stale(struct vm_mmu *mmu, const struct page_fault *pf)
{
	lockdep_assert_held(&mmu->lock);

	return (unlikely(mmu->invalidate_in_progress) && fault_is_covered(mmu, pf)) ||
	       mmu->invalidate_seq != pf->seq;
}

/*
 * A vCPU that asked again and again would take the CPU from whoever has to end the invalidation: a
 * thread of the host's with less weight, preempted in the middle of its work, would keep the guest
 * from its memory for as long as the guest keeps it from the CPU.
 *
 * Whoever invalidates waits for no vCPU, and not for what a vCPU holds here: vm->srcu.
 */
void mmu_fault_lost(struct vcpu *vcpu, const struct page_fault *pf)
{
	struct vm_mmu *mmu = &vcpu->vm->mmu;

	vcpu->mmu.lost++;
	/* A signal ends the wait; whoever runs the vCPU sees it pending. */
	if (pf->goal_level && !pf->prefetch)
		wait_event_interruptible(mmu->invalidate_wait, !fault_is_covered(mmu, pf));
}

/*
 * The guest may write from now on, without a trace in the host's page table: make the page dirty
 * for as long as it does. mmu.lock held and checked: the page cannot be cleaned, let alone freed,
 * before the notifier has taken the mapping away.
 */
void mmu_fault_mark_dirty(struct vcpu *vcpu, const struct page_fault *pf)
{
	struct page *page;

	if (pf->write)
		memslot_mark_dirty(vcpu, pf->slot, pf->gfn);
	else if (memslot_logs(pf->slot) && !hw.pml)
		return;
	if (!pf->map_writable || !pf->has_page)
		return;
	page = pfn_to_page(pf->pfn);
	/* A reserved page's flags belong to its owner. */
	if (!PageDirty(page) && !PageReserved(page))
		SetPageDirty(page);
}

/*
 * What tdp_map() cannot do beside others: replace a table by a leaf, a leaf by a table, or a leaf
 * by another.
 */
static int fault_map_exclusive(struct vcpu *vcpu, struct page_fault *pf)
{
	struct vm_mmu *mmu = &vcpu->vm->mmu;
	u64 span = spte_span(pf->goal_level);
	gfn_t first = pf->gfn & ~(span - 1);
	struct tdp_batch batch;
	int r = PF_RETRY;

	tdp_batch_init(&batch, vcpu->vm, TDP_ZAP, false);
	batch.as = vcpu_address_space(vcpu);
	batch.detach_level = pf->goal_level;

	write_lock(&mmu->lock);
	if (!mmu_fault_is_stale(mmu, pf)) {
		tdp_range(&batch, first, first + span);
		/* Break before make: no CPU may hold the old translation together with the new. */
		tdp_batch_flush(&batch);
		r = tdp_map(vcpu, pf);
		if (r == PF_FIXED)
			mmu_fault_mark_dirty(vcpu, pf);
		else if (WARN_ON_ONCE(r == TDP_CONFLICT))
			r = PF_RETRY;
	}
	write_unlock(&mmu->lock);
	tdp_batch_free(&batch);
	return r;
}

static int fault_map(struct vcpu *vcpu, struct page_fault *pf)
{
	struct vm_mmu *mmu = &vcpu->vm->mmu;
	int r = PF_RETRY;

	read_lock(&mmu->lock);
	if (!mmu_fault_is_stale(mmu, pf)) {
		r = tdp_map(vcpu, pf);
		if (r == PF_FIXED)
			mmu_fault_mark_dirty(vcpu, pf);
	}
	read_unlock(&mmu->lock);
	return r == TDP_CONFLICT ? fault_map_exclusive(vcpu, pf) : r;
}

/*
 * Memory that get_user_pages() refuses and a process may still touch: mappings of device memory and
 * bare frames.
 */
static int fault_in_special(const struct page_fault *pf)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	bool unlocked = false;
	int r = -EFAULT;

	if (mmap_read_lock_killable(mm))
		return PF_RETRY;
	vma = vma_lookup(mm, pf->hva);
	if (vma && (vma->vm_flags & (VM_IO | VM_PFNMAP)))
		r = fixup_user_fault(mm, pf->hva, pf->write ? FAULT_FLAG_WRITE : 0, &unlocked);
	mmap_read_unlock(mm);
	if (r == -EINTR)
		return PF_RETRY;
	return r ? -EFAULT : 0;
}

/* ---- A process that changes its mappings without pause ---- */

/*
 * A thread that maps, moves, protects, collapses or forks in a loop may be done with the next round
 * whenever this vCPU is about to map, for ever. All of these take mmap_lock for writing: from time
 * to time a fault holds it from before finding the page until it is mapped. What needs no lock
 * (reclaim, migration, merging) takes a page once and then has others to look at.
 */
static void fault_hold(struct vcpu *vcpu, struct page_fault *pf)
{
	vcpu->mmu.lost = 0;
	pf->held = !pf->prefetch && !mmap_read_lock_killable(current->mm);
}

static void fault_let_go(struct page_fault *pf)
{
	if (pf->held)
		mmap_read_unlock(current->mm);
	pf->held = false;
}

/* False when it takes a wait that signals have to end, or fails: then without the lock. */
static bool fault_in_held(const struct page_fault *pf)
{
	struct vm_area_struct *vma = vma_lookup(current->mm, pf->hva);
	bool unlocked = false;

	return vma && !userfaultfd_armed(vma) &&
	       !fixup_user_fault(current->mm, pf->hva, pf->write ? FAULT_FLAG_WRITE : 0, &unlocked);
}

/*
 * Make the host map the page as an access by the process would: swap in, allocate, copy. 0 to look
 * again, else the fault's result.
 */
static int fault_in(struct page_fault *pf)
{
	unsigned int flags = FOLL_HWPOISON | COMPAT_FOLL_INTERRUPTIBLE |
			     COMPAT_FOLL_HONOR_NUMA_FAULT;
	struct page *page;
	long n;

	if (unlikely(pf->held)) {
		if (fault_in_held(pf))
			return 0;
		fault_let_go(pf);
	}
	if (pf->write)
		flags |= FOLL_WRITE;
	n = get_user_pages_unlocked(pf->hva, 1, &page, flags);
	if (n == 1) {
		put_page(page);
		return 0;
	}
	/* A signal ends the wait; whoever runs the vCPU sees it pending. */
	if (n == -EINTR || n == -ERESTARTSYS || n == -EAGAIN || !n)
		return PF_RETRY;
	if (n == -EHWPOISON) {
		user_signal_poison(pf->hva);
		return PF_RETRY;
	}
	return fault_in_special(pf);
}

/* Steps that do not depend on the format of the tables: slot, host page, level. 0 to go on. */
static int fault_find(struct vcpu *vcpu, struct page_fault *pf)
{
	struct vm_mmu *mmu = &vcpu->vm->mmu;
	bool tried = false;
	int r;

	static_assert(PF_FIXED == 0 && PF_RETRY > 0 && PF_MMIO > 0);
	pf->gfn = gpa_to_gfn(pf->addr);
	pf->held = false;
	if (unlikely(vcpu->mmu.lost >= FAULT_PATIENCE))
		fault_hold(vcpu, pf);
	for (;;) {
		/* First, and before the slot is looked up: see mmu_invalidate_bump(). */
		pf->seq = smp_load_acquire(&mmu->invalidate_seq);
		pf->slot = vcpu_slot(vcpu, pf->gfn);
		if (!pf->slot || (pf->write && (pf->slot->flags & KVM_MEM_READONLY)))
			return PF_MMIO;
		/* The acquire above orders this read of the host's entry after the count, too. */
		if (likely(fault_read_host(pf)))
			break;
		if (tried || pf->prefetch)
			return PF_RETRY;
		r = fault_in(pf);
		if (r)
			return r;
		tried = true;
	}
	if (unlikely(pf->uncached) && !READ_ONCE(mmu->host_mmio_told))
		fault_tell_mmio(vcpu->vm);
	fault_limit_level(mmu, pf);
	return 0;
}

int mmu_fault_find(struct vcpu *vcpu, struct page_fault *pf)
{
	return fault_find(vcpu, pf);
}

int mmu_handle_fault(struct vcpu *vcpu, struct page_fault *pf)
{
	int r = tdp_topup(vcpu);

	if (unlikely(r))
		return r;
	r = fault_find(vcpu, pf);
	if (likely(!r))
		r = fault_map(vcpu, pf);
	return mmu_fault_end(vcpu, pf, r);
}
