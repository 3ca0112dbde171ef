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
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "types.h"

struct vm;
struct vcpu;
struct vm_shadow;
struct vcpu_shadow;

/**
 * struct memslot - one range of guest physical memory
 * @base_gfn:		first guest frame
 * @npages:		how many frames of 4 KiB, at least 1
 * @hva:		user address of @base_gfn, page aligned
 * @flags:		KVM_MEM_*
 * @id:			KVM's slot number
 * @as:			its address space, upper half of the user's slot number: ADDRESS_SPACE_*
 * @hva_node:		in vm->mmu.hva_tree; vm->mmu.lock held for writing
 * @dirty_bitmap:	one bit a frame, NULL without KVM_MEM_LOG_DIRTY_PAGES or with rings
 * @rcu:		for freeing
 *
 * Immutable once visible to readers, except @dirty_bitmap's contents; a change installs a new
 * object. Readers hold vm->srcu (or, in the inner loop with interrupts off, RCU); freed after both
 * grace periods.
 */
struct memslot {
	gfn_t base_gfn;
	u64 npages;
	hva_t hva;
	u32 flags;
	u16 id;
	u16 as;
	struct interval_tree_node hva_node;
	unsigned long *dirty_bitmap;
	struct rcu_head rcu;
};

/* KVM_CAP_DIRTY_LOG_RING: the largest ring */
#define DIRTY_RING_MAX_BYTES	(65536 * (int)sizeof(struct kvm_dirty_gfn))

/* KVM_CAP_MULTI_ADDRESS_SPACE: a vCPU sees those of its mode alone. */
enum { ADDRESS_SPACE_NORMAL, ADDRESS_SPACE_SMM, NR_ADDRESS_SPACES };

#define MEMSLOTS_USER		32764	/* KVM_CAP_NR_MEMSLOTS */
/* A private slot behind the user's: the page tables under which a guest runs that does not page. */
#define MEMSLOT_IDENTITY	(MEMSLOTS_USER + 0)
#define MEMSLOT_TSS		(MEMSLOTS_USER + 1)

/* The MMU's part of struct vm. "mmu_lock" is @lock: held for reading to map, for writing to zap. */
struct vm_mmu {
	/* by gfn; vm->slots_lock to write, RCU or srcu to read */
	struct maple_tree slots[NR_ADDRESS_SPACES];
	struct xarray slots_by_id;	/* by the user's number; vm->slots_lock */
	struct rb_root_cached hva_tree;	/* by user address; mmu_lock for writing to change */
	u64 hva_removed;		/* mmu_lock; slots that have left hva_tree */
	u64 slots_generation;		/* from 1; rises with each change; tags what vCPUs cache */
	u64 nr_pages;			/* sum of npages of the user's slots; vm->slots_lock */

	rwlock_t lock;
	struct mmu_notifier notifier;
	bool dead;			/* mmu_lock; no tables any more, callbacks do nothing */
	/* mmu_lock for writing to bump: an invalidation ended, a slot changed */
	unsigned long invalidate_seq;
	long invalidate_in_progress;	/* mmu_lock */
	/* mmu_lock; union of the ranges in progress */
	hva_t invalidate_start, invalidate_last;
	/* never cleared: a page that the host maps uncached is being mapped; all vCPUs know */
	bool host_mmio, host_mmio_told;
	wait_queue_head_t invalidate_wait;	/* faults that wait for the last of them to end */

	hpa_t root[NR_ADDRESS_SPACES];	/* (c) EPT root tables */
	int root_level;			/* (c) 4 or 5 */
	gfn_t max_gfn;			/* (c) last frame the tables and the host can address */
	u32 dirty_ring_entries;		/* vm->lock; fixed once a vCPU exists; 0: bitmaps */
	u32 logging;			/* slots that log dirty pages; vm->slots_lock */
	u32 manual_dirty;		/* KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE and the like */
	u32 pages_wanted;		/* KVM_SET_NR_MMU_PAGES; vm->slots_lock */
	atomic64_t mapped[3];		/* leaf entries present: 4K, 2M, 1G */
	u64 tlb_flushes;
	/* (c) once a vCPU exists: large leaves do not execute, and what does is 4K */
	bool nx_large;
	spinlock_t nx_lock;		/* the two below; inside mmu.lock */
	struct list_head nx_tables;	/* nx_lock; made small for that, oldest first */
	u64 nx_splits;			/* nx_lock; their number */
	struct delayed_work nx_work;	/* makes them large again */
	struct vm_shadow *shadow;	/* (c) instead of @root, without EPT */
};

