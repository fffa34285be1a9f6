/*
 * sem - unnamed semaphores: all forms of waiting, values, overflow, errors,
 * handing over in a ring, and a semaphore that its waiter destroys at once.
 */
#include "check.h"
#include <semaphore.h>
#include <sys/mman.h>

static sem_t sem;

static int value(sem_t *s)
{
	int v;

	CHECK(sem_getvalue(s, &v) == 0);
	return v;
}

static void errors(void)
{
	struct timespec t;
	int i;

	CHECK(sem_init(&sem, 0, 2) == 0);
	CHECK_EQ(value(&sem), 2);
	/* Success says nothing in errno. */
	errno = ERRNO_MARK;
	CHECK(sem_wait(&sem) == 0);
	CHECK(sem_trywait(&sem) == 0);
	CHECK_EQ(errno, ERRNO_MARK);
	ERR(EAGAIN, sem_trywait(&sem));
	CHECK_EQ(value(&sem), 0);
	for (i = 0; i < 3; i++) {
		t = in_ms(CLOCK_REALTIME, i * 4 - 4);
		ERR(ETIMEDOUT, sem_timedwait(&sem, &t));
		CHECK(reached(CLOCK_REALTIME, &t));
		t = in_ms(CLOCK_REALTIME, i * 4 - 4);
		ERR(ETIMEDOUT, sem_clockwait(&sem, CLOCK_REALTIME, &t));
		t = in_ms(CLOCK_MONOTONIC, i * 4 - 4);
		ERR(ETIMEDOUT, sem_clockwait(&sem, CLOCK_MONOTONIC, &t));
		CHECK(reached(CLOCK_MONOTONIC, &t));
	}
	t = far_off(CLOCK_REALTIME);
	t.tv_nsec = 1000000000;
	ERR(EINVAL, sem_timedwait(&sem, &t));
	t.tv_nsec = -1;
	ERR(EINVAL, sem_timedwait(&sem, &t));
	ERR(EINVAL, sem_clockwait(&sem, CLOCK_MONOTONIC, &t));
	t.tv_nsec = 0;
	ERR(EINVAL, sem_clockwait(&sem, CLOCK_PROCESS_CPUTIME_ID, &t));
	CHECK(sem_post(&sem) == 0);
	CHECK(sem_timedwait(&sem, &t) == 0);
	CHECK(sem_post(&sem) == 0);
	t = far_off(CLOCK_MONOTONIC);
	CHECK(sem_clockwait(&sem, CLOCK_MONOTONIC, &t) == 0);
	CHECK(sem_destroy(&sem) == 0);

	section("limits");
	ERR(EINVAL, sem_init(&sem, 0, (unsigned)SEM_VALUE_MAX + 1));
	CHECK(sem_init(&sem, 0, SEM_VALUE_MAX) == 0);
	CHECK_EQ(value(&sem), SEM_VALUE_MAX);
	ERR(EOVERFLOW, sem_post(&sem));
	CHECK(sem_wait(&sem) == 0);
	CHECK(sem_post(&sem) == 0);
	CHECK(sem_destroy(&sem) == 0);
}

enum { RING = 50, LAPS = 50 };
static sem_t ring[RING];
static long hops;

static void *passes(void *arg)
{
	long me = (long)arg;
	int i;

	for (i = 0; i < LAPS; i++) {
		CHECK(sem_wait(&ring[me]) == 0);
		hops++;
		CHECK(sem_post(&ring[(me + 1) % RING]) == 0);
	}
	return NULL;
}

/* Two that ask and answer each other; each question is posted when that one is there. */
static sem_t question, answer;
static int asked, busy, in_vain;

static void *answers(void *arg)
{
	long i;

	for (i = 1; i <= (long)arg; i++) {
		CHECK(sem_wait(&question) == 0);
		CHECK_EQ(asked, i);
		CHECK(sem_post(&answer) == 0);
	}
	if (LOAD(busy)) {
		CHECK(sem_wait(&question) == 0);
		while (LOAD(busy))
			;
	}
	return NULL;
}

static void *asks(void *arg)
{
	long i;

	for (i = 1; i <= (long)arg; i++) {
		asked = (int)i;
		CHECK(sem_post(&question) == 0);
		CHECK(sem_wait(&answer) == 0);
		CHECK_EQ(value(&answer), 0);
	}
	return NULL;
}

