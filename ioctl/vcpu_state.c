// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of the vCPU fd's ioctls on state, and the copying between user space and vmx/'s and
 * irq/'s functions.
 * This file must not know how any state is kept.
 */
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "compat.h"
#include "ioctl.h"
#include "irq.h"

/* Most rows hand their argument straight to the function that knows it. */
#define STATE_HANDLER(name, fn)							\
static int vcpu_ioctl_##name(struct vcpu *vcpu, void *arg)			\
{										\
	return fn(vcpu, arg);							\
}

STATE_HANDLER(get_regs, vcpu_state_get_regs)
STATE_HANDLER(set_regs, vcpu_state_set_regs)
STATE_HANDLER(get_sregs, vcpu_state_get_sregs)
STATE_HANDLER(set_sregs, vcpu_state_set_sregs)
STATE_HANDLER(get_sregs2, vcpu_state_get_sregs2)
STATE_HANDLER(set_sregs2, vcpu_state_set_sregs2)
STATE_HANDLER(get_fpu, vcpu_state_get_fpu)
STATE_HANDLER(set_fpu, vcpu_state_set_fpu)
STATE_HANDLER(get_xcrs, vcpu_state_get_xcrs)
STATE_HANDLER(set_xcrs, vcpu_state_set_xcrs)
STATE_HANDLER(get_debugregs, vcpu_state_get_debugregs)
STATE_HANDLER(set_debugregs, vcpu_state_set_debugregs)
STATE_HANDLER(set_guest_debug, vcpu_state_set_guest_debug)
STATE_HANDLER(get_events, vcpu_state_get_events)
STATE_HANDLER(set_events, vcpu_state_set_events)
STATE_HANDLER(set_mp, vcpu_state_set_mp)
STATE_HANDLER(set_lapic, vlapic_set_state)

static int vcpu_ioctl_get_lapic(struct vcpu *vcpu, void *arg)
{
	vlapic_get_state(vcpu, arg);
	return 0;
}

static long vcpu_ioctl_smi(struct vcpu *vcpu, unsigned long arg)
{
	if (!hw_has_smm())
		return vcpu_refuse(vcpu, -ENOTTY, "SMM needs EPT and unrestricted guest", 0);
	vcpu_smi(vcpu);
	return 0;
}

/* An INIT or SIPI that has arrived is part of the answer. */
static int vcpu_ioctl_get_mp(struct vcpu *vcpu, void *arg)
{
	vcpu_accept_init_sipi(vcpu);
	return vcpu_state_get_mp(vcpu, arg);
}

/* The largest XSAVE image any guest has here; what lies behind a smaller one is not looked at. */
static long vcpu_ioctl_set_xsave(struct vcpu *vcpu, unsigned long arg)
{
	u32 size = vcpu_state_xsave_size(vcpu->vm);
	void *buf = memdup_user((void __user *)arg, size);
	long ret;

	if (IS_ERR(buf))
		return PTR_ERR(buf);
	ret = vcpu_state_set_xsave(vcpu, buf, size);
	kfree(buf);
	return ret;
}

static long get_xsave(struct vcpu *vcpu, void __user *user, u32 size)
{
	void *buf = kzalloc(size, GFP_KERNEL_ACCOUNT);
	long ret;

	if (!buf)
		return -ENOMEM;
	ret = vcpu_state_get_xsave(vcpu, buf, size);
	if (!ret && copy_to_user(user, buf, size))
		ret = -EFAULT;
	kfree(buf);
	return ret;
}

static long vcpu_ioctl_get_xsave(struct vcpu *vcpu, unsigned long arg)
{
	u32 size = vcpu_state_xsave_size(vcpu->vm);

	if (size > sizeof(struct kvm_xsave))
		return vcpu_refuse(vcpu, -EINVAL, "the state is larger: KVM_GET_XSAVE2", size);
	return get_xsave(vcpu, (void __user *)arg, sizeof(struct kvm_xsave));
}

