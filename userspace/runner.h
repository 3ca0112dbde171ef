/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the runner's parts know of each other.
 *
 * Holds declarations only; it must not name anything private to the kernel module.
 */
#ifndef RUNNER_H
#define RUNNER_H

#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <linux/kvm.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#define __packed	__attribute((packed))
#define __noreturn	__attribute((noreturn))
#define __printf(f, a)	__attribute((format(printf, f, a)))
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define BIT(n)		(1u << (n))
#define KIB		1024ull
#define MIB		(1024ull * KIB)
#define GIB		(1024ull * MIB)

/** align_up() - the next multiple of @a, a power of two, at or above @x */
static inline u64 align_up(u64 x, u64 a)
{
	return (x + a - 1) & ~(a - 1);
}

#define RUNNER_VERSION	"0.1"
#define MAX_INITRDS	8
#define MAX_VCPUS	1024
#define XAPIC_IDS	255		/* ids from 0 on that an 8-bit destination can name */
#define MAX_DISKS	8
#define MAX_NETS	4
#define MAX_VIRTIO	12

/*
 * The guest-physical map. RAM fills 0 to LOW_RAM_END and goes on at 4 GiB; what is below 4 GiB and
 * above LOW_RAM_END holds the interrupt controllers and the pages KVM keeps for itself.
 */
#define LOW_RAM_END	(3 * GIB)
#define HIGH_RAM_BASE	(4 * GIB)
#define IDENTITY_MAP	0xfffbc000u	/* one page, for real mode without unrestricted guest */
#define TSS_ADDR	0xfffbd000u	/* three pages, likewise */
#define LAPIC_ADDR	0xfee00000u
#define IOAPIC_ADDR	0xfec00000u

/* One page of registers for each virtio device. */
#define VIRTIO_LEN	0x1000u
#define VIRTIO_BASE(n)	(0xd0000000ull + (n) * VIRTIO_LEN)

/* What the loaders put below 1 MiB. Everything up to EBDA_START is the guest's once it runs. */
#define BOOT_GDT	0x0500u
#define BOOT_PARAMS	0x7000u		/* zero page, or multiboot information */
#define BOOT_STACK	0x8ff0u
#define BOOT_PML4	0x9000u		/* PML4, PDPT and four page directories */
#define LOADER_END	0x10000u	/* an image has to lie above all of these */
#define BOOT_CMDLINE	0x20000u
#define CMDLINE_MAX	0x10000u
#define EBDA_START	0x9fc00u
#define FIRMWARE_START	0xe0000u	/* the ACPI tables; RSDP first */
#define FIRMWARE_END	0x100000u

/* Interrupt lines, as a PC wires them */
#define IRQ_KEYBOARD	1
#define IRQ_COM1	4
#define IRQ_RTC		8
#define IRQ_SCI		9

#define COM1_BASE	0x3f8

/* ---- options.c ---- */

/**
 * struct disk_option - one --disk
 * @path: image
 * @readonly: the guest cannot write to it
 */
struct disk_option {
	const char *path;
	bool readonly;
};

/**
 * struct net_option - one --net
 * @tap: name of the host's interface
 * @mac: the guest's address
 */
struct net_option {
	char tap[16];
	u8 mac[6];
};

/**
 * struct memory_option - what guest RAM is made of
 * @hugetlbfs: directory of a hugetlbfs mount, or NULL
 * @memfd: shared memory, else anonymous
 * @no_thp: no transparent huge pages
 * @mergeable: KSM may merge pages of equal content
 */
struct memory_option {
	const char *hugetlbfs;
	bool memfd;
	bool no_thp;
	bool mergeable;
};

