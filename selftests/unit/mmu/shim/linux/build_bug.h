/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * static_assert() without a message, as the kernel's header of this name has it.
 * It must not bring in anything else.
 */
#include <assert.h>
