// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow pages: found by frame and role, made, linked to nothing or to each other, zapped, and kept
 * within a limit.
 * Must not decide what an entry maps; shadow_map.c does.
 */
#include <linux/gfp.h>
#include <linux/slab.h>

#include "requests.h"
#include "shadow.h"

/* ---- Spares, so that nothing is allocated under mmu.lock ---- */

static struct shadow_page *shadow_alloc(void)
{
	struct shadow_page *sp = kzalloc(sizeof(*sp), GFP_KERNEL_ACCOUNT);

	if (!sp)
		return NULL;
	sp->spt = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!sp->spt) {
		kfree(sp);
		return NULL;
	}
	set_page_private(virt_to_page(sp->spt), (unsigned long)sp);
	INIT_LIST_HEAD(&sp->link);
	INIT_LIST_HEAD(&sp->unsync);
	return sp;
}

static void shadow_free_spare(struct shadow_page *sp)
{
	set_page_private(virt_to_page(sp->spt), 0);
	free_page((unsigned long)sp->spt);
	kfree(sp);
}

int shadow_topup(struct vcpu *vcpu)
{
	struct vcpu_shadow *v = vcpu->mmu.shadow;

	while (v->nr_pages < SHADOW_SPARE_PAGES) {
		struct shadow_page *sp = shadow_alloc();

		if (!sp)
			return -ENOMEM;
		v->pages[v->nr_pages++] = sp;
	}
	while (v->nr_gptes < SHADOW_SPARE_PAGES) {
		unsigned long page = __get_free_page(GFP_KERNEL_ACCOUNT);

		if (!page)
			return -ENOMEM;
		v->gptes[v->nr_gptes++] = (u64 *)page;
	}
	while (v->nr_chunks < SHADOW_SPARE_CHUNKS) {
		struct rmap_chunk *chunk = kmalloc(sizeof(*chunk), GFP_KERNEL_ACCOUNT);

		if (!chunk)
			return -ENOMEM;
		v->chunks[v->nr_chunks++] = chunk;
	}
	return 0;
}

void shadow_spares_free(struct vcpu_shadow *v)
{
	while (v->nr_pages)
		shadow_free_spare(v->pages[--v->nr_pages]);
	while (v->nr_gptes)
		free_page((unsigned long)v->gptes[--v->nr_gptes]);
	while (v->nr_chunks)
		kfree(v->chunks[--v->nr_chunks]);
}

/* ---- Finding and making ---- */

struct shadow_page *shadow_find(struct vm_shadow *s, gfn_t gfn, union shadow_role role)
{
	struct shadow_page *sp;

	hlist_for_each_entry(sp, &s->hash[shadow_bucket(gfn)], hash)
		if (sp->gfn == gfn && sp->role.word == role.word)
			return sp;
	return NULL;
}

bool shadow_is_table(struct vm_shadow *s, gfn_t gfn)
{
	struct shadow_page *sp;

	hlist_for_each_entry(sp, &s->hash[shadow_bucket(gfn)], hash)
		if (sp->gfn == gfn && !sp->role.direct)
			return true;
	return false;
}

struct shadow_page *shadow_get(struct vcpu *vcpu, struct tdp_batch *b, gfn_t gfn,
			       union shadow_role role)
{
	struct vm_shadow *s = vcpu->vm->mmu.shadow;
	struct vcpu_shadow *v = vcpu->mmu.shadow;
	struct shadow_page *sp = shadow_find(s, gfn, role);
	struct rmap_region *r;

	lockdep_assert_held_write(&vcpu->vm->mmu.lock);
	if (sp)
		return sp;
	if (!v->nr_pages || !v->nr_gptes)
		return NULL;
	if (!role.direct) {
		r = rmap_region(s, gfn);
		if (!r) {
			v->want = gfn;
			return NULL;
		}
		if (!r->tables++)
			r->used++;
	}
	sp = v->pages[--v->nr_pages];
	sp->gfn = gfn;
	sp->role = role;
	hlist_add_head(&sp->hash, &s->hash[shadow_bucket(gfn)]);
	list_add_tail(&sp->link, &s->pages);
	s->count++;
	if (!role.direct) {
		sp->gpte = v->gptes[--v->nr_gptes];
		shadow_seq_bump(s);
		shadow_protect_gfn(b, gfn);
		/* Nobody may go on writing to it unseen while its entries are read. */
		shadow_flush(b);
	}
	return sp;
}

/* ---- Entries ---- */

/* "Page Size Extension": bits 20:13 of a 4-MByte entry are address bits 39:32. */
static gfn_t shadow_gpte_gfn(const struct shadow_page *sp, unsigned int index)
{
	u64 gpte = sp->gpte[index];

	if (sp->role.mode == PAGING_32BIT && sp->role.level == 2)
		return (gpte >> 22 & 0x3ff) << 10 | (gpte >> 13 & 0xff) << 20 |
		       (index & 1) << SPTE_LEVEL_BITS;
	return shadow_pa(gpte) >> PAGE_SHIFT & ~(spte_span(sp->role.level) - 1);
}