/* Once more, but who is asked is busy: nobody answers in time, then a third one. */
static void *asks_in_vain(void *arg)
{
	struct timespec until;

	asks(arg);
	CHECK(sem_post(&question) == 0);
	until = in_ms(CLOCK_REALTIME, 30);
	CHECK(sem_timedwait(&answer, &until) == -1);
	CHECK_EQ(errno, ETIMEDOUT);
	STORE(in_vain, 1);
	CHECK(sem_wait(&answer) == 0);
	STORE(busy, 0);
	return NULL;
}

static void questions(long n)
{
	pthread_t t[2];

	CHECK(sem_init(&question, 0, 0) == 0 && sem_init(&answer, 0, 0) == 0);
	t[0] = start(answers, (void *)n);
	t[1] = start(asks, (void *)n);
	join(t[0]);
	join(t[1]);
	busy = 1;
	t[0] = start(answers, (void *)n);
	t[1] = start(asks_in_vain, (void *)n);
	YIELD_UNTIL(LOAD(in_vain));
	CHECK(sem_post(&answer) == 0);
	join(t[0]);
	join(t[1]);
	CHECK_EQ(value(&question), 0);
	CHECK_EQ(value(&answer), 0);
}

static int taken, in_room;
static void *takes(void *arg)
{
	struct timespec t;
	int i, n;

	for (i = 0; i < 200; i++) {
		switch ((i + (long)arg) % 4) {
		case 0:
			CHECK(sem_wait(&sem) == 0);
			break;
		case 1:
			t = far_off(CLOCK_REALTIME);
			CHECK(sem_timedwait(&sem, &t) == 0);
			break;
		case 2:
			t = far_off(CLOCK_MONOTONIC);
			CHECK(sem_clockwait(&sem, CLOCK_MONOTONIC, &t) == 0);
			break;
		default:
			while (sem_trywait(&sem) < 0) {
				CHECK_EQ(errno, EAGAIN);
				sched_yield();
			}
		}
		n = ADD(in_room, 1);
		CHECK(n <= 3);
		ADD(taken, 1);
		if (i % 16 == 0)
			sched_yield();
		ADD(in_room, -1);
		CHECK(sem_post(&sem) == 0);
	}
	return NULL;
}

/* The timed ones race with the posts; none may be lost or doubled. */
static int posted, got;
static void *may_time_out(void *arg)
{
	struct timespec t;
	int i;

	for (i = 0; i < 200; i++) {
		t = in_ms(CLOCK_MONOTONIC, 0);
		t.tv_nsec += t.tv_nsec < 999800000 ? 100000 : 0;
		if (sem_clockwait(&sem, CLOCK_MONOTONIC, &t) == 0)
			ADD(got, 1);
		else
			CHECK_EQ(errno, ETIMEDOUT);
	}
	return arg;
}

static void *posts(void *arg)
{
	int i;

	for (i = 0; i < 300; i++) {
		CHECK(sem_post(&sem) == 0);
		ADD(posted, 1);
		sched_yield();
	}
	return arg;
}

static void *posts_once(void *arg)
{
	CHECK(sem_post(arg) == 0);
	return NULL;
}

int main(void)
{
	enum { N = 20 };
	pthread_t t[RING];
	sem_t *s;
	long i;

	section("errors");
	errors();

	section("at most three inside");
	CHECK(sem_init(&sem, 0, 3) == 0);
	for (i = 0; i < N; i++)
		t[i] = start(takes, (void *)i);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(taken, N * 200);
	CHECK_EQ(value(&sem), 3);
	CHECK(sem_destroy(&sem) == 0);

	section("ring");
	for (i = 0; i < RING; i++)
		CHECK(sem_init(&ring[i], 0, i == 0) == 0);
	for (i = 0; i < RING; i++)
		t[i] = start(passes, (void *)i);
	for (i = 0; i < RING; i++)
		join(t[i]);
	CHECK_EQ(hops, RING * LAPS);

	section("questions and answers");
	questions(5000);

	section("posts and timeouts balance");
	CHECK(sem_init(&sem, 0, 0) == 0);
	for (i = 0; i < N; i++)
		t[i] = start(i & 1 ? may_time_out : posts, NULL);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(value(&sem), posted - got);
	CHECK(sem_destroy(&sem) == 0);

	/* It returned from the wait, so it may unmap it, post or no post. */
	section("destroyed right after the wait");
	for (i = 0; i < 300; i++) {
		s = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(s != MAP_FAILED);
		CHECK(sem_init(s, 0, 0) == 0);
		t[0] = start(posts_once, s);
		CHECK(sem_wait(s) == 0);
		CHECK(sem_destroy(s) == 0);
		CHECK(munmap(s, 4096) == 0);
		join(t[0]);
	}
	return 0;
}
