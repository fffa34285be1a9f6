/*
 * dlopen_many - libraries with thread-local variables, of fixed places and dynamic
 * ones, come and go while thousands of threads wait: each of them sees initial values
 * each time, and its own; so do threads that begin meanwhile.  Memory is given back.
 * A library may start threads in its constructor; code stays as long as threads have
 * its destructors to run.
 *
 * dlopen_many [threads]
 */
#include "check.h"
#include <dlfcn.h>
#include <semaphore.h>

enum { ROUNDS = 3, CYCLES = 20 };
static int n = 10000;
static pthread_barrier_t gate;
static sem_t told, there;

struct library {
	void *handle;
	int (*dirty)(void), (*is)(int);
	void (*set)(int);
};
static struct library ie, dynamic;

static void *open_beside(const char *name)
{
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 64);
	void *lib;

	CHECK(len > 0);
	path[len] = 0;
	strcpy(strrchr(path, '/') + 1, name);
	lib = dlopen(path, RTLD_NOW);
	if (!lib)
		check_fail(__FILE__, __LINE__, "%s", dlerror());
	return lib;
}

static void *function(void *lib, const char *prefix, const char *name)
{
	char symbol[64];
	void *f;

	snprintf(symbol, sizeof(symbol), "%s%s", prefix, name);
	f = dlsym(lib, symbol);
	CHECK(f);
	return f;
}

static void open_tls(struct library *l, const char *name, const char *prefix)
{
	l->handle = open_beside(name);
	l->dirty = (int (*)(void))function(l->handle, prefix, "dirty");
	l->is = (int (*)(int))function(l->handle, prefix, "is");
	l->set = (void (*)(int))function(l->handle, prefix, "set");
}

static void open_both(void)
{
	open_tls(&ie, "libtls_ie.so", "ie_");
	open_tls(&dynamic, "libtls_dynamic.so", "dynamic_");
}

static void close_both(void)
{
	CHECK(dlclose(dynamic.handle) == 0);
	CHECK(dlclose(ie.handle) == 0);
}

static void use(int v)
{
	CHECK(!ie.dirty());
	CHECK(!dynamic.dirty());
	ie.set(v);
	dynamic.set(v);
}

static void used(int v)
{
	CHECK(ie.is(v));
	CHECK(dynamic.is(v));
}

static void *lives(void *arg)
{
	int me = (int)(long)arg, i;

	for (i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&gate);
		/* The libraries are opened here. */
		pthread_barrier_wait(&gate);
		use(me + i);
		pthread_barrier_wait(&gate);
		used(me + i);
		pthread_barrier_wait(&gate);
		/* They are closed here. */
	}
	return NULL;
}

static long resident(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f);
	CHECK(fscanf(f, "%*d %ld", &pages) == 1);
	fclose(f);
	return pages * 4 / 1024; /* MB */
}

static void many(void)
{
	pthread_t *t = calloc((size_t)n, sizeof(*t));
	long i, k, first = 0;

	OK(pthread_barrier_init(&gate, NULL, (unsigned)n + 1));
	for (i = 0; i < n; i++)
		t[i] = start_small(lives, (void *)i);
	for (k = 0; k < ROUNDS; k++) {
		pthread_barrier_wait(&gate);
		open_both();
		pthread_barrier_wait(&gate);
		use((int)k);
		pthread_barrier_wait(&gate);
		used((int)k);
		pthread_barrier_wait(&gate);
		close_both();
		if (k == 0)
			first = resident();
	}
	/* Not one round's more each time. */
	CHECK(resident() < first + first / 2 + 100);
	for (i = 0; i < n; i++)
		join(t[i]);
	OK(pthread_barrier_destroy(&gate));
	free(t);
}

/* ---- Threads begin and end meanwhile -------------------------------------- */

static int stop;

static void *nothing(void *arg)
{
	return arg;
}

static void *makes(void *arg)
{
	while (!LOAD(stop))
		join(start_small(nothing, NULL));
	return arg;
}

static void *uses_once(void *arg)
{
	use((int)(long)arg);
	sched_yield();
	used((int)(long)arg);
	return NULL;
}

static void meanwhile(void)
{
	pthread_t t[4];
	long i, k;

	for (i = 0; i < 3; i++)
		t[i] = start(makes, NULL);
	for (k = 0; k < CYCLES; k++) {
		open_both();
		for (i = 0; i < 3; i++)
			join(start_small(uses_once, (void *)(k + i)));
		close_both();
	}
	STORE(stop, 1);
	for (i = 0; i < 3; i++)
		join(t[i]);
}

/* ---- Constructors and destructors ------------------------------------------ */

static void (*leave)(int *);
static int destroyed;

static void *leaves(void *arg)
{
	leave(&destroyed);
	CHECK(sem_post(&there) == 0);
	while (sem_wait(&told))
		CHECK_EQ(errno, EINTR);
	return arg;
}

static void constructors(void)
{
	pthread_t t;
	void *lib;
	int i;

	for (i = 0; i < 10; i++)
		CHECK(dlclose(open_beside("libctor_threads.so")) == 0);
	/* A thread-local object's destructor runs, though the library was closed. */
	lib = open_beside("libctor_threads.so");
	leave = (void (*)(int *))function(lib, "leave_", "destructor");
	t = start(leaves, NULL);
	CHECK(sem_wait(&there) == 0);
	CHECK(dlclose(lib) == 0);
	CHECK_EQ(destroyed, 0);
	CHECK(sem_post(&told) == 0);
	join(t);
	CHECK_EQ(destroyed, 1);
	/* That of a key that the library has deleted does not. */
	lib = open_beside("libctor_threads.so");
	leave = (void (*)(int *))function(lib, "leave_", "value");
	t = start(leaves, NULL);
	CHECK(sem_wait(&there) == 0);
	CHECK(dlclose(lib) == 0);
	CHECK(sem_post(&told) == 0);
	join(t);
	CHECK_EQ(destroyed, 1);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		n = atoi(argv[1]);
	CHECK(sem_init(&told, 0, 0) == 0 && sem_init(&there, 0, 0) == 0);
	section("while they wait");
	many();
	section("while others begin and end");
	meanwhile();
	section("constructors and destructors");
	constructors();
	return 0;
}
