// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's own paging: every right in every mode, against the rules of the architecture; flags,
 * error codes, and changes of tables that the guest announces by INVLPG or CR3.
 * Must not change the guest's tables from outside while it runs on them: only a guest's own writes
 * and invalidations have to be seen.
 */
#include <string.h>
#include <sys/mman.h>

#include "ktap.h"
#include "tvm.h"

#define P BIT(0)
#define W BIT(1)
#define U BIT(2)
#define A BIT(5)
#define D BIT(6)
#define PS BIT(7)
#define G BIT(8)
#define NX BIT(63)
#define RESERVED BIT(51)

#define CR0_WP BIT(16)
#define CR0_PG BIT(31)
#define CR4_PGE BIT(7)
#define CR4_LA57 BIT(12)
#define CR4_PCIDE BIT(17)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE BIT(22)
#define EFER_NX BIT(11)
#define FLAG_IOPL3 0x3000UL
#define FLAG_AC BIT(18)

#define ERR_P 1
#define ERR_W 2
#define ERR_U 4
#define ERR_RSVD 8
#define ERR_I 16
#define ERR_PK 32

/* Third 2M page of the second 4M page; its frame is the same of all page sizes. */
#define TARGET 0x603000UL
#define FRAME 0x203000UL
#define LEAF_TABLE (GUEST_FREE + 0x1000)
#define USER_CODE 0x30000
#define KERNEL_STACK GUEST_CODE

/*
 * RAX, EDX: the entry. RBX: where it is. RDI: the address to be used. RSI: the code that uses it.
 * RBP: flags for it. R8 or ECX: 0 to stay in ring 0. R9: PKRU.
 */
#define USE64 \
	"test %r8, %r8; jnz 1f;" \
	"push %rbp; popfq; jmp *%rsi;" \
	"1: pushq $" GUEST_STR(SEL_UDATA) "; pushq $0; push %rbp;" \
	"pushq $" GUEST_STR(SEL_UCODE64) "; push %rsi; iretq"

PROGRAM(change64, 64, "mov %rax, (%rbx); invlpg (%rdi);" USE64);
PROGRAM(change_keyed, 64,
	"mov %rax, (%rbx); invlpg (%rdi);"
	"mov %r9, %rax; xor %ecx, %ecx; xor %edx, %edx; wrpkru;" USE64);
PROGRAM(change_pae, 32,
	"movl $0, (%ebx); mov %edx, 4(%ebx); mov %eax, (%ebx); invlpg (%edi);"
	"test %ecx, %ecx; jnz 1f;"
	"push %ebp; popfl; jmp *%esi;"
	"1: mov $" GUEST_STR(SEL_UDATA) ", %edx; mov %edx, %ds;"
	"pushl %edx; pushl $0; push %ebp;"
	"pushl $" GUEST_STR(SEL_UCODE32) "; push %esi; iretl");
PROGRAM(change32, 32,
	"mov %eax, (%ebx); invlpg (%edi);"
	"test %ecx, %ecx; jnz 1f;"
	"push %ebp; popfl; jmp *%esi;"
	"1: mov $" GUEST_STR(SEL_UDATA) ", %edx; mov %edx, %ds;"
	"pushl %edx; pushl $0; push %ebp;"
	"pushl $" GUEST_STR(SEL_UCODE32) "; push %esi; iretl");

/* The same bytes in all modes: read, write and execute at (E/R)DI. */
static const u8 uses[] = {
	0x8b, 0x4f, 0x08, 0xe6, PORT_TEST, 0xf4, 0x90, 0x90,
	0x89, 0x4f, 0x08, 0xe6, PORT_TEST, 0xf4, 0x90, 0x90,
	0xff, 0xe7, 0xf4,
};

enum use { READ, WRITE, FETCH, USES };
static const char * const use_names[] = { "read", "write", "fetch" };

/* Which entry of the path varies; the others grant everything. */
enum place { LEAF, UPPER, LARGE, PLACES };
static const char * const place_names[] = { "leaf", "upper entry", "large page" };

static struct tvm *vm;
static struct tcpu *cpu;
static struct kvm_sregs sregs;

struct trial {
	enum tmode mode;
	enum place place;
	enum use use;
	u64 entry;
	u32 pkru;
	bool user, ac;
};

