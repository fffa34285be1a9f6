/*
 * exec_exit - how a process with threads becomes another program, or ends:
 * execve from main, threads and handlers, while others compute and wait, with
 * what it hands on (mask, pending and ignored signals, descriptors, the
 * environment) and when it fails; every way to exit, from main and threads,
 * with others left; daemon.  Each scene is a child of its own.
 *
 * exec_exit [rounds]
 */
#include "sigcheck.h"
#include <fcntl.h>

extern char **environ;
static char *self_path;
static int out[2];

/* ---- The program that it becomes ----------------------------------------- */

static int report(char **argv)
{
	sigset_t mask, pending;
	struct sigaction sa;
	int keep = atoi(argv[2]), gone = atoi(argv[3]);

	CHECK(sigprocmask(SIG_BLOCK, NULL, &mask) == 0);
	CHECK(sigismember(&mask, SIGUSR1) == 1);
	CHECK(sigismember(&mask, SIGUSR2) == 1);
	CHECK(sigismember(&mask, SIGTERM) == 0);
	CHECK(sigpending(&pending) == 0);
	CHECK(sigismember(&pending, SIGUSR1) == 1);
	CHECK(sigismember(&pending, SIGUSR2) == 1);
	CHECK(sigaction(SIGHUP, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN);
	CHECK(sigaction(SIGTERM, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL);
	CHECK(fcntl(keep, F_GETFD) == 0);
	ERR(EBADF, fcntl(gone, F_GETFD));
	CHECK(getenv("EXEC_EXIT") && !strcmp(getenv("EXEC_EXIT"), "7"));
	CHECK_EQ(getpid(), atoi(argv[4]));
	CHECK_EQ(syscall(SYS_gettid), getpid());
	return 33;
}

/* ---- Those that are left behind ------------------------------------------ */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *load(void *arg)
{
	volatile unsigned long n;
	sigset_t all = full_set();

	OK(pthread_sigmask(SIG_BLOCK, &all, NULL));
	for (;;) {
		OK(pthread_mutex_lock(&lock));
		free(malloc(3000));
		OK(pthread_mutex_unlock(&lock));
		if (arg)
			usleep(100);
		else
			for (n = 0; n < 30000; n++)
				;
		sched_yield();
	}
	return NULL;
}

static void start_load(void)
{
	start(load, NULL);
	start(load, &lock);
	start(load, &lock);
	usleep(300);
}

/* ---- exec ---------------------------------------------------------------- */

static void nothing(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
}

static int exec_way;
static void execs(void)
{
	char keep[20], gone[20], pid[20];
	char *argv[] = { self_path, "report", keep, gone, pid, NULL };

	install_with(SIGTERM, nothing, 0, SET());
	CHECK(signal(SIGHUP, SIG_IGN) != SIG_ERR);
	block(SIGUSR1);
	block(SIGUSR2);
	CHECK(raise(SIGUSR1) == 0);
	CHECK(kill(getpid(), SIGUSR2) == 0);
	CHECK(setenv("EXEC_EXIT", "7", 1) == 0);
	snprintf(keep, sizeof(keep), "%d", open("/dev/null", O_RDONLY));
	snprintf(gone, sizeof(gone), "%d",
		 open("/dev/null", O_RDONLY | O_CLOEXEC));
	snprintf(pid, sizeof(pid), "%d", getpid());
	/* one that fails changes nothing */
	ERR(ENOENT, execv("/does/not/exist", argv));
	ERR(ENOENT, execlp("/does/not/exist", "x", (char *)0));
	switch (exec_way) {
	case 0:
		execve(self_path, argv, environ);
		break;
	case 1:
		execv(self_path, argv);
		break;
	case 2:
		execvp(self_path, argv);
		break;
	case 3:
		execvpe(self_path, argv, environ);
		break;
	case 4:
		execl(self_path, self_path, "report", keep, gone, pid,
		      (char *)0);
		break;
	case 5:
		execle(self_path, self_path, "report", keep, gone, pid,
		       (char *)0, environ);
		break;
	case 6:
		execlp(self_path, self_path, "report", keep, gone, pid,
		       (char *)0);
		break;
	case 7:
		fexecve(open(self_path, O_RDONLY | O_CLOEXEC), argv, environ);
		break;
	case 8:
		execveat(AT_FDCWD, self_path, argv, environ, 0);
		break;
	default:
		syscall(SYS_execve, self_path, argv, environ);
	}
	check_fail(__FILE__, __LINE__, "way %d: errno %d", exec_way, errno);
}
enum { EXEC_WAYS = 10 };

static void exec_main(void)
{
	start_load();
	execs();
}

static void *exec_it(void *arg)
{
	execs();
	return arg;
}

static void exec_thread(void)
{
	start_load();
	start(exec_it, NULL);
	for (;;)
		pause();
}

static void exec_handles(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
	execs();
}

static void exec_handler(void)
{
	start_load();
	install_with(SIGALRM, exec_handles, SA_NODEFER, SET());
	ualarm(300, 0);
	for (;;)
		pause();
}

/* What waited before a call that failed still waits, and arrives here. */
static int arrived;
static void arrives(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
	ADD(arrived, 1);
}

static void exec_fails(void)
{
	char *argv[] = { "x", NULL };

	start_load();
	install_with(SIGUSR1, arrives, 0, SET());
	block(SIGUSR1);
	CHECK(raise(SIGUSR1) == 0);
	ERR(ENOENT, execv("/does/not/exist", argv));
	usleep(100);
	sched_yield();
	CHECK_EQ(LOAD(arrived), 0);
	unblock(SIGUSR1);
	CHECK_EQ(LOAD(arrived), 1);
	_exit(33);
}

/* ---- exit ---------------------------------------------------------------- */

static void says(const char *what)
{
	CHECK(write(out[1], what, 1) == 1);
}

static void at_exit_a(void)
{
	OK(pthread_mutex_lock(&lock));
	says("a");
	OK(pthread_mutex_unlock(&lock));
}
static void at_exit_b(void)
{
	usleep(200);
	says("b");
}
static void at_quick_exit_q(void)
{
	says("q");
}

static void *exits(void *arg)
{
	(void)arg;
	exit(41);
}
static void *quick_exits(void *arg)
{
	(void)arg;
	quick_exit(42);
}
static void *exits_at_once(void *arg)
{
	(void)arg;
	_exit(43);
}
static void *aborts(void *arg)
{
	(void)arg;
	abort();
}

static void from_thread(thread_fn *fn)
{
	start_load();
	join(start(fn, NULL));
}

static void exit_thread(void)
{
	from_thread(exits);
}
static void quick_thread(void)
{
	from_thread(quick_exits);
}
static void now_thread(void)
{
	from_thread(exits_at_once);
}
static void abort_thread(void)
{
	from_thread(aborts);
}

/* Neither a handler that returns nor a mask saves it. */
static void abort_handled(void)
{
	install_with(SIGABRT, nothing, 0, SET());
	block(SIGABRT);
	from_thread(aborts);
}
static void abort_ignored(void)
{
	CHECK(signal(SIGABRT, SIG_IGN) != SIG_ERR);
	start_load();
	abort();
}

static void exit_main(void)
{
	start_load();
	exit(44);
}

static void exit_handles(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
	exit(45);
}
static void exit_handler(void)
{
	/* what a handler leaves must not be in the middle of anything */
	start(load, &lock);
	install_with(SIGALRM, exit_handles, 0, SET());
	ualarm(300, 0);
	for (;;)
		pause();
}

static void *exits_later(void *arg)
{
	usleep(1000);
	exit(46);
	return arg;
}
static void main_left(void)
{
	start(exits_later, NULL);
	pthread_exit(NULL);
}

static void *ends(void *arg)
{
	usleep(1000);
	return arg;
}
static void all_left(void)
{
	int i;

	for (i = 0; i < 5; i++)
		start(ends, NULL);
	pthread_exit(NULL);
}

/* The parent of a daemon is gone at once; the daemon can do all. */
static void *nop(void *arg)
{
	return arg;
}
static void *daemonizes(void *arg)
{
	pid_t was = getpid();

	CHECK(daemon(1, 1) == 0);
	alarm(40);
	CHECK(getpid() != was && getsid(0) != was);
	CHECK(join(start(nop, out)) == out);
	usleep(100);
	says("d");
	_exit(0);
	return arg;
}
static void daemon_main(void)
{
	start_load();
	daemonizes(NULL);
}
static void daemon_thread(void)
{
	from_thread(daemonizes);
}

/* ---- Scenes -------------------------------------------------------------- */

struct scene {
	const char *name;
	void (*fn)(void);
	int status, sig;
	const char *said;
};

static void play(const struct scene *s)
{
	char got[20];
	int n = 0, ret, status;
	pid_t pid;

	CHECK(pipe2(out, O_CLOEXEC) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		alarm(40);
		CHECK(atexit(at_exit_b) == 0 && atexit(at_exit_a) == 0);
		CHECK(at_quick_exit(at_quick_exit_q) == 0);
		block(SIGUSR2); /* for the process: in all threads */
		s->fn();
		_exit(1);
	}
	close(out[1]);
	while ((ret = read(out[0], got + n, sizeof(got) - 1 - n)) > 0)
		n += ret;
	got[n] = 0;
	close(out[0]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (strcmp(got, s->said))
		check_fail(__FILE__, __LINE__, "%s: said %s, not %s", s->name,
			   got, s->said);
	if (status != (s->sig ? s->sig : s->status << 8))
		check_fail(__FILE__, __LINE__, "%s: status %x", s->name,
			   status);
}

int main(int argc, char **argv)
{
	static const struct scene execute[] = {
		{ "exec from main", exec_main, 33, 0, "" },
		{ "exec from a thread", exec_thread, 33, 0, "" },
		{ "exec from a handler", exec_handler, 33, 0, "" },
	};
	static const struct scene scenes[] = {
		{ "exec that fails", exec_fails, 33, 0, "" },
		{ "exit from main", exit_main, 44, 0, "ab" },
		{ "exit from a thread", exit_thread, 41, 0, "ab" },
		{ "exit from a handler", exit_handler, 45, 0, "ab" },
		{ "quick_exit from a thread", quick_thread, 42, 0, "q" },
		{ "_exit from a thread", now_thread, 43, 0, "" },
		{ "abort from a thread", abort_thread, 0, SIGABRT, "" },
		{ "abort with a handler", abort_handled, 0, SIGABRT, "" },
		{ "abort ignored", abort_ignored, 0, SIGABRT, "" },
		{ "main leaves, a thread exits", main_left, 46, 0, "ab" },
		{ "all leave", all_left, 0, 0, "ab" },
		{ "daemon from main", daemon_main, 0, 0, "d" },
		{ "daemon from a thread", daemon_thread, 0, 0, "d" },
	};
	int rounds = argc > 1 ? atoi(argv[1]) : 5, i, k;
	struct rlimit_ {
		unsigned long cur, max;
	} none = { 0, 0 };

	if (argc > 2 && !strcmp(argv[1], "report"))
		return report(argv);
	/* no core files */
	CHECK(syscall(SYS_setrlimit, 4, &none) == 0);
	self_path = realpath("/proc/self/exe", NULL);
	CHECK(self_path != NULL);
	for (i = 0; i < rounds; i++) {
		for (k = 0; k < 3; k++) {
			if (i == 0)
				section(execute[k].name);
			for (exec_way = 0; exec_way < EXEC_WAYS; exec_way++)
				play(&execute[k]);
		}
		for (k = 0; k < (int)(sizeof(scenes) / sizeof(scenes[0]));
		     k++) {
			if (i == 0)
				section(scenes[k].name);
			play(&scenes[k]);
		}
	}
	return 0;
}
