/* cputime.c - the clocks of threads, which count what a thread computes wherever it runs.
 *
 * A clock of another thread is named by the G's number, among numbers that no kernel
 * thread has: those of threads do not fit into a clock's. Clocks of the process, of the
 * kernel's threads and of time are the kernel's.
 */
#include "shim/shim.h"
#include <sys/resource.h>

#define OURS 0x800000u /* beyond any pid */

/* The thread's G whose clock that is, NULL if it is none of ours. */
struct g *clockthread(clockid_t clock)
{
	uint32_t n = ~(uint32_t)(clock >> 3);
	struct g *gp;

	if (clock >= 0 || (clock & 7) != 6 || n <= OURS || !schedstarted)
		return NULL;
	gp = n - OURS == 1 ? gmain() : gbynumber(n - OURS);
	return gp && threadof((pthread_t)gtp(gp))->gp == gp ? gp : NULL;
}

static bool lives(struct g *gp)
{
	uint32_t state = threadof((pthread_t)gtp(gp))->state;

	return state != FREED && state != EXITED;
}

EXPORT int pthread_getcpuclockid(pthread_t pt, clockid_t *clock)
{
	NATIVELY(pthread_getcpuclockid, pt, clock);
	struct thread *t = threadof(pt);

	if (!schedstarted || !t->gp)
		return REAL(pthread_getcpuclockid)(pt, clock);
	if (!lives(t->gp))
		return ESRCH;
	*clock = THREAD_CLOCK(OURS + gid(t->gp));
	return 0;
}

/* -EINVAL: none of a thread of ours. */
static int64_t threadtime(clockid_t clock)
{
	struct g *gp;

	if (clock == CLOCK_THREAD_CPUTIME_ID)
		return ong() ? gcputime(self.gp) : -EINVAL;
	gp = clockthread(clock);
	return gp && lives(gp) ? gcputime(gp) : -EINVAL;
}

/* The others are read as often as nothing else is. */
static inline bool ofthread(clockid_t clock)
{
	return clock < 0 || clock == CLOCK_THREAD_CPUTIME_ID;
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int64_t ns;
	int e;

	if (likely(!ofthread(clock)))
		return REAL(clock_gettime)(clock, ts);
	e = errno;
	ns = threadtime(clock);
	errno = e;
	if (ns < 0)
		return REAL(clock_gettime)(clock, ts);
	*ts = (struct timespec){ ns / 1000000000, ns % 1000000000 };
	return 0;
}

EXPORT int clock_getres(clockid_t clock, struct timespec *ts)
{
	if (ofthread(clock) && threadtime(clock) >= 0)
		clock = CLOCK_THREAD_CPUTIME_ID;
	return REAL(clock_getres)(clock, ts);
}

/* The sum of both times is the thread's; their proportion, and all else, the kernel
 * thread's. */
EXPORT int getrusage(__rusage_who_t who, struct rusage *usage)
{
	NATIVELY(getrusage, who, usage);
	int r = REAL(getrusage)(who, usage);
	int64_t user, system, sum;

	if (r || who != RUSAGE_THREAD || !ong())
		return r;
	user = usage->ru_utime.tv_sec * 1000000l + usage->ru_utime.tv_usec;
	system = usage->ru_stime.tv_sec * 1000000l + usage->ru_stime.tv_usec;
	sum = gcputime(self.gp) / 1000;
	system = user + system ?
			 (int64_t)((double)system / (double)(user + system) *
				   (double)sum) :
			 0;
	user = sum - system;
	usage->ru_utime = (struct timeval){ user / 1000000, user % 1000000 };
	usage->ru_stime =
		(struct timeval){ system / 1000000, system % 1000000 };
	return 0;
}
