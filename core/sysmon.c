/* sysmon.c - the M without a P that watches the others.
 *
 * It retakes the P of an M that sleeps in the kernel (retake.c), preempts Gs that run
 * past their slice while others wait (and knows them from then on: preempthog), wakes an M
 * where Gs wait beside an idle P, takes the signals of the process while it sleeps
 * (sigmask.c), gives back the memory of stacks that are not used, prints schedtrace. It
 * sleeps 20 us while there is something to do, twice that after a while, up to 10 ms, never
 * past the next timer that nobody else would run, and for good while every P is idle. It
 * calls no libc at all.
 */
#include "core/runtime.h"
#include <errno.h>

#define US 1000l
#define MS 1000000l
#define TALK (2 * MS) /* a slice of Gs that talk, or beside one that just woke, */
#define TALKED (20 * MS) /* and for so long after they did */
#define HOGGED (100 * MS) /* so long after that wake-ups look for such a one, */
#define HOGTICKS 2500000 /* each once in so many cputicks, some 1 ms, */
#define LOOKS 8 /* among so many Ps */
#define STARVED 8 /* slices after which it may have gone on computing */
#define FAIR MS /* so often somebody from the global queue runs beside short turns */
#define DUE (MS / 8) /* beside a G whose timer is due, once a ms; then sysmon looks */
#define BUSY (2 * MS) /* Ms that sleep come in crowds: look closely for a while */
#define LIBC (3 * MS) /* refusals in libc until it is allowed */
#define REFUSED (100 * MS)
#define STUCK (5 * MS) /* more than making an M takes */
#define DEAF (1000 * MS) /* it may not have had a CPU; or it blocks SIGPREEMPT */
#define MINDELAY 20u
#define MAXDELAY 10000u

/* ---- preemption -------------------------------------------------------------------- */

/* What a P taken from an M could be used for. */
struct demand {
	bool sleeper;  /* worth taking it from an M that sleeps */
	int64_t slice; /* from one that computes, after so long; 0: no */
};

/* So long no M can be made: the C library waits for a lock that a G holds, or the kernel is
 * slow. 0: it can. */
