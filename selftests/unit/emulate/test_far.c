// SPDX-License-Identifier: GPL-2.0-only
/*
 * Far returns that change the privilege level, and returns to virtual-8086 mode.
 * It must not need the processor: user code starts at the outermost level.
 */
#include "harness.h"

#define AT	0x7c00u
#define STACK	0x4000u
#define OUTER	0x6000u

#define SEL_CODE3	0x1b
#define SEL_DATA3	0x23
#define SEL_CODE3_64	0x2b

static struct guest g;

static void put(u32 at, u64 v, unsigned int n)
{
	memcpy(guest_low + at, &v, n);
}

/* CPL 0, flat, with DS and FS of DPL 0, ES conforming, GS of DPL 3. */
static void begin(enum em_mode mode)
{
	struct state st = { .rflags = 0x202, .rip = AT };
	unsigned int i;

	guest_begin(&g, &st, mode, GUEST_LOW);
	memset(guest_low, 0, sizeof(guest_low));
	for (i = 0; i < 6; i++)
		g.seg[i] = (struct em_segment){ .selector = 0x10, .limit = ~0u, .ar = 0xc093 };
	g.seg[EM_SEG_CS].ar = mode == EM_MODE_PROT64 ? 0xa09b : 0xc09b;
	g.seg[EM_SEG_CS].selector = 8;
	g.seg[EM_SEG_ES].ar = 0xc09f;
	g.seg[EM_SEG_GS].ar = 0xc0f3;
	g.gdt_base = 0x1000;
	g.gdt_limit = 0x2f;
	g.efer = mode == EM_MODE_PROT64 ? 0xd01 : 0;
	g.ctx.cpl = 0;
	g.st.gpr[EM_RSP] = STACK;
	put(0x1008, 0x00cf9a000000ffff, 8);
	put(0x1010, 0x00cf92000000ffff, 8);
	put(0x1018, 0x00cffa000000ffff, 8);
	put(0x1020, 0x00cff2000000ffff, 8);
	put(0x1028, 0x00affa000000ffff, 8);
}

static enum em_result run(const u8 *bytes, unsigned int n)
{
	memcpy(guest_low + g.ctx.rip, bytes, n);
	g.ctx.fetched = 0;
	return em_run(&g.ctx);
}

#define RUN(...) run((const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))

/* CPL 3 with the outer stack; DS and FS are gone, ES and GS are not. */
static bool is_outer(u16 code, u64 rsp, u64 rip)
{
	return g.ctx.cpl == 3 && g.ctx.rip == rip && g.seg[EM_SEG_CS].selector == code &&
	       g.seg[EM_SEG_SS].selector == SEL_DATA3 && g.st.gpr[EM_RSP] == rsp &&
	       (g.seg[EM_SEG_DS].ar & EM_AR_UNUSABLE) && !g.seg[EM_SEG_DS].selector &&
	       (g.seg[EM_SEG_FS].ar & EM_AR_UNUSABLE) && !(g.seg[EM_SEG_ES].ar & EM_AR_UNUSABLE) &&
	       !(g.seg[EM_SEG_GS].ar & EM_AR_UNUSABLE);
}

static void frame32(u32 a, u32 b, u32 c, u32 d, u32 e)
{
	const u32 frame[] = { a, b, c, d, e };

	memcpy(guest_low + STACK, frame, sizeof(frame));
}

static void test_retf(void)
{
	begin(EM_MODE_PROT32);
	frame32(0x1234, SEL_CODE3, OUTER, SEL_DATA3, 0);
	ktap_result(RUN(0xcb) == EM_DONE && is_outer(SEL_CODE3, OUTER, 0x1234),
		    "far return: to CPL 3");
	begin(EM_MODE_PROT32);
	frame32(0x1234, SEL_CODE3, 0, 0, OUTER);
	put(STACK + 20, SEL_DATA3, 4);
	ktap_result(RUN(0xca, 8, 0) == EM_DONE && is_outer(SEL_CODE3, OUTER + 8, 0x1234),
		    "far return: drops parameters from both stacks");
	begin(EM_MODE_PROT32);
	frame32(0x1234, SEL_CODE3, OUTER, 0, 0);
	ktap_result(RUN(0xcb) == EM_EXCEPTION && g.ctx.ex.vector == EM_EXC_GP &&
		    !g.ctx.ex.error_code && g.ctx.cpl == 0 && g.st.gpr[EM_RSP] == STACK,
		    "far return: a null outer SS");
	begin(EM_MODE_PROT32);
	frame32(0x1234, SEL_CODE3, OUTER, 0x10, 0);
	ktap_result(RUN(0xcb) == EM_EXCEPTION && g.ctx.ex.vector == EM_EXC_GP &&
		    g.ctx.ex.error_code == 0x10 && g.ctx.cpl == 0,
		    "far return: an outer SS of the inner level");
	begin(EM_MODE_PROT32);
	g.ctx.cpl = 3;
	frame32(0x1234, 8, 0, 0, 0);
	ktap_result(RUN(0xcb) == EM_EXCEPTION && g.ctx.ex.vector == EM_EXC_GP &&
		    g.ctx.ex.error_code == 8, "far return: never inwards");
}

