/* sigmask.c - a signal mask a G, kept by the M that runs it.
 *
 * Why: the kernel's mask is the M's. Gs that all have the same mask, the usual
 *      case, cost one comparison a switch; otherwise the switch sets it.
 *      Sleeping Ms block everything. sysmon's M, the receiver, blocks what every G
 *      blocks, so that it stays pending, and what has a handler, which it takes by
 *      rt_sigtimedwait instead, for as long as some G does not block it; defaults
 *      act on it as on any thread.
 * Invariants: nblock[s] is the number of live Gs that block signal s + 1.
 * Order: the receiver reads nblock after recvgen (seq_cst) and acknowledges; a G
 *      that newly blocks a signal waits for that before it goes on. One that no
 *      longer does takes what waits before it changes nblock (sigopen), and its M
 *      takes what comes; before all Ms sleep the receiver looks anew (sigstale), if
 *      that makes a difference. It tells what it goes by, then reads nblock again.
 */
#include "core/signal.h"

/* A blocked fault kills. SIGSYS is blocked as others are: if the program sends it, the
 * receiver takes it. */
#define NEVERBLOCK (UNBLOCKABLE | (FAULTS & ~BIT(SIGSYS)))

/* The kernel's mask for a thread whose own is this: who blocks SIGPREEMPT blocks the
 * program's, not ours. In a fork child there is none of ours. */
uint64_t sigkernel(uint64_t mask)
{
	if (mask == MASK_ALL)
		return ~NEVERBLOCK;
	return schedstarted ? mask & ~BIT(SIGPREEMPT) : mask;
}

/* Set the kernel's mask of this M. */
void msetmask(struct m *mp, uint64_t mask)
{
	uint64_t set = sigkernel(mask);

	if (mp->sigmask == mask)
		return;
	mp->sigmask = mask;
	RAW(__NR_rt_sigprocmask, SETMASK, &set, NULL, 8);
}

/* n more Gs have this mask. */
void sigmaskcount(uint64_t mask, int n)
{
	while (mask) {
		int s = __builtin_ctzl(mask);

		mask &= mask - 1;
		xadd(&sched.nblock[s], n);
	}
}

/* gp is counted in nblock: core made it, or it is the main G. */
static bool counted(const struct g *gp)
{
	return schedstarted && (!gp->foreign || gp->unwire || gp->native);
}

/* A G with this mask begins, or ends (n is -1). The two counts belong together: between
 * them a signal would seem to be let in by somebody, and its default would act. Returns
 * how many there are now. */
uint32_t siglive(uint64_t mask, int n)
{
	uint32_t ng;

	if (mask)
		xadd(&sched.livebegun, 1); /* these pair with sigblockedbyall */
	sigmaskcount(mask, n);
	ng = xadd(&sched.ng, n) + (uint32_t)n;
	if (mask)
		xadd(&sched.livedone, 1);
	return ng;
}

/* What the receiver goes by may have changed: it reads that after sigseen. */
void sigchanged(void)
{
	xadd(&sched.sigchanges, 1);
}

/* Those of set that every live G blocks; all, and look again, if Gs with masks begin and
 * end all the time. */
static uint64_t sigblockedbyall(uint64_t set)
{
	for (int i = 0; i < 20; i++) {
		uint32_t done = __atomic_load_n(&sched.livedone, __ATOMIC_SEQ_CST);
		uint32_t ng = READ_ONCE(sched.ng);
		uint64_t mask = 0;

		for (uint64_t s = set; s; s &= s - 1)
			if (READ_ONCE(sched.nblock[__builtin_ctzl(s)]) >= ng)
				mask |= s & -s;
		fullfence();
		if (READ_ONCE(sched.livebegun) == done)
			return mask;
		cpupause();
	}
	sigchanged();
	return set;
}

/* What the receiver should block, and of that what it should take in for Gs that let it
 * in; for those that wait for signals it takes more. */
static void reckon(uint64_t *mask, uint64_t *want)
{
	uint64_t blocked = sigblockedbyall(MASK_ALL), handled = sighandled();

	*mask = (blocked | handled | BIT(SIGPREEMPT)) & ~NEVERBLOCK;
	*want = handled & ~blocked & ~NEVERBLOCK;
}

/* Some mask or handler has changed. Does that make a difference? */
static cold bool differs(void)
{
	uint32_t changes = __atomic_load_n(&sched.sigchanges, __ATOMIC_SEQ_CST);
	uint64_t mask, want;

	reckon(&mask, &want); /* after the changes: pairs with goby */
	if (mask != __atomic_load_n(&sched.recvmask, __ATOMIC_SEQ_CST) ||
	    (want & ~__atomic_load_n(&sched.recvwant, __ATOMIC_SEQ_CST)))
		return true;
	WRITE_ONCE(sched.sigseen, changes);
	return false;
}

/* The receiver goes by something else. Holds sched.lock, the last P is idle. */
bool sigstale(void)
{
	return READ_ONCE(sched.sigchanges) != READ_ONCE(sched.sigseen) &&
	       differs();
}

/* What the receiver goes by from now on is told before a last look: who changes it
 * later, or wants to know what the receiver may hold, finds it told. */
static uint64_t goby(struct m *mp, uint64_t *want)
{
	uint64_t mask, again = 0, w, w2;

	WRITE_ONCE(sched.sigseen,
		   __atomic_load_n(&sched.sigchanges, __ATOMIC_SEQ_CST));
	reckon(&mask, &w);
	for (int i = 0; i < 10; i++) {
		*want = sigwant(mp, ~w) | BIT(SIGPREEMPT);
		*want &= ~NEVERBLOCK;
		__atomic_store_n(&sched.recvwant, *want, __ATOMIC_SEQ_CST);
		__atomic_store_n(&sched.recvmask, mask, __ATOMIC_SEQ_CST);
		reckon(&again, &w2);
		if (again == mask && w2 == w)
			return mask;
		mask = again;
		w = w2;
	}
	__atomic_store_n(&sched.recvmask, 0, __ATOMIC_SEQ_CST);
	sigchanged(); /* look again */
	return mask;
}

