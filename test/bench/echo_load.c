/*
 * echo_load - so many connections to an echo server, one request at a time on each,
 * all from one thread with epoll.  Requests a second and how long they took.
 */
#include "bench.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { SIZE = 64 };

struct conn {
	int fd;
	long got;
	int64_t sent;
};

static void send_one(struct conn *c)
{
	static const char request[SIZE];

	c->got = 0;
	c->sent = now();
	if (write(c->fd, request, SIZE) != SIZE)
		die("write");
}

static void dial(struct conn *c, int ep, long port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)))
		die("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e))
		die("epoll_ctl");
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	struct samples times = { 0 };
	struct conn *conns;
	long port, n, ms;
	int64_t began, end, t;
	int ep = epoll_create1(0);

	begin(argc, argv);
	port = number("port", 7801);
	n = number("connections", 10);
	ms = number("ms", 500);
	params_done();
	more_files();
	conns = memory(n, sizeof(*conns));
	for (long i = 0; i < n; i++)
		dial(&conns[i], ep, port);
	began = now();
	end = began + ms * 1000000;
	for (long i = 0; i < n; i++)
		send_one(&conns[i]);
	do {
		int k = epoll_wait(ep, events, 256, 100);

		t = now();
		for (int i = 0; i < k; i++) {
			struct conn *c = events[i].data.ptr;
			char buf[SIZE];
			ssize_t r = read(c->fd, buf, SIZE - c->got);

			if (r <= 0)
				die("read");
			c->got += r;
			if (c->got < SIZE)
				continue;
			sample(&times, t - c->sent);
			send_one(c);
		}
	} while (t < end || times.n == 0); /* one answer, however late */
	put("throughput", times.n * 1e9 / (t - began), "req/s");
	put("requests", times.n, "");
	put("latency_p50", percentile(&times, 50), "ns");
	put("latency_p90", percentile(&times, 90), "ns");
	put("latency_p99", percentile(&times, 99), "ns");
	put("latency_p99.9", percentile(&times, 99.9), "ns");
	return done();
}
