// SPDX-License-Identifier: GPL-2.0-only
/*
 * PV EOI: a bit in guest memory that may stand for an EOI, and that no interrupt is lost or held
 * back whichever way the guest ends them.
 * Must not insist on the bit where the device is free not to set it: kvm_intel does not with APICv.
 */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#include "ktap.h"
#include "tvm.h"

#define MSR_PV_EOI	0x4b564d04
#define PIN		5

/* What the guest's handlers leave behind @mark. */
struct page {
	u8 mark;
	u8 seen;		/* the mark when a handler began */
	u8 high[2];		/* 0x60, 0x70 and 0x80: ended by memory, by register */
	u8 low[2];		/* 0x50: the same */
};

FIXTURE(pv_eoi)
{
	struct tvm *vm;
	struct tcpu *cpu;
	struct page *page;
};

#define DATA(offset) GUEST_STR(GUEST_DATA) "+" #offset
#define SEND(vector) "mov $0x830, %ecx; mov " vector ", %eax; xor %edx, %edx; wrmsr;"
#define BEGIN(offset) \
	"; .org guest_selves_start + " #offset "; push %rax; push %rcx; push %rdx;"
#define SEEN "mov " DATA(0) ", %al; mov %al, " DATA(1) ";"
#define FINISH(counts) \
	"mov $" DATA(counts) ", %ecx; btrl $0, " DATA(0) "; jnc 1f; incb (%rcx); jmp 2f;" \
	"1: incb 1(%rcx); mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr;" \
	"2: pop %rdx; pop %rcx; pop %rax; iretq"

/* Sends itself R8, unless that is 0, halts when R9 is not, and reports. */
PROGRAM(selves, 64,
	"sti; test %r8d, %r8d; jz 1f;" SEND("%r8d")
	"1: test %r9d, %r9d; jz 2f; hlt;"
	"2: nop; out %al, $" GUEST_STR(PORT_TEST)
	BEGIN(0x100) SEEN FINISH(2)
	BEGIN(0x180) FINISH(4)
	BEGIN(0x200) SEND("$0x50") SEEN FINISH(2)
	BEGIN(0x280) SEEN "out %al, $" GUEST_STR(PORT_TEST) ";" FINISH(2));

FIXTURE_SETUP(pv_eoi)
{
	u64 base;

	self->vm = tvm_create(TVM_IRQCHIP);
	self->cpu = tvm_vcpu(self->vm, 0);
	self->page = (void *)(self->vm->mem + GUEST_DATA);
	ASSERT_TRUE(tvm_cpuid_has(0x40000001, 0, 0, 6));
	ASSERT_TRUE(tcpu_get_msr(self->cpu, 0x1b, &base));
	ASSERT_TRUE(tcpu_set_msr(self->cpu, 0x1b, base | 0xc00));
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, 0x80f, 0x1ff));
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, 0x835, 0x10000));
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, MSR_PV_EOI, GUEST_DATA | 1));
	tvm_gate(self->cpu, 0x60, GUEST_CODE + 0x100);
	tvm_gate(self->cpu, 0x50, GUEST_CODE + 0x180);
	tvm_gate(self->cpu, 0x70, GUEST_CODE + 0x200);
	tvm_gate(self->cpu, 0x80, GUEST_CODE + 0x280);
}

FIXTURE_TEARDOWN(pv_eoi)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

static void begin(struct _test_data_pv_eoi *self, u64 vector, u64 halt)
{
	struct kvm_regs regs;

	memset(self->page, 0, sizeof(*self->page));
	tcpu_load(self->cpu, &selves);
	regs = tcpu_regs(self->cpu);
	regs.r8 = vector;
	regs.r9 = halt;
	tcpu_set_regs(self->cpu, &regs);
}

static bool reports(struct _test_data_pv_eoi *self)
{
	if (tcpu_run(self->cpu) == KVM_EXIT_IO && tcpu_is_out(self->cpu, PORT_TEST))
		return true;
	tcpu_explain(self->cpu);
	return false;
}

/* Whether a vector is in service; 0: any. */
static bool in_service(struct _test_data_pv_eoi *self, unsigned int vector)
{
	struct kvm_lapic_state s;
	unsigned int v;

	if (ioctl(self->cpu->fd, KVM_GET_LAPIC, &s))
		tvm_die("KVM_GET_LAPIC: %m");
	for (v = 0; v < 256; v++)
		if ((!vector || v == vector) &&
		    s.regs[0x100 + v / 32 * 16 + v % 32 / 8] >> v % 8 & 1)
			return true;
	return false;
}

/* Shadow paging would have to be told of the bit. */
static bool must_offer(void)
{
	return tvm_is_kvmlet() && !tvm_on_shadow();
}

TEST_F(pv_eoi, the_msr)
{
	u64 value;

	ASSERT_TRUE(tcpu_rdmsr(self->cpu, MSR_PV_EOI, &value));
	EXPECT_EQ(GUEST_DATA | 1, value);
	EXPECT_FALSE(tcpu_wrmsr(self->cpu, MSR_PV_EOI, GUEST_DATA | 3));
	EXPECT_FALSE(tcpu_set_msr(self->cpu, MSR_PV_EOI, GUEST_DATA | 2));
	/* No memory there; it may be named as long as it is not used. */
	EXPECT_FALSE(tcpu_wrmsr(self->cpu, MSR_PV_EOI, 0xd0000001));
	EXPECT_TRUE(tcpu_wrmsr(self->cpu, MSR_PV_EOI, 0xd0000000));
	ASSERT_TRUE(tcpu_get_msr(self->cpu, MSR_PV_EOI, &value));
	EXPECT_EQ(0xd0000000, value);
	begin(self, 0x60, 0);
	ASSERT_TRUE(reports(self));
	EXPECT_EQ(0, self->page->seen);
	EXPECT_EQ(1, self->page->high[1]);
}

