// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages to local APICs: finding the destinations and accepting what arrives.
 * This file must not sleep, allocate while delivering, nor take a lock a receiver could hold.
 */
#include <linux/errno.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

/* ---- Accepting ---- */

static void vlapic_wake(struct vlapic *apic, const struct vlapic *source)
{
	vcpu_request(apic->vcpu, REQ_EVENT);
	/* A vCPU that interrupts itself is here, not in the guest. */
	if (apic != source)
		vcpu_kick(apic->vcpu);
}

static int vlapic_accept_fixed(struct vlapic *apic, const struct apic_msg *msg,
			       const struct vlapic *source)
{
	u8 vector = msg->vector;

	if (unlikely(msg->level && !msg->asserted) || unlikely(!vlapic_usable(apic)))
		return 0;
	if (msg->track_rtc) {
		apic->rtc_pending = true;
		apic->rtc_vector = vector;
	}
	if (vlapic_test_vector(apic, APIC_TMR, vector) != msg->level) {
		if (msg->level)
			set_bit(vector & 31, vlapic_vector_word(apic, APIC_TMR, vector));
		else
			clear_bit(vector & 31, vlapic_vector_word(apic, APIC_TMR, vector));
	}
	/* Who finds the bit set leaves the waking to who set it. */
	if (test_and_set_bit(vector & 31, vlapic_vector_word(apic, APIC_IRR, vector)))
		return 1;
	set_bit(vector >> 5, &apic->irr_words);
	vlapic_wake(apic, source);
	return 1;
}

static int vlapic_accept_init(struct vlapic *apic, const struct apic_msg *msg,
			      const struct vlapic *source)
{
	/* The level de-assert message of old ("INIT Level De-assert") does nothing. */
	if (msg->level && !msg->asserted)
		return 0;
	xchg(&apic->events, VLAPIC_EV_INIT);
	vlapic_wake(apic, source);
	return 1;
}

static int vlapic_accept_startup(struct vlapic *apic, const struct apic_msg *msg,
				 const struct vlapic *source)
{
	WRITE_ONCE(apic->sipi_vector, msg->vector);
	/* Who sees the event sees the vector; pairs with xchg() in vlapic_take_init_sipi(). */
	smp_mb__before_atomic();
	set_bit(ilog2(VLAPIC_EV_SIPI), &apic->events);
	vlapic_wake(apic, source);
	return 1;
}

/* 1 when accepted, 0 when dropped. ExtINT comes by vpic_output(). */
int vlapic_accept(struct vlapic *apic, const struct apic_msg *msg, const struct vlapic *source)
{
	if (likely(msg->mode <= DELIVER_LOWEST))
		return vlapic_accept_fixed(apic, msg, source);
	switch (msg->mode) {
	case DELIVER_NMI:
		vcpu_nmi(apic->vcpu);
		return 1;
	case DELIVER_SMI:
		if (!hw_has_smm())
			return 0;
		vcpu_smi(apic->vcpu);
		return 1;
	case DELIVER_INIT:
		return vlapic_accept_init(apic, msg, source);
	case DELIVER_STARTUP:
		return vlapic_accept_startup(apic, msg, source);
	default:
		return 0;
	}
}

/* "Local Vector Table": an event of the local APIC itself. */
int vlapic_deliver_lvt(struct vlapic *apic, unsigned int offset, const struct vlapic *source)
{
	u32 lvt = vlapic_reg(apic, offset);
	struct apic_msg msg = {
		.vector = lvt & APIC_VECTOR_MASK,
		.mode = lvt >> 8 & 7,
		.level = lvt & APIC_LVT_LEVEL_TRIGGER,
		.asserted = true,
	};

	if (!READ_ONCE(apic->hw_enabled) || (lvt & APIC_LVT_MASKED))
		return 0;
	return vlapic_accept(apic, &msg, source);
}

/* ---- Matching one by one ---- */

/*
 * IOAPIC entries and MSIs have 8 bits of destination and no remapping behind them. For all ones in
 * it an APIC in x2APIC mode feels addressed too, unless user space wants real x2APIC destinations.
 */
static u32 vlapic_effective_dest(const struct vlapic *apic, const struct vlapic *source, u32 dest)
{
	if (!source && dest == XAPIC_BROADCAST && READ_ONCE(apic->x2apic) &&
	    !apic->vcpu->vm->x2apic_no_bcast_quirk)
		return X2APIC_BROADCAST;
	return dest;
}

/*
 * An id above 255 finds an APIC in xAPIC mode as well: a hotplugged CPU could not be started
 * otherwise.
 */
static bool vlapic_matches_physical(const struct vlapic *apic, u32 dest)
{
	if (READ_ONCE(apic->x2apic) || dest > 0xff)
		return dest == vlapic_x2apic_id(apic);
	return dest == vlapic_xapic_id(apic);
}

