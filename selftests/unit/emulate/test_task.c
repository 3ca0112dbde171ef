// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hardware task switches against "Task Management" of the manuals: what is saved, loaded and
 * marked, and which fault belongs to which task.
 * It must not need the processor, whose 64-bit mode has no task switches.
 */
#include "harness.h"

#define GDT		0x1000u
#define IDT		0x1800u
#define OLD_TSS		0x2000u
#define NEW_TSS		0x3000u
#define LDT		0x4000u
#define STACK		0x6000u

#define SEL_CODE0	0x08
#define SEL_DATA0	0x10
#define SEL_CODE3	0x1b
#define SEL_DATA3	0x23
#define SEL_OLD		0x28
#define SEL_NEW		0x30
#define SEL_NEW16	0x38
#define SEL_LDT		0x40
#define SEL_ABSENT	0x48
#define SEL_SHORT	0x50
#define SEL_RO		0x58
#define SEL_CONF	0x60

static struct guest g;

static void put64(u32 at, u64 v)
{
	memcpy(guest_low + at, &v, 8);
}

static void put32(u32 at, u32 v)
{
	memcpy(guest_low + at, &v, 4);
}

static void put16(u32 at, u16 v)
{
	memcpy(guest_low + at, &v, 2);
}

static u32 get32(u32 at)
{
	u32 v;

	memcpy(&v, guest_low + at, 4);
	return v;
}

static u16 get16(u32 at)
{
	u16 v;

	memcpy(&v, guest_low + at, 2);
	return v;
}

static u64 desc(u32 base, u32 limit, u32 ar)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(ar & 0xf0ff) << 40 |
	       (u64)(limit & 0xf0000) << 32 | (u64)(base >> 24) << 56;
}

static u8 type_of(u16 sel)
{
	return guest_low[GDT + (sel & ~7) + 5] & 15;
}

static struct em_segment flat(u16 sel, u32 ar)
{
	return (struct em_segment){ .selector = sel, .limit = ~0u, .ar = ar };
}

static void make_gdt(void)
{
	put64(GDT + SEL_CODE0, desc(0, 0xfffff, 0xc09a));
	put64(GDT + SEL_DATA0, desc(0, 0xfffff, 0xc092));
	put64(GDT + (SEL_CODE3 & ~7), desc(0, 0xfffff, 0xc0fa));
	put64(GDT + (SEL_DATA3 & ~7), desc(0, 0xfffff, 0xc0f2));
	put64(GDT + SEL_OLD, desc(OLD_TSS, 0x67, 0x8b));
	put64(GDT + SEL_NEW, desc(NEW_TSS, 0x67, 0x89));
	put64(GDT + SEL_NEW16, desc(NEW_TSS, 0x2b, 0x81));
	put64(GDT + SEL_LDT, desc(LDT, 0xff, 0x82));
	put64(GDT + SEL_ABSENT, desc(NEW_TSS, 0x67, 0x09));
	put64(GDT + SEL_SHORT, desc(NEW_TSS, 0x66, 0x89));
	put64(GDT + SEL_RO, desc(0, 0xfffff, 0xc090));
	put64(GDT + SEL_CONF, desc(0, 0xfffff, 0xc09e));
	put64(LDT + 8, desc(0, 0xfffff, 0xc092));
}

/* A new task at CPL 0 whose registers count upwards. */
static void make_tss32(void)
{
	static const u16 sels[] = {
		SEL_DATA0, SEL_CODE0, SEL_DATA0, SEL_DATA0, SEL_DATA0, SEL_DATA3,
	};
	unsigned int i;

	put32(NEW_TSS + 28, 0x9000);
	put32(NEW_TSS + 32, 0x12345678);
	put32(NEW_TSS + 36, 0x246);
	for (i = 0; i < 8; i++)
		put32(NEW_TSS + 40 + 4 * i, 0x1000 * (i + 1));
	put32(NEW_TSS + 40 + 4 * EM_RSP, STACK);
	for (i = 0; i < 6; i++)
		put32(NEW_TSS + 72 + 4 * i, 0xdead0000 | sels[i]);
	put16(NEW_TSS + 96, SEL_LDT);
	put16(NEW_TSS + 102, 104);
}

