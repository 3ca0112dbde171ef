// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GET_STATS_FD: the counters of a VM and of a vCPU, found by their own description.
 * Must not expect a counter that has no name in both devices.
 */
#include <string.h>
#include <sys/syscall.h>

#include "ktap.h"
#include "tvm.h"

static void expect_id(struct __test_metadata *_metadata, int fd, const char *tail)
{
	struct kvm_stats_header header;
	char id[256] = "";

	ASSERT_EQ(sizeof(header), pread(fd, &header, sizeof(header), 0));
	ASSERT_GE(sizeof(id), header.name_size);
	ASSERT_EQ(header.name_size, pread(fd, id, header.name_size, header.id_offset));
	EXPECT_EQ(0, strncmp(id, "kvm-", 4));
	if (tail)
		EXPECT_NE(NULL, strstr(id, tail));
	/* Read on from where the last read ended, and past the end. */
	EXPECT_EQ(16, read(fd, id, 16));
	EXPECT_EQ(0, pread(fd, id, 16, 1 << 20));
	EXPECT_ERR(EFAULT, syscall(SYS_pread64, fd, 0x10, 16, 0));
}

PROGRAM(ports, 64, "1: out %al, $0xe0; jmp 1b");

TEST(counters)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 3);
	int vm_stats, cpu_stats, i;
	long exits, ios;

	ASSERT_EQ(1, tvm_cap(vm, KVM_CAP_BINARY_STATS_FD));
	vm_stats = ioctl(vm->fd, KVM_GET_STATS_FD, NULL);
	cpu_stats = ioctl(cpu->fd, KVM_GET_STATS_FD, NULL);
	ASSERT_LE(0, vm_stats);
	ASSERT_LE(0, cpu_stats);
	expect_id(_metadata, vm_stats, NULL);
	expect_id(_metadata, cpu_stats, "/vcpu-3");
	EXPECT_ERR(EBADF, write(cpu_stats, "", 1));

	EXPECT_EQ(-1, tvm_counter(cpu_stats, "no such thing"));
	exits = tvm_counter(cpu_stats, "exits");
	ios = tvm_counter(cpu_stats, "io_exits");
	tcpu_load(cpu, &ports);
	for (i = 0; i < 10; i++)
		ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	EXPECT_LE(exits + 10, tvm_counter(cpu_stats, "exits"));
	EXPECT_EQ(ios + 10, tvm_counter(cpu_stats, "io_exits"));
	EXPECT_LT(0, tvm_counter(cpu_stats, "pf_fixed"));
	EXPECT_LT(0, tvm_counter(vm_stats, "pages_4k") + tvm_counter(vm_stats, "pages_2m"));

	/* They outlive all other files of the VM. */
	tcpu_destroy(cpu);
	tvm_destroy(vm);
	EXPECT_EQ(ios + 10, tvm_counter(cpu_stats, "io_exits"));
	EXPECT_LE(0, tvm_counter(vm_stats, "pages_4k"));
	close(cpu_stats);
	close(vm_stats);
}

TEST_HARNESS_MAIN
