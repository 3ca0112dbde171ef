// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's local APIC: life, reset, IA32_APIC_BASE, and which interrupt is due.
 * This file must not decode accesses to registers nor find destinations.
 */
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/lockdep.h>
#include <linux/slab.h>

#include "internal.h"

#define APIC_VERSION_XEON	0x14
#define APIC_BASE_DEFAULT	0xfee00000ULL
#define APIC_BASE_BSP		BIT_ULL(8)
#define APIC_BASE_X2APIC	BIT_ULL(10)
#define APIC_BASE_ENABLE	BIT_ULL(11)
#define APIC_BASE_MODE		(APIC_BASE_X2APIC | APIC_BASE_ENABLE)
#define APIC_BASE_RESERVED	0x2ffULL	/* below the page; bit 8 is BSP */
#define NR_LVT_WITH_CMCI	7

/* ---- Requests, service and priority ---- */

/* A word of IRR was found empty: drop its hint. */
static void vlapic_drop_hint(struct vlapic *apic, unsigned int word)
{
	clear_bit(word, &apic->irr_words);
	/*
	 * Whoever set a bit of the word before this is seen below; whoever does later sets the
	 * hint again, after the bit, in vlapic_accept_fixed().
	 */
	smp_mb__after_atomic();
	if (vlapic_reg(apic, APIC_IRR + word * 0x10))
		set_bit(word, &apic->irr_words);
}

/* Highest vector in IRR, or -1. */
static int vlapic_scan_irr(struct vlapic *apic)
{
	unsigned long words;

	while ((words = READ_ONCE(apic->irr_words))) {
		unsigned int word = __fls(words);
		u32 bits = vlapic_reg(apic, APIC_IRR + word * 0x10);

		if (likely(bits))
			return word * 32 + __fls(bits);
		vlapic_drop_hint(apic, word);
	}
	return -1;
}

static int vlapic_scan_isr(const struct vlapic *apic)
{
	int word;

	for (word = 7; word >= 0; word--) {
		u32 bits = vlapic_reg(apic, APIC_ISR + word * 0x10);

		if (bits)
			return word * 32 + __fls(bits);
	}
	return -1;
}

/* After IRR and ISR were written from outside: count again. */
void vlapic_recount(struct vlapic *apic)
{
	unsigned int word;

	apic->isr_count = 0;
	for (word = 0; word < 8; word++)
		apic->isr_count += hweight32(vlapic_reg(apic, APIC_ISR + word * 0x10));
	apic->highest_isr = vlapic_scan_isr(apic);
	/* Words without a request lose the hint at the next scan. */
	WRITE_ONCE(apic->irr_words, 0xff);
}

/* "Task and Processor Priorities" */
static u32 vlapic_ppr(const struct vlapic *apic)
{
	u32 tpr = vlapic_reg(apic, APIC_TASKPRI) & 0xff;
	u32 serving = apic->highest_isr < 0 ? 0 : apic->highest_isr & 0xf0;

	return (tpr & 0xf0) >= serving ? tpr : serving;
}

/* Nothing reads PPR but the guest and user space: bring it up to date only for them. */
void vlapic_update_ppr(struct vlapic *apic)
{
	vlapic_set_reg(apic, APIC_PROCPRI, vlapic_ppr(apic));
}

static int vlapic_due(struct vlapic *apic)
{
	int vector = vlapic_scan_irr(apic);

	if (vector < 0 || (u32)(vector & 0xf0) <= vlapic_ppr(apic) || !apic->hw_enabled)
		return -1;
	return vector;
}

/* PPR may have fallen or risen: a request may be due now, or be held back by TPR alone. */
void vlapic_priority_changed(struct vlapic *apic)
{
	if (!READ_ONCE(apic->irr_words))
		return;
	if (vlapic_due(apic) >= 0)
		vcpu_request(apic->vcpu, REQ_EVENT);
	else if (READ_ONCE(apic->irr_words))
		vcpu_request(apic->vcpu, REQ_TPR);
}

int vlapic_highest_irr(struct vcpu *vcpu)
{
	return vlapic_scan_irr(vcpu->lapic);
}

