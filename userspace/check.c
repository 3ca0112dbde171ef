// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kvmlet check: can this machine run guests, and if not what would help.
 *
 * Must not change anything on the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cpuid.h>

#include "runner.h"

#define MSR_FEATURE_CONTROL	0x3a
#define FEATURE_LOCKED		0x1
#define FEATURE_VMX		0x4

static void good(const char *fmt, ...) __printf(1, 2);
static void bad(const char *fmt, ...) __printf(1, 2);
static void advise(const char *fmt, ...) __printf(1, 2);

static void line(const char *mark, const char *fmt, va_list ap)
{
	printf("%-6s ", mark);
	vprintf(fmt, ap);
	putchar('\n');
}

static void good(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("ok", fmt, ap);
	va_end(ap);
}

static void bad(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("NO", fmt, ap);
	va_end(ap);
}

static void advise(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("  ->", fmt, ap);
	va_end(ap);
}

/* ---- the processor ---- */

static bool in_hypervisor(void)
{
	u32 a = 0, b = 0, c = 0, d = 0;

	return __get_cpuid(1, &a, &b, &c, &d) && c & BIT(31);
}

static void advise_emulated(void)
{
	advise("or use the emulated machine: make demo, in the kvmlet source tree");
}

static bool check_cpu(bool needs_vmx)
{
	char vendor[13] = "";
	u32 a = 0, b = 0, c = 0, d = 0;

	__get_cpuid(0, &a, &b, &c, &d);
	memcpy(vendor, &b, 4);
	memcpy(vendor + 4, &d, 4);
	memcpy(vendor + 8, &c, 4);
	__get_cpuid(1, &a, &b, &c, &d);
	if (c & BIT(5)) {
		good("processor: %s, with VMX", vendor);
		return true;
	}
	if (!needs_vmx) {
		good("processor: %s; whether it will do, the device tells", vendor);
		return true;
	}
	bad("processor: %s, without VMX", vendor);
	if (in_hypervisor())
		advise("this is a virtual machine: have its host enable nested virtualization");
	else if (!strcmp(vendor, "GenuineIntel"))
		advise("enable virtualization (VT-x, VMX) in the firmware's setup");
	else
		advise("kvmlet needs a processor with Intel VMX");
	advise_emulated();
	return false;
}

/* Readable only by root, and only with the msr module; say nothing when it is not. */
static void check_firmware_lock(void)
{
	int fd = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC);
	u64 val;

	if (fd < 0)
		return;
	if (pread(fd, &val, sizeof(val), MSR_FEATURE_CONTROL) == sizeof(val) &&
	    (val & (FEATURE_LOCKED | FEATURE_VMX)) == FEATURE_LOCKED) {
		bad("firmware: VMX is locked off (IA32_FEATURE_CONTROL is 0x%llx)", val);
		advise("enable virtualization in the firmware's setup, then power-cycle");
	}
	close(fd);
}

/* ---- the module and its device ---- */

static bool module_loaded(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return !access(path, F_OK);
}

static void advise_missing(const char *device)
{
	if (strcmp(device, "/dev/kvmlet"))
		advise("load the module that offers it, e.g. modprobe kvm_intel for /dev/kvm");
	else if (module_loaded("kvmlet"))
		advise("kvmlet is loaded: under another devname=, or is devtmpfs not mounted?");
	else
		advise("load the module: insmod kvmlet.ko (its reason for refusing is in dmesg)");
	if (!access("/dev/kvm", R_OK | W_OK) && strcmp(device, "/dev/kvm"))
		advise("or use the kernel's own driver: --device /dev/kvm");
}

static int check_open(const char *device)
{
	int fd = open(device, O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		good("device: %s opens", device);
		return fd;
	}
	bad("device: %s: %s", device, strerror(errno));
	switch (errno) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		advise_missing(device);
		break;
	case EACCES:
	case EPERM:
		advise("join the group that owns it (ls -l %s), or run as root", device);
		break;
	default:
		advise("see dmesg");
	}
	return -1;
}

/* ---- what the device answers ---- */

