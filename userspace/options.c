// SPDX-License-Identifier: GPL-2.0-only
/*
 * One table that is both what is accepted and what --help prints.
 *
 * Must not act on an option; it only fills struct options.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "runner.h"

#define DEFAULT_DEVICE	"/dev/kvmlet"
#define DEFAULT_MEMORY	(256 * MIB)
#define DEFAULT_LOAD	0x7c00u
#define MIN_MEMORY	(2 * MIB)

/**
 * struct option_desc - one option of a command
 * @name: without the dashes
 * @arg: placeholder of its argument, or NULL when it takes none
 * @help: one or more lines
 * @set: stores it; returns false when @val makes no sense
 */
struct option_desc {
	const char *name;
	const char *arg;
	const char *help;
	bool (*set)(struct options *opt, const char *val);
};

/* A whole number with an optional binary suffix, in any base strtoull() knows. */
static bool parse_number(const char *val, const char *suffixes, u64 *out)
{
	static const struct {
		char letter;
		u64 factor;
	} units[] = { { 'K', KIB }, { 'M', MIB }, { 'G', GIB } };
	char *end;

	errno = 0;
	*out = strtoull(val, &end, 0);
	if (errno || end == val || *val == '-')
		return false;
	for (size_t i = 0; *end && i < ARRAY_SIZE(units); i++) {
		if (*end != units[i].letter || !strchr(suffixes, *end) || end[1])
			continue;
		return !__builtin_mul_overflow(*out, units[i].factor, out);
	}
	return !*end;
}

static bool parse_bounded(const char *val, u64 min, u64 max, u64 *out)
{
	return parse_number(val, "", out) && *out >= min && *out <= max;
}

static bool set_memory(struct options *opt, const char *val)
{
	size_t len = strlen(val);
	u64 factor = MIB;

	/* A bare number means MiB, as with every other VMM. */
	if (len && strchr("KMG", val[len - 1]))
		factor = 1;
	if (!parse_number(val, "KMG", &opt->memory) ||
	    __builtin_mul_overflow(opt->memory, factor, &opt->memory))
		return false;
	return opt->memory >= MIN_MEMORY && opt->memory <= (1ull << 40) && !(opt->memory & 0xfff);
}

/* One word of --memory-backend. */
static bool set_backend_word(struct memory_option *m, const char *word)
{
	static const char dir[] = "hugetlbfs=";

	if (!strncmp(word, dir, strlen(dir))) {
		m->hugetlbfs = word + strlen(dir);
		return *m->hugetlbfs;
	}
	if (!strcmp(word, "memfd"))
		m->memfd = true;
	else if (!strcmp(word, "mergeable"))
		m->mergeable = true;
	else if (!strcmp(word, "thp=on") || !strcmp(word, "thp=off"))
		m->no_thp = !strcmp(word, "thp=off");
	else
		return !strcmp(word, "anonymous");
	return true;
}

static bool set_memory_backend(struct options *opt, const char *val)
{
	struct memory_option *m = &opt->backend;
	char *words = strdup(val), *word;

	if (!words)
		return false;
	while ((word = strsep(&words, ","))) {
		if (!set_backend_word(m, word))
			return false;
	}
	/* KSM merges only private anonymous memory; hugetlbfs has pages of one size. */
	return !(m->hugetlbfs && (m->memfd || m->no_thp)) &&
	       !(m->mergeable && (m->memfd || m->hugetlbfs));
}

static bool set_smp(struct options *opt, const char *val)
{
	u64 n;

	if (!parse_bounded(val, 1, MAX_VCPUS, &n))
		return false;
	opt->smp = (unsigned int)n;
	return true;
}

static bool set_append(struct options *opt, const char *val)
{
	opt->append = val;
	return strlen(val) < CMDLINE_MAX / 2;
}

static bool set_raw_append(struct options *opt, const char *val)
{
	(void)val;
	opt->raw_append = true;
	return true;
}

static bool set_initrd(struct options *opt, const char *val)
{
	if (opt->nr_initrd == MAX_INITRDS)
		return false;
	opt->initrd[opt->nr_initrd++] = val;
	return true;
}

static bool set_load_addr(struct options *opt, const char *val)
{
	/* Real mode reaches no further, and the first page holds its interrupt vectors. */
	return parse_bounded(val, 0x600, 0xfffff, &opt->load_addr);
}

static bool set_device(struct options *opt, const char *val)
{
	opt->device = val;
	return *val;
}

static bool set_debug_exit(struct options *opt, const char *val)
{
	u64 port;

	if (!parse_bounded(val, 0, 0xffff, &port))
		return false;
	opt->debug_exit = (int)port;
	return true;
}