/**
 * struct options - what the command line asks for
 * @device: path of the KVM-style device
 * @image: file to boot
 * @append: kernel or multiboot command line, NULL when not given
 * @initrd: initial ramdisks (bzImage: concatenated) or multiboot modules
 * @nr_initrd: how many of them
 * @memory: guest RAM in bytes, a multiple of 4 KiB
 * @backend: what it is made of
 * @load_addr: guest-physical address of a flat binary
 * @debug_exit: port whose written value ends the run, or -1
 * @smp: number of vCPUs, 1 to MAX_VCPUS
 * @timeout: seconds of real time after which the run ends, 0 for none
 * @disk: disk images
 * @nr_disks: how many
 * @net: network interfaces
 * @nr_nets: how many
 * @rng: have an entropy device
 * @virtio_console: stdin goes to a virtio console, not to the serial port
 * @raw_append: pass the command line exactly as given
 * @reboot: start again when the guest asks for a reset
 * @stats: print statistics at the end
 * @verbose: report what was ignored
 * @pid: process that kvmlet mem looks at, 0 for all
 */
struct options {
	const char *device;
	const char *image;
	const char *append;
	const char *initrd[MAX_INITRDS];
	unsigned int nr_initrd;
	u64 memory;
	struct memory_option backend;
	u64 load_addr;
	int debug_exit;
	unsigned int smp;
	unsigned int timeout;
	struct disk_option disk[MAX_DISKS];
	unsigned int nr_disks;
	struct net_option net[MAX_NETS];
	unsigned int nr_nets;
	bool rng;
	bool virtio_console;
	bool raw_append;
	bool reboot;
	bool stats;
	bool verbose;
	int pid;
};

/**
 * options_parse_run() - fill @opt from the arguments of ``kvmlet run``
 * @opt: set to the defaults first
 * @argc: number of arguments, counting the command's own name
 * @argv: the arguments
 *
 * Ends the program with a message when they make no sense, and after ``--help``.
 */
void options_parse_run(struct options *opt, int argc, char **argv);

/**
 * options_parse_check() - the same for ``kvmlet check``
 * @opt: set to the defaults first
 * @argc: number of arguments, counting the command's own name
 * @argv: the arguments
 */
void options_parse_check(struct options *opt, int argc, char **argv);

/**
 * options_parse_mem() - the same for ``kvmlet mem``
 * @opt: set to the defaults first
 * @argc: number of arguments, counting the command's own name
 * @argv: the arguments
 */
void options_parse_mem(struct options *opt, int argc, char **argv);

/**
 * options_usage() - print the commands and general options
 * @out: where to
 */
void options_usage(FILE *out);

/* ---- report.c: every message of the runner itself ---- */

/**
 * die() - restore the terminal, say why, end the program with status 1
 * @fmt: printf format, without the newline
 *
 * For the time before the guest runs; a vCPU thread calls vm_fatal() instead.
 */
void die(const char *fmt, ...) __noreturn __printf(1, 2);

/**
 * die_errno() - die() with the text of errno after the message
 * @fmt: printf format, without the newline
 */
void die_errno(const char *fmt, ...) __noreturn __printf(1, 2);

/**
 * die_ioctl() - die_errno() with the device's own reason, where it gives one
 * @fd: what the ioctl was made on: the device, a VM or a vCPU
 * @fmt: printf format, without the newline
 */
void die_ioctl(int fd, const char *fmt, ...) __noreturn __printf(2, 3);

/**
 * ioctl_reason() - why the last ioctl on @fd was refused
 * @fd: the device, a VM or a vCPU
 * @buf: where the text goes; empty when the device does not say
 * @len: its size
 */
void ioctl_reason(int fd, char *buf, size_t len);

/**
 * say() - one line on stderr, which the run goes on after
 * @fmt: printf format, without the newline
 */
void say(const char *fmt, ...) __printf(1, 2);

struct vcpu;
struct vm;

/**
 * report_vcpu() - registers, control state and the bytes at RIP, on stderr
 * @v: vCPU that is not in KVM_RUN, and called from its own thread
 */
void report_vcpu(struct vcpu *v);

/** report_fail_entry() - explain KVM_EXIT_FAIL_ENTRY. @v: as in report_vcpu() */
void report_fail_entry(struct vcpu *v);

