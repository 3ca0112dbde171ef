// SPDX-License-Identifier: GPL-2.0-only
/*
 * Picks the command.
 *
 * Must not know what the commands do.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "runner.h"

static int main_run(int argc, char **argv, u64 start)
{
	struct options opt;

	options_parse_run(&opt, argc, argv);
	return cmd_run(&opt, start);
}

static int main_check(int argc, char **argv, u64 start)
{
	struct options opt;

	(void)start;
	options_parse_check(&opt, argc, argv);
	return cmd_check(&opt);
}

static int main_mem(int argc, char **argv, u64 start)
{
	struct options opt;

	(void)start;
	options_parse_mem(&opt, argc, argv);
	return cmd_mem(&opt);
}

static int main_help(int argc, char **argv, u64 start)
{
	(void)argc;
	(void)argv;
	(void)start;
	options_usage(stdout);
	return 0;
}

static int main_version(int argc, char **argv, u64 start)
{
	(void)argc;
	(void)argv;
	(void)start;
	printf("kvmlet %s\n", RUNNER_VERSION);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv, u64 start);
} commands[] = {
	{ "run", main_run },
	{ "check", main_check },
	{ "mem", main_mem },
	{ "help", main_help },
	{ "--help", main_help },
	{ "-h", main_help },
	{ "--version", main_version },
	{ "-V", main_version },
};

/*
 * Fill in for standard files that were closed: the next file to be opened, such as the VM, would
 * take the number, and the console would go there.
 */
static void open_standard_files(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			exit(1);
	}
}

int main(int argc, char **argv)
{
	u64 start = stats_tsc();

	open_standard_files();
	if (argc < 2) {
		options_usage(stderr);
		return 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1, start);
	}
	die("unknown command '%s'; see kvmlet --help", argv[1]);
}
