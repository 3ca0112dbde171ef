// SPDX-License-Identifier: GPL-2.0-only
/*
 * What known VMMs do when they start, in their order, and the answers they build on.
 * Must not test a single ioctl in depth; the other files do.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "ktap.h"
#include "tvm.h"

/* qemu-kvm since its first days; each step's answer decides whether it goes on. */
TEST(qemu_start)
{
	int dev = tvm_open();
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	u64 identity = 0xfeffc000;
	int vm, cpu, size, early;

	ASSERT_EQ(12, ioctl(dev, KVM_GET_API_VERSION, 0));
	EXPECT_EQ(1, ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY));
	EXPECT_EQ(1, ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_DESTROY_MEMORY_REGION_WORKS));
	EXPECT_EQ(1, ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_SET_TSS_ADDR));
	EXPECT_EQ(1, ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_EXT_CPUID));
	EXPECT_EQ(1, ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_MP_STATE));
	vm = ioctl(dev, KVM_CREATE_VM, 0);
	ASSERT_LT(0, vm);
	EXPECT_OK(ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity));
	EXPECT_OK(ioctl(vm, KVM_SET_TSS_ADDR, 0xfeffd000));
	/*
	 * The oldest ones create the PIT before the interrupt controllers. KVM once took
	 * that; newer versions, since a PIT without a PIC is of no use, say ENOENT.
	 */
	early = tvm_err(ioctl(vm, KVM_CREATE_PIT, 0));
	EXPECT_TRUE(early == 0 || early == ENOENT)
		TH_LOG("KVM_CREATE_PIT gave errno %d", early);
	EXPECT_OK(ioctl(vm, KVM_CREATE_IRQCHIP, 0));
	EXPECT_ERR(early ? 0 : EEXIST, ioctl(vm, KVM_CREATE_PIT2, &pit));
	EXPECT_ERR(EEXIST, ioctl(vm, KVM_CREATE_PIT, 0));
	cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	ASSERT_LT(0, cpu);
	size = ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	ASSERT_LT(0, size);
	EXPECT_NE(MAP_FAILED, mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0));
}

TEST(controllers_after_the_vcpu)
{
	struct kvm_irqchip chip = { };
	struct tvm *vm = tvm_create(0);

	tvm_vcpu_raw(vm, 0);
	EXPECT_ERR(EINVAL, ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0));
	/* No controllers without it: nothing to ask for their state. */
	EXPECT_ERR(ENXIO, ioctl(vm->fd, KVM_GET_IRQCHIP, &chip));
}

TEST(pit_after_the_vcpu)
{
	struct tvm *vm = tvm_create(TVM_IRQCHIP);

	tvm_vcpu_raw(vm, 0);
	EXPECT_OK(ioctl(vm->fd, KVM_CREATE_PIT, 0));
	EXPECT_ERR(EEXIST, ioctl(vm->fd, KVM_CREATE_PIT, 0));
}

/* kvmtool starts Linux in real mode at the kernel's setup code, CS:IP 0x1000:0x200. */
PROGRAM(real_start, 16, "mov %cs, %ax; mov %ss, %bx; mov %sp, %cx; out %al, $0xe0");

TEST(kvmtool_start)
{
	struct tvm *vm = tvm_create(TVM_PIT);
	struct tcpu *cpu = tvm_vcpu_raw(vm, 0);
	struct kvm_lapic_state lapic;
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rflags = 2, .rip = 0x200, .rsp = 0x8000, .rbp = 0x8000 };

	memcpy(vm->mem + 0x10200, real_start.start, real_start.end - real_start.start);
	ASSERT_OK(ioctl(cpu->fd, KVM_GET_LAPIC, &lapic));
	ASSERT_OK(ioctl(cpu->fd, KVM_SET_LAPIC, &lapic));
	ASSERT_OK(ioctl(cpu->fd, KVM_SET_CPUID2, tvm_supported_cpuid()));
	sregs = tcpu_sregs(cpu);
	sregs.cs.selector = 0x1000;
	sregs.cs.base = 0x10000;
	sregs.ss.selector = 0x1000;
	sregs.ss.base = 0x10000;
	sregs.ds.selector = 0x1000;
	sregs.ds.base = 0x10000;
	tcpu_set_sregs(cpu, &sregs);
	tcpu_set_regs(cpu, &regs);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu))
		tcpu_explain(cpu);
	EXPECT_EQ(0x1000, tcpu_regs(cpu).rax);
	EXPECT_EQ(0x1000, tcpu_regs(cpu).rbx);
	EXPECT_EQ(0x8000, tcpu_regs(cpu).rcx);
}

