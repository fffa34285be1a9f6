/*
 * child_first - threads of a start routine that end or wait soon may run before
 * pthread_create returns: nothing may depend on which it is, and who creates, and all
 * others, go on whatever they do.
 */
#include <semaphore.h>

#include "check.h"

enum { QUICK = 300, TIMES = 100, LEAVES = 1000 };

enum what { END, SPIN, LOCK, WAIT, MASK, ERRNO };

static struct job {
	enum what what;
	pthread_t me, *creator;
	int done;
} job;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int flag, held, inside;
static sem_t sem;

/* One start routine for all, which most threads leave at once. */
static void *works(void *arg)
{
	struct job *j = arg;
	sigset_t set;

	CHECK(pthread_equal(j->me, pthread_self()));
	switch (j->what) {
	case END:
		break;
	case SPIN:
		while (!LOAD(flag))
			;
		break;
	case LOCK:
		pthread_mutex_lock(&lock);
		CHECK_EQ(held, 0);
		inside++;
		pthread_mutex_unlock(&lock);
		break;
	case WAIT:
		while (sem_wait(&sem))
			CHECK_EQ(errno, EINTR);
		break;
	case MASK:
		pthread_sigmask(SIG_BLOCK, NULL, &set);
		CHECK_EQ(sigismember(&set, SIGUSR1), 1);
		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		pthread_sigmask(SIG_SETMASK, &set, NULL);
		break;
	case ERRNO:
		CHECK_EQ(errno, 0);
		errno = ERANGE;
		break;
	}
	ADD(j->done, 1);
	return j;
}

static void begin(struct job *j, enum what what)
{
	j->what = what;
	j->done = 0;
	CHECK_EQ(pthread_create(&j->me, NULL, works, j), 0);
}

static void end(struct job *j)
{
	void *ret;

	CHECK_EQ(pthread_join(j->me, &ret), 0);
	CHECK(ret == j);
	CHECK_EQ(j->done, 1);
}

/* So that the next is expected to be as quick. */
static void quick(void)
{
	for (int i = 0; i < QUICK; i++) {
		begin(&job, END);
		end(&job);
	}
}

static void *one(void *arg)
{
	section(arg);
	quick();
	return NULL;
}

static void spinning(void)
{
	section("one computes until its creator goes on");
	for (int i = 0; i < 5; i++) {
		quick();
		STORE(flag, 0);
		begin(&job, SPIN);
		STORE(flag, 1);
		end(&job);
	}
}

static void locking(void)
{
	section("one wants a lock that its creator holds");
	for (int i = 0; i < TIMES; i++) {
		pthread_mutex_lock(&lock);
		held = 1;
		begin(&job, LOCK);
		CHECK_EQ(inside, i);
		held = 0;
		pthread_mutex_unlock(&lock);
		end(&job);
		CHECK_EQ(inside, i + 1);
	}
}

static void waiting(void)
{
	static struct job many[QUICK];
	void *ret;

	section("many wait at once");
	for (int i = 0; i < QUICK; i++)
		begin(&many[i], WAIT);
	for (int i = 0; i < QUICK; i++)
		sem_post(&sem);
	for (int i = 0; i < QUICK; i++)
		end(&many[i]);

	section("one is cancelled, whether it waits already or not");
	for (int i = 0; i < TIMES; i++) {
		begin(&job, WAIT);
		CHECK_EQ(pthread_cancel(job.me), 0);
		CHECK_EQ(pthread_join(job.me, &ret), 0);
		CHECK(ret == PTHREAD_CANCELED);
		CHECK_EQ(job.done, 0);
	}
}

static void own(void)
{
	sigset_t set, old;

	section("masks and errno are each thread's own");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	for (int i = 0; i < TIMES; i++) {
		pthread_sigmask(SIG_SETMASK, &set, &old);
		begin(&job, MASK);
		pthread_sigmask(SIG_SETMASK, &old, &set);
		CHECK_EQ(sigismember(&set, SIGUSR1), 1);
		CHECK_EQ(sigismember(&set, SIGUSR2), 0);
		end(&job);
		errno = EDOM;
		begin(&job, ERRNO);
		CHECK_EQ(errno, EDOM);
		end(&job);
	}
}

/* ---- others go on ----------------------------------------------------------- */

static int steps, over;

static void *steps_on(void *arg)
{
	while (!LOAD(over)) {
		ADD(steps, 1);
		sched_yield();
	}
	return arg;
}

static void *computes_on(void *arg)
{
	while (!LOAD(over))
		ADD(steps, 1);
	return arg;
}

static void progress(const char *what, void *(*fn)(void *))
{
	pthread_t t;

	section(what);
	STORE(over, 0);
	STORE(steps, 0);
	CHECK_EQ(pthread_create(&t, NULL, fn, NULL), 0);
	for (int to = 1; to <= 10; to++)
		for (int before = LOAD(steps); LOAD(steps) < before + to;) {
			begin(&job, END);
			end(&job);
		}
	STORE(over, 1);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

/* ---- a tree -------------------------------------------------------------------- */

struct node {
	long first, leaves, sum;
};

static void *grows(void *arg)
{
	struct node *me = arg, child[10];
	pthread_t t[10];

	if (me->leaves == 1) {
		me->sum = me->first;
		return NULL;
	}
	for (int i = 0; i < 10; i++) {
		child[i] = (struct node){ me->first + i * (me->leaves / 10),
					  me->leaves / 10, 0 };
		CHECK_EQ(pthread_create(&t[i], NULL, grows, &child[i]), 0);
	}
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(pthread_join(t[i], NULL), 0);
		me->sum += child[i].sum;
	}
	return NULL;
}

static void trees(void)
{
	section("trees");
	for (int i = 0; i < 3; i++) {
		struct node n[2] = { { 0, LEAVES, 0 }, { 7, LEAVES, 0 } };
		pthread_t t[2];

		for (int k = 0; k < 2; k++)
			CHECK_EQ(pthread_create(&t[k], NULL, grows, &n[k]), 0);
		for (int k = 0; k < 2; k++)
			CHECK_EQ(pthread_join(t[k], NULL), 0);
		CHECK_EQ(n[0].sum, LEAVES * (LEAVES - 1L) / 2);
		CHECK_EQ(n[1].sum, LEAVES * (LEAVES - 1L) / 2 + 7 * LEAVES);
	}
}

int main(void)
{
	CHECK_EQ(sem_init(&sem, 0, 0), 0);
	errno = 0;
	one("many are quick");
	spinning();
	locking();
	waiting();
	own();
	progress("somebody who yields goes on", steps_on);
	progress("somebody who computes goes on", computes_on);
	trees();
	return 0;
}
