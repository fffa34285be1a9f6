/* sysmon.c - the M without a P that watches the others.
 *
 * It retakes the P of an M that blocks in the kernel (declared by entersyscall, or
 * not: then /proc tells), preempts Gs that run past their slice while others wait,
 * wakes an M where Gs wait beside an idle P, takes the signals of the process while
 * it sleeps (sigmask.c), gives back the memory of stacks that are not used, prints
 * schedtrace. It sleeps 20 us while there is something to do, twice that after a
 * while, up to 10 ms, never past the next timer that nobody else would run, and for
 * good while every P is idle. It calls no libc at all.
 *
 * The net, for what interposition cannot see, in this order:
 *	1. an M that sleeps unseen loses its P and stays where it is;
 *	2. a G to which that happens thrice in 100 ms, or that loses its P in declared
 *	   calls as often, becomes native (pless.c);
 *	3. past UNSEEN_MAX such Ms those longest in an untimed futex wait are freed:
 *	   the kernel restarts that wait when the G runs again, and no other; when no
 *	   other M can be made, all that are in one, in declared calls, too;
 *	4. a G that cannot be preempted for 100 ms loses its P and becomes native.
 * Without a readable /proc an M that does not tick for a slice counts as blocked.
 */
#include "core/runtime.h"
#include <errno.h>

#define US 1000l
#define MS 1000000l
#define TALK (2 * MS) /* a slice beside Gs that talk to each other, */
#define TALKED (100 * MS) /* and for so long after */
#define DUE (MS / 8) /* beside a G whose timer is due, once a ms; then sysmon looks */
#define BUSY (2 * MS) /* blocked Ms come in crowds: look closely for a while */
#define LIBC (3 * MS) /* refusals in libc until it is allowed */
#define REFUSED (100 * MS)
#define STUCK (5 * MS) /* more than making an M takes */
#define DEAF (1000 * MS) /* it may not have had a CPU; or it blocks SIGPREEMPT */
#define UNSEEN_MAX (64 + 4 * READ_ONCE(sched.gomaxprocs))
#define MEMBARRIER_PRIVATE_EXPEDITED 8
#define MINDELAY 20u
#define MAXDELAY 10000u
#define CLOSE_RANGE_UNSHARE_ 2

/* ---- files --------------------------------------------------------------------------- */

/* sysmon's file table is its own: a file that it opened in the program's would have the
 * lowest free number for an instant, which is the program's to have, to dup2 over, or to
 * close. Not before Linux 5.9, or where it is forbidden. */
static bool ownfiles;
static uint32_t opened; /* nm when all Ms' files were open */

static void unsharefiles(void)
{
	opened = 0;
	/* is the rest allowed, too? There is no way back. */
	ownfiles = RAW(__NR_pidfd_getfd, -1, -1, 0) == -EBADF &&
		   RAW(__NR_pidfd_open, -1, 0) == -EINVAL &&
		   RAW(__NR_close_range, 0, ~0u, CLOSE_RANGE_UNSHARE_) == 0;
}

/* A descriptor of the process as the caller has it, for sysmonputfd, or -E. Any thread. */
int sysmongetfd(int fd)
{
	int pidfd, r;

	if (!ownfiles || !onsysmon())
		return fd;
	pidfd = (int)RAW(__NR_pidfd_open, RAW(__NR_getpid), 0);
	r = (int)RAW(__NR_pidfd_getfd, pidfd, fd, 0);
	RAW(__NR_close, pidfd);
	return r;
}

void sysmonputfd(int fd)
{
	if (ownfiles && fd >= 0 && onsysmon())
		RAW(__NR_close, fd);
}

/* ---- what an M does in the kernel ------------------------------------------------- */

/* Files that tell, best first: `syscall` names the call but cannot be opened once the
 * process has changed its user; `stat` only tells whether it sleeps. */
enum prockind { PROC_SYSCALL, PROC_STAT, PROC_NONE };

static int openproc(int tid, const char *file)
{
	char path[64] = "/proc/self/task/", num[12];
	char *d = path + sizeof("/proc/self/task/") - 1;
	int n = 0;

	do
		num[n++] = (char)('0' + tid % 10);
	while (tid /= 10);
	while (n)
		*d++ = num[--n];
	while ((*d++ = *file++))
		;
	return (int)RAW(__NR_openat, -100, path, O_RDONLY_CLOEXEC);
}

