/*
 * preload - every program of test/posix, natively and under the library with
 * one, two and eight processors: it has to end alike and print the same.  Each
 * program and mode is a test of its own, so that a failure has a name.
 *
 * Beside them: how the library and gmp-run behave when told to stay out, told
 * nonsense, or given a program that they cannot serve.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run.h"

/* Beyond a program's own limit: the report of a hang takes its time. */
#define REPORT_TIME 75

/*
 * name, argument, limit in seconds.  The argument makes a program's run here
 * shorter than its default, which is for running it by hand.
 */
#define PROGRAMS(X)                                                            \
	X(affinity_rt, "300", 60)                                              \
	X(backtrace, NULL, 30)                                                 \
	X(backtrace_cxx, NULL, 30)                                             \
	X(barrier, NULL, 30)                                                   \
	X(blocks, NULL, 30)                                                    \
	X(blocks_held, NULL, 30)                                               \
	X(blocks_stdio, NULL, 30)                                              \
	X(blocking, NULL, 60)                                                  \
	X(blocking_cxx, NULL, 30)                                              \
	X(blocking_now, NULL, 60)                                              \
	X(c11, NULL, 30)                                                       \
	X(cancel_async, NULL, 60)                                              \
	X(cancel_cxx, NULL, 30)                                                \
	X(cancel_load, "1000", 90)                                             \
	X(cancel_main, NULL, 30)                                               \
	X(cancel_points, NULL, 60)                                             \
	X(connect, "500", 90)                                                  \
	X(cond, NULL, 30)                                                      \
	X(cond_pshared, NULL, 30)                                              \
	X(cond_requeue_timeout, "0.5", 30)                                     \
	X(cookies, NULL, 30)                                                   \
	X(coroutines, "4", 60)                                                 \
	X(cpuclock, NULL, 30)                                                  \
	X(create, NULL, 30)                                                    \
	X(create_million, NULL, 60)                                            \
	X(deep_stack, NULL, 30)                                                \
	X(deepbind, NULL, 30)                                                  \
	X(detach, NULL, 30)                                                    \
	X(dlopen_many, "3000", 60)                                              \
	X(errno_steal, NULL, 30)                                               \
	X(exec_exit, "1", 60)                                                  \
	X(exit_cleanup, NULL, 30)                                              \
	X(exit_cxx, NULL, 30)                                                  \
	X(exit_main, NULL, 30)                                                 \
	X(follow_cpus, NULL, 30)                                               \
	X(fork_anywhere, "1", 60)                                              \
	X(fork_churn, "60", 90)                                                \
	X(fork_exec, NULL, 30)                                                 \
	X(futex, NULL, 30)                                                     \
	X(first_awake, NULL, 30)                                               \
	X(getattr_np, NULL, 30)                                                \
	X(getcpu, "200", 30)                                                   \
	X(heap_lock, "10", 60)                                                 \
	X(io_blocks_data, NULL, 60)                                            \
	X(io_blocks_room, NULL, 60)                                            \
	X(io_cancel, NULL, 30)                                                 \
	X(io_cycles, "20000", 60)                                              \
	X(io_drained, NULL, 30)                                                \
	X(io_eintr, "10", 90)                                                  \
	X(io_faults, "2000", 60)                                               \
	X(io_fds, NULL, 60)                                                    \
	X(io_flags, NULL, 30)                                                  \
	X(io_many, "300", 60)                                                  \
	X(io_nofile, NULL, 30)                                                 \
	X(io_sets, NULL, 30)                                                   \
	X(io_signals, NULL, 60)                                                \
	X(io_streams, NULL, 60)                                                \
	X(io_timeouts, NULL, 60)                                               \
	X(join, NULL, 30)                                                      \
	X(keep, "20", 60)                                                      \
	X(keys, NULL, 30)                                                      \
	X(locale_ctype, NULL, 30)                                              \
	X(malloc_10000, NULL, 60)                                              \
	X(many_addresses, NULL, 60)                                            \
	X(many_parked, NULL, 30)                                               \
	X(memlock, "60", 30)                                                   \
	X(pkru, NULL, 30)                                                        \
	X(misc_libc, NULL, 30)                                                 \
	X(mutex_adaptive, NULL, 30)                                            \
	X(mutex_destroy_after_unlock, NULL, 30)                                \
	X(mutex_errorcheck, NULL, 30)                                          \
	X(mutex_normal, NULL, 30)                                              \
	X(mutex_pi, NULL, 30)                                                  \
	X(mutex_pshared, NULL, 30)                                             \
	X(mutex_recursive, NULL, 30)                                           \
	X(mutex_robust, NULL, 30)                                              \
	X(mutex_static, NULL, 30)                                              \
	X(mutex_timed, NULL, 30)                                               \
	X(names, NULL, 30)                                                     \
	X(no_eintr, "10", 90)                                                  \
	X(noguards, NULL, 30)                                                  \
	X(odd_threads, NULL, 60)                                               \
	X(once, NULL, 30)                                                      \
	X(once_cxx, NULL, 30)                                                  \
	X(openmp, NULL, 60)                                                    \
	X(own_malloc, NULL, 30)                                                \
	X(owner_migrate, NULL, 30)                                             \
	X(pipe_full, "300", 60)                                                \
	X(preempt_storm, "200", 60)                                            \
	X(rt_order, NULL, 30)                                                  \
	X(rust_std, NULL, 30)                                                  \
	X(rwlock, NULL, 30)                                                    \
	X(self_equal, NULL, 30)                                                \
	X(sched_main, NULL, 30)                                                \
	X(sem, NULL, 30)                                                       \
	X(sem_named, NULL, 30)                                                 \
	X(sem_pshared, NULL, 30)                                               \
	X(sem_signals, NULL, 30)                                               \
	X(setjmp, NULL, 30)                                                    \
	X(setxid, "100", 60)                                                   \
	X(shared_recursive, "200", 30)                                         \
	X(sig_action, NULL, 60)                                                \
	X(sig_altstack, "4", 60)                                               \
	X(sig_any, NULL, 60)                                                   \
	X(sig_context, "10", 60)                                               \
	X(sig_kill, "2", 60)                                                   \
	X(sig_longjmp, "5", 60)                                                \
	X(sig_leave, "50", 60)                                                 \
	X(sig_lost, NULL, 30)                                                  \
	X(sig_process, "5", 60)                                                \
	X(sig_self, NULL, 60)                                                  \
	X(sig_start, NULL, 30)                                                 \
	X(sig_stop, NULL, 30)                                                  \
	X(sig_stop_world, NULL, 60)                                            \
	X(sig_storm, "5000", 60)                                               \
	X(sigmask, NULL, 30)                                                   \
	X(sleep, NULL, 30)                                                     \
	X(spawn, NULL, 30)                                                     \
	X(spin, NULL, 30)                                                      \
	X(spinner, "1", 90)                                                    \
	X(stack_giveback, NULL, 30)                                            \
	X(stack_min, NULL, 60)                                                 \
	X(std_thread, NULL, 30)                                                \
	X(stdio, NULL, 30)                                                     \
	X(stdio_pipe, NULL, 30)                                                \
	X(tasks, NULL, 30)                                                     \
	X(ticker, "1000", 60)                                                  \
	X(tids, "50", 30)                                                      \
	X(tls, NULL, 30)                                                       \
	X(tls_cxx, NULL, 30)                                                   \
	X(tls_ie_dlopen, NULL, 30)                                             \
	X(user_stacks, "20", 60)                                               \
	X(vfork_child, "32", 60)                                               \
	X(yield, NULL, 30)

