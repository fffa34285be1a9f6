/* pless.c - threads without a P: foreign ones, wired and native Gs.
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

/* ---- native Gs ---------------------------------------------------------------------- */

/* A G whose M keeps blocking costs a retake each time, and the others the time until
 * sysmon comes by, whether the call was declared or out of our sight (libgomp's
 * barriers); one that cannot be preempted holds them up, too. It becomes a kernel
 * thread, until it has parked so often without. */
#define UNSEEN 3
#define UNSEEN_TIME 100000000l
#define CLEANPARKS 1000

/* mp's P was taken while its G was out of our sight; that G is back. mp is locked. */
cold void takenback(struct m *mp)
{
	struct g *gp = curg();
	int64_t now;

	if (gp == mp->g0)
		return;
	if (mp->takenwhy == TAKEN_UNSEEN)
		xadd(&sched.ntaken, -1);
	now = nanotime();
	if (now - gp->unseenat > UNSEEN_TIME) {
		gp->unseenat = now;
		gp->nunseen = 0;
	}
	if (mp->takenwhy == TAKEN_REFUSED)
		gp->nunseen = UNSEEN;
	else if (gp->nunseen < UNSEEN)
		gp->nunseen++;
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
		struct g *gp = gbyid(id);
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

struct g *getg(void)
{
	return likely(tlsg) ? tlsg : needm();
}