static void mopenproc(struct m *mp)
{
	mp->procfd = openproc(mp->tid, "/syscall");
	mp->prockind = PROC_SYSCALL;
	if (mp->procfd < 0) {
		mp->procfd = openproc(mp->tid, "/stat");
		mp->prockind = mp->procfd < 0 ? PROC_NONE : PROC_STAT;
	}
}

/* Open the files of the Ms that have come since: later it may not be allowed. */
static void openprocs(void)
{
	uint32_t n = READ_ONCE(sched.nm);

	if (!ownfiles || opened == n)
		return;
	for (struct m *mp = load_acquire(&sched.allm); mp; mp = mp->alllink) {
		if (mp->procfd >= 0 || READ_ONCE(mp->pstate) == PS_FOREIGN)
			continue;
		if (READ_ONCE(mp->tid))
			mopenproc(mp);
		else
			n = opened; /* not yet up */
	}
	opened = n;
}

/* The file's first bytes. 0: there is none. */
static long readproc(struct m *mp, char *buf, long size)
{
	long n = 0;

	if (READ_ONCE(mp->newtid)) {
		if (mp->procfd >= 0)
			RAW(__NR_close, mp->procfd);
		mp->procfd = -1;
		WRITE_ONCE(mp->newtid, false);
	}
	if (mp->procfd < 0)
		mopenproc(mp);
	if (mp->procfd >= 0)
		n = RAW(__NR_pread64, mp->procfd, buf, size - 1, 0);
	if (n < 0)
		n = 0;
	if (!ownfiles && mp->procfd >= 0) {
		RAW(__NR_close, mp->procfd);
		mp->procfd = -1;
	}
	buf[n] = 0;
	return n;
}

/* mp sleeps in a system call. Acts as a full barrier towards mp: the kernel looked
 * at it under its run queue's lock while it was off the CPU. */
static bool msleeps(struct m *mp)
{
	char buf[128];
	long n = readproc(mp, buf, sizeof(buf));

	if (n == 0)
		return false;
	/* "running", or the number of the call; -1 is a page fault */
	if (mp->prockind == PROC_SYSCALL)
		return buf[0] >= '0' && buf[0] <= '9';
	while (n > 0 && buf[n] != ')')
		n--;
	return buf[n + 2] == 'S'; /* pid (name) state */
}

/* mp may be in a futex wait without a timeout. Only `syscall` can say; with `stat`
 * the entry finds out (preempt.c, infutex). */
static bool mfutex(struct m *mp)
{
	char buf[128], *p = buf;
	uint64_t arg[5] = { 0 };

	if (readproc(mp, buf, sizeof(buf)) == 0)
		return false;
	if (mp->prockind == PROC_STAT)
		return true;
	/* 202 0xADDR 0xOP 0xVAL 0xTIMEOUT ... */
	if (p[0] != '2' || p[1] != '0' || p[2] != '2' || p[3] != ' ')
		return false;
	p += 4;
	for (int i = 0; i < 4; i++) {
		for (p += 2; *p && *p != ' '; p++)
			arg[i] = arg[i] * 16 +
				 (uint64_t)(*p <= '9' ? *p - '0' :
							*p - 'a' + 10);
		if (*p)
			p++;
	}
	return ((arg[1] & 0x7f) == 0 || (arg[1] & 0x7f) == 9) && arg[3] == 0;
}

bool barrierall(void)
{
	return RAW(__NR_membarrier, MEMBARRIER_PRIVATE_EXPEDITED) == 0;
}

/* ---- taking Ps --------------------------------------------------------------------- */

/* Take the P that pp's M holds, if that M sleeps in the kernel or, for other reasons
 * than TAKEN_UNSEEN, even if it computes: it goes on without a P until its next slow
 * path, as a native thread would. The P taken, which may be another one by now, or
 * NULL. sysmon, or who stops the world. */
static struct p *retake_locked(struct p *pp, enum takenwhy why)
{
	struct m *mp = READ_ONCE(pp->m);
	uint32_t was;
	struct p *old;

