// SPDX-License-Identifier: GPL-2.0-only
/*
 * Split virtqueues: takes requests out of guest memory, and gives them back.
 *
 * Must not trust a word it finds there: every index, address, length and link is the guest's, may
 * be anything, and may change between two looks. So each is read once, and checked after that.
 */
#include <string.h>

#include "virtqueue.h"

#define NO_RAM		"a part of the queue is not in RAM or not aligned"

void virtq_reset(struct virtqueue *vq)
{
	*vq = (struct virtqueue) { .vm = vq->vm, .max = vq->max, .num = vq->max };
}

/* Nothing of it is used any more; the driver has to reset the device. */
static bool broken(struct virtqueue *vq, const char *why)
{
	vq->broken = why;
	vq->ready = false;
	return false;
}

static void *part(struct virtqueue *vq, u64 gpa, u64 len, u64 align)
{
	return gpa & (align - 1) ? NULL : vm_ram(vq->vm, gpa, len);
}

void virtq_enable(struct virtqueue *vq)
{
	u64 num = vq->num;

	if (!num || num > vq->max || num & (num - 1)) {
		broken(vq, "the queue's size is not a power of two within its limit");
		return;
	}
	/* Both rings end with the event index, which is there whether or not it is negotiated. */
	vq->desc = part(vq, vq->desc_gpa, num * sizeof(struct vring_desc), 16);
	vq->avail = part(vq, vq->avail_gpa, sizeof(*vq->avail) + (num + 1) * sizeof(u16), 2);
	vq->used = part(vq, vq->used_gpa,
			sizeof(*vq->used) + num * sizeof(struct vring_used_elem) + sizeof(u16), 4);
	if (!vq->desc || !vq->avail || !vq->used) {
		broken(vq, NO_RAM);
		return;
	}
	vq->ready = true;
}

/* How many requests wait, 0 to num; a driver that claims more cannot be believed. */
static bool waiting(struct virtqueue *vq, u16 *n)
{
	/* Acquire: pairs with the driver's barrier between filling an entry and counting it. */
	u16 idx = __atomic_load_n(&vq->avail->idx, __ATOMIC_ACQUIRE);

	*n = (u16)(idx - vq->last_avail);
	if (*n > vq->num)
		return broken(vq, "more requests are available than the queue has entries");
	return true;
}

/* An indirect table need not be aligned. */
struct any_desc {
	u64 addr;
	u32 len;
	u16 flags;
	u16 next;
} __packed;

static_assert(sizeof(struct any_desc) == sizeof(struct vring_desc), "as in the queue");

/* A copy, which the compiler cannot exchange for another look at what the guest may change. */
static struct vring_desc load_desc(const struct any_desc *from)
{
	struct vring_desc d;

	memcpy(&d, from, sizeof(d));
	__asm__ __volatile__("" : : : "memory");
	return d;
}

static u16 load_u16(const u16 *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static bool add_part(struct virtqueue *vq, struct virtq_chain *c, const struct vring_desc *d)
{
	bool in = d->flags & VRING_DESC_F_WRITE;
	u32 *len = in ? &c->in_len : &c->out_len;
	unsigned int n = c->nr_out + c->nr_in;
	void *host = vm_ram(vq->vm, d->addr, d->len);

	if (n == VIRTQ_MAX_SIZE)
		return broken(vq, "a request has too many parts");
	if (!d->len || !host)
		return broken(vq, "a part of a request is empty or not in RAM");
	if (!in && c->nr_in)
		return broken(vq, "a readable part follows a writable one");
	if (__builtin_add_overflow(*len, d->len, len))
		return broken(vq, "a request has more than 4 GiB");
	c->iov[n] = (struct iovec) { host, d->len };
	if (in)
		c->nr_in++;
	else
		c->nr_out++;
	return true;
}

/*
 * Follow the links from entry @at of a table of @num. An entry that stands for an indirect table
 * ends the walk, and is left in @indirect; where that is NULL there may be none.
 */
static bool walk(struct virtqueue *vq, struct virtq_chain *c,
		 const struct any_desc *table, u32 num, u32 at,
		 struct vring_desc *indirect)
{
	/* A chain without a loop visits no entry twice, so it ends within @num steps. */
	for (u32 steps = 0; steps < num; steps++) {
		struct vring_desc d;

		if (at >= num)
			return broken(vq, "a link leads out of its table");
		d = load_desc(&table[at]);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (!indirect)
				return broken(vq, "an indirect table inside an indirect table");
			*indirect = d;
			return true;
		}
		if (!add_part(vq, c, &d))
			return false;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return true;
		at = d.next;
	}
	return broken(vq, "the links of a request go round in a circle");
}

