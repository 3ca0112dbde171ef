// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests in states that VM entry refuses on a CPU without unrestricted guest: real mode, and what
 * real mode leaves in segment registers until they are loaded anew. The emulator runs what
 * virtual-8086 mode (vm86.c) cannot, and delivers all events, until the CPU can.
 * This file must not enter the guest.
 */
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <asm/processor-flags.h>

#include "guest_state.h"
#include "mmu.h"
#include "reason.h"

/* So many instructions, then the outer loop has its turn. */
#define BATCH	256

/* ---- "Checks on Guest Segment Registers", those that depend on unrestricted guest or not ---- */

#define AR_RESERVED	0xf00u

static u8 dpl(const struct em_segment *s)
{
	return (s->ar & EM_AR_DPL) >> EM_AR_DPL_SHIFT;
}

static u8 rpl(const struct em_segment *s)
{
	return s->selector & 3;
}

static bool granularity_fits(const struct em_segment *s)
{
	if (s->ar & EM_AR_G)
		return (s->limit & 0xfff) == 0xfff;
	return !(s->limit >> 20);
}

static bool vm86_segment(const struct em_segment *s)
{
	return s->base == (u32)s->selector << 4 && s->limit == 0xffff &&
	       (s->ar & 0x1ffff) == (EM_AR_P | EM_AR_DPL | EM_AR_S | EM_AR_WRITABLE |
				     EM_AR_ACCESSED);
}

static bool usable_segment(const struct em_segment *s)
{
	return (s->ar & (EM_AR_S | EM_AR_P | EM_AR_ACCESSED)) ==
	       (EM_AR_S | EM_AR_P | EM_AR_ACCESSED) &&
	       !(s->ar & AR_RESERVED) && granularity_fits(s);
}

static bool code_segment(const struct em_segment *cs, const struct em_segment *ss, bool lma)
{
	if (cs->ar & EM_AR_UNUSABLE || !usable_segment(cs) || !(cs->ar & EM_AR_CODE))
		return false;
	if (lma && cs->ar & EM_AR_L && cs->ar & EM_AR_DB)
		return false;
	/* The fifth bit of the type means "conforming" here. */
	return cs->ar & EM_AR_EXPAND_DOWN ? dpl(cs) <= dpl(ss) : dpl(cs) == dpl(ss);
}

static bool stack_segment(const struct em_segment *ss, const struct em_segment *cs)
{
	if (rpl(ss) != rpl(cs) || dpl(ss) != rpl(ss))
		return false;
	if (ss->ar & EM_AR_UNUSABLE)
		return true;
	return usable_segment(ss) && (ss->ar & (EM_AR_CODE | EM_AR_WRITABLE)) == EM_AR_WRITABLE;
}

static bool data_segment(const struct em_segment *s)
{
	bool conforming = (s->ar & (EM_AR_CODE | EM_AR_EXPAND_DOWN)) ==
			  (EM_AR_CODE | EM_AR_EXPAND_DOWN);

	if (s->ar & EM_AR_UNUSABLE)
		return true;
	if (!usable_segment(s) || (s->ar & EM_AR_CODE && !(s->ar & EM_AR_WRITABLE)))
		return false;
	return conforming || dpl(s) >= rpl(s);
}

static bool system_segment(const struct em_segment *s, u8 type)
{
	return (s->ar & (EM_AR_TYPE | EM_AR_S | EM_AR_P | AR_RESERVED | EM_AR_UNUSABLE)) ==
	       (type | EM_AR_P) && granularity_fits(s) && !(s->selector & 4);
}

static bool segments_fit(const struct em_segment *seg, bool vm86, bool lma)
{
	enum vcpu_seg data[] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS };
	unsigned int i;

	for (i = 0; vm86 && i < SEG_TR; i++)
		if (!vm86_segment(&seg[i]))
			return false;
	if (!vm86) {
		if (!code_segment(&seg[SEG_CS], &seg[SEG_SS], lma) ||
		    !stack_segment(&seg[SEG_SS], &seg[SEG_CS]))
			return false;
		for (i = 0; i < ARRAY_SIZE(data); i++)
			if (!data_segment(&seg[data[i]]))
				return false;
	}
	if (!system_segment(&seg[SEG_TR], 11) && (lma || !system_segment(&seg[SEG_TR], 3)))
		return false;
	return seg[SEG_LDTR].ar & EM_AR_UNUSABLE || system_segment(&seg[SEG_LDTR], 2);
}

static bool enterable(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	struct em_segment seg[NR_SEGS];
	enum vcpu_seg i;

	if (!(vcpu_cr0(vcpu) & X86_CR0_PE))
		return false;
	vmcs_get(vmx);
	for (i = 0; i < NR_SEGS; i++)
		segs_read(vcpu, &seg[i], i);
	vmcs_put(vmx);
	return segments_fit(seg, vcpu->rflags & X86_EFLAGS_VM, vcpu->efer & EFER_LMA);
}

/* The guest cannot load a segment that entry refuses: only a change from outside, or here, asks. */
bool realmode_needed(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (unlikely(vmx->state_changed)) {
		vmx->refused = !enterable(vcpu);
		vmx->state_changed = false;
	}
	return vmx->refused;
}

/* ---- Events ---- */

