/* pless.c - threads without a P: foreign ones, wired and native Gs.
 *
 * Why: a kernel thread that core did not make, and a G that must keep its kernel thread,
 *      are the same thing here: a G on an M of its own that runs when the kernel wants
 *      and parks on its M's note. They use the same wait queues as everybody. Go hands
 *      a locked M's P over twice a switch instead, which is slower than a native thread.
 */
#include "core/runtime.h"
#include <errno.h>

static struct g *foreigng(void)
{
	struct g *gp;

	lock(&sched.lock);
	gp = sched.freeg;
	if (gp)
		sched.freeg = gp->schedlink;
	unlock(&sched.lock);
	return gp ? gp : galloc();
}

/* mp and gp, whose thread has ended, are the next one's. Holds sched.lock. */
static void freem(struct m *mp, struct g *gp)
{
	gp->status = Gdead;
	gp->sched.m = NULL;
	mp->curg = NULL;
	WRITE_ONCE(mp->foreignpid, 0);
	gp->schedlink = sched.freeg;
	sched.freeg = gp;
	mp->schedlink = sched.freem;
	sched.freem = mp;
	sched.nforeign--;
}

#define REAPEVERY 64

/* No thread of this process has mp's number any more. */
static bool isgone(struct m *mp, int pid)
{
	/* acquire: pairs with needm, the number is that of mp's thread */
	return __atomic_load_n(&mp->foreignpid, __ATOMIC_ACQUIRE) == pid &&
	       RAW(__NR_tgkill, pid, READ_ONCE(mp->tid), 0) == -ESRCH;
}

/* A thread that a raw clone made may end by a raw exit, so that nobody calls dropm.
 * What the kernel does not know any more can be in the middle of nothing but a handler
 * of the program's; a number that another thread has by now is one for later. Only
 * for threads of the caller's process: that of a child which shares our memory is none
 * of its. The caller is acquired. */
static void reapms(void)
{
	int pid = (int)RAW(__NR_getpid);
	bool mine;

	lock(&sched.lock);
	mine = !sched.reaping && sched.nforeign >= sched.reapat;
	sched.reaping |= mine;
	unlock(&sched.lock);
	if (!mine)
		return;
	for (struct m *mp = load_acquire(&sched.allm); mp; mp = mp->alllink) {
		struct g *gp;

		if (!isgone(mp, pid))
			continue;
		lock(&sched.lock);
		/* it may have been another thread's meanwhile: its own dropm */
		gp = isgone(mp, pid) ? mp->curg : NULL;
		if (gp && !mp->locks && !READ_ONCE(gp->waitaddr) &&
		    !READ_ONCE(gp->sigwaits)) {
			gp->nwired = 0;
			freem(mp, gp);
		}
		unlock(&sched.lock);
	}
	lock(&sched.lock);
	sched.reapat = sched.nforeign + REAPEVERY;
	sched.reaping = false;
	unlock(&sched.lock);
}

/* This kernel thread is mp's, for the library's own purposes: no P, no signals, and what
 * runs is mp's g0. */
void mpless(struct m *mp)
{
	mp->pstate = PS_FOREIGN;
	mp->tid = gettid_raw();
	mp->sigmask = MASK_ALL;
	mp->nosig = true;
	mp->curg = mp->g0;
	mp->g0->foreign = true;
	mp->g0->sched.m = mp;
	mp->g0->sched.fs = gettp();
	tlsg = mp->g0;
}

/* The G of a kernel thread that core did not make. It keeps its own thread
 * pointer, runs when the kernel wants, and parks on its M's note. */
struct g *needm(void)
{
	struct g *gp;
	struct m *mp;
	int tid = gettid_raw(), pid = (int)RAW(__NR_getpid);
	bool main = tid == pid && !schedstarted, many;

