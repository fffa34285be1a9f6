/* findwork.c - an M with a P looks for a G to run, and goes idle if there is none.
 *
 * Where, in this order: due timers, its ring and runnext, the global queue (first now and
 *      then, by turns with the ring when a slice is over), the files, other Ps' rings and
 *      timers. At most half of the busy Ps' number look at others' at once.
 * Invariant: who goes idle looks at every queue once more after its P is on the idle list:
 *      one side of the "Delicate dance", see proc.c.
 * Called on: g0, m->locks above zero.
 */
#include "core/runtime.h"

static void becomespinning(struct m *mp)
{
	mp->spinning = true;
	xadd(&sched.nmspinning, 1);
}

/* mp has found work: if it was the last that looked, another must. */
void resetspinning(struct m *mp)
{
	mp->spinning = false;
	if (xadd(&sched.nmspinning, -1) == 0)
		throw("resetspinning: nmspinning below 0");
	if (READ_ONCE(sched.npidle))
		wakep();
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t t = a % b;

		a = b;
		b = t;
	}
	return a;
}

/* Work or due timers of other Ps, in random co-prime order, four rounds; runnext
 * only in the last. */
static struct g *stealwork(struct m *mp, struct p *pp, int64_t now)
{
	uint32_t n = READ_ONCE(sched.gomaxprocs);

	for (int round = 0; round < 4; round++) {
		uint32_t pos = fastrand(mp) % n, inc = fastrand(mp) % n + 1;

		while (gcd(inc, n) != 1)
			inc = inc % n + 1;
		for (uint32_t i = 0; i < n; i++, pos = (pos + inc) % n) {
			struct p *victim = allp[pos];
			struct g *gp;

			if (READ_ONCE(sched.gcwaiting))
				return NULL;
			if (victim == pp)
				continue;
			if (round == 3) {
				runtimers(mp, victim, now);
				if ((gp = runqget(pp, false)))
					return gp;
			}
			gp = runqsteal(pp, victim, round == 3);
			if (gp)
				return gp;
		}
	}
	return NULL;
}

/* Timers that are due, on whatever P: who is on the way to run them may be long in coming. */
static struct g *duework(struct m *mp, struct p *pp, int64_t now)
{
	if (timersearliest() > now)
		return NULL;
	for (uint32_t i = 0; i < READ_ONCE(sched.gomaxprocs); i++)
		runtimers(mp, allp[i], now);
	return runqget(pp, false);
}

/* Something is queued somewhere. */
bool anywork(void)
{
	bool work = READ_ONCE(sched.runqsize) != 0;

	for (uint32_t i = 0; i < READ_ONCE(sched.gomaxprocs) && !work; i++)
		work = !runqempty(allp[i]);
	return work;
}

/* The queues once more, by an M that has just given up its P: one of the two sides
 * of the "Delicate dance". True: it has a P again and should look. */
static bool recheck(struct m *mp)
{
	struct p *pp = NULL;

	if (!anywork())
		return false;
	lock(&sched.lock);
	if (!sched.gcwaiting)
		pp = pidleget();
	unlock(&sched.lock);
	if (!pp)
		return false;
	acquirep(mp, pp);
	becomespinning(mp);
	return true;
}

/* The world is being stopped: drop the P and sleep. */
static void gcstopm(struct m *mp)
{
	struct p *pp;

	if (mp->spinning) {
		mp->spinning = false;
		xadd(&sched.nmspinning, -1);
	}
	lock(&sched.lock);
	pp = releasep(mp);
	runqdrain(pp);
	pidleput(pp);
	if (--sched.stopwait == 0)
		notewakeup(&sched.stopnote);
	unlock(&sched.lock);
	stopm(mp);
}

/* The M of pp, on which nothing waits, goes to sleep in a call of the program's, to
 * `until` at most: as going idle, but that somebody else is woken for what turns up
 * before. False: the world is being stopped. */
bool pidlewait(struct m *mp, int64_t until)
{
	int64_t when;

	lock(&sched.lock);
	if (sched.gcwaiting) {
		unlock(&sched.lock);
		return false;
	}
	when = READ_ONCE(mp->p->when0);
	pidleput(releasep(mp));
	unlock(&sched.lock);
	/* pidleput was the full fence, see "Delicate dance" */
	if (anywork())
		wakep();
	if (when < until)
		pollbreak(when);
	pollneeded();
	return true;
}

/* Without a P: nothing local to look at. */
static struct g *fromglobal(struct p *pp, uint32_t max)
{
	struct g *gp;

	if (READ_ONCE(sched.runqsize) == 0)
		return NULL;
	lock(&sched.lock);
	gp = globrunqget(pp, max);
	unlock(&sched.lock);
	return gp;
}

/* A slice is over. Those that were preempted wait in the global queue: they get as many
 * of pp's slices as there are of them beside those in its ring, which wake-ups may keep
 * filled for ever. */