static const struct {
	long cap;
	bool needed;
	const char *name;
} caps[] = {
	{ KVM_CAP_USER_MEMORY, true, "USER_MEMORY" },
	{ KVM_CAP_SET_TSS_ADDR, true, "SET_TSS_ADDR" },
	{ KVM_CAP_EXT_CPUID, true, "EXT_CPUID" },
	{ KVM_CAP_IRQCHIP, true, "IRQCHIP" },
	{ KVM_CAP_PIT2, true, "PIT2" },
	{ KVM_CAP_IMMEDIATE_EXIT, true, "IMMEDIATE_EXIT" },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, false, "SET_IDENTITY_MAP_ADDR" },
	{ KVM_CAP_TSC_DEADLINE_TIMER, false, "TSC_DEADLINE_TIMER" },
	{ KVM_CAP_IRQ_ROUTING, false, "IRQ_ROUTING" },
	{ KVM_CAP_SIGNAL_MSI, false, "SIGNAL_MSI" },
	{ KVM_CAP_IRQFD, false, "IRQFD" },
	{ KVM_CAP_IOEVENTFD, false, "IOEVENTFD" },
	{ KVM_CAP_READONLY_MEM, false, "READONLY_MEM" },
	{ KVM_CAP_MP_STATE, false, "MP_STATE" },
	{ KVM_CAP_VCPU_EVENTS, false, "VCPU_EVENTS" },
	{ KVM_CAP_XSAVE, false, "XSAVE" },
	{ KVM_CAP_XCRS, false, "XCRS" },
	{ KVM_CAP_DEBUGREGS, false, "DEBUGREGS" },
	{ KVM_CAP_ADJUST_CLOCK, false, "ADJUST_CLOCK" },
	{ KVM_CAP_GET_TSC_KHZ, false, "GET_TSC_KHZ" },
	{ KVM_CAP_INTERNAL_ERROR_DATA, false, "INTERNAL_ERROR_DATA" },
	{ KVM_CAP_BINARY_STATS_FD, false, "BINARY_STATS_FD" },
	{ KVM_CAP_NR_VCPUS, false, "NR_VCPUS" },
	{ KVM_CAP_MAX_VCPUS, false, "MAX_VCPUS" },
	{ KVM_CAP_NR_MEMSLOTS, false, "NR_MEMSLOTS" },
};

static bool check_caps(int fd)
{
	int column = 7;
	bool all = true;

	printf("%-6s capabilities:", "");
	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		int val = ioctl(fd, KVM_CHECK_EXTENSION, caps[i].cap);

		if (val <= 0) {
			all &= !caps[i].needed;
			continue;
		}
		if (!i || column > 72) {
			printf("\n       ");
			column = 7;
		}
		column += printf(val == 1 ? " %s" : " %s=%d", caps[i].name, val);
	}
	printf("\n");
	if (all) {
		good("capabilities: all that the runner needs");
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		if (caps[i].needed && ioctl(fd, KVM_CHECK_EXTENSION, caps[i].cap) <= 0)
			bad("capability missing: KVM_CAP_%s", caps[i].name);
	}
	advise("this device cannot run the runner's guests");
	return false;
}

static bool check_create_vm(int fd)
{
	int vm = ioctl(fd, KVM_CREATE_VM, 0);
	char reason[300];
	int err;

	if (vm >= 0) {
		good("a VM can be created");
		close(vm);
		return true;
	}
	err = errno;
	bad("no VM can be created: %s", strerror(err));
	ioctl_reason(fd, reason, sizeof(reason));
	if (*reason)
		advise("%s", reason);
	else
		advise("the reason may be in dmesg");
	if (err == EBUSY)
		advise("another driver has VMX on: unload it (rmmod kvm_intel, vboxdrv, vmmon)");
	check_firmware_lock();
	return false;
}

static bool check_device(int fd)
{
	int version = ioctl(fd, KVM_GET_API_VERSION, 0);

	if (version != KVM_API_VERSION) {
		bad("API version: %d, not %d", version, KVM_API_VERSION);
		advise("this is not a KVM-style device");
		return false;
	}
	good("API version: %d", version);
	return check_caps(fd) && check_create_vm(fd);
}

int cmd_check(const struct options *opt)
{
	/* A device of another maker may serve a processor that kvmlet does not. */
	bool own = !strcmp(opt->device, "/dev/kvmlet");
	bool cpu = check_cpu(own), usable = false;
	int fd = check_open(opt->device);

	if (fd >= 0) {
		usable = check_device(fd);
		close(fd);
	} else if (cpu) {
		check_firmware_lock();
	}
	usable &= cpu;
	printf("\n%s\n", usable ? "This machine can run guests." :
	       "This machine cannot run guests as it is.");
	return usable ? 0 : 1;
}