struct outcome {
	bool fault;
	u64 error, cr2;
};

static bool wide(enum tmode mode)
{
	return mode != MODE_PAGED32;
}

static u64 entry_at(const struct trial *t)
{
	bool leaf = t->place == LEAF;

	if (wide(t->mode))
		return leaf ? LEAF_TABLE + (TARGET >> 12 & 511) * 8
			    : GUEST_PD + (TARGET >> 21 & 511) * 8;
	return leaf ? LEAF_TABLE + (TARGET >> 12 & 1023) * 4 : GUEST_PD32 + (TARGET >> 22) * 4;
}

static u64 entry_base(const struct trial *t)
{
	if (t->place == LEAF)
		return FRAME;
	if (t->place == UPPER)
		return LEAF_TABLE;
	return PS | (wide(t->mode) ? FRAME & ~0x1fffffUL : 0);
}

static void put_entry(enum tmode mode, u64 at, u64 entry)
{
	memcpy(vm->mem + at, &entry, wide(mode) ? 8 : 4);
}

/* What the trial does not vary: the same each time, but for accessed and dirty flags. */
static void write_tables(enum tmode mode)
{
	unsigned int i;
	u64 at;

	/* Ring 0's own pages, out of the way of SMEP and SMAP; and one of the user's. */
	for (i = 0; i < 512; i++) {
		u64 entry = (u64)i * PAGE | P | W | A | D | (i == USER_CODE / PAGE ? U : 0);

		if (wide(mode))
			put_entry(mode, GUEST_PT + i * 8, entry);
		else
			put_entry(mode, GUEST_PT32 + i * 4, entry);
	}
	at = LEAF_TABLE + (wide(mode) ? (TARGET >> 12 & 511) * 8 : (TARGET >> 12 & 1023) * 4);
	put_entry(mode, at, FRAME | P | W | U);
	at = wide(mode) ? GUEST_PD + (TARGET >> 21 & 511) * 8 : GUEST_PD32 + (TARGET >> 22) * 4;
	put_entry(mode, at, LEAF_TABLE | P | W | U);
	memcpy(vm->mem + USER_CODE, uses, sizeof(uses));
	memcpy(vm->mem + GUEST_CODE + 0x800, uses, sizeof(uses));
	/* What a fetch finds: OUT, HLT. */
	memcpy(vm->mem + FRAME, uses + 3, 3);
}

static struct outcome try(const struct trial *t)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = KERNEL_STACK, .rflags = 2,
		.rax = t->entry, .rdx = t->entry >> 32, .rbx = entry_at(t), .rdi = TARGET,
		.rsi = (t->user ? USER_CODE : GUEST_CODE + 0x800) + 8 * t->use,
		.rbp = 2 | FLAG_IOPL3 | (t->ac ? FLAG_AC : 0),
		.r8 = t->user, .rcx = t->user, .r9 = t->pkru,
	};
	struct outcome o = {};
	struct tfault fault;

	tcpu_settle(cpu);
	tcpu_set_sregs(cpu, &sregs);
	tcpu_set_regs(cpu, &regs);
	if (tcpu_run(cpu) == KVM_EXIT_IO && tcpu_is_out(cpu, PORT_TEST))
		return o;
	if (!tcpu_fault(cpu, &fault) || fault.vector != 14) {
		tcpu_explain(cpu);
		tvm_die("not a page fault");
	}
	o.fault = true;
	o.error = fault.error;
	o.cr2 = tcpu_sregs(cpu).cr2;
	return o;
}

/* "Protection Keys": data in user pages, whoever uses it. */
static bool key_denies(const struct trial *t)
{
	unsigned int key = t->entry >> 59 & 15;

	if (!(sregs.cr4 & CR4_PKE) || t->use == FETCH || !(t->entry & U))
		return false;
	if (t->pkru >> 2 * key & 1)
		return true;
	return t->use == WRITE && t->pkru >> 2 * key & 2 && (t->user || sregs.cr0 & CR0_WP);
}

/* "Determination of Access Rights", "Page-Fault Exceptions" */
static struct outcome rules(const struct trial *t)
{
	bool wp = sregs.cr0 & CR0_WP, smep = sregs.cr4 & CR4_SMEP, smap = sregs.cr4 & CR4_SMAP;
	bool nxe = wide(t->mode) && sregs.efer & EFER_NX, deny = false, rsvd;
	struct outcome o = { .cr2 = TARGET };