/**
 * struct dirty_ring - the frames one vCPU has written, in order
 * @entries:	shared with user space, which may write anything there; NULL when logs are bitmaps
 * @head:	next to be filled; vcpu->lock
 * @tail:	first that has not been reset; vm->slots_lock
 *
 * Both only grow; an entry's place is taken modulo the VM's dirty_ring_entries.
 */
struct dirty_ring {
	struct kvm_dirty_gfn *entries;
	u32 head, tail;
};

/* The MMU's part of struct vcpu: page table page cache, last MMIO answer. */
struct vcpu_mmu {
	void *cache[8];			/* zeroed pages ready to become tables */
	unsigned int cached;
	gfn_t mmio_gfn;			/* last gfn found to have no slot ... */
	u64 mmio_generation;		/* ... at this slots_generation */
	struct memslot *last_slot;	/* valid only at last_slot_generation */
	u64 last_slot_generation;
	struct dirty_ring ring;
	struct vcpu_shadow *shadow;	/* (c) NULL with EPT */
	u8 lost;			/* faults in a row that the host's changes overtook */
	gpa_t unreadable_table;		/* guest table a walk met in memory it cannot access */
};

/* ---- Life (mmu/mmu.c) ---- */

/**
 * mmu_module_init() - settle what depends on the CPU alone; once, after vmx/ has filled hw
 *
 * Return: 0 or -ENOMEM.
 */
int mmu_module_init(void);

/**
 * mmu_module_exit() - wait until nothing of mmu/ runs any more; no VM exists
 *
 * May sleep.
 */
void mmu_module_exit(void);

/**
 * mmu_vm_init() - empty slots, root table, MMU notifier on current->mm
 * @vm: a VM nobody else knows yet
 *
 * May sleep. Return: 0 or -ENOMEM, -EINTR, with nothing left behind.
 */
int mmu_vm_init(struct vm *vm);

/**
 * mmu_vm_stop() - from here on nothing follows the host's page tables, nor kicks a vCPU for that
 * @vm: the VM; no vCPU runs again, and no one else uses it
 *
 * Callbacks of the MMU notifier may come until mmu_vm_put(): they find nothing to do. May sleep.
 */
void mmu_vm_stop(struct vm *vm);

/**
 * mmu_vm_destroy() - free tables and slots
 * @vm: the VM, stopped; no vCPU is left
 *
 * May sleep. mmu_vm_put() has to follow.
 */
void mmu_vm_destroy(struct vm *vm);

/**
 * mmu_vm_put() - last use of a VM after mmu_vm_destroy(): drops the MMU notifier without waiting
 * @vm: the VM
 *
 * Calls vm_free() once no notifier callback can see @vm any more, perhaps later and from another
 * context.
 */
void mmu_vm_put(struct vm *vm);

/**
 * mmu_vcpu_init() - the memory half of a new vCPU
 * @vcpu: the vCPU, not yet visible
 *
 * Return: 0 or -ENOMEM, with nothing left behind.
 */
int mmu_vcpu_init(struct vcpu *vcpu);

/**
 * mmu_vcpu_destroy() - free the vCPU's spare tables
 * @vcpu: the vCPU, which runs no more
 */
void mmu_vcpu_destroy(struct vcpu *vcpu);

/* ---- Memory slots (mmu/memslot.c) ---- */

