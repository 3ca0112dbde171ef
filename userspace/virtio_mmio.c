// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registers of a virtio device: "Virtio Over MMIO", version 2, one page a device.
 *
 * Must not act on a request; it only sets queues up, and passes on notifications and interrupts.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "virtio.h"

#define MAGIC		0x74726976	/* "virt" */
#define VERSION		2
#define VENDOR		0x4c4d564b	/* "KVML" */
#define NO_REGION	(~0u)		/* there is no shared memory region */

#define STATUS_MASK	0xffu
#define FEATURES_OK	VIRTIO_CONFIG_S_FEATURES_OK
#define DRIVER_OK	VIRTIO_CONFIG_S_DRIVER_OK
#define NEEDS_RESET	VIRTIO_CONFIG_S_NEEDS_RESET

/*
 * Pins of the IOAPIC that nothing else is wired to. Each device has its own: the interrupt is an
 * edge, of which a shared line would lose one.
 */
static const u8 free_gsis[] = { 16, 17, 18, 19, 20, 21, 22, 23, 10, 11, 14, 15 };

static_assert(ARRAY_SIZE(free_gsis) == MAX_VIRTIO, "one interrupt a device");

unsigned int virtio_gsi(unsigned int index)
{
	return free_gsis[index];
}

void virtio_interrupt(struct virtio_dev *dev, u32 bits)
{
	u64 one = 1;

	atomic_fetch_or(&dev->isr, bits);
	if (dev->irq_fd >= 0) {
		if (write(dev->irq_fd, &one, sizeof(one)) < 0)
			say("virtio device %u: an interrupt was not taken", dev->index);
		return;
	}
	vm_irq(dev->vm, dev->gsi, 1);
	vm_irq(dev->vm, dev->gsi, 0);
}

/* The queue that the queue registers are about, or NULL when there is no such queue. */
static struct virtqueue *selected(struct virtio_dev *dev)
{
	return dev->queue_sel < dev->ops->nr_queues ? &dev->queue[dev->queue_sel] : NULL;
}

static u32 read_queue(struct virtio_dev *dev, u32 off)
{
	const struct virtqueue *vq = selected(dev);

	if (!vq)
		return 0;
	return off == VIRTIO_MMIO_QUEUE_NUM_MAX ? vq->max : vq->ready;
}

static u32 read_locked(struct virtio_dev *dev, u32 off)
{
	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return dev->features_sel > 1 ? 0 : (u32)(dev->features >> 32 * dev->features_sel);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
	case VIRTIO_MMIO_QUEUE_READY:
		return read_queue(dev, off);
	default:
		return 0;
	}
}

/* Without the lock what a driver reads while requests are being processed. */
static u32 read_register(struct virtio_dev *dev, u32 off)
{
	u32 val;

	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return dev->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return atomic_load(&dev->isr);
	case VIRTIO_MMIO_STATUS:
		return atomic_load(&dev->status);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return NO_REGION;
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return 0;
	}
	pthread_mutex_lock(&dev->lock);
	val = read_locked(dev, off);
	pthread_mutex_unlock(&dev->lock);
	return val;
}

static u32 read_config(struct virtio_dev *dev, u32 off, unsigned int size)
{
	u32 val = 0;

	if (off < dev->config_len && size <= dev->config_len - off)
		memcpy(&val, (const u8 *)dev->config + off, size);
	return val;
}

static u32 mmio_read(void *opaque, u32 off, unsigned int size)
{
	if (off >= VIRTIO_MMIO_CONFIG)
		return read_config(opaque, off - VIRTIO_MMIO_CONFIG, size);
	return size == 4 && !(off & 3) ? read_register(opaque, off) : 0;
}

static void reset(struct virtio_dev *dev)
{
	if (dev->ops->stop)
		dev->ops->stop(dev);
	for (unsigned int q = 0; q < dev->ops->nr_queues; q++)
		virtq_reset(&dev->queue[q]);
	dev->accepted = 0;
	dev->features_sel = 0;
	dev->accepted_sel = 0;
	dev->queue_sel = 0;
	dev->backend_wanted = false;
	atomic_store(&dev->isr, 0);
	atomic_store(&dev->status, 0);
}

/* FEATURES_OK stays off when the driver wants what there is not, or is of the old kind. */
static bool features_acceptable(struct virtio_dev *dev)
{
	return !(dev->accepted & ~dev->features) && virtio_has(dev, VIRTIO_F_VERSION_1);
}

static void write_status(struct virtio_dev *dev, u32 val)
{
	u32 old = atomic_load(&dev->status), rising;

	val &= STATUS_MASK;
	if (!val) {
		reset(dev);
		return;
	}
	/* What a device has said, and what a driver has said before, only a reset takes back. */
	val = (val & ~NEEDS_RESET) | old;
	rising = val & ~old;
	if (rising & FEATURES_OK && !features_acceptable(dev))
		val &= ~FEATURES_OK;
	if (rising & DRIVER_OK && !(val & FEATURES_OK))
		val &= ~DRIVER_OK;
	atomic_store(&dev->status, val);
	if (!(rising & val & DRIVER_OK))
		return;
	if (dev->ops->start)
		dev->ops->start(dev);
	/* Requests may have been queued before. */
	virtio_wake(dev);
}