static int64_t stuck(int64_t now)
{
	int64_t making = READ_ONCE(sched.makingat),
		since = READ_ONCE(sched.wantat);

	if (!READ_ONCE(sched.wantm))
		return 0;
	if (making && making < since)
		since = making;
	return now - since > STUCK ? now - since : 0;
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

static int64_t hoggedat; /* when preemptone found one last */

/* pp's M has run the same G for `ran` ns and others wait. True: it was asked to give
 * it up; false: it refuses for too long. */
static bool preemptone(struct p *pp, int64_t now, int64_t ran, int64_t slice)
{
	struct m *mp = READ_ONCE(pp->m);
	struct g *gp = mp ? READ_ONCE(mp->curg) : NULL;

	if (gp && ran >= TALK) {
		WRITE_ONCE(gp->hogs, HOGS);
		WRITE_ONCE(sched.hogs, true);
		hoggedat = now;
	}
	WRITE_ONCE(pp->fairturn, false); /* who has just woken goes before those */
	WRITE_ONCE(pp->preempt, true);
	WRITE_ONCE(sched.nheld, sched.nheld + 1);
	if (ran - slice > (mp && READ_ONCE(mp->refused) ? REFUSED : DEAF))
		return false;
	if (mp && READ_ONCE(mp->pstate) == PS_HELD) {
		pp->sysmonasked = now;
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

/* gp, which is on a P's queue, has woken and soon waits again, as far as is known. It may
 * have gone from there, but records of Gs stay. */
static bool brief(struct g *gp)
{
	return gp && !READ_ONCE(gp->hogs);
}

/* A G has woken on the P by, whose own goes on, and no P is idle. One whose G has used up a
 * slice and not parked since is to take it at once: some 2 ms later, when sysmon comes by,
 * it would be the waker that loses its P, while those that compute had all the time that
 * others wait. A P is asked once a ms. Any M, acquired. */
void preempthog(struct p *by)
{
	uint32_t n = READ_ONCE(sched.gomaxprocs);
	uint64_t now = cputicks();

	if (READ_ONCE(sched.nmspinning))
		return; /* that M finds it */
	for (uint32_t i = 1; i < n && i <= LOOKS; i++) {
		struct p *pp = allp[(by->id + i) % n];
		struct m *mp = READ_ONCE(pp->m);
		struct g *hog = mp ? READ_ONCE(mp->curg) : NULL;

		if (!hog || READ_ONCE(hog->hogs) != HOGS ||
		    now - READ_ONCE(pp->hogat) < HOGTICKS ||
		    READ_ONCE(mp->pstate) != PS_HELD ||
		    /* pairs with preempt's exchange: one request at a time */
		    !cas(&mp->preempt, PREEMPT_NONE, PREEMPT_SLICE))
			continue;
		WRITE_ONCE(pp->hogat, now);
		/* before the signal, whose handler looks. One of sysmon's that comes just
		 * now does not see them: then the next schedule() does */
		WRITE_ONCE(pp->stealfrom, by->id + 1);
		WRITE_ONCE(pp->preempt, true);
		sigpoke(mp, SIGPREEMPT);
		return;
	}
}

/* The Gs of pp have used up slices in which calls were made, or one waits that did not use
 * up its own: who did is in turn, in the global queue. */
static bool talks(struct p *pp, int64_t now)
{
	return now - pp->sysmontalk < TALKED || brief(READ_ONCE(pp->runnext)) ||
	       (READ_ONCE(pp->runqhead) != READ_ONCE(pp->runqtail) &&
		brief(READ_ONCE(pp->runq[READ_ONCE(pp->runqhead) % RUNQ])));
}

/* How long a G may go on with pp, 0: for ever. One that has just woken shall not queue
 * behind one that computes, unless it did so itself the last times: a compiler's thread
 * that is given work again. And where calls are made what computes may be a spin for
 * what another G on the queue would do (servers with I/O threads of their own spin for
 * 2 ms); a slice of 10 ms each was ten times slower than the kernel's slices. Beside
 * others that only compute a slice is whole: compressors of files, whose main thread
 * reads and writes, took 8 % longer by short ones, each of which finds other data in
 * the caches. */
static int64_t sliceof(struct p *pp, int64_t now, const struct demand *d)
{
	/* who sleeps wakes up as promptly as natively, nearly; not at any price */
	if (d->slice && READ_ONCE(pp->when0) <= now &&
	    now - pp->sysmontimer >= MS)
		return DUE;
	if (d->slice > MS && brief(READ_ONCE(pp->runnext)))
		return MS;
	if (d->slice > TALK && talks(pp, now))
		return TALK;
	return d->slice;
}

/* pp's M has had no CPU for most of the time: its G has not had its slice. */
static bool starved(struct p *pp, int64_t ran, int64_t slice)
{
	struct m *mp = READ_ONCE(pp->m);
	int64_t cpu;

	if (slice <= DUE || ran >= STARVED * slice || !mp || mp != pp->sysmonof)
		return false;
	cpu = mcputime(mp);
	return cpu >= 0 && cpu - pp->sysmoncpu < slice / 2;
}

/* pp does not tick and is wanted: take it, or ask for it. True: it was taken,
 * from one that *slept or not. */
static bool want(struct p *pp, int64_t now, const struct demand *d, bool *slept)
{
	int64_t ran = now - pp->sysmonwhen, slice = sliceof(pp, now, d);
	struct p *old = retake(pp, TAKEN_UNSEEN);
	struct m *mp = READ_ONCE(pp->m);

	*slept = old;
	pp->sysmonslice = slice;
	if (!old && slice && ran >= slice) {
		if (slice == DUE)
			pp->sysmontimer = now;
		else if (pp->sysmoncalled)
			pp->sysmontalk = now;
		if (mp && READ_ONCE(mp->pstate) == PS_SYSCALL && ran >= TALK)
			old = retake(pp, TAKEN_BUSY);
		else if (mp && mp->prockind == PROC_NONE && ran > 10 * MS)
			old = retake(pp, TAKEN_STW); /* no /proc: assume it */
		else if (starved(pp, ran, slice))
			return false;
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
	bool did = false, slept;
	struct demand d = demand(now);
	int64_t held;

	for (uint32_t i = 0; i < READ_ONCE(sched.gomaxprocs); i++) {
		struct p *pp = load_acquire(&allp[i]);
		uint32_t tick, calls;
		struct m *mp;

		if (READ_ONCE(pp->status) != Prunning)
			continue;
		tick = READ_ONCE(pp->schedtick) + READ_ONCE(pp->switchtick);
		calls = READ_ONCE(pp->syscalltick);
		if (tick != pp->sysmontick) {
			pp->sysmoncalled = calls != pp->sysmoncalls;
			/* one turn further: the next began when this one was told to
			 * end, or it would have what sysmon came late beside its slice */
			pp->sysmonwhen = tick - pp->sysmontick == 2 && pp->sysmonasked ?
						 pp->sysmonasked :
						 now;
			pp->sysmonasked = 0;
			pp->sysmontick = tick;
			pp->sysmoncalls = calls;
			pp->sysmonslice = sliceof(pp, now, &d);
			mp = READ_ONCE(pp->m); /* its P may go idle just now */
			if (mp)
				WRITE_ONCE(mp->refused, false);
			pp->sysmonof = d.slice ? mp : NULL;
			if (pp->sysmonof)
				pp->sysmoncpu = mcputime(mp);
			/* short turns do not keep those waiting who are not next */
			if (d.slice && now - pp->sysmonfair > FAIR) {
				pp->sysmonfair = now;
				WRITE_ONCE(pp->fairturn, true);
				WRITE_ONCE(pp->preempt, true);
			}
			continue;
		}
		/* it does not sleep, but short calls do not make its slice longer */
		if (calls != pp->sysmoncalls) {
			pp->sysmoncalls = calls;
			pp->sysmoncalled = true;
			if (!d.slice || now - pp->sysmonwhen <=
						sliceof(pp, now, &d))
				continue;
		}
		if ((d.sleeper || d.slice || keptasleep(READ_ONCE(pp->m))) &&
		    want(pp, now, &d, &slept)) {
			did |= slept && (d.sleeper || d.slice);
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
	if (READ_ONCE(sched.hogs) && now - hoggedat > HOGGED)
		WRITE_ONCE(sched.hogs, false);
	/* nor does an M that found a G of its own see to those in the global queue */
	if (READ_ONCE(sched.runqsize) && READ_ONCE(sched.npidle) &&
	    READ_ONCE(sched.nmspinning) == 0) {
		wakep();
		did = true;
	}
	did |= freeunseen();
	held = stuck(now);
	if (held) {
		freestuck(held > REFUSED);
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

/* Beside Ms that compute on all CPUs sysmon would get one when the kernel's slice of one of
 * them, some 3 ms, is over. Who asks for a short one (Linux 6.12) goes first. */
static void shortslice(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attr = { .size = sizeof(attr),
		   .nice = 20 - (int)RAW(__NR_getpriority, 0, 0),
		   .runtime = 100 * US };

	RAW(__NR_sched_setattr, 0, &attr, 0);
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
		if (slice > MS && talks(allp[i], now))
			slice = MS;
	if (delay > slice)
		delay = slice;
	for (uint32_t i = 0; i < READ_ONCE(sched.gomaxprocs); i++) {
		int64_t left = allp[i]->sysmonwhen + allp[i]->sysmonslice - now;

		if (allp[i]->sysmonslice && left > 0 && left < delay)
			delay = left;
	}
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
	shortslice();
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
