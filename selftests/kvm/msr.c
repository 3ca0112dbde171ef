// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs: what ioctls and the guest read and write agrees, and what is refused to both.
 * Must not test MSRs of the LAPIC or the timer; those have files of their own.
 */
#include "ktap.h"
#include "tvm.h"

FIXTURE(msr)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

FIXTURE_SETUP(msr)
{
	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
}

FIXTURE_TEARDOWN(msr)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

static const struct {
	const char *name;
	u32 index;
	u64 value;
} writable[] = {
	{ "SYSENTER_CS", 0x174, 0x1234 },
	{ "SYSENTER_ESP", 0x175, 0xffff800012345678 },
	{ "SYSENTER_EIP", 0x176, 0xffff800087654321 },
	{ "STAR", 0xc0000081, 0x0023001000000000 },
	{ "LSTAR", 0xc0000082, 0xffffffff81000000 },
	{ "CSTAR", 0xc0000083, 0xffffffff82000000 },
	{ "FMASK", 0xc0000084, 0x47700 },
	{ "FS_BASE", 0xc0000100, 0x7f0000001000 },
	{ "GS_BASE", 0xc0000101, 0xffff888000000000 },
	{ "KERNEL_GS_BASE", 0xc0000102, 0xffff888000001000 },
	{ "PAT", 0x277, 0x0007040600070406 },
	{ "MTRRdefType", 0x2ff, 0xc06 },
	{ "MTRRphysBase0", 0x200, 0x80000000 },
	{ "MTRRphysMask0", 0x201, 0xff80000800 },
	{ "MTRRfix64K", 0x250, 0x0606060606060606 },
};

#define WRITABLE (ARRAY_SIZE(writable))

TEST_F(msr, msrs_agree)
{
	unsigned int i;
	u64 value;

	for (i = 0; i < WRITABLE; i++) {
		EXPECT_TRUE(tcpu_set_msr(self->cpu, writable[i].index, writable[i].value))
			TH_LOG("%s by ioctl", writable[i].name);
		value = 0;
		EXPECT_TRUE(tcpu_rdmsr(self->cpu, writable[i].index, &value));
		EXPECT_EQ(writable[i].value, value)
			TH_LOG("%s seen by the guest", writable[i].name);
		EXPECT_TRUE(tcpu_wrmsr(self->cpu, writable[i].index, 0))
			TH_LOG("%s by the guest", writable[i].name);
		EXPECT_TRUE(tcpu_get_msr(self->cpu, writable[i].index, &value));
		EXPECT_EQ(0, value)
			TH_LOG("%s seen by ioctl", writable[i].name);
	}
}

static const struct {
	u32 index;
	u64 value;
} refused[] = {
	{ 0x12345678, 0 },	/* nothing */
	{ 0xc0000080, BIT(40) | 0x500 },	/* EFER reserved bits */
	{ 0xc0000080, 0x400 },	/* EFER.LME with paging */
	{ 0xc0000082, BIT(63) },	/* LSTAR not canonical */
	{ 0xc0000100, BIT(62) },	/* FS_BASE not canonical */
	{ 0x176, BIT(62) },	/* SYSENTER_EIP not canonical */
	{ 0x277, 2 },	/* PAT type 2 */
	{ 0x2ff, 2 },	/* MTRR type 2 */
	{ 0xfe, 0 },	/* MTRRcap is read-only */
	{ 0x1b, BIT(60) },	/* APIC_BASE reserved bits */
};

TEST_F(msr, msrs_refused)
{
	unsigned int i;
	u64 value;

	for (i = 0; i < ARRAY_SIZE(refused); i++)
		EXPECT_FALSE(tcpu_wrmsr(self->cpu, refused[i].index, refused[i].value))
			TH_LOG("MSR %#x, case %u", refused[i].index, i);
	EXPECT_FALSE(tcpu_rdmsr(self->cpu, 0x12345678, &value));
	EXPECT_FALSE(tcpu_get_msr(self->cpu, 0x12345678, &value));
	EXPECT_FALSE(tcpu_set_msr(self->cpu, 0x12345678, 0));
}

