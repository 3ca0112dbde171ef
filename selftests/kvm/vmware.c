// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMware's backdoor, which the module's parameter enable_vmware_backdoor opens to user code, and
 * the #GP that all else in ring 3 has to get as if nobody had looked.
 * Must not need the parameter: without it nothing is open.
 */
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "ktap.h"
#include "tvm.h"

#define GP 13
#define COMMANDS 0x5658
#define MESSAGES 0x5659
#define PMU_LEAF 0xa

/* To ring 3 with IOPL 0. */
#define ENTER(code) \
	"pushq $" GUEST_STR(SEL_UDATA) "; pushq $0x6000; pushq $2; pushq $" GUEST_STR(code) ";" \
	"lea 1f(%rip), %rax; push %rax; iretq; 1: "
#define OFF "the parameter enable_vmware_backdoor is off"

FIXTURE(backdoor)
{
	struct tvm *vm;
	struct tcpu *cpu;
	bool open;
};

static bool parameter(void)
{
	int fd = open(tvm_is_kvmlet() ? "/sys/module/kvmlet/parameters/enable_vmware_backdoor" :
		      "/sys/module/kvm/parameters/enable_vmware_backdoor", O_RDONLY);
	char on = 'N';

	if (fd < 0)
		return false;
	if (read(fd, &on, 1) != 1)
		on = 'N';
	close(fd);
	return on == 'Y';
}

FIXTURE_SETUP(backdoor)
{
	self->open = parameter();
	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
	/* No map of ports. */
	*(u16 *)(self->vm->mem + GUEST_TSS + 102) = 0x68;
}

FIXTURE_TEARDOWN(backdoor)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

static bool asks(struct tcpu *cpu, unsigned int direction, unsigned int port, unsigned int size)
{
	int reason = tcpu_run(cpu);
	const struct kvm_run *run = cpu->run;

	if (reason == KVM_EXIT_IO && run->io.direction == direction && run->io.port == port &&
	    run->io.size == size && run->io.count == 1)
		return true;
	tcpu_explain(cpu);
	return false;
}

/* Does @code get #GP in ring 3, at the instruction whose address it has put into RBX? */
static bool faults(struct tcpu *cpu, const struct guest_code *code, u64 error)
{
	struct tfault fault;

	tcpu_mode(cpu, MODE_LONG);
	tcpu_load(cpu, code);
	if (tcpu_run_fault(cpu) != GP || !tcpu_fault(cpu, &fault))
		return false;
	if ((fault.cs & 3) == 3 && fault.error == error && fault.rip == tcpu_regs(cpu).rbx)
		return true;
	tcpu_explain(cpu);
	return false;
}

PROGRAM(ports, 64,
	ENTER(SEL_UCODE64)
	"mov $0x5658, %edx; mov $-1, %rax; in %dx, %eax; mov %rax, %rsi; mov %rdx, %rdi;"
	"mov $0x5659, %edx; mov $0x11223344, %eax; out %ax, %dx; out %al, %dx;"
	"lea 2f(%rip), %rbx; mov $0x565a, %edx; 2: in %dx, %eax");

/* As VMware's commands do, the answer comes in other registers as well, the port's included. */
TEST_F(backdoor, ports)
{
	struct tcpu *cpu = self->cpu;
	struct kvm_regs regs;
	struct tfault fault;
	u32 answer = 0x8899aabb;

	if (!self->open)
		SKIP(return, OFF);
	tcpu_load(cpu, &ports);
	ASSERT_TRUE(asks(cpu, KVM_EXIT_IO_IN, COMMANDS, 4));
	memcpy(tcpu_io_data(cpu), &answer, 4);
	regs = tcpu_regs(cpu);
	regs.rcx = 0x1234;
	regs.rdx = 0xdddd0070;
	/* There KVM forgets the port's answer, so that VMMs set EAX as well. */
	if (!tvm_is_kvmlet())
		regs.rax = answer;
	tcpu_set_regs(cpu, &regs);
	ASSERT_TRUE(asks(cpu, KVM_EXIT_IO_OUT, MESSAGES, 2));
	EXPECT_EQ(0x3344, *(u16 *)tcpu_io_data(cpu));
	regs = tcpu_regs(cpu);
	EXPECT_EQ(answer, regs.rsi);
	EXPECT_EQ(0xdddd0070, regs.rdi);
	EXPECT_EQ(0x1234, regs.rcx);
	ASSERT_TRUE(asks(cpu, KVM_EXIT_IO_OUT, MESSAGES, 1));
	EXPECT_EQ(0x44, *(u8 *)tcpu_io_data(cpu));
	/* The next port is closed. */
	ASSERT_EQ(GP, tcpu_run_fault(cpu));
	ASSERT_TRUE(tcpu_fault(cpu, &fault));
	EXPECT_EQ(0, fault.error);
	EXPECT_EQ(tcpu_regs(cpu).rbx, fault.rip);
	EXPECT_EQ(SEL_UCODE64, fault.cs);
}

