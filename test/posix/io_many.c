/*
 * io_many - so many threads wait for one file, or each for one of its own:
 * every connection, byte, event and token reaches one of them, or all of them,
 * as the call has it.
 *
 * io_many [threads]
 */
#include "iocheck.h"
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>

enum { LAPS = 3, TOKENS = 5 };

static long threads = 1000;
static pthread_t *all;
static int end[2], done, waiting;
static int (*ring)[2];
static unsigned char *seen;

static void begin(thread_fn *fn)
{
	long i;

	done = waiting = 0;
	memset(seen, 0, threads);
	for (i = 0; i < threads; i++)
		all[i] = start_small(fn, (void *)i);
	YIELD_UNTIL(LOAD(waiting) == threads);
	settle();
}

static void finish(void)
{
	long i;

	for (i = 0; i < threads; i++)
		join(all[i]);
	CHECK_EQ(done, threads);
}

static void *accepts(void *arg)
{
	uint32_t who;
	int fd;

	ADD(waiting, 1);
	fd = accept(end[0], NULL, NULL);
	CHECK(fd >= 0);
	CHECK_EQ(recv(fd, &who, sizeof(who), MSG_WAITALL), sizeof(who));
	CHECK(who < threads);
	/* A connection each, and each once. */
	CHECK_EQ(ADD(seen[who], 1), 1);
	CHECK_EQ(write(fd, &who, sizeof(who)), sizeof(who));
	CHECK(close(fd) == 0);
	ADD(done, 1);
	return arg;
}

static void accept_all(int family)
{
	uint32_t who, back;
	int fd;

	end[0] = listener(family, 100, 0);
	begin(accepts);
	for (who = 0; who < threads; who++) {
		fd = connected(family, end[0], 0);
		CHECK_EQ(write(fd, &who, sizeof(who)), sizeof(who));
		CHECK_EQ(recv(fd, &back, sizeof(back), MSG_WAITALL),
			 sizeof(back));
		CHECK_EQ(back, who);
		CHECK(close(fd) == 0);
	}
	finish();
	CHECK(close(end[0]) == 0);
}

static unsigned sum;

static void *reads(void *arg)
{
	unsigned char c;

	ADD(waiting, 1);
	CHECK_EQ(read(end[0], &c, 1), 1);
	ADD(sum, c);
	ADD(done, 1);
	return arg;
}

/* In portions of all sizes. */
static void read_all(int sockets)
{
	unsigned char buf[64];
	unsigned want = 0;
	long at, n, i;

	if (sockets)
		unix_pair(SOCK_STREAM, end, 0);
	else
		CHECK(pipe(end) == 0);
	sum = 0;
	begin(reads);
	for (at = 0; at < threads; at += n) {
		n = 1 + at * 7 % 64;
		if (n > threads - at)
			n = threads - at;
		for (i = 0; i < n; i++)
			want += buf[i] = (unsigned char)(at + i);
		CHECK_EQ(write(end[1], buf, n), n);
	}
	finish();
	CHECK_EQ(sum, want);
	/* Not one too many was taken, and not one too few. */
	nonblocking(end[0], 1);
	ERR(EAGAIN, read(end[0], buf, 1));
	close_pair(end);
}

static void *polls(void *arg)
{
	struct pollfd p = { end[0], POLLIN, 0 };

	ADD(waiting, 1);
	CHECK_EQ(poll(&p, 1, (long)arg % 2 ? -1 : 600 * 1000), 1);
	CHECK_EQ(p.revents, POLLIN);
	ADD(done, 1);
	return arg;
}

/* Nobody reads it, so all of them see it. */
static void poll_all(void)
{
	uint64_t one = 1;

	end[0] = eventfd(0, 0);
	CHECK(end[0] >= 0);
	begin(polls);
	CHECK_EQ(done, 0);
	CHECK_EQ(write(end[0], &one, 8), 8);
	finish();
	CHECK(close(end[0]) == 0);
}

/* From the socket before to the socket after, some laps. */
static void *passes(void *arg)
{
	long me = (long)arg, i;
	char c;

	ADD(waiting, 1);
	for (i = 0; i < LAPS * TOKENS; i++) {
		CHECK_EQ(read(ring[me][0], &c, 1), 1);
		/* None overtakes another. */
		CHECK_EQ(c, i % TOKENS);
		if (me == threads - 1 && i >= (LAPS - 1) * TOKENS)
			continue;
		CHECK_EQ(write(ring[(me + 1) % threads][1], &c, 1), 1);
	}
	ADD(done, 1);
	return NULL;
}

static void pass_all(void)
{
	char tokens[TOKENS];
	long i;

	for (i = 0; i < threads; i++)
		unix_pair(SOCK_STREAM, ring[i], 0);
	for (i = 0; i < TOKENS; i++)
		tokens[i] = (char)i;
	begin(passes);
	/* At once: the first may come round before the last is written. */
	CHECK_EQ(write(ring[0][1], tokens, TOKENS), TOKENS);
	finish();
	for (i = 0; i < threads; i++)
		close_pair(ring[i]);
}

/* Each to a socket of its own, with room for a part of it. */
enum { FILESIZE = 1 << 20 };
static int file;

static void *sends_file(void *arg)
{
	off_t off = 0;
	ssize_t n;

	ADD(waiting, 1);
	while (off < FILESIZE) {
		n = sendfile(ring[(long)arg][1], file, &off, FILESIZE - off);
		CHECK(n > 0);
	}
	CHECK_EQ(off, FILESIZE);
	ADD(done, 1);
	return arg;
}

static void sendfile_all(void)
{
	char buf[4096];
	long at, i, most = threads;

	file = memfd_create("io_many", 0);
	CHECK(file >= 0);
	for (at = 0; at < FILESIZE; at += sizeof(buf)) {
		compose(buf, at, sizeof(buf));
		CHECK_EQ(write(file, buf, sizeof(buf)), sizeof(buf));
	}
	if (threads > 100)
		threads = 100;
	for (i = 0; i < threads; i++)
		unix_pair(SOCK_STREAM, ring[i], 0);
	begin(sends_file);
	CHECK_EQ(done, 0);
	for (i = 0; i < threads; i++)
		drain(ring[i][0], 0, FILESIZE);
	finish();
	for (i = 0; i < threads; i++)
		close_pair(ring[i]);
	CHECK(close(file) == 0);
	threads = most;
}

int main(int argc, char **argv)
{
	struct rlimit rl;

	if (argc > 1)
		threads = atol(argv[1]);
	CHECK(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	/* More may be allowed than is. */
	if (rl.rlim_max < (rlim_t)threads * 2 + 50)
		rl.rlim_max = threads * 2 + 50;
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl))
		return 77;
	all = calloc(threads, sizeof(*all));
	ring = calloc(threads, sizeof(*ring));
	seen = calloc(threads, 1);
	CHECK(all != NULL && ring != NULL && seen != NULL);
	section("accept");
	accept_all(AF_UNIX);
	accept_all(AF_INET);
	section("read");
	read_all(0);
	read_all(1);
	section("poll");
	poll_all();
	section("ring");
	pass_all();
	section("sendfile");
	sendfile_all();
	free(all);
	free(ring);
	free(seen);
	printf("%ld threads\n", threads);
	return 0;
}
