/*
 * mutex_normal - the normal mutex: exclusion under contention, trylock, every
 * result, no effect on errno, unlock by another thread (glibc allows it and
 * programs use it as a gate), many mutexes, destroy and init again.
 */
#include "check.h"

static pthread_mutex_t lock;
static long counter;
static int inside;

static void *counts(void *arg)
{
	long i, n = (long)arg;

	for (i = 0; i < n; i++) {
		OK(pthread_mutex_lock(&lock));
		CHECK_EQ(ADD(inside, 1), 1);
		counter++;
		if (i % 64 == 0)
			sched_yield();
		CHECK_EQ(ADD(inside, -1), 0);
		OK(pthread_mutex_unlock(&lock));
	}
	return NULL;
}

static void *tries(void *arg)
{
	int ret;
	long i, n = (long)arg;

	for (i = 0; i < n; i++) {
		while ((ret = pthread_mutex_trylock(&lock)) != 0) {
			CHECK_EQ(ret, EBUSY);
			sched_yield();
		}
		CHECK_EQ(ADD(inside, 1), 1);
		counter++;
		CHECK_EQ(ADD(inside, -1), 0);
		OK(pthread_mutex_unlock(&lock));
	}
	return NULL;
}

static void *busy(void *arg)
{
	(void)arg;
	RET(EBUSY, pthread_mutex_trylock(&lock));
	RET(EBUSY, pthread_mutex_trylock(&lock));
	return NULL;
}

static void *unlocks(void *arg)
{
	OK(pthread_mutex_unlock(arg));
	return NULL;
}

static void contention(void)
{
	enum { N = 40, EACH = 500 };
	pthread_t t[N];
	long i;

	section("contention");
	counter = 0;
	for (i = 0; i < N; i++)
		t[i] = start(i % 4 ? counts : tries, (void *)EACH);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(counter, N * EACH);

	/* Held over a sleep: the waiters must block, not only spin. */
	section("held for long");
	counter = 0;
	OK(pthread_mutex_lock(&lock));
	for (i = 0; i < N; i++)
		t[i] = start(counts, (void *)10L);
	usleep(5000);
	CHECK_EQ(counter, 0);
	OK(pthread_mutex_unlock(&lock));
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(counter, N * 10);
}

/* A chain of gates: each thread opens the next one's. */
enum { CHAIN = 200 };
static pthread_mutex_t gates[CHAIN + 1];
static void *opens_next(void *arg)
{
	long i = (long)arg;

	OK(pthread_mutex_lock(&gates[i]));
	OK(pthread_mutex_unlock(&gates[i + 1]));
	return NULL;
}

static void chain(void)
{
	pthread_t t[CHAIN];
	long i;

	section("chain of gates");
	for (i = 0; i <= CHAIN; i++) {
		OK(pthread_mutex_init(&gates[i], NULL));
		OK(pthread_mutex_lock(&gates[i]));
	}
	for (i = 0; i < CHAIN; i++)
		t[i] = start(opens_next, (void *)i);
	OK(pthread_mutex_unlock(&gates[0]));
	OK(pthread_mutex_lock(&gates[CHAIN]));
	for (i = 0; i < CHAIN; i++)
		join(t[i]);
	for (i = 0; i <= CHAIN; i++) {
		OK(pthread_mutex_unlock(&gates[i]));
		OK(pthread_mutex_destroy(&gates[i]));
	}
}

/* Two mutexes handed to and fro: lost wake-ups would stop it. */
static pthread_mutex_t ping = PTHREAD_MUTEX_INITIALIZER;
static int turn;
static void *alternates(void *arg)
{
	int me = (int)(long)arg, n = 0;

	while (n < 2000) {
		OK(pthread_mutex_lock(&ping));
		if (turn == me) {
			turn = !me;
			n++;
		}
		OK(pthread_mutex_unlock(&ping));
		if (LOAD(turn) != me)
			sched_yield();
	}
	return NULL;
}

int main(void)
{
	pthread_mutexattr_t attr;
	pthread_t t[2];
	int type, i;

	section("attributes");
	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_gettype(&attr, &type));
	CHECK_EQ(type, PTHREAD_MUTEX_DEFAULT);
	RET(EINVAL, pthread_mutexattr_settype(&attr, 77));
	RET(EINVAL, pthread_mutexattr_setpshared(&attr, 77));
	RET(EINVAL, pthread_mutexattr_setprotocol(&attr, 77));
	RET(EINVAL, pthread_mutexattr_setrobust(&attr, 77));
	OK(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_NORMAL));
	OK(pthread_mutex_init(&lock, &attr));
	OK(pthread_mutexattr_destroy(&attr));

	section("one thread");
	for (i = 0; i < 3; i++) {
		OK(pthread_mutex_lock(&lock));
		RET(EBUSY, pthread_mutex_trylock(&lock));
		OK(pthread_mutex_unlock(&lock));
		OK(pthread_mutex_trylock(&lock));
		RET(EBUSY, pthread_mutex_trylock(&lock));
		OK(pthread_mutex_unlock(&lock));
	}
	OK(pthread_mutex_lock(&lock));
	RET(EBUSY, pthread_mutex_destroy(&lock));
	join(start(busy, NULL));
	section("unlocked by another");
	join(start(unlocks, &lock));
	OK(pthread_mutex_trylock(&lock));
	OK(pthread_mutex_unlock(&lock));
	OK(pthread_mutex_destroy(&lock));
	OK(pthread_mutex_init(&lock, NULL));
	contention();
	OK(pthread_mutex_destroy(&lock));
	chain();
	section("alternation");
	t[0] = start(alternates, (void *)0L);
	t[1] = start(alternates, (void *)1L);
	join(t[0]);
	join(t[1]);
	return 0;
}
