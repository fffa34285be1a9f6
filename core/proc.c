/* proc.c - the scheduler: Gs are run by Ms that hold Ps.
 *
 * Terms. G: a thread as the application sees it. M: a kernel thread. P: the right
 * to run Gs; there are sched.gomaxprocs. g0: an M's scheduling context, on the
 * M's own stack with the M's own thread pointer. The algorithms are those of Go's
 * proc.go; what differs is said here.
 *
 * Goal. Enough running Ms to use the Ps, and no more: a wake-up of an idle M costs
 * microseconds and on a virtual machine tens of them, a G switch some 30 ns. One
 * central queue does not scale; handing each readied G to an idle M thrashes; so:
 * an M is woken when there is work and an idle P and no M is spinning already,
 * where a spinning M is one that holds a P and looks for work. The waker of a G
 * that will block at once (it did the last times: g->score) wakes nobody at all,
 * since its own P runs the woken G next; sysmon mends a wrong guess.
 *
 * "Delicate dance". An M that goes idle races with one that makes a G runnable. The
 * submitter: queue the G, then (full fence) look whether a P is idle and no M spins.
 * The idler: put its P on the idle list, lower nmspinning if it was spinning, (full
 * fence), then look at every queue again. Either the submitter sees the idle P and
 * wakes an M for it, or the idler sees the G. Unlike Go's, every idler looks again,
 * not only the last spinner: so a submitter may skip wakep when no P is idle, and
 * Go's needspinning is not needed. nmspinning is lowered for a spinner that found no
 * P only under sched.lock. test/model/dance.pml checks this.
 *
 * "Enqueued but not saved". A G that parks is visible to wakers, and on a run queue
 * perhaps, before its registers are saved. The waker never looks: goready queues at
 * once. gswitch saves, clears the G's oncpu, and only then waits (bounded) for the
 * next G's oncpu: no two switches can wait for each other. Between enqueue and
 * save a G runs no timers and wakes nobody but for a condition wait's unlock.
 * m->locks stays above zero from before the enqueue until the next context drops
 * it (afterswitch, or the loop on g0). What must not run on the leaving stack (an
 * exit's last steps) the next context runs, see reap(). gobuf.m is written by
 * gswitch after the wait: until then the leaving code still reads it.
 * test/model/direct_switch.pml checks all this.
 *
 * Direct switch. A park with a G at hand switches to it without g0. It inherits the
 * time slice (schedtick stays); every SCHEDTICKS-th goes through schedule() for
 * timers, the global queue and the far end of the ring.
 *
 * P-less threads. A kernel thread that core did not make (libc's helpers, raw
 * clone) or that has no scheduler (before the first pthread_create, after fork) is
 * a G with an M of its own and no P: it parks on its M's note. See needm.
 */
#include "core/runtime.h"

struct schedt sched;
struct p *allp[MAXP];
struct m m0;
bool schedstarted;
struct corehooks corehooks;
__thread struct g *tlsg TLS_IE;

/* ---- how long runnable Gs wait, for schedtrace -------------------------------------------- */

static cold void startwait(struct g *gp)
{
	gp->readyat = nanotime();
	/* relaxed: whoever runs gp has it from a queue, after this */
	__atomic_fetch_or(&gp->flags, GF_TIMED, __ATOMIC_RELAXED);
}

static void raisemax(uint64_t *max, uint64_t ns)
{
	uint64_t was = READ_ONCE(*max);

	while (ns > was && !cas(max, was, ns))
		was = READ_ONCE(*max);
}

static void endwait(struct g *gp)
{
	uint64_t ns = (uint64_t)(nanotime() - gp->readyat);

	__atomic_fetch_and(&gp->flags, ~GF_TIMED, __ATOMIC_RELAXED);
	raisemax(&sched.maxwait, ns);
	raisemax(&sched.maxwaitlate, ns);
}

