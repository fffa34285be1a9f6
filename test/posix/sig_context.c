/*
 * sig_context - what a handler sees of the interrupted code, and may change:
 * faults are mended by moving on, by another register, by another page; every
 * register, vector and floating state is there, and comes back as the handler
 * left it in the context, whatever the handler did meanwhile, yields included;
 * the mask; a jump out; a backtrace through the frame.  In many threads.
 */
#include "sigcheck.h"
#include <execinfo.h>
#include <setjmp.h>
#include <stddef.h>
#include <sys/mman.h>

enum { N = 20 };
static int rounds = 50;
static __thread volatile int ran;

#ifdef __x86_64__

static greg_t *regs_of(void *context)
{
	return ((ucontext_t *)context)->uc_mcontext.gregs;
}

static void in_threads(const char *what, thread_fn *fn)
{
	pthread_t t[N];
	long i;

	section(what);
	for (i = 0; i < N; i++)
		t[i] = start(fn, (void *)i);
	fn((void *)(long)N);
	for (i = 0; i < N; i++)
		join(t[i]);
}

/* ---- Faults, mended ------------------------------------------------------ */

static void skips(int sig, siginfo_t *si, void *context)
{
	greg_t *r = regs_of(context);

	CHECK_EQ(sig, SIGSEGV);
	CHECK_EQ(si->si_code, SEGV_MAPERR);
	CHECK_EQ((long)si->si_addr, r[REG_RDI]);
	CHECK_EQ(r[REG_CR2], r[REG_RDI]);
	CHECK_EQ(r[REG_TRAPNO], 14);
	CHECK_EQ(r[REG_ERR] & 6, r[REG_RAX] ? 6 : 4); /* from user; a write */
	if (++ran % 4 == 0)
		sched_yield();
	r[REG_RIP] = r[REG_R8];
	r[REG_RAX] = r[REG_RDI] + 1;
}

static void *skipped(void *arg)
{
	long where = 16 + 8 * (long)arg, got;
	int i;

	for (i = 0; i < rounds; i++) {
		ran = 0;
		asm volatile("lea 1f(%%rip), %%r8\n\t"
			     "mov (%%rdi), %%rax\n\t"
			     "ud2\n"
			     "1:"
			     : "=a"(got)
			     : "a"(0L), "D"(where)
			     : "r8", "memory");
		CHECK_EQ(got, where + 1);
		asm volatile("lea 1f(%%rip), %%r8\n\t"
			     "movl $1, (%%rdi)\n\t"
			     "ud2\n"
			     "1:"
			     : "=a"(got)
			     : "a"(1L), "D"(where)
			     : "r8", "memory");
		CHECK_EQ(got, where + 1);
		CHECK_EQ(ran, 2);
		CHECK(!blocked(SIGSEGV));
	}
	return NULL;
}

/* The same load again, from elsewhere; not even an address the first time. */
static void redirects(int sig, siginfo_t *si, void *context)
{
	greg_t *r = regs_of(context);

	CHECK_EQ(sig, SIGSEGV);
	CHECK_EQ(si->si_code, SI_KERNEL);
	CHECK(si->si_addr == NULL);
	CHECK_EQ(r[REG_TRAPNO], 13);
	ran++;
	sched_yield();
	r[REG_RDI] = r[REG_RSI];
}

static void *redirected(void *arg)
{
	long good = (long)arg + 1000, got;
	char *bad = (char *)0x8000000000000000UL;
	int i;

	for (i = 0; i < rounds; i++) {
		ran = 0;
		asm volatile("mov (%%rdi), %%rax"
			     : "=a"(got), "+D"(bad)
			     : "S"(&good)
			     : "memory");
		CHECK_EQ(got, good);
		CHECK(bad == (char *)&good);
		bad = (char *)0x8000000000000000UL;
		CHECK_EQ(ran, 1);
	}
	return NULL;
}

