/*
 * yield - sched_yield and pthread_yield let others run: threads that only spin
 * and yield pass a token round, even where one processor is all there is; and
 * one that waits for a file has what is written to it after a few of them.
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

/*
 * On one processor who yields finds what has come; tens of thousands may be
 * made before that, but not millions.  Elsewhere another has to get there.
 */
enum { MESSAGES = 20, MOST = 2000000 };
static int to_read[2], answered;

static void *reads(void *arg)
{
	char c;

	for (int i = 0; i < MESSAGES; i++) {
		CHECK_EQ(read(to_read[0], &c, 1), 1);
		ADD(answered, 1);
	}
	return arg;
}

static long yields_until_answered(void)
{
	pthread_t t;
	long n = 0;

	CHECK(pipe(to_read) == 0);
	t = start(reads, NULL);
	for (int i = 0; i < MESSAGES; i++) {
		CHECK_EQ(write(to_read[1], "x", 1), 1);
		for (; LOAD(answered) == i; n++)
			sched_yield();
	}
	join(t);
	return n;
}

int main(void)
{
	const char *procs = getenv("GMP_SHIM_MAXPROCS");
	int one = procs && strcmp(procs, "1") == 0;
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

	section("a reader");
	i = yields_until_answered();
	if (one && i > MOST)
		check_fail(__FILE__, __LINE__, "%ld yields", i);

	section("yield keeps errno");
	errno = ERRNO_MARK;
	for (i = 0; i < 100; i++)
		CHECK(sched_yield() == 0);
	CHECK_EQ(errno, ERRNO_MARK);
	return 0;
}
