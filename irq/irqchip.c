// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM's interrupt hardware as a whole: creation, destruction, saving and restoring of the chips.
 * This file must not touch a chip's insides.
 */
#include <linux/errno.h>
#include <linux/lockdep.h>
#include <linux/string.h>

#include "internal.h"

static int irqchip_create_chips(struct vm *vm)
{
	int ret;

	ret = apic_map_create(vm);
	if (ret)
		return ret;
	ret = vpic_create(vm);
	if (ret)
		goto fail_map;
	ret = vioapic_create(vm);
	if (ret)
		goto fail_pic;
	ret = irq_routing_default(vm);
	if (ret)
		goto fail_ioapic;
	return 0;

fail_ioapic:
	vioapic_unregister(vm);
	vioapic_destroy(vm);
fail_pic:
	vpic_unregister(vm);
	vpic_destroy(vm);
fail_map:
	apic_map_destroy(vm);
	return ret;
}

int irqchip_create(struct vm *vm)
{
	int ret;

	lockdep_assert_held(&vm->lock);
	if (vm->irqchip)
		return vm_refuse(vm, -EEXIST, "the VM has an irqchip already", 0);
	if (vm->nr_vcpus)
		return vm_refuse(vm, -EINVAL, "an irqchip must come before the first vCPU",
				 vm->nr_vcpus);

	mutex_lock(&vm->slots_lock);
	ret = irqchip_create_chips(vm);
	mutex_unlock(&vm->slots_lock);
	if (ret)
		return ret;
	/* Pairs with smp_load_acquire() in irqchip_in_kernel(). */
	smp_store_release(&vm->irqchip, true);
	return 0;
}

int irqchip_create_split(struct vm *vm, u64 nr_gsis)
{
	int ret;

	lockdep_assert_held(&vm->lock);
	if (nr_gsis > IRQ_MAX_ROUTES)
		return vm_refuse(vm, -EINVAL, "too many GSIs of IOAPICs", nr_gsis);
	if (vm->irqchip)
		return vm_refuse(vm, -EEXIST, "the VM has an irqchip already", 0);
	if (vm->nr_vcpus)
		return vm_refuse(vm, -EEXIST, "an irqchip must come before the first vCPU",
				 vm->nr_vcpus);
	ret = apic_map_create(vm);
	if (ret)
		return ret;
	vm->irqchip_split = true;
	vm->ioapic_gsis = nr_gsis;
	ret = irq_routing_set(vm, NULL, 0, 0);
	if (ret) {
		vm->irqchip_split = false;
		apic_map_destroy(vm);
		return ret;
	}
	/* Pairs with smp_load_acquire() in irqchip_in_kernel(). */
	smp_store_release(&vm->irqchip, true);
	return 0;
}

void irqchip_stop(struct vm *vm)
{
	vpit_stop(vm);
	vioapic_stop(vm);
	apic_later_stop(vm);
}

void irqchip_destroy(struct vm *vm)
{
	vpit_destroy(vm);
	irq_routing_destroy(vm);
	apic_map_destroy(vm);
	vioapic_destroy(vm);
	vpic_destroy(vm);
}

int irqchip_get(struct vm *vm, struct kvm_irqchip *chip)
{
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		vpic_get(vm, chip->chip_id == KVM_IRQCHIP_PIC_SLAVE, &chip->chip.pic);
		return 0;
	case KVM_IRQCHIP_IOAPIC:
		vioapic_get(vm, &chip->chip.ioapic);
		return 0;
	default:
		return vm_refuse(vm, -EINVAL, "there is no such chip_id", chip->chip_id);
	}
}

int irqchip_set(struct vm *vm, const struct kvm_irqchip *chip)
{
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		vpic_set(vm, chip->chip_id == KVM_IRQCHIP_PIC_SLAVE, &chip->chip.pic);
		return 0;
	case KVM_IRQCHIP_IOAPIC:
		vioapic_set(vm, &chip->chip.ioapic);
		return 0;
	default:
		return vm_refuse(vm, -EINVAL, "there is no such chip_id", chip->chip_id);
	}
}

#define X2APIC_API_FLAGS \
	(KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)

int irqchip_x2apic_api(struct vm *vm, u64 flags)
{
	if (flags & ~(u64)X2APIC_API_FLAGS)
		return vm_refuse(vm, -EINVAL, "unknown flags of KVM_CAP_X2APIC_API", flags);
	if (flags & KVM_X2APIC_API_USE_32BIT_IDS)
		WRITE_ONCE(vm->x2apic_ids, true);
	if (flags & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
		WRITE_ONCE(vm->x2apic_no_bcast_quirk, true);
	if (irqchip_in_kernel(vm))
		apic_map_dirty(vm);
	return 0;
}

/* A count of 32 bits, divided by 128 at most, has to fit into 64 bits of nanoseconds. */
#define APIC_CYCLE_MAX_NS	(U64_MAX / (U32_MAX * 128ULL))

int irqchip_apic_cycle(struct vm *vm, u64 ns)
{
	lockdep_assert_held(&vm->lock);
	if (!ns || ns > APIC_CYCLE_MAX_NS)
		return vm_refuse(vm, -EINVAL, "no possible length of a bus cycle", ns);
	if (!irqchip_in_kernel(vm))
		return vm_refuse(vm, -ENXIO, "the VM has no in-kernel local APICs", 0);
	if (vm->nr_vcpus)
		return vm_refuse(vm, -EINVAL, "a vCPU exists already", vm->nr_vcpus);
	vm->apic_cycle_ns = ns;
	return 0;
}
