// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM's IOAPIC: 24 pins of an 82093AA, without an EOI register as its version 0x11 says.
 * This file must not know how local APICs are found; it hands them messages.
 */
#include <linux/errno.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "internal.h"

#define IOAPIC_PINS		KVM_IOAPIC_NUM_PINS
#define IOAPIC_BASE		0xfec00000ULL
#define IOAPIC_LENGTH		0x100
#define IOAPIC_VERSION		0x11

#define IOAPIC_SELECT		0x00
#define IOAPIC_WINDOW		0x10

#define IOAPIC_REG_ID		0x00
#define IOAPIC_REG_VERSION	0x01
#define IOAPIC_REG_ARBITRATION	0x02
#define IOAPIC_REG_ENTRIES	0x10

/* Redirection entry */
#define RTE_VECTOR		0xffULL
#define RTE_MODE_SHIFT		8
#define RTE_LOGICAL		BIT_ULL(11)
#define RTE_PENDING		BIT_ULL(12)
#define RTE_REMOTE_IRR		BIT_ULL(14)
#define RTE_LEVEL		BIT_ULL(15)
#define RTE_MASKED		BIT_ULL(16)
#define RTE_DEST_SHIFT		56
#define RTE_READ_ONLY		(RTE_PENDING | RTE_REMOTE_IRR)

/* User space likes to know whether a tick of the RTC was lost: Windows keeps its clock by them. */
#define RTC_PIN			8

/*
 * So many level interrupts in a row with nobody touching the line: let the guest breathe for 10
 * ms.
 */
#define STORM_COUNT		10000
#define STORM_PAUSE_NS		10000000

struct vioapic {
	raw_spinlock_t lock;
	u32 select;
	u32 id;
	u32 irr;			/* pins with a request */
	u32 delivered;			/* edge pins whose request went out */
	u32 moved;			/* pins whose destination changed since they delivered */
	u32 pit_pins;			/* pins of GSI 0: the PIT wants to know of their EOI */
	u32 resample_pins;		/* and irqfds of these */
	u64 rte[IOAPIC_PINS];
	gpa_t base;
	int rtc_pending;		/* local APICs that owe an EOI of the last tick */
	u8 lines[IOAPIC_PINS];		/* a bit per source */
	u16 storm[IOAPIC_PINS];
	struct hrtimer storm_timer;
	struct vm *vm;
	struct iobus_dev mmio;
};

static void rte_message(u64 rte, struct apic_msg *msg)
{
	*msg = (struct apic_msg){
		.dest = rte >> RTE_DEST_SHIFT,
		.vector = rte & RTE_VECTOR,
		.mode = rte >> RTE_MODE_SHIFT & 7,
		.logical = rte & RTE_LOGICAL,
		.level = rte & RTE_LEVEL,
		.asserted = true,
	};
	apic_msg_set_lowest(msg, false);
}

/* Sends the pin's interrupt unless something holds it back. Returns as irq_line_set() does. */
static int vioapic_send(struct vioapic *ioapic, unsigned int pin, bool status)
{
	u64 rte = ioapic->rte[pin];
	struct apic_msg msg;
	int ret;

	if ((rte & RTE_MASKED) || ((rte & RTE_LEVEL) && (rte & RTE_REMOTE_IRR)))
		return -1;
	rte_message(rte, &msg);
	ioapic->moved &= ~BIT(pin);
	if (!msg.level)
		ioapic->delivered |= BIT(pin);
	msg.track_rtc = pin == RTC_PIN && status;

	ret = apic_deliver(ioapic->vm, NULL, &msg);
	if (msg.track_rtc)
		ioapic->rtc_pending = max(ret, 0);
	if (ret > 0 && msg.level)
		ioapic->rte[pin] |= RTE_REMOTE_IRR;
	return ret;
}

/*
 * The pin's line has the given level. Returns as irq_line_set() does: 0 for a request that was
 * there already.
 */
