/*
 * vfork_child - the child of a vfork shares the memory of its parent and
 * nothing else: what it does to its descriptors, handlers and signal mask must
 * not reach the parent, whose other threads go on.  A library that keeps any
 * of it in memory, or that switches threads where the child sleeps, breaks
 * that.  The same of posix_spawn, system and popen, which are vforks inside.
 *
 * vfork_child [rounds]
 */
#include "check.h"
#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>

extern char **environ;
enum { N = 4, COUNTERS = 3 };
static long rounds = 96;

/* ---- The threads that must not be stopped -------------------------------- */

static int stop;
static long progress[COUNTERS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *counts(void *arg)
{
	int kind = (int)(long)arg;

	while (!LOAD(stop)) {
		ADD(progress[kind], 1);
		if (kind == 0)
			sched_yield();
		if (kind == 1) {
			OK(pthread_mutex_lock(&lock));
			usleep(20);
			OK(pthread_mutex_unlock(&lock));
		}
		if (kind == 2)
			usleep(50);
	}
	return NULL;
}

/* ---- What a thread has that its children must leave alone ---------------- */

static __thread volatile int hits;
static void on_usr1(int sig)
{
	(void)sig;
	hits++;
}

static int ints, children;
static void on_int(int sig)
{
	(void)sig;
	ADD(ints, 1);
}
static void on_child(int sig)
{
	(void)sig;
	ADD(children, 1);
}

struct own {
	int me, fd[2];
	sigset_t mask;
	struct stat st;
};

static int same(const sigset_t *a, const sigset_t *b)
{
	int sig;

	for (sig = 1; sig <= SIGRTMAX; sig++)
		/* The two between are libc's: not to be seen or set. */
		if ((sig < 32 || sig >= SIGRTMIN) &&
		    sigismember(a, sig) != sigismember(b, sig))
			return 0;
	return 1;
}

static void own_init(struct own *own, int me)
{
	sigset_t set;

	own->me = me;
	CHECK(pipe2(own->fd, O_CLOEXEC) == 0);
	CHECK(fstat(own->fd[0], &own->st) == 0);
	/* Each thread its own. */
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + me);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	OK(pthread_sigmask(SIG_SETMASK, NULL, &own->mask));
}

