/* lockm.h - load the M of a G and count up a word of it, in one step as far as a
 * signal handler can tell.
 *
 * A handler that runs between the two instructions may park, and its G go on with
 * another M: the count would then be the wrong one's. Whoever lets a handler run
 * calls lockm_restart first, which moves an interrupted pair back to its start.
 */
#ifndef ASM_LOCKM_H
#define ASM_LOCKM_H

#include <stddef.h>
#include <stdint.h>

/* Where a pair's second instruction is, from here, and how far back the first. */
struct lockm_pair {
	int32_t at, back;
};

/* gp->m; ((mtype *)gp->m)->count++, with offsets in bytes. The loaded pointer. */
#define LOCKM(gp, moffset, countoffset)                                        \
	({                                                                     \
		void *lockm_;                                                  \
									       \
		__asm__ volatile("1:	movq	%c2(%1), %0\n"                 \
				 "2:	incl	%c3(%0)\n"                     \
				 "	.pushsection lockm_pairs, \"a\"\n"     \
				 "	.balign	4\n"                           \
				 "	.long	2b - ., 2b - 1b\n"             \
				 "	.popsection\n"                         \
				 : "=&r"(lockm_)                               \
				 : "r"(gp), "i"(moffset), "i"(countoffset)     \
				 : "memory", "cc");                            \
		lockm_;                                                        \
	})

/* pc, or the start of the pair that it is in the middle of. Async-signal-safe. */
static inline uintptr_t lockm_restart(uintptr_t pc)
{
	extern const struct lockm_pair __start_lockm_pairs[]
		__attribute__((visibility("hidden")));
	extern const struct lockm_pair __stop_lockm_pairs[]
		__attribute__((visibility("hidden")));

	for (const struct lockm_pair *p = __start_lockm_pairs;
	     p < __stop_lockm_pairs; p++)
		if ((uintptr_t)p + (uintptr_t)(intptr_t)p->at == pc)
			return pc - (uintptr_t)p->back;
	return pc;
}

#endif
