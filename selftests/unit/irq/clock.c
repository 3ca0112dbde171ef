// SPDX-License-Identifier: GPL-2.0-only
/*
 * The clock of the tests, the hrtimers on it, and work items. The TSC of the host runs at 1 GHz
 * with it.
 * It must not move but by clock_advance(), and do no work but in run_work() and flush_work().
 */
#include "kernel.h"

#define MAX_TIMERS 128
#define MAX_WORK 4

ktime_t clock_now = 1000000000;
unsigned int clock_nr_callbacks;
static struct hrtimer *timers[MAX_TIMERS];
static unsigned int nr_timers;
bool irqs_off;
static struct work_struct *works[MAX_WORK];
static unsigned int nr_works;

ktime_t ktime_get(void)
{
	return clock_now;
}

u64 rdtsc(void)
{
	return clock_now;
}

void compat_hrtimer_setup(struct hrtimer *timer, enum hrtimer_restart (*fn)(struct hrtimer *),
			  int clock, enum hrtimer_mode mode)
{
	assert(nr_timers < MAX_TIMERS);
	timers[nr_timers++] = timer;
	timer->function = fn;
	timer->queued = false;
}

void clock_forget_timers(void)
{
	nr_timers = 0;
	nr_works = 0;
}

void hrtimer_start(struct hrtimer *timer, ktime_t expires, enum hrtimer_mode mode)
{
	timer->expires = mode == HRTIMER_MODE_REL_HARD ? clock_now + expires : expires;
	timer->queued = true;
}

int hrtimer_cancel(struct hrtimer *timer)
{
	int was = timer->queued;

	timer->queued = false;
	return was;
}

u64 hrtimer_forward_now(struct hrtimer *timer, ktime_t interval)
{
	u64 missed = 0;

	for (; timer->expires <= clock_now; timer->expires += interval)
		missed++;
	return missed;
}

static struct hrtimer *first_due(ktime_t until)
{
	struct hrtimer *first = NULL;
	unsigned int i;

	for (i = 0; i < nr_timers; i++)
		if (timers[i]->queued && timers[i]->expires <= until &&
		    (!first || timers[i]->expires < first->expires))
			first = timers[i];
	return first;
}

void clock_advance(s64 ns)
{
	ktime_t until = clock_now + ns;
	struct hrtimer *timer;

	while ((timer = first_due(until))) {
		clock_now = max(clock_now, timer->expires);
		timer->queued = false;
		clock_nr_callbacks++;
		irqs_off = true;
		if (timer->function(timer) == HRTIMER_RESTART)
			timer->queued = true;
		irqs_off = false;
	}
	clock_now = until;
}

void INIT_WORK(struct work_struct *work, void (*fn)(struct work_struct *work))
{
	assert(nr_works < MAX_WORK);
	works[nr_works++] = work;
	work->function = fn;
	work->queued = false;
}

void schedule_work(struct work_struct *work)
{
	work->queued = true;
}

void cancel_work_sync(struct work_struct *work)
{
	work->queued = false;
}

void flush_work(struct work_struct *work)
{
	assert(!irqs_off);
	if (work->queued) {
		work->queued = false;
		work->function(work);
	}
}

/* Return: how many there were to do. */
unsigned int run_work(void)
{
	unsigned int i, done = 0;

	for (i = 0; i < nr_works; i++) {
		done += works[i]->queued;
		flush_work(works[i]);
	}
	return done;
}
