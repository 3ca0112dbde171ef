// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtio block device on a raw image: a file, or a block device of the host.
 *
 * Must not reach a byte outside the image, whatever a request says.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include "virtio.h"

#define SECTOR		512ull
#define QUEUE		128
#define MAX_ERASE	(GIB / SECTOR)	/* sectors a request: it holds the queue up */
#define MAX_RANGES	16
#define ID_LEN		VIRTIO_BLK_ID_BYTES

/**
 * struct disk - one image
 * @fd: the image
 * @sectors: its size
 * @readonly: no request may change it
 * @config: what the guest reads about it
 * @id: what it is called, padded with zeros
 */
struct disk {
	int fd;
	u64 sectors;
	bool readonly;
	struct virtio_blk_config config;
	char id[ID_LEN];
};

/**
 * struct request - one request, its header taken apart
 * @disk: the image
 * @type: VIRTIO_BLK_T_*
 * @sector: where
 * @iov: the data, without header and status
 * @nr: parts of it
 * @len: bytes of it
 * @durable: the driver cannot flush, so each write is to be on the medium
 */
struct request {
	struct disk *disk;
	u32 type;
	u64 sector;
	struct iovec iov[VIRTQ_MAX_SIZE];
	unsigned int nr;
	size_t len;
	bool durable;
};

static bool in_range(const struct request *r, u64 sector, u64 count)
{
	return sector <= r->disk->sectors && count <= r->disk->sectors - sector;
}

