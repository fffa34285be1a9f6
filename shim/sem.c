/* sem.c - unnamed semaphores of our own in sem_t.
 *
 * One 64-bit word: the value below, the number of waiters above, so that a post can
 * tell whether to wake without touching the object again: by then it may be gone.
 * A waiter counts itself, waits in the queue, and takes value and its own count back
 * in one step, its last touch. init, destroy, getvalue and named semaphores are
 * libc's; process-shared ones (0x80 at byte 8, glibc's mark) go there too, and all where
 * there is no scheduler: the kernel's wait is what a handler ends, or restarts, and a
 * handler may post. libc's word is the same, so one that waits there when the first
 * thread starts is counted: a post that finds nobody in our queue wakes it.
 */
#include "shim/shim.h"
#include <limits.h>
#include <linux/futex.h>
#include <semaphore.h>
#include <sys/syscall.h>

struct sem_ {
	uint64_t word;
	uint32_t shared;
};

#define WAITER (1ul << 32)
#define VALUE(w) ((uint32_t)(w))
#define LIBCS(s) unlikely(!schedstarted || (s)->shared & 0x80)

_Static_assert(sizeof(struct sem_) <= sizeof(sem_t), "overlay");

/* Some thread has waited in libc's for one that is not shared. */
static bool libcwaits;

/* The flag comes before libc counts the waiter, by which post tells. */
#define LIBCWAIT(s, call)                                                      \
	({                                                                     \
		if (!((s)->shared & 0x80))                                     \
			__atomic_store_n(&libcwaits, true, __ATOMIC_RELAXED);  \
		BLOCKING(call);                                                \
	})

static bool take(struct sem_ *s, uint64_t with)
{
	uint64_t w = __atomic_load_n(&s->word, __ATOMIC_RELAXED);

	while (VALUE(w))
		if (__atomic_compare_exchange_n(&s->word, &w, w - 1 - with,
						false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

static bool iszero(void *arg)
{
	struct sem_ *s = arg;

	return VALUE(__atomic_load_n(&s->word, __ATOMIC_SEQ_CST)) == 0;
}

static void uncount(struct sem_ **s)
{
	if (*s)
		__atomic_fetch_sub(&(*s)->word, WAITER, __ATOMIC_SEQ_CST);
}

static int waitslow(struct sem_ *s, int64_t deadline)
{
	struct semawait w = { .addr = (uintptr_t)s,
			      .reason = WAIT_SEM,
			      .interruptible = true,
			      .deadline = deadline,
			      .check = iszero,
			      .arg = s };
	/* cancelled: unwinds through the cleanup */
	struct sem_ *counted __attribute__((cleanup(uncount))) = s;

	/* seq_cst, before the check in the queue: pairs with post's add */
	__atomic_fetch_add(&s->word, WAITER, __ATOMIC_SEQ_CST);
	for (;;) {
		int r;

		if (take(s, WAITER)) {
			counted = NULL;
			return 0;
		}
		r = semawait(&w);
		if (r == -EINTR && deadline == NEVER && gsigrestarts())
			continue; /* the kernel restarts untimed waits only */
		if (r == -EINTR || r == -ETIMEDOUT)
			return r;
		if (r == -ECANCELED)
			cancelpoint();
	}
}

static int waituntil(struct sem_ *s, int64_t deadline)
{
	bool turned, got;
	int r = 0;

	cancelpoint();
	if (take(s, 0))
		return 0;
	turned = goturns();
	got = turned && take(s, 0);
	if (!got)
		r = waitslow(s, deadline);
	goturned(r == 0 && got == turned);
	return ret_errno(r);
}

EXPORT int sem_wait(sem_t *sem)
{
	NATIVELY(sem_wait, sem);
	struct sem_ *s = (struct sem_ *)sem;

	if (LIBCS(s))
		return LIBCWAIT(s, REAL(sem_wait)(sem));
	return waituntil(s, NEVER);
}

EXPORT int sem_trywait(sem_t *sem)
{
	NATIVELY(sem_trywait, sem);
	struct sem_ *s = (struct sem_ *)sem;

	if (LIBCS(s))
		return REAL(sem_trywait)(sem);
	return ret_errno(take(s, 0) ? 0 : -EAGAIN);
}

EXPORT int sem_clockwait(sem_t *sem, clockid_t clock,
			 const struct timespec *abs)
{
	NATIVELY(sem_clockwait, sem, clock, abs);
	struct sem_ *s = (struct sem_ *)sem;
	int64_t deadline;
	int e;

	if (LIBCS(s))
		return LIBCWAIT(s, REAL(sem_clockwait)(sem, clock, abs));
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
		return ret_errno(-EINVAL);
	e = deadlineof(clock, abs, &deadline);
	if (e) /* the time matters only if it has to wait */
		return ret_errno(take(s, 0) ? 0 : e);
	return waituntil(s, deadline);
}

EXPORT int sem_timedwait(sem_t *sem, const struct timespec *abs)
{
	NATIVELY(sem_timedwait, sem, abs);
	struct sem_ *s = (struct sem_ *)sem;

	if (LIBCS(s))
		return LIBCWAIT(s, REAL(sem_timedwait)(sem, abs));
	return sem_clockwait(sem, CLOCK_REALTIME, abs);
}

EXPORT int sem_post(sem_t *sem)
{
	NATIVELY(sem_post, sem);
	struct sem_ *s = (struct sem_ *)sem;
	uint64_t w;

	if (LIBCS(s))
		return REAL(sem_post)(sem);
	w = __atomic_load_n(&s->word, __ATOMIC_RELAXED);
	do
		if (VALUE(w) == SEM_VALUE_MAX)
			return ret_errno(-EOVERFLOW);
	while (!__atomic_compare_exchange_n(&s->word, &w, w + 1, false,
					    __ATOMIC_SEQ_CST,
					    __ATOMIC_RELAXED));
	if (w >= WAITER && !semawake((uintptr_t)s, 1, 0) &&
	    __atomic_load_n(&libcwaits, __ATOMIC_RELAXED))
		(void)REAL(syscall)(SYS_futex, s, FUTEX_WAKE_PRIVATE, 1);
	return 0;
}