static void make_tss16(void)
{
	unsigned int i;

	memset(guest_low + NEW_TSS, 0, 104);
	put16(NEW_TSS + 14, 0x5678);
	put16(NEW_TSS + 16, 0x246);
	for (i = 0; i < 8; i++)
		put16(NEW_TSS + 18 + 2 * i, 0x1000 * (i + 1));
	put16(NEW_TSS + 18 + 2 * EM_RSP, STACK);
	put16(NEW_TSS + 34, SEL_DATA0);
	put16(NEW_TSS + 36, SEL_CODE0);
	put16(NEW_TSS + 38, SEL_DATA0);
	put16(NEW_TSS + 40, SEL_DATA0);
	put16(NEW_TSS + 42, SEL_LDT);
}

static void begin(void)
{
	struct state st = { .rflags = 0x202, .rip = 0x1111 };
	unsigned int i;

	for (i = 0; i < 8; i++)
		st.gpr[i] = 0xa0000000 + i;
	guest_begin(&g, &st, EM_MODE_PROT32, GUEST_LOW);
	memset(guest_low, 0, sizeof(guest_low));
	for (i = 0; i < 6; i++)
		g.seg[i] = flat(SEL_DATA0, 0xc093);
	g.seg[EM_SEG_CS] = flat(SEL_CODE0, 0xc09b);
	g.seg[EM_SEG_FS] = flat(SEL_DATA3, 0xc0f3);
	g.seg[EM_SEG_TR] = flat(SEL_OLD, 0x8b);
	g.seg[EM_SEG_TR].base = OLD_TSS;
	g.seg[EM_SEG_TR].limit = 0x67;
	g.seg[EM_SEG_LDTR] = flat(0, EM_AR_UNUSABLE);
	g.cr[0] = 0x80000011;
	g.cr[3] = 0x8000;
	g.dr[7] = 0x7ff;
	g.efer = 0;
	g.gdt_base = GDT;
	g.gdt_limit = 0x7f;
	g.idt_base = IDT;
	g.idt_limit = 0x7ff;
	g.ctx.cpl = 0;
	make_gdt();
	make_tss32();
}

static bool expect(const char *what, u64 got, u64 want)
{
	if (got == want)
		return true;
	ktap_diag("%s is %llx, should be %llx", what, got, want);
	return false;
}

/* Everything the old task leaves in its TSS. */
static bool old_saved(u32 flags)
{
	bool ok = expect("saved EIP", get32(OLD_TSS + 32), 0x1111);
	unsigned int i;

	ok &= expect("saved EFLAGS", get32(OLD_TSS + 36), flags);
	for (i = 0; i < 8; i++)
		ok &= expect("saved register", get32(OLD_TSS + 40 + 4 * i), 0xa0000000 + i);
	ok &= expect("saved CS", get16(OLD_TSS + 76), SEL_CODE0);
	ok &= expect("saved FS", get16(OLD_TSS + 88), SEL_DATA3);
	ok &= expect("saved CR3 (not at all)", get32(OLD_TSS + 28), 0);
	return ok & expect("saved LDT (not at all)", get32(OLD_TSS + 96), 0);
}

static bool new_loaded(u32 flags)
{
	bool ok = expect("EIP", g.ctx.rip, 0x12345678);
	unsigned int i;

	ok &= expect("EFLAGS", g.ctx.rflags, flags);
	for (i = 0; i < 8; i++)
		if (i != EM_RSP)
			ok &= expect("register", g.st.gpr[i], 0x1000 * (i + 1));
	ok &= expect("ESP", g.st.gpr[EM_RSP], STACK);
	ok &= expect("CS", g.seg[EM_SEG_CS].selector, SEL_CODE0);
	ok &= expect("CS rights", g.seg[EM_SEG_CS].ar, 0xc09b);
	ok &= expect("GS rights", g.seg[EM_SEG_GS].ar, 0xc0f3);
	ok &= expect("accessed bit", type_of(SEL_CODE0), 0xb);
	ok &= expect("LDT", g.seg[EM_SEG_LDTR].selector, SEL_LDT);
	ok &= expect("LDT base", g.seg[EM_SEG_LDTR].base, LDT);
	ok &= expect("TR", g.seg[EM_SEG_TR].selector, SEL_NEW);
	ok &= expect("TR type", g.seg[EM_SEG_TR].ar & 15, 11);
	ok &= expect("CR3", g.cr[3], 0x9000);
	ok &= expect("CR0.TS", g.cr[0] & 8, 8);
	return ok & expect("DR7", g.dr[7], 0x7ff & ~0x155);
}