/* Programs that start no thread, so that the library says nothing in them. */
static const char *const threadless[] = { NULL };

static int listed(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return 1;
	return 0;
}

static int exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static void program_path(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/test/posix/%s", build_dir(), name);
	if (exists(path))
		return;
	char source[4096];
	snprintf(source, sizeof(source), "%s/test/posix/%s.rs", source_dir(),
		 name);
	/* Without a Rust compiler the build leaves such out, and says so. */
	if (exists(source))
		cr_skip_test("%s is not built: no rustc?", name);
	cr_assert_fail("%s is not built", path);
}

static void need_library(void)
{
	if (!exists(library()))
		cr_assert_fail("no library: %s", library());
}

static void run_program(const char *path, const char *arg, double limit,
			int preload, const char *const *env, struct result *res)
{
	const char *argv[] = { path, arg, NULL };
	struct run r = { argv, env, preload, limit };

	cr_assert_null(getenv("LD_PRELOAD"), "the runner itself is preloaded");
	run(&r, res);
}

/*
 * What a program prints natively is kept beside it for the other modes, under
 * a lock of its own name: written whole, then renamed.
 */
static void expected_path(char *path, size_t size, const char *program)
{
	snprintf(path, size, "%s.expected", program);
}

static void keep(const char *program, const char *text)
{
	char path[4200], tmp[4300];
	FILE *f;

	expected_path(path, sizeof(path), program);
	snprintf(tmp, sizeof(tmp), "%s.%d", path, (int)getpid());
	f = fopen(tmp, "w");
	if (!f)
		return;
	fputs(text, f);
	if (fclose(f) == 0)
		rename(tmp, path);
	else
		unlink(tmp);
}

static char *kept(const char *program)
{
	struct stat built, st;
	char path[4200], *text;
	size_t n;
	FILE *f;

	expected_path(path, sizeof(path), program);
	/* Not older than the program, and never a leftover of a broken one. */
	if (stat(program, &built) || stat(path, &st) ||
	    st.st_mtim.tv_sec <= built.st_mtim.tv_sec)
		return NULL;
	f = fopen(path, "r");
	if (!f)
		return NULL;
	text = malloc(st.st_size + 1);
	n = fread(text, 1, st.st_size, f);
	text[n] = 0;
	fclose(f);
	return text;
}

static void native(const char *name, const char *arg, double limit)
{
	char path[4096], how[64];
	struct result res;

	program_path(path, sizeof(path), name);
	run_program(path, arg, limit, 0, NULL, &res);
	if (!res.hung && WIFEXITED(res.status) && WEXITSTATUS(res.status) == 77)
		cr_skip_test("%s cannot run on this machine", name);
	if (res.hung || res.status)
		cr_assert_fail("%s ended natively with %s:\n%s%s", name,
			       ended(&res, how, sizeof(how)), tail(res.out, 3),
			       tail(res.err, 10));
	keep(path, res.out);
	result_free(&res);
}

/* Whether the library took part: its first words are a line of its own. */
static int spoke(const char *err)
{
	for (; err; err = strchr(err, '\n')) {
		err += *err == '\n';
		if (strncmp(err, "gmp_shim:", 9) == 0)
			return 1;
	}
	return 0;
}

/* stderr without the settings that the library lists when it is verbose. */
static const char *complaints(const char *err)
{
	static char text[4096];
	size_t used = 0, n;

	for (; *err; err += n) {
		n = strcspn(err, "\n");
		n += err[n] == '\n';
		if (strncmp(err, "gmp_shim: GMP_SHIM_", 19) == 0 ||
		    (strncmp(err, "gmp_shim:", 9) == 0 &&
		     memmem(err, n, ": version ", 10)))
			continue;
		if (used + n >= sizeof(text))
			break;
		memcpy(text + used, err, n);
		used += n;
	}
	text[used] = 0;
	return tail(text, 10);
}

