/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of irq/ share: the local APIC's structure, messages to APICs, and the chips'
 * entry points.
 * This header must not be included outside irq/.
 */
#ifndef IRQ_INTERNAL_H
#define IRQ_INTERNAL_H

#include <linux/bitops.h>
#include <linux/hrtimer.h>
#include <linux/seqlock.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <asm/apicdef.h>

#include "irq.h"
#include "requests.h"
#include "vm.h"

/* As KVM's min_timer_period_us: no periodic timer of a guest may interrupt the host more often. */
#define TIMER_MIN_PERIOD_NS	200000ULL

#define XAPIC_BROADCAST		0xffU
#define X2APIC_BROADCAST	0xffffffffU

/* Delivery modes of ICR, LVT, IOAPIC entry and MSI data ("Interrupt Command Register (ICR)"). */
enum apic_delivery {
	DELIVER_FIXED, DELIVER_LOWEST, DELIVER_SMI, DELIVER_REMOTE_READ,
	DELIVER_NMI, DELIVER_INIT, DELIVER_STARTUP, DELIVER_EXTINT,
};

enum apic_shorthand {
	SHORT_NONE, SHORT_SELF, SHORT_ALL, SHORT_OTHERS,
};

/**
 * struct apic_msg - an interrupt on its way to local APICs
 * @dest:	APIC id or logical destination; unused with a shorthand
 * @vector:	vector, or the SIPI vector
 * @mode:	enum apic_delivery
 * @shorthand:	enum apic_shorthand
 * @logical:	@dest is logical
 * @level:	level triggered
 * @asserted:	level of a level-triggered message
 * @lowest:	one of the destinations is enough (lowest priority, MSI redirection hint)
 * @track_rtc:	mark the receivers' local APICs so that their EOI is noticed
 */
struct apic_msg {
	u32 dest;
	u8 vector;
	u8 mode;
	u8 shorthand;
	bool logical;
	bool level;
	bool asserted;
	bool lowest;
	bool track_rtc;
};

/*
 * Lowest priority among everybody is not allowed: it reaches everybody. @hint: MSI redirection
 * hint.
 */
static inline void apic_msg_set_lowest(struct apic_msg *msg, bool hint)
{
	bool everybody = !msg->logical && msg->dest == XAPIC_BROADCAST;

	msg->lowest = hint || (msg->mode == DELIVER_LOWEST && !everybody);
}

struct vlapic_timer {
	struct hrtimer hrtimer;
	atomic_t pending;	/* expired, not yet an interrupt */
	int armed;		/* (a) hrtimer queued for @armed_tsc, its callback not begun */
	u64 armed_tsc;		/* with the offset and frequency of the guest's TSC then */
	u64 armed_offset;
	u32 armed_khz;
	u64 deadline;		/* guest's TSC; 0 when disarmed; callback reads it */
	u32 mode;		/* APIC_LVT_TIMER_* */
	u64 divide;		/* ns per count */
	u64 period;		/* ns; changes only while the hrtimer is stopped */
	ktime_t target;		/* next expiry of one-shot and periodic mode */
};

/*
 * A local APIC. The vCPU's own thread (or the holder of vcpu->lock) writes everything but IRR, TMR,
 * irr_words, events and timer.pending, which any context sets atomically.
 */
struct vlapic {
	u8 *regs;			/* 4 KiB page; the CPU reads and writes VTPR in it */
	struct vcpu *vcpu;
	unsigned long irr_words;	/* (a) hint, by 32 vectors: some may have a request */
	int highest_isr;		/* -1: none */
	unsigned int isr_count;
	bool hw_enabled;		/* IA32_APIC_BASE.EN */
	bool sw_enabled;		/* SVR bit 8 */
	bool x2apic;
	bool accepts_pic;		/* PIC's INTR comes through LINT0 or past the APIC */
	bool lint0_nmi;			/* counted in vm->lint0_nmi */
	bool rtc_pending;		/* IOAPIC's lock: an RTC tick waits for EOI of rtc_vector */
	u8 rtc_vector;
	u8 nr_lvt;
	u8 sipi_vector;
	unsigned long events;		/* (a) VLAPIC_EV_* bits */
	u64 readable;			/* bit per register in the present mode */
	gpa_t base;			/* of the register page */
	struct vlapic_timer timer;
};

