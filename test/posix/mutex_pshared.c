/*
 * mutex_pshared - mutexes of all types in memory that processes share; each
 * process has several threads.
 */
#include "check.h"
#include <sys/mman.h>

enum { PROCS = 3, THREADS = 4, EACH = 200 };

static struct shared {
	pthread_mutex_t lock;
	long counter;
	int inside;
} * s;
static int type;

static void *counts(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < EACH; i++) {
		OK(pthread_mutex_lock(&s->lock));
		CHECK_EQ(ADD(s->inside, 1), 1);
		s->counter++;
		if (type == PTHREAD_MUTEX_RECURSIVE)
			OK(pthread_mutex_lock(&s->lock));
		if (type == PTHREAD_MUTEX_ERRORCHECK)
			RET(EDEADLK, pthread_mutex_lock(&s->lock));
		if (i % 32 == 0)
			sched_yield();
		if (type == PTHREAD_MUTEX_RECURSIVE)
			OK(pthread_mutex_unlock(&s->lock));
		CHECK_EQ(ADD(s->inside, -1), 0);
		OK(pthread_mutex_unlock(&s->lock));
	}
	return NULL;
}

int main(void)
{
	static const int types[] = { PTHREAD_MUTEX_NORMAL,
				     PTHREAD_MUTEX_RECURSIVE,
				     PTHREAD_MUTEX_ERRORCHECK,
				     PTHREAD_MUTEX_ADAPTIVE_NP };
	pthread_mutexattr_t attr;
	pid_t pid[PROCS];
	int i, k, pshared;

	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		 -1, 0);
	CHECK(s != MAP_FAILED);
	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED));
	OK(pthread_mutexattr_getpshared(&attr, &pshared));
	CHECK_EQ(pshared, PTHREAD_PROCESS_SHARED);
	for (k = 0; k < 4; k++) {
		type = types[k];
		printf("type %d\n", type);
		fflush(stdout);
		OK(pthread_mutexattr_settype(&attr, type));
		OK(pthread_mutex_init(&s->lock, &attr));
		s->counter = 0;
		/* From a process with threads, and without. */
		for (i = 0; i < PROCS; i++) {
			pid[i] = fork();
			CHECK(pid[i] >= 0);
			if (pid[i] == 0) {
				run_threads(THREADS, counts);
				_exit(0);
			}
		}
		run_threads(THREADS, counts);
		for (i = 0; i < PROCS; i++)
			reap(pid[i], 0);
		CHECK_EQ(s->counter, (PROCS + 1) * THREADS * EACH);

		section("held here, tried there");
		OK(pthread_mutex_lock(&s->lock));
		pid[0] = fork();
		CHECK(pid[0] >= 0);
		if (pid[0] == 0) {
			struct timespec soon = in_ms(CLOCK_REALTIME, 3);

			RET(EBUSY, pthread_mutex_trylock(&s->lock));
			RET(ETIMEDOUT,
			    pthread_mutex_timedlock(&s->lock, &soon));
			_exit(0);
		}
		reap(pid[0], 0);
		OK(pthread_mutex_unlock(&s->lock));
		OK(pthread_mutex_destroy(&s->lock));
	}
	OK(pthread_mutexattr_destroy(&attr));
	return 0;
}
