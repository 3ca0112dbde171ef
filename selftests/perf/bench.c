// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts what each round trip between guest, kernel and user space costs on one or two
 * devices, in ticks of the time stamp counter: exact instructions on the emulated machine.
 * Must not judge what it cannot compare: limits apply only when both devices are there.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tvm.h"

#define MAX_ROUNDS 101
#define FAULT_GPA 0x1000000UL
#define FAULT_PAGES 64
#define VECTORS 32
#define FIRST_VECTOR 0x40
#define FIRST_GSI 32
/* Where loop_ipi and ping have what is not their loop. */
#define IPI_HANDLER (GUEST_CODE + 0x100)
#define IPI_PONG (GUEST_CODE + 0x200)
/* A second PML4; a page of the guest's, and its entry in GUEST_PT. */
#define OTHER_CR3 0x60000
#define OTHER_PAGE 0x70000
#define OTHER_PTE (GUEST_PT + OTHER_PAGE / 4096 * 8)

/**
 * struct target - a device under measurement
 * @path: the device
 * @irq: a VM with interrupt controllers in the kernel
 * @plain: a VM without them
 * @irq_cpu: the first's vCPU
 * @plain_cpu: the second's vCPU
 * @pages: FAULT_PAGES of memory, at FAULT_GPA of the second
 * @msi: a VM whose vCPU is sent messages, with an irqfd for each of VECTORS
 * @msi_cpu: its first vCPU; both are in x2APIC mode
 * @pong_cpu: its second
 * @lapic: the state of that one's local APIC without any request
 * @eventfd: of the irqfds
 */
struct target {
	const char *path;
	struct tvm *irq, *plain;
	struct tcpu *irq_cpu, *plain_cpu;
	u8 *pages;
	struct tvm *msi;
	struct tcpu *msi_cpu, *pong_cpu;
	struct kvm_lapic_state lapic;
	int eventfd[VECTORS];
};

/**
 * struct measure - one line of the table
 * @name: what it prints
 * @once: measure COUNT operations once; returns ticks for all of them
 * @code: guest code for @once
 * @empty: the same loop without the operation, or NULL
 * @count: operations in one round
 * @limit: highest ratio that passes, in percent
 * @shadow_limit: the same on shadow page tables
 */
struct measure {
	const char *name;
	u64 (*once)(struct target *target, const struct measure *m);
	const struct guest_code *code, *empty;
	unsigned int count, limit, shadow_limit;
};

/* R8 operations between two reads of the TSC; the difference goes to R9. */
#define LOOP(setup, operation) \
	setup "mov %r8, %r10;" \
	"rdtsc; shl $32, %rdx; or %rdx, %rax; mov %rax, %r9;" \
	"1: mov %r11d, %ecx; mov %r12d, %eax;" operation "dec %r10; jnz 1b;" \
	"rdtsc; shl $32, %rdx; or %rdx, %rax; sub %r9, %rax; mov %rax, %r9;" \
	"out %al, $" GUEST_STR(PORT_TEST)

PROGRAM(loop_empty, 64, LOOP("xor %r11d, %r11d; xor %r12d, %r12d;", ""));
PROGRAM(loop_cpuid, 64, LOOP("xor %r11d, %r11d; xor %r12d, %r12d;", "cpuid;"));
PROGRAM(loop_rdmsr, 64, LOOP("mov $0x1b, %r11d; xor %r12d, %r12d;", "rdmsr;"));
PROGRAM(loop_vmcall, 64, LOOP("xor %r11d, %r11d; mov $0xffff, %r12d;", "vmcall;"));
PROGRAM(loop_pic, 64, LOOP("xor %r11d, %r11d; xor %r12d, %r12d;", "in $0x21, %al;"));
PROGRAM(loop_ioapic, 64, LOOP("mov $" GUEST_STR(GUEST_IOAPIC) ", %esi;", "mov %ecx, (%rsi);"));

