// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nothing leaks: the guest sees what user space set, VMs do not see each other.
 * Must not time anything; what a speculating CPU could leak is not tested here.
 */
#include "ktap.h"
#include "tvm.h"

/* Store all registers as the guest finds them. */
PROGRAM(dump, 64,
	"mov %rax, 0xc000; mov %rcx, 0xc008; mov %rdx, 0xc010; mov %rbx, 0xc018;"
	"mov %rsp, 0xc020; mov %rbp, 0xc028; mov %rsi, 0xc030; mov %rdi, 0xc038;"
	"mov %r8, 0xc040; mov %r9, 0xc048; mov %r10, 0xc050; mov %r11, 0xc058;"
	"mov %r12, 0xc060; mov %r13, 0xc068; mov %r14, 0xc070; mov %r15, 0xc078;"
	"pushfq; pop %rax; mov %rax, 0xc080; mov %cr2, %rax; mov %rax, 0xc088;"
	"mov %dr0, %rax; mov %rax, 0xc090; mov %dr1, %rax; mov %rax, 0xc098;"
	"mov %dr2, %rax; mov %rax, 0xc0a0; mov %dr3, %rax; mov %rax, 0xc0a8;"
	"mov %dr7, %rax; mov %rax, 0xc0b0; sgdt 0xc0c0; sidt 0xc0d0; str 0xc0e0; sldt 0xc0e2;"
	"fxsave 0xc100; hlt");

TEST(first_entry_shows_nothing_of_the_host)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	u64 *words = (u64 *)(vm->mem + GUEST_DATA);
	unsigned int i;

	memset(words, 0x5a, 0x300);
	/* Something in the host's own registers that must not show. */
	asm volatile("movq %0, %%xmm5; movq %0, %%xmm15" : : "r"(0xdeadbeefcafef00d)
		     : "xmm5", "xmm15");
	tcpu_load(cpu, &dump);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu))
		tcpu_explain(cpu);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(i == 4 ? GUEST_CODE : 0, words[i])
			TH_LOG("register %u", i);
	EXPECT_EQ(2, words[16] & ~0x8d5UL);
	EXPECT_EQ(0, words[17]);
	for (i = 18; i < 22; i++)
		EXPECT_EQ(0, words[i])
			TH_LOG("DR%u", i - 18);
	EXPECT_EQ(0x400, words[22]);
	EXPECT_EQ(SEL_TSS, words[28] & 0xffff);
	EXPECT_EQ(0, words[28] >> 16 & 0xffff);
	/* FXSAVE: x87 and XMM registers are those of a CPU after reset. */
	EXPECT_EQ(0x1f80, words[35] & 0xffffffff);
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(0, words[36 + 2 * i]);
		EXPECT_EQ(0, words[37 + 2 * i] & 0xffff);
	}
	for (i = 0; i < 32; i++)
		EXPECT_EQ(0, words[52 + i])
			TH_LOG("XMM%u", i / 2);
}

PROGRAM(fill_fpu, 64,
	"mov $0x1111111111111111, %rax; movq %rax, %xmm0; movq %rax, %xmm5; movq %rax, %xmm15;"
	"fld1; fldpi; movq %rax, %mm3; mov $0x4321, %eax; mov %rax, %dr1; mov %rax, %cr2; hlt");

TEST(vms_do_not_see_each_other)
{
	struct tvm *vms[2] = { tvm_create(0), tvm_create(0) };
	struct tcpu *cpus[2] = { tvm_vcpu(vms[0], 0), tvm_vcpu(vms[1], 0) };
	u64 *words = (u64 *)(vms[1]->mem + GUEST_DATA);
	unsigned int i;

	tcpu_load(cpus[0], &fill_fpu);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpus[0]))
		tcpu_explain(cpus[0]);
	tcpu_load(cpus[1], &dump);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpus[1]))
		tcpu_explain(cpus[1]);
	EXPECT_EQ(0, words[17]);
	EXPECT_EQ(0, words[19]);
	for (i = 0; i < 48; i++)
		EXPECT_EQ(0, words[36 + i])
			TH_LOG("word %u of FXSAVE", i + 4);
	/* And the first still has its own. */
	tcpu_load(cpus[0], &dump);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpus[0]));
	words = (u64 *)(vms[0]->mem + GUEST_DATA);
	EXPECT_EQ(0x1111111111111111, words[52]);
	EXPECT_EQ(0x1111111111111111, words[52 + 30]);
	EXPECT_EQ(0x4321, words[17]);
}

