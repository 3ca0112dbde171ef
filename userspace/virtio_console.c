// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtio console: a faster way than the serial port to the runner's stdin and stdout.
 *
 * Must not let a guest that does not read, or a terminal that does not, hold anybody else up.
 */
#include <stdlib.h>

#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include "virtio.h"

#define QUEUE	64
#define RX	0
#define TX	1

/**
 * struct vconsole - the console
 * @sent: bytes of the request at the head of the transmit queue that are out already
 * @stalled: the rest of it waits for room
 * @config: nothing of it is announced
 */
struct vconsole {
	u32 sent;
	atomic_bool stalled;
	struct virtio_console_config config;
};

static bool transmit(struct virtio_dev *dev, struct virtq_chain *c)
{
	struct vconsole *con = dev->priv;
	u8 buf[512];

	while (con->sent < c->out_len) {
		size_t n = iov_copy_from(buf, sizeof(buf), c->iov, c->nr_out, con->sent);
		size_t done = serial_relay(dev->vm->serial, buf, n);

		con->sent += (u32)done;
		/*
		 * The rest follows when the terminal has taken some. Look once more after saying
		 * so: pairs with console_flush(), which makes room and then asks.
		 */
		if (done < n && atomic_exchange(&con->stalled, true))
			return false;
	}
	con->sent = 0;
	virtq_push(&dev->queue[TX], c->head, 0);
	return true;
}

static bool receive(struct virtio_dev *dev, struct virtq_chain *c)
{
	u8 buf[CONSOLE_IN];
	size_t want = c->in_len < sizeof(buf) ? c->in_len : sizeof(buf), n = 0;

	while (n < want && console_receive(&dev->vm->console, &buf[n]))
		n++;
	if (!n)
		return false;
	iov_copy_to(c->iov + c->nr_out, c->nr_in, 0, buf, n);
	virtq_push(&dev->queue[RX], c->head, (u32)n);
	return true;
}

static void console_kicked(struct virtio_dev *dev, unsigned int q)
{
	virtio_serve(dev, q, q == TX ? transmit : receive);
}

static void console_stop(struct virtio_dev *dev)
{
	struct vconsole *con = dev->priv;

	con->sent = 0;
}

static const struct virtio_ops console_ops = {
	.name = "console",
	.id = VIRTIO_ID_CONSOLE,
	.nr_queues = 2,
	.queue_max = QUEUE,
	.stop = console_stop,
	.kicked = console_kicked,
};

void virtio_console_create(struct vm *vm)
{
	struct vconsole *con = calloc(1, sizeof(*con));

	if (!con)
		die("out of memory");
	vm->virtio_console = virtio_add(vm, &console_ops, con);
	vm->virtio_console->config = &con->config;
	vm->virtio_console->config_len = sizeof(con->config);
}

void virtio_console_input(struct vm *vm)
{
	virtio_wake(vm->virtio_console);
}

void virtio_console_drained(struct vm *vm)
{
	struct vconsole *con;

	if (!vm->virtio_console)
		return;
	con = vm->virtio_console->priv;
	if (atomic_exchange(&con->stalled, false))
		virtio_wake(vm->virtio_console);
}
