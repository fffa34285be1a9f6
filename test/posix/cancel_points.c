/*
 * cancel_points - a thread is cancelled in the calls that io_cancel and blocks do not
 * have: it ends while it waits there; also if it was cancelled before and has no need to
 * wait; not while it has put cancellation off. The mutex of a condition is its own again
 * by then, a stream's lock nobody's, and no file number is lost. To wait for a lock, or to
 * have files copied by sendfile, is no such point. So it is for a thread that has a
 * kernel thread to itself, too. One that is cancelled before it has begun ends at the
 * first point that it comes to.
 */
#include "iocheck.h"
#include <aio.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

static pthread_t waiter;
static int cleaned, left, disabled, early, wired;
static pthread_mutex_t robust;

static char path[64];
static int end[2], opened;
static FILE *stream;
static struct aiocb aio;
static sem_t sem, *named = SEM_FAILED;
static pthread_mutex_t mutex;
static pthread_cond_t cond;
static int owns; /* the mutex is the thread's */
static pthread_t other;
static pthread_rwlock_t rwlock;
static pthread_barrier_t barrier;
static pthread_once_t once;

static void nothing(void)
{
}

static void empty(void)
{
	static char big[65536];

	CHECK(fcntl(end[0], F_SETFL, O_NONBLOCK) == 0);
	while (read(end[0], big, sizeof(big)) > 0)
		;
}

static void writes(void)
{
	CHECK_EQ(write(end[1], "c\n", 2), 2);
}

static void closes(void)
{
	CHECK(close(end[0]) == 0 && close(end[1]) == 0);
}

/* ---- A FIFO's other end -------------------------------------------------------- */

static void make_fifo(void)
{
	snprintf(path, sizeof(path), "/tmp/cancel_points.%d", (int)getpid());
	CHECK(mkfifo(path, 0600) == 0);
	opened = -1;
}

static void open_both(void)
{
	opened = open(path, O_RDWR | O_NONBLOCK);
	CHECK(opened >= 0);
}

static void remove_fifo(void)
{
	if (opened >= 0)
		CHECK(close(opened) == 0);
	CHECK(unlink(path) == 0);
}

static void opens(int fd)
{
	CHECK(fd >= 0);
	CHECK(close(fd) == 0);
}

static void in_open(void)
{
	opens(open(path, O_RDONLY));
}

static void in_openat(void)
{
	opens(openat(AT_FDCWD, path, O_WRONLY));
}

static void in_creat(void)
{
	opens(creat(path, 0600));
}

static int interrupts;

static void on_int(int sig)
{
	interrupts++;
}

static void in_system(void)
{
	char command[128];

	snprintf(command, sizeof(command), "exec cat %s", path);
	CHECK_EQ(system(command), 0);
}

static void let_cat_end(void)
{
	opens(open(path, O_WRONLY));
}

/* SIGINT, which it ignores meanwhile, is not ignored any more. */
static void after_system(void)
{
	int before = interrupts;

	remove_fifo();
	CHECK(kill(getpid(), SIGINT) == 0);
	YIELD_UNTIL(LOAD(interrupts) == before + 1);
}

/* ---- Files ------------------------------------------------------------------------- */

static void make_pipe(void)
{
	CHECK(pipe(end) == 0);
}

static void make_full(void)
{
	unix_pair(SOCK_STREAM, end, 16 << 10);
	fill(end[1]);
	opened = memfd_create("cancel_points", 0);
	CHECK(opened >= 0 && write(opened, "c", 1) == 1);
}

static void in_sendfile(void)
{
	off_t at = 0;

	CHECK_EQ(sendfile(end[1], opened, &at, 1), 1);
}

static void closes_both(void)
{
	closes();
	CHECK(close(opened) == 0);
}

static void make_file(void)
{
	end[0] = memfd_create("cancel_points", 0);
	CHECK(end[0] >= 0 && write(end[0], "c", 1) == 1);
	end[1] = dup(end[0]);
}

static void in_pread(void)
{
	char c;

	CHECK_EQ(pread(end[0], &c, 1, 0), 1);
}

static void in_pwrite(void)
{
	CHECK_EQ(pwrite(end[0], "d", 1, 0), 1);
}

static void in_fsync(void)
{
	CHECK_EQ(fsync(end[0]), 0);
}

static void in_fdatasync(void)
{
	CHECK_EQ(fdatasync(end[0]), 0);
}

