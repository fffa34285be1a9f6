/* stdio.c - streams: libc's, with the P going on where they block. stdio.def is the table.
 *
 * Most calls only touch the stream's buffer, and declaring one costs as much as a short
 * one does. So those that tell beforehand what they need look at the buffer first. They
 * look without the stream's lock: another thread may empty or fill it just then. The
 * call then blocks undeclared, and sysmon takes the P: later, but as surely.
 *
 * The lock is libc's, too. Its owner is a thread pointer, so it stays with its G, and
 * who waits for it does so in the kernel, declared.
 */
#ifndef __NO_INLINE__
#define __NO_INLINE__ 1 /* what the header has inline is defined here */
#endif
#include "shim/shim.h"
#include <string.h>

#define UNBUFFERED 0x2	/* flags of libc's libio.h */
#define LINEBUFFERED 0x200
#define PUTTING 0x800

/* _IO_lock_t of libc's stdio-lock.h */
struct iolock {
	int lock, count;
	void *owner;
};

/* Another thread has the stream's lock. */
static inline bool locked(FILE *f)
{
	const struct iolock *l = (const struct iolock *)f->_lock;

	return l && __atomic_load_n(&l->lock, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&l->owner, __ATOMIC_RELAXED) !=
		       (void *)pthread_self();
}

/* So many bytes have been read ahead. */
static inline bool has(FILE *f, size_t n)
{
	return f->_mode <= 0 &&
	       (size_t)(f->_IO_read_end - f->_IO_read_ptr) >= n;
}

/* The same for the most that fgets takes. To look for the line's end would take the
 * lock: the buffer may go away meanwhile. */
static inline bool hasline(FILE *f, int n)
{
	return n > 0 && has(f, (size_t)n - 1);
}

/* So much goes into the buffer; no line of it that must be written ends there. */
static inline bool fits(FILE *f, const void *p, size_t n)
{
	int flags = f->_flags & (UNBUFFERED | LINEBUFFERED | PUTTING);

	if (f->_mode > 0 || (flags & UNBUFFERED))
		return false;
	if (!(flags & LINEBUFFERED))
		return (size_t)(f->_IO_write_end - f->_IO_write_ptr) >= n;
	return (flags & PUTTING) &&
	       (size_t)(f->_IO_buf_end - f->_IO_write_ptr) >= n &&
	       !memchr(p, '\n', n);
}

static inline bool fitsc(FILE *f, int c)
{
	char byte = (char)c;

	return fits(f, &byte, 1);
}

/* Something waits to be written. */
static inline bool pending(FILE *f)
{
	return f->_IO_write_ptr > f->_IO_write_base || f->_mode > 0;
}

#define ARGS(...) __VA_ARGS__
#define CALL(type, name, params, args, cheap)                                  \
	EXPORT type name params                                                \
	{                                                                      \
		NATIVELY(name, ARGS args);                                     \
		if (!ong() || (cheap))                                         \
			return REAL(name) args;                                \
		return HANDOFF(REAL(name) args);                               \
	}
#define ONCE(type, name, params, args) CALL(type, name, params, args, false)
#define STREAM(type, name, params, args, f, ready)                             \
	CALL(type, name, params, args, (ready) && !locked(f))
#define UNLOCKED(type, name, params, args, ready)                              \
	CALL(type, name, params, args, ready)
#define VARIADIC(type, name, v, params, last, args)                            \
	EXPORT type name params                                                \
	{                                                                      \
		va_list ap;                                                    \
		type r;                                                        \
                                                                               \
		va_start(ap, last);                                            \
		r = v args;                                                    \
		va_end(ap);                                                    \
		return r;                                                      \
	}
#define ALIAS(name, of) ALIAS_OF(name, of);
#include "shim/stdio.def"

/* libc closes the number where fd.c does not see it. */
EXPORT int fclose(FILE *f)
{
	NATIVELY(fclose, f);
	if (!ong())
		return REAL(fclose)(f);
	if (fileno(f) >= 0)
		netpollclose(fileno(f));
	return HANDOFF(REAL(fclose)(f));
}

/* C89's, whose names the headers give to C99's. */
int vfscanf89(FILE *f, const char *fmt, va_list ap) __asm__("vfscanf");
int vscanf89(const char *fmt, va_list ap) __asm__("vscanf");
int fscanf89(FILE *f, const char *fmt, ...) __asm__("fscanf");
int scanf89(const char *fmt, ...) __asm__("scanf");

EXPORT int vfscanf89(FILE *f, const char *fmt, va_list ap)
{
	NATIVELY(vfscanf, f, fmt, ap);
	if (!ong())
		return REAL(vfscanf)(f, fmt, ap);
	return HANDOFF(REAL(vfscanf)(f, fmt, ap));
}
extern int __vfscanf(FILE *f, const char *fmt, va_list ap)
	__attribute__((alias("vfscanf"), visibility("default")));

EXPORT int vscanf89(const char *fmt, va_list ap)
{
	return vfscanf89(stdin, fmt, ap);
}
VARIADIC(int, fscanf89, vfscanf89, (FILE *f, const char *fmt, ...), fmt,
	 (f, fmt, ap))
VARIADIC(int, scanf89, vscanf89, (const char *fmt, ...), fmt, (fmt, ap))
