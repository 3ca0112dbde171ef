// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_IRQFD: interrupts by eventfd, through MSI and pin routes, with and without resampling.
 * Must not test where an interrupt goes from the routing table on; ioapic.c and lapic.c do.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

#include "ktap.h"
#include "tvm.h"

#define LEVEL BIT(15)
#define MASKED BIT(16)
#define GSI_MSI 30
#define GSI_EDGE 10
#define GSI_LEVEL 11

FIXTURE(irqfd)
{
	struct tvm *vm;
	struct tcpu *cpu;
	int event, resample;
};

FIXTURE_SETUP(irqfd)
{
	self->vm = tvm_create(TVM_IRQCHIP);
	self->cpu = tvm_vcpu(self->vm, 0);
	self->event = eventfd(0, EFD_NONBLOCK);
	self->resample = eventfd(0, EFD_NONBLOCK);
	if (!tvm_cap(self->vm, KVM_CAP_IRQFD) || !tvm_cap(self->vm, KVM_CAP_IRQFD_RESAMPLE))
		SKIP(return, "the device offers no irqfd");
	tcpu_start_lapic(self->cpu);
	tcpu_idle(self->cpu, true);
}

FIXTURE_TEARDOWN(irqfd)
{
	close(self->event);
	close(self->resample);
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

static int irqfd(struct tvm *vm, int fd, u32 gsi, u32 flags)
{
	struct kvm_irqfd args = { .fd = fd, .gsi = gsi, .flags = flags };

	return ioctl(vm->fd, KVM_IRQFD, &args);
}

static int assign_resample(struct tvm *vm, int fd, u32 gsi, int resample)
{
	struct kvm_irqfd args = {
		.fd = fd, .gsi = gsi, .flags = KVM_IRQFD_FLAG_RESAMPLE, .resamplefd = resample,
	};

	return ioctl(vm->fd, KVM_IRQFD, &args);
}

static void signal_event(int fd)
{
	u64 one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		tvm_die("write to eventfd: %m");
}

/* What the eventfd counted since it was read last. */
static u64 count(int fd)
{
	u64 n;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* The same, of an eventfd that is about to be signalled: not by the vCPU's own thread. */
static u64 count_soon(int fd)
{
	struct pollfd event = { .fd = fd, .events = POLLIN };

	poll(&event, 1, 1000);
	return count(fd);
}

/* The device may take its time to inject. */
static int wait_vector(struct tcpu *cpu)
{
	int i, vector = WAIT_NOTHING;

	for (i = 0; i < 200 && vector == WAIT_NOTHING; i++)
		vector = tcpu_wait(cpu);
	return vector;
}

/* Nothing comes, now or in a while. */
static int wait_nothing(struct tcpu *cpu)
{
	int i, vector = WAIT_NOTHING;

	for (i = 0; i < 20 && vector == WAIT_NOTHING; i++)
		vector = tcpu_wait(cpu);
	return vector;
}

static void route_pin(struct tcpu *cpu, unsigned int pin, u32 entry)
{
	tcpu_write32(cpu, GUEST_IOAPIC, 0x11 + 2 * pin);
	tcpu_write32(cpu, GUEST_IOAPIC + 0x10, 0);
	tcpu_write32(cpu, GUEST_IOAPIC, 0x10 + 2 * pin);
	tcpu_write32(cpu, GUEST_IOAPIC + 0x10, entry);
}

/* The IOAPIC's pins, and one message. */
static int set_routes(struct tvm *vm, u8 vector)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[25];
	} table = { .head.nr = 25 };
	unsigned int i;

	for (i = 0; i < 24; i++) {
		table.entry[i].gsi = i;
		table.entry[i].type = KVM_IRQ_ROUTING_IRQCHIP;
		table.entry[i].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		table.entry[i].u.irqchip.pin = i;
	}
	table.entry[24].gsi = GSI_MSI;
	table.entry[24].type = KVM_IRQ_ROUTING_MSI;
	table.entry[24].u.msi.address_lo = 0xfee00000;
	table.entry[24].u.msi.data = vector;
	return ioctl(vm->fd, KVM_SET_GSI_ROUTING, &table);
}

