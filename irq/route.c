// SPDX-License-Identifier: GPL-2.0-only
/*
 * GSI routing: which chip pins or messages a global system interrupt drives, as user space says.
 * This file must not keep line levels; the chips do, a bit per source.
 */
#include <linux/errno.h>
#include <linux/lockdep.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

#define PIC_CHIP_PINS	8
#define NR_CHIPS	3	/* KVM_IRQCHIP_PIC_MASTER, _PIC_SLAVE, _IOAPIC */
#define PIT_GSI		0
#define NO_GSI		(-1)

struct irq_route {
	bool is_msi;
	u8 chip;
	u8 pin;			/* the slave PIC's start at 8 */
	u32 address_lo;
	u32 address_hi;
	u32 data;
};

/*
 * Routes sorted by GSI; those of GSI n are first[n] up to first[n + 1], in the order user space
 * gave them.
 */
struct irq_routing {
	struct rcu_head rcu;
	unsigned int nr_gsis;
	s16 gsi[NR_CHIPS][KVM_IOAPIC_NUM_PINS];	/* that drives a pin, or -1 */
	u16 *first;
	struct irq_route route[];
};

/* With 32-bit ids the low byte of the upper address must be clear: it has no meaning yet. */
static bool msi_address_bad(const struct vm *vm, u32 address_hi)
{
	return vm->x2apic_ids && (address_hi & 0xff);
}

/* MSI address and data as in "Message Signalled Interrupts". */
static __always_inline void msi_message(const struct vm *vm, u32 address_lo, u32 address_hi,
					u32 data, struct apic_msg *msg)
{
	*msg = (struct apic_msg){
		.dest = address_lo >> 12 & 0xff,
		.vector = data & 0xff,
		.mode = data >> 8 & 7,
		.logical = address_lo & BIT(2),
		.level = data & BIT(15),
		.asserted = true,
	};
	if (vm->x2apic_ids)
		msg->dest |= address_hi & 0xffffff00;
	apic_msg_set_lowest(msg, address_lo & BIT(3));
}

static __always_inline int msi_send(struct vm *vm, u32 address_lo, u32 address_hi, u32 data)
{
	struct apic_msg msg;

	if (msi_address_bad(vm, address_hi))
		return -EINVAL;
	msi_message(vm, address_lo, address_hi, data, &msg);
	return apic_deliver(vm, NULL, &msg);
}

int irq_msi_send(struct vm *vm, const struct kvm_msi *msi)
{
	if (!irqchip_in_kernel(vm))
		return vm_refuse(vm, -EINVAL, "an MSI needs an in-kernel irqchip", 0);
	if (msi->flags)
		return vm_refuse(vm, -EINVAL, "unknown flags of an MSI", msi->flags);
	return msi_send(vm, msi->address_lo, msi->address_hi, msi->data);
}

static int irq_route_drive(struct vm *vm, const struct irq_route *route, unsigned int source,
			   bool level)
{
	if (route->is_msi)
		return level ? msi_send(vm, route->address_lo, route->address_hi, route->data) : -1;
	if (route->chip == KVM_IRQCHIP_IOAPIC)
		return vioapic_set_line(vm, source, route->pin, level);
	return vpic_set_line(vm, source & ~IRQ_LINE_STATUS, route->pin, level);
}

int irq_line_set(struct vm *vm, unsigned int source, u32 gsi, int level)
{
	const struct irq_routing *routing;
	int ret = -1, delivered;
	unsigned int i, end;

	rcu_read_lock();
	routing = rcu_dereference(vm->routing);
	if (routing && gsi < routing->nr_gsis) {
		gsi = array_index_nospec(gsi, routing->nr_gsis);
		end = routing->first[gsi + 1];
		/*
		 * Nobody knows whether the guest listens to the PIC or to the IOAPIC: drive both.
		 */
		for (i = routing->first[gsi]; i < end; i++) {
			delivered = irq_route_drive(vm, &routing->route[i], source, level);
			if (delivered >= 0)
				ret = max(ret, 0) + delivered;
		}
	}
	rcu_read_unlock();
	return ret;
}