static void test_jump(void)
{
	enum em_result r;
	bool ok;

	begin();
	r = em_task_switch(&g.ctx, SEL_NEW, -1, EM_TASK_JMP, false, 0);
	ok = expect("result", r, EM_DONE) & old_saved(0x202) & new_loaded(0x246);
	ok &= expect("old type", type_of(SEL_OLD), 9) & expect("new type", type_of(SEL_NEW), 11);
	ktap_result(ok & expect("back link", get16(NEW_TSS), 0), "task switch: JMP");
}

static void test_call(void)
{
	enum em_result r;
	bool ok;

	begin();
	r = em_task_switch(&g.ctx, SEL_NEW, -1, EM_TASK_CALL, false, 0);
	ok = expect("result", r, EM_DONE) & old_saved(0x202) & new_loaded(0x4246);
	ok &= expect("old type", type_of(SEL_OLD), 11) & expect("new type", type_of(SEL_NEW), 11);
	ktap_result(ok & expect("back link", get16(NEW_TSS), SEL_OLD), "task switch: CALL");
}

static void test_iret(void)
{
	enum em_result r;
	bool ok;

	begin();
	g.ctx.rflags |= 0x4000;
	put64(GDT + SEL_NEW, desc(NEW_TSS, 0x67, 0x8b));
	r = em_task_switch(&g.ctx, SEL_NEW, -1, EM_TASK_IRET, false, 0);
	ok = expect("result", r, EM_DONE) & old_saved(0x202) & new_loaded(0x246);
	ok &= expect("old type", type_of(SEL_OLD), 9) & expect("new type", type_of(SEL_NEW), 11);
	ktap_result(ok, "task switch: IRET");
}

/* An exception through a task gate pushes its error code on the new stack. */
static void test_gate(void)
{
	enum em_result r;
	bool ok;

	begin();
	r = em_task_switch(&g.ctx, SEL_NEW, -1, EM_TASK_GATE, true, 0xabcd);
	ok = expect("result", r, EM_DONE) & old_saved(0x202);
	ok &= expect("NT", g.ctx.rflags & 0x4000, 0x4000);
	ok &= expect("back link", get16(NEW_TSS), SEL_OLD);
	ok &= expect("ESP", g.st.gpr[EM_RSP], STACK - 4);
	ktap_result(ok & expect("error code", get32(STACK - 4), 0xabcd), "task switch: task gate");
}

/* The DPL of the gate counts for software interrupts only. */
static void test_gate_dpl(void)
{
	enum em_result r;

	begin();
	g.ctx.cpl = 3;
	put64(IDT + 8 * 0x21, desc(SEL_NEW << 16, 0, 0x85));
	r = em_task_switch(&g.ctx, SEL_NEW, 0x21, EM_TASK_GATE, false, 0);
	ktap_result(r == EM_EXCEPTION && g.ctx.ex.vector == EM_EXC_GP &&
		    g.ctx.ex.error_code == 0x21 * 8 + 2 && g.ctx.rip == 0x1111,
		    "task switch: INT n through a gate of DPL 0");
	begin();
	g.ctx.cpl = 3;
	put64(IDT + 8 * 0x21, desc(SEL_NEW << 16, 0, 0xe5));
	r = em_task_switch(&g.ctx, SEL_NEW, 0x21, EM_TASK_GATE, false, 0);
	ktap_result(r == EM_DONE, "task switch: INT n through a gate of DPL 3");
}

static void test_16bit(void)
{
	enum em_result r;
	bool ok;

	begin();
	make_tss16();
	r = em_task_switch(&g.ctx, SEL_NEW16, -1, EM_TASK_GATE, true, 0x77);
	ok = expect("result", r, EM_DONE) & old_saved(0x202) & expect("EIP", g.ctx.rip, 0x5678);
	ok &= expect("flags", g.ctx.rflags, 0x4246);
	ok &= expect("eax", g.st.gpr[EM_RAX] & 0xffff, 0x1000);
	ok &= expect("CR3 unchanged", g.cr[3], 0x8000);
	ok &= expect("FS", g.seg[EM_SEG_FS].ar & EM_AR_UNUSABLE, EM_AR_UNUSABLE);
	ok &= expect("type", type_of(SEL_NEW16), 3);
	ok &= expect("ESP", g.st.gpr[EM_RSP] & 0xffff, STACK - 2);
	ktap_result(ok & expect("error code", get16(STACK - 2), 0x77),
		    "task switch: to a 16-bit TSS");
}