static long vcpu_ioctl_get_xsave2(struct vcpu *vcpu, unsigned long arg)
{
	return get_xsave(vcpu, (void __user *)arg, vcpu_state_xsave_size(vcpu->vm));
}

static long vcpu_ioctl_get_msrs(struct vcpu *vcpu, unsigned long arg)
{
	return msr_io(vcpu, (void __user *)arg, vcpu_msr_get, true);
}

static int set_msr(struct vcpu *vcpu, struct msr_access *msr)
{
	return vcpu_msr_set(vcpu, msr);
}

static long vcpu_ioctl_set_msrs(struct vcpu *vcpu, unsigned long arg)
{
	return msr_io(vcpu, (void __user *)arg, set_msr, false);
}

/*
 * Both forms start with the number of entries and a padding word, then the entries of @size
 * bytes.
 */
static void *cpuid_copy_in(unsigned long arg, size_t size, u32 *nr)
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;
	struct kvm_cpuid2 head;
	void *entries;

	if (copy_from_user(&head, user, sizeof(head)))
		return ERR_PTR(-EFAULT);
	if (head.nent > MAX_CPUID_ENTRIES)
		return ERR_PTR(-E2BIG);
	*nr = head.nent;
	if (!head.nent)
		return NULL;
	entries = kvmalloc_array(head.nent, size, GFP_KERNEL_ACCOUNT);
	if (!entries)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(entries, (void __user *)user->entries, head.nent * size)) {
		kvfree(entries);
		return ERR_PTR(-EFAULT);
	}
	return entries;
}

static long vcpu_ioctl_set_cpuid2(struct vcpu *vcpu, unsigned long arg)
{
	struct kvm_cpuid_entry2 *entries;
	long ret;
	u32 nr;

	entries = cpuid_copy_in(arg, sizeof(*entries), &nr);
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	ret = cpuid_set(vcpu, entries, nr);
	if (ret)
		kvfree(entries);
	return ret;
}

/* The old form has leaves without subleaves. */
static long vcpu_ioctl_set_cpuid(struct vcpu *vcpu, unsigned long arg)
{
	struct kvm_cpuid_entry2 *entries = NULL;
	struct kvm_cpuid_entry *old;
	long ret;
	u32 nr, i;

	BUILD_BUG_ON(offsetof(struct kvm_cpuid, entries) != offsetof(struct kvm_cpuid2, entries));
	old = cpuid_copy_in(arg, sizeof(*old), &nr);
	if (IS_ERR(old))
		return PTR_ERR(old);
	if (nr) {
		entries = kvcalloc(nr, sizeof(*entries), GFP_KERNEL_ACCOUNT);
		if (!entries) {
			kvfree(old);
			return -ENOMEM;
		}
	}
	for (i = 0; i < nr; i++) {
		entries[i].function = old[i].function;
		entries[i].eax = old[i].eax;
		entries[i].ebx = old[i].ebx;
		entries[i].ecx = old[i].ecx;
		entries[i].edx = old[i].edx;
	}
	kvfree(old);
	ret = cpuid_set(vcpu, entries, nr);
	if (ret)
		kvfree(entries);
	return ret;
}

static long vcpu_ioctl_get_cpuid2(struct vcpu *vcpu, unsigned long arg)
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nent < vcpu->cpuid_nr)
		return vcpu_refuse(vcpu, -E2BIG, "more CPUID entries were set",
				   vcpu->cpuid_nr);
	return cpuid_copy_out(user, vcpu->cpuid, vcpu->cpuid_nr);
}

static int vcpu_ioctl_interrupt(struct vcpu *vcpu, void *arg)
{
	const struct kvm_interrupt *irq = arg;

	if (irq->irq > 255)
		return vcpu_refuse(vcpu, -EINVAL, "interrupt vectors end at 255", irq->irq);
	return vcpu_queue_user_irq(vcpu, irq->irq);
}

