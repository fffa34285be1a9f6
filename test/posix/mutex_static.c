/*
 * mutex_static - the static initialisers, each kind keeping its meaning, used
 * first by many threads at once.
 */
#include "check.h"

static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_mutex_t checking = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static pthread_mutex_t adaptive = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
/* Not initialised at all: zeros are a normal mutex. */
static struct {
	char before[8];
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_rwlock_t rwlock;
	char after[8];
} zeros;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_rwlock_t writers =
	PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_barrier_t gate;
static int ran;
static long counter[5];

static void init(void)
{
	ADD(ran, 1);
}

static void *uses(void *arg)
{
	pthread_mutex_t *m[] = { &plain, &recursive, &checking, &adaptive,
				 &zeros.lock };
	int i, k;

	(void)arg;
	pthread_barrier_wait(&gate);
	OK(pthread_once(&once, init));
	CHECK_EQ(LOAD(ran), 1);
	for (i = 0; i < 100; i++) {
		for (k = 0; k < 5; k++) {
			OK(pthread_mutex_lock(m[k]));
			if (k == 1)
				OK(pthread_mutex_lock(m[k]));
			else if (k == 2)
				RET(EDEADLK, pthread_mutex_lock(m[k]));
			else
				RET(EBUSY, pthread_mutex_trylock(m[k]));
			counter[k]++;
			if (i % 10 == k)
				sched_yield();
			if (k == 1)
				OK(pthread_mutex_unlock(m[k]));
			OK(pthread_mutex_unlock(m[k]));
			if (k == 1 || k == 2)
				RET(EPERM, pthread_mutex_unlock(m[k]));
		}
		OK(pthread_cond_signal(&cond));
		OK(pthread_cond_broadcast(&zeros.cond));
		OK(pthread_rwlock_rdlock(&rwlock));
		OK(pthread_rwlock_unlock(&rwlock));
		OK(pthread_rwlock_wrlock(&zeros.rwlock));
		OK(pthread_rwlock_unlock(&zeros.rwlock));
		OK(pthread_rwlock_rdlock(&writers));
		OK(pthread_rwlock_unlock(&writers));
	}
	return NULL;
}

int main(void)
{
	enum { N = 20 };
	pthread_t t[N];
	int i;

	OK(pthread_barrier_init(&gate, NULL, N));
	section("all kinds");
	for (i = 0; i < N; i++)
		t[i] = start(uses, NULL);
	for (i = 0; i < N; i++)
		join(t[i]);
	for (i = 0; i < 5; i++)
		CHECK_EQ(counter[i], N * 100);
	for (i = 0; i < 8; i++)
		CHECK(!zeros.before[i] && !zeros.after[i]);
	OK(pthread_mutex_destroy(&plain));
	OK(pthread_mutex_destroy(&recursive));
	OK(pthread_mutex_destroy(&checking));
	OK(pthread_mutex_destroy(&adaptive));
	OK(pthread_mutex_destroy(&zeros.lock));
	OK(pthread_cond_destroy(&cond));
	OK(pthread_rwlock_destroy(&rwlock));
	return 0;
}