/* "Logical Destination Mode", "Determining IPI Destination in x2APIC Mode" */
static bool vlapic_matches_logical(const struct vlapic *apic, u32 dest)
{
	u32 ldr = vlapic_reg(apic, APIC_LDR);

	if (READ_ONCE(apic->x2apic))
		return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);
	ldr >>= 24;
	switch (vlapic_reg(apic, APIC_DFR)) {
	case APIC_DFR_FLAT:
		return ldr & dest;
	case APIC_DFR_CLUSTER:
		return ldr >> 4 == dest >> 4 && (ldr & dest & 0xf);
	default:
		return false;
	}
}

bool vlapic_matches(const struct vlapic *apic, const struct vlapic *source, u32 dest, bool logical)
{
	dest = vlapic_effective_dest(apic, source, dest);
	if (dest == (READ_ONCE(apic->x2apic) ? X2APIC_BROADCAST : XAPIC_BROADCAST))
		return true;
	return logical ? vlapic_matches_logical(apic, dest) : vlapic_matches_physical(apic, dest);
}

static bool vlapic_addressed(const struct vlapic *apic, const struct vlapic *source,
			     const struct apic_msg *msg)
{
	if (!READ_ONCE(apic->hw_enabled))
		return false;
	switch (msg->shorthand) {
	case SHORT_NONE:
		return vlapic_matches(apic, source, msg->dest, msg->logical);
	case SHORT_SELF:
		return apic == source;
	case SHORT_ALL:
		return true;
	default:
		return apic != source;
	}
}

/* Among lowest priority's destinations only software-enabled APICs arbitrate. */
static bool vlapic_competes(const struct vlapic *apic, const struct vlapic *source,
			    const struct apic_msg *msg)
{
	return READ_ONCE(apic->sw_enabled) && vlapic_addressed(apic, source, msg);
}

static int apic_deliver_all(struct vm *vm, struct vlapic *source, const struct apic_msg *msg)
{
	struct vcpu *vcpu;
	unsigned int i;
	int ret = -1;

	vm_for_each_vcpu(i, vcpu, vm)
		if (vlapic_addressed(vcpu->lapic, source, msg))
			ret = max(ret, 0) + vlapic_accept(vcpu->lapic, msg, source);
	return ret;
}

/*
 * One of the destinations, by vector: as good as the priority that no modern processor arbitrates
 * by.
 */
static int apic_deliver_one(struct vm *vm, struct vlapic *source, const struct apic_msg *msg)
{
	unsigned int i, nr = 0, skip;
	struct vlapic *last = NULL;
	struct vcpu *vcpu;

	vm_for_each_vcpu(i, vcpu, vm)
		if (vlapic_competes(vcpu->lapic, source, msg))
			nr++;
	if (!nr)
		return -1;
	skip = msg->vector % nr;
	vm_for_each_vcpu(i, vcpu, vm) {
		if (!vlapic_competes(vcpu->lapic, source, msg))
			continue;
		last = vcpu->lapic;
		if (!skip--)
			break;
	}
	return last ? vlapic_accept(last, msg, source) : -1;
}

static int apic_deliver_slow(struct vm *vm, struct vlapic *source, const struct apic_msg *msg)
{
	return msg->lowest ? apic_deliver_one(vm, source, msg) : apic_deliver_all(vm, source, msg);
}

/* ---- The map ---- */

static void map_add_physical(struct apic_map *map, struct vlapic *apic)
{
	u32 id = apic->x2apic ? vlapic_x2apic_id(apic) : vlapic_xapic_id(apic);

	map->has_xapic |= !apic->x2apic;
	/* With 32-bit ids in use, ids of xAPICs that wrapped round yield to the others. */
	if (!apic->vcpu->vm->x2apic_ids) {
		map->aliased |= !!map->phys[id];
		map->phys[id] = apic;
	} else if (apic->x2apic || !map->phys[id]) {
		map->phys[id] = apic;
	}
	if (!apic->x2apic && vlapic_x2apic_id(apic) > 0xff)
		map->phys[vlapic_x2apic_id(apic)] = apic;
}

/*
 * The place of an xAPIC in the map of its logical mode; NULL when its logical id has not exactly
 * one bit.
 */
static struct vlapic **map_logical_place(struct apic_map *map, enum apic_logical_mode mode, u8 id)
{
	u8 bits = mode == LOGICAL_FLAT ? id : id & 0xf;

	if (!is_power_of_2(bits))
		return NULL;
	if (mode == LOGICAL_FLAT)
		return &map->flat[ilog2(bits)];
	return &map->cluster[id >> 4][ilog2(bits)];
}

