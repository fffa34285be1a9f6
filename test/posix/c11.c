/*
 * c11 - <threads.h>: thrd_, mtx_, cnd_, tss_ and call_once with all their
 * results.
 */
#include "check.h"
#include <threads.h>

static int returns(void *arg)
{
	return (int)(long)arg;
}

static int leaves(void *arg)
{
	thrd_yield();
	thrd_exit((int)(long)arg);
}

static thrd_t shown;
static int shows_self(void *arg)
{
	(void)arg;
	shown = thrd_current();
	return 0;
}

static int detached;
static int detaches(void *arg)
{
	(void)arg;
	CHECK(thrd_detach(thrd_current()) == thrd_success);
	ADD(detached, 1);
	return 0;
}

static void threads(void)
{
	thrd_t t[50];
	int i, res;

	section("threads");
	for (i = 0; i < 50; i++)
		CHECK(thrd_create(&t[i], i & 1 ? returns : leaves,
				  (void *)(long)(i - 10)) == thrd_success);
	for (i = 0; i < 50; i++) {
		CHECK(thrd_join(t[i], &res) == thrd_success);
		CHECK_EQ(res, i - 10);
	}
	CHECK(thrd_create(&t[0], returns, NULL) == thrd_success);
	CHECK(thrd_join(t[0], NULL) == thrd_success);
	CHECK(thrd_create(&t[0], shows_self, NULL) == thrd_success);
	CHECK(thrd_join(t[0], NULL) == thrd_success);
	CHECK(thrd_equal(shown, t[0]));
	CHECK(!thrd_equal(thrd_current(), t[0]));
	for (i = 0; i < 20; i++)
		CHECK(thrd_create(&t[0], detaches, NULL) == thrd_success);
	while (LOAD(detached) < 20)
		thrd_yield();
}

static mtx_t plain, timed, recursive, both;
static long counter;

static int counts(void *arg)
{
	struct timespec later = far_off(CLOCK_REALTIME);
	int i, res;

	(void)arg;
	for (i = 0; i < 200; i++) {
		CHECK(mtx_lock(&plain) == thrd_success);
		counter++;
		if (i % 32 == 0)
			thrd_yield();
		CHECK(mtx_unlock(&plain) == thrd_success);
		CHECK(mtx_timedlock(&timed, &later) == thrd_success);
		counter++;
		CHECK(mtx_unlock(&timed) == thrd_success);
		CHECK(mtx_lock(&recursive) == thrd_success);
		CHECK(mtx_trylock(&recursive) == thrd_success);
		CHECK(mtx_lock(&recursive) == thrd_success);
		thrd_yield();
		CHECK(mtx_unlock(&recursive) == thrd_success);
		CHECK(mtx_unlock(&recursive) == thrd_success);
		CHECK(mtx_unlock(&recursive) == thrd_success);
		while ((res = mtx_trylock(&both)) != thrd_success) {
			CHECK_EQ(res, thrd_busy);
			thrd_yield();
		}
		CHECK(mtx_timedlock(&both, &later) == thrd_success);
		CHECK(mtx_unlock(&both) == thrd_success);
		CHECK(mtx_unlock(&both) == thrd_success);
	}
	return 0;
}

static int others(void *arg)
{
	struct timespec soon = in_ms(CLOCK_REALTIME, 3);

	(void)arg;
	CHECK(mtx_trylock(&plain) == thrd_busy);
	CHECK(mtx_trylock(&recursive) == thrd_busy);
	CHECK(mtx_timedlock(&timed, &soon) == thrd_timedout);
	CHECK(reached(CLOCK_REALTIME, &soon));
	CHECK(mtx_timedlock(&both, &soon) == thrd_timedout);
	soon.tv_nsec = -1;
	CHECK(mtx_timedlock(&timed, &soon) == thrd_error);
	return 0;
}

static void mutexes(void)
{
	thrd_t t[10];
	int i;

	section("mutexes");
	CHECK(mtx_init(&plain, mtx_plain) == thrd_success);
	CHECK(mtx_init(&timed, mtx_timed) == thrd_success);
	CHECK(mtx_init(&recursive, mtx_plain | mtx_recursive) == thrd_success);
	CHECK(mtx_init(&both, mtx_timed | mtx_recursive) == thrd_success);
	CHECK(mtx_lock(&plain) == thrd_success);
	CHECK(mtx_lock(&timed) == thrd_success);
	CHECK(mtx_lock(&recursive) == thrd_success);
	CHECK(mtx_lock(&both) == thrd_success);
	CHECK(thrd_create(&t[0], others, NULL) == thrd_success);
	CHECK(thrd_join(t[0], NULL) == thrd_success);
	CHECK(mtx_unlock(&plain) == thrd_success);
	CHECK(mtx_unlock(&timed) == thrd_success);
	CHECK(mtx_unlock(&recursive) == thrd_success);
	CHECK(mtx_unlock(&both) == thrd_success);
	for (i = 0; i < 10; i++)
		CHECK(thrd_create(&t[i], counts, NULL) == thrd_success);
	for (i = 0; i < 10; i++)
		CHECK(thrd_join(t[i], NULL) == thrd_success);
}

