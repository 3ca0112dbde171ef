// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID as set is CPUID as seen, and MSRs by ioctl and by the guest agree.
 * Must not test MSRs of the LAPIC or the timer; those have files of their own.
 */
#include "ktap.h"
#include "tvm.h"

#define MAX_ENTRIES 128

struct table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[MAX_ENTRIES];
};

FIXTURE(regs)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

FIXTURE_SETUP(regs)
{
	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
}

FIXTURE_TEARDOWN(regs)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

GUEST(cpuid, 64, "cpuid; hlt");

static struct kvm_regs guest_cpuid(struct tcpu *cpu, uint32_t leaf, uint32_t index)
{
	struct kvm_regs regs;

	tcpu_load(cpu, &cpuid);
	regs = tcpu_regs(cpu);
	regs.rax = 0xffffffff00000000 | leaf;
	regs.rcx = 0xffffffff00000000 | index;
	tcpu_set_regs(cpu, &regs);
	if (tcpu_run(cpu) != KVM_EXIT_HLT)
		tvm_die("CPUID did not come to its end");
	return tcpu_regs(cpu);
}

static void expect_entry(struct __test_metadata *_metadata, struct tcpu *cpu,
			 const struct kvm_cpuid_entry2 *entry)
{
	struct kvm_regs regs = guest_cpuid(cpu, entry->function, entry->index);
	/* What follows from the state: APIC id and enable, OSXSAVE, OSPKE, MWAIT; XSAVE sizes. */
	bool one = entry->function == 1, seven = entry->function == 7;
	bool dynamic = entry->function == 0xd && entry->index < 2;
	bool topology = entry->function == 0xb || entry->function == 0x1f;

	EXPECT_EQ(entry->eax, regs.rax)
		TH_LOG("EAX of %#x.%u", entry->function, entry->index);
	if (!dynamic)
		EXPECT_EQ(entry->ebx, regs.rbx)
			TH_LOG("EBX of %#x.%u", entry->function, entry->index);
	EXPECT_EQ(entry->ecx, regs.rcx & ~(one ? 1UL << 27 | 8 : seven ? 1UL << 4 : 0))
		TH_LOG("ECX of %#x.%u", entry->function, entry->index);
	if (!topology)
		EXPECT_EQ(entry->edx & ~(one ? 1U << 9 : 0), regs.rdx & ~(one ? 1UL << 9 : 0))
			TH_LOG("EDX of %#x.%u", entry->function, entry->index);
}

TEST_F(regs, guest_sees_what_was_set)
{
	struct kvm_cpuid2 *table = tvm_supported_cpuid();
	unsigned int i;

	for (i = 0; i < table->nent; i++) {
		/* Leaf 2 was once stateful; hypervisor leaves may change with the state. */
		if (table->entries[i].function >> 30 == 1)
			continue;
		expect_entry(_metadata, self->cpu, &table->entries[i]);
	}
}

TEST(own_table)
{
	static struct table table, seen;
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu_raw(vm, 0);
	struct kvm_cpuid2 *supported = tvm_supported_cpuid();
	struct kvm_regs regs;
	unsigned int i;

	memcpy(&table, supported, sizeof(table.head) +
	       supported->nent * sizeof(struct kvm_cpuid_entry2));
	for (i = 0; i < table.head.nent; i++) {
		if (table.entries[i].function == 0) {
			table.entries[i].eax = 0xd;
			memcpy(&table.entries[i].ebx, "Self", 4);
			memcpy(&table.entries[i].edx, "Test", 4);
			memcpy(&table.entries[i].ecx, "Ware", 4);
		}
	}
	ASSERT_OK(ioctl(cpu->fd, KVM_SET_CPUID2, &table));
	seen.head.nent = MAX_ENTRIES;
	ASSERT_OK(ioctl(cpu->fd, KVM_GET_CPUID2, &seen));
	EXPECT_EQ(table.head.nent, seen.head.nent);
	seen.head.nent = table.head.nent - 1;
	EXPECT_ERR(E2BIG, ioctl(cpu->fd, KVM_GET_CPUID2, &seen));
	tcpu_mode(cpu, MODE_LONG);
	regs = guest_cpuid(cpu, 0, 0);
	EXPECT_EQ(0xd, regs.rax);
	EXPECT_EQ(0, memcmp(&regs.rbx, "Self\0\0\0\0", 8));
	EXPECT_EQ(0, memcmp(&regs.rdx, "Test\0\0\0\0", 8));
	EXPECT_EQ(0, memcmp(&regs.rcx, "Ware\0\0\0\0", 8));
	/* A leaf of no range at all gives the last basic one or zeroes; no host's data. */
	regs = guest_cpuid(cpu, 0x90000000, 0);
	EXPECT_EQ(0, regs.rax >> 32);
}

