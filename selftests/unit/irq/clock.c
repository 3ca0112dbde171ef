// SPDX-License-Identifier: GPL-2.0-only
/*
 * The clock of the tests and the hrtimers on it. The TSC of the host runs at 1 GHz with it.
 * It must not move but by clock_advance().
 */
#include "kernel.h"

#define MAX_TIMERS 64

ktime_t clock_now = 1000000000;
unsigned int clock_nr_callbacks;
static struct hrtimer *timers[MAX_TIMERS];
static unsigned int nr_timers;

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
		if (timer->function(timer) == HRTIMER_RESTART)
			timer->queued = true;
	}
	clock_now = until;
}
