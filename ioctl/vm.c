// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a VM, and the ioctls of the VM fd that concern the VM as a whole.
 * This file must not run vCPUs.
 */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "compat.h"
#include "ioctl.h"
#include "irq.h"
#include "requests.h"
#include "uapi/kvmlet.h"

/* Where kvm_intel puts the identity page table of real mode without unrestricted guest. */
#define DEFAULT_IDENTITY_MAP	0xfffbc000

struct vm *vm_get(struct vm *vm)
{
	refcount_inc(&vm->users);
	return vm;
}

void vm_free(struct vm *vm)
{
	mmdrop(vm->mm);
	kfree(vm);
}

/* First whatever else would reach the vCPUs: timers, clocks, the host's page tables. */
static void vm_destroy(struct vm *vm)
{
	struct vcpu *vcpu;
	unsigned int i;

	irq_work_sync(&vm->kill_work);
	irqchip_stop(vm);
	pvclock_vm_destroy(vm);
	mmu_vm_stop(vm);
	vm_for_each_vcpu(i, vcpu, vm)
		vcpu_destroy(vcpu);
	vm->nr_vcpus = 0;
	xa_destroy(&vm->vcpus);
	irqchip_destroy(vm);
	iobus_destroy(vm);
	coalesced_destroy(vm);
	ioeventfd_destroy(vm);
	msr_filter_destroy(vm);
	mmu_vm_destroy(vm);
	vmx_disable(vm);
	cleanup_srcu_struct(&vm->srcu);
	irq_work_sync(&vm->kill_work);
	mmu_vm_put(vm);
}

void vm_put(struct vm *vm)
{
	if (refcount_dec_and_test(&vm->users))
		vm_destroy(vm);
}

static void tell_vcpus_of_death(struct irq_work *work)
{
	vcpu_request_all(container_of(work, struct vm, kill_work), REQ_VM_DEAD, false);
}

/* Waking a vCPU takes locks of the scheduler's, which may be the one that calls. */
void vm_kill(struct vm *vm)
{
	WRITE_ONCE(vm->dead, true);
	irq_work_queue(&vm->kill_work);
}

static void vm_init_fields(struct vm *vm)
{
	refcount_set(&vm->users, 1);
	mutex_init(&vm->lock);
	mutex_init(&vm->slots_lock);
	raw_spin_lock_init(&vm->tsc_lock);
	raw_spin_lock_init(&vm->coalesced_lock);
	INIT_LIST_HEAD(&vm->coalesced);
	INIT_LIST_HEAD(&vm->ioeventfds);
	init_irq_work(&vm->kill_work, tell_vcpus_of_death);
	irqfd_vm_init(vm);
	xa_init(&vm->vcpus);
	vm->identity_map_addr = DEFAULT_IDENTITY_MAP;
	vm->default_tsc_khz = hw.tsc_khz;
	vm->creator = task_pid_nr(current);
	vm->apic_cycle_ns = 1;
	vm->mm = current->mm;
	mmgrab(vm->mm);
}

/* -errno leaves nothing behind but a reason in @vm, which the caller frees. */
static int vm_start(struct vm *vm)
{
	int ret;

	ret = init_srcu_struct(&vm->srcu);
	if (ret)
		return ret;
	ret = vmx_enable(vm);
	if (ret)
		goto srcu;
	ret = mmu_vm_init(vm);
	if (ret)
		goto disable;
	pvclock_vm_init(vm);
	return 0;

disable:
	vmx_disable(vm);
srcu:
	cleanup_srcu_struct(&vm->srcu);
	return ret;
}

static struct vm *vm_create(struct dev_file *dev)
{
	struct vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!vm)
		return ERR_PTR(-ENOMEM);
	vm_init_fields(vm);
	ret = vm_start(vm);
	if (ret) {
		/* The VM's own fd will never be: tell on the device's. */
		if (vm->reason.fresh)
			reason_set(&dev->reason, ret, vm->reason.text, vm->reason.value);
		vm_free(vm);
		return ERR_PTR(ret);
	}
	return vm;
}

static int vm_ioctl_set_user_memory_region(struct vm *vm, void *arg)
{
	return memslot_set(vm, arg);
}

/*
 * The younger form begins with the older one; without KVM_MEM_GUEST_MEMFD the rest has no
 * meaning.
 */
static int vm_ioctl_set_user_memory_region2(struct vm *vm, void *arg)
{
	const struct compat_memory_region2 *mem = arg;

	return memslot_set(vm, &mem->region);
}

