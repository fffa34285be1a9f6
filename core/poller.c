/* poller.c - who sleeps for timers and files, and who looks at the files.
 *
 * Why: one M at a time sleeps for timers and files, as sched.poller says: in netpoll if
 *      all Ps are idle or nobody has looked at the files lately, else on a futex
 *      (POLL_NAP), since the Ms that run look themselves whenever they run out of Gs:
 *      were it in netpoll, the kernel would wake it for what they are about to find, and
 *      two threads that talk through a pipe would pass the sleep from M to M, a wake-up
 *      of a CPU each time. A nap is looked at again after POLLFRESH, then twice that.
 *      The M that is the last to go idle takes over from a napper. While nobody sleeps so
 *      and a P is idle, sysmon sees to it (pollneeded).
 * Order: sched.polluntil before a second look at the timers (both seq_cst); who adds a
 *      timer reads it after that: either he breaks the sleep or it does not begin.
 * See: netpoll.c for what is slept in; "Delicate dance" in proc.c for going idle.
 */
#include "core/runtime.h"
#include <errno.h>

#define NAPMAX (8 * POLLFRESH)

/* What to be: a napper, the one in netpoll, neither (0). *me is the word for it. */
static uint32_t pollrole(struct m *mp, int64_t when, uint32_t *me)
{
	for (;;) {
		uint32_t old = load_acquire(&sched.poller), mode;
		bool idle = READ_ONCE(sched.npidle) ==
			    READ_ONCE(sched.gomaxprocs);
		bool net = netpollwaiting();

		if (when == NEVER && !net)
			return 0;
		mode = net && (idle || nanotime() - READ_ONCE(sched.lastpoll) >
					       POLLFRESH) ?
			       POLL_NET :
			       POLL_NAP;
		if (old && old != *me &&
		    !(idle && mode == POLL_NET && (old & 3) == POLL_NAP))
			return 0;
		if (cas(&sched.poller, old, mode | mp->id << 2)) {
			*me = mode | mp->id << 2;
			return mode;
		}
	}
}

/* The end of this M's sleep: `until`, or sooner for a timer. */
static int64_t polldeadline(int64_t until)
{
	int64_t when = timersearliest();

	if (when < until)
		until = when;
	__atomic_store_n(&sched.polluntil, until, __ATOMIC_SEQ_CST);
	/* timers that came before polluntil was visible: pairs with pollbreak */
	when = timersearliest();
	if (when < until) {
		until = when;
		__atomic_store_n(&sched.polluntil, until, __ATOMIC_SEQ_CST);
	}
	return until;
}

static void pollwake(uint32_t poller)
{
	if ((poller & 3) == POLL_NET) {
		netpollbreak();
	} else {
		xadd(&sched.pollkey, 1); /* pairs with pollsleep */
		futexwakeup(&sched.pollkey, 1);
	}
}

/* Sleep until a timer is due, a file ready or pollbreak comes, if no other M does.
 * True: it has a P again. */
bool pollsleep(struct m *mp)
{
	int64_t nap = POLLFRESH;
	struct pollevents ev = { .n = 0 };
	uint32_t me = 0, mode;
	struct p *pp;

	while ((mode = pollrole(mp, timersearliest(), &me)) == POLL_NAP) {
		uint32_t key = load_acquire(&sched.pollkey); /* pairs with pollbreak */
		int64_t until = netpollwaiting() ? nanotime() + nap : NEVER;

		until = polldeadline(until);
		msetmask(mp, MASK_ALL);
		if (__atomic_load_n(&sched.poller, __ATOMIC_SEQ_CST) != me) {
			pollwake(POLL_NET); /* polluntil is not the taker's now */
			break;
		}
		if (futexsleep(&sched.pollkey, key, until) != -ETIMEDOUT ||
		    timersearliest() <= nanotime())
			break;
		if (nap < NAPMAX)
			nap *= 2;
	}
	if (mode == POLL_NET) {
		msetmask(mp, MASK_ALL);
		netpollfetch(&ev, polldeadline(NEVER));
	}
	/* not if another has taken over; seq_cst: pairs with pollbreak */
	if (me)
		cas(&sched.poller, me, 0);
	if (!mode && !me)
		return false;
	lock(&sched.lock);
	pp = sched.gcwaiting ? NULL : pidlegetlazy();
	unlock(&sched.lock);
	if (pp)
		acquirep(mp, pp);
	netpollinject(&ev, NULL);
	return pp != NULL;
}

/* The caller has the one P that is in use: it looks for timers when it parks. */
static bool lazyrunner(void)
{
	struct m *mp;

	if (READ_ONCE(sched.sysmonwait) != SYSMON_LAZY)
		return false;
	mp = curg()->sched.m;
	return mp->p != NULL;
}

/* There is a timer for `when`: somebody must be awake by then. Any M. */
void pollbreak(int64_t when)
{
	uint32_t poller = __atomic_load_n(&sched.poller, __ATOMIC_SEQ_CST);

	if (poller) {
		if (when < __atomic_load_n(&sched.polluntil, __ATOMIC_SEQ_CST))
			pollwake(poller);
	} else if (READ_ONCE(sched.npidle) && !sysmonsoon() && !lazyrunner()) {
		wakep(); /* nobody sleeps for timers: one shall */
	}
}

/* A G waits for a file, and its M does not go on to look for work: somebody else must
 * wait for files. Any M. */
void pollneeded(void)
{
	uint32_t poller = __atomic_load_n(&sched.poller, __ATOMIC_SEQ_CST);

	if (!netpollwaiting() || (poller & 3) == POLL_NET)
		return;
	if (poller)
		pollwake(poller);
	else if (READ_ONCE(sched.npidle))
		wakep();
	else if (unlikely(sysmonlazy()))
		sysmonneeded();
}

/* As long as they fit in pp's queue, behind those for whom there was no room before: in the
 * global one they would be overtaken by those who come later. */
void polllookslow(struct m *mp, struct p *pp)
{
	struct pollevents ev;
	struct polldesc *wrote;

	if (inpoll())
		return;
	globrunqrefill(pp, RUNQ - NPOLLEVENTS);
	if (pp->runqtail - READ_ONCE(pp->runqhead) > RUNQ - NPOLLEVENTS)
		return;
	wrote = mp->wrote;
	mp->wrote = NULL;
	netpollfetch(&ev, 0);
	netpollinject(&ev, wrote);
}
