/*
 * io_timeouts - waits that nobody ends but the clock: never before their time,
 * and with what Linux says then; those that somebody ends before; and those
 * whose timeout is no timeout or none at all.  Every wait has a thread of its
 * own, and all of them wait at once.
 */
#include "iocheck.h"
#include <sys/select.h>
#include <sys/uio.h>

enum { BIG = 300000, SMALL = 16 << 10, ROUNDS = 4, FAR = 600 };

struct wait {
	const char *name;
	void (*make)(struct wait *);
	long (*call)(struct wait *); /* or -errno */
	long want;
	int fd[2], spare, ms;
	struct timespec end;
	pthread_t thread;
};

static long from(long ret)
{
	return ret < 0 ? -errno : ret;
}

/* ---- SO_RCVTIMEO and SO_SNDTIMEO ----------------------------------------- */

static void time_limit(struct wait *w, int fd, int option)
{
	struct timeval t = { w->ms / 1000, w->ms % 1000 * 1000 };

	CHECK(setsockopt(fd, SOL_SOCKET, option, &t, sizeof(t)) == 0);
}

static void limit(struct wait *w)
{
	int copy = dup(w->fd[0]);

	time_limit(w, w->fd[0], SO_RCVTIMEO);
	/* It belongs to the socket, not to the number. */
	CHECK(copy >= 0);
	time_limit(w, copy, SO_SNDTIMEO);
	CHECK(close(copy) == 0);
}

static void make_stream(struct wait *w)
{
	unix_pair(SOCK_STREAM, w->fd, SMALL);
	limit(w);
}

static void make_dgram(struct wait *w)
{
	unix_pair(SOCK_DGRAM, w->fd, 0);
	limit(w);
}

static void make_tcp(struct wait *w)
{
	tcp_pair(w->fd, SMALL);
	limit(w);
}

static void make_udp(struct wait *w)
{
	w->fd[0] = bound(AF_INET, SOCK_DGRAM, 0);
	limit(w);
}

static void make_listener(struct wait *w)
{
	w->fd[0] = listener(AF_UNIX, 0, 0);
	limit(w);
}

static void make_tcp_listener(struct wait *w)
{
	w->fd[0] = listener(AF_INET, 0, 0);
	limit(w);
}

/* Its backlog is full. */
static void make_connect(struct wait *w)
{
	w->fd[1] = listener(AF_UNIX, 0, 0);
	w->spare = connected(AF_UNIX, w->fd[1], 0);
	w->fd[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	limit(w);
}

static void make_tcp_connect(struct wait *w)
{
	w->fd[1] = listener(AF_INET, 0, 0);
	w->spare = connected(AF_INET, w->fd[1], 0);
	w->fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	limit(w);
}

static void make_full(struct wait *w)
{
	unix_pair(SOCK_STREAM, w->fd, SMALL);
	fill(w->fd[0]);
	limit(w);
}

static void make_full_dgram(struct wait *w)
{
	make_dgram(w);
	while (send(w->fd[0], "x", 1, MSG_DONTWAIT) == 1)
		;
	CHECK_EQ(errno, EAGAIN);
}

static void make_three(struct wait *w)
{
	make_tcp(w);
	CHECK_EQ(write(w->fd[1], "abc", 3), 3);
}

static long in_read(struct wait *w)
{
	char c;

	return from(read(w->fd[0], &c, 1));
}

static long in_readv(struct wait *w)
{
	char c;
	struct iovec iov = { &c, 1 };

	return from(readv(w->fd[0], &iov, 1));
}

static long in_recv(struct wait *w)
{
	char c;

	return from(recv(w->fd[0], &c, 1, 0));
}

static long in_recv_all(struct wait *w)
{
	char c[10];

	return from(recv(w->fd[0], c, 10, MSG_WAITALL));
}

static long in_recvfrom(struct wait *w)
{
	union name name;
	socklen_t size = sizeof(name);
	char c;

	return from(recvfrom(w->fd[0], &c, 1, 0, &name.any, &size));
}

static long in_recvmsg(struct wait *w)
{
	char c;
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	return from(recvmsg(w->fd[0], &m, MSG_PEEK));
}

static long in_recvmmsg(struct wait *w)
{
	char c;
	struct iovec iov = { &c, 1 };
	struct mmsghdr m = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };

	return from(recvmmsg(w->fd[0], &m, 1, 0, NULL));
}

