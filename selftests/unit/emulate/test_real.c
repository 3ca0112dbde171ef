// SPDX-License-Identifier: GPL-2.0-only
/*
 * Real and virtual-8086 mode against what the manuals say: programs, faults, flags.
 * It must not need the processor, which cannot run these modes in a process.
 */
#include "harness.h"

static struct guest g;

/* 16-bit segments with base 16 times the selector, as after reset. */
static void begin(enum em_mode mode)
{
	struct state st = { .rflags = 2, .rip = 0x7c00 };
	unsigned int i;

	guest_begin(&g, &st, mode, GUEST_LOW);
	for (i = 0; i < 6; i++) {
		g.seg[i].selector = 0;
		g.seg[i].base = 0;
		g.seg[i].limit = 0xffff;
		g.seg[i].ar = mode == EM_MODE_VM86 ? 0xf3 : 0x93;
	}
	g.cr[0] = mode == EM_MODE_REAL ? 0x10 : 0x11;
	g.cr[4] = 0;
	g.efer = 0;
	g.gdt_base = 0;
	g.gdt_limit = 0xffff;
	g.idt_base = 0;
	g.idt_limit = 0x3ff;
	g.ctx.cpl = mode == EM_MODE_VM86 ? 3 : 0;
	if (mode == EM_MODE_VM86)
		g.ctx.rflags |= 0x20000;
	memset(guest_low, 0, sizeof(guest_low));
}

static enum em_result run_bytes(const u8 *bytes, unsigned int n)
{
	memcpy(guest_low + g.seg[EM_SEG_CS].base + g.ctx.rip, bytes, n);
	g.ctx.fetched = 0;
	return em_run(&g.ctx);
}

/* Run until HLT, delivering software interrupts through the vector table. */
static enum em_result run_program(const u8 *code, unsigned int n)
{
	enum em_result r;
	unsigned int i;

	memcpy(guest_low + 0x7c00, code, n);
	for (i = 0; i < 10000; i++) {
		g.ctx.fetched = 0;
		r = em_run(&g.ctx);
		if (r == EM_EXCEPTION && (g.ctx.ex.soft || g.ctx.ex.vector == EM_EXC_DE))
			r = em_real_interrupt(&g.ctx, g.ctx.ex.vector);
		if (r != EM_DONE && r != EM_RESTART)
			return r;
	}
	return EM_FAILED;
}

/* A program that uses most of what a boot sector does; it leaves its results at 0x500. */
extern const u8 boot_start[], boot_end[];
asm(".pushsection .rodata\n"
	"boot_start:\n"
	".code16\n"
	"	cli\n	xor %ax, %ax\n	mov %ax, %ds\n	mov %ax, %es\n	mov $0x9000, %ax\n"
	"	mov %ax, %ss\n	mov $0xfffe, %sp\n	sti\n"
    /* Vectors 0x21 and 0, to routines at 0x1000:0 that are copied there. */
	"	movw $0, 0x84\n	movw $0x1000, 0x86\n	movw $handler_de - handler, 0\n	movw $0x1000, 2\n"
	"	mov $0x1000, %ax\n	mov %ax, %es\n	mov $0x7c00 + handler - boot_start, %si\n"
	"	xor %di, %di\n	mov $handler_end - handler, %cx\n	cld\n	rep movsb\n"
	"	xor %bx, %bx\n	int $0x21\n	int $0x21\n	mov %bx, 0x500\n"
	"	xor %dx, %dx\n	mov $5, %ax\n	xor %cx, %cx\n	div %cx\n	mov %dx, 0x502\n"
	"	lcall $0x1000, $far_routine - handler\n	mov %ax, 0x504\n"
	"	mov $10, %cx\n	xor %ax, %ax\n1:	add %cx, %ax\n	loop 1b\n	mov %ax, 0x506\n"
	"	pushl $0x12345678\n	popw 0x508\n	popw 0x50a\n"
	"	mov $0x10, %cx\n	mov $0x5a, %al\n	mov $0x600, %di\n	push %ds\n	pop %es\n"
	"	rep stosb\n	mov $0x600, %si\n	mov $0x601, %di\n	mov $0x20, %cx\n	repe cmpsb\n"
	"	mov %cx, 0x50c\n	enter $4, $0\n	mov %bp, 0x50e\n	leave\n	mov %sp, 0x510\n"
	"	pusha\n	mov $0x1111, %ax\n	popa\n	les 0x84, %si\n	mov %es, 0x512\n"
	"	mov $0x12, %al\n	add $0x19, %al\n	daa\n	mov %ax, 0x514\n"
	"	mov $0xffff, %ax\n	mov %ax, %es\n	mov %es:0x10, %al\n	mov %al, 0x516\n"
	"	smsw %ax\n	mov %ax, 0x518\n	pushf\n	popw 0x51a\n	hlt\n"
	"handler:\n	inc %bx\n	iret\n"
	"handler_de:\n	mov $0xde, %dx\n	push %bp\n	mov %sp, %bp\n	addw $2, 2(%bp)\n	pop %bp\n	iret\n"
	"far_routine:\n	mov %cs, %ax\n	lret\n"
	"handler_end:\n"
	".code64\n"
	"boot_end:\n"
	".popsection\n");

