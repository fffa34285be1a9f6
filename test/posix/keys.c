/*
 * keys - thread-specific data: values per thread, destructors in up to four
 * rounds, more keys than fit the first block, deletion, and thousands of
 * threads, each of which starts with NULL in every key.
 */
#include "check.h"

enum { KEYS = 200 };
static pthread_key_t key[KEYS];
static long destroyed[KEYS];

static void one(void *v)
{
	long i = (long)v & 0xffff;

	CHECK(i < KEYS);
	ADD(destroyed[i], 1);
}

static void *sets_all(void *arg)
{
	long me = (long)arg, i;

	for (i = 0; i < KEYS; i++)
		CHECK(pthread_getspecific(key[i]) == NULL);
	for (i = 0; i < KEYS; i++)
		OK(pthread_setspecific(key[i], (void *)(i | me << 16)));
	sched_yield();
	for (i = 0; i < KEYS; i++)
		CHECK_EQ((long)pthread_getspecific(key[i]), i | me << 16);
	sched_yield();
	for (i = 0; i < KEYS; i += 2)
		OK(pthread_setspecific(key[i], NULL));
	return NULL;
}

static pthread_key_t rounds_key, late_key;
static int rounds, late;
static void again(void *v)
{
	int n = ADD(rounds, 1);

	CHECK(v != NULL);
	/* The value is NULL by now; setting it asks for another round. */
	CHECK(pthread_getspecific(rounds_key) == NULL);
	if (n % PTHREAD_DESTRUCTOR_ITERATIONS == 1)
		OK(pthread_setspecific(late_key, v));
	OK(pthread_setspecific(rounds_key, v));
}

static void note_late(void *v)
{
	CHECK(v != NULL);
	ADD(late, 1);
}

static void *sets_rounds(void *arg)
{
	OK(pthread_setspecific(rounds_key, arg));
	return NULL;
}

/* A destructor that blocks and yields like any other code. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t busy_key;
static long busy;
static void blocks(void *v)
{
	OK(pthread_mutex_lock(&lock));
	sched_yield();
	usleep(50);
	busy += (long)v;
	OK(pthread_mutex_unlock(&lock));
}

static void *sets_busy(void *arg)
{
	OK(pthread_setspecific(busy_key, arg));
	if ((long)arg & 1)
		pthread_exit(NULL);
	return NULL;
}

static void *sees_null(void *arg)
{
	pthread_key_t k = *(pthread_key_t *)arg;

	CHECK(pthread_getspecific(k) == NULL);
	OK(pthread_setspecific(k, &k));
	return NULL;
}

static int leaked;
static void never(void *v)
{
	(void)v;
	ADD(leaked, 1);
}

int main(void)
{
	static pthread_key_t all[PTHREAD_KEYS_MAX];
	pthread_t t[50];
	pthread_key_t k;
	long i, n, r;
	int ret;

	section("errors");
	OK(pthread_key_create(&k, NULL));
	OK(pthread_setspecific(k, &k));
	CHECK(pthread_getspecific(k) == &k);
	OK(pthread_key_delete(k));
	RET(EINVAL, pthread_key_delete(k));
	RET(EINVAL, pthread_setspecific(k, &k));
	RET(EINVAL, pthread_setspecific(PTHREAD_KEYS_MAX + 5, &k));
	RET(EINVAL, pthread_key_delete(PTHREAD_KEYS_MAX + 5));
	/* One that takes the place of a deleted one is empty again. */
	OK(pthread_key_create(&k, NULL));
	CHECK(pthread_getspecific(k) == NULL);
	OK(pthread_key_delete(k));

	section("all keys there are");
	for (n = 0; n < PTHREAD_KEYS_MAX; n++) {
		ret = pthread_key_create(&all[n], NULL);
		if (ret)
			break;
	}
	if (n == PTHREAD_KEYS_MAX)
		ret = pthread_key_create(&k, NULL);
	CHECK_EQ(ret, EAGAIN);
	CHECK(n > PTHREAD_KEYS_MAX - 64);
	while (n > 0)
		OK(pthread_key_delete(all[--n]));

	section("many keys, many threads");
	for (i = 0; i < KEYS; i++)
		OK(pthread_key_create(&key[i], one));
	for (r = 0; r < 4; r++) {
		for (i = 0; i < 50; i++)
			t[i] = start(sets_all, (void *)(i + 1));
		for (i = 0; i < 50; i++)
			join(t[i]);
	}
	for (i = 0; i < KEYS; i++)
		CHECK_EQ(destroyed[i], i & 1 ? 200 : 0);

	section("deleted keys have no destructor");
	OK(pthread_key_create(&k, never));
	for (i = 0; i < 10; i++)
		t[i] = start(sees_null, &k);
	/* Whoever ends before this counts, so join them first. */
	for (i = 0; i < 10; i++)
		join(t[i]);
	CHECK_EQ(leaked, 10);
	OK(pthread_setspecific(k, &k));
	OK(pthread_key_delete(k));
	for (i = 0; i < KEYS; i++)
		OK(pthread_key_delete(key[i]));

	section("rounds");
	OK(pthread_key_create(&late_key, note_late));
	OK(pthread_key_create(&rounds_key, again));
	for (i = 1; i <= 10; i++) {
		join(start(sets_rounds, &k));
		CHECK_EQ(rounds, i * PTHREAD_DESTRUCTOR_ITERATIONS);
		CHECK_EQ(late, i);
	}

	section("destructors that block");
	OK(pthread_key_create(&busy_key, blocks));
	for (i = 0; i < 50; i++)
		t[i] = start(sets_busy, (void *)(i + 1));
	for (i = 0; i < 50; i++)
		join(t[i]);
	CHECK_EQ(busy, 50 * 51 / 2);

	section("NULL in thousands of new threads");
	OK(pthread_key_create(&k, NULL));
	for (i = 0; i < 60; i++) {
		for (n = 0; n < 50; n++)
			t[n] = start(sees_null, &k);
		for (n = 0; n < 50; n++)
			join(t[n]);
	}
	OK(pthread_key_delete(k));
	return 0;
}