/* gp can run from now on, and is about to be queued. */
static inline void setrunnable(struct g *gp)
{
	WRITE_ONCE(gp->status, Grunnable);
	if (unlikely(options.schedtrace))
		startwait(gp);
}

/* ---- switching ------------------------------------------------------------------------- */

/* The last steps of a G whose stack this M has just left. */
static void reap(struct m *mp)
{
	struct g *gp = mp->dead;

	mp->dead = NULL;
	gp->sched.m = NULL;
	sigflush(gp); /* after its status, with goexit's xadd between; see there */
	corehooks.goexit0(gp);
}

/* gp runs on mp: what its flags ask for. */
static cold void enterflags(struct m *mp, struct g *gp)
{
	stackcheck(gp);
	if (gp->flags & GF_TIMED)
		endwait(gp);
	if (gp->flags & GF_SIDE)
		sideput(gp);
	if (READ_ONCE(gp->flags) & GF_NATIVE)
		nativeforgood(mp, gp);
	if (READ_ONCE(gp->flags) & (GF_SIGNAL | GF_ATTENTION))
		mp->sigwork = 1; /* releasem serves it */
	if (READ_ONCE(gp->flags) & GF_ACCOUNT)
		accountin(mp, gp);
}

/* gp runs again after a park, on mp. */
void goenter(struct m *mp, struct g *gp)
{
	WRITE_ONCE(gp->status, Grunning);
	if (unlikely(READ_ONCE(gp->flags)))
		enterflags(mp, gp);
}

/* First thing of a G that gswitch has just resumed. Returns its M, acquired. */
static inline struct m *afterswitch(struct g *gp)
{
	struct m *mp = gp->sched.m;

	mp->curg = gp;
	if (unlikely(mp->dead))
		reap(mp);
	if (unlikely(gp->sigmask != mp->sigmask))
		msetmask(mp, gp->sigmask);
	goenter(mp, gp);
	return mp;
}

/* Leave gp for next (NULL: for g0's schedule()). Returns when gp runs again, with
 * the M that runs it, acquired. */
static inline struct m *switchaway(struct m *mp, struct g *gp, struct g *next)
{
	struct gobuf *g0 = &mp->g0->sched;

	if (unlikely(mp->locks != 1))
		throw("switchaway: m->locks is %u", mp->locks);
	if (unlikely(READ_ONCE(gp->flags) & GF_ACCOUNT))
		accountout(mp, gp);
	mp->switchto = next;
	gswitch(&gp->sched, next ? &next->sched : g0, g0, mp);
	return afterswitch(gp);
}

/* The G for a direct switch from pp, NULL to go through schedule(). */
static inline struct g *directnext(struct p *pp)
{
	if (!pp || ++pp->switchtick % SCHEDTICKS == 0 ||
	    READ_ONCE(pp->preempt) || READ_ONCE(pp->fairturn) ||
	    READ_ONCE(sched.gcwaiting))
		return NULL;
	return runqget(pp, false);
}

/* About what an idle M takes to wake up, in cputicks: some 20 us. */
#define WAKETICKS 50000

/* curg has woken gp, which nothing runs before: note it for learn(). The clock is
 * read until curg is known, then now and then. */
static inline void noteready(struct p *pp, struct g *curg, struct g *gp)
{
	pp->readied = gp;
	pp->readiedat = curg->score < 2 || pp->switchtick % 8 == 0 ?
				cputicks() :
				0;
}

/* curg blocks. If the G that it woke is still there and has not waited long, waking
 * an idle M for it was, or would have been, for nothing. */
static inline void learn(struct p *pp, struct g *gp)
{
	if (!pp || !pp->readied)
		return;
	if (READ_ONCE(pp->runnext) != pp->readied ||
	    (pp->readiedat && cputicks() - pp->readiedat > WAKETICKS))
		gp->score = 0;
	else if (gp->score < 3)
		gp->score++;
	pp->readied = NULL;
}

/* Park the calling G, which is Gwaiting and in a queue; returns when it was made
 * ready, with its M, acquired as mp is. A P-less thread sleeps on its note. */