static bool set_timeout(struct options *opt, const char *val)
{
	u64 seconds;

	if (!parse_bounded(val, 1, 1000000, &seconds))
		return false;
	opt->timeout = (unsigned int)seconds;
	return true;
}

/* Cut @word off the end of @val, a copy of the argument. Returns false when it is not there. */
static bool cut_suffix(char *val, const char *word)
{
	size_t len = strlen(val), n = strlen(word);

	if (len < n || strcmp(val + len - n, word))
		return false;
	val[len - n] = '\0';
	return true;
}

static bool set_disk(struct options *opt, const char *val)
{
	struct disk_option *disk = &opt->disk[opt->nr_disks];
	char *path = strdup(val);

	if (!path || opt->nr_disks == MAX_DISKS)
		return false;
	disk->readonly = cut_suffix(path, ",readonly");
	disk->path = path;
	opt->nr_disks++;
	return *path;
}

/* Locally administered, and the same in every run of a guest. */
static void derive_mac(struct net_option *net)
{
	u32 hash = 2166136261u;

	for (const char *p = net->tap; *p; p++)
		hash = (hash ^ (u8)*p) * 16777619u;
	net->mac[0] = 0x52;
	net->mac[1] = 0x54;
	memcpy(net->mac + 2, &hash, sizeof(hash));
}

static bool parse_mac(const char *val, u8 mac[6])
{
	int used = 0;

	return sscanf(val, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", mac, mac + 1, mac + 2, mac + 3,
		      mac + 4, mac + 5, &used) == 6 && !val[used] && !(mac[0] & 1);
}

static bool set_net(struct options *opt, const char *val)
{
	struct net_option *net = &opt->net[opt->nr_nets];
	const char *comma = strchrnul(val, ',');
	size_t len = (size_t)(comma - val);

	if (opt->nr_nets == MAX_NETS || !len || len >= sizeof(net->tap))
		return false;
	memcpy(net->tap, val, len);
	derive_mac(net);
	opt->nr_nets++;
	return !*comma || (!strncmp(comma, ",mac=", 5) && parse_mac(comma + 5, net->mac));
}

static bool set_rng(struct options *opt, const char *val)
{
	(void)val;
	opt->rng = true;
	return true;
}

static bool set_console(struct options *opt, const char *val)
{
	opt->virtio_console = !strcmp(val, "virtio");
	return opt->virtio_console || !strcmp(val, "serial");
}

static bool set_reboot(struct options *opt, const char *val)
{
	(void)val;
	opt->reboot = true;
	return true;
}

static bool set_stats(struct options *opt, const char *val)
{
	(void)val;
	opt->stats = true;
	return true;
}

static bool set_verbose(struct options *opt, const char *val)
{
	(void)val;
	opt->verbose = true;
	return true;
}

static const struct option_desc run_options[] = {
	{ "memory", "SIZE", "guest RAM: N or NM in MiB, NG in GiB (default 256M)", set_memory },
	{ "memory-backend", "KIND",
	  "of what: anonymous, memfd, hugetlbfs=DIR; thp=off; mergeable", set_memory_backend },
	{ "smp", "N", "number of virtual CPUs (default 1)", set_smp },
	{ "append", "STRING", "command line for a bzImage or a multiboot image", set_append },
	{ "raw-append", NULL, "pass --append as it is, without adding console=ttyS0",
	  set_raw_append },
	{ "initrd", "FILE", "initial ramdisk or multiboot module; may be repeated", set_initrd },
	{ "load-addr", "ADDR", "where a flat binary is loaded and entered (default 0x7c00)",
	  set_load_addr },
	{ "disk", "FILE", "raw disk image, or FILE,readonly; may be repeated", set_disk },
	{ "net", "TAP", "network over a tap interface, or TAP,mac=ADDR; may be repeated",
	  set_net },
	{ "rng", NULL, "have a source of random numbers", set_rng },
	{ "console", "KIND", "what stdin goes to: serial (default) or virtio", set_console },
	{ "device", "PATH", "KVM-style device to use (default " DEFAULT_DEVICE ")", set_device },
	{ "debug-exit", "PORT", "end with the value the guest writes to PORT as exit status",
	  set_debug_exit },
	{ "timeout", "SECONDS", "end with status 124 after this much real time", set_timeout },
	{ "reboot", NULL, "start the guest again when it asks for a reset", set_reboot },
	{ "stats", NULL, "print exit counts and time-stamp ticks at the end", set_stats },
	{ "verbose", NULL, "report port accesses that no device took", set_verbose },
	{ "help", NULL, "print this", NULL },
	{ NULL, NULL, NULL, NULL }
};

