/*
 * shared_recursive - two processes on one recursive, and one error-checking,
 * mutex in memory they share: who owns it must be known across processes, so a
 * number that each process gives to its threads itself takes a thread of the
 * other process for its own and lets it in.  The second process is a fork
 * without threads so far, a fork made by a holder, and a program of its own
 * that has nothing but the descriptor of the memory.
 *
 * shared_recursive [rounds]
 */
#include "check.h"
#include <sys/mman.h>

enum { THREADS = 4, TYPES = 2 };
static const int types[TYPES] = { PTHREAD_MUTEX_RECURSIVE,
				  PTHREAD_MUTEX_ERRORCHECK };

static struct shared {
	pthread_mutex_t lock[TYPES];
	long counter[TYPES];
	int inside[TYPES];
	long rounds;
	/* Of the handshakes: who holds, and the answer. */
	int holder, answered;
	int arrivals;
} * s;
static int k; /* the type of the moment */

static void lock_twice(void)
{
	OK(pthread_mutex_lock(&s->lock[k]));
	if (types[k] == PTHREAD_MUTEX_RECURSIVE)
		OK(pthread_mutex_lock(&s->lock[k]));
	else
		RET(EDEADLK, pthread_mutex_lock(&s->lock[k]));
}

static void unlock_twice(void)
{
	OK(pthread_mutex_unlock(&s->lock[k]));
	if (types[k] == PTHREAD_MUTEX_RECURSIVE)
		OK(pthread_mutex_unlock(&s->lock[k]));
	else
		RET(EPERM, pthread_mutex_unlock(&s->lock[k]));
}

/* ---- They exclude each other --------------------------------------------- */

static void *adds(void *arg)
{
	volatile long *counter = &s->counter[k];
	long i, value;

	for (i = 0; i < s->rounds; i++) {
		lock_twice();
		CHECK_EQ(ADD(s->inside[k], 1), 1);
		value = *counter;
		if (i % 64 == 0)
			sched_yield();
		if (i % 256 == 1)
			usleep(20);
		*counter = value + 1;
		CHECK_EQ(ADD(s->inside[k], -1), 0);
		OK(pthread_mutex_unlock(&s->lock[k]));
		if (types[k] == PTHREAD_MUTEX_RECURSIVE)
			OK(pthread_mutex_unlock(&s->lock[k]));
	}
	return arg;
}

static void add(void)
{
	pthread_t t[THREADS];
	long i;

	for (i = 0; i < THREADS; i++)
		t[i] = start(adds, NULL);
	for (i = 0; i < THREADS; i++)
		join(t[i]);
}

/* ---- They know each other's locks ---------------------------------------- */

static int finished;

/* Main, which is -1, and each thread in turn; they stay until the last. */
static void *holds(void *arg)
{
	int me = (int)(long)arg;

	lock_twice();
	STORE(s->answered, 0);
	STORE(s->holder, me + 2);
	YIELD_UNTIL(LOAD(s->answered));
	STORE(s->holder, 0);
	unlock_twice();
	if (me >= 0) {
		ADD(finished, 1);
		YIELD_UNTIL(LOAD(finished) == THREADS);
	}
	return NULL;
}

static void *tries(void *arg)
{
	struct timespec soon = in_ms(CLOCK_REALTIME, 1);

	RET(EBUSY, pthread_mutex_trylock(&s->lock[k]));
	RET(EPERM, pthread_mutex_unlock(&s->lock[k]));
	RET(ETIMEDOUT, pthread_mutex_timedlock(&s->lock[k], &soon));
	RET(EBUSY, pthread_mutex_trylock(&s->lock[k]));
	return arg;
}

/* Main and each thread holds; main and each thread of the other tries. */
static void holder(void)
{
	pthread_t t[THREADS];
	long i;

	holds((void *)-1l);
	STORE(finished, 0);
	for (i = 0; i < THREADS; i++) {
		t[i] = start(holds, (void *)i);
		YIELD_UNTIL(LOAD(finished) == i + 1);
	}
	for (i = 0; i < THREADS; i++)
		join(t[i]);
}

static void tryer(void)
{
	pthread_t t[THREADS];
	long i, who;

	for (who = -1; who < THREADS; who++) {
		YIELD_UNTIL(LOAD(s->holder) == who + 2);
		tries(NULL);
		for (i = 0; i < THREADS; i++)
			t[i] = start(tries, NULL);
		for (i = 0; i < THREADS; i++)
			join(t[i]);
		STORE(s->answered, 1);
		YIELD_UNTIL(LOAD(s->holder) != who + 2);
	}
}

/* Both are through with what was before. */
static void meet(void)
{
	int until;

	until = (ADD(s->arrivals, 1) + 1) & ~1;
	YIELD_UNTIL(LOAD(s->arrivals) >= until);
}

/* ---- The second process -------------------------------------------------- */

static void second(void)
{
	for (k = 0; k < TYPES; k++) {
		add();
		meet();
		tryer();
		meet();
		holder();
	}
}

static void first(pid_t pid)
{
	for (k = 0; k < TYPES; k++) {
		add();
		meet();
		holder();
		meet();
		tryer();
	}
	reap(pid, 0);
	for (k = 0; k < TYPES; k++) {
		CHECK_EQ(s->counter[k], 2 * THREADS * s->rounds);
		OK(pthread_mutex_destroy(&s->lock[k]));
	}
}

static void map(int fd)
{
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(s != MAP_FAILED);
}

static void init(long rounds)
{
	pthread_mutexattr_t attr;

	memset(s, 0, sizeof(*s));
	s->rounds = rounds;
	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED));
	for (k = 0; k < TYPES; k++) {
		OK(pthread_mutexattr_settype(&attr, types[k]));
		OK(pthread_mutex_init(&s->lock[k], &attr));
	}
	OK(pthread_mutexattr_destroy(&attr));
}

/* A child is not the thread that it was forked by, as far as that holds one. */
static void *forks_holding(void *arg)
{
	pid_t pid;

	for (k = 0; k < TYPES; k++) {
		lock_twice();
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			tries(NULL);
			join(start(tries, NULL));
			_exit(0);
		}
		reap(pid, 0);
		unlock_twice();
	}
	return arg;
}

int main(int argc, char **argv)
{
	char number[32];
	long rounds = argc > 1 ? atol(argv[1]) : 1000;
	int fd;
	pid_t pid;

	/* Called by itself, below. */
	if (argc > 2) {
		map(atoi(argv[2]));
		second();
		return 0;
	}
	fd = memfd_create("shared", 0);
	CHECK(fd >= 0 && ftruncate(fd, sizeof(*s)) == 0);
	map(fd);

	section("forked before any thread");
	init(rounds);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		second();
		_exit(0);
	}
	first(pid);

	section("forked by a holder");
	init(rounds);
	forks_holding(NULL);
	join(start(forks_holding, NULL));

	section("a program of its own");
	init(rounds);
	snprintf(number, sizeof(number), "%d", fd);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		execl("/proc/self/exe", argv[0], "0", number, (char *)0);
		_exit(126);
	}
	first(pid);
	return 0;
}
