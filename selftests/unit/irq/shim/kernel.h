/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * As much of the kernel as irq/ uses, for one thread in user space: locks that complain when taken
 * twice, and hrtimers on a clock that the tests turn.
 * It must not be used for anything whose point is concurrency.
 */
#ifndef SHIM_KERNEL_H
#define SHIM_KERNEL_H

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <asm/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
typedef s64 ktime_t;

#define gfp_t unsigned int

#define __rcu
#undef __always_inline
#define __always_inline inline
#define noinline
#define likely(x) (x)
#define unlikely(x) (x)
#define READ_ONCE(x) (x)
#define WRITE_ONCE(x, v) ((x) = (v))
#define smp_load_acquire(p) (*(p)) /* one thread: no order to keep */
#define smp_store_release(p, v) (*(p) = (v)) /* nor here */
#define smp_mb() do { } while (0) /* nor here */
#define smp_mb__before_atomic() do { } while (0) /* nor here */
#define smp_mb__after_atomic() do { } while (0) /* nor here */
#define xchg(p, v) __atomic_exchange_n(p, v, __ATOMIC_RELAXED)
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define array_index_nospec(i, n) ((n) ? (i) : 0)
#define struct_size(p, member, n) offsetof(__typeof__(*(p)), member[n])
#define PAGE_SIZE 4096ul
#define PAGE_MASK (~(PAGE_SIZE - 1))

#define BIT(n) (1ul << (n))
#define BIT_ULL(n) (1ull << (n))
#define GENMASK_ULL(h, l) ((~0ull << (l)) & (~0ull >> (63 - (h))))
#define BITS_TO_LONGS(n) (((n) + 63) / 64)
#define __fls(x) (63u - __builtin_clzl(x))
#define __ffs(x) ((unsigned int)__builtin_ctzl(x))
#define ilog2(x) (63u - __builtin_clzl(x))
#define hweight32(x) ((unsigned int)__builtin_popcount(x))
#define min_t(type, a, b) min((type)(a), (type)(b))
#define max_t(type, a, b) max((type)(a), (type)(b))

#define max(a, b) ({			\
	__auto_type __a = (a);		\
	__auto_type __b = (b);		\
	__a > __b ? __a : __b;		\
})

#define min(a, b) ({			\
	__auto_type __a = (a);		\
	__auto_type __b = (b);		\
	__a < __b ? __a : __b;		\
})

static inline bool is_power_of_2(unsigned long x)
{
	return x && !(x & (x - 1));
}

static inline bool test_bit(unsigned int n, const unsigned long *p)
{
	return p[n / 64] >> n % 64 & 1;
}

static inline void set_bit(unsigned int n, unsigned long *p)
{
	p[n / 64] |= BIT(n % 64);
}

static inline void clear_bit(unsigned int n, unsigned long *p)
{
	p[n / 64] &= ~BIT(n % 64);
}

static inline bool test_and_set_bit(unsigned int n, unsigned long *p)
{
	bool old = test_bit(n, p);

	set_bit(n, p);
	return old;
}

#define __set_bit set_bit
#define __clear_bit clear_bit
#define __test_and_set_bit test_and_set_bit

struct bit_walk {
	const unsigned long *p;
	unsigned int n, next;
};

static inline bool bit_walk(struct bit_walk *w, unsigned int *i)
{
	while (w->next < w->n && !test_bit(w->next, w->p))
		w->next++;
	*i = w->next++;
	return *i < w->n;
}

#define for_each_set_bit(i, p, n) \
	for (struct bit_walk __walk = { (p), (n), 0 }; bit_walk(&__walk, &(i)); )

struct counter {
	int counter;
};

#define atomic_t struct counter
#define atomic_read(a) ((a)->counter)
#define atomic_set(a, v) ((a)->counter = (v))
#define atomic_inc(a) ((a)->counter++)
#define atomic_dec(a) ((a)->counter--)
#define atomic_add(v, a) ((a)->counter += (v))
#define atomic_xchg(a, v) xchg(&(a)->counter, v)

