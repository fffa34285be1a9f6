/*
 * cancel.h - what the programs about cancellation points share: a thread is cancelled
 * in a call, each in its turn. It ends while it waits there; also if it was cancelled
 * before and has no need to wait; not while it has put cancellation off. No file number
 * is lost, and what came for it is for the next one who asks. All of it once more with a
 * robust mutex held, for which a thread may have a kernel thread to itself.
 */
#ifndef CANCEL_H
#define CANCEL_H

#include "iocheck.h"

enum {
	NOWAIT = 1,  /* it never waits */
	NOPOINT = 2, /* to wait in it is no point */
	KEEPS = 4    /* what comes stays, even if it is not cancelled */
};

struct kind {
	const char *name;
	void (*make)(void), (*call)(void);
	void (*release)(void); /* what it waits for comes */
	void (*done)(void);
	int is;
	void (*check)(void); /* what came is there for who asks */
};

static const struct kind *kind;
static pthread_t waiter;
static int cleaned, disabled, early, wired;
static int left; /* the call has returned */
static pthread_mutex_t robust;

static UNUSED void nothing(void)
{
}

static void cleanup(void *arg)
{
	CHECK(arg == &cleaned);
	if (wired)
		OK(pthread_mutex_unlock(&robust));
	ADD(cleaned, 1);
}

static void *waits(void *arg)
{
	int state;

	if (wired)
		OK(pthread_mutex_lock(&robust));
	pthread_cleanup_push(cleanup, &cleaned);
	OK(pthread_setcancelstate(disabled ? PTHREAD_CANCEL_DISABLE
					   : PTHREAD_CANCEL_ENABLE,
				  &state));
	ENTERING();
	if (early)
		YIELD_UNTIL(LOAD(left)); /* nothing in here ends it */
	STORE(left, 0);
	kind->call();
	STORE(left, 1);
	OK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state));
	pthread_testcancel();
	pthread_cleanup_pop(1);
	return arg;
}

static void begin(void)
{
	cleaned = left = 0;
	NOT_ENTERED();
	waiter = start(waits, NULL);
	if (early) /* it yields until we have cancelled it */
		YIELD_UNTIL(LOAD(entered_));
	else
		ONCE_BLOCKED();
}

static void expect_cancelled(const char *how)
{
	if (join(waiter) != PTHREAD_CANCELED || cleaned != 1)
		check_fail(__FILE__, __LINE__, "%s, %s: not cancelled",
			   kind->name, how);
}

static int next_fd(void)
{
	int fd = dup(0);

	CHECK(fd >= 0 && close(fd) == 0);
	return fd;
}

static void while_waiting(void)
{
	int fd;

	if (kind->is & NOWAIT)
		return;
	kind->make();
	fd = next_fd();
	begin();
	OK(pthread_cancel(waiter));
	if (kind->is & NOPOINT) {
		settle();
		CHECK(!LOAD(cleaned) && !LOAD(left));
		kind->release();
	}
	expect_cancelled("waiting");
	CHECK_EQ(LOAD(left), (kind->is & NOPOINT) != 0);
	CHECK_EQ(next_fd(), fd);
	if (kind->check) {
		kind->release();
		kind->check();
	}
	kind->done();
}

/* It need not wait: what it waits for is there, or it was never to begin. */
static void before(void)
{
	if (kind->is & NOPOINT)
		return;
	kind->make();
	if (kind->check)
		kind->release();
	early = 1;
	begin();
	OK(pthread_cancel(waiter));
	STORE(left, 1);
	expect_cancelled("before");
	CHECK(!LOAD(left));
	early = 0;
	if (kind->check)
		kind->check();
	kind->done();
}

static void put_off(void)
{
	if (kind->is & NOWAIT)
		return;
	kind->make();
	disabled = 1;
	begin();
	OK(pthread_cancel(waiter));
	settle();
	CHECK(!LOAD(left) && !LOAD(cleaned));
	kind->release();
	expect_cancelled("put off");
	CHECK(LOAD(left));
	disabled = 0;
	if (kind->is & KEEPS)
		kind->check();
	kind->done();
}

static void each(const char *how, void (*way)(void), const struct kind *kinds,
		 int n)
{
	section(how);
	for (kind = kinds; kind < kinds + n; kind++) {
		section(kind->name);
		way();
	}
}

static void ways(const struct kind *kinds, int n, void (*more)(void))
{
	each("waiting", while_waiting, kinds, n);
	each("before", before, kinds, n);
	each("put off", put_off, kinds, n);
	more();
}

/* All of them, and more. */
static void cancel_all(const struct kind *kinds, int n, void (*more)(void))
{
	pthread_mutexattr_t attr;

	ways(kinds, n, more);
	section("with a robust mutex");
	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
	OK(pthread_mutex_init(&robust, &attr));
	wired = 1;
	ways(kinds, n, more);
}

#define CANCEL_ALL(kinds, more)                                                \
	cancel_all(kinds, sizeof(kinds) / sizeof((kinds)[0]), more)

#endif
