/* timer.c - the heap of deadlines, against a list of what should be in it. */
#include "test/unit/unit.h"

enum { NT = 3000, OPS = 40000 };

static struct p ps[2];
static struct g gs[NT];

static void setup(void)
{
	for (int i = 0; i < 2; i++) {
		ps[i].when0 = NEVER;
		allp[i] = &ps[i];
	}
	sched.gomaxprocs = 2;
}

TestSuite(timer, .init = setup);

/* The invariants of timer.c. */
static void checkheap(struct p *pp)
{
	for (uint32_t i = 0; i < pp->ntimers; i++) {
		struct timerref *r = &pp->timerref[pp->heap[i].ref];

		cr_assert_eq(r->place, i);
		cr_assert_eq(r->t->idx, pp->heap[i].ref + 1);
		cr_assert_eq(r->t->pp, pp);
		if (i > 0)
			cr_assert_leq(pp->heap[(i - 1) / 4].when,
				      pp->heap[i].when);
	}
	if (!pp->coarse0)
		cr_assert_eq(pp->when0, pp->ntimers ? pp->heap[0].when : NEVER);
}

/* The least deadline and the number of the timers that are armed on pp. */
static int64_t least(struct p *pp, uint32_t *n)
{
	int64_t when = NEVER;

	*n = 0;
	for (int i = 0; i < NT; i++) {
		if (!gs[i].timer.idx || gs[i].timer.pp != pp)
			continue;
		++*n;
		if (gs[i].timer.when < when)
			when = gs[i].timer.when;
	}
	return when;
}

static int64_t runat(struct p *pp, int64_t now)
{
	struct m *mp = acquirem();
	int64_t next = runtimers(mp, pp, now);

	releasem(mp);
	return next;
}

Test(timer, one, .timeout = 20)
{
	struct p *pp = &ps[0];
	struct timer *t = &gs[0].timer;

	timerdel(t); /* never armed */
	cr_assert_eq(runat(pp, 1000), NEVER);
	timeradd(pp, t, 500, 1);
	checkheap(pp);
	cr_assert_eq(pp->when0, 500);
	cr_assert_eq(runat(pp, 499), 500);
	cr_assert_eq(t->idx, 1u);
	cr_assert_eq(runat(pp, 500), NEVER, "due at its very moment");
	cr_assert_eq(t->idx, 0u);
	cr_assert_eq(pp->ntimers, 0u);
	timerdel(t); /* has fired */
	timeradd(pp, t, 700, 2);
	timerdel(t);
	timerdel(t);
	cr_assert_eq(pp->when0, NEVER);
	cr_assert_eq(pp->ntimers, 0u);
}

Test(timer, when0, .timeout = 20)
{
	struct p *pp = &ps[0];

	timeradd(pp, &gs[0].timer, 500, 1);
	timeradd(pp, &gs[1].timer, 700, 1);
	cr_assert_eq(pp->when0, 500);
	timeradd(pp, &gs[2].timer, 300, 1);
	cr_assert_eq(pp->when0, 300);
	timerdel(&gs[1].timer);
	cr_assert_eq(pp->when0, 300);
	timerdel(&gs[2].timer);
	cr_assert_eq(pp->when0, 500);
	timeradd(&ps[1], &gs[3].timer, 400, 1);
	cr_assert_eq(timersearliest(), 400);
	timerdel(&gs[3].timer);
	cr_assert_eq(timersearliest(), 500);
	timerdel(&gs[0].timer);
	cr_assert_eq(timersearliest(), NEVER);
}

/* Fire only what is due, and all of it. */
Test(timer, fires_what_is_due, .timeout = 20)
{
	struct p *pp = &ps[0];
	uint32_t seed = 5, n;

	for (int i = 0; i < NT; i++)
		timeradd(pp, &gs[i].timer, 1 + rnd(&seed) % 10000, 1);
	checkheap(pp);
	for (int64_t now = 0; now <= 10000; now += 97) {
		int64_t next = runat(pp, now);

		for (int i = 0; i < NT; i++)
			cr_assert_eq(gs[i].timer.idx != 0,
				     gs[i].timer.when > now);
		checkheap(pp);
		cr_assert_eq(next, pp->when0);
		cr_assert_eq(next, least(pp, &n));
		cr_assert_eq(pp->ntimers, n);
	}
	cr_assert_eq(runat(pp, 10001), NEVER);
}

