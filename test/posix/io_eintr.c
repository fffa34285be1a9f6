/*
 * io_eintr - hundreds of threads without handlers, in short transfers of every
 * kind: none of their calls is interrupted, and none of those that transfer
 * all or nothing comes back with less.  no_eintr has every call that blocks,
 * one thread in each; here it is a crowd in calls that are left and entered
 * all the time, larger than what the files hold, in both directions, beside
 * threads that compute, so that whatever interrupts threads does it in the
 * middle of transfers.
 *
 * io_eintr [rounds]
 */
#include "iocheck.h"
#include "sequence.h"
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/uio.h>

enum {
	ROUNDS = 25,
	HOGS = 4,
	COPIES = 8,	 /* pairs of each kind */
	LARGEST = 40000, /* of one transfer; a pipe or small socket has less */
	SMALL = 8 << 10,
	MESSAGE = 2000
};

struct pair {
	const struct kind *kind;
	int fd[2], back[2], index; /* one way; and the other */
	pthread_t giver, taker;
	char *out, *in;
};

struct kind {
	const char *name;
	void (*make)(struct pair *);
	long (*give)(struct pair *, long at, long n); /* all of it */
	long (*take)(struct pair *, long n);
	long most;
};

static long rounds = ROUNDS;

/* ---- Files --------------------------------------------------------------- */

static void make_pipe(struct pair *p)
{
	CHECK(pipe(p->fd) == 0);
	CHECK(fcntl(p->fd[1], F_SETPIPE_SZ, 4096) > 0);
}

static void make_unix(struct pair *p)
{
	unix_pair(SOCK_STREAM, p->fd, SMALL);
}

static void make_tcp(struct pair *p)
{
	tcp_pair(p->fd, SMALL);
}

static void make_dgram(struct pair *p)
{
	unix_pair(SOCK_DGRAM, p->fd, SMALL);
}

static void make_seqpacket(struct pair *p)
{
	unix_pair(SOCK_SEQPACKET, p->fd, SMALL);
}

static void make_eventfd(struct pair *p)
{
	p->fd[0] = eventfd(0, 0);
	p->fd[1] = dup(p->fd[0]);
	CHECK(p->fd[0] >= 0 && p->fd[1] >= 0);
}

static void make_listener(struct pair *p)
{
	p->fd[0] = listener(AF_UNIX, 0, 0);
	p->fd[1] = dup(p->fd[0]);
	CHECK(p->fd[1] >= 0);
}

/* ---- Calls --------------------------------------------------------------- */

static long give_write(struct pair *p, long at, long n)
{
	return write(p->fd[1], p->out + at, n);
}

static long give_writev(struct pair *p, long at, long n)
{
	struct iovec iov[3] = { { p->out + at, n / 3 },
				{ NULL, 0 },
				{ p->out + at + n / 3, n - n / 3 } };

	return writev(p->fd[1], iov, 3);
}

static long give_send(struct pair *p, long at, long n)
{
	return send(p->fd[1], p->out + at, n, 0);
}

