/* preempt.c - taking the CPU from a G that computes.
 *
 * sysmon pokes the M of a G that has run its slice while others wait (SIGPREEMPT,
 * SIGURG if nothing else is set). The entry (signal.c) comes here with the frame that the kernel
 * made on the M's alternate stack. It is copied to a side stack from a pool, so that
 * not a byte of the G's own stack is touched, whatever that may be; the entry then
 * returns into asyncpreempt (asm) on the side stack, which queues the G and switches
 * away like any park. Later, on any M, rt_sigreturn on the copy resumes the G with
 * all of its registers. The copy names no valid alternate stack, so that the kernel
 * leaves the resuming M's alone.
 * Refused: in code that holds locks others need at once (ld.so, this library; libc
 * for the first milliseconds). sysmon asks again, and at last takes the P instead.
 * Invariants: signals are blocked on the side stack, so the frame is not in use once
 *      the G computes again; GF_SIDE: g->side is given back when the G parks.
 * Locks: sidelock, a leaf.
 */
#include "core/runtime.h"
#include <asm/sigcontext.h>
#include <linux/signal.h>
#include <asm/ucontext.h> /* needs both */
#include <errno.h>

#define SIDESTACK (8192 + 4096) /* beside the frame: two levels of schedule() */
#define NRANGES 8
#define SYS_FUTEX __NR_futex
#define FUTEX_CMD_MASK_ 0x7f
#define FUTEX_WAIT_ 0
#define FUTEX_WAIT_BITSET_ 9
#define DELAY0 100000l /* ns: first wait of a G freed from a futex */
#define NDELAY 6       /* doublings: at most 3.2 ms, */
#define TRY 1000000l   /* or so much for each that waits */
#define SS_INVALID 0x40
#define EFLAGS_FUNCTION (~0x10500ul) /* without DF, TF, RF */

struct sidestack {
	struct sidestack *next;
};

static struct mutex sidelock;
static struct sidestack *sides;
static size_t sidesize;
static struct range {
	uintptr_t lo, hi;
	bool always;
} ranges[NRANGES]; /* written before the first thread */
static int nranges;

void gpreemptrefuse(uintptr_t lo, uintptr_t hi, bool always)
{
	for (int i = 0; i < nranges; i++)
		if (ranges[i].lo == lo)
			return; /* a fork child starts again */
	if (nranges < NRANGES)
		ranges[nranges++] = (struct range){ lo, hi, always };
}

/* pc is in code of this library's or the loader's, or in libc's and that does not do. */
bool preemptrefused(uintptr_t pc, bool libctoo)
{
	for (int i = 0; i < nranges; i++)
		if (pc >= ranges[i].lo && pc < ranges[i].hi)
			return ranges[i].always || !libctoo;
	return false;
}

/* ---- side stacks -------------------------------------------------------------------- */

static struct sidestack *sideget(void)
{
	struct sidestack *s;

	lock(&sidelock);
	s = sides;
	if (s)
		sides = s->next;
	unlock(&sidelock);
	return s ? s : persistentalloc(sidesize);
}

/* gp parks or ends: it needs its side stack no more, unless it is on it. */
void sideput(struct g *gp)
{
	struct sidestack *s = gp->side;
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	if (here - (uintptr_t)s < sidesize)
		return;
	gp->side = NULL;
	__atomic_fetch_and(&gp->flags, ~GF_SIDE, __ATOMIC_RELAXED);
	lock(&sidelock);
	s->next = sides;
	sides = s;
	unlock(&sidelock);
}

/* ---- freed from a futex wait ------------------------------------------------------------ */

/* It was in an untimed futex wait, which the kernel will begin again. */
static bool infutex(const struct ucontext *uc)
{
	const struct sigcontext *sc = &uc->uc_mcontext;
	uint32_t op = (uint32_t)sc->rsi & FUTEX_CMD_MASK_;
	const uint8_t *pc = (const uint8_t *)sc->rip; /* at a syscall */

	return sc->rax == SYS_FUTEX && pc[0] == 0x0f && pc[1] == 0x05 &&
	       (op == FUTEX_WAIT_ || op == FUTEX_WAIT_BITSET_) && sc->r10 == 0;
}

/* ---- leaving and coming back ------------------------------------------------------------ */

static uint32_t nfreed; /* Gs in freedsleep; a hint, pairs with nothing */

/* Freed from a futex wait: off the M for a while; then the wait is begun again. That costs
 * an M, and a P until sysmon takes it: the more do so, the longer each waits. */
static struct m *freedsleep(struct m *mp, struct g *gp)
{
	int64_t now = nanotime(), crowd = TRY * xadd(&nfreed, 1);
	struct semawait w = { .addr = (uintptr_t)&w, .reason = WAIT_FUTEX };
	int res;

