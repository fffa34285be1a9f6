/* runtime.h - core's private structures: G, M, P, sched, and who may touch what.
 *
 * LOCK ORDER (take left before right; a lock not named is a leaf):
 *	(two timers locks: the P that stays first)
 *	netpolllock < polldesc.lock < semabucket;  growlock < semabucket
 *	stoplock < retakelock < semabucket (two: by address) < timers <
 *	sched.lock < allocation;  siglock < allocation;  sidelock
 * All are struct mutex (lock_futex.c), semabucket a quicklock, held for a few hundred
 * instructions with m->locks above zero, never across a park or a call into libc.
 *
 * THE M'S P. m->pstate says who may use m->p:
 *	HELD      the M, while m->locks > 0; sysmon may try to take it otherwise
 *	SYSCALL   nobody (it is in m->oldp); the M may take it back (CAS to HELD)
 *	RETAKING  sysmon is about to take it, from an M in SYSCALL or from one that
 *	          sleeps in a call we did not see; the M's next acquirem or
 *	          exitsyscall cancels that (CAS to HELD), else sysmon commits (CAS
 *	          to TAKEN). An M already in core keeps its P: sysmon sees locks
 *	TAKEN     sysmon has taken it; the M notices at its next acquirem
 *	NONE      there is no P. FOREIGN: nor will be, while its G is P-less (pless.c)
 * Both sides look again after a CAS that failed (settlep): sysmon may have given up.
 * While oldp is set, acquirem takes no other P: a call back out of a declared system
 * call runs without, and takes its own back before it parks.
 * A G that cannot be preempted (preempt.c) loses its P, too, and goes on without until
 * its next slow path; there sysmon commits after membarrier(2).
 * No fence is needed in acquirem between raising locks and reading pstate: sysmon
 * commits only after /proc showed the M off the CPU, and being switched out and
 * in again orders the M's later loads after sysmon's store of RETAKING. The model
 * test/model/retake.pml checks this.
 */
#ifndef CORE_RUNTIME_H
#define CORE_RUNTIME_H

#include "asm/asm.h"
#include "asm/x86_64/lockm.h"
#include "core/atomic.h"
#include "core/core.h"
#include "core/os.h"
#include <linux/eventpoll.h>

#define MAXP 256	     /* most Ps; options.maxprocs is bounded by it */
#define MAXM 10000	     /* as Go: beyond that the program is in trouble */
#define RUNQ 256	     /* ring of a P; a power of two */
#define GFREEMAX 64	     /* dead Gs a P keeps hot */
#define NCLASS 26	     /* stack size classes, 32 KiB << class: to 1 TiB */
#define CLASS0 15	     /* log2 of the smallest slot */
#define ALONETICKS 1024	     /* a yielder with nobody to yield to lets the kernel */
#define CROWDEDTICKS 16	     /* the same with more Ps than CPUs */
#define SCHEDTICKS 61	     /* every so many switches, look at everything */

/* ---- locks and notes (lock_futex.c) ---------------------------------------- */

struct mutex {
	uint32_t key;		/* 0 free, 1 locked, 2 locked and waited for */
};
void lock(struct mutex *l);
void unlock(struct mutex *l);

/* The same for a lock on the way of every wait and wake-up, which is taken by one at a
 * time nearly always: to unlock it is a plain store, and no fence (lock_futex.c). */
struct quicklock {
	uint32_t key;		/* 0 free, 1 locked; futex word */
	uint32_t nwait;		/* who sleeps on it, or is about to */
};
extern bool asymmetric __attribute__((visibility("hidden")));
cold void lockquick_slow(struct quicklock *l);
cold void unlockquick_slow(struct quicklock *l);
void heavyfence(void);

static inline void lockquick(struct quicklock *l)
{
	/* acquire: pairs with unlockquick */
	if (unlikely(!cas(&l->key, 0, 1)))
		lockquick_slow(l);
}

static inline void unlockquick(struct quicklock *l)
{
	if (likely(READ_ONCE(asymmetric)))
		store_release(&l->key, 0); /* pairs with lockquick */
	else
		xchg(&l->key, 0);
	barrier(); /* then nwait: pairs with the heavyfence of lockquick_slow */
	if (unlikely(READ_ONCE(l->nwait)))
		unlockquick_slow(l);
}

/* One-shot event: one sleeper, one waker, cleared by the sleeper. */
struct note {
	uint32_t key;		/* 0 clear, 1 woken; futex word */
};
void notesleep(struct note *n);		 /* until woken; clears it */
bool notetsleep(struct note *n, int64_t deadline); /* false: deadline passed */
void notewakeup(struct note *n);

