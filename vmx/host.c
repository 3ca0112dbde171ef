// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's services that differ between kernels or belong to its own configuration: mitigations,
 * NMI and #MC hand-over, FPU.
 * It must not touch the VMCS or the guest's registers.
 */
#include <linux/gfp.h>
#include <linux/irqflags.h>
#include <linux/jump_label.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/hardirq.h>
#include <asm/mce.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>
#include <asm/ptrace.h>
#include <asm/vmx.h>

#include "host.h"

/*
 * Four times the largest L1 data cache affected by L1TF, as the pattern of replacement is not plain
 * LRU.
 */
#define L1D_ORDER	4
#define L1D_SIZE	(PAGE_SIZE << L1D_ORDER)
#define CACHE_LINE	64

struct host_mitigations host_mitigations __ro_after_init;
static u8 *l1d_pages;

/*
 * "L1 Terminal Fault": what the command line and the CPU ask for, unless kvm_intel's parameter has
 * decided already.
 */
static int __init setup_l1d_flush(bool ept)
{
	enum vmx_l1d_flush_state state = l1tf_vmx_mitigation;
	u64 cap = 0;

	if (!boot_cpu_has_bug(X86_BUG_L1TF))
		return 0;
	/* Of shadow tables the CPU walks no entry that the guest has written. */
	if (!ept)
		return 0;
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl_safe(MSR_IA32_ARCH_CAPABILITIES, &cap);
	if (cap & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH)
		return 0;
	if (l1tf_mitigation == L1TF_MITIGATION_FULL_FORCE ||
	    l1tf_mitigation == L1TF_MITIGATION_FULL)
		state = VMENTER_L1D_FLUSH_ALWAYS;
	else if (l1tf_mitigation == L1TF_MITIGATION_OFF && state != VMENTER_L1D_FLUSH_ALWAYS)
		state = VMENTER_L1D_FLUSH_NEVER;
	if (state == VMENTER_L1D_FLUSH_NEVER)
		return 0;

	host_mitigations.l1d_flush = true;
	host_mitigations.l1d_flush_always = state == VMENTER_L1D_FLUSH_ALWAYS;
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		return 0;
	l1d_pages = (u8 *)__get_free_pages(GFP_KERNEL, L1D_ORDER);
	if (!l1d_pages)
		return -ENOMEM;
	/* Different contents: a hypervisor below must not merge these pages into one. */
	for (int i = 0; i < 1 << L1D_ORDER; i++)
		memset(l1d_pages + i * PAGE_SIZE, i + 1, PAGE_SIZE);
	return 0;
}

int host_init(bool ept)
{
	host_mitigations.spec_ctrl = boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL);
	host_mitigations.ibpb = boot_cpu_has(X86_FEATURE_USE_IBPB);
#ifdef X86_FEATURE_CLEAR_CPU_BUF
	host_mitigations.verw |= boot_cpu_has(X86_FEATURE_CLEAR_CPU_BUF);
#endif
#ifdef X86_FEATURE_CLEAR_CPU_BUF_VM
	host_mitigations.verw |= boot_cpu_has(X86_FEATURE_CLEAR_CPU_BUF_VM);
#endif
#if defined(HAVE_MMIO_STALE_KEY)
	host_mitigations.verw_mmio = static_key_enabled(&mmio_stale_data_clear);
#elif defined(HAVE_CPU_BUF_KEY)
	host_mitigations.verw_mmio = static_key_enabled(&cpu_buf_vm_clear);
#endif
	return setup_l1d_flush(ept);
}

void host_exit(void)
{
	free_pages((unsigned long)l1d_pages, L1D_ORDER);
	l1d_pages = NULL;
}

/*
 * Read every line of the pages, a page's 64 loads without a branch: without microcode's help this
 * is the price of each entry after user space ran. The first pass brings the translations in, so
 * that page walks of the second do not put page tables into the cache.
 */
static void l1d_flush_by_reading(void)
{
	u8 *p, *end = l1d_pages + L1D_SIZE;

	for (p = l1d_pages; p < end; p += PAGE_SIZE)
		READ_ONCE(*p);
	asm volatile("lfence" : : : "memory");
	for (p = l1d_pages; p < end; p += PAGE_SIZE)
		asm volatile(".set line, 0\n\t"
			     ".rept %c1 / %c2\n\t"
			     "movzbl line(%0), %%eax\n\t"
			     ".set line, line + %c2\n\t"
			     ".endr"
			     : : "r"(p), "i"(PAGE_SIZE), "i"(CACHE_LINE) : "eax", "memory");
	asm volatile("lfence" : : : "memory");
}

bool host_irq_touched_l1d(void)
{
#if IS_ENABLED(CONFIG_KVM_INTEL)
	return kvm_get_cpu_l1tf_flush_l1d();
#else
	return true;
#endif
}

void host_l1d_flush(void)
{
#if IS_ENABLED(CONFIG_KVM_INTEL)
	kvm_clear_cpu_l1tf_flush_l1d();
#endif
	if (static_cpu_has(X86_FEATURE_FLUSH_L1D))
		native_wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	else
		l1d_flush_by_reading();
}

/*
 * The NMI that ended guest mode is blocked until the next IRET: INT takes the host through the same
 * gate, whose handler ends in one.
 */
void host_deliver_nmi(void)
{
	asm volatile("int $2" : : : "memory");
}

/*
 * As if it had come in user mode: what the guest consumed is the VMM's memory, whose process may be
 * killed for it; the kernel is not at fault. A kernel built without machine-check handling has
 * nobody to tell, and no gate to go through.
 */
void host_machine_check(void)
{
#ifdef HAVE_DO_MACHINE_CHECK
	struct pt_regs regs = {
		.cs = 3,
		.flags = X86_EFLAGS_IF,
	};

	do_machine_check(&regs);
#endif
}

bool host_fpu_alloc(struct fpu_guest *fpu)
{
	return fpu_alloc_guest_fpstate(fpu);
}

void host_fpu_free(struct fpu_guest *fpu)
{
	fpu_free_guest_fpstate(fpu);
}

void host_fpu_swap(struct fpu_guest *fpu, bool enter)
{
	fpu_swap_kvm_fpstate(fpu, enter);
}
