/*
 * connect - threads connect to listeners that have no room: one at a time, and
 * so many that most of them wait in another way.  All are connected when there
 * is room; and before that a timeout, a signal and a cancellation end what they
 * end natively, and nothing else does.
 *
 * connect [threads]
 */
#include "iocheck.h"
#include <setjmp.h>
#include <sys/resource.h>

enum { CROWD = 12, MOST = 16, LAPS = 20 };

static long threads = 2000;
static int limited; /* kernel threads are to be few */

/* ---- Listeners without room ---------------------------------------------- */

static int full_listener(int family)
{
	int l = listener(family, 1, 0), full = 0, fd;

	while (!full) {
		fd = socket(family, SOCK_STREAM, 0);
		CHECK(fd >= 0);
		nonblocking(fd, 1);
		full = connect_to(fd, l) != 0;
		/* On loopback a connection that has room is made at once. */
		if (full && errno == EINPROGRESS) {
			struct pollfd p = { fd, POLLOUT, 0 };

			full = poll(&p, 1, 20) == 0;
		}
		/* It stays in the queue without us. */
		CHECK(close(fd) == 0);
	}
	return l;
}

/* Room for all, and a byte of greeting for each. */
static void *accepts_all(void *arg)
{
	int l = *(int *)arg, fd;

	for (;;) {
		fd = accept(l, NULL, NULL);
		if (fd < 0 && errno == EINVAL)
			return NULL; /* shut down */
		CHECK(fd >= 0);
		/* Whoever has gone away since does not read it. */
		if (send(fd, "x", 1, MSG_NOSIGNAL) < 0)
			CHECK(errno == EPIPE || errno == ECONNRESET);
		CHECK(close(fd) == 0);
	}
}

static pthread_t make_room(int *l)
{
	CHECK(listen(*l, 4096) == 0);
	return start(accepts_all, l);
}

static void done(int *l, pthread_t t)
{
	CHECK(shutdown(*l, SHUT_RD) == 0);
	join(t);
	CHECK(close(*l) == 0);
}

static void greeted(int fd)
{
	char c = 0;

	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_EQ(c, 'x');
}

/* ---- Crowds -------------------------------------------------------------- */

struct crowd {
	int family, listener, here, over;
	long n;
	int *fd;
	pthread_t *all;
};

static void *one_of_many(void *arg)
{
	struct crowd *c = arg;
	int fd = c->fd[ADD(c->here, 1) - 1];

	errno = ERRNO_MARK;
	CHECK_EQ(connect_to(fd, c->listener), 0);
	CHECK_EQ(errno, ERRNO_MARK);
	ADD(c->over, 1);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	greeted(fd);
	CHECK(close(fd) == 0);
	return NULL;
}

static void gather(struct crowd *c, int family, long n)
{
	long i;

	c->family = family;
	c->n = n;
	c->here = c->over = 0;
	c->listener = full_listener(family);
	c->fd = calloc(n, sizeof(*c->fd));
	c->all = calloc(n, sizeof(*c->all));
	CHECK(c->fd != NULL && c->all != NULL);
	/* Here, since a thread may sleep while the table of files grows. */
	for (i = 0; i < n; i++) {
		c->fd[i] = socket(family, SOCK_STREAM, 0);
		CHECK(c->fd[i] >= 0);
	}
	for (i = 0; i < n; i++)
		c->all[i] = start_small(one_of_many, c);
	YIELD_UNTIL(LOAD(c->here) == n);
	settle();
}

static void disperse(struct crowd *c)
{
	pthread_t t;
	long i;

	CHECK_EQ(c->over, 0);
	t = make_room(&c->listener);
	for (i = 0; i < c->n; i++)
		join(c->all[i]);
	free(c->fd);
	free(c->all);
	done(&c->listener, t);
}

static int stop;

/* What nobody but a handler may interrupt. */
static void *sleeps(void *arg)
{
	struct timespec ms = { 0, 1000000 };

	while (!LOAD(stop))
		CHECK_EQ(raw(SYS_nanosleep, (long)&ms, 0, 0, 0), 0);
	return arg;
}

static void many(int family)
{
	struct crowd c;
	pthread_t t;
	int before;

	STORE(stop, 0);
	t = start(sleeps, NULL);
	settle();
	before = kernel_threads();
	gather(&c, family, threads);
	if (limited) {
		int n = kernel_threads();

		if (n > before + MOST)
			check_fail(__FILE__, __LINE__,
				   "%d kernel threads, %d before", n, before);
	}
	disperse(&c);
	STORE(stop, 1);
	join(t);
}

/* ---- One ------------------------------------------------------------------- */

static struct one {
	int family, listener, fd;
	int result, error, entered, left;
} one;

