/* pthread_rwlock.c - read-write locks of our own in pthread_rwlock_t.
 *
 * state: WRITER held for writing; the low bits count readers, and beside WRITER those that
 *	came to read and take their count back: if the writer releases it before that, they
 *	have the lock (a fork's child keeps such a count, of libc's that of all who wait).
 *	WWAIT and RWAIT: such waiters may be queued. Waiters are granted the lock by who
 *	releases it, in one atomic step under the queue's lock, before anybody else can know
 *	it is free: the object is not touched afterwards, and a waiter wakes up as an owner.
 * Preference: readers, as glibc's default; with PREFER_WRITER_NONRECURSIVE a reader
 *	queues behind waiting writers.
 * owner is the writing thread, for EDEADLK; glibc's places for shared (28) and kind
 * (48) are kept, and process-shared locks go to libc.
 */
#include "shim/shim.h"

struct rwlock_ {
	uint32_t state;
	uint32_t unused[5];
	uint32_t owner;		/* glibc's __cur_writer */
	uint32_t shared;	/* glibc's */
	uint32_t unused2[4];
	uint32_t kind;		/* glibc's __flags */
};

_Static_assert(offsetof(struct rwlock_, shared) == 28, "glibc's __shared");
_Static_assert(offsetof(struct rwlock_, kind) == 48, "glibc's __flags");
_Static_assert(sizeof(struct rwlock_) <= sizeof(pthread_rwlock_t), "overlay");

#define WRITER (1u << 31)
#define WWAIT (1u << 30)
#define RWAIT (1u << 29)
#define READERS (RWAIT - 1)
#define MOST (READERS / 2) /* no more than those are let in */
#define MASK_R 1u
#define MASK_W 2u
#define GRANTED 1 /* what a wait ends with */

static bool canread(const struct rwlock_ *rw, uint32_t s)
{
	if (s & WRITER)
		return false;
	return !(s & WWAIT) ||
	       rw->kind != PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP;
}

