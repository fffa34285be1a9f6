/*
 * hand_on - the calls of the programs blocks_* hand their P on by being declared, and
 * not by sysmon's noticing; and there is one for each row of the tables of calls.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "programs.h"

/* How often one call blocks, each time in a thread of its own. */
enum { TIMES = 5 };

static const char *const blocks[] = {
	"blocks_aio",  "blocks_children", "blocks_held",
	"blocks_ipc",  "blocks_locks",	  "blocks_stdio",
};
enum { BLOCKS = sizeof(blocks) / sizeof(blocks[0]) };

/* One name a line. */
static char *blocking_calls(const char *program)
{
	struct result res;

	ends_well(program, "list", 30, 0, NULL, &res);
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

#define HAND_ON(program)                                                       \
	Test(hand_on, program, .timeout = 300)                                 \
	{                                                                      \
		hand_on(#program);                                             \
	}
HAND_ON(blocks_aio)
HAND_ON(blocks_children)
HAND_ON(blocks_held)
HAND_ON(blocks_ipc)
HAND_ON(blocks_locks)
HAND_ON(blocks_stdio)

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
