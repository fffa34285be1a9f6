/*
 * keep - what the kernel knows of one thread is that thread's from begin to end, whatever
 * it waits for: credentials, namespaces, flags, filters.  Those that it creates have it
 * too, where the kernel hands it down; no other thread ever has it, not when that one has
 * ended either.  Numbers of threads are understood where the kernel takes one.  The parts
 * that need permission are left out silently without it.
 *
 * keep [rounds]
 */
#include "check.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <semaphore.h>
#include <stddef.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { N = 8, CLEAN = 4 };
static long rounds = 40;
static int root;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- Attributes ---------------------------------------------------------- */

static void set_slack(void)
{
	CHECK(prctl(PR_SET_TIMERSLACK, 77777) == 0);
}
static int has_slack(void)
{
	return prctl(PR_GET_TIMERSLACK) == 77777;
}

static void set_privs(void)
{
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
}
static int has_privs(void)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static void set_death(void)
{
	CHECK(syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGUSR2) == 0);
}
static int has_death(void)
{
	int sig = -1;

	CHECK(prctl(PR_GET_PDEATHSIG, &sig) == 0);
	return sig == SIGUSR2;
}

static void set_fsuid(void)
{
	CHECK_EQ(setfsuid(12345), 0);
}
static int has_fsuid(void)
{
	return setfsuid(-1) == 12345;
}

static void set_uid(void)
{
	CHECK(syscall(SYS_setresuid, -1, 23456, -1) == 0);
}
static int has_uid(void)
{
	return geteuid() == 23456;
}

static char host[64];
static void set_host(void)
{
	CHECK(unshare(CLONE_NEWUTS) == 0);
	CHECK(sethostname("elsewhere", 9) == 0);
}
static int has_host(void)
{
	char name[64];

	CHECK(gethostname(name, sizeof(name)) == 0);
	if (strcmp(name, "elsewhere") == 0)
		return 1;
	CHECK(strcmp(name, host) == 0);
	return 0;
}

static void set_umask(void)
{
	CHECK(unshare(CLONE_FS) == 0);
	umask(077);
}
static int has_umask(void)
{
	mode_t m;

	/* One place for all the others: not while they look. */
	OK(pthread_mutex_lock(&lock));
	m = umask(022);
	umask(m);
	OK(pthread_mutex_unlock(&lock));
	return m == 077;
}

static void set_filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(*code), code };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0);
}
static int has_filter(void)
{
	return syscall(SYS_getppid) == -1 && errno == EXDEV;
}

static void set_personality(void)
{
	CHECK(personality(ADDR_NO_RANDOMIZE) != -1);
}
static int has_personality(void)
{
	return personality(0xffffffff) == ADDR_NO_RANDOMIZE;
}

static void set_ioprio(void)
{
	/* The lowest of the ordinary ones. */
	CHECK(syscall(SYS_ioprio_set, 1, gettid(), 2 << 13 | 7) == 0);
}
static int has_ioprio(void)
{
	long by_tid = syscall(SYS_ioprio_get, 1, gettid());

	CHECK_EQ(syscall(SYS_ioprio_get, 1, 0), by_tid);
	return by_tid == (2 << 13 | 7);
}

static void set_mempolicy(void)
{
	/* Local, and prefer it: nothing changes but what is told. */
	CHECK(syscall(SYS_set_mempolicy, 4, NULL, 0) == 0);
}
static int has_mempolicy(void)
{
	int mode = -1;

	CHECK(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0) == 0);
	return mode == 4;
}

static const struct what {
	const char *name;
	void (*set)(void);
	int (*has)(void);
	int root, inherited;
} whats[] = {
	{ "timer slack", set_slack, has_slack, 0, 1 },
	{ "no new privileges", set_privs, has_privs, 0, 1 },
	{ "parent's death", set_death, has_death, 0, 0 },
	{ "file system user", set_fsuid, has_fsuid, 1, 1 },
	{ "effective user", set_uid, has_uid, 1, 1 },
	{ "host name", set_host, has_host, 1, 1 },
	{ "umask", set_umask, has_umask, 1, 1 },
	{ "filter", set_filter, has_filter, 0, 1 },
	{ "personality", set_personality, has_personality, 0, 1 },
	{ "priority of input and output", set_ioprio, has_ioprio, 0, 1 },
	{ "policy of memory", set_mempolicy, has_mempolicy, 0, 1 },
};

/* ---- Threads that have one, and others ----------------------------------- */

static const struct what *it;
static int stop;

static void moves(int want)
{
	long i;

	for (i = 0; i < rounds; i++) {
		CHECK_EQ(it->has(), want);
		switch (i % 4) {
		case 0:
			sched_yield();
			break;
		case 1:
			usleep(50);
			break;
		case 2:
			OK(pthread_mutex_lock(&lock));
			sched_yield();
			OK(pthread_mutex_unlock(&lock));
			break;
		}
	}
}

static void *clean(void *arg)
{
	while (!LOAD(stop))
		moves(0);
	return arg;
}

static void *clean_once(void *arg)
{
	CHECK_EQ(it->has(), 0);
	return arg;
}

static void *grandchild(void *arg)
{
	moves(it->inherited);
	return arg;
}

static void *child(void *arg)
{
	moves(it->inherited);
	join(start(grandchild, NULL));
	moves(it->inherited);
	return arg;
}

static void *sets(void *arg)
{
	pid_t mine = gettid();
	pthread_t t[2];

	CHECK_EQ(it->has(), 0);
	it->set();
	moves(1);
	t[0] = start(child, NULL);
	moves(1);
	t[1] = start(child, NULL);
	moves(1);
	join(t[0]);
	join(t[1]);
	CHECK_EQ(it->has(), 1);
	CHECK_EQ(gettid(), mine);
	return arg;
}

