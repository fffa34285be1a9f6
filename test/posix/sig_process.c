/*
 * sig_process - a signal sent to the process: its handler runs in some thread
 * that does not block it, asleep or not, and be it the only one; blocked by
 * all it waits until one unblocks or fetches it; with no handler it does what
 * its default says while all threads sleep.  From kill(), timers and children.
 */
#include "sigcheck.h"
#include <poll.h>
#include <semaphore.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/time.h>

static int rounds = 20;
static const struct timespec far = { 600, 0 };

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

/* ---- A crowd, each elsewhere --------------------------------------------- */

static __thread int number;	   /* of this thread, 0 for main */
static __thread sigset_t open_set; /* what it lets in */

static int ran_in, runs, code, value;
static sem_t handled;

static void handler(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	int e = errno;

	CHECK(!sigismember(&uc->uc_sigmask, sig));
	CHECK(sigismember(&open_set, sig));
	CHECK(blocked(sig));
	STORE(ran_in, number);
	STORE(code, si->si_code);
	STORE(value, si->si_value.sival_int);
	ADD(runs, 1);
	CHECK(sem_post(&handled) == 0);
	errno = e;
}

static void wait_handled(void)
{
	while (sem_wait(&handled) < 0)
		CHECK_EQ(errno, EINTR);
}

/* SIGUSR2 is for ending a sleep, nothing else. */
static void kicked(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
}

static void let_in(int sig)
{
	CHECK(sigaddset(&open_set, sig) == 0);
	unblock(sig);
}

static void keep_out(int sig)
{
	block(sig);
	CHECK(sigdelset(&open_set, sig) == 0);
}

static int stop, there, left[10];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static int pipefd[2];
static unsigned opens; /* bit i: thread i lets the signal in */
static int opens_for;

static void *wait_sem(void *arg)
{
	while (sem_wait(&sem) < 0)
		CHECK_EQ(errno, EINTR);
	return arg;
}

static void in_place(int i)
{
	struct pollfd p = { pipefd[0], POLLIN, 0 };
	sigset_t was = mask_now();
	volatile unsigned long n = 0;
	pthread_t t;

	switch (i) {
	case 1:
		while (!LOAD(stop))
			nanosleep(&far, NULL);
		break;
	case 2:
		OK(pthread_mutex_lock(&lock));
		while (!stop)
			OK(pthread_cond_wait(&cond, &lock));
		OK(pthread_mutex_unlock(&lock));
		break;
	case 3:
		wait_sem(NULL);
		break;
	case 4:
		while (poll(&p, 1, -1) < 0)
			CHECK_EQ(errno, EINTR);
		break;
	case 5:
		set_mask(full_set());
		t = start(wait_sem, NULL);
		set_mask(was);
		join(t);
		break;
	case 6:
		while (!LOAD(stop))
			pause();
		break;
	case 7:
		while (!LOAD(stop))
			sched_yield();
		break;
	case 8:
		while (!LOAD(stop))
			n++;
		break;
	}
}

static void *stands(void *arg)
{
	number = (int)(long)arg;
	open_set = SET();
	if (opens >> number & 1)
		let_in(opens_for);
	unblock(SIGUSR2);
	ADD(there, 1);
	in_place(number);
	STORE(left[number], 1);
	return NULL;
}

/*
 * Threads 1 to n; those in the set let the signal in, others do not.  The
 * first six are asleep, and main is when it waits for what was handled.
 */
enum { ASLEEP = 6, ALL = 8 };
static pthread_t crowd[10];
static int in_crowd;
static void gather(int n, int sig, unsigned which)
{
	long i;

	STORE(stop, 0);
	STORE(there, 0);
	memset(left, 0, sizeof(left));
	CHECK(sem_init(&sem, 0, 0) == 0 && pipe(pipefd) == 0);
	opens_for = sig;
	opens = which;
	in_crowd = n;
	for (i = 1; i <= n; i++)
		crowd[i] = start(stands, (void *)i);
	NAP_UNTIL(LOAD(there) == n);
}

