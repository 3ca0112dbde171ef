/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The shadow MMU: its pages, their roles, reverse maps, and what its files offer each other.
 * This header must not be included outside mmu/.
 *
 * All of it is changed with vm->mmu.lock held for writing; aging alone holds it for reading.
 */
#ifndef KVMLET_SHADOW_H
#define KVMLET_SHADOW_H

#include <linux/bitmap.h>
#include <linux/list.h>
#include <linux/mm.h>

#include "internal.h"
#include "paging.h"
#include "spte.h"
#include "spte_shadow.h"

#define SHADOW_ENTRIES		512
#define SHADOW_HASH_BITS	12
/* Largest leaf. */
#define SHADOW_MAX_LEVEL	3
/* CR3 values whose tables a vCPU keeps at hand, the current one included. */
#define SHADOW_ROOTS		4

/* The guest's entries. */
#define GPTE_P			BIT_ULL(0)
#define GPTE_W			BIT_ULL(1)
#define GPTE_U			BIT_ULL(2)
#define GPTE_A			BIT_ULL(5)
#define GPTE_D			BIT_ULL(6)
#define GPTE_SOFT		GENMASK_ULL(11, 9)
#define GPTE_NX			BIT_ULL(63)

/**
 * union shadow_role - what besides the frame decides the contents of a shadow page
 * @level: of the shadow page: 1 holds 4K leaves
 * @direct: it maps consecutive frames, and shadows no table of the guest's
 * @quadrant: 32-bit paging: which part of the guest's table, which has twice as many entries
 * @access: ACC_* granted by the levels above
 * @mode: enum paging_mode
 * @nx: EFER.NXE
 * @wp: CR0.WP
 * @smep: CR4.SMEP without CR0.WP: a user page made the kernel's is not executable
 * @strict: CR4.SMAP or CR4.PKE without CR0.WP: no user page is made the kernel's
 * @pse: CR4.PSE
 * @pse36: CPUID offers PSE-36
 * @gbpages: CPUID offers 1-GByte pages
 * @maxphyaddr: the guest's physical address width
 * @pkey: of a direct page's leaves
 *
 * Two vCPUs, or one at two times, share a page when the word is the same.
 */
union shadow_role {
	u32 word;
	struct {
		u32 level : 3, direct : 1, quadrant : 2, access : 3;
		u32 mode : 3, nx : 1, wp : 1, smep : 1, strict : 1;
		u32 pse : 1, pse36 : 1, gbpages : 1, maxphyaddr : 6, pkey : 4;
	};
};

/**
 * struct shadow_page - one table that the CPU walks
 * @hash: in vm_shadow.hash, by @gfn
 * @link: in vm_shadow.pages, oldest first
 * @unsync: in vm_shadow.unsync when the guest may have changed its table since; else empty
 * @gfn: frame of the guest's table; of a direct page, the first frame it maps
 * @role: the rest of its identity
 * @refs: roots of vCPUs that point here
 * @invalid: zapped, and kept only for its @refs
 * @spt: the table; its struct page's private data points back
 * @gpte: NULL for direct pages; the guest's entry that each present entry was made from
 * @parents: list of the entries that point to this table (rmap.c)
 * @search, @reached: answer to "does the root reach it?" of vm_shadow.search
 * @present: which entries are
 */
struct shadow_page {
	struct hlist_node hash;
	struct list_head link;
	struct list_head unsync;
	gfn_t gfn;
	union shadow_role role;
	u32 refs;
	bool invalid;
	u64 *spt;
	u64 *gpte;
	unsigned long parents;
	unsigned long search;
	bool reached;
	DECLARE_BITMAP(present, SHADOW_ENTRIES);
};

/*
 * A list of pointers to entries: 0 for none, the pointer itself for one, else a chunk's | 1.
 * @below is how many the following chunks hold.
 */
#define RMAP_CHUNK_ENTRIES	13

struct rmap_chunk {
	struct rmap_chunk *next;
	unsigned long count;
	unsigned long below;
	u64 *spte[RMAP_CHUNK_ENTRIES];
};

