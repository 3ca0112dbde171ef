/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Format of one EPT entry as this module writes it: hardware bits, our own bits, and the only
 * functions that build entries. This header must not know tables, slots or locks.
 *
 * Hardware bits are those of "EPT Paging-Structure Entries". An entry is ours when SPTE_PRESENT is
 * set; the hardware sees it when one of R, W, X is set as well. The two differ on CPUs without
 * accessed bits, where aging takes R, W and X out of a leaf and keeps them in the saved bits until
 * the next access faults ("tracked").
 */
#ifndef KVMLET_SPTE_H
#define KVMLET_SPTE_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/types.h>

#define SPTE_R			BIT_ULL(0)
#define SPTE_W			BIT_ULL(1)
#define SPTE_X			BIT_ULL(2)
#define SPTE_RWX		(SPTE_R | SPTE_W | SPTE_X)
#define SPTE_MEMTYPE_SHIFT	3
#define SPTE_MEMTYPE_MASK	GENMASK_ULL(5, 3)
#define SPTE_IPAT		BIT_ULL(6)	/* ignore the guest's PAT */
#define SPTE_LARGE		BIT_ULL(7)
#define SPTE_A			BIT_ULL(8)
#define SPTE_A_BIT		8
#define SPTE_D			BIT_ULL(9)
#define SPTE_PA_MASK		GENMASK_ULL(51, 12)

/* Ignored by the hardware in tables, leaves and entries it does not see. */
#define SPTE_PRESENT		BIT_ULL(11)
#define SPTE_HOST_WRITABLE	BIT_ULL(52)	/* the host's mapping allowed writes */
#define SPTE_SAVED_SHIFT	53
#define SPTE_SAVED_MASK		GENMASK_ULL(55, 53)	/* R, W and X of a tracked leaf */

#define SPTE_SOFT_MASK		(SPTE_PRESENT | SPTE_HOST_WRITABLE | SPTE_SAVED_MASK)
/* Bits 10 (mode-based execute), 57, 58, 60, 61 and 63 mean something once their control is on. */
#define SPTE_HW_MASK		(GENMASK_ULL(10, 0) | SPTE_PA_MASK | GENMASK_ULL(58, 57) | \
				 GENMASK_ULL(61, 60) | BIT_ULL(63))

static_assert(!(SPTE_SOFT_MASK & SPTE_HW_MASK));
static_assert(SPTE_RWX << SPTE_SAVED_SHIFT == SPTE_SAVED_MASK);
static_assert(BIT_ULL(SPTE_A_BIT) == SPTE_A);
static_assert(!(SPTE_PRESENT & SPTE_RWX));

#define SPTE_MEMTYPE_UC		0ULL
#define SPTE_MEMTYPE_WB		6ULL

#define SPTE_ENTRIES		512
#define SPTE_LEVEL_BITS		9

/* EPT pointer: "Extended-Page-Table Pointer (EPTP)". */
#define EPTP_MEMTYPE_WB		6ULL
#define EPTP_WALK_SHIFT		3
#define EPTP_AD			BIT_ULL(6)

/**
 * struct spte_leaf - what a leaf shall say
 * @pfn: first host frame of the block, aligned to the block
 * @level: 1 for 4K, 2 for 2M, 3 for 1G
 * @write: the guest may write now
 * @clean: nothing has been written, and the CPU's dirty flag shall tell when something is
 * @exec: the guest may execute
 * @host_writable: the guest may be allowed to write later without asking the host again
 * @uncached: leave the memory type to the guest, uncached at most; else write-back whatever the
 *	guest says
 */
struct spte_leaf {
	u64 pfn;
	u8 level;
	bool write;
	bool clean;
	bool exec;
	bool host_writable;
	bool uncached;
};

/* spte_make_leaf() - the entry for @leaf; @ad: accessed and dirty flags are in use. */
u64 spte_make_leaf(const struct spte_leaf *leaf, bool ad);
/* spte_make_table() - the entry that points to the table at host physical @pa. */
u64 spte_make_table(u64 pa);
/*
 * spte_split() - the leaf at @index of the table that replaces the large leaf @spte of @level.
 * Those of 4K may execute: it is large ones that must not on some CPUs.
 */
u64 spte_split(u64 spte, unsigned int level, unsigned int index);
/*
 * spte_track() - a present leaf without access, so that the next access faults; spte_untrack()
 * reverts.
 */
u64 spte_track(u64 spte);
u64 spte_untrack(u64 spte);
/* spte_make_eptp() - EPT pointer for the root table at @root with @levels 4 or 5. */
u64 spte_make_eptp(u64 root, unsigned int levels, bool ad);

static inline bool spte_present(u64 spte)
{
	return spte & SPTE_PRESENT;
}

static inline bool spte_leaf(u64 spte, unsigned int level)
{
	return level == 1 || (spte & SPTE_LARGE);
}

static inline bool spte_tracked(u64 spte)
{
	return !(spte & SPTE_RWX);
}

static inline u64 spte_pa(u64 spte)
{
	return spte & SPTE_PA_MASK;
}

/* True when the hardware would not fault on the access. */
static inline bool spte_allows(u64 spte, bool write, bool exec)
{
	u64 need = SPTE_R | (write ? SPTE_W : 0) | (exec ? SPTE_X : 0);

	return (spte & need) == need;
}

/* 4K frames below one entry of a table at @level. */
static inline u64 spte_span(unsigned int level)
{
	return 1ULL << ((level - 1) * SPTE_LEVEL_BITS);
}

static inline unsigned int spte_index(u64 gfn, unsigned int level)
{
	return (gfn >> ((level - 1) * SPTE_LEVEL_BITS)) & (SPTE_ENTRIES - 1);
}

#endif
