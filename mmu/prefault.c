// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_PRE_FAULT_MEMORY: has a range of guest memory mapped before the guest touches it; and the
 * limit of KVM_SET_NR_MMU_PAGES. Must not map anything itself: it asks as a reading guest would.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "internal.h"
#include "spte.h"

/* KVM's own lower limit. */
#define MMU_MIN_PAGES	64

long mmu_set_nr_pages(struct vm *vm, unsigned long pages)
{
	if ((u32)pages < MMU_MIN_PAGES)
		return vm_refuse(vm, -EINVAL, "fewer pages than any guest needs", pages);
	mutex_lock(&vm->slots_lock);
	vm->mmu.pages_wanted = pages;
	mutex_unlock(&vm->slots_lock);
	if (vm->mmu.shadow)
		shadow_trim(vm, pages);
	return 0;
}

/* Until it is set, KVM's default: two for each hundred pages of the guest. */
long mmu_get_nr_pages(struct vm *vm)
{
	long pages;

	mutex_lock(&vm->slots_lock);
	pages = vm->mmu.pages_wanted ?: max_t(u64, vm->mmu.nr_pages / 50, MMU_MIN_PAGES);
	mutex_unlock(&vm->slots_lock);
	return pages;
}

/* Bytes from @gpa to the end of the block that was mapped, or -errno. */
static s64 prefault_one(struct vcpu *vcpu, gpa_t gpa)
{
	for (;;) {
		struct page_fault pf = { .addr = gpa };
		u64 span;
		int r;

		if (signal_pending(current))
			return -EINTR;
		r = mmu_handle_fault(vcpu, &pf);
		if (r < 0)
			return r;
		if (r == PF_MMIO)
			return -ENOENT;
		if (r == PF_FIXED) {
			span = spte_span(pf.goal_level) << PAGE_SHIFT;
			return span - (gpa & (span - 1));
		}
		cond_resched();
	}
}

int mmu_prefault(struct vcpu *vcpu, u64 *gpa, u64 *size)
{
	u64 asked = *size;
	s64 n;

	if (*gpa & ~PAGE_MASK || *size & ~PAGE_MASK || *gpa + *size <= *gpa)
		return vcpu_refuse(vcpu, -EINVAL, "not a range of whole pages", *gpa);
	if (!hw.ept)
		return vcpu_refuse(vcpu, -EOPNOTSUPP, "without EPT nothing can be mapped ahead", 0);
	do {
		n = prefault_one(vcpu, *gpa);
		if (n < 0)
			break;
		n = min_t(u64, n, *size);
		*gpa += n;
		*size -= n;
		cond_resched();
	} while (*size);
	/* What was done counts; the next call meets the error again. */
	if (*size != asked)
		return 0;
	return n == -ENOENT ? vcpu_refuse(vcpu, -ENOENT, "no slot holds the address", *gpa) : n;
}
