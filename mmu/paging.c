// SPDX-License-Identifier: GPL-2.0-only
/*
 * Walks a guest's page tables by the rules of "Paging": formats, reserved bits, rights, protection
 * keys, accessed and dirty flags, error codes. Pure: must not know a vCPU, a slot or the kernel.
 */
#include "paging.h"

#define PTE_P		BIT_ULL(0)
#define PTE_W		BIT_ULL(1)
#define PTE_U		BIT_ULL(2)
#define PTE_A		BIT_ULL(5)
#define PTE_D		BIT_ULL(6)
#define PTE_PS		BIT_ULL(7)
#define PTE_NX		BIT_ULL(63)
#define PTE_PKEY_SHIFT	59

#define PAGE_BITS	12

/* Bits first to last, none when first > last. */
static u64 bit_range(unsigned int first, unsigned int last)
{
	return first > last ? 0 : GENMASK_ULL(last, first);
}

/*
 * One walk under way:
 * @addr: bits of an entry that hold an address
 * @reserved: bits reserved in all entries
 * @rights: PTE_W and PTE_U as granted so far
 * @nx: PTE_NX if any level said so
 * @ps: the PS bit means something
 * @size, @index_bits: bytes of an entry, address bits that select one
 * @level, @top: where the walk is and where it began
 * @trail: where each level's entry was and what it said
 */
struct walk {
	const struct paging *p;
	void *memory;
	u64 gva;
	u64 addr;
	u64 reserved;
	u64 rights;
	u64 nx;
	bool ps;
	u8 size;
	u8 index_bits;
	u8 level;
	u8 top;
	struct paging_trail trail;
};

u64 paging_reserved(const struct paging *p)
{
	u64 reserved;

	if (p->mode == PAGING_32BIT)
		return 0;
	reserved = bit_range(p->maxphyaddr, 51) | (p->nx ? 0 : PTE_NX);
	/*
	 * "PAE Paging" gives bits 62:52 no use. They are ignored or protection keys elsewhere.
	 */
	return p->mode == PAGING_PAE ? reserved | bit_range(52, 62) : reserved;
}

/*
 * What does not depend on the address. Returns the physical address of the first table to be read.
 */
static u64 walk_begin(struct walk *w)
{
	const struct paging *p = w->p;

	w->rights = PTE_W | PTE_U;
	w->nx = 0;
	w->reserved = paging_reserved(p);
	if (p->mode == PAGING_32BIT) {
		w->size = 4;
		w->index_bits = 10;
		w->ps = p->pse;
		w->top = 2;
		w->addr = bit_range(PAGE_BITS, 31);
		return p->cr3 & w->addr;
	}
	w->size = 8;
	w->index_bits = 9;
	w->ps = true;
	w->addr = bit_range(PAGE_BITS, p->maxphyaddr - 1);
	if (p->mode == PAGING_PAE) {
		u64 pdpte = p->pdptrs[(w->gva >> 30) & 3];

		w->top = 2;
		return pdpte & PTE_P ? pdpte & w->addr : ~0ULL;
	}
	w->top = p->mode == PAGING_5LEVEL ? 5 : 4;
	return p->cr3 & w->addr;
}

static unsigned int walk_shift(const struct walk *w, unsigned int level)
{
	return PAGE_BITS + (level - 1) * w->index_bits;
}

/*
 * Reserved bits of an entry with PS above level 1, the PS bit itself included where it may not be
 * set.
 */
static u64 walk_large_reserved(const struct walk *w)
{
	const struct paging *p = w->p;

	if (p->mode == PAGING_32BIT) {
		unsigned int width = !p->pse36 ? 32 : p->maxphyaddr < 40 ? p->maxphyaddr : 40;

		return bit_range(width - 19, 21);
	}
	if (w->level > 3)
		return PTE_PS;
	if (w->level == 3)
		return p->gbpages ? bit_range(13, 29) : PTE_PS;
	return bit_range(13, 20);
}

/* Read entries down to the leaf. 0, or the error code's P and RSVD bits with @fault set. */
static u32 walk_down(struct walk *w, bool *fault)
{
	u64 table = walk_begin(w), reserved = w->reserved, entry;
	unsigned int mask = (1U << w->index_bits) - 1;
	unsigned int shift = walk_shift(w, w->top);

	*fault = true;
	if (table == ~0ULL)
		return 0;
	for (w->level = w->top;; w->level--, shift -= w->index_bits) {
		u64 gpa = table + ((w->gva >> shift) & mask) * w->size;
		bool leaf = w->level == 1;

		if (paging_read(w->memory, gpa, &entry, w->size) || !(entry & PTE_P))
			return 0;
		w->trail.gpa[w->level] = gpa;
		w->trail.entry[w->level] = entry;
		if (!leaf && (entry & PTE_PS) && w->ps) {
			reserved |= walk_large_reserved(w);
			leaf = true;
		}
		if (entry & reserved)
			return PFEC_PRESENT | PFEC_RSVD;
		w->rights &= entry;
		w->nx |= entry & PTE_NX;
		if (leaf)
			break;
		table = entry & w->addr;
	}
	*fault = false;
	return 0;
}

