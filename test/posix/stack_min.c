/*
 * stack_min - a stack is as large as was asked for: enough, at the least size, for what
 * a thread does with others, and for its cancellation; and no larger: who goes on to use
 * as much as all of it, beside what it has used already, dies by SIGSEGV, in
 * the guard. A change of the attribute afterwards changes nothing.
 */
#include "check.h"
#include <semaphore.h>

static sem_t sem, never;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn, cleaned;

static pthread_attr_t sized(size_t size, size_t guard)
{
	pthread_attr_t attr;

	OK(pthread_attr_init(&attr));
	OK(pthread_attr_setstacksize(&attr, size));
	OK(pthread_attr_setguardsize(&attr, guard));
	return attr;
}

static pthread_t start_with(pthread_attr_t *attr, thread_fn *fn, void *arg)
{
	pthread_t t;

	OK(pthread_create(&t, attr, fn, arg));
	return t;
}

/* ---- Enough ------------------------------------------------------------------ */

static void on_signal(int sig)
{
	ADD(turn, sig == SIGUSR1);
}

static void cleanup(void *arg)
{
	ADD(cleaned, arg == &cleaned);
}

static void *lives(void *arg)
{
	char text[64];
	int i;

	for (i = 0; i < 20; i++) {
		OK(pthread_mutex_lock(&lock));
		OK(pthread_cond_signal(&cond));
		OK(pthread_mutex_unlock(&lock));
		usleep(100);
		snprintf(text, sizeof(text), "%d %s", i, "text");
		free(strdup(text));
	}
	OK(pthread_kill(pthread_self(), SIGUSR1));
	pthread_cleanup_push(cleanup, &cleaned);
	CHECK(sem_post(&sem) == 0);
	sem_wait(&never);
	pthread_cleanup_pop(0);
	return arg;
}

static void enough(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	pthread_attr_t attr = sized(PTHREAD_STACK_MIN, 4096);
	pthread_t t[8];
	int i;

	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	for (i = 0; i < 8; i++)
		t[i] = start_with(&attr, lives, NULL);
	for (i = 0; i < 8; i++)
		CHECK(sem_wait(&sem) == 0);
	CHECK_EQ(LOAD(turn), 8);
	for (i = 0; i < 8; i++)
		OK(pthread_cancel(t[i]));
	for (i = 0; i < 8; i++)
		CHECK(join(t[i]) == PTHREAD_CANCELED);
	CHECK_EQ(LOAD(cleaned), 8);
}

/* ---- No more ------------------------------------------------------------------- */

static size_t size;

static void *uses_all(void *arg)
{
	volatile char *from = (volatile char *)stack_here();
	size_t n;

	while (sem_wait(&sem))
		;
	for (n = 1; n < size; n += 512)
		from[-(long)n] = 1;
	return arg;
}

static void overflows(size_t guard)
{
	pthread_attr_t attr = sized(size, guard);
	pthread_t t = start_with(&attr, uses_all, NULL);

	OK(pthread_attr_setstacksize(&attr, 8 << 20));
	CHECK(sem_post(&sem) == 0);
	CHECK(join(t) == NULL);
	_exit(0);
}

static void no_more(void)
{
	static const size_t sizes[] = { 0,	   24 << 10,  32 << 10,
					100 << 10, 300 << 10, 3 << 20 };
	static const size_t guards[] = { 4096, 64 << 10 };
	int status;
	pid_t pid;
	size_t i;

	for (i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		size = sizes[i / 2] ? sizes[i / 2] : PTHREAD_STACK_MIN;
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			overflows(guards[i % 2]);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
			check_fail(__FILE__, __LINE__,
				   "%zu bytes, guard %zu: status %#x", size,
				   guards[i % 2], status);
	}
}

/* The threads before left stacks of the same kind behind. */
static void *small_use(void *arg)
{
	volatile char *from = (volatile char *)stack_here();
	size_t n;

	for (n = 1; n < (size_t)(long)arg; n += 512)
		from[-(long)n] = 1;
	return NULL;
}

static void mixed(void)
{
	static const size_t sizes[] = { 17 << 10, 24 << 10, 30 << 10 };
	pthread_attr_t attr;
	int i;

	for (i = 0; i < 60; i++) {
		attr = sized(sizes[i % 3], 4096 * (size_t)(1 + i % 2));
		join(start_with(&attr, small_use,
				(void *)(long)(sizes[i % 3] - (8 << 10))));
		OK(pthread_attr_destroy(&attr));
	}
}

int main(void)
{
	CHECK(sem_init(&sem, 0, 0) == 0 && sem_init(&never, 0, 0) == 0);
	section("enough");
	enough();
	section("mixed");
	mixed();
	section("no more");
	no_more();
	return 0;
}
