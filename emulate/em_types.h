/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fixed-size integer types for the emulator, in the kernel and in user space.
 * It must not bring in anything but types and the few compiler helpers below.
 */
#ifndef EMULATE_EM_TYPES_H
#define EMULATE_EM_TYPES_H

#ifdef __KERNEL__

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/string.h>
#include <linux/types.h>

#else

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#define BIT(n) (1UL << (n))
#define BIT_ULL(n) (1ULL << (n))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif

#endif
