/* netpoll.c - waiting for files, with kernel threads: Gs with no P, which park on their
 * M's note. Nobody polls by himself; the test gathers events and hands them out.
 */
#include "test/unit/unit.h"
#include <poll.h>
#include <sys/socket.h>

/* core/ has the kernel's header, which libc's excludes */
int fcntl(int fd, int cmd, ...);

enum { PAST = 1 }; /* a deadline that is over */

/* ---- one waiter a thread --------------------------------------------------------- */

struct waiter {
	int fd, dir;
	struct pollstate ps;
	int64_t deadline;
	pthread_t t;
	struct g *gp;
	int res;
	bool done;
};

static void *waits(void *arg)
{
	struct waiter *x = arg;

	store_release(&x->gp, getg());
	x->res = netpollwait(x->fd, x->dir, &x->ps, x->deadline);
	store_release(&x->done, true);
	return NULL;
}

/* It waits from here on, as x->ps says: it is Gwaiting with its queue locked. */
static void go(struct waiter *x)
{
	struct g *gp;

	x->done = false;
	store_release(&x->gp, NULL);
	x->t = spawn(waits, x);
	while (!(gp = load_acquire(&x->gp)) ||
	       READ_ONCE(gp->status) != Gwaiting)
		usleep_raw(50);
}

static void startat(struct waiter *x, int fd, int dir)
{
	*x = (struct waiter){ .fd = fd, .dir = dir, .deadline = NEVER };
	netpollbegin(fd, dir, &x->ps);
	go(x);
}

static int result(struct waiter *x)
{
	join(x->t);
	return x->res;
}

/* Only likely to notice one that has been woken. */
static bool stillwaits(struct waiter *x)
{
	usleep_raw(3000);
	return !load_acquire(&x->done);
}

/* It was woken: not found out by itself when it made sure again, 640 ms later. */
static bool atonce(struct waiter *x)
{
	return x->ps.step == 6;
}

static struct pollevents ev;

/* Gather what comes within a second. */
static long gather(void)
{
	netpollfetch(&ev, soon(1000000));
	return ev.n;
}

static void deliver(void)
{
	cr_assert_gt(gather(), 0);
	netpollinject(&ev, NULL);
}

static void feed(int fd)
{
	cr_assert_eq(write(fd, "x", 1), 1);
}

static void empty(int fd)
{
	char buf[256];

	cr_assert_gt(read(fd, buf, sizeof(buf)), 0);
}

static int p[2], q[2], s[2];

/* p's reading end is registered, as by a wait that has ended. */
static void registered(struct pollstate *ps)
{
	cr_assert_eq(pipe(p), 0);
	netpollbegin(p[0], NETPOLL_READ, ps);
	cr_assert_eq(netpollwait(p[0], NETPOLL_READ, ps, PAST), -ETIMEDOUT);
}

/* Something has come for fd since ps: a wait would not begin. */
static bool changed(int fd, struct pollstate *ps)
{
	return netpollwait(fd, NETPOLL_READ, ps, PAST) == 0;
}

/* ---- events ---------------------------------------------------------------------- */

Test(netpoll, an_event_ends_the_wait, .timeout = 20)
{
	struct waiter x;

	cr_assert_eq(pipe(p), 0);
	/* we may have been slow */
	do {
		startat(&x, p[0], NETPOLL_READ);
		cr_assert(netpollwaiting());
		feed(p[1]);
		deliver();
		cr_assert_eq(result(&x), 0);
		cr_assert(x.ps.woken);
		cr_assert_not(netpollwaiting());
		empty(p[0]);
	} while (!atonce(&x));
	/* from here on it waits for the next one */
	cr_assert_not(changed(p[0], &x.ps));
}

