/*
 * sleep_ends - a sleep that falls due while a signal or a cancellation comes for it ends
 * once, for one of them: with 0 not before its time; with EINTR if a handler ran, and
 * then the rest is right; or the thread ends. And it does end where signals that the
 * program ignores come faster than it lasts.
 */
#include "check.h"
#include "storm.h"

enum { N = 24, LONGEST = 300000 /* ns */ };

static __thread volatile int handled;
static int slept[N], ended;
static long times = 400;

static void on_usr1(int sig)
{
	(void)sig;
	handled++;
}

static int64_t ns(void)
{
	struct timespec t;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* True: to its end. */
static int sleeps(long left)
{
	struct timespec t = { 0, left }, rest = { 77, 77 };
	int64_t end = ns() + left;
	int before = handled;

	errno = 0;
	if (nanosleep(&t, &rest) == 0) {
		CHECK(ns() >= end);
		CHECK(rest.tv_sec == 77 && rest.tv_nsec == 77);
		return 1;
	}
	CHECK_EQ(errno, EINTR);
	CHECK(handled != before);
	/* the kernel's slack is in it */
	CHECK(rest.tv_sec == 0 && rest.tv_nsec >= 0 &&
	      rest.tv_nsec <= left + 1000000);
	CHECK(ns() + rest.tv_nsec >= end);
	return 0;
}

static void *sleeper(void *arg)
{
	unsigned seed = (unsigned)(long)arg;

	for (long i = 0; i < times;) {
		i += sleeps(rand_r(&seed) % LONGEST);
		STORE(slept[(long)arg], 1);
	}
	ADD(ended, 1);
	return arg;
}

static void *cancelled(void *arg)
{
	unsigned seed = (unsigned)(long)arg;

	for (;;) {
		sleeps(rand_r(&seed) % LONGEST);
		STORE(slept[(long)arg], 1);
	}
	return NULL;
}

static void *sleeps_on(void *arg)
{
	for (int i = 0; i < 200; i++)
		CHECK(sleeps(200000));
	return arg;
}

static void in_a_storm(void)
{
	pid_t child = begin_storm();

	section("in a storm");
	join(start(sleeps_on, NULL));
	end_storm(child);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_usr1, .sa_flags = SA_RESTART };
	pthread_t t[N];
	unsigned seed = 5;

	if (argc > 1)
		times = atol(argv[1]);
	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	section("signals");
	for (long i = 0; i < N; i++)
		t[i] = start(sleeper, (void *)i);
	while (LOAD(ended) < N) {
		OK(pthread_kill(t[rand_r(&seed) % N], SIGUSR1));
		if (rand_r(&seed) % 4 == 0)
			sleeps(rand_r(&seed) % 20000);
	}
	for (long i = 0; i < N; i++)
		CHECK(join(t[i]) == (void *)i);
	section("cancellation");
	for (long round = 0; round < times / 20; round++) {
		for (long i = 0; i < N; i++) {
			STORE(slept[i], 0);
			t[i] = start(cancelled, (void *)i);
		}
		for (long i = 0; i < N; i++) {
			YIELD_UNTIL(LOAD(slept[i]));
			if (rand_r(&seed) % 2)
				OK(pthread_kill(t[i], SIGUSR1));
			OK(pthread_cancel(t[i]));
		}
		for (long i = 0; i < N; i++)
			CHECK(join(t[i]) == PTHREAD_CANCELED);
	}
	in_a_storm();
	return 0;
}
