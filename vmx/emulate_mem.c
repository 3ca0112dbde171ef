// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's way to memory: guest page walks, RAM, the local APIC, in-kernel devices, and MMIO
 * of user space.
 * This file must not know instructions; it sees accesses and an end of each iteration.
 *
 * A read of user space's device ends the emulation; the instruction starts again once the data is
 * there. So each MMIO access is logged until the iteration is over, and the second time answered
 * from the log: a device sees each access once. A write is queued instead and the instruction goes
 * on, since nothing depends on it; user space is told before the guest or another MMIO access goes
 * on.
 */
#include <linux/mm.h>

#include "guest_state.h"
#include "iobus.h"
#include "irq.h"

#define LOG_WRITE	0x80

static struct vcpu *em_to_vcpu(struct em_ctx *ctx)
{
	return container_of(ctx, struct vcpu, em);
}

/* ---- Translation ---- */

/*
 * The exit has walked the guest's tables for this page. A page walked for a read may be read-only.
 */
static bool exit_knows(const struct vcpu *vcpu, u64 la, unsigned int acc)
{
	if (!vcpu->mmio.gpa_valid || (la ^ vcpu->mmio.gla) >> PAGE_SHIFT || acc & EM_ACC_SYSTEM)
		return false;
	return vcpu->mmio.gpa_writable || !(acc & (EM_ACC_WRITE | EM_ACC_RMW));
}

static enum em_cb raise(struct em_ctx *ctx, const struct guest_exception *ex)
{
	if (ex->vector == VEC_PF)
		return em_raise_pf(ctx, ex->error, ex->cr2);
	return em_raise(ctx, ex->vector, ex->has_error, ex->error);
}

static enum em_cb translate(struct em_ctx *ctx, u64 la, unsigned int acc, gpa_t *gpa)
{
	struct vcpu *vcpu = em_to_vcpu(ctx);
	struct guest_exception ex;
	u32 access = 0;

	if (likely(exit_knows(vcpu, la, acc))) {
		*gpa = (vcpu->mmio.gpa & PAGE_MASK) | offset_in_page(la);
		return EM_CB_OK;
	}
	if (acc & (EM_ACC_WRITE | EM_ACC_RMW))
		access |= PFEC_WRITE;
	if (acc & EM_ACC_SYSTEM)
		access |= GUEST_ACCESS_IMPLICIT;
	else if (ctx->cpl == 3)
		access |= PFEC_USER;
	if (unlikely(guest_translate(vcpu, la, access, gpa, &ex)))
		return raise(ctx, &ex);
	return EM_CB_OK;
}

/* An access is in one page or in two, never in more. */
struct span {
	gpa_t gpa[2];
	unsigned int len[2];
};

static enum em_cb translate_span(struct em_ctx *ctx, u64 la, unsigned int n, unsigned int acc,
				 struct span *s)
{
	unsigned int room = PAGE_SIZE - offset_in_page(la);
	enum em_cb cb;

	s->len[0] = min(n, room);
	s->len[1] = n - s->len[0];
	cb = translate(ctx, la, acc, &s->gpa[0]);
	if (likely(cb != EM_CB_OK || !s->len[1]))
		return cb;
	la += s->len[0];
	if (ctx->mode != EM_MODE_PROT64)
		la = (u32)la;
	return translate(ctx, la, acc, &s->gpa[1]);
}

/* ---- The log ---- */

static bool log_has_room(const struct vcpu *vcpu, unsigned int len)
{
	return vcpu->mmio.nr_log < VCPU_MMIO_LOG && vcpu->mmio.data_len + len <= VCPU_MMIO_LOG;
}

static void log_read(struct vcpu *vcpu, const void *data, unsigned int len)
{
	memcpy(vcpu->mmio.data + vcpu->mmio.data_len, data, len);
	vcpu->mmio.data_len += len;
	vcpu->mmio.data_pos = vcpu->mmio.data_len;
	vcpu->mmio.log[vcpu->mmio.nr_log++] = len;
	vcpu->mmio.log_pos = vcpu->mmio.nr_log;
}

static void log_write(struct vcpu *vcpu, unsigned int len)
{
	vcpu->mmio.log[vcpu->mmio.nr_log++] = len | LOG_WRITE;
	vcpu->mmio.log_pos = vcpu->mmio.nr_log;
}

/*
 * The instruction is the same as before, so its accesses are; unless user space has changed
 * registers in between.
 */
static enum em_cb replay(struct vcpu *vcpu, void *data, unsigned int len, bool write)
{
	u8 done = vcpu->mmio.log[vcpu->mmio.log_pos++];

	if (done != (write ? len | LOG_WRITE : len))
		return EM_CB_FAIL;
	if (!write) {
		memcpy(data, vcpu->mmio.data + vcpu->mmio.data_pos, len);
		vcpu->mmio.data_pos += len;
	}
	return EM_CB_OK;
}

