// SPDX-License-Identifier: GPL-2.0-only
/*
 * Real mode on a CPU without unrestricted guest, as virtual-8086 mode: the same instructions with
 * the same segments, for as long as they do what real mode would have them do.
 * Nothing outside a stay in the guest may see the disguise: it is put on right before VM entry and
 * taken off right after the exit.
 *
 * "Virtual-8086 Mode" with IOPL 3 leaves IN, OUT, CLI, STI, PUSHF, POPF and IRET alone. With
 * CR4.VME and a clear bit in the TSS's redirection bitmap ("Software Interrupt Handling"), INT n
 * goes through the table at address 0, as in real mode. All exceptions are intercepted; #GP hands
 * the instruction to the emulator: HLT, LGDT, MOV to CR0 and their like.
 */
#include <linux/sizes.h>
#include <linux/slab.h>
#include <asm/cpufeature.h>
#include <asm/processor-flags.h>

#include "guest_state.h"
#include "mmu.h"

/* A TSS without I/O restrictions: redirection bitmap and I/O bitmap follow, and a closing byte. */
#define TSS_SIZE		0x68
#define TSS_IO_MAP		0x66	/* where the I/O bitmap begins */
#define TSS_REDIRECTION		32
#define TSS_IO_BITMAP		(TSS_SIZE + TSS_REDIRECTION)
#define TSS_LIMIT		(TSS_IO_BITMAP + SZ_64K / 8)	/* the closing byte */
#define TSS_PAGES		3

#define VM86_RIGHTS	(SEG_RIGHTS_P | 3 << SEG_RIGHTS_DPL_SHIFT | SEG_RIGHTS_S | 3)
#define TSS_RIGHTS	(SEG_RIGHTS_P | 11)
#define RFLAGS_DISGUISE	(X86_EFLAGS_VM | X86_EFLAGS_IOPL)

static_assert(TSS_PAGES * PAGE_SIZE > TSS_LIMIT);

/* ---- The TSS, in a slot that user space has chosen the place of ---- */

int vm86_prepare(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	u8 *tss;
	int ret;

	lockdep_assert_held(&vm->lock);
	if (vm->vm86_tss || !vm->tss_addr || !boot_cpu_has(X86_FEATURE_VME))
		return 0;
	tss = kzalloc(TSS_PAGES * PAGE_SIZE, GFP_KERNEL_ACCOUNT);
	if (!tss)
		return -ENOMEM;
	*(u16 *)(tss + TSS_IO_MAP) = TSS_IO_BITMAP;
	tss[TSS_LIMIT] = 0xff;
	mutex_lock(&vm->slots_lock);
	ret = memslot_set_private(vm, MEMSLOT_TSS, vm->tss_addr, TSS_PAGES * PAGE_SIZE);
	mutex_unlock(&vm->slots_lock);
	if (!ret) {
		vcpu->srcu_idx = srcu_read_lock(&vm->srcu);
		ret = guest_write(vcpu, vm->tss_addr, tss, TSS_PAGES * PAGE_SIZE);
		srcu_read_unlock(&vm->srcu, vcpu->srcu_idx);
		vm->vm86_tss = !ret;
		if (ret)
			memslot_drop_private(vm, MEMSLOT_TSS);
	}
	kfree(tss);
	return ret;
}

/* ---- May it be put on? ---- */

static bool segment_fits(const struct em_segment *s, enum vcpu_seg which)
{
	if (s->base != (u32)s->selector << 4 || s->limit != 0xffff)
		return false;
	/* Real mode keeps a default size of 32 bits that protected mode has left behind. */
	return !(s->ar & SEG_RIGHTS_DB) || (which != SEG_CS && which != SEG_SS);
}

/* Between vmcs_get() and vmcs_put(). */
static bool segments_fit(struct vcpu *vcpu)
{
	struct em_segment s;
	enum vcpu_seg i;

	for (i = SEG_ES; i <= SEG_GS; i++) {
		segs_read(vcpu, &s, i);
		if (!segment_fits(&s, i))
			return false;
	}
	segs_read(vcpu, &s, SEG_LDTR);
	return s.ar & SEG_RIGHTS_UNUSABLE || (s.ar & (SEG_RIGHTS_TYPE | SEG_RIGHTS_P)) ==
					     (SEG_RIGHTS_P | 2);
}

bool vm86_fits(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	struct kvm_dtable idt;
	bool fits;

	if (!vcpu->vm->vm86_tss || vcpu_cr0(vcpu) & X86_CR0_PE || vcpu->guest_debug ||
	    vcpu->rflags & (X86_EFLAGS_VIF | X86_EFLAGS_VIP))
		return false;
	vcpu_get_idt(vcpu, &idt);
	if (idt.base || idt.limit < 0x3ff)
		return false;
	vmcs_get(vmx);
	fits = segments_fit(vcpu);
	vmcs_put(vmx);
	return fits;
}

/* ---- On and off; window open ---- */

void vm86_begin(struct vcpu_vmx *vmx, struct vm86_saved *saved)
{
	struct vcpu *vcpu = &vmx->vcpu;
	struct em_segment s;
	enum vcpu_seg i;

	for (i = SEG_ES; i <= SEG_GS; i++) {
		saved->rights[i] = segs_read_rights(i);
		segs_write_rights(i, VM86_RIGHTS);
	}
	segs_read(vcpu, &saved->tr, SEG_TR);
	s = (struct em_segment) {
		.base = vcpu->vm->tss_addr,
		.limit = TSS_LIMIT,
		.ar = TSS_RIGHTS,
	};
	segs_write(vcpu, &s, SEG_TR);
	saved->rflags = vcpu->rflags;
	vmcs_writel(VMCS_GUEST_RFLAGS, vcpu->rflags | RFLAGS_DISGUISE);
	vcpu->rflags_dirty = false;
	saved->cr4 = vmcs_readl(VMCS_GUEST_CR4);
	vmcs_writel(VMCS_GUEST_CR4, saved->cr4 | X86_CR4_VME);
	vmcs_write32(VMCS_EXCEPTION_BITMAP, ~0u);
}

void vm86_end(struct vcpu_vmx *vmx, const struct vm86_saved *saved)
{
	struct vcpu *vcpu = &vmx->vcpu;
	enum vcpu_seg i;

	for (i = SEG_ES; i <= SEG_GS; i++)
		segs_write_rights(i, saved->rights[i]);
	segs_write(vcpu, &saved->tr, SEG_TR);
	vcpu_set_rflags(vcpu, (vmcs_readl(VMCS_GUEST_RFLAGS) & ~RFLAGS_DISGUISE) |
			      (saved->rflags & X86_EFLAGS_IOPL));
	vmcs_writel(VMCS_GUEST_CR4, saved->cr4);
	vmcs_write32(VMCS_EXCEPTION_BITMAP, vmx->exceptions);
}

/* ---- Exceptions ---- */

/*
 * True for those that real mode would not have had, or would have delivered otherwise: the emulator
 * executes the instruction.
 */
bool vm86_must_emulate(u8 vector)
{
	return vector == VEC_GP || vector == VEC_BP || vector == VEC_OF;
}
