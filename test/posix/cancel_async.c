/*
 * cancel_async - a thread whose cancellation is asynchronous is cancelled where it
 * computes, also when others compute beside it and it is not running just then; where it
 * waits for a lock, for a thread or for time; and by itself. Its cleanup handlers run.
 * Not while it has cancellation disabled, nor deferred: then when that ends. To cancel,
 * and to change state and type, is safe meanwhile.
 */
#include "check.h"
#include <semaphore.h>

enum { ROUNDS = 20, CROWD = 12 };

static sem_t ready;
static int cleaned, go;
static volatile unsigned long work;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t shared_held;
static pthread_rwlock_t rwheld = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spinheld;
static pthread_t forever;

static void cleans(void *arg)
{
	CHECK(arg == &cleaned);
	ADD(cleaned, 1);
}

/* ---- What the threads do -------------------------------------------------- */

static void compute(void)
{
	for (;;)
		work++;
}

static void allocates(void)
{
	char text[64];

	for (;;)
		snprintf(text, sizeof(text), "%lu", work++);
}

static void mutex(void)
{
	pthread_mutex_lock(&held);
}

static void mutex_shared(void)
{
	pthread_mutex_lock(&shared_held);
}

static void reads(void)
{
	pthread_rwlock_rdlock(&rwheld);
}

static void writes(void)
{
	pthread_rwlock_wrlock(&rwheld);
}

static void spins(void)
{
	pthread_spin_lock(&spinheld);
}

static void yields(void)
{
	for (;;)
		sched_yield();
}

static void sleeps(void)
{
	for (;;)
		sleep(1000);
}

static void joins(void)
{
	pthread_join(forever, NULL);
}

static void itself(void)
{
	pthread_cancel(pthread_self());
}

static void switches(void)
{
	for (;;) {
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	}
}

/* One that has it disabled for good, and is cancelled all the time. */
static void cancels_another(void)
{
	for (;;)
		pthread_cancel(forever);
}

static void *waits_for_go(void *arg)
{
	OK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL));
	while (sem_wait(arg))
		;
	return arg;
}

/* ---- One thread at a time ----------------------------------------------------- */

struct kind {
	const char *name;
	void (*run)(void);
};

static const struct kind kinds[] = {
	{ "computes", compute },
	{ "in libc", allocates },
	{ "mutex", mutex },
	{ "shared mutex", mutex_shared },
	{ "read lock", reads },
	{ "write lock", writes },
	{ "spin lock", spins },
	{ "yields", yields },
	{ "sleeps", sleeps },
	{ "joins", joins },
	{ "itself", itself },
	{ "state and type", switches },
	{ "cancels", cancels_another },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void *asynchronous(void *arg)
{
	const struct kind *k = arg;

	pthread_cleanup_push(cleans, &cleaned);
	CHECK(sem_post(&ready) == 0);
	OK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
	k->run();
	check_fail(__FILE__, __LINE__, "%s: not cancelled", k->name);
	pthread_cleanup_pop(0);
	return arg;
}

static void wait_ready(void)
{
	while (sem_wait(&ready))
		CHECK_EQ(errno, EINTR);
}

static void expect(pthread_t t, int cleanups)
{
	CHECK(join(t) == PTHREAD_CANCELED);
	CHECK_EQ(LOAD(cleaned), cleanups);
	cleaned = 0;
}

static void one_by_one(void)
{
	const struct kind *k;
	pthread_t t;
	int i;

	for (k = kinds; k < kinds + KINDS; k++) {
		section(k->name);
		for (i = 0; i < ROUNDS; i++) {
			t = start(asynchronous, (void *)k);
			wait_ready();
			if (i & 1)
				usleep(1000);
			if (k->run != itself)
				OK(pthread_cancel(t));
			expect(t, 1);
		}
	}
}

/* ---- More than there are CPUs ------------------------------------------------- */

static void crowd(void)
{
	pthread_t t[CROWD];
	int i, round;

	for (round = 0; round < 4; round++) {
		for (i = 0; i < CROWD; i++)
			t[i] = start(asynchronous, (void *)&kinds[i & 1]);
		for (i = 0; i < CROWD; i++)
			wait_ready();
		for (i = 0; i < CROWD; i++)
			OK(pthread_cancel(t[i]));
		for (i = 0; i < CROWD; i++)
			CHECK(join(t[i]) == PTHREAD_CANCELED);
		CHECK_EQ(LOAD(cleaned), CROWD);
		cleaned = 0;
	}
}

/* ---- Not now --------------------------------------------------------------------- */

static void *not_now(void *arg)
{
	OK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL));
	OK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
	CHECK(sem_post(&ready) == 0);
	while (!LOAD(go))
		work++;
	CHECK_EQ(LOAD(cleaned), 0);
	pthread_cleanup_push(cleans, &cleaned);
	OK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL));
	CHECK(!"cancelled");
	pthread_cleanup_pop(0);
	return arg;
}

static void *deferred(void *arg)
{
	CHECK(sem_post(&ready) == 0);
	while (!LOAD(go))
		work++;
	CHECK_EQ(LOAD(cleaned), 0);
	pthread_cleanup_push(cleans, &cleaned);
	OK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
	CHECK(!"cancelled");
	pthread_cleanup_pop(0);
	return arg;
}

static void later(thread_fn *fn)
{
	pthread_t t;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		t = start(fn, NULL);
		wait_ready();
		OK(pthread_cancel(t));
		usleep(1000);
		STORE(go, 1);
		expect(t, 1);
		go = 0;
	}
}

int main(void)
{
	pthread_mutexattr_t attr;
	sem_t end;

	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED));
	OK(pthread_mutex_init(&shared_held, &attr));
	CHECK(sem_init(&ready, 0, 0) == 0);
	CHECK(sem_init(&end, 0, 0) == 0);
	OK(pthread_mutex_lock(&held));
	OK(pthread_mutex_lock(&shared_held));
	OK(pthread_rwlock_wrlock(&rwheld));
	OK(pthread_spin_init(&spinheld, PTHREAD_PROCESS_PRIVATE));
	OK(pthread_spin_lock(&spinheld));
	forever = start(waits_for_go, &end);
	one_by_one();
	section("a crowd");
	crowd();
	section("disabled");
	later(not_now);
	section("deferred");
	later(deferred);
	CHECK(sem_post(&end) == 0);
	CHECK(join(forever) == &end);
	/* Nothing of theirs is left in it. */
	OK(pthread_mutex_unlock(&held));
	OK(pthread_mutex_lock(&held));
	return 0;
}
