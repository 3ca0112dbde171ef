// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kvmlet mem: what the guest memory of a running runner consists of.
 *
 * Must not disturb that runner: it only reads what the kernel tells about the process.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runner.h"

/* What is added up over the mappings; smaps gives KiB. */
enum {
	F_SIZE, F_RSS, F_PSS, F_SHARED_CLEAN, F_SHARED_DIRTY, F_PRIVATE_CLEAN, F_PRIVATE_DIRTY,
	F_REFERENCED, F_THP_ANON, F_THP_SHMEM, F_THP_FILE, F_TLB_SHARED, F_TLB_PRIVATE, F_SWAP,
	NR_FIELDS,
};

static const char * const field_names[NR_FIELDS] = {
	[F_SIZE] = "Size",
	[F_RSS] = "Rss",
	[F_PSS] = "Pss",
	[F_SHARED_CLEAN] = "Shared_Clean",
	[F_SHARED_DIRTY] = "Shared_Dirty",
	[F_PRIVATE_CLEAN] = "Private_Clean",
	[F_PRIVATE_DIRTY] = "Private_Dirty",
	[F_REFERENCED] = "Referenced",
	[F_THP_ANON] = "AnonHugePages",
	[F_THP_SHMEM] = "ShmemPmdMapped",
	[F_THP_FILE] = "FilePmdMapped",
	[F_TLB_SHARED] = "Shared_Hugetlb",
	[F_TLB_PRIVATE] = "Private_Hugetlb",
	[F_SWAP] = "Swap",
};

/**
 * struct mapping - one entry of smaps, or the sum of several
 * @field: KiB of each kind
 * @page_size: KiB of the mapping's own pages
 * @writable: it is
 * @dont_dump: it is left out of core dumps, as guest memory is
 * @name: file behind it, or empty
 */
struct mapping {
	u64 field[NR_FIELDS];
	u64 page_size;
	bool writable;
	bool dont_dump;
	char name[256];
};

/* "7f0000000000-7f0010000000 rw-p 00000000 00:00 0    [name]" begins a mapping. */
static bool parse_head(const char *line, struct mapping *m)
{
	char perms[5];
	int at = 0;

	if (sscanf(line, "%*s %4s %*s %*s %*s %n", perms, &at) != 1 || !at)
		return false;
	*m = (struct mapping) { .writable = perms[1] == 'w' };
	snprintf(m->name, sizeof(m->name), "%.*s", (int)strcspn(line + at, "\n"), line + at);
	return true;
}

static void parse_field(const char *line, struct mapping *m)
{
	const char *colon = strchr(line, ':');
	size_t len = colon ? (size_t)(colon - line) : 0;

	if (!len)
		return;
	if (!strncmp(line, "VmFlags:", 8))
		m->dont_dump = strstr(line, " dd");
	else if (!strncmp(line, "KernelPageSize:", 15))
		m->page_size = strtoull(colon + 1, NULL, 10);
	for (size_t i = 0; i < NR_FIELDS; i++) {
		if (strlen(field_names[i]) == len && !strncmp(line, field_names[i], len))
			m->field[i] = strtoull(colon + 1, NULL, 10);
	}
}

/* Devices' mappings, such as the vCPUs' shared pages, are not dumped either. */
static bool is_guest_ram(const struct mapping *m)
{
	return m->writable && m->dont_dump && m->field[F_SIZE] &&
	       strncmp(m->name, "anon_inode:", 11) && strncmp(m->name, "/dev/", 5);
}

static void add_up(struct mapping *sum, const struct mapping *m)
{
	if (!is_guest_ram(m))
		return;
	for (size_t i = 0; i < NR_FIELDS; i++)
		sum->field[i] += m->field[i];
	sum->page_size = m->page_size;
	memcpy(sum->name, m->name, sizeof(sum->name));
}

static FILE *open_proc(int pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return fopen(path, "re");
}

static bool read_smaps(int pid, struct mapping *sum)
{
	struct mapping m = { 0 };
	char line[1024];
	FILE *f = open_proc(pid, "smaps");

	if (!f)
		return false;
	*sum = (struct mapping) { 0 };
	while (fgets(line, sizeof(line), f)) {
		/* A field's name begins with a capital letter, an address does not. */
		if (isupper((unsigned char)line[0])) {
			parse_field(line, &m);
		} else {
			add_up(sum, &m);
			parse_head(line, &m);
		}
	}
	add_up(sum, &m);
	fclose(f);
	return true;
}

