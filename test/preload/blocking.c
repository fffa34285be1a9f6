/*
 * blocking - GMP_SHIM_BLOCKING: functions of a library that are bracketed by their
 * signature, what is said about an entry that is wrong, and libffi's absence.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "programs.h"

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
	char procs[64], func[64], *want;
	const char *env[] = { procs, "GMP_SHIM_VERBOSE=1", BLOCKING, setting,
			      NULL };
	struct result res;

	ends_well(name, NULL, 60, 0, NULL, &res);
	want = res.out;
	free(res.err);
	snprintf(procs, sizeof(procs), "GMP_SHIM_MAXPROCS=%d", maxprocs);
	ends_well(name, NULL, 60, 1, env, &res);
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

	ends_well("blocking_cxx", NULL, 30, 1, env, &res);
	cr_assert_gt(reported(res.err, BLK "call", "P: "), 100);
	result_free(&res);
}

/* What is said on stderr about such a value. */
static void says(const char *value, const char *other, const char *want)
{
	char setting[8192];
	const char *env[] = { setting, other, NULL };
	struct result res;

	snprintf(setting, sizeof(setting), "GMP_SHIM_BLOCKING=%s", value);
	ends_well("tasks", NULL, 30, 1, env, &res);
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

	ends_well("blocking", NULL, 60, 1, env, &res);
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

	snprintf(file, sizeof(file), "%s/test/posix/libffi_refuses.so",
		 build_dir());
	another_libffi(folder, sizeof(folder), file);
	snprintf(path, sizeof(path), "LD_LIBRARY_PATH=%s", folder);
	ends_well("blocking", NULL, 60, 1, env, &res);
	without(folder);
	one_line(&res, "no memory for code");
	result_free(&res);
}
