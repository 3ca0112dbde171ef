// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID: what KVM_SET_CPUID2 sets is what the guest sees.
 * Must not test the device's own table; system.c does.
 */
#include "ktap.h"
#include "tvm.h"

#define MAX_ENTRIES 128

struct table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[MAX_ENTRIES];
};

FIXTURE(cpuid)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

FIXTURE_SETUP(cpuid)
{
	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
}

FIXTURE_TEARDOWN(cpuid)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

PROGRAM(ask, 64, "cpuid; hlt");

static struct kvm_regs guest_cpuid(struct tcpu *cpu, u32 leaf, u32 index)
{
	struct kvm_regs regs;

	tcpu_load(cpu, &ask);
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
	EXPECT_EQ(entry->ecx, regs.rcx & ~(one ? BIT(27) | 8 : seven ? BIT(4) : 0))
		TH_LOG("ECX of %#x.%u", entry->function, entry->index);
	if (!topology)
		EXPECT_EQ(entry->edx & ~(one ? 1U << 9 : 0), regs.rdx & ~(one ? BIT(9) : 0))
			TH_LOG("EDX of %#x.%u", entry->function, entry->index);
}

TEST_F(cpuid, guest_sees_what_was_set)
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
	/* KVM of Linux 6.1 leaves the number as it was. */
	if (tvm_is_kvmlet())
		EXPECT_EQ(table.head.nent, seen.head.nent);
	/* A few bits follow from the state; what an entry is for does not. */
	for (i = 0; i < table.head.nent; i++) {
		EXPECT_EQ(table.entries[i].function, seen.entries[i].function);
		EXPECT_EQ(table.entries[i].index, seen.entries[i].index);
		EXPECT_EQ(table.entries[i].eax, seen.entries[i].eax);
	}
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

TEST_F(cpuid, cpuid_errors)
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

TEST_HARNESS_MAIN
