// SPDX-License-Identifier: GPL-2.0-only
/*
 * String I/O: INS and OUTS, with and without REP, over pages, backwards, and faulting.
 * Must not ask in which pieces a REP arrives: only for its bytes and their order.
 */
#include "ktap.h"
#include "tvm.h"

static struct tvm *vm;
static struct tcpu *cpu;

static void start(const struct guest_code *code)
{
	vm = tvm_create(0);
	cpu = tvm_vcpu(vm, 0);
	tcpu_load(cpu, code);
}

static void expect_io(struct __test_metadata *_metadata, unsigned int direction,
		      unsigned int port, unsigned int size, unsigned int count)
{
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu))
		tcpu_explain(cpu);
	EXPECT_EQ(direction, cpu->run->io.direction);
	EXPECT_EQ(port, cpu->run->io.port);
	EXPECT_EQ(size, cpu->run->io.size);
	EXPECT_EQ(count, cpu->run->io.count);
	/* The data lies inside the mapping, behind struct kvm_run. */
	EXPECT_LE(sizeof(struct kvm_run), cpu->run->io.data_offset);
	EXPECT_GE(vm->run_size, cpu->run->io.data_offset + size * count);
}

static void answer(u64 value)
{
	memcpy(tcpu_io_data(cpu), &value, cpu->run->io.size);
}

/* Strings: the kernel may hand over a REP in pieces of any size, but in order. */
static unsigned int collect(struct __test_metadata *_metadata, unsigned int size,
			    u8 *bytes, unsigned int limit)
{
	unsigned int got = 0, piece;

	while (tcpu_run(cpu) == KVM_EXIT_IO) {
		if (cpu->run->io.port != PORT_TEST2)
			break;
		EXPECT_EQ(size, cpu->run->io.size);
		EXPECT_NE(0, cpu->run->io.count);
		piece = cpu->run->io.count * size;
		if (got + piece > limit)
			break;
		if (cpu->run->io.direction == KVM_EXIT_IO_OUT)
			memcpy(bytes + got, tcpu_io_data(cpu), piece);
		else
			memcpy(tcpu_io_data(cpu), bytes + got, piece);
		got += piece;
	}
	return got;
}

static void set_string(u64 rcx, u64 rsi, u64 rdi, u64 rflags)
{
	struct kvm_regs regs = tcpu_regs(cpu);

	regs.rcx = rcx;
	regs.rdx = PORT_TEST2;
	regs.rsi = rsi;
	regs.rdi = rdi;
	regs.rflags = rflags;
	tcpu_set_regs(cpu, &regs);
}

static void pattern(u8 *mem, unsigned int size)
{
	unsigned int i;

	for (i = 0; i < size; i++)
		mem[i] = i * 7 + (i >> 8);
}

PROGRAM(rep_outsb, 64, "rep outsb; hlt");
PROGRAM(rep_outsw, 64, "rep outsw; hlt");
PROGRAM(rep_outsl, 64, "rep outsl; hlt");
PROGRAM(rep_insb, 64, "rep insb; hlt");
PROGRAM(rep_insw, 64, "rep insw; hlt");
PROGRAM(rep_insl, 64, "rep insl; hlt");

static const struct {
	const struct guest_code *out, *in;
	unsigned int size;
} strings[] = {
	{ &rep_outsb, &rep_insb, 1 },
	{ &rep_outsw, &rep_insw, 2 },
	{ &rep_outsl, &rep_insl, 4 },
};

#define AREA 0x20000
#define TOTAL 6000

TEST(rep_outs)
{
	static u8 bytes[TOTAL];
	unsigned int i;

	for (i = 0; i < 3; i++) {
		unsigned int size = strings[i].size;

		start(strings[i].out);
		/* Over two page borders, and misaligned. */
		pattern(vm->mem + AREA + 0xabd, TOTAL);
		set_string(TOTAL / size, AREA + 0xabd, 0, 2);
		EXPECT_EQ(TOTAL, collect(_metadata, size, bytes, TOTAL));
		EXPECT_EQ(0, memcmp(bytes, vm->mem + AREA + 0xabd, TOTAL));
		EXPECT_EQ(KVM_EXIT_HLT, cpu->run->exit_reason);
		EXPECT_EQ(0, tcpu_regs(cpu).rcx);
		EXPECT_EQ(AREA + 0xabd + TOTAL, tcpu_regs(cpu).rsi);
	}
}

TEST(rep_ins)
{
	static u8 bytes[TOTAL];
	unsigned int i;

	pattern(bytes, TOTAL);
	for (i = 0; i < 3; i++) {
		unsigned int size = strings[i].size;

		start(strings[i].in);
		set_string(TOTAL / size, 0, AREA + 0xabd, 2);
		EXPECT_EQ(TOTAL, collect(_metadata, size, bytes, TOTAL));
		EXPECT_EQ(0, memcmp(bytes, vm->mem + AREA + 0xabd, TOTAL));
		EXPECT_EQ(KVM_EXIT_HLT, cpu->run->exit_reason);
		EXPECT_EQ(0, tcpu_regs(cpu).rcx);
		EXPECT_EQ(AREA + 0xabd + TOTAL, tcpu_regs(cpu).rdi);
	}
}

