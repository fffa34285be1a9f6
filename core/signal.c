/* signal.c - one way in for signals, and signals for a given G.
 *
 * Entry. The kernel calls sigentry for every signal that the program handles, on the
 *      M's own alternate stack, everything blocked. The interrupted stack may be
 *      anything: a coroutine's of a few KB, or no stack at all (BEAM keeps the heap
 *      pointer in rsp). The M is found from the alternate stack's end: no TLS. A
 *      handler of the program then runs where it would run natively: its frame is
 *      copied to the G's stack, or to the alternate stack that the G has set, and
 *      sigentry's own return (rt_sigreturn) goes to the handler with the handler's
 *      mask, in one step. It returns to sigreturn_ (asm): sigleave, rt_sigreturn.
 * Who runs it. A signal for the process goes to the main G unless that blocks it, as
 *      the kernel prefers the main thread; then to whichever G the kernel hit. Ms
 *      without a G block all; sysmon takes signals with rt_sigtimedwait while it
 *      sleeps and hands them to a G that does not block them.
 * Sections. While m->locks > 0 nothing of the program runs: the signal is sent on to
 *      the process, and blocked here until the next switch. One that is meant for
 *      this thread (m is P-less, or a poke) waits for releasem.
 * For one G. gsigsend queues it on the G (sigq, sigpend) and ends its wait, or pokes
 *      its M with the same signal (si_code POKE), so that the kernel interrupts or
 *      restarts a system call as the program's flags say. Whoever runs the G next
 *      sees GF_SIGNAL. A frame is never made up: a pending signal is raised on the M
 *      that runs the G, and the kernel builds it.
 * Order: gsigsend sets sigpend, then (membarrier) reads oncpu; gswitch stores oncpu,
 *      then afterswitch reads flags. gsigmask stores sigmask, then (fence) reads
 *      sigpend; gsigsend the reverse.
 * Locks: siglock, only allocation inside; holders have m->locks > 0, so the entry never finds it
 *      held by what it interrupted.
 */
#include "core/runtime.h"
#include <asm/sigcontext.h>
#include <linux/signal.h>
#include <asm/ucontext.h> /* needs both */
#include <errno.h>

#define NSIG_ 64
#define BIT(sig) (1ul << ((sig)-1))
#define REDZONE 128
#define SETMASK 2
#define FAULTS (BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGBUS) | BIT(SIGFPE) | \
		BIT(SIGSEGV) | BIT(SIGSYS))
#define UNBLOCKABLE (BIT(SIGKILL) | BIT(SIGSTOP) | BIT(32) | BIT(33))
#define IGNORED (BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGURG) | BIT(SIGWINCH))
#define SS_AUTODISARM_ (1 << 31)
#define SS_INVALID 0x40 /* rt_sigreturn: leave the alternate stack alone */
#define EFLAGS_HANDLER (~0x10500ul) /* without DF, TF, RF */

/* struct rt_sigframe of the kernel; the extended state is above. */
struct frame {
	const void *pretcode;
	struct ucontext uc;
	siginfo_t info;
};

struct signode {
	struct signode *next;
	int sig;
	bool shared; /* was sent to the process: merges with its like only, and is
		      * the process's again if the G exits */
	siginfo_t info;
};

struct ksigaction {
	void *handler;
	unsigned long flags;
	const void *restorer;
	uint64_t mask;
};

bool sigstarted;
static struct mutex siglock;
static struct sigact actions[NSIG_ + 1]; /* by siglock */
static uint64_t handled;		 /* signals that enter here; by siglock */
static uint64_t poked;			 /* signals ever queued for a G; by siglock */
static uint64_t ignored;		 /* whatever their handlers; by siglock */
static uint32_t nignoring;		 /* callers of gsigignore; by siglock */
static struct signode *freenodes;	 /* by siglock */
static uint32_t nqueued;		 /* nodes in use; by siglock */
static uintptr_t stacks, stacksend;	 /* alternate stacks of Ms: one region */
static size_t stackslot;		 /* a power of two */
static uint32_t nstacks;

/* ---- the alternate stacks of Ms ------------------------------------------------------- */

/* The last word of a slot is the M. */
static struct m **slotm(uintptr_t sp)
{
	return (struct m **)((sp | (stackslot - 1)) + 1 - sizeof(void *));
}

static struct m *mofstack(const void *sp)
{
	uintptr_t p = (uintptr_t)sp;

	return p >= stacks && p < stacksend ? *slotm(p) : NULL;
}

static bool stacksinit(void)
{
	size_t size;

	if (stacks)
		return true;
	stackslot = 16384;
	while (stackslot < 3 * corehooks.sigframe + 8192)
		stackslot *= 2;
	size = stackslot * (MAXM + 64);
	stacks = (uintptr_t)sysreserve(size + stackslot);
	if (!stacks)
		return false;
	stacks = (stacks + stackslot - 1) & -stackslot;
	stacksend = stacks + size;
	return true;
}

