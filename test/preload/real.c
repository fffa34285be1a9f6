/*
 * real - a test for each script in test/real.  A script runs one real program
 * natively and under the library and compares what it did; see common there.
 *
 * They take a minute or two: REAL=0 skips them.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run.h"

/* A command in a script has its own limit, 60 s; this is for all of it. */
#define LIMIT 170

static void real(const char *name)
{
	char script[4096], lib[4200], how[64];
	const char *argv[] = { script, NULL };
	const char *env[] = { lib, NULL };
	struct run r = { argv, env, 0, LIMIT };
	const char *skip = getenv("REAL"), *runs = getenv("RUNS");
	struct result res;

	if (skip && strcmp(skip, "0") == 0)
		cr_skip_test("REAL=0");
	cr_assert_null(getenv("LD_PRELOAD"), "the runner itself is preloaded");
	if (access(library(), R_OK))
		cr_assert_fail("no library: %s", library());
	snprintf(script, sizeof(script), "%s/test/real/%s.sh", source_dir(),
		 name);
	/* Not NAME=value of the library's own: the script hands it on. */
	snprintf(lib, sizeof(lib), "SHIM=%s", library());
	if (runs && atoi(runs) > 1)
		r.limit *= atoi(runs);
	run(&r, &res);
	if (!res.hung && WIFEXITED(res.status) && WEXITSTATUS(res.status) == 77)
		cr_skip_test("%s", res.err);
	if (res.hung || res.status)
		cr_assert_fail("%s ended with %s:\n%s", name,
			       ended(&res, how, sizeof(how)),
			       tail(res.err, 60));
	result_free(&res);
}

#define SCRIPTS(X)                                                             \
	X(7zz)                                                                 \
	X(core)                                                                \
	X(cpython)                                                             \
	X(curl)                                                                \
	X(ffmpeg)                                                              \
	X(gdb)                                                                 \
	X(git)                                                                 \
	X(glib)                                                                \
	X(glib_locks)                                                          \
	X(hackbench)                                                           \
	X(libpq)                                                               \
	X(perl)                                                                \
	X(pigz)                                                                \
	X(python)                                                              \
	X(ripgrep)                                                             \
	X(tracers)                                                             \
	X(xz)                                                                  \
	X(zstd)

/* Ample: the limit above ends it first, also where RUNS stretches it. */
#define SCRIPT(name)                                                           \
	Test(real, name, .timeout = 1800)                                      \
	{                                                                      \
		real(#name);                                                   \
	}
SCRIPTS(SCRIPT)
