/*
 * io_flags - whether a call blocks is the file's own business: a file set not
 * to block says EAGAIN at once, whoever set it so and how (another thread, a
 * duplicate, a child, another call), from the next call on; and nobody ever
 * sees a file's flags changed because somebody waits for it.  Of a file that
 * does not block the kernel sees the call that was made: drivers may tell read
 * from readv.
 */
#include "iocheck.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

enum { BIG = 300000, SMALL = 16 << 10 };

static char data[4096], big[BIG];
static int end[2];

/* ---- Made so ------------------------------------------------------------- */

static void reads_nothing(int fd)
{
	struct iovec iov = { data, sizeof(data) };

	CHECK(fd >= 0);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ERR(EAGAIN, read(fd, data, sizeof(data)));
	ERR(EAGAIN, readv(fd, &iov, 1));
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void writes_nothing(int fd)
{
	struct iovec iov = { data, sizeof(data) };

	while (write(fd, data, sizeof(data)) > 0)
		;
	CHECK_EQ(errno, EAGAIN);
	ERR(EAGAIN, write(fd, data, sizeof(data)));
	ERR(EAGAIN, writev(fd, &iov, 1));
}

static void made_so(void)
{
	sigset_t set;
	int fd, l;

	section("made so");
	CHECK(pipe2(end, O_NONBLOCK) == 0);
	reads_nothing(end[0]);
	writes_nothing(end[1]);
	close_pair(end);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, end) == 0);
	reads_nothing(end[0]);
	writes_nothing(end[1]);
	ERR(EAGAIN, recv(end[1], data, 1, MSG_WAITALL));
	close_pair(end);
	CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, end) == 0);
	reads_nothing(end[0]);
	writes_nothing(end[1]);
	close_pair(end);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	reads_nothing(fd);
	CHECK(close(fd) == 0);
	fd = eventfd(0, EFD_NONBLOCK);
	reads_nothing(fd);
	CHECK(close(fd) == 0);
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	reads_nothing(fd);
	CHECK(close(fd) == 0);
	fd = inotify_init1(IN_NONBLOCK);
	reads_nothing(fd);
	CHECK(close(fd) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	fd = signalfd(-1, &set, SFD_NONBLOCK);
	reads_nothing(fd);
	CHECK(close(fd) == 0);
	/* An accepted one does not inherit it, unless told so. */
	l = listener(AF_INET, 5, 0);
	end[0] = connected(AF_INET, l, 0);
	end[1] = connected(AF_INET, l, 0);
	nonblocking(l, 1);
	fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);
	reads_nothing(fd);
	CHECK(close(fd) == 0);
	fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFL), O_RDWR);
	CHECK(close(fd) == 0);
	ERR(EAGAIN, accept(l, NULL, NULL));
	ERR(EAGAIN, accept4(l, NULL, NULL, 0));
	CHECK(close(l) == 0);
	close_pair(end);
	/* connect says so in its own way, and with no room like others. */
	l = listener(AF_UNIX, 0, 0);
	end[0] = connected(AF_UNIX, l, 0);
	end[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ERR(EAGAIN, connect_to(end[1], l));
	CHECK(close(l) == 0);
	close_pair(end);
	l = listener(AF_INET, 0, 0);
	end[0] = connected(AF_INET, l, 0);
	end[1] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ERR(EINPROGRESS, connect_to(end[1], l));
	ERR(EALREADY, connect_to(end[1], l));
	CHECK(close(l) == 0);
	close_pair(end);
}

/* ---- For one call only --------------------------------------------------- */

