/*
 * io_blocks_data - what waits for data, be it to read it, to accept it or only
 * to learn of it: see io_blocks.h.
 */
#include "io_blocks.h"
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

extern ssize_t __read(int, void *, size_t);
extern ssize_t __read_chk(int, void *, size_t, size_t);
extern ssize_t __recv_chk(int, void *, size_t, size_t, int);
extern ssize_t __recvfrom_chk(int, void *, size_t, size_t, int,
			      struct sockaddr *, socklen_t *);

#define WORD	  "hello"
#define WORD_SIZE 5

static char data[4096];

/* ---- What data comes from ------------------------------------------------ */

static void make_udp(void)
{
	end[0] = bound(AF_INET, SOCK_DGRAM, 0);
	end[1] = bound(AF_INET, SOCK_DGRAM, 0);
	CHECK(connect_to(end[1], end[0]) == 0);
}

static void make_semaphore(void)
{
	end[0] = eventfd(0, EFD_SEMAPHORE);
	CHECK(end[0] >= 0);
}

static void make_timerfd(void)
{
	end[0] = timerfd_create(CLOCK_MONOTONIC, 0);
	CHECK(end[0] >= 0);
}

static void make_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	end[0] = signalfd(-1, &set, 0);
	CHECK(end[0] >= 0);
}

static void make_inotify(void)
{
	end[0] = inotify_init1(0);
	CHECK(end[0] >= 0);
	CHECK(inotify_add_watch(end[0], folder, IN_CREATE) >= 0);
}

static void make_unix_listener(void)
{
	end[0] = listener(AF_UNIX, 5, 0);
}

static void make_tcp_listener(void)
{
	end[0] = listener(AF_INET, 5, 0);
}

static void feed_word(void)
{
	CHECK_EQ(write(end[1], WORD, WORD_SIZE), WORD_SIZE);
}

static void check_word(void)
{
	expect(WORD_SIZE);
	CHECK(memcmp(data, WORD, WORD_SIZE) == 0);
}

static void feed_eventfd(void)
{
	uint64_t value = 1;

	CHECK_EQ(write(end[0], &value, 8), 8);
}

/* One event, one expiry. */
static void check_count(void)
{
	uint64_t value;

	expect(8);
	memcpy(&value, data, 8);
	CHECK_EQ(value, 1);
}

static void feed_timerfd(void)
{
	struct itimerspec it = { .it_value = { 0, 1 } };

	CHECK(timerfd_settime(end[0], 0, &it, NULL) == 0);
}

static void feed_signalfd(void)
{
	CHECK(kill(getpid(), SIGUSR1) == 0);
}

static void check_siginfo(void)
{
	struct signalfd_siginfo si;

	expect(sizeof(si));
	memcpy(&si, data, sizeof(si));
	CHECK_EQ(si.ssi_signo, SIGUSR1);
	CHECK_EQ(si.ssi_pid, getpid());
}

static void feed_inotify(void)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	CHECK(fd >= 0);
	CHECK(close(fd) == 0);
	CHECK(unlink(path) == 0);
}

static void check_inotify(void)
{
	struct inotify_event e;

	memcpy(&e, data, sizeof(e));
	expect(sizeof(e) + e.len);
	CHECK_EQ(e.mask, IN_CREATE);
	CHECK(strcmp(data + sizeof(e), strrchr(path, '/') + 1) == 0);
}

static void feed_listener(void)
{
	union name name;

	name_of(end[0], &name);
	end[1] = connected(name.any.sa_family, end[0], 0);
	feed_word();
}

/* ---- Calls that take data ------------------------------------------------ */

static long in_read(int fd, void *buf, size_t n)
{
	return read(fd, buf, n);
}

static long in_alias(int fd, void *buf, size_t n)
{
	return __read(fd, buf, n);
}

static long in_read_chk(int fd, void *buf, size_t n)
{
	return __read_chk(fd, buf, n, sizeof(data));
}

static long in_syscall(int fd, void *buf, size_t n)
{
	return syscall(SYS_read, fd, buf, n);
}

static long in_readv(int fd, void *buf, size_t n)
{
	return readv(fd, pieces(buf, n), 3);
}

static long in_preadv2(int fd, void *buf, size_t n)
{
	return preadv2(fd, pieces(buf, n), 3, -1, 0);
}

static long in_preadv64v2(int fd, void *buf, size_t n)
{
	return preadv64v2(fd, pieces(buf, n), 3, -1, 0);
}

