/*
 * io_blocks.h - what the programs share in which every call waits for every kind
 * of file that it takes: one thread blocks in it, and another one, which has
 * processors only if the first one's wait leaves it some, ends the wait.  The
 * call does not return before that; then its result and its data are exact.
 *
 * The thread made last ends the wait in every second case and is the one that
 * waits in the others, so that the main thread is in both places.
 */
#ifndef IO_BLOCKS_H
#define IO_BLOCKS_H

#include "iocheck.h"
#include <pty.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <termios.h>

/* Beside their names in headers: what other compilations of callers call. */
extern int __poll(struct pollfd *, nfds_t, int);
extern int __select(int, fd_set *, fd_set *, fd_set *, struct timeval *);
extern int __poll_chk(struct pollfd *, nfds_t, int, size_t);
extern int __ppoll_chk(struct pollfd *, nfds_t, const struct timespec *,
		       const sigset_t *, size_t);

enum {
	BIG = 300000,	  /* fits into none of the buffers */
	SMALL = 16 << 10, /* asked for, of sockets */
	FAR = 600	  /* seconds, of a timeout that is not reached */
};

/* What an object is, and what a call takes. */
enum {
	FILES = 1,	/* all but listeners */
	SOCKETS = 2,	/* all but listeners */
	STREAMS = 4,	/* sockets without messages */
	SPLICES = 8,	/* can be one side of a splice */
	PIPES = 16,	/* those whose data can be duplicated */
	LISTENERS = 32, /* accept is what takes from it */
	WHOLE = 64	/* its data comes in one piece only */
};

static int end[2] = { -1, -1 }, spare = -1; /* end[0] is the one that waits */
static int side[2];			    /* a pipe for what splice takes */
static const char *doing[2];		    /* for complaints */
static int entered, left, cases;
static long result;
static char folder[] = "/tmp/io_blocks.XXXXXX", path[64];
static int kind; /* of the object */

/* ---- One case ------------------------------------------------------------ */

static void (*block_fn)(void), (*release_fn)(void);
static int may_return; /* before it is released */

static void *blocks(void *arg)
{
	STORE(entered, 1);
	block_fn();
	STORE(left, 1);
	return arg;
}

static void *releases(void *arg)
{
	YIELD_UNTIL(LOAD(entered));
	settle();
	if (!may_return && LOAD(left))
		check_fail(__FILE__, __LINE__, "%s on %s did not wait: %ld",
			   doing[0], doing[1], result);
	release_fn();
	return arg;
}

static void run(const char *call, const char *object, void (*block)(void),
		void (*release)(void))
{
	pthread_t t;

	doing[0] = call;
	doing[1] = object;
	block_fn = block;
	release_fn = release;
	entered = left = 0;
	result = -1;
	if (cases++ % 2) {
		t = start(blocks, NULL);
		releases(NULL);
	} else {
		t = start(releases, NULL);
		blocks(NULL);
	}
	join(t);
}

static void expect(long want)
{
	if (result != want)
		check_fail(__FILE__, __LINE__, "%s on %s is %ld (%s), not %ld",
			   doing[0], doing[1], result, strerror(errno), want);
}

static void close_ends(void)
{
	int *fd[] = { &end[0], &end[1], &spare };
	int i;

	for (i = 0; i < 3; i++) {
		if (*fd[i] >= 0)
			CHECK(close(*fd[i]) == 0);
		*fd[i] = -1;
	}
}

static void begin_cases(void)
{
	CHECK(mkdtemp(folder) != NULL);
	snprintf(path, sizeof(path), "%s/file", folder);
	CHECK(pipe(side) == 0);
}

static void end_cases(void)
{
	CHECK(rmdir(folder) == 0);
	printf("%d cases\n", cases);
}

/* ---- Files ----------------------------------------------------------------- */

static void make_pipe(void)
{
	CHECK(pipe(end) == 0);
}

static void make_fifo(void)
{
	CHECK(mkfifo(path, 0600) == 0);
	end[0] = open(path, O_RDONLY | O_NONBLOCK);
	end[1] = open(path, O_WRONLY);
	CHECK(end[0] >= 0 && end[1] >= 0);
	nonblocking(end[0], 0);
	CHECK(unlink(path) == 0);
}

static void make_stream(void)
{
	unix_pair(SOCK_STREAM, end, SMALL);
}

static void make_dgram(void)
{
	unix_pair(SOCK_DGRAM, end, 0);
}

static void make_seqpacket(void)
{
	unix_pair(SOCK_SEQPACKET, end, 0);
}

static void make_tcp(void)
{
	tcp_pair(end, SMALL);
}

static void make_eventfd(void)
{
	end[0] = eventfd(0, 0);
	CHECK(end[0] >= 0);
}

static void make_terminal(void)
{
	struct termios t;

	/* The slave is what reads and writes here. */
	CHECK(openpty(&end[1], &end[0], NULL, NULL, NULL) == 0);
	CHECK(tcgetattr(end[0], &t) == 0);
	cfmakeraw(&t);
	CHECK(tcsetattr(end[0], TCSANOW, &t) == 0);
}

/* Some files give an event as a whole only. */
static struct iovec *pieces(void *buf, size_t n)
{
	static struct iovec iov[3];
	size_t first = kind & WHOLE ? n : 2;

	iov[0] = (struct iovec){ buf, first };
	iov[1] = (struct iovec){ NULL, 0 };
	iov[2] = (struct iovec){ (char *)buf + first, n - first };
	return iov;
}

/* ---- Calls that wait for either ------------------------------------------ */

/*
 * All with a timeout far off in every second case.  0, or what was wrong.
 */
