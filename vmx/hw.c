// SPDX-License-Identifier: GPL-2.0-only
/*
 * Owns VMX operation: turns it on and off on every CPU, or borrows it from the owner that has it
 * on.
 * It must not look into a VMCS.
 *
 * Own: nobody else uses VMX. VMXON on each CPU while a VM exists; CPUs coming up, going down,
 * suspend, reboot and crash handled.
 * Borrow: /dev/kvm belongs to the in-tree module. An open VM of its keeps VMX on; vmcs.c displaces
 * the owner's VMCS only with interrupts off.
 */
#include <linux/cpu.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/workqueue.h>
#include <asm/perf_event.h>
#include <asm/reboot.h>
#include <asm/tlbflush.h>

#include "compat.h"
#include "guest_state.h"
#include "vmx.h"

/* After the last VM, the owner's VM stays open this long: making one costs millions of cycles. */
#define HOLD_LINGER	(2 * HZ)

struct vmxon_region {
	u32 revision;
	u8 rest[PAGE_SIZE - sizeof(u32)];
};

static DEFINE_PER_CPU(struct vmxon_region *, vmxon_region);
static DEFINE_PER_CPU(bool, vmx_is_on);
static DEFINE_MUTEX(hw_lock);
static unsigned int hw_users;		/* VMs; hw_lock */
/* VMXON done by us; hw_lock, and CPU hotplug callbacks under cpus_write_lock. */
static bool hw_owned;
static struct file *held_vm;		/* the owner's VM that keeps VMX on; hw_lock */
static int hotplug_state;
bool vmx_borrowed __read_mostly;
bool vmx_stopped __read_mostly;

static void release_hold(struct work_struct *work);
static DECLARE_DELAYED_WORK(release_work, release_hold);

/* ---- One CPU ---- */

