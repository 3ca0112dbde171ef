/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Contract of guest memory (mmu/): slots, faults, roots, access to guest memory, guest page walks.
 * This header must not expose raw page table entries; those stay behind mmu/spte.h.
 */
#ifndef KVMLET_MMU_H
#define KVMLET_MMU_H

#include <linux/interval_tree.h>
#include <linux/kvm.h>
#include <linux/maple_tree.h>
#include <linux/mmu_notifier.h>
#include <linux/rwlock.h>
#include <linux/srcu.h>
#include <linux/xarray.h>

#include "types.h"

struct vm;
struct vcpu;

/**
 * struct memslot - one range of guest physical memory
 *
 * Immutable once visible to readers, except @dirty_bitmap's contents; a change installs a new object. Readers hold vm->srcu
 * (or, in the inner loop with interrupts off, RCU); freed after both grace periods.
 */
struct memslot {
	gfn_t base_gfn;
	u64 npages;
	hva_t hva;			/* user address of base_gfn */
	u32 flags;			/* KVM_MEM_* */
	u16 id;				/* KVM's slot number; address space in the upper half of kvm's u32 */
	struct interval_tree_node hva_node;	/* vm->mmu.hva_tree; mmu_lock held for writing */
	unsigned long *dirty_bitmap;	/* NULL without KVM_MEM_LOG_DIRTY_PAGES */
	struct rcu_head rcu;
};

#define MEMSLOTS_USER		32764	/* KVM_CAP_NR_MEMSLOTS */
/* Private slots behind the user's: TSS pages and identity map of real mode without unrestricted guest. */
#define MEMSLOT_TSS		(MEMSLOTS_USER + 0)
#define MEMSLOT_IDENTITY	(MEMSLOTS_USER + 1)
#define MEMSLOT_APIC_ACCESS	(MEMSLOTS_USER + 2)

/* The MMU's part of struct vm. */
struct vm_mmu {
	struct maple_tree slots;	/* by gfn range; writers: vm->slots_lock; readers: RCU or vm->srcu */
	struct xarray slots_by_id;	/* vm->slots_lock */
	struct rb_root_cached hva_tree;	/* by user address; mmu_lock for writing to change */
	u64 slots_generation;		/* bumped after each change; tags what vCPUs cache; from 1 */
	u64 nr_pages;			/* sum of npages of the user's slots; vm->slots_lock */

	rwlock_t lock;			/* "mmu_lock": read to map, write to zap */
	struct mmu_notifier notifier;
	bool dead;			/* mmu_lock; the tables are gone, notifier callbacks do nothing */
	unsigned long invalidate_seq;	/* mmu_lock for writing to bump: an invalidation ended, a slot changed */
	long invalidate_in_progress;	/* mmu_lock */
	hva_t invalidate_start, invalidate_last;	/* mmu_lock; union of the ranges in progress */

	hpa_t root;			/* EPT root table of this VM; set when the VM is made, constant */
	int root_level;			/* 4 or 5 */
	gfn_t max_gfn;			/* (c) last frame the tables and the host can address */
	atomic64_t mapped[3];		/* leaf entries present: 4K, 2M, 1G */
	u64 tlb_flushes;
};

/* The MMU's part of struct vcpu: page table page cache, last MMIO answer. */
struct vcpu_mmu {
	void *cache[8];			/* zeroed pages ready to become tables */
	unsigned int cached;
	gfn_t mmio_gfn;			/* last gfn found to have no slot ... */
	u64 mmio_generation;		/* ... at this slots_generation */
	struct memslot *last_slot;	/* valid only at last_slot_generation */
	u64 last_slot_generation;
};

/* ---- Life ---- */

/** mmu_module_init() - caches; 0 or -ENOMEM. Called once, after vmx has filled hw. */
int mmu_module_init(void);
void mmu_module_exit(void);
/** mmu_vm_init() - empty slots, root table, MMU notifier on current->mm. 0 or -errno with nothing left behind. */
int mmu_vm_init(struct vm *vm);
/** mmu_vm_release() - the mm goes away or the last VM fd is closed: no guest runs any more; zap all, unregister. */
void mmu_vm_destroy(struct vm *vm);
/**
 * mmu_vm_put() - last use of a VM after mmu_vm_destroy(): drops the MMU notifier without waiting
 * @vm: the VM
 *
 * Calls vm_free() once no notifier callback can see @vm any more, perhaps later and from another context.
 */
void mmu_vm_put(struct vm *vm);
int mmu_vcpu_init(struct vcpu *vcpu);
void mmu_vcpu_destroy(struct vcpu *vcpu);

/* ---- Memory slots (mmu/memslot.c) ---- */

/**
 * memslot_set() - KVM_SET_USER_MEMORY_REGION on a kernel copy: create, delete, move, change flags
 * @vm: the VM; takes vm->slots_lock
 * Return: 0, -EINVAL, -EEXIST (overlap), -ENOMEM, each with vm_refuse()'s reason.
 */
int memslot_set(struct vm *vm, const struct kvm_userspace_memory_region *mem);

/** memslot_set_private() - kernel-owned slot (TSS, identity map) backed by anonymous user memory; size 0 deletes. slots_lock held. */
int memslot_set_private(struct vm *vm, unsigned int id, gpa_t gpa, u64 size);