/* The CPU takes @vector: from IRR to ISR. */
static void vlapic_ack_irq(struct vcpu *vcpu, int vector)
{
	struct vlapic *apic = vcpu->lapic;
	unsigned int word = vector >> 5;

	clear_bit(vector & 31, vlapic_vector_word(apic, APIC_IRR, vector));
	if (!vlapic_reg(apic, APIC_IRR + word * 0x10))
		vlapic_drop_hint(apic, word);
	if (__test_and_set_bit(vector & 31, vlapic_vector_word(apic, APIC_ISR, vector)))
		return;
	apic->isr_count++;
	apic->highest_isr = max(apic->highest_isr, vector);
}

/* The IOAPIC, ours or user space's, may wait for the EOI of @vector. */
static noinline void vlapic_tell_ioapic(struct vlapic *apic, u8 vector)
{
	struct vcpu *vcpu = apic->vcpu;

	if (!irqchip_is_split(vcpu->vm)) {
		vioapic_eoi(apic, vector, vlapic_test_vector(apic, APIC_TMR, vector));
	} else if (irq_routing_wants_eoi(vcpu->vm, apic, vector)) {
		vcpu->ioapic_eoi = vector;
		vcpu_request(vcpu, REQ_IOAPIC_EOI);
	}
}

void vlapic_eoi(struct vlapic *apic)
{
	int vector;

	/* The guest may have ended the one before by its memory. Never so in atomic context. */
	if (unlikely(apic->vcpu->pv.eoi_armed))
		pv_eoi_sync(apic->vcpu);
	vector = apic->highest_isr;
	/* Not every EOI has an interrupt to end. */
	if (vector < 0)
		return;
	__clear_bit(vector & 31, vlapic_vector_word(apic, APIC_ISR, vector));
	apic->highest_isr = --apic->isr_count ? vlapic_scan_isr(apic) : -1;
	if (vioapic_wants_eoi(apic->vcpu->vm, vector) || READ_ONCE(apic->rtc_pending))
		vlapic_tell_ioapic(apic, vector);
	if (READ_ONCE(apic->irr_words))
		vlapic_priority_changed(apic);
}

bool vlapic_accepts_pic(struct vcpu *vcpu)
{
	return READ_ONCE(vcpu->lapic->accepts_pic);
}

/* A vector of the PIC, ours or user space's, waits behind LINT0 or past a disabled APIC. */
bool vlapic_extint_pending(const struct vlapic *apic)
{
	const struct vcpu *vcpu = apic->vcpu;

	if (likely(!apic->accepts_pic))
		return false;
	return irqchip_is_split(vcpu->vm) ? vcpu->user_extint >= 0 : vpic_output(vcpu->vm);
}

static int vlapic_extint_take(struct vlapic *apic)
{
	struct vcpu *vcpu = apic->vcpu;
	int vector;

	if (!irqchip_is_split(vcpu->vm))
		return vpic_ack(vcpu->vm);
	vector = vcpu->user_extint;
	vcpu->user_extint = -1;
	return vector;
}

bool vcpu_takes_user_extint(struct vcpu *vcpu)
{
	struct vlapic *apic = vcpu->lapic;

	if (!apic)
		return true;
	return irqchip_is_split(vcpu->vm) && apic->accepts_pic && vcpu->user_extint < 0;
}

bool vcpu_irq_pending(struct vcpu *vcpu)
{
	struct vlapic *apic = vcpu->lapic;

	if (!apic)
		return false;
	if (vlapic_extint_pending(apic))
		return true;
	return READ_ONCE(apic->irr_words) && vlapic_due(apic) >= 0;
}

int vcpu_irq_take(struct vcpu *vcpu)
{
	struct vlapic *apic = vcpu->lapic;
	int vector;

	if (!apic)
		return -1;
	if (vlapic_extint_pending(apic))
		return vlapic_extint_take(apic);
	vector = vlapic_due(apic);
	if (vector >= 0)
		vlapic_ack_irq(vcpu, vector);
	return vector;
}

u64 vlapic_get_cr8(struct vcpu *vcpu)
{
	return vlapic_reg(vcpu->lapic, APIC_TASKPRI) >> 4 & 0xf;
}

