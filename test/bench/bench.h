/*
 * bench.h - what the benchmark programs share: parameters, a clock, threads, a gate,
 * percentiles, and the one line of NAME=VALUE UNIT that gmp-ab reads.
 *
 * The programs are ordinary: pthreads and blocking calls, and nothing about who
 * schedules them.  Parameters are NAME=NUMBER (or a word) on the command line; one
 * that a program does not ask for is refused, so that a misspelt one is not measured.
 * For C++, too.
 */
#ifndef BENCH_H
#define BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
#include <atomic>
using std::atomic_bool, std::atomic_store;
#else
#include <stdatomic.h>
#include <stdbool.h>
#endif

#define MAYBE static __attribute__((unused))

MAYBE __attribute__((noreturn)) void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(2);
}

/* What pthread functions return. */
MAYBE void must(int error, const char *what)
{
	if (error) {
		errno = error;
		die(what);
	}
}

MAYBE void *memory(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		die("calloc");
	return p;
}

/* ---- Parameters ------------------------------------------------------------- */

static char **params;
static int nparams;

MAYBE void begin(int argc, char **argv)
{
	params = argv + 1;
	nparams = argc - 1;
}

MAYBE const char *word(const char *name, const char *otherwise)
{
	size_t len = strlen(name);

	for (int i = 0; i < nparams; i++)
		if (params[i] && strncmp(params[i], name, len) == 0 &&
		    params[i][len] == '=') {
			const char *value = params[i] + len + 1;

			params[i] = NULL; /* asked for */
			return value;
		}
	return otherwise;
}

MAYBE long number(const char *name, long otherwise)
{
	const char *text = word(name, NULL);
	char *end;
	long n = text ? strtol(text, &end, 10) : otherwise;

	if (text && (end == text || *end || n < 0)) {
		fprintf(stderr, "%s=%s: not a number from 0 on\n", name, text);
		exit(2);
	}
	return n;
}

/* All have been asked for that there are. */
MAYBE void params_done(void)
{
	for (int i = 0; i < nparams; i++)
		if (params[i]) {
			fprintf(stderr, "%s: no such parameter\n", params[i]);
			exit(2);
		}
}

/* So that as many files can be open as may be; root may have more than others. */
MAYBE void more_files(void)
{
	struct rlimit l;

	l.rlim_cur = l.rlim_max = 1 << 20; /* the kernel's own limit, by default */
	if (setrlimit(RLIMIT_NOFILE, &l) == 0)
		return;
	if (getrlimit(RLIMIT_NOFILE, &l))
		die("getrlimit");
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
}

/* ---- Time ------------------------------------------------------------------- */

MAYBE int64_t now(void) /* ns */
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

MAYBE void sleep_ns(int64_t ns)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };

	nanosleep(&t, NULL);
}

/* CPU time of the whole process, ns. */
MAYBE int64_t cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * INT64_C(1000000000) +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * INT64_C(1000);
}

/*
 * ns a unit: body(n) does n units.  n doubles until a run lasts ms, so that the last
 * one, which counts, is long enough whatever a unit costs.  The others warm up.
 */
MAYBE double per_unit(void (*body)(long n), long ms)
{
	for (long n = 1;; n *= 2) {
		int64_t t = now();

		body(n);
		t = now() - t;
		if (t >= ms * 1000000)
			return (double)t / n;
	}
}

/* ---- Threads ---------------------------------------------------------------- */

/* With stacks of so many KiB; 0: as it is by default. */
MAYBE pthread_t *start_sized(long n, void *(*body)(void *), void *args,
			     size_t each, long stack)
{
	pthread_t *t = (pthread_t *)memory(n, sizeof(*t));
	pthread_attr_t attr;

	must(pthread_attr_init(&attr), "pthread_attr_init");
	if (stack)
		must(pthread_attr_setstacksize(&attr, stack * 1024),
		     "pthread_attr_setstacksize");
	for (long i = 0; i < n; i++)
		must(pthread_create(&t[i], &attr, body,
				    (char *)args + i * each),
		     "pthread_create");
	pthread_attr_destroy(&attr);
	return t;
}

MAYBE pthread_t *start(long n, void *(*body)(void *), void *args, size_t each)
{
	return start_sized(n, body, args, each, 0);
}

MAYBE void join(pthread_t *t, long n)
{
	for (long i = 0; i < n; i++)
		must(pthread_join(t[i], NULL), "pthread_join");
	free(t);
}

/* Threads arrive and wait; whoever opens it waits for all of them first. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t arrival, opening;
	long here;
	bool open;
};
#define GATE { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, \
	       PTHREAD_COND_INITIALIZER, 0, false }

MAYBE void gate_pass(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->here++;
	pthread_cond_signal(&g->arrival);
	while (!g->open)
		pthread_cond_wait(&g->opening, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

MAYBE void gate_await(struct gate *g, long n)
{
	pthread_mutex_lock(&g->lock);
	while (g->here < n)
		pthread_cond_wait(&g->arrival, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

MAYBE void gate_open(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->opening);
	pthread_mutex_unlock(&g->lock);
}

/* Let n threads that have arrived go for so long, until *stop; when that began. */
MAYBE int64_t gate_run(struct gate *g, long n, long ms, atomic_bool *stop)
{
	int64_t t;

	gate_await(g, n);
	t = now();
	gate_open(g);
	sleep_ns(ms * 1000000);
	atomic_store(stop, true);
	return t;
}

/* ---- Figures ---------------------------------------------------------------- */

struct samples {
	float *v;
	size_t n, room;
};

MAYBE void sample(struct samples *s, double v)
{
	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 1024;
		s->v = (float *)realloc(s->v, s->room * sizeof(*s->v));
		if (!s->v)
			die("realloc");
	}
	s->v[s->n++] = v;
}

/* So that none is made room for, and no page is touched first, while it counts. */
MAYBE void samples_room(struct samples *s, size_t room)
{
	s->room = room;
	s->v = (float *)memory(room, sizeof(*s->v));
	memset(s->v, 1, room * sizeof(*s->v));
}

MAYBE void samples_add(struct samples *all, const struct samples *more)
{
	for (size_t i = 0; i < more->n; i++)
		sample(all, more->v[i]);
}

MAYBE int samples_order(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Sorts them, too. */
MAYBE double percentile(struct samples *s, double percent)
{
	size_t i = s->n * percent / 100;

	if (s->n == 0)
		return 0;
	qsort(s->v, s->n, sizeof(*s->v), samples_order);
	return s->v[i < s->n ? i : s->n - 1];
}

static bool put_before;

MAYBE void put(const char *name, double value, const char *unit)
{
	printf("%s%s=%.6g%s%s", put_before ? ", " : "", name, value,
	       *unit ? " " : "", unit);
	put_before = true;
}

MAYBE int done(void)
{
	printf("\n");
	return fflush(stdout) ? 2 : 0;
}

#endif