/* gp's mask is this one now, and the kernel's on mp is about to be. */
void sigmaskrecord(struct m *mp, struct g *gp, uint64_t mask)
{
	uint64_t was = gp->sigmask;

	gp->maskcall = false;
	mp->sigmask = mask;
	/* seq_cst: pairs with gsigsend, see sigsend.c */
	__atomic_store_n(&gp->sigmask, mask, __ATOMIC_SEQ_CST);
	if (mask != was && counted(gp)) {
		uint64_t opened = sigblockedbyall(was & ~mask);

		sigmaskcount(mask & ~was, 1);
		sigmaskcount(was & ~mask, -1);
		if (opened)
			sigchanged();
	}
	if (unlikely(was & ~mask & BIT(SIGPREEMPT)))
		sigkept(mp, gp);
}

/* Sleep until deadline (NEVER: for good), sysmonwake or a signal that has a handler
 * or a G that waits for it, which is passed on. On sysmon's M. */
void sigreceive(struct m *mp, int64_t deadline)
{
	uint64_t info[SIGINFO_SIZE / 8], want, mask;
	uint32_t gen = __atomic_load_n(&sched.recvgen, __ATOMIC_SEQ_CST);
	int64_t left = 0;
	static const long zero[2];
	long ts[2], sig;

	mask = goby(mp, &want);
	if (mp->sigmask != mask) {
		RAW(__NR_rt_sigprocmask, SETMASK, &mask, NULL, 8);
		mp->sigmask = mask;
	}
	if (sched.recvack != gen) {
		store_release(&sched.recvack, gen); /* pairs with sigsettle */
		futexwakeup(&sched.recvack, 1 << 30);
	}
	if (deadline != NEVER) {
		left = deadline - nanotime();
		if (left < 0)
			left = 0;
	}
	ts[0] = left / 1000000000;
	ts[1] = left % 1000000000;
	sig = RAW(__NR_rt_sigtimedwait, &want, info,
		  deadline == NEVER ? NULL : ts, 8);
	while (sig > 0) {
		/* the second word begins with si_code */
		if ((int32_t)info[1] != POKE && !istimer(info))
			sigdispatch(mp, (int)sig, info);
		/* another that nobody lets in by now is back in the kernel */
		if (sig != SIGPREEMPT || sig < 32)
			break;
		/* a real-time one comes as often as it was sent */
		sig = RAW(__NR_rt_sigtimedwait, &want, info, zero, 8);
	}
}

/* Whatever the receiver has taken so far is dispatched when this returns. */
void sigreceived(void)
{
	uint32_t gen, ack;

	if (!schedstarted)
		return;
	gen = xadd(&sched.recvgen, 1) + 1;
	sysmonwake();
	for (;;) {
		ack = load_acquire(&sched.recvack);
		if ((int32_t)(ack - gen) >= 0)
			return;
		futexsleep(&sched.recvack, ack, nanotime() + 1000000);
	}
}

/* Before the caller relies on a signal that all block being left to the kernel, the
 * receiver must know, if it takes it in: it may hold it for a moment. */
void sigsettle(uint64_t set)
{
	set &= __atomic_load_n(&sched.recvwant, __ATOMIC_SEQ_CST);
	if (sigblockedbyall(set))
		sigreceived();
}

/* gp's mask becomes this one. What all have blocked so far, and it does no longer, it
 * has before it goes on; so what waits for the process is taken here, while the
 * receiver leaves it alone: in its hands, it could come later. mp is acquired, or
 * blocks all. */
void sigopen(struct m *mp, struct g *gp, uint64_t mask)
{
	uint64_t set = sigkernel(gp->sigmask) & ~mask & sighandled() &
		       ~NEVERBLOCK;

	if (set && counted(gp) && (set = sigblockedbyall(set)))
		sigclaim(mp, gp, set);
}

void gsigmask(int how, const uint64_t *set, uint64_t *old)
{
	struct m *mp = acquirem();
	struct g *gp = curg();
	uint64_t was = gp->sigmask, mask = was, kmask, new = 0;

	if (set) {
		mask = how == 0 ? was | *set : how == 1 ? was & ~*set : *set;
		mask &= ~UNBLOCKABLE;
	}
	if (old)
		*old = was;
	if (set) {
		sigopen(mp, gp, mask);
		sigmaskrecord(mp, gp, mask);
		kmask = sigkernel(mask);
		RAW(__NR_rt_sigprocmask, SETMASK, &kmask, NULL, 8);
		if (counted(gp))
			new = mask & ~was;
		if (unlikely(READ_ONCE(gp->sigpend)))
			mp->sigwork = 1; /* perhaps one is free now */
	}
	releasem(mp);
	if (new)
		sigsettle(new);
}

void gsigmaskcall(uint64_t mask, uint64_t *old)
{
	struct m *mp = acquirem();
	struct g *gp = curg();

	*old = gp->sigmask;
	sigopen(mp, gp, mask);
	sigmaskrecord(mp, gp, mask);
	gp->maskcall = true;
	sigraise(mp, gp); /* those that wait come when the call lets them */
	/* releasem, but the kernel's mask is the call's to change: a handler that came
	 * before would not end it, and swapcontext saves what it finds */
	barrier();
	mp->locks--;
	barrier();
	if (unlikely(READ_ONCE(mp->sigwork)))
		sigreleaseas(*old);
}

uint64_t ggetsigmask(void)
{
	return getg()->sigmask;
}
