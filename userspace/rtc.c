// SPDX-License-Identifier: GPL-2.0-only
/*
 * The MC146818 clock with its alarm, periodic and update interrupts, and the PC's CMOS.
 *
 * Must not set the host's clock: the guest's time is the host's plus an offset.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runner.h"

#define NSEC		1000000000ll
#define MAX_SECONDS	8000000000ll	/* the year 2223 */

/* Clock registers; the rest of the 128 bytes is memory. */
#define R_SECONDS	0x00
#define R_SECONDS_ALARM	0x01
#define R_MINUTES	0x02
#define R_MINUTES_ALARM	0x03
#define R_HOURS		0x04
#define R_HOURS_ALARM	0x05
#define R_WEEKDAY	0x06
#define R_DAY		0x07
#define R_MONTH		0x08
#define R_YEAR		0x09
#define R_A		0x0a
#define R_B		0x0b
#define R_C		0x0c
#define R_D		0x0d
#define R_CENTURY	0x32

#define A_UIP		0x80	/* update in progress */
#define A_RATE		0x0f
#define A_DEFAULT	0x26	/* 32 kHz time base, 1024 Hz */
#define B_SET		0x80	/* updates stopped, the guest sets the time */
#define B_PIE		0x40
#define B_AIE		0x20
#define B_UIE		0x10
#define B_BINARY	0x04
#define B_24H		0x02
#define C_IRQF		0x80
#define C_PF		0x40
#define C_AF		0x20
#define C_UF		0x10
#define D_VALID		0x80
#define HOUR_PM		0x80
#define ALARM_ANY	0xc0	/* an alarm byte with both bits set matches everything */

/**
 * struct rtc - the clock
 * @lock: protects all below
 * @vm: the VM
 * @index: register selected through port 0x70
 * @ram: registers A to D, the alarm, and memory; the time only while B_SET is on
 * @offset: guest time minus host time, in ns
 * @last_second: guest second last looked at by rtc_tick()
 * @next_periodic: guest ns of the next periodic interrupt
 */
struct rtc {
	pthread_mutex_t lock;
	struct vm *vm;
	u8 index;
	u8 ram[128];
	s64 offset;
	s64 last_second;
	s64 next_periodic;
};

static s64 guest_ns(const struct rtc *rtc)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * NSEC + ts.tv_nsec + rtc->offset;
}

static u8 encode(const struct rtc *rtc, int val)
{
	if (rtc->ram[R_B] & B_BINARY)
		return (u8)val;
	return (u8)((val / 10) << 4 | val % 10);
}

static int decode(const struct rtc *rtc, u8 val)
{
	if (rtc->ram[R_B] & B_BINARY)
		return val;
	return (val >> 4) * 10 + (val & 15);
}