/* Give the calling kernel thread, mp's, its alternate stack, for good. */
bool sigstackalloc(struct m *mp)
{
	uintptr_t lo;
	stack_t ss;

	if (mp->sigstack && mp == &m0)
		return true; /* a fork child's */
	lo = mp->sigstack; /* of its last kernel thread */
	if (!lo)
		lo = stacks + stackslot * xadd(&nstacks, 1);
	/* the first page stays a guard */
	if (lo >= stacksend ||
	    (!mp->sigstack && !sysopen(lo + PAGE, stackslot - PAGE)))
		return false;
	*slotm(lo) = mp;
	ss = (stack_t){ .ss_sp = (void *)(lo + PAGE),
			.ss_size = stackslot - PAGE - 64 };
	if (RAW(__NR_sigaltstack, &ss, NULL))
		return false;
	mp->sigstack = lo;
	return true;
}

bool gsigm(const void *sp, uintptr_t *tp, struct g **gp)
{
	struct m *mp = mofstack(sp);

	if (!mp)
		return false;
	*tp = mp->g0 ? mp->g0->sched.fs : 0;
	*gp = mp->curg;
	return true;
}

void gwithtp(uintptr_t tp, void (*fn)(long, long, long), long a, long b, long c)
{
	withtp(tp, fn, a, b, c);
}

/* ---- actions ----------------------------------------------------------------------------- */

static bool ishandler(const void *h)
{
	return (uintptr_t)h > 1;
}

static void sigentry(int sig, siginfo_t *info, struct ucontext *uc);

/* The default action, where it is to end or stop the process, of a signal that was
 * queued for a G before: a poke may still be on its way to an M that the G has left,
 * and must not do that. Holds siglock. */
static bool entersbydefault(int sig, const struct sigact *a)
{
	return !a->handler && (poked & BIT(sig) & ~IGNORED);
}

/* Tell the kernel. Holds siglock. */
static int install(int sig, const struct sigact *a)
{
	bool dfl = entersbydefault(sig, a);
	struct ksigaction k = { .handler = a->handler,
				.flags = a->flags,
				.mask = a->mask };

	if (ishandler(a->handler) || sig == SIGPREEMPT || dfl) {
		k.handler = (void *)sigentry;
		k.flags = (a->flags & (SA_NOCLDSTOP | SA_NOCLDWAIT |
				       SA_RESTART)) |
			  SA_SIGINFO | SA_ONSTACK;
		k.mask = ~0ul;
		if (sig == SIGPREEMPT || dfl)
			k.flags |= SA_RESTART;
	}
	k.flags |= SA_RESTORER;
	k.restorer = sigrestorer_;
	return (int)RAW(__NR_rt_sigaction, sig, &k, NULL, 8);
}

static void record(int sig, const struct sigact *a)
{
	uint64_t was = handled;

	actions[sig] = *a;
	actions[sig].mask &= ~(BIT(SIGKILL) | BIT(SIGSTOP));
	if (ishandler(a->handler) || entersbydefault(sig, a))
		handled |= BIT(sig);
	else
		handled &= ~BIT(sig);
	if (handled != was)
		sigchanged();
}

static void discard(int sig);

int gsigaction(int sig, const struct sigact *act, struct sigact *old)
{
	struct m *mp;
	int err = 0;

	if (sig < 1 || sig > NSIG_ || (act && (BIT(sig) & UNBLOCKABLE)))
		return -EINVAL;
	mp = acquirem();
	lock(&siglock);
	if (old)
		*old = actions[sig];
	if (act) {
		/* recorded first where a handler comes, last where one goes */
		if (ishandler(act->handler))
			record(sig, act);
		err = install(sig, act);
		record(sig, act);
		if ((uintptr_t)act->handler == 1 ||
		    (!act->handler && (BIT(sig) & IGNORED)))
			discard(sig);
	}
	unlock(&siglock);
	releasem(mp);
	return err;
}

/* Those that enter here. */
uint64_t sighandled(void)
{
	return READ_ONCE(handled);
}

/* ---- queues of signals for one G ---------------------------------------------------------- */

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
static int taken(struct g *gp, uint64_t set, siginfo_t *info)
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
static bool sigready(struct g *gp)
{
	return (__atomic_load_n(&gp->sigpend, __ATOMIC_SEQ_CST) &
		~READ_ONCE(gp->sigmask)) != 0;
}

/* Keep GF_SIGNAL in step. Owner, or under siglock: a look after the clear, since both
 * can at once. The flag pairs with afterswitch's look, after gswitch's store of
 * oncpu. */
static void setflag(struct g *gp)
{
	if (!sigready(gp))
		__atomic_fetch_and(&gp->flags, ~GF_SIGNAL, __ATOMIC_SEQ_CST);
	if (sigready(gp))
		__atomic_fetch_or(&gp->flags, GF_SIGNAL, __ATOMIC_SEQ_CST);
}

