// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state ioctls on kernel copies: general and special registers, events, debug registers, run
 * state.
 * This file must not copy from or to user space; ioctl/ does.
 */
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/processor-flags.h>

#include "guest_state.h"
#include "irq.h"

/* ---- General registers ---- */

/* Places in struct kvm_regs, in the order of enum vcpu_reg. */
static const u8 regs_offset[NR_GPRS] = {
	[REG_RAX] = offsetof(struct kvm_regs, rax), [REG_RCX] = offsetof(struct kvm_regs, rcx),
	[REG_RDX] = offsetof(struct kvm_regs, rdx), [REG_RBX] = offsetof(struct kvm_regs, rbx),
	[REG_RSP] = offsetof(struct kvm_regs, rsp), [REG_RBP] = offsetof(struct kvm_regs, rbp),
	[REG_RSI] = offsetof(struct kvm_regs, rsi), [REG_RDI] = offsetof(struct kvm_regs, rdi),
	[REG_R8] = offsetof(struct kvm_regs, r8), [REG_R9] = offsetof(struct kvm_regs, r9),
	[REG_R10] = offsetof(struct kvm_regs, r10), [REG_R11] = offsetof(struct kvm_regs, r11),
	[REG_R12] = offsetof(struct kvm_regs, r12), [REG_R13] = offsetof(struct kvm_regs, r13),
	[REG_R14] = offsetof(struct kvm_regs, r14), [REG_R15] = offsetof(struct kvm_regs, r15),
};

int vcpu_state_get_regs(struct vcpu *vcpu, struct kvm_regs *regs)
{
	unsigned int i;

	for (i = 0; i < NR_GPRS; i++)
		*(u64 *)((void *)regs + regs_offset[i]) = vcpu->regs[i];
	regs->rip = vcpu->rip;
	regs->rflags = debug_get_rflags(vcpu);
	return 0;
}

int vcpu_state_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs)
{
	unsigned int i;

	for (i = 0; i < NR_GPRS; i++)
		vcpu->regs[i] = *(const u64 *)((const void *)regs + regs_offset[i]);
	vcpu->rsp_dirty = true;
	vcpu_set_rip(vcpu, regs->rip);
	debug_set_rflags(vcpu, regs->rflags);
	/* It belonged to the instruction that has just been taken away. */
	vcpu->exception.pending = false;
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}

/* ---- Special registers ---- */

/* Places of the segments in struct kvm_sregs, in the order of enum vcpu_seg. */
static const u16 sregs_offset[NR_SEGS] = {
	[SEG_ES] = offsetof(struct kvm_sregs, es), [SEG_CS] = offsetof(struct kvm_sregs, cs),
	[SEG_SS] = offsetof(struct kvm_sregs, ss), [SEG_DS] = offsetof(struct kvm_sregs, ds),
	[SEG_FS] = offsetof(struct kvm_sregs, fs), [SEG_GS] = offsetof(struct kvm_sregs, gs),
	[SEG_TR] = offsetof(struct kvm_sregs, tr), [SEG_LDTR] = offsetof(struct kvm_sregs, ldt),
};

/*
 * User space that knows nothing of payloads would lose one: it has to find CR2 and DR6 changed
 * already.
 */
static void deliver_payload_early(struct vcpu *vcpu)
{
	if (!vcpu->vm->exception_payload)
		vmx_deliver_payload(vcpu);
}

int vcpu_state_get_sregs(struct vcpu *vcpu, struct kvm_sregs *sregs)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned int i;

	memset(sregs, 0, sizeof(*sregs));
	deliver_payload_early(vcpu);
	/* Once for all fields. */
	vmcs_get(vmx);
	for (i = 0; i < NR_SEGS; i++)
		vcpu_get_segment(vcpu, (void *)sregs + sregs_offset[i], i);
	vcpu_get_idt(vcpu, &sregs->idt);
	vcpu_get_gdt(vcpu, &sregs->gdt);
	sregs->cr0 = vcpu_cr0(vcpu);
	sregs->cr2 = vcpu->cr2;
	sregs->cr3 = vcpu_cr3(vcpu);
	sregs->cr4 = vcpu_cr4(vcpu);
	vmcs_put(vmx);
	sregs->cr8 = vcpu_cr8(vcpu);
	sregs->efer = vcpu->efer;
	sregs->apic_base = vcpu->lapic ? vlapic_get_base(vcpu) : vcpu->apic_base;
	if (vcpu->interrupt.injected && !vcpu->interrupt.soft)
		sregs->interrupt_bitmap[vcpu->interrupt.vector / 64] |=
			BIT_ULL(vcpu->interrupt.vector % 64);
	return 0;
}

