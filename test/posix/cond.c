/*
 * cond - condition variables: wait, both timed forms on both clocks, signal,
 * broadcast, exact wake-up counts where POSIX promises them, errors, destroy
 * right after the broadcast.
 */
#include "check.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int waiting, tickets, woken;

/* All errors of the timed forms; the mutex is ours again after each. */
static void errors(pthread_cond_t *c, clockid_t clock)
{
	struct timespec t;
	int i;

	OK(pthread_mutex_lock(&lock));
	for (i = 0; i < 3; i++) {
		t = in_ms(clock, i * 5 - 5);
		RET(ETIMEDOUT, pthread_cond_timedwait(c, &lock, &t));
		CHECK(reached(clock, &t));
		RET(EBUSY, pthread_mutex_trylock(&lock));
		t = in_ms(CLOCK_REALTIME, i * 5 - 5);
		RET(ETIMEDOUT,
		    pthread_cond_clockwait(c, &lock, CLOCK_REALTIME, &t));
		CHECK(reached(CLOCK_REALTIME, &t));
		t = in_ms(CLOCK_MONOTONIC, i * 5 - 5);
		RET(ETIMEDOUT,
		    pthread_cond_clockwait(c, &lock, CLOCK_MONOTONIC, &t));
		CHECK(reached(CLOCK_MONOTONIC, &t));
		RET(EBUSY, pthread_mutex_trylock(&lock));
	}
	t = far_off(clock);
	t.tv_nsec = 1000000000;
	RET(EINVAL, pthread_cond_timedwait(c, &lock, &t));
	t.tv_nsec = -1;
	RET(EINVAL, pthread_cond_timedwait(c, &lock, &t));
	RET(EINVAL, pthread_cond_clockwait(c, &lock, CLOCK_MONOTONIC, &t));
	t.tv_nsec = 0;
	RET(EINVAL,
	    pthread_cond_clockwait(c, &lock, CLOCK_PROCESS_CPUTIME_ID, &t));
	RET(EBUSY, pthread_mutex_trylock(&lock));
	OK(pthread_mutex_unlock(&lock));
	/* With nobody waiting they do nothing, and leave nothing behind. */
	OK(pthread_cond_signal(c));
	OK(pthread_cond_broadcast(c));
	OK(pthread_mutex_lock(&lock));
	t = in_ms(clock, 2);
	RET(ETIMEDOUT, pthread_cond_timedwait(c, &lock, &t));
	OK(pthread_mutex_unlock(&lock));
}

static void *takes_ticket(void *arg)
{
	struct timespec t;
	long form = (long)arg % 3;

	OK(pthread_mutex_lock(&lock));
	waiting++;
	while (!tickets) {
		if (form == 0) {
			OK(pthread_cond_wait(&cond, &lock));
		} else if (form == 1) {
			t = far_off(CLOCK_REALTIME);
			OK(pthread_cond_timedwait(&cond, &lock, &t));
		} else {
			t = far_off(CLOCK_MONOTONIC);
			OK(pthread_cond_clockwait(&cond, &lock, CLOCK_MONOTONIC,
						  &t));
		}
	}
	tickets--;
	woken++;
	OK(pthread_mutex_unlock(&lock));
	return NULL;
}

static void all_wait(int n)
{
	int got = 0;

	/* They count up before they wait, with the mutex. */
	while (got < n) {
		OK(pthread_mutex_lock(&lock));
		got = waiting;
		OK(pthread_mutex_unlock(&lock));
		sched_yield();
	}
}

static void wakeups(void)
{
	enum { N = 100 };
	static pthread_t t[N];
	int inside, round;
	long i;

	for (round = 0; round < 8; round++) {
		waiting = tickets = woken = 0;
		inside = round & 1;
		printf("%s, mutex %s\n",
		       round & 2 ? "broadcast" : "one signal a waiter",
		       inside ? "held" : "free");
		fflush(stdout);
		for (i = 0; i < N; i++)
			t[i] = start(takes_ticket, (void *)i);
		all_wait(N);
		for (i = 0; i < (round & 2 ? 1 : N); i++) {
			OK(pthread_mutex_lock(&lock));
			tickets += round & 2 ? N : 1;
			if (!inside)
				OK(pthread_mutex_unlock(&lock));
			if (round & 2)
				OK(pthread_cond_broadcast(&cond));
			else
				OK(pthread_cond_signal(&cond));
			if (inside)
				OK(pthread_mutex_unlock(&lock));
			if (i % 8 == 0)
				sched_yield();
		}
		for (i = 0; i < N; i++)
			join(t[i]);
		CHECK_EQ(woken, N);
		CHECK_EQ(tickets, 0);
	}
}

/* A late waiter must not eat the signal meant for an earlier one. */
static int stage;
static void *early(void *arg)
{
	OK(pthread_mutex_lock(&lock));
	ADD(stage, 1);
	/* A wake-up for no reason is allowed, but the state decides. */
	while (LOAD(stage) < 2)
		OK(pthread_cond_wait(&cond, &lock));
	OK(pthread_mutex_unlock(&lock));
	return arg;
}

static void *late(void *arg)
{
	struct timespec t = in_ms(CLOCK_REALTIME, 20);

	OK(pthread_mutex_lock(&lock));
	pthread_cond_timedwait(&cond, &lock, &t);
	OK(pthread_mutex_unlock(&lock));
	return arg;
}