static int vm_ioctl_get_dirty_log(struct vm *vm, void *arg)
{
	return memslot_get_dirty_log(vm, arg);
}

static int vm_ioctl_clear_dirty_log(struct vm *vm, void *arg)
{
	return memslot_clear_dirty_log(vm, arg);
}

static long vm_ioctl_reset_dirty_rings(struct vm *vm, unsigned long arg)
{
	return mmu_reset_dirty_rings(vm);
}

static long vm_ioctl_get_nr_mmu_pages(struct vm *vm, unsigned long arg)
{
	return mmu_get_nr_pages(vm);
}

static long vm_ioctl_check_extension(struct vm *vm, unsigned long arg)
{
	return cap_value(vm, arg);
}

static int vm_ioctl_enable_cap(struct vm *vm, void *arg)
{
	return cap_enable(vm, arg);
}

/* Where real mode needs a TSS, the first vCPU that comes after this makes it. */
static long vm_ioctl_set_tss_addr(struct vm *vm, unsigned long arg)
{
	if (arg > SZ_4G - 3 * PAGE_SIZE)
		return vm_refuse(vm, -EINVAL, "the TSS pages must end below 4 GiB", arg);
	vm->tss_addr = arg;
	return 0;
}

static int vm_ioctl_set_identity_map_addr(struct vm *vm, void *arg)
{
	u64 addr = *(u64 *)arg;

	if (vm->nr_vcpus)
		return vm_refuse(vm, -EINVAL, "a vCPU exists already", vm->nr_vcpus);
	vm->identity_map_addr = addr ?: DEFAULT_IDENTITY_MAP;
	return 0;
}

static long vm_ioctl_set_boot_cpu_id(struct vm *vm, unsigned long arg)
{
	if (vm->nr_vcpus)
		return vm_refuse(vm, -EBUSY, "a vCPU exists already", vm->nr_vcpus);
	if (arg >= (vm->max_vcpu_id ?: VM_MAX_VCPU_ID))
		return vm_refuse(vm, -EINVAL, "vCPU id is too large", arg);
	vm->boot_vcpu_id = arg;
	return 0;
}

/* The frequency that vCPUs made from now on start with. */
static long vm_ioctl_set_tsc_khz(struct vm *vm, unsigned long arg)
{
	u32 khz = (u32)arg ?: hw.tsc_khz;
	u64 max;

	if (!hw.tsc_scaling && khz != hw.tsc_khz)
		return vm_refuse(vm, -EINVAL, "the CPU cannot scale the guest's TSC", khz);
	max = mul_u64_u32_shr(hw.tsc_max_ratio, hw.tsc_khz, hw.tsc_frac_bits);
	if (hw.tsc_scaling && khz >= min_t(u64, max, S32_MAX))
		return vm_refuse(vm, -EINVAL, "the CPU cannot scale the guest's TSC that far", khz);
	vm->default_tsc_khz = khz;
	return 0;
}

static long vm_ioctl_get_tsc_khz(struct vm *vm, unsigned long arg)
{
	return vm->default_tsc_khz;
}

static int vm_ioctl_register_coalesced(struct vm *vm, void *arg)
{
	int ret;

	mutex_lock(&vm->slots_lock);
	ret = coalesced_register(vm, arg);
	mutex_unlock(&vm->slots_lock);
	return ret;
}

static int vm_ioctl_unregister_coalesced(struct vm *vm, void *arg)
{
	int ret;

	mutex_lock(&vm->slots_lock);
	ret = coalesced_unregister(vm, arg);
	mutex_unlock(&vm->slots_lock);
	return ret;
}

static int vm_ioctl_ioeventfd(struct vm *vm, void *arg)
{
	return ioeventfd_ioctl(vm, arg);
}