static void disperse(void)
{
	int i;

	STORE(stop, 1);
	OK(pthread_mutex_lock(&lock));
	OK(pthread_cond_broadcast(&cond));
	OK(pthread_mutex_unlock(&lock));
	CHECK(write(pipefd[1], "x", 1) == 1);
	for (i = 0; i < 2; i++) /* the third's, and what the fifth joins */
		CHECK(sem_post(&sem) == 0);
	for (i = 1; i <= in_crowd; i++) {
		while (!LOAD(left[i])) {
			OK(pthread_kill(crowd[i], SIGUSR2));
			usleep(50);
		}
		join(crowd[i]);
	}
	CHECK(close(pipefd[0]) == 0 && close(pipefd[1]) == 0);
	CHECK(sem_destroy(&sem) == 0);
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

/* ---- Timers -------------------------------------------------------------- */

static void ticks(int sig, int want_code, int want_value, int n)
{
	int i;

	(void)sig;
	for (i = 0; i < n; i++) {
		wait_handled();
		CHECK_EQ(LOAD(code), want_code);
		if (want_value)
			CHECK_EQ(LOAD(value), want_value);
	}
}

/* The last ticks come when nobody waits for them any more. */
static void no_more(int sig)
{
	struct timespec none = { 0, 0 };
	sigset_t set = SET(sig);

	while (sigtimedwait(&set, NULL, &none) > 0)
		;
	while (sem_trywait(&handled) == 0)
		;
}

static void timers(int n, unsigned which)
{
	struct itimerspec often = { { 0, 1000000 }, { 0, 1000000 } };
	struct itimerval tv = { { 0, 1000 }, { 0, 1000 } }, zero;
	struct sigevent event;
	int rt = SIGRTMIN + 1;
	timer_t timer;

	memset(&zero, 0, sizeof(zero));
	memset(&event, 0, sizeof(event));
	event.sigev_notify = SIGEV_SIGNAL;
	event.sigev_signo = rt;
	event.sigev_value.sival_int = 77;
	gather(n, rt, which);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	CHECK(timer_settime(timer, 0, &often, NULL) == 0);
	ticks(rt, SI_TIMER, 77, 10);
	CHECK(timer_delete(timer) == 0);
	disperse();
	no_more(rt);

	gather(n, SIGALRM, which);
	CHECK(setitimer(ITIMER_REAL, &tv, NULL) == 0);
	ticks(SIGALRM, SI_KERNEL, 0, 10);
	CHECK(setitimer(ITIMER_REAL, &zero, NULL) == 0);
	disperse();
	no_more(SIGALRM);
}

/* They count processor time, so somebody has to compute. */
static void work_timers(unsigned which)
{
	static const int kind[] = { ITIMER_PROF, ITIMER_VIRTUAL };
	static const int sig[] = { SIGPROF, SIGVTALRM };
	struct itimerval tv = { { 0, 1000 }, { 0, 1000 } }, zero;
	int i;

	memset(&zero, 0, sizeof(zero));
	for (i = 0; i < 2; i++) {
		gather(ALL, sig[i], which);
		CHECK(setitimer(kind[i], &tv, NULL) == 0);
		ticks(sig[i], SI_KERNEL, 0, 5);
		CHECK(setitimer(kind[i], &zero, NULL) == 0);
		disperse();
		no_more(sig[i]);
	}
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

/* ---- Blocked by all ------------------------------------------------------ */

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

static void blocked_by_all(void)
{
	struct timespec none = { 0, 0 }, bad = { 0, -1 };
	sigset_t set = SET(SIGRTMIN, SIGRTMIN + 1);
	struct signalfd_siginfo fsi[4];
	union sigval v;
	pthread_t t[6];
	siginfo_t si;
	long i, sum;
	int fd;

	gather(ALL, SIGUSR1, 0);
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
	for (i = 0; i < 8; i++) {
		v.sival_int = 100 + i % 4;
		CHECK(sigqueue(getpid(), SIGUSR1, v) == 0);
		join(start(fetches, (void *)(i % 4)));
	}
	t[0] = start(mine, NULL);
	OK(pthread_kill(t[0], SIGUSR1));
	CHECK(!pending(SIGUSR1));
	STORE(directed, 1);
	join(t[0]);

	section("in order");
	for (i = 0; i < 6; i++) {
		v.sival_int = i;
		CHECK(sigqueue(getpid(), SIGRTMIN + !(i & 1), v) == 0);
	}
	for (i = 0; i < 6; i++) {
		CHECK_EQ(sigwaitinfo(&set, &si), SIGRTMIN + i / 3);
		CHECK_EQ(si.si_value.sival_int, i < 3 ? 2 * i + 1 : 2 * i - 6);
	}
	ERR(EAGAIN, sigtimedwait(&set, &si, &none));
	ERR(EINVAL, sigtimedwait(&set, &si, &bad));
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	CHECK(fd >= 0);
	ERR(EAGAIN, read(fd, fsi, sizeof(fsi)));
	for (i = 0; i < 3; i++) {
		v.sival_int = i;
		CHECK(sigqueue(getpid(), SIGRTMIN, v) == 0);
	}
	CHECK_EQ(read(fd, fsi, sizeof(fsi)), 3 * sizeof(fsi[0]));
	for (i = 0; i < 3; i++)
		CHECK_EQ(fsi[i].ssi_int, i);
	CHECK(close(fd) == 0);

	section("each to one");
	for (i = 0; i < 6; i++)
		t[i] = start(fetches_many, (void *)i);
	YIELD_UNTIL(LOAD(fetchers) == 6);
	for (i = 1, sum = 0; i <= 10 * rounds; i++) {
		v.sival_int = i;
		sum += i;
		CHECK(sigqueue(getpid(), SIGRTMIN, v) == 0);
		if (i % 10 == 0)
			usleep(20);
	}
	v.sival_int = 0;
	for (i = 0; i < 6; i++)
		CHECK(sigqueue(getpid(), SIGRTMIN, v) == 0);
	for (i = 0; i < 6; i++)
		join(t[i]);
	CHECK_EQ(fetched, sum);
	CHECK(!pending(SIGRTMIN));
	disperse();
}

/* ---- Defaults, in children made before any thread ------------------------ */

static int to_child[2], from_child[2];
static int victim, lets_in;

static void *undisturbed(void *arg)
{
	struct pollfd p = { -1, 0, 0 };
	char c;

	ADD(there, 1);
	switch ((int)(long)arg) {
	case 0:
		if (lets_in == 1)
			unblock(victim);
		nanosleep(&far, NULL);
		break;
	case 1:
		OK(pthread_mutex_lock(&lock));
		while (1)
			OK(pthread_cond_wait(&cond, &lock));
	case 2:
		sem_wait(&sem);
		break;
	case 3:
		poll(&p, 1, -1);
		break;
	case 4:
		pause();
		break;
	case 5:
		CHECK_EQ(read(to_child[0], &c, 1), 1);
		if (c == 'u')
			unblock(victim);
		else
			_exit(7);
		break;
	}
	/* Nothing above may come back. */
	_exit(8);
}

/* How many let it in: all, one that sleeps, none. */
enum { OPEN_ALL, OPEN_ONE, OPEN_NONE };
static pid_t child_of(int sig, int open)
{
	char c = 'r';
	pid_t pid;
	long i;

	CHECK(pipe(to_child) == 0 && pipe(from_child) == 0);
	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid)
		goto parent;
	victim = sig;
	lets_in = open;
	CHECK(sem_init(&sem, 0, 0) == 0);
	set_mask(open == OPEN_ALL ? SET() : full_set());
	for (i = 0; i < 6; i++)
		start(undisturbed, (void *)i);
	YIELD_UNTIL(LOAD(there) == 6);
	usleep(300);
	CHECK(write(from_child[1], &c, 1) == 1);
	pause();
	_exit(9);
parent:
	CHECK_EQ(read(from_child[0], &c, 1), 1);
	return pid;
}

static void tell(char c)
{
	CHECK(write(to_child[1], &c, 1) == 1);
}

static void killed(pid_t pid, int sig)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != sig)
		check_fail(__FILE__, __LINE__, "status %x, not signal %d",
			   status, sig);
	close(to_child[0]);
	close(to_child[1]);
	close(from_child[0]);
	close(from_child[1]);
}