void irq_line_pulse(struct vm *vm, unsigned int source, u32 gsi)
{
	const struct irq_routing *routing;
	unsigned int i, first, end;

	rcu_read_lock();
	routing = rcu_dereference(vm->routing);
	if (routing && gsi < routing->nr_gsis) {
		gsi = array_index_nospec(gsi, routing->nr_gsis);
		first = routing->first[gsi];
		end = routing->first[gsi + 1];
		for (i = first; i < end; i++)
			irq_route_drive(vm, &routing->route[i], source, true);
		for (i = first; i < end; i++)
			if (!routing->route[i].is_msi)
				irq_route_drive(vm, &routing->route[i], source, false);
	}
	rcu_read_unlock();
}

static int irq_route_from_pin(struct vm *vm, struct irq_route *route,
			      const struct kvm_irq_routing_irqchip *pin)
{
	static const u8 nr_pins[NR_CHIPS] = {
		[KVM_IRQCHIP_PIC_MASTER] = PIC_CHIP_PINS,
		[KVM_IRQCHIP_PIC_SLAVE] = PIC_CHIP_PINS,
		[KVM_IRQCHIP_IOAPIC] = KVM_IOAPIC_NUM_PINS,
	};

	if (irqchip_is_split(vm))
		return vm_refuse(vm, -EINVAL, "the chips' pins are user space's", pin->irqchip);
	if (pin->irqchip >= NR_CHIPS)
		return vm_refuse(vm, -EINVAL, "there is no such irqchip", pin->irqchip);
	if (pin->pin >= nr_pins[array_index_nospec(pin->irqchip, NR_CHIPS)])
		return vm_refuse(vm, -EINVAL, "the irqchip has no such pin", pin->pin);
	route->chip = pin->irqchip;
	route->pin = pin->pin;
	if (route->chip == KVM_IRQCHIP_PIC_SLAVE)
		route->pin += PIC_CHIP_PINS;
	return 0;
}

static int irq_route_from_user(struct vm *vm, struct irq_route *route,
			       const struct kvm_irq_routing_entry *entry)
{
	u32 flags = entry->flags;

	switch (entry->type) {
	case KVM_IRQ_ROUTING_IRQCHIP:
		if (flags)
			return vm_refuse(vm, -EINVAL, "a pin's route has no flags", flags);
		return irq_route_from_pin(vm, route, &entry->u.irqchip);
	case KVM_IRQ_ROUTING_MSI:
		if (flags & ~KVM_MSI_VALID_DEVID)
			return vm_refuse(vm, -EINVAL, "unknown flags of an MSI route", flags);
		if (msi_address_bad(vm, entry->u.msi.address_hi))
			return vm_refuse(vm, -EINVAL, "an MSI's address has reserved bits set",
					 entry->u.msi.address_hi);
		route->is_msi = true;
		route->address_lo = entry->u.msi.address_lo;
		route->address_hi = entry->u.msi.address_hi;
		route->data = entry->u.msi.data;
		return 0;
	default:
		return vm_refuse(vm, -EINVAL, "unknown type of a route", entry->type);
	}
}

/* A GSI has one message, or one pin of each chip. */
static bool irq_routes_clash(const struct irq_route *a, const struct irq_route *b)
{
	return a->is_msi || b->is_msi || a->chip == b->chip;
}

static struct irq_routing *irq_routing_alloc(unsigned int nr_routes, unsigned int nr_gsis)
{
	struct irq_routing *routing;
	size_t routes = struct_size(routing, route, nr_routes);

	routing = kvzalloc(routes + (nr_gsis + 1) * sizeof(*routing->first), GFP_KERNEL_ACCOUNT);
	if (!routing)
		return NULL;
	routing->nr_gsis = nr_gsis;
	routing->first = (void *)routing + routes;
	return routing;
}

/*
 * A counting sort: first[n + 1] counts the routes of GSI n, then is the end of its share while
 * shares are filled from their start.
 */
