/*
 * io_fds - numbers and the files behind them, while threads wait.  A call is
 * for the file that its number meant when it was made: what comes to have that
 * number later is another file, whose data is for those who ask for it later.
 * A file has as many numbers as there are duplicates, in as many processes;
 * all of them read from one stream, in which each byte is there once.  And
 * numbers may be anything: huge, or closed and given out again with no library
 * told of it.
 *
 * What becomes of a call whose number is closed is not said anywhere; here it
 * ends, at the latest when the other end of its file is gone, and brings
 * nothing that is not its own.
 */
#include "iocheck.h"
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/uio.h>

enum { BYTES = 2000, HUGE_FD = 1000001, ROUNDS = 30 };

/* ---- Closed while it is waited for --------------------------------------- */

enum { BY_CLOSE, BY_DUP2, BY_DUP3, BY_RANGE, BY_RAW, BY_RAW_DUP2, CLOSINGS };
enum {
	IN_READ,
	IN_READV,
	IN_RECV,
	IN_POLL,
	IN_SELECT,
	IN_EPOLL,
	IN_ACCEPT,
	CALLS
};

static int end[2], fresh[2], call, left, tid;
static char got[8];
static long result;

static void *waits(void *arg)
{
	struct iovec iov = { got, 1 };
	struct pollfd p = { end[0], POLLIN, 0 };
	struct epoll_event e;
	int fd = end[0];
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	STORE(tid, native_tid());
	ENTERING();
	switch (call) {
	case IN_READ:
		result = read(fd, got, 1);
		break;
	case IN_READV:
		result = readv(fd, &iov, 1);
		break;
	case IN_RECV:
		result = recv(fd, got, 1, 0);
		break;
	case IN_POLL:
		result = poll(&p, 1, -1);
		break;
	case IN_SELECT:
		result = select(fd + 1, &in, NULL, NULL, NULL);
		break;
	case IN_EPOLL:
		result = epoll_wait(fd, &e, 1, -1);
		break;
	case IN_ACCEPT:
		result = accept(fd, NULL, NULL);
		if (result >= 0) {
			CHECK_EQ(read((int)result, got, 1), 1);
			CHECK(close((int)result) == 0);
			result = 1;
		}
		break;
	}
	STORE(left, 1);
	return arg;
}

/* One that has not begun to read by now would read the new file. */
static pthread_t begin_waits(void)
{
	pthread_t t;

	NOT_ENTERED();
	t = start(waits, NULL);
	ONCE_BLOCKED();
	if (call <= IN_RECV)
		once_waiting(end[0], &tid);
	return t;
}

/* The number means another file when this is done. */
static void change(int closing, int fd, int to)
{
	switch (closing) {
	case BY_CLOSE:
		CHECK(close(fd) == 0);
		break;
	case BY_RANGE:
		CHECK(close_range(fd, fd, 0) == 0);
		break;
	case BY_RAW:
		CHECK_EQ(raw(SYS_close, fd, 0, 0, 0), 0);
		break;
	case BY_DUP2:
		CHECK_EQ(dup2(to, fd), fd);
		return;
	case BY_DUP3:
		CHECK_EQ(dup3(to, fd, O_CLOEXEC), fd);
		return;
	case BY_RAW_DUP2:
		CHECK_EQ(raw(SYS_dup2, to, fd, 0, 0), fd);
		return;
	}
	/* The lowest number that is free is nobody else's. */
	CHECK_EQ(fcntl(to, F_DUPFD, fd), fd);
}

/*
 * alive: a duplicate keeps the file open, so that nothing ends because of
 * this close.
 */