/* To another address space and back; R8 is even. Without shadow paging neither is an exit. */
PROGRAM(loop_cr3, 64, LOOP("mov $" GUEST_STR(OTHER_CR3) ", %edi; mov $" GUEST_STR(GUEST_PML4)
			   ", %esi;", "mov %rdi, %cr3; xchg %rsi, %rdi;"));
PROGRAM(loop_invlpg, 64, LOOP("mov $" GUEST_STR(OTHER_PAGE) ", %edi;", "invlpg (%rdi);"));
/* A page is given another frame, and used. */
PROGRAM(loop_remap, 64, LOOP("mov $" GUEST_STR(OTHER_PAGE) ", %edi; mov $" GUEST_STR(OTHER_PTE)
			     ", %esi;", "xorq $0x1000, (%rsi); invlpg (%rdi); mov (%rdi), %ecx;"));

#define ICR 0x830
#define SEND(apic_id) \
	"mov $" GUEST_STR(ICR) ", %ecx; mov $0x40, %eax; mov $" #apic_id ", %edx; wrmsr;"
#define AT_OFFSET(name, offset) "; .org guest_" #name "_start + " #offset ";"
/* Ends the interrupt; keeps what the loops hold. */
#define END_INTERRUPT \
	"push %rax; push %rcx; push %rdx;" \
	"mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr;" \
	"pop %rdx; pop %rcx; pop %rax; iretq"

/* To itself, taken and ended at once. */
PROGRAM(loop_ipi, 64, LOOP("sti;", SEND(0)) AT_OFFSET(loop_ipi, 0x100) END_INTERRUPT);
/*
 * To the other vCPU, which halts, and back from there. The first time is not measured: the other
 * one's thread may not have begun.
 */
PROGRAM(ping, 64,
	LOOP(SEND(1) "sti; hlt; cli;", SEND(1) "sti; hlt; cli;")
	AT_OFFSET(ping, 0x100) END_INTERRUPT
	AT_OFFSET(ping, 0x200) "1: sti; hlt; cli;" SEND(0) "dec %r8; jnz 1b;"
	"out %al, $" GUEST_STR(PORT_TEST));

PROGRAM(user_out, 64, "1: out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b");
PROGRAM(user_in, 64, "1: in $" GUEST_STR(PORT_TEST) ", %al; jmp 1b");
PROGRAM(user_write, 64, "mov $" GUEST_STR(GUEST_MMIO) ", %esi; 1: mov %eax, (%rsi); jmp 1b");
PROGRAM(user_read, 64, "mov $" GUEST_STR(GUEST_MMIO) ", %esi; 1: mov (%rsi), %eax; jmp 1b");
PROGRAM(user_hlt, 64, "1: hlt; jmp 1b");

/* Touch R8 pages from RSI twice: what the second pass costs is not the faults'. */
PROGRAM(touch, 64,
	"mov $2, %ebx;"
	"2: mov %r8, %r10; mov %rsi, %rdi;"
	"rdtsc; shl $32, %rdx; or %rdx, %rax; mov %rax, %r9;"
	"1: mov %r8, (%rdi); add $4096, %rdi; dec %r10; jnz 1b;"
	"rdtsc; shl $32, %rdx; or %rdx, %rax; sub %r9, %rax;"
	"xchg %rax, %r11; dec %ebx; jnz 2b;"
	"sub %r11, %rax; mov %rax, %r9;"
	"out %al, $" GUEST_STR(PORT_TEST));

static void expect(struct tcpu *cpu, const struct measure *m, bool good)
{
	if (good)
		return;
	tcpu_explain(cpu);
	tvm_die("%s: %s did not do what was expected", tvm_device(), m->name);
}

static u64 run_loop(struct tcpu *cpu, const struct measure *m,
		    const struct guest_code *code)
{
	struct kvm_regs regs;
	int reason;

	tcpu_load(cpu, code);
	regs = tcpu_regs(cpu);
	regs.r8 = m->count;
	regs.rsi = FAULT_GPA;
	tcpu_set_regs(cpu, &regs);
	reason = tcpu_run(cpu);
	expect(cpu, m, reason == KVM_EXIT_IO && tcpu_is_out(cpu, PORT_TEST));
	return tcpu_regs(cpu).r9;
}

