/*
 * libctor_threads - a library whose constructor starts threads and whose destructor
 * ends them; it leaves destructors behind in threads that call into it: of a
 * thread-local object and of a key.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

enum { N = 4 };
static __thread int mine = 5;
static pthread_t t[N];
static sem_t end;
static int there;
static pthread_key_t key;
static int *destroyed;

int __cxa_thread_atexit_impl(void (*fn)(void *), void *arg, void *dso);
extern void *__dso_handle __attribute__((visibility("hidden")));

static void *lives(void *arg)
{
	mine += (int)(long)arg;
	__atomic_add_fetch(&there, mine, __ATOMIC_SEQ_CST);
	while (sem_wait(&end))
		;
	return (void *)(long)mine;
}

static void count(void *arg)
{
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
}

__attribute__((constructor)) static void begin(void)
{
	long i;

	sem_init(&end, 0, 0);
	pthread_key_create(&key, count);
	for (i = 0; i < N; i++)
		if (pthread_create(&t[i], NULL, lives, (void *)i))
			__builtin_trap();
	/* No lock of the loader's is in their way. */
	while (__atomic_load_n(&there, __ATOMIC_SEQ_CST) != 4 * 5 + 6)
		sched_yield();
}

__attribute__((destructor)) static void finish(void)
{
	void *ret;
	long i;

	for (i = 0; i < N; i++)
		sem_post(&end);
	for (i = 0; i < N; i++)
		if (pthread_join(t[i], &ret) || ret != (void *)(5 + i))
			__builtin_trap();
	pthread_key_delete(key);
}

/* The caller has a destructor of this library from now on, which counts there. */
void leave_destructor(int *counter)
{
	destroyed = counter;
	__cxa_thread_atexit_impl(count, counter, &__dso_handle);
}

void leave_value(int *counter)
{
	pthread_setspecific(key, counter);
}
