// SPDX-License-Identifier: GPL-2.0-only
/*
 * How VMs and vCPUs are born and die: fds in any order, ids, mmap, fork, kill, and leaks.
 * Must not test what a guest does beyond reaching a HLT.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ktap.h"
#include "tvm.h"

PROGRAM(halt, 64, "hlt");
PROGRAM(spin, 64, "1: jmp 1b");

static void expect_halt(struct __test_metadata *_metadata, struct tcpu *cpu)
{
	tcpu_load(cpu, &halt);
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
}

TEST(device_closed_first)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);

	ASSERT_OK(close(vm->dev));
	expect_halt(_metadata, cpu);
	EXPECT_LT(0, ioctl(vm->fd, KVM_CREATE_VCPU, 1));
}

TEST(vm_closed_before_vcpu)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);

	ASSERT_OK(close(vm->dev));
	ASSERT_OK(close(vm->fd));
	expect_halt(_metadata, cpu);
	ASSERT_OK(close(cpu->fd));
}

TEST(vcpu_closed_before_its_mapping)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);

	expect_halt(_metadata, cpu);
	ASSERT_OK(close(cpu->fd));
	ASSERT_OK(close(vm->fd));
	ASSERT_OK(close(vm->dev));
	/* The mapping holds the vCPU: what it shows is still there. */
	EXPECT_EQ(KVM_EXIT_HLT, cpu->run->exit_reason);
	cpu->run->exit_reason = 0;
	EXPECT_OK(munmap(cpu->run, vm->run_size));
}

TEST(vcpu_id_is_not_free_after_close)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);

	tcpu_destroy(cpu);
	EXPECT_ERR(EEXIST, ioctl(vm->fd, KVM_CREATE_VCPU, 0));
}

TEST(vcpu_ids)
{
	struct tvm *vm = tvm_create(0);
	long ids = tvm_cap(vm, KVM_CAP_MAX_VCPU_ID);

	EXPECT_LT(0, ioctl(vm->fd, KVM_CREATE_VCPU, 0));
	EXPECT_ERR(EEXIST, ioctl(vm->fd, KVM_CREATE_VCPU, 0));
	EXPECT_LT(0, ioctl(vm->fd, KVM_CREATE_VCPU, ids - 1));
	EXPECT_ERR(EINVAL, ioctl(vm->fd, KVM_CREATE_VCPU, ids));
	EXPECT_ERR(EINVAL, ioctl(vm->fd, KVM_CREATE_VCPU, -1L));
	/* Linux 6.1's KVM cuts the id to 32 bits. */
	ASSERT_EQ(-1, ioctl(vm->fd, KVM_CREATE_VCPU, 1L << 32));
	EXPECT_TRUE(errno == EINVAL || (!tvm_is_kvmlet() && errno == EEXIST));
}

TEST(vcpu_mapping)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	void *other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);

	ASSERT_NE(MAP_FAILED, other);
	cpu->run->request_interrupt_window = 0x5a;
	EXPECT_EQ(0x5a, ((struct kvm_run *)other)->request_interrupt_window);
	/* The page after the last one is nobody's: it must not be the kernel's memory. */
	other = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, cpu->fd, 16 * PAGE);
	if (other != MAP_FAILED) {
		pid_t child = fork();
		int status;

		if (!child)
			_exit(__atomic_load_n((u8 *)other, __ATOMIC_RELAXED) & 0);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(SIGBUS, WTERMSIG(status));
	}
}

TEST(another_process_gets_eio)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	struct kvm_regs regs;
	pid_t child;
	int status;

	tcpu_load(cpu, &halt);
	child = fork();
	if (!child) {
		int bad = 0;

		bad |= tvm_err(ioctl(cpu->fd, KVM_RUN, 0)) != EIO;
		bad |= (tvm_err(ioctl(cpu->fd, KVM_GET_REGS, &regs)) != EIO) << 1;
		bad |= (tvm_err(ioctl(vm->fd, KVM_CREATE_VCPU, 1)) != EIO) << 2;
		bad |= (tvm_err(tvm_slot(vm, 5, 0, 1 << 30, PAGE, vm->mem)) != EIO) << 3;
		_exit(bad);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
}

