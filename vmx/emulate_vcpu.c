// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the emulator for a vCPU: its state in, one instruction or task switch, its state and what
 * follows from it out.
 * This file must not execute anything itself, nor reach memory or ports; emulate_mem.c and pio.c
 * do.
 */
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>

#include "guest_state.h"
#include "trace.h"

static enum em_mode current_mode(const struct vcpu *vcpu, u32 cs_rights)
{
	if (!(vcpu->cr0 & X86_CR0_PE))
		return EM_MODE_REAL;
	if (vcpu->rflags & X86_EFLAGS_VM)
		return EM_MODE_VM86;
	if (vcpu->efer & EFER_LMA && cs_rights & SEG_RIGHTS_L)
		return EM_MODE_PROT64;
	return cs_rights & SEG_RIGHTS_DB ? EM_MODE_PROT32 : EM_MODE_PROT16;
}

static u8 current_cpl(u8 mode, u32 ss_rights)
{
	if (mode == EM_MODE_REAL)
		return 0;
	return mode == EM_MODE_VM86 ? 3 : (ss_rights >> SEG_RIGHTS_DPL_SHIFT) & 3;
}

void emulate_read_mode(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 cs, ss;

	vmcs_get(vmx);
	regs_cache_crs(vcpu);
	cs = segs_read_rights(SEG_CS);
	ss = segs_read_rights(SEG_SS);
	vmcs_put(vmx);
	vcpu->em.mode = current_mode(vcpu, cs);
	vcpu->em.cpl = current_cpl(vcpu->em.mode, ss);
}

static void begin(struct vcpu *vcpu)
{
	struct em_ctx *ctx = &vcpu->em;

	emulate_read_mode(vcpu);
	ctx->ops = &emulate_ops;
	ctx->gpr = vcpu->regs;
	ctx->rip = vcpu->rip;
	/*
	 * What is executed here does not meet breakpoints, so RF has done its work; IRET may set it
	 * anew.
	 */
	ctx->rflags = vcpu->rflags & ~X86_EFLAGS_RF;
	ctx->fetched = 0;
	vcpu->mmio.rip = vcpu->rip;
	vcpu->mmio.rsp = vcpu->regs[REG_RSP];
	vcpu->mmio.nr_frags = 0;
	vcpu->mmio.cur_frag = 0;
	vcpu->mmio.frozen = false;
	vcpu->mmio.resume = false;
	vcpu->pio.needed = false;
	vcpu->pio.ready = 0;
	vcpu->pio.taken = 0;
	vcpu->mmio.x87_fault = false;
	emulate_log_clear(vcpu);
}

/* ---- What became of it ---- */

static void write_back(struct vcpu *vcpu, bool done)
{
	struct em_ctx *ctx = &vcpu->em;
	unsigned long rflags = ctx->rflags;

	if (!done)
		rflags |= vcpu->rflags & X86_EFLAGS_RF;
	if (vcpu->rip != ctx->rip)
		vcpu_set_rip(vcpu, ctx->rip);
	if (vcpu->rflags != rflags)
		vcpu_set_rflags(vcpu, rflags);
	if (vcpu->regs[REG_RSP] != vcpu->mmio.rsp)
		vcpu->rsp_dirty = true;
	vcpu->mmio.rip = vcpu->rip;
}

/* VM entry delivers INT n itself, from the instruction and over its length. */
static void queue_soft_interrupt(struct vcpu *vcpu)
{
	struct em_ctx *ctx = &vcpu->em;

	vcpu_set_rip(vcpu, ctx->rip - ctx->insn_len);
	to_vmx(vcpu)->event_len = ctx->insn_len;
	vcpu->interrupt.injected = true;
	vcpu->interrupt.soft = true;
	vcpu->interrupt.vector = ctx->ex.vector;
	vcpu_request(vcpu, REQ_EVENT);
}

static void queue_exception(struct vcpu *vcpu)
{
	const struct em_exception *e = &vcpu->em.ex;
	const struct guest_exception ex = {
		.vector = e->vector,
		.has_error = e->has_error,
		.error = e->error_code,
		.cr2 = e->address,
	};

	if (e->soft)
		queue_soft_interrupt(vcpu);
	else
		vcpu_queue_guest_exception(vcpu, &ex);
}