static long in_accept(struct wait *w)
{
	return from(accept(w->fd[0], NULL, NULL));
}

static long in_accept4(struct wait *w)
{
	return from(accept4(w->fd[0], NULL, NULL, SOCK_NONBLOCK));
}

static long in_connect(struct wait *w)
{
	return from(connect_to(w->fd[0], w->fd[1]));
}

static char big[BIG];

static long in_write(struct wait *w)
{
	return from(write(w->fd[0], big, BIG));
}

static long in_send(struct wait *w)
{
	return from(send(w->fd[0], big, 5, 0));
}

static long in_sendmsg(struct wait *w)
{
	struct iovec iov = { big, 5 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	return from(sendmsg(w->fd[0], &m, 0));
}

/* What went in until then counts. */
static long in_long_send(struct wait *w)
{
	long n = from(send(w->fd[0], big, BIG, 0));

	if (n <= 0 || n >= BIG)
		return n;
	drain(w->fd[1], 0, n);
	return 0;
}

/* ---- Waiting for files --------------------------------------------------- */

static void make_pipe(struct wait *w)
{
	CHECK(pipe(w->fd) == 0);
}

static void make_set(struct wait *w)
{
	struct epoll_event e = { .events = EPOLLIN };

	make_pipe(w);
	w->spare = epoll_create1(0);
	CHECK(w->spare >= 0);
	CHECK(epoll_ctl(w->spare, EPOLL_CTL_ADD, w->fd[0], &e) == 0);
}

static struct timespec spec(struct wait *w)
{
	return (struct timespec){ w->ms / 1000, w->ms % 1000 * 1000000 };
}

static long in_poll(struct wait *w)
{
	struct pollfd p[2] = { { w->fd[0], POLLIN, 77 }, { -1, POLLIN, 77 } };
	long n = from(poll(p, 2, w->ms));

	CHECK(p[0].revents == 0 && p[1].revents == 0);
	return n;
}

static long in_poll_none(struct wait *w)
{
	return from(poll(NULL, 0, w->ms));
}

static long in_ppoll(struct wait *w)
{
	struct pollfd p = { w->fd[0], POLLIN, 77 };
	struct timespec t = spec(w), was = t;
	long n = from(ppoll(&p, 1, &t, NULL));

	CHECK_EQ(p.revents, 0);
	/* The program's own, whatever the kernel does with it. */
	CHECK(t.tv_sec == was.tv_sec && t.tv_nsec == was.tv_nsec);
	return n;
}

static long in_select(struct wait *w)
{
	struct timeval t = { w->ms / 1000, w->ms % 1000 * 1000 };
	fd_set in, out, odd;
	long n;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&odd);
	FD_SET(w->fd[0], &in);
	FD_SET(w->fd[0], &odd);
	n = from(select(w->fd[0] + 1, &in, &out, &odd, &t));
	CHECK(!FD_ISSET(w->fd[0], &in) && !FD_ISSET(w->fd[0], &odd));
	/* This one says what was left of it. */
	CHECK(t.tv_sec == 0 && t.tv_usec == 0);
	return n;
}

static long in_select_none(struct wait *w)
{
	struct timeval t = { w->ms / 1000, w->ms % 1000 * 1000 };

	return from(select(0, NULL, NULL, NULL, &t));
}

static long in_pselect(struct wait *w)
{
	struct timespec t = spec(w), was = t;
	fd_set in;
	long n;

	FD_ZERO(&in);
	FD_SET(w->fd[0], &in);
	n = from(pselect(w->fd[0] + 1, &in, NULL, NULL, &t, NULL));
	CHECK(!FD_ISSET(w->fd[0], &in));
	CHECK(t.tv_sec == was.tv_sec && t.tv_nsec == was.tv_nsec);
	return n;
}

