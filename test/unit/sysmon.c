/* sysmon.c - whom a wake-up preempts when no P is idle. */
#include "test/unit/unit.h"

enum { NP = 4, TRIES = 1000 };
static struct p ps[NP];
static struct m ms[NP];
static struct g gs[NP];
static sigset_t urg;

/* All compute, on Ms that are this thread, which blocks the signal. */
static void setup(void)
{
	options.preemptsignal = SIGURG;
	sigemptyset(&urg);
	sigaddset(&urg, SIGURG);
	sigprocmask(SIG_BLOCK, &urg, NULL);
	sched.gomaxprocs = NP;
	for (uint32_t i = 0; i < NP; i++) {
		allp[i] = &ps[i];
		ps[i].id = i;
		ps[i].m = &ms[i];
		ms[i].tid = gettid();
		ms[i].pstate = PS_HELD;
		ms[i].curg = &gs[i];
	}
}

TestSuite(sysmon, .init = setup);

/* The P that was asked to take what is on the waker's, which is not; -1: none was. */
static int asked(struct p *by)
{
	static const struct timespec now;
	int found = -1;

	for (int i = 0; i < NP; i++) {
		if (!ps[i].preempt)
			continue;
		cr_assert_eq(found, -1, "more than one was asked");
		cr_assert_eq(ps[i].stealfrom, by->id + 1);
		cr_assert_eq(ms[i].preempt, (uint32_t)PREEMPT_SLICE);
		found = i;
		ps[i].preempt = false;
		ps[i].stealfrom = ms[i].preempt = 0;
	}
	cr_assert_eq(sigtimedwait(&urg, NULL, &now), found < 0 ? -1 : SIGURG);
	return found;
}

static int wakes(uint32_t by)
{
	preempthog(&ps[by]);
	return asked(&ps[by]);
}

Test(sysmon, spares_who_used_up_no_slice, .timeout = 20)
{
	for (uint32_t i = 0; i < NP; i++)
		cr_assert_eq(wakes(i), -1);
}

Test(sysmon, preempts_a_hog, .timeout = 20)
{
	gs[2].hogs = HOGS;
	cr_assert_eq(wakes(2), -1, "the waker is not asked");
	cr_assert_eq(wakes(0), 2);
	ps[2].hogat = 0;
	cr_assert_eq(wakes(3), 2);
	ps[2].hogat = 0;
	sched.nmspinning = 1;
	cr_assert_eq(wakes(0), -1, "somebody looks for work");
}

/* Twice in a row only if this thread was kept from the CPU in between. */
Test(sysmon, not_all_the_time, .timeout = 20)
{
	int n = 0;

	gs[2].hogs = HOGS;
	while (wakes(0) == 2 && n < TRIES)
		n++;
	cr_assert(n > 0 && n < TRIES, "asked %d times", n);
}

Test(sysmon, spares_who_has_parked_since, .timeout = 20)
{
	gs[2].hogs = HOGS - 1;
	cr_assert_eq(wakes(0), -1);
	gs[2].hogs = HOGS;
	cr_assert_eq(wakes(0), 2);
}

Test(sysmon, spares_who_computes_no_more, .timeout = 20)
{
	for (uint32_t i = 1; i < NP; i++)
		gs[i].hogs = HOGS;
	ms[1].curg = NULL; /* between two Gs */
	ms[2].pstate = PS_SYSCALL;
	ms[3].preempt = PREEMPT_LIBC; /* asked already */
	cr_assert_eq(wakes(0), -1);
	ps[3].m = NULL;
	cr_assert_eq(wakes(0), -1);
}
