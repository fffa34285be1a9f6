/*
 * many_addresses - thousands of threads, each waits for something of its own: on a
 * semaphore, on a condition, with deadlines that pass and deadlines that do not.  They
 * are woken while others are still being made, then in turn by each other, and in the
 * end by a post or by a cancellation.  In between there is a fork.
 *
 * many_addresses [threads]
 */
#include "check.h"
#include <semaphore.h>

enum { LAPS = 2, BEHIND = 3000, FORKED = 9000 };

static struct place {
	pthread_t t;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	long tickets;
	sem_t sem;
} *place;
static sem_t made, round_done;
static long n, laps[LAPS];

static int on_condition(long i)
{
	return i % 4 == 3;
}

static void wakes(long i)
{
	struct place *p = &place[i];

	if (!on_condition(i)) {
		CHECK(sem_post(&p->sem) == 0);
		return;
	}
	OK(pthread_mutex_lock(&p->lock));
	p->tickets++;
	OK(pthread_cond_signal(&p->cond));
	OK(pthread_mutex_unlock(&p->lock));
}

static void waits(long i)
{
	struct place *p = &place[i];
	struct timespec t;

	switch (i % 4) {
	case 0:
		CHECK(sem_wait(&p->sem) == 0);
		break;
	case 1:
		t = far_off(CLOCK_REALTIME);
		CHECK(sem_timedwait(&p->sem, &t) == 0);
		break;
	case 2: /* every so often, and once more */
		t = in_ms(CLOCK_REALTIME, 200);
		while (sem_timedwait(&p->sem, &t) < 0) {
			CHECK_EQ(errno, ETIMEDOUT);
			t = in_ms(CLOCK_REALTIME, 500 + i % 1000);
		}
		break;
	case 3:
		OK(pthread_mutex_lock(&p->lock));
		while (p->tickets == 0)
			OK(pthread_cond_wait(&p->cond, &p->lock));
		p->tickets--;
		OK(pthread_mutex_unlock(&p->lock));
		break;
	}
}

static void *place_of_one(void *arg)
{
	long i = (long)arg;

	waits(i);
	ADD(laps[0], 1);
	waits(i);
	ADD(laps[1], 1);
	if (i + 1 < n)
		wakes(i + 1);
	else
		CHECK(sem_post(&round_done) == 0);
	CHECK(sem_wait(&place[i].sem) == 0);
	return arg;
}

/* Comes after those who are made. */
static void *wakes_all(void *arg)
{
	long i;

	for (i = 0; i < n; i++) {
		CHECK(sem_wait(&made) == 0);
		if (i >= BEHIND)
			wakes(i - BEHIND);
	}
	for (i = n < BEHIND ? 0 : n - BEHIND; i < n; i++)
		wakes(i);
	return arg;
}

/* A child has none of them, and can have its own. */
static void forks(void)
{
	pid_t pid = fork();
	long i;

	CHECK(pid >= 0);
	if (pid) {
		reap(pid, 0);
		return;
	}
	for (i = 0; i < 20; i++) {
		pthread_t t;

		CHECK(sem_init(&place[i].sem, 0, 0) == 0);
		CHECK(pthread_mutex_init(&place[i].lock, NULL) == 0);
		CHECK(pthread_cond_init(&place[i].cond, NULL) == 0);
		place[i].tickets = 0;
		n = i + 1;
		t = start_small(place_of_one, (void *)i);
		wakes(i);
		wakes(i);
		CHECK(sem_wait(&round_done) == 0);
		CHECK(sem_post(&place[i].sem) == 0);
		CHECK(join(t) == (void *)i);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	pthread_t waker;
	void *value;
	long i;

	n = argc > 1 ? atol(argv[1]) : 10000;
	place = calloc(n, sizeof(*place));
	CHECK(place != NULL);
	CHECK(sem_init(&made, 0, 0) == 0);
	CHECK(sem_init(&round_done, 0, 0) == 0);
	section("woken while others come");
	waker = start(wakes_all, NULL);
	for (i = 0; i < n; i++) {
		CHECK(sem_init(&place[i].sem, 0, 0) == 0);
		OK(pthread_mutex_init(&place[i].lock, NULL));
		OK(pthread_cond_init(&place[i].cond, NULL));
		place[i].t = start_small(place_of_one, (void *)i);
		CHECK(sem_post(&made) == 0);
		if (i == FORKED)
			forks();
	}
	join(waker);
	YIELD_UNTIL(LOAD(laps[0]) == n);
	section("in turn");
	wakes(0);
	CHECK(sem_wait(&round_done) == 0);
	CHECK_EQ(LOAD(laps[1]), n);
	section("taken off");
	for (i = 0; i < n; i++)
		if (i % 5 == 0)
			OK(pthread_cancel(place[i].t));
		else
			CHECK(sem_post(&place[i].sem) == 0);
	for (i = 0; i < n; i++) {
		OK(pthread_join(place[i].t, &value));
		CHECK(value == (i % 5 == 0 ? PTHREAD_CANCELED : (void *)i));
	}
	free(place);
	return 0;
}
