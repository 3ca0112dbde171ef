// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvmclock: what the guest finds in its page, that it is the clock user space reads and sets, and
 * the way of a clock from one VM to another.
 * Must not test the TSC itself; tsc.c does.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ktap.h"
#include "tvm.h"

#define MSR_WALL	0x11
#define MSR_SYSTEM	0x12
#define MSR_WALL_NEW	0x4b564d00
#define MSR_SYSTEM_NEW	0x4b564d01
#define HC_CLOCK_PAIRING	9

#define STABLE	1
#define STOPPED	2

#define SECOND	1000000000UL

struct time_page {
	u32 version, pad;
	u64 tsc, ns;
	u32 mul;
	signed char shift;
	u8 flags, pad2[2];
};

struct wall_page {
	u32 version, sec, nsec;
};

static bool host_by_tsc(void)
{
	FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "r");
	char name[32] = "";

	if (!f)
		return false;
	if (!fgets(name, sizeof(name), f))
		name[0] = 0;
	fclose(f);
	return !strcmp(name, "tsc\n");
}

static u64 realtime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

static u64 clock_at(const struct time_page *t, u64 tsc)
{
	u64 delta = tsc - t->tsc;

	delta = t->shift < 0 ? delta >> -t->shift : delta << t->shift;
	return t->ns + (delta >> 32) * t->mul + ((delta & 0xffffffff) * t->mul >> 32);
}

static struct kvm_clock_data get_clock(struct tvm *vm)
{
	struct kvm_clock_data clock = { };

	if (ioctl(vm->fd, KVM_GET_CLOCK, &clock))
		tvm_die("KVM_GET_CLOCK: errno %d", errno);
	return clock;
}

PROGRAM(tick, 64,
	"lfence; rdtsc; shl $32, %rdx; or %rdx, %rax; out %al, $0xe0; hlt");

/* Let requests be served and the guest read its TSC. */
static u64 guest_tsc(struct tcpu *cpu)
{
	tcpu_load(cpu, &tick);
	if (tcpu_run(cpu) != KVM_EXIT_IO)
		tcpu_explain(cpu);
	return tcpu_regs(cpu).rax;
}

FIXTURE(pvclock)
{
	struct tvm *vm;
	struct tcpu *cpu;
	struct time_page *page;
	struct wall_page *wall;
};

FIXTURE_SETUP(pvclock)
{
	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
	self->page = (void *)(self->vm->mem + GUEST_DATA);
	self->wall = (void *)(self->vm->mem + GUEST_DATA + 64);
}

FIXTURE_TEARDOWN(pvclock)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

TEST_F(pvclock, guest_and_user_space_agree)
{
	struct kvm_clock_data before, after;
	u64 value, now;

	ASSERT_TRUE(tvm_cpuid_has(0x40000001, 0, 0, 0));
	ASSERT_TRUE(tvm_cpuid_has(0x40000001, 0, 0, 3));
	ASSERT_TRUE(tvm_cpuid_has(0x40000001, 0, 0, 24));
	memset(self->page, 0xff, sizeof(*self->page));
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, MSR_SYSTEM_NEW, GUEST_DATA | 1));
	ASSERT_TRUE(tcpu_rdmsr(self->cpu, MSR_SYSTEM, &value));
	EXPECT_EQ(GUEST_DATA | 1, value);
	guest_tsc(self->cpu);
	before = get_clock(self->vm);
	now = clock_at(self->page, guest_tsc(self->cpu));
	after = get_clock(self->vm);
	EXPECT_EQ(0, self->page->version & 1);
	EXPECT_LE(before.clock, now);
	EXPECT_LE(now, after.clock);
	EXPECT_GT(SECOND, after.clock - before.clock);
	if (!host_by_tsc())
		SKIP(return, "the host does not keep time by its TSC");
	EXPECT_EQ(STABLE, self->page->flags & STABLE);
	EXPECT_EQ(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC, after.flags);
	EXPECT_GT(SECOND, realtime() - after.realtime);
	EXPECT_GT(tvm_rdtsc(), after.host_tsc);
}