static u64 guest_loop(struct target *target, const struct measure *m)
{
	u64 with = run_loop(target->irq_cpu, m, m->code);

	return with - run_loop(target->irq_cpu, m, m->empty);
}

static u64 self_ipi(struct target *target, const struct measure *m)
{
	u64 with = run_loop(target->msi_cpu, m, m->code);

	return with - run_loop(target->msi_cpu, m, m->empty);
}

static void *run_pong(void *arg)
{
	struct tcpu *cpu = arg;

	if (tcpu_run(cpu) != KVM_EXIT_IO || !tcpu_is_out(cpu, PORT_TEST))
		tcpu_explain(cpu);
	return NULL;
}

static u64 ipi_round_trip(struct target *target, const struct measure *m)
{
	struct kvm_regs regs = {
		.rip = IPI_PONG, .rsp = GUEST_FREE + PAGE, .rflags = 2, .r8 = m->count + 1,
	};
	pthread_t thread;
	u64 ticks;

	tcpu_set_regs(target->pong_cpu, &regs);
	tcpu_load(target->msi_cpu, m->code);
	if (pthread_create(&thread, NULL, run_pong, target->pong_cpu))
		tvm_die("pthread_create: %m");
	ticks = run_loop(target->msi_cpu, m, m->code);
	pthread_join(thread, NULL);
	return ticks;
}

/* No request of the round before is left: each message is news. */
static void forget_requests(struct target *target)
{
	if (ioctl(target->msi_cpu->fd, KVM_SET_LAPIC, &target->lapic))
		tvm_die("KVM_SET_LAPIC: %m");
}

static u64 signal_msi(struct target *target, const struct measure *m)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000 };
	unsigned int i;
	u64 start;

	forget_requests(target);
	start = tvm_rdtsc();
	for (i = 0; i < m->count; i++) {
		msi.data = FIRST_VECTOR + i;
		if (ioctl(target->msi->fd, KVM_SIGNAL_MSI, &msi) != 1)
			tvm_die("KVM_SIGNAL_MSI: %m");
	}
	return tvm_rdtsc() - start;
}

static u64 irqfd(struct target *target, const struct measure *m)
{
	const u64 one = 1;
	unsigned int i;
	u64 start;

	forget_requests(target);
	start = tvm_rdtsc();
	for (i = 0; i < m->count; i++)
		if (write(target->eventfd[i], &one, sizeof(one)) != sizeof(one))
			tvm_die("eventfd: %m");
	return tvm_rdtsc() - start;
}

static u64 user_loop(struct target *target, const struct measure *m)
{
	struct tcpu *cpu = target->plain_cpu;
	unsigned int i;
	u64 start;

	tcpu_load(cpu, m->code);
	expect(cpu, m, tcpu_run(cpu) >= 0);
	start = tvm_rdtsc();
	for (i = 0; i < m->count; i++) {
		if (ioctl(cpu->fd, KVM_RUN, 0))
			tvm_die("%s: KVM_RUN: %m", m->name);
	}
	start = tvm_rdtsc() - start;
	expect(cpu, m, cpu->run->exit_reason == KVM_EXIT_IO ||
	       cpu->run->exit_reason == KVM_EXIT_MMIO || cpu->run->exit_reason == KVM_EXIT_HLT);
	return start;
}

static u64 page_faults(struct target *target, const struct measure *m)
{
	unsigned int i;

	if (madvise(target->pages, FAULT_PAGES * PAGE, MADV_DONTNEED))
		tvm_die("madvise: %m");
	for (i = 0; i < FAULT_PAGES; i++)
		target->pages[i * PAGE] = 1;
	return run_loop(target->plain_cpu, m, m->code);
}

