/*
 * deep_stack - many threads use a megabyte of their stacks; who runs off the
 * end dies by SIGSEGV instead of writing into another's memory.
 */
#include "check.h"
#include <sys/resource.h>

enum { N = 50 };

static int recurse(int depth, int *total);
static int (*volatile deeper)(int, int *) = recurse;
static int recurse(int depth, int *total)
{
	volatile unsigned char frame[1024];
	int i, sum;

	for (i = 0; i < 1024; i += 64)
		frame[i] = (unsigned char)(depth + i);
	if (depth % 128 == 0)
		sched_yield();
	sum = depth ? deeper(depth - 1, total) : 0;
	for (i = 0; i < 1024; i += 64)
		CHECK(frame[i] == (unsigned char)(depth + i));
	++*total;
	return sum + 1;
}

static void *deep(void *arg)
{
	int total = 0;

	CHECK_EQ(recurse(1000, &total), 1001);
	CHECK_EQ(total, 1001);
	return arg;
}

static void *overruns(void *arg)
{
	volatile char *p = (volatile char *)stack_here();
	pthread_attr_t a;
	size_t size;
	void *low;

	CHECK_EQ(pthread_getattr_np(pthread_self(), &a), 0);
	CHECK_EQ(pthread_attr_getstack(&a, &low, &size), 0);
	CHECK_EQ(pthread_attr_destroy(&a), 0);
	/* Page by page, as a deep recursion would. */
	for (; p > (volatile char *)low - 4096; p -= 1024)
		*p = 1;
	return arg;
}

static void *recurses(void *arg)
{
	int total = 0;

	recurse(INT_MAX, &total);
	return arg;
}

static void *waits(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void dies(thread_fn *fn)
{
	struct rlimit none = { 0, 0 };
	int status, i;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(setrlimit(RLIMIT_CORE, &none) == 0);
		/* Neighbours, in case the stacks lie side by side. */
		for (i = 0; i < 4; i++)
			start(waits, NULL);
		join(start(fn, NULL));
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSEGV);
}

int main(void)
{
	pthread_t t[N];
	int i, round;

	section("a megabyte in each");
	for (round = 0; round < 2; round++) {
		for (i = 0; i < N; i++)
			t[i] = start(deep, NULL);
		for (i = 0; i < N; i++)
			join(t[i]);
	}
	section("guard page");
	dies(overruns);
	section("endless recursion");
	dies(recurses);
	return 0;
}