static void own_check(struct own *own)
{
	struct sigaction sa;
	struct stat st;
	sigset_t now;
	char c = 0;
	int i;

	CHECK(fcntl(own->fd[0], F_GETFD) == FD_CLOEXEC);
	CHECK(fcntl(own->fd[1], F_GETFD) == FD_CLOEXEC);
	CHECK(fstat(own->fd[0], &st) == 0 && st.st_ino == own->st.st_ino);
	CHECK(write(own->fd[1], "x", 1) == 1);
	CHECK(read(own->fd[0], &c, 1) == 1 && c == 'x');
	CHECK(sigaction(SIGUSR1, NULL, &sa) == 0 && sa.sa_handler == on_usr1);
	CHECK(sigaction(SIGUSR2, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN);
	for (i = 0; i < 3; i++) {
		OK(pthread_sigmask(SIG_SETMASK, NULL, &now));
		CHECK(same(&now, &own->mask));
		CHECK(sigprocmask(SIG_SETMASK, NULL, &now) == 0);
		CHECK(same(&now, &own->mask));
		if (i == 0)
			sched_yield();
		else
			usleep(20);
	}
	/* The kernel thinks so as well. */
	hits = 0;
	CHECK(raise(SIGUSR1) == 0);
	CHECK_EQ(hits, 1);
}

/* ---- vfork --------------------------------------------------------------- */

enum { NOTHING, CLOSES, HANDLES, BLOCKS, BLOCKS_ALL, OPENS, CALLS, ALL, WHATS };

static __attribute__((noinline)) int nested(int depth)
{
	volatile char here[600];
	int i;

	for (i = 0; i < (int)sizeof(here); i++)
		here[i] = (char)depth;
	if (depth)
		i = nested(depth - 1);
	for (i = 0; i < (int)sizeof(here); i++)
		if (here[i] != (char)depth)
			return -1000;
	return i + depth;
}

#define IN_CHILD(cond)                                                         \
	do {                                                                   \
		if (!(cond))                                                   \
			check_fail(__FILE__, __LINE__, "in the child: %s",     \
				   #cond);                                     \
	} while (0)

static __attribute__((noinline)) void in_child(const struct own *own, int what)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };
	sigset_t set, now;
	int fd;

	if (what == HANDLES || what == ALL) {
		IN_CHILD(sigaction(SIGUSR1, &sa, NULL) == 0);
		sa.sa_handler = SIG_DFL;
		IN_CHILD(sigaction(SIGUSR2, &sa, NULL) == 0);
		IN_CHILD(sigaction(SIGUSR1, NULL, &sa) == 0);
		IN_CHILD(sa.sa_handler == SIG_IGN);
	}
	if (what == BLOCKS || what == ALL) {
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigaddset(&set, SIGRTMIN + N);
		IN_CHILD(sigprocmask(SIG_BLOCK, &set, &now) == 0);
		IN_CHILD(same(&now, &own->mask));
		IN_CHILD(sigprocmask(SIG_BLOCK, NULL, &now) == 0);
		IN_CHILD(sigismember(&now, SIGUSR1) == 1);
		sigemptyset(&set);
		sigaddset(&set, SIGRTMIN + own->me);
		IN_CHILD(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
	}
	if (what == BLOCKS_ALL || what == ALL) {
		sigfillset(&set);
		IN_CHILD(pthread_sigmask(SIG_SETMASK, &set, NULL) == 0);
		IN_CHILD(pthread_sigmask(SIG_SETMASK, NULL, &now) == 0);
		IN_CHILD(sigismember(&now, SIGTERM) == 1);
	}
	if (what == OPENS || what == ALL) {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		IN_CHILD(fd >= 0);
		IN_CHILD(dup2(fd, own->fd[0]) == own->fd[0]);
		IN_CHILD(open("/does/not/exist", O_RDONLY) == -1);
	}
	if (what == CLOSES || what == ALL) {
		IN_CHILD(close(own->fd[0]) == 0);
		IN_CHILD(close(own->fd[1]) == 0);
		IN_CHILD(fcntl(own->fd[1], F_GETFD) == -1);
	}
	if (what == CALLS || what == ALL)
		IN_CHILD(nested(20) == 620);
}

/* Each of the other threads gets on while this child does not. */
static __attribute__((noinline)) void sleep_in_child(void)
{
	struct timespec t = { 0, 20000000 };
	long before[COUNTERS];
	int i;

	for (i = 0; i < COUNTERS; i++)
		before[i] = LOAD(progress[i]);
	nanosleep(&t, NULL);
	for (i = 0; i < COUNTERS; i++)
		while (LOAD(progress[i]) < before[i] + 3)
			poll(NULL, 0, 1);
}

static __attribute__((noinline)) void one_vfork(struct own *own, int i)
{
	static char *const run_true[] = { "true", NULL };
	static char *const run_kill[] = { "sh", "-c", "kill -USR1 $$; exit 5",
					  NULL };
	/* The same values where the compiler likes, and in memory. */
	long a = own->me * 1000 + i, b = a ^ 0x5555, c = ~a * 3, d = a << 20;
	volatile long va = a, vb = b, vc = c, vd = d;
	volatile int left = 0, failed = 0;
	volatile pid_t inside = 0, above = 0;
	int what = i % WHATS, how = i / WHATS % 4, status;
	int blocked = what == BLOCKS || what == BLOCKS_ALL || what == ALL;
	pid_t pid, got;

	__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
	pid = vfork();
	CHECK(pid >= 0);
	if (pid == 0) {
		inside = getpid();
		above = getppid();
		in_child(own, what);
		if (i % 16 == 5)
			sleep_in_child();
		left = 1;
		if (how == 1)
			execv("/bin/true", run_true);
		if (how == 2)
			execv("/bin/sh", run_kill);
		if (how == 3)
			execv("/does/not/exist", run_true);
		failed = how ? errno : 0;
		_exit(40 + own->me);
	}
	/* It is over, or another program, when vfork returns here. */
	CHECK_EQ(left, 1);
	CHECK_EQ(inside, pid);
	CHECK_EQ(above, getpid());
	CHECK_EQ(failed, how == 3 ? ENOENT : 0);
	CHECK(a == va && b == vb && c == vc && d == vd);
	own_check(own);
	do
		got = waitpid(pid, &status, 0);
	while (got < 0 && errno == EINTR);
	CHECK_EQ(got, pid);
	if (how == 2 && !blocked && what != HANDLES) {
		/* The mask goes on to the new program, the handler does not. */
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
		return;
	}
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), how == 1	 ? 0
				      : how == 2 ? 5
						 : 40 + own->me);
}

static void *vforks(void *arg)
{
	struct own own;
	int i;

	own_init(&own, (int)(long)arg);
	for (i = 0; i < rounds; i++)
		one_vfork(&own, i);
	own_check(&own);
	close(own.fd[0]);
	close(own.fd[1]);
	return NULL;
}

