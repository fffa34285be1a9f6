/*
 * mutex_timed - pthread_mutex_timedlock and clocklock: both clocks, past and
 * near deadlines, bad arguments, and waiters that give up while others go on.
 */
#include "check.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *times_out(void *arg)
{
	struct timespec t, bad;
	int i;

	(void)arg;
	for (i = 0; i < 3; i++) {
		t = in_ms(CLOCK_REALTIME, i * 5 - 5);
		RET(ETIMEDOUT, pthread_mutex_timedlock(&lock, &t));
		CHECK(reached(CLOCK_REALTIME, &t));
		t = in_ms(CLOCK_REALTIME, i * 5 - 5);
		RET(ETIMEDOUT,
		    pthread_mutex_clocklock(&lock, CLOCK_REALTIME, &t));
		CHECK(reached(CLOCK_REALTIME, &t));
		t = in_ms(CLOCK_MONOTONIC, i * 5 - 5);
		RET(ETIMEDOUT,
		    pthread_mutex_clocklock(&lock, CLOCK_MONOTONIC, &t));
		CHECK(reached(CLOCK_MONOTONIC, &t));
	}
	bad = far_off(CLOCK_REALTIME);
	bad.tv_nsec = 1000000000;
	RET(EINVAL, pthread_mutex_timedlock(&lock, &bad));
	bad.tv_nsec = -1;
	RET(EINVAL, pthread_mutex_timedlock(&lock, &bad));
	RET(EINVAL, pthread_mutex_clocklock(&lock, CLOCK_MONOTONIC, &bad));
	bad.tv_nsec = 0;
	RET(EINVAL,
	    pthread_mutex_clocklock(&lock, CLOCK_PROCESS_CPUTIME_ID, &bad));
	/* Before the epoch is only long past. */
	bad.tv_sec = -1;
	RET(ETIMEDOUT, pthread_mutex_timedlock(&lock, &bad));
	return NULL;
}

static long counter, gave_up;
static void *patient_or_not(void *arg)
{
	struct timespec t;
	int i, ret;

	for (i = 0; i < 100; i++) {
		if ((long)arg & 1) {
			t = in_ms(CLOCK_MONOTONIC, 0);
			t.tv_nsec += t.tv_nsec < 999900000 ? 50000 : 0;
			ret = pthread_mutex_clocklock(&lock, CLOCK_MONOTONIC,
						      &t);
			if (ret == ETIMEDOUT) {
				ADD(gave_up, 1);
				continue;
			}
		} else {
			t = far_off(CLOCK_REALTIME);
			ret = pthread_mutex_timedlock(&lock, &t);
		}
		CHECK_EQ(ret, 0);
		counter++;
		if (i % 20 == 0)
			usleep(100);
		OK(pthread_mutex_unlock(&lock));
	}
	return NULL;
}

static void *takes(void *arg)
{
	struct timespec t = far_off(CLOCK_MONOTONIC);

	CHECK_EQ(pthread_mutex_clocklock(&lock, CLOCK_MONOTONIC, &t), 0);
	OK(pthread_mutex_unlock(&lock));
	return arg;
}

int main(void)
{
	enum { N = 20 };
	struct timespec bad = { 0, -1 };
	pthread_t t[N];
	long i;

	section("free: the time does not matter");
	OK(pthread_mutex_timedlock(&lock, &bad));
	OK(pthread_mutex_unlock(&lock));
	bad.tv_nsec = 2000000000;
	OK(pthread_mutex_timedlock(&lock, &bad));
	OK(pthread_mutex_unlock(&lock));

	section("held");
	OK(pthread_mutex_lock(&lock));
	join(start(times_out, NULL));
	t[0] = start(takes, NULL);
	usleep(1000);
	OK(pthread_mutex_unlock(&lock));
	join(t[0]);
	OK(pthread_mutex_trylock(&lock));
	OK(pthread_mutex_unlock(&lock));

	section("some give up");
	for (i = 0; i < N; i++)
		t[i] = start(patient_or_not, (void *)i);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(counter + gave_up, N * 100);
	CHECK(counter >= N / 2 * 100);
	OK(pthread_mutex_trylock(&lock));
	OK(pthread_mutex_unlock(&lock));
	OK(pthread_mutex_destroy(&lock));
	return 0;
}
