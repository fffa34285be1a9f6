/*
 * first_awake - one thread wakes up while all others wait, and then computes or
 * blocks where no library sees it: the others' deadlines, posts from threads that
 * libc makes, and those whom the first has woken are served all the same.
 */
#include "iocheck.h"
#include <semaphore.h>
#include <sys/syscall.h>

/* Long enough for all to lie still; and then while the first one computes. */
#define FIRST_MS 30
#define LATER_MS 40

static int done;
static sem_t sem;

static void nap(long ms)
{
	struct timespec t = { 0, ms * 1000000 };

	CHECK(nanosleep(&t, NULL) == 0);
}

/* No call in the loop: it must be taken off its processor. */
static void compute(void)
{
	while (!LOAD(done))
		;
}

static void *sleep_compute(UNUSED void *arg)
{
	nap(FIRST_MS);
	compute();
	return NULL;
}

static void *post_block(void *arg)
{
	int *end = arg;
	char c;

	nap(FIRST_MS);
	CHECK(sem_post(&sem) == 0);
	CHECK_EQ(raw(SYS_read, end[0], (long)&c, 1, 0), 1);
	return NULL;
}

static void *wait_write(void *arg)
{
	int *end = arg;

	CHECK(sem_wait(&sem) == 0);
	CHECK(write(end[1], "x", 1) == 1);
	return NULL;
}

static void *wait_done(UNUSED void *arg)
{
	CHECK(sem_wait(&sem) == 0);
	STORE(done, 1);
	return NULL;
}

static void post(UNUSED union sigval v)
{
	CHECK(sem_post(&sem) == 0);
}

static void deadline(void)
{
	pthread_t t;

	STORE(done, 0);
	t = start(sleep_compute, NULL);
	nap(LATER_MS);
	STORE(done, 1);
	join(t);
}

static void condition(void)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	struct timespec end = in_ms(CLOCK_REALTIME, LATER_MS);
	pthread_t t;

	STORE(done, 0);
	t = start(sleep_compute, NULL);
	pthread_mutex_lock(&m);
	while (pthread_cond_timedwait(&c, &m, &end) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&m);
	STORE(done, 1);
	join(t);
}

static void libc_thread(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD,
			       .sigev_notify_function = post };
	struct itimerspec in = { .it_value = { 0, LATER_MS * 1000000 } };
	pthread_t waiter, computes;
	timer_t timer;

	STORE(done, 0);
	CHECK(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0);
	waiter = start(wait_done, NULL);
	computes = start(sleep_compute, NULL);
	CHECK(timer_settime(timer, 0, &in, NULL) == 0);
	join(computes);
	join(waiter);
	CHECK(timer_delete(timer) == 0);
}

static void woken(void)
{
	pthread_t waiter, blocks;
	int end[2];

	CHECK(pipe(end) == 0);
	waiter = start(wait_write, end);
	blocks = start(post_block, end);
	join(blocks);
	join(waiter);
	close(end[0]);
	close(end[1]);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = {
		{ "a sleeper's deadline", deadline },
		{ "a condition's deadline", condition },
		{ "a post by a thread of libc's", libc_thread },
		{ "woken by the one that blocks", woken },
	};
	int rounds = argc > 1 ? atoi(argv[1]) : 10;
	size_t i;

	CHECK(sem_init(&sem, 0, 0) == 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		section(cases[i].name);
		for (int n = 0; n < rounds; n++)
			cases[i].run();
	}
	return 0;
}
