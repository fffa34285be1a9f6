/*
 * many_parked - thousands of threads wait on one condition, all are woken and
 * joined; once by a broadcast, once one by one.
 *
 * many_parked [threads]
 */
#include "check.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_cond_t all_here = PTHREAD_COND_INITIALIZER;
static long n, here, tickets;

static void *parks(void *arg)
{
	OK(pthread_mutex_lock(&lock));
	if (++here == n)
		OK(pthread_cond_signal(&all_here));
	while (!tickets)
		OK(pthread_cond_wait(&cond, &lock));
	tickets--;
	OK(pthread_mutex_unlock(&lock));
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t *t;
	long i, round;

	n = argc > 1 ? atol(argv[1]) : 2000;
	t = calloc(n, sizeof(*t));
	CHECK(t != NULL);
	for (round = 0; round < 2; round++) {
		section(round ? "one by one" : "broadcast");
		here = 0;
		for (i = 0; i < n; i++)
			t[i] = start_small(parks, (void *)i);
		OK(pthread_mutex_lock(&lock));
		while (here < n)
			OK(pthread_cond_wait(&all_here, &lock));
		if (round == 0) {
			tickets = n;
			OK(pthread_cond_broadcast(&cond));
		}
		OK(pthread_mutex_unlock(&lock));
		for (i = 0; round && i < n; i++) {
			OK(pthread_mutex_lock(&lock));
			tickets++;
			OK(pthread_cond_signal(&cond));
			OK(pthread_mutex_unlock(&lock));
		}
		for (i = 0; i < n; i++)
			CHECK(join(t[i]) == (void *)i);
		CHECK_EQ(tickets, 0);
	}
	free(t);
	return 0;
}
