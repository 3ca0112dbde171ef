// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a run cost: time-stamp ticks, exits by reason, ports, the kernel's own counters.
 *
 * Must not cost anything while the guest runs without --stats.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "runner.h"

#define MAX_DESC_BYTES	(64 * 1024)

static void print_vcpu(const struct vcpu *v)
{
	fprintf(stderr, "vCPU %u: %llu ticks in KVM_RUN, %llu outside\n", v->index, v->ticks_in,
		v->ticks_out);
	for (u32 i = 0; i < NR_EXIT_REASONS; i++) {
		if (v->exits[i])
			fprintf(stderr, "  %-24s %10llu\n", exit_name(i), v->exits[i]);
	}
}

static void print_ports(const struct vm *vm)
{
	fprintf(stderr, "ports:                      reads     writes\n");
	for (u32 i = 0; i < 65536; i++) {
		const struct port_count *c = &vm->port_count[i];

		if (c->in || c->out)
			fprintf(stderr, "  0x%-4x              %10u %10u\n", i, c->in, c->out);
	}
}

static bool read_at(int fd, void *to, size_t len, u64 off)
{
	return pread(fd, to, len, (off_t)off) == (ssize_t)len;
}

/* Print the plain counters that are not zero; histograms and the like are for other tools. */
static void print_descriptor(int fd, FILE *out, const struct kvm_stats_header *h,
			     const struct kvm_stats_desc *d, const char *prefix)
{
	u64 val;

	if (strncmp(d->name, prefix, strlen(prefix)) || d->size != 1 ||
	    !read_at(fd, &val, sizeof(val), h->data_offset + (u64)d->offset))
		return;
	if (val)
		fprintf(out, "  %-32.*s %llu\n", (int)h->name_size, d->name, val);
}

void stats_print_fd(int fd, FILE *out, const char *prefix)
{
	struct kvm_stats_header h;
	size_t each, len;
	u8 *desc;

	if (!read_at(fd, &h, sizeof(h), 0) || h.name_size > 256)
		return;
	each = sizeof(struct kvm_stats_desc) + h.name_size;
	len = each * h.num_desc;
	if (len > MAX_DESC_BYTES)
		return;
	/* A zero after the last name, for strings that have none. */
	desc = calloc(1, len + 1);
	if (!desc)
		return;
	if (read_at(fd, desc, len, h.desc_offset)) {
		for (u32 i = 0; i < h.num_desc; i++)
			print_descriptor(fd, out, &h, (struct kvm_stats_desc *)(desc + i * each),
					 prefix);
	}
	free(desc);
}

static void print_vcpu_stats(int vcpu_fd)
{
	int fd = ioctl(vcpu_fd, KVM_GET_STATS_FD, 0);

	if (fd < 0)
		return;
	stats_print_fd(fd, stderr, "");
	close(fd);
}

void stats_print(struct vm *vm, u64 start)
{
	fprintf(stderr, "\nkvmlet: statistics\n");
	fprintf(stderr, "time-stamp ticks from start to end: %llu\n", stats_tsc() - start);
	for (unsigned int i = 0; i < vm->nr_vcpus; i++) {
		print_vcpu(&vm->vcpu[i]);
		print_vcpu_stats(vm->vcpu[i].fd);
	}
	if (vm->stats_fd >= 0) {
		fprintf(stderr, "VM:\n");
		stats_print_fd(vm->stats_fd, stderr, "");
	}
	print_ports(vm);
}

void stats_unhandled(struct vm *vm)
{
	for (u32 i = 0; i < 65536; i++) {
		const struct port_count *c = &vm->port_count[i];

		if (c->dropped)
			say("no device at port 0x%x: %u accesses", i, c->dropped);
	}
	if (atomic_load(&vm->mmio_dropped))
		say("no device at some addresses: %u accesses", atomic_load(&vm->mmio_dropped));
}
