/*
 * io_streams - what a call that waits transfers: all of it where Linux gives
 * all of it, as much as there is where that is the rule, and each byte,
 * message and descriptor once.  Ends of files, of one direction, of the other
 * side; and the errors of each.
 */
#include "iocheck.h"
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum {
	MEGA = 1 << 20,
	SMALL = 16 << 10,
	PIECES = 300, /* of one writev */
	WRITERS = 16, /* to one pipe */
	LINES = 40    /* each */
};

static int end[2];
static char big[MEGA];
static pthread_t thread;
/* What the compiler would object to. */
static void *volatile bad = (void *)1;
static volatile int less = -1;

/* The thread of each part: announces its call by ENTERING. */
static void begin(thread_fn *fn, void *arg)
{
	NOT_ENTERED();
	thread = start(fn, arg);
	ONCE_BLOCKED();
}

static int make(int kind, int size)
{
	switch (kind) {
	case 0:
		CHECK(pipe(end) == 0);
		return kind;
	case 1:
		unix_pair(SOCK_STREAM, end, size);
		return kind;
	case 2:
		tcp_pair(end, size);
		return kind;
	}
	return -1;
}
enum { PIPE, UNIX, TCP, KINDS };

/* ---- Much at a time ------------------------------------------------------ */

static void *writes_much(void *arg)
{
	struct iovec iov[PIECES];
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = PIECES };
	long way = (long)arg, at = 0;
	int i;

	compose(big, 0, MEGA);
	/* All sizes, among them none. */
	for (i = 0; i < PIECES; i++) {
		iov[i].iov_base = big + at;
		iov[i].iov_len = i * 7919L % 6000;
		if (i == PIECES - 1)
			iov[i].iov_len = MEGA - at;
		at += iov[i].iov_len;
	}
	ENTERING();
	switch (way) {
	case 0:
		CHECK_EQ(write(end[1], big, MEGA), MEGA);
		break;
	case 1:
		CHECK_EQ(writev(end[1], iov, PIECES), MEGA);
		/* The caller's own, and not to be written to. */
		CHECK(iov[PIECES - 1].iov_base ==
		      big + at - iov[PIECES - 1].iov_len);
		CHECK(iov[0].iov_base == big && iov[1].iov_len == 7919 - 6000);
		break;
	case 2:
		CHECK_EQ(send(end[1], big, MEGA, 0), MEGA);
		break;
	case 3:
		CHECK_EQ(sendmsg(end[1], &m, 0), MEGA);
		CHECK(m.msg_iov == iov && m.msg_iovlen == PIECES);
		CHECK(iov[0].iov_base == big && iov[1].iov_len == 7919 - 6000);
		break;
	}
	return NULL;
}

/* In ways that make room a little at a time. */
static void read_slowly(long n)
{
	long at, chunk;

	for (at = 0; at < n; at += chunk) {
		chunk = at < 20000 ? 500 : 60000;
		if (chunk > n - at)
			chunk = n - at;
		drain(end[0], at, chunk);
		if (at % 3 == 0)
			settle();
		else
			sched_yield();
	}
}

static void much(void)
{
	long kind, way;

	section("much");
	for (kind = 0; kind < KINDS; kind++)
		for (way = 0; way < (kind == PIPE ? 2 : 4); way++) {
			make(kind, SMALL);
			begin(writes_much, (void *)way);
			read_slowly(MEGA);
			join(thread);
			close_pair(end);
		}
}

/* ---- MSG_WAITALL --------------------------------------------------------- */

static long asked, got;

