// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMCALL: KVM's hypercalls, their numbers and arguments.
 * It must not decide who may use a feature; pv.c does.
 */
#include <linux/math64.h>
#include <linux/nospec.h>
#include <uapi/linux/kvm_para.h>

#include "compat.h"
#include "guest_state.h"
#include "irq.h"
#include "pv.h"
#include "vmx.h"

struct hypercall {
	unsigned long nr;
	unsigned long arg[4];
	bool is_64bit;
};

typedef long (*hypercall_fn)(struct vcpu *vcpu, const struct hypercall *call);

/* Guests of the first days asked so for interrupts; there is nothing to do. */
static long hc_vapic_poll_irq(struct vcpu *vcpu, const struct hypercall *call)
{
	return 0;
}

/* A paravirtual spinlock's owner wakes the next in the queue, which halted. */
static long hc_kick_cpu(struct vcpu *vcpu, const struct hypercall *call)
{
	struct vcpu *target = vlapic_find_vcpu(vcpu->vm, call->arg[1]);

	if (!target)
		return 0;
	WRITE_ONCE(target->pv.unhalted, true);
	/* Running, it will see the flag at its next HLT; rcuwait_wake_up() orders it. */
	if (rcuwait_wake_up(&target->wait))
		WRITE_ONCE(target->ready, true);
	vcpu_yield_to(vcpu, target);
	return 0;
}

static long hc_send_ipi(struct vcpu *vcpu, const struct hypercall *call)
{
	return vlapic_pv_ipi(vcpu->vm, call->arg, call->is_64bit ? 64 : 32, call->arg[2],
			     call->arg[3]);
}

static long hc_sched_yield(struct vcpu *vcpu, const struct hypercall *call)
{
	vcpu_yield_to(vcpu, vlapic_find_vcpu(vcpu->vm, call->arg[0]));
	return 0;
}

/* For PTP: the host's time of day with the guest's TSC at that moment. 64-bit guests only. */
static long hc_clock_pairing(struct vcpu *vcpu, const struct hypercall *call)
{
	struct kvm_clock_pairing pairing = {};
	u64 tsc, real;
	u32 nsec;

	if (call->arg[1] != KVM_CLOCK_PAIRING_WALLCLOCK || !pvclock_host_pairing(&tsc, &real))
		return -KVM_EOPNOTSUPP;
	pairing.sec = div_u64_rem(real, NSEC_PER_SEC, &nsec);
	pairing.nsec = nsec;
	pairing.tsc = vcpu_tsc_at(vcpu, tsc);
	if (guest_write(vcpu, call->arg[0], &pairing, sizeof(pairing)))
		return -KVM_EFAULT;
	return 0;
}

#define ANYBODY	0xff

static const struct {
	hypercall_fn fn;
	u8 feature;
} hypercalls[] = {
	[KVM_HC_VAPIC_POLL_IRQ]	= { hc_vapic_poll_irq, ANYBODY },
	[KVM_HC_KICK_CPU]	= { hc_kick_cpu, KVM_FEATURE_PV_UNHALT },
	[KVM_HC_CLOCK_PAIRING]	= { hc_clock_pairing, ANYBODY },
	[KVM_HC_SEND_IPI]	= { hc_send_ipi, KVM_FEATURE_PV_SEND_IPI },
	[KVM_HC_SCHED_YIELD]	= { hc_sched_yield, KVM_FEATURE_PV_SCHED_YIELD },
};

/* Numbers from here on are nobody's. */
#define HYPERCALL_END	(KVM_HC_MAP_GPA_RANGE + 1)

static long hypercall(struct vcpu *vcpu, const struct hypercall *call)
{
	unsigned long nr = call->nr;

	if (nr >= ARRAY_SIZE(hypercalls))
		return -KVM_ENOSYS;
	nr = array_index_nospec(nr, ARRAY_SIZE(hypercalls));
	if (!hypercalls[nr].fn)
		return -KVM_ENOSYS;
	if (hypercalls[nr].feature != ANYBODY && !vcpu_pv_has(vcpu, hypercalls[nr].feature))
		return -KVM_ENOSYS;
	return hypercalls[nr].fn(vcpu, call);
}

