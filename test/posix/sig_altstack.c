/*
 * sig_altstack - the alternate stack is the thread's own: set, asked for and
 * disabled by each without effect on others; SA_ONSTACK runs there and stays,
 * over switches; without the flag handlers run where the thread is.  It is
 * what lets a thread outlive the overflow of its stack; without it it dies.
 */
#include "sigcheck.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

enum { N = 50, SIZE = 64 << 10 };
static int rounds = 20;

static __thread char *base;  /* of this thread's alternate stack */
static __thread char *below; /* handlers off it run below here */
static __thread volatile int ran, nested;

static int on_alternate(const char *p)
{
	return p >= base && p < base + SIZE;
}

static int on_normal(const char *p)
{
	return !on_alternate(p) && p < below && p > below - (96 << 10);
}

static stack_t now(void)
{
	stack_t ss;

	CHECK(sigaltstack(NULL, &ss) == 0);
	return ss;
}

static void is(int flags)
{
	stack_t ss = now();

	CHECK_EQ(ss.ss_flags, flags);
	if (!(flags & SS_DISABLE)) {
		CHECK((char *)ss.ss_sp == base);
		CHECK_EQ(ss.ss_size, SIZE);
	}
}

static void set(char *p, int flags)
{
	stack_t ss = { p, flags, SIZE };

	base = p;
	CHECK(sigaltstack(&ss, NULL) == 0);
}

static void disable(void)
{
	stack_t ss = { NULL, SS_DISABLE, 0 };

	CHECK(sigaltstack(&ss, NULL) == 0);
	is(SS_DISABLE);
}

/* ---- Handlers ------------------------------------------------------------ */

static __thread char *outer_frame;

/* SIGUSR2, SIGWINCH with SA_ONSTACK: where it was, and deeper. */
static void inner(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	char *here = stack_here();

	(void)sig, (void)si;
	CHECK(on_alternate(here) && here < outer_frame);
	CHECK((char *)uc->uc_stack.ss_sp == base);
	is(SS_ONSTACK);
	sched_yield();
	is(SS_ONSTACK);
	nested++;
}

/* SIGUSR1, with SA_ONSTACK. */
static void outer(int sig, siginfo_t *si, void *context)
{
	stack_t other = { base, 0, SIZE }, off = { NULL, SS_DISABLE, 0 }, old;
	ucontext_t *uc = context;
	int e = errno, i, n = nested;

	(void)sig, (void)si;
	outer_frame = stack_here();
	CHECK(on_alternate(outer_frame));
	CHECK(on_alternate((char *)context) && on_alternate((char *)si));
	CHECK(on_normal((char *)uc->uc_mcontext.gregs[REG_RSP]));
	CHECK((char *)uc->uc_stack.ss_sp == base);
	CHECK_EQ(uc->uc_stack.ss_size, SIZE);
	CHECK_EQ(uc->uc_stack.ss_flags, 0);
	ERR(EPERM, sigaltstack(&other, NULL));
	ERR(EPERM, sigaltstack(&off, &old));
	for (i = 0; i < 3; i++) {
		is(SS_ONSTACK);
		if (i == 0)
			sched_yield();
		else if (i == 1)
			usleep(10);
	}
	CHECK(raise(SIGUSR2) == 0);
	CHECK(raise(SIGWINCH) == 0);
	CHECK_EQ(nested, n + 2);
	CHECK(on_alternate(stack_here()) && stack_here() == outer_frame);
	is(SS_ONSTACK);
	ran++;
	errno = e;
}

/* SIGHUP, without the flag. */
static void normal(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;

	(void)sig, (void)si;
	CHECK(on_normal(stack_here()) && on_normal((char *)context));
	CHECK(stack_here() < (char *)uc->uc_mcontext.gregs[REG_RSP]);
	CHECK((char *)uc->uc_stack.ss_sp == base);
	is(0);
	sched_yield();
	is(0);
	ran++;
}

/* SIGTERM, with the flag but nothing set. */
static void nowhere(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
	CHECK(on_normal(stack_here()));
	is(SS_DISABLE);
	ran++;
}

/* SIGALRM, with SS_AUTODISARM: as if there were none, until it returns. */
static void disarmed(int sig, siginfo_t *si, void *context)
{
	char another[16 << 10];
	stack_t ss = { another, 0, sizeof(another) };

	(void)sig, (void)si, (void)context;
	CHECK(on_alternate(stack_here()));
	is(SS_DISABLE);
	sched_yield();
	is(SS_DISABLE);
	CHECK(sigaltstack(&ss, NULL) == 0);
	ss = now();
	CHECK((char *)ss.ss_sp == another && ss.ss_flags == 0);
	ran++;
}

