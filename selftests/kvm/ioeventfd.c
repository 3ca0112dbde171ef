// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_IOEVENTFD: writes to ports and memory that signal an eventfd instead of leaving.
 * Must not test coalesced zones; coalesced.c does.
 */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "ktap.h"
#include "tvm.h"

#define PIO KVM_IOEVENTFD_FLAG_PIO
#define MATCH KVM_IOEVENTFD_FLAG_DATAMATCH
#define DEASSIGN KVM_IOEVENTFD_FLAG_DEASSIGN

#define END "out %al, $" GUEST_STR(PORT_TEST) "; hlt"

PROGRAM(out8, 64, "out %al, %dx;" END);
PROGRAM(out16, 64, "out %ax, %dx;" END);
PROGRAM(out32, 64, "out %eax, %dx;" END);
PROGRAM(in8, 64, "in %dx, %al;" END);
PROGRAM(mov8, 64, "mov %al, (%rsi);" END);
PROGRAM(mov16, 64, "mov %ax, (%rsi);" END);
PROGRAM(mov32, 64, "mov %eax, (%rsi);" END);
PROGRAM(mov64, 64, "mov %rax, (%rsi);" END);
PROGRAM(movi, 64, "movl $0x12345678, (%rsi);" END);
PROGRAM(load, 64, "mov (%rsi), %eax;" END);
PROGRAM(exchange, 64, "xchg %eax, (%rsi);" END);
PROGRAM(stepped, 64, "pushf; orl $0x100, (%rsp); popf; mov %eax, (%rsi); nop;" END);

FIXTURE(ioeventfd)
{
	struct tvm *vm;
	struct tcpu *cpu;
	int fd, other;
};

FIXTURE_SETUP(ioeventfd)
{
	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
	self->fd = eventfd(0, EFD_NONBLOCK);
	self->other = eventfd(0, EFD_NONBLOCK);
	if (!tvm_cap(self->vm, KVM_CAP_IOEVENTFD) ||
	    !tvm_cap(self->vm, KVM_CAP_IOEVENTFD_ANY_LENGTH))
		SKIP(return, "the device offers no ioeventfd");
}

