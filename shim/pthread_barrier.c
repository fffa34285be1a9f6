/* pthread_barrier.c - barriers of our own in pthread_barrier_t.
 *
 * The last to come takes the others off the queue under its lock and resets the
 * count; woken waiters read nothing of the barrier, so it may be destroyed at once.
 * count (8) and shared (12) keep glibc's places: pthread_barrier_init is libc's.
 */
#include "shim/shim.h"

struct barrier_ {
	uint32_t in;
	uint32_t unused;
	uint32_t count;
	uint32_t shared;	/* 0 private, as FUTEX_PRIVATE's inverse has it */
};

_Static_assert(sizeof(struct barrier_) <= sizeof(pthread_barrier_t), "overlay");

struct arrival {
	struct barrier_ *b;
	bool last;
	uint32_t others;
};

/* Under the queue's lock. */
static bool arrive(void *arg)
{
	struct arrival *a = arg;

	if (++a->b->in < a->b->count)
		return true;
	a->last = true;
	a->others = a->b->count - 1;
	a->b->in = 0;
	return false;
}

EXPORT int pthread_barrier_wait(pthread_barrier_t *barrier)
{
	NATIVELY(pthread_barrier_wait, barrier);
	struct barrier_ *b = (struct barrier_ *)barrier;
	struct arrival a = { .b = b };
	struct semawait w = { .addr = (uintptr_t)b,
			      .reason = WAIT_BARRIER,
			      .deadline = NEVER,
			      .check = arrive,
			      .arg = &a };

	if (b->shared) {
		entersyscall();
		int r = REAL(pthread_barrier_wait)(barrier);
		exitsyscall();
		return r;
	}
	semawait(&w);
	if (!a.last)
		return 0;
	/* oldest first: threads of the next round are behind those of this */
	semawake((uintptr_t)b, a.others, 0);
	return PTHREAD_BARRIER_SERIAL_THREAD;
}

EXPORT int pthread_barrier_destroy(pthread_barrier_t *barrier)
{
	NATIVELY(pthread_barrier_destroy, barrier);
	struct barrier_ *b = (struct barrier_ *)barrier;

	if (b->shared)
		return REAL(pthread_barrier_destroy)(barrier);
	return 0; /* libc's would wait for counts that are not its own */
}
