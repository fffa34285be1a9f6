/*
 * sleep - the sleeping calls: never shorter than asked, both clocks, relative
 * and absolute, errors; many sleepers at once; others run meanwhile.
 */
#include "check.h"

static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC,
				    CLOCK_BOOTTIME };

static void *all_forms(void *arg)
{
	struct timespec t, end, rest = { 77, 77 };
	long ms = (long)arg % 4;
	size_t i;

	end = in_ms(CLOCK_MONOTONIC, ms);
	errno = ERRNO_MARK;
	CHECK(usleep(ms * 1000) == 0);
	CHECK(reached(CLOCK_MONOTONIC, &end));
	end = in_ms(CLOCK_MONOTONIC, ms);
	t = (struct timespec){ 0, ms * 1000000 };
	CHECK(nanosleep(&t, &rest) == 0);
	CHECK(reached(CLOCK_MONOTONIC, &end));
	/* The rest is written only when interrupted. */
	CHECK(rest.tv_sec == 77 && rest.tv_nsec == 77);
	CHECK(sleep(0) == 0);
	CHECK_EQ(errno, ERRNO_MARK);
	for (i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		end = in_ms(clocks[i], ms);
		OK(clock_nanosleep(clocks[i], 0, &t, NULL));
		CHECK(reached(clocks[i], &end));
		end = in_ms(clocks[i], ms);
		OK(clock_nanosleep(clocks[i], TIMER_ABSTIME, &end, NULL));
		CHECK(reached(clocks[i], &end));
		/* Past: at once. */
		end = in_ms(clocks[i], -1000);
		OK(clock_nanosleep(clocks[i], TIMER_ABSTIME, &end, NULL));
		end.tv_sec = end.tv_nsec = 0;
		OK(clock_nanosleep(clocks[i], TIMER_ABSTIME, &end, NULL));
	}
	return NULL;
}

static void *errors(void *arg)
{
	struct timespec t = { 0, 1000000000 };
	int i;

	for (i = 0; i < 2; i++) {
		ERR(EINVAL, nanosleep(&t, NULL));
		RET(EINVAL, clock_nanosleep(CLOCK_REALTIME, 0, &t, NULL));
		RET(EINVAL,
		    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL));
		t.tv_nsec = -1;
	}
	t.tv_sec = -1;
	t.tv_nsec = 0;
	ERR(EINVAL, nanosleep(&t, NULL));
	RET(EINVAL, clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL));
	t.tv_sec = 0;
	RET(EINVAL, clock_nanosleep(77, 0, &t, NULL));
	RET(EINVAL, clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL));
	return arg;
}

static void *second(void *arg)
{
	struct timespec end = in_ms(CLOCK_MONOTONIC, 1000);

	CHECK(sleep(1) == 0);
	CHECK(reached(CLOCK_MONOTONIC, &end));
	return arg;
}

/* They wake in the order of their deadlines, or late; never early. */
static int stop;
static long steps;
static void *works(void *arg)
{
	while (!LOAD(stop)) {
		ADD(steps, 1);
		sched_yield();
	}
	return arg;
}

int main(void)
{
	enum { N = 100 };
	pthread_t t[N], one, worker;
	long i;

	section("before any thread");
	all_forms((void *)1);
	errors(NULL);
	one = start(second, NULL);
	section("errors");
	join(start(errors, NULL));
	section("all forms, many at once");
	for (i = 0; i < N; i++)
		t[i] = start(all_forms, (void *)i);
	for (i = 0; i < N; i++)
		join(t[i]);
	section("others run meanwhile");
	worker = start(works, NULL);
	YIELD_UNTIL(LOAD(steps) > 0);
	i = LOAD(steps);
	do
		usleep(1000);
	while (LOAD(steps) == i);
	STORE(stop, 1);
	join(worker);
	section("a second");
	join(one);
	return 0;
}
