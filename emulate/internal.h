/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the emulator's files share: opcode table format, operand access, arithmetic.
 * It must not be included from outside emulate/.
 */
#ifndef EMULATE_INTERNAL_H
#define EMULATE_INTERNAL_H

#include "emulate.h"

#define EM_CF	0x00000001u
#define EM_PF	0x00000004u
#define EM_AF	0x00000010u
#define EM_ZF	0x00000040u
#define EM_SF	0x00000080u
#define EM_TF	0x00000100u
#define EM_IF	0x00000200u
#define EM_DF	0x00000400u
#define EM_OF	0x00000800u
#define EM_IOPL	0x00003000u
#define EM_NT	0x00004000u
#define EM_RF	0x00010000u
#define EM_VM	0x00020000u
#define EM_AC	0x00040000u
#define EM_VIF	0x00080000u
#define EM_VIP	0x00100000u
#define EM_ID	0x00200000u
#define EM_ARITH (EM_CF | EM_PF | EM_AF | EM_ZF | EM_SF | EM_OF)

#define EM_CR0_PE	0x00000001u
#define EM_CR0_MP	0x00000002u
#define EM_CR0_EM	0x00000004u
#define EM_CR0_TS	0x00000008u
#define EM_CR0_AM	0x00040000u
#define EM_CR0_PG	0x80000000u
#define EM_CR4_VME	0x00000001u
#define EM_CR4_PVI	0x00000002u
#define EM_CR4_TSD	0x00000004u
#define EM_CR4_DE	0x00000008u
#define EM_CR4_PCE	0x00000100u
#define EM_CR4_OSFXSR	0x00000200u
#define EM_CR4_UMIP	0x00000800u
#define EM_CR4_LA57	0x00001000u
#define EM_CR4_OSXSAVE	0x00040000u
#define EM_EFER_LMA	0x00000400u

/* Iterations of a REP instruction before the vCPU gets to look at interrupts. */
#define EM_REP_MAX	256
/* Attempts of a LOCKed read-modify-write before the same. */
#define EM_LOCK_MAX	64

typedef enum em_result (*em_exec_fn)(struct em_ctx *ctx);

/**
 * struct em_opcode - one entry of the opcode tables
 * @exec: executes it; NULL for what the emulator does not know
 * @sub: table of alternatives, when @flags has one of OP_GROUP, OP_PFX, OP_MOD, OP_64
 * @flags: OP_*
 * @arg: meaning defined by @exec
 */
struct em_opcode {
	union {
		em_exec_fn exec;
		const struct em_opcode *sub;
	};
	u32 flags;
	u32 arg;
};

/* Operands: destination in bits 0-3, source in bits 4-7 of em_opcode.flags. */
enum em_operand {
	OPD_NONE,
	OPD_E,		/* ModRM.rm, register or memory */
	OPD_G,		/* ModRM.reg */
	OPD_Z,		/* low bits of the opcode */
	OPD_ACC,
	OPD_IMM,
	OPD_CL,
	OPD_ONE,
};

/* Immediates: bits 8-11. */
enum em_imm {
	IMM_NONE,
	IMM_UB,		/* byte, zero-extended */
	IMM_SB,		/* byte, sign-extended */
	IMM_Z,		/* byte, word or doubleword by operand size, sign-extended */
	IMM_V,		/* word, doubleword or quadword by operand size */
	IMM_W,		/* word */
	IMM_WB,		/* word, then byte (ENTER) */
	IMM_FAR,	/* offset by operand size, then selector */
	IMM_OFFS,	/* offset by address size */
};

#define OP_DST(x)	((u32)OPD_##x)
#define OP_SRC(x)	((u32)OPD_##x << 4)
#define OP_IMM(x)	((u32)IMM_##x << 8)
#define OP_GET_DST(f)	((f) & 15)
#define OP_GET_SRC(f)	(((f) >> 4) & 15)
#define OP_SRC_MASK	0xf0u
#define OP_GET_IMM(f)	(((f) >> 8) & 15)

#define OP_MODRM	BIT(12)
#define OP_BYTE		BIT(13)	/* operand size is one byte */
#define OP_LOCK		BIT(14)	/* LOCK allowed with a memory destination */
#define OP_NO64		BIT(15)	/* #UD in 64-bit mode */
#define OP_D64		BIT(16)	/* 64-bit mode: operand size 64 (66: 16) */
#define OP_F64		BIT(17)	/* 64-bit mode: operand size 64 */
#define OP_MEM		BIT(18)	/* #UD with a register operand */
#define OP_REG		BIT(19)	/* #UD with a memory operand */
#define OP_PROT		BIT(20)	/* #UD in real and virtual-8086 mode */
#define OP_GROUP	BIT(21)	/* sub[ModRM.reg] */
#define OP_PFX		BIT(22)	/* sub[0: none, 1: 66, 2: F3, 3: F2] */
#define OP_MOD		BIT(23)	/* sub[0: memory, 1: register] */
#define OP_64		BIT(24)	/* sub[0: legacy modes, 1: 64-bit mode] */
#define OP_VEX		BIT(25)	/* has a VEX form */
#define OP_VEX_L0	BIT(26)	/* #UD with VEX.L = 1 */
#define OP_VEX_V	BIT(27)	/* VEX.vvvv names an operand */
#define OP_VEX_VREG	BIT(28)	/* VEX.vvvv names an operand in the register form only */
#define OP_FORCE_REG	BIT(29)	/* ModRM.mod is ignored, rm is a register */
#define OP_ESCAPE	BIT(30)	/* leads to another table: 0F, C4, C5 */
#define OP_SPLIT	(OP_GROUP | OP_PFX | OP_MOD | OP_64)