TEST(no_table_reads_zero)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu_raw(vm, 0);
	struct kvm_regs regs;

	tcpu_mode(cpu, MODE_REAL);
	regs = guest_cpuid(cpu, 0, 0);
	EXPECT_EQ(0, regs.rax | regs.rbx | regs.rcx | regs.rdx);
	regs = guest_cpuid(cpu, 1, 0);
	EXPECT_EQ(0, regs.rax | regs.rbx | regs.rcx | regs.rdx);
}

TEST_F(regs, cpuid_errors)
{
	static struct table table;

	memcpy(&table, tvm_supported_cpuid(), sizeof(table));
	/* The same table again is fine after KVM_RUN, another one is not. */
	guest_cpuid(self->cpu, 0, 0);
	EXPECT_OK(ioctl(self->cpu->fd, KVM_SET_CPUID2, &table));
	table.entries[0].ebx ^= 1;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_CPUID2, &table));
	table.head.nent = 0x10000;
	EXPECT_ERR(E2BIG, ioctl(self->cpu->fd, KVM_SET_CPUID2, &table));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_SET_CPUID2, 0x10));
	EXPECT_ERR(EFAULT, ioctl(self->cpu->fd, KVM_GET_CPUID2, 0x10));
}

static const struct {
	const char *name;
	uint32_t index;
	uint64_t value;
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

#define WRITABLE (sizeof(writable) / sizeof(writable[0]))

TEST_F(regs, msrs_agree)
{
	unsigned int i;
	uint64_t value;

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
	const char *name;
	uint32_t index;
	uint64_t value;
} refused[] = {
	{ "nothing", 0x12345678, 0 },
	{ "EFER reserved bits", 0xc0000080, 1UL << 40 | 0x500 },
	{ "EFER.LME with paging", 0xc0000080, 0x400 },
	{ "LSTAR not canonical", 0xc0000082, 1UL << 63 },
	{ "FS_BASE not canonical", 0xc0000100, 1UL << 62 },
	{ "SYSENTER_EIP not canonical", 0x176, 1UL << 62 },
	{ "PAT type 2", 0x277, 2 },
	{ "MTRR type 2", 0x2ff, 2 },
	{ "MTRRcap is read-only", 0xfe, 0 },
	{ "APIC_BASE reserved bits", 0x1b, 1UL << 60 },
};

TEST_F(regs, msrs_refused)
{
	unsigned int i;
	uint64_t value;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		EXPECT_FALSE(tcpu_wrmsr(self->cpu, refused[i].index, refused[i].value))
			TH_LOG("%s", refused[i].name);
	EXPECT_FALSE(tcpu_rdmsr(self->cpu, 0x12345678, &value));
	EXPECT_FALSE(tcpu_get_msr(self->cpu, 0x12345678, &value));
	EXPECT_FALSE(tcpu_set_msr(self->cpu, 0x12345678, 0));
}

TEST_F(regs, efer)
{
	uint64_t value;

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
	uint32_t indices[1024];
};

/* What QEMU does to migrate: everything listed is read, and written back unchanged. */
TEST_F(regs, index_list)
{
	static struct list list = { .head.nmsrs = 1024 };
	unsigned int i;
	uint64_t value;

	ASSERT_OK(ioctl(self->vm->dev, KVM_GET_MSR_INDEX_LIST, &list.head));
	for (i = 0; i < list.head.nmsrs; i++) {
		uint32_t index = list.indices[i];
		bool got = tcpu_get_msr(self->cpu, index, &value);

		/* KVM lists some that need a feature of the guest's CPUID. */
		if (!got && !tvm_is_kvmlet())
			continue;
		EXPECT_TRUE(got)
			TH_LOG("MSR %#x is listed and cannot be read", index);
		EXPECT_TRUE(tcpu_set_msr(self->cpu, index, value))
			TH_LOG("MSR %#x does not take back %#lx", index, value);
	}
}

TEST_F(regs, batches)
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

TEST_F(regs, tsc)
{
	uint64_t first, second;

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

TEST_F(regs, segment_bases_are_msrs)
{
	struct kvm_sregs sregs = tcpu_sregs(self->cpu);
	uint64_t value;

	sregs.fs.base = 0x12345000;
	tcpu_set_sregs(self->cpu, &sregs);
	ASSERT_TRUE(tcpu_get_msr(self->cpu, 0xc0000100, &value));
	EXPECT_EQ(0x12345000, value);
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, 0xc0000101, 0x54321000));
	EXPECT_EQ(0x54321000, tcpu_sregs(self->cpu).gs.base);
}

TEST_HARNESS_MAIN
