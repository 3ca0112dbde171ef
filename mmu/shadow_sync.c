// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps shadow pages in step with the guest's tables: write protection, pages out of step, and
 * bringing them back when the guest flushes its TLB.
 * Must not map anything; what is missing comes with the next fault.
 *
 * A shadow page is a TLB in memory. A table that is shadowed is mapped read-only, so that the first
 * write to it faults. That write is let through, and the page noted as out of step ("unsync"): the
 * architecture lets a CPU use what it has cached until software invalidates it. INVLPG, MOV to CR3
 * and their like do, and there each entry of a noted page is compared with what it was made from.
 * This holds at all levels, as CPUs cache entries of upper levels as well.
 */
#include <linux/uaccess.h>

#include "requests.h"
#include "shadow.h"

unsigned int shadow_gpte_size(union shadow_role role)
{
	return role.mode == PAGING_32BIT ? 4 : 8;
}

/* "32-Bit Paging": a table has 1024 entries, so a shadow page covers a part of one. */
unsigned int shadow_gpte_index(const struct shadow_page *sp, unsigned int index)
{
	if (sp->role.mode != PAGING_32BIT)
		return index;
	if (sp->role.level == 1)
		return sp->role.quadrant * 512 + index;
	return sp->role.quadrant * 256 + index / 2;
}

/* ---- Write protection ---- */

static bool protect_leaf(u64 *sptep, void *arg)
{
	struct tdp_batch *b = arg;
	u64 spte = READ_ONCE(*sptep);

	if (!(spte & SHADOW_W))
		return false;
	while (!try_cmpxchg64(sptep, &spte, spte & ~SHADOW_W))
		;
	b->flush = true;
	return false;
}

void shadow_protect_gfn(struct tdp_batch *b, gfn_t gfn)
{
	struct vm_shadow *s = b->vm->mmu.shadow;
	unsigned long *huge = rmap_huge_head(s, gfn);
	struct rmap_region *r = rmap_region(s, gfn);

	if (huge)
		shadow_drop_list(b, huge);
	if (!r)
		return;
	rmap_list_each(*rmap_leaf_head(r, gfn, 1), protect_leaf, b);
	shadow_drop_list(b, rmap_leaf_head(r, gfn, 2));
}

/* ---- Out of step ---- */

void shadow_unsync_gfn(struct tdp_batch *b, gfn_t gfn)
{
	struct vm_shadow *s = b->vm->mmu.shadow;
	struct shadow_page *sp;
	struct hlist_node *next;

	lockdep_assert_held_write(&b->vm->mmu.lock);
	hlist_for_each_entry_safe(sp, next, &s->hash[shadow_bucket(gfn)], hash) {
		if (sp->gfn != gfn || sp->role.direct || !list_empty(&sp->unsync))
			continue;
		/* No address space uses it: its frame is likely something else by now. */
		if (!sp->parents && !sp->refs)
			shadow_zap(b, sp);
		else
			list_add(&sp->unsync, &s->unsync);
	}
}

/* An instruction that was emulated counts as one of the guest's own. */
void shadow_wrote(struct vm *vm, gfn_t gfn)
{
	struct rmap_region *r;
	struct tdp_batch b;

	/* Who holds the lock waits for other CPUs to answer an interrupt. */
	lockdep_assert_irqs_enabled();
	tdp_batch_init(&b, vm, TDP_ZAP, false);
	write_lock(&vm->mmu.lock);
	r = rmap_region(vm->mmu.shadow, gfn);
	if (r && r->tables)
		shadow_unsync_gfn(&b, gfn);
	if (b.flush)
		shadow_flush(&b);
	write_unlock(&vm->mmu.lock);
	tdp_batch_free(&b);
}

/* ---- Back in step ---- */

/* What has been dropped may be in other vCPUs' TLBs: their guest's flush is still to come. */
static void sync_dropped(struct vcpu *vcpu)
{
	struct vm_shadow *s = vcpu->vm->mmu.shadow;

	vcpu_request(vcpu, REQ_TLB_FLUSH);
	if (vcpu->vm->nr_vcpus > 1)
		s->tlb_stale = true;
}

