// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC's registers: as memory, as x2APIC MSRs, and as user space saves and restores them.
 * This file must not deliver anything itself.
 */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "internal.h"

#define X2APIC_MSR_BASE		0x800
#define LAST_REG		(APIC_SELF_IPI >> 4)

#define SVR_WRITABLE		0x3ff	/* the version offers no suppression of EOI broadcasts */
#define ICR_BUSY		BIT(12)
#define X2APIC_ICR_RESERVED	(GENMASK_ULL(31, 20) | GENMASK_ULL(17, 16) | BIT_ULL(13))

#define LVT_COMMON	(APIC_LVT_MASKED | ICR_BUSY | APIC_VECTOR_MASK)
#define LVT_LINT	(LVT_COMMON | APIC_MODE_MASK | APIC_INPUT_POLARITY | \
			 APIC_LVT_REMOTE_IRR | APIC_LVT_LEVEL_TRIGGER)

/* Writable bits; the timer's mode bits depend on the vCPU. */
static const struct {
	u16 offset;
	u32 writable;
} lvt[] = {
	{ APIC_LVTT, LVT_COMMON },
	{ APIC_LVTTHMR, LVT_COMMON | APIC_MODE_MASK },
	{ APIC_LVTPC, LVT_COMMON | APIC_MODE_MASK },
	{ APIC_LVT0, LVT_LINT },
	{ APIC_LVT1, LVT_LINT },
	{ APIC_LVTERR, LVT_COMMON },
	{ APIC_LVTCMCI, LVT_COMMON | APIC_MODE_MASK },
};

unsigned int vlapic_lvt_offset(unsigned int index)
{
	return lvt[index].offset;
}

/* ---- Writes ---- */

static void vlapic_write_svr(struct vlapic *apic, u32 value)
{
	unsigned int i;

	vlapic_set_svr(apic, value & SVR_WRITABLE);
	if (value & APIC_SPIV_APIC_ENABLED)
		return;
	/* "Local APIC State After It Has Been Software Disabled": all LVT entries are masked. */
	for (i = 0; i < apic->nr_lvt; i++)
		vlapic_set_reg(apic, lvt[i].offset,
			       vlapic_reg(apic, lvt[i].offset) | APIC_LVT_MASKED);
	vlapic_lint0_changed(apic);
	vlapic_timer_mode_changed(apic);
	vlapic_timer_forget(apic);
}

static int vlapic_write_lvt(struct vlapic *apic, unsigned int offset, u32 value)
{
	unsigned int i;

	for (i = 0; i < apic->nr_lvt && lvt[i].offset != offset; i++)
		;
	if (i == apic->nr_lvt)
		return 1;
	if (!apic->sw_enabled)
		value |= APIC_LVT_MASKED;
	if (offset == APIC_LVTT) {
		value &= lvt[i].writable | vlapic_timer_mode_mask(apic);
		vlapic_set_reg(apic, offset, value);
		vlapic_timer_mode_changed(apic);
		/* It may have run out while it was masked. */
		if (vlapic_timer_pending(apic->vcpu))
			vcpu_request(apic->vcpu, REQ_EVENT);
		return 0;
	}
	vlapic_set_reg(apic, offset, value & lvt[i].writable);
	if (offset == APIC_LVT0)
		vlapic_lint0_changed(apic);
	return 0;
}

/* Registers that only an xAPIC lets the guest write. */
static int vlapic_write_xapic(struct vlapic *apic, unsigned int offset, u32 value)
{
	if (apic->x2apic)
		return 1;
	switch (offset) {
	case APIC_ID:
		vlapic_set_reg(apic, offset, value & 0xff000000);
		apic_map_dirty(apic->vcpu->vm);
		break;
	case APIC_LDR:
		vlapic_set_reg(apic, offset, value & 0xff000000);
		apic_map_dirty(apic->vcpu->vm);
		break;
	case APIC_DFR:
		vlapic_set_reg(apic, offset, value | 0x0fffffff);
		apic_map_dirty(apic->vcpu->vm);
		break;
	case APIC_ICR:
		value &= ~ICR_BUSY;
		vlapic_set_reg(apic, offset, value);
		vlapic_write_icr(apic, value, vlapic_reg(apic, APIC_ICR2));
		break;
	case APIC_ICR2:
		vlapic_set_reg(apic, offset, value & 0xff000000);
		break;
	}
	return 0;
}