static int vmx_on_here(void)
{
	if (cr4_read_shadow() & X86_CR4_VMXE)
		return -EBUSY;
	if ((native_read_msr(VMX_MSR_BASIC) & GENMASK(30, 0)) != vmx_caps.revision)
		return -EIO;
	/* Processor tracing that cannot go on in VMX operation is stopped by its driver. */
	intel_pt_handle_vmx(1);
	cr4_update_irqsoff(X86_CR4_VMXE, 0);
	if (vmx_on(__pa(this_cpu_read(vmxon_region))) != VMX_OK) {
		cr4_update_irqsoff(0, X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		return -EIO;
	}
	this_cpu_write(vmx_is_on, true);
	/* Mappings of an earlier VMX operation may survive VMXOFF. */
	vmx_invept(INVEPT_ALL, (struct invept_desc){});
	return 0;
}

static void vmx_off_here(void *unused)
{
	if (!this_cpu_read(vmx_is_on))
		return;
	this_cpu_write(vmx_is_on, false);
	/* Whoever is the next to use VMX takes what is there for the host's. */
	vmx_switch_offline();
	vmcs_clear_cpu();
	vmx_off();
	cr4_update_irqsoff(0, X86_CR4_VMXE);
	intel_pt_handle_vmx(0);
}

static void vmx_on_ipi(void *error)
{
	int ret = vmx_on_here();

	if (ret)
		atomic_set(error, ret);
}

static void vmxe_count_ipi(void *count)
{
	if (cr4_read_shadow() & X86_CR4_VMXE)
		atomic_inc(count);
}

/* ---- CPUs coming and going, suspend, reboot, crash ---- */

static int hotplug_online(unsigned int cpu)
{
	unsigned long flags;
	int ret = 0;

	local_irq_save(flags);
	if (hw_owned)
		ret = vmx_on_here();
	local_irq_restore(flags);
	return ret;
}

static int hotplug_offline(unsigned int cpu)
{
	unsigned long flags;

	local_irq_save(flags);
	vmcs_clear_cpu();
	vmx_off_here(NULL);
	vmx_switch_offline();
	local_irq_restore(flags);
	return 0;
}

static int hw_suspend(SYSCORE_ARG)
{
	vmcs_clear_cpu();
	if (hw_owned)
		vmx_off_here(NULL);
	vmx_switch_offline();
	tsc_host_suspend();
	return 0;
}

static void hw_resume(SYSCORE_ARG)
{
	tsc_host_resume();
	if (hw_owned && vmx_on_here())
		pr_err("kvmlet: VMX did not come back after suspend\n");
}

DEFINE_SYSCORE(hw_syscore, hw_suspend, hw_resume);

static int hw_reboot(struct notifier_block *nb, unsigned long action, void *unused)
{
	/* A vCPU that still runs finds VMX gone; its VM dies of it, without a warning. */
	WRITE_ONCE(vmx_stopped, true);
	/* INIT is blocked while VMX is on: a CPU left so would not restart. */
	if (hw_owned)
		on_each_cpu(vmx_off_here, NULL, 1);
	return NOTIFY_OK;
}

/*
 * The in-tree module cannot have VMX while it is ours: its load would fail half way, and warn that
 * the place of its crash callback is taken. Say no before it begins.
 */
static int hw_module_coming(struct notifier_block *nb, unsigned long state, void *data)
{
	const struct module *mod = data;

	if (state != MODULE_STATE_COMING || !READ_ONCE(hw_owned) || strcmp(mod->name, "kvm_intel"))
		return NOTIFY_DONE;
	pr_warn("kvmlet: kvm_intel not loaded: a VM of kvmlet owns VMX; stop it, then load kvm_intel\n");
	return notifier_from_errno(-EBUSY);
}

static struct notifier_block hw_module_nb = { .notifier_call = hw_module_coming };

/* Before the owner, whose priority is 0, turns VMX off. */
static struct notifier_block hw_reboot_nb = { .notifier_call = hw_reboot, .priority = 1 };

#ifdef HAVE_VIRT_CALLBACK
/*
 * Crash: the kernel calls this on each CPU with everything stopped; write the VMCSs back and leave
 * VMX.
 */
static void hw_emergency(void)
{
	if (!this_cpu_read(vmx_is_on))
		return;
	this_cpu_write(vmx_is_on, false);
	vmcs_clear_cpu();
	vmx_off();
	cr4_update_irqsoff(0, X86_CR4_VMXE);
}

static void emergency_arm(void)
{
	cpu_emergency_register_virt_callback(hw_emergency);
}

static void emergency_disarm(void)
{
	cpu_emergency_unregister_virt_callback(hw_emergency);
}
#else
static void emergency_arm(void)
{
}

static void emergency_disarm(void)
{
}
#endif

/* ---- Own ---- */

static int own_vmx(void)
{
	atomic_t error = ATOMIC_INIT(0);
	int ret;

	cpus_read_lock();
	on_each_cpu(vmx_on_ipi, &error, 1);
	ret = atomic_read(&error);
	if (ret)
		on_each_cpu(vmx_off_here, NULL, 1);
	else
		hw_owned = true;
	cpus_read_unlock();
	if (!ret)
		emergency_arm();
	return ret;
}

static void disown_vmx(void)
{
	emergency_disarm();
	cpus_read_lock();
	hw_owned = false;
	on_each_cpu(vmx_off_here, NULL, 1);
	cpus_read_unlock();
}

/* ---- Borrow ---- */

struct hold_work {
	struct work_struct work;
	struct mm_struct *mm;
	bool present;			/* there is an owner */
	struct file *vm;		/* its VM */
};

/*
 * KVM_CREATE_VM hands out a descriptor of whoever calls it, and wants an address space. The
 * descriptors of a kernel thread are out of user space's reach; the address space is the VMM's, as
 * its memory is what the VM accounts to.
 */
static struct file *make_owner_vm(struct file *dev, struct mm_struct *mm)
{
	struct file *vm = NULL;
	int fd;

	if (!dev->f_op->unlocked_ioctl)
		return NULL;
	kthread_use_mm(mm);
	fd = dev->f_op->unlocked_ioctl(dev, KVM_CREATE_VM, 0);
	if (fd >= 0) {
		vm = fget(fd);
		close_fd(fd);
	}
	kthread_unuse_mm(mm);
	return vm;
}

/* In a worker: the initial namespaces and full credentials, whoever creates the VM. */
static void hold_owner(struct work_struct *work)
{
	struct hold_work *w = container_of(work, struct hold_work, work);
	struct file *dev = filp_open("/dev/kvm", O_RDWR | O_CLOEXEC, 0);

	if (IS_ERR(dev))
		return;
	/* That path may be our own. */
	if (dev->f_op->owner != THIS_MODULE) {
		w->present = true;
		w->vm = make_owner_vm(dev, w->mm);
	}
	fput(dev);
}

/* Look for the owner of /dev/kvm, and keep VMX on by a VM of its. False without an owner. */
static bool find_owner(struct file **owner_vm)
{
	struct hold_work w = { .mm = current->mm };

	INIT_WORK_ONSTACK(&w.work, hold_owner);
	schedule_work(&w.work);
	flush_work(&w.work);
	destroy_work_on_stack(&w.work);
	*owner_vm = w.vm;
	return w.present;
}

static void release_hold(struct work_struct *work)
{
	mutex_lock(&hw_lock);
	if (!hw_users && held_vm) {
		fput(held_vm);
		held_vm = NULL;
		vmx_borrowed = false;
	}
	mutex_unlock(&hw_lock);
}

static int count_vmxe(void)
{
	atomic_t count = ATOMIC_INIT(0);

	on_each_cpu(vmxe_count_ipi, &count, 1);
	return atomic_read(&count);
}

static int borrow_vmx(struct vm *vm, struct file *owner_vm)
{
	if (!owner_vm) {
		pr_warn_once("kvmlet: the owner of /dev/kvm has VMX and refuses a VM to share it by\n");
		return vm_refuse(vm, -EBUSY, "the owner of /dev/kvm cannot turn VMX on", 0);
	}
	if (count_vmxe() != num_online_cpus()) {
		fput(owner_vm);
		pr_warn_once("kvmlet: the owner of /dev/kvm does not turn VMX on: not Intel's?\n");
		return vm_refuse(vm, -EBUSY, "the owner of /dev/kvm does not have VMX on", 0);
	}
	/*
	 * The owner has its callback of suspend by now. Ours comes before it, while VMX is on: the
	 * last to register is the first to be called.
	 */
	compat_unregister_syscore(&hw_syscore);
	compat_register_syscore(&hw_syscore);
	held_vm = owner_vm;
	vmx_borrowed = true;
	return 0;
}

static int first_user(struct vm *vm)
{
	struct file *owner_vm;
	int ret;

	if (held_vm)		/* lingering from the last VM */
		return 0;
	if (find_owner(&owner_vm))
		return borrow_vmx(vm, owner_vm);
	if (count_vmxe()) {
		pr_warn_once("kvmlet: another hypervisor has VMX on and offers no /dev/kvm to share it by\n");
		return vm_refuse(vm, -EBUSY, "another hypervisor has VMX on", 0);
	}
	ret = own_vmx();
	if (ret)
		return vm_refuse(vm, ret, "VMXON failed on a CPU", 0);
	return 0;
}

int vmx_enable(struct vm *vm)
{
	int ret = 0;

	mutex_lock(&hw_lock);
	if (!hw_users)
		ret = first_user(vm);
	if (!ret)
		hw_users++;
	mutex_unlock(&hw_lock);
	return ret;
}

void vmx_disable(struct vm *vm)
{
	mutex_lock(&hw_lock);
	if (!--hw_users) {
		if (held_vm)
			schedule_delayed_work(&release_work, HOLD_LINGER);
		else
			disown_vmx();
	}
	mutex_unlock(&hw_lock);
}

/* ---- Module ---- */

static void free_regions(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		free_page((unsigned long)per_cpu(vmxon_region, cpu));
		per_cpu(vmxon_region, cpu) = NULL;
	}
}

static int alloc_regions(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmxon_region *r = (void *)get_zeroed_page(GFP_KERNEL);

		if (!r) {
			free_regions();
			return -ENOMEM;
		}
		r->revision = vmx_caps.revision;
		per_cpu(vmxon_region, cpu) = r;
	}
	return 0;
}

int vmx_hw_init(void)
{
	int ret;

	ret = alloc_regions();
	if (ret)
		return ret;
	ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "x86/kvmlet:online", hotplug_online,
				hotplug_offline);
	if (ret < 0) {
		free_regions();
		return ret;
	}
	hotplug_state = ret;
	register_reboot_notifier(&hw_reboot_nb);
	register_module_notifier(&hw_module_nb);
	compat_register_syscore(&hw_syscore);
	return 0;
}

void vmx_hw_exit(void)
{
	cancel_delayed_work_sync(&release_work);
	release_hold(NULL);
	compat_unregister_syscore(&hw_syscore);
	unregister_module_notifier(&hw_module_nb);
	unregister_reboot_notifier(&hw_reboot_nb);
	cpuhp_remove_state(hotplug_state);
	free_regions();
}
