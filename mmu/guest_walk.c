// SPDX-License-Identifier: GPL-2.0-only
/*
 * Translates a vCPU's linear addresses: gathers its control registers for paging.c and lends it
 * guest memory. Must not know the formats of page tables; paging.c does.
 */
#include <asm/processor-flags.h>
#include <asm/msr-index.h>

#include "internal.h"
#include "paging.h"
#include "vcpu_hw.h"

static enum paging_mode walk_mode(unsigned long cr0, unsigned long cr4, u64 efer)
{
	if (!(cr0 & X86_CR0_PG))
		return PAGING_OFF;
	if (efer & EFER_LMA)
		return cr4 & X86_CR4_LA57 ? PAGING_5LEVEL : PAGING_4LEVEL;
	return cr4 & X86_CR4_PAE ? PAGING_PAE : PAGING_32BIT;
}

void guest_paging(struct vcpu *vcpu, struct paging *p)
{
	unsigned long cr0 = vcpu_cr0(vcpu), cr4;

	p->mode = PAGING_OFF;
	if (!(cr0 & X86_CR0_PG))
		return;
	cr4 = vcpu_cr4(vcpu);
	p->mode = walk_mode(cr0, cr4, vcpu->efer);
	p->cr3 = vcpu_cr3(vcpu);
	p->pdptrs = vcpu->pdptrs;
	p->maxphyaddr = vcpu->maxphyaddr;
	p->nx = vcpu->efer & EFER_NX;
	p->wp = cr0 & X86_CR0_WP;
	p->smep = cr4 & X86_CR4_SMEP;
	p->smap = cr4 & X86_CR4_SMAP;
	p->pse = cr4 & X86_CR4_PSE;
	p->pse36 = guest_has(vcpu, GF_PSE36);
	p->gbpages = guest_has(vcpu, GF_GBPAGES);
	p->pku = cr4 & X86_CR4_PKE;
	p->pkru = vcpu->pkru;
	p->keep_ad = false;
}

int guest_translate(struct vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa,
		    struct guest_exception *ex)
{
	struct paging_result result;
	struct paging p;
	u32 error;

	guest_paging(vcpu, &p);
	if (p.mode == PAGING_OFF) {
		*gpa = gva;
		return 0;
	}
	/* "SMAP": RFLAGS.AC lifts it for explicit accesses. */
	if (p.smap && !(access & GUEST_ACCESS_IMPLICIT) && (vcpu->rflags & X86_EFLAGS_AC))
		p.smap = false;
	if (paging_translate(&p, vcpu, gva, access & ~GUEST_ACCESS_IMPLICIT, &result, &error)) {
		*ex = (struct guest_exception){
			.vector = VEC_PF,
			.has_error = true,
			.error = error,
			.cr2 = gva,
		};
		return 1;
	}
	*gpa = result.gpa;
	return 0;
}

int guest_translate_inspect(struct vcpu *vcpu, gva_t gva, gpa_t *gpa)
{
	struct paging_result result;
	struct paging p;
	u32 error;

	guest_paging(vcpu, &p);
	p.smap = false;
	p.pku = false;
	p.keep_ad = true;
	if (paging_translate(&p, vcpu, gva, 0, &result, &error))
		return 1;
	*gpa = result.gpa;
	return 0;
}

int guest_load_pdptrs(struct vcpu *vcpu, u64 cr3)
{
	u64 pdptrs[4];
	unsigned int i;

	/* "PAE Paging": CR3 bits 31:5. */
	if (guest_read(vcpu, cr3 & 0xffffffe0, pdptrs, sizeof(pdptrs)))
		return 1;
	for (i = 0; i < ARRAY_SIZE(pdptrs); i++)
		if (!paging_pdptr_valid(pdptrs[i], vcpu->maxphyaddr))
			return 1;
	memcpy(vcpu->pdptrs, pdptrs, sizeof(pdptrs));
	return 0;
}
