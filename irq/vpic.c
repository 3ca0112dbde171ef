// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM's 8259A pair on the port bus: locking, line levels of several sources, waking the CPU
 * that listens.
 * This file must not decide what the chips do; pic8259.c does.
 */
#include <linux/errno.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"
#include "pic8259.h"

struct vpic {
	struct pic8259 pic;
	raw_spinlock_t lock;
	u16 pit_pins;			/* inputs of GSI 0: the PIT wants to know of their EOI */
	u16 resample_pins;		/* and irqfds of these */
	u8 lines[PIC_PINS];		/* a bit per source */
	struct vm *vm;
	struct iobus_dev ports[2];	/* command and mask port of each chip */
	struct iobus_dev elcr;
};

/* The first CPU whose LINT0 takes the PIC's interrupts, or NULL. */
static struct vcpu *vpic_listener(struct vm *vm)
{
	struct vcpu *vcpu;
	unsigned int i;

	vm_for_each_vcpu(i, vcpu, vm)
		if (vlapic_accepts_pic(vcpu))
			return vcpu;
	return NULL;
}

/*
 * Whom the change concerns is told after the lock is dropped: the PIT may drive its line again
 * from there.
 */
static void vpic_unlock(struct vpic *vpic, unsigned long flags)
	__releases(&vpic->lock)
{
	bool raised = vpic->pic.raised;
	u16 acked = vpic->pic.acked, pit = acked & vpic->pit_pins;
	struct vcpu *vcpu;

	vpic->pic.raised = false;
	vpic->pic.acked = 0;
	raw_spin_unlock_irqrestore(&vpic->lock, flags);

	if (raised) {
		vcpu = vpic_listener(vpic->vm);
		if (vcpu) {
			vcpu_request(vcpu, REQ_EVENT);
			vcpu_kick(vcpu);
		}
	}
	if (pit)
		vpit_acked(vpic->vm);
	acked &= READ_ONCE(vpic->resample_pins);
	if (unlikely(acked)) {
		irqfd_pins_acked(vpic->vm, KVM_IRQCHIP_PIC_MASTER, acked & 0xff);
		irqfd_pins_acked(vpic->vm, KVM_IRQCHIP_PIC_SLAVE, acked >> 8);
	}
}

int vpic_set_line(struct vm *vm, unsigned int source, unsigned int pin, bool level)
{
	struct vpic *vpic = vm->vpic;
	unsigned long flags;
	int ret;

	raw_spin_lock_irqsave(&vpic->lock, flags);
	if (level)
		vpic->lines[pin] |= BIT(source);
	else
		vpic->lines[pin] &= ~BIT(source);
	ret = pic8259_set_pin(&vpic->pic, pin, vpic->lines[pin]);
	vpic_unlock(vpic, flags);
	return ret;
}

bool vpic_output(struct vm *vm)
{
	return READ_ONCE(vm->vpic->pic.output);
}

int vpic_ack(struct vm *vm)
{
	struct vpic *vpic = vm->vpic;
	unsigned long flags;
	u8 vector;

	raw_spin_lock_irqsave(&vpic->lock, flags);
	vector = pic8259_intack(&vpic->pic);
	vpic_unlock(vpic, flags);
	return vector;
}

static int vpic_port_write(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr, unsigned int len,
			   const void *data)
{
	struct vpic *vpic = vcpu->vm->vpic;
	unsigned int slave = addr >> 7 & 1;
	u8 value = *(const u8 *)data;
	unsigned long flags;
	u16 unmasked;

	/* Wider accesses are no business of an 8-bit chip and get lost, as in KVM. */
	if (unlikely(len != 1))
		return 0;
	raw_spin_lock_irqsave(&vpic->lock, flags);
	if (!(addr & 1) && (value & 0x10))
		vpic->pic.listened = vpic_listener(vpic->vm);
	unmasked = pic8259_write(&vpic->pic, slave, addr & 1, value);
	if (unmasked & vpic->pit_pins)
		vpit_unmasked(vpic->vm);
	vpic_unlock(vpic, flags);
	return 0;
}

/* After a poll command, or of more than a byte: the latter read as nothing. */
static noinline int vpic_port_read_odd(struct vpic *vpic, unsigned int slave, unsigned int len,
				       void *data)
{
	unsigned long flags;

	memset(data, 0, len);
	if (len != 1)
		return 0;
	raw_spin_lock_irqsave(&vpic->lock, flags);
	*(u8 *)data = pic8259_poll(&vpic->pic, slave);
	vpic_unlock(vpic, flags);
	return 0;
}

