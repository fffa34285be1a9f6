/*
 * stack_giveback - threads that used a lot of stack are gone: after a while most of
 * its memory is the system's again.
 */
#include "check.h"

enum { N = 200, DEEP = 1 << 20 };

static void *deep(void *arg)
{
	volatile char a[DEEP];
	long i, sum = 0;

	for (i = 0; i < DEEP; i += 1024)
		a[i] = (char)i;
	sched_yield();
	for (i = 0; i < DEEP; i += 1024)
		sum += a[i] == (char)i;
	CHECK_EQ(sum, DEEP / 1024);
	return arg;
}

static long resident_mb(void)
{
	long size, resident;
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f != NULL);
	CHECK(fscanf(f, "%ld %ld", &size, &resident) == 2);
	fclose(f);
	return resident * 4096 >> 20;
}

int main(void)
{
	pthread_t t[N];
	long i;

	for (i = 0; i < N; i++)
		t[i] = start(deep, (void *)i);
	for (i = 0; i < N; i++)
		CHECK(join(t[i]) == (void *)i);
	section("given back");
	/* The C library keeps 40 MB of stacks natively. */
	while (resident_mb() > 100)
		usleep(10000);
	return 0;
}
