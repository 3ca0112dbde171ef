// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM library's core: device, VM, memory slots, vCPU, and running it.
 * Must not know about CPU modes; those are in modes.c.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tvm.h"

#define CPUID_ENTRIES 128

int tvm_err(long ret)
{
	return ret < 0 ? errno : 0;
}

const char *tvm_device(void)
{
	const char *path = getenv("KVMLET_DEVICE");

	return path && *path ? path : "/dev/kvmlet";
}

bool tvm_is_kvmlet(void)
{
	return strcmp(tvm_device(), "/dev/kvm") != 0;
}

bool tvm_on_shadow(void)
{
	const char *path = tvm_is_kvmlet() ? "/sys/module/kvmlet/parameters/ept"
					   : "/sys/module/kvm_intel/parameters/ept";
	FILE *file = fopen(path, "r");
	int c = file ? fgetc(file) : EOF;

	if (file)
		fclose(file);
	return c == 'N';
}

int tvm_open(void)
{
	int fd = open(tvm_device(), O_RDWR | O_CLOEXEC);

	if (fd < 0)
		tvm_die("cannot open %s: %m", tvm_device());
	return fd;
}

int tvm_cap(struct tvm *vm, long cap)
{
	int ret = ioctl(vm->fd, KVM_CHECK_EXTENSION, cap);

	if (ret < 0)
		tvm_die("KVM_CHECK_EXTENSION(%ld): %m", cap);
	return ret;
}

void *tvm_map(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		tvm_die("mmap of %zu bytes: %m", size);
	return mem;
}

int tvm_slot(struct tvm *vm, u32 slot, u32 flags, u64 gpa, u64 size,
	     const void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static void create_irqchip(struct tvm *vm)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0))
		tvm_die("KVM_CREATE_IRQCHIP: %m");
	if ((vm->flags & TVM_PIT) && ioctl(vm->fd, KVM_CREATE_PIT2, &pit))
		tvm_die("KVM_CREATE_PIT2: %m");
}

struct tvm *tvm_create(unsigned int flags)
{
	struct tvm *vm = calloc(1, sizeof(*vm));
	int size;

	if (!vm)
		tvm_die("out of memory");
	vm->flags = flags;
	vm->dev = tvm_open();
	size = ioctl(vm->dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		tvm_die("KVM_GET_VCPU_MMAP_SIZE says %d", size);
	vm->run_size = size;
	vm->fd = ioctl(vm->dev, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		tvm_die("KVM_CREATE_VM: %m");
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000UL))
		tvm_die("KVM_SET_TSS_ADDR: %m");
	if (flags & (TVM_IRQCHIP | TVM_PIT))
		create_irqchip(vm);

	vm->mem = tvm_map(GUEST_SIZE);
	tvm_write_tables(vm->mem);
	if (flags & TVM_NO_MEMORY)
		return vm;
	if (tvm_slot(vm, 0, 0, 0, GUEST_LOW_END, vm->mem) ||
	    tvm_slot(vm, 1, 0, GUEST_HIGH, GUEST_SIZE - GUEST_HIGH, vm->mem + GUEST_HIGH))
		tvm_die("KVM_SET_USER_MEMORY_REGION: %m");
	return vm;
}

void tvm_destroy(struct tvm *vm)
{
	close(vm->fd);
	close(vm->dev);
	munmap(vm->mem, GUEST_SIZE);
	free(vm);
}

static union {
	struct kvm_cpuid2 head;
	char room[sizeof(struct kvm_cpuid2) + CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2)];
} table;

void tvm_use(const char *path)
{
	setenv("KVMLET_DEVICE", path, 1);
	table.head.nent = 0;
}

static void set_deadline_timer(void)
{
	unsigned int i;

	for (i = 0; i < table.head.nent; i++) {
		if (table.head.entries[i].function == 1)
			table.head.entries[i].ecx |= 1U << 24;
	}
}

struct kvm_cpuid2 *tvm_supported_cpuid(void)
{
	int dev;

