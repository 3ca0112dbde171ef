// SPDX-License-Identifier: GPL-2.0-only
/*
 * A flat binary, entered in real mode at its first byte.
 *
 * Must not guess at the contents.
 */
#include "runner.h"

#define REAL_MODE_END	0xa0000u

void load_flat(struct vm *vm, const struct image *img)
{
	u64 at = vm->opt->load_addr;

	if (img->size > REAL_MODE_END && at + img->size > REAL_MODE_END)
		die("%s is not a bzImage, multiboot or ELF file, and too large for a flat binary",
		    img->path);
	if (vm->opt->nr_initrd || vm->opt->append)
		die("%s is a flat binary: --initrd and --append have no meaning", img->path);
	image_load(vm, img, 0, at, img->size);
	vm->boot = (struct boot_state) { .mode = BOOT_REAL, .entry = at };
}
