/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's fixed-size types for pure files of mmu/ compiled in user space.
 * It must not bring in anything else.
 */
#ifndef UNIT_MMU_LINUX_TYPES_H
#define UNIT_MMU_LINUX_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <asm/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#endif
