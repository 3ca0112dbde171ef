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
 * @vm: the VM; caller holds vm->lock, may sleep
 *
 * Return: 0, -EEXIST when there is one, -EINVAL when a vCPU exists already, -ENOMEM.
 */
int irqchip_create(struct vm *vm);

/**
 * irqchip_create_split() - KVM_CAP_SPLIT_IRQCHIP: local APICs only
 * @vm: the VM; caller holds vm->lock, may sleep
 * @nr_gsis: those from 0 on are pins of user space's IOAPICs, whose EOI it wants to know of
 *
 * Return: 0, -EINVAL for too many GSIs, -EEXIST when there is an irqchip or a vCPU, -ENOMEM.
 */
int irqchip_create_split(struct vm *vm, u64 nr_gsis);

/**
 * irqchip_stop() - the first step of a VM's destruction: no timer of the PIT or IOAPIC touches a
 * vCPU any more
 * @vm: the VM, with no users left; may lack an irqchip. May be called again.
 */
void irqchip_stop(struct vm *vm);

/**
 * irqchip_destroy() - free it all
 * @vm: the VM; irqchip_stop() came before and the vCPUs are gone
 */
void irqchip_destroy(struct vm *vm);

/**
 * irqchip_get() - KVM_GET_IRQCHIP
 * @vm: the VM, with an irqchip; any locks
 * @chip: kernel copy; its chip_id says which, the rest is the result
 *
 * Return: 0, or -EINVAL on a bad chip_id.
 */
int irqchip_get(struct vm *vm, struct kvm_irqchip *chip);

/**
 * irqchip_set() - KVM_SET_IRQCHIP
 * @vm: the VM, with an irqchip; any locks
 * @chip: kernel copy, unchecked
 *
 * Return: 0, or -EINVAL on a bad chip_id.
 */
int irqchip_set(struct vm *vm, const struct kvm_irqchip *chip);

/* ---- Lines, MSIs and routing (irq/route.c) ---- */

#define IRQ_SOURCE_USER		0	/* KVM_IRQ_LINE */
#define IRQ_SOURCE_PIT		1	/* the in-kernel PIT */
#define IRQ_SOURCE_RESAMPLE	2
#define IRQ_LINE_STATUS		0x100	/* or'ed to a source: tell of lost RTC ticks */

#define IRQ_MAX_ROUTES		4096	/* KVM_CAP_IRQ_ROUTING; GSIs are below it */

/**
 * irq_line_set() - drive a GSI through the routing table
 * @vm: the VM, with an irqchip
 * @source: IRQ_SOURCE_*, levels of several sources are ORed; or with IRQ_LINE_STATUS
 * @gsi: global system interrupt, below IRQ_MAX_ROUTES
 * @level: 0 or 1
 *
 * Any context with IRQs on or off.
 * Return: KVM_IRQ_LINE_STATUS's value: <0 ignored (masked), 0 coalesced, >0 number of CPUs it was
 * delivered to.
 */
int irq_line_set(struct vm *vm, unsigned int source, u32 gsi, int level);

/**
 * irq_line_pulse() - an edge: the GSI goes up and down again
 * @vm: the VM, with an irqchip
 * @source: IRQ_SOURCE_*
 * @gsi: any value
 *
 * Any context with IRQs on or off.
 */
void irq_line_pulse(struct vm *vm, unsigned int source, u32 gsi);

/**
 * irqchip_x2apic_api() - KVM_CAP_X2APIC_API
 * @vm: the VM
 * @flags: KVM_X2APIC_API_USE_32BIT_IDS, KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK
 *
 * Return: 0, or -EINVAL on other flags.
 */
int irqchip_x2apic_api(struct vm *vm, u64 flags);

/**
 * irqchip_apic_cycle() - KVM_CAP_X86_APIC_BUS_CYCLES_NS
 * @vm: the VM; caller holds vm->lock
 * @ns: nanoseconds per cycle of the local APIC timers' bus
 *
 * Return: 0, -EINVAL for 0, too many, or once a vCPU exists, -ENXIO without irqchip.
 */
int irqchip_apic_cycle(struct vm *vm, u64 ns);

