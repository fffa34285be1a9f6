/*
 * no_eintr - a program that installs no handler has none of its calls
 * interrupted: neither EINTR, nor a count cut short, nor a timeout before its
 * time, in any call that may block.  Each way to wait has a thread of its own
 * and mostly one that ends the wait; others compute all the while, so that a
 * scheduler that interrupts threads always has reason to.
 *
 * A wait has up to three forms: without a timeout; with one that is not
 * reached; and with one that is, since nobody comes.
 *
 * no_eintr [rounds]
 */
#include "check.h"
#include "sequence.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

enum {
	ROUNDS = 200,
	HOGS = 8,
	LONGEST = 3,	  /* milliseconds, of any wait */
	FAR = 600 * 1000, /* milliseconds, of those not reached */
	BIG = 100000,	  /* does not fit into a pipe, nor a small socket */
	SMALL = 16 << 10
};

enum { FOREVER = 1, LONG = 2, SHORT = 4 };
enum { NOTHING = 1, CUT = 2 }; /* beside 0 and -errno */

struct wait {
	const struct kind *kind;
	int form, fd[2], epoll, word;
	long ms; /* the timeout, or -1 */
	struct timespec end, interval;
	pthread_t blocker, releaser;
	unsigned seed;
	pid_t child;
	sem_t go, sem, *shared;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
};

struct kind {
	const char *name;
	int forms;
	void (*setup)(struct wait *);
	void (*prepare)(struct wait *); /* for each round, before release */
	long (*block)(struct wait *);	/* 0, NOTHING, CUT or -errno */
	void (*release)(struct wait *);
	long timed_out; /* what block returns then */
	int realtime;	/* the clock of the timeout */
};

static long rounds = ROUNDS;
static int queue = -1, semaphores = -1, record = -1, helper[2];

static long whole(long n, long want)
{
	return n == want ? 0 : n < 0 ? -errno : CUT;
}

/* ---- Pipes and sockets --------------------------------------------------- */

static void make_pipe(struct wait *w)
{
	CHECK(pipe(w->fd) == 0);
}

static long in_read(struct wait *w)
{
	char c;

	return whole(read(w->fd[0], &c, 1), 1);
}

/* One read, submitted and waited for in one call: what is submitted is no reason to be
 * back.  Where there is no io_uring, just a read. */
static long in_io_uring(struct wait *w)
{
	struct io_uring_params p = { 0 };
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	char *ring, c = 0;
	size_t size;
	long n;
	int fd = (int)syscall(SYS_io_uring_setup, 1, &p);

	if (fd < 0)
		return in_read(w);
	CHECK(p.features & IORING_FEAT_SINGLE_MMAP);
	size = p.cq_off.cqes + p.cq_entries * sizeof(*cqe);
	if (size < p.sq_off.array + p.sq_entries * sizeof(uint32_t))
		size = p.sq_off.array + p.sq_entries * sizeof(uint32_t);
	ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    IORING_OFF_SQ_RING);
	sqe = mmap(NULL, sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   IORING_OFF_SQES);
	CHECK(ring != MAP_FAILED && sqe != MAP_FAILED);
	*sqe = (struct io_uring_sqe){ .opcode = IORING_OP_READ,
				      .fd = w->fd[0],
				      .addr = (uintptr_t)&c,
				      .len = 1 };
	*(uint32_t *)(ring + p.sq_off.array) = 0;
	STORE(*(uint32_t *)(ring + p.sq_off.tail), 1);
	n = syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL,
		    0);
	n = n < 0 ? -errno : 0;
	if (n == 0 && LOAD(*(uint32_t *)(ring + p.cq_off.tail)) == 0)
		n = CUT;
	cqe = (struct io_uring_cqe *)(ring + p.cq_off.cqes);
	if (n == 0 && cqe->res != 1)
		n = cqe->res;
	CHECK(munmap(ring, size) == 0 && munmap(sqe, sizeof(*sqe)) == 0);
	CHECK(close(fd) == 0);
	return n;
}

