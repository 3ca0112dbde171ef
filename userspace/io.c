// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds the device behind a port or an address, and splits accesses as a bus does.
 *
 * Must not know any device.
 */
#include <string.h>

#include "runner.h"

#define MMIO_REPORTS	16	/* lines about stray accesses before silence */

void io_register(struct io_bus *bus, const struct io_region *region)
{
	unsigned int at = bus->nr;

	if (bus->nr == IO_BUS_MAX)
		die("too many devices");
	while (at && bus->region[at - 1].base > region->base) {
		bus->region[at] = bus->region[at - 1];
		at--;
	}
	bus->region[at] = *region;
	bus->nr++;
	for (at = 1; at < bus->nr; at++) {
		if (bus->region[at - 1].base + bus->region[at - 1].len > bus->region[at].base)
			die("devices '%s' and '%s' overlap", bus->region[at - 1].name,
			    bus->region[at].name);
	}
}

struct io_region *io_find(struct io_bus *bus, u64 addr)
{
	unsigned int low = 0, high = bus->nr;

	while (low < high) {
		unsigned int mid = (low + high) / 2;
		struct io_region *r = &bus->region[mid];

		if (addr < r->base)
			high = mid;
		else if (addr - r->base >= r->len)
			low = mid + 1;
		else
			return r;
	}
	return NULL;
}

static u32 load(const u8 *data, unsigned int size)
{
	u32 val = 0;

	memcpy(&val, data, size);
	return val;
}

/* One access of 1 to 4 bytes. Returns false when no device took any of it. */
static bool bus_access(struct io_bus *bus, u64 addr, u8 *data, unsigned int size, bool write)
{
	struct io_region *r = io_find(bus, addr);
	bool taken = false;
	u32 val;

	if (r && (r->wide || size == 1)) {
		if (write) {
			r->write(r->dev, (u32)(addr - r->base), size, load(data, size));
		} else {
			val = r->read(r->dev, (u32)(addr - r->base), size);
			memcpy(data, &val, size);
		}
		return true;
	}
	if (size == 1) {
		if (!write)
			*data = 0xff;
		return false;
	}
	/* A byte-wide device sees a wider access as single bytes at successive addresses. */
	for (unsigned int i = 0; i < size; i++)
		taken |= bus_access(bus, addr + i, data + i, 1, write);
	return taken;
}

static void count_port(struct vm *vm, u16 port, u32 count, bool write, bool taken)
{
	struct port_count *c = &vm->port_count[port];

	/* Several vCPUs may lose a count to each other; it is for reading by people. */
	if (write)
		c->out += count;
	else
		c->in += count;
	if (!taken)
		c->dropped += count;
}

void io_port_exit(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	bool write = run->io.direction == KVM_EXIT_IO_OUT;
	u8 *data = (u8 *)run + run->io.data_offset;
	bool taken = true;

	for (u32 i = 0; i < run->io.count; i++, data += run->io.size)
		taken &= bus_access(&v->vm->ports, run->io.port, data, run->io.size, write);
	if (v->vm->port_count)
		count_port(v->vm, run->io.port, run->io.count, write, taken);
}

/*
 * Nothing is mapped outside RAM but the kernel's interrupt controllers. A PC answers such reads
 * with all ones, and guests probe; yet it is more often a bug, so say it, though not for ever.
 */
void io_mmio_exit(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	unsigned int done = 0, seen;
	bool taken = true;

	for (; done < run->mmio.len; done += 4) {
		unsigned int size = run->mmio.len - done < 4 ? run->mmio.len - done : 4;

		taken &= bus_access(&v->vm->mmio, run->mmio.phys_addr + done,
				    run->mmio.data + done, size, run->mmio.is_write);
	}
	if (taken)
		return;
	seen = atomic_fetch_add(&v->vm->mmio_dropped, 1);
	if (seen >= MMIO_REPORTS)
		return;
	say("no memory and no device at 0x%llx: %u-byte %s%s", run->mmio.phys_addr, run->mmio.len,
	    run->mmio.is_write ? "write dropped" : "read answered with all ones",
	    seen == MMIO_REPORTS - 1 ? "; no more of these will be reported" : "");
}