static void in_msync(void)
{
	CHECK_EQ(msync(NULL, 0, MS_SYNC), 0);
}

static void make_aio(void)
{
	static char c;

	make_pipe();
	aio = (struct aiocb){ .aio_fildes = end[0],
			      .aio_buf = &c,
			      .aio_nbytes = 1 };
	CHECK(aio_read(&aio) == 0);
}

static void in_aio_suspend(void)
{
	const struct aiocb *list[] = { &aio };

	CHECK_EQ(aio_suspend(list, 1, NULL), 0);
}

static void finish_aio(void)
{
	if (aio_error(&aio) == EINPROGRESS)
		writes();
	in_aio_suspend();
	CHECK_EQ(aio_return(&aio), 1);
	closes();
}

/* ---- Streams ------------------------------------------------------------------------- */

static void make_reader(void)
{
	make_pipe();
	stream = fdopen(end[0], "r");
	CHECK(stream);
}

static void make_writer(void)
{
	make_pipe();
	fill(end[1]);
	stream = fdopen(end[1], "w");
	CHECK(stream && setvbuf(stream, NULL, _IONBF, 0) == 0);
}

static void in_fgets(void)
{
	char line[16];

	CHECK(fgets(line, sizeof(line), stream) == line);
}

static void in_getc(void)
{
	CHECK_EQ(getc(stream), 'c');
}

static void in_fputs(void)
{
	CHECK(fputs("line", stream) >= 0);
}

static void free_stream(void)
{
	CHECK_EQ(ftrylockfile(stream), 0);
	funlockfile(stream);
	empty();
	CHECK(fclose(stream) == 0);
	close(end[0]);
	close(end[1]);
}

/* ---- Semaphores and conditions ----------------------------------------------------------- */

static void make_sem(void)
{
	CHECK(sem_init(&sem, 0, 0) == 0);
}

static void make_sem_shared(void)
{
	CHECK(sem_init(&sem, 1, 0) == 0);
}

static void in_sem_wait(void)
{
	CHECK_EQ(sem_wait(&sem), 0);
}

static void in_sem_timedwait(void)
{
	struct timespec t = far_off(CLOCK_REALTIME);

	CHECK_EQ(sem_timedwait(&sem, &t), 0);
}

static void post(void)
{
	CHECK(sem_post(&sem) == 0);
}

/* It is as it was: nobody is counted who does not wait any more. */
static void free_sem(void)
{
	int value;

	CHECK(sem_getvalue(&sem, &value) == 0);
	CHECK_EQ(value, 0);
	post();
	CHECK(sem_trywait(&sem) == 0);
	ERR(EAGAIN, sem_trywait(&sem));
	CHECK(sem_destroy(&sem) == 0);
}

static void make_named(void)
{
	snprintf(path, sizeof(path), "/cancel_points.%d", (int)getpid());
	named = sem_open(path, O_CREAT | O_EXCL, 0600, 0);
	CHECK(named != SEM_FAILED);
}

static void in_named(void)
{
	CHECK_EQ(sem_wait(named), 0);
}

static void post_named(void)
{
	CHECK(sem_post(named) == 0);
}

static void free_named(void)
{
	CHECK(sem_close(named) == 0 && sem_unlink(path) == 0);
}

static void make_cond_of(int shared, int type)
{
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;

	OK(pthread_mutexattr_init(&ma));
	OK(pthread_mutexattr_settype(&ma, type));
	OK(pthread_mutexattr_setpshared(&ma, shared));
	OK(pthread_mutex_init(&mutex, &ma));
	OK(pthread_condattr_init(&ca));
	OK(pthread_condattr_setpshared(&ca, shared));
	OK(pthread_cond_init(&cond, &ca));
}

static void make_cond(void)
{
	make_cond_of(PTHREAD_PROCESS_PRIVATE, PTHREAD_MUTEX_NORMAL);
}

static void make_cond_recursive(void)
{
	make_cond_of(PTHREAD_PROCESS_PRIVATE, PTHREAD_MUTEX_RECURSIVE);
}

static void make_cond_shared(void)
{
	make_cond_of(PTHREAD_PROCESS_SHARED, PTHREAD_MUTEX_NORMAL);
}

static void make_cond_shared_recursive(void)
{
	make_cond_of(PTHREAD_PROCESS_SHARED, PTHREAD_MUTEX_RECURSIVE);
}

