// SPDX-License-Identifier: GPL-2.0-only
/*
 * Images of the Multiboot Specification, version 0.6.96 ("multiboot 1").
 *
 * Must not offer what a boot loader has only under a BIOS: drives, APM, a video mode.
 */
#include <stdlib.h>
#include <string.h>

#include "runner.h"

#define HEADER_MAGIC	0x1badb002u
#define LOADER_MAGIC	0x2badb002u
#define HEADER_SEARCH	8192
#define NEED_VIDEO	0x00000004u
#define NEED_UNKNOWN	0x0000fff8u	/* required features that nobody has defined */
#define HAS_ADDRESSES	0x00010000u

#define INFO_MEMORY	0x001u
#define INFO_CMDLINE	0x004u
#define INFO_MODULES	0x008u
#define INFO_MAP	0x040u
#define INFO_LOADER	0x200u

#define MAP_RAM		1
#define MAP_RESERVED	2
#define MAP_ACPI	3
#define MAP_MAX		8
#define NAME_MAX_LEN	256

struct mb_header {
	u32 magic, flags, checksum;
	u32 header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

struct mb_info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	u32 syms[4];
	u32 mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
	u32 apm_table, vbe[4];
};

struct mb_module {
	u32 start, end, string, reserved;
};

struct mb_map {
	u32 size;
	u64 addr, len;
	u32 type;
} __packed;

/* All that the information structure points to, laid out at BOOT_PARAMS. */
struct mb_block {
	struct mb_info info;
	struct mb_module modules[MAX_INITRDS];
	struct mb_map map[MAP_MAX];
	char loader[16];
	char names[MAX_INITRDS][NAME_MAX_LEN];
};

static_assert(sizeof(struct mb_map) == 24, "memory map entry");
static_assert(BOOT_PARAMS + sizeof(struct mb_block) < BOOT_STACK - 1024, "fits below the stack");

#define GUEST(field)	(BOOT_PARAMS + (u32)offsetof(struct mb_block, field))

/* The header lies within the first 8 KiB, at a multiple of 4. Returns its offset, or -1. */
static int find_header(const struct image *img, struct mb_header *h)
{
	for (int off = 0; off + 12 <= HEADER_SEARCH; off += 4) {
		size_t len = HEADER_SEARCH - off < (int)sizeof(*h) ? 12 : sizeof(*h);

		memset(h, 0, sizeof(*h));
		memcpy(h, img->head + off, len);
		if (h->magic == HEADER_MAGIC && h->magic + h->flags + h->checksum == 0)
			return off;
	}
	return -1;
}

/* The header gives the addresses itself. Returns the end of what it takes. */
static u64 load_by_addresses(struct vm *vm, const struct image *img, const struct mb_header *h,
			     int header_off)
{
	u64 skip = (u64)h->header_addr - h->load_addr, off, len, end;

	if (h->load_addr > h->header_addr || skip > (u64)header_off)
		die("%s: the multiboot header contradicts itself", img->path);
	off = (u64)header_off - skip;
	len = h->load_end_addr ? (u64)h->load_end_addr - h->load_addr : img->size - off;
	if (h->load_end_addr && h->load_end_addr < h->load_addr)
		die("%s: the multiboot header contradicts itself", img->path);
	if (h->load_addr < LOADER_END)
		die("%s loads at 0x%x, but below 0x%x is what the guest is started with",
		    img->path, h->load_addr, LOADER_END);
	end = h->load_addr + len;
	if (h->bss_end_addr > end)
		end = h->bss_end_addr;
	if (!vm_ram(vm, h->load_addr, end - h->load_addr))
		die("%s does not fit in guest memory (see --memory)", img->path);
	image_load(vm, img, off, h->load_addr, len);
	return end;
}