static void *connects(void *arg)
{
	STORE(one.entered, 1);
	one.result = connect_to(one.fd, one.listener);
	one.error = errno;
	STORE(one.left, 1);
	return arg;
}

static pthread_t begin(int family, thread_fn *fn)
{
	pthread_t t;

	one.family = family;
	one.entered = one.left = 0;
	one.listener = full_listener(family);
	one.fd = socket(family, SOCK_STREAM, 0);
	CHECK(one.fd >= 0);
	t = start(fn, NULL);
	YIELD_UNTIL(LOAD(one.entered));
	settle();
	return t;
}

static void end(void)
{
	pthread_t t = make_room(&one.listener);

	done(&one.listener, t);
}

static void timeout(int family)
{
	struct timeval tv = { 0, 20000 };
	int fd, l = full_listener(family);
	pthread_t t;

	fd = socket(family, SOCK_STREAM, 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0);
	ERR(family == AF_INET ? EINPROGRESS : EAGAIN, connect_to(fd, l));
	t = make_room(&l);
	if (family == AF_INET) {
		/* It goes on, and who asks again waits for it. */
		tv.tv_sec = 600;
		CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv,
				 sizeof(tv)) == 0);
	}
	CHECK_EQ(connect_to(fd, l), 0);
	greeted(fd);
	CHECK(close(fd) == 0);
	done(&l, t);
}

/*
 * A connection that its thread has turned to something else from: nothing
 * interrupts that when the connection is made.
 */
static void undisturbed(void)
{
	struct timeval tv = { 0, 1000 };
	int set = epoll_create1(0), l = full_listener(AF_INET);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct pollfd p = { fd, POLLOUT, 0 };
	struct epoll_event ev;
	pthread_t t;

	CHECK(set >= 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0);
	ERR(EINPROGRESS, connect_to(fd, l));
	t = make_room(&l);
	while (poll(&p, 1, 0) == 0)
		CHECK_EQ(raw(SYS_epoll_wait, set, (long)&ev, 1, 50), 0);
	CHECK_EQ(connect_to(fd, l), 0);
	greeted(fd);
	CHECK(close(fd) == 0);
	CHECK(close(set) == 0);
	done(&l, t);
}

static int caught;

static void catches(int sig)
{
	(void)sig;
	ADD(caught, 1);
}

static void handle(void (*fn)(int), int flags)
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
}

static void interrupted(int family)
{
	pthread_t t, room;

	handle(catches, 0);
	t = begin(family, connects);
	while (!LOAD(one.left)) {
		OK(pthread_kill(t, SIGUSR1));
		settle();
	}
	join(t);
	CHECK_EQ(one.result, -1);
	CHECK_EQ(one.error, EINTR);
	room = make_room(&one.listener);
	CHECK_EQ(connect_to(one.fd, one.listener), 0);
	greeted(one.fd);
	CHECK(close(one.fd) == 0);
	done(&one.listener, room);
}

static void restarted(int family)
{
	pthread_t t, room;
	int n;

	handle(catches, SA_RESTART);
	t = begin(family, connects);
	for (n = 0; n < 5; n++) {
		caught = 0;
		OK(pthread_kill(t, SIGUSR1));
		YIELD_UNTIL(LOAD(caught));
		settle();
	}
	CHECK_EQ(LOAD(one.left), 0);
	room = make_room(&one.listener);
	join(t);
	CHECK_EQ(one.result, 0);
	greeted(one.fd);
	CHECK(close(one.fd) == 0);
	done(&one.listener, room);
}

static int cleaned;

static void cleans(void *arg)
{
	(void)arg;
	cleaned++;
}

static void *cancelled(void *arg)
{
	pthread_cleanup_push(cleans, NULL);
	STORE(one.entered, 1);
	connect_to(one.fd, one.listener);
	pthread_cleanup_pop(0);
	return arg;
}

static void cancel(int family)
{
	pthread_t t;

	cleaned = 0;
	t = begin(family, cancelled);
	OK(pthread_cancel(t));
	CHECK(join(t) == PTHREAD_CANCELED);
	CHECK_EQ(cleaned, 1);
	CHECK(close(one.fd) == 0);
	end();
}

static sigjmp_buf away;

static void jump(int sig)
{
	(void)sig;
	siglongjmp(away, 1);
}

static void *jumps(void *arg)
{
	int i;

	for (i = 0; i < LAPS; i++) {
		if (sigsetjmp(away, 1) == 0) {
			STORE(one.entered, 1);
			connect_to(one.fd, one.listener);
			CHECK(!"not connected");
		}
		STORE(one.entered, 0);
	}
	STORE(one.left, 1);
	return arg;
}

