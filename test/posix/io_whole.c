/*
 * io_whole - what a blocking call transfers is whole, though signals that the
 * program ignores come in the middle of it, and whatever thread makes it: one
 * as any, and one that is bound to a processor.
 */
#include "iocheck.h"
#include "storm.h"
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

enum { BIG = 1000000, ROUNDS = 6 };

static char big[BIG];
static int end[2], file;

/* ---- Calls ----------------------------------------------------------------- */

static long by_write(void)
{
	return write(end[1], big, BIG);
}

static long by_writev(void)
{
	struct iovec iov[2] = { { big, BIG / 3 },
				{ big + BIG / 3, BIG - BIG / 3 } };

	return writev(end[1], iov, 2);
}

static long by_send(void)
{
	return send(end[1], big, BIG, 0);
}

static long by_sendmsg(void)
{
	struct iovec iov = { big, BIG };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	return sendmsg(end[1], &m, 0);
}

static long by_sendfile(void)
{
	off_t off = 0;

	return sendfile(end[1], file, &off, BIG);
}

static long by_recv(void)
{
	static char got[BIG];
	long n = recv(end[1], got, BIG, MSG_WAITALL);

	if (n == BIG)
		check_composed(got, 0, BIG);
	return n;
}

static const struct {
	const char *name;
	long (*call)(void);
	int reads;
} calls[] = {
	{ "write", by_write, 0 },     { "writev", by_writev, 0 },
	{ "send", by_send, 0 },	      { "sendmsg", by_sendmsg, 0 },
	{ "sendfile", by_sendfile, 0 }, { "recv", by_recv, 1 },
};
enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

/* ---- All of them ------------------------------------------------------------- */

static const int *current;

static void *makes(void *bound)
{
	cpu_set_t set, was;

	CHECK(sched_getaffinity(0, sizeof(was), &was) == 0);
	if (bound) {
		CPU_ZERO(&set);
		CPU_SET(sched_getcpu(), &set);
		CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
	}
	CHECK_EQ(calls[*current].call(), BIG);
	return bound;
}

/* The other end: in pieces, so that the call waits often. */
static void feeds(void)
{
	for (int at = 0; at < BIG; at += 50000) {
		CHECK_EQ(send(end[0], big + at, 50000, 0), 50000);
		usleep(200);
	}
}

int main(void)
{
	int i, n;
	pid_t child;

	compose(big, 0, BIG);
	file = memfd_create("io_whole", 0);
	CHECK(file >= 0 && write(file, big, BIG) == BIG);
	child = begin_storm();
	current = &i;
	for (i = 0; i < CALLS; i++) {
		section(calls[i].name);
		for (n = 0; n < ROUNDS; n++) {
			pthread_t t;

			unix_pair(SOCK_STREAM, end, 16 << 10);
			t = start(makes, n % 2 ? big : NULL);
			if (calls[i].reads)
				feeds();
			else
				drain(end[0], 0, BIG);
			join(t);
			close(end[0]);
			close(end[1]);
		}
	}
	end_storm(child);
	return 0;
}
