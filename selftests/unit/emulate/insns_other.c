// SPDX-License-Identifier: GPL-2.0-only
/*
 * The instructions that the tests draw from: encodings and undefined flags, from the manuals.
 * It must not be derived from the emulator's tables.
 */
#include "insns.h"

const struct tmpl insns_sse[] = {
	{ "movups load", { 0x0f, 0x10 }, 2, -1, I_NONE, T_V | T_NO66, 0 },
	{ "movups store", { 0x0f, 0x11 }, 2, -1, I_NONE, T_V | T_NO66, 0 },
	{ "movupd load", { 0x66, 0x0f, 0x10 }, 3, -1, I_NONE, T_V, 0 },
	{ "movupd store", { 0x66, 0x0f, 0x11 }, 3, -1, I_NONE, T_V, 0 },
	{ "movss load", { 0xf3, 0x0f, 0x10 }, 3, -1, I_NONE, T_V, 0 },
	{ "movss store", { 0xf3, 0x0f, 0x11 }, 3, -1, I_NONE, T_V, 0 },
	{ "movsd load", { 0xf2, 0x0f, 0x10 }, 3, -1, I_NONE, T_V, 0 },
	{ "movsd store", { 0xf2, 0x0f, 0x11 }, 3, -1, I_NONE, T_V, 0 },
	{ "movaps load", { 0x0f, 0x28 }, 2, -1, I_NONE, T_V | T_NO66, 0 },
	{ "movaps store", { 0x0f, 0x29 }, 2, -1, I_NONE, T_V | T_NO66, 0 },
	{ "movapd load", { 0x66, 0x0f, 0x28 }, 3, -1, I_NONE, T_V, 0 },
	{ "movapd store", { 0x66, 0x0f, 0x29 }, 3, -1, I_NONE, T_V, 0 },
	{ "movdqa load", { 0x66, 0x0f, 0x6f }, 3, -1, I_NONE, T_V, 0 },
	{ "movdqa store", { 0x66, 0x0f, 0x7f }, 3, -1, I_NONE, T_V, 0 },
	{ "movdqu load", { 0xf3, 0x0f, 0x6f }, 3, -1, I_NONE, T_V, 0 },
	{ "movdqu store", { 0xf3, 0x0f, 0x7f }, 3, -1, I_NONE, T_V, 0 },
	{ "movlps load", { 0x0f, 0x12 }, 2, -1, I_NONE, T_V | T_NO66, 0 },
	{ "movlps store", { 0x0f, 0x13 }, 2, -1, I_NONE, T_V | T_NO66 | T_MEM, 0 },
	{ "movlpd load", { 0x66, 0x0f, 0x12 }, 3, -1, I_NONE, T_V | T_MEM, 0 },
	{ "movlpd store", { 0x66, 0x0f, 0x13 }, 3, -1, I_NONE, T_V | T_MEM, 0 },
	{ "movhps load", { 0x0f, 0x16 }, 2, -1, I_NONE, T_V | T_NO66, 0 },
	{ "movhps store", { 0x0f, 0x17 }, 2, -1, I_NONE, T_V | T_NO66 | T_MEM, 0 },
	{ "movhpd load", { 0x66, 0x0f, 0x16 }, 3, -1, I_NONE, T_V | T_MEM, 0 },
	{ "movhpd store", { 0x66, 0x0f, 0x17 }, 3, -1, I_NONE, T_V | T_MEM, 0 },
	{ "movntps", { 0x0f, 0x2b }, 2, -1, I_NONE, T_V | T_NO66 | T_MEM, 0 },
	{ "movntpd", { 0x66, 0x0f, 0x2b }, 3, -1, I_NONE, T_V | T_MEM, 0 },
	{ "movntdq", { 0x66, 0x0f, 0xe7 }, 3, -1, I_NONE, T_V | T_MEM, 0 },
	{ "movntdqa", { 0x66, 0x0f, 0x38, 0x2a }, 4, -1, I_NONE, T_V | T_MEM, 0 },
	{ "lddqu", { 0xf2, 0x0f, 0xf0 }, 3, -1, I_NONE, T_V | T_MEM, 0 },
	{ "movd/movq load", { 0x66, 0x0f, 0x6e }, 3, -1, I_NONE, T_V, 0 },
	{ "movd/movq store", { 0x66, 0x0f, 0x7e }, 3, -1, I_NONE, T_V, 0 },
	{ "movq load", { 0xf3, 0x0f, 0x7e }, 3, -1, I_NONE, T_V, 0 },
	{ "movq store", { 0x66, 0x0f, 0xd6 }, 3, -1, I_NONE, T_V, 0 },
	{ "mmx movd load", { 0x0f, 0x6e }, 2, -1, I_NONE, T_V | T_NO66, 0 },
	{ "mmx movd store", { 0x0f, 0x7e }, 2, -1, I_NONE, T_V | T_NO66, 0 },
	{ "mmx movq load", { 0x0f, 0x6f }, 2, -1, I_NONE, T_V | T_NO66, 0 },
	{ "mmx movq store", { 0x0f, 0x7f }, 2, -1, I_NONE, T_V | T_NO66, 0 },
	{ "movntq", { 0x0f, 0xe7 }, 2, -1, I_NONE, T_V | T_NO66 | T_MEM, 0 },
};