static int finish(struct vcpu *vcpu, long ret, bool is_64bit)
{
	vcpu->regs[REG_RAX] = is_64bit ? ret : (u32)ret;
	return vcpu_skip_instruction(vcpu);
}

/* ---- The one that user space answers ---- */

static int complete_hypercall(struct vcpu *vcpu)
{
	return finish(vcpu, READ_ONCE(vcpu->run->hypercall.ret), vcpu_is_64bit_code(vcpu));
}

static int map_gpa_range(struct vcpu *vcpu, const struct hypercall *call)
{
	gpa_t gpa = call->arg[0];
	u64 npages = call->arg[1];
	struct kvm_run *run = vcpu->run;
	gfn_t gfn = gpa_to_gfn(gpa);

	if (!(READ_ONCE(vcpu->vm->hypercall_exits) & BIT(KVM_HC_MAP_GPA_RANGE)))
		return finish(vcpu, -KVM_ENOSYS, call->is_64bit);
	if (offset_in_page(gpa) || !npages || gfn + npages <= gfn)
		return finish(vcpu, -KVM_EINVAL, call->is_64bit);
	run->exit_reason = KVM_EXIT_HYPERCALL;
	memset(&run->hypercall, 0, sizeof(run->hypercall));
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	run->hypercall.args[0] = gpa;
	run->hypercall.args[1] = npages;
	run->hypercall.args[2] = call->arg[2];
	compat_hypercall_flags(run) = call->is_64bit;
	vcpu->complete_io = complete_hypercall;
	return RUN_TO_USER;
}

/* ---- The exit ---- */

static void read_arguments(struct vcpu *vcpu, struct hypercall *call, bool is_64bit)
{
	unsigned long mask = is_64bit ? ~0ul : ~0u;

	call->is_64bit = is_64bit;
	call->nr = vcpu->regs[REG_RAX] & mask;
	call->arg[0] = vcpu->regs[REG_RBX] & mask;
	call->arg[1] = vcpu->regs[REG_RCX] & mask;
	call->arg[2] = vcpu->regs[REG_RDX] & mask;
	call->arg[3] = vcpu->regs[REG_RSI] & mask;
}

/* What needs no sleeping: numbers nobody has, and interrupts to other vCPUs. */
enum fast_result fast_vmcall(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	unsigned long nr = (u32)vcpu->regs[REG_RAX];
	struct hypercall call;
	bool is_64bit;
	long ret = -KVM_ENOSYS;

	if (nr < HYPERCALL_END && nr != KVM_HC_SEND_IPI)
		return FAST_NONE;
	if ((segs_read_rights(SEG_SS) >> SEG_RIGHTS_DPL_SHIFT) & 3)
		return FAST_NONE;
	is_64bit = vcpu->efer & EFER_LMA && segs_read_rights(SEG_CS) & SEG_RIGHTS_L;
	if (!vmx_skip_fast(vmx))
		return FAST_NONE;
	if (nr == KVM_HC_SEND_IPI) {
		read_arguments(vcpu, &call, is_64bit);
		ret = hypercall(vcpu, &call);
	}
	vcpu->regs[REG_RAX] = is_64bit ? ret : (u32)ret;
	return FAST_REENTER;
}

int handle_vmcall(struct vcpu *vcpu)
{
	struct hypercall call;

	read_arguments(vcpu, &call, vcpu_is_64bit_code(vcpu));
	if (vcpu_cpl(vcpu))
		return finish(vcpu, -KVM_EPERM, call.is_64bit);
	if (call.nr == KVM_HC_MAP_GPA_RANGE)
		return map_gpa_range(vcpu, &call);
	return finish(vcpu, hypercall(vcpu, &call), call.is_64bit);
}