static void test_program(void)
{
	static const struct {
		u16 at;
		u16 want;
		const char *what;
	} results[] = {
		{ 0x500, 2, "INT and IRET" }, { 0x502, 0xde, "#DE through vector 0" },
		{ 0x504, 0x1000, "far call and return" }, { 0x506, 55, "LOOP" },
		{ 0x508, 0x5678, "32-bit push" }, { 0x50a, 0x1234, "32-bit push, upper half" },
		{ 0x50c, 0x10, "REP STOSB, REPE CMPSB" }, { 0x50e, 0xfffc, "ENTER" },
		{ 0x510, 0xfffe, "LEAVE" }, { 0x512, 0x1000, "LES" }, { 0x514, 0x31, "DAA" },
		{ 0x516, 0x77, "the high memory area" }, { 0x518, 0x10, "SMSW" },
		{ 0x51a, 0x212, "PUSHF" },
	};
	unsigned int i;
	char name[64];
	u16 got;

	begin(EM_MODE_REAL);
	guest_low[0x100000] = 0x77;
	ktap_result(run_program(boot_start, boot_end - boot_start) == EM_HALT,
		    "real mode: the program ends");
	for (i = 0; i < ARRAY_SIZE(results); i++) {
		memcpy(&got, guest_low + results[i].at, 2);
		if (got != results[i].want)
			ktap_diag("at %x: %x, should be %x", results[i].at, got, results[i].want);
		snprintf(name, sizeof(name), "real mode: %s", results[i].what);
		ktap_result(got == results[i].want, name);
	}
}

/* One instruction with given registers and what has to become of it. */
struct single {
	const char *what;
	u8 bytes[8];
	u8 n;
	u64 eax, ebx, esp, flags, cr4;
	int vector;		/* -1: none */
	bool has_error;
	u64 flags_after;	/* with no exception */
};

