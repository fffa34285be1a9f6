/*
 * rwlock - readers together, writers alone; try, timed and clock forms; the
 * kinds; every error.
 */
#include "check.h"
#include <semaphore.h>

static pthread_rwlock_t rw;
static int readers, writers;
static long written, value[2];

static void *reads(void *arg)
{
	struct timespec t;
	int i, ret;

	for (i = 0; i < 150; i++) {
		switch ((i + (long)arg) % 4) {
		case 0:
			OK(pthread_rwlock_rdlock(&rw));
			break;
		case 1:
			t = far_off(CLOCK_REALTIME);
			OK(pthread_rwlock_timedrdlock(&rw, &t));
			break;
		case 2:
			t = far_off(CLOCK_MONOTONIC);
			OK(pthread_rwlock_clockrdlock(&rw, CLOCK_MONOTONIC,
						      &t));
			break;
		default:
			while ((ret = pthread_rwlock_tryrdlock(&rw)) != 0) {
				CHECK_EQ(ret, EBUSY);
				sched_yield();
			}
		}
		ADD(readers, 1);
		CHECK_EQ(LOAD(writers), 0);
		CHECK_EQ(value[0], value[1]);
		if (i % 8 == 0)
			sched_yield();
		CHECK_EQ(LOAD(writers), 0);
		ADD(readers, -1);
		OK(pthread_rwlock_unlock(&rw));
	}
	return NULL;
}

static void *writes(void *arg)
{
	struct timespec t;
	int i, ret;

	for (i = 0; i < 100; i++) {
		switch ((i + (long)arg) % 4) {
		case 0:
			OK(pthread_rwlock_wrlock(&rw));
			break;
		case 1:
			t = far_off(CLOCK_REALTIME);
			OK(pthread_rwlock_timedwrlock(&rw, &t));
			break;
		case 2:
			t = far_off(CLOCK_MONOTONIC);
			OK(pthread_rwlock_clockwrlock(&rw, CLOCK_MONOTONIC,
						      &t));
			break;
		default:
			while ((ret = pthread_rwlock_trywrlock(&rw)) != 0) {
				CHECK_EQ(ret, EBUSY);
				sched_yield();
			}
		}
		CHECK_EQ(ADD(writers, 1), 1);
		CHECK_EQ(LOAD(readers), 0);
		value[0]++;
		if (i % 8 == 0)
			sched_yield();
		value[1]++;
		written++;
		CHECK_EQ(ADD(writers, -1), 0);
		OK(pthread_rwlock_unlock(&rw));
	}
	return NULL;
}

static void exclusion(void)
{
	enum { R = 16, W = 6 };
	pthread_t t[R + W];
	long i;

	written = value[0] = value[1] = 0;
	for (i = 0; i < R + W; i++)
		t[i] = start(i < R ? reads : writes, (void *)i);
	for (i = 0; i < R + W; i++)
		join(t[i]);
	CHECK_EQ(written, W * 100);
	CHECK_EQ(value[0], W * 100);
}

/* Another thread holds it for writing. */
static void *write_held(void *arg)
{
	struct timespec t, bad;
	int i;

	RET(EBUSY, pthread_rwlock_tryrdlock(&rw));
	RET(EBUSY, pthread_rwlock_trywrlock(&rw));
	for (i = 0; i < 3; i++) {
		t = in_ms(CLOCK_REALTIME, i * 4 - 4);
		RET(ETIMEDOUT, pthread_rwlock_timedrdlock(&rw, &t));
		CHECK(reached(CLOCK_REALTIME, &t));
		t = in_ms(CLOCK_REALTIME, i * 4 - 4);
		RET(ETIMEDOUT, pthread_rwlock_timedwrlock(&rw, &t));
		t = in_ms(CLOCK_MONOTONIC, i * 4 - 4);
		RET(ETIMEDOUT,
		    pthread_rwlock_clockrdlock(&rw, CLOCK_MONOTONIC, &t));
		CHECK(reached(CLOCK_MONOTONIC, &t));
		t = in_ms(CLOCK_MONOTONIC, i * 4 - 4);
		RET(ETIMEDOUT,
		    pthread_rwlock_clockwrlock(&rw, CLOCK_MONOTONIC, &t));
	}
	bad = far_off(CLOCK_REALTIME);
	bad.tv_nsec = 1000000000;
	RET(EINVAL, pthread_rwlock_timedrdlock(&rw, &bad));
	RET(EINVAL, pthread_rwlock_timedwrlock(&rw, &bad));
	bad.tv_nsec = -1;
	RET(EINVAL, pthread_rwlock_clockrdlock(&rw, CLOCK_MONOTONIC, &bad));
	bad.tv_nsec = 0;
	RET(EINVAL,
	    pthread_rwlock_clockwrlock(&rw, CLOCK_PROCESS_CPUTIME_ID, &bad));
	return arg;
}

