/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The contract of the x86 instruction emulator: its context, its callbacks, its results.
 * It must not know of the VMCS, of user pointers or of any kernel service.
 */
#ifndef EMULATE_EMULATE_H
#define EMULATE_EMULATE_H

#include "em_types.h"

struct em_ctx;
struct em_opcode;

/**
 * enum em_mode - how the code at RIP is decoded and how addresses are formed
 * @EM_MODE_REAL: CR0.PE is 0
 * @EM_MODE_VM86: protected mode with EFLAGS.VM set; cpl must be 3
 * @EM_MODE_PROT16: protected or compatibility mode, CS.D is 0
 * @EM_MODE_PROT32: protected or compatibility mode, CS.D is 1
 * @EM_MODE_PROT64: 64-bit mode (EFER.LMA and CS.L are 1)
 */
enum em_mode {
	EM_MODE_REAL,
	EM_MODE_VM86,
	EM_MODE_PROT16,
	EM_MODE_PROT32,
	EM_MODE_PROT64,
};

/* Indices into em_ctx.gpr[], in the order instructions encode them; R8 to R15 follow. */
enum em_reg {
	EM_RAX,
	EM_RCX,
	EM_RDX,
	EM_RBX,
	EM_RSP,
	EM_RBP,
	EM_RSI,
	EM_RDI,
};

/* Segment registers in the order instructions encode them, then the two system ones. */
enum em_seg {
	EM_SEG_ES,
	EM_SEG_CS,
	EM_SEG_SS,
	EM_SEG_DS,
	EM_SEG_FS,
	EM_SEG_GS,
	EM_SEG_TR,
	EM_SEG_LDTR,
	EM_SEG_COUNT,
};

/* Bits of em_segment.ar: the format of the VMCS's access-rights fields. */
#define EM_AR_TYPE		0x000fu
#define EM_AR_ACCESSED		0x0001u
#define EM_AR_WRITABLE		0x0002u	/* data: writable; code: readable; TSS: busy */
#define EM_AR_EXPAND_DOWN	0x0004u	/* data: expand-down; code: conforming */
#define EM_AR_CODE		0x0008u
#define EM_AR_S			0x0010u	/* 1: code or data, 0: system */
#define EM_AR_DPL_SHIFT		5
#define EM_AR_DPL		0x0060u
#define EM_AR_P			0x0080u
#define EM_AR_AVL		0x1000u
#define EM_AR_L			0x2000u
#define EM_AR_DB		0x4000u
#define EM_AR_G			0x8000u
#define EM_AR_UNUSABLE		0x10000u

/**
 * struct em_segment - a segment register with its hidden part
 * @base: linear base address
 * @limit: last valid offset in bytes, granularity already applied
 * @ar: access rights, EM_AR_* (the VMCS's format, with the unusable bit)
 * @selector: visible part
 */
struct em_segment {
	u64 base;
	u32 limit;
	u32 ar;
	u16 selector;
};

/**
 * enum em_cb - what a callback answers
 * @EM_CB_OK: done
 * @EM_CB_FAULT: the access faults; em_ctx.ex has been filled in, see em_raise()
 * @EM_CB_PENDING: user space must complete it; the instruction will be started again
 *	from its beginning and the callback will then answer from what was recorded
 * @EM_CB_FAIL: it can never be completed; em_run() returns EM_FAILED
 * @EM_CB_SPLIT: only in answer to EM_ACC_BATCH: part of it is MMIO, ask for single elements
 */
enum em_cb {
	EM_CB_OK,
	EM_CB_FAULT,
	EM_CB_PENDING,
	EM_CB_FAIL,
	EM_CB_SPLIT,
};

/**
 * enum em_result - what became of an instruction or of a task switch
 * @EM_DONE: executed; gpr, rip and rflags are up to date, write them back
 * @EM_EXCEPTION: em_ctx.ex is to be delivered; gpr, rip and rflags hold exactly what the
 *	architecture commits before the fault (completed REP iterations, a trap's RIP)
 * @EM_IO_PENDING: a callback was pending; as for EM_EXCEPTION, write back gpr and rflags (REP
 *	iterations that are complete stay complete), then run the instruction again later
 * @EM_FAILED: a callback failed with EM_CB_FAIL; the state is as before the instruction
 * @EM_UNHANDLED: the emulator does not know this instruction; its bytes are in
 *	em_ctx.insn[0..fetched)
 * @EM_RESTART: a REP instruction stopped after a bounded number of iterations; write back
 *	gpr and rflags, look at interrupts, run it again (RIP has not moved)
 * @EM_HALT: HLT executed, RIP is past it
 */