/**
 * memslot_set() - KVM_SET_USER_MEMORY_REGION: create, delete, move, change flags
 * @vm: the VM; takes vm->slots_lock, may sleep
 * @mem: kernel copy of the argument, unchecked; sizes in bytes
 *
 * Return: 0, -EINVAL, -EEXIST (overlap), -ENOMEM, each with vm_refuse()'s reason.
 */
int memslot_set(struct vm *vm, const struct kvm_userspace_memory_region *mem);

/**
 * memslot_set_private() - kernel-owned slot backed by anonymous memory of the current process
 * @vm: the VM; vm->slots_lock held, may sleep
 * @id: MEMSLOT_IDENTITY, MEMSLOT_TSS
 * @gpa: where, page aligned
 * @size: bytes, page aligned; 0 deletes
 *
 * Return: 0, -EINVAL, -EEXIST, -ENOMEM, with a reason.
 */
int memslot_set_private(struct vm *vm, unsigned int id, gpa_t gpa, u64 size);

/**
 * memslot_drop_private() - delete such a slot again, as its contents could not be made
 * @vm: the VM; takes vm->slots_lock, may sleep
 * @id: MEMSLOT_IDENTITY, MEMSLOT_TSS
 */
void memslot_drop_private(struct vm *vm, unsigned int id);

/**
 * vcpu_memslot_find() - the slot that holds a frame, looking first at the one this vCPU found last
 * @vcpu: own thread or vcpu->lock held; vm->srcu held or interrupts off
 * @gfn: any frame number
 *
 * Return: the slot or NULL, after O(log n) steps. Valid for as long as the protection is held.
 */
struct memslot *vcpu_memslot_find(struct vcpu *vcpu, gfn_t gfn);

/**
 * memslot_get_dirty_log() - KVM_GET_DIRTY_LOG: copy the bitmap out, clear it unless that is manual
 * @vm: the VM; takes vm->slots_lock, may sleep
 * @log: kernel copy of the argument, which holds the user's pointer
 *
 * Return: 0, -EINVAL on a bad slot number, -ENOENT without such a slot or log, -ENXIO when the VM
 * logs to rings, -EFAULT.
 */
int memslot_get_dirty_log(struct vm *vm, const struct kvm_dirty_log *log);

/**
 * memslot_clear_dirty_log() - KVM_CLEAR_DIRTY_LOG: start over for the pages user space names
 * @vm: the VM; takes vm->slots_lock, may sleep
 * @log: kernel copy of the argument, which holds the user's pointer
 *
 * Return: 0, -EINVAL on a bad slot or range, -ENOENT without such a slot or log, -ENXIO when the
 * VM logs to rings, -EFAULT.
 */
int memslot_clear_dirty_log(struct vm *vm, const struct kvm_clear_dirty_log *log);

/**
 * mmu_enable_manual_dirty() - KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: reading a log starts nothing over
 * @vm: the VM; vm->lock held
 * @flags: KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE, KVM_DIRTY_LOG_INITIALLY_SET
 *
 * Return: 0 or -EINVAL.
 */
int mmu_enable_manual_dirty(struct vm *vm, u64 flags);

/**
 * mmu_enable_dirty_ring() - KVM_CAP_DIRTY_LOG_RING: each vCPU lists the pages it writes
 * @vm: the VM; vm->lock held
 * @bytes: size of each vCPU's ring
 *
 * Return: 0, -EINVAL (not a power of two, too small, a vCPU exists, done before), -E2BIG.
 */
int mmu_enable_dirty_ring(struct vm *vm, u64 bytes);

/**
 * mmu_reset_dirty_rings() - KVM_RESET_DIRTY_RINGS: start over for all entries user space has taken
 * @vm: the VM; takes vm->slots_lock, may sleep
 *
 * Return: how many there were, or -EINVAL when the VM has no rings.
 */
long mmu_reset_dirty_rings(struct vm *vm);

/**
 * mmu_mark_dirty() - the CPU's own list names a frame: note the write where its slot logs
 * @vcpu: the vCPU that wrote; own thread, vm->srcu held or interrupts off
 * @gfn: any frame
 */