Test(timer, equal_deadlines, .timeout = 20)
{
	struct p *pp = &ps[0];

	for (int i = 0; i < 1000; i++)
		timeradd(pp, &gs[i].timer, 42, 1);
	for (int i = 0; i < 1000; i += 3)
		timerdel(&gs[i].timer);
	checkheap(pp);
	cr_assert_eq(pp->ntimers, 1000u - 334);
	cr_assert_eq(runat(pp, 41), 42);
	cr_assert_eq(runat(pp, 42), NEVER);
}

/* Random arming, disarming and firing on two heaps. */
Test(timer, random, .timeout = 120)
{
	uint32_t seed = 1;
	int64_t now = 0;

	for (int op = 0; op < OPS; op++) {
		struct p *pp = &ps[rnd(&seed) % 2];
		struct timer *t = &gs[rnd(&seed) % NT].timer;
		uint32_t n;

		if (rnd(&seed) % 200 == 0) {
			now += rnd(&seed) % 2000;
			runat(pp, now);
		} else if (t->idx) {
			timerdel(t);
			cr_assert_eq(t->idx, 0u);
		} else {
			/* mostly in the future, some already late */
			timeradd(pp, t, now - 100 + rnd(&seed) % 100000, 1);
			cr_assert_neq(t->idx, 0u);
		}
		if (op % 16)
			continue;
		for (int k = 0; k < 2; k++) {
			checkheap(&ps[k]);
			cr_assert_eq(ps[k].when0, least(&ps[k], &n));
			cr_assert_eq(ps[k].ntimers, n);
		}
	}
}

Test(timer, move, .timeout = 20)
{
	uint32_t seed = 9, n;

	for (int i = 0; i < NT; i++)
		timeradd(&ps[i % 3 == 0], &gs[i].timer,
			 1 + rnd(&seed) % 100000, 1);
	timersmove(&ps[1], &ps[0]);
	cr_assert_eq(ps[1].ntimers, 0u);
	cr_assert_eq(ps[1].when0, NEVER);
	cr_assert_eq(ps[0].ntimers, (uint32_t)NT);
	checkheap(&ps[0]);
	cr_assert_eq(ps[0].when0, least(&ps[0], &n));
	cr_assert_eq(n, (uint32_t)NT);
	for (int i = 0; i < NT; i++)
		timerdel(&gs[i].timer); /* from where they are now */
	cr_assert_eq(ps[0].when0, NEVER);
	timersmove(&ps[1], &ps[0]); /* nothing to move */
	cr_assert_eq(ps[0].ntimers, 0u);
	timeradd(&ps[0], &gs[0].timer, 5, 1);
	timersmove(&ps[0], &ps[1]); /* to one that never had any */
	cr_assert_eq(ps[1].when0, 5);
	checkheap(&ps[1]);
}

/* Of many that are due the earliest go into the queue, as many as there is room for and in
 * that order; the others keep theirs in the heap. */
Test(timer, in_due_order, .timeout = 20)
{
	static struct g g0;
	struct m m = { .p = &ps[0], .g0 = &g0 };
	uint32_t seed = 3;
	int64_t last = 0;

	for (int i = 0; i < NT; i++) {
		gs[i].waitseq = 7;
		gs[i].waitaddr = SLEEPS;
		timeradd(&ps[i % 2], &gs[i].timer, 1 + rnd(&seed) % 1000000, 7);
	}
	for (int left = NT; left;) {
		struct p *pp = &ps[ps[1].ntimers > ps[0].ntimers];
		uint32_t was = pp->ntimers, len = m.p->runqtail - m.p->runqhead,
			 fired;

		runtimers(&m, pp, 1000000);
		fired = was - pp->ntimers;
		cr_assert_gt(fired, 0u, "whatever else is in the queue");
		cr_assert_lt(fired, SCHEDTICKS);
		cr_assert_eq(m.p->runqtail - m.p->runqhead, len + fired - 1,
			     "all but the first in the ring");
		for (uint32_t i = 0; i < fired; i++, left--) {
			struct g *gp =
				i ? m.p->runq[(m.p->runqtail - fired + i) %
					      RUNQ]
				  : m.p->runnext;

			cr_assert_eq(gp->waitaddr, 0u);
			cr_assert_eq(gp->waitres, -ETIMEDOUT);
			if (i)
				cr_assert_leq(last, gp->timer.when);
			last = gp->timer.when;
		}
		cr_assert(!pp->ntimers || pp->heap[0].when >= last);
		/* as many run until the next look, or only one, if that takes long */
		fired = rnd(&seed) % 2 ? 1 : SCHEDTICKS;
		while (fired-- && runqget(m.p, false))
			;
		while (m.p->runqtail - m.p->runqhead > RUNQ - SCHEDTICKS)
			runqget(m.p, false);
	}
}

