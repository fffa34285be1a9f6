/*
 * setxid - user and group ids belong to the process: when one thread changes
 * them, all others have the new ones when the call returns, wherever they
 * wait or run, and so have those being made.  The kernel keeps them for each
 * of its threads, so that a C library - and whoever has kernel threads of his
 * own - must tell every one.
 *
 * setxid [changes]; needs root
 */
#include "check.h"
#include <dirent.h>
#include <grp.h>
#include <semaphore.h>
#include <sys/syscall.h>

enum { KINDS = 7, WORKERS = 16, OTHER = 65534, MAX_GROUPS = 8 };
static long changes = 1000;

static struct ids {
	unsigned uid[3], gid[3], group[MAX_GROUPS];
	int groups;
} want;

/* Odd while a change is under way. */
static unsigned long generation;
static int stop, ready, acks, left;

/* ---- What the kernel says of the calling thread -------------------------- */

static void check_own(const struct ids *ids)
{
	unsigned id[3], group[64];
	int i, n;

	CHECK_EQ(syscall(SYS_geteuid), ids->uid[1]);
	CHECK_EQ(syscall(SYS_getresuid, &id[0], &id[1], &id[2]), 0);
	for (i = 0; i < 3; i++)
		CHECK_EQ(id[i], ids->uid[i]);
	CHECK_EQ(syscall(SYS_getresgid, &id[0], &id[1], &id[2]), 0);
	for (i = 0; i < 3; i++)
		CHECK_EQ(id[i], ids->gid[i]);
	n = (int)syscall(SYS_getgroups, 64, group);
	CHECK_EQ(n, ids->groups);
	for (i = 0; i < n; i++)
		CHECK_EQ(group[i], ids->group[i]);
	CHECK_EQ(geteuid(), ids->uid[1]);
	CHECK_EQ(getegid(), ids->gid[1]);
}

/* For those who do not wait for the next change: unless one came between. */
static void check_if_stable(void)
{
	unsigned long before = LOAD(generation);
	struct ids now = want;
	unsigned euid = (unsigned)syscall(SYS_geteuid);
	unsigned egid = (unsigned)syscall(SYS_getegid);
	int groups = (int)syscall(SYS_getgroups, 0, NULL);

	if (before % 2 || LOAD(generation) != before)
		return;
	CHECK_EQ(euid, now.uid[1]);
	CHECK_EQ(egid, now.gid[1]);
	CHECK_EQ(groups, now.groups);
}

/* ---- The threads that have to follow ------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
/* The setter's, as long as a change takes. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t robust, inherit;
static sem_t sem[WORKERS], all_answered;
static int fd[WORKERS][2];

static int changed(unsigned long seen)
{
	unsigned long now = LOAD(generation);

	return now % 2 == 0 && now != seen;
}

static void *short_lived(void *arg)
{
	check_if_stable();
	if (arg)
		RET(EBUSY, pthread_mutex_trylock(arg));
	sched_yield();
	check_if_stable();
	return arg;
}

static void await(int me, unsigned long seen)
{
	struct timespec t = { 0, 200000 };
	volatile unsigned x = 0;
	pthread_t child[2];
	char c;
	int i;

	switch (me % KINDS) {
	case 0: /* computes */
		while (!changed(seen)) {
			for (i = 0; i < 100000; i++)
				x = x * 5 + 1;
			sched_yield();
		}
		break;
	case 1:
		OK(pthread_mutex_lock(&lock));
		while (!changed(seen))
			OK(pthread_cond_wait(&cond, &lock));
		OK(pthread_mutex_unlock(&lock));
		break;
	case 2:
		do
			while (sem_wait(&sem[me]))
				CHECK_EQ(errno, EINTR);
		while (!changed(seen));
		break;
	case 3:
		while (!changed(seen)) {
			OK(pthread_mutex_lock(&gate));
			OK(pthread_mutex_unlock(&gate));
			nanosleep(&t, NULL);
		}
		break;
	case 4:
		do
			CHECK(read(fd[me][0], &c, 1) == 1);
		while (!changed(seen));
		break;
	case 5:
		while (!changed(seen))
			nanosleep(&t, NULL);
		break;
	case 6: /* makes threads and joins them */
		while (!changed(seen)) {
			child[0] = start(short_lived, &robust);
			child[1] = start_small(short_lived, &inherit);
			for (i = 0; i < 2; i++)
				join(child[i]);
		}
		break;
	}
}

