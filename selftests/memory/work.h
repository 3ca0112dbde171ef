/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the test of memory at work shares between its passes, its operations and its dirty log.
 * Must not be included by other tests.
 */
#ifndef SELFTESTS_MEMORY_WORK_H
#define SELFTESTS_MEMORY_WORK_H

#include "patterns.h"

#define WORK_MAX_OPS	16
#define WORK_RING	4096U
#define WORK_RING_BYTES	(WORK_RING * sizeof(struct kvm_dirty_gfn))

enum work_log {
	LOG_BITMAP,
	LOG_MANUAL,
	LOG_RING,
};

struct work_slot {
	u32 id;
	size_t first, pages;
};

/**
 * struct work - one run of the test
 * @guest: the guest
 * @mem: its memory: @private pages, @discard ones that are dropped now and then, @shared ones
 * @away: addresses nobody uses, as many as @pages
 * @pages: all pages
 * @slot: the memory's slots
 * @log: how writes are logged
 * @seen: bitmap of the pages the log has named in this pass
 * @ring: each vCPU's ring, @next: where its reader stands
 * @counts: what each operation's counter has come to
 * @logged: pages the log named, @missing: written and not named, @extra: named and not written
 */
struct work {
	struct patterns guest;
	u8 *mem, *away;
	size_t pages, private, discard, shared;
	struct work_slot slot[2];
	enum work_log log;
	u8 *seen;
	struct kvm_dirty_gfn *ring[PATTERN_CPUS];
	u32 next[PATTERN_CPUS];
	u64 seed;
	u64 counts[WORK_MAX_OPS];
	u64 logged, missing, extra;
	u64 own[WORK_MAX_OPS];
};

/**
 * struct work_op - something the host does while the guest runs a pass
 * @name: for the result
 * @unit: of what it counts
 * @run: do it, until the pass ends or until it has been done often enough
 * @count: a counter that grows when it happens
 * @after: what has to wait for the pass's end, or NULL
 * @logs: it is about the dirty log
 */
struct work_op {
	const char *name, *unit;
	void (*run)(struct work *w);
	u64 (*count)(struct work *w);
	void (*after)(struct work *w);
	bool logs;
};

extern const struct work_op work_ops[];
extern const unsigned int work_nr_ops;

static inline u32 work_random(struct work *w, u32 below)
{
	w->seed = w->seed * 6364136223846793005UL + 1442695040888963407UL;
	return (w->seed >> 33) % below;
}

void work_create(struct work *w);
void work_set_slots(struct work *w, u32 flags);
void work_log_start(struct work *w);
void work_log_fetch(struct work *w);
void work_log_check(struct work *w);

#endif