static long in_recv(int fd, void *buf, size_t n)
{
	return recv(fd, buf, n, 0);
}

static long in_recv_all(int fd, void *buf, size_t n)
{
	(void)n;
	return recv(fd, buf, WORD_SIZE, MSG_WAITALL);
}

static long in_recv_peek(int fd, void *buf, size_t n)
{
	long got = recv(fd, buf, n, MSG_PEEK);

	CHECK_EQ(got, WORD_SIZE);
	memset(buf, 0, n);
	return recv(fd, buf, n, MSG_DONTWAIT);
}

static long in_recv_chk(int fd, void *buf, size_t n)
{
	return __recv_chk(fd, buf, n, sizeof(data), 0);
}

static long in_recvfrom(int fd, void *buf, size_t n)
{
	union name from = { .any = { .sa_family = 77 } }, name;
	socklen_t size = sizeof(from);
	long got = recvfrom(fd, buf, n, 0, &from.any, &size);

	/* Bound ones only have an address. */
	if (got > 0 && size == sizeof(from.in)) {
		name_of(end[1], &name);
		CHECK_EQ(from.in.sin_port, name.in.sin_port);
	}
	return got;
}

static long in_recvfrom_chk(int fd, void *buf, size_t n)
{
	return __recvfrom_chk(fd, buf, n, sizeof(data), 0, NULL, NULL);
}

static long in_recvmsg(int fd, void *buf, size_t n)
{
	struct msghdr m = { .msg_iov = pieces(buf, n), .msg_iovlen = 3 };

	return recvmsg(fd, &m, 0);
}

static long in_recvmmsg(int fd, void *buf, size_t n)
{
	struct mmsghdr m[2] = { 0 };

	m[0].msg_hdr.msg_iov = pieces(buf, n);
	m[0].msg_hdr.msg_iovlen = 3;
	if (recvmmsg(fd, m, 2, MSG_WAITFORONE, NULL) != 1)
		return -1;
	return m[0].msg_len;
}

static long in_recvmmsg_timed(int fd, void *buf, size_t n)
{
	struct timespec t = { FAR, 0 };
	struct mmsghdr m = { 0 };

	m.msg_hdr.msg_iov = pieces(buf, n);
	m.msg_hdr.msg_iovlen = 3;
	if (recvmmsg(fd, &m, 1, 0, &t) != 1)
		return -1;
	return m.msg_len;
}

static long in_splice(int fd, void *buf, size_t n)
{
	long got = splice(fd, NULL, side[1], NULL, n, 0);

	return got > 0 ? read(side[0], buf, n) : got;
}

static long in_tee(int fd, void *buf, size_t n)
{
	long got = tee(fd, side[1], n, 0);

	if (got <= 0)
		return got;
	CHECK_EQ(read(side[0], buf, n), got);
	memset(buf, 0, n);
	/* Still there. */
	return read(fd, buf, n);
}

static long taken(int fd, void *buf, size_t n)
{
	long got;

	if (fd < 0)
		return fd;
	got = read(fd, buf, n);
	CHECK(close(fd) == 0);
	return got;
}

static long in_accept(int fd, void *buf, size_t n)
{
	union name from = { .any = { .sa_family = 77 } }, name;
	socklen_t size = sizeof(from);
	int got = accept(fd, &from.any, &size);

	if (got >= 0) {
		CHECK_EQ(fcntl(got, F_GETFL), O_RDWR);
		CHECK_EQ(fcntl(got, F_GETFD), 0);
		name_of(fd, &name);
		CHECK_EQ(from.any.sa_family, name.any.sa_family);
	}
	return taken(got, buf, n);
}

static long in_syscall_accept4(int fd, void *buf, size_t n)
{
	return taken((int)syscall(SYS_accept4, fd, NULL, NULL, SOCK_CLOEXEC),
		     buf, n);
}

static long in_syscall_recvfrom(int fd, void *buf, size_t n)
{
	return syscall(SYS_recvfrom, fd, buf, n, 0, NULL, NULL);
}

static long in_accept4(int fd, void *buf, size_t n)
{
	int got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (got >= 0) {
		CHECK_EQ(fcntl(got, F_GETFL), O_RDWR | O_NONBLOCK);
		CHECK_EQ(fcntl(got, F_GETFD), FD_CLOEXEC);
		nonblocking(got, 0);
	}
	return taken(got, buf, n);
}