/* Deleting searches the list, and the guest decides how often it maps a frame or links a table. */
#define RMAP_LIST_MAX		1000

/**
 * struct rmap_region - what maps the frames of one aligned 2 MiB
 * @leaf: for each frame, the list of 4K leaves
 * @large: the list of 2M leaves; in the first region of a GiB also that of 1G leaves
 * @tables: shadow pages of guest tables in here: no larger leaf may be
 * @used: lists that are not empty, and @tables
 */
struct rmap_region {
	unsigned long *leaf;
	unsigned long large[SHADOW_MAX_LEVEL - 1];
	u32 tables;
	u32 used;
};

/**
 * struct vm_shadow - the shadow MMU of a VM
 * @hash: shadow pages by frame
 * @pages: all of them but the invalid, oldest first
 * @unsync: those that may differ from the guest's tables
 * @regions: struct rmap_region by frame / 512
 * @nr_regions: their number
 * @regions_kept: how many of them the last look for unused ones has left
 * @count: length of @pages
 * @pinned: how many of them have refs
 * @vm, @vms: for the shrinker
 * @seq: rises when a guest table begins to be shadowed, and with each invalidation by a guest
 * @search: number of the last search for what a root reaches
 * @tlb_stale: some vCPU's TLB may hold what was dropped here; the next flush must not be spared
 */
struct vm_shadow {
	struct hlist_head hash[1 << SHADOW_HASH_BITS];
	struct list_head pages;
	struct list_head unsync;
	struct xarray regions;
	atomic_long_t nr_regions;
	unsigned long regions_kept;
	unsigned long count;
	unsigned long pinned;
	struct vm *vm;
	struct list_head vms;
	unsigned long seq;
	unsigned long search;
	bool tlb_stale;
};

/**
 * struct shadow_root - the tables of one CR3 value
 * @valid: the rest means something
 * @cr3: the guest's value, without PCID and flags
 * @pdptrs: the guest's PDPTEs, with PAE paging
 * @role: of the mode: level, quadrant and access are 0
 * @sp: PAE formats: one page for each GiB, NULL for what is absent; else the first is the root
 * @pa: what the CPU's CR3 has to be
 */
struct shadow_root {
	bool valid;
	u64 cr3;
	u64 pdptrs[4];
	union shadow_role role;
	struct shadow_page *sp[4];
	hpa_t pa;
};

/**
 * struct shadow_mmio - an access that found no memory; like a TLB entry, until the guest flushes
 * @page: linear address; 1 for none
 * @gpa: where it is
 * @error: error code of the fault
 * @generation: of the slots
 */
struct shadow_mmio {
	gva_t page;
	gpa_t gpa;
	u32 error;
	u64 generation;
};

#define SHADOW_NO_MMIO		1

#define SHADOW_SPARE_PAGES	5	/* of one fault, or one root */
#define SHADOW_SPARE_CHUNKS	12

/**
 * struct vcpu_shadow - the shadow MMU of a vCPU; own thread or vcpu->lock
 * @root: the first is current, then by last use
 * @pae: a page below 4 GiB: PDPTEs of each root
 * @pages, @nr_pages: spare shadow pages with their table
 * @gptes, @nr_gptes: spare pages for guest entries
 * @chunks, @nr_chunks: spare struct rmap_chunk
 * @mmio: of the last access
 * @want: a frame whose struct rmap_region was missing
 */
struct vcpu_shadow {
	struct shadow_root root[SHADOW_ROOTS];
	u64 (*pae)[4];
	struct shadow_page *pages[SHADOW_SPARE_PAGES];
	u64 *gptes[SHADOW_SPARE_PAGES];
	struct rmap_chunk *chunks[SHADOW_SPARE_CHUNKS];
	u8 nr_pages, nr_gptes, nr_chunks;
	struct shadow_mmio mmio;
	gfn_t want;
};

