// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory that shadow paging takes: its limit, what is left beside the roots in use, and giving
 * it back. With EPT a guest has to come through the same.
 * Must not test what the tables say; paging does.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ktap.h"
#include "tvm.h"

/* What KVM_SET_NR_MMU_PAGES takes at least. */
#define LEAST_PAGES 64
#define SPACES 4
#define VCPUS 4
#define LARGE 0x200000UL
#define MEMORY_AT 0x1000000UL
#define MEMORY_SIZE (64 * LARGE)
#define DIRECTORIES GUEST_FREE

/* In each of four address spaces once; the last is kept. */
PROGRAM(visit, 32,
	"mov $4, %ecx; mov %edi, %eax; 1: mov %eax, %cr3; incl (%esi); add $4096, %eax; loop 1b; hlt");

/* The same, and then copies from the first half of the memory to the second, 2M by 2M. */
PROGRAM(visit_and_copy, 32,
	"mov $4, %ecx; mov %edi, %eax; 1: mov %eax, %cr3; incl (%esi); add $4096, %eax; loop 1b;"
	"mov $0x1000000, %esi; mov $0x5000000, %edi; mov $32, %edx;"
	"2: mov $4, %ecx; rep movsb; add $0x1ffffc, %esi; add $0x1ffffc, %edi; dec %edx; jnz 2b; hlt");

/* RCX pages at RSI, RDX apart: each number is the page's own. */
PROGRAM(number, 64, "1: mov %rcx, (%rsi); add %rdx, %rsi; loop 1b; hlt");
PROGRAM(check, 64, "xor %eax, %eax; 1: cmp %rcx, (%rsi); je 2f; inc %eax; 2: add %rdx, %rsi;"
		   "loop 1b; hlt");

/* 4K pages, so that each 2M of the guest's takes a table of its own. */
static u8 *add_memory(struct tvm *vm)
{
	u8 *mem = tvm_map(MEMORY_SIZE);

	if (madvise(mem, MEMORY_SIZE, MADV_NOHUGEPAGE) ||
	    tvm_slot(vm, 8, 0, MEMORY_AT, MEMORY_SIZE, mem))
		tvm_die("memory: %m");
	return mem;
}

/* Page directories that map all by 4M pages: one for each address space of each vCPU. */
static void write_directories(struct tvm *vm)
{
	unsigned int space, i;

	for (space = 0; space < VCPUS * SPACES; space++) {
		u32 *directory = (u32 *)(vm->mem + DIRECTORIES + space * PAGE);

		for (i = 0; i < 1024; i++)
			directory[i] = i << 22 | 0x87;
	}
}

static int run_in_spaces(struct tcpu *cpu, unsigned int n, const struct guest_code *code)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2,
		.rsi = GUEST_DATA, .rdi = DIRECTORIES + n * SPACES * PAGE,
	};
	struct kvm_sregs sregs;

	tcpu_mode(cpu, MODE_PAGED32);
	sregs = tcpu_sregs(cpu);
	sregs.cr4 |= 0x10;
	sregs.cr3 = regs.rdi;
	tcpu_set_sregs(cpu, &sregs);
	tcpu_load(cpu, code);
	tcpu_set_regs(cpu, &regs);
	return tcpu_run(cpu);
}

/*
 * Sixteen address spaces of four tables each stay in use, as many as may be there at all. An
 * instruction that needs two more at a time has to get them nevertheless.
 */
TEST(room_beside_the_roots)
{
	struct tvm *vm = tvm_create(0);
	u8 *mem = add_memory(vm);
	struct tcpu *cpu[VCPUS];
	unsigned int i;
	u32 value;

	ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_NR_MMU_PAGES, LEAST_PAGES));
	write_directories(vm);
	for (i = 0; i < MEMORY_SIZE / LARGE; i++)
		memcpy(mem + i * LARGE, &i, sizeof(i));
	for (i = 0; i < VCPUS; i++)
		cpu[i] = tvm_vcpu(vm, i);
	for (i = 0; i < VCPUS; i++)
		ASSERT_EQ(KVM_EXIT_HLT, run_in_spaces(cpu[i], i, i ? &visit : &visit_and_copy));
	/* Now with those of the others there. */
	ASSERT_EQ(KVM_EXIT_HLT, run_in_spaces(cpu[0], 0, &visit_and_copy));
	memcpy(&value, vm->mem + GUEST_DATA, sizeof(value));
	EXPECT_EQ((VCPUS + 1) * SPACES, value);
	for (i = 0; i < MEMORY_SIZE / LARGE; i++) {
		memcpy(&value, mem + i * LARGE, sizeof(value));
		EXPECT_EQ(i % (MEMORY_SIZE / LARGE / 2), value);
	}
	for (i = 0; i < VCPUS; i++)
		tcpu_destroy(cpu[i]);
	tvm_destroy(vm);
	munmap(mem, MEMORY_SIZE);
}

static int number_pages(struct tcpu *cpu, const struct guest_code *code)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2,
		.rsi = MEMORY_AT, .rcx = MEMORY_SIZE / LARGE * 4, .rdx = LARGE / 4,
	};

	tcpu_load(cpu, code);
	tcpu_set_regs(cpu, &regs);
	return tcpu_run(cpu);
}

static void drop_slab(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (fd < 0 || write(fd, "2", 1) != 1)
		tvm_die("drop_caches: %m");
	close(fd);
}

/* Asked by the host, shadow paging gives its tables back, and makes them anew. */
TEST(tables_are_given_back)
{
	struct tvm *vm;
	struct tcpu *cpu;
	long before, after;
	int stats;
	u8 *mem;

	if (!tvm_is_kvmlet() || !tvm_on_shadow())
		SKIP(return, "a test of kvmlet's shadow paging (ept=0)");
	vm = tvm_create(0);
	mem = add_memory(vm);
	cpu = tvm_vcpu(vm, 0);
	tcpu_mode(cpu, MODE_LONG);
	stats = ioctl(vm->fd, KVM_GET_STATS_FD, NULL);
	ASSERT_LT(0, stats);
	ASSERT_EQ(KVM_EXIT_HLT, number_pages(cpu, &number));
	before = tvm_counter(stats, "pages_4k");
	EXPECT_LE(MEMORY_SIZE / LARGE * 4, (u64)before);
	drop_slab();
	after = tvm_counter(stats, "pages_4k");
	EXPECT_GT(before / 2, after)
		TH_LOG("%ld entries before, %ld after", before, after);
	ASSERT_EQ(KVM_EXIT_HLT, number_pages(cpu, &check));
	EXPECT_EQ(0, tcpu_regs(cpu).rax);
	close(stats);
	tcpu_destroy(cpu);
	tvm_destroy(vm);
	munmap(mem, MEMORY_SIZE);
}

TEST_HARNESS_MAIN
