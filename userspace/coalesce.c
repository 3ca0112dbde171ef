// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coalesced port writes: the kernel collects what the guest sends to the serial port, and hands it
 * over with the next exit, which saves an exit for each byte that a guest prints while it boots.
 *
 * Must not delay what a guest waits for: once it works with the transmitter's interrupt, each write
 * has to exit again.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "runner.h"

/**
 * struct coalesce - the ring shared with the kernel
 * @lock: held by whoever takes entries; taken before the serial port's lock
 * @vm: the VM
 * @ring: entries from first to last are for us
 * @max: how many entries it has
 * @on: the kernel collects
 */
struct coalesce {
	pthread_mutex_t lock;
	struct vm *vm;
	struct kvm_coalesced_mmio_ring *ring;
	u32 max;
	atomic_bool on;
};

static bool register_zone(struct vm *vm, unsigned long request)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = COM1_BASE, .size = 1, .pio = 1 };

	return !ioctl(vm->fd, request, &zone);
}

void coalesce_setup(struct vm *vm)
{
	int page = vm_has(vm, KVM_CAP_COALESCED_MMIO);
	long page_size = sysconf(_SC_PAGESIZE);
	struct coalesce *c;

	if (page <= 0 || (page + 1) * page_size > vm->run_size ||
	    !vm_has(vm, KVM_CAP_COALESCED_PIO))
		return;
	c = calloc(1, sizeof(*c));
	if (!c)
		die("out of memory");
	pthread_mutex_init(&c->lock, NULL);
	c->vm = vm;
	c->ring = (void *)((u8 *)vm->vcpu[0].run + page * page_size);
	c->max = (u32)((size_t)page_size - sizeof(*c->ring)) / sizeof(c->ring->coalesced_mmio[0]);
	if (!register_zone(vm, KVM_REGISTER_COALESCED_MMIO)) {
		free(c);
		return;
	}
	atomic_store(&c->on, true);
	vm->coalesce = c;
}

static void take(struct coalesce *c)
{
	u32 first = c->ring->first;
	u32 last = __atomic_load_n(&c->ring->last, __ATOMIC_ACQUIRE);

	while (first != last && first < c->max) {
		const struct kvm_coalesced_mmio *e = &c->ring->coalesced_mmio[first];

		if (e->pio && e->phys_addr == COM1_BASE)
			serial_write(c->vm->serial, 0, e->data[0]);
		if (c->vm->port_count)
			c->vm->port_count[COM1_BASE].out++;
		first = (first + 1) % c->max;
	}
	/* The kernel may fill an entry again only after it has been read. */
	__atomic_store_n(&c->ring->first, first, __ATOMIC_RELEASE);
}

void coalesce_drain_slow(struct coalesce *c)
{
	if (c->ring->first == __atomic_load_n(&c->ring->last, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&c->lock);
	take(c);
	pthread_mutex_unlock(&c->lock);
}

void coalesce_end(struct vm *vm)
{
	struct coalesce *c = vm->coalesce;

	if (c && atomic_exchange(&c->on, false))
		register_zone(vm, KVM_UNREGISTER_COALESCED_MMIO);
}

bool coalesce_poll(struct vm *vm)
{
	if (!vm->coalesce || !atomic_load(&vm->coalesce->on))
		return false;
	coalesce_drain_slow(vm->coalesce);
	return true;
}