static long in_epoll_wait(struct wait *w)
{
	struct epoll_event e;

	return from(epoll_wait(w->spare, &e, 1, w->ms));
}

static long in_epoll_pwait(struct wait *w)
{
	struct epoll_event e;
	sigset_t set;

	sigfillset(&set);
	return from(epoll_pwait(w->spare, &e, 1, w->ms, &set));
}

static long in_epoll_pwait2(struct wait *w)
{
	struct epoll_event e;
	struct timespec t = spec(w);

	return from(epoll_pwait2(w->spare, &e, 1, &t, NULL));
}

#define ONE(n, m, c, r)                                                        \
	{                                                                      \
		.name = n, .make = m, .call = c, .want = r                     \
	}

static const struct wait kinds[] = {
	ONE("read", make_stream, in_read, -EAGAIN),
	ONE("readv", make_stream, in_readv, -EAGAIN),
	ONE("recv", make_stream, in_recv, -EAGAIN),
	ONE("recv of all", make_stream, in_recv_all, -EAGAIN),
	ONE("recv, datagrams", make_dgram, in_recv, -EAGAIN),
	ONE("recv, tcp", make_tcp, in_recv, -EAGAIN),
	ONE("recv of all but some, tcp", make_three, in_recv_all, 3),
	ONE("recvfrom, tcp", make_tcp, in_recvfrom, -EAGAIN),
	ONE("recvfrom, udp", make_udp, in_recvfrom, -EAGAIN),
	ONE("recvmsg", make_stream, in_recvmsg, -EAGAIN),
	ONE("recvmmsg, udp", make_udp, in_recvmmsg, -EAGAIN),
	ONE("accept", make_listener, in_accept, -EAGAIN),
	ONE("accept, tcp", make_tcp_listener, in_accept, -EAGAIN),
	ONE("accept4", make_listener, in_accept4, -EAGAIN),
	ONE("connect", make_connect, in_connect, -EAGAIN),
	ONE("connect, tcp", make_tcp_connect, in_connect, -EINPROGRESS),
	ONE("write", make_full, in_write, -EAGAIN),
	ONE("send", make_full, in_send, -EAGAIN),
	ONE("sendmsg", make_full, in_sendmsg, -EAGAIN),
	ONE("send, datagrams", make_full_dgram, in_send, -EAGAIN),
	ONE("send of much", make_stream, in_long_send, 0),
	ONE("send of much, tcp", make_tcp, in_long_send, 0),
	ONE("poll", make_pipe, in_poll, 0),
	ONE("poll of none", make_pipe, in_poll_none, 0),
	ONE("ppoll", make_pipe, in_ppoll, 0),
	ONE("select", make_pipe, in_select, 0),
	ONE("select of none", make_pipe, in_select_none, 0),
	ONE("pselect", make_pipe, in_pselect, 0),
	ONE("epoll_wait", make_set, in_epoll_wait, 0),
	ONE("epoll_pwait", make_set, in_epoll_pwait, 0),
	ONE("epoll_pwait2", make_set, in_epoll_pwait2, 0),
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* The clock of sockets ticks in whole jiffies, of ten milliseconds at most. */
static void *waits(void *arg)
{
	struct wait *w = arg;
	long got;

	w->end = in_ms(CLOCK_MONOTONIC, w->ms);
	got = w->call(w);
	if (got != w->want)
		check_fail(__FILE__, __LINE__, "%s for %d ms: %ld, not %ld",
			   w->name, w->ms, got, w->want);
	if (!reached(CLOCK_MONOTONIC, &w->end))
		check_fail(__FILE__, __LINE__, "%s: %d ms end too soon",
			   w->name, w->ms);
	return NULL;
}

static void time_is_up(void)
{
	static struct wait all[KINDS];
	struct timeval t;
	socklen_t size;
	int round, i;

	section("time is up");
	compose(big, 0, BIG);
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < KINDS; i++) {
			all[i] = kinds[i];
			all[i].fd[0] = all[i].fd[1] = all[i].spare = -1;
			all[i].ms = 1 + (i * 13 + round * 29) % 40;
			all[i].make(&all[i]);
		}
		for (i = 0; i < KINDS; i++)
			all[i].thread = start(waits, &all[i]);
		for (i = 0; i < KINDS; i++) {
			join(all[i].thread);
			size = sizeof(t);
			/* Not used up. */
			if (getsockopt(all[i].fd[0], SOL_SOCKET, SO_RCVTIMEO,
				       &t, &size) == 0)
				CHECK(t.tv_sec ||
				      t.tv_usec >= all[i].ms * 1000);
			CHECK(close(all[i].fd[0]) == 0);
			if (all[i].fd[1] >= 0)
				CHECK(close(all[i].fd[1]) == 0);
			if (all[i].spare >= 0)
				CHECK(close(all[i].spare) == 0);
		}
	}
}

