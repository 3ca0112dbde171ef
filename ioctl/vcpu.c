// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a vCPU, its fd, the pages it shares with user space, and the way into the table of
 * vCPU ioctls.
 * This file must not interpret any ioctl's argument but that of KVM_SET_SIGNAL_MASK.
 */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/pid.h>
#include <linux/signal.h>
#include <linux/slab.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>

#include "compat.h"
#include "ioctl.h"
#include "irq.h"
#include "uapi/kvmlet.h"

static void vcpu_free(struct vcpu *vcpu)
{
	free_page((unsigned long)vcpu->run);
	free_page((unsigned long)vcpu->pio_data);
	kvfree(vcpu->cpuid);
	vcpu->cpuid = NULL;
	put_pid(rcu_access_pointer(vcpu->pid));
	vcpu_hw_free(vcpu);
}

/* Nobody runs it or can reach it any more. The local APIC's timer goes first: it kicks the vCPU. */
void vcpu_destroy(struct vcpu *vcpu)
{
	if (vcpu->lapic)
		vlapic_destroy(vcpu);
	mmu_vcpu_destroy(vcpu);
	vcpu_free(vcpu);
}

static void vcpu_init_fields(struct vcpu *vcpu, struct vm *vm, u32 id)
{
	bool boot = id == vm->boot_vcpu_id;

	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->index = vm->nr_vcpus;
	mutex_init(&vcpu->lock);
	vcpu_run_init(vcpu);
	vcpu->apic_base = APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE |
			  (boot ? MSR_IA32_APICBASE_BSP : 0);
	/*
	 * Without in-kernel APIC there is nobody to wait for a SIPI from: user space decides who
	 * runs.
	 */
	vcpu->user_extint = -1;
	vcpu->mp_state = boot || !irqchip_in_kernel(vm) ? KVM_MP_STATE_RUNNABLE :
			 KVM_MP_STATE_UNINITIALIZED;
}

static void vcpu_first_reset(struct vcpu *vcpu)
{
	int idx;

	mutex_lock(&vcpu->lock);
	idx = srcu_read_lock(&vcpu->vm->srcu);
	vcpu_reset(vcpu, false);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	mutex_unlock(&vcpu->lock);
}

static int vcpu_start(struct vcpu *vcpu)
{
	int ret;

	vcpu->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vcpu->pio_data = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vcpu->run || !vcpu->pio_data)
		return -ENOMEM;
	ret = mmu_vcpu_init(vcpu);
	if (ret)
		return ret;
	ret = vcpu_hw_prepare(vcpu);
	if (!ret && irqchip_in_kernel(vcpu->vm))
		ret = vlapic_create(vcpu);
	if (ret) {
		mmu_vcpu_destroy(vcpu);
		return ret;
	}
	vcpu_first_reset(vcpu);
	return 0;
}

static struct vcpu *vcpu_create(struct vm *vm, u32 id)
{
	struct vcpu *vcpu = vcpu_hw_alloc(vm);
	int ret;

	if (IS_ERR_OR_NULL(vcpu))
		return vcpu ?: ERR_PTR(-ENOMEM);
	vcpu_init_fields(vcpu, vm, id);
	ret = vcpu_start(vcpu);
	if (ret) {
		if (vcpu->reason.fresh)
			vm_refuse(vm, ret, vcpu->reason.text, vcpu->reason.value);
		vcpu_free(vcpu);
		return ERR_PTR(ret);
	}
	return vcpu;
}

/* The pages of the vCPU's mapping, in order. */
static vm_fault_t vcpu_mmap_fault(struct vm_fault *vmf)
{
	struct vcpu *vcpu = vmf->vma->vm_file->private_data;
	/* The third is KVM_COALESCED_MMIO's, where KVM_CAP_COALESCED_MMIO says. */
	void *pages[] = { vcpu->run, vcpu->pio_data, coalesced_ring_page(vcpu->vm) };
	pgoff_t index = vmf->pgoff;

	if (index >= KVM_DIRTY_LOG_PAGE_OFFSET) {
		vmf->page = dirty_ring_page(vcpu, index - KVM_DIRTY_LOG_PAGE_OFFSET);
		if (!vmf->page)
			return VM_FAULT_SIGBUS;
		get_page(vmf->page);
		return 0;
	}
	if (index >= ARRAY_SIZE(pages))
		return VM_FAULT_SIGBUS;
	index = array_index_nospec(index, ARRAY_SIZE(pages));
	if (!pages[index])
		return VM_FAULT_OOM;
	vmf->page = virt_to_page(pages[index]);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct vcpu_mmap_ops = {
	.fault = vcpu_mmap_fault,
};

/* A private or executable copy of the dirty ring would be of no use to either side. */
static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vcpu *vcpu = file->private_data;
	pgoff_t last = vma->vm_pgoff + vma_pages(vma) - 1;

	if (last >= KVM_DIRTY_LOG_PAGE_OFFSET && vcpu->mmu.ring.entries &&
	    (vma->vm_flags & (VM_EXEC | VM_SHARED)) != VM_SHARED)
		return vcpu_refuse(vcpu, -EINVAL, "a dirty ring is mapped shared, not executable",
				   last);
	vma->vm_ops = &vcpu_mmap_ops;
	return 0;
}

