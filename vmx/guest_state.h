/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files that keep a guest's architectural state (CPUID, MSRs, registers, time) offer to
 * the rest of vmx/.
 * This header must not be included from outside vmx/; include/vcpu_hw.h is the face to the others.
 */
#ifndef KVMLET_VMX_GUEST_STATE_H
#define KVMLET_VMX_GUEST_STATE_H

#include "vmx.h"

/* ---- cpuid.c, cpuid_tables.c ---- */

/* Registers of a CPUID leaf. */
enum cpuid_reg_id { CPUID_REG_EAX, CPUID_REG_EBX, CPUID_REG_ECX, CPUID_REG_EDX };

/* Words of feature bits that the module offers or withholds; see cpuid_tables.c. */
enum cpuid_cap {
	CAP_1_ECX,
	CAP_1_EDX,
	CAP_7_0_EBX,
	CAP_7_0_ECX,
	CAP_7_0_EDX,
	CAP_7_1_EAX,
	CAP_7_1_EDX,
	CAP_7_2_EDX,
	CAP_D_1_EAX,
	CAP_8000_0001_ECX,
	CAP_8000_0001_EDX,
	CAP_8000_0007_EDX,
	CAP_8000_0008_EBX,
	NR_CPUID_CAPS
};

/* cpuid_init() - work out what the module supports here; once, after hw has been filled. */
void cpuid_init(void);
/* cpuid_vcpu_init() - what holds before the first KVM_SET_CPUID2; before vcpu_hw_reset(). */
void cpuid_vcpu_init(struct vcpu *vcpu);
/**
 * cpuid_update_dynamic() - follow CR4.OSXSAVE, CR4.PKE, IA32_APIC_BASE's enable bit, XCR0 and
 * IA32_XSS
 * @vcpu: own thread or vcpu->lock held; any context
 *
 * Callers: whoever changed one of these. Does nothing but memory stores.
 */
void cpuid_update_dynamic(struct vcpu *vcpu);
/* cpuid_cap() - one word of feature bits that a guest may be given. */
u32 cpuid_cap(enum cpuid_cap cap);
/* cpuid_xstate_size() - bytes of an XSAVE area with the components of @mask. */
u32 cpuid_xstate_size(u64 mask, bool compacted);
/*
 * cpuid_guest_features() - derive vcpu->guest_features, em.features and the masks that depend on
 * them.
 */
void cpuid_guest_features(struct vcpu *vcpu);
/*
 * cpuid_cr4_reserved() - CR4 bits a guest may not set, by what the module supports and, when
 * @by_guest, by its CPUID.
 */
u64 cpuid_cr4_reserved(struct vcpu *vcpu, bool by_guest);

/* cpuid_faulting() - CPUID above CPL 0 gets #GP: "CPUID Faulting", IA32_MISC_FEATURES_ENABLES. */
static inline bool cpuid_faulting(const struct vcpu *vcpu)
{
	return unlikely(vcpu->msrs.misc_features & 1);
}

/* ---- vmware.c ---- */

/*
 * vmware_rdpmc() - read the counter of RDPMC that ECX names into EDX:EAX; false when VMware has
 * none of that number, or the module's parameter is off.
 */
bool vmware_rdpmc(struct vcpu *vcpu);

/* ---- msr.c, msr_tables.c ---- */

struct msr_row;
typedef int (*msr_get_fn)(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr);
typedef int (*msr_set_fn)(struct vcpu *vcpu, const struct msr_row *row,
			  const struct msr_access *msr);

#define MSR_ROW_LIST	BIT(0)	/* in KVM_GET_MSR_INDEX_LIST */
#define MSR_ROW_FEATURE	BIT(1)	/* in KVM_GET_MSR_FEATURE_INDEX_LIST */
#define MSR_ROW_HOST	BIT(2)	/* the guest gets #GP, user space does not */
#define MSR_ROW_HOST_W	BIT(3)	/* the guest may read it only */

/**
 * struct msr_row - some MSRs with consecutive indices, and what reading and writing them does
 * @first: the first one's index
 * @more: how many follow it
 * @get: 0, or 1 to refuse; NULL refuses always
 * @set: the same
 * @value: constant to read, reserved bits of a write, VMCS field: each handler says
 * @offset: of a u64 in struct vcpu, for the handlers that keep a plain value
 * @need: enum guest_feature + 1 that the guest's CPUID has to show, 0 for none; user space needs
 *	none
 * @flags: MSR_ROW_*
 */
struct msr_row {
	u32 first, more;
	msr_get_fn get;
	msr_set_fn set;
	u64 value;
	u16 offset;
	u8 need;
	u8 flags;
};

/* Sorted by index, without overlap. */
extern const struct msr_row msr_rows[];
extern const unsigned int msr_nr_rows;

