/*
 * blocks - one thread blocks in a call of the kernel's or in a stream, others
 * take their turns before they let it go on: first call by call, then in all of
 * them at once.  What the call returns is what it has to, errno included.
 */
#include "check.h"
#include <aio.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <netdb.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <wchar.h>

enum { TURNS = 60, TOTAL = 40000 };
static const char TEXT[] = "12 word\n";

struct test {
	const struct kind *kind;
	pthread_t thread;
	int entered, done;
	int fd[2], id;
	FILE *in, *out;
	mqd_t mq;
	pid_t child;
	int *word;
	struct aiocb aio;
	char path[64];
};

struct kind {
	const char *name;
	void (*setup)(struct test *);
	void (*block)(struct test *); /* with errno ERRNO_MARK */
	void (*release)(struct test *);
	int alone; /* it takes what others wait for */
};

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

/* ---- Reading streams ------------------------------------------------------------------ */

static void make_pipe(struct test *t)
{
	CHECK(pipe(t->fd) == 0);
	CHECK(fcntl(t->fd[1], F_SETPIPE_SZ, 4096) > 0);
	t->in = fdopen(t->fd[0], "r");
	t->out = fdopen(t->fd[1], "w");
	CHECK(t->in && t->out);
}

static void write_text(struct test *t)
{
	CHECK_EQ(write(t->fd[1], TEXT, sizeof(TEXT) - 1), sizeof(TEXT) - 1);
}

static void close_both(struct test *t)
{
	CHECK(fclose(t->in) == 0);
	CHECK(fclose(t->out) == 0);
	errno = ERRNO_MARK;
}

static void in_getc(struct test *t)
{
	size_t i;

	for (i = 0; i < sizeof(TEXT) - 1; i++)
		CHECK_EQ(i % 2 ? fgetc(t->in) : getc(t->in), TEXT[i]);
	close_both(t);
}

static void in_getc_unlocked(struct test *t)
{
	size_t i;

	for (i = 0; i < sizeof(TEXT) - 1; i++)
		CHECK_EQ(getc_unlocked(t->in), TEXT[i]);
	close_both(t);
}

static void in_getchar(struct test *t)
{
	FILE *was = stdin;
	int n;
	char word[8];

	stdin = t->in;
	CHECK_EQ(getchar(), TEXT[0]);
	CHECK_EQ(scanf("%d %7s", &n, word), 2);
	CHECK(n == 2 && strcmp(word, "word") == 0);
	stdin = was;
	close_both(t);
}

static void in_fgets(struct test *t)
{
	char line[100];

	CHECK(fgets(line, sizeof(line), t->in) == line);
	CHECK(strcmp(line, TEXT) == 0);
	close_both(t);
}

static void in_getline(struct test *t)
{
	char *line = NULL;
	size_t size = 0;

	CHECK_EQ(getline(&line, &size, t->in), sizeof(TEXT) - 1);
	CHECK(strcmp(line, TEXT) == 0);
	free(line);
	close_both(t);
}

static void in_getdelim(struct test *t)
{
	char *line = NULL;
	size_t size = 0;

	CHECK_EQ(getdelim(&line, &size, 'w', t->in), 4);
	CHECK(strcmp(line, "12 w") == 0);
	free(line);
	close_both(t);
}

static void in_fread(struct test *t)
{
	char buf[sizeof(TEXT)] = "";

	CHECK_EQ(fread(buf, 1, sizeof(TEXT) - 1, t->in), sizeof(TEXT) - 1);
	CHECK(strcmp(buf, TEXT) == 0);
	close_both(t);
}

static void in_fscanf(struct test *t)
{
	char word[8];
	int n;

	CHECK_EQ(fscanf(t->in, "%d %7s", &n, word), 2);
	CHECK(n == 12 && strcmp(word, "word") == 0);
	close_both(t);
}

static void in_getwc(struct test *t)
{
	CHECK_EQ(getwc(t->in), L'1');
	close_both(t);
}

/* ---- Writing streams ------------------------------------------------------------------- */

