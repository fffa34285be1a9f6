/*
 * affinity_rt - a thread's CPUs, policy and priority are its own: what was set
 * is what is told, by every name there is for it; a thread with one CPU never
 * runs on another, whatever it waited for, and no other thread is bound by it;
 * real-time threads still take turns with ordinary ones.  The parts that need
 * permission are left out silently without it.
 *
 * affinity_rt [rounds]
 */
#include "check.h"
#include <semaphore.h>
#include <sys/syscall.h>

enum { PINNED = 6, FREE = 3, BATCH = 3 };
static long rounds = 2000;
static cpu_set_t all;
static int first, last; /* CPUs; the same if there is one only */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static cpu_set_t only(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return set;
}

/* ---- Affinity ------------------------------------------------------------ */

/* By all names of the calling thread. */
static void check_cpus(const cpu_set_t *want)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	OK(pthread_getaffinity_np(pthread_self(), sizeof(set), &set));
	CHECK(CPU_EQUAL(&set, want));
	CPU_ZERO(&set);
	CHECK_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
	CHECK(CPU_EQUAL(&set, want));
	CPU_ZERO(&set);
	CHECK_EQ(sched_getaffinity(gettid(), sizeof(set), &set), 0);
	CHECK(CPU_EQUAL(&set, want));
}

static void check_cpu(int cpu)
{
	unsigned now = ~0u;

	CHECK_EQ(sched_getcpu(), cpu);
	CHECK_EQ(syscall(SYS_getcpu, &now, NULL, NULL), 0);
	CHECK_EQ(now, (unsigned)cpu);
}

static void stay(int cpu)
{
	long i;

	for (i = 0; i < rounds; i++) {
		check_cpu(cpu);
		if (i % 16 == 0)
			sched_yield();
		if (i % 64 == 1)
			usleep(10);
		if (i % 32 == 2) {
			OK(pthread_mutex_lock(&lock));
			check_cpu(cpu);
			if (i % 128 == 2)
				sched_yield();
			OK(pthread_mutex_unlock(&lock));
		}
	}
}

static void *inherits(void *arg)
{
	int cpu = *(int *)arg;
	cpu_set_t want = only(cpu);

	check_cpu(cpu);
	check_cpus(&want);
	return arg;
}

/* By attr it is there from the beginning; by each of the others, at once. */
static void *pinned(void *arg)
{
	int me = (int)(long)arg, cpu = me & 1 ? last : first, i;
	cpu_set_t set = only(cpu), back;

	if (me < 2)
		check_cpu(cpu);
	else
		check_cpus(&all);
	/* For those with it by attr what is set already. */
	for (i = 0; i < 2; i++) {
		if (me / 2 == 2)
			CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
		else
			OK(pthread_setaffinity_np(pthread_self(), sizeof(set),
						  &set));
		check_cpu(cpu);
	}
	check_cpus(&set);
	stay(cpu);
	check_cpus(&set);
	join(start(inherits, &cpu));
	/* To the other one, by number, and to all. */
	cpu = first + last - cpu;
	set = only(cpu);
	CHECK_EQ(sched_setaffinity(gettid(), sizeof(set), &set), 0);
	check_cpu(cpu);
	check_cpus(&set);
	stay(cpu);
	CPU_ZERO(&back);
	RET(EINVAL,
	    pthread_setaffinity_np(pthread_self(), sizeof(back), &back));
	ERR(EINVAL, sched_setaffinity(0, sizeof(back), &back));
	check_cpus(&set);
	OK(pthread_setaffinity_np(pthread_self(), sizeof(all), &all));
	check_cpus(&all);
	return NULL;
}

static int stop;
static void *unbound(void *arg)
{
	while (!LOAD(stop)) {
		check_cpus(&all);
		OK(pthread_mutex_lock(&lock));
		sched_yield();
		OK(pthread_mutex_unlock(&lock));
		usleep(100);
	}
	return arg;
}

/* Bound by main, while it waits and while it runs. */
static sem_t told, answered;
static void *is_bound(void *arg)
{
	int round, i, cpu;

	for (round = 0; round < 4; round++) {
		while (sem_wait(&told))
			CHECK_EQ(errno, EINTR);
		cpu = round & 1 ? last : first;
		for (i = 0; i < 100; i++) {
			check_cpu(cpu);
			if (i % 8 == 0)
				sched_yield();
		}
		CHECK(sem_post(&answered) == 0);
	}
	return arg;
}

