// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coalesced I/O: writes to ranges that user space named go into a ring that it shares, without an
 * exit.
 * It must not trust anything in the ring: user space can write there at any time.
 */
#include <linux/gfp.h>
#include <linux/kvm.h>
#include <linux/list.h>
#include <linux/slab.h>

#include "iobus.h"
#include "irq.h"
#include "vm.h"

struct coalesced_zone {
	struct iobus_dev dev;
	struct list_head link;		/* vm->coalesced; vm->slots_lock */
	struct vm *vm;
	bool pio;
};

static_assert(sizeof(struct kvm_coalesced_mmio_ring) <= PAGE_SIZE);

/* -EOPNOTSUPP lets the write exit to user space, which empties the ring first. */
static int zone_write(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr, unsigned int len,
		      const void *data)
{
	struct coalesced_zone *zone = container_of(dev, struct coalesced_zone, dev);
	struct kvm_coalesced_mmio_ring *ring = zone->vm->coalesced_ring;
	struct kvm_coalesced_mmio *entry;
	unsigned long flags;
	u32 last, next;

	if (len > sizeof(entry->data))
		return -EOPNOTSUPP;
	raw_spin_lock_irqsave(&zone->vm->coalesced_lock, flags);
	last = READ_ONCE(ring->last);
	next = last + 1 == KVM_COALESCED_MMIO_MAX ? 0 : last + 1;
	if (last >= KVM_COALESCED_MMIO_MAX || next == READ_ONCE(ring->first)) {
		raw_spin_unlock_irqrestore(&zone->vm->coalesced_lock, flags);
		return -EOPNOTSUPP;
	}
	entry = &ring->coalesced_mmio[last];
	entry->phys_addr = addr;
	entry->len = len;
	memcpy(entry->data, data, len);
	entry->pio = zone->pio;
	/* Pairs with user space's read of last: the entry is complete when it counts. */
	smp_wmb();
	WRITE_ONCE(ring->last, next);
	raw_spin_unlock_irqrestore(&zone->vm->coalesced_lock, flags);
	return 0;
}

static int zone_read(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr, unsigned int len,
		     void *data)
{
	return -EOPNOTSUPP;
}

static const struct iobus_ops zone_ops = {
	.read = zone_read,
	.write = zone_write,
};

void *coalesced_ring_page(struct vm *vm)
{
	void *ring = READ_ONCE(vm->coalesced_ring), *old;

	if (ring)
		return ring;
	ring = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!ring)
		return NULL;
	old = cmpxchg(&vm->coalesced_ring, NULL, ring);
	if (old) {
		free_page((unsigned long)ring);
		return old;
	}
	return ring;
}

int coalesced_register(struct vm *vm, const struct kvm_coalesced_mmio_zone *z)
{
	struct coalesced_zone *zone;
	int ret;

	lockdep_assert_held(&vm->slots_lock);

	if (z->pio > 1)
		return vm_refuse(vm, -EINVAL, "coalesced zone: pio is neither 0 nor 1", z->pio);
	if (!coalesced_ring_page(vm))
		return -ENOMEM;
	zone = kzalloc(sizeof(*zone), GFP_KERNEL_ACCOUNT);
	if (!zone)
		return -ENOMEM;
	zone->vm = vm;
	zone->pio = z->pio;
	zone->dev.ops = &zone_ops;
	zone->dev.base = z->addr;
	zone->dev.len = z->size;
	ret = iobus_register(vm, z->pio ? IOBUS_PIO : IOBUS_MMIO, &zone->dev);
	if (ret) {
		kfree(zone);
		return vm_refuse(vm, ret,
				 "no room on the bus for one more coalesced zone",
				 z->addr);
	}
	list_add(&zone->link, &vm->coalesced);
	return 0;
}

int coalesced_unregister(struct vm *vm, const struct kvm_coalesced_mmio_zone *z)
{
	struct coalesced_zone *zone, *next;

	lockdep_assert_held(&vm->slots_lock);

	if (z->pio > 1)
		return vm_refuse(vm, -EINVAL, "coalesced zone: pio is neither 0 nor 1", z->pio);
	list_for_each_entry_safe(zone, next, &vm->coalesced, link) {
		if (zone->pio != z->pio || z->addr < zone->dev.base ||
		    z->addr - zone->dev.base > zone->dev.len ||
		    z->size > zone->dev.len - (z->addr - zone->dev.base))
			continue;
		iobus_unregister(vm, zone->pio ? IOBUS_PIO : IOBUS_MMIO, &zone->dev);
		list_del(&zone->link);
		kfree(zone);
	}
	return 0;
}

void coalesced_destroy(struct vm *vm)
{
	struct coalesced_zone *zone, *next;

	list_for_each_entry_safe(zone, next, &vm->coalesced, link)
		kfree(zone);
	free_page((unsigned long)vm->coalesced_ring);
}