static void byte(struct wait *w)
{
	CHECK_EQ(write(w->fd[1], "x", 1), 1);
}

static char big[BIG];
static long in_write(struct wait *w)
{
	return whole(write(w->fd[0], big, BIG), BIG);
}

static void make_reversed(struct wait *w)
{
	int fd[2];

	CHECK(pipe(fd) == 0);
	w->fd[0] = fd[1];
	w->fd[1] = fd[0];
}

static void drain(struct wait *w)
{
	char buf[SMALL];
	long sum = 0, n;

	while (sum < BIG) {
		/* No more: what follows is the next round's. */
		n = BIG - sum < SMALL ? BIG - sum : SMALL;
		n = read(w->fd[1], buf, n);
		CHECK(n > 0);
		sum += n;
	}
}

static void make_sockets(struct wait *w)
{
	int size = SMALL;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, w->fd) == 0);
	CHECK(setsockopt(w->fd[0], SOL_SOCKET, SO_SNDBUF, &size,
			 sizeof(size)) == 0);
}

static void socket_timeout(struct wait *w, int option)
{
	struct timeval t = { w->ms / 1000, w->ms % 1000 * 1000 };

	if (w->ms >= 0)
		CHECK(setsockopt(w->fd[0], SOL_SOCKET, option, &t, sizeof(t)) ==
		      0);
}

static long in_recv(struct wait *w)
{
	char c;

	socket_timeout(w, SO_RCVTIMEO);
	return whole(recv(w->fd[0], &c, 1, 0), 1);
}

static long in_recv_all(struct wait *w)
{
	char c[2];

	socket_timeout(w, SO_RCVTIMEO);
	return whole(recv(w->fd[0], c, 2, MSG_WAITALL), 2);
}

static void two_bytes(struct wait *w)
{
	byte(w);
	CHECK(usleep(500) == 0);
	byte(w);
}

static long in_send(struct wait *w)
{
	socket_timeout(w, SO_SNDTIMEO);
	return whole(send(w->fd[0], big, BIG, 0), BIG);
}

static void make_listener(struct wait *w)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	w->fd[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(w->fd[0] >= 0);
	/* No path: the kernel finds a name. */
	CHECK(bind(w->fd[0], (struct sockaddr *)&name,
		   sizeof(name.sun_family)) == 0);
	CHECK(listen(w->fd[0], 1) == 0);
}

static long in_accept(struct wait *w)
{
	int fd;

	socket_timeout(w, SO_RCVTIMEO);
	fd = accept(w->fd[0], NULL, NULL);
	if (fd < 0)
		return -errno;
	CHECK(close(fd) == 0);
	return 0;
}

static void connects(struct wait *w)
{
	struct sockaddr_un name;
	socklen_t size = sizeof(name);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	CHECK(getsockname(w->fd[0], (struct sockaddr *)&name, &size) == 0);
	CHECK(connect(fd, (struct sockaddr *)&name, size) == 0);
	CHECK(close(fd) == 0);
}

/* ---- Waiting for descriptors --------------------------------------------- */

static long readable(struct wait *w, int n)
{
	return n == 1 ? in_read(w) : n == 0 ? NOTHING : -errno;
}

static long in_poll(struct wait *w)
{
	struct pollfd p = { w->fd[0], POLLIN, 0 };

	return readable(w, poll(&p, 1, (int)w->ms));
}

static long in_ppoll(struct wait *w)
{
	struct pollfd p = { w->fd[0], POLLIN, 0 };

	return readable(w, ppoll(&p, 1, w->ms < 0 ? NULL : &w->interval, NULL));
}

