// SPDX-License-Identifier: GPL-2.0-only
/*
 * PV EOI: a bit in the guest's memory stands for the EOI of the interrupt in service, so that the
 * guest needs no exit to end it.
 * This file must not be asked at each exit: what the guest has done there is learnt when somebody
 * has to know what is in service.
 */
#include <linux/srcu.h>
#include <uapi/linux/kvm_para.h>

#include "internal.h"
#include "mmu.h"
#include "pv.h"
#include "vcpu_hw.h"

static gpa_t pv_eoi_gpa(const struct vcpu *vcpu)
{
	return vcpu->pv.eoi & ~KVM_MSR_ENABLED;
}

/*
 * Only when nothing depends on the EOI: no request that priorities may hold back, and no IOAPIC.
 * Whoever makes a request later kicks this vCPU, which then takes the offer back. Shadow paging
 * would have to be told of the write, which cannot be done here.
 */
void pv_eoi_arm(struct vcpu *vcpu)
{
	struct vlapic *apic = vcpu->lapic;
	const u8 mark = KVM_PV_EOI_ENABLED;
	int idx;

	if (!hw.ept || apic->highest_isr < 0 || READ_ONCE(apic->irr_words) ||
	    READ_ONCE(apic->rtc_pending) || vioapic_wants_eoi(vcpu->vm, apic->highest_isr))
		return;
	idx = srcu_read_lock(&vcpu->vm->srcu);
	if (!guest_write_nofault(vcpu, pv_eoi_gpa(vcpu), &mark, sizeof(mark)))
		vcpu->pv.eoi_armed = true;
	srcu_read_unlock(&vcpu->vm->srcu, idx);
}

/* @mark is what was found, and is there no more. */
static void pv_eoi_disarm(struct vcpu *vcpu, u8 mark)
{
	vcpu->pv.eoi_armed = false;
	if (!(mark & KVM_PV_EOI_ENABLED))
		vlapic_eoi(vcpu->lapic);
}

/* The guest has taken its memory away: it does not want to be asked. */
void pv_eoi_sync(struct vcpu *vcpu)
{
	gpa_t gpa = pv_eoi_gpa(vcpu);
	const u8 none = 0;
	u8 mark;

	if (guest_read(vcpu, gpa, &mark, sizeof(mark)) ||
	    ((mark & KVM_PV_EOI_ENABLED) && guest_write(vcpu, gpa, &none, sizeof(none))))
		mark = 0;
	pv_eoi_disarm(vcpu, mark);
}

bool pv_eoi_try_sync(struct vcpu *vcpu)
{
	gpa_t gpa = pv_eoi_gpa(vcpu);
	const u8 none = 0;
	bool done;
	u8 mark;
	int idx;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	done = !guest_read_nofault(vcpu, gpa, &mark, sizeof(mark)) &&
	       (!(mark & KVM_PV_EOI_ENABLED) ||
		!guest_write_nofault(vcpu, gpa, &none, sizeof(none)));
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	if (done)
		pv_eoi_disarm(vcpu, mark);
	return done;
}

bool pv_eoi_settle(struct vcpu *vcpu)
{
	struct vlapic *apic = vcpu->lapic;

	return !(READ_ONCE(apic->irr_words) || vlapic_extint_pending(apic)) ||
	       pv_eoi_try_sync(vcpu);
}
