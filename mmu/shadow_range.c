// SPDX-License-Identifier: GPL-2.0-only
/*
 * What notifier, slots and dirty log ask of the second level, done on shadow tables: by reverse
 * maps, region after region.
 * Must not make entries.
 */
#include <linux/sched.h>

#include "shadow.h"

static bool find_direct(u64 *sptep, void *arg)
{
	if (!shadow_sp_of(sptep)->role.direct)
		return false;
	*(u64 **)arg = sptep;
	return true;
}

/* The guest's own 4K entries can never become larger. */
static void split_list(struct tdp_batch *b, unsigned long *head)
{
	u64 *sptep;

	while (rmap_list_each(*head, find_direct, &sptep)) {
		shadow_drop(b->vm, shadow_sp_of(sptep), shadow_index_of(sptep));
		b->flush = true;
	}
}

static bool age_leaf(u64 *sptep, void *arg)
{
	struct tdp_batch *b = arg;

	if (!(READ_ONCE(*sptep) & SHADOW_A))
		return false;
	b->young = true;
	if (b->action == TDP_AGE)
		clear_bit(SHADOW_A_BIT, (unsigned long *)sptep);
	return false;
}

static void range_frame(struct tdp_batch *b, struct rmap_region *r, gfn_t gfn)
{
	unsigned long *head = &r->leaf[gfn & (SPTE_ENTRIES - 1)];

	switch (b->action) {
	case TDP_ZAP:
		if (r->tables)
			shadow_zap_gfn(b, gfn);
		shadow_drop_list(b, head);
		break;
	case TDP_WRITE_PROTECT:
		if (*head)
			shadow_protect_gfn(b, gfn);
		break;
	case TDP_ZAP_SPLIT:
		split_list(b, head);
		break;
	case TDP_AGE:
	case TDP_TEST_YOUNG:
		rmap_list_each(*head, age_leaf, b);
		break;
	}
}

static void range_large(struct tdp_batch *b, unsigned long *head)
{
	if (b->action == TDP_ZAP || b->action == TDP_WRITE_PROTECT)
		shadow_drop_list(b, head);
	else if (b->action != TDP_ZAP_SPLIT)
		rmap_list_each(*head, age_leaf, b);
}

static void range_huge(struct tdp_batch *b, gfn_t start, gfn_t end)
{
	gfn_t gfn = start & ~(spte_span(3) - 1);

	for (; gfn < end; gfn += spte_span(3)) {
		unsigned long *head = rmap_huge_head(b->vm->mmu.shadow, gfn);

		if (head)
			range_large(b, head);
	}
}

static void range_region(struct tdp_batch *b, struct rmap_region *r, gfn_t start, gfn_t end)
{
	gfn_t gfn;

	range_large(b, rmap_leaf_head(r, start, 2));
	for (gfn = start; gfn < end && r->used; gfn++)
		range_frame(b, r, gfn);
}

/* Let others have the CPU or the lock. False when the tables went away meanwhile. */
static bool range_yield(struct tdp_batch *b)
{
	rwlock_t *lock = &b->vm->mmu.lock;

	if (!b->may_yield || !(need_resched() || rwlock_needbreak(lock)))
		return true;
	shadow_flush(b);
	cond_resched_rwlock_write(lock);
	return !b->vm->mmu.dead;
}

void shadow_range(struct tdp_batch *b, gfn_t start, gfn_t end)
{
	struct vm_shadow *s = b->vm->mmu.shadow;
	struct rmap_region *r;
	unsigned long index;

	lockdep_assert_held(&b->vm->mmu.lock);
	if (start >= end)
		return;
	range_huge(b, start, end);
	xa_for_each_range(&s->regions, index, r, start / SPTE_ENTRIES, (end - 1) / SPTE_ENTRIES) {
		gfn_t base = (gfn_t)index * SPTE_ENTRIES;

		range_region(b, r, max(start, base), min(end, base + SPTE_ENTRIES));
		if (b->action == TDP_ZAP && start <= base && end >= base + SPTE_ENTRIES)
			rmap_region_reap(s, base);
		if (base + SPTE_ENTRIES < end && !range_yield(b))
			return;
	}
}
