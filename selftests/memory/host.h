/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's memory management as these tests need it: swap, KSM, counters.
 * Must not know guests.
 */
#ifndef SELFTESTS_MEMORY_HOST_H
#define SELFTESTS_MEMORY_HOST_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/swap.h>

#include "tvm.h"

#define LARGE	(2UL << 20)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static inline int host_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/*
 * The number behind @name in a file of lines "name number"; alone in the file when @name is NULL.
 */
static inline u64 host_number(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	char word[128];
	u64 value = 0;

	if (!file)
		return 0;
	if (!name) {
		if (fscanf(file, "%llu", &value) != 1)
			value = 0;
	} else {
		while (fscanf(file, "%127s %llu", word, &value) == 2 && strcmp(word, name))
			value = 0;
	}
	fclose(file);
	return value;
}

static inline u64 host_vmstat(const char *name)
{
	return host_number("/proc/vmstat", name);
}

static inline u64 host_ksm(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", name);
	return host_number(path, NULL);
}

/* mkswap's header: version 1, size, no bad pages, the signature at the end of the page. */
static inline void host_swap_on(const char *device, u64 bytes)
{
	u32 header[1024] = { [256] = 1, [257] = bytes / PAGE - 1 };
	int fd = open(device, O_WRONLY | O_CLOEXEC);

	memcpy((u8 *)header + PAGE - 10, "SWAPSPACE2", 10);
	if (fd < 0 || write(fd, header, PAGE) != PAGE || fsync(fd))
		tvm_die("%s: %m", device);
	close(fd);
	if (swapon(device, 0) && errno != EBUSY)
		tvm_die("swapon %s: %m", device);
}

/* zram is a module of its own, which whoever starts the test loads. */
static inline void host_init(void)
{
	char text[32];
	u64 bytes = 512UL << 20;

	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	snprintf(text, sizeof(text), "%llu", bytes);
	if (host_number("/sys/block/zram0/disksize", NULL) == 0) {
		if (host_write("/sys/block/zram0/disksize", text))
			tvm_die("no zram0 to swap to");
		host_swap_on("/dev/zram0", bytes);
	}
	host_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	host_write("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "advise");
}

static inline int host_ksm_run(void)
{
	host_write("/sys/kernel/mm/ksm/pages_to_scan", "2000");
	host_write("/sys/kernel/mm/ksm/sleep_millisecs", "20");
	return host_write("/sys/kernel/mm/ksm/run", "1");
}

static inline void host_ksm_start(void *mem, size_t bytes)
{
	if (madvise(mem, bytes, MADV_MERGEABLE))
		tvm_die("MADV_MERGEABLE: %m");
	if (host_ksm_run())
		tvm_die("no KSM");
}

static inline void host_ksm_stop(void)
{
	host_write("/sys/kernel/mm/ksm/run", "0");
}

#endif
