/*
 * owner_migrate - what a thread owns stays its own while it moves: recursive
 * and error-checking mutexes, a FILE's lock, a write lock, over thousands of
 * yields and sleeps among busy threads that push it about.
 */
#include "check.h"

static int stop;
static void *pushes(void *arg)
{
	volatile long n = 0;

	while (!LOAD(stop)) {
		n++;
		if (n % 1000 == 0)
			sched_yield();
	}
	return arg;
}

enum { N = 12 };
static pthread_mutex_t recursive[N], checking[N];
static pthread_rwlock_t rw[N];
static FILE *file[N];

static void *owns(void *arg)
{
	long me = (long)arg, other = (me + 1) % N;
	pthread_t self = pthread_self();
	int i;

	OK(pthread_mutex_lock(&recursive[me]));
	OK(pthread_mutex_lock(&checking[me]));
	OK(pthread_rwlock_wrlock(&rw[me]));
	flockfile(file[me]);
	for (i = 0; i < 300; i++) {
		if (i % 50 == 0)
			usleep(20);
		sched_yield();
		CHECK(pthread_equal(self, pthread_self()));
		OK(pthread_mutex_lock(&recursive[me]));
		RET(EDEADLK, pthread_mutex_lock(&checking[me]));
		RET(EDEADLK, pthread_rwlock_wrlock(&rw[me]));
		CHECK(ftrylockfile(file[me]) == 0);
		sched_yield();
		OK(pthread_mutex_unlock(&recursive[me]));
		funlockfile(file[me]);
		/* Not mine, whoever shares a processor with me. */
		RET(EPERM, pthread_mutex_unlock(&recursive[other]));
		RET(EPERM, pthread_mutex_unlock(&checking[other]));
	}
	funlockfile(file[me]);
	OK(pthread_rwlock_unlock(&rw[me]));
	OK(pthread_mutex_unlock(&checking[me]));
	OK(pthread_mutex_unlock(&recursive[me]));
	RET(EPERM, pthread_mutex_unlock(&recursive[me]));
	return NULL;
}

int main(void)
{
	pthread_mutexattr_t attr;
	pthread_t t[N], busy[2];
	long i;

	OK(pthread_mutexattr_init(&attr));
	for (i = 0; i < N; i++) {
		OK(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE));
		OK(pthread_mutex_init(&recursive[i], &attr));
		OK(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK));
		OK(pthread_mutex_init(&checking[i], &attr));
		OK(pthread_rwlock_init(&rw[i], NULL));
		file[i] = fopen("/dev/null", "w");
		CHECK(file[i] != NULL);
	}
	section("owners");
	for (i = 0; i < 2; i++)
		busy[i] = start(pushes, NULL);
	for (i = 0; i < N; i++)
		t[i] = start(owns, (void *)i);
	for (i = 0; i < N; i++)
		join(t[i]);
	STORE(stop, 1);
	for (i = 0; i < 2; i++)
		join(busy[i]);
	section("given back");
	for (i = 0; i < N; i++) {
		OK(pthread_mutex_destroy(&recursive[i]));
		OK(pthread_mutex_destroy(&checking[i]));
		OK(pthread_rwlock_destroy(&rw[i]));
		CHECK(fclose(file[i]) == 0);
	}
	return 0;
}