/* What a CPU could not be in, and a VM entry would refuse. */
static int check_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if (sregs->efer & EFER_LME && sregs->cr0 & X86_CR0_PG) {
		if (!(sregs->cr4 & X86_CR4_PAE))
			return vcpu_refuse(vcpu, -EINVAL, "IA-32e paging without CR4.PAE",
					   sregs->cr4);
		if (!(sregs->efer & EFER_LMA))
			return vcpu_refuse(vcpu, -EINVAL, "EFER.LME and CR0.PG without EFER.LMA",
					   sregs->efer);
		if (!regs_cr3_valid(vcpu, sregs->cr3))
			return vcpu_refuse(vcpu, -EINVAL, "CR3 beyond the guest's MAXPHYADDR",
					   sregs->cr3);
	} else if (sregs->efer & EFER_LMA) {
		return vcpu_refuse(vcpu, -EINVAL, "EFER.LMA without EFER.LME and CR0.PG",
				   sregs->efer);
	} else if (sregs->cs.l) {
		return vcpu_refuse(vcpu, -EINVAL, "CS.L outside IA-32e mode", sregs->efer);
	}
	if (!regs_cr4_valid(vcpu, sregs->cr4))
		return vcpu_refuse(vcpu, -EINVAL,
				   "CR4 has bits that the guest's CPUID does not offer",
				   sregs->cr4);
	if (!regs_cr0_valid(vcpu, sregs->cr0))
		return vcpu_refuse(vcpu, -EINVAL,
				   "CR0: PG without PE, NW without CD, or upper bits", sregs->cr0);
	if (!efer_valid(vcpu, sregs->efer))
		return vcpu_refuse(vcpu, -EINVAL,
				   "EFER has bits that the guest's CPUID does not offer",
				   sregs->efer);
	return 0;
}

static void set_control_registers(struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	bool changed = vcpu_cr3(vcpu) != sregs->cr3 || vcpu->efer != sregs->efer ||
		       vcpu_cr0(vcpu) != sregs->cr0 || vcpu_cr4(vcpu) != sregs->cr4;

	vcpu->cr2 = sregs->cr2;
	regs_put_cr3(vcpu, sregs->cr3);
	if (vcpu->efer != sregs->efer) {
		vcpu->efer = sregs->efer;
		vmx_efer_changed(vcpu);
	}
	regs_put_cr0(vcpu, sregs->cr0);
	regs_put_cr4(vcpu, sregs->cr4);
	if (changed)
		regs_flush(vcpu);
}

/* An old VMM that resets the machine by registers alone does not wake its first CPU. */
static void wake_if_reset(struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if (vcpu->id == vcpu->vm->boot_vcpu_id && vcpu->rip == 0xfff0 &&
	    sregs->cs.selector == 0xf000 && sregs->cs.base == 0xffff0000 &&
	    !(sregs->cr0 & X86_CR0_PE))
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
}

static void set_pending_interrupt(struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sregs->interrupt_bitmap); i++) {
		if (!sregs->interrupt_bitmap[i])
			continue;
		vcpu->interrupt.injected = true;
		vcpu->interrupt.soft = false;
		vcpu->interrupt.vector = i * 64 + __ffs64(sregs->interrupt_bitmap[i]);
		vcpu_request(vcpu, REQ_EVENT);
		return;
	}
}