#define SAY(cond)                                                              \
	do {                                                                   \
		if (!(cond))                                                   \
			return "unexpected: " #cond;                           \
	} while (0)

static int timed(void)
{
	return cases / 2 % 2;
}

static struct timespec *far_spec(void)
{
	static struct timespec t;

	t = (struct timespec){ FAR, 0 };
	return timed() ? &t : NULL;
}

static int far_ms(void)
{
	return timed() ? FAR * 1000 : -1;
}

static const char *checked(int n, const struct pollfd *p, short events)
{
	SAY(n == 1);
	SAY(p[0].revents == 0);
	SAY(p[1].revents == events);
	return NULL;
}

#define POLLS(call)                                                            \
	/* The first of them has nothing ever. */                              \
	struct pollfd p[2] = { { side[0], POLLIN, 0 }, { fd, events, 0 } };    \
	return checked(call, p, events)

static const char *by_poll(int fd, short events)
{
	POLLS(poll(p, 2, far_ms()));
}

static const char *by_alias_poll(int fd, short events)
{
	POLLS(__poll(p, 2, far_ms()));
}

static const char *by_poll_chk(int fd, short events)
{
	POLLS(__poll_chk(p, 2, far_ms(), sizeof(p)));
}

static const char *by_ppoll(int fd, short events)
{
	POLLS(ppoll(p, 2, far_spec(), NULL));
}

static const char *by_ppoll_mask(int fd, short events)
{
	sigset_t mask;

	sigfillset(&mask);
	POLLS(ppoll(p, 2, far_spec(), &mask));
}

static const char *by_ppoll_chk(int fd, short events)
{
	POLLS(__ppoll_chk(p, 2, far_spec(), NULL, sizeof(p)));
}

static const char *by_syscall_poll(int fd, short events)
{
	POLLS(syscall(SYS_poll, p, 2, far_ms()));
}

static const char *checked_sets(int n, fd_set *in, fd_set *out, int fd,
				short events)
{
	SAY(n == 1);
	SAY(!FD_ISSET(side[0], in));
	SAY(!FD_ISSET(fd, in) == !(events & POLLIN));
	SAY(!FD_ISSET(fd, out) == !(events & POLLOUT));
	return NULL;
}

#define SELECTS(call)                                                          \
	struct timeval t = { FAR, 0 }, *tv UNUSED = timed() ? &t : NULL;       \
	int top = (fd > side[0] ? fd : side[0]) + 1;                           \
	fd_set in, out;                                                        \
	FD_ZERO(&in);                                                          \
	FD_ZERO(&out);                                                         \
	FD_SET(side[0], &in);                                                  \
	FD_SET(fd, events &POLLIN ? &in : &out);                               \
	return checked_sets(call, &in, &out, fd, events)

static const char *by_select(int fd, short events)
{
	SELECTS(select(top, &in, &out, NULL, tv));
}

static const char *by_alias_select(int fd, short events)
{
	SELECTS(__select(top, &in, &out, NULL, tv));
}

static const char *by_pselect(int fd, short events)
{
	SELECTS(pselect(top, &in, &out, NULL, far_spec(), NULL));
}

static const char *by_pselect_mask(int fd, short events)
{
	sigset_t mask;

	sigfillset(&mask);
	SELECTS(pselect(top, &in, &out, NULL, far_spec(), &mask));
}

static const char *checked_events(int n, int set, struct epoll_event *e, int fd,
				  short events)
{
	CHECK(close(set) == 0);
	SAY(n == 1);
	SAY(e->data.fd == fd);
	SAY(e->events == (uint32_t)events);
	return NULL;
}

#define EPOLLS(call)                                                           \
	struct epoll_event e[2] = { { .events = (uint32_t)events,              \
				      .data.fd = fd } };                       \
	int set = epoll_create1(0);                                            \
	CHECK(set >= 0);                                                       \
	CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, e) == 0);                      \
	e->data.fd = -1;                                                       \
	return checked_events(call, set, e, fd, events)

static const char *by_epoll_wait(int fd, short events)
{
	EPOLLS(epoll_wait(set, e, 2, far_ms()));
}

static const char *by_epoll_pwait(int fd, short events)
{
	sigset_t mask;

	sigfillset(&mask);
	EPOLLS(epoll_pwait(set, e, 2, far_ms(), &mask));
}

static const char *by_epoll_pwait2(int fd, short events)
{
	EPOLLS(epoll_pwait2(set, e, 2, far_spec(), NULL));
}

struct waiter {
	const char *name;
	const char *(*call)(int fd, short events);
};

static const struct waiter waiters[] = {
	{ "poll", by_poll },
	{ "__poll", by_alias_poll },
	{ "__poll_chk", by_poll_chk },
	{ "ppoll", by_ppoll },
	{ "ppoll with a mask", by_ppoll_mask },
	{ "__ppoll_chk", by_ppoll_chk },
	{ "syscall(SYS_poll)", by_syscall_poll },
	{ "select", by_select },
	{ "__select", by_alias_select },
	{ "pselect", by_pselect },
	{ "pselect with a mask", by_pselect_mask },
	{ "epoll_wait", by_epoll_wait },
	{ "epoll_pwait", by_epoll_pwait },
	{ "epoll_pwait2", by_epoll_pwait2 },
};

#define EACH(p, table)                                                         \
	(p = table; p < table + sizeof(table) / sizeof(table[0]); p++)

static const struct waiter *waiter;
static const char *complaint;
static short wanted;

static void wait_for_it(void)
{
	complaint = waiter->call(end[0], wanted);
	result = complaint ? -1 : 0;
}

static void check_wait(void)
{
	if (complaint)
		check_fail(__FILE__, __LINE__, "%s on %s, %s", doing[0],
			   doing[1], complaint);
}

#endif
