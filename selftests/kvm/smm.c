// SPDX-License-Identifier: GPL-2.0-only
/*
 * System-management mode: its address space, entry and RSM, the save area, what is latched in it,
 * and how user space saves and restores it.
 * Must not rely on firmware: each test puts its own handler into SMRAM.
 */
#include <pthread.h>
#include <string.h>

#include "ktap.h"
#include "tvm.h"

#define SMBASE		0x30000
#define SMRAM_SIZE	0x10000
#define SMRAM_SLOT	0x10000
#define PORT_SMM	0xe1
#define MSR_SMBASE	0x9e
#define MSR_SMI_COUNT	0x34

/* In the 64-bit save area, from its end at SMBASE + 64K; and in the 32-bit one. */
#define SAVE64_REVISION	0xfefc
#define SAVE64_SMBASE	0xff00
#define SAVE64_CR3	0xff50
#define SAVE64_RIP	0xff78
#define SAVE64_RAX	0xfff8
#define SAVE32_REVISION	0xfefc
#define SAVE32_EAX	0xffd0
#define SAVE32_EIP	0xfff0
#define SAVE32_CR0	0xfffc

/* Reports with what it sees in SMRAM and goes back. */
PROGRAM(handler, 16, "mov $0x55, %ax; out %al, $" GUEST_STR(PORT_SMM) "; rsm");
PROGRAM(count, 64, "1: inc %r8; out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b");
PROGRAM(rsm64, 64, "rsm");
PROGRAM(moves_smbase, 16,
	"movl $0x40000, %cs:0xff00; out %al, $" GUEST_STR(PORT_SMM) "; rsm");

static u8 *add_smram(struct tvm *vm)
{
	u8 *smram = tvm_map(SMRAM_SIZE);

	if (tvm_slot(vm, SMRAM_SLOT, 0, SMBASE, SMRAM_SIZE, smram))
		tvm_die("slot of the second address space: %m");
	return smram;
}

static void put(u8 *smram, const struct guest_code *code)
{
	memcpy(smram + 0x8000, code->start, code->end - code->start);
}

static struct kvm_vcpu_events events(struct tcpu *cpu)
{
	struct kvm_vcpu_events ev;

	if (ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &ev))
		tvm_die("KVM_GET_VCPU_EVENTS: %m");
	return ev;
}

static bool in_smm(struct tcpu *cpu)
{
	return cpu->run->flags & KVM_RUN_X86_SMM;
}

/* Run to the handler's report. */
static bool reports_from_smm(struct tcpu *cpu)
{
	return tcpu_run(cpu) == KVM_EXIT_IO && tcpu_is_out(cpu, PORT_SMM) && in_smm(cpu);
}

static bool reports_from_guest(struct tcpu *cpu)
{
	return tcpu_run(cpu) == KVM_EXIT_IO && tcpu_is_out(cpu, PORT_TEST) && !in_smm(cpu);
}

static u64 field(const u8 *smram, unsigned int offset, unsigned int size)
{
	u64 value = 0;

	memcpy(&value, smram + offset, size);
	return value;
}

FIXTURE(smm)
{
	struct tvm *vm;
	struct tcpu *cpu;
	u8 *smram;
};

FIXTURE_SETUP(smm)
{
	self->vm = tvm_create(TVM_IRQCHIP);
	if (!tvm_cap(self->vm, KVM_CAP_X86_SMM))
		SKIP(return, "the device has no SMM");
	self->cpu = tvm_vcpu(self->vm, 0);
	self->smram = add_smram(self->vm);
	put(self->smram, &handler);
	tcpu_load(self->cpu, &count);
}

FIXTURE_TEARDOWN(smm)
{
}

TEST_F(smm, capability_and_slots)
{
	EXPECT_EQ(2, tvm_cap(self->vm, KVM_CAP_MULTI_ADDRESS_SPACE));
	EXPECT_ERR(EINVAL, tvm_slot(self->vm, 2 << 16, 0, 0, PAGE, self->smram));
	/* The same place in both spaces is no overlap, twice in one is. */
	EXPECT_ERR(EEXIST, tvm_slot(self->vm, SMRAM_SLOT | 1, 0, SMBASE, PAGE, self->smram));
	EXPECT_OK(tvm_slot(self->vm, SMRAM_SLOT | 1, 0, 0, PAGE, self->smram));
	EXPECT_OK(tvm_slot(self->vm, SMRAM_SLOT | 1, 0, 0, 0, self->smram));
}