static const struct vm_ioctl vm_ioctls[] = {
	{ KVM_SET_USER_MEMORY_REGION, sizeof(struct kvm_userspace_memory_region), IO_IN,
	  .data = vm_ioctl_set_user_memory_region },
	{ COMPAT_SET_USER_MEMORY_REGION2, sizeof(struct compat_memory_region2), IO_IN,
	  .data = vm_ioctl_set_user_memory_region2 },
	{ KVM_GET_DIRTY_LOG, sizeof(struct kvm_dirty_log), IO_IN, .data = vm_ioctl_get_dirty_log },
	{ KVM_CLEAR_DIRTY_LOG, sizeof(struct kvm_clear_dirty_log), IO_IN,
	  .data = vm_ioctl_clear_dirty_log },
	{ KVM_RESET_DIRTY_RINGS, .raw = vm_ioctl_reset_dirty_rings },
	{ KVM_SET_NR_MMU_PAGES, .raw = mmu_set_nr_pages },
	{ KVM_GET_NR_MMU_PAGES, .raw = vm_ioctl_get_nr_mmu_pages },
	{ KVM_REGISTER_COALESCED_MMIO, sizeof(struct kvm_coalesced_mmio_zone), IO_IN,
	  .data = vm_ioctl_register_coalesced },
	{ KVM_UNREGISTER_COALESCED_MMIO, sizeof(struct kvm_coalesced_mmio_zone), IO_IN,
	  .data = vm_ioctl_unregister_coalesced },
	{ KVM_IOEVENTFD, sizeof(struct kvm_ioeventfd), IO_IN, .data = vm_ioctl_ioeventfd },
	{ KVM_X86_SET_MSR_FILTER, sizeof(struct kvm_msr_filter), IO_IN,
	  .data = vm_ioctl_set_msr_filter },
	{ KVM_GET_STATS_FD, .raw = vm_ioctl_get_stats_fd },
	{ KVM_CREATE_VCPU, .raw = vcpu_create_fd },
	{ KVM_CHECK_EXTENSION, .raw = vm_ioctl_check_extension },
	{ KVM_ENABLE_CAP, sizeof(struct kvm_enable_cap), IO_IN | IO_LOCK,
	  .data = vm_ioctl_enable_cap },
	{ KVM_SET_TSS_ADDR, .flags = IO_LOCK, .raw = vm_ioctl_set_tss_addr },
	{ KVM_SET_IDENTITY_MAP_ADDR, sizeof(u64), IO_IN | IO_LOCK,
	  .data = vm_ioctl_set_identity_map_addr },
	{ KVM_SET_BOOT_CPU_ID, .flags = IO_LOCK, .raw = vm_ioctl_set_boot_cpu_id },
	{ KVM_SET_TSC_KHZ, .flags = IO_LOCK, .raw = vm_ioctl_set_tsc_khz },
	{ KVM_GET_TSC_KHZ, .flags = IO_LOCK, .raw = vm_ioctl_get_tsc_khz },
};

static const struct vm_ioctl *vm_ioctl_find(unsigned int cmd)
{
	const struct vm_ioctl *row;

	/* The devices' first: an interrupt line is what is driven most. */
	for (row = device_ioctls; row < device_ioctls + nr_device_ioctls; row++)
		if (row->cmd == cmd)
			return row;
	for (row = vm_ioctls; row < vm_ioctls + ARRAY_SIZE(vm_ioctls); row++)
		if (row->cmd == cmd)
			return row;
	return NULL;
}

static long vm_ioctl_checked(struct vm *vm, const struct vm_ioctl *row, void *data,
			     unsigned long arg)
{
	if (row->flags & IO_IRQCHIP && !irqchip_in_kernel(vm))
		return vm_refuse(vm, -ENXIO, "the VM has no in-kernel interrupt controllers", 0);
	if (row->flags & IO_CHIPS && (!irqchip_in_kernel(vm) || irqchip_is_split(vm)))
		return vm_refuse(vm, -ENXIO, "the VM has no in-kernel PIC and IOAPIC", 0);
	if (row->flags & IO_PIT && !vm->vpit)
		return vm_refuse(vm, -ENXIO, "the VM has no in-kernel PIT", 0);
	return row->data ? row->data(vm, data) : row->raw(vm, arg);
}

static noinline long vm_ioctl_row(struct vm *vm, const struct vm_ioctl *row, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	u64 data[VM_ARG_MAX / sizeof(u64)];
	long ret;

	if (row->flags & IO_IN) {
		if (copy_from_user(data, user, row->size))
			return -EFAULT;
	} else if (row->flags & IO_OUT) {
		memset(data, 0, row->size);
	}
	if (row->flags & IO_LOCK)
		mutex_lock(&vm->lock);
	ret = vm_ioctl_checked(vm, row, data, arg);
	if (row->flags & IO_LOCK)
		mutex_unlock(&vm->lock);
	if (!ret && row->flags & IO_OUT && copy_to_user(user, data, row->size))
		ret = -EFAULT;
	return ret;
}

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vm *vm = file->private_data;
	const struct vm_ioctl *row;
	long ret;

	if (cmd == KVMLET_GET_REASON)
		return reason_copy_out(&vm->reason, arg);
	if (vm->mm != current->mm)
		return vm_refuse(vm, -EIO, "only the process that created the VM may use it", 0);
	if (READ_ONCE(vm->dead))
		return vm_refuse(vm, -EIO, "the VM was stopped after an internal error", 0);
	row = vm_ioctl_find(cmd);
	if (!row)
		return vm_refuse(vm, -ENOTTY, "no such ioctl on a VM fd", cmd);
	reason_begin(&vm->reason);
	/* What is done most often has no argument of ours to copy, and no lock. */
	if (!row->flags && row->raw)
		ret = row->raw(vm, arg);
	else
		ret = vm_ioctl_row(vm, row, arg);
	return reason_end(&vm->reason, cmd, ret);
}

