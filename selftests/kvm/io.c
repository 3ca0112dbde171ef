// SPDX-License-Identifier: GPL-2.0-only
/*
 * Port I/O of single values: sizes, directions, ports of user space and of the kernel.
 * Must not test the devices behind in-kernel ports; pic.c and timers.c do.
 */
#include "ktap.h"
#include "tvm.h"

#define PORT GUEST_STR(PORT_TEST2)

PROGRAM(outs, 64,
	"mov $" PORT ", %edx; mov $0x8899aabbccddeeff, %rax;"
	"out %al, %dx; out %ax, %dx; out %eax, %dx; out %al, $0x42; out %ax, $0x44;"
	"out %eax, $0x48; hlt");

PROGRAM(ins, 64,
	"mov $" PORT ", %edx; mov $-1, %rax; in %dx, %al; mov %rax, %rbx;"
	"mov $-1, %rax; in %dx, %ax; mov %rax, %rcx;"
	"mov $-1, %rax; in %dx, %eax; mov %rax, %rsi; in $0x42, %al; hlt");

static struct tvm *vm;
static struct tcpu *cpu;

static void start(const struct guest_code *code)
{
	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
	tcpu_load(cpu, code);
}

static void expect_io(struct __test_metadata *_metadata, unsigned int direction,
		      unsigned int port, unsigned int size, unsigned int count)
{
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu))
		tcpu_explain(cpu);
	EXPECT_EQ(direction, cpu->run->io.direction);
	EXPECT_EQ(port, cpu->run->io.port);
	EXPECT_EQ(size, cpu->run->io.size);
	EXPECT_EQ(count, cpu->run->io.count);
	/* The data lies inside the mapping, behind struct kvm_run. */
	EXPECT_LE(sizeof(struct kvm_run), cpu->run->io.data_offset);
	EXPECT_GE(vm->run_size, cpu->run->io.data_offset + size * count);
}

static void answer(u64 value)
{
	memcpy(tcpu_io_data(cpu), &value, cpu->run->io.size);
}

TEST(out_of_each_size)
{
	static const unsigned int ports[] = {
		PORT_TEST2, PORT_TEST2, PORT_TEST2, 0x42, 0x44, 0x48,
	};
	unsigned int i;

	start(&outs);
	for (i = 0; i < 6; i++) {
		unsigned int size = 1U << i % 3;

		expect_io(_metadata, KVM_EXIT_IO_OUT, ports[i], size, 1);
		EXPECT_EQ(0, memcmp(tcpu_io_data(cpu), "\xff\xee\xdd\xcc", size));
	}
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
}

TEST(in_of_each_size)
{
	struct kvm_regs regs;

	start(&ins);
	expect_io(_metadata, KVM_EXIT_IO_IN, PORT_TEST2, 1, 1);
	answer(0x12);
	expect_io(_metadata, KVM_EXIT_IO_IN, PORT_TEST2, 2, 1);
	answer(0x3456);
	expect_io(_metadata, KVM_EXIT_IO_IN, PORT_TEST2, 4, 1);
	answer(0x789abcde);
	expect_io(_metadata, KVM_EXIT_IO_IN, 0x42, 1, 1);
	answer(0x21);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
	regs = tcpu_regs(cpu);
	EXPECT_EQ(0xffffffffffffff12, regs.rbx);
	EXPECT_EQ(0xffffffffffff3456, regs.rcx);
	EXPECT_EQ(0x789abcde, regs.rsi);
	EXPECT_EQ(0x789abc21, regs.rax);
}

PROGRAM(pic_mask, 64,
	"in $0x21, %al; mov %al, %bl; mov $0x5a, %al; out %al, $0x21; mov $0, %al;"
	"in $0x21, %al; out %al, $" GUEST_STR(PORT_TEST));

TEST(ports_of_the_kernel_do_not_reach_user_space)
{
	vm = tvm_create(TVM_PIT);
	cpu = tvm_vcpu(vm, 0);
	tcpu_load(cpu, &pic_mask);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	ASSERT_TRUE(tcpu_is_out(cpu, PORT_TEST));
	EXPECT_EQ(0x5a, *(u8 *)tcpu_io_data(cpu));
	/* The same code in a VM without controllers asks user space. */
	start(&pic_mask);
	expect_io(_metadata, KVM_EXIT_IO_IN, 0x21, 1, 1);
}

TEST_HARNESS_MAIN
