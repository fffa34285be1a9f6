/*
 * cpuclock - a thread's CPU clock: readable from itself and from others, and
 * it grows while the thread works.
 */
#include "check.h"
#include <semaphore.h>

static sem_t gate, ready;

static long long ns(clockid_t clock)
{
	struct timespec t;

	CHECK(clock_gettime(clock, &t) == 0);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Until the thread's own clock says that it worked so long. */
static void burn(long long want)
{
	long long until = ns(CLOCK_THREAD_CPUTIME_ID) + want;
	volatile int i;

	while (ns(CLOCK_THREAD_CPUTIME_ID) < until)
		for (i = 0; i < 1000; i++)
			;
}

static void *works(void *arg)
{
	clockid_t clock;
	long long first, before;

	OK(pthread_getcpuclockid(pthread_self(), &clock));
	first = ns(clock);
	burn(3000000);
	CHECK(ns(clock) >= first + 2000000);
	/* Never backwards, wherever the thread runs. */
	for (before = 0; before < 100; before++) {
		first = ns(CLOCK_THREAD_CPUTIME_ID);
		sched_yield();
		CHECK(ns(CLOCK_THREAD_CPUTIME_ID) >= first);
	}
	CHECK(sem_post(&ready) == 0);
	CHECK(sem_wait(&gate) == 0);
	return arg;
}

int main(void)
{
	struct timespec res;
	clockid_t clock;
	pthread_t t;

	CHECK(sem_init(&gate, 0, 0) == 0 && sem_init(&ready, 0, 0) == 0);
	section("own");
	OK(pthread_getcpuclockid(pthread_self(), &clock));
	burn(1000000);
	CHECK(ns(clock) >= 900000);
	CHECK(clock_getres(clock, &res) == 0);

	section("another's");
	t = start(works, NULL);
	CHECK(sem_wait(&ready) == 0);
	OK(pthread_getcpuclockid(t, &clock));
	CHECK(ns(clock) >= 2000000);
	CHECK(sem_post(&gate) == 0);
	join(t);
	section("process");
	CHECK(clock_getcpuclockid(0, &clock) == 0);
	CHECK(ns(clock) >= 2000000);
	return 0;
}