enum em_result {
	EM_DONE,
	EM_EXCEPTION,
	EM_IO_PENDING,
	EM_FAILED,
	EM_UNHANDLED,
	EM_RESTART,
	EM_HALT,
};

/* Exception vectors the emulator raises. */
#define EM_EXC_DE	0
#define EM_EXC_DB	1
#define EM_EXC_BP	3
#define EM_EXC_OF	4
#define EM_EXC_BR	5
#define EM_EXC_UD	6
#define EM_EXC_NM	7
#define EM_EXC_TS	10
#define EM_EXC_NP	11
#define EM_EXC_SS	12
#define EM_EXC_GP	13
#define EM_EXC_PF	14
#define EM_EXC_AC	17

/**
 * struct em_exception - an exception to deliver
 * @vector: exception vector
 * @has_error: an error code is pushed
 * @error_code: that error code
 * @address: CR2 for #PF, DR6 bits to set for #DB, else 0
 * @soft: raised by INT n, INT3 or INTO: deliver as a software interrupt or exception; @vector
 *	is then any vector and RIP already points behind the instruction
 */
struct em_exception {
	u8 vector;
	bool has_error;
	bool soft;
	u32 error_code;
	u64 address;
};

/* Access flags given to read, write and probe_write. */
#define EM_ACC_RMW	0x01u	/* the read of a read-modify-write: a fault reports a write */
#define EM_ACC_LOCK	0x02u	/* part of a LOCKed instruction */
#define EM_ACC_SYSTEM	0x04u	/* implicit supervisor access: GDT, LDT, IDT, TSS */
#define EM_ACC_STACK	0x08u	/* push, pop and friends */
#define EM_ACC_STRING	0x10u	/* operand of a string instruction */
#define EM_ACC_WRITE	0x20u	/* always set in write and probe_write */
#define EM_ACC_BATCH	0x40u	/* several elements of REP INS or OUTS, all in one page */

/* Indices for get_cr and set_cr that mean XCR0, and for get_cr alone IA32_EFER. */
#define EM_CR_XCR0	16u
#define EM_CR_EFER	17u

/**
 * struct em_ops - how the emulator reaches state and memory
 *
 * Every callback gets linear addresses that have passed the segment and canonical checks;
 * paging, splitting at page boundaries and MMIO are the callback's. Callbacks may sleep when the
 * caller of em_run() may. Pointers marked optional may be NULL.
 */
struct em_ops {
	/** @fetch: read @n instruction bytes; never crosses a 4K boundary, at most 15 */
	enum em_cb (*fetch)(struct em_ctx *ctx, u64 la, void *buf, unsigned int n);
	/** @read: read @n bytes (1 to 1024) of data; EM_ACC_* in @acc */
	enum em_cb (*read)(struct em_ctx *ctx, u64 la, void *buf, unsigned int n,
			   unsigned int acc);
	/** @write: write @n bytes (1 to 1024) of data; all or nothing when it faults */
	enum em_cb (*write)(struct em_ctx *ctx, u64 la, const void *buf, unsigned int n,
			    unsigned int acc);
	/**
	 * @probe_write: optional; fault as a write of @n bytes would, without writing. MMIO never
	 * is pending here: answer EM_CB_OK, or EM_CB_SPLIT to EM_ACC_BATCH.
	 */
	enum em_cb (*probe_write)(struct em_ctx *ctx, u64 la, unsigned int n, unsigned int acc);
	/**
	 * @cmpxchg: compare @n bytes (1, 2, 4, 8 or 16) with @old and write @new when equal,
	 * atomically; put what memory held into @old either way (so @old stays the same when the
	 * exchange took place). Where nothing atomic exists (MMIO) write @new and leave @old.
	 */
	enum em_cb (*cmpxchg)(struct em_ctx *ctx, u64 la, void *old, const void *new,
			      unsigned int n);
	/** @iter_done: optional; an iteration of REP is complete, forget what was recorded */
	void (*iter_done)(struct em_ctx *ctx);