/* gp has exited, or a new thread begins on it: what it was to handle for the process is
 * the process's again. Whoever adds to gp's queue looks at its status afterwards, so
 * that one of the two finds it. gp's M, or that of who adds; acquired. */
void sigflush(struct g *gp)
{
	struct signode *n, all = { 0 };

	if (!READ_ONCE(gp->sigpend))
		return;
	for (;;) {
		lock(&siglock);
		n = gp->sigq;
		if (n) {
			gp->sigq = n->next;
			all = *n;
			nodeput(n);
		} else {
			__atomic_store_n(&gp->sigpend, 0, __ATOMIC_SEQ_CST);
			setflag(gp);
		}
		unlock(&siglock);
		if (!n)
			return;
		if (all.shared)
			RAW(__NR_rt_sigqueueinfo, RAW(__NR_gettid), all.sig,
			    &all.info);
	}
}

uint64_t gsigpending(void)
{
	return __atomic_load_n(&getg()->sigpend, __ATOMIC_SEQ_CST);
}

/* Send sig to mp's kernel thread, marked as ours. */
int sigpoke(struct m *mp, int sig)
{
	siginfo_t info = { 0 };

	info.si_signo = sig;
	info.si_code = POKE;
	return (int)RAW(__NR_rt_tgsigqueueinfo, RAW(__NR_getpid), mp->tid, sig,
			&info);
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
	if (!barrierall()) /* pairs with gswitch, see the top */
		fullfence();
	/* one that waits for sig blocks it, and looks before it sleeps */
	to = goncpu(gp);
	if (to && !(READ_ONCE(gp->sigmask) & BIT(sig)))
		sigpoke(to, sig);
}

/* Standard signals merge. Holds siglock. */
static bool isqueued(const struct g *gp, int sig, bool shared)
{
	const struct signode *n = gp->sigpend & BIT(sig) ? gp->sigq : NULL;

	while (n && (n->sig != sig || n->shared != shared))
		n = n->next;
	return n;
}

/* Add to gp's queue. Holds siglock. False: no memory. */
static bool queue(struct g *gp, int sig, const siginfo_t *info, bool shared)
{
	struct signode *n, **link;

	if (sig < 32 && isqueued(gp, sig, shared))
		return true;
	n = nodeget();
	if (!n)
		return false;
	if (!(poked & BIT(sig))) {
		poked |= BIT(sig);
		if (entersbydefault(sig, &actions[sig])) {
			install(sig, &actions[sig]);
			record(sig, &actions[sig]);
		}
	}
	n->next = NULL;
	n->sig = sig;
	n->shared = shared;
	n->info = *info;
	for (link = &gp->sigq; *link; link = &(*link)->next)
		;
	*link = n;
	nqueued++;
	__atomic_fetch_or(&gp->sigpend, BIT(sig), __ATOMIC_SEQ_CST);
	setflag(gp);
	return true;
}

/* sig is ignored from now on: so is what waits. Holds siglock. */
static void discard(int sig)
{
	siginfo_t info;

	for (uint32_t id = 1; nqueued && id <= READ_ONCE(sched.idgen) + 1;
	     id++) {
		struct g *gp = gliving(id);

		while (gp && (READ_ONCE(gp->sigpend) & BIT(sig)))
			taken(gp, BIT(sig), &info);
	}
}

/* While libc has the kernel ignore these, behind our back. A thread that ignores a
 * signal drops it; but our main kernel thread may sleep with all blocked, and then the
 * kernel keeps it: it must not meet the handler afterwards. */
void gsigignore(uint64_t set, bool on)
{
	static const long zero[2];
	struct m *mp;

	/* what came meanwhile is pending, or in the receiver's hands */
	if (!on) {
		while (RAW(__NR_rt_sigtimedwait, &set, NULL, zero, 8) > 0)
			;
		sigreceived();
	}
	mp = acquirem();
	lock(&siglock);
	nignoring += on ? 1 : -1u;
	ignored = nignoring ? set : 0;
	unlock(&siglock);
	releasem(mp);
}

/* libc's system() has the kernel ignore some for a while, behind our back. */
static bool kernelhandles(int sig)
{
	struct ksigaction k;

	return RAW(__NR_rt_sigaction, sig, NULL, &k, 8) == 0 &&
	       k.handler == (void *)sigentry;
}

/* Standard signals merge: one that sendon has sent to this thread is lost in a poke that
 * was pending there, and then the poke is both. */
