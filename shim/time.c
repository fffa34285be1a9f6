/* time.c - sleeping parks the G until a timer of core's wakes it; or sleeps in the kernel
 * where that keeps nobody waiting. */
#include "shim/shim.h"
#include <sys/syscall.h>

static int64_t now(void)
{
	struct timespec ts;

	REAL(clock_gettime)(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000l + ts.tv_nsec;
}

static struct timespec timespecof(int64_t ns)
{
	if (ns < 0)
		ns = 0;
	return (struct timespec){ ns / 1000000000, ns % 1000000000 };
}

/* In place, after entersyscallsleep: as clock_nanosleep(2). What the kernel says is left
 * has the timer's slack in it: to go on with that again and again would take for ever
 * where signals come faster, so the sleep goes on until a time. */
static idlepath int sleephere(int flags, const struct timespec *req,
			      struct timespec *rem)
{
	uint32_t handled = gsighandled();
	bool outer = self.incall;
	struct timespec left = *req, at;
	int64_t deadline = 0;
	int r;

	self.incall = true;
	for (;;) {
		r = (int)CANCELCALL(SYS_clock_nanosleep, CLOCK_MONOTONIC, flags,
				    req, &left, 0, 0);
		if (likely(r != -EINTR) || gsighandled() != handled ||
		    cancelpending())
			break;
		if (flags & TIMER_ABSTIME)
			continue;
		deadline = now() + left.tv_sec * 1000000000l + left.tv_nsec;
		at = timespecof(deadline);
		req = &at;
		flags |= TIMER_ABSTIME;
	}
	callend(&outer);
	leavesyscallwait();
	if (unlikely(r == -EINTR)) {
		cancelpoint();
		if (rem)
			*rem = deadline ? timespecof(deadline - now()) : left;
	}
	return r;
}

/* Sleep until deadline, which is `ahead` or past. 0, or -EINTR if a handler ran. */
static int sleepuntil(int64_t deadline, bool ahead)
{
	struct timespec at = timespecof(deadline);
	uint32_t handled = gsighandled();

	if (ahead && entersyscallsleep(deadline))
		return sleephere(TIMER_ABSTIME, &at, NULL);
	for (;;) {
		int r = semasleep(deadline);

		if (r == -ETIMEDOUT)
			return 0;
		/* one whose handler ran just before may still end it */
		if (r == -EINTR && gsighandled() != handled)
			return r;
		cancelpoint();
	}
}

/* On a G? Elsewhere sleeping is the kernel's. */
#define ON_G(f, ...)                                                           \
	if (!ong())                                                            \
	return REAL(f)(__VA_ARGS__)

static int sleeppark(const struct timespec *req, struct timespec *rem)
{
	int64_t d, left;
	int r;

	d = req->tv_sec > INT64_MAX / 1000000000 / 2 ?
		    NEVER / 2 :
		    req->tv_sec * 1000000000l + req->tv_nsec;
	left = d;
	d += now();
	r = sleepuntil(d, left > 0);
	if (r == -EINTR && rem)
		*rem = timespecof(d - now());
	return r;
}

/* What a thread runs between two such sleeps costs what is not in the cache: not even
 * the clock is looked at where nobody else has a timer. */
static idlepath int sleepfor(const struct timespec *req, struct timespec *rem)
{
	if (req->tv_sec < 0 || req->tv_nsec < 0 || req->tv_nsec > 999999999)
		return -EINVAL;
	if (unlikely(cancelpending()))
		cancelpoint();
	if ((req->tv_sec || req->tv_nsec) && entersyscallsleep(NEVER))
		return sleephere(0, req, rem);
	return sleeppark(req, rem);
}

EXPORT idlepath int nanosleep(const struct timespec *req, struct timespec *rem)
{
	NATIVELY(nanosleep, req, rem);
	ON_G(nanosleep, req, rem);
	return ret_errno(sleepfor(req, rem));
}
ALIAS_OF(__nanosleep, nanosleep);

EXPORT int clock_nanosleep(clockid_t clock, int flags,
			   const struct timespec *req, struct timespec *rem)
{
	NATIVELY(clock_nanosleep, clock, flags, req, rem);
	int64_t deadline;
	int e;

	ON_G(clock_nanosleep, clock, flags, req, rem);
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) {
		/* CPU-time clocks and the like: the kernel's business */
		return HANDOFF(REAL(clock_nanosleep)(clock, flags, req, rem));
	}
	if (!(flags & TIMER_ABSTIME))
		return -sleepfor(req, rem);
	if (req->tv_sec < 0)
		return EINVAL;
	e = deadlineof(clock, req, &deadline);
	if (e)
		return -e;
	cancelpoint();
	return -sleepuntil(deadline, deadline > now());
}

EXPORT int usleep(useconds_t us)
{
	NATIVELY(usleep, us);
	struct timespec ts = { us / 1000000, us % 1000000 * 1000l };

	ON_G(usleep, us);
	return ret_errno(sleepfor(&ts, NULL));
}

EXPORT unsigned sleep(unsigned s)
{
	NATIVELY(sleep, s);
	struct timespec ts = { s, 0 }, rem;

	ON_G(sleep, s);
	if (sleepfor(&ts, &rem) == 0)
		return 0;
	return (unsigned)rem.tv_sec + (rem.tv_nsec >= 500000000);
}

EXPORT int thrd_sleep(const struct timespec *req, struct timespec *rem)
{
	NATIVELY(thrd_sleep, req, rem);
	int r;

	ON_G(thrd_sleep, req, rem);
	r = sleepfor(req, rem);
	return r == 0 ? 0 : r == -EINTR ? -1 : -2;
}
