/*
 * self_equal - pthread_self is the same from a thread's first line to its
 * last, across yields, sleeps and locks, and no two live threads share it.
 */
#include "check.h"

enum { N = 500 };
static pthread_t t[N], seen[N];
static pthread_barrier_t gate;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *runs(void *arg)
{
	long i = (long)arg;
	pthread_t self = pthread_self();
	int k;

	seen[i] = self;
	for (k = 0; k < 20; k++) {
		sched_yield();
		CHECK(pthread_equal(self, pthread_self()));
		OK(pthread_mutex_lock(&lock));
		if (k == 10)
			sched_yield();
		OK(pthread_mutex_unlock(&lock));
	}
	usleep(100);
	CHECK(pthread_equal(self, pthread_self()));
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	CHECK(pthread_equal(self, pthread_self()));
	return NULL;
}

int main(void)
{
	pthread_t self = pthread_self();
	long i, j;

	OK(pthread_barrier_init(&gate, NULL, N + 1));
	for (i = 0; i < N; i++)
		t[i] = start_small(runs, (void *)i);
	pthread_barrier_wait(&gate);
	section("self is what create gave");
	for (i = 0; i < N; i++)
		CHECK(pthread_equal(t[i], seen[i]));
	section("no two are equal");
	for (i = 0; i < N; i++) {
		CHECK(!pthread_equal(self, t[i]));
		for (j = i + 1; j < N; j++)
			CHECK(!pthread_equal(t[i], t[j]));
	}
	pthread_barrier_wait(&gate);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK(pthread_equal(self, pthread_self()));
	OK(pthread_barrier_destroy(&gate));
	return 0;
}