static void close_while_waiting(int closing, int alive)
{
	int copy = -1, watched[2] = { -1, -1 }, peer = -1;
	struct epoll_event e = { .events = EPOLLIN };
	pthread_t t;
	char c;

	if (call == IN_READ || call == IN_POLL || call == IN_READV) {
		CHECK(pipe(end) == 0);
	} else if (call == IN_EPOLL) {
		CHECK(pipe(watched) == 0);
		end[0] = epoll_create1(0);
		end[1] = watched[1];
		CHECK(epoll_ctl(end[0], EPOLL_CTL_ADD, watched[0], &e) == 0);
	} else if (call == IN_ACCEPT) {
		end[0] = listener(AF_UNIX, 5, 0);
		end[1] = socket(AF_UNIX, SOCK_STREAM, 0);
	} else {
		unix_pair(SOCK_STREAM, end, 0);
	}
	if (alive)
		copy = dup(end[0]);
	/* The new one has something at once. */
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fresh) == 0);
	CHECK_EQ(write(fresh[1], "MM", 2), 2);
	memset(got, 0, sizeof(got));
	left = 0;
	t = begin_waits();
	CHECK(!LOAD(left));
	if (call == IN_ACCEPT && !alive) {
		/* Whoever wants to connect must know its name. */
		peer = dup(end[0]);
		change(closing, end[0], fresh[0]);
		if (connect_to(end[1], peer) == 0)
			(void)!write(end[1], "o", 1);
		CHECK(shutdown(peer, SHUT_RDWR) == 0);
		CHECK(close(peer) == 0);
	} else {
		change(closing, end[0], fresh[0]);
		settle();
		if (call == IN_ACCEPT && connect_to(end[1], copy))
			CHECK(0);
		/* Nobody may be left to read it. */
		(void)!write(end[1], "o", 1);
		settle();
		if (call == IN_ACCEPT)
			CHECK(shutdown(copy, SHUT_RDWR) == 0);
	}
	CHECK(close(end[1]) == 0);
	join(t);
	CHECK(got[0] == 0 || got[0] == 'o');
	/* Whoever asks now gets the new one's, all of it. */
	CHECK_EQ(read(end[0], got, 8), 2);
	CHECK(memcmp(got, "MM", 2) == 0);
	CHECK_EQ(write(fresh[1], "N", 1), 1);
	CHECK_EQ(read(end[0], got, 1), 1);
	CHECK_EQ(got[0], 'N');
	CHECK(close(end[0]) == 0);
	close_pair(fresh);
	if (copy >= 0) {
		if (call == IN_READ && result != 1)
			CHECK_EQ(read(copy, &c, 1), 1);
		CHECK(close(copy) == 0);
	}
	if (watched[0] >= 0)
		CHECK(close(watched[0]) == 0);
}

/* Behind everybody's back and kept open elsewhere is too much to ask: a library sees
 * the old file report, and the number lead to the new one. */
static void closings(int from, int to)
{
	int closing, alive;

	for (closing = from; closing < to; closing++)
		for (call = 0; call < CALLS; call++)
			for (alive = 0; alive < (from == BY_RAW ? 1 : 2); alive++)
				close_while_waiting(closing, alive);
}

/* The new file is waited for, too, by those who came later. */
static void *waits_later(void *arg)
{
	char c = 0;

	ENTERING();
	CHECK_EQ(read(end[0], &c, 1), 1);
	CHECK_EQ(c, 'M');
	return arg;
}

static void old_and_new(int from, int to)
{
	pthread_t t, later;
	int closing, first;

	call = IN_READ;
	for (closing = from; closing < to; closing++)
		for (first = 0; first < 2; first++) {
			unix_pair(SOCK_STREAM, end, 0);
			CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fresh) == 0);
			memset(got, 0, sizeof(got));
			t = begin_waits();
			change(closing, end[0], fresh[0]);
			NOT_ENTERED();
			later = start(waits_later, NULL);
			ONCE_BLOCKED();
			if (first) {
				CHECK_EQ(write(fresh[1], "M", 1), 1);
				join(later);
			}
			(void)!write(end[1], "o", 1);
			settle();
			CHECK(close(end[1]) == 0);
			join(t);
			CHECK(got[0] == 0 || got[0] == 'o');
			if (!first) {
				CHECK_EQ(write(fresh[1], "M", 1), 1);
				join(later);
			}
			CHECK(close(end[0]) == 0);
			close_pair(fresh);
		}
}

/* ---- Behind everybody's back, between calls ------------------------------ */

static int turn, numbers[2];

static void *reads_numbers(void *arg)
{
	struct pollfd p = { numbers[0], POLLIN, 0 };
	char c[8];
	int i;

	for (i = 0; i < ROUNDS; i++) {
		YIELD_UNTIL(LOAD(turn) == 1);
		STORE(turn, 2);
		if (i % 3 == 1)
			CHECK_EQ(poll(&p, 1, -1), 1);
		CHECK_EQ(read(numbers[0], c, 8), 8);
		CHECK_EQ(c[0], i + 1);
		STORE(turn, 3);
	}
	return arg;
}