struct m *gopark(struct m *mp)
{
	struct g *gp = curg(), *next;
	struct p *pp;

	if (unlikely(gp->foreign)) {
		mp->parked = true;
		notesleep(&mp->park);
		mp->parked = false;
		goenter(mp, gp);
		return gp->native ? goparked(mp) : mp;
	}
	if (unlikely(mp->oldp))
		settlep(mp); /* a call back out of a declared system call */
	if (unlikely(gp->flags & GF_SIDE))
		sideput(gp);
	pp = mp->p;
	if (unlikely(READ_ONCE(gp->hogs))) /* sysmon sets it */
		WRITE_ONCE(gp->hogs, gp->hogs - 1);
	learn(pp, gp);
	next = directnext(pp);
	if (unlikely(next == gp)) { /* woken already, by itself */
		goenter(mp, gp);
		return mp;
	}
	return switchaway(mp, gp, next);
}

/* An event loop that wakes others shares its work: see pless.c. */
static inline void noteshared(struct m *mp)
{
	if (unlikely(mp->curg && mp->curg->loops))
		mp->curg->loops = LOOP_SHARES;
}

/* Make runnable a G that waits, or never ran. mp is acquired. */
void goready(struct m *mp, struct g *gp)
{
	struct p *pp;
	bool alone;

	noteshared(mp);
	if (unlikely(gp->foreign)) {
		notewakeup(&((struct m *)gp->sched.m)->park);
		return;
	}
	setrunnable(gp);
	pp = mp->p;
	if (unlikely(!pp)) {
		lock(&sched.lock);
		globrunqput(gp);
		unlock(&sched.lock);
		wakep();
		return;
	}
	alone = !READ_ONCE(pp->runnext) &&
		READ_ONCE(pp->runqhead) == pp->runqtail;
	runqput(pp, gp, true);
	if (mp->curg && manygs())
		warmg(gp); /* it is next; on g0 more will come */
	if (!mp->curg && (alone || sysmonsoon() || sysmonlazy()))
		return; /* on g0 this P looks at its queue next */
	if (unlikely(sysmonlazy()))
		sysmonneeded();
	if (alone) {
		noteready(pp, mp->curg, gp);
		if (mp->curg->score >= 2)
			return;
	}
	fullfence(); /* the G is queued before npidle is read: the dance */
	if (READ_ONCE(sched.npidle))
		wakep();
	else if (READ_ONCE(sched.hogs))
		preempthog(pp);
}

/* Queue the Gs of a list on mp's P, in that order; with next the first runs next. False:
 * there is nobody to wake for them. */
static bool putlist(struct m *mp, struct g *list, bool next)
{
	bool put = false;

	while (list) {
		struct g *gp = list;
		struct p *pp = mp->p;

		list = gp->schedlink;
		if (gp->foreign || !pp) {
			goready(mp, gp);
			continue;
		}
		setrunnable(gp);
		runqput(pp, gp, next);
		next = false;
		put = true;
	}
	return put;
}

/* Gs were queued, and somebody else may run them. */
static void wakefor(void)
{
	if (unlikely(sysmonlazy()))
		sysmonneeded();
	fullfence(); /* queued before npidle is read: the dance */
	if (READ_ONCE(sched.npidle))
		wakep();
}

/* goready for a list linked by schedlink, in that order, with one wake-up. */
void goreadylist(struct m *mp, struct g *list)
{
	noteshared(mp);
	if (list && !list->schedlink)
		goready(mp, list);
	else if (putlist(mp, list, false))
		wakefor();
}

/* The same for those whose time has come: the first goes before those that compute, as who
 * is woken does, the others wait their turn. On g0, where this P looks at its queue next. */
void goreadydue(struct m *mp, struct g *list)
{
	bool one = list && !list->schedlink && mp->p && alone(mp->p);

	if (putlist(mp, list, true) && !one && !sysmonsoon() && !sysmonlazy())
		wakefor();
}

