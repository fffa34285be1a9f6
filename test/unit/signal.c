/* signal.c - queues of signals for one G, frames, and system calls made again after a
 * poke: what of core/sig*.c and core/preempt.c needs no other thread.
 */
#include "test/unit/unit.h"
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

/* core/signal.h is for the kernel's headers, which libc's exclude */
bool sigenqueue(struct g *gp, int sig, const siginfo_t *info, bool shared);
int sigdequeue(struct g *gp, uint64_t set, siginfo_t *info);
void sigsetflag(struct g *gp);

#define BIT(sig) (1ul << ((sig)-1))

/* ---- queues -------------------------------------------------------------------- */

static void put(struct g *gp, int sig, int value, bool shared)
{
	siginfo_t si = { .si_signo = sig };

	si.si_value.sival_int = value;
	cr_assert(sigenqueue(gp, sig, &si, shared));
}

static void is(struct g *gp, uint64_t set, int sig, int value)
{
	siginfo_t si = { 0 };

	cr_assert_eq(sigdequeue(gp, set, &si), sig);
	if (sig) {
		cr_assert_eq(si.si_signo, sig);
		cr_assert_eq(si.si_value.sival_int, value);
	}
}

Test(signal, standard_ones_merge, .timeout = 10)
{
	struct g *gp = newgs(1);

	put(gp, SIGUSR1, 1, false);
	put(gp, SIGUSR1, 2, false);
	/* what was sent to the process is another one */
	put(gp, SIGUSR1, 3, true);
	put(gp, SIGUSR1, 4, true);
	is(gp, ~0ul, SIGUSR1, 1);
	cr_assert_eq(gp->sigpend, BIT(SIGUSR1));
	is(gp, ~0ul, SIGUSR1, 3);
	cr_assert_eq(gp->sigpend, 0);
	is(gp, ~0ul, 0, 0);
	put(gp, SIGUSR1, 5, false);
	is(gp, ~0ul, SIGUSR1, 5);
}

Test(signal, queued_ones_in_order, .timeout = 10)
{
	struct g *gp = newgs(1);

	for (int i = 0; i < 100; i++)
		put(gp, SIGRTMIN + 1 - i % 2, i, false);
	put(gp, SIGTERM, 7, false);
	/* the lowest first, and only what is asked for */
	is(gp, BIT(SIGHUP), 0, 0);
	is(gp, BIT(SIGRTMIN + 1), SIGRTMIN + 1, 0);
	is(gp, ~0ul, SIGTERM, 7);
	for (int i = 1; i < 100; i += 2)
		is(gp, ~0ul, SIGRTMIN, i);
	cr_assert_eq(gp->sigpend, BIT(SIGRTMIN + 1));
	for (int i = 2; i < 100; i += 2)
		is(gp, ~0ul, SIGRTMIN + 1, i);
	cr_assert_eq(gp->sigpend, 0);
}

Test(signal, flag_follows_queue_and_mask, .timeout = 10)
{
	struct g *gp = newgs(1);

	gp->sigmask = BIT(SIGUSR1);
	put(gp, SIGUSR1, 1, false);
	cr_assert_not(gp->flags & GF_SIGNAL);
	put(gp, SIGUSR2, 2, false);
	cr_assert(gp->flags & GF_SIGNAL);
	is(gp, ~gp->sigmask, SIGUSR2, 2);
	sigsetflag(gp);
	cr_assert_not(gp->flags & GF_SIGNAL);
	gp->sigmask = 0;
	sigsetflag(gp);
	cr_assert(gp->flags & GF_SIGNAL);
}

/* ---- frames -------------------------------------------------------------------- */

static char stack[8192] __attribute__((aligned(64)));

Test(signal, frame_without_state, .timeout = 10)
{
	uintptr_t lo = (uintptr_t)stack, hi = lo + sizeof(stack) - 3;
	ucontext_t uc = { .uc_flags = 0x1234 };
	siginfo_t si = { .si_signo = 77 };
	struct ucontext *copy;
	void *f;

	uc.uc_mcontext.gregs[REG_R13] = 0x5eed;
	f = framecopy(hi, lo, (struct ucontext *)&uc, &si);
	cr_assert_not_null(f);
	/* as after a call: the handler's stack is aligned then */
	cr_assert_eq((uintptr_t)f % 16, 8);
	cr_assert_leq((uintptr_t)f + sizeof(void *) + sizeof(siginfo_t), hi);
	copy = frameuc(f);
	cr_assert_eq(((ucontext_t *)copy)->uc_flags, 0x1234);
	cr_assert_eq(((ucontext_t *)copy)->uc_mcontext.gregs[REG_R13], 0x5eed);
	cr_assert_null(((ucontext_t *)copy)->uc_mcontext.fpregs);
	/* the last byte that it needs decides */
	cr_assert_eq(framecopy(hi, (uintptr_t)f, (struct ucontext *)&uc, NULL),
		     f);
	cr_assert_null(framecopy(hi, (uintptr_t)f + 1, (struct ucontext *)&uc,
				 NULL));
}

