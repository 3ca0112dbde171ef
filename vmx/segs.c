// SPDX-License-Identifier: GPL-2.0-only
/*
 * Segment and descriptor-table registers: between the VMCS, the emulator's form and KVM's
 * structures.
 * This file must not check what a segment register may hold; the emulator and VM entry do.
 */
#include "guest_state.h"

#define SEG_FIELDS(name) {						\
	VMCS_GUEST_##name##_SELECTOR, VMCS_GUEST_##name##_BASE,		\
	VMCS_GUEST_##name##_LIMIT, VMCS_GUEST_##name##_RIGHTS }

static const struct {
	u16 selector, base, limit, rights;
} seg_fields[NR_SEGS] = {
	[SEG_ES] = SEG_FIELDS(ES),
	[SEG_CS] = SEG_FIELDS(CS),
	[SEG_SS] = SEG_FIELDS(SS),
	[SEG_DS] = SEG_FIELDS(DS),
	[SEG_FS] = SEG_FIELDS(FS),
	[SEG_GS] = SEG_FIELDS(GS),
	[SEG_TR] = SEG_FIELDS(TR),
	[SEG_LDTR] = SEG_FIELDS(LDTR),
};

/* One order of segment registers everywhere, so that an index means the same to all. */
static_assert((int)SEG_ES == (int)EM_SEG_ES && (int)SEG_GS == (int)EM_SEG_GS &&
	      (int)SEG_TR == (int)EM_SEG_TR && (int)SEG_LDTR == (int)EM_SEG_LDTR &&
	      (int)NR_SEGS == (int)EM_SEG_COUNT);
static_assert(SEG_RIGHTS_UNUSABLE == EM_AR_UNUSABLE && SEG_RIGHTS_L == EM_AR_L &&
	      SEG_RIGHTS_G == EM_AR_G);

u32 segs_read_rights(enum vcpu_seg which)
{
	return vmcs_read32(seg_fields[which].rights);
}

void segs_write_rights(enum vcpu_seg which, u32 rights)
{
	vmcs_write32(seg_fields[which].rights, rights);
}

void segs_read(struct vcpu *vcpu, struct em_segment *s, enum vcpu_seg which)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmcs_get(vmx);
	s->base = vmcs_readl(seg_fields[which].base);
	s->limit = vmcs_read32(seg_fields[which].limit);
	s->ar = vmcs_read32(seg_fields[which].rights);
	s->selector = vmcs_read16(seg_fields[which].selector);
	vmcs_put(vmx);
}

/* The one place where a segment register reaches the hardware. */
void segs_write(struct vcpu *vcpu, const struct em_segment *s, enum vcpu_seg which)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 rights = s->ar;

	/*
	 * Real mode does not care for the accessed bit, VM entry does: "Checks on Guest Segment
	 * Registers".
	 */
	if (hw.unrestricted_guest && which != SEG_LDTR)
		rights |= EM_AR_ACCESSED;
	vmx->state_changed = true;
	vmcs_get(vmx);
	vmcs_writel(seg_fields[which].base, s->base);
	vmcs_write32(seg_fields[which].limit, s->limit);
	vmcs_write32(seg_fields[which].rights, rights);
	vmcs_write16(seg_fields[which].selector, s->selector);
	vmcs_put(vmx);
}

static u32 seg_rights(const struct kvm_segment *seg)
{
	u32 rights = (seg->type & 15) | (seg->dpl & 3) << SEG_RIGHTS_DPL_SHIFT;

	rights |= seg->s & 1 ? SEG_RIGHTS_S : 0;
	rights |= seg->present & 1 ? SEG_RIGHTS_P : 0;
	rights |= seg->avl & 1 ? SEG_RIGHTS_AVL : 0;
	rights |= seg->l & 1 ? SEG_RIGHTS_L : 0;
	rights |= seg->db & 1 ? SEG_RIGHTS_DB : 0;
	rights |= seg->g & 1 ? SEG_RIGHTS_G : 0;
	/* The privilege level stays readable in an unusable SS: it is the CPL. */
	rights |= seg->unusable || !seg->present ? SEG_RIGHTS_UNUSABLE : 0;
	return rights;
}