	if (!mp || READ_ONCE(pp->status) != Prunning)
		return NULL;
	was = READ_ONCE(mp->pstate);
	if ((was != PS_SYSCALL && was != PS_HELD) || READ_ONCE(mp->locks))
		return NULL;
	if (!cas(&mp->pstate, was, PS_RETAKING))
		return NULL;
	mp->takenwhy = was == PS_SYSCALL ? TAKEN_DECLARED : why;
	/* see "THE M'S P" in runtime.h; with PS_SYSCALL it need not sleep: it
	 * cannot use its P before it has won the CAS against us */
	old = was == PS_SYSCALL ? mp->oldp : mp->p;
	if (old && mp->takenwhy == TAKEN_UNSEEN) {
		/* before the CAS: takenback counts it down */
		xadd(&sched.ntaken, 1);
		mp->takenat = nanotime();
	}
	if (old &&
	    (was == PS_SYSCALL || msleeps(mp) ||
	     (why != TAKEN_UNSEEN && barrierall())) &&
	    READ_ONCE(mp->locks) == 0 &&
	    cas(&mp->pstate, PS_RETAKING, PS_TAKEN)) {
		/* not mp's: that may be on its way already */
		why = was == PS_SYSCALL ? TAKEN_DECLARED : why;
		WRITE_ONCE(sched.nretaken[why], sched.nretaken[why] + 1);
		return old;
	}
	if (old && mp->takenwhy == TAKEN_UNSEEN)
		xadd(&sched.ntaken, -1);
	cas(&mp->pstate, PS_RETAKING, was);
	return NULL;
}

/* One at a time: two could take turns at the same RETAKING. */
struct p *retake(struct p *pp, enum takenwhy why)
{
	struct p *old;

	lock(&sched.retakelock);
	old = retake_locked(pp, why);
	unlock(&sched.retakelock);
	return old;
}

/* Too many Ms sleep unseen: free those that have slept longest. */
static void freeunseen(void)
{
	int64_t after = 0;

	for (uint32_t n = READ_ONCE(sched.ntaken); n > UNSEEN_MAX; n--) {
		struct m *oldest = NULL;

		for (struct m *mp = load_acquire(&sched.allm); mp;
		     mp = mp->alllink)
			if (READ_ONCE(mp->pstate) == PS_TAKEN &&
			    mp->takenwhy == TAKEN_UNSEEN &&
			    mp->takenat > after &&
			    (!oldest || mp->takenat < oldest->takenat))
				oldest = mp;
		if (!oldest)
			return;
		after = oldest->takenat;
		if (READ_ONCE(oldest->locks) == 0 && mfutex(oldest)) {
			WRITE_ONCE(oldest->preempt, PREEMPT_FREE);
			sigpoke(oldest, SIGPREEMPT);
		}
	}
}

/* mp has no P, and its G may leave it: in a call, declared or not, or native. */
static bool couldleave(struct m *mp)
{
	struct g *gp = READ_ONCE(mp->curg);

	if (!gp || gp == mp->g0 || mp->nosig || READ_ONCE(mp->locks))
		return false;
	switch (READ_ONCE(mp->pstate)) {
	case PS_TAKEN:
	case PS_NONE:
		return true;
	case PS_FOREIGN:
		return gp->native;
	default:
		return false;
	}
}

/* No M can be made and none is left: all sleep, perhaps for a lock of the C library's
 * whose holder waits for an M to run on. */
static void freestuck(void)
{
	for (struct m *mp = load_acquire(&sched.allm); mp; mp = mp->alllink)
		if (couldleave(mp) && mfutex(mp)) {
			WRITE_ONCE(mp->preempt, PREEMPT_FREE);
			sigpoke(mp, SIGPREEMPT);
		}
}

/* ---- preemption -------------------------------------------------------------------- */

/* What a P taken from an M could be used for. */
struct demand {
	bool sleeper;  /* worth taking it from an M that sleeps */
	int64_t slice; /* from one that computes, after so long; 0: no */
};

/* No M can be made: the C library waits for a lock that a G holds. */
static bool stuck(int64_t now)
{
	return READ_ONCE(sched.wantm) && now - READ_ONCE(sched.wantat) > STUCK;
}

/* With an idle P or a spinning M nothing needs taking: they steal. */
static struct demand demand(int64_t now)
{
	struct demand d = { false, 0 };
	bool work = READ_ONCE(sched.runqsize) != 0;
	int64_t when = timersearliest();

	if (READ_ONCE(sched.nmspinning) + READ_ONCE(sched.npidle) &&
	    !stuck(now))
		return d;
	for (uint32_t i = 0; i < READ_ONCE(sched.gomaxprocs) && !work; i++)
		work = !runqempty(load_acquire(&allp[i]));
	d.sleeper = work || when != NEVER;
	if (work)
		d.slice = options.slice * US;
	/* nobody runs that timer, or sees that file */
	if ((!d.slice || d.slice > MS) &&
	    (when <= now ||
	     (now - READ_ONCE(sched.lastpoll) > MS && netpollready())))
		d.slice = MS;
	return d;
}

