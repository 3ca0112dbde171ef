// SPDX-License-Identifier: GPL-2.0-only
/*
 * The made-up machine, the parts of the runner that a device calls, and a simple driver.
 * It must not check anything itself.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

static struct io_region regions[MAX_VIRTIO];
static unsigned int nr_regions;
static unsigned int nr_interrupts;
static unsigned int nr_complaints;
static u16 avail_idx;
static struct options options;
static struct vm vm = { .opt = &options, .fd = -1, .dev_fd = -1 };

struct vm *machine(void)
{
	if (!vm.ram) {
		vm.ram = aligned_alloc(4096, RAM_SIZE);
		memset(vm.ram, 0, RAM_SIZE);
	}
	return &vm;
}

void *ram(u64 gpa)
{
	return vm.ram + gpa;
}

/* ---- what the runner would do ---- */

void *vm_ram(struct vm *m, u64 gpa, u64 len)
{
	return gpa < RAM_SIZE && len <= RAM_SIZE - gpa ? m->ram + gpa : NULL;
}

int vm_has(struct vm *m, long cap)
{
	(void)m;
	(void)cap;
	return 0;
}

void vm_irq(struct vm *m, unsigned int irq, int level)
{
	(void)m;
	(void)irq;
	nr_interrupts += (unsigned int)level;
}

void io_register(struct io_bus *bus, const struct io_region *region)
{
	(void)bus;
	regions[nr_regions++] = *region;
}

void say(const char *fmt, ...)
{
	(void)fmt;
	nr_complaints++;
}

void die(const char *fmt, ...)
{
	fprintf(stderr, "%s\n", fmt);
	abort();
}

void die_errno(const char *fmt, ...)
{
	fprintf(stderr, "%s\n", fmt);
	abort();
}

void die_ioctl(int fd, const char *fmt, ...)
{
	(void)fd;
	fprintf(stderr, "%s\n", fmt);
	abort();
}

/* Devices that are not part of the test. */
void virtio_net_create(struct vm *m, const struct net_option *opt)
{
	(void)m;
	(void)opt;
}

void virtio_console_create(struct vm *m)
{
	(void)m;
}

/* ---- what the tests want to know ---- */

unsigned int interrupts(void)
{
	unsigned int n = nr_interrupts;

	nr_interrupts = 0;
	return n;
}

unsigned int complaints(void)
{
	unsigned int n = nr_complaints;

	nr_complaints = 0;
	return n;
}

u32 random_u32(void)
{
	static u64 state = 0x9e3779b97f4a7c15ull;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(state >> 32);
}

/* ---- the driver ---- */

u32 reg_read(struct virtio_dev *dev, u32 off)
{
	return regions[dev->index].read(dev, off, 4);
}

void reg_write(struct virtio_dev *dev, u32 off, u32 val)
{
	regions[dev->index].write(dev, off, 4, val);
}

void driver_set_queue(struct virtio_dev *dev, u32 num, u64 desc, u64 avail, u64 used)
{
	reg_write(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	reg_write(dev, VIRTIO_MMIO_QUEUE_NUM, num);
	reg_write(dev, VIRTIO_MMIO_QUEUE_DESC_LOW, (u32)desc);
	reg_write(dev, VIRTIO_MMIO_QUEUE_DESC_HIGH, (u32)(desc >> 32));
	reg_write(dev, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (u32)avail);
	reg_write(dev, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (u32)(avail >> 32));
	reg_write(dev, VIRTIO_MMIO_QUEUE_USED_LOW, (u32)used);
	reg_write(dev, VIRTIO_MMIO_QUEUE_USED_HIGH, (u32)(used >> 32));
	reg_write(dev, VIRTIO_MMIO_QUEUE_READY, 1);
}

void driver_init(struct virtio_dev *dev, u64 features)
{
	const u32 steps = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	features |= 1ull << VIRTIO_F_VERSION_1;
	memset(ram(0), 0, DATA_GPA);
	avail_idx = 0;
	reg_write(dev, VIRTIO_MMIO_STATUS, 0);
	reg_write(dev, VIRTIO_MMIO_STATUS, steps);
	for (u32 half = 0; half < 2; half++) {
		reg_write(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
		reg_write(dev, VIRTIO_MMIO_DRIVER_FEATURES, (u32)(features >> 32 * half));
	}
	reg_write(dev, VIRTIO_MMIO_STATUS, steps | VIRTIO_CONFIG_S_FEATURES_OK);
	driver_set_queue(dev, QUEUE_NUM, DESC_GPA, AVAIL_GPA, USED_GPA);
	reg_write(dev, VIRTIO_MMIO_STATUS,
		  steps | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	serve(dev);
	interrupts();
	complaints();
	dev->reported = 0;
}

void desc_set(unsigned int i, u64 addr, u32 len, u16 flags, u16 next)
{
	struct vring_desc *d = ram(DESC_GPA);

	d[i] = (struct vring_desc) { addr, len, flags, next };
}

void table_set(unsigned int i, u64 addr, u32 len, u16 flags, u16 next)
{
	struct vring_desc *d = ram(TABLE_GPA);

	d[i] = (struct vring_desc) { addr, len, flags, next };
}

void offer(struct virtio_dev *dev, u16 head)
{
	struct vring_avail *avail = ram(AVAIL_GPA);

	avail->ring[avail_idx % QUEUE_NUM] = head;
	avail->idx = ++avail_idx;
	reg_write(dev, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

void serve(struct virtio_dev *dev)
{
	virtio_poll(dev, 0);
}

u16 used_count(void)
{
	return ((struct vring_used *)ram(USED_GPA))->idx;
}

u32 used_len(unsigned int i)
{
	return ((struct vring_used *)ram(USED_GPA))->ring[i % QUEUE_NUM].len;
}