static void *wants_all(void *arg)
{
	struct iovec iov[2] = { { big, 3 }, { big + 3, asked - 3 } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	memset(big, 0, asked);
	ENTERING();
	got = arg ? recvmsg(end[0], &m, MSG_WAITALL)
		  : recv(end[0], big, asked, MSG_WAITALL);
	check_composed(big, 0, got);
	return NULL;
}

static void all_of_it(void)
{
	struct timeval t = { 0, 20000 };
	char text[5000];
	long kind, form;

	section("all of it");
	compose(text, 0, sizeof(text));
	for (kind = UNIX; kind < KINDS; kind++)
		for (form = 0; form < 2; form++) {
			make(kind, 0);
			asked = sizeof(text);
			begin(wants_all, (void *)form);
			CHECK_EQ(write(end[1], text, 1), 1);
			settle();
			CHECK_EQ(write(end[1], text + 1, 2499), 2499);
			settle();
			CHECK_EQ(write(end[1], text + 2500, 2500), 2500);
			join(thread);
			CHECK_EQ(got, asked);
			/* What there was when no more was to come. */
			begin(wants_all, (void *)form);
			CHECK_EQ(write(end[1], text, 100), 100);
			settle();
			CHECK(shutdown(end[1], SHUT_WR) == 0);
			join(thread);
			CHECK_EQ(got, 100);
			close_pair(end);
			/* Or when time was up. */
			make(kind, 0);
			CHECK(setsockopt(end[0], SOL_SOCKET, SO_RCVTIMEO, &t,
					 sizeof(t)) == 0);
			CHECK_EQ(write(end[1], text, 77), 77);
			begin(wants_all, (void *)form);
			join(thread);
			CHECK_EQ(got, 77);
			close_pair(end);
		}
	/* A look at all of it leaves all of it, on tcp. */
	make(TCP, 0);
	CHECK_EQ(write(end[1], text, 50), 50);
	CHECK_EQ(recv(end[0], big, 50, MSG_PEEK | MSG_WAITALL), 50);
	check_composed(big, 0, 50);
	drain(end[0], 0, 50);
	close_pair(end);
}

/* ---- Descriptors, once --------------------------------------------------- */

static int passed[2];

static void *sends_rights(void *arg)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { big, MEGA };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	compose(big, 0, MEGA);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &passed[1], sizeof(int));
	ENTERING();
	CHECK_EQ(sendmsg(end[1], &m, 0), MEGA);
	CHECK(m.msg_control == control && m.msg_controllen == sizeof(control));
	return arg;
}

static void rights(void)
{
	char control[CMSG_SPACE(4 * sizeof(int))], buf[5000];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr m;
	struct cmsghdr *c;
	long at, n;
	int fds = 0, fd = -1;

	section("descriptors");
	CHECK(pipe(passed) == 0);
	make(UNIX, SMALL);
	begin(sends_rights, NULL);
	for (at = 0; at < MEGA; at += n) {
		m = (struct msghdr){ .msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control,
				     .msg_controllen = sizeof(control) };
		n = recvmsg(end[0], &m, MSG_CMSG_CLOEXEC);
		CHECK(n > 0 && !(m.msg_flags & MSG_CTRUNC));
		check_composed(buf, at, n);
		for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
			CHECK_EQ(c->cmsg_type, SCM_RIGHTS);
			CHECK_EQ(c->cmsg_len, CMSG_LEN(sizeof(int)));
			memcpy(&fd, CMSG_DATA(c), sizeof(int));
			fds++;
			CHECK_EQ(at, 0);
		}
	}
	join(thread);
	CHECK_EQ(fds, 1);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK(close(passed[1]) == 0);
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK(close(fd) == 0);
	/* The last of its writers is gone: there was no second copy. */
	CHECK_EQ(read(passed[0], buf, 2), 1);
	CHECK_EQ(read(passed[0], buf, 2), 0);
	CHECK(close(passed[0]) == 0);
	close_pair(end);
}

/* ---- Nothing at all ------------------------------------------------------ */

