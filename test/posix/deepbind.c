/*
 * deepbind - a library opened with RTLD_DEEPBIND uses locks, conditions and semaphores
 * together with the program, on the program's threads and on its own.
 */
#include "check.h"
#include <dlfcn.h>
#include <semaphore.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static long n, until = 2000;

static int (*deep_run)(void (*)(void));
static void (*deep_add)(pthread_mutex_t *, pthread_cond_t *, long *, long);
static void (*deep_post)(sem_t *);

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
	CHECK(deep_run && deep_add && deep_post);
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
	return 0;
}
