/* mp.c - Ms and Ps: which M holds which P, the idle ones of both, starting and stopping.
 *
 * Invariants: a P is on the idle list, or held by one M, or in the hands of whoever took
 *      it off the list or away from an M; its queue is empty while it is on the list.
 * Locks: sched.lock guards both idle lists.
 * Order: see "THE M'S P" in runtime.h and "Delicate dance" in proc.c.
 */
#include "core/runtime.h"
#include <errno.h>

/* ---- P: idle list, binding to an M --------------------------------------------- */

/* Holds sched.lock. pp's queue is empty. */
void pidleput(struct p *pp)
{
	WRITE_ONCE(pp->status, Pidle);
	pp->m = NULL;
	pp->link = sched.pidle;
	sched.pidle = pp;
	xadd(&sched.npidle, 1); /* full fence: see "Delicate dance" */
	if (unlikely(sched.sysmonwait != SYSMON_AWAKE) &&
	    sched.npidle == sched.gomaxprocs)
		sysmondisarm();
}

static struct p *pidletake(void)
{
	struct p *pp = sched.pidle;

	if (pp) {
		/* from here on it is the caller's, gscavenge keeps off */
		WRITE_ONCE(pp->status, Prunning);
		sched.pidle = pp->link;
		xadd(&sched.npidle, -1);
	}
	return pp;
}

/* Holds sched.lock. NULL if no P is idle. */
struct p *pidleget(void)
{
	struct p *pp = pidletake();

	if (pp && unlikely(sysmonlazy()))
		sysmonarm();
	return pp;
}

/* As pidleget, for an M that calls sysmonlook() before it runs a G. */
struct p *pidlegetlazy(void)
{
	struct p *pp;

	if (sched.sysmonwait != SYSMON_ASLEEP)
		return pidleget();
	pp = pidletake();
	if (pp)
		WRITE_ONCE(sched.sysmonwait, SYSMON_LAZY);
	return pp;
}

/* mp has no P and gets pp, which nobody has. */
void acquirep(struct m *mp, struct p *pp)
{
	mp->p = pp;
	WRITE_ONCE(pp->m, mp);
	pp->readied = NULL;
	WRITE_ONCE(pp->switchtick, pp->switchtick + 1); /* a new slice */
	mp->ranfrom = cputicks();
	store_release(&mp->pstate, PS_HELD); /* pairs with retake's CAS */
}

/* The P that mp holds and now no longer does. On the M itself, in core. */
struct p *releasep(struct m *mp)
{
	struct p *pp = mp->p;

	mp->p = NULL;
	WRITE_ONCE(mp->pstate, PS_NONE);
	return pp;
}

/* Settle who has mp's P: take back what sysmon is about to take (RETAKING) or what
 * was left in m->oldp for a system call, or learn that it is gone. Looked at anew
 * each time, since sysmon may give up, too. mp is locked. */
idlepath void settlep(struct m *mp)
{
	for (;;) {
		uint32_t s = READ_ONCE(mp->pstate);

		if (s == PS_TAKEN) {
			mp->oldp = NULL;
			releasep(mp);
			takenback(mp);
			return;
		}
		if (s != PS_RETAKING && s != PS_SYSCALL)
			break;
		/* acquire: pairs with retake, which may have had its look */
		if (cas(&mp->pstate, s, PS_HELD))
			break;
	}
	if (mp->oldp) {
		mp->p = mp->oldp;
		mp->oldp = NULL;
	}
}

/* The rest of acquirem: sysmon has, or wants, this M's P; or it has none. */
cold void acquirem_slow(struct m *mp)
{
	struct p *pp;

	/* in a declared system call the P stays where exitsyscall finds it */
	if (mp->oldp || mp->pstate == PS_FOREIGN)
		return;
	settlep(mp);
	if (mp->p || mp->locks > 1 || gonative(mp) ||
	    READ_ONCE(sched.npidle) == 0)
		return;
	lock(&sched.lock);
	pp = READ_ONCE(sched.gcwaiting) ? NULL : pidlegetlazy();
	unlock(&sched.lock);
	if (!pp)
		return;
	acquirep(mp, pp);
	sysmonlook();
}

/* ---- M: start, stop, make -------------------------------------------------------- */

static void mput(struct m *mp)
{
	mp->schedlink = sched.midle;
	sched.midle = mp;
	WRITE_ONCE(sched.nmidle, sched.nmidle + 1);
}

static struct m *mget(void)
{
	struct m *mp = sched.midle;

	if (mp) {
		sched.midle = mp->schedlink;
		WRITE_ONCE(sched.nmidle, sched.nmidle - 1);
	}
	return mp;
}

/* A new M, on the list of all. Any thread. */
struct m *allocm(void)
{
	struct m *mp = NULL;

	lock(&sched.lock);
	if (sched.freem) {
		mp = sched.freem;
		sched.freem = mp->schedlink;
		unlock(&sched.lock);
		return mp;
	}
	unlock(&sched.lock);
	mp = persistentalloc(sizeof(*mp));
	if (!mp)
		throw("allocm: out of memory");
	lock(&sched.lock);
	if (sched.nm >= MAXM) {
		unlock(&sched.lock);
		throw("more than %d kernel threads are blocked in calls; "
		      "the program would need that many natively, too",
		      MAXM);
	}
	mp->id = ++sched.nm;
	mp->rand = mp->id * 2654435761u | 1;
	mp->procfd = -1;
	mp->g0 = &mp->g0store;
	mp->alllink = sched.allm;
	store_release(&sched.allm, mp); /* pairs with walkers of allm */
	unlock(&sched.lock);
	return mp;
}

