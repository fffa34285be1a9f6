/* attention.c - a G is asked to look at what the layer above has for it.
 *
 * gattention sets GF_ATTENTION and pokes the M that runs the G. corehooks.attention is
 * called on the G itself: where it computes or is in a call, in a handler of which the
 * frame is on its stack; where it is in core, when that is left (releasem); where it does
 * not run, when it does. It may want to be called again where the G may be unwound.
 * Order: the flag is set, then (membarrier) oncpu is read; gswitch stores oncpu, then
 *      afterswitch reads the flags. attend sets the flag before sched.attending;
 *      attendagain clears that before it looks for flags.
 */
#include "core/runtime.h"
#include <linux/signal.h>
#include <asm/sigcontext.h>
#include <asm/ucontext.h> /* needs both */

/* One that is to be called once more sysmon sees to (attendagain). */
void attend(enum attention where)
{
	__atomic_fetch_and(&curg()->flags, ~GF_ATTENTION, __ATOMIC_SEQ_CST);
	if (!corehooks.attention(where))
		return;
	__atomic_fetch_or(&curg()->flags, GF_ATTENTION, __ATOMIC_SEQ_CST);
	if (!xchg(&sched.attending, 1)) /* after the flag */
		sysmonwake();
}

/* The handler that attendinterrupt begins. */
static void attendhere(int sig, siginfo_t *info, struct ucontext *uc)
{
	(void)sig;
	(void)info;
	attend(preemptrefused(uc->uc_mcontext.rip, true) ? ATTEND_BUSY :
							    ATTEND_FREE);
}

/* Run attend() on gp, which computes or is in a call. */
void attendinterrupt(struct m *mp, struct g *gp, struct ucontext *uc)
{
	static const struct sigact a = { .handler = (void *)attendhere,
					 .flags = SA_NODEFER };

	sigrestartcall(uc);
	sigenter(mp, gp, &a, SIGPREEMPT, NULL, uc);
}

/* Those that wait for attend() where they were not free: poke them until they are. sysmon. */
void attendagain(void)
{
	bool left = false;

	if (!READ_ONCE(sched.attending))
		return;
	xchg(&sched.attending, 0); /* before the look: pairs with attend */
	for (struct m *mp = load_acquire(&sched.allm); mp;
	     mp = load_acquire(&mp->alllink)) {
		struct g *gp = READ_ONCE(mp->curg);

		if (!gp || !(READ_ONCE(gp->flags) & GF_ATTENTION) ||
		    goncpu(gp) != mp || READ_ONCE(mp->parked))
			continue; /* one that does not run will find it itself */
		left = true;
		sigpoke(mp, SIGPREEMPT);
	}
	if (left)
		WRITE_ONCE(sched.attending, 1);
}

void gattention(struct g *gp)
{
	struct m *to;

	__atomic_fetch_or(&gp->flags, GF_ATTENTION, __ATOMIC_SEQ_CST);
	if (!barrierall()) /* pairs with gswitch, as in alert() */
		fullfence();
	/* one that does not run attends to it before it does */
	for (int i = 0; i < 1000 && READ_ONCE(gp->sched.oncpu) &&
			(READ_ONCE(gp->flags) & GF_ATTENTION);
	     i++) {
		to = goncpu(gp);
		if (i % 16 == 0 && to)
			sigpoke(to, SIGPREEMPT);
		if (to && READ_ONCE(to->parked))
			return; /* it has the poke; the rest when it goes on */
		usleep_raw(50);
	}
}