static long give_sendmsg(struct pair *p, long at, long n)
{
	struct iovec iov[2] = { { p->out + at, n / 3 },
				{ p->out + at + n / 3, n - n / 3 } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	return sendmsg(p->fd[1], &m, 0);
}

static long give_sendmmsg(struct pair *p, long at, long n)
{
	struct iovec iov[2] = { { p->out + at, n / 2 },
				{ p->out + at + n / 2, n - n / 2 } };
	struct mmsghdr m[2] = { 0 };
	int i;

	for (i = 0; i < 2; i++) {
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	i = sendmmsg(p->fd[1], m, 2, 0);
	return i < 0 ? i : (long)m[0].msg_len + (i > 1 ? m[1].msg_len : 0);
}

/* As large as the round: what a counter can transfer. */
static long give_count(struct pair *p, long at, long n)
{
	uint64_t value = UINT64_MAX - 1;
	long ret = write(p->fd[1], &value, 8);

	(void)at;
	/* The second one waits until the first one is taken. */
	value = n;
	if (ret == 8)
		ret = write(p->fd[1], &value, 8);
	return ret == 8 ? n : ret;
}

static long take_count(struct pair *p, long n)
{
	uint64_t value;
	long ret = read(p->fd[0], &value, 8);

	if (ret != 8)
		return ret;
	CHECK_EQ(value, UINT64_MAX - 1);
	ret = read(p->fd[0], &value, 8);
	if (ret != 8)
		return ret;
	CHECK_EQ(value, n);
	compose(p->in, 0, n);
	return n;
}

/* What is there, be it less: only errors count. */
static long pieces(struct pair *p, long n,
		   long (*one)(struct pair *, long, long))
{
	long sum = 0, got;

	while (sum < n) {
		got = one(p, sum, n - sum);
		if (got <= 0)
			return got;
		sum += got;
	}
	return sum;
}

static long one_read(struct pair *p, long at, long n)
{
	return read(p->fd[0], p->in + at, n);
}

static long take_read(struct pair *p, long n)
{
	return pieces(p, n, one_read);
}

static long one_polled(struct pair *p, long at, long n)
{
	struct pollfd f = { p->fd[0], POLLIN, 0 };
	int ret = poll(&f, 1, p->index % 2 ? 600 * 1000 : -1);

	return ret == 1 ? read(p->fd[0], p->in + at, n) : -1;
}

static long take_polled(struct pair *p, long n)
{
	return pieces(p, n, one_polled);
}

static long one_selected(struct pair *p, long at, long n)
{
	fd_set in;

	FD_ZERO(&in);
	FD_SET(p->fd[0], &in);
	return select(p->fd[0] + 1, &in, NULL, NULL, NULL) == 1
		       ? read(p->fd[0], p->in + at, n)
		       : -1;
}

static long take_selected(struct pair *p, long n)
{
	return pieces(p, n, one_selected);
}

static long take_epolled(struct pair *p, long n)
{
	struct epoll_event e = { .events = EPOLLIN };
	long sum = 0, got = 0;
	int set = epoll_create1(0), ret;

	CHECK(set >= 0);
	CHECK(epoll_ctl(set, EPOLL_CTL_ADD, p->fd[0], &e) == 0);
	while (sum < n) {
		ret = epoll_wait(set, &e, 1, p->index % 2 ? 600 * 1000 : -1);
		got = ret == 1 ? read(p->fd[0], p->in + sum, n - sum) : -1;
		if (got <= 0)
			break;
		sum += got;
	}
	CHECK(close(set) == 0);
	return got <= 0 ? got : sum;
}

static long take_all(struct pair *p, long n)
{
	return recv(p->fd[0], p->in, n, MSG_WAITALL);
}

static long take_allmsg(struct pair *p, long n)
{
	struct iovec iov[2] = { { p->in, n / 3 },
				{ p->in + n / 3, n - n / 3 } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	return recvmsg(p->fd[0], &m, MSG_WAITALL);
}

static long take_message(struct pair *p, long n)
{
	return recv(p->fd[0], p->in, n + 1, 0);
}

static long take_messages(struct pair *p, long n)
{
	struct iovec iov[2] = { { p->in, n / 2 },
				{ p->in + n / 2, n - n / 2 } };
	struct mmsghdr m[2] = { 0 };
	int i;

	for (i = 0; i < 2; i++) {
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	i = recvmmsg(p->fd[0], m, 2, 0, NULL);
	return i < 0 ? i : (long)m[0].msg_len + (i > 1 ? m[1].msg_len : 0);
}

/* A connection a transfer; the backlog is full with one. */
static long give_connection(struct pair *p, long at, long n)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	long ret;

	CHECK(fd >= 0);
	ret = connect_to(fd, p->fd[1]);
	if (ret == 0)
		ret = write(fd, p->out + at, n);
	CHECK(close(fd) == 0);
	return ret;
}

static long take_connection(struct pair *p, long n)
{
	int fd = accept(p->fd[0], NULL, NULL);
	long ret;

	if (fd < 0)
		return -1;
	ret = recv(fd, p->in, n, MSG_WAITALL);
	CHECK(close(fd) == 0);
	return ret;
}

static const struct kind kinds[] = {
	{ "write and read, pipe", make_pipe, give_write, take_read, LARGEST },
	{ "writev and poll, pipe", make_pipe, give_writev, take_polled,
	  LARGEST },
	{ "write and select, pipe", make_pipe, give_write, take_selected,
	  LARGEST },
	{ "write and epoll, pipe", make_pipe, give_write, take_epolled,
	  LARGEST },
	{ "write and recv", make_unix, give_write, take_all, LARGEST },
	{ "writev and recvmsg", make_unix, give_writev, take_allmsg, LARGEST },
	{ "send and poll", make_unix, give_send, take_polled, LARGEST },
	{ "sendmsg and epoll", make_unix, give_sendmsg, take_epolled, LARGEST },
	{ "sendmmsg and read", make_unix, give_sendmmsg, take_read, LARGEST },
	{ "write and recv, tcp", make_tcp, give_write, take_all, LARGEST },
	{ "sendmsg and recvmsg, tcp", make_tcp, give_sendmsg, take_allmsg,
	  LARGEST },
	{ "send and poll, tcp", make_tcp, give_send, take_polled, LARGEST },
	{ "sendmmsg and recv, tcp", make_tcp, give_sendmmsg, take_all,
	  LARGEST },
	{ "send and recv, datagrams", make_dgram, give_send, take_message,
	  MESSAGE },
	{ "sendmmsg and recvmmsg", make_dgram, give_sendmmsg, take_messages,
	  MESSAGE },
	{ "write and recv, packets", make_seqpacket, give_write, take_message,
	  MESSAGE },
	{ "write and read, eventfd", make_eventfd, give_count, take_count,
	  LARGEST },
	{ "connect and accept", make_listener, give_connection, take_connection,
	  LARGEST },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* ---- All of them --------------------------------------------------------- */

/* All sizes up to the largest, with the small ones the most. */
static long size_of(const struct pair *p, long round)
{
	long n = (p->index * 7919L + round * 104729L) % 1000 + 2;

	if (round % 3 == 0)
		n = n * n % p->kind->most + 2;
	return n < p->kind->most ? n : p->kind->most;
}

static void expect(const struct pair *p, const char *what, long round, long got,
		   long want)
{
	if (got != want)
		check_fail(__FILE__, __LINE__,
			   "%s, round %ld: %s is %ld (%s), not %ld",
			   p->kind->name, round, what, got,
			   got < 0 ? strerror(errno) : "cut short", want);
}

static void *gives(void *arg)
{
	struct pair *p = arg;
	long i, n;
	char c;

	for (i = 0; i < rounds; i++) {
		n = size_of(p, i);
		expect(p, "the first", i, p->kind->give(p, 0, n), n);
		if (i % 4 == 0) {
			expect(p, "the answer", i, read(p->back[0], &c, 1), 1);
			CHECK_EQ(c, (char)i);
		}
	}
	return NULL;
}

static void *takes(void *arg)
{
	struct pair *p = arg;
	long i, n;
	char c;

	for (i = 0; i < rounds; i++) {
		n = size_of(p, i);
		memset(p->in, 0, n);
		expect(p, "the second", i, p->kind->take(p, n), n);
		check_composed(p->in, 0, n);
		c = (char)i;
		/* Both orders: who comes first waits. */
		if (i % 8 == 0)
			sched_yield();
		if (i % 4 == 0)
			expect(p, "answering", i, write(p->back[1], &c, 1), 1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct pair pairs[KINDS * COPIES];
	pthread_t hog[HOGS];
	struct pair *p;
	char *out;
	size_t i;

	if (argc > 1)
		rounds = atol(argv[1]);
	out = malloc(LARGEST + 2);
	CHECK(out != NULL);
	compose(out, 0, LARGEST + 2);
	for (i = 0; i < KINDS * COPIES; i++) {
		p = &pairs[i];
		p->index = (int)i;
		p->kind = &kinds[i % KINDS];
		p->kind->make(p);
		unix_pair(SOCK_STREAM, p->back, 0);
		p->out = out;
		p->in = malloc(LARGEST + 4);
		CHECK(p->in != NULL);
	}
	section("transfers");
	for (i = 0; i < HOGS; i++)
		hog[i] = start(computes_on, (void *)i);
	for (p = pairs; p < pairs + KINDS * COPIES; p++) {
		p->giver = start_small(gives, p);
		p->taker = start_small(takes, p);
	}
	for (p = pairs; p < pairs + KINDS * COPIES; p++) {
		join(p->giver);
		join(p->taker);
		close_pair(p->fd);
		close_pair(p->back);
		free(p->in);
	}
	stop_computing = 1;
	for (i = 0; i < HOGS; i++)
		CHECK(join(hog[i]) != NULL);
	free(out);
	printf("%ld rounds\n", rounds);
	return 0;
}
