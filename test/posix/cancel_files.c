/*
 * cancel_files - cancellation points that have to do with files, beside those of
 * io_cancel and blocks_*: to open one, calls that do not wait, streams, whose lock is
 * nobody's afterwards, and asynchronous reading. To have a file copied is none.
 */
#include "cancel.h"
#include <aio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

static char path[64];
static int end[2], opened;
static FILE *stream;
static struct aiocb aio;

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

/* ---- A FIFO's other end ----------------------------------------------------- */

static void make_fifo(void)
{
	snprintf(path, sizeof(path), "/tmp/cancel_files.%d", (int)getpid());
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

/* ---- Files ------------------------------------------------------------------ */

static void make_pipe(void)
{
	CHECK(pipe(end) == 0);
}

static void make_full(void)
{
	unix_pair(SOCK_STREAM, end, 16 << 10);
	fill(end[1]);
	opened = memfd_create("cancel_files", 0);
	CHECK(opened >= 0 && write(opened, "c", 1) == 1);
}

static void in_sendfile(void)
{
	off_t at = 0;

	CHECK_EQ(sendfile(end[1], opened, &at, 1), 1);
}

static void in_syscall(void)
{
	char c;

	CHECK_EQ(syscall(SYS_read, end[0], &c, 1), 1);
}

static void closes_both(void)
{
	closes();
	CHECK(close(opened) == 0);
}

static void make_file(void)
{
	end[0] = memfd_create("cancel_files", 0);
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

/* ---- Streams ---------------------------------------------------------------- */

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

/* ---- All of them ------------------------------------------------------------ */

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
	{ "sendfile", make_full, in_sendfile, empty, closes_both, NOPOINT },
	{ "syscall", make_pipe, in_syscall, writes, closes, NOPOINT },
};

int main(void)
{
	struct sigaction sa = { .sa_handler = on_int };

	CHECK(sigaction(SIGINT, &sa, NULL) == 0);
	CANCEL_ALL(kinds, nothing);
	return 0;
}