static const struct vcpu_ioctl *vcpu_ioctl_find(unsigned int cmd)
{
	const struct vcpu_ioctl *row;

	for (row = vcpu_state_ioctls; row < vcpu_state_ioctls + nr_vcpu_state_ioctls; row++)
		if (row->cmd == cmd)
			return row;
	return NULL;
}

static long vcpu_ioctl_call(struct vcpu *vcpu, const struct vcpu_ioctl *row, void *data,
			    unsigned long arg)
{
	return row->data ? row->data(vcpu, data) : row->raw(vcpu, arg);
}

static long vcpu_ioctl_locked(struct vcpu *vcpu, const struct vcpu_ioctl *row, void *data,
			      unsigned long arg)
{
	long ret;
	int idx;

	if (!(row->flags & IO_SRCU))
		return vcpu_ioctl_call(vcpu, row, data, arg);
	idx = srcu_read_lock(&vcpu->vm->srcu);
	ret = vcpu_ioctl_call(vcpu, row, data, arg);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

/* Not inlined: its buffer must not lie on the stack below KVM_RUN. */
static noinline long vcpu_ioctl_row(struct vcpu *vcpu, const struct vcpu_ioctl *row,
				    unsigned long arg)
{
	void __user *user = (void __user *)arg;
	u64 data[VCPU_ARG_MAX / sizeof(u64)];
	long ret;

	if (row->flags & IO_LAPIC && !vcpu->lapic)
		return vcpu_refuse(vcpu, -EINVAL, "the vCPU has no in-kernel local APIC", 0);
	if (row->flags & IO_IN) {
		if (copy_from_user(data, user, row->size))
			return -EFAULT;
	} else if (row->flags & IO_OUT) {
		memset(data, 0, row->size);
	}
	if (mutex_lock_killable(&vcpu->lock))
		return -EINTR;
	ret = vcpu_ioctl_locked(vcpu, row, data, arg);
	mutex_unlock(&vcpu->lock);
	if (!ret && row->flags & IO_OUT && copy_to_user(user, data, row->size))
		ret = -EFAULT;
	return ret;
}

static long vcpu_ioctl_run(struct vcpu *vcpu, unsigned long arg)
{
	long ret;

	if (arg)
		return vcpu_refuse(vcpu, -EINVAL, "KVM_RUN takes no argument", arg);
	if (mutex_lock_killable(&vcpu->lock))
		return -EINTR;
	ret = vcpu_run(vcpu);
	mutex_unlock(&vcpu->lock);
	return ret;
}

static long vcpu_set_sigmask(struct vcpu *vcpu, const sigset_t *set)
{
	if (mutex_lock_killable(&vcpu->lock))
		return -EINTR;
	vcpu->sigset_active = set;
	if (set) {
		vcpu->sigset = *set;
		sigdelsetmask(&vcpu->sigset, sigmask(SIGKILL) | sigmask(SIGSTOP));
	}
	mutex_unlock(&vcpu->lock);
	return 0;
}

static long vcpu_ioctl_set_signal_mask(struct vcpu *vcpu, unsigned long arg, bool compat)
{
	struct kvm_signal_mask __user *user = (void __user *)arg;
	struct kvm_signal_mask head;
	sigset_t set;
	int ret = 0;

	if (!user)
		return vcpu_set_sigmask(vcpu, NULL);
	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
#ifdef CONFIG_COMPAT
	if (compat) {
		if (head.len != sizeof(compat_sigset_t))
			return vcpu_refuse(vcpu, -EINVAL, "wrong size of a signal set", head.len);
		ret = get_compat_sigset(&set, (compat_sigset_t __user *)user->sigset);
		return ret ?: vcpu_set_sigmask(vcpu, &set);
	}
#endif
	if (head.len != sizeof(set))
		return vcpu_refuse(vcpu, -EINVAL, "wrong size of a signal set", head.len);
	if (copy_from_user(&set, user->sigset, sizeof(set)))
		return -EFAULT;
	return vcpu_set_sigmask(vcpu, &set);
}

static long vcpu_ioctl_dispatch(struct vcpu *vcpu, unsigned int cmd, unsigned long arg, bool compat)
{
	const struct vcpu_ioctl *row;

	if (likely(cmd == KVM_RUN))
		return vcpu_ioctl_run(vcpu, arg);
	if (cmd == KVM_SET_SIGNAL_MASK)
		return vcpu_ioctl_set_signal_mask(vcpu, arg, compat);
	row = vcpu_ioctl_find(cmd);
	if (!row)
		return vcpu_refuse(vcpu, -EINVAL, "no such ioctl on a vCPU fd", cmd);
	return vcpu_ioctl_row(vcpu, row, arg);
}

static __always_inline long vcpu_ioctl_common(struct file *file, unsigned int cmd,
					      unsigned long arg, bool compat)
{
	struct vcpu *vcpu = file->private_data;
	struct vm *vm = vcpu->vm;
	long ret;

	if (unlikely(cmd == KVMLET_GET_REASON))
		return reason_copy_out(&vcpu->reason, arg);
	if (unlikely(vm->mm != current->mm))
		return vcpu_refuse(vcpu, -EIO, "only the process that made the VM may use it", 0);
	if (unlikely(READ_ONCE(vm->dead)))
		return vcpu_refuse(vcpu, -EIO, "the VM was stopped after an internal error", 0);
	reason_begin(&vcpu->reason);
	ret = vcpu_ioctl_dispatch(vcpu, cmd, arg, compat);
	return unlikely(ret < 0) ? reason_end(&vcpu->reason, cmd, ret) : ret;
}

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return vcpu_ioctl_common(file, cmd, arg, false);
}