static bool ispoke(struct m *mp, int sig, siginfo_t *info)
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

	if (sig > 0 && !ispoke(gp->sched.m, sig, &info)) { /* gp has that one */
		lock(&siglock);
		queue(gp, sig, &info, shared);
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

/* Let the kernel do what it does without a handler. */
static void kernelsdefault(int sig)
{
	struct ksigaction k = { .flags = SA_RESTORER,
				.restorer = sigrestorer_ };

	RAW(__NR_rt_sigaction, sig, &k, NULL, 8);
}

/* Main, or the caller, lets sig in and there is a handler for it. */
static bool letsin(const struct g *gp, int sig)
{
	return gp && READ_ONCE(gp->status) != Gdead &&
	       !(READ_ONCE(gp->sigmask) & BIT(sig));
}

static int send(struct g *gp, int sig, const void *info, bool shared)
{
	struct m *mp = acquirem();
	uint64_t bit = BIT(sig);
	bool ok;
	void *h;

	lock(&siglock);
	h = ignored & bit ? (void *)1 : actions[sig].handler;
	if (!(READ_ONCE(gp->sigmask) & bit) && !ishandler(h)) {
		/* default: of the process; ignored: nothing */
		if (!h && !(bit & IGNORED)) {
			kernelsdefault(sig);
			RAW(__NR_kill, RAW(__NR_getpid), sig);
		}
		unlock(&siglock);
		releasem(mp);
		return 0;
	}
	ok = queue(gp, sig, info, shared);
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
	return send(gp, sig, info, false);
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
	return sig >= 1 && sig <= NSIG_ && (READ_ONCE(handled) & BIT(sig)) &&
	       kernelhandles(sig);
}

bool gsigkill(int sig, const void *info)
{
	struct g *to;

	if (!handledhere(sig))
		return false;
	to = targetof(sig);
	if (to)
		return send(to, sig, info, true) == 0;
	sigsettle(BIT(sig)); /* a handler's mask does not wait for the receiver */
	return false;
}

void gsigsent(int sig)
{
	static const long zero[2];
	uint64_t info[SIGINFO_SIZE / 8], set = BIT(sig);
	struct g *to;
	struct m *mp;
	long r;

	if (!handledhere(sig) || !(to = targetof(sig)))
		return;
	mp = acquirem();
	r = RAW(__NR_rt_sigtimedwait, &set, info, zero, 8);
	if (r > 0 && ispoke(mp, sig, (siginfo_t *)info))
		mp->sigwork = 1; /* the caller still has that one */
	else if (r > 0)
		send(to, sig, info, true);
	releasem(mp);
	if (r <= 0)
		sigreceived();
}

uint32_t gsigexec(void)
{
	struct m *mp = acquirem();
	struct g *gp = curg();
	struct signode **link = &gp->sigq, *n;
	uint32_t given = 0;
	uint64_t left = 0;
	long tid = RAW(__NR_gettid);

	RAW(__NR_rt_sigprocmask, SETMASK, &gp->sigmask, NULL, 8);
	lock(&siglock);
	while ((n = *link)) {
		if (!(gp->sigmask & BIT(n->sig))) {
			left |= BIT(n->sig);
			link = &n->next;
			continue;
		}
		if (n->shared)
			RAW(__NR_rt_sigqueueinfo, tid, n->sig, &n->info);
		else if (RAW(__NR_rt_tgsigqueueinfo, RAW(__NR_getpid), tid,
			     n->sig, &n->info) == 0)
			given++;
		*link = n->next;
		nodeput(n);
	}
	__atomic_store_n(&gp->sigpend, left, __ATOMIC_SEQ_CST);
	setflag(gp);
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
		if (ispoke(mp, sig, &info))
			continue;
		given--;
		lock(&siglock);
		queue(gp, sig, &info, false);
		unlock(&siglock);
	}
	RAW(__NR_rt_sigprocmask, SETMASK, &kernels, NULL, 8);
	releasem(mp);
}

/* ---- delivery ----------------------------------------------------------------------------- */

/* Bytes of the extended state behind a frame; 0: none. */
static size_t xstatesize(const struct ucontext *uc)
{
	const struct _fpstate_64 *fp = (void *)uc->uc_mcontext.fpstate;

	if (!fp)
		return 0;
	return fp->sw_reserved.magic1 == FP_XSTATE_MAGIC1 ?
		       fp->sw_reserved.extended_size :
		       sizeof(*fp);
}

/* Copy the kernel's frame below top; NULL if it would go below low. info goes with it.
 * Returns the struct frame, whose ucontext is at frameuc(). */
void *framecopy(uintptr_t top, uintptr_t low, const struct ucontext *uc,
		const void *info)
{
	size_t xsize = xstatesize(uc);
	uintptr_t fp = (top - xsize) & -64ul;
	struct frame *f = (struct frame *)(((fp - sizeof(*f)) & -16ul) - 8);

	if ((uintptr_t)f < low)
		return NULL;
	if (xsize)
		__builtin_memcpy((void *)fp, (void *)uc->uc_mcontext.fpstate,
				 xsize);
	f->uc = *uc;
	f->uc.uc_mcontext.fpstate = xsize ? (void *)fp : NULL;
	if (info)
		f->info = *(const siginfo_t *)info;
	f->pretcode = sigreturn_;
	return f;
}

