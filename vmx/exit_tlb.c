// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exits of instructions that invalidate the TLB, which come with shadow paging only: INVLPG and
 * INVPCID.
 * It must not know what is cached where; mmu/ and run.c do.
 */
#include <linux/bitfield.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/tlbflush.h>

#include "guest_state.h"
#include "vmx.h"

/* The CPU's own translations of one address; all of them where it cannot do that. */
static void flush_address(struct vcpu_vmx *vmx, gva_t gva)
{
	struct invvpid_desc desc = { .vpid = vmx->vpid, .address = gva };

	/* Without VPIDs, VM entry flushes. */
	if (!vmx->vpid)
		return;
	preempt_disable();
	/* Elsewhere than on the CPU that has cached it there is nothing to flush. */
	if (!(vmx_caps.ept_vpid & VPID_CAP_ADDRESS) || vmx->last_cpu != smp_processor_id() ||
	    vmx_invvpid(INVVPID_ADDRESS, desc) != VMX_OK)
		vmx->tlb_flush = true;
	preempt_enable();
}

static void invalidate_address(struct vcpu *vcpu, gva_t gva)
{
	/* "INVLPG": without effect on an address that is not canonical. */
	if (vcpu_is_64bit_code(vcpu) &&
	    !__is_canonical_address(gva, vcpu_cr4(vcpu) & X86_CR4_LA57 ? 57 : 48))
		return;
	mmu_shadow_invlpg(vcpu, gva);
	flush_address(to_vmx(vcpu), gva);
}

int handle_invlpg(struct vcpu *vcpu)
{
	invalidate_address(vcpu, to_vmx(vcpu)->info.qual);
	return vcpu_skip_instruction(vcpu);
}

/* ---- INVPCID ---- */

/* "VM-Exit Instruction-Information Field as Used for ... INVPCID" */
#define INFO_SCALE		GENMASK(1, 0)
#define INFO_ADDRESS_SIZE	GENMASK(9, 7)
#define INFO_SEGMENT		GENMASK(17, 15)
#define INFO_INDEX		GENMASK(21, 18)
#define INFO_NO_INDEX		BIT(22)
#define INFO_BASE		GENMASK(26, 23)
#define INFO_NO_BASE		BIT(27)
#define INFO_REG2		GENMASK(31, 28)

enum invpcid_type { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL_GLOBAL, INVPCID_ALL };

struct invpcid_operand {
	u64 pcid, address;
};

static int raise_operand(struct vcpu *vcpu, enum vcpu_seg seg)
{
	vcpu_queue_exception_error(vcpu, seg == SEG_SS ? VEC_SS : VEC_GP, 0);
	return 1;
}

/* Linear address of the memory operand: 0, or 1 with an exception queued. */
static int operand_address(struct vcpu *vcpu, u32 info, gva_t *la)
{
	enum vcpu_seg seg = FIELD_GET(INFO_SEGMENT, info);
	unsigned int size = FIELD_GET(INFO_ADDRESS_SIZE, info);
	unsigned long ea = to_vmx(vcpu)->info.qual;
	const unsigned int bytes = sizeof(struct invpcid_operand);
	struct em_segment s;

	if (!(info & INFO_NO_BASE))
		ea += vcpu->regs[FIELD_GET(INFO_BASE, info)];
	if (!(info & INFO_NO_INDEX))
		ea += vcpu->regs[FIELD_GET(INFO_INDEX, info)] << FIELD_GET(INFO_SCALE, info);
	if (size < 2)
		ea &= size ? GENMASK(31, 0) : GENMASK(15, 0);
	segs_read(vcpu, &s, seg);
	if (vcpu_is_64bit_code(vcpu)) {
		*la = ea + (seg == SEG_FS || seg == SEG_GS ? s.base : 0);
		if (!__is_canonical_address(*la, vcpu_cr4(vcpu) & X86_CR4_LA57 ? 57 : 48))
			return raise_operand(vcpu, seg);
		return 0;
	}
	if (s.ar & SEG_RIGHTS_UNUSABLE || s.limit < bytes - 1 || ea > s.limit - (bytes - 1))
		return raise_operand(vcpu, seg);
	*la = (u32)(s.base + ea);
	return 0;
}

/* It may cross a page: two halves, each on its own. */
static int read_operand(struct vcpu *vcpu, gva_t la, struct invpcid_operand *op)
{
	struct guest_exception ex;
	unsigned int done = 0, n;
	gpa_t gpa;

	while (done < sizeof(*op)) {
		n = min_t(unsigned int, sizeof(*op) - done, PAGE_SIZE - offset_in_page(la + done));
		if (guest_translate(vcpu, la + done, 0, &gpa, &ex)) {
			vcpu_queue_guest_exception(vcpu, &ex);
			return 1;
		}
		/* Memory that is not there reads as all ones. */
		if (guest_read(vcpu, gpa, (void *)op + done, n))
			memset((void *)op + done, 0xff, n);
		done += n;
	}
	return 0;
}

/* "INVPCID": what of the descriptor has to be zero. */
static bool operand_valid(struct vcpu *vcpu, const struct invpcid_operand *op, u64 type)
{
	unsigned long cr4 = vcpu_cr4(vcpu);

	if (type > INVPCID_ALL)
		return false;
	if (type >= INVPCID_ALL_GLOBAL)
		return true;
	if (op->pcid >> 12 || (op->pcid && !(cr4 & X86_CR4_PCIDE)))
		return false;
	return type != INVPCID_ADDRESS ||
	       __is_canonical_address(op->address, cr4 & X86_CR4_LA57 ? 57 : 48);
}

/*
 * Each switch to another CR3 brings its tables up to date and flushes: only what concerns the
 * current PCID is done here.
 */
static void invalidate_pcid(struct vcpu *vcpu, const struct invpcid_operand *op, u64 type)
{
	bool current_pcid = (vcpu_cr3(vcpu) & X86_CR3_PCID_MASK) == op->pcid;

	if (!(vcpu_cr4(vcpu) & X86_CR4_PCIDE))
		current_pcid = true;
	if (type == INVPCID_ADDRESS) {
		if (current_pcid)
			invalidate_address(vcpu, op->address);
	} else if (type != INVPCID_CONTEXT || current_pcid) {
		regs_flush(vcpu);
	}
}

int handle_invpcid(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	struct invpcid_operand op;
	gva_t la;
	u32 info;
	u64 type;

	if (!guest_has(vcpu, GF_INVPCID))
		return handle_undefined(vcpu);
	vmcs_get(vmx);
	info = vmcs_read32(VMCS_EXIT_INSTRUCTION_INFO);
	vmcs_put(vmx);
	type = vcpu->regs[FIELD_GET(INFO_REG2, info)];
	if (!vcpu_is_64bit_code(vcpu))
		type = (u32)type;
	if (operand_address(vcpu, info, &la) || read_operand(vcpu, la, &op))
		return RUN_RESUME;
	if (!operand_valid(vcpu, &op, type)) {
		vcpu_queue_exception_error(vcpu, VEC_GP, 0);
		return RUN_RESUME;
	}
	invalidate_pcid(vcpu, &op, type);
	return vcpu_skip_instruction(vcpu);
}
