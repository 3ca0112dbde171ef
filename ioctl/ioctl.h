/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of ioctl/ share: rows of the ioctl tables, the device's open file, steps of a
 * vCPU's life.
 * This header must not be included outside ioctl/.
 */
#ifndef KVMLET_IOCTL_H
#define KVMLET_IOCTL_H

#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/uaccess.h>

#include "vm.h"

/* KVM's own limits on what one call may carry. */
#define MAX_CPUID_ENTRIES	256
#define MAX_MSR_ENTRIES		256

/* What a vCPU's fd maps: struct kvm_run, port I/O data, the ring of coalesced I/O. */
#define VCPU_MMAP_PAGES		3

/* How the argument of a row travels, and what must hold around its handler. */
#define IO_IN		BIT(0)	/* @size bytes are copied in before @data is called */
#define IO_OUT		BIT(1)	/* ... and out when it succeeded */
#define IO_LOCK		BIT(2)	/* vm->lock on a VM, vcpu->lock on a vCPU */
#define IO_SRCU		BIT(3)	/* vCPU: vm->srcu held, for what may read guest memory */
#define IO_IRQCHIP	BIT(4)	/* VM: -ENXIO without in-kernel interrupt controllers */
#define IO_CHIPS	BIT(7)	/* VM: -ENXIO without in-kernel PIC and IOAPIC */
#define IO_PIT		BIT(5)	/* VM: -ENXIO without in-kernel PIT; needs IO_LOCK */
#define IO_LAPIC	BIT(6)	/* vCPU: -EINVAL without in-kernel local APIC */

/* Room for the largest argument that a @data handler takes. */
#define VM_ARG_MAX	528
#define VCPU_ARG_MAX	1024

/**
 * struct vm_ioctl - one row of the VM fd's table
 * @cmd:	ioctl number
 * @size:	bytes that IO_IN and IO_OUT copy
 * @flags:	IO_*
 * @data:	handler on a kernel copy of the argument, or NULL
 * @raw:	handler on the bare argument, when @data is NULL; it does its own copying
 */
struct vm_ioctl {
	unsigned int cmd;
	u16 size;
	u16 flags;
	int (*data)(struct vm *vm, void *arg);
	long (*raw)(struct vm *vm, unsigned long arg);
};

/* The same for the vCPU fd. */
struct vcpu_ioctl {
	unsigned int cmd;
	u16 size;
	u16 flags;
	int (*data)(struct vcpu *vcpu, void *arg);
	long (*raw)(struct vcpu *vcpu, unsigned long arg);
};

/* private_data of an open device file */
struct dev_file {
	struct reason reason;
};

/* reason.c */
static inline void reason_begin(struct reason *r)
{
	WRITE_ONCE(r->fresh, false);
}

long reason_end(struct reason *r, unsigned int cmd, long ret);
long reason_copy_out(const struct reason *r, unsigned long arg);

/* caps.c */
int cap_value(struct vm *vm, unsigned long cap);
int cap_enable(struct vm *vm, const struct kvm_enable_cap *cap);
int cap_enable_vcpu(struct vcpu *vcpu, const struct kvm_enable_cap *cap);

/* options.c: what KVM_ENABLE_CAP does to a VM; vm->lock held */
int option_disable_quirks(struct vm *vm, u64 arg);
int option_disable_quirks2(struct vm *vm, u64 arg);
int option_user_space_msr(struct vm *vm, u64 arg);
int option_exception_payload(struct vm *vm, u64 arg);
int option_triple_fault_event(struct vm *vm, u64 arg);
int option_exit_on_emulation_failure(struct vm *vm, u64 arg);
int option_platform_info(struct vm *vm, u64 arg);
int option_disable_exits(struct vm *vm, u64 arg);
int option_max_vcpu_id(struct vm *vm, u64 arg);
int option_disable_nx_large(struct vm *vm, u64 arg);

/* stats.c */
long vm_ioctl_get_stats_fd(struct vm *vm, unsigned long arg);
long vcpu_ioctl_get_stats_fd(struct vcpu *vcpu, unsigned long arg);

/* msr_filter.c */
int vm_ioctl_set_msr_filter(struct vm *vm, void *arg);
void msr_filter_destroy(struct vm *vm);

#ifdef CONFIG_COMPAT
/* A 32-bit program's structure, whose size is part of the ioctl's number. */
struct compat_msr_filter {
	u32 flags;
	struct {
		u32 flags, nmsrs, base;
		compat_uptr_t bitmap;
	} ranges[KVM_MSR_FILTER_MAX_RANGES];
};

#define COMPAT_KVM_X86_SET_MSR_FILTER	_IOW(KVMIO, 0xc6, struct compat_msr_filter)
#endif
long vm_compat_set_msr_filter(struct vm *vm, unsigned long arg);

/* system.c: what the device and the vCPU fd share */
long cpuid_copy_out(struct kvm_cpuid2 __user *user, const struct kvm_cpuid_entry2 *entries, u32 nr);
long msr_io(struct vcpu *vcpu, struct kvm_msrs __user *user,
	    int (*fn)(struct vcpu *vcpu, struct msr_access *msr), bool writeback);
long system_ioctl(struct dev_file *dev, unsigned int cmd, unsigned long arg);

/* vm.c */
long vm_create_fd(struct dev_file *dev, unsigned long type);

/* device_state.c */
extern const struct vm_ioctl device_ioctls[];
extern const unsigned int nr_device_ioctls;

/* vcpu.c */
long vcpu_create_fd(struct vm *vm, unsigned long id);
void vcpu_destroy(struct vcpu *vcpu);

/* vcpu_state.c */
extern const struct vcpu_ioctl vcpu_state_ioctls[];
extern const unsigned int nr_vcpu_state_ioctls;
int vcpu_sync_regs_in(struct vcpu *vcpu);
void vcpu_sync_regs_out(struct vcpu *vcpu);
#define VCPU_SYNC_FIELDS	(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

/* vcpu_attr.c */
long vcpu_ioctl_has_attr(struct vcpu *vcpu, unsigned long arg);
long vcpu_ioctl_get_attr(struct vcpu *vcpu, unsigned long arg);
long vcpu_ioctl_set_attr(struct vcpu *vcpu, unsigned long arg);

/* mce.c */
#define MCE_CAP_SUPPORTED	(MCG_CTL_P | MCG_SER_P | MCG_CMCI_P | MCG_LMCE_P)
int vcpu_ioctl_setup_mce(struct vcpu *vcpu, void *arg);
int vcpu_ioctl_set_mce(struct vcpu *vcpu, void *arg);

/* vcpu_run.c */
void vcpu_run_init(struct vcpu *vcpu);
void vcpu_reset(struct vcpu *vcpu, bool init_event);
void vcpu_accept_init_sipi(struct vcpu *vcpu);
long vcpu_run(struct vcpu *vcpu);

/* kick.c */
int kick_module_init(void);
void kick_module_exit(void);

#endif
