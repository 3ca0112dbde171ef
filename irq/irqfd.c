// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_IRQFD: eventfds whose signal drives a GSI, and eventfds that tell of its EOI.
 * This file must not know where a GSI leads; the routing table is looked up at each signal.
 */
#include <linux/errno.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/list.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "compat.h"
#include "internal.h"

/* The irqfds of a level-triggered GSI share a line: its EOI lowers it, and tells all of them. */
struct resampler {
	struct list_head irqfds;	/* vm->lock */
	u32 gsi;
	bool asked;			/* vm->irqfd_resample is to signal them */
	struct rcu_head rcu;
};

struct irqfd {
	struct vm *vm;
	u32 gsi;
	struct eventfd_ctx *eventfd;
	struct eventfd_ctx *resamplefd;	/* with @resampler, else NULL */
	struct resampler *resampler;
	struct list_head resampler_link;
	wait_queue_entry_t wait;
	poll_table poll;
	struct list_head link;		/* vm->irqfds, then its end's; vm->irqfd_lock */
	bool ending;			/* who sets it ends the irqfd; vm->irqfd_lock */
};

/* ---- Signals ---- */

/* Any context: chips and local APICs have raw locks, and nobody signals an eventfd under them. */
static void irqfd_inject(struct irqfd *irqfd)
{
	if (irqfd->resampler)
		irq_line_set(irqfd->vm, IRQ_SOURCE_RESAMPLE, irqfd->gsi, 1);
	else
		irq_line_pulse(irqfd->vm, IRQ_SOURCE_USER, irqfd->gsi);
}

/*
 * The eventfd's file is closed. We cannot leave a wait queue from inside a wake-up: the work item
 * does, unless somebody has begun to deassign us.
 */
static void irqfd_closed(struct irqfd *irqfd)
{
	struct vm *vm = irqfd->vm;
	unsigned long flags;

	raw_spin_lock_irqsave(&vm->irqfd_lock, flags);
	if (!irqfd->ending) {
		irqfd->ending = true;
		list_move(&irqfd->link, &vm->irqfds_closed);
		schedule_work(&vm->irqfd_reap);
	}
	raw_spin_unlock_irqrestore(&vm->irqfd_lock, flags);
}

/* Interrupts are off and the wait queue's lock is held. */
static int irqfd_wake(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct irqfd *irqfd = container_of(wait, struct irqfd, wait);
	__poll_t flags = key_to_poll(key);
	int ret = 0;
	u64 count;

	if (flags & EPOLLIN) {
		eventfd_ctx_do_read(irqfd->eventfd, &count);
		irqfd_inject(irqfd);
		ret = 1;
	}
	if (unlikely(flags & EPOLLHUP))
		irqfd_closed(irqfd);
	return ret;
}

static void irqfd_hook(struct file *file, wait_queue_head_t *queue, poll_table *poll)
{
	struct irqfd *irqfd = container_of(poll, struct irqfd, poll);

	add_wait_queue_priority(queue, &irqfd->wait);
}

/* ---- Resampling ---- */

bool irqfd_resamples(struct vm *vm, u32 gsi)
{
	return xa_load(&vm->resamplers, gsi);
}

/*
 * How many eventfds there are, and how many wait on each, is up to user space, and the guest ends
 * an interrupt where interrupts of the host are off. So a work item signals them.
 */
static void resampler_ask(struct vm *vm, struct resampler *resampler)
{
	WRITE_ONCE(resampler->asked, true);
	schedule_work(&vm->irqfd_resample);
}

static void irqfd_resample(struct work_struct *work)
{
	struct vm *vm = container_of(work, struct vm, irqfd_resample);
	struct resampler *resampler;
	struct irqfd *irqfd;
	unsigned long gsi;

	mutex_lock(&vm->lock);
	xa_for_each(&vm->resamplers, gsi, resampler) {
		if (!xchg(&resampler->asked, false))
			continue;
		list_for_each_entry(irqfd, &resampler->irqfds, resampler_link) {
			compat_eventfd_signal(irqfd->resamplefd);
			cond_resched();
		}
	}
	mutex_unlock(&vm->lock);
}

/* The guest has served the interrupts of @pins: their lines fall, whose devices may raise them. */
void irqfd_pins_acked(struct vm *vm, unsigned int chip, unsigned long pins)
{
	struct resampler *resampler;
	unsigned int pin;

	rcu_read_lock();
	for_each_set_bit(pin, &pins, KVM_IOAPIC_NUM_PINS) {
		int gsi = irq_routing_pin_gsi(vm, chip, pin);

		resampler = gsi < 0 ? NULL : xa_load(&vm->resamplers, gsi);
		if (!resampler)
			continue;
		/* Once, and before the first is told: who is told may raise the line at once. */
		irq_line_set(vm, IRQ_SOURCE_RESAMPLE, gsi, 0);
		resampler_ask(vm, resampler);
	}
	rcu_read_unlock();
}

