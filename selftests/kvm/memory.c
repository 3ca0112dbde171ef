// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory follows the host's mappings: faults, copy-on-write, remapping, protection.
 * Must not use swap or more than one process's own memory.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ktap.h"
#include "tvm.h"

#define SLOT 7
#define BASE 0x40000000UL

PROGRAM(load, 64, "1: mov (%rsi), %rax; out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b");
PROGRAM(store, 64, "1: mov %rax, (%rsi); out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b");

FIXTURE(memory)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

FIXTURE_SETUP(memory)
{
	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
}

FIXTURE_TEARDOWN(memory)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

static void start(struct tcpu *cpu, const struct guest_code *code, u64 address,
		  u64 value)
{
	struct kvm_regs regs;

	tcpu_load(cpu, code);
	regs = tcpu_regs(cpu);
	regs.rsi = address;
	regs.rax = value;
	tcpu_set_regs(cpu, &regs);
}

/* What the guest reads at BASE, or -errno. */
static long guest_load(struct tcpu *cpu)
{
	int ret;

	start(cpu, &load, BASE, 0);
	ret = tcpu_run(cpu);
	return ret == KVM_EXIT_IO ? (long)tcpu_regs(cpu).rax : ret;
}

static int guest_store(struct tcpu *cpu, u64 value)
{
	start(cpu, &store, BASE, value);
	return tcpu_run(cpu);
}

TEST_F(memory, fault_where_nothing_is_mapped)
{
	u8 *mem = tvm_map(2 * PAGE);
	u64 value = 0x1234;

	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, 2 * PAGE, mem));
	ASSERT_OK(munmap(mem, PAGE));
	EXPECT_EQ(-EFAULT, guest_load(self->cpu));
	/* The instruction is tried again: after a repair it goes on. */
	EXPECT_EQ(-EFAULT, tcpu_run(self->cpu));
	ASSERT_EQ(mem, mmap(mem, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	memcpy(mem, &value, 8);
	EXPECT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	EXPECT_EQ(value, tcpu_regs(self->cpu).rax);
}

TEST_F(memory, fault_where_the_host_may_not_access)
{
	u8 *mem = tvm_map(PAGE);

	mem[0] = 1;
	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, PAGE, mem));
	ASSERT_OK(mprotect(mem, PAGE, PROT_NONE));
	EXPECT_EQ(-EFAULT, guest_load(self->cpu));
	EXPECT_EQ(-EFAULT, guest_store(self->cpu, 2));
	ASSERT_OK(mprotect(mem, PAGE, PROT_READ));
	EXPECT_EQ(1, guest_load(self->cpu));
	EXPECT_EQ(-EFAULT, guest_store(self->cpu, 2));
	EXPECT_EQ(1, mem[0]);
	ASSERT_OK(mprotect(mem, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(KVM_EXIT_IO, guest_store(self->cpu, 2));
	EXPECT_EQ(2, mem[0]);
	/* Taken away again while the vCPU has it mapped writable. */
	ASSERT_OK(mprotect(mem, PAGE, PROT_READ));
	EXPECT_EQ(2, guest_load(self->cpu));
	EXPECT_EQ(-EFAULT, guest_store(self->cpu, 3));
}

TEST_F(memory, fault_on_instruction_fetch)
{
	u8 *mem = tvm_map(PAGE);

	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, PAGE, mem));
	mem[0] = 0xf4;
	ASSERT_OK(mprotect(mem, PAGE, PROT_NONE));
	tcpu_set_rip(self->cpu, BASE, false);
	EXPECT_EQ(-EFAULT, tcpu_run(self->cpu));
	EXPECT_EQ(BASE, tcpu_regs(self->cpu).rip);
	ASSERT_OK(mprotect(mem, PAGE, PROT_READ));
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
}

TEST_F(memory, discarded_memory_reads_zero)
{
	u8 *mem = tvm_map(PAGE);

	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, PAGE, mem));
	ASSERT_EQ(KVM_EXIT_IO, guest_store(self->cpu, 0x99));
	EXPECT_EQ(0x99, mem[0]);
	ASSERT_OK(madvise(mem, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, guest_load(self->cpu));
	/* The page just read is the zero page or a new one; writing must not be lost. */
	ASSERT_EQ(KVM_EXIT_IO, guest_store(self->cpu, 0x98));
	EXPECT_EQ(0x98, mem[0]);
	EXPECT_EQ(0x98, guest_load(self->cpu));
}

