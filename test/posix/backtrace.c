/*
 * backtrace - the stack of a thread can be walked to its end from any depth,
 * and ends there: debuggers, profilers and collectors do it.
 */
#include "check.h"
#include <execinfo.h>

static void (*volatile deeper)(int, int);

static int walk(void **frame)
{
	int n = backtrace(frame, 200), i;

	/* It stopped by itself, and passed only code on its way. */
	CHECK(n > 1 && n < 100);
	for (i = 0; i < n - 1; i++)
		CHECK(frame[i] != NULL);
	return n;
}

static __thread int depths[20];
static void nest(int depth, int want)
{
	volatile char pad[64];
	void *frame[200];

	pad[0] = (char)depth;
	if (depth == want) {
		depths[want] = walk(frame);
		sched_yield();
		CHECK_EQ(walk(frame), depths[want]);
	} else {
		deeper(depth + 1, want);
	}
	CHECK(pad[0] == (char)depth);
}

static void *walks(void *arg)
{
	int i;

	/* Each call more is one frame more. */
	for (i = 0; i < 20; i++) {
		nest(0, i);
		CHECK_EQ(depths[i], depths[0] + i);
	}
	return arg;
}

static void *finds_base(void *arg)
{
	void *frame[200];

	*(int *)arg = walk(frame);
	return NULL;
}

int main(void)
{
	enum { N = 30 };
	pthread_t t[N];
	int n[N], i;

	deeper = nest;
	section("depth is the same in every thread");
	for (i = 0; i < N; i++)
		t[i] = start(finds_base, &n[i]);
	for (i = 0; i < N; i++) {
		join(t[i]);
		CHECK_EQ(n[i], n[0]);
	}
	section("nested");
	for (i = 0; i < N; i++)
		t[i] = start(walks, NULL);
	for (i = 0; i < N; i++)
		join(t[i]);
	return 0;
}