static const struct single real_cases[] = {
	{ "word across the limit", { 0x8b, 0x07 }, 2, .ebx = 0xffff, .vector = EM_EXC_GP },
	{ "byte at the limit", { 0x8a, 0x07 }, 2, .ebx = 0xffff, .vector = -1 },
	{ "stack word across the limit", { 0x50 }, 1, .esp = 1, .vector = EM_EXC_SS },
	{ "stack wraps at 0", { 0x50 }, 1, .esp = 0, .vector = -1 },
	{ "32-bit address beyond the limit", { 0x67, 0x8a, 0x03 }, 3, .ebx = 0x10000,
	  .vector = EM_EXC_GP },
	{ "BP addresses the stack", { 0x67, 0x8a, 0x45, 0x00 }, 4, .ebx = 0, .vector = -1 },
	{ "jump beyond the limit", { 0x66, 0xe9, 0, 0, 1, 0 }, 6, .vector = EM_EXC_GP },
	{ "SLDT", { 0x0f, 0x00, 0xc0 }, 3, .vector = EM_EXC_UD },
	{ "LAR", { 0x0f, 0x02, 0xc0 }, 3, .vector = EM_EXC_UD },
	{ "ARPL", { 0x63, 0xc0 }, 2, .vector = EM_EXC_UD },
	{ "VEX", { 0xc5, 0xf8, 0x28, 0xc0 }, 4, .vector = EM_EXC_UD },
	{ "LOCK MOV", { 0xf0, 0x89, 0x07 }, 3, .vector = EM_EXC_UD },
	{ "MOV CS", { 0x8e, 0xc8 }, 2, .vector = EM_EXC_UD },
	{ "CLI", { 0xfa }, 1, .flags = 0x200, .vector = -1, .flags_after = 2 },
	{ "STI", { 0xfb }, 1, .vector = -1, .flags_after = 0x202 },
	{ "POPF changes IOPL", { 0x9d }, 1, .esp = 0x500, .vector = -1, .flags_after = 0x7fd7 },
	{ "AAM 0", { 0xd4, 0 }, 2, .vector = EM_EXC_DE },
	{ "BOUND", { 0x62, 0x07 }, 2, .eax = 0x7000, .ebx = 0x500, .vector = EM_EXC_BR },
};

static const struct single vm86_cases[] = {
	{ "CLI, IOPL 0", { 0xfa }, 1, .vector = EM_EXC_GP, .has_error = true },
	{ "CLI, IOPL 3", { 0xfa }, 1, .flags = 0x3200, .vector = -1, .flags_after = 0x23002 },
	{ "STI, IOPL 0, VME", { 0xfb }, 1, .cr4 = 1, .vector = -1, .flags_after = 0xa0002 },
	{ "STI, IOPL 0, VME, VIP", { 0xfb }, 1, .cr4 = 1, .flags = 0x100000, .vector = EM_EXC_GP,
	  .has_error = true },
	{ "PUSHF, IOPL 0", { 0x9c }, 1, .esp = 0x500, .vector = EM_EXC_GP, .has_error = true },
	{ "PUSHF, IOPL 0, VME", { 0x9c }, 1, .esp = 0x500, .cr4 = 1, .flags = 0x80000, .vector = -1,
	  .flags_after = 0xa0002 },
	{ "PUSHFD, IOPL 0, VME", { 0x66, 0x9c }, 2, .esp = 0x500, .cr4 = 1, .vector = EM_EXC_GP,
	  .has_error = true },
	{ "POPF, IOPL 0, VME", { 0x9d }, 1, .esp = 0x502, .cr4 = 1, .vector = -1,
	  .flags_after = 0xa0002 },
	{ "POPF with TF, IOPL 0, VME", { 0x9d }, 1, .esp = 0x504, .cr4 = 1, .vector = EM_EXC_GP,
	  .has_error = true },
	{ "INT n, IOPL 0", { 0xcd, 0x21 }, 2, .vector = EM_EXC_GP, .has_error = true },
	{ "IRET, IOPL 0", { 0xcf }, 1, .esp = 0x500, .vector = EM_EXC_GP, .has_error = true },
	{ "HLT", { 0xf4 }, 1, .vector = EM_EXC_GP, .has_error = true },
	{ "word across the limit", { 0x8b, 0x07 }, 2, .ebx = 0xffff, .vector = EM_EXC_GP,
	  .has_error = true },
	{ "LLDT", { 0x0f, 0x00, 0xd0 }, 3, .vector = EM_EXC_UD },
	{ "IN allowed by the map", { 0xe4, 0x60 }, 2, .vector = -1, .flags_after = 0x20002 },
	{ "IN denied by the map", { 0xe4, 0x61 }, 2, .vector = EM_EXC_GP, .has_error = true },
	{ "IN of a word, half denied", { 0xe5, 0x60 }, 2, .vector = EM_EXC_GP, .has_error = true },
	{ "IN denied with IOPL 3 too", { 0xe4, 0x61 }, 2, .flags = 0x3000, .vector = EM_EXC_GP,
	  .has_error = true },
};

