/*
 * blocks - calls of the kernel's that wait for locks, children, messages and
 * semaphores: see blocks.h.
 */
#include "blocks.h"
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* What other compilations of callers call. */
extern pid_t __wait(int *);
extern pid_t __waitpid(pid_t, int *, int);

/* ---- File locks ----------------------------------------------------------- */

/* Two open files of one, locked through the second. */
static void two_files(struct test *t)
{
	t->fd[0] = memfd_create("blocks", 0);
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

	t->fd[0] = memfd_create("blocks", 0);
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

/* ---- Children --------------------------------------------------------------- */

static void make_child(struct test *t)
{
	char c;

	CHECK(pipe2(t->fd, O_CLOEXEC) == 0);
	t->child = fork();
	CHECK(t->child >= 0);
	if (t->child == 0) {
		close(t->fd[1]);
		_exit(read(t->fd[0], &c, 1) == 1 ? 42 : 1);
	}
}

static void tell_child(struct test *t)
{
	CHECK_EQ(write(t->fd[1], "x", 1), 1);
}

static void is_child(struct test *t, pid_t got, int status)
{
	CHECK_EQ(got, t->child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

static void in_wait(struct test *t)
{
	int status = -1;
	pid_t got = wait(&status);

	is_child(t, got, status);
}

static void in_waitpid(struct test *t)
{
	int status = -1;
	pid_t got = waitpid(t->child, &status, 0);

	is_child(t, got, status);
}

static void in_wait3(struct test *t)
{
	struct rusage r;
	int status = -1;
	pid_t got = wait3(&status, 0, &r);

	is_child(t, got, status);
}

static void in_wait4(struct test *t)
{
	struct rusage r;
	int status = -1;
	pid_t got = wait4(t->child, &status, 0, &r);

	is_child(t, got, status);
}

static void in_sys_wait4(struct test *t)
{
	int status = -1;
	pid_t got = syscall(SYS_wait4, t->child, &status, 0, NULL);

	is_child(t, got, status);
}

static void in_waitid(struct test *t)
{
	siginfo_t si;

	CHECK_EQ(waitid(P_PID, t->child, &si, WEXITED), 0);
	CHECK(si.si_pid == t->child && si.si_code == CLD_EXITED);
	CHECK_EQ(si.si_status, 42);
}

static void in_sys_waitid(struct test *t)
{
	siginfo_t si;

	CHECK_EQ(syscall(SYS_waitid, P_PID, t->child, &si, WEXITED, NULL), 0);
	CHECK(si.si_pid == t->child && si.si_status == 42);
}

static void in_pid_wait(struct test *t)
{
	int status = -1;
	pid_t got = __wait(&status);

	is_child(t, got, status);
}

static void in_pid_waitpid(struct test *t)
{
	int status = -1;
	pid_t got = __waitpid(t->child, &status, 0);

	is_child(t, got, status);
}

/* ---- System V ---------------------------------------------------------------- */

struct message {
	long type;
	char text[64];
};

static void make_queue(struct test *t)
{
	t->id = msgget(IPC_PRIVATE, 0600);
	CHECK(t->id >= 0);
}

static void full_queue(struct test *t)
{
	struct message m = { 1, "old" };

	make_queue(t);
	while (msgsnd(t->id, &m, sizeof(m.text), IPC_NOWAIT) == 0)
		;
	CHECK_EQ(errno, EAGAIN);
}

static void in_msgrcv(struct test *t)
{
	struct message m;

	CHECK_EQ(msgrcv(t->id, &m, sizeof(m.text), 0, 0), 3);
	CHECK(m.type == 7 && memcmp(m.text, "new", 3) == 0);
	CHECK(msgctl(t->id, IPC_RMID, NULL) == 0);
}

static void in_sys_msgrcv(struct test *t)
{
	struct message m;

	CHECK_EQ(syscall(SYS_msgrcv, t->id, &m, sizeof(m.text), 0, 0), 3);
	CHECK(m.type == 7 && memcmp(m.text, "new", 3) == 0);
	CHECK(msgctl(t->id, IPC_RMID, NULL) == 0);
}

static void send_message(struct test *t)
{
	struct message m = { 7, "new" };

	CHECK(msgsnd(t->id, &m, 3, 0) == 0);
}

static void in_msgsnd(struct test *t)
{
	struct message m = { 7, "new" };

	CHECK_EQ(msgsnd(t->id, &m, sizeof(m.text), 0), 0);
	CHECK_EQ(msgrcv(t->id, &m, sizeof(m.text), 7, IPC_NOWAIT),
		 sizeof(m.text));
	CHECK(msgctl(t->id, IPC_RMID, NULL) == 0);
}

static void in_sys_msgsnd(struct test *t)
{
	struct message m = { 7, "new" };

	CHECK_EQ(syscall(SYS_msgsnd, t->id, &m, sizeof(m.text), 0), 0);
	CHECK(msgctl(t->id, IPC_RMID, NULL) == 0);
}

static void take_message(struct test *t)
{
	struct message m;

	CHECK_EQ(msgrcv(t->id, &m, sizeof(m.text), 1, 0), sizeof(m.text));
	CHECK(strcmp(m.text, "old") == 0);
}

static void in_msgrcv_removed(struct test *t)
{
	struct message m;

	ERR(EIDRM, msgrcv(t->id, &m, sizeof(m.text), 0, 0));
	errno = ERRNO_MARK;
}

static void remove_queue(struct test *t)
{
	CHECK(msgctl(t->id, IPC_RMID, NULL) == 0);
}

static void make_semaphore(struct test *t)
{
	t->id = semget(IPC_PRIVATE, 1, 0600);
	CHECK(t->id >= 0);
}

static struct sembuf *change(short by)
{
	static __thread struct sembuf s;

	s = (struct sembuf){ 0, by, 0 };
	return &s;
}

/* With what a timeout does, before another one does not come. */
static void timed_semaphore(struct test *t)
{
	struct timespec soon = { 0, 2000000 }, bad = { 0, 1000000000 };
	struct timespec end = in_ms(CLOCK_MONOTONIC, 2);

	make_semaphore(t);
	ERR(EAGAIN, semtimedop(t->id, change(-1), 1, &soon));
	CHECK(reached(CLOCK_MONOTONIC, &end));
	ERR(EAGAIN, syscall(SYS_semtimedop, t->id, change(-1), 1, &soon));
	ERR(EINVAL, semtimedop(t->id, change(-1), 1, &bad));
}

static void raise_semaphore(struct test *t)
{
	CHECK(semop(t->id, change(1), 1) == 0);
}

static void in_semop(struct test *t)
{
	CHECK_EQ(semop(t->id, change(-1), 1), 0);
	CHECK(semctl(t->id, 0, IPC_RMID) == 0);
}

static void in_sys_semop(struct test *t)
{
	CHECK_EQ(syscall(SYS_semop, t->id, change(-1), 1), 0);
	CHECK(semctl(t->id, 0, IPC_RMID) == 0);
}

static void in_semtimedop(struct test *t)
{
	struct timespec forever = { 600, 0 };

	CHECK_EQ(semtimedop(t->id, change(-1), 1, &forever), 0);
	CHECK(semctl(t->id, 0, IPC_RMID) == 0);
}

static void in_sys_semtimedop(struct test *t)
{
	struct timespec forever = { 600, 0 };

	CHECK_EQ(syscall(SYS_semtimedop, t->id, change(-1), 1, &forever), 0);
	CHECK(semctl(t->id, 0, IPC_RMID) == 0);
}

static void in_semop_removed(struct test *t)
{
	ERR(EIDRM, semop(t->id, change(-1), 1));
	errno = ERRNO_MARK;
}

static void remove_semaphore(struct test *t)
{
	CHECK(semctl(t->id, 0, IPC_RMID) == 0);
}

/* ---- POSIX message queues ------------------------------------------------------ */

static void make_mq(struct test *t)
{
	static int n;
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };

	snprintf(t->path, sizeof(t->path), "/blocks.%d.%d", (int)getpid(),
		 ADD(n, 1));
	t->mq = mq_open(t->path, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	CHECK(t->mq != (mqd_t)-1);
	CHECK(mq_unlink(t->path) == 0);
}

static void timed_mq(struct test *t)
{
	struct timespec soon = in_ms(CLOCK_REALTIME, 2);
	char buf[8];

	make_mq(t);
	ERR(ETIMEDOUT, mq_timedreceive(t->mq, buf, sizeof(buf), NULL, &soon));
	CHECK(reached(CLOCK_REALTIME, &soon));
}

static void full_mq(struct test *t)
{
	struct timespec soon = in_ms(CLOCK_REALTIME, 2);

	make_mq(t);
	CHECK(mq_send(t->mq, "old", 3, 1) == 0);
	ERR(ETIMEDOUT, mq_timedsend(t->mq, "new", 3, 2, &soon));
	CHECK(reached(CLOCK_REALTIME, &soon));
}

static void receive_mq(struct test *t, const char *want)
{
	char buf[8];
	unsigned prio;

	CHECK_EQ(mq_receive(t->mq, buf, sizeof(buf), &prio), 3);
	CHECK(memcmp(buf, want, 3) == 0);
}

static void in_mq_receive(struct test *t)
{
	receive_mq(t, "new");
	CHECK(mq_close(t->mq) == 0);
}

static void in_mq_timedreceive(struct test *t)
{
	struct timespec end = far_off(CLOCK_REALTIME);
	char buf[8];

	CHECK_EQ(mq_timedreceive(t->mq, buf, sizeof(buf), NULL, &end), 3);
	CHECK(memcmp(buf, "new", 3) == 0);
	CHECK(mq_close(t->mq) == 0);
}

static void in_sys_mq_timedreceive(struct test *t)
{
	char buf[8];

	CHECK_EQ(syscall(SYS_mq_timedreceive, t->mq, buf, sizeof(buf), NULL,
			 NULL), 3);
	CHECK(memcmp(buf, "new", 3) == 0);
	CHECK(mq_close(t->mq) == 0);
}

static void send_mq(struct test *t)
{
	CHECK(mq_send(t->mq, "new", 3, 2) == 0);
}

static void in_mq_send(struct test *t)
{
	CHECK_EQ(mq_send(t->mq, "new", 3, 2), 0);
	receive_mq(t, "new");
	CHECK(mq_close(t->mq) == 0);
}

static void in_mq_timedsend(struct test *t)
{
	struct timespec end = far_off(CLOCK_REALTIME);

	CHECK_EQ(mq_timedsend(t->mq, "new", 3, 2, &end), 0);
	receive_mq(t, "new");
	CHECK(mq_close(t->mq) == 0);
}

static void in_sys_mq_timedsend(struct test *t)
{
	CHECK_EQ(syscall(SYS_mq_timedsend, t->mq, "new", 3, 2, NULL), 0);
	receive_mq(t, "new");
	CHECK(mq_close(t->mq) == 0);
}

static void drain_mq(struct test *t)
{
	receive_mq(t, "old");
}

/* ---- A futex of two processes' ---------------------------------------------------- */

static void make_word(struct test *t)
{
	struct timespec soon = { 0, 2000000 };

	t->word = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(t->word != MAP_FAILED);
	ERR(ETIMEDOUT, syscall(SYS_futex, t->word, FUTEX_WAIT, 0, &soon));
}

static void in_futex(struct test *t)
{
	while (LOAD(*t->word) == 0)
		CHECK_EQ(syscall(SYS_futex, t->word, FUTEX_WAIT, 0, NULL), 0);
	errno = ERRNO_MARK;
}

static void wake_word(struct test *t)
{
	STORE(*t->word, 1);
	CHECK(syscall(SYS_futex, t->word, FUTEX_WAKE, 1, NULL) >= 0);
}

static void in_futex_waitv(struct test *t)
{
	struct futex_waitv w = { .uaddr = (uintptr_t)t->word,
				 .flags = FUTEX_32 };

	while (LOAD(*t->word) == 0)
		CHECK(syscall(SYS_futex_waitv, &w, 1, 0, NULL, 0) == 0 ||
		      errno == EAGAIN || errno == ENOSYS);
	errno = ERRNO_MARK;
}

/* ---- libc's own asynchronous reading ------------------------------------------------- */

static void begin_aio(struct test *t)
{
	const struct aiocb *list[] = { &t->aio };
	struct timespec soon = { 0, 2000000 };

	CHECK(pipe(t->fd) == 0);
	t->aio = (struct aiocb){ .aio_fildes = t->fd[0],
				 .aio_buf = t->path,
				 .aio_nbytes = sizeof(t->path) };
	CHECK(aio_read(&t->aio) == 0);
	ERR(EAGAIN, aio_suspend(list, 1, &soon));
}

static void in_aio_suspend(struct test *t)
{
	const struct aiocb *list[] = { &t->aio };
	struct timespec forever = { 600, 0 };

	CHECK_EQ(aio_suspend(list, 1, &forever), 0);
	CHECK_EQ(aio_error(&t->aio), 0);
	CHECK_EQ(aio_return(&t->aio), 3);
	CHECK(memcmp(t->path, "aio", 3) == 0);
}

static void write_aio(struct test *t)
{
	CHECK_EQ(write(t->fd[1], "aio", 3), 3);
}

static void in_aio_suspend64(struct test *t)
{
	const struct aiocb64 *list[] = { (struct aiocb64 *)&t->aio };

	CHECK_EQ(aio_suspend64(list, 1, NULL), 0);
	CHECK_EQ(aio_return(&t->aio), 3);
}

/* ---- The kernel's ----------------------------------------------------------------------- */

static aio_context_t context[2];
static int contexts;

/* A machine may have neither, or forbid them: then a pipe is waited for. */
static void make_pipe(struct test *t)
{
	CHECK(pipe(t->fd) == 0);
	t->id = -1;
}

static void wait_pipe(struct test *t)
{
	struct pollfd p = { t->fd[0], POLLIN, 0 };

	CHECK_EQ(poll(&p, 1, -1), 1);
	errno = ERRNO_MARK;
}

static void write_pipe(struct test *t)
{
	CHECK_EQ(write(t->fd[1], "x", 1), 1);
}

static void begin_events(struct test *t)
{
	struct iocb cb = { .aio_data = 4711,
			   .aio_lio_opcode = IOCB_CMD_POLL,
			   .aio_buf = POLLIN },
		    *list[] = { &cb };

	make_pipe(t);
	cb.aio_fildes = t->fd[0];
	t->id = contexts++ % 2;
	context[t->id] = 0;
	if (syscall(SYS_io_setup, 1, &context[t->id]))
		t->id = -1;
	else if (syscall(SYS_io_submit, context[t->id], 1, list) != 1)
		t->id = -1;
}

static void got_event(struct test *t, long n, const struct io_event *e)
{
	CHECK_EQ(n, 1);
	CHECK_EQ(e->data, 4711);
	CHECK(e->res & POLLIN);
	/* To destroy it would wait unseen: it ends with the process. */
	CHECK(close(t->fd[0]) == 0 && close(t->fd[1]) == 0);
}

static void in_io_getevents(struct test *t)
{
	struct timespec forever = { 600, 0 };
	struct io_event e;

	if (t->id < 0)
		wait_pipe(t);
	else
		got_event(t, syscall(SYS_io_getevents, context[t->id], 1, 1, &e,
				     &forever), &e);
}

static void in_io_pgetevents(struct test *t)
{
	struct io_event e;

	if (t->id < 0)
		wait_pipe(t);
	else
		got_event(t, syscall(SYS_io_pgetevents, context[t->id], 1, 1,
				     &e, NULL, NULL), &e);
}

/* A ring of one entry, by its offsets. */
static void begin_uring(struct test *t)
{
	struct io_uring_params p = { 0 };
	struct io_uring_sqe *sqe;
	char *ring;
	size_t size;

	make_pipe(t);
	t->id = (int)syscall(SYS_io_uring_setup, 1, &p);
	if (t->id < 0)
		return;
	size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	if (size < p.sq_off.array + p.sq_entries * 4)
		size = p.sq_off.array + p.sq_entries * 4;
	ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, t->id,
		    IORING_OFF_SQ_RING);
	sqe = mmap(NULL, sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED,
		   t->id, IORING_OFF_SQES);
	CHECK(p.features & IORING_FEAT_SINGLE_MMAP);
	CHECK(ring != MAP_FAILED && sqe != MAP_FAILED);
	*sqe = (struct io_uring_sqe){ .opcode = IORING_OP_READ,
				      .fd = t->fd[0],
				      .addr = (uintptr_t)t->path,
				      .len = 1,
				      .user_data = 4711 };
	*(uint32_t *)(ring + p.sq_off.array) = 0;
	STORE(*(uint32_t *)(ring + p.sq_off.tail), 1);
	t->word = (int *)(ring + p.cq_off.cqes);
}

static void in_io_uring_enter(struct test *t)
{
	struct io_uring_cqe *cqe = (struct io_uring_cqe *)t->word;

	if (t->id < 0) {
		wait_pipe(t);
		return;
	}
	CHECK_EQ(syscall(SYS_io_uring_enter, t->id, 1, 1, IORING_ENTER_GETEVENTS,
			 NULL, 0), 1);
	CHECK_EQ(cqe->user_data, 4711);
	CHECK_EQ(cqe->res, 1);
	CHECK_EQ(t->path[0], 'x');
	CHECK(close(t->id) == 0);
	CHECK(close(t->fd[0]) == 0 && close(t->fd[1]) == 0);
}

/* ---- All of them ------------------------------------------------------------------------- */

#define CHILD(fn) make_child, fn, tell_child

static const struct kind kinds[] = {
	{ "flock", locked_file, in_flock, unlock_file, 0 },
	{ "SYS_flock", locked_file, in_sys_flock, unlock_file, 0 },
	{ "fcntl, F_OFD_SETLKW", locked_record, in_ofd, unlock_record, 0 },
	{ "fcntl64, F_OFD_SETLKW", locked_record, in_ofd64, unlock_record, 0 },
	{ "SYS_fcntl", locked_record, in_sys_fcntl, unlock_record, 0 },
	{ "lockf", lock_of_child, in_lockf, end_child, 0 },
	{ "lockf64", lock_of_child, in_lockf64, end_child, 0 },
	{ "fcntl, F_SETLKW", lock_of_child, in_setlkw, end_child, 0 },
	{ "wait", CHILD(in_wait), 1 },
	{ "__wait", CHILD(in_pid_wait), 1 },
	{ "waitpid", CHILD(in_waitpid), 0 },
	{ "__waitpid", CHILD(in_pid_waitpid), 0 },
	{ "waitid", CHILD(in_waitid), 0 },
	{ "SYS_waitid", CHILD(in_sys_waitid), 0 },
	{ "wait3", CHILD(in_wait3), 1 },
	{ "wait4", CHILD(in_wait4), 0 },
	{ "SYS_wait4", CHILD(in_sys_wait4), 0 },
	{ "msgrcv", make_queue, in_msgrcv, send_message, 0 },
	{ "SYS_msgrcv", make_queue, in_sys_msgrcv, send_message, 0 },
	{ "msgrcv, removed", make_queue, in_msgrcv_removed, remove_queue, 0 },
	{ "msgsnd", full_queue, in_msgsnd, take_message, 0 },
	{ "SYS_msgsnd", full_queue, in_sys_msgsnd, take_message, 0 },
	{ "semop", make_semaphore, in_semop, raise_semaphore, 0 },
	{ "SYS_semop", make_semaphore, in_sys_semop, raise_semaphore, 0 },
	{ "semop, removed", make_semaphore, in_semop_removed, remove_semaphore,
	  0 },
	{ "semtimedop", timed_semaphore, in_semtimedop, raise_semaphore, 0 },
	{ "SYS_semtimedop", timed_semaphore, in_sys_semtimedop, raise_semaphore,
	  0 },
	{ "mq_receive", make_mq, in_mq_receive, send_mq, 0 },
	{ "mq_timedreceive", timed_mq, in_mq_timedreceive, send_mq, 0 },
	{ "SYS_mq_timedreceive", make_mq, in_sys_mq_timedreceive, send_mq, 0 },
	{ "mq_send", full_mq, in_mq_send, drain_mq, 0 },
	{ "mq_timedsend", full_mq, in_mq_timedsend, drain_mq, 0 },
	{ "SYS_mq_timedsend", full_mq, in_sys_mq_timedsend, drain_mq, 0 },
	{ "SYS_futex, shared", make_word, in_futex, wake_word, 0 },
	{ "SYS_futex_waitv", make_word, in_futex_waitv, wake_word, 0 },
	{ "aio_suspend", begin_aio, in_aio_suspend, write_aio, 0 },
	{ "aio_suspend64", begin_aio, in_aio_suspend64, write_aio, 0 },
	{ "SYS_io_getevents", begin_events, in_io_getevents, write_pipe, 0 },
	{ "SYS_io_pgetevents", begin_events, in_io_pgetevents, write_pipe, 0 },
	{ "SYS_io_uring_enter", begin_uring, in_io_uring_enter, write_pipe, 0 },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* ---- Names; cancellation points ---------------------------------------------------------- */

static void *names(void *arg)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST,
				  .ai_socktype = SOCK_STREAM },
			*res;
	struct passwd pw, *got;
	char buf[4096], host[64];

	errno = ERRNO_MARK;
	CHECK_EQ(getaddrinfo("127.0.0.1", "80", &hints, &res), 0);
	CHECK_EQ(getnameinfo(res->ai_addr, res->ai_addrlen, host, sizeof(host),
			     NULL, 0, NI_NUMERICHOST), 0);
	CHECK(strcmp(host, "127.0.0.1") == 0);
	freeaddrinfo(res);
	CHECK(gethostbyname("127.0.0.1") != NULL);
	CHECK_EQ(getpwuid_r(0, &pw, buf, sizeof(buf), &got), 0);
	CHECK(got == &pw && strcmp(pw.pw_name, "root") == 0);
	CHECK(getpwnam("root") && getpwnam("root")->pw_uid == 0);
	return arg;
}

static void calls_fsync(void)
{
	fsync(1);
}

static void calls_waitpid(void)
{
	waitpid(-1, NULL, WNOHANG);
}

static void calls_msgrcv(void)
{
	msgrcv(-1, NULL, 0, 0, IPC_NOWAIT);
}

static void calls_fcntl(void)
{
	fcntl(-1, F_SETLKW, record(F_UNLCK));
}

static void calls_lockf(void)
{
	lockf(-1, F_LOCK, 0);
}

static void *cancelled(void *arg)
{
	pthread_cancel(pthread_self());
	flock(-1, LOCK_UN); /* this is none */
	STORE(ticks, 1);
	((void (*)(void))arg)();
	check_fail(__FILE__, __LINE__, "no cancellation point");
}

static void cancellation(void)
{
	void (*const points[])(void) = { calls_fsync, calls_waitpid,
					 calls_msgrcv, calls_fcntl,
					 calls_lockf };
	size_t i;

	for (i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		ticks = 0;
		CHECK(join(start(cancelled, (void *)points[i])) ==
		      PTHREAD_CANCELED);
		CHECK_EQ(ticks, 1);
	}
}

/* ---- Cancelled while it blocks ----------------------------------------------------------- */

static void counts(void *arg)
{
	struct test *t = arg;

	t->done++;
}

static void *waits(void *arg)
{
	struct test *t = arg;

	pthread_cleanup_push(counts, t);
	STORE(t->entered, 1);
	t->kind->block(t);
	pthread_cleanup_pop(0);
	return NULL;
}

static void reap_child(struct test *t)
{
	tell_child(t);
	reap(t->child, 42);
}

static void close_mq(struct test *t)
{
	CHECK(mq_close(t->mq) == 0);
}

/* Those that it ends while they block, and what is to be done then. */
static const struct {
	const char *name;
	void (*then)(struct test *);
} points[] = {
	{ "fcntl, F_OFD_SETLKW", unlock_record },
	{ "lockf", end_child },
	{ "lockf64", end_child },
	{ "fcntl, F_SETLKW", end_child },
	{ "wait", reap_child },
	{ "waitpid", reap_child },
	{ "waitid", reap_child },
	{ "wait3", reap_child },
	{ "wait4", reap_child },
	{ "msgrcv", remove_queue },
	{ "msgsnd", remove_queue },
	{ "mq_receive", close_mq },
	{ "mq_timedreceive", close_mq },
	{ "mq_send", close_mq },
	{ "mq_timedsend", close_mq },
};

/* After a while, and at once: on its way into the call. */
static void cancelled_while_it_blocks(int after)
{
	struct test t;
	size_t i, k;

	for (i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		for (k = 0; strcmp(kinds[k].name, points[i].name); k++)
			;
		t = (struct test){ .kind = &kinds[k] };
		kinds[k].setup(&t);
		t.thread = start(waits, &t);
		YIELD_UNTIL(LOAD(t.entered));
		if (after)
			usleep(after);
		OK(pthread_cancel(t.thread));
		if (join(t.thread) != PTHREAD_CANCELED || t.done != 1)
			check_fail(__FILE__, __LINE__, "%s: not cancelled",
				   points[i].name);
		points[i].then(&t);
	}
}

int main(int argc, char **argv)
{
	int i;


	if (!blocks_main(argc, argv, kinds, KINDS))
		return 0;
	section("names");
	join(start(names, NULL));
	section("cancellation");
	cancellation();
	section("cancelled while it blocks");
	for (i = 0; i < 10; i++)
		cancelled_while_it_blocks(i % 3 * 1500);
	return 0;
}