static u64 create_destroy(struct target *target, const struct measure *m)
{
	u64 start = tvm_rdtsc();
	int vm = ioctl(target->plain->dev, KVM_CREATE_VM, 0);
	int cpu = ioctl(vm, KVM_CREATE_VCPU, 0);

	if (vm < 0 || cpu < 0)
		tvm_die("%s: %m", m->name);
	close(cpu);
	close(vm);
	return tvm_rdtsc() - start;
}

static u64 registers(struct target *target, const struct measure *m)
{
	struct tcpu *cpu = target->plain_cpu;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	unsigned int i;
	u64 start = tvm_rdtsc();

	for (i = 0; i < m->count; i++) {
		if (ioctl(cpu->fd, KVM_GET_REGS, &regs) || ioctl(cpu->fd, KVM_SET_REGS, &regs) ||
		    ioctl(cpu->fd, KVM_GET_SREGS, &sregs) ||
		    ioctl(cpu->fd, KVM_SET_SREGS, &sregs))
			tvm_die("%s: %m", m->name);
	}
	return tvm_rdtsc() - start;
}

static const struct measure measures[] = {
	{ "CPUID", guest_loop, &loop_cpuid, &loop_empty, 64, 50, 50 },
	{ "RDMSR APIC_BASE", guest_loop, &loop_rdmsr, &loop_empty, 64, 50, 50 },
	{ "VMCALL", guest_loop, &loop_vmcall, &loop_empty, 64, 100, 100 },
	{ "PIC port in", guest_loop, &loop_pic, &loop_empty, 64, 50, 50 },
	{ "IOAPIC MMIO write", guest_loop, &loop_ioapic, &loop_empty, 32, 100, 100 },
	{ "IPI to itself, EOI", self_ipi, &loop_ipi, &loop_empty, 32, 100, 100 },
	{ "IPI, HLT, IPI back, HLT", ipi_round_trip, &ping, NULL, 32, 100, 100 },
	{ "SIGNAL_MSI", signal_msi, NULL, NULL, VECTORS, 100, 100 },
	{ "irqfd", irqfd, NULL, NULL, VECTORS, 100, 100 },
	{ "port out to user", user_loop, &user_out, NULL, 32, 100, 100 },
	{ "port in from user", user_loop, &user_in, NULL, 32, 100, 100 },
	{ "MMIO write to user", user_loop, &user_write, NULL, 32, 100, 100 },
	{ "MMIO read from user", user_loop, &user_read, NULL, 32, 100, 100 },
	{ "HLT to user", user_loop, &user_hlt, NULL, 32, 100, 100 },
	{ "CR3 switch", guest_loop, &loop_cr3, &loop_empty, 64, 100, 80 },
	{ "INVLPG", guest_loop, &loop_invlpg, &loop_empty, 64, 100, 100 },
	{ "PTE change, INVLPG, use", guest_loop, &loop_remap, &loop_empty, 64, 100, 100 },
	{ "4K fault", page_faults, &touch, NULL, FAULT_PAGES, 60, 80 },
	{ "VM+vCPU create, destroy", create_destroy, NULL, NULL, 1, 100, 100 },
	{ "GET+SET REGS, SREGS", registers, NULL, NULL, 8, 100, 100 },
};

#define MEASURES (ARRAY_SIZE(measures))

/*
 * All its memory is there: whether the host has a page of zeroes or a large page behind what only
 * the guest touches would be chance, and makes a difference of thousands.
 */
static struct tvm *create_vm(unsigned int flags)
{
	struct tvm *vm = tvm_create(flags);

	if (madvise(vm->mem, GUEST_SIZE, MADV_POPULATE_WRITE))
		tvm_die("MADV_POPULATE_WRITE: %m");
	return vm;
}

static struct tcpu *open_x2apic(struct target *target, unsigned int id)
{
	struct kvm_mp_state running = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct tcpu *cpu = tvm_vcpu(target->msi, id);
	u64 base;

