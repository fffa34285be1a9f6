/* pkey.c - protection keys: a thread's rights to them are a register, which the switch
 * saves from the first key on.
 */
#include "shim/shim.h"
#include <sys/mman.h>

EXPORT int pkey_alloc(unsigned flags, unsigned rights)
{
	NATIVELY(pkey_alloc, flags, rights);
	int key = REAL(pkey_alloc)(flags, rights);

	if (key >= 0)
		schedpku();
	return key;
}
