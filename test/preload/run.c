/*
 * run - see run.h.
 */
#define _GNU_SOURCE
#include "run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#ifndef BUILD_DIR
#define BUILD_DIR "build"
#endif
#ifndef SRC_DIR
#define SRC_DIR "."
#endif

static const char *from_env(const char *name, const char *otherwise)
{
	const char *v = getenv(name);

	return v && *v ? v : otherwise;
}

const char *build_dir(void)
{
	return from_env("BUILD_DIR", BUILD_DIR);
}

const char *source_dir(void)
{
	return from_env("SRC_DIR", SRC_DIR);
}

const char *library(void)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/libgmp_shim.so", build_dir());
	return from_env("GMP_SHIM_LIB", path);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void nap(double seconds)
{
	struct timespec t = { (time_t)seconds,
			      (long)((seconds - (time_t)seconds) * 1e9) };

	nanosleep(&t, NULL);
}

/* ---- Where a program stands that does not end ---------------------------- */

static void show_file(const char *what, const char *path)
{
	char buf[512];
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		n = read(fd, buf, sizeof(buf) - 1);
		close(fd);
	}
	buf[n > 0 ? n : 0] = 0;
	buf[strcspn(buf, "\n")] = 0;
	fprintf(stderr, " %s=%s", what, n < 0 ? "?" : buf);
}

/* The State: of /proc/.../status, as one letter. */
static char state_of(const char *status)
{
	char line[256], state = '?';
	FILE *f = fopen(status, "re");

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "State: %c", &state);
	if (f)
		fclose(f);
	return state;
}

static void show_tasks(pid_t pid)
{
	static const char *const files[] = { "comm", "syscall", "wchan" };
	char path[320];
	struct dirent *e;
	int shown = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		/* Thousands of threads that all wait alike are not read. */
		if (++shown > 40)
			continue;
		fprintf(stderr, "  task %s:", e->d_name);
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status",
			 (int)pid, e->d_name);
		fprintf(stderr, " state=%c", state_of(path));
		for (int i = 0; i < 3; i++) {
			snprintf(path, sizeof(path), "/proc/%d/task/%s/%s",
				 (int)pid, e->d_name, files[i]);
			show_file(files[i], path);
		}
		fputc('\n', stderr);
	}
	if (d)
		closedir(d);
	if (shown > 40)
		fprintf(stderr, "  and %d tasks more\n", shown - 40);
}

static void debug(pid_t pid)
{
	char target[16];
	pid_t gdb;

	snprintf(target, sizeof(target), "%d", (int)pid);
	fflush(stderr);
	gdb = fork();
	if (gdb == 0) {
		dup2(2, 1);
		execlp("timeout", "timeout", "-s", "KILL", "20", "gdb", "-nx",
		       "-p", target, "-batch", "-iex",
		       "set debuginfod enabled off", "-ex",
		       "thread apply all bt 12", (char *)0);
		_exit(127);
	}
	while (gdb > 0 && waitpid(gdb, NULL, 0) < 0 && errno == EINTR)
		;
}

static int group_of(pid_t pid)
{
	char path[64], buf[512], *p;
	int group = -1, fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	buf[n > 0 ? n : 0] = 0;
	/* The name, in brackets, may hold anything. */
	p = strrchr(buf, ')');
	if (p)
		sscanf(p + 2, "%*c %*d %d", &group);
	return group;
}

/* The program and what it started, as far as still in its group. */
static void report_hang(pid_t pid, const struct run *r)
{
	struct dirent *e;
	char path[64];
	int debugged = 0;
	DIR *d;

	fprintf(stderr, "---- no end after %.0f s:", r->limit);
	for (int i = 0; r->argv[i]; i++)
		fprintf(stderr, " %s", r->argv[i]);
	fputc('\n', stderr);
	d = opendir("/proc");
	while (d && (e = readdir(d))) {
		pid_t other = atoi(e->d_name);

		if (other <= 0 || group_of(other) != pid)
			continue;
		fprintf(stderr, " process %d\n", (int)other);
		show_tasks(other);
		/* A zombie tells nothing more. */
		snprintf(path, sizeof(path), "/proc/%d/status", (int)other);
		if (state_of(path) != 'Z' && debugged++ < 3)
			debug(other);
	}
	if (d)
		closedir(d);
	fprintf(stderr, "----\n");
}

