// SPDX-License-Identifier: GPL-2.0-only
/*
 * The EPT tables of a VM: map one leaf, zap, write-protect or age a range, free them all.
 * Must not look at slots or at the host's page tables; callers decide what may be mapped.
 *
 * The locking rules are in internal.h.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "internal.h"
#include "requests.h"
#include "spte.h"

static u64 *tdp_table(u64 spte)
{
	return __va(spte_pa(spte));
}

static void tdp_account(struct vm *vm, unsigned int level, long count)
{
	atomic64_add(count, &vm->mmu.mapped[level - 1]);
}

int tdp_init(struct vm *vm)
{
	struct vm_mmu *mmu = &vm->mmu;
	unsigned int bits, as;

	mmu->root_level = hw.ept_5level && hw.maxphyaddr > 48 ? 5 : 4;
	for (as = 0; as < mmu_address_spaces(); as++) {
		unsigned long root = get_zeroed_page(GFP_KERNEL_ACCOUNT);

		if (!root) {
			tdp_destroy(vm);
			return -ENOMEM;
		}
		mmu->root[as] = __pa(root);
	}
	bits = min_t(unsigned int, hw.maxphyaddr, 12 + mmu->root_level * SPTE_LEVEL_BITS);
	mmu->max_gfn = (1ULL << (bits - 12)) - 1;
	return 0;
}

static void tdp_free_table(u64 *table, unsigned int level)
{
	unsigned int i;

	for (i = 0; level > 1 && i < SPTE_ENTRIES; i++)
		if (spte_present(table[i]) && !spte_leaf(table[i], level))
			tdp_free_table(tdp_table(table[i]), level - 1);
	free_page((unsigned long)table);
	if (level > 1)
		cond_resched();
}

void tdp_destroy(struct vm *vm)
{
	unsigned int as;

	for (as = 0; as < NR_ADDRESS_SPACES; as++) {
		if (vm->mmu.root[as])
			tdp_free_table(__va(vm->mmu.root[as]), vm->mmu.root_level);
		vm->mmu.root[as] = 0;
	}
}

int tdp_topup(struct vcpu *vcpu)
{
	struct vcpu_mmu *cache = &vcpu->mmu;
	unsigned int need = vcpu->vm->mmu.root_level - 1;

	while (cache->cached < need) {
		void *page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);

		if (!page)
			return -ENOMEM;
		cache->cache[cache->cached++] = page;
	}
	return 0;
}

/*
 * Make an absent entry a table; returns the entry as it is afterwards, whoever made it. 0 without a
 * spare page.
 */
static u64 tdp_add_table(struct vcpu *vcpu, const struct page_fault *pf, u64 *sptep,
			 unsigned int level)
{
	struct vcpu_mmu *cache = &vcpu->mmu;
	u64 old, new;

	if (unlikely(!cache->cached))
		return 0;
	new = spte_make_table(__pa(cache->cache[cache->cached - 1]));
	/*
	 * Full barrier: who sees the entry sees a zeroed table. Pairs with the address dependency
	 * of each walk.
	 */
	old = cmpxchg64(sptep, 0, new);
	if (old)
		return old;
	cache->cached--;
	if (unlikely(pf->fill) && level == 2)
		nx_table_add(&vcpu->vm->mmu, tdp_table(new), pf->gfn, vcpu_address_space(vcpu));
	return new;
}

/*
 * Put the leaf in place of what is there. A lost race is as good as a won one: the guest tries
 * again.
 */
static int tdp_set_leaf(struct vcpu *vcpu, struct page_fault *pf, u64 *sptep, u64 old, bool exec)
{
	/*
	 * A leaf made old by taking its rights may still be cached with them: it keeps W, for who
	 * takes that to see that there is something to flush.
	 */
	bool wrote = spte_tracked(old) && old & SPTE_W << SPTE_SAVED_SHIFT;
	const struct spte_leaf leaf = {
		.pfn = pf->pfn & ~(spte_span(pf->goal_level) - 1),
		.level = pf->goal_level,
		.write = pf->map_writable &&
			 (pf->write || hw.pml || wrote || !memslot_logs(pf->slot)),
		.clean = !pf->write && memslot_logs(pf->slot),
		.exec = exec,
		.host_writable = pf->map_writable,
		.uncached = pf->uncached,
	};
	u64 new = spte_make_leaf(&leaf, hw.ept_ad);

	if (spte_present(old)) {
		if (spte_allows(old, pf->write, pf->exec))
			return PF_FIXED;
		if (spte_pa(old) != spte_pa(new))
			return TDP_CONFLICT;
		/*
		 * The hardware refetches an entry that lacked the right it needs: no flush for more
		 * rights.
		 */
		return cmpxchg64(sptep, old, new) == old ? PF_FIXED : PF_RETRY;
	}
	if (cmpxchg64(sptep, old, new) != old)
		return PF_RETRY;
	tdp_account(vcpu->vm, pf->goal_level, 1);
	return PF_FIXED;
}

