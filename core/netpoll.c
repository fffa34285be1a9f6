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
#include "core/runtime.h"
#include <errno.h>

#define MS		 1000000l
#define RECHECK		 (10 * MS)
#define RECHECKED	 3 /* coarse timer's step of a wait that began by making sure */
#define CHUNK		 65536u /* numbers; 4 MiB of address space, touched as used */
#define NCHUNK		 16384u /* up to 2^30 numbers, the kernel's limit */
#define OWNFD		 512 /* our descriptors: beyond those that daemons close */
#define F_DUPFD_CLOEXEC_ 1030
#define EPOLL_CLOEXEC_	 02000000
#define BREAK		 (~0ull) /* the event of netpollbreak */
#define READS		 (EPOLLIN | EPOLLPRI | EPOLLRDHUP)
#define ALWAYS		 (EPOLLHUP | EPOLLERR)
#define ENDS		 (1u << 31) /* of the hints, ours: see "Drained" */

struct polldesc {
	uint32_t gen;	 /* by lock; read anywhere */
	uint32_t seq[2]; /* NETPOLL_READ, NETPOLL_WRITE; waiters' address */
	uint32_t armed;	 /* events registered for gen, 0: none */
	struct mutex lock;
	uint32_t hints; /* netpollhint */
	struct pollnode *nodes;
	int64_t sure;	/* when it was last made sure of */
	uint32_t nwait; /* Gs in netpollwait */
	/* hints, see "Peers" */
	uint32_t peer; /* 1 + the number of what gets ready when this is written to */
	uint8_t seen; /* how often that was so */
	uint8_t vain; /* see "Drained" */
	uint16_t drained;
	uint32_t from; /* 1 + the number whose writer wakes this one's reader */
	int64_t looked; /* netpolllooked */
};

static struct polldesc *chunks[NCHUNK];
static struct mutex netpolllock;
/* The instance: -1 not made yet; FAILED: it could not be, files block kernel threads
 * until RETRY later. */
#define FAILED (-2)
#define RETRY (100 * MS)
static int epfd = -1, breakfd = -1;
static int64_t failedat;
static bool complained; /* once is enough */
static uint32_t made; /* how often they changed; by netpolllock, read anywhere */
/* sysmon has a file table of its own: the last of them, as that has it. */
static struct {
	int epfd, breakfd;
	uint32_t made;
} sysmons = { -1, -1, 0 };

static long ctl(int op, int fd, uint32_t events, uint32_t gen)
{
	struct epoll_event ev = { events | EPOLLET,
				  (uint64_t)gen << 32 | (uint32_t)fd };

	return RAW(__NR_epoll_ctl, READ_ONCE(epfd), op, fd, &ev);
}

/* fd at OWNFD or above, or -E. */
static int moveup(int fd)
{
	int up;

	if (fd < 0)
		return fd;
	up = (int)RAW(__NR_fcntl, fd, F_DUPFD_CLOEXEC_, OWNFD);
	RAW(__NR_close, fd);
	return up;
}

/* Holds netpolllock. */
static void makepoller(bool complain)
{
	struct epoll_event ev = { EPOLLIN | EPOLLET, BREAK };
	int ep = moveup((int)RAW(__NR_epoll_create1, EPOLL_CLOEXEC_));
	int br = ep < 0 ? ep
			: moveup((int)RAW(__NR_eventfd2, 0, EPOLL_CLOEXEC_));

	if (br >= 0) {
		long r = RAW(__NR_epoll_ctl, ep, EPOLL_CTL_ADD, br, &ev);

		if (r == 0) {
			breakfd = br;
			store_release(&epfd, ep); /* pairs with netpollinited */
			store_release(&made, made + 1); /* last: see arm */
			return;
		}
		RAW(__NR_close, br);
		br = (int)r;
	}
	if (ep >= 0)
		RAW(__NR_close, ep);
	if (!complain)
		return;
	if (!complained)
		print("gmp_shim: no descriptors of our own for a poller (error "
		      "%d; they lie at %d and above, see RLIMIT_NOFILE): calls "
		      "that wait for files block kernel threads\n",
		      -br, OWNFD);
	complained = true;
	failedat = nanotime();
	store_release(&epfd, FAILED); /* pairs with netpollinit */
}

static bool netpollinited(void)
{
	return load_acquire(&epfd) >= 0;
}

