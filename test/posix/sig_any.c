/*
 * sig_any - signals that a thread library might have a use for itself are the
 * program's all the same: what they do by default and when ignored, that they
 * wait while all threads block them, for whoever lets them in or asks for them,
 * and what other programs that this one starts inherit of them.  All beside
 * threads that compute, so that the library has a use for its own.
 */
#include "sigcheck.h"
#include <spawn.h>
#include <sys/file.h>

extern char **environ;

static int stop, computing;
static void *computes(void *arg)
{
	ADD(computing, 1);
	while (!LOAD(stop))
		;
	return arg;
}

enum { BUSY = 3 };
static pthread_t busy[BUSY];

static void begin(void)
{
	int i;

	STORE(stop, 0);
	STORE(computing, 0);
	for (i = 0; i < BUSY; i++)
		busy[i] = start(computes, NULL);
	NAP_UNTIL(LOAD(computing) == BUSY);
}

static void end(void)
{
	int i;

	STORE(stop, 1);
	for (i = 0; i < BUSY; i++)
		join(busy[i]);
}

/* In a child with threads of its own; its wait status. */
static int in_child(void (*fn)(int), int sig)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		alarm(20);
		fn(sig);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

/* Sent from outside, by a child. */
static void from_outside(int sig)
{
	pid_t to = getpid(), pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(kill(to, sig) != 0);
	reap(pid, 0);
}

static int runs;
static void handler(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
	ADD(runs, 1);
}

/* ---- Default actions ------------------------------------------------------- */

static void *kills_self(void *arg)
{
	kill(getpid(), *(int *)arg);
	return arg;
}

/* Until it has: for good, or long enough for what must not be. */
static void acts(int sig)
{
	struct sigaction a;

	CHECK(sigaction(sig, NULL, &a) == 0);
	if (a.sa_handler == SIG_IGN || sig == SIGURG)
		usleep(20000);
	else
		for (;;)
			pause();
	end();
}

static void killed_from_outside(int sig)
{
	begin();
	from_outside(sig);
	acts(sig);
}

static void killed_by_itself(int sig)
{
	begin();
	join(start(kills_self, &sig));
	acts(sig);
}

static void killed_by_thread(int sig)
{
	begin();
	pthread_kill(busy[0], sig);
	acts(sig);
}

static void ignored(int sig)
{
	CHECK(signal(sig, SIG_IGN) != SIG_ERR);
	killed_from_outside(sig);
	killed_by_itself(sig);
	killed_by_thread(sig);
}

/* After a handler was there, too. */
static void default_again(int sig)
{
	STORE(runs, 0);
	install(sig, handler, SA_RESETHAND);
	begin();
	from_outside(sig);
	NAP_UNTIL(LOAD(runs) == 1);
	from_outside(sig);
	acts(sig);
}

static void defaults(int sig)
{
	int want = sig == SIGURG ? 0 : sig;

	CHECK_EQ(in_child(killed_from_outside, sig), want);
	CHECK_EQ(in_child(killed_by_itself, sig), want);
	CHECK_EQ(in_child(killed_by_thread, sig), want);
	CHECK_EQ(in_child(default_again, sig), want);
	CHECK_EQ(in_child(ignored, sig), 0);
}

/* ---- While all block it ------------------------------------------------------ */

static void *waits_for(void *arg)
{
	sigset_t set = SET(*(int *)arg);
	int sig;

	OK(sigwait(&set, &sig));
	CHECK_EQ(sig, *(int *)arg);
	return arg;
}

static void *lets_in(void *arg)
{
	CHECK(pending(*(int *)arg));
	CHECK_EQ(LOAD(runs), 0);
	unblock(*(int *)arg);
	CHECK_EQ(LOAD(runs), 1);
	return arg;
}

static void all_block(int sig)
{
	sigset_t set = SET(sig);
	struct timespec none = { 0, 0 };

	STORE(runs, 0);
	install(sig, handler, 0);
	block(sig);
	begin();
	CHECK(!pending(sig));
	CHECK(kill(getpid(), sig) == 0);
	CHECK(pending(sig));
	join(start(waits_for, &sig));
	CHECK(!pending(sig));
	from_outside(sig);
	NAP_UNTIL(pending(sig));
	CHECK_EQ(sigtimedwait(&set, NULL, &none), sig);
	ERR(EAGAIN, sigtimedwait(&set, NULL, &none));
	from_outside(sig);
	NAP_UNTIL(pending(sig));
	join(start(lets_in, &sig));
	CHECK(!pending(sig));
	CHECK(raise(sig) == 0);
	CHECK(pending(sig));
	unblock(sig);
	CHECK_EQ(LOAD(runs), 2);
	/* of the default action it is true, too */
	block(sig);
	CHECK(signal(sig, SIG_DFL) != SIG_ERR);
	from_outside(sig);
	NAP_UNTIL(sig == SIGURG || pending(sig));
	CHECK(signal(sig, SIG_IGN) != SIG_ERR);
	CHECK(!pending(sig));
	unblock(sig);
	end();
	CHECK_EQ(LOAD(runs), 2);
	CHECK(signal(sig, SIG_DFL) != SIG_ERR);
}

