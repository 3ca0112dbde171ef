// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CHECK_EXTENSION: the table of capabilities, one answer for the device and the VM fd.
 * This file must not promise anything that is not complete: what has no row reads 0.
 */
#include <linux/cpumask.h>
#include <linux/kvm.h>
#include <linux/minmax.h>
#include <uapi/linux/kvm_para.h>

#include "compat.h"
#include "ioctl.h"
#include "irq.h"

#define X2APIC_API_FLAGS	(KVM_X2APIC_API_USE_32BIT_IDS | \
				 KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)

#define GUEST_DEBUG_FLAGS	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | \
				 KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP | \
				 KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP | \
				 KVM_GUESTDBG_BLOCKIRQ)
#define HYPERCALL_EXITS		BIT(KVM_HC_MAP_GPA_RANGE)

/* What is asked on the device fd has no VM: functions must cope with NULL. */
struct capability {
	u32 cap;
	int value;
	int (*fn)(struct vm *vm);	/* instead of @value */
};

static int cap_nr_vcpus(struct vm *vm)
{
	return min_t(unsigned int, num_online_cpus(), VM_MAX_VCPUS);
}

static int cap_smm(struct vm *vm)
{
	return hw_has_smm();
}

static int cap_address_spaces(struct vm *vm)
{
	return hw_has_smm() ? NR_ADDRESS_SPACES : 1;
}

static int cap_xcrs(struct vm *vm)
{
	return hw.xcr0 != 0;
}

static int cap_xsave2(struct vm *vm)
{
	return vcpu_state_xsave_size(vm);
}

static int cap_disable_exits(struct vm *vm)
{
	return vmx_disable_exits_supported();
}

static int cap_tsc_control(struct vm *vm)
{
	return hw.tsc_scaling;
}

static int cap_pre_fault(struct vm *vm)
{
	return hw.ept;
}

#define CLOCK_FLAGS	(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

