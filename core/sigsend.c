/* sigsend.c - signals for one G, and who gets those for the process.
 *
 * For one G. gsigsend queues it on the G (sigq, sigpend) and ends its wait, or pokes
 *      its M with the same signal (si_code POKE), so that the kernel interrupts or
 *      restarts a system call as the program's flags say. Whoever runs the G next
 *      sees GF_SIGNAL. A frame is never made up: a pending signal is raised on the M
 *      that runs the G, and the kernel builds it (signal.c).
 * From the kernel. What waits on a kernel thread for the G that runs there is queued on
 *      the G before that leaves (sigadopt, sigtake); at an exec it goes back.
 * Invariants: under siglock sigpend has the bit of each signal in sigq.
 * Order: gsigsend sets sigpend, then (membarrier) reads oncpu; gswitch stores oncpu,
 *      then afterswitch reads flags. gsigmask stores sigmask, then (fence) reads
 *      sigpend; gsigsend the reverse.
 * Locks: siglock.
 */
#include "core/signal.h"
#include <errno.h>

#define SENT_MAX 100000000l /* ns: see gsigsent */

struct signode {
	struct signode *next;
	int sig;
	bool shared; /* was sent to the process: merges with its like only, and is
		      * the process's again if the G exits */
	siginfo_t info;
};

static struct signode *freenodes; /* by siglock */
static uint32_t nqueued;	  /* nodes in use; by siglock */
static uint32_t arrived[NSIG_ + 1]; /* see gsigsent */
static bool everkept;		    /* see keep */

/* ---- queues of signals for one G ------------------------------------------------- */

/* Holds siglock. */
static struct signode *nodeget(void)
{
	struct signode *n = freenodes;

	if (n)
		freenodes = n->next;
	else
		n = persistentalloc(sizeof(*n));
	return n;
}

static void nodeput(struct signode *n)
{
	nqueued--;
	n->next = freenodes;
	freenodes = n;
}

/* Take the oldest of these signals off gp. Holds siglock. 0: none. */
int sigdequeue(struct g *gp, uint64_t set, siginfo_t *info)
{
	struct signode **link = &gp->sigq, *n;
	uint64_t left = 0;
	int sig = 0, best = 0;

	/* lowest number first, as the kernel does, then oldest */
	for (n = gp->sigq; n; n = n->next)
		if ((BIT(n->sig) & set) && (!best || n->sig < best))
			best = n->sig;
	while ((n = *link)) {
		if (n->sig == best && !sig) {
			sig = best;
			*info = n->info;
			*link = n->next;
			nodeput(n);
			continue;
		}
		left |= BIT(n->sig);
		link = &n->next;
	}
	__atomic_store_n(&gp->sigpend, left, __ATOMIC_SEQ_CST);
	return sig;
}

/* One that gp does not block waits for it. */
bool sigready(struct g *gp)
{
	return (__atomic_load_n(&gp->sigpend, __ATOMIC_SEQ_CST) &
		~READ_ONCE(gp->sigmask)) != 0;
}

/* Keep GF_SIGNAL in step. Owner, or under siglock: a look after the clear, since both
 * can at once. The flag pairs with afterswitch's look, after gswitch's store of
 * oncpu. */
void sigsetflag(struct g *gp)
{
	if (!sigready(gp))
		__atomic_fetch_and(&gp->flags, ~GF_SIGNAL, __ATOMIC_SEQ_CST);
	if (sigready(gp))
		__atomic_fetch_or(&gp->flags, GF_SIGNAL, __ATOMIC_SEQ_CST);
}

static cold void flush(struct g *gp)
{
	struct signode *n, all = { 0 };

	for (;;) {
		lock(&siglock);
		n = gp->sigq;
		if (n) {
			gp->sigq = n->next;
			all = *n;
			nodeput(n);
		} else {
			__atomic_store_n(&gp->sigpend, 0, __ATOMIC_SEQ_CST);
			sigsetflag(gp);
		}
		unlock(&siglock);
		if (!n)
			return;
		if (all.shared)
			RAW(__NR_rt_sigqueueinfo, RAW(__NR_gettid), all.sig,
			    &all.info);
	}
}

/* gp has exited, or a new thread begins on it: what it was to handle for the process is
 * the process's again. Whoever adds to gp's queue looks at its status afterwards, so
 * that one of the two finds it. gp's M, or that of who adds; acquired. */