static void *works(void *arg)
{
	int me = (int)(long)arg;
	unsigned long seen = LOAD(generation);

	/* Held all the time; the kernel knows by whom. */
	if (me == 1)
		OK(pthread_mutex_lock(&robust));
	if (me == 2)
		OK(pthread_mutex_lock(&inherit));
	check_own(&want);
	ADD(ready, 1);
	for (;;) {
		await(me, seen);
		if (LOAD(stop))
			break;
		/* It stands still until all have answered. */
		seen = LOAD(generation);
		check_own(&want);
		if (ADD(acks, 1) == WORKERS)
			CHECK(sem_post(&all_answered) == 0);
	}
	/* After those that find them locked. */
	if (me == 1 || me == 2) {
		YIELD_UNTIL(LOAD(left) == WORKERS - 2);
		OK(pthread_mutex_unlock(me == 1 ? &robust : &inherit));
	} else {
		ADD(left, 1);
	}
	return NULL;
}

static void wake_all(void)
{
	int i;

	OK(pthread_mutex_lock(&lock));
	OK(pthread_cond_broadcast(&cond));
	OK(pthread_mutex_unlock(&lock));
	for (i = 0; i < WORKERS; i++)
		if (i % KINDS == 2)
			CHECK(sem_post(&sem[i]) == 0);
		else if (i % KINDS == 4)
			CHECK(write(fd[i][1], "x", 1) == 1);
}

/* ---- What /proc says of all kernel threads ------------------------------- */

/* The numbers of a line, all that there are. */
static int numbers(const char *status, const char *line, unsigned *value)
{
	const char *p = strstr(status, line);
	char *end;
	int n = 0;

	CHECK(p != NULL);
	for (p += strlen(line); n < 64; p = end) {
		while (*p == ' ' || *p == '\t')
			p++;
		if (*p == '\n')
			break;
		value[n++] = (unsigned)strtoul(p, &end, 10);
		CHECK(end != p);
	}
	return n;
}

/* -1: it is gone. */
static int task_follows(const char *tid, char *status, int size)
{
	unsigned id[64];
	char path[300];
	int i, n, ok;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", tid);
	f = fopen(path, "r");
	if (!f)
		return -1;
	n = (int)fread(status, 1, size - 1, f);
	fclose(f);
	if (n <= 0)
		return -1;
	status[n] = 0;
	/* The fourth, of the file system, goes with the effective one. */
	ok = numbers(status, "\nUid:", id) == 4 && id[3] == want.uid[1];
	for (i = 0; i < 3; i++)
		ok &= id[i] == want.uid[i];
	ok &= numbers(status, "\nGid:", id) == 4 && id[3] == want.gid[1];
	for (i = 0; i < 3; i++)
		ok &= id[i] == want.gid[i];
	ok &= numbers(status, "\nGroups:", id) == want.groups;
	for (i = 0; ok && i < want.groups; i++)
		ok &= id[i] == want.group[i];
	return ok;
}

static void check_tasks(void)
{
	char status[4096];
	struct dirent *e;
	int tries, ret;
	DIR *d;

	d = opendir("/proc/self/task");
	CHECK(d != NULL);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		/* One on its way out is not told any more, but soon gone. */
		for (tries = 0;; tries++) {
			ret = task_follows(e->d_name, status, sizeof(status));
			if (ret)
				break;
			if (tries == 5000)
				check_fail(__FILE__, __LINE__,
					   "task %s has other ids:%.*s",
					   e->d_name, 120,
					   strstr(status, "\nUid:"));
			usleep(1000);
		}
	}
	closedir(d);
}

/* ---- The changes --------------------------------------------------------- */

static void set(unsigned *id, unsigned a, unsigned b, unsigned c)
{
	id[0] = a;
	id[1] = b;
	id[2] = c;
}

