// SPDX-License-Identifier: GPL-2.0-only
/*
 * System-management mode: SMI, the save area in SMRAM, RSM.
 * It must not know of memory slots: mmu/ shows a vCPU in SMM those of its own address space.
 *
 * "System Management Mode" of the SDM describes the mode; the layout of the save area is KVM's, so
 * that firmware and saved machines move between the two: AMD64's for a guest with long mode, the
 * P6's for one without. I/O restart and auto-HALT restart are not offered.
 */
#include <linux/build_bug.h>
#include <linux/string.h>
#include <asm/processor-flags.h>

#include "compat.h"
#include "guest_state.h"
#include "irq.h"
#include "vmx.h"

#define SMM_ENTRY	0x8000		/* from SMBASE */
#define SMM_SAVE_AREA	0xfe00		/* the same */
#define SMM_REVISION_32	0x00020000
#define SMM_REVISION_64	0x00020064

#define EFLAGS_DEFINED	0x003f7fd7	/* VM entry refuses others */
#define CR0_OFF_IN_SMM	(X86_CR0_PE | X86_CR0_EM | X86_CR0_TS | X86_CR0_PG)

/* ---- The save area ---- */

struct save_seg64 {
	u16 selector;
	u16 attributes;		/* bits 8 to 23 of a descriptor's upper half */
	u32 limit;
	u64 base;
};

struct save64 {
	struct save_seg64 es, cs, ss, ds, fs, gs;
	struct save_seg64 gdtr, ldtr, idtr, tr;
	u64 io_restart[4];
	u64 io_restart_dword;
	u8 io_instruction_restart, auto_halt_restart, nmi_mask;
	u8 int_shadow;		/* KVM's own */
	u32 reserved1;
	u64 efer;
	u64 svm[3];
	u32 reserved2[3];
	u32 revision;
	u32 smbase;
	u32 reserved3[5];
	u64 ssp_and_svm[6];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
	u64 gprs[NR_GPRS];	/* R15 first */
};

struct save_seg32 {
	u32 flags;		/* a descriptor's upper half */
	u32 limit;
	u32 base;
};

struct save32 {
	u32 reserved1[62];
	u32 smbase;
	u32 revision;
	u16 io_instruction_restart, auto_halt_restart;
	u32 io_restart[4];
	u32 cr4;
	u16 reserved2;
	u8 int_shadow;		/* KVM's own */
	u8 reserved3[17];
	struct save_seg32 ds, fs, gs;
	struct save_seg32 idtr, tr;
	u32 reserved4;
	struct save_seg32 gdtr, ldtr, es, cs, ss;
	u32 es_sel, cs_sel, ss_sel, ds_sel, fs_sel, gs_sel, ldtr_sel, tr_sel;
	u32 dr7, dr6;
	u32 gprs[8];		/* EAX first */
	u32 eip, eflags, cr3, cr0;
};

union save_area {
	struct save64 l;
	struct save32 p;
	u8 bytes[512];
};

/* Offsets as the manuals give them, from SMBASE. */
#define AT(type, field, offset) \
	static_assert(offsetof(struct type, field) == (offset) - SMM_SAVE_AREA)
AT(save64, gdtr, 0xfe60);
AT(save64, int_shadow, 0xfecb);
AT(save64, efer, 0xfed0);
AT(save64, revision, 0xfefc);
AT(save64, smbase, 0xff00);
AT(save64, cr4, 0xff48);
AT(save64, rip, 0xff78);
AT(save64, gprs, 0xff80);
AT(save32, smbase, 0xfef8);
AT(save32, revision, 0xfefc);
AT(save32, cr4, 0xff14);
AT(save32, int_shadow, 0xff1a);
AT(save32, ds, 0xff2c);
AT(save32, tr, 0xff5c);
AT(save32, gdtr, 0xff6c);
AT(save32, es_sel, 0xffa8);
AT(save32, dr7, 0xffc8);
AT(save32, gprs, 0xffd0);
AT(save32, cr0, 0xfffc);
static_assert(sizeof(union save_area) == 512);