Test(netpoll, directions_are_apart, .timeout = 20)
{
	struct waiter r, w;
	char big[65536] = { 0 };

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), 0);
	while (write(s[0], big, sizeof(big)) > 0)
		;
	startat(&r, s[0], NETPOLL_READ);
	startat(&w, s[0], NETPOLL_WRITE);
	feed(s[1]);
	deliver();
	cr_assert_eq(result(&r), 0);
	cr_assert(stillwaits(&w));
	while (read(s[1], big, sizeof(big)) > 0)
		;
	deliver();
	cr_assert_eq(result(&w), 0);
}

/* Between the look at the sequence and the wait. */
Test(netpoll, an_event_before_the_wait_is_seen, .timeout = 20)
{
	struct pollstate ps;

	registered(&ps);
	netpollbegin(p[0], NETPOLL_READ, &ps);
	feed(p[1]);
	deliver();
	cr_assert_eq(netpollwait(p[0], NETPOLL_READ, &ps, NEVER), 0);
}

Test(netpoll, one_event_wakes_one_who_wakes_the_next, .timeout = 20)
{
	struct waiter x[3];

	cr_assert_eq(pipe(p), 0);
	for (int i = 0; i < 3; i++)
		startat(&x[i], p[0], NETPOLL_READ);
	feed(p[1]);
	deliver();
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(result(&x[i]), 0);
		if (i < 2)
			cr_assert(stillwaits(&x[i + 1]));
		netpollpass(NETPOLL_READ, &x[i].ps);
	}
}

Test(netpoll, deadline, .timeout = 20)
{
	int64_t until = soon(3000);
	struct pollstate ps;

	cr_assert_eq(pipe(p), 0);
	netpollbegin(p[0], NETPOLL_READ, &ps);
	cr_assert_eq(netpollwait(p[0], NETPOLL_READ, &ps, until), -ETIMEDOUT);
	cr_assert_geq(sysnanotime(), until);
	cr_assert_not(ps.woken);
	cr_assert_not(netpollwaiting());
}

Test(netpoll, what_cannot_be_polled, .timeout = 20)
{
	int fd = memfd_create("file", 0);
	struct pollstate ps;

	netpollbegin(fd, NETPOLL_READ, &ps);
	cr_assert_eq(netpollwait(fd, NETPOLL_READ, &ps, NEVER), -EPERM);
	cr_assert_eq(close(fd), 0);
	netpollbegin(fd, NETPOLL_READ, &ps);
	cr_assert_eq(netpollwait(fd, NETPOLL_READ, &ps, NEVER), -EBADF);
	netpollbegin(-1, NETPOLL_READ, &ps);
	cr_assert_eq(netpollwait(-1, NETPOLL_READ, &ps, NEVER), -ENOSYS);
}

Test(netpoll, kick, .timeout = 20)
{
	struct waiter x;

	cr_assert_eq(pipe(p), 0);
	do {
		startat(&x, p[0], NETPOLL_READ);
		netpollkick(p[0]);
		cr_assert_eq(result(&x), 0);
	} while (!atonce(&x));
}

/* ---- numbers that are closed and used again ---------------------------------------- */

Test(netpoll, close_ends_the_wait, .timeout = 20)
{
	struct waiter x;

	cr_assert_eq(pipe(p), 0);
	do {
		startat(&x, p[0], NETPOLL_READ);
		netpollhint(&x.ps, 4);
		cr_assert_eq(netpollhints(&x.ps), 4u);
		cr_assert(netpollsame(&x.ps));
		netpollclose(p[0]);
		cr_assert_eq(result(&x), -EBADF);
		cr_assert_not(netpollsame(&x.ps));
	} while (!atonce(&x));
	cr_assert_eq(netpollhints(&x.ps), 0u);
	/* the old file's: told too late */
	netpollhint(&x.ps, 4);
	cr_assert_eq(netpollhints(&x.ps), 0u);
}