/* The same two numbers each time, for files of all kinds. */
static void behind(void)
{
	int i, k, fd[2];
	char c[8] = { 0 };
	pthread_t t;

	CHECK(pipe(numbers) == 0);
	turn = 0;
	t = start(reads_numbers, NULL);
	for (i = 0; i < ROUNDS; i++) {
		if (i % 2) {
			/* Either over the old ones, or where those were. */
			switch (i / 2 % 3) {
			case 0:
				CHECK_EQ(raw(SYS_pipe2, (long)fd, 0, 0, 0), 0);
				break;
			case 1:
				CHECK_EQ(raw(SYS_socketpair, AF_UNIX,
					     SOCK_STREAM, 0, (long)fd),
					 0);
				break;
			case 2:
				fd[0] = (int)raw(SYS_eventfd2, 0, 0, 0, 0);
				fd[1] = dup(fd[0]);
				break;
			}
			for (k = 0; k < 2; k++) {
				CHECK_EQ(raw(SYS_dup2, fd[k], numbers[k], 0, 0),
					 numbers[k]);
				CHECK_EQ(raw(SYS_close, fd[k], 0, 0, 0), 0);
			}
		} else {
			for (k = 0; k < 2; k++)
				CHECK_EQ(raw(SYS_close, numbers[k], 0, 0, 0),
					 0);
			CHECK_EQ(raw(SYS_socketpair, AF_UNIX,
				     i % 4 ? SOCK_STREAM : SOCK_SEQPACKET, 0,
				     (long)fd),
				 0);
			/* The lowest ones that are free: mostly the same. */
			for (k = 0; k < 2; k++) {
				if (fd[k] == numbers[k])
					continue;
				CHECK_EQ(raw(SYS_dup2, fd[k], numbers[k], 0, 0),
					 numbers[k]);
				CHECK_EQ(raw(SYS_close, fd[k], 0, 0, 0), 0);
			}
		}
		STORE(turn, 1);
		YIELD_UNTIL(LOAD(turn) == 2);
		settle();
		c[0] = (char)(i + 1);
		CHECK_EQ(write(numbers[1], c, 8), 8);
		YIELD_UNTIL(LOAD(turn) == 3);
	}
	join(t);
	close_pair(numbers);
}

/* fclose and fdopen come to the same numbers by themselves. */
static void *reads_line(void *arg)
{
	char line[100];

	ENTERING();
	CHECK(fgets(line, sizeof(line), arg) == line);
	CHECK(strcmp(line, "a line\n") == 0);
	return NULL;
}

static void streams(void)
{
	pthread_t t;
	FILE *in;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		if (i % 2)
			CHECK(pipe(end) == 0);
		else
			unix_pair(SOCK_STREAM, end, 0);
		in = fdopen(end[0], "r");
		CHECK(in != NULL);
		NOT_ENTERED();
		t = start(reads_line, in);
		ONCE_BLOCKED();
		CHECK_EQ(write(end[1], "a line\n", 7), 7);
		join(t);
		CHECK(fclose(in) == 0);
		CHECK(close(end[1]) == 0);
	}
}

/* ---- Many numbers, one file ---------------------------------------------- */

static int readers[4];
static int count, times[256];

static void *reads_bytes(void *arg)
{
	int fd = readers[(long)arg];
	unsigned char c;
	long n;

	while ((n = read(fd, &c, 1)) == 1) {
		ADD(times[c], 1);
		ADD(count, 1);
	}
	CHECK_EQ(n, 0);
	return NULL;
}

static void *polls_bytes(void *arg)
{
	struct pollfd p = { readers[(long)arg], POLLIN, 0 };
	unsigned char c;
	long n;

	/* Another one may be there first: so with MSG_DONTWAIT. */
	for (;;) {
		CHECK_EQ(poll(&p, 1, -1), 1);
		n = recv(p.fd, &c, 1, MSG_DONTWAIT);
		if (n == 0)
			return NULL;
		if (n < 0) {
			CHECK_EQ(errno, EAGAIN);
			continue;
		}
		ADD(times[c], 1);
		ADD(count, 1);
	}
}

static void *writes_bytes(void *arg)
{
	unsigned char c;
	long i;

	for (i = 0; i < BYTES; i++) {
		c = (unsigned char)i;
		CHECK_EQ(write(end[1], &c, 1), 1);
		if (i % 50 == 0)
			settle();
	}
	CHECK(shutdown(end[1], SHUT_WR) == 0);
	return arg;
}

static int pass(int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, c = 'p';
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int way[2];

	unix_pair(SOCK_STREAM, way, 0);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(int));
	CHECK_EQ(sendmsg(way[0], &m, 0), 1);
	memset(control, 0, sizeof(control));
	CHECK_EQ(recvmsg(way[1], &m, 0), 1);
	h = CMSG_FIRSTHDR(&m);
	CHECK(h != NULL);
	memcpy(&fd, CMSG_DATA(h), sizeof(int));
	close_pair(way);
	return fd;
}