static void in_cond_wait(void)
{
	OK(pthread_mutex_lock(&mutex));
	owns = 1;
	OK(pthread_cond_wait(&cond, &mutex));
	owns = 0;
	OK(pthread_mutex_unlock(&mutex));
}

static void in_cond_timedwait(void)
{
	struct timespec t = far_off(CLOCK_REALTIME);

	OK(pthread_mutex_lock(&mutex));
	owns = 1;
	OK(pthread_cond_timedwait(&cond, &mutex, &t));
	owns = 0;
	OK(pthread_mutex_unlock(&mutex));
}

static void broadcast(void)
{
	do {
		OK(pthread_mutex_lock(&mutex));
		OK(pthread_cond_broadcast(&cond));
		OK(pthread_mutex_unlock(&mutex));
		usleep(1000);
	} while (!LOAD(left));
}

static void free_cond(void)
{
	OK(pthread_cond_destroy(&cond));
	OK(pthread_mutex_lock(&mutex));
	OK(pthread_mutex_unlock(&mutex));
	OK(pthread_mutex_destroy(&mutex));
}

/* ---- Threads, signals and time -------------------------------------------------------------- */

static void *waits_for_sem(void *arg)
{
	while (sem_wait(&sem))
		;
	return arg;
}

static void make_thread(void)
{
	make_sem();
	other = start(waits_for_sem, NULL);
}

static void in_join(void)
{
	OK(pthread_join(other, NULL));
}

static void in_timedjoin(void)
{
	struct timespec t = far_off(CLOCK_REALTIME);

	OK(pthread_timedjoin_np(other, NULL, &t));
}

static void join_other(void)
{
	if (!LOAD(left)) {
		post();
		CHECK(join(other) == NULL);
	}
}

static void on_usr1(int sig)
{
}

static void send_usr1(void)
{
	OK(pthread_kill(waiter, SIGUSR1));
}

static void send_usr2(void)
{
	OK(pthread_kill(waiter, SIGUSR2));
}

static void in_sigwait(void)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	OK(sigwait(&set, &sig));
	CHECK_EQ(sig, SIGUSR2);
}

static void in_sigwaitinfo(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK_EQ(sigwaitinfo(&set, NULL), SIGUSR2);
}

static void in_sigsuspend(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	ERR(EINTR, sigsuspend(&set));
}

static void in_pause(void)
{
	ERR(EINTR, pause());
}

static void in_nanosleep(void)
{
	struct timespec t = { 600, 0 };

	ERR(EINTR, nanosleep(&t, NULL));
}

static void in_clock_nanosleep(void)
{
	struct timespec t = far_off(CLOCK_MONOTONIC);

	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL),
		 EINTR);
}

static void in_cpu_nanosleep(void)
{
	struct timespec t = { 600, 0 };

	CHECK_EQ(clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &t, NULL), EINTR);
}

static void in_sleep(void)
{
	CHECK(sleep(600) > 500);
}

static void in_poll(void)
{
	ERR(EINTR, poll(NULL, 0, -1));
}

/* ---- No points -------------------------------------------------------------------------------- */

static void make_held(void)
{
	OK(pthread_mutex_init(&mutex, NULL));
	OK(pthread_mutex_lock(&mutex));
}

static void in_mutex(void)
{
	OK(pthread_mutex_lock(&mutex));
	OK(pthread_mutex_unlock(&mutex));
}

static void unlock(void)
{
	OK(pthread_mutex_unlock(&mutex));
}

static void make_rwlock(void)
{
	OK(pthread_rwlock_init(&rwlock, NULL));
	OK(pthread_rwlock_wrlock(&rwlock));
}

static void in_rdlock(void)
{
	OK(pthread_rwlock_rdlock(&rwlock));
	OK(pthread_rwlock_unlock(&rwlock));
}

static void in_wrlock(void)
{
	OK(pthread_rwlock_wrlock(&rwlock));
	OK(pthread_rwlock_unlock(&rwlock));
}

static void rwunlock(void)
{
	OK(pthread_rwlock_unlock(&rwlock));
}

static void make_barrier(void)
{
	OK(pthread_barrier_init(&barrier, NULL, 2));
}

static void in_barrier(void)
{
	pthread_barrier_wait(&barrier);
}

static void *runs_once(void *arg)
{
	pthread_once(&once, (void (*)(void))arg);
	return NULL;
}

static void until_sem(void)
{
	STORE(owns, 1);
	waits_for_sem(NULL);
}