static void finish_done(struct vcpu *vcpu)
{
	static const u8 shadows[] = {
		[EM_SHADOW_NONE] = 0,
		[EM_SHADOW_STI] = KVM_X86_SHADOW_INT_STI,
		[EM_SHADOW_MOV_SS] = KVM_X86_SHADOW_INT_MOV_SS,
	};
	bool trap = vcpu->rflags & X86_EFLAGS_TF;

	write_back(vcpu, true);
	vcpu_set_interrupt_shadow(vcpu, shadows[vcpu->em.shadow]);
	if (unlikely(trap))
		debug_stepped(vcpu);
}

/* HLT outside of a guest: as its exit does. */
static int finish_halt(struct vcpu *vcpu)
{
	finish_done(vcpu);
	if (vcpu->lapic) {
		vcpu->mp_state = KVM_MP_STATE_HALTED;
		return debug_step_exit(vcpu);
	}
	vcpu->run->exit_reason = KVM_EXIT_HLT;
	return RUN_TO_USER;
}

/* KVM_EXIT_INTERNAL_ERROR with the instruction's bytes: RUN_TO_USER. */
static int internal_error_emulation(struct vcpu *vcpu)
{
	const struct vmx_exit_info *info = &to_vmx(vcpu)->info;
	const struct em_ctx *ctx = &vcpu->em;
	struct kvm_run *run = vcpu->run;
	u8 size = ctx->rip == vcpu->rip ? min_t(u8, ctx->fetched, EM_INSN_MAX) : 0;
	unsigned int n;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	memset(run->internal.data, 0, sizeof(run->internal.data));
	run->emulation_failure.flags = 0;
	n = 1;
	if (size) {
		run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		run->emulation_failure.insn_size = size;
		memset(run->emulation_failure.insn_bytes, 0x90,
		       sizeof(run->emulation_failure.insn_bytes));
		memcpy(run->emulation_failure.insn_bytes, ctx->insn, size);
		n = 3;
	}
	/* For people: what made us emulate. */
	run->internal.data[n++] = info->reason;
	run->internal.data[n++] = info->qual;
	run->internal.data[n++] = info->gpa;
	run->internal.data[n++] = info->intr_info;
	run->internal.data[n++] = vcpu->rip;
	run->emulation_failure.ndata = n;
	return RUN_TO_USER;
}

/*
 * A guest's user programs must not be able to end their machine, unless user space wants to know.
 * Should it go on from a kernel's instruction as if nothing had happened, #UD waits for the guest.
 */
static int finish_failed(struct vcpu *vcpu)
{
	if (vcpu->vm->exit_on_emulation_failure)
		return internal_error_emulation(vcpu);
	vcpu_queue_exception(vcpu, VEC_UD);
	if (vcpu->em.cpl && vcpu->em.mode != EM_MODE_REAL)
		return RUN_RESUME;
	return internal_error_emulation(vcpu);
}

static int tell_user(struct vcpu *vcpu)
{
	if (vcpu->mmio.nr_frags)
		return emulate_exit_mmio(vcpu);
	if (vcpu->pio.needed)
		return emulate_exit_pio(vcpu);
	if (unlikely(emulate_msr_asks(vcpu)))
		return emulate_exit_msr(vcpu);
	return RUN_RESUME;
}

static int finish(struct vcpu *vcpu, enum em_result result)
{
	vcpu->mmio.resume = false;
	switch (result) {
	case EM_DONE:
		if (unlikely(vcpu->mmio.x87_fault))
			vcpu_queue_exception(vcpu, VEC_MF);
		else
			finish_done(vcpu);
		break;
	case EM_RESTART:
		write_back(vcpu, false);
		if (unlikely(vcpu->rflags & X86_EFLAGS_TF))
			debug_stepped(vcpu);
		break;
	case EM_EXCEPTION:
		write_back(vcpu, false);
		queue_exception(vcpu);
		break;
	case EM_IO_PENDING:
		write_back(vcpu, false);
		vcpu->mmio.resume = true;
		break;
	case EM_HALT:
		return finish_halt(vcpu);
	case EM_FAILED:
	case EM_UNHANDLED:
		vcpu->mmio.nr_frags = 0;
		vcpu->pio.needed = false;
		return finish_failed(vcpu);
	}
	return tell_user(vcpu);
}

