// SPDX-License-Identifier: GPL-2.0-only
/*
 * Says what went wrong, with what is needed to find out why.
 *
 * Must not change the state of a vCPU or end the run; the caller does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../include/uapi/kvmlet.h"
#include "runner.h"

#define INSN_BYTES	16

static void message(const char *fmt, va_list ap, const char *more)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	/* One write, so that lines of several threads do not mix. */
	fprintf(stderr, "kvmlet: %s%s%s\n", text, *more ? ": " : "", more);
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(fmt, ap, "");
	va_end(ap);
}

void die(const char *fmt, ...)
{
	va_list ap;

	terminal_restore();
	va_start(ap, fmt);
	message(fmt, ap, "");
	va_end(ap);
	exit(1);
}

void die_errno(const char *fmt, ...)
{
	const char *why = strerror(errno);
	va_list ap;

	terminal_restore();
	va_start(ap, fmt);
	message(fmt, ap, why);
	va_end(ap);
	exit(1);
}

void ioctl_reason(int fd, char *buf, size_t len)
{
	struct kvmlet_reason reason;

	*buf = '\0';
	/* Only kvmlet's own device has this; any other answers ENOTTY. */
	if (ioctl(fd, KVMLET_GET_REASON, &reason) || !reason.error)
		return;
	reason.text[sizeof(reason.text) - 1] = '\0';
	snprintf(buf, len, "%s (0x%llx)", reason.text, reason.value);
}

void die_ioctl(int fd, const char *fmt, ...)
{
	char why[512], reason[300];
	int err = errno;
	va_list ap;

	ioctl_reason(fd, reason, sizeof(reason));
	snprintf(why, sizeof(why), "%s%s%s", strerror(err), *reason ? ": " : "", reason);
	terminal_restore();
	va_start(ap, fmt);
	message(fmt, ap, why);
	va_end(ap);
	exit(1);
}

static void print_segment(const char *name, const struct kvm_segment *s)
{
	fprintf(stderr, "  %-4s %04x base %016llx limit %08x type %x dpl %u%s%s%s%s%s\n", name,
		s->selector, s->base, s->limit, s->type, s->dpl, s->present ? " present" : "",
		s->s ? "" : " system", s->db ? " 32-bit" : "", s->l ? " 64-bit" : "",
		s->unusable ? " unusable" : "");
}

static void print_sregs(const struct kvm_sregs *s)
{
	const struct {
		const char *name;
		const struct kvm_segment *seg;
	} segs[] = {
		{ "cs", &s->cs }, { "ds", &s->ds }, { "es", &s->es }, { "fs", &s->fs },
		{ "gs", &s->gs }, { "ss", &s->ss }, { "tr", &s->tr }, { "ldt", &s->ldt },
	};

	for (size_t i = 0; i < ARRAY_SIZE(segs); i++)
		print_segment(segs[i].name, segs[i].seg);
	fprintf(stderr, "  gdt  %016llx limit %04x   idt %016llx limit %04x\n", s->gdt.base,
		s->gdt.limit, s->idt.base, s->idt.limit);
	fprintf(stderr, "  cr0 %llx  cr2 %llx  cr3 %llx  cr4 %llx  efer %llx  apic_base %llx\n",
		s->cr0, s->cr2, s->cr3, s->cr4, s->efer, s->apic_base);
}

static void print_regs(const struct kvm_regs *r)
{
	fprintf(stderr,
		"  rax %016llx  rbx %016llx  rcx %016llx  rdx %016llx\n"
		"  rsi %016llx  rdi %016llx  rsp %016llx  rbp %016llx\n"
		"  r8  %016llx  r9  %016llx  r10 %016llx  r11 %016llx\n"
		"  r12 %016llx  r13 %016llx  r14 %016llx  r15 %016llx\n"
		"  rip %016llx  rflags %08llx\n",
		r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rsp, r->rbp, r->r8, r->r9,
		r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip, r->rflags);
}

static void print_bytes(const char *what, const u8 *bytes, unsigned int n)
{
	fprintf(stderr, "  %s:", what);
	for (unsigned int i = 0; i < n; i++)
		fprintf(stderr, " %02x", bytes[i]);
	fputc('\n', stderr);
}

