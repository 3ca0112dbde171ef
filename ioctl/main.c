// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module's beginning and end, and the device node.
 * This file must not know any ioctl but the way to the table of the device fd.
 */
#define pr_fmt(fmt) "kvmlet: " fmt

#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "ioctl.h"
#include "uapi/kvmlet.h"

static char *devname = "kvmlet";
module_param(devname, charp, 0444);
MODULE_PARM_DESC(devname, "name of the device node; \"kvm\" takes KVM's own 10:232 when it is free");

static int dev_open(struct inode *inode, struct file *file)
{
	struct dev_file *dev = kzalloc(sizeof(*dev), GFP_KERNEL_ACCOUNT);

	if (!dev)
		return -ENOMEM;
	file->private_data = dev;
	return 0;
}

static int dev_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct dev_file *dev = file->private_data;

	if (cmd == KVMLET_GET_REASON)
		return reason_copy_out(&dev->reason, arg);
	reason_begin(&dev->reason);
	return reason_end(&dev->reason, cmd, system_ioctl(dev, cmd, arg));
}

/*
 * The owner pins the module for as long as the node is open; VM and vCPU files do so by
 * themselves.
 */
static const struct file_operations dev_fops = {
	.owner		= THIS_MODULE,
	.open		= dev_open,
	.release	= dev_release,
	.unlocked_ioctl	= dev_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.llseek		= noop_llseek,
};

static struct miscdevice dev_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.fops	= &dev_fops,
};

static bool devname_is_valid(const char *name)
{
	return name[0] && strlen(name) < 32 && !strchr(name, '/') &&
	       strcmp(name, ".") && strcmp(name, "..");
}

static int dev_register(void)
{
	int ret;

	if (!devname_is_valid(devname)) {
		pr_err("devname=%s is no name for a device node\n", devname);
		return -EINVAL;
	}
	dev_misc.name = devname;
	if (!strcmp(devname, "kvm"))
		dev_misc.minor = KVM_MINOR;
	ret = misc_register(&dev_misc);
	if (ret)
		pr_err("cannot register /dev/%s%s\n", devname,
		       ret == -EBUSY ? ": its number is taken; is the kvm module loaded?" : "");
	return ret;
}

static int __init kvmlet_init(void)
{
	int ret;

	ret = vmx_module_init();
	if (ret)
		return ret;
	ret = mmu_module_init();
	if (ret)
		goto vmx;
	ret = kick_module_init();
	if (ret)
		goto mmu;
	/*
	 * Once for the module: patching the branch for each first VM would stop all CPUs each
	 * time.
	 */
	preempt_notifier_inc();
	/* Last: from here on users come. */
	ret = dev_register();
	if (ret)
		goto notifier;
	return 0;

notifier:
	preempt_notifier_dec();
	kick_module_exit();
mmu:
	mmu_module_exit();
vmx:
	vmx_module_exit();
	return ret;
}

static void __exit kvmlet_exit(void)
{
	misc_deregister(&dev_misc);
	preempt_notifier_dec();
	/* No file is open any more; what remains are callbacks on their way. */
	rcu_barrier();
	mmu_module_exit();
	kick_module_exit();
	vmx_module_exit();
}

module_init(kvmlet_init);
module_exit(kvmlet_exit);

MODULE_DESCRIPTION("Virtual machines with Intel VMX through KVM's own ioctl API");
MODULE_LICENSE("GPL");
