/*
 * deepbind - a library opened with RTLD_DEEPBIND uses locks, conditions and semaphores
 * together with the program, on the program's threads and on its own, and knows the CPU
 * that it is on. So does who has libc's functions by libc's handle.
 */
#include "check.h"
#include <dlfcn.h>
#include <sched.h>
#include <semaphore.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static long n, until = 2000;

static int (*deep_run)(void (*)(void));
static void (*deep_add)(pthread_mutex_t *, pthread_cond_t *, long *, long);
static void (*deep_post)(sem_t *);
static int (*deep_rseq)(void);

static void add(void)
{
	OK(pthread_mutex_lock(&lock));
	while (n < until) {
		if (n % 2 == 0) {
			n++;
			OK(pthread_cond_signal(&cond));
		} else {
			OK(pthread_cond_wait(&cond, &lock));
		}
	}
	OK(pthread_cond_signal(&cond));
	OK(pthread_mutex_unlock(&lock));
}

static void *adds(void *arg)
{
	add();
	return arg;
}

static void *calls_add(void *arg)
{
	deep_add(&lock, &cond, &n, until);
	return arg;
}

static void *posts(void *arg)
{
	int i;

	for (i = 0; i < 50; i++)
		deep_post(&sem);
	return arg;
}

/* On one CPU, which is not that of a record full of 0. */
static void *knows_cpu(void *arg)
{
	cpu_set_t all, last;
	int cpu = CPU_SETSIZE - 1, got;

	OK(pthread_getaffinity_np(pthread_self(), sizeof(all), &all));
	while (!CPU_ISSET(cpu, &all))
		cpu--;
	CPU_ZERO(&last);
	CPU_SET(cpu, &last);
	OK(pthread_setaffinity_np(pthread_self(), sizeof(last), &last));
	got = deep_rseq();
	CHECK(got < 0 || got == cpu);
	return arg;
}

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static int stage;

static void *holds(void *arg)
{
	OK(pthread_mutex_lock(&held));
	STORE(stage, 1);
	usleep(20000);
	OK(pthread_mutex_unlock(&held));
	return arg;
}

static void by_handle(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW);
	int (*locks)(pthread_mutex_t *), (*unlocks)(pthread_mutex_t *);
	int (*joins)(pthread_t, void **);
	pthread_t t;

	CHECK(libc != NULL);
	locks = (int (*)(pthread_mutex_t *))dlsym(libc, "pthread_mutex_lock");
	unlocks =
		(int (*)(pthread_mutex_t *))dlsym(libc, "pthread_mutex_unlock");
	joins = (int (*)(pthread_t, void **))dlsym(libc, "pthread_join");
	CHECK(locks && unlocks && joins);
	CHECK(locks == pthread_mutex_lock);
	CHECK(!dlsym(libc, "no_such_name") && dlerror());
	t = start(holds, NULL);
	while (!LOAD(stage))
		sched_yield();
	OK(locks(&held));
	OK(unlocks(&held));
	OK(joins(t, NULL));
}

int main(void)
{
	char path[4096];
	pthread_t t[2];
	ssize_t len;
	void *lib;
	int i;

	len = readlink("/proc/self/exe", path, sizeof(path) - 64);
	CHECK(len > 0);
	path[len] = 0;
	strcpy(strrchr(path, '/'), "/libdeep.so");
	lib = dlopen(path, RTLD_LAZY | RTLD_DEEPBIND);
	if (!lib)
		check_fail(__FILE__, __LINE__, "%s", dlerror());
	deep_run = (int (*)(void (*)(void)))dlsym(lib, "deep_run");
	deep_add = (void (*)(pthread_mutex_t *, pthread_cond_t *, long *,
			     long))dlsym(lib, "deep_add");
	deep_post = (void (*)(sem_t *))dlsym(lib, "deep_post");
	deep_rseq = (int (*)(void))dlsym(lib, "deep_rseq");
	CHECK(deep_run && deep_add && deep_post && deep_rseq);
	CHECK(sem_init(&sem, 0, 0) == 0);
	section("turns");
	t[0] = start(adds, NULL);
	t[1] = start(calls_add, NULL);
	join(t[0]);
	join(t[1]);
	CHECK(n >= until);
	section("semaphores");
	t[0] = start(posts, NULL);
	for (i = 0; i < 50; i++)
		while (sem_wait(&sem))
			CHECK_EQ(errno, EINTR);
	join(t[0]);
	section("its thread");
	n = 0;
	t[0] = start(calls_add, NULL);
	CHECK_EQ(deep_run(add), 0);
	join(t[0]);
	CHECK(n >= until);
	section("its CPU");
	join(start(knows_cpu, NULL));
	section("libc's by its handle");
	by_handle();
	return 0;
}
