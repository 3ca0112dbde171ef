/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Contracts of the virtual interrupt controllers, the PIT and GSI routing (irq/).
 * This header must not mention the VMCS or user pointers.
 */
#ifndef KVMLET_IRQ_H
#define KVMLET_IRQ_H

#include <linux/kvm.h>

#include "types.h"

struct vm;
struct vcpu;
struct vlapic;
struct vpic;
struct vioapic;
struct vpit;
struct irq_routing;

/* ---- The whole of a VM's interrupt hardware (irq/irqchip.c) ---- */

/**
 * irqchip_create() - PIC, IOAPIC and default routing for a VM; its vCPUs get local APICs
 * @vm: the VM; caller holds vm->lock
 * Return: 0, -EEXIST when there is one, -EINVAL when a vCPU exists already, -ENOMEM.
 */
int irqchip_create(struct vm *vm);
/**
 * irqchip_stop() - the first step of a VM's destruction: no timer of the PIT or IOAPIC touches a vCPU any more
 * @vm: the VM, with no users left; may lack an irqchip. May be called again.
 */
void irqchip_stop(struct vm *vm);
/** irqchip_destroy() - free it all; irqchip_stop() came before and the vCPUs are gone. */
void irqchip_destroy(struct vm *vm);
static inline bool irqchip_in_kernel(const struct vm *vm);

/** irqchip_get() and irqchip_set() - KVM_GET_IRQCHIP and KVM_SET_IRQCHIP on kernel copies; -EINVAL on a bad chip_id. */
int irqchip_get(struct vm *vm, struct kvm_irqchip *chip);
int irqchip_set(struct vm *vm, const struct kvm_irqchip *chip);

/* ---- Lines, MSIs and routing (irq/route.c) ---- */

#define IRQ_SOURCE_USER		0	/* KVM_IRQ_LINE */
#define IRQ_SOURCE_PIT		1	/* the in-kernel PIT */
#define IRQ_SOURCE_RESAMPLE	2
#define NR_IRQ_SOURCES		8
#define IRQ_LINE_STATUS		0x100	/* or'ed to a source: KVM_IRQ_LINE_STATUS wants to know of lost RTC ticks */

#define IRQ_MAX_ROUTES		4096	/* KVM_CAP_IRQ_ROUTING; GSIs are below it */

/**
 * irq_line_set() - drive a GSI through the routing table
 * @vm: the VM, with an irqchip
 * @source: IRQ_SOURCE_*, levels of several sources are ORed; or with IRQ_LINE_STATUS
 * @gsi: global system interrupt, below IRQ_MAX_ROUTES
 * @level: 0 or 1
 *
 * Any context with IRQs on or off. Return: KVM_IRQ_LINE_STATUS's value: <0 ignored (masked), 0 coalesced,
 * >0 number of CPUs it was delivered to.
 */
int irq_line_set(struct vm *vm, unsigned int source, u32 gsi, int level);

/**
 * irqchip_x2apic_api() - KVM_CAP_X2APIC_API
 * @vm: the VM
 * @flags: KVM_X2APIC_API_USE_32BIT_IDS, KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK
 * Return: 0, or -EINVAL on other flags.
 */
int irqchip_x2apic_api(struct vm *vm, u64 flags);

/** irq_msi_send() - KVM_SIGNAL_MSI on a kernel copy. Return: >0 delivered, 0 blocked by the guest, -errno. */
int irq_msi_send(struct vm *vm, const struct kvm_msi *msi);

/** irq_routing_set() - replace the whole table by @nr validated entries (kernel copy). -EINVAL, -ENOMEM. vm->lock held. */
int irq_routing_set(struct vm *vm, const struct kvm_irq_routing_entry *entries, unsigned int nr,
		    unsigned int flags);

/* ---- Local APIC (irq/vlapic.c, irq/vlapic_timer.c) ---- */

/** vlapic_create() - allocate; vcpu->lapic stays NULL when the VM has no irqchip. 0 or -ENOMEM. */
int vlapic_create(struct vcpu *vcpu);
void vlapic_destroy(struct vcpu *vcpu);
/** vlapic_reset() - RESET state, or INIT state when @init_event (keeps APIC base and id). */
void vlapic_reset(struct vcpu *vcpu, bool init_event);

/** vlapic_regs_page() - kernel address of the 4 KiB register page, for the TPR shadow. */
void *vlapic_regs_page(struct vcpu *vcpu);

/**
 * vlapic_pending_irq() - highest vector that could be delivered now, or -1
 * Takes IRR, ISR and PPR into account. vCPU's own thread.
 */
int vlapic_pending_irq(struct vcpu *vcpu);
/** vlapic_highest_irr() - highest requested vector whatever the priority, or -1. */
int vlapic_highest_irr(struct vcpu *vcpu);
/** vlapic_ack_irq() - the CPU takes @vector: IRR to ISR, new PPR. */
void vlapic_ack_irq(struct vcpu *vcpu, int vector);
/** vlapic_accepts_pic() - LVT0 (or a disabled APIC) lets ExtINT from the PIC through to this vCPU. */
bool vlapic_accepts_pic(struct vcpu *vcpu);

