/*
 * io_signals - a thread that waits for a file and gets a signal: the handler
 * runs in that thread, at once and not when the wait has ended by itself; then
 * the call returns EINTR, or goes on where the handler was set with
 * SA_RESTART and the call is one of those that do; and what had been
 * transferred by then is what the call returns.
 *
 * A signal that comes just before the call does not end it.  So where EINTR is
 * due it is sent until the call has returned.
 */
#include "iocheck.h"
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/uio.h>

enum { BIG = 300000, SMALL = 16 << 10, FAR = 600, TIMES = 3 };

/* What becomes of a call. */
enum {
	RESTARTS, /* goes on with SA_RESTART */
	NEVER,	  /* never goes on */
};

static int end[2], spare;
static int handled, left, wrong;
static pthread_t waiter;
static long result;
static char big[BIG];

static void handler(int sig)
{
	(void)sig;
	if (!pthread_equal(pthread_self(), waiter))
		STORE(wrong, 1);
	ADD(handled, 1);
}

static long from(long ret)
{
	return ret < 0 ? -errno : ret;
}

/* ---- Files and calls ----------------------------------------------------- */

static void make_pipe(void)
{
	CHECK(pipe(end) == 0);
}

static void make_stream(void)
{
	unix_pair(SOCK_STREAM, end, SMALL);
}

static void make_tcp(void)
{
	tcp_pair(end, SMALL);
}

static void make_dgram(void)
{
	unix_pair(SOCK_DGRAM, end, 0);
}