/* shadow_seq_bump() - what has been read of the guest's tables has to be read again. */
static inline void shadow_seq_bump(struct vm_shadow *s)
{
	/* Pairs with smp_load_acquire() in fault_walk(). */
	smp_store_release(&s->seq, s->seq + 1);
}

static inline struct shadow_page *shadow_sp(u64 pa)
{
	return (struct shadow_page *)page_private(virt_to_page(__va(pa)));
}

static inline struct shadow_page *shadow_sp_of(const u64 *sptep)
{
	return (struct shadow_page *)page_private(virt_to_page(sptep));
}

static inline unsigned int shadow_index_of(const u64 *sptep)
{
	return offset_in_page(sptep) / sizeof(u64);
}

/* shadow_set_entry() - an absent entry becomes @spte, made from the guest's @gpte. */
static inline void shadow_set_entry(struct shadow_page *sp, unsigned int index, u64 spte, u64 gpte)
{
	WRITE_ONCE(sp->spt[index], spte);
	__set_bit(index, sp->present);
	if (sp->gpte)
		sp->gpte[index] = gpte;
}

static inline bool shadow_pae_format(union shadow_role role)
{
	return role.mode < PAGING_4LEVEL;
}

/* ---- rmap.c ---- */

/*
 * rmap_region() - of a frame, or NULL; rmap_region_add() makes one: 0 or -ENOMEM, may sleep,
 * mmu.lock not held.
 */
struct rmap_region *rmap_region(struct vm_shadow *s, gfn_t gfn);
int rmap_region_add(struct vm_shadow *s, gfn_t gfn);
/* rmap_region_reap() - free a region if nothing uses it. */
void rmap_region_reap(struct vm_shadow *s, gfn_t gfn);
/*
 * rmap_reap_unused() - free all that nothing uses, once they are many: a guest may name frames at
 * random as its tables, of memory that is not there, too. mmu.lock held for writing, and no region
 * in use by the caller.
 */
void rmap_reap_unused(struct vm_shadow *s);
void rmap_destroy(struct vm_shadow *s);
/* rmap_has_tables() - does any page shadow a guest table in the block of @level around @gfn? */
bool rmap_has_tables(struct vm_shadow *s, gfn_t gfn, u8 level);
/* rmap_huge_head() - the list of 1G leaves that map @gfn, or NULL. */
unsigned long *rmap_huge_head(struct vm_shadow *s, gfn_t gfn);
/* rmap_list_add() and _del() - of leaves and parents alike. A chunk comes from the vCPU. */
void rmap_list_add(struct vcpu_shadow *v, unsigned long *head, u64 *sptep);
void rmap_list_del(unsigned long *head, u64 *sptep);
/* rmap_list_count() - its length. Lists of RMAP_LIST_MAX are emptied before they grow further. */
unsigned long rmap_list_count(unsigned long head);
/* rmap_list_any() - some entry of the list, or NULL. */
u64 *rmap_list_any(unsigned long head);
typedef bool (*rmap_fn)(u64 *sptep, void *arg);
/* rmap_list_each() - until @fn says true; it may not change the list. True if it did. */
bool rmap_list_each(unsigned long head, rmap_fn fn, void *arg);
/* rmap_leaf_add() and _del() - a leaf at @level that maps @gfn. */
void rmap_leaf_add(struct vcpu_shadow *v, struct rmap_region *r, gfn_t gfn, u8 level, u64 *sptep);
/* rmap_leaf_head() - their list. */
unsigned long *rmap_leaf_head(struct rmap_region *r, gfn_t gfn, u8 level);
void rmap_leaf_del(struct vm_shadow *s, gfn_t gfn, u8 level, u64 *sptep);

/* ---- shadow_page.c ---- */

int shadow_topup(struct vcpu *vcpu);
void shadow_spares_free(struct vcpu_shadow *v);
/* shadow_find() - the page of this identity, or NULL. */
struct shadow_page *shadow_find(struct vm_shadow *s, gfn_t gfn, union shadow_role role);
/* shadow_is_table() - does any page shadow a table of the guest's in this frame? */
bool shadow_is_table(struct vm_shadow *s, gfn_t gfn);
/*
 * shadow_get() - the page of this identity, made if need be. Its guest table is write-protected (or
 * the page is in the unsync list). NULL: no region (vcpu_shadow.want) or no spare.
 */
