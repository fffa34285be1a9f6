/* pkru.c - a thread's rights to protection keys (the PKRU register) are its own: they
 * survive yields, waits and preemption, and a new thread begins with its creator's.
 * The page is readable exactly to the threads that let themselves.
 */
#include "check.h"
#include <setjmp.h>
#include <stdbool.h>
#include <sys/mman.h>

#define THREADS 8
#define ROUNDS 300

static int key;
static volatile int *page;
static pthread_barrier_t barrier;
static __thread sigjmp_buf out;

static void segv(int sig)
{
	(void)sig;
	siglongjmp(out, 1);
}

static bool readable(void)
{
	if (sigsetjmp(out, 1))
		return false;
	return *page == 42;
}

static unsigned rights(void)
{
	return (unsigned)pkey_get(key);
}

static void *child(void *want)
{
	CHECK_EQ(rights(), (uintptr_t)want);
	return NULL;
}

static void *run(void *arg)
{
	unsigned mine = (uintptr_t)arg % 2 ? PKEY_DISABLE_ACCESS : 0;
	pthread_t t;

	CHECK_EQ(pkey_set(key, mine), 0);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK_EQ(rights(), mine);
		if (i % 50 == 0) {
			pthread_barrier_wait(&barrier);
			CHECK_EQ(pthread_create(&t, NULL, child,
						(void *)(uintptr_t)mine),
				 0);
			CHECK_EQ(pthread_join(t, NULL), 0);
			/* the handler has the kernel's rights, we have ours again */
			CHECK_EQ(readable(), mine == 0);
			CHECK_EQ(pkey_set(key, mine), 0);
		}
		if (i % 3 == 0)
			sched_yield();
		for (volatile int n = 0; n < 20000; n++)
			;
	}
	return NULL;
}

int main(void)
{
	pthread_t t[THREADS];
	struct sigaction sa = { .sa_handler = segv };

	/* one that lives from before the key on */
	CHECK_EQ(pthread_create(&t[0], NULL, (void *(*)(void *))sched_yield, NULL),
		 0);
	CHECK_EQ(pthread_join(t[0], NULL), 0);
	key = pkey_alloc(0, 0);
	if (key < 0)
		return 77;
	CHECK_EQ(sigaction(SIGSEGV, &sa, NULL), 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED);
	*page = 42;
	CHECK_EQ(pkey_mprotect((void *)page, 4096, PROT_READ, key), 0);
	CHECK_EQ(pthread_barrier_init(&barrier, NULL, THREADS), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, run, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(rights(), 0);
	CHECK(readable());
	puts("pkru ok");
	return 0;
}