/* pp's M has run the same G for `ran` ns and others wait. True: it was asked to give
 * it up; false: it refuses for too long. */
static bool preemptone(struct p *pp, int64_t now, int64_t ran, int64_t slice)
{
	struct m *mp = READ_ONCE(pp->m);

	WRITE_ONCE(pp->preempt, true);
	WRITE_ONCE(sched.nheld, sched.nheld + 1);
	if (ran - slice > (mp && READ_ONCE(mp->refused) ? REFUSED : DEAF))
		return false;
	if (mp && READ_ONCE(mp->pstate) == PS_HELD) {
		WRITE_ONCE(mp->preempt, ran - slice > LIBC ? PREEMPT_LIBC :
							     PREEMPT_SLICE);
		/* real-time ones do not merge while mp waits for a CPU */
		if (SIGPREEMPT < 32 || now - mp->pokedat > MS) {
			mp->pokedat = now;
			sigpoke(mp, SIGPREEMPT);
		}
	}
	return true;
}

/* How long a G may go on with pp, 0: for ever. One that has just woken shall not queue
 * behind one that computes. And where calls are made what computes may be a spin for
 * what another G on the queue would do (servers with I/O threads of their own spin for
 * 2 ms); a slice of 10 ms each was ten times slower than the kernel's slices. */
static int64_t sliceof(struct p *pp, int64_t now, const struct demand *d)
{
	/* who sleeps wakes up as promptly as natively, nearly; not at any price */
	if (d->slice && READ_ONCE(pp->when0) <= now &&
	    now - pp->sysmontimer >= MS)
		return DUE;
	if (d->slice > MS && READ_ONCE(pp->runnext))
		return MS;
	if (d->slice > TALK && now - pp->sysmontalk < TALKED)
		return TALK;
	return d->slice;
}

/* pp does not tick and is wanted: take it, or ask for it. True: something was done. */
static bool want(struct p *pp, int64_t now, const struct demand *d)
{
	int64_t ran = now - pp->sysmonwhen, slice = sliceof(pp, now, d);
	struct p *old = retake(pp, TAKEN_UNSEEN);
	struct m *mp = READ_ONCE(pp->m);

	if (!old && slice && ran > slice) {
		if (slice == DUE)
			pp->sysmontimer = now;
		if (mp && mp->prockind == PROC_NONE && ran > 10 * MS)
			old = retake(pp, TAKEN_STW); /* no /proc: assume it */
		else if (!preemptone(pp, now, ran, slice))
			old = retake(pp, TAKEN_REFUSED);
	}
	if (!old)
		return false;
	pp->sysmonwhen = now;
	handoffp(old);
	return true;
}

/* mp's G sleeps and has kept its P, since nobody needed one: sysmon, which is awake, would
 * stay so for that. */
static bool keptasleep(struct m *mp)
{
	struct g *gp = mp ? READ_ONCE(mp->curg) : NULL;

	return gp && READ_ONCE(gp->inplace) == INPLACE_KEPT &&
	       READ_ONCE(mp->pstate) == PS_SYSCALL;
}