/** memslot_find() - the slot holding @gfn, or NULL. Caller holds vm->srcu or has interrupts off. O(log n). */
struct memslot *memslot_find(struct vm *vm, gfn_t gfn);
struct memslot *vcpu_memslot_find(struct vcpu *vcpu, gfn_t gfn);	/* the same with the vCPU's last-hit cache */

/** memslot_get_dirty_log() - KVM_GET_DIRTY_LOG: copies out and clears. -ENOENT, -EINVAL, -EFAULT. Takes slots_lock. */
int memslot_get_dirty_log(struct vm *vm, const struct kvm_dirty_log *log);

/* ---- Faults (mmu/fault.c) ---- */

enum pf_result {
	PF_FIXED,	/* mapped (or was already); enter the guest again */
	PF_RETRY,	/* raced with an invalidation or a signal is pending; enter again, the fault comes back or not */
	PF_MMIO,	/* no slot, or a write to a read-only slot: emulate the instruction */
};

/**
 * struct page_fault - one guest access that the second level refused
 * Inputs are const: set once where the fault enters.
 */
struct page_fault {
	const gpa_t addr;
	const bool write;
	const bool exec;
	const bool present;	/* an entry was present; permission is what lacked */
	const bool prefetch;	/* nobody waits; do not sleep on I/O */

	/* derived by mmu/ on the way */
	gfn_t gfn;
	hva_t hva;
	struct memslot *slot;
	unsigned long seq;
	u64 pfn;		/* host frame of gfn itself, whatever goal_level is */
	bool map_writable;	/* the host's mapping allows writes */
	bool has_page;		/* pfn has a struct page that counts dirtiness */
	bool uncached;		/* the host does not map it write-back */
	u8 goal_level;		/* 1 = 4K, 2 = 2M, 3 = 1G */
	bool fill;		/* 4K only because it executes: map all of the 2M that way */
};

/**
 * mmu_handle_fault() - give the guest the page it asked for
 * @vcpu: faulting vCPU, its own thread, interrupts on, may sleep
 * @pf: the fault
 * Return: enum pf_result; -EFAULT when the user address cannot be faulted in as asked (user space gets it from KVM_RUN), -ENOMEM, -EINTR.
 */
int mmu_handle_fault(struct vcpu *vcpu, struct page_fault *pf);

/**
 * mmu_is_mmio_gpa() - fast answer, interrupts off: true when @gpa certainly has no slot now
 */
bool mmu_is_mmio_gpa(struct vcpu *vcpu, gpa_t gpa);

/** mmu_eptp() - EPT pointer for this vCPU, with memory type, walk length and A/D bit. */
u64 mmu_eptp(struct vcpu *vcpu);

/* ---- Guest memory by guest physical address (mmu/guest_mem.c); may sleep, VM's own mm is current->mm ---- */

/** guest_read() - 0, or -EFAULT when a byte of the range has no slot or its user page is absent. */
int guest_read(struct vcpu *vcpu, gpa_t gpa, void *data, unsigned int len);
/** guest_write() - same; -EFAULT for read-only slots too. Marks pages dirty. */
int guest_write(struct vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len);
/** guest_cmpxchg() - atomic compare and exchange of @len 1,2,4,8,16 naturally aligned bytes: 0 done, 1 value differed (*old updated), -EFAULT. */
int guest_cmpxchg(struct vcpu *vcpu, gpa_t gpa, void *old, const void *new, unsigned int len);
int vm_guest_read(struct vm *vm, gpa_t gpa, void *data, unsigned int len);
int vm_guest_write(struct vm *vm, gpa_t gpa, const void *data, unsigned int len);

/* ---- Guest page tables (mmu/guest_walk.c) ---- */

/* In @access: the CPU's own access to a system table (GDT, IDT, TSS): supervisor even at CPL 3, RFLAGS.AC does not lift SMAP. */
#define GUEST_ACCESS_IMPLICIT	BIT(31)

/**
 * guest_translate() - walk the guest's own page tables as its CPU would
 * @vcpu: the vCPU (mode, CR0/CR3/CR4/EFER/PKRU are taken from it)
 * @gva: linear address
 * @access: PFEC_WRITE | PFEC_FETCH | PFEC_USER of the access; PFEC_USER means CPL 3; GUEST_ACCESS_IMPLICIT
 * @gpa: result
 * @ex: filled with the #PF when the walk refuses
 *
 * Sets accessed and dirty bits in the guest's tables as hardware does (atomically). Checks reserved bits, NX, WP, SMEP, SMAP
 * (with RFLAGS.AC), protection keys.
 * Return: 0, or 1 with @ex filled.
 */
int guest_translate(struct vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa, struct guest_exception *ex);
/** guest_translate_inspect() - KVM_TRANSLATE: as supervisor read, no A/D updates, no exception. 0 or 1. */
int guest_translate_inspect(struct vcpu *vcpu, gva_t gva, gpa_t *gpa);

/** guest_load_pdptrs() - read and check the four PDPTEs at @cr3 into vcpu->pdptrs: 0, or 1 when they are illegal (#GP). */
int guest_load_pdptrs(struct vcpu *vcpu, u64 cr3);

#endif
