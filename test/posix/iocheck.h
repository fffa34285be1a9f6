/*
 * iocheck.h - what the programs about reading, writing and waiting for files
 * share: pairs of connected sockets, a stream whose every byte tells where it
 * belongs, and the wait for a thread to block.
 */
#ifndef IOCHECK_H
#define IOCHECK_H

#include "check.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

/* A system call that no library sees; -errno. */
static UNUSED long raw(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

/* ---- Until all the others wait ------------------------------------------- */

/*
 * How many of the kernel threads in that folder of /proc run, or could.  In a copy
 * of one thread of a process: nothing but system calls, and no file stays open.
 */
static UNUSED int runnable_in(const char *tasks)
{
	long dir, fd, got, at, n = 0;
	char ents[4096] __attribute__((aligned(8)));
	char path[64], *p;
	struct dirent64 *ent;

	raw(SYS_close_range, 0, ~0U, 0, 0);
	dir = raw(SYS_openat, AT_FDCWD, (long)tasks, O_RDONLY, 0);
	while ((got = raw(SYS_getdents64, dir, (long)ents, 4096, 0)) > 0)
		for (at = 0; at < got; at += ent->d_reclen) {
			char stat[512] = "";

			ent = (struct dirent64 *)(ents + at);
			if (ent->d_name[0] == '.')
				continue;
			stpcpy(stpcpy(path, ent->d_name), "/stat");
			fd = raw(SYS_openat, dir, (long)path, O_RDONLY, 0);
			raw(SYS_read, fd, (long)stat, sizeof(stat) - 1, 0);
			raw(SYS_close, fd, 0, 0, 0);
			/* The name, in brackets, may hold anything. */
			p = strrchr(stat, ')');
			n += p && (p[2] == 'R' || p[2] == 'D');
		}
	return n < 100 ? n : 100;
}

/*
 * Whether a kernel thread of this process runs, or could.  A child looks, which
 * sends no signal when it ends, while the caller sleeps in the kernel: the numbers
 * of the program's files, which it may count on, and its other children, stay
 * what they are.
 */
static UNUSED int any_runnable(void)
{
	long pid, ret;
	char tasks[64];
	int status;

	snprintf(tasks, sizeof(tasks), "/proc/%d/task", getpid());
	pid = raw(SYS_clone, 0, 0, 0, 0);
	if (pid == 0)
		raw(SYS_exit_group, runnable_in(tasks), 0, 0, 0);
	CHECK(pid > 0);
	do
		ret = raw(SYS_wait4, pid, (long)&status, __WALL, 0);
	while (ret == -EINTR);
	CHECK_EQ(ret, pid);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/*
 * Until each other thread sleeps or waits for something: all kernel threads are
 * asleep, and who only waits for a processor of the library's has had this one.
 * If some never stop, long enough for the others.
 */
static UNUSED void settle(void)
{
	int tries, i;

	for (tries = 0; tries < 100; tries++) {
		usleep(1000);
		for (i = 0; i < 50; i++)
			sched_yield();
		if (!any_runnable())
			break;
	}
}

/*
 * Another thread for the time of one call, which the program about to make it
 * announces.
 */
static UNUSED int entered_;
#define ENTERING()    STORE(entered_, 1)
#define NOT_ENTERED() STORE(entered_, 0)
#define ONCE_BLOCKED()                                                         \
	do {                                                                   \
		YIELD_UNTIL(LOAD(entered_));                                   \
		settle();                                                      \
	} while (0)

/* ---- Who waits already --------------------------------------------------- */

/* A library that parks threads has a poller in the process, up there. */
enum { OWN = 512 };

/*
 * How many numbers are registered in sets that the program has not made; or
 * how often fd is.
 */
static UNUSED int registered(int fd)
{
	char path[64], line[256];
	int own, tfd, n = 0;
	FILE *f;

	for (own = OWN; own < OWN + 100; own++) {
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", own);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f))
			n += sscanf(line, "tfd: %d", &tfd) == 1 &&
			     (fd < 0 || tfd == fd);
		if (f)
			fclose(f);
	}
	return n;
}

/* The caller's number, if it is a kernel thread by that number; else 0. */
static UNUSED int native_tid(void)
{
	int tid = gettid();

	return raw(SYS_gettid, 0, 0, 0, 0) == tid ? tid : 0;
}

static UNUSED int asleep(int tid)
{
	char path[64], text[512], *p;
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	if (f) {
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[n] = 0;
	/* The name, in brackets, may hold anything. */
	p = strrchr(text, ')');
	return p && p[2] == 'S';
}

/*
 * A thread reads from fd, for which nobody has waited before, and calls nothing
 * else: it is asleep in that, or parked.  tid is its native_tid().
 */
static UNUSED void once_waiting(int fd, const int *tid)
{
	while (!registered(fd) && !(LOAD(*tid) && asleep(LOAD(*tid))))
		usleep(200);
}

/* ---- A stream in which each byte tells its place ------------------------- */

static UNUSED void compose(char *buf, long at, long n)
{
	for (; n > 0; n--, at++)
		*buf++ = (char)(at ^ at >> 8 ^ at >> 16);
}

static UNUSED void check_composed(const char *buf, long at, long n)
{
	for (; n > 0; n--, at++, buf++)
		if (*buf != (char)(at ^ at >> 8 ^ at >> 16))
			check_fail(__FILE__, __LINE__, "byte %ld is %d, not %d",
				   at, *buf, (char)(at ^ at >> 8 ^ at >> 16));
}

/* Reads exactly so much of it, however it comes. */
static UNUSED void drain(int fd, long at, long n)
{
	char buf[4096];
	long got;

	while (n > 0) {
		got = n < (long)sizeof(buf) ? n : (long)sizeof(buf);
		got = read(fd, buf, got);
		CHECK(got > 0);
		check_composed(buf, at, got);
		at += got;
		n -= got;
	}
}

static UNUSED void nonblocking(int fd, int on)
{
	int flags = fcntl(fd, F_GETFL);

	CHECK(flags >= 0);
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	CHECK(fcntl(fd, F_SETFL, flags) == 0);
}

/*
 * Writes from its start until no more goes in, and says how much did.  Tcp and
 * a terminal move some of it on a little later.
 */
static UNUSED long fill(int fd)
{
	char buf[4096];
	long at = 0, n;
	int full;

	nonblocking(fd, 1);
	for (full = 0; full < 3; full++) {
		for (;;) {
			compose(buf, at, sizeof(buf));
			n = write(fd, buf, sizeof(buf));
			if (n < 0)
				break;
			at += n;
			full = 0;
		}
		CHECK_EQ(errno, EAGAIN);
		usleep(100);
	}
	nonblocking(fd, 0);
	return at;
}

/* ---- Sockets ------------------------------------------------------------- */

static UNUSED void buffers(int fd, int size)
{
	CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0);
}

union name {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_un un;
};

/* Bound to a name that the kernel finds; size bounds what goes into it. */
static UNUSED int bound(int family, int type, int size)
{
	union name name = { .any = { .sa_family = family } };
	int fd = socket(family, type, 0);

	CHECK(fd >= 0);
	if (size)
		buffers(fd, size);
	name.in.sin_addr.s_addr =
		family == AF_INET ? htonl(INADDR_LOOPBACK) : 0;
	CHECK(bind(fd, &name.any,
		   family == AF_INET ? sizeof(name.in) : sizeof(sa_family_t)) ==
	      0);
	return fd;
}

static UNUSED int listener(int family, int backlog, int size)
{
	int fd = bound(family, SOCK_STREAM, size);

	CHECK(listen(fd, backlog) == 0);
	return fd;
}

static UNUSED socklen_t name_of(int fd, union name *name)
{
	socklen_t size = sizeof(*name);

	CHECK(getsockname(fd, &name->any, &size) == 0);
	return size;
}

static UNUSED int connect_to(int fd, int target)
{
	union name name;
	socklen_t size = name_of(target, &name);

	return connect(fd, &name.any, size);
}

/* One more connection to a listener. */
static UNUSED int connected(int family, int target, int size)
{
	int fd = socket(family, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	if (size)
		buffers(fd, size);
	CHECK(connect_to(fd, target) == 0);
	return fd;
}

static UNUSED void tcp_pair(int fd[2], int size)
{
	int l = listener(AF_INET, 1, size);

	fd[1] = connected(AF_INET, l, size);
	fd[0] = accept(l, NULL, NULL);
	CHECK(fd[0] >= 0);
	CHECK(close(l) == 0);
}

static UNUSED void unix_pair(int type, int fd[2], int size)
{
	CHECK(socketpair(AF_UNIX, type, 0, fd) == 0);
	if (size) {
		buffers(fd[0], size);
		buffers(fd[1], size);
	}
}

static UNUSED void close_pair(int fd[2])
{
	CHECK(close(fd[0]) == 0);
	CHECK(close(fd[1]) == 0);
}

#endif
