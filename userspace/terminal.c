// SPDX-License-Identifier: GPL-2.0-only
/*
 * Raw mode, and leaving it on every way out.
 *
 * Must not read or write the terminal; console.c does.
 */
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "runner.h"

static struct termios saved;
static atomic_int raw;		/* also looked at by signal handlers */

bool terminal_is_raw(void)
{
	return raw;
}

void terminal_restore(void)
{
	if (!raw)
		return;
	raw = 0;
	/* Not TCSADRAIN: waiting for a stopped terminal would hang the way out. */
	tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

void terminal_raw(void)
{
	struct termios t;
	pid_t foreground;

	if (raw || !isatty(STDIN_FILENO))
		return;
	/* In the background the terminal is somebody else's; without job control there is none. */
	foreground = tcgetpgrp(STDIN_FILENO);
	if (foreground >= 0 && foreground != getpgrp())
		return;
	if (tcgetattr(STDIN_FILENO, &t))
		return;
	saved = t;
	cfmakeraw(&t);
	/* The runner's own messages, and those of a guest without a tty layer, end in \n alone. */
	t.c_oflag |= OPOST;
	/* Set the flag first: a fatal signal in between must still restore. */
	raw = 1;
	tcsetattr(STDIN_FILENO, TCSANOW, &t);
}

static void on_fatal_signal(int sig)
{
	terminal_restore();
	signal(sig, SIG_DFL);
	raise(sig);
}

void terminal_guard(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS };
	struct sigaction sa = { .sa_handler = on_fatal_signal, .sa_flags = SA_RESETHAND };

	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		sigaction(fatal[i], &sa, NULL);
	atexit(terminal_restore);
}
