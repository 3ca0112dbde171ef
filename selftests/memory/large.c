// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large pages: how many entries a guest's memory takes, what becomes of them when writes are
 * logged and when that ends, and what it costs to change one of very many slots.
 * Must not depend on the host finding large pages by chance: it is asked for them.
 *
 * usage: large 1g DEVICE... | large DEVICE [DEVICE]
 * The first device is compared with the second. "1g" needs a free page of 1 GiB, all else 1 GiB of
 * memory.
 */
#include "host.h"
#include "result.h"

#define SLOT	7
#define BASE	0x40000000UL
#define GIB	BIT(30)
#define SLOTS	32000
#define ROUNDS	64

#ifndef MAP_HUGE_1GB
#define MAP_HUGE_1GB	(30 << 26)
#endif

/* Writes to %rcx places from %rsi on, %rdx bytes apart. */
PROGRAM(touch, 64, "1: movb $1, (%rsi); add %rdx, %rsi; loop 1b; hlt");

/*
 * Reads at RDI, whose table has the entry at RSI; a new entry, and once more. The stores go through
 * the page that holds the table.
 */
PROGRAM(table_inside, 64,
	"mov (%rdi), %r10; mov %rdx, (%rsi); mov %cr3, %rax; mov %rax, %cr3; mov (%rdi), %r11; hlt");

/**
 * struct target - a device, and what was measured there
 * @vm: a VM; @cpu: its vCPU; @stats: its counters
 * @map_cost: TSC ticks to map 1 GiB
 * @few, @many: TSC ticks to delete and make one slot among few and among SLOTS
 */
struct target {
	const char *path;
	struct tvm *vm;
	struct tcpu *cpu;
	int stats;
	u64 map_cost, few, many;
};

static long pages(struct target *t, const char *size)
{
	char name[16];

	snprintf(name, sizeof(name), "pages_%s", size);
	return tvm_counter(t->stats, name);
}

static void open_target(struct target *t)
{
	tvm_use(t->path);
	t->vm = tvm_create(0);
	t->cpu = tvm_vcpu(t->vm, 0);
	t->stats = ioctl(t->vm->fd, KVM_GET_STATS_FD, NULL);
	if (t->stats < 0)
		tvm_die("KVM_GET_STATS_FD: %m");
	tcpu_load(t->cpu, &touch);
}

static void close_target(struct target *t)
{
	close(t->stats);
	tcpu_destroy(t->cpu);
	tvm_destroy(t->vm);
}

static u64 touch_memory(struct target *t, u64 bytes, u64 step)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE,
		.rflags = 2,
		.rsi = BASE,
		.rcx = bytes / step,
		.rdx = step,
	};
	u64 start;

	tcpu_set_regs(t->cpu, &regs);
	start = tvm_rdtsc();
	if (tcpu_run(t->cpu) != KVM_EXIT_HLT)
		tvm_die("%s: exit reason %u", t->path, t->cpu->run->exit_reason);
	return tvm_rdtsc() - start;
}

static void set_slot(struct target *t, u32 flags, u64 bytes, const void *mem)
{
	if (tvm_slot(t->vm, SLOT, flags, BASE, bytes, mem))
		tvm_die("%s: memory slot: %m", t->path);
}

/* ---- Numbers of entries ---- */

static void map_gib(struct target *t, u8 *mem)
{
	long large, small;

	set_slot(t, 0, GIB, mem);
	large = pages(t, "2m");
	small = pages(t, "4k");
	t->map_cost = touch_memory(t, GIB, LARGE);
	large = pages(t, "2m") - large;
	small = pages(t, "4k") - small;
	result(large == 512 && small < 8, "entries_of_1_GiB",
	       "%s: %ld entries of 2M, %ld of 4K for all else, %llu ticks", t->path, large, small,
	       t->map_cost);
	set_slot(t, 0, 0, NULL);
	result(pages(t, "2m") <= 0, "entries_after_deletion", "%s: %ld", t->path, pages(t, "2m"));
}

/* Logging splits at once, before any fault, and large entries come back behind it. */
static void log_and_back(struct target *t, u8 *mem)
{
	const u64 bytes = 64UL << 20;
	long before, split, logged, after;

	set_slot(t, 0, bytes, mem);
	touch_memory(t, bytes, LARGE);
	before = pages(t, "2m");
	split = pages(t, "4k");
	set_slot(t, KVM_MEM_LOG_DIRTY_PAGES, bytes, mem);
	split = pages(t, "4k") - split;
	logged = pages(t, "2m");
	touch_memory(t, bytes, PAGE);
	set_slot(t, 0, bytes, mem);
	touch_memory(t, bytes, LARGE);
	after = pages(t, "2m");
	result(before >= 32 && logged <= before - 32 && after == before, "large_after_logging",
	       "%s: %ld entries of 2M, %ld while logged, %ld afterwards", t->path, before, logged,
	       after);
	result(split >= 32 * 512, "eager_split", "%s: %ld entries of 4K before the first fault",
	       t->path, split);
	set_slot(t, 0, 0, NULL);
}

static void put(void *to, u64 value)
{
	memcpy(to, &value, sizeof(value));
}

