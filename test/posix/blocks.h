/*
 * blocks.h - what the programs about calls that block in the kernel share: one
 * thread blocks in such a call, others take their turns before they let it go
 * on: first call by call, then in all of them at once.  What the call returns is
 * what it has to, errno included. And it is cancelled there, where that is a point.
 *
 *	blocks_*		all of that
 *	blocks_* list		the calls' names, one a line
 *	blocks_* NAME TIMES	only this one, so many times
 *
 * The latter is for who counts, from outside, how the others got their turns.
 */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "check.h"
#include <aio.h>
#include <fcntl.h>
#include <mqueue.h>

enum { TURNS = 60 };

struct test {
	const struct kind *kind;
	pthread_t thread;
	int entered, done;
	int fd[2], id;
	FILE *in, *out;
	mqd_t mq;
	pid_t child;
	int *word;
	struct aiocb aio;
	char path[64];
};

struct kind {
	const char *name; /* the function's; after a comma, what is special */
	void (*setup)(struct test *);
	void (*block)(struct test *); /* with errno ERRNO_MARK */
	void (*release)(struct test *);
	int alone;	  /* it takes what others wait for */
	long (*call)(struct test *); /* for block */
	int nr;
	/* what is left to be done if it was cancelled there; NULL: not tried */
	void (*cancelled)(struct test *);
};

static UNUSED int ticks, stop;

static void *blocks(void *arg)
{
	struct test *t = arg;

	STORE(t->entered, 1);
	errno = ERRNO_MARK;
	t->kind->block(t);
	if (errno != ERRNO_MARK)
		check_fail(__FILE__, __LINE__, "%s set errno to %d",
			   t->kind->name, errno);
	STORE(t->done, 1);
	return NULL;
}

static void *tick(void *arg)
{
	(void)arg;
	while (!LOAD(stop)) {
		ADD(ticks, 1);
		if (ticks % 8 == 0)
			usleep(20);
		else
			sched_yield();
	}
	return NULL;
}

static void turns(void)
{
	int end = LOAD(ticks) + TURNS;

	YIELD_UNTIL(LOAD(ticks) - end >= 0);
}

static void begin(struct test *t, const struct kind *k)
{
	*t = (struct test){ .kind = k };
	k->setup(t);
	t->thread = start(blocks, t);
}

static void end(struct test *t)
{
	if (LOAD(t->done))
		check_fail(__FILE__, __LINE__, "%s has not blocked",
			   t->kind->name);
	t->kind->release(t);
	join(t->thread);
}

static void one_by_one(const struct kind *kinds, int n)
{
	static struct test test;
	int i;

	for (i = 0; i < n; i++) {
		begin(&test, &kinds[i]);
		YIELD_UNTIL(LOAD(test.entered));
		turns();
		end(&test);
	}
}

static void all_at_once(const struct kind *kinds, int n)
{
	struct test *tests = calloc(n, sizeof(*tests));
	int i;

	CHECK(tests);
	for (i = 0; i < n; i++)
		if (!kinds[i].alone)
			begin(&tests[i], &kinds[i]);
	for (i = 0; i < n; i++)
		if (!kinds[i].alone)
			YIELD_UNTIL(LOAD(tests[i].entered));
	turns();
	for (i = 0; i < n; i++)
		if (!kinds[i].alone)
			end(&tests[i]);
	free(tests);
}

static void one(const struct kind *kinds, int n, const char *name, int times)
{
	int i;

	for (i = 0; i < n && strcmp(kinds[i].name, name); i++)
		;
	if (i == n)
		check_fail(__FILE__, __LINE__, "there is no %s", name);
	while (times-- > 0)
		one_by_one(&kinds[i], 1);
}

/* ---- Cancelled while it blocks ---------------------------------------------- */

static void counts(void *arg)
{
	struct test *t = arg;

	t->done++;
}

static void *blocks_until_cancelled(void *arg)
{
	struct test *t = arg;

	pthread_cleanup_push(counts, t);
	STORE(t->entered, 1);
	t->kind->block(t);
	pthread_cleanup_pop(0);
	return NULL;
}

/* After so many microseconds, or at once: on its way into the call. */
static void cancelled_after(const struct kind *k, int us)
{
	struct test t = { .kind = k };

	k->setup(&t);
	t.thread = start(blocks_until_cancelled, &t);
	YIELD_UNTIL(LOAD(t.entered));
	if (us)
		usleep(us);
	OK(pthread_cancel(t.thread));
	if (join(t.thread) != PTHREAD_CANCELED || t.done != 1)
		check_fail(__FILE__, __LINE__, "%s: not cancelled", k->name);
	k->cancelled(&t);
}

static void cancelled_while_it_blocks(const struct kind *kinds, int n)
{
	int i, k;

	section("cancelled");
	for (i = 0; i < 10; i++)
		for (k = 0; k < n; k++)
			if (kinds[k].cancelled)
				cancelled_after(&kinds[k], i % 3 * 1500);
}

/* ---- Everything ------------------------------------------------------------- */

/* False: the arguments wanted no more than this. */
static int blocks_main(int argc, char **argv, const struct kind *kinds, int n)
{
	pthread_t ticker;
	int i;

	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && strcmp(argv[1], "list") == 0) {
		for (i = 0; i < n; i++)
			printf("%s\n", kinds[i].name);
		return 0;
	}
	ticker = start(tick, NULL);
	if (argc > 2) {
		one(kinds, n, argv[1], atoi(argv[2]));
	} else {
		section("one by one");
		one_by_one(kinds, n);
		section("all at once");
		all_at_once(kinds, n);
	}
	STORE(stop, 1);
	join(ticker);
	if (argc <= 2)
		cancelled_while_it_blocks(kinds, n);
	return argc <= 2;
}

#endif
