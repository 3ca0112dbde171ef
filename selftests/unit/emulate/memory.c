// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory that the processor and the emulator run on in turn, and random numbers.
 * It must not use anything but its seed for randomness: a failure has to come again.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include "harness.h"

static u64 prng = 1;

void seed(u64 s)
{
	prng = s * 0x9e3779b97f4a7c15ull + 1;
}

u64 rnd(void)
{
	prng ^= prng >> 12;
	prng ^= prng << 25;
	prng ^= prng >> 27;
	return prng * 0x2545f4914f6cdd1dull;
}

unsigned int rnd_below(unsigned int n)
{
	return (rnd() >> 32) % n;
}

bool one_in(unsigned int n)
{
	return !rnd_below(n);
}

/* Numbers on which arithmetic goes wrong, and any. */
u64 rnd_value(void)
{
	static const u64 special[] = {
		0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000,
		0xffffffff, 0x7fffffffffffffff, 0x8000000000000000, ~0ull,
	};

	switch (rnd_below(4)) {
	case 0:
		return special[rnd_below(ARRAY_SIZE(special))];
	case 1:
		return special[rnd_below(ARRAY_SIZE(special))] + rnd_below(5) - 2;
	case 2:
		return rnd() >> rnd_below(64);
	default:
		return rnd();
	}
}

/* An address to aim at: mostly writable data, its edges, the read-only page, the holes. */
u64 rnd_target(unsigned int align)
{
	u64 la;

	switch (rnd_below(10)) {
	case 0:
		la = DATA_RW + 0x1000 - rnd_below(40);
		break;
	case 1:
		la = DATA_RO - rnd_below(40);
		break;
	case 2:
		la = DATA_RW - rnd_below(40);
		break;
	case 3:
		la = DATA_END - rnd_below(40);
		break;
	case 4:
		la = DATA_RO + rnd_below(0x1000);
		break;
	default:
		la = DATA_RW + 128 + rnd_below(DATA_RW_SIZE - 256);
		break;
	}
	return one_in(4) ? la : la & ~(u64)(align - 1);
}

static bool map(u64 la, size_t n, int prot)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	void *p = mmap((void *)la, n, prot, flags, -1, 0);

	return p == (void *)la;
}

bool memory_init(void)
{
	u64 *ro = (u64 *)DATA_RO;
	unsigned int i;

	if (!map(CODE_BASE, CODE_PAGES * 4096, PROT_READ | PROT_WRITE | PROT_EXEC) ||
	    !map(CODE_BASE + CODE_PAGES * 4096, 4096, PROT_NONE) ||
	    !map(DATA_BASE, 4096, PROT_NONE) ||
	    !map(DATA_RW, DATA_RW_SIZE + 4096, PROT_READ | PROT_WRITE) ||
	    !map(DATA_END, 4096, PROT_NONE))
		return false;
	memset((void *)CODE_BASE, 0x90, CODE_PAGES * 4096);
	memory_randomize();
	for (i = 0; i < 512; i++)
		ro[i] = rnd();
	return !mprotect(ro, 4096, PROT_READ);
}

void memory_randomize(void)
{
	u64 *p = (u64 *)DATA_RW;
	unsigned int i;

	for (i = 0; i < DATA_RW_SIZE / 8; i++)
		p[i] = rnd();
}

void memory_save(u8 *copy)
{
	memcpy(copy, (void *)DATA_RW, DATA_RW_SIZE);
}

void memory_restore(const u8 *copy)
{
	memcpy((void *)DATA_RW, copy, DATA_RW_SIZE);
}

/*
 * Put an instruction where its last byte is the last that can be fetched, so that reading on
 * is seen; for a run to a breakpoint, that comes behind it.
 */
u64 place_code(const u8 *bytes, unsigned int n, enum run_how how)
{
	u64 at = CODE_BASE + CODE_PAGES * 4096 - n - (how == RUN_TO_BREAKPOINT);

	memcpy((void *)at, bytes, n);
	if (how == RUN_TO_BREAKPOINT)
		*(u8 *)(at + n) = 0xcc;
	return at;
}
