// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_X86_SET_MSR_FILTER: builds a filter from user space's and puts it into effect.
 * This file must not know which MSRs there are.
 */
#include <linux/compat.h>
#include <linux/slab.h>

#include "ioctl.h"
#include "msr_filter.h"
#include "requests.h"

#define RANGE_FLAGS	(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE)

static void filter_free(struct msr_filter *filter)
{
	unsigned int i;

	if (!filter)
		return;
	for (i = 0; i < filter->nr; i++)
		kfree(filter->ranges[i].allowed);
	kfree(filter);
}

/* The VM's last user has gone. */
void msr_filter_destroy(struct vm *vm)
{
	filter_free(rcu_dereference_protected(vm->msr_filter, true));
}

/* An empty range is left out. */
static int filter_add(struct vm *vm, struct msr_filter *filter,
		      const struct kvm_msr_filter_range *user)
{
	size_t size = BITS_TO_LONGS((u64)user->nmsrs) * sizeof(long);
	struct msr_filter_range *r = &filter->ranges[filter->nr];
	unsigned long *allowed;

	if (!user->nmsrs)
		return 0;
	if (!user->flags || user->flags & ~RANGE_FLAGS)
		return vm_refuse(vm, -EINVAL, "a range filters reads, writes or both", user->flags);
	if (size > KVM_MSR_FILTER_MAX_BITMAP_SIZE)
		return vm_refuse(vm, -EINVAL, "too many MSRs in a range", user->nmsrs);
	allowed = memdup_user((void __user *)user->bitmap, size);
	if (IS_ERR(allowed))
		return PTR_ERR(allowed);
	*r = (struct msr_filter_range) {
		.first = user->base,
		.nr = user->nmsrs,
		.flags = user->flags,
		.allowed = allowed,
	};
	filter->nr++;
	return 0;
}

static int filter_fill(struct vm *vm, struct msr_filter *filter, const struct kvm_msr_filter *user)
{
	unsigned int i;
	int ret;

	if (user->flags & ~KVM_MSR_FILTER_DEFAULT_DENY)
		return vm_refuse(vm, -EINVAL, "unknown flags of an MSR filter", user->flags);
	filter->default_allow = !(user->flags & KVM_MSR_FILTER_DEFAULT_DENY);
	for (i = 0; i < ARRAY_SIZE(user->ranges); i++) {
		ret = filter_add(vm, filter, &user->ranges[i]);
		if (ret)
			return ret;
	}
	if (!filter->nr && !filter->default_allow)
		return vm_refuse(vm, -EINVAL, "a filter that denies every MSR", user->flags);
	return 0;
}

static void filter_publish(struct vm *vm, struct msr_filter *filter)
{
	struct msr_filter *old;

	mutex_lock(&vm->lock);
	old = rcu_replace_pointer(vm->msr_filter, filter, lockdep_is_held(&vm->lock));
	mutex_unlock(&vm->lock);
	synchronize_srcu(&vm->srcu);
	filter_free(old);
	/* MSRs that the guest reaches without an exit. */
	vcpu_request_all(vm, REQ_MSR_BITMAP, false);
}

/* KVM_X86_SET_MSR_FILTER */
int vm_ioctl_set_msr_filter(struct vm *vm, void *arg)
{
	struct msr_filter *filter = kzalloc(sizeof(*filter), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!filter)
		return -ENOMEM;
	ret = filter_fill(vm, filter, arg);
	if (ret) {
		filter_free(filter);
		return ret;
	}
	filter_publish(vm, filter);
	return 0;
}

#ifdef CONFIG_COMPAT
/* The same from a 32-bit program. */
long vm_compat_set_msr_filter(struct vm *vm, unsigned long arg)
{
	struct compat_msr_filter in;
	struct kvm_msr_filter filter = {};
	unsigned int i;

	if (copy_from_user(&in, (void __user *)arg, sizeof(in)))
		return -EFAULT;
	filter.flags = in.flags;
	for (i = 0; i < ARRAY_SIZE(filter.ranges); i++) {
		filter.ranges[i].flags = in.ranges[i].flags;
		filter.ranges[i].nmsrs = in.ranges[i].nmsrs;
		filter.ranges[i].base = in.ranges[i].base;
		filter.ranges[i].bitmap = (u8 *)(unsigned long)in.ranges[i].bitmap;
	}
	return vm_ioctl_set_msr_filter(vm, &filter);
}
#endif