/** report_internal_error() - explain KVM_EXIT_INTERNAL_ERROR. @v: as in report_vcpu() */
void report_internal_error(struct vcpu *v);

/* ---- stats.c ---- */

/** stats_tsc() - the time-stamp counter now, in ticks */
static inline u64 stats_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

/**
 * stats_print() - what the run cost, on stderr
 * @vm: all of its vCPU threads have ended
 * @start: stats_tsc() at the start of the program
 */
void stats_print(struct vm *vm, u64 start);

/**
 * stats_print_fd() - the plain counters of a KVM_GET_STATS_FD that are not zero, on @out
 * @fd: the descriptor
 * @out: where to
 * @prefix: of the names of those to print
 */
void stats_print_fd(int fd, FILE *out, const char *prefix);

/** stats_unhandled() - list accesses that no device took, on stderr. @vm: as in stats_print() */
void stats_unhandled(struct vm *vm);

/* ---- io.c ---- */

/**
 * struct io_region - a range of ports, or of guest-physical addresses, and the device behind it
 * @base: first address
 * @len: number of addresses
 * @wide: the device wants an access as the guest made it; else it sees single bytes
 * @name: for messages
 * @dev: handed to @read and @write
 * @read: value of @size bytes at offset @off
 * @write: likewise
 *
 * @read and @write run in any vCPU thread, several at once: devices do their own locking.
 */
struct io_region {
	u64 base;
	u32 len;
	bool wide;
	const char *name;
	void *dev;
	u32 (*read)(void *dev, u32 off, unsigned int size);
	void (*write)(void *dev, u32 off, unsigned int size, u32 val);
};

#define IO_BUS_MAX	16

/**
 * struct io_bus - the regions of one address space, sorted by address
 * @region: sorted, disjoint; fixed once the guest runs
 * @nr: how many
 */
struct io_bus {
	struct io_region region[IO_BUS_MAX];
	unsigned int nr;
};

/**
 * io_register() - add a region; before the guest runs only
 * @bus: its address space
 * @region: copied; overlapping an earlier one is a bug of the runner and ends the program
 */
void io_register(struct io_bus *bus, const struct io_region *region);

/**
 * io_find() - the region that holds an address, or NULL
 * @bus: address space
 * @addr: port or guest-physical address
 */
struct io_region *io_find(struct io_bus *bus, u64 addr);

/** io_port_exit() - perform the port access that ended KVM_RUN. @v: the vCPU */
void io_port_exit(struct vcpu *v);

/** io_mmio_exit() - perform the memory access that ended KVM_RUN. @v: the vCPU */
void io_mmio_exit(struct vcpu *v);

/* ---- terminal.c ---- */

/** terminal_raw() - put the terminal on stdin, if it is one and ours, in raw mode */
void terminal_raw(void);

/** terminal_restore() - undo terminal_raw(); async-signal-safe, may be called at any time */
void terminal_restore(void);

/** terminal_is_raw() - true between terminal_raw() and terminal_restore() on a terminal */
bool terminal_is_raw(void);

/** terminal_guard() - have the terminal restored by exit() and by fatal signals */
void terminal_guard(void);

/* ---- console.c: between the serial port and the terminal ---- */

#define CONSOLE_OUT	(64 * 1024)	/* bytes; a power of two */
#define CONSOLE_IN	1024		/* bytes; a power of two */
#define CONSOLE_BACK	16		/* bytes that can be given back */

/**
 * struct console - characters on their way between the guest and the runner's stdin and stdout
 * @out: ring of what the guest has sent
 * @out_head: next byte to fill; written by the sender, under the serial port's lock
 * @out_tail: next byte to write out; written by the I/O thread
 * @in: ring of what was typed
 * @in_head: next byte to fill; written by the I/O thread
 * @in_tail: next byte to receive; written under the serial port's lock
 * @flush_armed: the flush timer runs, so a sender need not start it
 * @flush_fd: timerfd that tells the I/O thread to write @out
 * @out_fd: where output goes; may be non-blocking
 * @out_blocked: the last write would have blocked
 * @in_open: stdin has not ended
 * @escaped: the last byte typed was Ctrl-A
 */
