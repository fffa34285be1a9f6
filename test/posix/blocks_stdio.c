/*
 * blocks_stdio - calls of libc's streams, each by each of its names, that wait
 * for a pipe, a stream's lock or a FIFO: see blocks.h.
 */
#ifndef __NO_INLINE__
#define __NO_INLINE__ 1 /* the function itself is meant, not another for it */
#endif
#include "blocks.h"
#include <stdio_ext.h>
#include <sys/stat.h>
#include <wchar.h>

enum { TOTAL = 40000, LINE = 8 };
static const char TEXT[] = "12 word\n";

/* What other compilations of callers call, and C89's. */
extern int _IO_getc(FILE *);
extern int _IO_putc(int, FILE *);
extern int __uflow(FILE *);
extern int __overflow(FILE *, int);
extern ssize_t __getdelim(char **, size_t *, int, FILE *);
extern char *__fgets_chk(char *, size_t, int, FILE *);
extern char *__fgets_unlocked_chk(char *, size_t, int, FILE *);
extern size_t __fread_chk(void *, size_t, size_t, size_t, FILE *);
extern size_t __fread_unlocked_chk(void *, size_t, size_t, size_t, FILE *);
extern int __isoc99_vfscanf(FILE *, const char *, va_list);
extern int __isoc99_vscanf(const char *, va_list);
extern int __isoc99_fscanf(FILE *, const char *, ...);
extern int __isoc99_scanf(const char *, ...);
extern int __vfscanf(FILE *, const char *, va_list);
extern int vfscanf89(FILE *, const char *, va_list) __asm__("vfscanf");
extern int vscanf89(const char *, va_list) __asm__("vscanf");
extern int fscanf89(FILE *, const char *, ...) __asm__("fscanf");
extern int scanf89(const char *, ...) __asm__("scanf");
extern int __fprintf_chk(FILE *, int, const char *, ...);
extern int __printf_chk(int, const char *, ...);
extern int __dprintf_chk(int, int, const char *, ...);
extern int __vfprintf_chk(FILE *, int, const char *, va_list);
extern int __vprintf_chk(int, const char *, va_list);
extern int __vdprintf_chk(int, int, const char *, va_list);

/* ---- Reading ------------------------------------------------------------------------------ */

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

/* One call that takes some of the text; with s, n and line to take it to. */
#define READS(name, what)                                                      \
	static void name(struct test *t)                                       \
	{                                                                      \
		FILE *f = t->in;                                               \
		char s[sizeof(TEXT)] = "", *line = NULL;                       \
		size_t n = 0;                                                  \
                                                                               \
		(void)s;                                                       \
		(void)n;                                                       \
		CHECK(what);                                                   \
		free(line);                                                    \
		close_both(t);                                                 \
	}
/* The same, of standard input. */
#define READS_STDIN(name, what)                                                \
	static void name(struct test *t)                                       \
	{                                                                      \
		FILE *was = stdin;                                             \
		char s[sizeof(TEXT)] = "";                                     \
		int i = 0;                                                     \
                                                                               \
		(void)s;                                                       \
		(void)i;                                                       \
		stdin = t->in;                                                 \
		CHECK(what);                                                   \
		stdin = was;                                                   \
		close_both(t);                                                 \
	}
#define ISTEXT(call) ((call) && strcmp(s, TEXT) == 0)
#define ALL	     (sizeof(TEXT) - 1)

READS(in_getc, (getc)(f) == TEXT[0])
READS(in_IO_getc, _IO_getc(f) == TEXT[0])
READS(in_fgetc, fgetc(f) == TEXT[0])
READS(in_getc_unlocked, (getc_unlocked)(f) == TEXT[0])
READS(in_fgetc_unlocked, (fgetc_unlocked)(f) == TEXT[0])
READS(in_uflow, __uflow(f) == TEXT[0])
READS(in_fgets, ISTEXT(fgets(s, sizeof(s), f) == s))
READS(in_fgets_chk, ISTEXT(__fgets_chk(s, sizeof(s), sizeof(s), f) == s))
READS(in_fgets_unlocked, ISTEXT(fgets_unlocked(s, sizeof(s), f) == s))
READS(in_fgets_unlocked_chk,
      ISTEXT(__fgets_unlocked_chk(s, sizeof(s), sizeof(s), f) == s))
