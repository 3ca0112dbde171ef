/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The paging of the architecture as a pure function: from a linear address and control registers to
 * a physical address or an error code. This header must not know a vCPU or the kernel; user space
 * compiles it for the unit tests.
 */
#ifndef KVMLET_PAGING_H
#define KVMLET_PAGING_H

#include <linux/bits.h>
#include <linux/types.h>

#include "types.h"

enum paging_mode {
	PAGING_OFF,
	PAGING_32BIT,
	PAGING_PAE,
	PAGING_4LEVEL,
	PAGING_5LEVEL,
};

/**
 * struct paging - everything that decides a translation besides memory
 * @cr3: CR3; not used by PAE paging, which has loaded its four top entries into @pdptrs
 * @pdptrs: PAE: the four entries as loaded
 * @mode: enum paging_mode
 * @maxphyaddr: physical address width, 32 to 52
 * @nx: EFER.NXE
 * @wp: CR0.WP
 * @smep: CR4.SMEP
 * @smap: CR4.SMAP, and not lifted by RFLAGS.AC
 * @pse: CR4.PSE
 * @pse36: CPUID offers PSE-36
 * @gbpages: CPUID offers 1-GByte pages
 * @pku: CR4.PKE
 * @keep_ad: leave accessed and dirty flags alone
 * @pkru: PKRU
 */
struct paging {
	u64 cr3;
	const u64 *pdptrs;
	u8 mode;
	u8 maxphyaddr;
	bool nx, wp, smep, smap, pse, pse36, gbpages, pku, keep_ad;
	u32 pkru;
};

/**
 * struct paging_result - a successful translation
 * @gpa: physical address of the byte
 * @level: of the leaf, 1 and up; 0 without paging
 * @entry: the leaf
 * @user: user mode may access it, by all levels together
 * @writable: it may be written, by all levels together
 * @nx: it may not be executed, by any level
 */
struct paging_result {
	u64 gpa;
	u64 entry;
	u8 level;
	bool user, writable, nx;
};

#define PAGING_LEVELS	5

/**
 * struct paging_trail - where a walk has been
 * @gpa: physical address of each level's entry, from the leaf's level up
 * @entry: what was there when the walk ended
 */
struct paging_trail {
	u64 gpa[PAGING_LEVELS + 1];
	u64 entry[PAGING_LEVELS + 1];
};

/**
 * paging_walk() - paging_translate() that leaves a trail
 * @p: control state
 * @memory: handed to paging_read() and paging_cmpxchg()
 * @gva: linear address
 * @access: PFEC_WRITE, PFEC_FETCH, PFEC_USER
 * @result: filled on success
 * @error: page-fault error code otherwise
 * @trail: filled on success
 *
 * Return: 0, or 1 for a page fault.
 */
int paging_walk(const struct paging *p, void *memory, u64 gva, u32 access,
		struct paging_result *result, u32 *error, struct paging_trail *trail);

/**
 * paging_translate() - translate as the CPU would, accessed and dirty flags included
 * @p: control state
 * @memory: handed to paging_read() and paging_cmpxchg()
 * @gva: linear address, canonical or below 4G as the mode asks
 * @access: PFEC_WRITE, PFEC_FETCH, PFEC_USER
 * @result: filled on success
 * @error: page-fault error code otherwise
 *
 * An entry that cannot be read counts as not present; one that cannot be written keeps its flags as
 * they are.
 * Return: 0, or 1 for a page fault.
 */
int paging_translate(const struct paging *p, void *memory, u64 gva, u32 access,
		     struct paging_result *result, u32 *error);

/* paging_reserved() - bits that are reserved in entries of all levels. */
u64 paging_reserved(const struct paging *p);

/* paging_pdptr_valid() - would loading this PAE top entry be accepted? */
bool paging_pdptr_valid(u64 pdpte, unsigned int maxphyaddr);

/* ---- What paging.c is linked with ---- */

/**
 * paging_read() - read a paging-structure entry
 * @memory: as given to paging_translate()
 * @gpa: physical address, aligned to @size
 * @entry: result, zero-extended
 * @size: 4 or 8 bytes
 *
 * Return: 0, or negative when there is no memory.
 */
int paging_read(void *memory, u64 gpa, u64 *entry, unsigned int size);
/**
 * paging_cmpxchg() - replace an entry atomically
 * @memory: as given to paging_translate()
 * @gpa: physical address, aligned to @size
 * @old: what is expected there
 * @new: what to store
 * @size: 4 or 8 bytes
 *
 * Return: 0 done, 1 it had changed, negative when it cannot be written.
 */
int paging_cmpxchg(void *memory, u64 gpa, u64 old, u64 new, unsigned int size);

#endif
