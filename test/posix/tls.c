/*
 * tls - thread-local variables of the program and of a library opened before
 * or after the threads: own copies, initial values in every thread, also in
 * one that runs where another has ended, unchanged by yields and sleeps.
 */
#include "check.h"
#include <dlfcn.h>

static __thread int initial = 77;
static __thread int zero;
static __thread double real = 2.5;
static __thread char large[5000] = "large";
static __thread long aligned __attribute__((aligned(64))) = 5;
static __thread int *self = NULL;

static int dirty(void)
{
	return initial != 77 || zero || real != 2.5 || large[0] != 'l' ||
	       large[4999] || aligned != 5 || (uintptr_t)&aligned % 64 || self;
}

static void set(int v)
{
	initial = v;
	zero = v + 1;
	real = v / 2.0;
	large[0] = large[4999] = (char)v;
	aligned = v + 2;
	self = &initial;
}

static int is(int v)
{
	return initial == v && zero == v + 1 && real == v / 2.0 &&
	       large[0] == (char)v && large[4999] == (char)v &&
	       aligned == v + 2 && self == &initial;
}

static int (*dynamic_dirty)(void), (*dynamic_is)(int);
static void (*dynamic_set)(int);

static void *opened;
static void open_library(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);

	CHECK(n > 0);
	path[n] = 0;
	strcpy(strrchr(path, '/'), "/libtls_dynamic.so");
	opened = dlopen(path, RTLD_NOW);
	if (!opened)
		check_fail(__FILE__, __LINE__, "%s", dlerror());
	dynamic_dirty = (int (*)(void))dlsym(opened, "dynamic_dirty");
	dynamic_is = (int (*)(int))dlsym(opened, "dynamic_is");
	dynamic_set = (void (*)(int))dlsym(opened, "dynamic_set");
	CHECK(dynamic_dirty && dynamic_is && dynamic_set);
}

static void *lives(void *arg)
{
	int v = (int)(long)arg, i;

	CHECK(!dirty());
	set(v);
	for (i = 0; i < 5; i++) {
		sched_yield();
		CHECK(is(v));
		if (i == 2)
			usleep(10);
	}
	if (opened) {
		CHECK(!dynamic_dirty());
		dynamic_set(v);
		sched_yield();
		CHECK(dynamic_is(v));
	}
	CHECK(is(v));
	return NULL;
}

enum { N = 100 };
static pthread_barrier_t gate;
static void *parked(void *arg)
{
	int v = (int)(long)arg;

	set(v);
	pthread_barrier_wait(&gate);
	/* The library is opened here. */
	pthread_barrier_wait(&gate);
	CHECK(!dynamic_dirty());
	dynamic_set(v);
	pthread_barrier_wait(&gate);
	CHECK(dynamic_is(v));
	CHECK(is(v));
	return NULL;
}

/* In turn and together: identities are used again. */
static void generations(void)
{
	pthread_t t[50];
	long i, k;

	for (k = 0; k < 20; k++) {
		for (i = 0; i < 50; i++)
			t[i] = start(lives, (void *)(k * 50 + i + 100));
		for (i = 0; i < 50; i++)
			join(t[i]);
	}
}

int main(void)
{
	pthread_t t[N];
	long i;

	CHECK(!dirty());
	set(1);
	section("the program's own");
	generations();
	OK(pthread_barrier_init(&gate, NULL, N + 1));
	section("library opened while threads wait");
	for (i = 0; i < N; i++)
		t[i] = start(parked, (void *)(i + 10));
	pthread_barrier_wait(&gate);
	open_library();
	CHECK(!dynamic_dirty());
	dynamic_set(2);
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	for (i = 0; i < N; i++)
		join(t[i]);
	section("library opened before the threads");
	generations();
	CHECK(dynamic_is(2));
	CHECK(is(1));

	section("closed and opened again");
	for (i = 0; i < 5; i++) {
		CHECK(dlclose(opened) == 0);
		opened = NULL;
		join(start(lives, (void *)3L));
		open_library();
		CHECK(!dynamic_dirty());
		dynamic_set(2);
		generations();
		CHECK(dynamic_is(2));
	}
	CHECK(is(1));
	return 0;
}