/* Another thread holds it for reading. */
static void *read_held(void *arg)
{
	struct timespec t;

	OK(pthread_rwlock_tryrdlock(&rw));
	OK(pthread_rwlock_unlock(&rw));
	OK(pthread_rwlock_rdlock(&rw));
	OK(pthread_rwlock_unlock(&rw));
	RET(EBUSY, pthread_rwlock_trywrlock(&rw));
	t = in_ms(CLOCK_REALTIME, 4);
	RET(ETIMEDOUT, pthread_rwlock_timedwrlock(&rw, &t));
	t = in_ms(CLOCK_MONOTONIC, 4);
	RET(ETIMEDOUT, pthread_rwlock_clockwrlock(&rw, CLOCK_MONOTONIC, &t));
	/* A writer that gave up must not keep readers out. */
	OK(pthread_rwlock_rdlock(&rw));
	OK(pthread_rwlock_unlock(&rw));
	return arg;
}

static void errors(void)
{
	struct timespec later = far_off(CLOCK_REALTIME);
	struct timespec mono = far_off(CLOCK_MONOTONIC);

	OK(pthread_rwlock_wrlock(&rw));
	RET(EDEADLK, pthread_rwlock_wrlock(&rw));
	RET(EDEADLK, pthread_rwlock_rdlock(&rw));
	RET(EDEADLK, pthread_rwlock_timedrdlock(&rw, &later));
	RET(EDEADLK, pthread_rwlock_timedwrlock(&rw, &later));
	RET(EDEADLK, pthread_rwlock_clockrdlock(&rw, CLOCK_MONOTONIC, &mono));
	RET(EBUSY, pthread_rwlock_trywrlock(&rw));
	RET(EBUSY, pthread_rwlock_tryrdlock(&rw));
	join(start(write_held, NULL));
	OK(pthread_rwlock_unlock(&rw));
	OK(pthread_rwlock_rdlock(&rw));
	OK(pthread_rwlock_rdlock(&rw));
	RET(EBUSY, pthread_rwlock_trywrlock(&rw));
	join(start(read_held, NULL));
	OK(pthread_rwlock_unlock(&rw));
	OK(pthread_rwlock_unlock(&rw));
	OK(pthread_rwlock_trywrlock(&rw));
	OK(pthread_rwlock_unlock(&rw));
}

/* All readers get in together: the barrier would never open otherwise. */
static pthread_barrier_t inside;
static void *meets(void *arg)
{
	OK(pthread_rwlock_rdlock(&rw));
	pthread_barrier_wait(&inside);
	OK(pthread_rwlock_unlock(&rw));
	return arg;
}

static sem_t step;
static int wrote;
static void *writer(void *arg)
{
	CHECK(sem_post(&step) == 0);
	OK(pthread_rwlock_wrlock(&rw));
	STORE(wrote, 1);
	OK(pthread_rwlock_unlock(&rw));
	return arg;
}

static void *reader_after(void *arg)
{
	OK(pthread_rwlock_rdlock(&rw));
	/* Writers come first: the waiting one has been. */
	CHECK_EQ(LOAD(wrote), 1);
	OK(pthread_rwlock_unlock(&rw));
	return arg;
}