/* The bytes at RIP, as far as they can be reached, each page through the guest's own tables. */
static void print_code(struct vcpu *v, u64 linear)
{
	u8 bytes[INSN_BYTES];
	unsigned int n = 0;

	while (n < INSN_BYTES) {
		struct kvm_translation tr = { .linear_address = linear + n };
		const u8 *at;

		if (ioctl(v->fd, KVM_TRANSLATE, &tr) || !tr.valid)
			break;
		at = vm_ram(v->vm, tr.physical_address, 1);
		if (!at)
			break;
		bytes[n++] = *at;
	}
	if (n)
		print_bytes("bytes at rip", bytes, n);
	else
		fprintf(stderr, "  nothing to read at rip (linear %llx)\n", linear);
}

void report_vcpu(struct vcpu *v)
{
	struct kvm_sregs s;
	struct kvm_regs r;

	console_settle(&v->vm->console);
	say("state of vCPU %u, last exit %u (%s):", v->index, v->run->exit_reason,
	    exit_name(v->run->exit_reason));
	if (ioctl(v->fd, KVM_GET_REGS, &r) || ioctl(v->fd, KVM_GET_SREGS, &s)) {
		say("cannot be read: %s", strerror(errno));
		return;
	}
	print_regs(&r);
	print_sregs(&s);
	print_code(v, s.efer & 0x400 && s.cs.l ? r.rip : (u32)(s.cs.base + r.rip));
}

/* Intel SDM, "VM-Instruction Error Numbers": those that VMLAUNCH and VMRESUME can give. */
static const struct {
	u32 number;
	const char *text;
} instruction_errors[] = {
	{ 2, "VMCLEAR with invalid physical address" },
	{ 4, "VMLAUNCH with non-clear VMCS" },
	{ 5, "VMRESUME with non-launched VMCS" },
	{ 6, "VMRESUME after VMXOFF" },
	{ 7, "VM entry with invalid control fields" },
	{ 8, "VM entry with invalid host-state fields" },
	{ 25, "VM entry with invalid executive-VMCS pointer" },
	{ 26, "VM entry with events blocked by MOV SS" },
};

/* Basic exit reasons of an entry that failed after its first checks; bit 31 goes with them. */
static const struct {
	u32 number;
	const char *text;
} entry_failures[] = {
	{ 33, "invalid guest state" },
	{ 34, "loading MSRs failed" },
	{ 41, "machine check during entry" },
};

void report_fail_entry(struct vcpu *v)
{
	u64 reason = v->run->fail_entry.hardware_entry_failure_reason;
	const char *text = "no explanation known";

	console_settle(&v->vm->console);
	if (reason & 0x80000000u) {
		for (size_t i = 0; i < ARRAY_SIZE(entry_failures); i++) {
			if (entry_failures[i].number == (reason & 0xffff))
				text = entry_failures[i].text;
		}
		say("entry failed with exit reason %llu (0x%llx): %s, on host CPU %u",
		    reason & 0xffff, reason, text, v->run->fail_entry.cpu);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(instruction_errors); i++) {
		if (instruction_errors[i].number == reason)
			text = instruction_errors[i].text;
	}
	say("entry failed with VM-instruction error %llu: %s, on host CPU %u", reason, text,
	    v->run->fail_entry.cpu);
}

void report_internal_error(struct vcpu *v)
{
	static const char * const names[] = {
		[KVM_INTERNAL_ERROR_EMULATION] = "an instruction could not be emulated",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "two exceptions at once",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "an exit while an event was being delivered",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "an exit reason nobody handles",
	};
	u32 sub = v->run->internal.suberror, n = v->run->internal.ndata;
	const char *name = sub < ARRAY_SIZE(names) && names[sub] ? names[sub] : "no explanation";
	bool has_insn;

	console_settle(&v->vm->console);
	say("internal error %u: %s", sub, name);
	if (n > ARRAY_SIZE(v->run->internal.data))
		n = ARRAY_SIZE(v->run->internal.data);
	for (u32 i = 0; i < n; i++)
		fprintf(stderr, "  data[%u] = 0x%llx\n", i, v->run->internal.data[i]);
	has_insn = sub == KVM_INTERNAL_ERROR_EMULATION && n >= 3 &&
		   v->run->emulation_failure.flags &
		   KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	if (has_insn && v->run->emulation_failure.insn_size <= 15)
		print_bytes("instruction", v->run->emulation_failure.insn_bytes,
			    v->run->emulation_failure.insn_size);
}