/* ---- Ended before -------------------------------------------------------- */

static struct wait one;

static void *ends_before(void *arg)
{
	ENTERING();
	CHECK_EQ(one.call(&one), 1);
	return arg;
}

static long select_far(struct wait *w)
{
	struct timeval t = { FAR, 5 };
	fd_set in;

	FD_ZERO(&in);
	FD_SET(w->fd[0], &in);
	CHECK_EQ(select(w->fd[0] + 1, &in, NULL, NULL, &t), 1);
	CHECK(FD_ISSET(w->fd[0], &in));
	/* It has waited, so some of it is gone; nobody knows how much. */
	CHECK(t.tv_sec >= 0 && t.tv_sec <= FAR);
	CHECK(t.tv_sec < FAR || t.tv_usec <= 5);
	CHECK(t.tv_usec >= 0 && t.tv_usec < 1000000);
	return in_read(w);
}

static long poll_ever(struct wait *w)
{
	struct pollfd p = { w->fd[0], POLLIN, 0 };

	/* Any negative number is for ever. */
	CHECK_EQ(poll(&p, 1, -77), 1);
	return in_read(w);
}

static long poll_longest(struct wait *w)
{
	struct pollfd p = { w->fd[0], POLLIN, 0 };

	CHECK_EQ(poll(&p, 1, INT_MAX), 1);
	return in_read(w);
}

static long ppoll_longest(struct wait *w)
{
	struct pollfd p = { w->fd[0], POLLIN, 0 };
	struct timespec t = { LONG_MAX, 999999999 };

	CHECK_EQ(ppoll(&p, 1, &t, NULL), 1);
	return in_read(w);
}

static long pselect_longest(struct wait *w)
{
	struct timespec t = { LONG_MAX, 999999999 };
	fd_set in;

	FD_ZERO(&in);
	FD_SET(w->fd[0], &in);
	CHECK_EQ(pselect(w->fd[0] + 1, &in, NULL, NULL, &t, NULL), 1);
	return in_read(w);
}

static long epoll_ever(struct wait *w)
{
	struct epoll_event e;

	CHECK_EQ(epoll_wait(w->spare, &e, 1, -77), 1);
	return in_read(w);
}

static long epoll_longest(struct wait *w)
{
	struct epoll_event e;
	struct timespec t = { LONG_MAX, 999999999 };

	CHECK_EQ(epoll_pwait2(w->spare, &e, 1, &t, NULL), 1);
	return in_read(w);
}

static void before(void (*make)(struct wait *), long (*call)(struct wait *))
{
	pthread_t t;

	one = (struct wait){ .fd = { -1, -1 }, .spare = -1, .call = call };
	one.ms = FAR * 1000;
	make(&one);
	NOT_ENTERED();
	t = start(ends_before, NULL);
	ONCE_BLOCKED();
	CHECK_EQ(write(one.fd[1], "x", 1), 1);
	join(t);
	close_pair(one.fd);
	if (one.spare >= 0)
		CHECK(close(one.spare) == 0);
}

