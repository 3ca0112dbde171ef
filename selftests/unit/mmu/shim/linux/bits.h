/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's bit macros for pure files of mmu/ compiled in user space.
 * It must not bring in anything else.
 */
#ifndef UNIT_MMU_LINUX_BITS_H
#define UNIT_MMU_LINUX_BITS_H

#define BIT(n)			(1UL << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define GENMASK_ULL(h, l)	((~0ULL << (l)) & (~0ULL >> (63 - (h))))

#endif