PROGRAM(strings, 64,
	ENTER(SEL_UCODE32)
	".code32; mov $" GUEST_STR(SEL_UDATA) ", %eax; mov %eax, %ds; mov %eax, %es; cld;"
	"mov $0x6100, %esi; mov $0x6200, %edi; mov $0x5659, %edx; outsl;"
	"dec %edx; insb; mov $0x1234, %ebx; mov $0, %edx; out %al, %dx; .code64");

TEST_F(backdoor, strings_of_32_bit_code)
{
	struct tcpu *cpu = self->cpu;
	struct tfault fault;

	if (!self->open)
		SKIP(return, OFF);
	memcpy(self->vm->mem + 0x6100, "abcd", 4);
	tcpu_load(cpu, &strings);
	ASSERT_TRUE(asks(cpu, KVM_EXIT_IO_OUT, MESSAGES, 4));
	EXPECT_EQ(0, memcmp(tcpu_io_data(cpu), "abcd", 4));
	ASSERT_TRUE(asks(cpu, KVM_EXIT_IO_IN, COMMANDS, 1));
	*(u8 *)tcpu_io_data(cpu) = 0x5a;
	ASSERT_EQ(GP, tcpu_run_fault(cpu));
	ASSERT_TRUE(tcpu_fault(cpu, &fault));
	EXPECT_EQ(SEL_UCODE32, fault.cs);
	EXPECT_EQ(0x1234, tcpu_regs(cpu).rbx);
	EXPECT_EQ(0x5a, self->vm->mem[0x6200]);
	EXPECT_EQ(0, self->vm->mem[0x6201]);
	EXPECT_EQ(0x6104, tcpu_regs(cpu).rsi);
	EXPECT_EQ(0x6201, tcpu_regs(cpu).rdi);
}

PROGRAM(counters, 64,
	ENTER(SEL_UCODE64)
	"mov $-1, %rax; mov $-1, %rdx; mov $0x10000, %ecx; rdpmc; shl $32, %rdx; or %rax, %rdx;"
	"mov %rdx, %r8; mov $0x10001, %ecx; rdpmc; shl $32, %rdx; or %rax, %rdx; mov %rdx, %r9;"
	"mov $0x10002, %ecx; rdpmc; shl $32, %rdx; or %rax, %rdx; mov %rdx, %r10;"
	"mov $0x10003, %ecx; lea 2f(%rip), %rbx; 2: rdpmc");

static u64 boot_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

TEST_F(backdoor, counters)
{
	struct kvm_clock_data start = {}, end = {};
	struct tcpu *cpu = self->cpu;
	u64 tsc = tvm_rdtsc(), time = boot_time();
	struct kvm_regs regs;
	struct tfault fault;

	if (!self->open)
		SKIP(return, OFF);
	if (!tvm_is_kvmlet() && !tvm_cpuid_has(PMU_LEAF, 0, 0, 1))
		SKIP(return, "KVM has them for guests with a PMU alone");
	/* Far from the time since boot. */
	start.clock = 1ULL << 50;
	ASSERT_OK(ioctl(self->vm->fd, KVM_SET_CLOCK, &start));
	tcpu_load(cpu, &counters);
	ASSERT_EQ(GP, tcpu_run_fault(cpu));
	ASSERT_TRUE(tcpu_fault(cpu, &fault));
	ASSERT_OK(ioctl(self->vm->fd, KVM_GET_CLOCK, &end));
	regs = tcpu_regs(cpu);
	EXPECT_EQ(regs.rbx, fault.rip);
	EXPECT_EQ(0, fault.error);
	EXPECT_LE(tsc, regs.r8);
	EXPECT_GE(tvm_rdtsc(), regs.r8);
	EXPECT_LE(time, regs.r9);
	EXPECT_GE(boot_time(), regs.r9);
	EXPECT_LE(start.clock, regs.r10);
	EXPECT_GE(end.clock, regs.r10);
}

