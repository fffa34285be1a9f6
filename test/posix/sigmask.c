/*
 * sigmask - the signal mask is the thread's own: inherited at creation, changed
 * without effect on others, kept over yields, sleeps and locks.
 */
#include "check.h"

enum { N = 60 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int has(int sig)
{
	sigset_t now;

	CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
	return sigismember(&now, sig);
}

static void change(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	OK(pthread_sigmask(how, &set, NULL));
}

static void *inherits(void *arg)
{
	int sig = (int)(long)arg;

	CHECK(has(sig));
	CHECK(has(SIGUSR2));
	return NULL;
}

static void *owns(void *arg)
{
	int sig = SIGRTMIN + (int)(long)arg % 20, i, k;
	sigset_t old, set;

	CHECK(has(SIGUSR2));
	CHECK(!has(SIGUSR1));
	change(SIG_BLOCK, sig);
	for (i = 0; i < 20; i++) {
		sched_yield();
		CHECK(has(sig) && has(SIGUSR2) && !has(SIGUSR1));
		for (k = 0; k < 20; k++)
			CHECK(has(SIGRTMIN + k) == (SIGRTMIN + k == sig));
		OK(pthread_mutex_lock(&lock));
		if (i == 10)
			sched_yield();
		OK(pthread_mutex_unlock(&lock));
		if (i % 8 == 0)
			usleep(10);
	}
	join(start(inherits, (void *)(long)sig));

	sigfillset(&set);
	OK(pthread_sigmask(SIG_SETMASK, &set, &old));
	CHECK(sigismember(&old, sig) && !sigismember(&old, SIGUSR1));
	CHECK(has(SIGUSR1) && has(SIGTERM) && has(SIGRTMAX));
	/* These two cannot be blocked, by anybody. */
	CHECK(!has(SIGKILL) && !has(SIGSTOP));
	sched_yield();
	CHECK(has(SIGTERM));
	OK(pthread_sigmask(SIG_SETMASK, &old, NULL));
	CHECK(!has(SIGTERM) && has(sig));
	change(SIG_UNBLOCK, sig);
	change(SIG_UNBLOCK, SIGUSR2);
	sched_yield();
	CHECK(!has(sig) && !has(SIGUSR2));
	return NULL;
}

int main(void)
{
	pthread_t t[N];
	sigset_t set;
	long i;

	sigemptyset(&set);
	RET(EINVAL, pthread_sigmask(77, &set, NULL));
	OK(pthread_sigmask(SIG_SETMASK, &set, NULL));
	change(SIG_BLOCK, SIGUSR2);
	for (i = 0; i < N; i++)
		t[i] = start(owns, (void *)i);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK(has(SIGUSR2) && !has(SIGUSR1) && !has(SIGRTMIN));
	/* sigprocmask does the same for the thread that calls it. */
	sigaddset(&set, SIGHUP);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	join(start(inherits, (void *)(long)SIGHUP));
	change(SIG_UNBLOCK, SIGHUP);
	CHECK(!has(SIGHUP));
	return 0;
}
