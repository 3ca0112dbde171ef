/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of struct vm and struct vcpu that irq/ uses.
 * It must not differ in meaning from include/vm.h.
 */
#ifndef SHIM_VM_H
#define SHIM_VM_H

#include <linux/kvm.h>
#include "kernel.h"
#include "types.h"
#include "iobus.h"
#include "reason.h"

#define VM_MAX_VCPU_ID 4096
#define SHIM_VCPUS 100

enum guest_feature { GF_X2APIC, GF_TSC_DEADLINE };

struct vlapic;

struct vm {
	struct mutex lock, slots_lock;
	struct reason reason;
	struct vcpu *vcpu[SHIM_VCPUS];
	unsigned int nr_vcpus;
	u32 boot_vcpu_id;
	struct iobus bus[NR_IOBUSES];
	bool irqchip, irqchip_split;
	u32 ioapic_gsis, apic_cycle_ns;
	struct vpic *vpic;
	struct vioapic *vioapic;
	struct vpit *vpit;
	struct irq_routing *routing;
	struct apic_map *apic_map;
	atomic_t lint0_nmi;
	bool x2apic_ids, x2apic_no_bcast_quirk;
};

struct vcpu {
	struct vm *vm;
	u32 id;
	struct reason reason;
	unsigned long requests;
	struct vlapic *lapic;
	u64 apic_base;
	int user_extint;
	u8 ioapic_eoi;
	u8 maxphyaddr;
	u32 tsc_khz;
	u64 tsc_offset;
	bool no_tsc_deadline, no_x2apic;
	bool smm;
	struct {
		bool eoi_armed;			/* these tests' guest has no PV EOI */
	} pv;
	unsigned int nr_kicks, nr_nmis, nr_smis;		/* what the tests look at */
};

static inline bool vm_has_quirk(const struct vm *vm, u64 quirk)
{
	return true;
}

static inline bool hw_has_smm(void)
{
	return true;
}

static inline void pv_eoi_sync(struct vcpu *vcpu)
{
	vcpu->pv.eoi_armed = false;
}

static inline void vcpu_smi(struct vcpu *vcpu)
{
	vcpu->nr_smis++;
}

static inline bool irqchip_in_kernel(const struct vm *vm)
{
	return vm->irqchip;
}

static inline bool irqchip_is_split(const struct vm *vm)
{
	return vm->irqchip_split;
}

static inline bool guest_has(const struct vcpu *vcpu, enum guest_feature f)
{
	return f == GF_X2APIC ? !vcpu->no_x2apic : !vcpu->no_tsc_deadline;
}

static inline struct vcpu *vm_vcpu(struct vm *vm, unsigned int index)
{
	return vm->vcpu[index];
}

struct vcpu_walk {
	struct vm *vm;
	unsigned int next;
};

static inline bool vcpu_walk(struct vcpu_walk *w, unsigned int *i, struct vcpu **vcpu)
{
	*i = w->next;
	if (w->next >= w->vm->nr_vcpus)
		return false;
	*vcpu = vm_vcpu(w->vm, w->next++);
	return true;
}

#define vm_for_each_vcpu(i, v, machine) \
	for (struct vcpu_walk __walk = { (machine), 0 }; vcpu_walk(&__walk, &(i), &(v)); )

static inline u64 vcpu_tsc_at(struct vcpu *vcpu, u64 host_tsc)
{
	return host_tsc + vcpu->tsc_offset;
}

#endif
