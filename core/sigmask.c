/* sigmask.c - a signal mask a G, kept by the M that runs it.
 *
 * Why: the kernel's mask is the M's. Gs that all have the same mask, the usual
 *      case, cost one comparison a switch; otherwise the switch sets it.
 *      Sleeping Ms block everything, so a process-directed signal needs a thread
 *      to go to: sysmon's M carries the intersection of all Gs' masks. A signal
 *      that every G blocks (for sigwait) then stays pending.
 * Invariants: nblock[s] is the number of live Gs that block signal s + 1.
 * Order: the receiver reads nblock after recvgen (seq_cst) and acknowledges; a G
 *      that newly blocks a signal waits for that before it goes on.
 */
#include "core/runtime.h"

#define SETMASK 2
#define NEVERBLOCK                                                             \
	((1ul << 31) | (1ul << 32) | (1ul << 8) | (1ul << 18) | FAULTS)
/* 32 and 33 are glibc's, 9 and 19 the kernel's; a blocked fault kills */
#define FAULTS ((1ul << 3) | (1ul << 4) | (1ul << 6) | (1ul << 7) | (1ul << 10))

/* Set the kernel's mask of this M. */
void msetmask(struct m *mp, uint64_t mask)
{
	uint64_t set = mask == ~0ul ? ~NEVERBLOCK : mask;

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

/* The signals that every live G blocks. */
static uint64_t blockedbyall(void)
{
	uint64_t mask = 0;
	uint32_t ng = READ_ONCE(sched.ng);

	for (int s = 0; s < 64; s++)
		if (READ_ONCE(sched.nblock[s]) >= ng)
			mask |= 1ul << s;
	return mask;
}

/* The receiver's part, on sysmon's M: adopt the intersection. */
void sigreceiver(struct m *mp)
{
	uint32_t gen = __atomic_load_n(&sched.recvgen, __ATOMIC_SEQ_CST);
	uint64_t mask = blockedbyall() & ~NEVERBLOCK;

	if (mp->sigmask != mask) {
		RAW(__NR_rt_sigprocmask, SETMASK, &mask, NULL, 8);
		mp->sigmask = mask;
	}
	if (sched.recvack != gen) {
		store_release(&sched.recvack, gen); /* pairs with gsigmask */
		futexwakeup(&sched.recvack, 1 << 30);
	}
}

/* A signal is now blocked by all: not before the receiver knows may the caller
 * rely on it. */
static void waitreceiver(void)
{
	uint32_t gen = xadd(&sched.recvgen, 1) + 1;

	sched.sysmonwait = 0;
	notewakeup(&sched.sysmonnote);
	for (;;) {
		uint32_t ack = load_acquire(&sched.recvack);

		if ((int32_t)(ack - gen) >= 0)
			return;
		futexsleep(&sched.recvack, ack, nanotime() + 1000000);
	}
}

void gsigmask(int how, const uint64_t *set, uint64_t *old)
{
	struct m *mp = acquirem();
	struct g *gp = curg();
	uint64_t was = gp->sigmask, mask = was;
	bool wait = false;

	if (set) {
		mask = how == 0 ? was | *set : how == 1 ? was & ~*set : *set;
		mask &= ~((1ul << 31) | (1ul << 32) | (1ul << 8) | (1ul << 18));
	}
	if (old)
		*old = was;
	/* always the system call: the child of a vfork, which shares our memory,
	 * may have changed the record and not our mask */
	gp->sigmask = mp->sigmask = mask;
	if (set)
		RAW(__NR_rt_sigprocmask, SETMASK, &mask, NULL, 8);
	/* those that core did not make are counted nowhere; wired Gs are */
	if (schedstarted && (!gp->foreign || gp->unwire) && mask != was) {
		sigmaskcount(mask & ~was, 1);
		sigmaskcount(was & ~mask, -1);
		wait = (blockedbyall() & mask & ~was) != 0;
	}
	releasem(mp);
	if (wait)
		waitreceiver();
}

uint64_t ggetsigmask(void)
{
	return getg()->sigmask;
}
