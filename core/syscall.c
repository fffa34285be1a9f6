/* syscall.c - calls that block in the kernel: the P goes on without its M.
 *
 * entersyscall is cheap: the P stays attached, marked, for sysmon to take if the
 * call lasts. entersyscallblock hands it over at once. exitsyscall takes the P back
 * if it is still there, else any idle one, else queues the G and sleeps.
 * See runtime.h, "THE M'S P", for the states.
 */
#include "core/runtime.h"

bool entersyscall(void)
{
	struct m *mp;
	bool had;

	if (!schedstarted)
		return false;
	mp = acquirem();

	had = mp->p != NULL;
	if (had) {
		mp->oldp = mp->p;
		mp->p = NULL;
		/* release: what was done with the P is done, pairs with retake */
		store_release(&mp->pstate, PS_SYSCALL);
	}
	releasem(mp);
	return had;
}

void entersyscallblock(void)
{
	struct m *mp;

	if (!schedstarted)
		return;
	mp = acquirem();

	if (mp->p)
		handoffp(releasep(mp));
	releasem(mp);
}

/* The P is kept, marked, while all others are idle and sysmon sleeps: who makes a G
 * runnable meanwhile wakes sysmon, which takes it, as from a G that computes (sysmonlazy).
 * To give it up and find it again is a third of what a sleep costs. False: what signals
 * are let in may have changed since sysmon looked, see sigstale. */
static idlepath bool keepasleep(void)
{
	struct m *mp = acquirem();
	struct p *pp = mp->p;
	bool keep;

	keep = pp && curg()->inplace == INPLACE_NO &&
	       READ_ONCE(sched.sysmonwait) == SYSMON_LAZY &&
	       READ_ONCE(sched.npidle) + 1 == READ_ONCE(sched.gomaxprocs) &&
	       alone(pp) &&
	       READ_ONCE(sched.sigchanges) == READ_ONCE(sched.sigseen);
	if (keep) {
		curg()->inplace = INPLACE_KEPT;
		mp->oldp = pp;
		mp->p = NULL;
		/* release: as in entersyscall */
		store_release(&mp->pstate, PS_SYSCALL);
	}
	releasem(mp);
	return keep;
}

idlepath bool entersyscallsleep(int64_t until)
{
	if (!schedstarted || netpollwaiting() || timersearliest() < until)
		return false;
	return keepasleep() || entersyscallwait(until);
}

bool entersyscallwait(int64_t until)
{
	struct m *mp;
	struct p *pp;
	bool in = false;

	if (!schedstarted)
		return false;
	mp = acquirem();
	pp = mp->p;
	/* a handler that has come into such a wait parks */
	if (pp && alone(pp) && curg()->inplace == INPLACE_NO &&
	    READ_ONCE(sched.ninplace) < READ_ONCE(sched.gomaxprocs)) {
		in = pidlewait(mp, until);
		if (in) {
			curg()->inplace = INPLACE_IDLE;
			xadd(&sched.ninplace, 1);
		}
	}
	releasem(mp);
	return in;
}

idlepath long gsyscall(const uint32_t *unless, long n, long a, long b, long c, long d,
	      long e, long f)
{
	return syscall_unless(unless, n, a, b, c, d, e, f);
}

long gsyscallnow(long n, long a, long b, long c, long d, long e, long f)
{
	return rawsyscall(n, a, b, c, d, e, f);
}

idlepath void leavesyscallwait(void)
{
	struct g *gp = curg();

	if (gp->inplace == INPLACE_IDLE)
		xadd(&sched.ninplace, -1);
	gp->inplace = INPLACE_NO;
}

idlepath void exitsyscall(void)
{
	struct g *gp = curg();
	struct m *mp;

	if (!schedstarted || unlikely(gp->foreign))
		return;
	mp = lockm(gp);
	settlep(mp);
	if (unlikely(!mp->p))
		acquirem_slow(mp); /* an idle one? or without, from here on? */
	if (mp->p) {
		WRITE_ONCE(mp->p->syscalltick, mp->p->syscalltick + 1);
	} else if (!gp->foreign) {
		sigtake(gp);
		mp = gowaitp(mp);
	}
	releasem(mp);
}
