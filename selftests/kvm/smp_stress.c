// SPDX-License-Identifier: GPL-2.0-only
/*
 * Four vCPUs send each other IPIs of every kind while their threads are moved and stopped at
 * random: each IPI that was sent is received, once, and nobody stalls. And an INIT ends guest mode
 * at once, whenever it comes.
 * Must not test single features of the LAPIC; lapic.c and x2apic.c do.
 *
 * KVMLET_STRESS_SECONDS is how long each of the tests runs.
 */
#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ktap.h"
#include "tvm.h"

#define VCPUS 4
#define SHARED GUEST_FREE
#define STACKS 0x30000
#define PER_CPU 0x38000

/* What the vCPUs share; the guest's code has the offsets as numbers. */
struct shared {
	u64 received[VCPUS][8];		/* 0x000: by sender, by receiver */
	u64 pad0[32];
	u64 nmis[VCPUS];		/* 0x200: by receiver */
	u64 pad1[12];
	u64 nmi_lock;			/* 0x280 */
	u64 pad2[15];
	u64 want_wake[VCPUS];		/* 0x300: sender sleeps until its IPI is received */
	u64 pad3[12];
	u64 sent[VCPUS];		/* 0x380 */
	u64 pad4[12];
	u64 stop;			/* 0x400 */
	u64 finished;			/* 0x408 */
	u64 started;			/* 0x410 */
	u64 pad5[5];
	u64 rounds[VCPUS];		/* 0x440 */
	u64 nmis_sent;			/* 0x460: under nmi_lock */
};

static_assert(offsetof(struct shared, nmis) == 0x200, "nmis");
static_assert(offsetof(struct shared, nmi_lock) == 0x280, "nmi_lock");
static_assert(offsetof(struct shared, want_wake) == 0x300, "want_wake");
static_assert(offsetof(struct shared, sent) == 0x380, "sent");
static_assert(offsetof(struct shared, stop) == 0x400, "stop");
static_assert(offsetof(struct shared, rounds) == 0x440, "rounds");
static_assert(offsetof(struct shared, nmis_sent) == 0x460, "nmis_sent");

/* Destination in EDX, what ICR's lower half says in EAX; ECX is lost. */
#define X2APIC_SEND "mov $0x830, %ecx; wrmsr;"
#define X2APIC_EOI "mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr;"
#define X2APIC_START "mov $0x80f, %ecx; mov $0x1ff, %eax; xor %edx, %edx; wrmsr;"
#define XAPIC_SEND "shl $24, %edx; mov $0xfee00000, %ecx; mov %edx, 0x310(%rcx);" \
	"mov %eax, 0x300(%rcx);"
#define XAPIC_EOI "mov $0xfee00000, %ecx; movl $0, 0xb0(%rcx);"
#define XAPIC_START "mov %r15d, %ecx; mov $0x1000000, %eax; shl %cl, %eax;" \
	"mov $0xfee00000, %ecx; mov %eax, 0xd0(%rcx); movl $0x1ff, 0xf0(%rcx);"
/* Both at once: a vCPU's handlers and its main path must not get between the two writes. */
#define XAPIC_SEND_MAIN "pushf; cli;" XAPIC_SEND "popf;"

/*
 * R15: own number, R14: struct shared, R13: random numbers, R12: all IPIs sent so far.
 * Sender s has vector 0x40 + s: at most one IPI of each sender is under way. P makes labels unique.
 */
