/*
 * cpuclock - a thread's CPU clock: readable from itself and from others, it grows
 * while the thread works, and counts nothing that others compute, on whatever
 * kernel threads all of them run.
 */
#include "check.h"
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>

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

/* ---- Each its own -------------------------------------------------------- */

enum { N = 8, TURNS = 20 };
#define TURN 1000000 /* ns */
static long long used[N];
static int stop, spins;

static long long usage(void)
{
	struct rusage u;

	CHECK(getrusage(RUSAGE_THREAD, &u) == 0);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000LL +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000LL;
}

static void *takes_turns(void *arg)
{
	long long first = ns(CLOCK_THREAD_CPUTIME_ID), by_usage = usage();
	int i;

	for (i = 0; i < TURNS; i++) {
		burn(TURN);
		if (i % 3)
			sched_yield();
		else
			usleep(10);
	}
	by_usage = usage() - by_usage;
	used[(long)arg] = ns(CLOCK_THREAD_CPUTIME_ID) - first;
	CHECK(used[(long)arg] >= TURNS * TURN);
	/* One counts ticks perhaps. */
	CHECK(by_usage > TURNS * TURN - 10000000);
	CHECK(by_usage < used[(long)arg] + 10000000);
	return NULL;
}

static void *waits(void *arg)
{
	clockid_t *clock = arg;
	long long first;

	OK(pthread_getcpuclockid(pthread_self(), clock));
	first = ns(*clock);
	CHECK(sem_post(&ready) == 0);
	CHECK(sem_wait(&gate) == 0);
	CHECK(ns(CLOCK_THREAD_CPUTIME_ID) - first < TURNS * TURN);
	return NULL;
}

static void *spins_on(void *arg)
{
	CHECK(sem_post(&ready) == 0);
	while (!LOAD(stop))
		ADD(spins, 1);
	return arg;
}

static void each_its_own(void)
{
	long long sum = 0, process, first;
	clockid_t idle, busy;
	pthread_t t[N], w;
	long i;

	w = start(waits, &idle);
	CHECK(sem_wait(&ready) == 0);
	first = ns(idle);
	process = ns(CLOCK_PROCESS_CPUTIME_ID);
	for (i = 0; i < N; i++)
		t[i] = start(takes_turns, (void *)i);
	for (i = 0; i < N; i++)
		join(t[i]);
	process = ns(CLOCK_PROCESS_CPUTIME_ID) - process;
	for (i = 0; i < N; i++)
		sum += used[i];
	CHECK(sum <= process);
	CHECK(ns(idle) - first < TURNS * TURN);
	CHECK(sem_post(&gate) == 0);
	join(w);
	ERR(EINVAL, clock_gettime(idle, &(struct timespec){ 0 }));

	/* One that never asks for it itself. */
	t[0] = start(spins_on, NULL);
	CHECK(sem_wait(&ready) == 0);
	OK(pthread_getcpuclockid(t[0], &busy));
	first = ns(busy);
	while (ns(busy) < first + TURNS * TURN)
		sched_yield();
	STORE(stop, 1);
	join(t[0]);
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
	section("each its own");
	each_its_own();
	section("process");
	CHECK(clock_getcpuclockid(0, &clock) == 0);
	CHECK(ns(clock) >= 2000000);
	return 0;
}
