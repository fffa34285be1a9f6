/*
 * io_blocks_room - what waits for room, be it to write, to send or only to learn
 * of it, and connect, which waits for accept: see io_blocks.h.
 */
#include "io_blocks.h"
#include <sys/mman.h>
#include <sys/sendfile.h>

extern ssize_t __write(int, const void *, size_t);
extern ssize_t __send(int, const void *, size_t, int);
extern int __connect(int, const struct sockaddr *, socklen_t);

#define WORD	  "hello"
#define WORD_SIZE 5

static char big[BIG];

/* ---- Calls that need room ------------------------------------------------ */

static union name target;
static socklen_t target_size; /* 0: connected */

static long out_write(int fd, char *buf, size_t n)
{
	return write(fd, buf, n);
}

static long out_alias(int fd, char *buf, size_t n)
{
	return __write(fd, buf, n);
}

static long out_syscall(int fd, char *buf, size_t n)
{
	return syscall(SYS_write, fd, buf, n);
}

static long out_syscall_writev(int fd, char *buf, size_t n)
{
	return syscall(SYS_writev, fd, pieces(buf, n), 3);
}

static long out_syscall_sendto(int fd, char *buf, size_t n)
{
	return syscall(SYS_sendto, fd, buf, n, 0,
		       target_size ? &target.any : NULL, target_size);
}

static long out_writev(int fd, char *buf, size_t n)
{
	return writev(fd, pieces(buf, n), 3);
}

static long out_pwritev2(int fd, char *buf, size_t n)
{
	return pwritev2(fd, pieces(buf, n), 3, -1, 0);
}

static long out_pwritev64v2(int fd, char *buf, size_t n)
{
	return pwritev64v2(fd, pieces(buf, n), 3, -1, 0);
}

static long out_send(int fd, char *buf, size_t n)
{
	return send(fd, buf, n, 0);
}

static long out_alias_send(int fd, char *buf, size_t n)
{
	return __send(fd, buf, n, MSG_NOSIGNAL);
}

static long out_sendto(int fd, char *buf, size_t n)
{
	return sendto(fd, buf, n, 0, target_size ? &target.any : NULL,
		      target_size);
}

static long out_sendmsg(int fd, char *buf, size_t n)
{
	struct msghdr m = { .msg_iov = pieces(buf, n),
			    .msg_iovlen = 3,
			    .msg_name = target_size ? &target : NULL,
			    .msg_namelen = target_size };

	return sendmsg(fd, &m, 0);
}

static long out_sendmmsg(int fd, char *buf, size_t n)
{
	struct mmsghdr m[2] = { 0 };
	struct iovec iov[2] = { { buf, n / 2 }, { buf + n / 2, n - n / 2 } };
	int i, count = kind & STREAMS ? 2 : 1;

	if (count == 1)
		iov[0].iov_len = n;
	for (i = 0; i < count; i++) {
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
		if (target_size) {
			m[i].msg_hdr.msg_name = &target;
			m[i].msg_hdr.msg_namelen = target_size;
		}
	}
	i = sendmmsg(fd, m, count, 0);
	if (i != count)
		return -1;
	return m[0].msg_len + m[1].msg_len;
}

/* Those below may take less than they are offered, even where they block. */
static long out_sendfile(int fd, char *buf, size_t n)
{
	int file = memfd_create("io_blocks", 0);
	size_t sum = 0;
	long put;

	CHECK(file >= 0);
	CHECK_EQ(write(file, buf, n), n);
	CHECK_EQ(lseek(file, 0, SEEK_SET), 0);
	while (sum < n) {
		put = sendfile(fd, file, NULL, n - sum);
		CHECK(put > 0);
		sum += put;
	}
	CHECK(close(file) == 0);
	return sum;
}

static long out_splice(int fd, char *buf, size_t n)
{
	size_t sum = 0, chunk;
	long put;

	while (sum < n) {
		chunk = n - sum < 4096 ? n - sum : 4096;
		CHECK_EQ(write(side[1], buf + sum, chunk), chunk);
		while (chunk > 0) {
			put = splice(side[0], NULL, fd, NULL, chunk, 0);
			CHECK(put > 0);
			chunk -= put;
			sum += put;
		}
	}
	return sum;
}

static long out_tee(int fd, char *buf, size_t n)
{
	size_t sum = 0, chunk;
	char was[4096];
	long put;

	while (sum < n) {
		chunk = n - sum < 4096 ? n - sum : 4096;
		CHECK_EQ(write(side[1], buf + sum, chunk), chunk);
		put = tee(side[0], fd, chunk, 0);
		CHECK(put > 0);
		CHECK_EQ(read(side[0], was, chunk), chunk);
		sum += put;
	}
	return sum;
}

