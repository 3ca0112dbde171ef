// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads and writes guest memory by guest physical address, through the process's own mapping of it.
 * The only file outside ioctl/ that handles user pointers. Must not know guest page tables or the
 * second level's.
 *
 * Accesses behave as the process's own: they fault pages in and obey its protections. All need
 * current->mm to be the VM's.
 */
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <asm/asm.h>

#include "internal.h"
#include "paging.h"

/*
 * A guest chooses gfn. The bounds were checked in the slot lookup; keep the CPU from speculating
 * past them with memory outside of the slot, which a walk of guest page tables would turn into a
 * read of the guest's choice.
 */
static void __user *guest_ptr(const struct memslot *slot, gpa_t gpa)
{
	gfn_t index = array_index_nospec(gpa_to_gfn(gpa) - slot->base_gfn, slot->npages);

	return (void __user *)(slot->hva + (index << PAGE_SHIFT) + offset_in_page(gpa));
}

#define COPY_IN(type, offset)								\
do {											\
	unsigned int __o = (offset);							\
	type __v;									\
											\
	unsafe_get_user(__v, (const type __user *)(from + __o), fault);			\
	*(type *)(to + __o) = __v;							\
} while (0)

/*
 * Slots hold user addresses only, see memslot_check(): access_ok() is not repeated. A power of two
 * is one access, as the guest's would be; what lies between is two that overlap, cheaper than any
 * loop.
 */
static int copy_in(void *to, const void __user *from, unsigned int len)
{
	if (unlikely(len > 16))
		return __copy_from_user(to, from, len) ? -EFAULT : 0;
	__uaccess_begin_nospec();
	if (len >= 8) {
		COPY_IN(u64, 0);
		if (len > 8)
			COPY_IN(u64, len - 8);
	} else if (len >= 4) {
		COPY_IN(u32, 0);
		if (len > 4)
			COPY_IN(u32, len - 4);
	} else if (len >= 2) {
		COPY_IN(u16, 0);
		if (len > 2)
			COPY_IN(u8, 2);
	} else {
		COPY_IN(u8, 0);
	}
	__uaccess_end();
	return 0;
fault:
	__uaccess_end();
	return -EFAULT;
}

#define COPY_OUT(type, offset)								\
do {											\
	unsigned int __o = (offset);							\
	const type *__v = from + __o;							\
											\
	unsafe_put_user(*__v, (type __user *)(to + __o), fault);			\
} while (0)

/* As copy_in(). */
static int copy_out(void __user *to, const void *from, unsigned int len)
{
	if (unlikely(len > 16))
		return __copy_to_user(to, from, len) ? -EFAULT : 0;
	__uaccess_begin();
	if (len >= 8) {
		COPY_OUT(u64, 0);
		if (len > 8)
			COPY_OUT(u64, len - 8);
	} else if (len >= 4) {
		COPY_OUT(u32, 0);
		if (len > 4)
			COPY_OUT(u32, len - 4);
	} else if (len >= 2) {
		COPY_OUT(u16, 0);
		if (len > 2)
			COPY_OUT(u8, 2);
	} else {
		COPY_OUT(u8, 0);
	}
	__uaccess_end();
	return 0;
fault:
	__uaccess_end();
	return -EFAULT;
}

static int slot_read(const struct memslot *slot, gpa_t gpa, void *data, unsigned int len)
{
	return slot ? copy_in(data, guest_ptr(slot, gpa), len) : -EFAULT;
}

/* Mark after the write: a log taken in between may miss the data but not the mark. */
static int slot_write(struct vcpu *vcpu, const struct memslot *slot, gpa_t gpa, const void *data,
		      unsigned int len)
{
	if (!slot || (slot->flags & KVM_MEM_READONLY))
		return -EFAULT;
	if (copy_out(guest_ptr(slot, gpa), data, len))
		return -EFAULT;
	memslot_mark_dirty(vcpu, slot, gpa_to_gfn(gpa));
	if (unlikely(!hw.ept))
		shadow_wrote(vcpu->vm, gpa_to_gfn(gpa));
	return 0;
}

int guest_read_nofault(struct vcpu *vcpu, gpa_t gpa, void *data, unsigned int len)
{
	struct memslot *slot = vcpu_slot(vcpu, gpa_to_gfn(gpa));
	unsigned long left;

	if (!slot)
		return -EFAULT;
	pagefault_disable();
	left = __copy_from_user_inatomic(data, guest_ptr(slot, gpa), len);
	pagefault_enable();
	return left ? -EFAULT : 0;
}

/* mmu.lock is not for callers with interrupts off: who holds it waits for other CPUs to answer. */
int guest_write_nofault(struct vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len)
{
	struct memslot *slot = vcpu_slot(vcpu, gpa_to_gfn(gpa));
	unsigned long left;

	if (!slot || (slot->flags & KVM_MEM_READONLY))
		return -EFAULT;
	pagefault_disable();
	left = __copy_to_user_inatomic(guest_ptr(slot, gpa), data, len);
	pagefault_enable();
	if (left)
		return -EFAULT;
	memslot_mark_dirty(vcpu, slot, gpa_to_gfn(gpa));
	return 0;
}

static unsigned int bytes_in_page(gpa_t gpa, unsigned int len)
{
	return min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gpa));
}

static bool in_one_page(gpa_t gpa, unsigned int len)
{
	return likely(len - 1 < PAGE_SIZE - offset_in_page(gpa));
}

