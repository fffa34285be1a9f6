/* signal.c - the one way in for signals: entry and delivery.
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
 * For one G. What is queued for it (sigsend.c) is raised on the M that runs it, and so
 *      enters here.
 * Invariants: the last word of an alternate stack's slot is the M whose stack it is.
 *      When a handler returns, the G's mask and alternate stack are what its frame says.
 * Locks: siglock, with m->locks > 0.
 */
#include "core/signal.h"
#include <errno.h>

#define REDZONE 128
#define SS_AUTODISARM_ (1 << 31)
#define SS_INVALID 0x40 /* rt_sigreturn: leave the alternate stack alone */
#define EFLAGS_HANDLER (~0x10500ul) /* without DF, TF, RF */

/* struct rt_sigframe of the kernel; the extended state is above. */
struct frame {
	const void *pretcode;
	struct ucontext uc;
	siginfo_t info;
};

static uintptr_t stacks, stacksend; /* alternate stacks of Ms: one region */
static size_t stackslot;	    /* a power of two */
static uint32_t nstacks;

/* ---- the alternate stacks of Ms -------------------------------------------------- */

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

/* ---- delivery -------------------------------------------------------------------- */

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

/* Let the default action happen to the thread that is about to return from sigentry, at
 * the interrupted instruction: a core tells of that, and by info why. */
static void bydefault(struct m *mp, int sig, const siginfo_t *info)
{
	long pid = RAW(__NR_getpid), tid = RAW(__NR_gettid);

	if (BIT(sig) & STOPS) {
		if (mp)
			mp->locks++;
		lock(&siglock);
		sigdefaulthere(sig);
		unlock(&siglock);
		if (mp)
			mp->locks--;
		return;
	}
	sigkernelsdefault(sig);
	if (!info || RAW(__NR_rt_tgsigqueueinfo, pid, tid, sig, info))
		RAW(__NR_tgkill, pid, tid, sig);
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
	a = sigactionfor(sig);
	mp->locks--;
	if (!ishandler(a.handler)) { /* changed meanwhile */
		if (!a.handler && !(BIT(sig) & IGNORED))
			bydefault(mp, sig, info);
		else
			sigrestartcall(uc); /* SIGPREEMPT, not from us */
		return;
	}
	if (!sigenter(mp, gp, &a, sig, info, uc)) {
		bydefault(mp, SIGSEGV, NULL); /* no room on its alternate stack */
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
	sigsetflag(gp); /* SIGURG may come before them, and move gp to another M */
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
	uc->uc_sigmask = gp->exactmask ? gp->sigmask : sigkernel(gp->sigmask);
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
		mask = gp->exactmask ? kernels : sigkernel(kernels);
	}
	RAW(__NR_rt_sigprocmask, SETMASK, &mask, NULL, 8);
	sigsetflag(gp);
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

/* ---- entry ----------------------------------------------------------------------- */

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
	struct m *mp = gp ? gp->sched.m : NULL;
	struct sigact a;
	uint64_t mask;

	if (mp)
		mp->locks++;
	a = sigactionfor(sig);
	if (mp)
		mp->locks--;
	if (!ishandler(a.handler)) {
		if (!a.handler && !(BIT(sig) & IGNORED))
			bydefault(mp, sig, info);
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
		sigenqueue(gp, sig, info, info->si_code != SI_TKILL);
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
	got = sigdequeue(gp, bit, own);
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
	bool poke = sigispoke(mp, sig, info), fault = isfault(sig, info);
	siginfo_t own;

	if (mp && mp->parked && !fault)
		whileparked(mp, sig, poke ? NULL : info);
	else if (mp && !fault && (mp->nosig || mp->locks)) {
		if (poke)
			mp->sigwork = 1;
		else
			sendon(mp, sig, info, uc);
	} else if (!poke) {
		sigarrived(sig);
		natively(sig, info, uc);
	} else if (mp && forhere(mp, gp, sig, &own)) {
		natively(sig, &own, uc);
	}
}

void sigentry(int sig, siginfo_t *info, struct ucontext *uc)
{
	struct m *mp = mofstack(uc);
	bool poke, fault;
	siginfo_t own;
	struct g *gp;

	if (!mp) {
		foreignentry(sig, info, uc);
		return;
	}
	poke = sigispoke(mp, sig, info);
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
		sigsend(sched.maing, sig, info, true);
		mp->locks--;
		sigrestartcall(uc);
		return;
	}
	sigarrived(sig);
	deliver(mp, gp, sig, info, uc);
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

/* ---- start and fork -------------------------------------------------------------- */

/* On the main thread, before Ms. */
int siginit(void)
{
	asm_sigleave = sigleave;
	preemptinit();
	if (!stacksinit())
		return -ENOMEM;
	sigactinit();
	return 0;
}

/* In a fork child: the alternate stack that this kernel thread has is m0's now. Its
 * own pending signals are the parent's. */
void sigfork(struct g *gp)
{
	stack_t ss;

	sigactfork();
	sigsendfork(gp);
	if (!sigstarted || RAW(__NR_sigaltstack, NULL, &ss))
		return;
	if ((uintptr_t)ss.ss_sp >= stacks && (uintptr_t)ss.ss_sp < stacksend) {
		*slotm((uintptr_t)ss.ss_sp) = &m0;
		m0.sigstack = (uintptr_t)ss.ss_sp - PAGE;
	}
}