static void affinity(void)
{
	pthread_t t[PINNED], u[FREE];
	pthread_attr_t attr;
	cpu_set_t set, got;
	long i;

	section("affinity of a thread");
	for (i = 0; i < FREE; i++)
		u[i] = start(unbound, NULL);
	for (i = 0; i < PINNED; i++) {
		OK(pthread_attr_init(&attr));
		set = only(i & 1 ? last : first);
		if (i < 2) {
			OK(pthread_attr_setaffinity_np(&attr, sizeof(set),
						       &set));
			CPU_ZERO(&got);
			OK(pthread_attr_getaffinity_np(&attr, sizeof(got),
						       &got));
			CHECK(CPU_EQUAL(&got, &set));
		}
		CHECK_EQ(pthread_create(&t[i], &attr, pinned, (void *)i), 0);
		OK(pthread_attr_destroy(&attr));
	}
	check_cpus(&all);
	for (i = 0; i < PINNED; i++)
		join(t[i]);

	section("of another one");
	t[0] = start(is_bound, NULL);
	for (i = 0; i < 4; i++) {
		set = only(i & 1 ? last : first);
		OK(pthread_setaffinity_np(t[0], sizeof(set), &set));
		CPU_ZERO(&got);
		OK(pthread_getaffinity_np(t[0], sizeof(got), &got));
		CHECK(CPU_EQUAL(&got, &set));
		check_cpus(&all);
		CHECK(sem_post(&told) == 0);
		while (sem_wait(&answered))
			CHECK_EQ(errno, EINTR);
	}
	join(t[0]);

	section("of main");
	set = only(last);
	CHECK_EQ(sched_setaffinity(getpid(), sizeof(set), &set), 0);
	check_cpu(last);
	check_cpus(&set);
	stay(last);
	join(start(inherits, &last));
	CHECK_EQ(sched_setaffinity(0, sizeof(all), &all), 0);
	check_cpus(&all);
	STORE(stop, 1);
	for (i = 0; i < FREE; i++)
		join(u[i]);
}

/* ---- Policy and priority ------------------------------------------------- */

static void check_policy(int policy, int priority)
{
	struct sched_param sp = { .sched_priority = -1 };
	int got = -1;

	OK(pthread_getschedparam(pthread_self(), &got, &sp));
	CHECK_EQ(got, policy);
	CHECK_EQ(sp.sched_priority, priority);
	CHECK_EQ(sched_getscheduler(0), policy);
	CHECK_EQ(sched_getscheduler(gettid()), policy);
	sp.sched_priority = -1;
	CHECK_EQ(sched_getparam(gettid(), &sp), 0);
	CHECK_EQ(sp.sched_priority, priority);
	CHECK_EQ(sched_getparam(0, &sp), 0);
	CHECK_EQ(sp.sched_priority, priority);
}

static int set_own(int policy, int priority)
{
	struct sched_param sp = { .sched_priority = priority };

	return pthread_setschedparam(pthread_self(), policy, &sp);
}

/* What needs no permission. */
static void *ordinary(void *arg)
{
	struct sched_param sp = { .sched_priority = 0 };
	int i;

	check_policy(SCHED_OTHER, 0);
	for (i = 0; i < 2; i++) {
		CHECK_EQ(set_own(SCHED_OTHER, 0), 0);
		CHECK_EQ(sched_setscheduler(0, SCHED_OTHER, &sp), 0);
		CHECK_EQ(sched_setscheduler(gettid(), SCHED_OTHER, &sp), 0);
		CHECK_EQ(sched_setparam(0, &sp), 0);
		OK(pthread_setschedprio(pthread_self(), 0));
		check_policy(SCHED_OTHER, 0);
	}
	CHECK_EQ(set_own(SCHED_BATCH, 0), 0);
	check_policy(SCHED_BATCH, 0);
	sched_yield();
	usleep(10);
	check_policy(SCHED_BATCH, 0);
	CHECK_EQ(set_own(SCHED_OTHER, 0), 0);
	check_policy(SCHED_OTHER, 0);
	CHECK_EQ(set_own(SCHED_OTHER, 1), EINVAL);
	CHECK_EQ(set_own(SCHED_FIFO, 0), EINVAL);
	CHECK_EQ(set_own(SCHED_RR, 100), EINVAL);
	CHECK_EQ(set_own(77, 0), EINVAL);
	sp.sched_priority = 1;
	ERR(EINVAL, sched_setscheduler(0, SCHED_OTHER, &sp));
	check_policy(SCHED_OTHER, 0);
	return arg;
}

/* Takes turns with an ordinary one, by both ways to wait. */
static struct pair {
	pthread_cond_t cond;
	sem_t sem[2];
	int turn;
} pair;

