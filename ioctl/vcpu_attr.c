// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_SET_DEVICE_ATTR and its kin on a vCPU's fd: the TSC offset.
 * This file must not compute any TSC.
 */
#include <linux/kvm.h>

#include "ioctl.h"

static int attr_copy_in(struct vcpu *vcpu, struct kvm_device_attr *attr, unsigned long arg)
{
	if (copy_from_user(attr, (void __user *)arg, sizeof(*attr)))
		return -EFAULT;
	if (attr->group != KVM_VCPU_TSC_CTRL)
		return vcpu_refuse(vcpu, -ENXIO, "unknown group of vCPU attributes", attr->group);
	if (attr->attr != KVM_VCPU_TSC_OFFSET)
		return vcpu_refuse(vcpu, -ENXIO, "unknown TSC attribute", attr->attr);
	return 0;
}

static u64 __user *attr_value(const struct kvm_device_attr *attr)
{
	return (u64 __user *)u64_to_user_ptr(attr->addr);
}

long vcpu_ioctl_has_attr(struct vcpu *vcpu, unsigned long arg)
{
	struct kvm_device_attr attr;

	return attr_copy_in(vcpu, &attr, arg);
}

long vcpu_ioctl_get_attr(struct vcpu *vcpu, unsigned long arg)
{
	struct kvm_device_attr attr;
	int ret = attr_copy_in(vcpu, &attr, arg);

	return ret ?: put_user(vcpu->tsc_offset, attr_value(&attr));
}

long vcpu_ioctl_set_attr(struct vcpu *vcpu, unsigned long arg)
{
	struct kvm_device_attr attr;
	int ret = attr_copy_in(vcpu, &attr, arg);
	u64 offset;

	if (ret)
		return ret;
	if (get_user(offset, attr_value(&attr)))
		return -EFAULT;
	vcpu_set_tsc_offset(vcpu, offset);
	return 0;
}
