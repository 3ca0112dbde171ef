// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reverse maps of shadow paging: which entries map a guest frame, and which point to a table.
 * Must not change an entry itself.
 *
 * Frames are looked up by aligned 2 MiB ("region"); a region is there as long as something in it is
 * mapped or shadowed, so its memory follows what the guest uses.
 */
#include <linux/gfp.h>
#include <linux/slab.h>

#include "shadow.h"

#define RMAP_MANY	1ul
/* So many may be there unused. */
#define RMAP_REGIONS_MIN	1024

static_assert(SPTE_ENTRIES * sizeof(unsigned long) == PAGE_SIZE);

/* ---- Lists ---- */

static struct rmap_chunk *rmap_chunk(unsigned long head)
{
	return (struct rmap_chunk *)(head & ~RMAP_MANY);
}

void rmap_list_add(struct vcpu_shadow *v, unsigned long *head, u64 *sptep)
{
	struct rmap_chunk *chunk;

	if (!*head) {
		*head = (unsigned long)sptep;
		return;
	}
	if ((*head & RMAP_MANY) && rmap_chunk(*head)->count < RMAP_CHUNK_ENTRIES) {
		chunk = rmap_chunk(*head);
		chunk->spte[chunk->count++] = sptep;
		return;
	}
	/* Topped up for the most that one fault can add. */
	chunk = v->chunks[--v->nr_chunks];
	chunk->next = NULL;
	chunk->count = 0;
	chunk->below = 0;
	if (*head & RMAP_MANY) {
		chunk->next = rmap_chunk(*head);
		chunk->below = rmap_list_count(*head);
	} else {
		chunk->spte[chunk->count++] = (u64 *)*head;
	}
	chunk->spte[chunk->count++] = sptep;
	*head = (unsigned long)chunk | RMAP_MANY;
}

/* Only the first chunk may have room: the last entry of it fills any hole. */
void rmap_list_del(unsigned long *head, u64 *sptep)
{
	struct rmap_chunk *first, *chunk;
	unsigned long i;

	if (!(*head & RMAP_MANY)) {
		if (!WARN_ON_ONCE(*head != (unsigned long)sptep))
			*head = 0;
		return;
	}
	first = rmap_chunk(*head);
	for (chunk = first; chunk; chunk = chunk->next) {
		for (i = 0; i < chunk->count; i++) {
			if (chunk->spte[i] != sptep)
				continue;
			chunk->spte[i] = first->spte[--first->count];
			if (first->count)
				return;
			*head = first->next ? (unsigned long)first->next | RMAP_MANY : 0;
			kfree(first);
			return;
		}
	}
	WARN_ON_ONCE(1);
}

unsigned long rmap_list_count(unsigned long head)
{
	if (!(head & RMAP_MANY))
		return !!head;
	return rmap_chunk(head)->count + rmap_chunk(head)->below;
}

u64 *rmap_list_any(unsigned long head)
{
	if (!(head & RMAP_MANY))
		return (u64 *)head;
	return rmap_chunk(head)->spte[0];
}

bool rmap_list_each(unsigned long head, rmap_fn fn, void *arg)
{
	struct rmap_chunk *chunk;
	unsigned long i;

	if (!head)
		return false;
	if (!(head & RMAP_MANY))
		return fn((u64 *)head, arg);
	for (chunk = rmap_chunk(head); chunk; chunk = chunk->next)
		for (i = 0; i < chunk->count; i++)
			if (fn(chunk->spte[i], arg))
				return true;
	return false;
}

/* ---- Regions ---- */

struct rmap_region *rmap_region(struct vm_shadow *s, gfn_t gfn)
{
	return xa_load(&s->regions, gfn / SPTE_ENTRIES);
}

static void rmap_region_free(struct rmap_region *r)
{
	free_page((unsigned long)r->leaf);
	kfree(r);
}

int rmap_region_add(struct vm_shadow *s, gfn_t gfn)
{
	struct rmap_region *r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	void *old;

	if (!r)
		return -ENOMEM;
	r->leaf = (unsigned long *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!r->leaf) {
		kfree(r);
		return -ENOMEM;
	}
	old = xa_cmpxchg(&s->regions, gfn / SPTE_ENTRIES, NULL, r, GFP_KERNEL_ACCOUNT);
	if (old)
		rmap_region_free(r);
	else
		atomic_long_inc(&s->nr_regions);
	return xa_is_err(old) ? -ENOMEM : 0;
}

static void rmap_region_del(struct vm_shadow *s, unsigned long index, struct rmap_region *r)
{
	xa_erase(&s->regions, index);
	rmap_region_free(r);
	atomic_long_dec(&s->nr_regions);
}

void rmap_region_reap(struct vm_shadow *s, gfn_t gfn)
{
	struct rmap_region *r = rmap_region(s, gfn);

	if (!r || r->used)
		return;
	rmap_region_del(s, gfn / SPTE_ENTRIES, r);
}

void rmap_reap_unused(struct vm_shadow *s)
{
	struct rmap_region *r;
	unsigned long index;

	if (likely(atomic_long_read(&s->nr_regions) <= 2 * s->regions_kept + RMAP_REGIONS_MIN))
		return;
	xa_for_each(&s->regions, index, r)
		if (!r->used)
			rmap_region_del(s, index, r);
	s->regions_kept = atomic_long_read(&s->nr_regions);
}

bool rmap_has_tables(struct vm_shadow *s, gfn_t gfn, u8 level)
{
	unsigned long index = (gfn & ~(spte_span(level) - 1)) / SPTE_ENTRIES;
	unsigned long last = index + spte_span(level) / SPTE_ENTRIES - 1;
	struct rmap_region *r;

	xa_for_each_range(&s->regions, index, r, index, last)
		if (r->tables)
			return true;
	return false;
}

unsigned long *rmap_huge_head(struct vm_shadow *s, gfn_t gfn)
{
	struct rmap_region *r;

	if (!atomic64_read(&s->vm->mmu.mapped[2]))
		return NULL;
	r = rmap_region(s, gfn & ~(spte_span(3) - 1));
	return r ? rmap_leaf_head(r, gfn, 3) : NULL;
}

void rmap_destroy(struct vm_shadow *s)
{
	struct rmap_region *r;
	unsigned long index;

	xa_for_each(&s->regions, index, r) {
		rmap_region_free(r);
		cond_resched();
	}
	xa_destroy(&s->regions);
}

/* ---- Leaves ---- */

unsigned long *rmap_leaf_head(struct rmap_region *r, gfn_t gfn, u8 level)
{
	return level > 1 ? &r->large[level - 2] : &r->leaf[gfn & (SPTE_ENTRIES - 1)];
}

void rmap_leaf_add(struct vcpu_shadow *v, struct rmap_region *r, gfn_t gfn, u8 level, u64 *sptep)
{
	unsigned long *head = rmap_leaf_head(r, gfn, level);

	if (!*head)
		r->used++;
	rmap_list_add(v, head, sptep);
}

void rmap_leaf_del(struct vm_shadow *s, gfn_t gfn, u8 level, u64 *sptep)
{
	struct rmap_region *r = rmap_region(s, gfn);
	unsigned long *head;

	if (WARN_ON_ONCE(!r))
		return;
	head = rmap_leaf_head(r, gfn, level);
	rmap_list_del(head, sptep);
	if (!*head)
		r->used--;
}