static void test_iret(void)
{
	begin(EM_MODE_PROT32);
	frame32(0x1234, SEL_CODE3, 0x3202, OUTER, SEL_DATA3);
	ktap_result(RUN(0xcf) == EM_DONE && is_outer(SEL_CODE3, OUTER, 0x1234) &&
		    g.ctx.rflags == 0x3202, "IRET: to CPL 3");
	begin(EM_MODE_PROT64);
	put(STACK, 0x1234, 8);
	put(STACK + 8, SEL_CODE3_64, 8);
	put(STACK + 16, 0x202, 8);
	put(STACK + 24, 0x7fff00000000, 8);
	put(STACK + 32, SEL_DATA3, 8);
	ktap_result(RUN(0x48, 0xcf) == EM_DONE && is_outer(SEL_CODE3_64, 0x7fff00000000, 0x1234) &&
		    g.ctx.mode == EM_MODE_PROT64, "IRET: 64-bit to CPL 3");
	begin(EM_MODE_PROT64);
	put(STACK, 0x1234, 8);
	put(STACK + 8, SEL_CODE3, 8);
	put(STACK + 16, 0x202, 8);
	put(STACK + 24, OUTER, 8);
	put(STACK + 32, SEL_DATA3, 8);
	ktap_result(RUN(0x48, 0xcf) == EM_DONE && is_outer(SEL_CODE3, OUTER, 0x1234) &&
		    g.ctx.mode == EM_MODE_PROT32, "IRET: 64-bit to compatibility mode");
	begin(EM_MODE_PROT64);
	g.ctx.rflags |= 0x4000;
	ktap_result(RUN(0x48, 0xcf) == EM_EXCEPTION && g.ctx.ex.vector == EM_EXC_GP,
		    "IRET: NT in 64-bit mode");
}

static void test_iret_vm86(void)
{
	static const u32 frame[] = {
		0x1234, 0x2000, 0x23202, 0x5678, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000,
	};

	begin(EM_MODE_PROT32);
	memcpy(guest_low + STACK, frame, sizeof(frame));
	ktap_result(RUN(0xcf) == EM_DONE && g.ctx.mode == EM_MODE_VM86 && g.ctx.cpl == 3 &&
		    g.ctx.rip == 0x1234 && g.ctx.rflags == 0x23202 &&
		    g.st.gpr[EM_RSP] == 0x5678 && g.seg[EM_SEG_CS].base == 0x20000 &&
		    g.seg[EM_SEG_SS].base == 0x30000 && g.seg[EM_SEG_ES].base == 0x40000 &&
		    g.seg[EM_SEG_DS].base == 0x50000 && g.seg[EM_SEG_GS].base == 0x70000 &&
		    g.seg[EM_SEG_DS].ar == 0xf3, "IRET: to virtual-8086 mode");
}

/* From real mode into protected mode and on to 32-bit code, as every boot loader does. */
static void test_mode_switch(void)
{
	static const u8 far_jump[] = { 0x66, 0xea, 0x00, 0x80, 0, 0, 0x08, 0 };

	begin(EM_MODE_PROT16);
	g.seg[EM_SEG_CS] = (struct em_segment){ .limit = 0xffff, .ar = 0x93 };
	ktap_result(run(far_jump, sizeof(far_jump)) == EM_DONE && g.ctx.mode == EM_MODE_PROT32 &&
		    g.ctx.rip == 0x8000 && g.seg[EM_SEG_CS].ar == 0xc09b,
		    "far jump: from what real mode left to 32-bit code");
}

void test_far(void)
{
	test_retf();
	test_iret();
	test_iret_vm86();
	test_mode_switch();
}
