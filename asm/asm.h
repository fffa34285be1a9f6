/* asm.h - what C may ask of the registers: the context switch, the way back out of a
 * moved signal frame, and nothing else.
 *
 * One switch moves a kernel thread from one G to another. It changes the stack
 * pointer and the thread pointer (FS base) together, so a C function always
 * resumes with the thread-local storage it started with; that is why no other
 * code in this project may write the thread pointer (withtp gives it back).
 */
#ifndef ASM_H
#define ASM_H

/* Offsets shared with the .S files; each is asserted below. */
#define GOBUF_SP 0
#define GOBUF_FS 8
#define GOBUF_M 16
#define GOBUF_ONCPU 24
#define GOBUF_PKRU 28

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

/* Where a context that is not running keeps its registers: all but these words are
 * on its own stack. */
struct gobuf {
	void *sp;	/* saved stack pointer; meaningless while oncpu is 1 */
	uintptr_t fs;	/* thread pointer; constant once the context is made */
	void *m;	/* the M that runs it; written by gswitch after oncpu fell */
	uint32_t oncpu;	/* 1 from the load of the registers until their save */
	uint32_t pkru;	/* rights to protection keys, ^ PKRU_INIT: 0 is as new */
};

_Static_assert(offsetof(struct gobuf, sp) == GOBUF_SP, "gogo.S");
_Static_assert(offsetof(struct gobuf, fs) == GOBUF_FS, "gogo.S");
_Static_assert(offsetof(struct gobuf, m) == GOBUF_M, "gogo.S");
_Static_assert(offsetof(struct gobuf, oncpu) == GOBUF_ONCPU, "gogo.S");
_Static_assert(offsetof(struct gobuf, pkru) == GOBUF_PKRU, "gogo.S");

/* Save the caller in from, run to on the kernel thread of M m.
 *
 * from->oncpu is cleared (release) as soon as the registers are saved; only then
 * is to->oncpu waited for (acquire, about 100 pauses), so two switches that wait
 * for each other cannot form a ring. If the wait runs out, g0 is run instead of
 * to: the call by which g0 was left then returns 1. It returns 0 otherwise.
 * Neither errno nor the signal mask is touched. */
int gswitch(struct gobuf *from, struct gobuf *to, struct gobuf *g0, void *m);

/* Make buf a context that calls fn(r) on the stack that ends at hi (any
 * alignment), with the caller's FP control words and thread pointer fs; r is what
 * gswitch would return there. fn must not return. Unwinders stop cleanly at fn's caller. */
void gobufinit(struct gobuf *buf, uintptr_t hi, uintptr_t fs, void (*fn)(int));

/* 1 if user space may write the thread pointer with wrfsbase (set it before the
 * first switch); 0 makes gswitch use arch_prctl, some ten times slower. */
extern uint32_t asm_fsgsbase __attribute__((visibility("hidden")));

/* 1 once the process has a protection key: gswitch then switches PKRU, too, and
 * gobufinit gives the caller's. A context that was left before has what the kernel
 * gives a process: nobody had a key to set rights for. */
extern uint32_t asm_pku __attribute__((visibility("hidden")));

/* The return address of a moved signal frame's handler, and where a preempted G goes
 * on: with the stack pointer at the frame's ucontext they call the function below
 * with it, then rt_sigreturn(2) on it. Signals are blocked from the call on. */
extern const char sigreturn_[] __attribute__((visibility("hidden")));
extern const char asyncpreempt[] __attribute__((visibility("hidden")));
extern const char sigrestorer_[] __attribute__((visibility("hidden")));
extern void (*asm_sigleave)(void *uc) __attribute__((visibility("hidden")));
extern void (*asm_gopreempt)(void *uc) __attribute__((visibility("hidden")));

/* fn(a, b, c) under thread pointer tp; all signals are blocked. */
__attribute__((visibility("hidden"))) void
withtp(uintptr_t tp, void (*fn)(long, long, long), long a, long b, long c);

/* The thread pointer of the running context. */
static inline uintptr_t gettp(void)
{
	uintptr_t tp;

	__asm__ volatile("mov %%fs:0, %0" : "=r"(tp));
	return tp;
}

/* A clock that costs little and has no unit; some 2 to 4 ticks a nanosecond. */
static inline uint64_t cputicks(void)
{
	return __builtin_ia32_rdtsc();
}

static inline void cpupause(void)
{
	__asm__ volatile("pause" ::: "memory");
}
#endif
#endif