/* msr_vcpu_init() - power-up values of what survives INIT and RESET alike; once per vCPU. */
void msr_vcpu_init(struct vcpu *vcpu);
/* msr_vcpu_reset() - RESET or INIT values of the MSRs kept by msr.c. Takes the VMCS itself. */
void msr_vcpu_reset(struct vcpu *vcpu, bool init_event);
/* msr_row_available() - does the index belong into the lists on this machine. */
bool msr_row_available(u32 index);
/*
 * vcpu_set_apic_base() - IA32_APIC_BASE, of the in-kernel APIC or kept for user space's: 0, or 1
 * for #GP.
 */
int vcpu_set_apic_base(struct vcpu *vcpu, u64 value, bool host);
/* vcpu_set_efer() - WRMSR of IA32_EFER: 0, or 1 for #GP. */
int vcpu_set_efer(struct vcpu *vcpu, u64 efer, bool host);
/* efer_valid() - no reserved bit, and nothing the guest's CPUID does not offer. */
bool efer_valid(struct vcpu *vcpu, u64 efer);

/* ---- pv.c ---- */

/* pv_supported_features() - what KVM_GET_SUPPORTED_CPUID offers, KVM_FEATURE_* bits. */
u32 pv_supported_features(void);
/* pv_cpuid_base() - the leaf with KVM's signature in the guest's CPUID, 0 without. */
u32 pv_cpuid_base(struct vcpu *vcpu);
/* pv_msr_get() - a kept paravirtual MSR; row->value is the feature it belongs to. */
int pv_msr_get(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr);
/* pv_msr_allowed() - may the guest use it? If not, pv_msr_refuse() answers; a read gives 0. */
bool pv_msr_allowed(const struct vcpu *vcpu, const struct msr_row *row);
int pv_msr_refuse(const struct msr_access *msr);
int pv_set_poll_control(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr);
int pv_eoi_set_msr(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr);

/* ---- pvclock.c, steal.c ---- */

/* pvclock_renew() - a new base for the clocks of all vCPUs. Interrupts on. */
void pvclock_renew(struct vm *vm);
/* pvclock_tsc_changed() - offset or frequency of the vCPU's TSC have changed. Any context. */
void pvclock_tsc_changed(struct vcpu *vcpu);
/* pvclock_update() and steal_update() - tell the guest. Own thread, vm->srcu held; may sleep. */
void pvclock_update(struct vcpu *vcpu);
void steal_update(struct vcpu *vcpu);
int pvclock_set_system_time(struct vcpu *vcpu, const struct msr_row *row,
			    const struct msr_access *msr);
int pvclock_get_wall_clock(struct vcpu *vcpu, const struct msr_row *row, struct msr_access *msr);
int pvclock_set_wall_clock(struct vcpu *vcpu, const struct msr_row *row,
			   const struct msr_access *msr);
int steal_set_msr(struct vcpu *vcpu, const struct msr_row *row, const struct msr_access *msr);
/*
 * ---- msr_user.c ----
 *
 * guest_rdmsr(), guest_wrmsr() - as vcpu_msr_get() and _set(), by the VM's filter: 0 or enum
 * msr_refusal. vm->srcu held.
 */
int guest_rdmsr(struct vcpu *vcpu, struct msr_access *msr);
int guest_wrmsr(struct vcpu *vcpu, const struct msr_access *msr);
/* msr_filtered() - does the filter forbid this KVM_MSR_FILTER_READ or _WRITE? */
bool msr_filtered(struct vcpu *vcpu, u32 index, u32 access);
/* msr_refused() - #GP, or user space decides: RUN_RESUME or RUN_TO_USER. */
int msr_refused(struct vcpu *vcpu, const struct msr_access *msr, bool write, int refusal);
/* emulate_msr() - RDMSR and WRMSR of the emulator; its exit, when one is asked for. */
enum em_cb emulate_msr(struct em_ctx *ctx, struct msr_access *msr, bool write);
bool emulate_msr_asks(const struct vcpu *vcpu);
int emulate_exit_msr(struct vcpu *vcpu);

/* ---- regs.c, segs.c ---- */

/*
 * regs_cache_crs() - CR0, CR3 and CR4 into struct vcpu, for a caller who will need them all. Window
 * open.
 */
void regs_cache_crs(struct vcpu *vcpu);
/*
 * regs_set_pdptrs() - vcpu->pdptrs are new: into the VMCS when PAE paging is on. Takes the VMCS
 * itself.
 */