/* Pages that KSM has merged, in KiB; the runner has none but guest memory merged. */
static u64 merged(int pid)
{
	FILE *f = open_proc(pid, "ksm_merging_pages");
	u64 pages = 0;

	if (f) {
		if (fscanf(f, "%llu", &pages) != 1)
			pages = 0;
		fclose(f);
	}
	return pages * (u64)sysconf(_SC_PAGESIZE) / KIB;
}

static void row(const char *what, u64 kib, u64 of)
{
	printf("  %-34s %12llu KiB", what, kib);
	if (of)
		printf("  %3llu %%", kib * 100 / of);
	printf("\n");
}

static void print_mapping(int pid, const struct mapping *m)
{
	const u64 *f = m->field;
	u64 hugetlb = f[F_TLB_SHARED] + f[F_TLB_PRIVATE];
	u64 huge = f[F_THP_ANON] + f[F_THP_SHMEM] + f[F_THP_FILE];
	u64 resident = f[F_RSS] + hugetlb;
	char text[64];

	printf("process %d: guest memory in %s\n", pid, *m->name ? m->name : "anonymous memory");
	row("size", f[F_SIZE], 0);
	row("present", resident, f[F_SIZE]);
	row("  in pages of 4 KiB", f[F_RSS] - huge, resident);
	row("  in huge pages of 2 MiB", huge, resident);
	if (hugetlb) {
		snprintf(text, sizeof(text), "  in hugetlbfs pages of %llu MiB",
			 m->page_size / KIB);
		row(text, hugetlb, resident);
	}
	row("shared with other mappings",
	    f[F_SHARED_CLEAN] + f[F_SHARED_DIRTY] + f[F_TLB_SHARED], resident);
	row("merged by KSM", merged(pid), resident);
	row("dirty", f[F_SHARED_DIRTY] + f[F_PRIVATE_DIRTY], resident);
	row("referenced of late", f[F_REFERENCED], resident);
	row("swapped out", f[F_SWAP], f[F_SIZE]);
}

/* ---- what the device counts, read through the descriptor that the runner keeps open ---- */

static bool is_stats_link(const char *path)
{
	char target[64] = "";

	return readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, "vm-stats");
}

/* The runner's descriptor, as one of ours; -1 when it has none or is not ours to look into. */
static int borrow_stats(int pid)
{
	int fd = -1, pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	char path[64];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = pidfd < 0 ? NULL : opendir(path);
	while (dir && fd < 0 && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%.10s", pid, e->d_name);
		if (is_stats_link(path))
			fd = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(e->d_name), 0);
	}
	if (dir)
		closedir(dir);
	if (pidfd >= 0)
		close(pidfd);
	return fd;
}

static void print_device(int pid)
{
	int fd = borrow_stats(pid);

	printf("  what the device has mapped:\n");
	if (fd >= 0) {
		stats_print_fd(fd, stdout, "pages_");
		close(fd);
	} else {
		printf("    it does not tell\n");
	}
}

static int show(int pid)
{
	struct mapping m;

	if (!read_smaps(pid, &m)) {
		say("process %d: %s", pid, strerror(errno));
		return 1;
	}
	if (!m.field[F_SIZE]) {
		say("process %d has no guest memory", pid);
		return 1;
	}
	print_mapping(pid, &m);
	print_device(pid);
	return 0;
}

static bool is_runner(int pid)
{
	FILE *f = open_proc(pid, "comm");
	char name[32] = "";

	if (!f)
		return false;
	if (!fgets(name, sizeof(name), f))
		*name = '\0';
	fclose(f);
	return !strcmp(name, "kvmlet\n") && pid != getpid();
}

int cmd_mem(const struct options *opt)
{
	DIR *dir = opt->pid ? NULL : opendir("/proc");
	struct dirent *e;
	int found = 0;

	if (opt->pid)
		return show(opt->pid);
	while (dir && (e = readdir(dir))) {
		if (atoi(e->d_name) > 0 && is_runner(atoi(e->d_name)))
			found += !show(atoi(e->d_name));
	}
	if (dir)
		closedir(dir);
	if (!found)
		say("no runner has guest memory, or none that this user may look at");
	return found ? 0 : 1;
}