void mmu_mark_dirty(struct vcpu *vcpu, gfn_t gfn);

/**
 * dirty_ring_soft_full() - must user space empty the ring before the guest goes on?
 * @vcpu: own thread
 *
 * Return: whether it must. There is room behind this limit for what one exit writes.
 */
bool dirty_ring_soft_full(struct vcpu *vcpu);

/**
 * dirty_ring_page() - a page of a vCPU's ring, for its mapping in user space
 * @vcpu: any vCPU; any context
 * @index: from 0
 *
 * Return: the page, or NULL beyond the ring.
 */
struct page *dirty_ring_page(const struct vcpu *vcpu, unsigned long index);

/**
 * mmu_set_nr_pages() - KVM_SET_NR_MMU_PAGES: how many pages tables may take
 * @vm: the VM; takes vm->slots_lock
 * @pages: the limit
 *
 * With EPT, tables are as many as the guest's memory needs: the limit is kept and told. It bounds
 * shadow pages, which only cache the guest's own tables.
 * Return: 0, or -EINVAL when that is too few.
 */
long mmu_set_nr_pages(struct vm *vm, unsigned long pages);

/**
 * mmu_get_nr_pages() - KVM_GET_NR_MMU_PAGES
 * @vm: the VM; takes vm->slots_lock
 *
 * Return: the limit, KVM's default when none was set.
 */
long mmu_get_nr_pages(struct vm *vm);

/**
 * mmu_prefault() - KVM_PRE_FAULT_MEMORY: map a range before the guest touches it
 * @vcpu: own thread or vcpu->lock held; vm->srcu held; may sleep
 * @gpa: where to begin; afterwards what is left
 * @size: bytes; afterwards what is left
 *
 * Return: 0 when something was mapped, else -EINVAL, -EOPNOTSUPP (no EPT), -ENOENT (no slot),
 * -EFAULT, -EINTR.
 */
int mmu_prefault(struct vcpu *vcpu, u64 *gpa, u64 *size);

/* ---- Faults (mmu/fault.c) ---- */

/**
 * enum pf_result - what became of a fault of the second level
 * @PF_FIXED: mapped (or was already); enter the guest again
 * @PF_RETRY: raced with an invalidation, or a signal is pending; enter again, the fault comes back
 *	or not
 * @PF_MMIO: no slot, or a write to a read-only slot: emulate the instruction
 * @PF_GUEST: shadow paging alone: the guest's own tables refuse the access
 */
enum pf_result {
	PF_FIXED,
	PF_RETRY,
	PF_MMIO,
	PF_GUEST,
};

/**
 * struct page_fault - one guest access that the second level refused
 * @addr:	guest physical address
 * @write:	it was a write
 * @exec:	it was an instruction fetch
 * @present:	an entry was present; permission is what lacked
 * @prefetch:	nobody waits; do not sleep on I/O
 * @gfn:	frame of @addr
 * @hva:	user address of @gfn
 * @slot:	the slot of @gfn
 * @seq:	vm->mmu.invalidate_seq when the fault began
 * @pfn:	host frame of @gfn itself, whatever @goal_level is
 * @map_writable: the host's mapping allows writes
 * @has_page:	@pfn has a struct page that counts dirtiness
 * @uncached:	the host does not map it write-back
 * @goal_level:	1 = 4K, 2 = 2M, 3 = 1G
 * @fill:	4K only because it executes: map all of the 2M that way
 * @held:	mmap_lock is held for reading
 *
 * The constant ones are set where the fault enters, the others by mmu/ on the way.
 */
struct page_fault {
	const gpa_t addr;
	const bool write;
	const bool exec;
	const bool present;
	const bool prefetch;

	gfn_t gfn;
	hva_t hva;
	struct memslot *slot;
	unsigned long seq;
	u64 pfn;
	bool map_writable;
	bool has_page;
	bool uncached;
	u8 goal_level;
	bool fill;
	bool held;
};