/*
 * The host maps the whole 2M by one entry, and the guest got a table for it only because it
 * executes there: the other 511 faults need not happen. Not accessed yet, as far as the CPU can
 * tell.
 */
static void tdp_fill(struct vcpu *vcpu, const struct page_fault *pf, u64 *table)
{
	struct spte_leaf leaf = {
		.pfn = pf->pfn & ~(u64)(SPTE_ENTRIES - 1),
		.level = 1,
		.write = pf->map_writable,
		.exec = true,
		.host_writable = pf->map_writable,
		.uncached = pf->uncached,
	};
	unsigned int i;
	long count = 0;

	for (i = 0; i < SPTE_ENTRIES; i++, leaf.pfn++)
		if (!spte_present(READ_ONCE(table[i])) &&
		    !cmpxchg64(&table[i], 0, spte_make_leaf(&leaf, false)))
			count++;
	tdp_account(vcpu->vm, 1, count);
}

static bool tdp_is_empty(const u64 *table)
{
	return !memchr_inv(table, 0, PAGE_SIZE);
}

int tdp_map(struct vcpu *vcpu, struct page_fault *pf)
{
	struct vm_mmu *mmu = &vcpu->vm->mmu;
	unsigned int level = mmu->root_level;
	u64 *table = __va(mmu->root[vcpu_address_space(vcpu)]);
	u64 *sptep, spte;
	int r;

	lockdep_assert_held(&mmu->lock);

	for (;; level--, table = tdp_table(spte)) {
		sptep = &table[spte_index(pf->gfn, level)];
		spte = READ_ONCE(*sptep);
		if (level == pf->goal_level) {
			if (!spte_present(spte) || spte_leaf(spte, level))
				break;
			/*
			 * What executes was made small here, and larger must not come back to undo
			 * it. A table of 2M pages may be empty: all were split, and then detached.
			 */
			if (!mmu->nx_large || (level == 3 && tdp_is_empty(tdp_table(spte))))
				return TDP_CONFLICT;
			pf->fill = --pf->goal_level == 1;
			continue;
		}
		if (!spte_present(spte)) {
			spte = tdp_add_table(vcpu, pf, sptep, level);
			if (!spte)
				return PF_RETRY;
		}
		if (spte_leaf(spte, level))
			return spte_allows(spte, pf->write, pf->exec) ? PF_FIXED : TDP_CONFLICT;
	}
	r = tdp_set_leaf(vcpu, pf, sptep, spte, level == 1 || !mmu->nx_large);
	if (r == PF_FIXED && unlikely(pf->fill))
		tdp_fill(vcpu, pf, table);
	return r;
}

/* Count a detached table's leaves and put it and those below it on the list. */
static void tdp_collect(struct tdp_batch *b, u64 *table, unsigned int level)
{
	long leaves = 0;
	unsigned int i;

	for (i = 0; i < SPTE_ENTRIES; i++) {
		if (!spte_present(table[i]))
			continue;
		if (spte_leaf(table[i], level))
			leaves++;
		else
			tdp_collect(b, tdp_table(table[i]), level - 1);
	}
	if (leaves)
		tdp_account(b->vm, level, -leaves);
	nx_table_del(&b->vm->mmu, table);
	list_add(&virt_to_page(table)->lru, &b->tables);
}

/* The CPU may set A and D at any time: exchange, never store. */
static void tdp_zap_entry(struct tdp_batch *b, u64 *sptep, unsigned int level)
{
	u64 old = xchg(sptep, 0);

	b->flush = true;
	if (spte_leaf(old, level))
		tdp_account(b->vm, level, -1);
	else
		tdp_collect(b, tdp_table(old), level - 1);
}

/*
 * For write protection: put a table of smaller leaves in place of a large one, so that the guest
 * need not fault on each to have them back. False without a page to be had at once.
 */
static bool tdp_split(struct tdp_batch *b, u64 *sptep, unsigned int level)
{
	u64 *table, spte;
	unsigned int i;

	if (b->action != TDP_WRITE_PROTECT || level == 1)
		return false;
	table = (u64 *)get_zeroed_page(GFP_NOWAIT | __GFP_NOWARN | __GFP_ACCOUNT);
	if (!table)
		return false;
	spte = READ_ONCE(*sptep);
	for (i = 0; i < SPTE_ENTRIES; i++)
		table[i] = spte_split(spte, level, i);
	/* The CPU may have set A or D meanwhile; the new leaves are as old as they can tell. */
	xchg(sptep, spte_make_table(__pa(table)));
	tdp_account(b->vm, level, -1);
	tdp_account(b->vm, level - 1, SPTE_ENTRIES);
	b->flush = true;
	return true;
}

/*
 * Have the next write noticed: the CPU lists what becomes dirty, or the write faults. A large leaf
 * is here only when it could not be split; it comes back as 4K.
 */
static void tdp_write_protect_leaf(struct tdp_batch *b, u64 *sptep, u64 spte, unsigned int level)
{
	/* A tracked leaf's W is in its saved bits. */
	u64 take = hw.pml ? SPTE_D : SPTE_W | SPTE_W << SPTE_SAVED_SHIFT;

	if (level > 1) {
		tdp_zap_entry(b, sptep, level);
		return;
	}
	if (!(spte & take))
		return;
	while (!try_cmpxchg64(sptep, &spte, spte & ~take))
		;
	b->flush = true;
}

