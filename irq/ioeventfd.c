// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_IOEVENTFD: a guest's write to a port or address signals an eventfd instead of leaving to user
 * space.
 * This file must not sleep when it signals: the vCPU's inner loop does so with interrupts off.
 */
#include <linux/errno.h>
#include <linux/eventfd.h>
#include <linux/list.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "internal.h"

#define IOEVENTFD_FLAGS	(KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO | \
			 KVM_IOEVENTFD_FLAG_DEASSIGN | IOEVENTFD_FLAG_FAST)
/* A hint that KVM takes without effect; the header has the number alone. */
#define IOEVENTFD_FLAG_FAST	BIT(kvm_ioeventfd_flag_nr_fast_mmio)

struct ioeventfd {
	struct iobus_dev dev;
	struct iobus_dev fast;		/* on the bus of writes that are not decoded */
	struct list_head link;		/* vm->ioeventfds; vm->slots_lock */
	struct eventfd_ctx *eventfd;
	enum iobus_kind bus;
	u64 addr;
	u32 len;			/* 0: any */
	bool match;			/* only writes of @data */
	u64 data;
};

static int ioeventfd_read(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr, unsigned int len,
			  void *data)
{
	return -EOPNOTSUPP;
}

static int ioeventfd_write(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr, unsigned int len,
			   const void *data)
{
	struct ioeventfd *e = container_of(dev, struct ioeventfd, dev);
	u64 value = 0;

	if (e->len && (addr != e->addr || len != e->len))
		return -EOPNOTSUPP;
	if (e->match) {
		memcpy(&value, data, len);
		if (value != e->data)
			return -EOPNOTSUPP;
	}
	compat_eventfd_signal(e->eventfd);
	return 0;
}

static int ioeventfd_write_fast(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr,
				unsigned int len, const void *data)
{
	compat_eventfd_signal(container_of(dev, struct ioeventfd, fast)->eventfd);
	return 0;
}

static const struct iobus_ops ioeventfd_ops = {
	.read = ioeventfd_read,
	.write = ioeventfd_write,
};

static const struct iobus_ops ioeventfd_fast_ops = {
	.read = ioeventfd_read,
	.write = ioeventfd_write_fast,
};

/* ---- Assigning and deassigning ---- */

/* Is there a write that both would answer? */
static bool ioeventfds_clash(const struct ioeventfd *a, const struct ioeventfd *b)
{
	if (a->bus != b->bus || a->addr != b->addr)
		return false;
	if (!a->len || !b->len)
		return true;
	return a->len == b->len && (!a->match || !b->match || a->data == b->data);
}

static void ioeventfd_fill(struct ioeventfd *e, const struct kvm_ioeventfd *args)
{
	e->bus = args->flags & KVM_IOEVENTFD_FLAG_PIO ? IOBUS_PIO : IOBUS_MMIO;
	e->addr = args->addr;
	e->len = args->len;
	e->match = args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH;
	e->data = args->datamatch;
	e->dev = (struct iobus_dev){
		.ops = &ioeventfd_ops,
		.base = e->addr,
		.len = e->len ?: 1,
		.any_len = !e->len,
		.eventfd = true,
	};
	e->fast = (struct iobus_dev){
		.ops = &ioeventfd_fast_ops,
		.base = e->addr,
		.len = 1,
		.any_len = true,
		.eventfd = true,
	};
}

static bool ioeventfd_is_fast(const struct ioeventfd *e)
{
	return e->bus == IOBUS_MMIO && !e->len;
}

/* Caller holds vm->slots_lock. */
static int ioeventfd_register(struct vm *vm, struct ioeventfd *e)
{
	struct ioeventfd *other;
	int ret;

	list_for_each_entry(other, &vm->ioeventfds, link)
		if (ioeventfds_clash(e, other))
			return vm_refuse(vm, -EEXIST, "a write there signals an eventfd already",
					 e->addr);
	ret = iobus_register(vm, e->bus, &e->dev);
	if (ret)
		return ret;
	if (ioeventfd_is_fast(e)) {
		ret = iobus_register(vm, IOBUS_FAST_MMIO, &e->fast);
		if (ret) {
			iobus_unregister(vm, e->bus, &e->dev);
			return ret;
		}
	}
	list_add_tail(&e->link, &vm->ioeventfds);
	return 0;
}