static void all_of(void)
{
	pthread_t others[CLEAN], t[N];
	int i, k;

	STORE(stop, 0);
	for (i = 0; i < CLEAN; i++)
		others[i] = start(clean, NULL);
	for (k = 0; k < 3; k++) {
		for (i = 0; i < N; i++)
			t[i] = start(i % 2 ? sets : clean_once, NULL);
		for (i = 0; i < N; i++)
			join(t[i]);
		CHECK_EQ(it->has(), 0);
	}
	STORE(stop, 1);
	for (i = 0; i < CLEAN; i++)
		join(others[i]);
	/* On what kernel threads these ran does not matter. */
	for (i = 0; i < 50; i++)
		join(start(clean_once, NULL));
}

/* More than there may be kernel threads at a time. */
static void *sets_once(void *arg)
{
	it->set();
	CHECK_EQ(it->has(), 1);
	return arg;
}

static void one_after_the_other(void)
{
	int i;

	it = &whats[0];
	for (i = 0; i < 11000; i++)
		join(start_small(sets_once, NULL));
	CHECK_EQ(it->has(), 0);
}

/* ---- Numbers ------------------------------------------------------------- */

static int answers;
static pid_t answered_by;
static void on_signal(int sig)
{
	(void)sig;
	STORE(answered_by, gettid());
	ADD(answers, 1);
}

static void *owns_file(void *arg)
{
	struct f_owner_ex owner = { F_OWNER_TID, gettid() };
	int fd[2];

	CHECK(pipe(fd) == 0);
	CHECK(fcntl(fd[0], F_SETOWN_EX, &owner) == 0);
	owner.pid = 0;
	CHECK(fcntl(fd[0], F_GETOWN_EX, &owner) == 0);
	CHECK_EQ(owner.type, F_OWNER_TID);
	CHECK_EQ(owner.pid, gettid());
	CHECK(fcntl(fd[0], F_SETFL, O_ASYNC | O_NONBLOCK) == 0);
	STORE(answers, 0);
	CHECK(write(fd[1], "x", 1) == 1);
	YIELD_UNTIL(LOAD(answers));
	CHECK_EQ(answered_by, gettid());
	CHECK(close(fd[0]) == 0 && close(fd[1]) == 0);
	return arg;
}

static void *has_timer(void *arg)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID,
			       .sigev_signo = SIGIO };
	struct itimerspec in = { .it_value = { .tv_nsec = 1000000 } };
	timer_t timer;

	ev._sigev_un._tid = gettid();
	CHECK(timer_create(arg ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &ev,
			   &timer) == 0);
	STORE(answers, 0);
	CHECK(timer_settime(timer, 0, &in, NULL) == 0);
	YIELD_UNTIL(LOAD(answers));
	CHECK_EQ(answered_by, gettid());
	CHECK(timer_delete(timer) == 0);
	return arg;
}

static void *queues_to_itself(void *arg)
{
	siginfo_t si = { .si_signo = SIGIO, .si_code = SI_QUEUE };
	cpu_set_t set, all;
	struct rlimit limit;
	long n;

	si.si_pid = getpid();
	STORE(answers, 0);
	CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGIO, &si) ==
	      0);
	YIELD_UNTIL(LOAD(answers));
	CHECK_EQ(answered_by, gettid());
	CPU_ZERO(&set);
	n = syscall(SYS_sched_getaffinity, gettid(), sizeof(set), &set);
	CHECK(n > 0 && n <= (long)sizeof(set));
	CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
	CHECK(CPU_EQUAL(&set, &all));
	CHECK_EQ(syscall(SYS_getpriority, PRIO_PROCESS, gettid()),
		 20 - getpriority(PRIO_PROCESS, 0));
	CHECK_EQ(syscall(SYS_getpgid, gettid()), getpgrp());
	CHECK_EQ(syscall(SYS_getsid, gettid()), getsid(0));
	CHECK_EQ(getpgid(gettid()), getpgrp());
	CHECK_EQ(getsid(gettid()), getsid(0));
	CHECK(prlimit(gettid(), RLIMIT_NOFILE, NULL, &limit) == 0);
	STORE(answers, 0);
	CHECK(kill(gettid(), SIGIO) == 0);
	YIELD_UNTIL(LOAD(answers));
	return arg;
}

static void *counts_events(void *arg)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_TASK_CLOCK,
					.exclude_kernel = 1 };
	unsigned long long first, n;
	int fd = (int)syscall(SYS_perf_event_open, &attr, gettid(), -1, -1, 0);

	if (fd < 0)
		return arg; /* forbidden here */
	CHECK(read(fd, &first, sizeof(first)) == sizeof(first));
	do {
		sched_yield();
		CHECK(read(fd, &n, sizeof(n)) == sizeof(n));
	} while (n < first + 1000000);
	CHECK(close(fd) == 0);
	return arg;
}

static void numbers(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	CHECK(sigaction(SIGIO, &sa, NULL) == 0);
	join(start(owns_file, NULL));
	join(start(has_timer, NULL));
	join(start(has_timer, &answers));
	join(start(queues_to_itself, NULL));
	join(start(counts_events, NULL));
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc > 1)
		rounds = atol(argv[1]);
	root = getuid() == 0;
	CHECK(gethostname(host, sizeof(host)) == 0);
	for (i = 0; i < sizeof(whats) / sizeof(*whats); i++) {
		it = &whats[i];
		section(it->name);
		if (!it->root || root)
			all_of();
	}
	section("one after the other");
	one_after_the_other();
	section("numbers");
	numbers();
	return 0;
}