static enum apic_logical_mode vlapic_logical_mode(const struct vlapic *apic)
{
	if (apic->x2apic)
		return LOGICAL_X2APIC;
	return vlapic_reg(apic, APIC_DFR) == APIC_DFR_FLAT ? LOGICAL_FLAT : LOGICAL_CLUSTER;
}

static void map_add_logical(struct apic_map *map, struct vlapic *apic)
{
	enum apic_logical_mode mode = vlapic_logical_mode(apic);
	u32 ldr = vlapic_reg(apic, APIC_LDR);
	struct vlapic **place;

	if (map->logical == LOGICAL_MIXED || !READ_ONCE(apic->sw_enabled) || !ldr)
		return;
	if (map->logical == LOGICAL_NONE)
		map->logical = mode;
	if (map->logical != mode) {
		map->logical = LOGICAL_MIXED;
		return;
	}
	/* An x2APIC's logical id follows from its id: the physical map serves both. */
	if (mode == LOGICAL_X2APIC)
		return;
	ldr >>= 24;
	if (mode == LOGICAL_CLUSTER && !(ldr & 0xf))
		return;
	place = map_logical_place(map, mode, ldr);
	if (!place || *place)
		map->logical = LOGICAL_MIXED;
	else
		*place = apic;
}

static void apic_map_rebuild(struct vm *vm)
{
	struct apic_map *map = vm->apic_map;
	struct vcpu *vcpu;
	unsigned long flags;
	unsigned int i, limit;

	raw_spin_lock_irqsave(&map->lock, flags);
	raw_write_seqcount_begin(&map->seq);
	/* Full barrier: who sets the flag after this makes the next sender come here again. */
	xchg(&map->dirty, 0);
	memset(map->flat, 0, sizeof(map->flat));
	memset(map->cluster, 0, sizeof(map->cluster));
	memset(map->phys, 0, map->limit * sizeof(map->phys[0]));
	map->aliased = false;
	map->has_xapic = false;
	map->logical = LOGICAL_NONE;
	limit = 0x100;
	vm_for_each_vcpu(i, vcpu, vm) {
		if (!READ_ONCE(vcpu->lapic->hw_enabled))
			continue;
		limit = max(limit, vcpu->id + 1);
		map_add_physical(map, vcpu->lapic);
		map_add_logical(map, vcpu->lapic);
	}
	map->limit = limit;
	map->nr_vcpus = i;
	raw_write_seqcount_end(&map->seq);
	raw_spin_unlock_irqrestore(&map->lock, flags);
}

/* Whether a destination means everybody, which the map does not serve. */
static bool apic_dest_is_broadcast(const struct vm *vm, const struct apic_map *map,
				   const struct vlapic *source, u32 dest)
{
	if (vm->x2apic_no_bcast_quirk)
		return dest == X2APIC_BROADCAST ||
		       (dest == XAPIC_BROADCAST && map->has_xapic);
	return dest == (source && source->x2apic ? X2APIC_BROADCAST : XAPIC_BROADCAST);
}

/* The candidates of a logical destination: a place in the map and a bit for each entry meant. */
static struct vlapic *const *map_find_logical(const struct apic_map *map, u32 dest, u32 *bits)
{
	u32 cluster;

	*bits = 0;
	switch (map->logical) {
	case LOGICAL_FLAT:
		*bits = dest & 0xff;
		return map->flat;
	case LOGICAL_CLUSTER:
		*bits = dest & 0xf;
		return map->cluster[dest >> 4 & 0xf];
	case LOGICAL_X2APIC:
		cluster = dest >> 16;
		if (cluster >= VM_MAX_VCPU_ID / 16)
			return map->phys;
		*bits = dest & 0xffff;
		return map->phys + array_index_nospec(cluster, VM_MAX_VCPU_ID / 16) * 16;
	default:
		return map->phys;
	}
}

/*
 * Fills @found with the destinations of a message without shorthand; -1 when the map cannot tell.
 * Runs inside a read section of map->seq: the result counts only if that holds.
 */
static int map_find(const struct vm *vm, const struct apic_map *map, const struct vlapic *source,
		    const struct apic_msg *msg, struct vlapic *found[16])
{
	bool x2apic = map->logical == LOGICAL_X2APIC;
	struct vlapic *const *place;
	unsigned int nr = 0, i;
	struct vlapic *apic;
	u32 bits;

	if (apic_dest_is_broadcast(vm, map, source, msg->dest))
		return -1;
	if (!msg->logical) {
		if (map->aliased)
			return -1;
		if (msg->dest >= VM_MAX_VCPU_ID)
			return 0;
		found[0] = READ_ONCE(map->phys[array_index_nospec(msg->dest, VM_MAX_VCPU_ID)]);
		return !!found[0];
	}

	if (map->logical == LOGICAL_MIXED || (x2apic && map->aliased))
		return -1;
	place = map_find_logical(map, msg->dest, &bits);
	for (; bits; bits &= bits - 1) {
		i = __ffs(bits);
		apic = READ_ONCE(place[i]);
		if (!apic || x2apic != READ_ONCE(apic->x2apic))
			continue;
		if (!msg->lowest || READ_ONCE(apic->sw_enabled))
			found[nr++] = apic;
	}
	return nr;
}