void vlapic_set_cr8(struct vcpu *vcpu, u64 value)
{
	vlapic_set_reg(vcpu->lapic, APIC_TASKPRI, (value & 0xf) << 4);
	vlapic_priority_changed(vcpu->lapic);
}

void *vlapic_regs_page(struct vcpu *vcpu)
{
	return vcpu->lapic->regs;
}

/* ---- Mode and identity ---- */

/* LVT LINT0 or the enable bit changed: who takes the PIC's interrupts, and the PIT's as NMIs? */
void vlapic_lint0_changed(struct vlapic *apic)
{
	u32 lvt = vlapic_reg(apic, APIC_LVT0);
	bool extint = (lvt & (APIC_MODE_MASK | APIC_LVT_MASKED)) == DELIVER_EXTINT << 8;
	bool nmi = vlapic_lvt_is_nmi(lvt);

	WRITE_ONCE(apic->accepts_pic, extint || !apic->hw_enabled);
	if (vlapic_extint_pending(apic))
		vcpu_request(apic->vcpu, REQ_EVENT);
	if (nmi == apic->lint0_nmi)
		return;
	apic->lint0_nmi = nmi;
	if (nmi)
		atomic_inc(&apic->vcpu->vm->lint0_nmi);
	else
		atomic_dec(&apic->vcpu->vm->lint0_nmi);
}

#define REG_BIT(offset)			(1ULL << ((offset) >> 4))
#define REG_BITS(offset, count)		(REG_BIT(offset) * ((1ULL << (count)) - 1))

#define READABLE_ALWAYS (								\
	REG_BIT(APIC_ID) | REG_BIT(APIC_LVR) | REG_BIT(APIC_TASKPRI) |			\
	REG_BIT(APIC_PROCPRI) | REG_BIT(APIC_LDR) | REG_BIT(APIC_SPIV) |		\
	REG_BITS(APIC_ISR, 8) | REG_BITS(APIC_TMR, 8) | REG_BITS(APIC_IRR, 8) |		\
	REG_BIT(APIC_ESR) | REG_BIT(APIC_ICR) | REG_BIT(APIC_LVTT) |			\
	REG_BIT(APIC_LVTTHMR) | REG_BIT(APIC_LVTPC) | REG_BIT(APIC_LVT0) |		\
	REG_BIT(APIC_LVT1) | REG_BIT(APIC_LVTERR) | REG_BIT(APIC_TMICT) |		\
	REG_BIT(APIC_TMCCT) | REG_BIT(APIC_TDCR))
#define READABLE_XAPIC	(REG_BIT(APIC_ARBPRI) | REG_BIT(APIC_DFR) | REG_BIT(APIC_ICR2))

/* Enabling, the mode or the number of LVT entries changed. */
static void vlapic_mode_changed(struct vlapic *apic)
{
	u64 readable = READABLE_ALWAYS;

	if (!apic->x2apic)
		readable |= READABLE_XAPIC;
	if (apic->nr_lvt == NR_LVT_WITH_CMCI)
		readable |= REG_BIT(APIC_LVTCMCI);
	apic->readable = readable;
}

/*
 * "Local APIC Version Register"; no suppression of EOI broadcasts, as the IOAPIC has no EOI
 * register.
 */
void vlapic_set_version(struct vlapic *apic)
{
	vlapic_set_reg(apic, APIC_LVR, APIC_VERSION_XEON | (apic->nr_lvt - 1) << 16);
}

void vlapic_set_svr(struct vlapic *apic, u32 value)
{
	bool enabled = value & APIC_SPIV_APIC_ENABLED;

	vlapic_set_reg(apic, APIC_SPIV, value);
	if (enabled == apic->sw_enabled)
		return;
	WRITE_ONCE(apic->sw_enabled, enabled);
	apic_map_dirty(apic->vcpu->vm);
}

static void vlapic_set_xapic_id(struct vlapic *apic)
{
	vlapic_set_reg(apic, APIC_ID, apic->vcpu->id << 24);
}

static void vlapic_set_x2apic_id(struct vlapic *apic)
{
	vlapic_set_reg(apic, APIC_ID, apic->vcpu->id);
	vlapic_set_reg(apic, APIC_LDR, vlapic_x2apic_ldr(apic->vcpu->id));
}