static __thread char *page;
static __thread int file;
static void opens(int sig, siginfo_t *si, void *context)
{
	(void)context;
	CHECK((char *)si->si_addr == page + 100);
	ran++;
	if (sig == SIGSEGV) {
		CHECK_EQ(si->si_code, SEGV_ACCERR);
		CHECK(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
	} else {
		CHECK_EQ(si->si_code, BUS_ADRERR);
		CHECK(ftruncate(file, 4096) == 0);
	}
	sched_yield();
}

static void *opened(void *arg)
{
	volatile char *p;
	int i;

	file = memfd_create("sig_context", MFD_CLOEXEC);
	CHECK(file >= 0);
	page = mmap(NULL, 4096, PROT_NONE, MAP_SHARED, file, 0);
	CHECK(page != MAP_FAILED);
	p = page;
	for (i = 0; i < rounds; i++) {
		ran = 0;
		CHECK(ftruncate(file, 0) == 0);
		p[100] = (char)(long)arg;
		CHECK_EQ(ran, 2);
		CHECK_EQ(p[100], (char)(long)arg);
		CHECK(mprotect(page, 4096, PROT_READ) == 0);
		p[100]++;
		CHECK_EQ(ran, 3);
		CHECK_EQ(p[100], (char)((long)arg + 1));
		CHECK(mprotect(page, 4096, PROT_NONE) == 0);
	}
	CHECK(munmap(page, 4096) == 0 && close(file) == 0);
	return NULL;
}

static void divides(int sig, siginfo_t *si, void *context)
{
	greg_t *r = regs_of(context);

	CHECK_EQ(sig, SIGFPE);
	CHECK_EQ(si->si_code, FPE_INTDIV);
	CHECK_EQ((long)si->si_addr, r[REG_RIP]);
	CHECK_EQ(r[REG_TRAPNO], 0);
	ran++;
	sched_yield();
	r[REG_RCX] = 7;
}

static void *divided(void *arg)
{
	int n = 7 * (int)(long)arg, by, got, rest, i;

	for (i = 0; i < rounds; i++) {
		ran = by = 0;
		asm volatile("cltd\n\t"
			     "idivl %%ecx"
			     : "=a"(got), "=&d"(rest), "+c"(by)
			     : "a"(n + 3)
			     : "cc");
		CHECK_EQ(got, (long)arg);
		CHECK_EQ(rest, 3);
		CHECK_EQ(by, 7);
		CHECK_EQ(ran, 1);
	}
	return NULL;
}

static void steps_over(int sig, siginfo_t *si, void *context)
{
	greg_t *r = regs_of(context);

	if (sig == SIGILL) {
		CHECK_EQ(si->si_code, ILL_ILLOPN);
		CHECK_EQ((long)si->si_addr, r[REG_RIP]);
		CHECK_EQ(r[REG_TRAPNO], 6);
		r[REG_RIP] += 2;
	} else {
		CHECK_EQ(sig, SIGTRAP);
		CHECK_EQ(si->si_code, SI_KERNEL);
		CHECK_EQ(r[REG_TRAPNO], 3);
		CHECK_EQ(((unsigned char *)r[REG_RIP])[-1], 0xcc);
	}
	ran++;
	sched_yield();
	r[REG_RAX] += 5;
}

static void *stepped(void *arg)
{
	long got = (long)arg;
	int i;

	ran = 0;
	for (i = 0; i < rounds; i++) {
		asm volatile("ud2" : "+a"(got) : : "memory");
		asm volatile("int3" : "+a"(got) : : "memory");
		CHECK_EQ(ran, 2 * i + 2);
	}
	CHECK_EQ(got, (long)arg + 10 * rounds);
	return NULL;
}

/* ---- All registers ------------------------------------------------------- */

struct state {
	uint64_t general[15]; /* rax rbx rcx rdx rsi rdi rbp r8 ... r15 */
	uint64_t flags;
	unsigned char vector[32][64];
	uint64_t k[8];
	unsigned char x87[3][16];
	uint32_t mxcsr;
	uint32_t fcw;
	uint64_t red[16]; /* the red zone, below the stack pointer */
	uint64_t level;	  /* 0 SSE, 1 AVX, 2 AVX-512 */
};
_Static_assert(offsetof(struct state, vector) == 128, "as below");
_Static_assert(offsetof(struct state, k) == 2176, "as below");
_Static_assert(offsetof(struct state, x87) == 2240, "as below");
_Static_assert(offsetof(struct state, mxcsr) == 2288, "as below");
_Static_assert(offsetof(struct state, red) == 2296, "as below");
_Static_assert(offsetof(struct state, level) == 2424, "as below");

/* Load all that is there from *in, be interrupted, store it to *out. */
void trapped(const struct state *in, struct state *out);
/* The same, but computing until a handler sets the word at its rsp. */
void held(const struct state *in, struct state *out);
/* Vectors and floating state only, and leave nothing on the x87 stack. */
void clobber(const struct state *in);
extern char trap_here[], hold_from[], hold_to[];

#define R7  "1,2,3,4,5,6,7"
#define R16 "0," R7 ",8,9,10,11,12,13,14,15"
#define R32 R16 ",16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
asm(".pushsection .text\n"
    ".macro vectors from, in, reg\n"
    "	cmpq $1, 2424(%\\reg)\n"
    "	jb 1f\n"
    "	je 2f\n"
    "	.irp n, " R32 "\n"
    "	.if \\in\n"
    "	vmovdqu64 128+64*\\n(%\\reg), %zmm\\n\n"
    "	.else\n"
    "	vmovdqu64 %zmm\\n, 128+64*\\n(%\\reg)\n"
    "	.endif\n"
    "	.endr\n"
    "	.irp n, " R7 "\n"
    "	.if \\in\n"
    "	kmovw 2176+8*\\n(%\\reg), %k\\n\n"
    "	.else\n"
    "	kmovw %k\\n, 2176+8*\\n(%\\reg)\n"
    "	.endif\n"
    "	.endr\n"
    "	jmp 3f\n"
    "2:	.irp n, " R16 "\n"
    "	.if \\in\n"
    "	vmovdqu 128+64*\\n(%\\reg), %ymm\\n\n"
    "	.else\n"
    "	vmovdqu %ymm\\n, 128+64*\\n(%\\reg)\n"
    "	.endif\n"
    "	.endr\n"
    "	jmp 3f\n"
    "1:	.irp n, " R16 "\n"
    "	.if \\in\n"
    "	movdqu 128+64*\\n(%\\reg), %xmm\\n\n"
    "	.else\n"
    "	movdqu %xmm\\n, 128+64*\\n(%\\reg)\n"
    "	.endif\n"
    "	.endr\n"
    "3:\n"
    ".endm\n"
    ".macro load\n"
    "	push %rbx\n	push %rbp\n	push %r12\n"
    "	push %r13\n	push %r14\n	push %r15\n"
    "	push %rsi\n"
    "	pushq $0\n" /* the word for held */
    "	.irp n, " R16 "\n"
    "	mov 2296+8*\\n(%rdi), %rax\n"
    "	mov %rax, -8-8*\\n(%rsp)\n"
    "	.endr\n"
    "	vectors 0, 1, rdi\n"
    "	fninit\n	fldcw 2292(%rdi)\n	ldmxcsr 2288(%rdi)\n"
    "	fldt 2240(%rdi)\n	fldt 2256(%rdi)\n	fldt 2272(%rdi)\n"
    "	lea -128(%rsp), %rsp\n"
    "	pushq 120(%rdi)\n	popfq\n"
    "	lea 128(%rsp), %rsp\n"
    "	mov 0(%rdi), %rax\n	mov 8(%rdi), %rbx\n"
    "	mov 16(%rdi), %rcx\n	mov 24(%rdi), %rdx\n"
    "	mov 32(%rdi), %rsi\n	mov 48(%rdi), %rbp\n"
    "	mov 56(%rdi), %r8\n	mov 64(%rdi), %r9\n"
    "	mov 72(%rdi), %r10\n	mov 80(%rdi), %r11\n"
    "	mov 88(%rdi), %r12\n	mov 96(%rdi), %r13\n"
    "	mov 104(%rdi), %r14\n	mov 112(%rdi), %r15\n"
    "	mov 40(%rdi), %rdi\n"
    ".endm\n"
    ".macro store\n"
    "	lea -128(%rsp), %rsp\n"
    "	pushfq\n"
    "	push %r15\n	push %r14\n	push %r13\n	push %r12\n"
    "	push %r11\n	push %r10\n	push %r9\n	push %r8\n"
    "	push %rbp\n	push %rdi\n	push %rsi\n	push %rdx\n"
    "	push %rcx\n	push %rbx\n	push %rax\n"
    "	cld\n"
    "	mov 264(%rsp), %rdi\n"
    "	.irp n, " R16 "\n"
    "	popq 8*\\n(%rdi)\n"
    "	.endr\n"
    "	lea 128(%rsp), %rsp\n"
    "	.irp n, " R16 "\n"
    "	mov -8-8*\\n(%rsp), %rax\n"
    "	mov %rax, 2296+8*\\n(%rdi)\n"
    "	.endr\n"
    "	vectors 0, 0, rdi\n"
    "	fnstcw 2292(%rdi)\n	stmxcsr 2288(%rdi)\n"
    "	fstpt 2272(%rdi)\n	fstpt 2256(%rdi)\n	fstpt 2240(%rdi)\n"
    "	fninit\n"
    "	movl $0x1f80, 4(%rsp)\n	ldmxcsr 4(%rsp)\n"
    "	pop %rax\n	pop %rsi\n"
    "	pop %r15\n	pop %r14\n	pop %r13\n"
    "	pop %r12\n	pop %rbp\n	pop %rbx\n"
    "	ret\n"
    ".endm\n"
    "trapped:\n"
    "	load\n"
    "trap_here:\n"
    "	ud2\n"
    "	store\n"
    "held:\n"
    "	load\n"
    "hold_from:\n"
    "1:	cmpl $0, (%rsp)\n"
    "	je 1b\n"
    "hold_to:\n"
    "	store\n"
    "clobber:\n"
    "	vectors 0, 1, rdi\n"
    "	fninit\n	fldcw 2292(%rdi)\n	ldmxcsr 2288(%rdi)\n"
    "	fldt 2240(%rdi)\n	fldt 2256(%rdi)\n	fldt 2272(%rdi)\n"
    "	fstp %st(0)\n	fstp %st(0)\n	fstp %st(0)\n"
    "	ret\n"
    ".popsection\n");

static int level;
static void fill(struct state *s, unsigned seed)
{
	unsigned char *p = (unsigned char *)s;
	size_t i;

	for (i = 0; i < sizeof(*s); i++) {
		seed = seed * 1103515245 + 12345;
		p[i] = (unsigned char)(seed >> 16);
	}
	/* Exponents of normal numbers, all exceptions masked. */
	for (i = 0; i < 3; i++) {
		s->x87[i][7] |= 0x80;
		s->x87[i][8] = 0;
		s->x87[i][9] = 0x40;
		memset(&s->x87[i][10], 0, 6);
	}
	for (i = 0; i < 8; i++)
		s->k[i] &= 0xffff;
	s->mxcsr = 0x1f80 | (seed & 3) << 13;
	s->fcw = 0x37f & ~(s->mxcsr & 0x300);
	s->flags = 0x202 | (s->flags & 0xcd5);
	s->level = level;
}

static void compare(const struct state *got, const struct state *want)
{
	static const int width[] = { 16, 32, 64 };
	int i, n = level == 2 ? 32 : 16;

	for (i = 0; i < 15; i++)
		if (got->general[i] != want->general[i])
			check_fail(__FILE__, __LINE__,
				   "register %d is %lx, not %lx", i,
				   got->general[i], want->general[i]);
	for (i = 0; i < n; i++)
		if (memcmp(got->vector[i], want->vector[i], width[level]))
			check_fail(__FILE__, __LINE__, "vector register %d", i);
	for (i = 1; i < 8 && level == 2; i++)
		CHECK_EQ(got->k[i], want->k[i]);
	for (i = 0; i < 3; i++)
		CHECK(memcmp(got->x87[i], want->x87[i], 10) == 0);
	CHECK_EQ(got->mxcsr & 0xffc0, want->mxcsr & 0xffc0);
	CHECK_EQ(got->fcw & 0xffff, want->fcw & 0xffff);
	CHECK(memcmp(got->red, want->red, sizeof(got->red)) == 0);
}

static const int order[] = { REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI,
			     REG_RDI, REG_RBP, REG_R8,	REG_R9,	 REG_R10,
			     REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

static __thread struct state *loaded;

/* A handler's own floating state is a fresh one; then not. */
static void spoil(void)
{
	struct state other;
	unsigned csr;
	short fcw;

	asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(csr), "=m"(fcw));
	CHECK_EQ(csr, 0x1f80);
	CHECK_EQ(fcw, 0x37f);
	fill(&other, (unsigned)loaded->general[3]);
	clobber(&other);
	sched_yield();
	csr = 0x1f80;
	asm volatile("ldmxcsr %0\n\tfninit" : : "m"(csr));
}

/* What was loaded is in the context, and all of it is changed. */
static void exchanges(int sig, siginfo_t *si, void *context)
{
	mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
	struct state *s = loaded;
	unsigned word;
	int i, k;

	(void)sig, (void)si;
	CHECK_EQ(m->gregs[REG_RIP], (long)trap_here);
	m->gregs[REG_RIP] += 2;
	CHECK_EQ(m->gregs[REG_EFL] & 0xcd5, s->flags & 0xcd5);
	m->gregs[REG_EFL] ^= 0xcd5;
	s->flags ^= 0xcd5;
	for (i = 0; i < 15; i++) {
		CHECK_EQ(m->gregs[order[i]], s->general[i]);
		m->gregs[order[i]] = s->general[i] = ~s->general[i] + i;
	}
	for (i = 0; i < 16; i++) {
		for (k = 0; k < 4; k++) {
			memcpy(&word, &s->vector[i][4 * k], 4);
			CHECK_EQ(m->fpregs->_xmm[i].element[k], word);
			word = ~word + k;
			m->fpregs->_xmm[i].element[k] = word;
			memcpy(&s->vector[i][4 * k], &word, 4);
		}
	}
	for (i = 0; i < 3; i++) {
		CHECK(memcmp(&m->fpregs->_st[2 - i], s->x87[i], 10) == 0);
		m->fpregs->_st[2 - i].significand[1] ^= 0xffff;
		s->x87[i][2] ^= 0xff;
		s->x87[i][3] ^= 0xff;
	}
	CHECK_EQ(m->fpregs->mxcsr & 0xffc0, s->mxcsr & 0xffc0);
	s->mxcsr ^= 0x2000;
	m->fpregs->mxcsr ^= 0x2000;
	CHECK_EQ(m->fpregs->cwd, s->fcw & 0xffff);
	s->fcw ^= 0x400;
	m->fpregs->cwd ^= 0x400;
	ran++;
	spoil();
}

static void *exchanged(void *arg)
{
	struct state in, want, out;
	int i;

	for (i = 0; i < rounds; i++) {
		ran = 0;
		fill(&in, (unsigned)(long)arg * 1000 + i);
		memset(&out, 0, sizeof(out));
		out.level = level;
		want = in;
		loaded = &want;
		trapped(&in, &out);
		CHECK_EQ(ran, 1);
		compare(&out, &want);
		CHECK_EQ(out.flags & 0xcd5, want.flags & 0xcd5);
	}
	return NULL;
}

/* At any moment, from another thread; the third time it may go on. */
static __thread int times;
static void interrupts(int sig, siginfo_t *si, void *context)
{
	greg_t *r = regs_of(context);
	int i, e = errno;

	(void)sig, (void)si;
	if (r[REG_RIP] >= (long)hold_from && r[REG_RIP] < (long)hold_to) {
		for (i = 0; i < 15; i++)
			CHECK_EQ(r[order[i]], loaded->general[i]);
		if (++times == 3)
			*(int *)r[REG_RSP] = 1;
	}
	if (loaded)
		spoil();
	errno = e;
}

static int ready, gone[N + 1];
static void *holds(void *arg)
{
	int n = (int)(long)arg, i;
	struct state in, out;

	unblock(SIGUSR1);
	for (i = 0; i < 1 + rounds / 10; i++) {
		fill(&in, (unsigned)n * 1000 + i);
		memset(&out, 0, sizeof(out));
		out.level = level;
		times = 0;
		loaded = &in;
		if (i == 0)
			ADD(ready, 1);
		held(&in, &out);
		CHECK(times >= 3);
		compare(&out, &in);
		sched_yield();
	}
	loaded = NULL;
	block(SIGUSR1);
	STORE(gone[n], 1);
	return NULL;
}

static void all_held(void)
{
	enum { HELD = 4 };
	pthread_t t[HELD];
	int i;

	section("all registers, at any moment");
	block(SIGUSR1);
	for (i = 0; i < HELD; i++)
		t[i] = start(holds, (void *)(long)i);
	NAP_UNTIL(LOAD(ready) == HELD);
	send_until_gone(t, gone, HELD, SIGUSR1);
	unblock(SIGUSR1);
}

/* ---- The mask, jumps ----------------------------------------------------- */

static void masks(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;

	(void)sig, (void)si;
	CHECK_EQ(sigismember(&uc->uc_sigmask, SIGTERM), ran % 2);
	CHECK_EQ(sigismember(&uc->uc_sigmask, SIGUSR1), 0);
	CHECK(blocked(SIGUSR1));
	if (ran++ % 2)
		sigdelset(&uc->uc_sigmask, SIGTERM);
	else
		sigaddset(&uc->uc_sigmask, SIGTERM);
	/* Of no effect: the context's mask is what counts. */
	block(SIGHUP);
	sched_yield();
}

static __thread volatile int terms;
static void term(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
	terms++;
}

static void *masked(void *arg)
{
	int i;

	ran = 0;
	for (i = 0; i < rounds; i++) {
		CHECK_EQ(blocked(SIGTERM), i % 2);
		if (i % 2) {
			CHECK(raise(SIGTERM) == 0);
			CHECK(pending(SIGTERM));
		}
		terms = 0;
		CHECK(raise(SIGUSR1) == 0);
		CHECK_EQ(ran, i + 1);
		/* It was let in by the return. */
		CHECK_EQ(terms, i % 2);
		CHECK_EQ(blocked(SIGTERM), !(i % 2));
		CHECK(!blocked(SIGHUP) && !blocked(SIGUSR1));
		sched_yield();
		CHECK_EQ(blocked(SIGTERM), !(i % 2));
	}
	unblock(SIGTERM);
	return arg;
}

static char *volatile nowhere = (char *)16;
static __thread sigjmp_buf env;
static void jumps(int sig, siginfo_t *si, void *context)
{
	(void)si, (void)context;
	ran++;
	if (ran % 3 == 0)
		sched_yield();
	siglongjmp(env, sig);
}

static void *jumped(void *arg)
{
	volatile int i;
	volatile long mark = (long)arg * 7;
	stack_t ss = { malloc(64 << 10), 0, 64 << 10 };

	CHECK(ss.ss_sp != NULL);
	for (i = 0; i < rounds; i++) {
		ran = 0;
		if (i == rounds / 2)
			CHECK(sigaltstack(&ss, NULL) == 0);
		switch (sigsetjmp(env, i % 3 < 2)) {
		case 0:
			if (i % 2)
				*nowhere = 1;
			else
				asm volatile("ud2");
			CHECK(!"came back");
			break;
		case SIGSEGV:
			CHECK(i % 2);
			CHECK_EQ(blocked(SIGSEGV), i % 3 == 2);
			unblock(SIGSEGV);
			break;
		case SIGILL:
			CHECK(!(i % 2));
			CHECK_EQ(blocked(SIGILL), i % 3 == 2);
			unblock(SIGILL);
			break;
		default:
			CHECK(!"bad value");
		}
		CHECK_EQ(ran, 1);
		CHECK_EQ(mark, (long)arg * 7);
		sched_yield();
	}
	ss.ss_flags = SS_DISABLE;
	CHECK(sigaltstack(&ss, NULL) == 0);
	free(ss.ss_sp);
	return NULL;
}

/* ---- A walk through the frame -------------------------------------------- */

static __thread void *callers[2];
static __thread void *bottom; /* where the thread's own function is called */
static __thread volatile int go_on;

static void walks(int sig, siginfo_t *si, void *context)
{
	greg_t *r = regs_of(context);
	void *frame[100];
	int n, i, e = errno;

	(void)si;
	/* Where it computes; the prologue will not do. */
	if (sig == SIGUSR1 && !go_on)
		return;
	n = backtrace(frame, 100);
	CHECK(n > 3 && n < 100);
	for (i = 0; i < n && frame[i] != (void *)r[REG_RIP]; i++)
		;
	CHECK(i > 0 && i < n - 2);
	CHECK(frame[i + 1] == callers[0]);
	CHECK(frame[i + 2] == callers[1]);
	for (; i < n && frame[i] != bottom; i++)
		;
	CHECK(i < n);
	ran++;
	go_on = 0;
	if (sig == SIGILL)
		r[REG_RIP] += 2;
	sched_yield();
	errno = e;
}

static __attribute__((noinline)) long traps(int compute)
{
	volatile long n = 0;

	callers[0] = __builtin_return_address(0);
	if (!compute)
		asm volatile("ud2" : : : "memory");
	for (go_on = compute; go_on;)
		n++;
	return n;
}

static __attribute__((noinline)) long calls(int compute)
{
	callers[1] = __builtin_return_address(0);
	return traps(compute) + 1;
}

static __attribute__((noinline)) void *walked(void *arg)
{
	stack_t ss = { malloc(64 << 10), 0, 64 << 10 };
	int i;

	CHECK(ss.ss_sp != NULL);
	bottom = __builtin_return_address(0);
	ran = 0;
	for (i = 0; i < 1 + rounds / 10; i++) {
		if (i & 1)
			CHECK(sigaltstack(&ss, NULL) == 0);
		CHECK(calls(0) > 0);
		CHECK_EQ(ran, i + 1);
		ss.ss_flags = i & 1 ? SS_DISABLE : 0;
		CHECK(sigaltstack(&ss, NULL) == 0);
		ss.ss_flags = 0;
	}
	ss.ss_flags = SS_DISABLE;
	CHECK(sigaltstack(&ss, NULL) == 0);
	free(ss.ss_sp);
	return arg;
}

static void *walked_at_any_moment(void *arg)
{
	int n = (int)(long)arg, i;

	bottom = __builtin_return_address(0);
	ran = 0;
	unblock(SIGUSR1);
	for (i = 0; i < 1 + rounds / 10; i++) {
		CHECK(calls(1) > 0);
		CHECK_EQ(ran, i + 1);
	}
	block(SIGUSR1);
	STORE(gone[n], 1);
	return NULL;
}

int main(int argc, char **argv)
{
	void *frame[4];
	pthread_t t;

	if (argc > 1)
		rounds = atoi(argv[1]);
	level = __builtin_cpu_supports("avx512f") ? 2
		: __builtin_cpu_supports("avx")	  ? 1
						  : 0;
	install(SIGSEGV, skips, 0);
	in_threads("a load and a store passed over", skipped);
	install(SIGSEGV, redirects, 0);
	in_threads("a register mended", redirected);
	install(SIGSEGV, opens, 0);
	install(SIGBUS, opens, 0);
	in_threads("a page mended", opened);
	install(SIGFPE, divides, 0);
	in_threads("a division mended", divided);
	install(SIGILL, steps_over, 0);
	install(SIGTRAP, steps_over, 0);
	in_threads("ud2 and int3", stepped);
	install(SIGILL, exchanges, 0);
	in_threads("all registers", exchanged);
	install(SIGUSR1, interrupts, 0);
	all_held();
	install(SIGUSR1, masks, 0);
	install(SIGTERM, term, 0);
	in_threads("the mask", masked);
	install(SIGSEGV, jumps, SA_ONSTACK);
	install(SIGILL, jumps, SA_ONSTACK);
	in_threads("jumps", jumped);
	/* The first one loads a library. */
	CHECK(backtrace(frame, 4) > 0);
	install(SIGILL, walks, SA_ONSTACK);
	install(SIGUSR1, walks, SA_RESTART);
	in_threads("backtrace", walked);
	section("backtrace, at any moment");
	block(SIGUSR1);
	STORE(gone[0], 0);
	t = start(walked_at_any_moment, NULL);
	while (!LOAD(gone[0])) {
		OK(pthread_kill(t, SIGUSR1));
		usleep(50);
	}
	join(t);
	return 0;
}

#else
int main(void)
{
	return 77;
}
#endif
