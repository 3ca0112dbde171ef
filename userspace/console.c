// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two rings between the serial port and stdin/stdout.
 *
 * Must not let a vCPU thread wait for the terminal.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

#define ESCAPE		0x01		/* Ctrl-A */
#define FLUSH_DELAY	20000000	/* ns: short to an eye, long to a guest that prints */

/*
 * A write to a full pipe or a stopped terminal blocks, and the thread that writes also serves
 * signals. O_NONBLOCK on the inherited description would reach every process that shares it, so
 * open a description of our own where the file allows that.
 */
static int open_stdout(void)
{
	struct stat st;
	int fd = -1;

	if (fstat(STDOUT_FILENO, &st))
		return STDOUT_FILENO;
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
		fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? STDOUT_FILENO : fd;
}

void console_init(struct console *con)
{
	con->flush_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (con->flush_fd < 0)
		die_errno("cannot create a timer");
	con->out_fd = open_stdout();
	con->in_open = fcntl(STDIN_FILENO, F_GETFL) >= 0;
}

/* One timer start for a burst of output, instead of one wakeup for each byte. */
static void arm_flush(struct console *con)
{
	struct itimerspec when = { .it_value.tv_nsec = FLUSH_DELAY };

	if (!atomic_exchange(&con->flush_armed, true))
		timerfd_settime(con->flush_fd, 0, &when, NULL);
}

bool console_out_full(struct console *con)
{
	u32 tail = atomic_load_explicit(&con->out_tail, memory_order_acquire);

	return atomic_load_explicit(&con->out_head, memory_order_relaxed) - tail >= CONSOLE_OUT;
}

bool console_out_empty(struct console *con)
{
	return atomic_load(&con->out_head) == atomic_load(&con->out_tail);
}

void console_settle(struct console *con)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < 200 && !console_out_empty(con); i++)
		nanosleep(&pause, NULL);
}

bool console_send(struct console *con, u8 byte)
{
	u32 head = atomic_load_explicit(&con->out_head, memory_order_relaxed);

	if (console_out_full(con))
		return false;
	con->out[head % CONSOLE_OUT] = byte;
	/* Sequentially consistent: pairs with console_flush(), which disarms and then looks. */
	atomic_store(&con->out_head, head + 1);
	if (!atomic_load(&con->flush_armed))
		arm_flush(con);
	return true;
}

/* A reader that has gone away ends the run, as SIGPIPE would end any other program. */
static void output_lost(struct vm *vm)
{
	vm_fatal(vm, "cannot write the guest's output: %s", strerror(errno));
	atomic_store(&vm->console.out_tail, atomic_load(&vm->console.out_head));
}

void console_flush(struct vm *vm)
{
	struct console *con = &vm->console;
	u64 expired;
	u32 head, tail;

	if (read(con->flush_fd, &expired, sizeof(expired)) < 0)
		expired = 0;
	/* Disarm before looking at the head: a byte queued after the look arms the timer again. */
	atomic_store(&con->flush_armed, false);
	con->out_blocked = false;
	head = atomic_load(&con->out_head);
	tail = atomic_load(&con->out_tail);
	while (head != tail) {
		u32 len = head - tail, at = tail % CONSOLE_OUT;
		ssize_t n;

		if (len > CONSOLE_OUT - at)
			len = CONSOLE_OUT - at;
		n = write(con->out_fd, con->out + at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			con->out_blocked = true;
			break;
		}
		if (n < 0) {
			output_lost(vm);
			return;
		}
		tail += (u32)n;
		atomic_store_explicit(&con->out_tail, tail, memory_order_release);
	}
	serial_drained(vm->serial);
	virtio_console_drained(vm);
}

/* Keeps as many bytes free as may be given back. */
unsigned int console_in_room(struct console *con)
{
	u32 used = atomic_load(&con->in_head) - atomic_load(&con->in_tail);

	return used < CONSOLE_IN - CONSOLE_BACK ? CONSOLE_IN - CONSOLE_BACK - used : 0;
}

void console_give_back(struct console *con, unsigned int n)
{
	atomic_fetch_sub(&con->in_tail, n);
}

bool console_receive(struct console *con, u8 *byte)
{
	u32 tail = atomic_load_explicit(&con->in_tail, memory_order_relaxed);

	if (atomic_load_explicit(&con->in_head, memory_order_acquire) == tail)
		return false;
	*byte = con->in[tail % CONSOLE_IN];
	atomic_store_explicit(&con->in_tail, tail + 1, memory_order_release);
	return true;
}

/* What a guest that does not listen has no room for is lost, as on a real line. */
static void push_in(struct console *con, u8 byte)
{
	u32 head = atomic_load_explicit(&con->in_head, memory_order_relaxed);

	if (!console_in_room(con))
		return;
	con->in[head % CONSOLE_IN] = byte;
	atomic_store_explicit(&con->in_head, head + 1, memory_order_release);
}

/* What follows Ctrl-A. Anything unknown is passed on with its Ctrl-A. */
static void escape(struct vm *vm, u8 byte)
{
	struct console *con = &vm->console;

	switch (byte) {
	case 'x':
		vm_stop(vm, STOP_QUIT, 0);
		break;
	case 'b':
		serial_input(vm->serial, true);
		break;
	case ESCAPE:
	case 'a':
		push_in(con, ESCAPE);
		break;
	case 'h':
	case '?':
		say("Ctrl-A x: quit, Ctrl-A b: send a break, Ctrl-A a: send Ctrl-A");
		break;
	default:
		push_in(con, ESCAPE);
		push_in(con, byte);
	}
}

bool console_wants_input(struct console *con)
{
	/* A terminal is always read: Ctrl-A has to work with a guest that hangs. */
	return con->in_open && (console_in_room(con) || terminal_is_raw());
}

void console_input(struct vm *vm)
{
	struct console *con = &vm->console;
	unsigned int room = console_in_room(con);
	u8 buf[CONSOLE_IN];
	ssize_t n;

	n = read(STDIN_FILENO, buf, terminal_is_raw() ? sizeof(buf) : room);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		/* The end, or a terminal that is not ours while in the background; see SIGCONT. */
		con->in_open = false;
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (con->escaped) {
			con->escaped = false;
			escape(vm, buf[i]);
		} else if (buf[i] == ESCAPE && terminal_is_raw()) {
			con->escaped = true;
		} else {
			push_in(con, buf[i]);
		}
	}
	if (vm->virtio_console)
		virtio_console_input(vm);
	else
		serial_input(vm->serial, false);
}
