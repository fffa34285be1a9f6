/* pthread_barrier.c - barriers of our own in pthread_barrier_t.
 *
 * Those that wait are a list of records on their own stacks, which the last to come
 * takes off. Each waits on its own record, so that a handler may run meanwhile, and
 * reads nothing of the barrier afterwards: that may be destroyed at once. A record is
 * only touched until it says released; the wake-up goes by its address alone.
 * count (8) and shared (12) keep glibc's places: pthread_barrier_init is libc's. That
 * writes 20 bytes, so first holds something only while in is not 0.
 */
#include "shim/shim.h"

struct barrier_ {
	uint32_t in;
	uint32_t unused;
	uint32_t count;
	uint32_t shared;	/* 0 private, as FUTEX_PRIVATE's inverse has it */
	struct arrival *first;	/* the latest to come */
};

_Static_assert(sizeof(struct barrier_) <= sizeof(pthread_barrier_t), "overlay");

struct arrival {
	struct barrier_ *b;
	struct arrival *next;
	bool last, released;
};

/* Under the queue's lock of the barrier: join those that wait, or release them. */
static void arrive(struct semaq *q, void *arg)
{
	struct arrival *a = arg;
	struct barrier_ *b = a->b;

	(void)q;
	a->next = b->in ? b->first : NULL;
	if (++b->in < b->count) {
		b->first = a;
		return;
	}
	b->in = 0;
	a->last = true;
}

static bool waits(void *arg)
{
	struct arrival *a = arg;

	return !__atomic_load_n(&a->released, __ATOMIC_ACQUIRE);
}

EXPORT int pthread_barrier_wait(pthread_barrier_t *barrier)
{
	NATIVELY(pthread_barrier_wait, barrier);
	struct barrier_ *b = (struct barrier_ *)barrier;
	struct arrival a = { .b = b }, *other, *next;
	struct semawait w = { .addr = (uintptr_t)&a,
			      .reason = WAIT_BARRIER,
			      .interruptible = true,
			      .deadline = NEVER,
			      .check = waits,
			      .arg = &a };

	if (b->shared) {
		return HANDOFF(REAL(pthread_barrier_wait)(barrier));
	}
	semapick((uintptr_t)b, arrive, &a);
	if (!a.last) {
		while (waits(&a))
			semawait(&w);
		return 0;
	}
	for (other = a.next; other; other = next) {
		next = other->next; /* it may return at once */
		__atomic_store_n(&other->released, true, __ATOMIC_RELEASE);
		semawake((uintptr_t)other, 1, 0);
	}
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
