// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM fd's ioctls on interrupt controllers, the PIT, interrupt routing and the clock.
 * This file must not know how a device works: it checks, copies and hands over.
 */
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <asm/msr.h>
#include <asm/tsc.h>

#include "compat.h"
#include "ioctl.h"
#include "irq.h"

/* The result that GSIs without a route give, as for a masked line. */
#define IRQ_STATUS_IGNORED	(-1)

static int irq_line(struct vm *vm, unsigned int source, const struct kvm_irq_level *in)
{
	u32 gsi = in->irq;

	if (gsi >= IRQ_MAX_ROUTES)
		return IRQ_STATUS_IGNORED;
	gsi = array_index_nospec(gsi, IRQ_MAX_ROUTES);
	return irq_line_set(vm, source, gsi, !!in->level);
}

static int vm_ioctl_irq_line(struct vm *vm, void *arg)
{
	irq_line(vm, IRQ_SOURCE_USER, arg);
	return 0;
}

static int vm_ioctl_irq_line_status(struct vm *vm, void *arg)
{
	struct kvm_irq_level *level = arg;

	level->status = irq_line(vm, IRQ_SOURCE_USER | IRQ_LINE_STATUS, level);
	return 0;
}

/* A copy of constant size needs no look at what it is copied to: a device sends many of these. */
static long vm_ioctl_signal_msi(struct vm *vm, unsigned long arg)
{
	struct kvm_msi msi;

	if (copy_from_user(&msi, (void __user *)arg, sizeof(msi)))
		return -EFAULT;
	return irq_msi_send(vm, &msi);
}

static int vm_ioctl_irqfd(struct vm *vm, void *arg)
{
	return irqfd_ioctl(vm, arg);
}

static long vm_ioctl_create_irqchip(struct vm *vm, unsigned long arg)
{
	if (irqchip_in_kernel(vm))
		return vm_refuse(vm, -EEXIST, "the VM has interrupt controllers already", 0);
	if (vm->nr_vcpus)
		return vm_refuse(vm, -EINVAL, "a vCPU exists already, without local APIC",
				 vm->nr_vcpus);
	return irqchip_create(vm);
}

static int vm_ioctl_get_irqchip(struct vm *vm, void *arg)
{
	return irqchip_get(vm, arg);
}

static int vm_ioctl_set_irqchip(struct vm *vm, void *arg)
{
	return irqchip_set(vm, arg);
}

static int create_pit(struct vm *vm, u32 flags)
{
	int ret;

	if (vm->vpit)
		return vm_refuse(vm, -EEXIST, "the VM has a PIT already", 0);
	if (!irqchip_in_kernel(vm) || irqchip_is_split(vm))
		return vm_refuse(vm, -ENOENT, "a PIT needs the in-kernel interrupt controllers", 0);
	mutex_lock(&vm->slots_lock);
	ret = vpit_create(vm, flags);
	mutex_unlock(&vm->slots_lock);
	return ret;
}

/* The old form always had port 0x61's speaker bits with it. */
static long vm_ioctl_create_pit(struct vm *vm, unsigned long arg)
{
	return create_pit(vm, KVM_PIT_SPEAKER_DUMMY);
}

static int vm_ioctl_create_pit2(struct vm *vm, void *arg)
{
	const struct kvm_pit_config *config = arg;

	return create_pit(vm, config->flags);
}

static int vm_ioctl_get_pit(struct vm *vm, void *arg)
{
	struct kvm_pit_state2 state = {};
	int ret = vpit_get(vm, &state);

	BUILD_BUG_ON(sizeof(struct kvm_pit_state) != sizeof(state.channels));
	if (!ret)
		memcpy(arg, state.channels, sizeof(state.channels));
	return ret;
}

/* The old form leaves the flags alone. */
static int vm_ioctl_set_pit(struct vm *vm, void *arg)
{
	struct kvm_pit_state2 state = {};
	int ret = vpit_get(vm, &state);

	if (ret)
		return ret;
	memcpy(state.channels, arg, sizeof(state.channels));
	return vpit_set(vm, &state);
}

static int vm_ioctl_get_pit2(struct vm *vm, void *arg)
{
	return vpit_get(vm, arg);
}

static int vm_ioctl_set_pit2(struct vm *vm, void *arg)
{
	return vpit_set(vm, arg);
}

/* Defined without a size, yet its argument is a pointer. */
static int vm_ioctl_reinject_control(struct vm *vm, void *arg)
{
	return vpit_reinject(vm, arg);
}

