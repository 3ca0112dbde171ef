// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linux kernels, by the kernel's own boot protocol.
 *
 * Must not run the kernel's real-mode part: what that asks the BIOS, boot_params tells.
 */
#include <string.h>

#include <asm/bootparam.h>

#include "runner.h"

#define HEADER_OFFSET	0x1f1
#define HEADER_MAGIC	0x53726448	/* "HdrS" */
#define BOOT_FLAG	0xaa55
#define MIN_PROTOCOL	0x0206		/* has cmdline_size */
#define INIT_SIZE	0x020a
#define ENTRY_64	0x200		/* startup_64, from the start of the protected-mode part */
#define LOADER_OTHER	0xff
#define LEGACY_LOAD	0x100000u

#define E820_RAM	1
#define E820_RESERVED	2
#define E820_ACPI	3

struct kernel {
	struct setup_header hdr;
	u64 setup_size;
	u64 payload_size;
	u64 load;
	u64 end;	/* of what it needs before it has read the memory map */
};

static void add_e820(struct boot_params *bp, u64 start, u64 end, u32 type)
{
	if (end <= start)
		return;
	bp->e820_table[bp->e820_entries++] = (struct boot_e820_entry) {
		.addr = start, .size = end - start, .type = type,
	};
}

static void fill_e820(struct vm *vm, struct boot_params *bp)
{
	u64 high = vm->opt->memory - vm->ram_low;

	add_e820(bp, 0, EBDA_START, E820_RAM);
	add_e820(bp, EBDA_START, 0xa0000, E820_RESERVED);
	add_e820(bp, FIRMWARE_START, FIRMWARE_END, E820_ACPI);
	add_e820(bp, MIB, vm->ram_low, E820_RAM);
	add_e820(bp, HIGH_RAM_BASE, HIGH_RAM_BASE + high, E820_RAM);
}

/*
 * A relocatable kernel that is already where it wants to be leaves the memory below alone, which
 * then need not be faulted in.
 */
static void choose_address(struct vm *vm, struct kernel *k)
{
	u64 need = k->payload_size;

	k->load = LEGACY_LOAD;
	if (k->hdr.version >= INIT_SIZE) {
		need = k->hdr.init_size > need ? k->hdr.init_size : need;
		if (k->hdr.relocatable_kernel && k->hdr.pref_address >= LEGACY_LOAD &&
		    k->hdr.pref_address < vm->ram_low &&
		    need <= vm->ram_low - k->hdr.pref_address)
			k->load = k->hdr.pref_address;
	} else {
		/* Older kernels do not say; this much they have always fit in. */
		need *= 5;
	}
	k->end = k->load + need;
}

static void check_header(const struct image *img, struct kernel *k)
{
	if (k->hdr.version < MIN_PROTOCOL)
		die("%s: boot protocol %u.%02u is too old", img->path, k->hdr.version >> 8,
		    k->hdr.version & 0xff);
	if (!(k->hdr.loadflags & LOADED_HIGH))
		die("%s: a zImage, not a bzImage", img->path);
	k->setup_size = ((k->hdr.setup_sects ? k->hdr.setup_sects : 4) + 1) * 512ull;
	if (k->setup_size >= img->size)
		die("%s is cut off inside its setup part", img->path);
	/* A signature may follow what the header counts, or the header may count padding. */
	k->payload_size = img->size - k->setup_size;
	if ((u64)k->hdr.syssize * 16 < k->payload_size)
		k->payload_size = (u64)k->hdr.syssize * 16;
}

static void load_cmdline(struct vm *vm, const struct image *img, struct boot_params *bp)
{
	const char *line = loader_cmdline(vm, vm->opt->virtio_console ?
					  "console=ttyS0 console=hvc0" : "console=ttyS0");
	size_t len = strlen(line) + 1;

	if (len > bp->hdr.cmdline_size + 1ull)
		die("%s takes a command line of at most %u bytes", img->path,
		    bp->hdr.cmdline_size);
	memcpy(vm_ram(vm, BOOT_CMDLINE, len), line, len);
	bp->hdr.cmd_line_ptr = BOOT_CMDLINE;
}

static void load_initrd(struct vm *vm, const struct kernel *k, struct boot_params *bp)
{
	u64 place[MAX_INITRDS][2], top = vm->ram_low, start;

	if (!vm->opt->nr_initrd)
		return;
	if (top > (u64)k->hdr.initrd_addr_max + 1)
		top = (u64)k->hdr.initrd_addr_max + 1;
	start = loader_initrds(vm, k->end, top, true, place);
	bp->hdr.ramdisk_image = (u32)start;
	bp->hdr.ramdisk_size = (u32)(place[vm->opt->nr_initrd - 1][1] - start);
}

static void fill_boot_params(struct vm *vm, const struct image *img, const struct kernel *k)
{
	struct boot_params *bp = vm_ram(vm, BOOT_PARAMS, sizeof(*bp));

	memset(bp, 0, sizeof(*bp));
	bp->hdr = k->hdr;
	bp->hdr.type_of_loader = LOADER_OTHER;
	bp->hdr.code32_start = (u32)k->load;
	bp->hdr.vid_mode = 0xffff;
	bp->acpi_rsdp_addr = FIRMWARE_START;
	fill_e820(vm, bp);
	load_cmdline(vm, img, bp);
	load_initrd(vm, k, bp);
}

bool load_bzimage(struct vm *vm, const struct image *img)
{
	struct kernel k;
	bool long_mode;

	memcpy(&k.hdr, img->head + HEADER_OFFSET, sizeof(k.hdr));
	if (k.hdr.boot_flag != BOOT_FLAG || k.hdr.header != HEADER_MAGIC)
		return false;
	check_header(img, &k);
	choose_address(vm, &k);
	if (!vm_ram(vm, k.load, k.end - k.load))
		die("%s needs %llu MiB of guest memory to start (see --memory)", img->path,
		    k.end / MIB + 1);
	image_load(vm, img, k.setup_size, k.load, k.payload_size);
	fill_boot_params(vm, img, &k);
	/* Entering in long mode skips the 32-bit part, which only builds the same page tables. */
	long_mode = k.hdr.version >= 0x020c && k.hdr.xloadflags & XLF_KERNEL_64;
	vm->boot = (struct boot_state) {
		.mode = long_mode ? BOOT_LONG64 : BOOT_PROT32,
		.entry = k.load + (long_mode ? ENTRY_64 : 0),
		.rsi = BOOT_PARAMS,
	};
	return true;
}
