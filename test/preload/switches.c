/*
 * switches - the settings in the environment: how the library is told to stay out,
 * what it says about nonsense, what reaches the programs that this one starts, and
 * what is told about the scheduler.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "programs.h"

static int kernel_threads(const char *const *env, int preload)
{
	struct result res;
	int n;

	ends_well("tasks", "count", 30, preload, env, &res);
	n = atoi(res.out);
	result_free(&res);
	return n;
}

/* A hundred threads and main wait at once. */
Test(switches, on_few_kernel_threads, .timeout = 120)
{
	static const char *const env[] = { "GMP_SHIM_MAXPROCS=2", NULL };
	int n = kernel_threads(env, 1);

	cr_assert(n < 20, "%d kernel threads for a hundred Gs", n);
}

Test(switches, off, .timeout = 120)
{
	static const char *const env[] = { "GMP_SHIM=off", NULL };
	int n = kernel_threads(env, 1);

	cr_assert_eq(n, 101, "%d kernel threads, not one for each thread", n);
	n = kernel_threads(NULL, 0);
	cr_assert_eq(n, 101, "%d kernel threads natively", n);
}

/* One line that names the setting, its value and what would be accepted. */
static void bad_value(const char *setting, const char *name, const char *value)
{
	const char *env[] = { setting, NULL };
	struct result res;

	ends_well("tasks", NULL, 30, 1, env, &res);
	cr_assert_str_eq(res.out, "done\n");
	one_line(&res, name);
	one_line(&res, value);
	cr_assert_eq(strncmp(res.err, "gmp_shim:", 9), 0, "%s", res.err);
	cr_assert(strstr(res.err, "accept") || strstr(res.err, "expect") ||
			  strstr(res.err, "must be"),
		  "does not say what is accepted: %s", res.err);
	result_free(&res);
}

Test(switches, bad_value_word, .timeout = 120)
{
	bad_value("GMP_SHIM_MAXPROCS=banana", "GMP_SHIM_MAXPROCS", "banana");
}

Test(switches, bad_value_range, .timeout = 120)
{
	bad_value("GMP_SHIM_MAXPROCS=-3", "GMP_SHIM_MAXPROCS", "-3");
}

Test(switches, bad_value_mixed, .timeout = 120)
{
	bad_value("GMP_SHIM_MAXPROCS=2x", "GMP_SHIM_MAXPROCS", "2x");
}

Test(switches, bad_value_signal, .timeout = 120)
{
	bad_value("GMP_SHIM_PREEMPT_SIGNAL=KILL", "GMP_SHIM_PREEMPT_SIGNAL",
		  "KILL");
}

/* Whether the library is mapped in a shell, and in a program that it starts. */
static void mapped(const char *setting, char *got, size_t size)
{
	static const char script[] =
		"for p in $$ self; do grep -q \"$0\" /proc/$p/maps && "
		"echo yes || echo no; done; echo \"$LD_PRELOAD\"";
	char preload[8400];
	const char *argv[] = { "/bin/sh", "-c", script,
			       strrchr(library(), '/') + 1, NULL };
	const char *env[] = { preload, setting, NULL };
	struct run r = { argv, env, 0, 30 };
	struct result res;

	/* another one beside it, which stays */
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s:%s/%s %s", library(),
		 build_dir(), "test/posix/libffi_refuses.so", library());
	command_ends_well(&r, &res);
	snprintf(got, size, "%s", res.out);
	result_free(&res);
}

/* How often the variable is in the environment, where nothing else was in it. */
static void alone(char *got, size_t size)
{
	static const char *const argv[] = { "/bin/sh", "-c",
					    "env | grep -c ^LD_PRELOAD || :",
					    NULL };
	static const char *const env[] = { "GMP_SHIM_CHILDREN=off", NULL };
	struct run r = { argv, env, 1, 30 };
	struct result res;

	command_ends_well(&r, &res);
	snprintf(got, size, "%s", res.out);
	result_free(&res);
}

Test(switches, children, .timeout = 120)
{
	char got[9000], want[9000];

	mapped("GMP_SHIM_CHILDREN=on", got, sizeof(got));
	cr_assert_eq(strncmp(got, "yes\nyes\n", 8), 0, "%s", got);
	mapped("GMP_SHIM_CHILDREN=off", got, sizeof(got));
	snprintf(want, sizeof(want), "yes\nno\n%s/%s\n", build_dir(),
		 "test/posix/libffi_refuses.so");
	cr_assert_str_eq(got, want);
	alone(got, sizeof(got));
	cr_assert_str_eq(got, "0\n");
}

