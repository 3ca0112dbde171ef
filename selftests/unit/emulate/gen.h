/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random encodings of given instructions, with registers that make their addresses useful.
 * It must not depend on the emulator's own decoder or tables.
 */
#ifndef UNIT_EMULATE_GEN_H
#define UNIT_EMULATE_GEN_H

#include "harness.h"

/* Immediates of a template. */
enum imm_kind { I_NONE, I_B, I_W, I_Z, I_V, I_WB, I_MOFFS };

#define T_MODRM		0x0001u
#define T_BYTE		0x0002u
#define T_MEM		0x0004u	/* memory operand only */
#define T_REG		0x0008u	/* register operand only */
#define T_LOCK		0x0010u	/* LOCK is worth trying often */
#define T_NOREXW	0x0020u
#define T_NO66		0x0040u
#define T_VEC		0x0080u
#define T_STACK		0x0100u	/* uses the stack: aim RSP at the data */
#define T_VEX		0x0200u	/* VEX encoding; pp is in @pp */
#define T_STRING	0x0400u	/* RSI and RDI point to the data */
#define T_MOV_SS	0x0800u
#define T_BITOFF	0x1000u	/* the register operand is a bit offset: keep it small */
#define T_LEGACY	0x2000u	/* not in 64-bit mode */
#define T_ONLY64	0x4000u
#define T_NOREP		0x8000u
#define T_D64		0x10000u
#define T_NOPFX		0x20000u
#define T_XLAT		0x40000u
#define T_ANYFAULT	0x80000u	/* which of two faults comes first differs */
#define T_NOLOCK	0x100000u
#define T_PARTIAL	0x400000u	/* registers after a fault differ */
#define T_PUSH_SEG	0x800000u	/* the upper half of a 32-bit slot differs */
#define T_NOREG		0x200000u	/* the register form is another instruction */

#define T_LOW32		0x1000000u	/* upper halves differ between vendors */

/* Short for the tables. */
#define T_V		(T_MODRM | T_VEC)
#define T_VX		(T_MODRM | T_VEC | T_VEX | T_NO66)

/**
 * struct tmpl - an instruction to test
 * @name: for the report
 * @op: opcode bytes, with mandatory prefix and escapes
 * @oplen: how many
 * @digit: ModRM.reg, -1 for any
 * @imm: enum imm_kind
 * @flags: T_*
 * @undef: undefined flags
 */
struct tmpl {
	const char *name;
	u8 op[4];
	u8 oplen;
	int digit;
	u8 imm;
	u32 flags;
	u32 undef;
};

/**
 * struct insn_case - a generated case
 * @bytes: the instruction
 * @n: its length
 * @st: registers; rip is left to the caller
 */
struct insn_case {
	u8 bytes[32];
	unsigned int n;
	struct state st;
};

struct tolerance template_tolerance(const struct tmpl *t);
void prepend(struct insn_case *c, u8 byte);
void random_state(struct state *st);
void gen_case(struct insn_case *c, const struct tmpl *t, enum em_mode mode, u64 data_base,
	      u64 stack_base, u64 code_end);

#endif