static noinline int guest_read_pages(struct vcpu *vcpu, gpa_t gpa, void *data, unsigned int len)
{
	while (len) {
		unsigned int n = bytes_in_page(gpa, len);
		int r = slot_read(vcpu_slot(vcpu, gpa_to_gfn(gpa)), gpa, data, n);

		if (r)
			return r;
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}

static noinline int guest_write_pages(struct vcpu *vcpu, gpa_t gpa, const void *data,
				      unsigned int len)
{
	while (len) {
		unsigned int n = bytes_in_page(gpa, len);
		int r = slot_write(vcpu, vcpu_slot(vcpu, gpa_to_gfn(gpa)), gpa, data, n);

		if (r)
			return r;
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}

int guest_read(struct vcpu *vcpu, gpa_t gpa, void *data, unsigned int len)
{
	if (!in_one_page(gpa, len))
		return guest_read_pages(vcpu, gpa, data, len);
	return slot_read(vcpu_slot(vcpu, gpa_to_gfn(gpa)), gpa, data, len);
}

int guest_write(struct vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len)
{
	if (!in_one_page(gpa, len))
		return guest_write_pages(vcpu, gpa, data, len);
	return slot_write(vcpu, vcpu_slot(vcpu, gpa_to_gfn(gpa)), gpa, data, len);
}

/* What paging.c reads tables with: no loop, no choice of lengths beyond the two. */
int paging_read(void *memory, u64 gpa, u64 *entry, unsigned int size)
{
	struct vcpu *vcpu = memory;
	struct memslot *slot = vcpu_slot(vcpu, gpa_to_gfn(gpa));
	const void __user *from;
	u32 half;

	if (!slot)
		return -EFAULT;
	from = guest_ptr(slot, gpa);
	__uaccess_begin_nospec();
	if (likely(size == 8)) {
		unsafe_get_user(*entry, (const u64 __user *)from, fault);
	} else {
		unsafe_get_user(half, (const u32 __user *)from, fault);
		*entry = half;
	}
	__uaccess_end();
	return 0;
fault:
	__uaccess_end();
	vcpu->mmu.unreadable_table = gpa;
	return -EFAULT;
}

/* ---- Atomic exchange ---- */

struct u128_halves {
	u64 low, high;
};

/* 16 bytes: the kernel's own helper stops at 8. Same results as __try_cmpxchg_user(). */
static int cmpxchg_user_16(void __user *ptr, struct u128_halves *old, const struct u128_halves *new)
{
	bool done = false;
	int err = -EFAULT;	/* what is left of it when the exchange faults */

	if (!user_write_access_begin(ptr, 16))
		return -EFAULT;
	asm volatile("1: lock cmpxchg16b %[ptr]\n\t"
		     "setz %[done]\n\t"
		     "movl $0, %[err]\n"
		     "2:\n"
		     _ASM_EXTABLE_UA(1b, 2b)
		     : [ptr] "+m" (*(struct u128_halves __force *)ptr), [err] "+r" (err),
		       [done] "+q" (done), "+a" (old->low), "+d" (old->high)
		     : "b" (new->low), "c" (new->high)
		     : "memory", "cc");
	user_write_access_end();
	if (err)
		return err;
	return !done;
}

#define CMPXCHG_USER(type)								\
({											\
	type __old = *(type *)old;							\
	int __r = __try_cmpxchg_user((type __user *)ptr, &__old, *(const type *)new,	\
				     fault_##type);					\
											\
	*(type *)old = __old;								\
	__r;										\
})

static int cmpxchg_user(void __user *ptr, void *old, const void *new, unsigned int len)
{
	switch (len) {
	case 1:
		return CMPXCHG_USER(u8);
	case 2:
		return CMPXCHG_USER(u16);
	case 4:
		return CMPXCHG_USER(u32);
	case 8:
		return CMPXCHG_USER(u64);
	case 16:
		return cmpxchg_user_16(ptr, old, new);
	}
	return -EFAULT;
}

static int cmpxchg_guest(struct vcpu *vcpu, gpa_t gpa, void *old, const void *new,
			 unsigned int len)
{
	struct memslot *slot = vcpu_slot(vcpu, gpa_to_gfn(gpa));
	int r;

	if (!slot || (slot->flags & KVM_MEM_READONLY) || (gpa & (len - 1)))
		return -EFAULT;
	r = cmpxchg_user(guest_ptr(slot, gpa), old, new, len);
	if (!r)
		memslot_mark_dirty(vcpu, slot, gpa_to_gfn(gpa));
	return r;
}

/* Accessed and dirty flags: no reason for shadow paging to look at the entry again. */
int paging_cmpxchg(void *memory, u64 gpa, u64 old, u64 new, unsigned int size)
{
	return cmpxchg_guest(memory, gpa, &old, &new, size);
}

int guest_cmpxchg(struct vcpu *vcpu, gpa_t gpa, void *old, const void *new, unsigned int len)
{
	int r = cmpxchg_guest(vcpu, gpa, old, new, len);

	if (unlikely(!hw.ept) && !r)
		shadow_wrote(vcpu->vm, gpa_to_gfn(gpa));
	return r;
}

int user_copy_bitmap(const struct kvm_dirty_log *log, const void *bitmap, size_t bytes)
{
	return copy_to_user(log->dirty_bitmap, bitmap, bytes) ? -EFAULT : 0;
}

int user_read_bitmap(const struct kvm_clear_dirty_log *log, void *bitmap, size_t bytes)
{
	return copy_from_user(bitmap, log->dirty_bitmap, bytes) ? -EFAULT : 0;
}

void user_signal_poison(hva_t hva)
{
	send_sig_mceerr(BUS_MCEERR_AR, (void __user *)hva, PAGE_SHIFT, current);
}
