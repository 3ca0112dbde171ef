// SPDX-License-Identifier: GPL-2.0-only
/*
 * Puts a vCPU into each CPU mode: descriptors, page tables, default handlers.
 * Must not run a vCPU except to wait for a handler's report.
 */
#include <string.h>

#include "stubs.h"
#include "tvm.h"

#define CR0_PE BIT(0)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_PG BIT(31)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)

#define PTE_P 0x01
#define PTE_RWUAD 0x66
#define PTE_LARGE 0x80
#define PTE_TABLE (PTE_P | PTE_RWUAD)
#define PTE_LEAF (PTE_P | PTE_RWUAD)

static const char * const mode_names[MODE_COUNT] = {
	[MODE_REAL] = "real mode",
	[MODE_PROT16] = "16-bit protected mode",
	[MODE_PROT32] = "32-bit protected mode",
	[MODE_PAGED32] = "32-bit paging",
	[MODE_PAE] = "PAE paging",
	[MODE_LONG] = "long mode",
};

const char *tmode_name(enum tmode mode)
{
	return mode_names[mode];
}

/* The part of a descriptor that is the same in memory and in struct kvm_segment. */
static const struct {
	u16 selector;
	u32 limit;
	u8 type, dpl, db, l, g;
} descriptors[] = {
	{ SEL_CODE64, 0xffffffff, 11, 0, 0, 1, 1 },
	{ SEL_DATA, 0xffffffff, 3, 0, 1, 0, 1 },
	{ SEL_CODE32, 0xffffffff, 11, 0, 1, 0, 1 },
	{ SEL_CODE16, 0xffff, 11, 0, 0, 0, 0 },
	{ SEL_DATA16, 0xffff, 3, 0, 0, 0, 0 },
	{ SEL_UCODE32, 0xffffffff, 11, 3, 1, 0, 1 },
	{ SEL_UDATA, 0xffffffff, 3, 3, 1, 0, 1 },
	{ SEL_UCODE64, 0xffffffff, 11, 3, 0, 1, 1 },
};

#define DESCRIPTORS (ARRAY_SIZE(descriptors))

static void write_gdt(u8 *mem)
{
	u64 *gdt = (u64 *)(mem + GUEST_GDT);
	unsigned int i;

	for (i = 0; i < DESCRIPTORS; i++) {
		u64 limit = descriptors[i].g ? descriptors[i].limit >> 12 :
						    descriptors[i].limit;

		gdt[descriptors[i].selector / 8] =
			(limit & 0xffff) | (limit >> 16 & 0xf) << 48 |
			(u64)(0x90 | descriptors[i].dpl << 5 | descriptors[i].type) << 40 |
			(u64)descriptors[i].l << 53 | (u64)descriptors[i].db << 54 |
			(u64)descriptors[i].g << 55;
	}
	gdt[SEL_TSS / 8] = 0x67 | (u64)GUEST_TSS << 16 | 0x8bULL << 40;
}

static void write_page_tables(u8 *mem)
{
	u64 *pml4 = (u64 *)(mem + GUEST_PML4);
	u64 *pdpt = (u64 *)(mem + GUEST_PDPT);
	u64 *pdpt_pae = (u64 *)(mem + GUEST_PDPT_PAE);
	u64 *pd = (u64 *)(mem + GUEST_PD);
	u64 *pt = (u64 *)(mem + GUEST_PT);
	u32 *pd32 = (u32 *)(mem + GUEST_PD32);
	u32 *pt32 = (u32 *)(mem + GUEST_PT32);
	unsigned int i;

	pml4[0] = GUEST_PDPT | PTE_TABLE;
	for (i = 0; i < 4; i++) {
		pdpt[i] = (GUEST_PD + i * PAGE) | PTE_TABLE;
		pdpt_pae[i] = (GUEST_PD + i * PAGE) | PTE_P;
	}
	for (i = 0; i < 4 * 512; i++)
		pd[i] = (u64)i << 21 | PTE_LEAF | PTE_LARGE;
	pd[0] = GUEST_PT | PTE_TABLE;
	for (i = 0; i < 512; i++)
		pt[i] = i * PAGE | PTE_LEAF;
	for (i = 0; i < 1024; i++) {
		pd32[i] = i << 22 | PTE_LEAF | PTE_LARGE;
		pt32[i] = i << 12 | PTE_LEAF;
	}
	pd32[0] = GUEST_PT32 | PTE_TABLE;
}

