/*
 * sig_lost - no signal for the process is lost: not one that comes in the
 * middle of what else the only thread that lets it in is doing, not one that
 * was meant for a thread which exits before it runs the handler, and not one
 * for a thread that has let it in while all others slept.
 *
 * sig_lost [milliseconds]
 */
#include "check.h"
#include <semaphore.h>
#include <signal.h>

static sem_t handled[2];
static int stop, sent[2];
static int ran; /* one handler may interrupt the other */

static void on_signal(int sig)
{
	ADD(ran, 1);
	CHECK(sem_post(&handled[sig == SIGUSR2]) == 0);
}

/* The next one when the handler of the last has run. */
static void *sends(void *arg)
{
	int which = (int)(long)arg;
	struct timespec t;

	while (!LOAD(stop)) {
		t = in_ms(CLOCK_REALTIME, 5000);
		CHECK(sem_timedwait(&handled[which], &t) == 0);
		CHECK(kill(getpid(), which ? SIGUSR2 : SIGUSR1) == 0);
		sent[which]++;
	}
	return NULL;
}

static sigset_t both;

/* Takes locks, a process-shared one every other time. */
static void *lets_in(void *arg)
{
	pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER, shared, *m = &own;
	pthread_mutexattr_t attr;

	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED));
	OK(pthread_mutex_init(&shared, &attr));
	OK(pthread_sigmask(SIG_UNBLOCK, &both, NULL));
	while (LOAD(stop) < 2) {
		OK(pthread_mutex_trylock(m));
		RET(EBUSY, pthread_mutex_trylock(m));
		OK(pthread_mutex_unlock(m));
		m = m == &own ? &shared : &own;
	}
	return arg;
}

static void *lets_in_and_exits(void *arg)
{
	OK(pthread_sigmask(SIG_UNBLOCK, &both, NULL));
	sched_yield();
	return arg;
}

static void *sends_one(void *arg)
{
	CHECK(kill(getpid(), SIGUSR1) == 0);
	return arg;
}

/* Long enough for everything in the process to lie still. */
#define STILL_US 100000

static sem_t go;

static void *wakes_and_lets_in(void *arg)
{
	usleep(STILL_US);
	OK(pthread_sigmask(SIG_UNBLOCK, &both, NULL));
	while (sem_wait(&go))
		CHECK_EQ(errno, EINTR);
	return arg;
}

/* From a child that does not exit before: that would be another signal. */
static void while_asleep(void)
{
	pthread_t t;
	pid_t child;
	int end[2];
	char c;

	CHECK(pipe(end) == 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		usleep(3 * STILL_US);
		_exit(kill(getppid(), SIGUSR1) != 0 || read(end[0], &c, 1) != 1);
	}
	t = start(wakes_and_lets_in, NULL);
	while (sem_wait(&handled[0]))
		CHECK_EQ(errno, EINTR);
	CHECK(sem_post(&go) == 0);
	join(t);
	CHECK(write(end[1], "x", 1) == 1);
	reap(child, 0);
	CHECK(close(end[0]) == 0 && close(end[1]) == 0);
}

int main(int argc, char **argv)
{
	int ms = argc > 1 ? atoi(argv[1]) : 1500, i, taken = 0;
	struct timespec t, second = { 5, 0 };
	struct sigaction a = { .sa_handler = on_signal };
	pthread_t in, out[2];

	sigemptyset(&both);
	sigaddset(&both, SIGUSR1);
	sigaddset(&both, SIGUSR2);
	CHECK(sigaction(SIGUSR1, &a, NULL) == 0);
	CHECK(sigaction(SIGUSR2, &a, NULL) == 0);
	OK(pthread_sigmask(SIG_BLOCK, &both, NULL));

	section("in the middle of something");
	for (i = 0; i < 2; i++)
		CHECK(sem_init(&handled[i], 0, 1) == 0);
	in = start(lets_in, NULL);
	for (i = 0; i < 2; i++)
		out[i] = start(sends, (void *)(long)i);
	t = (struct timespec){ ms / 1000, ms % 1000 * 1000000l };
	while (nanosleep(&t, &t))
		CHECK_EQ(errno, EINTR);
	STORE(stop, 1);
	for (i = 0; i < 2; i++) {
		join(out[i]);
		CHECK(sent[i] > 0);
		while (sem_wait(&handled[i]))
			CHECK_EQ(errno, EINTR);
	}
	STORE(stop, 2);
	join(in);
	CHECK_EQ(ran, sent[0] + sent[1]);

	section("let in while all sleep");
	CHECK(sem_init(&go, 0, 0) == 0);
	for (i = 0; i < 3; i++)
		while_asleep();

	section("to one that exits");
	ran = 0;
	for (i = 0; i < ms * 2; i++) {
		in = start(lets_in_and_exits, NULL);
		out[0] = start(sends_one, NULL);
		join(in);
		join(out[0]);
		if (ran + taken == i + 1)
			continue;
		CHECK_EQ(ran + taken, i);
		CHECK_EQ(sigtimedwait(&both, NULL, &second), SIGUSR1);
		taken++;
	}
	return 0;
}
