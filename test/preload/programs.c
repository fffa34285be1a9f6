/*
 * programs - see programs.h.
 */
#define _GNU_SOURCE
#include "programs.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int exists(const char *path)
{
	return access(path, F_OK) == 0;
}

void program_path(char *path, size_t size, const char *name)
{
	char source[4096];

	snprintf(path, size, "%s/test/posix/%s", build_dir(), name);
	if (exists(path))
		return;
	snprintf(source, sizeof(source), "%s/test/posix/%s.rs", source_dir(),
		 name);
	/* Without a Rust compiler the build leaves such out, and says so. */
	if (exists(source))
		cr_skip_test("%s is not built: no rustc?", name);
	cr_assert_fail("%s is not built", path);
}

void need_library(void)
{
	if (!exists(library()))
		cr_assert_fail("no library: %s", library());
}

void run_program(const char *path, const char *arg, double limit, int preload,
		 const char *const *env, struct result *res)
{
	const char *argv[] = { path, arg, NULL };
	struct run r = { argv, env, preload, limit };

	cr_assert_null(getenv("LD_PRELOAD"), "the runner itself is preloaded");
	run(&r, res);
}

static void ended_well(const char *what, const struct result *res)
{
	char how[64];

	if (res->hung || res->status)
		cr_assert_fail("%s ended with %s:\n%s%s", what,
			       ended(res, how, sizeof(how)), tail(res->out, 3),
			       complaints(res->err));
}

void ends_well(const char *name, const char *arg, double limit, int preload,
	       const char *const *env, struct result *res)
{
	char path[4096];

	if (preload)
		need_library();
	program_path(path, sizeof(path), name);
	run_program(path, arg, limit, preload, env, res);
	ended_well(name, res);
}

void command_ends_well(const struct run *r, struct result *res)
{
	need_library();
	run(r, res);
	ended_well(r->argv[0], res);
}

int lines(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

void one_line(const struct result *res, const char *with)
{
	cr_assert_eq(lines(res->err), 1, "not one line on stderr:\n%s",
		     res->err);
	cr_assert_not_null(strstr(res->err, with), "no '%s' in: %s", with,
			   res->err);
}

const char *complaints(const char *err)
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