static void nothing(void)
{
	struct iovec none[2] = { { big, 0 }, { NULL, 0 } };
	struct msghdr m = { .msg_iov = none, .msg_iovlen = 2 };
	long kind;
	char c;

	section("nothing");
	for (kind = 0; kind < KINDS; kind++) {
		make(kind, 0);
		/* None of them waits: there is nothing to wait for. */
		CHECK_EQ(read(end[0], big, 0), 0);
		CHECK_EQ(readv(end[0], none, 2), 0);
		CHECK_EQ(write(end[1], big, 0), 0);
		CHECK_EQ(writev(end[1], none, 2), 0);
		if (kind != PIPE) {
			CHECK_EQ(send(end[1], big, 0, 0), 0);
			CHECK_EQ(sendmsg(end[1], &m, 0), 0);
		}
		CHECK_EQ(write(end[1], "x", 1), 1);
		if (kind != PIPE)
			CHECK_EQ(recv(end[0], big, 0, 0), 0);
		CHECK_EQ(read(end[0], &c, 1), 1);
		close_pair(end);
	}
	/* Of messages, one without anything in it is one. */
	unix_pair(SOCK_DGRAM, end, 0);
	CHECK_EQ(send(end[1], big, 0, 0), 0);
	CHECK_EQ(send(end[1], "xy", 2, 0), 2);
	CHECK_EQ(recv(end[0], big, 5, 0), 0);
	CHECK_EQ(recv(end[0], big, 0, 0), 0);
	ERR(EAGAIN, recv(end[0], big, 5, MSG_DONTWAIT));
	close_pair(end);
	/* What is not there is an error all the same. */
	CHECK(pipe(end) == 0);
	close_pair(end);
	ERR(EBADF, read(end[0], big, 0));
	ERR(EBADF, write(end[1], big, 1));
	ERR(EBADF, recv(end[0], big, 1, 0));
	ERR(EBADF, accept(-1, NULL, NULL));
	CHECK(pipe(end) == 0);
	ERR(EBADF, read(end[1], big, 1));
	ERR(EBADF, write(end[0], big, 1));
	ERR(ENOTSOCK, recv(end[0], big, 1, 0));
	ERR(ENOTSOCK, send(end[1], big, 1, 0));
	ERR(ENOTSOCK, accept(end[0], NULL, NULL));
	ERR(ESPIPE, pread(end[0], big, 1, 0));
	ERR(EINVAL, readv(end[0], none, less));
	CHECK_EQ(write(end[1], "x", 1), 1);
	ERR(EFAULT, read(end[0], bad, 1));
	CHECK_EQ(read(end[0], &c, 1), 1);
	ERR(EFAULT, write(end[1], bad, 1));
	close_pair(end);
	make(UNIX, 0);
	ERR(EINVAL, accept(end[0], NULL, NULL));
	close_pair(end);
	end[0] = socket(AF_INET, SOCK_STREAM, 0);
	ERR(ENOTCONN, recv(end[0], big, 1, 0));
	CHECK(close(end[0]) == 0);
}

/* A buffer that is not there is found out when data comes, not before. */
static void *reads_nowhere(void *arg)
{
	ENTERING();
	ERR(EFAULT, read(end[0], bad, 1));
	return arg;
}

static void nowhere(void)
{
	section("nowhere");
	make(PIPE, 0);
	begin(reads_nowhere, NULL);
	CHECK_EQ(write(end[1], "x", 1), 1);
	join(thread);
	close_pair(end);
}

/* ---- Regular files ------------------------------------------------------- */

static void files(void)
{
	enum { SIZE = 3 * MEGA };
	char *buf = malloc(SIZE), path[] = "/tmp/io_streams.XXXXXX";
	struct iovec iov[2];
	struct pollfd p;
	struct stat st;
	int fd, i;

	section("files");
	CHECK(buf != NULL);
	fd = mkstemp(path);
	CHECK(fd >= 0);
	CHECK(unlink(path) == 0);
	compose(buf, 0, SIZE);
	CHECK_EQ(write(fd, buf, SIZE), SIZE);
	for (i = 0; i < 4; i++) {
		if (i % 2) {
			CHECK(fsync(fd) == 0);
			OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
		}
		CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
		memset(buf, 0, SIZE);
		if (i < 2) {
			CHECK_EQ(read(fd, buf, SIZE), SIZE);
		} else {
			iov[0] = (struct iovec){ buf, MEGA };
			iov[1] = (struct iovec){ buf + MEGA, SIZE };
			CHECK_EQ(readv(fd, iov, 2), SIZE);
		}
		check_composed(buf, 0, SIZE);
		CHECK_EQ(read(fd, buf, SIZE), 0);
		CHECK_EQ(lseek(fd, -10, SEEK_CUR), SIZE - 10);
		CHECK_EQ(read(fd, buf, SIZE), 10);
		check_composed(buf, SIZE - 10, 10);
	}
	/* Their own offset does not move the file's. */
	CHECK_EQ(lseek(fd, 5, SEEK_SET), 5);
	CHECK_EQ(pread(fd, buf, 100, 70000), 100);
	check_composed(buf, 70000, 100);
	CHECK_EQ(pwrite(fd, buf, 100, 70000), 100);
	iov[0] = (struct iovec){ buf, 50 };
	iov[1] = (struct iovec){ buf + 50, 50 };
	CHECK_EQ(preadv(fd, iov, 2, 71000), 100);
	CHECK_EQ(preadv2(fd, iov, 2, 72000, 0), 100);
	check_composed(buf, 72000, 100);
	CHECK_EQ(pwritev2(fd, iov, 2, 72000, 0), 100);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 5);
	CHECK_EQ(preadv2(fd, iov, 2, -1, 0), 100);
	check_composed(buf, 5, 100);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 105);
	/* At the end, wherever the offset is. */
	CHECK(fcntl(fd, F_SETFL, O_APPEND) == 0);
	compose(buf, SIZE, 100);
	CHECK_EQ(write(fd, buf, 100), 100);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), SIZE + 100);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	compose(buf, SIZE + 100, 50);
	CHECK_EQ(writev(fd, iov, 1), 50);
	CHECK(fstat(fd, &st) == 0);
	CHECK_EQ(st.st_size, SIZE + 150);
	CHECK_EQ(pread(fd, buf, 1000, SIZE), 150);
	check_composed(buf, SIZE, 150);
	/* Always ready, O_NONBLOCK or not. */
	nonblocking(fd, 1);
	CHECK_EQ(pread(fd, buf, SIZE, 0), SIZE);
	p = (struct pollfd){ fd, POLLIN | POLLOUT, 0 };
	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK_EQ(p.revents, POLLIN | POLLOUT);
	CHECK(close(fd) == 0);
	fd = open("/dev/null", O_RDWR);
	CHECK(fd >= 0);
	CHECK_EQ(read(fd, buf, 10), 0);
	CHECK_EQ(write(fd, buf, SIZE), SIZE);
	CHECK(close(fd) == 0);
	fd = open("/dev/zero", O_RDWR);
	CHECK(fd >= 0);
	CHECK_EQ(read(fd, buf, SIZE), SIZE);
	CHECK(buf[0] == 0 && buf[SIZE - 1] == 0);
	CHECK(close(fd) == 0);
	fd = open("/proc/self/stat", O_RDONLY);
	CHECK(fd >= 0);
	CHECK(read(fd, buf, SIZE) > 10);
	CHECK_EQ(read(fd, buf, SIZE), 0);
	CHECK(close(fd) == 0);
	ERR(EISDIR, read(fd = open("/", O_RDONLY), buf, 1));
	CHECK(close(fd) == 0);
	free(buf);
}