Test(signal, frame_with_state, .timeout = 10)
{
	enum { SIZE = 1088, MAGIC = 0x46505853, WHERE = 464 };
	static char state[SIZE] __attribute__((aligned(64)));
	uintptr_t lo = (uintptr_t)stack, hi = lo + sizeof(stack) - 40;
	uint32_t sw[] = { MAGIC, SIZE };
	ucontext_t uc = { 0 }, *copy;
	char *to;

	for (int i = 0; i < SIZE; i++)
		state[i] = (char)(i * 7);
	memcpy(state + WHERE, sw, sizeof(sw));
	uc.uc_mcontext.fpregs = (fpregset_t)(void *)state;
	copy = (ucontext_t *)frameuc(
		framecopy(hi, lo, (struct ucontext *)&uc, NULL));
	to = (char *)copy->uc_mcontext.fpregs;
	cr_assert_neq(to, state);
	cr_assert_eq((uintptr_t)to % 64, 0);
	cr_assert_leq((uintptr_t)to + SIZE, hi);
	/* above the kernel's struct ucontext and the siginfo_t */
	cr_assert_geq(to, (char *)copy + 304 + sizeof(siginfo_t));
	cr_assert_eq(memcmp(to, state, SIZE), 0);
}

/* ---- system calls made again --------------------------------------------------- */

static unsigned char code[64] __attribute__((aligned(64))); /* on one page */

/* After these bytes, with that result: the number with which it starts again, -1: it
 * does not. %r8 is 35, %rdx 36. */
static long again(const unsigned char *bytes, int n, long result)
{
	ucontext_t uc = { 0 };
	greg_t *r = uc.uc_mcontext.gregs, rip;
	bool did;

	memset(code, 0x90, sizeof(code));
	memcpy(code + 40 - n, bytes, (size_t)n);
	r[REG_RAX] = result;
	r[REG_R8] = 35;
	r[REG_RDX] = 36;
	r[REG_RCX] = r[REG_R11] = 37;
	r[REG_RIP] = rip = (greg_t)(code + 40);
	did = sigrestartcall((struct ucontext *)&uc);
	cr_assert_eq(r[REG_RIP], did ? rip - 2 : rip);
	if (!did)
		cr_assert_eq(r[REG_RAX], result);
	return did ? r[REG_RAX] : -1;
}

#define AGAIN(result, ...)                                                     \
	again((const unsigned char[]){ __VA_ARGS__ },                          \
	      sizeof((const unsigned char[]){ __VA_ARGS__ }), result)
#define CALL 0x0f, 0x05

Test(signal, calls_made_again, .timeout = 10)
{
	/* xor %eax,%eax */
	cr_assert_eq(AGAIN(-EINTR, 0x31, 0xc0, CALL), 0);
	/* mov $202,%eax */
	cr_assert_eq(AGAIN(-EINTR, 0xb8, 202, 0, 0, 0, CALL), 202);
	/* mov $202,%rax */
	cr_assert_eq(AGAIN(-EINTR, 0x48, 0xc7, 0xc0, 202, 0, 0, 0, CALL), 202);
	/* mov %r8,%rax; mov %rdx,%rsi */
	cr_assert_eq(AGAIN(-EINTR, 0x4c, 0x89, 0xc0, 0x48, 0x89, 0xd6, CALL),
		     35);
	/* mov %edx,%eax, the other way to write it */
	cr_assert_eq(AGAIN(-EINTR, 0x8b, 0xc2, CALL), 36);
	/* mov $202,%eax; xor %edx,%edx; mov $1,%r8d, which has another half */
	cr_assert_eq(AGAIN(-EINTR, 0xb8, 202, 0, 0, 0, 0x31, 0xd2, 0x41, 0xb8,
			   1, 0, 0, 0, CALL),
		     202);
	/* mov %edx,%eax; not %r10; sar $63,%r10; and %rbx,%r10; add $1,%esi */
	cr_assert_eq(AGAIN(-EINTR, 0x89, 0xd0, 0x49, 0xf7, 0xd2, 0x49, 0xc1,
			   0xfa, 63, 0x49, 0x21, 0xda, 0x83, 0xc6, 1, CALL),
		     36);
	/* mov $7,%eax; mov 8(%rsp),%rdi; lea 0x10(%rax,%rcx,4),%rsi;
	 * mov 0x1234(%rip),%edx; movslq %edi,%r10 */
	cr_assert_eq(AGAIN(-EINTR, 0xb8, 7, 0, 0, 0, 0x48, 0x8b, 0x7c, 0x24, 8,
			   0x48, 0x8d, 0x74, 0x88, 0x10, 0x8b, 0x15, 0x34,
			   0x12, 0, 0, 0x4c, 0x63, 0xd7, CALL),
		     7);
}