/* mp's kernel thread ends: mstart returns next. The process's first one has to stay. On
 * g0, without a P. */
void mexit(struct m *mp)
{
	msetmask(mp, MASK_ALL);
	while (mp == &m0)
		notesleep(&mp->park); /* nobody wakes it */
	uringexit(mp);
	mp->ending = false;
	lock(&sched.lock);
	mp->schedlink = sched.deadm;
	sched.deadm = mp;
	unlock(&sched.lock);
}

/* An M whose kernel thread has ended, so that its stack and alternate stack are free; NULL:
 * there is none. */
struct m *deadmget(void)
{
	int pid = (int)RAW(__NR_getpid);
	struct m *mp, **link;

	if (!READ_ONCE(sched.deadm))
		return NULL;
	lock(&sched.lock);
	for (link = &sched.deadm; (mp = *link); link = &mp->schedlink)
		if (RAW(__NR_tgkill, pid, mp->tid, 0) == -ESRCH)
			break;
	if (mp)
		*link = mp->schedlink;
	unlock(&sched.lock);
	if (mp)
		WRITE_ONCE(mp->newtid, true);
	return mp;
}

/* Run Gs on pp (NULL: an idle one, if any) with an idle M, else with one that the
 * template thread makes. spinning: the caller has counted it in nmspinning. */
void startm(struct p *pp, bool spinning)
{
	struct m *mp;

	lock(&sched.lock);
	if (!pp) {
		pp = sched.gcwaiting ? NULL : pidleget();
		if (!pp) {
			if (spinning) /* under the lock, see wakep */
				xadd(&sched.nmspinning, -1);
			unlock(&sched.lock);
			return;
		}
	}
	mp = mget();
	if (!mp) {
		/* the template thread runs it; the P is marked as spinning by
		 * its readied word, nobody else looks at it until then */
		if (!sched.wantm)
			WRITE_ONCE(sched.wantat, nanotime());
		pp->link = sched.wantm;
		pp->readied = spinning ? (struct g *)1 : NULL;
		sched.wantm = pp;
		unlock(&sched.lock);
		notewakeup(&sched.templatenote);
		return;
	}
	if (sched.nmidle == 0) {
		sched.wantspare = 1;
		notewakeup(&sched.templatenote);
	}
	unlock(&sched.lock);
	mp->spinning = spinning;
	mp->nextp = pp;
	notewakeup(&mp->park);
}

/* A P has lost its M: give it to another one if there is anything to do with it. */
void handoffp(struct p *pp)
{
	int64_t when;

	if (!runqempty(pp) || READ_ONCE(sched.runqsize)) {
		startm(pp, false);
		return;
	}
	/* no spinning M, no idle P: somebody must look for work on others */
	if (READ_ONCE(sched.nmspinning) + READ_ONCE(sched.npidle) == 0 &&
	    cas(&sched.nmspinning, 0, 1)) {
		startm(pp, true);
		return;
	}
	lock(&sched.lock);
	if (sched.gcwaiting) {
		pidleput(pp);
		if (--sched.stopwait == 0)
			notewakeup(&sched.stopnote);
		unlock(&sched.lock);
		return;
	}
	if (sched.runqsize) {
		unlock(&sched.lock);
		startm(pp, false);
		return;
	}
	when = READ_ONCE(pp->when0);
	pidleput(pp);
	unlock(&sched.lock);
	if (when != NEVER)
		pollbreak(when);
	pollneeded();
}

/* Something became runnable: one more M should look, unless one does. */
void wakep(void)
{
	struct p *pp;

	/* the CAS is the submitter's full fence, see "Delicate dance" */
	if (READ_ONCE(sched.nmspinning) != 0 || !cas(&sched.nmspinning, 0, 1))
		return;
	lock(&sched.lock);
	pp = sched.gcwaiting ? NULL : pidleget();
	/* under the lock: nobody may take a spinner that never was for one, after
	 * the last real one has looked */
	if (!pp)
		xadd(&sched.nmspinning, -1);
	unlock(&sched.lock);
	if (pp)
		startm(pp, true);
}

/* A P that waits for the template thread, for mp. Holds sched.lock. */
struct p *wantget(struct m *mp)
{
	struct p *pp = sched.wantm;

	if (!pp)
		return NULL;
	sched.wantm = pp->link;
	WRITE_ONCE(sched.wantat, nanotime());
	mp->spinning = pp->readied != NULL;
	pp->readied = NULL;
	return pp;
}

/* Sleep until startm brings a P. On g0, without a P. One that waits for a new M is
 * taken at once: to make one the C library may need a lock that a G holds. */
void stopm(struct m *mp)
{
	struct p *pp;

	msetmask(mp, MASK_ALL); /* sysmon takes the signals meanwhile */
	lock(&sched.lock);
	pp = wantget(mp);
	if (!pp)
		mput(mp); /* in one go: startm looks here, then queues its P */
	unlock(&sched.lock);
	if (!pp) {
		notesleep(&mp->park); /* nextp is the waker's until then */
		pp = mp->nextp;
		mp->nextp = NULL;
	}
	acquirep(mp, pp);
}
