/* sigact.c - what the program wants done with each signal.
 *
 * The kernel has sigentry (signal.c) for every signal that the program handles; the
 * program's own actions are here. Default actions stay the kernel's, but for signals
 * that were queued for a G before (entersbydefault).
 * Invariants: a signal that has a handler here enters by sigentry, but while libc has
 *      the kernel do otherwise for it (sigkernelhandles); handled tells which do.
 * Locks: siglock.
 */
#include "core/signal.h"
#include <errno.h>

struct ksigaction {
	void *handler;
	unsigned long flags;
	const void *restorer;
	uint64_t mask;
};

struct mutex siglock;
bool sigstarted;
static struct sigact actions[NSIG_ + 1]; /* all by siglock */
static uint64_t handled;		 /* signals that enter by sigentry */
static uint64_t poked;			 /* signals ever queued for a G */
static uint64_t ignored;		 /* whatever their handlers */
static uint32_t nignoring;		 /* callers of gsigignore */
static uint32_t nhanding;		 /* of sighandon */

/* The default action, where it is to end or stop the process, of a signal that was
 * queued for a G before: a poke may still be on its way to an M that the G has left,
 * and must not do that. Holds siglock. */
static bool entersbydefault(int sig, const struct sigact *a)
{
	return !a->handler && (poked & BIT(sig) & ~IGNORED);
}

/* It is ours as well, but while a program is started that is to inherit that it is
 * ignored. */
static bool preempts(int sig, const struct sigact *a)
{
	return sig == SIGPREEMPT && !(nhanding && (uintptr_t)a->handler == 1);
}

/* Tell the kernel. Holds siglock. */
static int install(int sig, const struct sigact *a)
{
	bool dfl = entersbydefault(sig, a);
	struct ksigaction k = { .handler = a->handler,
				.flags = a->flags,
				.mask = a->mask };

	if (ishandler(a->handler) || preempts(sig, a) || dfl) {
		k.handler = (void *)sigentry;
		k.flags = (a->flags & (SA_NOCLDSTOP | SA_NOCLDWAIT |
				       SA_RESTART)) |
			  SA_SIGINFO | SA_ONSTACK;
		k.mask = ~0ul;
		if (!ishandler(a->handler))
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
			sigdiscard(sig);
	}
	unlock(&siglock);
	releasem(mp);
	return err;
}

/* Those that enter by sigentry. */
uint64_t sighandled(void)
{
	return READ_ONCE(handled);
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

/* Another program inherits which signals are ignored: where the program ignores the one
 * that preempts, the kernel does, too, while one is started. What it drops meanwhile,
 * sysmon asks for again. */
void sighandon(bool on)
{
	const struct sigact *a = &actions[SIGPREEMPT];

	lock(&siglock);
	nhanding += on ? 1 : -1u;
	if ((uintptr_t)a->handler == 1)
		install(SIGPREEMPT, a);
	unlock(&siglock);
	if (on && schedstarted && (uintptr_t)a->handler == 1) {
		xchg(&sched.attending, 1);
		sysmonwake();
	}
}

/* The same in the child of a vfork, which has actions of its own and this memory. */
void gsigvforked(void)
{
	struct ksigaction k = { .handler = (void *)1,
				.flags = SA_RESTORER,
				.restorer = sigrestorer_ };

	if ((uintptr_t)actions[SIGPREEMPT].handler == 1 &&
	    sigkernelhandles(SIGPREEMPT))
		RAW(__NR_rt_sigaction, SIGPREEMPT, &k, NULL, 8);
}

static void *kernelshandler(int sig)
{
	struct ksigaction k = { 0 };

	RAW(__NR_rt_sigaction, sig, NULL, &k, 8);
	return k.handler;
}

/* libc's system() has the kernel ignore some for a while, behind our back. */
bool sigkernelhandles(int sig)
{
	return kernelshandler(sig) == (void *)sigentry;
}

bool sigkernelignores(int sig)
{
	return (uintptr_t)kernelshandler(sig) == 1;
}

/* Let the kernel do what it does without a handler. */
void sigkernelsdefault(int sig)
{
	struct ksigaction k = { .flags = SA_RESTORER,
				.restorer = sigrestorer_ };

	RAW(__NR_rt_sigaction, sig, &k, NULL, 8);
}

/* The default action happens to the process now, in this thread: a core tells of it. If
 * it was to stop, the next signal enters again when this returns: one that is queued
 * must not act and stay. Holds siglock; who else would want it is stopped, too. */
void sigdefaulthere(int sig)
{
	uint64_t bit = BIT(sig), was;

	sigkernelsdefault(sig);
	RAW(__NR_rt_sigprocmask, UNBLOCK, &bit, &was, 8);
	RAW(__NR_tgkill, RAW(__NR_getpid), RAW(__NR_gettid), sig);
	RAW(__NR_rt_sigprocmask, SETMASK, &was, NULL, 8);
	install(sig, &actions[sig]);
}

/* The action for sig, once: SA_RESETHAND. */
struct sigact sigactionfor(int sig)
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

/* What becomes of sig where it is let in: 0 the default, 1 nothing, or a handler. Holds
 * siglock. */
void *sigdisposition(int sig)
{
	return ignored & BIT(sig) ? (void *)1 : actions[sig].handler;
}

/* sig is about to be queued for a G. Holds siglock. */
void sigfirstqueued(int sig)
{
	if (poked & BIT(sig))
		return;
	poked |= BIT(sig);
	if (entersbydefault(sig, &actions[sig])) {
		install(sig, &actions[sig]);
		record(sig, &actions[sig]);
	}
}

/* Adopt what the program has installed so far. On the main thread, before Ms. */
void sigactinit(void)
{
	nhanding = 0; /* a fork child's parent's, perhaps */
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
}

void sigactfork(void)
{
	siglock.key = 0;
	nignoring = nhanding = 0;
	ignored = 0;
}
