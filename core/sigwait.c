/* sigwait.c - waiting for signals: those of a set, or any handler's run.
 *
 * A G that waits for a set is in sched.sigwaiters, so that sysmon takes for it what
 * comes for the process (sigsend.c).
 * Invariants: a G is in sched.sigwaiters while its sigwaits is not 0.
 * Order: waiting() sets sigwaits, then sigpend is read; gsigsend the reverse.
 * Locks: siglock.
 */
#include "core/signal.h"
#include <errno.h>

static void waiting(struct g *gp, uint64_t set)
{
	struct m *mp = acquirem();
	struct g **link = &sched.sigwaiters;

	lock(&siglock);
	while (*link && *link != gp)
		link = &(*link)->sigwaitnext;
	if (*link)
		*link = gp->sigwaitnext;
	if (set) {
		gp->sigwaitnext = sched.sigwaiters;
		sched.sigwaiters = gp;
	}
	__atomic_store_n(&gp->sigwaits, set, __ATOMIC_SEQ_CST);
	unlock(&siglock);
	sysmonwake(); /* it takes others from now on */
	releasem(mp);
}

static bool nonepending(void *set)
{
	return !(__atomic_load_n(&curg()->sigpend, __ATOMIC_SEQ_CST) &
		 *(uint64_t *)set);
}

/* One that is there already; 0: none. */
static int poll(struct g *gp, uint64_t set, void *info)
{
	static const long zero[2];
	struct m *mp = acquirem();
	int sig = 0;

	if (set & BIT(SIGPREEMPT))
		sigkept(mp, gp);
	if (READ_ONCE(gp->sigpend) & set) {
		lock(&siglock);
		sig = sigdequeue(gp, set, info);
		unlock(&siglock);
		sigsetflag(gp);
	}
	while (!sig) {
		long r = RAW(__NR_rt_sigtimedwait, &set, info, zero, 8);

		if (r == -EINTR ||
		    (r > 0 && sigispoke(mp, (int)r, info)))
			continue;
		if (r <= 0)
			break;
		sig = (int)r;
		sigarrived(sig);
	}
	releasem(mp);
	return sig;
}

int gsigwait(uint64_t set, void *info, int64_t deadline)
{
	struct g *gp = getg();
	struct semawait w = { .addr = (uintptr_t)&set,
			      .reason = WAIT_SIGNAL,
			      .interruptible = true,
			      .deadline = deadline,
			      .check = nonepending,
			      .arg = &set };
	uint32_t before = gp->nhandled;
	int sig, r = 0;

	for (;;) {
		sig = poll(gp, set, info);
		if (sig || r == -ETIMEDOUT || gp->nhandled != before)
			break;
		if (!READ_ONCE(gp->sigwaits)) {
			waiting(gp, set); /* then look once more */
			continue;
		}
		r = semawait(&w);
		if (r == -ECANCELED)
			break;
	}
	if (READ_ONCE(gp->sigwaits)) {
		waiting(gp, 0);
		if (!sig) /* one may have come just before */
			sig = poll(gp, set, info);
	}
	return sig			    ? sig :
	       r == -ECANCELED		    ? r :
	       gp->nhandled != before	    ? -EINTR :
					      -EAGAIN;
}

static bool nohandler(void *before)
{
	return curg()->nhandled == *(uint32_t *)before;
}

void gsigsuspend(uint64_t mask)
{
	struct g *gp = getg();
	uint32_t before = gp->nhandled;
	struct semawait w = { .addr = (uintptr_t)&before,
			      .reason = WAIT_SIGNAL,
			      .interruptible = true,
			      .deadline = NEVER,
			      .check = nohandler,
			      .arg = &before };
	uint64_t old;

	gsigmask(SETMASK, &mask, &old);
	while (gp->nhandled == before)
		if (semawait(&w) == -ECANCELED)
			break;
	gsigmask(SETMASK, &old, NULL);
}

idlepath uint32_t gsighandled(void)
{
	return getg()->nhandled;
}

bool gsigrestarts(void)
{
	return !getg()->norestart;
}
