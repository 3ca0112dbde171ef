// SPDX-License-Identifier: GPL-2.0-only
/*
 * System instructions at CPL 0, interrupt shadows, LOCK against other processors, REP's bounds,
 * batches of string I/O, addresses that wrap; against what the manuals say.
 * It must not need the processor: user code cannot do any of it.
 */
#include "harness.h"

#define AT 0x7c00u

static struct guest g;

static void begin(enum em_mode mode)
{
	struct state st = { .rflags = 2, .rip = AT };
	unsigned int i;

	guest_begin(&g, &st, mode, GUEST_LOW);
	memset(guest_low, 0, sizeof(guest_low));
	for (i = 0; i < 6; i++)
		g.seg[i] = (struct em_segment){ .limit = ~0u, .ar = 0xc093 };
	g.seg[EM_SEG_CS].ar = mode == EM_MODE_PROT64 ? 0xa09b : 0xc09b;
	if (mode != EM_MODE_PROT64)
		g.efer = 0;
	g.gdt_base = 0x1000;
	g.gdt_limit = 0xff;
	g.ctx.cpl = 0;
	g.st.gpr[EM_RBX] = 0x2000;
	g.st.gpr[EM_RSP] = 0x4000;
}

static enum em_result run(const u8 *bytes, unsigned int n)
{
	memcpy(guest_low + g.ctx.rip, bytes, n);
	g.ctx.fetched = 0;
	return em_run(&g.ctx);
}

#define RUN(...) run((const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))

static bool fault(enum em_result r, u8 vector, u32 error)
{
	return r == EM_EXCEPTION && g.ctx.ex.vector == vector && g.ctx.ex.error_code == error &&
	       g.ctx.rip == AT;
}

static void put64(u32 at, u64 v)
{
	memcpy(guest_low + at, &v, 8);
}

static u64 get64(u32 at)
{
	u64 v;

	memcpy(&v, guest_low + at, 8);
	return v;
}

static void test_tables(void)
{
	begin(EM_MODE_PROT64);
	put64(0x2000, 0x123456789abc0fff);
	put64(0x2008, 0x0000);
	ktap_result(RUN(0x0f, 0x01, 0x13) == EM_DONE && g.gdt_base == 0x123456789abc &&
		    g.gdt_limit == 0xfff, "system: LGDT in 64-bit mode");
	begin(EM_MODE_PROT64);
	put64(0x2000, 0x3456789abc000fff);
	put64(0x2008, 0x1212);
	ktap_result(fault(RUN(0x0f, 0x01, 0x13), EM_EXC_GP, 0), "system: LGDT, base not canonical");
	begin(EM_MODE_PROT32);
	put64(0x2000, 0x777712345678ffffull & 0xffffffffffffull);
	ktap_result(RUN(0x0f, 0x01, 0x1b) == EM_DONE && g.idt_base == 0x12345678,
		    "system: LIDT in 32-bit mode");
	begin(EM_MODE_PROT32);
	put64(0x2000, 0x12345678ffff);
	ktap_result(RUN(0x66, 0x0f, 0x01, 0x1b) == EM_DONE && g.idt_base == 0x345678,
		    "system: LIDT with 16-bit operands loads 24 bits");
	begin(EM_MODE_PROT64);
	g.idt_base = 0xffff888012345678;
	g.idt_limit = 0xabc;
	ktap_result(RUN(0x0f, 0x01, 0x0b) == EM_DONE && get64(0x2000) == 0x8880123456780abc &&
		    get64(0x2008) == 0xffff, "system: SIDT in 64-bit mode");
	begin(EM_MODE_PROT64);
	g.ctx.cpl = 3;
	g.cr[4] |= 0x800;
	ktap_result(fault(RUN(0x0f, 0x01, 0x03), EM_EXC_GP, 0), "system: SGDT with UMIP");
}

