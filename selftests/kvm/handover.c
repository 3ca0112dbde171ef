// SPDX-License-Identifier: GPL-2.0-only
/*
 * A running machine is saved in one process and goes on in another: timers, interrupts that are
 * pending and in service, an NMI, FPU, debug registers, clocks; in the orders that VMMs use.
 * Must not let anything of the first process reach the second but what was saved.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "ktap.h"
#include "tvm.h"

#define LVTT		(GUEST_LAPIC + 0x320)
#define TMICT		(GUEST_LAPIC + 0x380)
#define TDCR		(GUEST_LAPIC + 0x3e0)
#define PERIODIC	0x20000
#define VECTOR_TIMER	0x42
#define VECTOR_LINE	0x71
#define LINE		10
#define MARK		0x123456789aULL
#define MAX_MSRS	256

/* Counts; its TSC must not go back, XMM9 and DR1 must hold R9. */
PROGRAM(work, 64,
	"movq %r9, %xmm9; mov %r9, %dr1; sti;"
	"1: mov $1500, %ecx; 2: dec %ecx; jnz 2b; inc %r8;"
	"rdtsc; shl $32, %rdx; or %rdx, %rax; cmp %r12, %rax; jb 9f; mov %rax, %r12;"
	"movq %xmm9, %r10; cmp %r9, %r10; jne 9f; mov %dr1, %r11; cmp %r9, %r11; jne 9f;"
	"mov $0, %eax; out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b; 9: ud2");

struct saved {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
	struct kvm_irqchip chips[3];
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[MAX_MSRS];
	} msrs;
	u8 mem[GUEST_SIZE];
};

/* What a vCPU's state consists of, each with its two ioctls. */
enum part { REGS, SREGS, XSAVE, XCRS, DEBUGREGS, EVENTS, LAPIC, MP, MSRS, PARTS };

#define PART(name, member) { KVM_GET_##name, KVM_SET_##name, offsetof(struct saved, member) }
static const struct {
	unsigned long get, set;
	size_t offset;
} parts[PARTS] = {
	[REGS] = PART(REGS, regs),
	[SREGS] = PART(SREGS, sregs),
	[XSAVE] = PART(XSAVE, xsave),
	[XCRS] = PART(XCRS, xcrs),
	[DEBUGREGS] = PART(DEBUGREGS, debugregs),
	[EVENTS] = PART(VCPU_EVENTS, events),
	[LAPIC] = PART(LAPIC, lapic),
	[MP] = PART(MP_STATE, mp),
	[MSRS] = PART(MSRS, msrs),
};

struct order {
	enum part parts[PARTS];
	bool chips_first;
};

/* As QEMU: the APIC and the chips come as devices, before the CPUs. */
static const struct order qemu = {
	{ LAPIC, SREGS, REGS, XSAVE, XCRS, MSRS, EVENTS, MP, DEBUGREGS }, true
};

/* As Firecracker: the chips last. */
static const struct order firecracker = {
	{ MP, REGS, SREGS, XSAVE, XCRS, DEBUGREGS, LAPIC, MSRS, EVENTS }, false
};

/* As it comes. */
static const struct order backwards = {
	{ MSRS, MP, LAPIC, EVENTS, DEBUGREGS, XCRS, XSAVE, SREGS, REGS }, true
};

static void list_msrs(struct tcpu *cpu, struct saved *s)
{
	static struct {
		struct kvm_msr_list head;
		u32 indices[MAX_MSRS];
	} list;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} one = { .head.nmsrs = 1 };
	unsigned int i;

	list.head.nmsrs = MAX_MSRS;
	if (ioctl(cpu->vm->dev, KVM_GET_MSR_INDEX_LIST, &list))
		tvm_die("KVM_GET_MSR_INDEX_LIST: %m");
	s->msrs.head.nmsrs = 0;
	/* Some exist only with a CPUID bit, or cannot be written back. */
	for (i = 0; i < list.head.nmsrs; i++) {
		one.entry.index = list.indices[i];
		if (ioctl(cpu->fd, KVM_GET_MSRS, &one) == 1 &&
		    ioctl(cpu->fd, KVM_SET_MSRS, &one) == 1)
			s->msrs.entries[s->msrs.head.nmsrs++].index = list.indices[i];
	}
}

