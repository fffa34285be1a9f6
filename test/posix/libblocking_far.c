/*
 * libblocking_far - found by libblocking_near only; its functions are looked up as
 * they are called.
 */
#define _GNU_SOURCE
#include "blocking.h"
#include <execinfo.h>

void *far_stack[64];
int far_depth;

/* Below dlopen: the stack must be whole there. */
__attribute__((constructor)) static void opened(void)
{
	far_depth = backtrace(far_stack, 64);
}

int far_call(int v)
{
	return blk_far(v) + blk_far(v);
}
