// SPDX-License-Identifier: GPL-2.0-only
/*
 * #UD of the guest: the other vendor's hypercall instruction is replaced by this CPU's own.
 * It must not execute anything in the CPU's place.
 */
#include "guest_state.h"

#define HYPERCALL_SIZE	3

static const u8 insn_vmcall[HYPERCALL_SIZE] = { 0x0f, 0x01, 0xc1 };
static const u8 insn_vmmcall[HYPERCALL_SIZE] = { 0x0f, 0x01, 0xd9 };

/* In one page or in two: where the instruction at RIP lies. */
struct insn_place {
	gpa_t gpa[2];
	unsigned int len[2];
};

/* 0, or 1 with an exception. */
static int find_insn(struct vcpu *vcpu, unsigned long address, u32 access, struct insn_place *p,
		     struct guest_exception *ex)
{
	if (vcpu_cpl(vcpu) == 3)
		access |= PFEC_USER;
	p->len[0] = min_t(unsigned int, HYPERCALL_SIZE, PAGE_SIZE - offset_in_page(address));
	p->len[1] = HYPERCALL_SIZE - p->len[0];
	if (guest_translate(vcpu, address, access, &p->gpa[0], ex))
		return 1;
	return p->len[1] && guest_translate(vcpu, address + p->len[0], access, &p->gpa[1], ex);
}

static bool is_vmmcall(struct vcpu *vcpu, unsigned long address)
{
	u8 bytes[HYPERCALL_SIZE];
	struct guest_exception ex;
	struct insn_place p;

	if (find_insn(vcpu, address, PFEC_FETCH, &p, &ex) ||
	    guest_read(vcpu, p.gpa[0], bytes, p.len[0]) ||
	    (p.len[1] && guest_read(vcpu, p.gpa[1], bytes + p.len[0], p.len[1])))
		return false;
	return !memcmp(bytes, insn_vmmcall, sizeof(bytes));
}

/* As a store of the guest's own: where it may not write, it gets the fault. */
static int replace_vmmcall(struct vcpu *vcpu, unsigned long address)
{
	struct guest_exception ex;
	struct insn_place p;

	if (find_insn(vcpu, address, PFEC_WRITE, &p, &ex)) {
		vcpu_queue_guest_exception(vcpu, &ex);
		return RUN_RESUME;
	}
	if (guest_write(vcpu, p.gpa[0], insn_vmcall, p.len[0]) ||
	    (p.len[1] && guest_write(vcpu, p.gpa[1], insn_vmcall + p.len[0], p.len[1])))
		vcpu_queue_exception(vcpu, VEC_UD);
	return RUN_RESUME;
}

int handle_invalid_opcode(struct vcpu *vcpu)
{
	if (unlikely(vcpu->smm) && smm_try_rsm(vcpu))
		return RUN_RESUME;
	if (vm_has_quirk(vcpu->vm, KVM_X86_QUIRK_FIX_HYPERCALL_INSN)) {
		unsigned long address = vcpu_linear_rip(vcpu);

		if (is_vmmcall(vcpu, address))
			return replace_vmmcall(vcpu, address);
	}
	vcpu_queue_exception(vcpu, VEC_UD);
	return RUN_RESUME;
}