TEST_F(smm, enters_and_returns)
{
	struct kvm_sregs before = tcpu_sregs(self->cpu), sregs;
	struct kvm_regs regs, after;
	u64 value;

	ASSERT_TRUE(reports_from_guest(self->cpu));
	tcpu_settle(self->cpu);
	regs = tcpu_regs(self->cpu);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SMI));
	EXPECT_EQ(1, events(self->cpu).smi.pending);
	ASSERT_TRUE(reports_from_smm(self->cpu));

	EXPECT_EQ(0x55, tcpu_regs(self->cpu).rax & 0xff);
	sregs = tcpu_sregs(self->cpu);
	EXPECT_EQ(SMBASE, sregs.cs.base);
	EXPECT_EQ(SMBASE >> 4, sregs.cs.selector);
	EXPECT_EQ(0xffffffff, sregs.ds.limit);
	EXPECT_EQ(0, sregs.cr0 & 0x80000001);
	EXPECT_EQ(0, sregs.cr4);
	EXPECT_EQ(0, sregs.efer);
	EXPECT_EQ(0, sregs.idt.limit);
	EXPECT_EQ(1, events(self->cpu).smi.smm);
	EXPECT_EQ(0, events(self->cpu).smi.pending);
	EXPECT_EQ(1, events(self->cpu).nmi.masked);

	ASSERT_TRUE(reports_from_guest(self->cpu));
	after = tcpu_regs(self->cpu);
	EXPECT_EQ(regs.r8 + 1, after.r8);
	EXPECT_EQ(regs.rax, after.rax);
	EXPECT_EQ(regs.rsp, after.rsp);
	sregs = tcpu_sregs(self->cpu);
	EXPECT_EQ(0, memcmp(&before, &sregs, sizeof(sregs)));
	EXPECT_EQ(0, events(self->cpu).smi.smm);
	EXPECT_EQ(0, events(self->cpu).nmi.masked);
	ASSERT_TRUE(tcpu_get_msr(self->cpu, MSR_SMI_COUNT, &value));
	EXPECT_EQ(1, value);
}

TEST_F(smm, save_area_64)
{
	struct kvm_regs regs;

	ASSERT_TRUE(reports_from_guest(self->cpu));
	tcpu_settle(self->cpu);
	regs = tcpu_regs(self->cpu);
	regs.rax = 0x123456789abcdef0;
	tcpu_set_regs(self->cpu, &regs);
	ioctl(self->cpu->fd, KVM_SMI);
	ASSERT_TRUE(reports_from_smm(self->cpu));
	EXPECT_EQ(0x20064, field(self->smram, SAVE64_REVISION, 4));
	EXPECT_EQ(SMBASE, field(self->smram, SAVE64_SMBASE, 4));
	EXPECT_EQ(GUEST_PML4, field(self->smram, SAVE64_CR3, 8));
	EXPECT_EQ(regs.rip, field(self->smram, SAVE64_RIP, 8));
	EXPECT_EQ(regs.rax, field(self->smram, SAVE64_RAX, 8));
	/* Not there for the guest. */
	EXPECT_EQ(0, field(self->vm->mem + SMBASE, SAVE64_REVISION, 4));
}

static struct tcpu *cpu_without_long_mode(struct tvm *vm)
{
	static union {
		struct kvm_cpuid2 head;
		char room[16384];
	} table;
	struct tcpu *cpu = tvm_vcpu_raw(vm, 0);
	unsigned int i;

	memcpy(&table, tvm_supported_cpuid(), sizeof(struct kvm_cpuid2) +
	       tvm_supported_cpuid()->nent * sizeof(struct kvm_cpuid_entry2));
	for (i = 0; i < table.head.nent; i++)
		if (table.head.entries[i].function == 0x80000001)
			table.head.entries[i].edx &= ~(1u << 29);
	if (ioctl(cpu->fd, KVM_SET_CPUID2, &table))
		tvm_die("KVM_SET_CPUID2: %m");
	tcpu_mode(cpu, MODE_PAGED32);
	return cpu;
}

