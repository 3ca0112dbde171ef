// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM and its slots, and the log of dirty pages in its three forms, compared with what the guest
 * was told to write.
 * Must not disturb the memory itself.
 */
#include <sys/mman.h>

#include "work.h"

static void work_enable_log(struct work *w)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args[0] = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE,
	};

	if (w->log == LOG_RING) {
		cap.cap = KVM_CAP_DIRTY_LOG_RING;
		cap.args[0] = WORK_RING_BYTES;
	}
	if (w->log != LOG_BITMAP && ioctl(w->guest.vm->fd, KVM_ENABLE_CAP, &cap))
		tvm_die("KVM_ENABLE_CAP %u: %m", cap.cap);
}

void work_create(struct work *w)
{
	unsigned int i;

	w->guest.vm = tvm_create(0);
	w->seen = calloc(w->pages / 8 + 8, 1);
	work_enable_log(w);
	pattern_create(&w->guest, w->guest.vm, w->mem, w->pages);
	for (i = 0; w->log == LOG_RING && i < PATTERN_CPUS; i++) {
		w->ring[i] = mmap(NULL, WORK_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
				  w->guest.cpu[i]->fd, KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);
		if (w->ring[i] == MAP_FAILED)
			tvm_die("mmap of a ring: %m");
	}
}

void work_set_slots(struct work *w, u32 flags)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(w->slot); i++) {
		const struct work_slot *s = &w->slot[i];

		if (tvm_slot(w->guest.vm, s->id, flags, PATTERN_BASE + s->first * PAGE,
			     s->pages * PAGE, w->mem + s->first * PAGE))
			tvm_die("slot %u: %m", s->id);
	}
}

void work_log_start(struct work *w)
{
	memset(w->seen, 0, w->pages / 8 + 8);
	work_set_slots(w, KVM_MEM_LOG_DIRTY_PAGES);
}

static void work_mark(struct work *w, size_t page)
{
	if (page >= w->pages)
		tvm_die("the log names page %zu", page);
	w->seen[page / 8] |= 1 << page % 8;
}

static void work_bitmap_fetch(struct work *w, const struct work_slot *s)
{
	size_t words = (s->pages + 63) / 64, page;
	u64 *bitmap = calloc(words, 8);
	struct kvm_dirty_log log = { .slot = s->id, .dirty_bitmap = bitmap };
	struct kvm_clear_dirty_log clear = {
		.slot = s->id,
		.num_pages = s->pages,
		.dirty_bitmap = bitmap,
	};

	if (ioctl(w->guest.vm->fd, KVM_GET_DIRTY_LOG, &log))
		tvm_die("KVM_GET_DIRTY_LOG: %m");
	for (page = 0; page < s->pages; page++)
		if (bitmap[page / 64] >> page % 64 & 1)
			work_mark(w, s->first + page);
	if (w->log == LOG_MANUAL && ioctl(w->guest.vm->fd, KVM_CLEAR_DIRTY_LOG, &clear))
		tvm_die("KVM_CLEAR_DIRTY_LOG: %m");
	free(bitmap);
}

static const struct work_slot *work_slot_of(struct work *w, u32 id)
{
	return id == w->slot[0].id ? &w->slot[0] : id == w->slot[1].id ? &w->slot[1] : NULL;
}

static void work_ring_fetch(struct work *w, unsigned int i)
{
	for (;; w->next[i]++) {
		struct kvm_dirty_gfn *entry = &w->ring[i][w->next[i] % WORK_RING];
		const struct work_slot *s;

		if (__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
			return;
		s = work_slot_of(w, entry->slot);
		if (!s || entry->offset >= s->pages)
			tvm_die("the ring names slot %u page %llu", entry->slot, entry->offset);
		work_mark(w, s->first + entry->offset);
		__atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	}
}

void work_log_fetch(struct work *w)
{
	unsigned int i;

	if (w->log != LOG_RING) {
		for (i = 0; i < ARRAY_SIZE(w->slot); i++)
			work_bitmap_fetch(w, &w->slot[i]);
		return;
	}
	for (i = 0; i < PATTERN_CPUS; i++)
		work_ring_fetch(w, i);
	if (ioctl(w->guest.vm->fd, KVM_RESET_DIRTY_RINGS, 0) < 0)
		tvm_die("KVM_RESET_DIRTY_RINGS: %m");
}

/* A log from before the pass to its end names the pages that were written, and those alone. */
void work_log_check(struct work *w)
{
	size_t page;

	for (page = 0; page < w->pages; page++) {
		bool written = w->guest.orders[page] & PASS_WRITE;
		bool seen = w->seen[page / 8] >> page % 8 & 1;

		w->logged += seen;
		w->missing += written && !seen;
		w->extra += seen && !written;
	}
}