static void shimmed(const char *name, const char *arg, double limit,
		    int maxprocs, const char *setting)
{
	char path[4096], how[64], procs[64], *want;
	const char *env[] = { procs, "GMP_SHIM_VERBOSE=1", setting, NULL };
	struct result res;

	need_library();
	program_path(path, sizeof(path), name);
	want = kept(path);
	if (!want) {
		native(name, arg, limit);
		run_program(path, arg, limit, 0, NULL, &res);
		want = strdup(res.out);
		result_free(&res);
	}
	snprintf(procs, sizeof(procs), "GMP_SHIM_MAXPROCS=%d", maxprocs);
	run_program(path, arg, limit, 1, env, &res);
	if (!res.hung && WIFEXITED(res.status) && WEXITSTATUS(res.status) == 77)
		cr_assert_fail("%s runs natively but says it cannot here",
			       name);
	if (res.hung || res.status)
		cr_assert_fail("%s on %d processors ended with %s:\n%s%s", name,
			       maxprocs, ended(&res, how, sizeof(how)),
			       tail(res.out, 3), complaints(res.err));
	if (strcmp(res.out, want))
		cr_assert_fail("%s printed\n%s\nand natively\n%s", name,
			       tail(res.out, 20), tail(want, 20));
	if (!listed(threadless, name)) {
		if (!spoke(res.err))
			cr_assert_fail("%s ran without the library", name);
		if (strstr(res.err, "runs natively"))
			cr_assert_fail("%s ran natively:\n%s", name,
				       complaints(res.err));
	}
	free(want);
	result_free(&res);
}

