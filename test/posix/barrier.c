/*
 * barrier - one serial thread a round, reuse at once, destroy right after,
 * errors, memory that was used before, and barriers in memory that processes
 * share.
 */
#include "check.h"
#include <sys/mman.h>

enum { N = 24, ROUNDS = 100 };
static pthread_barrier_t b;
static int serial, arrived[ROUNDS];

static void *meets(void *arg)
{
	int i, ret, mine = 0;

	for (i = 0; i < ROUNDS; i++) {
		ADD(arrived[i], 1);
		ret = pthread_barrier_wait(&b);
		CHECK(ret == 0 || ret == PTHREAD_BARRIER_SERIAL_THREAD);
		CHECK_EQ(LOAD(arrived[i]), N);
		if (ret)
			mine++;
	}
	ADD(serial, mine);
	return arg;
}

/* Whoever is serial destroys it: all others are past it, or on the way out. */
static void *last_destroys(void *arg)
{
	pthread_barrier_t *p = *(pthread_barrier_t **)arg;

	if (pthread_barrier_wait(p) == PTHREAD_BARRIER_SERIAL_THREAD) {
		OK(pthread_barrier_destroy(p));
		memset(p, 0xa5, sizeof(*p));
		free(p);
		ADD(serial, 1);
	}
	return NULL;
}

static struct shared {
	pthread_barrier_t b;
	int serial, arrived[ROUNDS];
} * s;

static void *meets_shared(void *arg)
{
	int i, ret;

	for (i = 0; i < ROUNDS; i++) {
		ADD(s->arrived[i], 1);
		ret = pthread_barrier_wait(&s->b);
		CHECK_EQ(LOAD(s->arrived[i]), 12);
		if (ret) {
			CHECK_EQ(ret, PTHREAD_BARRIER_SERIAL_THREAD);
			ADD(s->serial, 1);
		}
	}
	return arg;
}

static void four_threads(void)
{
	pthread_t t[4];
	int i;

	for (i = 0; i < 4; i++)
		t[i] = start(meets_shared, NULL);
	for (i = 0; i < 4; i++)
		join(t[i]);
}

int main(void)
{
	pthread_barrierattr_t attr;
	pthread_t t[N];
	pthread_barrier_t *p;
	pid_t pid[2];
	int i, k;

	section("errors");
	RET(EINVAL, pthread_barrier_init(&b, NULL, 0));
	OK(pthread_barrierattr_init(&attr));
	RET(EINVAL, pthread_barrierattr_setpshared(&attr, 77));
	OK(pthread_barrierattr_getpshared(&attr, &i));
	CHECK_EQ(i, PTHREAD_PROCESS_PRIVATE);

	section("one");
	OK(pthread_barrier_init(&b, NULL, 1));
	for (i = 0; i < 10; i++)
		RET(PTHREAD_BARRIER_SERIAL_THREAD, pthread_barrier_wait(&b));
	OK(pthread_barrier_destroy(&b));

	section("rounds");
	OK(pthread_barrier_init(&b, NULL, N));
	for (i = 0; i < N; i++)
		t[i] = start(meets, NULL);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(serial, ROUNDS);
	OK(pthread_barrier_destroy(&b));

	section("destroyed and freed by the serial thread");
	serial = 0;
	for (k = 0; k < 100; k++) {
		p = malloc(sizeof(*p));
		memset(p, 0xa5, sizeof(*p));
		OK(pthread_barrier_init(p, NULL, 8));
		for (i = 0; i < 8; i++)
			t[i] = start(last_destroys, &p);
		for (i = 0; i < 8; i++)
			join(t[i]);
	}
	CHECK_EQ(serial, 100);

	section("between processes");
	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		 -1, 0);
	CHECK(s != MAP_FAILED);
	OK(pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED));
	OK(pthread_barrier_init(&s->b, &attr, 12));
	OK(pthread_barrierattr_destroy(&attr));
	for (i = 0; i < 2; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (pid[i] == 0) {
			four_threads();
			_exit(0);
		}
	}
	four_threads();
	reap(pid[0], 0);
	reap(pid[1], 0);
	CHECK_EQ(s->serial, ROUNDS);
	OK(pthread_barrier_destroy(&s->b));
	return 0;
}