struct ucontext *frameuc(void *frame)
{
	return &((struct frame *)frame)->uc;
}

static bool onalt(const struct g *gp, uintptr_t sp)
{
	return gp->alt.size && sp - gp->alt.sp < gp->alt.size;
}

/* Where a handler's frame goes: *low is its limit, 0 if unknown. */
static uintptr_t handlerstack(const struct g *gp, const struct sigact *a,
			      uintptr_t sp, uintptr_t *low)
{
	bool on = onalt(gp, sp);

	*low = on ? gp->alt.sp : 0;
	if (!(a->flags & SA_ONSTACK) || on || !gp->alt.size)
		return sp - REDZONE;
	*low = gp->alt.sp;
	return gp->alt.sp + gp->alt.size;
}

static int altflags(const struct g *gp, uintptr_t sp)
{
	return !gp->alt.size ? SS_DISABLE :
			       (onalt(gp, sp) ? SS_ONSTACK : 0) |
				       (gp->alt.flags & SS_AUTODISARM_);
}

/* The action for sig, once: SA_RESETHAND. */
static struct sigact actionfor(int sig)
{
	struct sigact a, dfl = { 0 };

	lock(&siglock);
	a = actions[sig];
	if (ignored & BIT(sig)) {
		a.handler = (void *)1;
	} else if (ishandler(a.handler) && (a.flags & SA_RESETHAND)) {
		dfl.flags = a.flags;
		install(sig, &dfl);
		record(sig, &dfl);
	}
	unlock(&siglock);
	return a;
}

/* The same, to the thread that is about to return from sigentry. */
static void bydefault(int sig)
{
	kernelsdefault(sig);
	RAW(__NR_tgkill, RAW(__NR_getpid), RAW(__NR_gettid), sig);
}

/* Let the frame of sigentry return into a.handler(sig, info, uc), on gp's stack. */
bool sigenter(struct m *mp, struct g *gp, const struct sigact *a, int sig,
	      const void *info, struct ucontext *uc)
{
	struct sigcontext *sc = &uc->uc_mcontext;
	uintptr_t low, top;
	struct frame *f;
	uint64_t mask;

	sc->rip = lockm_restart(sc->rip); /* gp may come back on another M */
	top = handlerstack(gp, a, sc->rsp, &low);
	f = framecopy(top, low, uc, info);
	if (!f)
		return false;
	f->uc.uc_sigmask = gp->sigmask;
	f->uc.uc_link = NULL;
	f->uc.uc_stack = (stack_t){ .ss_sp = (void *)gp->alt.sp,
				    .ss_flags = altflags(gp, sc->rsp),
				    .ss_size = gp->alt.size };
	if (low && (gp->alt.flags & SS_AUTODISARM_))
		gp->alt = (struct sigalt){ 0 };
	mask = gp->sigmask | a->mask;
	if (!(a->flags & SA_NODEFER))
		mask |= BIT(sig);
	mask &= ~UNBLOCKABLE;
	sigmaskrecord(mp, gp, mask);
	uc->uc_sigmask = sigkernel(mask);
	sc->rip = (uintptr_t)a->handler;
	sc->rsp = (uintptr_t)f;
	sc->rdi = (unsigned)sig;
	sc->rsi = (uintptr_t)&f->info;
	sc->rdx = (uintptr_t)&f->uc;
	sc->rax = 0;
	sc->eflags &= EFLAGS_HANDLER;
	sc->fpstate = NULL; /* a handler begins with the initial state */
	return true;
}

/* Run the program's handler for sig next. */
static void deliver(struct m *mp, struct g *gp, int sig, const siginfo_t *info,
		    struct ucontext *uc)
{
	struct sigact a;

	mp->locks++;
	a = actionfor(sig);
	mp->locks--;
	if (!ishandler(a.handler)) { /* changed meanwhile */
		if (!a.handler && !(BIT(sig) & IGNORED))
			bydefault(sig);
		return;
	}
	if (!sigenter(mp, gp, &a, sig, info, uc)) {
		bydefault(SIGSEGV); /* no room on its alternate stack */
		return;
	}
	gp->nhandled++;
	if (!(a.flags & SA_RESTART))
		gp->norestart = true;
	__atomic_fetch_and(&gp->interrupted, ~INT_SIGNAL, __ATOMIC_RELAXED);
}

/* Have the kernel deliver, on mp, what is queued for gp and no longer blocked, as
 * soon as its mask allows. mp is acquired, or blocks all. */
