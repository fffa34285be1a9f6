/*
 * gmp_run - scripts/gmp-run: it starts a program under the library, or says in one
 * line why that cannot be.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "programs.h"

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
	one_line(&res, "static");
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
		one_line(&res, word);
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
	one_line(&res, "/does/not/exist");
	result_free(&res);
}
