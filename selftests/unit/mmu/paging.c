// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's paging in all modes: formats, rights, reserved bits, accessed and dirty flags, error
 * codes.
 * It must not take its expectations from the code it tests: they are written out from "Paging".
 */
#include <string.h>

#include <linux/array_size.h>

#include "ktap.h"
#include "paging.h"

struct ktap ktap;

/* ---- Memory: 64 frames from 0; frame 63 is read-only ---- */

#define FRAMES		64
#define ROM_FRAME	63

struct memory {
	u8 bytes[FRAMES * 4096];
	unsigned int writes;
	u64 race_gpa;	/* the first exchange of the entry here finds it changed ... */
	u64 race_value;	/* ... to this */
};

static struct memory mem;

int paging_read(void *memory, u64 gpa, u64 *entry, unsigned int size)
{
	struct memory *m = memory;

	if (gpa + size > sizeof(m->bytes))
		return -1;
	*entry = 0;
	memcpy(entry, m->bytes + gpa, size);
	return 0;
}

int paging_cmpxchg(void *memory, u64 gpa, u64 old, u64 new, unsigned int size)
{
	struct memory *m = memory;

	if (gpa + size > ROM_FRAME * 4096)
		return -1;
	if (m->race_gpa == gpa) {
		memcpy(m->bytes + gpa, &m->race_value, size);
		m->race_gpa = ~0ULL;
	}
	if (memcmp(m->bytes + gpa, &old, size))
		return 1;
	memcpy(m->bytes + gpa, &new, size);
	m->writes++;
	return 0;
}

static void mem_reset(void)
{
	memset(&mem, 0, sizeof(mem));
	mem.race_gpa = ~0ULL;
}

static void put(u64 gpa, u64 entry, unsigned int size)
{
	memcpy(mem.bytes + gpa, &entry, size);
}

static u64 get(u64 gpa, unsigned int size)
{
	u64 entry = 0;

	memcpy(&entry, mem.bytes + gpa, size);
	return entry;
}

/* ---- Modes ---- */

static u64 pdptrs[4];

/* One address per mode, whose indexes all differ; tables at 0x1000, 0x2000, ... from the top. */
struct mode {
	const char *name;
	enum paging_mode mode;
	unsigned int levels;
	unsigned int size;
	u64 gva;
	unsigned int index[6];	/* by level */
};

static const struct mode modes[] = {
	{ "32-bit", PAGING_32BIT, 2, 4, 0xc0c03123, { 0, 3, 0x303 } },
	{ "PAE", PAGING_PAE, 2, 8, 0xc0c03123, { 0, 3, 6 } },
	{ "4-level", PAGING_4LEVEL, 4, 8, 0x0000051400a03123ULL, { 0, 3, 5, 0x50, 10 } },
	{ "5-level", PAGING_5LEVEL, 5, 8, 0x0006051400a03123ULL, { 0, 3, 5, 0x50, 10, 6 } },
};

static u64 entry_gpa(const struct mode *m, unsigned int level)
{
	return (u64)(m->levels - level + 1) * 0x1000 + m->index[level] * m->size;
}

static struct paging paging_for(const struct mode *m)
{
	struct paging p = {
		.cr3 = 0x1000, .pdptrs = pdptrs, .mode = m->mode, .maxphyaddr = 46,
		.nx = true, .wp = true, .gbpages = true, .pse = true, .pse36 = true,
	};

	memset(pdptrs, 0, sizeof(pdptrs));
	if (m->mode == PAGING_PAE) {
		p.cr3 = 0;
		pdptrs[3] = 0x1001;
	}
	return p;
}

/* Tables down to @leaf_level with all rights; the leaf is @leaf. */
static void build(const struct mode *m, unsigned int leaf_level, u64 leaf)
{
	unsigned int level;

	mem_reset();
	for (level = m->levels; level > leaf_level; level--)
		put(entry_gpa(m, level), ((u64)(m->levels - level + 2) * 0x1000) | 7, m->size);
	put(entry_gpa(m, leaf_level), leaf, m->size);
}

