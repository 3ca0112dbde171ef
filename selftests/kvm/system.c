// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device node and its ioctls: version, capabilities, lists, CPUID tables, and errors.
 * Must not create a vCPU; what a VM does is tested elsewhere.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "ktap.h"
#include "tvm.h"

#define BAD_POINTER ((void *)0x10)

TEST(version_and_sizes)
{
	int dev = tvm_open();
	int size;

	EXPECT_EQ(12, ioctl(dev, KVM_GET_API_VERSION, 0));
	EXPECT_ERR(EINVAL, ioctl(dev, KVM_GET_API_VERSION, 1));
	size = ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	EXPECT_LE((int)sizeof(struct kvm_run), size);
	EXPECT_EQ(0, size % PAGE);
	EXPECT_ERR(EINVAL, ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 1));
}

TEST(unknown_ioctls)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu_raw(vm, 0);

	/* KVM says EINVAL on device and vCPU; the usual answer of a device is ENOTTY. */
	ASSERT_EQ(-1, ioctl(vm->dev, _IO(KVMIO, 0xfe), 0));
	EXPECT_TRUE(errno == EINVAL || errno == ENOTTY);
	ASSERT_EQ(-1, ioctl(cpu->fd, _IO(KVMIO, 0xfe), 0));
	EXPECT_TRUE(errno == EINVAL || errno == ENOTTY);
	ASSERT_EQ(-1, ioctl(cpu->fd, _IO('Z', 1), 0));
	EXPECT_TRUE(errno == EINVAL || errno == ENOTTY);
	EXPECT_ERR(ENOTTY, ioctl(vm->fd, _IO(KVMIO, 0xfe), 0));
	/* Each of these belongs to another kind of file. */
	EXPECT_NE(0, ioctl(vm->dev, KVM_CREATE_VCPU, 0));
	EXPECT_NE(0, ioctl(vm->fd, KVM_RUN, 0));
	EXPECT_NE(0, ioctl(cpu->fd, KVM_CREATE_VM, 0));
}

TEST(plain_file_operations)
{
	int dev = tvm_open();
	struct stat st;
	char byte;

	ASSERT_OK(fstat(dev, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_ERR(EINVAL, read(dev, &byte, 1));
	EXPECT_ERR(EINVAL, write(dev, &byte, 1));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dev, 0));
	EXPECT_EQ(ENODEV, errno);
}

/* What qemu, kvmtool and Firecracker will not start without; see KVM's api.rst. */
static const struct {
	int cap;
	int least;
} needed[] = {
	{ KVM_CAP_IRQCHIP, 1 },
	{ KVM_CAP_HLT, 1 },
	{ KVM_CAP_USER_MEMORY, 1 },
	{ KVM_CAP_SET_TSS_ADDR, 1 },
	{ KVM_CAP_EXT_CPUID, 1 },
	{ KVM_CAP_NR_VCPUS, 1 },
	{ KVM_CAP_MAX_VCPUS, 4 },
	{ KVM_CAP_MAX_VCPU_ID, 4 },
	{ KVM_CAP_NR_MEMSLOTS, 32 },
	{ KVM_CAP_MP_STATE, 1 },
	{ KVM_CAP_SYNC_MMU, 1 },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1 },
	{ KVM_CAP_USER_NMI, 1 },
	{ KVM_CAP_IRQ_ROUTING, 1 },
	{ KVM_CAP_IRQ_INJECT_STATUS, 1 },
	{ KVM_CAP_PIT2, 1 },
	{ KVM_CAP_PIT_STATE2, 1 },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1 },
	{ KVM_CAP_ADJUST_CLOCK, 1 },
	{ KVM_CAP_INTERNAL_ERROR_DATA, 1 },
	{ KVM_CAP_VCPU_EVENTS, 1 },
	{ KVM_CAP_DEBUGREGS, 1 },
	{ KVM_CAP_XSAVE, 1 },
	{ KVM_CAP_XCRS, 1 },
	{ KVM_CAP_GET_TSC_KHZ, 1 },
	{ KVM_CAP_TSC_DEADLINE_TIMER, 1 },
	{ KVM_CAP_SIGNAL_MSI, 1 },
	{ KVM_CAP_READONLY_MEM, 1 },
	{ KVM_CAP_MMU_SHADOW_CACHE_CONTROL, 1 },
	{ KVM_CAP_CHECK_EXTENSION_VM, 1 },
	{ KVM_CAP_IMMEDIATE_EXIT, 1 },
	{ KVM_CAP_GET_MSR_FEATURES, 1 },
};

TEST(capabilities)
{
	struct tvm *vm = tvm_create(0);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(needed); i++) {
		int system = ioctl(vm->dev, KVM_CHECK_EXTENSION, needed[i].cap);

		EXPECT_LE(needed[i].least, system)
			TH_LOG("capability %d on the device", needed[i].cap);
		EXPECT_LE(needed[i].least, tvm_cap(vm, needed[i].cap))
			TH_LOG("capability %d on the VM", needed[i].cap);
	}
	EXPECT_EQ(1, tvm_cap(vm, KVM_CAP_IMMEDIATE_EXIT));
	EXPECT_EQ(0, ioctl(vm->dev, KVM_CHECK_EXTENSION, 0x7fffffffL));
	EXPECT_EQ(0, ioctl(vm->fd, KVM_CHECK_EXTENSION, -1L));
	EXPECT_LE(tvm_cap(vm, KVM_CAP_NR_VCPUS), tvm_cap(vm, KVM_CAP_MAX_VCPUS));
	EXPECT_LE(tvm_cap(vm, KVM_CAP_MAX_VCPUS), tvm_cap(vm, KVM_CAP_MAX_VCPU_ID));
}

