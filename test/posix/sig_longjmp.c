/*
 * sig_longjmp - who leaves a handler by a jump gets the mask that was saved, or
 * keeps the handler's if none was; who changes contexts gets the context's: at
 * once, and still after the thread has been elsewhere.  Out of waits, off an
 * alternate stack, and between coroutines that a signal takes turns with.
 */
#include "sigcheck.h"
#include <poll.h>
#include <setjmp.h>

enum { N = 20, SIZE = 64 << 10 };
static int rounds = 20;

/* What fortified programs call. */
__attribute__((noreturn)) void __longjmp_chk(struct __jmp_buf_tag env[1],
					     int val);
typedef void jump_fn(struct __jmp_buf_tag *env, int val);

static void mask_is(sigset_t want)
{
	sigset_t now;
	int i;

	for (i = 0; i < 4; i++) {
		now = mask_now();
		CHECK(same_set(&now, &want));
		CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0);
		CHECK(same_set(&now, &want));
		if (i == 2)
			usleep(1);
		else
			sched_yield();
	}
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

/* ---- Out of a handler ---------------------------------------------------- */

static __thread sigjmp_buf env;
static __thread jump_fn *jump;
static __thread volatile int ran, terms;

/* SIGUSR1 blocks SIGUSR2 too. */
static void jumps(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
	CHECK(blocked(SIGUSR1) && blocked(SIGUSR2));
	ran++;
	if (ran % 2)
		sched_yield();
	jump(env, ran);
}

static void term(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
	terms++;
}

static void jumped(jump_fn *fn, int save, int deep)
{
	sigset_t before = SET(SIGHUP, SIGRTMAX), after;
	volatile int mark = deep, i;

	set_mask(before);
	jump = fn;
	ran = terms = 0;
	if (sigsetjmp(env, save) == 0) {
		/* Blocked now, and waits. */
		block(SIGTERM);
		CHECK(raise(SIGTERM) == 0);
		CHECK_EQ(terms, 0);
		for (i = 0; i < mark; i++)
			sched_yield();
		CHECK(raise(SIGUSR1) == 0);
		CHECK(!"came back");
	}
	CHECK_EQ(ran, 1);
	after = save ? SET(SIGHUP, SIGRTMAX)
		     : SET(SIGHUP, SIGRTMAX, SIGTERM, SIGUSR1, SIGUSR2);
	/* What the jump lets in runs in the jump. */
	CHECK_EQ(terms, save);
	mask_is(after);
	CHECK(mark == deep && i == deep);
	CHECK_EQ(pending(SIGTERM), !save);
	set_mask(SET());
	CHECK_EQ(terms, 1);
}

static void every_jump(void)
{
	jump_fn *const fns[] = { (jump_fn *)siglongjmp, (jump_fn *)longjmp,
				 (jump_fn *)_longjmp,
				 (jump_fn *)__longjmp_chk };
	int i, save;

	for (i = 0; i < 4; i++)
		for (save = 0; save < 2; save++)
			jumped(fns[i], save, i);
}

/* Without a handler, and with the plain buffers, which save no mask. */
static void plain(void)
{
	jmp_buf plain;

	set_mask(SET(SIGHUP));
	if (setjmp(plain) == 0) {
		block(SIGTERM);
		longjmp(plain, 1);
	}
	mask_is(SET(SIGHUP, SIGTERM));
	if (_setjmp(plain) == 0) {
		unblock(SIGHUP);
		_longjmp(plain, 1);
	}
	mask_is(SET(SIGTERM));
	if (sigsetjmp(plain, 1) == 0) {
		set_mask(full_set());
		/* The value saved, not the buffer's place, makes the mask. */
		longjmp(plain, 1);
	}
	mask_is(SET(SIGTERM));
	set_mask(SET());
}

static char (*high_stacks)[SIZE]; /* on main's, above all other stacks */
static void *out_of_handlers(void *arg)
{
	static char low_stacks[N + 1][SIZE];
	stack_t ss = { NULL, 0, SIZE };
	int i, k;

	for (i = 0; i < rounds / 4 + 1; i++) {
		every_jump();
		plain();
		for (k = 0; k < 2; k++) {
			ss.ss_sp = k ? high_stacks[(long)arg]
				     : low_stacks[(long)arg];
			ss.ss_flags = 0;
			CHECK(sigaltstack(&ss, NULL) == 0);
			every_jump();
		}
		ss.ss_flags = SS_DISABLE;
		CHECK(sigaltstack(&ss, NULL) == 0);
	}
	return NULL;
}

