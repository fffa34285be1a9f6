/* sched.c - the scheduler as a whole: start, number of Ps, stopping the world, and
 * what a fork child keeps.
 *
 * Start: (1) the template thread, through the C library, so that libc leaves its
 *      single-threaded modes before the first G runs; it makes all other Ms because
 *      it alone is in a known state: no G's identity, no lock, no signals;
 *      (2) g0 of m0, with an identity of its own: the main TCB is the main G's from
 *      now on; (3) the Ps; (4) sysmon.
 * Fork: a child has one thread and calls no libc here. It drops every queue, bucket
 *      and pool, and keeps what is valid at every instant: Gs by number, the
 *      regions of stacks, and the Ms' stacks, which are never unmapped.
 */
#include "core/runtime.h"
#include <errno.h>

#define MEMBARRIER_REGISTER_PRIVATE_EXPEDITED 16 /* see retake */
#define M_STACK (256 * 1024ul)
#define SPARES 1 /* idle Ms ahead of need: sysmon must never wait for one */

/* Start fn(mp) on a kernel thread with a stack of ours. On the template thread, on a kept
 * G's, or before the scheduler runs. */
int startthread(void (*fn)(void *), struct m *mp)
{
	int err;

	if (!mp->stack)
		mp->stack = sysalloc(M_STACK);
	if (!mp->stack)
		return -ENOMEM;
	err = corehooks.thread_start(fn, mp, mp->stack, M_STACK);
	return err;
}

/* A new M, idle: it takes the P that it was made for when it comes up. */
static void startM(void)
{
	struct m *mp = deadmget();
	int err;

	if (!mp)
		mp = allocm();
	WRITE_ONCE(sched.makingat, nanotime());
	/* a limit on kernel threads may be met for a moment only */
	xadd(&sched.nmstarting, 1);
	for (int i = 0; (err = startthread(mstart, mp)) == -EAGAIN && i < 1000;
	     i++)
		usleep_raw(10000);
	if (err)
		throw("cannot start a kernel thread (error %d); %u run", -err,
		      sched.nm);
	WRITE_ONCE(sched.makingat, 0);
}

/* The template thread: makes Ms for Ps that wait for one, and a spare. */
void schedtemplate(void *arg)
{
	struct m *mp = arg;

	mpless(mp); /* a program's own malloc may wait for a lock here */
	for (;;) {
		uint32_t wanted = 0;

		lock(&sched.lock);
		for (struct p *pp = sched.wantm; pp; pp = pp->link)
			wanted++;
		if (sched.wantspare && sched.nmidle < SPARES)
			wanted++;
		sched.wantspare = 0;
		unlock(&sched.lock);
		/* those on their way count: they take what is wanted */
		if (wanted > READ_ONCE(sched.nmstarting))
			startM();
		else
			notesleep(&sched.templatenote);
	}
}

/* ---- number of Ps --------------------------------------------------------------- */

static struct p *allocp(uint32_t id)
{
	struct p *pp = persistentalloc(sizeof(*pp));

	if (!pp)
		throw("procresize: out of memory");
	pp->id = id;
	pp->status = Pdead;
	pp->when0 = NEVER;
	return pp;
}

/* Set the number of Ps. The world is stopped, or not yet started. All Ps come out
 * idle. Holds sched.lock unless it is not yet started. */
static void procresize(uint32_t n)
{
	uint32_t old = sched.gomaxprocs;

	for (uint32_t i = 0; i < n; i++)
		if (!allp[i])
			store_release(&allp[i], allocp(i));
	for (uint32_t i = n; i < old; i++) {
		struct p *pp = allp[i];

		runqdrain(pp);
		gfreeflush(pp);
		timersmove(pp, allp[0]);
		pp->status = Pdead;
	}
	sched.pidle = NULL;
	sched.npidle = 0;
	WRITE_ONCE(sched.gomaxprocs, n);
	sched.aloneticks = n > cpucount() ? CROWDEDTICKS : ALONETICKS;
	for (uint32_t i = n; i-- > 0;)
		pidleput(allp[i]);
}

