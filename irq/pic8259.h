/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The logic of a pair of 8259A interrupt controllers, master and slave, as pure state.
 * This header must not need more than integer types and KVM's public header: it is tested in user
 * space.
 */
#ifndef IRQ_PIC8259_H
#define IRQ_PIC8259_H

#include <linux/kvm.h>
#include <linux/types.h>

#define PIC_PINS	16
#define PIC_CASCADE	2	/* the master's input the slave drives */

/**
 * struct pic8259 - two controllers
 * @chip:	master and slave, in the form KVM_GET_IRQCHIP shows
 * @output:	the master's INTR line
 * @raised:	@output rose; the owner takes it and tells a CPU
 * @listened:	some CPU takes this pair's interrupts; the owner keeps it up to date for ICW1
 * @acked:	inputs whose in-service bits were cleared; the owner takes them
 */
struct pic8259 {
	struct kvm_pic_state chip[2];
	bool output;
	bool raised;
	bool listened;
	u16 acked;
};

/* pic8259_init() - power-up state. */
void pic8259_init(struct pic8259 *pic);

/**
 * pic8259_set_pin() - drive an input
 * @pic: the pair
 * @pin: 0 to 15
 * @level: new level
 * Return: -1 when masked, 0 when the request was there already, 1 when it is news.
 */
int pic8259_set_pin(struct pic8259 *pic, unsigned int pin, bool level);

/* pic8259_update() - work out the output after @chip was written from outside. */
void pic8259_update(struct pic8259 *pic);

/* pic8259_intack() - the INTA cycles: returns the vector; input 7's when the request has gone. */
u8 pic8259_intack(struct pic8259 *pic);

/**
 * pic8259_write() - a write to a port
 * @pic: the pair
 * @slave: 1 for the slave's ports
 * @a0: the address line: mask register and ICW2 to ICW4
 * @value: the byte
 * Return: inputs that were unmasked by it, a bit each.
 */
u16 pic8259_write(struct pic8259 *pic, unsigned int slave, bool a0, u8 value);

/* pic8259_poll() - a port read after a poll command: clears the poll, acknowledges. */
u8 pic8259_poll(struct pic8259 *pic, unsigned int slave);

/* pic8259_read() - a port read otherwise; reads single bytes only, so needs no lock. */
static inline u8 pic8259_read(const struct kvm_pic_state *chip, bool a0)
{
	if (a0)
		return chip->imr;
	return chip->read_reg_select ? chip->isr : chip->irr;
}

#endif
