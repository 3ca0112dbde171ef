// SPDX-License-Identifier: GPL-2.0-only
/*
 * 8259A pair: requests, priorities, commands and acknowledging, after Intel's data sheet and
 * KVM's choices.
 * This file must not lock, allocate or know of CPUs: its owner does.
 */
#include "pic8259.h"

/* Input 0, 1 and 2 of the master and 0 and 5 of the slave are always edge triggered. */
#define ELCR_MASK_MASTER	0xf8
#define ELCR_MASK_SLAVE		0xde

#define ICW1_SELECT	0x10
#define ICW1_ICW4	0x01
#define ICW4_AUTO_EOI	0x02
#define ICW4_NESTED	0x10
#define OCW3_SELECT	0x08
#define OCW3_POLL	0x04
#define OCW3_READ	0x02
#define OCW3_READ_ISR	0x01
#define OCW3_SET_MASK	0x40
#define OCW3_MASK	0x20

/* Bits 7 to 5 of OCW2. */
enum ocw2_command {
	OCW2_ROTATE_AUTO_OFF, OCW2_EOI, OCW2_NONE, OCW2_EOI_PIN,
	OCW2_ROTATE_AUTO_ON, OCW2_EOI_ROTATE, OCW2_SET_LOWEST, OCW2_EOI_PIN_ROTATE,
};

enum init_state { READY, WANT_ICW2, WANT_ICW3, WANT_ICW4 };

void pic8259_init(struct pic8259 *pic)
{
	*pic = (struct pic8259){
		.chip[0].elcr_mask = ELCR_MASK_MASTER,
		.chip[1].elcr_mask = ELCR_MASK_SLAVE,
	};
}

/* Distance from the highest priority input to the first one set in @mask; 8 when there is none. */
static unsigned int pic_priority(const struct kvm_pic_state *chip, u8 mask)
{
	unsigned int distance = 0;

	if (!mask)
		return 8;
	while (!(mask & 1 << ((distance + chip->priority_add) & 7)))
		distance++;
	return distance;
}

/* The input this chip wants served, or -1. */
static int pic_wanted(const struct pic8259 *pic, unsigned int slave)
{
	const struct kvm_pic_state *chip = &pic->chip[slave];
	unsigned int wanted = pic_priority(chip, chip->irr & ~chip->imr);
	u8 serving = chip->isr;

	if (wanted == 8)
		return -1;
	/* "Special Mask Mode": a masked input in service does not hold back the others. */
	if (chip->special_mask)
		serving &= ~chip->imr;
	/* "Special Fully Nested Mode": the slave may interrupt its own service. */
	if (chip->special_fully_nested_mode && !slave)
		serving &= ~(1 << PIC_CASCADE);
	if (wanted >= pic_priority(chip, serving))
		return -1;
	return (wanted + chip->priority_add) & 7;
}

static int pic_set_input(struct kvm_pic_state *chip, unsigned int input, bool level)
{
	u8 bit = 1 << input;
	int ret = 1;

	if (!level) {
		if (chip->elcr & bit)
			chip->irr &= ~bit;
		chip->last_irr &= ~bit;
	} else {
		if ((chip->elcr & bit) || !(chip->last_irr & bit)) {
			ret = !(chip->irr & bit);
			chip->irr |= bit;
		}
		chip->last_irr |= bit;
	}
	return chip->imr & bit ? -1 : ret;
}

void pic8259_update(struct pic8259 *pic)
{
	bool output;

	if (pic_wanted(pic, 1) >= 0) {
		pic_set_input(&pic->chip[0], PIC_CASCADE, true);
		pic_set_input(&pic->chip[0], PIC_CASCADE, false);
	}
	output = pic_wanted(pic, 0) >= 0;
	if (output && !pic->output)
		pic->raised = true;
	pic->output = output;
}

int pic8259_set_pin(struct pic8259 *pic, unsigned int pin, bool level)
{
	int ret = pic_set_input(&pic->chip[pin >> 3], pin & 7, level);

	pic8259_update(pic);
	return ret;
}

static void pic_end_service(struct pic8259 *pic, unsigned int slave, unsigned int input)
{
	pic->chip[slave].isr &= ~(1 << input);
	pic->acked |= 1 << (input + slave * 8);
}

static void pic_begin_service(struct pic8259 *pic, unsigned int slave, unsigned int input)
{
	struct kvm_pic_state *chip = &pic->chip[slave];
	u8 bit = 1 << input;

	chip->isr |= bit;
	/* A level-triggered request stays for as long as its line is up. */
	if (!(chip->elcr & bit))
		chip->irr &= ~bit;
	if (!chip->auto_eoi)
		return;
	if (chip->rotate_on_auto_eoi)
		chip->priority_add = (input + 1) & 7;
	pic_end_service(pic, slave, input);
}

u8 pic8259_intack(struct pic8259 *pic)
{
	int input = pic_wanted(pic, 0);
	unsigned int slave = 0;

	if (input < 0) {
		input = 7;
	} else {
		pic_begin_service(pic, 0, input);
		if (input == PIC_CASCADE) {
			slave = 1;
			input = pic_wanted(pic, 1);
			if (input >= 0)
				pic_begin_service(pic, 1, input);
			else
				input = 7;
		}
	}
	/* Anything still wanted counts as a new rise: the CPU has consumed this one. */
	pic->output = false;
	pic8259_update(pic);
	return pic->chip[slave].irq_base + input;
}