void sigflush(struct g *gp)
{
	if (unlikely(READ_ONCE(gp->sigpend)))
		flush(gp);
}

/* Standard signals merge. Holds siglock. */
static bool isqueued(const struct g *gp, int sig, bool shared)
{
	const struct signode *n = gp->sigpend & BIT(sig) ? gp->sigq : NULL;

	while (n && (n->sig != sig || n->shared != shared))
		n = n->next;
	return n;
}

/* One that the kernel had for the process has got where it was to go. */
void sigarrived(int sig)
{
	xadd(&arrived[sig], 1); /* after the queue: pairs with gsigsent */
}

static bool enqueue(struct g *gp, int sig, const siginfo_t *info, bool shared)
{
	struct signode *n, **link;

	if (sig < 32 && isqueued(gp, sig, shared))
		return true;
	n = nodeget();
	if (!n)
		return false;
	sigfirstqueued(sig);
	n->next = NULL;
	n->sig = sig;
	n->shared = shared;
	n->info = *info;
	for (link = &gp->sigq; *link; link = &(*link)->next)
		;
	*link = n;
	nqueued++;
	__atomic_fetch_or(&gp->sigpend, BIT(sig), __ATOMIC_SEQ_CST);
	sigsetflag(gp);
	return true;
}

/* Add to gp's queue. Holds siglock. False: no memory. */
bool sigenqueue(struct g *gp, int sig, const siginfo_t *info, bool shared)
{
	bool ok = enqueue(gp, sig, info, shared);

	if (shared)
		sigarrived(sig);
	return ok;
}

/* Who keeps a SIGPREEMPT for the process: all block it, but our kernel threads do not, so
 * it is not the kernel's to keep. Holds siglock. */
static struct g *keeper(void)
{
	for (uint32_t id = 1;
	     READ_ONCE(everkept) && id <= READ_ONCE(sched.idgen) + 1; id++) {
		struct g *gp = gliving(id);

		if (gp && (READ_ONCE(gp->sigmask) & BIT(SIGPREEMPT)) &&
		    isqueued(gp, SIGPREEMPT, true))
			return gp;
	}
	return NULL;
}

/* Something was taken out of gp's queue. Holds siglock. */
static void requeued(struct g *gp)
{
	uint64_t left = 0;

	for (struct signode *n = gp->sigq; n; n = n->next)
		left |= BIT(n->sig);
	__atomic_store_n(&gp->sigpend, left, __ATOMIC_SEQ_CST);
	sigsetflag(gp);
}

/* gp takes in what others keep for the process, if any. */
void sigkept(struct m *mp, struct g *gp)
{
	struct signode **link, *n;
	struct g *from;

	if (!__atomic_load_n(&everkept, __ATOMIC_SEQ_CST))
		return;
	mp->locks++;
	lock(&siglock);
	while ((from = keeper()) && from != gp) {
		for (link = &from->sigq; (n = *link);) {
			if (n->sig != SIGPREEMPT || !n->shared) {
				link = &n->next;
				continue;
			}
			sigenqueue(gp, n->sig, &n->info, true);
			*link = n->next;
			nodeput(n);
		}
		requeued(from);
	}
	unlock(&siglock);
	mp->locks--;
}

/* Those that wait for the caller, also as one of the process. */
uint64_t gsigpending(void)
{
	uint64_t set = __atomic_load_n(&getg()->sigpend, __ATOMIC_SEQ_CST);
	struct m *mp = acquirem();

	lock(&siglock);
	if (keeper())
		set |= BIT(SIGPREEMPT);
	unlock(&siglock);
	releasem(mp);
	return set;
}

/* sig is ignored from now on: so is what waits. Holds siglock. */
void sigdiscard(int sig)
{
	siginfo_t info;

	for (uint32_t id = 1; nqueued && id <= READ_ONCE(sched.idgen) + 1;
	     id++) {
		struct g *gp = gliving(id);

		while (gp && (READ_ONCE(gp->sigpend) & BIT(sig)))
			sigdequeue(gp, BIT(sig), &info);
	}
}

/* ---- what the kernel holds for this thread --------------------------------------- */

/* Standard signals merge: one that sendon has sent to this thread is lost in a poke that
 * was pending there, and then the poke is both. */