	o.error = (t->use == WRITE ? ERR_W : 0) | (t->user ? ERR_U : 0);
	if (t->use == FETCH && (nxe || smep))
		o.error |= ERR_I;
	if (t->use != FETCH)
		o.cr2 += 8;
	if (!(t->entry & P)) {
		o.fault = true;
		return o;
	}
	rsvd = wide(t->mode) && (t->entry & RESERVED || (t->entry & NX && !nxe));
	if (t->use == FETCH && nxe && t->entry & NX)
		deny = true;
	if (t->user)
		deny |= !(t->entry & U) || (t->use == WRITE && !(t->entry & W));
	else
		deny |= t->use == WRITE && !(t->entry & W) && wp;
	if (!t->user && t->entry & U)
		deny |= t->use == FETCH ? smep : smap && !t->ac;
	if (key_denies(t)) {
		deny = true;
		o.error |= ERR_PK;
	}
	if (rsvd)
		o.error |= ERR_RSVD;
	o.fault = deny || rsvd;
	if (o.fault)
		o.error |= ERR_P;
	return o;
}

static u64 flags_after(const struct trial *t)
{
	u64 entry = 0;

	memcpy(&entry, vm->mem + entry_at(t), wide(t->mode) ? 8 : 4);
	return entry & (A | D);
}

static bool check_trial(const struct trial *t)
{
	struct outcome got = try(t), want = rules(t);
	u64 flags = A | (t->use == WRITE && t->place != UPPER ? D : 0);

	if (got.fault == want.fault &&
	    (!got.fault || (got.error == want.error && got.cr2 == want.cr2)) &&
	    (got.fault || (flags_after(t) & flags) == flags)) {
		/* A read must not make a page dirty. */
		if (got.fault || t->use == WRITE || t->place == UPPER || !(flags_after(t) & D))
			return true;
	}
	fprintf(stderr, "# %s, %s: %s of ring %u, entry %#llx, AC %d\n", tmode_name(t->mode),
		place_names[t->place], use_names[t->use], t->user ? 3 : 0, t->entry, t->ac);
	fprintf(stderr, "# CR0 %llx CR4 %llx EFER %llx: got %d error %llx cr2 %llx flags %llx\n",
		sregs.cr0, sregs.cr4, sregs.efer, got.fault, got.error, got.cr2, flags_after(t));
	if (sregs.cr4 & CR4_PKE)
		fprintf(stderr, "# PKRU %x\n", t->pkru);
	fprintf(stderr, "# not %d error %#llx cr2 %#llx\n", want.fault, want.error, want.cr2);
	return false;
}

/* Rights of an entry by number; those that its format lacks are left out. */
static u64 rights(enum tmode mode, unsigned int n)
{
	u64 entry = (n & 1 ? P : 0) | (n & 2 ? W : 0) | (n & 4 ? U : 0);

	if (wide(mode))
		entry |= (n & 8 ? NX : 0) | (n & 16 ? RESERVED : 0);
	return entry;
}

static unsigned int try_all_rights(enum tmode mode, enum place place)
{
	unsigned int n, use, user, ac, wrong = 0;
	unsigned int most = wide(mode) ? 18 : 8;

	for (n = 0; n < most; n++)
		for (use = 0; use < USES; use++)
			for (user = 0; user < 2; user++)
				for (ac = 0; ac < (!user && sregs.cr4 & CR4_SMAP ? 2 : 1); ac++) {
					struct trial t = {
						.mode = mode, .place = place, .use = use,
						.user = user, .ac = ac,
					};

					t.entry = rights(mode, n) | entry_base(&t);
					wrong += !check_trial(&t);
					if (wrong > 5)
						return wrong;
				}
	return wrong;
}

static void load_program(enum tmode mode)
{
	tcpu_load(cpu, mode == MODE_LONG ? &change64 : mode == MODE_PAE ? &change_pae : &change32);
}

