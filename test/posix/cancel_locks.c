/*
 * cancel_locks - to wait for a semaphore, a condition or the end of a thread is a
 * cancellation point: the mutex of the condition is the thread's own again by then, and
 * nobody is counted who does not wait any more. To wait for a lock, a barrier or a
 * once-function is none.
 */
#include "cancel.h"
#include "waits.h"
#include <semaphore.h>

static char path[64];
static sem_t sem, *named = SEM_FAILED;
static pthread_cond_t cond;
static pthread_t other;
static pthread_once_t once;
static int in_turn; /* the once-function has begun */

/* ---- Semaphores and conditions ---------------------------------------------- */

static void make_sem(void)
{
	CHECK(sem_init(&sem, 0, 0) == 0);
}

static void make_sem_shared(void)
{
	CHECK(sem_init(&sem, 1, 0) == 0);
}

static void in_sem_wait(void)
{
	CHECK_EQ(sem_wait(&sem), 0);
}

static void in_sem_timedwait(void)
{
	struct timespec t = far_off(CLOCK_REALTIME);

	CHECK_EQ(sem_timedwait(&sem, &t), 0);
}

static void post(void)
{
	CHECK(sem_post(&sem) == 0);
}

/* It is as it was: nobody is counted who does not wait any more. */
static void free_sem(void)
{
	int value;

	CHECK(sem_getvalue(&sem, &value) == 0);
	CHECK_EQ(value, 0);
	post();
	CHECK(sem_trywait(&sem) == 0);
	ERR(EAGAIN, sem_trywait(&sem));
	CHECK(sem_destroy(&sem) == 0);
}

static void make_named(void)
{
	snprintf(path, sizeof(path), "/cancel_locks.%d", (int)getpid());
	named = sem_open(path, O_CREAT | O_EXCL, 0600, 0);
	CHECK(named != SEM_FAILED);
}

static void in_named(void)
{
	CHECK_EQ(sem_wait(named), 0);
}

static void post_named(void)
{
	CHECK(sem_post(named) == 0);
}

static void free_named(void)
{
	CHECK(sem_close(named) == 0 && sem_unlink(path) == 0);
}

static void make_cond_of(int shared, int type)
{
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;

	OK(pthread_mutexattr_init(&ma));
	OK(pthread_mutexattr_settype(&ma, type));
	OK(pthread_mutexattr_setpshared(&ma, shared));
	OK(pthread_mutex_init(&mutex, &ma));
	OK(pthread_condattr_init(&ca));
	OK(pthread_condattr_setpshared(&ca, shared));
	OK(pthread_cond_init(&cond, &ca));
}

static void make_cond(void)
{
	make_cond_of(PTHREAD_PROCESS_PRIVATE, PTHREAD_MUTEX_NORMAL);
}

static void make_cond_recursive(void)
{
	make_cond_of(PTHREAD_PROCESS_PRIVATE, PTHREAD_MUTEX_RECURSIVE);
}

static void make_cond_shared(void)
{
	make_cond_of(PTHREAD_PROCESS_SHARED, PTHREAD_MUTEX_NORMAL);
}

static void make_cond_shared_recursive(void)
{
	make_cond_of(PTHREAD_PROCESS_SHARED, PTHREAD_MUTEX_RECURSIVE);
}

/* In the cleanup the mutex is the thread's. */
static void unlocks(void *arg)
{
	OK(pthread_mutex_unlock(arg));
}

static void in_cond_wait(void)
{
	OK(pthread_mutex_lock(&mutex));
	pthread_cleanup_push(unlocks, &mutex);
	OK(pthread_cond_wait(&cond, &mutex));
	pthread_cleanup_pop(1);
}

static void in_cond_timedwait(void)
{
	struct timespec t = far_off(CLOCK_REALTIME);

	OK(pthread_mutex_lock(&mutex));
	pthread_cleanup_push(unlocks, &mutex);
	OK(pthread_cond_timedwait(&cond, &mutex, &t));
	pthread_cleanup_pop(1);
}

static void broadcast(void)
{
	do {
		OK(pthread_mutex_lock(&mutex));
		OK(pthread_cond_broadcast(&cond));
		OK(pthread_mutex_unlock(&mutex));
		usleep(1000);
	} while (!LOAD(left));
}

