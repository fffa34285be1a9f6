/*
 * sem_pshared - unnamed semaphores in memory that processes share: a token
 * passed round threads of several processes.
 */
#include "check.h"
#include <semaphore.h>
#include <sys/mman.h>

enum { PROCS = 4, THREADS = 3, ALL = PROCS * THREADS, LAPS = 40 };

static struct shared {
	sem_t ring[ALL], done;
	long hops;
} * s;
static int process;

static void *passes(void *arg)
{
	long me = process * THREADS + (long)arg;
	int i;

	for (i = 0; i < LAPS; i++) {
		while (sem_wait(&s->ring[me]) < 0)
			CHECK_EQ(errno, EINTR);
		s->hops++;
		/* The next one is in another process. */
		CHECK(sem_post(&s->ring[(me + THREADS) % ALL]) == 0);
	}
	CHECK(sem_post(&s->done) == 0);
	return NULL;
}

static void work(void)
{
	pthread_t t[THREADS];
	long i;

	for (i = 0; i < THREADS; i++)
		t[i] = start(passes, (void *)i);
	for (i = 0; i < THREADS; i++)
		join(t[i]);
}

int main(void)
{
	struct timespec soon;
	pid_t pid[PROCS];
	int i, v;

	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(s != MAP_FAILED);
	/* One token for each circle: a circle has one thread a process. */
	for (i = 0; i < ALL; i++)
		CHECK(sem_init(&s->ring[i], 1, i < 1) == 0);
	CHECK(sem_init(&s->done, 1, 0) == 0);
	section("timeouts");
	ERR(EAGAIN, sem_trywait(&s->done));
	soon = in_ms(CLOCK_REALTIME, 3);
	ERR(ETIMEDOUT, sem_timedwait(&s->done, &soon));
	soon = in_ms(CLOCK_MONOTONIC, 3);
	ERR(ETIMEDOUT, sem_clockwait(&s->done, CLOCK_MONOTONIC, &soon));

	section("rings");
	for (i = 0; i < PROCS; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (pid[i] == 0) {
			process = i;
			work();
			_exit(0);
		}
	}
	for (i = 1; i < THREADS; i++) {
		/* The circle before is done when all its threads are. */
		for (v = 0; v < PROCS; v++)
			CHECK(sem_wait(&s->done) == 0);
		CHECK(sem_post(&s->ring[i]) == 0);
	}
	for (v = 0; v < PROCS; v++)
		CHECK(sem_wait(&s->done) == 0);
	for (i = 0; i < PROCS; i++)
		reap(pid[i], 0);
	CHECK_EQ(s->hops, ALL * LAPS);
	CHECK(sem_getvalue(&s->done, &v) == 0 && v == 0);
	CHECK(sem_destroy(&s->done) == 0);
	return 0;
}