/* ---- Whole lines --------------------------------------------------------- */

/* Two that fill what is atomic, and more than that of the small. */
static int line_size(long who)
{
	return who % 4 == 0 ? PIPE_BUF : 16 + (int)(who * 397 % 3000);
}

static void *writes_lines(void *arg)
{
	long who = (long)arg;
	char line[PIPE_BUF];
	int i, size = line_size(who);
	struct iovec iov[2] = { { line, 7 }, { line + 7, size - 7 } };

	for (i = 0; i < LINES; i++) {
		memset(line, 'a' + (int)who, size);
		snprintf(line, sizeof(line), "%03ld%03d", who, i);
		line[6] = line[7] = line[size - 1] = '.';
		line[size - 1] = '\n';
		if (i % 2)
			CHECK_EQ(write(end[1], line, size), size);
		else
			CHECK_EQ(writev(end[1], iov, 2), size);
	}
	return NULL;
}

static void whole_lines(void)
{
	pthread_t t[WRITERS];
	int seen[WRITERS] = { 0 }, i, k, size;
	char line[PIPE_BUF];
	long who;
	FILE *in;

	section("whole lines");
	make(PIPE, 0);
	CHECK(fcntl(end[1], F_SETPIPE_SZ, 4096) > 0);
	for (who = 0; who < WRITERS; who++)
		t[who] = start(writes_lines, (void *)who);
	settle();
	in = fdopen(end[0], "r");
	CHECK(in != NULL);
	for (i = 0; i < WRITERS * LINES; i++) {
		CHECK_EQ(fread(line, 1, 6, in), 6);
		line[6] = 0;
		k = atoi(line + 3);
		line[3] = 0;
		who = atoi(line);
		CHECK(who >= 0 && who < WRITERS && k == seen[who]++);
		size = line_size(who);
		CHECK_EQ(fread(line + 6, 1, size - 6, in), size - 6);
		CHECK(line[6] == '.' && line[7] == '.');
		for (k = 8; k < size - 1; k++)
			CHECK_EQ(line[k], 'a' + who);
		CHECK_EQ(line[k], '\n');
	}
	for (who = 0; who < WRITERS; who++)
		join(t[who]);
	CHECK(close(end[1]) == 0);
	CHECK_EQ(fgetc(in), EOF);
	CHECK(fclose(in) == 0);
}

/* ---- Ends ---------------------------------------------------------------- */

static void *reads_end(void *arg)
{
	char c;

	ENTERING();
	got = read(end[0], &c, 1);
	if (got < 0)
		got = -errno;
	return arg;
}

static void *writes_end(void *arg)
{
	ENTERING();
	got = write(end[1], big, MEGA);
	if (got < 0)
		got = -errno;
	return arg;
}

