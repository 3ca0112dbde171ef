// SPDX-License-Identifier: GPL-2.0-only
/*
 * Throws random state and random guest code at a device through its ioctls, and runs it: the host
 * has to survive.
 * Must not judge what the guest did: the host's kernel log and its being alive are the verdict.
 */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

#include "tvm.h"

#define VCPUS 2
#define STEPS 12
#define MSR_ROOM 64

/* Nothing that passes the buffers around may take more than this. */
#define ROOM 16384

static u64 rng_state;
static struct tcpu *cpus[VCPUS];
static unsigned long runs, entry_failures, other_errors, exits[64];
static bool verbose;

/* ---- Random numbers: xorshift64*, the same everywhere for one seed ---- */

static u64 rnd(void)
{
	rng_state ^= rng_state >> 12;
	rng_state ^= rng_state << 25;
	rng_state ^= rng_state >> 27;
	return rng_state * 0x2545f4914f6cdd1dULL;
}

static unsigned int below(unsigned int n)
{
	return (rnd() >> 32) % n;
}

static bool one_in(unsigned int n)
{
	return !below(n);
}

/* A number that some check somewhere treats as a border. */
static u64 odd_value(void)
{
	static const u64 borders[] = {
		0, 1, 2, 0xff, 0x100, 0xfff, 0x1000, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
		0xffffffff, 0x100000000, 0x7fffffffffff, 0x800000000000, 0xffff7fffffffffff,
		0xffff800000000000, 0xfffffffffffff000, 0xffffffffffffffff, 0x8000000000000000,
		0x7fffffffffffffff, 0xfee00000, 0xfec00000, 0xa0000, GUEST_CODE, GUEST_MMIO,
		GUEST_PML4, GUEST_PDPT_PAE, 0xd01, 0x500, 0x80050033, 0x3406f0, 0xffff0ff0, 0x400,
		0xffffffffff600000, 0xffffffff81000000,
	};

	switch (below(5)) {
	case 0:
		return borders[below(ARRAY_SIZE(borders))];
	case 1:
		return 1ULL << below(64);
	case 2:
		return ~(1ULL << below(64));
	case 3:
		return below(256);
	default:
		return rnd();
	}
}

/* Change a few fields of a structure, aligned as fields are. */
static void mutate(void *buffer, size_t size)
{
	unsigned int n = 1 + below(3);
	u8 *p = buffer;

	while (n--) {
		size_t width = 1UL << below(4);
		u64 value = odd_value();
		size_t at;

		if (width > size)
			continue;
		at = below(size / width) * width;
		if (one_in(2)) {
			u64 old = 0;

			memcpy(&old, p + at, width);
			value = old ^ (1ULL << below(8 * width));
		}
		memcpy(p + at, &value, width);
	}
}

/* ---- Pairs of GET and SET ---- */

struct pair {
	const char *name;
	unsigned long get, set;
	size_t size;
};

#define PAIR(name, type) { #name, KVM_GET_##name, KVM_SET_##name, sizeof(type) }

static const struct pair vcpu_pairs[] = {
	PAIR(REGS, struct kvm_regs),
	PAIR(SREGS, struct kvm_sregs),
	PAIR(SREGS, struct kvm_sregs),
	PAIR(SREGS2, struct kvm_sregs2),
	PAIR(FPU, struct kvm_fpu),
	PAIR(VCPU_EVENTS, struct kvm_vcpu_events),
	PAIR(VCPU_EVENTS, struct kvm_vcpu_events),
	PAIR(DEBUGREGS, struct kvm_debugregs),
	PAIR(XCRS, struct kvm_xcrs),
	PAIR(XSAVE, struct kvm_xsave),
	PAIR(LAPIC, struct kvm_lapic_state),
	PAIR(MP_STATE, struct kvm_mp_state),
};

