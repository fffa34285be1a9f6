/*
 * setjmp - longjmp inside threads, over yields and out of nested calls;
 * siglongjmp restores the mask; swapcontext makes coroutines in a thread.
 */
#include "check.h"
#include <setjmp.h>
#include <ucontext.h>

enum { N = 50 };

static void jump_from(jmp_buf *env, int depth);
/* Through a pointer: the compiler need not know that this recurses. */
static void (*volatile deeper)(jmp_buf *, int) = jump_from;
static void jump_from(jmp_buf *env, int depth)
{
	volatile char frame[200];

	frame[0] = (char)depth;
	sched_yield();
	if (depth == 0)
		longjmp(*env, 42);
	deeper(env, depth - 1);
	CHECK(frame[0] != (char)depth);
}

static void *jumps(void *arg)
{
	volatile int i;
	volatile long sum = 0;
	jmp_buf env;

	for (i = 0; i < 20; i++) {
		switch (setjmp(env)) {
		case 0:
			jump_from(&env, i % 7);
			CHECK(!"came back");
			break;
		case 42:
			sum += (long)arg;
			sched_yield();
			break;
		default:
			CHECK(!"bad value");
		}
	}
	CHECK_EQ(sum, 20 * (long)arg);
	return NULL;
}

static void *masks(void *arg)
{
	sigset_t set, now;
	sigjmp_buf env;
	volatile int i;

	for (i = 0; i < 10; i++) {
		sigemptyset(&set);
		CHECK_EQ(pthread_sigmask(SIG_SETMASK, &set, NULL), 0);
		if (sigsetjmp(env, i & 1) == 0) {
			sigaddset(&set, SIGUSR1);
			CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
			sched_yield();
			siglongjmp(env, 1);
		}
		CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
		/* Saved with the buffer, or left as it was at the jump. */
		CHECK_EQ(sigismember(&now, SIGUSR1), !(i & 1));
		sched_yield();
		CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
		CHECK_EQ(sigismember(&now, SIGUSR1), !(i & 1));
	}
	return arg;
}

struct coroutine {
	ucontext_t caller, self;
	long value;
	int done;
	char stack[64 << 10];
};

static void generate(unsigned high, unsigned low)
{
	struct coroutine *c = (struct coroutine *)((uintptr_t)high << 32 | low);
	int i;

	for (i = 0; i < 10; i++) {
		/* The caller's errno: a coroutine is no thread. */
		CHECK_EQ(errno, (int)c->value);
		sched_yield();
		CHECK_EQ(errno, (int)c->value);
		c->value += i;
		swapcontext(&c->self, &c->caller);
	}
	c->done = 1;
}

static void *coroutines(void *arg)
{
	struct coroutine *c = malloc(sizeof(*c));
	uintptr_t p = (uintptr_t)c;
	volatile int rounds = 0;

	CHECK(c != NULL);
	c->value = (long)arg;
	c->done = 0;
	CHECK(getcontext(&c->self) == 0);
	c->self.uc_stack.ss_sp = c->stack;
	c->self.uc_stack.ss_size = sizeof(c->stack);
	c->self.uc_link = &c->caller;
	makecontext(&c->self, (void (*)(void))generate, 2, (unsigned)(p >> 32),
		    (unsigned)p);
	while (!c->done) {
		errno = (int)c->value;
		CHECK(swapcontext(&c->caller, &c->self) == 0);
		sched_yield();
		rounds++;
	}
	CHECK_EQ(rounds, 11);
	CHECK_EQ(c->value, (long)arg + 45);
	free(c);
	return NULL;
}

static void all(const char *what, thread_fn *fn)
{
	section(what);
	run_threads(N, fn);
}

int main(void)
{
	all("longjmp", jumps);
	all("siglongjmp", masks);
	all("coroutines", coroutines);
	return 0;
}