bool sigispoke(struct m *mp, int sig, siginfo_t *info)
{
	bool poke = info->si_code == POKE;
	siginfo_t *saved;

	if (likely(!mp || !(mp->resent & BIT(sig))))
		return poke;
	mp->resent &= ~BIT(sig);
	if (!poke)
		return false;
	saved = (siginfo_t *)mp->resentinfo;
	if (saved->si_signo == sig) {
		*info = *saved;
	} else { /* another one was sent on since */
		*info = (siginfo_t){ 0 };
		info->si_signo = sig;
	}
	mp->sigwork = 1; /* as after a poke */
	return false;
}

/* One of what is pending for this kernel thread becomes gp's, its own before what is the
 * process's. False: there is none. */
static bool onefromkernel(struct g *gp, uint64_t set, bool shared)
{
	static const long zero[2];
	siginfo_t info;
	int sig = (int)RAW(__NR_rt_sigtimedwait, &set, &info, zero, 8);

	if (sig > 0 && !sigispoke(gp->sched.m, sig, &info)) { /* gp has that one */
		lock(&siglock);
		sigenqueue(gp, sig, &info, shared);
		unlock(&siglock);
	}
	return sig > 0;
}

static void fromkernel(struct g *gp, uint64_t set, bool shared)
{
	while (onefromkernel(gp, set, shared))
		;
}

/* What waits for this kernel thread alone; only /proc tells it from the process's. 0 also
 * where there is no /proc: it stays there. */
