/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Host services whose form differs between kernels or whose policy is the host's own.
 * This header must not depend on other headers of vmx/: host.c includes the kernel's <asm/vmx.h>,
 * which knows the same names.
 */
#ifndef KVMLET_VMX_HOST_H
#define KVMLET_VMX_HOST_H

#include <linux/types.h>

struct fpu_guest;

int host_init(bool ept);
void host_exit(void);

/*
 * host_deliver_nmi() and host_machine_check() - hand the event that ended guest mode to the host's
 * own handler. IRQs off.
 */
void host_deliver_nmi(void);
void host_machine_check(void);

/* host_fpu_alloc() - the guest's FPU container; false when out of memory. */
bool host_fpu_alloc(struct fpu_guest *fpu);
void host_fpu_free(struct fpu_guest *fpu);
/* host_fpu_swap() - exchange the FPU of user space and guest. Preemption on. */
void host_fpu_swap(struct fpu_guest *fpu, bool enter);
/* host_irq_touched_l1d() - whether an interrupt handler ran since the last flush. IRQs off. */
bool host_irq_touched_l1d(void);
/* host_l1d_flush() - write the L1 data cache over or flush it, "L1 Terminal Fault". IRQs off. */
void host_l1d_flush(void);

/**
 * struct host_mitigations - what the host's own configuration asks of a hypervisor; set once
 * @verw: clear CPU buffers with VERW before entering the guest
 * @verw_mmio: the same for a guest that reaches device memory of the host's
 * @l1d_flush: flush L1D before entering after code ran that touched others' secrets
 * @l1d_flush_always: before each entry
 * @spec_ctrl: IA32_SPEC_CTRL exists
 * @ibpb: IBPB is available
 */
struct host_mitigations {
	bool verw, verw_mmio, l1d_flush, l1d_flush_always, spec_ctrl, ibpb;
};

extern struct host_mitigations host_mitigations;

#endif