static cnd_t cnd;
static int tickets, woken, waiting;
static int waits(void *arg)
{
	struct timespec later = far_off(CLOCK_REALTIME);

	CHECK(mtx_lock(&plain) == thrd_success);
	waiting++;
	while (!tickets)
		CHECK(((long)arg & 1 ? cnd_timedwait(&cnd, &plain, &later)
				     : cnd_wait(&cnd, &plain)) == thrd_success);
	tickets--;
	woken++;
	CHECK(mtx_unlock(&plain) == thrd_success);
	return 0;
}

static void conditions(void)
{
	enum { N = 40 };
	struct timespec soon;
	thrd_t t[N];
	int i, n;

	section("conditions");
	CHECK(cnd_init(&cnd) == thrd_success);
	CHECK(mtx_lock(&plain) == thrd_success);
	for (i = 0; i < 3; i++) {
		soon = in_ms(CLOCK_REALTIME, i * 4 - 4);
		CHECK(cnd_timedwait(&cnd, &plain, &soon) == thrd_timedout);
		CHECK(reached(CLOCK_REALTIME, &soon));
		CHECK(mtx_trylock(&plain) == thrd_busy);
	}
	soon.tv_nsec = -1;
	CHECK(cnd_timedwait(&cnd, &plain, &soon) == thrd_error);
	CHECK(mtx_unlock(&plain) == thrd_success);
	for (i = 0; i < N; i++)
		CHECK(thrd_create(&t[i], waits, (void *)(long)i) ==
		      thrd_success);
	do {
		thrd_yield();
		CHECK(mtx_lock(&plain) == thrd_success);
		n = waiting;
		CHECK(mtx_unlock(&plain) == thrd_success);
	} while (n < N);
	for (i = 0; i < N / 2; i++) {
		CHECK(mtx_lock(&plain) == thrd_success);
		tickets++;
		CHECK(mtx_unlock(&plain) == thrd_success);
		CHECK(cnd_signal(&cnd) == thrd_success);
	}
	CHECK(mtx_lock(&plain) == thrd_success);
	tickets += N - N / 2;
	CHECK(cnd_broadcast(&cnd) == thrd_success);
	CHECK(mtx_unlock(&plain) == thrd_success);
	for (i = 0; i < N; i++)
		CHECK(thrd_join(t[i], NULL) == thrd_success);
	CHECK_EQ(woken, N);
	CHECK_EQ(tickets, 0);
	cnd_destroy(&cnd);
}

static tss_t tss, tss_again;
static int destroyed, again;
static void destroy(void *v)
{
	CHECK(v != NULL);
	ADD(destroyed, 1);
}
static void destroy_again(void *v)
{
	ADD(again, 1);
	CHECK(tss_set(tss_again, v) == thrd_success);
}

static once_flag flag = ONCE_FLAG_INIT;
static int once_runs;
static void once(void)
{
	thrd_yield();
	ADD(once_runs, 1);
}

static thread_local int mine = 7;
static int specific(void *arg)
{
	call_once(&flag, once);
	CHECK_EQ(LOAD(once_runs), 1);
	CHECK_EQ(mine, 7);
	mine = (int)(long)arg;
	CHECK(tss_get(tss) == NULL);
	CHECK(tss_set(tss, arg) == thrd_success);
	if ((long)arg % 5 == 0)
		CHECK(tss_set(tss_again, arg) == thrd_success);
	thrd_yield();
	CHECK(tss_get(tss) == arg);
	CHECK_EQ(mine, (int)(long)arg);
	if ((long)arg & 1)
		thrd_exit(1);
	return 0;
}

static void specifics(void)
{
	enum { N = 50 };
	thrd_t t[N];
	int i;

	section("specific values and once");
	CHECK(tss_create(&tss, destroy) == thrd_success);
	CHECK(tss_create(&tss_again, destroy_again) == thrd_success);
	for (i = 0; i < N; i++)
		CHECK(thrd_create(&t[i], specific, (void *)(long)(i + 1)) ==
		      thrd_success);
	for (i = 0; i < N; i++)
		CHECK(thrd_join(t[i], NULL) == thrd_success);
	CHECK_EQ(destroyed, N);
	CHECK_EQ(again, N / 5 * TSS_DTOR_ITERATIONS);
	tss_delete(tss);
	tss_delete(tss_again);
}

static int sleeps(void *arg)
{
	struct timespec start, rest, t = { 0, 3000000 };
	int ret;

	(void)arg;
	start = in_ms(CLOCK_MONOTONIC, 3);
	CHECK_EQ(thrd_sleep(&t, &rest), 0);
	CHECK(reached(CLOCK_MONOTONIC, &start));
	CHECK_EQ(thrd_sleep(&t, NULL), 0);
	/* Minus one is for an interrupted sleep only. */
	t.tv_nsec = -1;
	ret = thrd_sleep(&t, NULL);
	CHECK(ret < 0 && ret != -1);
	return 0;
}

int main(void)
{
	thrd_t t;

	threads();
	mutexes();
	conditions();
	specifics();
	section("sleep");
	CHECK(thrd_create(&t, sleeps, NULL) == thrd_success);
	CHECK(thrd_join(t, NULL) == thrd_success);
	mtx_destroy(&plain);
	mtx_destroy(&timed);
	mtx_destroy(&recursive);
	mtx_destroy(&both);
	return 0;
}
