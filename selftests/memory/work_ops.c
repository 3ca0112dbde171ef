// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the host does to the guest's memory while the guest uses it, and how it is known to have
 * happened.
 * Must not change a byte that the guest will look at, except to 0 where it expects that.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "host.h"
#include "work.h"

/* A stretch of memory: sometimes whole large pages, sometimes not. */
struct stretch {
	size_t page, pages;
};

static struct stretch work_stretch(struct work *w, size_t first, size_t pages)
{
	struct stretch s = {
		.page = work_random(w, pages),
		.pages = 1 + work_random(w, pages / 4),
	};

	if (work_random(w, 2)) {
		s.page &= -512UL;
		s.pages = (s.pages + 511) & -512UL;
	}
	if (s.pages > pages - s.page)
		s.pages = pages - s.page;
	s.page += first;
	return s;
}

static u8 *work_at(struct work *w, size_t page)
{
	return w->mem + page * PAGE;
}

static bool work_going(struct work *w)
{
	return w->guest.running > 0;
}

/* ---- Swap ---- */

static void swap_run(struct work *w)
{
	do {
		struct stretch s = work_stretch(w, 0, w->pages);

		madvise(work_at(w, s.page), s.pages * PAGE, MADV_PAGEOUT);
		usleep(1000);
	} while (work_going(w));
}

static u64 swap_count(struct work *w)
{
	u64 out = host_vmstat("pswpout"), in = host_vmstat("pswpin");

	(void)w;
	return out < in ? out : in;
}

/* ---- KSM ---- */

static void merge_run(struct work *w)
{
	u64 scans = host_ksm("full_scans");
	unsigned int i;

	/* Merging takes two scans over pages that stay as they are. */
	for (i = 0; i < 200 && host_ksm("full_scans") < scans + 2; i++) {
		if (host_ksm("pages_sharing") > w->own[0])
			w->own[0] = host_ksm("pages_sharing");
		usleep(10000);
	}
}

static u64 merge_count(struct work *w)
{
	(void)w;
	return host_vmstat("cow_ksm");
}

/* ---- Migration ---- */

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

/*
 * Compaction may find that nothing has to move. A page whose memory is to be used no more has to,
 * on hosts that know of such memory.
 */
static void migrate_few(struct work *w)
{
	unsigned int i;

	for (i = 0; i < 4; i++) {
		struct stretch s = work_stretch(w, 0, w->pages);

		madvise(work_at(w, s.page), PAGE, MADV_SOFT_OFFLINE);
	}
}

/*
 * Memory that is to be taken out, as a module from its slot: what lies there has to move. A block
 * that holds memory of the kernel's own refuses.
 */
static void migrate_blocks(void)
{
	char path[64];
	unsigned int i;

	for (i = 0; i < 64; i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%u/state", i);
		if (!host_write(path, "offline"))
			host_write(path, "online_movable");
	}
}

static void migrate_run(struct work *w)
{
	migrate_few(w);
	migrate_blocks();
	do {
		/* Holes in what is moved: what has been swapped in meanwhile lies anywhere. */
		struct stretch s = work_stretch(w, 0, w->pages);

		madvise(work_at(w, s.page), s.pages * PAGE, MADV_PAGEOUT);
		usleep(3000);
		host_write("/proc/sys/vm/compact_memory", "1");
	} while (work_going(w));
}

static u64 migrate_count(struct work *w)
{
	(void)w;
	return host_vmstat("pgmigrate_success");
}

/* ---- Large pages ---- */

static void collapse_run(struct work *w)
{
	size_t page;

	madvise(w->mem, w->pages * PAGE, MADV_HUGEPAGE);
	do {
		for (page = 0; page + 512 <= w->pages && work_going(w); page += 512)
			madvise(work_at(w, page), LARGE, MADV_COLLAPSE);
	} while (work_going(w));
}

static u64 collapse_count(struct work *w)
{
	(void)w;
	return host_vmstat("thp_collapse_alloc");
}

static void split_run(struct work *w)
{
	char range[128];

	collapse_run(w);
	snprintf(range, sizeof(range), "%d,0x%lx,0x%lx", getpid(), (unsigned long)w->mem,
		 (unsigned long)work_at(w, w->pages));
	host_write("/sys/kernel/debug/split_huge_pages", range);
}

static u64 split_count(struct work *w)
{
	(void)w;
	return host_vmstat("thp_split_page");
}

/* ---- Protection, address ---- */