Test(netpoll, late_event_of_a_closed_file, .timeout = 20)
{
	struct pollstate ps;

	registered(&ps);
	feed(p[1]);
	cr_assert_eq(gather(), 1);
	netpollclose(p[0]);
	cr_assert_eq(close(p[0]), 0);
	cr_assert_eq(pipe(q), 0);
	cr_assert_eq(q[0], p[0], "the number is used again");
	netpollbegin(q[0], NETPOLL_READ, &ps);
	netpollinject(&ev, NULL);
	cr_assert_not(changed(q[0], &ps));
}

/* A dup keeps the file open: what comes for it is nobody's. */
Test(netpoll, closed_file_is_not_registered_any_more, .timeout = 20)
{
	struct pollstate ps;
	int other;

	registered(&ps);
	other = dup(p[0]);
	netpollclose(p[0]);
	cr_assert_eq(close(p[0]), 0);
	feed(p[1]);
	netpollfetch(&ev, soon(3000));
	cr_assert_eq(ev.n, 0);
	cr_assert_eq(close(other), 0);
}

static void reuse(int fd)
{
	cr_assert_eq(pipe(q), 0);
	cr_assert_eq(dup2(q[0], fd), fd);
	cr_assert_eq(close(q[0]), 0);
}

/* Used again where nobody saw it, before the wait: it is for the new file. */
Test(netpoll, reuse_unseen_before_the_wait, .timeout = 20)
{
	struct waiter x;
	struct pollstate ps;

	registered(&ps);
	netpollhint(&ps, 4);
	reuse(p[0]);
	usleep_raw(20000); /* nothing is taken for sure so long */
	netpollbegin(p[0], NETPOLL_READ, &x.ps);
	cr_assert_eq(netpollwait(p[0], NETPOLL_READ, &x.ps, NEVER), 0,
		     "it is another file: look at that");
	x.fd = p[0];
	x.dir = NETPOLL_READ;
	x.deadline = NEVER;
	go(&x);
	cr_assert_eq(netpollhints(&x.ps), 0u, "they were the old file's");
	cr_assert_not(netpollsame(&ps));
	feed(q[1]);
	deliver();
	cr_assert_eq(result(&x), 0);
}

/* The same during the wait: it ends, for its file is gone. */
Test(netpoll, reuse_unseen_in_the_wait, .timeout = 20)
{
	struct waiter x;

	cr_assert_eq(pipe(p), 0);
	startat(&x, p[0], NETPOLL_READ);
	reuse(p[0]);
	cr_assert_eq(result(&x), -EBADF);
}

Test(netpoll, range, .timeout = 20)
{
	struct pollstate ps;
	struct waiter x[2];
	int own;

	registered(&ps);
	cr_assert_eq(pipe(q), 0);
	startat(&x[0], p[0], NETPOLL_READ);
	startat(&x[1], q[0], NETPOLL_READ);
	cr_assert_lt(p[1], q[0]);
	cr_assert_eq(netpollcloserange((uint32_t)p[0], (uint32_t)p[1]),
		     UINT32_MAX);
	cr_assert_eq(result(&x[0]), -EBADF);
	cr_assert(stillwaits(&x[1]));
	own = (int)netpollcloserange((uint32_t)q[0], UINT32_MAX);
	cr_assert(netpollown(own));
	cr_assert_eq(result(&x[1]), -EBADF);
}

/* ---- making sure ------------------------------------------------------------------- */

/* An event that nobody has handed out comes again. */
Test(netpoll, lost_event_is_repeated, .timeout = 20)
{
	struct waiter x;

	cr_assert_eq(pipe(p), 0);
	startat(&x, p[0], NETPOLL_READ);
	feed(p[1]);
	cr_assert_eq(gather(), 1); /* and dropped */
	deliver();
	cr_assert_eq(result(&x), 0);
}