/* Each with its reason in Documentation/abi.rst. */
static const int absent[] = {
	KVM_CAP_VAPIC, KVM_CAP_XEN_HVM, KVM_CAP_PCI_SEGMENT, KVM_CAP_DEVICE_CTRL,
	KVM_CAP_ASYNC_PF, KVM_CAP_ASYNC_PF_INT, KVM_CAP_NESTED_STATE, KVM_CAP_HALT_POLL,
	KVM_CAP_HYPERV, KVM_CAP_HYPERV_VAPIC, KVM_CAP_HYPERV_SPIN, KVM_CAP_HYPERV_TIME,
	KVM_CAP_HYPERV_SYNIC, KVM_CAP_HYPERV_SYNIC2, KVM_CAP_HYPERV_VP_INDEX,
	KVM_CAP_HYPERV_EVENTFD, KVM_CAP_HYPERV_TLBFLUSH, KVM_CAP_HYPERV_SEND_IPI,
	KVM_CAP_HYPERV_ENLIGHTENED_VMCS, KVM_CAP_HYPERV_CPUID, KVM_CAP_SYS_HYPERV_CPUID,
	KVM_CAP_HYPERV_ENFORCE_CPUID, KVM_CAP_HYPERV_DIRECT_TLBFLUSH,
	KVM_CAP_PMU_CAPABILITY, KVM_CAP_PMU_EVENT_FILTER, 226 /* PMU_EVENT_MASKED_EVENTS */,
	KVM_CAP_SGX_ATTRIBUTE, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM,
	KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, KVM_CAP_SYSTEM_EVENT_DATA,
	KVM_CAP_X86_BUS_LOCK_EXIT, KVM_CAP_X86_NOTIFY_VMEXIT, KVM_CAP_SMALLER_MAXPHYADDR,
};

static bool is_absent(int cap)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(absent); i++)
		if (absent[i] == cap)
			return true;
	return false;
}

static int parameter(const char *module, const char *name)
{
	char path[80];
	FILE *file;
	int c;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module, name);
	file = fopen(path, "r");
	c = file ? fgetc(file) : EOF;
	if (file)
		fclose(file);
	return c;
}

/* Without EPT or unrestricted guest, less is offered. */
static bool same_parameter(const char *name)
{
	return parameter("kvmlet", name) == parameter("kvm_intel", name);
}

/* SMM needs both. */
static bool has_smm(void)
{
	return parameter("kvmlet", "ept") == 'Y' &&
	       parameter("kvmlet", "unrestricted_guest") == 'Y';
}

TEST(what_kvm_intel_offers)
{
	int ours = tvm_open(), theirs = open("/dev/kvm", O_RDWR), cap;

	if (theirs < 0 || !tvm_is_kvmlet())
		SKIP(return, "needs kvm_intel beside kvmlet");
	if (!same_parameter("ept") || !same_parameter("unrestricted_guest"))
		SKIP(return, "the modules have different parameters");
	for (cap = 0; cap < 256; cap++)
		EXPECT_TRUE(ioctl(ours, KVM_CHECK_EXTENSION, cap) > 0 ||
			    ioctl(theirs, KVM_CHECK_EXTENSION, cap) <= 0 || is_absent(cap) ||
			    (cap == KVM_CAP_X86_SMM && !has_smm()))
			TH_LOG("capability %d", cap);
	EXPECT_LE(ioctl(theirs, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS),
		  ioctl(ours, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS));
	EXPECT_LE(ioctl(theirs, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPU_ID),
		  ioctl(ours, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPU_ID));
	close(theirs);
	close(ours);
}

TEST(create_vm_type)
{
	int dev = tvm_open();

	EXPECT_ERR(EINVAL, ioctl(dev, KVM_CREATE_VM, 0x100UL));
	EXPECT_ERR(EINVAL, ioctl(dev, KVM_CREATE_VM, ~0UL));
}