/* Take the P of an M that is in a system call, seen or unseen, and asleep. */
static void stopblocked(void)
{
	for (uint32_t i = 0; i < sched.gomaxprocs; i++) {
		struct p *pp = retake(allp[i], TAKEN_STW);

		if (!pp)
			continue;
		lock(&sched.lock);
		runqdrain(pp);
		pidleput(pp);
		sched.stopwait--;
		unlock(&sched.lock);
	}
}

static struct mutex stoplock; /* one stopper at a time */

bool stoptheworld(int64_t timeout)
{
	struct m *mp = acquirem();
	int64_t until = nanotime() + timeout;
	bool stopped;

	lock(&stoplock);
	if (READ_ONCE(sched.gcwaiting)) {
		unlock(&stoplock);
		releasem(mp);
		return false;
	}
	lock(&sched.lock);
	sched.stopnote.key = 0;
	sched.stopwait = sched.gomaxprocs - sched.npidle;
	if (mp->p) {
		runqdrain(mp->p);
		pidleput(releasep(mp));
		sched.stopwait--;
	}
	WRITE_ONCE(sched.gcwaiting, 1);
	if (sysmonlazy())
		sysmonarm(); /* it preempts those that compute */
	unlock(&sched.lock);
	unlock(&stoplock);
	for (;;) {
		stopblocked();
		lock(&sched.lock);
		stopped = sched.stopwait == 0;
		unlock(&sched.lock);
		if (stopped || nanotime() > until)
			break;
		notetsleep(&sched.stopnote, nanotime() + 100000);
	}
	if (!stopped)
		starttheworld();
	releasem(mp);
	return stopped;
}

void starttheworld(void)
{
	struct m *mp = acquirem();
	uint32_t n;

	lock(&sched.lock);
	WRITE_ONCE(sched.gcwaiting, 0);
	sched.stopwait = 0;
	n = sched.npidle;
	unlock(&sched.lock);
	acquirem_slow(mp); /* a P for the caller, if it can have one */
	/* every P may find work in the global queue; an M without finds out */
	while (n-- > 0)
		startm(NULL, false);
	releasem(mp);
}

int setmaxprocs(uint32_t n)
{
	if (n < 1 || n > MAXP)
		return -EINVAL;
	if (!stoptheworld(10000000))
		return -EBUSY;
	lock(&sched.lock);
	procresize(n);
	unlock(&sched.lock);
	starttheworld();
	return 0;
}

/* ---- start ------------------------------------------------------------------------- */

/* The alternate stack that the main thread has set so far is the main G's own. */
static bool adoptalt(void)
{
	struct {
		uintptr_t sp;
		int flags;
		size_t size;
	} ss;

	if (m0.sigstack)
		return true; /* a fork child's: virtual since long */
	if (RAW(__NR_sigaltstack, NULL, &ss) || (ss.flags & 1))
		return false; /* we are on it */
	if (!(ss.flags & 2))
		getg()->alt = (struct sigalt){ ss.sp, ss.size, ss.flags };
	return true;
}

/* m0's g0: a stack and an identity of its own. */
static int initm0(void)
{
	uintptr_t lo = (uintptr_t)sysalloc(M_STACK), hi;
	struct g *g0 = &m0.g0store;
	uintptr_t fs;

	if (!lo)
		return -ENOMEM;
	hi = lo + M_STACK;
	fs = corehooks.identity_new(lo, &hi);
	if (!fs)
		return -ENOMEM;
	*(struct g **)(fs + ((uintptr_t)&tlsg - gettp())) = g0;
	gobufinit(&g0->sched, hi, fs, schedloop);
	g0->sched.m = &m0;
	g0->stacklo = lo;
	g0->stackhi = hi;
	m0.g0 = g0;
	if (!adoptalt() || !sigstackalloc(&m0))
		return -ENOMEM;
	m0.tid = gettid_raw();
	m0.id = 0;
	m0.rand = 0x9e3779b9;
	m0.procfd = -1;
	lock(&sched.lock);
	m0.alllink = sched.allm;
	store_release(&sched.allm, &m0); /* pairs with walkers of allm */
	unlock(&sched.lock);
	return 0;
}

bool schedfsgsbase(bool has)
{
	asm_fsgsbase = has;
	return has;
}

void schedpku(void)
{
	asm_pku = 1;
}