static void one_call(void)
{
	struct iovec iov = { data, sizeof(data) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct mmsghdr mm = { .msg_hdr = m };
	const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	int i, side[2];

	section("for one call");
	for (i = 0; i < 4; i++) {
		if (i < 3)
			unix_pair(types[i], end, 0);
		else
			tcp_pair(end, SMALL);
		ERR(EAGAIN, recv(end[0], data, 1, MSG_DONTWAIT));
		ERR(EAGAIN, recv(end[0], data, 1, MSG_DONTWAIT | MSG_PEEK));
		ERR(EAGAIN, recvfrom(end[0], data, 1, MSG_DONTWAIT, NULL, 0));
		ERR(EAGAIN, recvmsg(end[0], &m, MSG_DONTWAIT));
		ERR(EAGAIN, recvmmsg(end[0], &mm, 1, MSG_DONTWAIT, NULL));
		/* Some of it is there: that is what there is to be had. */
		CHECK_EQ(send(end[1], "abc", 3, MSG_DONTWAIT), 3);
		CHECK_EQ(recv(end[0], data, 5, MSG_DONTWAIT | MSG_WAITALL), 3);
		while (send(end[1], data, 1000, MSG_DONTWAIT) > 0)
			;
		CHECK_EQ(errno, EAGAIN);
		if (i < 3) {
			ERR(EAGAIN, sendmsg(end[1], &m, MSG_DONTWAIT));
			ERR(EAGAIN, sendmmsg(end[1], &mm, 1, MSG_DONTWAIT));
		}
		CHECK_EQ(fcntl(end[0], F_GETFL), O_RDWR);
		CHECK_EQ(fcntl(end[1], F_GETFL), O_RDWR);
		close_pair(end);
	}
	CHECK(pipe(end) == 0);
	CHECK(pipe(side) == 0);
	ERR(EAGAIN, splice(end[0], NULL, side[1], NULL, 10, SPLICE_F_NONBLOCK));
	ERR(EAGAIN, tee(end[0], side[1], 10, SPLICE_F_NONBLOCK));
	CHECK_EQ(preadv2(end[0], &iov, 1, -1, RWF_NOWAIT), -1);
	CHECK(errno == EAGAIN || errno == EOPNOTSUPP);
	close_pair(side);
	close_pair(end);
}

/* ---- Set and taken back, in between -------------------------------------- */

enum { BY_THREAD, BY_DUP, BY_IOCTL, BY_CHILD, BY_NOBODY_SEEN, WAYS };

static void set_by(int way, int fd, int on)
{
	int copy;
	pid_t pid;

	switch (way) {
	case BY_THREAD:
		nonblocking(fd, on);
		break;
	case BY_DUP:
		copy = dup(fd);
		CHECK(copy >= 0);
		nonblocking(copy, on);
		CHECK(close(copy) == 0);
		break;
	case BY_IOCTL:
		CHECK(ioctl(fd, FIONBIO, &on) == 0);
		break;
	case BY_CHILD:
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			nonblocking(fd, on);
			_exit(0);
		}
		reap(pid, 0);
		break;
	case BY_NOBODY_SEEN:
		CHECK_EQ(raw(SYS_fcntl, fd, F_SETFL,
			     O_RDWR | (on ? O_NONBLOCK : 0), 0),
			 0);
		break;
	}
}

static int turn; /* whose: 0 the setter's, 1 the reader's */

static int told, rounds, late; /* it had not begun to block when it was told */

/* Blocks, is told not to while it blocks, does not, blocks again. */
static void *obeys(void *arg)
{
	int round;
	long n;

	for (round = 0; round < 2; round++) {
		ENTERING();
		n = read(end[0], data, sizeof(data));
		if (n < 0 && errno == EAGAIN && LOAD(told)) {
			late++;
			while ((n = read(end[0], data, sizeof(data))) < 0) {
				CHECK_EQ(errno, EAGAIN);
				sched_yield();
			}
		}
		rounds++;
		CHECK_EQ(n, 1);
		CHECK_EQ(data[0], 'b');
		STORE(turn, 1);
		YIELD_UNTIL(!LOAD(turn));
		ERR(EAGAIN, read(end[0], data, sizeof(data)));
		STORE(turn, 1);
		YIELD_UNTIL(!LOAD(turn));
	}
	return arg;
}

static void in_between(int kind)
{
	int way, round;
	pthread_t t;

	for (way = 0; way < WAYS; way++) {
		if (kind == 0)
			CHECK(pipe(end) == 0);
		else if (kind == 1)
			unix_pair(SOCK_STREAM, end, 0);
		else
			tcp_pair(end, 0);
		turn = 0;
		NOT_ENTERED();
		t = start(obeys, NULL);
		for (round = 0; round < 2; round++) {
			ONCE_BLOCKED();
			/* Read and write are all a pipe's end may do. */
			STORE(told, 1);
			set_by(way, end[0], 1);
			/* It has begun, so it goes on. */
			CHECK_EQ(write(end[1], "b", 1), 1);
			YIELD_UNTIL(LOAD(turn));
			STORE(turn, 0);
			YIELD_UNTIL(LOAD(turn));
			set_by(way, end[0], 0);
			NOT_ENTERED();
			STORE(told, 0);
			STORE(turn, 0);
		}
		join(t);
		close_pair(end);
	}
}

/* ---- Seen while somebody waits ------------------------------------------- */

static int waiting[2];

static void see(int fd, int want)
{
	CHECK_EQ(fcntl(fd, F_GETFL), want);
	CHECK_EQ(raw(SYS_fcntl, fd, F_GETFL, 0, 0), want);
}

