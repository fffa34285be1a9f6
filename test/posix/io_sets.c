/*
 * io_sets - poll, select and the program's own epoll sets, beyond one file and
 * one thread: many entries, twice the same, none, closed ones, files that are
 * always ready, numbers beyond what a set holds; sets within sets, sets that
 * several threads wait for, edges and one shots; sets changed by one thread
 * while another one waits.
 */
#include "iocheck.h"
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>

enum { MANY = 1200, WAITERS = 6 };

static int end[2], set;
static int woken, stop;
static pthread_t thread;

static void begin(thread_fn *fn, void *arg)
{
	NOT_ENTERED();
	STORE(woken, 0);
	thread = start(fn, arg);
	ONCE_BLOCKED();
	CHECK_EQ(LOAD(woken), 0);
}

static void feed(int fd)
{
	uint64_t one = 1;

	CHECK_EQ(write(fd, &one, 8), 8);
}

static void eat(int fd)
{
	uint64_t value;

	CHECK_EQ(read(fd, &value, 8), 8);
}

static int counter(void)
{
	int fd = eventfd(0, 0);

	CHECK(fd >= 0);
	return fd;
}

/* ---- poll ---------------------------------------------------------------- */

static struct pollfd many[MANY];
static int ready, expected;

static void *polls_many(void *arg)
{
	int i;

	for (i = 0; i < MANY; i++)
		many[i].revents = 77;
	ENTERING();
	CHECK_EQ(poll(many, MANY, -1), expected);
	STORE(woken, 1);
	for (i = 0; i < MANY; i++)
		CHECK_EQ(many[i].revents,
			 many[i].fd == ready && many[i].events & POLLIN ? POLLIN
									: 0);
	return arg;
}

