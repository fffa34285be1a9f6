/*
 * io_cancel - a thread that waits for a file is cancelled: it ends there, its
 * cleanup handlers run, and nothing is taken from the file, whose data is for
 * the next one who asks; so it is for one that holds a robust mutex, which may
 * have a kernel thread to itself for it.  Each of these calls also ends a thread that has been
 * cancelled before, and that has no need to wait; and none of them one that
 * has put it off.
 */
#include "iocheck.h"
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/uio.h>

enum { SMALL = 16 << 10, BIG = 300000 };

static int end[2], spare = -1;
static int cleaned, left, disabled, early, wired;
static pthread_mutex_t robust;
static char big[BIG];

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

static void make_set(void)
{
	struct epoll_event e = { .events = EPOLLIN };

	make_pipe();
	spare = epoll_create1(0);
	CHECK(spare >= 0);
	CHECK(epoll_ctl(spare, EPOLL_CTL_ADD, end[0], &e) == 0);
}

static void make_listener(void)
{
	end[0] = listener(AF_UNIX, 5, 0);
	end[1] = socket(AF_UNIX, SOCK_STREAM, 0);
}

static void make_full(void)
{
	make_stream();
	while (send(end[0], big, sizeof(big), MSG_DONTWAIT) > 0)
		;
	while (send(end[0], big, 1, MSG_DONTWAIT) > 0)
		;
	CHECK_EQ(errno, EAGAIN);
}

static void make_room(void)
{
	while (recv(end[1], big, sizeof(big), MSG_DONTWAIT) > 0)
		;
}

static void nothing(void)
{
}

static void in_write(void)
{
	CHECK_EQ(write(end[0], "c", 1), 1);
}

static void in_writev(void)
{
	struct iovec iov = { "c", 1 };

	CHECK_EQ(writev(end[0], &iov, 1), 1);
}

static void in_send(void)
{
	CHECK_EQ(send(end[0], "c", 1, 0), 1);
}

static void in_sendmsg(void)
{
	struct iovec iov = { "c", 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	CHECK_EQ(sendmsg(end[0], &m, 0), 1);
}

static void in_recvmmsg(void)
{
	char c;
	struct iovec iov = { &c, 1 };
	struct mmsghdr m = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };

	CHECK_EQ(recvmmsg(end[0], &m, 1, 0, NULL), 1);
}

static void in_splice(void)
{
	int fd[2];

	/* A thread that ends in it leaves them open. */
	CHECK(pipe(fd) == 0);
	CHECK_EQ(splice(end[0], NULL, fd[1], NULL, 1, 0), 1);
	CHECK(close(fd[0]) == 0 && close(fd[1]) == 0);
}

static void in_read(void)
{
	char c;

	CHECK_EQ(read(end[0], &c, 1), 1);
}

static void in_readv(void)
{
	char c;
	struct iovec iov = { &c, 1 };

	CHECK_EQ(readv(end[0], &iov, 1), 1);
}

static void in_recv(void)
{
	char c;

	CHECK_EQ(recv(end[0], &c, 1, 0), 1);
}

static void in_recvfrom(void)
{
	char c;

	CHECK_EQ(recvfrom(end[0], &c, 1, 0, NULL, NULL), 1);
}

static void in_recvmsg(void)
{
	char c;
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	CHECK_EQ(recvmsg(end[0], &m, 0), 1);
}

static void in_accept(void)
{
	int fd = accept(end[0], NULL, NULL);

	CHECK(fd >= 0);
	CHECK(close(fd) == 0);
}

static void in_poll(void)
{
	struct pollfd p = { end[0], POLLIN, 0 };

	CHECK_EQ(poll(&p, 1, -1), 1);
}

static void in_ppoll(void)
{
	struct pollfd p = { end[0], POLLIN, 0 };
	struct timespec t = { 600, 0 };

	CHECK_EQ(ppoll(&p, 1, &t, NULL), 1);
}

static void in_select(void)
{
	fd_set in;

	FD_ZERO(&in);
	FD_SET(end[0], &in);
	CHECK_EQ(select(end[0] + 1, &in, NULL, NULL, NULL), 1);
}

static void in_pselect(void)
{
	struct timespec t = { 600, 0 };
	fd_set in;

	FD_ZERO(&in);
	FD_SET(end[0], &in);
	CHECK_EQ(pselect(end[0] + 1, &in, NULL, NULL, &t, NULL), 1);
}

static void in_epoll_wait(void)
{
	struct epoll_event e;

	CHECK_EQ(epoll_wait(spare, &e, 1, -1), 1);
}

static void in_epoll_pwait(void)
{
	struct epoll_event e;

	CHECK_EQ(epoll_pwait(spare, &e, 1, 600 * 1000, NULL), 1);
}

static void feed(void)
{
	CHECK_EQ(write(end[1], "c", 1), 1);
}

static void connects(void)
{
	CHECK(connect_to(end[1], end[0]) == 0);
}

/* It is there for whoever asks now. */
static void is_there(void)
{
	char c;

	CHECK_EQ(read(end[0], &c, 1), 1);
	CHECK_EQ(c, 'c');
}

static void is_connected(void)
{
	in_accept();
}

struct kind {
	const char *name;
	void (*make)(void), (*call)(void), (*feed)(void), (*check)(void);
	int keeps; /* what comes, even if it is not cancelled */
};