/* A segment in both layouts: 32-bit selectors lie apart from the rest. */
static const struct {
	u8 seg;
	u16 in64, in32, selector32;
} save_segs[] = {
#define SEG(id, in64, in32, selector32)							\
	{ id, offsetof(struct save64, in64), offsetof(struct save32, in32),		\
	  offsetof(struct save32, selector32) }
	SEG(SEG_ES, es, es, es_sel),
	SEG(SEG_CS, cs, cs, cs_sel),
	SEG(SEG_SS, ss, ss, ss_sel),
	SEG(SEG_DS, ds, ds, ds_sel),
	SEG(SEG_FS, fs, fs, fs_sel),
	SEG(SEG_GS, gs, gs, gs_sel),
	SEG(SEG_TR, tr, tr, tr_sel),
	SEG(SEG_LDTR, ldtr, ldtr, ldtr_sel),
#undef SEG
};

static u32 descriptor_flags(const struct kvm_segment *s)
{
	return s->type << 8 | s->s << 12 | s->dpl << 13 | s->present << 15 | s->avl << 20 |
	       s->l << 21 | s->db << 22 | s->g << 23;
}

static void from_descriptor_flags(struct kvm_segment *s, u32 flags)
{
	s->type = flags >> 8 & 15;
	s->s = flags >> 12 & 1;
	s->dpl = flags >> 13 & 3;
	s->present = flags >> 15 & 1;
	s->avl = flags >> 20 & 1;
	s->l = flags >> 21 & 1;
	s->db = flags >> 22 & 1;
	s->g = flags >> 23 & 1;
	s->unusable = !s->present;
}

static void save_segments(struct vcpu *vcpu, union save_area *area, bool long_mode)
{
	struct kvm_segment s;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(save_segs); i++) {
		vcpu_get_segment(vcpu, &s, save_segs[i].seg);
		if (long_mode) {
			*(struct save_seg64 *)(area->bytes + save_segs[i].in64) =
				(struct save_seg64) { s.selector, descriptor_flags(&s) >> 8,
						      s.limit, s.base };
		} else {
			*(struct save_seg32 *)(area->bytes + save_segs[i].in32) =
				(struct save_seg32) { descriptor_flags(&s), s.limit, s.base };
			*(u32 *)(area->bytes + save_segs[i].selector32) = s.selector;
		}
	}
}

static void load_segment(struct vcpu *vcpu, const union save_area *area, unsigned int i,
			 bool long_mode)
{
	const struct save_seg64 *l = (const void *)(area->bytes + save_segs[i].in64);
	const struct save_seg32 *p = (const void *)(area->bytes + save_segs[i].in32);
	struct kvm_segment s = {};

	if (long_mode) {
		s.selector = l->selector;
		s.limit = l->limit;
		s.base = l->base;
		from_descriptor_flags(&s, (u32)l->attributes << 8);
	} else {
		s.selector = *(const u32 *)(area->bytes + save_segs[i].selector32);
		s.limit = p->limit;
		s.base = p->base;
		from_descriptor_flags(&s, p->flags);
	}
	vcpu_set_segment(vcpu, &s, save_segs[i].seg);
}

/* All but segments, in the form that both layouts are made from. */
struct saved_state {
	u64 gprs[NR_GPRS];
	u64 rip, rflags, dr6, dr7, cr0, cr3, cr4, efer, smbase, revision, int_shadow;
	u64 gdt_base, gdt_limit, idt_base, idt_limit;
};

struct save_place {
	u16 offset;
	u8 size;
};

