// SPDX-License-Identifier: GPL-2.0-only
/*
 * A complete VMM: one vCPU in real mode, one page of memory, a port that prints, an address that is a device.
 * It must not need more than <linux/kvm.h>; the reason of a refusal is the only thing of kvmlet's own.
 *
 * usage: tiny-vmm [DEVICE [ADDRESS]]	/dev/kvmlet, and 0x1000 for the guest's page
 * build: gcc -O2 -static -o tiny-vmm tiny-vmm.c
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "../../include/uapi/kvmlet.h"

#define PORT_CONSOLE	0xe9
#define DEVICE_ADDR	0x8000

extern const char guest_start[], guest_text[], guest_end[];

/* The guest: print the text at SI, add 1 to what the device holds, halt. */
asm(".pushsection .rodata\n\t"
    ".code16\n"
    "guest_start:\n"
    "1:	lodsb\n\t"
    "test	%al, %al\n\t"
    "jz	2f\n\t"
    "out	%al, $0xe9\n\t"
    "jmp	1b\n"
    "2:	incw	0x8000\n\t"
    "hlt\n"
    "guest_text:\n\t"
    ".asciz	\"hello from a guest\\n\"\n"
    "guest_end:\n\t"
    ".code64\n\t"
    ".popsection");

/* An ioctl that must not fail; kvmlet says why it did, other drivers know no KVMLET_GET_REASON. */
static int call(int fd, const char *what, unsigned long cmd, unsigned long arg)
{
	struct kvmlet_reason reason;
	int ret = ioctl(fd, cmd, arg);

	if (ret >= 0)
		return ret;
	warn("%s", what);
	if (!ioctl(fd, KVMLET_GET_REASON, &reason) && reason.error)
		warnx("reason: %s (%#llx)", reason.text, (unsigned long long)reason.value);
	exit(1);
}

#define CALL(fd, cmd, arg)	call(fd, #cmd, cmd, (unsigned long)(arg))

static void load_guest(int vm, uint64_t address)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = address,
		.memory_size = 4096,
		.userspace_addr = (uintptr_t)page,
	};

	if (page == MAP_FAILED)
		err(1, "mmap");
	memcpy(page, guest_start, guest_end - guest_start);
	CALL(vm, KVM_SET_USER_MEMORY_REGION, &slot);
}

/* After RESET the CPU is in real mode already, but starts below 4 GiB: point CS:IP at our page. */
static void set_registers(int vcpu, uint64_t address)
{
	struct kvm_regs regs = { .rip = address, .rflags = 2 };
	struct kvm_sregs sregs;

	regs.rsi = address + (guest_text - guest_start);
	CALL(vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	CALL(vcpu, KVM_SET_SREGS, &sregs);
	CALL(vcpu, KVM_SET_REGS, &regs);
}

static void port_access(const struct kvm_run *run)
{
	const char *data = (const char *)run + run->io.data_offset;

	if (run->io.direction == KVM_EXIT_IO_OUT && run->io.port == PORT_CONSOLE)
		fwrite(data, run->io.size, run->io.count, stdout);
}

static void device_access(struct kvm_run *run)
{
	static uint16_t value = 41;

	if (run->mmio.phys_addr != DEVICE_ADDR || run->mmio.len != sizeof(value))
		errx(1, "no device at %#llx", (unsigned long long)run->mmio.phys_addr);
	if (!run->mmio.is_write) {
		memcpy(run->mmio.data, &value, sizeof(value));
		return;
	}
	memcpy(&value, run->mmio.data, sizeof(value));
	printf("the device now holds %u\n", value);
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "/dev/kvmlet";
	uint64_t address = argc > 2 ? strtoull(argv[2], NULL, 0) : 0x1000;
	int dev = open(path, O_RDWR | O_CLOEXEC), vm, vcpu, size;
	struct kvm_run *run;

	if (dev < 0)
		err(1, "%s", path);
	if (CALL(dev, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		errx(1, "%s: another version of the API", path);
	vm = CALL(dev, KVM_CREATE_VM, 0);
	load_guest(vm, address);
	vcpu = CALL(vm, KVM_CREATE_VCPU, 0);
	size = CALL(dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		err(1, "mmap of the vCPU");
	set_registers(vcpu, address);

	for (;;) {
		CALL(vcpu, KVM_RUN, 0);
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			port_access(run);
			break;
		case KVM_EXIT_MMIO:
			device_access(run);
			break;
		case KVM_EXIT_HLT:
			puts("the guest has halted");
			return 0;
		default:
			errx(1, "exit %u, suberror %u", run->exit_reason, run->internal.suberror);
		}
	}
}
