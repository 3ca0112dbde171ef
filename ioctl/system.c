// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls of the device fd: versions, lists of what is supported, creation of VMs; and the
 * copying of CPUID and MSR lists that the vCPU fd shares.
 * This file must not touch any VM or vCPU but the ones handed to it.
 */
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/mce.h>

#include "ioctl.h"

/*
 * More room than any list of ours needs; a larger one fails with -E2BIG in the function that
 * fills it.
 */
#define MAX_MSR_LIST	1024

struct system_ioctl {
	unsigned int cmd;
	long (*fn)(struct dev_file *dev, unsigned long arg);
};

/**
 * cpuid_copy_out() - hand a list of CPUID leaves to user space
 * @user: its struct, whose nent was found large enough
 * @entries: the leaves
 * @nr: how many
 *
 * Return: 0 or -EFAULT.
 */
long cpuid_copy_out(struct kvm_cpuid2 __user *user, const struct kvm_cpuid_entry2 *entries, u32 nr)
{
	if (nr && copy_to_user(user->entries, entries, nr * sizeof(*entries)))
		return -EFAULT;
	return put_user(nr, &user->nent);
}

/*
 * KVM_GET_MSRS and KVM_SET_MSRS go through @fn one entry after the other up to the first it
 * refuses, and answer how many it took. @vcpu is NULL on the device fd.
 */
long msr_io(struct vcpu *vcpu, struct kvm_msrs __user *user,
	    int (*fn)(struct vcpu *vcpu, struct msr_access *msr), bool writeback)
{
	struct kvm_msr_entry *entries;
	struct kvm_msrs head;
	size_t size;
	long n;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= MAX_MSR_ENTRIES)
		return -E2BIG;
	size = head.nmsrs * sizeof(*entries);
	entries = memdup_user(user->entries, size);
	if (IS_ERR(entries))
		return PTR_ERR(entries);

	for (n = 0; n < head.nmsrs; n++) {
		struct msr_access msr = {
			.index = entries[n].index,
			.data = entries[n].data,
			.host = true,
		};

		if (fn(vcpu, &msr))
			break;
		entries[n].data = msr.data;
	}
	if (writeback && copy_to_user(user->entries, entries, size))
		n = -EFAULT;
	kfree(entries);
	return n;
}

static long sys_get_api_version(struct dev_file *dev, unsigned long arg)
{
	return arg ? -EINVAL : KVM_API_VERSION;
}

/* struct kvm_run and the port I/O page; there is no ring of coalesced MMIO behind them. */
static long sys_get_vcpu_mmap_size(struct dev_file *dev, unsigned long arg)
{
	return arg ? -EINVAL : VCPU_MMAP_PAGES * PAGE_SIZE;
}

static long sys_check_extension(struct dev_file *dev, unsigned long arg)
{
	return cap_value(NULL, arg);
}

/* KVM wants the padding clean for emulated leaves only. */
static bool cpuid_padding_is_clean(const struct kvm_cpuid_entry2 __user *entries, u32 nent)
{
	u32 pad[3], i;

	for (i = 0; i < nent; i++)
		if (copy_from_user(pad, entries[i].padding, sizeof(pad)) ||
		    pad[0] || pad[1] || pad[2])
			return false;
	return true;
}

static long get_cpuid_list(unsigned long arg, int (*fill)(struct kvm_cpuid_entry2 *, u32 *),
			   bool check_padding)
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;
	struct kvm_cpuid_entry2 *entries;
	struct kvm_cpuid2 head;
	long ret;
	u32 nr;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (!head.nent)
		return -E2BIG;
	nr = min_t(u32, head.nent, MAX_CPUID_ENTRIES);
	if (check_padding && !cpuid_padding_is_clean(user->entries, nr))
		return -EINVAL;
	entries = kvcalloc(nr, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	ret = fill(entries, &nr);
	if (!ret)
		ret = cpuid_copy_out(user, entries, nr);
	kvfree(entries);
	return ret;
}

static long sys_get_supported_cpuid(struct dev_file *dev, unsigned long arg)
{
	return get_cpuid_list(arg, cpuid_supported, false);
}

static long sys_get_emulated_cpuid(struct dev_file *dev, unsigned long arg)
{
	return get_cpuid_list(arg, cpuid_emulated, true);
}

