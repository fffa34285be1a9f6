/*
 * cookies - calls within calls: streams whose own functions block, park, print,
 * end their thread or jump away; handlers that print while their thread blocks
 * in a stream, a child or a lock, and jump out of there.
 */
#include "check.h"
#include <fcntl.h>
#include <setjmp.h>
#include <sys/file.h>
#include <sys/mman.h>

enum { ROUNDS = 40, THREADS = 4 };
static FILE *null;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

/* ---- Functions of a stream ------------------------------------------------- */

struct cookie {
	int fd[2];
	int calls;
	sigjmp_buf away;
	void (*in_read)(struct cookie *);
};

/* Everything that a thread can do: blocks, parks, prints, computes. */
static void is_busy(struct cookie *c)
{
	struct timespec t = { 0, 1000 };
	char byte;

	OK(pthread_mutex_lock(&mutex));
	sched_yield();
	t = in_ms(CLOCK_REALTIME, 1);
	CHECK(pthread_cond_timedwait(&cond, &mutex, &t) == ETIMEDOUT);
	OK(pthread_mutex_unlock(&mutex));
	usleep(10);
	CHECK(fprintf(null, "%d\n", c->calls) > 0 && fflush(null) == 0);
	CHECK_EQ(read(c->fd[0], &byte, 1), 1);
}

static void jumps(struct cookie *c)
{
	siglongjmp(c->away, 1);
}

static void exits(struct cookie *c)
{
	pthread_exit(c);
}

static ssize_t cookie_read(void *arg, char *buf, size_t size)
{
	struct cookie *c = arg;

	c->calls++;
	c->in_read(c);
	memcpy(buf, "abc", 3);
	CHECK(size >= 3);
	errno = ERRNO_MARK;
	return 3;
}

static ssize_t cookie_write(void *arg, const char *buf, size_t size)
{
	struct cookie *c = arg;

	c->calls++;
	c->in_read(c);
	CHECK(memcmp(buf, "xyz", 3) == 0);
	return size;
}

static FILE *cookie(struct cookie *c, void (*in_read)(struct cookie *))
{
	cookie_io_functions_t fns = { cookie_read, cookie_write, NULL, NULL };
	FILE *f;

	*c = (struct cookie){ .in_read = in_read };
	CHECK(pipe(c->fd) == 0);
	f = fopencookie(c, "r+", fns);
	CHECK(f);
	return f;
}

static void *feeds(void *arg)
{
	struct cookie *c = arg;
	int i;

	for (i = 0; i < 2 * ROUNDS; i++) {
		sched_yield();
		CHECK_EQ(write(c->fd[1], "x", 1), 1);
		if (i % 8 == 0)
			usleep(50);
	}
	return NULL;
}

static void *uses(void *arg)
{
	struct cookie c;
	FILE *f = cookie(&c, is_busy);
	pthread_t feeder = start(feeds, &c);
	char buf[4] = "";
	int i;

	(void)arg;
	for (i = 0; i < ROUNDS; i++) {
		errno = 0;
		CHECK_EQ(fread(buf, 1, 3, f), 3);
		CHECK_EQ(errno, ERRNO_MARK);
		CHECK(strcmp(buf, "abc") == 0);
		CHECK(fwrite("xyz", 1, 3, f) == 3 && fflush(f) == 0);
	}
	CHECK_EQ(c.calls, 2 * ROUNDS);
	join(feeder);
	CHECK(fclose(f) == 0);
	return NULL;
}

static void *jumps_away(void *arg)
{
	struct cookie c;
	FILE *f = cookie(&c, jumps);
	int i;

	(void)arg;
	for (i = 0; i < ROUNDS; i++) {
		if (sigsetjmp(c.away, i % 2) == 0)
			CHECK(getc_unlocked(f) == 0); /* does not return */
		sched_yield();
		CHECK(fprintf(null, "%d\n", i) > 0 && fflush(null) == 0);
	}
	CHECK_EQ(c.calls, ROUNDS);
	return NULL;
}

static void *ends(void *arg)
{
	struct cookie *c = arg;
	FILE *f = cookie(c, exits);

	getc_unlocked(f);
	return NULL;
}

/* ---- Handlers ------------------------------------------------------------------- */