static int vioapic_pin(struct vioapic *ioapic, unsigned int pin, bool level, bool status)
{
	u32 bit = BIT(pin);

	if (!level) {
		ioapic->irr &= ~bit;
		return 1;
	}
	if (pin == RTC_PIN && status && ioapic->rtc_pending > 0)
		return 0;
	if (!(ioapic->rte[pin] & RTE_LEVEL)) {
		ioapic->delivered &= ~bit;
		if (ioapic->irr & bit)
			return 0;
	}
	ioapic->irr |= bit;
	return vioapic_send(ioapic, pin, status);
}

int vioapic_set_line(struct vm *vm, unsigned int source, unsigned int pin, bool level)
{
	struct vioapic *ioapic = vm->vioapic;
	bool status = source & IRQ_LINE_STATUS;
	unsigned long flags;
	int ret;

	source &= ~IRQ_LINE_STATUS;
	raw_spin_lock_irqsave(&ioapic->lock, flags);
	if (level)
		ioapic->lines[pin] |= BIT(source);
	else
		ioapic->lines[pin] &= ~BIT(source);
	ret = vioapic_pin(ioapic, pin, ioapic->lines[pin], status);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	return ret;
}

/* Local APICs ask this set before they take our lock for an EOI. */
static void vioapic_update_eoi_vectors(struct vioapic *ioapic)
{
	unsigned long vectors[BITS_TO_LONGS(256)] = {};
	u32 edges = ioapic->pit_pins | ioapic->resample_pins | BIT(RTC_PIN);
	unsigned int pin, i;

	for (pin = 0; pin < IOAPIC_PINS; pin++)
		if ((ioapic->rte[pin] & RTE_LEVEL) || (edges & BIT(pin)))
			__set_bit(ioapic->rte[pin] & RTE_VECTOR, vectors);
	for (i = 0; i < ARRAY_SIZE(vectors); i++)
		WRITE_ONCE(ioapic->vm->apic_map->eoi_vectors[i], vectors[i]);
}

static void vioapic_eoi_rtc(struct vioapic *ioapic, struct vlapic *apic, u8 vector)
{
	if (!apic->rtc_pending || apic->rtc_vector != vector)
		return;
	apic->rtc_pending = false;
	if (ioapic->rtc_pending > 0)
		ioapic->rtc_pending--;
}

/*
 * An EOI of an edge vector says nothing of where the interrupt came from. It was a pin's if the pin
 * sends this vector to this CPU; or may have been, if the pin has been pointed elsewhere since.
 * Returns those of @pins whose interrupt has been served.
 */
static u32 vioapic_acked(struct vioapic *ioapic, struct vlapic *apic, u8 vector, bool level,
			 unsigned long pins)
{
	unsigned int pin;
	u32 acked = 0;

	for_each_set_bit(pin, &pins, IOAPIC_PINS) {
		u64 rte = ioapic->rte[pin];

		if ((rte & RTE_VECTOR) != vector)
			continue;
		if (level || (ioapic->moved & BIT(pin)) ||
		    vlapic_matches(apic, NULL, rte >> RTE_DEST_SHIFT, rte & RTE_LOGICAL))
			acked |= BIT(pin);
	}
	return acked;
}

static void vioapic_eoi_pin(struct vioapic *ioapic, unsigned int pin)
{
	ioapic->rte[pin] &= ~RTE_REMOTE_IRR;
	if ((ioapic->rte[pin] & RTE_MASKED) || !(ioapic->irr & BIT(pin))) {
		ioapic->storm[pin] = 0;
		return;
	}
	/* The line is still up: hardware would interrupt again, after some time. */
	if (++ioapic->storm[pin] == STORM_COUNT) {
		ioapic->storm[pin] = 0;
		hrtimer_start(&ioapic->storm_timer, ns_to_ktime(STORM_PAUSE_NS),
			      HRTIMER_MODE_REL_HARD);
	} else {
		vioapic_send(ioapic, pin, false);
	}
}

