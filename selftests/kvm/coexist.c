// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests of kvmlet and of the in-tree module side by side on the same CPUs, each checking that its
 * registers, FPU, MSRs and memory are its own.
 * Must not need more than one CPU; with several, all threads move about.
 *
 * KVMLET_SECONDS makes it run longer than the second or so that is the default.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ktap.h"
#include "tvm.h"

/* KVMLET_SECONDS may be many; a hang ends at the machine's own bound. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 3600

#define MAX_GUESTS	4
#define EFER_SCE	1

/*
 * R9 is the guest's mark. It goes everywhere, and is looked for again and again; R8 counts the
 * rounds. UD2 when something else is found: RSI then tells where.
 */
PROGRAM(mark, 64,
	"movq %r9, %xmm7; movq %r9, %xmm15; mov %r9, %dr0; mov %r9, %cr2;"
	"xor %edx, %edx; mov %r9d, %eax;"
	"mov $0xc0000081, %ecx; wrmsr; mov $0xc0000082, %ecx; wrmsr;"
	"mov $0xc0000084, %ecx; wrmsr; mov $0xc0000102, %ecx; wrmsr;"
	"mov $0x174, %ecx; wrmsr; mov $0x175, %ecx; wrmsr;"
	"mov $" GUEST_STR(GUEST_DATA) ", %edi; mov $512, %ecx; mov %r9, %rax; rep stosq;"
	"1: mov $3000, %ecx; 2: dec %ecx; jnz 2b;"
	"mov $1, %esi; movq %xmm7, %r10; cmp %r9, %r10; jne 9f;"
	"mov $2, %esi; movq %xmm15, %r10; cmp %r9, %r10; jne 9f;"
	"mov $3, %esi; mov %dr0, %r10; cmp %r9, %r10; jne 9f;"
	"mov $4, %esi; mov %cr2, %r10; cmp %r9, %r10; jne 9f;"
	"mov $0xc0000081, %ecx; call 8f; mov $0xc0000082, %ecx; call 8f;"
	"mov $0xc0000084, %ecx; call 8f; mov $0xc0000102, %ecx; call 8f;"
	"mov $0x174, %ecx; call 8f; mov $0x175, %ecx; call 8f;"
	"mov $" GUEST_STR(GUEST_DATA) ", %edi; mov $512, %ecx; mov %r9, %rax; mov $5, %esi;"
	"repe scasq; jne 9f;"
	"inc %r8; out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b;"
	"8: mov %ecx, %esi; rdmsr; shl $32, %rdx; or %rdx, %rax; cmp %r9, %rax; jne 9f; ret;"
	"9: ud2");

/*
 * What RDMSR says is what the module has noted. This uses the values: RDTSCP its TSC_AUX, SYSCALL
 * the place in LSTAR, which is of one guest or of the other by R9's bit 0. Many ticks of the host
 * without an exit to user space, where values of guests go.
 */
PROGRAM(use, 64,
	"mov $0xc0000103, %ecx; xor %edx, %edx; mov %r9d, %eax; wrmsr;"
	"mov $0xc0000081, %ecx; mov %cs, %edx; xor %eax, %eax; wrmsr;"
	"mov $0xc0000084, %ecx; xor %edx, %edx; wrmsr;"
	"mov $0xc0000082, %ecx; lea 6f(%rip), %rax; lea 7f(%rip), %r11;"
	"test $1, %r9b; cmovnz %r11, %rax; wrmsr;"
	"1: mov $400000, %edi;"
	"2: mov $1, %esi; rdtscp; cmp %r9d, %ecx; jne 9f;"
	"mov $2, %esi; syscall; mov %r9d, %eax; and $1, %eax; cmp %eax, %r10d; jne 9f;"
	"dec %edi; jnz 2b;"
	"inc %r8; out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b;"
	"6: xor %r10d, %r10d; jmp *%rcx;"
	"7: mov $1, %r10d; jmp *%rcx;"
	"9: ud2");

struct guest {
	struct tcpu *cpu;
	u64 rounds;
	unsigned int seed;
	bool failed;
};

static double seconds(void)
{
	const char *text = getenv("KVMLET_SECONDS");

	return text ? atof(text) : 1;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static struct tcpu *make_guest_of(const struct guest_code *code, const char *device, u64 value)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct tcpu *cpu;

	if (strcmp(device, tvm_device()))
		tvm_use(device);
	cpu = tvm_vcpu(tvm_create(value & 1 ? TVM_IRQCHIP : 0), 0);
	sregs = tcpu_sregs(cpu);
	sregs.efer |= EFER_SCE;
	tcpu_set_sregs(cpu, &sregs);
	tcpu_load(cpu, code);
	regs = tcpu_regs(cpu);
	regs.r8 = 0;
	regs.r9 = value;
	tcpu_set_regs(cpu, &regs);
	return cpu;
}

