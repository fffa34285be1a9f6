/* c11.c - C11's mtx_ and cnd_: the pthread objects under other names and results.
 * libc's own go to its pthread functions directly, past ours. */
#include "shim/shim.h"
#include <threads.h>

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "mtx_t");
_Static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "cnd_t");

#define MTX(m) ((pthread_mutex_t *)(m))
#define CND(c) ((pthread_cond_t *)(c))

static int ret_thrd(int e)
{
	switch (e) {
	case 0:
		return thrd_success;
	case ENOMEM:
		return thrd_nomem;
	case ETIMEDOUT:
		return thrd_timedout;
	case EBUSY:
		return thrd_busy;
	default:
		return thrd_error;
	}
}

EXPORT int mtx_lock(mtx_t *m)
{
	NATIVELY(mtx_lock, m);
	return ret_thrd(pthread_mutex_lock(MTX(m)));
}

EXPORT int mtx_trylock(mtx_t *m)
{
	NATIVELY(mtx_trylock, m);
	return ret_thrd(pthread_mutex_trylock(MTX(m)));
}

EXPORT int mtx_timedlock(mtx_t *restrict m, const struct timespec *restrict t)
{
	NATIVELY(mtx_timedlock, m, t);
	return ret_thrd(pthread_mutex_timedlock(MTX(m), t));
}

EXPORT int mtx_unlock(mtx_t *m)
{
	NATIVELY(mtx_unlock, m);
	return ret_thrd(pthread_mutex_unlock(MTX(m)));
}

EXPORT void mtx_destroy(mtx_t *m)
{
	NATIVELY(mtx_destroy, m);
	pthread_mutex_destroy(MTX(m));
}

EXPORT int cnd_wait(cnd_t *c, mtx_t *m)
{
	NATIVELY(cnd_wait, c, m);
	return ret_thrd(pthread_cond_wait(CND(c), MTX(m)));
}

EXPORT int cnd_timedwait(cnd_t *restrict c, mtx_t *restrict m,
			 const struct timespec *restrict t)
{
	NATIVELY(cnd_timedwait, c, m, t);
	return ret_thrd(pthread_cond_timedwait(CND(c), MTX(m), t));
}

EXPORT int cnd_signal(cnd_t *c)
{
	NATIVELY(cnd_signal, c);
	return ret_thrd(pthread_cond_signal(CND(c)));
}

EXPORT int cnd_broadcast(cnd_t *c)
{
	NATIVELY(cnd_broadcast, c);
	return ret_thrd(pthread_cond_broadcast(CND(c)));
}

EXPORT void cnd_destroy(cnd_t *c)
{
	NATIVELY(cnd_destroy, c);
	pthread_cond_destroy(CND(c));
}