static void ends_well(pid_t pid)
{
	tell('x');
	reap(pid, 7);
	close(to_child[0]);
	close(to_child[1]);
	close(from_child[0]);
	close(from_child[1]);
}

static void returns(int sig)
{
	(void)sig;
}

static void *aborts(void *arg)
{
	if (arg)
		set_mask(full_set());
	abort();
}

static void defaults(void)
{
	const int ends[] = { SIGTERM, SIGHUP,	    SIGALRM, SIGUSR1,
			     SIGKILL, SIGRTMIN + 5, SIGABRT, SIGSEGV };
	static const int nothing[] = { SIGCHLD, SIGWINCH, SIGURG, SIGCONT };
	int status, i;
	pid_t pid;

	for (i = 0; i < 8; i++) {
		pid = child_of(ends[i], OPEN_ALL);
		CHECK(kill(pid, ends[i]) == 0);
		killed(pid, ends[i]);
	}
	section("by default, one lets it in");
	for (i = 0; i < 2; i++) {
		pid = child_of(SIGTERM, OPEN_ONE);
		CHECK(kill(pid, SIGTERM) == 0);
		killed(pid, SIGTERM);
	}
	section("by default, nobody lets it in");
	pid = child_of(SIGTERM, OPEN_NONE);
	CHECK(kill(pid, SIGTERM) == 0);
	ends_well(pid);
	pid = child_of(SIGTERM, OPEN_NONE);
	CHECK(kill(pid, SIGTERM) == 0);
	tell('u');
	killed(pid, SIGTERM);
	section("by default nothing");
	pid = child_of(0, OPEN_ALL);
	for (i = 0; i < 4; i++)
		CHECK(kill(pid, nothing[i]) == 0);
	ends_well(pid);
	section("stopped");
	pid = child_of(0, OPEN_ALL);
	for (i = 0; i < 3; i++) {
		CHECK(kill(pid, i == 1 ? SIGTSTP : SIGSTOP) == 0);
		if (i == 1)
			continue; /* stops if somebody could continue it */
		CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
		CHECK(WIFSTOPPED(status));
		CHECK(kill(pid, SIGCONT) == 0);
		CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
		CHECK(WIFCONTINUED(status));
	}
	ends_well(pid);
	section("abort");
	for (i = 0; i < 2; i++) {
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			CHECK(signal(SIGABRT, i ? SIG_IGN : returns) !=
			      SIG_ERR);
			start(aborts, i ? &stop : NULL);
			while (1)
				pause();
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

/* ---- Another program, started from a thread ------------------------------ */

static char *self;
static int executed(const char *how)
{
	struct sigaction act;

	CHECK(sigaction(SIGTERM, NULL, &act) == 0);
	CHECK(act.sa_handler == SIG_DFL);
	CHECK(sigaction(SIGHUP, NULL, &act) == 0);
	CHECK((act.sa_handler == SIG_IGN) == (how[0] != 'a'));
	CHECK(blocked(SIGUSR1) == (how[0] != 'a'));
	CHECK(blocked(SIGWINCH) == (how[0] == 'a'));
	CHECK(!blocked(SIGUSR2) && !blocked(SIGRTMIN));
	CHECK(pending(SIGUSR1) == (how[0] == 'f'));
	return 0;
}

static void *executes(void *arg)
{
	static const char *const how[] = { "fork", "spawn", "attributes" };
	sigset_t mask = SET(SIGUSR1, SIGTERM, SIGALRM), other = SET(SIGWINCH),
		 hup = SET(SIGHUP);
	posix_spawnattr_t attr;
	char *args[4] = { self, (char *)"executed", NULL, NULL };
	pid_t pid;
	int i;

	set_mask(mask);
	for (i = 0; i < 3; i++) {
		args[2] = (char *)how[i];
		if (i == 0) {
			pid = fork();
			CHECK(pid >= 0);
			if (pid == 0) {
				CHECK(raise(SIGUSR1) == 0);
				execve("/proc/self/exe", args, environ);
				CHECK(!"executed");
			}
		} else {
			OK(posix_spawnattr_init(&attr));
			OK(posix_spawnattr_setflags(
				&attr, POSIX_SPAWN_SETSIGMASK |
					       POSIX_SPAWN_SETSIGDEF));
			OK(posix_spawnattr_setsigmask(&attr, &other));
			OK(posix_spawnattr_setsigdefault(&attr, &hup));
			CHECK_EQ(posix_spawn(&pid, "/proc/self/exe", NULL,
					     i == 1 ? NULL : &attr, args,
					     environ),
				 0);
			OK(posix_spawnattr_destroy(&attr));
		}
		reap(pid, 0);
		/* And the thread is as it was. */
		other = mask_now();
		CHECK(same_set(&other, &mask));
		other = SET(SIGWINCH);
		sched_yield();
	}
	return arg;
}

int main(int argc, char **argv)
{
	const struct rlimit no_core = { 0, 0 };
	const int caught[] = { SIGUSR1, SIGRTMIN, SIGRTMIN + 1,
			       SIGALRM, SIGPROF,  SIGVTALRM };
	size_t i;

	if (argc > 2 && strcmp(argv[1], "executed") == 0)
		return executed(argv[2]);
	self = argv[0];
	if (argc > 1)
		rounds = atoi(argv[1]);
	CHECK(setrlimit(RLIMIT_CORE, &no_core) == 0);
	open_set = SET();
	section("by default");
	defaults();
	set_mask(full_set());
	start_helper();
	CHECK(sem_init(&handled, 0, 0) == 0);
	for (i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		install(caught[i], handler, 0);
	install(SIGUSR2, kicked, 0);
	section("timers");
	timers(ASLEEP, 1u << 2);
	timers(ALL, 1u << 8);
	timers(ALL, ~0u);
	work_timers(1u << 8);
	work_timers(1u << 1);
	/* Blocked until it is asked for, at the end. */
	CHECK(alarm(1) == 0);
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
	section("blocked by all");
	blocked_by_all();
	section("another program");
	CHECK(signal(SIGHUP, SIG_IGN) != SIG_ERR);
	install(SIGTERM, handler, 0);
	join(start(executes, NULL));
	section("alarm");
	gather(ASLEEP, SIGALRM, 1u << 6);
	wait_handled();
	CHECK_EQ(LOAD(ran_in), 6);
	disperse();
	end_helper();
	return 0;
}
