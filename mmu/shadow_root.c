// SPDX-License-Identifier: GPL-2.0-only
/*
 * Roots of shadow paging: which tables the CPU walks for a CR3 value and a mode, and the last few
 * of them of each vCPU; life of the shadow MMU.
 * Must not fill tables beyond the root.
 */
#include <linux/gfp.h>
#include <linux/slab.h>

#include "requests.h"
#include "shadow.h"

/* ---- Mode ---- */

union shadow_role shadow_role(const struct paging *p)
{
	union shadow_role role = { .word = 0 };

	role.mode = p->mode;
	if (p->mode == PAGING_OFF)
		return role;
	role.nx = p->nx;
	role.wp = p->wp;
	role.smep = !p->wp && p->smep;
	role.strict = !p->wp && (p->smap || p->pku);
	role.maxphyaddr = p->maxphyaddr;
	if (p->mode == PAGING_32BIT) {
		role.pse = p->pse;
		role.pse36 = p->pse36;
	} else {
		role.gbpages = p->gbpages;
	}
	return role;
}

static u64 root_cr3(const struct paging *p)
{
	switch (p->mode) {
	case PAGING_OFF:
		return 0;
	case PAGING_32BIT:
		return p->cr3 & GENMASK_ULL(31, 12);
	case PAGING_PAE:
		return p->cr3 & GENMASK_ULL(31, 5);
	default:
		return p->cr3 & GENMASK_ULL(p->maxphyaddr - 1, 12);
	}
}

/* ---- The cache ---- */

static bool root_matches(const struct shadow_root *root, const struct shadow_root *want)
{
	unsigned int i;

	if (!root->valid || root->cr3 != want->cr3 || root->role.word != want->role.word)
		return false;
	if (want->role.mode == PAGING_PAE &&
	    memcmp(root->pdptrs, want->pdptrs, sizeof(root->pdptrs)))
		return false;
	for (i = 0; i < ARRAY_SIZE(root->sp); i++)
		if (root->sp[i] && READ_ONCE(root->sp[i]->invalid))
			return false;
	return true;
}

/* The i-th becomes the first. PDPTEs stay where they are: each root has its own in v->pae. */
static void root_rotate(struct vcpu_shadow *v, unsigned int i)
{
	struct shadow_root root = v->root[i];

	memmove(&v->root[1], &v->root[0], i * sizeof(root));
	v->root[0] = root;
}

static bool root_cached(struct vcpu_shadow *v, const struct shadow_root *want)
{
	unsigned int i;

	for (i = 0; i < SHADOW_ROOTS; i++) {
		if (!root_matches(&v->root[i], want))
			continue;
		if (i)
			root_rotate(v, i);
		return true;
	}
	return false;
}

/* mmu.lock held for writing. */
static void root_forget(struct vm *vm, struct shadow_root *root)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(root->sp); i++) {
		if (root->sp[i])
			shadow_unref(vm, root->sp[i]);
		root->sp[i] = NULL;
	}
	root->valid = false;
}

/* ---- Making one ---- */

/* Frame and role of the i-th page of a root. False when there is none. */
static bool root_part(const struct shadow_root *root, unsigned int i, gfn_t *gfn,
		      union shadow_role *role)
{
	*role = root->role;
	role->access = ACC_ALL;
	*gfn = root->cr3 >> PAGE_SHIFT;
	if (!shadow_pae_format(root->role)) {
		role->level = root->role.mode == PAGING_5LEVEL ? 5 : 4;
		return !i;
	}
	role->level = 2;
	if (root->role.mode == PAGING_32BIT) {
		role->quadrant = i;
	} else if (root->role.mode == PAGING_OFF) {
		role->direct = 1;
		*gfn = (gfn_t)i << (30 - PAGE_SHIFT);
	} else {
		*gfn = (root->pdptrs[i] & GENMASK_ULL(root->role.maxphyaddr - 1, 12)) >> PAGE_SHIFT;
		return root->pdptrs[i] & 1;
	}
	return true;
}

static int root_fill(struct vcpu *vcpu, struct tdp_batch *b, struct shadow_root *root)
{
	union shadow_role role;
	unsigned int i;
	gfn_t gfn;

	for (i = 0; i < ARRAY_SIZE(root->sp); i++) {
		struct shadow_page *sp;

		if (!root_part(root, i, &gfn, &role))
			continue;
		sp = shadow_get(vcpu, b, gfn, role);
		if (!sp)
			return -EAGAIN;
		if (!sp->refs++)
			vcpu->vm->mmu.shadow->pinned++;
		root->sp[i] = sp;
	}
	return 0;
}

static void root_publish(struct vcpu_shadow *v, struct shadow_root *root)
{
	u64 *pdpte;
	unsigned int i;

	if (!shadow_pae_format(root->role)) {
		root->pa = __pa(root->sp[0]->spt);
	} else {
		/* Which of the four is this root's has been settled when it was evicted. */
		pdpte = __va(root->pa);
		for (i = 0; i < 4; i++)
			pdpte[i] = root->sp[i] ? shadow_make_pdpte(__pa(root->sp[i]->spt)) : 0;
	}
	root->valid = true;
}

/* A free quarter of the vCPU's page of PDPTEs: there are as many as roots. */
static hpa_t root_pdptes(const struct vcpu_shadow *v)
{
	unsigned int i, j;

	for (i = 0; i < SHADOW_ROOTS; i++) {
		hpa_t pa = __pa(v->pae[i]);

		for (j = 0; j < SHADOW_ROOTS; j++)
			if (v->root[j].valid && v->root[j].pa == pa)
				break;
		if (j == SHADOW_ROOTS)
			return pa;
	}
	return __pa(v->pae[0]);
}