/* Reset vector: CS.base is above what the selector says until the first far jump. */
TEST(firmware_start)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu_raw(vm, 0);
	u8 *rom = tvm_map(0x10000);

	ASSERT_OK(ioctl(cpu->fd, KVM_SET_CPUID2, tvm_supported_cpuid()));
	/* jmp far 0xf000:0xe05b, and there: out %al, $0xe0. */
	memcpy(rom + 0xfff0, "\xea\x5b\xe0\x00\xf0", 5);
	memcpy(rom + 0xe05b, "\xe6\xe0", 2);
	ASSERT_OK(tvm_slot(vm, 6, KVM_MEM_READONLY, 0xffff0000, 0x10000, rom));
	ASSERT_OK(tvm_slot(vm, 7, KVM_MEM_READONLY, 0xf0000, 0x10000, rom));
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu))
		tcpu_explain(cpu);
	EXPECT_TRUE(tcpu_is_out(cpu, PORT_TEST));
	EXPECT_EQ(0xf0000, tcpu_sregs(cpu).cs.base);
}

TEST(clock)
{
	struct tvm *vm = tvm_create(0);
	struct kvm_clock_data clock = { }, later = { };

	ASSERT_OK(ioctl(vm->fd, KVM_GET_CLOCK, &clock));
	usleep(3000);
	ASSERT_OK(ioctl(vm->fd, KVM_GET_CLOCK, &later));
	EXPECT_LT(clock.clock + 1000000, later.clock);
	EXPECT_GT(clock.clock + 3000000000, later.clock);
	memset(&clock, 0, sizeof(clock));
	clock.clock = 5000000000000;
	ASSERT_OK(ioctl(vm->fd, KVM_SET_CLOCK, &clock));
	ASSERT_OK(ioctl(vm->fd, KVM_GET_CLOCK, &later));
	EXPECT_LE(5000000000000, later.clock);
	EXPECT_GT(5000000000000 + 3000000000, later.clock);
	clock.flags = 1U << 30;
	EXPECT_ERR(EINVAL, ioctl(vm->fd, KVM_SET_CLOCK, &clock));
	EXPECT_ERR(EFAULT, ioctl(vm->fd, KVM_GET_CLOCK, 0x10));
	EXPECT_ERR(EFAULT, ioctl(vm->fd, KVM_SET_CLOCK, 0x10));
}

static long module_users(const char *module)
{
	char path[128];
	long users = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", module);
	file = fopen(path, "r");
	if (!file)
		return -1;
	if (fscanf(file, "%ld", &users) != 1)
		users = -1;
	fclose(file);
	return users;
}

TEST(open_files_pin_the_module)
{
	const char *module = tvm_is_kvmlet() ? "kvmlet" : "kvm_intel";
	long idle = module_users(module), now;
	struct tcpu *cpu;
	struct tvm *vm;
	int dev;

	if (idle < 0)
		SKIP(return, "no /sys/module/%s/refcnt", module);
	dev = tvm_open();
	now = module_users(module);
	/* kvm_intel is held by its VMs and kvm by the device; kvmlet is both in one. */
	EXPECT_LE(tvm_is_kvmlet() ? idle + 1 : idle, now);
	close(dev);
	EXPECT_EQ(idle, module_users(module));
	vm = tvm_create(0);
	cpu = tvm_vcpu_raw(vm, 0);
	close(vm->dev);
	close(vm->fd);
	EXPECT_LT(idle, module_users(module));
	/* The mapping alone is enough. */
	close(cpu->fd);
	EXPECT_LT(idle, module_users(module));
	munmap(cpu->run, vm->run_size);
	EXPECT_EQ(idle, module_users(module));
}

TEST_HARNESS_MAIN
