// SPDX-License-Identifier: GPL-2.0-only
/*
 * How many instructions the emulator takes for the instructions that devices are driven with.
 * It must not count time: instructions are the same on every run.
 */
#define _GNU_SOURCE
#include <signal.h>
#include "harness.h"

static unsigned long steps;

static void count_step(int sig)
{
	(void)sig;
	__atomic_add_fetch(&steps, 1, __ATOMIC_RELAXED);
}

/* Memory that costs next to nothing. */
static enum em_cb cheap_read(struct em_ctx *ctx, u64 la, void *buf, unsigned int n,
			     unsigned int acc)
{
	(void)ctx;
	(void)la;
	(void)n;
	(void)acc;
	*(u32 *)buf = 0x12345678;
	return EM_CB_OK;
}

static enum em_cb cheap_write(struct em_ctx *ctx, u64 la, const void *buf, unsigned int n,
			      unsigned int acc)
{
	(void)ctx;
	(void)la;
	(void)buf;
	(void)n;
	(void)acc;
	return EM_CB_OK;
}

static enum em_cb cheap_segment(struct em_ctx *ctx, enum em_seg seg, struct em_segment *s)
{
	(void)ctx;
	s->base = 0;
	s->limit = ~0u;
	s->ar = seg == EM_SEG_CS ? 0xc09b : 0xc093;
	s->selector = 0x10;
	return EM_CB_OK;
}

static unsigned long cost(enum em_mode mode, const u8 *bytes, unsigned int n)
{
	static const struct em_ops ops = {
		.read = cheap_read, .write = cheap_write, .get_segment = cheap_segment,
	};
	unsigned long gpr[16] = { [EM_RBX] = DATA_RW, [EM_RDI] = DATA_RW, [EM_RSI] = DATA_RW };
	static struct em_ctx ctx;
	unsigned long before;

	ctx.gpr = gpr;
	ctx.rip = CODE_BASE;
	ctx.rflags = 2;
	ctx.ops = &ops;
	ctx.mode = mode;
	ctx.cpl = 0;
	memcpy(ctx.insn, bytes, n);
	ctx.fetched = n;
	before = __atomic_load_n(&steps, __ATOMIC_RELAXED);
	asm volatile("pushfq\n\torl $0x100, (%%rsp)\n\tpopfq" : : : "memory", "cc");
	em_run(&ctx);
	asm volatile("pushfq\n\tandl $~0x100, (%%rsp)\n\tpopfq" : : : "memory", "cc");
	return __atomic_load_n(&steps, __ATOMIC_RELAXED) - before;
}

static void check(const char *what, enum em_mode mode, const u8 *bytes, unsigned int n,
		  unsigned long bound)
{
	unsigned long took = cost(mode, bytes, n);
	char name[128];

	snprintf(name, sizeof(name), "cost: %s: at most %lu instructions", what, bound);
	ktap_diag("%s: %lu instructions", what, took);
	ktap_result(took <= bound, name);
}

void test_cost(void)
{
	static const u8 store[] = { 0x89, 0x03 }, load[] = { 0x8b, 0x43, 0x10 };
	static const u8 byte_store[] = { 0xc6, 0x83, 0x10, 0x20, 0, 0, 0x5a };
	static const u8 stos[] = { 0xab }, or_mem[] = { 0x83, 0x0b, 0x01 };
	static const u8 movzx[] = { 0x0f, 0xb6, 0x43, 0x04 };
	struct sigaction sa = { .sa_handler = count_step }, old;

	sigaction(SIGTRAP, &sa, &old);
	check("mov %eax,(%rbx)", EM_MODE_PROT64, store, sizeof(store), 230);
	check("mov 0x10(%rbx),%eax", EM_MODE_PROT64, load, sizeof(load), 250);
	check("movb $0x5a,0x2010(%rbx)", EM_MODE_PROT64, byte_store, sizeof(byte_store), 300);
	check("movzbl 4(%rbx),%eax", EM_MODE_PROT64, movzx, sizeof(movzx), 320);
	check("orl $1,(%rbx)", EM_MODE_PROT64, or_mem, sizeof(or_mem), 450);
	check("stosl", EM_MODE_PROT64, stos, sizeof(stos), 250);
	check("mov %eax,(%ebx) in 32-bit mode", EM_MODE_PROT32, store, sizeof(store), 400);
	sigaction(SIGTRAP, &old, NULL);
}
