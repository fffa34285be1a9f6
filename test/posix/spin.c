/*
 * spin - spin locks: exclusion, trylock, and a holder that leaves the
 * processor with the lock held while many wait for it.
 */
#include "check.h"

enum { N = 20, EACH = 1000 };
static pthread_spinlock_t lock;
static long counter;
static int inside;

static void *counts(void *arg)
{
	int i, ret;

	for (i = 0; i < EACH; i++) {
		if ((i + (long)arg) % 4) {
			OK(pthread_spin_lock(&lock));
		} else {
			while ((ret = pthread_spin_trylock(&lock)) != 0) {
				CHECK_EQ(ret, EBUSY);
				sched_yield();
			}
		}
		CHECK_EQ(ADD(inside, 1), 1);
		counter++;
		if (i % 200 == 0)
			sched_yield();
		CHECK_EQ(ADD(inside, -1), 0);
		OK(pthread_spin_unlock(&lock));
	}
	return NULL;
}

static void *busy(void *arg)
{
	RET(EBUSY, pthread_spin_trylock(&lock));
	return arg;
}

int main(void)
{
	pthread_t t[N];
	long i;

	OK(pthread_spin_init(&lock, PTHREAD_PROCESS_PRIVATE));
	section("one thread");
	OK(pthread_spin_lock(&lock));
	RET(EBUSY, pthread_spin_trylock(&lock));
	join(start(busy, NULL));
	OK(pthread_spin_unlock(&lock));
	OK(pthread_spin_trylock(&lock));
	OK(pthread_spin_unlock(&lock));

	section("contention");
	for (i = 0; i < N; i++)
		t[i] = start(counts, (void *)i);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(counter, N * EACH);

	section("held over a sleep");
	counter = 0;
	OK(pthread_spin_lock(&lock));
	for (i = 0; i < 4; i++)
		t[i] = start(counts, (void *)i);
	usleep(2000);
	CHECK_EQ(counter, 0);
	OK(pthread_spin_unlock(&lock));
	for (i = 0; i < 4; i++)
		join(t[i]);
	CHECK_EQ(counter, 4 * EACH);
	OK(pthread_spin_destroy(&lock));
	return 0;
}
