/*
 * openmp - libgomp's threads, which wait in futex calls of its own: loops,
 * barriers, critical sections, ordered parts, tasks, nested teams and more threads than
 * processors give the right sums; so do several teams at once.
 */
#include "check.h"
#include <omp.h>

enum { N = 20000 };

static long sums(int threads)
{
	long sum = 0, critical = 0, last = -1;
	int i, wrong = 0;

#pragma omp parallel for reduction(+ : sum) num_threads(threads)
	for (i = 0; i < N; i++)
		sum += i;
#pragma omp parallel num_threads(threads)
	{
		int k;

		for (k = 0; k < 20; k++) {
#pragma omp critical
			critical++;
#pragma omp barrier
#pragma omp single
			wrong += critical != (k + 1L) * omp_get_num_threads();
		}
	}
#pragma omp parallel for ordered schedule(dynamic) num_threads(threads)
	for (i = 0; i < 200; i++) {
#pragma omp ordered
		{
			wrong += last != i - 1;
			last = i;
		}
	}
	CHECK_EQ(wrong, 0);
	return sum;
}

static long fib(int n)
{
	long a, b;

	if (n < 2)
		return n;
#pragma omp task shared(a) if (n > 8)
	a = fib(n - 1);
	b = fib(n - 2);
#pragma omp taskwait
	return a + b;
}

static void *team(void *arg)
{
	CHECK_EQ(sums((int)(long)arg), (long)N * (N - 1) / 2);
	return NULL;
}

int main(void)
{
	pthread_t t[3];
	long f = 0, i, nested = 0;

	section("teams");
	team((void *)4);
	team((void *)2);
	team((void *)16);
	section("tasks");
#pragma omp parallel num_threads(4)
#pragma omp single
	f = fib(16);
	CHECK_EQ(f, 987);
	section("nested");
	omp_set_max_active_levels(2);
#pragma omp parallel num_threads(3) reduction(+ : nested)
	{
#pragma omp parallel num_threads(3) reduction(+ : nested)
		nested += 1;
	}
	CHECK_EQ(nested, 9);
	section("several at once");
	for (i = 0; i < 3; i++)
		t[i] = start(team, (void *)(i + 2));
	for (i = 0; i < 3; i++)
		join(t[i]);
	return 0;
}