/* One look at every P. True: something was done. */
static bool watch(int64_t now)
{
	bool did = false;
	struct demand d = demand(now);

	for (uint32_t i = 0; i < READ_ONCE(sched.gomaxprocs); i++) {
		struct p *pp = load_acquire(&allp[i]);
		uint32_t tick, calls;
		struct m *mp;

		if (READ_ONCE(pp->status) != Prunning)
			continue;
		tick = READ_ONCE(pp->schedtick) + READ_ONCE(pp->switchtick);
		calls = READ_ONCE(pp->syscalltick);
		if (calls != pp->sysmoncalls)
			pp->sysmontalk = now;
		if (tick != pp->sysmontick) {
			pp->sysmontick = tick;
			pp->sysmoncalls = calls;
			pp->sysmonwhen = now;
			mp = READ_ONCE(pp->m); /* its P may go idle just now */
			if (mp)
				WRITE_ONCE(mp->refused, false);
			/* short turns do not keep those waiting who are not next */
			if (d.slice && now - pp->sysmonfair > d.slice) {
				pp->sysmonfair = now;
				WRITE_ONCE(pp->preempt, true);
			}
			continue;
		}
		/* it does not sleep, but short calls do not make its slice longer */
		if (calls != pp->sysmoncalls) {
			pp->sysmoncalls = calls;
			if (!d.slice || now - pp->sysmonwhen <=
						sliceof(pp, now, &d))
				continue;
		}
		if ((d.sleeper || d.slice || keptasleep(READ_ONCE(pp->m))) &&
		    want(pp, now, &d)) {
			did |= d.sleeper || d.slice;
			d = demand(now);
			continue;
		}
		/* its G goes on, others wait and a P is idle: see goready */
		if (!runqempty(pp) && READ_ONCE(sched.npidle) &&
		    READ_ONCE(sched.nmspinning) == 0) {
			WRITE_ONCE(sched.nheld, sched.nheld + 1);
			wakep();
			did = true;
		}
	}
	/* nor does an M that found a G of its own see to those in the global queue */
	if (READ_ONCE(sched.runqsize) && READ_ONCE(sched.npidle) &&
	    READ_ONCE(sched.nmspinning) == 0) {
		wakep();
		did = true;
	}
	if (READ_ONCE(sched.ntaken) > UNSEEN_MAX) {
		freeunseen();
		did = true;
	}
	if (stuck(now)) {
		freestuck();
		did = true;
	}
	return did;
}

/* Timers of a P whose G does not come by, and nobody sleeps for them. */
static void duetimers(int64_t now)
{
	if (READ_ONCE(sched.npidle) && timersearliest() <= now &&
	    READ_ONCE(sched.nmspinning) == 0)
		wakep();
}

/* Files that Gs wait for, an idle P, and no M that waits for them or has looked lately.
 * Where all Ps compute, demand() asks for one. */
static void duefiles(int64_t now)
{
	if (READ_ONCE(sched.npidle) &&
	    now - READ_ONCE(sched.lastpoll) > POLLFRESH)
		pollneeded();
}

/* CPUs the process may use: affinity mask and cgroup quota. */
static uint32_t affinity(void)
{
	static uint64_t mask[128];
	/* sysmon's own, which no thread of the program can change alone */
	long n = RAW(__NR_sched_getaffinity, sched.sysmontid, sizeof(mask),
		     mask);
	uint32_t cpus = 0;

	for (long i = 0; i < n / 8; i++)
		for (uint64_t w = mask[i]; w; w &= w - 1)
			cpus++;
	return cpus ? cpus : 1;
}

static uint32_t quota(void)
{
	char buf[64];
	int fd = (int)RAW(__NR_openat, -100, "/sys/fs/cgroup/cpu.max",
			  O_RDONLY_CLOEXEC);
	uint64_t num[2] = { 0, 0 };
	long n, i = 0;

	if (fd < 0)
		return MAXP;
	n = RAW(__NR_read, fd, buf, sizeof(buf));
	RAW(__NR_close, fd);
	for (int k = 0; k < 2; k++, i++)
		for (; i < n && buf[i] >= '0' && buf[i] <= '9'; i++)
			num[k] = num[k] * 10 + (uint64_t)(buf[i] - '0');
	if (!num[0] || !num[1])
		return MAXP; /* "max": no quota */
	return (uint32_t)((num[0] + num[1] - 1) / num[1]);
}

uint32_t cpucount(void)
{
	uint32_t n = affinity(), q = quota();

	if (q < n)
		n = q;
	return n > MAXP ? MAXP : n;
}

static void followcpus(int64_t now)
{
	static int64_t last;

	if (options.maxprocs || now - last < 1000 * MS)
		return;
	last = now;
	if (cpucount() != READ_ONCE(sched.gomaxprocs))
		setmaxprocs(cpucount()); /* EBUSY: again in a second */
}