/* All but the pending interrupt. @from_memory: PDPTEs are not given. */
static int set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs, bool from_memory)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	int i, r = check_sregs(vcpu, sregs);

	if (r)
		return r;
	if (vcpu_set_apic_base(vcpu, sregs->apic_base, true))
		return vcpu_refuse(vcpu, -EINVAL,
				   "IA32_APIC_BASE has reserved bits or an impossible mode",
				   sregs->apic_base);
	vmcs_get(vmx);
	vcpu_set_idt(vcpu, &sregs->idt);
	vcpu_set_gdt(vcpu, &sregs->gdt);
	set_control_registers(vcpu, sregs);
	for (i = 0; i < NR_SEGS; i++)
		vcpu_set_segment(vcpu, (const void *)sregs + sregs_offset[i], i);
	vmcs_put(vmx);
	/* Reads guest memory, so may sleep. PDPTEs that are illegal stay as they were. */
	if (from_memory && regs_pae_paging(vcpu) && !guest_load_pdptrs(vcpu, sregs->cr3))
		regs_set_pdptrs(vcpu);
	vcpu_set_cr8(vcpu, sregs->cr8);
	wake_if_reset(vcpu, sregs);
	return 0;
}

int vcpu_state_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	int r = set_sregs(vcpu, sregs, true);

	if (!r)
		set_pending_interrupt(vcpu, sregs);
	return r;
}

/* The younger form is the older one up to the pending interrupt, which it has not. */
static_assert(offsetof(struct kvm_sregs, interrupt_bitmap) == offsetof(struct kvm_sregs2, flags));

int vcpu_state_get_sregs2(struct vcpu *vcpu, struct kvm_sregs2 *sregs)
{
	struct kvm_sregs old;

	vcpu_state_get_sregs(vcpu, &old);
	memset(sregs, 0, sizeof(*sregs));
	memcpy(sregs, &old, offsetof(struct kvm_sregs, interrupt_bitmap));
	if (regs_pae_paging(vcpu)) {
		memcpy(sregs->pdptrs, vcpu->pdptrs, sizeof(sregs->pdptrs));
		sregs->flags |= KVM_SREGS2_FLAGS_PDPTRS_VALID;
	}
	return 0;
}

int vcpu_state_set_sregs2(struct vcpu *vcpu, const struct kvm_sregs2 *sregs)
{
	bool given = sregs->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	bool pae = sregs->cr0 & X86_CR0_PG && sregs->cr4 & X86_CR4_PAE && !(sregs->efer & EFER_LMA);
	struct kvm_sregs old = {};
	int r;

	if (sregs->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return vcpu_refuse(vcpu, -EINVAL, "unknown flags of sregs2", sregs->flags);
	if (given && !pae)
		return vcpu_refuse(vcpu, -EINVAL, "PDPTEs without PAE paging", sregs->cr4);
	memcpy(&old, sregs, offsetof(struct kvm_sregs, interrupt_bitmap));
	r = set_sregs(vcpu, &old, !given);
	if (r || !given)
		return r;
	memcpy(vcpu->pdptrs, sregs->pdptrs, sizeof(vcpu->pdptrs));
	regs_set_pdptrs(vcpu);
	vcpu_request(vcpu, REQ_TLB_FLUSH);
	return 0;
}

/* ---- Debug registers ---- */

int vcpu_state_get_debugregs(struct vcpu *vcpu, struct kvm_debugregs *dbg)
{
	unsigned int i;

	memset(dbg, 0, sizeof(*dbg));
	deliver_payload_early(vcpu);
	for (i = 0; i < 4; i++)
		dbg->db[i] = vcpu->db[i];
	dbg->dr6 = vcpu->dr6;
	dbg->dr7 = vcpu->dr7;
	return 0;
}

int vcpu_state_set_debugregs(struct vcpu *vcpu, const struct kvm_debugregs *dbg)
{
	unsigned int i;

	if (dbg->flags)
		return vcpu_refuse(vcpu, -EINVAL, "debugregs: unknown flags", dbg->flags);
	if (dbg->dr6 >> 32)
		return vcpu_refuse(vcpu, -EINVAL, "DR6 has upper bits", dbg->dr6);
	if (dbg->dr7 >> 32)
		return vcpu_refuse(vcpu, -EINVAL, "DR7 has upper bits", dbg->dr7);
	for (i = 0; i < 4; i++)
		vcpu->db[i] = dbg->db[i];
	vcpu->dr6 = dbg->dr6;
	regs_put_dr7(vcpu, dbg->dr7);
	return 0;
}

/* ---- Events ---- */

static bool is_soft(u8 vector)
{
	return vector == VEC_BP || vector == VEC_OF;
}

int vcpu_state_get_events(struct vcpu *vcpu, struct kvm_vcpu_events *ev)
{
	const struct vcpu_exception *e = &vcpu->exception;

	memset(ev, 0, sizeof(*ev));
	deliver_payload_early(vcpu);
	/*
	 * Pending and injected are one to user space, as long as it does not ask for payloads. INT3
	 * and INTO are not reported: their length would be missing, and they come again by
	 * themselves.
	 */
	if (!is_soft(e->vector)) {
		ev->exception.injected = e->injected ||
					 (e->pending && !vcpu->vm->exception_payload);
		ev->exception.pending = e->pending;
	}
	ev->exception_has_payload = e->has_payload;
	ev->exception_payload = e->payload;
	ev->exception.nr = e->vector;
	ev->exception.has_error_code = e->has_error;
	ev->exception.error_code = e->error;
	ev->interrupt.injected = vcpu->interrupt.injected && !vcpu->interrupt.soft;
	ev->interrupt.nr = vcpu->interrupt.vector;
	ev->interrupt.shadow = vcpu_interrupt_shadow(vcpu);
	ev->nmi.injected = vcpu->nmi_injected;
	ev->nmi.pending = atomic_read(&vcpu->nmi_pending);
	ev->nmi.masked = vmx_nmi_masked(vcpu);
	ev->smi.smm = vcpu->smm;
	/* One that has arrived stays asked for. */
	vcpu->smi_pending |= vcpu_test_request(vcpu, REQ_SMI);
	ev->smi.pending = vcpu->smi_pending;
	ev->smi.smm_inside_nmi = vcpu->smm_inside_nmi;
	ev->smi.latched_init = vcpu->lapic && vlapic_init_latched(vcpu);
	ev->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
		    KVM_VCPUEVENT_VALID_SMM;
	if (vcpu->vm->exception_payload)
		ev->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (vcpu->vm->triple_fault_event) {
		ev->triple_fault.pending = vcpu_test_request(vcpu, REQ_TRIPLE_FAULT);
		ev->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	}
	return 0;
}

#define EVENT_FLAGS	(KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |	\
			 KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM)