static long in_select(struct wait *w)
{
	struct timeval t = { w->ms / 1000, w->ms % 1000 * 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(w->fd[0], &set);
	return readable(w, select(w->fd[0] + 1, &set, NULL, NULL,
				  w->ms < 0 ? NULL : &t));
}

static long in_pselect(struct wait *w)
{
	sigset_t mask;
	fd_set set;

	sigfillset(&mask);
	FD_ZERO(&set);
	FD_SET(w->fd[0], &set);
	return readable(w, pselect(w->fd[0] + 1, &set, NULL, NULL,
				   w->ms < 0 ? NULL : &w->interval,
				   w->form == LONG ? &mask : NULL));
}

static void make_epoll(struct wait *w)
{
	struct epoll_event e = { .events = EPOLLIN };

	make_pipe(w);
	w->epoll = epoll_create1(0);
	CHECK(w->epoll >= 0);
	CHECK(epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->fd[0], &e) == 0);
}

static long in_epoll_wait(struct wait *w)
{
	struct epoll_event e;

	return readable(w, epoll_wait(w->epoll, &e, 1, (int)w->ms));
}

static long in_epoll_pwait(struct wait *w)
{
	struct epoll_event e;
	sigset_t mask;

	sigfillset(&mask);
	return readable(w, epoll_pwait(w->epoll, &e, 1, (int)w->ms,
				       w->form == LONG ? &mask : NULL));
}

/* ---- Sleeping ------------------------------------------------------------ */

static long in_nanosleep(struct wait *w)
{
	return nanosleep(&w->interval, NULL) ? -errno : 0;
}

static long in_clock_nanosleep(struct wait *w)
{
	return -clock_nanosleep(CLOCK_MONOTONIC, 0, &w->interval, NULL);
}

static long in_clock_nanosleep_abs(struct wait *w)
{
	return -clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &w->end, NULL);
}

static long in_realtime_nanosleep(struct wait *w)
{
	return -clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &w->end, NULL);
}

static long in_usleep(struct wait *w)
{
	return usleep((useconds_t)w->ms * 1000) ? -errno : 0;
}

/* ---- Semaphores, conditions, futexes ------------------------------------- */

static void make_sem(struct wait *w)
{
	CHECK(sem_init(&w->sem, 0, 0) == 0);
	w->shared = &w->sem;
}

static void make_shared_sem(struct wait *w)
{
	w->shared = mmap(NULL, sizeof(sem_t), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(w->shared != MAP_FAILED);
	CHECK(sem_init(w->shared, 1, 0) == 0);
}

static long in_sem_wait(struct wait *w)
{
	return sem_wait(w->shared) ? -errno : 0;
}

static long in_sem_timedwait(struct wait *w)
{
	return sem_timedwait(w->shared, &w->end) ? -errno : 0;
}

static long in_sem_clockwait(struct wait *w)
{
	return sem_clockwait(w->shared, CLOCK_MONOTONIC, &w->end) ? -errno : 0;
}

static void post(struct wait *w)
{
	CHECK(sem_post(w->shared) == 0);
}

static void make_cond(struct wait *w)
{
	pthread_condattr_t attr;

	OK(pthread_mutex_init(&w->mutex, NULL));
	OK(pthread_condattr_init(&attr));
	OK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	OK(pthread_cond_init(&w->cond, &attr));
	OK(pthread_condattr_destroy(&attr));
}

static void no_word(struct wait *w)
{
	STORE(w->word, 0);
}

static long in_cond(struct wait *w)
{
	int ret = 0;

	OK(pthread_mutex_lock(&w->mutex));
	while (!w->word && !ret)
		ret = w->ms < 0 ? pthread_cond_wait(&w->cond, &w->mutex)
				: pthread_cond_timedwait(&w->cond, &w->mutex,
							 &w->end);
	OK(pthread_mutex_unlock(&w->mutex));
	return -ret;
}

static void signals(struct wait *w)
{
	OK(pthread_mutex_lock(&w->mutex));
	w->word = 1;
	OK(pthread_cond_signal(&w->cond));
	OK(pthread_mutex_unlock(&w->mutex));
}

typedef long futex_fn(int *, int op, int val, const struct timespec *);

static long libc_futex(int *addr, int op, int val, const struct timespec *t)
{
	long ret = syscall(SYS_futex, addr, op, val, t, NULL, 0);

	return ret < 0 ? -errno : ret;
}

/* As the run time of OpenMP has it: no library sees it. */
static long own_futex(int *addr, int op, int val, const struct timespec *t)
{
	register const struct timespec *timeout __asm__("r10") = t;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(SYS_futex), "D"(addr), "S"(op), "d"(val),
			   "r"(timeout)
			 : "rcx", "r11", "memory");
	return ret;
}

