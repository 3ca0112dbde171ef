// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether a VM's large pages may execute, and the way back of those that were made small because
 * they do: after a while, the ones that have been small for longest are zapped.
 * Must not map anything; what is still executed comes back small by itself.
 *
 * A table of 4K leaves that is there only for that reason is on the VM's list while it is attached;
 * its struct page tells where. Tables are attached with mmu.lock held for reading and detached with
 * it held for writing, so the list, which has a lock of its own, is exact for whoever writes.
 */
#include <linux/cpu.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/workqueue.h>
#include <asm/cpufeature.h>

#include "internal.h"
#include "spte.h"

#define NX_HOUR_MS	(3600 * 1000)
#define NX_IDLE_MS	(60 * 1000)

enum nx_mode { NX_AUTO, NX_OFF, NX_ON };

static enum nx_mode nx_mode;

/* Executable large pages can machine-check this CPU ("iTLB multihit"). */
static bool nx_wanted(void)
{
	if (nx_mode == NX_AUTO)
		return boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
	return nx_mode == NX_ON;
}

static int nx_set(const char *text, const struct kernel_param *kp)
{
	bool on;

	if (sysfs_streq(text, "auto")) {
		nx_mode = NX_AUTO;
		return 0;
	}
	if (sysfs_streq(text, "force"))
		on = true;
	else if (kstrtobool(text, &on))
		return -EINVAL;
	nx_mode = on ? NX_ON : NX_OFF;
	return 0;
}

static int nx_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%c\n", nx_wanted() ? 'Y' : 'N');
}

static const struct kernel_param_ops nx_ops = { .set = nx_set, .get = nx_get };
module_param_cb(nx_huge_pages, &nx_ops, NULL, 0644);
MODULE_PARM_DESC(nx_huge_pages,
		 "large pages do not execute: auto (default: where the CPU needs it), off, force");

static unsigned int nx_ratio = 60;
module_param_named(nx_huge_pages_recovery_ratio, nx_ratio, uint, 0644);
MODULE_PARM_DESC(nx_huge_pages_recovery_ratio,
		 "each period 1/N of the pages that were made small get another chance; 0: none");

static unsigned int nx_period_ms;
module_param_named(nx_huge_pages_recovery_period_ms, nx_period_ms, uint, 0644);
MODULE_PARM_DESC(nx_huge_pages_recovery_period_ms, "that period; 0: all of them within an hour");

/* Parameters may change at any time and count from the next period on. */
static unsigned long nx_period(unsigned int ratio)
{
	unsigned int ms = READ_ONCE(nx_period_ms);

	if (!ratio)
		ms = NX_IDLE_MS;
	else if (!ms)
		ms = max(NX_HOUR_MS / ratio, 1u);
	return msecs_to_jiffies(min_t(unsigned int, ms, NX_HOUR_MS));
}

static void nx_schedule(struct vm_mmu *mmu)
{
	queue_delayed_work(system_unbound_wq, &mmu->nx_work, nx_period(READ_ONCE(nx_ratio)));
}

/* tdp_add_table() has attached @table, of 4K leaves, at @gfn. mmu.lock held. */
void nx_table_add(struct vm_mmu *mmu, u64 *table, gfn_t gfn, unsigned int as)
{
	struct page *page = virt_to_page(table);
	bool first;

	spin_lock(&mmu->nx_lock);
	set_page_private(page, (gfn & ~(spte_span(2) - 1)) | (as + 1));
	list_add_tail(&page->lru, &mmu->nx_tables);
	first = !mmu->nx_splits++;
	spin_unlock(&mmu->nx_lock);
	if (first)
		nx_schedule(mmu);
}

/* @table is being detached. mmu.lock held for writing. */
void nx_table_del(struct vm_mmu *mmu, u64 *table)
{
	struct page *page = virt_to_page(table);

	/* A fresh page's is 0, and only nx_table_add() makes it anything else. */
	if (likely(!page_private(page)))
		return;
	spin_lock(&mmu->nx_lock);
	set_page_private(page, 0);
	list_del(&page->lru);
	mmu->nx_splits--;
	spin_unlock(&mmu->nx_lock);
}

/* Zap the oldest. False when there is none. */
static bool nx_recover_one(struct vm *vm)
{
	struct vm_mmu *mmu = &vm->mmu;
	struct tdp_batch batch;
	struct page *page = NULL;

	tdp_batch_init(&batch, vm, TDP_ZAP, false);
	write_lock(&mmu->lock);
	if (!mmu->dead)
		page = list_first_entry_or_null(&mmu->nx_tables, struct page, lru);
	if (page) {
		gfn_t gfn = page_private(page) & ~(spte_span(2) - 1);

		batch.as = page_private(page) - gfn - 1;
		tdp_range(&batch, gfn, gfn + spte_span(2));
		/* Whatever was attached there, progress must not depend on it. */
		nx_table_del(mmu, page_address(page));
		tdp_batch_flush(&batch);
	}
	write_unlock(&mmu->lock);
	tdp_batch_free(&batch);
	return page;
}

static void nx_recover(struct work_struct *work)
{
	struct vm_mmu *mmu = container_of(to_delayed_work(work), struct vm_mmu, nx_work);
	struct vm *vm = container_of(mmu, struct vm, mmu);
	unsigned int ratio = READ_ONCE(nx_ratio);
	u64 todo;

	spin_lock(&mmu->nx_lock);
	todo = ratio ? DIV_ROUND_UP_ULL(mmu->nx_splits, ratio) : 0;
	spin_unlock(&mmu->nx_lock);
	for (; todo && nx_recover_one(vm); todo--)
		cond_resched();
	/* With none left, the next nx_table_add() begins anew. */
	spin_lock(&mmu->nx_lock);
	if (mmu->nx_splits)
		nx_schedule(mmu);
	spin_unlock(&mmu->nx_lock);
}

void nx_vm_init(struct vm *vm)
{
	struct vm_mmu *mmu = &vm->mmu;

	spin_lock_init(&mmu->nx_lock);
	INIT_LIST_HEAD(&mmu->nx_tables);
	INIT_DELAYED_WORK(&mmu->nx_work, nx_recover);
	mmu->nx_large = nx_wanted();
}

void nx_vm_destroy(struct vm *vm)
{
	cancel_delayed_work_sync(&vm->mmu.nx_work);
}
