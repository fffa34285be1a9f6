/*
 * cond_pshared - conditions in memory that processes share: a bounded queue
 * between threads of several processes, timeouts and broadcasts.
 */
#include "check.h"
#include <sys/mman.h>

enum { PROCS = 3, THREADS = 3, EACH = 200 };

static struct shared {
	pthread_mutex_t lock;
	pthread_cond_t not_empty, not_full, go_on;
	int queued, go, waiting;
	long in, out;
} * s;

static void *produces(void *arg)
{
	int i;

	for (i = 0; i < EACH; i++) {
		OK(pthread_mutex_lock(&s->lock));
		while (s->queued == 4)
			OK(pthread_cond_wait(&s->not_full, &s->lock));
		s->queued++;
		s->in++;
		OK(pthread_cond_signal(&s->not_empty));
		OK(pthread_mutex_unlock(&s->lock));
	}
	return arg;
}

static void *consumes(void *arg)
{
	struct timespec t;
	int i;

	for (i = 0; i < EACH; i++) {
		OK(pthread_mutex_lock(&s->lock));
		while (s->queued == 0) {
			t = far_off(CLOCK_MONOTONIC);
			OK(pthread_cond_timedwait(&s->not_empty, &s->lock, &t));
		}
		s->queued--;
		s->out++;
		OK(pthread_cond_signal(&s->not_full));
		OK(pthread_mutex_unlock(&s->lock));
	}
	return arg;
}

static void *waits(void *arg)
{
	OK(pthread_mutex_lock(&s->lock));
	s->waiting++;
	while (!s->go)
		OK(pthread_cond_wait(&s->go_on, &s->lock));
	OK(pthread_mutex_unlock(&s->lock));
	return arg;
}

static void run(thread_fn *a, thread_fn *b)
{
	pthread_t t[2 * THREADS];
	int i;

	for (i = 0; i < 2 * THREADS; i++)
		t[i] = start(i & 1 ? a : b, NULL);
	for (i = 0; i < 2 * THREADS; i++)
		join(t[i]);
}

int main(void)
{
	pthread_mutexattr_t mattr;
	pthread_condattr_t cattr;
	struct timespec soon;
	pid_t pid[PROCS];
	int i, n;

	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		 -1, 0);
	CHECK(s != MAP_FAILED);
	OK(pthread_mutexattr_init(&mattr));
	OK(pthread_mutexattr_setpshared(&mattr, PTHREAD_PROCESS_SHARED));
	OK(pthread_mutex_init(&s->lock, &mattr));
	OK(pthread_condattr_init(&cattr));
	OK(pthread_condattr_setpshared(&cattr, PTHREAD_PROCESS_SHARED));
	OK(pthread_condattr_getpshared(&cattr, &n));
	CHECK_EQ(n, PTHREAD_PROCESS_SHARED);
	OK(pthread_cond_init(&s->go_on, &cattr));
	OK(pthread_cond_init(&s->not_full, &cattr));
	OK(pthread_condattr_setclock(&cattr, CLOCK_MONOTONIC));
	OK(pthread_cond_init(&s->not_empty, &cattr));

	section("timeouts");
	OK(pthread_mutex_lock(&s->lock));
	soon = in_ms(CLOCK_REALTIME, 3);
	RET(ETIMEDOUT, pthread_cond_timedwait(&s->go_on, &s->lock, &soon));
	soon = in_ms(CLOCK_MONOTONIC, 3);
	RET(ETIMEDOUT, pthread_cond_timedwait(&s->not_empty, &s->lock, &soon));
	OK(pthread_mutex_unlock(&s->lock));

	section("queue between processes");
	for (i = 0; i < PROCS; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (pid[i] == 0) {
			run(produces, consumes);
			_exit(0);
		}
	}
	run(produces, consumes);
	for (i = 0; i < PROCS; i++)
		reap(pid[i], 0);
	CHECK_EQ(s->in, (PROCS + 1) * THREADS * EACH);
	CHECK_EQ(s->out, s->in);

	section("broadcast to processes");
	for (i = 0; i < PROCS; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (pid[i] == 0) {
			run(waits, waits);
			_exit(0);
		}
	}
	do {
		sched_yield();
		OK(pthread_mutex_lock(&s->lock));
		n = s->waiting;
		OK(pthread_mutex_unlock(&s->lock));
	} while (n < PROCS * 2 * THREADS);
	OK(pthread_mutex_lock(&s->lock));
	s->go = 1;
	OK(pthread_cond_broadcast(&s->go_on));
	OK(pthread_mutex_unlock(&s->lock));
	for (i = 0; i < PROCS; i++)
		reap(pid[i], 0);
	OK(pthread_cond_destroy(&s->go_on));
	OK(pthread_cond_destroy(&s->not_empty));
	OK(pthread_cond_destroy(&s->not_full));
	return 0;
}
