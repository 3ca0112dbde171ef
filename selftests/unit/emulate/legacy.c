// SPDX-License-Identifier: GPL-2.0-only
/*
 * 32-bit and 16-bit segments for the tests, from the kernel's GDT and an LDT of our own.
 * It must not assume that the kernel allows them: the tests are skipped with a reason.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "harness.h"

extern u64 guest_ldt[];
const char *legacy_reason = "not asked for yet";

static const struct user_desc entries[LDT_COUNT] = {
	[LDT_CODE16] = { .base_addr = CODE_BASE, .limit = 0x2fff, .contents = 2 },
	[LDT_DATA16] = { .base_addr = DATA_BASE, .limit = 0xffff },
	[LDT_DATA32] = { .base_addr = DATA_BASE, .limit = 0x3fff, .seg_32bit = 1 },
	[LDT_RO] = { .base_addr = DATA_BASE, .limit = 0xffff, .read_exec_only = 1 },
	[LDT_DOWN16] = { .base_addr = DATA_BASE, .limit = 0x17ff, .contents = 1 },
	[LDT_DOWN32] = { .base_addr = DATA_BASE, .limit = 0x17ff, .contents = 1, .seg_32bit = 1 },
	[LDT_XONLY] = { .base_addr = CODE_BASE, .limit = 0x2fff, .contents = 2,
			.read_exec_only = 1, .seg_32bit = 1 },
	[LDT_CODE32] = { .base_addr = CODE_BASE, .limit = 0x2fff, .contents = 2, .seg_32bit = 1 },
	[LDT_ABSENT] = { .base_addr = DATA_BASE, .limit = 0xffff, .seg_not_present = 1 },
	[LDT_FLAT] = { .limit = 0xfffff, .limit_in_pages = 1, .seg_32bit = 1 },
	[LDT_CONFORMING] = { .base_addr = CODE_BASE, .limit = 0x2fff, .contents = 3,
			     .seg_not_present = 1, .seg_32bit = 1 },
	[LDT_TINY] = { .base_addr = DATA_RW, .limit = 0xf, .seg_32bit = 1 },
};

/* The descriptor that the kernel makes of it: DPL 3, accessed. */
static u64 descriptor(const struct user_desc *d)
{
	u64 type = 1 | (!d->read_exec_only) << 1 | d->contents << 2;
	u64 ar = type | 0x10 | 0x60 | (!d->seg_not_present) << 7;
	u64 base = d->base_addr, limit = d->limit;

	ar |= (u64)d->seg_32bit << 14 | (u64)d->limit_in_pages << 15;
	return (limit & 0xffff) | (base & 0xffffff) << 16 | ar << 40 | (limit >> 16) << 48 |
	       (base >> 24) << 56;
}

bool legacy_init(void)
{
	static bool done;
	struct user_desc d;
	unsigned int i;

	if (done)
		return true;
	for (i = 0; i < LDT_COUNT; i++) {
		d = entries[i];
		d.entry_number = i;
		if (syscall(SYS_modify_ldt, 0x11, &d, sizeof(d))) {
			legacy_reason = "the kernel refuses an LDT (modify_ldt)";
			return false;
		}
		guest_ldt[i] = descriptor(&d);
	}
	done = true;
	return true;
}

/* The segments that @mode's tests normally use; turns a linear RIP into an offset. */
void legacy_segments(struct state *st, enum em_mode mode)
{
	u16 data = mode == EM_MODE_PROT16 ? LDT_SEL(LDT_DATA16) : SEL_USER_DS;

	if (mode == EM_MODE_PROT64)
		return;
	st->sel[EM_SEG_CS] = mode == EM_MODE_PROT16 ? LDT_SEL(LDT_CODE16) : SEL_USER32_CS;
	st->sel[EM_SEG_SS] = data;
	st->sel[EM_SEG_DS] = data;
	st->sel[EM_SEG_ES] = data;
	st->sel[EM_SEG_GS] = data;
	if (mode == EM_MODE_PROT16)
		st->rip -= CODE_BASE;
}
