/* unit.h - what the unit tests share.
 *
 * Each test runs in a process of its own, so core's globals are fresh in each.
 * Only the test's own thread asserts: a failed assertion ends the test by
 * leaving its function, which no other stack can do. The others leave what they
 * saw where that thread looks.
 */
#ifndef UNIT_H
#define UNIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core/runtime.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static inline uint32_t rnd(uint32_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 17;
	*s ^= *s << 5;
	return *s;
}

/* A deadline so many microseconds from now. */
static inline int64_t soon(int64_t us)
{
	return sysnanotime() + us * 1000;
}

/* So many Gs that never were: zeroed, on cache lines of their own as core's
 * are, and no memory before they are touched. */
static inline struct g *newgs(size_t n)
{
	void *p = mmap(NULL, n * sizeof(struct g), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(p, MAP_FAILED);
	return p;
}

static inline pthread_t spawn(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	cr_assert_eq(pthread_create(&t, NULL, fn, arg), 0);
	return t;
}

static inline void join(pthread_t t)
{
	cr_assert_eq(pthread_join(t, NULL), 0);
}

/* How fn(arg) ends in a child: its signal, or 1000 + its exit status. */
static inline int inchild(int (*fn)(void *), void *arg)
{
	int st;
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		/* the runner and the sanitizers have handlers of their own */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		signal(SIGSYS, SIG_DFL);
		_exit(fn(arg));
	}
	cr_assert_gt(pid, 0);
	cr_assert_eq(waitpid(pid, &st, 0), pid);
	return WIFSIGNALED(st) ? WTERMSIG(st) : 1000 + WEXITSTATUS(st);
}

/* What goes to fd 2 from here to endcapture, which returns it. */
struct capture {
	int was, file;
	char text[16384];
};

static inline void begincapture(struct capture *c)
{
	c->file = memfd_create("stderr", 0);
	c->was = dup(2);
	dup2(c->file, 2);
}

static inline const char *endcapture(struct capture *c)
{
	ssize_t n = pread(c->file, c->text, sizeof(c->text) - 1, 0);

	dup2(c->was, 2);
	close(c->was);
	close(c->file);
	c->text[n > 0 ? n : 0] = 0;
	return c->text;
}

static inline int lines(const char *s)
{
	int n = 0;

	while ((s = strchr(s, '\n')))
		n++, s++;
	return n;
}

#endif