READS(in_fread, ISTEXT(fread(s, 1, ALL, f) == ALL))
READS(in_fread_chk, ISTEXT(__fread_chk(s, sizeof(s), 1, ALL, f) == ALL))
READS(in_fread_unlocked, ISTEXT(fread_unlocked(s, 1, ALL, f) == ALL))
READS(in_fread_unlocked_chk,
      ISTEXT(__fread_unlocked_chk(s, sizeof(s), 1, ALL, f) == ALL))
READS(in_getline,
      getline(&line, &n, f) == ALL && strcmp(line, TEXT) == 0)
READS(in_getdelim,
      getdelim(&line, &n, 'w', f) == 4 && strcmp(line, "12 w") == 0)
READS(in__getdelim,
      __getdelim(&line, &n, 'w', f) == 4 && strcmp(line, "12 w") == 0)
READS(in_getwc, (getwc)(f) == L'1')
READS(in_fgetwc, fgetwc(f) == L'1')
READS_STDIN(in_getchar, (getchar)() == TEXT[0])
READS_STDIN(in_getchar_unlocked, (getchar_unlocked)() == TEXT[0])
READS_STDIN(in_getwchar, getwchar() == L'1')

static void in_fgetws(struct test *t)
{
	wchar_t s[sizeof(TEXT)];

	CHECK(fgetws(s, sizeof(TEXT), t->in) == s);
	CHECK(wcscmp(s, L"12 word\n") == 0);
	close_both(t);
}

typedef int scan(FILE *, const char *, va_list);

static int scans(FILE *f, scan *fn, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = fn(f, fmt, ap);
	va_end(ap);
	return n;
}

static int vscanf99_of(FILE *f, const char *fmt, va_list ap)
{
	(void)f;
	return __isoc99_vscanf(fmt, ap);
}

static int vscanf89_of(FILE *f, const char *fmt, va_list ap)
{
	(void)f;
	return vscanf89(fmt, ap);
}

#define SCANNED(call) ((call) == 2 && i == 12 && strcmp(s, "word") == 0)
/* Only the reader of it waits, so this standard input is like any stream. */
READS_STDIN(in_fscanf99, SCANNED(__isoc99_fscanf(t->in, "%d %4s", &i, s)))
READS_STDIN(in_vfscanf99,
	    SCANNED(scans(t->in, __isoc99_vfscanf, "%d %4s", &i, s)))
READS_STDIN(in_scanf99, SCANNED(__isoc99_scanf("%d %4s", &i, s)))
READS_STDIN(in_vscanf99, SCANNED(scans(t->in, vscanf99_of, "%d %4s", &i, s)))
READS_STDIN(in_fscanf89, SCANNED(fscanf89(t->in, "%d %4s", &i, s)))
READS_STDIN(in_vfscanf89, SCANNED(scans(t->in, vfscanf89, "%d %4s", &i, s)))
READS_STDIN(in__vfscanf, SCANNED(scans(t->in, __vfscanf, "%d %4s", &i, s)))
READS_STDIN(in_scanf89, SCANNED(scanf89("%d %4s", &i, s)))
READS_STDIN(in_vscanf89, SCANNED(scans(t->in, vscanf89_of, "%d %4s", &i, s)))

/* ---- Writing ------------------------------------------------------------------------------ */

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

