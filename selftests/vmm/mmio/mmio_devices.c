// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module of the guest: makes the virtio-mmio devices known that QEMU's microvm names on the
 * kernel's command line, because Debian's kernel does not read them from there and, without ACPI,
 * has nowhere else to learn of them.
 * Must not drive the devices; that is the stock kernel's virtio_mmio.
 */
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/platform_device.h>

#define MAX_DEVICES	8

static char *device[MAX_DEVICES];
static unsigned int nr_devices;
module_param_array(device, charp, &nr_devices, 0444);
MODULE_PARM_DESC(device, "SIZE@ADDRESS:INTERRUPT of each, as for virtio_mmio.device");

static struct platform_device *devices[MAX_DEVICES];

static int __init make_device(unsigned int nr)
{
	unsigned long long size, base;
	unsigned int irq;
	struct resource resources[2];

	if (sscanf(device[nr], "%lli@%lli:%u", &size, &base, &irq) != 3 || !size)
		return -EINVAL;
	resources[0] = (struct resource)DEFINE_RES_MEM(base, size);
	resources[1] = (struct resource)DEFINE_RES_IRQ(irq);
	devices[nr] = platform_device_register_simple("virtio-mmio", nr, resources, 2);
	return PTR_ERR_OR_ZERO(devices[nr]);
}

static int __init mmio_devices_init(void)
{
	unsigned int nr;
	int ret;

	for (nr = 0; nr < nr_devices; nr++) {
		ret = make_device(nr);
		if (ret)
			goto fail;
	}
	return 0;
fail:
	while (nr--)
		platform_device_unregister(devices[nr]);
	return ret;
}

static void __exit mmio_devices_exit(void)
{
	while (nr_devices--)
		platform_device_unregister(devices[nr_devices]);
}

module_init(mmio_devices_init);
module_exit(mmio_devices_exit);
MODULE_DESCRIPTION("virtio-mmio devices named by parameter");
MODULE_LICENSE("GPL");