/* A late wake of the round before may end it too soon, and so may nothing. */
static long futex_wait(struct wait *w, futex_fn *fn, int flag)
{
	long ret;

	while (LOAD(w->word) == 0) {
		ret = fn(&w->word, FUTEX_WAIT | flag, 0,
			 w->ms < 0 ? NULL : &w->interval);
		if (ret && ret != -EAGAIN)
			return ret;
	}
	return 0;
}

static void futex_wake(struct wait *w, futex_fn *fn, int flag)
{
	STORE(w->word, 1);
	CHECK(fn(&w->word, FUTEX_WAKE | flag, 1, NULL) >= 0);
}

static long in_futex(struct wait *w)
{
	return futex_wait(w, libc_futex, FUTEX_PRIVATE_FLAG);
}

static void wake_futex(struct wait *w)
{
	futex_wake(w, libc_futex, FUTEX_PRIVATE_FLAG);
}

static long in_shared_futex(struct wait *w)
{
	return futex_wait(w, libc_futex, 0);
}

static void wake_shared_futex(struct wait *w)
{
	futex_wake(w, libc_futex, 0);
}

static long in_own_futex(struct wait *w)
{
	return futex_wait(w, own_futex, FUTEX_PRIVATE_FLAG);
}

static void wake_own_futex(struct wait *w)
{
	futex_wake(w, own_futex, FUTEX_PRIVATE_FLAG);
}

/* ---- System V ------------------------------------------------------------ */

struct message {
	long type;
	char text[8];
};

static long in_msgrcv(struct wait *w)
{
	struct message m;

	(void)w;
	return whole(msgrcv(queue, &m, sizeof(m.text), 0, 0), 1);
}

static void send_message(struct wait *w)
{
	struct message m = { 1, "x" };

	(void)w;
	CHECK(msgsnd(queue, &m, 1, 0) == 0);
}

/* One of the set for each form. */
static int semop_by(struct wait *w, short by, const struct timespec *t)
{
	struct sembuf op = { (unsigned short)(w->form - 1), by, 0 };

	return t ? semtimedop(semaphores, &op, 1, t)
		 : semop(semaphores, &op, 1);
}

static long in_semop(struct wait *w)
{
	return semop_by(w, -1, w->ms < 0 ? NULL : &w->interval) ? -errno : 0;
}

static void raise_semaphore(struct wait *w)
{
	CHECK(semop_by(w, 1, NULL) == 0);
}

/* ---- File locks ---------------------------------------------------------- */

/* Two open files of one, so that their locks exclude each other. */
static void make_files(struct wait *w)
{
	char path[64];

	w->fd[0] = memfd_create("no_eintr", 0);
	CHECK(w->fd[0] >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", w->fd[0]);
	w->fd[1] = open(path, O_RDWR);
	CHECK(w->fd[1] >= 0);
}

static void other_flock(struct wait *w)
{
	CHECK(flock(w->fd[1], LOCK_EX) == 0);
}

static long in_flock(struct wait *w)
{
	if (flock(w->fd[0], LOCK_EX))
		return -errno;
	CHECK(flock(w->fd[0], LOCK_UN) == 0);
	return 0;
}

static void other_unflock(struct wait *w)
{
	CHECK(flock(w->fd[1], LOCK_UN) == 0);
}

static int record_lock(int fd, int how, short type)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_len = 1 };

	return fcntl(fd, how, &l);
}