/* New vCPUs mark nothing; their number tells. */
static __always_inline bool apic_map_is_old(const struct vm *vm)
{
	const struct apic_map *map = vm->apic_map;

	return READ_ONCE(map->dirty) || map->nr_vcpus != READ_ONCE(vm->nr_vcpus);
}

static __always_inline void apic_map_refresh(struct vm *vm)
{
	if (unlikely(apic_map_is_old(vm)))
		apic_map_rebuild(vm);
}

/* The one enabled APIC with a physical id, or NULL. */
struct vlapic *apic_find_physical(struct vm *vm, u32 id)
{
	struct apic_map *map = vm->apic_map;
	struct vlapic *apic;
	unsigned int seq;

	if (id >= VM_MAX_VCPU_ID)
		return NULL;
	apic_map_refresh(vm);
	do {
		seq = read_seqcount_begin(&map->seq);
		apic = NULL;
		if (!map->aliased)
			apic = READ_ONCE(map->phys[array_index_nospec(id, VM_MAX_VCPU_ID)]);
	} while (read_seqcount_retry(&map->seq, seq));
	return apic;
}

int apic_deliver(struct vm *vm, struct vlapic *source, const struct apic_msg *msg)
{
	struct apic_map *map = vm->apic_map;
	struct vlapic *found[16];
	unsigned int seq;
	int nr, i, ret = 0;

	if (unlikely(msg->shorthand)) {
		if (msg->shorthand == SHORT_SELF)
			return vlapic_accept(source, msg, source);
		return apic_deliver_slow(vm, source, msg);
	}
	if (unlikely(apic_map_is_old(vm))) {
		if (apic_put_off(vm, source, msg))
			return 1;
		apic_map_rebuild(vm);
	}
	seq = raw_seqcount_begin(&map->seq);
	nr = map_find(vm, map, source, msg, found);
	if (unlikely(nr < 0) || unlikely(read_seqcount_retry(&map->seq, seq)))
		return apic_put_off(vm, source, msg) ? 1 : apic_deliver_slow(vm, source, msg);

	if (likely(nr == 1))
		return vlapic_accept(found[0], msg, source);
	if (msg->lowest && nr > 1)
		return vlapic_accept(found[msg->vector % nr], msg, source);
	for (i = 0; i < nr; i++)
		ret += vlapic_accept(found[i], msg, source);
	return ret;
}

int apic_map_create(struct vm *vm)
{
	struct apic_map *map = kvzalloc(sizeof(*map), GFP_KERNEL_ACCOUNT);

	if (!map)
		return -ENOMEM;
	raw_spin_lock_init(&map->lock);
	seqcount_init(&map->seq);
	map->dirty = 1;
	apic_later_init(&map->later, vm);
	vm->apic_map = map;
	return 0;
}

void apic_map_destroy(struct vm *vm)
{
	kvfree(vm->apic_map);
	vm->apic_map = NULL;
}

bool vlapic_icr_is_slow(const struct vcpu *vcpu, u64 icr)
{
	const struct apic_map *map = vcpu->vm->apic_map;

	if (likely(!apic_is_large(vcpu->vm)))
		return false;
	if (apic_map_is_old(vcpu->vm) || READ_ONCE(map->aliased))
		return true;
	if (icr >> 18 & 3)
		return (icr >> 18 & 3) != SHORT_SELF;
	return icr >> 32 == X2APIC_BROADCAST ||
	       (icr & APIC_DEST_LOGICAL && READ_ONCE(map->logical) == LOGICAL_MIXED);
}

/* "Interrupt Command Register (ICR)"; @high is the whole id in x2APIC mode. */
void vlapic_write_icr(struct vlapic *apic, u32 low, u32 high)
{
	struct apic_msg msg = {
		.dest = apic->x2apic ? high : high >> 24,
		.vector = low & APIC_VECTOR_MASK,
		.mode = low >> 8 & 7,
		.shorthand = low >> 18 & 3,
		.logical = low & APIC_DEST_LOGICAL,
		.level = low & APIC_INT_LEVELTRIG,
		.asserted = low & APIC_INT_ASSERT,
	};

	apic_msg_set_lowest(&msg, false);
	apic_deliver(apic->vcpu->vm, apic, &msg);
}