static void begin(enum tmode mode, u64 cr0, u64 cr4, u64 efer)
{
	tcpu_mode(cpu, mode);
	write_tables(mode);
	sregs = tcpu_sregs(cpu);
	sregs.cr0 = (sregs.cr0 & ~CR0_WP) | cr0;
	sregs.cr4 |= cr4;
	sregs.efer |= efer;
	tcpu_set_sregs(cpu, &sregs);
	load_program(mode);
	memcpy(vm->mem + GUEST_CODE + 0x800, uses, sizeof(uses));
}

static u64 offered_cr4(u64 bits)
{
	if (!tvm_cpuid_has(7, 0, 1, 7))
		bits &= ~CR4_SMEP;
	if (!tvm_cpuid_has(7, 0, 1, 20))
		bits &= ~CR4_SMAP;
	return bits;
}

static void setup(void)
{
	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
}

/* Another guest, which has not seen the tables of the last. */
static void renew(void)
{
	tcpu_destroy(cpu);
	tvm_destroy(vm);
	setup();
}

static unsigned int try_modes(enum tmode mode)
{
	static const u64 cr4s[] = { 0, CR4_SMEP, CR4_SMAP, CR4_SMEP | CR4_SMAP };
	unsigned int place, c, wp, nx, wrong = 0;

	for (place = 0; place < PLACES; place++) {
		renew();
		for (c = 0; c < ARRAY_SIZE(cr4s); c++)
			for (wp = 0; wp < 2; wp++)
				for (nx = 0; nx < (wide(mode) && !c ? 2 : 1); nx++) {
					if (offered_cr4(cr4s[c]) != cr4s[c])
						continue;
					begin(mode, wp ? CR0_WP : 0, cr4s[c], nx ? 0 : EFER_NX);
					wrong += try_all_rights(mode, place);
					if (wrong > 5)
						return wrong;
				}
	}
	return wrong;
}

TEST(rights_32bit)
{
	setup();
	EXPECT_EQ(0, try_modes(MODE_PAGED32));
}

TEST(rights_pae)
{
	setup();
	EXPECT_EQ(0, try_modes(MODE_PAE));
}

TEST(rights_long)
{
	setup();
	EXPECT_EQ(0, try_modes(MODE_LONG));
}

/* Ring 3 and user pages: the emulator has other ideas of what a key means elsewhere. */
static unsigned int try_keys(enum place place, u64 entry, u32 pkru)
{
	struct trial t = { .mode = MODE_LONG, .place = place, .pkru = pkru, .user = true };
	unsigned int wrong = 0;

	t.entry = entry | entry_base(&t);
	for (t.use = 0; t.use < USES; t.use++)
		wrong += !check_trial(&t);
	return wrong;
}

TEST(protection_keys)
{
	static const u64 entries[] = {
		P | W | U, P | U, P | W | U | 5UL << 59, P | U | 5UL << 59,
		P | W | U | 15UL << 59, P | U | 15UL << 59,
	};
	/* Key 0 may not deny writes: to the emulator, that means the host's own as well. */
	static const u32 pkrus[] = { 0, 1, 1 << 10, 2 << 10, 3u << 30, 2u << 30 | 3 << 10 };
	unsigned int i, k, wp, place, wrong = 0;

	if (!tvm_cpuid_has(7, 0, 2, 3))
		SKIP(return, "the device's CPUID has no PKU");
	setup();
	for (wp = 0; wp < 2; wp++) {
		begin(MODE_LONG, wp ? CR0_WP : 0, CR4_PKE, 0);
		tcpu_load(cpu, &change_keyed);
		memcpy(vm->mem + GUEST_CODE + 0x800, uses, sizeof(uses));
		for (place = LEAF; place <= LARGE; place += LARGE - LEAF)
			for (i = 0; i < ARRAY_SIZE(entries); i++)
				for (k = 0; k < ARRAY_SIZE(pkrus); k++)
					wrong += try_keys(place, entries[i], pkrus[k]);
	}
	EXPECT_EQ(0, wrong);
}

/* Write a, read through the mapping, change it to b without and with each way to announce it. */
#define REMAP(announce) \
	"mov (%rdi), %r10; mov %rax, (%rbx); call 1f; mov (%rdi), %r11;" \
	"mov %rdx, (%rbx); call 1f; mov (%rdi), %r12; hlt; 1:" announce "ret"