static void protect_run(struct work *w)
{
	do {
		struct stretch s = work_stretch(w, 0, w->pages);
		u8 *at = work_at(w, s.page);

		if (mprotect(at, s.pages * PAGE, PROT_READ))
			tvm_die("mprotect: %m");
		usleep(1000);
		if (mprotect(at, s.pages * PAGE, PROT_NONE))
			tvm_die("mprotect: %m");
		usleep(1000);
		if (mprotect(at, s.pages * PAGE, PROT_READ | PROT_WRITE))
			tvm_die("mprotect: %m");
		usleep(1000);
	} while (work_going(w));
}

static u64 fault_count(struct work *w)
{
	return w->guest.faults;
}

static void move_run(struct work *w)
{
	do {
		struct stretch s = work_stretch(w, 0, w->pages);
		u8 *at = work_at(w, s.page), *away = w->away + s.page * PAGE;
		size_t bytes = s.pages * PAGE;

		if (mremap(at, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, away) == MAP_FAILED) {
			/* More than one mapping lies there. */
			if (errno != EFAULT)
				tvm_die("mremap: %m");
			continue;
		}
		usleep(1000);
		if (mremap(away, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at) != at)
			tvm_die("mremap back: %m");
		w->own[1]++;
		usleep(1000);
	} while (work_going(w));
}

static u64 move_count(struct work *w)
{
	return w->own[1];
}

/* ---- Fork ---- */

static u64 work_sum(const u8 *mem, size_t bytes)
{
	const u64 *words = (const u64 *)mem;
	u64 sum = 0;
	size_t i;

	for (i = 0; i < bytes / 8; i += 8)
		sum = sum * 31 + words[i];
	return sum;
}

/* A child's private memory stands still, whatever its parent's guest writes. */
static int fork_child(struct work *w)
{
	size_t bytes = w->private * PAGE;
	u64 sum = work_sum(w->mem, bytes);
	unsigned int i;

	for (i = 0; i < 3; i++) {
		usleep(30000);
		if (work_sum(w->mem, bytes) != sum)
			return 1;
	}
	return 0;
}

static void fork_run(struct work *w)
{
	int status;
	pid_t child;

	do {
		child = fork();
		if (child < 0)
			tvm_die("fork: %m");
		if (!child)
			_exit(fork_child(w));
		if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
			tvm_die("waitpid");
		if (WEXITSTATUS(status)) {
			printf("# a child's memory has changed under it\n");
			w->guest.wrong++;
		}
		w->own[2]++;
	} while (work_going(w));
}

static u64 fork_count(struct work *w)
{
	return w->own[2];
}

/* ---- Discarded ---- */

static void discard_run(struct work *w)
{
	do {
		struct stretch s = work_stretch(w, w->private, w->discard);

		if (madvise(work_at(w, s.page), s.pages * PAGE, MADV_DONTNEED))
			tvm_die("MADV_DONTNEED: %m");
		w->own[3] += s.pages;
		usleep(500);
	} while (work_going(w));
}

static u64 discard_count(struct work *w)
{
	return w->own[3];
}

/* ---- Faults served by user space ---- */

struct server {
	struct work *w;
	struct stretch s;
	u8 *copy;
	int fd;
};

static void server_ioctl(struct server *u, unsigned long request, void *arg)
{
	if (ioctl(u->fd, request, arg) && errno != EEXIST && errno != ENOENT && errno != EAGAIN)
		tvm_die("userfaultfd %#lx: %m", request);
}

static struct uffdio_range server_range(struct server *u)
{
	return (struct uffdio_range){
		.start = (uintptr_t)work_at(u->w, u->s.page),
		.len = u->s.pages * PAGE,
	};
}

static void server_open(struct server *u)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register reg = {
		.range = server_range(u),
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};

	u->fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (u->fd < 0)
		tvm_die("userfaultfd: %m");
	server_ioctl(u, UFFDIO_API, &api);
	server_ioctl(u, UFFDIO_REGISTER, &reg);
}

static void server_protect(struct server *u, u64 start, u64 len, bool protect)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = start, .len = len },
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	while (ioctl(u->fd, UFFDIO_WRITEPROTECT, &wp))
		if (errno != EAGAIN)
			tvm_die("UFFDIO_WRITEPROTECT: %m");
}

static void server_put(struct server *u, u64 address)
{
	struct uffdio_copy copy = {
		.dst = address,
		.src = (uintptr_t)u->copy + (address - (uintptr_t)work_at(u->w, u->s.page)),
		.len = PAGE,
	};

	while (ioctl(u->fd, UFFDIO_COPY, &copy)) {
		if (errno == EEXIST) {
			struct uffdio_range range = { .start = address, .len = PAGE };

			server_ioctl(u, UFFDIO_WAKE, &range);
			return;
		}
		if (errno != EAGAIN)
			tvm_die("UFFDIO_COPY: %m");
	}
}