void schedtraceline(int64_t now)
{
	char line[512];
	size_t n = 0;

	for (uint32_t i = 0; i < sched.gomaxprocs && n < sizeof(line) - 16;
	     i++) {
		struct p *pp = allp[i];
		uint32_t len = READ_ONCE(pp->runqtail) -
			       READ_ONCE(pp->runqhead) +
			       (READ_ONCE(pp->runnext) != NULL);
		char d[12];
		int k = 0;

		line[n++] = i ? ' ' : '[';
		do
			d[k++] = (char)('0' + len % 10);
		while (len /= 10);
		while (k)
			line[n++] = d[--k];
	}
	line[n++] = ']';
	line[n] = 0;
	print("SCHED %ldms: gomaxprocs=%u idleprocs=%u threads=%u "
	      "spinningthreads=%u idlethreads=%u gs=%u "
	      "maxwait=%luus runqueue=%u %s\n",
	      (long)((now - sched.starttime) / MS), sched.gomaxprocs,
	      READ_ONCE(sched.npidle), sched.nm + 1,
	      READ_ONCE(sched.nmspinning), READ_ONCE(sched.nmidle), READ_ONCE(sched.ng),
	      (unsigned long)xchg(&sched.maxwaitlate, 0) / 1000,
	      READ_ONCE(sched.runqsize), line);
}

static void trace(int64_t now)
{
	static int64_t last;

	if (!options.schedtrace || now - last < options.schedtrace * MS)
		return;
	last = now;
	schedtraceline(now);
}

/* ---- its own life --------------------------------------------------------------------- */

/* A P is in use again. Most threads of a program that waits, wake up, do a little and
 * wait again; to wake sysmon on another CPU each time costs more than what they do. So a
 * timer of the kernel's wakes it in SOON, unless all Ps are idle before. If that is so
 * time and again, let it: it looks on for a while. What else would be woken for a
 * wrong guess need not be, either: sysmon mends it (sysmonsoon).
 *
 * To set the timer and to stop it again is still half of what such a program costs.
 * While one G runs that nothing else waits for (SYSMON_LAZY) nobody needs sysmon before
 * the next deadline: the timer is set a little past that, and stays set when all are
 * idle again, since the next to wake up puts it off. Whoever makes a G runnable then
 * arms it for SOON (goready, pidleget, globrunqput).
 */
#define SOON (100 * US)
#define OFTEN MS
#define LATE MS /* past the next deadline: mostly somebody has served it by then */
#define LAZYMAX (60000 * MS)

static bool settimer(int64_t delay)
{
	/* interval, value */
	int64_t spec[4] = { 0, 0, delay / (1000 * MS), delay % (1000 * MS) };

	return sched.sysmontimer &&
	       RAW(__NR_timer_settime, sched.sysmontimer - 1, 0, spec, NULL) ==
		       0;
}

/* End sysmon's sleep, or its next. Any thread. */
void sysmonwake(void)
{
	struct m to = { .tid = (int)READ_ONCE(sched.sysmontid) };

	/* no room for another real-time signal: the timer's has its own */
	if (unlikely(sigpoke(&to, SIGPREEMPT) == -EAGAIN)) {
		settimer(1);
		WRITE_ONCE(sched.armedfor, 0);
	}
}

/* Holds sched.lock, as does sysmondisarm. */
void sysmonarm(void)
{
	int64_t now = nanotime();

	sched.armedfor = 0;
	if (!settimer(SOON)) {
		WRITE_ONCE(sched.sysmonwait, SYSMON_SURE);
		sysmonwake();
		return;
	}
	WRITE_ONCE(sched.sysmonwait,
		   now - sched.armedat < OFTEN ? SYSMON_SURE : SYSMON_ARMED);
	sched.armedat = now;
}

/* All Ps are idle: nobody but sysmon takes the signals of the process. */
void sysmondisarm(void)
{
	if (sched.sysmonwait == SYSMON_SURE)
		return;
	if (sigstale()) {
		WRITE_ONCE(sched.sysmonwait, SYSMON_SURE);
		sysmonwake();
		return;
	}
	if (sched.sysmonwait == SYSMON_ARMED)
		settimer(0);
	WRITE_ONCE(sched.sysmonwait, SYSMON_ASLEEP);
}

/* The slow path of sysmonlook. */
void sysmonlookslow(void)
{
	int64_t now = nanotime(), when;

	lock(&sched.lock);
	if (sched.sysmonwait != SYSMON_LAZY)
		goto out;
	when = timersearliest();
	if (anywork() || netpollwaiting() || when <= now ||
	    sched.npidle + 1 != sched.gomaxprocs) {
		sysmonarm();
		goto out;
	}
	when = when < now + LAZYMAX ? when + LATE : now + LAZYMAX;
	if (sched.armedfor > now && sched.armedfor <= when)
		goto out;
	if (settimer(when - now))
		sched.armedfor = when;
	else
		sysmonarm();
out:
	unlock(&sched.lock);
}

