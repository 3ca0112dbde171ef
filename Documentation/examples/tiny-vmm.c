// SPDX-License-Identifier: GPL-2.0-only
/*
 * A complete VMM: one vCPU in real mode, one page of memory, a port that prints, and an address
 * that is a device. It must not need more than KVM's API and the reason of a refusal.
 *
 * usage: tiny-vmm [DEVICE [ADDRESS]]	/dev/kvmlet, and 0x1000 for the guest's page
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "../../include/uapi/kvmlet.h"

#define PORT_CONSOLE	0xe9
#define DEVICE_ADDR	0x8000

/* The guest, 16-bit code: print the text at SI, add 1 to what the device holds, halt. */
static const unsigned char guest_code[] = {
	0xac,				/* next: lodsb */
	0x84, 0xc0,			/*       test %al, %al */
	0x74, 0x04,			/*       jz done */
	0xe6, PORT_CONSOLE,		/*       out %al, $PORT_CONSOLE */
	0xeb, 0xf7,			/*       jmp next */
	0xff, 0x06, DEVICE_ADDR & 0xff, DEVICE_ADDR >> 8,	/* done: incw DEVICE_ADDR */
	0xf4,				/*       hlt */
};

static const char guest_text[] = "hello from a guest\n";

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

static void load_guest(int vm, __u64 address)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = address,
		.memory_size = 4096,
		.userspace_addr = (unsigned long)page,
	};

	if (page == MAP_FAILED)
		err(1, "mmap");
	memcpy(page, guest_code, sizeof(guest_code));
	memcpy(page + sizeof(guest_code), guest_text, sizeof(guest_text));
	CALL(vm, KVM_SET_USER_MEMORY_REGION, &slot);
}

/* After RESET the CPU is in real mode already, but starts below 4 GiB: point CS:IP at our page. */
static void set_registers(int vcpu, __u64 address)
{
	struct kvm_regs regs = {
		.rip = address,
		.rsi = address + sizeof(guest_code),
		.rflags = 2,		/* bit 1 is always 1 */
	};
	struct kvm_sregs sregs;

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
	static __u16 value = 41;

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
	__u64 address = argc > 2 ? strtoull(argv[2], NULL, 0) : 0x1000;
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
