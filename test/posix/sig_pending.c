/*
 * sig_pending - a signal for the process that all threads block waits until one unblocks
 * or fetches it: by the call that unblocks it, in order, each to one.
 */
#include "sig_crowd.h"
#include <sys/signalfd.h>

static int rounds = 20;

static void *unblocks(void *arg)
{
	int n = LOAD(runs);

	number = (int)(long)arg;
	open_set = SET();
	sched_yield();
	CHECK(pending(SIGUSR1));
	CHECK_EQ(LOAD(runs), n);
	let_in(SIGUSR1);
	/* It ran in that call; and once. */
	CHECK_EQ(LOAD(runs), n + 1);
	CHECK_EQ(LOAD(ran_in), number);
	CHECK(!pending(SIGUSR1));
	wait_handled();
	keep_out(SIGUSR1);
	return NULL;
}

/* Sends what it blocks. */
static void sends(int sig, siginfo_t *si, void *context)
{
	int n = LOAD(runs);

	(void)sig, (void)si, (void)context;
	CHECK(kill(getpid(), SIGUSR1) == 0 && raise(SIGUSR1) == 0);
	CHECK(pending(SIGUSR1));
	CHECK_EQ(LOAD(runs), n);
}

/* It has run when the call or the handler ends after which it may. */
static void *opens_often(void *arg)
{
	int i, n;

	number = (int)(long)arg;
	open_set = SET();
	for (i = 0; i < 25 * rounds; i++) {
		n = LOAD(runs);
		sends(0, NULL, NULL);
		let_in(SIGUSR1);
		CHECK_EQ(LOAD(runs), n + 2);
		CHECK(raise(SIGRTMIN + 1) == 0);
		CHECK_EQ(LOAD(runs), n + 2);
		unblock(SIGRTMIN + 1);
		CHECK_EQ(LOAD(runs), n + 4);
		CHECK(!pending(SIGUSR1));
		keep_out(SIGUSR1);
		block(SIGRTMIN + 1);
		for (n = 0; n < 4; n++)
			CHECK(sem_trywait(&handled) == 0);
	}
	return NULL;
}

static void *fetches(void *arg)
{
	sigset_t set = SET(SIGUSR1);
	struct timespec none = { 0, 0 };
	struct signalfd_siginfo fsi;
	siginfo_t si;
	int sig, fd, how = (int)(long)arg;

	memset(&si, 0, sizeof(si));
	CHECK(pending(SIGUSR1));
	switch (how) {
	case 0:
		OK(sigwait(&set, &sig));
		CHECK_EQ(sig, SIGUSR1);
		break;
	case 1:
		CHECK_EQ(sigwaitinfo(&set, &si), SIGUSR1);
		break;
	case 2:
		CHECK_EQ(sigtimedwait(&set, &si, &none), SIGUSR1);
		break;
	case 3:
		fd = signalfd(-1, &set, SFD_CLOEXEC);
		CHECK(fd >= 0);
		CHECK_EQ(read(fd, &fsi, sizeof(fsi)), sizeof(fsi));
		si.si_signo = fsi.ssi_signo;
		si.si_code = fsi.ssi_code;
		si.si_pid = fsi.ssi_pid;
		si.si_value.sival_int = fsi.ssi_int;
		CHECK(close(fd) == 0);
		break;
	}
	if (how) {
		CHECK_EQ(si.si_signo, SIGUSR1);
		CHECK_EQ(si.si_code, SI_QUEUE);
		CHECK_EQ(si.si_pid, getpid());
		CHECK_EQ(si.si_value.sival_int, 100 + how);
	}
	CHECK(!pending(SIGUSR1));
	return NULL;
}

/* They sleep in it until something comes; each thing comes to one. */
static long fetched;
static int fetchers;
static void *fetches_many(void *arg)
{
	sigset_t set = SET(SIGRTMIN);
	struct signalfd_siginfo fsi;
	int got, fd = -1, how = (int)(long)arg % 3;
	struct pollfd p;
	siginfo_t si;

	if (how == 2) {
		fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
		CHECK(fd >= 0);
	}
	ADD(fetchers, 1);
	do {
		if (how == 2) {
			p = (struct pollfd){ fd, POLLIN, 0 };
			CHECK_EQ(poll(&p, 1, -1), 1);
			CHECK(p.revents == POLLIN);
			if (read(fd, &fsi, sizeof(fsi)) != sizeof(fsi)) {
				CHECK_EQ(errno, EAGAIN);
				got = -1;
				continue;
			}
			got = fsi.ssi_int;
		} else {
			got = how ? sigtimedwait(&set, &si, &far)
				  : sigwaitinfo(&set, &si);
			if (got < 0) {
				/* Woken, but another was faster. */
				CHECK_EQ(errno, EINTR);
				continue;
			}
			CHECK_EQ(got, SIGRTMIN);
			got = si.si_value.sival_int;
		}
		__atomic_add_fetch(&fetched, got, __ATOMIC_SEQ_CST);
	} while (got);
	if (fd >= 0)
		CHECK(close(fd) == 0);
	return NULL;
}

