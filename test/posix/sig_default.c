/*
 * sig_default - a signal for the process that has no handler does what its default says
 * while all threads sleep, if one lets it in: it ends the process, or stops it, or
 * nothing. In children made before any thread exists.
 */
#include "sigcheck.h"
#include <poll.h>
#include <semaphore.h>
#include <sys/resource.h>

static const struct timespec far = { 600, 0 };
static int there;
static sem_t sem;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int to_child[2], from_child[2];
static int victim, lets_in;

static void *undisturbed(void *arg)
{
	struct pollfd p = { -1, 0, 0 };
	char c;

	ADD(there, 1);
	switch ((int)(long)arg) {
	case 0:
		if (lets_in == 1)
			unblock(victim);
		nanosleep(&far, NULL);
		break;
	case 1:
		OK(pthread_mutex_lock(&lock));
		while (1)
			OK(pthread_cond_wait(&cond, &lock));
	case 2:
		sem_wait(&sem);
		break;
	case 3:
		poll(&p, 1, -1);
		break;
	case 4:
		pause();
		break;
	case 5:
		CHECK_EQ(read(to_child[0], &c, 1), 1);
		if (c == 'u')
			unblock(victim);
		else
			_exit(7);
		break;
	}
	/* Nothing above may come back. */
	_exit(8);
}

/* How many let it in: all, one that sleeps, none. */
enum { OPEN_ALL, OPEN_ONE, OPEN_NONE };
static pid_t child_of(int sig, int open)
{
	char c = 'r';
	pid_t pid;
	long i;

	CHECK(pipe(to_child) == 0 && pipe(from_child) == 0);
	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid)
		goto parent;
	victim = sig;
	lets_in = open;
	CHECK(sem_init(&sem, 0, 0) == 0);
	set_mask(open == OPEN_ALL ? SET() : full_set());
	for (i = 0; i < 6; i++)
		start(undisturbed, (void *)i);
	YIELD_UNTIL(LOAD(there) == 6);
	usleep(300);
	CHECK(write(from_child[1], &c, 1) == 1);
	pause();
	_exit(9);
parent:
	CHECK_EQ(read(from_child[0], &c, 1), 1);
	return pid;
}

static void tell(char c)
{
	CHECK(write(to_child[1], &c, 1) == 1);
}

static void killed(pid_t pid, int sig)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != sig)
		check_fail(__FILE__, __LINE__, "status %x, not signal %d",
			   status, sig);
	close(to_child[0]);
	close(to_child[1]);
	close(from_child[0]);
	close(from_child[1]);
}

static void ends_well(pid_t pid)
{
	tell('x');
	reap(pid, 7);
	close(to_child[0]);
	close(to_child[1]);
	close(from_child[0]);
	close(from_child[1]);
}

static void returns(int sig)
{
	(void)sig;
}

static void *aborts(void *arg)
{
	if (arg)
		set_mask(full_set());
	abort();
}

static void ends(void)
{
	const int sigs[] = { SIGTERM, SIGHUP,	    SIGALRM, SIGUSR1,
			     SIGKILL, SIGRTMIN + 5, SIGABRT, SIGSEGV };
	size_t i;
	pid_t pid;

	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		pid = child_of(sigs[i], OPEN_ALL);
		CHECK(kill(pid, sigs[i]) == 0);
		killed(pid, sigs[i]);
	}
}

static void one_lets_it_in(void)
{
	pid_t pid;
	int i;

	for (i = 0; i < 2; i++) {
		pid = child_of(SIGTERM, OPEN_ONE);
		CHECK(kill(pid, SIGTERM) == 0);
		killed(pid, SIGTERM);
	}
}

static void nobody_does(void)
{
	pid_t pid = child_of(SIGTERM, OPEN_NONE);

	CHECK(kill(pid, SIGTERM) == 0);
	ends_well(pid);
	pid = child_of(SIGTERM, OPEN_NONE);
	CHECK(kill(pid, SIGTERM) == 0);
	tell('u');
	killed(pid, SIGTERM);
}

static void does_nothing(void)
{
	static const int sigs[] = { SIGCHLD, SIGWINCH, SIGURG, SIGCONT };
	pid_t pid = child_of(0, OPEN_ALL);
	size_t i;

	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		CHECK(kill(pid, sigs[i]) == 0);
	ends_well(pid);
}

static void stops(void)
{
	pid_t pid = child_of(0, OPEN_ALL);
	int i, status;

	for (i = 0; i < 3; i++) {
		CHECK(kill(pid, i == 1 ? SIGTSTP : SIGSTOP) == 0);
		if (i == 1)
			continue; /* stops if somebody could continue it */
		CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
		CHECK(WIFSTOPPED(status));
		CHECK(kill(pid, SIGCONT) == 0);
		CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
		CHECK(WIFCONTINUED(status));
	}
	ends_well(pid);
}

/* Ignored, or with a handler that returns; blocked, too. */
static void aborted(void)
{
	int i, status;
	pid_t pid;

	for (i = 0; i < 2; i++) {
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			CHECK(signal(SIGABRT, i ? SIG_IGN : returns) !=
			      SIG_ERR);
			start(aborts, i ? &there : NULL);
			while (1)
				pause();
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

int main(void)
{
	const struct rlimit no_core = { 0, 0 };

	CHECK(setrlimit(RLIMIT_CORE, &no_core) == 0);
	section("ends");
	ends();
	section("ends, one lets it in");
	one_lets_it_in();
	section("nobody lets it in");
	nobody_does();
	section("nothing");
	does_nothing();
	section("stops");
	stops();
	section("abort");
	aborted();
	return 0;
}
