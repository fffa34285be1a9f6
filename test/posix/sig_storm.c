/*
 * sig_storm [signals] - threads lock, wait, allocate, yield and sleep, all of
 * it checked, while others send them and the process so many signals.  Every
 * handler posts a semaphore, writes to a pipe and counts: in the end the three
 * agree, and no real-time signal has been lost, nor its value.
 */
#include "sigcheck.h"
#include <semaphore.h>

enum { WORKERS = 8, SENDERS = 2, ALL = WORKERS + SENDERS + 1 };
enum { USR1, USR2, HUP, RT, RT_PROCESS, KINDS };

static long total = 100000;

/* A handler is not interrupted by its own signal, so one counter for each. */
struct counts {
	volatile long runs[KINDS];
	volatile long sum; /* of the values */
};
static struct counts counts[ALL];
static __thread struct counts *mine;
static sem_t posts;
static int bytes[2];
static long arrived, queued, sum_queued;

static int kind_of(int sig)
{
	return sig == SIGUSR1	? USR1
	       : sig == SIGUSR2 ? USR2
	       : sig == SIGHUP	? HUP
				: RT + sig - SIGRTMIN;
}

static void handler(int sig, siginfo_t *si, void *context)
{
	int e = errno, kind = kind_of(sig);

	(void)context;
	CHECK(mine != NULL);
	CHECK_EQ(si->si_pid, getpid());
	mine->runs[kind]++;
	CHECK(sem_post(&posts) == 0);
	while (write(bytes[1], "x", 1) < 0)
		CHECK_EQ(errno, EINTR);
	if (kind >= RT) {
		CHECK_EQ(si->si_code, SI_QUEUE);
		__atomic_add_fetch(&mine->sum, si->si_value.sival_int,
				   __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
	}
	errno = e;
}

static unsigned dice(unsigned *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* ---- Work ---------------------------------------------------------------- */

static int stop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long first, last; /* equal whenever the lock is free */
static long locked[WORKERS];

static struct pair {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int turn;
	long turns;
} pairs[WORKERS / 2];
static long turned[WORKERS];

static void locks(int me)
{
	OK(pthread_mutex_lock(&lock));
	CHECK_EQ(first, last);
	first++;
	if (first % 16 == 0)
		sched_yield();
	last++;
	CHECK_EQ(first, last);
	OK(pthread_mutex_unlock(&lock));
	locked[me]++;
}

static void takes_turn(int me)
{
	struct pair *pair = &pairs[me / 2];

	OK(pthread_mutex_lock(&pair->lock));
	while (pair->turn != me % 2 && !LOAD(stop))
		OK(pthread_cond_wait(&pair->cond, &pair->lock));
	pair->turn = !(me % 2);
	pair->turns++;
	OK(pthread_cond_signal(&pair->cond));
	OK(pthread_mutex_unlock(&pair->lock));
	turned[me]++;
}

static void allocates(unsigned *seed)
{
	size_t n = 1 + dice(seed) % 3000, i;
	unsigned char c = (unsigned char)dice(seed), *p = malloc(n);

	CHECK(p != NULL);
	memset(p, c, n);
	sched_yield();
	for (i = 0; i < n; i++)
		CHECK_EQ(p[i], c);
	free(p);
}

static void keeps_errno(unsigned *seed)
{
	int e = 1 + (int)(dice(seed) % 1000), i;
	volatile double sum = 0;

	errno = e;
	for (i = 0; i < 200; i++)
		sum += 0.25;
	sched_yield();
	CHECK(sum == 50);
	CHECK_EQ(errno, e);
}

static void posts_itself(sem_t *sem)
{
	CHECK(sem_post(sem) == 0);
	while (sem_wait(sem) < 0)
		CHECK_EQ(errno, EINTR);
}

static void open_all(void)
{
	set_mask(SET());
}

static void *works(void *arg)
{
	int me = (int)(long)arg;
	unsigned seed = 77 + me;
	sem_t sem;

	CHECK(sem_init(&sem, 0, 0) == 0);
	mine = &counts[me];
	open_all();
	do {
		locks(me);
		takes_turn(me);
		allocates(&seed);
		keeps_errno(&seed);
		posts_itself(&sem);
		if (dice(&seed) % 8 == 0)
			usleep(1);
	} while (!LOAD(stop));
	set_mask(full_set());
	mine = NULL;
	CHECK(sem_trywait(&sem) < 0);
	CHECK(sem_destroy(&sem) == 0);
	return NULL;
}

/* ---- The storm ----------------------------------------------------------- */

static pthread_t worker[WORKERS];

static void queue_to(pthread_t t, int value)
{
	union sigval v = { .sival_int = value };
	int ret;

	while ((ret = pthread_sigqueue(t, SIGRTMIN, v))) {
		CHECK_EQ(ret, EAGAIN);
		sched_yield();
	}
}

static void queue_to_process(int value)
{
	union sigval v = { .sival_int = value };

	while (sigqueue(getpid(), SIGRTMIN + 1, v) < 0) {
		CHECK_EQ(errno, EAGAIN);
		sched_yield();
	}
}

static void *sends(void *arg)
{
	int me = (int)(long)arg, value;
	unsigned seed = 1234567 * (me + 1);
	pthread_t t;
	long i;

	mine = &counts[WORKERS + me];
	open_all();
	for (i = 0; i < total / SENDERS; i++) {
		t = worker[dice(&seed) % WORKERS];
		switch (dice(&seed) % 10) {
		case 0:
		case 1:
			value = (int)(dice(&seed) % 1000);
			if (dice(&seed) % 2)
				queue_to(t, value);
			else
				queue_to_process(value);
			__atomic_add_fetch(&sum_queued, value,
					   __ATOMIC_SEQ_CST);
			__atomic_add_fetch(&queued, 1, __ATOMIC_SEQ_CST);
			break;
		case 2:
		case 3:
			CHECK(kill(getpid(), SIGHUP) == 0);
			break;
		default:
			OK(pthread_kill(t, i % 2 ? SIGUSR1 : SIGUSR2));
			break;
		}
		if (i % 8 == 0)
			sched_yield();
	}
	set_mask(full_set());
	mine = NULL;
	return NULL;
}

static void *drains(void *arg)
{
	char text[4096];
	long n = 0;
	ssize_t got;

	while ((got = read(bytes[0], text, sizeof(text))) > 0)
		n += got;
	CHECK_EQ(got, 0);
	*(long *)arg = n;
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t sender[SENDERS], reader;
	long sum = 0, runs = 0, drained = 0, n;
	int i, k, value;

	if (argc > 1)
		total = atol(argv[1]);
	/* Main and the reader take no part. */
	set_mask(full_set());
	CHECK(sem_init(&posts, 0, 0) == 0 && pipe(bytes) == 0);
	install(SIGUSR1, handler, SA_RESTART);
	install(SIGUSR2, handler, 0);
	install(SIGHUP, handler, 0);
	install(SIGRTMIN, handler, SA_RESTART);
	install(SIGRTMIN + 1, handler, 0);
	for (i = 0; i < WORKERS / 2; i++) {
		OK(pthread_mutex_init(&pairs[i].lock, NULL));
		OK(pthread_cond_init(&pairs[i].cond, NULL));
	}
	section("storm");
	reader = start(drains, &drained);
	for (i = 0; i < WORKERS; i++)
		worker[i] = start(works, (void *)(long)i);
	for (i = 0; i < SENDERS; i++)
		sender[i] = start(sends, (void *)(long)i);
	for (i = 0; i < SENDERS; i++)
		join(sender[i]);
	section("all that was queued arrives");
	YIELD_UNTIL(__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) == queued);
	STORE(stop, 1);
	for (i = 0; i < WORKERS / 2; i++) {
		OK(pthread_mutex_lock(&pairs[i].lock));
		OK(pthread_cond_broadcast(&pairs[i].cond));
		OK(pthread_mutex_unlock(&pairs[i].lock));
	}
	for (i = 0; i < WORKERS; i++)
		join(worker[i]);
	/* What still waits for somebody. */
	mine = &counts[ALL - 1];
	open_all();
	set_mask(full_set());
	CHECK(!pending(SIGHUP) && !pending(SIGRTMIN + 1));
	CHECK(close(bytes[1]) == 0);
	join(reader);

	section("the counts agree");
	for (i = 0; i < ALL; i++) {
		for (k = 0; k < KINDS; k++)
			runs += counts[i].runs[k];
		sum += counts[i].sum;
	}
	CHECK(runs >= queued);
	CHECK(sem_getvalue(&posts, &value) == 0);
	CHECK_EQ(value, runs);
	CHECK_EQ(drained, runs);
	CHECK_EQ(arrived, queued);
	CHECK_EQ(sum, sum_queued);
	CHECK_EQ(first, last);
	for (i = 0, n = 0; i < WORKERS; i++) {
		CHECK(locked[i] > 0 && turned[i] > 0);
		n += locked[i];
	}
	CHECK_EQ(first, n);
	for (i = 0; i < WORKERS / 2; i++)
		CHECK_EQ(pairs[i].turns, turned[2 * i] + turned[2 * i + 1]);
	return 0;
}