static void set_groups(int n, const gid_t *group)
{
	CHECK(setgroups(n, group) == 0);
	want.groups = n;
	memcpy(want.group, group, n * sizeof(*group));
}

static void change(int step)
{
	static const gid_t some[] = { 1, 2, OTHER }, one[] = { 77 };

	switch (step % 14) {
	case 0:
		CHECK(seteuid(OTHER) == 0);
		set(want.uid, 0, OTHER, 0);
		break;
	case 1: /* what fails, changes nothing in any */
		ERR(EPERM, setegid(1234));
		ERR(EPERM, setgroups(1, one));
		ERR(EPERM, setresuid(-1, -1, 1234));
		break;
	case 2:
		CHECK(seteuid(0) == 0);
		set(want.uid, 0, 0, 0);
		break;
	case 3:
		CHECK(setegid(OTHER) == 0);
		set(want.gid, 0, OTHER, 0);
		break;
	case 4:
		CHECK(setegid(0) == 0);
		set(want.gid, 0, 0, 0);
		break;
	case 5:
		set_groups(3, some);
		break;
	case 6:
		CHECK(setresgid(OTHER - 1, OTHER, 0) == 0);
		set(want.gid, OTHER - 1, OTHER, 0);
		break;
	case 7:
		CHECK(setresuid(OTHER - 1, OTHER, 0) == 0);
		set(want.uid, OTHER - 1, OTHER, 0);
		break;
	case 8:
		CHECK(setresuid(0, 0, -1) == 0);
		set(want.uid, 0, 0, 0);
		break;
	case 9:
		set_groups(1, one);
		break;
	case 10:
		CHECK(setresgid(0, 0, 0) == 0);
		set(want.gid, 0, 0, 0);
		break;
	case 11: /* changes the saved one too */
		CHECK(setreuid(-1, OTHER) == 0);
		set(want.uid, 0, OTHER, OTHER);
		break;
	case 12:
		CHECK(setreuid(0, 0) == 0);
		set(want.uid, 0, 0, 0);
		break;
	case 13:
		set_groups(0, some);
		break;
	}
}

static void *alternates(void *arg)
{
	long i, n = (long)arg;

	for (i = 0; i < n || i % 14; i++) {
		OK(pthread_mutex_lock(&gate));
		ADD(generation, 1);
		change((int)(i % 14));
		STORE(acks, 0);
		ADD(generation, 1);
		OK(pthread_mutex_unlock(&gate));
		check_own(&want);
		check_tasks();
		wake_all();
		while (sem_wait(&all_answered))
			CHECK_EQ(errno, EINTR);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_mutexattr_t attr;
	pthread_t t[WORKERS];
	gid_t none = 0;
	long i;

	if (argc > 1)
		changes = atol(argv[1]);
	if (getuid() != 0 || setgroups(0, &none) != 0 ||
	    setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
		return 77;
	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
	OK(pthread_mutex_init(&robust, &attr));
	OK(pthread_mutexattr_destroy(&attr));
	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT));
	OK(pthread_mutex_init(&inherit, &attr));
	OK(pthread_mutexattr_destroy(&attr));

	CHECK(sem_init(&all_answered, 0, 0) == 0);

	section("before any thread");
	for (i = 0; i < 14; i++) {
		change((int)i);
		check_own(&want);
		check_tasks();
	}
	for (i = 0; i < WORKERS; i++) {
		CHECK(sem_init(&sem[i], 0, 0) == 0);
		CHECK(pipe(fd[i]) == 0);
	}
	/* The two that hold a lock before those that try it. */
	for (i = 0; i < WORKERS; i++) {
		t[i] = start(works, (void *)i);
		YIELD_UNTIL(LOAD(ready) == i + 1);
	}
	section("from main");
	alternates((void *)(changes / 2));
	section("from a thread");
	join(start(alternates, (void *)(changes / 2)));

	STORE(stop, 1);
	ADD(generation, 2);
	wake_all();
	for (i = 0; i < WORKERS; i++)
		join(t[i]);
	return 0;
}
