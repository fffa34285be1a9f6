/* runq.c - the run queue of a P and the global one.
 *
 * Why: as Go's. A ring that its owner fills without atomic read-modify-writes and
 *      from which thieves take half, with runnext before it: the G that was just
 *      woken and runs next on the same P.
 *      Those that have let a new G run before them are a stack: the last of them, which
 *      has the least to do in a tree of threads and is in the cache, goes on first, and
 *      thieves take the oldest. They are runnext (nextlifo) and the ring's last (lifo),
 *      until another G comes to the tail: then the ring is a queue.
 * Invariants: 1. only the owner P writes runqtail and the slots;
 *      2. head <= tail <= head + RUNQ; slots [head, tail) are valid;
 *      3. whoever moves runqhead by CAS owns the slots it passed;
 *      4. before the owner takes the last slot, which a thief may be about to take as
 *      one of a batch, it changes the upper half of runqheadgen: every thief that
 *      looked before fails.
 * Order: runqtail store-release in runqput pairs with its load-acquire in
 *      runqgrab; the CAS on runqhead (release) with runqput's load-acquire, so
 *      that a slot is not refilled before the thief has read it. The tail that the
 *      owner has lowered is visible to who sees the head of its CAS.
 * Locks: the ring has none; the global queue is guarded by sched.lock.
 */
#include "core/runtime.h"

/* Take the n slots from the head h that was looked at. Release: commits. */
static inline bool casrunqhead(struct p *pp, uint64_t h, uint32_t n)
{
	/* the position wraps in its half */
	return cas(&pp->runqheadgen, h,
		   (h & ~(uint64_t)UINT32_MAX) | (uint32_t)(h + n));
}

/* Move half of a full ring and gp to the global queue. Owner P only. */
static bool runqputslow(struct p *pp, struct g *gp, uint64_t head, uint32_t t)
{
	uint32_t h = (uint32_t)head;
	struct g *batch[RUNQ / 2 + 1];
	uint32_t n = (t - h) / 2;

	for (uint32_t i = 0; i < n; i++)
		batch[i] = pp->runq[(h + i) % RUNQ];
	if (!casrunqhead(pp, head, n))
		return false;
	batch[n] = gp;
	lock(&sched.lock);
	for (uint32_t i = 0; i <= n; i++)
		globrunqput(batch[i]);
	unlock(&sched.lock);
	return true;
}

/* Put gp on pp's queue; with next in the runnext place, whose G is kicked to the
 * tail. Owner P only. */
void runqput(struct p *pp, struct g *gp, bool next)
{
	bool lifo = next && pp->nextlifo;

	if (next) {
		pp->nextlifo = false;
		if (!READ_ONCE(pp->runnext)) { /* and nobody else puts one there */
			/* release: what gp is, for thieves */
			store_release(&pp->runnext, gp);
			return;
		}
		/* thieves take runnext by CAS, so exchange */
		gp = xchg(&pp->runnext, gp);
		if (!gp)
			return;
	}
	pp->lifo = lifo ? pp->lifo + 1 : 0;
	for (;;) {
		uint64_t head = load_acquire(&pp->runqheadgen); /* with thieves' CAS */
		uint32_t h = (uint32_t)head, t = pp->runqtail;

		if (t - h < RUNQ) {
			WRITE_ONCE(pp->runq[t % RUNQ], gp);
			/* release: makes the slot visible to runqgrab */
			store_release(&pp->runqtail, t + 1);
			return;
		}
		if (runqputslow(pp, gp, head, t))
			return;
	}
}

/* Put gp, which lets another run first, in the runnext place. Owner P only. */
void runqputlifo(struct p *pp, struct g *gp)
{
	runqput(pp, gp, true);
	pp->nextlifo = true;
}

/* The last of the ring, NULL if a thief was faster. Owner P only. */
static struct g *runqpop(struct p *pp)
{
	uint64_t head = load_acquire(&pp->runqheadgen);
	uint32_t t = pp->runqtail - 1;
	struct g *gp = READ_ONCE(pp->runq[t % RUNQ]);

	store_release(&pp->runqtail, t); /* before the CAS, see Order */
	/* behind the head: that is what the thieves left */
	while ((int32_t)(t - (uint32_t)head) >= 0) {
		if (cas(&pp->runqheadgen, head, head + (1ul << 32)))
			return gp;
		head = load_acquire(&pp->runqheadgen);
	}
	store_release(&pp->runqtail, t + 1);
	return NULL;
}

/* Those of the G after h, and, to know where they are by then, the record of the one after
 * that. A thief may have taken them: records of Gs stay, and a prefetch does not fault. */
static inline void warmnext(struct p *pp, uint32_t h)
{
	__builtin_prefetch(&READ_ONCE(pp->runq[(h + 2) % RUNQ])->sched);
	warmg(READ_ONCE(pp->runq[(h + 1) % RUNQ]));
}

/* The next G of pp or NULL; with fair the ring comes before runnext, so that two
 * Gs which wake each other cannot starve it. Owner P only. */
struct g *runqget(struct p *pp, bool fair)
{
	struct g *next = READ_ONCE(pp->runnext);

	if (next && !fair && cas(&pp->runnext, next, NULL))
		return next;
	for (;;) {
		uint64_t head = load_acquire(&pp->runqheadgen); /* with thieves' CAS */
		uint32_t h = (uint32_t)head, t = pp->runqtail;
		struct g *gp;

		if (t == h)
			break;
		if (pp->lifo && !fair && t - h > 1) {
			pp->lifo--;
			gp = runqpop(pp);
			if (gp)
				return gp;
			continue;
		}
		gp = READ_ONCE(pp->runq[h % RUNQ]);
		if (casrunqhead(pp, head, 1)) { /* release: see runqput */
			if (t - h > 2 && manygs())
				warmnext(pp, h);
			pp->othersran = true;
			return gp;
		}
	}
	if (fair) {
		next = READ_ONCE(pp->runnext);
		if (next && cas(&pp->runnext, next, NULL))
			return next;
	}
	return NULL;
}