static int vlapic_write_self_ipi(struct vlapic *apic, u32 value)
{
	if (!apic->x2apic || (value & ~(u32)APIC_VECTOR_MASK))
		return 1;
	vlapic_write_icr(apic, SHORT_SELF << 18 | value, 0);
	return 0;
}

/* 0, or 1 when there is no such register to write or the value is not allowed. */
static int vlapic_write(struct vlapic *apic, unsigned int offset, u32 value)
{
	switch (offset) {
	case APIC_TASKPRI:
		vlapic_set_reg(apic, offset, value & 0xff);
		vlapic_priority_changed(apic);
		return 0;
	case APIC_EOI:
		vlapic_eoi(apic);
		return 0;
	case APIC_ID:
	case APIC_LDR:
	case APIC_DFR:
	case APIC_ICR:
	case APIC_ICR2:
		return vlapic_write_xapic(apic, offset, value);
	case APIC_SPIV:
		vlapic_write_svr(apic, value);
		return 0;
	case APIC_TMICT:
		vlapic_timer_set_initial(apic, value);
		return 0;
	case APIC_TDCR:
		vlapic_timer_set_divide(apic, value);
		return 0;
	case APIC_ESR:
		/* No error is ever recorded. */
		return apic->x2apic && value;
	case APIC_SELF_IPI:
		return vlapic_write_self_ipi(apic, value);
	default:
		return vlapic_write_lvt(apic, offset, value);
	}
}

/* ---- Reads ---- */

static u32 vlapic_read(struct vlapic *apic, unsigned int offset)
{
	if (unlikely(apic->vcpu->pv.eoi_armed))
		pv_eoi_sync(apic->vcpu);
	switch (offset) {
	case APIC_ARBPRI:
		return 0;
	case APIC_TMCCT:
		return vlapic_timer_current(apic);
	case APIC_PROCPRI:
		vlapic_update_ppr(apic);
		break;
	}
	return vlapic_reg(apic, offset);
}

/* ---- x2APIC MSRs ---- */

int vlapic_msr_read(struct vcpu *vcpu, u32 msr, u64 *value)
{
	struct vlapic *apic = vcpu->lapic;
	unsigned int reg = msr - X2APIC_MSR_BASE;

	if (!apic || !apic->x2apic || reg > LAST_REG || !(apic->readable >> reg & 1))
		return 1;
	*value = vlapic_read(apic, reg << 4);
	if (reg == APIC_ICR >> 4)
		*value |= (u64)vlapic_reg(apic, APIC_ICR + 4) << 32;
	return 0;
}

/* The one register of 64 bits. It is stored as such, and split only for user space. */
static int vlapic_write_x2apic_icr(struct vlapic *apic, u64 value)
{
	if (value & X2APIC_ICR_RESERVED)
		return 1;
	value &= ~(u64)ICR_BUSY;
	WRITE_ONCE(*(u64 *)(apic->regs + APIC_ICR), value);
	vlapic_write_icr(apic, value, value >> 32);
	return 0;
}

int vlapic_msr_write(struct vcpu *vcpu, u32 msr, u64 value)
{
	struct vlapic *apic = vcpu->lapic;
	unsigned int reg = msr - X2APIC_MSR_BASE;

	if (!apic || !apic->x2apic)
		return 1;
	if (reg == APIC_ICR >> 4)
		return vlapic_write_x2apic_icr(apic, value);
	if (likely(reg == APIC_EOI >> 4)) {
		if (value)
			return 1;
		vlapic_eoi(apic);
		return 0;
	}
	if (value >> 32 || reg > LAST_REG || (reg == APIC_TASKPRI >> 4 && value > 0xff))
		return 1;
	return vlapic_write(apic, reg << 4, value);
}

/* ---- Memory ---- */

bool vlapic_covers(struct vcpu *vcpu, gpa_t gpa)
{
	return vcpu->lapic && gpa - vcpu->lapic->base < PAGE_SIZE;
}

/*
 * A disabled or x2APIC's page has nothing behind it: ones, or whatever user space has there once it
 * has disabled the quirk.
 */
static bool vlapic_is_hole(const struct vlapic *apic)
{
	return !apic->hw_enabled || apic->x2apic;
}

