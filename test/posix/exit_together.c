/*
 * exit_together - the last threads of a process end at the same time: one of them, no
 * matter which, ends the process with 0 and runs its atexit handlers, once.
 *
 * exit_together [processes]
 */
#include "check.h"

enum { N = 4 };
static int go, told[2];

static void at_exit(void)
{
	CHECK_EQ(write(told[1], "x", 1), 1);
}

static void *ends(void *arg)
{
	while (!LOAD(go))
		sched_yield();
	return arg;
}

static void child(void)
{
	int i;

	CHECK(atexit(at_exit) == 0);
	for (i = 0; i < N; i++)
		OK(pthread_detach(start(ends, NULL)));
	STORE(go, 1);
	pthread_exit(NULL);
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 100, i;
	char c[2];

	CHECK_EQ(pipe(told), 0);
	section("processes");
	for (i = 0; i < n; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0)
			child();
		reap(pid, 0);
		CHECK_EQ(read(told[0], c, sizeof(c)), 1);
	}
	return 0;
}