/* ---- Out of waits, sent by another thread -------------------------------- */

static int pipefd[2];
static const struct timespec far = { 600, 0 };

static void stay(int kind)
{
	sigset_t set = mask_now();
	struct pollfd p = { pipefd[0], POLLIN, 0 };
	volatile long n = 0;
	char c;

	switch (kind) {
	case 0:
		while (1)
			n++;
	case 1:
		while (1)
			sched_yield();
	case 2:
		nanosleep(&far, NULL);
		break;
	case 3:
		n = read(pipefd[0], &c, 1);
		break;
	case 4:
		poll(&p, 1, -1);
		break;
	case 5:
		pause();
		break;
	case 6:
		CHECK(sigaddset(&set, SIGWINCH) == 0);
		CHECK(sigdelset(&set, SIGUSR2) == 0);
		sigsuspend(&set);
		break;
	}
	CHECK(!"came back");
}

static __thread volatile int may_jump;
static void ends(int sig, siginfo_t *si, void *context)
{
	(void)si, (void)context;
	if (may_jump) {
		may_jump = 0;
		siglongjmp(env, sig);
	}
}

enum { KINDS = 7 };
static int there, gone[KINDS];
static void *out_of_waits(void *arg)
{
	int kind = (int)(long)arg;
	volatile int i;
	sigset_t want;

	unblock(SIGUSR2);
	ADD(there, 1);
	for (i = 0; i < rounds; i++) {
		block(SIGHUP);
		if (sigsetjmp(env, i % 2) == 0) {
			unblock(SIGHUP);
			/* Only inside sigsuspend, whose mask is looked at. */
			if (kind == 6)
				block(SIGUSR2);
			may_jump = 1;
			stay(kind);
		}
		/* Of sigsuspend's mask the jump keeps what it keeps of any. */
		want = SET(SIGUSR1);
		if (i % 2)
			sigaddset(&want, SIGHUP);
		else
			sigaddset(&want, SIGUSR2);
		if (kind == 6 && i % 2 == 0)
			sigaddset(&want, SIGWINCH);
		mask_is(want);
		set_mask(SET(SIGUSR1));
	}
	block(SIGUSR2);
	STORE(gone[kind], 1);
	return NULL;
}

static void waits_are_left(void)
{
	pthread_t t[KINDS];
	long k;

	section("out of waits");
	set_mask(SET(SIGUSR1, SIGUSR2));
	CHECK(pipe(pipefd) == 0);
	for (k = 0; k < KINDS; k++)
		t[k] = start(out_of_waits, (void *)k);
	NAP_UNTIL(LOAD(there) == KINDS);
	send_until_gone(t, gone, KINDS, SIGUSR2);
	set_mask(SET());
	CHECK(close(pipefd[0]) == 0 && close(pipefd[1]) == 0);
}

/* ---- Contexts ------------------------------------------------------------ */

static void *contexts(void *arg)
{
	ucontext_t here;
	volatile int times = 0, i;

	for (i = 0; i < rounds; i++) {
		times = terms = 0;
		set_mask(SET(SIGHUP));
		CHECK(getcontext(&here) == 0);
		mask_is(SET(SIGHUP));
		CHECK_EQ(terms, times);
		if (times++ == 0) {
			set_mask(SET(SIGTERM, SIGUSR2));
			CHECK(raise(SIGTERM) == 0);
			sched_yield();
			mask_is(SET(SIGTERM, SIGUSR2));
			setcontext(&here);
			CHECK(!"came back");
		}
		CHECK_EQ(times, 2);
	}
	set_mask(SET());
	return arg;
}

struct coroutine {
	ucontext_t caller, self;
	int done;
	char stack[SIZE];
};

static struct coroutine *create(void (*fn)(void), sigset_t mask)
{
	struct coroutine *c = malloc(sizeof(*c));

	CHECK(c != NULL);
	CHECK(getcontext(&c->self) == 0);
	c->done = 0;
	c->self.uc_stack.ss_sp = c->stack;
	c->self.uc_stack.ss_size = SIZE;
	c->self.uc_link = &c->caller;
	c->self.uc_sigmask = mask;
	makecontext(&c->self, fn, 2, (unsigned)((uintptr_t)c >> 32),
		    (unsigned)(uintptr_t)c);
	return c;
}

