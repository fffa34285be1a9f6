/* retake.c - taking the P of an M that sleeps in the kernel.
 *
 * Whether it does /proc tells, for calls that entersyscall has declared and for those
 * that nobody saw. An M that computes in a call keeps its P until its slice is over.
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
 * Called on: sysmon; retake by who stops the world, too, barrierall by anybody.
 * Locks: sched.retakelock, a leaf.
 */
#include "core/runtime.h"
#include <errno.h>

#define UNSEEN_MAX (64 + 4 * READ_ONCE(sched.gomaxprocs))
#define MEMBARRIER_PRIVATE_EXPEDITED 8
#define CLOSE_RANGE_UNSHARE_ 2

/* ---- files --------------------------------------------------------------------------- */

/* sysmon's file table is its own: a file that it opened in the program's would have the
 * lowest free number for an instant, which is the program's to have, to dup2 over, or to
 * close. Not before Linux 5.9, or where it is forbidden. */
static bool ownfiles;
static uint32_t opened; /* nm when all Ms' files were open */

void unsharefiles(void)
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
void openprocs(void)
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

/* What mp does: 'S' it sleeps in a system call, 'R' it has a CPU or waits for one; else
 * something else, or nobody knows. On sysmon, whose file it reads. */
static char mstate(struct m *mp)
{
	char buf[128];
	long n = readproc(mp, buf, sizeof(buf));

	if (n == 0)
		return 0;
	/* "running", or the number of the call; -1 is a page fault */
	if (mp->prockind == PROC_SYSCALL)
		return buf[0] == 'r'		      ? 'R' :
		       buf[0] >= '0' && buf[0] <= '9' ? 'S' :
							0;
	while (n > 0 && buf[n] != ')')
		n--;
	return buf[n + 2]; /* pid (name) state */
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
 * than TAKEN_UNSEEN, even if it does not: it goes on without a P until its next slow
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
	/* it has a CPU, or waits for one: to hand its P on would make one M more for the
	 * same CPUs, and it would come back to none */
	if (was == PS_SYSCALL && why == TAKEN_UNSEEN && mstate(mp) == 'R')
		return NULL;
	if (!cas(&mp->pstate, was, PS_RETAKING))
		return NULL;
	mp->takenwhy = was == PS_SYSCALL && why != TAKEN_BUSY ?
				       TAKEN_DECLARED :
				       why;
	/* see "THE M'S P" in runtime.h; with PS_SYSCALL it need not sleep: it
	 * cannot use its P before it has won the CAS against us */
	old = was == PS_SYSCALL ? mp->oldp : mp->p;
	if (old && mp->takenwhy == TAKEN_UNSEEN) {
		/* before the CAS: takenback counts it down */
		xadd(&sched.ntaken, 1);
		mp->takenat = nanotime();
	}
	/* 'S' acts as a full barrier towards mp: the kernel looked at it under its run
	 * queue's lock while it was off the CPU */
	if (old &&
	    (was == PS_SYSCALL || (onsysmon() && mstate(mp) == 'S') ||
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

/* Too many Ms sleep unseen: free those that have slept longest. False: not so many do. */
bool freeunseen(void)
{
	int64_t after = 0;

	if (READ_ONCE(sched.ntaken) <= UNSEEN_MAX)
		return false;

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
			break;
		after = oldest->takenat;
		if (READ_ONCE(oldest->locks) == 0 && mfutex(oldest)) {
			WRITE_ONCE(oldest->preempt, PREEMPT_FREE);
			sigpoke(oldest, SIGPREEMPT);
		}
	}
	return true;
}

/* mp has no P, and its G may leave it: in a call, or native. */
static bool couldleave(struct m *mp, bool declared)
{
	struct g *gp = READ_ONCE(mp->curg);

	if (!gp || gp == mp->g0 || mp->nosig || READ_ONCE(mp->locks))
		return false;
	switch (READ_ONCE(mp->pstate)) {
	case PS_TAKEN:
		return declared || mp->takenwhy != TAKEN_DECLARED;
	case PS_NONE:
		return true;
	case PS_FOREIGN:
		return gp->native;
	default:
		return false;
	}
}

/* No M can be made and none is left: all sleep, perhaps for a lock of the C library's
 * whose holder waits for an M to run on. If that does not help, of those in declared calls,
 * too, which are the program's: it counts whom it has woken, and an M that is made slowly
 * only is no reason that fewer are there. */
void freestuck(bool declared)
{
	for (struct m *mp = load_acquire(&sched.allm); mp; mp = mp->alllink)
		if (couldleave(mp, declared) && mfutex(mp)) {
			WRITE_ONCE(mp->preempt, PREEMPT_FREE);
			sigpoke(mp, SIGPREEMPT);
		}
}
