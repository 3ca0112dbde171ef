// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM's 8254 timer: ports 0x40 to 0x43 and 0x61, channel 0's interrupts on an hrtimer, saving
 * and restoring.
 * This file must not decide what a channel counts; pit8254.c does.
 *
 * vpit->lock is taken with no other lock of irq/ held: the hrtimer's callback, which is waited for
 * under it, drives an interrupt line. The callback and the guest's EOIs use atomics alone.
 */
#include <linux/errno.h>
#include <linux/hrtimer.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "internal.h"
#include "pit8254.h"

#define PIT_GSI			0
#define PIT_PORT		0x40
#define PIT_PORT_CONTROL	3	/* after the channels' */
#define SPEAKER_PORT		0x61
#define SPEAKER_CHANNEL		2
#define TIMER_MODE		HRTIMER_MODE_ABS_HARD

/* Port 0x61 */
#define SPEAKER_GATE		BIT(0)
#define SPEAKER_DATA		BIT(1)
#define SPEAKER_REFRESH		BIT(4)
#define SPEAKER_OUT		BIT(5)
#define REFRESH_SHIFT		14	/* of a clock in ns: about 15 us between toggles */

struct vpit {
	raw_spinlock_t lock;
	struct kvm_pit_channel_state channel[PIT_CHANNELS];
	u32 flags;			/* KVM_PIT_FLAGS_* */
	struct hrtimer hrtimer;
	bool periodic;			/* these two change while the hrtimer is stopped */
	u64 period;			/* ns; 0 before the first load */

	/* No tick is lost in reinject mode: the next goes out when the last was acknowledged. */
	bool reinject;
	atomic_t pending;		/* ticks not acknowledged yet */
	atomic_t acked;			/* the last tick was, or there was none */

	struct work_struct nmis;	/* in large VMs */
	struct vm *vm;
	struct iobus_dev ports;
	struct iobus_dev speaker;
};

static struct vpit *vpit_of(struct vm *vm)
{
	/* Pairs with smp_store_release() in vpit_create(): whoever sees a PIT sees all of it. */
	return smp_load_acquire(&vm->vpit);
}

/* ---- Interrupts ---- */

static void vpit_nmis(struct work_struct *work)
{
	struct vm *vm = container_of(work, struct vpit, nmis)->vm;
	struct vcpu *vcpu;
	unsigned int i;

	vm_for_each_vcpu(i, vcpu, vm)
		vlapic_deliver_lint(vcpu, 0);
}

static void vpit_tick(struct vpit *pit)
{
	struct vm *vm = pit->vm;

	if (READ_ONCE(pit->reinject) && !atomic_xchg(&pit->acked, 0))
		return;
	irq_line_set(vm, IRQ_SOURCE_PIT, PIT_GSI, 1);
	irq_line_set(vm, IRQ_SOURCE_PIT, PIT_GSI, 0);

	/* A watchdog of old: the PIT wired to every LINT0 that delivers NMIs. */
	if (!atomic_read(&vm->lint0_nmi))
		return;
	if (apic_is_large(vm))
		schedule_work(&pit->nmis);
	else
		vpit_nmis(&pit->nmis);
}

/* The guest has ended the service of a tick. Called without locks of the chips. */
void vpit_acked(struct vm *vm)
{
	struct vpit *pit = vpit_of(vm);

	if (!pit || !READ_ONCE(pit->reinject))
		return;
	/* Full barrier: either we see the tick counted in vpit_fired(), or its xchg() sees this. */
	atomic_xchg(&pit->acked, 1);
	if (atomic_dec_if_positive(&pit->pending) > 0)
		vpit_tick(pit);
}

static void vpit_forget_ticks(struct vpit *pit)
{
	atomic_set(&pit->pending, 0);
	atomic_set(&pit->acked, 1);
}