static int irq_routing_fill(struct vm *vm, struct irq_routing *routing,
			    const struct kvm_irq_routing_entry *entries, unsigned int nr)
{
	unsigned int i, gsi, at;
	u16 *first = routing->first;
	int ret;

	for (i = 0; i < nr; i++)
		first[entries[i].gsi + 1]++;
	for (gsi = 0; gsi < routing->nr_gsis; gsi++)
		first[gsi + 1] += first[gsi];
	/*
	 * From the last entry backwards: first[gsi + 1] walks down from the end of the share to
	 * its start.
	 */
	for (i = nr; i--;) {
		gsi = array_index_nospec(entries[i].gsi, routing->nr_gsis);
		at = --first[gsi + 1];
		ret = irq_route_from_user(vm, &routing->route[at], &entries[i]);
		if (ret)
			return ret;
	}
	/*
	 * Each first[gsi + 1] is now the start of GSI's share: shift down, and close with the
	 * number of all.
	 */
	for (gsi = 0; gsi < routing->nr_gsis; gsi++)
		first[gsi] = first[gsi + 1];
	first[routing->nr_gsis] = nr;
	return 0;
}

static bool irq_routing_clashes(const struct irq_routing *routing)
{
	unsigned int gsi, i, j;

	for (gsi = 0; gsi < routing->nr_gsis; gsi++)
		for (i = routing->first[gsi]; i < routing->first[gsi + 1]; i++)
			for (j = routing->first[gsi]; j < i; j++)
				if (irq_routes_clash(&routing->route[i], &routing->route[j]))
					return true;
	return false;
}

/* Of several GSIs on one pin the one that user space named last counts. */
static void irq_routing_map_pins(struct irq_routing *routing,
				 const struct kvm_irq_routing_entry *entries, unsigned int nr)
{
	unsigned int i;

	memset(routing->gsi, 0xff, sizeof(routing->gsi));
	for (i = 0; i < nr; i++) {
		const struct kvm_irq_routing_irqchip *pin = &entries[i].u.irqchip;

		if (entries[i].type == KVM_IRQ_ROUTING_IRQCHIP)
			routing->gsi[pin->irqchip][pin->pin] = entries[i].gsi;
	}
}

/* The messages of a pin of user space's IOAPIC, whose EOI it wants to know of. */
static bool irq_route_wants_eoi(const struct vm *vm, const struct irq_route *route,
				struct apic_msg *msg)
{
	if (!route->is_msi)
		return false;
	msi_message(vm, route->address_lo, route->address_hi, route->data, msg);
	return msg->level;
}

static unsigned int irq_routing_ioapic_end(const struct vm *vm, const struct irq_routing *routing)
{
	return routing->first[min(vm->ioapic_gsis, routing->nr_gsis)];
}

/*
 * Another CPU may use the same vector for something else: it was the IOAPIC's if it came level
 * triggered, or a pin sends it to this CPU.
 */
bool irq_routing_wants_eoi(struct vm *vm, struct vlapic *apic, u8 vector)
{
	bool wanted = vlapic_test_vector(apic, APIC_TMR, vector);
	const struct irq_routing *routing;
	struct apic_msg msg;
	unsigned int i, end;

	rcu_read_lock();
	routing = rcu_dereference(vm->routing);
	end = irq_routing_ioapic_end(vm, routing);
	for (i = 0; i < end && !wanted; i++)
		wanted = irq_route_wants_eoi(vm, &routing->route[i], &msg) &&
			 msg.vector == vector &&
			 vlapic_matches(apic, NULL, msg.dest, msg.logical);
	rcu_read_unlock();
	return wanted;
}

/* Local APICs ask this set first. */
static void irq_routing_update_eoi(struct vm *vm, const struct irq_routing *routing)
{
	unsigned long vectors[BITS_TO_LONGS(256)] = {};
	unsigned int i, end = irq_routing_ioapic_end(vm, routing);
	struct apic_msg msg;

	for (i = 0; i < end; i++)
		if (irq_route_wants_eoi(vm, &routing->route[i], &msg))
			__set_bit(msg.vector, vectors);
	for (i = 0; i < ARRAY_SIZE(vectors); i++)
		WRITE_ONCE(vm->apic_map->eoi_vectors[i], vectors[i]);
}

