// SPDX-License-Identifier: GPL-2.0-only
/*
 * A 16550A UART at COM1, every register and interrupt of it.
 *
 * Must not touch file descriptors; bytes come from and go to the console's rings.
 */
#include <stdlib.h>

#include "runner.h"

/* Register offsets; the first two are the divisor latch while LCR.DLAB is set. */
#define REG_DATA	0
#define REG_IER		1
#define REG_IIR		2	/* read */
#define REG_FCR		2	/* write */
#define REG_LCR		3
#define REG_MCR		4
#define REG_LSR		5
#define REG_MSR		6
#define REG_SCR		7

#define IER_RDI		0x01	/* received data */
#define IER_THRI	0x02	/* transmitter holding register empty */
#define IER_RLSI	0x04	/* receiver line status */
#define IER_MSI		0x08	/* modem status */
#define IER_MASK	0x0f

#define IIR_MSI		0x00
#define IIR_NONE	0x01
#define IIR_THRI	0x02
#define IIR_RDI		0x04
#define IIR_RLSI	0x06
#define IIR_TIMEOUT	0x0c
#define IIR_FIFO	0xc0

#define FCR_ENABLE	0x01
#define FCR_CLEAR_RX	0x02
#define FCR_CLEAR_TX	0x04

#define LCR_DLAB	0x80

#define MCR_DTR		0x01
#define MCR_RTS		0x02
#define MCR_OUT1	0x04
#define MCR_OUT2	0x08	/* gates the interrupt on a PC */
#define MCR_LOOP	0x10
#define MCR_MASK	0x1f

#define LSR_DR		0x01
#define LSR_OE		0x02
#define LSR_BI		0x10
#define LSR_THRE	0x20
#define LSR_TEMT	0x40
#define LSR_FIFOE	0x80
#define LSR_ERRORS	0x1e

#define MSR_DELTA	0x0f
#define MSR_TERI	0x04
#define MSR_CTS		0x10
#define MSR_DSR		0x20
#define MSR_RI		0x40
#define MSR_DCD		0x80

#define FIFO_SIZE	16

/**
 * struct serial - the UART
 * @lock: protects all below, and the console rings' serial side
 * @vm: the VM
 * @fifo: received bytes, oldest first
 * @brk: one bit a FIFO entry: it stands for a break
 * @count: how many
 * @typed: all of them come from the console
 * @dll: divisor latch; kept, without effect
 * @dlm: likewise
 * @ier: interrupt enable
 * @fcr: FIFO control, only the enable bit and the trigger level
 * @lcr: line control
 * @mcr: modem control
 * @errors: LSR's latched error bits
 * @msr: modem status, with delta bits
 * @scr: scratch
 * @thr_pending: the transmitter became empty and nobody has read that in IIR
 * @mcr_written: the guest drives the modem lines
 * @stalled: a byte was refused because the console's ring is full
 * @line: level of the interrupt line
 */
struct serial {
	pthread_mutex_t lock;
	struct vm *vm;
	u8 fifo[FIFO_SIZE];
	u16 brk;
	unsigned int count;
	bool typed;
	u8 dll;
	u8 dlm;
	u8 ier;
	u8 fcr;
	u8 lcr;
	u8 mcr;
	u8 errors;
	u8 msr;
	u8 scr;
	bool thr_pending;
	bool mcr_written;
	bool stalled;
	int line;
};

