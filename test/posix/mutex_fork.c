/*
 * mutex_fork - a fork while a thread that has waited for a mutex is on its way to it.  In
 * the child, which has the mutex as its parent had it, there is no such thread, and the
 * mutex works.
 */
#include "check.h"

enum { ROUNDS = 20 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int there;

static void *locks(void *arg)
{
	ADD(there, 1);
	OK(pthread_mutex_lock(&lock));
	OK(pthread_mutex_unlock(&lock));
	return arg;
}

/* A thread that waits for the mutex, as far as one can know. */
static pthread_t waiter(void)
{
	pthread_t t;

	STORE(there, 0);
	OK(pthread_mutex_lock(&lock));
	t = start(locks, NULL);
	YIELD_UNTIL(LOAD(there));
	usleep(1000);
	return t;
}

static void child(void)
{
	pthread_t t;
	int i;

	OK(pthread_mutex_unlock(&lock));
	for (i = 0; i < 2; i++) {
		t = waiter();
		OK(pthread_mutex_unlock(&lock));
		join(t);
	}
	OK(pthread_mutex_destroy(&lock));
	_exit(0);
}

int main(void)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		pthread_t t = waiter();
		pid_t pid;

		OK(pthread_mutex_unlock(&lock));
		/* mostly before the other is there */
		OK(pthread_mutex_lock(&lock));
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			child();
		OK(pthread_mutex_unlock(&lock));
		join(t);
		reap(pid, 0);
	}
	return 0;
}
