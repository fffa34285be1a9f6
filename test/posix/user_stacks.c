/*
 * user_stacks - threads on stacks of 16 KB that the program supplies, computing
 * for many slices with 1.5 KB of them left: what fits natively has to fit.
 * Below each lies a page without access, and what is left holds a pattern, up
 * to the red zone: a frame of 3 KB, such as the kernel builds for a signal,
 * would run into the first, a smaller one would leave its traces in the second.
 *
 * user_stacks [steps of 2 ms]
 */
#include "sequence.h"
#include <sys/mman.h>

enum {
	STEPS = 200,
	LENGTH = 1500000, /* of a step */
	THREADS = 64,
	SIZE = 16 << 10,
	PAGE = 4096,
	LEFT = 1536,
	FRAME = 128 + 128 /* saved registers, and the red zone */
};
#define PATTERN 0x5ca1ab1e0ddba11ul

static long steps = STEPS;

static struct job {
	char *low; /* of the stack */
	uint64_t x;
	long levels, words, changed;
	pthread_t thread;
} jobs[THREADS];

/* No call in it: the dynamic linker takes more for the first than is left. */
static __attribute__((noinline)) void computes(struct job *j)
{
	volatile uint64_t *low = (uint64_t *)j->low, *p, *end;
	uint64_t x = j->x;
	long i, k;

	end = (uint64_t *)((uintptr_t)__builtin_frame_address(0) - FRAME);
	for (p = low; p < end; p++)
		*p = PATTERN;
	for (k = 0; k < steps; k++) {
		for (i = 0; i < LENGTH; i++) {
			x = following(x);
			/* One by one: compilers know the closed form too. */
			__asm__("" : "+r"(x));
		}
		for (p = low; p < end; p++)
			j->changed += *p != PATTERN;
	}
	j->words = end - low;
	j->x = x;
}

static void descends(struct job *j);
static void (*volatile deeper)(struct job *) = descends;
static void descends(struct job *j)
{
	volatile char frame[64];

	frame[0] = 1;
	j->levels++;
	if (stack_here() - j->low > LEFT)
		deeper(j);
	else
		computes(j);
	CHECK_EQ(frame[0], 1);
}

static void *works(void *arg)
{
	struct job *j = arg;
	char *here = stack_here();

	CHECK(here > j->low && here < j->low + SIZE);
	descends(j);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_attr_t attr;
	struct job *j;
	char *p;
	long i;

	if (argc > 1)
		steps = atol(argv[1]);
	OK(pthread_attr_init(&attr));
	section("deep in small stacks");
	for (i = 0; i < THREADS; i++) {
		j = &jobs[i];
		p = mmap(NULL, PAGE + SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED);
		CHECK(mprotect(p, PAGE, PROT_NONE) == 0);
		j->low = p + PAGE;
		j->x = i;
		OK(pthread_attr_setstack(&attr, j->low, SIZE));
		OK(pthread_create(&j->thread, &attr, works, j));
	}
	for (i = 0; i < THREADS; i++) {
		j = &jobs[i];
		CHECK(join(j->thread) == j);
		CHECK_EQ(j->changed, 0);
		CHECK(j->x == after(i, steps * LENGTH));
		/* It was a descent, and something was left to look at. */
		CHECK(j->levels > 8);
		CHECK(j->words * 8 > LEFT / 2 && j->words * 8 < LEFT);
		CHECK(munmap(j->low - PAGE, PAGE + SIZE) == 0);
	}
	OK(pthread_attr_destroy(&attr));
	printf("%d threads\n", THREADS);
	return 0;
}
