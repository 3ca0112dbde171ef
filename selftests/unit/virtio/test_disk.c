// SPDX-License-Identifier: GPL-2.0-only
/*
 * The disk: each request, at and across the image's edges, in pieces of any size; hostile rings.
 * It must not leave a file behind.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_blk.h>

#include "harness.h"

#define SECTORS		64u
#define HEADER_GPA	0x8000u
#define STATUS_GPA	0x9000u
#define W		VRING_DESC_F_WRITE
#define N		VRING_DESC_F_NEXT

static struct virtio_dev *disk, *readonly;
static char path[32] = "/tmp/virtio-disk-XXXXXX";
static int image;

/* One request with its data at DATA_GPA. Returns the status byte, or -1 when it was not served. */
static int request(struct virtio_dev *dev, u32 type, u64 sector, u32 len, bool in)
{
	struct virtio_blk_outhdr *header = ram(HEADER_GPA);
	u16 before = used_count();
	u8 *status = ram(STATUS_GPA);

	*header = (struct virtio_blk_outhdr) { .type = type, .sector = sector };
	*status = 0xff;
	desc_set(0, HEADER_GPA, sizeof(*header), N, len ? 1 : 2);
	desc_set(1, DATA_GPA, len, (in ? W : 0) | N, 2);
	desc_set(2, STATUS_GPA, 1, W, 0);
	offer(dev, 0);
	serve(dev);
	return used_count() == (u16)(before + 1) ? *status : -1;
}

static bool image_is(u32 sector, u8 val)
{
	u8 buf[512];

	if (pread(image, buf, 512, (off_t)sector * 512) != 512)
		return false;
	for (int i = 0; i < 512; i++) {
		if (buf[i] != val)
			return false;
	}
	return true;
}

static void test_transfers(void)
{
	driver_init(disk, BIT(VIRTIO_BLK_F_FLUSH));
	memset(ram(DATA_GPA), 0xa5, 4096);
	ktap_result(request(disk, VIRTIO_BLK_T_OUT, 3, 1024, false) == VIRTIO_BLK_S_OK &&
		    image_is(3, 0xa5) && image_is(4, 0xa5) && image_is(5, 0) && image_is(2, 0),
		    "disk: write");
	memset(ram(DATA_GPA), 0, 4096);
	ktap_result(request(disk, VIRTIO_BLK_T_IN, 3, 1024, true) == VIRTIO_BLK_S_OK &&
		    ((u8 *)ram(DATA_GPA))[1023] == 0xa5 && !((u8 *)ram(DATA_GPA))[1024] &&
		    used_len(1) == 1025, "disk: read");
	ktap_result(request(disk, VIRTIO_BLK_T_FLUSH, 0, 0, false) == VIRTIO_BLK_S_OK,
		    "disk: flush");
	ktap_result(request(disk, VIRTIO_BLK_T_GET_ID, 0, 20, true) == VIRTIO_BLK_S_OK &&
		    !strncmp(ram(DATA_GPA), "kvmlet-disk-", 12), "disk: name");
	ktap_result(request(disk, 0xdead, 0, 512, true) == VIRTIO_BLK_S_UNSUPP,
		    "disk: unknown request");
	driver_init(disk, 0);
	ktap_result(request(disk, VIRTIO_BLK_T_OUT, 0, 512, false) == VIRTIO_BLK_S_OK,
		    "disk: write by a driver that cannot flush");
}

static bool write_fails(u64 sector, u32 len)
{
	return request(disk, VIRTIO_BLK_T_OUT, sector, len, false) == VIRTIO_BLK_S_IOERR;
}

static void test_edges(void)
{
	driver_init(disk, 0);
	ktap_result(request(disk, VIRTIO_BLK_T_OUT, SECTORS - 1, 512, false) == VIRTIO_BLK_S_OK &&
		    write_fails(SECTORS - 1, 1024) && write_fails(SECTORS, 512) &&
		    write_fails(~0ull, 512) && write_fails(1ull << 55, 512) &&
		    write_fails(0, 513) &&
		    lseek(image, 0, SEEK_END) == SECTORS * 512, "disk: never past its end");
	driver_init(readonly, 0);
	ktap_result(request(readonly, VIRTIO_BLK_T_OUT, 0, 512, false) == VIRTIO_BLK_S_IOERR &&
		    request(readonly, VIRTIO_BLK_T_DISCARD, 0, 16, false) == VIRTIO_BLK_S_IOERR &&
		    request(readonly, VIRTIO_BLK_T_IN, 3, 512, true) == VIRTIO_BLK_S_OK,
		    "disk: a read-only one");
}

static void test_erase(void)
{
	struct virtio_blk_discard_write_zeroes *range = ram(DATA_GPA);

	driver_init(disk, 0);
	*range = (struct virtio_blk_discard_write_zeroes) { .sector = 3, .num_sectors = 1 };
	ktap_result(request(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false) == VIRTIO_BLK_S_OK &&
		    image_is(3, 0) && image_is(4, 0xa5), "disk: zeros");
	range->sector = SECTORS - 1;
	range->num_sectors = 2;
	ktap_result(request(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false) == VIRTIO_BLK_S_IOERR &&
		    request(disk, VIRTIO_BLK_T_DISCARD, 0, 16, false) == VIRTIO_BLK_S_IOERR &&
		    request(disk, VIRTIO_BLK_T_DISCARD, 0, 15, false) == VIRTIO_BLK_S_IOERR,
		    "disk: ranges past the end, and half ranges");
	range->sector = 4;
	range->num_sectors = 1;
	ktap_result(request(disk, VIRTIO_BLK_T_DISCARD, 0, 16, false) == VIRTIO_BLK_S_OK,
		    "disk: discard");
	range->flags = 2;
	ktap_result(request(disk, VIRTIO_BLK_T_DISCARD, 0, 16, false) == VIRTIO_BLK_S_UNSUPP,
		    "disk: unknown flags");
}

