/*
 * io_pairs - pairs of threads that ask and answer each other by messages of a known
 * length, over pipes, socket pairs and TCP. On one CPU who asks lets the other answer
 * before it reads: it makes no call that finds nothing. But what comes from a third one
 * is read although the one that was asked is busy, a handler of the program's ends a
 * read, and a cancelled reader ends.
 *
 * io_pairs [exchanges]
 */
#include "iocheck.h"
#include <signal.h>

enum { PAIRS = 8, LENGTH = 24, KINDS = 3 };
static long exchanges = 2000;
static const char *const kinds[KINDS] = { "pipes", "socket pairs", "TCP" };

/* in[i] is what side i reads from, out[i] what it writes to. */
struct link {
	int in[2], out[2];
};

struct pair {
	struct link link;
	long n;
};

static void open_link(struct link *l, int kind)
{
	int fds[2];

	if (kind == 0) {
		for (int i = 0; i < 2; i++) {
			CHECK(pipe(fds) == 0);
			l->in[i] = fds[0];
			l->out[1 - i] = fds[1];
		}
		return;
	}
	if (kind == 1)
		unix_pair(SOCK_STREAM, fds, 0);
	else
		tcp_pair(fds, 0);
	for (int i = 0; i < 2; i++)
		l->in[i] = l->out[i] = fds[i];
}

static void close_link(struct link *l)
{
	for (int i = 0; i < 2; i++) {
		close(l->in[i]);
		if (l->out[i] != l->in[i])
			close(l->out[i]);
	}
}

static void put(struct link *l, int side, long n)
{
	char text[LENGTH + 1];

	snprintf(text, sizeof(text), "%*ld", LENGTH, n);
	CHECK_EQ(write(l->out[side], text, LENGTH), LENGTH);
}

static void get(struct link *l, int side, long n)
{
	char text[LENGTH + 1] = "";

	CHECK_EQ(read(l->in[side], text, LENGTH), LENGTH);
	CHECK_EQ(atol(text), n);
}

static void *answers(void *arg)
{
	struct pair *p = arg;

	for (long i = 0; i < p->n; i++) {
		get(&p->link, 1, i);
		put(&p->link, 1, -i);
	}
	return NULL;
}

static void *asks(void *arg)
{
	struct pair *p = arg;

	for (long i = 0; i < p->n; i++) {
		put(&p->link, 0, i);
		get(&p->link, 0, -i);
	}
	return NULL;
}

/* How many reads this process has made; -1: the kernel does not say. */
static long reads_made(void)
{
	char line[128];
	long n = -1;
	FILE *f = fopen("/proc/self/io", "r");

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "syscr: %ld", &n) == 1)
			break;
	fclose(f);
	return n;
}

static void pairs(int kind, int n)
{
	static struct pair p[PAIRS];
	pthread_t t[2 * PAIRS];

	for (int i = 0; i < n; i++) {
		open_link(&p[i].link, kind);
		p[i].n = exchanges;
		t[2 * i] = start(answers, &p[i]);
		t[2 * i + 1] = start(asks, &p[i]);
	}
	for (int i = 0; i < 2 * n; i++)
		join(t[i]);
	for (int i = 0; i < n; i++)
		close_link(&p[i].link);
}

/* ---- Not for ever -------------------------------------------------------- */

static int stop, asked, seen;

static void on_signal(int sig)
{
	(void)sig;
	ADD(seen, 1);
}

/* Asked once more, it is busy until told to stop. */
static void *then_computes(void *arg)
{
	struct pair *p = arg;

	answers(p);
	get(&p->link, 1, p->n);
	while (!LOAD(stop))
		;
	return NULL;
}

static void *asks_once_more(void *arg)
{
	struct pair *p = arg;

	asks(p);
	put(&p->link, 0, p->n);
	STORE(asked, 1);
	get(&p->link, 0, 42);
	STORE(stop, 1);
	return NULL;
}

/* A reader whose partner is busy has what a third one sends it. */
static void from_a_third(int kind)
{
	struct pair p = { .n = 100 };
	pthread_t t[2];

	stop = asked = 0;
	open_link(&p.link, kind);
	t[0] = start(then_computes, &p);
	t[1] = start(asks_once_more, &p);
	while (!LOAD(asked))
		usleep(1000);
	usleep(20000);
	put(&p.link, 1, 42);
	join(t[0]);
	join(t[1]);
	close_link(&p.link);
}

static void *asks_until_a_signal(void *arg)
{
	struct pair *p = arg;
	char c;

	asks(p);
	STORE(stop, 1);
	CHECK_EQ(read(p->link.in[0], &c, 1), -1);
	CHECK_EQ(errno, EINTR);
	return NULL;
}

static void ended_by_a_handler(int kind)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct pair p = { .n = 100 };
	pthread_t t[2];
	int n;

	stop = 0;
	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	open_link(&p.link, kind);
	t[0] = start(answers, &p);
	t[1] = start(asks_until_a_signal, &p);
	YIELD_UNTIL(LOAD(stop));
	/* again if it was only about to read */
	for (n = 0; pthread_tryjoin_np(t[1], NULL) == EBUSY; n++) {
		settle();
		pthread_kill(t[1], SIGUSR1);
	}
	CHECK(n > 0 && LOAD(seen) > 0);
	join(t[0]);
	close_link(&p.link);
}

static void *asks_for_ever(void *arg)
{
	struct pair *p = arg;

	asks(p);
	STORE(stop, 1);
	for (;;)
		get(&p->link, 0, 0);
	return NULL;
}

static void ended_by_cancellation(int kind)
{
	struct pair p = { .n = 100 };
	pthread_t t[2];
	void *ret;

	stop = 0;
	open_link(&p.link, kind);
	t[0] = start(answers, &p);
	t[1] = start(asks_for_ever, &p);
	YIELD_UNTIL(LOAD(stop));
	OK(pthread_cancel(t[1]));
	OK(pthread_join(t[1], &ret));
	CHECK(ret == PTHREAD_CANCELED);
	join(t[0]);
	close_link(&p.link);
}

int main(int argc, char **argv)
{
	const char *procs = getenv("GMP_SHIM_MAXPROCS");
	int one = procs && strcmp(procs, "1") == 0;
	long before, made;

	if (argc > 1)
		exchanges = atol(argv[1]);
	for (int kind = 0; kind < KINDS; kind++) {
		section(kinds[kind]);
		before = reads_made();
		pairs(kind, 1);
		made = reads_made() - before;
		/* two an exchange, and those that learn; recv is not counted */
		if (one && kind == 0 && before >= 0)
			CHECK(made >= 2 * exchanges && made < 3 * exchanges);
		pairs(kind, PAIRS);
		from_a_third(kind);
		ended_by_a_handler(kind);
		ended_by_cancellation(kind);
	}
	return 0;
}