/* No G on pp's queue. Any M. Consistent although runqput moves Gs from runnext to
 * the tail: the tail is read again after runnext. */
bool runqempty(struct p *pp)
{
	for (;;) {
		uint32_t h = load_acquire(&pp->runqhead);
		uint32_t t = load_acquire(&pp->runqtail);
		struct g *next = load_acquire(&pp->runnext);

		if (t == load_acquire(&pp->runqtail))
			return h == t && !next;
	}
}

/* Copy half of victim's ring into batch (a ring with tail bt). Any M. With
 * stealnext and nothing else there, its runnext: only after 3 us, because a G
 * that is woken is mostly run at once by the waker's P, and ours would tear the
 * pair apart. */
static uint32_t runqgrab(struct p *victim, struct g **batch, uint32_t bt,
			 bool stealnext)
{
	for (;;) {
		uint64_t head = load_acquire(&victim->runqheadgen); /* with consumers */
		uint32_t t = load_acquire(&victim->runqtail); /* with runqput */
		uint32_t h = (uint32_t)head, n = t - h;

		n -= n / 2;
		if (n == 0) {
			struct g *next;

			if (!stealnext)
				return 0;
			next = READ_ONCE(victim->runnext);
			if (!next)
				return 0;
			if (READ_ONCE(victim->status) == Prunning)
				for (int i = 0; i < 100 &&
				     READ_ONCE(victim->runnext) == next; i++)
					cpupause();
			if (!cas(&victim->runnext, next, NULL))
				continue;
			WRITE_ONCE(batch[bt % RUNQ], next);
			return 1;
		}
		if (n > RUNQ / 2)
			continue; /* h and t are of different moments */
		for (uint32_t i = 0; i < n; i++)
			/* batch is a ring, too: a thief may look at its slots
			 * and then fail its CAS */
			WRITE_ONCE(batch[(bt + i) % RUNQ],
				   READ_ONCE(victim->runq[(h + i) % RUNQ]));
		if (casrunqhead(victim, head, n))
			return n;
	}
}

/* Steal from victim into pp; returns one of the Gs, NULL if there was none.
 * Owner of pp only. */
struct g *runqsteal(struct p *pp, struct p *victim, bool stealnext)
{
	uint32_t t = pp->runqtail;
	uint32_t n = runqgrab(victim, pp->runq, t, stealnext);
	struct g *gp;

	if (n == 0)
		return NULL;
	n--;
	pp->lifo = 0;
	gp = pp->runq[(t + n) % RUNQ];
	if (n > 0)
		store_release(&pp->runqtail, t + n); /* with runqgrab */
	return gp;
}

/* Append to the global queue. Holds sched.lock. */
void globrunqput(struct g *gp)
{
	gp->schedlink = NULL;
	if (sched.runqtail)
		sched.runqtail->schedlink = gp;
	else
		sched.runqhead = gp;
	sched.runqtail = gp;
	WRITE_ONCE(sched.runqsize, sched.runqsize + 1);
	WRITE_ONCE(sched.ninturn, sched.ninturn + gp->inturn);
	if (unlikely(sched.sysmonwait == SYSMON_LAZY))
		sysmonarm();
}

static struct g *globpop(void)
{
	struct g *gp = sched.runqhead;

	sched.runqhead = gp->schedlink;
	if (!sched.runqhead)
		sched.runqtail = NULL;
	WRITE_ONCE(sched.ninturn, sched.ninturn - gp->inturn);
	gp->inturn = false;
	WRITE_ONCE(sched.runqsize, sched.runqsize - 1);
	return gp;
}

/* A fair share of the global queue, at most max (0: half a ring): one is
 * returned, the others go to pp's ring. Not those who gave up a P and are in turn here: in
 * the ring, which has but its share of pp's slices, they would wait for as long again.
 * Holds sched.lock. Owner P only. */
struct g *globrunqget(struct p *pp, uint32_t max)
{
	uint32_t n = sched.runqsize;
	struct g *gp;

	if (n == 0)
		return NULL;
	n = n / sched.gomaxprocs + 1;
	if (n > sched.runqsize)
		n = sched.runqsize;
	if (max && n > max)
		n = max;
	if (n > RUNQ / 2)
		n = RUNQ / 2;
	gp = globpop();
	pp->othersran = true;
	while (--n > 0 && !sched.runqhead->inturn) {
		/* the ring may be fuller than half: never runqputslow here, it
		 * would take sched.lock again */
		if (pp->runqtail - load_acquire(&pp->runqhead) >= RUNQ)
			break;
		runqput(pp, globpop(), false);
	}
	return gp;
}

/* Those at the head of the global queue that are there because a ring was full, into pp's
 * until it has `len`: ahead of whoever comes now. Not where a tree of threads is gone through
 * in depth. Owner P only. */
void globrunqrefill(struct p *pp, uint32_t len)
{
	if (READ_ONCE(sched.runqsize) == READ_ONCE(sched.ninturn) || pp->lifo ||
	    pp->nextlifo)
		return;
	lock(&sched.lock);
	while (sched.runqhead && !sched.runqhead->inturn &&
	       pp->runqtail - load_acquire(&pp->runqhead) < len)
		runqput(pp, globpop(), false);
	unlock(&sched.lock);
}

/* Everything on pp's queue to the global one. Holds sched.lock; nobody runs pp. */
void runqdrain(struct p *pp)
{
	struct g *gp;

	while ((gp = runqget(pp, true)))
		globrunqput(gp);
}