/* Takes the place of the one that was not used for longest. */
static int root_make(struct vcpu *vcpu, const struct shadow_root *want)
{
	struct vcpu_shadow *v = vcpu->mmu.shadow;
	struct shadow_root *root = &v->root[SHADOW_ROOTS - 1];
	struct vm *vm = vcpu->vm;
	struct tdp_batch b;
	int r;

	r = shadow_topup(vcpu);
	if (r)
		return r;
	tdp_batch_init(&b, vm, TDP_ZAP, false);
	v->want = ~0ull;
	write_lock(&vm->mmu.lock);
	shadow_make_room(&b);
	root_forget(vm, root);
	*root = *want;
	root->pa = root_pdptes(v);
	r = root_fill(vcpu, &b, root);
	if (r) {
		root_forget(vm, root);
	} else {
		root_publish(v, root);
		root_rotate(v, SHADOW_ROOTS - 1);
	}
	if (b.flush)
		shadow_flush(&b);
	write_unlock(&vm->mmu.lock);
	tdp_batch_free(&b);
	if (r == -EAGAIN && v->want != ~0ull)
		r = rmap_region_add(vm->mmu.shadow, v->want) ?: -EAGAIN;
	return r;
}

int mmu_shadow_load(struct vcpu *vcpu)
{
	struct vcpu_shadow *v = vcpu->mmu.shadow;
	struct shadow_root want = {};
	struct paging p;
	int r;

	guest_paging(vcpu, &p);
	want.role = shadow_role(&p);
	want.cr3 = root_cr3(&p);
	if (p.mode == PAGING_PAE)
		memcpy(want.pdptrs, p.pdptrs, sizeof(want.pdptrs));
	v->mmio.page = SHADOW_NO_MMIO;
	while (!root_cached(v, &want)) {
		r = root_make(vcpu, &want);
		if (r && r != -EAGAIN)
			return r;
	}
	shadow_sync_root(vcpu);
	vcpu_request(vcpu, REQ_TLB_FLUSH);
	return 0;
}

bool mmu_shadow_switch_fast(struct vcpu *vcpu, u64 cr3, bool commit)
{
	struct vcpu_shadow *v = vcpu->mmu.shadow;
	u32 role = v->root[0].role.word;
	unsigned int i;

	cr3 &= GENMASK_ULL(vcpu->maxphyaddr - 1, 12);
	/* A page that is out of step may be reached from there. */
	if (shadow_pae_format(v->root[0].role) ||
	    !list_empty_careful(&vcpu->vm->mmu.shadow->unsync))
		return false;
	for (i = 0; i < SHADOW_ROOTS; i++) {
		const struct shadow_root *root = &v->root[i];

		if (root->valid && root->cr3 == cr3 && root->role.word == role &&
		    !READ_ONCE(root->sp[0]->invalid))
			break;
	}
	if (i == SHADOW_ROOTS)
		return false;
	if (commit)
		v->mmio.page = SHADOW_NO_MMIO;
	if (commit && i)
		root_rotate(v, i);
	return true;
}

hpa_t mmu_shadow_cr3(const struct vcpu *vcpu)
{
	return vcpu->mmu.shadow->root[0].pa;
}

/* ---- Life ---- */

int shadow_vm_init(struct vm *vm)
{
	struct vm_shadow *s = kvzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);

	if (!s)
		return -ENOMEM;
	INIT_LIST_HEAD(&s->pages);
	INIT_LIST_HEAD(&s->unsync);
	xa_init(&s->regions);
	s->vm = vm;
	vm->mmu.shadow = s;
	shadow_limit_add(s);
	/* What the host can address; a guest is told no more. */
	vm->mmu.max_gfn = (1ULL << (hw.maxphyaddr - PAGE_SHIFT)) - 1;
	return 0;
}

/* No vCPU is left, nor anyone else. */
void shadow_vm_destroy(struct vm *vm)
{
	struct vm_shadow *s = vm->mmu.shadow;
	struct tdp_batch b;

	tdp_batch_init(&b, vm, TDP_ZAP, true);
	while (!list_empty(&s->pages)) {
		write_lock(&vm->mmu.lock);
		shadow_reclaim(&b, s->count > 64 ? s->count - 64 : 0);
		b.flush = false;
		write_unlock(&vm->mmu.lock);
		tdp_batch_free(&b);
		cond_resched();
	}
	rmap_destroy(s);
	vm->mmu.shadow = NULL;
	kvfree(s);
}

int shadow_vcpu_init(struct vcpu *vcpu)
{
	struct vcpu_shadow *v = kzalloc(sizeof(*v), GFP_KERNEL_ACCOUNT);

	if (!v)
		return -ENOMEM;
	/* "PAE Paging": CR3 has 32 bits there. */
	v->pae = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT | __GFP_DMA32);
	if (!v->pae) {
		kfree(v);
		return -ENOMEM;
	}
	v->mmio.page = SHADOW_NO_MMIO;
	vcpu->mmu.shadow = v;
	vcpu_request(vcpu, REQ_MMU_RELOAD);
	return 0;
}

void shadow_vcpu_destroy(struct vcpu *vcpu)
{
	struct vcpu_shadow *v = vcpu->mmu.shadow;
	unsigned int i;

	if (!v)
		return;
	write_lock(&vcpu->vm->mmu.lock);
	for (i = 0; i < SHADOW_ROOTS; i++)
		root_forget(vcpu->vm, &v->root[i]);
	write_unlock(&vcpu->vm->mmu.lock);
	shadow_spares_free(v);
	free_page((unsigned long)v->pae);
	kfree(v);
	vcpu->mmu.shadow = NULL;
}