PROGRAM(by_invlpg, 64, REMAP("invlpg (%rdi);"));
PROGRAM(by_cr3, 64, REMAP("mov %cr3, %rcx; mov %rcx, %cr3;"));
PROGRAM(by_pge, 64, REMAP("mov %cr4, %rcx; xor $0x80, %rcx; mov %rcx, %cr4;"
			  "xor $0x80, %rcx; mov %rcx, %cr4;"));
PROGRAM(by_pg, 64, REMAP("mov %cr0, %rcx; mov %rcx, %cr0; mov %cr3, %rcx; mov %rcx, %cr3;"));
PROGRAM(by_invpcid, 64, REMAP("movq $0, -32(%rsp); mov %rdi, -24(%rsp); xor %ecx, %ecx;"
			      "invpcid -32(%rsp), %rcx;"));
PROGRAM(by_invpcid_all, 64, REMAP("movq $0, -32(%rsp); movq $0, -24(%rsp); mov $2, %ecx;"
				  "invpcid -32(%rsp), %rcx;"));

static void put_value(u64 gpa, u64 value)
{
	memcpy(vm->mem + gpa, &value, 8);
}

static struct kvm_regs remap(const struct guest_code *code, u64 at, u64 old, u64 a, u64 b)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = KERNEL_STACK, .rflags = 2, .rax = a, .rdx = b,
		.rbx = at, .rdi = TARGET,
	};

	renew();
	begin(MODE_LONG, CR0_WP, 0, 0);
	put_entry(MODE_LONG, at, old);
	put_entry(MODE_LONG, LEAF_TABLE + PAGE + (TARGET >> 12 & 511) * 8, 0x41000 | P | W);
	put_value(0x40000, 0x1111);
	put_value(0x41000, 0x2222);
	put_value(0x42000, 0x3333);
	put_value(FRAME, 0x4444);
	tcpu_load(cpu, code);
	tcpu_set_sregs(cpu, &sregs);
	tcpu_set_regs(cpu, &regs);
	if (tcpu_run(cpu) != KVM_EXIT_HLT)
		tcpu_explain(cpu);
	return tcpu_regs(cpu);
}

TEST(changes_are_seen)
{
	static const struct {
		const char *name;
		const struct guest_code *code;
		bool invpcid;
	} ways[] = {
		{ "INVLPG", &by_invlpg, false }, { "CR3", &by_cr3, false },
		{ "CR4.PGE", &by_pge, false }, { "CR0 and CR3", &by_pg, false },
		{ "INVPCID of an address", &by_invpcid, true },
		{ "INVPCID of all", &by_invpcid_all, true },
	};
	const u64 leaf = LEAF_TABLE + (TARGET >> 12 & 511) * 8;
	const u64 upper = GUEST_PD + (TARGET >> 21 & 511) * 8;
	struct kvm_regs regs;
	unsigned int i;

	setup();
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		if (ways[i].invpcid && !tvm_cpuid_has(7, 0, 1, 10))
			continue;
		regs = remap(ways[i].code, leaf, 0x40000 | P | W, 0x41000 | P | W, 0x42000 | P);
		EXPECT_EQ(0x1111, regs.r10);
		EXPECT_EQ(0x2222, regs.r11);
		EXPECT_EQ(0x3333, regs.r12)
			TH_LOG("leaf by %s", ways[i].name);
		/* The upper entry: a table, another table, a large page. */
		regs = remap(ways[i].code, upper, LEAF_TABLE | P | W, (LEAF_TABLE + PAGE) | P | W,
			     0x200000 | P | W | PS);
		EXPECT_EQ(0x2222, regs.r11);
		EXPECT_EQ(0x4444, regs.r12)
			TH_LOG("upper entry by %s", ways[i].name);
	}
}

/*
 * Two address spaces that differ in one page, taken in turns: R8 rounds. What either reads is added
 * up in R10 and R11.
 */
PROGRAM(two_spaces, 64,
	"xor %r10, %r10; xor %r11, %r11;"
	"1: mov %rax, %cr3; add (%rdi), %r10; incq (%rdi);"
	"mov %rdx, %cr3; add (%rdi), %r11; incq (%rdi);"
	"dec %r8; jnz 1b; hlt");

