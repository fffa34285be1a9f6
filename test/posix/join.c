/*
 * join - pthread_join and its try, timed and clock forms: values, order, who
 * may join, and every error that POSIX and glibc name.
 */
#include "check.h"
#include <semaphore.h>

static sem_t gate;

static void *waits(void *arg)
{
	while (sem_wait(&gate) < 0)
		CHECK(errno == EINTR);
	return arg;
}

static void *at_once(void *arg)
{
	return arg;
}

static void *exits(void *arg)
{
	pthread_exit(arg);
}

static void values(void)
{
	enum { N = 100 };
	static pthread_t t[N];
	long i;
	void *v;

	section("values, in any order");
	for (i = 0; i < N; i++)
		t[i] = start(i & 1 ? at_once : exits, (void *)i);
	for (i = N - 1; i >= 0; i--) {
		OK(pthread_join(t[i], &v));
		CHECK_EQ((long)v, i);
	}
	for (i = 0; i < N; i++)
		t[i] = start(i & 1 ? at_once : exits, (void *)(i * 3));
	for (i = 0; i < N; i++)
		CHECK_EQ((long)join(t[i * 37 % N]), i * 37 % N * 3);
	t[0] = start(at_once, NULL);
	OK(pthread_join(t[0], NULL));
}

static void *joins_self(void *arg)
{
	(void)arg;
	RET(EDEADLK, pthread_join(pthread_self(), NULL));
	return NULL;
}

static void alive(void)
{
	struct timespec soon;
	pthread_t t, self = pthread_self();
	void *v = &v;
	int i;

	section("self");
	RET(EDEADLK, pthread_join(self, NULL));
	join(start(joins_self, NULL));

	section("try and timed while it lives");
	t = start(waits, &gate);
	RET(EBUSY, pthread_tryjoin_np(t, &v));
	CHECK(v == &v);
	for (i = 0; i < 3; i++) {
		soon = in_ms(CLOCK_REALTIME, i * 5 - 5);
		RET(ETIMEDOUT, pthread_timedjoin_np(t, &v, &soon));
		CHECK(reached(CLOCK_REALTIME, &soon));
		soon = in_ms(CLOCK_MONOTONIC, i * 5 - 5);
		RET(ETIMEDOUT,
		    pthread_clockjoin_np(t, &v, CLOCK_MONOTONIC, &soon));
		CHECK(reached(CLOCK_MONOTONIC, &soon));
		soon = in_ms(CLOCK_REALTIME, i * 5 - 5);
		RET(ETIMEDOUT,
		    pthread_clockjoin_np(t, &v, CLOCK_REALTIME, &soon));
	}
	soon = far_off(CLOCK_REALTIME);
	RET(EINVAL,
	    pthread_clockjoin_np(t, &v, CLOCK_PROCESS_CPUTIME_ID, &soon));
	CHECK(v == &v);
	CHECK(sem_post(&gate) == 0);
	OK(pthread_timedjoin_np(t, &v, &soon));
	CHECK(v == &gate);

	t = start(waits, &t);
	CHECK(sem_post(&gate) == 0);
	soon = far_off(CLOCK_MONOTONIC);
	OK(pthread_clockjoin_np(t, &v, CLOCK_MONOTONIC, &soon));
	CHECK(v == &t);

	/* Without a time it waits as pthread_join does. */
	t = start(waits, &v);
	CHECK(sem_post(&gate) == 0);
	OK(pthread_timedjoin_np(t, &v, NULL));
	CHECK(v == &v);

	section("try when it is over");
	t = start(at_once, &self);
	while ((i = pthread_tryjoin_np(t, &v)) == EBUSY)
		sched_yield();
	CHECK_EQ(i, 0);
	CHECK(v == &self);
}

static void not_joinable(void)
{
	struct timespec soon;
	pthread_t t;
	void *v;

	section("detached");
	t = start(waits, NULL);
	OK(pthread_detach(t));
	soon = far_off(CLOCK_REALTIME);
	RET(EINVAL, pthread_join(t, &v));
	RET(EINVAL, pthread_timedjoin_np(t, &v, &soon));
	RET(EINVAL, pthread_clockjoin_np(t, &v, CLOCK_REALTIME, &soon));
	CHECK(sem_post(&gate) == 0);
}

static void *joins_many(void *arg)
{
	pthread_t *t = arg;
	long sum = 0, i;

	for (i = 0; i < 20; i++)
		sum += (long)join(t[i]);
	return (void *)sum;
}

static void by_others(void)
{
	enum { N = 200 };
	static pthread_t t[N], joiner[N / 20];
	long i, sum = 0;

	section("by other threads than the creator");
	for (i = 0; i < N; i++)
		t[i] = start(waits, (void *)i);
	for (i = 0; i < N / 20; i++)
		joiner[i] = start(joins_many, &t[i * 20]);
	for (i = 0; i < N; i++)
		CHECK(sem_post(&gate) == 0);
	for (i = 0; i < N / 20; i++)
		sum += (long)join(joiner[i]);
	CHECK_EQ(sum, N * (N - 1) / 2);
}

int main(void)
{
	CHECK(sem_init(&gate, 0, 0) == 0);
	values();
	alive();
	not_joinable();
	by_others();
	return 0;
}
