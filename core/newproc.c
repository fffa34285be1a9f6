/* newproc.c - new Gs: which run at once, and which when their turn comes.
 *
 * Why: a G that runs long after it was made finds nothing of it in the caches, and one
 *      that is made while the last ones wait to run needs a stack and an identity of its
 *      own. So a G of a kind whose last ones soon ended or waited runs before the one
 *      that makes it, which goes on next, mostly joins it without a wait, and has its
 *      stack for the next: of a tree of threads only a branch lives at a time.
 *      Others run beside who makes them, as far as there are Ps.
 * Learning: what is measured is how long the maker was kept waiting. credit says how
 *      many of a kind did it briefly; a longer one costs several. Where there is none one
 *      in a while runs first to see, the fewer the more often that was wrong. A kind that
 *      is known is measured now and then. But if sysmon finds that a G computes while
 *      others wait (sched.nheld), that costs all, and the kind is trusted ever less: of
 *      a hundred short ones and a long one in turns few run first.
 *      Kinds share an entry by accident, and Ps write it unlocked: it is a guess.
 * Waking: nobody is woken for a maker that goes on so soon. If those below it, on the
 *      ring, have not moved for a while, there is a tree to share (sharelifo); if the
 *      new G does compute, sysmon sees that.
 */
#include "core/runtime.h"

#define KINDS 256
#define SOON 10000 /* cputicks, some 4 us: not worth another P's while */
#define STUCK 100000
#define SURE 16 /* most credit */
#define WRONG 4 /* what a longer one costs */
#define TRY 4u /* so many run in turn before one goes first, */
#define RARELY 9 /* doubled so often at most */

static struct kind {
	int8_t credit;
	uint8_t wrong;
	uint16_t turns;
} kinds[KINDS];

static struct kind *kindof(uintptr_t kind)
{
	return &kinds[(kind * 0x9e3779b97f4a7c15ul) >> 56];
}

static bool tryfirst(struct kind *k)
{
	uint16_t turns;

	if (likely(READ_ONCE(k->credit) > 0))
		return true;
	turns = READ_ONCE(k->turns) + 1;
	if (turns < TRY << READ_ONCE(k->wrong)) {
		WRITE_ONCE(k->turns, turns);
		return false;
	}
	WRITE_ONCE(k->turns, 0);
	return true;
}

static void distrust(struct kind *k, uint8_t steps)
{
	uint8_t wrong = READ_ONCE(k->wrong) + steps;

	WRITE_ONCE(k->credit, 0);
	WRITE_ONCE(k->wrong, wrong < RARELY ? wrong : RARELY);
}

/* The maker has waited so long for one of k. */
static void judge(struct kind *k, uint64_t ticks)
{
	int8_t credit = READ_ONCE(k->credit);
	uint8_t wrong = READ_ONCE(k->wrong);

	if (ticks >= SOON && credit > WRONG) {
		WRITE_ONCE(k->credit, credit - WRONG);
	} else if (ticks >= SOON) {
		distrust(k, 1);
	} else if (credit < SURE) {
		WRITE_ONCE(k->credit, credit + 1);
		if (credit + 1 == SURE && wrong)
			WRITE_ONCE(k->wrong, wrong - 1);
	}
}

/* The ring's oldest, which have let others run first, are for another P if they are there
 * since long. Owner P only. */
static void sharelifo(struct p *pp, uint64_t now)
{
	uint32_t head = READ_ONCE(pp->runqhead);

	if (head != pp->lifohead) {
		pp->lifohead = head;
		pp->lifoat = now;
	} else if (now - pp->lifoat > STUCK && READ_ONCE(sched.npidle)) {
		pp->lifoat = now;
		wakep();
	}
}

/* Let gp run before the caller, if its kind is for that. False: it is not, or not now. */
static bool runfirst(struct m **mp, struct g *gp, struct kind *k)
{
	struct p *pp = (*mp)->p;
	int8_t credit = READ_ONCE(k->credit);
	uint32_t held = READ_ONCE(sched.nheld);
	uint64_t now = 0;

	if (!pp || !tryfirst(k))
		return false;
	if (credit == 0 && READ_ONCE(sched.npidle))
		wakep(); /* the caller goes on there if it must wait here */
	if (credit < SURE || pp->switchtick % 8 == 0) {
		now = cputicks();
		if (pp->lifo)
			sharelifo(pp, now);
	}
	if (!goturn(mp, gp))
		return false;
	if (unlikely(READ_ONCE(sched.nheld) != held))
		distrust(k, 3);
	else if (now)
		judge(k, cputicks() - now);
	return true;
}

/* gp is new and will run fn(). */
void initproc(struct g *gp, void (*fn)(void), uint64_t sigmask)
{
	uintptr_t hi = gp->userstack ? gp->stackhi : gp->idlo;

	gobufinit(&gp->sched, hi, gp->sched.fs, gomain);
	gp->startfn = fn;
	gp->sigmask = sigmask;
	gp->score = gp->hogs = gp->turns = 0;
	gp->interrupted = 0;
	gp->prio = 0;
	gp->alt.size = 0;
	gp->native = false;
	gp->loops = 0;
	gp->nunseen = 0;
	gp->cputime = 0;
	if (READ_ONCE(sched.accounting))
		__atomic_fetch_or(&gp->flags, GF_ACCOUNT, __ATOMIC_SEQ_CST);
	sigflush(gp);
	siglive(sigmask, 1);
	if (unlikely(curg()->sigmask & ~sigmask))
		sigchanged();
}

void newproc(struct g *gp, void (*fn)(void), uint64_t sigmask, uintptr_t kind)
{
	struct m *mp = acquirem();

	initproc(gp, fn, sigmask);
	if (likely(mp->p))
		WRITE_ONCE(mp->p->nginit, mp->p->nginit + 1);
	else
		xadd(&sched.nginit, 1);
	if (!kind || !runfirst(&mp, gp, kindof(kind)))
		goready(mp, gp);
	releasem(mp);
}
