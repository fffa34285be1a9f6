/* pthread_cond.c - condition variables of our own in pthread_cond_t.
 *
 * A waiter enters the queue before it unlocks the mutex, so there is no window and
 * no sequence number. nwait counts who is in the queue, so that a signal nobody
 * waits for is one load: a signaller that holds, or held, the mutex sees it. It is
 * changed under the queue's lock only, and lowered by who takes a waiter off; a woken
 * waiter does not touch the object: POSIX lets it be destroyed after a broadcast.
 * One waiter need not queue up: the one whose turn it is to run first has asked it, and is
 * likely to signal (core's semawaitturn). It is not in nwait until it queues up after all. If
 * that one was signalled as well, it has the mutex when it runs: it was not unlocked.
 * Bytes 36.. keep glibc's meaning: bit 0 process-shared (goes to libc), bit 1 the
 * monotonic clock.
 */
#include "shim/pthread_mutex.h"

struct cond_ {
	uint32_t nwait;
	uint32_t unused;
	struct sematurn turn;
	uint32_t unused2[3];
	uint32_t flags;
};

#define SHARED 1u
#define MONOTONIC 2u

_Static_assert(offsetof(struct cond_, flags) == 36, "glibc's __wrefs");
_Static_assert(sizeof(struct cond_) <= sizeof(pthread_cond_t), "overlay");

/* Holds the queue's lock. The store before the mutex is unlocked pairs with the load of
 * a signaller that locks it later. */
static void count(struct cond_ *c, uint32_t n)
{
	uint32_t was = __atomic_load_n(&c->nwait, __ATOMIC_RELAXED);

	__atomic_store_n(&c->nwait, was + n, __ATOMIC_RELAXED);
}

static bool addwaiter(void *arg)
{
	count(arg, 1);
	return true;
}

static void dropwaiter(struct semaq *q, void *arg)
{
	(void)q;
	count(arg, -1u);
}

/* Around a wait a wired G stays wired: between enqueueing and parking it must not
 * look for a P. */
static bool islibcs(pthread_mutex_t *mutex)
{
	const struct mutex_ *m = (struct mutex_ *)mutex;

	return !mutex_plain(m) && !mutex_hasowner(m);
}

static void unlockmutex(void *arg)
{
	if (islibcs(arg))
		REAL(pthread_mutex_unlock)(arg);
	else
		pthread_mutex_unlock(arg);
}

static int relock(pthread_mutex_t *mutex)
{
	if (!islibcs(mutex))
		return pthread_mutex_lock(mutex);
	return HANDOFF(REAL(pthread_mutex_lock)(mutex));
}

static int waituntil(struct cond_ *c, pthread_mutex_t *mutex, int64_t deadline)
{
	struct semawait w = { .addr = (uintptr_t)c,
			      .reason = WAIT_COND,
			      .interruptible = true,
			      .deadline = deadline,
			      .check = addwaiter,
			      .arg = c,
			      .unlock = unlockmutex,
			      .unlockarg = mutex };
	int r, e;

	if (!mutex_owned(mutex))
		return EPERM;
	cancelpoint();
	r = islibcs(mutex) ? semawait(&w)
			   : semawaitturn(&w, &c->turn, mutex_alone(mutex));
	if (r < 0) /* we took ourselves off the queue */
		semapick((uintptr_t)c, dropwaiter, c);
	e = r > 0 ? 0 : relock(mutex);
	if (r == -ECANCELED)
		cancelpoint(); /* with the mutex held, as POSIX has it */
	if (e)
		return e; /* EOWNERDEAD */
	return r == -ETIMEDOUT ? ETIMEDOUT : 0;
}

static uint32_t nwait(const struct cond_ *c)
{
	return __atomic_load_n(&c->nwait, __ATOMIC_ACQUIRE);
}

static void takeone(struct semaq *q, void *arg)
{
	struct cond_ *c = arg;

	/* the queue first: it has waited for longer */
	if (sematake(q, 1, ~0u, 0))
		count(c, -1u);
	else
		sematurned(&c->turn, 0);
}

static void takeall(struct semaq *q, void *arg)
{
	uint32_t n = sematake(q, UINT32_MAX, ~0u, 0);

	if (n)
		count(arg, -n);
}

/* Somebody waits who is to be woken, in the queue; or, if just one is, perhaps in the place
 * by then. */
static inline bool inqueue(struct cond_ *c, bool all)
{
	/* in that order: who has left the place is counted */
	bool turn = __atomic_load_n(&c->turn.taken, __ATOMIC_ACQUIRE);
	bool queue = nwait(c);

	if (!turn || (queue && !all))
		return queue;
	return (!sematurned(&c->turn, (uintptr_t)c) || all) && nwait(c);
}

/* Out of line, so that the usual wait has one stack frame. */
__attribute__((noinline)) static int waitother(pthread_cond_t *cond,
					       pthread_mutex_t *mutex)
{
	NATIVELY(pthread_cond_wait, cond, mutex);
	struct cond_ *c = (struct cond_ *)cond;

	if (!(c->flags & SHARED)) /* shimnative was not decided */
		return waituntil(c, mutex, NEVER);
	return HANDOFF(REAL(pthread_cond_wait)(cond, mutex));
}

HOT int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	struct cond_ *c = (struct cond_ *)cond;

	if (unlikely(shimnative || c->flags & SHARED))
		return waitother(cond, mutex);
	return waituntil(c, mutex, NEVER);
}

EXPORT int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
				  clockid_t clock, const struct timespec *abs)
{
	NATIVELY(pthread_cond_clockwait, cond, mutex, clock, abs);
	struct cond_ *c = (struct cond_ *)cond;
	int64_t deadline;
	int e;

	if (unlikely(c->flags & SHARED)) {
		return HANDOFF(REAL(pthread_cond_clockwait)(cond, mutex, clock, abs));
	}
	e = deadlineof(clock, abs, &deadline);
	return e ? ret_pthread(e) : waituntil(c, mutex, deadline);
}

EXPORT int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
				  const struct timespec *abs)
{
	NATIVELY(pthread_cond_timedwait, cond, mutex, abs);
	struct cond_ *c = (struct cond_ *)cond;

	if (unlikely(c->flags & SHARED)) {
		return HANDOFF(REAL(pthread_cond_timedwait)(cond, mutex, abs));
	}
	return pthread_cond_clockwait(cond, mutex,
				      c->flags & MONOTONIC ? CLOCK_MONOTONIC :
							     CLOCK_REALTIME,
				      abs);
}

EXPORT int pthread_cond_signal(pthread_cond_t *cond)
{
	NATIVELY(pthread_cond_signal, cond);
	struct cond_ *c = (struct cond_ *)cond;

	if (unlikely(c->flags & SHARED))
		return REAL(pthread_cond_signal)(cond);
	if (inqueue(c, false))
		semapick((uintptr_t)c, takeone, c);
	return 0;
}

EXPORT int pthread_cond_broadcast(pthread_cond_t *cond)
{
	NATIVELY(pthread_cond_broadcast, cond);
	struct cond_ *c = (struct cond_ *)cond;

	if (unlikely(c->flags & SHARED))
		return REAL(pthread_cond_broadcast)(cond);
	if (inqueue(c, true))
		semapick((uintptr_t)c, takeall, c);
	return 0;
}

EXPORT int pthread_cond_destroy(pthread_cond_t *cond)
{
	NATIVELY(pthread_cond_destroy, cond);
	struct cond_ *c = (struct cond_ *)cond;

	if (c->flags & SHARED)
		return REAL(pthread_cond_destroy)(cond);
	return 0; /* libc's would wait for counts that are not its own */
}