/* Cannot use the P to run gp now: the queue of everybody; for inturn see globrunqget. */
static void gorequeue(struct g *gp, bool inturn)
{
	lock(&sched.lock);
	gp->inturn = inturn;
	globrunqput(gp);
	unlock(&sched.lock);
}

static struct m *waitp(struct m *mp, bool inturn)
{
	struct g *gp = curg();

	if (unlikely(mp->oldp))
		settlep(mp);
	setrunnable(gp);
	gorequeue(gp, inturn);
	/* its P has others to run first */
	if (READ_ONCE(sched.npidle) && mp->p && !runqempty(mp->p))
		wakep();
	return switchaway(mp, gp, NULL);
}

/* Wait for a P, in the global queue. mp is acquired, and so is what it returns. */
struct m *gowaitp(struct m *mp)
{
	return waitp(mp, true);
}

/* Timers are due on pp, or files are waited for at which nobody has looked lately: who only
 * yields may wait for whom they wake, and sysmon comes by when the kernel lets it. */
static bool duehere(struct p *pp)
{
	bool files = netpollwaiting() && !inpoll();
	int64_t now;

	if (READ_ONCE(pp->when0) == NEVER && !files)
		return false;
	now = nanotime();
	return pp->when0 <= now ||
	       (files && now - READ_ONCE(sched.lastpoll) > POLLFRESH);
}

/* The rest of goyield: nothing local to run, or time to look at everything, as there is when
 * sysmon wants pp: in here, where it yields, its G is not preempted. */
static void yieldslow(struct m *mp, struct g *gp)
{
	struct p *pp = mp->p;

	if (gp->foreign || (pp && alone(pp) && !READ_ONCE(pp->preempt) &&
			    !READ_ONCE(sched.gcwaiting) && !duehere(pp))) {
		releasem(mp);
		RAW(__NR_sched_yield); /* others may need the CPU */
		return;
	}
	/* with more Ps than CPUs who is waited for may be on an M that has none: those
	 * that only yield to each other would use up their slices first */
	if (sched.aloneticks == CROWDEDTICKS)
		RAW(__NR_sched_yield);
	releasem(waitp(mp, false)); /* others yield, too: with them in a batch */
}

void goyield(void)
{
	struct m *mp = acquirem();
	struct g *gp = curg(), *next;
	struct p *pp = mp->p;

	if (unlikely(!pp || READ_ONCE(sched.gcwaiting))) {
		yieldslow(mp, gp);
		return;
	}
	pp->switchtick++;
	if (alone(pp)) {
		if (unlikely(pp->switchtick % sched.aloneticks == 0 ||
			     READ_ONCE(pp->preempt)))
			yieldslow(mp, gp);
		else
			releasem(mp);
		return;
	}
	learn(pp, gp);
	/* runnext first: a ring of yielders must not keep it waiting */
	next = pp->switchtick % SCHEDTICKS ? runqget(pp, false) : NULL;
	if (!next) {
		yieldslow(mp, gp);
		return;
	}
	setrunnable(gp);
	runqput(pp, gp, false);
	releasem(switchaway(mp, gp, next));
}

/* A server's thread whose client is on the same CPU has its next request as soon as it has
 * answered, all its slice long; the others' clients, a request behind each time they do not,
 * wait a round of slices for each. With one request a turn nobody would find the next one
 * there already. Who serves many by files of their own gives each its turn itself. */
#define SENTMAX 3

void gosent(int fd)
{
	struct m *mp = acquirem();
	struct p *pp = mp->p;

	if (pp) {
		if (pp->sentat != pp->switchtick || pp->sentby != fd)
			pp->nsent = 0;
		pp->sentat = pp->switchtick;
		pp->sentby = fd;
		pp->nsent++;
	}
	releasem(mp);
}