/* The guest's entry is @now. Bits without a meaning to the CPU may differ. */
static void sync_entry(struct vcpu *vcpu, struct shadow_page *sp, unsigned int index, u64 now)
{
	u64 was = sp->gpte[index], changed = was ^ now;
	u64 *sptep = &sp->spt[index], spte = READ_ONCE(*sptep);
	u64 harmless = GPTE_SOFT | GPTE_W | GPTE_D;

	if (!changed)
		return;
	if (!shadow_is_leaf(spte, sp->role.level))
		harmless = GPTE_SOFT | (now & GPTE_D);
	if (changed & ~harmless) {
		shadow_drop(vcpu->vm, sp, index);
		sync_dropped(vcpu);
		return;
	}
	sp->gpte[index] = now;
	/* More rights come by a fault; fewer take effect now. */
	if ((was & ~now & (GPTE_W | GPTE_D)) && (spte & SHADOW_W)) {
		while (!try_cmpxchg64(sptep, &spte, spte & ~SHADOW_W))
			;
		sync_dropped(vcpu);
	}
}

#define SYNC_BATCH	64

static bool sync_word(struct vcpu *vcpu, struct shadow_page *sp, unsigned int first)
{
	unsigned int size = shadow_gpte_size(sp->role), from, to, i;
	u64 gptes[SYNC_BATCH], now;

	from = shadow_gpte_index(sp, first);
	to = shadow_gpte_index(sp, first + SYNC_BATCH - 1) + 1;
	if (guest_read_nofault(vcpu, gfn_to_gpa(sp->gfn) + from * size, gptes, (to - from) * size))
		return false;
	for (i = first; i < first + SYNC_BATCH; i++) {
		unsigned int at = shadow_gpte_index(sp, i) - from;

		if (!test_bit(i, sp->present))
			continue;
		now = size == 4 ? ((u32 *)gptes)[at] : gptes[at];
		sync_entry(vcpu, sp, i, now);
	}
	return true;
}

/* Already protected, and flushed. A table that cannot be read now is made anew when it can. */
static void sync_contents(struct vcpu *vcpu, struct tdp_batch *b, struct shadow_page *sp)
{
	unsigned int i;

	for (i = 0; i < SHADOW_ENTRIES; i += SYNC_BATCH) {
		if (!sp->present[i / BITS_PER_LONG])
			continue;
		if (!sync_word(vcpu, sp, i)) {
			shadow_zap(b, sp);
			return;
		}
	}
}

void shadow_sync_page(struct vcpu *vcpu, struct tdp_batch *b, struct shadow_page *sp)
{
	list_del_init(&sp->unsync);
	shadow_seq_bump(vcpu->vm->mmu.shadow);
	shadow_protect_gfn(b, sp->gfn);
	shadow_flush(b);
	sync_contents(vcpu, b, sp);
}

/* ---- The current root ---- */

struct reach {
	const struct shadow_root *root;
	unsigned long search;
};

static bool page_reaches(struct shadow_page *sp, const struct reach *reach);

static bool entry_reaches(u64 *sptep, void *arg)
{
	return page_reaches(shadow_sp_of(sptep), arg);
}

static bool is_root(const struct shadow_page *sp, const struct shadow_root *root)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(root->sp); i++)
		if (root->sp[i] == sp)
			return true;
	return false;
}

/*
 * As deep as there are levels of paging. There may be many ways from a page to the roots: each page
 * is asked once in a search. Links that go meanwhile leave too many pages, never too few.
 */
static bool page_reaches(struct shadow_page *sp, const struct reach *reach)
{
	if (sp->search != reach->search) {
		sp->search = reach->search;
		sp->reached = is_root(sp, reach->root) ||
			      rmap_list_each(sp->parents, entry_reaches, (void *)reach);
	}
	return sp->reached;
}

static struct reach begin_search(struct vcpu *vcpu)
{
	return (struct reach) {
		.root = &vcpu->mmu.shadow->root[0],
		.search = ++vcpu->vm->mmu.shadow->search,
	};
}

/* What was only dropped may wait for the other vCPUs' own flushes; what was zapped may not. */
static void sync_flush(struct tdp_batch *b)
{
	lockdep_assert_held_write(&b->vm->mmu.lock);
	if (b->flush)
		shadow_flush(b);
}