/* A table of the guest's in the large page that the guest reaches it by. */
static void table_in_1g(struct target *t, u8 *mem)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE,
		.rflags = 2,
		.rdi = BIT(39) + 0x29000,
		.rsi = BASE + 2 * PAGE,
		.rdx = LARGE | 0x83,
	};

	put(t->vm->mem + GUEST_PML4 + 8, (BASE + PAGE) | 3);
	put(mem + PAGE, (BASE + 2 * PAGE) | 3);
	put(mem + 2 * PAGE, 0x83);
	put(t->vm->mem + 0x29000, 1);
	put(t->vm->mem + LARGE + 0x29000, 2);
	tcpu_load(t->cpu, &table_inside);
	tcpu_set_regs(t->cpu, &regs);
	if (tcpu_run(t->cpu) != KVM_EXIT_HLT)
		tvm_die("%s: exit reason %u", t->path, t->cpu->run->exit_reason);
	regs = tcpu_regs(t->cpu);
	result(regs.r10 == 1 && regs.r11 == 2, "table_inside_1G", "%s: read %llu, then %llu",
	       t->path, regs.r10, regs.r11);
	tcpu_load(t->cpu, &touch);
}

static void map_1g(struct target *t)
{
	void *mem = mmap(NULL, GIB, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_1GB, -1, 0);

	if (mem == MAP_FAILED)
		tvm_die("no page of 1 GiB: hugepagesz=1G hugepages=1");
	set_slot(t, 0, GIB, mem);
	/* Shadow paging has no larger entries than the guest. */
	put(t->vm->mem + GUEST_PDPT + BASE / GIB * 8, BASE | 0x83);
	touch_memory(t, GIB, 16 * LARGE);
	result(pages(t, "1g") == 1, "entry_of_1G", "%s: %ld of 1G, %ld of 2M", t->path,
	       pages(t, "1g"), pages(t, "2m"));
	set_slot(t, KVM_MEM_LOG_DIRTY_PAGES, GIB, mem);
	touch_memory(t, GIB, 16 * LARGE);
	result(!pages(t, "1g"), "split_of_1G", "%s: %ld of 1G, %ld of 2M, %ld of 4K", t->path,
	       pages(t, "1g"), pages(t, "2m"), pages(t, "4k"));
	set_slot(t, 0, GIB, mem);
	touch_memory(t, GIB, 16 * LARGE);
	result(pages(t, "1g") == 1, "back_to_1G", "%s: %ld of 1G", t->path, pages(t, "1g"));
	table_in_1g(t, mem);
	set_slot(t, 0, 0, NULL);
	munmap(mem, GIB);
}

/* ---- Slots ---- */

static u64 change_slot(struct target *t, u32 id, const u8 *mem)
{
	u64 gpa = BASE + id * 2 * PAGE, start, ticks, best = ~0UL;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		start = tvm_rdtsc();
		if (tvm_slot(t->vm, id, 0, gpa, 0, NULL) ||
		    tvm_slot(t->vm, id, 0, gpa, PAGE, mem + id * PAGE))
			tvm_die("%s: slot %u: %m", t->path, id);
		ticks = tvm_rdtsc() - start;
		if (ticks < best)
			best = ticks;
	}
	return best;
}

static void many_slots(struct target *t)
{
	u8 *mem = tvm_map(SLOTS * PAGE);
	u32 id;

	for (id = SLOT; id < SLOTS; id++) {
		if (id == SLOT + 10)
			t->few = change_slot(t, SLOT + 5, mem);
		if (tvm_slot(t->vm, id, 0, BASE + id * 2 * PAGE, PAGE, mem + id * PAGE))
			tvm_die("%s: slot %u: %m", t->path, id);
	}
	t->many = change_slot(t, SLOTS / 2, mem);
	/* Mostly the same; a round waits for grace periods, which take what they take. */
	result(t->many <= t->few * 2, "slots", "%s: %llu ticks among 10, %llu among %u",
	       t->path, t->few, t->many, SLOTS);
	munmap(mem, SLOTS * PAGE);
}

static void measure(struct target *t, u8 *mem)
{
	open_target(t);
	map_gib(t, mem);
	log_and_back(t, mem);
	many_slots(t);
	close_target(t);
}

int main(int argc, char **argv)
{
	struct target target[2] = { { .path = tvm_device() } };
	u8 *room = tvm_map(GIB + LARGE), *mem;
	int i;

	if (argc < 2)
		return 2;
	result_begin();
	host_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	if (!strcmp(argv[1], "1g")) {
		for (i = 2; i < argc; i++) {
			target[0].path = argv[i];
			open_target(&target[0]);
			map_1g(&target[0]);
			close_target(&target[0]);
		}
		return result_end();
	}
	target[0].path = argv[1];
	mem = (u8 *)(((uintptr_t)room + LARGE - 1) & -LARGE);
	if (madvise(mem, GIB, MADV_HUGEPAGE) || madvise(mem, GIB, MADV_POPULATE_WRITE))
		tvm_die("1 GiB of large pages: %m");
	measure(&target[0], mem);
	if (argc > 2) {
		target[1].path = argv[2];
		measure(&target[1], mem);
		result(target[0].map_cost <= target[1].map_cost, "cost_of_1_GiB", "%llu, %llu",
		       target[0].map_cost, target[1].map_cost);
		result(target[0].many <= target[1].many, "cost_of_a_slot", "%llu, %llu",
		       target[0].many, target[1].many);
	}
	return result_end();
}
