/*
 * detach - pthread_detach of running, finished and own threads.
 */
#include "check.h"
#include <semaphore.h>

static sem_t gate;
static int done;

static void *waits(void *arg)
{
	CHECK(sem_wait(&gate) == 0);
	ADD(done, 1);
	return arg;
}

static void *detaches_self(void *arg)
{
	(void)arg;
	OK(pthread_detach(pthread_self()));
	RET(EINVAL, pthread_detach(pthread_self()));
	ADD(done, 1);
	return NULL;
}

static void *at_once(void *arg)
{
	ADD(done, 1);
	return arg;
}

int main(void)
{
	enum { N = 1000 };
	static pthread_t t[N];
	int i;

	CHECK(sem_init(&gate, 0, 0) == 0);

	section("while it runs");
	t[0] = start(waits, NULL);
	OK(pthread_detach(t[0]));
	RET(EINVAL, pthread_detach(t[0]));
	RET(EINVAL, pthread_join(t[0], NULL));
	CHECK(sem_post(&gate) == 0);
	YIELD_UNTIL(LOAD(done) == 1);

	section("by itself");
	done = 0;
	for (i = 0; i < N; i++)
		start(detaches_self, NULL);
	YIELD_UNTIL(LOAD(done) == N);

	/* Its resources go when it has ended: those who come after need them */
	section("after its end, or about then");
	done = 0;
	for (i = 0; i < N; i++) {
		t[i] = start(at_once, NULL);
		if (i & 1)
			YIELD_UNTIL(LOAD(done) == i + 1);
		OK(pthread_detach(t[i]));
	}
	YIELD_UNTIL(LOAD(done) == N);

	section("thousands, one after another");
	done = 0;
	for (i = 0; i < 2000; i++) {
		OK(pthread_detach(start(at_once, NULL)));
		/* Not more than some at once. */
		YIELD_UNTIL(i - LOAD(done) < 50);
	}
	YIELD_UNTIL(LOAD(done) == 2000);
	return 0;
}