#define NATIVE(name, arg, limit)                                               \
	Test(native, name, .timeout = (limit) + REPORT_TIME)                   \
	{                                                                      \
		native(#name, arg, limit);                                     \
	}
#define SHIMMED(name, arg, limit, n)                                           \
	Test(maxprocs_##n, name, .timeout = 2 * (limit) + REPORT_TIME)         \
	{                                                                      \
		shimmed(#name, arg, limit, n, NULL);                           \
	}
#define ONE(name, arg, limit)	SHIMMED(name, arg, limit, 1)
#define TWO(name, arg, limit)	SHIMMED(name, arg, limit, 2)
#define EIGHT(name, arg, limit) SHIMMED(name, arg, limit, 8)

/* Preempted everywhere: what happens between any two instructions now and then. */
#define SHORT_SLICE(name, arg, limit)                                          \
	Test(short_slice, name, .timeout = 2 * (limit) + REPORT_TIME)          \
	{                                                                      \
		shimmed(#name, arg, limit, 2, "GMP_SHIM_SLICE=200");           \
	}

PROGRAMS(NATIVE)
PROGRAMS(ONE)
PROGRAMS(TWO)
PROGRAMS(EIGHT)
SHORT_SLICE(io_blocks_data, NULL, 60)
SHORT_SLICE(io_blocks_room, NULL, 60)
SHORT_SLICE(io_eintr, "10", 90)
SHORT_SLICE(io_faults, "2000", 60)
SHORT_SLICE(io_fds, NULL, 60)
SHORT_SLICE(io_nofile, NULL, 30)
SHORT_SLICE(io_signals, NULL, 60)
SHORT_SLICE(io_streams, NULL, 60)
SHORT_SLICE(io_timeouts, NULL, 60)
SHORT_SLICE(odd_threads, NULL, 60)
SHORT_SLICE(preempt_storm, "200", 60)
SHORT_SLICE(sig_action, NULL, 60)
SHORT_SLICE(sig_altstack, "4", 60)
SHORT_SLICE(sig_kill, "2", 60)
SHORT_SLICE(sig_stop_world, NULL, 60)

/* Another signal preempts: one that merges, with a default action that kills, and one
 * that queues. Both are signals of the programs, too. */
#define OTHER_SIGNAL(name, arg, limit)                                         \
	Test(preempt_usr2, name, .timeout = 2 * (limit) + REPORT_TIME)         \
	{                                                                      \
		shimmed(#name, arg, limit, 2, "GMP_SHIM_PREEMPT_SIGNAL=USR2"); \
	}                                                                      \
	Test(preempt_rtmin, name, .timeout = 2 * (limit) + REPORT_TIME)        \
	{                                                                      \
		shimmed(#name, arg, limit, 2,                                  \
			"GMP_SHIM_PREEMPT_SIGNAL=RTMIN+3");                    \
	}

OTHER_SIGNAL(exec_exit, "1", 60)
OTHER_SIGNAL(preempt_storm, "200", 60)
OTHER_SIGNAL(sig_action, NULL, 60)
OTHER_SIGNAL(sig_altstack, "4", 60)
OTHER_SIGNAL(sig_any, NULL, 60)
OTHER_SIGNAL(sig_context, "10", 60)
OTHER_SIGNAL(sig_kill, "2", 60)
OTHER_SIGNAL(sig_lost, NULL, 30)
OTHER_SIGNAL(sig_process, "5", 60)
OTHER_SIGNAL(sig_self, NULL, 60)
OTHER_SIGNAL(sig_start, NULL, 30)
OTHER_SIGNAL(sig_stop, NULL, 30)
OTHER_SIGNAL(sig_stop_world, NULL, 60)
OTHER_SIGNAL(sig_storm, "5000", 60)
OTHER_SIGNAL(sigmask, NULL, 30)
OTHER_SIGNAL(spawn, NULL, 30)
OTHER_SIGNAL(spinner, "1", 90)
OTHER_SIGNAL(vfork_child, "32", 60)

/* A program that nobody listed above would never be run. */
#define NAME(name, arg, limit) #name,
Test(programs, all_are_listed)
{
	static const char *const names[] = { PROGRAMS(NAME) NULL };
	char command[8300], name[256];
	int missing = 0;
	FILE *f;

	snprintf(command, sizeof(command),
		 "cd '%s/test/posix' && ls | sed -n "
		 "'s/\\.\\(c\\|cc\\|rs\\)$//p' "
		 "| grep -v '^lib'",
		 source_dir());
	f = popen(command, "r");
	cr_assert_not_null(f);
	while (fgets(name, sizeof(name), f)) {
		name[strcspn(name, "\n")] = 0;
		if (listed(names, name))
			continue;
		fprintf(stderr, "test/posix/%s is not in the list\n", name);
		missing++;
	}
	pclose(f);
	cr_assert_eq(missing, 0);
}

/* ---- Ways to stay out ---------------------------------------------------- */

static int lines(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static int kernel_threads(const char *const *env, int preload)
{
	struct result res;
	char path[4096], how[64];
	int n;

	program_path(path, sizeof(path), "tasks");
	run_program(path, "count", 30, preload, env, &res);
	if (res.hung || res.status)
		cr_assert_fail("tasks ended with %s:\n%s",
			       ended(&res, how, sizeof(how)),
			       tail(res.err, 10));
	n = atoi(res.out);
	result_free(&res);
	return n;
}

/* A hundred threads and main wait at once. */
Test(switches, on_few_kernel_threads, .timeout = 120)
{
	static const char *const env[] = { "GMP_SHIM_MAXPROCS=2", NULL };
	int n;

	need_library();
	n = kernel_threads(env, 1);
	cr_assert(n < 20, "%d kernel threads for a hundred Gs", n);
}

Test(switches, off, .timeout = 120)
{
	static const char *const env[] = { "GMP_SHIM=off", NULL };
	int n;

	need_library();
	n = kernel_threads(env, 1);
	cr_assert_eq(n, 101, "%d kernel threads, not one for each thread", n);
	n = kernel_threads(NULL, 0);
	cr_assert_eq(n, 101, "%d kernel threads natively", n);
}

/* One line that names the setting, its value and what would be accepted. */
static void bad_value(const char *setting, const char *name, const char *value)
{
	const char *env[] = { setting, NULL };
	struct result res;
	char path[4096], how[64];

	need_library();
	program_path(path, sizeof(path), "tasks");
	run_program(path, NULL, 30, 1, env, &res);
	if (res.hung || res.status)
		cr_assert_fail("tasks ended with %s:\n%s",
			       ended(&res, how, sizeof(how)),
			       tail(res.err, 10));
	cr_assert_str_eq(res.out, "done\n");
	cr_assert_eq(lines(res.err), 1, "not one line on stderr:\n%s", res.err);
	cr_assert_eq(strncmp(res.err, "gmp_shim:", 9), 0, "%s", res.err);
	cr_assert_not_null(strstr(res.err, name), "%s", res.err);
	cr_assert_not_null(strstr(res.err, value), "%s", res.err);
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

	need_library();
	/* another one beside it, which stays */
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s:%s/%s %s", library(),
		 build_dir(), "test/posix/libffi_refuses.so", library());
	run(&r, &res);
	cr_assert(!res.hung && res.status == 0, "%s", res.err);
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

	run(&r, &res);
	cr_assert(!res.hung && res.status == 0, "%s", res.err);
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
	char path[4096];

	need_library();
	program_path(path, sizeof(path), "tasks");
	run_program(path, NULL, 30, 1, NULL, &res);
	cr_assert(!res.hung && res.status == 0);
	cr_assert_str_eq(res.out, "done\n");
	cr_assert_str_empty(res.err, "%s", res.err);
	result_free(&res);
}

/* One line, and native threads. */
Test(switches, unknown_libc, .timeout = 120)
{
	char preload[8400], path[4096];
	const char *env[] = { preload, NULL };
	struct result res;

	need_library();
	snprintf(preload, sizeof(preload),
		 "LD_PRELOAD=%s %s/test/posix/libunknown.so", library(),
		 build_dir());
	cr_assert_eq(kernel_threads(env, 0), 101);
	program_path(path, sizeof(path), "tasks");
	run_program(path, NULL, 30, 0, env, &res);
	cr_assert(!res.hung && res.status == 0);
	cr_assert_str_eq(res.out, "done\n");
	cr_assert_eq(lines(res.err), 1, "not one line on stderr:\n%s", res.err);
	cr_assert_not_null(strstr(res.err, "this C library is unknown"));
	result_free(&res);
}

/* Without GMP_SHIM_MAXPROCS the Ps follow the CPUs, by stopping the world. */
Test(switches, follow_cpus, .timeout = 120)
{
	static const char *const env[] = { "GMP_SHIM_DEBUG=schedtrace=50",
					   NULL };
	struct result res;
	char path[4096], how[64];
	int one = 0, more = 0;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		cr_skip_test("one CPU");
	need_library();
	program_path(path, sizeof(path), "follow_cpus");
	run_program(path, "5", 60, 1, env, &res);
	if (res.hung || res.status)
		cr_assert_fail("%s:\n%s", ended(&res, how, sizeof(how)),
			       tail(res.err, 10));
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
	char path[4096], how[64], *at;
	int most = 0;

	need_library();
	program_path(path, sizeof(path), "preempt_storm");
	run_program(path, "50", 60, 1, env, &res);
	if (res.hung || res.status)
		cr_assert_fail("%s:\n%s", ended(&res, how, sizeof(how)),
			       tail(res.err, 10));
	for (at = res.err; (at = strstr(at, "maxwait=")); at++)
		if (atoi(at + 8) > most)
			most = atoi(at + 8);
	cr_assert_geq(most, 1000);
	at = strstr(res.err, "a runnable thread waited ");
	cr_assert_not_null(at, "no report:\n%s", tail(res.err, 10));
	cr_assert_geq(atoi(at + 25), most);
	result_free(&res);
}

/* ---- Descriptors of the library's own -------------------------------------- */

/* The number that a line begins with this word for. */
static int told(const char *out, const char *what)
{
	const char *at = strstr(out, what);

	cr_assert_not_null(at, "no '%s' in:\n%s", what, out);
	return atoi(at + strlen(what));
}

/* Without any it says so, once; when there are enough it has them. */
Test(descriptors, too_few, .timeout = 120)
{
	const char *env[] = { "GMP_SHIM_MAXPROCS=2", NULL };
	struct result res;
	char path[4096], how[64];

	need_library();
	program_path(path, sizeof(path), "io_nofile");
	run_program(path, "count", 30, 1, env, &res);
	if (res.hung || res.status)
		cr_assert_fail("%s:\n%s", ended(&res, how, sizeof(how)),
			       res.err);
	cr_assert_eq(lines(res.err), 1, "not one line on stderr:\n%s", res.err);
	cr_assert_not_null(strstr(res.err, "RLIMIT_NOFILE"), "%s", res.err);
	cr_assert_eq(told(res.out, "few: "), 0, "%s", res.out);
	cr_assert_gt(told(res.out, "enough: "), 1, "%s", res.out);
	cr_assert_gt(told(res.out, "few again: "), 1, "%s", res.out);
	cr_assert_gt(told(res.out, "closed, and enough: "), 1, "%s", res.out);
	result_free(&res);
}

static void closed_behind(const char *setting)
{
	char path[4096], how[64];
	const char *argv[] = { path, "500", "behind", NULL };
	const char *env[] = { setting, NULL };
	struct run r = { argv, env, 1, 60 };
	struct result res;

	need_library();
	program_path(path, sizeof(path), "io_faults");
	run(&r, &res);
	if (res.hung || res.status)
		cr_assert_fail("%s: %s:\n%s%s", setting,
			       ended(&res, how, sizeof(how)), tail(res.out, 3),
			       tail(res.err, 10));
	result_free(&res);
}

Test(descriptors, closed_behind_one, .timeout = 200)
{
	closed_behind("GMP_SHIM_MAXPROCS=1");
}

Test(descriptors, closed_behind_two, .timeout = 200)
{
	closed_behind("GMP_SHIM_MAXPROCS=2");
}

/* ---- Calls that hand their P on ------------------------------------------- */

/* How often one call blocks, each time in a thread of its own. */
enum { TIMES = 5 };

static const char *const blocks[] = { "blocks", "blocks_held", "blocks_stdio" };
enum { BLOCKS = sizeof(blocks) / sizeof(blocks[0]) };

/* One name a line. */
static char *blocking_calls(const char *program)
{
	struct result res;
	char path[4096];

	program_path(path, sizeof(path), program);
	run_program(path, "list", 30, 0, NULL, &res);
	cr_assert(!res.hung && res.status == 0, "%s list: %s", program,
		  res.err);
	free(res.err);
	return res.out;
}

/* Others run while it blocks even if it is not declared: sysmon sees to that. It counts
 * which it was; the program's own threads sleep in no other call so often. */
static int handed_on(const char *path, const char *name)
{
	char times[8], how[64];
	const char *argv[] = { path, name, times, NULL };
	const char *env[] = { "GMP_SHIM_MAXPROCS=1", "GMP_SHIM_VERBOSE=1",
			      NULL };
	struct run r = { argv, env, 1, 30 };
	unsigned long declared = 0, unseen = 0;
	struct result res;
	const char *at;
	int ok;

	snprintf(times, sizeof(times), "%d", TIMES);
	run(&r, &res);
	if (!res.hung && WIFEXITED(res.status) && WEXITSTATUS(res.status) == 77)
		cr_skip_test("%s cannot run on this machine", path);
	at = strstr(res.err, "Ps taken from calls: ");
	ok = !res.hung && res.status == 0 && at &&
	     sscanf(at, "Ps taken from calls: %lu declared, %lu unseen",
		    &declared, &unseen) == 2 &&
	     declared > TIMES / 2 && unseen < TIMES;
	if (!ok)
		fprintf(stderr, "%s, %d times: %lu declared, %lu unseen, %s\n%s",
			name, TIMES, declared, unseen,
			ended(&res, how, sizeof(how)), complaints(res.err));
	result_free(&res);
	return ok;
}

static void hand_on(const char *program)
{
	char path[4096], *names, *name, *rest;
	int bad = 0;

	need_library();
	program_path(path, sizeof(path), program);
	names = blocking_calls(program);
	for (name = strtok_r(names, "\n", &rest); name;
	     name = strtok_r(NULL, "\n", &rest))
		bad += !handed_on(path, name);
	cr_assert_eq(bad, 0, "%d calls of %s do not hand their P on", bad,
		     program);
	free(names);
}

Test(hand_on, blocks, .timeout = 300)
{
	hand_on("blocks");
}

Test(hand_on, blocks_held, .timeout = 300)
{
	hand_on("blocks_held");
}

Test(hand_on, blocks_stdio, .timeout = 300)
{
	hand_on("blocks_stdio");
}

/* A line is that name, with or without more after a comma. */
static int has_call(const char *names, const char *name)
{
	size_t n = strlen(name);

	for (; names; names = strchr(names, '\n')) {
		names += *names == '\n';
		if (strncmp(names, name, n) == 0 &&
		    (names[n] == '\n' || names[n] == ','))
			return 1;
	}
	return 0;
}

/* Every row of the tables has a test. */
#define REPEAT(type, name, ...) #name,
#define POINT(type, name, ...) #name,
#define ENDS(type, name, ...) #name,
#define ERROR(type, name, ...) #name,
#define ONCE(type, name, ...) #name,
#define STREAM(type, name, ...) #name,
#define UNLOCKED(type, name, ...) #name,
#define VARIADIC(type, name, ...) #name,
#define ALIAS(name, of) #name,
Test(hand_on, every_row)
{
	static const char *const rows[] = {
#include "shim/block.def"
#include "shim/stdio.def"
	};
#undef REPEAT
#undef POINT
#undef ENDS
#undef ERROR
#undef ONCE
#undef STREAM
#undef UNLOCKED
#undef VARIADIC
#undef ALIAS
	char *names[BLOCKS];
	int missing = 0;

	for (int i = 0; i < BLOCKS; i++)
		names[i] = blocking_calls(blocks[i]);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int found = 0;

		for (int k = 0; k < BLOCKS; k++)
			found |= has_call(names[k], rows[i]);
		if (!found)
			fprintf(stderr, "no test makes %s block\n", rows[i]);
		missing += !found;
	}
	cr_assert_eq(missing, 0);
	for (int i = 0; i < BLOCKS; i++)
		free(names[i]);
}

/* ---- GMP_SHIM_BLOCKING --------------------------------------------------- */

#define BLK "libblocking.so:blk_"
/* Every letter; separators and blanks of all kinds; what is not there. */
#define BLOCKING                                                               \
	"GMP_SHIM_BLOCKING=" BLK "b(b)b;" BLK "B(B)B;" BLK "h(h)h;" BLK        \
	"H(H)H;" BLK "i(i)i;" BLK "I(I)I;" BLK "l(l)l;" BLK "L(L)L;" BLK       \
	"f(f)f;" BLK "d(d)d;" BLK "D(D)D;" BLK "p(p)p;" BLK "v()v;" BLK        \
	"not(B)B\n" BLK "errno(i)i\n\n\tlibblocking.so : blk_wait ( i ) i\n"   \
	BLK "nested(i)i;;" BLK "call(pi)i;" BLK "near(i)i;" BLK "far(i)i;" BLK \
	"many(bBhHiIlLfdDp fdfdfdfd b)D;libnone.so:f()v; " BLK "none()v; "     \
	"libm.so.6:lgamma(d)d;\n"

/* A number in the report's line about a function: references or calls. */
static int reported(const char *err, const char *func, const char *before)
{
	char key[80];
	const char *line, *at;

	snprintf(key, sizeof(key), "GMP_SHIM_BLOCKING %s: ", func);
	line = strstr(err, key);
	cr_assert_not_null(line, "nothing about %s:\n%s", func, err);
	at = strstr(line, before);
	cr_assert(at && at < strchr(line, '\n'), "%s: %.160s", func, line);
	return atoi(at + strlen(before));
}

/* The references are bound, and the calls are bracketed: that their P was retaken
 * would prove nothing, sysmon does it for calls that it does not see, too. */
static void blocking(const char *name, int maxprocs, const char *setting)
{
	static const char *const funcs[] = {
		"b", "B", "h", "H", "i", "I", "l", "L", "f", "d", "D", "p", "v",
		"not", "errno", "wait", "nested", "near", "far", "many",
	};
	char path[4096], procs[64], how[64], func[64], *want;
	const char *env[] = { procs, "GMP_SHIM_VERBOSE=1", BLOCKING, setting,
			      NULL };
	struct result res;

	need_library();
	program_path(path, sizeof(path), name);
	run_program(path, NULL, 60, 0, NULL, &res);
	want = res.out;
	snprintf(procs, sizeof(procs), "GMP_SHIM_MAXPROCS=%d", maxprocs);
	run_program(path, NULL, 60, 1, env, &res);
	if (res.hung || res.status)
		cr_assert_fail("%s ended with %s:\n%s", name,
			       ended(&res, how, sizeof(how)),
			       complaints(res.err));
	cr_assert_str_eq(res.out, want);
	cr_assert_not_null(
		strstr(res.err, "\ngmp_shim: GMP_SHIM_BLOCKING=" BLK "errno("),
		"not among the settings:\n%s", res.err);
	for (size_t i = 0; i < sizeof(funcs) / sizeof(funcs[0]); i++) {
		snprintf(func, sizeof(func), BLK "%s", funcs[i]);
		cr_assert_gt(reported(res.err, func, "bound: "), 0, "%s", func);
		/* a call may find its thread without a P */
		cr_assert_gt(reported(res.err, func, "P: "), 2, "%s", func);
	}
	reported(res.err, "libnone.so:f", "no such library is loaded");
	reported(res.err, BLK "none", "the library has no such function");
	reported(res.err, "libm.so.6:lgamma", "nothing refers to it");
	free(want);
	result_free(&res);
}

Test(blocking, lazy, .timeout = 200)
{
	blocking("blocking", 1, NULL);
}

Test(blocking, lazy_two, .timeout = 200)
{
	blocking("blocking", 2, NULL);
}

Test(blocking, now, .timeout = 200)
{
	blocking("blocking_now", 1, NULL);
}

Test(blocking, short_slice, .timeout = 200)
{
	blocking("blocking_now", 2, "GMP_SHIM_SLICE=200");
}

/* Nothing is left to be looked up by the time it is wanted. */
Test(blocking, bind_now, .timeout = 200)
{
	blocking("blocking", 2, "LD_BIND_NOW=1");
}

Test(blocking, exceptions, .timeout = 120)
{
	const char *env[] = { "GMP_SHIM_MAXPROCS=1", "GMP_SHIM_VERBOSE=1",
			      BLOCKING, NULL };
	struct result res;
	char path[4096], how[64];

	need_library();
	program_path(path, sizeof(path), "blocking_cxx");
	run_program(path, NULL, 30, 1, env, &res);
	if (res.hung || res.status)
		cr_assert_fail("%s:\n%s", ended(&res, how, sizeof(how)),
			       complaints(res.err));
	cr_assert_gt(reported(res.err, BLK "call", "P: "), 100);
	result_free(&res);
}

/* What is said on stderr about such a value. */
static void says(const char *value, const char *other, const char *want)
{
	char setting[8192], path[4096], how[64];
	const char *env[] = { setting, other, NULL };
	struct result res;

	need_library();
	program_path(path, sizeof(path), "tasks");
	snprintf(setting, sizeof(setting), "GMP_SHIM_BLOCKING=%s", value);
	run_program(path, NULL, 30, 1, env, &res);
	if (res.hung || res.status)
		cr_assert_fail("%s: %s:\n%s", setting,
			       ended(&res, how, sizeof(how)), res.err);
	cr_assert_str_eq(res.out, "done\n");
	cr_assert_str_eq(res.err, want, "%s said\n%swanted\n%s", setting,
			 res.err, want);
	result_free(&res);
}

#define AT(line, column, found, right)                                         \
	"gmp_shim: GMP_SHIM_BLOCKING, line " #line ", column " #column         \
	": " found " is not accepted (" right "); this entry is left out\n"
#define END	 "the end of the entry"
#define LIBRARY                                                                \
	"an entry begins with a library's name without its folder, as "        \
	"libpq.so.5"
#define ARGUMENT "an argument is one of b B h H i I l L f d D p, and ')' ends them"
#define RESULT	 "the result is one of v b B h H i I l L f d D p"
#define VARIADIC                                                               \
	"a variadic function cannot be served: the callee alone knows its "    \
	"arguments"

Test(blocking, refused, .timeout = 300)
{
	static const struct {
		const char *value, *said;
	} bad[] = {
		{ ":f()v", AT(1, 1, "':'", LIBRARY) },
		{ " (p)p", AT(1, 2, "'('", LIBRARY) },
		{ "/lib/a.so:f()v", AT(1, 1, "'/'", LIBRARY) },
		{ "lib/a.so:f()v", AT(1, 4, "'/'",
				      "':' follows the library's name, which "
				      "has no folder") },
		{ "a.so", AT(1, 5, END,
			     "':' follows the library's name, which has no "
			     "folder") },
		{ "a.so b.so:f()v", AT(1, 6, "'b'",
				       "':' follows the library's name, which "
				       "has no folder") },
		{ "a.so:", AT(1, 6, END, "a function's name follows ':'") },
		{ "a.so:()v", AT(1, 6, "'('", "a function's name follows ':'") },
		{ "a.so:f", AT(1, 7, END, "'(' follows the function's name") },
		{ "a.so:f g()v", AT(1, 8, "'g'",
				    "'(' follows the function's name") },
		{ "a.so:f(", AT(1, 8, END, ARGUMENT) },
		{ "a.so:f(x)v", AT(1, 8, "'x'", ARGUMENT) },
		{ "a.so:f(iv)v", AT(1, 9, "'v'", ARGUMENT) },
		{ "a.so:f(i,i)v", AT(1, 9, "','", ARGUMENT) },
		{ "a.so:f(i\001)v", AT(1, 9, "the byte 0x01", ARGUMENT) },
		{ "a.so:f(i\351)v", AT(1, 9, "the byte 0xe9", ARGUMENT) },
		{ "libc.so.6:printf(p...)i", AT(1, 19, "'.'", VARIADIC) },
		{ "a.so:f(bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb)v",
		  AT(1, 40, "'b'", "')' after 32 arguments at most") },
		{ "a.so:f()", AT(1, 9, END, RESULT) },
		{ "a.so:f()x", AT(1, 9, "'x'", RESULT) },
		{ "a.so:f()vv", AT(1, 10, "'v'",
				   "';' or a new line ends the entry") },
		{ "a.so:f()v b.so:f()v", AT(1, 11, "'b'",
					    "';' or a new line ends the "
					    "entry") },
		{ "a.so:f()v;a.so:f()v", AT(1, 16, "'f'",
					    "a function is named once") },
		/* each in its place, and the good ones between hold */
		{ "a.so:f()v;a.so:g(y)v;a.so:h()v\n  b.so:f(?)v\n\nc.so",
		  AT(1, 18, "'y'", ARGUMENT) AT(2, 10, "'?'", ARGUMENT)
			  AT(4, 5, END,
			     "':' follows the library's name, which has no "
			     "folder") },
		/* nothing wrong, and nothing there */
		{ "", "" },
		{ " ;\n;\t\n", "" },
		{ "a.so:f()v", "" },
		{ "a.so:_ZN1a1bEv(pp)p;\r\n", "" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		says(bad[i].value, NULL, bad[i].said);
}

/* A good entry among bad ones is served. */
Test(blocking, others_hold, .timeout = 120)
{
	static const char *const env[] = {
		"GMP_SHIM_VERBOSE=1",
		"GMP_SHIM_BLOCKING=x;" BLK "wait(?)i;" BLK "i(i)i;y", NULL
	};
	struct result res;
	char path[4096];

	need_library();
	program_path(path, sizeof(path), "blocking");
	run_program(path, NULL, 60, 1, env, &res);
	cr_assert(!res.hung && res.status == 0, "%s", complaints(res.err));
	cr_assert_not_null(strstr(res.err, "line 1, column 2: "));
	cr_assert_gt(reported(res.err, BLK "i", "P: "), 100);
	cr_assert_null(strstr(res.err, BLK "wait:"));
	result_free(&res);
}

/* A folder of its own in which libffi.so.8 is that file. */
static void another_libffi(char *folder, size_t size, const char *file)
{
	char path[4200];

	snprintf(folder, size, "%s/test/preload/ffi.%d", build_dir(),
		 (int)getpid());
	snprintf(path, sizeof(path), "%s/libffi.so.8", folder);
	cr_assert_eq(mkdir(folder, 0755), 0);
	cr_assert_eq(symlink(file, path), 0);
}

static void without(const char *folder)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/libffi.so.8", folder);
	unlink(path);
	rmdir(folder);
}

/* A library of that name that is none; and told to stay out, it is not asked for. */
Test(blocking, no_libffi, .timeout = 120)
{
	char folder[4096], path[4200], line[4400];

	another_libffi(folder, sizeof(folder), "/dev/null");
	snprintf(path, sizeof(path), "LD_LIBRARY_PATH=%s", folder);
	snprintf(line, sizeof(line),
		 "gmp_shim: GMP_SHIM_BLOCKING has no effect: %s/libffi.so.8: "
		 "file too short\n",
		 folder);
	says("a.so:f()v", path, line);
	says("?", path,
	     AT(1, 2, END,
		"':' follows the library's name, which has no folder"));
	without(folder);
	says("?", "GMP_SHIM=off", "");
}

/* One that gets no memory: said once, and the functions are called all the same. */
Test(blocking, no_memory_for_code, .timeout = 120)
{
	char folder[4096], path[4200], file[4200];
	const char *env[] = { path,
			      "GMP_SHIM_BLOCKING=" BLK "i(i)i;" BLK "wait(i)i",
			      NULL };
	struct result res;

	need_library();
	snprintf(file, sizeof(file), "%s/test/posix/libffi_refuses.so",
		 build_dir());
	another_libffi(folder, sizeof(folder), file);
	snprintf(path, sizeof(path), "LD_LIBRARY_PATH=%s", folder);
	program_path(file, sizeof(file), "blocking");
	run_program(file, NULL, 60, 1, env, &res);
	without(folder);
	cr_assert(!res.hung && res.status == 0, "%s", res.err);
	cr_assert_eq(lines(res.err), 1, "%s", res.err);
	cr_assert_not_null(strstr(res.err, "no memory for code"), "%s",
			   res.err);
	result_free(&res);
}

/* ---- Many ---------------------------------------------------------------- */

static void many_on(const char *const *argv, const char *procs)
{
	const char *env[] = { procs, NULL };
	struct run r = { argv, env, 1, 150 };
	struct result res;
	char how[64];

	need_library();
	run(&r, &res);
	if (res.hung || res.status)
		cr_assert_fail("%s:\n%s", ended(&res, how, sizeof(how)),
			       tail(res.err, 10));
	result_free(&res);
}

static void many(const char *const *argv)
{
	many_on(argv, NULL);
}

/* Natively pthread_create fails near 32,000. */
Test(many, hundred_thousand_parked, .timeout = 170)
{
	char path[4096];
	const char *argv[] = { path, "100000", NULL };

	program_path(path, sizeof(path), "many_parked");
	many(argv);
}

Test(many, hundred_thousand_parked_without_guards, .timeout = 170)
{
	char path[4096], filter[4096];
	const char *argv[] = { filter, path, "100000", NULL };

	program_path(path, sizeof(path), "many_parked");
	program_path(filter, sizeof(filter), "noguards");
	many(argv);
}

Test(many, fifty_thousand_addresses, .timeout = 170)
{
	char path[4096];
	const char *argv[] = { path, "50000", NULL };

	program_path(path, sizeof(path), "many_addresses");
	many_on(argv, "GMP_SHIM_MAXPROCS=1");
	many_on(argv, "GMP_SHIM_MAXPROCS=2");
	many_on(argv, "GMP_SHIM_MAXPROCS=8");
}

Test(many, million_created, .timeout = 170)
{
	char path[4096];
	const char *argv[] = { path, "1000000", NULL };

	program_path(path, sizeof(path), "create_million");
	many(argv);
}

/* ---- gmp-run ------------------------------------------------------------- */

static void gmp_run(const char *program, const char *arg, const char *setting,
		    struct result *res)
{
	char script[4096], lib[4200];
	const char *env[] = { lib, NULL };
	const char *argv[5];
	int n = 0;
	struct run r = { argv, env, 0, 30 };

	snprintf(script, sizeof(script), "%s/scripts/gmp-run", source_dir());
	snprintf(lib, sizeof(lib), "GMP_SHIM_LIB=%s", library());
	argv[n++] = script;
	if (setting)
		argv[n++] = setting;
	argv[n++] = program;
	if (arg)
		argv[n++] = arg;
	argv[n] = NULL;
	run(&r, res);
}

Test(gmp_run, dynamic, .timeout = 120)
{
	struct result res;
	char path[4096];

	need_library();
	program_path(path, sizeof(path), "tasks");
	gmp_run(path, "count", "GMP_SHIM_MAXPROCS=2", &res);
	cr_assert(!res.hung && res.status == 0, "%s", res.err);
	cr_assert(atoi(res.out) < 20, "not under the library: %s", res.out);
	cr_assert_str_empty(res.err, "%s", res.err);
	result_free(&res);
}

Test(gmp_run, static_program, .timeout = 120)
{
	static const char text[] = "int puts(const char *);\n"
				   "int main(void) { puts(\"ran\"); "
				   "return 3; }\n";
	char program[4096], command[9000];
	struct result res;
	FILE *cc;

	need_library();
	snprintf(program, sizeof(program), "%s/test/preload/static.%d",
		 build_dir(), (int)getpid());
	snprintf(command, sizeof(command),
		 "mkdir -p '%s/test/preload' && "
		 "cc -static -x c -o '%s' - 2>/dev/null",
		 build_dir(), program);
	cc = popen(command, "w");
	cr_assert_not_null(cc);
	fputs(text, cc);
	if (pclose(cc))
		cr_skip_test("cc -static does not work here");
	gmp_run(program, NULL, NULL, &res);
	unlink(program);
	cr_assert(!res.hung && WIFEXITED(res.status));
	cr_assert_eq(WEXITSTATUS(res.status), 3, "%s", res.err);
	cr_assert_str_eq(res.out, "ran\n");
	cr_assert_eq(lines(res.err), 1, "not one line on stderr:\n%s", res.err);
	cr_assert_not_null(strstr(res.err, "static"), "%s", res.err);
	result_free(&res);
}

/* A copy of tasks, changed by a shell command on "$f": one line with a word of the
 * reason, and the program itself is left alone (it may not be able to run). */
static void unfit(const char *change, const char *word, int runs)
{
	char program[4096], path[4096], command[9000];
	struct result res;

	need_library();
	program_path(path, sizeof(path), "tasks");
	snprintf(program, sizeof(program), "%s/test/preload/unfit.%d",
		 build_dir(), (int)getpid());
	snprintf(command, sizeof(command), "f='%s'; cp '%s' \"$f\" && %s",
		 program, path, change);
	if (system(command)) {
		unlink(program);
		cr_skip_test("cannot make such a file here: %s", change);
	}
	gmp_run(program, NULL, NULL, &res);
	unlink(program);
	cr_assert(!res.hung && WIFEXITED(res.status));
	if (runs) {
		cr_assert_eq(WEXITSTATUS(res.status), 0, "%s", res.err);
		cr_assert_str_eq(res.out, "done\n");
		cr_assert_eq(lines(res.err), 1, "not one line:\n%s", res.err);
	}
	cr_assert_not_null(strstr(res.err, word), "%s", res.err);
	cr_assert_not_null(strstr(res.err, "natively"), "%s", res.err);
	result_free(&res);
}

Test(gmp_run, setuid_program, .timeout = 120)
{
	unfit("chown 65534 \"$f\" && chmod 4755 \"$f\"", "setuid", 1);
}

/* The number of the machine in the ELF header: 183 is aarch64's. */
Test(gmp_run, foreign_architecture, .timeout = 120)
{
	unfit("printf '\\267' | dd of=\"$f\" bs=1 seek=18 conv=notrunc "
	      "2>/dev/null",
	      "not a 64-bit x86-64 program", 0);
}

Test(gmp_run, missing_program, .timeout = 120)
{
	struct result res;

	gmp_run("/does/not/exist", NULL, NULL, &res);
	cr_assert(!res.hung && WIFEXITED(res.status));
	cr_assert_eq(WEXITSTATUS(res.status), 127);
	cr_assert_eq(lines(res.err), 1, "not one line on stderr:\n%s", res.err);
	result_free(&res);
}