/* At longer and longer intervals: sixteen times as long, from 640 ms. */
Test(netpoll, recheck_times, .timeout = 20)
{
	int64_t began = sysnanotime();
	struct pollstate ps;

	registered(&ps);
	cr_assert_eq(ps.step, 6u, "it began by making sure");
	cr_assert_eq(netpollwait(p[0], NETPOLL_READ, &ps, soon(60000)),
		     -ETIMEDOUT);
	cr_assert_eq(ps.step, 6u);
	/* not again from the start: it is the same wait to the caller */
	do
		cr_assert_eq(
			netpollwait(p[0], NETPOLL_READ, &ps, soon(2000000)),
			-ETIMEDOUT);
	while (ps.step == 6);
	cr_assert_geq(sysnanotime() - began, 640000000);
	cr_assert_eq(ps.step, 10u);
	/* the next would be ten seconds and more from now */
	cr_assert_eq(netpollwait(p[0], NETPOLL_READ, &ps, soon(500000)),
		     -ETIMEDOUT);
	cr_assert_eq(ps.step, 10u);
}

/* What was made sure of lately is not asked for again: the event is not repeated. */
Test(netpoll, sure_for_a_while, .timeout = 20)
{
	struct pollstate ps;
	int64_t at;

	registered(&ps);
	feed(p[1]);
	do {
		at = sysnanotime();
		cr_assert_geq(gather(), 0);
		netpollbegin(p[0], NETPOLL_READ, &ps);
		cr_assert_eq(netpollwait(p[0], NETPOLL_READ, &ps, PAST),
			     -ETIMEDOUT);
		netpollfetch(&ev, 0);
		/* again, if we were away for longer than that */
	} while (ev.n && sysnanotime() - at > 100000000);
	cr_assert_eq(ev.n, 0);
	usleep_raw(110000);
	netpollbegin(p[0], NETPOLL_READ, &ps);
	cr_assert_eq(netpollwait(p[0], NETPOLL_READ, &ps, PAST), -ETIMEDOUT);
	cr_assert_eq(gather(), 1);
}

Test(netpoll, trust, .timeout = 20)
{
	struct pollstate ps;
	struct waiter x;

	registered(&ps);
	netpollbegin(p[0], NETPOLL_READ, &ps);
	cr_assert_not(netpolltrusted(&ps), "nobody has looked");
	netpolllooked(&ps);
	cr_assert(netpolltrusted(&ps));
	/* it ends early: somebody has to look again */
	cr_assert_eq(netpollwait(p[0], NETPOLL_READ, &ps, NEVER), -EAGAIN);
	cr_assert_not(netpolltrusted(&ps), "too long ago");
	netpolllooked(&ps);
	netpollchanged();
	cr_assert_not(netpolltrusted(&ps));
	cr_assert_not(netpolltrusted(&ps));
	netpolllooked(&ps);
	cr_assert(netpolltrusted(&ps));
	startat(&x, p[0], NETPOLL_READ);
	netpolltrusted(&ps);
	netpolllooked(&ps);
	cr_assert_not(netpolltrusted(&ps), "others wait");
	netpollclose(p[0]);
	cr_assert_eq(result(&x), -EBADF);
	usleep_raw(110000);
	netpolltrusted(&ps);
	netpolllooked(&ps); /* at the old file */
	netpollbegin(p[0], NETPOLL_READ, &ps);
	cr_assert_not(netpolltrusted(&ps));
}

/* ---- drained ----------------------------------------------------------------------- */

/* A read of s[0] by somebody who has not waited. */
static void takes(bool all)
{
	struct pollstate ps;

	netpollbegin(s[0], NETPOLL_READ, &ps);
	netpolltook(&ps, all);
}

/* One who waits for a message, having tried in vain, and takes it. */
static void message(bool all)
{
	struct waiter x;

	startat(&x, s[0], NETPOLL_READ);
	feed(s[1]);
	deliver();
	cr_assert_eq(result(&x), 0);
	empty(s[0]);
	netpolltook(&x.ps, all);
}

static bool isdrained(void)
{
	struct pollstate ps;

	netpollbegin(s[0], NETPOLL_READ, &ps);
	return netpolldrained(&ps);
}