/* ---- G ------------------------------------------------------------------------ */

enum gstatus {
	Gidle,		/* made, never run: owned by who made it */
	Grunnable,	/* on a run queue, or in the hands of who took it off */
	Grunning,	/* owned by the M whose curg it is */
	Gwaiting,	/* in a sema queue; the waker makes it Grunnable */
	Gdead,		/* exited; its identity and stack wait for the next */
};

struct timer {
	int64_t when;		/* guarded by pp->timerlock */
	uint32_t idx;		/* of its timerref + 1, or COARSE; 0: not armed */
	uint32_t seq;		/* COARSE: gp->waitseq this timer is for */
	struct p *pp;		/* whose heap; while idx is not 0, by both locks */
	struct timer *next, **link; /* COARSE: in pp->coarse[step] */
	uint32_t step;
};
#define COARSE UINT32_MAX
#define SLEEPS 1ul /* g->waitaddr: in no queue, the timer is all; see semasleep */

/* Of the heap, and what is where in it: who looks for the least and moves others does not
 * touch the Gs. */
struct timerslot {
	int64_t when;
	uint32_t ref;	/* in pp->timerref */
};

struct timerref {
	struct timer *t;
	uint32_t place;	/* in the heap; free: the next of those + 1 */
	uint32_t seq;	/* gp->waitseq this timer is for */
};

struct timerlist {
	struct timer *first, **last;
};

/* g->hogs: who used up a slice may again, for so many parks. */
#define HOGS 4

/* g->loops, 0 if it is none: counts down to LOOP_ALONE while it wakes nobody. */
enum { LOOP_ALONE = 1, LOOP_SHARES = 16 };

/* What has become of the P of a G that waits in the kernel, in place. */
enum inplace {
	INPLACE_NO,
	INPLACE_KEPT,	/* marked, as in a system call: keepasleep */
	INPLACE_IDLE,	/* given up, and counted in sched.ninplace */
};

/* g->flags, tested once a switch (afterswitch) */
#define GF_UNGUARDED 1u		/* no guard page: check the canary */
#define GF_SIGNAL 2u		/* sigpend has one that is not blocked */
#define GF_SIDE 4u		/* side is to be given back */
#define GF_ATTENTION 8u		/* corehooks.attention is to be called */
#define GF_NATIVE 16u		/* is to become native, for good */
#define GF_TIMED 32u		/* readyat is set */
#define GF_ACCOUNT 64u		/* what it computes is counted: cputime.c */

struct g {
	/* the switch */
	struct gobuf sched;
	uint32_t status;	/* enum gstatus; see there for who may write */
	uint32_t flags;
	struct g *schedlink;	/* run queue, free list: owner of the list */
	uint64_t sigmask;	/* owner G writes */

	/* waiting: guarded by the lock of the bucket of waitaddr */
	uintptr_t waitaddr;	/* 0: in no queue; or SLEEPS */
	struct g *semnext;	/* next address of the bucket (first waiter only) */
	struct g *waitlink;	/* next waiter of this address */
	struct g *waittail;	/* last waiter of this address (first only) */
	uint32_t waitmask;
	int32_t interrupted;	/* INT_*, from a ginterrupt that found no wait */
	uint32_t waitseq;	/* counts waits; tells a stale timer */
	int32_t waitres;	/* what semawait returns */
	uint8_t waitreason;
	bool interruptible;
	bool norestart;		/* one of nhandled without SA_RESTART; owner */

	/* with the above on two cache lines: all that a park and a wake-up touch */
	bool foreign;		/* kernel thread with no P (see proc.c, needm) */
	uint8_t score;		/* 0..3: how sure it blocks after a wake-up */
	uint8_t turns;		/* see goturns; owner */
	uint8_t hogs;		/* parks until its last slice used up is forgotten */
	uint8_t inplace;	/* enum inplace, see syscall.c; owner G */
	uint16_t nwired;	/* depth of gowire; owner G */
	uint32_t turntick;	/* see goturns; owner */
	uint64_t sigpend;	/* sent to this G; read anywhere, seq_cst */

	uint8_t loops;		/* an event loop: gloops; owner */
	bool unwire;		/* foreign only while wired; owner G */
	bool inturn;		/* in the global queue, alone: globrunqget; by sched.lock */
	struct sematurn *turnat; /* see semawaitturn */
	const uint32_t *turnlock; /* and handsover */