	if (ioctl(cpu->fd, KVM_SET_MP_STATE, &running) || !tcpu_get_msr(cpu, 0x1b, &base) ||
	    !tcpu_set_msr(cpu, 0x1b, base | 0xc00) || !tcpu_wrmsr(cpu, 0x80f, 0x1ff) ||
	    !tcpu_wrmsr(cpu, 0x835, 0x10000))
		tvm_die("%s: x2APIC", target->path);
	tcpu_settle(cpu);
	return cpu;
}

static void open_messages(struct target *target)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[VECTORS];
	} table = { .head.nr = VECTORS };
	unsigned int i;

	target->msi = create_vm(TVM_IRQCHIP);
	target->msi_cpu = open_x2apic(target, 0);
	target->pong_cpu = open_x2apic(target, 1);
	tvm_gate(target->msi_cpu, FIRST_VECTOR, IPI_HANDLER);
	if (ioctl(target->msi_cpu->fd, KVM_GET_LAPIC, &target->lapic))
		tvm_die("KVM_GET_LAPIC: %m");
	for (i = 0; i < VECTORS; i++) {
		table.entry[i].gsi = FIRST_GSI + i;
		table.entry[i].type = KVM_IRQ_ROUTING_MSI;
		table.entry[i].u.msi.address_lo = 0xfee00000;
		table.entry[i].u.msi.data = FIRST_VECTOR + i;
	}
	if (ioctl(target->msi->fd, KVM_SET_GSI_ROUTING, &table))
		tvm_die("KVM_SET_GSI_ROUTING: %m");
	for (i = 0; i < VECTORS; i++) {
		struct kvm_irqfd args = { .gsi = FIRST_GSI + i };

		target->eventfd[i] = eventfd(0, 0);
		args.fd = target->eventfd[i];
		if (ioctl(target->msi->fd, KVM_IRQFD, &args))
			tvm_die("KVM_IRQFD: %m");
	}
}

static void close_messages(struct target *target)
{
	unsigned int i;

	for (i = 0; i < VECTORS; i++)
		close(target->eventfd[i]);
	tcpu_destroy(target->msi_cpu);
	tcpu_destroy(target->pong_cpu);
	tvm_destroy(target->msi);
}

static void open_target(struct target *target, const char *path)
{
	target->path = path;
	tvm_use(path);
	target->irq = create_vm(TVM_PIT);
	memcpy(target->irq->mem + OTHER_CR3, target->irq->mem + GUEST_PML4, PAGE);
	target->irq_cpu = tvm_vcpu(target->irq, 0);
	target->plain = create_vm(0);
	target->plain_cpu = tvm_vcpu(target->plain, 0);
	target->pages = tvm_map(FAULT_PAGES * PAGE);
	madvise(target->pages, FAULT_PAGES * PAGE, MADV_NOHUGEPAGE);
	if (tvm_slot(target->plain, 2, 0, FAULT_GPA, FAULT_PAGES * PAGE, target->pages))
		tvm_die("%s: memory slot: %m", path);
	open_messages(target);
}

static void close_target(struct target *target)
{
	close_messages(target);
	tcpu_destroy(target->irq_cpu);
	tcpu_destroy(target->plain_cpu);
	tvm_destroy(target->irq);
	tvm_destroy(target->plain);
	munmap(target->pages, FAULT_PAGES * PAGE);
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return (x > y) - (x < y);
}

/* The timer tick lands in some rounds; the median is of one without. */
static u64 median(u64 *samples, unsigned int rounds, unsigned int count)
{
	qsort(samples, rounds, sizeof(*samples), compare);
	return (samples[rounds / 2] + count / 2) / count;
}

static void measure_all(struct target *targets, unsigned int devices, unsigned int rounds,
			u64 results[][2])
{
	static u64 samples[2][MAX_ROUNDS];
	unsigned int i, round, d;

	for (i = 0; i < MEASURES; i++) {
		const struct measure *m = &measures[i];

		for (d = 0; d < devices; d++)
			m->once(&targets[d], m);
		for (round = 0; round < rounds; round++) {
			for (d = 0; d < devices; d++)
				samples[d][round] = m->once(&targets[d], m);
		}
		for (d = 0; d < devices; d++)
			results[i][d] = median(samples[d], rounds, m->count);
	}
}

