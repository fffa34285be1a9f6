/* netpoll.c - readiness of files: Gs park for it, one M waits for it.
 *
 * Why: a G that would block in a read is parked, and the kernel thread goes on. There
 *      is one epoll instance. A file number is registered in it when a G first has to
 *      wait for it, edge-triggered, once for each direction that is wanted, and stays so.
 *      What was ready is told by a sequence for each number and direction: read it, try
 *      the call, and wait only while it is still the same. Go's pollDesc has rg and wg.
 * Invariants: 1. an edge raises the sequence and wakes one waiter; whoever was woken and
 *      did not get EAGAIN wakes the next (the baton), so an edge that served many is
 *      not lost and thousands at one file do not run for one byte;
 *      2. a number's generation rises when it is closed or given to another file, as far
 *      as we see that, and everybody who waits finds out: no data of a file that the
 *      caller did not mean. It is in the registration, so a late event is told;
 *      3. a number can be closed and used again where we do not see it. So a wait begins
 *      by making sure of the registration, if that was not done lately, and goes on so at
 *      longer and longer intervals. The kernel repeats the event then, if there is one, at its
 *      place in the row: a G that tried by itself would overtake those whose events
 *      are on their way.
 * Locks: pd->lock (registration, list of poll groups) before a sema bucket's.
 *      netpolllock (making the instance) before pd->lock.
 * See: poller.c for who waits in it, and when.
 */
#include "core/netpoll.h"
#include <errno.h>

/* Steps of the coarse timer. Of a wait that began on trust: longer than who serves
 * thousands in turn lets one wait. */
#define TRUSTED	  4 /* 160 ms */
#define RECHECKED 6 /* 640 ms: one that began by making sure */
#define CHUNK	  65536u /* numbers; 4 MiB of address space, touched as used */
#define NCHUNK	  16384u /* up to 2^30 numbers, the kernel's limit */
#define ALWAYS	  (EPOLLHUP | EPOLLERR)

static struct polldesc *chunks[NCHUNK];

struct polldesc *polldesc(int fd, bool make)
{
	struct polldesc **c = &chunks[(uint32_t)fd / CHUNK % NCHUNK], *p;

	if (fd < 0 || (uint32_t)fd / CHUNK >= NCHUNK)
		return NULL;
	p = load_acquire(c); /* pairs with the CAS below */
	if (unlikely(!p)) {
		if (!make)
			return NULL;
		p = sysalloc(CHUNK * sizeof(*p));
		if (!p)
			return NULL;
		if (!cas(c, NULL, p)) {
			sysfree(p, CHUNK * sizeof(*p));
			p = load_acquire(c);
		}
	}
	return &p[(uint32_t)fd % CHUNK];
}

/* ---- events ---------------------------------------------------------------------- */

/* Holds pd->lock. A node that is in the list has an owner that has not returned. */
static void wakenodes(struct polldesc *pd)
{
	for (struct pollnode *n = pd->nodes; n; n = n->next) {
		/* seq_cst: pairs with notfired, by which the owner's wait begins */
		__atomic_store_n(n->fired, 1, __ATOMIC_SEQ_CST);
		semawake((uintptr_t)n->fired, 1, 0);
	}
}

static void ready(struct polldesc *pd, int dir, uint32_t n)
{
	xadd(&pd->seq[dir], 1); /* then wake: pairs with unchanged */
	semawake((uintptr_t)&pd->seq[dir], n, 0);
}

static void gotevent(const struct epoll_event *ev)
{
	struct polldesc *pd = polldesc((int)(uint32_t)ev->data, false);

	if (ev->data == POLLBREAK || !pd ||
	    READ_ONCE(pd->gen) != (uint32_t)(ev->data >> 32))
		return;
	if (ev->events & ((READS | ALWAYS) & ~EPOLLIN))
		__atomic_fetch_or(&pd->hints, ENDS, __ATOMIC_RELAXED);
	if (ev->events & (READS | ALWAYS))
		ready(pd, NETPOLL_READ, 1);
	if (ev->events & (EPOLLOUT | ALWAYS))
		ready(pd, NETPOLL_WRITE, 1);
	/* a node that comes later is followed by a look at the file itself */
	if (READ_ONCE(pd->nodes)) {
		lock(&pd->lock);
		wakenodes(pd);
		unlock(&pd->lock);
	}
}

static void wakeall(struct polldesc *pd)
{
	ready(pd, NETPOLL_READ, UINT32_MAX);
	ready(pd, NETPOLL_WRITE, UINT32_MAX);
	wakenodes(pd);
}

/* Nobody's file is registered any more: all that wait look again. */
void netpollunarm(void)
{
	for (uint32_t i = 0; i < NCHUNK; i++) {
		struct polldesc *c = load_acquire(&chunks[i]);

		for (uint32_t k = 0; c && k < CHUNK; k++)
			if (READ_ONCE(c[k].armed)) {
				lock(&c[k].lock);
				WRITE_ONCE(c[k].armed, 0);
				wakeall(&c[k]);
				unlock(&c[k].lock);
			}
	}
}