static inline int atomic_dec_if_positive(atomic_t *a)
{
	return a->counter > 0 ? --a->counter : a->counter - 1;
}

/* A second taking of the same lock would be a deadlock in the kernel. */
struct mutex {
	int held;
};

#define raw_spinlock_t struct mutex
#define raw_spin_lock_init(l) ((l)->held = 0)

static inline void mutex_lock(struct mutex *l)
{
	assert(!l->held);
	l->held = 1;
}

static inline void mutex_unlock(struct mutex *l)
{
	assert(l->held);
	l->held = 0;
}

/* clock.c: interrupts of the host are off. */
extern bool irqs_off;

#define irqs_disabled() irqs_off
#define raw_spin_lock_irqsave(l, flags) ((flags) = irqs_off, irqs_off = true, mutex_lock(l))
#define raw_spin_unlock_irqrestore(l, flags) (mutex_unlock(l), irqs_off = (flags))
#define lockdep_assert_held(l) assert((l) != NULL)
#define lockdep_is_held(l) ((l) != NULL)

struct seqcount {
	unsigned int sequence;
};

#define seqcount_t struct seqcount
#define seqcount_init(s) ((s)->sequence = 0)
#define raw_write_seqcount_begin(s) ((s)->sequence++)
#define raw_write_seqcount_end(s) ((s)->sequence++)
#define raw_seqcount_begin(s) ((s)->sequence & ~1u)
#define read_seqcount_begin(s) raw_seqcount_begin(s)
#define read_seqcount_retry(s, seq) ((s)->sequence != (seq))
#define preempt_disable() do { } while (0)
#define preempt_enable() do { } while (0)

struct rcu_head {
	int unused;
};

#define check_add_overflow(a, b, sum) __builtin_add_overflow(a, b, sum)
#define rcu_read_lock() do { } while (0)
#define rcu_read_unlock() do { } while (0)
#define rcu_dereference(p) (p)
#define rcu_dereference_sched(p) (p)
#define rcu_dereference_protected(p, c) ((void)(c), (p))
#define rcu_assign_pointer(p, v) ((p) = (v))
#define RCU_INIT_POINTER(p, v) ((p) = (v))
#define kfree_rcu(p, ...) free(p)
#define kvfree_rcu(p, ...) free(p)
#define synchronize_rcu_expedited() do { } while (0)

#define GFP_KERNEL 0
#define GFP_KERNEL_ACCOUNT 0
#define __GFP_NOFAIL 0
#define kvzalloc kzalloc
#define kfree free
#define kvfree free

static inline void *kzalloc(size_t size, gfp_t flags)
{
	return calloc(1, size);
}

static inline void *kcalloc(size_t n, size_t size, gfp_t flags)
{
	return calloc(n, size);
}

static inline unsigned long get_zeroed_page(gfp_t flags)
{
	return (unsigned long)calloc(1, PAGE_SIZE);
}

static inline void free_page(unsigned long page)
{
	free((void *)page);
}

#define NSEC_PER_SEC 1000000000ll
#define NSEC_PER_MSEC 1000000ll
#define CLOCK_MONOTONIC 1
#define div_u64(a, b) ((u64)(a) / (b))
#define div64_u64(a, b) ((u64)(a) / (b))
#define mul_u64_u64_div_u64(a, b, c) ((u64)((__uint128_t)(a) * (b) / (c)))
#ifndef S64_MAX
#define S64_MAX ((s64)(~0ULL >> 1))
#define U64_MAX (~0ULL)
#define U32_MAX (~0U)
#endif
#define ns_to_ktime(ns) ((ktime_t)(ns))
#define ktime_to_ns(t) (t)
#define ktime_add_ns(t, ns) ((ktime_t)((t) + (ns)))
#define ktime_sub(a, b) ((a) - (b))
#define ktime_after(a, b) ((a) > (b))