void goreceive(int fd)
{
	struct m *mp = acquirem();
	struct p *pp = mp->p;
	bool over = pp && pp->nsent >= SENTMAX &&
		    pp->sentat == pp->switchtick && pp->sentby == fd &&
		    !runqempty(pp);

	releasem(mp);
	if (over)
		goyield();
}

/* The caller lets next, which is new, run before it; *mp is the M that it goes on with.
 * False: not now. */
bool goturn(struct m **mp, struct g *next)
{
	struct g *gp = curg();
	struct p *pp = (*mp)->p;

	if ((*mp)->locks != 1 || ++pp->switchtick % SCHEDTICKS == 0 ||
	    READ_ONCE(pp->preempt) || READ_ONCE(sched.gcwaiting))
		return false;
	pp->readied = NULL;
	setrunnable(next);
	setrunnable(gp);
	runqputlifo(pp, gp);
	if (unlikely(sysmonlazy()))
		sysmonneeded();
	*mp = switchaway(*mp, gp, next);
	return true;
}

/* Who asks a thread and waits for its answer need not queue up and be woken, if that one
 * answers as soon as it runs, and then lets it run. That is known of who has waited so a few
 * times: others did not run in between. In a ring of threads those that do not queue up keep
 * the one that has something to do waiting. */

/* Whom the caller has just woken runs before it, as if it parked until that one has done its
 * part: it is next then, and no other P's. Returns the M that the caller goes on with, NULL: there
 * is nobody, or not now. When it is time to look at everything it had better park, which does.
 * hand: with the lock that it waits for. Only we put others there, so it is the one that we
 * have seen there if the CAS finds it. */
struct m *turnwoken(struct m *mp, bool hand)
{
	struct g *gp = curg(), *next;
	struct p *pp = mp->p;

	if (!pp || !(next = READ_ONCE(pp->runnext)) || mp->locks != 1 ||
	    (pp->switchtick + 1) % SCHEDTICKS == 0 || READ_ONCE(pp->preempt) ||
	    READ_ONCE(sched.gcwaiting))
		return NULL;
	learn(pp, gp);
	setrunnable(gp);
	pp->nextlifo = false;
	/* thieves take runnext by CAS */
	if (unlikely(!cas(&pp->runnext, next, gp))) {
		goenter(mp, gp);
		return NULL;
	}
	if (hand) /* it is nobody else's now, and reads that when it runs */
		next->turnlock = NULL;
	pp->switchtick++;
	if (unlikely(sysmonlazy()))
		sysmonneeded();
	return switchaway(mp, gp, next);
}

bool goturns(void)
{
	struct g *gp = curg();
	struct m *mp, *turned;

	if (!gp)
		return false;
	gp->turntick = ticknow(gp);
	if (gp->turns < TURNSURE)
		return false;
	mp = acquirem();
	turned = turnwoken(mp, false);
	releasem(turned ?: mp);
	return turned;
}

void goturned(bool got)
{
	struct g *gp = curg();
	uint32_t ticks = gp ? ticknow(gp) - gp->turntick : 0;

	if (ticks) /* or it did not have to wait */
		turnlearn(gp, ticks, got);
}

/* Two that end at once both see each other: the later one comes back. */
static cold void golast(struct m *mp, struct g *gp)
{
	siglive(gp->sigmask, 1);
	sigchanged();
	WRITE_ONCE(gp->status, Grunning);
	releasem(mp);
}

void goexit(void)
{
	struct m *mp = acquirem();
	struct g *gp = curg(), *next;
	struct p *pp = mp->p;

	/* The last, unless a foreign thread makes one just now, and then either may come first.
	 * acquire: pairs with siglive, what others did is seen by who calls exit next */
	if (unlikely(load_acquire(&sched.ng) == 1)) {
		releasem(mp);
		return;
	}
	WRITE_ONCE(gp->status, Gdead);
	if (unlikely(siglive(gp->sigmask, -1) == 0)) {
		golast(mp, gp);
		return;
	}
	if (gp->flags & GF_SIDE)
		sideput(gp);
	if (gp->native || gp->kept) {
		mp->ending = gp->kept;
		gp->native = gp->foreign = gp->unwire = gp->kept = false;
		gp->nwired = 0;
		WRITE_ONCE(mp->pstate, PS_NONE);
	}
	mp->dead = gp;
	if (gp->flags & GF_ACCOUNT)
		accountout(mp, gp);
	if (pp)
		pp->readied = NULL;
	next = directnext(pp);
	mp->switchto = next;
	gswitch(&gp->sched, next ? &next->sched : &mp->g0->sched,
		&mp->g0->sched, mp);
	throw("goexit: a dead G runs");
}

