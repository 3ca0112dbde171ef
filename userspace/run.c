// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kvmlet run: puts the machine together, lets it run, says how it ended.
 *
 * Must not hold anything that a device or a loader could hold.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runner.h"

/*
 * Start over in a new process image: every device, timer and page is then as at power-on. The
 * arguments are taken from the kernel, since getopt has put its own copy in another order.
 */
static void restart(void)
{
	static char args[64 * 1024];
	char *argv[1024];
	size_t n = 0, len = 0;
	FILE *f = fopen("/proc/self/cmdline", "re");

	if (f) {
		len = fread(args, 1, sizeof(args) - 1, f);
		fclose(f);
	}
	for (char *p = args; p < args + len && n + 1 < ARRAY_SIZE(argv); p += strlen(p) + 1)
		argv[n++] = p;
	argv[n] = NULL;
	terminal_restore();
	if (n && len < sizeof(args) - 1)
		execv("/proc/self/exe", argv);
	die_errno("cannot start the guest again");
}

static void create_machine(struct vm *vm)
{
	vm->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (vm->wake_fd < 0)
		die_errno("cannot create an eventfd");
	console_init(&vm->console);
	vm_create(vm);
	vm->serial = serial_create(vm);
	vm->rtc = rtc_create(vm);
	i8042_create(vm);
	virtio_create(vm);
	acpi_create(vm);
	platform_create(vm);
	loader_load(vm);
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		vcpu_create(vm, i);
	coalesce_setup(vm);
}

static const char * const stop_messages[] = {
	[STOP_RESET] = "the guest asked for a reset",
	[STOP_QUIT] = "ended from the keyboard",
	[STOP_SIGNAL] = "ended by a signal",
	[STOP_TIMEOUT] = "ended by --timeout",
};

int cmd_run(const struct options *opt, u64 start)
{
	/* Static: the console's rings alone are larger than a thread's guard page. */
	static struct vm vm;
	size_t stop;

	vm.opt = opt;
	create_machine(&vm);
	terminal_guard();
	ioloop_block_signals();
	terminal_raw();
	virtio_start_all(&vm);
	vcpu_start_all(&vm);
	ioloop_run(&vm);
	terminal_restore();

	stop = (size_t)atomic_load(&vm.stop);
	if (stop < ARRAY_SIZE(stop_messages) && stop_messages[stop])
		say("%s", stop_messages[stop]);
	for (unsigned int i = 0; stop == STOP_TIMEOUT && i < vm.nr_vcpus; i++)
		report_vcpu(&vm.vcpu[i]);
	if (opt->verbose)
		stats_unhandled(&vm);
	if (opt->stats)
		stats_print(&vm, start);
	if (stop == STOP_RESET && opt->reboot)
		restart();
	return vm.status;
}
