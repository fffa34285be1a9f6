/*
 * getattr_np - the attributes of running threads.  Garbage collectors scan
 * from a local up to the stack's end as given here, so it has to be right, in
 * the main thread too.
 */
#include "check.h"
#include <semaphore.h>

static void bounds(pthread_t t, char **low, char **high, size_t *guard)
{
	pthread_attr_t a;
	void *addr;
	size_t size;

	CHECK_EQ(pthread_getattr_np(t, &a), 0);
	CHECK_EQ(pthread_attr_getstack(&a, &addr, &size), 0);
	CHECK_EQ(pthread_attr_getguardsize(&a, guard), 0);
	CHECK_EQ(pthread_attr_destroy(&a), 0);
	*low = addr;
	*high = *low + size;
}

static int sum;
/* Reads all that a collector would read. */
static void scan(void)
{
	volatile char *p;
	char *low, *high;
	size_t guard;

	bounds(pthread_self(), &low, &high, &guard);
	CHECK(stack_here() > low && stack_here() < high);
	for (p = stack_here(); (char *)p < high; p += 64)
		sum += *p;
}

static __attribute__((noinline)) void deeper(int n)
{
	volatile char frame[1024];

	frame[0] = (char)n;
	if (n)
		deeper(n - 1);
	else
		scan();
	CHECK(frame[0] == (char)n);
}

static void *looks(void *arg)
{
	char *low, *high;
	size_t guard, want = (size_t)arg;

	scan();
	deeper(20);
	sched_yield();
	deeper(20);
	bounds(pthread_self(), &low, &high, &guard);
	CHECK(guard == 4096);
	/*
	 * All that was asked for, less what libc keeps at its top; it may be
	 * a larger one that was free, but not one of another kind.
	 */
	if (want) {
		CHECK((size_t)(high - low) >= want - 8192);
		CHECK((size_t)(high - low) <= 4 * want);
	}
	return stack_here();
}

static sem_t gate, ready;
static char *where;
static void *waits(void *arg)
{
	where = stack_here();
	CHECK(sem_post(&ready) == 0);
	CHECK(sem_wait(&gate) == 0);
	return arg;
}

int main(void)
{
	static const size_t sizes[] = { 64 << 10, 1 << 20, 8 << 20 };
	pthread_attr_t a;
	pthread_t t;
	char *low, *high;
	size_t guard, i;
	int detached;

	section("main, before any thread");
	scan();
	deeper(50);
	section("in a thread");
	join(start(looks, NULL));
	for (i = 0; i < 3; i++) {
		OK(pthread_attr_init(&a));
		OK(pthread_attr_setstacksize(&a, sizes[i]));
		OK(pthread_create(&t, &a, looks, (void *)sizes[i]));
		OK(pthread_attr_destroy(&a));
		join(t);
	}
	section("main, after");
	scan();
	deeper(50);

	section("of another thread");
	CHECK(sem_init(&gate, 0, 0) == 0 && sem_init(&ready, 0, 0) == 0);
	t = start(waits, NULL);
	CHECK(sem_wait(&ready) == 0);
	bounds(t, &low, &high, &guard);
	CHECK(where > low && where < high);
	CHECK_EQ(pthread_getattr_np(t, &a), 0);
	OK(pthread_attr_getdetachstate(&a, &detached));
	CHECK_EQ(detached, PTHREAD_CREATE_JOINABLE);
	OK(pthread_attr_destroy(&a));
	OK(pthread_detach(t));
	CHECK_EQ(pthread_getattr_np(t, &a), 0);
	OK(pthread_attr_getdetachstate(&a, &detached));
	CHECK_EQ(detached, PTHREAD_CREATE_DETACHED);
	OK(pthread_attr_destroy(&a));
	CHECK(sem_post(&gate) == 0);
	return 0;
}