#define STRESS(P, SEND_MAIN, SEND, EOI, START) \
	"jmp " #P "_main;" \
	".org guest_" #P "_start + 16; push $0; jmp " #P "_handler;" \
	".org guest_" #P "_start + 32; push $1; jmp " #P "_handler;" \
	".org guest_" #P "_start + 48; push $2; jmp " #P "_handler;" \
	".org guest_" #P "_start + 64; push $3; jmp " #P "_handler;" \
	".org guest_" #P "_start + 80; jmp " #P "_wake;" \
	".org guest_" #P "_start + 96; push %rax; mov %gs:0, %rax; incq 0x20200(, %rax, 8);" \
	"pop %rax; iretq;" \
	#P "_handler: push %rax; push %rcx; push %rdx; push %rbx;" \
	"mov 32(%rsp), %rbx; mov %rbx, %rcx; shl $6, %rcx; mov %gs:0, %rax;" \
	"incq 0x20000(%rcx, %rax, 8);" \
	"call " #P "_eoi;" \
	"cmpq $0, 0x20300(, %rbx, 8); je 1f;" \
	"mov %ebx, %edx; mov $0x60, %eax;" SEND \
	"1: pop %rbx; pop %rdx; pop %rcx; pop %rax; add $8, %rsp; iretq;" \
	#P "_wake: push %rax; push %rcx; push %rdx;" \
	"call " #P "_eoi; pop %rdx; pop %rcx; pop %rax; iretq;" \
	#P "_eoi: " EOI "ret;" \
	#P "_icr: " SEND_MAIN "ret;" \
	/* An APIC takes nothing before it is enabled: all of them first. */ \
	#P "_main: " START "lock incq 0x410(%r14); 8: pause; cmpq $4, 0x410(%r14); jb 8b; sti;" \
	#P "_next: cmpq $0, 0x400(%r14); jne " #P "_finish;" \
	"imul $1103515245, %r13d, %r13d; add $12345, %r13d; mov %r13d, %ebx; shr $12, %ebx;" \
	"mov %ebx, %eax; shr $12, %eax; and $1, %eax; mov %rax, 0x300(%r14, %r15, 8);" \
	/* A set of vCPUs that is not empty in ESI, how many in EDI, one of all in EDX. */ \
	"mov %ebx, %esi; shr $5, %esi; and $15, %esi; jne 1f; mov $15, %esi; 1:" \
	"mov $0x4332322132212110, %rdi; lea (, %rsi, 4), %ecx; shr %cl, %rdi; and $7, %edi;" \
	"mov %ebx, %edx; shr $3, %edx; and $3, %edx; lea 0x40(%r15), %eax;" \
	"mov %ebx, %ecx; and $7, %ecx;" \
	"cmp $7, %ecx; je " #P "_nmi;" \
	"cmp $6, %ecx; je " #P "_broadcast; cmp $5, %ecx; je " #P "_lowest;" \
	"cmp $4, %ecx; je " #P "_logical; cmp $3, %ecx; je " #P "_physical;" \
	"cmp $2, %ecx; je " #P "_others; cmp $1, %ecx; je " #P "_everybody;" \
	"or $0x40000, %eax; add $1, %r12; jmp " #P "_send;" \
	#P "_everybody: or $0x80000, %eax; add $4, %r12; jmp " #P "_send;" \
	#P "_others: or $0xc0000, %eax; add $3, %r12; jmp " #P "_send;" \
	#P "_physical: add $1, %r12; jmp " #P "_send;" \
	#P "_logical: or $0x800, %eax; mov %esi, %edx; add %rdi, %r12; jmp " #P "_send;" \
	#P "_lowest: or $0x900, %eax; mov %esi, %edx; add $1, %r12; jmp " #P "_send;" \
	#P "_broadcast: mov $-1, %edx; add $4, %r12;" \
	#P "_send: mov %r12, 0x380(%r14, %r15, 8); call " #P "_icr;" \
	"mov %r15, %rbx; shl $6, %rbx; add %r14, %rbx;" \
	"2: cli; mov (%rbx), %rax; add 8(%rbx), %rax; add 16(%rbx), %rax; add 24(%rbx), %rax;" \
	"cmp %r12, %rax; je 4f; cmpq $0, 0x300(%r14, %r15, 8); je 3f; sti; hlt; jmp 2b;" \
	"3: sti; pause; jmp 2b;" \
	"4: sti; incq 0x440(%r14, %r15, 8); jmp " #P "_next;" \
	#P "_nmi: mov $1, %ecx; xchg %ecx, 0x280(%r14); test %ecx, %ecx; je 5f; pause;" \
	"jmp " #P "_nmi;" \
	"5: incq 0x460(%r14); mov $0x400, %eax; call " #P "_icr;" \
	"6: pause; mov 0x200(%r14), %rax; add 0x208(%r14), %rax; add 0x210(%r14), %rax;" \
	"add 0x218(%r14), %rax; cmp 0x460(%r14), %rax; jne 6b; movl $0, 0x280(%r14);" \
	"incq 0x440(%r14, %r15, 8); jmp " #P "_next;" \
	#P "_finish: lock incq 0x408(%r14);" \
	"7: pause; cmpq $4, 0x408(%r14); jb 7b; cli; out %al, $" GUEST_STR(PORT_TEST) "; hlt"