/* There are descriptors again, perhaps. */
static bool retry(int64_t now)
{
	return now - READ_ONCE(failedat) > RETRY;
}

static bool netpollinit(void)
{
	int ep = load_acquire(&epfd);

	if (unlikely(ep == -1 || (ep == FAILED && retry(nanotime())))) {
		struct m *mp = acquirem();

		lock(&netpolllock);
		if (epfd == -1) {
			makepoller(true);
		} else if (epfd == FAILED && retry(nanotime())) {
			WRITE_ONCE(failedat, nanotime());
			makepoller(false);
		}
		unlock(&netpolllock);
		releasem(mp);
	}
	return netpollinited();
}

/* Before other threads can see the descriptors where they are for an instant. If there
 * are none to be had, whoever needs them tries again. */
void netpollstart(void)
{
	lock(&netpolllock);
	makepoller(false);
	unlock(&netpolllock);
}

/* On sysmon: have the instance's descriptors. */
void netpollshare(void)
{
	if (sysmons.made == load_acquire(&made))
		return;
	lock(&netpolllock);
	sysmonputfd(sysmons.epfd);
	sysmonputfd(sysmons.breakfd);
	sysmons.epfd = sysmongetfd(epfd);
	sysmons.breakfd = sysmongetfd(breakfd);
	sysmons.made = made;
	unlock(&netpolllock);
}

/* NULL: no such number, or no memory. */
static struct polldesc *polldesc(int fd, bool make)
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

/* ---- what is known of a file ------------------------------------------------------- */

static int64_t changedat; /* whoever has looked before that is not trusted */

bool netpolltrusted(struct pollstate *ps)
{
	int64_t looked = ps->pd ? READ_ONCE(ps->pd->looked) : 0;

	ps->now = nanotime();
	/* others that wait would be woken for nothing when it ends */
	ps->trusting = ps->pd && ps->now - looked < RECHECK &&
		       looked > READ_ONCE(changedat) &&
		       READ_ONCE(ps->pd->nwait) == 0;
	return ps->trusting;
}

void netpolllooked(const struct pollstate *ps)
{
	if (ps->pd && READ_ONCE(ps->pd->gen) == ps->gen)
		WRITE_ONCE(ps->pd->looked, ps->now);
}