PROGRAM(count32, 32, "1: inc %edi; out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b");

TEST(save_area_32)
{
	struct tvm *vm = tvm_create(0);
	struct kvm_sregs before, after;
	struct kvm_regs regs;
	struct tcpu *cpu;
	u8 *smram;

	if (!tvm_cap(vm, KVM_CAP_X86_SMM))
		SKIP(return, "the device has no SMM");
	cpu = cpu_without_long_mode(vm);
	smram = add_smram(vm);
	put(smram, &handler);
	tcpu_load(cpu, &count32);
	ASSERT_TRUE(reports_from_guest(cpu));
	tcpu_settle(cpu);
	regs = tcpu_regs(cpu);
	regs.rax = 0x12345678;
	tcpu_set_regs(cpu, &regs);
	before = tcpu_sregs(cpu);
	ioctl(cpu->fd, KVM_SMI);
	ASSERT_TRUE(reports_from_smm(cpu));
	EXPECT_EQ(0x20000, field(smram, SAVE32_REVISION, 4));
	EXPECT_EQ(0x12345678, field(smram, SAVE32_EAX, 4));
	EXPECT_EQ(regs.rip, field(smram, SAVE32_EIP, 4));
	EXPECT_EQ(before.cr0, field(smram, SAVE32_CR0, 4));
	ASSERT_TRUE(reports_from_guest(cpu));
	EXPECT_EQ(0x12345678, tcpu_regs(cpu).rax);
	after = tcpu_sregs(cpu);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));
}

TEST_F(smm, smbase_moves)
{
	u64 value;

	put(self->smram, &moves_smbase);
	ioctl(self->cpu->fd, KVM_SMI);
	ASSERT_TRUE(reports_from_smm(self->cpu));
	ASSERT_TRUE(tcpu_get_msr(self->cpu, MSR_SMBASE, &value));
	EXPECT_EQ(SMBASE, value);
	ASSERT_TRUE(reports_from_guest(self->cpu));
	ASSERT_TRUE(tcpu_get_msr(self->cpu, MSR_SMBASE, &value));
	EXPECT_EQ(0x40000, value);
	EXPECT_FALSE(tcpu_rdmsr(self->cpu, MSR_SMBASE, &value));
	EXPECT_TRUE(tcpu_set_msr(self->cpu, MSR_SMBASE, SMBASE));
}

/* A second SMI and an NMI wait for RSM; the NMI's handler runs in between or after, not inside. */
TEST_F(smm, latched_inside)
{
	struct tfault fault;

	ioctl(self->cpu->fd, KVM_SMI);
	ASSERT_TRUE(reports_from_smm(self->cpu));
	ioctl(self->cpu->fd, KVM_SMI);
	ioctl(self->cpu->fd, KVM_NMI);
	EXPECT_EQ(1, events(self->cpu).smi.pending);
	ASSERT_TRUE(reports_from_smm(self->cpu));
	EXPECT_EQ(0, events(self->cpu).smi.pending);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	ASSERT_TRUE(tcpu_fault(self->cpu, &fault));
	EXPECT_EQ(2, fault.vector);
	EXPECT_FALSE(in_smm(self->cpu));
	ASSERT_TRUE(reports_from_guest(self->cpu));
}

TEST_F(smm, init_is_latched)
{
	struct kvm_mp_state mp = { KVM_MP_STATE_INIT_RECEIVED };
	struct kvm_vcpu_events ev;
	struct kvm_msi init = { .address_lo = 0xfee00000, .data = 5 << 8 | 1 << 14 };
	struct kvm_regs regs;

	/* KVM's local APIC takes no message at all before it is enabled by software. */
	tcpu_start_lapic(self->cpu);
	tcpu_load(self->cpu, &count);
	ioctl(self->cpu->fd, KVM_SMI);
	ASSERT_TRUE(reports_from_smm(self->cpu));
	ASSERT_LE(0, ioctl(self->vm->fd, KVM_SIGNAL_MSI, &init));
	EXPECT_EQ(1, events(self->cpu).smi.latched_init);
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_MP_STATE, &mp));
	/* The guest has nothing at the reset vector: it ends there after RSM. */
	EXPECT_EQ(KVM_EXIT_INTERNAL_ERROR, tcpu_run(self->cpu));
	regs = tcpu_regs(self->cpu);
	EXPECT_LE(0xfff0, regs.rip);
	EXPECT_FALSE(in_smm(self->cpu));
	ev = events(self->cpu);
	EXPECT_EQ(0, ev.smi.latched_init);
}