/**
 * irq_msi_send() - KVM_SIGNAL_MSI
 * @vm: the VM
 * @msi: kernel copy, unchecked
 *
 * Return: >0 delivered, <=0 blocked by the guest, -EINVAL without irqchip or on a bad message.
 */
int irq_msi_send(struct vm *vm, const struct kvm_msi *msi);

/**
 * irq_routing_set() - replace the whole table, KVM_SET_GSI_ROUTING
 * @vm: the VM, whose irqchip exists or is being created; caller holds vm->lock
 * @entries: kernel copy, as user space gave them
 * @nr: how many
 * @flags: as user space gave them
 *
 * Return: 0, -ENOMEM, or -EINVAL when an entry does not fit or two exclude each other.
 */
int irq_routing_set(struct vm *vm, const struct kvm_irq_routing_entry *entries, unsigned int nr,
		    unsigned int flags);

/*
 * ---- Local APIC (irq/vlapic*.c) ----
 *
 * Where nothing else is said: the caller is the vCPU's own thread or holds vcpu->lock, interrupts
 * may be on or off, and nothing sleeps. Functions that need an APIC say so; the others do the right
 * thing for a vCPU without one (vcpu->lapic is NULL).
 */

/**
 * vlapic_create() - allocate the local APIC of a vCPU
 * @vcpu: the vCPU, not yet visible; vcpu->lapic stays NULL without an irqchip. May sleep.
 *
 * Return: 0 or -ENOMEM.
 */
int vlapic_create(struct vcpu *vcpu);

/**
 * vlapic_destroy() - free it
 * @vcpu: the vCPU; no interrupt finds it any more. May sleep.
 */
void vlapic_destroy(struct vcpu *vcpu);

/**
 * vlapic_reset() - RESET or INIT state
 * @vcpu: the vCPU
 * @init_event: INIT, which keeps APIC base and id
 */
void vlapic_reset(struct vcpu *vcpu, bool init_event);

/**
 * vlapic_regs_page() - the register page, for the TPR shadow
 * @vcpu: a vCPU with an APIC
 *
 * Return: kernel address of its 4 KiB, the same for the vCPU's life.
 */
void *vlapic_regs_page(struct vcpu *vcpu);

/**
 * vlapic_highest_irr() - highest requested vector, whatever the priority
 * @vcpu: a vCPU with an APIC
 *
 * Return: the vector, or -1.
 */
int vlapic_highest_irr(struct vcpu *vcpu);

/**
 * vlapic_accepts_pic() - do the PIC's interrupts reach this vCPU, through LINT0 or past a disabled
 * APIC?
 * @vcpu: any vCPU with an APIC; any context
 *
 * Return: whether they do.
 */
bool vlapic_accepts_pic(struct vcpu *vcpu);

/**
 * vcpu_irq_pending() - could an interrupt, of APIC or PIC, be delivered if RFLAGS.IF allowed?
 * @vcpu: the vCPU
 *
 * Return: whether it could; false without APIC.
 */
bool vcpu_irq_pending(struct vcpu *vcpu);

/**
 * vcpu_irq_take() - acknowledge that interrupt
 * @vcpu: the vCPU
 *
 * Return: the vector, or -1 when it has gone.
 */
int vcpu_irq_take(struct vcpu *vcpu);

/**
 * vcpu_takes_user_extint() - would KVM_INTERRUPT's vector reach this vCPU now?
 * @vcpu: the vCPU
 *
 * Return: true without APIC; with the split irqchip when LINT0 lets it through and none waits.
 */
bool vcpu_takes_user_extint(struct vcpu *vcpu);

/**
 * vlapic_get_base() - IA32_APIC_BASE
 * @vcpu: the vCPU
 *
 * Return: the MSR's value.
 */
u64 vlapic_get_base(struct vcpu *vcpu);

/**
 * vlapic_set_base() - write IA32_APIC_BASE, also of a vCPU without APIC
 * @vcpu: the vCPU; guest CPUID decides on x2APIC and the width of the address
 * @value: new value
 * @host: user space writes: transitions that "Local APIC State Transitions" forbids are allowed
 *
 * Return: 0, or 1 for a #GP.
 */