static void make_once(void)
{
	make_sem();
	once = PTHREAD_ONCE_INIT;
	owns = 0;
	other = start(runs_once, (void *)until_sem);
	YIELD_UNTIL(LOAD(owns));
	owns = 0;
}

static void in_once(void)
{
	pthread_once(&once, nothing);
}

static void end_once(void)
{
	CHECK(join(other) == NULL);
}

/* ---- All of them -------------------------------------------------------------------------------- */

enum { KEEPS = 1, NOWAIT = 2, NOPOINT = 4, SIGNALS = 8 };

struct kind {
	const char *name;
	void (*make)(void), (*call)(void), (*release)(void), (*done)(void);
	int is;
};

static const struct kind kinds[] = {
	{ "open", make_fifo, in_open, open_both, remove_fifo, 0 },
	{ "openat", make_fifo, in_openat, open_both, remove_fifo, 0 },
	{ "creat", make_fifo, in_creat, open_both, remove_fifo, 0 },
	{ "system", make_fifo, in_system, let_cat_end, after_system, 0 },
	{ "pread", make_file, in_pread, nothing, closes, NOWAIT },
	{ "pwrite", make_file, in_pwrite, nothing, closes, NOWAIT },
	{ "fsync", make_file, in_fsync, nothing, closes, NOWAIT },
	{ "fdatasync", make_file, in_fdatasync, nothing, closes, NOWAIT },
	{ "msync", make_file, in_msync, nothing, closes, NOWAIT },
	{ "aio_suspend", make_aio, in_aio_suspend, writes, finish_aio, 0 },
	{ "fgets", make_reader, in_fgets, writes, free_stream, 0 },
	{ "getc", make_reader, in_getc, writes, free_stream, 0 },
	{ "fputs", make_writer, in_fputs, empty, free_stream, 0 },
	{ "sem_wait", make_sem, in_sem_wait, post, free_sem, KEEPS },
	{ "sem_timedwait", make_sem, in_sem_timedwait, post, free_sem, KEEPS },
	{ "sem_wait, shared", make_sem_shared, in_sem_wait, post, free_sem,
	  KEEPS },
	{ "sem_timedwait, shared", make_sem_shared, in_sem_timedwait, post,
	  free_sem, KEEPS },
	{ "sem_wait, named", make_named, in_named, post_named, free_named, 0 },
	{ "cond_wait", make_cond, in_cond_wait, broadcast, free_cond, KEEPS },
	{ "cond_timedwait", make_cond, in_cond_timedwait, broadcast, free_cond,
	  KEEPS },
	{ "cond_wait, recursive", make_cond_recursive, in_cond_wait, broadcast,
	  free_cond, KEEPS },
	{ "cond_wait, shared", make_cond_shared, in_cond_wait, broadcast,
	  free_cond, KEEPS },
	{ "cond_timedwait, shared", make_cond_shared, in_cond_timedwait,
	  broadcast, free_cond, KEEPS },
	{ "cond_wait, shared and recursive", make_cond_shared_recursive,
	  in_cond_wait, broadcast, free_cond, KEEPS },
	{ "join", make_thread, in_join, post, join_other, KEEPS },
	{ "timedjoin", make_thread, in_timedjoin, post, join_other, KEEPS },
	{ "sigwait", nothing, in_sigwait, send_usr2, nothing, SIGNALS },
	{ "sigwaitinfo", nothing, in_sigwaitinfo, send_usr2, nothing, SIGNALS },
	{ "sigsuspend", nothing, in_sigsuspend, send_usr1, nothing, SIGNALS },
	{ "pause", nothing, in_pause, send_usr1, nothing, SIGNALS },
	{ "nanosleep", nothing, in_nanosleep, send_usr1, nothing, SIGNALS },
	{ "clock_nanosleep", nothing, in_clock_nanosleep, send_usr1, nothing,
	  SIGNALS },
	{ "clock_nanosleep, CPU time", nothing, in_cpu_nanosleep, send_usr1,
	  nothing, SIGNALS },
	{ "sleep", nothing, in_sleep, send_usr1, nothing, SIGNALS },
	{ "poll", nothing, in_poll, send_usr1, nothing, SIGNALS },
	{ "mutex_lock", make_held, in_mutex, unlock, nothing, NOPOINT },
	{ "rwlock_rdlock", make_rwlock, in_rdlock, rwunlock, nothing, NOPOINT },
	{ "rwlock_wrlock", make_rwlock, in_wrlock, rwunlock, nothing, NOPOINT },
	{ "sendfile", make_full, in_sendfile, empty, closes_both, NOPOINT },
	{ "barrier_wait", make_barrier, in_barrier, in_barrier, nothing,
	  NOPOINT },
	{ "once", make_once, in_once, post, end_once, NOPOINT },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static const struct kind *kind;

static void cleanup(void *arg)
{
	CHECK(arg == &cleaned);
	if (owns) {
		owns = 0;
		OK(pthread_mutex_unlock(&mutex));
	}
	if (wired)
		OK(pthread_mutex_unlock(&robust));
	ADD(cleaned, 1);
}

static void *waits(void *arg)
{
	int state;

	if (wired)
		OK(pthread_mutex_lock(&robust));
	pthread_cleanup_push(cleanup, &cleaned);
	OK(pthread_setcancelstate(disabled ? PTHREAD_CANCEL_DISABLE
					   : PTHREAD_CANCEL_ENABLE,
				  &state));
	ENTERING();
	if (early)
		YIELD_UNTIL(LOAD(left)); /* nothing in here ends it */
	STORE(left, 0);
	kind->call();
	STORE(left, 1);
	OK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state));
	pthread_testcancel();
	pthread_cleanup_pop(1);
	return arg;
}

