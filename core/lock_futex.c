/* lock_futex.c - mutex, core's own lock; quicklock, one that costs less; and note, an M's
 * one-shot sleep.
 *
 * Why: all block the kernel thread, so a mutex is held for a few hundred
 *      instructions only, and a note is slept on without a P.
 * Order: lock's CAS (acquire) pairs with unlock's exchange (release);
 *      notewakeup's exchange with notesleep's load of key.
 * Asymmetric: who unlocks a quicklock stores key, then reads nwait, with no fence in
 *      between. Who is to sleep counts itself in nwait, makes all CPUs pass a fence, then
 *      looks at key: it sees the store, or its count is seen. The same holds for what
 *      a holder has written and for what it reads after the unlock (semapark), if the other
 *      side calls heavyfence between its own two. Where the kernel has no such call
 *      unlockquick exchanges.
 */
#include "core/runtime.h"
#include <errno.h>

#define SPINS 100 /* the holder may have been descheduled: then sleep */

void lock(struct mutex *l)
{
	for (int i = 0; i < SPINS; i++) {
		if (READ_ONCE(l->key) == 0 && cas(&l->key, 0, 1))
			return;
		cpupause();
	}
	while (xchg(&l->key, 2) != 0) /* acquire: pairs with unlock */
		futexsleep(&l->key, 2, NEVER);
}

void unlock(struct mutex *l)
{
	if (unlikely(xchg(&l->key, 0) == 2)) /* release: pairs with lock */
		futexwakeup(&l->key, 1);
}

bool asymmetric;

/* A fence here, and on every CPU that runs a thread of ours. */
void heavyfence(void)
{
	fullfence();
	if (!READ_ONCE(asymmetric) || barrierall())
		return;
	/* forbidden since: a store waits for less than that */
	WRITE_ONCE(asymmetric, false);
	usleep_raw(1000);
}

void lockquick_slow(struct quicklock *l)
{
	for (int i = 0; i < SPINS; i++) {
		cpupause();
		if (READ_ONCE(l->key) == 0 && cas(&l->key, 0, 1))
			return;
	}
	xadd(&l->nwait, 1);
	heavyfence(); /* then key: pairs with unlockquick */
	while (!cas(&l->key, 0, 1))
		futexsleep(&l->key, 1, NEVER);
	xadd(&l->nwait, -1);
}

void unlockquick_slow(struct quicklock *l)
{
	futexwakeup(&l->key, 1);
}

void notesleep(struct note *n)
{
	notetsleep(n, NEVER);
}

bool notetsleep(struct note *n, int64_t deadline)
{
	while (load_acquire(&n->key) == 0) /* pairs with notewakeup */
		if (futexsleep(&n->key, 0, deadline) == -ETIMEDOUT &&
		    load_acquire(&n->key) == 0)
			return false;
	WRITE_ONCE(n->key, 0);
	return true;
}

void notewakeup(struct note *n)
{
	if (xchg(&n->key, 1) == 0) /* release: pairs with notetsleep */
		futexwakeup(&n->key, 1);
}