/** vcpu_irq_pending() - an interrupt (LAPIC, or PIC through LVT0) could be delivered if RFLAGS.IF allowed. */
bool vcpu_irq_pending(struct vcpu *vcpu);
/** vcpu_irq_take() - acknowledge it: the vector, or -1 when it has gone. PIC's acknowledge included. */
int vcpu_irq_take(struct vcpu *vcpu);

/** vlapic_read_reg() and friends: register by xAPIC offset (0x20, 0x80 ...) for APIC-access and MSR exits. */
u64 vlapic_get_base(struct vcpu *vcpu);
/** vlapic_set_base() - IA32_APIC_BASE: 0, or 1 for a #GP (illegal transition or reserved bits). */
int vlapic_set_base(struct vcpu *vcpu, u64 value, bool host);
/** vlapic_msr_read() - x2APIC MSR 0x800..0x8ff. 0, or 1 for #GP. Interrupts may be off. */
int vlapic_msr_read(struct vcpu *vcpu, u32 msr, u64 *value);
int vlapic_msr_write(struct vcpu *vcpu, u32 msr, u64 value);
u64 vlapic_get_tscdeadline(struct vcpu *vcpu);
void vlapic_set_tscdeadline(struct vcpu *vcpu, u64 value);
u64 vlapic_get_cr8(struct vcpu *vcpu);
void vlapic_set_cr8(struct vcpu *vcpu, u64 value);
/** vlapic_sync_tpr() - guest changed VTPR in the register page by itself: PPR is worked out whenever it is asked for. */
static inline void vlapic_sync_tpr(struct vcpu *vcpu)
{
}
/** vlapic_mmio() - 1 when the access at @gpa is this vCPU's APIC page (MMIO enabled); performs it. */
bool vlapic_covers(struct vcpu *vcpu, gpa_t gpa);
int vlapic_mmio_read(struct vcpu *vcpu, gpa_t gpa, unsigned int len, void *data);
int vlapic_mmio_write(struct vcpu *vcpu, gpa_t gpa, unsigned int len, const void *data);

void vlapic_get_state(struct vcpu *vcpu, struct kvm_lapic_state *s);
/** vlapic_set_state() - KVM_SET_LAPIC. 0, or -EINVAL (x2APIC id mismatch etc.). */
int vlapic_set_state(struct vcpu *vcpu, const struct kvm_lapic_state *s);

/** vlapic_enable_cmci() - the vCPU's MCG_CAP announces CMCI or not: LVT CMCI exists accordingly. */
void vlapic_enable_cmci(struct vcpu *vcpu, bool on);

/** vlapic_timer_pending() - an expired timer waits to be turned into an interrupt. */
bool vlapic_timer_pending(struct vcpu *vcpu);
/** vlapic_timer_inject() - turn it. vCPU's own thread, before looking for interrupts. */
void vlapic_timer_inject(struct vcpu *vcpu);
/** vlapic_timer_migrate() - the vCPU thread now runs on another CPU; bring the hrtimer along. */
void vlapic_timer_migrate(struct vcpu *vcpu);

/** vlapic_take_init_sipi() - events for an AP or INIT: consumes; returns VLAPIC_EV_* bits, SIPI vector in @sipi. */
#define VLAPIC_EV_INIT	1
#define VLAPIC_EV_SIPI	2
unsigned int vlapic_take_init_sipi(struct vcpu *vcpu, u8 *sipi);
bool vlapic_init_sipi_pending(struct vcpu *vcpu);

/** vlapic_lvt_nmi() - PIT or KVM_NMI style delivery through LINT1's LVT when it says NMI. */
void vlapic_deliver_lint(struct vcpu *vcpu, int lint);

/* ---- PIC (irq/vpic.c) ---- */

/** vpic_output() - INTR line of the master PIC. */
bool vpic_output(struct vm *vm);
/** vpic_ack() - INTA cycle: returns the vector (spurious 7 when it has gone). Any context. */
int vpic_ack(struct vm *vm);

/* ---- PIT (irq/vpit.c) ---- */

/**
 * vpit_create() - KVM_CREATE_PIT2
 * @vm: the VM; caller holds vm->lock and vm->slots_lock
 * @flags: KVM_PIT_SPEAKER_DUMMY adds port 0x61; others are ignored as kvm_intel ignores them
 * Return: 0, -EEXIST when there is one, -ENOENT without irqchip, -ENOMEM.
 */
int vpit_create(struct vm *vm, u32 flags);
int vpit_get(struct vm *vm, struct kvm_pit_state2 *s);	/* -ENXIO without PIT */
int vpit_set(struct vm *vm, const struct kvm_pit_state2 *s);
int vpit_reinject(struct vm *vm, const struct kvm_reinject_control *c);

/* ---- What irq/ needs of the rest (offered by vmx/ and ioctl/) ---- */

/** vcpu_nmi() - queue an NMI and kick. Any context. */
void vcpu_nmi(struct vcpu *vcpu);

#endif