/* First function of every G: the frame below the application's start routine. */
void gomain(int busy)
{
	struct g *gp = curg();

	(void)busy; /* only a g0 is fallen back to */
	releasem(afterswitch(gp));
	gp->startfn();
	throw("gomain: the start routine returned");
}

bool canspin(void)
{
	struct m *mp = acquirem();
	struct p *pp = mp->p;
	bool can = pp && sched.gomaxprocs > 1 && !pp->preempt &&
		   READ_ONCE(sched.npidle) + READ_ONCE(sched.nmspinning) + 1 <
			   sched.gomaxprocs &&
		   !READ_ONCE(pp->runnext) &&
		   READ_ONCE(pp->runqhead) == pp->runqtail;

	releasem(mp);
	return can;
}

/* ---- the loop on g0 ---------------------------------------------------------------------- */

/* gswitch fell back to g0: its G is still being left by another M, which the
 * kernel may have descheduled. Let somebody have it later. */
static void requeuebusy(struct m *mp)
{
	gorequeue(mp->switchto, false);
	RAW(__NR_sched_yield);
}

/* An M that lost its P: it runs Gs again when it gets one. */
static void needp(struct m *mp)
{
	struct p *pp;

	lock(&sched.lock);
	pp = sched.gcwaiting ? NULL : pidleget();
	unlock(&sched.lock);
	if (pp)
		acquirep(mp, pp);
	else
		stopm(mp);
}

/* An M's life, on g0, with m->locks 1 throughout. busy is what gswitch returned at
 * the entry: m0's first switch to its g0 can be a fall-back. Returns when the kernel
 * thread is to end. */
void schedloop(int busy)
{
	struct m *mp = curg()->sched.m;
	struct gobuf *g0 = &mp->g0->sched;

	for (;;) {
		struct g *gp;

		if (busy)
			requeuebusy(mp);
		mp->curg = NULL;
		if (mp->dead)
			reap(mp);
		if (unlikely(mp->ending)) {
			mexit(mp);
			return;
		}
		if (!mp->p)
			needp(mp);
		gp = findrunnable(mp);
		if (mp->spinning)
			resetspinning(mp);
		sysmonlook();
		WRITE_ONCE(mp->p->schedtick, mp->p->schedtick + 1);
		mp->p->switchtick++;
		mp->switchto = gp;
		busy = gswitch(g0, &gp->sched, g0, mp);
	}
}

/* The thread function of an M other than m0: its own stack is g0's. */
void mstart(void *arg)
{
	struct m *mp = arg;
	struct g *g0 = mp->g0;

	g0->sched.m = mp;
	g0->sched.fs = gettp();
	g0->sched.oncpu = 1;
	tlsg = g0;
	mp->sigmask = MASK_ALL;
	mp->locks = 1;
	mp->pstate = PS_NONE;
	mp->tid = gettid_raw();
	if (!sigstackalloc(mp))
		throw("no memory for an alternate signal stack");
	xadd(&sched.nmstarting, -1);
	notewakeup(&sched.templatenote);
	if (mp->first) {
		struct g *gp = mp->first;

		mp->first = NULL;
		WRITE_ONCE(mp->pstate, PS_FOREIGN);
		mp->switchto = gp;
		schedloop(gswitch(&g0->sched, &gp->sched, &g0->sched, mp));
		return;
	}
	stopm(mp);
	schedloop(0);
}