TEST_F(pvclock, a_new_time_reaches_the_guest)
{
	struct kvm_clock_data clock = { .clock = 5000 * SECOND };
	u64 now;
	u32 version;

	ASSERT_TRUE(tcpu_wrmsr(self->cpu, MSR_SYSTEM, GUEST_DATA | 1));
	guest_tsc(self->cpu);
	version = self->page->version;
	ASSERT_OK(ioctl(self->vm->fd, KVM_SET_CLOCK, &clock));
	now = clock_at(self->page, guest_tsc(self->cpu));
	EXPECT_LT(version, self->page->version);
	EXPECT_LE(5000 * SECOND, now);
	EXPECT_GT(5001 * SECOND, now);
	/* Switched off: the page belongs to the guest again. */
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, MSR_SYSTEM, 0));
	memset(self->page, 0, sizeof(*self->page));
	ASSERT_OK(ioctl(self->vm->fd, KVM_SET_CLOCK, &clock));
	guest_tsc(self->cpu);
	EXPECT_EQ(0, self->page->version);
}

TEST_F(pvclock, stopped_guest_is_told)
{
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_KVMCLOCK_CTRL));
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, MSR_SYSTEM_NEW, GUEST_DATA | 1));
	guest_tsc(self->cpu);
	EXPECT_EQ(0, self->page->flags & STOPPED);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_KVMCLOCK_CTRL));
	guest_tsc(self->cpu);
	EXPECT_EQ(STOPPED, self->page->flags & STOPPED);
	/* It stays until the guest takes it away. */
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, MSR_SYSTEM_NEW, GUEST_DATA | 1));
	guest_tsc(self->cpu);
	EXPECT_EQ(STOPPED, self->page->flags & STOPPED);
	self->page->flags = 0;
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, MSR_SYSTEM_NEW, GUEST_DATA | 1));
	guest_tsc(self->cpu);
	EXPECT_EQ(0, self->page->flags & STOPPED);
}

TEST_F(pvclock, wall_clock)
{
	static const u32 msrs[] = { MSR_WALL, MSR_WALL_NEW };
	u64 start, now, value;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		self->wall->version = 7;
		ASSERT_TRUE(tcpu_wrmsr(self->cpu, msrs[i], GUEST_DATA + 64));
		ASSERT_TRUE(tcpu_rdmsr(self->cpu, msrs[i], &value));
		EXPECT_EQ(GUEST_DATA + 64, value);
		EXPECT_EQ(10, self->wall->version);
		EXPECT_GT(SECOND, self->wall->nsec);
		start = self->wall->sec * SECOND + self->wall->nsec;
		now = start + get_clock(self->vm).clock;
		EXPECT_GT(SECOND, realtime() - now + SECOND / 2);
	}
}

/* Memory that is not there, and pages at the end of what is. */
TEST_F(pvclock, bad_addresses)
{
	EXPECT_TRUE(tcpu_wrmsr(self->cpu, MSR_SYSTEM_NEW, 0xd0000001));
	guest_tsc(self->cpu);
	EXPECT_TRUE(tcpu_wrmsr(self->cpu, MSR_SYSTEM_NEW, ~0UL));
	guest_tsc(self->cpu);
	EXPECT_TRUE(tcpu_wrmsr(self->cpu, MSR_WALL_NEW, 0xd0000000));
	EXPECT_TRUE(tcpu_wrmsr(self->cpu, MSR_WALL_NEW, ~0UL));
	guest_tsc(self->cpu);
}

TEST_F(pvclock, unequal_tscs_are_not_called_stable)
{
	struct tcpu *second = tvm_vcpu(self->vm, 1);
	u64 tsc;

	if (!host_by_tsc())
		SKIP(return, "the host does not keep time by its TSC");
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, MSR_SYSTEM_NEW, GUEST_DATA | 1));
	guest_tsc(self->cpu);
	guest_tsc(second);
	guest_tsc(self->cpu);
	EXPECT_EQ(STABLE, self->page->flags & STABLE);
	ASSERT_TRUE(tcpu_get_msr(second, 0x10, &tsc));
	ASSERT_TRUE(tcpu_set_msr(second, 0x10, tsc + (1UL << 40)));
	guest_tsc(second);
	guest_tsc(self->cpu);
	EXPECT_EQ(0, self->page->flags & STABLE);
	EXPECT_EQ(0, get_clock(self->vm).flags & KVM_CLOCK_TSC_STABLE);
	tcpu_destroy(second);
}

