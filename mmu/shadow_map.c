// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page fault of a guest under shadow paging: walks the guest's tables, then makes what the CPU
 * needs to walk ours, or says that the fault is the guest's own.
 * Must not look for host memory itself; fault.c does, for both kinds of second level.
 */
#include <linux/mm.h>
#include <asm/processor-flags.h>

#include "requests.h"
#include "shadow.h"

/*
 * One fault under way:
 * @p, @result, @trail: the guest's walk
 * @top: its highest level with a table of its own: 0 without paging
 * @access: what the walk and the CPU's mode grant the leaf, ACC_*
 * @pkey: its protection key
 * @gva, @error: as the exit said
 * @seq: vm_shadow.seq when the walk began
 */
struct shadow_fault {
	struct paging p;
	struct paging_result result;
	struct paging_trail trail;
	union shadow_role role;
	u8 top;
	u8 access;
	u8 pkey;
	gva_t gva;
	u32 error;
	unsigned long seq;
};

/* ---- The guest's walk ---- */

u8 shadow_gpte_access(const struct paging *p, u64 gpte)
{
	u8 access = 0;

	if (gpte & GPTE_W)
		access |= ACC_W;
	if (gpte & GPTE_U)
		access |= ACC_U;
	if (!p->nx || p->mode == PAGING_32BIT || !(gpte & GPTE_NX))
		access |= ACC_X;
	return access;
}

/*
 * CR0.WP is always set for the CPU. What the guest's kernel may write without it becomes a page of
 * the kernel's for as long as it writes; the next access of a user takes that back. Where that
 * would undo SMAP or a protection key, the access is emulated instead. False for that.
 */
static bool fault_lift_wp(struct shadow_fault *f)
{
	bool user_page = f->access & ACC_U;

	if (f->p.wp || (f->error & PFEC_USER) || !(f->error & PFEC_WRITE) || f->access & ACC_W)
		return true;
	if (user_page && f->role.strict)
		return false;
	f->access |= ACC_W;
	if (user_page) {
		f->access &= ~ACC_U;
		if (f->role.smep)
			f->access &= ~ACC_X;
	}
	return true;
}

/* Rights of the leaf; clean pages are not written to unseen. */
static void fault_access(struct shadow_fault *f)
{
	u8 level = f->result.level;
	u64 leaf;

	if (!level) {
		f->access = ACC_ALL;
		f->pkey = 0;
		return;
	}
	leaf = f->trail.entry[level];
	/* Also while CR4.PKE is off: it may go on without a flush. */
	f->pkey = f->p.mode >= PAGING_4LEVEL ? leaf >> SHADOW_PKEY_SHIFT & 15 : 0;
	f->access = (f->result.user ? ACC_U : 0) | (f->result.nx && f->p.nx ? 0 : ACC_X);
	if (f->result.writable && (leaf & GPTE_D || f->error & PFEC_WRITE))
		f->access |= ACC_W;
}

/* 0, PF_GUEST with the guest's own fault in @ex, or -EFAULT. */
static int fault_walk(struct vcpu *vcpu, struct shadow_fault *f, gpa_t *gpa,
		      struct guest_exception *ex)
{
	u32 access = f->error & (PFEC_WRITE | PFEC_USER | PFEC_FETCH);
	u32 error;

	guest_paging(vcpu, &f->p);
	f->role = shadow_role(&f->p);
	/*
	 * "SMAP": lifted by RFLAGS.AC for explicit accesses. An access of the supervisor's at CPL 3
	 * is one to a system table.
	 */
	if (f->p.smap && vcpu->rflags & X86_EFLAGS_AC && vcpu_cpl(vcpu) < 3)
		f->p.smap = false;
	/* Before any entry is read. Pairs with shadow_seq_bump(). */
	f->seq = smp_load_acquire(&vcpu->vm->mmu.shadow->seq);
	f->top = 0;
	vcpu->mmu.unreadable_table = INVALID_GPA;
	if (paging_walk(&f->p, vcpu, f->gva, access, &f->result, &error, &f->trail)) {
		/* As the CPU's own walk with EPT: user space has to be told. */
		if (unlikely(vcpu->mmu.unreadable_table != INVALID_GPA)) {
			*gpa = vcpu->mmu.unreadable_table;
			return -EFAULT;
		}
		*ex = (struct guest_exception){
			.vector = VEC_PF,
			.has_error = true,
			.error = error,
			.cr2 = f->gva,
		};
		return PF_GUEST;
	}
	switch (f->p.mode) {
	case PAGING_OFF:
		break;
	case PAGING_32BIT:
	case PAGING_PAE:
		f->top = 2;
		break;
	default:
		f->top = f->p.mode == PAGING_5LEVEL ? 5 : 4;
	}
	fault_access(f);
	return 0;
}

