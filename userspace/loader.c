// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opens the image, tells its format, and does what several formats need.
 *
 * Must not know the inside of a format.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner.h"

#define PAGE	4096ull

void image_open(struct image *img, const char *path)
{
	struct stat st;
	ssize_t n;

	memset(img, 0, sizeof(*img));
	img->path = path;
	img->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (img->fd < 0 || fstat(img->fd, &st))
		die_errno("cannot open %s", path);
	if (!S_ISREG(st.st_mode))
		die("%s is not a regular file", path);
	if (!st.st_size)
		die("%s is empty", path);
	img->size = (u64)st.st_size;
	n = pread(img->fd, img->head, sizeof(img->head), 0);
	if (n < 0)
		die_errno("cannot read %s", path);
}

void image_load(struct vm *vm, const struct image *img, u64 off, u64 gpa, u64 len)
{
	u8 *to = vm_ram(vm, gpa, len);

	if (off > img->size || len > img->size - off)
		die("%s is cut off: %llu bytes at offset %llu are missing", img->path, len, off);
	if (!to)
		die("%s does not fit in guest memory: %llu bytes at 0x%llx (see --memory)",
		    img->path, len, gpa);
	while (len) {
		ssize_t n = pread(img->fd, to, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die_errno("cannot read %s", img->path);
		to += n;
		off += (u64)n;
		len -= (u64)n;
	}
}

u64 loader_initrds(struct vm *vm, u64 bottom, u64 top, bool joined, u64 place[MAX_INITRDS][2])
{
	struct image *img = calloc(MAX_INITRDS, sizeof(*img));
	u64 align = joined ? 4 : PAGE, total = 0, at = align_up(bottom, PAGE);

	if (!img)
		die("out of memory");
	for (unsigned int i = 0; i < vm->opt->nr_initrd; i++) {
		image_open(&img[i], vm->opt->initrd[i]);
		total = align_up(total, align) + img[i].size;
	}
	if (top < at || total > top - at)
		die("the initrd of %llu bytes does not fit below 0x%llx (see --memory)", total,
		    top);
	if (joined)
		at = (top - total) & ~(PAGE - 1);
	for (unsigned int i = 0; i < vm->opt->nr_initrd; i++) {
		at = align_up(at, align);
		place[i][0] = at;
		image_load(vm, &img[i], 0, at, img[i].size);
		at += img[i].size;
		place[i][1] = at;
		close(img[i].fd);
	}
	free(img);
	return place[0][0];
}

const char *loader_cmdline(struct vm *vm, const char *fallback)
{
	static char line[CMDLINE_MAX];
	const char *append = vm->opt->append ? vm->opt->append : "";

	if (vm->opt->raw_append || strstr(append, "console="))
		return append;
	snprintf(line, sizeof(line), "%s%s%s", fallback, *append && *fallback ? " " : "", append);
	return line;
}

void loader_load(struct vm *vm)
{
	struct image *img = calloc(1, sizeof(*img));

	if (!img)
		die("out of memory");
	image_open(img, vm->opt->image);
	/* Multiboot before ELF: most multiboot images are ELF files as well. */
	if (!load_bzimage(vm, img) && !load_multiboot(vm, img) && !load_elf(vm, img))
		load_flat(vm, img);
	close(img->fd);
	free(img);
}