int vlapic_set_base(struct vcpu *vcpu, u64 value, bool host);

/**
 * vlapic_msr_read() - RDMSR of an x2APIC register
 * @vcpu: the vCPU
 * @msr: 0x800 to 0x8ff
 * @value: result
 *
 * Return: 0, or 1 for a #GP, also when the APIC is not in x2APIC mode or there is none.
 */
int vlapic_msr_read(struct vcpu *vcpu, u32 msr, u64 *value);

/**
 * vlapic_icr_is_slow() - is writing ICR nothing to be done with interrupts off?
 * @vcpu: a vCPU whose APIC is in x2APIC mode
 * @icr: what is to be written
 *
 * Return: whether finding or telling the receivers may take long, as there are many vCPUs.
 */
bool vlapic_icr_is_slow(const struct vcpu *vcpu, u64 icr);

/**
 * vlapic_msr_write() - WRMSR of an x2APIC register
 * @vcpu: the vCPU
 * @msr: 0x800 to 0x8ff
 * @value: what to write
 *
 * Return: 0, or 1 for a #GP and no effect; as vlapic_msr_read().
 */
int vlapic_msr_write(struct vcpu *vcpu, u32 msr, u64 value);

/**
 * vlapic_get_tscdeadline() - read IA32_TSC_DEADLINE
 * @vcpu: the vCPU
 *
 * Return: guest TSC value; 0 when disarmed, in another mode of the timer or without APIC.
 */
u64 vlapic_get_tscdeadline(struct vcpu *vcpu);

/**
 * vlapic_set_tscdeadline() - arm or disarm the timer; nothing happens in its other modes
 * @vcpu: the vCPU
 * @value: guest TSC value, 0 to disarm
 */
void vlapic_set_tscdeadline(struct vcpu *vcpu, u64 value);

/**
 * vlapic_get_cr8() - the task priority
 * @vcpu: a vCPU with an APIC
 *
 * Return: bits 7:4 of TPR.
 */
u64 vlapic_get_cr8(struct vcpu *vcpu);

/**
 * vlapic_set_cr8() - set it; bits 3:0 of TPR become 0
 * @vcpu: a vCPU with an APIC
 * @value: 0 to 15
 */
void vlapic_set_cr8(struct vcpu *vcpu, u64 value);

/**
 * vlapic_covers() - is an address in this vCPU's APIC page, wherever IA32_APIC_BASE has it?
 * @vcpu: the vCPU
 * @gpa: guest physical address
 *
 * Return: whether it is; false without APIC.
 */
bool vlapic_covers(struct vcpu *vcpu, gpa_t gpa);

/**
 * vlapic_mmio_read() - a read from that page
 * @vcpu: the vCPU; vlapic_covers() was true
 * @gpa: address
 * @len: 1 to 8 bytes
 * @data: result; zero for what is no register, ones while the APIC is disabled or in x2APIC mode
 *
 * Return: 0, or 1 when there is no page: disabled or in x2APIC mode, and the quirk is off.
 */
int vlapic_mmio_read(struct vcpu *vcpu, gpa_t gpa, unsigned int len, void *data);

/**
 * vlapic_mmio_write() - a write to it; dropped unless of 4 aligned bytes to a register
 * @vcpu: the vCPU; vlapic_covers() was true
 * @gpa: address
 * @len: 1 to 8 bytes
 * @data: what to write
 *
 * Return: as vlapic_mmio_read().
 */
int vlapic_mmio_write(struct vcpu *vcpu, gpa_t gpa, unsigned int len, const void *data);

/**
 * vlapic_get_state() - KVM_GET_LAPIC
 * @vcpu: a vCPU with an APIC
 * @s: result
 */
void vlapic_get_state(struct vcpu *vcpu, struct kvm_lapic_state *s);

/**
 * vlapic_set_state() - KVM_SET_LAPIC
 * @vcpu: a vCPU with an APIC
 * @s: kernel copy, unchecked
 *
 * Return: 0, or -EINVAL for another id than an x2APIC's own.
 */
int vlapic_set_state(struct vcpu *vcpu, const struct kvm_lapic_state *s);

