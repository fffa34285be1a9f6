/* cputime.c - what a G has computed, on whatever Ms.
 *
 * Nothing is counted until somebody asks; from then on each switch to and from a G reads
 * the M's CPU clock (some 150 ns), and an answer is that sum and what the clock of the M
 * that runs the G says beyond it. What a G, but main, has computed before the first
 * question of all is not in it; differences are right.
 * Order: cputime, acctg and acctat are the owner M's; who asks of another G reads them
 * between two looks at acctseq, which is odd while they change (seqlock).
 */
#include "core/runtime.h"
#include <errno.h>

#define THREAD_CPUTIME 3

static int64_t readclock(int clock)
{
	struct {
		int64_t s, ns;
	} ts = { 0, 0 };

	if (RAW(__NR_clock_gettime, clock, &ts))
		return -1;
	return ts.s * 1000000000l + ts.ns;
}

static void begin(struct m *mp)
{
	WRITE_ONCE(mp->acctseq, mp->acctseq + 1);
	/* release: pairs with ofother, which sees the odd number first */
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void end(struct m *mp)
{
	store_release(&mp->acctseq, mp->acctseq + 1); /* pairs with ofother */
}

/* The clock of a kernel thread, as the kernel numbers clocks. */
static int clockof(int tid)
{
	return (int)(~(uint32_t)tid << 3 | 6);
}

/* What mp's kernel thread has computed, in ns. Any thread. */
int64_t mcputime(struct m *mp)
{
	return readclock(clockof(READ_ONCE(mp->tid)));
}

/* gp runs on mp from here. */
cold void accountin(struct m *mp, struct g *gp)
{
	if (mp->acctg == gp)
		return;
	begin(mp);
	WRITE_ONCE(mp->acctat, readclock(THREAD_CPUTIME));
	WRITE_ONCE(mp->acctg, gp);
	end(mp);
}

/* It leaves mp. */
cold void accountout(struct m *mp, struct g *gp)
{
	if (mp->acctg != gp)
		return; /* nobody had asked when it came */
	begin(mp);
	WRITE_ONCE(gp->cputime,
		   gp->cputime + readclock(THREAD_CPUTIME) - mp->acctat);
	WRITE_ONCE(mp->acctg, NULL);
	end(mp);
}

/* At the start: what the process's first thread has computed so far is main's. */
void accountmain(struct g *gp)
{
	gp->cputime = readclock(THREAD_CPUTIME);
}

/* From now on all are counted; the caller is acquired. */
static void account(struct m *mp)
{
	if (!READ_ONCE(sched.accounting)) {
		WRITE_ONCE(sched.accounting, true);
		fullfence(); /* a G made now sees it, or is seen here */
		for (uint32_t id = 1; id <= READ_ONCE(sched.idgen) + 1; id++) {
			struct g *gp = gbyid(id);

			if (gp)
				__atomic_fetch_or(&gp->flags, GF_ACCOUNT,
						  __ATOMIC_SEQ_CST);
		}
	}
	accountin(mp, curg());
}

static int64_t ofother(struct g *gp)
{
	for (int i = 0; i < 1000; i++) {
		int tid = gtid(gp);
		struct m *mp = tid ? gp->sched.m : NULL;
		int64_t sum = READ_ONCE(gp->cputime), at, now;
		uint32_t seq;

		if (!mp)
			return sum;
		seq = load_acquire(&mp->acctseq);
		if ((seq & 1) || READ_ONCE(mp->acctg) != gp) {
			RAW(__NR_sched_yield);
			continue;
		}
		sum = READ_ONCE(gp->cputime);
		at = READ_ONCE(mp->acctat);
		now = mcputime(mp);
		__atomic_thread_fence(__ATOMIC_ACQUIRE); /* pairs with begin */
		if (READ_ONCE(mp->acctseq) == seq && now >= at)
			return sum + now - at;
	}
	return READ_ONCE(gp->cputime); /* it is on the move all the time */
}

int64_t gcputime(struct g *gp)
{
	struct m *mp = acquirem();
	int64_t r;

	account(mp);
	if (gp == curg())
		r = gp->cputime + readclock(THREAD_CPUTIME) - mp->acctat;
	else
		r = ofother(gp);
	releasem(mp);
	return r;
}