void sigraise(struct m *mp, struct g *gp)
{
	uint64_t p = READ_ONCE(gp->sigpend) & ~gp->sigmask;

	if (!p)
		return;
	setflag(gp); /* SIGURG may come before them, and move gp to another M */
	for (; p; p &= p - 1)
		sigpoke(mp, __builtin_ctzl(p) + 1);
}

/* A handler has returned; uc is its frame, which rt_sigreturn reads next. All that
 * the handler may have changed there is taken over. */
static void sigleave(void *arg)
{
	struct ucontext *uc = arg;
	uint64_t all = MASK_ALL & ~UNBLOCKABLE & ~FAULTS;
	struct g *gp;
	struct m *mp;

	/* until rt_sigreturn, which sets the mask that is recorded here */
	RAW(__NR_rt_sigprocmask, SETMASK, &all, NULL, 8);
	gp = curg();
	mp = gp->sched.m;
	/* as rt_sigreturn does, whatever the handler has set meanwhile */
	gp->alt = (struct sigalt){ 0 };
	if (!(uc->uc_stack.ss_flags & SS_DISABLE))
		gp->alt = (struct sigalt){ (uintptr_t)uc->uc_stack.ss_sp,
					   uc->uc_stack.ss_size,
					   uc->uc_stack.ss_flags &
						   SS_AUTODISARM_ };
	uc->uc_stack.ss_flags = SS_INVALID;
	sigopen(mp, gp, uc->uc_sigmask & ~UNBLOCKABLE);
	sigmaskrecord(mp, gp, uc->uc_sigmask & ~UNBLOCKABLE);
	uc->uc_sigmask = sigkernel(gp->sigmask);
	fullfence(); /* pairs with gsigsend */
	sigraise(mp, gp);
}

/* Signals were put off, or have come for the G that runs now. They are raised here;
 * handlers run at the end of the call that lets them in. The kernel has until then, or
 * on from here, this mask. */
cold void sigreleaseas(uint64_t kernels)
{
	struct g *gp = curg();
	uint64_t mask = MASK_ALL & ~UNBLOCKABLE & ~FAULTS, was;
	struct m *mp = gp ? gp->sched.m : NULL;

	if (!gp || gp == mp->g0 || READ_ONCE(mp->locks))
		return; /* a scheduler, sysmon; a nested section */
	/* with all blocked gp stays on its M: the caller's is perhaps another */
	RAW(__NR_rt_sigprocmask, SETMASK, &mask, &was, 8);
	mp = gp->sched.m;
	mp->sigwork = 0;
	sigraise(mp, gp);
	if (mp->nosig) {
		mask = was;
	} else {
		mp->sigmask = gp->sigmask;
		mask = sigkernel(kernels);
	}
	RAW(__NR_rt_sigprocmask, SETMASK, &mask, NULL, 8);
	setflag(gp);
	if (READ_ONCE(gp->flags) & GF_ATTENTION)
		attend(ATTEND_BUSY);
}

/* releasem */
cold void sigrelease(void)
{
	struct g *gp = curg();

	if (gp)
		sigreleaseas(gp->sigmask);
}

/* ---- entry ----------------------------------------------------------------------------------- */

/* Not here: send it on to the process, and block it until the next switch. The
 * kernel lets a thread send anything to itself; the group is behind its number. */
static void sendon(struct m *mp, int sig, siginfo_t *info, struct ucontext *uc)
{
	uc->uc_sigmask |= BIT(sig);
	mp->sigmask = MASK_UNKNOWN;
	if (mp->locks)
		mp->sigwork = 1; /* until the section ends, at the latest */
	if (READ_ONCE(mp->pstate) == PS_FOREIGN && !mp->nosig) {
		/* it may be for this very thread */
		if (sig < 32) {
			mp->resent |= BIT(sig);
			*(siginfo_t *)mp->resentinfo = *info;
		}
		RAW(__NR_rt_tgsigqueueinfo, RAW(__NR_getpid), mp->tid, sig,
		    info);
	} else {
		RAW(__NR_rt_sigqueueinfo, RAW(__NR_gettid), sig, info);
	}
}

/* On a kernel thread that is not core's: as the kernel would have done. */
static void natively(int sig, siginfo_t *info, struct ucontext *uc)
{
	struct g *gp = curg();
	struct sigact a;
	uint64_t mask;

	if (gp)
		((struct m *)gp->sched.m)->locks++;
	a = actionfor(sig);
	if (gp)
		((struct m *)gp->sched.m)->locks--;
	if (!ishandler(a.handler)) {
		if (!a.handler && !(BIT(sig) & IGNORED))
			bydefault(sig);
		return;
	}
	mask = uc->uc_sigmask | a.mask;
	if (!(a.flags & SA_NODEFER))
		mask |= BIT(sig);
	if (gp) {
		gp->nhandled++;
		gp->sigmask = mask;
	}
	RAW(__NR_rt_sigprocmask, SETMASK, &mask, NULL, 8);
	((void (*)(int, siginfo_t *, void *))a.handler)(sig, info, uc);
	if (gp)
		gp->sigmask = uc->uc_sigmask;
}