/* The child owns the only mm; the fds outlive it in the parent. */
TEST(fds_outlive_the_process)
{
	int vm, dev = tvm_open();
	pid_t child;
	int status;

	vm = ioctl(dev, KVM_CREATE_VM, 0);
	ASSERT_LT(0, vm);
	child = fork();
	if (!child) {
		struct tvm *own = tvm_create(0);

		expect_halt(_metadata, tvm_vcpu(own, 0));
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_LT(0, ioctl(vm, KVM_CREATE_VCPU, 0));
}

TEST(killed_while_running)
{
	struct tvm *vm;
	unsigned int i;
	pid_t child;
	int status;

	for (i = 0; i < 3; i++) {
		child = fork();
		if (!child) {
			struct tcpu *cpu;

			vm = tvm_create(i ? TVM_IRQCHIP : 0);
			cpu = tvm_vcpu(vm, 0);
			tcpu_load(cpu, i == 2 ? &halt : &spin);
			tcpu_run(cpu);
			_exit(1);
		}
		usleep(30000);
		ASSERT_OK(kill(child, SIGKILL));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
	}
	vm = tvm_create(0);
	expect_halt(_metadata, tvm_vcpu(vm, 0));
}

static long kibibytes(const char *key)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128];
	long kib = -1;

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			kib = strtol(line + strlen(key) + 1, NULL, 10);
	}
	fclose(file);
	return kib;
}

static void one_vm(struct __test_metadata *_metadata)
{
	struct tvm *vm = tvm_create(TVM_IRQCHIP);
	struct tcpu *cpu = tvm_vcpu(vm, 0);

	/* With interrupt controllers a HLT would wait: touch memory by a fault instead. */
	tcpu_load_bytes(cpu, "\x0f\x0b", 2);
	EXPECT_EQ(6, tcpu_run_fault(cpu));
	tcpu_destroy(cpu);
	tvm_destroy(vm);
}

struct usage {
	long kernel;	/* KiB in slabs, page tables, stacks and the like */
	long all;	/* KiB not free, but for caches of files */
};

static struct usage measure(void)
{
	struct usage usage;

	/* Give memory that waits for a grace period time to go. */
	usleep(100000);
	usage.kernel = kibibytes("SUnreclaim") + kibibytes("PageTables") +
		       kibibytes("KernelStack") + kibibytes("VmallocUsed") + kibibytes("Percpu");
	usage.all = -kibibytes("MemFree") - kibibytes("Cached") - kibibytes("Buffers");
	return usage;
}

/* A fixture for its time bound only. */
FIXTURE(leaks) {
};

FIXTURE_SETUP(leaks)
{
}

FIXTURE_TEARDOWN(leaks)
{
}

TEST_F_TIMEOUT(leaks, two_hundred_vms_leave_nothing, 60)
{
	struct usage before, middle, after;
	unsigned int i;

	for (i = 0; i < 20; i++)
		one_vm(_metadata);
	before = measure();
	for (i = 0; i < 100; i++)
		one_vm(_metadata);
	middle = measure();
	for (i = 0; i < 100; i++)
		one_vm(_metadata);
	after = measure();
	/* A leak of one page with each VM shows in both halves; caches fill up only once. */
	EXPECT_TRUE(middle.kernel - before.kernel < 300 || after.kernel - middle.kernel < 300)
		TH_LOG("kernel memory %ld, %ld, %ld KiB", before.kernel, middle.kernel,
		       after.kernel);
	EXPECT_TRUE(middle.all - before.all < 380 || after.all - middle.all < 380)
		TH_LOG("memory beside what was free %ld, %ld, %ld KiB", before.all, middle.all,
		       after.all);
}

TEST_HARNESS_MAIN