/* A limit of nothing is none. */
static void make_unlimited(struct wait *w)
{
	struct timeval t = { 0, 0 };

	make_stream(w);
	CHECK(setsockopt(w->fd[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) ==
	      0);
}

static void ended_before(void)
{
	section("ended before");
	before(make_stream, in_recv);
	before(make_tcp, in_read);
	before(make_unlimited, in_recv);
	before(make_pipe, select_far);
	before(make_pipe, poll_ever);
	before(make_pipe, poll_longest);
	before(make_pipe, ppoll_longest);
	before(make_pipe, pselect_longest);
	before(make_set, epoll_ever);
	before(make_set, epoll_longest);
}

/* Set while it waits, it is for the next call. */
static void *waits_twice(void *arg)
{
	ENTERING();
	CHECK_EQ(in_recv(&one), 1);
	one.end = in_ms(CLOCK_MONOTONIC, one.ms);
	CHECK_EQ(in_recv(&one), -EAGAIN);
	CHECK(reached(CLOCK_MONOTONIC, &one.end));
	return arg;
}

static void for_the_next(void)
{
	pthread_t t;

	section("for the next");
	unix_pair(SOCK_STREAM, one.fd, 0);
	NOT_ENTERED();
	t = start(waits_twice, NULL);
	ONCE_BLOCKED();
	one.ms = 2;
	time_limit(&one, one.fd[0], SO_RCVTIMEO);
	/* Past that time. */
	usleep(20000);
	CHECK_EQ(write(one.fd[1], "x", 1), 1);
	join(t);
	close_pair(one.fd);
}

/* ---- Nonsense, and no time ----------------------------------------------- */

static void at_once(void)
{
	struct timespec bad[] = { { -1, 0 }, { 0, -1 }, { 0, 1000000000 } };
	struct timespec none = { 0, 0 };
	struct timeval t, past = { -1, 0 };
	struct epoll_event e;
	struct pollfd p;
	fd_set in;
	int fd[2], set, i;

	section("at once");
	CHECK(pipe(fd) == 0);
	p = (struct pollfd){ fd[0], POLLIN, 77 };
	set = epoll_create1(0);
	e.events = EPOLLIN;
	CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd[0], &e) == 0);
	FD_ZERO(&in);
	FD_SET(fd[0], &in);
	for (i = 0; i < 3; i++) {
		ERR(EINVAL, ppoll(&p, 1, &bad[i], NULL));
		ERR(EINVAL, pselect(fd[0] + 1, &in, NULL, NULL, &bad[i], NULL));
		ERR(EINVAL, epoll_pwait2(set, &e, 1, &bad[i], NULL));
	}
	ERR(EINVAL, select(fd[0] + 1, &in, NULL, NULL, &past));
	ERR(EINVAL, select(-1, &in, NULL, NULL, NULL));
	ERR(EINVAL, epoll_wait(set, &e, 0, 0));
	ERR(EINVAL, epoll_wait(fd[0], &e, 1, 0));
	ERR(EBADF, epoll_wait(-1, &e, 1, 0));
	CHECK(FD_ISSET(fd[0], &in));
	t = (struct timeval){ 0, 0 };
	CHECK_EQ(select(fd[0] + 1, &in, NULL, NULL, &t), 0);
	CHECK(!FD_ISSET(fd[0], &in));
	FD_SET(fd[0], &in);
	CHECK_EQ(pselect(fd[0] + 1, &in, NULL, NULL, &none, NULL), 0);
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_EQ(p.revents, 0);
	CHECK_EQ(ppoll(&p, 1, &none, NULL), 0);
	CHECK_EQ(epoll_wait(set, &e, 1, 0), 0);
	CHECK_EQ(epoll_pwait2(set, &e, 1, &none, NULL), 0);
	/* There already: no time passes, however much there would be. */
	CHECK_EQ(write(fd[1], "x", 1), 1);
	t = (struct timeval){ FAR, 0 };
	FD_SET(fd[0], &in);
	CHECK_EQ(select(fd[0] + 1, &in, NULL, NULL, &t), 1);
	CHECK_EQ(poll(&p, 1, FAR), 1);
	CHECK_EQ(epoll_wait(set, &e, 1, FAR), 1);
	close_pair(fd);
	CHECK(close(set) == 0);
}

int main(void)
{
	time_is_up();
	ended_before();
	for_the_next();
	at_once();
	return 0;
}