/* Ask the devices of @pin whether the line is still up: they raise it anew if so. */
void irqfd_pin_resample(struct vm *vm, unsigned int chip, unsigned int pin)
{
	struct resampler *resampler;
	int gsi;

	rcu_read_lock();
	gsi = irq_routing_pin_gsi(vm, chip, pin);
	resampler = gsi < 0 ? NULL : xa_load(&vm->resamplers, gsi);
	if (resampler)
		resampler_ask(vm, resampler);
	rcu_read_unlock();
}

/* Caller holds vm->lock. */
static int resampler_join(struct irqfd *irqfd)
{
	struct vm *vm = irqfd->vm;
	struct resampler *resampler = xa_load(&vm->resamplers, irqfd->gsi);
	int ret;

	if (!resampler) {
		resampler = kzalloc(sizeof(*resampler), GFP_KERNEL_ACCOUNT);
		if (!resampler)
			return -ENOMEM;
		resampler->gsi = irqfd->gsi;
		INIT_LIST_HEAD(&resampler->irqfds);
		ret = xa_err(xa_store(&vm->resamplers, irqfd->gsi, resampler, GFP_KERNEL_ACCOUNT));
		if (ret) {
			kfree(resampler);
			return ret;
		}
		irq_routing_notify(vm);
	}
	irqfd->resampler = resampler;
	list_add(&irqfd->resampler_link, &resampler->irqfds);
	return 0;
}

/* The irqfd signals no more. Caller holds vm->lock. */
static void resampler_leave(struct irqfd *irqfd)
{
	struct resampler *resampler = irqfd->resampler;
	struct vm *vm = irqfd->vm;

	list_del(&irqfd->resampler_link);
	if (!list_empty(&resampler->irqfds))
		return;
	xa_erase(&vm->resamplers, resampler->gsi);
	irq_routing_notify(vm);
	/* Nobody is left who would lower the line. */
	irq_line_set(vm, IRQ_SOURCE_RESAMPLE, resampler->gsi, 0);
	kfree_rcu(resampler, rcu);
}

/* ---- Assigning and deassigning ---- */

/* It is on no list. Caller holds vm->lock. */
static void irqfd_free(struct irqfd *irqfd)
{
	if (irqfd->resampler)
		resampler_leave(irqfd);
	if (irqfd->resamplefd)
		eventfd_ctx_put(irqfd->resamplefd);
	if (irqfd->eventfd)
		eventfd_ctx_put(irqfd->eventfd);
	kfree(irqfd);
}

/* The same, off its wait queue first: then no wake-up is under way nor will come. */
static void irqfd_unhook(struct irqfd *irqfd)
{
	u64 count;

	eventfd_ctx_remove_wait_queue(irqfd->eventfd, &irqfd->wait, &count);
	irqfd_free(irqfd);
}

static void irqfd_unhook_list(struct list_head *list)
{
	struct irqfd *irqfd, *next;

	list_for_each_entry_safe(irqfd, next, list, link) {
		list_del(&irqfd->link);
		irqfd_unhook(irqfd);
	}
}

static void irqfd_reap(struct work_struct *work)
{
	struct vm *vm = container_of(work, struct vm, irqfd_reap);
	LIST_HEAD(list);

	mutex_lock(&vm->lock);
	raw_spin_lock_irq(&vm->irqfd_lock);
	list_splice_init(&vm->irqfds_closed, &list);
	raw_spin_unlock_irq(&vm->irqfd_lock);
	irqfd_unhook_list(&list);
	mutex_unlock(&vm->lock);
}

/* A second irqfd on an eventfd would never be woken: the first takes each signal. */
static int irqfd_publish(struct irqfd *irqfd)
{
	struct vm *vm = irqfd->vm;
	struct irqfd *other;
	int ret = 0;

	raw_spin_lock_irq(&vm->irqfd_lock);
	list_for_each_entry(other, &vm->irqfds, link)
		if (other->eventfd == irqfd->eventfd)
			ret = -EBUSY;
	if (!ret)
		list_add_tail(&irqfd->link, &vm->irqfds);
	raw_spin_unlock_irq(&vm->irqfd_lock);
	return ret;
}