static void test_selectors(void)
{
	begin(EM_MODE_PROT64);
	put64(0x1010, 0x1200893456780067);
	put64(0x1018, 0xffff8880);
	g.st.gpr[EM_RAX] = 0x10;
	ktap_result(RUN(0x0f, 0x00, 0xd8) == EM_DONE &&
		    g.seg[EM_SEG_TR].base == 0xffff888012345678 &&
		    (g.seg[EM_SEG_TR].ar & 15) == 11 && guest_low[0x1015] == 0x8b,
		    "system: LTR in 64-bit mode makes it busy");
	g.ctx.rip = AT;
	ktap_result(fault(RUN(0x0f, 0x00, 0xd8), EM_EXC_GP, 0x10), "system: LTR of a busy TSS");
	begin(EM_MODE_PROT64);
	put64(0x1010, 0x0000090000000067);
	g.st.gpr[EM_RAX] = 0x10;
	ktap_result(fault(RUN(0x0f, 0x00, 0xd8), EM_EXC_NP, 0x10), "system: LTR, not present");
	begin(EM_MODE_PROT32);
	put64(0x1010, 0x0000820020000fff);
	g.st.gpr[EM_RAX] = 0x10;
	ktap_result(RUN(0x0f, 0x00, 0xd0) == EM_DONE && g.seg[EM_SEG_LDTR].limit == 0xfff,
		    "system: LLDT");
	begin(EM_MODE_PROT32);
	ktap_result(RUN(0x0f, 0x00, 0xd0) == EM_DONE &&
		    (g.seg[EM_SEG_LDTR].ar & EM_AR_UNUSABLE), "system: LLDT of a null selector");
	begin(EM_MODE_PROT32);
	g.st.gpr[EM_RAX] = 0xc;
	ktap_result(fault(RUN(0x0f, 0x00, 0xd0), EM_EXC_GP, 0xc), "system: LLDT out of the LDT");
}

static void test_registers(void)
{
	begin(EM_MODE_PROT64);
	g.cr[3] = 0x123456000;
	ktap_result(RUN(0x0f, 0x20, 0xd8) == EM_DONE && g.st.gpr[EM_RAX] == 0x123456000,
		    "system: MOV from CR3");
	begin(EM_MODE_PROT64);
	ktap_result(fault(RUN(0x0f, 0x20, 0xc8), EM_EXC_UD, 0), "system: MOV from CR1");
	begin(EM_MODE_PROT64);
	g.dr[6] = 0xffff0ff0;
	ktap_result(RUN(0x0f, 0x21, 0xe0) == EM_DONE && g.st.gpr[EM_RAX] == 0xffff0ff0,
		    "system: DR4 is DR6");
	begin(EM_MODE_PROT64);
	g.cr[4] |= 8;
	ktap_result(fault(RUN(0x0f, 0x21, 0xe0), EM_EXC_UD, 0), "system: DR4 with CR4.DE");
	begin(EM_MODE_PROT32);
	g.cr[0] = 0x80000011;
	ktap_result(RUN(0x0f, 0x01, 0xf0) == EM_DONE && g.cr[0] == 0x80000011,
		    "system: LMSW cannot clear PE");
	begin(EM_MODE_PROT32);
	g.cr[0] |= 8;
	ktap_result(RUN(0x0f, 0x06) == EM_DONE && !(g.cr[0] & 8), "system: CLTS");
	begin(EM_MODE_PROT64);
	g.st.gpr[EM_RCX] = 0xc0000080;
	ktap_result(RUN(0x0f, 0x32) == EM_DONE && g.st.gpr[EM_RAX] == 0xd01, "system: RDMSR");
	begin(EM_MODE_PROT64);
	ktap_result(fault(RUN(0x0f, 0x32), EM_EXC_GP, 0), "system: RDMSR of an unknown MSR");
	begin(EM_MODE_PROT64);
	ktap_result(RUN(0x0f, 0x01, 0x3b) == EM_UNHANDLED, "system: INVLPG without its callback");
	begin(EM_MODE_PROT64);
	ktap_result(RUN(0xd9, 0x03) == EM_UNHANDLED && g.ctx.rip == AT && g.ctx.insn[0] == 0xd9,
		    "system: x87 is not handled, and its bytes are there");
}