/* The host's work must not grow with what a slow TSC leaves to be scaled. */
TEST_F(pvclock, slowest_tsc)
{
	u64 before, after;

	if (ioctl(self->cpu->fd, KVM_SET_TSC_KHZ, 1UL))
		SKIP(return, "the CPU cannot scale the TSC");
	ASSERT_TRUE(tcpu_wrmsr(self->cpu, MSR_SYSTEM_NEW, GUEST_DATA | 1));
	before = guest_tsc(self->cpu);
	after = guest_tsc(self->cpu);
	EXPECT_EQ(0, self->page->version & 1);
	EXPECT_LE(before, after);
}

/* As a VMM moves it: the clock of one VM, with the time of day, becomes another's. */
TEST_F(pvclock, moves_to_another_vm)
{
	struct tvm *other = tvm_create(0);
	struct tcpu *cpu = tvm_vcpu(other, 0);
	struct kvm_clock_data clock = { .clock = 777 * SECOND }, later;
	struct time_page *page = (void *)(other->mem + GUEST_DATA);
	u64 now;

	ASSERT_TRUE(tcpu_wrmsr(self->cpu, MSR_SYSTEM_NEW, GUEST_DATA | 1));
	guest_tsc(self->cpu);
	ASSERT_OK(ioctl(self->vm->fd, KVM_SET_CLOCK, &clock));
	guest_tsc(self->cpu);
	clock = get_clock(self->vm);
	usleep(20000);
	ASSERT_TRUE(tcpu_set_msr(cpu, MSR_SYSTEM_NEW, GUEST_DATA | 1));
	ASSERT_OK(ioctl(other->fd, KVM_SET_CLOCK, &clock));
	now = clock_at(page, guest_tsc(cpu));
	later = get_clock(other);
	EXPECT_LE(clock.clock, now);
	if (clock.flags & KVM_CLOCK_REALTIME)
		EXPECT_LE(clock.clock + 20000000, later.clock);
	EXPECT_GT(SECOND, later.clock - clock.clock);
	tcpu_destroy(cpu);
	tvm_destroy(other);
}

PROGRAM(pairing, 64, "vmcall; out %al, $0xe0; hlt");

TEST_F(pvclock, pairing_for_ptp)
{
	struct {
		u64 sec, nsec, tsc;
		u32 flags, pad[9];
	} *pair = (void *)(self->vm->mem + GUEST_DATA);
	u64 before, after, start;
	struct kvm_regs regs;

	if (!host_by_tsc())
		SKIP(return, "the host does not keep time by its TSC");
	start = realtime();
	before = guest_tsc(self->cpu);
	tcpu_load(self->cpu, &pairing);
	regs = tcpu_regs(self->cpu);
	regs.rax = HC_CLOCK_PAIRING;
	regs.rbx = GUEST_DATA;
	regs.rcx = 0;
	tcpu_set_regs(self->cpu, &regs);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	EXPECT_EQ(0, tcpu_regs(self->cpu).rax);
	after = guest_tsc(self->cpu);
	EXPECT_LT(before, pair->tsc);
	EXPECT_GT(after, pair->tsc);
	EXPECT_GT(SECOND, pair->nsec);
	EXPECT_LE(start, pair->sec * SECOND + pair->nsec);
	EXPECT_GE(realtime(), pair->sec * SECOND + pair->nsec);
	/* Another clock, and memory that is not there. */
	tcpu_load(self->cpu, &pairing);
	regs.rcx = 1;
	tcpu_set_regs(self->cpu, &regs);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	EXPECT_EQ(-95, (long)tcpu_regs(self->cpu).rax);
	tcpu_load(self->cpu, &pairing);
	regs.rcx = 0;
	regs.rbx = 0xd0000000;
	tcpu_set_regs(self->cpu, &regs);
	ASSERT_EQ(KVM_EXIT_IO, tcpu_run(self->cpu));
	EXPECT_EQ(-14, (long)tcpu_regs(self->cpu).rax);
}

TEST_HARNESS_MAIN