/* Held for reading with a writer waiting: does a new reader get in? */
static void preference(int kind)
{
	struct timespec soon;
	pthread_t w, r;
	int ret;

	wrote = 0;
	OK(pthread_rwlock_rdlock(&rw));
	w = start(writer, NULL);
	CHECK(sem_wait(&step) == 0);
	if (kind == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) {
		/* Until the writer waits we get in; from then on not. */
		do {
			soon = in_ms(CLOCK_REALTIME, 1);
			ret = pthread_rwlock_timedrdlock(&rw, &soon);
			if (ret == 0)
				OK(pthread_rwlock_unlock(&rw));
			sched_yield();
		} while (ret == 0);
		CHECK_EQ(ret, ETIMEDOUT);
		RET(EBUSY, pthread_rwlock_tryrdlock(&rw));
		r = start(reader_after, NULL);
		usleep(1000);
		OK(pthread_rwlock_unlock(&rw));
		join(r);
	} else {
		/* A second lock by the same reader may never block. */
		usleep(1000);
		OK(pthread_rwlock_rdlock(&rw));
		OK(pthread_rwlock_tryrdlock(&rw));
		OK(pthread_rwlock_unlock(&rw));
		OK(pthread_rwlock_unlock(&rw));
		OK(pthread_rwlock_unlock(&rw));
	}
	join(w);
	CHECK_EQ(wrote, 1);
}

struct object {
	pthread_rwlock_t rw;
	int users;
};

static void *releases(void *arg)
{
	struct object *o = arg;
	int left;

	OK(pthread_rwlock_rdlock(&o->rw));
	OK(pthread_rwlock_unlock(&o->rw));
	OK(pthread_rwlock_wrlock(&o->rw));
	left = --o->users;
	OK(pthread_rwlock_unlock(&o->rw));
	if (left == 0) {
		OK(pthread_rwlock_destroy(&o->rw));
		memset(o, 0xa5, sizeof(*o));
		free(o);
	}
	return NULL;
}

int main(void)
{
	enum { N = 20 };
	static const int kinds[] = {
		PTHREAD_RWLOCK_PREFER_READER_NP,
		PTHREAD_RWLOCK_PREFER_WRITER_NP,
		PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP,
	};
	pthread_rwlockattr_t attr;
	pthread_t t[N];
	struct object *o;
	int i, k, kind;

	CHECK(sem_init(&step, 0, 0) == 0);
	OK(pthread_rwlockattr_init(&attr));
	RET(EINVAL, pthread_rwlockattr_setkind_np(&attr, 77));
	RET(EINVAL, pthread_rwlockattr_setpshared(&attr, 77));
	for (k = 0; k < 3; k++) {
		OK(pthread_rwlockattr_setkind_np(&attr, kinds[k]));
		OK(pthread_rwlockattr_getkind_np(&attr, &kind));
		CHECK_EQ(kind, kinds[k]);
		OK(pthread_rwlock_init(&rw, &attr));
		printf("kind %d: errors\n", kind);
		fflush(stdout);
		errors();
		section("readers together");
		OK(pthread_barrier_init(&inside, NULL, N));
		for (i = 0; i < N; i++)
			t[i] = start(meets, NULL);
		for (i = 0; i < N; i++)
			join(t[i]);
		OK(pthread_barrier_destroy(&inside));
		section("exclusion");
		exclusion();
		section("preference");
		preference(kind);
		OK(pthread_rwlock_destroy(&rw));
	}
	OK(pthread_rwlockattr_destroy(&attr));

	section("freed by the last user");
	for (k = 0; k < 100; k++) {
		o = malloc(sizeof(*o));
		OK(pthread_rwlock_init(&o->rw, NULL));
		o->users = 8;
		for (i = 0; i < 8; i++)
			t[i] = start(releases, o);
		for (i = 0; i < 8; i++)
			join(t[i]);
	}
	return 0;
}