	/* with the next few, what making and ending one touches; constant from gfget to
	 * gfput, where nothing else is said */
	uint32_t id cacheline;
	uint8_t prio;		/* real-time, 0: none; owner */
	int8_t class;		/* stack size class; -1: the main G's, foreign */
	bool madvguard;		/* the guard was made by MADV_GUARD_INSTALL */
	bool native;		/* P-less until nativeleft parks are done; owner */
	bool kept;		/* gokeep; owner */
	uint8_t nunseen, nfreed; /* lately; owner: pless.c */
	void (*startfn)(void);
	uintptr_t slot;		/* its memory: [slot, slot + size of class) */
	uintptr_t idlo;		/* lowest byte of the identity in the slot */
	uintptr_t guardlo;	/* the guard, below stacklo, */
	size_t guard;		/* and its bytes */
	uintptr_t userstack;	/* the caller's own stack, or 0 */

	int64_t cputime;	/* on the Ms that it has left; see cputime.c */
	struct sigalt alt;	/* virtual alternate stack; owner */

	uintptr_t stacklo, stackhi;
	struct timer timer;

	/* signals: by siglock, but where said (sigsend.c) */
	uint64_t sigwaits;	/* gsigwait's set */
	struct signode *sigq;	/* oldest first */
	struct g *sigwaitnext;
	uint32_t nhandled;	/* handlers run; owner */
	bool exactmask;		/* the kernel has its mask, ours in it: gsigvfork */
	bool maskcall;		/* the kernel may have another mask: gsigmaskcall */
	struct sidestack *side; /* its frame is, or was, there; owner */
	uint32_t nativeleft;	/* 0: for good */
	int64_t unseenat, freedat;
	int64_t readyat;	/* when it became runnable; who made it, then its M */
} cacheline; /* a switch touches the first line only */

/* ---- M ------------------------------------------------------------------------ */

/* Files that tell what an M does, best first: `syscall` names the call but cannot be opened
 * once the process has changed its user; `stat` only tells whether it sleeps. */
enum prockind { PROC_SYSCALL, PROC_STAT, PROC_NONE };

enum pstate { PS_HELD, PS_SYSCALL, PS_RETAKING, PS_TAKEN, PS_NONE, PS_FOREIGN };

/* Why a P was taken; TAKEN_BUSY: its M did not sleep, but was long in a declared call. */
enum takenwhy {
	TAKEN_DECLARED,
	TAKEN_UNSEEN,
	TAKEN_REFUSED,
	TAKEN_STW,
	TAKEN_BUSY,
	TAKEN_WHYS
};

struct m {
	/* hot: owner only, but pstate (see the top) */
	uint32_t locks;		/* > 0: in core; sysmon may look, not touch */
	uint32_t pstate;
	uint32_t sigwork;	/* signals were put off: see releasem; owner */
	struct p *p;		/* NULL: none, or in a system call */
	struct p *oldp;		/* in a system call: the P it had, or has */
	struct g *curg;		/* NULL on g0 */
	struct g *dead;		/* exited G whose stack this M has just left */
	struct g *switchto;	/* G that gswitch may find still being left */
	struct polldesc *wrote;	/* what its Gs last wrote to; see netpoll.c, Peers */
	uint64_t ranfrom;	/* cputicks: has had no wait for files since; netpollyield */
	uint64_t yieldat;	/* and does not let others run before that */
	uint64_t sigmask;	/* what the kernel has for this thread */
	bool spinning;		/* counted in sched.nmspinning */
	uint32_t rand;
	struct g *g0;

	/* set before the note is woken, read after */
	struct p *nextp;
	struct note park;

	/* ispoke; owner */
	uint64_t resent;	/* standard signals that sendon has sent to itself */
	uint64_t resentinfo[SIGINFO_SIZE / 8]; /* of the last of them */

	/* guarded by sched.lock */
	struct m *schedlink;	/* idle list */
	struct m *alllink;	/* append-only list of all Ms: load_acquire */
	uint32_t id;

	int32_t foreignpid;	/* needm made it, in that process; else 0; see reapms */

	/* what sysmon, or preempthog, wants of its next SIGPREEMPT: enum, see preempt.c */
	uint32_t preempt;
	bool refused;		/* it was asked and did not; sysmon clears */
	uint32_t takenwhy;	/* the P was taken: enum takenwhy; before PS_TAKEN */
	bool nosig;		/* sysmon, template: never runs a handler */
	bool parked;		/* its P-less G sleeps on the note; owner */
	bool ending;		/* it shall not run another G; owner */
	bool execing;		/* no SIGPREEMPT of ours: see gsigexec; owner */
	bool newtid;		/* procfd is of its last kernel thread */
	struct g *acctg;	/* cputime.c: who is counted, */
	int64_t acctat;		/* and the M's CPU time when it came */
	uint32_t acctseq;
	struct g *first;	/* the kept G that it was made for */
	void *stack;		/* g0's, where core made it */
	uintptr_t sigstack;	/* its alternate stack, 0: none */
	struct uring {		/* owner; see uring.c */
		struct io_uring_sqe *sqes; /* NULL: not made */
		struct io_uring_cqe *cqes;
		uint32_t *sqtail, sqmask;
		uint32_t *cqhead, *cqtail, cqmask;
		long index;	/* among those registered with the thread */
		void *mem;	/* its memory, where that is ours */
	} uring;