TEST(vm_fd_closes_on_exec)
{
	struct tvm *vm = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu_raw(vm, 0);

	EXPECT_EQ(FD_CLOEXEC, fcntl(vm->fd, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(cpu->fd, F_GETFD));
}

#define ENTRIES 128

static struct kvm_cpuid2 *cpuid_table(unsigned int entries)
{
	struct kvm_cpuid2 *table =
		calloc(1, sizeof(*table) + ENTRIES * sizeof(struct kvm_cpuid_entry2));

	table->nent = entries;
	return table;
}

TEST(supported_cpuid_sizes)
{
	static const u32 leaves[] = { 0, 1, 6, 7, 0xa, 0x80000005, 0x80000006, 0x80000008 };
	struct kvm_cpuid2 *table = cpuid_table(ENTRIES);
	int dev = tvm_open();
	unsigned int i, j, total;

	ASSERT_OK(ioctl(dev, KVM_GET_SUPPORTED_CPUID, table));
	total = table->nent;
	/* kvmtool offers 100 entries and gives up when they do not do. */
	EXPECT_GE(100, total);
	for (i = 0; i < ARRAY_SIZE(leaves); i++) {
		for (j = 0; j < total && table->entries[j].function != leaves[i]; j++)
			;
		EXPECT_GT(total, j)
			TH_LOG("no leaf %#x", leaves[i]);
	}
	table->nent = 1;
	EXPECT_ERR(E2BIG, ioctl(dev, KVM_GET_SUPPORTED_CPUID, table));
	table->nent = 0;
	EXPECT_ERR(E2BIG, ioctl(dev, KVM_GET_SUPPORTED_CPUID, table));
	table->nent = total - 1;
	EXPECT_ERR(E2BIG, ioctl(dev, KVM_GET_SUPPORTED_CPUID, table));
	table->nent = total;
	EXPECT_OK(ioctl(dev, KVM_GET_SUPPORTED_CPUID, table));
	EXPECT_EQ(total, table->nent);
	EXPECT_ERR(EFAULT, ioctl(dev, KVM_GET_SUPPORTED_CPUID, BAD_POINTER));
	EXPECT_ERR(EFAULT, ioctl(dev, KVM_GET_EMULATED_CPUID, BAD_POINTER));
}

TEST(supported_cpuid_is_no_more_than_the_hosts)
{
	u32 eax = 1, ebx, ecx = 0, edx;
	unsigned int bit;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	EXPECT_TRUE(tvm_cpuid_has(1, 0, 3, 0));		/* x87 */
	EXPECT_TRUE(tvm_cpuid_has(1, 0, 3, 4));		/* TSC */
	EXPECT_TRUE(tvm_cpuid_has(1, 0, 3, 5));		/* MSR */
	EXPECT_TRUE(tvm_cpuid_has(1, 0, 3, 26));	/* SSE2 */
	EXPECT_TRUE(tvm_cpuid_has(0x80000001, 0, 3, 29));	/* long mode */
	/* These three are emulated or not the CPU's own; the rest needs the CPU. */
	ecx |= 1U << 21 | 1U << 24 | 1U << 31;
	for (bit = 0; bit < 32; bit++) {
		EXPECT_TRUE(!tvm_cpuid_has(1, 0, 2, bit) || ecx >> bit & 1)
			TH_LOG("ECX bit %u", bit);
		EXPECT_TRUE(!tvm_cpuid_has(1, 0, 3, bit) || edx >> bit & 1)
			TH_LOG("EDX bit %u", bit);
	}
}

struct msr_list {
	struct kvm_msr_list head;
	u32 indices[1024];
};

static void check_list(struct __test_metadata *_metadata, int dev, unsigned long request,
		       unsigned int least)
{
	struct msr_list *list = calloc(1, sizeof(*list));
	unsigned int total;

	EXPECT_ERR(E2BIG, ioctl(dev, request, &list->head));
	total = list->head.nmsrs;
	EXPECT_LE(least, total);
	ASSERT_GE(1024, total);
	list->head.nmsrs = total - 1;
	EXPECT_ERR(E2BIG, ioctl(dev, request, &list->head));
	EXPECT_EQ(total, list->head.nmsrs);
	list->indices[total] = 0xabcdef;
	EXPECT_OK(ioctl(dev, request, &list->head));
	EXPECT_EQ(0xabcdef, list->indices[total]);
	EXPECT_ERR(EFAULT, ioctl(dev, request, BAD_POINTER));
	free(list);
}

TEST(msr_lists)
{
	int dev = tvm_open();

	check_list(_metadata, dev, KVM_GET_MSR_INDEX_LIST, 10);
	check_list(_metadata, dev, KVM_GET_MSR_FEATURE_INDEX_LIST, 1);
}

TEST(feature_msrs)
{
	struct msr_list *list = calloc(1, sizeof(*list));
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = { .head.nmsrs = 1 };
	int dev = tvm_open();
	unsigned int i;

	list->head.nmsrs = 1024;
	ASSERT_OK(ioctl(dev, KVM_GET_MSR_FEATURE_INDEX_LIST, &list->head));
	for (i = 0; i < list->head.nmsrs; i++) {
		msr.entry.index = list->indices[i];
		EXPECT_EQ(1, ioctl(dev, KVM_GET_MSRS, &msr))
			TH_LOG("feature MSR %#x", list->indices[i]);
	}
	msr.entry.index = 0x12345678;
	EXPECT_EQ(0, ioctl(dev, KVM_GET_MSRS, &msr));
	msr.head.nmsrs = 0x1000;
	EXPECT_ERR(E2BIG, ioctl(dev, KVM_GET_MSRS, &msr));
	EXPECT_ERR(EFAULT, ioctl(dev, KVM_GET_MSRS, BAD_POINTER));
}

TEST_HARNESS_MAIN
