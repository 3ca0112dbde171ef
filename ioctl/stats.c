// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GET_STATS_FD: counters of a VM or a vCPU, with their own description.
 * This file must not count anything itself.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "ioctl.h"

#define STATS_NAME_SIZE	48

/**
 * struct stat_row - one counter
 * @name: KVM's name where KVM has it
 * @flags: KVM_STATS_TYPE_*, KVM_STATS_UNIT_*, KVM_STATS_BASE_*
 * @offset: of its u64 in struct vm or struct vcpu
 */
struct stat_row {
	const char *name;
	u32 flags;
	u32 offset;
};

#define COUNTER	(KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10)
#define GAUGE	(KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10)

#define VCPU_COUNTER(name, field)	{ name, COUNTER, offsetof(struct vcpu, stat.field) }
#define VM_PAGES(name, level)	{ name, GAUGE, offsetof(struct vm, mmu.mapped[(level) - 1]) }

static const struct stat_row vcpu_stats[] = {
	VCPU_COUNTER("exits", exits),
	VCPU_COUNTER("fast_exits", fast_exits),
	VCPU_COUNTER("io_exits", io_exits),
	VCPU_COUNTER("mmio_exits", mmio_exits),
	VCPU_COUNTER("halt_exits", halt_exits),
	VCPU_COUNTER("irq_exits", irq_exits),
	VCPU_COUNTER("signal_exits", signal_exits),
	VCPU_COUNTER("request_irq_exits", request_irq_exits),
	VCPU_COUNTER("pf_fixed", pf_fixed),
	VCPU_COUNTER("tlb_flush", tlb_flush),
	VCPU_COUNTER("irq_injections", irq_injections),
	VCPU_COUNTER("nmi_injections", nmi_injections),
};

/* Of each size, how many the second level maps now, and how many are small to be executed. */
static const struct stat_row vm_stats[] = {
	VM_PAGES("pages_4k", 1),
	VM_PAGES("pages_2m", 2),
	VM_PAGES("pages_1g", 3),
	{ "nx_lpage_splits", GAUGE, offsetof(struct vm, mmu.nx_splits) },
};

static_assert(sizeof(((struct vm *)NULL)->mmu.mapped[0]) == sizeof(u64));

/* What a file of counters is about. */
struct stats_file {
	struct vm *vm;			/* held */
	const void *object;		/* the VM or one of its vCPUs */
	const struct stat_row *rows;
	unsigned int nr;
	char id[STATS_NAME_SIZE];
};

/*
 * The layout: header, id, descriptions, values. User space's struct kvm_stats_desc ends in a name
 * of open length, which some kernels give one of their own.
 */
struct stats_desc {
	u32 flags;
	s16 exponent;
	u16 size;
	u32 offset;
	u32 bucket_size;
	char name[STATS_NAME_SIZE];
};

struct stats_image {
	struct kvm_stats_header header;
	char id[STATS_NAME_SIZE];
	struct stats_desc desc[];
};

static_assert(offsetof(struct stats_desc, name) == offsetof(struct kvm_stats_desc, name));

static size_t image_size(const struct stats_file *stats)
{
	return sizeof(struct stats_image) + stats->nr * (sizeof(struct stats_desc) + sizeof(u64));
}

static void image_fill(const struct stats_file *stats, struct stats_image *image)
{
	u64 *values = (u64 *)&image->desc[stats->nr];
	unsigned int i;

	image->header = (struct kvm_stats_header) {
		.name_size = STATS_NAME_SIZE,
		.num_desc = stats->nr,
		.id_offset = offsetof(struct stats_image, id),
		.desc_offset = offsetof(struct stats_image, desc),
		.data_offset = (void *)values - (void *)image,
	};
	memcpy(image->id, stats->id, sizeof(image->id));
	for (i = 0; i < stats->nr; i++) {
		const struct stat_row *row = &stats->rows[i];

		image->desc[i].flags = row->flags;
		image->desc[i].size = 1;
		image->desc[i].offset = i * sizeof(u64);
		strscpy(image->desc[i].name, row->name, STATS_NAME_SIZE);
		values[i] = READ_ONCE(*(const u64 *)(stats->object + row->offset));
	}
}

/* Counters go on while they are read; each is whole. */
static ssize_t stats_read(struct file *file, char __user *user, size_t size, loff_t *pos)
{
	const struct stats_file *stats = file->private_data;
	size_t whole = image_size(stats);
	struct stats_image *image;
	ssize_t ret;

	image = kzalloc(whole, GFP_KERNEL);
	if (!image)
		return -ENOMEM;
	image_fill(stats, image);
	ret = simple_read_from_buffer(user, size, pos, image, whole);
	kfree(image);
	return ret;
}

static int stats_release(struct inode *inode, struct file *file)
{
	struct stats_file *stats = file->private_data;

	vm_put(stats->vm);
	kfree(stats);
	return 0;
}

static const struct file_operations stats_fops = {
	.owner		= THIS_MODULE,
	.read		= stats_read,
	.release	= stats_release,
	.llseek		= noop_llseek,
};

static long stats_install(const char *name, struct stats_file *stats)
{
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = anon_inode_getfile(name, &stats_fops, stats, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	file->f_mode |= FMODE_PREAD;
	vm_get(stats->vm);
	fd_install(fd, file);
	return fd;
}

/* KVM_GET_STATS_FD on a VM */
long vm_ioctl_get_stats_fd(struct vm *vm, unsigned long arg)
{
	struct stats_file *stats = kzalloc(sizeof(*stats), GFP_KERNEL_ACCOUNT);
	long fd;

	if (!stats)
		return -ENOMEM;
	stats->vm = vm;
	stats->object = vm;
	stats->rows = vm_stats;
	stats->nr = ARRAY_SIZE(vm_stats);
	snprintf(stats->id, sizeof(stats->id), "kvm-%d", vm->creator);
	fd = stats_install("kvm-vm-stats", stats);
	if (fd < 0)
		kfree(stats);
	return fd;
}

/* ... and on a vCPU, which lives as long as its VM. */
long vcpu_ioctl_get_stats_fd(struct vcpu *vcpu, unsigned long arg)
{
	struct stats_file *stats = kzalloc(sizeof(*stats), GFP_KERNEL_ACCOUNT);
	char name[32];
	long fd;

	if (!stats)
		return -ENOMEM;
	stats->vm = vcpu->vm;
	stats->object = vcpu;
	stats->rows = vcpu_stats;
	stats->nr = ARRAY_SIZE(vcpu_stats);
	snprintf(stats->id, sizeof(stats->id), "kvm-%d/vcpu-%u", vcpu->vm->creator, vcpu->id);
	snprintf(name, sizeof(name), "kvm-vcpu-stats:%u", vcpu->id);
	fd = stats_install(name, stats);
	if (fd < 0)
		kfree(stats);
	return fd;
}
