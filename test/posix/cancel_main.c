/*
 * cancel_main - the main thread is cancelled as any other: while it waits, parked or in
 * the kernel; while it computes, asynchronously; by itself. Its cleanup handler runs,
 * who joins it is told so, the other threads go on, and when the last of them has
 * ended the process exits with 0, after its atexit handlers.
 */
#include "check.h"
#include <semaphore.h>

static pthread_t main_thread;
static int cleaned, joined, waiting;
static sem_t never;
static volatile unsigned long work;

static void parked(void)
{
	sem_wait(&never);
}

static void in_kernel(void)
{
	int fd[2];
	char c;
	FILE *f;

	CHECK(pipe(fd) == 0);
	f = fdopen(fd[0], "r");
	fread(&c, 1, 1, f);
}

static void computes(void)
{
	OK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
	for (;;)
		work++;
}

static void itself(void)
{
	pthread_cancel(pthread_self());
	pthread_testcancel();
}

static void cleanup(void *arg)
{
	ADD(cleaned, arg == &cleaned);
}

static void *joins(void *arg)
{
	void (*what)(void) = (void (*)(void))arg;

	YIELD_UNTIL(LOAD(waiting));
	usleep(1000);
	if (what != itself)
		OK(pthread_cancel(main_thread));
	CHECK(join(main_thread) == PTHREAD_CANCELED);
	CHECK_EQ(LOAD(cleaned), 1);
	STORE(joined, 1);
	return NULL;
}

static void *goes_on(void *arg)
{
	YIELD_UNTIL(LOAD(joined));
	usleep(1000);
	return arg;
}

static void at_exit(void)
{
	CHECK(joined);
	CHECK(write(1, "exit\n", 5) == 5);
}

static void run(void (*what)(void))
{
	main_thread = pthread_self();
	CHECK(sem_init(&never, 0, 0) == 0);
	CHECK(atexit(at_exit) == 0);
	start(joins, (void *)what);
	start(goes_on, NULL);
	pthread_cleanup_push(cleanup, &cleaned);
	STORE(waiting, 1);
	what();
	CHECK(!"cancelled");
	pthread_cleanup_pop(0);
}

int main(void)
{
	static void (*const whats[])(void) = { parked, in_kernel, computes,
					       itself };
	size_t i;
	pid_t pid;

	for (i = 0; i < 3 * sizeof(whats) / sizeof(whats[0]); i++) {
		fflush(stdout);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			run(whats[i / 3]);
		reap(pid, 0);
	}
	return 0;
}
