// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registers: what they hold, what order they insist on, what a hostile driver may write.
 * It must not offer a request.
 */
#include "harness.h"

#define BEGUN	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)

static struct virtio_dev *dev;

static void accept(u64 features)
{
	reg_write(dev, VIRTIO_MMIO_STATUS, 0);
	reg_write(dev, VIRTIO_MMIO_STATUS, BEGUN);
	for (u32 half = 0; half < 2; half++) {
		reg_write(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
		reg_write(dev, VIRTIO_MMIO_DRIVER_FEATURES, (u32)(features >> 32 * half));
	}
	reg_write(dev, VIRTIO_MMIO_STATUS, BEGUN | VIRTIO_CONFIG_S_FEATURES_OK);
}

static bool features_ok(void)
{
	return reg_read(dev, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static void test_identity(void)
{
	u64 features;

	ktap_result(reg_read(dev, VIRTIO_MMIO_MAGIC_VALUE) == 0x74726976 &&
		    reg_read(dev, VIRTIO_MMIO_VERSION) == 2 &&
		    reg_read(dev, VIRTIO_MMIO_DEVICE_ID) == 4, "registers: magic, version, device");
	reg_write(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	features = (u64)reg_read(dev, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
	reg_write(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	features |= reg_read(dev, VIRTIO_MMIO_DEVICE_FEATURES);
	reg_write(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	ktap_result(features == (1ull << VIRTIO_F_VERSION_1 | BIT(VIRTIO_RING_F_INDIRECT_DESC) |
				 BIT(VIRTIO_RING_F_EVENT_IDX)) &&
		    !reg_read(dev, VIRTIO_MMIO_DEVICE_FEATURES),
		    "registers: features in two halves");
	ktap_result(reg_read(dev, VIRTIO_MMIO_SHM_LEN_LOW) == ~0u, "registers: no shared memory");
}

static void test_negotiation(void)
{
	accept(1ull << VIRTIO_F_VERSION_1);
	ktap_result(features_ok(), "registers: what is offered can be accepted");
	accept(0);
	ktap_result(!features_ok(), "registers: a driver of the old kind is refused");
	accept(1ull << VIRTIO_F_VERSION_1 | 1ull << 63);
	ktap_result(!features_ok(), "registers: what is not offered is refused");
	reg_write(dev, VIRTIO_MMIO_STATUS, BEGUN | VIRTIO_CONFIG_S_DRIVER_OK);
	ktap_result(!(reg_read(dev, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_DRIVER_OK),
		    "registers: no start without features");
	driver_set_queue(dev, QUEUE_NUM, DESC_GPA, AVAIL_GPA, USED_GPA);
	ktap_result(!reg_read(dev, VIRTIO_MMIO_QUEUE_READY),
		    "registers: no queue without features");
}

static const struct {
	u32 num;
	u64 desc, avail, used;
} wrong_queues[] = {
	{ 0, DESC_GPA, AVAIL_GPA, USED_GPA },
	{ 3, DESC_GPA, AVAIL_GPA, USED_GPA },
	{ 512, DESC_GPA, AVAIL_GPA, USED_GPA },
	{ 0x10008, DESC_GPA, AVAIL_GPA, USED_GPA },
	{ 8, DESC_GPA + 8, AVAIL_GPA, USED_GPA },
	{ 8, DESC_GPA, AVAIL_GPA + 1, USED_GPA },
	{ 8, DESC_GPA, AVAIL_GPA, USED_GPA + 2 },
	{ 8, RAM_SIZE - 112, AVAIL_GPA, USED_GPA },
	{ 8, DESC_GPA, RAM_SIZE - 20, USED_GPA },
	{ 8, DESC_GPA, AVAIL_GPA, RAM_SIZE - 68 },
	{ 8, ~0ull << 4, AVAIL_GPA, USED_GPA },
	{ 8, 1ull << 32, AVAIL_GPA, USED_GPA },
};

static void test_wrong_queues(void)
{
	unsigned int refused = 0;

	for (size_t i = 0; i < ARRAY_SIZE(wrong_queues); i++) {
		accept(1ull << VIRTIO_F_VERSION_1);
		driver_set_queue(dev, wrong_queues[i].num, wrong_queues[i].desc,
				 wrong_queues[i].avail, wrong_queues[i].used);
		refused += !reg_read(dev, VIRTIO_MMIO_QUEUE_READY) &&
			   reg_read(dev, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
	}
	ktap_result(refused == ARRAY_SIZE(wrong_queues),
		    "registers: queues that cannot be are refused");
	/* The last byte of RAM is as good as any. */
	accept(1ull << VIRTIO_F_VERSION_1);
	driver_set_queue(dev, 8, RAM_SIZE - 128, AVAIL_GPA, USED_GPA);
	ktap_result(reg_read(dev, VIRTIO_MMIO_QUEUE_READY) == 1,
		    "registers: a queue at the end of RAM");
	reg_write(dev, VIRTIO_MMIO_QUEUE_DESC_LOW, 0xfffffff0);
	reg_write(dev, VIRTIO_MMIO_QUEUE_NUM, 4);
	ktap_result(dev->queue[0].desc_gpa == RAM_SIZE - 128 && dev->queue[0].num == 8,
		    "registers: a queue in use does not move");
	reg_write(dev, VIRTIO_MMIO_QUEUE_SEL, 0xffffffff);
	ktap_result(!reg_read(dev, VIRTIO_MMIO_QUEUE_NUM_MAX),
		    "registers: there is no other queue");
	reg_write(dev, VIRTIO_MMIO_QUEUE_NOTIFY, 0xffffffff);
}

/* Anything anywhere, at any time: the sanitizers look for what goes wrong. */
static void test_random(void)
{
	for (int i = 0; i < 300000; i++) {
		u32 off = random_u32() % 0x200;

		if (random_u32() & 3)
			off &= ~3u;
		if (random_u32() & 1)
			reg_read(dev, off);
		else
			reg_write(dev, off, random_u32() & 1 ? random_u32() : random_u32() & 0xff);
		if (!(i & 63))
			serve(dev);
		if (!(i & 255))
			accept(1ull << VIRTIO_F_VERSION_1);
	}
	accept(1ull << VIRTIO_F_VERSION_1);
	ktap_result(features_ok(), "registers: random accesses");
}

void test_registers(void)
{
	virtio_rng_create(machine());
	dev = machine()->virtio[0];
	test_identity();
	test_negotiation();
	test_wrong_queues();
	test_random();
}
