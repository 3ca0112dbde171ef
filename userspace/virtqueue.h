/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device's side of a split virtqueue, as "Virtual I/O Device (VIRTIO)" 1.x describes it.
 *
 * Must not know any device, nor how a driver is told or tells.
 */
#ifndef VIRTQUEUE_H
#define VIRTQUEUE_H

#include <sys/uio.h>

#include <linux/virtio_ring.h>

#include "runner.h"

#define VIRTQ_MAX_SIZE		256	/* entries of a queue, and of an indirect table */

struct any_desc;

/**
 * struct virtqueue - one queue
 * @vm: whose memory it is in
 * @max: entries the device offers, a power of two, at most VIRTQ_MAX_SIZE
 * @num: entries the driver has chosen
 * @ready: the driver has enabled it, and its three parts are RAM
 * @event_idx: VIRTIO_RING_F_EVENT_IDX has been negotiated
 * @indirect: VIRTIO_RING_F_INDIRECT_DESC has been negotiated
 * @desc_gpa: guest-physical address of the descriptor table
 * @avail_gpa: of the driver's ring
 * @used_gpa: of the device's ring
 * @desc: host address of each, while @ready
 * @avail: see @desc
 * @used: see @desc
 * @last_avail: entries of @avail taken so far, modulo 65536
 * @used_idx: entries of @used filled so far, modulo 65536
 * @published: how many of them the driver can see
 * @signalled: value of @published at the last look whether to interrupt
 * @broken: what the driver did that no driver may do, or NULL; only a reset mends it
 */
struct virtqueue {
	struct vm *vm;
	u16 max;
	u16 num;
	bool ready;
	bool event_idx;
	bool indirect;
	u64 desc_gpa;
	u64 avail_gpa;
	u64 used_gpa;
	const struct any_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	u16 last_avail;
	u16 used_idx;
	u16 published;
	u16 signalled;
	const char *broken;
};

/**
 * struct virtq_chain - one request: what the driver has written, then what it wants filled in
 * @head: names it when it is given back
 * @nr_out: parts to be read by the device, at the start of @iov
 * @nr_in: parts to be written by the device, after them
 * @out_len: bytes to be read
 * @in_len: bytes to be written
 * @iov: host addresses; each part has been checked to be RAM
 */
struct virtq_chain {
	u16 head;
	unsigned int nr_out;
	unsigned int nr_in;
	u32 out_len;
	u32 in_len;
	struct iovec iov[VIRTQ_MAX_SIZE];
};

/** virtq_reset() - forget everything but @vm and @max. @vq: the queue */
void virtq_reset(struct virtqueue *vq);

/**
 * virtq_enable() - start using the queue where the driver says it is
 * @vq: @num and the addresses have been set
 *
 * Sets @vq->broken when they cannot be used.
 */
void virtq_enable(struct virtqueue *vq);

/**
 * virtq_pop() - take the next request
 * @vq: the queue
 * @chain: filled in
 *
 * Returns false when there is none, which includes a queue that is not ready or is broken.
 */
bool virtq_pop(struct virtqueue *vq, struct virtq_chain *chain);

/**
 * virtq_unpop() - undo the last virtq_pop() and virtq_push() calls
 * @vq: the queue
 * @popped: how many of the former
 * @pushed: how many of the latter; none of them has been published
 */
void virtq_unpop(struct virtqueue *vq, u16 popped, u16 pushed);

/**
 * virtq_push() - give a request back; the driver sees it after virtq_publish()
 * @vq: the queue
 * @head: of the request
 * @written: bytes written to it, from its first writable byte on
 */
void virtq_push(struct virtqueue *vq, u16 head, u32 written);

/**
 * virtq_publish() - let the driver see what has been pushed
 * @vq: the queue
 *
 * Returns true when the driver wants an interrupt for it.
 */
bool virtq_publish(struct virtqueue *vq);

/** virtq_no_kicks() - tell the driver that kicks are not needed for now. @vq: the queue */
void virtq_no_kicks(struct virtqueue *vq);

/**
 * virtq_want_kicks() - ask the driver for a kick with its next request
 * @vq: the queue
 * @known: so many requests wait already, and are not enough
 *
 * Returns true when more have come in the meantime, for which no kick may come.
 */
bool virtq_want_kicks(struct virtqueue *vq, u16 known);

/**
 * iov_copy_from() - gather bytes
 * @to: where they go
 * @len: at most this many
 * @iov: parts
 * @nr: how many
 * @off: bytes to skip first
 *
 * Returns how many there were.
 */
size_t iov_copy_from(void *to, size_t len, const struct iovec *iov, unsigned int nr, size_t off);

/**
 * iov_copy_to() - scatter bytes
 * @iov: parts
 * @nr: how many
 * @off: bytes to skip first
 * @from: the bytes
 * @len: at most this many
 *
 * Returns how many there was room for.
 */
size_t iov_copy_to(const struct iovec *iov, unsigned int nr, size_t off, const void *from,
		   size_t len);

/**
 * iov_window() - the parts of a range
 * @out: filled in, VIRTQ_MAX_SIZE entries
 * @iov: parts
 * @nr: how many
 * @off: bytes to skip
 * @len: bytes to take, all of which are there
 *
 * Returns the number of parts in @out.
 */
unsigned int iov_window(struct iovec *out, const struct iovec *iov, unsigned int nr, size_t off,
			size_t len);

#endif