static const struct pair vm_pairs[] = {
	PAIR(CLOCK, struct kvm_clock_data),
	PAIR(PIT2, struct kvm_pit_state2),
	PAIR(IRQCHIP, struct kvm_irqchip),
};

static void change(int fd, const struct pair *p)
{
	static u8 buffer[ROOM];

	memset(buffer, 0, sizeof(buffer));
	/* For KVM_GET_IRQCHIP: which chip. */
	buffer[0] = below(3);
	if (ioctl(fd, p->get, buffer) && one_in(2))
		return;
	if (!one_in(16))
		mutate(buffer, p->size);
	if (ioctl(fd, p->set, buffer) == 0 && verbose)
		printf("#   %s\n", p->name);
}

/* ---- MSRs and CPUID ---- */

static const u32 msrs[] = {
	0x10, 0x1b, 0x3a, 0x3b, 0x48, 0x49, 0x8b, 0xfe, 0x10a, 0x10b, 0x122, 0x123, 0x174,
	0x175, 0x176, 0x179, 0x17a, 0x17b, 0x186, 0x198, 0x199, 0x19c, 0x1a0, 0x1d9, 0x200,
	0x201, 0x250, 0x277, 0x2ff, 0x345, 0x38d, 0x38f, 0x390, 0x400, 0x401, 0x480, 0x48b,
	0x4e0, 0x6e0, 0x800, 0x802, 0x808, 0x80b, 0x80f, 0x830, 0x832, 0x838, 0x83f, 0xc80,
	0xda0, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
	0xc0000101, 0xc0000102, 0xc0000103, 0xc0000104, 0xc0010015, 0x40000000, 0x40000001,
	0x40000073, 0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d03, 0x4b564d04, 0x11, 0x12,
};

static u32 any_msr(void)
{
	return msrs[below(ARRAY_SIZE(msrs))];
}

static void set_msrs(struct tcpu *cpu)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[MSR_ROOM];
	} m = { .head.nmsrs = 1 + below(4) };
	unsigned int i;

	for (i = 0; i < m.head.nmsrs; i++) {
		m.entries[i].index = one_in(8) ? odd_value() : any_msr();
		m.entries[i].data = odd_value();
	}
	ioctl(cpu->fd, one_in(4) ? KVM_GET_MSRS : KVM_SET_MSRS, &m);
}

static void set_cpuid(struct tcpu *cpu)
{
	static union {
		struct kvm_cpuid2 head;
		u8 room[ROOM];
	} table;
	struct kvm_cpuid2 *supported = tvm_supported_cpuid();
	size_t size = supported->nent * sizeof(supported->entries[0]);

	memcpy(&table, supported, sizeof(*supported) + size);
	if (one_in(2))
		mutate(table.head.entries, size);
	if (one_in(8))
		table.head.nent = below(supported->nent + 1);
	ioctl(cpu->fd, KVM_SET_CPUID2, &table);
}

/* ---- Calls without a GET ---- */

static void set_debug(struct tcpu *cpu)
{
	struct kvm_guest_debug debug = { .control = below(4) };
	unsigned int i;

	if (one_in(2))
		debug.control |= 1U << (16 + below(6));
	for (i = 0; i < 8; i++)
		debug.arch.debugreg[i] = odd_value();
	ioctl(cpu->fd, KVM_SET_GUEST_DEBUG, &debug);
}

static void interrupt(struct tcpu *cpu)
{
	struct kvm_interrupt irq = { .irq = one_in(8) ? odd_value() : below(256) };

	ioctl(cpu->fd, KVM_INTERRUPT, &irq);
}

static void machine_check(struct tcpu *cpu)
{
	struct kvm_x86_mce mce = { .status = odd_value() | 1ULL << 63, .bank = below(40) };
	u64 cap = odd_value();

	ioctl(cpu->fd, KVM_X86_SETUP_MCE, &cap);
	mutate(&mce, sizeof(mce));
	ioctl(cpu->fd, KVM_X86_SET_MCE, &mce);
}