static void test_shadows(void)
{
	begin(EM_MODE_PROT32);
	ktap_result(RUN(0xfb) == EM_DONE && g.ctx.shadow == EM_SHADOW_STI &&
		    RUN(0xfb) == EM_DONE && g.ctx.shadow == EM_SHADOW_NONE,
		    "system: STI casts a shadow only when IF was clear");
	begin(EM_MODE_PROT32);
	put64(0x1010, 0x00cf92000000ffff);
	g.st.gpr[EM_RAX] = 0x10;
	ktap_result(RUN(0x8e, 0xd0) == EM_DONE && g.ctx.shadow == EM_SHADOW_MOV_SS &&
		    g.seg[EM_SEG_SS].ar == 0xc093 && guest_low[0x1015] == 0x93,
		    "system: MOV SS casts a shadow and marks the descriptor");
	begin(EM_MODE_PROT64);
	ktap_result(RUN(0x8e, 0xd0) == EM_DONE && (g.seg[EM_SEG_SS].ar & EM_AR_UNUSABLE),
		    "system: a null SS in 64-bit mode below CPL 3");
	begin(EM_MODE_PROT32);
	ktap_result(RUN(0xf4) == EM_HALT && g.ctx.rip == AT + 1, "system: HLT");
}

/* Another processor changes the operand between our read and our exchange. */
static void test_lock(void)
{
	begin(EM_MODE_PROT64);
	g.steal = 5;
	g.st.gpr[EM_RAX] = 0x100;
	ktap_result(RUN(0xf0, 0x48, 0x0f, 0xc1, 0x03) == EM_DONE && get64(0x2000) == 0x105 &&
		    g.st.gpr[EM_RAX] == 5, "lock: XADD tries again");
	begin(EM_MODE_PROT64);
	g.steal = 1000;
	g.st.gpr[EM_RAX] = 0x100;
	ktap_result(RUN(0xf0, 0x48, 0x0f, 0xc1, 0x03) == EM_RESTART && g.ctx.rip == AT &&
		    g.st.gpr[EM_RAX] == 0x100, "lock: XADD gives way in the end");
	begin(EM_MODE_PROT64);
	g.steal = 1;
	g.st.gpr[EM_RAX] = 0;
	g.st.gpr[EM_RBX] = 0x2000;
	ktap_result(RUN(0xf0, 0x48, 0x0f, 0xc7, 0x0b) == EM_DONE && !(g.ctx.rflags & 0x40) &&
		    g.st.gpr[EM_RAX] == 1 && get64(0x2000) == 1, "lock: CMPXCHG16B loses");
	begin(EM_MODE_PROT64);
	g.st.gpr[EM_RCX] = 0x77;
	ktap_result(RUN(0xf0, 0x48, 0x0f, 0xc7, 0x0b) == EM_DONE && (g.ctx.rflags & 0x40) &&
		    get64(0x2000) == 0x2000 && get64(0x2008) == 0x77, "lock: CMPXCHG16B wins");
	begin(EM_MODE_PROT64);
	g.steal = 1;
	g.st.gpr[EM_RAX] = 0x55;
	ktap_result(RUN(0x87, 0x03) == EM_DONE && g.st.gpr[EM_RAX] == 1 && get64(0x2000) == 0x55,
		    "lock: XCHG always is");
}