static int translate(const struct mode *m, const struct paging *p, u32 access, u64 *gpa, u32 *error)
{
	struct paging_result result;
	int ret = paging_translate(p, &mem, m->gva, access, &result, error);

	*gpa = ret ? ~0ULL : result.gpa;
	return ret;
}

static void check(bool ok, const struct mode *m, const char *what)
{
	char name[160];

	snprintf(name, sizeof(name), "%s: %s", m->name, what);
	ktap_result(ok, name);
}

/* ---- Tests ---- */

static void test_off(void)
{
	struct paging p = { .mode = PAGING_OFF };
	struct paging_result result;
	u32 error;

	ktap_result(!paging_translate(&p, NULL, 0xfffff123, PFEC_WRITE, &result, &error) &&
		    result.gpa == 0xfffff123 && !result.level, "off: identity");
}

static void test_sizes(const struct mode *m)
{
	struct paging p = paging_for(m);
	u64 gpa, mask = m->mode == PAGING_32BIT ? 0x3fffff : 0x1fffff;
	u32 error;

	build(m, 1, 0x5432007);
	check(!translate(m, &p, 0, &gpa, &error) && gpa == 0x5432123, m, "4K page");
	build(m, 2, 0x12c00087);
	check(!translate(m, &p, 0, &gpa, &error) && gpa == (0x12c00000 | (m->gva & mask)), m,
	      "2M or 4M page");
	if (m->mode == PAGING_32BIT)
		return;
	build(m, 1, 0x300000000000ULL | 0x5432007);
	check(!translate(m, &p, 0, &gpa, &error) && gpa == 0x300005432123ULL, m,
	      "4K page high in memory");
	if (m->mode == PAGING_PAE)
		return;
	build(m, 3, 0x380000087ULL);
	check(!translate(m, &p, 0, &gpa, &error) &&
	      gpa == (0x380000000ULL | (m->gva & 0x3fffffff)), m, "1G page");
}

static void test_absent(const struct mode *m)
{
	static const u32 accesses[] = {
		0, PFEC_WRITE, PFEC_USER, PFEC_USER | PFEC_WRITE,
		PFEC_FETCH, PFEC_FETCH | PFEC_USER,
	};
	struct paging p = paging_for(m);
	unsigned int level, i;
	bool ok = true, same = true;
	u64 gpa;
	u32 error;

	for (level = 1; level <= m->levels; level++)
		for (i = 0; i < ARRAY_SIZE(accesses); i++) {
			u32 expect = accesses[i];

			/* 32-bit paging has no NX: the fetch bit then needs SMEP. */
			if (m->mode == PAGING_32BIT)
				expect &= ~PFEC_FETCH;
			build(m, level, ~1ULL);
			ok &= translate(m, &p, accesses[i], &gpa, &error) == 1 && error == expect;
			same &= !mem.writes;
		}
	check(ok, m, "absent entry at each level");
	check(same, m, "no flag is set by a walk that faults");

	build(m, 1, 0x5007);
	put(entry_gpa(m, 2), 0x30000007, m->size);
	check(translate(m, &p, PFEC_WRITE, &gpa, &error) == 1 && error == PFEC_WRITE, m,
	      "a table where no memory is counts as absent");
}

static void test_fetch_bit(const struct mode *m)
{
	struct paging p = paging_for(m);
	u64 gpa;
	u32 error;

	build(m, 1, 0);
	p.nx = false;
	check(translate(m, &p, PFEC_FETCH, &gpa, &error) == 1 && error == 0, m,
	      "fetch bit needs NXE or SMEP");
	p.smep = true;
	check(translate(m, &p, PFEC_FETCH, &gpa, &error) == 1 && error == PFEC_FETCH, m,
	      "fetch bit with SMEP");
}

