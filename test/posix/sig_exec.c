/*
 * sig_exec - a program that a thread starts, by exec or posix_spawn: handlers are gone,
 * what is ignored stays so, and its mask is the thread's or what the attributes say.
 */
#include "sigcheck.h"
#include <spawn.h>

static void handler(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
}

static char *self;
static int executed(const char *how)
{
	struct sigaction act;

	CHECK(sigaction(SIGTERM, NULL, &act) == 0);
	CHECK(act.sa_handler == SIG_DFL);
	CHECK(sigaction(SIGHUP, NULL, &act) == 0);
	CHECK((act.sa_handler == SIG_IGN) == (how[0] != 'a'));
	CHECK(blocked(SIGUSR1) == (how[0] != 'a'));
	CHECK(blocked(SIGWINCH) == (how[0] == 'a'));
	CHECK(!blocked(SIGUSR2) && !blocked(SIGRTMIN));
	CHECK(pending(SIGUSR1) == (how[0] == 'f'));
	return 0;
}

static void *executes(void *arg)
{
	static const char *const how[] = { "fork", "spawn", "attributes" };
	sigset_t mask = SET(SIGUSR1, SIGTERM, SIGALRM), other = SET(SIGWINCH),
		 hup = SET(SIGHUP);
	posix_spawnattr_t attr;
	char *args[4] = { self, (char *)"executed", NULL, NULL };
	pid_t pid;
	int i;

	set_mask(mask);
	for (i = 0; i < 3; i++) {
		args[2] = (char *)how[i];
		if (i == 0) {
			pid = fork();
			CHECK(pid >= 0);
			if (pid == 0) {
				CHECK(raise(SIGUSR1) == 0);
				execve("/proc/self/exe", args, environ);
				CHECK(!"executed");
			}
		} else {
			OK(posix_spawnattr_init(&attr));
			OK(posix_spawnattr_setflags(
				&attr, POSIX_SPAWN_SETSIGMASK |
					       POSIX_SPAWN_SETSIGDEF));
			OK(posix_spawnattr_setsigmask(&attr, &other));
			OK(posix_spawnattr_setsigdefault(&attr, &hup));
			CHECK_EQ(posix_spawn(&pid, "/proc/self/exe", NULL,
					     i == 1 ? NULL : &attr, args,
					     environ),
				 0);
			OK(posix_spawnattr_destroy(&attr));
		}
		reap(pid, 0);
		/* And the thread is as it was. */
		other = mask_now();
		CHECK(same_set(&other, &mask));
		other = SET(SIGWINCH);
		sched_yield();
	}
	return arg;
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "executed") == 0)
		return executed(argv[2]);
	self = argv[0];
	set_mask(full_set());
	CHECK(signal(SIGHUP, SIG_IGN) != SIG_ERR);
	install(SIGTERM, handler, 0);
	join(start(executes, NULL));
	return 0;
}