/* The guest unmasks the PIT's line: what it missed before it did not want. */
void vpit_unmasked(struct vm *vm)
{
	struct vpit *pit = vpit_of(vm);

	if (pit && READ_ONCE(pit->reinject))
		vpit_forget_ticks(pit);
}

static enum hrtimer_restart vpit_fired(struct hrtimer *hrtimer)
{
	struct vpit *pit = container_of(hrtimer, struct vpit, hrtimer);
	u64 ticks = 1;

	if (pit->periodic)
		ticks = hrtimer_forward_now(hrtimer, ns_to_ktime(pit->period));
	/* Saturates long before it could wrap. */
	if (READ_ONCE(pit->reinject) && atomic_read(&pit->pending) < INT_MAX / 2)
		atomic_add(min_t(u64, ticks, INT_MAX / 2), &pit->pending);
	vpit_tick(pit);
	return pit->periodic ? HRTIMER_RESTART : HRTIMER_NORESTART;
}

/* ---- Counting ---- */

static s64 vpit_elapsed(const struct vpit *pit, unsigned int channel)
{
	if (channel)
		return ktime_to_ns(ktime_get()) - pit->channel[channel].count_load_time;
	if (!pit->period)
		return 0;
	return pit->period - ktime_to_ns(hrtimer_get_remaining(&pit->hrtimer));
}

static void vpit_start_timer(struct vpit *pit, u32 count, bool periodic)
{
	u64 ns = pit8254_ns(count);

	/* A HPET in its place: channel 0 counts but does not interrupt. */
	if (pit->flags & KVM_PIT_FLAGS_HPET_LEGACY)
		return;
	hrtimer_cancel(&pit->hrtimer);
	pit->periodic = periodic;
	pit->period = periodic ? max(ns, TIMER_MIN_PERIOD_NS) : ns;
	vpit_forget_ticks(pit);
	hrtimer_start(&pit->hrtimer, ktime_add_ns(ktime_get(), ns), TIMER_MODE);
}

static void vpit_load(struct vpit *pit, unsigned int channel, u32 count)
{
	struct kvm_pit_channel_state *c = &pit->channel[channel];

	if (!count)
		count = 0x10000;
	c->count = count;
	if (channel) {
		c->count_load_time = ktime_to_ns(ktime_get());
		return;
	}
	if (pit8254_is_periodic(c->mode) || pit8254_is_one_shot(c->mode))
		vpit_start_timer(pit, count, pit8254_is_periodic(c->mode));
	else
		hrtimer_cancel(&pit->hrtimer);
}

/* ---- Ports ---- */

static void vpit_control_locked(struct vpit *pit, u8 word)
{
	unsigned int i = PIT_SELECT(word);

	if (i != PIT_READ_BACK) {
		pit8254_control(&pit->channel[i], word, vpit_elapsed(pit, i));
		return;
	}
	for (i = 0; i < PIT_CHANNELS; i++) {
		if (!(word & 2 << i))
			continue;
		if (!(word & PIT_BACK_NO_COUNT))
			pit8254_latch_count(&pit->channel[i], vpit_elapsed(pit, i));
		if (!(word & PIT_BACK_NO_STATUS))
			pit8254_latch_status(&pit->channel[i], vpit_elapsed(pit, i));
	}
}

