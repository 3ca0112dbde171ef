// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run a case on the emulator and on the processor and compare everything they leave behind.
 * It must not run natively what would touch memory outside the test's data.
 */
#include "harness.h"

#define MAX_REPORTS 30

static u8 before[DATA_RW_SIZE], after_em[DATA_RW_SIZE], after_cpu[DATA_RW_SIZE];
static struct guest guest;

void describe(const u8 *bytes, unsigned int n, const struct state *in)
{
	char text[64];
	unsigned int i;

	for (i = 0; i < n; i++)
		sprintf(text + 3 * i, "%02x ", bytes[i]);
	ktap_diag("bytes %s", text);
	ktap_diag("  rax %lx rcx %lx rdx %lx rbx %lx rsp %lx rbp %lx rsi %lx rdi %lx", in->gpr[0],
		  in->gpr[1], in->gpr[2], in->gpr[3], in->gpr[4], in->gpr[5], in->gpr[6],
		  in->gpr[7]);
	ktap_diag("  rip %llx rflags %llx cs %x ss %x ds %x es %x", in->rip, in->rflags,
		  in->sel[EM_SEG_CS], in->sel[EM_SEG_SS], in->sel[EM_SEG_DS], in->sel[EM_SEG_ES]);
}

static bool differ(const char *what, u64 em, u64 cpu)
{
	if (em == cpu)
		return false;
	ktap_diag("  %s: emulator %llx, processor %llx", what, em, cpu);
	return true;
}

static bool is_fault(int vector)
{
	return vector >= EM_EXC_TS && vector <= EM_EXC_PF;
}

static bool compare_faults(const struct state *em, const struct state *cpu,
			   const struct tolerance *t)
{
	bool bad;

	if (t->any_fault && is_fault(em->vector) && is_fault(cpu->vector))
		return false;
	if (t->too_long && em->vector == EM_EXC_UD && cpu->vector == EM_EXC_GP)
		return false;
	bad = differ("vector", em->vector, cpu->vector);
	if (!bad && em->vector >= EM_EXC_TS && em->vector <= EM_EXC_PF)
		bad |= differ("error code", em->error, cpu->error);
	if (!bad && em->vector == EM_EXC_PF)
		bad |= differ("cr2", em->cr2, cpu->cr2);
	return bad;
}

/* The kernel's return to user mode makes any null selector 0. */
static u16 selector(u16 sel)
{
	return sel & 0xfffc ? sel : 0;
}

static bool compare_registers(const struct state *em, const struct state *cpu, enum em_mode mode,
			      const struct tolerance *t)
{
	u64 flags = ~(t->flags | 0x10000);
	bool bad;
	unsigned int i;
	char name[8];

	bad = differ("rip", em->rip, cpu->rip);
	bad |= differ("rflags", em->rflags & flags, cpu->rflags & flags);
	for (i = 0; i < 16; i++) {
		if (t->gprs & (1u << i))
			continue;
		sprintf(name, "gpr %u", i);
		if (mode == EM_MODE_PROT64 && !(t->low32 && !native_is_amd))
			bad |= differ(name, em->gpr[i], cpu->gpr[i]);
		else if (i < 8)
			bad |= differ(name, (u32)em->gpr[i], (u32)cpu->gpr[i]);
	}
	for (i = EM_SEG_ES; i <= EM_SEG_GS; i++) {
		sprintf(name, "seg %u", i);
		bad |= i != EM_SEG_FS && differ(name, selector(em->sel[i]), selector(cpu->sel[i]));
	}
	return bad;
}

static bool compare_vectors(const struct state *em, const struct state *cpu)
{
	bool bad = false;
	unsigned int i, j;

	for (i = 0; i < 16; i++)
		for (j = 0; j < (native_has_avx ? 4 : 2); j++)
			bad |= differ("vector register", em->ymm[i][j], cpu->ymm[i][j]);
	for (i = 0; i < 8; i++)
		bad |= differ("mm register", em->mm[i], cpu->mm[i]);
	return bad;
}

/* Take the upper half of the slot that was pushed from the processor. */
static void forgive_push(const struct state *em)
{
	u64 mask = guest.seg[EM_SEG_SS].ar & EM_AR_DB ? 0xffffffff : 0xffff;
	u64 at = guest.seg[EM_SEG_SS].base + (em->gpr[EM_RSP] & mask) + 2 - DATA_RW;

	if (at <= DATA_RW_SIZE - 2)
		memcpy(after_em + at, after_cpu + at, 2);
}

static bool compare_memory(void)
{
	unsigned int i;

	if (!memcmp(after_em, after_cpu, DATA_RW_SIZE))
		return false;
	for (i = 0; i < DATA_RW_SIZE - 1; i++)
		if (after_em[i] != after_cpu[i])
			break;
	return differ("first byte of memory", after_em[i], after_cpu[i]) |
	       differ("at", DATA_RW + i, 0);
}

/**
 * compare_run() - one case
 * @in: state, its rip already where place_code() put the bytes
 * @bytes: the instruction, for the report
 * @n: its length
 * @mode: mode that in->sel[EM_SEG_CS] means
 * @t: what may differ
 *
 * Return: whether everything agrees. Cases that leave the test's memory count as agreeing.
 */
bool compare_run(const struct state *in, const u8 *bytes, unsigned int n, enum em_mode mode,
		 const struct tolerance *t)
{
	static unsigned int reports;
	struct state em, cpu = *in;
	enum em_result r;
	bool bad;

	memory_save(before);
	r = guest_run(&guest, in, mode, 0, &em);
	memory_save(after_em);
	memory_restore(before);
	if (guest.outside || guest.loaded_fs)
		return true;
	if ((in->rflags & FL_TF) && guest.ctx.shadow == EM_SHADOW_MOV_SS)
		return true;
	native_run(in, &cpu, t->vectors);
	memory_save(after_cpu);
	bad = r == EM_UNHANDLED || r == EM_FAILED;
	bad |= compare_faults(&em, &cpu, t);
	if (t->push_seg)
		forgive_push(&em);
	if (!bad && !(t->partial && is_fault(em.vector)))
		bad = compare_registers(&em, &cpu, mode, t) | compare_memory();
	if (!bad && t->vectors)
		bad = compare_vectors(&em, &cpu);
	if (bad && reports++ < MAX_REPORTS) {
		ktap_diag("emulator says %s", result_name(r));
		describe(bytes, n, in);
	}
	memory_restore(before);
	return !bad;
}
