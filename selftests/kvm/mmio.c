// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every instruction form on an address without memory, against the same on plain memory.
 * Must not know results: one run's registers and memory must equal the other's.
 */
#include "ktap.h"
#include "mmio_forms.h"
#include "tvm.h"

#define OPERAND 0x30000UL
#define PLAIN 0x31000UL
#define SIZE 64
#define FLAGS 0x8c5		/* CF PF ZF SF OF; AF is left undefined too often */
#define CF 1
#define CR4_OSXSAVE BIT(18)

/* What a run leaves behind. */
struct outcome {
	struct kvm_regs regs;
	struct kvm_xsave xsave;
	u8 operand[SIZE];
	u8 plain[SIZE];
	char accesses[64];
};

static struct tvm *vm;
static struct tcpu *cpu;
static struct kvm_xsave start_xsave;

static void setup(void)
{
	unsigned int i;

	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
	if (ioctl(cpu->fd, KVM_GET_XSAVE, &start_xsave))
		tvm_die("KVM_GET_XSAVE: %m");
	for (i = 0; i < 64; i++)
		start_xsave.region[40 + i] = 0x01010101 * i + 0xc0000000;
	start_xsave.region[6] = 0x1f80;
	start_xsave.region[128] |= 3;
	/* Eight MMX registers, exponents as MMX leaves them. */
	for (i = 0; i < 8; i++) {
		start_xsave.region[8 + 4 * i] = 0xabcd0000 + i;
		start_xsave.region[9 + 4 * i] = 0x12340000 + i;
		start_xsave.region[10 + 4 * i] = 0xffff;
	}
}

static void enable_avx(void)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1 };
	struct kvm_sregs sregs = tcpu_sregs(cpu);
	unsigned int i;

	sregs.cr4 |= CR4_OSXSAVE;
	tcpu_set_sregs(cpu, &sregs);
	xcrs.xcrs[0].value = 7;
	if (ioctl(cpu->fd, KVM_SET_XCRS, &xcrs))
		tvm_die("KVM_SET_XCRS: %m");
	start_xsave.region[128] |= 4;
	for (i = 0; i < 64; i++)
		start_xsave.region[144 + i] = 0x03030303 * i + 0x55;
}

static void prepare(const struct form *form, u64 operand, u8 *device)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = {
		.rax = 0x8877665544332211, .rbx = 0x1020304050607080,
		.rcx = 0xf1e2d3c4b5a69788, .rdx = 0x0123456789abcdef,
		.rsi = operand, .rdi = PLAIN, .rsp = GUEST_CODE, .rbp = 0x10,
		.r8 = 8, .r9 = 9, .r10 = 10, .r11 = 11, .r12 = 12, .r13 = 13, .r14 = 5,
		.r15 = 0xfedcba9876543210, .rip = GUEST_CODE, .rflags = 2,
	};
	unsigned int i;

	tcpu_load(cpu, &form->code);
	tcpu_set_regs(cpu, &regs);
	sregs = tcpu_sregs(cpu);
	sregs.fs.base = operand;
	tcpu_set_sregs(cpu, &sregs);
	if (ioctl(cpu->fd, KVM_SET_XSAVE, &start_xsave))
		tvm_die("KVM_SET_XSAVE: %m");
	for (i = 0; i < SIZE; i++) {
		device[i] = i + 0x10;
		vm->mem[PLAIN + i] = i + (i < 4 ? 0x10 : 0x30);
	}
	/* Two equal words for the repeated compares; the operand of CMPXCHG16B. */
	memset(vm->mem + GUEST_STACK, 0, PAGE);
}

/* Run the form; a device of SIZE bytes at GUEST_MMIO answers. */
static bool run(struct outcome *out, u64 operand, u8 *device)
{
	struct kvm_run *page = cpu->run;
	char *log = out->accesses;
	int reason;

	*log = 0;
	while ((reason = tcpu_run(cpu)) == KVM_EXIT_MMIO) {
		u64 offset = page->mmio.phys_addr - operand;
		u32 len = page->mmio.len;

		if (len > 8 || offset > SIZE - len || log - out->accesses > 50)
			return false;
		if (page->mmio.is_write)
			memcpy(device + offset, page->mmio.data, len);
		else
			memcpy(page->mmio.data, device + offset, len);
		log += sprintf(log, "%c%u", page->mmio.is_write ? 'w' : 'r', len);
	}
	out->regs = tcpu_regs(cpu);
	if (ioctl(cpu->fd, KVM_GET_XSAVE, &out->xsave))
		tvm_die("KVM_GET_XSAVE: %m");
	memcpy(out->operand, device, SIZE);
	memcpy(out->plain, vm->mem + PLAIN, SIZE);
	return reason == KVM_EXIT_HLT;
}

