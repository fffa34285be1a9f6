/*
 * exit_main - the main thread leaves by pthread_exit: its own cleanup runs,
 * the others go on, one of them joins it, and when the last has ended the
 * process exits with 0 and runs its atexit handlers.
 */
#include "check.h"

static pthread_t main_thread;
static int finished;
static pthread_key_t key;

static void at_exit(void)
{
	/* By now all threads have ended. */
	CHECK_EQ(LOAD(finished), 20);
	section("atexit handler");
}

static void *works(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 100; i++)
		sched_yield();
	usleep(1000);
	ADD(finished, 1);
	return NULL;
}

static void *joins_main(void *arg)
{
	pthread_t t[19];
	void *v;
	int i;

	(void)arg;
	OK(pthread_join(main_thread, &v));
	CHECK(v == &key);
	section("main was joined");
	/* Threads can still be made, with and without waiting for them. */
	for (i = 0; i < 19; i++)
		t[i] = start(works, NULL);
	for (i = 0; i < 10; i++)
		join(t[i]);
	for (; i < 19; i++)
		OK(pthread_detach(t[i]));
	section("joiner ends");
	ADD(finished, 1);
	return NULL;
}

static void cleanup(void *arg)
{
	section(arg);
}

static void destroyed(void *arg)
{
	section(arg);
}

int main(void)
{
	main_thread = pthread_self();
	OK(pthread_key_create(&key, destroyed));
	CHECK(atexit(at_exit) == 0);
	OK(pthread_setspecific(key, "main's key destroyed"));
	pthread_cleanup_push(cleanup, "main's cleanup");
	start(joins_main, NULL);
	pthread_exit(&key);
	pthread_cleanup_pop(0);
	return 1;
}
