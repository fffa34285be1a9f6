/*
 * io_cancel - a thread that waits for a file is cancelled: it ends there, and nothing is
 * taken from the file, whose data is for the next one who asks.
 */
#include "cancel.h"
#include <sys/select.h>
#include <sys/uio.h>

enum { SMALL = 16 << 10, BIG = 300000 };

static int end[2], other[2], spare = -1;
static char big[BIG];

/* ---- Files and calls ----------------------------------------------------- */

static void make_pipe(void)
{
	CHECK(pipe(end) == 0);
}

static void make_pipes(void)
{
	make_pipe();
	CHECK(pipe(other) == 0);
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
	CHECK_EQ(splice(end[0], NULL, other[1], NULL, 1, 0), 1);
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

static void close_all(void)
{
	close_pair(end);
	if (spare >= 0)
		CHECK(close(spare) == 0);
	spare = -1;
}

static void close_pipes(void)
{
	close_pair(end);
	close_pair(other);
}

static const struct kind kinds[] = {
	{ "read, pipe", make_pipe, in_read, feed, close_all, 0, is_there },
	{ "read", make_stream, in_read, feed, close_all, 0, is_there },
	{ "readv", make_tcp, in_readv, feed, close_all, 0, is_there },
	{ "recv", make_stream, in_recv, feed, close_all, 0, is_there },
	{ "recvfrom", make_tcp, in_recvfrom, feed, close_all, 0, is_there },
	{ "recvmsg", make_stream, in_recvmsg, feed, close_all, 0, is_there },
	{ "recvmmsg", make_stream, in_recvmmsg, feed, close_all, 0, is_there },
	{ "splice", make_pipes, in_splice, feed, close_pipes, 0, is_there },
	{ "write", make_full, in_write, make_room, close_all, 0, nothing },
	{ "writev", make_full, in_writev, make_room, close_all, 0, nothing },
	{ "send", make_full, in_send, make_room, close_all, 0, nothing },
	{ "sendmsg", make_full, in_sendmsg, make_room, close_all, 0, nothing },
	{ "accept", make_listener, in_accept, connects, close_all, 0, is_connected },
	{ "poll", make_pipe, in_poll, feed, close_all, KEEPS, is_there },
	{ "ppoll", make_pipe, in_ppoll, feed, close_all, KEEPS, is_there },
	{ "select", make_pipe, in_select, feed, close_all, KEEPS, is_there },
	{ "pselect", make_pipe, in_pselect, feed, close_all, KEEPS, is_there },
	{ "epoll_wait", make_set, in_epoll_wait, feed, close_all, KEEPS, is_there },
	{ "epoll_pwait", make_set, in_epoll_pwait, feed, close_all, KEEPS, is_there },
};

/* ---- In the middle of much ----------------------------------------------- */

static void in_much(void)
{
	compose(big, 0, BIG);
	while (write(end[0], big, BIG) > 0)
		;
}

/* What has gone in is there, and is a beginning of it. */
static void in_the_middle(void)
{
	struct pollfd p;
	char buf[4096];
	long at = 0, n;

	section("in the middle");
	kind = &(struct kind){ .name = "write", .call = in_much };
	make_stream();
	begin();
	p = (struct pollfd){ end[1], POLLIN, 0 };
	CHECK_EQ(poll(&p, 1, -1), 1);
	OK(pthread_cancel(waiter));
	expect_cancelled("in the middle");
	CHECK(close(end[0]) == 0);
	while ((n = read(end[1], buf, sizeof(buf))) > 0) {
		check_composed(buf, at, n);
		at += n;
	}
	CHECK_EQ(n, 0);
	CHECK(at > 0 && at < BIG);
	CHECK(close(end[1]) == 0);
}

int main(void)
{
	CANCEL_ALL(kinds, in_the_middle);
	return 0;
}