/* What the VM's capabilities let user space say. */
static u32 event_flags(const struct vcpu *vcpu)
{
	return EVENT_FLAGS |
	       (vcpu->vm->exception_payload ? KVM_VCPUEVENT_VALID_PAYLOAD : 0) |
	       (vcpu->vm->triple_fault_event ? KVM_VCPUEVENT_VALID_TRIPLE_FAULT : 0);
}

static int check_events(struct vcpu *vcpu, const struct kvm_vcpu_events *ev)
{
	bool pending = ev->flags & KVM_VCPUEVENT_VALID_PAYLOAD && ev->exception.pending;

	if (ev->flags & ~event_flags(vcpu))
		return vcpu_refuse(vcpu, -EINVAL,
				   "events: unknown flags, or of a capability not enabled",
				   ev->flags);
	if ((ev->exception.injected || pending) &&
	    (ev->exception.nr > 31 || ev->exception.nr == VEC_NMI))
		return vcpu_refuse(vcpu, -EINVAL, "events: not an exception vector",
				   ev->exception.nr);
	if (!(ev->flags & KVM_VCPUEVENT_VALID_SMM) || !(ev->smi.smm || ev->smi.pending))
		return 0;
	if (!hw_has_smm())
		return vcpu_refuse(vcpu, -EINVAL, "SMM needs EPT and unrestricted guest",
				   ev->smi.smm);
	/* INIT is latched in SMM: the state behind it cannot have been reached. */
	if (vcpu->mp_state == KVM_MP_STATE_INIT_RECEIVED)
		return vcpu_refuse(vcpu, -EINVAL, "events: SMM of a vCPU that waits for a SIPI",
				   ev->smi.smm);
	return 0;
}

static void set_smi_events(struct vcpu *vcpu, const struct kvm_vcpu_events *ev)
{
	vcpu_set_smm(vcpu, ev->smi.smm);
	vcpu->smm_inside_nmi = ev->smi.smm && ev->smi.smm_inside_nmi;
	vcpu->smi_pending = ev->smi.pending;
	if (ev->smi.pending)
		vcpu_request(vcpu, REQ_SMI);
	else
		vcpu_take_request(vcpu, REQ_SMI);
	if (!vcpu->lapic)
		return;
	if (ev->smi.latched_init)
		vlapic_restore_sipi(vcpu, -1, VLAPIC_EV_INIT);
	else
		vlapic_forget_init(vcpu);
}