	/** @get_segment: never called for CS, DS, ES, SS bases in 64-bit mode */
	enum em_cb (*get_segment)(struct em_ctx *ctx, enum em_seg seg, struct em_segment *s);
	/** @set_segment: load selector and hidden part; the checks have been done */
	enum em_cb (*set_segment)(struct em_ctx *ctx, enum em_seg seg,
				  const struct em_segment *s);
	/** @get_cr: CR0, CR2, CR3, CR4, CR8, EM_CR_XCR0 or EM_CR_EFER as the guest sees it */
	enum em_cb (*get_cr)(struct em_ctx *ctx, unsigned int nr, u64 *val);
	/** @set_cr: checks the value, #GP(0) when it is not allowed; may change ctx->mode */
	enum em_cb (*set_cr)(struct em_ctx *ctx, unsigned int nr, u64 val);
	/** @get_dr: DR0-3, DR6, DR7 (4 and 5 have been resolved) */
	enum em_cb (*get_dr)(struct em_ctx *ctx, unsigned int nr, u64 *val);
	/** @set_dr: checks the value, #GP(0) when it is not allowed */
	enum em_cb (*set_dr)(struct em_ctx *ctx, unsigned int nr, u64 val);
	/** @get_gdt: base and limit of the GDT */
	enum em_cb (*get_gdt)(struct em_ctx *ctx, u64 *base, u32 *limit);
	/** @get_idt: base and limit of the IDT */
	enum em_cb (*get_idt)(struct em_ctx *ctx, u64 *base, u32 *limit);
	/** @set_gdt: load GDTR; the base is canonical */
	enum em_cb (*set_gdt)(struct em_ctx *ctx, u64 base, u32 limit);
	/** @set_idt: load IDTR; the base is canonical */
	enum em_cb (*set_idt)(struct em_ctx *ctx, u64 base, u32 limit);
	/** @get_msr: RDMSR: #GP(0) for what does not exist */
	enum em_cb (*get_msr)(struct em_ctx *ctx, u32 msr, u64 *val);
	/** @set_msr: WRMSR: #GP(0) for what does not exist or is not allowed */
	enum em_cb (*set_msr)(struct em_ctx *ctx, u32 msr, u64 val);

	/** @port_in: read @count times @size (1, 2, 4) bytes from @port, at most 1024 bytes */
	enum em_cb (*port_in)(struct em_ctx *ctx, u16 port, unsigned int size, void *buf,
			      unsigned int count);
	/** @port_out: write @count times @size bytes to @port, at most 1024 bytes */
	enum em_cb (*port_out)(struct em_ctx *ctx, u16 port, unsigned int size, const void *buf,
			       unsigned int count);

	/** @fpu_get: make the guest's vector registers accessible; nothing sleeps until fpu_put */
	enum em_cb (*fpu_get)(struct em_ctx *ctx);
	/** @fpu_put: the end of what fpu_get began */
	void (*fpu_put)(struct em_ctx *ctx);
	/** @read_vec: low @size bytes (16 or 32) of vector register @index (0 to 15) */
	void (*read_vec)(struct em_ctx *ctx, unsigned int index, void *buf, unsigned int size);
	/** @write_vec: low @size bytes (16 or 32); 32 also zeroes everything above (VEX) */
	void (*write_vec)(struct em_ctx *ctx, unsigned int index, const void *buf,
			  unsigned int size);
	/** @read_mmx: optional; MM register @index (0 to 7) */
	void (*read_mmx)(struct em_ctx *ctx, unsigned int index, u64 *val);
	/** @write_mmx: optional; also does what every MMX instruction does to the x87 state */
	void (*write_mmx)(struct em_ctx *ctx, unsigned int index, u64 val);

	/** @misc: optional; instructions that only the hypervisor can do, see enum em_misc */
	enum em_cb (*misc)(struct em_ctx *ctx, unsigned int what, u64 arg);
};

/* What em_ops.misc is asked to do; without it these are EM_UNHANDLED. */
enum em_misc {
	EM_MISC_INVLPG,		/* arg: linear address */
	EM_MISC_WBINVD,		/* also INVD */
	EM_MISC_CPUID,		/* works on gpr[] itself */
	EM_MISC_RDTSC,		/* works on gpr[] itself */
	EM_MISC_RDPMC,		/* works on gpr[] itself */
};