/* Make ready the Gs that wait for these; without a P, for everybody. `wrote` is the file
 * that was last written to before they came, if that is known. */
void netpollinject(struct pollevents *e, struct polldesc *wrote)
{
	if (wrote && e->n == 1)
		netpolllearn(wrote, &e->ev[0]);
	for (long i = 0; i < e->n; i++)
		gotevent(&e->ev[i]);
}

/* ---- registration ------------------------------------------------------------------ */

/* fd's file is another one than that which was registered: whoever waits for that ends.
 * Holds pd->lock. */
static void replaced(struct polldesc *pd)
{
	WRITE_ONCE(pd->armed, 0);
	netpollunknown(pd);
	WRITE_ONCE(pd->gen, pd->gen + 1);
	wakeall(pd);
}

/* Register fd for `events` at least, if its generation is gen. That it is registered is
 * not taken on trust for longer than RECHECK: the number may have been closed and used
 * again where we do not see it. Before a wait that is as well (the edge is repeated, too);
 * `since` we were sure that it was the file of this wait, that file is gone. 0 or -E:
 * EPERM means that the file cannot be polled. Holds pd->lock. */
static int armlocked(int fd, struct polldesc *pd, uint32_t *gen,
		     uint32_t events, bool since)
{
	uint32_t all = pd->armed | events;
	long r;

	if (pd->gen != *gen)
		return -EBADF;
	r = netpollctl(pd->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, all, *gen);
	if (r == -EEXIST) { /* it came back to this number, or another's dup */
		r = netpollctl(EPOLL_CTL_MOD, fd, all, *gen);
	} else if (r == -ENOENT) {
		replaced(pd);
		if (since)
			return -EBADF;
		*gen = pd->gen;
		r = netpollctl(EPOLL_CTL_ADD, fd, all, *gen);
	}
	if (r == 0) {
		WRITE_ONCE(pd->armed, all);
		WRITE_ONCE(pd->sure, nanotime());
	}
	return (int)r;
}

/* The same, for an instance that lasts: 0, -EBADF or -EPERM; -ENOSYS: this file, or any, cannot
 * be waited for here. */
static int arm(int fd, struct polldesc *pd, uint32_t *gen, uint32_t events,
	       bool since)
{
	struct m *mp = acquirem();
	int r, another;

	do {
		uint32_t was = netpollmade();

		lock(&pd->lock);
		r = armlocked(fd, pd, gen, events, since);
		unlock(&pd->lock);
		if (likely(r != -EBADF && r != -EINVAL) ||
		    READ_ONCE(pd->gen) != *gen)
			break;
		another = netpollrenewed(was); /* it may not be fd's fault */
		if (another < 0)
			r = another;
	} while (another > 0);
	releasem(mp);
	return r == 0 || r == -EBADF || r == -EPERM ? r : -ENOSYS;
}

/* The coarse timer's next step: sixteen times as long. Who waits for minutes is left in
 * peace. */
static uint32_t longer(uint32_t step)
{
	return step + 4 < TIMERSTEPS ? step + 4 : TIMERSTEPS - 1;
}

static void look(struct pollstate *ps, int dir)
{
	ps->gen = READ_ONCE(ps->pd->gen);
	ps->seq =
		load_acquire(&ps->pd->seq[dir]); /* before the try: see ready */
}

void netpollbegin(int fd, int dir, struct pollstate *ps)
{
	ps->pd = polldesc(fd, true);
	ps->step = TRUSTED;
	ps->now = 0;
	ps->sure = ps->woken = ps->trusting = false;
	if (ps->pd)
		look(ps, dir);
}

struct changed {
	const uint32_t *seq;
	uint32_t was;
};

/* The sequence is as it was before the try. Called with the queue locked, so either
 * we see that it rose, or ready() finds us in the queue. */
static bool unchanged(void *arg)
{
	struct changed *c = arg;

	return __atomic_load_n(c->seq, __ATOMIC_SEQ_CST) == c->was;
}

/* cputicks, some 60 us: many times what it costs to ask the kernel */
#define LONGTURN 150000
#define YIELDED	 4 /* times as long as the others have run, until they may again */

/* A G of mp is about to wait for files, and mp would go on with the next one. Whom its Gs have
 * answered may be waiting for this CPU, another one idle: natively the thread would sleep
 * now. So the kernel may run them first, if mp has run for long; those with short requests are
 * through soon. Not often, if that is for somebody who computes. */