static long out_vmsplice(int fd, char *buf, size_t n)
{
	struct iovec iov;
	size_t sum = 0;
	long put;

	while (sum < n) {
		iov = (struct iovec){ buf + sum, n - sum };
		put = vmsplice(fd, &iov, 1, 0);
		CHECK(put > 0);
		sum += put;
	}
	return sum;
}

/* ---- Table --------------------------------------------------------------- */

struct giver {
	const char *name;
	long (*call)(int fd, char *buf, size_t n);
	int kind;
};

static const struct giver givers[] = {
	{ "write", out_write, FILES },
	{ "__write", out_alias, FILES },
	{ "syscall(SYS_write)", out_syscall, FILES },
	{ "syscall(SYS_writev)", out_syscall_writev, FILES },
	{ "syscall(SYS_sendto)", out_syscall_sendto, SOCKETS },
	{ "writev", out_writev, FILES },
	{ "pwritev2", out_pwritev2, FILES },
	{ "pwritev64v2", out_pwritev64v2, FILES },
	{ "send", out_send, SOCKETS },
	{ "__send", out_alias_send, SOCKETS },
	{ "sendto", out_sendto, SOCKETS },
	{ "sendmsg", out_sendmsg, SOCKETS },
	{ "sendmmsg", out_sendmmsg, SOCKETS },
	{ "sendfile", out_sendfile, SPLICES },
	{ "splice", out_splice, SPLICES },
	{ "tee", out_tee, PIPES },
	{ "vmsplice", out_vmsplice, PIPES },
};

static const struct giver *giver;

/* ---- Waiting for room in a stream ---------------------------------------- */

static long before; /* how much it was full with */

static void give(void)
{
	result = giver->call(end[0], big, BIG);
}

static void take_all(void)
{
	drain(end[1], 0, before + BIG);
}

static void take_what_was(void)
{
	drain(end[1], 0, before);
}

static void swap_ends(void)
{
	int fd = end[0];

	end[0] = end[1];
	end[1] = fd;
}

/* Full in every second case; otherwise a part of it goes in at first. */
static void waits_for_room(const char *name, void (*make)(void), int what)
{
	kind = what;
	for
		EACH(giver, givers)
		{
			if (!(kind & giver->kind))
				continue;
			make();
			before = cases / 2 % 2 ? fill(end[0]) : 0;
			compose(big, before, BIG);
			run(giver->name, name, give, take_all);
			expect(BIG);
			close_ends();
		}
	wanted = POLLOUT;
	for
		EACH(waiter, waiters)
		{
			make();
			before = fill(end[0]);
			run(waiter->name, name, wait_for_it, take_what_was);
			check_wait();
			close_ends();
		}
}

static void make_out_pipe(void)
{
	make_pipe();
	swap_ends();
}

static void make_out_fifo(void)
{
	make_fifo();
	swap_ends();
}

/* ---- Waiting for room for a message -------------------------------------- */

static void make_addressed(void)
{
	end[0] = socket(AF_UNIX, SOCK_DGRAM, 0);
	CHECK(end[0] >= 0);
	end[1] = bound(AF_UNIX, SOCK_DGRAM, 0);
	target_size = name_of(end[1], &target);
}

static long fill_messages(void)
{
	char text[32];
	long n, ret;

	for (n = 0;; n++) {
		snprintf(text, sizeof(text), "%05ld", n);
		ret = sendto(end[0], text, WORD_SIZE, MSG_DONTWAIT,
			     target_size ? &target.any : NULL, target_size);
		if (ret < 0)
			break;
		CHECK_EQ(ret, WORD_SIZE);
	}
	CHECK_EQ(errno, EAGAIN);
	return n;
}

static void take_messages(void)
{
	char text[32], got[16];
	long n;

	for (n = 0; n < before; n++) {
		snprintf(text, sizeof(text), "%05ld", n);
		CHECK_EQ(read(end[1], got, sizeof(got)), WORD_SIZE);
		CHECK(memcmp(got, text, WORD_SIZE) == 0);
	}
}

static void give_word(void)
{
	char word[] = WORD;

	result = giver->call(end[0], word, WORD_SIZE);
}

/* Without a peer of its own, it cannot be waited for: there is no poll. */
static void waits_for_message_room(const char *name, void (*make)(void))
{
	char got[16];

	kind = FILES | SOCKETS;
	for
		EACH(giver, givers)
		{
			target_size = 0;
			make();
			if ((kind & giver->kind) &&
			    (!target_size || giver->call == out_sendto ||
			     giver->call == out_sendmsg ||
			     giver->call == out_sendmmsg)) {
				before = fill_messages();
				run(giver->name, name, give_word,
				    take_messages);
				expect(WORD_SIZE);
				CHECK_EQ(read(end[1], got, sizeof(got)),
					 WORD_SIZE);
				CHECK(memcmp(got, WORD, WORD_SIZE) == 0);
			}
			close_ends();
		}
	if (target_size) {
		target_size = 0;
		return;
	}
	wanted = POLLOUT;
	for
		EACH(waiter, waiters)
		{
			make();
			before = fill_messages();
			run(waiter->name, name, wait_for_it, take_messages);
			check_wait();
			close_ends();
		}
}