void regs_set_pdptrs(struct vcpu *vcpu);
/* The checks alone, for KVM_SET_SREGS; and the changes alone, without a check. */
bool regs_cr0_valid(struct vcpu *vcpu, unsigned long val);
bool regs_cr4_valid(struct vcpu *vcpu, unsigned long val);
bool regs_cr3_valid(struct vcpu *vcpu, unsigned long val);
void regs_put_cr0(struct vcpu *vcpu, unsigned long val);
void regs_put_cr3(struct vcpu *vcpu, unsigned long val);
void regs_put_cr4(struct vcpu *vcpu, unsigned long val);
void regs_put_dr7(struct vcpu *vcpu, unsigned long val);
bool regs_pae_paging(struct vcpu *vcpu);

/* regs_flush() - the guest invalidates all it has cached of its paging. */
static inline void regs_flush(struct vcpu *vcpu)
{
	vcpu_request(vcpu, REQ_TLB_FLUSH);
	/* Shadow tables are such a cache. */
	if (!hw.ept)
		vcpu_request(vcpu, REQ_MMU_RELOAD);
}

static inline bool regs_long_mode(const struct vcpu *vcpu)
{
	return vcpu->efer & EFER_LMA;
}

/* The VMCS's access-rights format, "Guest Register State". */
#define SEG_RIGHTS_TYPE		GENMASK(3, 0)
#define SEG_RIGHTS_S		BIT(4)
#define SEG_RIGHTS_DPL_SHIFT	5
#define SEG_RIGHTS_P		BIT(7)
#define SEG_RIGHTS_AVL		BIT(12)
#define SEG_RIGHTS_L		BIT(13)
#define SEG_RIGHTS_DB		BIT(14)
#define SEG_RIGHTS_G		BIT(15)
#define SEG_RIGHTS_UNUSABLE	BIT(16)

/*
 * segs_read() and segs_write() - in the emulator's form, which is the VMCS's own. Take the VMCS
 * themselves.
 */
void segs_read(struct vcpu *vcpu, struct em_segment *s, enum vcpu_seg which);
void segs_write(struct vcpu *vcpu, const struct em_segment *s, enum vcpu_seg which);
/* segs_read_rights(), segs_write_rights() - access rights alone. Window open. */
u32 segs_read_rights(enum vcpu_seg which);
void segs_write_rights(enum vcpu_seg which, u32 rights);

/* ---- tsc.c ---- */

/*
 * tsc_vcpu_init() - default frequency, and an offset that starts the guest's TSC at 0 or in step
 * with its siblings.
 */
void tsc_vcpu_init(struct vcpu *vcpu);
/* tsc_host_suspend() and tsc_host_resume() - around a suspend: interrupts off, on the last CPU. */
void tsc_host_suspend(void);
void tsc_host_resume(void);
/* tsc_adjust_write() - WRMSR of IA32_TSC_ADJUST. */
void tsc_adjust_write(struct vcpu *vcpu, u64 value, bool host);

/* ---- emulate_vcpu.c and its helpers emulate_mem.c, emulate_state.c, pio.c ---- */

extern const struct em_ops emulate_ops;
/* emulate_read_mode() - em.mode and em.cpl from the vCPU's state; caches CR0, CR3 and CR4. */
void emulate_read_mode(struct vcpu *vcpu);
/*
 * emulate_resume() - user space has done its part of an instruction: run it again from its
 * beginning. RUN_*.
 */
int emulate_resume(struct vcpu *vcpu);
/*
 * emulate_backdoor() - execute the instruction that got #GP if it may be of VMware's backdoor: its
 * outcome, #GP again perhaps, then is in @ret. False, and nothing done, for others.
 */
bool emulate_backdoor(struct vcpu *vcpu, int *ret);
/* emulate_exit_mmio() and emulate_exit_pio() - tell user space of what is queued. RUN_TO_USER. */
int emulate_exit_mmio(struct vcpu *vcpu);
int emulate_exit_pio(struct vcpu *vcpu);
void emulate_log_clear(struct vcpu *vcpu);
void emulate_log_rewind(struct vcpu *vcpu);

enum em_cb emulate_fetch(struct em_ctx *ctx, u64 la, void *buf, unsigned int n);
enum em_cb emulate_read(struct em_ctx *ctx, u64 la, void *buf, unsigned int n, unsigned int acc);
enum em_cb emulate_write(struct em_ctx *ctx, u64 la, const void *buf, unsigned int n,
			 unsigned int acc);
enum em_cb emulate_probe_write(struct em_ctx *ctx, u64 la, unsigned int n, unsigned int acc);
enum em_cb emulate_cmpxchg(struct em_ctx *ctx, u64 la, void *old, const void *new, unsigned int n);
void emulate_iter_done(struct em_ctx *ctx);
enum em_cb emulate_port_in(struct em_ctx *ctx, u16 port, unsigned int size, void *buf,
			   unsigned int count);
enum em_cb emulate_port_out(struct em_ctx *ctx, u16 port, unsigned int size, const void *buf,
			    unsigned int count);

#endif
