/*
 * io_overflow - more threads than a run queue holds are woken at once, beside connections
 * that keep the queue filled: they have their turns with those, not after them.
 */
#include "check.h"
#include <poll.h>
#include <sys/socket.h>

enum { CONNECTIONS = 300, SLEEPERS = 1000, FAIR = 8 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all = PTHREAD_COND_INITIALIZER;
static int asleep, turn;
static long answers;
static int client[CONNECTIONS], server[CONNECTIONS];

static void *answers_one(void *arg)
{
	int fd = *(int *)arg;
	char c;

	while (read(fd, &c, 1) == 1 && write(fd, &c, 1) == 1)
		ADD(answers, 1);
	return arg;
}

static void *sleeps(void *arg)
{
	CHECK(pthread_mutex_lock(&lock) == 0);
	asleep++;
	while (!turn)
		CHECK(pthread_cond_wait(&all, &lock) == 0);
	CHECK(pthread_mutex_unlock(&lock) == 0);
	return arg;
}

/* A process of its own, which has no threads: asks each connection again and again. */
static void asks(void)
{
	struct pollfd p[CONNECTIONS];
	char c = 0;
	int i;

	for (i = 0; i < CONNECTIONS; i++) {
		close(server[i]);
		p[i] = (struct pollfd){ client[i], POLLIN, 0 };
		if (write(client[i], &c, 1) != 1)
			_exit(1);
	}
	while (poll(p, CONNECTIONS, -1) > 0)
		for (i = 0; i < CONNECTIONS; i++)
			if (p[i].revents && (read(client[i], &c, 1) != 1 ||
					     write(client[i], &c, 1) != 1))
				_exit(0); /* the server has hung up */
	_exit(1);
}

int main(void)
{
	const char *one = getenv("GMP_SHIM_MAXPROCS");
	pthread_t t[CONNECTIONS], s[SLEEPERS];
	long before;
	pid_t pid;
	int i;

	for (i = 0; i < CONNECTIONS; i++) {
		int fds[2];

		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
		client[i] = fds[0];
		server[i] = fds[1];
	}
	CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		asks();
	for (i = 0; i < SLEEPERS; i++)
		s[i] = start_small(sleeps, NULL);
	for (i = 0; i < CONNECTIONS; i++) {
		close(client[i]);
		t[i] = start(answers_one, &server[i]);
	}
	while (LOAD(answers) < 10 * CONNECTIONS)
		usleep(1000);
	for (int n = 0; n < SLEEPERS; usleep(1000)) {
		CHECK(pthread_mutex_lock(&lock) == 0);
		n = asleep;
		CHECK(pthread_mutex_unlock(&lock) == 0);
	}
	CHECK(pthread_mutex_lock(&lock) == 0);
	turn = 1;
	CHECK(pthread_cond_broadcast(&all) == 0);
	before = LOAD(answers);
	CHECK(pthread_mutex_unlock(&lock) == 0);
	for (i = 0; i < SLEEPERS; i++)
		join(s[i]);
	before = LOAD(answers) - before;
	for (i = 0; i < CONNECTIONS; i++)
		CHECK(shutdown(server[i], SHUT_RDWR) == 0);
	for (i = 0; i < CONNECTIONS; i++)
		join(t[i]);
	reap(pid, 0);
	/* with more CPUs, and natively, the client goes on meanwhile */
	if (one && strcmp(one, "1") == 0)
		CHECK(before < FAIR * SLEEPERS);
	return 0;
}