static int vpic_port_read(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr, unsigned int len,
			  void *data)
{
	struct vpic *vpic = vcpu->vm->vpic;
	unsigned int slave = addr >> 7 & 1;
	const struct kvm_pic_state *chip = &vpic->pic.chip[slave];

	if (unlikely(len != 1) || unlikely(READ_ONCE(chip->poll)))
		return vpic_port_read_odd(vpic, slave, len, data);
	*(u8 *)data = pic8259_read(chip, addr & 1);
	return 0;
}

static int vpic_elcr_write(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr, unsigned int len,
			   const void *data)
{
	struct vpic *vpic = vcpu->vm->vpic;
	struct kvm_pic_state *chip = &vpic->pic.chip[addr & 1];
	unsigned long flags;

	if (len != 1)
		return 0;
	raw_spin_lock_irqsave(&vpic->lock, flags);
	chip->elcr = *(const u8 *)data & chip->elcr_mask;
	raw_spin_unlock_irqrestore(&vpic->lock, flags);
	return 0;
}

static int vpic_elcr_read(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr, unsigned int len,
			  void *data)
{
	memset(data, 0, len);
	if (len == 1)
		*(u8 *)data = READ_ONCE(vcpu->vm->vpic->pic.chip[addr & 1].elcr);
	return 0;
}

static const struct iobus_ops vpic_port_ops = {
	.read = vpic_port_read,
	.write = vpic_port_write,
};

static const struct iobus_ops vpic_elcr_ops = {
	.read = vpic_elcr_read,
	.write = vpic_elcr_write,
};

void vpic_get(struct vm *vm, unsigned int chip, struct kvm_pic_state *state)
{
	struct vpic *vpic = vm->vpic;
	unsigned long flags;

	raw_spin_lock_irqsave(&vpic->lock, flags);
	*state = vpic->pic.chip[chip];
	raw_spin_unlock_irqrestore(&vpic->lock, flags);
}

void vpic_set(struct vm *vm, unsigned int chip, const struct kvm_pic_state *state)
{
	struct vpic *vpic = vm->vpic;
	unsigned long flags;

	raw_spin_lock_irqsave(&vpic->lock, flags);
	vpic->pic.chip[chip] = *state;
	pic8259_update(&vpic->pic);
	vpic_unlock(vpic, flags);
}

void vpic_set_notify_pins(struct vm *vm, u16 pit, u16 resample)
{
	WRITE_ONCE(vm->vpic->pit_pins, pit);
	WRITE_ONCE(vm->vpic->resample_pins, resample);
}

static int vpic_register(struct vm *vm, struct vpic *vpic)
{
	static const struct iobus_dev ranges[] = {
		{ .ops = &vpic_port_ops, .base = 0x20, .len = 2 },
		{ .ops = &vpic_port_ops, .base = 0xa0, .len = 2 },
		{ .ops = &vpic_elcr_ops, .base = 0x4d0, .len = 2 },
	};
	int ret;

	vpic->ports[0] = ranges[0];
	vpic->ports[1] = ranges[1];
	vpic->elcr = ranges[2];
	ret = iobus_register(vm, IOBUS_PIO, &vpic->ports[0]);
	if (ret)
		return ret;
	ret = iobus_register(vm, IOBUS_PIO, &vpic->ports[1]);
	if (ret)
		goto fail_slave;
	ret = iobus_register(vm, IOBUS_PIO, &vpic->elcr);
	if (ret)
		goto fail_elcr;
	return 0;

fail_elcr:
	iobus_unregister(vm, IOBUS_PIO, &vpic->ports[1]);
fail_slave:
	iobus_unregister(vm, IOBUS_PIO, &vpic->ports[0]);
	return ret;
}

/* Caller holds vm->slots_lock. */
int vpic_create(struct vm *vm)
{
	struct vpic *vpic = kzalloc(sizeof(*vpic), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!vpic)
		return -ENOMEM;
	pic8259_init(&vpic->pic);
	raw_spin_lock_init(&vpic->lock);
	vpic->vm = vm;
	vm->vpic = vpic;
	ret = vpic_register(vm, vpic);
	if (ret)
		vpic_destroy(vm);
	return ret;
}

/* Takes the ranges off the bus: an irqchip whose creation failed leaves the VM as it was. */
void vpic_unregister(struct vm *vm)
{
	iobus_unregister(vm, IOBUS_PIO, &vm->vpic->ports[0]);
	iobus_unregister(vm, IOBUS_PIO, &vm->vpic->ports[1]);
	iobus_unregister(vm, IOBUS_PIO, &vm->vpic->elcr);
}

void vpic_destroy(struct vm *vm)
{
	kfree(vm->vpic);
	vm->vpic = NULL;
}
