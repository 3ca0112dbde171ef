// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM_ENABLE_CAP turns on or off in a VM, one function for each capability.
 * This file must not decide which capabilities there are; the tables of caps.c do.
 */
#include <linux/kvm.h>

#include "ioctl.h"

/* The older form takes any bits and keeps those it knows. */
int option_disable_quirks(struct vm *vm, u64 arg)
{
	WRITE_ONCE(vm->disabled_quirks, vm->disabled_quirks | (arg & VM_QUIRKS));
	return 0;
}

int option_disable_quirks2(struct vm *vm, u64 arg)
{
	if (arg & ~(u64)VM_QUIRKS)
		return vm_refuse(vm, -EINVAL, "unknown quirks", arg & ~(u64)VM_QUIRKS);
	return option_disable_quirks(vm, arg);
}

#define MSR_EXIT_REASONS	(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | \
				 KVM_MSR_EXIT_REASON_FILTER)

int option_user_space_msr(struct vm *vm, u64 arg)
{
	if (arg & ~(u64)MSR_EXIT_REASONS)
		return vm_refuse(vm, -EINVAL, "unknown reasons of KVM_EXIT_X86_RDMSR", arg);
	WRITE_ONCE(vm->user_space_msr, arg);
	return 0;
}