static void other_call(struct tcpu *cpu)
{
	struct kvm_translation translation = { .linear_address = odd_value() };
	struct kvm_vapic_addr vapic = { .vapic_addr = odd_value() };
	struct kvm_tpr_access_ctl tpr = { .enabled = below(2) };

	switch (below(9)) {
	case 0:
		ioctl(cpu->fd, KVM_TRANSLATE, &translation);
		break;
	case 1:
		ioctl(cpu->fd, KVM_SET_TSC_KHZ, odd_value());
		break;
	case 2:
		ioctl(cpu->fd, KVM_KVMCLOCK_CTRL, 0);
		break;
	case 3:
		ioctl(cpu->fd, KVM_SET_VAPIC_ADDR, &vapic);
		break;
	case 4:
		ioctl(cpu->fd, KVM_TPR_ACCESS_REPORTING, &tpr);
		break;
	case 5:
		ioctl(cpu->fd, KVM_SMI, 0);
		break;
	case 6:
		machine_check(cpu);
		break;
	default:
		ioctl(cpu->fd, KVM_NMI, 0);
		break;
	}
}

/* The shared page belongs to user space: anything may be in it. */
static void scribble_run(struct tcpu *cpu)
{
	mutate(cpu->run, one_in(2) ? 64 : sizeof(*cpu->run));
	cpu->run->kvm_valid_regs = one_in(2) ? 7 : odd_value();
	cpu->run->kvm_dirty_regs = one_in(4) ? below(8) : 0;
}

static void enable_cap(struct tcpu *cpu)
{
	static const u32 caps[] = {
		KVM_CAP_X86_DISABLE_EXITS, KVM_CAP_DISABLE_QUIRKS, KVM_CAP_X2APIC_API,
		KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_X86_TRIPLE_FAULT_EVENT, KVM_CAP_HYPERV_SYNIC,
		KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_X86_USER_SPACE_MSR, KVM_CAP_MAX_VCPU_ID,
		KVM_CAP_EXIT_ON_EMULATION_FAILURE, KVM_CAP_X86_BUS_LOCK_EXIT,
		KVM_CAP_X86_NOTIFY_VMEXIT, KVM_CAP_DIRTY_LOG_RING,
	};
	struct kvm_enable_cap cap = { .cap = caps[below(ARRAY_SIZE(caps))] };

	cap.args[0] = one_in(2) ? below(64) : odd_value();
	ioctl(one_in(4) ? cpu->fd : cpu->vm->fd, KVM_ENABLE_CAP, &cap);
}

static void lines(struct tvm *vm)
{
	struct kvm_irq_level level = { .irq = below(28), .level = below(2) };
	struct kvm_msi msi = {
		.address_lo = 0xfee00000 | (rnd() & 0xffffc),
		.data = rnd() & 0xffff,
	};

	if (one_in(2))
		ioctl(vm->fd, KVM_IRQ_LINE, &level);
	else
		ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);
}

static void slots(struct tvm *vm)
{
	u64 size = below(8) * PAGE;

	switch (below(3)) {
	case 0:
		tvm_slot(vm, below(4), below(4), odd_value(), odd_value(),
			 vm->mem + below(64) * PAGE);
		break;
	case 1:
		tvm_slot(vm, 2 + below(4), below(4), GUEST_MMIO + below(16) * PAGE, size, vm->mem);
		break;
	default:
		madvise(vm->mem + below(GUEST_SIZE / PAGE) * PAGE, PAGE, MADV_DONTNEED);
		break;
	}
}

/* ---- Guest code ---- */

struct bytes {
	u8 length, code[11];
};

#define B(...) { sizeof((u8[]){ __VA_ARGS__ }), { __VA_ARGS__ } }