static void jumped(int family)
{
	pthread_t t;

	handle(jump, 0);
	/* Nothing is in its way between the signal and the handler. */
	t = begin(family, jumps);
	while (!LOAD(one.left)) {
		if (LOAD(one.entered)) {
			usleep(500);
			STORE(one.entered, 0);
			OK(pthread_kill(t, SIGUSR1));
		}
		sched_yield();
	}
	join(t);
	CHECK(close(one.fd) == 0);
	end();
}

static void *closes(void *arg)
{
	STORE(one.entered, 1);
	one.result = connect_to(one.fd, one.listener);
	one.error = errno;
	return arg;
}

/* Whether it goes on or is told, it ends. */
static void closed(int family)
{
	pthread_t t = begin(family, closes), room;

	CHECK(close(one.fd) == 0);
	room = make_room(&one.listener);
	join(t);
	CHECK(one.result == 0 || one.error == EBADF);
	done(&one.listener, room);
}

/* Two threads, one socket: it is connected for both. */
static void both(void)
{
	pthread_t t = begin(AF_INET, connects), room;

	room = make_room(&one.listener);
	CHECK_EQ(connect_to(one.fd, one.listener), 0);
	join(t);
	CHECK_EQ(one.result, 0);
	greeted(one.fd);
	ERR(EISCONN, connect_to(one.fd, one.listener));
	CHECK(close(one.fd) == 0);
	done(&one.listener, room);
}

static void refused(int family)
{
	int l = listener(family, 1, 0), gone = bound(family, SOCK_STREAM, 0);
	int fd = socket(family, SOCK_STREAM, 0), i, peer;

	for (i = 0; i < 3; i++)
		ERR(ECONNREFUSED, connect_to(fd, gone));
	/* The socket is none the worse for it. */
	CHECK_EQ(connect_to(fd, l), 0);
	peer = accept(l, NULL, NULL);
	CHECK_EQ(write(peer, "x", 1), 1);
	greeted(fd);
	CHECK(close(peer) == 0);
	CHECK(close(fd) == 0);
	CHECK(close(gone) == 0);
	CHECK(close(l) == 0);
}

/* What never waits. */
static void at_once(int family)
{
	int l = full_listener(family), fd = socket(family, SOCK_STREAM, 0);
	union name name;
	socklen_t size = name_of(l, &name);
	pthread_t t;

	ERR(EFAULT, connect(fd, (void *)8, size));
	ERR(EINVAL, connect(fd, &name.any, 1));
	ERR(EBADF, connect(-1, &name.any, size));
	ERR(ENOTSOCK, connect(0, &name.any, size));
	nonblocking(fd, 1);
	if (family == AF_INET) {
		ERR(EINPROGRESS, connect_to(fd, l));
		ERR(EALREADY, connect_to(fd, l));
	} else {
		ERR(EAGAIN, connect_to(fd, l));
	}
	CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK(close(fd) == 0);
	t = make_room(&l);
	done(&l, t);
	l = bound(family, SOCK_DGRAM, 0);
	fd = socket(family, SOCK_DGRAM, 0);
	CHECK_EQ(connect_to(fd, l), 0);
	CHECK_EQ(write(fd, "x", 1), 1);
	greeted(l);
	CHECK(close(fd) == 0);
	CHECK(close(l) == 0);
}

/* A child has none of the others, nor waits for them. */
static void forked(int family)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		struct crowd c;

		gather(&c, family, CROWD);
		disperse(&c);
		refused(family);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void each(int family)
{
	at_once(family);
	refused(family);
	timeout(family);
	interrupted(family);
	restarted(family);
	cancel(family);
	jumped(family);
	closed(family);
}

int main(int argc, char **argv)
{
	const char *preload = getenv("LD_PRELOAD");
	struct rlimit rl;
	struct crowd c[2];

	if (argc > 1)
		threads = atol(argv[1]);
	limited = preload && strstr(preload, "gmp_shim");
	CHECK(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	if (rl.rlim_max < (rlim_t)threads * 2 + 200)
		rl.rlim_max = threads * 2 + 200;
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl))
		return 77;
	section("tcp");
	each(AF_INET);
	both();
	undisturbed();
	section("unix");
	each(AF_UNIX);
	section("beside others");
	gather(&c[0], AF_UNIX, CROWD);
	gather(&c[1], AF_INET, CROWD);
	each(AF_INET);
	both();
	undisturbed();
	each(AF_UNIX);
	forked(AF_INET);
	forked(AF_UNIX);
	disperse(&c[0]);
	disperse(&c[1]);
	section("many");
	many(AF_INET);
	many(AF_UNIX);
	printf("%ld threads\n", threads);
	return 0;
}