static void test_rep(void)
{
	begin(EM_MODE_PROT64);
	g.st.gpr[EM_RCX] = 1000;
	g.st.gpr[EM_RDI] = 0x2000;
	ktap_result(RUN(0xf3, 0xaa) == EM_RESTART && g.ctx.rip == AT &&
		    g.st.gpr[EM_RCX] == 1000 - 256 && g.st.gpr[EM_RDI] == 0x2000 + 256,
		    "rep: gives way after 256 iterations");
	begin(EM_MODE_PROT64);
	g.absent = 0x5000;
	g.st.gpr[EM_RCX] = 100;
	g.st.gpr[EM_RDI] = 0x4ff6;
	ktap_result(fault(RUN(0xf3, 0xab), EM_EXC_PF, 2) && g.ctx.ex.address == 0x5000 &&
		    g.st.gpr[EM_RCX] == 98 && g.st.gpr[EM_RDI] == 0x4ffe,
		    "rep: a fault leaves what is done and reports the byte");
	begin(EM_MODE_PROT64);
	g.ctx.rflags |= 0x100;
	g.st.gpr[EM_RCX] = 3;
	g.st.gpr[EM_RDI] = 0x2000;
	ktap_result(RUN(0xf3, 0xaa) == EM_RESTART && g.st.gpr[EM_RCX] == 2,
		    "rep: single steps with TF");
}

static void test_string_io(void)
{
	begin(EM_MODE_PROT64);
	g.st.gpr[EM_RDX] = 0x1f0;
	g.st.gpr[EM_RCX] = 256;
	g.st.gpr[EM_RDI] = 0x2000;
	ktap_result(RUN(0xf3, 0x66, 0x6d) == EM_DONE && g.port_ins == 1 && g.port_count == 256 &&
		    guest_low[0x2001] == 0xf1 && g.st.gpr[EM_RDI] == 0x2200 && !g.st.gpr[EM_RCX],
		    "string I/O: a sector in one batch");
	begin(EM_MODE_PROT64);
	g.st.gpr[EM_RDX] = 0x1f0;
	g.st.gpr[EM_RCX] = 256;
	g.st.gpr[EM_RDI] = 0x2f81;
	ktap_result(RUN(0xf3, 0x66, 0x6d) == EM_DONE && g.port_ins == 3 &&
		    g.st.gpr[EM_RDI] == 0x2f81 + 512,
		    "string I/O: batches end with pages, one element crosses");
	begin(EM_MODE_PROT64);
	g.absent = 0x3000;
	g.st.gpr[EM_RDX] = 0x1f0;
	g.st.gpr[EM_RCX] = 256;
	g.st.gpr[EM_RDI] = 0x2ff0;
	ktap_result(fault(RUN(0xf3, 0x66, 0x6d), EM_EXC_PF, 2) && g.port_count == 8 &&
		    g.st.gpr[EM_RCX] == 248, "string I/O: no port is read for an absent page");
	begin(EM_MODE_PROT64);
	g.read_only = 0x2000;
	g.st.gpr[EM_RDX] = 0x1f0;
	g.st.gpr[EM_RCX] = 4;
	g.st.gpr[EM_RDI] = 0x2000;
	ktap_result(fault(RUN(0xf3, 0x6c), EM_EXC_PF, 3) && !g.port_ins,
		    "string I/O: nor for a page that cannot be written");
	begin(EM_MODE_PROT32);
	g.st.gpr[EM_RDX] = 0x1f0;
	g.st.gpr[EM_RCX] = 0x20;
	g.st.gpr[EM_RDI] = 0xfff0;
	g.seg[EM_SEG_ES].base = 0x100;
	ktap_result(RUN(0x67, 0xf3, 0x6c) == EM_DONE && g.st.gpr[EM_RDI] == 0x10 &&
		    guest_low[0x10f] && !guest_low[0x10100],
		    "string I/O: a batch does not go past the wrap of the offset");
	begin(EM_MODE_PROT32);
	g.ctx.cpl = 3;
	g.seg[EM_SEG_TR].base = 0x3000;
	g.seg[EM_SEG_TR].limit = 104 + 0x80 / 8;
	guest_low[0x3000 + 102] = 104;
	ktap_result(RUN(0xe4, 0x7f) == EM_DONE, "string I/O: the last port of the I/O map");
	g.ctx.rip = AT;
	ktap_result(fault(RUN(0xe4, 0x80), EM_EXC_GP, 0), "string I/O: the port behind the map");
	begin(EM_MODE_PROT64);
	g.ctx.rflags |= 0x400;
	g.st.gpr[EM_RDX] = 0x80;
	g.st.gpr[EM_RCX] = 4;
	g.st.gpr[EM_RSI] = 0x2003;
	ktap_result(RUN(0xf3, 0x6e) == EM_DONE && g.st.gpr[EM_RSI] == 0x1fff,
		    "string I/O: backwards");
}

