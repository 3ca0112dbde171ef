// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtio entropy device: the host kernel's random numbers.
 *
 * Must not give a guest anything but those.
 */
#include <errno.h>
#include <sys/random.h>

#include <linux/virtio_ids.h>

#include "virtio.h"

#define MAX_BYTES	4096	/* a request; a driver that wants more asks again */

static bool fill(struct virtio_dev *dev, struct virtq_chain *c)
{
	u8 bytes[MAX_BYTES];
	size_t want = c->in_len < sizeof(bytes) ? c->in_len : sizeof(bytes);
	ssize_t n = getrandom(bytes, want, 0);

	if (n < 0) {
		if (errno != EINTR)
			virtio_broken(dev, "the host has no random numbers");
		n = 0;
	}
	iov_copy_to(c->iov + c->nr_out, c->nr_in, 0, bytes, (size_t)n);
	virtq_push(&dev->queue[0], c->head, (u32)n);
	return true;
}

static void rng_kicked(struct virtio_dev *dev, unsigned int q)
{
	virtio_serve(dev, q, fill);
}

static const struct virtio_ops rng_ops = {
	.name = "rng",
	.id = VIRTIO_ID_RNG,
	.nr_queues = 1,
	.queue_max = 8,
	.kicked = rng_kicked,
};

void virtio_rng_create(struct vm *vm)
{
	virtio_add(vm, &rng_ops, NULL);
}