static uint64_t ownpending(void)
{
	static const char field[] = "\nSigPnd:\t";
	char text[4096], *s = text;
	uint64_t set = 0;
	int fd = (int)RAW(__NR_openat, -100, "/proc/thread-self/status",
			  O_RDONLY_CLOEXEC);
	long n = 0;

	if (fd >= 0) {
		n = RAW(__NR_read, fd, text, sizeof(text) - 1);
		RAW(__NR_close, fd);
	}
	text[n > 0 ? n : 0] = 0;
	for (size_t k = 0; *s && k < sizeof(field) - 1; s++)
		k = *s == field[k] ? k + 1 : *s == field[0];
	for (; *s && *s != '\n'; s++)
		set = set << 4 | (uint64_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
	return set;
}

/* gp is main's from now on, and may leave this kernel thread: what it has raised, and
 * blocks, goes along. One of each is taken before the next look: more of the same may be
 * the process's. */
void sigadopt(struct m *mp, struct g *gp)
{
	bool got = gp->sigmask != 0;

	mp->locks++;
	while (got) {
		uint64_t set = ownpending() & gp->sigmask;

		got = set != 0;
		for (; set && got; set &= set - 1)
			got = onefromkernel(gp, set & -set, false);
	}
	/* and the process's SIGPREEMPT, which our kernel threads let in: what one of them has
	 * taken and not passed on yet nobody sees */
	while ((gp->sigmask & BIT(SIGPREEMPT)) &&
	       onefromkernel(gp, BIT(SIGPREEMPT), true))
		WRITE_ONCE(everkept, true); /* there is no other G yet */
	mp->locks--;
}

/* gp has not asked to leave its M: what a system call of its has raised and it blocks
 * (a write that nobody reads) waits on this kernel thread, and must go along. */
void sigtake(struct g *gp)
{
	uint64_t set = gp->sigmask & (BIT(SIGPIPE) | BIT(SIGXFSZ));

	if (set)
		fromkernel(gp, set, false);
}

/* These wait for the process, if any; gp has them now. See sigopen. */
void sigclaim(struct m *mp, struct g *gp, uint64_t set)
{
	mp->locks++;
	fromkernel(gp, set, true);
	mp->locks--;
}

/* ---- sending --------------------------------------------------------------------- */

static int poke(struct m *mp, int sig)
{
	siginfo_t info = { 0 };

	info.si_signo = sig;
	info.si_code = POKE;
	return (int)RAW(__NR_rt_tgsigqueueinfo, RAW(__NR_getpid), mp->tid, sig,
			&info);
}

/* Send sig to mp's kernel thread, marked as ours. */
int sigpoke(struct m *mp, int sig)
{
	int err = 0;

	if (sig != SIGPREEMPT)
		return poke(mp, sig);
	xadd(&sched.npoking, 1); /* pairs with nopokes */
	if (!READ_ONCE(mp->execing))
		err = poke(mp, sig);
	xadd(&sched.npoking, -1);
	return err;
}

/* gp has a new signal: let it have it where it is. mp is the caller's, acquired. */
static void alert(struct m *mp, struct g *gp, int sig)
{
	struct m *to;

	if (gp == curg()) {
		mp->sigwork = 1;
		return;
	}
	if (ginterrupted(mp, gp, INT_SIGNAL))
		return;
	/* its fence pairs with gswitch, see the top; one that waits for sig blocks it, and
	 * looks before it sleeps */
	to = goncpu(gp);
	if (to && !(READ_ONCE(gp->sigmask) & BIT(sig)))
		sigpoke(to, sig);
}

/* Main, or the caller, lets sig in and there is a handler for it. */
static bool letsin(const struct g *gp, int sig)
{
	return gp && READ_ONCE(gp->status) != Gdead &&
	       !(READ_ONCE(gp->sigmask) & BIT(sig));
}

/* The default action, of the process: in the thread of the caller, if that is meant. */
static void senddefault(bool here, int sig)
{
	if (here || (BIT(sig) & STOPS)) {
		sigdefaulthere(sig);
		return;
	}
	sigkernelsdefault(sig);
	RAW(__NR_kill, RAW(__NR_getpid), sig);
}

/* The default action dumps a core, which is to tell of gp: it meets the signal as it
 * would meet one that has a handler (entersbydefault). */
static bool dumpsthere(struct g *gp, int sig, bool shared)
{
	return !shared && gp != curg() && (BIT(sig) & DUMPS);
}

int sigsend(struct g *gp, int sig, const void *info, bool shared)
{
	struct m *mp = acquirem();
	uint64_t bit = BIT(sig);
	bool ok;
	void *h;

	lock(&siglock);
	h = sigdisposition(sig);
	if (!(READ_ONCE(gp->sigmask) & bit) && !ishandler(h) &&
	    (h || !dumpsthere(gp, sig, shared))) {
		/* default: of the process; ignored: nothing */
		if (!h && !(bit & IGNORED))
			senddefault(!shared && gp == curg(), sig);
		unlock(&siglock);
		sigarrived(sig);
		releasem(mp);
		return 0;
	}
	ok = sigenqueue(gp, sig, info, shared);
	unlock(&siglock);
	/* seq_cst: pairs with gsigmask's store and look at sigpend */
	if (ok && (!(__atomic_load_n(&gp->sigmask, __ATOMIC_SEQ_CST) & bit) ||
		   (READ_ONCE(gp->sigwaits) & bit)))
		alert(mp, gp, sig);
	if (unlikely(READ_ONCE(gp->status) == Gdead))
		sigflush(gp);
	releasem(mp);
	return ok ? 0 : -EAGAIN;
}

int gsigsend(struct g *gp, int sig, const void *info)
{
	return sigsend(gp, sig, info, false);
}

/* Who gets sig, sent by the caller to the process: NULL if neither lets it in. */
static struct g *targetof(int sig)
{
	struct g *gp = getg();

	return letsin(sched.maing, sig) ? sched.maing :
	       letsin(gp, sig)		? gp :
					  NULL;
}

/* The kernel or a handler of the program has it in hand otherwise. */
static bool handledhere(int sig)
{
	return sig >= 1 && sig <= NSIG_ && (sighandled() & BIT(sig)) &&
	       sigkernelhandles(sig);
}

bool gsigkill(int sig, const void *info)
{
	struct g *to = sig >= 1 && sig <= NSIG_ ? targetof(sig) : NULL;
	struct m *mp;

	if (sig == SIGPREEMPT && !to) { /* never the kernel's to keep */
		mp = acquirem();
		sigdispatch(mp, sig, (void *)(uintptr_t)info);
		releasem(mp);
		return true;
	}
	if (!handledhere(sig))
		return false;
	if (to)
		return sigsend(to, sig, info, true) == 0;
	sigsettle(BIT(sig)); /* a handler's mask does not wait for the receiver */
	return false;
}

uint32_t gsigarrived(int sig)
{
	return handledhere(sig) ?
		       __atomic_load_n(&arrived[sig], __ATOMIC_SEQ_CST) :
		       0;
}

/* What the kernel still has of sig becomes to's. */
static void takeone(struct m *mp, struct g *to, int sig)
{
	static const long zero[2];
	uint64_t info[SIGINFO_SIZE / 8], set = BIT(sig);
	long r = RAW(__NR_rt_sigtimedwait, &set, info, zero, 8);

	if (r > 0 && sigispoke(mp, sig, (siginfo_t *)info))
		mp->sigwork = 1; /* the caller still has that one */
	else if (r > 0)
		sigsend(to, sig, info, true);
}

/* The caller lets sig in, so some M that did, too, or the receiver has it in hand if the
 * kernel has not: it will count it. Unless the program takes signals in by a file, or by
 * threads that we do not know: so not for ever. */
void gsigsent(int sig, uint32_t before)
{
	struct g *to = handledhere(sig) ? targetof(sig) : NULL;
	int64_t end = nanotime() + SENT_MAX;
	struct m *mp;
	bool here;

	while (to) {
		mp = acquirem();
		takeone(mp, to, sig);
		here = __atomic_load_n(&arrived[sig], __ATOMIC_SEQ_CST) != before;
		/* what another M has queued runs at the end of this, not by its poke */
		if (READ_ONCE(curg()->sigpend))
			mp->sigwork = 1;
		releasem(mp);
		if (here || to != getg() || nanotime() > end)
			return;
		usleep_raw(20);
	}
}

/* ---- exec ------------------------------------------------------------------------ */

/* A SIGPREEMPT of ours that waits for this thread would be the new program's. All is
 * blocked. One that is not ours becomes gp's. */
static void nopokes(struct m *mp, struct g *gp)
{
	__atomic_store_n(&mp->execing, true, __ATOMIC_SEQ_CST);
	/* with what they saw before; one may be what this thread interrupts */
	for (int i = 0;
	     i < 100 && __atomic_load_n(&sched.npoking, __ATOMIC_SEQ_CST); i++)
		usleep_raw(20);
	fromkernel(gp, BIT(SIGPREEMPT), true);
}

uint32_t gsigexec(void)
{
	struct m *mp = acquirem();
	struct g *gp = curg();
	struct signode **link = &gp->sigq, *n;
	uint64_t all = MASK_ALL & ~UNBLOCKABLE & ~FAULTS;
	uint32_t given = 0;
	long tid = RAW(__NR_gettid);

	sighandon(true);
	RAW(__NR_rt_sigprocmask, SETMASK, &all, NULL, 8);
	nopokes(mp, gp);
	sigkept(mp, gp);
	gp->exactmask = true;
	RAW(__NR_rt_sigprocmask, SETMASK, &gp->sigmask, NULL, 8);
	lock(&siglock);
	while ((n = *link)) {
		if (!(gp->sigmask & BIT(n->sig))) {
			link = &n->next;
			continue;
		}
		/* other threads let SIGPREEMPT in */
		if (n->shared && n->sig != SIGPREEMPT)
			RAW(__NR_rt_sigqueueinfo, tid, n->sig, &n->info);
		else if (RAW(__NR_rt_tgsigqueueinfo, RAW(__NR_getpid), tid,
			     n->sig, &n->info) == 0)
			given++;
		*link = n->next;
		nodeput(n);
	}
	requeued(gp);
	unlock(&siglock);
	releasem(mp);
	return given;
}

/* The kernel gives a thread's own before the process's. */
void gsigstay(uint32_t given)
{
	static const long zero[2];
	struct m *mp = acquirem();
	struct g *gp = curg();
	uint64_t set = gp->sigmask, kernels = sigkernel(set);
	siginfo_t info;
	int sig;

	while (given && (sig = (int)RAW(__NR_rt_sigtimedwait, &set, &info, zero,
					8)) > 0) {
		if (sigispoke(mp, sig, &info))
			continue;
		given--;
		lock(&siglock);
		sigenqueue(gp, sig, &info, sig == SIGPREEMPT);
		unlock(&siglock);
	}
	WRITE_ONCE(mp->execing, false);
	gp->exactmask = false;
	RAW(__NR_rt_sigprocmask, SETMASK, &kernels, NULL, 8);
	sighandon(false);
	releasem(mp);
}

void gsigvfork(bool begins)
{
	struct m *mp = acquirem();
	struct g *gp = curg();
	uint64_t mask = begins ? gp->sigmask : sigkernel(gp->sigmask);

	gp->exactmask = begins; /* also when a handler returns meanwhile */
	if (gp->sigmask & BIT(SIGPREEMPT))
		RAW(__NR_rt_sigprocmask, SETMASK, &mask, NULL, 8);
	releasem(mp);
}

void gsigspawn(bool begins)
{
	struct m *mp = acquirem();

	gsigvfork(begins);
	sighandon(begins);
	releasem(mp);
}

/* ---- what sysmon takes in for the process ---------------------------------------- */

/* A waiter takes one signal a wait. Holds siglock. */
static uint64_t wanted(const struct g *gp)
{
	return READ_ONCE(gp->sigpend) & gp->sigwaits ? 0 : gp->sigwaits;
}

/* What sysmon should take in: what some G lets in that has a handler, and what some
 * G waits for. */
uint64_t sigwant(struct m *mp, uint64_t blocked)
{
	uint64_t want;

	mp->locks++;
	lock(&siglock);
	want = sighandled() & ~blocked;
	for (struct g *gp = sched.sigwaiters; gp; gp = gp->sigwaitnext)
		want |= wanted(gp);
	unlock(&siglock);
	mp->locks--;
	return want;
}

/* One that waits for sig has it now. Holds siglock. */
static struct g *towaiter(int sig, void *info)
{
	struct g *to = sched.sigwaiters;

	while (to &&
	       !((wanted(to) & BIT(sig)) && sigenqueue(to, sig, info, true)))
		to = to->sigwaitnext;
	return to;
}

static bool alive(const struct g *gp)
{
	uint32_t s = gp ? READ_ONCE(gp->status) : Gdead;

	return s != Gdead && s != Gidle;
}

/* The first G that lets sig in, main before others. */
static struct g *wholetsin(int sig)
{
	for (uint32_t id = 1; id <= READ_ONCE(sched.idgen) + 1; id++) {
		struct g *gp = gliving(id);

		if (alive(gp) &&
		    !(__atomic_load_n(&gp->sigmask, __ATOMIC_SEQ_CST) &
		      BIT(sig)))
			return gp; /* pairs with sigmaskrecord */
	}
	return NULL;
}

/* A SIGPREEMPT that all block. Holds siglock. */
static void keep(void *info)
{
	struct g *gp = sched.maing;

	for (uint32_t id = 1; !alive(gp) && id <= READ_ONCE(sched.idgen) + 1;
	     id++)
		gp = gliving(id);
	__atomic_store_n(&everkept, true, __ATOMIC_SEQ_CST);
	if (alive(gp))
		sigenqueue(gp, SIGPREEMPT, info, true);
}

/* sysmon has taken one that was for the process: to one that waits for it, else to one
 * that lets it in, else it waits on. */
void sigdispatch(struct m *mp, int sig, void *info)
{
	struct g *to, *gp = NULL;
	bool kept;

	mp->locks++;
	lock(&siglock);
	to = towaiter(sig, info);
	kept = !to && sig == SIGPREEMPT && !(gp = wholetsin(sig));
	if (kept)
		keep(info);
	unlock(&siglock);
	if (to) {
		alert(mp, to, sig);
		if (unlikely(READ_ONCE(to->status) == Gdead))
			sigflush(to);
	}
	mp->locks--;
	if (to || (sig != SIGPREEMPT && sigkernelignores(sig)))
		return;
	/* it has lost its handler since sysmon looked: the default is the kernel's */
	if (!gp && (sig == SIGPREEMPT || sigkernelhandles(sig)))
		gp = wholetsin(sig);
	if (gp && kept) { /* since then */
		sigkept(mp, gp);
		mp->locks++;
		alert(mp, gp, sig);
		mp->locks--;
	} else if (gp) {
		sigsend(gp, sig, info, true);
	} else if (!kept) {
		RAW(__NR_rt_sigqueueinfo, RAW(__NR_gettid), sig, info);
	}
}

/* In a fork child: gp's own pending signals are the parent's. */
void sigsendfork(struct g *gp)
{
	freenodes = NULL; /* may be half changed; not worth more */
	nqueued = 0;
	everkept = false;
	gp->sigq = NULL;
	gp->sigpend = 0;
	gp->sigwaits = 0;
	gp->flags &= ~GF_SIGNAL;
}
