/*
 * yield - sched_yield and pthread_yield let others run: threads that only spin
 * and yield pass a token round, even where one processor is all there is.
 */
#include "check.h"

enum { N = 20, ROUNDS = 200 };
static int token;

static void *passes(void *arg)
{
	int me = (int)(long)arg, r;

	for (r = 0; r < ROUNDS; r++) {
		while (LOAD(token) % N != me)
			CHECK(sched_yield() == 0);
		ADD(token, 1);
	}
	return NULL;
}

/* Yielding for ever, while somebody who never yields needs to run. */
static int stop;
static void *yields(void *arg)
{
	long n = 0;

	(void)arg;
	while (!LOAD(stop)) {
		CHECK(sched_yield() == 0);
		n++;
	}
	return (void *)n;
}

static void *computes(void *arg)
{
	volatile long sum = 0;
	long i;

	(void)arg;
	for (i = 0; i < 3000000; i++)
		sum += i;
	STORE(stop, 1);
	return NULL;
}

int main(void)
{
	pthread_t t[N];
	long i;

	section("token ring");
	for (i = 0; i < N; i++)
		t[i] = start(passes, (void *)i);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(token, N * ROUNDS);

	section("yielders do not starve a worker");
	for (i = 0; i < N - 1; i++)
		t[i] = start(yields, NULL);
	t[i] = start(computes, NULL);
	for (i = 0; i < N; i++)
		join(t[i]);

	section("yield keeps errno");
	errno = ERRNO_MARK;
	for (i = 0; i < 100; i++)
		CHECK(sched_yield() == 0);
	CHECK_EQ(errno, ERRNO_MARK);
	return 0;
}
