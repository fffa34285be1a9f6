/* pthread_cancel.c - cancellation: deferred, and asynchronous.
 *
 * The state stays in glibc's own word of the TCB: some ten functions of libc disable
 * cancellation in there, or (before 2.41) make it asynchronous around their system calls,
 * and its pthread_testcancel, pthread_setcancelstate and pthread_setcanceltype act on it.
 * libc's signal 32 is never sent. A request sets the word, then ends what the thread is
 * in: its wait in core; its system call in cancelcall; or, if it is asynchronous, whatever
 * it does, by gattention, which has it act where it was interrupted. Not in this
 * library's own code, which is left in order: there it acts where it has just given up a
 * wait (waitinterruptible), or when it is back in the program's.
 * Order: the word is set before the type is looked at here, and libc looks for a request
 * after it has set the type.
 */
#include "shim/identity.h"
#include "shim/shim.h"

/* Bits of nptl/descr.h, 2.34 and later */
#define DISABLED 1u
#define ASYNCHRONOUS 2u
#define CANCELED 8u
#define EXITING 0x10u
#define TERMINATED 0x20u
#define ACTS (DISABLED | CANCELED | EXITING | TERMINATED)

void cancelpoint(void)
{
	REAL(pthread_testcancel)();
}

static idlepath uint32_t word(void)
{
	return self.gp ? __atomic_load_n(identity_cancel(gtp(self.gp)),
					 __ATOMIC_SEQ_CST) :
			 0;
}

idlepath bool cancelpending(void)
{
	return (word() & ACTS) == CANCELED;
}

static bool asyncpending(void)
{
	return (word() & (ACTS | ASYNCHRONOUS)) == (CANCELED | ASYNCHRONOUS);
}

void cancelasync(void)
{
	if (asyncpending())
		cancelpoint();
}

bool cancelattend(enum attention where)
{
	if (where == ATTEND_PARKED) {
		schedapplywired();
		return true;
	}
	schedapply();
	if (!asyncpending())
		return false;
	if (where == ATTEND_FREE)
		cancelpoint();
	return true;
}

int waitinterruptible(const struct semawait *w, struct thread **release)
{
	int r = semawait(w);

	if (r != -ECANCELED || !(release ? cancelpending() : asyncpending()))
		return r;
	if (release)
		*release = NULL; /* we do not come back */
	cancelpoint();
	return r;
}

idlepath long cancelcall(long n, long a, long b, long c, long d, long e, long f)
{
	long r;

	/* before the look; pairs with pthread_cancel's barrier on all CPUs: this is on
	 * the way of every call that may block, that on none of a hot one */
	__atomic_store_n(&self.waits, true, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
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

static void cancel(pthread_t pt, struct thread *t)
{
	/* before its wait is ended */
	uint32_t was = __atomic_fetch_or(identity_cancel((uintptr_t)pt),
					 CANCELED, __ATOMIC_SEQ_CST);

	/* it looks itself when it comes to a point, or lets cancellation in */
	if (t == &self || (was & (DISABLED | EXITING | TERMINATED)))
		return;
	gcancelwait(t->gp);
	__atomic_store_n(&t->interrupt, 1, __ATOMIC_RELAXED);
	/* cancelcall says that it waits, then looks: it has seen that, or we see it */
	if ((was & ASYNCHRONOUS) || !barrierall() ||
	    __atomic_load_n(&t->waits, __ATOMIC_RELAXED))
		gattention(t->gp);
}

EXPORT int pthread_cancel(pthread_t pt)
{
	NATIVELY(pthread_cancel, pt);
	struct thread *t = threadof(pt);

	if (!schedstarted || !t->gp)
		return REAL(pthread_cancel)(pt);
	if (t->state == FREED)
		return ESRCH;
	if (t->state != EXITED)
		cancel(pt, t);
	/* Whoever is asked meanwhile, and does nothing but this, is interrupted in here
	 * each time, where it does not act. */
	if (unlikely(t == &self || self.interrupt))
		cancelasync();
	return 0;
}
