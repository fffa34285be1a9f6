/*
 * mutex_adaptive - glibc's adaptive kind: excludes as a normal one does.
 */
#include "check.h"

static pthread_mutex_t lock;
static long counter;
static int inside;

static void *counts(void *arg)
{
	struct timespec later = far_off(CLOCK_REALTIME);
	int i, ret;

	for (i = 0; i < 500; i++) {
		switch ((i + (long)arg) % 3) {
		case 0:
			OK(pthread_mutex_lock(&lock));
			break;
		case 1:
			OK(pthread_mutex_timedlock(&lock, &later));
			break;
		default:
			while ((ret = pthread_mutex_trylock(&lock)) != 0) {
				CHECK_EQ(ret, EBUSY);
				sched_yield();
			}
		}
		CHECK_EQ(ADD(inside, 1), 1);
		counter++;
		/* Off the processor with it: those who spin must stop. */
		if (i % 100 == 0)
			usleep(10);
		CHECK_EQ(ADD(inside, -1), 0);
		OK(pthread_mutex_unlock(&lock));
	}
	return NULL;
}

int main(void)
{
	enum { N = 20 };
	struct timespec soon;
	pthread_mutexattr_t attr;
	pthread_t t[N];
	long i;

	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP));
	OK(pthread_mutex_init(&lock, &attr));
	OK(pthread_mutexattr_destroy(&attr));
	section("one thread");
	OK(pthread_mutex_lock(&lock));
	RET(EBUSY, pthread_mutex_trylock(&lock));
	soon = in_ms(CLOCK_REALTIME, 3);
	RET(ETIMEDOUT, pthread_mutex_timedlock(&lock, &soon));
	OK(pthread_mutex_unlock(&lock));
	section("contention");
	for (i = 0; i < N; i++)
		t[i] = start(counts, (void *)i);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(counter, N * 500);
	OK(pthread_mutex_destroy(&lock));
	return 0;
}
