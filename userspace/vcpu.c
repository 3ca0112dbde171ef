// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtual CPUs: their state at power-on, their threads, the loop around KVM_RUN.
 *
 * Must not decide what an exit means; exit.c does.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "runner.h"

#define CR0_PE		0x00000001ull
#define CR0_MP		0x00000002ull
#define CR0_ET		0x00000010ull
#define CR0_NE		0x00000020ull
#define CR0_PG		0x80000000ull
#define CR4_PAE		0x00000020ull
#define EFER_LME	0x00000100ull
#define EFER_LMA	0x00000400ull
#define RFLAGS_FIXED	0x2ull

#define PTE_PRESENT_WRITE	0x03ull
#define PTE_HUGE		0x80ull
#define MSR_MISC_ENABLE		0x1a0
#define MISC_FAST_STRINGS	0x1ull
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MTRR_ENABLE_WB		0x806ull

/* What the boot protocols of Linux and multiboot ask for: code at 0x10, data at 0x18. */
#define SEL_CODE	0x10
#define SEL_DATA	0x18
#define TYPE_CODE	0xb	/* execute, read, accessed */
#define TYPE_DATA	0x3	/* read, write, accessed */

#define KICK_SIGNAL	SIGUSR1

static struct kvm_segment flat_segment(u16 selector, u8 type, bool long_mode)
{
	return (struct kvm_segment) {
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = long_mode,
		.db = !long_mode,
	};
}

/* The descriptor that loading @seg from memory would need. */
static u64 descriptor(const struct kvm_segment *seg)
{
	return 0x000f00000000ffffull | (u64)seg->type << 40 | (u64)seg->s << 44 |
	       (u64)seg->present << 47 | (u64)seg->l << 53 | (u64)seg->db << 54 |
	       (u64)seg->g << 55;
}

static void flat_segments(struct vm *vm, struct kvm_sregs *s, bool long_mode)
{
	struct kvm_segment code = flat_segment(SEL_CODE, TYPE_CODE, long_mode);
	struct kvm_segment data = flat_segment(SEL_DATA, TYPE_DATA, false);
	u64 gdt[4] = { 0, 0, descriptor(&code), descriptor(&data) };

	memcpy(vm_ram(vm, BOOT_GDT, sizeof(gdt)), gdt, sizeof(gdt));
	s->gdt.base = BOOT_GDT;
	s->gdt.limit = sizeof(gdt) - 1;
	/* No interrupt table: a fault before the guest has its own ends as a triple fault. */
	s->idt.base = 0;
	s->idt.limit = 0;
	s->cs = code;
	s->ds = data;
	s->es = data;
	s->fs = data;
	s->gs = data;
	s->ss = data;
}

/* Map the first 4 GiB to themselves with 2 MiB pages, which every 64-bit CPU has. */
static void identity_map(struct vm *vm)
{
	u64 *table = vm_ram(vm, BOOT_PML4, 6 * 4096);
	u64 *pdpt = table + 512, *pd = table + 1024;

	memset(table, 0, 2 * 4096);
	table[0] = (BOOT_PML4 + 4096) | PTE_PRESENT_WRITE;
	for (u64 i = 0; i < 4; i++)
		pdpt[i] = (BOOT_PML4 + (2 + i) * 4096) | PTE_PRESENT_WRITE;
	for (u64 i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | PTE_PRESENT_WRITE | PTE_HUGE;
}

static void real_mode(struct kvm_sregs *s, u64 entry)
{
	/* Below 64 KiB a boot sector expects CS to be 0; above, IP holds what CS cannot. */
	u16 selector = entry < 0x10000 ? 0 : (u16)(entry >> 4 & 0xf000);
	struct kvm_segment *data[] = { &s->ds, &s->es, &s->fs, &s->gs, &s->ss };

	s->cs.selector = selector;
	s->cs.base = (u64)selector << 4;
	for (size_t i = 0; i < ARRAY_SIZE(data); i++) {
		data[i]->selector = 0;
		data[i]->base = 0;
	}
}

static void set_boot_sregs(struct vcpu *v, const struct boot_state *boot)
{
	struct kvm_sregs s;

	if (ioctl(v->fd, KVM_GET_SREGS, &s))
		die_ioctl(v->fd, "KVM_GET_SREGS");
	switch (boot->mode) {
	case BOOT_REAL:
		real_mode(&s, boot->entry);
		break;
	case BOOT_PROT32:
		flat_segments(v->vm, &s, false);
		s.cr0 = CR0_PE | CR0_ET | CR0_NE;
		break;
	case BOOT_LONG64:
		flat_segments(v->vm, &s, true);
		identity_map(v->vm);
		s.cr3 = BOOT_PML4;
		s.cr4 |= CR4_PAE;
		s.efer |= EFER_LME | EFER_LMA;
		s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_PG;
		break;
	}
	if (ioctl(v->fd, KVM_SET_SREGS, &s))
		die_ioctl(v->fd, "KVM_SET_SREGS");
}

static void set_boot_regs(struct vcpu *v, const struct boot_state *boot)
{
	struct kvm_regs r = {
		.rip = boot->entry,
		.rflags = RFLAGS_FIXED,
		.rax = boot->rax,
		.rbx = boot->rbx,
		.rsi = boot->rsi,
		.rsp = BOOT_STACK,
	};

	if (boot->mode == BOOT_REAL) {
		r.rip = boot->entry & 0xffff;
		/* As under a boot sector: the stack grows down from the load address. */
		r.rsp = boot->entry < 0x10000 ? boot->entry : BOOT_STACK;
	}
	if (ioctl(v->fd, KVM_SET_REGS, &r))
		die_ioctl(v->fd, "KVM_SET_REGS");
}

/*
 * What firmware leaves in MSRs: fast strings on, and all memory write-back, without which Linux
 * does not trust PAT. One at a time, so that a device may lack either.
 */
static void set_boot_msrs(struct vcpu *v)
{
	static const struct kvm_msr_entry msrs[] = {
		{ .index = MSR_MISC_ENABLE, .data = MISC_FAST_STRINGS },
		{ .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLE_WB },
	};
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = { .head.nmsrs = 1 };

	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
		m.entry = msrs[i];
		if (ioctl(v->fd, KVM_SET_MSRS, &m) < 0)
			die_ioctl(v->fd, "KVM_SET_MSRS 0x%x", msrs[i].index);
	}
}