	/* sysmon only, but tid (set once) */
	int32_t tid;
	int procfd;		/* sysmon's, /proc/self/task/TID/..., or -1 */
	uint32_t prockind;	/* which file: enum prockind */
	int64_t takenat;	/* since when it is unseen without its P */
	int64_t pokedat;	/* preemptone */
	struct g g0store;
};

/* ---- P ------------------------------------------------------------------------ */

enum pstatus { Pidle, Prunning, Pdead };

struct p {
	/* owner M writes, thieves read: see runq.c */
	union {
		uint64_t runqheadgen cacheline;
		uint32_t runqhead; /* its lower half */
	};
	uint32_t runqtail;
	struct g *runnext;
	struct g *runq[RUNQ];

	/* owner only */
	uint32_t schedtick cacheline; /* every schedule(); sysmon reads */
	uint32_t switchtick;	      /* every switch, direct ones too */
	uint32_t syscalltick;	      /* every exitsyscall */
	uint32_t nsent;		      /* gosent, */
	int sentby;		      /* by that file, */
	uint32_t sentat;	      /* in the turn of this switchtick */
	struct g *readied;	      /* woken into runnext by curg, not yet run */
	uint64_t readiedat;	      /* cputicks then, 0 if not measured */
	struct g *gfree;	      /* dead Gs of the default class */
	uint32_t ngfree;
	uint64_t nginit;	      /* Gs that it has started */
	bool preempt;		      /* others want this P: no direct switch */
	uint32_t stealfrom;	      /* from this P first, + 1; 0: none; preempthog */
	bool fairturn;		      /* the global queue has turns; a hint, sysmon sets it */
	bool nextlifo;		      /* runnext has let a new G run first: lifo */
	uint32_t lifo;		      /* so many at the tail, the last first: runq.c */
	uint32_t lifohead;	      /* runqhead when it was looked at, */
	uint64_t lifoat;	      /* and cputicks: newproc.c */
	uint32_t globcredit;	      /* globalsturn */
	bool othersran;		      /* than runnext, since the last slice */

	uint32_t id;
	uint32_t status;	/* guarded by sched.lock */
	struct p *link;		/* idle list, by sched.lock */
	struct m *m;		/* who holds it; sysmon reads */

	/* sysmon only */
	uint32_t sysmontick;	/* schedtick + switchtick, */
	uint32_t sysmoncalls;	/* syscalltick at the last look */
	int64_t sysmonwhen;	/* since when the same G runs */
	int64_t sysmonslice;	/* how long it may; 0: for ever */
	struct m *sysmonof;	/* on this M, which had */
	int64_t sysmoncpu;	/* computed so much by then */
	int64_t sysmonasked;	/* when it was told that it has; 0: it has not */
	int64_t sysmontalk;	/* when a G had used up a slice and made calls in it; */
	bool sysmoncalled;	/* this one has, or did the one before it */
	int64_t sysmontimer;	/* when it was last asked for because of a timer */
	int64_t sysmonfair;	/* when it was last sent to the global queue */

	uint64_t hogat;		/* cputicks when preempthog chose it */

	/* guarded by timerlock; ntimers and when0 read by anybody as hints */
	struct mutex timerlock cacheline;
	struct timerslot *heap;
	struct timerref *timerref;
	uint32_t ntimers, heapcap, freeref; /* + 1; 0: the next is ntimers */
	struct timerlist coarse[TIMERSTEPS];
	int64_t coarse0;	/* none of those is earlier; 0: there is none */
	int64_t when0;		/* earliest, NEVER if none */
};

/* ---- sched --------------------------------------------------------------------- */