/* ---- posix_spawn --------------------------------------------------------- */

/* Returns what it printed; the exit status must be the wanted one. */
static void spawn_one(const posix_spawnattr_t *attr, const char *dir, int want,
		      char *const *argv, char *text, int size)
{
	posix_spawn_file_actions_t fa;
	int fd[2], n = 0, ret;
	pid_t pid = -1;

	CHECK(pipe2(fd, O_CLOEXEC) == 0);
	CHECK_EQ(posix_spawn_file_actions_init(&fa), 0);
	CHECK_EQ(posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY,
						  0),
		 0);
	CHECK_EQ(posix_spawn_file_actions_adddup2(&fa, fd[1], 1), 0);
	CHECK_EQ(posix_spawn_file_actions_addclose(&fa, fd[0]), 0);
	if (dir)
		CHECK_EQ(posix_spawn_file_actions_addchdir_np(&fa, dir), 0);
	CHECK_EQ(posix_spawnp(&pid, argv[0], &fa, attr, argv, environ), 0);
	CHECK(pid > 0);
	posix_spawn_file_actions_destroy(&fa);
	close(fd[1]);
	while ((ret = read(fd[0], text + n, size - 1 - n)) > 0)
		n += ret;
	CHECK_EQ(ret, 0);
	text[n] = 0;
	close(fd[0]);
	reap(pid, want);
}

static int bit(const char *text, const char *line, int sig)
{
	const char *p = strstr(text, line);

	CHECK(p != NULL);
	return (int)(strtoull(p + strlen(line), NULL, 16) >> (sig - 1)) & 1;
}

static void one_spawn(struct own *own, int i)
{
	char command[100], text[400], want[100];
	char *shell[] = { "sh", "-c", command, NULL };
	char *grep[] = { "grep", "^Sig[BI]", "/proc/self/status", NULL };
	posix_spawnattr_t attr;
	int flags = i % 2 ? POSIX_SPAWN_SETPGROUP : 0;
	int set_mask = i % 3 == 1, set_default = i % 3 == 2;
	sigset_t set;
	pid_t pid;

	CHECK_EQ(posix_spawnattr_init(&attr), 0);
	snprintf(command, sizeof(command), "pwd; echo %d; exit %d", i, i % 7);
	spawn_one(NULL, "/", i % 7, shell, text, sizeof(text));
	snprintf(want, sizeof(want), "/\n%d\n", i);
	CHECK(strcmp(text, want) == 0);
	own_check(own);

	sigemptyset(&set);
	sigaddset(&set, SIGTTIN);
	if (set_mask) {
		flags |= POSIX_SPAWN_SETSIGMASK;
		CHECK_EQ(posix_spawnattr_setsigmask(&attr, &set), 0);
	}
	sigaddset(&set, SIGUSR2);
	if (set_default) {
		flags |= POSIX_SPAWN_SETSIGDEF;
		CHECK_EQ(posix_spawnattr_setsigdefault(&attr, &set), 0);
	}
	if (i % 4 == 3)
		flags |= POSIX_SPAWN_RESETIDS | POSIX_SPAWN_USEVFORK;
	if (i % 4 == 2)
		flags |= POSIX_SPAWN_SETSID;
	CHECK_EQ(posix_spawnattr_setflags(&attr, (short)flags), 0);
	spawn_one(&attr, NULL, 0, grep, text, sizeof(text));
	CHECK_EQ(bit(text, "SigBlk:", SIGTTIN), set_mask);
	CHECK_EQ(bit(text, "SigBlk:", SIGRTMIN + own->me), !set_mask);
	CHECK_EQ(bit(text, "SigBlk:", SIGUSR1), 0);
	CHECK_EQ(bit(text, "SigIgn:", SIGUSR2), !set_default);
	CHECK_EQ(bit(text, "SigIgn:", SIGUSR1), 0);
	own_check(own);

	CHECK_EQ(posix_spawn(&pid, "/does/not/exist", NULL, &attr, shell,
			     environ),
		 ENOENT);
	own_check(own);
	CHECK_EQ(posix_spawnattr_destroy(&attr), 0);
}

static void *spawns(void *arg)
{
	struct own own;
	int i;

	own_init(&own, (int)(long)arg);
	for (i = 0; i < rounds / 8; i++)
		one_spawn(&own, i);
	close(own.fd[0]);
	close(own.fd[1]);
	return NULL;
}

/* ---- system, popen ------------------------------------------------------- */

