/*
 * coroutines - threads that switch among coroutines with swapcontext, on small
 * stacks that nobody but the program knows of, with a page without access below
 * each.  They compute longer than a slice, some with almost all of their stack
 * used; they sleep and lock; and in every other thread each has a signal mask
 * of its own, which the switch has to bring back.
 *
 * coroutines [turns]
 */
#include "sequence.h"
#include <sys/mman.h>
#include <ucontext.h>

enum {
	TURNS = 40,
	THREADS = 8,
	EACH = 4,	   /* coroutines of a thread */
	LENGTH = 10000000, /* of a turn's computing: some 15 ms */
	PAGE = 4096,
	LEFT = 1536 /* of the stack, where it is used up */
};

static long turns = TURNS;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long locked;

struct coroutine {
	ucontext_t context;
	struct coroutines *thread;
	char *low; /* of the stack */
	size_t size;
	long turns;
	int number;
};

struct coroutines {
	ucontext_t main;
	struct coroutine each[EACH];
	pthread_t self;
	int number;
};

static __thread struct coroutine *current;

/* Masks of its own, and no other's: where a thread has them at all. */
static int signal_of(const struct coroutine *c)
{
	return SIGRTMIN + 2 + c->number;
}

static void check_mask(const struct coroutine *c)
{
	sigset_t now;
	int i, want;

	CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
	for (i = 0; i < EACH; i++) {
		want = c->thread->number % 2 && i == c->number;
		CHECK_EQ(sigismember(&now, SIGRTMIN + 2 + i), want);
	}
	CHECK(!sigismember(&now, SIGTERM) && sigismember(&now, SIGUSR2));
}

/* Neither calls anything while it computes. */
static __attribute__((noinline)) uint64_t computes(uint64_t x)
{
	long i;

	for (i = 0; i < LENGTH; i++) {
		x = following(x);
		__asm__("" : "+r"(x));
	}
	return x;
}

static uint64_t descends(struct coroutine *c, uint64_t x);
static uint64_t (*volatile deeper)(struct coroutine *, uint64_t) = descends;
static uint64_t descends(struct coroutine *c, uint64_t x)
{
	volatile char frame[64];

	frame[0] = 1;
	if (stack_here() - c->low > LEFT)
		x = deeper(c, x);
	else
		x = computes(x);
	CHECK_EQ(frame[0], 1);
	return x;
}

static void runs(void)
{
	struct coroutine *c = current;
	struct coroutines *t = c->thread;
	uint64_t first = t->number * EACH + c->number, x = first;
	long i;

	for (i = 0; i < turns; i++) {
		CHECK(current == c && pthread_equal(pthread_self(), t->self));
		check_mask(c);
		x = (c->number + i) % 2 ? descends(c, x) : computes(x);
		check_mask(c);
		switch (i % 4) {
		case 1:
			CHECK(usleep(500) == 0);
			break;
		case 2:
			sched_yield();
			break;
		case 3:
			OK(pthread_mutex_lock(&lock));
			locked++;
			sched_yield();
			OK(pthread_mutex_unlock(&lock));
			break;
		}
		check_mask(c);
		CHECK(stack_here() > c->low && stack_here() < c->low + c->size);
		c->turns++;
		CHECK(swapcontext(&c->context, &t->main) == 0);
	}
	CHECK(x == after(first, turns * LENGTH));
}

static void prepare(struct coroutines *t, int number)
{
	struct coroutine *c = &t->each[number];
	char *p;

	c->thread = t;
	c->number = number;
	c->size = (2 + number % 3) * PAGE;
	p = mmap(NULL, PAGE + c->size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	CHECK(mprotect(p, PAGE, PROT_NONE) == 0);
	c->low = p + PAGE;
	CHECK(getcontext(&c->context) == 0);
	c->context.uc_stack.ss_sp = c->low;
	c->context.uc_stack.ss_size = c->size;
	c->context.uc_link = &t->main;
	if (t->number % 2)
		sigaddset(&c->context.uc_sigmask, signal_of(c));
	makecontext(&c->context, runs, 0);
}

static void *thread(void *arg)
{
	struct coroutines *t = arg;
	sigset_t now;
	long i;
	int k;

	t->self = pthread_self();
	for (k = 0; k < EACH; k++)
		prepare(t, k);
	/* Once more than they have turns: to their ends, and by uc_link. */
	for (i = 0; i <= turns; i++)
		for (k = 0; k < EACH; k++) {
			current = &t->each[k];
			CHECK(swapcontext(&t->main, &current->context) == 0);
			CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
			CHECK(!sigismember(&now, signal_of(current)));
			if (i % 8 == 7)
				CHECK(usleep(100) == 0);
		}
	for (k = 0; k < EACH; k++) {
		CHECK_EQ(t->each[k].turns, turns);
		CHECK(munmap(t->each[k].low - PAGE, PAGE + t->each[k].size) ==
		      0);
	}
	return arg;
}

int main(int argc, char **argv)
{
	static struct coroutines threads[THREADS];
	pthread_t t[THREADS];
	sigset_t set;
	int i;

	if (argc > 1)
		turns = atol(argv[1]);
	/* One that all have, and none of those that some have. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	OK(pthread_sigmask(SIG_SETMASK, &set, NULL));
	section("coroutines");
	for (i = 0; i < THREADS; i++) {
		threads[i].number = i;
		t[i] = start(thread, &threads[i]);
	}
	for (i = 0; i < THREADS; i++)
		CHECK(join(t[i]) == &threads[i]);
	printf("%ld turns each\n", turns);
	return 0;
}
