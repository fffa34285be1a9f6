/* pthread_cancel.c - cancellation, deferred.
 *
 * The state stays in glibc's own word of the TCB: some ten functions of libc disable
 * cancellation in there, and its pthread_testcancel, pthread_setcancelstate and
 * pthread_setcanceltype act on it. A request sets the word and ends the wait of a G
 * that is parked at a cancellation point; libc's signal 32 is never sent.
 */
#include "shim/identity.h"
#include "shim/shim.h"

#define CANCELED 8u /* CANCELED_BITMASK of nptl/descr.h, 2.34 and later */

void cancelpoint(void)
{
	REAL(pthread_testcancel)();
}

int waitinterruptible(const struct semawait *w, struct thread **release)
{
	int r = semawait(w);

	if (r == -ECANCELED && release && cancelpending()) {
		*release = NULL; /* we do not come back */
		cancelpoint();
	}
	return r;
}

bool cancelpending(void)
{
	/* bit 0: disabled */
	return self.gp &&
	       (*identity_cancel(gtp(self.gp)) & (CANCELED | 1)) == CANCELED;
}

long cancelcall(long n, long a, long b, long c, long d, long e, long f)
{
	long r;

	/* seq_cst: pairs with pthread_cancel */
	__atomic_store_n(&self.waits, true, __ATOMIC_SEQ_CST);
	if (self.interrupt && !cancelpending())
		self.interrupt = 0; /* it may not be cancelled now */
	r = gsyscall(&self.interrupt, n, a, b, c, d, e, f);
	self.waits = false;
	return r;
}

long pointcall(long n, long a, long b, long c, long d, long e, long f)
{
	uint32_t handled = gsighandled();
	long r;

	{
		DECLARED;

		do
			r = cancelcall(n, a, b, c, d, e, f);
		while (unlikely(r == -EINTR) && gsighandled() == handled &&
		       !cancelpending());
	}
	if (likely(r >= 0))
		return r;
	if (r == -EINTR)
		cancelpoint();
	return ret_errno((int)r);
}

EXPORT int pthread_cancel(pthread_t pt)
{
	NATIVELY(pthread_cancel, pt);
	struct thread *t = threadof(pt);

	if (!schedstarted || !t->gp)
		return REAL(pthread_cancel)(pt);
	if (t->state == FREED)
		return ESRCH;
	if (t->state == EXITED)
		return 0;
	__atomic_fetch_or(identity_cancel((uintptr_t)pt), CANCELED,
			  __ATOMIC_SEQ_CST); /* before its wait is ended */
	if (t == &self)
		return 0;
	gcancelwait(t->gp);
	/* seq_cst: pairs with cancelcall, which says that it waits, then looks */
	__atomic_store_n(&t->interrupt, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&t->waits, __ATOMIC_SEQ_CST))
		gattention(t->gp);
	return 0;
}