static long vcpu_ioctl_nmi(struct vcpu *vcpu, unsigned long arg)
{
	vcpu_nmi(vcpu);
	return 0;
}

/*
 * For CPUs without a TPR shadow, where 32-bit Windows spends its time in exits for TPR: user space
 * has each access reported, patches the instruction, and names a page where the patch finds the
 * TPR. With the shadow no access exits and none is reported, and KVM_CAP_VAPIC says so; but QEMU
 * makes both calls on every CPU.
 */
static int vcpu_ioctl_tpr_access(struct vcpu *vcpu, void *arg)
{
	const struct kvm_tpr_access_ctl *ctl = arg;

	if (ctl->flags)
		return vcpu_refuse(vcpu, -EINVAL, "flags are not zero", ctl->flags);
	return 0;
}

static int vcpu_ioctl_set_vapic_addr(struct vcpu *vcpu, void *arg)
{
	const struct kvm_vapic_addr *vapic = arg;

	if (vapic->vapic_addr)
		return vcpu_refuse(vcpu, -EINVAL, "KVM_CAP_VAPIC is 0: only address 0 is taken",
				   vapic->vapic_addr);
	return 0;
}

static long vcpu_ioctl_set_tsc_khz(struct vcpu *vcpu, unsigned long arg)
{
	return vcpu_set_tsc_khz(vcpu, (u32)arg ?: hw.tsc_khz);
}

static long vcpu_ioctl_get_tsc_khz(struct vcpu *vcpu, unsigned long arg)
{
	return vcpu->tsc_khz;
}

/* As KVM answers: whether there is a translation; what the page allows is not told. */
static int vcpu_ioctl_pre_fault_memory(struct vcpu *vcpu, void *arg)
{
	struct compat_pre_fault_memory *range = arg;

	if (range->flags)
		return vcpu_refuse(vcpu, -EINVAL, "unknown flag of KVM_PRE_FAULT_MEMORY",
				   range->flags);
	return mmu_prefault(vcpu, &range->gpa, &range->size);
}

static int vcpu_ioctl_translate(struct vcpu *vcpu, void *arg)
{
	struct kvm_translation *tr = arg;
	gpa_t gpa = INVALID_GPA;

	tr->valid = !guest_translate_inspect(vcpu, tr->linear_address, &gpa);
	tr->physical_address = tr->valid ? gpa : INVALID_GPA;
	tr->writeable = 1;
	tr->usermode = 0;
	return 0;
}

static int vcpu_ioctl_enable_cap(struct vcpu *vcpu, void *arg)
{
	return cap_enable_vcpu(vcpu, arg);
}

static long vcpu_ioctl_kvmclock_ctrl(struct vcpu *vcpu, unsigned long arg)
{
	return pvclock_guest_stopped(vcpu);
}

#define GET_STATE(type, fn, more)	sizeof(struct type), IO_OUT | (more), .data = (fn)
#define SET_STATE(type, fn, more)	sizeof(struct type), IO_IN | (more), .data = (fn)

