/*
 * sig_leave - a thread that waits in the kernel, with nobody else to run, is ended by
 * pthread_exit in a handler, or leaves the wait by a jump: what others wait for still
 * comes, and so does the next thread's wait.
 */
#include "sigcheck.h"
#include <poll.h>
#include <setjmp.h>
#include <sys/time.h>
#include <sys/wait.h>

static __thread sigjmp_buf env;
static __thread volatile int ending;
static int cleaned;

static void leaves(int sig, siginfo_t *si, void *context)
{
	(void)si, (void)context;
	if (ending)
		pthread_exit((void *)(long)sig);
	siglongjmp(env, sig);
}

static void cleanup(void *arg)
{
	(void)arg;
	usleep(10); /* waits, too */
	ADD(cleaned, 1);
}

static const struct timespec far = { 600, 0 };
static pid_t child;

static void sleeps(void)
{
	nanosleep(&far, NULL);
}

static void polls(void)
{
	poll(NULL, 0, 600000);
}

static void waits(void)
{
	waitpid(child, NULL, 0);
}

static void (*wait_in)(void);

static void be_left(void)
{
	struct itimerval soon = { { 0, 0 }, { 0, 500 } };

	CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
	for (;;)
		wait_in();
}

/* The signal is the process's: main blocks it, and waits for this thread. */
static void *thread(void *arg)
{
	(void)arg;
	ending = 0;
	unblock(SIGALRM);
	if (sigsetjmp(env, 1) == 0)
		be_left();
	ending = 1;
	pthread_cleanup_push(cleanup, NULL);
	be_left();
	pthread_cleanup_pop(0);
	return NULL;
}

int main(int argc, char **argv)
{
	static void (*const kinds[])(void) = { sleeps, polls, waits };
	long rounds = argc > 1 ? atol(argv[1]) : 50, i;
	int k;

	install(SIGALRM, leaves, 0);
	block(SIGALRM);
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		for (;;)
			pause();
	for (k = 0; k < 3; k++) {
		wait_in = kinds[k];
		for (i = 0; i < rounds; i++)
			CHECK(join(start(thread, NULL)) ==
			      (void *)(long)SIGALRM);
	}
	CHECK_EQ(cleaned, 3 * rounds);
	CHECK(kill(child, SIGKILL) == 0);
	CHECK(waitpid(child, NULL, 0) == child);
	return 0;
}