/* As many files as may be open; the rest are the same again. */
static void poll_many(void)
{
	const int which[] = { 0, 100, MANY - 1, MANY / 2 };
	struct rlimit rl;
	int i, k, files = MANY;

	section("poll");
	CHECK(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	rl.rlim_cur = rl.rlim_max;
	CHECK(setrlimit(RLIMIT_NOFILE, &rl) == 0);
	if (rl.rlim_cur < MANY + 50)
		files = (int)rl.rlim_cur - 50;
	for (i = 0; i < MANY; i++) {
		many[i].events = i % 3 == 2 ? 0 : POLLIN;
		if (i % 3 == 2)
			many[i].fd = many[i - 2].fd;
		else if (i % 7 == 6)
			many[i].fd = -1 - i;
		else
			many[i].fd = i < files ? counter() : many[i % 100].fd;
	}
	for (k = 0; k < 4; k++) {
		ready = many[which[k]].fd;
		if (ready < 0)
			continue;
		for (i = expected = 0; i < MANY; i++)
			expected +=
				many[i].fd == ready && many[i].events & POLLIN;
		begin(polls_many, NULL);
		feed(ready);
		join(thread);
		eat(ready);
	}
	for (i = 0; i < MANY; i++)
		if (many[i].fd >= 0 && i % 3 != 2 && i < files)
			CHECK(close(many[i].fd) == 0);
}

static void *polls_twice(void *arg)
{
	struct pollfd p[] = {
		{ end[0], POLLIN, 0 },	 { -5, POLLIN | POLLOUT, 77 },
		{ end[0], POLLOUT, 77 }, { end[0], POLLIN | POLLPRI, 0 },
		{ end[0], 0, 77 },	 { end[1], POLLIN, 77 },
	};

	ENTERING();
	/* Its write side has room at once: not asked for here. */
	p[2].events = POLLPRI;
	CHECK_EQ(poll(p, 6, 600 * 1000), 2);
	STORE(woken, 1);
	CHECK_EQ(p[0].revents, POLLIN);
	CHECK_EQ(p[1].revents, 0);
	CHECK_EQ(p[2].revents, 0);
	CHECK_EQ(p[3].revents, POLLIN);
	CHECK_EQ(p[4].revents, 0);
	CHECK_EQ(p[5].revents, 0);
	return arg;
}

static void *polls_end(void *arg)
{
	short want = (short)(long)arg;
	struct pollfd p = { end[0], want == POLLRDHUP ? POLLRDHUP : 0, 0 };

	ENTERING();
	CHECK_EQ(poll(&p, 1, -1), 1);
	STORE(woken, 1);
	CHECK_EQ(p.revents, want);
	return NULL;
}

static void poll_odd(void)
{
	int file = memfd_create("io_sets", 0), closed = dup(file), flip[2];
	struct pollfd p[4];
	struct epoll_event e = { .events = EPOLLIN };

	section("poll, odd ones");
	unix_pair(SOCK_STREAM, end, 0);
	begin(polls_twice, NULL);
	CHECK_EQ(write(end[1], "x", 1), 1);
	join(thread);
	set = epoll_create1(0);
	/* Ready always, and closed: at once, with the others looked at. */
	CHECK(close(closed) == 0);
	p[0] = (struct pollfd){ end[1], POLLIN, 77 };
	p[1] = (struct pollfd){ file, POLLIN | POLLOUT | POLLPRI, 77 };
	CHECK_EQ(poll(p, 2, -1), 1);
	CHECK_EQ(p[0].revents, 0);
	CHECK_EQ(p[1].revents, POLLIN | POLLOUT);
	p[1] = (struct pollfd){ closed, POLLIN, 77 };
	p[2] = (struct pollfd){ end[0], POLLIN | POLLOUT, 77 };
	p[3] = (struct pollfd){ closed, 0, 77 };
	CHECK_EQ(poll(p, 4, -1), 3);
	CHECK_EQ(p[0].revents, 0);
	CHECK_EQ(p[1].revents, POLLNVAL);
	CHECK_EQ(p[2].revents, POLLIN | POLLOUT);
	CHECK_EQ(p[3].revents, POLLNVAL);
	/* A set may hold no such file. */
	ERR(EPERM, epoll_ctl(set, EPOLL_CTL_ADD, file, &e));
	ERR(EBADF, epoll_ctl(set, EPOLL_CTL_ADD, closed, &e));
	ERR(ENOENT, epoll_ctl(set, EPOLL_CTL_MOD, end[0], &e));
	ERR(EINVAL, epoll_ctl(set, EPOLL_CTL_ADD, set, &e));
	CHECK(close(set) == 0);
	CHECK(close(file) == 0);
	/* What nobody asks for comes all the same. */
	begin(polls_end, (void *)(long)POLLRDHUP);
	CHECK(shutdown(end[1], SHUT_WR) == 0);
	join(thread);
	begin(polls_end, (void *)(long)POLLHUP);
	CHECK(shutdown(end[0], SHUT_RDWR) == 0);
	join(thread);
	close_pair(end);
	CHECK(pipe(end) == 0);
	begin(polls_end, (void *)(long)POLLHUP);
	CHECK(close(end[1]) == 0);
	join(thread);
	CHECK(close(end[0]) == 0);
	CHECK(pipe(flip) == 0);
	end[0] = flip[1];
	begin(polls_end, (void *)(long)POLLERR);
	CHECK(close(flip[0]) == 0);
	join(thread);
	CHECK(close(end[0]) == 0);
}

/* ---- select -------------------------------------------------------------- */

/* As large as it has to be: the kernel knows no limit of its own. */
static fd_set *large(int top)
{
	size_t size = (top / NFDBITS + 1) * sizeof(fd_mask);
	fd_set *s = calloc(1, size < sizeof(fd_set) ? sizeof(fd_set) : size);

	CHECK(s != NULL);
	return s;
}

static fd_mask *word(fd_set *s, int fd)
{
	return (fd_mask *)s + fd / NFDBITS;
}
#define BIT(fd) ((fd_mask)(1UL << ((fd) % NFDBITS)))

static void *selects(void *arg)
{
	int top = (int)(long)arg;
	fd_set *in = large(top), *out = large(top), *odd = large(top);

	*word(in, top) |= BIT(top);
	*word(odd, top) |= BIT(top);
	*word(in, end[1]) |= BIT(end[1]);
	ENTERING();
	CHECK_EQ(select(top + 1, in, out, odd, NULL), 1);
	STORE(woken, 1);
	CHECK(*word(in, top) & BIT(top));
	CHECK(!(*word(odd, top) & BIT(top)));
	CHECK(!(*word(in, end[1]) & BIT(end[1])));
	free(in);
	free(out);
	free(odd);
	return NULL;
}

static void *selects_odd(void *arg)
{
	fd_set in, odd;
	char c;

	FD_ZERO(&in);
	FD_ZERO(&odd);
	FD_SET(end[0], &in);
	FD_SET(end[0], &odd);
	ENTERING();
	CHECK_EQ(select(end[0] + 1, &in, NULL, &odd, NULL), 1);
	STORE(woken, 1);
	CHECK(FD_ISSET(end[0], &odd) && !FD_ISSET(end[0], &in));
	CHECK_EQ(recv(end[0], &c, 1, MSG_OOB), 1);
	CHECK_EQ(c, '!');
	return arg;
}

static void *polls_odd(void *arg)
{
	struct pollfd p = { end[0], POLLIN | POLLPRI, 0 };
	char c;

	ENTERING();
	CHECK_EQ(poll(&p, 1, -1), 1);
	STORE(woken, 1);
	CHECK_EQ(p.revents, POLLPRI);
	CHECK_EQ(recv(end[0], &c, 1, MSG_OOB), 1);
	CHECK_EQ(c, '!');
	return arg;
}

static void select_all(void)
{
	const int tops[] = { 63, 64, FD_SETSIZE - 1, FD_SETSIZE + 100 };
	struct rlimit rl;
	fd_set in;
	int i, top;

	section("select");
	CHECK(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	for (i = 0; i < 4; i++) {
		if ((rlim_t)tops[i] >= rl.rlim_cur)
			continue;
		unix_pair(SOCK_STREAM, end, 0);
		top = fcntl(end[0], F_DUPFD, tops[i]);
		CHECK_EQ(top, tops[i]);
		begin(selects, (void *)(long)top);
		CHECK_EQ(write(end[1], "x", 1), 1);
		join(thread);
		CHECK(close(top) == 0);
		close_pair(end);
	}
	tcp_pair(end, 0);
	begin(selects_odd, NULL);
	CHECK_EQ(send(end[1], "!", 1, MSG_OOB), 1);
	join(thread);
	close_pair(end);
	tcp_pair(end, 0);
	begin(polls_odd, NULL);
	CHECK_EQ(send(end[1], "!", 1, MSG_OOB), 1);
	join(thread);
	close_pair(end);
	/* A closed one among them is an error of the call. */
	CHECK(pipe(end) == 0);
	close_pair(end);
	FD_ZERO(&in);
	FD_SET(end[0], &in);
	ERR(EBADF, select(end[0] + 1, &in, NULL, NULL, NULL));
}

/* ---- Sets within sets ---------------------------------------------------- */

static int outer;

static void *waits_outside(void *arg)
{
	struct pollfd p = { set, POLLIN, 0 };
	struct epoll_event e;
	fd_set in;

	ENTERING();
	switch ((long)arg) {
	case 0:
		CHECK_EQ(epoll_wait(outer, &e, 1, -1), 1);
		CHECK_EQ(e.data.u32, 5);
		break;
	case 1:
		CHECK_EQ(poll(&p, 1, -1), 1);
		CHECK_EQ(p.revents, POLLIN);
		break;
	case 2:
		FD_ZERO(&in);
		FD_SET(set, &in);
		CHECK_EQ(select(set + 1, &in, NULL, NULL, NULL), 1);
		break;
	}
	STORE(woken, 1);
	CHECK_EQ(epoll_wait(set, &e, 1, 0), 1);
	CHECK_EQ(e.data.u32, 7);
	return NULL;
}

static void within(void)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = 7 };
	long way;
	int fd;

	section("sets within sets");
	for (way = 0; way < 3; way++) {
		fd = counter();
		set = epoll_create1(0);
		outer = epoll_create1(0);
		e.data.u32 = 7;
		CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == 0);
		e.data.u32 = 5;
		CHECK(epoll_ctl(outer, EPOLL_CTL_ADD, set, &e) == 0);
		begin(waits_outside, (void *)way);
		feed(fd);
		join(thread);
		CHECK(close(fd) == 0);
		CHECK(close(outer) == 0);
		CHECK(close(set) == 0);
	}
}

