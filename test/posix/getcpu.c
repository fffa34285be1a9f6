/*
 * getcpu - sched_getcpu is true now, not when the thread last began to run: in
 * main and in threads, before and after there are any, while another process
 * moves all of this one's kernel threads from CPU to CPU, as taskset -a does.
 * The C library and programs may read it from memory that the kernel keeps current for a
 * kernel thread; whoever moves a thread's memory to another one must see to it.
 *
 * getcpu [moves]
 */
#include "check.h"
#include <dirent.h>
#include <dlfcn.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

enum { N = 6, SHORT = 4 };
static long moves = 500;
static cpu_set_t all;
/* Written by the other process. */
static struct {
	long moved;
	int stop;
} * shared;

/* ---- The other process --------------------------------------------------- */

static void move_tasks(pid_t pid, const cpu_set_t *set)
{
	char path[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	if (!d)
		return;
	while ((e = readdir(d)))
		/* Those that end meanwhile do not matter. */
		if (e->d_name[0] != '.')
			sched_setaffinity(atoi(e->d_name), sizeof(*set), set);
	closedir(d);
}

static void mover(pid_t pid)
{
	cpu_set_t one;
	int cpu = 0;

	while (!LOAD(shared->stop) && getppid() == pid) {
		do
			cpu = (cpu + 1) % CPU_SETSIZE;
		while (!CPU_ISSET(cpu, &all));
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		/* Free as well: the kernel moves them then when it likes. */
		move_tasks(pid, shared->moved % 5 == 4 ? &all : &one);
		ADD(shared->moved, 1);
		usleep(100);
	}
	move_tasks(pid, &all);
	_exit(0);
}

/* ---- This one ------------------------------------------------------------ */

static unsigned kernels_word(void)
{
	unsigned cpu = ~0u;

	CHECK_EQ(syscall(SYS_getcpu, &cpu, NULL, NULL), 0);
	return cpu;
}

/* As allocators with caches of each CPU's own read it; -1: not to be had so. */
static int rseq_cpu(void)
{
	volatile struct rseq *r =
		(void *)((char *)__builtin_thread_pointer() + __rseq_offset);

	return __rseq_size && (int)r->cpu_id >= 0 ? (int)r->cpu_id : -1;
}

static int by_getcpu(void)
{
	unsigned cpu, node;

	CHECK_EQ(getcpu(&cpu, &node), 0);
	return (int)cpu;
}

/* As run-times of other languages find it. */
static int (*libcs)(void);

/*
 * Between two equal answers of the kernel there may be another in the middle,
 * but not time after time.
 */
static void check_way(int (*way)(void), const char *name)
{
	unsigned before, after;
	int wrong = 0, got;

	for (;;) {
		before = kernels_word();
		got = way();
		after = kernels_word();
		if (way == rseq_cpu && got < 0)
			return;
		CHECK(got >= 0);
		if (before != after)
			continue;
		if (got == (int)before)
			return;
		if (++wrong == 20)
			check_fail(__FILE__, __LINE__, "%s is %d, the CPU %u",
				   name, got, before);
	}
}

static void check_cpu(void)
{
	check_way(sched_getcpu, "sched_getcpu");
	check_way(libcs, "sched_getcpu by libc's handle");
	check_way(rseq_cpu, "what the rseq area says");
	check_way(by_getcpu, "getcpu");
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t turn[N];

/* Until so many moves are over. */
static void check_until(long until, int me)
{
	long i;

	for (i = 0; LOAD(shared->moved) < until; i++) {
		check_cpu();
		switch (i % 32) {
		case 0:
			sched_yield();
			break;
		case 1:
			OK(pthread_mutex_lock(&lock));
			check_cpu();
			OK(pthread_mutex_unlock(&lock));
			break;
		case 2:
			usleep(10);
			break;
		case 3:
			/* Whoever wakes up here was woken elsewhere. */
			if (me < 0)
				break;
			CHECK(sem_post(&turn[me ^ 1]) == 0);
			while (sem_wait(&turn[me]))
				CHECK_EQ(errno, EINTR);
			break;
		}
	}
	/* The other one of the pair may need one more. */
	if (me >= 0)
		CHECK(sem_post(&turn[me ^ 1]) == 0);
}

static long target;
static void *checks(void *arg)
{
	check_cpu();
	check_until(target, (int)(long)arg);
	return NULL;
}

static void *short_lived(void *arg)
{
	check_cpu();
	sched_yield();
	check_cpu();
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t[N], s[SHORT];
	pid_t pid, me = getpid();
	long i;

	if (argc > 1)
		moves = atol(argv[1]);
	CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	libcs = (int (*)(void))dlsym(dlopen("libc.so.6", RTLD_NOW),
				     "sched_getcpu");
	CHECK(libcs != NULL);
	check_cpu();
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		mover(me);

	section("before any thread");
	check_until(moves / 4, -1);
	section("main and threads");
	target = LOAD(shared->moved) + moves;
	for (i = 0; i < N; i++)
		CHECK(sem_init(&turn[i], 0, 0) == 0);
	for (i = 0; i < N; i++)
		t[i] = start(checks, (void *)i);
	while (LOAD(shared->moved) < target) {
		for (i = 0; i < SHORT; i++)
			s[i] = start(short_lived, NULL);
		for (i = 0; i < SHORT; i++)
			join(s[i]);
		check_cpu();
	}
	for (i = 0; i < N; i++)
		join(t[i]);
	section("main, when they are gone");
	check_until(LOAD(shared->moved) + moves / 4, -1);

	section("in a child of main");
	i = fork();
	CHECK(i >= 0);
	if (i == 0) {
		check_cpu();
		_exit(0);
	}
	reap((pid_t)i, 0);
	STORE(shared->stop, 1);
	reap(pid, 0);
	check_cpu();
	return 0;
}