/* "Protection Keys": only data accesses to user-mode addresses in 4-level and 5-level paging. */
static bool walk_pkey_denies(const struct walk *w, u32 access)
{
	const struct paging *p = w->p;
	u32 bits;

	if (!p->pku || p->mode < PAGING_4LEVEL || !(w->rights & PTE_U) || (access & PFEC_FETCH))
		return false;
	bits = p->pkru >> ((w->trail.entry[w->level] >> PTE_PKEY_SHIFT & 15) * 2);
	if (bits & 1)
		return true;
	return (bits & 2) && (access & PFEC_WRITE) && ((access & PFEC_USER) || p->wp);
}

/* "Determination of Access Rights" */
static bool walk_denies(const struct walk *w, u32 access)
{
	const struct paging *p = w->p;
	bool user_page = w->rights & PTE_U;

	if ((access & PFEC_FETCH) && w->nx)
		return true;
	if (access & PFEC_USER)
		return !user_page || ((access & PFEC_WRITE) && !(w->rights & PTE_W));
	if ((access & PFEC_WRITE) && !(w->rights & PTE_W) && p->wp)
		return true;
	if (!user_page)
		return false;
	return access & PFEC_FETCH ? p->smep : p->smap;
}

/*
 * Set accessed flags on the way and the dirty flag of the leaf. True when an entry had changed:
 * walk again.
 */
static bool walk_set_flags(struct walk *w, bool write)
{
	unsigned int level;
	int r;

	for (level = w->top; level >= w->level; level--) {
		u64 need = PTE_A | (write && level == w->level ? PTE_D : 0);
		u64 entry = w->trail.entry[level];

		if ((entry & need) == need)
			continue;
		r = paging_cmpxchg(w->memory, w->trail.gpa[level], entry, entry | need, w->size);
		if (r > 0)
			return true;
		if (!r)
			w->trail.entry[level] = entry | need;
	}
	return false;
}

static u64 walk_gpa(const struct walk *w)
{
	u64 offset = bit_range(0, walk_shift(w, w->level) - 1);
	u64 entry = w->trail.entry[w->level];
	u64 gpa = (entry & w->addr & ~offset) | (w->gva & offset);

	/* The reserved bits have been checked: what is left of 20:13 is address bits 39:32. */
	if (w->p->mode == PAGING_32BIT && w->level == 2)
		gpa |= (entry >> 13 & 0xff) << 32;
	return gpa;
}

static void walk_result(const struct walk *w, struct paging_result *result)
{
	result->gpa = walk_gpa(w);
	result->entry = w->trail.entry[w->level];
	result->level = w->level;
	result->user = w->rights & PTE_U;
	result->writable = w->rights & PTE_W;
	result->nx = w->nx;
}

static int walk_all(const struct paging *p, void *memory, u64 gva, u32 access,
		    struct paging_result *result, u32 *error, struct paging_trail *trail)
{
	struct walk w;
	bool fault, pkey;

	if (p->mode == PAGING_OFF) {
		*result = (struct paging_result){ .gpa = gva, .user = true, .writable = true };
		return 0;
	}
	w.p = p;
	w.memory = memory;
	w.gva = gva;
	/*
	 * The fetch bit means something only where fetches can be told apart ("Page-Fault
	 * Exceptions").
	 */
	*error = access & (PFEC_WRITE | PFEC_USER);
	if ((access & PFEC_FETCH) && ((p->nx && p->mode != PAGING_32BIT) || p->smep))
		*error |= PFEC_FETCH;

	do {
		u32 cause = walk_down(&w, &fault);

		if (fault) {
			*error |= cause;
			return 1;
		}
		pkey = walk_pkey_denies(&w, access);
		if (pkey || walk_denies(&w, access)) {
			*error |= PFEC_PRESENT | (pkey ? PFEC_PK : 0);
			return 1;
		}
	} while (!p->keep_ad && walk_set_flags(&w, access & PFEC_WRITE));

	walk_result(&w, result);
	if (trail)
		*trail = w.trail;
	return 0;
}

int paging_walk(const struct paging *p, void *memory, u64 gva, u32 access,
		struct paging_result *result, u32 *error, struct paging_trail *trail)
{
	return walk_all(p, memory, gva, access, result, error, trail);
}

int paging_translate(const struct paging *p, void *memory, u64 gva, u32 access,
		     struct paging_result *result, u32 *error)
{
	return walk_all(p, memory, gva, access, result, error, NULL);
}

/* "PDPTE Registers": bits 2:1, 8:5 and those from the physical address width up. */
bool paging_pdptr_valid(u64 pdpte, unsigned int maxphyaddr)
{
	return !(pdpte & PTE_P) ||
	       !(pdpte & (bit_range(1, 2) | bit_range(5, 8) | bit_range(maxphyaddr, 63)));
}
