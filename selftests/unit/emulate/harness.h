/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the emulator's unit tests share: machine state, the two ways to run it, random cases.
 * It must not know single tests.
 */
#ifndef UNIT_EMULATE_HARNESS_H
#define UNIT_EMULATE_HARNESS_H

#include <emulate.h>
#include "ktap.h"

/*
 * Both the processor and the emulator run on the same memory of this process, below 2 GiB so
 * that every mode reaches it. Behind the code comes a page that cannot be fetched from; the
 * data has, in this order, a hole, two writable pages, a read-only one and a hole.
 */
#define CODE_BASE	0x10000000ul
#define CODE_PAGES	2
#define DATA_BASE	0x20000000ul
#define DATA_RW		(DATA_BASE + 0x1000)
#define DATA_RW_SIZE	0x2000
#define DATA_RO		(DATA_BASE + 0x3000)
#define DATA_END	(DATA_BASE + 0x4000)
#define DATA_LIMIT	(DATA_BASE + 0x5000)

/* Where the emulator finds copies of the tables that the kernel gave this process. */
#define GDT_BASE	0x7f000000ul
#define GDT_SIZE	0x80u
#define LDT_BASE	0x7f010000ul

#define SEL_USER32_CS	0x23
#define SEL_USER_DS	0x2b
#define SEL_USER64_CS	0x33

#define FL_ARITH	0x8d5u
#define FL_TF		0x100u
#define FL_DF		0x400u
#define FL_AC		0x40000u

/**
 * struct state - what an instruction works on, apart from memory
 * @sel: selectors, indexed by enum em_seg
 * @vector: exception that ended it, -1 when there was none
 */
struct state {
	unsigned long gpr[16];
	u64 rip;
	u64 rflags;
	u16 sel[6];
	u64 ymm[16][4];
	u64 mm[8];
	int vector;
	u32 error;
	u64 cr2;
};

/* How to run: one step of the trap flag, or on to a breakpoint behind the instruction. */
enum run_how {
	RUN_STEP,
	RUN_TO_BREAKPOINT,
};

/* native.c */
bool native_init(void);
void native_run(const struct state *in, struct state *out, bool vectors);
extern bool native_has_avx;
extern bool native_is_amd;

/* guest.c */
/* Ways to make the callbacks difficult. */
#define GUEST_PENDING	1u	/* every access is pending once, then replayed */
#define GUEST_PREFETCH	2u	/* the caller has fetched the instruction already */
#define GUEST_LOW	4u	/* only the first MiB and a bit is there: real mode, tables */
#define LOW_SIZE	0x110000u

/**
 * struct guest - the machine behind the emulator's callbacks
 * @ctx: context under test; first, so that callbacks find the rest
 */
struct guest {
	struct em_ctx ctx;
	struct state st;
	struct em_segment seg[EM_SEG_COUNT];
	u64 cr[16];
	u64 dr[8];
	u64 xcr0;
	u64 efer;
	u64 gdt_base;
	u32 gdt_limit;
	u64 idt_base;
	u32 idt_limit;
	unsigned int flags;
	u64 absent;		/* with GUEST_LOW: a page that is not present, 0 for none */
	u64 read_only;		/* and one that cannot be written */
	unsigned int port_ins;	/* calls of port_in, and elements of the last one */
	unsigned int port_count;
	unsigned int steal;	/* so many cmpxchg find memory changed */
	unsigned int next_record;
	unsigned int records;
	struct {
		u64 la;
		unsigned int n;
		u8 data[64];
		bool done;
	} record[64];
	bool outside;		/* an access was neither in the arena nor in its holes */
	bool loaded_fs;
	unsigned int callbacks;
	unsigned int pendings;
};

extern const struct em_ops guest_ops;
extern u8 guest_low[LOW_SIZE];
extern u64 guest_ldt[];
void guest_tables_init(void);
void guest_begin(struct guest *g, const struct state *in, enum em_mode mode, unsigned int flags);
enum em_result guest_run(struct guest *g, const struct state *in, enum em_mode mode,
			 unsigned int flags, struct state *out);
const char *result_name(enum em_result r);

/* memory.c */
bool memory_init(void);
void memory_randomize(void);
void memory_save(u8 *copy);
void memory_restore(const u8 *copy);
u64 place_code(const u8 *bytes, unsigned int n, enum run_how how);

/* random.c */
void seed(u64 s);
u64 rnd(void);
unsigned int rnd_below(unsigned int n);
bool one_in(unsigned int n);
u64 rnd_value(void);
u64 rnd_target(unsigned int align);

/* compare.c */
/**
 * struct tolerance - what may differ
 * @flags: undefined flags
 * @gprs: bit mask of registers whose content is undefined
 * @vectors: compare vector registers
 * @any_fault: where two faults compete, processors choose differently
 * @partial: after a fault processors have changed registers or not
 * @too_long: of undefined bytes the processor may find first that there are more than 15
 * @low32: vendors keep or clear upper halves; the emulator does as the vendor it was tried on
 * @push_seg: a 32-bit push of a segment register writes two or four bytes
 */
struct tolerance {
	u64 flags;
	unsigned int gprs;
	bool vectors;
	bool any_fault;
	bool partial;
	bool push_seg;
	bool too_long;
	bool low32;
};

bool compare_run(const struct state *in, const u8 *bytes, unsigned int n, enum em_mode mode,
		 const struct tolerance *t);
void describe(const u8 *bytes, unsigned int n, const struct state *in);

/* legacy.c */
bool legacy_init(void);
void legacy_segments(struct state *st, enum em_mode mode);
extern const char *legacy_reason;
enum {
	LDT_CODE16,
	LDT_DATA16,
	LDT_DATA32,
	LDT_RO,
	LDT_DOWN16,
	LDT_DOWN32,
	LDT_XONLY,
	LDT_CODE32,
	LDT_ABSENT,
	LDT_FLAT,
	LDT_CONFORMING,
	LDT_TINY,
	LDT_COUNT,
};

#define LDT_SEL(i) ((i) << 3 | 7)

/* The tests, one topic each. */
void test_long_mode(void);
void test_vector(void);
void test_strings(void);
void test_legacy(void);
void test_segments(void);
void test_fuzz(void);
void test_restart(void);
void test_real_mode(void);
void test_task(void);
void test_system(void);
void test_far(void);
void test_cost(void);

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