struct schedt {
	struct mutex lock;
	/* guarded by lock */
	struct m *midle;
	struct p *pidle;
	struct g *runqhead, *runqtail;
	struct p *wantm;	/* Ps that wait for the template thread's M */
	struct g *gfree[NCLASS];	/* dead Gs whose stacks may hold pages */
	struct g *gcold[NCLASS];	/* and those whose stacks hold none */
	uint32_t nglist[NCLASS];	/* both */
	struct m *deadm;	/* Ms whose kernel thread ends, or has */
	struct m *freem;	/* foreign Ms whose thread has ended, */
	struct g *freeg;	/* and their Gs */
	uint32_t nforeign;	/* foreign Ms in use, as far as is known */
	uint32_t reapat;	/* so many of them: look which thread has ended */
	bool reaping;		/* somebody does */
	int64_t wantat;		/* since when the first does */
	int64_t makingat;	/* since when it makes one, 0: it does not; a hint, without lock */
	uint32_t nmstarting;	/* Ms on their way; read anywhere */
	uint32_t nm;		/* Ms ever made */
	struct m *allm;

	/* written under lock, read anywhere as hints (seq_cst where said) */
	uint32_t runqsize;
	uint32_t ninturn; /* so many of them are in turn, see globrunqget */
	uint32_t npidle cacheline;
	uint32_t nmidle;
	uint32_t nmspinning;	/* see "Delicate dance" in proc.c */
	uint32_t gomaxprocs;
	uint32_t aloneticks;	/* ALONETICKS or CROWDEDTICKS */
	uint32_t gcwaiting;	/* the world is being stopped */
	uint32_t nheld;		/* so often a G has let others wait, sysmon found */
	bool hogs;		/* some G has used up a slice lately; a hint */
	uint32_t stopwait;	/* Ps still to stop; by lock */
	struct note stopnote;

	/* the one M that sleeps for timers and files (poller.c) */
	uint32_t poller cacheline; /* POLL_* and its id, 0: none; seq_cst */
	uint32_t pollkey;	/* futex word: bumped to end a POLL_NAP */
	int64_t polluntil;	/* that sleep's end; seq_cst */
	int64_t lastpoll;	/* when somebody last looked at the files */
	uint32_t npollwait cacheline; /* Gs that wait for files */
	uint32_t ninplace;	/* Ms in entersyscallwait */

	bool accounting;	/* somebody has asked for CPU times */
	struct g *maing;	/* the process's first thread */
	uint32_t ng;		/* Gs that live, main included */
	uint64_t nginit;	/* Gs ever started, without a P */
	uint32_t idgen;		/* Gs ever made, main not counted */
	uint32_t ghosts;	/* ids to this one are the fork parent's, but for heir */
	struct g *heir;		/* the G that this process was forked by */
	int64_t starttime;

	/* sysmon and the template thread */
	struct mutex retakelock;
	uint32_t sysmonwait;	/* enum; written under lock, read anywhere */
	uint32_t sysmontimer;	/* 1 + its number; 0: there is none */
	int64_t armedat;	/* by lock */
	int64_t armedfor;	/* the timer's time, in SYSMON_LAZY and before; by lock */
	struct m *sysmonm;
	uint32_t sysmontid;	/* 0 until it runs */
	uint32_t ntaken;	/* Ms that lost their P unseen and are not back */
	uint64_t npreempt;	/* for the report; */
	uint64_t nretaken[TAKEN_WHYS]; /* by retakelock */
	uint64_t maxwait;	/* ns: longest from runnable to running, */
	uint64_t maxwaitlate;	/* the same since the last schedtrace line */
	struct note templatenote;
	uint32_t wantspare;
	/* signals: how many Gs block each; see gsigmask */
	uint32_t nblock[64];
	uint32_t recvgen, recvack;
	uint32_t sigchanges, sigseen; /* see sigstale */
	uint64_t recvmask, recvwant;  /* what the receiver goes by */
	uint32_t livebegun, livedone; /* see siglive */
	struct g *sigwaiters;	/* by siglock, linked by sigwaitnext */
	uint32_t npoking;	/* callers of sigpoke with SIGPREEMPT; see gsigexec */
	uint32_t attending;	/* some G has GF_ATTENTION for sysmon to see to */
};

extern struct schedt sched __attribute__((visibility("hidden")));
extern struct p *allp[MAXP] __attribute__((visibility("hidden")));
extern struct m m0 __attribute__((visibility("hidden")));
extern __thread struct g *tlsg TLS_IE;

/* ---- the M: enter and leave core ---------------------------------------------- */

struct g *needm(void);
cold void sigrelease(void);
cold void sigreleaseas(uint64_t kernels);
cold void acquirem_slow(struct m *mp);
void settlep(struct m *mp);

static inline struct g *curg(void)
{
	return tlsg;
}

/* The M that runs gp now, or NULL. Whoever has set a flag of gp's before (and a barrier
 * that reaches all CPUs between) may take NULL for "it will see the flag". gswitch
 * stores m first. */