static __thread sigjmp_buf env;
static void jumps(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
	CHECK(on_alternate(stack_here()));
	is(SS_ONSTACK);
	ran++;
	siglongjmp(env, 1);
}

static void raised(int sig)
{
	int n = ran;

	CHECK(raise(sig) == 0);
	CHECK_EQ(ran, n + 1);
}

/* ---- Every thread its own ------------------------------------------------ */

static void errors(void)
{
	stack_t ss = { base, 0, 2047 };
	int i;

	for (i = 0; i < 2; i++) {
		ERR(ENOMEM, sigaltstack(&ss, NULL));
		ss.ss_size = 100;
	}
	ss.ss_size = SIZE;
	ss.ss_flags = 77;
	ERR(EINVAL, sigaltstack(&ss, NULL));
}

static void life(char *p)
{
	stack_t ss, old;
	int i;

	below = stack_here();
	is(SS_DISABLE);
	raised(SIGTERM);
	set(p, 0);
	is(0);
	for (i = 0; i < rounds; i++) {
		raised(SIGUSR1);
		is(0);
		sched_yield();
		is(0);
		if (i % 4 == 0)
			usleep(10);
		raised(SIGHUP);
		errors();
		is(0);
		if (i % 4 == 1) {
			/* SS_ONSTACK is taken for nothing. */
			ss = (stack_t){ p, SS_ONSTACK, SIZE };
			CHECK(sigaltstack(&ss, &old) == 0);
			CHECK((char *)old.ss_sp == p && old.ss_size == SIZE);
			is(0);
			set(p, 0);
		} else if (i % 4 == 2) {
			disable();
			sched_yield();
			raised(SIGTERM);
			set(p, 0);
		} else if (i % 4 == 3) {
			set(p, SS_AUTODISARM);
			is(SS_AUTODISARM);
			raised(SIGALRM);
			is(SS_AUTODISARM);
			set(p, 0);
		}
		/* Left by a jump it is free again. */
		if (sigsetjmp(env, 1) == 0) {
			raise(SIGPROF);
			CHECK(!"came back");
		}
		is(0);
	}
}

static __attribute__((noinline)) void life_on_stack(void)
{
	char space[SIZE];

	life(space);
	disable();
}

static int sent[N], alive;
static void *has_none(void *arg)
{
	CHECK_EQ(now().ss_flags, SS_DISABLE);
	return arg;
}

static void *lives(void *arg)
{
	static char fixed[N][SIZE];
	long i = (long)arg;
	char *p = NULL;
	pid_t pid;

	if (i % 4 == 0) {
		life_on_stack();
		base = NULL;
	}
	if (i % 4 <= 1)
		p = malloc(SIZE);
	else if (i % 4 == 2)
		p = fixed[i];
	else
		p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p && p != MAP_FAILED);
	life(p);
	below = stack_here();
	/* The thread's, not its children's, but for a new process. */
	join(start(has_none, NULL));
	is(0);
	if (i % 10 == 0) {
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			is(0);
			raised(SIGUSR1);
			raised(SIGHUP);
			_exit(0);
		}
		reap(pid, 0);
	}
	/* From others, while it is here and there. */
	unblock(SIGIO);
	ADD(alive, 1);
	while (LOAD(sent[i]) < rounds) {
		sched_yield();
		usleep(1);
	}
	is(0);
	disable();
	if (i % 4 <= 1)
		free(p);
	else if (i % 4 == 3)
		CHECK(munmap(p, SIZE) == 0);
	return arg;
}

/* SIGIO, with the flag. */
static void sent_here(int sig, siginfo_t *si, void *context)
{
	int e = errno;

	(void)sig, (void)context;
	CHECK(on_alternate(stack_here()));
	is(SS_ONSTACK);
	sched_yield();
	is(SS_ONSTACK);
	CHECK(on_alternate(stack_here()));
	ADD(sent[si->si_value.sival_int], 1);
	errno = e;
}

static void everybody(void)
{
	union sigval v;
	pthread_t t[N];
	int i, k;

	block(SIGIO);
	for (i = 0; i < N; i++)
		t[i] = start(lives, (void *)(long)i);
	YIELD_UNTIL(LOAD(alive) == N);
	for (k = 0; k < rounds; k++) {
		for (i = 0; i < N; i++) {
			v.sival_int = i;
			OK(pthread_sigqueue(t[i], SIGIO, v));
		}
		for (i = 0; i < N; i++)
			YIELD_UNTIL(LOAD(sent[i]) > k);
	}
	for (i = 0; i < N; i++)
		join(t[i]);
}