/* References and the resampler; what there is when it fails, irqfd_free() undoes. */
static int irqfd_fill(struct irqfd *irqfd, struct file *file, const struct kvm_irqfd *args)
{
	struct eventfd_ctx *ctx;

	ctx = eventfd_ctx_fileget(file);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	irqfd->eventfd = ctx;
	if (!(args->flags & KVM_IRQFD_FLAG_RESAMPLE))
		return 0;
	ctx = eventfd_ctx_fdget(args->resamplefd);
	if (IS_ERR(ctx))
		return vm_refuse(irqfd->vm, PTR_ERR(ctx), "resamplefd is not an eventfd",
				 args->resamplefd);
	irqfd->resamplefd = ctx;
	return resampler_join(irqfd);
}

/* Caller holds vm->lock; the open file keeps irqfd_closed() away until we are done. */
static int irqfd_assign_file(struct vm *vm, struct file *file, const struct kvm_irqfd *args)
{
	struct irqfd *irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!irqfd)
		return -ENOMEM;
	irqfd->vm = vm;
	irqfd->gsi = args->gsi;
	init_waitqueue_func_entry(&irqfd->wait, irqfd_wake);
	init_poll_funcptr(&irqfd->poll, irqfd_hook);
	ret = irqfd_fill(irqfd, file, args);
	if (!ret) {
		ret = irqfd_publish(irqfd);
		if (ret)
			vm_refuse(vm, ret, "the eventfd is an irqfd of this VM already", args->fd);
	}
	if (ret) {
		irqfd_free(irqfd);
		return ret;
	}
	/* What was signalled before is an interrupt, too. */
	if (vfs_poll(file, &irqfd->poll) & EPOLLIN)
		irqfd_inject(irqfd);
	return 0;
}

static int irqfd_assign(struct vm *vm, const struct kvm_irqfd *args)
{
	struct file *file;
	int ret;

	if (!irqchip_in_kernel(vm))
		return vm_refuse(vm, -EINVAL, "an irqfd needs an in-kernel irqchip", 0);
	if ((args->flags & KVM_IRQFD_FLAG_RESAMPLE) && irqchip_is_split(vm))
		return vm_refuse(vm, -EINVAL, "resampling needs the in-kernel IOAPIC", 0);
	file = eventfd_fget(args->fd);
	if (IS_ERR(file))
		return vm_refuse(vm, PTR_ERR(file), "fd is not an eventfd", args->fd);
	mutex_lock(&vm->lock);
	ret = irqfd_assign_file(vm, file, args);
	mutex_unlock(&vm->lock);
	fput(file);
	return ret;
}

/* Takes those that match @ctx and @gsi, or all when @ctx is NULL. */
static void irqfd_remove(struct vm *vm, const struct eventfd_ctx *ctx, u32 gsi)
{
	struct irqfd *irqfd, *next;
	LIST_HEAD(list);

	mutex_lock(&vm->lock);
	raw_spin_lock_irq(&vm->irqfd_lock);
	list_for_each_entry_safe(irqfd, next, &vm->irqfds, link) {
		if (ctx && (irqfd->eventfd != ctx || irqfd->gsi != gsi))
			continue;
		irqfd->ending = true;
		list_move(&irqfd->link, &list);
	}
	raw_spin_unlock_irq(&vm->irqfd_lock);
	irqfd_unhook_list(&list);
	mutex_unlock(&vm->lock);
	/* Those whose file is being closed this moment are gone, too, when we return. */
	flush_work(&vm->irqfd_reap);
}

static int irqfd_deassign(struct vm *vm, const struct kvm_irqfd *args)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(args->fd);

	if (IS_ERR(ctx))
		return vm_refuse(vm, PTR_ERR(ctx), "fd is not an eventfd", args->fd);
	irqfd_remove(vm, ctx, args->gsi);
	eventfd_ctx_put(ctx);
	return 0;
}

int irqfd_ioctl(struct vm *vm, const struct kvm_irqfd *args)
{
	if (args->flags & ~(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return vm_refuse(vm, -EINVAL, "unknown flags of an irqfd", args->flags);
	if (args->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return irqfd_deassign(vm, args);
	return irqfd_assign(vm, args);
}

void irqfd_release_all(struct vm *vm)
{
	irqfd_remove(vm, NULL, 0);
	/* A vCPU may have found a resampler before. */
	synchronize_rcu_expedited();
	cancel_work_sync(&vm->irqfd_resample);
}

void irqfd_vm_init(struct vm *vm)
{
	INIT_LIST_HEAD(&vm->irqfds);
	INIT_LIST_HEAD(&vm->irqfds_closed);
	xa_init(&vm->resamplers);
	raw_spin_lock_init(&vm->irqfd_lock);
	INIT_WORK(&vm->irqfd_reap, irqfd_reap);
	INIT_WORK(&vm->irqfd_resample, irqfd_resample);
}