TEST_F(memory, remapped_memory)
{
	u8 *mem = tvm_map(2 * PAGE);

	mem[0] = 0x11;
	mem[PAGE] = 0x22;
	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, PAGE, mem));
	EXPECT_EQ(0x11, guest_load(self->cpu));
	ASSERT_EQ(mem, mremap(mem + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, mem));
	EXPECT_EQ(0x22, guest_load(self->cpu));
	mem[0] = 0x23;
	EXPECT_EQ(0x23, guest_load(self->cpu));
}

static int memory_file(size_t size)
{
	int fd = memfd_create("selftest", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, size))
		tvm_die("memfd: %m");
	return fd;
}

TEST_F(memory, private_file_mapping)
{
	int fd = memory_file(PAGE);
	u8 *mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	u64 value = 0x41;

	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(8, pwrite(fd, &value, 8, 0));
	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, PAGE, mem));
	EXPECT_EQ(0x41, guest_load(self->cpu));
	/* Not copied yet: a change of the file shows. */
	value = 0x42;
	ASSERT_EQ(8, pwrite(fd, &value, 8, 0));
	EXPECT_EQ(0x42, guest_load(self->cpu));
	ASSERT_EQ(KVM_EXIT_IO, guest_store(self->cpu, 0x43));
	EXPECT_EQ(0x43, mem[0]);
	EXPECT_EQ(0x43, guest_load(self->cpu));
	ASSERT_EQ(8, pread(fd, &value, 8, 0));
	EXPECT_EQ(0x42, value);
}

TEST_F(memory, shared_file_mapping)
{
	int fd = memory_file(2 * PAGE);
	u8 *mem = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	u64 value;

	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, 2 * PAGE, mem));
	ASSERT_EQ(KVM_EXIT_IO, guest_store(self->cpu, 0x51));
	ASSERT_EQ(8, pread(fd, &value, 8, 0));
	EXPECT_EQ(0x51, value);
	value = 0x52;
	ASSERT_EQ(8, pwrite(fd, &value, 8, 0));
	EXPECT_EQ(0x52, guest_load(self->cpu));
	/* Cut off behind the vCPU's back: a process would get SIGBUS. */
	ASSERT_OK(ftruncate(fd, 0));
	EXPECT_EQ(-EFAULT, guest_load(self->cpu));
}

TEST_F(memory, copy_on_write_after_fork)
{
	u8 *mem = tvm_map(PAGE);
	int status, go[2];
	pid_t child;
	char byte;

	ASSERT_OK(pipe(go));
	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, PAGE, mem));
	ASSERT_EQ(KVM_EXIT_IO, guest_store(self->cpu, 0x61));
	child = fork();
	if (!child) {
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		/* Only the parent's guest wrote since. */
		_exit(mem[0] == 0x61 ? 0 : 2);
	}
	EXPECT_EQ(0x61, guest_load(self->cpu));
	ASSERT_EQ(KVM_EXIT_IO, guest_store(self->cpu, 0x62));
	EXPECT_EQ(0x62, mem[0]);
	ASSERT_EQ(1, write(go[1], "", 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0x62, guest_load(self->cpu));
}

/* Counts in memory until told to stop. */
PROGRAM(count, 64, "1: incq (%rsi); cmpq $0, 8(%rsi); je 1b; hlt");

static void *remapper(void *arg)
{
	u64 *mem = arg;
	unsigned int i;

	for (i = 0; i < 20; i++) {
		usleep(2000);
		if (madvise(arg, PAGE, MADV_DONTNEED))
			break;
	}
	__atomic_store_n(&mem[1], 1, __ATOMIC_RELAXED);
	return NULL;
}

TEST_F(memory, discarded_under_a_running_guest)
{
	u8 *mem = tvm_map(PAGE);
	pthread_t thread;

	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, PAGE, mem));
	start(self->cpu, &count, BASE, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, remapper, mem));
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
	pthread_join(thread, NULL);
	EXPECT_EQ(1, mem[8]);
}

#define MANY_PAGES	8192

/* On the vCPU's CPU, with less weight: is preempted in the middle. */
static void *weak_discarder(void *arg)
{
	u64 *mem = arg;

	setpriority(PRIO_PROCESS, syscall(SYS_gettid), 10);
	madvise(mem, MANY_PAGES * PAGE, MADV_DONTNEED);
	__atomic_store_n(&mem[1], 1, __ATOMIC_RELAXED);
	return NULL;
}

