// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM: device, memory, interrupt controllers, and the decision to end.
 *
 * Must not know what a guest is loaded from.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "runner.h"

static const struct {
	long cap;
	const char *name;
} required[] = {
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR" },
	{ KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
	{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
	{ KVM_CAP_PIT2, "KVM_CAP_PIT2" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
};

static void open_device(struct vm *vm)
{
	const char *path = vm->opt->device;
	int version;

	vm->dev_fd = open(path, O_RDWR | O_CLOEXEC);
	if (vm->dev_fd < 0)
		die_errno("cannot open %s (see kvmlet check)", path);
	version = ioctl(vm->dev_fd, KVM_GET_API_VERSION, 0);
	if (version < 0)
		die_errno("%s is not a KVM-style device", path);
	if (version != KVM_API_VERSION)
		die("%s speaks API version %d, not %d", path, version, KVM_API_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(required); i++) {
		if (ioctl(vm->dev_fd, KVM_CHECK_EXTENSION, required[i].cap) <= 0)
			die("%s lacks %s", path, required[i].name);
	}
	vm->run_size = ioctl(vm->dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vm->run_size < (int)sizeof(struct kvm_run))
		die_errno("KVM_GET_VCPU_MMAP_SIZE answers %d", vm->run_size);
}

int vm_has(struct vm *vm, long cap)
{
	int val = ioctl(vm->fd, KVM_CHECK_EXTENSION, cap);

	/* Before KVM_CAP_CHECK_EXTENSION_VM only the device answers. */
	if (val < 0)
		val = ioctl(vm->dev_fd, KVM_CHECK_EXTENSION, cap);
	return val < 0 ? 0 : val;
}

static void set_slot(struct vm *vm, u32 slot, u64 gpa, u64 len, u8 *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (u64)(uintptr_t)host,
	};

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region))
		die_ioctl(vm->fd, "cannot give the guest memory at 0x%llx", gpa);
}

static void create_ram(struct vm *vm)
{
	u64 size = vm->opt->memory;

	vm->ram = memory_map(&vm->opt->backend, size);
	vm->ram_low = size < LOW_RAM_END ? size : LOW_RAM_END;
	set_slot(vm, 0, 0, vm->ram_low, vm->ram);
	if (size > vm->ram_low)
		set_slot(vm, 1, HIGH_RAM_BASE, size - vm->ram_low, vm->ram + vm->ram_low);
}

static void create_irqchips(struct vm *vm)
{
	/* Port 0x61 goes with the PIT: its channel 2 is what guests measure time with. */
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	u64 identity_map = IDENTITY_MAP;

	if (vm_has(vm, KVM_CAP_SET_IDENTITY_MAP_ADDR) &&
	    ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map))
		die_ioctl(vm->fd, "KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)TSS_ADDR))
		die_ioctl(vm->fd, "KVM_SET_TSS_ADDR");
	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0))
		die_ioctl(vm->fd, "KVM_CREATE_IRQCHIP");
	if (ioctl(vm->fd, KVM_CREATE_PIT2, &pit))
		die_ioctl(vm->fd, "KVM_CREATE_PIT2");
}

/* Ids that a byte cannot hold want 32-bit destinations; the device then knows no broadcast id. */
static void check_vcpus(struct vm *vm)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X2APIC_API,
		.args = { KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK },
	};
	int max = vm_has(vm, KVM_CAP_MAX_VCPUS);

	/* A device that does not tell has at least these. */
	if (vm->nr_vcpus > (unsigned int)(max > 4 ? max : 4))
		die("%s has at most %d virtual CPUs", vm->opt->device, max);
	if (vm->nr_vcpus <= XAPIC_IDS)
		return;
	if (!vm_has(vm, KVM_CAP_X2APIC_API) || ioctl(vm->fd, KVM_ENABLE_CAP, &cap))
		die_ioctl(vm->fd, "no more than %u virtual CPUs without KVM_CAP_X2APIC_API",
			  XAPIC_IDS);
}

void vm_create(struct vm *vm)
{
	open_device(vm);
	vm->fd = ioctl(vm->dev_fd, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		die_ioctl(vm->dev_fd, "%s refuses to create a VM (see kvmlet check)",
			  vm->opt->device);
	/* For "kvmlet mem", which cannot open what this process has; -1 where there is none. */
	vm->stats_fd = ioctl(vm->fd, KVM_GET_STATS_FD, 0);
	vm->nr_vcpus = vm->opt->smp;
	check_vcpus(vm);
	create_irqchips(vm);
	create_ram(vm);
	if (vm->opt->stats || vm->opt->verbose) {
		vm->port_count = calloc(65536, sizeof(*vm->port_count));
		if (!vm->port_count)
			die("out of memory");
	}
}

void *vm_ram(struct vm *vm, u64 gpa, u64 len)
{
	u64 high_size = vm->opt->memory - vm->ram_low;

	if (gpa < vm->ram_low)
		return len <= vm->ram_low - gpa ? vm->ram + gpa : NULL;
	if (gpa < HIGH_RAM_BASE)
		return NULL;
	gpa -= HIGH_RAM_BASE;
	return gpa < high_size && len <= high_size - gpa ? vm->ram + vm->ram_low + gpa : NULL;
}

void vm_irq(struct vm *vm, unsigned int irq, int level)
{
	struct kvm_irq_level line = { .irq = irq, .level = (u32)level };

	if (ioctl(vm->fd, KVM_IRQ_LINE, &line) < 0)
		vm_fatal(vm, "cannot set interrupt line %u: %s", irq, strerror(errno));
}

void vm_stop(struct vm *vm, enum stop_kind kind, int status)
{
	int none = STOP_NONE;

	if (!atomic_compare_exchange_strong(&vm->stop, &none, (int)kind))
		return;
	vm->status = status;
	ioloop_wake(vm);
}

void vm_fatal(struct vm *vm, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say("%s", text);
	vm_stop(vm, STOP_FATAL, 1);
}
