/*
 * exit_cleanup - pthread_exit from deep inside runs the cleanup handlers of
 * all the frames it leaves, last pushed first, then the key destructors; a
 * handler may unlock and yield.
 */
#include "check.h"

static __thread int order[64];
static __thread int used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t key;
/* Through a pointer: the compiler need not know that this recurses. */
static void nest(int depth, int leave);
static void (*volatile deeper)(int, int) = nest;

static void note(void *arg)
{
	order[used++] = (int)(long)arg;
	sched_yield();
}

static void unlock(void *arg)
{
	pthread_mutex_unlock(arg);
	order[used++] = 1000;
}

static void nest(int depth, int leave)
{
	pthread_cleanup_push(note, (void *)(long)depth);
	if (depth == leave) {
		pthread_mutex_lock(&lock);
		pthread_cleanup_push(unlock, &lock);
		sched_yield();
		pthread_exit((void *)(long)leave);
		pthread_cleanup_pop(0);
	}
	deeper(depth + 1, leave);
	pthread_cleanup_pop(1);
}

static void last(void *arg)
{
	int leave = (int)(long)arg, i;

	/* The handlers ran before any destructor, in reverse. */
	CHECK_EQ(used, leave + 1);
	CHECK_EQ(order[0], 1000);
	for (i = 1; i <= leave; i++)
		CHECK_EQ(order[i], leave - i + 1);
}

static void *leaves(void *arg)
{
	OK(pthread_setspecific(key, arg));
	nest(1, (int)(long)arg);
	return NULL;
}

static void *pops(void *arg)
{
	pthread_cleanup_push(note, (void *)1L);
	pthread_cleanup_push(note, (void *)2L);
	pthread_cleanup_push(note, (void *)3L);
	pthread_cleanup_pop(1);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(1);
	CHECK_EQ(used, 2);
	CHECK_EQ(order[0], 3);
	CHECK_EQ(order[1], 1);
	return arg;
}

/* A handler's frame is left by return: nothing runs at the thread's end. */
static void *returns(void *arg)
{
	pthread_cleanup_push(note, (void *)1L);
	pthread_cleanup_pop(0);
	CHECK_EQ(used, 0);
	return arg;
}

int main(void)
{
	enum { N = 300 };
	static pthread_t t[N];
	long i;

	OK(pthread_key_create(&key, last));
	section("nested handlers");
	for (i = 1; i <= 20; i++)
		CHECK_EQ((long)join(start(leaves, (void *)i)), i);

	section("many threads at once");
	for (i = 0; i < N; i++)
		t[i] = start(leaves, (void *)(i % 20 + 1));
	for (i = 0; i < N; i++)
		CHECK_EQ((long)join(t[i]), i % 20 + 1);
	RET(0, pthread_mutex_trylock(&lock));
	OK(pthread_mutex_unlock(&lock));

	section("pop with and without running");
	CHECK(join(start(pops, t)) == t);
	CHECK(join(start(returns, t)) == t);
	return 0;
}
