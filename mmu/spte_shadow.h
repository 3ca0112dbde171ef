/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Format of one entry of a shadow page table as this module writes it, and the only functions that
 * build such entries. This header must not know tables, slots or locks.
 *
 * Whatever the guest's own format is, the CPU runs on tables of 512 entries of 8 bytes: "PAE
 * Paging", "4-Level Paging and 5-Level Paging". An entry that is not present is zero.
 */
#ifndef KVMLET_SPTE_SHADOW_H
#define KVMLET_SPTE_SHADOW_H

#include <linux/bits.h>
#include <linux/types.h>

#define SHADOW_P		BIT_ULL(0)
#define SHADOW_W		BIT_ULL(1)
#define SHADOW_U		BIT_ULL(2)
#define SHADOW_PWT		BIT_ULL(3)
#define SHADOW_PCD		BIT_ULL(4)
#define SHADOW_A		BIT_ULL(5)
#define SHADOW_A_BIT		5
#define SHADOW_D		BIT_ULL(6)
#define SHADOW_PS		BIT_ULL(7)
#define SHADOW_PA_MASK		GENMASK_ULL(51, 12)
#define SHADOW_PKEY_SHIFT	59
#define SHADOW_NX		BIT_ULL(63)

/* Rights of a mapping, as far as all levels grant them. */
#define ACC_X			BIT(0)
#define ACC_W			BIT(1)
#define ACC_U			BIT(2)
#define ACC_ALL			(ACC_X | ACC_W | ACC_U)

/**
 * struct shadow_leaf - what a leaf shall say
 * @pfn: first host frame of the block, aligned to the block
 * @level: 1 for 4K, 2 for 2M
 * @access: ACC_*; W means now
 * @pkey: the guest entry's protection key
 * @uncached: the host does not map it write-back
 */
struct shadow_leaf {
	u64 pfn;
	u8 level;
	u8 access;
	u8 pkey;
	bool uncached;
};

/* Set accessed and dirty at once: the guest's own flags are in its tables, and already set. */
static inline u64 shadow_make_leaf(const struct shadow_leaf *leaf)
{
	u64 spte = SHADOW_P | SHADOW_A | SHADOW_D | leaf->pfn << 12;

	spte |= (u64)leaf->pkey << SHADOW_PKEY_SHIFT;

	if (leaf->access & ACC_W)
		spte |= SHADOW_W;
	if (leaf->access & ACC_U)
		spte |= SHADOW_U;
	if (!(leaf->access & ACC_X))
		spte |= SHADOW_NX;
	if (leaf->level > 1)
		spte |= SHADOW_PS;
	/* The fourth entry of the PAT is uncached, the first write-back: see regs of vmx/. */
	if (leaf->uncached)
		spte |= SHADOW_PWT | SHADOW_PCD;
	return spte;
}

/* All rights: what the tables above a leaf grant is in the leaf. */
static inline u64 shadow_make_table(u64 pa)
{
	return pa | SHADOW_P | SHADOW_W | SHADOW_U | SHADOW_A;
}

/* "PDPTE Registers": W, U and A are reserved there. */
static inline u64 shadow_make_pdpte(u64 pa)
{
	return pa | SHADOW_P;
}

static inline bool shadow_is_leaf(u64 spte, unsigned int level)
{
	return level == 1 || (spte & SHADOW_PS);
}

static inline u64 shadow_pa(u64 spte)
{
	return spte & SHADOW_PA_MASK;
}

#endif