/* clock.c: run_work() does what has been scheduled. */
struct work_struct {
	void (*function)(struct work_struct *work);
	bool queued;
};

#define cond_resched() do { } while (0)
void INIT_WORK(struct work_struct *work, void (*fn)(struct work_struct *work));
void schedule_work(struct work_struct *work);
void cancel_work_sync(struct work_struct *work);
void flush_work(struct work_struct *work);
unsigned int run_work(void);

enum hrtimer_restart { HRTIMER_NORESTART, HRTIMER_RESTART };
enum hrtimer_mode {
	HRTIMER_MODE_ABS_HARD, HRTIMER_MODE_ABS_PINNED_HARD, HRTIMER_MODE_REL_HARD,
};

struct hrtimer {
	enum hrtimer_restart (*function)(struct hrtimer *timer);
	ktime_t expires;
	bool queued;
};

/* clock.c */
extern ktime_t clock_now;
extern unsigned int clock_nr_callbacks;
void clock_advance(s64 ns);
void clock_forget_timers(void);
ktime_t ktime_get(void);
u64 rdtsc(void);
void compat_hrtimer_setup(struct hrtimer *timer, enum hrtimer_restart (*fn)(struct hrtimer *),
			  int clock, enum hrtimer_mode mode);
void hrtimer_start(struct hrtimer *timer, ktime_t expires, enum hrtimer_mode mode);
int hrtimer_cancel(struct hrtimer *timer);
u64 hrtimer_forward_now(struct hrtimer *timer, ktime_t interval);
#define hrtimer_set_expires(t, e) ((t)->expires = (e))
#define hrtimer_get_expires(t) ((t)->expires)
#define hrtimer_get_remaining(t) ((t)->expires - clock_now)
#define hrtimer_active(t) ((t)->queued)

static inline void hrtimer_start_expires(struct hrtimer *timer, enum hrtimer_mode mode)
{
	hrtimer_start(timer, timer->expires, mode);
}

/* Registers of the local APIC, as the kernel names them. */
#define APIC_ID 0x20
#define APIC_LVR 0x30
#define APIC_TASKPRI 0x80
#define APIC_ARBPRI 0x90
#define APIC_PROCPRI 0xa0
#define APIC_EOI 0xb0
#define APIC_LDR 0xd0
#define APIC_DFR 0xe0
#define APIC_DFR_CLUSTER 0x0fffffffu
#define APIC_DFR_FLAT 0xffffffffu
#define APIC_SPIV 0xf0
#define APIC_SPIV_DIRECTED_EOI 0x1000u
#define APIC_SPIV_APIC_ENABLED 0x100u
#define APIC_ISR 0x100
#define APIC_TMR 0x180
#define APIC_IRR 0x200
#define APIC_ESR 0x280
#define APIC_LVTCMCI 0x2f0
#define APIC_ICR 0x300
#define APIC_DEST_LOGICAL 0x800
#define APIC_INT_ASSERT 0x4000
#define APIC_INT_LEVELTRIG 0x8000
#define APIC_VECTOR_MASK 0xff
#define APIC_ICR2 0x310
#define APIC_LVTT 0x320
#define APIC_LVT_TIMER_ONESHOT 0u
#define APIC_LVT_TIMER_PERIODIC 0x20000u
#define APIC_LVT_TIMER_TSCDEADLINE 0x40000u
#define APIC_LVT_MASKED 0x10000u
#define APIC_LVT_LEVEL_TRIGGER 0x8000u
#define APIC_LVT_REMOTE_IRR 0x4000u
#define APIC_INPUT_POLARITY 0x2000u
#define APIC_MODE_MASK 0x700
#define APIC_LVTTHMR 0x330
#define APIC_LVTPC 0x340
#define APIC_LVT0 0x350
#define APIC_LVT1 0x360
#define APIC_LVTERR 0x370
#define APIC_TMICT 0x380
#define APIC_TMCCT 0x390
#define APIC_TDCR 0x3e0
#define APIC_SELF_IPI 0x3f0

#endif