#ifdef CONFIG_COMPAT
static long vcpu_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return vcpu_ioctl_common(file, cmd, (unsigned long)compat_ptr(arg), true);
}
#endif

/* The vCPU itself lives as long as its VM. */
static int vcpu_release(struct inode *inode, struct file *file)
{
	struct vcpu *vcpu = file->private_data;

	vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner		= THIS_MODULE,
	.release	= vcpu_release,
	.unlocked_ioctl	= vcpu_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl	= vcpu_compat_ioctl,
#endif
	.mmap		= vcpu_mmap,
	.llseek		= noop_llseek,
};

static int vcpu_id_check(struct vm *vm, unsigned long id)
{
	struct vcpu *vcpu;
	unsigned int i;

	if (id >= (vm->max_vcpu_id ?: VM_MAX_VCPU_ID))
		return vm_refuse(vm, -EINVAL, "vCPU id is too large", id);
	if (vm->nr_vcpus >= VM_MAX_VCPUS)
		return vm_refuse(vm, -EINVAL, "the VM has all the vCPUs it can have", vm->nr_vcpus);
	vm_for_each_vcpu(i, vcpu, vm)
		if (vcpu->id == id)
			return vm_refuse(vm, -EEXIST, "a vCPU with this id exists", id);
	return 0;
}

/* A file for the vCPU, which then holds the VM, and the vCPU's place among the others. */
static struct file *vcpu_publish(struct vm *vm, struct vcpu *vcpu)
{
	struct file *file;
	char name[32];
	int ret;

	ret = xa_reserve(&vm->vcpus, vcpu->index, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ERR_PTR(ret);
	snprintf(name, sizeof(name), "kvm-vcpu:%u", vcpu->id);
	file = anon_inode_getfile(name, &vcpu_fops, vcpu, O_RDWR);
	if (IS_ERR(file)) {
		xa_release(&vm->vcpus, vcpu->index);
		return file;
	}
	vm_get(vm);
	xa_store(&vm->vcpus, vcpu->index, vcpu, GFP_KERNEL_ACCOUNT);
	/*
	 * Pairs with the acquire in vm_for_each_vcpu(): who sees the count finds the vCPU,
	 * complete.
	 */
	smp_store_release(&vm->nr_vcpus, vcpu->index + 1);
	return file;
}

static struct file *vcpu_create_file(struct vm *vm, unsigned long id)
{
	struct vcpu *vcpu;
	struct file *file;
	int ret;

	ret = vcpu_id_check(vm, id);
	if (ret)
		return ERR_PTR(ret);
	vcpu = vcpu_create(vm, id);
	if (IS_ERR(vcpu))
		return ERR_CAST(vcpu);
	file = vcpu_publish(vm, vcpu);
	if (IS_ERR(file))
		vcpu_destroy(vcpu);
	return file;
}

/**
 * vcpu_create_fd() - KVM_CREATE_VCPU
 * @vm: the VM
 * @id: the vCPU's id, its initial APIC id
 *
 * Return: a new vCPU fd, or -EINVAL, -EEXIST, -ENOMEM, -EMFILE.
 */
long vcpu_create_fd(struct vm *vm, unsigned long id)
{
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	mutex_lock(&vm->lock);
	file = vcpu_create_file(vm, id);
	mutex_unlock(&vm->lock);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}