/**
 * vlapic_enable_cmci() - the vCPU's MCG_CAP announces CMCI or not: LVT CMCI exists accordingly
 * @vcpu: the vCPU
 * @on: it does
 */
void vlapic_enable_cmci(struct vcpu *vcpu, bool on);

/**
 * vlapic_deliver_cmci() - a machine-check bank has logged something that interrupts
 * @vcpu: any vCPU; nothing happens without an APIC, or while LVT CMCI is masked
 */
void vlapic_deliver_cmci(struct vcpu *vcpu);

/**
 * vlapic_timer_pending() - does an expired timer wait to be turned into an interrupt?
 * @vcpu: a vCPU with an APIC
 *
 * Return: whether one does.
 */
bool vlapic_timer_pending(struct vcpu *vcpu);

/**
 * vlapic_timer_inject() - turn it into one, before looking for interrupts
 * @vcpu: a vCPU with an APIC; own thread
 */
void vlapic_timer_inject(struct vcpu *vcpu);

/**
 * vlapic_timer_migrate() - the vCPU's thread now runs on another CPU; bring the timers along
 * @vcpu: the vCPU; own thread
 */
void vlapic_timer_migrate(struct vcpu *vcpu);

#define VLAPIC_EV_INIT	1
#define VLAPIC_EV_SIPI	2

/**
 * vlapic_init_sipi_pending() - is there an INIT or SIPI to be taken?
 * @vcpu: any vCPU; any context
 *
 * Return: whether there is.
 */
bool vlapic_init_sipi_pending(struct vcpu *vcpu);

/**
 * vcpu_init_sipi_pending() - is there one, and may it be taken? SMM keeps it latched
 * @vcpu: own thread or vcpu->lock held
 *
 * Return: whether vcpu_accept_init_sipi() has something to do.
 */
bool vcpu_init_sipi_pending(struct vcpu *vcpu);

/**
 * vlapic_init_latched() - is an INIT waiting?
 * @vcpu: a vCPU with LAPIC; any context
 *
 * Return: whether it is.
 */
bool vlapic_init_latched(struct vcpu *vcpu);

/**
 * vlapic_forget_init() - KVM_SET_VCPU_EVENTS says that none was latched
 * @vcpu: a vCPU with LAPIC
 */
void vlapic_forget_init(struct vcpu *vcpu);

/**
 * vlapic_take_init_sipi() - consume them
 * @vcpu: the vCPU
 * @sipi: the last SIPI's vector, filled when there was any event
 *
 * Return: VLAPIC_EV_* bits.
 */
unsigned int vlapic_take_init_sipi(struct vcpu *vcpu, u8 *sipi);

/**
 * vlapic_restore_sipi() - KVM_SET_MP_STATE and KVM_SET_VCPU_EVENTS bring back what was pending
 * @vcpu: the vCPU
 * @vector: the SIPI's vector, or negative to keep the one there is
 * @events: VLAPIC_EV_* bits to be pending besides those that are
 */
void vlapic_restore_sipi(struct vcpu *vcpu, int vector, unsigned int events);

/**
 * vlapic_deliver_lint() - an edge at LINT0 or LINT1: whatever its LVT entry says
 * @vcpu: any vCPU; any context
 * @lint: 0 or 1
 */
void vlapic_deliver_lint(struct vcpu *vcpu, int lint);

/* ---- PIC (irq/vpic.c) ---- */

/**
 * vpic_output() - the INTR line of the master PIC
 * @vm: a VM with an irqchip; any context
 *
 * Return: its level.
 */
bool vpic_output(struct vm *vm);

/**
 * vpic_ack() - the INTA cycle
 * @vm: a VM with an irqchip; any context
 *
 * Return: the vector, input 7's when the request has gone.
 */
int vpic_ack(struct vm *vm);

/* ---- PIT (irq/vpit.c) ---- */

/**
 * vpit_create() - KVM_CREATE_PIT2
 * @vm: the VM; caller holds vm->lock and vm->slots_lock
 * @flags: KVM_PIT_SPEAKER_DUMMY adds port 0x61; others are ignored as kvm_intel ignores them
 *
 * Return: 0, -EEXIST when there is one, -ENOENT without irqchip, -ENOMEM.
 */