PROGRAM(x2apic, 64, STRESS(x2apic, X2APIC_SEND, X2APIC_SEND, X2APIC_EOI, X2APIC_START));
PROGRAM(xapic, 64, STRESS(xapic, XAPIC_SEND_MAIN, XAPIC_SEND, XAPIC_EOI, XAPIC_START));

FIXTURE(stress)
{
	struct tvm *vm;
	struct tcpu *cpu[VCPUS];
	struct shared *shared;
	pthread_t thread[VCPUS];
	unsigned int seconds;
};

/* A thread that is stopped for a while, wherever it is: in the guest, in HLT, on its way. */
static void stop_a_while(int signal)
{
	struct timespec delay = { .tv_nsec = 1000000 + (signal == SIGUSR2 ? 9000000 : 0) };

	nanosleep(&delay, NULL);
}

FIXTURE_SETUP(stress)
{
	struct sigaction action = { .sa_handler = stop_a_while };
	const char *seconds = getenv("KVMLET_STRESS_SECONDS");
	unsigned int i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs two CPUs");
	self->seconds = seconds ? atoi(seconds) : 1;
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	self->vm = tvm_create(TVM_IRQCHIP);
	self->shared = (struct shared *)(self->vm->mem + SHARED);
	for (i = 0; i < VCPUS; i++)
		self->cpu[i] = tvm_vcpu(self->vm, i);
}

FIXTURE_TEARDOWN(stress)
{
	unsigned int i;

	for (i = 0; self->vm && i < VCPUS; i++)
		tcpu_destroy(self->cpu[i]);
	if (self->vm)
		tvm_destroy(self->vm);
}

static void *run_vcpu(void *arg)
{
	struct tcpu *cpu = arg;
	int reason;

	do {
		reason = tcpu_run(cpu);
	} while (reason == -EINTR || reason == -EAGAIN);
	if (reason != KVM_EXIT_IO || !tcpu_is_out(cpu, PORT_TEST)) {
		printf("# exit %d\n", reason);
		tcpu_explain(cpu);
		tvm_die("a vCPU left");
	}
	return NULL;
}

static void prepare(struct tcpu *cpu, unsigned int id)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs = tcpu_sregs(cpu);
	struct kvm_regs regs = tcpu_regs(cpu);
	unsigned int i;

	if (ioctl(cpu->fd, KVM_SET_MP_STATE, &state))
		tvm_die("KVM_SET_MP_STATE: %m");
	*(u64 *)(cpu->vm->mem + PER_CPU + id * 64) = id;
	sregs.gs.base = PER_CPU + id * 64;
	tcpu_set_sregs(cpu, &sregs);
	regs.rip = GUEST_CODE;
	regs.rsp = STACKS + (id + 1) * PAGE;
	regs.rflags = 2;
	regs.r15 = id;
	regs.r14 = SHARED;
	regs.r13 = 12345 + 777 * id;
	regs.r12 = 0;
	tcpu_set_regs(cpu, &regs);
	for (i = 0; i < VCPUS; i++)
		tvm_gate(cpu, 0x40 + i, GUEST_CODE + 16 * (i + 1));
	tvm_gate(cpu, 0x60, GUEST_CODE + 16 * 5);
	tvm_gate(cpu, 2, GUEST_CODE + 16 * 6);
}

static void begin(struct _test_data_stress *self, const struct guest_code *code)
{
	unsigned int i;

	tcpu_load(self->cpu[0], code);
	for (i = 0; i < VCPUS; i++)
		prepare(self->cpu[i], i);
	for (i = 0; i < VCPUS; i++)
		if (pthread_create(&self->thread[i], NULL, run_vcpu, self->cpu[i]))
			tvm_die("pthread_create: %m");
}

