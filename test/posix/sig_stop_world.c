/*
 * sig_stop_world [threads [rounds]] - how a collector stops the world: a signal
 * to every thread, whose handler tells that it is there and waits in sigsuspend
 * for another.  While all are stopped nothing moves, and whatever a thread held
 * in registers or on its stack is found above the handler's frame.
 */
#include "sigcheck.h"
#include <semaphore.h>

#define SIG_SUSPEND SIGPWR
#define SIG_RESUME  SIGXCPU

enum { COMPUTE, YIELD, MALLOC, MUTEX, COND, SLEEP, SEM, PIPE, HANDOFF, KINDS };

struct mutator {
	pthread_t t;
	long steps;
	uintptr_t marker; /* disguised: what it holds is the complement */
	char *low, *high; /* its stack; all of it that counts while stopped */
	int stopped;	  /* for which round */
};
static struct mutator *mutators;
static __thread struct mutator *me;

/* ---- Stopping ------------------------------------------------------------ */

static int round_now, resumed;
static sem_t acks;

static void suspend(int sig, siginfo_t *si, void *context)
{
	sigset_t wait = full_set();
	int e = errno;

	(void)sig, (void)si;
	CHECK(pthread_equal(pthread_self(), me->t));
	CHECK(blocked(SIG_RESUME));
	CHECK(sigdelset(&wait, SIG_RESUME) == 0);
	me->low = stack_here();
	CHECK((char *)context > me->low && (char *)context < me->high);
	STORE(me->stopped, LOAD(round_now));
	CHECK(sem_post(&acks) == 0);
	do
		ERR(EINTR, sigsuspend(&wait));
	while (LOAD(resumed) < LOAD(round_now));
	CHECK(blocked(SIG_RESUME) && blocked(SIG_SUSPEND));
	STORE(me->stopped, 0);
	CHECK(sem_post(&acks) == 0);
	errno = e;
}

static void resume(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
	/* Only where it waits for it. */
	CHECK(me && LOAD(me->stopped) == LOAD(round_now));
}

/* ---- What threads do meanwhile ------------------------------------------- */

static int quit, started;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long shared;
static sem_t sem, baton;
static int pipefd[2];
static unsigned rest; /* of those not busy, longer the more there are */

/* A step; false when it is over.  Few are busy all the time. */
static int step(int kind, int busy)
{
	volatile int n;
	char *p, c;

	switch (kind) {
	case COMPUTE:
		for (n = 0; n < 100; n++)
			;
		if (!busy)
			usleep(rest);
		break;
	case YIELD:
		sched_yield();
		if (!busy)
			usleep(rest);
		break;
	case MALLOC:
		p = malloc(64 + shared % 512);
		CHECK(p != NULL);
		memset(p, 1, 64);
		sched_yield();
		if (!busy)
			usleep(rest);
		CHECK(p[63] == 1);
		free(p);
		break;
	case MUTEX:
		OK(pthread_mutex_lock(&lock));
		shared++;
		if (shared % 8 == 0)
			sched_yield();
		OK(pthread_mutex_unlock(&lock));
		if (!busy)
			usleep(rest);
		break;
	case COND:
		OK(pthread_mutex_lock(&lock));
		if (!LOAD(quit))
			OK(pthread_cond_wait(&cond, &lock));
		OK(pthread_mutex_unlock(&lock));
		break;
	case SLEEP:
		usleep(busy ? 50 : rest);
		break;
	case SEM:
		if (sem_wait(&sem) < 0)
			CHECK_EQ(errno, EINTR);
		break;
	case PIPE:
		if (read(pipefd[0], &c, 1) < 0)
			CHECK_EQ(errno, EINTR);
		break;
	case HANDOFF:
		if (sem_wait(&baton) == 0)
			CHECK(sem_post(&baton) == 0);
		usleep(busy ? 50 : rest);
		break;
	}
	return !LOAD(quit);
}

