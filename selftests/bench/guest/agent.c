// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs one command inside the emulated host and carries its output out through a parallel port.
 * It must not interpret the output, nor touch a port outside the two parallel ports.
 *
 * The emulator writes each byte strobed out of a parallel port to a file at once. A serial port
 * would make every byte cost 8,700 instructions of guest time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PORT_OUTPUT	0x378
#define PORT_RESULT	0x278
#define CTRL_ONLINE	0x08
#define CTRL_STROBE	0x01

#define STATUS_TIMEOUT	124
#define STATUS_NO_EXEC	127
#define DRAIN_MS	200

static void die(const char *what)
{
	fprintf(stderr, "agent: %s: %s\n", what, strerror(errno));
	exit(125);
}

static void port_open(unsigned int port)
{
	if (ioperm(port, 3, 1))
		die("ioperm");
	outb(CTRL_ONLINE, port + 2);
}

static void port_put(unsigned int port, const unsigned char *buf, size_t len)
{
	while (len--) {
		outb(*buf++, port);
		outb(CTRL_ONLINE | CTRL_STROBE, port + 2);
		outb(CTRL_ONLINE, port + 2);
	}
}

/* Return 1 while there may be more, 0 at the end. */
static int relay(int fd, unsigned int port)
{
	unsigned char buf[4096];
	ssize_t got = read(fd, buf, sizeof(buf));

	if (got > 0)
		port_put(port, buf, got);
	return got > 0 || (got < 0 && errno == EINTR);
}

static int open_terminal(char *name, size_t len)
{
	int unlock = 0;
	int number;
	int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, TIOCSPTLCK, &unlock) || ioctl(fd, TIOCGPTN, &number))
		die("/dev/ptmx");
	snprintf(name, len, "/dev/pts/%d", number);
	return fd;
}

/* The command gets a terminal, so that its output is line buffered and arrives live. */
static void become(const char *terminal, char **argv)
{
	struct winsize size = { .ws_row = 50, .ws_col = 200 };
	struct termios mode;
	int fd;

	setsid();
	fd = open(terminal, O_RDWR);
	if (fd < 0 || tcgetattr(fd, &mode))
		die(terminal);
	mode.c_oflag &= ~OPOST;
	tcsetattr(fd, TCSANOW, &mode);
	ioctl(fd, TIOCSWINSZ, &size);
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	if (fd > 2)
		close(fd);
	execvp(argv[0], argv);
	fprintf(stderr, "agent: %s: %s\n", argv[0], strerror(errno));
	_exit(STATUS_NO_EXEC);
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Write down where every process and CPU is, before they are killed. */
static void explain_hang(void)
{
	if (system("/bench/where > /result/where 2>&1") < 0)
		perror("agent: /bench/where");
}

static int status_of(int wstatus)
{
	return WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : 128 + WTERMSIG(wstatus);
}

static void on_child(int sig)
{
	(void)sig;
}

/* Block SIGCHLD except inside ppoll(), so that an exit between the two is not missed. */
static void catch_children(sigset_t *normal)
{
	struct sigaction action = { .sa_handler = on_child };
	sigset_t block;

	sigaction(SIGCHLD, &action, NULL);
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	sigprocmask(SIG_BLOCK, &block, normal);
}

static int wait_relaying(int fd, pid_t child, long long deadline, const sigset_t *normal)
{
	struct pollfd wait_for = { .fd = fd, .events = POLLIN };
	struct timespec left;
	long long ms;
	int wstatus;

	for (;;) {
		if (waitpid(child, &wstatus, WNOHANG) == child)
			return status_of(wstatus);
		ms = deadline - now_ms();
		if (ms <= 0)
			return -1;
		left.tv_sec = ms / 1000;
		left.tv_nsec = ms % 1000 * 1000000;
		if (ppoll(&wait_for, 1, &left, normal) > 0 && !relay(fd, PORT_OUTPUT))
			wait_for.fd = -1;
	}
}

/* What the command wrote before it died is still in the terminal; what it left running is not. */
static void drain(int fd)
{
	struct pollfd wait_for = { .fd = fd, .events = POLLIN };

	while (poll(&wait_for, 1, DRAIN_MS) > 0)
		if (!relay(fd, PORT_OUTPUT))
			break;
}

/* Print what became of the command, its status, and its time in ticks of the TSC. */
static int run(long seconds, char **argv)
{
	long long deadline = now_ms() + seconds * 1000LL;
	unsigned long long started;
	char terminal[32];
	sigset_t normal;
	pid_t child;
	int status;
	int fd = open_terminal(terminal, sizeof(terminal));

	port_open(PORT_OUTPUT);
	catch_children(&normal);
	started = __builtin_ia32_rdtsc();
	child = fork();
	if (child < 0)
		die("fork");
	if (!child) {
		sigprocmask(SIG_SETMASK, &normal, NULL);
		become(terminal, argv);
	}
	status = wait_relaying(fd, child, deadline, &normal);
	started = __builtin_ia32_rdtsc() - started;
	if (status < 0) {
		explain_hang();
		kill(-child, SIGKILL);
		status = STATUS_TIMEOUT;
		puts("timeout");
	} else {
		puts("done");
	}
	drain(fd);
	printf("%d\n%llu\n", status, started);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "put")) {
		port_open(PORT_RESULT);
		while (relay(0, PORT_RESULT))
			;
		return 0;
	}
	if (argc >= 4 && !strcmp(argv[1], "run"))
		return run(atol(argv[2]), argv + 3);
	fprintf(stderr, "usage: agent run SECONDS COMMAND... | agent put\n");
	return 2;
}