static void add_map(struct mb_block *b, u64 start, u64 end, u32 type)
{
	struct mb_map *m = &b->map[b->info.mmap_length / sizeof(*m)];

	if (end <= start)
		return;
	*m = (struct mb_map) { .size = 20, .addr = start, .len = end - start, .type = type };
	b->info.mmap_length += sizeof(*m);
}

static void fill_memory(struct vm *vm, struct mb_block *b)
{
	b->info.flags |= INFO_MEMORY | INFO_MAP;
	b->info.mem_lower = EBDA_START / 1024;
	b->info.mem_upper = (u32)((vm->ram_low - MIB) / KIB);
	b->info.mmap_addr = GUEST(map);
	add_map(b, 0, EBDA_START, MAP_RAM);
	add_map(b, EBDA_START, 0xa0000, MAP_RESERVED);
	add_map(b, FIRMWARE_START, FIRMWARE_END, MAP_ACPI);
	add_map(b, MIB, vm->ram_low, MAP_RAM);
	add_map(b, HIGH_RAM_BASE, HIGH_RAM_BASE + vm->opt->memory - vm->ram_low, MAP_RAM);
}

static void fill_modules(struct vm *vm, struct mb_block *b, u64 image_end)
{
	u64 place[MAX_INITRDS][2];
	unsigned int n = vm->opt->nr_initrd;

	if (!n)
		return;
	/* Right behind the image, where a guest that maps little of its memory can reach them. */
	loader_initrds(vm, image_end, vm->ram_low, false, place);
	b->info.flags |= INFO_MODULES;
	b->info.mods_count = n;
	b->info.mods_addr = GUEST(modules);
	for (unsigned int i = 0; i < n; i++) {
		b->modules[i].start = (u32)place[i][0];
		b->modules[i].end = (u32)place[i][1];
		b->modules[i].string = GUEST(names) + i * NAME_MAX_LEN;
		snprintf(b->names[i], NAME_MAX_LEN, "%s", vm->opt->initrd[i]);
	}
}

/* As GRUB does it: the image's own name comes first. */
static void fill_cmdline(struct vm *vm, struct mb_block *b)
{
	const char *append = loader_cmdline(vm, "");
	char *line = vm_ram(vm, BOOT_CMDLINE, CMDLINE_MAX);

	if (vm->opt->raw_append)
		snprintf(line, CMDLINE_MAX, "%s", append);
	else
		snprintf(line, CMDLINE_MAX, "%s%s%s", vm->opt->image, *append ? " " : "", append);
	b->info.flags |= INFO_CMDLINE;
	b->info.cmdline = BOOT_CMDLINE;
}

bool load_multiboot(struct vm *vm, const struct image *img)
{
	struct mb_block *b = vm_ram(vm, BOOT_PARAMS, sizeof(*b));
	struct mb_header h;
	u64 entry, end;
	int off = find_header(img, &h);

	if (off < 0)
		return false;
	if (h.flags & (NEED_VIDEO | NEED_UNKNOWN))
		die("%s requires multiboot features 0x%x, which are not offered", img->path,
		    h.flags & (NEED_VIDEO | NEED_UNKNOWN));
	if (h.flags & HAS_ADDRESSES) {
		end = load_by_addresses(vm, img, &h, off);
		entry = h.entry_addr;
	} else if (!elf_load_segments(vm, img, &entry, &end)) {
		die("%s: a multiboot image that is neither ELF nor gives its addresses", img->path);
	}
	memset(b, 0, sizeof(*b));
	fill_memory(vm, b);
	fill_modules(vm, b, end);
	fill_cmdline(vm, b);
	b->info.flags |= INFO_LOADER;
	b->info.boot_loader_name = GUEST(loader);
	snprintf(b->loader, sizeof(b->loader), "kvmlet");
	/* A 64-bit file too is entered in protected mode: that is the protocol. */
	vm->boot = (struct boot_state) {
		.mode = BOOT_PROT32,
		.entry = entry,
		.rax = LOADER_MAGIC,
		.rbx = BOOT_PARAMS,
	};
	return true;
}