struct console {
	u8 out[CONSOLE_OUT];
	atomic_uint out_head;
	atomic_uint out_tail;
	u8 in[CONSOLE_IN];
	atomic_uint in_head;
	atomic_uint in_tail;
	atomic_bool flush_armed;
	int flush_fd;
	int out_fd;
	bool out_blocked;
	bool in_open;
	bool escaped;
};

/** console_init() - open what the console needs. @con: zeroed */
void console_init(struct console *con);

/**
 * console_send() - queue one byte for stdout; never blocks
 * @con: the console
 * @byte: what the guest sent
 *
 * Callers hold the serial port's lock. Returns false when the ring is full and the byte was not
 * taken.
 */
bool console_send(struct console *con, u8 byte);

/** console_out_full() - true while console_send() would refuse. @con: the console */
bool console_out_full(struct console *con);

/** console_out_empty() - true when everything sent has been written. @con: the console */
bool console_out_empty(struct console *con);

/**
 * console_settle() - let what the guest sent come out before a report, for at most 0.2 s
 * @con: the console
 *
 * For a vCPU thread that will not run its guest again.
 */
void console_settle(struct console *con);

/**
 * console_receive() - take one typed byte
 * @con: the console
 * @byte: where it goes
 *
 * Callers hold the serial port's lock, or are the virtio console's thread, to which all input goes
 * when there is one. Returns false when there is none.
 */
bool console_receive(struct console *con, u8 *byte);

/**
 * console_give_back() - undo the last console_receive() calls
 * @con: the console
 * @n: how many, at most CONSOLE_BACK
 */
void console_give_back(struct console *con, unsigned int n);

/** console_in_room() - how many more bytes can be typed. @con: the console */
unsigned int console_in_room(struct console *con);

/** console_flush() - write out as much as goes without blocking; I/O thread. @vm: the VM */
void console_flush(struct vm *vm);

/** console_wants_input() - true while stdin is to be read. @con: the console */
bool console_wants_input(struct console *con);

/** console_input() - read stdin, which is readable; I/O thread. @vm: the VM */
void console_input(struct vm *vm);

/* ---- serial.c ---- */

struct serial;

/** serial_create() - a 16550A at COM1, registered on @vm's port bus. @vm: the VM */
struct serial *serial_create(struct vm *vm);

/** serial_read() - read a register; any thread. @s: the port. @reg: 0 to 7 */
u8 serial_read(struct serial *s, unsigned int reg);

/** serial_write() - write a register. @s: the port. @reg: 0 to 7. @val: the value */
void serial_write(struct serial *s, unsigned int reg, u8 val);

/** serial_input() - the console has new bytes, or a break. @s: the port. @brk: a break came */
void serial_input(struct serial *s, bool brk);

/**
 * serial_relay() - send bytes that are not the serial port's to the console
 * @s: the port, with which they share it
 * @buf: the bytes
 * @len: how many
 *
 * Returns how many the console had room for.
 */
size_t serial_relay(struct serial *s, const u8 *buf, size_t len);

/** serial_drained() - the console's output ring has room again. @s: the port */
void serial_drained(struct serial *s);

/* ---- coalesce.c ---- */

struct coalesce;

/** coalesce_setup() - let the kernel collect console output, if it can. @vm: has a vCPU */
void coalesce_setup(struct vm *vm);

/** coalesce_drain_slow() - take what has been collected; any thread. @c: the ring */
void coalesce_drain_slow(struct coalesce *c);

/** coalesce_end() - have every write exit from now on. @vm: the VM */
void coalesce_end(struct vm *vm);

/**
 * coalesce_poll() - take what a guest left behind that has stopped exiting; I/O thread
 * @vm: the VM
 *
 * Returns true while this has to be called again within COALESCE_POLL.
 */