/* A vCPU that asks again at once keeps whoever discards from the CPU, and itself from the page. */
TEST_F(memory, discarded_by_a_thread_of_less_weight)
{
	int stats = ioctl(self->cpu->fd, KVM_GET_STATS_FD, NULL);
	u8 *mem = tvm_map(MANY_PAGES * PAGE);
	cpu_set_t all, one;
	pthread_t thread;
	long exits;
	int i;

	if (!tvm_is_kvmlet())
		SKIP(return, "the in-tree module tries again and again");
	ASSERT_LE(0, stats);
	ASSERT_OK(sched_getaffinity(0, sizeof(all), &all));
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	ASSERT_OK(sched_setaffinity(0, sizeof(one), &one));
	madvise(mem, MANY_PAGES * PAGE, MADV_NOHUGEPAGE);
	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, MANY_PAGES * PAGE, mem));
	exits = tvm_counter(stats, "exits");
	for (i = 0; i < 4; i++) {
		memset(mem, 0, MANY_PAGES * PAGE);
		start(self->cpu, &count, BASE, 0);
		ASSERT_EQ(0, pthread_create(&thread, NULL, weak_discarder, mem));
		EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
		pthread_join(thread, NULL);
	}
	ASSERT_OK(sched_setaffinity(0, sizeof(all), &all));
	/* Mostly ticks of the clock that interrupt the guest. */
	exits = tvm_counter(stats, "exits") - exits;
	printf("# %ld exits\n", exits);
	EXPECT_GE(5000, exits);
	close(stats);
}

PROGRAM(fill, 64, "mov $0x200000, %ecx; mov %rsi, %rdi; mov $0x7b, %al; rep stosb; hlt");

TEST_F(memory, large_region)
{
	size_t size = 4UL << 20;
	u8 *mem = tvm_map(size);
	u8 *aligned = (u8 *)(((uintptr_t)mem + (2UL << 20) - 1) & -(2UL << 20));

	/* A huge page where the host has them; zapping a part of it must not lose the rest. */
	madvise(aligned, 2UL << 20, MADV_HUGEPAGE);
	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, 2UL << 20, aligned));
	start(self->cpu, &fill, BASE, 0);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
	EXPECT_EQ(0x7b, aligned[0]);
	EXPECT_EQ(0x7b, aligned[(2UL << 20) - 1]);
	ASSERT_OK(madvise(aligned, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, guest_load(self->cpu));
	EXPECT_EQ(0x7b, aligned[PAGE]);
	EXPECT_EQ(0x7b, aligned[(2UL << 20) - 1]);
}

#define ROUNDS	3000

/* Pages that the guest has mapped, in the tables and under the lock of the other thread's. */
static void *discard_rounds(void *arg)
{
	unsigned int i;

	for (i = 0; i < ROUNDS; i++)
		if (madvise(arg, 64 * PAGE, MADV_DONTNEED))
			return arg;
	return NULL;
}

/* Each lets go of the lock for the other: with two CPUs neither may keep the other from its end. */
TEST_F(memory, discarded_by_two_threads_at_once)
{
	size_t size = 2UL << 20;
	u8 *mem = tvm_map(size);
	pthread_t thread;
	void *failed;

	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, size, mem));
	start(self->cpu, &fill, BASE, 0);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
	ASSERT_EQ(0, pthread_create(&thread, NULL, discard_rounds, mem));
	EXPECT_EQ(NULL, discard_rounds(mem + size / 2));
	pthread_join(thread, &failed);
	EXPECT_EQ(NULL, failed);
	EXPECT_EQ(0, guest_load(self->cpu));
}

TEST_F(memory, page_table_in_absent_memory)
{
	u8 *mem = tvm_map(PAGE);
	struct kvm_sregs sregs = tcpu_sregs(self->cpu);

	ASSERT_OK(tvm_slot(self->vm, SLOT, 0, BASE, PAGE, mem));
	memcpy(mem, self->vm->mem + GUEST_PML4, PAGE);
	sregs.cr3 = BASE;
	tcpu_load_bytes(self->cpu, "\xf4", 1);
	tcpu_set_sregs(self->cpu, &sregs);
	ASSERT_OK(mprotect(mem, PAGE, PROT_NONE));
	EXPECT_EQ(-EFAULT, tcpu_run(self->cpu));
	ASSERT_OK(mprotect(mem, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
}

TEST_HARNESS_MAIN