/* Header, data and status need not be parts of their own. */
static void test_layout(void)
{
	struct virtio_blk_outhdr *header = ram(HEADER_GPA);
	u8 *p = ram(DATA_GPA);

	driver_init(disk, 0);
	memset(p, 0, 2048);
	*header = (struct virtio_blk_outhdr) { .type = VIRTIO_BLK_T_IN, .sector = SECTORS - 1 };
	desc_set(0, HEADER_GPA, 5, N, 1);
	desc_set(1, HEADER_GPA + 5, sizeof(*header) - 5, N, 2);
	desc_set(2, DATA_GPA, 100, W | N, 3);
	desc_set(3, DATA_GPA + 200, 413, W, 0);
	p[612] = 0xff;
	offer(disk, 0);
	serve(disk);
	ktap_result(used_count() == 1 && used_len(0) == 513 && p[612] == VIRTIO_BLK_S_OK &&
		    p[99] == 0xa5 && !p[100] && p[200] == 0xa5 && p[611] == 0xa5,
		    "disk: a request cut at odd places");
	driver_init(disk, 0);
	desc_set(0, HEADER_GPA, 15, N, 1);
	desc_set(1, DATA_GPA, 512, W, 0);
	offer(disk, 0);
	serve(disk);
	ktap_result(used_count() == 0 &&
		    reg_read(disk, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET,
		    "disk: a request without a whole header");
}

void test_disk(void)
{
	const struct disk_option another = { .path = "/proc/self/exe", .readonly = true };

	image = mkstemp(path);
	if (image < 0 || ftruncate(image, SECTORS * 512)) {
		ktap_result(false, "disk: image");
		return;
	}
	virtio_blk_create(machine(), &(struct disk_option) { .path = path });
	disk = machine()->virtio[machine()->nr_virtio - 1];
	/* The lock of the first keeps a second opener of the same file out; so another name. */
	virtio_blk_create(machine(), &another);
	readonly = machine()->virtio[machine()->nr_virtio - 1];
	test_transfers();
	test_edges();
	test_erase();
	memset(ram(DATA_GPA), 0xa5, 512);
	driver_init(disk, 0);
	request(disk, VIRTIO_BLK_T_OUT, SECTORS - 1, 512, false);
	test_layout();
}

/* Rings of random content: the sanitizers look for what goes wrong, the image keeps its size. */
static void scribble(void)
{
	struct vring_avail *avail = ram(AVAIL_GPA);

	for (unsigned int i = 0; i < QUEUE_NUM; i++) {
		u32 r = random_u32();
		u64 addr = r & 31 ? DATA_GPA + random_u32() % (RAM_SIZE - DATA_GPA) : random_u32();
		u32 len = r & 0x3e0 ? 512 + random_u32() % 2 * 16 : random_u32();
		bool sane = r & 0x7000;

		/* Mostly what a driver might send, for some of it to get past the first check. */
		if (!(r & 0x30000))
			desc_set(i, TABLE_GPA, 16 * (1 + random_u32() % 20),
				 VRING_DESC_F_INDIRECT, 0);
		else
			desc_set(i, addr, len, sane ? (i > 2 ? W : 0) | (i & 3 ? N : 0) :
				 (u16)(r >> 20), sane ? (u16)(i + 1) : (u16)(r >> 26));
	}
	for (unsigned int i = 0; i < 24; i++)
		table_set(i, DATA_GPA + random_u32() % 4096, random_u32() % 1024,
			  (u16)(random_u32() & 3), (u16)(random_u32() % 24));
	for (unsigned int i = 0; i < 1024; i++)
		((u32 *)ram(DATA_GPA))[i] = random_u32() & 7 ? random_u32() % 16 : random_u32();
	for (unsigned int i = 0; i <= QUEUE_NUM; i++)
		avail->ring[i] = (u16)(random_u32() % (QUEUE_NUM + 1));
	avail->idx = (u16)(avail->idx + random_u32() % (QUEUE_NUM + 2));
}

void test_hostile(void)
{
	unsigned int served = 0, resets = 0;

	for (int round = 0; round < 20000; round++) {
		u32 status = reg_read(disk, VIRTIO_MMIO_STATUS);

		if (!(round & 3) || status & VIRTIO_CONFIG_S_NEEDS_RESET) {
			served += used_count();
			driver_init(disk, random_u32() & (BIT(VIRTIO_RING_F_INDIRECT_DESC) |
							  BIT(VIRTIO_RING_F_EVENT_IDX) |
							  BIT(VIRTIO_BLK_F_FLUSH)));
			resets++;
		}
		scribble();
		reg_write(disk, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		serve(disk);
	}
	ktap_diag("%u resets, %u requests served", resets, served);
	ktap_result(lseek(image, 0, SEEK_END) == SECTORS * 512 && served,
		    "disk: random rings, requests and data");
	unlink(path);
}