/* Instructions that leave the guest, change its mode, or take an event. */
static const struct bytes pieces[] = {
	B(0x0f, 0xa2), B(0x0f, 0x32), B(0x0f, 0x30), B(0xf4), B(0xcc), B(0xcd, 0x80),
	B(0xcd, 0x20), B(0xce), B(0xf1), B(0x0f, 0x0b), B(0x0f, 0x05), B(0x0f, 0x07),
	B(0x48, 0x0f, 0x07), B(0x0f, 0x34), B(0x0f, 0x35), B(0xcf), B(0x48, 0xcf), B(0x9c),
	B(0x9d), B(0xfa), B(0xfb), B(0xfb, 0xf4), B(0x0f, 0x20, 0xc0), B(0x0f, 0x22, 0xc0),
	B(0x0f, 0x22, 0xd8), B(0x0f, 0x22, 0xe0), B(0x0f, 0x20, 0xe0),
	B(0x44, 0x0f, 0x22, 0xc0), B(0x44, 0x0f, 0x20, 0xc0), B(0x0f, 0x06),
	B(0x0f, 0x01, 0xf0), B(0x0f, 0x21, 0xf8), B(0x0f, 0x23, 0xf8), B(0x0f, 0x23, 0xf0),
	B(0x0f, 0x23, 0xc0), B(0x0f, 0x21, 0xe0), B(0x0f, 0x01, 0xc1), B(0x0f, 0x01, 0xc2),
	B(0x0f, 0x01, 0xc3), B(0x0f, 0x01, 0xc4), B(0x0f, 0x01, 0xd4), B(0x0f, 0x01, 0xd0),
	B(0x0f, 0x01, 0xd1), B(0x0f, 0x01, 0xf8), B(0x0f, 0x01, 0xf9), B(0x0f, 0x01, 0xc8),
	B(0x0f, 0x01, 0xc9), B(0x0f, 0x01, 0xca), B(0x0f, 0x01, 0xcb), B(0x0f, 0x01, 0xee),
	B(0x0f, 0x01, 0xef), B(0x0f, 0x08), B(0x0f, 0x09), B(0x0f, 0x31), B(0x0f, 0x33),
	B(0x0f, 0xaa), B(0x0f, 0x37), B(0x66, 0x0f, 0x38, 0x82, 0x00),
	B(0x66, 0x0f, 0x38, 0x80, 0x00), B(0x0f, 0x00, 0xd8), B(0x0f, 0x00, 0xd0),
	B(0x0f, 0x01, 0x10), B(0x0f, 0x01, 0x18), B(0x0f, 0x01, 0x38), B(0x0f, 0xc7, 0x38),
	B(0x0f, 0xae, 0x00), B(0x0f, 0xae, 0x08), B(0x0f, 0xc7, 0x28), B(0x0f, 0xc7, 0x18),
	B(0x0f, 0x77), B(0x0f, 0x6f, 0x00), B(0x8e, 0xd8), B(0x8e, 0xd0), B(0x8e, 0xe0),
	B(0x17), B(0x1f), B(0xe4, 0x21), B(0xe6, 0x20), B(0xec), B(0xee), B(0x6c), B(0x6e),
	B(0xf3, 0x6c), B(0xf3, 0x6e), B(0xf3, 0xa4), B(0xf3, 0xab), B(0xa4), B(0x8b, 0x00),
	B(0x89, 0x00), B(0x8a, 0x03), B(0x88, 0x0e), B(0xf0, 0x0f, 0xb1, 0x08),
	B(0xf3, 0x90), B(0xc3), B(0xcb), B(0x48, 0xcb), B(0xff, 0xd0), B(0xff, 0xe0),
	B(0xe8, 0, 0, 0, 0), B(0xeb, 0xfe), B(0xf7, 0xf1), B(0xd9, 0xe8), B(0xdb, 0xe3),
	B(0x9b), B(0x0f, 0x58, 0xc0), B(0xc5, 0xfc, 0x58, 0xc0), B(0xf3, 0x0f, 0xae, 0xc0),
	B(0xf3, 0x0f, 0xae, 0xd8), B(0x90), B(0x90), B(0x62), B(0x06), B(0x27),
	B(0xea, 0, 0x80, 0, 0, SEL_CODE32, 0), B(0x9a, 0, 0, 0, 0, SEL_TSS2, 0),
	B(0xea, 0, 0, 0, 0, SEL_TSS2, 0), B(0x8b, 0x04, 0x25, 0x20, 0, 0xe0, 0xfe),
	B(0x89, 0x04, 0x25, 0, 0x03, 0xe0, 0xfe), B(0x89, 0x04, 0x25, 0x80, 0, 0xe0, 0xfe),
	B(0xa1, 0, 0, 0xc0, 0xfe), B(0xa3, 0, 0, 0, 0xd0),
};