static void test_from_16bit(void)
{
	enum em_result r;
	bool ok;

	begin();
	g.seg[EM_SEG_TR].ar = 0x83;
	g.seg[EM_SEG_TR].limit = 0x2b;
	r = em_task_switch(&g.ctx, SEL_NEW, -1, EM_TASK_JMP, false, 0);
	ok = expect("result", r, EM_DONE) & expect("saved IP", get16(OLD_TSS + 14), 0x1111);
	ok &= expect("saved flags", get16(OLD_TSS + 16), 0x202);
	ok &= expect("saved DI", get16(OLD_TSS + 32), 7);
	ok &= expect("saved ES", get16(OLD_TSS + 34), SEL_DATA0);
	ok &= expect("saved DS", get16(OLD_TSS + 40), SEL_DATA0);
	ktap_result(ok & expect("LDT slot", get16(OLD_TSS + 42), 0),
		    "task switch: from a 16-bit TSS");
}

static void test_vm86(void)
{
	enum em_result r;
	unsigned int i;
	bool ok;

	begin();
	put32(NEW_TSS + 36, 0x23202);
	put32(NEW_TSS + 32, 0x100);
	for (i = 0; i < 6; i++)
		put32(NEW_TSS + 72 + 4 * i, 0x300 + i);
	r = em_task_switch(&g.ctx, SEL_NEW, -1, EM_TASK_JMP, false, 0);
	ok = expect("result", r, EM_DONE) & expect("mode", g.ctx.mode, EM_MODE_VM86);
	ok &= expect("CPL", g.ctx.cpl, 3) & expect("CS base", g.seg[EM_SEG_CS].base, 0x3010);
	ok &= expect("GS base", g.seg[EM_SEG_GS].base, 0x3050);
	ktap_result(ok & expect("SS rights", g.seg[EM_SEG_SS].ar, 0xf3),
		    "task switch: to virtual-8086 mode");
}

/* What is wrong, the fault, and whether it is the new task's already. */
struct wrong {
	const char *what;
	u16 selector;
	enum em_task_reason reason;
	u32 at;			/* a word to change first */
	u16 value;
	u8 vector;
	u16 error;
	bool in_new;
};

static const struct wrong wrongs[] = {
	{ "TSS selector null", 0, EM_TASK_JMP, 0, 0, EM_EXC_GP, 0, false },
	{ "TSS selector in the LDT", 0x34, EM_TASK_JMP, 0, 0, EM_EXC_GP, 0x34, false },
	{ "TSS selector beyond the GDT", 0x80, EM_TASK_JMP, 0, 0, EM_EXC_GP, 0x80, false },
	{ "TSS selector beyond the GDT, IRET", 0x80, EM_TASK_IRET, 0, 0, EM_EXC_TS, 0x80, false },
	{ "no TSS", SEL_DATA0, EM_TASK_CALL, 0, 0, EM_EXC_GP, SEL_DATA0, false },
	{ "an LDT", SEL_LDT, EM_TASK_CALL, 0, 0, EM_EXC_GP, SEL_LDT, false },
	{ "TSS busy", SEL_OLD, EM_TASK_JMP, 0, 0, EM_EXC_GP, SEL_OLD, false },
	{ "TSS not busy, IRET", SEL_NEW, EM_TASK_IRET, 0, 0, EM_EXC_TS, SEL_NEW, false },
	{ "TSS not present", SEL_ABSENT, EM_TASK_JMP, 0, 0, EM_EXC_NP, SEL_ABSENT, false },
	{ "TSS too short", SEL_SHORT, EM_TASK_JMP, 0, 0, EM_EXC_TS, SEL_SHORT, false },
	{ "TSS too short, external", SEL_SHORT, EM_TASK_GATE, 0, 0, EM_EXC_TS, SEL_SHORT | 1,
	  false },
	{ "LDT in the LDT", SEL_NEW, EM_TASK_JMP, NEW_TSS + 96, 0xc, EM_EXC_TS, 0xc, true },
	{ "LDT is data", SEL_NEW, EM_TASK_JMP, NEW_TSS + 96, SEL_DATA0, EM_EXC_TS, SEL_DATA0,
	  true },
	{ "LDT beyond the GDT", SEL_NEW, EM_TASK_JMP, NEW_TSS + 96, 0x88, EM_EXC_TS, 0x88, true },
	{ "CS null", SEL_NEW, EM_TASK_JMP, NEW_TSS + 76, 0, EM_EXC_TS, 0, true },
	{ "CS is data", SEL_NEW, EM_TASK_JMP, NEW_TSS + 76, SEL_DATA0, EM_EXC_TS, SEL_DATA0, true },
	{ "CS's RPL is not its DPL", SEL_NEW, EM_TASK_JMP, NEW_TSS + 76, SEL_CODE0 | 3, EM_EXC_TS,
	  SEL_CODE0, true },
	{ "CS not present", SEL_NEW, EM_TASK_JMP, GDT + SEL_CODE0 + 5, 0xc01a, EM_EXC_NP, SEL_CODE0,
	  true },
	{ "SS null", SEL_NEW, EM_TASK_JMP, NEW_TSS + 80, 0, EM_EXC_TS, 0, true },
	{ "SS read-only", SEL_NEW, EM_TASK_JMP, NEW_TSS + 80, SEL_RO, EM_EXC_TS, SEL_RO, true },
	{ "SS of another level", SEL_NEW, EM_TASK_JMP, NEW_TSS + 80, SEL_DATA3, EM_EXC_TS,
	  SEL_DATA3 & ~3, true },
	{ "SS not present", SEL_NEW, EM_TASK_JMP, GDT + SEL_DATA0 + 5, 0xc012, EM_EXC_SS, SEL_DATA0,
	  true },
	{ "DS beyond the GDT", SEL_NEW, EM_TASK_JMP, NEW_TSS + 84, 0xf0, EM_EXC_TS, 0xf0, true },
	{ "ES is a TSS", SEL_NEW, EM_TASK_JMP, NEW_TSS + 72, SEL_NEW, EM_EXC_TS, SEL_NEW, true },
	{ "GS not present", SEL_NEW, EM_TASK_JMP, GDT + (SEL_DATA3 & ~7) + 5, 0xc072, EM_EXC_NP,
	  SEL_DATA3 & ~3, true },
	{ "trap bit", SEL_NEW, EM_TASK_JMP, NEW_TSS + 100, 1, EM_EXC_DB, 0, true },
};

