/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In-kernel devices on the port and memory buses of a VM.
 * This header must not know any particular device.
 */
#ifndef KVMLET_IOBUS_H
#define KVMLET_IOBUS_H

#include <linux/rcupdate.h>

#include "types.h"

struct vcpu;
struct vm;
struct iobus_dev;

/*
 * IOBUS_FAST_MMIO holds what needs neither length nor value of a write to memory: such a write is
 * not decoded.
 */
enum iobus_kind { IOBUS_PIO, IOBUS_MMIO, IOBUS_FAST_MMIO, NR_IOBUSES };

/**
 * struct iobus_ops - what an in-kernel device does on an access inside its range
 * @read:	fill @data with @len bytes read at @addr; 0, or -EOPNOTSUPP to let user space have
 *		the access
 * @write:	take @len bytes at @addr; same results
 *
 * Called with interrupts on or off, and never to sleep: the vCPU's inner loop calls them with
 * interrupts off.
 * Locks taken inside are raw spinlocks taken with irqsave. @vcpu is the accessing vCPU.
 */
struct iobus_ops {
	int (*read)(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr, unsigned int len,
		    void *data);
	int (*write)(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr, unsigned int len,
		     const void *data);
};

/* Embedded in a device; one per range. Immutable while registered. */
struct iobus_dev {
	const struct iobus_ops *ops;
	gpa_t base;
	gpa_t len;
	bool any_len;		/* an access that begins inside may end outside */
	bool eventfd;		/* not counted against the limit of devices */
};

/* Sorted by base; replaced as a whole under vm->slots_lock, read under RCU. */
struct iobus_table {
	struct rcu_head rcu;
	unsigned int nr;
	u16 low[256];		/* of the low addresses: last place in @range plus 1, 0 for none */
	struct {
		gpa_t base;
		gpa_t reach;	/* the largest end of all ranges up to this one */
		struct iobus_dev *dev;	/* NULL: gone */
	} range[];
};

struct iobus {
	struct iobus_table __rcu *table;
	unsigned int nr_devices;	/* without eventfds; vm->slots_lock */
};

/**
 * iobus_register() - add a range to a bus
 * @vm: the VM; caller holds vm->slots_lock
 * @kind: which bus
 * @dev: the device's range, filled in; must outlive its registration by an RCU grace period
 *
 * Ranges may overlap; of several that cover an access the one with the highest base is asked first.
 * Return: 0, -ENOSPC past 1000 ranges that are not eventfds' or 16384 in all, -ENOMEM.
 */
int iobus_register(struct vm *vm, enum iobus_kind kind, struct iobus_dev *dev);

/**
 * iobus_unregister() - remove a range and wait until nobody uses it
 * @vm: the VM; caller holds vm->slots_lock
 * @kind: which bus
 * @dev: a registered range
 */
void iobus_unregister(struct vm *vm, enum iobus_kind kind, struct iobus_dev *dev);

/**
 * iobus_read() - read from an in-kernel device that covers the whole access and takes it
 * @vcpu: accessing vCPU
 * @kind: which bus
 * @addr: port or guest physical address
 * @len: 1 to 8 bytes
 * @data: result
 *
 * Return: 0, or -EOPNOTSUPP when no in-kernel device takes it. Any context.
 */
int iobus_read(struct vcpu *vcpu, enum iobus_kind kind, gpa_t addr, unsigned int len, void *data);

/**
 * iobus_write() - write to an in-kernel device that covers the whole access and takes it
 * @vcpu: accessing vCPU
 * @kind: which bus
 * @addr: port or guest physical address
 * @len: 1 to 8 bytes
 * @data: what to write
 *
 * Return: 0, or -EOPNOTSUPP when no in-kernel device takes it. Any context.
 */
int iobus_write(struct vcpu *vcpu, enum iobus_kind kind, gpa_t addr, unsigned int len,
		const void *data);

/**
 * iobus_destroy() - free the tables; the devices belong to their owners
 * @vm: the VM, with no users left
 */
void iobus_destroy(struct vm *vm);

#endif
