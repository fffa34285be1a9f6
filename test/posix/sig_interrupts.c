/*
 * sig_interrupts - which calls a handler interrupts, with SA_RESTART and without, and
 * which go on; and that a signal without a handler disturbs none.
 */
#include "bystanders.h"
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <threads.h>

static int pipefd[2], epfd;
static sem_t sem;
static const struct timespec far = { 600, 0 };

static int in_read(void)
{
	char c;

	return read(pipefd[0], &c, 1);
}

static int in_sem_wait(void)
{
	return sem_wait(&sem);
}

static int in_waitpid(void)
{
	static __thread pid_t pid;
	int ret;

	if (!pid) {
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			set_mask(full_set());
			_exit(in_read());
		}
	}
	ret = waitpid(pid, NULL, 0);
	if (ret != -1) {
		CHECK_EQ(ret, pid);
		pid = 0;
		return 1;
	}
	return ret;
}

static int in_nanosleep(void)
{
	struct timespec rest = { -1, -1 };
	int ret = nanosleep(&far, &rest);

	CHECK(rest.tv_sec >= 0 && rest.tv_sec <= 600 && rest.tv_nsec >= 0);
	return ret;
}

static int in_clock_nanosleep(void)
{
	struct timespec end = far_off(CLOCK_MONOTONIC), rest = { 7, 7 };
	int ret = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, &rest);

	CHECK(rest.tv_sec == 7 && rest.tv_nsec == 7);
	errno = ret;
	return ret ? -1 : 0;
}

static int in_usleep(void)
{
	return usleep(600 * 1000000u);
}

static int in_sleep(void)
{
	unsigned rest = sleep(600);

	/* To the nearest second, so possibly all of them. */
	CHECK(rest > 0 && rest <= 600);
	errno = EINTR;
	return -1;
}

static int in_thrd_sleep(void)
{
	struct timespec rest = { -1, -1 };
	int ret = thrd_sleep(&far, &rest);

	CHECK(rest.tv_sec >= 0);
	errno = EINTR;
	return ret;
}

static int in_sem_timedwait(void)
{
	struct timespec end = far_off(CLOCK_REALTIME);

	return sem_timedwait(&sem, &end);
}

static int in_sem_clockwait(void)
{
	struct timespec end = far_off(CLOCK_MONOTONIC);

	return sem_clockwait(&sem, CLOCK_MONOTONIC, &end);
}

static int in_poll(void)
{
	struct pollfd p = { pipefd[0], POLLIN, 0 };

	return poll(&p, 1, 600 * 1000);
}

static int in_ppoll(void)
{
	struct pollfd p = { pipefd[0], POLLIN, 0 };

	return ppoll(&p, 1, NULL, NULL);
}

static int in_select(void)
{
	struct timeval t = { 600, 0 };
	fd_set in;

	FD_ZERO(&in);
	FD_SET(pipefd[0], &in);
	return select(pipefd[0] + 1, &in, NULL, NULL, &t);
}

static int in_pselect(void)
{
	sigset_t now = mask_now();

	return pselect(0, NULL, NULL, NULL, &far, &now);
}

static int in_epoll_wait(void)
{
	struct epoll_event event;

	return epoll_wait(epfd, &event, 1, -1);
}

static int in_pause(void)
{
	return pause();
}

static int in_sigsuspend(void)
{
	sigset_t now = mask_now();

	return sigsuspend(&now);
}

static int in_sigwaitinfo(void)
{
	sigset_t other = SET(SIGWINCH);

	return sigwaitinfo(&other, NULL);
}

static void give_byte(void)
{
	CHECK(write(pipefd[1], "x", 1) == 1);
}

static void give_post(void)
{
	CHECK(sem_post(&sem) == 0);
}

static const struct call {
	const char *name;
	int (*in)(void);
	void (*give)(void); /* with SA_RESTART it goes on until given this */
} calls[] = {
	{ "in_read", in_read, give_byte },
	{ "in_sem_wait", in_sem_wait, give_post },
	{ "in_waitpid", in_waitpid, give_byte },
	{ "in_nanosleep", in_nanosleep, NULL },
	{ "in_clock_nanosleep", in_clock_nanosleep, NULL },
	{ "in_usleep", in_usleep, NULL },
	{ "in_sleep", in_sleep, NULL },
	{ "in_thrd_sleep", in_thrd_sleep, NULL },
	{ "in_sem_timedwait", in_sem_timedwait, NULL },
	{ "in_sem_clockwait", in_sem_clockwait, NULL },
	{ "in_poll", in_poll, NULL },
	{ "in_ppoll", in_ppoll, NULL },
	{ "in_select", in_select, NULL },
	{ "in_pselect", in_pselect, NULL },
	{ "in_epoll_wait", in_epoll_wait, NULL },
	{ "in_pause", in_pause, NULL },
	{ "in_sigsuspend", in_sigsuspend, NULL },
	{ "in_sigwaitinfo", in_sigwaitinfo, NULL },
};