/* Move the data, however many calls it takes. Returns false on an error. */
static bool transfer(struct request *r, bool write)
{
	struct iovec *iov = r->iov;
	off_t at = (off_t)(r->sector * SECTOR);
	unsigned int nr = r->nr;

	while (nr) {
		ssize_t n = write ? pwritev2(r->disk->fd, iov, (int)nr, at,
					     r->durable ? RWF_DSYNC : 0) :
				    preadv(r->disk->fd, iov, (int)nr, at);

		if (n < 0 && errno == EINTR)
			continue;
		/* Nothing, in the middle of the image, means that someone has cut it short. */
		if (n <= 0)
			return false;
		at += n;
		for (; nr && (size_t)n >= iov->iov_len; nr--, iov++)
			n -= (ssize_t)iov->iov_len;
		if (n) {
			iov->iov_base = (u8 *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return true;
}

static u8 do_transfer(struct request *r)
{
	bool write = r->type == VIRTIO_BLK_T_OUT;

	if (r->len % SECTOR || !in_range(r, r->sector, r->len / SECTOR))
		return VIRTIO_BLK_S_IOERR;
	return transfer(r, write) ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

static u8 do_flush(struct request *r)
{
	return fdatasync(r->disk->fd) ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

static u8 do_get_id(struct request *r)
{
	iov_copy_to(r->iov, r->nr, 0, r->disk->id, ID_LEN);
	return VIRTIO_BLK_S_OK;
}

/* Write zeros where the file system cannot make them otherwise. */
static bool write_zeroes(struct disk *disk, off_t at, off_t len)
{
	static const u8 zeroes[64 * KIB];

	while (len) {
		size_t want = len < (off_t)sizeof(zeroes) ? (size_t)len : sizeof(zeroes);
		ssize_t n = pwrite(disk->fd, zeroes, want, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= n;
	}
	return true;
}

static bool erase(struct request *r, const struct virtio_blk_discard_write_zeroes *range)
{
	bool zero = r->type == VIRTIO_BLK_T_WRITE_ZEROES;
	bool punch = !zero || range->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	off_t at = (off_t)(range->sector * SECTOR), len = (off_t)(range->num_sectors * SECTOR);
	int mode = FALLOC_FL_KEEP_SIZE | (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);

	if (!len || !fallocate(r->disk->fd, mode, at, len))
		return true;
	/* To discard is a hint; zeros are a promise. */
	return zero ? write_zeroes(r->disk, at, len) : errno == EOPNOTSUPP;
}

static bool valid_range(struct request *r, const struct virtio_blk_discard_write_zeroes *range)
{
	u32 known = r->type == VIRTIO_BLK_T_WRITE_ZEROES ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;

	return !(range->flags & ~known) && range->num_sectors <= MAX_ERASE &&
	       in_range(r, range->sector, range->num_sectors);
}

static u8 do_erase(struct request *r)
{
	struct virtio_blk_discard_write_zeroes range[MAX_RANGES];
	size_t n = r->len / sizeof(range[0]);

	if (!n || n > MAX_RANGES || r->len % sizeof(range[0]))
		return VIRTIO_BLK_S_IOERR;
	iov_copy_from(range, sizeof(range), r->iov, r->nr, 0);
	for (size_t i = 0; i < n; i++) {
		if (range[i].flags & ~VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP)
			return VIRTIO_BLK_S_UNSUPP;
		if (!valid_range(r, &range[i]))
			return VIRTIO_BLK_S_IOERR;
	}
	for (size_t i = 0; i < n; i++) {
		if (!erase(r, &range[i]))
			return VIRTIO_BLK_S_IOERR;
	}
	return r->durable ? do_flush(r) : VIRTIO_BLK_S_OK;
}

/* What each type does, which way its data goes, and whether it changes the image. */
static const struct {
	u32 type;
	bool in;
	bool changes;
	u8 (*handle)(struct request *r);
} types[] = {
	{ VIRTIO_BLK_T_IN, true, false, do_transfer },
	{ VIRTIO_BLK_T_OUT, false, true, do_transfer },
	{ VIRTIO_BLK_T_FLUSH, false, false, do_flush },
	{ VIRTIO_BLK_T_GET_ID, true, false, do_get_id },
	{ VIRTIO_BLK_T_DISCARD, false, true, do_erase },
	{ VIRTIO_BLK_T_WRITE_ZEROES, false, true, do_erase },
};

/* @in is set to the bytes that the device has written to the data. */
static u8 perform(struct request *r, const struct virtq_chain *c, size_t header, u32 *in)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		u8 status;

		if (types[i].type != r->type)
			continue;
		if (types[i].changes && r->disk->readonly)
			return VIRTIO_BLK_S_IOERR;
		r->len = types[i].in ? c->in_len - 1 : c->out_len - header;
		r->nr = types[i].in ? iov_window(r->iov, c->iov + c->nr_out, c->nr_in, 0, r->len) :
				      iov_window(r->iov, c->iov, c->nr_out, header, r->len);
		status = types[i].handle(r);
		*in = types[i].in && status == VIRTIO_BLK_S_OK ? (u32)r->len : 0;
		return status;
	}
	return VIRTIO_BLK_S_UNSUPP;
}

static bool one_request(struct virtio_dev *dev, struct virtq_chain *c)
{
	struct virtio_blk_outhdr header;
	struct request r = { .disk = dev->priv };
	u32 in = 0;
	u8 status;

	/* The status is the last byte; there is nowhere else to say that it is missing. */
	if (c->out_len < sizeof(header) || !c->in_len) {
		dev->queue[0].broken = "a request has no header or no room for its status";
		dev->queue[0].ready = false;
		return true;
	}
	iov_copy_from(&header, sizeof(header), c->iov, c->nr_out, 0);
	r.type = header.type;
	r.sector = header.sector;
	r.durable = !virtio_has(dev, VIRTIO_BLK_F_FLUSH);
	status = perform(&r, c, sizeof(header), &in);
	iov_copy_to(c->iov + c->nr_out, c->nr_in, c->in_len - 1, &status, 1);
	virtq_push(&dev->queue[0], c->head, in + 1);
	return true;
}

static void blk_kicked(struct virtio_dev *dev, unsigned int q)
{
	virtio_serve(dev, q, one_request);
}

static const struct virtio_ops blk_ops = {
	.name = "disk",
	.id = VIRTIO_ID_BLOCK,
	.nr_queues = 1,
	.queue_max = QUEUE,
	.features = BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
		    BIT(VIRTIO_BLK_F_FLUSH),
	.kicked = blk_kicked,
};

static u64 image_size(const char *path, int fd)
{
	struct stat st;
	u64 size;

	if (fstat(fd, &st))
		die_errno("cannot look at %s", path);
	if (S_ISREG(st.st_mode))
		return (u64)st.st_size;
	if (!S_ISBLK(st.st_mode))
		die("%s is neither a regular file nor a block device", path);
	if (ioctl(fd, BLKGETSIZE64, &size))
		die_errno("cannot tell the size of %s", path);
	return size;
}

/* Two guests that write one image destroy it; any number may read it. */
static void lock_image(const char *path, int fd, bool readonly)
{
	if (flock(fd, (readonly ? LOCK_SH : LOCK_EX) | LOCK_NB))
		die_errno("%s is in use", path);
}

void virtio_blk_create(struct vm *vm, const struct disk_option *opt)
{
	struct disk *disk = calloc(1, sizeof(*disk));
	struct virtio_dev *dev;

	if (!disk)
		die("out of memory");
	disk->readonly = opt->readonly;
	disk->fd = open(opt->path, (opt->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (disk->fd < 0)
		die_errno("cannot open %s", opt->path);
	lock_image(opt->path, disk->fd, opt->readonly);
	disk->sectors = image_size(opt->path, disk->fd) / SECTOR;
	if (!disk->sectors)
		die("%s is smaller than a sector", opt->path);
	snprintf(disk->id, sizeof(disk->id), "kvmlet-disk-%u", vm->nr_virtio);
	disk->config = (struct virtio_blk_config) {
		.capacity = disk->sectors,
		/* All but the header and the status. */
		.seg_max = QUEUE - 2,
		.blk_size = SECTOR,
		.max_discard_sectors = MAX_ERASE,
		.max_discard_seg = MAX_RANGES,
		.discard_sector_alignment = 1,
		.max_write_zeroes_sectors = MAX_ERASE,
		.max_write_zeroes_seg = MAX_RANGES,
		.write_zeroes_may_unmap = 1,
	};
	dev = virtio_add(vm, &blk_ops, disk);
	dev->features |= opt->readonly ? BIT(VIRTIO_BLK_F_RO) :
			 BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	dev->config = &disk->config;
	dev->config_len = sizeof(disk->config);
}
