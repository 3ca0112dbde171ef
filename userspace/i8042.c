// SPDX-License-Identifier: GPL-2.0-only
/*
 * The keyboard controller: reset line, A20 gate, and a keyboard that answers commands.
 *
 * Must not offer keys or a mouse: the console is the serial port.
 */
#include <stdlib.h>

#include "runner.h"

#define STATUS_OBF	0x01	/* a byte waits at port 0x60 */
#define STATUS_SYSTEM	0x04	/* self test passed */
#define STATUS_COMMAND	0x08	/* the last write went to port 0x64 */
#define STATUS_UNLOCKED	0x10

#define CTR_IRQ		0x01	/* keyboard interrupt enabled */
#define CTR_SYSTEM	0x04
#define CTR_KBD_OFF	0x10
#define CTR_AUX_OFF	0x20

#define OUT_NO_RESET	0x01
#define OUT_A20		0x02

#define KBD_ACK		0xfa
#define KBD_RESEND	0xfe
#define KBD_PASSED	0xaa

#define QUEUE		8

/**
 * struct i8042 - the controller and its keyboard
 * @lock: protects all below
 * @vm: the VM
 * @ctr: command byte
 * @outport: output port
 * @ram: the controller's memory, behind the command byte
 * @command: command whose data byte comes next on port 0x60, or 0
 * @kbd_arg: a keyboard command's argument comes next on port 0x60
 * @to_command: the last write went to port 0x64
 * @queue: bytes for the guest, oldest first
 * @count: how many
 * @line: level of the interrupt line
 */
struct i8042 {
	pthread_mutex_t lock;
	struct vm *vm;
	u8 ctr;
	u8 outport;
	u8 ram[32];
	u8 command;
	bool kbd_arg;
	bool to_command;
	u8 queue[QUEUE];
	unsigned int count;
	int line;
};

static void update_irq(struct i8042 *k)
{
	int line = k->count && k->ctr & CTR_IRQ;

	if (line == k->line)
		return;
	k->line = line;
	vm_irq(k->vm, IRQ_KEYBOARD, line);
}

static void reply(struct i8042 *k, u8 byte)
{
	if (k->count < QUEUE)
		k->queue[k->count++] = byte;
}

/* Commands whose answer is one byte that never changes. */
static const struct {
	u8 command;
	u8 answer;
} fixed_answers[] = {
	{ 0xa9, 0x02 },		/* test the aux port: clock line stuck high, so no mouse */
	{ 0xaa, 0x55 },		/* controller self test passed */
	{ 0xab, 0x00 },		/* keyboard port test passed */
	{ 0xc0, 0x80 },		/* input port: keyboard not locked */
	{ 0xe0, 0x00 },		/* test inputs */
};

static void pulse(struct i8042 *k, u8 lines)
{
	/* Bit 0 low pulls the processor's reset line. */
	if (!(lines & OUT_NO_RESET))
		vm_stop(k->vm, STOP_RESET, 0);
}

static void controller_command(struct i8042 *k, u8 cmd)
{
	k->command = 0;
	for (size_t i = 0; i < ARRAY_SIZE(fixed_answers); i++) {
		if (fixed_answers[i].command == cmd)
			reply(k, fixed_answers[i].answer);
	}
	if (cmd == 0x20)
		reply(k, k->ctr);
	else if (cmd > 0x20 && cmd < 0x40)
		reply(k, k->ram[cmd & 31]);
	else if ((cmd >= 0x60 && cmd < 0x80) || (cmd >= 0xd1 && cmd <= 0xd4))
		k->command = cmd;
	else if (cmd == 0xa7 || cmd == 0xa8)
		k->ctr = (u8)((k->ctr & ~CTR_AUX_OFF) | (cmd == 0xa7 ? CTR_AUX_OFF : 0));
	else if (cmd == 0xad || cmd == 0xae)
		k->ctr = (u8)((k->ctr & ~CTR_KBD_OFF) | (cmd == 0xad ? CTR_KBD_OFF : 0));
	else if (cmd == 0xd0)
		reply(k, k->outport);
	else if (cmd >= 0xf0)
		pulse(k, cmd & 15);
}