/* Tell the chips which of their pins somebody listens to: the PIT, or irqfds that resample. */
void irq_routing_notify(struct vm *vm)
{
	const struct irq_routing *routing;
	u32 pit[NR_CHIPS] = {}, resample[NR_CHIPS] = {};
	unsigned int chip, pin;
	int gsi;

	lockdep_assert_held(&vm->lock);
	routing = rcu_dereference_protected(vm->routing, lockdep_is_held(&vm->lock));
	if (irqchip_is_split(vm)) {
		irq_routing_update_eoi(vm, routing);
		return;
	}
	for (chip = 0; chip < NR_CHIPS; chip++) {
		for (pin = 0; pin < KVM_IOAPIC_NUM_PINS; pin++) {
			gsi = routing->gsi[chip][pin];
			if (gsi == PIT_GSI)
				pit[chip] |= BIT(pin);
			if (gsi != NO_GSI && irqfd_resamples(vm, gsi))
				resample[chip] |= BIT(pin);
		}
	}
	vpic_set_notify_pins(vm,
			     pit[KVM_IRQCHIP_PIC_MASTER] |
			     pit[KVM_IRQCHIP_PIC_SLAVE] << PIC_CHIP_PINS,
			     resample[KVM_IRQCHIP_PIC_MASTER] |
			     resample[KVM_IRQCHIP_PIC_SLAVE] << PIC_CHIP_PINS);
	vioapic_set_notify_pins(vm, pit[KVM_IRQCHIP_IOAPIC], resample[KVM_IRQCHIP_IOAPIC]);
}

/* The GSI that drives a pin, or -1. Caller holds the RCU read lock. */
int irq_routing_pin_gsi(struct vm *vm, unsigned int chip, unsigned int pin)
{
	const struct irq_routing *routing = rcu_dereference(vm->routing);

	return routing ? routing->gsi[chip][pin] : NO_GSI;
}

int irq_routing_set(struct vm *vm, const struct kvm_irq_routing_entry *entries, unsigned int nr,
		    unsigned int flags)
{
	struct irq_routing *new, *old;
	unsigned int i, nr_gsis = 1;
	int ret;

	lockdep_assert_held(&vm->lock);
	if (flags)
		return vm_refuse(vm, -EINVAL, "a routing table has no flags", flags);
	if (nr > IRQ_MAX_ROUTES)
		return vm_refuse(vm, -EINVAL, "too many routes", nr);
	for (i = 0; i < nr; i++) {
		if (entries[i].gsi >= IRQ_MAX_ROUTES)
			return vm_refuse(vm, -EINVAL, "GSI out of range", entries[i].gsi);
		nr_gsis = max(nr_gsis, entries[i].gsi + 1);
	}

	new = irq_routing_alloc(nr, nr_gsis);
	if (!new)
		return -ENOMEM;
	ret = irq_routing_fill(vm, new, entries, nr);
	if (!ret && irq_routing_clashes(new))
		ret = vm_refuse(vm, -EINVAL, "a GSI has routes that exclude each other", 0);
	if (ret) {
		kvfree(new);
		return ret;
	}
	irq_routing_map_pins(new, entries, nr);

	old = rcu_dereference_protected(vm->routing, lockdep_is_held(&vm->lock));
	rcu_assign_pointer(vm->routing, new);
	irq_routing_notify(vm);
	if (old)
		kvfree_rcu(old, rcu);
	return 0;
}

/* GSI n is the IOAPIC's pin n and, below 16, the PICs' input n. */
int irq_routing_default(struct vm *vm)
{
	struct kvm_irq_routing_entry *entries;
	unsigned int gsi, nr = 0;
	int ret;

	entries = kcalloc(KVM_IOAPIC_NUM_PINS + 2 * PIC_CHIP_PINS, sizeof(*entries), GFP_KERNEL);
	if (!entries)
		return -ENOMEM;
	for (gsi = 0; gsi < KVM_IOAPIC_NUM_PINS; gsi++) {
		entries[nr].gsi = gsi;
		entries[nr].type = KVM_IRQ_ROUTING_IRQCHIP;
		entries[nr].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		entries[nr++].u.irqchip.pin = gsi;
		if (gsi >= 2 * PIC_CHIP_PINS)
			continue;
		entries[nr].gsi = gsi;
		entries[nr].type = KVM_IRQ_ROUTING_IRQCHIP;
		entries[nr].u.irqchip.irqchip = gsi / PIC_CHIP_PINS;
		entries[nr++].u.irqchip.pin = gsi % PIC_CHIP_PINS;
	}
	ret = irq_routing_set(vm, entries, nr, 0);
	kfree(entries);
	return ret;
}

void irq_routing_destroy(struct vm *vm)
{
	kvfree(rcu_dereference_protected(vm->routing, 1));
	RCU_INIT_POINTER(vm->routing, NULL);
}