static const struct option_desc check_options[] = {
	{ "device", "PATH", "KVM-style device to look at (default " DEFAULT_DEVICE ")",
	  set_device },
	{ "help", NULL, "print this", NULL },
	{ NULL, NULL, NULL, NULL }
};

static const struct option_desc mem_options[] = {
	{ "help", NULL, "print this", NULL },
	{ NULL, NULL, NULL, NULL }
};

static void print_options(const struct option_desc *desc)
{
	printf("\nOptions:\n");
	for (; desc->name; desc++) {
		int width = printf("  --%s%s%s", desc->name, desc->arg ? " " : "",
				   desc->arg ? desc->arg : "");

		printf("%*s%s\n", 24 - width, "", desc->help);
	}
}

void options_usage(FILE *out)
{
	fprintf(out,
		"Usage: kvmlet run [OPTION]... IMAGE   boot a guest\n"
		"       kvmlet check [OPTION]...       tell whether this machine can run guests\n"
		"       kvmlet mem [PID]               tell what a running guest's memory is made of\n"
		"       kvmlet COMMAND --help          print a command's options\n"
		"       kvmlet --help                  print this\n"
		"       kvmlet --version               print the version\n");
}

static void usage_run(void)
{
	printf("Usage: kvmlet run [OPTION]... IMAGE\n\n"
	       "Boots IMAGE: a bzImage, a multiboot image, an ELF file, or else a flat binary.\n"
	       "COM1 is the console, on stdin and stdout; on a terminal Ctrl-A x ends the run.\n");
	print_options(run_options);
	printf("\nExit status: 0 when the guest powered off or asked for a reset, the value\n"
	       "written to the debug-exit port, 1 on any error, 124 after --timeout, 128+N on\n"
	       "signal N.\n");
}

static void usage_check(void)
{
	printf("Usage: kvmlet check [OPTION]...\n\n"
	       "Tells whether this machine can run guests, and if not what to do about it.\n");
	print_options(check_options);
	printf("\nExit status: 0 when it can, 1 when not.\n");
}

static void usage_mem(void)
{
	printf("Usage: kvmlet mem [PID]\n\n"
	       "Tells what the guest memory of a running kvmlet is made of: present, in pages of\n"
	       "which size, shared, merged, dirty, swapped out; and what the device has mapped.\n"
	       "Without PID it looks at every process named kvmlet.\n");
	print_options(mem_options);
	printf("\nExit status: 0 when there was a guest, 1 when not.\n");
}

#define MAX_OPTIONS	(ARRAY_SIZE(run_options))

static void parse(struct options *opt, const struct option_desc *desc, void (*usage)(void),
		  int argc, char **argv)
{
	struct option longopts[MAX_OPTIONS] = { 0 };
	size_t n = 0;
	int i, c;

	for (; desc[n].name; n++) {
		longopts[n].name = desc[n].name;
		longopts[n].has_arg = desc[n].arg ? required_argument : no_argument;
	}
	while ((c = getopt_long(argc, argv, "h", longopts, &i)) != -1) {
		if (c == '?') {
			say("see kvmlet %s --help", argv[0]);
			exit(1);
		}
		if (c == 'h' || !desc[i].set) {
			usage();
			exit(0);
		}
		if (!desc[i].set(opt, optarg))
			die("--%s: '%s' is not acceptable; see kvmlet %s --help", desc[i].name,
			    optarg, argv[0]);
	}
}

static void set_defaults(struct options *opt)
{
	*opt = (struct options) {
		.device = DEFAULT_DEVICE,
		.memory = DEFAULT_MEMORY,
		.load_addr = DEFAULT_LOAD,
		.debug_exit = -1,
		.smp = 1,
	};
}

void options_parse_run(struct options *opt, int argc, char **argv)
{
	set_defaults(opt);
	parse(opt, run_options, usage_run, argc, argv);
	if (optind + 1 != argc)
		die("run takes one image; see kvmlet run --help");
	opt->image = argv[optind];
}

void options_parse_check(struct options *opt, int argc, char **argv)
{
	set_defaults(opt);
	parse(opt, check_options, usage_check, argc, argv);
	if (optind != argc)
		die("check takes no arguments; see kvmlet check --help");
}

void options_parse_mem(struct options *opt, int argc, char **argv)
{
	u64 pid;

	set_defaults(opt);
	parse(opt, mem_options, usage_mem, argc, argv);
	if (optind == argc)
		return;
	if (optind + 1 != argc || !parse_bounded(argv[optind], 1, 0x7fffffff, &pid))
		die("mem takes the number of one process; see kvmlet mem --help");
	opt->pid = (int)pid;
}
