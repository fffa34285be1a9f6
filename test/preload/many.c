/*
 * many - more threads than there could be natively.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include "programs.h"

static void many_on(const char *const *argv, const char *procs)
{
	const char *env[] = { procs, NULL };
	struct run r = { argv, env, 1, 150 };
	struct result res;

	command_ends_well(&r, &res);
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

Test(many, million_created, .timeout = 170)
{
	char path[4096];
	const char *argv[] = { path, "1000000", NULL };

	program_path(path, sizeof(path), "create_million");
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