TEST_F(pv_eoi, ended_by_memory)
{
	begin(self, 0x60, 0);
	ASSERT_TRUE(reports(self));
	EXPECT_EQ(self->page->seen, self->page->high[0]);
	EXPECT_EQ(1, self->page->high[0] + self->page->high[1]);
	if (must_offer())
		EXPECT_EQ(1, self->page->high[0]);
	EXPECT_EQ(0, self->page->mark);
	EXPECT_FALSE(in_service(self, 0));
	/* Nothing holds back one of lower priority. */
	begin(self, 0x50, 0);
	ASSERT_TRUE(reports(self));
	EXPECT_EQ(1, self->page->low[0] + self->page->low[1]);
	EXPECT_FALSE(in_service(self, 0));
}

TEST_F(pv_eoi, lower_request_waits_for_the_register)
{
	begin(self, 0x70, 0);
	ASSERT_TRUE(reports(self));
	EXPECT_EQ(0, self->page->seen);
	EXPECT_EQ(0, self->page->high[0]);
	EXPECT_EQ(1, self->page->high[1]);
	EXPECT_EQ(1, self->page->low[0] + self->page->low[1]);
	EXPECT_FALSE(in_service(self, 0));
}

TEST_F(pv_eoi, user_space_finds_the_truth)
{
	begin(self, 0x80, 0);
	ASSERT_TRUE(reports(self));
	EXPECT_EQ(0, self->page->mark);
	EXPECT_TRUE(in_service(self, 0x80));
	EXPECT_EQ(0, self->page->high[0] + self->page->high[1]);
	ASSERT_TRUE(reports(self));
	EXPECT_EQ(1, self->page->high[0] + self->page->high[1]);
	EXPECT_EQ(0, self->page->mark);
	EXPECT_FALSE(in_service(self, 0));
}

static void *send_later(void *arg)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x50 };
	struct tvm *vm = arg;

	usleep(50000);
	if (ioctl(vm->fd, KVM_SIGNAL_MSI, &msi) != 1)
		tvm_die("KVM_SIGNAL_MSI: %m");
	return NULL;
}

TEST_F(pv_eoi, halted_after_it)
{
	pthread_t thread;

	begin(self, 0x60, 1);
	ASSERT_EQ(0, pthread_create(&thread, NULL, send_later, self->vm));
	EXPECT_TRUE(reports(self));
	pthread_join(thread, NULL);
	EXPECT_EQ(1, self->page->high[0] + self->page->high[1]);
	EXPECT_EQ(1, self->page->low[0] + self->page->low[1]);
	EXPECT_FALSE(in_service(self, 0));
}

static void ioapic_write(struct tcpu *cpu, u32 reg, u32 value)
{
	tcpu_write32(cpu, GUEST_IOAPIC, reg);
	tcpu_write32(cpu, GUEST_IOAPIC + 0x10, value);
}

TEST_F(pv_eoi, an_ioapic_waits_for_the_register)
{
	ioapic_write(self->cpu, 0x11 + 2 * PIN, 0);
	ioapic_write(self->cpu, 0x10 + 2 * PIN, 0x8080);
	begin(self, 0, 0);
	tvm_irq_line(self->vm, PIN, 1);
	ASSERT_TRUE(reports(self));
	EXPECT_EQ(0, self->page->seen);
	tvm_irq_line(self->vm, PIN, 0);
	ASSERT_TRUE(reports(self));
	EXPECT_EQ(0, self->page->high[0]);
	EXPECT_EQ(1, self->page->high[1]);
	/* Remote IRR is clear: the pin works again. */
	begin(self, 0, 0);
	tvm_irq_line(self->vm, PIN, 1);
	ASSERT_TRUE(reports(self));
	tvm_irq_line(self->vm, PIN, 0);
	ASSERT_TRUE(reports(self));
	EXPECT_EQ(1, self->page->high[1]);
}

/* The guest does not look, and writes the register whatever its memory says. */
TEST_F(pv_eoi, the_register_in_spite_of_the_offer)
{
	u8 *elsewhere = &self->vm->mem[GUEST_HIGH + PAGE];

	ASSERT_TRUE(tcpu_set_msr(self->cpu, MSR_PV_EOI, (GUEST_HIGH + PAGE) | 1));
	begin(self, 0x60, 0);
	ASSERT_TRUE(reports(self));
	EXPECT_EQ(1, self->page->high[1]);
	EXPECT_EQ(0, *elsewhere);
	EXPECT_FALSE(in_service(self, 0));
	begin(self, 0x50, 0);
	ASSERT_TRUE(reports(self));
	EXPECT_EQ(1, self->page->low[1]);
	EXPECT_FALSE(in_service(self, 0));
}

TEST_HARNESS_MAIN