static void *waits_in(void *arg)
{
	char c;
	int fd;

	switch ((long)arg) {
	case 0:
		ENTERING();
		CHECK_EQ(read(end[0], &c, 1), 1);
		break;
	case 1:
		ENTERING();
		CHECK_EQ(write(end[0], big, BIG), BIG);
		break;
	case 2:
		ENTERING();
		CHECK_EQ(recv(end[0], &c, 1, 0), 1);
		break;
	case 3:
		ENTERING();
		CHECK_EQ(send(end[0], big, BIG, 0), BIG);
		break;
	case 4:
		ENTERING();
		fd = accept(end[0], NULL, NULL);
		CHECK(fd >= 0);
		see(fd, O_RDWR);
		CHECK(close(fd) == 0);
		break;
	case 5: {
		struct pollfd p = { end[0], POLLIN, 0 };

		ENTERING();
		CHECK_EQ(poll(&p, 1, -1), 1);
		CHECK_EQ(read(end[0], &c, 1), 1);
		break;
	}
	}
	return NULL;
}

/* A child is a process of its own with the same open files. */
static void seen(void)
{
	pthread_t t;
	long what;
	int want, other;
	pid_t pid;
	char c;

	section("seen");
	compose(big, 0, BIG);
	for (what = 0; what < 6; what++) {
		if (what == 0 || what == 5) {
			CHECK(pipe(end) == 0);
		} else if (what == 1) {
			CHECK(pipe(waiting) == 0);
			end[0] = waiting[1];
			end[1] = waiting[0];
		} else if (what < 4) {
			tcp_pair(end, SMALL);
		} else {
			end[0] = listener(AF_UNIX, 5, 0);
			end[1] = socket(AF_UNIX, SOCK_STREAM, 0);
		}
		want = fcntl(end[0], F_GETFL);
		CHECK(!(want & O_NONBLOCK));
		other = fcntl(end[1], F_GETFL);
		NOT_ENTERED();
		t = start(waits_in, (void *)what);
		ONCE_BLOCKED();
		see(end[0], want);
		see(end[1], other);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			see(end[0], want);
			see(end[1], other);
			_exit(0);
		}
		reap(pid, 0);
		if (what == 1 || what == 3)
			drain(end[1], 0, BIG);
		else if (what == 4)
			CHECK(connect_to(end[1], end[0]) == 0);
		else
			CHECK_EQ(write(end[1], "s", 1), 1);
		join(t);
		see(end[0], want);
		see(end[1], other);
		close_pair(end);
	}
	/* And to the child it is a file that blocks. */
	CHECK(pipe(end) == 0);
	CHECK(pipe(waiting) == 0);
	NOT_ENTERED();
	t = start(waits_in, (void *)0);
	ONCE_BLOCKED();
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK_EQ(write(waiting[1], "c", 1), 1);
		CHECK_EQ(read(end[0], &c, 1), 1);
		_exit(0);
	}
	CHECK_EQ(read(waiting[0], &c, 1), 1);
	settle();
	/* One for each of them. */
	CHECK_EQ(write(end[1], "22", 2), 2);
	join(t);
	reap(pid, 0);
	close_pair(waiting);
	close_pair(end);
}

static int companion[2];

static void *waits_all_along(void *arg)
{
	char c;

	CHECK_EQ(read(companion[0], &c, 1), 0);
	return arg;
}

/* ---- The call that was made ------------------------------------------------ */

#define REFUSED(nr, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, n, 0)

/* In a child: all its threads may make no such call with a vector from here on. */
static void refuse_vectors(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		REFUSED(SYS_readv, 4),	 REFUSED(SYS_writev, 3),
		REFUSED(SYS_preadv2, 2), REFUSED(SYS_pwritev2, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENXIO),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(*code), code };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		      SECCOMP_FILTER_FLAG_TSYNC, &prog) == 0);
}

static void *as_made(void *arg)
{
	struct iovec iov = { data, SMALL / 16 };
	int i, file = memfd_create("io_flags", 0);

	CHECK(file >= 0);
	refuse_vectors();
	for (i = 0; i < 3; i++) { /* once it is known what they are, too */
		CHECK_EQ(write(end[1], data, 100), 100);
		CHECK_EQ(read(end[0], data, 100), 100);
		CHECK_EQ(write(file, data, 100), 100);
		CHECK_EQ(read(file, data, 100), 0);
		ERR(ENXIO, readv(end[0], &iov, 1));
		ERR(ENXIO, writev(file, &iov, 1));
	}
	return arg;
}

static void the_call_made(void)
{
	pid_t pid;

	section("the call that was made");
	CHECK(pipe2(end, O_NONBLOCK) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		join(start(as_made, NULL));
		_exit(0);
	}
	reap(pid, 0);
	close(end[0]);
	close(end[1]);
}

int main(void)
{
	pthread_t t;
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	/* So that what needs no second thread is done beside one. */
	CHECK(pipe(companion) == 0);
	t = start(waits_all_along, NULL);
	made_so();
	one_call();
	section("in between");
	in_between(0);
	in_between(1);
	in_between(2);
	CHECK(late < rounds);
	seen();
	made_so();
	the_call_made();
	CHECK(close(companion[1]) == 0);
	join(t);
	CHECK(close(companion[0]) == 0);
	return 0;
}