/* "Determination of Access Rights", written as its sentences are. */
static bool expect_allowed(const struct paging *p, bool user_page, bool writable, bool nx,
			   u32 access)
{
	bool write = access & PFEC_WRITE, fetch = access & PFEC_FETCH;

	if (access & PFEC_USER) {
		if (!user_page)
			return false;
		if (fetch)
			return !nx;
		return write ? writable : true;
	}
	if (fetch) {
		if (nx)
			return false;
		return !(user_page && p->smep);
	}
	if (user_page && p->smap)
		return false;
	if (write)
		return p->wp ? writable : true;
	return true;
}

static void test_rights(const struct mode *m)
{
	static const u32 accesses[] = {
		0, PFEC_WRITE, PFEC_FETCH,
		PFEC_USER, PFEC_USER | PFEC_WRITE, PFEC_USER | PFEC_FETCH,
	};
	bool has_nx = m->mode != PAGING_32BIT;
	unsigned int bits, a;
	bool ok = true;
	u64 gpa;
	u32 error;

	/* Rights of leaf and of its table, NX of both, and four control bits: all combinations. */
	for (bits = 0; bits < 1 << 10; bits++)
		for (a = 0; a < 6; a++) {
			struct paging p = paging_for(m);
			u64 leaf = 0x5001 | (bits & 3) << 1, table = 0x1001 | (bits >> 2 & 3) << 1;
			unsigned int both = bits & (bits >> 2);
			bool nx = has_nx && (bits & 0x30);
			bool allowed;
			u32 expect;

			p.wp = bits & 0x40;
			p.smep = bits & 0x80;
			p.smap = bits & 0x100;
			p.keep_ad = bits & 0x200;
			if (has_nx) {
				leaf |= (u64)(bits >> 4 & 1) << 63;
				table |= (u64)(bits >> 5 & 1) << 63;
			}
			build(m, 1, leaf);
			put(entry_gpa(m, 2), table - 0x1000 + m->levels * 0x1000, m->size);
			allowed = expect_allowed(&p, both & 2, both & 1, nx, accesses[a]);
			expect = accesses[a] | PFEC_PRESENT;
			if (!has_nx && !p.smep)
				expect &= ~PFEC_FETCH;
			if (translate(m, &p, accesses[a], &gpa, &error))
				ok &= !allowed && error == expect;
			else
				ok &= allowed && gpa == 0x5123;
		}
	check(ok, m, "rights: all entries by all controls by all accesses");
}

/* Is bit @bit of an entry at @level reserved? From the tables of entry formats. */
static bool expect_reserved(const struct mode *m, const struct paging *p, unsigned int level,
			    bool large, unsigned int bit)
{
	if (m->mode == PAGING_32BIT) {
		unsigned int width = !p->pse36 ? 32 : p->maxphyaddr < 40 ? p->maxphyaddr : 40;

		return large && p->pse && bit >= width - 19 && bit <= 21;
	}
	if (bit == 63)
		return !p->nx;
	if (bit >= 52)
		return m->mode == PAGING_PAE;
	if (bit >= p->maxphyaddr)
		return true;
	if (bit == 7)
		return level > 3 || (level == 3 && !p->gbpages);
	if (large && level == 3)
		return bit >= 13 && bit <= 29;
	if (large && level == 2)
		return bit >= 13 && bit <= 20;
	return false;
}

static bool reserved_agree(const struct mode *m, const struct paging *p, unsigned int level,
			   bool large)
{
	unsigned int bit;
	bool ok = true;
	u64 gpa;
	u32 error;

	for (bit = 1; bit < m->size * 8; bit++) {
		u64 entry = 7 | 1ULL << bit;
		bool is_large = large || (bit == 7 && level > 1 && level <= 3);
		bool expect, got;

		if (large)
			entry |= 0x80;
		if (bit <= 2)
			continue;
		build(m, level, entry);
		got = translate(m, p, 0, &gpa, &error) == 1 &&
		      error == (PFEC_PRESENT | PFEC_RSVD);
		expect = expect_reserved(m, p, level, is_large, bit);
		if (got != expect) {
			ktap_diag("%s level %u bit %u: got %d", m->name, level, bit, got);
			ok = false;
		}
	}
	return ok;
}