TEST_F(msr, efer)
{
	u64 value;

	ASSERT_TRUE(tcpu_rdmsr(self->cpu, 0xc0000080, &value));
	EXPECT_EQ(0x500, value);
	/* LMA is not the guest's to write; SCE and NXE are. */
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, 0xc0000080, 0x901));
	ASSERT_TRUE(tcpu_rdmsr(self->cpu, 0xc0000080, &value));
	EXPECT_EQ(0xd01, value);
	EXPECT_EQ(0xd01, tcpu_sregs(self->cpu).efer);
}

struct list {
	struct kvm_msr_list head;
	u32 indices[1024];
};

/* What QEMU does to migrate: everything listed is read, and written back unchanged. */
TEST(index_list)
{
	struct tvm *vm = tvm_create(TVM_IRQCHIP);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	static struct list list = { .head.nmsrs = 1024 };
	unsigned int i;
	u64 value;

	ASSERT_OK(ioctl(vm->dev, KVM_GET_MSR_INDEX_LIST, &list.head));
	for (i = 0; i < list.head.nmsrs; i++) {
		u32 index = list.indices[i];
		bool got = tcpu_get_msr(cpu, index, &value);

		/* KVM lists some that need a feature of the guest's CPUID. */
		if (!got && !tvm_is_kvmlet())
			continue;
		EXPECT_TRUE(got)
			TH_LOG("MSR %#x is listed and cannot be read", index);
		EXPECT_TRUE(tcpu_set_msr(cpu, index, value))
			TH_LOG("MSR %#x does not take back %#lx", index, value);
	}
}

TEST_F(msr, batches)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[3];
	} batch = {
		.head.nmsrs = 3,
		.entries = { { .index = 0x174 }, { .index = 0x12345678 }, { .index = 0x175 } },
	};

	/* The number done tells which one was refused. */
	EXPECT_EQ(1, ioctl(self->cpu->fd, KVM_GET_MSRS, &batch));
	EXPECT_EQ(1, ioctl(self->cpu->fd, KVM_SET_MSRS, &batch));
	batch.entries[1].index = 0x176;
	EXPECT_EQ(3, ioctl(self->cpu->fd, KVM_GET_MSRS, &batch));
	batch.head.nmsrs = 0;
	EXPECT_EQ(0, ioctl(self->cpu->fd, KVM_GET_MSRS, &batch));
	batch.head.nmsrs = 100000;
	EXPECT_ERR(E2BIG, ioctl(self->cpu->fd, KVM_GET_MSRS, &batch));
	EXPECT_ERR(E2BIG, ioctl(self->cpu->fd, KVM_SET_MSRS, &batch));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_GET_MSRS, 0x10));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_MSRS, 0x10));
}

TEST_F(msr, tsc)
{
	u64 first, second;

	ASSERT_TRUE(tcpu_set_msr(self->cpu, 0x10, 0x1000000000));
	ASSERT_TRUE(tcpu_get_msr(self->cpu, 0x10, &first));
	EXPECT_LE(0x1000000000, first);
	EXPECT_GT(0x1000000000 + 1000000000, first);
	ASSERT_TRUE(tcpu_rdmsr(self->cpu, 0x10, &second));
	EXPECT_LT(first, second);
	/* The guest's own write moves its counter, and RDTSC shows the same. */
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, 0x10, 0x5000));
	tcpu_load_bytes(self->cpu, "\x0f\x31\xf4", 3);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
	EXPECT_EQ(0, tcpu_regs(self->cpu).rdx);
	EXPECT_LT(0x5000, tcpu_regs(self->cpu).rax);
	EXPECT_GT(0x5000 + 10000000, tcpu_regs(self->cpu).rax);
}

TEST_F(msr, segment_bases_are_msrs)
{
	struct kvm_sregs sregs = tcpu_sregs(self->cpu);
	u64 value;

	sregs.fs.base = 0x12345000;
	tcpu_set_sregs(self->cpu, &sregs);
	ASSERT_TRUE(tcpu_get_msr(self->cpu, 0xc0000100, &value));
	EXPECT_EQ(0x12345000, value);
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, 0xc0000101, 0x54321000));
	EXPECT_EQ(0x54321000, tcpu_sregs(self->cpu).gs.base);
}

TEST_HARNESS_MAIN