/* ---- Running ------------------------------------------------------------- */

static char *contents(int fd)
{
	struct stat st;
	size_t got = 0;
	char *text;

	if (fstat(fd, &st) < 0)
		st.st_size = 0;
	text = malloc(st.st_size + 1);
	while (text && got < (size_t)st.st_size) {
		ssize_t n = pread(fd, text + got, st.st_size - got, got);

		if (n <= 0)
			break;
		got += n;
	}
	if (text)
		text[got] = 0;
	close(fd);
	return text ? text : strdup("");
}

/* After fork, in the child. */
static void become(const struct run *r, int out, int err)
{
	char lib[4096];
	sigset_t none;
	int null;

	setpgid(0, 0);
	snprintf(lib, sizeof(lib), "%s", library()); /* while its name is there */
	/* Of ours nothing may tilt the result; and we are never preloaded. */
	for (char **e = environ; *e;) {
		size_t n = strcspn(*e, "=");

		if (strncmp(*e, "GMP_SHIM", 8) == 0 ||
		    strncmp(*e, "LD_PRELOAD=", 11) == 0) {
			char name[256];

			snprintf(name, sizeof(name), "%.*s", (int)n, *e);
			unsetenv(name);
			e = environ;
		} else {
			e++;
		}
	}
	for (int i = 0; r->env && r->env[i]; i++)
		putenv((char *)r->env[i]);
	if (r->preload)
		setenv("LD_PRELOAD", lib, 1);
	/* The runner blocks or ignores some: a program expects defaults. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_DFL);
	null = open("/dev/null", O_RDONLY);
	dup2(null, 0);
	dup2(out, 1);
	dup2(err, 2);
	/* Descriptors of the test runner are none of the program's business. */
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	execv(r->argv[0], (char *const *)r->argv);
	dprintf(2, "%s: %s\n", r->argv[0], strerror(errno));
	_exit(127);
}

void run(const struct run *r, struct result *res)
{
	int out = memfd_create("stdout", MFD_CLOEXEC);
	int err = memfd_create("stderr", MFD_CLOEXEC);
	double start = now(), pause = 0.001;
	siginfo_t info;
	pid_t pid;

	memset(res, 0, sizeof(*res));
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		become(r, out, err);
	if (pid < 0 || out < 0 || err < 0) {
		perror("run");
		abort();
	}
	setpgid(pid, pid);
	for (;;) {
		info.si_pid = 0;
		/* Not reaped yet: its number, and the group's, stay taken. */
		if (waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) ==
			    0 &&
		    info.si_pid == pid)
			break;
		res->seconds = now() - start;
		if (res->seconds > r->limit) {
			res->hung = 1;
			report_hang(pid, r);
			break;
		}
		nap(pause);
		if (pause < 0.02)
			pause *= 1.2;
	}
	res->seconds = now() - start;
	kill(-pid, SIGKILL);
	while (waitpid(pid, &res->status, 0) < 0 && errno == EINTR)
		;
	res->out = contents(out);
	res->err = contents(err);
}

void result_free(struct result *res)
{
	free(res->out);
	free(res->err);
}

const char *ended(const struct result *res, char *buf, int size)
{
	if (res->hung)
		snprintf(buf, size, "a hang, killed after %.1f s",
			 res->seconds);
	else if (WIFSIGNALED(res->status))
		snprintf(buf, size, "signal %d (%s)", WTERMSIG(res->status),
			 strsignal(WTERMSIG(res->status)));
	else
		snprintf(buf, size, "exit %d", WEXITSTATUS(res->status));
	return buf;
}

const char *tail(const char *text, int lines)
{
	const char *p = text + strlen(text);

	if (p > text)
		p--;
	while (p > text && (p[-1] != '\n' || --lines > 0))
		p--;
	return p;
}