static void move(pthread_t thread, unsigned int where)
{
	unsigned int cpus = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	CPU_ZERO(&set);
	if (where < cpus)
		CPU_SET(where, &set);
	else
		for (where = 0; where < cpus; where++)
			CPU_SET(where, &set);
	pthread_setaffinity_np(thread, sizeof(set), &set);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Has each vCPU finished a round since it was last asked? */
struct progress {
	u64 rounds[VCPUS];
	double since[VCPUS];
};

static void check_progress(const struct shared *shared, struct progress *progress)
{
	double time = now();
	unsigned int i, j;
	u64 rounds;

	for (i = 0; i < VCPUS; i++) {
		rounds = __atomic_load_n(&shared->rounds[i], __ATOMIC_RELAXED);
		if (rounds != progress->rounds[i] || !progress->since[i]) {
			progress->rounds[i] = rounds;
			progress->since[i] = time;
		}
		/* Four spinning vCPUs may share one CPU, and threads are stopped 10 ms at most. */
		if (time - progress->since[i] < 4)
			continue;
		for (j = 0; j < VCPUS; j++)
			printf("# %u: rounds %llu sent %llu got %llu %llu %llu %llu wake %llu\n",
			       j, shared->rounds[j], shared->sent[j], shared->received[j][0],
			       shared->received[j][1], shared->received[j][2],
			       shared->received[j][3], shared->want_wake[j]);
		printf("# NMIs sent %llu received %llu %llu %llu %llu lock %llu\n",
		       shared->nmis_sent, shared->nmis[0], shared->nmis[1], shared->nmis[2],
		       shared->nmis[3], shared->nmi_lock);
		fflush(stdout);
		tvm_die("vCPU %u does not get on", i);
	}
}

static void disturb(struct _test_data_stress *self)
{
	struct progress progress = { };
	double end = now() + self->seconds;
	unsigned int r;

	srand(1);
	while (now() < end) {
		struct timespec delay = { .tv_nsec = 1000000 + rand() % 5000000 };

		nanosleep(&delay, NULL);
		r = rand();
		move(self->thread[r % VCPUS], r / 8 % 3);
		if (r / 64 % 3 == 0)
			pthread_kill(self->thread[r / 256 % VCPUS],
				     r / 1024 % 8 ? SIGUSR1 : SIGUSR2);
		check_progress(self->shared, &progress);
	}
}

/* The last round of each, then they all leave. */
static void finish(struct _test_data_stress *self)
{
	struct progress progress = { };
	struct timespec until;
	unsigned int i;

	__atomic_store_n(&self->shared->stop, 1, __ATOMIC_SEQ_CST);
	for (i = 0; i < VCPUS; i++) {
		for (;;) {
			clock_gettime(CLOCK_REALTIME, &until);
			until.tv_sec++;
			if (!pthread_timedjoin_np(self->thread[i], NULL, &until))
				break;
			check_progress(self->shared, &progress);
		}
	}
}

static void stress(struct __test_metadata *_metadata, struct _test_data_stress *self,
		   const struct guest_code *code)
{
	struct shared *shared = self->shared;
	u64 sum, rounds = 0, nmis = 0;
	unsigned int i, j;

	begin(self, code);
	disturb(self);
	finish(self);
	for (i = 0; i < VCPUS; i++) {
		for (j = 0, sum = 0; j < VCPUS; j++)
			sum += shared->received[i][j];
		EXPECT_EQ(shared->sent[i], sum);
		EXPECT_LT(0, shared->rounds[i]);
		rounds += shared->rounds[i];
		nmis += shared->nmis[i];
	}
	EXPECT_EQ(shared->nmis_sent, nmis);
	printf("# %llu rounds, %llu NMIs\n", rounds, nmis);
}

static bool enable_x2apic(struct _test_data_stress *self)
{
	unsigned int i;
	u64 base;

	for (i = 0; i < VCPUS; i++)
		if (!tcpu_get_msr(self->cpu[i], 0x1b, &base) ||
		    !tcpu_set_msr(self->cpu[i], 0x1b, base | 0xc00))
			return false;
	return true;
}

TEST_F_TIMEOUT(stress, x2apic, 100000)
{
	if (!tvm_cpuid_has(1, 0, 2, 21))
		SKIP(return, "no x2APIC");
	ASSERT_TRUE(enable_x2apic(self));
	stress(_metadata, self, &x2apic);
}

TEST_F_TIMEOUT(stress, xapic, 100000)
{
	stress(_metadata, self, &xapic);
}

/* What a vCPU that is started again and again tells; the guest's code has the addresses. */
#define STARTS 0xc000	/* how often it began */
#define STEPS 0xc004	/* of its loop, in all */
#define BEFORE 0xc008	/* STEPS as the last start found it */
#define STOP 0xc00c	/* it is to leave */
#define STARTED_AT 0x9000

/*
 * Some exits that KVM_RUN handles in its own loop, so that an INIT meets an entry; then none at
 * all: an INIT that the last entry lost is found only by the host's next tick.
 */
PROGRAM(started, 16,
	"xor %ax, %ax; mov %ax, %ds; cmpw $0, " GUEST_STR(STOP) "; jne 2f;"
	"mov " GUEST_STR(STEPS) ", %eax; mov %eax, " GUEST_STR(BEFORE) ";"
	"incl " GUEST_STR(STARTS) ";"
	"invd; invd; invd; invd;"
	"1: incl " GUEST_STR(STEPS) "; jmp 1b;"
	"2: out %al, $" GUEST_STR(PORT_TEST) "; hlt");

/*
 * R14: rounds, R13: random numbers. INIT after some time, with the other vCPU's steps right after
 * it in R8; SIPI long after that. R9 is the most steps between an INIT and its start, R10 how often
 * there were more than R15.
 */
PROGRAM(starter, 64,
	"xor %r9, %r9; xor %r10, %r10;"
	"1: imul $1103515245, %r13d, %r13d; add $12345, %r13d;"
	"mov %r13d, %ecx; shr $12, %ecx; and $0x7ff, %ecx; inc %ecx; 2: dec %ecx; jnz 2b;"
	"mov $1, %edx; mov $0x4500, %eax;" X2APIC_SEND
	"mov " GUEST_STR(STEPS) ", %r8d; mov " GUEST_STR(STARTS) ", %ebx;"
	"mov $0x2000, %ecx; 3: dec %ecx; jnz 3b;"
	"mov $1, %edx; mov $0x4609, %eax;" X2APIC_SEND
	"4: cmp %ebx, " GUEST_STR(STARTS) "; je 4b;"
	"mov " GUEST_STR(BEFORE) ", %eax; sub %r8d, %eax;"
	"cmp %r9d, %eax; cmova %eax, %r9d; cmp %r15d, %eax; jbe 5f; inc %r10;"
	"5: dec %r14; jnz 1b;"
	"movl $1, " GUEST_STR(STOP) "; mov $1, %edx; mov $0x4500, %eax;" X2APIC_SEND
	"mov $1, %edx; mov $0x4609, %eax;" X2APIC_SEND
	"out %al, $" GUEST_STR(PORT_TEST) "; hlt");

TEST_F_TIMEOUT(stress, init_ends_guest_mode, 100000)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = STACKS + PAGE, .rflags = 2, .r13 = 12345,
		/* More than a prompt IPI leaves time for; a lost INIT leaves 8000 until SIPI. */
		.r14 = 2000 * self->seconds, .r15 = 1000,
	};
	u8 *mem = self->vm->mem;
	unsigned int i;

	if (!tvm_cpuid_has(1, 0, 2, 21))
		SKIP(return, "no x2APIC");
	ASSERT_TRUE(enable_x2apic(self));
	tcpu_load(self->cpu[0], &starter);
	memcpy(mem + STARTED_AT, started.start, started.end - started.start);
	tcpu_set_regs(self->cpu[0], &regs);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_create(&self->thread[i], NULL, run_vcpu, self->cpu[i]));
		move(self->thread[i], i);
	}
	for (i = 0; i < 2; i++)
		pthread_join(self->thread[i], NULL);
	EXPECT_EQ(regs.r14, *(u32 *)(mem + STARTS));
	regs = tcpu_regs(self->cpu[0]);
	EXPECT_EQ(0, regs.r10)
		TH_LOG("%llu INITs late, by %llu steps at most", regs.r10, regs.r9);
	printf("# an INIT took %llu steps at most\n", regs.r9);
}

TEST_HARNESS_MAIN