static const struct {
	u16 state;
	struct save_place in64, in32;
} save_fields[] = {
#define FIELD(state, in64, size64, in32, size32)					\
	{ offsetof(struct saved_state, state),						\
	  { offsetof(struct save64, in64), size64 }, { offsetof(struct save32, in32), size32 } }
	FIELD(rip, rip, 8, eip, 4),
	FIELD(rflags, rflags, 8, eflags, 4),
	FIELD(dr6, dr6, 8, dr6, 4),
	FIELD(dr7, dr7, 8, dr7, 4),
	FIELD(cr0, cr0, 8, cr0, 4),
	FIELD(cr3, cr3, 8, cr3, 4),
	FIELD(cr4, cr4, 8, cr4, 4),
	FIELD(smbase, smbase, 4, smbase, 4),
	FIELD(revision, revision, 4, revision, 4),
	FIELD(int_shadow, int_shadow, 1, int_shadow, 1),
	FIELD(gdt_base, gdtr.base, 8, gdtr.base, 4),
	FIELD(gdt_limit, gdtr.limit, 4, gdtr.limit, 4),
	FIELD(idt_base, idtr.base, 8, idtr.base, 4),
	FIELD(idt_limit, idtr.limit, 4, idtr.limit, 4),
#undef FIELD
};

/* Little-endian: the lower bytes come first, what is not there is 0. */
static void pack_state(const struct saved_state *state, union save_area *area, bool long_mode)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(save_fields); i++) {
		struct save_place at = long_mode ? save_fields[i].in64 : save_fields[i].in32;

		memcpy(area->bytes + at.offset, (const u8 *)state + save_fields[i].state, at.size);
	}
	for (i = 0; i < ARRAY_SIZE(area->p.gprs) && !long_mode; i++)
		area->p.gprs[i] = state->gprs[i];
	for (i = 0; i < NR_GPRS && long_mode; i++)
		area->l.gprs[NR_GPRS - 1 - i] = state->gprs[i];
	if (long_mode)
		area->l.efer = state->efer;
}

static void unpack_state(struct saved_state *state, const union save_area *area, bool long_mode)
{
	unsigned int i;

	memset(state, 0, sizeof(*state));
	for (i = 0; i < ARRAY_SIZE(save_fields); i++) {
		struct save_place at = long_mode ? save_fields[i].in64 : save_fields[i].in32;

		memcpy((u8 *)state + save_fields[i].state, area->bytes + at.offset, at.size);
	}
	for (i = 0; i < ARRAY_SIZE(area->p.gprs) && !long_mode; i++)
		state->gprs[i] = area->p.gprs[i];
	for (i = 0; i < NR_GPRS && long_mode; i++)
		state->gprs[i] = area->l.gprs[NR_GPRS - 1 - i];
	if (long_mode)
		state->efer = area->l.efer;
}

static void save_state(struct vcpu *vcpu, struct saved_state *state)
{
	struct kvm_dtable dt;

	memcpy(state->gprs, vcpu->regs, sizeof(state->gprs));
	state->rip = vcpu->rip;
	state->rflags = vcpu->rflags;
	state->dr6 = vcpu->dr6;
	state->dr7 = vcpu->dr7;
	state->cr0 = vcpu_cr0(vcpu);
	state->cr3 = vcpu_cr3(vcpu);
	state->cr4 = vcpu_cr4(vcpu);
	state->efer = vcpu->efer;
	state->smbase = vcpu->smbase;
	state->int_shadow = vcpu_interrupt_shadow(vcpu);
	vcpu_get_gdt(vcpu, &dt);
	state->gdt_base = dt.base;
	state->gdt_limit = dt.limit;
	vcpu_get_idt(vcpu, &dt);
	state->idt_base = dt.base;
	state->idt_limit = dt.limit;
}

/* ---- SMI ---- */

void vcpu_set_smm(struct vcpu *vcpu, bool smm)
{
	if (vcpu->smm == smm)
		return;
	vcpu->smm = smm;
	if (!smm)
		vcpu->smm_inside_nmi = false;
	mmu_switch_space(vcpu);
	/* What was latched meanwhile: INIT, another SMI. */
	if (vcpu->smi_pending)
		vcpu_request(vcpu, REQ_SMI);
	vcpu_request(vcpu, REQ_EVENT);
}

void vcpu_smi(struct vcpu *vcpu)
{
	/* The vCPU itself latches it: smi_pending is its own. */
	vcpu_request(vcpu, REQ_SMI);
	vcpu_kick(vcpu);
}