const struct vcpu_ioctl vcpu_state_ioctls[] = {
	{ KVM_GET_REGS, GET_STATE(kvm_regs, vcpu_ioctl_get_regs, 0) },
	{ KVM_SET_REGS, SET_STATE(kvm_regs, vcpu_ioctl_set_regs, 0) },
	{ KVM_GET_SREGS, GET_STATE(kvm_sregs, vcpu_ioctl_get_sregs, 0) },
	{ KVM_SET_SREGS, SET_STATE(kvm_sregs, vcpu_ioctl_set_sregs, IO_SRCU) },
	{ KVM_GET_SREGS2, GET_STATE(kvm_sregs2, vcpu_ioctl_get_sregs2, 0) },
	{ KVM_SET_SREGS2, SET_STATE(kvm_sregs2, vcpu_ioctl_set_sregs2, IO_SRCU) },
	{ KVM_INTERRUPT, SET_STATE(kvm_interrupt, vcpu_ioctl_interrupt, 0) },
	{ KVM_NMI, .raw = vcpu_ioctl_nmi },
	{ KVM_SMI, .raw = vcpu_ioctl_smi },
	{ KVM_GET_MSRS, .flags = IO_SRCU, .raw = vcpu_ioctl_get_msrs },
	{ KVM_SET_MSRS, .flags = IO_SRCU, .raw = vcpu_ioctl_set_msrs },
	{ KVM_GET_MP_STATE, GET_STATE(kvm_mp_state, vcpu_ioctl_get_mp, IO_SRCU) },
	{ KVM_SET_MP_STATE, SET_STATE(kvm_mp_state, vcpu_ioctl_set_mp, IO_SRCU) },
	{ KVM_GET_VCPU_EVENTS, GET_STATE(kvm_vcpu_events, vcpu_ioctl_get_events, 0) },
	{ KVM_SET_VCPU_EVENTS, SET_STATE(kvm_vcpu_events, vcpu_ioctl_set_events, IO_SRCU) },
	{ KVM_GET_LAPIC, GET_STATE(kvm_lapic_state, vcpu_ioctl_get_lapic, IO_LAPIC) },
	{ KVM_SET_LAPIC, SET_STATE(kvm_lapic_state, vcpu_ioctl_set_lapic, IO_LAPIC) },
	{ KVM_GET_FPU, GET_STATE(kvm_fpu, vcpu_ioctl_get_fpu, 0) },
	{ KVM_SET_FPU, SET_STATE(kvm_fpu, vcpu_ioctl_set_fpu, 0) },
	{ KVM_GET_XSAVE, .raw = vcpu_ioctl_get_xsave },
	{ KVM_SET_XSAVE, .raw = vcpu_ioctl_set_xsave },
	{ KVM_GET_XSAVE2, .raw = vcpu_ioctl_get_xsave2 },
	{ KVM_GET_XCRS, GET_STATE(kvm_xcrs, vcpu_ioctl_get_xcrs, 0) },
	{ KVM_SET_XCRS, SET_STATE(kvm_xcrs, vcpu_ioctl_set_xcrs, 0) },
	{ KVM_GET_DEBUGREGS, GET_STATE(kvm_debugregs, vcpu_ioctl_get_debugregs, 0) },
	{ KVM_SET_DEBUGREGS, SET_STATE(kvm_debugregs, vcpu_ioctl_set_debugregs, 0) },
	{ KVM_SET_GUEST_DEBUG, SET_STATE(kvm_guest_debug, vcpu_ioctl_set_guest_debug, 0) },
	{ KVM_SET_CPUID2, .raw = vcpu_ioctl_set_cpuid2 },
	{ KVM_GET_CPUID2, .raw = vcpu_ioctl_get_cpuid2 },
	{ KVM_SET_CPUID, .raw = vcpu_ioctl_set_cpuid },
	{ KVM_SET_TSC_KHZ, .raw = vcpu_ioctl_set_tsc_khz },
	{ KVM_GET_TSC_KHZ, .raw = vcpu_ioctl_get_tsc_khz },
	{ KVM_ENABLE_CAP, SET_STATE(kvm_enable_cap, vcpu_ioctl_enable_cap, 0) },
	{ KVM_KVMCLOCK_CTRL, .raw = vcpu_ioctl_kvmclock_ctrl },
	{ KVM_SET_DEVICE_ATTR, .raw = vcpu_ioctl_set_attr },
	{ KVM_GET_DEVICE_ATTR, .raw = vcpu_ioctl_get_attr },
	{ KVM_HAS_DEVICE_ATTR, .raw = vcpu_ioctl_has_attr },
	{ KVM_X86_SETUP_MCE, sizeof(u64), IO_IN, .data = vcpu_ioctl_setup_mce },
	{ KVM_X86_SET_MCE, SET_STATE(kvm_x86_mce, vcpu_ioctl_set_mce, 0) },
	{ COMPAT_PRE_FAULT_MEMORY, sizeof(struct compat_pre_fault_memory),
	  IO_IN | IO_OUT | IO_SRCU, .data = vcpu_ioctl_pre_fault_memory },
	{ KVM_TPR_ACCESS_REPORTING, sizeof(struct kvm_tpr_access_ctl), IO_IN | IO_OUT,
	  .data = vcpu_ioctl_tpr_access },
	{ KVM_SET_VAPIC_ADDR, SET_STATE(kvm_vapic_addr, vcpu_ioctl_set_vapic_addr, IO_LAPIC) },
	{ KVM_GET_STATS_FD, .raw = vcpu_ioctl_get_stats_fd },
	{ KVM_TRANSLATE, sizeof(struct kvm_translation), IO_IN | IO_OUT | IO_SRCU,
	  .data = vcpu_ioctl_translate },
};