static struct tcpu *make_guest(const char *device, u64 value)
{
	return make_guest_of(&mark, device, value);
}

static bool both_here(void)
{
	int ours = open("/dev/kvmlet", O_RDWR), other = open("/dev/kvm", O_RDWR);
	bool here = ours >= 0 && other >= 0;

	close(ours);
	close(other);
	return here;
}

static void move_somewhere(unsigned int *seed)
{
	unsigned int cpus = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(rand_r(seed) % cpus, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void one_round(struct guest *g)
{
	if (tcpu_wait(g->cpu) != WAIT_NOTHING || tcpu_regs(g->cpu).r8 != ++g->rounds) {
		fprintf(stderr, "# round %llu failed, at place %#llx\n",
			(unsigned long long)g->rounds, tcpu_regs(g->cpu).rsi);
		g->failed = true;
	}
}

static void *run_guest(void *arg)
{
	double end = now() + seconds();
	struct guest *g = arg;

	while (!g->failed && now() < end) {
		one_round(g);
		if (g->rounds % 16 == 0)
			move_somewhere(&g->seed);
		else if (g->rounds % 5 == 0)
			sched_yield();
	}
	return NULL;
}

static void make_guests(struct guest *g)
{
	unsigned int i;

	for (i = 0; i < MAX_GUESTS; i++)
		g[i] = (struct guest) {
			.cpu = make_guest(i % 2 ? "/dev/kvm" : "/dev/kvmlet",
					  0x11111111u * (i + 1) + i / 2),
			.seed = i,
		};
}

TEST(side_by_side)
{
	struct guest g[MAX_GUESTS];
	pthread_t threads[MAX_GUESTS];
	unsigned int i;

	if (!both_here())
		SKIP(return, "needs kvm_intel beside kvmlet");
	make_guests(g);
	for (i = 0; i < MAX_GUESTS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, run_guest, &g[i]));
	for (i = 0; i < MAX_GUESTS; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_FALSE(g[i].failed);
		EXPECT_LT(3, g[i].rounds);
	}
}

static void *run_on_first_cpu(void *arg)
{
	struct guest *g = arg;
	unsigned int i;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	sched_setaffinity(0, sizeof(set), &set);
	for (i = 0; i < 4 && !g->failed; i++)
		one_round(g);
	return NULL;
}

TEST(each_uses_its_own_msrs)
{
	struct guest g[2] = {};
	pthread_t threads[2];
	unsigned int i;

	if (!both_here())
		SKIP(return, "needs kvm_intel beside kvmlet");
	for (i = 0; i < 2; i++)
		g[i].cpu = make_guest_of(&use, i ? "/dev/kvm" : "/dev/kvmlet", 0x22222222 + i);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, run_on_first_cpu, &g[i]));
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_FALSE(g[i].failed);
		EXPECT_EQ(4, g[i].rounds);
	}
}

/* For whoever needs a VM of kvmlet that is there for a while: selftests/coexist. */
TEST(alone)
{
	struct guest g = { .cpu = make_guest(tvm_device(), 0x77) };
	double end = now() + seconds();

	while (!g.failed && now() < end) {
		one_round(&g);
		usleep(20000);
	}
	EXPECT_FALSE(g.failed);
	EXPECT_LT(3, g.rounds);
}

TEST(in_turns_on_one_thread)
{
	struct guest g[MAX_GUESTS];
	double end = now() + seconds() / 2;
	unsigned int i, seed = 1;

	if (!both_here())
		SKIP(return, "needs kvm_intel beside kvmlet");
	make_guests(g);
	for (i = 0; now() < end; i++) {
		one_round(&g[i % MAX_GUESTS]);
		ASSERT_FALSE(g[i % MAX_GUESTS].failed);
		if (i % 7 == 0)
			move_somewhere(&seed);
	}
	EXPECT_LT(MAX_GUESTS, i);
}

/* The owner's VMs may all end, and new ones come, while ours runs on: VMX stays on. */
TEST(owner_ends_and_begins)
{
	struct guest ours, theirs;
	struct tvm *vm;
	unsigned int i;

	if (!both_here())
		SKIP(return, "needs kvm_intel beside kvmlet");
	ours = (struct guest) { .cpu = make_guest("/dev/kvmlet", 0x5a5a) };
	for (i = 0; i < 5; i++) {
		theirs = (struct guest) { .cpu = make_guest("/dev/kvm", 0xa5a5) };
		one_round(&theirs);
		one_round(&ours);
		one_round(&theirs);
		vm = theirs.cpu->vm;
		tcpu_destroy(theirs.cpu);
		tvm_destroy(vm);
		one_round(&ours);
		ASSERT_FALSE(ours.failed || theirs.failed);
	}
}

TEST_HARNESS_MAIN
