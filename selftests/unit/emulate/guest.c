// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine behind the emulator in the tests: memory with holes, tables, registers.
 * It must not let the emulator write anywhere but where the test's data lies.
 */
#define _GNU_SOURCE
#include <sched.h>
#include "harness.h"

u64 guest_ldt[LDT_COUNT];
u8 guest_low[LOW_SIZE];
static u64 gdt[GDT_SIZE / 8];

/*
 * The kernel's GDT as far as user code can see it. Its last entry tells the CPU number by its
 * limit, so stay on one CPU.
 */
void guest_tables_init(void)
{
	cpu_set_t set;
	u32 limit;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
	asm volatile("lsl %1, %0" : "=r" (limit) : "r" (0x7b) : "cc");
	gdt[15] = 0x0040f50000000000 | limit;
	gdt[1] = 0x00cf9b000000ffff;
	gdt[2] = 0x00af9b000000ffff;
	gdt[3] = 0x00cf93000000ffff;
	gdt[4] = 0x00cffb000000ffff;
	gdt[5] = 0x00cff3000000ffff;
	gdt[6] = 0x00affb000000ffff;
	gdt[8] = 0x00008b0000004087;
	gdt[10] = 0x0000820000000000 | (sizeof(guest_ldt) - 1);
}

static struct guest *to_guest(struct em_ctx *ctx)
{
	return (struct guest *)ctx;
}

enum { READABLE = 1, WRITABLE = 2, HOLE = 4 };

static unsigned int low_rights(const struct guest *g, u64 la)
{
	if (la >= LOW_SIZE)
		return 0;
	if (g->absent && (la & ~4095ull) == g->absent)
		return HOLE;
	if (g->read_only && (la & ~4095ull) == g->read_only)
		return READABLE;
	return READABLE | WRITABLE;
}

static unsigned int page_rights(const struct guest *g, u64 la)
{
	if (g->flags & GUEST_LOW)
		return low_rights(g, la);
	if (la - CODE_BASE < CODE_PAGES * 4096)
		return READABLE;
	if (la - CODE_BASE < (CODE_PAGES + 1) * 4096)
		return HOLE;
	if (la - DATA_RW < DATA_RW_SIZE)
		return READABLE | WRITABLE;
	if (la - DATA_RO < 4096)
		return READABLE;
	if (la - DATA_BASE < DATA_LIMIT - DATA_BASE)
		return HOLE;
	return 0;
}

/* Find the first byte that cannot be accessed, as the processor's page walks do. */
static enum em_cb check(struct guest *g, u64 la, unsigned int n, bool write, u32 error)
{
	u64 end = la + n, at = la;
	unsigned int rights;

	if (end < la) {
		g->outside = true;
		return EM_CB_FAIL;
	}
	while (at < end) {
		rights = page_rights(g, at);
		if (!rights || (write && la - CODE_BASE < CODE_PAGES * 4096))
			g->outside = true;
		if (!(rights & READABLE) || (write && !(rights & WRITABLE))) {
			if (rights & READABLE)
				error |= 1;
			return em_raise_pf(&g->ctx, error | (write ? 2 : 0), at);
		}
		at = (at | 4095) + 1;
	}
	return EM_CB_OK;
}

/* The user bit of a page fault's error code. */
static u32 user(const struct em_ctx *ctx, unsigned int acc)
{
	return ctx->cpl == 3 && !(acc & EM_ACC_SYSTEM) ? 4 : 0;
}

static void *host(const struct guest *g, u64 la)
{
	return g->flags & GUEST_LOW ? guest_low + la : (u8 *)la;
}

static enum em_cb fetch(struct em_ctx *ctx, u64 la, void *buf, unsigned int n)
{
	enum em_cb cb;

	to_guest(ctx)->callbacks++;
	cb = check(to_guest(ctx), la, n, false, 0x14);
	if (cb == EM_CB_OK)
		memcpy(buf, host(to_guest(ctx), la), n);
	return cb;
}

static bool in_table(u64 la, unsigned int n, u64 base, unsigned int size)
{
	return la >= base && la + n <= base + size;
}

static void *table_byte(u64 la, unsigned int n)
{
	if (in_table(la, n, GDT_BASE, sizeof(gdt)))
		return (u8 *)gdt + (la - GDT_BASE);
	if (in_table(la, n, LDT_BASE, sizeof(guest_ldt)))
		return (u8 *)guest_ldt + (la - LDT_BASE);
	return NULL;
}

/*
 * With GUEST_PENDING every access that succeeds is answered with "pending" the first time and
 * from the record afterwards. True when the callback has to answer @cb.
 */