	if (now - gp->freedat > 100000000)
		gp->nfreed = 0;
	gp->freedat = now;
	w.deadline = now + (DELAY0 << gp->nfreed);
	if (w.deadline < now + crowd)
		w.deadline = now + crowd;
	if (gp->nfreed < NDELAY - 1)
		gp->nfreed++;
	mp = semapark(mp, &w, &res);
	xadd(&nfreed, -1);
	return mp;
}

/* On the side stack, signals blocked, m->locks 1. Returns to rt_sigreturn on uc,
 * which sets the mask that is recorded here. */
static void gopreempt(void *uc)
{
	struct g *gp = curg();
	struct m *mp = gp->sched.m;

	sigtake(gp);
	/* a P that comes back just now is for others: the lock is not free yet */
	mp = infutex(uc) ? freedsleep(mp, gp) : gowaitp(mp);
	msetmask(mp, MASK_ALL); /* still with m->locks 1: no handler came in */
	mp->locks--;
	mp->sigwork = 0;
	mp->sigmask = gp->maskcall ? MASK_UNKNOWN : gp->sigmask;
	fullfence(); /* pairs with gsigsend, which may have found no M to poke */
	sigraise(mp, gp);
	if (unlikely(READ_ONCE(gp->flags) & GF_ATTENTION))
		sigpoke(mp, SIGPREEMPT); /* where it was interrupted */
}

/* No M is left and none can be made: a native G gives up its own for a while. */
static void unnative(struct m *mp, struct g *gp)
{
	gp->native = gp->foreign = false;
	gp->nunseen = 0;
	WRITE_ONCE(mp->pstate, PS_NONE);
}

/* mp's P is gone for good: what its G is in goes on with another M's. */
static bool isfree(struct m *mp)
{
	uint32_t s = READ_ONCE(mp->pstate);

	return s == PS_TAKEN || s == PS_NONE;
}

/* In the entry, on the M's alternate stack. */
void preempt(struct m *mp, struct ucontext *uc)
{
	struct sigcontext *sc = &uc->uc_mcontext;
	uint32_t why = xchg(&mp->preempt, PREEMPT_NONE);
	struct g *gp = mp->curg;
	struct sidestack *s;
	uint64_t all;
	void *f;

	/* asked while it computed, it may be in a call by now */
	sigrestartcall(uc);
	if (why == PREEMPT_FREE && gp->native && gp->nativeleft &&
	    !gp->nwired && infutex(uc))
		unnative(mp, gp);
	else if (why == PREEMPT_FREE ?
		    !isfree(mp) || !infutex(uc) :
		    READ_ONCE(mp->pstate) != PS_HELD || !mp->p ||
			    !READ_ONCE(mp->p->preempt) ||
			    preemptrefused(sc->rip, why == PREEMPT_LIBC))
		why = PREEMPT_NONE;
	if (why == PREEMPT_NONE || gp->foreign ||
	    (mp->oldp && why != PREEMPT_FREE)) {
		WRITE_ONCE(mp->refused, true);
		return;
	}
	mp->locks++; /* until gopreempt */
	if (READ_ONCE(mp->pstate) != PS_HELD) {
		settlep(mp);
		if (!mp->p && why != PREEMPT_FREE) {
			mp->locks--;
			return;
		}
	}
	s = gp->side ? gp->side : sideget();
	f = s ? framecopy((uintptr_t)s + sidesize, 0, uc, NULL) : NULL;
	if (!f) {
		mp->locks--;
		return;
	}
	gp->side = s;
	__atomic_fetch_or(&gp->flags, GF_SIDE, __ATOMIC_RELAXED);
	if (!gp->maskcall) /* or it is before that call, perhaps */
		frameuc(f)->uc_sigmask = sigkernel(gp->sigmask);
	frameuc(f)->uc_stack.ss_flags = SS_INVALID;
	all = MASK_ALL & ~(1ul << 31) & ~(1ul << 32);
	uc->uc_sigmask = all;
	mp->sigmask = MASK_ALL;
	sc->rip = (uintptr_t)asyncpreempt;
	sc->rsp = (uintptr_t)frameuc(f);
	sc->eflags &= EFLAGS_FUNCTION;
	sc->fpstate = NULL;
	xadd(&sched.npreempt, 1);
}

/* Before the first thread. */
void preemptinit(void)
{
	asm_gopreempt = gopreempt;
	sidesize = (SIDESTACK + corehooks.sigframe + PAGE - 1) & -PAGE;
}

void preemptfork(void)
{
	sidelock.key = 0;
	nfreed = 0;
	sides = NULL; /* may have been half changed */
}
