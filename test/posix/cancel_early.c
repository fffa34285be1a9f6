/*
 * cancel_early - a thread that is cancelled before it has begun ends at the first point
 * that it comes to; one that has cancelled itself in the next call that is a point, even
 * if that has nothing to wait for, and not in one that is none.
 */
#include "check.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>

/* ---- Not begun -------------------------------------------------------------- */

static int begun;

static void *begins(void *arg)
{
	ADD(begun, 1);
	for (;;) {
		pthread_testcancel();
		sched_yield();
	}
	return arg;
}

static void not_begun(void)
{
	pthread_t t[100];
	int i, k;

	for (k = 0; k < 20; k++) {
		begun = 0;
		for (i = 0; i < 100; i++) {
			t[i] = start_small(begins, NULL);
			OK(pthread_cancel(t[i]));
		}
		for (i = 0; i < 100; i++)
			CHECK(join(t[i]) == PTHREAD_CANCELED);
		CHECK(begun <= 100);
	}
}

/* ---- By itself -------------------------------------------------------------- */

static int passed; /* what is none */

static void in_fsync(void)
{
	fsync(1);
}

static void in_waitpid(void)
{
	waitpid(-1, NULL, WNOHANG);
}

static void in_msgrcv(void)
{
	msgrcv(-1, NULL, 0, 0, IPC_NOWAIT);
}

static void in_fcntl(void)
{
	struct flock l = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	fcntl(-1, F_SETLKW, &l);
}

static void in_lockf(void)
{
	lockf(-1, F_LOCK, 0);
}

static void *cancels_itself(void *arg)
{
	pthread_cancel(pthread_self());
	flock(-1, LOCK_UN);
	STORE(passed, 1);
	((void (*)(void))arg)();
	check_fail(__FILE__, __LINE__, "no cancellation point");
}

static void by_itself(void)
{
	void (*const points[])(void) = { in_fsync, in_waitpid, in_msgrcv,
					 in_fcntl, in_lockf };
	size_t i;

	for (i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		passed = 0;
		CHECK(join(start(cancels_itself, (void *)points[i])) ==
		      PTHREAD_CANCELED);
		CHECK_EQ(passed, 1);
	}
}

int main(void)
{
	section("not begun");
	not_begun();
	section("by itself");
	by_itself();
	return 0;
}
