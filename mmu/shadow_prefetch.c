// SPDX-License-Identifier: GPL-2.0-only
/*
 * The neighbours of a fault: what a guest touches next is likely beside it, and a fault costs much
 * more than an entry.
 * Must not set a flag in the guest's tables, nor make the host map a page: only what the guest has
 * accessed before and the host has at hand is mapped, writable only where it has been written.
 */
#include <linux/mm.h>

#include "shadow.h"

/* Aligned, so that neighbours share their reads; as many of the guest's entries as a cache line. */
#define PREFETCH_ENTRIES	8

/* The guest's entries beside @first, zero-extended; zeroes for a page that shadows no table. */
static bool prefetch_read(struct vcpu *vcpu, const struct shadow_page *sp, unsigned int first,
			  u64 *gptes)
{
	unsigned int size = shadow_gpte_size(sp->role), i;
	gpa_t gpa = gfn_to_gpa(sp->gfn) + shadow_gpte_index(sp, first) * size;
	u32 *narrow = (u32 *)gptes;

	if (sp->role.direct) {
		memset(gptes, 0, PREFETCH_ENTRIES * sizeof(u64));
		return true;
	}
	if (guest_read_nofault(vcpu, gpa, gptes, PREFETCH_ENTRIES * size))
		return false;
	for (i = PREFETCH_ENTRIES; size == 4 && i--;)
		gptes[i] = narrow[i];
	return true;
}

/* Would the CPU use the guest's entry as it is? */
static bool prefetch_usable(const struct paging *p, const struct shadow_page *sp, u64 gpte)
{
	if (sp->role.direct)
		return true;
	return gpte & GPTE_P && gpte & GPTE_A && !(gpte & paging_reserved(p));
}

static u8 prefetch_access(const struct paging *p, const struct shadow_page *sp, u64 gpte)
{
	u8 access;

	if (sp->role.direct)
		return sp->role.access;
	access = shadow_gpte_access(p, gpte) & sp->role.access;
	/* The write that makes it dirty has to be seen. */
	return gpte & GPTE_D ? access : access & ~ACC_W;
}

static gfn_t prefetch_gfn(const struct paging *p, const struct shadow_page *sp,
			  unsigned int index, u64 gpte)
{
	unsigned int width = p->mode == PAGING_32BIT ? 32 : p->maxphyaddr;

	if (sp->role.direct)
		return sp->gfn + index;
	return (gpte & GENMASK_ULL(width - 1, PAGE_SHIFT)) >> PAGE_SHIFT;
}

/* Can the frame's list of leaves take one more with what is at hand? */
static bool prefetch_room(struct vcpu *vcpu, struct rmap_region *r, gfn_t gfn)
{
	unsigned long head = *rmap_leaf_head(r, gfn, 1);

	return !head || (vcpu->mmu.shadow->nr_chunks && rmap_list_count(head) < RMAP_LIST_MAX);
}

static void prefetch_one(struct vcpu *vcpu, const struct paging *p, struct shadow_page *sp,
			 unsigned int index, u64 gpte)
{
	struct vm_shadow *s = vcpu->vm->mmu.shadow;
	struct page_fault pf = { .gfn = prefetch_gfn(p, sp, index, gpte) };
	struct shadow_leaf leaf = { .level = 1, .access = prefetch_access(p, sp, gpte) };
	struct rmap_region *r = rmap_region(s, pf.gfn);

	if (!r || !prefetch_room(vcpu, r, pf.gfn) || !mmu_fault_peek(vcpu, &pf))
		return;
	if (!pf.map_writable || memslot_logs(pf.slot) ||
	    ((leaf.access & ACC_W) && r->tables && shadow_is_table(s, pf.gfn)))
		leaf.access &= ~ACC_W;
	pf.map_writable = leaf.access & ACC_W;
	leaf.pfn = pf.pfn;
	leaf.uncached = pf.uncached;
	if (sp->role.direct)
		leaf.pkey = sp->role.pkey;
	else if (p->mode >= PAGING_4LEVEL)
		leaf.pkey = gpte >> SHADOW_PKEY_SHIFT & 15;
	/* Nobody has accessed it so far. */
	shadow_set_entry(sp, index, shadow_make_leaf(&leaf) & ~SHADOW_A, gpte);
	rmap_leaf_add(vcpu->mmu.shadow, r, pf.gfn, 1, &sp->spt[index]);
	atomic64_inc(&vcpu->vm->mmu.mapped[0]);
	mmu_fault_mark_dirty(vcpu, &pf);
}

void shadow_prefetch(struct vcpu *vcpu, const struct paging *p, struct shadow_page *sp,
		     unsigned int index)
{
	unsigned int first = round_down(index, PREFETCH_ENTRIES), i;
	u64 gptes[PREFETCH_ENTRIES];

	/* See mmu_fault_peek(). */
	if (vcpu->vm->mmu.invalidate_in_progress || !prefetch_read(vcpu, sp, first, gptes))
		return;
	for (i = 0; i < PREFETCH_ENTRIES; i++)
		if (!sp->spt[first + i] && prefetch_usable(p, sp, gptes[i]))
			prefetch_one(vcpu, p, sp, first + i, gptes[i]);
}
