/*
 * io_drained - a reader that has waited for each message of a stream, time and
 * again, is not made to wait for what is there already: what a read leaves at a
 * boundary, an end that comes with the last data, urgent data, a file that does
 * not block any more.
 */
#include "iocheck.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { USUAL = 20 }; /* messages until one may think to know */

static int link_[2]; /* read from 0, written to 1 */
static int asked;

/* Sends a message when the reader is about to wait for it. */
static void *writes(void *arg)
{
	for (int i = 1; i <= USUAL; i++) {
		YIELD_UNTIL(LOAD(asked) == i);
		settle();
		CHECK_EQ(write(link_[1], "usual", 5), 5);
	}
	return arg;
}

static void usual(void)
{
	pthread_t t;
	char buf[64];

	STORE(asked, 0);
	t = start(writes, NULL);
	for (int i = 1; i <= USUAL; i++) {
		STORE(asked, i);
		CHECK_EQ(read(link_[0], buf, sizeof(buf)), 5);
	}
	join(t);
}

static void expect(const char *text)
{
	char buf[64];
	long n = (long)strlen(text), got = 0, r;

	while (got < n) {
		r = read(link_[0], buf + got, sizeof(buf) - (size_t)got);
		CHECK(r > 0);
		got += r;
	}
	CHECK_EQ(got, n);
	CHECK(memcmp(buf, text, (size_t)n) == 0);
}

static void expect_end(void)
{
	char c;

	CHECK_EQ(read(link_[0], &c, 1), 0);
}

/* While the reader is elsewhere, so that one event tells of all. */
static void *last_and_end(void *arg)
{
	CHECK_EQ(write(link_[1], "last", 4), 4);
	CHECK(close(link_[1]) == 0);
	return arg;
}

static void ends(void)
{
	pthread_t t;

	usual();
	t = start(last_and_end, NULL);
	expect("last");
	expect_end();
	join(t);
	CHECK(close(link_[0]) == 0);
}

static void streams(void)
{
	for (int i = 0; i < 4; i++) {
		unix_pair(SOCK_STREAM, link_, 0);
		ends();
		tcp_pair(link_, 0);
		ends();
		CHECK(pipe(link_) == 0);
		ends();
	}
}

/* A descriptor ends a read of what comes with it. */
static void descriptors(void)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, buf[64];
	struct iovec iov = { "with", 4 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	unix_pair(SOCK_STREAM, link_, 0);
	usual();
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &link_[1], sizeof(int));
	CHECK_EQ(sendmsg(link_[1], &m, 0), 4);
	CHECK_EQ(write(link_[1], "without", 7), 7);
	CHECK_EQ(read(link_[0], buf, sizeof(buf)), 4);
	expect("without");
	close_pair(link_);
}

/* A read ends before the urgent byte. */
static void urgent(void)
{
	tcp_pair(link_, 0);
	usual();
	CHECK_EQ(send(link_[1], "before!", 7, MSG_OOB), 7);
	CHECK_EQ(send(link_[1], "after", 5, 0), 5);
	expect("beforeafter");
	close_pair(link_);
}

static void packets(int fd[2])
{
	memcpy(link_, fd, sizeof(link_));
	usual();
	CHECK_EQ(write(link_[1], "one", 3), 3);
	CHECK_EQ(write(link_[1], "two", 3), 3);
	expect("one");
	expect("two");
	close_pair(link_);
}

static void boundaries(void)
{
	int fd[2];

	unix_pair(SOCK_DGRAM, fd, 0);
	packets(fd);
	unix_pair(SOCK_SEQPACKET, fd, 0);
	packets(fd);
	CHECK(pipe2(fd, O_DIRECT) == 0);
	packets(fd);
}

/* Calls that find nothing, and may not wait. */
static void empty(void)
{
	struct timeval tv = { 0, 1000 };
	char buf[64];

	unix_pair(SOCK_STREAM, link_, 0);
	usual();
	CHECK_EQ(read(link_[0], buf, 0), 0);
	ERR(EAGAIN, recv(link_[0], buf, sizeof(buf), MSG_DONTWAIT));
	CHECK(setsockopt(link_[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) ==
	      0);
	ERR(EAGAIN, read(link_[0], buf, sizeof(buf)));
	nonblocking(link_[0], 1);
	ERR(EAGAIN, read(link_[0], buf, sizeof(buf)));
	CHECK_EQ(write(link_[1], "more", 4), 4);
	expect("more");
	close_pair(link_);
}

/* Another file by that number. */
static void again(void)
{
	int old, fd[2];

	unix_pair(SOCK_STREAM, link_, 0);
	usual();
	unix_pair(SOCK_STREAM, fd, 0);
	CHECK_EQ(write(fd[1], "other", 5), 5);
	old = dup(link_[0]);
	CHECK(old >= 0);
	CHECK_EQ(raw(SYS_dup2, fd[0], link_[0], 0, 0), link_[0]);
	expect("other");
	close_pair(fd);
	CHECK(close(old) == 0);
	close_pair(link_);
}

int main(void)
{
	section("the end, with the last data");
	streams();
	section("descriptors");
	descriptors();
	section("urgent data");
	urgent();
	section("boundaries");
	boundaries();
	section("nothing there");
	empty();
	section("another file");
	again();
	return 0;
}