static inline struct m *goncpu(const struct g *gp)
{
	return __atomic_load_n(&gp->sched.oncpu, __ATOMIC_ACQUIRE) ?
		       READ_ONCE(((struct g *)gp)->sched.m) :
		       NULL;
}

static inline bool onsysmon(void)
{
	return curg() && curg()->sched.m == sched.sysmonm;
}

/* Nothing of the program runs here, and nothing moves gp, the caller's, to another
 * M, until m->locks is 0 again. No look at the P. */
static inline struct m *lockm(struct g *gp)
{
	return LOCKM(gp, offsetof(struct g, sched.m), offsetof(struct m, locks));
}

/* Enter core: the returned M and its P (m->p; NULL if it has none) are the
 * caller's until releasem. Nests. */
static inline struct m *acquirem(void)
{
	struct g *gp = tlsg;
	struct m *mp;

	if (unlikely(!gp))
		gp = needm();
	mp = lockm(gp);
	barrier(); /* locks before pstate: see the top of this file */
	if (unlikely(READ_ONCE(mp->pstate) != PS_HELD))
		acquirem_slow(mp);
	return mp;
}

static inline void releasem(struct m *mp)
{
	barrier();
	mp->locks--;
	barrier(); /* a signal from here on is served at once */
	if (unlikely(READ_ONCE(mp->sigwork)))
		sigrelease();
}

static inline uint32_t fastrand(struct m *mp)
{
	mp->rand ^= mp->rand << 13;
	mp->rand ^= mp->rand >> 17;
	mp->rand ^= mp->rand << 5;
	return mp->rand;
}

/* ---- runq.c ---------------------------------------------------------------------- */
void runqput(struct p *pp, struct g *gp, bool next);
void runqputlifo(struct p *pp, struct g *gp);
struct g *runqget(struct p *pp, bool fair);
bool runqempty(struct p *pp);
struct g *runqsteal(struct p *pp, struct p *victim, bool stealnext);
void globrunqput(struct g *gp);		/* holds sched.lock */
struct g *globrunqget(struct p *pp, uint32_t max); /* holds sched.lock */
void globrunqrefill(struct p *pp, uint32_t len); /* overflows first; owner of pp */
void runqdrain(struct p *pp);		/* all to the global queue; holds sched.lock */

/* Where Gs are many nothing of theirs is in the cache when their turn comes, nor their pages
 * in the TLB, and to fetch that, bit by bit, is half of what a turn costs. So have it
 * fetched while the one before runs: stack and identity, not the record. */
#define WARMGS	  512 /* fewer stay in the cache, and to look ahead only costs */
#define WARMSTACK 8 /* cache lines: from the registers saved to who called us */

static inline bool manygs(void)
{
	return READ_ONCE(sched.ng) > WARMGS;
}

static inline void warmg(const struct g *gp)
{
	const char *sp = READ_ONCE(gp->sched.sp);
	const char *fs = (char *)READ_ONCE(gp->sched.fs);
	uintptr_t tls = (uintptr_t)&tlsg - gettp();

	for (int i = 0; i < WARMSTACK; i++)
		__builtin_prefetch(sp + 64 * i);
	__builtin_prefetch(fs);
	__builtin_prefetch(fs + corehooks.identityhot);
	__builtin_prefetch(fs + tls);
	__builtin_prefetch(fs + tls + 64);
}

/* Nobody else wants this P, as far as it knows. */
static inline bool alone(struct p *pp)
{
	return !READ_ONCE(pp->runnext) &&
	       READ_ONCE(pp->runqhead) == pp->runqtail &&
	       READ_ONCE(sched.runqsize) == 0;
}

/* ---- mp.c ---------------------------------------------------------------------- */
void wakep(void);
void startm(struct p *pp, bool spinning);
void handoffp(struct p *pp);
void pidleput(struct p *pp);		/* holds sched.lock */
struct p *pidleget(void);		/* holds sched.lock */
struct p *pidlegetlazy(void);
void acquirep(struct m *mp, struct p *pp);
struct p *releasep(struct m *mp);
void stopm(struct m *mp);
struct p *wantget(struct m *mp);	/* holds sched.lock */
struct m *allocm(void);
void mexit(struct m *mp);
struct m *deadmget(void);

/* ---- pless.c ---- */
void mpless(struct m *mp);
cold void takenback(struct m *mp);
cold bool gonative(struct m *mp);
cold void nativeforgood(struct m *mp, struct g *gp);
cold struct m *goparked(struct m *mp);

