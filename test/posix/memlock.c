/*
 * memlock - mlockall of all there is and will be, as real-time programs do it:
 * whatever is mapped from then on is filled at once, so that a library that
 * reserves address space for stacks must not have it made memory.  Before any
 * thread, and with threads that wait; hundreds are made and joined after it.
 *
 * memlock [threads]
 */
#include "check.h"
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { EARLY = 10, BIG = 4 };
static long threads = 200;
static sem_t gate;
static int here;

/* A line of /proc/self/status, in MB. */
static long status_mb(const char *line)
{
	char text[200];
	long kb = -1;
	FILE *f = fopen("/proc/self/status", "r");

	CHECK(f != NULL);
	while (fgets(text, sizeof(text), f))
		if (strncmp(text, line, strlen(line)) == 0)
			kb = atol(text + strlen(line));
	fclose(f);
	CHECK(kb >= 0);
	return kb >> 10;
}

/*
 * A quarter of a MB for the stack of each and less for its heap; four times
 * the stacks of the big ones; and a lot for the process itself.
 */
static void check_memory(long small, long big)
{
	long bound = 128 + small + 32 * big;

	if (status_mb("VmHWM:") > bound)
		check_fail(__FILE__, __LINE__,
			   "%ld MB, more than %ld, with %ld threads",
			   status_mb("VmHWM:"), bound, small + big);
}

#define SMALL (256 << 10)
static __thread char area[2000];
static void *waits(void *arg)
{
	volatile char deep[100000];
	char *p = malloc(1000);
	int i;

	CHECK(p != NULL);
	for (i = 0; i < (int)sizeof(deep); i += 1000)
		deep[i] = 1;
	area[0] = 1;
	ADD(here, 1);
	while (sem_wait(&gate))
		CHECK_EQ(errno, EINTR);
	CHECK(deep[0] == 1 && area[0] == 1);
	free(p);
	return arg;
}

static pthread_t one(size_t stack)
{
	pthread_attr_t attr;
	pthread_t t;

	OK(pthread_attr_init(&attr));
	OK(pthread_attr_setstacksize(&attr, stack));
	CHECK_EQ(pthread_create(&t, &attr, waits, &gate), 0);
	OK(pthread_attr_destroy(&attr));
	return t;
}

static void finish(pthread_t *t, long n)
{
	long i;

	for (i = 0; i < n; i++)
		CHECK(sem_post(&gate) == 0);
	for (i = 0; i < n; i++)
		CHECK(join(t[i]) == &gate);
	here = 0;
}

static void run(int before, int flags)
{
	pthread_t early[EARLY], *t = calloc(threads + BIG, sizeof(*t));
	long i, round;

	CHECK(t != NULL);
	CHECK(sem_init(&gate, 0, 0) == 0);
	for (i = 0; i < before; i++)
		early[i] = one(SMALL);
	YIELD_UNTIL(LOAD(here) == before);
	CHECK(mlockall(flags) == 0);
	check_memory(before, 0);
	finish(early, before);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < threads; i++)
			t[i] = one(SMALL);
		YIELD_UNTIL(LOAD(here) == threads);
		CHECK(!(flags & MCL_FUTURE) || status_mb("VmLck:") > 0);
		check_memory(threads, 0);
		finish(t, threads);
		check_memory(threads, 0);
	}
	/* One at a time. */
	for (i = 0; i < threads / 4; i++) {
		t[0] = one(SMALL);
		finish(t, 1);
	}
	check_memory(threads, 0);
	for (i = 0; i < BIG; i++)
		t[i] = one(8 << 20);
	YIELD_UNTIL(LOAD(here) == BIG);
	check_memory(threads, BIG);
	finish(t, BIG);
	CHECK(munlockall() == 0);
	CHECK_EQ(status_mb("VmLck:"), 0);
	t[0] = one(SMALL);
	finish(t, 1);
	free(t);
}

/* By a capability, or with a limit well above what is needed. */
static int may_lock(void)
{
	char text[200];
	unsigned long long caps = 0;
	struct rlimit rl;
	FILE *f = fopen("/proc/self/status", "r");

	CHECK(f != NULL);
	while (fgets(text, sizeof(text), f))
		sscanf(text, "CapEff: %llx", &caps);
	fclose(f);
	CHECK(getrlimit(RLIMIT_MEMLOCK, &rl) == 0);
	return (caps >> 14 & 1) || rl.rlim_cur > 2ull << 30;
}

/* In a process of its own each: the first of them must have had no thread. */
static void try(const char *what, int before, int flags)
{
	pid_t pid;

	section(what);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		run(before, flags);
		_exit(0);
	}
	reap(pid, 0);
}

int main(int argc, char **argv)
{
	FILE *f;

	if (argc > 1)
		threads = atol(argv[1]);
	/* If memory should run out over this, it is this that has to go. */
	f = fopen("/proc/self/oom_score_adj", "w");
	if (f) {
		fprintf(f, "1000");
		fclose(f);
	}
	if (!may_lock() || mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		return 77;
	CHECK(munlockall() == 0);
	try("before any thread", 0, MCL_CURRENT | MCL_FUTURE);
	try("with threads", EARLY, MCL_CURRENT | MCL_FUTURE);
	try("what comes, before any thread", 0, MCL_FUTURE);
	try("what there is, with threads", EARLY, MCL_CURRENT);
	return 0;
}