TEST(host_keeps_its_own)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	u64 before = 0x123456789abcdef0, after = 0;
	u16 fs_before, fs_after;
	u64 gdt_before[2] = { }, gdt_after[2] = { };

	tcpu_load(cpu, &fill_fpu);
	asm volatile("mov %%fs, %0; sgdt %1" : "=r"(fs_before), "=m"(gdt_before));
	asm volatile("movq %0, %%xmm5" : : "r"(before));
	/* No call in between may touch XMM5: one bare system call. */
	asm volatile("syscall" : "=a"(after)
		     : "0"(16UL), "D"((long)cpu->fd), "S"((long)KVM_RUN), "d"(0L)
		     : "rcx", "r11", "memory");
	EXPECT_EQ(0, after);
	asm volatile("movq %%xmm5, %0" : "=r"(after));
	EXPECT_EQ(before, after);
	asm volatile("mov %%fs, %0; sgdt %1" : "=r"(fs_after), "=m"(gdt_after));
	EXPECT_EQ(fs_before, fs_after);
	EXPECT_EQ(gdt_before[0] & 0xffff, gdt_after[0] & 0xffff);
}

/* Output structures are filled to their last byte, from nothing but the vCPU. */
TEST(reserved_bytes_are_zero)
{
	struct tvm *vm = tvm_create(TVM_IRQCHIP);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	struct kvm_vcpu_events events;
	struct kvm_debugregs debug;
	struct kvm_clock_data clock;
	struct kvm_sregs sregs;
	unsigned int i;

	memset(&events, 0xaa, sizeof(events));
	ASSERT_OK(ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &events));
	for (i = 0; i < sizeof(events.reserved); i++)
		EXPECT_EQ(0, events.reserved[i]);
	memset(&debug, 0xaa, sizeof(debug));
	ASSERT_OK(ioctl(cpu->fd, KVM_GET_DEBUGREGS, &debug));
	for (i = 0; i < sizeof(debug.reserved) / 8; i++)
		EXPECT_EQ(0, debug.reserved[i]);
	memset(&clock, 0xaa, sizeof(clock));
	ASSERT_OK(ioctl(vm->fd, KVM_GET_CLOCK, &clock));
	for (i = 0; i < sizeof(clock.pad) / 4; i++)
		EXPECT_EQ(0, clock.pad[i]);
	memset(&sregs, 0xaa, sizeof(sregs));
	ASSERT_OK(ioctl(cpu->fd, KVM_GET_SREGS, &sregs));
	EXPECT_EQ(0, sregs.ds.padding);
	EXPECT_EQ(0, sregs.gdt.padding[0]);
}

/* The page shared with user space is hostile: nothing in it is trusted. */
PROGRAM(out_in, 64, "out %al, $0xe0; in $0xe0, %eax; hlt");

TEST(run_page_is_not_trusted)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(vm, 0);

	tcpu_load(cpu, &out_in);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	memcpy(tcpu_io_data(cpu), "\x11\x22\x33\x44", 4);
	cpu->run->io.data_offset = 0xfffffffffffff000;
	cpu->run->io.count = 0xffffffff;
	cpu->run->io.size = 0xff;
	cpu->run->exit_reason = 0xffff;
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu))
		tcpu_explain(cpu);
	EXPECT_EQ(0x44332211, tcpu_regs(cpu).rax);
	/* All of it at random, again and again. */
	memset(cpu->run, 0xff, sizeof(*cpu->run));
	cpu->run->immediate_exit = 0;
	cpu->run->request_interrupt_window = 0;
	cpu->run->kvm_valid_regs = 0;
	cpu->run->kvm_dirty_regs = 0;
	cpu->run->cr8 = 0;
	tcpu_set_rip(cpu, GUEST_CODE, false);
	EXPECT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
}

TEST_HARNESS_MAIN