static void load_immediate(u8 **p, unsigned int reg, u32 value)
{
	*(*p)++ = 0xb8 | reg;
	memcpy(*p, &value, 4);
	*p += 4;
}

static void write_code(struct tvm *vm)
{
	u8 *p = vm->mem + GUEST_CODE, *end = p + 200;

	while (p < end) {
		const struct bytes *piece = &pieces[below(ARRAY_SIZE(pieces))];

		if (one_in(3))
			load_immediate(&p, 1, one_in(4) ? odd_value() : any_msr());
		if (one_in(3))
			load_immediate(&p, below(2) * 2, odd_value());
		if (one_in(32))
			*p++ = rnd();
		memcpy(p, piece->code, piece->length);
		p += piece->length;
	}
	*p++ = 0xeb;
	*p = 0xfe;
	if (one_in(4)) {
		static const u32 tables[] = {
			GUEST_GDT, GUEST_IDT, GUEST_TSS, GUEST_PML4, GUEST_PDPT, GUEST_PD, GUEST_PT,
			GUEST_PDPT_PAE, GUEST_PD32, GUEST_PT32,
		};

		mutate(vm->mem + tables[below(ARRAY_SIZE(tables))], 512);
	}
}

/* ---- Running ---- */

static void on_alarm(int signal)
{
	unsigned int i;

	(void)signal;
	for (i = 0; i < VCPUS; i++)
		if (cpus[i])
			cpus[i]->run->immediate_exit = 1;
}

static void run(struct tcpu *cpu)
{
	struct itimerval in = { .it_value.tv_usec = 150, .it_interval.tv_usec = 1000 }, off = {};
	u32 reason;

	cpu->run->immediate_exit = 0;
	setitimer(ITIMER_REAL, &in, NULL);
	if (ioctl(cpu->fd, KVM_RUN, 0) == 0) {
		reason = cpu->run->exit_reason;
		exits[reason < ARRAY_SIZE(exits) ? reason : 0]++;
		if (reason == KVM_EXIT_FAIL_ENTRY) {
			entry_failures++;
			if (verbose)
				printf("#   entry failure 0x%llx\n",
				       cpu->run->fail_entry.hardware_entry_failure_reason);
		}
	} else if (errno != EINTR && errno != EAGAIN) {
		other_errors++;
	}
	setitimer(ITIMER_REAL, &off, NULL);
	runs++;
}

static void one_change(struct tcpu *cpu)
{
	switch (below(16)) {
	case 0 ... 5:
		change(cpu->fd, &vcpu_pairs[below(ARRAY_SIZE(vcpu_pairs))]);
		break;
	case 6:
		change(cpu->vm->fd, &vm_pairs[below(ARRAY_SIZE(vm_pairs))]);
		break;
	case 7 ... 8:
		set_msrs(cpu);
		break;
	case 9:
		set_cpuid(cpu);
		break;
	case 10:
		set_debug(cpu);
		break;
	case 11:
		interrupt(cpu);
		break;
	case 12:
		other_call(cpu);
		break;
	case 13:
		scribble_run(cpu);
		break;
	case 14:
		lines(cpu->vm);
		break;
	default:
		if (one_in(2))
			enable_cap(cpu);
		else
			slots(cpu->vm);
		break;
	}
}

