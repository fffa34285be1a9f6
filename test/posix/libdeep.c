/*
 * libdeep - a library that is opened with RTLD_DEEPBIND: what it calls is looked
 * for in it and in what it needs before the program.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <sys/rseq.h>
#include <unistd.h>

static void *runs(void *arg)
{
	void (*fn)(void) = (void (*)(void))arg;

	fn();
	return arg;
}

/* fn on a thread of the library's. */
int deep_run(void (*fn)(void))
{
	pthread_t t;
	void *ret = NULL;

	if (pthread_create(&t, NULL, runs, (void *)fn) ||
	    pthread_join(t, &ret))
		return 1;
	return ret != (void *)fn;
}

/* Adds under the lock, in turns with the others. */
void deep_add(pthread_mutex_t *lock, pthread_cond_t *cond, long *n, long until)
{
	pthread_mutex_lock(lock);
	while (*n < until) {
		if (*n % 2) {
			++*n;
			pthread_cond_signal(cond);
		} else {
			pthread_cond_wait(cond, lock);
		}
	}
	pthread_cond_signal(cond);
	pthread_mutex_unlock(lock);
}

void deep_post(sem_t *sem)
{
	usleep(100);
	sem_post(sem);
}

/* As allocators with caches of each CPU's own read it. */
int deep_rseq(void)
{
	volatile struct rseq *r =
		(void *)((char *)__builtin_thread_pointer() + __rseq_offset);

	return __rseq_size ? (int)r->cpu_id : -1;
}