static int vpit_port_write(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr, unsigned int len,
			   const void *data)
{
	struct vpit *pit = container_of(dev, struct vpit, ports);
	unsigned int port = addr & 3;
	u8 value = *(const u8 *)data;
	unsigned long flags;
	u32 count;

	raw_spin_lock_irqsave(&pit->lock, flags);
	if (port == PIT_PORT_CONTROL)
		vpit_control_locked(pit, value);
	else if (pit8254_write(&pit->channel[port], value, &count))
		vpit_load(pit, port, count);
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

static int vpit_port_read(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr, unsigned int len,
			  void *data)
{
	struct vpit *pit = container_of(dev, struct vpit, ports);
	unsigned int port = addr & 3;
	unsigned long flags;
	u8 value = 0;

	if (port != PIT_PORT_CONTROL) {
		raw_spin_lock_irqsave(&pit->lock, flags);
		if (!pit8254_read_latched(&pit->channel[port], &value))
			value = pit8254_read(&pit->channel[port], vpit_elapsed(pit, port));
		raw_spin_unlock_irqrestore(&pit->lock, flags);
	}
	memset(data, 0, len);
	*(u8 *)data = value;
	return 0;
}

static int vpit_speaker_write(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr,
			      unsigned int len, const void *data)
{
	struct vpit *pit = container_of(dev, struct vpit, speaker);
	struct kvm_pit_channel_state *c = &pit->channel[SPEAKER_CHANNEL];
	u8 value = *(const u8 *)data;
	unsigned long flags;

	raw_spin_lock_irqsave(&pit->lock, flags);
	if (value & SPEAKER_DATA)
		pit->flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	else
		pit->flags &= ~KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	if (pit8254_gate_restarts(c, value & SPEAKER_GATE))
		c->count_load_time = ktime_to_ns(ktime_get());
	c->gate = value & SPEAKER_GATE;
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

static int vpit_speaker_read(struct iobus_dev *dev, struct vcpu *vcpu, gpa_t addr,
			     unsigned int len, void *data)
{
	struct vpit *pit = container_of(dev, struct vpit, speaker);
	const struct kvm_pit_channel_state *c = &pit->channel[SPEAKER_CHANNEL];
	unsigned long flags;
	u8 value = 0;

	if (ktime_to_ns(ktime_get()) & BIT(REFRESH_SHIFT))
		value |= SPEAKER_REFRESH;
	raw_spin_lock_irqsave(&pit->lock, flags);
	if (c->gate)
		value |= SPEAKER_GATE;
	if (pit->flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON)
		value |= SPEAKER_DATA;
	if (pit8254_out(c, vpit_elapsed(pit, SPEAKER_CHANNEL)))
		value |= SPEAKER_OUT;
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	memset(data, 0, len);
	*(u8 *)data = value;
	return 0;
}

static const struct iobus_ops vpit_port_ops = {
	.read = vpit_port_read,
	.write = vpit_port_write,
};

static const struct iobus_ops vpit_speaker_ops = {
	.read = vpit_speaker_read,
	.write = vpit_speaker_write,
};

/* ---- User space ---- */

int vpit_get(struct vm *vm, struct kvm_pit_state2 *s)
{
	struct vpit *pit = vpit_of(vm);
	unsigned long flags;

	if (!pit)
		return vm_refuse(vm, -ENXIO, "the VM has no PIT", 0);
	memset(s, 0, sizeof(*s));
	raw_spin_lock_irqsave(&pit->lock, flags);
	memcpy(s->channels, pit->channel, sizeof(s->channels));
	s->flags = pit->flags;
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

int vpit_set(struct vm *vm, const struct kvm_pit_state2 *s)
{
	struct vpit *pit = vpit_of(vm);
	unsigned long flags;
	unsigned int i;
	bool hpet_begins;
	u8 mode;

	if (!pit)
		return vm_refuse(vm, -ENXIO, "the VM has no PIT", 0);
	raw_spin_lock_irqsave(&pit->lock, flags);
	hpet_begins = s->flags & ~pit->flags & KVM_PIT_FLAGS_HPET_LEGACY;
	memcpy(pit->channel, s->channels, sizeof(pit->channel));
	pit->flags = s->flags;
	/*
	 * The mode is kept for the day the HPET gives way again, but must not start the timer now.
	 */
	mode = pit->channel[0].mode;
	if (hpet_begins)
		pit->channel[0].mode = PIT_MODE_NONE;
	for (i = 0; i < PIT_CHANNELS; i++)
		vpit_load(pit, i, pit->channel[i].count);
	pit->channel[0].mode = mode;
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

int vpit_reinject(struct vm *vm, const struct kvm_reinject_control *c)
{
	struct vpit *pit = vpit_of(vm);
	unsigned long flags;

	if (!pit)
		return vm_refuse(vm, -ENXIO, "the VM has no PIT", 0);
	raw_spin_lock_irqsave(&pit->lock, flags);
	if (pit->reinject != !!c->pit_reinject) {
		if (c->pit_reinject)
			vpit_forget_ticks(pit);
		WRITE_ONCE(pit->reinject, c->pit_reinject);
	}
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

/* ---- Life ---- */

/* The boot CPU's thread has moved; the timer goes where its interrupts are taken. */
void vpit_migrate(struct vm *vm)
{
	struct vpit *pit = vpit_of(vm);
	unsigned long flags;

	if (!pit || !hrtimer_active(&pit->hrtimer))
		return;
	raw_spin_lock_irqsave(&pit->lock, flags);
	if (hrtimer_cancel(&pit->hrtimer))
		hrtimer_start_expires(&pit->hrtimer, TIMER_MODE);
	raw_spin_unlock_irqrestore(&pit->lock, flags);
}

static void vpit_reset(struct vpit *pit)
{
	unsigned int i;

	for (i = 0; i < PIT_CHANNELS; i++) {
		pit->channel[i].mode = PIT_MODE_NONE;
		pit->channel[i].gate = i != SPEAKER_CHANNEL;
		vpit_load(pit, i, 0);
	}
	vpit_forget_ticks(pit);
}

static int vpit_register(struct vm *vm, struct vpit *pit, bool speaker)
{
	int ret;

	pit->ports = (struct iobus_dev){ .ops = &vpit_port_ops, .base = PIT_PORT, .len = 4 };
	pit->speaker = (struct iobus_dev){
		.ops = &vpit_speaker_ops, .base = SPEAKER_PORT, .len = 1,
	};
	ret = iobus_register(vm, IOBUS_PIO, &pit->ports);
	if (ret || !speaker)
		return ret;
	ret = iobus_register(vm, IOBUS_PIO, &pit->speaker);
	if (ret)
		iobus_unregister(vm, IOBUS_PIO, &pit->ports);
	return ret;
}

int vpit_create(struct vm *vm, u32 flags)
{
	struct vpit *pit;
	int ret;

	if (vm->vpit)
		return vm_refuse(vm, -EEXIST, "the VM has a PIT already", 0);
	if (!irqchip_in_kernel(vm) || irqchip_is_split(vm))
		return vm_refuse(vm, -ENOENT, "a PIT needs an in-kernel irqchip", 0);
	pit = kzalloc(sizeof(*pit), GFP_KERNEL_ACCOUNT);
	if (!pit)
		return -ENOMEM;
	raw_spin_lock_init(&pit->lock);
	pit->vm = vm;
	pit->reinject = true;
	compat_hrtimer_setup(&pit->hrtimer, vpit_fired, CLOCK_MONOTONIC, TIMER_MODE);
	INIT_WORK(&pit->nmis, vpit_nmis);
	vpit_reset(pit);

	ret = vpit_register(vm, pit, flags & KVM_PIT_SPEAKER_DUMMY);
	if (ret) {
		/* A vCPU may have programmed it in the meantime. */
		hrtimer_cancel(&pit->hrtimer);
		kfree(pit);
		return ret;
	}
	/* Pairs with smp_load_acquire() in vpit_of(). */
	smp_store_release(&vm->vpit, pit);
	return 0;
}

void vpit_stop(struct vm *vm)
{
	if (!vm->vpit)
		return;
	hrtimer_cancel(&vm->vpit->hrtimer);
	cancel_work_sync(&vm->vpit->nmis);
}

void vpit_destroy(struct vm *vm)
{
	vpit_stop(vm);
	kfree(vm->vpit);
	vm->vpit = NULL;
}
