// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs in the guest: threads that keep writing memory in a known order, so that what every word
 * of it has to hold follows from the number of the last step alone.
 * Must not keep a copy of what it wrote; a copy could be stale together with the memory.
 *
 * usage: dirty MIB, that is of memory for each processor, a power of two. Ends at the line "end".
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/types.h>

#define PAGE_WORDS	(4096 / sizeof(__u64))
#define MAX_WRITERS	8
/* Odd, so that a step's product with it meets every page once in a round. */
#define STRIDE		1597
#define BURST		64
#define PAUSE_US	5000

struct writer {
	pthread_t thread;
	unsigned int nr;
	__u64 (*pages)[PAGE_WORDS];
	__u64 nr_pages;
	__u64 step;
	__u64 wrong;
	__u64 sum, should;
};

static bool stop;

static __u64 mix(__u64 x)
{
	x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15;
	return x ^ (x >> 29);
}

/* What step @step writes to the first word; the others count on from it. */
static __u64 first_word(const struct writer *writer, __u64 step)
{
	return mix(step * MAX_WRITERS + writer->nr);
}

static void check_page(struct writer *writer, __u64 step)
{
	__u64 page = step * STRIDE % writer->nr_pages;
	__u64 word = first_word(writer, step);
	unsigned int i;

	for (i = 0; i < PAGE_WORDS; i++) {
		__u64 is = __atomic_load_n(&writer->pages[page][i], __ATOMIC_RELAXED);

		writer->sum += is;
		writer->should += word + i;
		if (is == word + i)
			continue;
		if (!writer->wrong++)
			printf("VMM: FAILED, page %llu word %u: 0x%llx, not step %llu's 0x%llx\n",
			       page, i, is, step, word + i);
	}
}

static void write_page(struct writer *writer, __u64 step)
{
	__u64 page = step * STRIDE % writer->nr_pages;
	__u64 word = first_word(writer, step);
	unsigned int i;

	for (i = 0; i < PAGE_WORDS; i++)
		__atomic_store_n(&writer->pages[page][i], word + i, __ATOMIC_RELAXED);
}

static void *writer_main(void *data)
{
	struct writer *writer = data;
	__u64 step;

	for (step = 0; step < writer->nr_pages; step++)
		write_page(writer, step);
	writer->step = step;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		check_page(writer, step - writer->nr_pages);
		write_page(writer, step);
		__atomic_store_n(&writer->step, ++step, __ATOMIC_RELAXED);
		if (step % BURST == 0)
			usleep(PAUSE_US);
	}
	writer->sum = 0;
	writer->should = 0;
	for (step -= writer->nr_pages; step < writer->step; step++)
		check_page(writer, step);
	return NULL;
}

static void *wait_for_end(void *data)
{
	char line[80];

	(void)data;
	while (fgets(line, sizeof(line), stdin) && strcmp(line, "end\n"))
		;
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	return NULL;
}

static void start(struct writer *writer, unsigned int nr, size_t size)
{
	writer->nr = nr;
	writer->nr_pages = size / sizeof(*writer->pages);
	writer->pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);
	if (writer->pages == MAP_FAILED ||
	    pthread_create(&writer->thread, NULL, writer_main, writer)) {
		printf("VMM: no memory or thread for writer %u: FAILED\n", nr);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 0) : 16) << 20;
	unsigned int n = sysconf(_SC_NPROCESSORS_ONLN), tick = 0, i;
	struct writer writers[MAX_WRITERS] = {};
	__u64 wrong = 0, step;
	pthread_t reader;

	if (n > MAX_WRITERS)
		n = MAX_WRITERS;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < n; i++)
		start(&writers[i], i, size);
	pthread_create(&reader, NULL, wait_for_end, NULL);
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		usleep(500000);
		step = __atomic_load_n(&writers[0].step, __ATOMIC_RELAXED);
		printf("VMM: tick %u: step %llu\n", ++tick, step);
	}
	for (i = 0; i < n; i++) {
		pthread_join(writers[i].thread, NULL);
		wrong += writers[i].wrong + (writers[i].sum != writers[i].should);
		printf("VMM: writer %u: %llu pages after step %llu: checksum %llx, computed %llx\n",
		       i, writers[i].nr_pages, writers[i].step, writers[i].sum,
		       writers[i].should);
	}
	printf("VMM: memory: %s\n", wrong ? "FAILED" : "not one wrong word");
	return wrong != 0;
}