/**
 * mmu_handle_fault() - give the guest the page it asked for
 * @vcpu: faulting vCPU, its own thread, interrupts on, vm->srcu held; may sleep
 * @pf: the fault
 *
 * Return: enum pf_result; -EFAULT when the user address cannot be faulted in as asked (user space
 * gets it from KVM_RUN), -ENOMEM.
 */
int mmu_handle_fault(struct vcpu *vcpu, struct page_fault *pf);

/**
 * mmu_is_mmio_gpa() - has this address certainly no slot now?
 * @vcpu: own thread; interrupts off or vm->srcu held
 * @gpa: guest physical address
 *
 * Return: true from what the vCPU remembers alone; false says nothing.
 */
bool mmu_is_mmio_gpa(struct vcpu *vcpu, gpa_t gpa);

/**
 * mmu_switch_space() - the vCPU has entered or left SMM: it sees another address space
 * @vcpu: own thread or vcpu->lock held
 *
 * Asks for what has to follow: a new EPT pointer, a flush.
 */
void mmu_switch_space(struct vcpu *vcpu);

/**
 * mmu_eptp() - EPT pointer for a vCPU, with memory type, walk length and A/D bit
 * @vcpu: own thread or vcpu->lock held; any context
 *
 * Return: the VMCS field's value.
 */
u64 mmu_eptp(struct vcpu *vcpu);

/*
 * ---- Shadow paging (mmu/shadow_*.c): without EPT only ----
 *
 * Any change of the vCPU's CR0, CR3, CR4, EFER or PDPTEs that matters to paging, and each of its
 * instructions that flush the TLB (but INVLPG) is REQ_MMU_RELOAD.
 */

/**
 * mmu_shadow_load() - find or make the tables for the vCPU's CR3 and mode; a flush of its guest's
 * @vcpu: own thread, interrupts on, vm->srcu held; may sleep
 *
 * Asks for REQ_TLB_FLUSH. Return: 0 or -ENOMEM.
 */
int mmu_shadow_load(struct vcpu *vcpu);

/**
 * mmu_shadow_cr3() - what the CPU's CR3 has to hold
 * @vcpu: own thread, after mmu_shadow_load(); any context
 *
 * Return: the value.
 */
hpa_t mmu_shadow_cr3(const struct vcpu *vcpu);

/**
 * mmu_shadow_switch_fast() - another CR3 in the same mode, if its tables are at hand and up to date
 * @vcpu: own thread, interrupts off; no REQ_MMU_RELOAD waits
 * @cr3: the guest's value in IA-32e mode, without bit 63
 * @commit: go over to them; else only say whether that can be done
 *
 * Return: whether it can be done. The CPU's TLB is the caller's.
 */
bool mmu_shadow_switch_fast(struct vcpu *vcpu, u64 cr3, bool commit);

/**
 * mmu_shadow_fault() - a page fault that the CPU met on the shadow tables
 * @vcpu: own thread, interrupts on, vm->srcu held; may sleep
 * @gva: linear address
 * @error: the CPU's error code
 * @gpa: what @gva translates to, unless PF_GUEST; with -EFAULT, what is not there, INVALID_GPA
 *	before anything was asked for
 * @ex: the guest's #PF, with PF_GUEST
 *
 * Return: enum pf_result, or as mmu_handle_fault().
 */
int mmu_shadow_fault(struct vcpu *vcpu, gva_t gva, u32 error, gpa_t *gpa,
		     struct guest_exception *ex);

/**
 * mmu_shadow_invlpg() - the guest invalidates one address; the CPU's own TLB is the caller's
 * @vcpu: own thread, interrupts on, vm->srcu held
 * @gva: linear address
 */
void mmu_shadow_invlpg(struct vcpu *vcpu, gva_t gva);

/*
 * ---- Guest memory by guest physical address (mmu/guest_mem.c) ----
 *
 * All may sleep, need vm->srcu held, and current->mm to be the VM's.
 */

/**
 * guest_read() - read guest memory
 * @vcpu: own thread or vcpu->lock held
 * @gpa: guest physical address; the range may cross pages and slots
 * @data: result, partly filled on failure
 * @len: bytes
 *
 * Return: 0, or -EFAULT when a byte of the range has no slot or its user page cannot be read.
 */
