// SPDX-License-Identifier: GPL-2.0-only
/*
 * The CPUID a guest sees: what the device supports, adjusted to this machine.
 *
 * Must not announce a feature that neither the device nor the runner provides.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cpuid.h>

#include "runner.h"

#define MAX_ENTRIES	1024

#define F1C_TSC_DEADLINE	BIT(24)
#define F1C_HYPERVISOR		BIT(31)
#define F1D_HTT			BIT(28)

#define TOPOLOGY_SMT	1u
#define TOPOLOGY_CORE	2u

static struct kvm_cpuid2 *get_supported(struct vm *vm)
{
	/* The device says E2BIG until there is room for all. */
	for (u32 n = 64; n <= MAX_ENTRIES; n *= 2) {
		struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + n * sizeof(c->entries[0]));

		if (!c)
			die("out of memory");
		c->nent = n;
		if (!ioctl(vm->dev_fd, KVM_GET_SUPPORTED_CPUID, c))
			return c;
		if (errno != E2BIG)
			break;
		free(c);
	}
	die_ioctl(vm->dev_fd, "KVM_GET_SUPPORTED_CPUID");
}

/* Bits needed to number @n things. */
static u32 id_bits(u32 n)
{
	u32 bits = 0;

	while (1u << bits < n)
		bits++;
	return bits;
}

static void adjust_features(struct vcpu *v, struct kvm_cpuid_entry2 *e)
{
	u32 nr = v->vm->nr_vcpus;

	u32 ids = 1u << id_bits(nr);

	/* APIC id, and ids reserved for the package, in the upper half: a byte each. */
	e->ebx = (e->ebx & 0xffff) | v->index << 24 | (ids > 0xff ? 0xff : ids) << 16;
	e->ecx |= F1C_HYPERVISOR;
	/* Older kernels offer the deadline timer only through the capability. */
	if (vm_has(v->vm, KVM_CAP_TSC_DEADLINE_TIMER))
		e->ecx |= F1C_TSC_DEADLINE;
	e->edx = nr > 1 ? e->edx | F1D_HTT : e->edx & ~F1D_HTT;
}

/* Caches: every core has its own but for the last level, which the package shares. */
static void adjust_caches(struct vcpu *v, struct kvm_cpuid_entry2 *e)
{
	u32 type = e->eax & 0x1f, level = (e->eax >> 5) & 7;
	u32 ids = (1u << id_bits(v->vm->nr_vcpus)) - 1;

	if (!type)
		return;
	/* 6 bits for cores, 12 for ids; leaf 0xB tells what they cannot. */
	e->eax = (e->eax & 0x3fff) | (ids > 0x3f ? 0x3f : ids) << 26 |
		 (level >= 3 ? ids << 14 : 0);
}

/* One package of single-threaded cores. */
static void adjust_topology(struct vcpu *v, struct kvm_cpuid_entry2 *e)
{
	e->eax = 0;
	e->ebx = 0;
	e->ecx = e->index;
	e->edx = v->index;
	if (e->index == 0) {
		e->ebx = 1;
		e->ecx |= TOPOLOGY_SMT << 8;
	} else if (e->index == 1) {
		e->eax = id_bits(v->vm->nr_vcpus);
		e->ebx = v->vm->nr_vcpus;
		e->ecx |= TOPOLOGY_CORE << 8;
	}
}

/* No performance counters: guests probe them at length, and build an NMI watchdog on them. */
static void clear_leaf(struct vcpu *v, struct kvm_cpuid_entry2 *e)
{
	(void)v;
	e->eax = 0;
	e->ebx = 0;
	e->ecx = 0;
	e->edx = 0;
}

/* The brand string is the host processor's: a device leaves these leaves empty. */
static void copy_host_leaf(struct vcpu *v, struct kvm_cpuid_entry2 *e)
{
	(void)v;
	__cpuid(e->function, e->eax, e->ebx, e->ecx, e->edx);
}

static const struct {
	u32 leaf;
	void (*adjust)(struct vcpu *v, struct kvm_cpuid_entry2 *e);
} adjustments[] = {
	{ 0x01, adjust_features },
	{ 0x04, adjust_caches },
	{ 0x0a, clear_leaf },
	{ 0x0b, adjust_topology },
	{ 0x1f, adjust_topology },
	{ 0x80000002, copy_host_leaf },
	{ 0x80000003, copy_host_leaf },
	{ 0x80000004, copy_host_leaf },
};

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *c, u32 leaf, u32 index)
{
	for (u32 i = 0; i < c->nent; i++) {
		if (c->entries[i].function == leaf && c->entries[i].index == index)
			return &c->entries[i];
	}
	return NULL;
}

/* Room for what the functions below add. */
#define ADDED_ENTRIES	4

/* The second level of a topology leaf may be missing from what the device lists. */
static void add_core_level(struct kvm_cpuid2 *c, u32 leaf)
{
	struct kvm_cpuid_entry2 *first = find(c, leaf, 0);

	if (!first || find(c, leaf, 1))
		return;
	first->flags |= KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	c->entries[c->nent] = *first;
	c->entries[c->nent].index = 1;
	c->nent++;
}

static void set_leaf(struct kvm_cpuid2 *c, u32 leaf, u32 eax, u32 ebx, u32 ecx)
{
	struct kvm_cpuid_entry2 *e = find(c, leaf, 0);

	if (!e)
		e = &c->entries[c->nent++];
	*e = (struct kvm_cpuid_entry2) { .function = leaf, .eax = eax, .ebx = ebx, .ecx = ecx };
}

/*
 * Tell the TSC's frequency, which a guest without a paravirtual clock would measure for a tenth of
 * a second. Leaf 0x15 also gives the local APIC timer's, so only with the deadline timer, where
 * nobody counts that.
 */
static void add_frequency(struct vcpu *v, struct kvm_cpuid2 *c)
{
	struct kvm_cpuid_entry2 *max = find(c, 0, 0), *features = find(c, 1, 0);
	int khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);
	u32 ratio = 1;

	if (khz <= 0 || !max || !features || !(features->ecx & F1C_TSC_DEADLINE))
		return;
	/* Crystal clock in Hz, times a whole number: keep the product of both exact. */
	while (khz * 1000ull / ratio > 0xffffffff || khz % (int)ratio)
		ratio++;
	if (max->eax < 0x16)
		max->eax = 0x16;
	set_leaf(c, 0x15, 1, ratio, (u32)(khz * 1000ull / ratio));
	set_leaf(c, 0x16, (u32)khz / 1000, (u32)khz / 1000, 100);
}

void cpuid_setup(struct vcpu *v)
{
	struct kvm_cpuid2 *host = get_supported(v->vm);
	struct kvm_cpuid2 *c;

	c = realloc(host, sizeof(*c) + (host->nent + ADDED_ENTRIES) * sizeof(c->entries[0]));
	if (!c)
		die("out of memory");
	add_core_level(c, 0x0b);
	add_core_level(c, 0x1f);
	for (u32 i = 0; i < c->nent; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(adjustments); k++) {
			if (c->entries[i].function == adjustments[k].leaf)
				adjustments[k].adjust(v, &c->entries[i]);
		}
	}
	add_frequency(v, c);
	if (ioctl(v->fd, KVM_SET_CPUID2, c))
		die_ioctl(v->fd, "KVM_SET_CPUID2 for vCPU %u", v->index);
	free(c);
}