static void take_turns(int me)
{
	long i;

	for (i = 0; i < rounds; i++) {
		OK(pthread_mutex_lock(&lock));
		while (pair.turn != me)
			OK(pthread_cond_wait(&pair.cond, &lock));
		pair.turn = !me;
		OK(pthread_cond_signal(&pair.cond));
		OK(pthread_mutex_unlock(&lock));
	}
	for (i = 0; i < rounds; i++) {
		while (sem_wait(&pair.sem[me]))
			CHECK_EQ(errno, EINTR);
		CHECK(sem_post(&pair.sem[!me]) == 0);
	}
}

static void *partner(void *arg)
{
	check_policy(SCHED_OTHER, 0);
	take_turns(0);
	check_policy(SCHED_OTHER, 0);
	return arg;
}

enum how { BY_PTHREAD, BY_ZERO, BY_TID, BY_OTHER, BY_ATTR, HOWS };
static int policy;

static void *same_as_creator(void *arg)
{
	check_policy(policy, *(int *)arg);
	return arg;
}

static void *realtime(void *arg)
{
	enum how how = (enum how)(long)arg;
	int priority = 5;
	struct sched_param sp = { .sched_priority = priority };

	/*
	 * No pthread_getschedparam before, not even in main: libc keeps its
	 * first answer, for new threads as well, and sched_setscheduler does
	 * not tell it.
	 */
	if (how == BY_PTHREAD)
		CHECK_EQ(set_own(policy, priority), 0);
	if (how == BY_ZERO)
		CHECK_EQ(sched_setscheduler(0, policy, &sp), 0);
	if (how == BY_TID)
		CHECK_EQ(sched_setscheduler(gettid(), policy, &sp), 0);
	if (how == BY_OTHER)
		while (sem_wait(&told))
			CHECK_EQ(errno, EINTR);
	check_policy(policy, priority);
	/* Set already. */
	CHECK_EQ(set_own(policy, priority), 0);
	CHECK_EQ(sched_setscheduler(0, policy, &sp), 0);
	CHECK_EQ(sched_setparam(gettid(), &sp), 0);
	check_policy(policy, priority);
	take_turns(1);
	check_policy(policy, priority);
	join(start(same_as_creator, &priority));
	priority = 7;
	OK(pthread_setschedprio(pthread_self(), priority));
	check_policy(policy, priority);
	usleep(10);
	check_policy(policy, priority);
	CHECK_EQ(set_own(SCHED_OTHER, 0), 0);
	check_policy(SCHED_OTHER, 0);
	return NULL;
}

static void realtime_pair(enum how how)
{
	struct sched_param sp = { .sched_priority = 5 }, got;
	int got_policy = -1;
	pthread_attr_t attr;
	pthread_t t[2];

	pair.turn = 0;
	CHECK(sem_init(&pair.sem[0], 0, 1) == 0);
	CHECK(sem_init(&pair.sem[1], 0, 0) == 0);
	t[0] = start(partner, NULL);
	OK(pthread_attr_init(&attr));
	if (how == BY_ATTR) {
		OK(pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED));
		OK(pthread_attr_setschedpolicy(&attr, policy));
		OK(pthread_attr_setschedparam(&attr, &sp));
	}
	CHECK_EQ(pthread_create(&t[1], &attr, realtime, (void *)(long)how), 0);
	OK(pthread_attr_destroy(&attr));
	if (how == BY_OTHER) {
		CHECK_EQ(pthread_setschedparam(t[1], policy, &sp), 0);
		OK(pthread_getschedparam(t[1], &got_policy, &got));
		CHECK_EQ(got_policy, policy);
		CHECK_EQ(got.sched_priority, 5);
		CHECK(sem_post(&told) == 0);
	}
	join(t[0]);
	join(t[1]);
	CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);
}

/* In a thread, which takes it along. */
static void *may_realtime(void *arg)
{
	*(int *)arg = set_own(SCHED_FIFO, 1) == 0;
	return arg;
}

int main(int argc, char **argv)
{
	int i, permitted = 0;

	if (argc > 1)
		rounds = atol(argv[1]);
	CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
	for (first = 0; !CPU_ISSET(first, &all); first++)
		;
	for (last = CPU_SETSIZE - 1; !CPU_ISSET(last, &all); last--)
		;
	CHECK(sem_init(&told, 0, 0) == 0 && sem_init(&answered, 0, 0) == 0);
	OK(pthread_cond_init(&pair.cond, NULL));
	section("before any thread");
	check_cpus(&all);
	affinity();
	section("policy");
	for (i = 0; i < BATCH; i++)
		join(start(ordinary, NULL));
	join(start(may_realtime, &permitted));
	section("real time, if permitted");
	for (i = 0; permitted && i < HOWS; i++)
		for (policy = SCHED_FIFO; policy <= SCHED_RR; policy++)
			realtime_pair((enum how)i);
	section("policy of main");
	ordinary(NULL);
	return 0;
}