/*
 * Do the guest's tables still say what the walk found? Asked when a table came into use since that
 * was written unseen before, or when any vCPU has invalidated something: what is mapped from an
 * older walk would outlive that.
 */
static bool fault_walk_holds(struct vcpu *vcpu, const struct shadow_fault *f)
{
	unsigned int level, size = shadow_gpte_size(f->role);

	if (!f->top || f->seq == vcpu->vm->mmu.shadow->seq)
		return true;
	for (level = f->top; level >= f->result.level; level--) {
		u64 now = 0;

		if (guest_read_nofault(vcpu, f->trail.gpa[level], &now, size) ||
		    now != f->trail.entry[level])
			return false;
	}
	return true;
}

/* ---- The tables ---- */

/* Identity of the page below the entry at @level of @sp. */
static void child_identity(const struct shadow_fault *f, const struct shadow_page *sp,
			   unsigned int level, gfn_t gfn, union shadow_role *role, gfn_t *base)
{
	*role = f->role;
	role->level = level - 1;
	if (level <= f->result.level || !f->top) {
		role->direct = 1;
		role->access = f->access;
		role->pkey = f->pkey;
		*base = gfn & ~(spte_span(level) - 1);
		return;
	}
	role->access = sp->role.access & shadow_gpte_access(&f->p, f->trail.entry[level]);
	if (f->role.mode == PAGING_32BIT)
		role->quadrant = f->gva >> 21 & 1;
	*base = (f->trail.gpa[level - 1]) >> PAGE_SHIFT;
}

/* The page below an entry, linked. NULL: try again. */
static struct shadow_page *fault_descend(struct vcpu *vcpu, struct tdp_batch *b,
					 struct shadow_fault *f, struct shadow_page *sp,
					 unsigned int level, gfn_t gfn)
{
	unsigned int index = spte_index(f->gva >> PAGE_SHIFT, level);
	u64 spte = sp->spt[index], gpte = f->top ? f->trail.entry[level] : 0;
	struct vm_shadow *s = vcpu->vm->mmu.shadow;
	struct shadow_page *child;
	union shadow_role role;
	gfn_t base;

	child_identity(f, sp, level, gfn, &role, &base);
	if (spte && !shadow_is_leaf(spte, level)) {
		child = shadow_sp(shadow_pa(spte));
		if (child->gfn == base && child->role.word == role.word)
			return child;
	}
	if (spte) {
		shadow_drop(vcpu->vm, sp, index);
		/* The CPU may have cached the entry that is replaced. */
		b->flush = true;
	}
	child = shadow_find(s, base, role);
	if (child && !list_empty(&child->unsync)) {
		/* It was out of use: nothing in it has been asked for by a flush since. */
		shadow_sync_page(vcpu, b, child);
		child = shadow_find(s, base, role);
	}
	if (!child) {
		child = shadow_get(vcpu, b, base, role);
		if (!child)
			return NULL;
	}
	if (unlikely(rmap_list_count(child->parents) >= RMAP_LIST_MAX))
		shadow_drop_list(b, &child->parents);
	shadow_set_entry(sp, index, shadow_make_table(__pa(child->spt)), gpte);
	rmap_list_add(vcpu->mmu.shadow, &child->parents, &sp->spt[index]);
	return child;
}

static int fault_set_leaf(struct vcpu *vcpu, struct tdp_batch *b, struct shadow_fault *f,
			  struct page_fault *pf, struct shadow_page *sp)
{
	unsigned int level = pf->goal_level, index = spte_index(f->gva >> PAGE_SHIFT, level);
	struct vm *vm = vcpu->vm;
	struct shadow_leaf leaf = {
		.pfn = pf->pfn & ~(spte_span(level) - 1),
		.level = level,
		.access = f->access,
		.pkey = f->pkey,
		.uncached = pf->uncached,
	};
	u64 old = sp->spt[index], new;
	gfn_t first = pf->gfn & ~(spte_span(level) - 1);
	struct rmap_region *r = rmap_region(vm->mmu.shadow, first);
	unsigned long *head;

	if (!r) {
		vcpu->mmu.shadow->want = first;
		return PF_RETRY;
	}
	if (level > 1 && vm->mmu.nx_large)
		leaf.access &= ~ACC_X;
	if (!pf->map_writable || (!pf->write && memslot_logs(pf->slot)))
		leaf.access &= ~ACC_W;
	if ((leaf.access & ACC_W) && r->tables) {
		if (pf->write)
			shadow_unsync_gfn(b, pf->gfn);
		else if (shadow_is_table(vm->mmu.shadow, pf->gfn))
			leaf.access &= ~ACC_W;
	}
	pf->map_writable = leaf.access & ACC_W;

