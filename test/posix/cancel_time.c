/*
 * cancel_time - to wait for a signal, or for time to pass, is a cancellation point.
 */
#include "cancel.h"

static void on_usr1(int sig)
{
}

/* It may not wait yet, so until it is told. */
static void sends(int sig)
{
	do {
		OK(pthread_kill(waiter, sig));
		usleep(1000);
	} while (!LOAD(left));
}

static void send_usr1(void)
{
	sends(SIGUSR1);
}

static void send_usr2(void)
{
	sends(SIGUSR2);
}

static void in_sigwait(void)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	OK(sigwait(&set, &sig));
	CHECK_EQ(sig, SIGUSR2);
}

static void in_sigwaitinfo(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK_EQ(sigwaitinfo(&set, NULL), SIGUSR2);
}

static void in_sigsuspend(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	ERR(EINTR, sigsuspend(&set));
}

static void in_pause(void)
{
	ERR(EINTR, pause());
}

static void in_nanosleep(void)
{
	struct timespec t = { 600, 0 };

	ERR(EINTR, nanosleep(&t, NULL));
}

static void in_clock_nanosleep(void)
{
	struct timespec t = far_off(CLOCK_MONOTONIC);

	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL),
		 EINTR);
}

static void in_cpu_nanosleep(void)
{
	struct timespec t = { 600, 0 };

	CHECK_EQ(clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &t, NULL), EINTR);
}

static void in_sleep(void)
{
	CHECK(sleep(600) > 500);
}

static void in_poll(void)
{
	ERR(EINTR, poll(NULL, 0, -1));
}

/* ---- All of them ------------------------------------------------------------ */

static const struct kind kinds[] = {
	{ "sigwait", nothing, in_sigwait, send_usr2, nothing, 0 },
	{ "sigwaitinfo", nothing, in_sigwaitinfo, send_usr2, nothing, 0 },
	{ "sigsuspend", nothing, in_sigsuspend, send_usr1, nothing, 0 },
	{ "pause", nothing, in_pause, send_usr1, nothing, 0 },
	{ "nanosleep", nothing, in_nanosleep, send_usr1, nothing, 0 },
	{ "clock_nanosleep", nothing, in_clock_nanosleep, send_usr1, nothing, 0 },
	{ "clock_nanosleep, CPU time", nothing, in_cpu_nanosleep, send_usr1,
	  nothing, 0 },
	{ "sleep", nothing, in_sleep, send_usr1, nothing, 0 },
	{ "poll", nothing, in_poll, send_usr1, nothing, 0 },
};

int main(void)
{
	struct sigaction sa = { .sa_handler = on_usr1 };
	sigset_t set;

	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	CANCEL_ALL(kinds, nothing);
	return 0;
}