/* A sleeper's timer is taken by one alone, and only if it is for a sleep. */
Test(timer, take, .timeout = 20)
{
	struct g *gp = &gs[0];

	gp->waitseq = 1;
	gp->waitaddr = SLEEPS;
	cr_assert(!timertake(gp), "not armed yet");
	timeradd(&ps[0], &gp->timer, 500, 1);
	cr_assert(timertake(gp));
	cr_assert(!timertake(gp));
	cr_assert_eq(ps[0].when0, NEVER);
	gp->waitaddr = 0x1000; /* it waits for something else now */
	timeradd(&ps[0], &gp->timer, 500, 2);
	cr_assert(!timertake(gp));
	cr_assert_eq(gp->timer.idx, 1u);
	timerdel(&gp->timer);
	gp->waitaddr = SLEEPS;
	cr_assert(!semtimeout(gp, 2), "a deadline of another wait");
	cr_assert(semtimeout(gp, 1));
	cr_assert_eq(gp->waitaddr, 0u);
}

/* ---- coarse ones ---------------------------------------------------------- */

Test(timer, coarse_when, .timeout = 20)
{
	uint32_t seed = 11;

	for (uint32_t step = 0; step < TIMERSTEPS; step++)
		for (int i = 0; i < 1000; i++) {
			int64_t now = 1 + (int64_t)rnd(&seed) * 977;
			int64_t due = timercoarse(now, step);
			int64_t wait = 10000000l << step;

			cr_assert_gt(due - now, wait);
			cr_assert_leq(due - now, wait + wait / 2);
			cr_assert_eq(due % (wait / 2), 0);
			/* whoever begins within half a step fires with it */
			cr_assert_eq(timercoarse(now - now % (wait / 2), step),
				     due);
		}
}

/* None that is due stays armed, none fires before its time, when0 is never late. */
Test(timer, coarse_among_others, .timeout = 60)
{
	static int64_t armed[NT]; /* for when; 0: not, or deleted */
	uint32_t seed = 13, left = 0;
	int64_t now = 1;

	for (int op = 0; op < OPS || left; op++) {
		int i = (int)(rnd(&seed) % NT);
		struct timer *t = &gs[i].timer;
		int64_t least = NEVER;

		if (t->idx && rnd(&seed) % 2) {
			timerdel(t);
			cr_assert_eq(t->idx, 0u);
			armed[i] = 0;
		} else if (!t->idx && op < OPS) {
			uint32_t step = rnd(&seed) % TIMERSTEPS;

			if (rnd(&seed) % 3)
				timeraddcoarse(&ps[0], t,
					       timercoarse(now, step), step, 1);
			else
				timeradd(&ps[0], t,
					 now + rnd(&seed) % 100000000, 1);
			armed[i] = t->when;
		}
		if (op % 64)
			continue;
		if (op == OPS / 2 / 64 * 64) {
			timersmove(&ps[0], &ps[1]);
			timersmove(&ps[1], &ps[0]);
		}
		now += rnd(&seed) % 50000000;
		runat(&ps[0], now);
		left = 0;
		for (int k = 0; k < NT; k++) {
			struct timer *u = &gs[k].timer;

			if (!u->idx) {
				cr_assert_leq(armed[k], now, "too early");
				armed[k] = 0;
				continue;
			}
			left++;
			cr_assert_gt(u->when, now, "not fired");
			if (u->when < least)
				least = u->when;
		}
		cr_assert_leq(ps[0].when0, least);
	}
	runat(&ps[0], now + 1000000000000);
	cr_assert_eq(ps[0].when0, NEVER);
	cr_assert_eq(ps[0].ntimers, 0u);
}