static void copy_tables(u64 pml4, u64 page)
{
	u64 pdpt = pml4 + PAGE, pd = pml4 + 2 * PAGE, pt = pml4 + 3 * PAGE;

	memcpy(vm->mem + pml4, vm->mem + GUEST_PML4, PAGE);
	memcpy(vm->mem + pdpt, vm->mem + GUEST_PDPT, PAGE);
	memcpy(vm->mem + pd, vm->mem + GUEST_PD, PAGE);
	memset(vm->mem + pt, 0, PAGE);
	put_entry(MODE_LONG, pml4, pdpt | P | W | U);
	put_entry(MODE_LONG, pdpt, pd | P | W | U);
	put_entry(MODE_LONG, pd + (TARGET >> 21 & 511) * 8, pt | P | W | U);
	put_entry(MODE_LONG, pt + (TARGET >> 12 & 511) * 8, page | P | W | U);
}

static void run_spaces(struct __test_metadata *_metadata, u64 first, u64 second, u64 cr4)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = KERNEL_STACK, .rflags = 2, .rax = first, .rdx = second,
		.rdi = TARGET, .r8 = 100,
	};

	renew();
	begin(MODE_LONG, CR0_WP, cr4, 0);
	copy_tables(0x50000, 0x40000);
	copy_tables(0x58000, 0x41000);
	put_value(0x40000, 0);
	put_value(0x41000, 1000);
	tcpu_load(cpu, &two_spaces);
	sregs.cr3 = 0x50000;
	tcpu_set_sregs(cpu, &sregs);
	tcpu_set_regs(cpu, &regs);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu))
		tcpu_explain(cpu);
	regs = tcpu_regs(cpu);
	EXPECT_EQ(99 * 100 / 2, regs.r10);
	EXPECT_EQ(100 * 1000 + 99 * 100 / 2, regs.r11);
}

TEST(address_spaces_in_turns)
{
	setup();
	run_spaces(_metadata, 0x50000, 0x58000, 0);
	if (tvm_cpuid_has(1, 0, 2, 17)) {
		run_spaces(_metadata, 0x50001, 0x58002, CR4_PCIDE);
		run_spaces(_metadata, 0x50001 | BIT(63), 0x58002 | BIT(63), CR4_PCIDE);
	}
}

/* Tables that map themselves: the guest changes the entry by which it reaches the table. */
PROGRAM(self_map, 64,
	/* PML4 entry 1 is the PML4: its own address at level 1 by four steps through itself. */
	"mov $0x8040201000, %rsi; mov (%rsi), %r10;"
	/* A new entry 2 = entry 0, used at once. */
	"mov %r10, 16(%rsi); mov $0x10000000000, %rdi; mov (%rax,%rdi), %r11;"
	/* And away again. */
	"movq $0, 16(%rsi); invlpg (%rax,%rdi); mov (%rax,%rdi), %r12; hlt");

TEST(tables_that_map_themselves)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = KERNEL_STACK, .rflags = 2, .rax = 0x40000,
	};
	struct tfault fault;

	setup();
	begin(MODE_LONG, CR0_WP, 0, 0);
	put_entry(MODE_LONG, GUEST_PML4 + 8, GUEST_PML4 | P | W);
	put_value(0x40000, 0x5555);
	tcpu_load(cpu, &self_map);
	tcpu_set_sregs(cpu, &sregs);
	tcpu_set_regs(cpu, &regs);
	ASSERT_EQ(14, tcpu_run_fault(cpu));
	ASSERT_TRUE(tcpu_fault(cpu, &fault));
	regs = tcpu_regs(cpu);
	EXPECT_EQ(0x5555, regs.r11);
	EXPECT_EQ(0, fault.error);
	EXPECT_EQ(0x10000040000, tcpu_sregs(cpu).cr2);
}

/* Through one large page: a page beside the table, then the table itself, whose entry 1 is used. */
PROGRAM(beside_table, 64,
	"mov %rax, 0x3000(%rdi); mov (%rsi), %r10;"
	"mov %rdx, 0x2008(%rdi); mov %cr3, %rcx; mov %rcx, %cr3; mov (%rsi), %r11; hlt");