/* Bits of em_ctx.features: what the guest's CPUID offers. */
#define EM_FEAT_MOVBE		0x0001u
#define EM_FEAT_POPCNT		0x0002u
#define EM_FEAT_LZCNT		0x0004u
#define EM_FEAT_BMI1		0x0008u	/* TZCNT */
#define EM_FEAT_CX16		0x0010u
#define EM_FEAT_MMX		0x0020u
#define EM_FEAT_SSE		0x0040u
#define EM_FEAT_SSE2		0x0080u
#define EM_FEAT_SSE3		0x0100u
#define EM_FEAT_SSE41		0x0200u
#define EM_FEAT_AVX		0x0400u
#define EM_FEAT_AVX2		0x0800u
#define EM_FEAT_ALL		0x0fffu
/* No matter of CPUID: user code reaches VMware's ports and counters. */
#define EM_FEAT_VMWARE		0x1000u

/* Values of em_ctx.shadow: interrupt shadow that the instruction leaves behind. */
#define EM_SHADOW_NONE		0
#define EM_SHADOW_STI		1
#define EM_SHADOW_MOV_SS	2

#define EM_INSN_MAX		15
#define EM_BUF_SIZE		1024

/**
 * struct em_insn - a decoded instruction, private to the emulator
 * @op: table entry that describes and executes it
 * @flags: what the tables say about it
 * @imm: first immediate, sign-extended where the instruction says so
 * @ea: effective address, truncated to the address size
 * @next_rip: RIP of the following instruction
 * @imm2: second immediate: ENTER's level, a far pointer's selector
 * @pos: bytes consumed so far
 * @opcode: last opcode byte
 * @size: operand size in bytes
 * @adsize: address size in bytes
 * @modrm: ModRM byte
 * @mod: its first part; 3 also without a ModRM byte
 * @reg: its second part, extended by REX or VEX
 * @rm: its third part, extended as well
 * @seg: segment of @ea
 * @seg_override: enum em_seg, or EM_SEG_COUNT without a prefix
 * @rex: REX prefix, 0 without; VEX's bits are folded in
 * @rep: 0, 0xf2 or 0xf3
 * @lock: LOCK prefix
 * @vex: VEX prefix
 * @opsize_prefix: operand-size prefix 66
 * @base_rsp: @ea contains RSP, which POP has to know
 * @vex_pp: VEX field, valid with @vex as the following ones
 * @vex_v: VEX.vvvv, not inverted any more
 * @vex_l: VEX.L
 * @vex_map: VEX.mmmmm
 */
struct em_insn {
	const struct em_opcode *op;
	u32 flags;
	u64 imm;
	u64 ea;
	u64 next_rip;
	/* These eight are initialised together. */
	u8 pos;
	u8 rex;
	u8 rep;
	u8 mod;
	bool lock;
	bool vex;
	bool opsize_prefix;
	bool base_rsp;
	u8 seg_override;
	u8 adsize;
	u8 opcode;
	u8 size;
	u8 modrm;
	u8 reg;
	u8 rm;
	u8 seg;
	u16 imm2;
	u8 vex_pp;
	u8 vex_v;
	u8 vex_l;
	u8 vex_map;
};

/**
 * struct em_ctx - one virtual CPU as the emulator sees it
 * @gpr: caller; the 16 general registers in encoding order (enum em_reg)
 * @rip: caller; RIP of the instruction, offset in CS
 * @rflags: caller; RFLAGS
 * @ops: caller, once; the callbacks
 * @features: caller, once (or when CPUID changes); EM_FEAT_*
 * @mode: caller; enum em_mode
 * @cpl: caller; 0 to 3 (0 in real mode, 3 in virtual-8086 mode)
 * @fetched: caller; how many bytes of @insn are valid already, 0 when none
 * @insn: caller, when fetched != 0; instruction bytes
 * @insn_len: result; length of the instruction, valid when em_decode() says EM_DONE
 * @shadow: result with EM_DONE; EM_SHADOW_*
 * @ex: result with EM_EXCEPTION
 *
 * The rest is private. Nothing needs to be zeroed, neither once nor per instruction. Not
 * locked: whoever runs the vCPU owns it. With RFLAGS.TF set the caller raises #DB after EM_DONE
 * (and after EM_RESTART); the caller clears RFLAGS.RF and old interrupt shadows.
 */
struct em_ctx {
	unsigned long *gpr;
	u64 rip;
	u64 rflags;
	const struct em_ops *ops;
	u32 features;
	u8 mode;
	u8 cpl;
	u8 fetched;
	u8 insn_len;
	u8 shadow;
	u8 insn[16];
	struct em_exception ex;

	/* private: */
	struct em_insn d;
	u8 seg_valid;
	bool cr0_valid;
	u64 cr0;
	struct em_segment seg[EM_SEG_COUNT];
	u64 buf[EM_BUF_SIZE / 8];
};