static int sigpipes;

static void on_sigpipe(int sig)
{
	(void)sig;
	ADD(sigpipes, 1);
}

static void ends(void)
{
	struct linger hard = { 1, 0 };
	long kind, before;
	char buf[200];

	section("ends");
	for (kind = 0; kind < KINDS; kind++) {
		/* The last writer goes. */
		make(kind, SMALL);
		begin(reads_end, NULL);
		CHECK(close(end[1]) == 0);
		join(thread);
		CHECK_EQ(got, 0);
		CHECK_EQ(read(end[0], buf, 1), 0);
		CHECK(close(end[0]) == 0);
		/* The last reader goes, from a writer that waits: with some of
		 * it written, and with none. */
		for (before = 0; before < 2; before++) {
			make(kind, SMALL);
			STORE(sigpipes, 0);
			if (before)
				fill(end[1]);
			begin(writes_end, NULL);
			if (kind == TCP && before)
				CHECK(setsockopt(end[0], SOL_SOCKET, SO_LINGER,
						 &hard, sizeof(hard)) == 0);
			CHECK(close(end[0]) == 0);
			join(thread);
			/*
			 * A socket closed with data unread is one reset; and tcp that
			 * was full may have had room again.
			 */
			if (kind == PIPE && before)
				CHECK_EQ(got, -EPIPE);
			else if (kind != TCP && !before)
				CHECK(got > 0 && got < MEGA);
			else
				CHECK(got == -ECONNRESET || got == -EPIPE ||
				      (kind == TCP && got > 0 && got < MEGA));
			if (kind == PIPE)
				CHECK_EQ(LOAD(sigpipes), 1);
			STORE(sigpipes, 0);
			CHECK_EQ(write(end[1], "x", 1), -1);
			CHECK(errno == EPIPE || errno == ECONNRESET);
			ERR(EPIPE, write(end[1], "x", 1));
			CHECK(LOAD(sigpipes) >= 1);
			if (kind != PIPE) {
				STORE(sigpipes, 0);
				ERR(EPIPE, send(end[1], "x", 1, MSG_NOSIGNAL));
				CHECK_EQ(LOAD(sigpipes), 0);
			}
			CHECK(close(end[1]) == 0);
		}
	}
	/* Reset: once an error, then an end. */
	make(TCP, 0);
	begin(reads_end, NULL);
	CHECK(setsockopt(end[1], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) ==
	      0);
	CHECK(close(end[1]) == 0);
	join(thread);
	CHECK_EQ(got, -ECONNRESET);
	CHECK_EQ(read(end[0], buf, 1), 0);
	CHECK(close(end[0]) == 0);
	/* A unix socket closed with data unread resets, too. */
	make(UNIX, 0);
	CHECK_EQ(write(end[0], "unread", 6), 6);
	begin(reads_end, NULL);
	CHECK(close(end[1]) == 0);
	join(thread);
	CHECK_EQ(got, -ECONNRESET);
	CHECK(close(end[0]) == 0);
}

static void halves(void)
{
	long kind;
	char buf[200];

	section("halves");
	for (kind = UNIX; kind < KINDS; kind++) {
		/* One direction ends, the other goes on. */
		make(kind, 0);
		begin(reads_end, NULL);
		CHECK(shutdown(end[1], SHUT_WR) == 0);
		join(thread);
		CHECK_EQ(got, 0);
		CHECK_EQ(write(end[0], "on", 2), 2);
		CHECK_EQ(read(end[1], buf, sizeof(buf)), 2);
		ERR(EPIPE, send(end[1], "x", 1, MSG_NOSIGNAL));
		CHECK_EQ(read(end[0], buf, 1), 0);
		close_pair(end);
		/* The reader's own side ends. */
		make(kind, 0);
		begin(reads_end, NULL);
		CHECK(shutdown(end[0], SHUT_RD) == 0);
		join(thread);
		CHECK_EQ(got, 0);
		close_pair(end);
		/* The writer's own side ends: all that went in counts. */
		make(kind, SMALL);
		begin(writes_end, NULL);
		CHECK(shutdown(end[1], SHUT_WR) == 0);
		join(thread);
		CHECK((got > 0 && got < MEGA) || got == -EPIPE);
		close_pair(end);
	}
}

static void *accepts_end(void *arg)
{
	ENTERING();
	got = accept(end[0], NULL, NULL);
	if (got < 0)
		got = -errno;
	return arg;
}

