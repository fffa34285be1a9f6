/* runq.c - the run queues: order, overflow, the global queue, thieves.
 * A queue looks into a G only to have it in the cache: a G here is zeroed memory.
 */
#include "test/unit/unit.h"

enum { NG = 62500, ROUNDS = 16, THIEVES = 3 };

static struct p ps[1 + THIEVES];
static struct g *gs;

static void setup(void)
{
	for (uint32_t i = 0; i < COUNT(ps); i++) {
		ps[i].id = i;
		ps[i].status = Pidle;
		ps[i].when0 = NEVER;
		allp[i] = &ps[i];
	}
	sched.gomaxprocs = COUNT(ps);
	gs = newgs(NG);
}

TestSuite(runq, .init = setup);

static void globput(struct g *gp)
{
	lock(&sched.lock);
	globrunqput(gp);
	unlock(&sched.lock);
}

static struct g *globget(struct p *pp, uint32_t max)
{
	struct g *gp;

	lock(&sched.lock);
	gp = globrunqget(pp, max);
	unlock(&sched.lock);
	return gp;
}

Test(runq, order, .timeout = 20)
{
	struct p *pp = &ps[0];

	/* several times round the ring */
	for (int round = 0; round < 5; round++) {
		cr_assert(runqempty(pp));
		for (int i = 0; i < 200; i++) {
			runqput(pp, &gs[i], false);
			cr_assert(!runqempty(pp));
		}
		for (int i = 0; i < 200; i++)
			cr_assert_eq(runqget(pp, i % 2), &gs[i]);
		cr_assert_null(runqget(pp, false));
		cr_assert_null(runqget(pp, true));
	}
}

Test(runq, counters_wrap, .timeout = 20)
{
	struct p *pp = &ps[0];

	pp->runqhead = pp->runqtail = UINT32_MAX - 100;
	for (int i = 0; i < RUNQ; i++)
		runqput(pp, &gs[i], false);
	cr_assert_eq(sched.runqsize, 0u);
	for (int i = 0; i < RUNQ; i++)
		cr_assert_eq(runqget(pp, false), &gs[i]);
	cr_assert(runqempty(pp));
}

Test(runq, runnext, .timeout = 20)
{
	struct p *pp = &ps[0];

	runqput(pp, &gs[0], false);
	runqput(pp, &gs[1], true);
	runqput(pp, &gs[2], true); /* kicks 1 to the tail */
	cr_assert_eq(runqget(pp, false), &gs[2]);
	cr_assert_eq(runqget(pp, false), &gs[0]);
	cr_assert_eq(runqget(pp, false), &gs[1]);
	cr_assert_null(runqget(pp, false));

	runqput(pp, &gs[3], true);
	cr_assert(!runqempty(pp), "runnext counts");
	cr_assert_eq(runqget(pp, false), &gs[3]);
	cr_assert(runqempty(pp));
}

Test(runq, fair_takes_the_ring_first, .timeout = 20)
{
	struct p *pp = &ps[0];

	runqput(pp, &gs[0], false);
	runqput(pp, &gs[1], true);
	cr_assert_eq(runqget(pp, true), &gs[0]);
	cr_assert_eq(runqget(pp, true), &gs[1]);
	cr_assert_null(runqget(pp, true));
}

/* Those that let others run first: the last goes on first, thieves take the oldest. */
Test(runq, a_stack, .timeout = 20)
{
	struct p *pp = &ps[0];

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 100; i++)
			runqputlifo(pp, &gs[i]);
		cr_assert_eq(runqsteal(&ps[1], pp, false), &gs[49]);
		for (int i = 0; i < 49; i++)
			cr_assert_eq(runqget(&ps[1], false), &gs[i]);
		for (int i = 100; --i >= 50;)
			cr_assert_eq(runqget(pp, false), &gs[i]);
		cr_assert_null(runqget(pp, false));
		cr_assert(runqempty(pp));
	}
}

/* One that waits in turn is not kept waiting by those on top of it, nor on another P. */
Test(runq, a_stack_until_another_comes, .timeout = 20)
{
	struct p *pp = &ps[0];

	for (int i = 0; i < 3; i++)
		runqputlifo(pp, &gs[i]);
	cr_assert_eq(runqget(pp, true), &gs[0], "fair");
	runqputlifo(pp, &gs[3]);
	runqput(pp, &gs[4], false);
	cr_assert_eq(runqget(pp, false), &gs[3], "runnext");
	cr_assert_eq(runqget(pp, false), &gs[1]);
	runqputlifo(pp, &gs[5]);
	runqput(pp, &gs[6], true); /* kicks 5 onto a queue */
	cr_assert_eq(runqget(pp, false), &gs[6]);
	cr_assert_eq(runqsteal(&ps[1], pp, false), &gs[4]);
	cr_assert_eq(runqget(pp, false), &gs[5]);
	cr_assert_eq(runqget(&ps[1], false), &gs[2]);
	cr_assert(runqempty(pp));
	cr_assert(runqempty(&ps[1]));
}