/* s is a new pair: it takes as many messages as if nothing were known of the number. */
static void drained(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	for (int i = 0; i < 5; i++) {
		cr_assert_not(isdrained(), "after %d messages", i);
		message(true);
	}
	cr_assert(isdrained());
}

Test(netpoll, drained_if_all_was_taken, .timeout = 20)
{
	drained();
	message(false);
	cr_assert_not(isdrained());
	message(true);
	cr_assert(isdrained());
}

Test(netpoll, drained_until_an_event, .timeout = 20)
{
	drained();
	feed(s[1]);
	deliver();
	cr_assert_not(isdrained());
	/* a read that an event was for, and the next: at once */
	empty(s[0]);
	takes(true);
	cr_assert(isdrained());
}

/* It is told once: nobody may park for it. */
Test(netpoll, never_drained_at_the_end, .timeout = 20)
{
	drained();
	cr_assert_eq(shutdown(s[1], SHUT_WR), 0);
	deliver();
	takes(true);
	cr_assert_not(isdrained());
	/* and it is the shim's hint that is forgotten, not ours */
	netpollunhint(s[0]);
	cr_assert_not(isdrained());
	/* another file by that number has no end yet, and nothing is known of it */
	netpollclose(s[0]);
	cr_assert_eq(close(s[0]) + close(s[1]), 0);
	drained();
}

/* A read that took something where it was not worth a try: so it was. */
Test(netpoll, not_drained_once_wrong, .timeout = 20)
{
	drained();
	takes(true);
	cr_assert_not(isdrained());
}

/* ---- peers ------------------------------------------------------------------------- */

static struct pollstate writer;

/* s[1] is written to, and s[0] is the only one that gets ready: what a P does. */
static void writesonce(void)
{
	struct m *mp = getg()->sched.m;

	feed(s[1]);
	netpollbegin(s[1], NETPOLL_WRITE, &writer);
	netpollwrote(s[1], &writer);
	cr_assert_eq(mp->wrote, writer.pd);
	cr_assert_eq(gather(), 1);
	netpollinject(&ev, mp->wrote);
	mp->wrote = NULL;
	empty(s[0]);
}

static void learned(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	netpollbegin(s[0], NETPOLL_READ, &writer);
	cr_assert_not(changed(s[0], &writer)); /* registers it */
	for (int i = 0; i < 4; i++)
		writesonce();
}

Test(netpoll, writer_wakes_its_reader, .timeout = 20)
{
	struct m *mp = getg()->sched.m;
	struct waiter x;

	learned();
	do {
		startat(&x, s[0], NETPOLL_READ);
		netpollbegin(s[1], NETPOLL_WRITE, &writer);
		netpollwrote(s[1], &writer);
		cr_assert_null(mp->wrote, "there is nothing more to learn");
		cr_assert_eq(result(&x), 0, "with no event");
	} while (!atonce(&x));
	/* for nothing, as it finds: then not again */
	go(&x);
	netpollwrote(s[1], &writer);
	cr_assert_eq(mp->wrote, writer.pd);
	cr_assert(stillwaits(&x));
	feed(s[1]);
	deliver();
	cr_assert_eq(result(&x), 0);
}

Test(netpoll, peer_is_learned_anew, .timeout = 20)
{
	struct m *mp = getg()->sched.m;

	learned();
	for (int armed = 0; armed < 2; armed++) {
		if (armed) {
			for (int i = 0; i < 4; i++)
				writesonce();
			/* it has been read from, too */
			netpollbegin(s[1], NETPOLL_READ, &writer);
			cr_assert_not(changed(s[1], &writer));
		}
		netpollclose(s[1]); /* another file by that number */
		netpollbegin(s[1], NETPOLL_WRITE, &writer);
		netpollwrote(s[1], &writer);
		cr_assert_eq(mp->wrote, writer.pd);
	}
}

