/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names the sets of handlers in stubs.S; each set ends where the next name begins.
 * Must not be used outside modes.c.
 */
#ifndef SELFTESTS_LIB_STUBS_H
#define SELFTESTS_LIB_STUBS_H

#include "guest.h"

extern const u8 stubs64[], stubs64_lapic[], stubs64_lapic_end[], stubs64_x2apic[],
	stubs64_x2apic_end[], stubs64_pic[], stubs64_pic_end[], stubs32[], stubs16[], stubs_end[];

#endif
