// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvmclock: a clock that all vCPUs of a VM read from memory they share with us, and the TSC.
 * It must not change any TSC; tsc.c does, and tells.
 *
 * Guest time is the host's raw monotonic clock, time asleep included, plus an offset. While the
 * host keeps its own time by the TSC and all vCPUs' TSCs agree, every vCPU derives it from one pair
 * of readings, the master: then it is the same on all of them, and the guest is told that it is.
 * Otherwise each vCPU gets a pair of its own whenever it comes to a CPU.
 */
#include <linux/clocksource.h>
#include <linux/irq_work.h>
#include <linux/math64.h>
#include <linux/mutex.h>
#include <linux/pvclock_gtod.h>
#include <linux/timekeeper_internal.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>
#include <asm/pvclock.h>
#include <asm/tsc.h>
#include <vdso/clocksource.h>

#include "guest_state.h"
#include "requests.h"

/* ---- The host's clocks ---- */

/* One moment: the TSC, the base of guests' clocks, the time of day. */
struct host_clock {
	u64 tsc, base, real;
};

/* The timekeeper's clocksource is the TSC. */
static bool host_uses_tsc __read_mostly;

static u64 host_base(ktime_t raw)
{
	return ktime_to_ns(ktime_add(raw, ktime_mono_to_any(0, TK_OFFS_BOOT)));
}

/*
 * Return: whether @now->tsc is what the host computed the time from; else it was read nearby. The
 * clocksource may change under us: what was read must lie between two readings of the TSC.
 */
static bool host_clock_read(struct host_clock *now)
{
	struct system_time_snapshot snap;
	unsigned long flags;
	u64 before, after;

	local_irq_save(flags);
	before = rdtsc_ordered();
	ktime_get_snapshot(&snap);
	after = rdtsc_ordered();
	local_irq_restore(flags);
	now->base = host_base(snap.raw);
	now->real = ktime_to_ns(snap.real);
	if (READ_ONCE(host_uses_tsc) && snap.cycles - before <= after - before) {
		now->tsc = snap.cycles;
		return true;
	}
	now->tsc = after;
	return false;
}

bool pvclock_host_pairing(u64 *tsc, u64 *real)
{
	struct host_clock now;
	bool paired = host_clock_read(&now);

	*tsc = now.tsc;
	*real = now.real;
	return paired;
}

/*
 * Nanoseconds are (cycles << shift) * mul >> 32: the shift that brings the ratio between a half and
 * one leaves the multiplier all its bits.
 */
static void scale_for(u64 khz, s8 *shift, u32 *mul)
{
	u64 ns = NSEC_PER_SEC, hz = khz * 1000;

	*shift = 0;
	for (; ns >= hz; hz <<= 1)
		++*shift;
	for (; ns << 1 <= hz; ns <<= 1)
		--*shift;
	*mul = mul_u64_u64_div_u64(ns, 1ull << 32, hz);
}

/* ---- The VM's clock ---- */

/* The clock at a TSC value of the host's, by the master; lock held. */
static u64 master_clock_at(const struct vm_clock *clock, u64 tsc)
{
	u32 mul;
	s8 shift;

	scale_for(hw.tsc_khz, &shift, &mul);
	return clock->master_ns + clock->offset +
	       pvclock_scale_delta(tsc - clock->master_tsc, mul, shift);
}

/* Guests map one vCPU's page for all: it must hold for all of them. */
static bool tscs_agree(struct vm *vm)
{
	const struct vcpu *first = vm_vcpu(vm, 0);
	struct vcpu *vcpu;
	unsigned int i;

	if (!first || check_tsc_unstable())
		return false;
	vm_for_each_vcpu(i, vcpu, vm) {
		if (READ_ONCE(vcpu->tsc_offset) != READ_ONCE(first->tsc_offset) ||
		    vcpu->tsc_ratio != first->tsc_ratio)
			return false;
	}
	return true;
}

/*
 * Take a new master, or do without. No vCPU is in guest mode or can enter it: none sees a time of
 * the old one after another has seen the new. The clock itself goes on without a jump.
 */
static void renew_master(struct vm *vm)
{
	struct vm_clock *clock = &vm->clock;
	struct host_clock now;
	bool by_tsc, stable;

	WRITE_ONCE(clock->outdated, false);
	stable = tscs_agree(vm) && !clock->old_msr;
	by_tsc = host_clock_read(&now);
	/* ... except over a suspend, in which the TSC began anew and the base did not. */
	if (clock->stable && now.tsc >= clock->master_tsc)
		clock->offset = master_clock_at(clock, now.tsc) - now.base;
	clock->master_tsc = now.tsc;
	clock->master_ns = now.base;
	WRITE_ONCE(clock->stable, stable && by_tsc);
}

/*
 * Nobody enters with REQ_CLOCK, and serving it takes the lock: until that is free again, all are
 * outside.
 */
static void keep_all_out(struct vm *vm)
{
	lockdep_assert_held(&vm->clock.lock);
	vcpu_request_all(vm, REQ_CLOCK, true);
}

