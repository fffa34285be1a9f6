/*
 * own_malloc - a program with a malloc of its own, which is initialised by
 * pthread_once, holds a mutex, counts in a thread-local variable and looks for
 * libc's with dlsym: from the very first call, before any constructor, through
 * the start of threads and under them.
 */
#include "check.h"
#include <dlfcn.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void *(*libc_malloc)(size_t);
static void *(*libc_calloc)(size_t, size_t);
static void *(*libc_realloc)(void *, size_t);
static void (*libc_free)(void *);
/* The compiler believes that malloc changes nothing here. */
static __thread volatile long calls;
static volatile long allocated;
static __thread int inside;

/* What dlsym itself asks for, meanwhile. */
static char early[65536];
static size_t used;

static void *from_early(size_t n)
{
	void *p = early + used;

	used += (n + 15) & ~15ul;
	CHECK(used <= sizeof(early));
	return p;
}

static int is_early(const void *p)
{
	return (const char *)p >= early && (const char *)p < early + sizeof(early);
}

static void find(void)
{
	libc_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	libc_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	libc_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	libc_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	CHECK(libc_malloc && libc_calloc && libc_realloc && libc_free);
}

/* Nonzero if libc's may be called now. */
static int begin(void)
{
	if (inside++)
		return libc_malloc && libc_calloc && libc_realloc && libc_free;
	CHECK(pthread_once(&once, find) == 0);
	CHECK(pthread_mutex_lock(&lock) == 0);
	allocated++;
	CHECK(pthread_mutex_unlock(&lock) == 0);
	calls++;
	return 1;
}

static void end(void)
{
	inside--;
}

void *malloc(size_t n)
{
	void *p = begin() ? libc_malloc(n) : from_early(n);

	end();
	return p;
}

void *calloc(size_t n, size_t size)
{
	void *p = begin() ? libc_calloc(n, size) : from_early(n * size);

	end();
	return p;
}

void *realloc(void *old, size_t n)
{
	void *p;

	if (is_early(old)) {
		p = malloc(n);
		if (p)
			memcpy(p, old, n < 1024 ? n : 1024);
		return p;
	}
	p = begin() ? libc_realloc(old, n) : NULL;
	end();
	return p;
}

void free(void *p)
{
	if (!p || is_early(p))
		return;
	CHECK(begin());
	libc_free(p);
	end();
}

enum { N = 50, ROUNDS = 200 };

static void *allocates(void *arg)
{
	char *p[8] = { NULL };
	long first = calls;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		free(p[i % 8]);
		p[i % 8] = malloc(10 + (size_t)i);
		memset(p[i % 8], i, 10);
		if (i % 16 == 0)
			sched_yield();
	}
	for (i = 0; i < 8; i++)
		free(p[i]);
	CHECK(calls - first >= ROUNDS);
	return arg;
}

int main(void)
{
	pthread_t t[N];
	long i;

	section("threads");
	for (i = 0; i < N; i++)
		t[i] = start(allocates, NULL);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK(allocated >= (long)N * ROUNDS);
	return 0;
}