static void vlapic_apply_base(struct vcpu *vcpu, u64 value)
{
	u64 changed = vcpu->apic_base ^ value;
	struct vlapic *apic = vcpu->lapic;

	vcpu->apic_base = value;
	if (!apic)
		return;
	WRITE_ONCE(apic->hw_enabled, value & APIC_BASE_ENABLE);
	WRITE_ONCE(apic->x2apic, value & APIC_BASE_X2APIC);
	apic->base = value & PAGE_MASK;
	if (!(changed & APIC_BASE_MODE))
		return;
	if (apic->x2apic)
		vlapic_set_x2apic_id(apic);
	else if (apic->hw_enabled)
		vlapic_set_xapic_id(apic);
	vlapic_mode_changed(apic);
	vlapic_lint0_changed(apic);
	apic_map_dirty(vcpu->vm);
	vcpu_request(vcpu, REQ_EVENT);
}

u64 vlapic_get_base(struct vcpu *vcpu)
{
	return vcpu->apic_base;
}

/* "Local APIC State Transitions"; user space may go from any state to any other. */
static bool base_transition_ok(u64 old, u64 new)
{
	old &= APIC_BASE_MODE;
	new &= APIC_BASE_MODE;
	if (old == APIC_BASE_MODE && new == APIC_BASE_ENABLE)
		return false;
	return old || new != APIC_BASE_MODE;
}

int vlapic_set_base(struct vcpu *vcpu, u64 value, bool host)
{
	u64 reserved = APIC_BASE_RESERVED | ~(BIT_ULL(vcpu->maxphyaddr) - 1);

	if (!guest_has(vcpu, GF_X2APIC))
		reserved |= APIC_BASE_X2APIC;
	if ((value & reserved) || (value & APIC_BASE_MODE) == APIC_BASE_X2APIC)
		return 1;
	if (!host && !base_transition_ok(vcpu->apic_base, value))
		return 1;
	vlapic_apply_base(vcpu, value);
	return 0;
}

/* ---- Life ---- */

void vlapic_enable_cmci(struct vcpu *vcpu, bool on)
{
	struct vlapic *apic = vcpu->lapic;
	unsigned int nr = on ? NR_LVT_WITH_CMCI : NR_LVT_WITH_CMCI - 1;

	if (!apic || nr == apic->nr_lvt)
		return;
	if (on)
		vlapic_set_reg(apic, APIC_LVTCMCI, APIC_LVT_MASKED);
	apic->nr_lvt = nr;
	vlapic_set_version(apic);
	vlapic_mode_changed(apic);
}

static void vlapic_reset_lvt(struct vlapic *apic)
{
	unsigned int i;

	for (i = 0; i < apic->nr_lvt; i++)
		vlapic_set_reg(apic, vlapic_lvt_offset(i), APIC_LVT_MASKED);
	vlapic_timer_mode_changed(apic);
	/* Firmware expects to find the PIC wired through on the boot CPU, as KVM has it. */
	if (apic->vcpu->id == apic->vcpu->vm->boot_vcpu_id &&
	    vm_has_quirk(apic->vcpu->vm, KVM_X86_QUIRK_LINT0_REENABLED))
		vlapic_set_reg(apic, APIC_LVT0, DELIVER_EXTINT << 8);
	vlapic_lint0_changed(apic);
}

/* "Local APIC State After Power-Up or Reset", "Local APIC State After an INIT Reset" */
void vlapic_reset(struct vcpu *vcpu, bool init_event)
{
	struct vlapic *apic = vcpu->lapic;
	u64 base = APIC_BASE_DEFAULT | APIC_BASE_ENABLE;
	unsigned int i;

	if (!init_event) {
		if (vcpu->id == vcpu->vm->boot_vcpu_id)
			base |= APIC_BASE_BSP;
		vlapic_apply_base(vcpu, base);
	}
	if (!apic)
		return;

	vlapic_timer_stop(apic);
	if (!init_event)
		vlapic_set_xapic_id(apic);
	vlapic_set_version(apic);
	vlapic_reset_lvt(apic);
	vlapic_set_reg(apic, APIC_DFR, 0xffffffff);
	vlapic_set_svr(apic, 0xff);
	vlapic_set_reg(apic, APIC_TASKPRI, 0);
	if (!apic->x2apic)
		vlapic_set_reg(apic, APIC_LDR, 0);
	vlapic_set_reg(apic, APIC_ESR, 0);
	vlapic_set_reg(apic, APIC_ICR, 0);
	vlapic_set_reg(apic, APIC_ICR + 4, 0);
	vlapic_set_reg(apic, APIC_ICR2, 0);
	for (i = 0; i < 8; i++) {
		vlapic_set_reg(apic, APIC_IRR + 0x10 * i, 0);
		vlapic_set_reg(apic, APIC_ISR + 0x10 * i, 0);
		vlapic_set_reg(apic, APIC_TMR + 0x10 * i, 0);
	}
	vlapic_recount(apic);
	vlapic_timer_reset(apic);
	vlapic_update_ppr(apic);
	apic_map_dirty(vcpu->vm);
}