static void other_ofd(struct wait *w)
{
	CHECK(record_lock(w->fd[1], F_OFD_SETLK, F_WRLCK) == 0);
}

static long in_ofd(struct wait *w)
{
	if (record_lock(w->fd[0], F_OFD_SETLKW, F_WRLCK))
		return -errno;
	CHECK(record_lock(w->fd[0], F_OFD_SETLK, F_UNLCK) == 0);
	return 0;
}

static void other_unofd(struct wait *w)
{
	CHECK(record_lock(w->fd[1], F_OFD_SETLK, F_UNLCK) == 0);
}

/* A process has such a lock, so the other one has to be another. */
static void helper_locks(struct wait *w)
{
	char c;

	(void)w;
	CHECK_EQ(write(helper[1], "l", 1), 1);
	CHECK_EQ(read(helper[1], &c, 1), 1);
}

static long in_setlkw(struct wait *w)
{
	(void)w;
	if (record_lock(record, F_SETLKW, F_WRLCK))
		return -errno;
	CHECK(record_lock(record, F_SETLK, F_UNLCK) == 0);
	return 0;
}

static void helper_unlocks(struct wait *w)
{
	(void)w;
	CHECK_EQ(write(helper[1], "u", 1), 1);
}

/*
 * Holds the lock when told to, and removes what would outlive us, however we
 * end: a process group's end does not reach it.
 */
static pid_t start_helper(void)
{
	pid_t pid;
	char c;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, helper) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid) {
		CHECK(close(helper[0]) == 0);
		return pid;
	}
	setsid();
	close(helper[1]);
	close(0);
	close(1);
	close(2);
	while (read(helper[0], &c, 1) == 1) {
		if (record_lock(record, F_SETLKW, c == 'l' ? F_WRLCK : F_UNLCK))
			break;
		if (c == 'l' && write(helper[0], "y", 1) != 1)
			break;
	}
	if (queue >= 0)
		msgctl(queue, IPC_RMID, NULL);
	if (semaphores >= 0)
		semctl(semaphores, 0, IPC_RMID);
	_exit(0);
}

/* ---- Children, signals, the kernel's own time ---------------------------- */

static void fork_child(struct wait *w)
{
	int us = rand_r(&w->seed) % (LONGEST * 1000);

	w->child = fork();
	CHECK(w->child >= 0);
	if (w->child == 0) {
		usleep(us);
		_exit(0);
	}
}

static long in_waitpid(struct wait *w)
{
	int status = -1;
	pid_t pid = waitpid(w->child, &status, 0);

	if (pid < 0)
		return -errno;
	CHECK(pid == w->child && status == 0);
	return 0;
}

static long in_waitid(struct wait *w)
{
	siginfo_t si;

	if (waitid(P_PID, w->child, &si, WEXITED))
		return -errno;
	CHECK(si.si_pid == w->child && si.si_status == 0);
	return 0;
}

static const sigset_t *usr1(void)
{
	static __thread sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return &set;
}

static long in_sigwait(struct wait *w)
{
	int sig = 0, ret = sigwait(usr1(), &sig);

	(void)w;
	CHECK(ret || sig == SIGUSR1);
	return -ret;
}

static long in_sigtimedwait(struct wait *w)
{
	return whole(
		sigtimedwait(usr1(), NULL, w->ms < 0 ? NULL : &w->interval),
		SIGUSR1);
}

static void kills(struct wait *w)
{
	OK(pthread_kill(w->blocker, SIGUSR1));
}

/* Long in the kernel, where a signal would cut it short. */
static long in_getrandom(struct wait *w)
{
	static __thread char buf[BIG];

	(void)w;
	return whole(getrandom(buf, BIG, 0), BIG);
}

/* ---- All of them --------------------------------------------------------- */