static bool replay(struct guest *g, u64 la, void *buf, unsigned int n, enum em_cb *cb)
{
	unsigned int i = g->next_record++;

	if (i >= ARRAY_SIZE(g->record) || i >= g->records)
		return false;
	if (g->record[i].la != la || g->record[i].n != n) {
		*cb = EM_CB_FAIL;
		return true;
	}
	if (buf)
		memcpy(buf, g->record[i].data, n);
	*cb = EM_CB_OK;
	return true;
}

static enum em_cb record(struct guest *g, u64 la, const void *buf, unsigned int n)
{
	unsigned int i = g->records;

	if (!(g->flags & GUEST_PENDING) || i >= ARRAY_SIZE(g->record) ||
	    n > sizeof(g->record[i].data))
		return EM_CB_OK;
	g->record[i].la = la;
	g->record[i].n = n;
	if (buf)
		memcpy(g->record[i].data, buf, n);
	g->records++;
	g->pendings++;
	return EM_CB_PENDING;
}

static enum em_cb mem_read(struct em_ctx *ctx, u64 la, void *buf, unsigned int n,
			   unsigned int acc)
{
	struct guest *g = to_guest(ctx);
	void *table = acc & EM_ACC_SYSTEM ? table_byte(la, n) : NULL;
	enum em_cb cb;

	g->callbacks++;
	if (table) {
		memcpy(buf, table, n);
		return EM_CB_OK;
	}
	cb = check(g, la, n, acc & EM_ACC_RMW, user(ctx, acc));
	if (cb != EM_CB_OK || replay(g, la, buf, n, &cb))
		return cb;
	memcpy(buf, host(g, la), n);
	return record(g, la, buf, n);
}

static enum em_cb mem_write(struct em_ctx *ctx, u64 la, const void *buf, unsigned int n,
			    unsigned int acc)
{
	struct guest *g = to_guest(ctx);
	void *table = acc & EM_ACC_SYSTEM ? table_byte(la, n) : NULL;
	enum em_cb cb;

	g->callbacks++;
	if (table) {
		memcpy(table, buf, n);
		return EM_CB_OK;
	}
	cb = check(g, la, n, true, user(ctx, acc));
	if (cb != EM_CB_OK || replay(g, la, NULL, n, &cb))
		return cb;
	memcpy(host(g, la), buf, n);
	return record(g, la, NULL, n);
}

/* A read-only page is a device to a batch. */
static enum em_cb probe_write(struct em_ctx *ctx, u64 la, unsigned int n, unsigned int acc)
{
	struct guest *g = to_guest(ctx);

	if ((acc & EM_ACC_BATCH) && g->read_only && (la & ~4095ull) == g->read_only)
		return EM_CB_SPLIT;
	return check(to_guest(ctx), la, n, true, user(ctx, acc));
}

static enum em_cb cmpxchg(struct em_ctx *ctx, u64 la, void *old, const void *new, unsigned int n)
{
	struct guest *g = to_guest(ctx);
	enum em_cb cb;
	u8 found[16];

	g->callbacks++;
	cb = check(g, la, n, true, user(ctx, 0));
	if (cb != EM_CB_OK || replay(g, la, old, n, &cb))
		return cb;
	if (g->steal) {
		g->steal--;
		++*(u8 *)host(g, la);
	}
	memcpy(found, host(g, la), n);
	if (!memcmp(found, old, n))
		memcpy(host(g, la), new, n);
	memcpy(old, found, n);
	return record(g, la, found, n);
}

static void iter_done(struct em_ctx *ctx)
{
	to_guest(ctx)->records = 0;
	to_guest(ctx)->next_record = 0;
}

static enum em_cb get_segment(struct em_ctx *ctx, enum em_seg seg, struct em_segment *s)
{
	to_guest(ctx)->callbacks++;
	*s = to_guest(ctx)->seg[seg];
	return EM_CB_OK;
}

static enum em_cb set_segment(struct em_ctx *ctx, enum em_seg seg, const struct em_segment *s)
{
	to_guest(ctx)->seg[seg] = *s;
	if (seg == EM_SEG_FS)
		to_guest(ctx)->loaded_fs = true;
	return EM_CB_OK;
}

static enum em_cb get_cr(struct em_ctx *ctx, unsigned int nr, u64 *val)
{
	to_guest(ctx)->callbacks++;
	if (nr == EM_CR_XCR0)
		*val = to_guest(ctx)->xcr0;
	else if (nr == EM_CR_EFER)
		*val = to_guest(ctx)->efer;
	else
		*val = to_guest(ctx)->cr[nr];
	return EM_CB_OK;
}

static enum em_cb set_cr(struct em_ctx *ctx, unsigned int nr, u64 val)
{
	to_guest(ctx)->cr[nr] = val;
	return EM_CB_OK;
}

static enum em_cb get_dr(struct em_ctx *ctx, unsigned int nr, u64 *val)
{
	*val = to_guest(ctx)->dr[nr];
	return EM_CB_OK;
}