/* ---- A set that several wait for ----------------------------------------- */

static int events, eaten;

/* Level: whoever sees it takes it. */
static void *takes(void *arg)
{
	struct epoll_event e;
	uint64_t value;

	while (!LOAD(stop)) {
		CHECK_EQ(epoll_wait(set, &e, 1, -1), 1);
		if (read(e.data.fd, &value, 8) == 8)
			ADD(eaten, 1);
		else
			CHECK_EQ(errno, EAGAIN);
	}
	return arg;
}

/* An edge, or a shot: told once, to one of them. */
static void *is_told(void *arg)
{
	struct epoll_event e;
	int n;

	for (;;) {
		n = epoll_wait(set, &e, 1, arg ? 600 * 1000 : -1);
		CHECK_EQ(n, 1);
		if (LOAD(stop))
			return NULL;
		CHECK_EQ(e.data.u32, 9);
		ADD(events, 1);
	}
}

static void told(int want)
{
	YIELD_UNTIL(LOAD(events) >= want);
	settle();
	CHECK_EQ(LOAD(events), want);
}

static void several(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	pthread_t t[WAITERS];
	long i;
	int fd, last;

	section("several");
	set = epoll_create1(0);
	fd = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
	e.data.fd = fd;
	CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == 0);
	stop = eaten = 0;
	for (i = 0; i < WAITERS; i++)
		t[i] = start(takes, NULL);
	settle();
	for (i = 0; i < 100; i++) {
		feed(fd);
		if (i % 10 == 0)
			settle();
	}
	YIELD_UNTIL(LOAD(eaten) == 100);
	STORE(stop, 1);
	for (i = 0; i < WAITERS; i++)
		feed(fd);
	for (i = 0; i < WAITERS; i++)
		join(t[i]);
	CHECK(close(fd) == 0);
	CHECK(close(set) == 0);

	section("edges");
	set = epoll_create1(0);
	fd = counter();
	last = counter();
	e = (struct epoll_event){ .events = EPOLLIN | EPOLLET, .data.u32 = 9 };
	CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == 0);
	stop = events = 0;
	for (i = 0; i < WAITERS; i++)
		t[i] = start(is_told, (void *)(i % 2));
	settle();
	for (i = 1; i < 10; i++) {
		/* Nobody reads it: it is ready all the time. */
		feed(fd);
		told((int)i);
	}

	section("one shots");
	e.events = EPOLLIN | EPOLLONESHOT;
	CHECK(epoll_ctl(set, EPOLL_CTL_MOD, fd, &e) == 0);
	told((int)i);
	feed(fd);
	told((int)i);
	while (i < 20) {
		CHECK(epoll_ctl(set, EPOLL_CTL_MOD, fd, &e) == 0);
		told((int)++i);
		feed(fd);
	}
	/* For all of them. */
	STORE(stop, 1);
	e = (struct epoll_event){ .events = EPOLLIN };
	feed(last);
	CHECK(epoll_ctl(set, EPOLL_CTL_ADD, last, &e) == 0);
	for (i = 0; i < WAITERS; i++)
		join(t[i]);
	CHECK(close(fd) == 0);
	CHECK(close(last) == 0);
	CHECK(close(set) == 0);
}

