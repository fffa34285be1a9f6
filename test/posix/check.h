/*
 * check.h - what the programs in this folder share.
 *
 * Each is an ordinary program that judges itself: exit 0 if all held, 1 with
 * the failed check on stderr, 77 if the machine cannot run it.  What it prints
 * on stdout depends on nothing but its arguments, so that two runs compare
 * equal.  None relies on the clock or on a fair scheduler: where it waits
 * without blocking it yields, as one processor without preemption needs.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

/* _exit: a failure must not run atexit handlers that wait for something. */
static UNUSED __attribute__((noreturn, format(printf, 3, 4))) void
check_fail(const char *file, int line, const char *fmt, ...)
{
	char text[512];
	int n, m;
	va_list ap;

	/* One write: lines of several failing processes stay whole. */
	n = snprintf(text, sizeof(text), "%s:%d: ", file, line);
	va_start(ap, fmt);
	m = vsnprintf(text + n, sizeof(text) - n - 1, fmt, ap);
	va_end(ap);
	n = n + m < (int)sizeof(text) - 1 ? n + m : (int)sizeof(text) - 2;
	text[n++] = '\n';
	if (write(2, text, n) < 0)
		_exit(2);
	_exit(1);
}

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			check_fail(__FILE__, __LINE__, "%s", #cond);           \
	} while (0)

#define CHECK_EQ(got, want)                                                    \
	do {                                                                   \
		long long got_ = (long long)(got), want_ = (long long)(want);  \
		if (got_ != want_)                                             \
			check_fail(__FILE__, __LINE__, "%s is %lld, not %lld", \
				   #got, got_, want_);                         \
	} while (0)

/*
 * A function that returns its error: that one, and errno left alone, since
 * callers keep an earlier errno across them.
 */
#define ERRNO_MARK 4242
#define RET(want, call)                                                        \
	do {                                                                   \
		int ret_, want_ = (want);                                      \
		errno = ERRNO_MARK;                                            \
		ret_ = (call);                                                 \
		if (ret_ != want_)                                             \
			check_fail(__FILE__, __LINE__,                         \
				   "%s is %d (%s), not %d", #call, ret_,       \
				   strerror(ret_), want_);                     \
		if (errno != ERRNO_MARK)                                       \
			check_fail(__FILE__, __LINE__, "%s set errno to %d",   \
				   #call, errno);                              \
	} while (0)
#define OK(call) RET(0, call)

/* A function that returns -1 and says why in errno. */
#define ERR(want, call)                                                        \
	do {                                                                   \
		long long ret_;                                                \
		errno = 0;                                                     \
		ret_ = (long long)(call);                                      \
		if (ret_ != -1 || errno != (want))                             \
			check_fail(__FILE__, __LINE__,                         \
				   "%s is %lld, errno %d, not -1, errno %d",   \
				   #call, ret_, errno, (want));                \
	} while (0)

/* A heading on stdout, flushed: after a hang it tells how far we got. */
static UNUSED void section(const char *what)
{
	printf("%s\n", what);
	fflush(stdout);
}

/* The wait for what another thread is certain to do. */
#define YIELD_UNTIL(cond)                                                      \
	do {                                                                   \
		while (!(cond))                                                \
			sched_yield();                                         \
	} while (0)

#define LOAD(x)	    __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define STORE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_SEQ_CST)
#define ADD(x, v)   __atomic_add_fetch(&(x), (v), __ATOMIC_SEQ_CST)

typedef void *thread_fn(void *);

static UNUSED pthread_t start(thread_fn *fn, void *arg)
{
	pthread_t t;
	int ret = pthread_create(&t, NULL, fn, arg);

	if (ret)
		check_fail(__FILE__, __LINE__, "pthread_create: %s",
			   strerror(ret));
	return t;
}

/* With a small stack, for those who start thousands. */
static UNUSED pthread_t start_small(thread_fn *fn, void *arg)
{
	pthread_attr_t attr;
	pthread_t t;
	int ret;

	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setstacksize(&attr, 128 << 10) == 0);
	ret = pthread_create(&t, &attr, fn, arg);
	if (ret)
		check_fail(__FILE__, __LINE__, "pthread_create: %s",
			   strerror(ret));
	CHECK(pthread_attr_destroy(&attr) == 0);
	return t;
}

static UNUSED void *join(pthread_t t)
{
	void *value = NULL;
	int ret = pthread_join(t, &value);

	if (ret)
		check_fail(__FILE__, __LINE__, "pthread_join: %s",
			   strerror(ret));
	return value;
}

/* So many at once, each told its number; waits for their ends. */
static UNUSED void run_threads(int n, thread_fn *fn)
{
	pthread_t t[128];
	long i;

	CHECK(n <= 128);
	for (i = 0; i < n; i++)
		t[i] = start(fn, (void *)i);
	for (i = 0; i < n; i++)
		join(t[i]);
}

/* Now plus so many milliseconds; may be negative. */
static UNUSED struct timespec in_ms(clockid_t clock, long ms)
{
	struct timespec t;
	long long ns;

	CHECK(clock_gettime(clock, &t) == 0);
	ns = t.tv_sec * 1000000000LL + t.tv_nsec + ms * 1000000LL;
	t.tv_sec = ns / 1000000000LL;
	t.tv_nsec = ns % 1000000000LL;
	return t;
}

/* A deadline that no working program reaches. */
static UNUSED struct timespec far_off(clockid_t clock)
{
	return in_ms(clock, 600 * 1000);
}

static UNUSED int reached(clockid_t clock, const struct timespec *t)
{
	struct timespec now;

	CHECK(clock_gettime(clock, &now) == 0);
	return now.tv_sec > t->tv_sec ||
	       (now.tv_sec == t->tv_sec && now.tv_nsec >= t->tv_nsec);
}

/* The child must have exited with this status. */
static UNUSED void reap(pid_t pid, int want)
{
	int status;
	pid_t got;

	do
		got = waitpid(pid, &status, 0);
	while (got < 0 && errno == EINTR);
	CHECK_EQ(got, pid);
	if (WIFSIGNALED(status))
		check_fail(__FILE__, __LINE__, "child killed by signal %d",
			   WTERMSIG(status));
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), want);
}

static UNUSED int kernel_threads(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	CHECK(d != NULL);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	CHECK(closedir(d) == 0);
	return n;
}

/* This thread's stack pointer, near enough. */
static UNUSED __attribute__((noinline)) char *stack_here(void)
{
	return (char *)__builtin_frame_address(0);
}

#endif