/* An exception that is pending is not injected; without payloads it cannot be pending. */
static void set_exception_event(struct vcpu *vcpu, const struct kvm_vcpu_events *ev)
{
	bool pending = ev->flags & KVM_VCPUEVENT_VALID_PAYLOAD && ev->exception.pending;

	vcpu->exception = (struct vcpu_exception) {
		.pending = pending,
		.injected = ev->exception.injected && !pending,
		.vector = ev->exception.nr,
		.has_error = ev->exception.has_error_code,
		.error = ev->exception.error_code,
		.has_payload = pending && ev->exception_has_payload,
		.payload = ev->exception_payload,
	};
}

int vcpu_state_set_events(struct vcpu *vcpu, const struct kvm_vcpu_events *ev)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	int r = check_events(vcpu, ev);

	if (r)
		return r;
	set_exception_event(vcpu, ev);
	vcpu->interrupt.injected = ev->interrupt.injected;
	vcpu->interrupt.vector = ev->interrupt.nr;
	vcpu->interrupt.soft = ev->interrupt.soft;
	/* How the interrupted event came about is not known any more. */
	vmx->event_type = INTR_TYPE_HARD_EXC;
	vmx->event_len = 0;
	if (ev->flags & KVM_VCPUEVENT_VALID_SHADOW)
		vcpu_set_interrupt_shadow(vcpu, ev->interrupt.shadow);
	vcpu->nmi_injected = ev->nmi.injected;
	if (ev->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		atomic_set(&vcpu->nmi_pending, min_t(int, ev->nmi.pending, 2));
	vmx_set_nmi_masked(vcpu, ev->nmi.masked);
	if (ev->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR)
		vlapic_restore_sipi(vcpu, ev->sipi_vector & 0xff, 0);
	if (ev->flags & KVM_VCPUEVENT_VALID_SMM)
		set_smi_events(vcpu, ev);
	if (ev->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) {
		if (ev->triple_fault.pending)
			vcpu_request(vcpu, REQ_TRIPLE_FAULT);
		else
			vcpu_take_request(vcpu, REQ_TRIPLE_FAULT);
	}
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}

/* ---- Run state ---- */

int vcpu_state_get_mp(struct vcpu *vcpu, struct kvm_mp_state *mp)
{
	mp->mp_state = vcpu->mp_state;
	/* It was kicked out of its HLT and has not noticed yet. */
	if (mp->mp_state == KVM_MP_STATE_HALTED && READ_ONCE(vcpu->pv.unhalted))
		mp->mp_state = KVM_MP_STATE_RUNNABLE;
	return 0;
}

int vcpu_state_set_mp(struct vcpu *vcpu, const struct kvm_mp_state *mp)
{
	switch (mp->mp_state) {
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_HALTED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_SIPI_RECEIVED:
		if (!vcpu->lapic)
			return vcpu_refuse(vcpu, -EINVAL,
					   "mp_state other than runnable needs the in-kernel APIC",
					   mp->mp_state);
		break;
	case KVM_MP_STATE_RUNNABLE:
		break;
	default:
		return vcpu_refuse(vcpu, -EINVAL, "unknown mp_state", mp->mp_state);
	}
	if ((vcpu->smm || vcpu->smi_pending) &&
	    (mp->mp_state == KVM_MP_STATE_INIT_RECEIVED ||
	     mp->mp_state == KVM_MP_STATE_SIPI_RECEIVED))
		return vcpu_refuse(vcpu, -EINVAL, "in SMM, INIT and SIPI are KVM_VCPUEVENTs",
				   mp->mp_state);
	/*
	 * A SIPI that has arrived but was not taken yet: it waits in the APIC, the CPU waits for
	 * it.
	 */
	if (mp->mp_state == KVM_MP_STATE_SIPI_RECEIVED) {
		vcpu->mp_state = KVM_MP_STATE_INIT_RECEIVED;
		vlapic_restore_sipi(vcpu, -1, VLAPIC_EV_SIPI);
	} else {
		vcpu->mp_state = mp->mp_state;
	}
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}