/* A state from which the guest can go on, whatever came before; a refusal is fine as well. */
static void settle(struct tcpu *cpu, const struct kvm_regs *regs, const struct kvm_sregs *sregs)
{
	ioctl(cpu->fd, KVM_SET_SREGS, sregs);
	ioctl(cpu->fd, KVM_SET_REGS, regs);
}

static void steps(struct tcpu *cpu)
{
	struct kvm_sregs sregs = tcpu_sregs(cpu);
	struct kvm_regs regs = tcpu_regs(cpu);
	unsigned int i, n;

	regs.rax = odd_value();
	regs.rbx = GUEST_MMIO;
	regs.rdx = odd_value();
	regs.rsi = GUEST_DATA;
	regs.rdi = one_in(2) ? GUEST_DATA : GUEST_MMIO;
	if (one_in(4))
		regs.rflags |= odd_value() & 0x3f7fd5;
	ioctl(cpu->fd, KVM_SET_REGS, &regs);
	for (i = 0; i < STEPS; i++) {
		for (n = below(4); n; n--)
			one_change(cpu);
		run(cpu);
		if (one_in(3)) {
			write_code(cpu->vm);
			settle(cpu, &regs, &sregs);
		}
	}
}

static void round_of_one_vm(void)
{
	static const unsigned int kinds[] = { 0, TVM_IRQCHIP, TVM_IRQCHIP | TVM_PIT };
	struct tvm *vm = tvm_create(kinds[below(ARRAY_SIZE(kinds))]);
	unsigned int i, n = 1 + below(VCPUS);

	for (i = 0; i < n; i++) {
		cpus[i] = tvm_vcpu(vm, i);
		if (i == 0 || one_in(2))
			tcpu_mode(cpus[i], below(MODE_COUNT));
	}
	write_code(vm);
	for (i = 0; i < n; i++)
		steps(cpus[i]);
	for (i = 0; i < n; i++) {
		struct tcpu *cpu = cpus[i];

		cpus[i] = NULL;
		tcpu_destroy(cpu);
	}
	tvm_destroy(vm);
}

static void help(void)
{
	puts("usage: ioctl_fuzz [--seed N] [--rounds N] [--verbose]\n\n"
	     "Each round makes a VM, and changes and runs its vCPUs at random. The seed of a round\n"
	     "is SEED + its number: a round that fails is repeated with --seed and --rounds 1.");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	unsigned long seed = 1, rounds = 60, i;
	struct sigaction action = { .sa_handler = on_alarm };
	int c;

	while ((c = getopt_long(argc, argv, "s:r:vh", options, NULL)) != -1) {
		if (c == 's') {
			seed = strtoul(optarg, NULL, 0);
		} else if (c == 'r') {
			rounds = strtoul(optarg, NULL, 0);
		} else if (c == 'v') {
			verbose = true;
		} else {
			help();
			return c == 'h' ? 0 : 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("TAP version 13\n1..1");
	sigaction(SIGALRM, &action, NULL);
	for (i = 0; i < rounds; i++) {
		/* Spread neighbouring seeds; zero would stay zero. */
		rng_state = (seed + i) * 0x9e3779b97f4a7c15ULL | 1;
		rnd();
		if (verbose || i % 50 == 0)
			printf("# round with seed %lu\n", seed + i);
		round_of_one_vm();
	}
	printf("# %lu runs, %lu failed entries, %lu other errors\n", runs, entry_failures,
	       other_errors);
	for (i = 0; i < ARRAY_SIZE(exits); i++)
		if (exits[i])
			printf("# exit reason %lu: %lu\n", i, exits[i]);
	puts("ok 1 ioctl_fuzz");
	return 0;
}