/* Keeps the in-service bits, as the data sheet does; requests by edge are forgotten. */
static void pic_icw1(struct pic8259 *pic, unsigned int slave, u8 value)
{
	struct kvm_pic_state *chip = &pic->chip[slave];
	u8 edges = chip->irr & ~chip->elcr;
	unsigned int input;

	chip->init4 = value & ICW1_ICW4;
	chip->last_irr = 0;
	chip->irr &= chip->elcr;
	chip->imr = 0;
	chip->priority_add = 0;
	chip->special_mask = 0;
	chip->read_reg_select = 0;
	if (!chip->init4) {
		chip->special_fully_nested_mode = 0;
		chip->auto_eoi = 0;
	}
	chip->init_state = WANT_ICW2;
	if (pic->listened) {
		for (input = 0; input < 8; input++)
			if (edges & 1 << input)
				pic_end_service(pic, slave, input);
	}
	pic8259_update(pic);
}

static void pic_ocw3(struct kvm_pic_state *chip, u8 value)
{
	if (value & OCW3_POLL)
		chip->poll = 1;
	if (value & OCW3_READ)
		chip->read_reg_select = value & OCW3_READ_ISR;
	if (value & OCW3_SET_MASK)
		chip->special_mask = !!(value & OCW3_MASK);
}

/*
 * Which input an EOI command ends: the named one, or the one of highest priority; 8 when none is
 * served.
 */
static unsigned int pic_ended(const struct kvm_pic_state *chip, enum ocw2_command command, u8 value)
{
	unsigned int distance;

	if (command == OCW2_EOI_PIN || command == OCW2_EOI_PIN_ROTATE)
		return value & 7;
	distance = pic_priority(chip, chip->isr);
	return distance == 8 ? 8 : (distance + chip->priority_add) & 7;
}

static void pic_ocw2(struct pic8259 *pic, unsigned int slave, u8 value)
{
	struct kvm_pic_state *chip = &pic->chip[slave];
	enum ocw2_command command = value >> 5;
	unsigned int input;

	switch (command) {
	case OCW2_NONE:
		return;
	case OCW2_ROTATE_AUTO_OFF:
	case OCW2_ROTATE_AUTO_ON:
		chip->rotate_on_auto_eoi = command == OCW2_ROTATE_AUTO_ON;
		return;
	case OCW2_SET_LOWEST:
		chip->priority_add = (value + 1) & 7;
		break;
	default:
		input = pic_ended(chip, command, value);
		if (input == 8)
			return;
		if (command == OCW2_EOI_ROTATE || command == OCW2_EOI_PIN_ROTATE)
			chip->priority_add = (input + 1) & 7;
		pic_end_service(pic, slave, input);
		break;
	}
	pic8259_update(pic);
}

static u16 pic_write_mask(struct pic8259 *pic, unsigned int slave, u8 value)
{
	u16 unmasked = pic->chip[slave].imr & ~value;

	pic->chip[slave].imr = value;
	pic8259_update(pic);
	return unmasked << (slave * 8);
}

static u16 pic_write_data(struct pic8259 *pic, unsigned int slave, u8 value)
{
	struct kvm_pic_state *chip = &pic->chip[slave];

	switch (chip->init_state) {
	case READY:
		return pic_write_mask(pic, slave, value);
	case WANT_ICW2:
		chip->irq_base = value & 0xf8;
		chip->init_state = WANT_ICW3;
		break;
	case WANT_ICW3:
		/* The cascade is wired to input 2 whatever is said. */
		chip->init_state = chip->init4 ? WANT_ICW4 : READY;
		break;
	case WANT_ICW4:
		chip->special_fully_nested_mode = !!(value & ICW4_NESTED);
		chip->auto_eoi = !!(value & ICW4_AUTO_EOI);
		chip->init_state = READY;
		break;
	}
	return 0;
}

u16 pic8259_write(struct pic8259 *pic, unsigned int slave, bool a0, u8 value)
{
	if (a0)
		return pic_write_data(pic, slave, value);
	if (value & ICW1_SELECT)
		pic_icw1(pic, slave, value);
	else if (value & OCW3_SELECT)
		pic_ocw3(&pic->chip[slave], value);
	else
		pic_ocw2(pic, slave, value);
	return 0;
}

u8 pic8259_poll(struct pic8259 *pic, unsigned int slave)
{
	struct kvm_pic_state *chip = &pic->chip[slave];
	int input = pic_wanted(pic, slave);

	chip->poll = 0;
	if (input < 0) {
		pic8259_update(pic);
		return 0x07;
	}
	if (slave) {
		pic->chip[0].isr &= ~(1 << PIC_CASCADE);
		pic->chip[0].irr &= ~(1 << PIC_CASCADE);
	}
	chip->irr &= ~(1 << input);
	pic_end_service(pic, slave, input);
	if (slave || input != PIC_CASCADE)
		pic8259_update(pic);
	return 0x80 | input;
}
