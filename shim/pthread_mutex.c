/* pthread_mutex.c - mutexes of our own in the application's pthread_mutex_t.
 *
 * state, two bits: 0 free, 1 locked, 2 locked and perhaps waited for, 3 the same and a
 *	waiter has waited for a millisecond: the next unlock hands the lock to the oldest
 *	waiter instead of letting whoever comes first have it (Go's starving mode).
 * Above them `coming`, if one that waited was woken and has not been back yet: meanwhile
 *	no other is (Go's mutexWoken). Or all of those that wait are on their way, to find it
 *	locked again, as soon as others come by often; without them the one that has it
 *	mostly has it again, and what it guards is in that CPU's caches.
 * Nobody touches the mutex after the store that frees it: its memory may be gone.
 * Waking goes by address alone. "Contended, no waiter" is normal (fork, timeouts).
 * kind keeps glibc's place and meaning: static initialisers set it; robust, PI,
 * priority-protected and process-shared mutexes (and destroyed ones) go to libc.
 * Order: the CAS that locks (acquire) pairs with the CAS that frees (release).
 */
#include "shim/identity.h"
#include "shim/pthread_mutex.h"

#define PAUSES 30
#define SPINS 4
#define STARVING 1000000 /* ns */

_Static_assert(sizeof(struct mutex_) <= sizeof(pthread_mutex_t), "overlay");

#define LOCKED 3u

/* Another in each process, or a mutex that was forked beside one on its way would wait for
 * that in the child for ever. Written where there is one thread only. */
static uint32_t coming = LOCKED + 1;

void mutex_fork(void)
{
	coming += 2 * (LOCKED + 1); /* never 0 */
}

static inline uint32_t iscoming(uint32_t s)
{
	return (s & ~LOCKED) == coming ? coming : 0;
}

struct attempt {
	uint32_t *state, to;
	struct semawait *wait;
	int64_t since;
	bool starving, came; /* it is the one that was woken */
};

