/*
 * sched_main - what main has set of its scheduling before there is any thread
 * is its own and is inherited: real-time policy and priority, if permitted;
 * and its one CPU, which another thread leaves as it likes.
 */
#include "check.h"

static cpu_set_t only(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return set;
}

static int first, last, policy;

static void check_policy(int want, int priority)
{
	struct sched_param sp;
	int got;

	OK(pthread_getschedparam(pthread_self(), &got, &sp));
	CHECK_EQ(got, want);
	CHECK_EQ(sp.sched_priority, priority);
	CHECK_EQ(sched_getscheduler(0), want);
}

static void *inherits(void *arg)
{
	cpu_set_t set, want = only(first);

	CHECK_EQ(sched_getcpu(), first);
	CHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
	CHECK(CPU_EQUAL(&set, &want));
	check_policy(policy, policy == SCHED_FIFO ? 3 : 0);
	/* Leaves it. */
	want = only(last);
	OK(pthread_setaffinity_np(pthread_self(), sizeof(want), &want));
	CHECK_EQ(sched_getcpu(), last);
	CHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
	CHECK(CPU_EQUAL(&set, &want));
	return arg;
}

static void *on_last(void *arg)
{
	CHECK_EQ(sched_getcpu(), last);
	sched_yield();
	CHECK_EQ(sched_getcpu(), last);
	return arg;
}

static void *is_ordinary(void *arg)
{
	check_policy(SCHED_OTHER, 0);
	return arg;
}

int main(void)
{
	struct sched_param sp = { .sched_priority = 3 };
	cpu_set_t all, set;
	pthread_attr_t attr;
	pthread_t t;

	CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
	for (first = 0; !CPU_ISSET(first, &all); first++)
		;
	for (last = CPU_SETSIZE - 1; !CPU_ISSET(last, &all); last--)
		;
	set = only(first);
	CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &sp) == 0)
		policy = SCHED_FIFO;

	section("inherited");
	join(start(inherits, NULL));
	check_policy(policy, policy == SCHED_FIFO ? 3 : 0);
	CHECK_EQ(sched_getcpu(), first);

	section("by attribute");
	OK(pthread_attr_init(&attr));
	set = only(last);
	OK(pthread_attr_setaffinity_np(&attr, sizeof(set), &set));
	OK(pthread_create(&t, &attr, on_last, NULL));
	join(t);
	OK(pthread_attr_destroy(&attr));
	OK(pthread_attr_init(&attr));
	OK(pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED));
	OK(pthread_attr_setschedpolicy(&attr, SCHED_OTHER));
	sp.sched_priority = 0;
	OK(pthread_attr_setschedparam(&attr, &sp));
	OK(pthread_create(&t, &attr, is_ordinary, NULL));
	join(t);
	OK(pthread_attr_destroy(&attr));

	section("of main");
	CHECK(sched_setaffinity(0, sizeof(all), &all) == 0);
	OK(pthread_setschedparam(pthread_self(), SCHED_OTHER, &sp));
	policy = SCHED_OTHER;
	join(start(is_ordinary, NULL));
	return 0;
}