void pvclock_renew(struct vm *vm)
{
	spin_lock(&vm->clock.lock);
	keep_all_out(vm);
	renew_master(vm);
	spin_unlock(&vm->clock.lock);
}

void pvclock_tsc_changed(struct vcpu *vcpu)
{
	struct vm_clock *clock = &vcpu->vm->clock;

	WRITE_ONCE(clock->outdated, true);
	if (READ_ONCE(clock->in_use))
		vcpu_request(vcpu, REQ_CLOCK_MASTER);
}

void pvclock_get(struct vm *vm, struct kvm_clock_data *data)
{
	struct vm_clock *clock = &vm->clock;
	struct host_clock now;
	bool by_tsc;

	if (READ_ONCE(clock->outdated))
		pvclock_renew(vm);
	spin_lock(&clock->lock);
	by_tsc = host_clock_read(&now);
	if (clock->stable) {
		data->clock = master_clock_at(clock, now.tsc);
		data->host_tsc = now.tsc;
		data->flags = KVM_CLOCK_TSC_STABLE;
		if (by_tsc) {
			data->realtime = now.real;
			data->flags |= KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
		}
	} else {
		data->clock = now.base + clock->offset;
	}
	spin_unlock(&clock->lock);
}

void pvclock_set(struct vm *vm, const struct kvm_clock_data *data)
{
	struct vm_clock *clock = &vm->clock;
	u64 value = data->clock, now;

	spin_lock(&clock->lock);
	keep_all_out(vm);
	renew_master(vm);
	if (data->flags & KVM_CLOCK_REALTIME) {
		now = ktime_get_real_ns();
		/* The guest's clock never steps back, whatever happened to the host's. */
		if (now > data->realtime)
			value += now - data->realtime;
	}
	clock->offset = value - clock->master_ns;
	spin_unlock(&clock->lock);
}

/* ---- The vCPU's page ---- */

/* Never 0: user space may ask for 1 kHz, and the ratio is rounded down. */
static u32 guest_khz(const struct vcpu *vcpu)
{
	if (!vcpu->tsc_ratio)
		return hw.tsc_khz;
	return mul_u64_u64_shr(hw.tsc_khz, vcpu->tsc_ratio, hw.tsc_frac_bits) ?: 1;
}

/* The version is odd while the rest changes; the guest reads until it is even and the same. */
static void write_page(struct vcpu *vcpu, struct pvclock_vcpu_time_info *t)
{
	gpa_t gpa = vcpu->pv.system_time & ~(u64)KVM_MSR_ENABLED;
	struct pvclock_vcpu_time_info old;

	if (guest_read(vcpu, gpa, &old, sizeof(old)))
		return;
	/* The guest clears this itself when it has dealt with it. */
	t->flags |= old.flags & PVCLOCK_GUEST_STOPPED;
	if (vcpu->pv.guest_stopped) {
		t->flags |= PVCLOCK_GUEST_STOPPED;
		vcpu->pv.guest_stopped = false;
	}
	t->version = (old.version + 1) | 1;
	if (guest_write(vcpu, gpa, &t->version, sizeof(t->version)))
		return;
	smp_wmb();	/* the guest's reader: version, then the rest, then version */
	guest_write(vcpu, gpa + sizeof(t->version), (void *)t + sizeof(t->version),
		    sizeof(*t) - sizeof(t->version));
	smp_wmb();	/* as above */
	t->version++;
	guest_write(vcpu, gpa, &t->version, sizeof(t->version));
}

void pvclock_update(struct vcpu *vcpu)
{
	struct vm_clock *clock = &vcpu->vm->clock;
	struct pvclock_vcpu_time_info t = {};
	struct host_clock now;

	if (!(vcpu->pv.system_time & KVM_MSR_ENABLED))
		return;
	spin_lock(&clock->lock);
	if (clock->stable) {
		now.tsc = clock->master_tsc;
		now.base = clock->master_ns;
		t.flags = PVCLOCK_TSC_STABLE_BIT;
	} else {
		host_clock_read(&now);
	}
	t.system_time = now.base + clock->offset;
	spin_unlock(&clock->lock);
	t.tsc_timestamp = vcpu_tsc_at(vcpu, now.tsc);
	scale_for(guest_khz(vcpu), &t.tsc_shift, &t.tsc_to_system_mul);
	write_page(vcpu, &t);
}

int pvclock_guest_stopped(struct vcpu *vcpu)
{
	if (!(vcpu->pv.system_time & KVM_MSR_ENABLED))
		return vcpu_refuse(vcpu, -EINVAL, "the guest does not use kvmclock", 0);
	vcpu->pv.guest_stopped = true;
	vcpu_request(vcpu, REQ_CLOCK);
	return 0;
}

/* ---- MSRs ---- */

/*
 * A bootstrap processor that uses the deprecated MSR belongs to a kernel of old, which trusts
 * PVCLOCK_TSC_STABLE_BIT where it should not.
 */