Test(runq, overflow_moves_half, .timeout = 20)
{
	struct p *pp = &ps[0];

	for (int i = 0; i < RUNQ; i++)
		runqput(pp, &gs[i], false);
	cr_assert_eq(sched.runqsize, 0u);
	runqput(pp, &gs[RUNQ], false);
	cr_assert_eq(sched.runqsize, RUNQ / 2 + 1u);
	cr_assert_eq(pp->runqtail - pp->runqhead, RUNQ / 2u);
	for (int i = 0; i < RUNQ / 2; i++)
		cr_assert_eq(globget(pp, 1), &gs[i]);
	cr_assert_eq(globget(pp, 1), &gs[RUNQ]);
	cr_assert_null(globget(pp, 1));
	for (int i = RUNQ / 2; i < RUNQ; i++)
		cr_assert_eq(runqget(pp, false), &gs[i]);
	cr_assert(runqempty(pp));
}

/* A G that runnext's successor kicks out of a full ring is not lost either. */
Test(runq, kicked_into_a_full_ring, .timeout = 20)
{
	struct p *pp = &ps[0];

	for (int i = 0; i < RUNQ; i++)
		runqput(pp, &gs[i], false);
	runqput(pp, &gs[RUNQ], true);
	cr_assert_eq(sched.runqsize, 0u);
	runqput(pp, &gs[RUNQ + 1], true);
	cr_assert_eq(sched.runqsize, RUNQ / 2 + 1u);
	cr_assert_eq(sched.runqtail, &gs[RUNQ]);
	cr_assert_eq(runqget(pp, false), &gs[RUNQ + 1]);
}

Test(runq, global_share, .timeout = 20)
{
	struct p *pp = &ps[0];

	cr_assert_null(globget(pp, 0));
	for (int i = 0; i < 100; i++)
		globput(&gs[i]);
	cr_assert_eq(globget(pp, 1), &gs[0]);
	cr_assert(runqempty(pp));
	cr_assert_eq(sched.runqsize, 99u);
	/* 99 / 4 + 1: one is returned, the others are queued in order */
	cr_assert_eq(globget(pp, 0), &gs[1]);
	cr_assert_eq(sched.runqsize, 74u);
	for (int i = 2; i < 26; i++)
		cr_assert_eq(runqget(pp, false), &gs[i]);
	cr_assert(runqempty(pp));
	for (int i = 26; i < 100; i++)
		cr_assert_eq(globget(pp, 1), &gs[i]);
	cr_assert_null(sched.runqhead);
	cr_assert_null(sched.runqtail);
}

/* Who gave up a P stays in the global queue until it is run. */
Test(runq, in_turn, .timeout = 20)
{
	struct p *pp = &ps[0];

	for (int i = 0; i < 40; i++) {
		gs[i].inturn = i >= 3 && i != 5;
		globput(&gs[i]);
	}
	/* a share would be 11 */
	cr_assert_eq(globget(pp, 0), &gs[0]);
	cr_assert_eq(sched.runqsize, 37u);
	cr_assert_eq(runqget(pp, false), &gs[1]);
	cr_assert_eq(runqget(pp, false), &gs[2]);
	cr_assert(runqempty(pp));
	for (int i = 3; i < 40; i++) {
		if (i == 5)
			continue;
		cr_assert_eq(globget(pp, 0), &gs[i]);
		cr_assert_not(gs[i].inturn);
		/* the one that is behind gs[4], who is in turn, came along with it */
		cr_assert_eq(runqempty(pp), i != 4);
		if (i == 4)
			cr_assert_eq(runqget(pp, false), &gs[5]);
	}
	cr_assert_null(globget(pp, 0));
}

Test(runq, global_share_is_half_a_ring, .timeout = 20)
{
	struct p *pp = &ps[0];

	sched.gomaxprocs = 1;
	for (int i = 0; i < 1000; i++)
		globput(&gs[i]);
	cr_assert_eq(globget(pp, 0), &gs[0]);
	cr_assert_eq(sched.runqsize, 1000u - RUNQ / 2);
	cr_assert_eq(pp->runqtail - pp->runqhead, RUNQ / 2 - 1u);
}

/* An overflow would take sched.lock, which is held. */
Test(runq, global_share_of_a_full_ring, .timeout = 20)
{
	struct p *pp = &ps[0];

	sched.gomaxprocs = 1;
	for (int i = 0; i < RUNQ - 2; i++)
		runqput(pp, &gs[i], false);
	for (int i = RUNQ; i < RUNQ + 100; i++)
		globput(&gs[i]);
	cr_assert_eq(globget(pp, 0), &gs[RUNQ]);
	cr_assert_eq(pp->runqtail - pp->runqhead, (uint32_t)RUNQ);
	cr_assert_eq(sched.runqsize, 97u);
}