static void keyboard_command(struct i8042 *k, u8 cmd)
{
	if (k->kbd_arg) {
		k->kbd_arg = false;
		reply(k, KBD_ACK);
		return;
	}
	switch (cmd) {
	case 0xed:			/* indicators */
	case 0xf0:			/* scan code set */
	case 0xf3:			/* repeat rate */
		k->kbd_arg = true;
		reply(k, KBD_ACK);
		break;
	case 0xee:			/* echo */
		reply(k, 0xee);
		break;
	case 0xf2:			/* identify */
		reply(k, KBD_ACK);
		reply(k, 0xab);
		reply(k, 0x83);
		break;
	case 0xf4:			/* enable */
	case 0xf5:			/* disable */
	case 0xf6:			/* defaults */
		reply(k, KBD_ACK);
		break;
	case 0xff:			/* reset */
		reply(k, KBD_ACK);
		reply(k, KBD_PASSED);
		break;
	default:
		reply(k, KBD_RESEND);
	}
}

static void write_data(struct i8042 *k, u8 val)
{
	u8 cmd = k->command;

	k->command = 0;
	if (!cmd) {
		keyboard_command(k, val);
	} else if (cmd == 0x60) {
		k->ctr = val;
	} else if (cmd < 0x80) {
		k->ram[cmd & 31] = val;
	} else if (cmd == 0xd1) {
		k->outport = val;
		pulse(k, val);
	} else if (cmd == 0xd2 || cmd == 0xd3) {
		reply(k, val);
	}
	/* 0xd4 is for the mouse, and there is none to answer. */
}

static u32 i8042_read(void *dev, u32 off, unsigned int size)
{
	struct i8042 *k = dev;
	u8 val = 0;

	(void)size;
	pthread_mutex_lock(&k->lock);
	if (off) {
		val = STATUS_UNLOCKED | (k->ctr & CTR_SYSTEM ? STATUS_SYSTEM : 0) |
		      (k->count ? STATUS_OBF : 0) | (k->to_command ? STATUS_COMMAND : 0);
	} else if (k->count) {
		val = k->queue[0];
		k->count--;
		for (unsigned int i = 0; i < k->count; i++)
			k->queue[i] = k->queue[i + 1];
		/* Each byte comes with an edge of its own. */
		if (k->line) {
			k->line = 0;
			vm_irq(k->vm, IRQ_KEYBOARD, 0);
		}
	}
	update_irq(k);
	pthread_mutex_unlock(&k->lock);
	return val;
}

static void i8042_write(void *dev, u32 off, unsigned int size, u32 val)
{
	struct i8042 *k = dev;

	(void)size;
	pthread_mutex_lock(&k->lock);
	k->to_command = off;
	if (off)
		controller_command(k, (u8)val);
	else
		write_data(k, (u8)val);
	update_irq(k);
	pthread_mutex_unlock(&k->lock);
}

static u32 data_read(void *dev, u32 off, unsigned int size)
{
	return i8042_read(dev, off, size);
}

static u32 status_read(void *dev, u32 off, unsigned int size)
{
	return i8042_read(dev, off + 1, size);
}

static void command_write(void *dev, u32 off, unsigned int size, u32 val)
{
	i8042_write(dev, off + 1, size, val);
}

void i8042_create(struct vm *vm)
{
	struct i8042 *k = calloc(1, sizeof(*k));

	if (!k)
		die("out of memory");
	pthread_mutex_init(&k->lock, NULL);
	k->vm = vm;
	k->ctr = CTR_SYSTEM | CTR_AUX_OFF;
	k->outport = OUT_NO_RESET | OUT_A20;
	io_register(&vm->ports, &(struct io_region) {
		.base = 0x60, .len = 1, .name = "keyboard data", .dev = k,
		.read = data_read, .write = i8042_write,
	});
	io_register(&vm->ports, &(struct io_region) {
		.base = 0x64, .len = 1, .name = "keyboard command", .dev = k,
		.read = status_read, .write = command_write,
	});
}
