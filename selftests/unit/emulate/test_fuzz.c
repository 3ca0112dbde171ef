// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random bytes: lengths, undefined opcodes and results must be those of the processor.
 * It must not execute natively what the emulator does not know, nor what reaches outside.
 */
#include <time.h>
#include "gen.h"

#define MAX_CASES 60000
#define MAX_SECONDS 6

static struct guest guest;

/* Prefixes and opcodes that are worth more than their share of the byte values. */
static void random_bytes(struct insn_case *c)
{
	static const u8 prefixes[] = {
		0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x65, 0x48, 0x41, 0x44, 0x4f,
	};
	unsigned int i;

	c->n = 0;
	while (c->n < 5 && one_in(2))
		c->bytes[c->n++] = prefixes[rnd_below(sizeof(prefixes))];
	if (one_in(2))
		c->bytes[c->n++] = 0x0f;
	else if (one_in(12))
		c->bytes[c->n++] = one_in(2) ? 0xc4 : 0xc5;
	for (i = c->n; i < 15; i++)
		c->bytes[i] = rnd();
	c->n = 15;
}

/* Registers that point into the data or nowhere at all. */
static void random_registers(struct state *st, enum em_mode mode)
{
	unsigned int i;

	random_state(st);
	for (i = 0; i < 16; i++) {
		if (one_in(3))
			st->gpr[i] = rnd_below(256);
		else
			st->gpr[i] = rnd_target(8);
		if (mode == EM_MODE_PROT16 && !one_in(4))
			st->gpr[i] -= DATA_BASE;
		if (mode != EM_MODE_PROT64)
			st->gpr[i] = (u32)st->gpr[i];
	}
}

/* The byte behind the prefixes. */
static const u8 *find_opcode(const u8 *p, enum em_mode mode)
{
	for (;; p++) {
		switch (*p) {
		case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64 ... 0x67: case 0xf0:
		case 0xf2: case 0xf3:
			continue;
		case 0x40 ... 0x4f:
			if (mode == EM_MODE_PROT64)
				continue;
		}
		return p;
	}
}

/*
 * What differs between vendors, what the kernel emulates for user code, and what would leave
 * the single step: near branches with 66 in 64-bit mode, XOP, LOCKed MOV CR, far loads with
 * REX.W, software interrupts, POPA and POPF; LOOPE with a REP prefix.
 */
static bool differs_by_design(const struct em_insn *d, const u8 *op, enum em_mode mode)
{
	static const u8 always_1[] = { 0x61, 0x63, 0x8f, 0x9d, 0xcc, 0xcd, 0xcf, 0xe0, 0xe1, 0xf1 };
	static const u8 always_0f[] = {
		0x00, 0x01, 0x0d, 0x1a, 0x1b, 0xae, 0xb2, 0xb4, 0xb5, 0xb9, 0xff,
	};
	static const u8 branches[] = { 0xc2, 0xc3, 0xe2, 0xe3, 0xe8, 0xe9, 0xeb, 0xff };
	bool short_branch = mode == EM_MODE_PROT64 && d->opsize_prefix;

	if (d->vex)
		return false;
	if (op[0] == 0x0f)
		return memchr(always_0f, op[1], sizeof(always_0f)) || (op[1] & 0xfc) == 0x20 ||
		       (short_branch && (op[1] & 0xf0) == 0x80) ||
		       ((op[1] & 0xf8) == 0xc8 && d->size == 2);
	if (short_branch && (memchr(branches, op[0], sizeof(branches)) || (op[0] & 0xf0) == 0x70))
		return true;
	return memchr(always_1, op[0], sizeof(always_1));
}

static bool pushes_segment(const u8 *op)
{
	return op[0] == 0x06 || op[0] == 0x0e || op[0] == 0x16 || op[0] == 0x1e ||
	       (op[0] == 0x0f && (op[1] == 0xa0 || op[1] == 0xa8));
}

static bool fuzz_one(enum em_mode mode, unsigned int *ran)
{
	static u8 before[DATA_RW_SIZE];
	struct tolerance tol = { .any_fault = true, .flags = FL_ARITH, .vectors = true,
				 .too_long = true, .low32 = true };
	struct state out;
	struct insn_case c;
	enum em_result r;
	const u8 *op;

	random_bytes(&c);
	random_registers(&c.st, mode);
	c.st.rip = place_code(c.bytes, c.n, RUN_STEP);
	legacy_segments(&c.st, mode);
	memory_save(before);
	r = guest_run(&guest, &c.st, mode, 0, &out);
	memory_restore(before);
	if (r != EM_DONE && r != EM_EXCEPTION && r != EM_RESTART)
		return true;
	if (guest.outside || guest.loaded_fs || !guest.ctx.d.pos)
		return true;
	/* The thread pointer is there. */
	if (mode == EM_MODE_PROT64 && guest.ctx.d.seg_override == EM_SEG_FS)
		return true;
	op = find_opcode(c.bytes, mode);
	if (differs_by_design(&guest.ctx.d, op, mode))
		return true;
	tol.push_seg = pushes_segment(op);
	/* Again with the last byte that the emulator has looked at as the last there is. */
	if (out.vector != EM_EXC_UD)
		c.n = guest.ctx.d.pos;
	c.st.rip = place_code(c.bytes, c.n, RUN_STEP);
	legacy_segments(&c.st, mode);
	++*ran;
	return compare_run(&c.st, c.bytes, c.n, mode, &tol);
}

static void fuzz_mode(enum em_mode mode, const char *name)
{
	unsigned int i, ran = 0, bad = 0;
	time_t end = time(NULL) + MAX_SECONDS;

	seed(4000 + mode);
	memory_randomize();
	for (i = 0; i < MAX_CASES && bad < 10; i++) {
		if (i % 1024 == 0 && time(NULL) >= end)
			break;
		if (!fuzz_one(mode, &ran))
			bad++;
	}
	ktap_diag("%s: %u cases, %u run natively", name, i, ran);
	ktap_result(!bad, name);
}

void test_fuzz(void)
{
	fuzz_mode(EM_MODE_PROT64, "fuzz: 64-bit");
	if (!legacy_init()) {
		ktap_skip("fuzz: 32-bit and 16-bit", legacy_reason);
		return;
	}
	fuzz_mode(EM_MODE_PROT32, "fuzz: 32-bit");
	fuzz_mode(EM_MODE_PROT16, "fuzz: 16-bit");
}