static int directed;
static void *not_mine(void *arg)
{
	struct timespec t = { 0, 2000000 };
	sigset_t set = SET(SIGUSR1);

	ERR(EAGAIN, sigtimedwait(&set, NULL, &t));
	CHECK(!pending(SIGUSR1));
	return arg;
}

static void *mine(void *arg)
{
	sigset_t set = SET(SIGUSR1);
	int sig;

	YIELD_UNTIL(LOAD(directed) == 1);
	CHECK(pending(SIGUSR1));
	join(start(not_mine, NULL));
	OK(sigwait(&set, &sig));
	CHECK_EQ(sig, SIGUSR1);
	return arg;
}

static void send_value(int sig, int with)
{
	union sigval v = { .sival_int = with };

	CHECK(sigqueue(getpid(), sig, v) == 0);
}

/* It runs in the one that unblocks it, by then. */
static void opened(void)
{
	long i;

	for (i = 0; i < 5; i++) {
		CHECK(kill(getpid(), SIGUSR1) == 0);
		CHECK(kill(getpid(), SIGUSR1) == 0);
		CHECK(pending(SIGUSR1));
		join(start(unblocks, (void *)(50 + i)));
		CHECK(!pending(SIGUSR1));
	}
	install_with(SIGRTMIN + 1, sends, 0, SET(SIGUSR1));
	join(start(opens_often, (void *)60));
	install(SIGRTMIN + 1, handler, 0);
}

static void fetched_by_one(void)
{
	pthread_t t;
	long i;

	for (i = 0; i < 8; i++) {
		send_value(SIGUSR1, 100 + i % 4);
		join(start(fetches, (void *)(i % 4)));
	}
	t = start(mine, NULL);
	OK(pthread_kill(t, SIGUSR1));
	CHECK(!pending(SIGUSR1));
	STORE(directed, 1);
	join(t);
}

static void in_order(void)
{
	struct timespec none = { 0, 0 }, bad = { 0, -1 };
	sigset_t set = SET(SIGRTMIN, SIGRTMIN + 1);
	struct signalfd_siginfo fsi[4];
	siginfo_t si;
	int fd, i;

	for (i = 0; i < 6; i++)
		send_value(SIGRTMIN + !(i & 1), i);
	for (i = 0; i < 6; i++) {
		CHECK_EQ(sigwaitinfo(&set, &si), SIGRTMIN + i / 3);
		CHECK_EQ(si.si_value.sival_int, i < 3 ? 2 * i + 1 : 2 * i - 6);
	}
	ERR(EAGAIN, sigtimedwait(&set, &si, &none));
	ERR(EINVAL, sigtimedwait(&set, &si, &bad));
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	CHECK(fd >= 0);
	ERR(EAGAIN, read(fd, fsi, sizeof(fsi)));
	for (i = 0; i < 3; i++)
		send_value(SIGRTMIN, i);
	CHECK_EQ(read(fd, fsi, sizeof(fsi)), 3 * sizeof(fsi[0]));
	for (i = 0; i < 3; i++)
		CHECK_EQ(fsi[i].ssi_int, i);
	CHECK(close(fd) == 0);
}

static void each_to_one(void)
{
	pthread_t t[6];
	long i, sum;

	for (i = 0; i < 6; i++)
		t[i] = start(fetches_many, (void *)i);
	YIELD_UNTIL(LOAD(fetchers) == 6);
	for (i = 1, sum = 0; i <= 10 * rounds; i++) {
		sum += i;
		send_value(SIGRTMIN, i);
		if (i % 10 == 0)
			usleep(20);
	}
	for (i = 0; i < 6; i++)
		send_value(SIGRTMIN, 0);
	for (i = 0; i < 6; i++)
		join(t[i]);
	CHECK_EQ(fetched, sum);
	CHECK(!pending(SIGRTMIN));
}

int main(int argc, char **argv)
{
	if (argc > 1)
		rounds = atoi(argv[1]);
	begin_crowd(SET(SIGUSR1, SIGRTMIN, SIGRTMIN + 1));
	gather(ALL, SIGUSR1, 0);
	section("unblocked");
	opened();
	section("fetched");
	fetched_by_one();
	section("in order");
	in_order();
	section("each to one");
	each_to_one();
	disperse();
	return 0;
}
