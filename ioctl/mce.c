// SPDX-License-Identifier: GPL-2.0-only
/*
 * Machine checks that user space gives a guest: KVM_X86_SETUP_MCE and KVM_X86_SET_MCE.
 * This file must not be involved when the host itself has a machine check.
 */
#include <linux/nospec.h>
#include <asm/mce.h>
#include <asm/processor-flags.h>

#include "ioctl.h"
#include "irq.h"
#include "requests.h"

/* IA32_MCG_CAP bits that a guest can be given, beside the numbers of banks and of extended MSRs. */
#define MCG_CAP_COUNTS	(MCG_BANKCNT_MASK | MCG_EXT_CNT_MASK)

/* One bank's part of vcpu->msrs.mci[]. */
enum { BANK_CTL, BANK_STATUS, BANK_ADDR, BANK_MISC, BANK_REGS };

int vcpu_ioctl_setup_mce(struct vcpu *vcpu, void *arg)
{
	u64 cap = *(u64 *)arg;
	unsigned int banks = cap & MCG_BANKCNT_MASK, i;

	if (!banks || banks > MCE_MAX_BANKS)
		return vcpu_refuse(vcpu, -EINVAL, "number of machine-check banks", banks);
	if (cap & ~(u64)(MCE_CAP_SUPPORTED | MCG_CAP_COUNTS))
		return vcpu_refuse(vcpu, -EINVAL, "bits of IA32_MCG_CAP not supported", cap);
	vcpu->msrs.mcg_cap = cap;
	if (cap & MCG_CTL_P)
		vcpu->msrs.mcg_ctl = ~0ULL;
	for (i = 0; i < banks; i++) {
		vcpu->msrs.mci[BANK_REGS * i + BANK_CTL] = ~0ULL;
		if (cap & MCG_CMCI_P)
			vcpu->msrs.mci_ctl2[i] = 0;
	}
	vlapic_enable_cmci(vcpu, cap & MCG_CMCI_P);
	return 0;
}

static void log_in_bank(u64 *bank, const struct kvm_x86_mce *mce, bool overflow)
{
	bank[BANK_STATUS] = mce->status | (overflow ? MCI_STATUS_OVER : 0);
	bank[BANK_ADDR] = mce->addr;
	bank[BANK_MISC] = mce->misc;
}

/* "Uncorrected no action required": logged, never signalled by an exception. */
static bool needs_no_action(const struct kvm_x86_mce *mce)
{
	return !mce->mcg_status && mce->status & MCI_STATUS_UC &&
	       !(mce->status & (MCI_STATUS_PCC | MCI_STATUS_S | MCI_STATUS_AR));
}

/* "Corrected Machine-Check Error Interrupt": for those that were logged without an exception. */
static void log_without_action(struct vcpu *vcpu, unsigned int index, const struct kvm_x86_mce *mce)
{
	log_in_bank(vcpu->msrs.mci + BANK_REGS * index, mce, false);
	vcpu->msrs.mcg_status = mce->mcg_status;
	if (vcpu->msrs.mcg_cap & MCG_CMCI_P && vcpu->msrs.mci_ctl2[index] & MCI_CTL2_CMCI_EN)
		vlapic_deliver_cmci(vcpu);
}

/* A machine check during another, or with CR4.MCE clear, shuts the processor down. */
static void raise_uncorrected(struct vcpu *vcpu, u64 *bank, const struct kvm_x86_mce *mce)
{
	/* Reporting is on only with all bits set. */
	if (vcpu->msrs.mcg_cap & MCG_CTL_P && vcpu->msrs.mcg_ctl != ~0ULL)
		return;
	if (bank[BANK_CTL] != ~0ULL)
		return;
	if (vcpu->msrs.mcg_status & MCG_STATUS_MCIP || !(vcpu_cr4(vcpu) & X86_CR4_MCE)) {
		vcpu_request(vcpu, REQ_TRIPLE_FAULT);
		return;
	}
	log_in_bank(bank, mce, bank[BANK_STATUS] & MCI_STATUS_VAL);
	vcpu->msrs.mcg_status = mce->mcg_status;
	vcpu_queue_exception(vcpu, VEC_MC);
	vcpu_request(vcpu, REQ_EVENT);
}

int vcpu_ioctl_set_mce(struct vcpu *vcpu, void *arg)
{
	const struct kvm_x86_mce *mce = arg;
	unsigned int banks = min_t(unsigned int, vcpu->msrs.mcg_cap & MCG_BANKCNT_MASK,
				   MCE_MAX_BANKS);
	unsigned int index;
	u64 *bank;

	if (mce->bank >= banks)
		return vcpu_refuse(vcpu, -EINVAL, "no such machine-check bank", mce->bank);
	if (!(mce->status & MCI_STATUS_VAL))
		return vcpu_refuse(vcpu, -EINVAL, "the status is not valid", mce->status);
	index = array_index_nospec(mce->bank, banks);
	bank = vcpu->msrs.mci + BANK_REGS * index;

	if (needs_no_action(mce)) {
		log_without_action(vcpu, index, mce);
	} else if (mce->status & MCI_STATUS_UC) {
		raise_uncorrected(vcpu, bank, mce);
	} else if ((bank[BANK_STATUS] & (MCI_STATUS_VAL | MCI_STATUS_UC)) ==
		   (MCI_STATUS_VAL | MCI_STATUS_UC)) {
		/* "Overwrite Rules for Machine Check Overflow": what was uncorrected stays. */
		bank[BANK_STATUS] |= MCI_STATUS_OVER;
	} else {
		log_in_bank(bank, mce, bank[BANK_STATUS] & MCI_STATUS_VAL);
	}
	return 0;
}
