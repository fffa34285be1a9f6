/*
 * mutex_errorcheck - the errors of an error-checking mutex.
 */
#include "check.h"

static pthread_mutex_t lock;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long counter;

static void *not_owner(void *arg)
{
	struct timespec soon = in_ms(CLOCK_REALTIME, 2);

	(void)arg;
	RET(EPERM, pthread_mutex_unlock(&lock));
	RET(EBUSY, pthread_mutex_trylock(&lock));
	RET(ETIMEDOUT, pthread_mutex_timedlock(&lock, &soon));
	return NULL;
}

static void *counts(void *arg)
{
	struct timespec later = far_off(CLOCK_REALTIME);
	int i;

	(void)arg;
	for (i = 0; i < 200; i++) {
		OK(pthread_mutex_lock(&lock));
		if (i % 16 == 0)
			sched_yield();
		counter++;
		RET(EDEADLK, pthread_mutex_lock(&lock));
		RET(EDEADLK, pthread_mutex_timedlock(&lock, &later));
		RET(EBUSY, pthread_mutex_trylock(&lock));
		OK(pthread_mutex_unlock(&lock));
		RET(EPERM, pthread_mutex_unlock(&lock));
	}
	return NULL;
}

int main(void)
{
	enum { N = 20 };
	struct timespec later = far_off(CLOCK_REALTIME);
	pthread_mutexattr_t attr;
	pthread_t t[N];
	int i;

	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK));
	OK(pthread_mutex_init(&lock, &attr));
	OK(pthread_mutexattr_destroy(&attr));

	section("one thread");
	RET(EPERM, pthread_mutex_unlock(&lock));
	OK(pthread_mutex_lock(&lock));
	RET(EDEADLK, pthread_mutex_lock(&lock));
	RET(EDEADLK, pthread_mutex_timedlock(&lock, &later));
	RET(EDEADLK, pthread_mutex_clocklock(&lock, CLOCK_MONOTONIC, &later));
	RET(EBUSY, pthread_mutex_trylock(&lock));
	RET(EBUSY, pthread_mutex_destroy(&lock));
	section("another");
	join(start(not_owner, NULL));
	OK(pthread_mutex_unlock(&lock));
	RET(EPERM, pthread_mutex_unlock(&lock));
	OK(pthread_mutex_trylock(&lock));
	OK(pthread_mutex_unlock(&lock));
	/* The wait gives the mutex up and has to find it one's own. */
	section("condition wait without it");
	RET(EPERM, pthread_cond_wait(&cond, &lock));
	section("contention");
	for (i = 0; i < N; i++)
		t[i] = start(counts, NULL);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(counter, N * 200);
	OK(pthread_mutex_destroy(&lock));
	return 0;
}