#ifdef CONFIG_COMPAT
/* Padded to the native size, but a 32-bit pointer leaves the upper half undefined. */
struct compat_dirty_log {
	u32 slot;
	u32 padding1;
	compat_uptr_t dirty_bitmap;
	u32 padding2;
};

static long vm_compat_get_dirty_log(struct vm *vm, unsigned long arg)
{
	struct compat_dirty_log in;
	struct kvm_dirty_log log = {};

	BUILD_BUG_ON(sizeof(in) != sizeof(log));
	if (copy_from_user(&in, (void __user *)arg, sizeof(in)))
		return -EFAULT;
	log.slot = in.slot;
	log.dirty_bitmap = compat_ptr(in.dirty_bitmap);
	return memslot_get_dirty_log(vm, &log);
}

struct compat_clear_dirty_log {
	u32 slot;
	u32 num_pages;
	u64 first_page;
	compat_uptr_t dirty_bitmap;
	u32 padding;
};

static long vm_compat_clear_dirty_log(struct vm *vm, unsigned long arg)
{
	struct compat_clear_dirty_log in;
	struct kvm_clear_dirty_log log = {};

	BUILD_BUG_ON(sizeof(in) != sizeof(log));
	if (copy_from_user(&in, (void __user *)arg, sizeof(in)))
		return -EFAULT;
	log.slot = in.slot;
	log.num_pages = in.num_pages;
	log.first_page = in.first_page;
	log.dirty_bitmap = compat_ptr(in.dirty_bitmap);
	return memslot_clear_dirty_log(vm, &log);
}

static const struct {
	unsigned int cmd;
	long (*fn)(struct vm *vm, unsigned long arg);
} vm_compat_ioctls[] = {
	{ KVM_GET_DIRTY_LOG, vm_compat_get_dirty_log },
	{ KVM_CLEAR_DIRTY_LOG, vm_compat_clear_dirty_log },
	{ COMPAT_KVM_X86_SET_MSR_FILTER, vm_compat_set_msr_filter },
};

static long vm_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vm *vm = file->private_data;
	unsigned int i;

	arg = (unsigned long)compat_ptr(arg);
	for (i = 0; i < ARRAY_SIZE(vm_compat_ioctls); i++) {
		if (vm_compat_ioctls[i].cmd != cmd || vm->mm != current->mm || READ_ONCE(vm->dead))
			continue;
		reason_begin(&vm->reason);
		return reason_end(&vm->reason, cmd, vm_compat_ioctls[i].fn(vm, arg));
	}
	return vm_ioctl(file, cmd, arg);
}
#endif

/* Without the VM's fd nobody can take an eventfd away; vCPU fds may keep the VM for long. */
static int vm_release(struct inode *inode, struct file *file)
{
	irqfd_release_all(file->private_data);
	vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner		= THIS_MODULE,
	.release	= vm_release,
	.unlocked_ioctl	= vm_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl	= vm_compat_ioctl,
#endif
	.llseek		= noop_llseek,
};

/**
 * vm_create_fd() - KVM_CREATE_VM
 * @dev: open device file, for the reason of a refusal
 * @type: machine type; x86 has only 0 here
 *
 * Return: a new VM fd, or -EINVAL, -EMFILE, -ENOMEM, -EBUSY (VMX is in foreign hands), -EIO.
 */
long vm_create_fd(struct dev_file *dev, unsigned long type)
{
	struct file *file;
	struct vm *vm;
	int fd;

	if (type)
		return reason_set(&dev->reason, -EINVAL, "unknown machine type", type);
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	vm = vm_create(dev);
	if (IS_ERR(vm)) {
		put_unused_fd(fd);
		return PTR_ERR(vm);
	}
	file = anon_inode_getfile("kvm-vm", &vm_fops, vm, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		vm_put(vm);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}