static unsigned int capacity(const struct serial *s)
{
	return s->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static unsigned int trigger_level(const struct serial *s)
{
	static const u8 levels[] = { 1, 4, 8, 14 };

	return s->fcr & FCR_ENABLE ? levels[s->fcr >> 6] : 1;
}

static void push(struct serial *s, u8 byte, bool brk, bool typed)
{
	s->typed = typed && (s->typed || !s->count);
	if (s->count == capacity(s)) {
		s->errors |= LSR_OE;
		/* Without a FIFO the new byte replaces the old one; a full FIFO keeps its own. */
		if (s->fcr & FCR_ENABLE)
			return;
		s->count = 0;
	}
	s->fifo[s->count] = byte;
	s->brk &= (u16)~(1u << s->count);
	s->brk |= (u16)((u32)brk << s->count);
	s->count++;
}

/*
 * Take typed bytes as a terminal with hardware flow control would send them: only while RTS is on,
 * once the guest uses the modem lines at all. A driver's probing and its clearing of the FIFO
 * would otherwise swallow what was typed, or piped in, before the guest was ready.
 */
static void refill(struct serial *s)
{
	u8 byte;

	if (s->vm->virtio_console || s->mcr & MCR_LOOP ||
	    (s->mcr_written && !(s->mcr & MCR_RTS)))
		return;
	while (s->count < capacity(s) && console_receive(&s->vm->console, &byte))
		push(s, byte, false, true);
}

/*
 * Clearing the FIFO loses what is in it; but a driver that has not raised RTS yet is only probing,
 * and then these bytes have not been sent.
 */
static void clear_fifo(struct serial *s)
{
	if (!(s->mcr & MCR_RTS) && s->typed)
		console_give_back(&s->vm->console, s->count);
	s->count = 0;
	s->brk = 0;
}

/* A break at the head of the FIFO shows in LSR until that is read. */
static void latch_break(struct serial *s)
{
	if (s->count && s->brk & 1) {
		s->errors |= LSR_BI;
		s->brk &= (u16)~1;
	}
}

static u8 pending(const struct serial *s)
{
	if (s->ier & IER_RLSI && s->errors)
		return IIR_RLSI;
	if (s->ier & IER_RDI && s->count)
		return s->count >= trigger_level(s) ? IIR_RDI : IIR_TIMEOUT;
	if (s->ier & IER_THRI && s->thr_pending)
		return IIR_THRI;
	if (s->ier & IER_MSI && s->msr & MSR_DELTA)
		return IIR_MSI;
	return IIR_NONE;
}

static void update_irq(struct serial *s)
{
	bool gate = (s->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
	int line = gate && pending(s) != IIR_NONE;

	if (line == s->line)
		return;
	s->line = line;
	if (line && pending(s) == IIR_THRI)
		coalesce_end(s->vm);
	vm_irq(s->vm, IRQ_COM1, line);
}

/* The modem's inputs: a terminal that is always there, or in loopback our own outputs. */
static void update_modem(struct serial *s)
{
	u8 lines = MSR_CTS | MSR_DSR | MSR_DCD;
	u8 changed;

	if (s->mcr & MCR_LOOP)
		lines = (u8)((s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
			     (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0));
	changed = (u8)((s->msr ^ lines) >> 4);
	/* The ring indicator reports only its end. */
	if (lines & MSR_RI)
		changed &= (u8)~MSR_TERI;
	s->msr = (u8)(lines | (s->msr & MSR_DELTA) | changed);
}

static u8 read_data(struct serial *s)
{
	u8 byte = s->fifo[0];

	if (!s->count)
		return 0;
	s->count--;
	for (unsigned int i = 0; i < s->count; i++)
		s->fifo[i] = s->fifo[i + 1];
	s->brk >>= 1;
	refill(s);
	latch_break(s);
	return byte;
}

static u8 read_iir(struct serial *s)
{
	u8 id = pending(s);

	if (id == IIR_THRI)
		s->thr_pending = false;
	return id | (s->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static u8 read_lsr(struct serial *s)
{
	u8 lsr;

	refill(s);
	latch_break(s);
	lsr = s->errors | (s->count ? LSR_DR : 0);
	if (!console_out_full(&s->vm->console))
		lsr |= LSR_THRE | LSR_TEMT;
	if (s->fcr & FCR_ENABLE && (s->brk || s->errors & ~LSR_OE))
		lsr |= LSR_FIFOE;
	s->errors = 0;
	return lsr;
}

static u8 read_msr(struct serial *s)
{
	u8 msr = s->msr;

	s->msr &= (u8)~MSR_DELTA;
	return msr;
}

static u8 read_register(struct serial *s, unsigned int reg)
{
	switch (reg) {
	case REG_DATA:
		return s->lcr & LCR_DLAB ? s->dll : read_data(s);
	case REG_IER:
		return s->lcr & LCR_DLAB ? s->dlm : s->ier;
	case REG_IIR:
		return read_iir(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return read_lsr(s);
	case REG_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

u8 serial_read(struct serial *s, unsigned int reg)
{
	u8 val;

	pthread_mutex_lock(&s->lock);
	val = read_register(s, reg);
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
	return val;
}

/* The transmitter is infinitely fast while the console's ring has room. */
static void write_data(struct serial *s, u8 val)
{
	if (s->mcr & MCR_LOOP)
		push(s, val, false, false);
	else if (!console_send(&s->vm->console, val))
		s->stalled = true;
	/* The interrupt goes away and comes again: a new edge, when the line was up. */
	if (s->thr_pending) {
		s->thr_pending = false;
		update_irq(s);
	}
	s->thr_pending = !console_out_full(&s->vm->console);
	if (!s->thr_pending)
		s->stalled = true;
}

static void write_ier(struct serial *s, u8 val)
{
	u8 rising = val & (u8)~s->ier;

	s->ier = val & IER_MASK;
	/* Enabling the interrupt while the transmitter is empty raises it at once. */
	if (rising & IER_THRI && !console_out_full(&s->vm->console))
		s->thr_pending = true;
	if (rising & IER_RDI)
		refill(s);
}

static void write_fcr(struct serial *s, u8 val)
{
	bool toggled = (val ^ s->fcr) & FCR_ENABLE;

	/* The other bits count only in a write that has the enable bit set. */
	if (!(val & FCR_ENABLE))
		val = 0;
	if (toggled || val & FCR_CLEAR_RX)
		clear_fifo(s);
	if (toggled || val & FCR_CLEAR_TX)
		s->thr_pending = !console_out_full(&s->vm->console);
	s->fcr = val & (FCR_ENABLE | 0xc0);
}

static void write_mcr(struct serial *s, u8 val)
{
	s->mcr = val & MCR_MASK;
	s->mcr_written = true;
	update_modem(s);
	refill(s);
}

static void write_register(struct serial *s, unsigned int reg, u8 val)
{
	switch (reg) {
	case REG_DATA:
		if (s->lcr & LCR_DLAB)
			s->dll = val;
		else
			write_data(s, val);
		break;
	case REG_IER:
		if (s->lcr & LCR_DLAB)
			s->dlm = val;
		else
			write_ier(s, val);
		break;
	case REG_FCR:
		write_fcr(s, val);
		break;
	case REG_LCR:
		s->lcr = val;
		break;
	case REG_MCR:
		write_mcr(s, val);
		break;
	case REG_SCR:
		s->scr = val;
		break;
	/* LSR and MSR are for factory tests to write. */
	}
}

void serial_write(struct serial *s, unsigned int reg, u8 val)
{
	pthread_mutex_lock(&s->lock);
	write_register(s, reg, val);
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

void serial_input(struct serial *s, bool brk)
{
	pthread_mutex_lock(&s->lock);
	if (brk && !(s->mcr & MCR_LOOP))
		push(s, 0, true, false);
	refill(s);
	latch_break(s);
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

size_t serial_relay(struct serial *s, const u8 *buf, size_t len)
{
	size_t n = 0;

	pthread_mutex_lock(&s->lock);
	while (n < len && console_send(&s->vm->console, buf[n]))
		n++;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void serial_drained(struct serial *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->stalled && !console_out_full(&s->vm->console)) {
		s->stalled = false;
		s->thr_pending = true;
		update_irq(s);
	}
	pthread_mutex_unlock(&s->lock);
}

static u32 bus_read(void *dev, u32 off, unsigned int size)
{
	(void)size;
	return serial_read(dev, off);
}

static void bus_write(void *dev, u32 off, unsigned int size, u32 val)
{
	(void)size;
	serial_write(dev, off, (u8)val);
}

struct serial *serial_create(struct vm *vm)
{
	struct serial *s = calloc(1, sizeof(*s));

	if (!s)
		die("out of memory");
	pthread_mutex_init(&s->lock, NULL);
	s->vm = vm;
	s->dll = 1;
	s->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	s->thr_pending = true;
	io_register(&vm->ports, &(struct io_region) {
		.base = COM1_BASE, .len = 8, .name = "serial", .dev = s,
		.read = bus_read, .write = bus_write,
	});
	return s;
}
