/*
 * ticker - a thread that sleeps to the next millisecond again and again,
 * beside threads that compute without a call: no tick comes before its time,
 * and the computing is done to its end.  Ticks whose time has passed while an
 * earlier one was late are missed, and count.
 *
 * "report" prints how late the ticks were, for measuring by hand.
 *
 * ticker [report] [ms [hogs]]
 */
#include "sequence.h"

enum { MS = 5000, HOGS = 4, STEPS = 1000000 };

static volatile int stop;
static long ms = MS, *late, slept, missed; /* late: in nanoseconds */
static int begun;

static long since(const struct timespec *t)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (now.tv_sec - t->tv_sec) * 1000000000L + now.tv_nsec -
	       t->tv_nsec;
}

static void *ticker(void *arg)
{
	struct timespec next = in_ms(CLOCK_MONOTONIC, 0);
	long i;

	for (i = 0; i < ms; i++) {
		next.tv_nsec += 1000000;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		if (since(&next) >= 0) {
			missed++;
			continue;
		}
		OK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next,
				   NULL));
		late[slept] = since(&next);
		CHECK(late[slept] >= 0);
		slept++;
	}
	stop = 1;
	return arg;
}

/* At least so many steps, and until the ticker is done. */
static void *computes(void *arg)
{
	uint64_t x = (uint64_t)(long)arg, i;

	ADD(begun, 1);
	for (i = 0; i < STEPS || !stop; i++)
		x = following(x);
	return (void *)(uintptr_t)(x | 1);
}

static int order(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	int report = argc > 1 && strcmp(argv[1], "report") == 0;
	long hogs = HOGS, i;
	pthread_t *t, one;

	argc -= report;
	argv += report;
	if (argc > 1)
		ms = atol(argv[1]);
	if (argc > 2)
		hogs = atol(argv[2]);
	CHECK(ms > 0 && hogs >= 0);
	t = calloc(hogs + 1, sizeof(*t));
	late = calloc(ms, sizeof(*late));
	CHECK(t != NULL && late != NULL);
	section("ticks");
	for (i = 0; i < hogs; i++)
		t[i] = start(computes, (void *)i);
	YIELD_UNTIL(LOAD(begun) == hogs);
	one = start(ticker, NULL);
	join(one);
	for (i = 0; i < hogs; i++)
		CHECK(join(t[i]) != NULL);
	/* However slow the machine, not every one was missed. */
	CHECK(slept > 0);
	printf("%ld ticks beside %ld hogs\n", slept + missed, hogs);
	if (report) {
		qsort(late, slept, sizeof(*late), order);
		printf("late by us: p50 %.0f p99 %.0f max %.0f; %ld missed\n",
		       late[slept / 2] / 1e3, late[slept * 99 / 100] / 1e3,
		       late[slept - 1] / 1e3, missed);
	}
	free(late);
	free(t);
	return 0;
}
