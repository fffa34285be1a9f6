/* sysmon.c - the M without a P that watches the others.
 *
 * It retakes the P of an M that blocks in the kernel (declared by entersyscall, or
 * not: then /proc tells), wakes an M where Gs wait beside an idle P, takes the
 * signals of a process all of whose Ms sleep, gives back the memory of stacks that
 * are not used, prints schedtrace. It sleeps 20 us
 * while there is something to do, twice that after a while, up to 10 ms, and for
 * good while every P is idle. It calls no libc at all.
 */
#include "core/runtime.h"
#include <errno.h>

#define US 1000l
#define MS 1000000l
#define SLICE (10 * MS)
#define BUSY (2 * MS) /* blocked Ms come in crowds: look closely for a while */
#define MEMBARRIER_PRIVATE_EXPEDITED 8
#define MINDELAY 20u
#define MAXDELAY 10000u
#define OWNFD 512 /* our descriptors: beyond those that daemons close */
#define F_DUPFD_CLOEXEC_ 1030
#define O_RDONLY_CLOEXEC 02000000

void mopenproc(struct m *mp)
{
	char path[] = "/proc/self/task/0000000000/syscall";
	char *d = path + sizeof("/proc/self/task/") - 1, *e = d + 10;
	int tid = mp->tid, fd;

	/* digits right-aligned; /proc takes no leading zeros, so move the tail */
	do
		*--e = (char)('0' + tid % 10);
	while (tid /= 10);
	while ((*d++ = *e++))
		;
	fd = (int)RAW(__NR_openat, -100, path, O_RDONLY_CLOEXEC);
	mp->procfd = -1;
	if (fd < 0)
		return;
	mp->procfd = (int)RAW(__NR_fcntl, fd, F_DUPFD_CLOEXEC_, OWNFD);
	RAW(__NR_close, fd);
}

/* mp sleeps in a system call. Acts as a full barrier towards mp: the kernel looked
 * at it under its run queue's lock while it was off the CPU. */
bool msleeps(struct m *mp)
{
	char buf[32];
	long n;
	int fd = mp->procfd;

	if (fd < 0) {
		mopenproc(mp); /* no descriptors were left, or they were closed */
		if (mp->procfd < 0)
			return false;
		n = RAW(__NR_pread64, mp->procfd, buf, sizeof(buf), 0);
		RAW(__NR_close, mp->procfd);
		mp->procfd = -1;
	} else {
		n = RAW(__NR_pread64, fd, buf, sizeof(buf), 0);
		if (n == -EBADF)
			mp->procfd = -1;
	}
	/* "running", or the number of the call; -1 is a page fault */
	return n > 0 && buf[0] >= '0' && buf[0] <= '9';
}

/* A full barrier on every CPU that runs a thread of ours. False: the kernel has
 * none (before 4.14, or forbidden). */
static bool barrierall(void)
{
	return RAW(__NR_membarrier, MEMBARRIER_PRIVATE_EXPEDITED) == 0;
}

/* Take the P that pp's M holds, if that M sleeps in the kernel or, with hog, even if
 * it computes: it goes on without a P until its next slow path, as a native thread
 * would. The P taken, which may be another one by now, or NULL. sysmon, or who stops
 * the world. */
static struct p *retake_locked(struct p *pp, bool hog)
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
	/* see "THE M'S P" in runtime.h; with PS_SYSCALL it need not sleep: it
	 * cannot use its P before it has won the CAS against us */
	old = was == PS_SYSCALL ? mp->oldp : mp->p;
	if (old && (was == PS_SYSCALL || msleeps(mp) || (hog && barrierall())) &&
	    READ_ONCE(mp->locks) == 0 &&
	    cas(&mp->pstate, PS_RETAKING, PS_TAKEN))
		return old;
	cas(&mp->pstate, PS_RETAKING, was);
	return NULL;
}

/* One at a time: two could take turns at the same RETAKING. */
struct p *retake(struct p *pp, bool hog)
{
	struct p *old;

	lock(&sched.retakelock);
	old = retake_locked(pp, hog);
	unlock(&sched.retakelock);
	return old;
}

/* What a P taken from an M could be used for. */
struct demand {
	bool sleeper; /* worth taking it from an M that sleeps */
	bool hog;     /* from one that computes, after its slice */
};

