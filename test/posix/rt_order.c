/*
 * rt_order - real-time threads of one CPU: those that wait for a mutex, a semaphore, a
 * lock for reading and writing or a condition come in the order of their priorities; and
 * a new thread of a higher priority runs before who has created it goes on. Without
 * permission for that it says so.
 */
#include "check.h"
#include <semaphore.h>

enum { LOW = 5, MED = 10, HIGH = 20 };

static int order[3], n, waiting;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t clock_ = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t sem;
static int go;

/* ---- What they wait for: taken, and let go by main -------------------------------- */

static void mutex_hold(void)
{
	OK(pthread_mutex_lock(&lock));
}

static void mutex_wait(int prio)
{
	OK(pthread_mutex_lock(&lock));
	order[n++] = prio;
	OK(pthread_mutex_unlock(&lock));
}

static void mutex_free(void)
{
	OK(pthread_mutex_unlock(&lock));
}

static void sem_hold(void)
{
	CHECK(sem_init(&sem, 0, 0) == 0);
}

static void sem_take(int prio)
{
	CHECK(sem_wait(&sem) == 0);
	order[n++] = prio;
	CHECK(sem_post(&sem) == 0);
}

static void sem_free(void)
{
	CHECK(sem_post(&sem) == 0);
}

static void write_hold(void)
{
	OK(pthread_rwlock_wrlock(&rwlock));
}

static void write_wait(int prio)
{
	OK(pthread_rwlock_wrlock(&rwlock));
	order[n++] = prio;
	OK(pthread_rwlock_unlock(&rwlock));
}

static void write_free(void)
{
	OK(pthread_rwlock_unlock(&rwlock));
}

static void cond_hold(void)
{
	go = 0;
}

static void cond_take(int prio)
{
	OK(pthread_mutex_lock(&clock_));
	while (!go)
		OK(pthread_cond_wait(&cond, &clock_));
	go--;
	order[n++] = prio;
	if (n < 3) {
		go++;
		OK(pthread_cond_signal(&cond));
	}
	OK(pthread_mutex_unlock(&clock_));
}

static void cond_free(void)
{
	OK(pthread_mutex_lock(&clock_));
	go++;
	OK(pthread_cond_signal(&cond));
	OK(pthread_mutex_unlock(&clock_));
}

static const struct kind {
	const char *name;
	void (*hold)(void), (*wait)(int), (*let)(void);
} kinds[] = {
	{ "mutex", mutex_hold, mutex_wait, mutex_free },
	{ "semaphore", sem_hold, sem_take, sem_free },
	{ "write lock", write_hold, write_wait, write_free },
	{ "condition", cond_hold, cond_take, cond_free },
};
static const struct kind *kind;

static void *waits(void *arg)
{
	STORE(waiting, 1);
	kind->wait((int)(long)arg);
	return NULL;
}

static pthread_t start_rt(int prio, thread_fn *fn)
{
	struct sched_param sp = { .sched_priority = prio };
	pthread_attr_t attr;
	pthread_t t;

	OK(pthread_attr_init(&attr));
	OK(pthread_attr_setschedpolicy(&attr, SCHED_FIFO));
	OK(pthread_attr_setschedparam(&attr, &sp));
	OK(pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED));
	OK(pthread_create(&t, &attr, fn, (void *)(long)prio));
	OK(pthread_attr_destroy(&attr));
	return t;
}

/* They have a higher priority than main: each waits when main goes on. */
static void in_order(const int prio[3])
{
	static const int want[3] = { HIGH, MED, LOW };
	pthread_t t[3];
	int i;

	for (kind = kinds; kind < kinds + sizeof(kinds) / sizeof(kinds[0]);
	     kind++) {
		n = 0;
		kind->hold();
		for (i = 0; i < 3; i++) {
			waiting = 0;
			t[i] = start_rt(prio[i], waits);
			if (!waiting)
				check_fail(__FILE__, __LINE__,
					   "the creator of %d goes on first",
					   prio[i]);
		}
		usleep(1000);
		CHECK_EQ(n, 0);
		kind->let();
		for (i = 0; i < 3; i++)
			join(t[i]);
		CHECK_EQ(n, 3);
		for (i = 0; i < 3; i++)
			if (order[i] != want[i])
				check_fail(__FILE__, __LINE__,
					   "%s: number %d is %d, not %d",
					   kind->name, i, order[i], want[i]);
	}
}

static const int up[3] = { LOW, MED, HIGH };
static const int mix[3] = { MED, HIGH, LOW };
static const int down[3] = { HIGH, MED, LOW };

int main(void)
{
	struct sched_param sp = { .sched_priority = 1 };
	cpu_set_t cpus;
	int cpu, i;

	CHECK(sched_getaffinity(0, sizeof(cpus), &cpus) == 0);
	for (cpu = 0; !CPU_ISSET(cpu, &cpus); cpu++)
		;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	CHECK(sched_setaffinity(0, sizeof(cpus), &cpus) == 0);
	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &sp)) {
		fprintf(stderr, "no permission for real-time priorities\n");
		return 77;
	}
	for (i = 0; i < 10; i++) {
		in_order(up);
		in_order(mix);
		in_order(down);
	}
	return 0;
}