static enum em_cb set_dr(struct em_ctx *ctx, unsigned int nr, u64 val)
{
	to_guest(ctx)->dr[nr] = val;
	return EM_CB_OK;
}

static enum em_cb get_gdt(struct em_ctx *ctx, u64 *base, u32 *limit)
{
	*base = to_guest(ctx)->gdt_base;
	*limit = to_guest(ctx)->gdt_limit;
	return EM_CB_OK;
}

static enum em_cb get_idt(struct em_ctx *ctx, u64 *base, u32 *limit)
{
	*base = to_guest(ctx)->idt_base;
	*limit = to_guest(ctx)->idt_limit;
	return EM_CB_OK;
}

static enum em_cb set_gdt(struct em_ctx *ctx, u64 base, u32 limit)
{
	to_guest(ctx)->gdt_base = base;
	to_guest(ctx)->gdt_limit = limit;
	return EM_CB_OK;
}

static enum em_cb set_idt(struct em_ctx *ctx, u64 base, u32 limit)
{
	to_guest(ctx)->idt_base = base;
	to_guest(ctx)->idt_limit = limit;
	return EM_CB_OK;
}

static enum em_cb get_msr(struct em_ctx *ctx, u32 msr, u64 *val)
{
	if (msr != 0xc0000080)
		return em_raise(ctx, EM_EXC_GP, true, 0);
	*val = to_guest(ctx)->efer;
	return EM_CB_OK;
}

static enum em_cb set_msr(struct em_ctx *ctx, u32 msr, u64 val)
{
	if (msr != 0xc0000080)
		return em_raise(ctx, EM_EXC_GP, true, 0);
	to_guest(ctx)->efer = val;
	return EM_CB_OK;
}

/* A device whose input is made of the port number and a running count. */
static enum em_cb port_in(struct em_ctx *ctx, u16 port, unsigned int size, void *buf,
			  unsigned int count)
{
	struct guest *g = to_guest(ctx);
	enum em_cb cb;
	unsigned int i;
	u8 *p = buf;

	g->port_ins++;
	g->port_count = count;
	if (size * count <= 64 && replay(g, port, buf, size * count, &cb))
		return cb;
	for (i = 0; i < size * count; i++)
		p[i] = port + i;
	g->callbacks++;
	return size * count <= 64 ? record(g, port, buf, size * count) : EM_CB_OK;
}

static enum em_cb port_out(struct em_ctx *ctx, u16 port, unsigned int size, const void *buf,
			   unsigned int count)
{
	struct guest *g = to_guest(ctx);
	enum em_cb cb;

	(void)buf;
	if (size * count <= 64 && replay(g, port, NULL, size * count, &cb))
		return cb;
	g->callbacks++;
	return size * count <= 64 ? record(g, port, NULL, size * count) : EM_CB_OK;
}

static enum em_cb fpu_get(struct em_ctx *ctx)
{
	(void)ctx;
	return EM_CB_OK;
}

static void fpu_put(struct em_ctx *ctx)
{
	(void)ctx;
}

static void read_vec(struct em_ctx *ctx, unsigned int index, void *buf, unsigned int size)
{
	memcpy(buf, to_guest(ctx)->st.ymm[index], size);
}

static void write_vec(struct em_ctx *ctx, unsigned int index, const void *buf, unsigned int size)
{
	memcpy(to_guest(ctx)->st.ymm[index], buf, size);
}

static void read_mmx(struct em_ctx *ctx, unsigned int index, u64 *val)
{
	*val = to_guest(ctx)->st.mm[index];
}

static void write_mmx(struct em_ctx *ctx, unsigned int index, u64 val)
{
	to_guest(ctx)->st.mm[index] = val;
}

const struct em_ops guest_ops = {
	.fetch = fetch,
	.read = mem_read,
	.write = mem_write,
	.probe_write = probe_write,
	.cmpxchg = cmpxchg,
	.iter_done = iter_done,
	.get_segment = get_segment,
	.set_segment = set_segment,
	.get_cr = get_cr,
	.set_cr = set_cr,
	.get_dr = get_dr,
	.set_dr = set_dr,
	.get_gdt = get_gdt,
	.get_idt = get_idt,
	.set_gdt = set_gdt,
	.set_idt = set_idt,
	.get_msr = get_msr,
	.set_msr = set_msr,
	.port_in = port_in,
	.port_out = port_out,
	.fpu_get = fpu_get,
	.fpu_put = fpu_put,
	.read_vec = read_vec,
	.write_vec = write_vec,
	.read_mmx = read_mmx,
	.write_mmx = write_mmx,
};

/* The hidden part that the kernel's tables give a selector. */
static struct em_segment from_selector(u16 sel)
{
	u64 raw = (sel & 4) ? guest_ldt[sel >> 3] : gdt[sel >> 3];
	struct em_segment s = { .selector = sel, .ar = EM_AR_UNUSABLE };