void emulate_log_clear(struct vcpu *vcpu)
{
	vcpu->mmio.nr_log = 0;
	vcpu->mmio.log_pos = 0;
	vcpu->mmio.data_len = 0;
	vcpu->mmio.data_pos = 0;
}

void emulate_log_rewind(struct vcpu *vcpu)
{
	vcpu->mmio.log_pos = 0;
	vcpu->mmio.data_pos = 0;
}

/* ---- MMIO ---- */

/* No further MMIO before user space has been told of what is queued. */
static bool must_wait(const struct vcpu *vcpu)
{
	return unlikely(vcpu->pio.needed ||
			(vcpu->mmio.nr_frags && (vcpu->mmio.frozen || !vcpu->mmio.is_write)));
}

static enum em_cb queue_fragment(struct vcpu *vcpu, gpa_t gpa, void *data, unsigned int len,
				 bool write)
{
	unsigned int n = vcpu->mmio.nr_frags;

	/* A read has to wait for the writes before it, whose answers are in the log by then. */
	if (n && (!write || n == VCPU_MMIO_FRAGMENTS))
		return EM_CB_PENDING;
	vcpu->mmio.frag[n].gpa = gpa;
	vcpu->mmio.frag[n].len = len;
	vcpu->mmio.frag[n].data = 0;
	vcpu->mmio.is_write = write;
	vcpu->mmio.nr_frags = n + 1;
	if (!write)
		return EM_CB_PENDING;
	memcpy(&vcpu->mmio.frag[n].data, data, len);
	log_write(vcpu, len);
	return EM_CB_OK;
}

static int device_access(struct vcpu *vcpu, gpa_t gpa, void *data, unsigned int len, bool write)
{
	if (vcpu->lapic && vlapic_covers(vcpu, gpa))
		return write ? vlapic_mmio_write(vcpu, gpa, len, data)
			     : vlapic_mmio_read(vcpu, gpa, len, data);
	return write ? iobus_write(vcpu, IOBUS_MMIO, gpa, len, data)
		     : iobus_read(vcpu, IOBUS_MMIO, gpa, len, data);
}

/* At most 8 bytes, in one page. */
static enum em_cb mmio_piece(struct vcpu *vcpu, gpa_t gpa, void *data, unsigned int len, bool write)
{
	if (unlikely(vcpu->mmio.log_pos < vcpu->mmio.nr_log))
		return replay(vcpu, data, len, write);
	if (must_wait(vcpu))
		return EM_CB_PENDING;
	if (unlikely(!log_has_room(vcpu, len)))
		return EM_CB_FAIL;
	if (device_access(vcpu, gpa, data, len, write))
		return queue_fragment(vcpu, gpa, data, len, write);
	if (write)
		log_write(vcpu, len);
	else
		log_read(vcpu, data, len);
	return EM_CB_OK;
}

static enum em_cb mmio_access(struct vcpu *vcpu, gpa_t gpa, void *data, unsigned int n, bool write)
{
	while (n) {
		unsigned int len = min(n, 8u);
		enum em_cb cb = mmio_piece(vcpu, gpa, data, len, write);

		if (cb != EM_CB_OK)
			return cb;
		gpa += len;
		data += len;
		n -= len;
	}
	return EM_CB_OK;
}

/*
 * In one page. Memory without a slot, without a user page behind it, or written to though read-only
 * is a device.
 */
static enum em_cb access_page(struct vcpu *vcpu, gpa_t gpa, void *data, unsigned int n, bool write)
{
	if (!mmu_is_mmio_gpa(vcpu, gpa)) {
		if (!(write ? guest_write(vcpu, gpa, data, n) : guest_read(vcpu, gpa, data, n)))
			return EM_CB_OK;
	}
	return mmio_access(vcpu, gpa, data, n, write);
}

static enum em_cb access_span(struct vcpu *vcpu, const struct span *s, void *data, bool write)
{
	enum em_cb cb = access_page(vcpu, s->gpa[0], data, s->len[0], write);

	if (likely(cb != EM_CB_OK || !s->len[1]))
		return cb;
	return access_page(vcpu, s->gpa[1], data + s->len[0], s->len[1], write);
}

/* A batch is in one page; only RAM takes it as a whole. */
static enum em_cb access_batch(struct vcpu *vcpu, const struct span *s, void *data, bool write)
{
	if (mmu_is_mmio_gpa(vcpu, s->gpa[0]))
		return EM_CB_SPLIT;
	if (write ? guest_write(vcpu, s->gpa[0], data, s->len[0])
		  : guest_read(vcpu, s->gpa[0], data, s->len[0]))
		return EM_CB_SPLIT;
	return EM_CB_OK;
}

/* ---- Callbacks ---- */

enum em_cb emulate_fetch(struct em_ctx *ctx, u64 la, void *buf, unsigned int n)
{
	struct vcpu *vcpu = em_to_vcpu(ctx);
	struct guest_exception ex;
	gpa_t gpa;

	if (guest_translate(vcpu, la, PFEC_FETCH | (ctx->cpl == 3 ? PFEC_USER : 0), &gpa, &ex))
		return raise(ctx, &ex);
	/* Code in a device is not executed. */
	return guest_read(vcpu, gpa, buf, n) ? EM_CB_FAIL : EM_CB_OK;
}

