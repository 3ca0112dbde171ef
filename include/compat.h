/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The differences between host kernels, each behind one name, chosen by Kbuild's probes.
 * This header must not compare kernel versions.
 */
#ifndef KVMLET_COMPAT_H
#define KVMLET_COMPAT_H

#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/shrinker.h>
#include <linux/smp.h>
#include <linux/syscore_ops.h>
#include <linux/task_work.h>
#include <asm/msr.h>

#ifndef HAVE_HRTIMER_SETUP
static inline void compat_hrtimer_setup(struct hrtimer *timer,
					enum hrtimer_restart (*fn)(struct hrtimer *),
					clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
}
#else
#define compat_hrtimer_setup	hrtimer_setup
#endif

static inline void compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#ifdef HAVE_EVENTFD_SIGNAL_1ARG
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

/* Force @cpu through its reschedule interrupt, which ends guest mode there. */
static inline void compat_kick_cpu(int cpu)
{
#ifdef HAVE_ARCH_RESCHEDULE
	arch_smp_send_reschedule(cpu);
#else
	smp_send_reschedule(cpu);
#endif
}

static inline void compat_rcu_note_guest(void)
{
#ifdef HAVE_RCU_NOTE_CPU
	rcu_virt_note_context_switch(smp_processor_id());
#else
	rcu_virt_note_context_switch();
#endif
}