static void measure_in_turn(struct target *targets, unsigned int devices, unsigned int rounds,
			    const char **paths, u64 results[][2])
{
	u64 single[MEASURES][2];
	unsigned int i, d;

	for (d = 0; d < devices; d++) {
		open_target(&targets[d], paths[d]);
		measure_all(&targets[d], 1, rounds, single);
		close_target(&targets[d]);
		for (i = 0; i < MEASURES; i++)
			results[i][d] = single[i][0];
	}
}

static int report(const char **paths, unsigned int devices, u64 results[][2])
{
	unsigned int i, over = 0;
	bool shadow = tvm_on_shadow();

	printf("%-24s %12s", "ticks each", paths[0]);
	if (devices == 2)
		printf(" %12s %7s %7s", paths[1], "ratio", "limit");
	putchar('\n');
	for (i = 0; i < MEASURES; i++) {
		const struct measure *m = &measures[i];
		unsigned int limit = shadow ? m->shadow_limit : m->limit;
		bool bad = results[i][0] * 100 > results[i][1] * limit;

		printf("%-24s %12llu", m->name, results[i][0]);
		if (devices == 2) {
			printf(" %12llu %7.3f %7.2f%s", results[i][1],
			       (double)results[i][0] / results[i][1], limit / 100.0,
			       bad ? "  ABOVE" : "");
			over += bad;
		}
		putchar('\n');
	}
	if (devices == 2)
		printf("%u of %zu lines above their limit\n", over, MEASURES);
	return over;
}

static void print_help(const char *name)
{
	printf("usage: %s [--check] [--in-turn] [--rounds N] [DEVICE [REFERENCE]]\n"
	       "  --check     exit 1 when a line is above its limit of the reference's figure\n"
	       "  --in-turn   measure one device wholly before the other one's VMs exist\n"
	       "  --rounds N  median of N rounds (odd, up to %u; default 15)\n"
	       "Devices that do not exist are left out. Default: /dev/kvmlet /dev/kvm\n", name,
	       MAX_ROUNDS);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "check", no_argument, NULL, 'c' },
		{ "in-turn", no_argument, NULL, 't' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	const char *wanted[2] = { "/dev/kvmlet", "/dev/kvm" }, *paths[2];
	unsigned int devices = 0, rounds = 15, given, i, over;
	bool check = false, in_turn = false;
	static u64 results[MEASURES][2];
	static struct target targets[2];
	int opt;

	while ((opt = getopt_long(argc, argv, "ctr:h", options, NULL)) != -1) {
		if (opt == 'r')
			rounds = strtoul(optarg, NULL, 10);
		check |= opt == 'c';
		in_turn |= opt == 't';
		if (opt == 'h' || opt == '?') {
			print_help(argv[0]);
			return opt == 'h' ? 0 : 2;
		}
	}
	given = argc - optind;
	if (given > 2 || rounds < 1 || rounds > MAX_ROUNDS) {
		print_help(argv[0]);
		return 2;
	}
	for (i = 0; i < (given ? given : 2); i++) {
		const char *path = given ? argv[optind + i] : wanted[i];

		if (access(path, R_OK | W_OK))
			printf("%s: %m, left out\n", path);
		else
			paths[devices++] = path;
	}
	if (!devices || (check && devices < 2)) {
		printf("nothing to %s\n", devices ? "compare with" : "measure");
		return 2;
	}
	if (in_turn) {
		measure_in_turn(targets, devices, rounds, paths, results);
	} else {
		for (i = 0; i < devices; i++)
			open_target(&targets[i], paths[i]);
		measure_all(targets, devices, rounds, results);
		for (i = 0; i < devices; i++)
			close_target(&targets[i]);
	}
	over = report(paths, devices, results);
	return check && over ? 1 : 0;
}