static u8 encode_hour(const struct rtc *rtc, int hour)
{
	if (rtc->ram[R_B] & B_24H)
		return encode(rtc, hour);
	return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static int decode_hour(const struct rtc *rtc, u8 val)
{
	if (rtc->ram[R_B] & B_24H)
		return decode(rtc, val);
	return decode(rtc, val & (u8)~HOUR_PM) % 12 + (val & HOUR_PM ? 12 : 0);
}

static void time_to_ram(struct rtc *rtc, s64 ns)
{
	time_t seconds = (time_t)(ns / NSEC);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	rtc->ram[R_SECONDS] = encode(rtc, tm.tm_sec);
	rtc->ram[R_MINUTES] = encode(rtc, tm.tm_min);
	rtc->ram[R_HOURS] = encode_hour(rtc, tm.tm_hour);
	rtc->ram[R_WEEKDAY] = encode(rtc, tm.tm_wday + 1);
	rtc->ram[R_DAY] = encode(rtc, tm.tm_mday);
	rtc->ram[R_MONTH] = encode(rtc, tm.tm_mon + 1);
	rtc->ram[R_YEAR] = encode(rtc, tm.tm_year % 100);
	rtc->ram[R_CENTURY] = encode(rtc, (tm.tm_year + 1900) / 100);
}

static s64 ram_to_time(const struct rtc *rtc)
{
	struct tm tm = {
		.tm_sec = decode(rtc, rtc->ram[R_SECONDS]),
		.tm_min = decode(rtc, rtc->ram[R_MINUTES]),
		.tm_hour = decode_hour(rtc, rtc->ram[R_HOURS]),
		.tm_mday = decode(rtc, rtc->ram[R_DAY]),
		.tm_mon = decode(rtc, rtc->ram[R_MONTH]) - 1,
		.tm_year = decode(rtc, rtc->ram[R_YEAR]) +
			   decode(rtc, rtc->ram[R_CENTURY]) * 100 - 1900,
	};
	s64 seconds = timegm(&tm);

	/* A guest may write nonsense; stay far from where nanoseconds overflow. */
	if (seconds < 0)
		seconds = 0;
	return (seconds < MAX_SECONDS ? seconds : MAX_SECONDS) * NSEC;
}

/* The line follows C's flags as far as B enables them; C_IRQF tells the same. */
static void update_irq(struct rtc *rtc)
{
	bool want = rtc->ram[R_C] & rtc->ram[R_B] & (C_PF | C_AF | C_UF);

	if (want == !!(rtc->ram[R_C] & C_IRQF))
		return;
	rtc->ram[R_C] ^= C_IRQF;
	vm_irq(rtc->vm, IRQ_RTC, want);
}

/* Period of the periodic interrupt in ns; rates 1 and 2 repeat 8 and 9. */
static s64 period(const struct rtc *rtc)
{
	unsigned int rate = rtc->ram[R_A] & A_RATE;

	if (!rate)
		return 0;
	if (rate < 3)
		rate += 7;
	return (NSEC << (rate - 1)) / 32768;
}

static bool alarm_matches(const struct rtc *rtc)
{
	static const u8 pairs[][2] = {
		{ R_SECONDS, R_SECONDS_ALARM },
		{ R_MINUTES, R_MINUTES_ALARM },
		{ R_HOURS, R_HOURS_ALARM },
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		u8 alarm = rtc->ram[pairs[i][1]];

		if ((alarm & ALARM_ANY) != ALARM_ANY && alarm != rtc->ram[pairs[i][0]])
			return false;
	}
	return true;
}

/*
 * Look at each second that has passed for the alarm, so that a late call misses none; a jump of the
 * host's clock is not replayed beyond a day, after which every alarm has matched.
 */
static void pass_seconds(struct rtc *rtc, s64 now)
{
	s64 second = now / NSEC;

	if (second - rtc->last_second > 86400 || second < rtc->last_second)
		rtc->last_second = second - 1;
	while (rtc->last_second < second) {
		rtc->last_second++;
		rtc->ram[R_C] |= C_UF;
		if (!(rtc->ram[R_B] & B_AIE))
			continue;
		time_to_ram(rtc, rtc->last_second * NSEC);
		if (alarm_matches(rtc))
			rtc->ram[R_C] |= C_AF;
	}
}

/* Bring the flags of register C up to date. */
static void advance(struct rtc *rtc, s64 now)
{
	s64 step = period(rtc);

	if (!(rtc->ram[R_B] & B_SET))
		pass_seconds(rtc, now);
	/* A guest that is late gets one interrupt, as from the chip's single flag. */
	if (step && (now >= rtc->next_periodic || rtc->next_periodic > now + step)) {
		rtc->ram[R_C] |= C_PF;
		rtc->next_periodic = now - now % step + step;
	}
}

s64 rtc_tick(struct rtc *rtc)
{
	s64 wait = -1, now;

	pthread_mutex_lock(&rtc->lock);
	if (rtc->ram[R_B] & (B_AIE | B_UIE | B_PIE)) {
		now = guest_ns(rtc);
		advance(rtc, now);
		if (rtc->ram[R_B] & (B_AIE | B_UIE))
			wait = NSEC - now % NSEC;
		if (rtc->ram[R_B] & B_PIE && period(rtc) &&
		    (wait < 0 || rtc->next_periodic - now < wait))
			wait = rtc->next_periodic - now;
		update_irq(rtc);
	}
	pthread_mutex_unlock(&rtc->lock);
	return wait;
}

static bool is_time(u8 reg)
{
	return (reg <= R_YEAR && (reg > R_HOURS_ALARM || !(reg & 1))) || reg == R_CENTURY;
}

static u8 read_register(struct rtc *rtc, u8 reg)
{
	s64 now;
	u8 val;

	switch (reg) {
	case R_A:
		now = guest_ns(rtc);
		/* The chip announces an update 244 us before the second turns. */
		val = rtc->ram[R_A];
		if (!(rtc->ram[R_B] & B_SET) && now % NSEC >= NSEC - 244000)
			val |= A_UIP;
		return val;
	case R_C:
		/* A guest may poll the flags of interrupts that it has not enabled. */
		advance(rtc, guest_ns(rtc));
		update_irq(rtc);
		val = rtc->ram[R_C];
		rtc->ram[R_C] &= C_IRQF;
		update_irq(rtc);
		return val;
	default:
		if (is_time(reg) && !(rtc->ram[R_B] & B_SET))
			time_to_ram(rtc, guest_ns(rtc));
		return rtc->ram[reg];
	}
}

static void write_b(struct rtc *rtc, u8 val)
{
	u8 rising = val & (u8)~rtc->ram[R_B];

	if (rising & B_SET)
		time_to_ram(rtc, guest_ns(rtc));
	if (rtc->ram[R_B] & (u8)~val & B_SET)
		rtc->offset += ram_to_time(rtc) - guest_ns(rtc) / NSEC * NSEC;
	if (rising & (B_AIE | B_UIE))
		rtc->last_second = guest_ns(rtc) / NSEC;
	if (rising & B_PIE)
		rtc->next_periodic = guest_ns(rtc) + period(rtc);
	rtc->ram[R_B] = val;
	update_irq(rtc);
	if (rising & (B_AIE | B_UIE | B_PIE))
		ioloop_wake(rtc->vm);
}

static void write_register(struct rtc *rtc, u8 reg, u8 val)
{
	switch (reg) {
	case R_A:
		rtc->ram[R_A] = val & (u8)~A_UIP;
		ioloop_wake(rtc->vm);
		break;
	case R_B:
		write_b(rtc, val);
		break;
	case R_C:
	case R_D:
		break;
	default:
		if (!is_time(reg) || rtc->ram[R_B] & B_SET) {
			rtc->ram[reg] = val;
			break;
		}
		/* Set one part of a running clock: the others go on from now. */
		time_to_ram(rtc, guest_ns(rtc));
		rtc->ram[reg] = val;
		rtc->offset += ram_to_time(rtc) - guest_ns(rtc) / NSEC * NSEC;
	}
}

static u32 rtc_read(void *dev, u32 off, unsigned int size)
{
	struct rtc *rtc = dev;
	u8 val = 0xff;

	(void)size;
	/* The index port cannot be read back on a PC. */
	if (off == 0)
		return val;
	pthread_mutex_lock(&rtc->lock);
	val = read_register(rtc, rtc->index);
	pthread_mutex_unlock(&rtc->lock);
	return val;
}

static void rtc_write(void *dev, u32 off, unsigned int size, u32 val)
{
	struct rtc *rtc = dev;

	(void)size;
	pthread_mutex_lock(&rtc->lock);
	/* Bit 7 of the index port masks NMIs, of which this machine has no source. */
	if (off == 0)
		rtc->index = val & 0x7f;
	else
		write_register(rtc, rtc->index, (u8)val);
	pthread_mutex_unlock(&rtc->lock);
}

static u64 clamp_to(u64 val, u64 max)
{
	return val < max ? val : max;
}

/* Store @bytes bytes of @val, lowest first. */
static void put(u8 *at, u64 val, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		at[i] = (u8)(val >> (8 * i));
}

/* Memory sizes where firmware has always left them, each clamped to its field. */
static void set_memory(struct rtc *rtc, const struct vm *vm)
{
	u64 low = vm->ram_low, high = vm->opt->memory - vm->ram_low;
	u64 above_1m = clamp_to((low - MIB) / KIB, 0xffff);
	u64 above_16m = low > 16 * MIB ? (low - 16 * MIB) / (64 * KIB) : 0;

	put(rtc->ram + 0x15, 640, 2);
	put(rtc->ram + 0x17, above_1m, 2);
	put(rtc->ram + 0x30, above_1m, 2);
	put(rtc->ram + 0x34, clamp_to(above_16m, 0xffff), 2);
	put(rtc->ram + 0x5b, clamp_to(high / (64 * KIB), 0xffffff), 3);
}

struct rtc *rtc_create(struct vm *vm)
{
	struct rtc *rtc = calloc(1, sizeof(*rtc));

	if (!rtc)
		die("out of memory");
	pthread_mutex_init(&rtc->lock, NULL);
	rtc->vm = vm;
	rtc->ram[R_A] = A_DEFAULT;
	rtc->ram[R_B] = B_24H;
	rtc->ram[R_D] = D_VALID;
	set_memory(rtc, vm);
	io_register(&vm->ports, &(struct io_region) {
		.base = 0x70, .len = 2, .name = "rtc", .dev = rtc,
		.read = rtc_read, .write = rtc_write,
	});
	return rtc;
}