/* Nothing on either output that the program did not write. */
Test(switches, silent_by_default, .timeout = 120)
{
	struct result res;

	ends_well("tasks", NULL, 30, 1, NULL, &res);
	cr_assert_str_eq(res.out, "done\n");
	cr_assert_str_empty(res.err, "%s", res.err);
	result_free(&res);
}

/* One line, and native threads. */
Test(switches, unknown_libc, .timeout = 120)
{
	char preload[8400];
	const char *env[] = { preload, NULL };
	struct result res;

	need_library();
	snprintf(preload, sizeof(preload),
		 "LD_PRELOAD=%s %s/test/posix/libunknown.so", library(),
		 build_dir());
	cr_assert_eq(kernel_threads(env, 0), 101);
	ends_well("tasks", NULL, 30, 0, env, &res);
	cr_assert_str_eq(res.out, "done\n");
	one_line(&res, "this C library is unknown");
	result_free(&res);
}

/* Without GMP_SHIM_MAXPROCS the Ps follow the CPUs, by stopping the world. */
Test(switches, follow_cpus, .timeout = 120)
{
	static const char *const env[] = { "GMP_SHIM_DEBUG=schedtrace=50",
					   NULL };
	struct result res;
	int one = 0, more = 0;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		cr_skip_test("one CPU");
	ends_well("follow_cpus", "5", 60, 1, env, &res);
	for (const char *s = res.err; (s = strstr(s, "gomaxprocs=")); s++)
		if (strncmp(s, "gomaxprocs=1 ", 13) == 0)
			one = 1;
		else
			more = 1;
	cr_assert(one, "never one P");
	cr_assert(more, "never more than one P");
	result_free(&res);
}

/* The longest wait of a runnable thread, by the line and in the report: beside others
 * that compute it is a slice at least. */
Test(switches, longest_wait, .timeout = 120)
{
	static const char *const env[] = { "GMP_SHIM_DEBUG=schedtrace=50",
					   "GMP_SHIM_MAXPROCS=1",
					   "GMP_SHIM_SLICE=1000",
					   "GMP_SHIM_VERBOSE=1", NULL };
	struct result res;
	char *at;
	int most = 0;

	ends_well("preempt_storm", "50", 60, 1, env, &res);
	for (at = res.err; (at = strstr(at, "maxwait=")); at++)
		if (atoi(at + 8) > most)
			most = atoi(at + 8);
	cr_assert_geq(most, 1000);
	at = strstr(res.err, "a runnable thread waited ");
	cr_assert_not_null(at, "no report:\n%s", tail(res.err, 10));
	cr_assert_geq(atoi(at + 25), most);
	result_free(&res);
}

static int number_after(const struct result *res, const char *words)
{
	const char *at = strstr(res->err, words);

	cr_assert_not_null(at, "no report:\n%s", tail(res->err, 10));
	return atoi(at + strlen(words));
}

/* What is counted here the kernel's other threads add to, if they keep the CPUs busy. */
enum { TRIES = 4 };

/* An event loop that wakes nobody and computes in calls loses its P once, and is native
 * from then on; thrice if it were one that shares its work. */
Test(switches, native_loops, .timeout = 300)
{
	static const char *const env[] = { "GMP_SHIM_MAXPROCS=1",
					   "GMP_SHIM_VERBOSE=1", NULL };
	struct result res;
	int n = 0;

	for (int i = 0; i < TRIES && (n < 1 || n > 6); i++) {
		ends_well("event_loops", NULL, 60, 1, env, &res);
		n = number_after(&res, "Ps taken from calls: ");
		result_free(&res);
	}
	cr_assert(n >= 1 && n <= 6, "%d times from three loops", n);
}

static int preemptions(const char *arg)
{
	static const char *const env[] = { "GMP_SHIM_MAXPROCS=2",
					   "GMP_SHIM_SLICE=40000",
					   "GMP_SHIM_VERBOSE=1", NULL };
	struct result res;
	int n;

	ends_well("compressor", arg, 60, 1, env, &res);
	n = number_after(&res, "(MAXPROCS=2), ");
	result_free(&res);
	return n;
}

/* Slices are not cut short beside threads that only compute, by calls that another makes
 * now and then: by slices of 2 ms they would be seven times as many. Some more there are,
 * for a while after each. */
Test(switches, whole_slices, .timeout = 600)
{
	int quiet = 0, n = 0;

	for (int i = 0; i < TRIES && n >= 4 * quiet; i++) {
		quiet = preemptions("quiet");
		n = preemptions(NULL);
		cr_assert_gt(quiet, 0);
	}
	cr_assert_lt(n, 4 * quiet, "%d preemptions, and %d beside calls", quiet,
		     n);
}