/* Has the guest's own walk, which gave the address, been one for a write? */
static bool exit_was_write(const struct vmx_exit_info *info)
{
	if (info->reason == EXIT_EXCEPTION_NMI)
		return info->intr_error & PFEC_WRITE;
	return info->reason == EXIT_EPT_VIOLATION && info->qual & EPT_QUAL_WRITE;
}

int vcpu_emulate(struct vcpu *vcpu, gpa_t gpa, gva_t gla)
{
	const struct vmx_exit_info *info = &to_vmx(vcpu)->info;
	enum em_result result;

	begin(vcpu);
	vcpu->mmio.gpa = gpa;
	vcpu->mmio.gla = gla;
	vcpu->mmio.gpa_valid = gpa != INVALID_GPA;
	vcpu->mmio.gpa_writable = exit_was_write(info);
	result = em_decode(&vcpu->em);
	if (likely(result == EM_DONE))
		result = em_execute(&vcpu->em);
	trace_kvmlet_emulate(vcpu->id, vcpu->rip, vcpu->em.insn, vcpu->em.fetched, result);
	return finish(vcpu, result);
}

bool emulate_backdoor(struct vcpu *vcpu, int *ret)
{
	enum em_result result;

	begin(vcpu);
	vcpu->mmio.gpa_valid = false;
	result = em_decode(&vcpu->em);
	if (result != EM_DONE || !em_is_backdoor(&vcpu->em)) {
		vcpu->mmio.nr_frags = 0;
		return false;
	}
	result = em_execute(&vcpu->em);
	trace_kvmlet_emulate(vcpu->id, vcpu->rip, vcpu->em.insn, vcpu->em.fetched, result);
	*ret = finish(vcpu, result);
	return true;
}

enum real_event emulate_real_event(struct vcpu *vcpu, u8 vector, u32 len)
{
	struct em_ctx *ctx = &vcpu->em;
	enum em_result result;

	begin(vcpu);
	vcpu->mmio.gpa_valid = false;
	ctx->rip += len;
	result = em_real_interrupt(ctx, vector);
	switch (result) {
	case EM_DONE:
		write_back(vcpu, true);
		vcpu_set_interrupt_shadow(vcpu, 0);
		return REAL_EVENT_DONE;
	case EM_EXCEPTION:
		/* Of the delivery: the event stays, and the two make a double fault. */
		queue_exception(vcpu);
		return REAL_EVENT_FAULT;
	default:
		vcpu->mmio.nr_frags = 0;
		internal_error_emulation(vcpu);
		return REAL_EVENT_FAILED;
	}
}

/* User space has done its part; should it have moved RIP, the guest goes on from there. */
int emulate_resume(struct vcpu *vcpu)
{
	if (vcpu->rip != vcpu->mmio.rip)
		return RUN_RESUME;
	/* The guest's tables may have changed while user space ran. */
	vcpu->mmio.gpa_valid = false;
	emulate_log_rewind(vcpu);
	vcpu->mmio.rsp = vcpu->regs[REG_RSP];
	return finish(vcpu, em_execute(&vcpu->em));
}

int vcpu_task_switch(struct vcpu *vcpu, u16 selector, int idt_index, int reason, bool has_error,
		     u32 error)
{
	enum em_result result;

	begin(vcpu);
	vcpu->mmio.gpa_valid = false;
	result = em_task_switch(&vcpu->em, selector, idt_index, reason, has_error, error);
	if (result != EM_DONE && result != EM_EXCEPTION) {
		vcpu->mmio.nr_frags = 0;
		return internal_error_emulation(vcpu);
	}
	write_back(vcpu, true);
	/* Of an STI before it: the new task may have IF clear. */
	vcpu_set_interrupt_shadow(vcpu, 0);
	if (result == EM_EXCEPTION)
		queue_exception(vcpu);
	return tell_user(vcpu);
}