static void no_theft(void)
{
	pthread_t a, b;
	int i;

	section("a signal goes to who waited before");
	for (i = 0; i < 20; i++) {
		stage = 0;
		a = start(early, NULL);
		/* It has waited once we hold the mutex with stage up. */
		for (;;) {
			OK(pthread_mutex_lock(&lock));
			if (stage == 1)
				break;
			OK(pthread_mutex_unlock(&lock));
			sched_yield();
		}
		stage = 2;
		OK(pthread_cond_signal(&cond));
		OK(pthread_mutex_unlock(&lock));
		b = start(late, NULL);
		join(a);
		join(b);
	}
}

struct object {
	pthread_mutex_t m;
	pthread_cond_t c;
	int left, go;
};

static void *last_frees(void *arg)
{
	struct object *o = arg;
	int left;

	OK(pthread_mutex_lock(&o->m));
	while (!o->go)
		OK(pthread_cond_wait(&o->c, &o->m));
	left = --o->left;
	OK(pthread_mutex_unlock(&o->m));
	if (left == 0) {
		OK(pthread_mutex_destroy(&o->m));
		free(o);
	}
	return NULL;
}

/* Destroyed after the broadcast, though waiters have not yet returned. */
static void destroy(void)
{
	enum { N = 8 };
	pthread_t t[N];
	struct object *o;
	int i, k;

	section("destroy after broadcast");
	for (k = 0; k < 100; k++) {
		o = malloc(sizeof(*o));
		OK(pthread_mutex_init(&o->m, NULL));
		OK(pthread_cond_init(&o->c, NULL));
		o->left = N;
		o->go = 0;
		for (i = 0; i < N; i++)
			t[i] = start(last_frees, o);
		if (k & 1)
			sched_yield();
		OK(pthread_mutex_lock(&o->m));
		o->go = 1;
		OK(pthread_cond_broadcast(&o->c));
		OK(pthread_cond_destroy(&o->c));
		memset(&o->c, 0x5a, sizeof(o->c));
		OK(pthread_mutex_unlock(&o->m));
		for (i = 0; i < N; i++)
			join(t[i]);
	}
}

/* The classic: a bounded queue with two conditions. */
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER;
static int queue[4], head, queued;
static long taken;
enum { ITEMS = 2000, PEERS = 8 };

static void *produces(void *arg)
{
	int i;

	for (i = 0; i < ITEMS; i++) {
		OK(pthread_mutex_lock(&lock));
		while (queued == 4)
			OK(pthread_cond_wait(&not_full, &lock));
		queue[(head + queued++) % 4] = i;
		OK(pthread_cond_signal(&cond));
		OK(pthread_mutex_unlock(&lock));
	}
	return arg;
}

static void *consumes(void *arg)
{
	int i;

	for (i = 0; i < ITEMS; i++) {
		OK(pthread_mutex_lock(&lock));
		while (queued == 0)
			OK(pthread_cond_wait(&cond, &lock));
		taken += queue[head];
		head = (head + 1) % 4;
		queued--;
		OK(pthread_cond_signal(&not_full));
		OK(pthread_mutex_unlock(&lock));
	}
	return arg;
}

static void bounded_queue(void)
{
	pthread_t t[2 * PEERS];
	int i;

	section("bounded queue");
	for (i = 0; i < 2 * PEERS; i++)
		t[i] = start(i & 1 ? produces : consumes, NULL);
	for (i = 0; i < 2 * PEERS; i++)
		join(t[i]);
	CHECK_EQ(taken, (long)PEERS * ITEMS * (ITEMS - 1) / 2);
	CHECK_EQ(queued, 0);
}

/* A recursive mutex held once is given up and taken again by the wait. */
static void recursive(void)
{
	pthread_mutex_t r = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	struct timespec t = in_ms(CLOCK_REALTIME, 2);

	section("with a recursive mutex");
	OK(pthread_mutex_lock(&r));
	RET(ETIMEDOUT, pthread_cond_timedwait(&cond, &r, &t));
	OK(pthread_mutex_unlock(&r));
	RET(EPERM, pthread_mutex_unlock(&r));
	OK(pthread_mutex_destroy(&r));
}

int main(void)
{
	static pthread_cond_t monotonic;
	pthread_condattr_t attr;
	clockid_t clock;

	section("errors");
	errors(&cond, CLOCK_REALTIME);
	OK(pthread_condattr_init(&attr));
	OK(pthread_condattr_getclock(&attr, &clock));
	CHECK_EQ(clock, CLOCK_REALTIME);
	RET(EINVAL, pthread_condattr_setclock(&attr, CLOCK_PROCESS_CPUTIME_ID));
	RET(EINVAL, pthread_condattr_setpshared(&attr, 77));
	OK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	OK(pthread_condattr_getclock(&attr, &clock));
	CHECK_EQ(clock, CLOCK_MONOTONIC);
	OK(pthread_cond_init(&monotonic, &attr));
	OK(pthread_condattr_destroy(&attr));
	section("errors, monotonic");
	errors(&monotonic, CLOCK_MONOTONIC);
	OK(pthread_cond_destroy(&monotonic));
	wakeups();
	no_theft();
	destroy();
	bounded_queue();
	recursive();
	OK(pthread_cond_destroy(&cond));
	OK(pthread_mutex_destroy(&lock));
	return 0;
}
