// SPDX-License-Identifier: GPL-2.0-only
/*
 * EPT entries and pointers, bit by bit as "EPT Paging-Structure Entries" and "Extended-Page-Table
 * Pointer (EPTP)" give them.
 * It must not use the module's own names for hardware bits in what it expects.
 */
#include <linux/array_size.h>

#include "ktap.h"
#include "spte.h"

struct ktap ktap;

#define SOFT_PRESENT		0x800ULL
#define SOFT_HOST_WRITABLE	0x10000000000000ULL

struct leaf_case {
	const char *name;
	struct spte_leaf leaf;
	bool ad;
	u64 expect;
};

static const struct leaf_case leaf_cases[] = {
	{ "leaf: 4K, all rights", { 0x12345, 1, true, false, true, true, false }, false,
	  0x12345077 | SOFT_PRESENT | SOFT_HOST_WRITABLE },
	{ "leaf: 4K, all rights, accessed and dirty flags",
	  { 0x12345, 1, true, false, true, true, false }, true,
	  0x12345377 | SOFT_PRESENT | SOFT_HOST_WRITABLE },
	{ "leaf: 4K, the CPU is to tell when it is written",
	  { 0x12345, 1, true, true, true, true, false }, true,
	  0x12345177 | SOFT_PRESENT | SOFT_HOST_WRITABLE },
	{ "leaf: 4K, read-only is not dirty",
	  { 0x12345, 1, false, false, true, false, false }, true,
	  0x12345175 | SOFT_PRESENT },
	{ "leaf: 4K, writes are logged", { 0x12345, 1, false, false, true, true, false }, true,
	  0x12345175 | SOFT_PRESENT | SOFT_HOST_WRITABLE },
	{ "leaf: 2M", { 0x200, 2, true, false, true, true, false }, false,
	  0x2000f7 | SOFT_PRESENT | SOFT_HOST_WRITABLE },
	{ "leaf: 1G, not executable", { 0x40000, 3, true, false, false, true, false }, false,
	  0x400000f3 | SOFT_PRESENT | SOFT_HOST_WRITABLE },
	{ "leaf: device memory leaves the type to the guest",
	  { 0xfebf0, 1, true, false, true, true, true }, false,
	  0xfebf0007 | SOFT_PRESENT | SOFT_HOST_WRITABLE },
	{ "leaf: highest frame", { 0xffffffffffULL, 1, false, false, true, false, false }, false,
	  0xffffffffff075ULL | SOFT_PRESENT },
};

static void test_leaves(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(leaf_cases); i++) {
		const struct leaf_case *c = &leaf_cases[i];
		u64 spte = spte_make_leaf(&c->leaf, c->ad);

		if (!ktap_result(spte == c->expect, c->name))
			ktap_diag("got %#llx, expected %#llx", (unsigned long long)spte,
				  (unsigned long long)c->expect);
	}
}

static void test_track(void)
{
	bool seen = true, hidden = true, back = true, twice = true, kept = true;
	unsigned int rights, level;

	for (rights = 1; rights < 8; rights++) {
		for (level = 1; level <= 3; level++) {
			struct spte_leaf leaf = {
				.pfn = 0x1240000, .level = level, .write = rights & 2,
				.exec = rights & 4, .host_writable = rights & 2,
			};
			u64 spte = spte_make_leaf(&leaf, false), tracked = spte_track(spte);

			seen &= !spte_tracked(spte) && spte_present(spte);
			hidden &= !(tracked & 7) && spte_present(tracked) &&
				  spte_tracked(tracked) && !spte_allows(tracked, false, false);
			back &= spte_untrack(tracked) == spte;
			twice &= spte_track(tracked) == tracked && spte_untrack(spte) == spte;
			kept &= spte_pa(tracked) == spte_pa(spte) &&
				spte_leaf(tracked, level) && !((tracked ^ spte) & SPTE_LARGE);
		}
	}
	ktap_result(seen, "track: a fresh leaf is visible to the hardware");
	ktap_result(hidden, "track: a tracked leaf is not, and stays ours");
	ktap_result(back, "track: untracking gives the same leaf back");
	ktap_result(twice, "track: both are idempotent");
	ktap_result(kept, "track: address and size survive");
}

static void test_split(void)
{
	struct spte_leaf leaf = {
		.pfn = 0x1240000, .level = 2, .write = true, .host_writable = true,
	};
	u64 large = spte_make_leaf(&leaf, true), small = spte_split(large, 2, 5), huge, tracked;

	ktap_result(spte_pa(small) == spte_pa(large) + 5 * 4096 && !(small & SPTE_LARGE),
		    "split: 2M into 4K");
	ktap_result(spte_allows(small, true, true) && !spte_allows(large, false, true),
		    "split: what is small may execute");
	tracked = spte_split(spte_track(large), 2, 5);
	ktap_result(spte_tracked(tracked) && spte_untrack(tracked) == small,
		    "split: what is tracked stays so");
	leaf.level = 3;
	huge = spte_make_leaf(&leaf, true);
	leaf.level = 2;
	leaf.pfn += 511 * 512;
	ktap_result(spte_split(huge, 3, 511) == spte_make_leaf(&leaf, true), "split: 1G into 2M");
}

static void test_allows(void)
{
	unsigned int rights, access;
	bool ok = true;

	for (rights = 0; rights < 8; rights++)
		for (access = 0; access < 4; access++) {
			bool write = access & 1, exec = access & 2;
			bool expect = (rights & 1) && (!write || (rights & 2)) &&
				      (!exec || (rights & 4));

			ok &= spte_allows(rights | SOFT_PRESENT, write, exec) == expect;
		}
	ktap_result(ok, "allows: all rights by all accesses");
}

static void test_geometry(void)
{
	u64 gfn = (3ULL << 36) | (5ULL << 27) | (7ULL << 18) | (11ULL << 9) | 13;

	ktap_result(spte_span(1) == 1 && spte_span(2) == 512 && spte_span(3) == 512 * 512 &&
		    spte_span(5) == 1ULL << 36, "geometry: frames below an entry");
	ktap_result(spte_index(gfn, 1) == 13 && spte_index(gfn, 2) == 11 &&
		    spte_index(gfn, 3) == 7 && spte_index(gfn, 4) == 5 &&
		    spte_index(gfn, 5) == 3, "geometry: indexes of the five levels");
}

static void test_pointers(void)
{
	ktap_result(spte_make_table(0x7654321000ULL) == (0x7654321007ULL | SOFT_PRESENT),
		    "table: all rights, no memory type");
	ktap_result(!spte_leaf(spte_make_table(0x1000), 2), "table: is no leaf");
	ktap_result(spte_make_eptp(0xabc000, 4, false) == 0xabc01e, "EPTP: 4 levels");
	ktap_result(spte_make_eptp(0xabc000, 4, true) == 0xabc05e,
		    "EPTP: 4 levels, accessed and dirty flags");
	ktap_result(spte_make_eptp(0xabc000, 5, true) == 0xabc066, "EPTP: 5 levels");
}

int main(void)
{
	ktap_begin();
	test_leaves();
	test_track();
	test_split();
	test_allows();
	test_geometry();
	test_pointers();
	return ktap_end();
}
