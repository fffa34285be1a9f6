/*
 * sig_process - a signal sent to the process: its handler runs in some thread that does
 * not block it, asleep or not, and be it the only one. From another process, from this
 * one, from children.
 */
#include "sig_crowd.h"

static int rounds = 20;

/* ---- Another process that sends, so that here all can sleep -------------- */

struct order {
	int sig, value;
};
static int orders[2];
static pid_t helper;

static void send_later(int sig, int value)
{
	struct order order = { sig, value };

	CHECK(write(orders[1], &order, sizeof(order)) == sizeof(order));
}

static void start_helper(void)
{
	union sigval v;
	struct order order;

	CHECK(pipe(orders) == 0);
	fflush(stdout);
	helper = fork();
	CHECK(helper >= 0);
	if (helper)
		return;
	close(orders[1]);
	while (read(orders[0], &order, sizeof(order)) == sizeof(order)) {
		usleep(200);
		v.sival_int = order.value;
		if (order.value)
			CHECK(sigqueue(getppid(), order.sig, v) == 0);
		else
			CHECK(kill(getppid(), order.sig) == 0);
	}
	_exit(0);
}

static void end_helper(void)
{
	CHECK(close(orders[1]) == 0);
	reap(helper, 0);
}

/* ---- One, some, all let it in -------------------------------------------- */

static void one_open(void)
{
	int i, k;

	for (i = 1; i <= ALL; i++) {
		printf("thread %d\n", i);
		fflush(stdout);
		gather(i <= ASLEEP ? ASLEEP : ALL, SIGUSR1, 1u << i);
		for (k = 0; k < 6; k++) {
			STORE(ran_in, -1);
			if (k % 2)
				CHECK(kill(getpid(), SIGUSR1) == 0);
			else
				send_later(SIGUSR1, 0);
			wait_handled();
			CHECK_EQ(LOAD(ran_in), i);
			CHECK_EQ(LOAD(code), SI_USER);
		}
		disperse();
	}
}

/* Which of them is nobody's business; the handler sees that it may. */
static void some_open(unsigned which, int main_too)
{
	int rt = SIGRTMIN, i;
	long sum = 0;

	for (i = 0; i < 2; i++) {
		gather(i ? ALL : ASLEEP, rt, which);
		if (main_too)
			let_in(rt);
		for (sum = 1; sum <= rounds; sum++) {
			send_later(rt, (int)sum);
			wait_handled();
			CHECK_EQ(LOAD(value), sum);
			CHECK_EQ(LOAD(code), SI_QUEUE);
		}
		keep_out(rt);
		disperse();
	}
}

/* Only main lets it in: main's own waits are ended. */
static int back;
static void *keeps_sending(void *arg)
{
	(void)arg;
	while (!LOAD(back)) {
		CHECK(kill(getpid(), SIGUSR1) == 0);
		usleep(50);
	}
	return NULL;
}

static void main_open(void)
{
	pthread_t t;
	int i, n;

	gather(ALL, SIGUSR1, 0);
	for (i = 0; i < 4; i++) {
		STORE(back, 0);
		n = LOAD(runs);
		t = start(keeps_sending, NULL);
		let_in(SIGUSR1);
		switch (i) {
		case 0:
			ERR(EINTR, pause());
			break;
		case 1:
			CHECK(sleep(600) > 0);
			break;
		case 2:
			ERR(EINTR, nanosleep(&far, NULL));
			break;
		case 3:
			ERR(EINTR, sem_wait(&sem));
			break;
		}
		keep_out(SIGUSR1);
		CHECK(LOAD(runs) > n);
		CHECK_EQ(LOAD(ran_in), 0);
		STORE(back, 1);
		join(t);
		let_in(SIGUSR1);
		keep_out(SIGUSR1);
	}
	while (sem_trywait(&handled) == 0)
		;
	disperse();
}

/* ---- Children ------------------------------------------------------------ */

static int reaped, statuses;
static void reaps(int sig, siginfo_t *si, void *context)
{
	int e = errno, status;

	(void)si, (void)context;
	CHECK(sigismember(&open_set, sig));
	while (waitpid(-1, &status, WNOHANG) > 0) {
		CHECK(WIFEXITED(status));
		ADD(statuses, WEXITSTATUS(status));
		ADD(reaped, 1);
		CHECK(sem_post(&handled) == 0);
	}
	errno = e;
}

static void *forks(void *arg)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		_exit((int)(long)arg);
	return NULL;
}

static void children(void)
{
	siginfo_t si;
	sigset_t set = SET(SIGCHLD);
	pthread_t t[10];
	pid_t pid;
	long i;

	gather(ALL, SIGCHLD, 1u << 2 | 1u << 3);
	install(SIGCHLD, reaps, SA_RESTART | SA_NOCLDSTOP);
	for (i = 0; i < 10; i++)
		t[i] = start(forks, (void *)i);
	for (i = 0; i < 10; i++)
		join(t[i]);
	for (i = 0; i < 10; i++)
		wait_handled();
	CHECK_EQ(reaped, 10);
	CHECK_EQ(statuses, 45);
	disperse();
	/* Fetched where the default would throw it away. */
	CHECK(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
	no_more(SIGCHLD);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(5);
	CHECK_EQ(sigwaitinfo(&set, &si), SIGCHLD);
	CHECK_EQ(si.si_code, CLD_EXITED);
	CHECK_EQ(si.si_pid, pid);
	CHECK_EQ(si.si_status, 5);
	reap(pid, 5);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		rounds = atoi(argv[1]);
	start_helper();
	begin_crowd(SET(SIGUSR1, SIGRTMIN));
	section("one lets it in");
	one_open();
	section("two do");
	some_open(1u << 2 | 1u << 5, 0);
	section("all do");
	some_open(~0u, 1);
	section("main does");
	main_open();
	section("children");
	children();
	end_helper();
	return 0;
}