static void free_cond(void)
{
	OK(pthread_cond_destroy(&cond));
	OK(pthread_mutex_lock(&mutex));
	OK(pthread_mutex_unlock(&mutex));
	OK(pthread_mutex_destroy(&mutex));
}

/* ---- The end of a thread ---------------------------------------------------- */

static void *waits_for_sem(void *arg)
{
	while (sem_wait(&sem))
		;
	return arg;
}

static void make_thread(void)
{
	make_sem();
	other = start(waits_for_sem, NULL);
}

static void in_join(void)
{
	OK(pthread_join(other, NULL));
}

static void in_timedjoin(void)
{
	struct timespec t = far_off(CLOCK_REALTIME);

	OK(pthread_timedjoin_np(other, NULL, &t));
}

static void join_other(void)
{
	if (!LOAD(left)) {
		post();
		CHECK(join(other) == NULL);
	}
}

/* ---- No points -------------------------------------------------------------- */

static void make_held(void)
{
	OK(pthread_mutex_init(&mutex, NULL));
	OK(pthread_mutex_lock(&mutex));
}

static void unlock(void)
{
	OK(pthread_mutex_unlock(&mutex));
}

static void make_rwlock(void)
{
	OK(pthread_rwlock_init(&rwlock, NULL));
	OK(pthread_rwlock_wrlock(&rwlock));
}

static void rwunlock(void)
{
	OK(pthread_rwlock_unlock(&rwlock));
}

static void make_barrier(void)
{
	OK(pthread_barrier_init(&barrier, NULL, 2));
}

static void *runs_once(void *arg)
{
	pthread_once(&once, (void (*)(void))arg);
	return NULL;
}

static void until_sem(void)
{
	STORE(in_turn, 1);
	waits_for_sem(NULL);
}

static void make_once(void)
{
	make_sem();
	once = PTHREAD_ONCE_INIT;
	in_turn = 0;
	other = start(runs_once, (void *)until_sem);
	YIELD_UNTIL(LOAD(in_turn));
}

static void in_once(void)
{
	pthread_once(&once, nothing);
}

static void end_once(void)
{
	CHECK(join(other) == NULL);
}

/* ---- All of them ------------------------------------------------------------ */

static const struct kind kinds[] = {
	{ "sem_wait", make_sem, in_sem_wait, post, free_sem, 0 },
	{ "sem_timedwait", make_sem, in_sem_timedwait, post, free_sem, 0 },
	{ "sem_wait, shared", make_sem_shared, in_sem_wait, post, free_sem, 0 },
	{ "sem_timedwait, shared", make_sem_shared, in_sem_timedwait, post,
	  free_sem, 0 },
	{ "sem_wait, named", make_named, in_named, post_named, free_named, 0 },
	{ "cond_wait", make_cond, in_cond_wait, broadcast, free_cond, 0 },
	{ "cond_timedwait", make_cond, in_cond_timedwait, broadcast, free_cond, 0 },
	{ "cond_wait, recursive", make_cond_recursive, in_cond_wait, broadcast,
	  free_cond, 0 },
	{ "cond_wait, shared", make_cond_shared, in_cond_wait, broadcast,
	  free_cond, 0 },
	{ "cond_timedwait, shared", make_cond_shared, in_cond_timedwait,
	  broadcast, free_cond, 0 },
	{ "cond_wait, shared and recursive", make_cond_shared_recursive,
	  in_cond_wait, broadcast, free_cond, 0 },
	{ "join", make_thread, in_join, post, join_other, 0 },
	{ "timedjoin", make_thread, in_timedjoin, post, join_other, 0 },
	{ "mutex_lock", make_held, in_mutex, unlock, nothing, NOPOINT },
	{ "rwlock_rdlock", make_rwlock, in_rdlock, rwunlock, nothing, NOPOINT },
	{ "rwlock_wrlock", make_rwlock, in_wrlock, rwunlock, nothing, NOPOINT },
	{ "barrier_wait", make_barrier, in_barrier, in_barrier, nothing,
	  NOPOINT },
	{ "once", make_once, in_once, post, end_once, NOPOINT },
};

int main(void)
{
	CANCEL_ALL(kinds, nothing);
	return 0;
}