static int handled, inside;
static __thread sigjmp_buf out;
static __thread int jump;

static void handler(int sig)
{
	int e = errno;

	(void)sig;
	CHECK(dprintf(fileno(null), "%d", 1) == 1);
	ADD(handled, 1);
	errno = e;
	if (jump)
		siglongjmp(out, 1);
}

struct wait {
	void (*block)(struct wait *);
	int fd[2], files[2];
	FILE *f;
	pid_t child;
};

static void in_fgets(struct wait *w)
{
	char line[8];

	CHECK(fgets_unlocked(line, sizeof(line), w->f) == line);
	CHECK(strcmp(line, "end\n") == 0);
}

static void in_waitpid(struct wait *w)
{
	int status;

	CHECK_EQ(waitpid(w->child, &status, 0), w->child);
	CHECK(status == 0);
}

static void in_flock(struct wait *w)
{
	CHECK_EQ(flock(w->files[0], LOCK_EX), 0);
}

static void *is_hit(void *arg)
{
	struct wait *w = arg;

	jump = 0;
	STORE(inside, 1);
	w->block(w);
	return NULL;
}

static void *is_hit_and_jumps(void *arg)
{
	struct wait *w = arg;
	volatile int times = 0;

	if (sigsetjmp(out, 1))
		times++;
	jump = times < 5;
	STORE(inside, times + 1);
	w->block(w);
	CHECK_EQ(times, 5);
	return NULL;
}

static void make(struct wait *w, void (*block)(struct wait *))
{
	char path[64], c;

	w->block = block;
	CHECK(pipe2(w->fd, O_CLOEXEC) == 0);
	w->f = fdopen(w->fd[0], "r");
	CHECK(w->f);
	w->files[0] = memfd_create("cookies", 0);
	CHECK(w->files[0] >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", w->files[0]);
	w->files[1] = open(path, O_RDWR);
	CHECK(w->files[1] >= 0 && flock(w->files[1], LOCK_EX) == 0);
	if (block != in_waitpid)
		return;
	w->child = fork();
	CHECK(w->child >= 0);
	if (w->child == 0)
		_exit(read(w->fd[0], &c, 1) != 1);
}

static void unmake(struct wait *w)
{
	CHECK(fclose(w->f) == 0);
	CHECK(close(w->fd[1]) == 0);
	CHECK(close(w->files[0]) == 0);
	close(w->files[1]);
}

/* Hits the thread five times while it blocks, then lets it go on. */
static void hit(void (*block)(struct wait *), thread_fn *fn)
{
	struct wait w;
	pthread_t t;
	int i;

	make(&w, block);
	STORE(inside, 0);
	STORE(handled, 0);
	t = start(fn, &w);
	for (i = 0; i < 5; i++) {
		YIELD_UNTIL(LOAD(inside) > (fn == is_hit ? 0 : i));
		usleep(300);
		OK(pthread_kill(t, SIGUSR1));
		YIELD_UNTIL(LOAD(handled) > i);
	}
	YIELD_UNTIL(LOAD(inside) > (fn == is_hit ? 0 : 5));
	CHECK_EQ(write(w.fd[1], "end\n", 4), 4);
	CHECK(flock(w.files[1], LOCK_UN) == 0);
	join(t);
	unmake(&w);
}

int main(void)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART };
	void (*const blocks[])(struct wait *) = { in_fgets, in_waitpid,
						  in_flock };
	pthread_t t[THREADS];
	struct cookie c;
	int i;

	null = fopen("/dev/null", "w");
	CHECK(null);
	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	section("busy");
	for (i = 0; i < THREADS; i++)
		t[i] = start(uses, NULL);
	for (i = 0; i < THREADS; i++)
		join(t[i]);
	section("jumps");
	for (i = 0; i < THREADS; i++)
		t[i] = start(jumps_away, NULL);
	for (i = 0; i < THREADS; i++)
		join(t[i]);
	section("ends");
	for (i = 0; i < THREADS; i++)
		CHECK(join(start(ends, &c)) == &c);
	for (i = 0; i < 3; i++) {
		section("handler");
		hit(blocks[i], is_hit);
		section("handler jumps");
		hit(blocks[i], is_hit_and_jumps);
	}
	return 0;
}
