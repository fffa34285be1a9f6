/*
 * cond_requeue_timeout - many waiters, some with deadlines about to pass, and
 * many wakers that signal and broadcast, all on one condition and one mutex
 * that is itself fought over: no ticket may be lost and no waiter left.
 *
 * cond_requeue_timeout [seconds]
 */
#include "check.h"

enum { WAITERS = 60, WAKERS = 4 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond;
static long given, used, timeouts, tickets;
static int stop, quit;

static void *waits(void *arg)
{
	unsigned seed = (unsigned)(long)arg;
	struct timespec t;
	int ret;

	OK(pthread_mutex_lock(&lock));
	while (!quit) {
		if (tickets) {
			tickets--;
			used++;
			continue;
		}
		if ((long)arg % 3 == 0) {
			OK(pthread_cond_wait(&cond, &lock));
			continue;
		}
		t = in_ms(CLOCK_MONOTONIC, 0);
		t.tv_nsec += rand_r(&seed) % 300000;
		if (t.tv_nsec >= 1000000000) {
			t.tv_sec++;
			t.tv_nsec -= 1000000000;
		}
		ret = pthread_cond_timedwait(&cond, &lock, &t);
		if (ret == ETIMEDOUT)
			timeouts++;
		else
			CHECK_EQ(ret, 0);
	}
	OK(pthread_mutex_unlock(&lock));
	return NULL;
}

static void *wakes(void *arg)
{
	unsigned seed = (unsigned)(long)arg + 1000;
	int n, held;

	while (!LOAD(stop)) {
		n = rand_r(&seed) % 5;
		held = rand_r(&seed) & 1;
		OK(pthread_mutex_lock(&lock));
		/* Bounded: or the wakers alone would have the mutex. */
		if (tickets > 1000) {
			OK(pthread_mutex_unlock(&lock));
			sched_yield();
			continue;
		}
		tickets += n ? 1 : WAITERS;
		given += n ? 1 : WAITERS;
		if (!held)
			OK(pthread_mutex_unlock(&lock));
		if (n)
			OK(pthread_cond_signal(&cond));
		else
			OK(pthread_cond_broadcast(&cond));
		if (held)
			OK(pthread_mutex_unlock(&lock));
		if (rand_r(&seed) % 8 == 0)
			sched_yield();
	}
	return NULL;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 2;
	struct timespec end = in_ms(CLOCK_MONOTONIC, (long)(seconds * 1000));
	pthread_t waiter[WAITERS], waker[WAKERS];
	pthread_condattr_t attr;
	long i;

	OK(pthread_condattr_init(&attr));
	OK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	OK(pthread_cond_init(&cond, &attr));
	OK(pthread_condattr_destroy(&attr));
	section("stress");
	for (i = 0; i < WAITERS; i++)
		waiter[i] = start(waits, (void *)i);
	for (i = 0; i < WAKERS; i++)
		waker[i] = start(wakes, (void *)i);
	while (!reached(CLOCK_MONOTONIC, &end))
		usleep(10000);
	STORE(stop, 1);
	for (i = 0; i < WAKERS; i++)
		join(waker[i]);

	section("drain");
	for (;;) {
		OK(pthread_mutex_lock(&lock));
		if (tickets == 0)
			break;
		OK(pthread_cond_broadcast(&cond));
		OK(pthread_mutex_unlock(&lock));
		sched_yield();
	}
	CHECK_EQ(used, given);
	quit = 1;
	OK(pthread_cond_broadcast(&cond));
	OK(pthread_mutex_unlock(&lock));
	for (i = 0; i < WAITERS; i++)
		join(waiter[i]);
	OK(pthread_cond_destroy(&cond));
	fprintf(stderr, "%ld tickets, %ld timeouts\n", given, timeouts);
	return 0;
}