bool coalesce_poll(struct vm *vm);

#define COALESCE_POLL	50000000	/* ns */

/* ---- the other devices; each registers itself on the port bus ---- */

struct rtc;

/** rtc_create() - MC146818 with @vm's memory size in its CMOS. @vm: the VM */
struct rtc *rtc_create(struct vm *vm);

/** rtc_tick() - raise what is due; I/O thread. @rtc: the clock. Returns ns until next, or -1 */
s64 rtc_tick(struct rtc *rtc);

/** i8042_create() - keyboard controller without a keyboard's keys. @vm: the VM */
void i8042_create(struct vm *vm);

/** platform_create() - reset ports, absent PCI, POST port, debug exit. @vm: the VM */
void platform_create(struct vm *vm);

/** acpi_create() - write the tables, register the power-management ports. @vm: has its RAM */
void acpi_create(struct vm *vm);

/* ---- virtio.c, virtio_mmio.c and the devices; see virtio.h ---- */

struct virtio_dev;

/** virtio_create() - put the devices of the command line on @vm; before acpi_create() */
void virtio_create(struct vm *vm);

/** virtio_start_all() - let the devices' threads run. @vm: about to run */
void virtio_start_all(struct vm *vm);

/** virtio_stop_all() - end the devices' threads; no request is left half done. @vm: stopped */
void virtio_stop_all(struct vm *vm);

/** virtio_gsi() - interrupt line of a device. @index: which one */
unsigned int virtio_gsi(unsigned int index);

/** virtio_blk_create() - a disk. @vm: the VM. @opt: its image */
void virtio_blk_create(struct vm *vm, const struct disk_option *opt);

/** virtio_net_create() - a network interface. @vm: the VM. @opt: the host's side of it */
void virtio_net_create(struct vm *vm, const struct net_option *opt);

/** virtio_rng_create() - an entropy source. @vm: the VM */
void virtio_rng_create(struct vm *vm);

/** virtio_console_create() - a console in place of the serial port's. @vm: the VM */
void virtio_console_create(struct vm *vm);

/** virtio_console_input() - there is new input for it. @vm: has a virtio console */
void virtio_console_input(struct vm *vm);

/** virtio_console_drained() - there is room for output again; a no-op without one. @vm: the VM */
void virtio_console_drained(struct vm *vm);

/* ---- memory.c ---- */

#define RAM_NAME	"kvmlet-ram"

/**
 * memory_map() - allocate guest RAM, or end the program
 * @opt: what it is to be made of
 * @size: bytes
 *
 * Returns its host address, aligned for huge pages.
 */
u8 *memory_map(const struct memory_option *opt, u64 size);

/* ---- vm.c ---- */

/** enum stop_kind - why the run ends; the first reason given is the one that counts */
enum stop_kind {
	STOP_NONE,
	STOP_POWEROFF,		/* the guest powered itself off */
	STOP_RESET,		/* the guest asked for a reset */
	STOP_DEBUG_EXIT,	/* the guest wrote the debug-exit port */
	STOP_QUIT,		/* Ctrl-A x */
	STOP_SIGNAL,		/* a signal asked the runner to end */
	STOP_TIMEOUT,		/* --timeout has passed */
	STOP_FATAL,		/* something went wrong and has been reported */
};

/** enum boot_mode - the state a vCPU starts in */
enum boot_mode {
	BOOT_REAL,		/* real mode, as at a boot sector */
	BOOT_PROT32,		/* 32-bit protected mode, flat segments, no paging */
	BOOT_LONG64,		/* long mode, the first 4 GiB identity-mapped */
};

/**
 * struct boot_state - what a loader wants in the boot processor's registers
 * @mode: processor mode
 * @entry: linear address of the first instruction
 * @rax: RAX, RBX and RSI at entry; the other registers are 0, RSP is BOOT_STACK
 * @rbx: see @rax
 * @rsi: see @rax
 */
struct boot_state {
	enum boot_mode mode;
	u64 entry;
	u64 rax;
	u64 rbx;
	u64 rsi;
};

