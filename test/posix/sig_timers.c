/*
 * sig_timers - a timer's signal runs its handler in some thread that does not block it,
 * whether all are asleep or not; so do those of timers that count processor time. One
 * that comes while all block it waits.
 */
#include "sig_crowd.h"
#include <sys/time.h>

static void ticks(int sig, int want_code, int want_value, int n)
{
	int i;

	(void)sig;
	for (i = 0; i < n; i++) {
		wait_handled();
		CHECK_EQ(LOAD(code), want_code);
		if (want_value)
			CHECK_EQ(LOAD(value), want_value);
	}
}

static void timers(int n, unsigned which)
{
	struct itimerspec often = { { 0, 1000000 }, { 0, 1000000 } };
	struct itimerval tv = { { 0, 1000 }, { 0, 1000 } }, zero;
	struct sigevent event;
	int rt = SIGRTMIN + 1;
	timer_t timer;

	memset(&zero, 0, sizeof(zero));
	memset(&event, 0, sizeof(event));
	event.sigev_notify = SIGEV_SIGNAL;
	event.sigev_signo = rt;
	event.sigev_value.sival_int = 77;
	gather(n, rt, which);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	CHECK(timer_settime(timer, 0, &often, NULL) == 0);
	ticks(rt, SI_TIMER, 77, 10);
	CHECK(timer_delete(timer) == 0);
	disperse();
	no_more(rt);

	gather(n, SIGALRM, which);
	CHECK(setitimer(ITIMER_REAL, &tv, NULL) == 0);
	ticks(SIGALRM, SI_KERNEL, 0, 10);
	CHECK(setitimer(ITIMER_REAL, &zero, NULL) == 0);
	disperse();
	no_more(SIGALRM);
}

/* They count processor time, so somebody has to compute. */
static void work_timers(unsigned which)
{
	static const int kind[] = { ITIMER_PROF, ITIMER_VIRTUAL };
	static const int sig[] = { SIGPROF, SIGVTALRM };
	struct itimerval tv = { { 0, 1000 }, { 0, 1000 } }, zero;
	int i;

	memset(&zero, 0, sizeof(zero));
	for (i = 0; i < 2; i++) {
		gather(ALL, sig[i], which);
		CHECK(setitimer(kind[i], &tv, NULL) == 0);
		ticks(sig[i], SI_KERNEL, 0, 5);
		CHECK(setitimer(kind[i], &zero, NULL) == 0);
		disperse();
		no_more(sig[i]);
	}
}

/* Once: it waits until one lets it in. */
static void late(void)
{
	CHECK(alarm(1) == 0);
	NAP_UNTIL(pending(SIGALRM));
	gather(ASLEEP, SIGALRM, 1u << 6);
	wait_handled();
	CHECK_EQ(LOAD(ran_in), 6);
	disperse();
}

int main(void)
{
	begin_crowd(SET(SIGRTMIN + 1, SIGALRM, SIGPROF, SIGVTALRM));
	section("real time");
	timers(ASLEEP, 1u << 2);
	timers(ALL, 1u << 8);
	timers(ALL, ~0u);
	section("processor time");
	work_timers(1u << 8);
	work_timers(1u << 1);
	section("late");
	late();
	return 0;
}
