/*
 * sig_crowd.h - what the programs about signals for the process share: threads that
 * stand elsewhere each, asleep, runnable or computing, of which some let a signal in; and
 * a handler that checks that it runs in one of those, and tells in which.
 */
#ifndef SIG_CROWD_H
#define SIG_CROWD_H

#include "sigcheck.h"
#include <poll.h>
#include <semaphore.h>

static const struct timespec far = { 600, 0 };

static __thread int number;	   /* of this thread, 0 for main */
static __thread sigset_t open_set; /* what it lets in */

static UNUSED int ran_in, runs, code, value;
static sem_t handled;

static void handler(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	int e = errno;

	CHECK(!sigismember(&uc->uc_sigmask, sig));
	CHECK(sigismember(&open_set, sig));
	CHECK(blocked(sig));
	STORE(ran_in, number);
	STORE(code, si->si_code);
	STORE(value, si->si_value.sival_int);
	ADD(runs, 1);
	CHECK(sem_post(&handled) == 0);
	errno = e;
}

static UNUSED void wait_handled(void)
{
	while (sem_wait(&handled) < 0)
		CHECK_EQ(errno, EINTR);
}

/* SIGUSR2 is for ending a sleep, nothing else. */
static void kicked(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
}

static UNUSED void let_in(int sig)
{
	CHECK(sigaddset(&open_set, sig) == 0);
	unblock(sig);
}

static UNUSED void keep_out(int sig)
{
	block(sig);
	CHECK(sigdelset(&open_set, sig) == 0);
}

static int stop, there, left[10];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static int pipefd[2];
static unsigned opens; /* bit i: thread i lets the signal in */
static int opens_for;

static void *wait_sem(void *arg)
{
	while (sem_wait(&sem) < 0)
		CHECK_EQ(errno, EINTR);
	return arg;
}

static void in_place(int i)
{
	struct pollfd p = { pipefd[0], POLLIN, 0 };
	sigset_t was = mask_now();
	volatile unsigned long n = 0;
	pthread_t t;

	switch (i) {
	case 1:
		while (!LOAD(stop))
			nanosleep(&far, NULL);
		break;
	case 2:
		OK(pthread_mutex_lock(&lock));
		while (!stop)
			OK(pthread_cond_wait(&cond, &lock));
		OK(pthread_mutex_unlock(&lock));
		break;
	case 3:
		wait_sem(NULL);
		break;
	case 4:
		while (poll(&p, 1, -1) < 0)
			CHECK_EQ(errno, EINTR);
		break;
	case 5:
		set_mask(full_set());
		t = start(wait_sem, NULL);
		set_mask(was);
		join(t);
		break;
	case 6:
		while (!LOAD(stop))
			pause();
		break;
	case 7:
		while (!LOAD(stop))
			sched_yield();
		break;
	case 8:
		while (!LOAD(stop))
			n++;
		break;
	}
}

static void *stands(void *arg)
{
	number = (int)(long)arg;
	open_set = SET();
	if (opens >> number & 1)
		let_in(opens_for);
	unblock(SIGUSR2);
	ADD(there, 1);
	in_place(number);
	STORE(left[number], 1);
	return NULL;
}

/*
 * Threads 1 to n; those in the set let the signal in, others do not.  The
 * first six are asleep, and main is when it waits for what was handled.
 */
enum { ASLEEP = 6, ALL = 8 };
static pthread_t crowd[10];
static int in_crowd;
static void gather(int n, int sig, unsigned which)
{
	long i;

	STORE(stop, 0);
	STORE(there, 0);
	memset(left, 0, sizeof(left));
	CHECK(sem_init(&sem, 0, 0) == 0 && pipe(pipefd) == 0);
	opens_for = sig;
	opens = which;
	in_crowd = n;
	for (i = 1; i <= n; i++)
		crowd[i] = start(stands, (void *)i);
	NAP_UNTIL(LOAD(there) == n);
}

static void disperse(void)
{
	int i;

	STORE(stop, 1);
	OK(pthread_mutex_lock(&lock));
	OK(pthread_cond_broadcast(&cond));
	OK(pthread_mutex_unlock(&lock));
	CHECK(write(pipefd[1], "x", 1) == 1);
	for (i = 0; i < 2; i++) /* the third's, and what the fifth joins */
		CHECK(sem_post(&sem) == 0);
	for (i = 1; i <= in_crowd; i++) {
		while (!LOAD(left[i])) {
			OK(pthread_kill(crowd[i], SIGUSR2));
			usleep(50);
		}
		join(crowd[i]);
	}
	CHECK(close(pipefd[0]) == 0 && close(pipefd[1]) == 0);
	CHECK(sem_destroy(&sem) == 0);
}

/* What nobody waits for any more. */
static UNUSED void no_more(int sig)
{
	struct timespec none = { 0, 0 };
	sigset_t set = SET(sig);

	while (sigtimedwait(&set, NULL, &none) > 0)
		;
	while (sem_trywait(&handled) == 0)
		;
}

/* From here on everybody blocks everything but what he lets in; these are handled. */
static void begin_crowd(sigset_t sigs)
{
	int sig;

	set_mask(full_set());
	CHECK(sem_init(&handled, 0, 0) == 0);
	for (sig = 1; sig <= 64; sig++)
		if (sigismember(&sigs, sig) == 1)
			install(sig, handler, 0);
	install(SIGUSR2, kicked, 0);
}

#endif