/*
 * APIC ids to local APICs. Marked dirty by any change of an id or mode, rebuilt by the next sender.
 * Written under @lock inside a write section of @seq; senders that meet one go the slow way.
 */
enum apic_logical_mode {
	LOGICAL_NONE, LOGICAL_FLAT, LOGICAL_CLUSTER, LOGICAL_X2APIC, LOGICAL_MIXED,
};

/* More vCPUs than this are not told of a message with the host's interrupts off. */
#define APIC_AT_ONCE	64

/* Messages that wait for a work item, oldest first; those that equal one of them are in it. */
#define APIC_LATER_MAX	64

struct apic_later {
	raw_spinlock_t lock;
	unsigned int nr;
	struct apic_msg msg[APIC_LATER_MAX];
	struct work_struct work;
	struct vm *vm;
};

struct apic_map {
	raw_spinlock_t lock;
	seqcount_t seq;
	int dirty;
	unsigned int nr_vcpus;		/* when it was built */
	unsigned int limit;		/* entries of @phys in use */
	bool aliased;			/* physical ids are not unique: match one by one */
	bool has_xapic;			/* somebody takes an id of 0xff for everybody */
	unsigned long eoi_vectors[4];	/* whose EOI the IOAPIC wants to know of; not of the map */
	struct apic_later later;	/* nor this */
	enum apic_logical_mode logical;
	struct vlapic *flat[8];
	struct vlapic *cluster[16][4];
	struct vlapic *phys[VM_MAX_VCPU_ID];
};

static inline u32 vlapic_reg(const struct vlapic *apic, unsigned int offset)
{
	return READ_ONCE(*(const u32 *)(apic->regs + offset));
}

static inline void vlapic_set_reg(struct vlapic *apic, unsigned int offset, u32 value)
{
	WRITE_ONCE(*(u32 *)(apic->regs + offset), value);
}

/* IRR, ISR and TMR are eight 32-bit registers, 16 bytes apart. */
static inline unsigned long *vlapic_vector_word(struct vlapic *apic, unsigned int bank, u8 vector)
{
	return (unsigned long *)(apic->regs + bank + ((vector >> 5) << 4));
}

static inline bool vlapic_test_vector(struct vlapic *apic, unsigned int bank, u8 vector)
{
	return vlapic_reg(apic, bank + ((vector >> 5) << 4)) & BIT(vector & 31);
}

static inline bool vlapic_usable(const struct vlapic *apic)
{
	return READ_ONCE(apic->hw_enabled) && READ_ONCE(apic->sw_enabled);
}

static inline u8 vlapic_xapic_id(const struct vlapic *apic)
{
	return vlapic_reg(apic, APIC_ID) >> 24;
}

static inline u32 vlapic_x2apic_id(const struct vlapic *apic)
{
	return apic->vcpu->id;
}

/* "Logical x2APIC ID" */
static inline u32 vlapic_x2apic_ldr(u32 id)
{
	return (id >> 4) << 16 | BIT(id & 0xf);
}

static inline void apic_map_dirty(struct vm *vm)
{
	/* Pairs with xchg() in apic_map_rebuild(), which comes before it reads registers. */
	smp_store_release(&vm->apic_map->dirty, 1);
}

static inline bool vioapic_wants_eoi(const struct vm *vm, u8 vector)
{
	return test_bit(vector, vm->apic_map->eoi_vectors);
}

static inline bool vlapic_lvt_is_nmi(u32 lvt)
{
	return (lvt & (APIC_MODE_MASK | APIC_LVT_MASKED)) == (DELIVER_NMI << 8);
}

/* vlapic.c */
void vlapic_recount(struct vlapic *apic);
void vlapic_priority_changed(struct vlapic *apic);
void vlapic_update_ppr(struct vlapic *apic);
void vlapic_lint0_changed(struct vlapic *apic);
void vlapic_set_svr(struct vlapic *apic, u32 value);
void vlapic_set_version(struct vlapic *apic);

bool vlapic_extint_pending(const struct vlapic *apic);

