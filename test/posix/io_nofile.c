/*
 * io_nofile - there are too few descriptors when the first thread is made and
 * when the first one waits for a file, and enough later, and too few again; and
 * numbers that the program has not opened are closed while threads wait, and
 * while some always come to wait.  All that is written arrives, and each call
 * returns what it has to.
 *
 * "count" prints, in between, how many descriptors are registered in sets that
 * the program has not made while all wait.
 *
 * io_nofile [count]
 */
#include "iocheck.h"
#include <sys/eventfd.h>
#include <sys/resource.h>

enum {
	KINDS = 7,
	WAITERS = 4 * KINDS,
	FEW = 200, /* descriptors; enough for these, and no number is above */
	SIZE = 4096
};

static int end[WAITERS][2], set[WAITERS];
static int waiting, counting;

/* ---- Threads that wait, in one way each ---------------------------------------- */

static void *waits(void *arg)
{
	long me = (long)arg;
	int fd = end[me][0], n = 1;
	struct pollfd p = { fd, POLLIN, 0 };
	struct epoll_event e;
	char buf[SIZE], c = 0;
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	ADD(waiting, 1);
	switch (me % KINDS) {
	case 0:
		n = poll(&p, 1, -1);
		break;
	case 1:
		n = select(fd + 1, &in, NULL, NULL, NULL);
		break;
	case 2:
		n = epoll_wait(set[me], &e, 1, 600 * 1000);
		break;
	case 3:
		fd = accept(fd, NULL, NULL);
		if (fd < 0)
			check_fail(__FILE__, __LINE__, "accept: %s",
				   strerror(errno));
		break;
	case 4:
		/* Full: until there is room for all of it. */
		memset(buf, 'f', sizeof(buf));
		CHECK_EQ(write(fd, buf, sizeof(buf)), sizeof(buf));
		return NULL;
	}
	CHECK_EQ(n, 1);
	n = (int)(me % KINDS == 5 ? recv(fd, &c, 1, 0) : read(fd, &c, 1));
	if (n != 1 || c != 'w')
		check_fail(__FILE__, __LINE__, "kind %ld reads %d, %d: %s",
			   me % KINDS, n, c, strerror(errno));
	if (fd != end[me][0])
		CHECK(close(fd) == 0);
	return NULL;
}

static void make(long i)
{
	struct epoll_event e = { .events = EPOLLIN };
	int fd[2];

	set[i] = -1;
	switch (i % KINDS) {
	case 2:
		unix_pair(SOCK_STREAM, end[i], 0);
		set[i] = epoll_create1(0);
		CHECK(set[i] >= 0);
		CHECK(epoll_ctl(set[i], EPOLL_CTL_ADD, end[i][0], &e) == 0);
		break;
	case 3:
		end[i][0] = listener(AF_UNIX, 5, 0);
		end[i][1] = socket(AF_UNIX, SOCK_STREAM, 0);
		CHECK(end[i][1] >= 0);
		break;
	case 4:
		CHECK(pipe(fd) == 0);
		CHECK(fcntl(fd[1], F_SETPIPE_SZ, SIZE) > 0);
		end[i][0] = fd[1];
		end[i][1] = fd[0];
		CHECK_EQ(fill(end[i][0]), SIZE);
		break;
	case 6:
		CHECK(pipe(end[i]) == 0);
		break;
	default:
		unix_pair(SOCK_STREAM, end[i], 0);
	}
}

static void serve(long i)
{
	char buf[2 * SIZE];
	long n, got = 0;

	if (i % KINDS == 4) {
		while (got < 2 * SIZE) {
			n = read(end[i][1], buf, sizeof(buf));
			CHECK(n > 0);
			got += n;
		}
		return;
	}
	if (i % KINDS == 3)
		CHECK(connect_to(end[i][1], end[i][0]) == 0);
	CHECK_EQ(write(end[i][1], "w", 1), 1);
}

static void begin(pthread_t *t)
{
	long i;

	waiting = 0;
	for (i = 0; i < WAITERS; i++) {
		make(i);
		t[i] = start(waits, (void *)i);
	}
	YIELD_UNTIL(LOAD(waiting) == WAITERS);
	settle();
}

static void finish(pthread_t *t)
{
	long i;

	for (i = 0; i < WAITERS; i++)
		serve(i);
	for (i = 0; i < WAITERS; i++) {
		join(t[i]);
		close_pair(end[i]);
		if (set[i] >= 0)
			CHECK(close(set[i]) == 0);
	}
}

/* Tell that; there will be `least`, who wait may have to get there. */
static void count(const char *when, int least)
{
	int n;

	if (!counting)
		return;
	while ((n = registered(-1)) < least)
		usleep(1000);
	printf("%s: %d\n", when, n);
}

