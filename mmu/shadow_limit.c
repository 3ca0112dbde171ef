// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much memory shadow pages may take, and giving back when the host is short.
 * Must not choose which pages are worth keeping; shadow_page.c does.
 */
#include <linux/list.h>
#include <linux/mutex.h>

#include "compat.h"
#include "shadow.h"

#define SHADOW_MIN_PAGES	64
/* Zapped at a time, before others may have the lock. */
#define SHADOW_TRIM_STEP	64ul

/* VMs with shadow pages; the one that gave last is last. */
static LIST_HEAD(shadow_vms);
static DEFINE_MUTEX(shadow_vms_lock);

/* As kvm_intel's: 2 % of the guest's memory, unless user space says otherwise. */
static unsigned long shadow_limit(const struct vm *vm)
{
	unsigned long limit = READ_ONCE(vm->mmu.pages_wanted);

	return limit ?: max_t(u64, SHADOW_MIN_PAGES, READ_ONCE(vm->mmu.nr_pages) / 50);
}

/*
 * For what one fault or one root can add. Several at once, so that not each fault zaps. Roots in
 * use cannot go, so there is always room beside them: an instruction may need several tables at the
 * same time.
 */
void shadow_make_room(struct tdp_batch *b)
{
	struct vm_shadow *s = b->vm->mmu.shadow;
	unsigned long limit = max(shadow_limit(b->vm), s->pinned + SHADOW_MIN_PAGES);

	if (unlikely(s->count + SHADOW_SPARE_PAGES > limit))
		shadow_reclaim(b, limit - 2 * SHADOW_SPARE_PAGES);
	rmap_reap_unused(s);
}

void shadow_trim(struct vm *vm, unsigned long goal)
{
	const struct vm_shadow *s = vm->mmu.shadow;
	unsigned long before, after;
	struct tdp_batch b;

	do {
		tdp_batch_init(&b, vm, TDP_ZAP, true);
		write_lock(&vm->mmu.lock);
		before = s->count;
		shadow_reclaim(&b, max(goal, before - min(before, SHADOW_TRIM_STEP)));
		after = s->count;
		if (b.flush)
			shadow_flush(&b);
		write_unlock(&vm->mmu.lock);
		tdp_batch_free(&b);
		cond_resched();
	} while (after > goal && after < before);
}

/* ---- The shrinker ---- */

static unsigned long shadow_shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long count = 0;
	struct vm_shadow *s;

	if (!mutex_trylock(&shadow_vms_lock))
		return 0;
	list_for_each_entry(s, &shadow_vms, vms)
		count += READ_ONCE(s->count);
	mutex_unlock(&shadow_vms_lock);
	return count ?: SHRINK_EMPTY;
}

/* One VM a call: the next call finds another one first. */
static unsigned long shadow_shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long count, goal, freed = 0;
	struct vm_shadow *s;

	if (!mutex_trylock(&shadow_vms_lock))
		return SHRINK_STOP;
	list_for_each_entry(s, &shadow_vms, vms) {
		count = READ_ONCE(s->count);
		if (!count)
			continue;
		goal = count > sc->nr_to_scan ? count - sc->nr_to_scan : 0;
		shadow_trim(s->vm, goal);
		freed = count - min(count, READ_ONCE(s->count));
		list_move_tail(&s->vms, &shadow_vms);
		break;
	}
	mutex_unlock(&shadow_vms_lock);
	return freed;
}

DEFINE_COMPAT_SHRINKER(shadow_shrinker, shadow_shrink_count, shadow_shrink_scan);

void shadow_limit_add(struct vm_shadow *s)
{
	mutex_lock(&shadow_vms_lock);
	list_add(&s->vms, &shadow_vms);
	mutex_unlock(&shadow_vms_lock);
}

void shadow_limit_del(struct vm_shadow *s)
{
	mutex_lock(&shadow_vms_lock);
	list_del(&s->vms);
	mutex_unlock(&shadow_vms_lock);
}

int shadow_limit_init(void)
{
	return hw.ept ? 0 : compat_shrinker_register(&shadow_shrinker, "kvmlet-shadow");
}

void shadow_limit_exit(void)
{
	if (!hw.ept)
		compat_shrinker_unregister(&shadow_shrinker);
}