TEST_F(irqfd, msi)
{
	ASSERT_OK(set_routes(self->vm, 0x51));
	ASSERT_OK(irqfd(self->vm, self->event, GSI_MSI, 0));
	EXPECT_EQ(WAIT_NOTHING, wait_nothing(self->cpu));
	signal_event(self->event);
	EXPECT_EQ(0x51, wait_vector(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, wait_nothing(self->cpu));
	/* The signal was the interrupt: nobody reads it a second time. */
	EXPECT_EQ(0, count(self->event));
	ASSERT_OK(set_routes(self->vm, 0x52));
	signal_event(self->event);
	EXPECT_EQ(0x52, wait_vector(self->cpu));
}

TEST_F(irqfd, edge)
{
	int i;

	route_pin(self->cpu, GSI_EDGE, 0x48);
	ASSERT_OK(irqfd(self->vm, self->event, GSI_EDGE, 0));
	for (i = 0; i < 3; i++) {
		signal_event(self->event);
		EXPECT_EQ(0x48, wait_vector(self->cpu));
	}
	EXPECT_EQ(WAIT_NOTHING, wait_nothing(self->cpu));
}

TEST_F(irqfd, signalled_before)
{
	ASSERT_OK(set_routes(self->vm, 0x51));
	signal_event(self->event);
	ASSERT_OK(irqfd(self->vm, self->event, GSI_MSI, 0));
	EXPECT_EQ(0x51, wait_vector(self->cpu));
}

TEST_F(irqfd, no_route)
{
	/* A GSI may get its route later, or never. */
	ASSERT_OK(irqfd(self->vm, self->event, 0x12345678, 0));
	signal_event(self->event);
	EXPECT_EQ(WAIT_NOTHING, wait_nothing(self->cpu));
	ASSERT_OK(irqfd(self->vm, self->resample, GSI_MSI, 0));
	signal_event(self->resample);
	EXPECT_EQ(WAIT_NOTHING, wait_nothing(self->cpu));
	ASSERT_OK(set_routes(self->vm, 0x53));
	signal_event(self->resample);
	EXPECT_EQ(0x53, wait_vector(self->cpu));
}

TEST_F(irqfd, deassign)
{
	ASSERT_OK(set_routes(self->vm, 0x51));
	ASSERT_OK(irqfd(self->vm, self->event, GSI_MSI, 0));
	/* Of another GSI, or an eventfd that is none of ours: nothing happens. */
	EXPECT_OK(irqfd(self->vm, self->event, GSI_MSI + 1, KVM_IRQFD_FLAG_DEASSIGN));
	EXPECT_OK(irqfd(self->vm, self->resample, GSI_MSI, KVM_IRQFD_FLAG_DEASSIGN));
	signal_event(self->event);
	EXPECT_EQ(0x51, wait_vector(self->cpu));
	EXPECT_OK(irqfd(self->vm, self->event, GSI_MSI, KVM_IRQFD_FLAG_DEASSIGN));
	signal_event(self->event);
	EXPECT_EQ(WAIT_NOTHING, wait_nothing(self->cpu));
	EXPECT_EQ(1, count(self->event));
	EXPECT_OK(irqfd(self->vm, self->event, GSI_MSI, 0));
	signal_event(self->event);
	EXPECT_EQ(0x51, wait_vector(self->cpu));
}

TEST_F(irqfd, closed)
{
	unsigned int i;
	int fd;

	ASSERT_OK(set_routes(self->vm, 0x51));
	/* A closed eventfd leaves by itself; its GSI is free for another. */
	for (i = 0; i < 50; i++) {
		fd = eventfd(0, EFD_NONBLOCK);
		ASSERT_OK(irqfd(self->vm, fd, GSI_MSI, 0));
		signal_event(fd);
		EXPECT_EQ(0x51, wait_vector(self->cpu));
		close(fd);
	}
	/* Closed and taken away at once. */
	for (i = 0; i < 20; i++) {
		fd = eventfd(0, EFD_NONBLOCK);
		ASSERT_OK(assign_resample(self->vm, fd, GSI_LEVEL, self->resample));
		close(fd);
		EXPECT_OK(irqfd(self->vm, self->event, GSI_LEVEL, KVM_IRQFD_FLAG_DEASSIGN));
	}
}

TEST_F(irqfd, refusals)
{
	struct tvm *bare = tvm_create(0);
	int null = open("/dev/null", O_RDWR);

	EXPECT_ERR(EINVAL, irqfd(bare, self->event, 5, 0));
	EXPECT_ERR(EINVAL, irqfd(self->vm, self->event, 5, 4));
	EXPECT_ERR(EBADF, irqfd(self->vm, 999, 5, 0));
	EXPECT_ERR(EBADF, irqfd(self->vm, 999, 5, KVM_IRQFD_FLAG_DEASSIGN));
	EXPECT_ERR(EINVAL, irqfd(self->vm, null, 5, 0));
	EXPECT_ERR(EINVAL, irqfd(self->vm, null, 5, KVM_IRQFD_FLAG_DEASSIGN));
	EXPECT_ERR(EINVAL, assign_resample(self->vm, self->event, 5, null));
	EXPECT_ERR(EBADF, assign_resample(self->vm, self->event, 5, 999));
	EXPECT_ERR(EFAULT, ioctl(self->vm->fd, KVM_IRQFD, 8));
	EXPECT_OK(irqfd(self->vm, self->event, 5, 0));
	EXPECT_ERR(EBUSY, irqfd(self->vm, self->event, 5, 0));
	EXPECT_ERR(EBUSY, irqfd(self->vm, self->event, 6, 0));
	EXPECT_ERR(EBUSY, assign_resample(self->vm, self->event, 7, self->resample));
	EXPECT_OK(irqfd(self->vm, self->event, 5, KVM_IRQFD_FLAG_DEASSIGN));
	EXPECT_OK(irqfd(self->vm, self->event, 6, 0));
	close(null);
	tvm_destroy(bare);
}

TEST_F(irqfd, resampling)
{
	int second = eventfd(0, EFD_NONBLOCK), told = eventfd(0, EFD_NONBLOCK);

	route_pin(self->cpu, GSI_LEVEL, LEVEL | 0x49);
	ASSERT_OK(assign_resample(self->vm, self->event, GSI_LEVEL, self->resample));
	ASSERT_OK(assign_resample(self->vm, second, GSI_LEVEL, told));
	signal_event(self->event);
	EXPECT_EQ(0x49, wait_vector(self->cpu));
	EXPECT_EQ(0, count(self->event));
	/* The EOI lowered the line, and told everybody on it, once. */
	EXPECT_EQ(WAIT_NOTHING, wait_nothing(self->cpu));
	EXPECT_EQ(1, count_soon(self->resample));
	EXPECT_EQ(1, count_soon(told));
	signal_event(second);
	EXPECT_EQ(0x49, wait_vector(self->cpu));
	EXPECT_EQ(WAIT_NOTHING, wait_nothing(self->cpu));
	EXPECT_EQ(1, count_soon(self->resample));
	EXPECT_EQ(1, count_soon(told));

	/* Up when the last one goes: the line falls with it. */
	ASSERT_OK(irqfd(self->vm, self->event, GSI_LEVEL, KVM_IRQFD_FLAG_DEASSIGN));
	route_pin(self->cpu, GSI_LEVEL, MASKED | LEVEL | 0x49);
	signal_event(second);
	EXPECT_EQ(WAIT_NOTHING, wait_nothing(self->cpu));
	ASSERT_OK(irqfd(self->vm, second, GSI_LEVEL, KVM_IRQFD_FLAG_DEASSIGN));
	route_pin(self->cpu, GSI_LEVEL, LEVEL | 0x49);
	EXPECT_EQ(WAIT_NOTHING, wait_nothing(self->cpu));
	close(second);
	close(told);
}

TEST_F(irqfd, resample_at_unmask)
{
	if (!tvm_is_kvmlet())
		SKIP(return, "younger than some kernels' KVM");
	route_pin(self->cpu, GSI_LEVEL, MASKED | LEVEL | 0x49);
	ASSERT_OK(assign_resample(self->vm, self->event, GSI_LEVEL, self->resample));
	signal_event(self->event);
	EXPECT_EQ(WAIT_NOTHING, wait_nothing(self->cpu));
	/* The device has lowered its line meanwhile, who knows: it is asked instead. */
	route_pin(self->cpu, GSI_LEVEL, LEVEL | 0x49);
	EXPECT_EQ(WAIT_NOTHING, wait_nothing(self->cpu));
	EXPECT_EQ(1, count_soon(self->resample));
	signal_event(self->event);
	EXPECT_EQ(0x49, wait_vector(self->cpu));
}

struct load {
	int fd;
	unsigned int times;
};

static void *signal_many(void *arg)
{
	struct load *load = arg;
	unsigned int i;

	for (i = 0; i < load->times; i++)
		signal_event(load->fd);
	return NULL;
}

TEST_F(irqfd, routes_replaced_under_load)
{
	struct load load = { self->event, 3000 };
	unsigned int i, seen = 0;
	pthread_t thread;
	int vector;

	ASSERT_OK(set_routes(self->vm, 0x51));
	ASSERT_OK(irqfd(self->vm, self->event, GSI_MSI, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, signal_many, &load));
	for (i = 0; i < 60; i++) {
		ASSERT_OK(set_routes(self->vm, i & 1 ? 0x51 : 0x52));
		vector = tcpu_wait(self->cpu);
		if (vector == WAIT_NOTHING)
			continue;
		EXPECT_TRUE(vector == 0x51 || vector == 0x52);
		seen++;
	}
	pthread_join(thread, NULL);
	EXPECT_LT(0, seen);
	/* Whatever is left over of both, then it is quiet, and the last table holds. */
	for (i = 0; i < 4; i++)
		wait_nothing(self->cpu);
	ASSERT_OK(set_routes(self->vm, 0x53));
	signal_event(self->event);
	EXPECT_EQ(0x53, wait_vector(self->cpu));
}

TEST_HARNESS_MAIN