/* ---- several files ------------------------------------------------------------------ */

struct group {
	struct pollnode nodes[2];
	struct pollfd fds[2];
	int looks, res;
	int64_t deadline;
	struct g *gp;
};

static bool looks(void *arg)
{
	struct group *g = arg;

	bool ready = poll(g->fds, 2, 0) > 0;

	WRITE_ONCE(g->looks, g->looks + 1); /* others read it */
	return ready;
}

static void *waitsforgroup(void *arg)
{
	struct group *g = arg;

	store_release(&g->gp, getg());
	g->res = netpollgroup(g->nodes, 2, looks, g, getg()->nhandled,
			      g->deadline);
	return NULL;
}

static struct group group(int64_t deadline)
{
	struct group g = { .deadline = deadline };

	cr_assert_eq(pipe(p) + pipe(q), 0);
	g.nodes[0].fd = g.fds[0].fd = p[0];
	g.nodes[1].fd = g.fds[1].fd = q[0];
	g.fds[0].events = g.fds[1].events = POLLIN;
	return g;
}

/* Either file ends the wait, and then none of its nodes is in a list any more. */
Test(netpoll, group_of_files, .timeout = 20)
{
	struct group g = group(NEVER);
	int from[] = { q[1], p[1] };
	pthread_t t;

	for (int i = 0; i < 2; i++) {
		g.looks = 0;
		store_release(&g.gp, NULL);
		t = spawn(waitsforgroup, &g);
		while (!load_acquire(&g.gp) ||
		       READ_ONCE(g.gp->status) != Gwaiting)
			usleep_raw(50);
		feed(from[i]);
		deliver();
		join(t);
		cr_assert_eq(g.res, 0);
		cr_assert_geq(g.looks, 2);
		cr_assert_not(netpollwaiting());
		memset(g.nodes, 0x5a, sizeof(g.nodes));
		netpollkick(p[0]);
		netpollkick(q[0]);
		g = (struct group){ .deadline = NEVER,
				    .nodes = { { .fd = p[0] }, { .fd = q[0] } },
				    .fds = { { p[0], POLLIN, 0 },
					     { q[0], POLLIN, 0 } } };
		empty(i ? p[0] : q[0]);
	}
}

Test(netpoll, group_that_need_not_wait, .timeout = 20)
{
	struct group g = group(NEVER);

	feed(q[1]);
	waitsforgroup(&g);
	cr_assert_eq(g.res, 0);
	cr_assert_eq(g.looks, 1);
	empty(q[0]);
	g.deadline = soon(2000);
	waitsforgroup(&g);
	cr_assert_eq(g.res, -ETIMEDOUT);
	/* a handler has run since the caller let signals in */
	cr_assert_eq(netpollgroup(g.nodes, 2, looks, &g, getg()->nhandled - 1,
				  NEVER),
		     -EINTR);
}

/* An event and a close end the wait at once; not at the next look at the files, which
 * is far away by now. */
Test(netpoll, group_is_woken, .timeout = 30)
{
	struct group g[2];
	pthread_t t[2];

	for (int i = 0; i < 2; i++) {
		g[i] = group(NEVER);
		t[i] = spawn(waitsforgroup, &g[i]);
	}
	for (int i = 0; i < 2; i++)
		while (READ_ONCE(g[i].looks) < 4)
			usleep_raw(500);
	feed(q[1]);
	deliver();
	join(t[1]);
	cr_assert_eq(g[1].res, 0);
	cr_assert_eq(close(g[0].fds[0].fd), 0); /* poll says POLLNVAL */
	netpollclose(g[0].fds[0].fd);
	join(t[0]);
	cr_assert_eq(g[0].res, 0);
}

/* ---- descriptors of our own --------------------------------------------------------- */

static int own(int from)
{
	for (int fd = from; fd < 2048; fd++)
		if (netpollown(fd))
			return fd;
	return -1;
}