static void tdp_age_leaf(struct tdp_batch *b, u64 *sptep, u64 spte)
{
	bool clear = b->action == TDP_AGE;

	if (hw.ept_ad) {
		if (!(spte & SPTE_A))
			return;
		b->young = true;
		if (clear)
			clear_bit(SPTE_A_BIT, (unsigned long *)sptep);
		return;
	}
	if (spte_tracked(spte))
		return;
	b->young = true;
	/* Losing the race means that a fault has just made it young again. */
	if (clear)
		cmpxchg64(sptep, spte, spte_track(spte));
}

static void tdp_leaf(struct tdp_batch *b, u64 *sptep, u64 spte, unsigned int level)
{
	switch (b->action) {
	case TDP_ZAP:
		tdp_zap_entry(b, sptep, level);
		break;
	case TDP_WRITE_PROTECT:
		tdp_write_protect_leaf(b, sptep, spte, level);
		break;
	case TDP_ZAP_SPLIT:
		if (level == 1)
			tdp_zap_entry(b, sptep, level);
		break;
	case TDP_AGE:
	case TDP_TEST_YOUNG:
		tdp_age_leaf(b, sptep, spte);
		break;
	}
}

static bool tdp_may_detach(const struct tdp_batch *b, unsigned int level, gfn_t gfn, gfn_t end)
{
	u64 span = spte_span(level);

	if (b->action != TDP_ZAP && b->action != TDP_ZAP_SPLIT)
		return false;
	return level <= b->detach_level && !(gfn & (span - 1)) && end - gfn >= span;
}

/* All leaves of one table of 4K leaves that lie in the range. */
static void tdp_leaf_table(struct tdp_batch *b, u64 *table, gfn_t gfn, gfn_t end)
{
	do {
		u64 *sptep = &table[spte_index(gfn, 1)];
		u64 spte = READ_ONCE(*sptep);

		if (spte_present(spte))
			tdp_leaf(b, sptep, spte, 1);
	} while (++gfn < end && spte_index(gfn, 1));
}

/* Deal with the largest aligned piece at @gfn; returns the first frame behind it. */
static gfn_t tdp_step(struct tdp_batch *b, gfn_t gfn, gfn_t end)
{
	unsigned int level = b->vm->mmu.root_level;
	u64 *table = __va(b->vm->mmu.root[b->as]);

	for (;; level--) {
		u64 *sptep = &table[spte_index(gfn, level)];
		u64 spte = READ_ONCE(*sptep);

		if (spte_present(spte)) {
			if (spte_leaf(spte, level) && tdp_split(b, sptep, level))
				spte = READ_ONCE(*sptep);
			if (spte_leaf(spte, level)) {
				tdp_leaf(b, sptep, spte, level);
			} else if (tdp_may_detach(b, level, gfn, end)) {
				tdp_zap_entry(b, sptep, level);
			} else if (level == 2) {
				tdp_leaf_table(b, tdp_table(spte), gfn, end);
			} else {
				table = tdp_table(spte);
				continue;
			}
		}
		return (gfn | (spte_span(level) - 1)) + 1;
	}
}

/* Let others have the CPU or the lock. False when the tables went away meanwhile. */
static bool tdp_yield(struct tdp_batch *b)
{
	rwlock_t *lock = &b->vm->mmu.lock;

	if (!b->may_yield || !(need_resched() || rwlock_needbreak(lock)))
		return true;
	/* Others must not conclude from an absent entry that nothing is cached. */
	tdp_batch_flush(b);
	cond_resched_rwlock_write(lock);
	return !b->vm->mmu.dead;
}

void ept_range(struct tdp_batch *b, gfn_t start, gfn_t end)
{
	gfn_t gfn = start;

	if (b->action == TDP_AGE || b->action == TDP_TEST_YOUNG)
		lockdep_assert_held(&b->vm->mmu.lock);
	else
		lockdep_assert_held_write(&b->vm->mmu.lock);

	end = min(end, b->vm->mmu.max_gfn + 1);
	while (gfn < end) {
		gfn = tdp_step(b, gfn, end);
		if (gfn < end && !tdp_yield(b))
			return;
	}
}

void tdp_batch_flush(struct tdp_batch *b)
{
	/* Stopped while the lock was let go of: no vCPU runs any more, and all may be gone. */
	if (unlikely(b->vm->mmu.dead))
		return;
	if (unlikely(!hw.ept)) {
		shadow_flush(b);
		return;
	}
	if (!b->flush)
		return;
	b->flush = false;
	b->vm->mmu.tlb_flushes++;
	vcpu_request_all(b->vm, REQ_TLB_FLUSH, true);
}

void tdp_batch_free(struct tdp_batch *b)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &b->tables, lru) {
		list_del(&page->lru);
		__free_page(page);
		if (b->may_yield)
			cond_resched();
	}
}