static void listeners(void)
{
	const int families[] = { AF_UNIX, AF_INET };
	int i, fd;

	section("listeners");
	for (i = 0; i < 2; i++) {
		end[0] = listener(families[i], 5, 0);
		begin(accepts_end, NULL);
		CHECK(shutdown(end[0], SHUT_RDWR) == 0);
		join(thread);
		CHECK_EQ(got, -EINVAL);
		CHECK(close(end[0]) == 0);
	}
	/* Nobody listens. */
	end[0] = bound(AF_INET, SOCK_STREAM, 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	ERR(ECONNREFUSED, connect_to(fd, end[0]));
	CHECK(close(fd) == 0);
	CHECK(close(end[0]) == 0);
	end[0] = bound(AF_UNIX, SOCK_STREAM, 0);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ERR(ECONNREFUSED, connect_to(fd, end[0]));
	CHECK(close(fd) == 0);
	CHECK(close(end[0]) == 0);
	make(TCP, 0);
	ERR(EISCONN, connect_to(end[0], end[1]));
	close_pair(end);
}

/* ---- Messages ------------------------------------------------------------ */

static void *reads_messages(void *arg)
{
	struct iovec iov = { big, 10 }, piece[3];
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct mmsghdr mm[3] = { 0 };
	char buf[100];
	int fd = end[0], i;

	ENTERING();
	/* A look takes nothing; too little room loses the rest of it. */
	CHECK_EQ(recv(fd, buf, 4, MSG_PEEK), 4);
	CHECK_EQ(recv(fd, buf, 4, MSG_PEEK | MSG_TRUNC), 30);
	CHECK_EQ(recvmsg(fd, &m, 0), 10);
	CHECK(m.msg_flags & MSG_TRUNC);
	check_composed(big, 0, 10);
	CHECK_EQ(recv(fd, buf, sizeof(buf), 0), 20);
	check_composed(buf, 100, 20);
	CHECK_EQ(recv(fd, buf, 1, MSG_TRUNC), 21);
	for (i = 0; i < 3; i++) {
		mm[i].msg_hdr = m;
		piece[i] = (struct iovec){ big + 10 * i, 10 };
		mm[i].msg_hdr.msg_iov = &piece[i];
	}
	CHECK_EQ(recvmmsg(fd, mm, 3, 0, NULL), 3);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(mm[i].msg_len, 3 + i);
		check_composed(big + 10 * i, i, 3 + i);
	}
	/* Not more than one, MSG_WAITALL or not. */
	CHECK_EQ(recv(fd, buf, sizeof(buf), MSG_WAITALL), 5);
	return arg;
}

static void message(long at, long n)
{
	char buf[100];

	compose(buf, at, n);
	CHECK_EQ(write(end[1], buf, n), n);
	settle();
}

static void messages(void)
{
	const int types[] = { SOCK_DGRAM, SOCK_SEQPACKET };
	int i, k;

	section("messages");
	for (i = 0; i < 3; i++) {
		if (i < 2) {
			unix_pair(types[i], end, 0);
		} else {
			end[0] = bound(AF_INET, SOCK_DGRAM, 0);
			end[1] = socket(AF_INET, SOCK_DGRAM, 0);
			CHECK(connect_to(end[1], end[0]) == 0);
		}
		begin(reads_messages, NULL);
		message(0, 30);
		message(100, 20);
		message(0, 21);
		for (k = 0; k < 3; k++)
			message(k, 3 + k);
		message(0, 5);
		join(thread);
		ERR(EAGAIN, recv(end[0], big, 5, MSG_DONTWAIT));
		close_pair(end);
	}
	/* Larger than any room ever. */
	unix_pair(SOCK_DGRAM, end, SMALL);
	ERR(EMSGSIZE, send(end[1], big, MEGA, 0));
	close_pair(end);
	/* An error from afar, once. */
	end[0] = bound(AF_INET, SOCK_DGRAM, 0);
	end[1] = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(connect_to(end[1], end[0]) == 0);
	CHECK(close(end[0]) == 0);
	CHECK_EQ(send(end[1], "x", 1, 0), 1);
	ERR(ECONNREFUSED, recv(end[1], big, 1, 0));
	ERR(EAGAIN, recv(end[1], big, 1, MSG_DONTWAIT));
	CHECK(close(end[1]) == 0);
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_sigpipe };

	CHECK(sigaction(SIGPIPE, &sa, NULL) == 0);
	much();
	all_of_it();
	rights();
	nothing();
	nowhere();
	files();
	whole_lines();
	ends();
	halves();
	listeners();
	messages();
	return 0;
}