int vpit_create(struct vm *vm, u32 flags);

/**
 * vpit_get() - KVM_GET_PIT2
 * @vm: the VM
 * @s: result
 *
 * Return: 0, or -ENXIO without PIT.
 */
int vpit_get(struct vm *vm, struct kvm_pit_state2 *s);

/**
 * vpit_set() - KVM_SET_PIT2
 * @vm: the VM
 * @s: kernel copy, unchecked
 *
 * Return: 0, or -ENXIO without PIT.
 */
int vpit_set(struct vm *vm, const struct kvm_pit_state2 *s);

/**
 * vpit_reinject() - KVM_REINJECT_CONTROL
 * @vm: the VM
 * @c: kernel copy: whether ticks that the guest missed are made up for
 *
 * Return: 0, or -ENXIO without PIT.
 */
int vpit_reinject(struct vm *vm, const struct kvm_reinject_control *c);

/* ---- Coalesced I/O (irq/coalesced.c) ---- */

/**
 * coalesced_ring_page() - the page of struct kvm_coalesced_mmio_ring that a VM's user space maps
 * @vm: the VM; may sleep
 *
 * Return: kernel address, the same at each call, or NULL when out of memory.
 */
void *coalesced_ring_page(struct vm *vm);

/**
 * coalesced_register() - KVM_REGISTER_COALESCED_MMIO on a kernel copy
 * @vm: the VM; caller holds vm->slots_lock
 * @z: zone
 *
 * Return: 0, -EINVAL, -EEXIST, -ENOSPC, -ENOMEM.
 */
int coalesced_register(struct vm *vm, const struct kvm_coalesced_mmio_zone *z);

/**
 * coalesced_unregister() - KVM_UNREGISTER_COALESCED_MMIO: all zones that contain @z
 * @vm: the VM; caller holds vm->slots_lock
 * @z: range
 *
 * Return: 0 or -EINVAL.
 */
int coalesced_unregister(struct vm *vm, const struct kvm_coalesced_mmio_zone *z);

/**
 * coalesced_destroy() - free zones and ring
 * @vm: the VM, without users
 */
void coalesced_destroy(struct vm *vm);

/* ---- eventfds (irq/irqfd.c, irq/ioeventfd.c) ---- */

/**
 * irqfd_vm_init() - a new VM has none
 * @vm: the VM, being made
 */
void irqfd_vm_init(struct vm *vm);

/**
 * irqfd_ioctl() - KVM_IRQFD: an eventfd whose signal is an interrupt
 * @vm: the VM; caller holds none of its locks. May sleep.
 * @args: kernel copy, unchecked
 *
 * Once an irqfd is deassigned no interrupt comes of it any more.
 * Return: 0; -EINVAL on bad flags, another file than an eventfd, without irqchip, or for resampling
 * without IOAPIC; -EBADF; -EBUSY when the eventfd is one of this VM's already; -ENOMEM.
 */
int irqfd_ioctl(struct vm *vm, const struct kvm_irqfd *args);

/**
 * irqfd_release_all() - deassign all
 * @vm: the VM, whose fd is gone. May sleep.
 */
void irqfd_release_all(struct vm *vm);

/**
 * ioeventfd_ioctl() - KVM_IOEVENTFD: an eventfd that a guest's write signals
 * @vm: the VM; caller holds none of its locks. May sleep.
 * @args: kernel copy, unchecked
 *
 * Return: 0; -EINVAL on a bad length, flag or range; -EBADF; -EEXIST when a write could mean two;
 * -ENOENT when there is none to be deassigned; -ENOSPC; -ENOMEM.
 */
int ioeventfd_ioctl(struct vm *vm, const struct kvm_ioeventfd *args);

/**
 * ioeventfd_destroy() - free them
 * @vm: the VM, without users; its buses are gone
 */
void ioeventfd_destroy(struct vm *vm);

/* ---- What irq/ needs of the rest (offered by vmx/ and ioctl/) ---- */

/**
 * vcpu_nmi() - queue an NMI and kick
 * @vcpu: any vCPU; any context
 */
void vcpu_nmi(struct vcpu *vcpu);

#endif