static void server_answer(struct server *u, const struct uffd_msg *msg, bool missing)
{
	u64 address = msg->arg.pagefault.address & -PAGE;
	struct uffdio_range range = { .start = address, .len = PAGE };

	if (!(msg->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP)) {
		server_put(u, address);
		u->w->own[4]++;
	} else if (missing) {
		/* It met the protection, and would meet nothing now. */
		server_ioctl(u, UFFDIO_WAKE, &range);
	} else {
		server_protect(u, address, PAGE, false);
		u->w->own[5]++;
	}
}

static void server_serve(struct server *u, bool missing)
{
	struct pollfd poll_fd = { .fd = u->fd, .events = POLLIN };
	struct uffd_msg msg;

	while (work_going(u->w)) {
		if (poll(&poll_fd, 1, 5) <= 0)
			continue;
		while (read(u->fd, &msg, sizeof(msg)) == sizeof(msg))
			if (msg.event == UFFD_EVENT_PAGEFAULT)
				server_answer(u, &msg, missing);
	}
}

/*
 * As in a migration that copies after the switch: the content goes elsewhere, and comes back page
 * by page as the guest asks for it. Or the pages stay, and are given back for writing one by one.
 */
static void server_run(struct work *w, bool missing)
{
	struct server u = { .w = w, .s = work_stretch(w, 0, w->private) };
	size_t bytes = u.s.pages * PAGE, page;
	struct uffdio_range range = server_range(&u);
	u8 *at = work_at(w, u.s.page);

	u.copy = tvm_map(bytes);
	server_open(&u);
	server_protect(&u, range.start, range.len, true);
	if (missing) {
		memcpy(u.copy, at, bytes);
		if (madvise(at, bytes, MADV_DONTNEED))
			tvm_die("MADV_DONTNEED: %m");
	}
	server_serve(&u, missing);
	for (page = 0; missing && page < u.s.pages; page++)
		server_put(&u, range.start + page * PAGE);
	server_protect(&u, range.start, range.len, false);
	server_ioctl(&u, UFFDIO_UNREGISTER, &range);
	close(u.fd);
	munmap(u.copy, bytes);
}

static void missing_run(struct work *w)
{
	server_run(w, true);
}

static u64 missing_count(struct work *w)
{
	return w->own[4];
}

static void wp_run(struct work *w)
{
	server_run(w, false);
}

static u64 wp_count(struct work *w)
{
	return w->own[5];
}

/* ---- Logging, slots ---- */

static void log_run(struct work *w)
{
	while (work_going(w)) {
		work_log_fetch(w);
		w->own[6]++;
		usleep(2000);
	}
}

static u64 log_count(struct work *w)
{
	return w->own[6];
}

/* The memory goes and comes, and the guest finds it as it was. */
static void replug_nothing(struct work *w)
{
	(void)w;
}

static void replug_after(struct work *w)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(w->slot); i++)
		if (tvm_slot(w->guest.vm, w->slot[i].id, 0, 0, 0, NULL))
			tvm_die("deleting a slot: %m");
	work_set_slots(w, 0);
	w->own[7] += i;
}

static u64 replug_count(struct work *w)
{
	return w->own[7];
}

const struct work_op work_ops[] = {
	{ .name = "swap", .unit = "pages out and in",
	  .run = swap_run, .count = swap_count },
	{ .name = "merge", .unit = "merged pages copied on a write",
	  .run = merge_run, .count = merge_count },
	{ .name = "migrate", .unit = "pages",
	  .run = migrate_run, .count = migrate_count },
	{ .name = "collapse", .unit = "large pages",
	  .run = collapse_run, .count = collapse_count },
	{ .name = "split", .unit = "large pages",
	  .run = split_run, .count = split_count },
	{ .name = "protect", .unit = "accesses refused",
	  .run = protect_run, .count = fault_count },
	{ .name = "move", .unit = "times there and back",
	  .run = move_run, .count = move_count },
	{ .name = "fork", .unit = "children",
	  .run = fork_run, .count = fork_count },
	{ .name = "discard", .unit = "pages",
	  .run = discard_run, .count = discard_count },
	{ .name = "userfaultfd-missing", .unit = "pages",
	  .run = missing_run, .count = missing_count },
	{ .name = "userfaultfd-wp", .unit = "pages",
	  .run = wp_run, .count = wp_count },
	{ .name = "dirty-log", .unit = "logs read",
	  .run = log_run, .count = log_count, .logs = true },
	{ .name = "replug", .unit = "slots",
	  .run = replug_nothing, .count = replug_count, .after = replug_after },
};

const unsigned int work_nr_ops = ARRAY_SIZE(work_ops);