	new = shadow_make_leaf(&leaf);
	if (old == new)
		return PF_FIXED;
	if (old) {
		shadow_drop(vm, sp, index);
		/* Rights may go, or the frame; the guest's own flush does not cover the host's. */
		b->flush = true;
	}
	head = rmap_leaf_head(r, first, level);
	if (unlikely(rmap_list_count(*head) >= RMAP_LIST_MAX))
		shadow_drop_list(b, head);
	shadow_set_entry(sp, index, new, f->top && !sp->role.direct ? f->trail.entry[level] : 0);
	rmap_leaf_add(vcpu->mmu.shadow, r, first, level, &sp->spt[index]);
	atomic64_inc(&vm->mmu.mapped[level - 1]);
	return PF_FIXED;
}

/* As large as the guest's own page allows; 4K where a guest's table is write-protected. */
static void fault_limit(struct vcpu *vcpu, const struct shadow_fault *f, struct page_fault *pf)
{
	u8 most = shadow_pae_format(f->role) ? 2 : SHADOW_MAX_LEVEL;

	if (f->top)
		most = min_t(u8, most, f->result.level);
	pf->goal_level = min(pf->goal_level, most);
	while (pf->goal_level > 1 &&
	       rmap_has_tables(vcpu->vm->mmu.shadow, pf->gfn, pf->goal_level))
		pf->goal_level--;
}

/* As deep as levels below that of the largest leaf. */
static bool maps_nothing(const struct shadow_page *sp)
{
	unsigned int i;

	for_each_set_bit(i, sp->present, SHADOW_ENTRIES)
		if (shadow_is_leaf(sp->spt[i], sp->role.level) ||
		    !maps_nothing(shadow_sp(shadow_pa(sp->spt[i]))))
			return false;
	return true;
}

/* What executes was made small, and larger must not come back to undo it. */
static bool stays_small(struct vcpu *vcpu, const struct shadow_fault *f,
			const struct shadow_page *sp, unsigned int level)
{
	u64 spte = sp->spt[spte_index(f->gva >> PAGE_SHIFT, level)];

	return vcpu->vm->mmu.nx_large && level > 1 && spte && !shadow_is_leaf(spte, level) &&
	       !maps_nothing(shadow_sp(shadow_pa(spte)));
}

/*
 * The host maps the whole 2M by one entry, and so does the guest; it was made small only because it
 * executes. The other faults need not happen.
 */
static void fault_fill(struct vcpu *vcpu, const struct page_fault *pf, struct shadow_page *sp)
{
	struct rmap_region *r = rmap_region(vcpu->vm->mmu.shadow, pf->gfn);
	struct shadow_leaf leaf = {
		.pfn = pf->pfn & ~(u64)(SHADOW_ENTRIES - 1),
		.level = 1,
		.access = sp->role.access,
		.pkey = sp->role.pkey,
		.uncached = pf->uncached,
	};
	unsigned int i;

	/* Which of them the guest's tables are in is found out by a fault on each. */
	if (!pf->map_writable || r->tables)
		leaf.access &= ~ACC_W;
	for (i = 0; i < SHADOW_ENTRIES; i++, leaf.pfn++) {
		/* A frame that is mapped elsewhere, too, would need more spare memory. */
		if (sp->spt[i] || r->leaf[i])
			continue;
		shadow_set_entry(sp, i, shadow_make_leaf(&leaf), 0);
		rmap_leaf_add(vcpu->mmu.shadow, r, sp->gfn + i, 1, &sp->spt[i]);
		atomic64_inc(&vcpu->vm->mmu.mapped[0]);
	}
}

static int fault_build(struct vcpu *vcpu, struct tdp_batch *b, struct shadow_fault *f,
		       struct page_fault *pf)
{
	const struct shadow_root *root = &vcpu->mmu.shadow->root[0];
	bool pae = shadow_pae_format(root->role);
	struct shadow_page *sp = root->sp[pae ? f->gva >> 30 & 3 : 0];
	unsigned int level, index;
	bool absent;
	int r;