static void give_count(void)
{
	uint64_t value = 7;

	result = write(end[0], &value, 8);
}

static void take_count(void)
{
	uint64_t value = 0;

	CHECK_EQ(read(end[0], &value, 8), 8);
	CHECK_EQ(value, UINT64_MAX - 1);
}

static void waits_for_count(void)
{
	uint64_t value = UINT64_MAX - 1;

	make_eventfd();
	CHECK_EQ(write(end[0], &value, 8), 8);
	run("write", "an eventfd", give_count, take_count);
	expect(8);
	CHECK_EQ(read(end[0], &value, 8), 8);
	CHECK_EQ(value, 7);
	close_ends();
	wanted = POLLOUT;
	for
		EACH(waiter, waiters)
		{
			value = UINT64_MAX - 1;
			make_eventfd();
			CHECK_EQ(write(end[0], &value, 8), 8);
			run(waiter->name, "an eventfd", wait_for_it,
			    take_count);
			check_wait();
			close_ends();
		}
}

/* ---- connect ------------------------------------------------------------- */

typedef int connect_fn(int, const struct sockaddr *, socklen_t);
static connect_fn *connects;

static void do_connect(void)
{
	union name name;
	socklen_t size = name_of(end[1], &name);

	result = connects(end[0], &name.any, size);
}

static void accept_one(void)
{
	int fd = accept(end[1], NULL, NULL);

	CHECK(fd >= 0);
	CHECK(close(fd) == 0);
}

/* The first one fills the backlog. */
static void waits_for_accept(connect_fn *fn, const char *name)
{
	connects = fn;
	end[1] = listener(AF_UNIX, 0, 0);
	spare = connected(AF_UNIX, end[1], 0);
	end[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	run(name, "a full listener", do_connect, accept_one);
	expect(0);
	accept_one();
	close_ends();
}

/*
 * Here the kernel tries again after a second, and tells nobody: so this one
 * goes on beside all others.
 */
static int tcp_listening, tcp_left;

static void *connects_by_tcp(void *arg)
{
	int fd = connected(AF_INET, tcp_listening, 0);
	char buf[16];

	STORE(tcp_left, 1);
	CHECK_EQ(write(fd, WORD, WORD_SIZE), WORD_SIZE);
	CHECK_EQ(read(fd, buf, sizeof(buf)), 0);
	CHECK(close(fd) == 0);
	return arg;
}

static pthread_t start_tcp(void)
{
	pthread_t t;
	int fd;

	tcp_listening = listener(AF_INET, 0, 0);
	fd = connected(AF_INET, tcp_listening, 0);
	t = start(connects_by_tcp, NULL);
	settle();
	CHECK(!LOAD(tcp_left));
	CHECK(close(fd) == 0);
	fd = accept(tcp_listening, NULL, NULL);
	CHECK(fd >= 0);
	CHECK(close(fd) == 0);
	return t;
}

static void finish_tcp(pthread_t t)
{
	int fd = accept(tcp_listening, NULL, NULL);
	char buf[16];

	CHECK(fd >= 0);
	CHECK_EQ(read(fd, buf, sizeof(buf)), WORD_SIZE);
	CHECK(memcmp(buf, WORD, WORD_SIZE) == 0);
	CHECK(close(fd) == 0);
	join(t);
	CHECK(close(tcp_listening) == 0);
}

int main(void)
{
	pthread_t tcp;

	begin_cases();
	tcp = start_tcp();
	section("room");
	waits_for_room("a pipe", make_out_pipe, FILES | SPLICES | PIPES);
	waits_for_room("a fifo", make_out_fifo, FILES | SPLICES | PIPES);
	waits_for_room("a stream", make_stream,
		       FILES | SOCKETS | STREAMS | SPLICES);
	/* What those are full of may yet move to the other end by itself. */
	may_return = 1;
	waits_for_room("tcp", make_tcp, FILES | SOCKETS | STREAMS | SPLICES);
	waits_for_room("a terminal", make_terminal, FILES);
	may_return = 0;
	section("room for a message");
	waits_for_message_room("a datagram socket", make_dgram);
	waits_for_message_room("a seqpacket socket", make_seqpacket);
	waits_for_message_room("an address", make_addressed);
	waits_for_count();
	section("accept");
	waits_for_accept(connect, "connect");
	waits_for_accept(__connect, "__connect");
	finish_tcp(tcp);
	end_cases();
	return 0;
}
