/*
 * cancel_cxx - cancellation through C++ frames: where a thread waits parked, waits in
 * the kernel, computes (asynchronously) or asks, destructors run innermost first,
 * catch (...) sees it and rethrows, catch of a type does not, and thread_local objects
 * are destroyed afterwards.
 */
#include "guard.h"
#include <cstdio>
#include <semaphore.h>
#include <stdexcept>
#include <string>

enum { DEPTH = 5, ROUNDS = 20 };

static sem_t ready, parked, shared;
static int end[2];
static FILE *stream;
static int caught, tls_destroyed;

struct tls_object {
	int seen = 0;
	~tls_object()
	{
		if (!seen)
			return;
		CHECK_EQ(used, DEPTH + 2);
		for (int i = 0; i < DEPTH; i++)
			CHECK_EQ(order[i], DEPTH - i);
		CHECK_EQ(order[DEPTH], 50);
		CHECK_EQ(order[DEPTH + 1], 100);
		ADD(tls_destroyed, 1);
	}
};
static thread_local tls_object object;

static void in_sem()
{
	while (sem_wait(&parked) == 0)
		;
}

static void in_shared_sem()
{
	while (sem_wait(&shared) == 0)
		;
}

static void in_stream()
{
	while (getc(stream) != EOF)
		;
}

static void in_sleep()
{
	sleep(1000);
}

static void asks()
{
	for (;;) {
		pthread_testcancel();
		sched_yield();
	}
}

/* In C, as far as the unwinder can tell. */
static __attribute__((noinline)) void computes() noexcept(false)
{
	volatile unsigned long work = 0;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (;;)
		work = work + 1;
}

static void deep(int n, void (*what)(void));
static void (*volatile deeper)(int, void (*)(void)) = deep;
static void deep(int n, void (*what)(void))
{
	guard g(n);
	std::string on_heap(100, 'x');

	if (n == DEPTH) {
		CHECK(sem_post(&ready) == 0);
		what();
		CHECK(!"cancelled");
	}
	deeper(n + 1, what);
	CHECK(on_heap[0] != 'x');
}

static void *thread(void *arg)
{
	object.seen = 1;
	guard outer(100);
	try {
		try {
			deep(1, *(void (**)(void))arg);
		} catch (const std::exception &) {
			CHECK(!"no exception");
		}
	} catch (...) {
		guard inner(50);
		ADD(caught, 1);
		throw;
	}
	return NULL;
}

int main()
{
	static void (*const whats[])(void) = { in_sem,	 in_shared_sem,
					       in_stream, in_sleep,
					       asks,	 computes };
	int n = 0;

	CHECK(sem_init(&ready, 0, 0) == 0 && sem_init(&parked, 0, 0) == 0);
	CHECK(sem_init(&shared, 1, 0) == 0 && pipe(end) == 0);
	stream = fdopen(end[0], "r");
	for (auto &what : whats)
		for (int i = 0; i < ROUNDS; i++, n++) {
			pthread_t t = start(thread, (void *)&what);

			while (sem_wait(&ready))
				;
			if (i & 1)
				usleep(1000);
			OK(pthread_cancel(t));
			CHECK(join(t) == PTHREAD_CANCELED);
			CHECK_EQ(LOAD(caught), n + 1);
			CHECK_EQ(LOAD(tls_destroyed), n + 1);
		}
	return 0;
}