static void check_bytes(int total)
{
	int i;

	CHECK_EQ(count + total, BYTES);
	if (!total)
		for (i = 0; i < 256; i++)
			CHECK_EQ(times[i], BYTES / 256 + (i < BYTES % 256));
}

static void duplicates(int tcp)
{
	pthread_t t[4], writer;
	long i;

	if (tcp)
		tcp_pair(end, 0);
	else
		unix_pair(SOCK_STREAM, end, 0);
	readers[0] = end[0];
	readers[1] = dup(end[0]);
	readers[2] = pass(end[0]);
	readers[3] = fcntl(end[0], F_DUPFD_CLOEXEC, 700);
	CHECK(readers[1] >= 0 && readers[2] >= 0 && readers[3] >= 700);
	count = 0;
	memset(times, 0, sizeof(times));
	for (i = 0; i < 4; i++)
		t[i] = start(i % 2 ? polls_bytes : reads_bytes, (void *)i);
	settle();
	writer = start(writes_bytes, NULL);
	join(writer);
	for (i = 0; i < 4; i++)
		join(t[i]);
	check_bytes(0);
	for (i = 1; i < 4; i++)
		CHECK(close(readers[i]) == 0);
	close_pair(end);
}

/* Another process reads the same socket. */
static void shared(int tcp)
{
	int report[2], total = 0;
	pthread_t t[2], writer;
	long i;
	pid_t pid;
	char c;

	if (tcp)
		tcp_pair(end, 0);
	else
		unix_pair(SOCK_STREAM, end, 0);
	CHECK(pipe(report) == 0);
	readers[0] = readers[1] = end[0];
	count = 0;
	memset(times, 0, sizeof(times));
	/* One of them waits already when the child is made. */
	t[0] = start(reads_bytes, (void *)0);
	settle();
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(close(end[1]) == 0);
		CHECK_EQ(write(report[1], "", 1), 1);
		while (read(end[0], &c, 1) == 1)
			total++;
		CHECK_EQ(write(report[1], &total, sizeof(total)),
			 sizeof(total));
		_exit(0);
	}
	CHECK_EQ(read(report[0], &c, 1), 1);
	t[1] = start(polls_bytes, (void *)1);
	writer = start(writes_bytes, NULL);
	join(writer);
	for (i = 0; i < 2; i++)
		join(t[i]);
	CHECK_EQ(read(report[0], &total, sizeof(total)), sizeof(total));
	reap(pid, 0);
	CHECK_EQ(count + total, BYTES);
	close_pair(report);
	close_pair(end);
}

/* ---- Huge numbers -------------------------------------------------------- */

static void *reads_huge(void *arg)
{
	struct pollfd p = { HUGE_FD, POLLIN, 0 };
	char c;

	ENTERING();
	CHECK_EQ(read(HUGE_FD, &c, 1), 1);
	ENTERING();
	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK_EQ(read(HUGE_FD, &c, 1), 1);
	return arg;
}

static void huge(void)
{
	struct rlimit was, rl = { HUGE_FD + 1, HUGE_FD + 1 };
	pthread_t t;
	int i;

	CHECK(getrlimit(RLIMIT_NOFILE, &was) == 0);
	if (was.rlim_max > rl.rlim_max)
		rl.rlim_max = was.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl))
		return;
	for (i = 0; i < 2; i++) {
		if (i)
			CHECK(pipe(end) == 0);
		else
			unix_pair(SOCK_STREAM, end, 0);
		if (dup2(end[0], HUGE_FD) < 0)
			break;
		NOT_ENTERED();
		t = start(reads_huge, NULL);
		ONCE_BLOCKED();
		NOT_ENTERED();
		CHECK_EQ(write(end[1], "x", 1), 1);
		ONCE_BLOCKED();
		CHECK_EQ(write(end[1], "x", 1), 1);
		join(t);
		CHECK(close(HUGE_FD) == 0);
		close_pair(end);
	}
	rl.rlim_cur = was.rlim_cur;
	CHECK(setrlimit(RLIMIT_NOFILE, &rl) == 0);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	section("closed");
	closings(BY_CLOSE, BY_RAW);
	section("old and new");
	old_and_new(BY_CLOSE, BY_RAW);
	section("behind, between calls");
	behind();
	section("streams");
	streams();
	section("duplicates");
	duplicates(0);
	duplicates(1);
	section("shared with a child");
	shared(0);
	shared(1);
	section("huge");
	huge();
	section("behind, while waiting");
	closings(BY_RAW, CLOSINGS);
	old_and_new(BY_RAW, CLOSINGS);
	return 0;
}
