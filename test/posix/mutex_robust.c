/*
 * mutex_robust - the owner of a robust mutex ends without unlocking: the next
 * gets EOWNERDEAD, repairs it or lets it become unusable.
 */
#include "check.h"
#include <sys/mman.h>

static pthread_mutex_t *lock;

static void *dies(void *arg)
{
	OK(pthread_mutex_lock(lock));
	sched_yield();
	if (arg)
		pthread_exit(NULL);
	return NULL;
}

static void *good(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 100; i++) {
		OK(pthread_mutex_lock(lock));
		sched_yield();
		OK(pthread_mutex_unlock(lock));
	}
	return NULL;
}

/* Blocked when its owner ends. */
static int deaths;
static void *inherits(void *arg)
{
	int ret = pthread_mutex_lock(lock);

	if (ret == EOWNERDEAD) {
		ADD(deaths, 1);
		OK(pthread_mutex_consistent(lock));
	} else {
		CHECK_EQ(ret, 0);
	}
	sched_yield();
	OK(pthread_mutex_unlock(lock));
	return arg;
}

static pthread_barrier_t gate;
static void *dies_late(void *arg)
{
	OK(pthread_mutex_lock(lock));
	pthread_barrier_wait(&gate);
	usleep(2000);
	return arg;
}

static void init(int type, int shared)
{
	pthread_mutexattr_t attr;
	int robust;

	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
	OK(pthread_mutexattr_getrobust(&attr, &robust));
	CHECK_EQ(robust, PTHREAD_MUTEX_ROBUST);
	OK(pthread_mutexattr_settype(&attr, type));
	if (shared)
		OK(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED));
	OK(pthread_mutex_init(lock, &attr));
	OK(pthread_mutexattr_destroy(&attr));
}

static void one_type(int type, int shared)
{
	struct timespec soon;
	pthread_t t[10];
	int i;

	init(type, shared);
	/* Not inconsistent now: nothing to repair. */
	RET(EINVAL, pthread_mutex_consistent(lock));
	for (i = 0; i < 4; i++) {
		join(start(dies, (void *)(long)(i & 1)));
		if (i < 2) {
			RET(EOWNERDEAD, pthread_mutex_lock(lock));
		} else if (i == 2) {
			RET(EOWNERDEAD, pthread_mutex_trylock(lock));
		} else {
			soon = far_off(CLOCK_REALTIME);
			RET(EOWNERDEAD, pthread_mutex_timedlock(lock, &soon));
		}
		OK(pthread_mutex_consistent(lock));
		OK(pthread_mutex_unlock(lock));
	}
	for (i = 0; i < 10; i++)
		t[i] = start(good, NULL);
	for (i = 0; i < 10; i++)
		join(t[i]);

	OK(pthread_barrier_init(&gate, NULL, 2));
	deaths = 0;
	t[0] = start(dies_late, NULL);
	pthread_barrier_wait(&gate);
	for (i = 1; i < 10; i++)
		t[i] = start(inherits, NULL);
	for (i = 0; i < 10; i++)
		join(t[i]);
	CHECK_EQ(deaths, 1);
	OK(pthread_barrier_destroy(&gate));

	/* Unlocked without repair: lost for good. */
	join(start(dies, NULL));
	RET(EOWNERDEAD, pthread_mutex_lock(lock));
	OK(pthread_mutex_unlock(lock));
	RET(ENOTRECOVERABLE, pthread_mutex_lock(lock));
	RET(ENOTRECOVERABLE, pthread_mutex_trylock(lock));
	OK(pthread_mutex_destroy(lock));
}

int main(void)
{
	int i;
	pid_t pid;

	lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(lock != MAP_FAILED);
	for (i = 0; i < 6; i++) {
		static const int types[] = { PTHREAD_MUTEX_NORMAL,
					     PTHREAD_MUTEX_RECURSIVE,
					     PTHREAD_MUTEX_ERRORCHECK };

		printf("type %d %s\n", types[i / 2], i & 1 ? "shared" : "");
		fflush(stdout);
		one_type(types[i / 2], i & 1);
	}

	section("a thread of another process");
	init(PTHREAD_MUTEX_NORMAL, 1);
	for (i = 0; i < 5; i++) {
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			join(start(dies, NULL));
			if (i & 1)
				kill(getpid(), SIGKILL);
			_exit(0);
		}
		CHECK(waitpid(pid, NULL, 0) == pid);
		RET(EOWNERDEAD, pthread_mutex_lock(lock));
		OK(pthread_mutex_consistent(lock));
		OK(pthread_mutex_unlock(lock));
	}
	section("another process, killed with it");
	for (i = 0; i < 5; i++) {
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			OK(pthread_mutex_lock(lock));
			kill(getpid(), SIGKILL);
		}
		CHECK(waitpid(pid, NULL, 0) == pid);
		RET(EOWNERDEAD, pthread_mutex_lock(lock));
		OK(pthread_mutex_consistent(lock));
		OK(pthread_mutex_unlock(lock));
	}
	OK(pthread_mutex_destroy(lock));
	return 0;
}