static void save(struct tcpu *cpu, struct saved *s)
{
	struct tvm *vm = cpu->vm;
	unsigned int i;

	for (i = 0; i < PARTS; i++)
		if (ioctl(cpu->fd, parts[i].get, (u8 *)s + parts[i].offset) < 0)
			tvm_die("saving part %u: %m", i);
	for (i = 0; i < 3; i++) {
		s->chips[i].chip_id = i;
		if (ioctl(vm->fd, KVM_GET_IRQCHIP, &s->chips[i]))
			tvm_die("KVM_GET_IRQCHIP %u: %m", i);
	}
	if (ioctl(vm->fd, KVM_GET_PIT2, &s->pit) || ioctl(vm->fd, KVM_GET_CLOCK, &s->clock))
		tvm_die("PIT or clock: %m");
	memcpy(s->mem, vm->mem, GUEST_SIZE);
}

static void restore_chips(struct tvm *vm, struct saved *s)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		if (ioctl(vm->fd, KVM_SET_IRQCHIP, &s->chips[i]))
			tvm_die("KVM_SET_IRQCHIP %u: %m", i);
	s->clock.flags = 0;
	if (ioctl(vm->fd, KVM_SET_PIT2, &s->pit) || ioctl(vm->fd, KVM_SET_CLOCK, &s->clock))
		tvm_die("PIT or clock: %m");
}

static struct tcpu *restore(struct saved *s, const struct order *order)
{
	struct tvm *vm = tvm_create(TVM_PIT);
	struct tcpu *cpu = tvm_vcpu(vm, 0);
	unsigned int i;
	int ret;

	memcpy(vm->mem, s->mem, GUEST_SIZE);
	if (order->chips_first)
		restore_chips(vm, s);
	for (i = 0; i < PARTS; i++) {
		enum part p = order->parts[i];

		ret = ioctl(cpu->fd, parts[p].set, (u8 *)s + parts[p].offset);
		if (ret < 0 || (p == MSRS && ret != (int)s->msrs.head.nmsrs))
			tvm_die("restoring part %u: %d, %m", p, ret);
	}
	if (!order->chips_first)
		restore_chips(vm, s);
	return cpu;
}

/* A machine in the middle of its timer's handler, with an interrupt and an NMI behind. */
static struct tcpu *start(void)
{
	struct tcpu *cpu = tvm_vcpu(tvm_create(TVM_PIT), 0);
	struct kvm_regs regs;
	unsigned int i;

	tcpu_start_lapic(cpu);
	tcpu_write32(cpu, GUEST_IOAPIC, 0x10 + 2 * LINE);
	tcpu_write32(cpu, GUEST_IOAPIC + 0x10, VECTOR_LINE);
	tcpu_write32(cpu, TDCR, 0xb);
	tcpu_write32(cpu, LVTT, PERIODIC | VECTOR_TIMER);
	tcpu_write32(cpu, TMICT, 400000);
	tcpu_load(cpu, &work);
	regs = tcpu_regs(cpu);
	regs.r8 = 0;
	regs.r9 = MARK;
	regs.r12 = 0;
	tcpu_set_regs(cpu, &regs);
	for (i = 0; i < 3; i++)
		while (tcpu_wait(cpu) == WAIT_NOTHING)
			;
	tcpu_settle(cpu);
	tvm_irq_line(cpu->vm, LINE, 1);
	tvm_irq_line(cpu->vm, LINE, 0);
	ioctl(cpu->fd, KVM_NMI);
	return cpu;
}