/* ---- proc.c ---------------------------------------------------------------------- */
struct m *gopark(struct m *mp);
void goenter(struct m *mp, struct g *gp);
void goready(struct m *mp, struct g *gp);
void goreadylist(struct m *mp, struct g *list);	/* linked by schedlink */
void goreadydue(struct m *mp, struct g *list);
void mstart(void *mp);
void schedloop(int busy);
struct m *gowaitp(struct m *mp);
bool goturn(struct m **mp, struct g *next);
struct m *turnwoken(struct m *mp, bool hand);
void gomain(int busy);

/* See goturns. */
#define TURNSURE 4 /* times; a miss counts as so many */
#define TURNSMAX 8

/* Outside of acquirem a hint: gp may be on another M by now. */
static inline uint32_t ticknow(const struct g *gp)
{
	struct p *pp = READ_ONCE(((struct m *)gp->sched.m)->p);

	return pp ? READ_ONCE(pp->switchtick) : 0;
}

/* Its wait, of so many ticks, has ended with what it was for, or not. */
static inline void turnlearn(struct g *gp, uint32_t ticks, bool got)
{
	if (got && ticks <= 2) /* there and back */
		gp->turns += gp->turns < TURNSMAX;
	else
		gp->turns -= gp->turns < TURNSURE ? gp->turns : TURNSURE;
}

/* ---- newproc.c */
void initproc(struct g *gp, void (*fn)(void), uint64_t sigmask);

/* ---- findwork.c ------------------------------------------------------------------ */
struct g *findrunnable(struct m *mp);
void resetspinning(struct m *mp);
bool pidlewait(struct m *mp, int64_t until);
bool anywork(void);

/* ---- poller.c -------------------------------------------------------------------- */
#define POLL_NAP 1u /* sched.poller: what it does, and id << 2 */
#define POLL_NET 2u
static inline bool inpoll(void)
{
	return (READ_ONCE(sched.poller) & 3) == POLL_NET;
}
bool pollsleep(struct m *mp);
void pollbreak(int64_t when);
void pollneeded(void);
void polllookslow(struct m *mp, struct p *pp);

/* Some G waits for a file. */
static inline bool netpollwaiting(void)
{
	return READ_ONCE(sched.npollwait) != 0;
}

/* Make ready the Gs whose files are, on pp, the caller's. */
static inline void polllook(struct m *mp, struct p *pp)
{
	if (netpollwaiting())
		polllookslow(mp, pp);
}

void uringexit(struct m *mp); /* uring.c */
int64_t mcputime(struct m *mp); /* cputime.c */
cold void accountin(struct m *mp, struct g *gp);
cold void accountout(struct m *mp, struct g *gp);
void accountmain(struct g *gp);
/* ---- netpoll.c */
#define NPOLLEVENTS 128
struct pollevents {
	long n;
	struct epoll_event ev[NPOLLEVENTS];
};
void netpollfetch(struct pollevents *e, int64_t until);
void netpollinject(struct pollevents *e, struct polldesc *wrote);
void netpollyield(struct m *mp);
void netpollbreak(void);
bool netpollready(void);
void netpollstart(void);
void netpollshare(void);
void netpollfork(void);
#define POLLFRESH 250000l /* ns; somebody has looked at the files lately */

/* ---- sched.c: start, stop the world, number of Ps */
int startthread(void (*fn)(void *), struct m *mp);
void schedtemplate(void *arg);

/* ---- timer.c ---------------------------------------------------------------------- */
void timeradd(struct p *pp, struct timer *t, int64_t when, uint32_t seq);
void timeraddcoarse(struct p *pp, struct timer *t, int64_t when, uint32_t step,
		    uint32_t seq);
void timerdel(struct timer *t);
bool timertake(struct g *gp);
int64_t runtimers(struct m *mp, struct p *pp, int64_t now); /* next deadline */
int64_t timersearliest(void);
void timersmove(struct p *from, struct p *to);

/* ---- sema.c ------------------------------------------------------------------------ */
void semainit(void);
void semagrow(uint32_t n);
bool semtimeout(struct g *gp, uint32_t seq);
#define INT_SIGNAL 1 /* g->interrupted */
#define INT_CANCEL 2
bool ginterrupted(struct m *mp, struct g *gp, int why);
struct m *semapark(struct m *mp, const struct semawait *w, int *res);

/* ---- stack.c ------------------------------------------------------------------------ */
bool stackalloc(struct g *gp, size_t size, size_t guard);
void stackfree(struct g *gp);
void stackguard(struct g *gp, size_t size, size_t guard);
void *persistentalloc(size_t size);
void stackcheck(struct g *gp);
void stackfork(void);