#define ALL	     (FOREVER | LONG | SHORT)
#define SLEEP(fn, r) SHORT, NULL, NULL, fn, NULL, 0, r
#define PIPE(fn)     ALL, make_pipe, NULL, fn, byte, NOTHING, 0
#define EPOLL(fn)    ALL, make_epoll, NULL, fn, byte, NOTHING, 0
#define FUTEX(fn, w) ALL, NULL, no_word, fn, w, -ETIMEDOUT, 0
#define TIMED(m, fn) LONG | SHORT, m, NULL, fn, post, -ETIMEDOUT
#define CHILD(fn)    FOREVER, NULL, fork_child, fn, NULL, 0, 0

static const struct kind kinds[] = {
	{ "read", FOREVER, make_pipe, NULL, in_read, byte, 0, 0 },
	{ "io_uring", FOREVER, make_pipe, NULL, in_io_uring, byte, 0, 0 },
	{ "write", FOREVER, make_reversed, NULL, in_write, drain, 0, 0 },
	{ "poll", PIPE(in_poll) },
	{ "ppoll", PIPE(in_ppoll) },
	{ "select", PIPE(in_select) },
	{ "pselect", PIPE(in_pselect) },
	{ "epoll_wait", EPOLL(in_epoll_wait) },
	{ "epoll_pwait", EPOLL(in_epoll_pwait) },
	{ "recv", ALL, make_sockets, NULL, in_recv, byte, -EAGAIN, 0 },
	{ "recv of all", FOREVER | LONG, make_sockets, NULL, in_recv_all,
	  two_bytes, 0, 0 },
	{ "send", FOREVER | LONG, make_sockets, NULL, in_send, drain, 0, 0 },
	{ "accept", ALL, make_listener, NULL, in_accept, connects, -EAGAIN, 0 },
	{ "nanosleep", SLEEP(in_nanosleep, 0) },
	{ "clock_nanosleep", SLEEP(in_clock_nanosleep, 0) },
	{ "clock_nanosleep, absolute", SLEEP(in_clock_nanosleep_abs, 0) },
	{ "clock_nanosleep, realtime", SLEEP(in_realtime_nanosleep, 1) },
	{ "usleep", SLEEP(in_usleep, 0) },
	{ "sem_wait", FOREVER, make_sem, NULL, in_sem_wait, post, 0, 0 },
	{ "sem_timedwait", TIMED(make_sem, in_sem_timedwait), 1 },
	{ "sem_clockwait", TIMED(make_sem, in_sem_clockwait), 0 },
	{ "shared sem_wait", FOREVER, make_shared_sem, NULL, in_sem_wait, post,
	  0, 0 },
	{ "shared sem_timedwait", TIMED(make_shared_sem, in_sem_timedwait), 1 },
	{ "shared sem_clockwait", TIMED(make_shared_sem, in_sem_clockwait), 0 },
	{ "condition", ALL, make_cond, no_word, in_cond, signals, -ETIMEDOUT,
	  0 },
	{ "futex", FUTEX(in_futex, wake_futex) },
	{ "shared futex", FUTEX(in_shared_futex, wake_shared_futex) },
	{ "futex of its own", FUTEX(in_own_futex, wake_own_futex) },
	{ "msgrcv", FOREVER, NULL, NULL, in_msgrcv, send_message, 0, 0 },
	{ "semop", ALL, NULL, NULL, in_semop, raise_semaphore, -EAGAIN, 0 },
	{ "flock", FOREVER, make_files, other_flock, in_flock, other_unflock, 0,
	  0 },
	{ "F_OFD_SETLKW", FOREVER, make_files, other_ofd, in_ofd, other_unofd,
	  0, 0 },
	{ "F_SETLKW", FOREVER, NULL, helper_locks, in_setlkw, helper_unlocks, 0,
	  0 },
	{ "waitpid", CHILD(in_waitpid) },
	{ "waitid", CHILD(in_waitid) },
	{ "sigwait", FOREVER, NULL, NULL, in_sigwait, kills, 0, 0 },
	{ "sigtimedwait", ALL, NULL, NULL, in_sigtimedwait, kills, -EAGAIN, 0 },
	{ "getrandom", FOREVER, NULL, NULL, in_getrandom, NULL, 0, 0 },
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };
static struct wait waits[3 * KINDS];