PROGRAM(kernel_counters, 64, "mov $0x10001, %ecx; rdpmc; hlt");

TEST_F(backdoor, counters_for_the_kernel)
{
	struct tcpu *cpu = self->cpu;
	u64 time = boot_time();
	struct kvm_regs regs;

	if (!self->open)
		SKIP(return, OFF);
	if (!tvm_is_kvmlet() && !tvm_cpuid_has(PMU_LEAF, 0, 0, 1))
		SKIP(return, "KVM has them for guests with a PMU alone");
	tcpu_load(cpu, &kernel_counters);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
	regs = tcpu_regs(cpu);
	EXPECT_LE(time, regs.rdx << 32 | regs.rax);
	EXPECT_GE(boot_time(), regs.rdx << 32 | regs.rax);
}

#define FAULT "lea 2f(%rip), %rbx; 2: "
PROGRAM(other_port, 64, ENTER(SEL_UCODE64) "mov $0x5657, %edx;" FAULT "in %dx, %al");
PROGRAM(short_port, 64, ENTER(SEL_UCODE64) FAULT "in $0x58, %eax");
PROGRAM(other_string, 64, ENTER(SEL_UCODE64) "mov $0x6100, %esi; mov $0x70, %edx;"
	FAULT "outsb");
PROGRAM(other_counter, 64, ENTER(SEL_UCODE64) "mov $0, %ecx;" FAULT "rdpmc");
PROGRAM(halt, 64, ENTER(SEL_UCODE64) FAULT "hlt");
PROGRAM(read_cr0, 64, ENTER(SEL_UCODE64) FAULT "mov %cr0, %rax");
PROGRAM(no_address, 64, ENTER(SEL_UCODE64) "mov $0x8000000000000000, %rax;"
	FAULT "mov (%rax), %eax");
PROGRAM(no_selector, 64, ENTER(SEL_UCODE64) "mov $0xff8, %eax;" FAULT "mov %eax, %ds");
PROGRAM(no_gate, 64, ENTER(SEL_UCODE64) FAULT "int $0x55");

TEST_F(backdoor, all_else_is_closed)
{
	EXPECT_TRUE(faults(self->cpu, &other_port, 0));
	EXPECT_TRUE(faults(self->cpu, &short_port, 0));
	EXPECT_TRUE(faults(self->cpu, &other_string, 0));
	EXPECT_TRUE(faults(self->cpu, &other_counter, 0));
	EXPECT_TRUE(faults(self->cpu, &halt, 0));
	EXPECT_TRUE(faults(self->cpu, &read_cr0, 0));
	EXPECT_TRUE(faults(self->cpu, &no_address, 0));
	EXPECT_TRUE(faults(self->cpu, &no_selector, 0xff8));
	EXPECT_TRUE(faults(self->cpu, &no_gate, 0x55 << 3 | 2));
}

PROGRAM(closed_in, 64, ENTER(SEL_UCODE64) "mov $0x5658, %edx;" FAULT "in %dx, %eax");
PROGRAM(closed_counter, 64, ENTER(SEL_UCODE64) "mov $0x10000, %ecx;" FAULT "rdpmc");

TEST_F(backdoor, closed_by_default)
{
	if (self->open)
		SKIP(return, "the parameter enable_vmware_backdoor is on");
	EXPECT_TRUE(faults(self->cpu, &closed_in, 0));
	EXPECT_TRUE(faults(self->cpu, &closed_counter, 0));
}

TEST_HARNESS_MAIN