enum em_cb emulate_read(struct em_ctx *ctx, u64 la, void *buf, unsigned int n, unsigned int acc)
{
	struct vcpu *vcpu = em_to_vcpu(ctx);
	struct span s;
	enum em_cb cb = translate_span(ctx, la, n, acc, &s);

	if (unlikely(cb != EM_CB_OK))
		return cb;
	if (unlikely(acc & EM_ACC_BATCH))
		return access_batch(vcpu, &s, buf, false);
	return access_span(vcpu, &s, buf, false);
}

enum em_cb emulate_write(struct em_ctx *ctx, u64 la, const void *buf, unsigned int n,
			 unsigned int acc)
{
	struct vcpu *vcpu = em_to_vcpu(ctx);
	struct span s;
	enum em_cb cb = translate_span(ctx, la, n, acc | EM_ACC_WRITE, &s);

	if (unlikely(cb != EM_CB_OK))
		return cb;
	/* Nothing below writes to @buf when @write is true. */
	if (unlikely(acc & EM_ACC_BATCH))
		return access_batch(vcpu, &s, (void *)buf, true);
	return access_span(vcpu, &s, (void *)buf, true);
}

/* Whether a page takes a batch is found out by reading a byte of it: a write would show. */
enum em_cb emulate_probe_write(struct em_ctx *ctx, u64 la, unsigned int n, unsigned int acc)
{
	struct vcpu *vcpu = em_to_vcpu(ctx);
	struct memslot *slot;
	struct span s;
	enum em_cb cb = translate_span(ctx, la, n, acc | EM_ACC_WRITE, &s);

	if (cb != EM_CB_OK || !(acc & EM_ACC_BATCH))
		return cb;
	slot = vcpu_memslot_find(vcpu, gpa_to_gfn(s.gpa[0]));
	return slot && !(slot->flags & KVM_MEM_READONLY) ? EM_CB_OK : EM_CB_SPLIT;
}

/* Without alignment no CPU instruction of the host does it in user memory: compare, then write. */
static enum em_cb cmpxchg_plain(struct vcpu *vcpu, const struct span *s, void *old, const void *new,
				unsigned int n)
{
	u8 seen[16];
	enum em_cb cb = access_span(vcpu, s, seen, false);

	if (cb != EM_CB_OK)
		return cb;
	if (memcmp(seen, old, n)) {
		memcpy(old, seen, n);
		return EM_CB_OK;
	}
	return access_span(vcpu, s, (void *)new, true);
}

enum em_cb emulate_cmpxchg(struct em_ctx *ctx, u64 la, void *old, const void *new, unsigned int n)
{
	struct vcpu *vcpu = em_to_vcpu(ctx);
	struct span s;
	enum em_cb cb = translate_span(ctx, la, n, EM_ACC_WRITE | EM_ACC_RMW, &s);

	if (cb != EM_CB_OK)
		return cb;
	if (mmu_is_mmio_gpa(vcpu, s.gpa[0]))
		return access_span(vcpu, &s, (void *)new, true);
	if (s.len[1] || s.gpa[0] & (n - 1))
		return cmpxchg_plain(vcpu, &s, old, new, n);
	if (guest_cmpxchg(vcpu, s.gpa[0], old, new, n) >= 0)
		return EM_CB_OK;
	return mmio_access(vcpu, s.gpa[0], (void *)new, n, true);
}

void emulate_iter_done(struct em_ctx *ctx)
{
	struct vcpu *vcpu = em_to_vcpu(ctx);

	emulate_log_clear(vcpu);
	if (vcpu->mmio.nr_frags)
		vcpu->mmio.frozen = true;
}

/* ---- Exits to user space ---- */

static int complete_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	unsigned int len = vcpu->mmio.frag[0].len;
	u8 data[8];

	if (vcpu->mmio.is_write) {
		if (++vcpu->mmio.cur_frag < vcpu->mmio.nr_frags)
			return emulate_exit_mmio(vcpu);
	} else {
		/* Once: user space may be writing to the page still. */
		memcpy(data, run->mmio.data, sizeof(data));
		log_read(vcpu, data, len);
	}
	vcpu->mmio.nr_frags = 0;
	vcpu->mmio.cur_frag = 0;
	vcpu->mmio.frozen = false;
	return vcpu->mmio.resume ? emulate_resume(vcpu) : RUN_RESUME;
}

int emulate_exit_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	unsigned int i = vcpu->mmio.cur_frag;

	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = vcpu->mmio.frag[i].gpa;
	run->mmio.len = vcpu->mmio.frag[i].len;
	run->mmio.is_write = vcpu->mmio.is_write;
	if (vcpu->mmio.is_write)
		memcpy(run->mmio.data, &vcpu->mmio.frag[i].data, sizeof(run->mmio.data));
	vcpu->complete_io = complete_mmio;
	return RUN_TO_USER;
}