/* The call writes so much. */
#define WRITES(name, size, what)                                               \
	static void name(struct test *t)                                       \
	{                                                                      \
		FILE *f = t->out;                                              \
		int i;                                                         \
                                                                               \
		(void)f;                                                       \
		for (i = 0; i < TOTAL / (size); i++)                           \
			CHECK(what);                                           \
		end_writing(t);                                                \
	}
/* To standard output. */
#define WRITES_STDOUT(name, size, what)                                        \
	static void name(struct test *t)                                       \
	{                                                                      \
		FILE *was = stdout;                                            \
		int i;                                                         \
                                                                               \
		stdout = t->out;                                               \
		for (i = 0; i < TOTAL / (size); i++)                           \
			CHECK(what);                                           \
		stdout = was;                                                  \
		end_writing(t);                                                \
	}

WRITES(in_putc, 1, (putc)('p', f) == 'p')
WRITES(in_IO_putc, 1, _IO_putc('p', f) == 'p')
WRITES(in_fputc, 1, fputc('p', f) == 'p')
WRITES(in_putc_unlocked, 1, (putc_unlocked)('p', f) == 'p')
WRITES(in_fputc_unlocked, 1, (fputc_unlocked)('p', f) == 'p')
WRITES(in_overflow, 1, __overflow(f, 'p') == 'p')
WRITES(in_fwrite, LINE, fwrite("0123456\n", 1, LINE, f) == LINE)
WRITES(in_fwrite_unlocked, LINE,
       fwrite_unlocked("0123456\n", 1, LINE, f) == LINE)
WRITES(in_fputs, LINE, fputs("0123456\n", f) >= 0)
WRITES(in_fputs_unlocked, LINE, fputs_unlocked("0123456\n", f) >= 0)
WRITES(in_fprintf, LINE, fprintf(f, "%07d\n", i) == LINE)
WRITES(in_fprintf_chk, LINE, __fprintf_chk(f, 1, "%07d\n", i) == LINE)
WRITES(in_dprintf, LINE, dprintf(t->fd[1], "%07d\n", i) == LINE)
WRITES(in_dprintf_chk, LINE, __dprintf_chk(t->fd[1], 1, "%07d\n", i) == LINE)
WRITES(in_fwprintf, LINE, fwprintf(f, L"%07d\n", i) == LINE)
WRITES(in_putwc, 1, (putwc)(L'p', f) == L'p')
WRITES(in_fputwc, 1, fputwc(L'p', f) == L'p')
WRITES(in_fputws, LINE, fputws(L"0123456\n", f) >= 0)
WRITES_STDOUT(in_putchar, 1, (putchar)('p') == 'p')
WRITES_STDOUT(in_putchar_unlocked, 1, (putchar_unlocked)('p') == 'p')
WRITES_STDOUT(in_puts, LINE, puts("0123456") >= 0)
WRITES_STDOUT(in_printf, LINE, (printf)("%07d\n", i) == LINE)
WRITES_STDOUT(in_printf_chk, LINE, __printf_chk(1, "%07d\n", i) == LINE)
WRITES_STDOUT(in_putwchar, 1, (putwchar)(L'p') == L'p')
WRITES_STDOUT(in_wprintf, LINE, wprintf(L"%07d\n", i) == LINE)

typedef int print(struct test *, const char *, va_list);

static int prints(struct test *t, print *fn, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = fn(t, fmt, ap);
	va_end(ap);
	return n;
}