	if (table.head.nent)
		return &table.head;
	table.head.nent = CPUID_ENTRIES;
	dev = tvm_open();
	if (ioctl(dev, KVM_GET_SUPPORTED_CPUID, &table.head))
		tvm_die("KVM_GET_SUPPORTED_CPUID: %m");
	/* KVM offers this one by a capability: what is missing there is the VMM's part. */
	if (ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
		set_deadline_timer();
	close(dev);
	return &table.head;
}

bool tvm_cpuid_has(u32 leaf, u32 index, unsigned int reg, unsigned int bit)
{
	struct kvm_cpuid2 *cpuid = tvm_supported_cpuid();
	struct kvm_cpuid_entry2 *entry = cpuid->entries;
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++, entry++) {
		u32 regs[] = { entry->eax, entry->ebx, entry->ecx, entry->edx };

		if (entry->function == leaf && entry->index == index)
			return regs[reg] >> bit & 1;
	}
	return false;
}

struct tcpu *tvm_vcpu_raw(struct tvm *vm, unsigned int id)
{
	struct tcpu *cpu = calloc(1, sizeof(*cpu));

	if (!cpu)
		tvm_die("out of memory");
	cpu->vm = vm;
	cpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id);
	if (cpu->fd < 0)
		tvm_die("KVM_CREATE_VCPU(%u): %m", id);
	cpu->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
	if (cpu->run == MAP_FAILED)
		tvm_die("mmap of vCPU %u: %m", id);
	return cpu;
}

struct tcpu *tvm_vcpu(struct tvm *vm, unsigned int id)
{
	struct tcpu *cpu = tvm_vcpu_raw(vm, id);

	if (ioctl(cpu->fd, KVM_SET_CPUID2, tvm_supported_cpuid()))
		tvm_die("KVM_SET_CPUID2: %m");
	tcpu_mode(cpu, MODE_LONG);
	return cpu;
}

void tcpu_destroy(struct tcpu *cpu)
{
	munmap(cpu->run, cpu->vm->run_size);
	close(cpu->fd);
	free(cpu);
}

void tcpu_settle(struct tcpu *cpu)
{
	unsigned int i;

	cpu->run->immediate_exit = 1;
	for (i = 0; i < 8; i++) {
		u32 reason = cpu->run->exit_reason;

		if ((reason != KVM_EXIT_IO && reason != KVM_EXIT_MMIO) || tcpu_run(cpu) < 0)
			break;
	}
	cpu->run->immediate_exit = 0;
	cpu->run->exit_reason = KVM_EXIT_UNKNOWN;
}

void tcpu_load_bytes(struct tcpu *cpu, const void *bytes, size_t size)
{
	if (size > GUEST_DATA - GUEST_CODE)
		tvm_die("guest code of %zu bytes is too long", size);
	tcpu_settle(cpu);
	memcpy(cpu->vm->mem + GUEST_CODE, bytes, size);
	tcpu_set_rip(cpu, GUEST_CODE, false);
}

void tcpu_load(struct tcpu *cpu, const struct guest_code *code)
{
	tcpu_load_bytes(cpu, code->start, code->end - code->start);
}

long tvm_counter(int fd, const char *name)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc;
	size_t size;
	char *all;
	u64 value;
	u32 i;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header))
		tvm_die("header of the counters");
	size = sizeof(*desc) + header.name_size;
	all = malloc(header.num_desc * size);
	if (pread(fd, all, header.num_desc * size, header.desc_offset) !=
	    (ssize_t)(header.num_desc * size))
		tvm_die("descriptions of the counters");
	for (i = 0; i < header.num_desc; i++) {
		desc = (void *)(all + i * size);
		if (strcmp(desc->name, name))
			continue;
		if (pread(fd, &value, sizeof(value), header.data_offset + desc->offset) != 8)
			tvm_die("value of %s", name);
		free(all);
		return value;
	}
	free(all);
	return -1;
}

int tcpu_run(struct tcpu *cpu)
{
	if (ioctl(cpu->fd, KVM_RUN, 0))
		return -errno;
	return cpu->run->exit_reason;
}

struct kvm_regs tcpu_regs(struct tcpu *cpu)
{
	struct kvm_regs regs;

	if (ioctl(cpu->fd, KVM_GET_REGS, &regs))
		tvm_die("KVM_GET_REGS: %m");
	return regs;
}