/* What was written, to the end. */
static void read_all(struct test *t)
{
	char buf[5000];
	long sum = 0;
	ssize_t n;

	while ((n = read(t->fd[0], buf, sizeof(buf))) > 0)
		sum += n;
	CHECK_EQ(n, 0);
	CHECK_EQ(sum, TOTAL);
	CHECK(fclose(t->in) == 0);
}

static void end_writing(struct test *t)
{
	CHECK_EQ(fclose(t->out), 0);
	errno = ERRNO_MARK;
}

static void in_fwrite(struct test *t)
{
	static char all[TOTAL];

	memset(all, 'x', sizeof(all));
	CHECK_EQ(fwrite(all, 1, TOTAL, t->out), TOTAL);
	end_writing(t);
}

#define WRITES(name, call)                                                     \
	static void name(struct test *t)                                       \
	{                                                                      \
		int i;                                                         \
                                                                               \
		for (i = 0; i < TOTAL / 8; i++)                                \
			CHECK(call);                                           \
		end_writing(t);                                                \
	}
WRITES(in_short_fwrite, fwrite("0123456\n", 1, 8, t->out) == 8)
WRITES(in_fputs, fputs("0123456\n", t->out) >= 0)
WRITES(in_fprintf, fprintf(t->out, "%07d\n", i) == 8)
WRITES(in_fwprintf, fwprintf(t->out, L"%07d\n", i) == 8)
WRITES(in_dprintf, dprintf(t->fd[1], "%07d\n", i) == 8)
WRITES(in_fflush, fprintf(t->out, "%07d\n", i) == 8 && fflush(t->out) == 0)

static void in_putc(struct test *t)
{
	int i;

	for (i = 0; i < TOTAL; i++)
		CHECK_EQ(i % 2 ? putc('p', t->out) : fputc('p', t->out), 'p');
	end_writing(t);
}

static void in_putc_unlocked(struct test *t)
{
	int i;

	for (i = 0; i < TOTAL; i++)
		CHECK_EQ(putc_unlocked('p', t->out), 'p');
	end_writing(t);
}

static void in_line_buffered(struct test *t)
{
	int i;

	CHECK(setvbuf(t->out, NULL, _IOLBF, 4096) == 0);
	for (i = 0; i < TOTAL / 8; i++)
		CHECK(fwrite("012", 1, 3, t->out) == 3 &&
		      fputs("345", t->out) >= 0 && putc('6', t->out) == '6' &&
		      putc('\n', t->out) == '\n');
	end_writing(t);
}

static void in_unbuffered(struct test *t)
{
	int i;

	CHECK(setvbuf(t->out, NULL, _IONBF, 0) == 0);
	for (i = 0; i < TOTAL; i++)
		CHECK_EQ(putc('u', t->out), 'u');
	end_writing(t);
}

static void in_puts(struct test *t)
{
	FILE *was = stdout;
	int i;

	stdout = t->out;
	for (i = 0; i < TOTAL / 16; i++)
		CHECK(puts("0123456") >= 0 && printf("%07d", i) == 7 &&
		      putchar('\n') == '\n');
	stdout = was;
	end_writing(t);
}

/* The reader goes away instead. */
static void in_broken(struct test *t)
{
	static char all[TOTAL];

	CHECK(setvbuf(t->out, NULL, _IONBF, 0) == 0);
	errno = 0;
	CHECK(fwrite(all, 1, TOTAL, t->out) < TOTAL);
	CHECK_EQ(errno, EPIPE);
	CHECK(ferror(t->out));
	end_writing(t);
}

static void close_reader(struct test *t)
{
	CHECK(fclose(t->in) == 0);
}

/* ---- A stream's lock; a FIFO ------------------------------------------------------------- */

static void locked_stream(struct test *t)
{
	make_pipe(t);
	CHECK(putc('a', t->out) == 'a');
	flockfile(t->out);
}

static void unlock_stream(struct test *t)
{
	CHECK(putc_unlocked('b', t->out) == 'b');
	funlockfile(t->out);
}

static void wrote_abc(struct test *t)
{
	char buf[8];

	CHECK(fflush(t->out) == 0);
	CHECK_EQ(read(t->fd[0], buf, sizeof(buf)), 3);
	CHECK(memcmp(buf, "abc", 3) == 0);
	close_both(t);
}