/* With 48 bits and with 57, and addresses of 32 bits that wrap. */
static void test_addresses(void)
{
	begin(EM_MODE_PROT64);
	g.st.gpr[EM_RBX] = 0x0000800000000000 - 4;
	ktap_result(fault(RUN(0x48, 0x8b, 0x03), EM_EXC_GP, 0),
		    "addresses: the end of the canonical half");
	begin(EM_MODE_PROT64);
	g.st.gpr[EM_RSP] = 0x0000900000000000;
	ktap_result(fault(RUN(0x58), EM_EXC_SS, 0), "addresses: #SS for a non-canonical stack");
	begin(EM_MODE_PROT64);
	g.cr[4] |= 0x1000;
	g.st.gpr[EM_RBX] = 0x0000900000000000;
	ktap_result(fault(RUN(0x8b, 0x03), EM_EXC_PF, 0), "addresses: 57 bits with CR4.LA57");
	begin(EM_MODE_PROT32);
	g.st.gpr[EM_RBX] = 0xfffffffe;
	ktap_result(RUN(0x8b, 0x03) == EM_EXCEPTION && g.ctx.ex.address == 0xfffffffe,
		    "addresses: a flat 32-bit segment wraps without #GP");
	begin(EM_MODE_PROT32);
	g.seg[EM_SEG_DS].base = 0xfffff000;
	g.st.gpr[EM_RBX] = 0x3000;
	guest_low[0x2000] = 0x42;
	ktap_result(RUN(0x8a, 0x03) == EM_DONE && (u8)g.st.gpr[EM_RAX] == 0x42,
		    "addresses: base and offset wrap at 4 GiB");
	begin(EM_MODE_PROT64);
	g.seg[EM_SEG_GS].base = 0x1000;
	g.st.gpr[EM_RBX] = 0xffffffff00001000;
	guest_low[0x2000] = 0x43;
	ktap_result(RUN(0x65, 0x67, 0x8a, 0x03) == EM_DONE && (u8)g.st.gpr[EM_RAX] == 0x43,
		    "addresses: the address size applies before the base");
	begin(EM_MODE_PROT64);
	g.ctx.cpl = 3;
	g.ctx.rflags |= FL_AC;
	g.st.gpr[EM_RBX] = 0x2001;
	ktap_result(fault(RUN(0x8b, 0x03), EM_EXC_AC, 0) && g.ctx.ex.has_error,
		    "addresses: alignment check");
	begin(EM_MODE_PROT64);
	g.ctx.rflags |= FL_AC;
	g.st.gpr[EM_RBX] = 0x2001;
	ktap_result(RUN(0x8b, 0x03) == EM_DONE, "addresses: no alignment check at CPL 0");
	begin(EM_MODE_PROT64);
	g.cr[0] |= 8;
	ktap_result(fault(RUN(0x0f, 0x10, 0x03), EM_EXC_NM, 0), "vector moves: CR0.TS");
}

void test_system(void)
{
	test_tables();
	test_selectors();
	test_registers();
	test_shadows();
	test_lock();
	test_rep();
	test_string_io();
	test_addresses();
}
