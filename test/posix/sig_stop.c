/*
 * sig_stop - a thread of a process stops it, by a signal whose action is the default:
 * once for each time that it lets one in, and nothing of it waits afterwards; beside
 * threads that compute.
 */
#include "sigcheck.h"
#include <sys/wait.h>

enum { ROUNDS = 20, STOPS = 2 * ROUNDS };

static void handler(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
}

static void *computes(void *arg)
{
	static volatile int n;

	for (;;)
		n++;
	return arg;
}

static void *stops(void *arg)
{
	static const int stopping[] = { SIGTSTP, SIGTTIN, SIGTTOU };
	int i, sig;

	for (i = 0; i < ROUNDS; i++) {
		sig = stopping[i % 3];
		if (i / 3 % 2) { /* has had a handler, and came */
			install(sig, handler, 0);
			CHECK(raise(sig) == 0);
			CHECK(signal(sig, SIG_DFL) != SIG_ERR);
		}
		CHECK(raise(sig) == 0);
		CHECK(!pending(sig));
		block(sig);
		CHECK(raise(sig) == 0);
		usleep(200); /* others run here meanwhile */
		CHECK(pending(sig));
		unblock(sig);
		CHECK(!pending(sig));
		usleep(200);
	}
	return arg;
}

static void child(void)
{
	int i;

	CHECK(setpgid(0, 0) == 0); /* its parent could continue it */
	for (i = 0; i < 3; i++)
		start(computes, NULL);
	join(start(stops, NULL));
	_exit(0);
}

int main(void)
{
	int status, n = 0;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		child();
	for (;;) {
		CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
		if (!WIFSTOPPED(status))
			break;
		n++;
		CHECK(kill(pid, SIGCONT) == 0);
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK_EQ(n, STOPS);
	return 0;
}