static const struct capability capabilities[] = {
	/* Life and memory of a VM */
	{ KVM_CAP_USER_MEMORY, 1 },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1 },
	{ KVM_CAP_SYNC_MMU, 1 },
	{ KVM_CAP_READONLY_MEM, 1 },
	{ KVM_CAP_NR_MEMSLOTS, MEMSLOTS_USER },
	{ KVM_CAP_MULTI_ADDRESS_SPACE, .fn = cap_address_spaces },
	{ KVM_CAP_CHECK_EXTENSION_VM, 1 },
	{ KVM_CAP_BINARY_STATS_FD, 1 },
	{ KVM_CAP_ENABLE_CAP_VM, 1 },
	{ KVM_CAP_NR_VCPUS, .fn = cap_nr_vcpus },
	{ KVM_CAP_MAX_VCPUS, VM_MAX_VCPUS },
	{ KVM_CAP_MAX_VCPU_ID, VM_MAX_VCPU_ID },
	{ KVM_CAP_LAST_CPU, 1 },
	{ KVM_CAP_SET_BOOT_CPU_ID, 1 },
	{ KVM_CAP_SET_TSS_ADDR, 1 },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1 },
	{ COMPAT_CAP_USER_MEMORY2, 1 },
	{ COMPAT_CAP_PRE_FAULT_MEMORY, .fn = cap_pre_fault },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
					     KVM_DIRTY_LOG_INITIALLY_SET },
	{ KVM_CAP_DIRTY_LOG_RING, DIRTY_RING_MAX_BYTES },
	{ KVM_CAP_DIRTY_LOG_RING_ACQ_REL, DIRTY_RING_MAX_BYTES },
	{ KVM_CAP_MMU_SHADOW_CACHE_CONTROL, 1 },
	{ KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, 1 },
	{ COMPAT_CAP_VM_TYPES, BIT(0) },
	{ KVM_CAP_DISABLE_QUIRKS, 1 },
	{ KVM_CAP_DISABLE_QUIRKS2, VM_QUIRKS },

	/* Interrupts and devices */
	{ KVM_CAP_IRQCHIP, 1 },
	{ KVM_CAP_IOAPIC_POLARITY_IGNORED, 1 },
	{ KVM_CAP_IRQ_ROUTING, IRQ_MAX_ROUTES },
	{ KVM_CAP_IRQ_INJECT_STATUS, 1 },
	{ KVM_CAP_SIGNAL_MSI, 1 },
	{ KVM_CAP_SPLIT_IRQCHIP, 1 },
	{ COMPAT_CAP_APIC_BUS_CYCLES_NS, 1 },
	{ KVM_CAP_IRQFD, 1 },
	{ KVM_CAP_IRQFD_RESAMPLE, 1 },
	{ KVM_CAP_IOEVENTFD, 1 },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1 },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1 },
	{ KVM_CAP_X2APIC_API, X2APIC_API_FLAGS },
	{ KVM_CAP_PIT, 1 },
	{ KVM_CAP_PIT2, 1 },
	{ KVM_CAP_PIT_STATE2, 1 },
	{ KVM_CAP_REINJECT_CONTROL, 1 },
	{ KVM_CAP_NOP_IO_DELAY, 1 },
	{ KVM_CAP_TSC_DEADLINE_TIMER, 1 },
	{ KVM_CAP_COALESCED_MMIO, KVM_COALESCED_MMIO_PAGE_OFFSET },
	{ KVM_CAP_COALESCED_PIO, 1 },

	/* Running */
	{ KVM_CAP_HLT, 1 },
	{ KVM_CAP_IMMEDIATE_EXIT, 1 },
	{ KVM_CAP_INTERNAL_ERROR_DATA, 1 },
	{ KVM_CAP_USER_NMI, 1 },
	{ KVM_CAP_X86_DISABLE_EXITS, .fn = cap_disable_exits },
	{ KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1 },
	{ COMPAT_CAP_MEMORY_FAULT_INFO, 1 },
	{ COMPAT_CAP_X86_GUEST_MODE, 1 },
	{ KVM_CAP_X86_USER_SPACE_MSR, 1 },
	{ KVM_CAP_X86_MSR_FILTER, 1 },
	{ KVM_CAP_SET_GUEST_DEBUG, 1 },
	{ KVM_CAP_SET_GUEST_DEBUG2, GUEST_DEBUG_FLAGS },
	{ KVM_CAP_X86_ROBUST_SINGLESTEP, 1 },
	{ KVM_CAP_X86_SMM, .fn = cap_smm },
	{ KVM_CAP_SYNC_REGS, VCPU_SYNC_FIELDS },
	{ KVM_CAP_ENABLE_CAP, 1 },
	{ KVM_CAP_EXIT_HYPERCALL, HYPERCALL_EXITS },
	{ KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1 },

	/* State of a vCPU */
	{ KVM_CAP_EXT_CPUID, 1 },
	{ KVM_CAP_EXT_EMUL_CPUID, 1 },
	{ KVM_CAP_GET_MSR_FEATURES, 1 },
	{ KVM_CAP_MP_STATE, 1 },
	{ KVM_CAP_VCPU_EVENTS, 1 },
	{ KVM_CAP_EXCEPTION_PAYLOAD, 1 },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1 },
	{ KVM_CAP_MSR_PLATFORM_INFO, 1 },
	{ KVM_CAP_SREGS2, 1 },
	{ KVM_CAP_DEBUGREGS, 1 },
	{ KVM_CAP_MCE, MCE_MAX_BANKS },
	{ KVM_CAP_XSAVE, 1 },
	{ KVM_CAP_XSAVE2, .fn = cap_xsave2 },
	{ KVM_CAP_XCRS, .fn = cap_xcrs },
	{ KVM_CAP_SYS_ATTRIBUTES, 1 },

	/* Time */
	{ KVM_CAP_ADJUST_CLOCK, CLOCK_FLAGS },
	{ KVM_CAP_CLOCKSOURCE, 1 },
	{ KVM_CAP_KVMCLOCK_CTRL, 1 },
	{ KVM_CAP_STEAL_TIME, IS_ENABLED(CONFIG_SCHED_INFO) },
	{ KVM_CAP_VCPU_ATTRIBUTES, 1 },
	{ KVM_CAP_GET_TSC_KHZ, 1 },
	{ KVM_CAP_TSC_CONTROL, .fn = cap_tsc_control },
	{ KVM_CAP_VM_TSC_CONTROL, .fn = cap_tsc_control },
};

static int exit_hypercall(struct vm *vm, u64 arg)
{
	if (arg & ~(u64)HYPERCALL_EXITS)
		return vm_refuse(vm, -EINVAL, "hypercalls that cannot exit to user space", arg);
	WRITE_ONCE(vm->hypercall_exits, arg);
	return 0;
}