/* The number of indices is told even when the caller's array is too small. */
static long get_msr_list(unsigned long arg, int (*fill)(u32 *, u32 *))
{
	struct kvm_msr_list __user *user = (void __user *)arg;
	struct kvm_msr_list head;
	u32 nr = MAX_MSR_LIST;
	u32 *indices;
	long ret;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	indices = kcalloc(nr, sizeof(*indices), GFP_KERNEL_ACCOUNT);
	if (!indices)
		return -ENOMEM;
	ret = fill(indices, &nr);
	if (!ret && put_user(nr, &user->nmsrs))
		ret = -EFAULT;
	if (!ret && head.nmsrs < nr)
		ret = -E2BIG;
	if (!ret && copy_to_user(user->indices, indices, nr * sizeof(*indices)))
		ret = -EFAULT;
	kfree(indices);
	return ret;
}

static long sys_get_msr_index_list(struct dev_file *dev, unsigned long arg)
{
	return get_msr_list(arg, msr_list);
}

static long sys_get_msr_feature_index_list(struct dev_file *dev, unsigned long arg)
{
	return get_msr_list(arg, msr_feature_list);
}

static int get_feature_msr(struct vcpu *unused, struct msr_access *msr)
{
	return msr_feature_get(msr->index, &msr->data);
}

static long sys_get_msrs(struct dev_file *dev, unsigned long arg)
{
	return msr_io(NULL, (void __user *)arg, get_feature_msr, true);
}

static long sys_get_mce_cap(struct dev_file *dev, unsigned long arg)
{
	u64 cap = MCE_CAP_SUPPORTED;

	return copy_to_user((void __user *)arg, &cap, sizeof(cap)) ? -EFAULT : 0;
}

/* The one attribute of the device: the XCR0 bits that a guest may be given. */
static long get_attribute(unsigned long arg, bool store)
{
	struct kvm_device_attr attr;

	if (copy_from_user(&attr, (void __user *)arg, sizeof(attr)))
		return -EFAULT;
	if (attr.group || attr.attr != KVM_X86_XCOMP_GUEST_SUPP)
		return -ENXIO;
	if (store && put_user(hw.xcr0, (u64 __user *)u64_to_user_ptr(attr.addr)))
		return -EFAULT;
	return 0;
}

static long sys_get_device_attr(struct dev_file *dev, unsigned long arg)
{
	return get_attribute(arg, true);
}

static long sys_has_device_attr(struct dev_file *dev, unsigned long arg)
{
	return get_attribute(arg, false);
}

static const struct system_ioctl system_ioctls[] = {
	{ KVM_GET_API_VERSION, sys_get_api_version },
	{ KVM_CHECK_EXTENSION, sys_check_extension },
	{ KVM_CREATE_VM, vm_create_fd },
	{ KVM_GET_VCPU_MMAP_SIZE, sys_get_vcpu_mmap_size },
	{ KVM_GET_SUPPORTED_CPUID, sys_get_supported_cpuid },
	{ KVM_GET_EMULATED_CPUID, sys_get_emulated_cpuid },
	{ KVM_GET_MSR_INDEX_LIST, sys_get_msr_index_list },
	{ KVM_GET_MSR_FEATURE_INDEX_LIST, sys_get_msr_feature_index_list },
	{ KVM_GET_MSRS, sys_get_msrs },
	{ KVM_X86_GET_MCE_CAP_SUPPORTED, sys_get_mce_cap },
	{ KVM_GET_DEVICE_ATTR, sys_get_device_attr },
	{ KVM_HAS_DEVICE_ATTR, sys_has_device_attr },
};

/**
 * system_ioctl() - any ioctl of the device fd
 * @dev: the open file
 * @cmd: ioctl number
 * @arg: its argument
 *
 * Return: the ioctl's result; -EINVAL for an unknown one, as KVM answers on this fd.
 */
long system_ioctl(struct dev_file *dev, unsigned int cmd, unsigned long arg)
{
	const struct system_ioctl *row;

	for (row = system_ioctls; row < system_ioctls + ARRAY_SIZE(system_ioctls); row++)
		if (row->cmd == cmd)
			return row->fn(dev, arg);
	return reason_set(&dev->reason, -EINVAL, "no such ioctl on the device fd", cmd);
}