/* ---- Tables -------------------------------------------------------------- */

struct source {
	const char *name;
	void (*make)(void), (*feed)(void), (*check)(void);
	int kind;
};

static const struct source sources[] = {
	{ "a pipe", make_pipe, feed_word, check_word, FILES | SPLICES | PIPES },
	{ "a fifo", make_fifo, feed_word, check_word, FILES | SPLICES | PIPES },
	{ "a stream", make_stream, feed_word, check_word,
	  FILES | SOCKETS | STREAMS | SPLICES },
	{ "a datagram socket", make_dgram, feed_word, check_word,
	  FILES | SOCKETS },
	{ "a seqpacket socket", make_seqpacket, feed_word, check_word,
	  FILES | SOCKETS },
	{ "tcp", make_tcp, feed_word, check_word,
	  FILES | SOCKETS | STREAMS | SPLICES },
	{ "udp", make_udp, feed_word, check_word, FILES | SOCKETS },
	{ "an eventfd", make_eventfd, feed_eventfd, check_count,
	  FILES | WHOLE },
	{ "a semaphore eventfd", make_semaphore, feed_eventfd, check_count,
	  FILES | WHOLE },
	{ "a timerfd", make_timerfd, feed_timerfd, check_count, FILES | WHOLE },
	{ "a signalfd", make_signalfd, feed_signalfd, check_siginfo,
	  FILES | WHOLE },
	{ "inotify", make_inotify, feed_inotify, check_inotify, FILES | WHOLE },
	{ "a terminal", make_terminal, feed_word, check_word, FILES },
	{ "a listener", make_unix_listener, feed_listener, check_word,
	  LISTENERS },
	{ "a tcp listener", make_tcp_listener, feed_listener, check_word,
	  LISTENERS },
};

struct taker {
	const char *name;
	long (*call)(int fd, void *buf, size_t n);
	int kind;
};

static const struct taker takers[] = {
	{ "read", in_read, FILES },
	{ "__read", in_alias, FILES },
	{ "__read_chk", in_read_chk, FILES },
	{ "syscall(SYS_read)", in_syscall, FILES },
	{ "readv", in_readv, FILES },
	{ "preadv2", in_preadv2, FILES },
	{ "preadv64v2", in_preadv64v2, FILES },
	{ "recv", in_recv, SOCKETS },
	{ "recv of all", in_recv_all, STREAMS },
	{ "recv with MSG_PEEK", in_recv_peek, SOCKETS },
	{ "__recv_chk", in_recv_chk, SOCKETS },
	{ "recvfrom", in_recvfrom, SOCKETS },
	{ "__recvfrom_chk", in_recvfrom_chk, SOCKETS },
	{ "recvmsg", in_recvmsg, SOCKETS },
	{ "recvmmsg", in_recvmmsg, SOCKETS },
	{ "recvmmsg with a timeout", in_recvmmsg_timed, SOCKETS },
	{ "splice", in_splice, SPLICES },
	{ "tee", in_tee, PIPES },
	{ "syscall(SYS_recvfrom)", in_syscall_recvfrom, SOCKETS },
	{ "syscall(SYS_accept4)", in_syscall_accept4, LISTENERS },
	{ "accept", in_accept, LISTENERS },
	{ "accept4", in_accept4, LISTENERS },
};

/* ---- All of them --------------------------------------------------------- */

static const struct source *source;
static const struct taker *taker;

static void take(void)
{
	result = taker->call(end[0], data, sizeof(data));
}

static void waits_for_data(void)
{
	for
		EACH(source, sources)
		{
			kind = source->kind;
		for
			EACH(taker, takers)
			{
				if (!(kind & taker->kind))
					continue;
				source->make();
				memset(data, 0, sizeof(data));
				run(taker->name, source->name, take,
				    source->feed);
				source->check();
				close_ends();
			}
		wanted = POLLIN;
		for
			EACH(waiter, waiters)
			{
				source->make();
				memset(data, 0, sizeof(data));
				run(waiter->name, source->name, wait_for_it,
				    source->feed);
				check_wait();
				result = kind & LISTENERS
						 ? in_accept(end[0], data,
							     sizeof(data))
						 : read(end[0], data,
							sizeof(data));
				source->check();
				close_ends();
			}
		}
}

int main(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	begin_cases();
	waits_for_data();
	end_cases();
	return 0;
}