/* With an idle P or a spinning M nothing needs taking: they steal. */
static struct demand demand(int64_t now)
{
	struct demand d = { false, false };
	bool work = READ_ONCE(sched.runqsize) != 0;
	int64_t when = timersearliest();

	if (READ_ONCE(sched.nmspinning) + READ_ONCE(sched.npidle))
		return d;
	for (uint32_t i = 0; i < READ_ONCE(sched.gomaxprocs) && !work; i++)
		work = !runqempty(load_acquire(&allp[i]));
	d.sleeper = work || when != NEVER;
	d.hog = work || when <= now;
	return d;
}

/* One look at every P. True: something was done. */
static bool watch(int64_t now)
{
	bool did = false;
	struct demand d = demand(now);

	for (uint32_t i = 0; i < READ_ONCE(sched.gomaxprocs); i++) {
		struct p *pp = load_acquire(&allp[i]);
		bool hog;
		uint32_t tick;

		if (READ_ONCE(pp->status) != Prunning)
			continue;
		tick = READ_ONCE(pp->schedtick) + READ_ONCE(pp->switchtick) +
		       READ_ONCE(pp->syscalltick);
		if (tick != pp->sysmontick) {
			pp->sysmontick = tick;
			pp->sysmonwhen = now;
			continue;
		}
		hog = d.hog && now - pp->sysmonwhen > SLICE;
		if (hog)
			WRITE_ONCE(pp->preempt, true);
		if (d.sleeper || hog) {
			struct p *old = retake(pp, hog);

			if (old) {
				pp->sysmonwhen = now;
				handoffp(old);
				d = demand(now);
				did = true;
				continue;
			}
		}
		/* its G goes on, others wait and a P is idle: see goready */
		if (!runqempty(pp) && READ_ONCE(sched.npidle) &&
		    READ_ONCE(sched.nmspinning) == 0) {
			wakep();
			did = true;
		}
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

/* CPUs the process may use: affinity mask and cgroup quota. */
static uint32_t affinity(void)
{
	static uint64_t mask[128];
	long n = RAW(__NR_sched_getaffinity, RAW(__NR_getpid), sizeof(mask),
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
	      "runqueue=%u %s\n",
	      (long)((now - sched.starttime) / MS), sched.gomaxprocs,
	      READ_ONCE(sched.npidle), sched.nm + 1,
	      READ_ONCE(sched.nmspinning), READ_ONCE(sched.nmidle), READ_ONCE(sched.ng),
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

/* A signal's handler has run here, for want of a thread that was awake. It would
 * have interrupted the main thread, were it asleep in the kernel. */
static void interruptmain(int err)
{
	if (err == -EINTR)
		ginterrupt(sched.maing, -EINTR, false);
}

/* Every P is idle: sleep until one is not. */
static void deepsleep(struct m *mp)
{
	lock(&sched.lock);
	if (sched.npidle != sched.gomaxprocs || sched.gcwaiting) {
		unlock(&sched.lock);
		return;
	}
	sched.sysmonwait = 1;
	unlock(&sched.lock);
	sigreceiver(mp);
	if (load_acquire(&sched.sysmonnote.key) == 0) /* with notewakeup */
		interruptmain(futexsleep(
			&sched.sysmonnote.key, 0,
			options.schedtrace ?
				nanotime() + options.schedtrace * MS :
				NEVER));
	WRITE_ONCE(sched.sysmonnote.key, 0);
	lock(&sched.lock);
	sched.sysmonwait = 0;
	unlock(&sched.lock);
}

void sysmon(void *arg)
{
	struct m *mp = arg;
	uint32_t idle = 0, delay = MINDELAY;
	int64_t busy = 0; /* when something was last done */

	mp->pstate = PS_FOREIGN;
	mp->tid = gettid_raw();
	mp->sigmask = ~0ul;
	mp->curg = mp->g0;
	mp->g0->foreign = true;
	mp->g0->sched.m = mp;
	mp->g0->sched.fs = gettp();
	tlsg = mp->g0;
	for (;;) {
		int64_t now;

		if (idle > 50 && !gscavenge() &&
		    READ_ONCE(sched.npidle) == READ_ONCE(sched.gomaxprocs))
			deepsleep(mp);
		else
			interruptmain(usleep_raw(delay));
		sigreceiver(mp);
		now = nanotime();
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
		duetimers(now);
		followcpus(now);
		trace(now);
	}
}
