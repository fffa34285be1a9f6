/*
 * tls_ie_dlopen - a library whose thread-locals have fixed places is opened
 * while a hundred threads wait: each of them, and every later one, sees the
 * initial values.
 */
#include "check.h"
#include <dlfcn.h>

enum { N = 100 };
static int (*ie_dirty)(void), (*ie_is)(int);
static void (*ie_set)(int);
static pthread_barrier_t gate;

static void *parked(void *arg)
{
	int v = (int)(long)arg;

	pthread_barrier_wait(&gate);
	/* The library is opened here. */
	pthread_barrier_wait(&gate);
	CHECK(!ie_dirty());
	ie_set(v);
	sched_yield();
	pthread_barrier_wait(&gate);
	CHECK(ie_is(v));
	return NULL;
}

static void *later(void *arg)
{
	int v = (int)(long)arg;

	CHECK(!ie_dirty());
	ie_set(v);
	sched_yield();
	CHECK(ie_is(v));
	return NULL;
}

static void *nothing(void *arg)
{
	volatile char deep[16384];

	/* Leaves its marks where a later thread's variables may be. */
	memset((char *)deep, 0xa5, sizeof(deep));
	return deep[100] ? arg : NULL;
}

int main(void)
{
	char path[4096];
	pthread_t t[N];
	void *lib;
	ssize_t n;
	long i, k;

	OK(pthread_barrier_init(&gate, NULL, N + 1));
	for (i = 0; i < 50; i++)
		t[i] = start(nothing, NULL);
	for (i = 0; i < 50; i++)
		join(t[i]);
	section("opened while threads wait");
	for (i = 0; i < N; i++)
		t[i] = start(parked, (void *)(i + 1));
	pthread_barrier_wait(&gate);

	n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	CHECK(n > 0);
	path[n] = 0;
	strcpy(strrchr(path, '/'), "/libtls_ie.so");
	lib = dlopen(path, RTLD_NOW);
	if (!lib)
		check_fail(__FILE__, __LINE__, "%s", dlerror());
	ie_dirty = (int (*)(void))dlsym(lib, "ie_dirty");
	ie_is = (int (*)(int))dlsym(lib, "ie_is");
	ie_set = (void (*)(int))dlsym(lib, "ie_set");
	CHECK(ie_dirty && ie_is && ie_set);
	CHECK(!ie_dirty());
	ie_set(1000);

	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK(ie_is(1000));

	section("later threads");
	for (k = 0; k < 10; k++) {
		for (i = 0; i < N; i++)
			t[i] = start(later, (void *)(i + k));
		for (i = 0; i < N; i++)
			join(t[i]);
	}
	CHECK(ie_is(1000));
	return 0;
}