/* Its mask is its own, the caller's is the caller's. */
static void coroutine(unsigned high, unsigned low)
{
	struct coroutine *c = (struct coroutine *)((uintptr_t)high << 32 | low);
	int i;

	mask_is(SET(SIGUSR1, SIGRTMIN));
	for (i = 0; i < rounds; i++) {
		set_mask(SET(SIGRTMIN + i % 10));
		CHECK(swapcontext(&c->self, &c->caller) == 0);
		mask_is(SET(SIGRTMIN + i % 10));
	}
	c->done = 1;
}

static void *coroutines(void *arg)
{
	struct coroutine *c;
	int i;

	c = create((void (*)(void))coroutine, SET(SIGUSR1, SIGRTMIN));
	set_mask(SET(SIGTERM));
	for (i = 0; !c->done; i++) {
		terms = 0;
		CHECK(raise(SIGTERM) == 0);
		CHECK_EQ(terms, 0);
		CHECK(swapcontext(&c->caller, &c->self) == 0);
		/* It came in while the other was on. */
		CHECK_EQ(terms, 1);
		mask_is(SET(SIGTERM));
	}
	CHECK_EQ(i, rounds + 1);
	set_mask(SET());
	free(c);
	return arg;
}

/* ---- Coroutines that a signal interrupts --------------------------------- */

static __thread struct coroutine *two[2];
static __thread volatile int current;
static __thread volatile long switches;

/* From within the handler: the other goes on where its own handler was. */
static void preempts(int sig, siginfo_t *si, void *context)
{
	struct coroutine *from = two[current];
	char *here = stack_here();
	int e = errno;

	(void)sig, (void)si, (void)context;
	CHECK(here > from->stack && here < from->stack + SIZE);
	CHECK(blocked(SIGUSR2));
	switches++;
	current = !current;
	CHECK(swapcontext(&from->self, &two[current]->self) == 0);
	CHECK(blocked(SIGUSR2));
	errno = e;
}

static void computes(unsigned high, unsigned low)
{
	struct coroutine *c = (struct coroutine *)((uintptr_t)high << 32 | low);
	volatile double sum = 0;
	volatile long n = 0;

	/* Not before: a context's mask is set a moment ahead of its stack. */
	unblock(SIGUSR2);
	while (switches < 2 * rounds) {
		CHECK(!blocked(SIGUSR2));
		n++;
		sum += 0.5;
	}
	CHECK(n == (long)(sum * 2));
	block(SIGUSR2);
	c->done = 1;
	CHECK(setcontext(&two[0]->caller) == 0);
}

static int preempted_gone[N];
static void *preempted(void *arg)
{
	int i;

	for (i = 0; i < 2; i++)
		two[i] = create((void (*)(void))computes, SET(SIGUSR2));
	CHECK(swapcontext(&two[0]->caller, &two[0]->self) == 0);
	CHECK(two[0]->done || two[1]->done);
	CHECK(blocked(SIGUSR2));
	free(two[0]);
	free(two[1]);
	STORE(preempted_gone[(long)arg], 1);
	return NULL;
}

static void preemption(void)
{
	enum { PREEMPTED = 4 };
	pthread_t t[PREEMPTED];
	long k;

	section("interrupted coroutines");
	block(SIGUSR2);
	for (k = 0; k < PREEMPTED; k++)
		t[k] = start(preempted, (void *)k);
	send_until_gone(t, preempted_gone, PREEMPTED, SIGUSR2);
	unblock(SIGUSR2);
}

int main(int argc, char **argv)
{
	char stacks[N + 1][SIZE];

	if (argc > 1)
		rounds = atoi(argv[1]);
	high_stacks = stacks;
	set_mask(SET());
	install_with(SIGUSR1, jumps, SA_ONSTACK, SET(SIGUSR2));
	install(SIGTERM, term, 0);
	section("before any thread");
	out_of_handlers((void *)0);
	contexts(NULL);
	coroutines(NULL);
	in_threads("out of handlers", out_of_handlers);
	install(SIGUSR2, ends, 0);
	waits_are_left();
	in_threads("contexts", contexts);
	in_threads("coroutines", coroutines);
	install(SIGUSR2, preempts, 0);
	preemption();
	return 0;
}
