// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests live on when the host suspends: it leaves VMX operation, and vCPUs' threads are frozen.
 * Must not run where nobody expects the machine to stop: KVMLET_SUSPEND=yes says it may.
 *
 * The host stops as far as to take an image of itself for hibernation: processes frozen, devices
 * and all CPUs but one off, then the callbacks of suspend. The image is thrown away.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <linux/suspend_ioctls.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ktap.h"
#include "tvm.h"

/* Half a minute of the host's with two CPUs; a hang ends at the machine's own bound. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 600

#define TIMES		2
#define MAX_GUESTS	2
#define SNAPSHOT_MINOR	231
#define OTHER_DEVICE	"/dev/kvm"

/*
 * R9 is the guest's mark, in registers that the host switches in different ways; the TSC never goes
 * back. R8 counts the rounds. UD2 when something else is found: RSI tells what.
 */
PROGRAM(watch, 64,
	"movq %r9, %xmm7; mov %r9, %dr0; mov $0xc0000082, %ecx; xor %edx, %edx; mov %r9d, %eax; wrmsr;"
	"xor %ebx, %ebx;"
	"1: mov $1000, %ecx; 2: dec %ecx; jnz 2b;"
	"mov $1, %esi; movq %xmm7, %r10; cmp %r9, %r10; jne 9f;"
	"mov $2, %esi; mov %dr0, %r10; cmp %r9, %r10; jne 9f;"
	"mov $3, %esi; mov $0xc0000082, %ecx; rdmsr; cmp %r9d, %eax; jne 9f;"
	"mov $4, %esi; rdtsc; shl $32, %rdx; or %rdx, %rax; cmp %rbx, %rax; jb 9f; mov %rax, %rbx;"
	"inc %r8; out %al, $" GUEST_STR(PORT_TEST) "; jmp 1b; 9: ud2");

struct guest {
	struct tcpu *cpu;
	u64 rounds;
	int failed;
	pthread_t thread;
};

static struct guest guests[MAX_GUESTS];
static unsigned int nr_guests;
static bool stop;

static void *run(void *data)
{
	struct guest *g = data;
	int reason;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		reason = tcpu_run(g->cpu);
		/* What freezes a thread ends KVM_RUN as a signal does. */
		if (reason == -EINTR)
			continue;
		if (reason != KVM_EXIT_IO || !tcpu_is_out(g->cpu, PORT_TEST)) {
			g->failed = 1;
			tcpu_explain(g->cpu);
			break;
		}
		__atomic_add_fetch(&g->rounds, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void add_guest(const char *device)
{
	struct guest *g = &guests[nr_guests++];
	struct kvm_regs regs;

	tvm_use(device);
	g->cpu = tvm_vcpu(tvm_create(0), 0);
	tcpu_load(g->cpu, &watch);
	regs = tcpu_regs(g->cpu);
	regs.r8 = 0;
	regs.r9 = 0x1234500 + nr_guests;
	tcpu_set_regs(g->cpu, &regs);
	if (pthread_create(&g->thread, NULL, run, g))
		tvm_die("no thread");
}

/* Until each guest has got on, or has failed. */
static void wait_for_rounds(void)
{
	u64 from[MAX_GUESTS];
	unsigned int i;

	for (i = 0; i < nr_guests; i++)
		from[i] = __atomic_load_n(&guests[i].rounds, __ATOMIC_RELAXED);
	for (i = 0; i < nr_guests; i++)
		while (!guests[i].failed &&
		       __atomic_load_n(&guests[i].rounds, __ATOMIC_RELAXED) < from[i] + 20)
			usleep(1000);
}

static int open_snapshot(void)
{
	static const char *node = "/dev/snapshot";

	if (access(node, F_OK) && mknod(node, S_IFCHR | 0600, makedev(10, SNAPSHOT_MINOR)))
		return -1;
	return open(node, O_RDONLY);
}

/* As far as the image, and back. */
static int suspend(int fd)
{
	int in_suspend = 0, ret;

	if (ioctl(fd, SNAPSHOT_FREEZE))
		return -1;
	ret = ioctl(fd, SNAPSHOT_CREATE_IMAGE, &in_suspend);
	if (!ret && !in_suspend)
		ret = -1;
	ioctl(fd, SNAPSHOT_FREE);
	ioctl(fd, SNAPSHOT_UNFREEZE);
	return ret;
}

FIXTURE(suspend)
{
	int fd;
};

FIXTURE_SETUP(suspend)
{
	const char *may = getenv("KVMLET_SUSPEND");

	self->fd = -1;
	if (!may || strcmp(may, "yes"))
		SKIP(return, "it stops the machine for a while: KVMLET_SUSPEND=yes");
	self->fd = open_snapshot();
	if (self->fd < 0)
		SKIP(return, "the host does not hibernate");
}

FIXTURE_TEARDOWN(suspend)
{
	unsigned int i;

	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < nr_guests; i++) {
		pthread_join(guests[i].thread, NULL);
		EXPECT_EQ(0, guests[i].failed);
	}
	close(self->fd);
}

static void suspend_often(struct __test_metadata *_metadata, int fd)
{
	unsigned int i;

	for (i = 0; i < TIMES; i++) {
		wait_for_rounds();
		ASSERT_OK(suspend(fd));
	}
	wait_for_rounds();
}

TEST_F(suspend, a_guest_lives_on)
{
	add_guest(tvm_device());
	suspend_often(_metadata, self->fd);
}

/* The owner of VMX leaves it: ours must have left its VMCSs before. */
TEST_F(suspend, beside_a_guest_of_the_owner)
{
	const char *device = tvm_device();

	if (!strcmp(device, OTHER_DEVICE) || access(OTHER_DEVICE, F_OK))
		SKIP(return, "no second device");
	add_guest(OTHER_DEVICE);
	add_guest(device);
	suspend_often(_metadata, self->fd);
}

TEST_HARNESS_MAIN