Test(signal, calls_not_made_again, .timeout = 10)
{
	/* another result, no call, no number of one */
	cr_assert_eq(AGAIN(-EAGAIN, 0x31, 0xc0, CALL), -1);
	cr_assert_eq(AGAIN(0, 0x31, 0xc0, CALL), -1);
	cr_assert_eq(AGAIN(-EINTR, 0x31, 0xc0, 0x0f, 0x04), -1);
	cr_assert_eq(AGAIN(-EINTR, 0xb8, 0xca, 0, 1, 0, CALL), -1);
	/* from memory; from what the call or a later load has overwritten */
	cr_assert_eq(AGAIN(-EINTR, 0x8b, 0x44, 0x24, 8, CALL), -1);
	cr_assert_eq(AGAIN(-EINTR, 0x89, 0xc8, CALL), -1);
	cr_assert_eq(AGAIN(-EINTR, 0x44, 0x89, 0xd8, CALL), -1);
	cr_assert_eq(AGAIN(-EINTR, 0x89, 0xd0, 0x31, 0xd2, CALL), -1);
	/* something else in between: add $1,%eax; neg %eax; test $1,%edx; call */
	cr_assert_eq(AGAIN(-EINTR, 0xb8, 7, 0, 0, 0, 0x83, 0xc0, 1, CALL), -1);
	cr_assert_eq(AGAIN(-EINTR, 0xb8, 7, 0, 0, 0, 0xf7, 0xd8, CALL), -1);
	cr_assert_eq(AGAIN(-EINTR, 0xb8, 7, 0, 0, 0, 0xf7, 0xc2, 1, 0, 0, 0,
			   CALL),
		     -1);
	cr_assert_eq(AGAIN(-EINTR, 0xb8, 7, 0, 0, 0, 0xe8, 0, 0, 0, 0, CALL),
		     -1);
}

/* The kernel makes it again, by another number; after a handler it would not know which. */
Test(signal, calls_made_again_by_the_kernel, .timeout = 10)
{
	static const unsigned char call[] = { 0xb8, 202, 0, 0, 0, CALL };
	ucontext_t uc = { 0 };
	greg_t *r = uc.uc_mcontext.gregs, at = (greg_t)(code + 20 + 5);

	memcpy(code + 20, call, sizeof(call));
	r[REG_RAX] = __NR_restart_syscall;
	r[REG_RIP] = at;
	cr_assert(sigrestartcall((struct ucontext *)&uc));
	cr_assert_eq(r[REG_RAX], 202);
	cr_assert_eq(r[REG_RIP], at);
	r[REG_RAX] = __NR_restart_syscall;
	r[REG_RIP] = at + 2; /* its result, by accident */
	cr_assert(!sigrestartcall((struct ucontext *)&uc));
}

/* Not a byte is read of the page before. */
Test(signal, calls_at_the_edge_of_a_page, .timeout = 10)
{
	static const unsigned char call[] = { 0xb8, 7, 0, 0, 0, CALL };
	unsigned char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ucontext_t uc = { 0 };
	greg_t *r = uc.uc_mcontext.gregs;

	cr_assert_neq(page, MAP_FAILED);
	cr_assert_eq(munmap(page, 4096), 0);
	page += 4096;
	for (int at = -6; at < 3; at++) {
		for (int i = 0; i < (int)sizeof(call); i++)
			if (at + i >= 0)
				page[at + i] = call[i];
		r[REG_RAX] = -EINTR;
		r[REG_RIP] = (greg_t)(page + at + (int)sizeof(call));
		/* what stands before the load says whether it is one */
		cr_assert_eq(sigrestartcall((struct ucontext *)&uc), at > 0);
	}
}
