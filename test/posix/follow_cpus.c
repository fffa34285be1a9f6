/*
 * follow_cpus - the set of CPUs of the whole process changes, as taskset -ap does it,
 * while its threads pass tokens round, lock and sleep: whoever adapts to it must lose
 * nobody.
 *
 * follow_cpus [seconds]
 */
#include "check.h"

#include <dirent.h>
#include <semaphore.h>

enum { N = 40 };
static sem_t turn[N];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long hops, locked, done;

static void *passes(void *arg)
{
	long i = (long)arg;

	for (;;) {
		while (sem_wait(&turn[i]) != 0)
			CHECK_EQ(errno, EINTR);
		if (LOAD(done)) {
			CHECK(sem_post(&turn[(i + 1) % N]) == 0);
			return NULL;
		}
		hops++;
		OK(pthread_mutex_lock(&lock));
		locked++;
		OK(pthread_mutex_unlock(&lock));
		if (hops % 1000 == 0)
			usleep(100);
		CHECK(sem_post(&turn[(i + 1) % N]) == 0);
	}
}

static void all_threads(const cpu_set_t *set)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;

	CHECK(d != NULL);
	while ((e = readdir(d)))
		if (atoi(e->d_name) > 0 &&
		    sched_setaffinity(atoi(e->d_name), sizeof(*set), set))
			CHECK_EQ(errno, ESRCH); /* it has ended meanwhile */
	closedir(d);
}

int main(int argc, char **argv)
{
	long seconds = argc > 1 ? atol(argv[1]) : 0, i;
	cpu_set_t all, one;
	pthread_t t[N];

	CHECK(sched_getaffinity(getpid(), sizeof(all), &all) == 0);
	CPU_ZERO(&one);
	for (i = 0; !CPU_ISSET(i, &all); i++)
		;
	CPU_SET(i, &one);
	for (i = 0; i < N; i++)
		CHECK(sem_init(&turn[i], 0, 0) == 0);
	for (i = 0; i < N; i++)
		t[i] = start(passes, (void *)i);
	CHECK(sem_post(&turn[0]) == 0);
	for (i = 0; i < 1 + 2 * seconds; i++) {
		all_threads(i % 4 < 2 ? &one : &all);
		usleep(500000);
	}
	all_threads(&all);
	STORE(done, 1);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(locked, hops);
	CHECK(hops > N);
	return 0;
}
