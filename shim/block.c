/* block.c - calls that take long in the kernel and cannot park: the P goes on meanwhile,
 * and no signal of ours cuts them short. */
#include "shim/shim.h"
#include <sys/random.h>

EXPORT ssize_t getrandom(void *buf, size_t size, unsigned flags)
{
	NATIVELY(getrandom, buf, size, flags);
	if (!ong())
		return REAL(getrandom)(buf, size, flags);
	return BLOCKING(REAL(getrandom)(buf, size, flags));
}