#define NR_EXIT_REASONS	64

/**
 * struct vcpu - one virtual CPU and its thread
 * @vm: the VM it belongs to
 * @index: its number and APIC id
 * @fd: its file descriptor
 * @run: the page shared with the kernel
 * @thread: runs it
 * @started: @thread is to be joined
 * @exits: exits by reason, counted by @thread
 * @ticks_in: ticks inside KVM_RUN; with --stats only
 * @ticks_out: ticks between two KVM_RUN; with --stats only
 */
struct vcpu {
	struct vm *vm;
	unsigned int index;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool started;
	u64 exits[NR_EXIT_REASONS];
	u64 ticks_in;
	u64 ticks_out;
};

/**
 * struct port_count - how often a port was used; with --stats or --verbose only
 * @in: reads
 * @out: writes
 * @dropped: accesses that no device took
 */
struct port_count {
	u32 in;
	u32 out;
	u32 dropped;
};

/**
 * struct vm - the machine
 * @opt: the command line
 * @dev_fd: the KVM-style device
 * @fd: the VM
 * @stats_fd: the device's counters of the VM, or -1
 * @run_size: bytes of a vCPU's shared mapping
 * @ram: host address of guest RAM
 * @ram_low: bytes of it at guest-physical 0; the rest is at HIGH_RAM_BASE
 * @boot: how the boot processor starts
 * @vcpu: the virtual CPUs
 * @nr_vcpus: how many
 * @ports: port address space
 * @mmio: memory-mapped devices that the kernel does not emulate
 * @port_count: 65536 counters, or NULL
 * @mmio_dropped: memory accesses that nothing took
 * @console: see there
 * @serial: COM1
 * @coalesce: ring of collected output, or NULL
 * @rtc: the clock
 * @virtio: the virtio devices
 * @nr_virtio: how many
 * @virtio_console: the one that is a console, or NULL
 * @wake_fd: eventfd that wakes the I/O thread
 * @stop: an enum stop_kind; set once
 * @status: exit status that goes with @stop
 */
struct vm {
	const struct options *opt;
	int dev_fd;
	int fd;
	int stats_fd;
	int run_size;
	u8 *ram;
	u64 ram_low;
	struct boot_state boot;
	struct vcpu vcpu[MAX_VCPUS];
	unsigned int nr_vcpus;
	struct io_bus ports;
	struct io_bus mmio;
	struct port_count *port_count;
	atomic_uint mmio_dropped;
	struct console console;
	struct serial *serial;
	struct coalesce *coalesce;
	struct rtc *rtc;
	struct virtio_dev *virtio[MAX_VIRTIO];
	unsigned int nr_virtio;
	struct virtio_dev *virtio_console;
	int wake_fd;
	atomic_int stop;
	int status;
};

/** vm_create() - open the device, make the VM, its RAM and interrupt controllers. @vm: has @opt */
void vm_create(struct vm *vm);

/**
 * vm_has() - value of a capability on the VM, 0 when it is missing
 * @vm: the VM
 * @cap: KVM_CAP_*
 */
int vm_has(struct vm *vm, long cap);

/**
 * vm_ram() - host address of guest RAM
 * @vm: the VM
 * @gpa: guest-physical address
 * @len: bytes
 *
 * Returns NULL unless all of it is RAM.
 */
void *vm_ram(struct vm *vm, u64 gpa, u64 len);

/** vm_irq() - set a level on an interrupt line. @vm: the VM. @irq: GSI. @level: 0 or 1 */
void vm_irq(struct vm *vm, unsigned int irq, int level);

/**
 * vm_stop() - end the run; any thread, any number of times, the first one counts
 * @vm: the VM
 * @kind: why
 * @status: exit status of the program
 */
void vm_stop(struct vm *vm, enum stop_kind kind, int status);

/**
 * vm_fatal() - end the run with status 1 and a line on stderr
 * @vm: the VM
 * @fmt: printf format, without the newline
 */