/* vlapic_regs.c */
void vlapic_eoi(struct vlapic *apic);
unsigned int vlapic_lvt_offset(unsigned int index);

/* later.c */
static inline bool apic_is_large(const struct vm *vm)
{
	return READ_ONCE(vm->nr_vcpus) > APIC_AT_ONCE;
}

/* Finding or telling the receivers of @msg takes long. False when it has to be done now. */
bool apic_put_off(struct vm *vm, const struct vlapic *source, const struct apic_msg *msg);
void apic_later_init(struct apic_later *later, struct vm *vm);
/* Waits until what was put off before has arrived. */
void apic_later_flush(struct vm *vm);
/* Whoever sends messages has been stopped. */
void apic_later_stop(struct vm *vm);

/* vlapic_ipi.c */
int apic_map_create(struct vm *vm);
void apic_map_destroy(struct vm *vm);
int apic_deliver(struct vm *vm, struct vlapic *source, const struct apic_msg *msg);
struct vlapic *apic_find_physical(struct vm *vm, u32 id);
int vlapic_accept(struct vlapic *apic, const struct apic_msg *msg, const struct vlapic *source);
int vlapic_deliver_lvt(struct vlapic *apic, unsigned int offset, const struct vlapic *source);
bool vlapic_matches(const struct vlapic *apic, const struct vlapic *source, u32 dest, bool logical);
void vlapic_write_icr(struct vlapic *apic, u32 low, u32 high);

/* vlapic_timer.c */
void vlapic_timer_init(struct vlapic *apic);
void vlapic_timer_stop(struct vlapic *apic);
void vlapic_timer_mode_changed(struct vlapic *apic);
u32 vlapic_timer_mode_mask(const struct vlapic *apic);
void vlapic_timer_set_initial(struct vlapic *apic, u32 value);
void vlapic_timer_set_divide(struct vlapic *apic, u32 value);
void vlapic_timer_reset(struct vlapic *apic);
void vlapic_timer_forget(struct vlapic *apic);
void vlapic_timer_restore(struct vlapic *apic);
u32 vlapic_timer_current(const struct vlapic *apic);

/* vpic.c */
int vpic_create(struct vm *vm);
void vpic_unregister(struct vm *vm);
void vpic_destroy(struct vm *vm);
int vpic_set_line(struct vm *vm, unsigned int source, unsigned int pin, bool level);
void vpic_get(struct vm *vm, unsigned int chip, struct kvm_pic_state *state);
void vpic_set(struct vm *vm, unsigned int chip, const struct kvm_pic_state *state);
void vpic_set_notify_pins(struct vm *vm, u16 pit, u16 resample);

/* vioapic.c */
int vioapic_create(struct vm *vm);
void vioapic_unregister(struct vm *vm);
void vioapic_stop(struct vm *vm);
void vioapic_destroy(struct vm *vm);
int vioapic_set_line(struct vm *vm, unsigned int source, unsigned int pin, bool level);
void vioapic_eoi(struct vlapic *apic, u8 vector, bool level);
void vioapic_get(struct vm *vm, struct kvm_ioapic_state *state);
void vioapic_set(struct vm *vm, const struct kvm_ioapic_state *state);
void vioapic_set_notify_pins(struct vm *vm, u32 pit, u32 resample);
void vioapic_restore_rtc(struct vlapic *apic);

/* vpit.c */
void vpit_destroy(struct vm *vm);
void vpit_stop(struct vm *vm);
void vpit_acked(struct vm *vm);
void vpit_unmasked(struct vm *vm);
void vpit_migrate(struct vm *vm);

/* route.c */
int irq_routing_default(struct vm *vm);
bool irq_routing_wants_eoi(struct vm *vm, struct vlapic *apic, u8 vector);
void irq_routing_notify(struct vm *vm);
int irq_routing_pin_gsi(struct vm *vm, unsigned int chip, unsigned int pin);
void irq_routing_destroy(struct vm *vm);

/* irqfd.c */
bool irqfd_resamples(struct vm *vm, u32 gsi);
void irqfd_pins_acked(struct vm *vm, unsigned int chip, unsigned long pins);
void irqfd_pin_resample(struct vm *vm, unsigned int chip, unsigned int pin);

#endif