static void test_reserved(const struct mode *m)
{
	struct paging p = paging_for(m);
	unsigned int level, variant;
	bool ok = true;

	for (variant = 0; variant < 8; variant++) {
		static const u8 widths[] = { 36, 46, 52, 39 };

		p.maxphyaddr = widths[variant & 3];
		p.nx = variant & 1;
		p.gbpages = variant & 2;
		p.pse36 = variant & 4;
		for (level = 1; level <= m->levels; level++) {
			ok &= reserved_agree(m, &p, level, false);
			if (level == 2 || (level == 3 && p.gbpages))
				ok &= reserved_agree(m, &p, level, true);
		}
	}
	check(ok, m, "reserved bits of every level and size");
}

static void test_flags(const struct mode *m)
{
	struct paging p = paging_for(m);
	unsigned int level;
	bool accessed = true;
	u64 gpa;
	u32 error;

	build(m, 1, 0x5007);
	translate(m, &p, 0, &gpa, &error);
	for (level = 1; level <= m->levels; level++)
		accessed &= (get(entry_gpa(m, level), m->size) & 0x60) == 0x20;
	check(accessed && mem.writes == m->levels, m, "a read sets accessed at each level");
	translate(m, &p, 0, &gpa, &error);
	check(mem.writes == m->levels, m, "flags that are set are not written again");
	translate(m, &p, PFEC_WRITE, &gpa, &error);
	check(get(entry_gpa(m, 1), m->size) == 0x5067 && mem.writes == m->levels + 1, m,
	      "a write sets dirty in the leaf alone");

	build(m, 2, 0x400087);
	translate(m, &p, PFEC_WRITE, &gpa, &error);
	check(get(entry_gpa(m, 2), m->size) == 0x4000e7, m, "dirty in a large leaf");

	build(m, 1, 0x5007);
	p.keep_ad = true;
	check(!translate(m, &p, PFEC_WRITE, &gpa, &error) && !mem.writes, m,
	      "inspection sets none");
}

static void test_races(const struct mode *m)
{
	struct paging p = paging_for(m);
	u64 gpa;
	u32 error;

	build(m, 1, 0x5007);
	mem.race_gpa = entry_gpa(m, 1);
	mem.race_value = 0x9007;
	check(!translate(m, &p, PFEC_WRITE, &gpa, &error) && gpa == 0x9123 &&
	      get(entry_gpa(m, 1), m->size) == 0x9067, m, "an entry that changes is read again");

	build(m, 1, 0x5007);
	mem.race_gpa = entry_gpa(m, 1);
	mem.race_value = 0x5005;
	check(translate(m, &p, PFEC_WRITE, &gpa, &error) == 1 &&
	      error == (PFEC_PRESENT | PFEC_WRITE), m, "a right that goes meanwhile is gone");

	/* The last table moves to where exchanges fail. */
	build(m, 1, 0);
	put(entry_gpa(m, 2), ROM_FRAME * 0x1000 | 7, m->size);
	put(ROM_FRAME * 0x1000 + m->index[1] * m->size, 0x5007, m->size);
	check(!translate(m, &p, PFEC_WRITE, &gpa, &error) && gpa == 0x5123, m,
	      "tables in ROM keep their flags");
}