/* Mark the mutex waited for; false if it is free. By who waits under the queue's lock. */
static bool markwaited(void *arg)
{
	struct attempt *a = arg;
	uint32_t s = __atomic_load_n(a->state, __ATOMIC_RELAXED), want;

	do {
		if ((s & LOCKED) == 0)
			return false;
		want = a->starving || (s & LOCKED) == 3 ? 3 : 2;
		if (!a->came)
			want |= iscoming(s);
	} while (s != want && !__atomic_compare_exchange_n(
				      a->state, &s, want, false,
				      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	a->came = false;
	return true;
}

static bool trylock(uint32_t *state, uint32_t to, bool came)
{
	uint32_t s = __atomic_load_n(state, __ATOMIC_RELAXED);

	while ((s & LOCKED) == 0)
		if (__atomic_compare_exchange_n(
			    state, &s, to | (came ? 0 : iscoming(s)), false,
			    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

#define HANDED 1 /* semawait's result when the lock was handed over */

static void waited(struct attempt *a)
{
	a->to = 2; /* others may still wait, */
	a->wait->front = true; /* but have not waited as long: as Go */
	if (a->since && corehooks.nanotime() - a->since > STARVING)
		a->starving = true;
}

/* The one that was coming is here. It tries, or leaves word that others wait, before a
 * handler runs on it: they would wait for that handler's end, which may be a collector's
 * that stops the world, and be needed for it. */
static bool came(void *arg)
{
	struct attempt *a = arg;

	a->came = true;
	waited(a);
	while (!trylock(a->state, a->to, a->came))
		if (markwaited(a))
			return false;
	return true;
}

/* As pthread_mutex_lock: 0 or +E. */
__attribute__((noinline)) static int lockwait(uint32_t *state, int64_t deadline)
{
	struct attempt a = { .state = state, .to = 1 };
	struct semawait w = { .addr = (uintptr_t)state,
			      .reason = WAIT_MUTEX,
			      .interruptible = true,
			      .deadline = deadline,
			      .check = markwaited,
			      .woken = came,
			      .arg = &a };

	a.wait = &w;
	for (int i = 0; i < SPINS && canspin(); i++) {
		for (int k = 0; k < PAUSES; k++)
			__builtin_ia32_pause();
		if (trylock(state, 1, false))
			return 0;
	}
	while (!trylock(state, a.to, false)) {
		int r;

		if (!a.since && corehooks.nanotime)
			a.since = corehooks.nanotime();
		r = waitinterruptible(&w, NULL);
		if (r == 0 || r == HANDED)
			return 0;
		if (r == -ETIMEDOUT)
			return ret_pthread(r);
		if (r != -EAGAIN)
			waited(&a); /* a handler has run */
	}
	return 0;
}

/* Free it may be, but one is on the way. */
__attribute__((noinline)) static int lockslow(uint32_t *state, int64_t deadline)
{
	return trylock(state, 1, false) ? 0 : lockwait(state, deadline);
}

/* Under the queue's lock, the mutex still ours: the oldest waiter's, or free for it. */
static void release(struct semaq *q, void *arg)
{
	uint32_t *state = arg, s = __atomic_load_n(state, __ATOMIC_RELAXED);
	bool hand = (s & LOCKED) == 3;

	if (!sematake(q, 1, ~0u, hand ? HANDED : 0))
		s = iscoming(s);
	else
		s = hand ? 2 | iscoming(s) : coming;
	__atomic_store_n(state, s, __ATOMIC_RELEASE);
}

__attribute__((noinline)) static int unlockslow(uint32_t *state)
{
	uint32_t s = __atomic_load_n(state, __ATOMIC_RELAXED);

	while ((s & LOCKED) == 1 || ((s & LOCKED) == 2 && iscoming(s)))
		if (__atomic_compare_exchange_n(state, &s, iscoming(s), false,
						__ATOMIC_RELEASE,
						__ATOMIC_RELAXED))
			return 0;
	if (s & LOCKED) /* or it was not locked: as undefined as ever */
		semapick((uintptr_t)state, release, state);
	return 0;
}

static inline int lockword(uint32_t *state, int64_t deadline)
{
	uint32_t free = 0;

	if (likely(__atomic_compare_exchange_n(state, &free, 1, false,
					       __ATOMIC_ACQUIRE,
					       __ATOMIC_RELAXED)))
		return 0;
	if (free == coming &&
	    __atomic_compare_exchange_n(state, &free, 1 | free, false,
					__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return 0;
	return lockslow(state, deadline);
}

/* 0, so that the slow half is a tail call. */
static inline int unlockword(uint32_t *state)
{
	uint32_t s = __atomic_load_n(state, __ATOMIC_RELAXED);

	if (likely((s & LOCKED) == 1 &&
		   __atomic_compare_exchange_n(state, &s, s - 1, false,
					       __ATOMIC_RELEASE,
					       __ATOMIC_RELAXED)))
		return 0;
	return unlockslow(state);
}

/* Recursive and errorcheck: who owns it counts. */
static int lockowned(struct mutex_ *m, int64_t deadline, bool try)
{
	uint32_t me = threadid();
	int r;

	if (__atomic_load_n(&m->owner, __ATOMIC_RELAXED) == me) {
		if (m->kind % 4 == PTHREAD_MUTEX_ERRORCHECK_NP)
			return try ? EBUSY : EDEADLK;
		if (m->count == UINT32_MAX)
			return EAGAIN;
		m->count++;
		return 0;
	}
	if (try)
		r = trylock(&m->state, 1, false) ? 0 : EBUSY;
	else
		r = lockword(&m->state, deadline);
	if (r)
		return r;
	__atomic_store_n(&m->owner, me, __ATOMIC_RELAXED);
	m->count = 1;
	return 0;
}

static int unlockowned(struct mutex_ *m)
{
	if (__atomic_load_n(&m->owner, __ATOMIC_RELAXED) != threadid())
		return EPERM;
	if (--m->count)
		return 0;
	__atomic_store_n(&m->owner, 0, __ATOMIC_RELAXED);
	return unlockword(&m->state);
}

/* A libc mutex whose owner is known by kernel thread: the G is wired from before it
 * has the lock until it has given it back. self.wired counts, also before there are
 * Gs; a thread that is no G needs nothing. */
static void wire(bool first)
{
	int tid = gowire();

	if (first)
		identity_wire(tid);
}

static void unwire(void)
{
	uintptr_t m = mtp();

	if (self.wired == 0)
		identity_unwire(m);
	gounwire();
}

void mutex_wireheld(void)
{
	for (uint32_t i = 0; i < self.wired; i++)
		wire(i == 0);
}

static bool lockbegin(const struct mutex_ *m)
{
	bool wires = mutex_wires(m);

	if (!wires)
		entersyscall();
	else if (schedstarted && self.gp)
		wire(self.wired == 0);
	self.wired += wires;
	return wires;
}

static void unwired(void)
{
	self.wired--;
	if (schedstarted && self.gp)
		unwire();
}

struct locking {
	bool wires;
	int r; /* 0 and EOWNERDEAD mean that it has the lock; -1: not back, cancelled */
};

static void lockend(struct locking *l)
{
	if (!l->wires)
		exitsyscall();
	else if (l->r != 0 && l->r != EOWNERDEAD)
		unwired();
}

/* A call of libc's that locks m. */
#define LOCKING(m, call)                                                       \
	({                                                                     \
		struct locking l_ __attribute__((cleanup(lockend))) = {        \
			lockbegin(m), -1                                       \
		};                                                             \
                                                                               \
		l_.r = call;                                                   \
	})

static int unlocklibc(pthread_mutex_t *mutex)
{
	/* read first: it may be gone once it is unlocked */
	bool wires = self.wired && mutex_wires((struct mutex_ *)mutex);
	int r = REAL(pthread_mutex_unlock)(mutex);

	if (wires && r == 0)
		unwired();
	return r;
}

/* Out of line, so that the usual lock and unlock have no stack frame. */
__attribute__((noinline)) static int lockother(pthread_mutex_t *mutex)
{
	NATIVELY(pthread_mutex_lock, mutex);
	struct mutex_ *m = (struct mutex_ *)mutex;

	if (mutex_plain(m)) /* shimnative was not decided */
		return lockword(&m->state, NEVER);
	if (mutex_hasowner(m))
		return lockowned(m, NEVER, false);
	return LOCKING(m, REAL(pthread_mutex_lock)(mutex));
}

__attribute__((noinline)) static int unlockother(pthread_mutex_t *mutex)
{
	NATIVELY(pthread_mutex_unlock, mutex);
	struct mutex_ *m = (struct mutex_ *)mutex;

	if (mutex_plain(m))
		return unlockword(&m->state);
	if (mutex_hasowner(m))
		return unlockowned(m);
	return unlocklibc(mutex);
}

HOT int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	struct mutex_ *m = (struct mutex_ *)mutex;

	if (unlikely(shimnative || !mutex_plain(m)))
		return lockother(mutex);
	return lockword(&m->state, NEVER);
}
ALIAS_OF(__pthread_mutex_lock, pthread_mutex_lock);

EXPORT int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	NATIVELY(pthread_mutex_trylock, mutex);
	struct mutex_ *m = (struct mutex_ *)mutex;

	if (likely(mutex_plain(m)))
		return trylock(&m->state, 1, false) ? 0 : EBUSY;
	if (mutex_hasowner(m))
		return lockowned(m, NEVER, true);
	return LOCKING(m, REAL(pthread_mutex_trylock)(mutex));
}
ALIAS_OF(__pthread_mutex_trylock, pthread_mutex_trylock);

EXPORT int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock,
				   const struct timespec *abs)
{
	NATIVELY(pthread_mutex_clocklock, mutex, clock, abs);
	struct mutex_ *m = (struct mutex_ *)mutex;
	int64_t deadline;
	int e;

	if (!mutex_plain(m) && !mutex_hasowner(m))
		return LOCKING(m, REAL(pthread_mutex_clocklock)(mutex, clock,
								abs));
	/* POSIX: a bad time matters only if it has to wait */
	e = deadlineof(clock, abs, &deadline);
	if (e && (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC)) {
		int r = pthread_mutex_trylock(mutex);

		if (r != EBUSY || (mutex_hasowner(m) && mutex_owned(mutex)))
			return r == EBUSY ? EDEADLK : r;
	}
	if (e)
		return ret_pthread(e);
	if (mutex_plain(m))
		return lockword(&m->state, deadline);
	return lockowned(m, deadline, false);
}

EXPORT int pthread_mutex_timedlock(pthread_mutex_t *mutex,
				   const struct timespec *abs)
{
	NATIVELY(pthread_mutex_timedlock, mutex, abs);
	return pthread_mutex_clocklock(mutex, CLOCK_REALTIME, abs);
}

HOT int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	struct mutex_ *m = (struct mutex_ *)mutex;

	if (unlikely(shimnative || !mutex_plain(m)))
		return unlockother(mutex);
	return unlockword(&m->state);
}
ALIAS_OF(__pthread_mutex_unlock, pthread_mutex_unlock);

EXPORT int pthread_mutex_destroy(pthread_mutex_t *mutex)
{
	NATIVELY(pthread_mutex_destroy, mutex);
	struct mutex_ *m = (struct mutex_ *)mutex;

	if ((mutex_plain(m) || mutex_hasowner(m)) &&
	    (__atomic_load_n(&m->state, __ATOMIC_RELAXED) & LOCKED))
		return EBUSY;
	return REAL(pthread_mutex_destroy)(mutex);
}
ALIAS_OF(__pthread_mutex_destroy, pthread_mutex_destroy);
