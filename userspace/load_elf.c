// SPDX-License-Identifier: GPL-2.0-only
/*
 * ELF files: 32-bit ones enter flat protected mode, 64-bit ones long mode.
 *
 * Must not relocate; an image is linked where it runs.
 */
#include <string.h>

#include <linux/elf.h>

#include "runner.h"

#define EM_IAMCU_X86	6
#define MAX_SEGMENTS	64

static void load_segment(struct vm *vm, const struct image *img, const struct elf64_phdr *ph,
			 u64 *end)
{
	u8 *to = vm_ram(vm, ph->p_paddr, ph->p_memsz);

	if (ph->p_type != PT_LOAD || !ph->p_memsz)
		return;
	if (ph->p_filesz > ph->p_memsz)
		die("%s: a segment is larger in the file than in memory", img->path);
	if (ph->p_paddr < LOADER_END)
		die("%s: segment at 0x%llx, but below 0x%x is what the guest is started with",
		    img->path, (u64)ph->p_paddr, LOADER_END);
	if (!to)
		die("%s: segment of %llu bytes at 0x%llx is not in guest memory (see --memory)",
		    img->path, (u64)ph->p_memsz, (u64)ph->p_paddr);
	if (ph->p_filesz)
		image_load(vm, img, ph->p_offset, ph->p_paddr, ph->p_filesz);
	/* Fresh RAM is zero; clear only where an earlier segment may have been. */
	if (*end > ph->p_paddr + ph->p_filesz)
		memset(to + ph->p_filesz, 0, ph->p_memsz - ph->p_filesz);
	if (*end < ph->p_paddr + ph->p_memsz)
		*end = ph->p_paddr + ph->p_memsz;
}

static struct elf64_phdr widen(const struct elf32_phdr *ph)
{
	return (struct elf64_phdr) {
		.p_type = ph->p_type, .p_offset = ph->p_offset, .p_paddr = ph->p_paddr,
		.p_filesz = ph->p_filesz, .p_memsz = ph->p_memsz,
	};
}

static void load_table(struct vm *vm, const struct image *img, u64 off, u32 count, u32 size,
		       u64 *end)
{
	bool is64 = size == sizeof(struct elf64_phdr);
	u64 top = 0;

	if (count > MAX_SEGMENTS || off > sizeof(img->head) ||
	    (u64)count * size > sizeof(img->head) - off)
		die("%s: the program headers are not near the start of the file", img->path);
	for (u32 i = 0; i < count; i++) {
		struct elf32_phdr narrow;
		struct elf64_phdr ph;

		memcpy(&narrow, img->head + off + (u64)i * size, sizeof(narrow));
		memcpy(&ph, img->head + off + (u64)i * size, is64 ? sizeof(ph) : sizeof(narrow));
		if (!is64)
			ph = widen(&narrow);
		load_segment(vm, img, &ph, &top);
	}
	if (!top)
		die("%s: nothing to load", img->path);
	if (end)
		*end = top;
}

int elf_load_segments(struct vm *vm, const struct image *img, u64 *entry, u64 *end)
{
	const struct elf32_hdr *e32 = (const struct elf32_hdr *)img->head;
	const struct elf64_hdr *e64 = (const struct elf64_hdr *)img->head;

	if (memcmp(img->head, ELFMAG, SELFMAG))
		return 0;
	if (e32->e_type != ET_EXEC)
		die("%s: not an executable linked to fixed addresses", img->path);
	if (e32->e_machine == EM_386 || e32->e_machine == EM_IAMCU_X86) {
		if (e32->e_phentsize != sizeof(struct elf32_phdr))
			die("%s: odd program headers", img->path);
		load_table(vm, img, e32->e_phoff, e32->e_phnum, e32->e_phentsize, end);
		*entry = e32->e_entry;
		return 32;
	}
	if (e64->e_machine != EM_X86_64 || e64->e_phentsize != sizeof(struct elf64_phdr))
		die("%s: an ELF file, but not for x86", img->path);
	load_table(vm, img, e64->e_phoff, e64->e_phnum, e64->e_phentsize, end);
	*entry = e64->e_entry;
	return 64;
}

bool load_elf(struct vm *vm, const struct image *img)
{
	u64 entry;
	int bits = elf_load_segments(vm, img, &entry, NULL);

	if (!bits)
		return false;
	if (vm->opt->nr_initrd || vm->opt->append)
		die("%s is a plain ELF file: --initrd and --append have no meaning", img->path);
	vm->boot = (struct boot_state) {
		.mode = bits == 64 ? BOOT_LONG64 : BOOT_PROT32,
		.entry = entry,
	};
	return true;
}
