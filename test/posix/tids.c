/*
 * tids - a thread's number, gettid, is its own from begin to end, whatever it
 * waits for meanwhile, and what takes one reaches that thread: tgkill and the
 * calls about scheduling.
 *
 * tids [rounds]
 */
#include "check.h"
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { N = 64, HIT = 40, KINDS = 4 };
static long rounds = 200;
static pid_t tid[N];
static int here, go;
static sem_t gate;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static pid_t raw_tid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

/* ---- Stable, unique ------------------------------------------------------ */

static void *nothing(void *arg)
{
	return arg;
}

static void *stays(void *arg)
{
	int me = (int)(long)arg, i;
	pid_t mine = gettid();

	CHECK(mine > 0 && mine != getpid());
	CHECK_EQ(raw_tid(), mine);
	tid[me] = mine;
	ADD(here, 1);
	for (i = 0; i < rounds; i++) {
		switch ((i + me) % 16) {
		case 0:
			usleep(10);
			break;
		case 1:
			OK(pthread_mutex_lock(&lock));
			sched_yield();
			OK(pthread_mutex_unlock(&lock));
			break;
		case 2:
			CHECK(sem_wait(&gate) == 0);
			sched_yield();
			CHECK(sem_post(&gate) == 0);
			break;
		case 3:
			if (i % 8 == 0)
				join(start_small(nothing, NULL));
			break;
		default:
			sched_yield();
		}
		CHECK_EQ(gettid(), mine);
		CHECK_EQ(raw_tid(), mine);
	}
	/* All are alive until the last is here. */
	OK(pthread_mutex_lock(&lock));
	while (!go)
		OK(pthread_cond_wait(&cond, &lock));
	OK(pthread_mutex_unlock(&lock));
	CHECK_EQ(gettid(), mine);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return x < y ? -1 : x > y;
}

/* What takes a thread's number takes this one. */
static void check_takes(pid_t t)
{
	struct sched_param sp = { .sched_priority = 77 };
	struct timespec ts;
	cpu_set_t all, set;

	CHECK_EQ(syscall(SYS_tgkill, getpid(), t, 0), 0);
	CHECK_EQ(tgkill(getpid(), t, 0), 0);
	CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
	CHECK(sched_getaffinity(t, sizeof(set), &set) == 0);
	CHECK(CPU_EQUAL(&set, &all));
	CHECK_EQ(sched_getscheduler(t), SCHED_OTHER);
	CHECK_EQ(sched_getparam(t, &sp), 0);
	CHECK_EQ(sp.sched_priority, 0);
	CHECK_EQ(sched_rr_get_interval(t, &ts), 0);
	errno = 0;
	CHECK_EQ(getpriority(PRIO_PROCESS, t), getpriority(PRIO_PROCESS, 0));
	CHECK_EQ(errno, 0);
}

static void stable(void)
{
	pid_t sorted[N];
	pthread_t t[N];
	int i;

	here = go = 0;
	for (i = 0; i < N; i++)
		t[i] = start_small(stays, (void *)(long)i);
	YIELD_UNTIL(LOAD(here) == N);
	memcpy(sorted, tid, sizeof(sorted));
	qsort(sorted, N, sizeof(sorted[0]), compare);
	for (i = 1; i < N; i++)
		CHECK(sorted[i] != sorted[i - 1]);
	for (i = 0; i < N; i++)
		check_takes(tid[i]);
	CHECK_EQ(gettid(), getpid());
	OK(pthread_mutex_lock(&lock));
	go = 1;
	OK(pthread_cond_broadcast(&cond));
	OK(pthread_mutex_unlock(&lock));
	for (i = 0; i < N; i++)
		join(t[i]);
	/* Gone now; or the number is another's already. */
	for (i = 0; i < N; i++)
		if (tgkill(getpid(), tid[i], 0) != 0)
			CHECK_EQ(errno, ESRCH);
}

/* ---- Signals to one of them ---------------------------------------------- */