static const char *form_name(int form)
{
	return form == FOREVER ? "without a timeout"
	       : form == LONG  ? "with a timeout far off"
			       : "until its timeout";
}

static void *blocks(void *arg)
{
	struct wait *w = arg;
	const struct kind *k = w->kind;
	clockid_t clock = k->realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC;
	long i, got, want = w->form == SHORT ? k->timed_out : 0;

	w->blocker = pthread_self();
	for (i = 0; i < rounds; i++) {
		w->ms = w->form == FOREVER ? -1
			: w->form == LONG  ? FAR
					   : 1 + rand_r(&w->seed) % LONGEST;
		w->interval = (struct timespec){ w->ms / 1000,
						 w->ms % 1000 * 1000000 };
		if (k->prepare)
			k->prepare(w);
		CHECK(sem_post(&w->go) == 0);
		w->end = in_ms(clock, w->ms);
		got = k->block(w);
		if (got != want)
			check_fail(__FILE__, __LINE__,
				   "%s %s, round %ld: %ld (%s), not %ld",
				   k->name, form_name(w->form), i, got,
				   got == NOTHING ? "nothing"
				   : got == CUT	  ? "cut short"
						  : strerror((int)-got),
				   want);
		if (w->form == SHORT && !reached(clock, &w->end))
			check_fail(__FILE__, __LINE__,
				   "%s, round %ld: %ld ms end too soon",
				   k->name, i, w->ms);
	}
	return NULL;
}

static void *releases(void *arg)
{
	struct wait *w = arg;
	unsigned seed = ~w->seed;
	long i;

	for (i = 0; i < rounds; i++) {
		CHECK(sem_wait(&w->go) == 0);
		CHECK(usleep(rand_r(&seed) % (LONGEST * 1000)) == 0);
		w->kind->release(w);
	}
	return NULL;
}

/* A kernel, or a sandbox, may be without System V's queues and semaphores. */
static int missing(const struct kind *k)
{
	return (k->block == in_msgrcv && queue < 0) ||
	       (k->block == in_semop && semaphores < 0);
}

int main(int argc, char **argv)
{
	pthread_t hog[HOGS];
	struct wait *w = waits, *p;
	size_t i;
	pid_t pid;
	int form;

	if (argc > 1)
		rounds = atol(argv[1]);
	OK(pthread_sigmask(SIG_BLOCK, usr1(), NULL));
	record = memfd_create("no_eintr", 0);
	CHECK(record >= 0);
	queue = msgget(IPC_PRIVATE, 0600);
	semaphores = semget(IPC_PRIVATE, SHORT, 0600);
	pid = start_helper();
	section("waits");
	for (i = 0; i < HOGS; i++)
		hog[i] = start(computes_on, (void *)i);
	for (i = 0; i < KINDS; i++)
		for (form = FOREVER; form <= SHORT; form <<= 1) {
			if (!(kinds[i].forms & form) || missing(&kinds[i]))
				continue;
			w->kind = &kinds[i];
			w->form = form;
			w->seed = (unsigned)(w - waits) + 1;
			CHECK(sem_init(&w->go, 0, 0) == 0);
			if (kinds[i].setup)
				kinds[i].setup(w);
			w++;
		}
	for (p = waits; p < w; p++) {
		p->blocker = start(blocks, p);
		if (p->kind->release && p->form != SHORT)
			p->releaser = start(releases, p);
	}
	for (p = waits; p < w; p++) {
		join(p->blocker);
		if (p->releaser)
			join(p->releaser);
	}
	stop_computing = 1;
	for (i = 0; i < HOGS; i++)
		CHECK(join(hog[i]) != NULL);
	CHECK(close(helper[1]) == 0);
	reap(pid, 0);
	printf("%ld rounds\n", rounds);
	return 0;
}
