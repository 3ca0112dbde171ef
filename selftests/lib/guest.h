/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Defines the guest's memory map and how a test writes a piece of guest code.
 * Must not call into the library: the constants are used by assembler sources as well.
 */
#ifndef SELFTESTS_LIB_GUEST_H
#define SELFTESTS_LIB_GUEST_H

/* Guest physical = linear addresses; all that real mode needs lies below 64 KiB. */
#define GUEST_IVT	0x0000
#define GUEST_GDT	0x1000
#define GUEST_IDT	0x2000
#define GUEST_TSS	0x3000
#define GUEST_STUBS	0x4000
#define GUEST_OPS	0x5800
#define GUEST_STACK	0x7000
#define GUEST_CODE	0x8000
#define GUEST_DATA	0xc000
#define GUEST_PML4	0x10000
#define GUEST_PDPT	0x11000
#define GUEST_PD	0x12000
#define GUEST_PT	0x16000
#define GUEST_PD32	0x17000
#define GUEST_PT32	0x18000
#define GUEST_PDPT_PAE	0x19000
#define GUEST_FREE	0x20000
#define GUEST_LOW_END	0xa0000
#define GUEST_HIGH	0x100000
#define GUEST_SIZE	0x400000

/* No slot of the default layout covers these two. */
#define GUEST_MMIO_LOW	0xa0000
#define GUEST_MMIO	0xd0000000

#define GUEST_IOAPIC	0xfec00000
#define GUEST_LAPIC	0xfee00000

/* Selectors of the default GDT. */
#define SEL_CODE64	0x08
#define SEL_DATA	0x10
#define SEL_CODE32	0x18
#define SEL_CODE16	0x20
#define SEL_DATA16	0x28
#define SEL_UCODE32	0x33
#define SEL_UDATA	0x3b
#define SEL_UCODE64	0x43
#define SEL_TSS		0x48
#define SEL_TSS2	0x58
#define SEL_FREE	0x60

/* A default exception handler reports by an OUT to this port. */
#define PORT_FAULT	0xee
/* Free for the tests: nothing in the kernel answers here. */
#define PORT_TEST	0xe0
#define PORT_TEST2	0x1230

#define STUB_SIZE	16

#ifndef __ASSEMBLER__

#include <linux/types.h>

typedef __u64 u64;
typedef __u32 u32;
typedef __u16 u16;
typedef __u8 u8;

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#endif
#define BIT(nr) (1UL << (nr))

#define GUEST_STR_(x) #x
#define GUEST_STR(x) GUEST_STR_(x)

/**
 * struct guest_code - a piece of guest code inside the test binary
 * @start: its first byte
 * @end: the byte after its last
 */
struct guest_code {
	const u8 *start;
	const u8 *end;
};

/**
 * PROGRAM() - define position-dependent guest code that is loaded at GUEST_CODE
 * @name: the C identifier of the struct guest_code
 * @bits: 16, 32 or 64, the code size the assembler starts with
 * @body: assembler text; AT(name, label) in it is the guest address of a local label
 *
 * The text lies in read-only data, so the host never executes it.
 */
#define PROGRAM(name, bits, body) \
	asm(".pushsection .rodata.guest, \"a\", @progbits\n" \
	    ".code" #bits "\n" \
	    "guest_" #name "_start:\n" \
	    body "\n" \
	    "guest_" #name "_end:\n" \
	    ".code64\n" \
	    ".popsection\n"); \
	extern const u8 guest_##name##_start[], guest_##name##_end[]; \
	static const struct guest_code name = { guest_##name##_start, guest_##name##_end }

/* The guest address of @label in the PROGRAM() that is being defined as @name. */
#define AT(name, label) \
	"(" #label " - guest_" #name "_start + " GUEST_STR(GUEST_CODE) ")"

#endif
#endif
