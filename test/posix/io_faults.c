/*
 * io_faults - descriptors run out, are all closed, or are written over, and
 * threads that wait for files go on: a program closes every number it did not
 * open, puts its own file at any number, and has as many open as it may; and
 * when it has closed all it opened there are as many open as before.
 *
 * "behind" closes all by a system call of its own, too, which nobody sees.
 *
 * io_faults [connections] [behind]
 */
#include "iocheck.h"
#include <dirent.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>

enum { TOP = 4096, WAITERS = 12, SLACK = 2 };

static long connections = 5000;

/* ---- Waiting still works ------------------------------------------------- */

static int here[WAITERS][2], sets[WAITERS];
static int waiting, own;

static void *waits(void *arg)
{
	long me = (long)arg;
	int fd = here[me][0], set = sets[me], whole, n;
	struct pollfd p = { fd, POLLIN, 0 };
	struct epoll_event e;
	char c = 0;
	fd_set in;

	FD_ZERO(&in);
	if (fd < FD_SETSIZE)
		FD_SET(fd, &in);
	whole = own;
	n = 1;
	ADD(waiting, 1);
	switch (me % 6) {
	case 2:
		n = poll(&p, 1, -1);
		break;
	case 3:
		n = select(fd + 1, &in, NULL, NULL, NULL);
		break;
	case 4:
		n = epoll_wait(set, &e, 1, 600 * 1000);
		break;
	}
	if (whole) {
		/* Nobody has closed it. */
		CHECK_EQ(n, 1);
		CHECK_EQ(me % 6 == 5 ? recv(fd, &c, 1, 0) : read(fd, &c, 1), 1);
		CHECK_EQ(c, 'w');
	} else if (me % 6 < 2 || me % 6 == 5) {
		n = read(fd, &c, 1);
		CHECK(n <= 0 || c == 'w');
	}
	return NULL;
}

static void make_all(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	int i;

	for (i = 0; i < WAITERS; i++) {
		sets[i] = -1;
		if (i % 6 == 1)
			CHECK(pipe(here[i]) == 0);
		else
			unix_pair(SOCK_STREAM, here[i], 0);
		if (i % 6 != 4)
			continue;
		sets[i] = epoll_create1(0);
		CHECK(sets[i] >= 0);
		CHECK(epoll_ctl(sets[i], EPOLL_CTL_ADD, here[i][0], &e) == 0);
	}
}

static void start_all(pthread_t *t)
{
	long i;

	waiting = 0;
	for (i = 0; i < WAITERS; i++)
		t[i] = start(waits, (void *)i);
	YIELD_UNTIL(LOAD(waiting) == WAITERS);
	settle();
}

static void end_all(pthread_t *t)
{
	int i;

	for (i = 0; i < WAITERS; i++)
		CHECK_EQ(write(here[i][1], "w", 1), 1);
	for (i = 0; i < WAITERS; i++)
		join(t[i]);
}

static void close_own(void)
{
	int i;

	for (i = 0; i < WAITERS; i++) {
		close_pair(here[i]);
		if (sets[i] >= 0)
			CHECK(close(sets[i]) == 0);
	}
}

static void works(void)
{
	pthread_t t[WAITERS];

	own = 1;
	make_all();
	start_all(t);
	end_all(t);
	close_own();
}

/* ---- None left to open --------------------------------------------------- */

