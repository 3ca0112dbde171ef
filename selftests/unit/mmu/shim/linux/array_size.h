/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's ARRAY_SIZE for unit tests in user space.
 * It must not bring in anything else.
 */
#ifndef UNIT_MMU_LINUX_ARRAY_SIZE_H
#define UNIT_MMU_LINUX_ARRAY_SIZE_H

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#endif
