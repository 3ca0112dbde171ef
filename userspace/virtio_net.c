// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtio network device on a tap interface of the host.
 *
 * Must not look into a packet: the kernel's tap driver checks the header that a guest writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/if_tun.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <net/if.h>

#include "virtio.h"

#define QUEUE		256
#define RX		0
#define TX		1
#define HEADER		((int)sizeof(struct virtio_net_hdr_mrg_rxbuf))
#define MAX_PACKET	(HEADER + 65536 + 256)	/* a segmented one, with its Ethernet header */

/* What a guest can take is what the tap may hand over. */
static const struct {
	unsigned int feature;
	unsigned int offload;
} offloads[] = {
	{ VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM },
	{ VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4 },
	{ VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6 },
	{ VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN },
};

/**
 * struct nic - one interface
 * @tap: the host's side
 * @config: what the guest reads about it
 * @packet: one that has been received, with its header
 * @len: its bytes, or 0
 * @too_few: so many buffers were not enough for it
 */
struct nic {
	int tap;
	struct virtio_net_config config;
	u8 packet[MAX_PACKET];
	size_t len;
	u16 too_few;
};

static void net_start(struct virtio_dev *dev)
{
	struct nic *nic = dev->priv;
	unsigned int flags = 0;

	for (size_t i = 0; i < ARRAY_SIZE(offloads); i++) {
		if (virtio_has(dev, offloads[i].feature))
			flags |= offloads[i].offload;
	}
	/* Segments need checksums; a tap refuses one without the other. */
	if (ioctl(nic->tap, TUNSETOFFLOAD, flags & TUN_F_CSUM ? flags : 0))
		ioctl(nic->tap, TUNSETOFFLOAD, 0);
	dev->backend_wanted = true;
}

static void net_stop(struct virtio_dev *dev)
{
	struct nic *nic = dev->priv;

	nic->len = 0;
}

/*
 * Put the packet at hand into as many buffers as it takes; the header says how many, and the
 * driver sees all of them at once. Returns false when the driver has not offered enough yet.
 */
static bool deliver(struct virtio_dev *dev)
{
	struct virtio_net_hdr_mrg_rxbuf *header;
	bool merge = virtio_has(dev, VIRTIO_NET_F_MRG_RXBUF);
	struct nic *nic = dev->priv;
	struct iovec first[VIRTQ_MAX_SIZE];
	unsigned int nr_first = 0;
	struct virtq_chain c;
	u16 buffers = 0;
	size_t done = 0;

	while (done < nic->len) {
		size_t n;

		/* More than the queue holds are none at all, but empty ones offered in a circle. */
		if (buffers == dev->queue[RX].num || !virtq_pop(&dev->queue[RX], &c)) {
			virtq_unpop(&dev->queue[RX], buffers, buffers);
			nic->too_few = buffers;
			return false;
		}
		n = iov_copy_to(c.iov + c.nr_out, c.nr_in, 0, nic->packet + done, nic->len - done);
		virtq_push(&dev->queue[RX], c.head, (u32)n);
		if (!buffers++)
			nr_first = iov_window(first, c.iov + c.nr_out, c.nr_in, 0, n);
		done += n;
		/* What does not fit in the only buffer is lost, as on a wire. */
		if (!merge)
			break;
	}
	iov_copy_to(first, nr_first, offsetof(typeof(*header), num_buffers), &buffers,
		    sizeof(buffers));
	nic->len = 0;
	return true;
}

/* Returns false when the tap has nothing more. */
static bool receive(struct virtio_dev *dev)
{
	struct nic *nic = dev->priv;
	ssize_t n = read(nic->tap, nic->packet, sizeof(nic->packet));

	if (n > HEADER) {
		nic->len = (size_t)n;
		return true;
	}
	/* An interface that has been taken down answers EIO until it is up again. */
	if (n < 0 && errno != EAGAIN && errno != EINTR && errno != EIO)
		dev->backend_wanted = false;
	return false;
}

static void net_receive(struct virtio_dev *dev)
{
	struct virtqueue *vq = &dev->queue[RX];
	struct nic *nic = dev->priv;

	/* A batch at most, for the sender to have its turn. */
	for (int i = 0; i < QUEUE && (nic->len || receive(dev)); i++) {
		if (deliver(dev))
			continue;
		/* Without a buffer the tap waits, until a kick tells of one, or we do ourselves. */
		dev->backend_wanted = false;
		if (virtq_want_kicks(vq, nic->too_few))
			virtio_wake(dev);
		break;
	}
	virtio_done(dev, RX);
}

static bool send_packet(struct virtio_dev *dev, struct virtq_chain *c)
{
	struct nic *nic = dev->priv;
	ssize_t n = 0;

	/* What the tap does not take is lost, as on a wire; so is what is no packet. */
	if (c->out_len > (u32)HEADER && c->out_len <= MAX_PACKET)
		n = writev(nic->tap, c->iov, (int)c->nr_out);
	(void)n;
	virtq_push(&dev->queue[TX], c->head, 0);
	return true;
}

static void net_kicked(struct virtio_dev *dev, unsigned int q)
{
	if (q == TX) {
		virtio_serve(dev, TX, send_packet);
		return;
	}
	dev->backend_wanted = true;
	net_receive(dev);
}

static const struct virtio_ops net_ops = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.nr_queues = 2,
	.queue_max = QUEUE,
	.features = BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CSUM) |
		    BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |
		    BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
		    BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) |
		    BIT(VIRTIO_NET_F_GUEST_ECN),
	.start = net_start,
	.stop = net_stop,
	.kicked = net_kicked,
	.backend = net_receive,
};

static int open_tap(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), size = HEADER;

	if (fd < 0)
		die_errno("cannot open /dev/net/tun (is the module tun loaded?)");
	if (strlen(name) >= sizeof(ifr.ifr_name))
		die("'%s' is too long for the name of an interface", name);
	memcpy(ifr.ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, &ifr))
		die_errno("cannot attach to tap interface %s", name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &size))
		die_errno("cannot have tap interface %s use virtio's header", name);
	return fd;
}

void virtio_net_create(struct vm *vm, const struct net_option *opt)
{
	struct nic *nic = calloc(1, sizeof(*nic));
	struct virtio_dev *dev;

	if (!nic)
		die("out of memory");
	nic->tap = open_tap(opt->tap);
	memcpy(nic->config.mac, opt->mac, sizeof(opt->mac));
	dev = virtio_add(vm, &net_ops, nic);
	dev->config = &nic->config;
	dev->config_len = sizeof(nic->config);
	dev->backend_fd = nic->tap;
}