static bool globalsturn(struct p *pp)
{
	uint32_t theirs = READ_ONCE(sched.runqsize),
		 own = pp->runqtail - READ_ONCE(pp->runqhead);

	if (!theirs)
		return false;
	theirs = theirs / sched.gomaxprocs + 1;
	pp->globcredit += theirs;
	if (pp->globcredit < own + theirs)
		return false;
	pp->globcredit -= own + theirs;
	if (pp->globcredit > own + theirs)
		pp->globcredit = 0; /* the queue has been longer */
	return true;
}

/* What this P already has, or the global queue has for it. */
static struct g *findlocal(struct m *mp, struct p *pp, int64_t now)
{
	struct g *gp = NULL;
	bool fair = pp->switchtick % SCHEDTICKS == 0, global = fair;
	/* a stack goes on as one until a slice is over */
	bool others = fair && !pp->lifo, turns = READ_ONCE(pp->fairturn);

	runtimers(mp, pp, now);
	if (fair || now - READ_ONCE(sched.lastpoll) > POLLFRESH)
		polllook(mp, pp);
	/* Ps have work and no M, which perhaps cannot be made: theirs has turns here,
	 * if there is room for half a ring */
	if (unlikely(READ_ONCE(sched.wantm)) && (fair || pp->preempt) &&
	    pp->runqtail - READ_ONCE(pp->runqhead) <= RUNQ / 2 &&
	    (gp = stealwork(mp, pp, nanotime()))) {
		pp->preempt = false;
		return gp;
	}
	/* somebody has woken there (preempthog). Who gave this P up for that one waits in
	 * the global queue, and would be next */
	if (unlikely(READ_ONCE(pp->stealfrom))) {
		struct p *victim = allp[READ_ONCE(pp->stealfrom) - 1];

		WRITE_ONCE(pp->stealfrom, 0);
		if (runqempty(pp) && (gp = runqsteal(pp, victim, true))) {
			pp->preempt = false;
			return gp;
		}
	}
	if (pp->preempt) {
		/* one that has just woken goes first, but if it, or those whom it
		 * wakes in turn, used up the slice, somebody else does */
		others |= !pp->othersran;
		pp->othersran = false;
		global |= (others || turns) && globalsturn(pp);
	} else if (turns) {
		/* as long as somebody is there who gave up a P: by turns, which are as
		 * long as the ring's, and not by slices. Others are there because a
		 * ring was full: a tree of threads, best gone through in depth */
		global |= globalsturn(pp);
	}
	WRITE_ONCE(pp->fairturn, turns && READ_ONCE(sched.ninturn));
	pp->preempt = false;
	if (global)
		gp = fromglobal(pp, 1);
	if (!gp)
		gp = runqget(pp, others);
	if (!gp)
		gp = fromglobal(pp, 0);
	return gp;
}

/* Nothing found: give the P up. A G if one came meanwhile; NULL: look again, with
 * the P in mp->p; the M may have slept in between. */
static struct g *goidle(struct m *mp)
{
	struct p *pp = mp->p;
	struct g *gp;

	lock(&sched.lock);
	if (sched.gcwaiting) {
		unlock(&sched.lock);
		return NULL;
	}
	if (sched.runqsize) {
		gp = globrunqget(pp, 0);
		unlock(&sched.lock);
		return gp;
	}
	releasep(mp);
	pidleput(pp);
	unlock(&sched.lock);
	if (mp->spinning) {
		mp->spinning = false;
		xadd(&sched.nmspinning, -1);
	}
	/* pidleput was the full fence, see "Delicate dance" */
	if (recheck(mp))
		return NULL;
	if (!pollsleep(mp))
		stopm(mp);
	return NULL;
}

/* A runnable G, sleeping if need be. On g0 with a P; returns with one. */
struct g *findrunnable(struct m *mp)
{
	for (;;) {
		struct p *pp = mp->p;
		struct g *gp;
		int64_t now;

		if (READ_ONCE(sched.gcwaiting)) {
			gcstopm(mp);
			continue;
		}
		now = READ_ONCE(pp->when0) == NEVER && !mp->spinning &&
				      !netpollwaiting() ?
			      0 :
			      nanotime();
		gp = findlocal(mp, pp, now);
		if (gp)
			return gp;
		polllook(mp, pp);
		gp = runqget(pp, false);
		if (gp)
			return gp;
		/* at most half of the busy Ps' number look at once */
		if (mp->spinning ||
		    2 * READ_ONCE(sched.nmspinning) <
			    READ_ONCE(sched.gomaxprocs) -
				    READ_ONCE(sched.npidle)) {
			if (!mp->spinning)
				becomespinning(mp);
			gp = stealwork(mp, pp, nanotime());
			if (gp)
				return gp;
		}
		gp = duework(mp, pp, nanotime());
		if (gp)
			return gp;
		gp = goidle(mp);
		if (gp)
			return gp;
	}
}