int schedinit(void)
{
	struct g *gp = getg();
	struct m *template;
	int err;

	if (gp->sched.m != &m0)
		return -EAGAIN; /* a foreign thread cannot become main */
	template = allocm();
	err = siginit();
	if (err)
		return -EAGAIN;
	/* Before there is another thread: beside one, both wait for all CPUs to have
	 * passed through the kernel, 10 ms each. */
	RAW(__NR_membarrier, MEMBARRIER_REGISTER_PRIVATE_EXPEDITED, 0);
	asymmetric = barrierall();
	netpollstart();
	err = startthread(schedtemplate, template);
	if (!err)
		err = initm0();
	if (err)
		return -EAGAIN;
	corehooks.mstate_move(gp->sched.fs, m0.g0->sched.fs);
	sched.starttime = nanotime();
	procresize(options.maxprocs ? (uint32_t)options.maxprocs : cpucount());
	m0.sigmask = 0;
	RAW(__NR_rt_sigprocmask, 0, NULL, &m0.sigmask, 8);
	gp->sigmask = m0.sigmask;
	sigmaskcount(gp->sigmask, 1);
	sched.ng = 1;
	gp->foreign = false;
	m0.curg = gp;
	sched.maing = gp;
	sigadopt(&m0, gp);
	accountmain(gp);
	lock(&sched.lock);
	acquirep(&m0, pidleget());
	sched.wantspare = 1;
	unlock(&sched.lock);
	store_release(&schedstarted, true);
	err = startthread(sysmon, allocm());
	if (err)
		throw("cannot start sysmon (error %d)", -err);
	/* it makes its file table while the program's is nobody else's */
	while (!load_acquire(&sched.sysmontid))
		futexsleep(&sched.sysmontid, 0, NEVER);
	notewakeup(&sched.templatenote);
	if (sigkernel(gp->sigmask) != gp->sigmask)
		gsigmask(0, &(uint64_t){ 0 }, NULL); /* SIGPREEMPT is let in */
	return 0;
}

/* ---- fork ---------------------------------------------------------------------------- */

static uint64_t nginit(void)
{
	uint64_t n = READ_ONCE(sched.nginit);

	for (uint32_t i = 0; i < MAXP && allp[i]; i++)
		n += READ_ONCE(allp[i]->nginit);
	return n;
}

void schedfork(void)
{
	uint32_t idgen = sched.idgen;
	uint64_t begun = nginit();
	struct g *gp;

	stoplock.key = 0;
	stackfork();
	gsfork();
	preemptfork();
	/* a thread that was no G becomes the first one, see needm */
	gp = tlsg ? tlsg : gbyid(1);
	if (!gp)
		throw("schedfork: out of memory");
	sched = (struct schedt){ .idgen = idgen,
				 .nginit = begun,
				 .ghosts = idgen + 1,
				 .heir = gp };
	asymmetric = false;
	semainit();
	netpollfork();
	for (uint32_t i = 0; i < MAXP && allp[i]; i++) {
		allp[i] = NULL; /* its memory is not worth the locks */
	}
	m0 = (struct m){ .pstate = PS_FOREIGN, .tid = gettid_raw(),
			 .procfd = -1, .curg = gp };
	gp->sched.m = &m0;
	gp->foreign = true;
	gp->unwire = false;
	gp->nwired = 0;
	gp->native = gp->kept = false;
	gp->flags &= ~GF_ACCOUNT;
	gp->waitaddr = 0;
	gp->timer.idx = 0;
	gp->side = NULL;
	gp->flags &= ~GF_SIDE;
	if (!tlsg)
		gp->alt = (struct sigalt){ 0 }; /* the parent's main thread's */
	schedstarted = false;
	sigfork(gp);
}

void schedcounts(struct schedcounts *c)
{
	c->preempts = READ_ONCE(sched.npreempt);
	c->declared = READ_ONCE(sched.nretaken[TAKEN_DECLARED]);
	c->unseen = READ_ONCE(sched.nretaken[TAKEN_UNSEEN]);
	c->maxwait = READ_ONCE(sched.maxwait);
	c->gs = nginit();
	c->ms = sched.nm + 1;
	c->ps = sched.gomaxprocs;
}