/* What VM entry would deliver, and the length of an instruction that asked for it. */
static u32 take_entry_event(struct vcpu *vcpu, u32 *len)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 event;

	*len = 0;
	preempt_disable();
	vmcs_get(vmx);
	vmx_inject_events(vcpu);
	event = vmcs_read32(VMCS_ENTRY_INTR_INFO);
	vmcs_write32(VMCS_ENTRY_INTR_INFO, 0);
	switch (event & INTR_TYPE) {
	case INTR_TYPE_SOFT_INTR:
	case INTR_TYPE_SOFT_EXC:
	case INTR_TYPE_PRIV_SOFT:
		*len = vmcs_read32(VMCS_ENTRY_INSTRUCTION_LEN);
	}
	vmcs_put(vmx);
	preempt_enable();
	return event;
}

/*
 * Real mode's events go through its vector table. In the few instructions between setting CR0.PE
 * and loading CS no event can be delivered by anything: interrupts wait, an exception ends it.
 */
static int deliver_event(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	enum real_event result;
	u32 event, len;

	if (vcpu_cr0(vcpu) & X86_CR0_PE) {
		if (!vcpu->exception.pending && !vcpu->exception.injected)
			return RUN_RESUME;
		vmx->info.idt_info = vcpu->exception.vector | INTR_TYPE_HARD_EXC | INTR_VALID;
		return vmx_delivery_failed(vcpu);
	}
	event = take_entry_event(vcpu, &len);
	if (!(event & INTR_VALID))
		return RUN_RESUME;
	result = emulate_real_event(vcpu, event & INTR_VECTOR, len);
	if (result != REAL_EVENT_DONE)
		return result == REAL_EVENT_FAILED ? RUN_TO_USER : RUN_RESUME;
	if ((event & INTR_TYPE) == INTR_TYPE_NMI)
		vmx_set_nmi_masked(vcpu, true);
	vmx_events_delivered(vcpu);
	return RUN_RESUME;
}

/* ---- Virtual-8086 mode ---- */

static bool has_event(struct vcpu *vcpu)
{
	/* Nobody kicks an emulator that is too busy to enter: look first what is in service. */
	if (unlikely(vcpu->pv.eoi_armed))
		pv_eoi_sync(vcpu);
	/* INT n does not ask for IF. */
	return vcpu->interrupt.injected || vcpu_hw_has_event(vcpu);
}

bool realmode_enters(struct vcpu *vcpu)
{
	return !to_vmx(vcpu)->emulate_next && !has_event(vcpu) && vm86_fits(vcpu);
}

int realmode_exception(struct vcpu *vcpu, u8 vector)
{
	if (vm86_must_emulate(vector))
		to_vmx(vcpu)->emulate_next = true;
	else
		/* Real mode has no error codes. */
		vcpu_queue_exception(vcpu, vector);
	return RUN_RESUME;
}

/* ---- The loop ---- */

static bool others_wait(struct vcpu *vcpu)
{
	return vcpu->mp_state != KVM_MP_STATE_RUNNABLE || vcpu->request_irq_window ||
	       READ_ONCE(vcpu->requests) & ~REQS_IN_WINDOW || need_resched() ||
	       signal_pending(current);
}

int realmode_run(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned int n;
	int ret;

	vmx->info = (struct vmx_exit_info){};
	for (n = 0; n < BATCH; n++) {
		if (unlikely(has_event(vcpu))) {
			ret = deliver_event(vcpu);
			if (ret != RUN_RESUME || realmode_enters(vcpu))
				return ret;
		}
		vmx->emulate_next = false;
		ret = vcpu_emulate(vcpu, INVALID_GPA, 0);
		vmx->state_changed = true;
		if (ret != RUN_RESUME || others_wait(vcpu) || !realmode_needed(vcpu) ||
		    realmode_enters(vcpu))
			return ret;
	}
	return RUN_RESUME;
}

/* ---- Protected mode without paging, under EPT ---- */

/* 4-MByte pages that map each address to itself, as a guest would write them: P, W, U, A, D, PS. */
#define IDENTITY_PDE	0xe7u

static int identity_prepare(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	u32 *table;
	u32 i;
	int ret;

	lockdep_assert_held(&vm->lock);
	if (vm->identity_mapped)
		return 0;
	table = kmalloc(PAGE_SIZE, GFP_KERNEL_ACCOUNT);
	if (!table)
		return -ENOMEM;
	for (i = 0; i < PAGE_SIZE / sizeof(*table); i++)
		table[i] = i << 22 | IDENTITY_PDE;
	mutex_lock(&vm->slots_lock);
	ret = memslot_set_private(vm, MEMSLOT_IDENTITY, vm->identity_map_addr, PAGE_SIZE);
	mutex_unlock(&vm->slots_lock);
	if (!ret) {
		vcpu->srcu_idx = srcu_read_lock(&vm->srcu);
		ret = guest_write(vcpu, vm->identity_map_addr, table, PAGE_SIZE);
		srcu_read_unlock(&vm->srcu, vcpu->srcu_idx);
		vm->identity_mapped = !ret;
		if (ret)
			memslot_drop_private(vm, MEMSLOT_IDENTITY);
	}
	kfree(table);
	return ret;
}

int vcpu_hw_prepare(struct vcpu *vcpu)
{
	int ret;

	if (hw.unrestricted_guest)
		return 0;
	ret = hw.ept ? identity_prepare(vcpu) : 0;
	return ret ?: vm86_prepare(vcpu);
}
