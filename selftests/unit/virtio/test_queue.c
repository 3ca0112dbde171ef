// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queues: well-formed requests, and each way in which one can be malformed.
 * It must not care what a device does with a request: the entropy device fills anything.
 */
#include <string.h>

#include "harness.h"

static struct virtio_dev *rng;

#define W	VRING_DESC_F_WRITE
#define N	VRING_DESC_F_NEXT
#define I	VRING_DESC_F_INDIRECT

static bool needs_reset(void)
{
	return reg_read(rng, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static bool filled(u64 gpa, u32 len)
{
	const u8 *p = ram(gpa);
	u32 different = 0;

	for (u32 i = 1; i < len; i++)
		different += p[i] != p[0];
	return different > len / 2;
}

static void test_good(void)
{
	memset(ram(DATA_GPA), 0, 4096);
	driver_init(rng, 0);
	desc_set(3, DATA_GPA, 64, W | N, 7);
	desc_set(7, DATA_GPA + 100, 64, W, 0);
	offer(rng, 3);
	serve(rng);
	ktap_result(used_count() == 1 && used_len(0) == 128 && filled(DATA_GPA, 64) &&
		    filled(DATA_GPA + 100, 64) && !((u8 *)ram(DATA_GPA))[64] &&
		    !((u8 *)ram(DATA_GPA))[164] && interrupts() == 1,
		    "queue: a chain of two parts is filled, and nothing beside them");
	for (int i = 0; i < 100; i++) {
		offer(rng, 7);
		serve(rng);
	}
	ktap_result(used_count() == 101 && interrupts() == 100 && !needs_reset(),
		    "queue: goes round many times");
}

static void test_indirect(void)
{
	memset(ram(DATA_GPA), 0, 4096);
	driver_init(rng, BIT(VIRTIO_RING_F_INDIRECT_DESC));
	table_set(0, DATA_GPA, 16, W | N, 2);
	table_set(2, DATA_GPA + 16, 16, W, 0);
	desc_set(0, TABLE_GPA, 3 * 16, I, 0);
	offer(rng, 0);
	serve(rng);
	ktap_result(used_count() == 1 && used_len(0) == 32 && filled(DATA_GPA, 32),
		    "queue: an indirect table");
	/* One byte off: nothing says that a table is aligned. */
	memmove((u8 *)ram(TABLE_GPA) + 1, ram(TABLE_GPA), 48);
	desc_set(0, TABLE_GPA + 1, 3 * 16, I, 0);
	offer(rng, 0);
	serve(rng);
	ktap_result(used_count() == 2 && used_len(1) == 32, "queue: a table that is not aligned");
}

static void test_event_idx(void)
{
	struct vring_avail *avail = ram(AVAIL_GPA);

	driver_init(rng, BIT(VIRTIO_RING_F_EVENT_IDX));
	desc_set(0, DATA_GPA, 16, W, 0);
	/* used_event: tell me after the third. */
	avail->ring[QUEUE_NUM] = 2;
	for (int i = 0; i < 5; i++) {
		offer(rng, 0);
		serve(rng);
	}
	ktap_result(used_count() == 5 && interrupts() == 1,
		    "queue: one interrupt, at the event index");
	driver_init(rng, 0);
	desc_set(0, DATA_GPA, 16, W, 0);
	avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	offer(rng, 0);
	serve(rng);
	ktap_result(used_count() == 1 && interrupts() == 0,
		    "queue: no interrupt when none is wanted");
}

/* Each fills descriptor 0 and what goes with it. */
static void out_of_ram(void) { desc_set(0, RAM_SIZE - 8, 16, W, 0); }
static void far_away(void) { desc_set(0, ~0ull - 3, 16, W, 0); }
static void wraps(void) { desc_set(0, ~0ull, 0xffffffff, W, 0); }
static void empty(void) { desc_set(0, DATA_GPA, 0, W, 0); }
static void self_loop(void) { desc_set(0, DATA_GPA, 16, W | N, 0); }
static void no_feature(void) { desc_set(0, TABLE_GPA, 16, I, 0); }

/* Only the index is wrong: behind the table there is something that looks like an entry. */
static void link_out(void)
{
	desc_set(0, DATA_GPA, 16, W | N, QUEUE_NUM);
	desc_set(QUEUE_NUM, DATA_GPA, 16, W, 0);
}

static void long_loop(void)
{
	for (unsigned int i = 0; i < QUEUE_NUM; i++)
		desc_set(i, DATA_GPA, 16, W | N, (u16)((i + 1) % QUEUE_NUM));
}

static void order(void)
{
	desc_set(0, DATA_GPA, 16, W | N, 1);
	desc_set(1, DATA_GPA, 16, 0, 0);
}

static void (*const malform[])(void) = {
	out_of_ram, far_away, wraps, empty, link_out, self_loop, no_feature, long_loop, order,
};

static void table_odd(void) { desc_set(0, TABLE_GPA, 17, I, 0); }
static void table_empty(void) { desc_set(0, TABLE_GPA, 0, I, 0); }
static void table_large(void) { desc_set(0, TABLE_GPA, (VIRTQ_MAX_SIZE + 1) * 16, I, 0); }
static void table_away(void) { desc_set(0, RAM_SIZE - 16, 32, I, 0); }
static void table_next(void) { desc_set(0, TABLE_GPA, 16, I | N, 1); }

static void table_nested(void)
{
	table_set(0, TABLE_GPA, 16, I, 0);
	desc_set(0, TABLE_GPA, 16, I, 0);
}

static void table_loop(void)
{
	table_set(0, DATA_GPA, 16, W | N, 1);
	table_set(1, DATA_GPA, 16, W | N, 0);
	desc_set(0, TABLE_GPA, 32, I, 0);
}

/* A table as large as there may be, behind a part: one too many. */
static void table_overflow(void)
{
	for (unsigned int i = 0; i < VIRTQ_MAX_SIZE; i++)
		table_set(i, DATA_GPA, 16, i + 1 < VIRTQ_MAX_SIZE ? W | N : W, (u16)(i + 1));
	desc_set(0, DATA_GPA, 16, W | N, 1);
	desc_set(1, TABLE_GPA, VIRTQ_MAX_SIZE * 16, I, 0);
}

static void table_link(void)
{
	table_set(0, DATA_GPA, 16, W | N, 2);
	table_set(2, DATA_GPA, 16, W, 0);
	desc_set(0, TABLE_GPA, 32, I, 0);
}

static void (*const malform_tables[])(void) = {
	table_odd, table_empty, table_large, table_away, table_next, table_nested, table_loop,
	table_link, table_overflow,
};

/* Returns true when the device refuses it, says so once, and works again after a reset. */
static bool refused(void (*make)(void), u64 features)
{
	bool ok;

	driver_init(rng, features);
	make();
	offer(rng, 0);
	serve(rng);
	ok = needs_reset() && used_count() == 0 && complaints() == 1 && interrupts() == 1;
	offer(rng, 0);
	serve(rng);
	ok &= used_count() == 0 && complaints() == 0;
	driver_init(rng, features);
	desc_set(0, DATA_GPA, 16, W, 0);
	offer(rng, 0);
	serve(rng);
	return ok && used_count() == 1 && !needs_reset();
}

static void test_bad(void)
{
	unsigned int good = 0;

	for (size_t i = 0; i < ARRAY_SIZE(malform); i++)
		good += refused(malform[i], 0);
	ktap_result(good == ARRAY_SIZE(malform), "queue: malformed chains are refused");
	good = 0;
	for (size_t i = 0; i < ARRAY_SIZE(malform_tables); i++)
		good += refused(malform_tables[i], BIT(VIRTIO_RING_F_INDIRECT_DESC));
	ktap_result(good == ARRAY_SIZE(malform_tables),
		    "queue: malformed indirect tables are refused");

	driver_init(rng, 0);
	desc_set(QUEUE_NUM, DATA_GPA, 16, W, 0);
	offer(rng, QUEUE_NUM);
	serve(rng);
	ktap_result(needs_reset(), "queue: a request that begins outside the table");
	driver_init(rng, 0);
	desc_set(0, DATA_GPA, 16, W, 0);
	((struct vring_avail *)ram(AVAIL_GPA))->idx = QUEUE_NUM + 1;
	reg_write(rng, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	serve(rng);
	ktap_result(needs_reset() && used_count() == 0, "queue: more requests than it holds");
}

void test_queue(void)
{
	virtio_rng_create(machine());
	rng = machine()->virtio[machine()->nr_virtio - 1];
	test_good();
	test_indirect();
	test_event_idx();
	test_bad();
}