/* Moved to another P, they fire there. */
Test(timer, coarse_move, .timeout = 20)
{
	for (int i = 0; i < NT; i++)
		timeraddcoarse(&ps[i % 2], &gs[i].timer,
			       timercoarse(i * 1000000l, 2), 2, 1);
	timersmove(&ps[0], &ps[1]);
	cr_assert_eq(ps[0].when0, NEVER);
	timerdel(&gs[0].timer); /* from where it is now */
	runat(&ps[1], timercoarse(NT * 1000000l, 2));
	runat(&ps[1], timercoarse(NT * 1000000l, 2));
	for (int i = 0; i < NT; i++)
		cr_assert_eq(gs[i].timer.idx, 0u);
	cr_assert_eq(ps[1].when0, NEVER);
}

/* ---- what a timer is for: it ends a wait --------------------------------- */

static struct {
	int object, res;
	uint32_t seq;
	struct g *gp;
	bool entered;
} sleeper;

static bool enters(void *arg)
{
	(void)arg;
	sleeper.gp = getg();
	store_release(&sleeper.entered, true);
	return true;
}

static void *sleeps(void *arg)
{
	struct semawait w = { .addr = (uintptr_t)&sleeper.object,
			      .deadline = NEVER, .check = enters };

	(void)arg;
	sleeper.res = semawait(&w);
	return NULL;
}

static void readseq(struct semaq *q, void *arg)
{
	(void)q, (void)arg;
	sleeper.seq = sleeper.gp->waitseq;
}

static pthread_t sleeperstart(void)
{
	pthread_t t = spawn(sleeps, NULL);

	while (!load_acquire(&sleeper.entered))
		usleep_raw(50);
	semapick((uintptr_t)&sleeper.object, readseq, NULL);
	return t;
}

Test(timer, ends_a_wait, .timeout = 20)
{
	pthread_t t = sleeperstart();

	timeradd(&ps[0], &sleeper.gp->timer, 100, sleeper.seq);
	cr_assert_eq(runat(&ps[0], 100), NEVER);
	join(t);
	cr_assert_eq(sleeper.res, -ETIMEDOUT);
	cr_assert_eq(semawake((uintptr_t)&sleeper.object, 1, 0), 0u);
}

/* A timer of an earlier wait that fires late does not end this one. */
Test(timer, stale, .timeout = 20)
{
	pthread_t t = sleeperstart();

	timeradd(&ps[0], &sleeper.gp->timer, 100, sleeper.seq + 1);
	cr_assert_eq(runat(&ps[0], 100), NEVER);
	cr_assert_eq(semawake((uintptr_t)&sleeper.object, 1, 0), 1u);
	join(t);
	cr_assert_eq(sleeper.res, 0);
}

/* ---- several threads ----------------------------------------------------- */

enum { THREADS = 3, PER = NT / THREADS, STEPS = 60000 };
static bool stop, strange;

static void *arms(void *arg)
{
	uint64_t me = (uintptr_t)arg;
	uint32_t seed = (uint32_t)me * 17 + 3;

	/* a G arms and disarms its own timer only; here on whatever P */
	for (int i = 0; i < STEPS; i++) {
		struct timer *t = &gs[me * PER + rnd(&seed) % PER].timer;

		timerdel(t);
		if (READ_ONCE(t->idx))
			WRITE_ONCE(strange, true);
		timeradd(&ps[rnd(&seed) % 2], t, soon(rnd(&seed) % 5000), 1);
	}
	return NULL;
}

static void *fires(void *arg)
{
	while (!load_acquire(&stop)) {
		runat(&ps[0], sysnanotime());
		runat(&ps[1], sysnanotime());
		usleep_raw(20);
	}
	return arg;
}

Test(timer, threads, .timeout = 120)
{
	pthread_t t[THREADS], f = spawn(fires, NULL);
	uint32_t n;

	for (uintptr_t i = 0; i < THREADS; i++)
		t[i] = spawn(arms, (void *)i);
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	store_release(&stop, true);
	join(f);
	cr_assert(!strange, "timerdel left one armed");
	for (int k = 0; k < 2; k++) {
		checkheap(&ps[k]);
		cr_assert_eq(ps[k].when0, least(&ps[k], &n));
		cr_assert_eq(ps[k].ntimers, n);
	}
	cr_assert_eq(runat(&ps[0], NEVER - 1), NEVER);
	cr_assert_eq(runat(&ps[1], NEVER - 1), NEVER);
	for (int i = 0; i < NT; i++)
		cr_assert_eq(gs[i].timer.idx, 0u);
}
