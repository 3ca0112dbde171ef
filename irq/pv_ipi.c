// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts to many vCPUs by one hypercall, and APIC ids for hypercalls that name a vCPU.
 * This file must not know how hypercalls come in or who may use them.
 */
#include <linux/bitmap.h>
#include <uapi/linux/kvm_para.h>

#include "internal.h"
#include "pv.h"

/* The destination is the bitmap's: neither logical mode nor a shorthand makes sense. */
#define ICR_DESTINATION	(APIC_DEST_LOGICAL | GENMASK(19, 18))

struct vcpu *vlapic_find_vcpu(struct vm *vm, u32 id)
{
	struct vlapic *apic = vm->apic_map ? apic_find_physical(vm, id) : NULL;

	return apic ? apic->vcpu : NULL;
}

static long send_word(struct vm *vm, unsigned long word, unsigned int words, u32 min,
		      const struct apic_msg *msg)
{
	unsigned int bit;
	long count = 0;

	for_each_set_bit(bit, &word, words) {
		struct vlapic *apic = min + bit >= min ? apic_find_physical(vm, min + bit) : NULL;

		if (apic)
			count += vlapic_accept(apic, msg, NULL);
	}
	return count;
}

long vlapic_pv_ipi(struct vm *vm, const unsigned long bitmap[2], unsigned int words, u32 min,
		   unsigned long icr)
{
	struct apic_msg msg = {
		.vector = icr & APIC_VECTOR_MASK,
		.mode = icr >> 8 & 7,
		.level = icr & APIC_INT_LEVELTRIG,
		.asserted = icr & APIC_INT_ASSERT,
	};
	long count;

	if (icr & ICR_DESTINATION)
		return -KVM_EINVAL;
	if (!vm->apic_map)
		return -KVM_EOPNOTSUPP;
	count = send_word(vm, bitmap[0], words, min, &msg);
	if (min + words >= min)
		count += send_word(vm, bitmap[1], words, min + words, &msg);
	return count;
}