const unsigned int nr_vcpu_state_ioctls = ARRAY_SIZE(vcpu_state_ioctls);

/**
 * vcpu_sync_regs_in() - KVM_CAP_SYNC_REGS before entering: take what is marked dirty in run->s.regs
 * @vcpu: lock and vm->srcu held
 *
 * The page is shared: each part is copied before it is looked at.
 *
 * Return: 0 or -EINVAL.
 */
int vcpu_sync_regs_in(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 dirty = READ_ONCE(run->kvm_dirty_regs);
	union {
		struct kvm_regs regs;
		struct kvm_sregs sregs;
		struct kvm_vcpu_events events;
	} copy;

	if ((dirty | READ_ONCE(run->kvm_valid_regs)) & ~(u64)VCPU_SYNC_FIELDS)
		return vcpu_refuse(vcpu, -EINVAL, "unknown set of synchronized registers", dirty);
	if (dirty & KVM_SYNC_X86_REGS) {
		copy.regs = run->s.regs.regs;
		barrier();
		if (vcpu_state_set_regs(vcpu, &copy.regs))
			return -EINVAL;
	}
	if (dirty & KVM_SYNC_X86_SREGS) {
		copy.sregs = run->s.regs.sregs;
		barrier();
		if (vcpu_state_set_sregs(vcpu, &copy.sregs))
			return -EINVAL;
	}
	if (dirty & KVM_SYNC_X86_EVENTS) {
		copy.events = run->s.regs.events;
		barrier();
		if (vcpu_state_set_events(vcpu, &copy.events))
			return -EINVAL;
	}
	run->kvm_dirty_regs = 0;
	return 0;
}

/**
 * vcpu_sync_regs_out() - KVM_CAP_SYNC_REGS after a run: put what user space wants into run->s.regs
 * @vcpu: lock and vm->srcu held
 */
void vcpu_sync_regs_out(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 valid = READ_ONCE(run->kvm_valid_regs);
	union {
		struct kvm_regs regs;
		struct kvm_sregs sregs;
		struct kvm_vcpu_events events;
	} copy;

	/* By way of a copy: a function of vmx/ may read back what it wrote. */
	memset(&copy, 0, sizeof(copy));
	if (valid & KVM_SYNC_X86_REGS && !vcpu_state_get_regs(vcpu, &copy.regs))
		run->s.regs.regs = copy.regs;
	memset(&copy, 0, sizeof(copy));
	if (valid & KVM_SYNC_X86_SREGS && !vcpu_state_get_sregs(vcpu, &copy.sregs))
		run->s.regs.sregs = copy.sregs;
	memset(&copy, 0, sizeof(copy));
	if (valid & KVM_SYNC_X86_EVENTS && !vcpu_state_get_events(vcpu, &copy.events))
		run->s.regs.events = copy.events;
}