/* ---- A set that changes -------------------------------------------------- */

static void *waits_for_set(void *arg)
{
	struct epoll_event e[4];

	ENTERING();
	CHECK_EQ(epoll_wait(set, e, 4, arg ? 600 * 1000 : -1), 1);
	STORE(woken, 1);
	CHECK_EQ(e[0].events, EPOLLIN);
	CHECK_EQ(e[0].data.u64, 0x123456789abcdefLL);
	return NULL;
}

static void changes(void)
{
	struct epoll_event e = { .events = EPOLLIN,
				 .data.u64 = 0x123456789abcdefLL };
	long timed;
	int fd, copy;

	section("changes");
	for (timed = 0; timed < 2; timed++) {
		/* Nothing in it at all, then something that is ready. */
		set = epoll_create1(EPOLL_CLOEXEC);
		fd = counter();
		feed(fd);
		begin(waits_for_set, (void *)timed);
		CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == 0);
		join(thread);
		/* Not asked for, then asked for. */
		e.events = 0;
		CHECK(epoll_ctl(set, EPOLL_CTL_MOD, fd, &e) == 0);
		begin(waits_for_set, (void *)timed);
		e.events = EPOLLIN;
		CHECK(epoll_ctl(set, EPOLL_CTL_MOD, fd, &e) == 0);
		join(thread);
		/* Taken out, made ready, put back. */
		eat(fd);
		begin(waits_for_set, (void *)timed);
		CHECK(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL) == 0);
		feed(fd);
		settle();
		CHECK(!LOAD(woken));
		CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == 0);
		join(thread);
		/* In it by another number: closing that takes nothing out. */
		eat(fd);
		copy = dup(fd);
		CHECK(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL) == 0);
		CHECK(epoll_ctl(set, EPOLL_CTL_ADD, copy, &e) == 0);
		begin(waits_for_set, (void *)timed);
		CHECK(close(copy) == 0);
		feed(fd);
		join(thread);
		CHECK(close(fd) == 0);
		CHECK_EQ(epoll_wait(set, &e, 1, 0), 0);
		CHECK(close(set) == 0);
		e = (struct epoll_event){ .events = EPOLLIN,
					  .data.u64 = 0x123456789abcdefLL };
	}
}

/* ---- A set that is closed ------------------------------------------------ */

static void *waits_for_closed(void *arg)
{
	struct epoll_event e;
	int n;

	ENTERING();
	n = epoll_wait(set, &e, 1, -1);
	/* It goes on with the set, or it is told. */
	CHECK(n == 1 || (n == -1 && errno == EBADF));
	STORE(woken, 1);
	return arg;
}

static void closed(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	int fd, behind, copy;

	section("closed");
	for (behind = 0; behind < 4; behind++) {
		set = epoll_create1(0);
		fd = counter();
		copy = behind & 2 ? dup(set) : -1;
		CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == 0);
		begin(waits_for_closed, NULL);
		if (behind & 1)
			CHECK_EQ(raw(SYS_close, set, 0, 0, 0), 0);
		else
			CHECK(close(set) == 0);
		settle();
		feed(fd);
		join(thread);
		CHECK(close(fd) == 0);
		if (copy >= 0)
			CHECK(close(copy) == 0);
	}
}

int main(void)
{
	poll_many();
	poll_odd();
	select_all();
	within();
	several();
	changes();
	closed();
	return 0;
}
