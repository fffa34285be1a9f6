/*
 * mutex_pi - priority-inheriting and priority-protecting mutexes exclude and
 * report as the others do.
 */
#include "check.h"

static pthread_mutex_t lock;
static long counter;
static int inside;

static void *counts(void *arg)
{
	struct timespec later = far_off(CLOCK_REALTIME);
	int i, ret;

	(void)arg;
	for (i = 0; i < 200; i++) {
		if (i % 3 == 0) {
			OK(pthread_mutex_lock(&lock));
		} else if (i % 3 == 1) {
			OK(pthread_mutex_timedlock(&lock, &later));
		} else {
			while ((ret = pthread_mutex_trylock(&lock)) != 0) {
				CHECK_EQ(ret, EBUSY);
				sched_yield();
			}
		}
		CHECK_EQ(ADD(inside, 1), 1);
		counter++;
		if (i % 16 == 0)
			sched_yield();
		CHECK_EQ(ADD(inside, -1), 0);
		OK(pthread_mutex_unlock(&lock));
	}
	return NULL;
}

static void *not_owner(void *arg)
{
	struct timespec soon = in_ms(CLOCK_REALTIME, 3);

	RET(EBUSY, pthread_mutex_trylock(&lock));
	RET(ETIMEDOUT, pthread_mutex_timedlock(&lock, &soon));
	if (arg)
		RET(EPERM, pthread_mutex_unlock(&lock));
	return NULL;
}

static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int go;
static void *waits(void *arg)
{
	OK(pthread_mutex_lock(&lock));
	while (!go)
		OK(pthread_cond_wait(&cond, &lock));
	OK(pthread_mutex_unlock(&lock));
	return arg;
}

int main(void)
{
	enum { N = 10 };
	static const int types[] = { PTHREAD_MUTEX_NORMAL,
				     PTHREAD_MUTEX_RECURSIVE,
				     PTHREAD_MUTEX_ERRORCHECK };
	pthread_mutexattr_t attr;
	pthread_t t[N];
	int i, k, protocol;

	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_getprotocol(&attr, &protocol));
	CHECK_EQ(protocol, PTHREAD_PRIO_NONE);
	OK(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT));
	for (k = 0; k < 3; k++) {
		printf("type %d\n", types[k]);
		fflush(stdout);
		OK(pthread_mutexattr_settype(&attr, types[k]));
		OK(pthread_mutex_init(&lock, &attr));
		OK(pthread_mutex_lock(&lock));
		if (k == 1)
			OK(pthread_mutex_lock(&lock));
		if (k == 2)
			RET(EDEADLK, pthread_mutex_lock(&lock));
		join(start(not_owner, (void *)(long)k));
		OK(pthread_mutex_unlock(&lock));
		if (k == 1)
			OK(pthread_mutex_unlock(&lock));
		if (k)
			RET(EPERM, pthread_mutex_unlock(&lock));
		counter = 0;
		for (i = 0; i < N; i++)
			t[i] = start(counts, NULL);
		for (i = 0; i < N; i++)
			join(t[i]);
		CHECK_EQ(counter, N * 200);

		go = 0;
		for (i = 0; i < N; i++)
			t[i] = start(waits, NULL);
		usleep(1000);
		OK(pthread_mutex_lock(&lock));
		go = 1;
		OK(pthread_cond_broadcast(&cond));
		OK(pthread_mutex_unlock(&lock));
		for (i = 0; i < N; i++)
			join(t[i]);
		OK(pthread_mutex_destroy(&lock));
	}
	OK(pthread_mutexattr_destroy(&attr));
	return 0;
}