void netpollchanged(void)
{
	WRITE_ONCE(changedat, nanotime());
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

	if (ev->data == BREAK || !pd ||
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

/* "Peers". By a write to one end of a pipe, a socket pair, a connection within the
 * process the other end gets ready, of which the kernel tells those who ask. So it is
 * learned which: if it was the only one that got ready after a write, PEERSURE times in
 * a row, its reader is woken with the write, with no look at the poller. It tries; if
 * that was for nothing, the pair is forgotten.
 */
#define PEERSURE 4

static void learn(struct polldesc *pd, const struct epoll_event *ev)
{
	uint32_t peer = (uint32_t)ev->data + 1;

	if (ev->data == BREAK || !(ev->events & EPOLLIN))
		return;
	if (READ_ONCE(pd->peer) != peer) {
		WRITE_ONCE(pd->seen, 0);
		WRITE_ONCE(pd->peer, peer);
	}
	if (READ_ONCE(pd->seen) < PEERSURE)
		WRITE_ONCE(pd->seen, READ_ONCE(pd->seen) + 1);
}

/* pd's reader was woken, and found nothing. */
static void forget(struct polldesc *pd)
{
	struct polldesc *w = polldesc((int)READ_ONCE(pd->from) - 1, false);

	WRITE_ONCE(pd->from, 0);
	if (w)
		WRITE_ONCE(w->seen, 0);
}

void netpollwrote(int fd, const struct pollstate *ps)
{
	struct polldesc *pd = ps->pd, *to;

	if (!pd || !curg())
		return;
	if (READ_ONCE(pd->seen) < PEERSURE) {
		/* that M may run another G by now: it is a hint */
		WRITE_ONCE(((struct m *)curg()->sched.m)->wrote, pd);
		return;
	}
	to = polldesc((int)READ_ONCE(pd->peer) - 1, false);
	if (!to || (!READ_ONCE(to->nwait) && !READ_ONCE(to->vain)))
		return;
	WRITE_ONCE(to->from, (uint32_t)fd + 1);
	xadd(&to->seq[NETPOLL_READ], 1); /* before nwait: as in ready */
	if (READ_ONCE(to->nwait))
		semawake((uintptr_t)&to->seq[NETPOLL_READ], 1, 0);
}

/* "Drained". A stream that gave less than was asked for is empty, and whatever comes is an
 * event. So to try the next read before one is for nothing: after DRAINSURE times in
 * a row that it was, the reader parks at once. Not once there may be something that is
 * told only once and not taken away by a read: an end, an error, urgent data (ENDS).
 */
#define DRAINSURE 4

/* What a read that leaves nothing makes of the sequence; 0: never mind. */
static uint16_t drainedat(const struct pollstate *ps)
{
	return (uint16_t)(ps->seq + 1);
}

static bool drained(const struct pollstate *ps)
{
	uint16_t at = READ_ONCE(ps->pd->drained);

	return at && at == drainedat(ps);
}

bool netpolldrained(const struct pollstate *ps)
{
	struct polldesc *pd = ps->pd;

	return pd && READ_ONCE(pd->vain) >= DRAINSURE && drained(ps) &&
	       !(READ_ONCE(pd->hints) & ENDS) &&
	       (READ_ONCE(pd->armed) & READS) == READS;
}

void netpolltook(const struct pollstate *ps, bool all)
{
	struct polldesc *pd = ps->pd;

	if (!pd)
		return;
	if (!ps->woken && drained(ps))
		WRITE_ONCE(pd->vain, 0);
	WRITE_ONCE(pd->drained,
		   all && READ_ONCE(pd->gen) == ps->gen ? drainedat(ps) : 0);
}

static void wakeall(struct polldesc *pd)
{
	ready(pd, NETPOLL_READ, UINT32_MAX);
	ready(pd, NETPOLL_WRITE, UINT32_MAX);
	wakenodes(pd);
}

/* The instance and what breaks its waits are still ours. It must not be waited in: an
 * event that came would be lost. Holds netpolllock. */
static bool intact(void)
{
	struct epoll_event ev = { EPOLLIN | EPOLLET, BREAK };

	return RAW(__NR_epoll_ctl, epfd, EPOLL_CTL_MOD, breakfd, &ev) == 0;
}

/* The program has closed our instance, though hidden from it: make another, where all
 * that wait register anew. */
static cold void rebuild(int old)
{
	lock(&netpolllock);
	/* not where somebody has tried in vain */
	if (epfd == old && old >= 0 && !intact()) {
		/* First nobody takes a file for registered: whoever does so now, with
		 * its lock, meets neither instance, and not the next one by the same
		 * number. */
		WRITE_ONCE(epfd, -1);
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
		makepoller(true);
		/* whoever sleeps in the old one sees nothing any more */
		__atomic_store_n(&sched.poller, 0, __ATOMIC_SEQ_CST);
	}
	unlock(&netpolllock);
}

/* Gather events; wait for some until `until`, 0: do not wait. Any M, which must give
 * them to netpollinject: edges come once. */
void netpollfetch(struct pollevents *e, int64_t until)
{
	struct {
		int64_t sec, nsec;
	} ts = { 0, 0 };
	int fd = load_acquire(&epfd);

	e->n = 0;
	if (fd < 0)
		return;
	if (until && until != NEVER) {
		int64_t left = until - nanotime();

		ts.sec = left > 0 ? left / 1000000000 : 0;
		ts.nsec = left > 0 ? left % 1000000000 : 0;
	}
	e->n = RAW(__NR_epoll_pwait2, fd, e->ev, NPOLLEVENTS,
		   until == NEVER ? NULL : &ts, NULL, 8);
	/* Linux before 5.11: whole milliseconds, rounded up */
	if (e->n == -ENOSYS)
		e->n = RAW(__NR_epoll_pwait, fd, e->ev, NPOLLEVENTS,
			   until == NEVER ? -1
			   : ts.sec > 1000000l
				   ? 1000000000l
				   : ts.sec * 1000 + (ts.nsec + MS - 1) / MS,
			   NULL, 8);
	WRITE_ONCE(sched.lastpoll, nanotime());
	if (unlikely(e->n == -EBADF || e->n == -EINVAL))
		rebuild(fd);
}

/* Make ready the Gs that wait for these; without a P, for everybody. `wrote` is the file
 * that was last written to before they came, if that is known. */
void netpollinject(struct pollevents *e, struct polldesc *wrote)
{
	if (wrote && e->n == 1)
		learn(wrote, &e->ev[0]);
	for (long i = 0; i < e->n; i++)
		gotevent(&e->ev[i]);
}

/* There are events to fetch. On sysmon. */
bool netpollready(void)
{
	struct {
		int fd;
		short events, revents;
	} p = { -1, 1, 0 };

	if (!netpollwaiting())
		return false;
	netpollshare();
	p.fd = sysmons.epfd;
	return RAW(__NR_poll, &p, 1, 0) > 0;
}

/* End the M's wait in netpoll. Any thread. */
void netpollbreak(void)
{
	uint64_t one = 1;
	int fd = READ_ONCE(breakfd);

	if (onsysmon()) {
		netpollshare();
		fd = sysmons.breakfd;
	}
	RAW(__NR_write, fd, &one, 8);
}

/* ---- registration ------------------------------------------------------------------ */

/* fd's file is another one than that which was registered: whoever waits for that ends.
 * Holds pd->lock. */
static void replaced(struct polldesc *pd)
{
	WRITE_ONCE(pd->armed, 0);
	WRITE_ONCE(pd->hints, 0);
	WRITE_ONCE(pd->seen, 0);
	WRITE_ONCE(pd->vain, 0);
	WRITE_ONCE(pd->drained, 0);
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
	r = ctl(pd->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, all, *gen);
	if (r == -EEXIST) { /* it came back to this number, or another's dup */
		r = ctl(EPOLL_CTL_MOD, fd, all, *gen);
	} else if (r == -ENOENT) {
		replaced(pd);
		if (since)
			return -EBADF;
		*gen = pd->gen;
		r = ctl(EPOLL_CTL_ADD, fd, all, *gen);
	}
	if (r == 0) {
		WRITE_ONCE(pd->armed, all);
		pd->sure = nanotime();
	}
	return (int)r;
}

static int arm(int fd, struct polldesc *pd, uint32_t *gen, uint32_t events,
	       bool since)
{
	struct m *mp = acquirem();
	int r;

	for (int try = 0; try < 2; try++) {
		/* before epfd; pairs with makepoller */
		uint32_t was = load_acquire(&made);

		lock(&pd->lock);
		r = armlocked(fd, pd, gen, events, since);
		unlock(&pd->lock);
		if (likely(r != -EBADF && r != -EINVAL))
			break;
		rebuild(READ_ONCE(epfd));
		/* by us, or by another, maybe under the same number */
		if (load_acquire(&made) == was && netpollinited())
			break;
		r = 0; /* it was not fd's fault: look again */
	}
	releasem(mp);
	return r;
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
	ps->step = 0;
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

/* The caller's G is about to wait for files; the returned M is acquired. */
static struct m *pollwaitbegin(void)
{
	struct m *mp = acquirem();

	xadd(&sched.npollwait, 1);
	if (unlikely(!mp->p)) /* it sleeps on its note */
		pollneeded();
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
		forget(pd);
	if (dir == NETPOLL_READ && !ps->woken && drained(ps) &&
	    READ_ONCE(pd->vain) < DRAINSURE)
		WRITE_ONCE(pd->vain, READ_ONCE(pd->vain) + 1);
	ps->woken = ps->trusting = false;
	ps->now = 0;
	/* others wait already: for the same file? */
	if (now - pd->sure > RECHECK || READ_ONCE(pd->nwait) ||
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
		w.deadline = timercoarse(now, trusting ? 0 : ps->step);
		w.coarse = 1 + (trusting ? 0 : ps->step);
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

/* Have n's file raise *fired. A file that cannot be polled is always ready, or is none:
 * the look at the files themselves tells. Holds the M. */
static void addnode(struct pollnode *n, uint32_t *fired, int64_t now)
{
	struct polldesc *pd = polldesc(n->fd, true);

	n->pd = NULL;
	if (!pd || armnode(n, pd, now) < 0)
		return;
	n->fired = fired;
	lock(&pd->lock);
	n->pd = pd;
	n->next = pd->nodes;
	n->link = &pd->nodes;
	if (n->next)
		n->next->link = &n->next;
	WRITE_ONCE(pd->nodes, n);
	unlock(&pd->lock);
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
	uint32_t step = 0;
	int64_t now;
	struct m *mp;
	int r = -EINTR;

	if (!netpollinit())
		return -ENOSYS;
	mp = pollwaitbegin();
	now = nanotime();
	for (uint32_t i = 0; i < n; i++)
		addnode(&nodes[i], &fired, now);
	/* a handler that has run since the caller let signals in ends the wait */
	while (curg()->nhandled == handled) {
		if (unlikely(!netpollinit())) { /* closed, and not made anew */
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
			for (uint32_t i = 0; i < n; i++)
				if (nodes[i].pd)
					armnode(&nodes[i], nodes[i].pd,
						w.deadline);
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
		WRITE_ONCE(pd->hints, 0);
		WRITE_ONCE(pd->seen, 0);
		WRITE_ONCE(pd->drained, 0);
		xadd(&pd->gen, 1);
		return;
	}
	mp = acquirem();
	lock(&pd->lock);
	/* a dup of it, or another process's, would report for ever */
	if (pd->armed && netpollinited())
		ctl(EPOLL_CTL_DEL, fd, 0, 0);
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
	uint32_t own = UINT32_MAX, fd[2];

	for (uint32_t i = first / CHUNK; i <= last / CHUNK && i < NCHUNK; i++) {
		struct polldesc *c = load_acquire(&chunks[i]);
		uint32_t k = i == first / CHUNK ? first % CHUNK : 0;

		for (; c && k < CHUNK && i * CHUNK + k <= last; k++)
			if (READ_ONCE(c[k].armed) || READ_ONCE(c[k].hints))
				netpollclose((int)(i * CHUNK + k));
	}
	fd[0] = (uint32_t)READ_ONCE(epfd);
	fd[1] = (uint32_t)READ_ONCE(breakfd);
	for (int i = 0; i < 2 && (int)fd[0] >= 0; i++)
		if (fd[i] >= first && fd[i] <= last && fd[i] < own)
			own = fd[i];
	return own;
}

/* Give up the number, if it is one of ours, for a file of the program's. The file stays
 * open under another, and registered. */
void netpollmove(int fd)
{
	struct m *mp = acquirem();
	int up;

	lock(&netpolllock);
	up = netpollown(fd) ? (int)RAW(__NR_fcntl, fd, F_DUPFD_CLOEXEC_, fd + 1)
			    : -1;
	if (up >= 0) {
		if (fd == epfd)
			WRITE_ONCE(epfd, up);
		else
			WRITE_ONCE(breakfd, up);
		store_release(&made, made + 1);
		RAW(__NR_close, fd);
	}
	unlock(&netpolllock);
	releasem(mp);
}

void netpollopen(int fd)
{
	struct polldesc *pd = polldesc(fd, false);

	if (pd && (READ_ONCE(pd->armed) || READ_ONCE(pd->hints)))
		netpollclose(fd); /* it was closed where we did not see it */
}

bool netpollown(int fd)
{
	return fd >= OWNFD &&
	       (fd == READ_ONCE(epfd) || fd == READ_ONCE(breakfd));
}

uint32_t netpollhints(const struct pollstate *ps)
{
	return ps->pd ? READ_ONCE(ps->pd->hints) & ~ENDS : 0;
}

bool netpollsame(const struct pollstate *ps)
{
	return ps->pd && READ_ONCE(ps->pd->gen) == ps->gen;
}

void netpollhint(const struct pollstate *ps, uint32_t hint)
{
	if (netpollsame(ps))
		__atomic_fetch_or(&ps->pd->hints, hint, __ATOMIC_RELAXED);
}

void netpollunhint(int fd)
{
	struct polldesc *pd = polldesc(fd, false);

	if (pd)
		__atomic_fetch_and(&pd->hints, ENDS, __ATOMIC_RELAXED);
}

/* In a fork child the instance is the parent's: leave it alone. */
void netpollfork(void)
{
	if (epfd >= 0) {
		RAW(__NR_close, epfd);
		RAW(__NR_close, breakfd);
	}
	epfd = breakfd = sysmons.epfd = sysmons.breakfd = -1;
	made = sysmons.made = 0;
	netpolllock.key = 0;
	for (uint32_t i = 0; i < NCHUNK; i++)
		if (chunks[i]) {
			sysfree(chunks[i], CHUNK * sizeof(*chunks[i]));
			chunks[i] = NULL;
		}
}