void shadow_sync_root(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct vm_shadow *s = vm->mmu.shadow;
	struct shadow_page *sp, *next;
	struct reach reach;
	struct tdp_batch b;
	LIST_HEAD(late);

	if (list_empty_careful(&s->unsync))
		return;
	tdp_batch_init(&b, vm, TDP_ZAP, false);
	write_lock(&vm->mmu.lock);
	reach = begin_search(vcpu);
	list_for_each_entry_safe(sp, next, &s->unsync, unsync) {
		if (!page_reaches(sp, &reach))
			continue;
		list_move(&sp->unsync, &late);
		shadow_protect_gfn(&b, sp->gfn);
	}
	/* All are protected before any is read: one flush does. */
	if (!list_empty(&late)) {
		shadow_seq_bump(s);
		shadow_flush(&b);
	}
	while (!list_empty(&late)) {
		sp = list_first_entry(&late, struct shadow_page, unsync);
		list_del_init(&sp->unsync);
		sync_contents(vcpu, &b, sp);
	}
	sync_flush(&b);
	write_unlock(&vm->mmu.lock);
	tdp_batch_free(&b);
}

/* ---- INVLPG ---- */

/* The entry that maps an address now, or NULL. */
static u64 *invlpg_find(struct vcpu *vcpu, gva_t gva)
{
	const struct shadow_root *root = &vcpu->mmu.shadow->root[0];
	bool pae = shadow_pae_format(root->role);
	struct shadow_page *sp = root->sp[pae ? gva >> 30 & 3 : 0];

	for (;;) {
		u64 *sptep, spte;

		if (!sp)
			return NULL;
		sptep = &sp->spt[spte_index(gva >> PAGE_SHIFT, sp->role.level)];
		spte = *sptep;
		if (!spte)
			return NULL;
		if (shadow_is_leaf(spte, sp->role.level))
			return sptep;
		sp = shadow_sp(shadow_pa(spte));
	}
}

static void invlpg_leaf(struct vcpu *vcpu, struct tdp_batch *b, u64 *sptep)
{
	struct shadow_page *sp = shadow_sp_of(sptep);
	unsigned int index = shadow_index_of(sptep), size = shadow_gpte_size(sp->role);
	u64 now = 0;

	/* A direct page goes with the entry above it, which is one of an upper level. */
	if (sp->role.direct || list_empty(&sp->unsync))
		return;
	if (guest_read_nofault(vcpu, gfn_to_gpa(sp->gfn) + shadow_gpte_index(sp, index) * size,
			       &now, size))
		shadow_zap(b, sp);
	else
		sync_entry(vcpu, sp, index, now);
}

/* "Operations that Invalidate TLBs and Paging-Structure Caches": upper levels wholly. */
static void invlpg_upper(struct vcpu *vcpu, struct tdp_batch *b)
{
	struct vm_shadow *s = vcpu->vm->mmu.shadow;
	struct reach reach = begin_search(vcpu);
	struct shadow_page *sp, *next;

	list_for_each_entry_safe(sp, next, &s->unsync, unsync)
		if (sp->role.level > 1 && page_reaches(sp, &reach))
			shadow_sync_page(vcpu, b, sp);
}

void mmu_shadow_invlpg(struct vcpu *vcpu, gva_t gva)
{
	struct vm *vm = vcpu->vm;
	struct tdp_batch b;
	u64 *sptep;

	vcpu->mmu.shadow->mmio.page = SHADOW_NO_MMIO;
	if (list_empty_careful(&vm->mmu.shadow->unsync))
		return;
	tdp_batch_init(&b, vm, TDP_ZAP, false);
	write_lock(&vm->mmu.lock);
	/* Also when nothing is mapped there: another vCPU may be about to. */
	shadow_seq_bump(vm->mmu.shadow);
	invlpg_upper(vcpu, &b);
	sptep = invlpg_find(vcpu, gva);
	if (sptep)
		invlpg_leaf(vcpu, &b, sptep);
	sync_flush(&b);
	write_unlock(&vm->mmu.lock);
	tdp_batch_free(&b);
}