static int restart, entered, done, handled;
static pthread_t inside_thread;

static void counts(int sig)
{
	int e = errno;

	(void)sig;
	CHECK(pthread_equal(pthread_self(), inside_thread));
	ADD(handled, 1);
	CHECK(close(-1) < 0);
	errno = e;
}

static void *calls_it(void *arg)
{
	const struct call *call = arg;
	int ret;

	inside_thread = pthread_self();
	unblock(SIGUSR1);
	STORE(entered, 1);
	errno = 0;
	ret = call->in();
	if (restart && call->give) {
		CHECK_EQ(ret, 1 - (call->in == in_sem_wait));
		STORE(done, 1);
		return NULL;
	}
	CHECK_EQ(ret, -1);
	CHECK_EQ(errno, EINTR);
	STORE(done, 1);
	if (call->in == in_waitpid) {
		/* The child is still to be reaped. */
		give_byte();
		while (call->in() < 0)
			CHECK_EQ(errno, EINTR);
	}
	return NULL;
}

static void interrupted(const struct call *call, int with_restart)
{
	struct sigaction act;
	pthread_t t;
	int i, n;

	memset(&act, 0, sizeof(act));
	act.sa_handler = counts;
	act.sa_flags = with_restart ? SA_RESTART : 0;
	CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
	block(SIGWINCH);
	section(call->name);
	restart = with_restart;
	STORE(entered, 0);
	STORE(done, 0);
	t = start(calls_it, (void *)call);
	NAP_UNTIL(LOAD(entered));
	if (restart && call->give) {
		for (i = 0; i < 10; i++) {
			usleep(100);
			n = LOAD(handled);
			OK(pthread_kill(t, SIGUSR1));
			NAP_UNTIL(LOAD(handled) > n);
		}
		CHECK(!LOAD(done));
		call->give();
	} else {
		/* It may not be there yet, so until it says so. */
		while (!LOAD(done)) {
			OK(pthread_kill(t, SIGUSR1));
			usleep(50);
		}
	}
	join(t);
	unblock(SIGWINCH);
	CHECK(signal(SIGUSR1, SIG_DFL) == counts);
}

static void *sleeps(void *arg)
{
	struct timespec t = { 0, 5000000 }, end = in_ms(CLOCK_MONOTONIC, 5);

	STORE(entered, 1);
	CHECK(nanosleep(&t, NULL) == 0);
	CHECK(reached(CLOCK_MONOTONIC, &end));
	STORE(done, 1);
	return arg;
}

static void interrupts(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	sigset_t was = mask_now();
	size_t i;

	/* The threads unblock it for themselves. */
	block(SIGUSR1);
	CHECK(pipe(pipefd) == 0 && sem_init(&sem, 0, 0) == 0);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	CHECK(epfd >= 0);
	CHECK(epoll_ctl(epfd, EPOLL_CTL_ADD, pipefd[0], &event) == 0);
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		interrupted(&calls[i], 0);
		interrupted(&calls[i], 1);
	}
	CHECK(close(epfd) == 0);
	CHECK(close(pipefd[0]) == 0 && close(pipefd[1]) == 0);
	set_mask(was);
}

/* One that is ignored, and one by default, disturb nobody. */
static void disturbs_nobody(void)
{
	pthread_t t;

	CHECK(signal(SIGUSR1, SIG_IGN) == SIG_DFL);
	STORE(entered, 0);
	STORE(done, 0);
	t = start(sleeps, NULL);
	NAP_UNTIL(LOAD(entered));
	while (!LOAD(done)) {
		OK(pthread_kill(t, SIGUSR1));
		OK(pthread_kill(t, SIGWINCH));
		usleep(100);
	}
	join(t);
	CHECK(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
}

int main(void)
{
	signal(SIGUSR1, SIG_DFL);
	begin_bystanders();
	section("interrupted calls");
	interrupts();
	section("ignored");
	disturbs_nobody();
	end_bystanders();
	return 0;
}
