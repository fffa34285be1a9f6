/*
 * blocks_children - calls that wait for a child's end: see blocks.h.
 */
#include "blocks.h"
#include <sys/resource.h>
#include <sys/syscall.h>

/* What other compilations of callers call. */
extern pid_t __wait(int *);
extern pid_t __waitpid(pid_t, int *, int);

static void make_child(struct test *t)
{
	char c;

	CHECK(pipe2(t->fd, O_CLOEXEC) == 0);
	t->child = fork();
	CHECK(t->child >= 0);
	if (t->child == 0) {
		close(t->fd[1]);
		_exit(read(t->fd[0], &c, 1) == 1 ? 42 : 1);
	}
}

static void tell_child(struct test *t)
{
	CHECK_EQ(write(t->fd[1], "x", 1), 1);
}

static void is_child(struct test *t, pid_t got, int status)
{
	CHECK_EQ(got, t->child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

static void in_wait(struct test *t)
{
	int status = -1;
	pid_t got = wait(&status);

	is_child(t, got, status);
}

static void in_waitpid(struct test *t)
{
	int status = -1;
	pid_t got = waitpid(t->child, &status, 0);

	is_child(t, got, status);
}

static void in_wait3(struct test *t)
{
	struct rusage r;
	int status = -1;
	pid_t got = wait3(&status, 0, &r);

	is_child(t, got, status);
}

static void in_wait4(struct test *t)
{
	struct rusage r;
	int status = -1;
	pid_t got = wait4(t->child, &status, 0, &r);

	is_child(t, got, status);
}

static void in_sys_wait4(struct test *t)
{
	int status = -1;
	pid_t got = syscall(SYS_wait4, t->child, &status, 0, NULL);

	is_child(t, got, status);
}

static void in_waitid(struct test *t)
{
	siginfo_t si;

	CHECK_EQ(waitid(P_PID, t->child, &si, WEXITED), 0);
	CHECK(si.si_pid == t->child && si.si_code == CLD_EXITED);
	CHECK_EQ(si.si_status, 42);
}

static void in_sys_waitid(struct test *t)
{
	siginfo_t si;

	CHECK_EQ(syscall(SYS_waitid, P_PID, t->child, &si, WEXITED, NULL), 0);
	CHECK(si.si_pid == t->child && si.si_status == 42);
}

static void in_pid_wait(struct test *t)
{
	int status = -1;
	pid_t got = __wait(&status);

	is_child(t, got, status);
}

static void in_pid_waitpid(struct test *t)
{
	int status = -1;
	pid_t got = __waitpid(t->child, &status, 0);

	is_child(t, got, status);
}

static void reap_child(struct test *t)
{
	tell_child(t);
	reap(t->child, 42);
}

/* ---- All of them ------------------------------------------------------------ */

#define CHILD(fn) make_child, fn, tell_child

static const struct kind kinds[] = {
	{ "wait", CHILD(in_wait), 1,
	  .cancelled = reap_child },
	{ "__wait", CHILD(in_pid_wait), 1 },
	{ "waitpid", CHILD(in_waitpid), 0,
	  .cancelled = reap_child },
	{ "__waitpid", CHILD(in_pid_waitpid), 0 },
	{ "waitid", CHILD(in_waitid), 0,
	  .cancelled = reap_child },
	{ "SYS_waitid", CHILD(in_sys_waitid), 0 },
	{ "wait3", CHILD(in_wait3), 1,
	  .cancelled = reap_child },
	{ "wait4", CHILD(in_wait4), 0,
	  .cancelled = reap_child },
	{ "SYS_wait4", CHILD(in_sys_wait4), 0 },
};

int main(int argc, char **argv)
{
	blocks_main(argc, argv, kinds, sizeof(kinds) / sizeof(kinds[0]));
	return 0;
}