static void in_locked_putc(struct test *t)
{
	CHECK_EQ(putc('c', t->out), 'c');
	wrote_abc(t);
}

static void in_flockfile(struct test *t)
{
	flockfile(t->out);
	CHECK(putc_unlocked('c', t->out) == 'c');
	funlockfile(t->out);
	wrote_abc(t);
}

static void make_fifo(struct test *t)
{
	static int n;

	snprintf(t->path, sizeof(t->path), "/tmp/blocks.%d.%d", (int)getpid(),
		 ADD(n, 1));
	CHECK(mkfifo(t->path, 0600) == 0);
}

static void in_fopen(struct test *t)
{
	t->in = fopen(t->path, "r");
	CHECK(t->in);
	CHECK(getc(t->in) == 'f');
	CHECK(fclose(t->in) == 0);
	errno = ERRNO_MARK;
}

static void open_fifo(struct test *t)
{
	int fd = open(t->path, O_WRONLY);

	CHECK(fd >= 0);
	CHECK(unlink(t->path) == 0);
	CHECK_EQ(write(fd, "f", 1), 1);
	CHECK(close(fd) == 0);
}

/* ---- All of them ------------------------------------------------------------------------- */

#define READ(fn)  make_pipe, fn, write_text, 0
#define WRITE(fn) make_pipe, fn, read_all, 0
#define CHILD(fn) make_child, fn, tell_child

static const struct kind kinds[] = {
	{ "flock", locked_file, in_flock, unlock_file, 0 },
	{ "SYS_flock", locked_file, in_sys_flock, unlock_file, 0 },
	{ "F_OFD_SETLKW", locked_record, in_ofd, unlock_record, 0 },
	{ "fcntl64", locked_record, in_ofd64, unlock_record, 0 },
	{ "SYS_fcntl", locked_record, in_sys_fcntl, unlock_record, 0 },
	{ "lockf", lock_of_child, in_lockf, end_child, 0 },
	{ "lockf64", lock_of_child, in_lockf64, end_child, 0 },
	{ "F_SETLKW", lock_of_child, in_setlkw, end_child, 0 },
	{ "wait", CHILD(in_wait), 1 },
	{ "waitpid", CHILD(in_waitpid), 0 },
	{ "waitid", CHILD(in_waitid), 0 },
	{ "wait3", CHILD(in_wait3), 1 },
	{ "wait4", CHILD(in_wait4), 0 },
	{ "SYS_wait4", CHILD(in_sys_wait4), 0 },
	{ "msgrcv", make_queue, in_msgrcv, send_message, 0 },
	{ "SYS_msgrcv", make_queue, in_sys_msgrcv, send_message, 0 },
	{ "msgrcv, removed", make_queue, in_msgrcv_removed, remove_queue, 0 },
	{ "msgsnd", full_queue, in_msgsnd, take_message, 0 },
	{ "semop", make_semaphore, in_semop, raise_semaphore, 0 },
	{ "SYS_semop", make_semaphore, in_sys_semop, raise_semaphore, 0 },
	{ "semop, removed", make_semaphore, in_semop_removed, remove_semaphore,
	  0 },
	{ "semtimedop", timed_semaphore, in_semtimedop, raise_semaphore, 0 },
	{ "mq_receive", make_mq, in_mq_receive, send_mq, 0 },
	{ "mq_timedreceive", timed_mq, in_mq_timedreceive, send_mq, 0 },
	{ "SYS_mq_timedreceive", make_mq, in_sys_mq_timedreceive, send_mq, 0 },
	{ "mq_send", full_mq, in_mq_send, drain_mq, 0 },
	{ "mq_timedsend", full_mq, in_mq_timedsend, drain_mq, 0 },
	{ "shared futex", make_word, in_futex, wake_word, 0 },
	{ "aio_suspend", begin_aio, in_aio_suspend, write_aio, 0 },
	{ "getc", READ(in_getc) },
	{ "getc_unlocked", READ(in_getc_unlocked) },
	{ "getchar, scanf", READ(in_getchar) },
	{ "fgets", READ(in_fgets) },
	{ "getline", READ(in_getline) },
	{ "getdelim", READ(in_getdelim) },
	{ "fread", READ(in_fread) },
	{ "fscanf", READ(in_fscanf) },
	{ "getwc", READ(in_getwc) },
	{ "fwrite", WRITE(in_fwrite) },
	{ "short fwrite", WRITE(in_short_fwrite) },
	{ "fputs", WRITE(in_fputs) },
	{ "putc", WRITE(in_putc) },
	{ "putc_unlocked", WRITE(in_putc_unlocked) },
	{ "fprintf", WRITE(in_fprintf) },
	{ "fwprintf", WRITE(in_fwprintf) },
	{ "dprintf", WRITE(in_dprintf) },
	{ "fflush", WRITE(in_fflush) },
	{ "line buffered", WRITE(in_line_buffered) },
	{ "unbuffered", WRITE(in_unbuffered) },
	{ "puts, printf", make_pipe, in_puts, read_all, 1 },
	{ "fwrite, broken", make_pipe, in_broken, close_reader, 0 },
	{ "putc, locked", locked_stream, in_locked_putc, unlock_stream, 0 },
	{ "flockfile", locked_stream, in_flockfile, unlock_stream, 0 },
	{ "fopen", make_fifo, in_fopen, open_fifo, 0 },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };
static struct test tests[KINDS];
static int ticks, stop;

static void *blocks(void *arg)
{
	struct test *t = arg;

	STORE(t->entered, 1);
	errno = ERRNO_MARK;
	t->kind->block(t);
	if (errno != ERRNO_MARK)
		check_fail(__FILE__, __LINE__, "%s set errno to %d",
			   t->kind->name, errno);
	STORE(t->done, 1);
	return NULL;
}

static void *tick(void *arg)
{
	(void)arg;
	while (!LOAD(stop)) {
		ADD(ticks, 1);
		if (ticks % 8 == 0)
			usleep(20);
		else
			sched_yield();
	}
	return NULL;
}

static void turns(void)
{
	int end = LOAD(ticks) + TURNS;

	YIELD_UNTIL(LOAD(ticks) - end >= 0);
}

static void begin(struct test *t, const struct kind *k)
{
	*t = (struct test){ .kind = k };
	k->setup(t);
	t->thread = start(blocks, t);
}

static void end(struct test *t)
{
	if (LOAD(t->done))
		check_fail(__FILE__, __LINE__, "%s has not blocked",
			   t->kind->name);
	t->kind->release(t);
	join(t->thread);
}

/* ---- A thread that never blocks, but makes many short calls ---------------------------- */

static void *sleeps(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 5; i++)
		usleep(1000);
	STORE(stop, 1);
	return NULL;
}

static void short_calls(void)
{
	FILE *null = fopen("/dev/null", "w");
	pthread_t t;

	CHECK(null);
	stop = 0;
	t = start(sleeps, NULL);
	while (!LOAD(stop)) {
		CHECK(fprintf(null, "%d\n", 1) == 2);
		CHECK(fflush(null) == 0);
	}
	join(t);
	CHECK(fclose(null) == 0);
}

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

int main(void)
{
	pthread_t ticker;
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	ticker = start(tick, NULL);
	section("one by one");
	for (i = 0; i < KINDS; i++) {
		begin(&tests[0], &kinds[i]);
		YIELD_UNTIL(LOAD(tests[0].entered));
		turns();
		end(&tests[0]);
	}
	section("all at once");
	for (i = 0; i < KINDS; i++)
		if (!kinds[i].alone)
			begin(&tests[i], &kinds[i]);
	for (i = 0; i < KINDS; i++)
		if (!kinds[i].alone)
			YIELD_UNTIL(LOAD(tests[i].entered));
	turns();
	for (i = 0; i < KINDS; i++)
		if (!kinds[i].alone)
			end(&tests[i]);
	STORE(stop, 1);
	join(ticker);
	section("short calls");
	short_calls();
	section("names");
	join(start(names, NULL));
	section("cancellation");
	cancellation();
	return 0;
}