/* A G has become runnable, or a deadline is to be met by others. Any thread. */
void sysmonneeded(void)
{
	lock(&sched.lock);
	if (sched.sysmonwait == SYSMON_LAZY)
		sysmonarm();
	unlock(&sched.lock);
}

static void maketimer(void)
{
	struct {
		uint64_t value;
		int signo, notify, tid, pad[11];
	} ev = { .signo = SIGPREEMPT,
		 .notify = 4, /* SIGEV_THREAD_ID */
		 .tid = (int)sched.sysmontid };
	int id;

	if (RAW(__NR_timer_create, 1, &ev, &id) == 0) /* CLOCK_MONOTONIC */
		sched.sysmontimer = (uint32_t)id + 1;
}

/* A signal's siginfo is that timer's. */
bool istimer(const uint64_t *info)
{
	return (int32_t)info[1] == -2 && /* SI_TIMER */
	       (uint32_t)info[2] + 1 == sched.sysmontimer;
}

/* Every P is idle: sleep until one is not. */
static void deepsleep(struct m *mp)
{
	lock(&sched.lock);
	if (sched.npidle != sched.gomaxprocs || sched.gcwaiting) {
		unlock(&sched.lock);
		return;
	}
	WRITE_ONCE(sched.sysmonwait, SYSMON_ASLEEP);
	unlock(&sched.lock);
	sigreceive(mp, options.schedtrace ?
			       nanotime() + options.schedtrace * MS :
			       NEVER);
	lock(&sched.lock);
	WRITE_ONCE(sched.sysmonwait, SYSMON_AWAKE);
	unlock(&sched.lock);
	/* who relied on sysmonsoon */
	if (anywork())
		wakep();
}

/* Nobody has run since the last time. */
static bool quiet(void)
{
	static uint64_t last;
	uint64_t ticks = 0, was = last;

	for (uint32_t i = 0; i < READ_ONCE(sched.gomaxprocs); i++)
		ticks += (uint64_t)READ_ONCE(allp[i]->schedtick) +
			 READ_ONCE(allp[i]->switchtick) +
			 READ_ONCE(allp[i]->syscalltick);
	last = ticks;
	return ticks == was;
}

/* When to look next: `delay` from now, sooner if a G that computes must be preempted
 * by then, or a timer is due that it keeps from running. */
static int64_t nextlook(int64_t now, int64_t delay)
{
	int64_t when = timersearliest(), slice = options.slice * US / 4;

	if (READ_ONCE(sched.npidle)) {
		if (netpollwaiting() && !inpoll() && delay > POLLFRESH)
			delay = POLLFRESH;
		if (READ_ONCE(sched.poller) || when > now + delay)
			return now + delay;
		return when > now ? when : now + delay;
	}
	for (uint32_t i = 0; i < READ_ONCE(sched.gomaxprocs); i++)
		if (slice > MS && (READ_ONCE(allp[i]->runnext) ||
				   now - allp[i]->sysmontalk < TALKED))
			slice = MS;
	if (delay > slice)
		delay = slice;
	if (when < now + delay && delay > DUE)
		delay = when <= now ? DUE : when - now + DUE;
	return now + delay;
}

void sysmon(void *arg)
{
	struct m *mp = arg;
	uint32_t idle = 0, delay = MINDELAY;
	int64_t busy = 0; /* when something was last done */

	mpless(mp);
	sched.sysmonm = mp;
	unsharefiles();
	netpollshare();
	store_release(&sched.sysmontid, (uint32_t)mp->tid); /* see schedinit */
	maketimer();
	futexwakeup(&sched.sysmontid, 1);
	for (;;) {
		int64_t now;

		if (idle > 50 && quiet() && !gscavenge() &&
		    !READ_ONCE(sched.attending) &&
		    READ_ONCE(sched.npidle) == READ_ONCE(sched.gomaxprocs))
			deepsleep(mp);
		else
			sigreceive(mp, nextlook(nanotime(), delay * US));
		now = nanotime();
		openprocs();
		if (watch(now))
			busy = now;
		if (now - busy < BUSY) {
			idle = 0;
			delay = MINDELAY;
		} else if (++idle > 50 && delay < MAXDELAY) {
			delay *= 2;
		}
		if (delay > MAXDELAY)
			delay = MAXDELAY;
		attendagain();
		duetimers(now);
		duefiles(now);
		followcpus(now);
		trace(now);
	}
}