/* The first use of a large page is also the first of the tables that lead to it, and are in it. */
TEST(tables_in_the_large_page_they_map)
{
	enum { SIZE = 2 << 20, LARGE_AT = 1 << 30 };
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = KERNEL_STACK, .rflags = 2,
		.rax = 1, .rdx = 0x200000 | P | W | PS,
		.rdi = BIT(39), .rsi = BIT(39) + SIZE + 0x40000,
	};
	u8 *room = tvm_map(2 * SIZE), *mem = (u8 *)(((uintptr_t)room + SIZE - 1) & -SIZE);
	const u64 down = (LARGE_AT + 2 * PAGE) | P | W;
	const u64 entries[] = { LARGE_AT | P | W | PS, P | W | PS };

	setup();
	begin(MODE_LONG, CR0_WP, 0, 0);
	madvise(mem, SIZE, MADV_HUGEPAGE);
	memset(mem, 0, SIZE);
	memcpy(mem + PAGE, &down, sizeof(down));
	memcpy(mem + 2 * PAGE, entries, sizeof(entries));
	ASSERT_EQ(0, tvm_slot(vm, 9, 0, LARGE_AT, SIZE, mem));
	put_entry(MODE_LONG, GUEST_PML4 + 8, (LARGE_AT + PAGE) | P | W);
	put_value(0x40000, 0x1111);
	put_value(0x240000, 0x2222);
	tcpu_load(cpu, &beside_table);
	tcpu_set_sregs(cpu, &sregs);
	tcpu_set_regs(cpu, &regs);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu))
		tcpu_explain(cpu);
	regs = tcpu_regs(cpu);
	EXPECT_EQ(0x1111, regs.r10);
	EXPECT_EQ(0x2222, regs.r11);
}

/* RCX times at RDI, RDX apart; then RSI times at RBX, a page apart; all of it R8 times. */
PROGRAM(touch_all, 64,
	"3: mov %rdi, %rax; mov %rcx, %r9; 1: incq (%rax); add %rdx, %rax; dec %r9; jnz 1b;"
	"mov %rbx, %rax; mov %rsi, %r9; 2: incq (%rax); add $4096, %rax; dec %r9; jnz 2b;"
	"dec %r8; jnz 3b; hlt");

static void fill_table(u64 table, u64 entry)
{
	unsigned int i;

	for (i = 0; i < 512; i++)
		put_entry(MODE_LONG, table + i * 8, entry);
}

/* The guest decides how often a frame is mapped and a table linked; it costs the host no more. */
TEST(one_frame_and_one_table_many_times)
{
	enum { MANY = 3 * 512, PDPT = 0x50000, PDS = 0x51000, PTS = 0x55000, PAGE_AT = 0x40000 };
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = KERNEL_STACK, .rflags = 2,
		.rdi = BIT(39), .rcx = MANY, .rdx = BIT(21),
		.rbx = BIT(39) + 3 * BIT(30), .rsi = MANY, .r8 = 3,
	};
	unsigned int i;
	u64 value;

	setup();
	begin(MODE_LONG, CR0_WP, 0, 0);
	put_entry(MODE_LONG, GUEST_PML4 + 8, PDPT | P | W);
	for (i = 0; i < 4; i++)
		put_entry(MODE_LONG, PDPT + i * 8, (PDS + i * PAGE) | P | W);
	for (i = 0; i < 3; i++) {
		fill_table(PDS + i * PAGE, PTS | P | W);
		put_entry(MODE_LONG, PDS + 3 * PAGE + i * 8, (PTS + i * PAGE) | P | W);
		fill_table(PTS + i * PAGE, PAGE_AT | P | W);
	}
	put_value(PAGE_AT, 0);
	tcpu_load(cpu, &touch_all);
	tcpu_set_sregs(cpu, &sregs);
	tcpu_set_regs(cpu, &regs);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu))
		tcpu_explain(cpu);
	memcpy(&value, vm->mem + PAGE_AT, sizeof(value));
	EXPECT_EQ(3 * 2 * MANY, value);
}

/* By the second entry of the top table, which changes; then by the third, which is absent. */
PROGRAM(top_level, 64,
	"mov (%rdi), %r10; mov %rax, (%rdi); mov %rdx, (%rbx); mov %cr3, %rcx; mov %rcx, %cr3;"
	"mov (%rdi), %r11; shl $1, %rdi; mov (%rdi), %r12; hlt");