/*
 * No pthread_create of main's meanwhile: with all signals blocked, as it has
 * them there, an ignored one is not dropped but kept until it counts.
 */
static int started;

static void *systems(void *arg)
{
	char command[100];
	struct own own;
	int i, status;

	YIELD_UNTIL(LOAD(started));
	own_init(&own, (int)(long)arg);
	for (i = 0; i < rounds / 8; i++) {
		/* To this process, which ignores it as long. */
		snprintf(command, sizeof(command),
			 "kill -INT $PPID; kill -QUIT $PPID; exit %d", i % 9);
		status = system(command);
		CHECK(WIFEXITED(status));
		CHECK_EQ(WEXITSTATUS(status), i % 9);
		own_check(&own);
	}
	status = system("kill -TERM $$");
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	CHECK(system(NULL) != 0);
	close(own.fd[0]);
	close(own.fd[1]);
	return NULL;
}

static void *popens(void *arg)
{
	char command[100], line[100];
	struct own own;
	int i, status;
	FILE *f;

	own_init(&own, (int)(long)arg);
	for (i = 0; i < rounds / 8; i++) {
		snprintf(command, sizeof(command), "echo one; echo %d; exit %d",
			 own.me, i % 9);
		f = popen(command, i & 1 ? "r" : "re");
		CHECK(f != NULL);
		CHECK(fgets(line, sizeof(line), f) && !strcmp(line, "one\n"));
		CHECK(fgets(line, sizeof(line), f) && atoi(line) == own.me);
		CHECK(!fgets(line, sizeof(line), f));
		status = pclose(f);
		CHECK(WIFEXITED(status));
		CHECK_EQ(WEXITSTATUS(status), i % 9);
		own_check(&own);

		f = popen("read x; exit $x", "w");
		CHECK(f != NULL);
		sched_yield();
		CHECK(fprintf(f, "%d\n", i % 50) > 0);
		status = pclose(f);
		CHECK(WIFEXITED(status));
		CHECK_EQ(WEXITSTATUS(status), i % 50);
	}
	close(own.fd[0]);
	close(own.fd[1]);
	return NULL;
}

/* ---- All of it ----------------------------------------------------------- */

static void set_handler(int sig, void (*fn)(int))
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = SA_RESTART };

	CHECK(sigaction(sig, &sa, NULL) == 0);
}

static void check_int(int sig)
{
	struct sigaction sa;
	int before = LOAD(ints);

	CHECK(sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == on_int);
	CHECK(raise(sig) == 0);
	CHECK_EQ(LOAD(ints), before + 1);
}

static void run(const char *what, thread_fn *fn)
{
	pthread_t t[N];
	long i;

	section(what);
	STORE(started, 0);
	for (i = 0; i < N; i++)
		t[i] = start(fn, (void *)i);
	STORE(started, 1);
	for (i = 0; i < N; i++)
		join(t[i]);
}

int main(int argc, char **argv)
{
	pthread_t counter[COUNTERS], mixed[4];
	int k, handled;
	long i;

	if (argc > 1)
		rounds = atol(argv[1]);
	set_handler(SIGUSR1, on_usr1);
	set_handler(SIGUSR2, SIG_IGN);
	set_handler(SIGINT, on_int);
	set_handler(SIGQUIT, on_int);
	for (i = 0; i < COUNTERS; i++)
		counter[i] = start(counts, (void *)i);
	for (k = 0; k < 2; k++) {
		section(k ? "with a handler for SIGCHLD" : "without");
		set_handler(SIGCHLD, k ? on_child : SIG_DFL);
		STORE(ints, 0);
		run("vfork", vforks);
		run("posix_spawn", spawns);
		run("system", systems);
		CHECK_EQ(LOAD(ints), 0);
		check_int(SIGINT);
		check_int(SIGQUIT);
		run("popen", popens);
		STORE(ints, 0);
		section("mixed, and from main");
		STORE(started, 0);
		mixed[0] = start(vforks, (void *)0);
		mixed[1] = start(spawns, (void *)1);
		mixed[2] = start(systems, (void *)2);
		mixed[3] = start(popens, (void *)3);
		STORE(started, 1);
		vforks((void *)(long)(N + 1));
		for (i = 0; i < 4; i++)
			join(mixed[i]);
		CHECK_EQ(LOAD(ints), 0);
		check_int(SIGINT);
		handled = LOAD(children);
		CHECK(k ? handled > 0 : handled == 0);
	}
	STORE(stop, 1);
	for (i = 0; i < COUNTERS; i++)
		join(counter[i]);
	return 0;
}