/* The local APIC @apic ended service of @vector, which had arrived level triggered or not. */
void vioapic_eoi(struct vlapic *apic, u8 vector, bool level)
{
	struct vm *vm = apic->vcpu->vm;
	struct vioapic *ioapic = vm->vioapic;
	unsigned long flags;
	unsigned int pin;
	u32 pit, resample;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	vioapic_eoi_rtc(ioapic, apic, vector);
	pit = vioapic_acked(ioapic, apic, vector, false, ioapic->pit_pins);
	resample = vioapic_acked(ioapic, apic, vector, level, ioapic->resample_pins);
	if (unlikely(resample)) {
		/* The line falls before the pin may interrupt again, or is up for a reason. */
		raw_spin_unlock_irqrestore(&ioapic->lock, flags);
		irqfd_pins_acked(vm, KVM_IRQCHIP_IOAPIC, resample);
		raw_spin_lock_irqsave(&ioapic->lock, flags);
	}
	/*
	 * With broadcasts suppressed a level interrupt waits for an EOI register, which this
	 * version lacks.
	 */
	if (level && !(vlapic_reg(apic, APIC_SPIV) & APIC_SPIV_DIRECTED_EOI)) {
		for (pin = 0; pin < IOAPIC_PINS; pin++)
			if ((ioapic->rte[pin] & RTE_VECTOR) == vector)
				vioapic_eoi_pin(ioapic, pin);
	}
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	/* Without the lock: the PIT may have a tick to make up for and drives its line. */
	if (pit)
		vpit_acked(vm);
}

static enum hrtimer_restart vioapic_storm_over(struct hrtimer *timer)
{
	struct vioapic *ioapic = container_of(timer, struct vioapic, storm_timer);
	unsigned long flags;
	unsigned int pin;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		if ((ioapic->rte[pin] & RTE_LEVEL) && (ioapic->irr & BIT(pin)))
			vioapic_send(ioapic, pin, false);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	return HRTIMER_NORESTART;
}

static u32 vioapic_read_window(const struct vioapic *ioapic)
{
	unsigned int index;
	u64 rte = ~0ULL;

	switch (ioapic->select) {
	case IOAPIC_REG_VERSION:
		return (IOAPIC_PINS - 1) << 16 | IOAPIC_VERSION;
	case IOAPIC_REG_ID:
	case IOAPIC_REG_ARBITRATION:
		return (ioapic->id & 0xf) << 24;
	}
	index = (ioapic->select - IOAPIC_REG_ENTRIES) >> 1;
	if (index < IOAPIC_PINS)
		rte = ioapic->rte[array_index_nospec(index, IOAPIC_PINS)];
	return ioapic->select & 1 ? rte >> 32 : rte;
}

/*
 * A level pin with a request becomes able to send. Its line may have fallen while it was masked, by
 * a device whose irqfd has no other way to say so than to be asked: returns true for that.
 */
static bool vioapic_resend(struct vioapic *ioapic, unsigned int pin)
{
	if (!(ioapic->resample_pins & BIT(pin)) ||
	    (ioapic->rte[pin] & (RTE_MASKED | RTE_REMOTE_IRR))) {
		vioapic_send(ioapic, pin, false);
		return false;
	}
	ioapic->irr &= ~BIT(pin);
	return true;
}

/* Returns whether the pin's irqfds have to be asked for the state of the line. */
static bool vioapic_write_entry(struct vioapic *ioapic, unsigned int pin, bool high, u32 value)
{
	u64 old = ioapic->rte[pin], rte;

	if (high)
		rte = (u32)old | (u64)value << 32;
	else
		rte = (old & ~0xffffffffULL) | value;
	rte = (rte & ~RTE_READ_ONLY) | (old & RTE_READ_ONLY);
	/* Linux and Xen flip an entry to edge and back for want of an EOI register. */
	if (!(rte & RTE_LEVEL))
		rte &= ~RTE_REMOTE_IRR;
	ioapic->rte[pin] = rte;

	if ((old ^ rte) >> RTE_DEST_SHIFT || ((old ^ rte) & RTE_LOGICAL))
		ioapic->moved |= BIT(pin);
	if ((old ^ rte) & (RTE_VECTOR | RTE_LEVEL))
		vioapic_update_eoi_vectors(ioapic);
	if ((old & ~rte & RTE_MASKED) && (ioapic->pit_pins & BIT(pin)))
		vpit_unmasked(ioapic->vm);
	return (rte & RTE_LEVEL) && (ioapic->irr & BIT(pin)) && vioapic_resend(ioapic, pin);
}