/**
 * struct em_alu - operands of one arithmetic operation
 * @dst: destination, in and out
 * @src: source
 * @flags: RFLAGS, in and out; only arithmetic flags change
 * @size: operand size in bytes
 * @op: which operation, meaning defined by its function
 */
struct em_alu {
	u64 dst;
	u64 src;
	u64 flags;
	u32 size;
	u32 op;
};

typedef void (*em_alu_fn)(struct em_alu *a);

/* decode_tables.c and decode_0f.c */
extern const struct em_opcode em_table_1[256];
extern const struct em_opcode em_table_0f[256];
const struct em_opcode *em_lookup_0f38(u8 opcode);

/* fetch.c */
enum em_result em_fetch(struct em_ctx *ctx, unsigned int end);

/* operand.c */
enum em_result em_fault(struct em_ctx *ctx, u8 vector, u32 error_code);
enum em_result em_ud(struct em_ctx *ctx);
enum em_result em_segment(struct em_ctx *ctx, enum em_seg seg, const struct em_segment **s);
enum em_result em_cr0(struct em_ctx *ctx, u64 *val);
bool em_canonical(struct em_ctx *ctx, u64 la);
enum em_result em_linear(struct em_ctx *ctx, enum em_seg seg, u64 off, unsigned int n,
			 unsigned int acc, u64 *la);
enum em_result em_la_read(struct em_ctx *ctx, u64 la, void *buf, unsigned int n,
			  unsigned int acc);
enum em_result em_la_write(struct em_ctx *ctx, u64 la, const void *buf, unsigned int n,
			   unsigned int acc);
enum em_result em_mem_read(struct em_ctx *ctx, enum em_seg seg, u64 off, void *buf,
			   unsigned int n, unsigned int acc);
enum em_result em_mem_write(struct em_ctx *ctx, enum em_seg seg, u64 off, const void *buf,
			    unsigned int n, unsigned int acc);
enum em_result em_rm_read(struct em_ctx *ctx, unsigned int size, u64 *val);
enum em_result em_rm_write(struct em_ctx *ctx, unsigned int size, u64 val);
enum em_result em_src_read(struct em_ctx *ctx, unsigned int kind, u64 *val);
void em_dst_reg_write(struct em_ctx *ctx, unsigned int kind, u64 val);
enum em_result em_rmw(struct em_ctx *ctx, struct em_alu *a, em_alu_fn fn);

static inline enum em_result em_cb_result(enum em_cb cb)
{
	/* The first four results have the callbacks' values: em_result_values_match. */
	return (enum em_result)(int)cb;
}

/* All ones in the low @size bytes; size 1, 2, 4 or 8. */
static __always_inline u64 em_mask(unsigned int size)
{
	return ~0ull >> (64 - 8 * size);
}

static __always_inline u64 em_sign_bit(unsigned int size)
{
	return 1ull << (8 * size - 1);
}

static __always_inline s64 em_sext(u64 v, unsigned int size)
{
	unsigned int shift = 64 - 8 * size;

	return (s64)(v << shift) >> shift;
}

static __always_inline bool em_is64(const struct em_ctx *ctx)
{
	return ctx->mode == EM_MODE_PROT64;
}

/* Real or virtual-8086 mode: segments are selector times 16, no descriptors. */
static __always_inline bool em_is_real_like(const struct em_ctx *ctx)
{
	return ctx->mode <= EM_MODE_VM86;
}

static __always_inline unsigned int em_iopl(const struct em_ctx *ctx)
{
	return (ctx->rflags & EM_IOPL) >> 12;
}

/* Read register @r of @size bytes; with size 1, AH to BH where no REX prefix says otherwise. */
static __always_inline u64 em_reg_read(const struct em_ctx *ctx, unsigned int r,
				       unsigned int size)
{
	if (size == 1 && !ctx->d.rex && r - 4 < 4)
		return (ctx->gpr[r - 4] >> 8) & 0xff;
	return ctx->gpr[r] & em_mask(size);
}

/* Write it; 32-bit writes clear the upper half, smaller ones leave it alone. */
static __always_inline void em_reg_write(struct em_ctx *ctx, unsigned int r, unsigned int size,
					 u64 val)
{
	u64 mask = em_mask(size);

	if (size >= 4)
		ctx->gpr[r] = val & mask;
	else if (size == 1 && !ctx->d.rex && r - 4 < 4)
		ctx->gpr[r - 4] = (ctx->gpr[r - 4] & ~0xff00ul) | (val & 0xff) << 8;
	else
		ctx->gpr[r] = (ctx->gpr[r] & ~mask) | (val & mask);
}

