/*
 * blocks_locks - calls that wait for a lock of a file: see blocks.h.
 */
#include "blocks.h"
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* Two open files of one, locked through the second. */
static void two_files(struct test *t)
{
	t->fd[0] = memfd_create("blocks_locks", 0);
	CHECK(t->fd[0] >= 0);
	snprintf(t->path, sizeof(t->path), "/proc/self/fd/%d", t->fd[0]);
	t->fd[1] = open(t->path, O_RDWR);
	CHECK(t->fd[1] >= 0);
}

static void locked_file(struct test *t)
{
	two_files(t);
	CHECK(flock(t->fd[1], LOCK_EX) == 0);
}

static void unlock_file(struct test *t)
{
	CHECK(flock(t->fd[1], LOCK_UN) == 0);
}

static void in_flock(struct test *t)
{
	CHECK_EQ(flock(t->fd[0], LOCK_EX), 0);
}

static void in_sys_flock(struct test *t)
{
	CHECK_EQ(syscall(SYS_flock, t->fd[0], LOCK_EX), 0);
}

static struct flock *record(short type)
{
	static __thread struct flock l;

	l = (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_len = 1 };
	return &l;
}

static void locked_record(struct test *t)
{
	two_files(t);
	CHECK(fcntl(t->fd[1], F_OFD_SETLK, record(F_WRLCK)) == 0);
}

static void unlock_record(struct test *t)
{
	CHECK(fcntl(t->fd[1], F_OFD_SETLK, record(F_UNLCK)) == 0);
}

static void in_ofd(struct test *t)
{
	CHECK_EQ(fcntl(t->fd[0], F_OFD_SETLKW, record(F_WRLCK)), 0);
}

static void in_ofd64(struct test *t)
{
	CHECK_EQ(fcntl64(t->fd[0], F_OFD_SETLKW, record(F_WRLCK)), 0);
}

static void in_sys_fcntl(struct test *t)
{
	CHECK_EQ(syscall(SYS_fcntl, t->fd[0], F_OFD_SETLKW, record(F_WRLCK)),
		 0);
}

/* Another process has the lock, until it is told to end. */
static void lock_of_child(struct test *t)
{
	int ready[2], end[2];
	char c;

	t->fd[0] = memfd_create("blocks_locks", 0);
	CHECK(t->fd[0] >= 0);
	CHECK(pipe(ready) == 0 && pipe(end) == 0);
	t->child = fork();
	CHECK(t->child >= 0);
	if (t->child == 0) {
		close(end[1]);
		if (fcntl(t->fd[0], F_SETLK, record(F_WRLCK)))
			_exit(1);
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		_exit(read(end[0], &c, 1) < 0);
	}
	CHECK_EQ(read(ready[0], &c, 1), 1);
	CHECK(close(ready[0]) == 0 && close(ready[1]) == 0);
	CHECK(close(end[0]) == 0);
	t->fd[1] = end[1];
}

static void end_child(struct test *t)
{
	CHECK_EQ(write(t->fd[1], "x", 1), 1);
	reap(t->child, 0);
}

static void in_lockf(struct test *t)
{
	CHECK_EQ(lockf(t->fd[0], F_LOCK, 1), 0);
	CHECK_EQ(lockf(t->fd[0], F_ULOCK, 1), 0);
}

static void in_lockf64(struct test *t)
{
	CHECK_EQ(lockf64(t->fd[0], F_LOCK, 1), 0);
	CHECK_EQ(lockf64(t->fd[0], F_ULOCK, 1), 0);
}

static void in_setlkw(struct test *t)
{
	CHECK_EQ(fcntl(t->fd[0], F_SETLKW, record(F_WRLCK)), 0);
	CHECK_EQ(fcntl(t->fd[0], F_SETLK, record(F_UNLCK)), 0);
}

/* ---- All of them ------------------------------------------------------------ */

static const struct kind kinds[] = {
	{ "flock", locked_file, in_flock, unlock_file, 0 },
	{ "SYS_flock", locked_file, in_sys_flock, unlock_file, 0 },
	{ "fcntl, F_OFD_SETLKW", locked_record, in_ofd, unlock_record, 0,
	  .cancelled = unlock_record },
	{ "fcntl64, F_OFD_SETLKW", locked_record, in_ofd64, unlock_record, 0 },
	{ "SYS_fcntl", locked_record, in_sys_fcntl, unlock_record, 0 },
	{ "lockf", lock_of_child, in_lockf, end_child, 0,
	  .cancelled = end_child },
	{ "lockf64", lock_of_child, in_lockf64, end_child, 0,
	  .cancelled = end_child },
	{ "fcntl, F_SETLKW", lock_of_child, in_setlkw, end_child, 0,
	  .cancelled = end_child },
};

int main(int argc, char **argv)
{
	blocks_main(argc, argv, kinds, sizeof(kinds) / sizeof(kinds[0]));
	return 0;
}
