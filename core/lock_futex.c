/* lock_futex.c - mutex, core's own lock, and note, an M's one-shot sleep.
 *
 * Why: both block the kernel thread, so a mutex is held for a few hundred
 *      instructions only, and a note is slept on without a P.
 * Order: lock's CAS (acquire) pairs with unlock's exchange (release);
 *      notewakeup's exchange with notesleep's load of key.
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