static bool run_wrong(const struct wrong *w)
{
	enum em_result r;
	bool ok;

	begin();
	if (w->at)
		put16(w->at, w->value);
	r = em_task_switch(&g.ctx, w->selector, -1, w->reason, false, 0);
	ok = expect("result", r, EM_EXCEPTION) & expect("vector", g.ctx.ex.vector, w->vector);
	ok &= expect("error code", g.ctx.ex.error_code, w->error);
	ok &= expect("error code present", g.ctx.ex.has_error, w->vector != EM_EXC_DB);
	ok &= expect("EIP", g.ctx.rip, w->in_new ? 0x12345678 : 0x1111);
	return ok & expect("TR", g.seg[EM_SEG_TR].selector, w->in_new ? w->selector : SEL_OLD);
}

/* The page of a TSS is missing: nothing may have happened yet. */
static void test_page_faults(void)
{
	enum em_result r;

	begin();
	g.absent = NEW_TSS;
	r = em_task_switch(&g.ctx, SEL_NEW, -1, EM_TASK_JMP, false, 0);
	ktap_result(r == EM_EXCEPTION && g.ctx.ex.vector == EM_EXC_PF && g.ctx.rip == 0x1111 &&
		    type_of(SEL_OLD) == 11, "task switch: page of the new TSS not present");
	begin();
	g.read_only = OLD_TSS;
	r = em_task_switch(&g.ctx, SEL_NEW, -1, EM_TASK_JMP, false, 0);
	ktap_result(r == EM_EXCEPTION && g.ctx.ex.vector == EM_EXC_PF && g.ctx.rip == 0x1111 &&
		    type_of(SEL_OLD) == 11 && type_of(SEL_NEW) == 9,
		    "task switch: page of the old TSS read-only");
}

void test_task(void)
{
	char name[96];
	unsigned int i;

	test_jump();
	test_call();
	test_iret();
	test_gate();
	test_gate_dpl();
	test_16bit();
	test_from_16bit();
	test_vm86();
	for (i = 0; i < ARRAY_SIZE(wrongs); i++) {
		snprintf(name, sizeof(name), "task switch: %s", wrongs[i].what);
		ktap_result(run_wrong(&wrongs[i]), name);
	}
	test_page_faults();
}