/**
 * em_decode() - decode the instruction at ctx->rip
 * @ctx: context with the caller's fields filled in
 *
 * Calls only ops->fetch, and get_segment for CS, and both only when ctx->insn does not hold the
 * whole instruction yet.
 *
 * Return: EM_DONE, EM_EXCEPTION (#UD, #GP(0) for length and limits, #PF of the fetch),
 * EM_UNHANDLED, EM_IO_PENDING or EM_FAILED.
 */
enum em_result em_decode(struct em_ctx *ctx);

/**
 * em_execute() - execute what em_decode() decoded
 * @ctx: context after em_decode() returned EM_DONE
 *
 * May be called again after EM_RESTART and EM_IO_PENDING, without decoding anew, as long as
 * gpr, rip, mode and cpl are what em_execute() left; segments and CR0 are asked for again. After
 * the EM_IO_PENDING of IN gpr may be another.
 *
 * Return: any enum em_result.
 */
enum em_result em_execute(struct em_ctx *ctx);

/**
 * em_run() - decode and execute one instruction
 * @ctx: context with the caller's fields filled in
 *
 * Return: any enum em_result.
 */
enum em_result em_run(struct em_ctx *ctx);

/**
 * em_is_backdoor() - may the decoded instruction be one that EM_FEAT_VMWARE opens to user code?
 * @ctx: context after em_decode() returned EM_DONE
 *
 * Return: whether it is IN, OUT, INS, OUTS or RDPMC; its port or counter is not looked at.
 */
bool em_is_backdoor(const struct em_ctx *ctx);

/**
 * em_raise() - note an exception; for callbacks and for the emulator itself
 * @ctx: context
 * @vector: exception vector
 * @has_error: whether an error code is pushed
 * @error_code: that error code
 *
 * Return: EM_CB_FAULT, so that a callback can end with "return em_raise(...)".
 */
enum em_cb em_raise(struct em_ctx *ctx, u8 vector, bool has_error, u32 error_code);

/**
 * em_raise_pf() - note a page fault
 * @ctx: context
 * @error_code: #PF error code
 * @address: linear address for CR2
 *
 * Return: EM_CB_FAULT.
 */
enum em_cb em_raise_pf(struct em_ctx *ctx, u32 error_code, u64 address);

/**
 * enum em_task_reason - what asked for a task switch, as in the VMX exit qualification
 * @EM_TASK_CALL: CALL
 * @EM_TASK_IRET: IRET with RFLAGS.NT
 * @EM_TASK_JMP: JMP
 * @EM_TASK_GATE: task gate in the IDT
 */
enum em_task_reason {
	EM_TASK_CALL,
	EM_TASK_IRET,
	EM_TASK_JMP,
	EM_TASK_GATE,
};

/**
 * em_task_switch() - perform a hardware task switch
 * @ctx: context; gpr, rip, rflags, mode, cpl and ops filled in. @ctx->rip is what goes into the
 *	old TSS: behind the instruction for CALL, JMP, IRET and INT n, else the interrupted RIP
 * @tss_selector: selector of the new task's TSS
 * @idt_index: vector of a software interrupt (INT n, INT3, INTO) that came through a task gate,
 *	whose DPL is then checked; else -1
 * @reason: what asked for it
 * @has_error: push @error_code on the new task's stack (exceptions with an error code)
 * @error_code: that error code
 *
 * Uses read, write, get_segment, set_segment, get_cr, set_cr (CR0.TS, CR3), get_dr, set_dr
 * (DR7), get_gdt and get_idt. After EM_DONE and EM_EXCEPTION alike the caller writes back gpr,
 * rip and rflags, mode and cpl: past the point of no return faults belong to the new task
 * ("Task Switching", the list of exception conditions), and @ctx then describes that one.
 *
 * Return: EM_DONE, EM_EXCEPTION or EM_FAILED (memory that cannot hold a TSS).
 */
enum em_result em_task_switch(struct em_ctx *ctx, u16 tss_selector, int idt_index,
			      enum em_task_reason reason, bool has_error, u32 error_code);

/**
 * em_real_interrupt() - deliver an interrupt or exception through the real-mode vector table
 * @ctx: context in EM_MODE_REAL; ctx->rip is what is pushed
 * @vector: vector
 *
 * Return: EM_DONE with gpr, rip and rflags changed and CS set, or as em_execute().
 */
enum em_result em_real_interrupt(struct em_ctx *ctx, u8 vector);

#endif