Test(netpoll, own_descriptors_lie_high, .timeout = 20)
{
	struct pollstate ps;
	int fd;

	cr_assert_eq(own(0), -1, "none before they are needed");
	registered(&ps);
	fd = own(0);
	cr_assert_geq(fd, 512);
	cr_assert_gt(own(fd + 1), fd, "the instance, and what breaks its wait");
	cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

/* An M's threads wait for files: whom they have answered may run, once it has run for long, and
 * not so often that who computes has the CPU. */
Test(netpoll, lets_others_run, .timeout = 20)
{
	const uint64_t second = 1ul << 31; /* and more, in cputicks */
	static struct m m;
	uint64_t at;

	m.ranfrom = cputicks() - second;
	netpollyield(&m);
	at = m.yieldat;
	cr_assert_neq(at, 0, "it has run for long");
	cr_assert_gt(at, m.ranfrom);
	cr_assert_leq(m.ranfrom, cputicks(), "a new turn");
	m.yieldat = UINT64_MAX;
	m.ranfrom = cputicks() - second;
	netpollyield(&m);
	cr_assert_eq(m.yieldat, UINT64_MAX, "others have just run");
	do { /* until nobody interrupts us */
		m.yieldat = 0;
		m.ranfrom = cputicks();
		netpollyield(&m);
	} while (m.yieldat);
}

/* The program wants their numbers: they move, and nobody notices. */
Test(netpoll, own_descriptors_give_way, .timeout = 20)
{
	struct waiter x;
	int fd, other;

	cr_assert_eq(pipe(p), 0);
	startat(&x, p[0], NETPOLL_READ);
	fd = own(0);
	other = own(fd + 1);
	netpollmove(fd);
	netpollmove(other);
	netpollmove(fd); /* not ours any more */
	cr_assert_not(netpollown(fd));
	cr_assert_eq(fcntl(fd, F_GETFD), -1);
	cr_assert_not(netpollown(other));
	netpollbreak();
	cr_assert_eq(gather(), 1, "the wait is broken as ever");
	feed(p[1]);
	deliver();
	cr_assert_eq(result(&x), 0);
}

/* Closed behind our back: everybody registers anew with another. */
Test(netpoll, instance_closed_by_the_program, .timeout = 20)
{
	struct waiter x;
	int fd;

	cr_assert_eq(pipe(p), 0);
	startat(&x, p[0], NETPOLL_READ);
	fd = own(0);
	cr_assert_eq(close(fd) + close(own(fd + 1)), 0);
	netpollfetch(&ev, 0);
	cr_assert_geq(fcntl(own(0), F_GETFD), 0, "there is another");
	cr_assert_eq(result(&x), 0, "it looks again");
	go(&x);
	feed(p[1]);
	deliver();
	cr_assert_eq(result(&x), 0);
}

static int inforkchild(void *arg)
{
	struct pollstate *ps = arg;
	int fd = own(0);

	netpollfork();
	if (own(0) >= 0 || fcntl(fd, F_GETFD) >= 0)
		return 1;
	netpollbegin(p[0], NETPOLL_READ, ps);
	if (netpollwait(p[0], NETPOLL_READ, ps, PAST) != -ETIMEDOUT)
		return 2;
	netpollbegin(p[0], NETPOLL_READ, ps);
	if (write(p[1], "x", 1) != 1 || gather() != 1)
		return 3;
	netpollinject(&ev, NULL);
	return changed(p[0], ps) ? 0 : 4;
}

/* The child makes one of its own, and leaves the parent's alone. */
Test(netpoll, fork_child, .timeout = 20)
{
	struct pollstate ps;

	registered(&ps);
	cr_assert_eq(inchild(inforkchild, &ps), 1000);
	cr_assert_geq(own(0), 512);
	netpollbegin(p[0], NETPOLL_READ, &ps);
	deliver(); /* the byte is in the pipe of both */
	cr_assert(changed(p[0], &ps));
}