void vcpu_create(struct vm *vm, unsigned int index)
{
	struct vcpu *v = &vm->vcpu[index];

	v->vm = vm;
	v->index = index;
	v->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (v->fd < 0)
		die_ioctl(vm->fd, "cannot create vCPU %u", index);
	v->run = mmap(NULL, (size_t)vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		die_errno("cannot map the state of vCPU %u", index);
	cpuid_setup(v);
	set_boot_msrs(v);
	/* The others wait for the boot processor's startup message, in the in-kernel local APIC. */
	if (index)
		return;
	set_boot_sregs(v, &vm->boot);
	set_boot_regs(v, &vm->boot);
}

static void run_failed(struct vcpu *v, int err)
{
	char reason[300];

	ioctl_reason(v->fd, reason, sizeof(reason));
	report_vcpu(v);
	vm_fatal(v->vm, "KVM_RUN on vCPU %u: %s%s%s", v->index, strerror(err), *reason ? ": " : "",
		 reason);
}

/* One entry into the guest. Returns false when there is no exit to handle. */
static bool enter(struct vcpu *v)
{
	if (ioctl(v->fd, KVM_RUN, 0) >= 0)
		return true;
	if (errno != EINTR && errno != EAGAIN)
		run_failed(v, errno);
	return false;
}

static void run_loop(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	while (!vm_stopped(v->vm)) {
		if (!enter(v))
			continue;
		v->exits[run->exit_reason % NR_EXIT_REASONS]++;
		exit_handle(v);
	}
}

static void run_loop_stats(struct vcpu *v)
{
	u64 before = stats_tsc(), after;
	struct kvm_run *run = v->run;
	bool have_exit;

	while (!vm_stopped(v->vm)) {
		have_exit = enter(v);
		after = stats_tsc();
		v->ticks_in += after - before;
		if (have_exit) {
			v->exits[run->exit_reason % NR_EXIT_REASONS]++;
			exit_handle(v);
		}
		before = stats_tsc();
		v->ticks_out += before - after;
	}
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;

	if (v->vm->opt->stats)
		run_loop_stats(v);
	else
		run_loop(v);
	return NULL;
}

/* The signal only has to interrupt KVM_RUN. */
static void on_kick(int sig)
{
	(void)sig;
}

void vcpu_start_all(struct vm *vm)
{
	struct sigaction sa = { .sa_handler = on_kick };

	sigaction(KICK_SIGNAL, &sa, NULL);
	for (unsigned int i = 0; i < vm->nr_vcpus; i++) {
		if (pthread_create(&vm->vcpu[i].thread, NULL, vcpu_thread, &vm->vcpu[i]))
			die("cannot create a thread for vCPU %u", i);
		vm->vcpu[i].started = true;
	}
}

void vcpu_stop_all(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_vcpus; i++) {
		struct vcpu *v = &vm->vcpu[i];

		if (!v->started)
			continue;
		/* For the moment between the look at vm->stop and KVM_RUN; the signal, the rest. */
		__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		pthread_kill(v->thread, KICK_SIGNAL);
		pthread_join(v->thread, NULL);
		v->started = false;
	}
}
