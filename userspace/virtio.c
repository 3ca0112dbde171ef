// SPDX-License-Identifier: GPL-2.0-only
/*
 * What all virtio devices share: their list, their threads, the way from a kick to a request.
 *
 * Must not know how registers look, nor what a request asks for.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "virtio.h"

#define MAX_REPORTS	4	/* lines about a driver before silence */

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		die_errno("cannot create an eventfd");
	return fd;
}

struct virtio_dev *virtio_add(struct vm *vm, const struct virtio_ops *ops, void *priv)
{
	struct virtio_dev *dev = calloc(1, sizeof(*dev));

	if (!dev)
		die("out of memory");
	if (vm->nr_virtio == MAX_VIRTIO)
		die("at most %u virtio devices", MAX_VIRTIO);
	dev->vm = vm;
	dev->ops = ops;
	dev->priv = priv;
	dev->index = vm->nr_virtio;
	dev->features = ops->features | 1ull << VIRTIO_F_VERSION_1 |
			1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX;
	dev->backend_fd = -1;
	pthread_mutex_init(&dev->lock, NULL);
	dev->wake_fd = new_eventfd();
	for (unsigned int q = 0; q < ops->nr_queues; q++) {
		dev->kick_fd[q] = new_eventfd();
		dev->queue[q].vm = vm;
		dev->queue[q].max = ops->queue_max;
		virtq_reset(&dev->queue[q]);
	}
	virtio_mmio_create(dev);
	vm->virtio[vm->nr_virtio++] = dev;
	return dev;
}

void virtio_broken(struct virtio_dev *dev, const char *why)
{
	if (dev->reported < MAX_REPORTS)
		say("virtio device %u (%s): %s; it waits for a reset%s", dev->index,
		    dev->ops->name, why,
		    ++dev->reported == MAX_REPORTS ? "; no more of these will be reported" : "");
	atomic_fetch_or(&dev->status, VIRTIO_CONFIG_S_NEEDS_RESET);
	if (atomic_load(&dev->status) & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_interrupt(dev, VIRTIO_MMIO_INT_CONFIG);
}

static void check_broken(struct virtio_dev *dev, unsigned int q)
{
	if (dev->queue[q].broken &&
	    !(atomic_load(&dev->status) & VIRTIO_CONFIG_S_NEEDS_RESET))
		virtio_broken(dev, dev->queue[q].broken);
}

void virtio_done(struct virtio_dev *dev, unsigned int q)
{
	if (virtq_publish(&dev->queue[q]))
		virtio_interrupt(dev, VIRTIO_MMIO_INT_VRING);
}

/* Driver ready, device not broken: only then are queues looked at. */
static bool live(struct virtio_dev *dev)
{
	u32 status = atomic_load(&dev->status);

	return status & VIRTIO_CONFIG_S_DRIVER_OK && !(status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/*
 * At most one queue full at a time: the lock is held, and a guest that adds requests as fast as
 * they are served must not keep a reset, or the end of the run, waiting.
 */
void virtio_serve(struct virtio_dev *dev, unsigned int q,
		  bool (*one)(struct virtio_dev *dev, struct virtq_chain *chain))
{
	struct virtqueue *vq = &dev->queue[q];
	struct virtq_chain chain;
	unsigned int left = vq->num;

	do {
		virtq_no_kicks(vq);
		while (left && virtq_pop(vq, &chain)) {
			if (!one(dev, &chain)) {
				virtq_unpop(vq, 1, 0);
				virtq_want_kicks(vq, 0);
				return;
			}
			virtio_done(dev, q);
			left--;
		}
	} while (left && virtq_want_kicks(vq, 0));
	if (!left)
		virtio_wake(dev);
}

void virtio_wake(struct virtio_dev *dev)
{
	u64 one = 1;

	/* Fails only when the counter is full, and then a wakeup is due anyway. */
	if (write(dev->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static bool taken(const struct pollfd *p)
{
	u64 count;

	return p->revents && read(p->fd, &count, sizeof(count)) == sizeof(count);
}

enum { P_WAKE, P_BACKEND, P_KICK, NR_POLLS = P_KICK + VIRTIO_MAX_QUEUES };

static void serve(struct virtio_dev *dev, const struct pollfd *p)
{
	bool all = taken(&p[P_WAKE]);

	for (unsigned int q = 0; q < dev->ops->nr_queues; q++) {
		bool kicked = taken(&p[P_KICK + q]);

		if ((kicked || all) && live(dev))
			dev->ops->kicked(dev, q);
	}
	if (p[P_BACKEND].revents && dev->backend_wanted && live(dev))
		dev->ops->backend(dev);
	for (unsigned int q = 0; q < dev->ops->nr_queues; q++)
		check_broken(dev, q);
}

void virtio_poll(struct virtio_dev *dev, int timeout)
{
	struct pollfd p[NR_POLLS];

	pthread_mutex_lock(&dev->lock);
	p[P_WAKE] = (struct pollfd) { .fd = dev->wake_fd, .events = POLLIN };
	/* A negative descriptor is one that poll() ignores. */
	p[P_BACKEND] = (struct pollfd) {
		.fd = dev->backend_wanted && live(dev) ? dev->backend_fd : -1, .events = POLLIN,
	};
	pthread_mutex_unlock(&dev->lock);
	for (unsigned int q = 0; q < VIRTIO_MAX_QUEUES; q++)
		p[P_KICK + q] = (struct pollfd) {
			.fd = q < dev->ops->nr_queues ? dev->kick_fd[q] : -1, .events = POLLIN,
		};
	if (poll(p, NR_POLLS, timeout) <= 0)
		return;
	pthread_mutex_lock(&dev->lock);
	serve(dev, p);
	pthread_mutex_unlock(&dev->lock);
}

static void *device_thread(void *arg)
{
	struct virtio_dev *dev = arg;

	while (!atomic_load(&dev->ending))
		virtio_poll(dev, -1);
	return NULL;
}

void virtio_create(struct vm *vm)
{
	const struct options *opt = vm->opt;

	for (unsigned int i = 0; i < opt->nr_disks; i++)
		virtio_blk_create(vm, &opt->disk[i]);
	for (unsigned int i = 0; i < opt->nr_nets; i++)
		virtio_net_create(vm, &opt->net[i]);
	if (opt->rng)
		virtio_rng_create(vm);
	if (opt->virtio_console)
		virtio_console_create(vm);
}

void virtio_start_all(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_virtio; i++) {
		struct virtio_dev *dev = vm->virtio[i];

		if (pthread_create(&dev->thread, NULL, device_thread, dev))
			die("cannot create a thread for virtio device %u", i);
		dev->started = true;
	}
}

void virtio_stop_all(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_virtio; i++) {
		struct virtio_dev *dev = vm->virtio[i];

		if (!dev->started)
			continue;
		atomic_store(&dev->ending, true);
		virtio_wake(dev);
		pthread_join(dev->thread, NULL);
		dev->started = false;
	}
}