int pvclock_set_system_time(struct vcpu *vcpu, const struct msr_row *row,
			    const struct msr_access *msr)
{
	struct vm_clock *clock = &vcpu->vm->clock;
	bool old = row->first == MSR_KVM_SYSTEM_TIME;

	if (!pv_msr_allowed(vcpu, row))
		return pv_msr_refuse(msr);
	if (!vcpu->id && !msr->host && READ_ONCE(clock->old_msr) != old) {
		WRITE_ONCE(clock->old_msr, old);
		WRITE_ONCE(clock->outdated, true);
	}
	vcpu->pv.system_time = msr->data;
	WRITE_ONCE(clock->in_use, true);
	vcpu_request(vcpu, READ_ONCE(clock->outdated) ? REQ_CLOCK_MASTER : REQ_CLOCK);
	return 0;
}

/* The time of day at which the guest's clock was zero. */
static u64 wall_clock_epoch(struct vm *vm)
{
	struct vm_clock *clock = &vm->clock;
	struct host_clock now;
	u64 at;

	if (READ_ONCE(clock->outdated))
		pvclock_renew(vm);
	spin_lock(&clock->lock);
	host_clock_read(&now);
	at = clock->stable ? master_clock_at(clock, now.tsc) : now.base + clock->offset;
	spin_unlock(&clock->lock);
	return now.real - at;
}

static void write_wall_clock(struct vcpu *vcpu, gpa_t gpa)
{
	struct pvclock_wall_clock wall;
	u32 version, rest;
	u64 epoch;

	if (!gpa || guest_read(vcpu, gpa, &version, sizeof(version)))
		return;
	/* What lies there at first may be odd, and anything. */
	version = (version + 1) | 1;
	if (guest_write(vcpu, gpa, &version, sizeof(version)))
		return;
	epoch = wall_clock_epoch(vcpu->vm);
	wall.sec = div_u64_rem(epoch, NSEC_PER_SEC, &rest);
	wall.nsec = rest;
	smp_wmb();	/* as in write_page() */
	guest_write(vcpu, gpa + sizeof(version), &wall.sec, sizeof(wall) - sizeof(version));
	smp_wmb();	/* as in write_page() */
	version++;
	guest_write(vcpu, gpa, &version, sizeof(version));
}

int pvclock_get_wall_clock(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr)
{
	if (!pv_msr_allowed(vcpu, row))
		return pv_msr_refuse(msr);
	msr->data = READ_ONCE(vcpu->vm->clock.wall_clock);
	return 0;
}

int pvclock_set_wall_clock(struct vcpu *vcpu, const struct msr_row *row,
			   const struct msr_access *msr)
{
	if (!pv_msr_allowed(vcpu, row))
		return pv_msr_refuse(msr);
	WRITE_ONCE(vcpu->vm->clock.wall_clock, msr->data);
	write_wall_clock(vcpu, msr->data);
	return 0;
}

/* ---- Life ---- */

/* All VMs: a new clocksource of the host concerns each of them. */
static LIST_HEAD(vms);
static DEFINE_MUTEX(vms_lock);

void pvclock_vm_init(struct vm *vm)
{
	struct vm_clock *clock = &vm->clock;

	spin_lock_init(&clock->lock);
	clock->offset = -host_base(ktime_get_raw());
	clock->outdated = true;
	mutex_lock(&vms_lock);
	list_add(&clock->link, &vms);
	mutex_unlock(&vms_lock);
}

void pvclock_vm_destroy(struct vm *vm)
{
	mutex_lock(&vms_lock);
	list_del(&vm->clock.link);
	mutex_unlock(&vms_lock);
}

static void clocksource_changed(struct work_struct *unused)
{
	struct vm_clock *clock;

	mutex_lock(&vms_lock);
	list_for_each_entry(clock, &vms, link) {
		WRITE_ONCE(clock->outdated, true);
		if (READ_ONCE(clock->in_use))
			pvclock_renew(container_of(clock, struct vm, clock));
	}
	mutex_unlock(&vms_lock);
}

static DECLARE_WORK(clocksource_work, clocksource_changed);

static void queue_clocksource_work(struct irq_work *unused)
{
	schedule_work(&clocksource_work);
}

static DEFINE_IRQ_WORK(clocksource_irq_work, queue_clocksource_work);

void pvclock_host_resumed(void)
{
	irq_work_queue(&clocksource_irq_work);
}

/*
 * Called at each tick with the timekeeper's locks held: nothing that reads the time or wakes
 * anybody.
 */
static int timekeeper_updated(struct notifier_block *nb, unsigned long stepped, void *data)
{
	const struct timekeeper *tk = data;
	bool by_tsc = tk->tkr_mono.clock->vdso_clock_mode == VDSO_CLOCKMODE_TSC;

	if (unlikely(by_tsc != READ_ONCE(host_uses_tsc))) {
		WRITE_ONCE(host_uses_tsc, by_tsc);
		irq_work_queue(&clocksource_irq_work);
	}
	return 0;
}

static struct notifier_block timekeeper_notifier = {
	.notifier_call = timekeeper_updated,
};

int __init pvclock_module_init(void)
{
	return pvclock_gtod_register_notifier(&timekeeper_notifier);
}

void pvclock_module_exit(void)
{
	pvclock_gtod_unregister_notifier(&timekeeper_notifier);
	irq_work_sync(&clocksource_irq_work);
	cancel_work_sync(&clocksource_work);
}