/* As em_reg_write(), but never AH to BH: for counters, pointers and stack pointers. */
static __always_inline void em_gpr_merge(struct em_ctx *ctx, unsigned int r, unsigned int size,
					 u64 val)
{
	u64 mask = em_mask(size);

	if (size >= 4)
		ctx->gpr[r] = val & mask;
	else
		ctx->gpr[r] = (ctx->gpr[r] & ~mask) | (val & mask);
}

static __always_inline void em_set_arith(struct em_ctx *ctx, u64 flags)
{
	ctx->rflags = (ctx->rflags & ~(u64)EM_ARITH) | (flags & EM_ARITH);
}

/* The end of every instruction that does not branch. */
static __always_inline enum em_result em_next(struct em_ctx *ctx)
{
	ctx->rip = ctx->d.next_rip;
	return EM_DONE;
}

static inline enum em_result em_gp0(struct em_ctx *ctx)
{
	return em_fault(ctx, EM_EXC_GP, 0);
}

/*
 * 64-bit mode without FS, GS or alignment checks, everything canonical with 48 bits and no wrap:
 * the offset is the linear address. One comparison covers both ends, for the canonical
 * addresses are contiguous around zero.
 */
static __always_inline bool em_offset_is_linear(const struct em_ctx *ctx, enum em_seg seg, u64 off,
						unsigned int n)
{
	if (unlikely(!em_is64(ctx) || seg >= EM_SEG_FS || (ctx->rflags & EM_AC)))
		return false;
	return likely(off + BIT_ULL(47) <= BIT_ULL(48) - n && (s64)(off ^ (off + n)) >= 0);
}

/* exec_alu.c, exec_shift.c: arithmetic on values */
void em_alu_do(struct em_alu *a);
bool em_cond(u64 flags, unsigned int cc);

/* exec_stack.c */
/**
 * struct em_stack - a stack pointer that has not been committed yet
 * @sp: current value, within @size
 * @size: width of the stack pointer in bytes
 */
struct em_stack {
	u64 sp;
	u32 size;
};

enum em_result em_stack_begin(struct em_ctx *ctx, struct em_stack *st);
void em_stack_commit(struct em_ctx *ctx, const struct em_stack *st);
enum em_result em_push(struct em_ctx *ctx, struct em_stack *st, u64 val, unsigned int size);
enum em_result em_pop(struct em_ctx *ctx, struct em_stack *st, u64 *val, unsigned int size);

/* exec_branch.c */
enum em_result em_check_target(struct em_ctx *ctx, u64 *rip);

/* exec_io.c */
enum em_result em_io_allowed(struct em_ctx *ctx, u16 port, unsigned int size);

/* segment.c */
/**
 * struct em_desc - a descriptor as read from a table
 * @raw: its 8 bytes
 * @high: bits 63:32 of a 16-byte descriptor's base, else 0
 * @la: linear address of the 8 bytes
 */
struct em_desc {
	u64 raw;
	u64 high;
	u64 la;
};

#define EM_DESC_ACCESSED	BIT_ULL(40)
#define EM_DESC_BUSY		BIT_ULL(41)

/* How a code segment is reached; argument of em_check_code_segment(). */
#define EM_CODE_JUMP	0	/* JMP, CALL: same privilege or conforming */
#define EM_CODE_RETURN	1	/* RET, IRET: the selector's RPL is the new privilege */

void em_desc_to_segment(const struct em_desc *d, u16 selector, struct em_segment *s);
enum em_result em_desc_read(struct em_ctx *ctx, u16 selector, u8 vector, struct em_desc *d);
enum em_result em_desc_read_high(struct em_ctx *ctx, u16 selector, struct em_desc *d);
enum em_result em_desc_mark(struct em_ctx *ctx, struct em_desc *d, u64 bits);
enum em_result em_load_data_segment(struct em_ctx *ctx, enum em_seg seg, u16 selector);
enum em_result em_check_data_segment(struct em_ctx *ctx, enum em_seg seg, u16 selector, u8 vector,
				     struct em_segment *s);
enum em_result em_set_segment(struct em_ctx *ctx, enum em_seg seg, const struct em_segment *s);
enum em_result em_check_code_segment(struct em_ctx *ctx, u16 selector, unsigned int how,
				     struct em_segment *s);
enum em_result em_set_code_segment(struct em_ctx *ctx, const struct em_segment *s);
enum em_result em_real_segment(struct em_ctx *ctx, enum em_seg seg, u16 selector);
enum em_result em_long_mode(struct em_ctx *ctx, bool *on);

static __always_inline unsigned int em_ar_dpl(u32 ar)
{
	return (ar & EM_AR_DPL) >> EM_AR_DPL_SHIFT;
}

#endif