/* The G of mp sleeps on mp's note, which holds no lock: end its wait. releasem
 * raises what is queued. */
static void whileparked(struct m *mp, int sig, const siginfo_t *info)
{
	struct g *gp = mp->curg;

	if (!info && !sigready(gp)) {
		if (READ_ONCE(gp->flags) & GF_ATTENTION)
			corehooks.attention(ATTEND_PARKED);
		mp->sigwork = 1; /* and when the wait has ended */
		return;
	}
	if (info) {
		lock(&siglock);
		queue(gp, sig, info, info->si_code != SI_TKILL);
		unlock(&siglock);
	}
	ginterrupted(mp, gp, INT_SIGNAL);
}

/* Is what we sent, for gp, and not for one that ran here before? */
static bool forhere(struct m *mp, struct g *gp, int sig, siginfo_t *own)
{
	uint64_t bit = ~gp->sigmask & BIT(sig);
	int got;

	if (!(READ_ONCE(gp->sigpend) & bit))
		return false;
	mp->locks++;
	lock(&siglock);
	got = taken(gp, bit, own);
	unlock(&siglock);
	mp->locks--;
	return got != 0;
}

static bool isfault(int sig, const siginfo_t *info)
{
	return (BIT(sig) & FAULTS) && info->si_code > 0;
}

/* The main G should have it instead of gp. */
static bool formain(struct g *gp, int sig, const siginfo_t *info)
{
	struct g *maing = sched.maing;

	if (!maing || gp == maing || gp->foreign || info->si_code == SI_TKILL)
		return false;
	return READ_ONCE(maing->status) != Gdead &&
	       !(READ_ONCE(maing->sigmask) & BIT(sig));
}

/* On a kernel thread without an alternate stack of ours: one that core did not make,
 * or that never runs handlers. */
static void foreignentry(int sig, siginfo_t *info, struct ucontext *uc)
{
	struct g *gp = curg();
	struct m *mp = gp ? gp->sched.m : NULL;
	bool poke = ispoke(mp, sig, info), fault = isfault(sig, info);
	siginfo_t own;

	if (mp && mp->parked && !fault)
		whileparked(mp, sig, poke ? NULL : info);
	else if (mp && !fault && (mp->nosig || mp->locks)) {
		if (poke)
			mp->sigwork = 1;
		else
			sendon(mp, sig, info, uc);
	} else if (!poke) {
		natively(sig, info, uc);
	} else if (mp && forhere(mp, gp, sig, &own)) {
		natively(sig, &own, uc);
	}
}

static void sigentry(int sig, siginfo_t *info, struct ucontext *uc)
{
	struct m *mp = mofstack(uc);
	bool poke, fault;
	siginfo_t own;
	struct g *gp;

	if (!mp) {
		foreignentry(sig, info, uc);
		return;
	}
	poke = ispoke(mp, sig, info);
	fault = isfault(sig, info);
	if (mp->locks && !fault) {
		if (mp->parked)
			whileparked(mp, sig, poke ? NULL : info);
		else if (poke)
			mp->sigwork = 1;
		else
			sendon(mp, sig, info, uc);
		return;
	}
	gp = mp->curg;
	if (poke) {
		if (forhere(mp, gp, sig, &own))
			deliver(mp, gp, sig, &own, uc);
		else if (READ_ONCE(gp->flags) & GF_ATTENTION)
			attendinterrupt(mp, gp, uc);
		else if (sig == SIGPREEMPT && READ_ONCE(mp->preempt))
			preempt(mp, uc);
		else
			sigrestartcall(uc); /* that G has left */
		return;
	}
	/* libc's abort has let it in, by a call that we do not see */
	if (sig == SIGABRT && (gp->sigmask & BIT(sig)) &&
	    info->si_code == SI_TKILL && info->si_pid == RAW(__NR_getpid))
		sigmaskrecord(mp, gp, gp->sigmask & ~BIT(sig));
	if (!fault && (gp->sigmask & BIT(sig))) {
		if (sig == SIGPREEMPT) { /* never blocked here */
			mp->locks++; /* sigrelease is not for here */
			sigdispatch(mp, sig, info);
			mp->locks--;
		} else {
			sendon(mp, sig, info, uc); /* the mask was an old one */
		}
		return;
	}
	if (!fault && formain(gp, sig, info)) {
		mp->locks++;
		send(sched.maing, sig, info, true);
		mp->locks--;
		sigrestartcall(uc);
		return;
	}
	deliver(mp, gp, sig, info, uc);
}

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
	want = handled & ~blocked;
	for (struct g *gp = sched.sigwaiters; gp; gp = gp->sigwaitnext)
		want |= wanted(gp);
	unlock(&siglock);
	mp->locks--;
	return want;
}