/* ---- A handler, and what it interrupts ---------------------------------------- */

static int lock_file(void)
{
	char name[] = "/tmp/sig_any.XXXXXX";
	int fd = mkstemp(name), again;

	CHECK(fd >= 0);
	again = open(name, O_RDWR);
	CHECK(again >= 0 && unlink(name) == 0);
	CHECK(flock(fd, LOCK_EX) == 0); /* for good */
	return again;
}

static int started;
static void *blocks(void *arg)
{
	int *fd = arg;

	STORE(started, 1);
	ERR(EINTR, flock(*fd, LOCK_EX));
	return arg;
}

/* Without SA_RESTART; sent until it is in the call. */
static void interrupts(int sig)
{
	int fd = lock_file();
	pthread_t t;

	install(sig, handler, 0);
	begin();
	STORE(started, 0);
	t = start(blocks, &fd);
	NAP_UNTIL(LOAD(started));
	while (pthread_tryjoin_np(t, NULL) == EBUSY) {
		OK(pthread_kill(t, sig));
		usleep(1000);
	}
	end();
	close(fd);
}

/* ---- What another program inherits ----------------------------------------- */

static int inherited(char **argv)
{
	int sig = atoi(argv[2]), ignores = atoi(argv[3]);
	struct sigaction a;

	CHECK(sigaction(sig, NULL, &a) == 0);
	CHECK(a.sa_handler == (ignores ? SIG_IGN : SIG_DFL));
	CHECK_EQ(blocked(sig), atoi(argv[4]));
	return 7;
}

static char *args[6], text[3][12];

static void runs_it(int how)
{
	char command[600];
	posix_spawnattr_t attr;
	pid_t pid = 0;
	FILE *f;

	/* a shell lets all in */
	snprintf(command, sizeof(command), "%s inherited %s %s 0", args[0],
		 args[2], args[3]);
	switch (how) {
	case 0:
		pid = fork();
		if (pid == 0) {
			execv(args[0], args);
			_exit(1);
		}
		break;
	case 1:
		pid = vfork();
		if (pid == 0) {
			execv(args[0], args);
			_exit(1);
		}
		break;
	case 2:
		CHECK(posix_spawnattr_init(&attr) == 0);
		CHECK(posix_spawn(&pid, args[0], NULL, &attr, args, environ) ==
		      0);
		break;
	case 3:
		CHECK_EQ(WEXITSTATUS(system(command)), 7);
		return;
	default:
		f = popen(command, "r");
		CHECK(f);
		CHECK_EQ(WEXITSTATUS(pclose(f)), 7);
		return;
	}
	CHECK(pid > 0);
	reap(pid, 7);
}

static void *all_ways(void *arg)
{
	int how;

	for (how = 0; how < 5; how++)
		runs_it(how);
	return arg;
}

static void inherits(const char *self, int sig)
{
	int what;

	args[0] = (char *)self;
	args[1] = (char *)"inherited";
	for (what = 0; what < 4; what++) {
		snprintf(text[0], sizeof(text[0]), "%d", sig);
		snprintf(text[1], sizeof(text[1]), "%d", what & 1);
		snprintf(text[2], sizeof(text[2]), "%d", what >> 1);
		args[2] = text[0];
		args[3] = text[1];
		args[4] = text[2];
		CHECK(signal(sig, what & 1 ? SIG_IGN : SIG_DFL) != SIG_ERR);
		if (what >> 1)
			block(sig);
		begin();
		all_ways(NULL);
		join(start(all_ways, NULL));
		end();
		unblock(sig);
	}
	CHECK(signal(sig, SIG_DFL) != SIG_ERR);
}

int main(int argc, char **argv)
{
	const int sigs[] = { SIGURG, SIGUSR2, SIGRTMIN + 3 };
	unsigned i;

	if (argc > 4 && !strcmp(argv[1], "inherited"))
		return inherited(argv);
	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		section("by default");
		defaults(sigs[i]);
		section("while all block it");
		all_block(sigs[i]);
		section("what a handler interrupts");
		interrupts(sigs[i]);
		section("what another program inherits");
		inherits(argv[0], sigs[i]);
	}
	return 0;
}
