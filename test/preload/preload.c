/*
 * preload - every program of test/posix, natively and under the library with
 * one, two and eight processors: it has to end alike and print the same.  Each
 * program and mode is a test of its own, so that a failure has a name.
 *
 * How the library and gmp-run behave when told to stay out, told nonsense, or
 * given a program that they cannot serve is in the files beside it.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "programs.h"

/* Beyond a program's own limit: the report of a hang takes its time. */
#define REPORT_TIME 75

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
	if (!spoke(res.err))
		cr_assert_fail("%s ran without the library", name);
	if (strstr(res.err, "runs natively"))
		cr_assert_fail("%s ran natively:\n%s", name,
			       complaints(res.err));
	free(want);
	result_free(&res);
}

#define NATIVE(name, arg, limit)                                               \
	Test(native, name, .timeout = (limit) + REPORT_TIME)                   \
	{                                                                      \
		native(#name, arg, limit);                                     \
	}
#define SHIMMED(suite, name, arg, limit, maxprocs, setting)                    \
	Test(suite, name, .timeout = 2 * (limit) + REPORT_TIME)                \
	{                                                                      \
		shimmed(#name, arg, limit, maxprocs, setting);                 \
	}

#define PROGRAM(name, arg, limit)                                              \
	NATIVE(name, arg, limit)                                               \
	SHIMMED(maxprocs_1, name, arg, limit, 1, NULL)                         \
	SHIMMED(maxprocs_2, name, arg, limit, 2, NULL)                         \
	SHIMMED(maxprocs_8, name, arg, limit, 8, NULL)
#define SLICED(name, arg, limit)                                               \
	PROGRAM(name, arg, limit)                                              \
	SHIMMED(short_slice, name, arg, limit, 2, "GMP_SHIM_SLICE=200")
#define OTHER_SIGNALS(name, arg, limit)                                        \
	SHIMMED(preempt_usr2, name, arg, limit, 2,                             \
		"GMP_SHIM_PREEMPT_SIGNAL=USR2")                                \
	SHIMMED(preempt_rtmin, name, arg, limit, 2,                            \
		"GMP_SHIM_PREEMPT_SIGNAL=RTMIN+3")
#define SIGNALS(name, arg, limit)                                              \
	PROGRAM(name, arg, limit)                                              \
	OTHER_SIGNALS(name, arg, limit)
#define SLICED_SIGNALS(name, arg, limit)                                       \
	SLICED(name, arg, limit)                                               \
	OTHER_SIGNALS(name, arg, limit)
#include "programs.def"
#undef PROGRAM
#undef SLICED
#undef SIGNALS
#undef SLICED_SIGNALS

static int listed(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return 1;
	return 0;
}

/* A program that nobody listed there would never be run. */
#define PROGRAM(name, arg, limit) #name,
#define SLICED PROGRAM
#define SIGNALS PROGRAM
#define SLICED_SIGNALS PROGRAM
Test(programs, all_are_listed)
{
	static const char *const names[] = {
#include "programs.def"
		NULL
	};
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