static void test_pkeys(const struct mode *m)
{
	struct paging p = paging_for(m);
	bool long_mode = m->mode == PAGING_4LEVEL || m->mode == PAGING_5LEVEL;
	unsigned int bits, a;
	bool ok = true;
	u64 gpa;
	u32 error;

	if (!long_mode)
		return;
	p.pku = true;
	for (bits = 0; bits < 32; bits++)
		for (a = 0; a < 8; a++) {
			u32 access = (a & 1 ? PFEC_WRITE : 0) | (a & 2 ? PFEC_USER : 0) |
				     (a & 4 ? PFEC_FETCH : 0);
			bool ad = bits & 1, wd = bits & 2, user_page = bits & 4, denied;
			u32 expect = access | PFEC_PRESENT | PFEC_PK;

			if ((a & 5) == 5 || (!user_page && (access & PFEC_USER)))
				continue;
			p.wp = bits & 8;
			/* Key 9 has the bits under test; all others deny everything, or nothing. */
			p.pkru = (bits & 16 ? ~(3U << 18) : 0) | (bits & 3) << 18;
			build(m, 1, 9ULL << 59 | 0x5003 | (user_page ? 4 : 0));
			denied = user_page && !(access & PFEC_FETCH) &&
				 (ad || (wd && (access & PFEC_WRITE) &&
					 ((access & PFEC_USER) || p.wp)));
			if (translate(m, &p, access, &gpa, &error))
				ok &= denied && error == expect;
			else
				ok &= !denied;
		}
	check(ok, m, "protection keys: all bits by all accesses");

	p.pku = false;
	p.pkru = ~0U;
	build(m, 1, 9ULL << 59 | 0x5007);
	check(!translate(m, &p, PFEC_USER, &gpa, &error), m, "protection keys need CR4.PKE");
}

static void test_32bit(void)
{
	const struct mode *m = &modes[0];
	struct paging p = paging_for(m);
	u64 gpa;
	u32 error;

	build(m, 2, 0x12c00087 | 0xab << 13);
	p.maxphyaddr = 40;
	check(!translate(m, &p, 0, &gpa, &error) && gpa == 0xab12c03123ULL, m, "PSE-36 page");
	p.maxphyaddr = 36;
	check(translate(m, &p, 0, &gpa, &error) == 1 && error == (PFEC_PRESENT | PFEC_RSVD), m,
	      "PSE-36 beyond the address width");

	build(m, 1, 0x5007);
	put(entry_gpa(m, 2), 0x2087, 4);
	p.pse = false;
	check(!translate(m, &p, 0, &gpa, &error) && gpa == 0x5123, m,
	      "PS means nothing without PSE");

	build(m, 1, 0x80005007);
	check(!translate(m, &p, 0, &gpa, &error) && gpa == 0x80005123ULL, m,
	      "the top bit is an address bit");
	p = paging_for(m);
	p.cr3 = 0x1fff;
	build(m, 1, 0x5007);
	check(!translate(m, &p, 0, &gpa, &error), m, "low bits of CR3 are not address");
}

static void test_pae(void)
{
	const struct mode *m = &modes[1];
	struct paging p = paging_for(m);
	unsigned int bit;
	bool ok = true;
	u64 gpa;
	u32 error;

	build(m, 1, 0x5007);
	pdptrs[3] = 0x1000;
	check(translate(m, &p, PFEC_WRITE, &gpa, &error) == 1 && error == PFEC_WRITE, m,
	      "absent top entry");

	for (bit = 1; bit < 64; bit++) {
		bool reserved = (bit >= 1 && bit <= 2) || (bit >= 5 && bit <= 8) || bit >= 40;

		ok &= paging_pdptr_valid(1 | 1ULL << bit, 40) == !reserved;
		ok &= paging_pdptr_valid(1ULL << bit, 40);
	}
	check(ok, m, "what may be loaded as a top entry");
}

int main(void)
{
	unsigned int i;

	ktap_begin();
	test_off();
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		test_sizes(&modes[i]);
		test_absent(&modes[i]);
		test_fetch_bit(&modes[i]);
		test_rights(&modes[i]);
		test_reserved(&modes[i]);
		test_flags(&modes[i]);
		test_races(&modes[i]);
		test_pkeys(&modes[i]);
	}
	test_32bit();
	test_pae();
	return ktap_end();
}