int vlapic_create(struct vcpu *vcpu)
{
	struct vlapic *apic;

	if (!irqchip_in_kernel(vcpu->vm))
		return 0;
	apic = kzalloc(sizeof(*apic), GFP_KERNEL_ACCOUNT);
	if (!apic)
		return -ENOMEM;
	apic->regs = (u8 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!apic->regs) {
		kfree(apic);
		return -ENOMEM;
	}
	apic->vcpu = vcpu;
	apic->highest_isr = -1;
	apic->nr_lvt = NR_LVT_WITH_CMCI - 1;
	vlapic_mode_changed(apic);
	vlapic_timer_init(apic);
	vcpu->lapic = apic;
	return 0;
}

void vlapic_destroy(struct vcpu *vcpu)
{
	struct vlapic *apic = vcpu->lapic;

	if (!apic)
		return;
	vlapic_timer_stop(apic);
	if (apic->lint0_nmi)
		atomic_dec(&vcpu->vm->lint0_nmi);
	free_page((unsigned long)apic->regs);
	kfree(apic);
	vcpu->lapic = NULL;
}

/* ---- INIT and SIPI ---- */

bool vlapic_init_sipi_pending(struct vcpu *vcpu)
{
	return vcpu->lapic && READ_ONCE(vcpu->lapic->events);
}

bool vcpu_init_sipi_pending(struct vcpu *vcpu)
{
	return vlapic_init_sipi_pending(vcpu) && !vcpu->smm;
}

bool vlapic_init_latched(struct vcpu *vcpu)
{
	return READ_ONCE(vcpu->lapic->events) & VLAPIC_EV_INIT;
}

void vlapic_forget_init(struct vcpu *vcpu)
{
	clear_bit(ilog2(VLAPIC_EV_INIT), &vcpu->lapic->events);
}

unsigned int vlapic_take_init_sipi(struct vcpu *vcpu, u8 *sipi)
{
	struct vlapic *apic = vcpu->lapic;
	unsigned int events;

	if (!apic || !READ_ONCE(apic->events))
		return 0;
	/* Full barrier: pairs with the one before the event is set in vlapic_accept(). */
	events = xchg(&apic->events, 0);
	*sipi = READ_ONCE(apic->sipi_vector);
	return events;
}

void vlapic_restore_sipi(struct vcpu *vcpu, int vector, unsigned int events)
{
	struct vlapic *apic = vcpu->lapic;

	if (!apic)
		return;
	if (vector >= 0)
		WRITE_ONCE(apic->sipi_vector, vector);
	if (events & VLAPIC_EV_SIPI)
		set_bit(ilog2(VLAPIC_EV_SIPI), &apic->events);
	if (events & VLAPIC_EV_INIT)
		set_bit(ilog2(VLAPIC_EV_INIT), &apic->events);
	if (events)
		vcpu_request(vcpu, REQ_EVENT);
}

void vlapic_deliver_cmci(struct vcpu *vcpu)
{
	if (vcpu->lapic)
		vlapic_deliver_lvt(vcpu->lapic, APIC_LVTCMCI, NULL);
}

void vlapic_deliver_lint(struct vcpu *vcpu, int lint)
{
	if (vcpu->lapic)
		vlapic_deliver_lvt(vcpu->lapic, lint ? APIC_LVT1 : APIC_LVT0, NULL);
}