static __thread volatile int hits;
static __thread volatile pid_t hit_as;
static int wrong, answers;
static sem_t answered;
static void on_usr1(int sig)
{
	int saved = errno;

	(void)sig;
	hit_as = gettid();
	hits++;
	ADD(answers, 1);
	sem_post(&answered);
	errno = saved;
}

static sem_t quiet;
/* Until its own handler has run once, in all the ways to wait. */
static void *is_hit(void *arg)
{
	int me = (int)(long)arg;
	struct timespec t;

	tid[me] = gettid();
	ADD(here, 1);
	while (hits == 0)
		switch (me % KINDS) {
		case 0:
			sched_yield();
			break;
		case 1:
			t = in_ms(CLOCK_REALTIME, 1000);
			if (sem_timedwait(&quiet, &t))
				CHECK(errno == EINTR || errno == ETIMEDOUT);
			break;
		case 2:
			usleep(100000);
			break;
		case 3:
			t = in_ms(CLOCK_REALTIME, 5);
			OK(pthread_mutex_lock(&lock));
			pthread_cond_timedwait(&cond, &lock, &t);
			OK(pthread_mutex_unlock(&lock));
			break;
		}
	if (hits != 1 || hit_as != tid[me])
		ADD(wrong, 1);
	OK(pthread_mutex_lock(&lock));
	while (!go)
		OK(pthread_cond_wait(&cond, &lock));
	OK(pthread_mutex_unlock(&lock));
	CHECK_EQ(gettid(), tid[me]);
	return NULL;
}

static void signals(int raw)
{
	struct sigaction sa = { .sa_handler = on_usr1 };
	pthread_t t[HIT];
	int i;

	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	here = go = answers = 0;
	hits = 0;
	CHECK(sem_init(&answered, 0, 0) == 0);
	for (i = 0; i < HIT; i++)
		t[i] = start_small(is_hit, (void *)(long)i);
	YIELD_UNTIL(LOAD(here) == HIT);
	/* Not in order, one at a time. */
	for (i = 0; i < HIT; i++) {
		pid_t to = tid[i * 37 % HIT];

		if (raw)
			CHECK_EQ(syscall(SYS_tgkill, getpid(), to, SIGUSR1), 0);
		else
			CHECK_EQ(tgkill(getpid(), to, SIGUSR1), 0);
		while (sem_wait(&answered))
			CHECK_EQ(errno, EINTR);
	}
	OK(pthread_mutex_lock(&lock));
	go = 1;
	OK(pthread_cond_broadcast(&cond));
	OK(pthread_mutex_unlock(&lock));
	for (i = 0; i < HIT; i++)
		join(t[i]);
	CHECK_EQ(wrong, 0);
	CHECK_EQ(answers, HIT);
	CHECK_EQ(hits, 0);
	/* And main, by the number of the process. */
	CHECK_EQ(tgkill(getpid(), getpid(), SIGUSR1), 0);
	CHECK_EQ(hits, 1);
	CHECK_EQ(hit_as, getpid());
}

/* The one thread of a child is its main. */
static void *forks(void *arg)
{
	pid_t mine = gettid(), pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(gettid() == getpid() && raw_tid() == getpid());
		CHECK(gettid() != mine);
		_exit(0);
	}
	reap(pid, 0);
	CHECK_EQ(gettid(), mine);
	return arg;
}

int main(int argc, char **argv)
{
	int i;

	if (argc > 1)
		rounds = atol(argv[1]);
	CHECK(sem_init(&gate, 0, 3) == 0 && sem_init(&quiet, 0, 0) == 0);
	section("main");
	CHECK(gettid() == getpid() && raw_tid() == getpid());
	check_takes(gettid());
	section("threads");
	stable();
	section("again");
	stable();
	CHECK(gettid() == getpid() && raw_tid() == getpid());
	check_takes(gettid());
	section("fork");
	for (i = 0; i < 5; i++)
		join(start(forks, NULL));
	forks(NULL);
	section("tgkill");
	signals(0);
	section("tgkill by syscall");
	signals(1);
	CHECK(gettid() == getpid() && raw_tid() == getpid());
	return 0;
}