struct shadow_page *shadow_get(struct vcpu *vcpu, struct tdp_batch *b, gfn_t gfn,
			       union shadow_role role);
/* shadow_drop() - clear a present entry, with all that hangs on it. */
void shadow_drop(struct vm *vm, struct shadow_page *sp, unsigned int index);
/* shadow_drop_list() - all entries of a list: of a region, which stays, or a page's parents. */
void shadow_drop_list(struct tdp_batch *b, unsigned long *head);
/* shadow_zap() - take a page out of use. Freed with @b, or by the last root's shadow_unref(). */
void shadow_zap(struct tdp_batch *b, struct shadow_page *sp);
void shadow_unref(struct vm *vm, struct shadow_page *sp);
/* shadow_zap_gfn() - all pages that shadow a guest table in this frame. */
void shadow_zap_gfn(struct tdp_batch *b, gfn_t gfn);
/* shadow_reclaim() - zap old pages until no more than @goal are left. */
void shadow_reclaim(struct tdp_batch *b, unsigned long goal);
/* shadow_leaf_gfn() - the first frame that a present leaf maps. */
gfn_t shadow_leaf_gfn(const struct shadow_page *sp, unsigned int index);

static inline unsigned int shadow_bucket(gfn_t gfn)
{
	return (gfn ^ gfn >> SHADOW_HASH_BITS) & ((1 << SHADOW_HASH_BITS) - 1);
}

/* ---- shadow_map.c and shadow_prefetch.c ---- */

/* shadow_gpte_access() - ACC_* that one of the guest's entries grants. */
u8 shadow_gpte_access(const struct paging *p, u64 gpte);
/*
 * shadow_prefetch() - make absent leaves around the one at @index of @sp, where nothing has to be
 * set or asked for. mmu.lock held for writing, the tables above just walked.
 */
void shadow_prefetch(struct vcpu *vcpu, const struct paging *p, struct shadow_page *sp,
		     unsigned int index);

/* ---- shadow_sync.c ---- */

/* shadow_gpte_index() - which of the guest's entries an entry of the page was made from. */
unsigned int shadow_gpte_index(const struct shadow_page *sp, unsigned int index);
unsigned int shadow_gpte_size(union shadow_role role);
/* shadow_protect_gfn() - no leaf maps the frame writable any more. Sets b->flush. */
void shadow_protect_gfn(struct tdp_batch *b, gfn_t gfn);
/* shadow_sync_page() - bring one page up to date, and keep it so. */
void shadow_sync_page(struct vcpu *vcpu, struct tdp_batch *b, struct shadow_page *sp);
/* shadow_sync_root() - all pages that the current root reaches. */
void shadow_sync_root(struct vcpu *vcpu);
/* shadow_unsync_gfn() - the guest table in this frame is about to be written. */
void shadow_unsync_gfn(struct tdp_batch *b, gfn_t gfn);

/* ---- shadow_limit.c ---- */

/* shadow_make_room() - for what one fault or one root can add, within the VM's limit. */
void shadow_make_room(struct tdp_batch *b);
void shadow_limit_add(struct vm_shadow *s);
/* shadow_limit_del() - when it returns, the shrinker does not use the VM any more. */
void shadow_limit_del(struct vm_shadow *s);
int shadow_limit_init(void);
void shadow_limit_exit(void);

/* ---- shadow_root.c ---- */

int shadow_vm_init(struct vm *vm);
void shadow_vm_destroy(struct vm *vm);
int shadow_vcpu_init(struct vcpu *vcpu);
void shadow_vcpu_destroy(struct vcpu *vcpu);
/* shadow_role() - of the vCPU's present mode. */
union shadow_role shadow_role(const struct paging *p);

#endif
