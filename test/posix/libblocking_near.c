/*
 * libblocking_near - opened at run time, bound at once and read-only then; it has
 * a RUNPATH, by which it finds libblocking_far without a folder.
 */
#define _GNU_SOURCE
#include "blocking.h"
#include <dlfcn.h>

/* A reference in data, and one in data that is read-only once relocated. */
int (*near_data)(int) = blk_errno;
int (*const near_const)(int) = blk_errno;

int near_zero(void)
{
	return 0;
}

int near_call(int v)
{
	return blk_near(v);
}

int near_pointers(int e)
{
	int (*volatile *data)(int) = &near_data;
	int (*const volatile *constant)(int) = &near_const;

	return (*data)(e) + (*constant)(e);
}

/* No jumps: who calls counts. */
void *near_open(const char *name)
{
	void *volatile lib = dlopen(name, RTLD_LAZY | RTLD_LOCAL);

	return lib;
}

void *near_next(const char *name)
{
	void *volatile f = dlsym(RTLD_NEXT, name);

	return f;
}