/* Pointers into the operand become the same for both runs. */
static void rebase(struct kvm_regs *regs, u64 operand)
{
	if (regs->rsi - operand <= SIZE || operand - regs->rsi <= SIZE)
		regs->rsi += OPERAND - operand;
	if (regs->rdi - operand <= SIZE || operand - regs->rdi <= SIZE)
		regs->rdi += OPERAND - operand;
}

static void compare(struct __test_metadata *_metadata, const struct form *form,
		    struct outcome *want, struct outcome *got, u64 flags)
{
	const u8 *a = (u8 *)want->xsave.region, *b = (u8 *)got->xsave.region;

	rebase(&got->regs, GUEST_MMIO);
	want->regs.rflags &= flags;
	got->regs.rflags &= flags;
	EXPECT_EQ(0, memcmp(&want->regs, &got->regs, sizeof(want->regs))) {
		TH_LOG("%s: rax %#llx/%#llx rcx %#llx/%#llx rdx %#llx/%#llx", form->name,
		       want->regs.rax, got->regs.rax, want->regs.rcx, got->regs.rcx,
		       want->regs.rdx, got->regs.rdx);
		TH_LOG("rsi %#llx/%#llx rdi %#llx/%#llx rsp %#llx/%#llx rflags %#llx/%#llx",
		       want->regs.rsi, got->regs.rsi, want->regs.rdi, got->regs.rdi,
		       want->regs.rsp, got->regs.rsp, want->regs.rflags, got->regs.rflags);
	}
	EXPECT_EQ(0, memcmp(want->operand, got->operand, SIZE))
		TH_LOG("%s: the operand", form->name);
	EXPECT_EQ(0, memcmp(want->plain, got->plain, SIZE))
		TH_LOG("%s: memory", form->name);
	EXPECT_EQ(0, memcmp(a + 32, b + 32, 384))
		TH_LOG("%s: FPU or SSE registers", form->name);
	if (start_xsave.region[128] & 4)
		EXPECT_EQ(0, memcmp(a + 576, b + 576, 256))
			TH_LOG("%s: upper halves of YMM", form->name);
	if (*form->accesses != '?')
		EXPECT_STREQ(form->accesses, got->accesses)
			TH_LOG("%s", form->name);
}

static void try_forms(struct __test_metadata *_metadata, const struct form *form,
		      const struct form *stop, u64 flags)
{
	static struct outcome want, got;
	u8 device[SIZE];
	bool done;

	for (; form < stop; form++) {
		prepare(form, OPERAND, vm->mem + OPERAND);
		ASSERT_TRUE(run(&want, OPERAND, vm->mem + OPERAND)) {
			TH_LOG("%s on plain memory", form->name);
			tcpu_explain(cpu);
		}
		EXPECT_STREQ("", want.accesses);
		prepare(form, GUEST_MMIO, device);
		done = run(&got, GUEST_MMIO, device);
		EXPECT_TRUE(done) {
			TH_LOG("%s after %s", form->name, got.accesses);
			tcpu_explain(cpu);
		}
		if (done)
			compare(_metadata, form, &want, &got, flags);
	}
}

#define TRY(group, flags) \
	try_forms(_metadata, __start_forms_##group, __stop_forms_##group, flags)

TEST(moves)
{
	setup();
	TRY(move, FLAGS);
}

TEST(arithmetic)
{
	setup();
	TRY(arithmetic, FLAGS);
}

TEST(bits)
{
	setup();
	TRY(bit, CF);
}

TEST(strings)
{
	setup();
	TRY(string, FLAGS);
}

TEST(sse)
{
	setup();
	TRY(sse, FLAGS);
}

TEST(beyond_kvm)
{
	if (!tvm_is_kvmlet())
		SKIP(return, "KVM does not emulate these forms");
	setup();
	TRY(beyond, FLAGS);
}

TEST(avx)
{
	if (!tvm_is_kvmlet())
		SKIP(return, "KVM does not emulate AVX");
	if (!tvm_cpuid_has(1, 0, 2, 28))
		SKIP(return, "this CPU has no AVX");
	setup();
	enable_avx();
	TRY(avx, FLAGS);
}

TEST_HARNESS_MAIN