static inline bool swap(struct rwlock_ *rw, uint32_t *s, uint32_t to)
{
	return __atomic_compare_exchange_n(&rw->state, s, to, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Under the queue's lock: a release by the last holder. Only readers can change the
 * state meanwhile: by joining a reader that releases, or with a count that is to be taken
 * back while it is a writer. */
static void grant(struct semaq *q, void *arg)
{
	struct rwlock_ *rw = arg;
	uint32_t s = __atomic_load_n(&rw->state, __ATOMIC_RELAXED);
	/* the bits tell mostly: of one kind there may be many to look through */
	bool hasw = s & WWAIT && semahas(q, MASK_W);
	bool hasr = s & RWAIT && semahas(q, MASK_R);
	bool writerfirst =
		!(s & WRITER) || !hasr ||
		rw->kind == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP;
	uint32_t to, n;

	if (hasw && writerfirst) {
		do {
			if (!(s & WRITER) && (s & READERS) > 1)
				to = s - 1; /* somebody joined */
			else /* WWAIT: perhaps more; it is exact when free */
				to = WRITER | WWAIT | (hasr ? RWAIT : 0) |
				     (s & WRITER ? s & READERS : 0);
		} while (!swap(rw, &s, to));
		if (to & WRITER)
			sematake(q, 1, MASK_W, GRANTED);
		return;
	}
	n = sematakefront(q, MASK_R, GRANTED);
	do
		to = (s & READERS) - !(s & WRITER) + n + (hasw ? WWAIT : 0);
	while (!swap(rw, &s, to));
}

/* Held by more than one reader, by a writer, or somebody waits. */
__attribute__((noinline)) static int releaseslow(struct rwlock_ *rw)
{
	uint32_t s = __atomic_load_n(&rw->state, __ATOMIC_RELAXED);

	if (s & WRITER)
		__atomic_store_n(&rw->owner, 0, __ATOMIC_RELAXED);
	for (;;) {
		uint32_t to = s & WRITER ? s & READERS : s - 1;
		bool waited = s & (WWAIT | RWAIT);

		if (waited && (s & WRITER || (s & READERS) == 1)) {
			semapick((uintptr_t)rw, grant, rw);
			return 0;
		}
		if (swap(rw, &s, to))
			return 0;
	}
}

static inline int release(struct rwlock_ *rw)
{
	uint32_t s = __atomic_load_n(&rw->state, __ATOMIC_RELAXED);

	if (likely(s < MOST && swap(rw, &s, s - 1)))
		return 0;
	return releaseslow(rw);
}

/* Take a count back that came while a writer held it. False: that one has released it
 * meanwhile, so the count is a reader's. */
__attribute__((noinline)) static bool takeback(struct rwlock_ *rw)
{
	uint32_t s;

	while ((s = __atomic_load_n(&rw->state, __ATOMIC_ACQUIRE)) & WRITER)
		if (swap(rw, &s, s - 1))
			return true;
	return false;
}

/* A count first, and then a look: the cache line is asked for once, and nobody's try fails
 * for another's success. */
static inline int tryread(struct rwlock_ *rw)
{
	uint32_t s;

	if (unlikely(rw->kind ==
		     PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) &&
	    !canread(rw, __atomic_load_n(&rw->state, __ATOMIC_RELAXED)))
		return -EBUSY;
	s = __atomic_fetch_add(&rw->state, 1, __ATOMIC_ACQUIRE);
	if (likely(s < MOST))
		return 0;
	if (s & WRITER)
		return takeback(rw) ? -EBUSY : 0;
	if ((s & READERS) < MOST)
		return 0;
	release(rw);
	return -EAGAIN;
}

static int trywrite(struct rwlock_ *rw)
{
	uint32_t s = __atomic_load_n(&rw->state, __ATOMIC_RELAXED);

	while (!(s & (WRITER | READERS)))
		if (swap(rw, &s, s | WRITER)) {
			__atomic_store_n(&rw->owner, threadid(),
					 __ATOMIC_RELAXED);
			return 0;
		}
	return -EBUSY;
}

/* Under the queue's lock: say that a reader waits, unless it need not. */
static bool markreader(void *arg)
{
	struct rwlock_ *rw = arg;
	uint32_t s = __atomic_load_n(&rw->state, __ATOMIC_RELAXED);

	do {
		if (canread(rw, s))
			return false;
	} while (!swap(rw, &s, s | RWAIT));
	return true;
}

static bool markwriter(void *arg)
{
	struct rwlock_ *rw = arg;
	uint32_t s = __atomic_load_n(&rw->state, __ATOMIC_RELAXED);

	do {
		if (!(s & (WRITER | READERS)))
			return false;
	} while (!swap(rw, &s, s | WWAIT));
	return true;
}

static int rwwait(struct rwlock_ *rw, bool write, int64_t deadline)
{
	struct semawait w = { .addr = (uintptr_t)rw,
			      .mask = write ? MASK_W : MASK_R,
			      .front = !write, /* see sematakefront */
			      .reason = WAIT_RWLOCK,
			      .interruptible = true,
			      .deadline = deadline,
			      .check = write ? markwriter : markreader,
			      .arg = rw };

	for (;;) {
		int r = waitinterruptible(&w, NULL);

		if (r == GRANTED) {
			if (write)
				__atomic_store_n(&rw->owner, threadid(),
						 __ATOMIC_RELAXED);
			return 0;
		}
		if (r == -ETIMEDOUT)
			return r;
		r = write ? trywrite(rw) : tryread(rw);
		if (r != -EBUSY)
			return r;
	}
}

/* A writer has given up: readers may have waited only for it. */
static void giveup(struct semaq *q, void *arg)
{
	struct rwlock_ *rw = arg;
	uint32_t s = __atomic_load_n(&rw->state, __ATOMIC_RELAXED);

	if (semahas(q, MASK_W))
		return;
	while (!swap(rw, &s, s & ~WWAIT))
		;
	if (!(s & WRITER))
		sematakefront(q, MASK_R, 0); /* they try again */
}

static void leave(struct rwlock_ **rw)
{
	if (*rw)
		semapick((uintptr_t)*rw, giveup, *rw);
}

__attribute__((noinline)) static int readwait(struct rwlock_ *rw,
					      int64_t deadline)
{
	if ((rw->state & WRITER) && rw->owner == threadid())
		return -EDEADLK;
	return rwwait(rw, false, deadline);
}

static inline int readlock(struct rwlock_ *rw, int64_t deadline)
{
	int r = tryread(rw);

	return likely(r != -EBUSY) ? r : readwait(rw, deadline);
}

static int writelock(struct rwlock_ *rw, int64_t deadline)
{
	int r = trywrite(rw);

	if (likely(r == 0))
		return 0;
	if ((rw->state & WRITER) && rw->owner == threadid())
		return -EDEADLK;
	/* cancelled: unwinds through the cleanup */
	struct rwlock_ *waits __attribute__((cleanup(leave))) = rw;

	r = rwwait(rw, true, deadline);
	if (r == 0)
		waits = NULL;
	return r;
}

/* The four waiting functions: POSIX looks at the time only if it has to wait. */
static int timed(struct rwlock_ *rw, bool write, clockid_t clock,
		 const struct timespec *abs)
{
	int64_t deadline;
	int e = deadlineof(clock, abs, &deadline), r;

	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
		return EINVAL;
	if (e) {
		r = write ? trywrite(rw) : tryread(rw);
		return ret_pthread(r == -EBUSY ? e : r);
	}
	r = write ? writelock(rw, deadline) : readlock(rw, deadline);
	return ret_pthread(r);
}

/* One exported function: shared locks are libc's, called as a blocking call. Their half is
 * out of line, so that the usual lock and unlock have no stack frame. */
#define RWLOCK(name, params, args, own)                                        \
	__attribute__((noinline)) static int name##_other params               \
	{                                                                      \
		struct rwlock_ *rw = (struct rwlock_ *)lock;                   \
                                                                               \
		if (shimnative && (shimnative > 0 || shiminit()))              \
			return REAL(name) args;                                \
		return rw->shared & 0xff ? HANDOFF(REAL(name) args) : own;     \
	}                                                                      \
                                                                               \
	HOT int name params                                                    \
	{                                                                      \
		struct rwlock_ *rw = (struct rwlock_ *)lock;                   \
                                                                               \
		if (unlikely(shimnative | (rw->shared & 0xff)))                \
			return name##_other args;                              \
		return own;                                                    \
	}

RWLOCK(pthread_rwlock_rdlock, (pthread_rwlock_t * lock), (lock),
       ret_pthread(readlock(rw, NEVER)))
RWLOCK(pthread_rwlock_tryrdlock, (pthread_rwlock_t * lock), (lock),
       ret_pthread(tryread(rw)))
RWLOCK(pthread_rwlock_timedrdlock,
       (pthread_rwlock_t * lock, const struct timespec *abs), (lock, abs),
       timed(rw, false, CLOCK_REALTIME, abs))
RWLOCK(pthread_rwlock_clockrdlock,
       (pthread_rwlock_t * lock, clockid_t clock, const struct timespec *abs),
       (lock, clock, abs), timed(rw, false, clock, abs))
RWLOCK(pthread_rwlock_wrlock, (pthread_rwlock_t * lock), (lock),
       ret_pthread(writelock(rw, NEVER)))
RWLOCK(pthread_rwlock_trywrlock, (pthread_rwlock_t * lock), (lock),
       ret_pthread(trywrite(rw)))
RWLOCK(pthread_rwlock_timedwrlock,
       (pthread_rwlock_t * lock, const struct timespec *abs), (lock, abs),
       timed(rw, true, CLOCK_REALTIME, abs))
RWLOCK(pthread_rwlock_clockwrlock,
       (pthread_rwlock_t * lock, clockid_t clock, const struct timespec *abs),
       (lock, clock, abs), timed(rw, true, clock, abs))

RWLOCK(pthread_rwlock_unlock, (pthread_rwlock_t * lock), (lock), release(rw))

ALIAS_OF(__pthread_rwlock_rdlock, pthread_rwlock_rdlock);
ALIAS_OF(__pthread_rwlock_tryrdlock, pthread_rwlock_tryrdlock);
ALIAS_OF(__pthread_rwlock_wrlock, pthread_rwlock_wrlock);
ALIAS_OF(__pthread_rwlock_trywrlock, pthread_rwlock_trywrlock);
ALIAS_OF(__pthread_rwlock_unlock, pthread_rwlock_unlock);
