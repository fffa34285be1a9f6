/*
 * mutex_suspended - a thread that has waited for a mutex and is on its way to it is held up
 * in a signal handler, as a collector that stops the world does.  Others get the mutex.
 */
#include "check.h"

enum { ROUNDS = 20 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int there, held, passed, go;

static void hold(int sig)
{
	sigset_t none;
	int e = errno;

	(void)sig;
	sigfillset(&none);
	sigdelset(&none, SIGUSR2);
	STORE(held, 1);
	while (!LOAD(go))
		sigsuspend(&none);
	errno = e;
}

static void nothing(int sig)
{
	(void)sig;
}

static void *locks(void *arg)
{
	ADD(there, 1);
	OK(pthread_mutex_lock(&lock));
	OK(pthread_mutex_unlock(&lock));
	STORE(passed, 1);
	return arg;
}

/* A thread that waits for the mutex, as far as one can know. */
static pthread_t waiter(void)
{
	pthread_t t;

	STORE(there, 0);
	t = start(locks, NULL);
	YIELD_UNTIL(LOAD(there));
	usleep(1000);
	return t;
}

static void once(void)
{
	pthread_t first, other;

	STORE(held, 0);
	STORE(passed, 0);
	STORE(go, 0);
	OK(pthread_mutex_lock(&lock));
	first = waiter();
	OK(pthread_mutex_unlock(&lock));
	OK(pthread_mutex_lock(&lock)); /* mostly before it has come */
	pthread_kill(first, SIGUSR1);
	/* in the handler, though it does not get the mutex, if it has not had it */
	YIELD_UNTIL(LOAD(held) || LOAD(passed));
	other = waiter();
	OK(pthread_mutex_unlock(&lock));
	join(other);
	STORE(go, 1);
	pthread_kill(first, SIGUSR2);
	join(first);
}

int main(void)
{
	struct sigaction a = { .sa_handler = hold };
	int i;

	sigemptyset(&a.sa_mask);
	sigaddset(&a.sa_mask, SIGUSR2); /* go is looked at before it comes */
	CHECK(sigaction(SIGUSR1, &a, NULL) == 0);
	a.sa_handler = nothing;
	CHECK(sigaction(SIGUSR2, &a, NULL) == 0);
	for (i = 0; i < ROUNDS; i++)
		once();
	return 0;
}