void vm_fatal(struct vm *vm, const char *fmt, ...) __printf(2, 3);

/** vm_stopped() - true once vm_stop() has been called. @vm: the VM */
static inline bool vm_stopped(struct vm *vm)
{
	return atomic_load_explicit(&vm->stop, memory_order_relaxed) != STOP_NONE;
}

/* ---- vcpu.c, cpuid.c, exit.c ---- */

/** vcpu_create() - make vCPU number @index and set its CPUID and registers. @vm: the VM */
void vcpu_create(struct vm *vm, unsigned int index);

/** vcpu_start_all() - let the threads run. @vm: all of its vCPUs exist */
void vcpu_start_all(struct vm *vm);

/** vcpu_stop_all() - kick the threads out of KVM_RUN and join them. @vm: has been stopped */
void vcpu_stop_all(struct vm *vm);

/** cpuid_setup() - give @v the host's CPUID, adjusted. @v: the vCPU */
void cpuid_setup(struct vcpu *v);

/** exit_handle() - do what the exit in @v->run asks for. @v: the vCPU */
void exit_handle(struct vcpu *v);

/** exit_name() - name of an exit reason. @reason: KVM_EXIT_* */
const char *exit_name(u32 reason);

/* ---- ioloop.c ---- */

/** ioloop_block_signals() - route the ending signals to the I/O thread; before any thread */
void ioloop_block_signals(void);

/** ioloop_run() - serve console, clock and signals until the VM stops. @vm: running */
void ioloop_run(struct vm *vm);

/** ioloop_wake() - have the I/O thread look again. @vm: the VM */
void ioloop_wake(struct vm *vm);

/* ---- loaders ---- */

/**
 * struct image - a file being loaded
 * @path: for messages
 * @fd: open for reading
 * @size: bytes
 * @head: its first bytes, zero-padded
 */
struct image {
	const char *path;
	int fd;
	u64 size;
	u8 head[8192];
};

/** image_open() - open @path and read its head. @img: filled in. @path: file name */
void image_open(struct image *img, const char *path);

/**
 * image_load() - read part of the file into guest RAM, or end the program
 * @vm: the VM
 * @img: the file
 * @off: offset in the file
 * @gpa: guest-physical address
 * @len: bytes
 */
void image_load(struct vm *vm, const struct image *img, u64 off, u64 gpa, u64 len);

/**
 * loader_initrds() - load every --initrd file
 * @vm: the VM
 * @bottom: guest-physical start of the space they may take
 * @top: and its end
 * @joined: as one archive at the top, each but the first at a multiple of 4; else one after the
 *	other from the bottom, each at the start of a page
 * @place: start and end of each
 *
 * Returns the start of the first.
 */
u64 loader_initrds(struct vm *vm, u64 bottom, u64 top, bool joined, u64 place[MAX_INITRDS][2]);

/** loader_cmdline() - the command line to pass: --append with the additions. @fallback: added */
const char *loader_cmdline(struct vm *vm, const char *fallback);

/** loader_load() - detect the format of the image and load it. @vm: has its RAM */
void loader_load(struct vm *vm);

bool load_bzimage(struct vm *vm, const struct image *img);
bool load_multiboot(struct vm *vm, const struct image *img);
bool load_elf(struct vm *vm, const struct image *img);
void load_flat(struct vm *vm, const struct image *img);

/**
 * elf_load_segments() - read the PT_LOAD segments to their physical addresses
 * @vm: the VM
 * @img: an ELF file
 * @entry: its entry point
 * @end: end of the highest segment, or NULL
 *
 * Returns 32 or 64, or 0 when @img is not ELF for x86; ends the program when it is but is broken.
 */
int elf_load_segments(struct vm *vm, const struct image *img, u64 *entry, u64 *end);

/* ---- commands ---- */

int cmd_run(const struct options *opt, u64 start);
int cmd_check(const struct options *opt);
int cmd_mem(const struct options *opt);

#endif