int vlapic_mmio_read(struct vcpu *vcpu, gpa_t gpa, unsigned int len, void *data)
{
	struct vlapic *apic = vcpu->lapic;
	unsigned int offset = gpa - apic->base;
	unsigned int reg = offset >> 4, skip = offset & 0xf;
	u32 value;

	if (vlapic_is_hole(apic)) {
		if (!vm_has_quirk(vcpu->vm, KVM_X86_QUIRK_LAPIC_MMIO_HOLE))
			return 1;
		memset(data, 0xff, len);
		return 0;
	}
	memset(data, 0, len);
	if (skip + len > sizeof(value) || reg > LAST_REG || !(apic->readable >> reg & 1))
		return 0;
	value = vlapic_read(apic, reg << 4);
	memcpy(data, (u8 *)&value + skip, len);
	return 0;
}

/*
 * "APIC registers must be accessed with 32-bit loads and stores at 128-bit boundaries"; others are
 * dropped.
 */
int vlapic_mmio_write(struct vcpu *vcpu, gpa_t gpa, unsigned int len, const void *data)
{
	struct vlapic *apic = vcpu->lapic;
	unsigned int offset = gpa - apic->base;
	u32 value;

	if (vlapic_is_hole(apic))
		return !vm_has_quirk(vcpu->vm, KVM_X86_QUIRK_LAPIC_MMIO_HOLE);
	if (len != sizeof(value) || (offset & 0xf))
		return 0;
	memcpy(&value, data, sizeof(value));
	vlapic_write(apic, offset, value);
	return 0;
}

/* ---- Saving and restoring ---- */

static u32 *state_reg(struct kvm_lapic_state *s, unsigned int offset)
{
	return (u32 *)(s->regs + offset);
}

/*
 * The format of ids that user space sees lives here and in vlapic_state_to_regs(): bits 31:24
 * unless it asked for 32-bit ids by KVM_CAP_X2APIC_API. An x2APIC's ICR shows its upper half in
 * ICR2, as an xAPIC's.
 */
void vlapic_get_state(struct vcpu *vcpu, struct kvm_lapic_state *s)
{
	struct vlapic *apic = vcpu->lapic;

	if (apic_is_large(vcpu->vm))
		apic_later_flush(vcpu->vm);
	vlapic_update_ppr(apic);
	memcpy(s->regs, apic->regs, sizeof(s->regs));
	*state_reg(s, APIC_TMCCT) = vlapic_timer_current(apic);
	if (!apic->x2apic)
		return;
	if (!vcpu->vm->x2apic_ids)
		*state_reg(s, APIC_ID) = vcpu->id << 24;
	*state_reg(s, APIC_ICR2) = *state_reg(s, APIC_ICR + 4);
}

static int vlapic_state_to_regs(struct vcpu *vcpu, struct kvm_lapic_state *s)
{
	u32 *id = state_reg(s, APIC_ID);

	if (!vcpu->lapic->x2apic)
		return 0;
	if (vcpu->vm->x2apic_ids && *id != vcpu->id)
		return vcpu_refuse(vcpu, -EINVAL, "an x2APIC's id is its vCPU's", *id);
	*id = vcpu->id;
	*state_reg(s, APIC_LDR) = vlapic_x2apic_ldr(vcpu->id);
	*state_reg(s, APIC_ICR + 4) = *state_reg(s, APIC_ICR2);
	return 0;
}

int vlapic_set_state(struct vcpu *vcpu, const struct kvm_lapic_state *state)
{
	struct vlapic *apic = vcpu->lapic;
	struct kvm_lapic_state s = *state;
	int ret;

	ret = vlapic_state_to_regs(vcpu, &s);
	if (ret)
		return ret;
	vlapic_timer_stop(apic);
	vlapic_set_svr(apic, *state_reg(&s, APIC_SPIV));
	memcpy(apic->regs, s.regs, sizeof(s.regs));
	vlapic_set_version(apic);
	vlapic_recount(apic);
	vlapic_update_ppr(apic);
	vlapic_lint0_changed(apic);
	apic_map_dirty(vcpu->vm);
	vlapic_timer_restore(apic);
	vcpu_request(vcpu, REQ_EVENT);
	if (!irqchip_is_split(vcpu->vm))
		vioapic_restore_rtc(apic);
	return 0;
}
