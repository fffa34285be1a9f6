/*
 * io_blocks - every call that waits for a file, on every kind of file that it
 * takes: one thread blocks in it, and another one, which has processors only
 * if the first one's wait leaves it some, ends the wait.  The call does not
 * return before that; then its result and its data are exact.
 *
 * Three families: what waits for data, be it to read it, to accept it or only
 * to learn of it; what waits for room; and connect, which waits for accept.
 * The thread made last ends the wait in every second case and is the one that
 * waits in the others, so that the main thread is in both places.
 */
#include "iocheck.h"
#include <pty.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <termios.h>

/* Beside their names in headers: what other compilations of callers call. */
extern ssize_t __read(int, void *, size_t);
extern ssize_t __write(int, const void *, size_t);
extern ssize_t __send(int, const void *, size_t, int);
extern int __connect(int, const struct sockaddr *, socklen_t);
extern int __poll(struct pollfd *, nfds_t, int);
extern int __select(int, fd_set *, fd_set *, fd_set *, struct timeval *);
extern ssize_t __read_chk(int, void *, size_t, size_t);
extern ssize_t __recv_chk(int, void *, size_t, size_t, int);
extern ssize_t __recvfrom_chk(int, void *, size_t, size_t, int,
			      struct sockaddr *, socklen_t *);
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

#define WORD	  "hello"
#define WORD_SIZE 5

static int end[2] = { -1, -1 }, spare = -1; /* end[0] is the one that waits */
static int side[2];			    /* a pipe for what splice takes */
static const char *doing[2];		    /* for complaints */
static int entered, left, cases;
static long result;
static char folder[] = "/tmp/io_blocks.XXXXXX", path[64];
static char data[4096], big[BIG];

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

/* ---- What data comes from ------------------------------------------------ */

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

static void make_udp(void)
{
	end[0] = bound(AF_INET, SOCK_DGRAM, 0);
	end[1] = bound(AF_INET, SOCK_DGRAM, 0);
	CHECK(connect_to(end[1], end[0]) == 0);
}

