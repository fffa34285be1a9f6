/*
 * io_turns - a thread whose requests are there before it asks for them serves a few of
 * them, then others run, long before its slice is over: blocking calls, and those that
 * say with each call that they do not block.
 */
#include "check.h"
#include <sys/socket.h>

/* So many fit into a socket's buffer. */
enum { REQUESTS = 200, EVERY = 6 };
static int done, turns;

struct server {
	int fd, flags;
};

static void *serves(void *arg)
{
	struct server *s = arg;
	int i, n;

	for (i = 0; i < REQUESTS; i++) {
		CHECK_EQ(recv(s->fd, &n, sizeof(n), s->flags), sizeof(n));
		CHECK_EQ(n, i);
		CHECK_EQ(send(s->fd, &n, sizeof(n), s->flags), sizeof(n));
	}
	STORE(done, 1);
	return arg;
}

static void *waits(void *arg)
{
	while (!LOAD(done)) {
		turns++;
		sched_yield();
	}
	return arg;
}

static int serve(int flags)
{
	int fds[2], i, n;
	struct server s;
	pthread_t t[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	s = (struct server){ fds[1], flags };
	for (i = 0; i < REQUESTS; i++)
		CHECK_EQ(write(fds[0], &i, sizeof(i)), sizeof(i));
	done = turns = 0;
	t[0] = start(waits, NULL);
	t[1] = start(serves, &s);
	for (i = 0; i < 2; i++)
		join(t[i]);
	for (i = 0; i < REQUESTS; i++) {
		CHECK_EQ(read(fds[0], &n, sizeof(n)), sizeof(n));
		CHECK_EQ(n, i);
	}
	close(fds[0]);
	close(fds[1]);
	return turns;
}

int main(void)
{
	const char *one = getenv("GMP_SHIM_MAXPROCS");
	int flags[] = { 0, MSG_DONTWAIT }, i, n;

	for (i = 0; i < 2; i++) {
		n = serve(flags[i]);
		/* with more CPUs, and natively, it may have had another one */
		if (one && strcmp(one, "1") == 0)
			CHECK(n >= REQUESTS / EVERY);
	}
	return 0;
}
