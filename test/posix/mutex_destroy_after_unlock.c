/*
 * mutex_destroy_after_unlock - an object that counts its users under its own
 * mutex is freed by the last of them, right after unlocking.  POSIX allows
 * that, so an unlock may not touch the mutex once another could have got it.
 * The memory is filled and unmapped at once, to make a late touch seen.
 */
#include "check.h"
#include <sys/mman.h>

struct object {
	pthread_mutex_t lock;
	int users;
};

enum { THREADS = 16, ROUNDS = 600 };
static struct object *slot[ROUNDS];
static pthread_barrier_t gate;
static long freed;

static void release(struct object *o, int mapped)
{
	int left;

	OK(pthread_mutex_lock(&o->lock));
	left = --o->users;
	OK(pthread_mutex_unlock(&o->lock));
	if (left)
		return;
	OK(pthread_mutex_destroy(&o->lock));
	memset(o, 0xa5, sizeof(*o));
	if (mapped)
		CHECK(munmap(o, 4096) == 0);
	else
		free(o);
	ADD(freed, 1);
}

static void *users(void *arg)
{
	int i;

	(void)arg;
	pthread_barrier_wait(&gate);
	for (i = 0; i < ROUNDS; i++)
		release(slot[i], i & 1);
	return NULL;
}

int main(void)
{
	static const int types[] = {
		PTHREAD_MUTEX_NORMAL,
		PTHREAD_MUTEX_RECURSIVE,
		PTHREAD_MUTEX_ERRORCHECK,
		PTHREAD_MUTEX_ADAPTIVE_NP,
	};
	pthread_mutexattr_t attr;
	pthread_t t[THREADS];
	int i, k;

	OK(pthread_barrier_init(&gate, NULL, THREADS));
	OK(pthread_mutexattr_init(&attr));
	for (k = 0; k < 4; k++) {
		printf("type %d\n", types[k]);
		OK(pthread_mutexattr_settype(&attr, types[k]));
		for (i = 0; i < ROUNDS; i++) {
			slot[i] = malloc(sizeof(struct object));
			if (i & 1) {
				free(slot[i]);
				slot[i] = mmap(
					NULL, 4096, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
				CHECK(slot[i] != MAP_FAILED);
			}
			OK(pthread_mutex_init(&slot[i]->lock, &attr));
			slot[i]->users = THREADS;
		}
		freed = 0;
		for (i = 0; i < THREADS; i++)
			t[i] = start(users, NULL);
		for (i = 0; i < THREADS; i++)
			join(t[i]);
		CHECK_EQ(freed, ROUNDS);
	}
	return 0;
}
