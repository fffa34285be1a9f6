/* tsan_arena.c - lets Criterion's test runner live beside ThreadSanitizer.
 * Why: the runner shares memory with its test processes at an address it
 *      draws with rand_r, 0x2000'0000'0000 + n * 16 MiB, and insists on it
 *      with MAP_FIXED; ThreadSanitizer allows only a few ranges and the
 *      runner stops with "could not initialize inheritable arena".  This
 *      rand_r, found before libc's, draws from n = 0x360000 .. 0x363fff, which
 *      is inside the range for position-independent programs (0x5500... to
 *      0x5680...) and above where the program itself is loaded.
 * Linked into the thread-sanitized unit tests only.
 */
#include <stdlib.h>

__attribute__((visibility("default"))) int rand_r(unsigned int *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return 0x360000 + (*seed >> 16 & 0x3fff);
}