static void make_limited(void)
{
	struct timeval t = { FAR, 0 };

	make_tcp();
	CHECK(setsockopt(end[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0);
	CHECK(setsockopt(end[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) == 0);
}

/* Not tcp: what is full there may have room a little later, by itself. */
static void make_full_limited(void)
{
	struct timeval t = { FAR, 0 };

	make_stream();
	fill(end[0]);
	CHECK(setsockopt(end[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) == 0);
}

static void make_eventfd(void)
{
	end[0] = eventfd(0, 0);
	end[1] = dup(end[0]);
	CHECK(end[0] >= 0 && end[1] >= 0);
}

static void make_listener(void)
{
	end[0] = listener(AF_UNIX, 5, 0);
	end[1] = socket(AF_UNIX, SOCK_STREAM, 0);
}

static void make_tcp_listener(void)
{
	end[0] = listener(AF_INET, 5, 0);
	end[1] = socket(AF_INET, SOCK_STREAM, 0);
}

static void make_limited_listener(void)
{
	struct timeval t = { FAR, 0 };

	make_listener();
	CHECK(setsockopt(end[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0);
}

static void make_connect(void)
{
	end[1] = listener(AF_UNIX, 0, 0);
	spare = connected(AF_UNIX, end[1], 0);
	end[0] = socket(AF_UNIX, SOCK_STREAM, 0);
}

static void make_full(void)
{
	make_stream();
	fill(end[0]);
}

static void make_full_pipe(void)
{
	int fd[2];

	CHECK(pipe(fd) == 0);
	end[0] = fd[1];
	end[1] = fd[0];
	fill(end[0]);
}

static void make_set(void)
{
	struct epoll_event e = { .events = EPOLLIN };

	make_pipe();
	spare = epoll_create1(0);
	CHECK(spare >= 0);
	CHECK(epoll_ctl(spare, EPOLL_CTL_ADD, end[0], &e) == 0);
}

static long in_read(void)
{
	char c[8];

	return from(read(end[0], c, 8));
}

static long in_readv(void)
{
	char c[8];
	struct iovec iov = { c, 8 };

	return from(readv(end[0], &iov, 1));
}

static long in_recv(void)
{
	char c[8];

	return from(recv(end[0], c, 8, 0));
}

static long in_recv_all(void)
{
	char c[8];

	return from(recv(end[0], c, 8, MSG_WAITALL));
}

static long in_recvfrom(void)
{
	char c[8];

	return from(recvfrom(end[0], c, 8, 0, NULL, NULL));
}

static long in_recvmsg(void)
{
	char c[8];
	struct iovec iov = { c, 8 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	return from(recvmsg(end[0], &m, 0));
}

static long in_recvmmsg(void)
{
	char c[8];
	struct iovec iov = { c, 8 };
	struct mmsghdr m = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };

	return recvmmsg(end[0], &m, 1, 0, NULL) == 1 ? (long)m.msg_len : -errno;
}

static long took(int fd)
{
	if (fd < 0)
		return -errno;
	CHECK(close(fd) == 0);
	return 8;
}

static long in_accept(void)
{
	return took(accept(end[0], NULL, NULL));
}

static long in_accept4(void)
{
	return took(accept4(end[0], NULL, NULL, SOCK_CLOEXEC));
}

static long in_connect(void)
{
	return connect_to(end[0], end[1]) ? -errno : 8;
}

static long in_write(void)
{
	return from(write(end[0], big, 8));
}

static long in_send(void)
{
	return from(send(end[0], big, 8, 0));
}

static long in_sendmsg(void)
{
	struct iovec iov = { big, 8 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	return from(sendmsg(end[0], &m, 0));
}

static long after(int n)
{
	return n == 1 ? in_read() : from(n);
}

static long in_poll(void)
{
	struct pollfd p = { end[0], POLLIN, 0 };

	return after(poll(&p, 1, -1));
}

static long in_timed_poll(void)
{
	struct pollfd p = { end[0], POLLIN, 0 };

	return after(poll(&p, 1, FAR * 1000));
}

static long in_ppoll(void)
{
	struct pollfd p = { end[0], POLLIN, 0 };
	struct timespec t = { FAR, 0 };

	return after(ppoll(&p, 1, &t, NULL));
}

static long in_select(void)
{
	fd_set in;

	FD_ZERO(&in);
	FD_SET(end[0], &in);
	return after(select(end[0] + 1, &in, NULL, NULL, NULL));
}

static long in_pselect(void)
{
	struct timespec t = { FAR, 0 };
	fd_set in;

	FD_ZERO(&in);
	FD_SET(end[0], &in);
	return after(pselect(end[0] + 1, &in, NULL, NULL, &t, NULL));
}

static long in_epoll_wait(void)
{
	struct epoll_event e;

	return after(epoll_wait(spare, &e, 1, -1));
}

static long in_epoll_pwait2(void)
{
	struct epoll_event e;
	struct timespec t = { FAR, 0 };

	return after(epoll_pwait2(spare, &e, 1, &t, NULL));
}

static void eight(void)
{
	CHECK_EQ(write(end[1], "\1\0\0\0\0\0\0", 8), 8);
}

static void connects(void)
{
	CHECK(connect_to(end[1], end[0]) == 0);
}

static void accepts(void)
{
	int fd = accept(end[1], NULL, NULL);

	CHECK(fd >= 0);
	CHECK(close(fd) == 0);
}

/* Room for all that it may wait to write. */
static void make_room(void)
{
	char buf[4096];

	nonblocking(end[1], 1);
	do
		while (read(end[1], buf, sizeof(buf)) > 0)
			;
	while (!LOAD(left) && sched_yield() == 0);
	nonblocking(end[1], 0);
}

struct kind {
	const char *name;
	void (*make)(void);
	long (*call)(void);
	void (*release)(void);
	int rule;
};

static const struct kind kinds[] = {
	{ "read, pipe", make_pipe, in_read, eight, RESTARTS },
	{ "read, stream", make_stream, in_read, eight, RESTARTS },
	{ "read, eventfd", make_eventfd, in_read, eight, RESTARTS },
	{ "readv, tcp", make_tcp, in_readv, eight, RESTARTS },
	{ "recv", make_stream, in_recv, eight, RESTARTS },
	{ "recv, tcp", make_tcp, in_recv, eight, RESTARTS },
	{ "recv of all", make_stream, in_recv_all, eight, RESTARTS },
	{ "recv with SO_RCVTIMEO", make_limited, in_recv, eight, NEVER },
	{ "read with SO_RCVTIMEO", make_limited, in_read, eight, NEVER },
	{ "recvfrom", make_dgram, in_recvfrom, eight, RESTARTS },
	{ "recvmsg", make_stream, in_recvmsg, eight, RESTARTS },
	{ "recvmmsg", make_dgram, in_recvmmsg, eight, RESTARTS },
	{ "accept", make_listener, in_accept, connects, RESTARTS },
	{ "accept, tcp", make_tcp_listener, in_accept, connects, RESTARTS },
	{ "accept4", make_listener, in_accept4, connects, RESTARTS },
	{ "accept with SO_RCVTIMEO", make_limited_listener, in_accept, connects,
	  NEVER },
	{ "connect", make_connect, in_connect, accepts, RESTARTS },
	{ "write", make_full, in_write, make_room, RESTARTS },
	{ "write, pipe", make_full_pipe, in_write, make_room, RESTARTS },
	{ "send", make_full, in_send, make_room, RESTARTS },
	{ "sendmsg", make_full, in_sendmsg, make_room, RESTARTS },
	{ "send with SO_SNDTIMEO", make_full_limited, in_send, make_room,
	  NEVER },
	{ "poll", make_pipe, in_poll, eight, NEVER },
	{ "poll with a timeout", make_pipe, in_timed_poll, eight, NEVER },
	{ "ppoll", make_pipe, in_ppoll, eight, NEVER },
	{ "select", make_pipe, in_select, eight, NEVER },
	{ "pselect", make_pipe, in_pselect, eight, NEVER },
	{ "epoll_wait", make_set, in_epoll_wait, eight, NEVER },
	{ "epoll_pwait2", make_set, in_epoll_pwait2, eight, NEVER },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static const struct kind *kind;

static void *waits(void *arg)
{
	ENTERING();
	result = kind->call();
	STORE(left, 1);
	return arg;
}

static void set_handler(int flags)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = flags };

	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
}

static void begin(thread_fn *fn)
{
	handled = left = 0;
	result = -1;
	NOT_ENTERED();
	waiter = start(fn, NULL);
	ONCE_BLOCKED();
}

static void expect(long want, const char *how)
{
	if (result != want)
		check_fail(__FILE__, __LINE__, "%s %s: %ld, not %ld",
			   kind->name, how, result, want);
}

static void close_all(void)
{
	close_pair(end);
	if (spare >= 0)
		CHECK(close(spare) == 0);
	spare = -1;
}

/* One more each time until it has run; more than that lie in wait. */
static void signal_once(void)
{
	int before = LOAD(handled);

	OK(pthread_kill(waiter, SIGUSR1));
	YIELD_UNTIL(LOAD(handled) > before);
}

static void interrupted(void)
{
	while (!LOAD(left)) {
		signal_once();
		settle();
	}
	join(waiter);
	expect(-EINTR, "interrupted");
	close_all();
}

static void goes_on(void)
{
	int i;

	for (i = 0; i < TIMES; i++) {
		signal_once();
		settle();
		if (LOAD(left))
			check_fail(__FILE__, __LINE__,
				   "%s did not go on after a signal: %ld",
				   kind->name, result);
	}
	kind->release();
	join(waiter);
	expect(8, "after signals");
	CHECK_EQ(LOAD(handled), TIMES);
	close_all();
}

static void all(int flags)
{
	set_handler(flags);
	for (kind = kinds; kind < kinds + KINDS; kind++) {
		kind->make();
		begin(waits);
		if (flags && kind->rule == RESTARTS)
			goes_on();
		else
			interrupted();
	}
}

/* ---- Blocked, ignored, and gone in between ------------------------------- */

static void *waits_without(void *arg)
{
	sigset_t set, was;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &set, &was));
	ENTERING();
	result = kind->call();
	STORE(left, 1);
	CHECK_EQ(LOAD(handled), 0);
	OK(pthread_sigmask(SIG_SETMASK, &was, NULL));
	/* It lay in wait all the time. */
	CHECK_EQ(LOAD(handled), 1);
	return arg;
}

static void blocked(void)
{
	int i;

	for (kind = kinds; kind < kinds + KINDS; kind++) {
		kind->make();
		begin(waits_without);
		for (i = 0; i < TIMES; i++)
			OK(pthread_kill(waiter, SIGUSR1));
		settle();
		CHECK(!LOAD(left));
		kind->release();
		join(waiter);
		expect(8, "with the signal blocked");
		close_all();
	}
}

/* Ignored, as most are by default or by wish. */
static void ignored(void)
{
	int i;

	signal(SIGUSR1, SIG_IGN);
	for (kind = kinds; kind < kinds + KINDS; kind++) {
		kind->make();
		begin(waits);
		for (i = 0; i < TIMES; i++) {
			OK(pthread_kill(waiter, i ? SIGUSR1 : SIGCHLD));
			settle();
		}
		CHECK(!LOAD(left));
		kind->release();
		join(waiter);
		expect(8, "with the signal ignored");
		close_all();
	}
}

/* ---- A mask for the wait only -------------------------------------------- */

static int form, sent;

static void *waits_unmasked(void *arg)
{
	struct pollfd p = { end[0], POLLIN, 0 };
	struct epoll_event e;
	sigset_t set, none, now;
	fd_set in;

	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	ENTERING();
	/* In two forms out of three it comes before the wait begins. */
	if (form % 3)
		YIELD_UNTIL(LOAD(sent));
	FD_ZERO(&in);
	FD_SET(end[0], &in);
	switch (form / 3) {
	case 0:
		ERR(EINTR, ppoll(&p, 1, NULL, &none));
		break;
	case 1:
		ERR(EINTR, pselect(end[0] + 1, &in, NULL, NULL, NULL, &none));
		break;
	case 2:
		ERR(EINTR, epoll_pwait(spare, &e, 1, -1, &none));
		break;
	}
	CHECK_EQ(LOAD(handled), 1);
	OK(pthread_sigmask(SIG_SETMASK, NULL, &now));
	CHECK(sigismember(&now, SIGUSR1));
	return arg;
}

static void unmasked(void)
{
	for (form = 0; form < 9; form++) {
		make_set();
		STORE(sent, 0);
		begin(waits_unmasked);
		OK(pthread_kill(waiter, SIGUSR1));
		settle();
		STORE(sent, 1);
		join(waiter);
		close_all();
	}
}

/* ---- A part of it -------------------------------------------------------- */

static void *writes_much(void *arg)
{
	ENTERING();
	result = from(write(end[0], big, BIG));
	STORE(left, 1);
	return arg;
}

static void *reads_much(void *arg)
{
	ENTERING();
	result = from(recv(end[0], big, BIG, MSG_WAITALL));
	STORE(left, 1);
	return arg;
}

/* SA_RESTART or not, some of it is not an error. */
static void partly(int flags)
{
	void (*const makes[])(void) = { make_pipe, make_stream, make_tcp };
	int i, fd;
	char text[100];

	set_handler(flags);
	for (i = 0; i < 3; i++) {
		compose(big, 0, BIG);
		makes[i]();
		if (i == 0) {
			fd = end[0];
			end[0] = end[1];
			end[1] = fd;
		}
		begin(writes_much);
		drain(end[1], 0, 1000);
		settle();
		while (!LOAD(left)) {
			signal_once();
			settle();
		}
		join(waiter);
		CHECK(result >= 1000 && result < BIG);
		CHECK(close(end[0]) == 0);
		drain(end[1], 1000, result - 1000);
		CHECK_EQ(read(end[1], big, 1), 0);
		CHECK(close(end[1]) == 0);
		if (i == 0)
			continue;
		makes[i]();
		compose(text, 0, sizeof(text));
		CHECK_EQ(write(end[1], text, sizeof(text)), sizeof(text));
		begin(reads_much);
		while (!LOAD(left)) {
			signal_once();
			settle();
		}
		join(waiter);
		CHECK_EQ(result, sizeof(text));
		check_composed(big, 0, result);
		close_pair(end);
	}
}

/* ---- The handler itself waits for files ---------------------------------- */

static int inner[2], deep;

static void reading_handler(int sig)
{
	char c[8];
	struct pollfd p = { inner[0], POLLIN, 0 };
	int saved = errno;

	(void)sig;
	ADD(deep, 1);
	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK_EQ(read(inner[0], c, 8), 8);
	ADD(handled, 1);
	errno = saved;
}

static void nested(void)
{
	struct sigaction sa = { .sa_handler = reading_handler,
				.sa_flags = SA_RESTART };
	int i;

	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	CHECK(pipe(inner) == 0);
	for (kind = kinds; kind < kinds + KINDS; kind++) {
		if (kind->rule == NEVER)
			continue;
		kind->make();
		begin(waits);
		STORE(deep, 0);
		for (i = 0; i < 2; i++) {
			OK(pthread_kill(waiter, SIGUSR1));
			YIELD_UNTIL(LOAD(deep) == i + 1);
			settle();
			CHECK_EQ(LOAD(handled), i);
			CHECK_EQ(write(inner[1], "1234567", 8), 8);
			YIELD_UNTIL(LOAD(handled) == i + 1);
		}
		kind->release();
		join(waiter);
		expect(8, "around a handler that waits");
		close_all();
	}
	close_pair(inner);
}

int main(void)
{
	spare = -1;
	section("interrupted");
	all(0);
	section("restarted");
	all(SA_RESTART);
	section("blocked");
	blocked();
	section("ignored");
	ignored();
	section("unmasked");
	set_handler(SA_RESTART);
	unmasked();
	section("partly");
	partly(0);
	partly(SA_RESTART);
	section("nested");
	nested();
	CHECK_EQ(LOAD(wrong), 0);
	return 0;
}
