/*
 * sig_self - a process sends signals to itself, by every name that it has: as
 * long as its main thread lets them in and is the sender, the handler has run
 * when the call returns; from wherever main goes on after others have run.
 * So it has to any thread that lets it in alone.
 */
#include "sigcheck.h"
#include <fcntl.h>
#include <sys/pidfd.h>

static volatile sig_atomic_t runs, code, value;
static int pidfd, procfd;

static void handler(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)context;
	runs++;
	code = si->si_code;
	value = si->si_value.sival_int;
}

static siginfo_t made(int n)
{
	siginfo_t si = { .si_signo = SIGUSR1, .si_code = SI_QUEUE };

	si.si_value.sival_int = n;
	return si;
}

/* Each by its number; the code that the handler sees. */
enum { WAYS = 14, GROUP_FIRST = 1, GROUP_LAST = 4, GROUPS = 300 };
static int sends(int way)
{
	siginfo_t si = made(way);
	int me = getpid();

	switch (way) {
	case 0:
		CHECK(kill(me, SIGUSR1) == 0);
		return SI_USER;
	case 1:
		CHECK(kill(0, SIGUSR1) == 0);
		return SI_USER;
	case 2:
		CHECK(kill(-getpgrp(), SIGUSR1) == 0);
		return SI_USER;
	case 3:
		CHECK(killpg(0, SIGUSR1) == 0);
		return SI_USER;
	case 4:
		CHECK(killpg(getpgrp(), SIGUSR1) == 0);
		return SI_USER;
	case 5:
		CHECK(sigqueue(me, SIGUSR1, si.si_value) == 0);
		return SI_QUEUE;
	case 6:
		CHECK(pidfd_send_signal(pidfd, SIGUSR1, NULL, 0) == 0);
		return SI_USER;
	case 7:
		CHECK(pidfd_send_signal(procfd, SIGUSR1, &si, 0) == 0);
		return SI_QUEUE;
	case 8:
		CHECK(syscall(SYS_kill, me, SIGUSR1) == 0);
		return SI_USER;
	case 9:
		CHECK(syscall(SYS_rt_sigqueueinfo, me, SIGUSR1, &si) == 0);
		return SI_QUEUE;
	case 10:
		CHECK(syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, &si, 0) ==
		      0);
		return SI_QUEUE;
	case 11:
		CHECK(syscall(SYS_rt_tgsigqueueinfo, me, gettid(), SIGUSR1,
			      &si) == 0);
		return SI_QUEUE;
	case 12:
		CHECK(syscall(SYS_tgkill, me, gettid(), SIGUSR1) == 0);
		return SI_TKILL;
	default:
		CHECK(raise(SIGUSR1) == 0);
		return SI_TKILL;
	}
}

static void once_each(void)
{
	int way, want;

	for (way = 0; way < WAYS; way++) {
		runs = code = value = 0;
		want = sends(way);
		if (runs != 1 || code != want)
			check_fail(__FILE__, __LINE__,
				   "way %d: %d runs, code %d, not %d", way,
				   (int)runs, (int)code, want);
		if (want == SI_QUEUE)
			CHECK_EQ(value, way);
	}
}

/* To a thread that is not the sender, of a made siginfo_t. */
static void *waits(void *arg)
{
	sigset_t set = SET(SIGUSR2);
	siginfo_t si;

	STORE(*(int *)arg, gettid());
	CHECK_EQ(sigwaitinfo(&set, &si), SIGUSR2);
	CHECK_EQ(si.si_value.sival_int, 77);
	return arg;
}

static void to_thread(void)
{
	siginfo_t si = made(77);
	int tid = 0;
	pthread_t t = start(waits, &tid);

	YIELD_UNTIL(LOAD(tid));
	CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGUSR2, &si) == 0);
	CHECK(join(t) == &tid);
}

static int napping, stop;
static void *naps(void *arg)
{
	ADD(napping, 1);
	while (!LOAD(stop))
		usleep(100);
	return arg;
}

/*
 * A thread is not begun before its first line: natively it lets in what its
 * creator did only there, and a signal to the process that just then is on
 * its way to main may be taken by it instead (1 of 100 starts).
 */
static void start_naps(pthread_t t[3])
{
	int i;

	STORE(napping, 0);
	for (i = 0; i < 3; i++)
		t[i] = start(naps, NULL);
	YIELD_UNTIL(LOAD(napping) == 3);
}

/* It sleeps in the kernel, where no thread library sees it; others run. */
static void away(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		usleep(1000);
		_exit(0);
	}
	reap(pid, 0);
}

static void to_group(int times)
{
	int i, way;

	for (i = 0; i < times; i++)
		for (way = GROUP_FIRST; way <= GROUP_LAST; way++) {
			runs = 0;
			sends(way);
			CHECK_EQ(runs, 1);
		}
}

static void *lets_in_alone(void *arg)
{
	unblock(SIGUSR1);
	once_each();
	to_group(GROUPS);
	return arg;
}

int main(void)
{
	pthread_t t[3];
	int i;

	if (getpgrp() != getpid())
		CHECK(setpgid(0, 0) == 0);
	install_with(SIGUSR1, handler, SA_RESTART, SET());
	block(SIGUSR2);
	pidfd = pidfd_open(getpid(), 0);
	procfd = open("/proc/self/.", O_RDONLY | O_DIRECTORY);
	CHECK(pidfd >= 0 && procfd >= 0);

	section("before any thread");
	once_each();

	section("beside others");
	start_naps(t);
	for (i = 0; i < 100; i++) {
		once_each();
		if (i % 2)
			away();
		else
			usleep(300);
	}
	to_thread();
	to_group(GROUPS);

	section("that one thread lets in");
	STORE(stop, 1);
	for (i = 0; i < 3; i++)
		join(t[i]);
	STORE(stop, 0);
	block(SIGUSR1);
	start_naps(t);
	join(start(lets_in_alone, NULL));
	unblock(SIGUSR1);
	STORE(stop, 1);
	for (i = 0; i < 3; i++)
		join(t[i]);
	once_each();

	section("what is wrong is the kernel's to say");
	ERR(EBADF, pidfd_send_signal(0, SIGUSR1, NULL, 0));
	ERR(EINVAL, pidfd_send_signal(pidfd, SIGUSR1, NULL, 64));
	ERR(EINVAL, kill(getpid(), 65));
	ERR(EINVAL, killpg(-1, SIGUSR1));
	ERR(ESRCH, syscall(SYS_rt_tgsigqueueinfo, getpid(), 0x7ffffff0,
			   SIGUSR1, &(siginfo_t){ .si_code = SI_QUEUE }));
	return 0;
}