static long set_routing(struct vm *vm, const struct kvm_irq_routing *head,
			const struct kvm_irq_routing_entry __user *user)
{
	struct kvm_irq_routing_entry *entries = NULL;
	size_t size = head->nr * sizeof(*entries);
	long ret;

	if (size) {
		entries = kvmalloc(size, GFP_KERNEL_ACCOUNT);
		if (!entries)
			return -ENOMEM;
		if (copy_from_user(entries, user, size)) {
			kvfree(entries);
			return -EFAULT;
		}
	}
	mutex_lock(&vm->lock);
	ret = irq_routing_set(vm, entries, head->nr, head->flags);
	mutex_unlock(&vm->lock);
	kvfree(entries);
	return ret;
}

static long vm_ioctl_set_gsi_routing(struct vm *vm, unsigned long arg)
{
	struct kvm_irq_routing __user *user = (void __user *)arg;
	struct kvm_irq_routing head;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (!irqchip_in_kernel(vm))
		return vm_refuse(vm, -EINVAL, "the VM has no in-kernel interrupt controllers", 0);
	if (head.nr > IRQ_MAX_ROUTES)
		return vm_refuse(vm, -EINVAL, "too many routing entries", head.nr);
	if (head.flags)
		return vm_refuse(vm, -EINVAL, "unknown flags of a routing table", head.flags);
	return set_routing(vm, &head, user->entries);
}

static int vm_ioctl_get_clock(struct vm *vm, void *arg)
{
	pvclock_get(vm, arg);
	return 0;
}

/* What KVM_GET_CLOCK gave may come back as it is; only the real time is looked at. */
static int vm_ioctl_set_clock(struct vm *vm, void *arg)
{
	const struct kvm_clock_data *clock = arg;

	if (clock->flags & ~(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC))
		return vm_refuse(vm, -EINVAL, "unknown flags of a clock", clock->flags);
	pvclock_set(vm, clock);
	return 0;
}

const struct vm_ioctl device_ioctls[] = {
	{ KVM_SIGNAL_MSI, .raw = vm_ioctl_signal_msi },
	{ KVM_IRQ_LINE, sizeof(struct kvm_irq_level), IO_IN | IO_IRQCHIP,
	  .data = vm_ioctl_irq_line },
	{ KVM_IRQ_LINE_STATUS, sizeof(struct kvm_irq_level), IO_IN | IO_OUT | IO_IRQCHIP,
	  .data = vm_ioctl_irq_line_status },
	{ KVM_IRQFD, sizeof(struct kvm_irqfd), IO_IN, .data = vm_ioctl_irqfd },
	{ KVM_SET_GSI_ROUTING, .raw = vm_ioctl_set_gsi_routing },
	{ KVM_CREATE_IRQCHIP, .flags = IO_LOCK, .raw = vm_ioctl_create_irqchip },
	{ KVM_GET_IRQCHIP, sizeof(struct kvm_irqchip), IO_IN | IO_OUT | IO_LOCK | IO_CHIPS,
	  .data = vm_ioctl_get_irqchip },
	{ KVM_SET_IRQCHIP, sizeof(struct kvm_irqchip), IO_IN | IO_LOCK | IO_CHIPS,
	  .data = vm_ioctl_set_irqchip },
	{ KVM_CREATE_PIT, .flags = IO_LOCK, .raw = vm_ioctl_create_pit },
	{ KVM_CREATE_PIT2, sizeof(struct kvm_pit_config), IO_IN | IO_LOCK,
	  .data = vm_ioctl_create_pit2 },
	{ KVM_GET_PIT, sizeof(struct kvm_pit_state), IO_IN | IO_OUT | IO_LOCK | IO_PIT,
	  .data = vm_ioctl_get_pit },
	{ KVM_SET_PIT, sizeof(struct kvm_pit_state), IO_IN | IO_LOCK | IO_PIT,
	  .data = vm_ioctl_set_pit },
	{ KVM_GET_PIT2, sizeof(struct kvm_pit_state2), IO_OUT | IO_LOCK | IO_PIT,
	  .data = vm_ioctl_get_pit2 },
	{ KVM_SET_PIT2, sizeof(struct kvm_pit_state2), IO_IN | IO_LOCK | IO_PIT,
	  .data = vm_ioctl_set_pit2 },
	{ KVM_REINJECT_CONTROL, sizeof(struct kvm_reinject_control), IO_IN | IO_LOCK | IO_PIT,
	  .data = vm_ioctl_reinject_control },
	{ KVM_GET_CLOCK, sizeof(struct kvm_clock_data), IO_OUT | IO_LOCK,
	  .data = vm_ioctl_get_clock },
	{ KVM_SET_CLOCK, sizeof(struct kvm_clock_data), IO_IN | IO_LOCK,
	  .data = vm_ioctl_set_clock },
};

const unsigned int nr_device_ioctls = ARRAY_SIZE(device_ioctls);
