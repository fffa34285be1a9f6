/*
 * sig_start - signals that wait, blocked, when the first thread is created. Those
 * that main has sent to itself stay its own: no other thread sees them, and main has
 * them when it lets them in, wherever it has been meanwhile. Those for the process
 * any thread takes that lets them in, or that waits for them.
 */
#include "check.h"

enum { THREADS = 4 };

static pthread_t main_thread, taker;
static int ran[2];	/* handlers of SIGUSR1, of SIGUSR2 */

static void on_signal(int sig)
{
	CHECK(pthread_equal(pthread_self(),
			    sig == SIGUSR1 ? main_thread : taker));
	ADD(ran[sig == SIGUSR2], 1);
}

static sigset_t of(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	return set;
}

static void pends(int sig, int want)
{
	sigset_t set;

	CHECK(sigpending(&set) == 0);
	CHECK_EQ(sigismember(&set, sig), want);
}

static void unblock(int sig)
{
	sigset_t set = of(sig);

	OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
}

/* The two that were queued, in order. */
static void take_queued(int sig)
{
	sigset_t set = of(sig);
	siginfo_t info;
	int i;

	for (i = 1; i <= 2; i++) {
		CHECK_EQ(sigwaitinfo(&set, &info), sig);
		CHECK_EQ(info.si_value.sival_int, i);
	}
	pends(sig, 0);
}

static void *looks(void *arg)
{
	int i;

	for (i = 0; i < 100; i++) {
		pends(SIGUSR1, 0);
		pends(SIGUSR2, 1);
		pends(SIGRTMIN, 0);
		pends(SIGRTMIN + 1, 1);
		sched_yield();
	}
	/* None of main's own comes here. */
	unblock(SIGUSR1);
	unblock(SIGRTMIN);
	sched_yield();
	return arg;
}

static void *passes(void *arg)
{
	return arg;
}

/* Seen from the first moment on, by whoever looks. */
static void begins(void)
{
	pthread_t t;
	int i;

	CHECK(kill(getpid(), SIGUSR2) == 0);
	t = start(passes, NULL);
	for (i = 0; i < 100; i++)
		pends(SIGUSR2, 1);
	join(t);
	pends(SIGUSR2, 1);
	_exit(0);
}

static void *takes(void *arg)
{
	taker = pthread_self();
	unblock(SIGUSR2);
	CHECK_EQ(LOAD(ran[1]), 1);
	pends(SIGUSR2, 0);
	take_queued(SIGRTMIN + 1);
	return arg;
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	union sigval v = { 0 };
	pthread_t t[THREADS];
	sigset_t all;
	int i;

	main_thread = pthread_self();
	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	CHECK(sigaction(SIGUSR2, &sa, NULL) == 0);
	sigfillset(&all);
	OK(pthread_sigmask(SIG_SETMASK, &all, NULL));
	section("from the start");
	for (i = 0; i < 200; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0)
			begins();
		reap(pid, 0);
	}
	CHECK(raise(SIGUSR1) == 0);
	CHECK(kill(getpid(), SIGUSR2) == 0);
	for (i = 1; i <= 2; i++) {
		v.sival_int = i;
		OK(pthread_sigqueue(pthread_self(), SIGRTMIN, v));
		CHECK(sigqueue(getpid(), SIGRTMIN + 1, v) == 0);
	}
	section("they wait");
	for (i = 0; i < THREADS; i++)
		t[i] = start(looks, NULL);
	for (i = 0; i < THREADS; i++)
		CHECK(join(t[i]) == NULL);
	/* Each that comes and goes blocks it: its default does not act. */
	for (i = 0; i < 2000; i++)
		join(start_small(passes, NULL));
	pends(SIGUSR1, 1);
	pends(SIGRTMIN, 1);
	CHECK_EQ(ran[0] + ran[1], 0);
	section("the process's");
	CHECK(join(start(takes, NULL)) == NULL);
	section("main's");
	pends(SIGUSR1, 1);
	unblock(SIGUSR1);
	CHECK_EQ(LOAD(ran[0]), 1);
	pends(SIGUSR1, 0);
	take_queued(SIGRTMIN);
	return 0;
}