void tvm_write_tables(u8 *mem)
{
	write_gdt(mem);
	write_page_tables(mem);
}

/* The stack for entries from ring 3: SS0 of the 32-bit layout is part of RSP0 in the other. */
static void write_tss(struct tcpu *cpu)
{
	u32 stack[2] = { GUEST_STACK + 0x800, cpu->mode == MODE_LONG ? 0 : SEL_DATA };

	memcpy(cpu->vm->mem + GUEST_TSS + 4, stack, sizeof(stack));
}

u64 *tvm_pte(struct tvm *vm, u64 gva)
{
	return (u64 *)(vm->mem + GUEST_PT) + gva / PAGE;
}

void tvm_gate(struct tcpu *cpu, unsigned int vector, u64 handler)
{
	u64 *idt = (u64 *)(cpu->vm->mem + GUEST_IDT);
	u64 low = (handler & 0xffff) | (handler >> 16 & 0xffff) << 48 | 0x8eULL << 40;
	u32 *ivt = (u32 *)(cpu->vm->mem + GUEST_IVT);

	if (cpu->mode == MODE_REAL) {
		ivt[vector] = handler;
	} else if (cpu->mode == MODE_LONG) {
		idt[2 * vector] = low | SEL_CODE64 << 16;
		idt[2 * vector + 1] = handler >> 32;
	} else {
		idt[vector] = low | SEL_CODE32 << 16;
	}
}

static void write_handlers(struct tcpu *cpu)
{
	const u8 *stubs = stubs32;
	const u8 *end = stubs16;
	unsigned int vector;

	if (cpu->mode == MODE_LONG) {
		stubs = stubs64;
		end = stubs64_lapic;
	} else if (cpu->mode == MODE_REAL) {
		stubs = stubs16;
		end = stubs_end;
	}
	memcpy(cpu->vm->mem + GUEST_STUBS, stubs, end - stubs);
	for (vector = 0; vector < 256; vector++)
		tvm_gate(cpu, vector, GUEST_STUBS + vector * STUB_SIZE);
}

void tcpu_handlers(struct tcpu *cpu, enum teoi eoi)
{
	static const struct {
		const u8 *start, *end;
	} sets[] = {
		[EOI_NONE] = { stubs64, stubs64_lapic },
		[EOI_LAPIC] = { stubs64_lapic, stubs64_lapic_end },
		[EOI_X2APIC] = { stubs64_x2apic, stubs64_x2apic_end },
		[EOI_PIC] = { stubs64_pic, stubs64_pic_end },
	};

	memcpy(cpu->vm->mem + GUEST_STUBS, sets[eoi].start, sets[eoi].end - sets[eoi].start);
}

static struct kvm_segment segment(u16 selector)
{
	struct kvm_segment seg = { .selector = selector, .present = 1, .s = 1 };
	unsigned int i;

	for (i = 0; i < DESCRIPTORS; i++) {
		if (descriptors[i].selector != selector)
			continue;
		seg.limit = descriptors[i].limit;
		seg.type = descriptors[i].type;
		seg.dpl = descriptors[i].dpl;
		seg.db = descriptors[i].db;
		seg.l = descriptors[i].l;
		seg.g = descriptors[i].g;
	}
	return seg;
}

static const struct {
	u16 code, data;
	u32 cr3;
	bool paging, pae, lme;
} modes[MODE_COUNT] = {
	[MODE_REAL] = { SEL_CODE16, SEL_DATA16 },
	[MODE_PROT16] = { SEL_CODE16, SEL_DATA16 },
	[MODE_PROT32] = { SEL_CODE32, SEL_DATA },
	[MODE_PAGED32] = { SEL_CODE32, SEL_DATA, GUEST_PD32, true },
	[MODE_PAE] = { SEL_CODE32, SEL_DATA, GUEST_PDPT_PAE, true, true },
	[MODE_LONG] = { SEL_CODE64, SEL_DATA, GUEST_PML4, true, true, true },
};

static void set_control_registers(struct kvm_sregs *sregs, enum tmode mode)
{
	sregs->cr0 = CR0_ET | CR0_NE;
	if (mode != MODE_REAL)
		sregs->cr0 |= CR0_PE;
	if (modes[mode].paging)
		sregs->cr0 |= CR0_PG;
	sregs->cr2 = 0;
	sregs->cr3 = modes[mode].cr3;
	sregs->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
	if (modes[mode].paging)
		sregs->cr4 |= modes[mode].pae ? CR4_PAE : CR4_PSE;
	sregs->efer = modes[mode].lme ? EFER_LME | EFER_LMA : 0;
}

