// SPDX-License-Identifier: GPL-2.0-only
/*
 * What guest RAM is made of, on the host's side.
 *
 * Must not know where in the guest it goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "runner.h"

#define HUGE_PAGE	(2 * MIB)

static u8 *map_any(u64 size, int flags, int fd)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		die_errno("cannot map %llu MiB of guest memory", size / MIB);
	return p;
}

/* Huge pages save most of the nested page faults, where both addresses are aligned to them. */
static u8 *map_aligned(u64 size, int flags, int fd)
{
	u8 *area = map_any(size + HUGE_PAGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	u8 *p = (u8 *)(uintptr_t)align_up((uintptr_t)area, HUGE_PAGE);

	if (mmap(p, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) == MAP_FAILED)
		die_errno("cannot map %llu MiB of guest memory", size / MIB);
	/* What the alignment has left over on both sides. */
	if (p > area)
		munmap(area, (size_t)(p - area));
	munmap(p + size, (size_t)(area + HUGE_PAGE - p));
	return p;
}

static u8 *map_memfd(u64 size)
{
	int fd = memfd_create(RAM_NAME, MFD_CLOEXEC);
	u8 *p;

	if (fd < 0 || ftruncate(fd, (off_t)size))
		die_errno("cannot create %llu MiB of shared memory", size / MIB);
	p = map_aligned(size, MAP_SHARED, fd);
	close(fd);
	return p;
}

/* A file without a name, so that its pages are free when the runner ends, however it ends. */
static u8 *map_hugetlbfs(const char *dir, u64 size)
{
	struct statfs fs;
	char path[4096];
	int fd;
	u8 *p;

	if (statfs(dir, &fs))
		die_errno("cannot look at %s", dir);
	if (fs.f_type != HUGETLBFS_MAGIC)
		die("%s is not on hugetlbfs (mount -t hugetlbfs none DIR)", dir);
	if (size % (u64)fs.f_bsize)
		die("--memory is not a multiple of the %llu KiB pages of %s",
		    (u64)fs.f_bsize / KIB, dir);
	if (snprintf(path, sizeof(path), "%s/" RAM_NAME "-XXXXXX", dir) >= (int)sizeof(path))
		die("%s: name too long", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || unlink(path) || ftruncate(fd, (off_t)size))
		die_errno("cannot create a file in %s", dir);
	/* Reserved here, or refused; a page that is missing later would kill the runner. */
	p = map_any(size, MAP_SHARED, fd);
	close(fd);
	return p;
}

static void advise(u8 *p, u64 size, int advice, const char *what)
{
	if (madvise(p, size, advice))
		die_errno("cannot have %s for guest memory", what);
}

u8 *memory_map(const struct memory_option *opt, u64 size)
{
	u8 *p;

	if (opt->hugetlbfs)
		p = map_hugetlbfs(opt->hugetlbfs, size);
	else if (opt->memfd)
		p = map_memfd(size);
	else
		p = map_aligned(size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	/* A kernel without transparent huge pages knows neither. */
	if (!opt->hugetlbfs)
		madvise(p, size, opt->no_thp ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	if (opt->mergeable)
		advise(p, size, MADV_MERGEABLE, "merging");
	/* A core dump of the runner is about the runner. It is also what "kvmlet mem" looks for. */
	advise(p, size, MADV_DONTDUMP, "no core dump");
	return p;
}
