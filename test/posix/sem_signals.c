/*
 * sem_signals - a handler ends a wait for a semaphore with EINTR, or, with
 * SA_RESTART, lets one without a timeout go on; a handler may post.  Before
 * there is any thread, with threads, and in a child of fork with neither;
 * private and shared.
 */
#include "check.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

static sem_t *sem;
static volatile int seen, post_at;

static void on_alarm(int sig)
{
	if (++seen == post_at)
		CHECK(sem_post(sem) == 0);
}

/* Every 5 ms, since one may come before the wait. */
static void alarms(int flags, int post)
{
	struct itimerval it = { { 0, 5000 }, { 0, 5000 } };
	struct sigaction a = { .sa_flags = flags };

	seen = 0;
	post_at = post;
	a.sa_handler = on_alarm;
	CHECK(sigaction(SIGALRM, &a, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
}

static void quiet(void)
{
	struct itimerval it = { { 0, 0 }, { 0, 0 } };

	CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
}

static void waits(void)
{
	struct timespec t;
	int shared;

	for (shared = 0; shared < 2; shared++) {
		CHECK(sem_init(sem, shared, 0) == 0);
		alarms(0, 0);
		ERR(EINTR, sem_wait(sem));
		t = far_off(CLOCK_REALTIME);
		ERR(EINTR, sem_timedwait(sem, &t));
		t = far_off(CLOCK_MONOTONIC);
		ERR(EINTR, sem_clockwait(sem, CLOCK_MONOTONIC, &t));
		CHECK(seen >= 3);
		alarms(SA_RESTART, 0);
		t = far_off(CLOCK_REALTIME);
		ERR(EINTR, sem_timedwait(sem, &t));
		alarms(SA_RESTART, 5);
		CHECK(sem_wait(sem) == 0);
		CHECK(seen >= 5);
		quiet();
		ERR(EAGAIN, sem_trywait(sem));
		CHECK(sem_destroy(sem) == 0);
	}
}

static void in_child(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		waits();
		_exit(0);
	}
	reap(pid, 0);
}

static sem_t stop;

static void *idles(void *arg)
{
	sigset_t set;

	/* The signals are main's. */
	sigfillset(&set);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	while (sem_wait(&stop))
		CHECK_EQ(errno, EINTR);
	return arg;
}

int main(void)
{
	pthread_t t;

	sem = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(sem != MAP_FAILED);
	section("before any thread");
	waits();
	in_child();
	section("with threads");
	CHECK(sem_init(&stop, 0, 0) == 0);
	t = start(idles, NULL);
	waits();
	section("in a child of a process with threads");
	in_child();
	CHECK(sem_post(&stop) == 0);
	join(t);
	return 0;
}