#define PRINTS(name, call)                                                     \
	static int name##_of(struct test *t, const char *fmt, va_list ap)      \
	{                                                                      \
		(void)t;                                                       \
		return call;                                                   \
	}                                                                      \
	WRITES_STDOUT(name, LINE, prints(t, name##_of, "%07d\n", i) == LINE)
PRINTS(in_vfprintf, vfprintf(t->out, fmt, ap))
PRINTS(in_vprintf, (vprintf)(fmt, ap))
PRINTS(in_vdprintf, vdprintf(t->fd[1], fmt, ap))
PRINTS(in_vfprintf_chk, __vfprintf_chk(t->out, 1, fmt, ap))
PRINTS(in_vprintf_chk, __vprintf_chk(1, fmt, ap))
PRINTS(in_vdprintf_chk, __vdprintf_chk(t->fd[1], 1, fmt, ap))
PRINTS(in_vfwprintf, ((void)fmt, vfwprintf(t->out, L"%07d\n", ap)))
PRINTS(in_vwprintf, ((void)fmt, vwprintf(L"%07d\n", ap)))

/* What is left to write waits in the stream until this. */
#define FLUSHES(name, call)                                                    \
	WRITES(name, LINE, fprintf(f, "%07d\n", i) == LINE && (call, 1))
FLUSHES(in_fflush, fflush(f))
FLUSHES(in_fflush_unlocked, fflush_unlocked(f))
FLUSHES(in_fseek, fseek(f, 0, SEEK_END))
FLUSHES(in_fseeko, fseeko(f, 0, SEEK_END))
FLUSHES(in_fseeko64, fseeko64(f, 0, SEEK_END))
FLUSHES(in_rewind, rewind(f))
FLUSHES(in_all_fflush, fflush(NULL))

/* In one call that is larger than all of it. */
static void in_big_fwrite(struct test *t)
{
	static char all[TOTAL];

	memset(all, 'x', sizeof(all));
	CHECK_EQ(fwrite(all, 1, TOTAL, t->out), TOTAL);
	end_writing(t);
}

static void in_fclose(struct test *t)
{
	static char room[TOTAL];
	char last[4096];

	memset(last, 'x', sizeof(last));
	/* The pipe is full, and the stream has the rest. */
	CHECK_EQ(write(t->fd[1], last, sizeof(last)), sizeof(last));
	CHECK(setvbuf(t->out, room, _IOFBF, sizeof(room)) == 0);
	while (__fpending(t->out) < TOTAL - sizeof(last))
		CHECK(putc('x', t->out) == 'x');
	end_writing(t);
}

/* "%s: Success\n" */
static void in_perror(struct test *t)
{
	FILE *was = stderr;
	int i;

	CHECK(setvbuf(t->out, NULL, _IONBF, 0) == 0);
	stderr = t->out;
	for (i = 0; i < TOTAL / 10; i++) {
		errno = 0;
		perror(NULL);
	}
	stderr = was;
	end_writing(t);
}

static void read_errors(struct test *t)
{
	char buf[5000];
	long lines = 0;
	ssize_t n, i;

	while ((n = read(t->fd[0], buf, sizeof(buf))) > 0)
		for (i = 0; i < n; i++)
			lines += buf[i] == '\n';
	CHECK_EQ(lines, TOTAL / 10);
	CHECK(fclose(t->in) == 0);
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

#define OPENS(name, call)                                                      \
	static void name(struct test *t)                                       \
	{                                                                      \
		t->in = call;                                                  \
		CHECK(t->in);                                                  \
		CHECK(getc(t->in) == 'f');                                     \
		CHECK(fclose(t->in) == 0);                                     \
		errno = ERRNO_MARK;                                            \
	}
OPENS(in_fopen, fopen(t->path, "r"))
OPENS(in_fopen64, fopen64(t->path, "r"))
OPENS(in_freopen, freopen(t->path, "r", fopen("/dev/null", "r")))
OPENS(in_freopen64, freopen64(t->path, "r", fopen("/dev/null", "r")))

static void open_fifo(struct test *t)
{
	int fd = open(t->path, O_WRONLY);

	CHECK(fd >= 0);
	CHECK(unlink(t->path) == 0);
	CHECK_EQ(write(fd, "f", 1), 1);
	CHECK(close(fd) == 0);
}

/* ---- All of them ------------------------------------------------------------------------- */

static const struct kind kinds[] = {
	{ "getc", make_pipe, in_getc, write_text, 0 },
	{ "_IO_getc", make_pipe, in_IO_getc, write_text, 0 },
	{ "fgetc", make_pipe, in_fgetc, write_text, 0 },
	{ "getc_unlocked", make_pipe, in_getc_unlocked, write_text, 0 },
	{ "fgetc_unlocked", make_pipe, in_fgetc_unlocked, write_text, 0 },
	{ "__uflow", make_pipe, in_uflow, write_text, 0 },
	{ "fgets", make_pipe, in_fgets, write_text, 0 },
	{ "__fgets_chk", make_pipe, in_fgets_chk, write_text, 0 },
	{ "fgets_unlocked", make_pipe, in_fgets_unlocked, write_text, 0 },
	{ "__fgets_unlocked_chk", make_pipe, in_fgets_unlocked_chk, write_text, 0 },
	{ "fread", make_pipe, in_fread, write_text, 0 },
	{ "__fread_chk", make_pipe, in_fread_chk, write_text, 0 },
	{ "fread_unlocked", make_pipe, in_fread_unlocked, write_text, 0 },
	{ "__fread_unlocked_chk", make_pipe, in_fread_unlocked_chk, write_text, 0 },
	{ "getline", make_pipe, in_getline, write_text, 0 },
	{ "getdelim", make_pipe, in_getdelim, write_text, 0 },
	{ "__getdelim", make_pipe, in__getdelim, write_text, 0 },
	{ "getwc", make_pipe, in_getwc, write_text, 0 },
	{ "fgetwc", make_pipe, in_fgetwc, write_text, 0 },
	{ "fgetws", make_pipe, in_fgetws, write_text, 0 },
	{ "getchar", make_pipe, in_getchar, write_text, 1 },
	{ "getchar_unlocked", make_pipe, in_getchar_unlocked, write_text, 1 },
	{ "getwchar", make_pipe, in_getwchar, write_text, 1 },
	{ "__isoc99_fscanf", make_pipe, in_fscanf99, write_text, 1 },
	{ "__isoc99_vfscanf", make_pipe, in_vfscanf99, write_text, 1 },
	{ "__isoc99_scanf", make_pipe, in_scanf99, write_text, 1 },
	{ "__isoc99_vscanf", make_pipe, in_vscanf99, write_text, 1 },
	{ "fscanf", make_pipe, in_fscanf89, write_text, 1 },
	{ "vfscanf", make_pipe, in_vfscanf89, write_text, 1 },
	{ "__vfscanf", make_pipe, in__vfscanf, write_text, 1 },
	{ "scanf", make_pipe, in_scanf89, write_text, 1 },
	{ "vscanf", make_pipe, in_vscanf89, write_text, 1 },
	{ "putc", make_pipe, in_putc, read_all, 0 },
	{ "_IO_putc", make_pipe, in_IO_putc, read_all, 0 },
	{ "fputc", make_pipe, in_fputc, read_all, 0 },
	{ "putc_unlocked", make_pipe, in_putc_unlocked, read_all, 0 },
	{ "fputc_unlocked", make_pipe, in_fputc_unlocked, read_all, 0 },
	{ "__overflow", make_pipe, in_overflow, read_all, 0 },
	{ "fwrite", make_pipe, in_fwrite, read_all, 0 },
	{ "fwrite, of all", make_pipe, in_big_fwrite, read_all, 0 },
	{ "fwrite_unlocked", make_pipe, in_fwrite_unlocked, read_all, 0 },
	{ "fputs", make_pipe, in_fputs, read_all, 0 },
	{ "fputs_unlocked", make_pipe, in_fputs_unlocked, read_all, 0 },
	{ "fprintf", make_pipe, in_fprintf, read_all, 0 },
	{ "__fprintf_chk", make_pipe, in_fprintf_chk, read_all, 0 },
	{ "dprintf", make_pipe, in_dprintf, read_all, 0 },
	{ "__dprintf_chk", make_pipe, in_dprintf_chk, read_all, 0 },
	{ "fwprintf", make_pipe, in_fwprintf, read_all, 0 },
	{ "putwc", make_pipe, in_putwc, read_all, 0 },
	{ "fputwc", make_pipe, in_fputwc, read_all, 0 },
	{ "fputws", make_pipe, in_fputws, read_all, 0 },
	{ "fflush", make_pipe, in_fflush, read_all, 0 },
	{ "fflush_unlocked", make_pipe, in_fflush_unlocked, read_all, 0 },
	{ "fseek", make_pipe, in_fseek, read_all, 0 },
	{ "fseeko", make_pipe, in_fseeko, read_all, 0 },
	{ "fseeko64", make_pipe, in_fseeko64, read_all, 0 },
	{ "rewind", make_pipe, in_rewind, read_all, 0 },
	{ "fclose", make_pipe, in_fclose, read_all, 0 },
	{ "fwrite, line buffered", make_pipe, in_line_buffered, read_all, 0 },
	{ "putc, unbuffered", make_pipe, in_unbuffered, read_all, 0 },
	{ "putchar", make_pipe, in_putchar, read_all, 1 },
	{ "putchar_unlocked", make_pipe, in_putchar_unlocked, read_all, 1 },
	{ "puts", make_pipe, in_puts, read_all, 1 },
	{ "printf", make_pipe, in_printf, read_all, 1 },
	{ "__printf_chk", make_pipe, in_printf_chk, read_all, 1 },
	{ "putwchar", make_pipe, in_putwchar, read_all, 1 },
	{ "wprintf", make_pipe, in_wprintf, read_all, 1 },
	{ "vfprintf", make_pipe, in_vfprintf, read_all, 1 },
	{ "vprintf", make_pipe, in_vprintf, read_all, 1 },
	{ "vdprintf", make_pipe, in_vdprintf, read_all, 1 },
	{ "__vfprintf_chk", make_pipe, in_vfprintf_chk, read_all, 1 },
	{ "__vprintf_chk", make_pipe, in_vprintf_chk, read_all, 1 },
	{ "__vdprintf_chk", make_pipe, in_vdprintf_chk, read_all, 1 },
	{ "vfwprintf", make_pipe, in_vfwprintf, read_all, 1 },
	{ "vwprintf", make_pipe, in_vwprintf, read_all, 1 },
	{ "fflush, all", make_pipe, in_all_fflush, read_all, 1 },
	{ "perror", make_pipe, in_perror, read_errors, 1 },
	{ "fwrite, broken", make_pipe, in_broken, close_reader, 0 },
	{ "putc, locked", locked_stream, in_locked_putc, unlock_stream, 0 },
	{ "flockfile", locked_stream, in_flockfile, unlock_stream, 0 },
	{ "fopen", make_fifo, in_fopen, open_fifo, 0 },
	{ "fopen64", make_fifo, in_fopen64, open_fifo, 0 },
	{ "freopen", make_fifo, in_freopen, open_fifo, 0 },
	{ "freopen64", make_fifo, in_freopen64, open_fifo, 0 },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* ---- A thread that never blocks, but makes many short calls ---------------------------- */

static int slept;

static void *sleeps(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 5; i++)
		usleep(1000);
	STORE(slept, 1);
	return NULL;
}

static void short_calls(void)
{
	FILE *null = fopen("/dev/null", "w");
	pthread_t t;

	CHECK(null);
	t = start(sleeps, NULL);
	while (!LOAD(slept)) {
		CHECK(fprintf(null, "%d\n", 1) == 2);
		CHECK(fflush(null) == 0);
	}
	join(t);
	CHECK(fclose(null) == 0);
}

int main(int argc, char **argv)
{
	if (!blocks_main(argc, argv, kinds, KINDS))
		return 0;
	section("short calls");
	short_calls();
	return 0;
}