static void set_segments(struct kvm_sregs *sregs, enum tmode mode)
{
	sregs->cs = segment(modes[mode].code);
	sregs->ds = segment(modes[mode].data);
	if (mode == MODE_REAL) {
		sregs->cs.selector = 0;
		sregs->ds.selector = 0;
	}
	sregs->es = sregs->ds;
	sregs->fs = sregs->ds;
	sregs->gs = sregs->ds;
	sregs->ss = sregs->ds;
	sregs->tr = (struct kvm_segment) {
		.selector = SEL_TSS, .base = GUEST_TSS, .limit = 0x67, .type = 11, .present = 1,
	};
	sregs->ldt = (struct kvm_segment) { .unusable = 1 };
	sregs->gdt.base = GUEST_GDT;
	sregs->gdt.limit = SEL_FREE + 31;
	sregs->idt.base = mode == MODE_REAL ? GUEST_IVT : GUEST_IDT;
	sregs->idt.limit = mode == MODE_REAL ? 0x3ff : 0xfff;
}

void tcpu_mode(struct tcpu *cpu, enum tmode mode)
{
	struct kvm_regs regs = { .rip = GUEST_CODE, .rsp = GUEST_CODE, .rflags = 2 };
	struct kvm_sregs sregs;

	tcpu_settle(cpu);
	sregs = tcpu_sregs(cpu);
	cpu->mode = mode;
	write_handlers(cpu);
	write_tss(cpu);
	set_control_registers(&sregs, mode);
	set_segments(&sregs, mode);
	memset(sregs.interrupt_bitmap, 0, sizeof(sregs.interrupt_bitmap));
	tcpu_set_sregs(cpu, &sregs);
	tcpu_set_regs(cpu, &regs);
}

static u64 frame_word(struct tcpu *cpu, u64 at, unsigned int size)
{
	u64 value = 0;

	if (at > GUEST_SIZE - size)
		tvm_die("a handler's stack lies at %#llx", at);
	memcpy(&value, cpu->vm->mem + at, size);
	return value;
}

bool tcpu_fault(struct tcpu *cpu, struct tfault *fault)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	unsigned int word;
	u64 at;

	if (!tcpu_is_out(cpu, PORT_FAULT))
		return false;
	sregs = tcpu_sregs(cpu);
	regs = tcpu_regs(cpu);
	word = sregs.cs.l ? 8 : sregs.cs.db ? 4 : 2;
	at = word == 2 ? sregs.ss.base + (regs.rsp & 0xffff) : regs.rsp;
	fault->vector = frame_word(cpu, at, word);
	fault->error = 0;
	if (word != 2) {
		at += word;
		fault->error = frame_word(cpu, at, word);
	}
	at += word;
	fault->frame = at;
	fault->rip = frame_word(cpu, at, word);
	fault->cs = frame_word(cpu, at + word, word) & 0xffff;
	fault->rflags = frame_word(cpu, at + 2 * word, word);
	return true;
}

int tcpu_run_fault(struct tcpu *cpu)
{
	int reason = tcpu_run(cpu);
	struct tfault fault;

	if (reason >= 0 && tcpu_fault(cpu, &fault))
		return fault.vector;
	if (reason < 0)
		fprintf(stderr, "# KVM_RUN gave errno %d where a handler was due\n", -reason);
	else
		tcpu_explain(cpu);
	return -1;
}

/* About 60,000 instructions: more than enough for an interrupt that is due. */
PROGRAM(idle, 64,
	"1: mov $20000, %ecx; 2: nop; dec %ecx; jnz 2b;"
	"out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b");

void tcpu_idle(struct tcpu *cpu, bool interrupts)
{
	tcpu_load(cpu, &idle);
	tcpu_set_rip(cpu, GUEST_CODE, interrupts);
}

int tcpu_wait(struct tcpu *cpu)
{
	int reason = tcpu_run(cpu);
	struct tfault fault;

	if (reason >= 0 && tcpu_is_out(cpu, PORT_TEST))
		return WAIT_NOTHING;
	if (reason >= 0 && tcpu_fault(cpu, &fault))
		return fault.vector;
	if (reason < 0)
		fprintf(stderr, "# KVM_RUN gave errno %d\n", -reason);
	else
		tcpu_explain(cpu);
	return -1;
}