/* Returns the pin whose irqfds have to be asked for the state of the line, or -1. */
static int vioapic_write_window(struct vioapic *ioapic, u32 value)
{
	unsigned int index = (ioapic->select - IOAPIC_REG_ENTRIES) >> 1;

	if (ioapic->select == IOAPIC_REG_ID) {
		ioapic->id = value >> 24 & 0xf;
	} else if (index < IOAPIC_PINS) {
		index = array_index_nospec(index, IOAPIC_PINS);
		if (vioapic_write_entry(ioapic, index, ioapic->select & 1, value))
			return index;
	}
	return -1;
}

static int vioapic_mmio_read(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr, unsigned int len,
			     void *data)
{
	struct vioapic *ioapic = container_of(dev, struct vioapic, mmio);
	gpa_t offset = addr - ioapic->base;
	unsigned long flags;
	u64 value = 0;

	/* KVM_SET_IRQCHIP may have moved the chip away from the range we are called for. */
	if (offset >= IOAPIC_LENGTH)
		return -EOPNOTSUPP;
	if (offset == IOAPIC_SELECT) {
		value = READ_ONCE(ioapic->select);
	} else if (offset == IOAPIC_WINDOW) {
		raw_spin_lock_irqsave(&ioapic->lock, flags);
		value = vioapic_read_window(ioapic);
		raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	}
	memcpy(data, &value, len);
	return 0;
}

static int vioapic_mmio_write(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr,
			      unsigned int len, const void *data)
{
	struct vioapic *ioapic = container_of(dev, struct vioapic, mmio);
	gpa_t offset = addr - ioapic->base;
	int resample = -1;
	unsigned long flags;
	u32 value = 0;

	if (offset >= IOAPIC_LENGTH)
		return -EOPNOTSUPP;
	if (!is_power_of_2(len))
		return 0;
	memcpy(&value, data, min_t(unsigned int, len, sizeof(value)));

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	if (offset == IOAPIC_SELECT)
		ioapic->select = value & 0xff;
	else if (offset == IOAPIC_WINDOW)
		resample = vioapic_write_window(ioapic, value);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	if (unlikely(resample >= 0))
		irqfd_pin_resample(ioapic->vm, KVM_IRQCHIP_IOAPIC, resample);
	return 0;
}

static const struct iobus_ops vioapic_ops = {
	.read = vioapic_mmio_read,
	.write = vioapic_mmio_write,
};

