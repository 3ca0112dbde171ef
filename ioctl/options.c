// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM_ENABLE_CAP turns on or off in a VM, one function for each capability.
 * This file must not decide which capabilities there are; the tables of caps.c do.
 */
#include <linux/capability.h>
#include <linux/kvm.h>

#include "ioctl.h"

/*
 * The older form takes any bits and keeps those it knows. Each call gives the whole set, as it did
 * until KVM made quirks stay off; nothing here depends on that.
 */
int option_disable_quirks(struct vm *vm, u64 arg)
{
	WRITE_ONCE(vm->disabled_quirks, arg & VM_QUIRKS);
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

int option_exception_payload(struct vm *vm, u64 arg)
{
	WRITE_ONCE(vm->exception_payload, arg);
	return 0;
}

int option_triple_fault_event(struct vm *vm, u64 arg)
{
	WRITE_ONCE(vm->triple_fault_event, arg);
	return 0;
}

int option_exit_on_emulation_failure(struct vm *vm, u64 arg)
{
	if (arg > 1)
		return vm_refuse(vm, -EINVAL, "KVM_CAP_EXIT_ON_EMULATION_FAILURE takes 0 or 1",
				 arg);
	WRITE_ONCE(vm->exit_on_emulation_failure, arg);
	return 0;
}

int option_platform_info(struct vm *vm, u64 arg)
{
	WRITE_ONCE(vm->hide_platform_info, !arg);
	return 0;
}

/* A vCPU that exists keeps the controls it was made with. */
int option_disable_exits(struct vm *vm, u64 arg)
{
	u32 supported = vmx_disable_exits_supported();

	if (arg & ~(u64)KVM_X86_DISABLE_VALID_EXITS)
		return vm_refuse(vm, -EINVAL, "unknown exits to disable", arg);
	WRITE_ONCE(vm->disabled_exits, vm->disabled_exits | (arg & supported));
	return 0;
}

/* Once, and before the first vCPU. As KVM checks, the bootstrap processor's id may be equal. */
int option_max_vcpu_id(struct vm *vm, u64 arg)
{
	u32 now = vm->nr_vcpus ? vm->max_vcpu_id ?: VM_MAX_VCPU_ID : vm->max_vcpu_id;

	if (arg > VM_MAX_VCPU_ID || arg < vm->boot_vcpu_id)
		return vm_refuse(vm, -EINVAL, "vCPU ids cannot be limited to this", arg);
	if (now && now != arg)
		return vm_refuse(vm, -EINVAL, "vCPU ids are limited already", now);
	vm->max_vcpu_id = arg;
	return 0;
}

/*
 * A guest that may execute large pages can stop a CPU that errs there: as KVM, ask for the right to
 * reboot the machine, in the first namespace.
 */
int option_disable_nx_large(struct vm *vm, u64 arg)
{
	if (!capable(CAP_SYS_BOOT))
		return vm_refuse(vm, -EPERM, "executable large pages need CAP_SYS_BOOT", 0);
	if (arg)
		return vm_refuse(vm, -EINVAL, "KVM_CAP_VM_DISABLE_NX_HUGE_PAGES takes 0", arg);
	if (vm->nr_vcpus)
		return vm_refuse(vm, -EINVAL, "vCPUs exist already", vm->nr_vcpus);
	vm->mmu.nx_large = false;
	return 0;
}