static bool walk_indirect(struct virtqueue *vq, struct virtq_chain *c, const struct vring_desc *d)
{
	u32 num = d->len / sizeof(*d);
	const struct any_desc *table = vm_ram(vq->vm, d->addr, d->len);

	if (!vq->indirect)
		return broken(vq, "an indirect table without the feature");
	if (d->flags & VRING_DESC_F_NEXT)
		return broken(vq, "an entry follows an indirect table");
	if (!num || d->len % sizeof(*d) || num > VIRTQ_MAX_SIZE || !table)
		return broken(vq, "an indirect table has a wrong size or is not in RAM");
	return walk(vq, c, table, num, 0, NULL);
}

bool virtq_pop(struct virtqueue *vq, struct virtq_chain *chain)
{
	struct vring_desc indirect = { 0 };
	u16 n;

	if (!vq->ready || !waiting(vq, &n) || !n)
		return false;
	chain->head = load_u16(&vq->avail->ring[vq->last_avail & (vq->num - 1)]);
	chain->nr_out = 0;
	chain->nr_in = 0;
	chain->out_len = 0;
	chain->in_len = 0;
	if (!walk(vq, chain, vq->desc, vq->num, chain->head, &indirect))
		return false;
	if (indirect.flags && !walk_indirect(vq, chain, &indirect))
		return false;
	vq->last_avail++;
	return true;
}

void virtq_unpop(struct virtqueue *vq, u16 popped, u16 pushed)
{
	vq->last_avail = (u16)(vq->last_avail - popped);
	vq->used_idx = (u16)(vq->used_idx - pushed);
}

void virtq_push(struct virtqueue *vq, u16 head, u32 written)
{
	struct vring_used_elem *e = &vq->used->ring[vq->used_idx & (vq->num - 1)];

	e->id = head;
	e->len = written;
	vq->used_idx++;
}

/* Driver's used_event and device's avail_event: each after the last entry of the other ring. */
static u16 used_event(struct virtqueue *vq)
{
	return load_u16(&vq->avail->ring[vq->num]);
}

static void set_avail_event(struct virtqueue *vq, u16 val)
{
	size_t end = offsetof(struct vring_used, ring) + vq->num * sizeof(struct vring_used_elem);
	void *event = (u8 *)vq->used + end;

	__atomic_store_n((u16 *)event, val, __ATOMIC_RELAXED);
}

bool virtq_publish(struct virtqueue *vq)
{
	u16 before = vq->signalled;

	if (!vq->ready || vq->used_idx == vq->published)
		return false;
	/* Release: an entry is there before it counts. */
	__atomic_store_n(&vq->used->idx, vq->used_idx, __ATOMIC_RELEASE);
	vq->published = vq->used_idx;
	/* Pairs with the driver's: it asks for an interrupt, then looks for entries once more. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!vq->event_idx)
		return !(load_u16(&vq->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	vq->signalled = vq->published;
	return vring_need_event(used_event(vq), vq->published, before);
}

void virtq_no_kicks(struct virtqueue *vq)
{
	/* With event indexes, one that stays behind is as good. */
	if (vq->ready && !vq->event_idx)
		__atomic_store_n(&vq->used->flags, VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}

bool virtq_want_kicks(struct virtqueue *vq, u16 known)
{
	u16 n;

	if (!vq->ready)
		return false;
	if (vq->event_idx)
		set_avail_event(vq, (u16)(vq->last_avail + known));
	else
		__atomic_store_n(&vq->used->flags, 0, __ATOMIC_RELAXED);
	/* Pairs with the driver's: it counts a request, then looks whether to kick. */
	atomic_thread_fence(memory_order_seq_cst);
	return waiting(vq, &n) && n > known;
}

size_t iov_copy_from(void *to, size_t len, const struct iovec *iov, unsigned int nr, size_t off)
{
	size_t done = 0;

	for (; nr && done < len; nr--, iov++) {
		size_t n = iov->iov_len > off ? iov->iov_len - off : 0;

		if (n > len - done)
			n = len - done;
		if (n)
			memcpy((u8 *)to + done, (u8 *)iov->iov_base + off, n);
		off -= off < iov->iov_len ? off : iov->iov_len;
		done += n;
	}
	return done;
}

size_t iov_copy_to(const struct iovec *iov, unsigned int nr, size_t off, const void *from,
		   size_t len)
{
	size_t done = 0;

	for (; nr && done < len; nr--, iov++) {
		size_t n = iov->iov_len > off ? iov->iov_len - off : 0;

		if (n > len - done)
			n = len - done;
		if (n)
			memcpy((u8 *)iov->iov_base + off, (const u8 *)from + done, n);
		off -= off < iov->iov_len ? off : iov->iov_len;
		done += n;
	}
	return done;
}

unsigned int iov_window(struct iovec *out, const struct iovec *iov, unsigned int nr, size_t off,
			size_t len)
{
	unsigned int used = 0;

	for (; nr && len; nr--, iov++) {
		size_t n = iov->iov_len > off ? iov->iov_len - off : 0;

		if (n > len)
			n = len;
		if (n)
			out[used++] = (struct iovec) { (u8 *)iov->iov_base + off, n };
		off -= off < iov->iov_len ? off : iov->iov_len;
		len -= n;
	}
	return used;
}