/* ---- The stack overflows ------------------------------------------------- */

static int fall(int depth);
static int (*volatile deeper)(int) = fall;
static int fall(int depth)
{
	volatile char frame[500];

	frame[0] = (char)depth;
	return deeper(depth + 1) + frame[0];
}

static void overflowed(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	char *at = si->si_addr, *sp = (char *)uc->uc_mcontext.gregs[REG_RSP];

	(void)sig;
	CHECK(on_alternate(stack_here()) && on_alternate((char *)si));
	CHECK_EQ(uc->uc_mcontext.gregs[REG_CR2], (long)at);
	CHECK(si->si_code == SEGV_MAPERR || si->si_code == SEGV_ACCERR);
	/* The fault is where the stack ends. */
	CHECK(at < below && at > sp - 4096 && at < sp + 4096);
	is(SS_ONSTACK);
	ran++;
	siglongjmp(env, 2);
}

static void overflows(int n)
{
	volatile int i;

	for (i = 0; i < n; i++) {
		ran = 0;
		if (sigsetjmp(env, 1) == 0) {
			deeper(0);
			CHECK(!"came back");
		}
		CHECK_EQ(ran, 1);
		CHECK(!blocked(SIGSEGV));
		is(0);
		sched_yield();
		is(0);
	}
}

static void *overflows_here(void *arg)
{
	char *p = malloc(SIZE);

	CHECK(p != NULL);
	below = stack_here();
	set(p, 0);
	overflows(*(int *)arg);
	raised(SIGUSR1);
	raised(SIGHUP);
	disable();
	free(p);
	return NULL;
}

static void *dies_here(void *arg)
{
	if (arg) {
		set(arg, 0);
		install(SIGSEGV, overflowed, 0); /* not to run there */
	}
	return (void *)(long)deeper(0);
}

static int stop;
static void *yields(void *arg)
{
	while (!LOAD(stop))
		sched_yield();
	return arg;
}

enum what { MAIN, MAIN_WITH_THREADS, THREAD, DIES, THREAD_DIES, NO_FLAG_DIES };
static void in_child(enum what what)
{
	const struct rlimit no_core = { 0, 0 };
	struct rlimit lim;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(setrlimit(RLIMIT_CORE, &no_core) == 0);
		CHECK(getrlimit(RLIMIT_STACK, &lim) == 0);
		lim.rlim_cur = 1 << 20;
		CHECK(setrlimit(RLIMIT_STACK, &lim) == 0);
		if (what == MAIN_WITH_THREADS) {
			start_small(yields, NULL);
			start_small(yields, NULL);
		}
		if (what == MAIN || what == MAIN_WITH_THREADS)
			overflows_here(&rounds);
		if (what == THREAD)
			join(start_small(overflows_here, &rounds));
		if (what == DIES)
			dies_here(NULL);
		if (what == THREAD_DIES)
			join(start_small(dies_here, NULL));
		if (what == NO_FLAG_DIES)
			join(start_small(dies_here, malloc(SIZE)));
		_exit(0);
	}
	if (what < DIES) {
		reap(pid, 0);
		return;
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
		check_fail(__FILE__, __LINE__, "status %x, not SIGSEGV",
			   status);
}

int main(int argc, char **argv)
{
	enum { FALLING = 8 };
	pthread_t t[FALLING];
	enum what what;
	int i;

	if (argc > 1)
		rounds = atoi(argv[1]);
	install(SIGUSR1, outer, SA_ONSTACK);
	install(SIGUSR2, inner, 0);
	install(SIGWINCH, inner, SA_ONSTACK);
	install(SIGHUP, normal, 0);
	install(SIGTERM, nowhere, SA_ONSTACK);
	install(SIGALRM, disarmed, SA_ONSTACK);
	install(SIGPROF, jumps, SA_ONSTACK);
	install(SIGIO, sent_here, SA_ONSTACK | SA_RESTART);
	install(SIGSEGV, overflowed, SA_ONSTACK);
	section("before any thread");
	life_on_stack();
	section("in children");
	for (what = MAIN; what <= NO_FLAG_DIES; what++)
		in_child(what);
	section("in many threads");
	everybody();
	section("in main");
	life_on_stack();
	section("overflow in threads");
	for (i = 0; i < FALLING; i++)
		t[i] = start_small(overflows_here, &rounds);
	for (i = 0; i < FALLING; i++)
		join(t[i]);
	section("in children of a process that had threads");
	for (what = MAIN; what <= NO_FLAG_DIES; what++)
		in_child(what);
	return 0;
}