static void begin(void)
{
	cleaned = left = 0;
	NOT_ENTERED();
	waiter = start(waits, NULL);
	ONCE_BLOCKED();
}

static void expect_cancelled(const char *how)
{
	if (join(waiter) != PTHREAD_CANCELED || cleaned != 1)
		check_fail(__FILE__, __LINE__, "%s, %s: not cancelled",
			   kind->name, how);
}

static int next_fd(void)
{
	int fd = dup(0);

	CHECK(fd >= 0 && close(fd) == 0);
	return fd;
}

static void while_waiting(void)
{
	int fd;

	if (kind->is & NOWAIT)
		return;
	kind->make();
	fd = next_fd();
	begin();
	OK(pthread_cancel(waiter));
	if (kind->is & NOPOINT) {
		settle();
		CHECK(!LOAD(cleaned) && !LOAD(left));
		kind->release();
	}
	expect_cancelled("waiting");
	CHECK_EQ(LOAD(left), (kind->is & NOPOINT) != 0);
	CHECK_EQ(next_fd(), fd);
	kind->done();
}

/* It need not wait: what it waits for is there, or it was never to begin. */
static void before(void)
{
	if (kind->is & NOPOINT)
		return;
	kind->make();
	early = 1;
	begin();
	OK(pthread_cancel(waiter));
	STORE(left, 1);
	expect_cancelled("before");
	CHECK(!LOAD(left));
	early = 0;
	kind->done();
}

static void put_off(void)
{
	if (kind->is & NOWAIT)
		return;
	kind->make();
	disabled = 1;
	begin();
	OK(pthread_cancel(waiter));
	settle();
	CHECK(!LOAD(left) && !LOAD(cleaned));
	kind->release();
	expect_cancelled("put off");
	CHECK(LOAD(left));
	disabled = 0;
	kind->done();
}

static void each(void (*way)(void))
{
	for (kind = kinds; kind < kinds + KINDS; kind++) {
		section(kind->name);
		way();
	}
}

static void all(void)
{
	section("waiting");
	each(while_waiting);
	section("before");
	each(before);
	section("put off");
	each(put_off);
}

/* ---- Not begun --------------------------------------------------------------------------------- */

static int begun;

static void *begins(void *arg)
{
	ADD(begun, 1);
	for (;;) {
		pthread_testcancel();
		sched_yield();
	}
	return arg;
}

static void not_begun(void)
{
	pthread_t t[100];
	int i, k;

	for (k = 0; k < 20; k++) {
		begun = 0;
		for (i = 0; i < 100; i++) {
			t[i] = start_small(begins, NULL);
			OK(pthread_cancel(t[i]));
		}
		for (i = 0; i < 100; i++)
			CHECK(join(t[i]) == PTHREAD_CANCELED);
		CHECK(begun <= 100);
	}
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_usr1 };
	pthread_mutexattr_t attr;
	sigset_t set;

	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	sa.sa_handler = on_int;
	CHECK(sigaction(SIGINT, &sa, NULL) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	all();
	section("with a robust mutex");
	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
	OK(pthread_mutex_init(&robust, &attr));
	wired = 1;
	all();
	section("not begun");
	not_begun();
	return 0;
}