/* A TSS at 0x2000 whose I/O map denies port 0x61 only. */
static void make_tss(void)
{
	u16 map = 104;

	memcpy(guest_low + 0x2000 + 102, &map, 2);
	guest_low[0x2000 + 104 + 0x61 / 8] = 1 << (0x61 & 7);
	g.seg[EM_SEG_TR].base = 0x2000;
	g.seg[EM_SEG_TR].limit = 0x2fff;
	g.seg[EM_SEG_TR].ar = 0x8b;
}

static bool run_single(const struct single *s, enum em_mode mode)
{
	static const u16 words[] = { 0xffff, 0x0200, 0x0100 };
	enum em_result r;
	unsigned long rip;

	begin(mode);
	make_tss();
	memcpy(guest_low + 0x500, words, sizeof(words));
	g.st.gpr[EM_RAX] = s->eax;
	g.st.gpr[EM_RBX] = s->ebx;
	g.st.gpr[EM_RSP] = s->esp;
	g.ctx.rflags |= s->flags;
	g.cr[4] = s->cr4;
	rip = g.ctx.rip;
	r = run_bytes(s->bytes, s->n);
	if (s->vector < 0)
		return r == EM_DONE && g.ctx.rip == rip + s->n &&
		       (!s->flags_after || g.ctx.rflags == s->flags_after);
	return r == EM_EXCEPTION && g.ctx.ex.vector == s->vector && g.ctx.rip == rip &&
	       g.ctx.ex.has_error == s->has_error && !g.ctx.ex.error_code &&
	       g.st.gpr[EM_RSP] == s->esp;
}

static void run_singles(const struct single *s, unsigned int n, enum em_mode mode,
			const char *what)
{
	char name[96];
	unsigned int i;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s: %s", what, s[i].what);
		if (!ktap_result(run_single(&s[i], mode), name))
			ktap_diag("vector %u error %d %x rip %llx rflags %llx", g.ctx.ex.vector,
				  g.ctx.ex.has_error, g.ctx.ex.error_code, g.ctx.rip,
				  g.ctx.rflags);
	}
}

/* Loading a segment in real mode keeps its limit: what "unreal mode" lives from. */
static void test_unreal(void)
{
	static const u8 load[] = { 0x8e, 0xd8 }, read[] = { 0x67, 0x8a, 0x03 };

	begin(EM_MODE_REAL);
	g.seg[EM_SEG_DS].limit = 0xffffffff;
	g.st.gpr[EM_RAX] = 0x1000;
	run_bytes(load, sizeof(load));
	g.st.gpr[EM_RBX] = 0xf0000;
	guest_low[0x100000] = 0x99;
	ktap_result(run_bytes(read, sizeof(read)) == EM_DONE && (u8)g.st.gpr[EM_RAX] == 0x99 &&
		    g.seg[EM_SEG_DS].base == 0x10000 && g.seg[EM_SEG_DS].limit == 0xffffffff,
		    "real mode: a segment load keeps the limit");
}

/* Fetching across the limit of CS, and with the wrap of a 16-bit IP that does not happen. */
static void test_fetch_limit(void)
{
	static const u8 mov[] = { 0xb8, 0x34 };
	enum em_result r;

	begin(EM_MODE_REAL);
	g.ctx.rip = 0xfffe;
	r = run_bytes(mov, sizeof(mov));
	ktap_result(r == EM_EXCEPTION && g.ctx.ex.vector == EM_EXC_GP && !g.ctx.ex.has_error,
		    "real mode: an instruction across the limit of CS");
}

void test_real_mode(void)
{
	test_program();
	run_singles(real_cases, ARRAY_SIZE(real_cases), EM_MODE_REAL, "real mode");
	run_singles(vm86_cases, ARRAY_SIZE(vm86_cases), EM_MODE_VM86, "virtual-8086 mode");
	test_unreal();
	test_fetch_limit();
}