/* ---- Some wait in one way, some in another --------------------------------------- */

static int tokens, takers_waiting;

static void *takes(void *arg)
{
	uint64_t one = 0;

	ADD(takers_waiting, 1);
	CHECK_EQ(read(tokens, &one, 8), 8);
	CHECK_EQ(one, 1);
	return arg;
}

static void takers(pthread_t *t, int n)
{
	int want = LOAD(takers_waiting) + n;

	while (n-- > 0)
		*t++ = start(takes, NULL);
	YIELD_UNTIL(LOAD(takers_waiting) == want);
	settle();
}

/* ---- Some always come to wait ------------------------------------------------------ */

enum { TALKERS = 4, TURNS = 200, TIMES = 10 };

static int to_and_fro[2][2], turns;

/* Two at each end: whoever waits is not the first. */
static void *talks(void *arg)
{
	int mine = (int)((long)arg % 2);
	char c;

	do {
		CHECK_EQ(read(to_and_fro[mine][0], &c, 1), 1);
		ADD(turns, 1);
		CHECK_EQ(write(to_and_fro[!mine][1], &c, 1), 1);
	} while (c != 'q');
	return arg;
}

static void talkers(pthread_t *t)
{
	long i;

	for (i = 0; i < TALKERS; i++) {
		if (i < 2)
			CHECK(pipe(to_and_fro[i]) == 0);
		else
			CHECK_EQ(write(to_and_fro[0][1], "w", 1), 1);
	}
	for (i = 0; i < TALKERS; i++)
		t[i] = start(talks, (void *)i);
}

static void quiet(pthread_t *t)
{
	int i;

	for (i = 0; i < TALKERS; i++)
		CHECK_EQ(write(to_and_fro[i % 2][1], "q", 1), 1);
	for (i = 0; i < TALKERS; i++)
		join(t[i]);
	close_pair(to_and_fro[0]);
	close_pair(to_and_fro[1]);
}

static void turned(void)
{
	int until = LOAD(turns) + TURNS;

	while (LOAD(turns) < until)
		usleep(1000);
}

/* ---- Limits ------------------------------------------------------------------------ */

static void limit(rlim_t to)
{
	struct rlimit rl;

	CHECK(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	CHECK(to <= rl.rlim_max);
	rl.rlim_cur = to;
	CHECK(setrlimit(RLIMIT_NOFILE, &rl) == 0);
}

static void sleeps_on_time(void)
{
	struct timespec when = in_ms(CLOCK_MONOTONIC, 3);

	usleep(3000);
	CHECK(reached(CLOCK_MONOTONIC, &when));
}

int main(int argc, char **argv)
{
	pthread_t first[WAITERS], second[WAITERS], token[6];
	uint64_t all = 6;
	struct rlimit rl;
	int i;

	counting = argc > 1;
	CHECK(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	if (rl.rlim_max < 2 * OWN)
		return 77;
	section("few");
	limit(FEW);
	tokens = eventfd(0, EFD_SEMAPHORE);
	CHECK(tokens >= 0);
	begin(first);
	count("few", 0);
	finish(first);
	takers(token, 3);
	section("enough");
	limit(rl.rlim_max);
	/* Whoever looks now and then for more has found them. */
	usleep(300 * 1000);
	begin(first);
	count("enough", 2);
	takers(token + 3, 3);
	CHECK_EQ(write(tokens, &all, 8), 8);
	for (i = 0; i < 6; i++)
		join(token[i]);
	finish(first);
	section("few again");
	limit(FEW);
	begin(first);
	count("few again", 2);
	finish(first);
	limit(rl.rlim_max);
	section("closed");
	for (i = 0; i < 20; i++) {
		begin(first);
		/* None of them is ours. */
		CHECK_EQ(raw(SYS_close_range, OWN, ~0U, 0, 0), 0);
		sleeps_on_time();
		finish(first);
	}
	section("closed, and few");
	begin(first);
	limit(FEW);
	CHECK_EQ(raw(SYS_close_range, OWN, ~0U, 0, 0), 0);
	sleeps_on_time();
	finish(first);
	begin(second);
	limit(rl.rlim_max);
	usleep(300 * 1000);
	sleeps_on_time();
	finish(second);
	begin(first);
	count("closed, and enough", 2);
	finish(first);
	section("closed while some come");
	talkers(token);
	for (i = 0; i < TIMES; i++) {
		limit(FEW);
		CHECK_EQ(raw(SYS_close_range, OWN, ~0U, 0, 0), 0);
		turned();
		limit(rl.rlim_max);
		usleep(110 * 1000);
		turned();
	}
	quiet(token);
	CHECK(close(tokens) == 0);
	return 0;
}
