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

#define IOBUS_MAX_DEVICES	1000

static noinline struct iobus_dev *iobus_search(const struct iobus_table *table, gpa_t addr)
{
	unsigned int low = 0, high = table->nr;

	while (low < high) {
		unsigned int mid = (low + high) / 2;
		struct iobus_dev *dev = table->dev[mid];

		if (addr < dev->base)
			high = mid;
		else if (addr - dev->base >= dev->len)
			low = mid + 1;
		else
			return dev;
	}
	return NULL;
}

/*
 * Find the device that covers the whole access. Preemption is off around search and access, which
 * keeps the table and the device: iobus_unregister() waits for a grace period, which waits for us.
 */
static __always_inline struct iobus_dev *iobus_find(const struct iobus_table *table, gpa_t addr,
						    unsigned int len)
{
	struct iobus_dev *dev;
	unsigned int index;

	if (unlikely(!table))
		return NULL;
	if (addr < ARRAY_SIZE(table->low)) {
		index = table->low[addr & (ARRAY_SIZE(table->low) - 1)];
		if (!index)
			return NULL;
		dev = table->dev[index - 1];
	} else {
		dev = iobus_search(table, addr);
		if (!dev)
			return NULL;
	}
	return addr - dev->base + len <= dev->len ? dev : NULL;
}

int iobus_read(struct vcpu *vcpu, enum iobus_kind kind, gpa_t addr, unsigned int len, void *data)
{
	struct iobus_dev *dev;
	int ret = -EOPNOTSUPP;

	preempt_disable();
	dev = iobus_find(rcu_dereference_sched(vcpu->vm->bus[kind].table), addr, len);
	if (dev)
		ret = dev->ops->read(dev, vcpu, addr, len, data);
	preempt_enable();
	return ret;
}

int iobus_write(struct vcpu *vcpu, enum iobus_kind kind, gpa_t addr, unsigned int len,
		const void *data)
{
	struct iobus_dev *dev;
	int ret = -EOPNOTSUPP;

	preempt_disable();
	dev = iobus_find(rcu_dereference_sched(vcpu->vm->bus[kind].table), addr, len);
	if (dev)
		ret = dev->ops->write(dev, vcpu, addr, len, data);
	preempt_enable();
	return ret;
}

static struct iobus_table *iobus_table_locked(struct vm *vm, enum iobus_kind kind)
{
	return rcu_dereference_protected(vm->bus[kind].table, lockdep_is_held(&vm->slots_lock));
}

static struct iobus_table *iobus_table_alloc(unsigned int nr, gfp_t flags)
{
	struct iobus_table *table;

	table = kzalloc(struct_size(table, dev, nr), GFP_KERNEL_ACCOUNT | flags);
	if (table)
		table->nr = nr;
	return table;
}

static void iobus_index_low(struct iobus_table *table)
{
	unsigned int i;
	gpa_t addr;

	for (i = 0; i < table->nr; i++) {
		gpa_t end = min_t(gpa_t, table->dev[i]->base + table->dev[i]->len,
				  ARRAY_SIZE(table->low));

		for (addr = table->dev[i]->base; addr < end; addr++)
			table->low[addr] = i + 1;
	}
}

static void iobus_publish(struct vm *vm, enum iobus_kind kind, struct iobus_table *old,
			  struct iobus_table *new)
{
	if (new)
		iobus_index_low(new);
	rcu_assign_pointer(vm->bus[kind].table, new);
	if (old)
		kfree_rcu(old, rcu);
}

int iobus_register(struct vm *vm, enum iobus_kind kind, struct iobus_dev *dev)
{
	struct iobus_table *old = iobus_table_locked(vm, kind), *new;
	unsigned int nr = old ? old->nr : 0, at;

	lockdep_assert_held(&vm->slots_lock);
	if (nr >= IOBUS_MAX_DEVICES)
		return -ENOSPC;
	for (at = 0; at < nr && old->dev[at]->base < dev->base; at++)
		;
	if (at && dev->base - old->dev[at - 1]->base < old->dev[at - 1]->len)
		return -EEXIST;
	if (at < nr && old->dev[at]->base - dev->base < dev->len)
		return -EEXIST;

	new = iobus_table_alloc(nr + 1, 0);
	if (!new)
		return -ENOMEM;
	if (old) {
		memcpy(new->dev, old->dev, at * sizeof(dev));
		memcpy(new->dev + at + 1, old->dev + at, (nr - at) * sizeof(dev));
	}
	new->dev[at] = dev;
	iobus_publish(vm, kind, old, new);
	return 0;
}

/*
 * A device that goes away must leave the table: so this allocation, of two pages at most, may not
 * fail.
 */
static void iobus_remove(struct vm *vm, enum iobus_kind kind, struct iobus_table *old,
			 unsigned int at)
{
	struct iobus_table *new = NULL;

	if (old->nr > 1) {
		new = iobus_table_alloc(old->nr - 1, __GFP_NOFAIL);
		memcpy(new->dev, old->dev, at * sizeof(new->dev[0]));
		memcpy(new->dev + at, old->dev + at + 1, (new->nr - at) * sizeof(new->dev[0]));
	}
	iobus_publish(vm, kind, old, new);
}

void iobus_unregister(struct vm *vm, enum iobus_kind kind, struct iobus_dev *dev)
{
	struct iobus_table *old = iobus_table_locked(vm, kind);
	unsigned int at;

	lockdep_assert_held(&vm->slots_lock);
	for (at = 0; old && at < old->nr; at++) {
		if (old->dev[at] != dev)
			continue;
		iobus_remove(vm, kind, old, at);
		synchronize_rcu_expedited();
		return;
	}
}

void iobus_destroy(struct vm *vm)
{
	enum iobus_kind kind;

	for (kind = 0; kind < NR_IOBUSES; kind++) {
		kfree(rcu_dereference_protected(vm->bus[kind].table, 1));
		RCU_INIT_POINTER(vm->bus[kind].table, NULL);
	}
}