void tcpu_set_regs(struct tcpu *cpu, const struct kvm_regs *regs)
{
	if (ioctl(cpu->fd, KVM_SET_REGS, regs))
		tvm_die("KVM_SET_REGS: %m");
}

void tcpu_set_rip(struct tcpu *cpu, u64 rip, bool interrupts)
{
	struct kvm_regs regs = tcpu_regs(cpu);

	regs.rip = rip;
	regs.rflags = interrupts ? 0x202 : 2;
	tcpu_set_regs(cpu, &regs);
}

struct kvm_sregs tcpu_sregs(struct tcpu *cpu)
{
	struct kvm_sregs sregs;

	if (ioctl(cpu->fd, KVM_GET_SREGS, &sregs))
		tvm_die("KVM_GET_SREGS: %m");
	return sregs;
}

void tcpu_set_sregs(struct tcpu *cpu, const struct kvm_sregs *sregs)
{
	if (ioctl(cpu->fd, KVM_SET_SREGS, sregs))
		tvm_die("KVM_SET_SREGS: %m");
}

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

bool tcpu_get_msr(struct tcpu *cpu, u32 index, u64 *value)
{
	struct one_msr msr = { .head.nmsrs = 1, .entry.index = index };
	int ret = ioctl(cpu->fd, KVM_GET_MSRS, &msr);

	if (ret < 0)
		tvm_die("KVM_GET_MSRS(%#x): %m", index);
	*value = msr.entry.data;
	return ret == 1;
}

bool tcpu_set_msr(struct tcpu *cpu, u32 index, u64 value)
{
	struct one_msr msr = {
		.head.nmsrs = 1,
		.entry = { .index = index, .data = value },
	};
	int ret = ioctl(cpu->fd, KVM_SET_MSRS, &msr);

	if (ret < 0)
		tvm_die("KVM_SET_MSRS(%#x): %m", index);
	return ret == 1;
}

void *tcpu_io_data(struct tcpu *cpu)
{
	return (u8 *)cpu->run + cpu->run->io.data_offset;
}

bool tcpu_is_out(struct tcpu *cpu, u16 port)
{
	return cpu->run->exit_reason == KVM_EXIT_IO && cpu->run->io.port == port &&
	       cpu->run->io.direction == KVM_EXIT_IO_OUT && cpu->run->io.size == 1 &&
	       cpu->run->io.count == 1;
}

void tcpu_explain(struct tcpu *cpu)
{
	struct kvm_sregs sregs = tcpu_sregs(cpu);
	struct kvm_regs regs = tcpu_regs(cpu);
	struct kvm_run *run = cpu->run;
	struct tfault fault;

	fprintf(stderr, "# exit %u rip %#llx rflags %#llx cs %#x cr0 %#llx cr2 %#llx\n",
		run->exit_reason, regs.rip, regs.rflags, sregs.cs.selector, sregs.cr0,
		sregs.cr2);
	fprintf(stderr, "# rax %#llx rcx %#llx rdx %#llx rbx %#llx rsp %#llx\n", regs.rax,
		regs.rcx, regs.rdx, regs.rbx, regs.rsp);
	if (tcpu_fault(cpu, &fault))
		fprintf(stderr, "# handler of vector %u, error %#llx, from %#llx:%#llx\n",
			fault.vector, fault.error, fault.cs, fault.rip);
	else if (run->exit_reason == KVM_EXIT_IO)
		fprintf(stderr, "# port %#x size %u count %u direction %u\n", run->io.port,
			run->io.size, run->io.count, run->io.direction);
	else if (run->exit_reason == KVM_EXIT_MMIO)
		fprintf(stderr, "# MMIO at %#llx len %u write %u\n", run->mmio.phys_addr,
			run->mmio.len, run->mmio.is_write);
	else if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		fprintf(stderr, "# entry failed: %#llx\n",
			run->fail_entry.hardware_entry_failure_reason);
	else if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		fprintf(stderr, "# internal error %u, data[0] %#llx data[1] %#llx\n",
			run->internal.suberror, run->internal.data[0], run->internal.data[1]);
}