void netpollyield(struct m *mp)
{
	uint64_t now = cputicks(), ran = now - mp->ranfrom;

	mp->ranfrom = now;
	if (likely(ran < LONGTURN) || now < mp->yieldat)
		return;
	RAW(__NR_sched_yield);
	mp->ranfrom = cputicks();
	mp->yieldat = mp->ranfrom + (mp->ranfrom - now) * YIELDED;
}

/* The caller's G is about to wait for files; the returned M is acquired. */
static struct m *pollwaitbegin(void)
{
	struct m *mp = acquirem();

	xadd(&sched.npollwait, 1);
	if (unlikely(!mp->p)) /* it sleeps on its note */
		pollneeded();
	else
		netpollyield(mp);
	return mp;
}

int netpollwait(int fd, int dir, struct pollstate *ps, int64_t deadline)
{
	struct polldesc *pd = ps->pd;
	struct changed c = { pd ? &pd->seq[dir] : NULL, ps->seq };
	struct semawait w = { .addr = (uintptr_t)c.seq,
			      .reason = WAIT_IO,
			      .interruptible = true,
			      .check = unchanged,
			      .arg = &c };
	uint32_t events = dir == NETPOLL_READ ? READS : EPOLLOUT, gen;
	int64_t now = ps->now ? ps->now : nanotime();
	bool trusting = ps->trusting;
	struct m *mp;
	int r;

	if (!pd || !netpollinit())
		return -ENOSYS;
	if (ps->woken && READ_ONCE(pd->from))
		netpollforget(pd);
	if (dir == NETPOLL_READ && !ps->woken)
		netpollvain(pd, ps);
	ps->woken = ps->trusting = false;
	ps->now = 0;
	/* others wait already: for the same file? */
	if (now - READ_ONCE(pd->sure) > RECHECK || READ_ONCE(pd->nwait) ||
	    (READ_ONCE(pd->armed) & events) != events) {
		r = arm(fd, pd, &ps->gen, events, ps->sure);
		if (r < 0)
			return r;
		ps->sure = true;
		if (ps->step < RECHECKED)
			ps->step = RECHECKED;
	}
	mp = pollwaitbegin();
	xadd(&pd->nwait, 1);
	for (gen = ps->gen;; now = nanotime()) {
		w.deadline = timercoarse(now, trusting ? TRUSTED : ps->step);
		w.coarse = 1 + (trusting ? TRUSTED : ps->step);
		if (deadline <= w.deadline) {
			w.deadline = deadline;
			w.coarse = 0;
		}
		mp = semapark(mp, &w, &r);
		if (r == -EAGAIN)
			r = 0;
		if (r != -ETIMEDOUT || !w.coarse)
			break;
		r = arm(fd, pd, &ps->gen, events, ps->sure);
		ps->sure = true;
		ps->step = longer(ps->step);
		if (r < 0 || ps->gen != gen)
			break;
		if (trusting) {
			r = -EAGAIN;
			break;
		}
	}
	xadd(&pd->nwait, -1);
	xadd(&sched.npollwait, -1);
	releasem(mp); /* a handler runs here, and may not come back */
	if (r == 0 && READ_ONCE(pd->gen) != ps->gen)
		return -EBADF;
	if (r == 0) {
		ps->woken = true;
		look(ps, dir);
	}
	return r;
}

void netpollpass(int dir, const struct pollstate *ps)
{
	if (ps->pd)
		semawake((uintptr_t)&ps->pd->seq[dir], 1, 0);
}

/* ---- waiting for several ------------------------------------------------------------- */

/* poll and select are about numbers: about the file that has it now. */
static int armnode(const struct pollnode *n, struct polldesc *pd, int64_t now)
{
	uint32_t gen = READ_ONCE(pd->gen);
	uint32_t events = READS | (n->writes ? EPOLLOUT : 0);

	if (now - READ_ONCE(pd->sure) <= RECHECK &&
	    (READ_ONCE(pd->armed) & events) == events)
		return 0; /* the look at the files follows */
	return arm(n->fd, pd, &gen, events, false);
}

/* Have n's file raise *fired. False: it cannot now. A file that cannot be polled is always
 * ready, or is none: the look at the files themselves tells. Holds the M. */
static bool addnode(struct pollnode *n, uint32_t *fired, int64_t now)
{
	struct polldesc *pd = polldesc(n->fd, true);
	int r = pd ? armnode(n, pd, now) : n->fd < 0 ? -EBADF : -ENOSYS;

	n->pd = NULL;
	if (r < 0)
		return r != -ENOSYS;
	n->fired = fired;
	lock(&pd->lock);
	n->pd = pd;
	n->next = pd->nodes;
	n->link = &pd->nodes;
	if (n->next)
		n->next->link = &n->next;
	WRITE_ONCE(pd->nodes, n);
	unlock(&pd->lock);
	return true;
}

