/*
 * heap_lock - a heap of the program's own, with a lock of its own making around
 * it: whoever has it sleeps now and then, while all others are in calls that
 * allocate.  The C library allocates from it, too, when a thread is made.
 *
 * heap_lock [rounds]
 */
#include "check.h"
#include <netdb.h>
#include <sys/syscall.h>

enum { THREADS = 24, ROUNDS = 20, HEAP = 64 << 20 };

/* ---- The lock: nothing in it that another library could see -------------- */

static int word; /* 0 free, 1 locked, 2 locked and waited for */

static long futex(int *p, long op, long v)
{
	register long r10 asm("r10") = 0;
	long r;

	asm volatile("syscall"
		     : "=a"(r)
		     : "a"((long)SYS_futex), "D"(p), "S"(op), "d"(v), "r"(r10)
		     : "rcx", "r11", "memory");
	return r;
}

static void lock_heap(void)
{
	int was = 0;

	if (__atomic_compare_exchange_n(&word, &was, 1, 0, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST))
		return;
	while (__atomic_exchange_n(&word, 2, __ATOMIC_SEQ_CST))
		futex(&word, 128 /* FUTEX_WAIT_PRIVATE */, 2);
}

static void unlock_heap(void)
{
	if (__atomic_exchange_n(&word, 0, __ATOMIC_SEQ_CST) == 2)
		futex(&word, 129 /* FUTEX_WAKE_PRIVATE */, 1);
}

/* ---- The heap: blocks of powers of two, each size with a list of free ones - */

static char heap[HEAP] __attribute__((aligned(4096)));
static size_t used;
static void **unused[64];

static size_t *size_of(void *p)
{
	return (size_t *)p - 2;
}

static int list_of(size_t size)
{
	return size <= 16 ? 4 : 64 - __builtin_clzl(size - 1);
}

void *memalign(size_t align, size_t size)
{
	int list = list_of(size);
	void **p;

	lock_heap();
	p = align <= 16 ? unused[list] : NULL;
	if (p) {
		unused[list] = *p;
	} else {
		used = (used + 16 + align - 1) & -align;
		p = (void **)(heap + used);
		used = (used + (1ul << list) + 15) & -16ul;
		if (used > HEAP)
			_exit(3);
	}
	unlock_heap();
	*size_of(p) = size;
	return p;
}

void *aligned_alloc(size_t align, size_t size)
{
	return memalign(align, size);
}

int posix_memalign(void **p, size_t align, size_t size)
{
	*p = memalign(align, size);
	return 0;
}

void *malloc(size_t size)
{
	return memalign(16, size);
}

void *calloc(size_t n, size_t size)
{
	volatile char *p = memalign(16, n * size);

	/* Not by what a compiler would make a calloc of. */
	for (size_t i = 0; i < n * size; i++)
		p[i] = 0;
	return (void *)p;
}

void *realloc(void *old, size_t size)
{
	size_t had = old ? *size_of(old) : 0;
	char *p = memalign(16, size);

	memcpy(p, old, had < size ? had : size);
	free(old);
	return p;
}

void free(void *p)
{
	int list;

	if (!p)
		return;
	list = list_of(*size_of(p));
	lock_heap();
	*(void **)p = unused[list];
	unused[list] = p;
	unlock_heap();
}

/* ---- Those who use it ---------------------------------------------------- */

static int stop, calls;

static void *allocates(void *arg)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST }, *all;

	while (!LOAD(stop)) {
		OK(getaddrinfo("127.0.0.1", "80", &hints, &all));
		freeaddrinfo(all);
		ADD(calls, 1);
	}
	return arg;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS, i, had;
	pthread_t t[THREADS];

	section("allocating while one who has the lock sleeps");
	for (i = 0; i < THREADS; i++)
		t[i] = start(allocates, NULL);
	while (rounds-- > 0) {
		had = LOAD(calls);
		lock_heap();
		usleep(10000);
		unlock_heap();
		/* They go on. */
		YIELD_UNTIL(LOAD(calls) > had + THREADS);
	}
	STORE(stop, 1);
	for (i = 0; i < THREADS; i++)
		join(t[i]);
	return 0;
}