static const struct kind kinds[] = {
	{ "read, pipe", make_pipe, in_read, feed, is_there, 0 },
	{ "read", make_stream, in_read, feed, is_there, 0 },
	{ "readv", make_tcp, in_readv, feed, is_there, 0 },
	{ "recv", make_stream, in_recv, feed, is_there, 0 },
	{ "recvfrom", make_tcp, in_recvfrom, feed, is_there, 0 },
	{ "recvmsg", make_stream, in_recvmsg, feed, is_there, 0 },
	{ "recvmmsg", make_stream, in_recvmmsg, feed, is_there, 0 },
	{ "splice", make_pipe, in_splice, feed, is_there, 0 },
	{ "write", make_full, in_write, make_room, nothing, 0 },
	{ "writev", make_full, in_writev, make_room, nothing, 0 },
	{ "send", make_full, in_send, make_room, nothing, 0 },
	{ "sendmsg", make_full, in_sendmsg, make_room, nothing, 0 },
	{ "accept", make_listener, in_accept, connects, is_connected, 0 },
	{ "poll", make_pipe, in_poll, feed, is_there, 1 },
	{ "ppoll", make_pipe, in_ppoll, feed, is_there, 1 },
	{ "select", make_pipe, in_select, feed, is_there, 1 },
	{ "pselect", make_pipe, in_pselect, feed, is_there, 1 },
	{ "epoll_wait", make_set, in_epoll_wait, feed, is_there, 1 },
	{ "epoll_pwait", make_set, in_epoll_pwait, feed, is_there, 1 },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static const struct kind *kind;

static void cleanup(void *arg)
{
	CHECK(arg == &cleaned);
	if (wired)
		OK(pthread_mutex_unlock(&robust));
	ADD(cleaned, 1);
}

static void *waits(void *arg)
{
	int state;

	if (wired)
		OK(pthread_mutex_lock(&robust));
	pthread_cleanup_push(cleanup, &cleaned);
	OK(pthread_setcancelstate(disabled ? PTHREAD_CANCEL_DISABLE
					   : PTHREAD_CANCEL_ENABLE,
				  &state));
	ENTERING();
	/* Nothing in here ends it. */
	if (early)
		YIELD_UNTIL(LOAD(left));
	kind->call();
	STORE(left, 1);
	if (disabled) {
		OK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state));
		pthread_testcancel();
	}
	pthread_cleanup_pop(1);
	return arg;
}

static pthread_t begin(thread_fn *fn)
{
	pthread_t t;

	cleaned = left = 0;
	NOT_ENTERED();
	t = start(fn, NULL);
	ONCE_BLOCKED();
	return t;
}

static void expect_cancelled(pthread_t t, const char *how)
{
	if (join(t) != PTHREAD_CANCELED || cleaned != 1)
		check_fail(__FILE__, __LINE__, "%s, %s: not cancelled",
			   kind->name, how);
}

static void close_all(void)
{
	close_pair(end);
	if (spare >= 0)
		CHECK(close(spare) == 0);
	spare = -1;
}

static void while_waiting(void)
{
	pthread_t t;

	for (kind = kinds; kind < kinds + KINDS; kind++) {
		kind->make();
		t = begin(waits);
		OK(pthread_cancel(t));
		expect_cancelled(t, "waiting");
		CHECK(!LOAD(left));
		kind->feed();
		kind->check();
		close_all();
	}
}

/* The data is there already, and stays. */
static void before(void)
{
	pthread_t t;

	early = 1;
	for (kind = kinds; kind < kinds + KINDS; kind++) {
		kind->make();
		kind->feed();
		t = begin(waits);
		OK(pthread_cancel(t));
		STORE(left, 1);
		expect_cancelled(t, "before");
		kind->check();
		close_all();
	}
	early = 0;
}

static void put_off(void)
{
	pthread_t t;

	disabled = 1;
	for (kind = kinds; kind < kinds + KINDS; kind++) {
		kind->make();
		t = begin(waits);
		OK(pthread_cancel(t));
		settle();
		CHECK(!LOAD(left) && !LOAD(cleaned));
		kind->feed();
		expect_cancelled(t, "put off");
		CHECK(LOAD(left));
		if (kind->keeps)
			kind->check();
		close_all();
	}
	disabled = 0;
}

/* ---- In the middle of much ----------------------------------------------- */

static void *writes(void *arg)
{
	if (wired)
		OK(pthread_mutex_lock(&robust));
	pthread_cleanup_push(cleanup, &cleaned);
	compose(big, 0, BIG);
	ENTERING();
	while (write(end[0], big, BIG) > 0)
		;
	pthread_cleanup_pop(0);
	return arg;
}

/* What has gone in is there, and is a beginning of it. */
static void in_the_middle(void)
{
	char buf[4096];
	pthread_t t;
	long at = 0, n;

	kind = &(struct kind){ .name = "write" };
	make_stream();
	t = begin(writes);
	OK(pthread_cancel(t));
	expect_cancelled(t, "in the middle");
	CHECK(close(end[0]) == 0);
	while ((n = read(end[1], buf, sizeof(buf))) > 0) {
		check_composed(buf, at, n);
		at += n;
	}
	CHECK_EQ(n, 0);
	CHECK(at > 0 && at < BIG);
	CHECK(close(end[1]) == 0);
}

static void all(void)
{
	section("waiting");
	while_waiting();
	section("before");
	before();
	section("put off");
	put_off();
	section("in the middle");
	in_the_middle();
}

int main(void)
{
	pthread_mutexattr_t attr;

	all();
	section("with a robust mutex");
	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
	OK(pthread_mutex_init(&robust, &attr));
	wired = 1;
	all();
	return 0;
}
