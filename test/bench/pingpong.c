/*
 * pingpong - two threads in turns, by condition variable, semaphore, pipe or socket
 * pair (how=cond, sem, pipe, socketpair); ns for there and back.  with=altstack: each
 * has an alternate signal stack of its own; with=mask: a signal mask that the other
 * has not.  Both are what a switch between them has to change.
 */
#include "bench.h"
#include <signal.h>
#include <sys/socket.h>

static struct side {
	sem_t sem;
	int in, out;
} sides[2];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static int turn;
static long left_to_do;

static void wait_cond(int me)
{
	pthread_mutex_lock(&lock);
	while (turn != me)
		pthread_cond_wait(&turned, &lock);
	pthread_mutex_unlock(&lock);
}

static void give_cond(int me)
{
	pthread_mutex_lock(&lock);
	turn = !me;
	pthread_cond_signal(&turned);
	pthread_mutex_unlock(&lock);
}

static void wait_sem(int me)
{
	while (sem_wait(&sides[me].sem))
		;
}

static void give_sem(int me)
{
	sem_post(&sides[!me].sem);
}

static void wait_fd(int me)
{
	char c;

	if (read(sides[me].in, &c, 1) != 1)
		die("read");
}

static void give_fd(int me)
{
	if (write(sides[me].out, "x", 1) != 1)
		die("write");
}

static void (*await)(int me) = wait_cond, (*give)(int me) = give_cond;

static void nothing_with(int me)
{
	(void)me;
}

static void altstack_with(int me)
{
	static _Alignas(16) char stacks[2][65536];
	stack_t s = { .ss_sp = stacks[me], .ss_size = sizeof(stacks[me]) };

	if (sigaltstack(&s, NULL))
		die("sigaltstack");
}

static void mask_with(int me)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, me ? SIGUSR1 : SIGUSR2);
	must(pthread_sigmask(SIG_SETMASK, &set, NULL), "pthread_sigmask");
}

static void (*with)(int me) = nothing_with;

static void *answer(void *arg)
{
	with(1);
	for (long i = left_to_do; i > 0; i--) {
		await(1);
		give(1);
	}
	return arg;
}

static void pingpong(long n)
{
	pthread_t *other;

	left_to_do = n;
	other = start(1, answer, NULL, 0);
	with(0);
	for (long i = 0; i < n; i++) {
		give(0);
		await(0);
	}
	join(other, 1);
}

static void choose(const char *how)
{
	int there[2], back[2];

	if (strcmp(how, "cond") == 0)
		return;
	if (strcmp(how, "sem") == 0) {
		sem_init(&sides[0].sem, 0, 0);
		sem_init(&sides[1].sem, 0, 0);
		await = wait_sem, give = give_sem;
		return;
	}
	await = wait_fd, give = give_fd;
	if (strcmp(how, "pipe") == 0) {
		if (pipe(there) || pipe(back))
			die("pipe");
		sides[0].out = there[1], sides[1].in = there[0];
		sides[1].out = back[1], sides[0].in = back[0];
	} else if (strcmp(how, "socketpair") == 0) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, there))
			die("socketpair");
		sides[0].in = sides[0].out = there[0];
		sides[1].in = sides[1].out = there[1];
	} else {
		fprintf(stderr, "how=%s: cond, sem, pipe or socketpair\n", how);
		exit(2);
	}
}

static void choose_with(const char *what)
{
	if (strcmp(what, "altstack") == 0) {
		with = altstack_with;
	} else if (strcmp(what, "mask") == 0) {
		with = mask_with;
	} else if (strcmp(what, "nothing")) {
		fprintf(stderr, "with=%s: nothing, altstack or mask\n", what);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	long ms;

	begin(argc, argv);
	choose(word("how", "cond"));
	choose_with(word("with", "nothing"));
	ms = number("ms", 200);
	params_done();
	put("round_trip", per_unit(pingpong, ms), "ns");
	return done();
}