gfn_t shadow_leaf_gfn(const struct shadow_page *sp, unsigned int index)
{
	if (sp->role.direct)
		return sp->gfn + index * spte_span(sp->role.level);
	return shadow_gpte_gfn(sp, index);
}

void shadow_drop(struct vm *vm, struct shadow_page *sp, unsigned int index)
{
	u64 *sptep = &sp->spt[index];
	/* The CPU may set A at any time. */
	u64 old = xchg(sptep, 0);

	__clear_bit(index, sp->present);
	if (shadow_is_leaf(old, sp->role.level)) {
		rmap_leaf_del(vm->mmu.shadow, shadow_leaf_gfn(sp, index), sp->role.level, sptep);
		atomic64_dec(&vm->mmu.mapped[sp->role.level - 1]);
	} else {
		rmap_list_del(&shadow_sp(shadow_pa(old))->parents, sptep);
	}
}

static void shadow_clear(struct vm *vm, struct shadow_page *sp)
{
	unsigned int index;

	for_each_set_bit(index, sp->present, SHADOW_ENTRIES)
		shadow_drop(vm, sp, index);
}

void shadow_drop_list(struct tdp_batch *b, unsigned long *head)
{
	u64 *sptep;

	while ((sptep = rmap_list_any(*head))) {
		shadow_drop(b->vm, shadow_sp_of(sptep), shadow_index_of(sptep));
		b->flush = true;
	}
}

/* ---- The end of a page ---- */

static void shadow_put_region(struct vm_shadow *s, gfn_t gfn)
{
	struct rmap_region *r = rmap_region(s, gfn);

	if (!WARN_ON_ONCE(!r) && !--r->tables)
		r->used--;
}

static void shadow_release(struct list_head *tables, struct shadow_page *sp)
{
	set_page_private(virt_to_page(sp->spt), 0);
	list_add(&virt_to_page(sp->spt)->lru, tables);
	if (sp->gpte)
		list_add(&virt_to_page(sp->gpte)->lru, tables);
	kfree(sp);
}

void shadow_zap(struct tdp_batch *b, struct shadow_page *sp)
{
	struct vm *vm = b->vm;
	struct vm_shadow *s = vm->mmu.shadow;

	lockdep_assert_held_write(&vm->mmu.lock);
	shadow_clear(vm, sp);
	shadow_drop_list(b, &sp->parents);
	hlist_del_init(&sp->hash);
	list_del_init(&sp->link);
	list_del_init(&sp->unsync);
	s->count--;
	if (!sp->role.direct)
		shadow_put_region(s, sp->gfn);
	b->flush = true;
	if (!sp->refs) {
		shadow_release(&b->tables, sp);
		return;
	}
	s->pinned--;
	/* Empty, and of no use: vCPUs look for another root before they enter again. */
	WRITE_ONCE(sp->invalid, true);
	vcpu_request_all(vm, REQ_MMU_RELOAD, false);
}

/* The caller's vCPU does not run on it: nobody has it cached since its last flush. */
void shadow_unref(struct vm *vm, struct shadow_page *sp)
{
	if (--sp->refs)
		return;
	if (!sp->invalid) {
		vm->mmu.shadow->pinned--;
		return;
	}
	set_page_private(virt_to_page(sp->spt), 0);
	free_page((unsigned long)sp->spt);
	free_page((unsigned long)sp->gpte);
	kfree(sp);
}

void shadow_zap_gfn(struct tdp_batch *b, gfn_t gfn)
{
	struct hlist_head *bucket = &b->vm->mmu.shadow->hash[shadow_bucket(gfn)];
	struct shadow_page *sp;
	struct hlist_node *next;

	hlist_for_each_entry_safe(sp, next, bucket, hash)
		if (sp->gfn == gfn && !sp->role.direct)
			shadow_zap(b, sp);
}

/* Oldest first; roots in use last of all, which means never. */
void shadow_reclaim(struct tdp_batch *b, unsigned long goal)
{
	struct vm_shadow *s = b->vm->mmu.shadow;
	struct shadow_page *sp, *next;

	list_for_each_entry_safe(sp, next, &s->pages, link) {
		if (s->count <= goal)
			break;
		if (!sp->refs)
			shadow_zap(b, sp);
	}
}

void shadow_flush(struct tdp_batch *b)
{
	struct vm_shadow *s = b->vm->mmu.shadow;

	if (!b->flush && !s->tlb_stale)
		return;
	b->flush = false;
	s->tlb_stale = false;
	b->vm->mmu.tlb_flushes++;
	vcpu_request_all(b->vm, REQ_TLB_FLUSH, true);
}