void vioapic_get(struct vm *vm, struct kvm_ioapic_state *state)
{
	struct vioapic *ioapic = vm->vioapic;
	unsigned long flags;
	unsigned int pin;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	state->base_address = ioapic->base;
	state->ioregsel = ioapic->select;
	state->id = ioapic->id;
	/* What has gone out of an edge pin must not go out again after a migration. */
	state->irr = ioapic->irr & ~ioapic->delivered;
	state->pad = 0;
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		state->redirtbl[pin].bits = ioapic->rte[pin];
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

/* Work out again which local APICs owe an EOI of the RTC's vector. */
static void vioapic_restore_rtc_locked(struct vioapic *ioapic, struct vlapic *apic)
{
	u64 rte = ioapic->rte[RTC_PIN];
	u8 vector = rte & RTE_VECTOR;
	bool owes;

	if (!vlapic_matches(apic, NULL, rte >> RTE_DEST_SHIFT, rte & RTE_LOGICAL))
		return;
	owes = vlapic_test_vector(apic, APIC_ISR, vector) ||
	       vlapic_test_vector(apic, APIC_IRR, vector);
	if (owes == apic->rtc_pending)
		return;
	apic->rtc_pending = owes;
	apic->rtc_vector = vector;
	ioapic->rtc_pending += owes ? 1 : -1;
	if (ioapic->rtc_pending < 0)
		ioapic->rtc_pending = 0;
}

void vioapic_restore_rtc(struct vlapic *apic)
{
	struct vioapic *ioapic = apic->vcpu->vm->vioapic;
	unsigned long flags;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	vioapic_restore_rtc_locked(ioapic, apic);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

static void vioapic_forget_rtc(struct vioapic *ioapic)
{
	struct vcpu *vcpu;
	unsigned int i;

	ioapic->rtc_pending = 0;
	vm_for_each_vcpu(i, vcpu, ioapic->vm)
		vcpu->lapic->rtc_pending = false;
}

void vioapic_set(struct vm *vm, const struct kvm_ioapic_state *state)
{
	struct vioapic *ioapic = vm->vioapic;
	unsigned long flags, irr = state->irr;
	struct vcpu *vcpu;
	unsigned int i;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	ioapic->base = state->base_address;
	ioapic->select = state->ioregsel;
	ioapic->id = state->id;
	ioapic->irr = 0;
	ioapic->delivered = 0;
	ioapic->moved = 0;
	for (i = 0; i < IOAPIC_PINS; i++)
		ioapic->rte[i] = state->redirtbl[i].bits;
	vioapic_update_eoi_vectors(ioapic);

	vioapic_forget_rtc(ioapic);
	for_each_set_bit(i, &irr, IOAPIC_PINS)
		vioapic_pin(ioapic, i, true, true);
	vioapic_forget_rtc(ioapic);
	vm_for_each_vcpu(i, vcpu, vm)
		vioapic_restore_rtc_locked(ioapic, vcpu->lapic);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

void vioapic_set_notify_pins(struct vm *vm, u32 pit, u32 resample)
{
	struct vioapic *ioapic = vm->vioapic;
	unsigned long flags;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	ioapic->pit_pins = pit;
	ioapic->resample_pins = resample;
	vioapic_update_eoi_vectors(ioapic);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

/* Caller holds vm->slots_lock. */
int vioapic_create(struct vm *vm)
{
	struct vioapic *ioapic = kzalloc(sizeof(*ioapic), GFP_KERNEL_ACCOUNT);
	unsigned int pin;
	int ret;

	if (!ioapic)
		return -ENOMEM;
	raw_spin_lock_init(&ioapic->lock);
	ioapic->vm = vm;
	ioapic->base = IOAPIC_BASE;
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->rte[pin] = RTE_MASKED;
	vioapic_update_eoi_vectors(ioapic);
	compat_hrtimer_setup(&ioapic->storm_timer, vioapic_storm_over, CLOCK_MONOTONIC,
			     HRTIMER_MODE_REL_HARD);
	ioapic->mmio = (struct iobus_dev){
		.ops = &vioapic_ops, .base = IOAPIC_BASE, .len = IOAPIC_LENGTH,
	};
	vm->vioapic = ioapic;
	ret = iobus_register(vm, IOBUS_MMIO, &ioapic->mmio);
	if (ret)
		vioapic_destroy(vm);
	return ret;
}

void vioapic_unregister(struct vm *vm)
{
	iobus_unregister(vm, IOBUS_MMIO, &vm->vioapic->mmio);
}

/* After this no timer of the IOAPIC delivers anything; no vCPU runs that could start it again. */
void vioapic_stop(struct vm *vm)
{
	if (vm->vioapic)
		hrtimer_cancel(&vm->vioapic->storm_timer);
}

void vioapic_destroy(struct vm *vm)
{
	kfree(vm->vioapic);
	vm->vioapic = NULL;
}