/* As many as are open, up to the highest one. */
static rlim_t limit(rlim_t to)
{
	struct rlimit rl;
	rlim_t was;

	CHECK(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	was = rl.rlim_cur;
	rl.rlim_cur = to;
	CHECK(setrlimit(RLIMIT_NOFILE, &rl) == 0);
	return was;
}

static int filler[TOP], filled;

/* Every number below the limit. */
static void fill_up(void)
{
	int fd;

	while ((fd = dup(0)) >= 0) {
		CHECK(filled < TOP);
		filler[filled++] = fd;
	}
	CHECK_EQ(errno, EMFILE);
}

static void exhausted(void)
{
	int fd[2], l, client, one, top;
	pthread_t t[WAITERS];
	rlim_t was;

	own = 1;
	make_all();
	l = listener(AF_UNIX, 5, 0);
	client = connected(AF_UNIX, l, 0);
	/* The lowest one that is free. */
	top = dup(0);
	CHECK(top >= 0);
	CHECK(close(top) == 0);
	was = limit(top);
	fill_up();
	ERR(EMFILE, pipe(fd));
	start_all(t);
	ERR(EMFILE, pipe(fd));
	fill_up();
	ERR(EMFILE, accept(l, NULL, NULL));
	fill_up();
	ERR(EMFILE, accept4(l, NULL, NULL, SOCK_CLOEXEC));
	end_all(t);
	/* A second time each. */
	start_all(t);
	end_all(t);
	limit(was);
	/* Who has gone without descriptors of its own may have them now. */
	usleep(150 * 1000);
	/* It was not lost. */
	one = accept(l, NULL, NULL);
	CHECK(one >= 0);
	CHECK(close(one) == 0);
	while (filled)
		CHECK(close(filler[--filled]) == 0);
	CHECK(close(l) == 0);
	CHECK(close(client) == 0);
	close_own();
}

/* ---- All closed ---------------------------------------------------------- */

enum { ONE_BY_ONE, DOWNWARDS, RANGE, FROM, BY_SYSCALL, BEHIND, WAYS };

static void close_everything(int way)
{
	int fd;

	switch (way) {
	case ONE_BY_ONE:
		for (fd = 3; fd < TOP; fd++)
			close(fd);
		break;
	case DOWNWARDS:
		for (fd = TOP - 1; fd >= 3; fd--)
			close(fd);
		break;
	case RANGE:
		CHECK(close_range(3, ~0U, 0) == 0);
		break;
	case FROM:
		closefrom(3);
		break;
	case BY_SYSCALL:
		CHECK(syscall(SYS_close_range, 3, ~0U, 0) == 0);
		break;
	case BEHIND:
		CHECK_EQ(raw(SYS_close_range, 3, ~0U, 0, 0), 0);
		break;
	}
}

/*
 * Another process has the other ends, so that the files of those who wait stay
 * what they are until it writes, and ends.
 */
static void all_closed(int way)
{
	pthread_t t[WAITERS];
	int cue[2], i, *over;
	pid_t pid, parent = getpid();
	char c;

	own = 0;
	over = mmap(NULL, sizeof(*over), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(over != MAP_FAILED);
	make_all();
	CHECK(pipe(cue) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		signal(SIGPIPE, SIG_IGN);
		CHECK(close(cue[1]) == 0);
		/* A file that is open nowhere leaves its set: not those. */
		for (i = 0; i < WAITERS; i++)
			if (sets[i] < 0)
				CHECK(close(here[i][0]) == 0);
		CHECK_EQ(read(cue[0], &c, 1), 0);
		usleep(2000);
		for (i = 0; i < WAITERS; i++)
			(void)!write(here[i][1], "w", 1);
		while (!LOAD(*over) && getppid() == parent)
			usleep(1000);
		_exit(0);
	}
	start_all(t);
	close_everything(way);
	/*
	 * No new ones before these have ended: poll and select look each number
	 * up again when they are woken.
	 */
	for (i = 0; i < WAITERS; i++)
		join(t[i]);
	STORE(*over, 1);
	reap(pid, 0);
	CHECK(munmap(over, sizeof(*over)) == 0);
}

/* As one that means to live on by itself does. */
static void child_closes(int way)
{
	pid_t pid;

	own = 1;
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		close_everything(way);
		works();
		close_everything(way);
		works();
		_exit(0);
	}
	works();
	reap(pid, 0);
}

/* ---- Written over -------------------------------------------------------- */

static void written_over(void)
{
	pthread_t t[WAITERS];
	int n, fd[2], top;
	char c;

	own = 1;
	make_all();
	CHECK(pipe(fd) == 0);
	start_all(t);
	for (n = 256; n < 1100; n++) {
		top = dup2(n % 2 ? fd[0] : fd[1], n);
		if (top < 0)
			break;
		CHECK_EQ(top, n);
	}
	top = n;
	end_all(t);
	/* And they are the program's own. */
	for (n = 256; n < top; n++) {
		c = (char)n;
		if (n % 2 == 0)
			CHECK_EQ(write(n, &c, 1), 1);
		else
			CHECK_EQ(read(n, &c, 1), 1);
		CHECK_EQ(c, (char)(n & ~1));
	}
	start_all(t);
	end_all(t);
	for (n = 256; n < top; n++)
		CHECK(close(n) == 0);
	start_all(t);
	end_all(t);
	close_own();
	close_pair(fd);
}

/* ---- As many as before --------------------------------------------------- */

static int count_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int listening[2];

static void *serves(void *arg)
{
	int l = listening[(long)arg], fd;
	char c;

	for (;;) {
		fd = accept(l, NULL, NULL);
		CHECK(fd >= 0);
		CHECK_EQ(read(fd, &c, 1), 1);
		CHECK_EQ(write(fd, &c, 1), 1);
		/* Until the other one is gone. */
		while (read(fd, &c, 1) > 0)
			;
		CHECK(close(fd) == 0);
		if (c == 'e')
			return NULL;
	}
}

static void connect_once(int which, char c)
{
	const int families[] = { AF_UNIX, AF_INET };
	struct linger hard = { 1, 0 };
	int fd = connected(families[which], listening[which], 0);
	char back;

	/* Ports are not that many. */
	if (which)
		CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard,
				 sizeof(hard)) == 0);
	CHECK_EQ(write(fd, &c, 1), 1);
	CHECK_EQ(read(fd, &back, 1), 1);
	CHECK_EQ(back, c);
	CHECK(close(fd) == 0);
}

static void connect_all(void)
{
	pthread_t t[2];
	long i;

	listening[0] = listener(AF_UNIX, 5, 0);
	listening[1] = listener(AF_INET, 5, 0);
	for (i = 0; i < 2; i++)
		t[i] = start(serves, (void *)i);
	for (i = 0; i < connections; i++)
		connect_once(i % 4 == 3, 'c');
	for (i = 0; i < 2; i++)
		connect_once(i, 'e');
	for (i = 0; i < 2; i++)
		join(t[i]);
	close_pair(listening);
}

int main(int argc, char **argv)
{
	int way, ways = BEHIND, before, after;

	if (argc > 1)
		connections = atol(argv[1]);
	if (argc > 2)
		ways = WAYS;
	before = count_open();
	/* First of all: before there was a thread, and before one waited. */
	section("exhausted");
	exhausted();
	works();
	exhausted();
	section("written over");
	written_over();
	works();
	section("all closed");
	for (way = 0; way < ways; way++)
		all_closed(way);
	section("closed by a child");
	for (way = 0; way < ways; way++)
		child_closes(way);
	section("connections");
	connect_all();
	works();
	after = count_open();
	/* /proc may not be there; and what was inherited is closed. */
	if (before >= 0 && after > before + SLACK)
		check_fail(__FILE__, __LINE__, "%d open at first, now %d",
			   before, after);
	printf("%ld connections\n", connections);
	return 0;
}
