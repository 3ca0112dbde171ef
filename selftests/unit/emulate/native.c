// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run one instruction on the real processor with given registers, through signal frames.
 * It must not let that instruction's flags, segments or faults leak into the test program.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include "harness.h"

#define UC_SS		6	/* UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS */
#define XSTATE_BV	512
#define XSTATE_MAX	16384
#define ALT_STACK	65536

static const u8 greg_order[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

bool native_has_avx;
bool native_is_amd;
static unsigned int ymm_offset;
static const struct state *launch;
static struct state *landed;
static bool with_vectors;
static gregset_t saved_gregs;
static u8 saved_xstate[XSTATE_MAX];
static unsigned int xstate_size;

static void set_segments(const struct state *s)
{
	asm volatile("mov %0, %%ds\n\tmov %1, %%es\n\tmov %2, %%gs"
		     : : "r" (s->sel[EM_SEG_DS]), "r" (s->sel[EM_SEG_ES]), "r" (s->sel[EM_SEG_GS]));
}

/* Vector state lies in the frame in the standard format of XSAVE. */
static void put_vectors(u8 *x, const struct state *s)
{
	u64 *bv = (u64 *)(x + XSTATE_BV);
	unsigned int i;

	for (i = 0; i < 16; i++) {
		memcpy(x + 160 + 16 * i, s->ymm[i], 16);
		if (native_has_avx)
			memcpy(x + ymm_offset + 16 * i, &s->ymm[i][2], 16);
	}
	*bv |= native_has_avx ? 6 : 2;
	/* An FPU fresh from EMMS, with the MM registers in the mantissas. */
	memset(x, 0, 24);
	x[0] = 0x7f;
	x[1] = 3;
	*(u32 *)(x + 24) = 0x1f80;
	for (i = 0; i < 8; i++)
		memcpy(x + 32 + 16 * i, &s->mm[i], 8);
	*bv |= 1;
}

static void get_vectors(const u8 *x, struct state *s)
{
	u64 bv = *(const u64 *)(x + XSTATE_BV);
	unsigned int i;

	for (i = 0; i < 16; i++) {
		memset(s->ymm[i], 0, 32);
		if (bv & 2)
			memcpy(s->ymm[i], x + 160 + 16 * i, 16);
		if (native_has_avx && (bv & 4))
			memcpy(&s->ymm[i][2], x + ymm_offset + 16 * i, 16);
	}
	for (i = 0; i < 8; i++)
		memcpy(&s->mm[i], x + 32 + 16 * i, 8);
}

static void on_launch(ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;
	const struct state *s = launch;
	u8 *x = (u8 *)uc->uc_mcontext.fpregs;
	unsigned int i;

	memcpy(saved_gregs, g, sizeof(saved_gregs));
	memcpy(saved_xstate, x, xstate_size);
	for (i = 0; i < 16; i++)
		g[greg_order[i]] = s->gpr[i];
	g[REG_RIP] = s->rip;
	g[REG_EFL] = s->rflags;
	g[REG_CSGSFS] = (g[REG_CSGSFS] & 0xffffffff0000ll) | s->sel[EM_SEG_CS] |
			(greg_t)s->sel[EM_SEG_SS] << 48;
	uc->uc_flags |= UC_SS;
	if (with_vectors)
		put_vectors(x, s);
	set_segments(s);
}

static void on_landing(ucontext_t *uc, const u16 *data_segments)
{
	greg_t *g = uc->uc_mcontext.gregs;
	struct state *s = landed;
	u8 *x = (u8 *)uc->uc_mcontext.fpregs;
	unsigned int i;

	for (i = 0; i < 16; i++)
		s->gpr[i] = g[greg_order[i]];
	s->rip = g[REG_RIP];
	s->rflags = g[REG_EFL];
	s->sel[EM_SEG_CS] = g[REG_CSGSFS];
	s->sel[EM_SEG_SS] = (u64)g[REG_CSGSFS] >> 48;
	s->sel[EM_SEG_DS] = data_segments[0];
	s->sel[EM_SEG_ES] = data_segments[1];
	s->sel[EM_SEG_GS] = data_segments[2];
	s->vector = g[REG_TRAPNO];
	s->error = g[REG_ERR];
	s->cr2 = g[REG_CR2];
	if (with_vectors)
		get_vectors(x, s);
	memcpy(g, saved_gregs, sizeof(saved_gregs));
	memcpy(x, saved_xstate, xstate_size);
	uc->uc_flags |= UC_SS;
	launch = NULL;
}

/* Called by the trampoline below, with AC cleared. */
void landing(int sig, ucontext_t *uc);
void landing(int sig, ucontext_t *uc)
{
	static const struct state flat;
	u16 segs[3];

	asm volatile("mov %%ds, %0\n\tmov %%es, %1\n\tmov %%gs, %2"
		     : "=r" (segs[0]), "=r" (segs[1]), "=r" (segs[2]));
	if (sig == SIGUSR1) {
		on_launch(uc);
		return;
	}
	if (!launch) {
		/* A fault of the test program itself: nothing can be trusted any more. */
		dprintf(1, "Bail out! signal %d at %llx, address %llx\n", sig,
			uc->uc_mcontext.gregs[REG_RIP], uc->uc_mcontext.gregs[REG_CR2]);
		_exit(1);
	}
	set_segments(&flat);
	on_landing(uc, segs);
}

/* The kernel keeps EFLAGS.AC in handlers, where it would fault on any unaligned access. */
void trampoline(int sig, siginfo_t *info, void *uc);
asm(".text\n"
	"trampoline:\n\t"
	"pushfq\n\t"
	"andl $~0x40000, (%rsp)\n\t"
	"popfq\n\t"
	"mov %rdx, %rsi\n\t"
	"jmp landing\n\t");

bool native_init(void)
{
	static const int signals[] = {
		SIGUSR1, SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE,
	};
	struct sigaction sa = { .sa_sigaction = trampoline,
				.sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t alt = { .ss_size = ALT_STACK };
	u32 a, b, c, d;
	unsigned int i;

	__cpuid(0, a, b, c, d);
	native_is_amd = b == 0x68747541;
	__cpuid(1, a, b, c, d);
	native_has_avx = (c & (1u << 28)) && (c & (1u << 27));
	__cpuid_count(13, 0, a, b, c, d);
	xstate_size = b;
	__cpuid_count(13, 2, a, b, c, d);
	ymm_offset = b;
	if (xstate_size > XSTATE_MAX)
		return false;
	alt.ss_sp = mmap(NULL, ALT_STACK, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (alt.ss_sp == MAP_FAILED || sigaltstack(&alt, NULL))
		return false;
	sigfillset(&sa.sa_mask);
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigdelset(&sa.sa_mask, signals[i]);
	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		if (sigaction(signals[i], &sa, NULL))
			return false;
	}
	return true;
}

/**
 * native_run() - run from @in->rip until the first trap or fault
 * @in: state to start with; with FL_TF in its flags one instruction runs
 * @out: state at the trap or fault
 * @vectors: whether the vector registers matter
 */
void native_run(const struct state *in, struct state *out, bool vectors)
{
	launch = in;
	landed = out;
	with_vectors = vectors;
	kill(getpid(), SIGUSR1);
	/* The kernel leaves NT and ID as they are; do not hand them on to the next case. */
	asm volatile("pushq $0x202\n\tpopfq" : : : "memory", "cc");
}