/* The same for all. */
static bool addnodes(struct pollnode *nodes, uint32_t n, uint32_t *fired)
{
	int64_t now = nanotime();
	bool all = true;

	for (uint32_t i = 0; i < n; i++)
		all &= addnode(&nodes[i], fired, now);
	return all;
}

/* It is made sure of that they are registered. False: one cannot now. */
static bool rearmnodes(struct pollnode *nodes, uint32_t n, int64_t now)
{
	bool all = true;

	for (uint32_t i = 0; i < n; i++)
		if (nodes[i].pd)
			all &= armnode(&nodes[i], nodes[i].pd, now) != -ENOSYS;
	return all;
}

static void delnode(struct pollnode *n)
{
	if (!n->pd)
		return;
	lock(&n->pd->lock);
	WRITE_ONCE(*n->link, n->next);
	if (n->next)
		n->next->link = n->link;
	unlock(&n->pd->lock);
}

static bool notfired(void *fired)
{
	return __atomic_load_n((uint32_t *)fired, __ATOMIC_SEQ_CST) == 0;
}

int netpollgroup(struct pollnode *nodes, uint32_t n, bool (*look)(void *),
		 void *arg, uint32_t handled, int64_t deadline)
{
	uint32_t fired;
	struct semawait w = { .addr = (uintptr_t)&fired,
			      .reason = WAIT_IO,
			      .interruptible = true,
			      .check = notfired,
			      .arg = &fired };
	uint32_t step = TRUSTED;
	int64_t now;
	struct m *mp;
	bool all;
	int r = -EINTR;

	if (!netpollinit())
		return -ENOSYS;
	mp = pollwaitbegin();
	all = addnodes(nodes, n, &fired);
	/* a handler that has run since the caller let signals in ends the wait */
	while (curg()->nhandled == handled) {
		/* closed, and not made anew; or made anew since one could not be */
		if (unlikely(!all || !netpollinit())) {
			r = -ENOSYS;
			break;
		}
		__atomic_store_n(&fired, 0, __ATOMIC_SEQ_CST);
		if (look(arg)) {
			r = 0;
			break;
		}
		now = nanotime();
		w.deadline = timercoarse(now, step);
		w.coarse = 1 + step;
		if (deadline <= w.deadline) {
			w.deadline = deadline;
			w.coarse = 0;
		}
		mp = semapark(mp, &w, &r);
		if (r == -ETIMEDOUT && w.coarse) {
			all = rearmnodes(nodes, n, w.deadline);
			step = longer(step);
		} else if (r != 0 && r != -EAGAIN) {
			break;
		}
		r = -EINTR;
	}
	xadd(&sched.npollwait, -1);
	for (uint32_t i = 0; i < n; i++)
		delnode(&nodes[i]);
	releasem(mp); /* a handler runs here, and may not come back */
	return r;
}

/* ---- the life of a number -------------------------------------------------------------- */

void netpollclose(int fd)
{
	struct polldesc *pd = polldesc(fd, false);
	struct m *mp;

	if (!pd)
		return;
	if (READ_ONCE(pd->armed) == 0) {
		/* nobody has ever had to wait for this file */
		netpollunknown(pd);
		xadd(&pd->gen, 1);
		return;
	}
	mp = acquirem();
	lock(&pd->lock);
	/* a dup of it, or another process's, would report for ever */
	if (pd->armed)
		netpollctl(EPOLL_CTL_DEL, fd, 0, 0);
	replaced(pd);
	unlock(&pd->lock);
	releasem(mp);
}

void netpollkick(int fd)
{
	struct polldesc *pd = polldesc(fd, false);
	struct m *mp;

	if (!pd || !READ_ONCE(pd->armed))
		return;
	mp = acquirem();
	lock(&pd->lock);
	wakeall(pd);
	unlock(&pd->lock);
	releasem(mp);
}

uint32_t netpollcloserange(uint32_t first, uint32_t last)
{
	for (uint32_t i = first / CHUNK; i <= last / CHUNK && i < NCHUNK; i++) {
		struct polldesc *c = load_acquire(&chunks[i]);
		uint32_t k = i == first / CHUNK ? first % CHUNK : 0;

		for (; c && k < CHUNK && i * CHUNK + k <= last; k++)
			if (READ_ONCE(c[k].armed) || READ_ONCE(c[k].hints))
				netpollclose((int)(i * CHUNK + k));
	}
	return netpollownin(first, last);
}

void netpollopen(int fd)
{
	struct polldesc *pd = polldesc(fd, false);

	if (pd && (READ_ONCE(pd->armed) || READ_ONCE(pd->hints)))
		netpollclose(fd); /* it was closed where we did not see it */
}

void netpollfork(void)
{
	netpollepollfork();
	for (uint32_t i = 0; i < NCHUNK; i++)
		if (chunks[i]) {
			sysfree(chunks[i], CHUNK * sizeof(*chunks[i]));
			chunks[i] = NULL;
		}
}