TEST_F(smm, rsm_outside_is_ud)
{
	tcpu_load(self->cpu, &rsm64);
	EXPECT_EQ(6, tcpu_run_fault(self->cpu));
}

TEST_F(smm, set_by_events)
{
	struct kvm_vcpu_events ev = events(self->cpu);

	ev.smi.pending = 1;
	ev.flags = KVM_VCPUEVENT_VALID_SMM;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, &ev));
	ASSERT_TRUE(reports_from_smm(self->cpu));
	/* Saved in the middle of the handler and put into another vCPU's place. */
	ev = events(self->cpu);
	EXPECT_EQ(1, ev.smi.smm);
	ev.smi.smm = 0;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, &ev));
	EXPECT_EQ(0, events(self->cpu).smi.smm);
	ev.smi.smm = 1;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_VCPU_EVENTS, &ev));
	ASSERT_TRUE(reports_from_guest(self->cpu));
}

PROGRAM(hlt_then_count, 64, "1: hlt; inc %r8; out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b");

static void *send_smi(void *arg)
{
	usleep(20000);
	ioctl(((struct tcpu *)arg)->vm->fd, KVM_SIGNAL_MSI,
	      &(struct kvm_msi){ .address_lo = 0xfee00000, .data = 2 << 8 });
	return NULL;
}

/* An SMI ends HLT, which is not restarted. It comes as a message. */
TEST_F(smm, wakes_hlt)
{
	pthread_t thread;

	tcpu_start_lapic(self->cpu);
	tcpu_load(self->cpu, &hlt_then_count);
	ASSERT_EQ(0, pthread_create(&thread, NULL, send_smi, self->cpu));
	EXPECT_TRUE(reports_from_smm(self->cpu));
	pthread_join(thread, NULL);
	EXPECT_TRUE(reports_from_guest(self->cpu));
	EXPECT_EQ(1, tcpu_regs(self->cpu).r8);
}

/* Writes of the handler's go to SMRAM alone, and are logged there. */
TEST_F(smm, dirty_log)
{
	struct kvm_dirty_log log = { .slot = SMRAM_SLOT };
	u8 bitmap[16] = {};

	ASSERT_OK(tvm_slot(self->vm, SMRAM_SLOT, KVM_MEM_LOG_DIRTY_PAGES, SMBASE, SMRAM_SIZE,
			   self->smram));
	ioctl(self->cpu->fd, KVM_SMI);
	put(self->smram, &moves_smbase);
	ASSERT_TRUE(reports_from_smm(self->cpu));
	log.dirty_bitmap = bitmap;
	ASSERT_OK(ioctl(self->vm->fd, KVM_GET_DIRTY_LOG, &log));
	/* The save area; and with KVM the page that was read after it. */
	EXPECT_EQ(0x80, bitmap[1] & 0x80);
	EXPECT_EQ(0, bitmap[0]);
	log.slot = 2 << 16;
	EXPECT_ERR(EINVAL, ioctl(self->vm->fd, KVM_GET_DIRTY_LOG, &log));
}

#define STORM 200

/* Nothing of the guest's is lost under a storm of SMIs, with an interrupt in flight each time. */
TEST_F(smm, storm_with_nmis)
{
	unsigned int i, nmis = 0, smis = 0;
	struct tfault fault;

	for (i = 0; i < STORM; i++) {
		ioctl(self->cpu->fd, KVM_NMI);
		ioctl(self->cpu->fd, KVM_SMI);
		do {
			ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
			smis += in_smm(self->cpu);
			nmis += tcpu_fault(self->cpu, &fault) && fault.vector == 2;
		} while (!tcpu_is_out(self->cpu, PORT_TEST));
		ASSERT_EQ(i + 1, tcpu_regs(self->cpu).r8);
	}
	EXPECT_EQ(STORM, smis);
	EXPECT_EQ(STORM, nmis);
}

TEST_HARNESS_MAIN
