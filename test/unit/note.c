/* note.c - mutex and note of lock_futex.c, with kernel threads. */
#include "test/unit/unit.h"

enum { THREADS = 4, LOCKS = 1000000, ROUNDS = 20000 };

static struct mutex mu;
static long counter; /* guarded by mu */
static uint32_t inside;
static bool overlap;

static void *counts(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg * 77 + 1;

	for (int i = 0; i < LOCKS; i++) {
		lock(&mu);
		if (xadd(&inside, 1) != 0)
			WRITE_ONCE(overlap, true);
		counter++;
		/* now and then hold it long enough for others to sleep on it */
		if (rnd(&seed) % 16384 == 0)
			usleep_raw(50);
		xadd(&inside, -1);
		unlock(&mu);
	}
	return NULL;
}

Test(mutex, excludes, .timeout = 60)
{
	pthread_t t[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		t[i] = spawn(counts, (void *)i);
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	cr_assert(!overlap);
	cr_assert_eq(counter, (long)THREADS * LOCKS);
	cr_assert_eq(mu.key, 0u);
}

static void *unlocks(void *arg)
{
	(void)arg;
	/* only once the main thread sleeps, or is about to */
	while (READ_ONCE(mu.key) != 2)
		usleep_raw(100);
	usleep_raw(2000);
	unlock(&mu);
	return NULL;
}

Test(mutex, wakes_a_sleeper, .timeout = 20)
{
	pthread_t t;

	lock(&mu);
	cr_assert_eq(mu.key, 1u);
	t = spawn(unlocks, NULL);
	lock(&mu);
	join(t);
	unlock(&mu);
	cr_assert_eq(mu.key, 0u);
}

static struct note ping, pong;

Test(note, wakeup_before_sleep_is_kept, .timeout = 20)
{
	notewakeup(&ping);
	notesleep(&ping);
	cr_assert_eq(ping.key, 0u, "the sleeper clears it");
	notewakeup(&ping);
	notewakeup(&ping); /* one-shot: the second adds nothing */
	cr_assert(notetsleep(&ping, NEVER));
	cr_assert(!notetsleep(&ping, soon(1000)));
	notewakeup(&ping);
	cr_assert(notetsleep(&ping, 0), "woken counts more than late");
}

Test(note, deadline, .timeout = 20)
{
	int64_t until = soon(3000);

	cr_assert(!notetsleep(&ping, until));
	cr_assert_geq(sysnanotime(), until);
	cr_assert(!notetsleep(&ping, 0));
	cr_assert(!notetsleep(&ping, -1));
	cr_assert_eq(ping.key, 0u);
}

static void *pongs(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		notesleep(&ping);
		(*(int *)arg)++;
		notewakeup(&pong);
	}
	return NULL;
}

Test(note, ping_pong, .timeout = 60)
{
	int n = 0;
	pthread_t t = spawn(pongs, &n);

	for (int i = 0; i < ROUNDS; i++) {
		/* n is ours between the pong and the next ping */
		cr_assert_eq(n, i);
		notewakeup(&ping);
		notesleep(&pong);
	}
	join(t);
}

static void *sleepsbriefly(void *arg)
{
	uint32_t seed = 99;
	int *seen = arg;

	for (int i = 0; i < ROUNDS; i++) {
		while (!notetsleep(&ping, soon(rnd(&seed) % 20)))
			;
		(*seen)++;
		notewakeup(&pong);
	}
	return NULL;
}

/* Wake-ups that meet a deadline: each is seen once, now or by the next. */
Test(note, no_lost_wakeup, .timeout = 60)
{
	int seen = 0;
	uint32_t seed = 7;
	pthread_t t = spawn(sleepsbriefly, &seen);

	for (int i = 0; i < ROUNDS; i++) {
		for (uint32_t k = rnd(&seed) % 200; k > 0; k--)
			cpupause();
		notewakeup(&ping);
		notesleep(&pong);
		cr_assert_eq(seen, i + 1);
	}
	join(t);
	cr_assert_eq(ping.key, 0u, "no wake-up was made up");
}

/* Four at once: each pair of neighbours hands a token on by notes. */
static struct note ring[THREADS];
static int token;

static void *passes(void *arg)
{
	uintptr_t me = (uintptr_t)arg;

	for (int i = 0; i < ROUNDS / 4; i++) {
		notesleep(&ring[me]);
		token++;
		notewakeup(&ring[(me + 1) % THREADS]);
	}
	return NULL;
}

Test(note, ring, .timeout = 60)
{
	pthread_t t[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		t[i] = spawn(passes, (void *)i);
	notewakeup(&ring[0]);
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	cr_assert_eq(token, THREADS * (ROUNDS / 4));
}