/* In the second process. 0 when the machine goes on as it would have. */
static int goes_on(struct tcpu *cpu, const struct saved *s)
{
	unsigned int timers = 0, rounds = 0, i;
	struct kvm_clock_data clock;
	u64 counted;
	int got[2];

	got[0] = tcpu_wait(cpu);
	got[1] = tcpu_wait(cpu);
	if (got[0] != 2 || got[1] != VECTOR_LINE) {
		fprintf(stderr, "# vectors %#x, %#x instead of the NMI and the line's\n", got[0],
			got[1]);
		return 1;
	}
	for (i = 0; i < 2000 && timers < 4; i++) {
		int vector = tcpu_wait(cpu);

		timers += vector == VECTOR_TIMER;
		rounds += vector == WAIT_NOTHING;
		if (vector != VECTOR_TIMER && vector != WAIT_NOTHING) {
			fprintf(stderr, "# vector %#x\n", vector);
			tcpu_explain(cpu);
			return 2;
		}
	}
	/* The first and the last interrupt may have come between a count and its report. */
	counted = tcpu_regs(cpu).r8 - s->regs.r8;
	if (timers < 4 || counted + 1 < rounds || counted > rounds + 1) {
		fprintf(stderr, "# %u timer interrupts, %llu rounds, %u reports\n", timers,
			(unsigned long long)counted, rounds);
		return 3;
	}
	if (ioctl(cpu->vm->fd, KVM_GET_CLOCK, &clock) || clock.clock < s->clock.clock)
		return 4;
	return 0;
}

/* What can be asked for at once has to be what was set. */
static int is_the_same(struct tcpu *cpu, const struct saved *s)
{
	static struct saved now;
	static const u8 compared[] = { REGS, SREGS, XSAVE, XCRS, DEBUGREGS, MP };
	static const u16 sizes[PARTS] = {
		[REGS] = sizeof(s->regs), [SREGS] = sizeof(s->sregs), [XSAVE] = sizeof(s->xsave),
		[XCRS] = sizeof(s->xcrs), [DEBUGREGS] = sizeof(s->debugregs), [MP] = sizeof(s->mp),
	};
	unsigned int i;

	now.msrs.head.nmsrs = 0;
	save(cpu, &now);
	for (i = 0; i < ARRAY_SIZE(compared); i++) {
		size_t offset = parts[compared[i]].offset;

		if (memcmp((u8 *)&now + offset, (u8 *)s + offset, sizes[compared[i]])) {
			fprintf(stderr, "# part %u differs\n", compared[i]);
			return 5;
		}
	}
	return now.events.nmi.pending == 1 && !now.events.exception.injected ? 0 : 6;
}

static int second_process(struct saved *s, const struct order *order)
{
	struct tcpu *cpu = restore(s, order);

	return is_the_same(cpu, s) ?: goes_on(cpu, s);
}

static int hand_over(const struct order *order)
{
	struct saved *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct tcpu *cpu;
	int pipe_fd[2], status = -1;
	pid_t pid;
	char byte;

	if (s == MAP_FAILED || pipe(pipe_fd))
		tvm_die("memory or pipe: %m");
	/* Before there is a VM: nothing of it is inherited. */
	pid = fork();
	if (!pid) {
		if (read(pipe_fd[0], &byte, 1) != 1)
			_exit(100);
		_exit(second_process(s, order));
	}
	cpu = start();
	list_msrs(cpu, s);
	save(cpu, s);
	tcpu_destroy(cpu);
	if (write(pipe_fd[1], "", 1) != 1)
		tvm_die("pipe: %m");
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(as_qemu)
{
	EXPECT_EQ(0, hand_over(&qemu));
}

TEST(as_firecracker)
{
	EXPECT_EQ(0, hand_over(&firecracker));
}

TEST(as_it_comes)
{
	EXPECT_EQ(0, hand_over(&backwards));
}

TEST_HARNESS_MAIN