/* Suspend and resume of the last CPU; the callbacks gained an argument with register_syscore(). */
#ifdef HAVE_SYSCORE_REGISTER
#define SYSCORE_ARG	void *data
#define DEFINE_SYSCORE(name, suspend_fn, resume_fn)						\
	static const struct syscore_ops name##_ops = {						\
		.suspend = suspend_fn,								\
		.resume = resume_fn,								\
	};											\
	static struct syscore name = { .ops = &name##_ops }
#define compat_register_syscore		register_syscore
#define compat_unregister_syscore	unregister_syscore
#else
#define SYSCORE_ARG	void
#define DEFINE_SYSCORE(name, suspend_fn, resume_fn)						\
	static struct syscore_ops name = { .suspend = suspend_fn, .resume = resume_fn }
#define compat_register_syscore		register_syscore_ops
#define compat_unregister_syscore	unregister_syscore_ops
#endif

/* A shrinker is allocated by the kernel since it may outlive its owner in lockless walks. */
struct compat_shrinker {
	unsigned long (*count)(struct shrinker *shrinker, struct shrink_control *sc);
	unsigned long (*scan)(struct shrinker *shrinker, struct shrink_control *sc);
#ifdef HAVE_SHRINKER_ALLOC
	struct shrinker *shrinker;
#else
	struct shrinker shrinker;
#endif
};

#define DEFINE_COMPAT_SHRINKER(name, count_fn, scan_fn)						\
	static struct compat_shrinker name = { .count = count_fn, .scan = scan_fn }

static inline int compat_shrinker_register(struct compat_shrinker *s, const char *name)
{
#ifdef HAVE_SHRINKER_ALLOC
	s->shrinker = shrinker_alloc(0, "%s", name);
	if (!s->shrinker)
		return -ENOMEM;
	s->shrinker->count_objects = s->count;
	s->shrinker->scan_objects = s->scan;
	shrinker_register(s->shrinker);
	return 0;
#else
	s->shrinker.count_objects = s->count;
	s->shrinker.scan_objects = s->scan;
	s->shrinker.seeks = DEFAULT_SEEKS;
	return register_shrinker(&s->shrinker, "%s", name);
#endif
}

static inline void compat_shrinker_unregister(struct compat_shrinker *s)
{
#ifdef HAVE_SHRINKER_ALLOC
	shrinker_free(s->shrinker);
#else
	unregister_shrinker(&s->shrinker);
#endif
}

/* Fault guest memory in as the process itself would: NUMA hints count, signals end a long wait. */
#ifdef HAVE_FOLL_INTERRUPTIBLE
#define COMPAT_FOLL_INTERRUPTIBLE	FOLL_INTERRUPTIBLE
#else
#define COMPAT_FOLL_INTERRUPTIBLE	0
#endif
#ifdef HAVE_FOLL_HONOR_NUMA_FAULT
#define COMPAT_FOLL_HONOR_NUMA_FAULT	FOLL_HONOR_NUMA_FAULT
#else
#define COMPAT_FOLL_HONOR_NUMA_FAULT	0	/* these kernels honour them anyway */
#endif

/* What an MMU notifier's young operations return. */
#ifdef HAVE_BOOL_YOUNG
#define COMPAT_YOUNG	bool
#else
#define COMPAT_YOUNG	int
#endif

/*
 * Something wants this thread before it enters the guest: signal, scheduler, task work. The
 * kernel's function that does the work takes KVM's own vCPU on some kernels and writes into it;
 * only the test is usable.
 */
#ifdef HAVE_ENTRY_VIRT
#include <linux/entry-virt.h>
#else
#include <linux/entry-kvm.h>
#endif
#define compat_guest_work_pending()	__xfer_to_guest_mode_work_pending()

/* Of what resume_user_mode_work() does, all that cannot wait; it itself is the kernel's alone. */
static inline bool compat_user_work_pending(void)
{
	if (task_work_pending(current))
		return true;
#ifdef CONFIG_MEMCG
	if (current->memcg_nr_pages_over_high)
		return true;
#endif
#if defined(CONFIG_BLK_CGROUP) && defined(HAVE_THROTTLE_DISK)
	if (current->throttle_disk)
		return true;
#elif defined(CONFIG_BLK_CGROUP)
	if (current->throttle_queue)
		return true;
#endif
	return false;
}

/* Some kernels rename this field of struct kvm_run for themselves, to make each reader think. */
#ifdef HAVE_IMMEDIATE_EXIT_UNSAFE
#define compat_immediate_exit(run)	READ_ONCE((run)->immediate_exit__unsafe)
#else
#define compat_immediate_exit(run)	READ_ONCE((run)->immediate_exit)
#endif

/* Host page table entries of memory that is a device's (DAX), on kernels that mark them. */
#ifdef _PAGE_DEVMAP
#define COMPAT_PAGE_DEVMAP	_PAGE_DEVMAP
#else
#define COMPAT_PAGE_DEVMAP	0
#endif

/* What some kernels call longmode: the same bit in the same place. */
#ifdef HAVE_HYPERCALL_FLAGS
#define compat_hypercall_flags(run)	((run)->hypercall.flags)
#else
#define compat_hypercall_flags(run)	((run)->hypercall.longmode)
#endif

/* Of KVM's API, but younger than the headers of some kernels. */
#define COMPAT_CAP_USER_MEMORY2		231
#define COMPAT_CAP_VM_TYPES		235
#define COMPAT_CAP_PRE_FAULT_MEMORY	236
#define COMPAT_CAP_APIC_BUS_CYCLES_NS	237

#define COMPAT_CAP_MEMORY_FAULT_INFO	232
#define COMPAT_CAP_X86_GUEST_MODE	238
#define COMPAT_EXIT_MEMORY_FAULT	39

/* In struct kvm_run's union, with COMPAT_EXIT_MEMORY_FAULT. */
struct compat_memory_fault {
	u64 flags, gpa, size;
};

#define COMPAT_QUIRK_SLOT_ZAP_ALL	BIT(7)
#define COMPAT_QUIRK_STUFF_FEATURE_MSRS	BIT(8)

struct compat_memory_region2 {
	struct kvm_userspace_memory_region region;
	u64 memfd_offset;
	u32 memfd;
	u32 pad1;
	u64 pad2[14];
};

#define COMPAT_SET_USER_MEMORY_REGION2	_IOW(KVMIO, 0x49, struct compat_memory_region2)

struct compat_pre_fault_memory {
	u64 gpa;
	u64 size;
	u64 flags;
	u64 padding[5];
};

#define COMPAT_PRE_FAULT_MEMORY		_IOWR(KVMIO, 0xd5, struct compat_pre_fault_memory)

#endif