/* ---- gs.c --------------------------------------------------------------------------- */
struct g *galloc(void);
struct g *gbyid(uint32_t id);
struct g *gliving(uint32_t id);
void gsfork(void);
bool gscavenge(void);
void gfreeflush(struct p *pp);	/* holds sched.lock */

/* ---- retake.c ----------------------------------------------------------------------- */
struct p *retake(struct p *pp, enum takenwhy why);
bool freeunseen(void);
void freestuck(bool declared);
void unsharefiles(void);
void openprocs(void);
int sysmongetfd(int fd);
void sysmonputfd(int fd);

/* ---- sysmon.c ----------------------------------------------------------------------- */
void sysmon(void *mp);
void schedtraceline(int64_t now);
uint32_t cpucount(void);

enum {
	SYSMON_AWAKE,	/* it looks at intervals */
	SYSMON_ASLEEP,	/* all Ps are idle */
	SYSMON_LAZY,	/* one is not, with a G for which nothing waits: see sysmonlook */
	SYSMON_ARMED,	/* it looks in a moment, unless all Ps are idle then */
	SYSMON_SURE	/* in any case */
};
void sysmonwake(void);
void preempthog(struct p *by);
void sysmonarm(void);
void sysmondisarm(void);
cold void sysmonlookslow(void);
cold void sysmonneeded(void);

/* sysmon looks in a moment, and wakes whom it takes. A hint. */
static inline bool sysmonsoon(void)
{
	return READ_ONCE(sched.sysmonwait) >= SYSMON_ARMED;
}

/* It does not, even if a G becomes runnable. A hint without sched.lock. */
static inline bool sysmonlazy(void)
{
	uint32_t wait = READ_ONCE(sched.sysmonwait);

	return wait == SYSMON_LAZY || wait == SYSMON_ASLEEP;
}

/* Before the caller's P, from pidlegetlazy, runs a G. */
static inline void sysmonlook(void)
{
	if (unlikely(READ_ONCE(sched.sysmonwait) == SYSMON_LAZY))
		sysmonlookslow();
}

bool istimer(const uint64_t *info);

/* ---- signals: masks (sigmask.c), the rest (see core/signal.h), preemption -------------- */
#define MASK_ALL (~0ul)		/* all but those that must not be blocked */
#define MASK_UNKNOWN (1ul << 8) /* no real mask: the kernel's differs */
void msetmask(struct m *mp, uint64_t mask);
uint64_t sigkernel(uint64_t mask);
void sigmaskcount(uint64_t mask, int n);
uint32_t siglive(uint64_t mask, int n);
void sigchanged(void);
bool sigstale(void);
void sigmaskrecord(struct m *mp, struct g *gp, uint64_t mask);
void sigreceive(struct m *mp, int64_t deadline);

int siginit(void);
bool sigstackalloc(struct m *mp);
void sigflush(struct g *gp);
void sigfork(struct g *gp);
uint64_t sighandled(void);
uint64_t sigwant(struct m *mp, uint64_t blocked);
void sigdispatch(struct m *mp, int sig, void *info);
#define POKE (-77)		/* si_code of a signal that core sends to an M */
int sigpoke(struct m *mp, int sig);
void sigadopt(struct m *mp, struct g *gp);
void sigreceived(void);
void sigsettle(uint64_t set);
void sigtake(struct g *gp);
void sigclaim(struct m *mp, struct g *gp, uint64_t set);
void sigopen(struct m *mp, struct g *gp, uint64_t mask);
void sigkept(struct m *mp, struct g *gp);
void sigraise(struct m *mp, struct g *gp);

struct ucontext;
enum preemptwhy { PREEMPT_NONE, PREEMPT_SLICE, PREEMPT_LIBC, PREEMPT_FREE };
/* If nothing else is set SIGURG: ignored by default, rarely used. */
#define SIGPREEMPT options.preemptsignal
void preempt(struct m *mp, struct ucontext *uc);
void preemptinit(void);
void preemptfork(void);
bool preemptrefused(uintptr_t pc, bool libctoo);
void sideput(struct g *gp);
struct ucontext *frameuc(void *frame);
void *framecopy(uintptr_t top, uintptr_t low, const struct ucontext *uc,
		const void *info);
bool sigrestartcall(struct ucontext *uc);
bool sigenter(struct m *mp, struct g *gp, const struct sigact *a, int sig,
	      const void *info, struct ucontext *uc);

/* ---- attention.c ------------------------------------------------------------------- */

void attend(enum attention where);
void attendinterrupt(struct m *mp, struct g *gp, struct ucontext *uc);
void attendagain(void);

#endif
