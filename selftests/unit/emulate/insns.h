/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tables of instructions that the tests draw from.
 * It must not be derived from the emulator's tables.
 */
#ifndef UNIT_EMULATE_INSNS_H
#define UNIT_EMULATE_INSNS_H

#include "gen.h"

extern const struct tmpl insns_integer[], insns_sse[], insns_avx[], insns_string[];
extern const unsigned int insns_integer_count, insns_sse_count, insns_avx_count;
extern const unsigned int insns_string_count;

#endif
