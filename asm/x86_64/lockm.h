/* lockm.h - two things in one step as far as a signal handler can tell: to load the M of
 * a G and count up a word of it; to look at a word and begin a system call.
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

/* A raw system call, -EINTR instead if *unless is set before it begins: whoever sets it
 * and then sends a signal that goes through lockm_restart ends the call in any case. */
static inline long syscall_unless(const uint32_t *unless, long n, long a, long b,
				  long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("1:	cmpl	$0, %[unless]\n"
			 "2:	jne	4f\n"
			 "3:	syscall\n"
			 "	jmp	5f\n"
			 "4:	movq	$-4, %%rax\n"
			 "5:\n"
			 "	.pushsection lockm_pairs, \"a\"\n"
			 "	.balign	4\n"
			 "	.long	2b - ., 2b - 1b\n"
			 "	.long	3b - ., 3b - 1b\n"
			 "	.popsection\n"
			 : "=a"(ret)
			 : "0"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8),
			   "r"(r9), [unless] "m"(*unless)
			 : "rcx", "r11", "memory", "cc");
	return ret;
}

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