	/* Zapped meanwhile, or the mode is newer than the root: a request to reload waits. */
	if (!sp || sp->invalid || root->role.word != f->role.word)
		return PF_RETRY;
	fault_limit(vcpu, f, pf);
	for (level = sp->role.level;; level--) {
		if (level == pf->goal_level) {
			if (!stays_small(vcpu, f, sp, level))
				break;
			pf->goal_level--;
		}
		sp = fault_descend(vcpu, b, f, sp, level, pf->gfn);
		if (!sp)
			return PF_RETRY;
	}
	/* Tables on the way down, in use as of now, may lie in what is to be mapped. */
	if (level > 1 && rmap_has_tables(vcpu->vm->mmu.shadow, pf->gfn, level))
		return PF_RETRY;
	if (!fault_walk_holds(vcpu, f))
		return PF_RETRY;
	index = spte_index(f->gva >> PAGE_SHIFT, level);
	absent = !sp->spt[index];
	r = fault_set_leaf(vcpu, b, f, pf, sp);
	if (r != PF_FIXED)
		return r;
	mmu_fault_mark_dirty(vcpu, pf);
	if (unlikely(pf->fill) && sp->role.direct && level == 1)
		fault_fill(vcpu, pf, sp);
	else if (absent && level == 1)
		shadow_prefetch(vcpu, &f->p, sp, index);
	return r;
}

static int fault_map(struct vcpu *vcpu, struct shadow_fault *f, struct page_fault *pf)
{
	struct vm *vm = vcpu->vm;
	struct vcpu_shadow *v = vcpu->mmu.shadow;
	struct tdp_batch b;
	int r = PF_RETRY, err;

	tdp_batch_init(&b, vm, TDP_ZAP, false);
	v->want = ~0ull;
	write_lock(&vm->mmu.lock);
	if (!mmu_fault_is_stale(&vm->mmu, pf)) {
		shadow_make_room(&b);
		r = fault_build(vcpu, &b, f, pf);
	}
	if (b.flush)
		shadow_flush(&b);
	write_unlock(&vm->mmu.lock);
	tdp_batch_free(&b);
	if (v->want != ~0ull) {
		err = rmap_region_add(vm->mmu.shadow, v->want);
		if (err)
			return err;
		r = SHADOW_AGAIN;
	}
	return r;
}

/* ---- Devices ---- */

/* The same access as last time: the guest's tables and the slots are not asked again. */
static bool mmio_again(struct vcpu *vcpu, gva_t gva, u32 error, gpa_t *gpa)
{
	const struct shadow_mmio *mmio = &vcpu->mmu.shadow->mmio;
	/* As in vcpu_slot(). */
	u64 generation = smp_load_acquire(&vcpu->vm->mmu.slots_generation);

	if ((gva & PAGE_MASK) != mmio->page || error != mmio->error ||
	    generation != mmio->generation)
		return false;
	*gpa = mmio->gpa | offset_in_page(gva);
	return true;
}

/* Not where RFLAGS.AC, PKRU or the kind of access, which change without a flush, decide. */
static void mmio_remember(struct vcpu *vcpu, const struct shadow_fault *f, u64 generation)
{
	struct shadow_mmio *mmio = &vcpu->mmu.shadow->mmio;

	if (f->result.user && (f->p.pku || vcpu->cr4 & X86_CR4_SMAP))
		return;
	mmio->page = f->gva & PAGE_MASK;
	mmio->gpa = f->result.gpa & PAGE_MASK;
	mmio->error = f->error;
	mmio->generation = generation;
}

/* ---- The exit ---- */

static int fault_try(struct vcpu *vcpu, struct shadow_fault *f)
{
	struct page_fault pf = {
		.addr = f->result.gpa,
		.write = f->error & PFEC_WRITE,
		.exec = f->error & PFEC_FETCH,
		.present = f->error & PFEC_PRESENT,
	};
	int r = mmu_fault_find(vcpu, &pf);

	return mmu_fault_end(vcpu, &pf, r ?: fault_map(vcpu, f, &pf));
}

int mmu_shadow_fault(struct vcpu *vcpu, gva_t gva, u32 error, gpa_t *gpa,
		     struct guest_exception *ex)
{
	struct shadow_fault f = { .gva = gva, .error = error };
	u64 generation;
	int r;

	if (mmio_again(vcpu, gva, error, gpa))
		return PF_MMIO;
	/* Pairs with smp_store_release() in memslot_publish(). */
	generation = smp_load_acquire(&vcpu->vm->mmu.slots_generation);
	do {
		r = shadow_topup(vcpu);
		if (r)
			return r;
		r = fault_walk(vcpu, &f, gpa, ex);
		if (r)
			return r;
		*gpa = f.result.gpa;
		if (!fault_lift_wp(&f))
			return PF_MMIO;
		r = fault_try(vcpu, &f);
	} while (r == SHADOW_AGAIN);
	if (r == PF_MMIO)
		mmio_remember(vcpu, &f, generation);
	return r;
}
