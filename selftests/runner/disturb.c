// SPDX-License-Identifier: GPL-2.0-only
/*
 * In the host: migrates and stops the threads of a process at random, until the process ends.
 *
 * It must not touch anything but that process, and leave no thread of it stopped.
 *
 * usage: disturb PID SEED; prints what it has done
 */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/types.h>

#define MAX_THREADS	256
#define MAX_PAUSE	60000		/* us */
#define MAX_GAP		8000		/* us between two disturbances */

static __u64 state;
static unsigned long migrated, stopped, stopped_all;

static __u32 random_below(__u32 n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (__u32)(state >> 33) % n;
}

static int threads_of(pid_t pid, pid_t *tid)
{
	char path[64];
	struct dirent *e;
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while (n < MAX_THREADS && (e = readdir(dir))) {
		if (atoi(e->d_name))
			tid[n++] = atoi(e->d_name);
	}
	closedir(dir);
	return n;
}

static void migrate(pid_t tid, int cpus)
{
	int cpu = (int)random_below((__u32)cpus + 1);
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < cpus; i++) {
		if (i == cpu || cpu == cpus)
			CPU_SET(i, &set);
	}
	if (!sched_setaffinity(tid, sizeof(set), &set))
		migrated++;
}

/* One thread alone, which a signal cannot do: as a debugger would. */
static void stop_one(pid_t tid)
{
	int status;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
		return;
	if (!ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) && waitpid(tid, &status, __WALL) == tid &&
	    WIFSTOPPED(status)) {
		usleep(1 + random_below(MAX_PAUSE));
		ptrace(PTRACE_DETACH, tid, NULL, NULL);
		stopped++;
	}
}

static void stop_all(pid_t pid)
{
	if (kill(pid, SIGSTOP))
		return;
	usleep(1 + random_below(MAX_PAUSE));
	kill(pid, SIGCONT);
	stopped_all++;
}

/* A zombie has ended too. */
static bool alive(pid_t pid)
{
	char path[64], line[256], *paren;
	bool result = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (fgets(line, sizeof(line), f)) {
		paren = strrchr(line, ')');
		result = paren && paren[1] && paren[2] != 'Z' && paren[2] != 'X';
	}
	fclose(f);
	return result;
}

int main(int argc, char **argv)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN), n;
	pid_t tid[MAX_THREADS], pid;

	if (argc != 3)
		return 2;
	pid = atoi(argv[1]);
	state = strtoull(argv[2], NULL, 0);
	while (alive(pid)) {
		usleep(1 + random_below(MAX_GAP));
		n = threads_of(pid, tid);
		if (!n)
			continue;
		switch (random_below(16)) {
		case 0:
			stop_all(pid);
			break;
		case 1 ... 5:
			stop_one(tid[random_below((__u32)n)]);
			break;
		default:
			migrate(tid[random_below((__u32)n)], cpus);
		}
	}
	printf("disturb: %lu migrations, %lu threads stopped, %lu times all of them\n", migrated,
	       stopped, stopped_all);
	return migrated && stopped ? 0 : 1;
}
