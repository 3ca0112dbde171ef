// SPDX-License-Identifier: GPL-2.0-only
/*
 * Builds EPT entries and EPT pointers from what they shall mean.
 * Pure: must not touch tables, locks or the hardware's features.
 */
#include "spte.h"

u64 spte_make_leaf(const struct spte_leaf *leaf, bool ad)
{
	u64 spte = SPTE_PRESENT | SPTE_R | (leaf->pfn << 12);

	if (leaf->write)
		spte |= SPTE_W;
	if (leaf->exec)
		spte |= SPTE_X;
	if (leaf->host_writable)
		spte |= SPTE_HOST_WRITABLE;
	if (leaf->level > 1)
		spte |= SPTE_LARGE;
	if (!leaf->uncached)
		spte |= SPTE_MEMTYPE_WB << SPTE_MEMTYPE_SHIFT | SPTE_IPAT;
	/* The access that asked for the entry follows at once: spare the CPU its locked updates. */
	if (ad)
		spte |= SPTE_A | (leaf->write && !leaf->clean ? SPTE_D : 0);
	return spte;
}

u64 spte_make_table(u64 pa)
{
	return pa | SPTE_PRESENT | SPTE_RWX;
}

u64 spte_split(u64 spte, unsigned int level, unsigned int index)
{
	u64 small = spte + (spte_span(level - 1) << 12) * index;

	if (level > 2)
		return small;
	small &= ~SPTE_LARGE;
	return small | (spte_tracked(small) ? SPTE_X << SPTE_SAVED_SHIFT : SPTE_X);
}

u64 spte_track(u64 spte)
{
	if (spte_tracked(spte))
		return spte;
	return (spte & ~(SPTE_RWX | SPTE_SAVED_MASK)) | (spte & SPTE_RWX) << SPTE_SAVED_SHIFT;
}

u64 spte_untrack(u64 spte)
{
	if (!spte_tracked(spte))
		return spte;
	return (spte & ~SPTE_SAVED_MASK) | (spte & SPTE_SAVED_MASK) >> SPTE_SAVED_SHIFT;
}

u64 spte_make_eptp(u64 root, unsigned int levels, bool ad)
{
	return root | EPTP_MEMTYPE_WB | (u64)(levels - 1) << EPTP_WALK_SHIFT | (ad ? EPTP_AD : 0);
}