	mp = main ? &m0 : allocm();
	gp = main ? gbyid(1) : foreigng();
	if (!gp)
		throw("needm: out of memory");
	mp->pstate = PS_FOREIGN;
	mp->locks = 1; /* until the end */
	mp->sigwork = 0;
	mp->tid = tid;
	mp->curg = gp;
	mp->p = NULL;
	gp->sched.m = mp;
	gp->sched.fs = gettp();
	gp->sched.oncpu = 1;
	gp->foreign = true;
	gp->kept = false;
	gp->class = -1;
	gp->status = Grunning;
	RAW(__NR_rt_sigprocmask, 0, NULL, &mp->sigmask, 8);
	gp->sigmask = mp->sigmask;
	tlsg = gp;
	if (!main) {
		sigflush(gp); /* the last one's */
		lock(&sched.lock);
		many = ++sched.nforeign >= sched.reapat;
		unlock(&sched.lock);
		store_release(&mp->foreignpid, pid); /* pairs with isgone */
		if (many)
			reapms();
	}
	releasem(mp);
	if (!main && corehooks.foreign)
		corehooks.foreign();
	return gp;
}

void dropm(void)
{
	struct g *gp = tlsg;

	if (!gp || !gp->foreign || gp->unwire || gp->sched.m == &m0)
		return;
	tlsg = NULL;
	lock(&sched.lock);
	freem(gp->sched.m, gp);
	unlock(&sched.lock);
}

bool gforeign(void)
{
	return curg()->foreign;
}

/* Wired: the kernel thread is the G's own, P-less, until gounwire. Nests. */
int gowire(void)
{
	struct m *mp = acquirem();
	struct g *gp = curg();

	if (gp->nwired++ == 0 && !gp->foreign) {
		struct p *pp;

		settlep(mp);
		pp = mp->p ? releasep(mp) : NULL;

		WRITE_ONCE(mp->pstate, PS_FOREIGN);
		gp->foreign = true;
		gp->unwire = true;
		if (pp)
			handoffp(pp);
	}
	releasem(mp);
	return mp->tid;
}

void gounwire(void)
{
	struct m *mp = acquirem();
	struct g *gp = curg();

	if (--gp->nwired || !gp->unwire) {
		releasem(mp);
		return;
	}
	gp->foreign = gp->unwire = false;
	WRITE_ONCE(mp->pstate, PS_NONE);
	acquirem_slow(mp);
	if (mp->p)
		releasem(mp);
	else
		releasem(gowaitp(mp));
}

int gokeep(void)
{
	if (!curg()->kept) {
		curg()->kept = true;
		gowire();
	}
	return curg()->sched.m ? ((struct m *)curg()->sched.m)->tid : 0;
}

void gounkeep(void)
{
	curg()->kept = false;
	gounwire();
}

int newprockept(struct g *gp, void (*fn)(void), uint64_t sigmask)
{
	struct m *mp = deadmget();
	int err;

	if (!mp)
		mp = allocm();
	initproc(gp, fn, sigmask);
	xadd(&sched.nginit, 1);
	gp->foreign = gp->unwire = gp->kept = true;
	gp->nwired = 1;
	gp->status = Grunnable;
	gp->sched.m = mp; /* who wakes it finds its note */
	mp->first = gp;
	xadd(&sched.nmstarting, 1);
	err = startthread(mstart, mp);
	if (!err)
		return 0;
	xadd(&sched.nmstarting, -1);
	sigmaskcount(sigmask, -1);
	xadd(&sched.ng, -1);
	gp->foreign = gp->unwire = gp->kept = false;
	gp->nwired = 0;
	gp->status = Gdead;
	mp->first = NULL;
	mp->tid = INT32_MAX; /* no thread's */
	lock(&sched.lock);
	mp->schedlink = sched.deadm;
	sched.deadm = mp;
	unlock(&sched.lock);
	return err;
}

/* ---- native Gs ---------------------------------------------------------------------- */

