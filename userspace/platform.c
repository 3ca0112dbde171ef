// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ports of a PC that hold next to nothing: reset, A20, PCI's absence, POST.
 *
 * Must not hold a device with state worth a file of its own.
 */
#include "runner.h"

/* Port 0x92: bit 0 rising resets, bit 1 is the A20 gate, which is always open here. */
#define FAST_RESET	0x01
#define FAST_A20	0x02

/* Port 0xcf9: bit 2 rising resets. */
#define RC_RESET	0x04

static u32 port92_read(void *dev, u32 off, unsigned int size)
{
	(void)dev;
	(void)off;
	(void)size;
	return FAST_A20;
}

static void port92_write(void *dev, u32 off, unsigned int size, u32 val)
{
	(void)off;
	(void)size;
	if (val & FAST_RESET)
		vm_stop(dev, STOP_RESET, 0);
}

/*
 * PCI's configuration ports, behind which there is no PCI: all ones tell a guest so. The byte at
 * 0xcf9 is the reset control register all the same, as in Intel's chipsets.
 */
static u32 pci_read(void *dev, u32 off, unsigned int size)
{
	(void)dev;
	(void)off;
	(void)size;
	return ~0u;
}

static void pci_write(void *dev, u32 off, unsigned int size, u32 val)
{
	if (off == 1 && size == 1 && val & RC_RESET)
		vm_stop(dev, STOP_RESET, 0);
}

/* Port 0x80 shows progress codes, and old software writes it to wait a microsecond. */
static u32 post_read(void *dev, u32 off, unsigned int size)
{
	(void)dev;
	(void)off;
	(void)size;
	return 0xff;
}

static void post_write(void *dev, u32 off, unsigned int size, u32 val)
{
	(void)dev;
	(void)off;
	(void)size;
	(void)val;
}

static void debug_exit_write(void *dev, u32 off, unsigned int size, u32 val)
{
	(void)off;
	(void)size;
	vm_stop(dev, STOP_DEBUG_EXIT, (int)(val & 0xff));
}

void platform_create(struct vm *vm)
{
	const struct io_region regions[] = {
		{ .base = 0x80, .len = 1, .name = "POST",
		  .read = post_read, .write = post_write },
		{ .base = 0x92, .len = 1, .name = "system control",
		  .read = port92_read, .write = port92_write },
		{ .base = 0xcf8, .len = 8, .wide = true, .name = "PCI configuration",
		  .read = pci_read, .write = pci_write },
	};

	for (size_t i = 0; i < ARRAY_SIZE(regions); i++) {
		struct io_region r = regions[i];

		r.dev = vm;
		io_register(&vm->ports, &r);
	}
	if (vm->opt->debug_exit < 0)
		return;
	if (io_find(&vm->ports, (u64)vm->opt->debug_exit))
		die("--debug-exit: port 0x%x belongs to the %s", vm->opt->debug_exit,
		    io_find(&vm->ports, (u64)vm->opt->debug_exit)->name);
	io_register(&vm->ports, &(struct io_region) {
		.base = (u64)vm->opt->debug_exit, .len = 1, .wide = true, .name = "debug exit",
		.dev = vm, .read = pci_read, .write = debug_exit_write,
	});
}