	if (!(sel & 0xfffc))
		return s;
	s.base = ((raw >> 16) & 0xffffff) | (raw >> 56) << 24;
	s.limit = (raw & 0xffff) | ((raw >> 32) & 0xf0000);
	s.ar = (raw >> 40) & 0xf0ff;
	if (s.ar & EM_AR_G)
		s.limit = s.limit << 12 | 0xfff;
	return s;
}

/* Linux's user mode: flat, CPL 3, alignment checks allowed, no I/O. */
void guest_begin(struct guest *g, const struct state *in, enum em_mode mode, unsigned int flags)
{
	unsigned int i;

	memset(g, 0, offsetof(struct guest, record));
	memset(&g->outside, 0, sizeof(*g) - offsetof(struct guest, outside));
	g->st = *in;
	g->flags = flags;
	g->cr[0] = 0x80050033;
	g->cr[4] = 0x407f0;
	g->xcr0 = 7;
	g->efer = 0xd01;
	g->gdt_base = GDT_BASE;
	g->gdt_limit = GDT_SIZE - 1;
	for (i = 0; i < 6; i++)
		g->seg[i] = from_selector(in->sel[i]);
	g->seg[EM_SEG_LDTR].base = LDT_BASE;
	g->seg[EM_SEG_LDTR].limit = sizeof(guest_ldt) - 1;
	g->seg[EM_SEG_LDTR].ar = 0x82;
	g->seg[EM_SEG_TR].base = 0;
	g->seg[EM_SEG_TR].limit = 0x67;
	g->seg[EM_SEG_TR].ar = 0x8b;
	g->ctx.gpr = g->st.gpr;
	g->ctx.rip = in->rip;
	g->ctx.rflags = in->rflags;
	g->ctx.ops = &guest_ops;
	g->ctx.features = EM_FEAT_ALL;
	g->ctx.mode = mode;
	g->ctx.cpl = 3;
	g->ctx.fetched = 0;
}

const char *result_name(enum em_result r)
{
	static const char * const names[] = {
		[EM_DONE] = "done", [EM_EXCEPTION] = "exception", [EM_IO_PENDING] = "pending",
		[EM_FAILED] = "failed", [EM_UNHANDLED] = "unhandled", [EM_RESTART] = "restart",
		[EM_HALT] = "halt",
	};

	return names[r];
}

/* Between a pending access and its replay nothing may have changed, except by REP. */
static bool unchanged(const struct guest *g, const struct state *in)
{
	if (g->ctx.rip != in->rip)
		return false;
	if (g->ctx.d.rep)
		return true;
	return g->ctx.rflags == in->rflags && !memcmp(g->st.gpr, in->gpr, sizeof(in->gpr));
}

/* Hand over what can be read of the instruction, as a caller with spare bytes does. */
static void prefetch(struct em_ctx *ctx)
{
	u64 left = CODE_BASE + CODE_PAGES * 4096 - ctx->rip;

	ctx->fetched = left < EM_INSN_MAX ? left : EM_INSN_MAX;
	memcpy(ctx->insn, (void *)ctx->rip, ctx->fetched);
}

/**
 * guest_run() - emulate what native_run() executes
 * @g: scratch
 * @in: state to start with
 * @mode: mode
 * @flags: GUEST_*
 * @out: state afterwards, with the trap that the processor would take
 *
 * Return: the last result of em_run(); EM_FAILED also when a pending access was not clean.
 */
enum em_result guest_run(struct guest *g, const struct state *in, enum em_mode mode,
			 unsigned int flags, struct state *out)
{
	enum em_result r;
	unsigned int i;

	guest_begin(g, in, mode, flags);
	if (flags & GUEST_PREFETCH)
		prefetch(&g->ctx);
	for (;;) {
		g->next_record = 0;
		r = em_run(&g->ctx);
		if (r == EM_IO_PENDING && !unchanged(g, in))
			r = EM_FAILED;
		if (r != EM_IO_PENDING && (r != EM_RESTART || (in->rflags & FL_TF)))
			break;
		if (r == EM_RESTART)
			iter_done(&g->ctx);
	}
	*out = g->st;
	out->rip = g->ctx.rip;
	out->rflags = g->ctx.rflags;
	for (i = 0; i < 6; i++)
		out->sel[i] = g->seg[i].selector;
	out->error = 0;
	out->cr2 = 0;
	if (r == EM_EXCEPTION) {
		out->vector = g->ctx.ex.vector;
		out->error = g->ctx.ex.error_code;
		out->cr2 = g->ctx.ex.address;
	} else if (in->rflags & FL_TF) {
		out->vector = EM_EXC_DB;
	} else {
		out->vector = EM_EXC_BP;
		out->rip++;
	}
	return r;
}
