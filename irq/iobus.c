// SPDX-License-Identifier: GPL-2.0-only
/*
 * The port and memory buses: sorted tables of in-kernel devices, searched without a lock.
 * This file must not sleep on the access paths nor know any particular device.
 */
#include <linux/errno.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/preempt.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "iobus.h"
#include "vm.h"

/* Those of devices and zones, as many as KVM allows; and all, with those of eventfds. */
#define IOBUS_MAX_DEVICES	1000
#define IOBUS_MAX_RANGES	16384

/* How many ranges begin at or below @addr. */
static noinline unsigned int iobus_search(const struct iobus_table *table, gpa_t addr)
{
	unsigned int low = 0, high = table->nr;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (addr < table->range[mid].base)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* One more than the place of the last range that can hold @addr; 0 when there is none. */
static __always_inline unsigned int iobus_last(const struct iobus_table *table, gpa_t addr)
{
	if (unlikely(!table))
		return 0;
	if (addr < ARRAY_SIZE(table->low))
		return table->low[addr & (ARRAY_SIZE(table->low) - 1)];
	return iobus_search(table, addr);
}

/* Ranges may overlap: the access goes to the first that covers it and whose device takes it. */
static __always_inline bool iobus_covers(const struct iobus_dev *dev, gpa_t addr, unsigned int len)
{
	if (!dev || addr - dev->base >= dev->len)
		return false;
	return addr - dev->base + len <= dev->len || dev->any_len;
}

/*
 * Preemption is off around search and access, which keeps the table and the device:
 * iobus_unregister() waits for a grace period, which waits for us.
 */
int iobus_read(struct vcpu *vcpu, enum iobus_kind kind, gpa_t addr, unsigned int len, void *data)
{
	const struct iobus_table *table;
	struct iobus_dev *dev;
	int ret = -EOPNOTSUPP;
	unsigned int i;

	preempt_disable();
	table = rcu_dereference_sched(vcpu->vm->bus[kind].table);
	for (i = iobus_last(table, addr); i-- && addr < table->range[i].reach;) {
		dev = READ_ONCE(table->range[i].dev);
		if (!iobus_covers(dev, addr, len))
			continue;
		ret = dev->ops->read(dev, vcpu, addr, len, data);
		if (ret != -EOPNOTSUPP)
			break;
	}
	preempt_enable();
	return ret;
}

int iobus_write(struct vcpu *vcpu, enum iobus_kind kind, gpa_t addr, unsigned int len,
		const void *data)
{
	const struct iobus_table *table;
	struct iobus_dev *dev;
	int ret = -EOPNOTSUPP;
	unsigned int i;

	preempt_disable();
	table = rcu_dereference_sched(vcpu->vm->bus[kind].table);
	for (i = iobus_last(table, addr); i-- && addr < table->range[i].reach;) {
		dev = READ_ONCE(table->range[i].dev);
		if (!iobus_covers(dev, addr, len))
			continue;
		ret = dev->ops->write(dev, vcpu, addr, len, data);
		if (ret != -EOPNOTSUPP)
			break;
	}
	preempt_enable();
	return ret;
}

static struct iobus_table *iobus_table_locked(struct vm *vm, enum iobus_kind kind)
{
	return rcu_dereference_protected(vm->bus[kind].table, lockdep_is_held(&vm->slots_lock));
}

static struct iobus_table *iobus_table_alloc(unsigned int nr)
{
	struct iobus_table *table;

	table = kvzalloc(struct_size(table, range, nr), GFP_KERNEL_ACCOUNT);
	if (table)
		table->nr = nr;
	return table;
}

/* What follows from the ranges' order. */
static void iobus_index(struct iobus_table *table)
{
	gpa_t addr, end, reach = 0;
	unsigned int i;

	for (i = 0; i < table->nr; i++) {
		const struct iobus_dev *dev = table->range[i].dev;

		table->range[i].reach = reach;
		if (!dev)
			continue;
		if (check_add_overflow(dev->base, dev->len, &end))
			end = ~0ULL;
		reach = max(reach, end);
		table->range[i].reach = reach;
		end = min_t(gpa_t, end, ARRAY_SIZE(table->low));
		for (addr = dev->base; addr < end; addr++)
			table->low[addr] = i + 1;
	}
}

static void iobus_publish(struct vm *vm, enum iobus_kind kind, struct iobus_table *old,
			  struct iobus_table *new)
{
	if (new)
		iobus_index(new);
	rcu_assign_pointer(vm->bus[kind].table, new);
	if (old)
		kvfree_rcu(old, rcu);
}

int iobus_register(struct vm *vm, enum iobus_kind kind, struct iobus_dev *dev)
{
	struct iobus_table *old = iobus_table_locked(vm, kind), *new;
	struct iobus *bus = &vm->bus[kind];
	unsigned int nr = old ? old->nr : 0, at;

	lockdep_assert_held(&vm->slots_lock);
	if (nr >= IOBUS_MAX_RANGES || (!dev->eventfd && bus->nr_devices >= IOBUS_MAX_DEVICES))
		return -ENOSPC;
	at = old ? iobus_search(old, dev->base) : 0;
	new = iobus_table_alloc(nr + 1);
	if (!new)
		return -ENOMEM;
	if (old) {
		memcpy(new->range, old->range, at * sizeof(new->range[0]));
		memcpy(new->range + at + 1, old->range + at, (nr - at) * sizeof(new->range[0]));
	}
	new->range[at].base = dev->base;
	new->range[at].dev = dev;
	bus->nr_devices += !dev->eventfd;
	iobus_publish(vm, kind, old, new);
	return 0;
}

/* A device that goes away must leave the table: without memory for a new one its place is void. */
static void iobus_remove(struct vm *vm, enum iobus_kind kind, struct iobus_table *old,
			 unsigned int at)
{
	struct iobus_table *new = NULL;

	if (old->nr > 1) {
		new = iobus_table_alloc(old->nr - 1);
		if (!new) {
			WRITE_ONCE(old->range[at].dev, NULL);
			return;
		}
		memcpy(new->range, old->range, at * sizeof(new->range[0]));
		memcpy(new->range + at, old->range + at + 1,
		       (new->nr - at) * sizeof(new->range[0]));
	}
	iobus_publish(vm, kind, old, new);
}

void iobus_unregister(struct vm *vm, enum iobus_kind kind, struct iobus_dev *dev)
{
	struct iobus_table *old = iobus_table_locked(vm, kind);
	unsigned int at;

	lockdep_assert_held(&vm->slots_lock);
	for (at = 0; old && at < old->nr; at++) {
		if (old->range[at].dev != dev)
			continue;
		vm->bus[kind].nr_devices -= !dev->eventfd;
		iobus_remove(vm, kind, old, at);
		synchronize_rcu_expedited();
		return;
	}
}

void iobus_destroy(struct vm *vm)
{
	enum iobus_kind kind;

	for (kind = 0; kind < NR_IOBUSES; kind++) {
		kvfree(rcu_dereference_protected(vm->bus[kind].table, 1));
		RCU_INIT_POINTER(vm->bus[kind].table, NULL);
	}
}