const unsigned int insns_sse_count = ARRAY_SIZE(insns_sse);

const struct tmpl insns_avx[] = {
	{ "vmovups load", { 0x00, 0x01, 0x10 }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovups store", { 0x00, 0x01, 0x11 }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovupd load", { 0x66, 0x01, 0x10 }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovupd store", { 0x66, 0x01, 0x11 }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovss load", { 0xf3, 0x01, 0x10 }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovss store", { 0xf3, 0x01, 0x11 }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovsd load", { 0xf2, 0x01, 0x10 }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovsd store", { 0xf2, 0x01, 0x11 }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovaps load", { 0x00, 0x01, 0x28 }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovaps store", { 0x00, 0x01, 0x29 }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovapd load", { 0x66, 0x01, 0x28 }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovapd store", { 0x66, 0x01, 0x29 }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovdqa load", { 0x66, 0x01, 0x6f }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovdqa store", { 0x66, 0x01, 0x7f }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovdqu load", { 0xf3, 0x01, 0x6f }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovdqu store", { 0xf3, 0x01, 0x7f }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovlps load", { 0x00, 0x01, 0x12 }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovlps store", { 0x00, 0x01, 0x13 }, 3, -1, I_NONE, T_VX | T_MEM, 0 },
	{ "vmovlpd load", { 0x66, 0x01, 0x12 }, 3, -1, I_NONE, T_VX | T_MEM, 0 },
	{ "vmovlpd store", { 0x66, 0x01, 0x13 }, 3, -1, I_NONE, T_VX | T_MEM, 0 },
	{ "vmovhps load", { 0x00, 0x01, 0x16 }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovhps store", { 0x00, 0x01, 0x17 }, 3, -1, I_NONE, T_VX | T_MEM, 0 },
	{ "vmovhpd load", { 0x66, 0x01, 0x16 }, 3, -1, I_NONE, T_VX | T_MEM, 0 },
	{ "vmovhpd store", { 0x66, 0x01, 0x17 }, 3, -1, I_NONE, T_VX | T_MEM, 0 },
	{ "vmovntps", { 0x00, 0x01, 0x2b }, 3, -1, I_NONE, T_VX | T_MEM, 0 },
	{ "vmovntpd", { 0x66, 0x01, 0x2b }, 3, -1, I_NONE, T_VX | T_MEM, 0 },
	{ "vmovntdq", { 0x66, 0x01, 0xe7 }, 3, -1, I_NONE, T_VX | T_MEM, 0 },
	{ "vlddqu", { 0xf2, 0x01, 0xf0 }, 3, -1, I_NONE, T_VX | T_MEM, 0 },
	{ "vmovd/movq load", { 0x66, 0x01, 0x6e }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovd/movq store", { 0x66, 0x01, 0x7e }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovq load", { 0xf3, 0x01, 0x7e }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovq store", { 0x66, 0x01, 0xd6 }, 3, -1, I_NONE, T_VX, 0 },
	{ "vmovntdqa", { 0x66, 0x02, 0x2a }, 3, -1, I_NONE, T_VX | T_MEM, 0 },
};

const unsigned int insns_avx_count = ARRAY_SIZE(insns_avx);

const struct tmpl insns_string[] = {
	{ "movsb", { 0xa4 }, 1, -1, I_NONE, T_STRING | T_BYTE | T_NOREP, 0 },
	{ "movs", { 0xa5 }, 1, -1, I_NONE, T_STRING | T_NOREP, 0 },
	{ "cmpsb", { 0xa6 }, 1, -1, I_NONE, T_STRING | T_ANYFAULT | T_BYTE | T_NOREP, 0 },
	{ "cmps", { 0xa7 }, 1, -1, I_NONE, T_STRING | T_ANYFAULT | T_NOREP, 0 },
	{ "stosb", { 0xaa }, 1, -1, I_NONE, T_STRING | T_BYTE | T_NOREP, 0 },
	{ "stos", { 0xab }, 1, -1, I_NONE, T_STRING | T_NOREP, 0 },
	{ "lodsb", { 0xac }, 1, -1, I_NONE, T_STRING | T_BYTE | T_NOREP, 0 },
	{ "lods", { 0xad }, 1, -1, I_NONE, T_STRING | T_NOREP, 0 },
	{ "scasb", { 0xae }, 1, -1, I_NONE, T_STRING | T_BYTE | T_NOREP, 0 },
	{ "scas", { 0xaf }, 1, -1, I_NONE, T_STRING | T_NOREP, 0 },
};

const unsigned int insns_string_count = ARRAY_SIZE(insns_string);
