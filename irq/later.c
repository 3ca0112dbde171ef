// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages to many vCPUs that arise where the host's interrupts are off: a work item delivers them.
 * This file must not decide whom a message reaches.
 *
 * Waking thousands of vCPUs takes milliseconds. A guest has the means to ask for that thousands of
 * times a second by way of its timer, and an irqfd's signal may come from any interrupt.
 */
#include <linux/irqflags.h>
#include <linux/sched.h>

#include "internal.h"

static bool same_message(const struct apic_msg *a, const struct apic_msg *b)
{
	return a->dest == b->dest && a->vector == b->vector && a->mode == b->mode &&
	       a->logical == b->logical && a->level == b->level && a->asserted == b->asserted &&
	       a->lowest == b->lowest;
}

bool apic_put_off(struct vm *vm, const struct vlapic *source, const struct apic_msg *msg)
{
	struct apic_later *later = &vm->apic_map->later;
	unsigned long flags;
	unsigned int i;
	bool room;

	/* A vCPU's own messages keep their order, and are its own time. */
	if (source || !irqs_disabled() || !apic_is_large(vm) || msg->track_rtc)
		return false;
	raw_spin_lock_irqsave(&later->lock, flags);
	for (i = 0; i < later->nr; i++)
		if (same_message(&later->msg[i], msg))
			break;
	room = i < APIC_LATER_MAX;
	if (room && i == later->nr)
		later->msg[later->nr++] = *msg;
	raw_spin_unlock_irqrestore(&later->lock, flags);
	if (room)
		schedule_work(&later->work);
	return room;
}

static bool apic_later_next(struct apic_later *later, struct apic_msg *msg)
{
	unsigned long flags;
	bool any;

	raw_spin_lock_irqsave(&later->lock, flags);
	any = later->nr;
	if (any) {
		*msg = later->msg[0];
		memmove(later->msg, later->msg + 1, --later->nr * sizeof(later->msg[0]));
	}
	raw_spin_unlock_irqrestore(&later->lock, flags);
	return any;
}

static void apic_later_work(struct work_struct *work)
{
	struct apic_later *later = container_of(work, struct apic_later, work);
	struct apic_msg msg;

	while (apic_later_next(later, &msg)) {
		apic_deliver(later->vm, NULL, &msg);
		cond_resched();
	}
}

void apic_later_init(struct apic_later *later, struct vm *vm)
{
	later->vm = vm;
	raw_spin_lock_init(&later->lock);
	INIT_WORK(&later->work, apic_later_work);
}

void apic_later_flush(struct vm *vm)
{
	flush_work(&vm->apic_map->later.work);
}

void apic_later_stop(struct vm *vm)
{
	if (vm->apic_map)
		cancel_work_sync(&vm->apic_map->later.work);
}
