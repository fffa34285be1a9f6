/*
 * mutex_recursive - ownership and depth of a recursive mutex stay with the
 * thread, through yields and sleeps with it held.
 */
#include "check.h"

static pthread_mutex_t lock;
static long counter;

static void nest(int depth)
{
	if (depth & 1)
		OK(pthread_mutex_lock(&lock));
	else
		OK(pthread_mutex_trylock(&lock));
	counter++;
	if (depth % 3 == 0)
		sched_yield();
	if (depth > 1)
		nest(depth - 1);
	if (depth == 5)
		usleep(10);
	OK(pthread_mutex_unlock(&lock));
}

static void *nests(void *arg)
{
	long i;

	for (i = 0; i < 50; i++) {
		OK(pthread_mutex_lock(&lock));
		nest((int)(long)arg);
		OK(pthread_mutex_unlock(&lock));
		/* One too many: it is another's, or nobody's. */
		RET(EPERM, pthread_mutex_unlock(&lock));
	}
	return NULL;
}

static void *not_owner(void *arg)
{
	(void)arg;
	RET(EBUSY, pthread_mutex_trylock(&lock));
	RET(EPERM, pthread_mutex_unlock(&lock));
	return NULL;
}

static void *owner_now(void *arg)
{
	(void)arg;
	OK(pthread_mutex_trylock(&lock));
	OK(pthread_mutex_unlock(&lock));
	return NULL;
}

int main(void)
{
	enum { N = 20 };
	pthread_mutexattr_t attr;
	pthread_t t[N];
	long i;
	int type;

	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE));
	OK(pthread_mutexattr_gettype(&attr, &type));
	CHECK_EQ(type, PTHREAD_MUTEX_RECURSIVE);
	OK(pthread_mutex_init(&lock, &attr));
	OK(pthread_mutexattr_destroy(&attr));

	section("owner");
	RET(EPERM, pthread_mutex_unlock(&lock));
	for (i = 0; i < 1000; i++)
		OK(pthread_mutex_lock(&lock));
	for (i = 0; i < 999; i++) {
		OK(pthread_mutex_unlock(&lock));
		if (i % 333 == 0)
			join(start(not_owner, NULL));
	}
	join(start(not_owner, NULL));
	RET(EBUSY, pthread_mutex_destroy(&lock));
	OK(pthread_mutex_unlock(&lock));
	join(start(owner_now, NULL));

	section("contention");
	for (i = 0; i < N; i++)
		t[i] = start(nests, (void *)10L);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(counter, N * 50 * 10);
	OK(pthread_mutex_destroy(&lock));
	return 0;
}
