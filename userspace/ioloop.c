// SPDX-License-Identifier: GPL-2.0-only
/*
 * The I/O thread: console, clock, timeout and signals, apart from the vCPU threads.
 *
 * Must not touch a vCPU; it only says that the VM is to stop.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
static sigset_t blocked;

/* A signal that whoever started us has ignored stays ignored, as under nohup. */
static void block_unless_ignored(int sig)
{
	struct sigaction sa;

	if (!sigaction(sig, NULL, &sa) && sa.sa_handler == SIG_IGN)
		return;
	sigaddset(&blocked, sig);
}

void ioloop_block_signals(void)
{
	sigemptyset(&blocked);
	for (size_t i = 0; i < ARRAY_SIZE(ending_signals); i++)
		block_unless_ignored(ending_signals[i]);
	block_unless_ignored(SIGTSTP);
	sigaddset(&blocked, SIGCONT);
	/* Blocked, these make a read or a write from the background fail instead of stopping us. */
	sigaddset(&blocked, SIGTTIN);
	sigaddset(&blocked, SIGTTOU);
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
}

void ioloop_wake(struct vm *vm)
{
	u64 one = 1;

	/* Fails only when the counter is full, and then a wakeup is due anyway. */
	if (write(vm->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static s64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* Stop as Ctrl-Z would stop any program, with the terminal as it was. */
static void suspend(void)
{
	terminal_restore();
	raise(SIGSTOP);
	terminal_raw();
}

static void take_signal(struct vm *vm, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGTSTP:
		suspend();
		break;
	case SIGCONT:
		/* A shell puts its own settings in place while a job is stopped. */
		terminal_restore();
		terminal_raw();
		if (isatty(STDIN_FILENO))
			vm->console.in_open = true;
		break;
	case SIGTTIN:
	case SIGTTOU:
		break;
	default:
		vm_stop(vm, STOP_SIGNAL, 128 + (int)info.ssi_signo);
		vm->console.out_blocked = false;
	}
}

/* Remaining time until something is due on its own, for ppoll(). Returns NULL for "never". */
static struct timespec *next_deadline(struct vm *vm, s64 end, struct timespec *ts)
{
	s64 wait = rtc_tick(vm->rtc), left;

	if (end) {
		left = end - now_ns();
		if (left <= 0) {
			vm_stop(vm, STOP_TIMEOUT, 124);
			left = 0;
		}
		if (wait < 0 || left < wait)
			wait = left;
	}
	if (coalesce_poll(vm) && (wait < 0 || wait > COALESCE_POLL))
		wait = COALESCE_POLL;
	if (wait < 0)
		return NULL;
	ts->tv_sec = wait / 1000000000;
	ts->tv_nsec = wait % 1000000000;
	return ts;
}

enum { P_WAKE, P_SIGNAL, P_FLUSH, P_OUT, P_IN, NR_POLLS };

static void prepare(struct vm *vm, struct pollfd *p)
{
	struct console *con = &vm->console;

	/* While stdout is full its timer would only spin. */
	p[P_FLUSH].fd = con->out_blocked ? -1 : con->flush_fd;
	p[P_OUT].fd = con->out_blocked ? con->out_fd : -1;
	p[P_IN].fd = console_wants_input(con) ? STDIN_FILENO : -1;
}

static void serve(struct vm *vm, struct pollfd *p)
{
	u64 count;

	if (p[P_WAKE].revents && read(vm->wake_fd, &count, sizeof(count)) < 0)
		return;
	if (p[P_SIGNAL].revents)
		take_signal(vm, p[P_SIGNAL].fd);
	if (p[P_FLUSH].revents || p[P_OUT].revents)
		console_flush(vm);
	if (p[P_IN].revents)
		console_input(vm);
}

/* What the guest printed last comes out too, unless nobody reads it and a signal says to go. */
static void drain(struct vm *vm, struct pollfd *p)
{
	console_flush(vm);
	while (!console_out_empty(&vm->console)) {
		p[P_OUT].fd = vm->console.out_fd;
		if (poll(&p[P_OUT], 1, 0) == 0) {
			struct pollfd both[] = { p[P_OUT], p[P_SIGNAL] };

			poll(both, 2, -1);
			if (both[1].revents)
				return;
		}
		console_flush(vm);
	}
}

void ioloop_run(struct vm *vm)
{
	int signal_fd = signalfd(-1, &blocked, SFD_CLOEXEC | SFD_NONBLOCK);
	s64 end = vm->opt->timeout ? now_ns() + vm->opt->timeout * 1000000000ll : 0;
	struct pollfd p[NR_POLLS] = {
		[P_WAKE] = { .fd = vm->wake_fd, .events = POLLIN },
		[P_SIGNAL] = { .fd = signal_fd, .events = POLLIN },
		[P_FLUSH] = { .events = POLLIN },
		[P_OUT] = { .events = POLLOUT },
		[P_IN] = { .events = POLLIN },
	};
	struct timespec ts;

	if (signal_fd < 0)
		die_errno("cannot receive signals");
	while (!vm_stopped(vm)) {
		prepare(vm, p);
		if (ppoll(p, NR_POLLS, next_deadline(vm, end, &ts), NULL) > 0)
			serve(vm, p);
	}
	/* The guest may still print on its way out of KVM_RUN. */
	vcpu_stop_all(vm);
	virtio_stop_all(vm);
	if (vm->coalesce)
		coalesce_drain_slow(vm->coalesce);
	drain(vm, p);
	close(signal_fd);
}