/* A guest that halts without an exit is still halted: the handler is not. */
static void end_halt(struct vcpu_vmx *vmx)
{
	if (vmx->cpu & CPU_HLT)
		return;
	vmcs_get(vmx);
	vmcs_write32(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
	vmcs_put(vmx);
}

/* "SMM Handler Execution Environment": flat, 16-bit by default, nothing switched on. */
static void load_entry_state(struct vcpu *vcpu)
{
	struct kvm_segment s = { .limit = 0xffffffff, .type = 3, .s = 1, .present = 1, .g = 1 };
	struct kvm_dtable idt = {};
	unsigned int i;

	end_halt(to_vmx(vcpu));
	vcpu_set_rflags(vcpu, X86_EFLAGS_FIXED);
	vcpu_set_rip(vcpu, SMM_ENTRY);
	vcpu_set_interrupt_shadow(vcpu, 0);
	/* Paging first: LMA goes with it. */
	regs_put_cr0(vcpu, vcpu_cr0(vcpu) & ~CR0_OFF_IN_SMM);
	regs_put_cr4(vcpu, 0);
	vcpu->efer = 0;
	vmx_efer_changed(vcpu);
	/* Not documented, and what CPUs do. */
	vcpu_set_idt(vcpu, &idt);
	vcpu_set_dr(vcpu, 7, 0);
	for (i = SEG_ES; i <= SEG_GS; i++) {
		bool cs = i == SEG_CS;

		s.selector = cs ? (vcpu->smbase >> 4) & 0xffff : 0;
		s.base = cs ? vcpu->smbase : 0;
		vcpu_set_segment(vcpu, &s, i);
	}
	cpuid_update_dynamic(vcpu);
}

static void enter_smm(struct vcpu *vcpu)
{
	bool long_mode = guest_has(vcpu, GF_LM);
	struct saved_state state = {
		.revision = long_mode ? SMM_REVISION_64 : SMM_REVISION_32,
	};
	union save_area area;

	memset(&area, 0, sizeof(area));
	save_state(vcpu, &state);
	pack_state(&state, &area, long_mode);
	save_segments(vcpu, &area, long_mode);
	vcpu->smi_count++;
	vcpu_set_smm(vcpu, true);
	if (guest_write(vcpu, vcpu->smbase + SMM_SAVE_AREA, &area, sizeof(area))) {
		/* Without SMRAM there is no way back: a CPU would shut down. */
		vcpu_request(vcpu, REQ_TRIPLE_FAULT);
		return;
	}
	vcpu->smm_inside_nmi = vmx_nmi_masked(vcpu);
	vmx_set_nmi_masked(vcpu, true);
	load_entry_state(vcpu);
}

/*
 * An event whose delivery has begun belongs to the instruction boundary before the SMI. An
 * interrupt that user space has queued for a guest that takes none yet has not begun.
 */
static bool delivering(struct vcpu *vcpu)
{
	return vcpu->exception.pending || vcpu->exception.injected || vcpu->nmi_injected ||
	       (vcpu->interrupt.injected &&
		(vcpu->interrupt.soft || vcpu_interrupts_allowed(vcpu)));
}

void vmx_serve_smi(struct vcpu *vcpu)
{
	vcpu->smi_pending = true;
	if (vcpu->smm)
		return;
	if (delivering(vcpu)) {
		/* serve_window_requests() has the guest leave right after the delivery. */
		vcpu_request(vcpu, REQ_EVENT);
		return;
	}
	vcpu->smi_pending = false;
	enter_smm(vcpu);
}

/* ---- RSM ---- */

/* CR3 goes first without a PCID, which only a set CR4.PCIDE and IA-32e mode allow. */
static bool load_control_registers(struct vcpu *vcpu, u64 cr0, u64 cr3, u64 cr4)
{
	u64 pcid = cr4 & X86_CR4_PCIDE ? cr3 & X86_CR3_PCID_MASK : 0;

	if (vcpu_set_cr3(vcpu, cr3 & ~pcid) || vcpu_set_cr4(vcpu, cr4 & ~(u64)X86_CR4_PCIDE) ||
	    vcpu_set_cr0(vcpu, cr0))
		return false;
	if (cr4 & X86_CR4_PCIDE && vcpu_set_cr4(vcpu, cr4))
		return false;
	return !pcid || !vcpu_set_cr3(vcpu, cr3);
}

static bool load_state(struct vcpu *vcpu, const struct saved_state *state, bool long_mode)
{
	const struct kvm_dtable gdt = { .base = state->gdt_base, .limit = state->gdt_limit };
	const struct kvm_dtable idt = { .base = state->idt_base, .limit = state->idt_limit };

	if (vcpu_set_dr(vcpu, 6, state->dr6) || vcpu_set_dr(vcpu, 7, state->dr7) ||
	    vcpu_set_efer(vcpu, state->efer & ~(u64)EFER_LMA, false))
		return false;
	/* The layout without long mode has no R8 to R15, and the guest neither. */
	memcpy(vcpu->regs, state->gprs, (long_mode ? NR_GPRS : 8) * sizeof(vcpu->regs[0]));
	vcpu->rsp_dirty = true;
	vcpu_set_rip(vcpu, state->rip);
	vcpu_set_rflags(vcpu, state->rflags & EFLAGS_DEFINED);
	vcpu->smbase = state->smbase;
	vcpu_set_gdt(vcpu, &gdt);
	vcpu_set_idt(vcpu, &idt);
	if (!load_control_registers(vcpu, state->cr0, state->cr3, state->cr4))
		return false;
	vcpu_set_interrupt_shadow(vcpu, state->int_shadow);
	return true;
}

/*
 * Back to what all modes can be entered from: real mode, paging and its extensions off. The handler
 * may have left any. A 32-bit code segment lets CR0.PG go.
 */
static void leave_handler_state(struct vcpu *vcpu)
{
	struct kvm_segment cs = { .type = 11, .s = 1, .g = 1, .present = 1 };

	regs_put_cr4(vcpu, vcpu_cr4(vcpu) & ~(unsigned long)X86_CR4_PCIDE);
	vcpu_set_segment(vcpu, &cs, SEG_CS);
	regs_put_cr0(vcpu, vcpu_cr0(vcpu) & ~(X86_CR0_PG | X86_CR0_PE));
	regs_put_cr4(vcpu, vcpu_cr4(vcpu) & ~(unsigned long)X86_CR4_PAE);
	vcpu->efer = 0;
	vmx_efer_changed(vcpu);
}

/* All state from the save area. False for a shutdown. */
static bool leave_smm(struct vcpu *vcpu)
{
	bool long_mode = guest_has(vcpu, GF_LM), loaded;
	struct saved_state state;
	union save_area area;
	unsigned int i;

	if (guest_read(vcpu, vcpu->smbase + SMM_SAVE_AREA, &area, sizeof(area)))
		return false;
	if (!vcpu->smm_inside_nmi)
		vmx_set_nmi_masked(vcpu, false);
	vcpu_set_smm(vcpu, false);
	leave_handler_state(vcpu);
	unpack_state(&state, &area, long_mode);
	loaded = load_state(vcpu, &state, long_mode);
	/* After CR0 and EFER: the checks of a MOV to CR0 look at the CS that was. */
	for (i = 0; i < ARRAY_SIZE(save_segs); i++)
		load_segment(vcpu, &area, i, long_mode);
	cpuid_update_dynamic(vcpu);
	return loaded;
}

/* "RSM": outside of a real SMM it is undefined, in a guest as elsewhere. */
static bool at_rsm(struct vcpu *vcpu)
{
	unsigned long address = vcpu_linear_rip(vcpu);
	struct guest_exception ex;
	u8 opcode[2];
	gpa_t gpa;
	int i;

	for (i = 0; i < 2; i++) {
		if (guest_translate(vcpu, address + i, PFEC_FETCH, &gpa, &ex) ||
		    guest_read(vcpu, gpa, &opcode[i], 1))
			return false;
	}
	return opcode[0] == 0x0f && opcode[1] == 0xaa;
}

bool smm_try_rsm(struct vcpu *vcpu)
{
	if (vcpu_cpl(vcpu) || !at_rsm(vcpu))
		return false;
	if (!leave_smm(vcpu))
		vcpu_request(vcpu, REQ_TRIPLE_FAULT);
	return true;
}