TEST(five_levels)
{
	enum { PML5 = 0x50000, PML4 = 0x51000, PDPT = 0x52000, PD = 0x53000 };
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = KERNEL_STACK, .rflags = 2,
		.rax = 0x3333, .rbx = PML5 + 8, .rdx = PML4 | P | W, .rdi = BIT(48) + 0x40000,
	};
	struct tfault fault;
	u64 value;

	if (!tvm_cpuid_has(7, 0, 2, 16))
		SKIP(return, "the device's CPUID has no LA57");
	setup();
	begin(MODE_LONG, CR0_WP, CR4_LA57, 0);
	memset(vm->mem + PML5, 0, 4 * PAGE);
	put_entry(MODE_LONG, PML5, GUEST_PML4 | P | W);
	put_entry(MODE_LONG, PML5 + 8, GUEST_PML4 | P | W);
	put_entry(MODE_LONG, PML4, PDPT | P | W);
	put_entry(MODE_LONG, PDPT, PD | P | W);
	put_entry(MODE_LONG, PD, 0x200000 | P | W | PS);
	put_value(0x40000, 0x1111);
	put_value(0x240000, 0x2222);
	tcpu_load(cpu, &top_level);
	sregs.cr3 = PML5;
	tcpu_set_sregs(cpu, &sregs);
	tcpu_set_regs(cpu, &regs);
	ASSERT_EQ(14, tcpu_run_fault(cpu));
	ASSERT_TRUE(tcpu_fault(cpu, &fault));
	regs = tcpu_regs(cpu);
	EXPECT_EQ(0x1111, regs.r10);
	EXPECT_EQ(0x2222, regs.r11);
	EXPECT_EQ(0, fault.error);
	EXPECT_EQ(BIT(49) + 0x80000, tcpu_sregs(cpu).cr2);
	memcpy(&value, vm->mem + 0x40000, sizeof(value));
	EXPECT_EQ(0x3333, value);
}

/* One page is read, then the two after it are written and the next is read; last one before it. */
PROGRAM(among_neighbours, 64,
	"mov (%rdi), %r10; mov %rax, 0x1000(%rdi); mov %rax, 0x2000(%rdi); mov 0x3000(%rdi), %r11;"
	"mov -0x2000(%rdi), %r12; hlt");

/* Whatever is made ready with the page that faults: the entries beside it keep their meaning. */
TEST(neighbours_of_a_fault)
{
	static const struct {
		u64 before, after;
	} entries[] = {
		{ 0, 0 },
		{ P | W | A | RESERVED, P | W | A | RESERVED },
		{ P | W | A, P | W | A },
		{ P | W, P | W | A },
		{ P | W | A, P | W | A | D },
		{ P | W | A | D, P | W | A | D },
		{ P | W, P | W | A },
		{ P | W, P | W },
	};
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = KERNEL_STACK, .rflags = 2, .rax = 1, .rdi = TARGET,
	};
	const u64 group = LEAF_TABLE + (TARGET >> 12 & 511 & ~7) * 8;
	struct tfault fault;
	unsigned int i;
	u64 entry;

	setup();
	begin(MODE_LONG, CR0_WP, 0, 0);
	put_entry(MODE_LONG, GUEST_PD + (TARGET >> 21 & 511) * 8, LEAF_TABLE | P | W);
	for (i = 0; i < ARRAY_SIZE(entries); i++)
		put_entry(MODE_LONG, group + i * 8, 0x40000 | entries[i].before);
	tcpu_load(cpu, &among_neighbours);
	tcpu_set_sregs(cpu, &sregs);
	tcpu_set_regs(cpu, &regs);
	ASSERT_EQ(14, tcpu_run_fault(cpu));
	ASSERT_TRUE(tcpu_fault(cpu, &fault));
	EXPECT_EQ(ERR_P | ERR_RSVD, fault.error);
	EXPECT_EQ(1, tcpu_regs(cpu).r11);
	for (i = 0; i < ARRAY_SIZE(entries); i++) {
		memcpy(&entry, vm->mem + group + i * 8, sizeof(entry));
		EXPECT_EQ(0x40000 | entries[i].after, entry)
			TH_LOG("entry %u", i);
	}
}

TEST_HARNESS_MAIN