void vcpu_get_segment(struct vcpu *vcpu, struct kvm_segment *seg, enum vcpu_seg which)
{
	struct em_segment s;

	segs_read(vcpu, &s, which);
	*seg = (struct kvm_segment) {
		.base = s.base,
		.limit = s.limit,
		.selector = s.selector,
		.type = s.ar & SEG_RIGHTS_TYPE,
		.s = !!(s.ar & SEG_RIGHTS_S),
		.dpl = (s.ar >> SEG_RIGHTS_DPL_SHIFT) & 3,
		.avl = !!(s.ar & SEG_RIGHTS_AVL),
		.l = !!(s.ar & SEG_RIGHTS_L),
		.db = !!(s.ar & SEG_RIGHTS_DB),
		.g = !!(s.ar & SEG_RIGHTS_G),
		/* Some VMMs never clear unusable: do not let present contradict it. */
		.present = !(s.ar & SEG_RIGHTS_UNUSABLE),
		.unusable = !!(s.ar & SEG_RIGHTS_UNUSABLE),
	};
}

void vcpu_set_segment(struct vcpu *vcpu, const struct kvm_segment *seg, enum vcpu_seg which)
{
	const struct em_segment s = {
		.base = seg->base,
		.limit = seg->limit,
		.ar = seg_rights(seg),
		.selector = seg->selector,
	};

	segs_write(vcpu, &s, which);
}

static void read_table(struct vcpu *vcpu, struct kvm_dtable *dt, unsigned long base,
		       unsigned long limit)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	memset(dt, 0, sizeof(*dt));
	vmcs_get(vmx);
	dt->base = vmcs_readl(base);
	dt->limit = vmcs_read32(limit);
	vmcs_put(vmx);
}

static void write_table(struct vcpu *vcpu, const struct kvm_dtable *dt, unsigned long base,
			unsigned long limit)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmcs_get(vmx);
	vmcs_writel(base, dt->base);
	vmcs_write32(limit, dt->limit);
	vmcs_put(vmx);
}

void vcpu_get_gdt(struct vcpu *vcpu, struct kvm_dtable *dt)
{
	read_table(vcpu, dt, VMCS_GUEST_GDTR_BASE, VMCS_GUEST_GDTR_LIMIT);
}

void vcpu_set_gdt(struct vcpu *vcpu, const struct kvm_dtable *dt)
{
	write_table(vcpu, dt, VMCS_GUEST_GDTR_BASE, VMCS_GUEST_GDTR_LIMIT);
}

void vcpu_get_idt(struct vcpu *vcpu, struct kvm_dtable *dt)
{
	read_table(vcpu, dt, VMCS_GUEST_IDTR_BASE, VMCS_GUEST_IDTR_LIMIT);
}

void vcpu_set_idt(struct vcpu *vcpu, const struct kvm_dtable *dt)
{
	write_table(vcpu, dt, VMCS_GUEST_IDTR_BASE, VMCS_GUEST_IDTR_LIMIT);
}

/* "Checks on Guest Segment Registers": the DPL of SS is the CPL, usable or not. */
int vcpu_cpl(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 rights;

	vmcs_get(vmx);
	rights = vmcs_read32(VMCS_GUEST_SS_RIGHTS);
	vmcs_put(vmx);
	return (rights >> SEG_RIGHTS_DPL_SHIFT) & 3;
}

bool vcpu_is_64bit_code(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 rights;

	if (!regs_long_mode(vcpu))
		return false;
	vmcs_get(vmx);
	rights = vmcs_read32(VMCS_GUEST_CS_RIGHTS);
	vmcs_put(vmx);
	return rights & SEG_RIGHTS_L;
}

unsigned long vcpu_linear_rip(struct vcpu *vcpu)
{
	struct em_segment cs;

	if (vcpu_is_64bit_code(vcpu))
		return vcpu->rip;
	segs_read(vcpu, &cs, SEG_CS);
	return (u32)(cs.base + vcpu->rip);
}

bool vcpu_hw_in_kernel(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	bool in_kernel;

	/* Only spinning vCPUs ask, and only those that exit for it. */
	if (!(vmx_caps.cpu2 & CPU2_PAUSE_LOOP) || READ_ONCE(vcpu->vm->nr_vcpus) < 2)
		return true;
	/* Where VMX may be gone, nothing is asked of it: the scheduler's lock is held. */
	if (vmx->held || READ_ONCE(vmx_stopped) || READ_ONCE(vcpu->vm->dead) ||
	    !vmcs_window_open(vmx))
		return true;
	in_kernel = !((segs_read_rights(SEG_SS) >> SEG_RIGHTS_DPL_SHIFT) & 3);
	vmcs_window_close(vmx);
	return in_kernel;
}
