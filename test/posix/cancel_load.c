/*
 * cancel_load - threads are cancelled by the thousand, by several at a time, wherever
 * they happen to be: on their way into a call, in it, or computing asynchronously. Each
 * ends, once, with its cleanup handlers run; nothing they waited for is broken by it, no
 * file number is lost and no memory.
 *
 * cancel_load [cancellations [seed]]
 */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/stat.h>

enum { CANCELLERS = 2, BATCH = 8 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t shared_lock;
static pthread_cond_t shared_cond;
static sem_t sem, shared_sem;
static int end[2];
static char path[64];
static pthread_t forever;
static volatile unsigned long work;

/* ---- What they do: for ever --------------------------------------------------------- */

static void unlocks(void *arg)
{
	OK(pthread_mutex_unlock(arg));
}

static void waits_cond(pthread_mutex_t *m, pthread_cond_t *c)
{
	OK(pthread_mutex_lock(m));
	pthread_cleanup_push(unlocks, m);
	for (;;)
		OK(pthread_cond_wait(c, m));
	pthread_cleanup_pop(1);
}

static void in_cond(void)
{
	waits_cond(&lock, &cond);
}

static void in_shared_cond(void)
{
	waits_cond(&shared_lock, &shared_cond);
}

static void in_sem(void)
{
	for (;;)
		if (sem_wait(&sem) == 0)
			CHECK(sem_post(&sem) == 0);
}

static void in_shared_sem(void)
{
	CHECK(sem_wait(&shared_sem) == 0);
}

static void in_read(void)
{
	char c;

	CHECK_EQ(read(end[0], &c, 1), 1);
}

static void in_poll(void)
{
	struct pollfd p = { end[0], POLLIN, 0 };

	CHECK_EQ(poll(&p, 1, -1), 1);
}

static void in_sleep(void)
{
	for (;;)
		usleep(50);
}

static void in_join(void)
{
	for (;;) {
		/* one of several may */
		CHECK_EQ(pthread_join(forever, NULL), EINVAL);
		pthread_testcancel();
	}
}

static void in_open(void)
{
	CHECK_EQ(open(path, O_RDONLY), -1); /* nobody will write */
}

static void asks(void)
{
	for (;;) {
		pthread_testcancel();
		OK(pthread_mutex_lock(&lock));
		work++;
		OK(pthread_mutex_unlock(&lock));
	}
}

static void computes(void)
{
	OK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
	for (;;)
		work++;
}

static void (*const whats[])(void) = {
	in_cond, in_shared_cond, in_sem,  in_shared_sem, in_read,  in_poll,
	in_sleep, in_join,	 in_open, asks,		 computes,
};
enum { WHATS = sizeof(whats) / sizeof(whats[0]) };

/* ---- They and their ends -------------------------------------------------------------- */

struct victim {
	pthread_t t;
	unsigned what;
	int started, cleaned;
	char *memory;
};

static void cleanup(void *arg)
{
	struct victim *v = arg;

	free(v->memory);
	v->cleaned++;
}

static void *lives(void *arg)
{
	struct victim *v = arg;

	v->memory = malloc(1000 + v->what);
	pthread_cleanup_push(cleanup, v);
	STORE(v->started, 1);
	whats[v->what]();
	check_fail(__FILE__, __LINE__, "what %u came back", v->what);
	pthread_cleanup_pop(0);
	return arg;
}

static unsigned pick(unsigned *seed, unsigned n)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 16) % n;
}

static long count = 2000;
static unsigned seeds = 1;

static void *cancels(void *arg)
{
	unsigned seed = seeds * 77 + (unsigned)(long)arg;
	struct victim v[BATCH];
	long n;
	int i;

	for (n = 0; n < count / CANCELLERS; n += BATCH) {
		for (i = 0; i < BATCH; i++) {
			v[i] = (struct victim){ .what = pick(&seed, WHATS) };
			v[i].t = start_small(lives, &v[i]);
		}
		for (i = 0; i < BATCH; i++) {
			/* before that it has no handler */
			YIELD_UNTIL(LOAD(v[i].started));
			switch (pick(&seed, 4)) {
			case 0:
				usleep(pick(&seed, 200));
				break;
			case 1:
				sched_yield();
			}
			OK(pthread_cancel(v[i].t));
		}
		for (i = 0; i < BATCH; i++) {
			if (join(v[i].t) != PTHREAD_CANCELED ||
			    v[i].cleaned != 1)
				check_fail(__FILE__, __LINE__,
					   "what %u: %d cleanups", v[i].what,
					   v[i].cleaned);
		}
	}
	return NULL;
}

static void round_(void)
{
	pthread_t t[CANCELLERS];
	long i;

	for (i = 0; i < CANCELLERS; i++)
		t[i] = start(cancels, (void *)i);
	for (i = 0; i < CANCELLERS; i++)
		join(t[i]);
}

static void *waits_for_end(void *arg)
{
	while (sem_wait(arg))
		;
	return arg;
}

static int next_fd(void)
{
	int fd = dup(0);

	CHECK(fd >= 0 && close(fd) == 0);
	return fd;
}

/* Kilobytes of memory in use. */
static long resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size, pages;

	CHECK(f && fscanf(f, "%ld %ld", &size, &pages) == 2);
	CHECK(fclose(f) == 0);
	return pages * 4;
}

int main(int argc, char **argv)
{
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;
	sem_t last;
	long before;
	int fd, value;

	if (argc > 1)
		count = atol(argv[1]);
	if (argc > 2)
		seeds = (unsigned)atol(argv[2]);
	count /= 2;
	OK(pthread_mutexattr_init(&ma));
	OK(pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED));
	OK(pthread_mutex_init(&shared_lock, &ma));
	OK(pthread_condattr_init(&ca));
	OK(pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED));
	OK(pthread_cond_init(&shared_cond, &ca));
	CHECK(sem_init(&sem, 0, 0) == 0 && sem_init(&shared_sem, 1, 0) == 0);
	CHECK(sem_init(&last, 0, 0) == 0 && pipe(end) == 0);
	snprintf(path, sizeof(path), "/tmp/cancel_load.%d", (int)getpid());
	CHECK(mkfifo(path, 0600) == 0);
	forever = start(waits_for_end, &last);
	fd = next_fd();
	round_();
	before = resident();
	round_();
	CHECK(unlink(path) == 0);
	if (resident() > before + (32 << 10))
		check_fail(__FILE__, __LINE__, "memory: %ld K, before %ld K",
			   resident(), before);
	CHECK_EQ(next_fd(), fd);
	CHECK(sem_getvalue(&sem, &value) == 0);
	CHECK_EQ(value, 0);
	CHECK(sem_post(&last) == 0);
	CHECK(join(forever) == &last);
	OK(pthread_mutex_lock(&lock));
	OK(pthread_mutex_lock(&shared_lock));
	OK(pthread_cond_broadcast(&cond));
	OK(pthread_cond_broadcast(&shared_cond));
	return 0;
}