TEST(strings_backwards_and_empty)
{
	static u8 bytes[64];

	start(&rep_outsb);
	pattern(vm->mem + AREA, 16);
	set_string(16, AREA + 15, 0, 0x402);
	EXPECT_EQ(16, collect(_metadata, 1, bytes, 64));
	EXPECT_EQ(vm->mem[AREA + 15], bytes[0]);
	EXPECT_EQ(vm->mem[AREA], bytes[15]);
	EXPECT_EQ(AREA - 1, tcpu_regs(cpu).rsi);
	/* A count of zero does nothing at all. */
	start(&rep_insb);
	set_string(0, 0, AREA, 2);
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
	EXPECT_EQ(AREA, tcpu_regs(cpu).rdi);
}

PROGRAM(one_outs, 64, "outsl; insw; hlt");

TEST(strings_without_rep)
{
	start(&one_outs);
	memcpy(vm->mem + AREA, "abcd", 4);
	set_string(5, AREA, AREA + 0x100, 2);
	expect_io(_metadata, KVM_EXIT_IO_OUT, PORT_TEST2, 4, 1);
	EXPECT_EQ(0, memcmp("abcd", tcpu_io_data(cpu), 4));
	expect_io(_metadata, KVM_EXIT_IO_IN, PORT_TEST2, 2, 1);
	answer(0x4241);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
	EXPECT_EQ(0, memcmp("AB", vm->mem + AREA + 0x100, 3));
	EXPECT_EQ(5, tcpu_regs(cpu).rcx);
	EXPECT_EQ(AREA + 4, tcpu_regs(cpu).rsi);
	EXPECT_EQ(AREA + 0x102, tcpu_regs(cpu).rdi);
}

TEST(string_from_an_unmapped_page)
{
	static u8 bytes[64];
	struct tfault fault;

	start(&rep_outsb);
	pattern(vm->mem + AREA + 0xff0, 16);
	*tvm_pte(vm, AREA + 0x1000) = 0;
	set_string(32, AREA + 0xff0, 0, 2);
	EXPECT_EQ(16, collect(_metadata, 1, bytes, 64));
	/* The fault comes with everything before it done. */
	ASSERT_TRUE(tcpu_fault(cpu, &fault));
	EXPECT_EQ(14, fault.vector);
	EXPECT_EQ(0, fault.error);
	EXPECT_EQ(GUEST_CODE, fault.rip);
	EXPECT_EQ(AREA + 0x1000, tcpu_sregs(cpu).cr2);
	EXPECT_EQ(16, tcpu_regs(cpu).rcx);
	EXPECT_EQ(AREA + 0x1000, tcpu_regs(cpu).rsi);
	EXPECT_EQ(0, memcmp(bytes, vm->mem + AREA + 0xff0, 16));
}

PROGRAM(outsb_segment, 16, "mov $0x2000, %ax; mov %ax, %es; es outsb; insb; hlt");

TEST(segments_in_real_mode)
{
	start(&outsb_segment);
	tcpu_mode(cpu, MODE_REAL);
	set_string(0, 0x10, 0x20, 2);
	vm->mem[0x20010] = 0x6b;
	expect_io(_metadata, KVM_EXIT_IO_OUT, PORT_TEST2, 1, 1);
	EXPECT_EQ(0x6b, *(u8 *)tcpu_io_data(cpu));
	expect_io(_metadata, KVM_EXIT_IO_IN, PORT_TEST2, 1, 1);
	answer(0x6c);
	ASSERT_EQ(KVM_EXIT_HLT, tcpu_run(cpu));
	EXPECT_EQ(0x6c, vm->mem[0x20020]);
}

PROGRAM(pic_string, 64,
	"mov $0x21, %edx; mov $" GUEST_STR(GUEST_DATA) ", %edi; mov %edi, %esi;"
	"movb $0x3c, (%rsi); outsb; mov $0x21, %edx; insb; hlt");

TEST(strings_to_ports_of_the_kernel)
{
	vm = tvm_create(TVM_PIT);
	cpu = tvm_vcpu(vm, 0);
	tcpu_load(cpu, &pic_string);
	/* A HLT would wait; report by port instead. */
	vm->mem[GUEST_CODE + (pic_string.end - pic_string.start) - 1] = 0xe6;
	vm->mem[GUEST_CODE + (pic_string.end - pic_string.start)] = PORT_TEST;
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(cpu));
	ASSERT_TRUE(tcpu_is_out(cpu, PORT_TEST))
		tcpu_explain(cpu);
	EXPECT_EQ(0x3c, vm->mem[GUEST_DATA]);
	EXPECT_EQ(GUEST_DATA + 1, tcpu_regs(cpu).rdi);
}

TEST_HARNESS_MAIN
