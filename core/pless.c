/* pless.c - threads without a P: foreign ones, and wired Gs.
 *
 * Why: a kernel thread that core did not make, and a G that must keep its kernel thread,
 *      are the same thing here: a G on an M of its own that runs when the kernel wants
 *      and parks on its M's note. They use the same wait queues as everybody. Go hands
 *      a locked M's P over twice a switch instead, which is slower than a native thread.
 */
#include "core/runtime.h"

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

/* The G of a kernel thread that core did not make. It keeps its own thread
 * pointer, runs when the kernel wants, and parks on its M's note. */
struct g *needm(void)
{
	struct g *gp;
	struct m *mp;
	int tid = gettid_raw();
	bool main = tid == (int)RAW(__NR_getpid) && !schedstarted;

	mp = main ? &m0 : allocm();
	gp = main ? gbyid(1) : foreigng();
	if (!gp)
		throw("needm: out of memory");
	mp->pstate = PS_FOREIGN;
	mp->locks = 0;
	mp->tid = tid;
	mp->curg = gp;
	mp->p = NULL;
	gp->sched.m = mp;
	gp->sched.fs = gettp();
	gp->sched.oncpu = 1;
	gp->foreign = true;
	gp->class = -1;
	gp->status = Grunning;
	RAW(__NR_rt_sigprocmask, 0, NULL, &mp->sigmask, 8);
	gp->sigmask = mp->sigmask;
	tlsg = gp;
	if (!main && corehooks.foreign)
		corehooks.foreign();
	return gp;
}

void dropm(void)
{
	struct g *gp = tlsg;
	struct m *mp;

	if (!gp || !gp->foreign || gp->unwire || gp->sched.m == &m0)
		return;
	mp = gp->sched.m;
	tlsg = NULL;
	gp->status = Gdead;
	gp->sched.m = NULL;
	mp->curg = NULL;
	lock(&sched.lock);
	gp->schedlink = sched.freeg;
	sched.freeg = gp;
	mp->schedlink = sched.freem;
	sched.freem = mp;
	unlock(&sched.lock);
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
		gowaitp(mp);
}

bool gwired(void)
{
	return getg()->nwired != 0;
}

uintptr_t mtp(void)
{
	struct m *mp = getg()->sched.m;

	return mp->g0 ? mp->g0->sched.fs : getg()->sched.fs;
}

struct g *getg(void)
{
	return likely(tlsg) ? tlsg : needm();
}
