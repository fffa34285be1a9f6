/*
 * once - pthread_once: exactly one run, all others wait for its end; a run
 * that pthread_exit or a cancellation cuts short is done again by another.
 */
#include "check.h"
#include <semaphore.h>

enum { N = 50 };
static pthread_once_t once, onces[200];
static int runs, done;
static sem_t gate, inside;

static void slow(void)
{
	ADD(runs, 1);
	sched_yield();
	usleep(1000);
	sched_yield();
	STORE(done, 1);
}

static void *calls(void *arg)
{
	OK(pthread_once(&once, slow));
	CHECK_EQ(LOAD(done), 1);
	return arg;
}

static void quick(void)
{
	ADD(runs, 1);
}

static void *calls_many(void *arg)
{
	int i;

	for (i = 0; i < 200; i++)
		OK(pthread_once(&onces[i], quick));
	return arg;
}

static int cut;
static void cut_short(void)
{
	int n = ADD(runs, 1);

	if (n <= cut) {
		sched_yield();
		pthread_exit((void *)1L);
	}
	STORE(done, 1);
}

static void *calls_cut(void *arg)
{
	(void)arg;
	OK(pthread_once(&once, cut_short));
	CHECK_EQ(LOAD(done), 1);
	return NULL;
}

static void cancelled(void)
{
	if (ADD(runs, 1) > 1) {
		STORE(done, 1);
		return;
	}
	CHECK(sem_post(&inside) == 0);
	/* A cancellation point that nobody ends otherwise. */
	for (;;)
		sem_wait(&gate);
}

static void *calls_cancelled(void *arg)
{
	OK(pthread_once(&once, cancelled));
	CHECK_EQ(LOAD(done), 1);
	return arg;
}

static pthread_once_t outer, inner;
static int inner_ran, outer_ran;
static void run_inner(void)
{
	inner_ran++;
}
static void run_outer(void)
{
	OK(pthread_once(&inner, run_inner));
	outer_ran++;
}
static void *calls_nested(void *arg)
{
	OK(pthread_once(&outer, run_outer));
	CHECK_EQ(inner_ran, 1);
	CHECK_EQ(outer_ran, 1);
	return arg;
}

int main(void)
{
	pthread_t t[N];
	long cuts;
	void *v;
	int i;

	CHECK(sem_init(&gate, 0, 0) == 0 && sem_init(&inside, 0, 0) == 0);
	section("all wait for one");
	for (i = 0; i < N; i++)
		t[i] = start(calls, NULL);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(runs, 1);

	section("many controls");
	runs = 0;
	for (i = 0; i < N; i++)
		t[i] = start(calls_many, NULL);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(runs, 200);

	section("nested");
	for (i = 0; i < N; i++)
		t[i] = start(calls_nested, NULL);
	for (i = 0; i < N; i++)
		join(t[i]);

	section("cut short by exit");
	once = PTHREAD_ONCE_INIT;
	runs = done = 0;
	cut = 5;
	for (i = 0; i < N; i++)
		t[i] = start(calls_cut, NULL);
	for (i = cuts = 0; i < N; i++)
		cuts += (long)join(t[i]);
	CHECK_EQ(cuts, cut);
	CHECK_EQ(runs, cut + 1);

	section("cut short by cancellation");
	once = PTHREAD_ONCE_INIT;
	runs = done = 0;
	t[0] = start(calls_cancelled, NULL);
	CHECK(sem_wait(&inside) == 0);
	for (i = 1; i < N; i++)
		t[i] = start(calls_cancelled, NULL);
	for (i = 0; i < 20; i++)
		sched_yield();
	CHECK_EQ(LOAD(done), 0);
	OK(pthread_cancel(t[0]));
	OK(pthread_join(t[0], &v));
	CHECK(v == PTHREAD_CANCELED);
	for (i = 1; i < N; i++)
		CHECK(join(t[i]) == NULL);
	CHECK_EQ(runs, 2);
	return 0;
}
