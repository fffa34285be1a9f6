/* syscall.h - raw system calls, 0 to 6 arguments; the result is -E on error.
 * They never touch errno: core may run with any thread's identity. */
#ifndef ASM_SYSCALL_H
#define ASM_SYSCALL_H

#include <asm/unistd.h>

static inline long rawsyscall(long n, long a, long b, long c, long d, long e,
			      long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8),
			   "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define RAW_(n, a, b, c, d, e, f, ...)                                         \
	rawsyscall(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e),   \
		   (long)(f))
/* RAW(number, arguments...): missing arguments are 0. */
#define RAW(...) RAW_(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

#endif