int guest_read(struct vcpu *vcpu, gpa_t gpa, void *data, unsigned int len);

/**
 * guest_write() - write guest memory and mark it dirty
 * @vcpu: own thread or vcpu->lock held
 * @gpa: guest physical address; the range may cross pages and slots
 * @data: what to write
 * @len: bytes
 *
 * Return: 0, or -EFAULT as guest_read(), and for read-only slots; bytes before it are written.
 */
int guest_write(struct vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len);

/**
 * guest_read_nofault() - guest_read() where nothing may sleep
 * @vcpu: own thread, in any context; vm->srcu held
 * @gpa: guest physical address
 * @data: result
 * @len: bytes; they may not cross a page
 *
 * Return: 0, or -EFAULT as guest_read(), and when the page is not there at the moment.
 */
int guest_read_nofault(struct vcpu *vcpu, gpa_t gpa, void *data, unsigned int len);

/**
 * guest_write_nofault() - the same where nothing may sleep
 * @vcpu: own thread, in any context
 * @gpa: guest physical address
 * @data: what to write
 * @len: bytes; they may not cross a page
 *
 * Shadow paging is not told: whoever writes so has to follow with guest_cmpxchg() or guest_write()
 * when it may sleep again.
 * Return: 0, or -EFAULT as guest_write(), and when the page is not there at the moment.
 */
int guest_write_nofault(struct vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len);

/**
 * guest_cmpxchg() - atomic compare and exchange in guest memory
 * @vcpu: own thread or vcpu->lock held
 * @gpa: guest physical address, aligned to @len
 * @old: expected value; updated with what is there when it differs
 * @new: value to store
 * @len: 1, 2, 4, 8 or 16 bytes
 *
 * Return: 0 done, 1 the value differed, -EFAULT as guest_write().
 */
int guest_cmpxchg(struct vcpu *vcpu, gpa_t gpa, void *old, const void *new, unsigned int len);

/* ---- Guest page tables (mmu/guest_walk.c) ---- */

/*
 * In @access: the CPU's own access to a system table (GDT, IDT, TSS): supervisor even at CPL 3,
 * RFLAGS.AC does not lift SMAP.
 */
#define GUEST_ACCESS_IMPLICIT	BIT(31)

/**
 * guest_translate() - walk the guest's own page tables as its CPU would
 * @vcpu: the vCPU (mode, CR0/CR3/CR4/EFER/PKRU are taken from it); context as for guest_read()
 * @gva: linear address
 * @access: PFEC_WRITE | PFEC_FETCH | PFEC_USER of the access; PFEC_USER means CPL 3;
 *	GUEST_ACCESS_IMPLICIT
 * @gpa: result
 * @ex: filled with the #PF when the walk refuses
 *
 * Sets accessed and dirty bits in the guest's tables as hardware does (atomically). Checks reserved
 * bits, NX, WP, SMEP, SMAP (with RFLAGS.AC), protection keys.
 * Return: 0, or 1 with @ex filled.
 */
int guest_translate(struct vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa,
		    struct guest_exception *ex);

/**
 * guest_translate_inspect() - KVM_TRANSLATE: as a supervisor's read, without leaving a trace
 * @vcpu: vcpu->lock held; context as for guest_read()
 * @gva: linear address
 * @gpa: result
 *
 * Return: 0, or 1 when there is no translation.
 */
int guest_translate_inspect(struct vcpu *vcpu, gva_t gva, gpa_t *gpa);

/**
 * guest_load_pdptrs() - read and check the four PDPTEs of PAE paging into vcpu->pdptrs
 * @vcpu: own thread or vcpu->lock held; context as for guest_read()
 * @cr3: value of CR3 that points to them
 *
 * Return: 0, or 1 when they are illegal (#GP); vcpu->pdptrs is unchanged then.
 */
int guest_load_pdptrs(struct vcpu *vcpu, u64 cr3);

#endif
