/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM_X86_SET_MSR_FILTER: which MSRs user space lets a VM's guests read and write.
 * This header must not know what any MSR means.
 */
#ifndef KVMLET_MSR_FILTER_H
#define KVMLET_MSR_FILTER_H

#include <linux/bits.h>
#include <linux/kvm.h>
#include <linux/types.h>

/**
 * struct msr_filter_range - consecutive MSRs that are decided one by one
 * @first: the first one's index
 * @nr: how many
 * @flags: KVM_MSR_FILTER_READ and KVM_MSR_FILTER_WRITE: which accesses it decides
 * @allowed: a bit for each
 */
struct msr_filter_range {
	u32 first, nr;
	u32 flags;
	unsigned long *allowed;
};

/**
 * struct msr_filter - a VM's filter, constant once it is published in vm->msr_filter
 * @default_allow: what holds for MSRs in no range
 * @nr: ranges in use
 * @ranges: the first that fits decides
 */
struct msr_filter {
	bool default_allow;
	unsigned int nr;
	struct msr_filter_range ranges[KVM_MSR_FILTER_MAX_RANGES];
};

/* The local APIC's registers cannot be filtered: "x2APIC Register Address Space". */
static inline bool msr_filterable(u32 index)
{
	return (index & ~0xffu) != 0x800;
}

/**
 * msr_filter_allows() - what a filter says
 * @filter: the filter; vm->srcu or vm->lock held
 * @index: MSR
 * @access: KVM_MSR_FILTER_READ or KVM_MSR_FILTER_WRITE
 *
 * Return: whether the guest may.
 */
static inline bool msr_filter_allows(const struct msr_filter *filter, u32 index, u32 access)
{
	const struct msr_filter_range *r;

	if (!msr_filterable(index))
		return true;
	for (r = filter->ranges; r < filter->ranges + filter->nr; r++) {
		u32 i = index - r->first;

		if (i < r->nr && r->flags & access)
			return r->allowed[i / BITS_PER_LONG] >> i % BITS_PER_LONG & 1;
	}
	return filter->default_allow;
}

#endif