/* Capabilities that do something only once they are enabled. */
static const struct {
	u32 cap;
	int (*enable)(struct vm *vm, u64 arg);
} enabled_by_user[] = {
	{ KVM_CAP_EXIT_HYPERCALL, exit_hypercall },
	{ KVM_CAP_X2APIC_API, irqchip_x2apic_api },
	{ KVM_CAP_EXCEPTION_PAYLOAD, option_exception_payload },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, option_triple_fault_event },
	{ KVM_CAP_EXIT_ON_EMULATION_FAILURE, option_exit_on_emulation_failure },
	{ KVM_CAP_MSR_PLATFORM_INFO, option_platform_info },
	{ KVM_CAP_X86_DISABLE_EXITS, option_disable_exits },
	{ KVM_CAP_MAX_VCPU_ID, option_max_vcpu_id },
	{ KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, option_disable_nx_large },
	{ KVM_CAP_X86_USER_SPACE_MSR, option_user_space_msr },
	{ KVM_CAP_DISABLE_QUIRKS, option_disable_quirks },
	{ KVM_CAP_DISABLE_QUIRKS2, option_disable_quirks2 },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, mmu_enable_manual_dirty },
	{ KVM_CAP_DIRTY_LOG_RING, mmu_enable_dirty_ring },
	{ KVM_CAP_DIRTY_LOG_RING_ACQ_REL, mmu_enable_dirty_ring },
	{ KVM_CAP_SPLIT_IRQCHIP, irqchip_create_split },
	{ COMPAT_CAP_APIC_BUS_CYCLES_NS, irqchip_apic_cycle },
};

/**
 * cap_enable() - KVM_ENABLE_CAP on a VM
 * @vm: the VM, locked
 * @cap: what to enable, kernel copy
 *
 * Return: 0, -EINVAL when the capability cannot be enabled or not so, or as the capability's
 * function.
 */
int cap_enable(struct vm *vm, const struct kvm_enable_cap *cap)
{
	unsigned int i;

	if (cap->flags)
		return vm_refuse(vm, -EINVAL, "unknown flags of KVM_ENABLE_CAP", cap->flags);
	for (i = 0; i < ARRAY_SIZE(enabled_by_user); i++)
		if (enabled_by_user[i].cap == cap->cap)
			return enabled_by_user[i].enable(vm, cap->args[0]);
	return vm_refuse(vm, -EINVAL, "not a capability to be enabled", cap->cap);
}

static int enforce_pv_cpuid(struct vcpu *vcpu, u64 arg)
{
	vcpu_pv_enforce(vcpu, arg);
	return 0;
}

/* The same for one vCPU. */
static const struct {
	u32 cap;
	int (*enable)(struct vcpu *vcpu, u64 arg);
} enabled_on_vcpu[] = {
	{ KVM_CAP_ENFORCE_PV_FEATURE_CPUID, enforce_pv_cpuid },
};

/**
 * cap_enable_vcpu() - KVM_ENABLE_CAP on a vCPU
 * @vcpu: the vCPU, locked
 * @cap: what to enable, kernel copy
 *
 * Return: as cap_enable().
 */
int cap_enable_vcpu(struct vcpu *vcpu, const struct kvm_enable_cap *cap)
{
	unsigned int i;

	if (cap->flags)
		return vcpu_refuse(vcpu, -EINVAL, "unknown flags of KVM_ENABLE_CAP", cap->flags);
	for (i = 0; i < ARRAY_SIZE(enabled_on_vcpu); i++)
		if (enabled_on_vcpu[i].cap == cap->cap)
			return enabled_on_vcpu[i].enable(vcpu, cap->args[0]);
	return vcpu_refuse(vcpu, -EINVAL, "not a capability to be enabled on a vCPU", cap->cap);
}

/**
 * cap_value() - KVM_CHECK_EXTENSION
 * @vm: the VM asked about, or NULL for the device
 * @cap: KVM_CAP_*, any value
 *
 * Return: the capability's value, 0 for what is not there.
 */
int cap_value(struct vm *vm, unsigned long cap)
{
	const struct capability *c;

	for (c = capabilities; c < capabilities + ARRAY_SIZE(capabilities); c++)
		if (c->cap == cap)
			return c->fn ? c->fn(vm) : c->value;
	return 0;
}