FIXTURE_TEARDOWN(ioeventfd)
{
	close(self->fd);
	close(self->other);
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

static int ioeventfd(struct tvm *vm, int fd, u64 addr, u32 len, u32 flags, u64 data)
{
	struct kvm_ioeventfd args = {
		.fd = fd, .addr = addr, .len = len, .flags = flags, .datamatch = data,
	};

	return ioctl(vm->fd, KVM_IOEVENTFD, &args);
}

static u64 count(int fd)
{
	u64 n;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* Runs an access; true when it did not leave to user space. */
static bool silent(struct tcpu *cpu, const struct guest_code *code, u64 addr, u64 value)
{
	struct kvm_regs regs;

	tcpu_settle(cpu);
	tcpu_load(cpu, code);
	regs = tcpu_regs(cpu);
	regs.rsi = addr;
	regs.rdx = addr;
	regs.rax = value;
	tcpu_set_regs(cpu, &regs);
	return tcpu_run(cpu) == KVM_EXIT_IO && tcpu_is_out(cpu, PORT_TEST);
}

TEST_F(ioeventfd, ports)
{
	ASSERT_OK(ioeventfd(self->vm, self->fd, PORT_TEST2, 2, PIO, 0));
	EXPECT_TRUE(silent(self->cpu, &out16, PORT_TEST2, 7));
	EXPECT_TRUE(silent(self->cpu, &out16, PORT_TEST2, 8));
	EXPECT_EQ(2, count(self->fd));
	/* Another length, another address, a read. */
	EXPECT_FALSE(silent(self->cpu, &out8, PORT_TEST2, 7));
	EXPECT_FALSE(silent(self->cpu, &out32, PORT_TEST2, 7));
	EXPECT_FALSE(silent(self->cpu, &out8, PORT_TEST2 + 1, 7));
	EXPECT_FALSE(silent(self->cpu, &in8, PORT_TEST2, 7));
	EXPECT_EQ(0, count(self->fd));
	ASSERT_OK(ioeventfd(self->vm, self->fd, PORT_TEST2, 2, PIO | DEASSIGN, 0));
	EXPECT_FALSE(silent(self->cpu, &out16, PORT_TEST2, 7));
}

TEST_F(ioeventfd, datamatch)
{
	ASSERT_OK(ioeventfd(self->vm, self->fd, PORT_TEST2, 2, PIO | MATCH, 3));
	ASSERT_OK(ioeventfd(self->vm, self->other, PORT_TEST2, 2, PIO | MATCH, 4));
	/* The register's upper half is not written. */
	EXPECT_TRUE(silent(self->cpu, &out16, PORT_TEST2, 0x70003));
	EXPECT_EQ(1, count(self->fd));
	EXPECT_EQ(0, count(self->other));
	EXPECT_TRUE(silent(self->cpu, &out16, PORT_TEST2, 4));
	EXPECT_EQ(0, count(self->fd));
	EXPECT_EQ(1, count(self->other));
	EXPECT_FALSE(silent(self->cpu, &out16, PORT_TEST2, 5));
	ASSERT_OK(ioeventfd(self->vm, self->other, PORT_TEST2, 2, PIO | MATCH | DEASSIGN, 4));
	EXPECT_FALSE(silent(self->cpu, &out16, PORT_TEST2, 4));
	EXPECT_TRUE(silent(self->cpu, &out16, PORT_TEST2, 3));
}

TEST_F(ioeventfd, memory)
{
	static const struct guest_code *const stores[] = { &mov8, &mov16, &mov32, &mov64 };
	unsigned int i, j;

	for (i = 0; i < 4; i++) {
		ASSERT_OK(ioeventfd(self->vm, self->fd, GUEST_MMIO + 8, 1 << i, 0, 0));
		for (j = 0; j < 4; j++) {
			EXPECT_EQ(i == j, silent(self->cpu, stores[j], GUEST_MMIO + 8, 7));
			EXPECT_EQ(i == j, count(self->fd));
		}
		EXPECT_FALSE(silent(self->cpu, &load, GUEST_MMIO + 8, 7));
		ASSERT_OK(ioeventfd(self->vm, self->fd, GUEST_MMIO + 8, 1 << i, DEASSIGN, 0));
	}
	ASSERT_OK(ioeventfd(self->vm, self->fd, GUEST_MMIO, 8, MATCH, 0x1122334455667788));
	EXPECT_TRUE(silent(self->cpu, &mov64, GUEST_MMIO, 0x1122334455667788));
	EXPECT_FALSE(silent(self->cpu, &mov64, GUEST_MMIO, 0x55667788));
	EXPECT_EQ(1, count(self->fd));
}

TEST_F(ioeventfd, any_length)
{
	ASSERT_OK(ioeventfd(self->vm, self->fd, PORT_TEST2, 0, PIO, 0));
	EXPECT_TRUE(silent(self->cpu, &out8, PORT_TEST2, 1));
	EXPECT_TRUE(silent(self->cpu, &out16, PORT_TEST2, 1));
	EXPECT_TRUE(silent(self->cpu, &out32, PORT_TEST2, 1));
	EXPECT_FALSE(silent(self->cpu, &out8, PORT_TEST2 + 1, 1));
	EXPECT_EQ(3, count(self->fd));
	/* The last bytes of the space of ports and at the end of a page. */
	ASSERT_OK(ioeventfd(self->vm, self->other, GUEST_MMIO + 0xffc, 0, 0, 0));
	EXPECT_TRUE(silent(self->cpu, &mov8, GUEST_MMIO + 0xffc, 1));
	EXPECT_TRUE(silent(self->cpu, &mov16, GUEST_MMIO + 0xffc, 1));
	EXPECT_TRUE(silent(self->cpu, &mov32, GUEST_MMIO + 0xffc, 1));
	EXPECT_TRUE(silent(self->cpu, &movi, GUEST_MMIO + 0xffc, 1));
	EXPECT_EQ(4, count(self->other));
	EXPECT_FALSE(silent(self->cpu, &mov8, GUEST_MMIO + 0xffd, 1));
	/* KVM takes a load for a store, as it does not look. */
	if (tvm_is_kvmlet())
		EXPECT_FALSE(silent(self->cpu, &load, GUEST_MMIO + 0xffc, 1));
	EXPECT_EQ(0, count(self->other));
	ASSERT_OK(ioeventfd(self->vm, self->other, GUEST_MMIO + 0xffc, 0, DEASSIGN, 0));
	EXPECT_FALSE(silent(self->cpu, &mov32, GUEST_MMIO + 0xffc, 1));
	EXPECT_EQ(0, count(self->other));
}

TEST_F(ioeventfd, any_length_odd)
{
	struct tfault fault;

	ASSERT_OK(ioeventfd(self->vm, self->fd, GUEST_MMIO, 0, 0, 0));
	/* A trap after the store finds the next instruction. */
	EXPECT_FALSE(silent(self->cpu, &stepped, GUEST_MMIO, 1));
	while (tcpu_fault(self->cpu, &fault) && fault.vector == 1 && !count(self->fd))
		tcpu_run(self->cpu);
	if (tvm_is_kvmlet()) {
		/* A read belongs to it: the read goes to user space. */
		EXPECT_FALSE(silent(self->cpu, &exchange, GUEST_MMIO, 1));
		EXPECT_EQ(KVM_EXIT_MMIO, (int)self->cpu->run->exit_reason);
		EXPECT_FALSE(self->cpu->run->mmio.is_write);
	}
}

TEST_F(ioeventfd, memory_beneath)
{
	void *page = tvm_map(PAGE);

	/* Where there is memory the guest writes it; KVM does not notice at once. */
	if (!tvm_is_kvmlet())
		SKIP(return, "only kvmlet looks");
	ASSERT_OK(ioeventfd(self->vm, self->fd, GUEST_MMIO, 0, 0, 0));
	EXPECT_TRUE(silent(self->cpu, &mov32, GUEST_MMIO, 1));
	EXPECT_EQ(1, count(self->fd));
	ASSERT_OK(tvm_slot(self->vm, 9, 0, GUEST_MMIO, PAGE, page));
	EXPECT_TRUE(silent(self->cpu, &mov32, GUEST_MMIO, 0x1234));
	EXPECT_EQ(0, count(self->fd));
	EXPECT_EQ(0x1234, *(u32 *)page);
	ASSERT_OK(tvm_slot(self->vm, 9, 0, GUEST_MMIO, 0, page));
	EXPECT_TRUE(silent(self->cpu, &mov32, GUEST_MMIO, 1));
	EXPECT_EQ(1, count(self->fd));
}

TEST_F(ioeventfd, clashes)
{
	ASSERT_OK(ioeventfd(self->vm, self->fd, PORT_TEST2, 2, PIO | MATCH, 3));
	EXPECT_ERR(EEXIST, ioeventfd(self->vm, self->other, PORT_TEST2, 2, PIO | MATCH, 3));
	EXPECT_ERR(EEXIST, ioeventfd(self->vm, self->other, PORT_TEST2, 2, PIO, 0));
	EXPECT_ERR(EEXIST, ioeventfd(self->vm, self->other, PORT_TEST2, 0, PIO, 0));
	EXPECT_OK(ioeventfd(self->vm, self->other, PORT_TEST2, 4, PIO, 0));
	EXPECT_OK(ioeventfd(self->vm, self->other, PORT_TEST2, 2, 0, 0));
	EXPECT_OK(ioeventfd(self->vm, self->other, PORT_TEST2 + 1, 0, PIO, 0));
	EXPECT_TRUE(silent(self->cpu, &out32, PORT_TEST2, 3));
	EXPECT_EQ(1, count(self->other));
	EXPECT_ERR(ENOENT, ioeventfd(self->vm, self->other, PORT_TEST2, 2, PIO | DEASSIGN, 0));
	EXPECT_ERR(ENOENT, ioeventfd(self->vm, self->fd, PORT_TEST2, 2, PIO | DEASSIGN, 3));
	EXPECT_ERR(ENOENT,
		   ioeventfd(self->vm, self->fd, PORT_TEST2, 2, PIO | MATCH | DEASSIGN, 4));
	EXPECT_OK(ioeventfd(self->vm, self->fd, PORT_TEST2, 2, PIO | MATCH | DEASSIGN, 3));
}

TEST_F(ioeventfd, refusals)
{
	int null = open("/dev/null", O_RDWR);

	EXPECT_ERR(EINVAL, ioeventfd(self->vm, self->fd, PORT_TEST2, 3, PIO, 0));
	EXPECT_ERR(EINVAL, ioeventfd(self->vm, self->fd, PORT_TEST2, 16, PIO, 0));
	EXPECT_ERR(EINVAL, ioeventfd(self->vm, self->fd, PORT_TEST2, 2, PIO | 0x100, 0));
	EXPECT_ERR(EINVAL, ioeventfd(self->vm, self->fd, PORT_TEST2, 0, PIO | MATCH, 0));
	EXPECT_ERR(EINVAL, ioeventfd(self->vm, self->fd, ~0ULL, 2, 0, 0));
	EXPECT_ERR(EBADF, ioeventfd(self->vm, 999, PORT_TEST2, 2, PIO, 0));
	EXPECT_ERR(EINVAL, ioeventfd(self->vm, null, PORT_TEST2, 2, PIO, 0));
	EXPECT_ERR(ENOENT, ioeventfd(self->vm, self->fd, PORT_TEST2, 2, PIO | DEASSIGN, 0));
	EXPECT_ERR(EFAULT, ioctl(self->vm->fd, KVM_IOEVENTFD, 8));
	close(null);
}

TEST_F(ioeventfd, many)
{
	unsigned int i;

	/* More than there may be devices; all at one place. */
	for (i = 0; i < 1100; i++)
		ASSERT_OK(ioeventfd(self->vm, self->fd, GUEST_MMIO, 4, MATCH, i));
	EXPECT_TRUE(silent(self->cpu, &mov32, GUEST_MMIO, 0));
	EXPECT_TRUE(silent(self->cpu, &mov32, GUEST_MMIO, 1099));
	EXPECT_FALSE(silent(self->cpu, &mov32, GUEST_MMIO, 1100));
	EXPECT_EQ(2, count(self->fd));
	/* The VM takes the rest with it. */
	for (i = 0; i < 10; i++)
		ASSERT_OK(ioeventfd(self->vm, self->fd, GUEST_MMIO, 4, MATCH | DEASSIGN, 3 * i));
	EXPECT_FALSE(silent(self->cpu, &mov32, GUEST_MMIO, 27));
	EXPECT_TRUE(silent(self->cpu, &mov32, GUEST_MMIO, 28));
}

TEST_HARNESS_MAIN