static void write_accepted(struct virtio_dev *dev, u32 val)
{
	unsigned int shift = 32 * dev->accepted_sel;

	if (dev->accepted_sel > 1 || atomic_load(&dev->status) & FEATURES_OK)
		return;
	dev->accepted = (dev->accepted & ~(0xffffffffull << shift)) | (u64)val << shift;
}

static void set_low(u64 *reg, u32 val)
{
	*reg = (*reg & ~0xffffffffull) | val;
}

static void set_high(u64 *reg, u32 val)
{
	*reg = (*reg & 0xffffffffull) | (u64)val << 32;
}

static void write_ready(struct virtio_dev *dev, struct virtqueue *vq, u32 val)
{
	if (!(val & 1)) {
		vq->ready = false;
		return;
	}
	if (vq->ready || vq->broken || !(atomic_load(&dev->status) & FEATURES_OK))
		return;
	vq->event_idx = virtio_has(dev, VIRTIO_RING_F_EVENT_IDX);
	vq->indirect = virtio_has(dev, VIRTIO_RING_F_INDIRECT_DESC);
	virtq_enable(vq);
	if (vq->broken)
		virtio_broken(dev, vq->broken);
}

static void write_queue(struct virtio_dev *dev, u32 off, u32 val)
{
	struct virtqueue *vq = selected(dev);

	/* A queue in use stays where it is. */
	if (!vq || (vq->ready && off != VIRTIO_MMIO_QUEUE_READY))
		return;
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM:
		/* Too large a number must not look like a small one. */
		vq->num = val > vq->max ? 0 : (u16)val;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		write_ready(dev, vq, val);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		set_low(&vq->desc_gpa, val);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_high(&vq->desc_gpa, val);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		set_low(&vq->avail_gpa, val);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_high(&vq->avail_gpa, val);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		set_low(&vq->used_gpa, val);
		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_high(&vq->used_gpa, val);
		break;
	}
}

static void write_locked(struct virtio_dev *dev, u32 off, u32 val)
{
	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		dev->features_sel = val;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		dev->accepted_sel = val;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		write_accepted(dev, val);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		dev->queue_sel = val;
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(dev, val);
		break;
	default:
		write_queue(dev, off, val);
	}
}

static void notify(struct virtio_dev *dev, u32 q)
{
	u64 one = 1;

	/* Fails only when the counter is full, and then a wakeup is due anyway. */
	if (q < dev->ops->nr_queues && write(dev->kick_fd[q], &one, sizeof(one)) < 0)
		return;
}

static void mmio_write(void *opaque, u32 off, unsigned int size, u32 val)
{
	struct virtio_dev *dev = opaque;

	/* No device here has a configuration that a driver may write. */
	if (size != 4 || off & 3 || off >= VIRTIO_MMIO_CONFIG)
		return;
	if (off == VIRTIO_MMIO_QUEUE_NOTIFY) {
		notify(dev, val);
		return;
	}
	if (off == VIRTIO_MMIO_INTERRUPT_ACK) {
		atomic_fetch_and(&dev->isr, ~val);
		return;
	}
	pthread_mutex_lock(&dev->lock);
	write_locked(dev, off, val);
	pthread_mutex_unlock(&dev->lock);
}

/* Notifications go to the device's thread without an exit to the vCPU's, where that can be had. */
static void attach_kicks(struct virtio_dev *dev)
{
	if (!vm_has(dev->vm, KVM_CAP_IOEVENTFD))
		return;
	for (unsigned int q = 0; q < dev->ops->nr_queues; q++) {
		struct kvm_ioeventfd io = {
			.addr = VIRTIO_BASE(dev->index) + VIRTIO_MMIO_QUEUE_NOTIFY,
			.len = 4,
			.fd = dev->kick_fd[q],
			.datamatch = q,
			.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
		};

		if (ioctl(dev->vm->fd, KVM_IOEVENTFD, &io))
			die_ioctl(dev->vm->fd, "KVM_IOEVENTFD");
	}
}

static void attach_interrupt(struct virtio_dev *dev)
{
	struct kvm_irqfd irq = { .gsi = dev->gsi };

	dev->irq_fd = -1;
	if (!vm_has(dev->vm, KVM_CAP_IRQFD))
		return;
	/* Blocking, as the kernel empties it at once; a full counter cannot be. */
	dev->irq_fd = eventfd(0, EFD_CLOEXEC);
	if (dev->irq_fd < 0)
		die_errno("cannot create an eventfd");
	irq.fd = (u32)dev->irq_fd;
	if (ioctl(dev->vm->fd, KVM_IRQFD, &irq))
		die_ioctl(dev->vm->fd, "KVM_IRQFD");
}

void virtio_mmio_create(struct virtio_dev *dev)
{
	dev->gsi = virtio_gsi(dev->index);
	attach_kicks(dev);
	attach_interrupt(dev);
	io_register(&dev->vm->mmio, &(struct io_region) {
		.base = VIRTIO_BASE(dev->index), .len = VIRTIO_LEN, .wide = true,
		.name = dev->ops->name, .dev = dev, .read = mmio_read, .write = mmio_write,
	});
}
