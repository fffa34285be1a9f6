/*
 * blocks_aio - calls that wait for what was begun without waiting: libc's asynchronous
 * reading, the kernel's, its rings; and for a futex that two processes share: see
 * blocks.h.
 */
#include "blocks.h"
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* ---- A futex of two processes' ---------------------------------------------- */

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
		CHECK(syscall(SYS_futex, t->word, FUTEX_WAIT, 0, NULL) == 0 ||
		      errno == EAGAIN); /* woken before it waits */
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

/* ---- libc's own asynchronous reading ---------------------------------------- */

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

/* ---- The kernel's ----------------------------------------------------------- */

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

/* ---- All of them ------------------------------------------------------------ */

static const struct kind kinds[] = {
	{ "SYS_futex, shared", make_word, in_futex, wake_word, 0 },
	{ "SYS_futex_waitv", make_word, in_futex_waitv, wake_word, 0 },
	{ "aio_suspend", begin_aio, in_aio_suspend, write_aio, 0 },
	{ "aio_suspend64", begin_aio, in_aio_suspend64, write_aio, 0 },
	{ "SYS_io_getevents", begin_events, in_io_getevents, write_pipe, 0 },
	{ "SYS_io_pgetevents", begin_events, in_io_pgetevents, write_pipe, 0 },
	{ "SYS_io_uring_enter", begin_uring, in_io_uring_enter, write_pipe, 0 },
};

int main(int argc, char **argv)
{
	blocks_main(argc, argv, kinds, sizeof(kinds) / sizeof(kinds[0]));
	return 0;
}