static int ioeventfd_check(struct vm *vm, const struct kvm_ioeventfd *args)
{
	if (args->len > 8 || (args->len && !is_power_of_2(args->len)))
		return vm_refuse(vm, -EINVAL, "length is none of 0, 1, 2, 4, 8", args->len);
	if (args->addr + args->len < args->addr)
		return vm_refuse(vm, -EINVAL, "the range wraps around", args->addr);
	if (args->flags & ~IOEVENTFD_FLAGS)
		return vm_refuse(vm, -EINVAL, "unknown flags of an ioeventfd", args->flags);
	if (!args->len && args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH)
		return vm_refuse(vm, -EINVAL, "without a length there is no data to match", 0);
	return 0;
}

static int ioeventfd_assign(struct vm *vm, const struct kvm_ioeventfd *args)
{
	struct eventfd_ctx *ctx;
	struct ioeventfd *e;
	int ret;

	ret = ioeventfd_check(vm, args);
	if (ret)
		return ret;
	ctx = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(ctx))
		return vm_refuse(vm, PTR_ERR(ctx), "fd is not an eventfd", args->fd);
	e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);
	if (!e) {
		eventfd_ctx_put(ctx);
		return -ENOMEM;
	}
	ioeventfd_fill(e, args);
	e->eventfd = ctx;

	mutex_lock(&vm->slots_lock);
	ret = ioeventfd_register(vm, e);
	mutex_unlock(&vm->slots_lock);
	if (ret) {
		kfree(e);
		eventfd_ctx_put(ctx);
	}
	return ret;
}

static void ioeventfd_free(struct ioeventfd *e)
{
	list_del(&e->link);
	eventfd_ctx_put(e->eventfd);
	kfree(e);
}

static bool ioeventfd_is(const struct ioeventfd *e, const struct ioeventfd *wanted)
{
	return e->eventfd == wanted->eventfd && e->bus == wanted->bus && e->addr == wanted->addr &&
	       e->len == wanted->len && e->match == wanted->match &&
	       (!e->match || e->data == wanted->data);
}

static int ioeventfd_unregister(struct vm *vm, const struct ioeventfd *wanted)
{
	struct ioeventfd *e;

	list_for_each_entry(e, &vm->ioeventfds, link) {
		if (!ioeventfd_is(e, wanted))
			continue;
		iobus_unregister(vm, e->bus, &e->dev);
		if (ioeventfd_is_fast(e))
			iobus_unregister(vm, IOBUS_FAST_MMIO, &e->fast);
		ioeventfd_free(e);
		return 0;
	}
	return vm_refuse(vm, -ENOENT, "there is no such ioeventfd", wanted->addr);
}

static int ioeventfd_deassign(struct vm *vm, const struct kvm_ioeventfd *args)
{
	struct ioeventfd wanted;
	struct eventfd_ctx *ctx;
	int ret;

	ctx = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(ctx))
		return vm_refuse(vm, PTR_ERR(ctx), "fd is not an eventfd", args->fd);
	ioeventfd_fill(&wanted, args);
	wanted.eventfd = ctx;
	mutex_lock(&vm->slots_lock);
	ret = ioeventfd_unregister(vm, &wanted);
	mutex_unlock(&vm->slots_lock);
	eventfd_ctx_put(ctx);
	return ret;
}

int ioeventfd_ioctl(struct vm *vm, const struct kvm_ioeventfd *args)
{
	if (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		return ioeventfd_deassign(vm, args);
	return ioeventfd_assign(vm, args);
}

void ioeventfd_destroy(struct vm *vm)
{
	struct ioeventfd *e, *next;

	list_for_each_entry_safe(e, next, &vm->ioeventfds, link)
		ioeventfd_free(e);
}