/* A G whose M keeps blocking costs a retake each time, and the others the time until
 * sysmon comes by, whether the call was declared or out of our sight (libgomp's
 * barriers); one that cannot be preempted holds them up, too. It becomes a kernel
 * thread, until it has parked so often without. So does an event loop that computes in
 * calls: each time its P is taken it loses the batch of files that it was at. One that has
 * woken no G for so many rounds does so at once; one that hands work on is better beside
 * those who do it. But a thread that serves one client parks for the next request: there a
 * switch is what counts. */
#define UNSEEN 3
#define UNSEEN_TIME 100000000l
#define CLEANPARKS 1000

/* mp's P was taken while its G was out of our sight; that G is back. mp is locked. */
cold void takenback(struct m *mp)
{
	struct g *gp = curg();
	int64_t now;

	/* nobody's G; a wait in place; or one that did not block */
	if (gp == mp->g0 || gp->inplace == INPLACE_KEPT ||
	    (mp->takenwhy == TAKEN_BUSY && !gp->loops))
		return;
	if (mp->takenwhy == TAKEN_UNSEEN)
		xadd(&sched.ntaken, -1);
	now = nanotime();
	if (now - gp->unseenat > UNSEEN_TIME) {
		gp->unseenat = now;
		gp->nunseen = 0;
	}
	if (mp->takenwhy == TAKEN_REFUSED || gp->loops == LOOP_ALONE)
		gp->nunseen = UNSEEN;
	else if (gp->nunseen < UNSEEN)
		gp->nunseen++;
}

void gloops(void)
{
	struct g *gp = getg();

	if (gp->loops != LOOP_ALONE)
		gp->loops = gp->loops ? gp->loops - 1 : LOOP_SHARES;
}

/* Make the G of mp, which has no P, native if it is time. mp is locked. */
cold bool gonative(struct m *mp)
{
	struct g *gp = curg();

	if (gp->nunseen < UNSEEN || gp == mp->g0 || gp->foreign)
		return false;
	gp->nunseen = 0;
	gp->native = gp->foreign = true;
	gp->nativeleft = CLEANPARKS;
	WRITE_ONCE(mp->pstate, PS_FOREIGN);
	return true;
}

/* gp, which runs on mp, keeps this kernel thread for good. mp is acquired. */
cold void nativeforgood(struct m *mp, struct g *gp)
{
	struct p *pp = NULL;

	__atomic_fetch_and(&gp->flags, ~GF_NATIVE, __ATOMIC_SEQ_CST);
	gp->nativeleft = 0;
	if (gp->foreign && !gp->unwire && !gp->native)
		return; /* never was anything else */
	settlep(mp);
	pp = mp->p ? releasep(mp) : NULL;
	gp->native = gp->foreign = true;
	gp->unwire = false; /* gounwire leaves it so */
	WRITE_ONCE(mp->pstate, PS_FOREIGN);
	if (pp)
		handoffp(pp);
}

void gallnative(void)
{
	struct m *mp = acquirem();

	for (uint32_t id = 1; id <= READ_ONCE(sched.idgen) + 1; id++) {
		struct g *gp = gliving(id);
		uint32_t s = gp ? READ_ONCE(gp->status) : Gdead;

		if (s != Gdead && s != Gidle)
			__atomic_fetch_or(&gp->flags, GF_NATIVE,
					  __ATOMIC_SEQ_CST);
	}
	nativeforgood(mp, curg());
	releasem(mp);
}

/* A native G has parked. mp is acquired, and so is what is returned. */
cold struct m *goparked(struct m *mp)
{
	struct g *gp = curg();

	if (gp->nativeleft > 1)
		gp->nativeleft--;
	if (gp->nativeleft != 1 || gp->nwired)
		return mp;
	gp->native = gp->foreign = false;
	WRITE_ONCE(mp->pstate, PS_NONE);
	acquirem_slow(mp);
	return mp->p ? mp : gowaitp(mp);
}

uintptr_t mtp(void)
{
	struct m *mp = getg()->sched.m;

	return mp->g0 ? mp->g0->sched.fs : getg()->sched.fs;
}

idlepath struct g *getg(void)
{
	return likely(tlsg) ? tlsg : needm();
}