Test(runq, drain, .timeout = 20)
{
	struct p *pp = &ps[0];

	for (int i = 0; i < 10; i++)
		runqput(pp, &gs[i], false);
	runqput(pp, &gs[10], true);
	lock(&sched.lock);
	runqdrain(pp);
	unlock(&sched.lock);
	cr_assert(runqempty(pp));
	for (int i = 0; i <= 10; i++)
		cr_assert_eq(globget(pp, 1), &gs[i]);
}

Test(runq, steal_takes_half, .timeout = 20)
{
	struct p *victim = &ps[0], *pp = &ps[1];

	for (int i = 0; i < 9; i++)
		runqput(victim, &gs[i], false);
	/* five of nine, the oldest; the last of those is to run at once */
	cr_assert_eq(runqsteal(pp, victim, false), &gs[4]);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(runqget(pp, false), &gs[i]);
	cr_assert(runqempty(pp));
	for (int i = 5; i < 9; i++)
		cr_assert_eq(runqget(victim, false), &gs[i]);
	cr_assert_null(runqsteal(pp, victim, true));
}

Test(runq, steal_runnext_only_if_told, .timeout = 20)
{
	struct p *victim = &ps[0], *pp = &ps[1];

	victim->status = Prunning;
	runqput(victim, &gs[0], true);
	cr_assert_null(runqsteal(pp, victim, false));
	cr_assert_eq(runqsteal(pp, victim, true), &gs[0]);
	cr_assert(runqempty(victim));
	cr_assert(runqempty(pp));

	/* the ring comes first */
	runqput(victim, &gs[1], false);
	runqput(victim, &gs[2], true);
	cr_assert_eq(runqsteal(pp, victim, true), &gs[1]);
	cr_assert_eq(victim->runnext, &gs[2]);
}

/* ---- thieves while the owner works --------------------------------------- */

static uint32_t *seen; /* how often each G came out, all rounds */
static uint32_t nseen, round;
static bool strange;

static void saw(struct g *gp)
{
	uint64_t i = (uint64_t)(gp - gs);

	if (i >= NG || xadd(&seen[i], 1) != load_acquire(&round))
		WRITE_ONCE(strange, true);
	xadd(&nseen, 1);
}

static bool alldone(void)
{
	return load_acquire(&nseen) == NG * ROUNDS || READ_ONCE(strange);
}

static void *steals(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg, seed = me * 31 + 5;
	struct p *pp = &ps[me];
	uint32_t idle = 0;

	while (!alldone()) {
		struct p *victim = &ps[rnd(&seed) % COUNT(ps)];
		struct g *gp = NULL;

		if (victim != pp)
			gp = runqsteal(pp, victim, rnd(&seed) % 8 == 0);
		if (!gp && rnd(&seed) % 4 == 0)
			gp = globget(pp, 0);
		if (!gp && ++idle % 64 == 0)
			usleep_raw(1);
		while (gp) {
			saw(gp);
			/* leave some for the other thieves for a while */
			if (rnd(&seed) % 64 == 0)
				usleep_raw(1);
			gp = runqget(pp, rnd(&seed) % 2);
		}
	}
	return NULL;
}

/* A million Gs through the owner's queue: each comes out once a round. */
Test(runq, thieves, .timeout = 180)
{
	struct p *pp = &ps[0];
	pthread_t t[THIEVES];
	uint32_t seed = 3;

	seen = calloc(NG, sizeof(*seen));
	cr_assert(seen);
	for (uint32_t i = 0; i < COUNT(ps); i++)
		ps[i].status = Prunning;
	for (uintptr_t i = 0; i < THIEVES; i++)
		t[i] = spawn(steals, (void *)(i + 1));
	for (uint32_t r = 0; r < ROUNDS && !strange; r++) {
		for (uint32_t i = 0; i < NG; i++) {
			struct g *gp;

			if (rnd(&seed) % 2)
				runqputlifo(pp, &gs[i]);
			else
				runqput(pp, &gs[i], rnd(&seed) % 32 == 0);
			if (rnd(&seed) % 2)
				continue;
			gp = runqget(pp, rnd(&seed) % 8 == 0);
			if (!gp)
				gp = globget(pp, 0);
			if (gp)
				saw(gp);
		}
		while (load_acquire(&nseen) < (r + 1) * NG &&
		       !READ_ONCE(strange)) {
			struct g *gp = runqget(pp, false);

			if (gp)
				saw(gp);
		}
		/* nobody has a G of this round any more */
		store_release(&round, r + 1);
	}
	for (int i = 0; i < THIEVES; i++)
		join(t[i]);
	cr_assert(!strange, "a G came out twice, or was none of ours");
	for (int i = 0; i < NG; i++)
		cr_assert_eq(seen[i], (uint32_t)ROUNDS);
	for (uint32_t i = 0; i < COUNT(ps); i++)
		cr_assert(runqempty(&ps[i]));
	cr_assert_eq(sched.runqsize, 0u);
}