static void *mutates(void *arg)
{
	struct mutator *own = arg;
	int index = (int)(own - mutators);
	uintptr_t marker = ~own->marker;
	pthread_attr_t attr;
	size_t size;
	void *base;

	own->t = pthread_self();
	CHECK(pthread_getattr_np(pthread_self(), &attr) == 0);
	CHECK(pthread_attr_getstack(&attr, &base, &size) == 0);
	CHECK(pthread_attr_destroy(&attr) == 0);
	own->high = (char *)base + size;
	CHECK(stack_here() > (char *)base && stack_here() < own->high);
	me = own;
	unblock(SIG_SUSPEND);
	ADD(started, 1);
	do {
		__atomic_add_fetch(&own->steps, 1, __ATOMIC_SEQ_CST);
		/* It is needed all the time, wherever it is kept. */
		asm volatile("" : "+r"(marker));
	} while (step(index % KINDS, index < KINDS));
	CHECK(marker == ~own->marker);
	block(SIG_SUSPEND);
	return NULL;
}

/* ---- The collector ------------------------------------------------------- */

static long count = 200;
static long *steps;

static void wait_acks(void)
{
	long i;

	for (i = 0; i < count; i++)
		while (sem_wait(&acks) < 0)
			CHECK_EQ(errno, EINTR);
}

static void look(void)
{
	struct mutator *m;
	uintptr_t *p;

	for (m = mutators; m < mutators + count; m++) {
		CHECK_EQ(LOAD(m->stopped), round_now);
		steps[m - mutators] = LOAD(m->steps);
		p = (uintptr_t *)((uintptr_t)m->low & -sizeof(*p));
		while ((char *)p < m->high && *p != ~m->marker)
			p++;
		if ((char *)p >= m->high)
			check_fail(__FILE__, __LINE__,
				   "thread %ld, doing %ld: nothing found",
				   (long)(m - mutators),
				   (long)(m - mutators) % KINDS);
	}
}

static void stop_world(void)
{
	long i;

	ADD(round_now, 1);
	for (i = 0; i < count; i++)
		OK(pthread_kill(mutators[i].t, SIG_SUSPEND));
	wait_acks();
}

static void start_world(void)
{
	long i;

	STORE(resumed, round_now);
	for (i = 0; i < count; i++)
		OK(pthread_kill(mutators[i].t, SIG_RESUME));
	wait_acks();
}

static void pokes(void)
{
	OK(pthread_cond_broadcast(&cond));
	CHECK(sem_post(&sem) == 0);
	CHECK(write(pipefd[1], "xxxx", 4) == 4);
}

int main(int argc, char **argv)
{
	int rounds = 20, i;
	pthread_t *t;
	long k;

	if (argc > 1)
		count = atol(argv[1]);
	if (argc > 2)
		rounds = atoi(argv[2]);
	rest = 10 * count;
	set_mask(full_set());
	mutators = calloc(count, sizeof(*mutators));
	steps = calloc(count, sizeof(*steps));
	t = calloc(count, sizeof(*t));
	CHECK(mutators && steps && t);
	CHECK(sem_init(&acks, 0, 0) == 0 && sem_init(&sem, 0, 0) == 0);
	CHECK(sem_init(&baton, 0, 1) == 0 && pipe(pipefd) == 0);
	install_with(SIG_SUSPEND, suspend, SA_RESTART, full_set());
	install_with(SIG_RESUME, resume, SA_RESTART, full_set());
	section("start");
	for (k = 0; k < count; k++) {
		mutators[k].marker = 0x1357246811223344 + 16 * k;
		t[k] = start_small(mutates, &mutators[k]);
	}
	NAP_UNTIL(LOAD(started) == count);
	section("stop and go");
	for (i = 0; i < rounds; i++) {
		stop_world();
		look();
		usleep(i % 4 ? 50 : 2000);
		for (k = 0; k < count; k++) {
			CHECK_EQ(LOAD(mutators[k].stopped), round_now);
			CHECK_EQ(LOAD(mutators[k].steps), steps[k]);
		}
		start_world();
		for (k = 0; k < count; k++)
			CHECK_EQ(LOAD(mutators[k].stopped), 0);
		/* Those that can, go on. */
		pokes();
		for (k = 0; k < count && k < KINDS; k++)
			while (k != COND && k != SEM && k != PIPE &&
			       LOAD(mutators[k].steps) == steps[k])
				usleep(50);
	}
	section("end");
	OK(pthread_mutex_lock(&lock));
	STORE(quit, 1);
	OK(pthread_cond_broadcast(&cond));
	OK(pthread_mutex_unlock(&lock));
	for (k = 0; k < count; k++) {
		CHECK(sem_post(&sem) == 0);
		CHECK(write(pipefd[1], "x", 1) == 1);
	}
	for (k = 0; k < count; k++)
		join(t[k]);
	return 0;
}