/* sysmon has taken one that was for the process: to one that waits for it, else to
 * the first G that lets it in, main before others. */
void sigdispatch(struct m *mp, int sig, void *info)
{
	struct g *to, *gp = NULL;
	uint32_t s;

	mp->locks++;
	lock(&siglock);
	for (to = sched.sigwaiters; to; to = to->sigwaitnext)
		if ((wanted(to) & BIT(sig)) && queue(to, sig, info, true))
			break;
	unlock(&siglock);
	if (to) {
		alert(mp, to, sig);
		if (unlikely(READ_ONCE(to->status) == Gdead))
			sigflush(to);
	}
	mp->locks--;
	if (to || (sig != SIGPREEMPT && !kernelhandles(sig)))
		return;
	for (uint32_t id = 1; id <= READ_ONCE(sched.idgen) + 1; id++) {
		gp = gliving(id);
		s = gp ? READ_ONCE(gp->status) : Gdead;
		if (s != Gdead && s != Gidle &&
		    !(READ_ONCE(gp->sigmask) & BIT(sig)))
			break;
		gp = NULL;
	}
	if (gp)
		send(gp, sig, info, true);
	else if (sig == SIGPREEMPT)
		send(sched.maing, sig, info, true); /* never the kernel's to keep */
	else
		RAW(__NR_rt_sigqueueinfo, RAW(__NR_gettid), sig, info);
}

/* ---- waiting for signals ------------------------------------------------------------------------ */

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

	if (READ_ONCE(gp->sigpend) & set) {
		lock(&siglock);
		sig = taken(gp, set, info);
		unlock(&siglock);
		setflag(gp);
	}
	while (!sig) {
		long r = RAW(__NR_rt_sigtimedwait, &set, info, zero, 8);

		if (r == -EINTR ||
		    (r > 0 && ispoke(mp, (int)r, info)))
			continue;
		if (r <= 0)
			break;
		sig = (int)r;
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

uint32_t gsighandled(void)
{
	return getg()->nhandled;
}

bool gsigrestarts(void)
{
	return !getg()->norestart;
}

int gsigaltstack(const struct sigalt *ss, struct sigalt *old, uintptr_t sp)
{
	struct g *gp = getg();
	bool on = onalt(gp, sp);

	if (old)
		*old = (struct sigalt){ gp->alt.sp, gp->alt.size,
					altflags(gp, sp) };
	if (!ss)
		return 0;
	if (on && !(gp->alt.flags & SS_AUTODISARM_))
		return -EPERM;
	if ((ss->flags & ~SS_AUTODISARM_) & ~(SS_DISABLE | SS_ONSTACK) ||
	    (ss->flags & ~SS_AUTODISARM_) == (SS_DISABLE | SS_ONSTACK))
		return -EINVAL;
	if (ss->flags & SS_DISABLE) {
		gp->alt = (struct sigalt){ 0 };
		return 0;
	}
	if (ss->size < MINSIGSTKSZ)
		return -ENOMEM;
	gp->alt = *ss;
	return 0;
}

/* ---- start and fork -------------------------------------------------------------------------------- */

/* Adopt what the program has installed so far. On the main thread, before Ms. */
int siginit(void)
{
	asm_sigleave = sigleave;
	preemptinit();
	if (!stacksinit())
		return -ENOMEM;
	for (int sig = 1; sig <= NSIG_; sig++) {
		struct ksigaction k;
		struct sigact a;

		if ((BIT(sig) & UNBLOCKABLE) ||
		    RAW(__NR_rt_sigaction, sig, NULL, &k, 8))
			continue;
		if (k.handler == (void *)sigentry)
			continue; /* a fork child's: recorded */
		a = (struct sigact){ k.handler, k.mask,
				     k.flags & ~(unsigned long)SA_RESTORER };
		record(sig, &a);
		if (ishandler(a.handler) || sig == SIGPREEMPT)
			install(sig, &a);
	}
	sigstarted = true;
	return 0;
}

/* In a fork child: the alternate stack that this kernel thread has is m0's now. Its
 * own pending signals are the parent's. */
void sigfork(struct g *gp)
{
	stack_t ss;

	siglock.key = 0;
	freenodes = NULL; /* may be half changed; not worth more */
	nqueued = 0;
	nignoring = 0;
	ignored = 0;
	gp->sigq = NULL;
	gp->sigpend = 0;
	gp->sigwaits = 0;
	gp->flags &= ~GF_SIGNAL;
	if (!sigstarted || RAW(__NR_sigaltstack, NULL, &ss))
		return;
	if ((uintptr_t)ss.ss_sp >= stacks && (uintptr_t)ss.ss_sp < stacksend) {
		*slotm((uintptr_t)ss.ss_sp) = &m0;
		m0.sigstack = (uintptr_t)ss.ss_sp - PAGE;
	}
}
