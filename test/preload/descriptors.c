/*
 * descriptors - those that the library has of its own: when there are none to be had,
 * and when the program closes them behind its back.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "programs.h"

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

	ends_well("io_nofile", "count", 30, 1, env, &res);
	one_line(&res, "RLIMIT_NOFILE");
	cr_assert_eq(told(res.out, "few: "), 0, "%s", res.out);
	cr_assert_gt(told(res.out, "enough: "), 1, "%s", res.out);
	cr_assert_gt(told(res.out, "few again: "), 1, "%s", res.out);
	cr_assert_gt(told(res.out, "closed, and enough: "), 1, "%s", res.out);
	result_free(&res);
}

static void closed_behind(const char *setting)
{
	char path[4096];
	const char *argv[] = { path, "500", "behind", NULL };
	const char *env[] = { setting, NULL };
	struct run r = { argv, env, 1, 60 };
	struct result res;

	program_path(path, sizeof(path), "io_faults");
	command_ends_well(&r, &res);
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
