/*
 * errno_steal - each of thousands of threads sets its errno, leaves the
 * processor in many ways, and finds it as it was.
 */
#include "check.h"
#include <netdb.h>

enum { N = 2000 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int *where[N];

/* Not inlined: each call finds errno's address anew, as unrelated code does. */
static __attribute__((noinline)) void set(int v)
{
	errno = v;
}
static __attribute__((noinline)) int get(void)
{
	return errno;
}

static void *keeps(void *arg)
{
	int me = (int)(long)arg, *p = &errno, i, ret;

	CHECK_EQ(get(), 0);
	CHECK_EQ(h_errno, 0);
	where[me] = p;
	h_errno = me + 1;
	for (i = 0; i < 20; i++) {
		set(me * 7 + i);
		sched_yield();
		CHECK_EQ(get(), me * 7 + i);
		CHECK(p == &errno);
		if (i % 4 == 0) {
			ret = pthread_mutex_lock(&lock);
			CHECK_EQ(get(), me * 7 + i);
			if (i % 16 == 0)
				sched_yield();
			ret |= pthread_mutex_unlock(&lock);
			CHECK_EQ(ret, 0);
			CHECK_EQ(get(), me * 7 + i);
		}
		/* One that fails, in between. */
		if (i % 5 == 0) {
			CHECK(close(-1) < 0);
			CHECK_EQ(get(), EBADF);
			sched_yield();
			CHECK_EQ(get(), EBADF);
		}
	}
	usleep(100);
	CHECK_EQ(h_errno, me + 1);
	/* Left set: the next thread in this place must not see it. */
	set(me + 1);
	return NULL;
}

int main(void)
{
	static pthread_t t[N];
	long i, round;

	for (round = 0; round < 2; round++) {
		section("threads");
		errno = ERRNO_MARK;
		for (i = 0; i < N; i++) {
			t[i] = start_small(keeps, (void *)i);
			errno = ERRNO_MARK;
		}
		for (i = 0; i < N; i++)
			join(t[i]);
		CHECK_EQ(errno, ERRNO_MARK);
	}
	return 0;
}