static void make_eventfd(void)
{
	end[0] = eventfd(0, 0);
	CHECK(end[0] >= 0);
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

static void make_terminal(void)
{
	struct termios t;

	/* The slave is what reads and writes here. */
	CHECK(openpty(&end[1], &end[0], NULL, NULL, NULL) == 0);
	CHECK(tcgetattr(end[0], &t) == 0);
	cfmakeraw(&t);
	CHECK(tcsetattr(end[0], TCSANOW, &t) == 0);
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

static int kind; /* of the object */

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

/* ---- Calls that need room ------------------------------------------------ */

static long out_write(int fd, char *buf, size_t n)
{
	return write(fd, buf, n);
}

static long out_alias(int fd, char *buf, size_t n)
{
	return __write(fd, buf, n);
}

static long out_syscall(int fd, char *buf, size_t n)
{
	return syscall(SYS_write, fd, buf, n);
}

static long out_writev(int fd, char *buf, size_t n)
{
	return writev(fd, pieces(buf, n), 3);
}

static long out_pwritev2(int fd, char *buf, size_t n)
{
	return pwritev2(fd, pieces(buf, n), 3, -1, 0);
}

static long out_pwritev64v2(int fd, char *buf, size_t n)
{
	return pwritev64v2(fd, pieces(buf, n), 3, -1, 0);
}

static long out_send(int fd, char *buf, size_t n)
{
	return send(fd, buf, n, 0);
}

static long out_alias_send(int fd, char *buf, size_t n)
{
	return __send(fd, buf, n, MSG_NOSIGNAL);
}

static union name target;
static socklen_t target_size; /* 0: connected */

static long out_sendto(int fd, char *buf, size_t n)
{
	return sendto(fd, buf, n, 0, target_size ? &target.any : NULL,
		      target_size);
}

static long out_sendmsg(int fd, char *buf, size_t n)
{
	struct msghdr m = { .msg_iov = pieces(buf, n),
			    .msg_iovlen = 3,
			    .msg_name = target_size ? &target : NULL,
			    .msg_namelen = target_size };

	return sendmsg(fd, &m, 0);
}

static long out_sendmmsg(int fd, char *buf, size_t n)
{
	struct mmsghdr m[2] = { 0 };
	struct iovec iov[2] = { { buf, n / 2 }, { buf + n / 2, n - n / 2 } };
	int i, count = kind & STREAMS ? 2 : 1;

	if (count == 1)
		iov[0].iov_len = n;
	for (i = 0; i < count; i++) {
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
		if (target_size) {
			m[i].msg_hdr.msg_name = &target;
			m[i].msg_hdr.msg_namelen = target_size;
		}
	}
	i = sendmmsg(fd, m, count, 0);
	if (i != count)
		return -1;
	return m[0].msg_len + m[1].msg_len;
}

/* Those below may take less than they are offered, even where they block. */
static long out_sendfile(int fd, char *buf, size_t n)
{
	int file = memfd_create("io_blocks", 0);
	size_t sum = 0;
	long put;

	CHECK(file >= 0);
	CHECK_EQ(write(file, buf, n), n);
	CHECK_EQ(lseek(file, 0, SEEK_SET), 0);
	while (sum < n) {
		put = sendfile(fd, file, NULL, n - sum);
		CHECK(put > 0);
		sum += put;
	}
	CHECK(close(file) == 0);
	return sum;
}

static long out_splice(int fd, char *buf, size_t n)
{
	size_t sum = 0, chunk;
	long put;

	while (sum < n) {
		chunk = n - sum < 4096 ? n - sum : 4096;
		CHECK_EQ(write(side[1], buf + sum, chunk), chunk);
		while (chunk > 0) {
			put = splice(side[0], NULL, fd, NULL, chunk, 0);
			CHECK(put > 0);
			chunk -= put;
			sum += put;
		}
	}
	return sum;
}

static long out_tee(int fd, char *buf, size_t n)
{
	size_t sum = 0, chunk;
	char was[4096];
	long put;

	while (sum < n) {
		chunk = n - sum < 4096 ? n - sum : 4096;
		CHECK_EQ(write(side[1], buf + sum, chunk), chunk);
		put = tee(side[0], fd, chunk, 0);
		CHECK(put > 0);
		CHECK_EQ(read(side[0], was, chunk), chunk);
		sum += put;
	}
	return sum;
}

static long out_vmsplice(int fd, char *buf, size_t n)
{
	struct iovec iov;
	size_t sum = 0;
	long put;

	while (sum < n) {
		iov = (struct iovec){ buf + sum, n - sum };
		put = vmsplice(fd, &iov, 1, 0);
		CHECK(put > 0);
		sum += put;
	}
	return sum;
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
	{ "accept", in_accept, LISTENERS },
	{ "accept4", in_accept4, LISTENERS },
};

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

struct giver {
	const char *name;
	long (*call)(int fd, char *buf, size_t n);
	int kind;
};

static const struct giver givers[] = {
	{ "write", out_write, FILES },
	{ "__write", out_alias, FILES },
	{ "syscall(SYS_write)", out_syscall, FILES },
	{ "writev", out_writev, FILES },
	{ "pwritev2", out_pwritev2, FILES },
	{ "pwritev64v2", out_pwritev64v2, FILES },
	{ "send", out_send, SOCKETS },
	{ "__send", out_alias_send, SOCKETS },
	{ "sendto", out_sendto, SOCKETS },
	{ "sendmsg", out_sendmsg, SOCKETS },
	{ "sendmmsg", out_sendmmsg, SOCKETS },
	{ "sendfile", out_sendfile, SPLICES },
	{ "splice", out_splice, SPLICES },
	{ "tee", out_tee, PIPES },
	{ "vmsplice", out_vmsplice, PIPES },
};

#define EACH(p, table)                                                         \
	(p = table; p < table + sizeof(table) / sizeof(table[0]); p++)

/* ---- Waiting for data ---------------------------------------------------- */

static const struct source *source;
static const struct taker *taker;
static const struct waiter *waiter;
static const struct giver *giver;
static const char *complaint;
static short wanted;

static void take(void)
{
	result = taker->call(end[0], data, sizeof(data));
}

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

/* ---- Waiting for room in a stream ---------------------------------------- */

static long before; /* how much it was full with */

static void give(void)
{
	result = giver->call(end[0], big, BIG);
}

static void take_all(void)
{
	drain(end[1], 0, before + BIG);
}

static void take_what_was(void)
{
	drain(end[1], 0, before);
}

static void swap_ends(void)
{
	int fd = end[0];

	end[0] = end[1];
	end[1] = fd;
}

/* Full in every second case; otherwise a part of it goes in at first. */
static void waits_for_room(const char *name, void (*make)(void), int what)
{
	kind = what;
	for
		EACH(giver, givers)
		{
			if (!(kind & giver->kind))
				continue;
			make();
			before = cases / 2 % 2 ? fill(end[0]) : 0;
			compose(big, before, BIG);
			run(giver->name, name, give, take_all);
			expect(BIG);
			close_ends();
		}
	wanted = POLLOUT;
	for
		EACH(waiter, waiters)
		{
			make();
			before = fill(end[0]);
			run(waiter->name, name, wait_for_it, take_what_was);
			check_wait();
			close_ends();
		}
}

static void make_out_pipe(void)
{
	make_pipe();
	swap_ends();
}

static void make_out_fifo(void)
{
	make_fifo();
	swap_ends();
}

/* ---- Waiting for room for a message -------------------------------------- */

static void make_addressed(void)
{
	end[0] = socket(AF_UNIX, SOCK_DGRAM, 0);
	CHECK(end[0] >= 0);
	end[1] = bound(AF_UNIX, SOCK_DGRAM, 0);
	target_size = name_of(end[1], &target);
}

static long fill_messages(void)
{
	char text[32];
	long n, ret;

	for (n = 0;; n++) {
		snprintf(text, sizeof(text), "%05ld", n);
		ret = sendto(end[0], text, WORD_SIZE, MSG_DONTWAIT,
			     target_size ? &target.any : NULL, target_size);
		if (ret < 0)
			break;
		CHECK_EQ(ret, WORD_SIZE);
	}
	CHECK_EQ(errno, EAGAIN);
	return n;
}

static void take_messages(void)
{
	char text[32], got[16];
	long n;

	for (n = 0; n < before; n++) {
		snprintf(text, sizeof(text), "%05ld", n);
		CHECK_EQ(read(end[1], got, sizeof(got)), WORD_SIZE);
		CHECK(memcmp(got, text, WORD_SIZE) == 0);
	}
}

static void give_word(void)
{
	char word[] = WORD;

	result = giver->call(end[0], word, WORD_SIZE);
}

/* Without a peer of its own, it cannot be waited for: there is no poll. */
static void waits_for_message_room(const char *name, void (*make)(void))
{
	char got[16];

	kind = FILES | SOCKETS;
	for
		EACH(giver, givers)
		{
			target_size = 0;
			make();
			if ((kind & giver->kind) &&
			    (!target_size || giver->call == out_sendto ||
			     giver->call == out_sendmsg ||
			     giver->call == out_sendmmsg)) {
				before = fill_messages();
				run(giver->name, name, give_word,
				    take_messages);
				expect(WORD_SIZE);
				CHECK_EQ(read(end[1], got, sizeof(got)),
					 WORD_SIZE);
				CHECK(memcmp(got, WORD, WORD_SIZE) == 0);
			}
			close_ends();
		}
	if (target_size) {
		target_size = 0;
		return;
	}
	wanted = POLLOUT;
	for
		EACH(waiter, waiters)
		{
			make();
			before = fill_messages();
			run(waiter->name, name, wait_for_it, take_messages);
			check_wait();
			close_ends();
		}
}

static void give_count(void)
{
	uint64_t value = 7;

	result = write(end[0], &value, 8);
}

static void take_count(void)
{
	uint64_t value = 0;

	CHECK_EQ(read(end[0], &value, 8), 8);
	CHECK_EQ(value, UINT64_MAX - 1);
}

static void waits_for_count(void)
{
	uint64_t value = UINT64_MAX - 1;

	make_eventfd();
	CHECK_EQ(write(end[0], &value, 8), 8);
	run("write", "an eventfd", give_count, take_count);
	expect(8);
	CHECK_EQ(read(end[0], &value, 8), 8);
	CHECK_EQ(value, 7);
	close_ends();
	wanted = POLLOUT;
	for
		EACH(waiter, waiters)
		{
			value = UINT64_MAX - 1;
			make_eventfd();
			CHECK_EQ(write(end[0], &value, 8), 8);
			run(waiter->name, "an eventfd", wait_for_it,
			    take_count);
			check_wait();
			close_ends();
		}
}

/* ---- connect ------------------------------------------------------------- */

typedef int connect_fn(int, const struct sockaddr *, socklen_t);
static connect_fn *connects;

static void do_connect(void)
{
	union name name;
	socklen_t size = name_of(end[1], &name);

	result = connects(end[0], &name.any, size);
}

static void accept_one(void)
{
	int fd = accept(end[1], NULL, NULL);

	CHECK(fd >= 0);
	CHECK(close(fd) == 0);
}

/* The first one fills the backlog. */
static void waits_for_accept(connect_fn *fn, const char *name)
{
	connects = fn;
	end[1] = listener(AF_UNIX, 0, 0);
	spare = connected(AF_UNIX, end[1], 0);
	end[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	run(name, "a full listener", do_connect, accept_one);
	expect(0);
	accept_one();
	close_ends();
}

/*
 * Here the kernel tries again after a second, and tells nobody: so this one
 * goes on beside all others.
 */
static int tcp_listening, tcp_left;

static void *connects_by_tcp(void *arg)
{
	int fd = connected(AF_INET, tcp_listening, 0);
	char buf[16];

	STORE(tcp_left, 1);
	CHECK_EQ(write(fd, WORD, WORD_SIZE), WORD_SIZE);
	CHECK_EQ(read(fd, buf, sizeof(buf)), 0);
	CHECK(close(fd) == 0);
	return arg;
}

static pthread_t start_tcp(void)
{
	pthread_t t;
	int fd;

	tcp_listening = listener(AF_INET, 0, 0);
	fd = connected(AF_INET, tcp_listening, 0);
	t = start(connects_by_tcp, NULL);
	settle();
	CHECK(!LOAD(tcp_left));
	CHECK(close(fd) == 0);
	fd = accept(tcp_listening, NULL, NULL);
	CHECK(fd >= 0);
	CHECK(close(fd) == 0);
	return t;
}

static void finish_tcp(pthread_t t)
{
	int fd = accept(tcp_listening, NULL, NULL);
	char buf[16];

	CHECK(fd >= 0);
	CHECK_EQ(read(fd, buf, sizeof(buf)), WORD_SIZE);
	CHECK(memcmp(buf, WORD, WORD_SIZE) == 0);
	CHECK(close(fd) == 0);
	join(t);
	CHECK(close(tcp_listening) == 0);
}

int main(void)
{
	pthread_t tcp;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	CHECK(mkdtemp(folder) != NULL);
	snprintf(path, sizeof(path), "%s/file", folder);
	CHECK(pipe(side) == 0);
	tcp = start_tcp();
	section("data");
	waits_for_data();
	section("room");
	waits_for_room("a pipe", make_out_pipe, FILES | SPLICES | PIPES);
	waits_for_room("a fifo", make_out_fifo, FILES | SPLICES | PIPES);
	waits_for_room("a stream", make_stream,
		       FILES | SOCKETS | STREAMS | SPLICES);
	/* What those are full of may yet move to the other end by itself. */
	may_return = 1;
	waits_for_room("tcp", make_tcp, FILES | SOCKETS | STREAMS | SPLICES);
	waits_for_room("a terminal", make_terminal, FILES);
	may_return = 0;
	section("room for a message");
	waits_for_message_room("a datagram socket", make_dgram);
	waits_for_message_room("a seqpacket socket", make_seqpacket);
	waits_for_message_room("an address", make_addressed);
	waits_for_count();
	section("accept");
	waits_for_accept(connect, "connect");
	waits_for_accept(__connect, "__connect");
	finish_tcp(tcp);
	CHECK(rmdir(folder) == 0);
	printf("%d cases\n", cases);
	return 0;
}
