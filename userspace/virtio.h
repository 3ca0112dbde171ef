/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a virtio device and its transport know of each other.
 *
 * Must not know any single device.
 */
#ifndef VIRTIO_H
#define VIRTIO_H

#include "virtqueue.h"

#define VIRTIO_MAX_QUEUES	2

struct virtio_dev;

/**
 * struct virtio_ops - what makes a device; all but @start, @stop and @backend are called by the
 *	device's thread or under its lock
 * @name: for messages
 * @id: VIRTIO_ID_*
 * @nr_queues: how many queues it has
 * @queue_max: entries each offers, a power of two, at most VIRTQ_MAX_SIZE
 * @features: feature bits below 64, without those of the transport and the queues
 * @start: the driver has said that it is ready; may be NULL
 * @stop: the device is being reset; may be NULL
 * @kicked: requests may be waiting in queue @q
 * @backend: the device's own file can be read; may be NULL
 */
struct virtio_ops {
	const char *name;
	u32 id;
	unsigned int nr_queues;
	u16 queue_max;
	u64 features;
	void (*start)(struct virtio_dev *dev);
	void (*stop)(struct virtio_dev *dev);
	void (*kicked)(struct virtio_dev *dev, unsigned int q);
	void (*backend)(struct virtio_dev *dev);
};

/**
 * struct virtio_dev - one device behind one page of registers, and its thread
 * @vm: the VM
 * @ops: what device it is
 * @index: which one, from 0
 * @priv: the device's own
 * @features: all that are offered
 * @config: the device-specific configuration; fixed once the guest runs
 * @config_len: its bytes
 * @backend_fd: what @ops->backend reads, or -1
 * @backend_wanted: the thread is to wait for it; lock: @lock
 * @lock: serialises the thread with what the driver sets up; held while requests are processed
 * @queue: the queues; lock: @lock
 * @accepted: features the driver has accepted; lock: @lock
 * @features_sel: which half of the features is read; lock: @lock
 * @accepted_sel: which half is written; lock: @lock
 * @queue_sel: which queue the queue registers are about; lock: @lock
 * @reported: a message about what the driver did wrong has been given; lock: @lock
 * @status: VIRTIO_CONFIG_S_*; written under @lock
 * @isr: VIRTIO_MMIO_INT_*, not yet acknowledged
 * @irq_fd: eventfd that interrupts the guest, or -1 where that takes an ioctl
 * @kick_fd: eventfd of each queue, which the driver's notifications arrive at
 * @wake_fd: eventfd that has the thread look around
 * @gsi: interrupt line
 * @thread: serves the queues
 * @started: @thread is to be joined
 * @ending: @thread is to end
 */
struct virtio_dev {
	struct vm *vm;
	const struct virtio_ops *ops;
	unsigned int index;
	void *priv;
	u64 features;
	const void *config;
	size_t config_len;
	int backend_fd;
	bool backend_wanted;
	pthread_mutex_t lock;
	struct virtqueue queue[VIRTIO_MAX_QUEUES];
	u64 accepted;
	u32 features_sel;
	u32 accepted_sel;
	u32 queue_sel;
	unsigned int reported;
	atomic_uint status;
	atomic_uint isr;
	int irq_fd;
	int kick_fd[VIRTIO_MAX_QUEUES];
	int wake_fd;
	unsigned int gsi;
	pthread_t thread;
	bool started;
	atomic_bool ending;
};

/**
 * virtio_add() - put a device on the machine; before acpi_create()
 * @vm: the VM
 * @ops: what it is
 * @priv: its own
 *
 * Returns the device, whose configuration, back end and further features may be set until the
 * guest runs. Ends the program when there are too many.
 */
struct virtio_dev *virtio_add(struct vm *vm, const struct virtio_ops *ops, void *priv);

/** virtio_has() - true when the driver has accepted feature bit @bit. @dev: the device */
static inline bool virtio_has(const struct virtio_dev *dev, unsigned int bit)
{
	return dev->accepted >> bit & 1;
}

/**
 * virtio_done() - let the driver see what was pushed on queue @q, and interrupt it if it wants
 * @dev: the device
 * @q: number of the queue
 */
void virtio_done(struct virtio_dev *dev, unsigned int q);

/**
 * virtio_broken() - say what the driver did wrong, and ask it for a reset
 * @dev: the device
 * @why: a sentence without its full stop
 */
void virtio_broken(struct virtio_dev *dev, const char *why);

/**
 * virtio_serve() - process queue @q until it is empty
 * @dev: the device
 * @q: number of the queue
 * @one: processes one request and pushes it; returns false to leave it for later
 *
 * Requests that @one leaves are not asked about again until the next kick or call.
 */
void virtio_serve(struct virtio_dev *dev, unsigned int q,
		  bool (*one)(struct virtio_dev *dev, struct virtq_chain *chain));

/** virtio_wake() - have the thread look at all queues again; any thread. @dev: the device */
void virtio_wake(struct virtio_dev *dev);

/**
 * virtio_poll() - wait for kicks and the back end once, and serve what came; the device's thread
 * @dev: the device
 * @timeout: ms, or -1
 */
void virtio_poll(struct virtio_dev *dev, int timeout);

/* ---- virtio_mmio.c ---- */

/** virtio_mmio_create() - registers at the device's page, notifications, interrupt. @dev: new */
void virtio_mmio_create(struct virtio_dev *dev);

/** virtio_interrupt() - raise the interrupt. @dev: the device. @bits: VIRTIO_MMIO_INT_* */
void virtio_interrupt(struct virtio_dev *dev, u32 bits);

#endif
